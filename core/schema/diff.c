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

#include "core/schema/moves.h"
#include "core/schema/options.h"

static struct clause *add(struct table_diff *d, enum clause_kind kind)
{
	d->v = mem_grow(d, d->v, struct clause, d->n + 1);
	d->v[d->n] = (struct clause){ .kind = kind };
	return &d->v[d->n++];
}

static void cannot(struct table_diff *d, const char *what, const char *from,
		   const char *to)
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

/* The old column that becomes `to` in place, or NULL. */
static const struct table_column *survivor(const struct table_diff *d,
					   const struct table_column *to)
{
	const struct table_column *from = table_column(d->from, to->name);

	return from && !must_recreate(from, to) ? from : NULL;
}

static bool is_recreated(const struct table_diff *d, const char *name)
{
	const struct table_column *from = table_column(d->from, name);
	const struct table_column *to = table_column(d->to, name);

	return from && to && must_recreate(from, to);
}

static void drop_columns(struct table_diff *d)
{
	for (size_t i = 0; i < d->from->n_columns; i++) {
		const struct table_column *c = &d->from->columns[i];
		const struct table_column *to = table_column(d->to, c->name);
		struct clause *k;

		if (to && !must_recreate(c, to))
			continue;
		k = add(d, CLAUSE_DROP_COLUMN);
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
		changed[n] = is_changed(from, &d->to->columns[i]);
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

		if (from && stays[i] && !is_changed(from, to))
			continue;
		k = add(d, from ? CLAUSE_MODIFY_COLUMN : CLAUSE_ADD_COLUMN);
		k->old_column = from;
		k->column = to;
		k->recreated = !from && is_recreated(d, to->name);
		k->positioned = from ? !stays[i] : i < last;
		k->after = i > 0 ? d->to->columns[i - 1].name : NULL;
	}
	talloc_free(stays);
}

/* ---- indexes ---------------------------------------------------------------------- */

static bool needs_rebuild(const struct table_diff *d, const struct table_index *x)
{
	for (size_t i = 0; i < x->n_parts; i++)
		if (x->parts[i].column && is_recreated(d, x->parts[i].column))
			return true;
	return false;
}

static bool same_index(const struct table_diff *d, const struct table_index *from,
		       const struct table_index *to)
{
	return strcmp(from->canonical, to->canonical) == 0 && !needs_rebuild(d, from);
}

/* An old index of another, vanishing name that is exactly `to`. */
static const struct table_index *renamed_from(const struct table_diff *d,
					      const struct table_index *to)
{
	if (to->kind == INDEX_PRIMARY || table_index(d->from, to->name))
		return NULL;
	for (size_t i = 0; i < d->from->n_indexes; i++) {
		const struct table_index *x = &d->from->indexes[i];

		if (!table_index(d->to, x->name) && x->visible == to->visible &&
		    same_index(d, x, to))
			return x;
	}
	return NULL;
}

/* The new index that takes old index x over by renaming; each is taken once. */
static const struct table_index *renamed_to(const struct table_diff *d,
					    const struct table_index *x)
{
	for (size_t i = 0; i < d->to->n_indexes; i++)
		if (renamed_from(d, &d->to->indexes[i]) == x)
			return &d->to->indexes[i];
	return NULL;
}

static bool takes_over(const struct table_diff *d, const struct table_index *to)
{
	const struct table_index *from = renamed_from(d, to);

	return from && renamed_to(d, from) == to;
}

static void drop_indexes(struct table_diff *d)
{
	for (size_t i = 0; i < d->from->n_indexes; i++) {
		const struct table_index *x = &d->from->indexes[i];
		const struct table_index *to = table_index(d->to, x->name);
		struct clause *k;

		if ((to && same_index(d, x, to)) || (!to && renamed_to(d, x)))
			continue;
		k = add(d, x->kind == INDEX_PRIMARY ? CLAUSE_DROP_PRIMARY_KEY
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
		if (!from && !takes_over(d, to))
			continue;
		k = add(d, CLAUSE_RENAME_INDEX);
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

		if ((from && same_index(d, from, to)) || (!from && takes_over(d, to)))
			continue;
		k = add(d, to->kind == INDEX_PRIMARY ? CLAUSE_ADD_PRIMARY_KEY
						     : CLAUSE_ADD_INDEX);
		k->old_index = from;
		k->index = to;
	}
	for (size_t i = 0; i < d->to->n_indexes; i++) {
		const struct table_index *to = &d->to->indexes[i];
		const struct table_index *from = table_index(d->from, to->name);

		if (from && same_index(d, from, to) && from->visible != to->visible)
			add(d, CLAUSE_INDEX_VISIBILITY)->index = to;
	}
}

/* ---- constraints ------------------------------------------------------------------ */

static const struct table_constraint *find_constraint(const struct table *t,
						      const struct table_constraint *like)
{
	for (size_t i = 0; i < t->n_constraints; i++)
		if (t->constraints[i].kind == like->kind &&
		    same_name(t->constraints[i].name, like->name))
			return &t->constraints[i];
	return NULL;
}

static void cannot_replace(struct table_diff *d, const struct table_constraint *c)
{
	if (!d->inexpressible)
		d->inexpressible = mem_printf(
			d,
			"foreign key `%s` would be dropped and added under the same "
			"name, which servers refuse in one statement; give the changed "
			"one a new name",
			c->name);
}

/* One clause for each constraint of `mine` that `other` has not, or has differently. */
static void constraints(struct table_diff *d, const struct table *mine,
			const struct table *other, enum constraint_kind kind,
			enum clause_kind clause)
{
	for (size_t i = 0; i < mine->n_constraints; i++) {
		const struct table_constraint *c = &mine->constraints[i], *o;

		if (c->kind != kind)
			continue;
		o = find_constraint(other, c);
		if (o && strcmp(c->canonical, o->canonical) == 0)
			continue;
		if (o && kind == CONSTRAINT_FOREIGN_KEY)
			cannot_replace(d, c);
		else if (kind == CONSTRAINT_OTHER)
			cannot(d, "a part of the table",
			       mine == d->from ? c->name : "absent",
			       mine == d->from ? "absent" : c->name);
		else
			add(d, clause)->constraint = c;
	}
}

/* ---- options ---------------------------------------------------------------------- */

static void setting(struct table_diff *d, const char *name, const char *value)
{
	struct clause *k = add(d, CLAUSE_SETTING);

	k->name = name;
	k->value = value;
}

static void settings(struct table_diff *d)
{
	for (size_t i = 0; i < d->to->n_settings; i++) {
		const struct table_setting *s = &d->to->settings[i];
		const char *old = table_setting(d->from, s->name);
		const struct table_option *o = option_by_name(s->name);

		if (strcmp(s->name, "AUTO_INCREMENT") == 0 ||
		    (old && !strcmp(old, s->value)))
			continue;
		if (!o || o->refused)
			cannot(d, s->name, old ? old : "absent", s->value);
		else
			setting(d, s->name, s->value);
	}
	for (size_t i = 0; i < d->from->n_settings; i++) {
		const struct table_setting *s = &d->from->settings[i];
		const struct table_option *o = option_by_name(s->name);

		if (strcmp(s->name, "AUTO_INCREMENT") == 0 ||
		    table_setting(d->to, s->name))
			continue;
		if (!o || !o->reset)
			cannot(d, s->name, s->value, "absent");
		else
			setting(d, s->name, o->reset);
	}
}

/* Two tables of which neither names a row format differ only in the server's default. */
static void row_format(struct table_diff *d)
{
	const char *from = d->from->row_format_printed, *to = d->to->row_format_printed;

	if (!*from && !*to)
		return;
	if (strcasecmp(d->from->row_format, d->to->row_format) == 0)
		return;
	add(d, CLAUSE_ROW_FORMAT)->value = *to ? to : "DEFAULT";
}

static void options(struct table_diff *d)
{
	if (strcasecmp(d->from->engine, d->to->engine) != 0)
		add(d, CLAUSE_ENGINE)->value = d->to->engine;
	if (strcasecmp(d->from->collation, d->to->collation) != 0)
		add(d, CLAUSE_COLLATION);
	row_format(d);
	settings(d);
}

/* ---- partitions ------------------------------------------------------------------- */

/* Index of the bracket that opens the list of partitions, or t->n. */
static size_t partition_list(const struct tokens *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (token_punct(&t->v[i], '(') && t->v[i].depth == 0 &&
		    token_is(&t->v[i + 1], "PARTITION"))
			return i;
	return t->n;
}

/*
 * The partitions that `to` has behind all those of `from`, when that is the only
 * difference; else NULL.
 */
static char *appended_partitions(TALLOC_CTX *ctx, const struct tokens *from,
				 const struct tokens *to)
{
	size_t open = partition_list(from), comma = from->n - 1;

	/* Everything up to the bracket that closes the old list must be the same. */
	if (open == from->n || partition_list(to) != open || to->n <= from->n)
		return NULL;
	for (size_t i = 0; i < comma; i++)
		if (from->v[i].len != to->v[i].len ||
		    memcmp(from->v[i].text, to->v[i].text, to->v[i].len) != 0)
			return NULL;
	if (!token_punct(&to->v[comma], ',') || to->v[comma].depth != 1)
		return NULL;
	return tokens_text(ctx, to, comma + 1, to->n - 1);
}

static void partitions(struct table_diff *d)
{
	const char *from = d->from->partitioning, *to = d->to->partitioning;
	struct tokens a, b;
	char *more = NULL;

	if (strcmp(from, to) == 0)
		return;
	if (!*to) {
		add(d, CLAUSE_REMOVE_PARTITIONING);
		return;
	}
	if (d->n == 0 && tokenize(d, from, &a, NULL) == 0 &&
	    tokenize(d, to, &b, NULL) == 0 && a.n > 0)
		more = appended_partitions(d, &a, &b);
	add(d, more ? CLAUSE_ADD_PARTITIONS : CLAUSE_PARTITION_BY)->value =
		more ? more : to;
}

/* ---- all of it -------------------------------------------------------------------- */

struct table_diff *diff_tables(TALLOC_CTX *ctx, const struct table *from,
			       const struct table *to)
{
	struct table_diff *d = mem_new(ctx, struct table_diff);

	d->from = from;
	d->to = to;
	constraints(d, from, to, CONSTRAINT_FOREIGN_KEY, CLAUSE_DROP_FOREIGN_KEY);
	constraints(d, from, to, CONSTRAINT_CHECK, CLAUSE_DROP_CHECK);
	drop_indexes(d);
	rename_indexes(d);
	drop_columns(d);
	change_columns(d);
	add_indexes(d);
	constraints(d, to, from, CONSTRAINT_FOREIGN_KEY, CLAUSE_ADD_FOREIGN_KEY);
	constraints(d, to, from, CONSTRAINT_CHECK, CLAUSE_ADD_CHECK);
	constraints(d, from, to, CONSTRAINT_OTHER, N_CLAUSE_KINDS);
	constraints(d, to, from, CONSTRAINT_OTHER, N_CLAUSE_KINDS);
	options(d);
	partitions(d);
	return d;
}
