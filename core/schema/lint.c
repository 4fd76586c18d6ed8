/*
 * lint.c - from findings to violations: levels, debt, reasons; see lint.h.
 */
#include "core/schema/lint.h"

#include <string.h>

#include "core/schema/lint_table.h"
#include "core/schema/unsafe.h"

struct finding *finding_add(struct findings *list, enum rule_id rule, enum subject of,
			    const char *name, const char *fmt, ...)
{
	struct finding *f;
	va_list ap;

	list->v = mem_grow(list->ctx, list->v, struct finding, list->n + 1);
	f = &list->v[list->n++];
	va_start(ap, fmt);
	*f = (struct finding){ .rule = rule,
			       .of = of,
			       .name = mem_strdup(list->ctx, name),
			       .detail = "",
			       .message = mem_vprintf(list->ctx, fmt, ap) };
	va_end(ap);
	return f;
}

/* ---- debt ---------------------------------------------------------------------------
 */

struct sides { /* of one change */
	const struct table *from, *to;
	const struct table_diff *d;
};

/* The name on the server: a step before may have renamed a column on paper only. */
static const char *server_name(const struct table *t, const struct finding *f)
{
	const struct table_column *c =
		f->of == OF_COLUMN ? table_column(t, f->name) : NULL;

	return c && c->renamed_from ? c->renamed_from : f->name;
}

/* What the subject of an old finding is called after the change. */
static const char *name_after(const struct sides *s, const struct finding *f)
{
	for (size_t i = 0; s->d && i < s->d->n; i++) {
		const struct clause *k = &s->d->v[i];

		if (f->of == OF_COLUMN && k->old_column && k->column && !k->recreated &&
		    same_name(k->old_column->name, f->name))
			return k->column->name;
		if (f->of == OF_INDEX && k->kind == CLAUSE_RENAME_INDEX &&
		    same_name(k->old_index->name, f->name))
			return k->index->name;
	}
	return f->name;
}

static bool is_same(const struct sides *s, const struct finding *old,
		    const struct finding *new)
{
	const char *was = server_name(s->from, old), *is = server_name(s->to, new);

	if (old->rule != new->rule || old->of != new->of ||
	    strcmp(old->detail, new->detail) != 0)
		return false;
	if (new->name_is_at_fault)
		return strcmp(was, new->name) == 0;
	if (new->of == OF_TABLE)
		return true;
	if (strcmp(is, new->name) != 0) /* both on paper, or about to be */
		return same_name(was, is);
	return same_name(name_after(s, old), new->name);
}

static bool is_debt(const struct findings *old, const struct sides *s,
		    const struct finding *f)
{
	/* The statement that really gives the name tells of it. */
	if (f->name_is_at_fault && s->to && strcmp(server_name(s->to, f), f->name) != 0)
		return true;
	for (size_t i = 0; i < old->n; i++)
		if (is_same(s, &old->v[i], f))
			return true;
	return false;
}

/* ---- violations -----------------------------------------------------------------------
 */

static void append(struct lint_list *list, const struct rule *rule, enum rule_level level,
		   const char *table, const char *column, const char *message)
{
	list->v = mem_grow(list->ctx, list->v, struct schema_lint, list->n + 1);
	list->v[list->n++] = (struct schema_lint){
		.message = mem_strdup(list->ctx, message),
		.table = mem_strdup(list->ctx, table),
		.column = mem_strdup(list->ctx, column),
		.linter = rule->id,
		.severity = rule_level_name(level),
		.fix_type = rule->fix_type,
	};
}

char *lint_change(struct lint_list *list, const struct table *from,
		  const struct table *to, const struct table_diff *d)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "lint");
	struct findings new = { .ctx = tmp }, old = { .ctx = tmp };
	const struct sides sides = { .from = from, .to = to, .d = d };
	struct buf reasons;

	buf_init(&reasons, list->ctx);
	if (!to)
		finding_add(&new, RULE_drop_table, OF_TABLE, from->name,
			    "drops the table and all its rows");
	if (from && to && strcmp(from->name, to->name) != 0)
		finding_add(
			&new, RULE_rename_table, OF_TABLE, to->name,
			"renames table `%s` to `%s`: statements that use the old name "
			"fail from the moment of the change",
			from->name, to->name);
	if (d)
		unsafe_check(&new, d);
	if (from && to)
		lint_table(&old, from);
	if (to)
		lint_table(&new, to);
	for (size_t i = 0; i < new.n; i++) {
		const struct finding *f = &new.v[i];
		const struct rule *rule = &lint_rules[f->rule];
		enum rule_level level = rule_level(rule, list->config, list->n_config);

		if (level == LEVEL_OFF || is_debt(&old, &sides, f))
			continue;
		append(list, rule, level, to ? to->name : from->name,
		       f->of == OF_COLUMN ? f->name : "", f->message);
		if (level == LEVEL_ERROR)
			buf_printf(&reasons, "%s%s", reasons.len > 0 ? "; " : "",
				   f->message);
	}
	talloc_free(tmp);
	return reasons.data;
}

void lint_note(struct lint_list *list, enum rule_id rule, const char *table,
	       const char *column, const char *message)
{
	enum rule_level level =
		rule_level(&lint_rules[rule], list->config, list->n_config);

	if (level != LEVEL_OFF)
		append(list, &lint_rules[rule], level, table, column, message);
}
