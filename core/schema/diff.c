/*
 * diff.c - structural difference of two tables; see diff.h.
 *
 * Parts are matched by name and compared by their canonical text, so that nothing that
 * differs can be overlooked. Renamed columns and tables are never guessed: a column that
 * is gone is dropped. An index that only has another name is renamed, which is no guess:
 * its content is the same.
 */
#include "core/schema/diff.h"

#include <string.h>
#include <strings.h>

#include "core/schema/diff_parts.h"
#include "core/schema/moves.h"

struct clause *diff_add(struct table_diff *d, enum clause_kind kind)
{
	d->v = mem_grow(d, d->v, struct clause, d->n + 1);
	d->v[d->n] = (struct clause){ .kind = kind };
	return &d->v[d->n++];
}

void diff_cannot(struct table_diff *d, const char *what, const char *from, const char *to)
{
	if (!d->inexpressible)
		d->inexpressible = mem_printf(d,
					      "%s differs and cannot be changed: it is "
					      "\"%s\" and should be \"%s\"",
					      what, from, to);
}

/* ---- columns ---------------------------------------------------------------------- */

/* No server turns a virtual column into a stored one or into data, or back. */
static bool must_recreate(const struct table_column *from, const struct table_column *to)
{
	return from->kind != to->kind &&
	       (from->kind == COLUMN_VIRTUAL || to->kind == COLUMN_VIRTUAL);
}

bool diff_recreates(const struct table_diff *d, const char *column)
{
	const struct table_column *c = table_column(d->from, column);

	return d->recreated && c && d->recreated[c - d->from->columns];
}

bool diff_names_recreated(const struct table_diff *d, const char *text)
{
	struct tokens t;
	bool found = false;

	if (!d->recreated || tokenize(NULL, text, &t, NULL) < 0)
		return false;
	for (size_t i = 0; i < t.n && !found; i++) {
		char *name = t.v[i].type == TOKEN_IDENT ? token_name(t.v, &t.v[i]) : NULL;

		found = name && diff_recreates(d, name);
	}
	talloc_free(t.v);
	return found;
}

/*
 * Which columns of d->from are dropped and added again: those that must, and the
 * generated ones that are computed from them, for a server refuses to drop what another
 * column needs. d->recreated stays NULL when there are none.
 */
static void find_recreated(struct table_diff *d)
{
	const struct table *from = d->from;
	bool *v = mem_array(d, bool, from->n_columns + 1), more = false;

	for (size_t i = 0; i < from->n_columns; i++) {
		const struct table_column *to =
			table_column(d->to, from->columns[i].name);

		v[i] = to && must_recreate(&from->columns[i], to);
		more = more || v[i];
	}
	if (more)
		d->recreated = v;
	while (more) {
		more = false;
		for (size_t i = 0; i < from->n_columns; i++) {
			const struct table_column *c = &from->columns[i],
						  *to = table_column(d->to, c->name);

			if (v[i] || c->kind == COLUMN_BASE || !to ||
			    to->kind == COLUMN_BASE ||
			    !diff_names_recreated(d, c->definition))
				continue;
			v[i] = more = true;
		}
	}
}

/* The old column that becomes `to` in place, or NULL. */
static const struct table_column *survivor(const struct table_diff *d,
					   const struct table_column *to)
{
	return diff_recreates(d, to->name) ? NULL : table_column(d->from, to->name);
}

static void drop_columns(struct table_diff *d)
{
	for (size_t i = 0; i < d->from->n_columns; i++) {
		const struct table_column *c = &d->from->columns[i];
		const struct table_column *to = table_column(d->to, c->name);
		struct clause *k;

		if (to && !diff_recreates(d, c->name))
			continue;
		k = diff_add(d, CLAUSE_DROP_COLUMN);
		k->old_column = c;
		k->column = to;
		k->recreated = to != NULL;
	}
}

static bool is_changed(const struct table_column *from, const struct table_column *to)
{
	return strcmp(from->canonical, to->canonical) != 0 ||
	       strcmp(from->name, to->name) != 0;
}

/* Mark the columns of d->to that keep their place; returns an array owned by d. */
static bool *find_staying(struct table_diff *d)
{
	size_t n = 0, total = d->to->n_columns;
	size_t *was = mem_array(d, size_t, total + 1),
	       *at = mem_array(was, size_t, total + 1);
	bool *stays = mem_array(d, bool, total + 1),
	     *kept = mem_array(was, bool, total + 1);
	bool *changed = mem_array(was, bool, total + 1);

	for (size_t i = 0; i < total; i++) {
		const struct table_column *from = survivor(d, &d->to->columns[i]);

		if (!from)
			continue;
		was[n] = (size_t)(from - d->from->columns);
		changed[n] = from->renamed_from || is_changed(from, &d->to->columns[i]);
		at[n++] = i;
	}
	moves_plan(was, changed, n, kept);
	for (size_t k = 0; k < n; k++)
		stays[at[k]] = kept[k];
	talloc_free(was);
	return stays;
}

/*
 * Additions and changes in the desired order: when a clause says AFTER x, x already is
 * where it belongs. An addition needs no position when nothing that was there follows.
 */
static void change_columns(struct table_diff *d)
{
	bool *stays = find_staying(d);
	size_t last = 0; /* behind the last column that existed */

	for (size_t i = 0; i < d->to->n_columns; i++)
		if (survivor(d, &d->to->columns[i]))
			last = i + 1;
	for (size_t i = 0; i < d->to->n_columns; i++) {
		const struct table_column *to = &d->to->columns[i],
					  *from = survivor(d, to);
		struct clause *k;

		if (from && stays[i] && !is_changed(from, to)) {
			if (!from->renamed_from)
				continue;
			k = diff_add(d, CLAUSE_RENAME_COLUMN);
			k->old_column = from;
			k->column = to;
			continue;
		}
		k = diff_add(d, from ? CLAUSE_MODIFY_COLUMN : CLAUSE_ADD_COLUMN);
		k->old_column = from;
		k->column = to;
		k->recreated = diff_recreates(d, to->name);
		k->positioned = from ? !stays[i] : i < last;
		k->after = i > 0 ? d->to->columns[i - 1].name : NULL;
	}
	talloc_free(stays);
}

/* ---- indexes ---------------------------------------------------------------------- */

static bool needs_rebuild(const struct table_diff *d, const struct table_index *x)
{
	for (size_t i = 0; i < x->n_parts; i++)
		if (x->parts[i].column ? diff_recreates(d, x->parts[i].column)
				       : diff_names_recreated(d, x->parts[i].text))
			return true;
	return false;
}

static bool same_index(const struct table_diff *d, const struct table_index *from,
		       const struct table_index *to)
{
	return strcmp(from->canonical, to->canonical) == 0 && !needs_rebuild(d, from);
}

/* Can `x` become `to` by another name? */
static bool can_be_renamed(const struct table_diff *d, const struct table_index *x,
			   const struct table_index *to)
{
	return x->kind != INDEX_PRIMARY && !table_index(d->to, x->name) &&
	       x->visible == to->visible && same_index(d, x, to);
}

/*
 * The old index, of another and vanishing name, that becomes `to`: of several with the
 * same content the first, the second and so on, each for one.
 */
static const struct table_index *renamed_from(const struct table_diff *d,
					      const struct table_index *to)
{
	size_t before = 0;

	if (to->kind == INDEX_PRIMARY || table_index(d->from, to->name))
		return NULL;
	for (const struct table_index *o = d->to->indexes; o < to; o++)
		if (!table_index(d->from, o->name) && o->visible == to->visible &&
		    strcmp(o->canonical, to->canonical) == 0)
			before++;
	for (size_t i = 0; i < d->from->n_indexes; i++)
		if (can_be_renamed(d, &d->from->indexes[i], to) && before-- == 0)
			return &d->from->indexes[i];
	return NULL;
}

/* Is there a new index that takes old index x over by renaming? */
static bool is_taken_over(const struct table_diff *d, const struct table_index *x)
{
	for (size_t i = 0; i < d->to->n_indexes; i++)
		if (renamed_from(d, &d->to->indexes[i]) == x)
			return true;
	return false;
}

static void drop_indexes(struct table_diff *d)
{
	for (size_t i = 0; i < d->from->n_indexes; i++) {
		const struct table_index *x = &d->from->indexes[i];
		const struct table_index *to = table_index(d->to, x->name);
		struct clause *k;

		if ((to && same_index(d, x, to)) || (!to && is_taken_over(d, x)))
			continue;
		k = diff_add(d, x->kind == INDEX_PRIMARY ? CLAUSE_DROP_PRIMARY_KEY
							 : CLAUSE_DROP_INDEX);
		k->old_index = x;
		k->index = to;
	}
}

static void rename_indexes(struct table_diff *d)
{
	for (size_t i = 0; i < d->to->n_indexes; i++) {
		const struct table_index *to = &d->to->indexes[i];
		const struct table_index *from = table_index(d->from, to->name);
		struct clause *k;

		if (from &&
		    (!same_index(d, from, to) || strcmp(from->name, to->name) == 0))
			continue;
		if (!from && !renamed_from(d, to))
			continue;
		k = diff_add(d, CLAUSE_RENAME_INDEX);
		k->old_index = from ? from : renamed_from(d, to);
		k->index = to;
	}
}

static void add_indexes(struct table_diff *d)
{
	for (size_t i = 0; i < d->to->n_indexes; i++) {
		const struct table_index *to = &d->to->indexes[i];
		const struct table_index *from = table_index(d->from, to->name);
		struct clause *k;

		if ((from && same_index(d, from, to)) || (!from && renamed_from(d, to)))
			continue;
		k = diff_add(d, to->kind == INDEX_PRIMARY ? CLAUSE_ADD_PRIMARY_KEY
							  : CLAUSE_ADD_INDEX);
		k->old_index = from;
		k->index = to;
	}
	for (size_t i = 0; i < d->to->n_indexes; i++) {
		const struct table_index *to = &d->to->indexes[i];
		const struct table_index *from = table_index(d->from, to->name);

		if (from && same_index(d, from, to) && from->visible != to->visible)
			diff_add(d, CLAUSE_INDEX_VISIBILITY)->index = to;
	}
}

/* ---- all of it -------------------------------------------------------------------- */

struct table_diff *diff_tables(TALLOC_CTX *ctx, const struct table *from,
			       const struct table *to)
{
	struct table_diff *d = mem_new(ctx, struct table_diff);

	d->from = from;
	d->to = to;
	find_recreated(d);
	diff_drop_constraints(d, CONSTRAINT_FOREIGN_KEY);
	diff_drop_constraints(d, CONSTRAINT_CHECK);
	diff_drop_constraints(d, CONSTRAINT_OTHER);
	drop_indexes(d);
	rename_indexes(d);
	drop_columns(d);
	change_columns(d);
	add_indexes(d);
	diff_add_constraints(d, CONSTRAINT_FOREIGN_KEY);
	diff_add_constraints(d, CONSTRAINT_CHECK);
	diff_add_constraints(d, CONSTRAINT_OTHER);
	diff_options(d);
	diff_partitions(d);
	return d;
}
