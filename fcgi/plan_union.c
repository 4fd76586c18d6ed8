/*
 * plan_union.c - see plan_union.h.
 */
#include "fcgi/plan_union.h"

#include <string.h>

struct merge {
	TALLOC_CTX *ctx;
	struct schema_change *changes;
	const char **owners; /* the deployment that brought changes[i] */
	size_t *later;	     /* how many statements about its table followed it there */
	size_t n_changes;
	struct schema_lint *lint;
	size_t n_lint;
	const char **errors;
	size_t n_errors;
	struct schema_original *originals;
	size_t n_originals;
};

static bool same_table(const struct schema_change *a, const struct schema_change *b)
{
	return strcmp(a->table, b->table) == 0 && strcmp(a->namespace, b->namespace) == 0;
}

/* How many statements about its table follow changes[i]. */
static size_t count_later(const struct schema_plan *plan, size_t i)
{
	size_t later = 0;

	for (size_t k = i + 1; k < plan->n_changes; k++)
		later += same_table(&plan->changes[k], &plan->changes[i]);
	return later;
}

/*
 * The same statement from another deployment, or n_changes. Where a table takes several,
 * a deployment may have the first of them behind it: they are told apart from the end.
 */
static size_t find_change(const struct merge *m, const struct schema_change *c,
			  size_t later)
{
	size_t i = 0;

	while (i < m->n_changes &&
	       !(m->later[i] == later && same_table(&m->changes[i], c)))
		i++;
	return i;
}

/* Behind position `at`, so that both plans' orders of execution are kept. */
static void insert_change(struct merge *m, size_t at, const struct schema_change *c,
			  size_t later, const char *deployment)
{
	m->changes = mem_grow(m->ctx, m->changes, struct schema_change, m->n_changes + 1);
	m->owners = mem_grow(m->ctx, m->owners, const char *, m->n_changes + 1);
	m->later = mem_grow(m->ctx, m->later, size_t, m->n_changes + 1);
	memmove(m->changes + at + 1, m->changes + at,
		(m->n_changes - at) * sizeof(*m->changes));
	memmove(m->owners + at + 1, m->owners + at,
		(m->n_changes - at) * sizeof(*m->owners));
	memmove(m->later + at + 1, m->later + at,
		(m->n_changes - at) * sizeof(*m->later));
	m->changes[at] = *c;
	m->owners[at] = deployment;
	m->later[at] = later;
	m->n_changes++;
}

static void add_error(struct merge *m, const char *text)
{
	for (size_t i = 0; i < m->n_errors; i++)
		if (strcmp(m->errors[i], text) == 0)
			return;
	m->errors = mem_grow(m->ctx, m->errors, const char *, m->n_errors + 1);
	m->errors[m->n_errors++] = text;
}

/* The harsher of two verdicts about the same statement. */
static int harshness(const char *execution_mode)
{
	return strcmp(execution_mode, "blocked") == 0  ? 2
	       : strcmp(execution_mode, "direct") == 0 ? 1
						       : 0;
}

/* What is not known counts as the dearest. */
static int dearness(enum engine_cost cost)
{
	return cost == ENGINE_COST_UNKNOWN ? ENGINE_COST_REBUILD + 1 : (int)cost;
}

static void combine(struct schema_change *have, const struct schema_change *c)
{
	int harsher = harshness(c->execution_mode) - harshness(have->execution_mode);

	if (harsher > 0 || (harsher == 0 && dearness(c->cost) > dearness(have->cost))) {
		have->execution_mode = c->execution_mode;
		have->mode_reason = c->mode_reason;
	}
	if (c->algorithm > have->algorithm)
		have->algorithm = c->algorithm;
	if (dearness(c->cost) > dearness(have->cost))
		have->cost = c->cost;
	/* AUTO: one of them cannot do it at all. */
	if (have->natively != ENGINE_ALGORITHM_AUTO &&
	    (c->natively == ENGINE_ALGORITHM_AUTO || c->natively > have->natively))
		have->natively = c->natively;
	if (c->is_unsafe && !have->is_unsafe) {
		have->is_unsafe = true;
		have->unsafe_reason = c->unsafe_reason;
	}
	if (c->table_rows > have->table_rows)
		have->table_rows = c->table_rows;
	if (c->table_bytes > have->table_bytes)
		have->table_bytes = c->table_bytes;
}

static void add_changes(struct merge *m, const struct schema_plan *plan,
			const char *deployment)
{
	size_t next = 0; /* where a change that is not there yet belongs */

	for (size_t i = 0; i < plan->n_changes; i++) {
		const struct schema_change *c = &plan->changes[i];
		size_t later = count_later(plan, i), at = find_change(m, c, later);

		if (at == m->n_changes)
			insert_change(m, at = next, c, later, deployment);
		else if (strcmp(m->changes[at].ddl, c->ddl) == 0)
			combine(&m->changes[at], c);
		else
			add_error(
				m,
				mem_printf(
					m->ctx,
					"Table '%s' of namespace '%s' needs \"%.300s\" in "
					"deployment '%s', but \"%.300s\" in '%s'. Make it the "
					"same in both first.",
					c->table, c->namespace, m->changes[at].ddl,
					m->owners[at], c->ddl, deployment));
		next = at + 1;
	}
}

static bool same_lint(const struct schema_lint *a, const struct schema_lint *b)
{
	return strcmp(a->message, b->message) == 0 && strcmp(a->table, b->table) == 0 &&
	       strcmp(a->column, b->column) == 0 && strcmp(a->linter, b->linter) == 0 &&
	       strcmp(a->severity, b->severity) == 0;
}

static void add_lint(struct merge *m, const struct schema_plan *plan)
{
	for (size_t i = 0; i < plan->n_lint; i++) {
		size_t at = 0;

		while (at < m->n_lint && !same_lint(&m->lint[at], &plan->lint[i]))
			at++;
		if (at < m->n_lint)
			continue;
		m->lint = mem_grow(m->ctx, m->lint, struct schema_lint, m->n_lint + 1);
		m->lint[m->n_lint++] = plan->lint[i];
	}
}

static bool has_error(const struct schema_plan *plan, const char *text)
{
	for (size_t i = 0; i < plan->n_errors; i++)
		if (strcmp(plan->errors[i], text) == 0)
			return true;
	return false;
}

/* What is wrong everywhere is wrong with the files; otherwise it says where. */
static void add_errors(struct merge *m, struct schema_plan *const *plans, size_t n,
		       size_t p, const char *deployment)
{
	for (size_t i = 0; i < plans[p]->n_errors; i++) {
		const char *text = plans[p]->errors[i];
		size_t in = 0;

		for (size_t q = 0; q < n; q++)
			in += has_error(plans[q], text);
		add_error(m, in == n ? text
				     : mem_printf(m->ctx, "Deployment '%s': %s",
						  deployment, text));
	}
}

static void add_originals(struct merge *m, const struct schema_plan *plan,
			  const char *deployment)
{
	m->originals = mem_grow(m->ctx, m->originals, struct schema_original,
				m->n_originals + plan->n_originals);
	for (size_t i = 0; i < plan->n_originals; i++) {
		struct schema_original *o = &m->originals[m->n_originals++];

		*o = plan->originals[i];
		o->deployment = deployment;
	}
}

void plan_union(TALLOC_CTX *ctx, const struct config_deployment *deployments,
		struct schema_plan *const *plans, size_t n, struct schema_plan **out)
{
	struct merge m = { .ctx = ctx };

	*out = plans[0];
	if (n == 1)
		return;
	for (size_t p = 0; p < n; p++) {
		add_changes(&m, plans[p], deployments[p].name);
		add_lint(&m, plans[p]);
		add_errors(&m, plans, n, p, deployments[p].name);
		add_originals(&m, plans[p], deployments[p].name);
	}
	*out = mem_new(ctx, struct schema_plan);
	**out = (struct schema_plan){ .changes = m.changes,
				      .n_changes = m.n_changes,
				      .lint = m.lint,
				      .n_lint = m.n_lint,
				      .errors = m.errors,
				      .n_errors = m.n_errors,
				      .originals = m.originals,
				      .n_originals = m.n_originals };
}
