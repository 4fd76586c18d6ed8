/*
 * plan.c - the course of a plan: read live, load desired, compare, order, judge, prove.
 *
 * See schema.h. Two connections: one reads the live schema and keeps the scratch schemas'
 * locks, the other executes what comes out of files, so that a statement which never ends
 * costs only that connection. With a workspace server the locks are kept there, by a
 * third.
 */
#include "core/schema/schema.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/schema/additive.h"
#include "core/schema/ddl.h"
#include "core/schema/diff.h"
#include "core/schema/introspect.h"
#include "core/schema/lint.h"
#include "core/schema/load.h"
#include "core/schema/order.h"
#include "core/schema/rename.h"
#include "core/schema/rules.h"
#include "core/schema/steps.h"
#include "core/schema/verify.h"
#include "core/schema/workspace.h"

#define WORK_SECONDS  20  /* the longest that one statement on an empty table may take */
#define ALL_SECONDS   120 /* the longest that all of them together may take */
#define MAX_FILE_NAME 255
#define COPIES_NAMED  5

struct planner {
	TALLOC_CTX *tmp, *result;
	const struct schema_plan_options *options;
	struct db *live, *work;
	struct db *keeper; /* where `work` is: the live connection, or the workspace's */
	int64_t until;	   /* clock_ms: nothing more is tried then */
	struct text_list errors;
	struct lint_list lint;
	struct refusal_list refused;
	struct schema_change *changes;
	size_t n_changes;
	struct schema_original *originals;
	size_t n_originals;
};

struct space { /* one namespace while it is planned */
	TALLOC_CTX *tmp;
	const struct schema_namespace *ns;
	struct schema_view *live;
	struct desired *desired;
	struct steps steps;
};

/* ---- input ------------------------------------------------------------------------ */

static bool is_printable(const char *s, size_t max)
{
	size_t len = strlen(s);

	if (len == 0 || len > max || !utf8_valid(s, len))
		return false;
	for (; *s; s++)
		if (iscntrl((unsigned char)*s))
			return false;
	return true;
}

static int check_input(const struct schema_namespace *ns, size_t n, struct sb_err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_printable(ns[i].name, 4 * SCHEMA_MAX_IDENTIFIER))
			return sb_err(
				err, SB_EINVALID,
				"schema_files: namespace number %zu has no usable name; "
				"use up to %d printable characters",
				i + 1, SCHEMA_MAX_IDENTIFIER);
		for (size_t k = 0; k < i; k++)
			if (strcmp(ns[k].schema, ns[i].schema) == 0)
				return sb_err(
					err, SB_EINVALID,
					"schema_files: namespaces %s and %s are the same "
					"schema `%s`; send one of them",
					ns[k].name, ns[i].name, ns[i].schema);
		for (size_t f = 0; f < ns[i].n_files; f++)
			if (!is_printable(ns[i].files[f].name, MAX_FILE_NAME))
				return sb_err(
					err, SB_EINVALID,
					"schema_files.%s: file number %zu has no usable "
					"name; use 1 to %d printable characters",
					ns[i].name, f + 1, MAX_FILE_NAME);
	}
	return 0;
}

/* ---- connections ------------------------------------------------------------------ */

/* A setting that the account may lack the right for: only a convenience. */
static void try_setting(struct db *db, const char *sql)
{
	struct sb_err ignored;

	if (db_run(db, sql, &ignored) < 0)
		return;
}

static unsigned work_seconds(void)
{
#ifdef SB_FAULTS
	const char *sooner = getenv("SB_WORK_SECONDS");

	if (sooner)
		return (unsigned)strtoul(sooner, NULL, 10);
#endif
	return WORK_SECONDS;
}

static int64_t all_seconds(void)
{
#ifdef SB_FAULTS
	const char *sooner = getenv("SB_ALL_SECONDS");

	if (sooner)
		return strtol(sooner, NULL, 10);
#endif
	return ALL_SECONDS;
}

/* Own schemas are nobody else's business, so they need not be replicated. */
static int open_one(struct planner *p, const struct db_params *params,
		    const char *settings, struct db **out, struct sb_err *err)
{
	struct db_params own = *params;
	char *sql = mem_printf(
		p->tmp, "SET SESSION lock_wait_timeout = 5, sql_quote_show_create = 1%s",
		settings);

	own.schema = NULL;
	if (db_open(p->tmp, &own, out, err) < 0 || db_run(*out, sql, err) < 0)
		return -1;
	if (db_flavor(*out) == DB_MYSQL &&
	    db_run(*out, "SET SESSION information_schema_stats_expiry = 0", err) < 0)
		return -1;
	try_setting(*out, "SET SESSION sql_log_bin = 0");
	try_setting(*out, "SET SESSION default_tmp_storage_engine ="
			  " @@default_storage_engine");
	return 0;
}

static int open_connections(struct planner *p, const struct db_params *target,
			    struct sb_err *err)
{
	const struct db_params *workspace = p->options->workspace;
	struct db_params params = workspace ? *workspace : *target;

	if (open_one(p, target, "", &p->live, err) < 0)
		return -1;
	p->keeper = p->live;
	if (workspace && (open_one(p, workspace, "", &p->keeper, err) < 0 ||
			  workspace_check(p->live, p->keeper, err) < 0))
		return -1;
	if (params.io_seconds == 0 || params.io_seconds > work_seconds())
		params.io_seconds = work_seconds();
	p->until = clock_ms() + all_seconds() * 1000;
	return open_one(p, &params, ", foreign_key_checks = 0", &p->work, err);
}

/* ---- what cannot be --------------------------------------------------------------- */

static void check_parents(struct planner *p, struct space *s, const struct table *dropped)
{
	for (size_t i = 0; i < s->desired->n; i++)
		if (table_refers_to(s->desired->v[i], dropped->name))
			text_add(
				&p->errors,
				"%s: table `%s` would be dropped, but table `%s` has a foreign "
				"key to it; remove the foreign key too, or keep the file",
				s->ns->name, dropped->name, s->desired->v[i]->name);
}

static void check_change(struct planner *p, struct space *s, const struct change *c)
{
	if (c->diff && c->diff->inexpressible)
		text_add(&p->errors, "%s: table `%s`: %s", s->ns->name, c->name,
			 c->diff->inexpressible);
	if (c->live && table_refers_elsewhere(c->live))
		text_add(
			&p->errors,
			"%s: table `%s` has a foreign key to schema `%s`; SchemaBot does not "
			"change such tables",
			s->ns->name, c->live->name, table_refers_elsewhere(c->live));
	if (c->live && !c->desired)
		check_parents(p, s, c->live);
}

/* ---- the result ------------------------------------------------------------------- */

/* What is questionable about the table in the end is said with its last statement. */
static void judge_safety(struct planner *p, const struct step *step,
			 struct schema_change *out)
{
	const struct change *c = step->change;
	const struct table *from = step->renames	   ? c->live
				   : step->last && c->base ? c->base
							   : step->from;

	out->unsafe_reason = lint_change(&p->lint, from, step->to, step->diff);
	out->is_unsafe = *out->unsafe_reason != '\0';
}

static void describe(struct planner *p, struct space *s, const struct step *step,
		     struct schema_change *out)
{
	bool is_new = !step->change->live;

	*out = (struct schema_change){
		.namespace = mem_strdup(p->result, s->ns->name),
		.table = mem_strdup(p->result, step->change->name),
		.action = step->action,
		.ddl = mem_strdup(p->result, step->ddl),
		.execution_mode = "",
		.mode_reason = "",
		.algorithm = ENGINE_ALGORITHM_AUTO,
		.table_rows = is_new ? 0 : -1,
		.table_bytes = is_new ? 0 : -1,
	};
	judge_safety(p, step, out);
}

static int measure(struct planner *p, struct space *s, struct schema_change *out,
		   struct sb_err *err)
{
	const struct steps *steps = &s->steps;
	const char **names = mem_array(s->tmp, const char *, steps->n + 1);
	struct table_size *sizes;
	size_t n = 0;

	for (size_t i = 0; i < steps->n; i++)
		if (steps->v[i].change->live)
			names[n++] = steps->v[i].change->live->name;
	if (introspect_sizes(s->tmp, p->live, s->ns->schema, names, n, &sizes, err) < 0)
		return -1;
	for (size_t i = 0, k = 0; i < steps->n; i++)
		if (steps->v[i].change->live) {
			out[i].table_rows = sizes[k].rows;
			out[i].table_bytes = sizes[k++].bytes;
		}
	return 0;
}

static int prove(struct planner *p, struct space *s, struct schema_change *out,
		 struct sb_err *err)
{
	const struct steps *steps = &s->steps;
	struct proof *proofs = mem_array(s->tmp, struct proof, steps->n + 1);
	const struct verification v = { .work = p->work,
					.keeper = p->keeper,
					.source = p->live,
					.until = p->until,
					.ns = s->ns,
					.live = s->live,
					.desired = s->desired->scratch,
					.engine = p->options->engine,
					.algorithm = p->options->algorithm,
					.direct = p->options->direct,
					.keep_drops_hours = p->options->keep_drops_hours,
					.additive = p->options->additive };
	size_t *at = mem_array(s->tmp, size_t, steps->n + 1), n = 0;

	for (size_t i = 0; i < steps->n; i++) {
		const struct step *step = &steps->v[i];
		const struct change *c = step->change;

		if ((c->diff && c->diff->inexpressible) ||
		    (c->live && table_refers_elsewhere(c->live)))
			continue; /* an error already */
		at[n] = i;
		proofs[n++] =
			(struct proof){ .table = out[i].table,
					.ddl = out[i].ddl,
					.action = out[i].action,
					.live = step->first ? c->live : NULL,
					.live_name = c->live ? c->live->name : NULL,
					.desired = step->last ? c->desired : step->to,
					.partial = c->partial,
					.more = !step->last };
	}
	if (n > 0 && verify(p->result, &v, proofs, n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct schema_change *o = &out[at[i]];

		o->execution_mode = proofs[i].verdict.execution_mode;
		o->mode_reason = proofs[i].verdict.reason;
		o->algorithm = proofs[i].verdict.algorithm;
		o->cost = proofs[i].verdict.cost;
		o->natively = proofs[i].verdict.natively;
		if (proofs[i].error)
			text_add(&p->errors, "%s: table `%s`: %s", s->ns->name, o->table,
				 proofs[i].error);
	}
	return 0;
}

/* ---- one namespace ---------------------------------------------------------------- */

static void keep_originals(struct planner *p, const struct space *s)
{
	p->originals = mem_grow(p->result, p->originals, struct schema_original,
				p->n_originals + s->live->n + 1);
	for (size_t i = 0; i < s->live->n; i++)
		p->originals[p->n_originals++] = (struct schema_original){
			.namespace = mem_strdup(p->result, s->ns->name),
			.table = mem_strdup(p->result, s->live->v[i]->name),
			.create_sql = mem_strdup(p->result, s->live->v[i]->create_sql),
		};
	for (size_t i = 0; i < s->live->n_others; i++) {
		const struct other_object *o = &s->live->others[i];
		char *message = mem_printf(s->tmp, "`%s` is a %s: it is left as it is",
					   o->name, o->type);

		lint_note(&p->lint, RULE_unmanaged_object, o->name, "", message);
	}
}

static int plan_changes(struct planner *p, struct space *s, struct sb_err *err)
{
	struct renames renames;
	const struct steps_request request = {
		.namespace = s->ns->name,
		.live = s->live,
		.desired = s->desired,
		.renames = &renames,
		.refused = p->options->additive ? &p->refused : NULL,
	};
	struct schema_change *out;

	rename_decide(s->tmp, s->ns->name, s->live, s->desired, db_flavor(p->live),
		      &p->errors, &p->lint, &renames);
	steps_make(s->tmp, &request, &s->steps);
	p->changes = mem_grow(p->result, p->changes, struct schema_change,
			      p->n_changes + s->steps.n + 1);
	out = p->changes + p->n_changes;
	for (size_t i = 0; i < s->steps.n; i++) {
		if (s->steps.v[i].first)
			check_change(p, s, s->steps.v[i].change);
		describe(p, s, &s->steps.v[i], &out[i]);
	}
	p->n_changes += s->steps.n;
	if (p->options->skip_verification || s->steps.n == 0)
		return 0;
	return measure(p, s, out, err) < 0 ? -1 : prove(p, s, out, err);
}

static int plan_namespace(struct planner *p, const struct schema_namespace *ns,
			  struct sb_err *err)
{
	struct space s = { .tmp = mem_ctx(NULL, "namespace"), .ns = ns };
	int rc;

	rc = introspect(s.tmp, p->live, ns->schema, &s.live, err);
	if (rc == 0)
		rc = introspect_check_access(p->live, ns->schema, err);
	if (rc == 0) {
		keep_originals(p, &s);
		rc = load_files(s.tmp, p->work, p->keeper, ns, s.live, p->until,
				&p->errors, &s.desired, err);
	}
	if (rc == 0 && !s.desired->failed)
		rc = plan_changes(p, &s, err);
	talloc_free(s.tmp); /* drops the scratch schema: before its connections close */
	return rc;
}

static bool is_copied(const struct schema_change *c)
{
	return c->algorithm == ENGINE_ALGORITHM_COPY && *c->execution_mode == '\0';
}

/* Its table was copied by an earlier statement already. */
static bool is_copied_again(const struct planner *p, size_t i)
{
	const struct schema_change *c = p->changes;

	for (size_t e = 0; e < i; e++)
		if (is_copied(&c[e]) && strcmp(c[e].table, c[i].table) == 0 &&
		    strcmp(c[e].namespace, c[i].namespace) == 0)
			return true;
	return false;
}

/* Tables that are copied may wait for one cutover, which is not one step everywhere. */
static void note_atomicity(struct planner *p)
{
	struct buf names;
	size_t n = 0;

	buf_init(&names, p->tmp);
	if (db_flavor(p->live) != DB_MARIADB)
		return;
	for (size_t i = 0; i < p->n_changes; i++)
		if (is_copied(&p->changes[i]) && !is_copied_again(p, i) &&
		    n++ < COPIES_NAMED)
			buf_printf(&names, "%s`%s`", n > 1 ? ", " : "",
				   p->changes[i].table);
	if (n < 2)
		return;
	lint_note(
		&p->lint, RULE_nearly_atomic, "", "",
		mem_printf(p->tmp,
			   "%s%s are copied online: with defer_cutover they are swapped "
			   "right after each other, which is only nearly atomic",
			   names.data, n > COPIES_NAMED ? " and others" : ""));
}

static void fill_in(const struct planner *p, struct schema_plan *plan)
{
	*plan = (struct schema_plan){ .changes = p->changes,
				      .n_changes = p->n_changes,
				      .lint = p->lint.v,
				      .n_lint = p->lint.n,
				      .errors = p->errors.v,
				      .n_errors = p->errors.n,
				      .originals = p->originals,
				      .n_originals = p->n_originals,
				      .refused = p->refused.v,
				      .n_refused = p->refused.n,
				      .flavor = db_flavor(p->live) };
}

struct engine_direct schema_direct_policy(const struct config_environment *e)
{
	if (!e)
		return (struct engine_direct){ 0 };
	return (struct engine_direct){ .max_rows = e->direct_max_rows,
				       .max_bytes = e->direct_max_bytes,
				       .lock_seconds = e->direct_lock_seconds };
}

int schema_plan(TALLOC_CTX *ctx, const struct db_params *target,
		const struct schema_namespace *namespaces, size_t n_namespaces,
		const struct schema_plan_options *options, struct schema_plan **out,
		struct sb_err *err)
{
	struct schema_plan *plan = mem_new(ctx, struct schema_plan);
	struct planner p = { .tmp = mem_ctx(NULL, "planning"),
			     .result = plan,
			     .options = options };
	int rc;

	*out = NULL;
	p.errors.ctx = p.lint.ctx = p.refused.ctx = p.result;
	p.lint.config = options->lint;
	p.lint.n_config = options->n_lint;
	rc = check_input(namespaces, n_namespaces, err);
	if (rc == 0)
		rc = open_connections(&p, target, err);
	for (size_t i = 0; rc == 0 && i < n_namespaces; i++) {
		if (db_is_lost(p.work)) /* by a file that took too long */
			break;
		rc = plan_namespace(&p, &namespaces[i], err);
	}
	if (rc == 0) { /* while the connections are there */
		note_atomicity(&p);
		fill_in(&p, plan);
	}
	talloc_free(p.tmp);
	if (rc < 0 && err && err->code == SB_EAMBIGUOUS)
		err->code = SB_ERETRY; /* nothing but our scratch schemas was at stake */
	if (rc == 0) {
		*out = plan;
	} else {
		talloc_free(plan);
	}
	return rc;
}

/* What a view has, as others may have it; of ctx. */
static void export(TALLOC_CTX *ctx, const char *namespace, const struct schema_view *view,
		   struct schema_original **out, size_t *n)
{
	*out = mem_array(ctx, struct schema_original, view->n + 1);
	*n = view->n;
	for (size_t i = 0; i < view->n; i++)
		(*out)[i] = (struct schema_original){
			.namespace = mem_strdup(*out, namespace),
			.table = mem_strdup(*out, view->v[i]->name),
			.create_sql = mem_strdup(*out, view->v[i]->create_sql),
		};
}

int schema_read_live(TALLOC_CTX *ctx, struct db *db, const char *namespace,
		     const char *schema, struct schema_original **out, size_t *n,
		     struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "live schema");
	struct schema_view *view;
	int rc;

	*out = NULL;
	*n = 0;
	rc = introspect(tmp, db, schema, &view, err);
	if (rc == 0)
		rc = introspect_check_access(db, schema, err);
	if (rc == 0)
		export(ctx, namespace, view, out, n);
	talloc_free(tmp);
	return rc;
}

int schema_read_names(TALLOC_CTX *ctx, struct db *db, const char *namespace,
		      const char *schema, const char *const *tables, size_t n_tables,
		      struct schema_original **out, size_t *n, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "live names");
	struct schema_view *view;
	int rc;

	*out = NULL;
	*n = 0;
	rc = introspect_names(tmp, db, schema, tables, n_tables, &view, err);
	if (rc == 0)
		rc = introspect_check_access(db, schema, err);
	if (rc == 0)
		export(ctx, namespace, view, out, n);
	talloc_free(tmp);
	return rc;
}
