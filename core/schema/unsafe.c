/*
 * unsafe.c - the classes of unsafe clauses, as a table; see unsafe.h.
 *
 * Unsafe is what can lose or alter stored values, what can fail on the data that is
 * there, and what can make running queries slow. A rule looks at one clause of the kind
 * it names.
 */
#include "core/schema/unsafe.h"

#include <string.h>
#include <strings.h>

#include "core/schema/types.h"

struct rule {
	enum clause_kind kind;
	/* Appends its reason and returns true when the clause is unsafe. */
	bool (*applies)(const struct table_diff *d, const struct clause *k,
			struct buf *why);
};

/* ---- columns ---------------------------------------------------------------------- */

static bool drops_column(const struct table_diff *d, const struct clause *k,
			 struct buf *why)
{
	(void)d;
	if (!k->recreated) {
		buf_printf(why, "drops column `%s` and its values", k->old_column->name);
		return true;
	}
	/* Between virtual and stored the server computes the same values again. */
	if (k->old_column->kind != COLUMN_BASE && k->column->kind != COLUMN_BASE)
		return false;
	buf_printf(why, "column `%s` is made anew and loses its values",
		   k->old_column->name);
	return true;
}

static bool loses_values(const struct table_diff *d, const struct clause *k,
			 struct buf *why)
{
	const char *reason;

	(void)d;
	if (types_lossless(why->ctx, k->old_column, k->column, &reason))
		return false;
	buf_printf(why, "changes the type of column `%s` from %.100s to %.100s: %s",
		   k->column->name, k->old_column->definition, k->column->definition,
		   reason);
	return true;
}

static bool forbids_null(const struct table_diff *d, const struct clause *k,
			 struct buf *why)
{
	(void)d;
	if (k->old_column->not_null || !k->column->not_null)
		return false;
	buf_printf(why, "makes column `%s` NOT NULL: it fails where there are NULLs",
		   k->column->name);
	return true;
}

static bool replaces_data(const struct table_diff *d, const struct clause *k,
			  struct buf *why)
{
	(void)d;
	if (k->old_column->kind != COLUMN_BASE || k->column->kind == COLUMN_BASE)
		return false;
	buf_printf(why, "column `%s` becomes generated: its values are replaced",
		   k->column->name);
	return true;
}

static bool unites_values(const struct table_diff *d, const struct clause *k,
			  struct buf *why)
{
	const char *from = k->old_column->collation, *to = k->column->collation;

	if (!from || !to || strcmp(from, to) == 0)
		return false;
	for (size_t i = 0; i < d->to->n_indexes; i++) {
		const struct table_index *x = &d->to->indexes[i];

		if (x->kind > INDEX_UNIQUE || !index_has_column(x, k->column->name))
			continue;
		buf_printf(
			why,
			"changes the collation of column `%s`, which is part of a unique "
			"key: it fails where values become equal",
			k->column->name);
		return true;
	}
	return false;
}

/* ---- indexes ---------------------------------------------------------------------- */

/* Does `to` serve every query that `from` served? */
static bool extends(const struct table_index *from, const struct table_index *to)
{
	if (from->kind != to->kind || !to->visible || to->n_parts < from->n_parts)
		return false;
	for (size_t i = 0; i < from->n_parts; i++)
		if (!same_name(from->parts[i].text, to->parts[i].text))
			return false;
	return true;
}

static bool drops_index(const struct table_diff *d, const struct clause *k,
			struct buf *why)
{
	(void)d;
	if (!k->old_index->visible || (k->index && extends(k->old_index, k->index)))
		return false;
	buf_printf(why,
		   "%s index `%s`, which queries may be using (make it invisible first)",
		   k->index ? "changes" : "drops", k->old_index->name);
	return true;
}

static bool drops_primary_key(const struct table_diff *d, const struct clause *k,
			      struct buf *why)
{
	(void)d;
	buf_printf(why, "%s the primary key", k->index ? "changes" : "drops");
	return true;
}

/* A unique key over columns of which some are already unique admits every row. */
static bool is_implied(const struct table_diff *d, const struct table_index *to)
{
	for (size_t i = 0; i < d->from->n_indexes; i++) {
		const struct table_index *x = &d->from->indexes[i];
		size_t found = 0;

		if (x->kind > INDEX_UNIQUE)
			continue;
		for (size_t p = 0; p < x->n_parts; p++)
			for (size_t q = 0; q < to->n_parts; q++)
				if (same_name(x->parts[p].text, to->parts[q].text)) {
					found++;
					break;
				}
		if (found == x->n_parts)
			return true;
	}
	return false;
}

/* All parts are new AUTO_INCREMENT columns: the server numbers the rows. */
static bool is_numbered(const struct table_diff *d, const struct table_index *to)
{
	const struct table_column *c;

	if (to->n_parts != 1 || !to->parts[0].column)
		return false;
	c = table_column(d->to, to->parts[0].column);
	return c && c->auto_increment && !table_column(d->from, c->name);
}

static bool adds_unique(const struct table_diff *d, const struct clause *k,
			struct buf *why)
{
	if (k->index->kind > INDEX_UNIQUE || is_implied(d, k->index) ||
	    is_numbered(d, k->index))
		return false;
	if (k->index->kind == INDEX_PRIMARY)
		buf_str(why, "adds a primary key");
	else
		buf_printf(why, "adds unique index `%s`", k->index->name);
	buf_str(why, ": it fails where there are duplicates");
	return true;
}

/* ---- options ---------------------------------------------------------------------- */

static bool leaves_innodb(const struct table_diff *d, const struct clause *k,
			  struct buf *why)
{
	if (strcasecmp(d->from->engine, "InnoDB") != 0)
		return false;
	buf_printf(why, "changes the storage engine from InnoDB to %s", k->value);
	return true;
}

static const struct rule rules[] = {
	{ CLAUSE_DROP_COLUMN, drops_column },
	{ CLAUSE_MODIFY_COLUMN, loses_values },
	{ CLAUSE_MODIFY_COLUMN, forbids_null },
	{ CLAUSE_MODIFY_COLUMN, replaces_data },
	{ CLAUSE_MODIFY_COLUMN, unites_values },
	{ CLAUSE_DROP_PRIMARY_KEY, drops_primary_key },
	{ CLAUSE_ADD_PRIMARY_KEY, adds_unique },
	{ CLAUSE_DROP_INDEX, drops_index },
	{ CLAUSE_ADD_INDEX, adds_unique },
	{ CLAUSE_ENGINE, leaves_innodb },
};

char *unsafe_reasons(TALLOC_CTX *ctx, const struct table_diff *d)
{
	struct buf all, one;

	buf_init(&all, ctx);
	buf_init(&one, ctx);
	for (size_t i = 0; i < d->n; i++)
		for (size_t r = 0; r < ARRAY_SIZE(rules); r++) {
			buf_clear(&one);
			if (rules[r].kind != d->v[i].kind ||
			    !rules[r].applies(d, &d->v[i], &one))
				continue;
			if (all.len > 0)
				buf_str(&all, "; ");
			buf_add(&all, one.data, one.len);
		}
	return all.data;
}
