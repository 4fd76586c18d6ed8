/*
 * diff_constraints.c - differences of foreign keys and CHECKs; see diff_parts.h.
 *
 * A constraint is found again by its name. Names that a server made up (t_ibfk_1) count
 * by order of creation and mean nothing, so such constraints are the same when they say
 * the same; one that is added leaves its name to the server when its number is taken.
 */
#include <string.h>

#include "core/schema/diff_parts.h"

static bool is_same(const struct table_constraint *a, const struct table_constraint *b)
{
	return a->kind == b->kind && strcmp(a->canonical, b->canonical) == 0;
}

static const struct table_constraint *of_name(const struct table *t,
					      const struct table_constraint *like)
{
	for (size_t i = 0; i < t->n_constraints; i++)
		if (t->constraints[i].kind == like->kind &&
		    same_name(t->constraints[i].name, like->name))
			return &t->constraints[i];
	return NULL;
}

/* Does it have a partner of its own name, that says the same, in the other table? */
static bool is_paired_by_name(const struct table *other, const struct table_constraint *c)
{
	const struct table_constraint *o = of_name(other, c);

	return o && is_same(o, c);
}

/* How many of t's generated constraints before `end` say what c says and have no partner
 * by name. */
static size_t count_like(const struct table *t, const struct table *other,
			 const struct table_constraint *c,
			 const struct table_constraint *end)
{
	size_t n = 0;

	for (const struct table_constraint *o = t->constraints; o < end; o++)
		if (o->generated && is_same(o, c) && !is_paired_by_name(other, o))
			n++;
	return n;
}

/* Is constraint c of `mine` in `other` too? The k-th of several equal ones is the k-th.
 */
static bool is_paired(const struct table *mine, const struct table *other,
		      const struct table_constraint *c)
{
	if (is_paired_by_name(other, c))
		return true;
	return c->generated &&
	       count_like(mine, other, c, c) <
		       count_like(other, mine, c,
				  other->constraints + other->n_constraints);
}

/* A CHECK does not outlive a column that is made anew. */
static bool is_kept(const struct table_diff *d, const struct table *mine,
		    const struct table *other, const struct table_constraint *c)
{
	return is_paired(mine, other, c) &&
	       !(c->kind == CONSTRAINT_CHECK && diff_names_recreated(d, c->definition));
}

static void drop(struct table_diff *d, const struct table_constraint *c)
{
	if (c->kind == CONSTRAINT_OTHER)
		diff_cannot(d, "a part of the table", c->name, "absent");
	else
		diff_add(d, c->kind == CONSTRAINT_CHECK ? CLAUSE_DROP_CHECK
							: CLAUSE_DROP_FOREIGN_KEY)
			->constraint = c;
}

/* May it be added under its name? Both servers drop and add a CHECK at once, but no
 * foreign key: steps.c drops that before. */
static bool is_name_free(const struct table_diff *d, const struct table_constraint *c)
{
	const struct table_constraint *old = of_name(d->from, c);

	return !old || (c->kind == CONSTRAINT_CHECK && !is_kept(d, d->from, d->to, old));
}

static void put(struct table_diff *d, const struct table_constraint *c)
{
	bool is_free = is_name_free(d, c);
	struct clause *k;

	if (c->kind == CONSTRAINT_OTHER) {
		diff_cannot(d, "a part of the table", "absent", c->name);
		return;
	}
	k = diff_add(d, c->kind == CONSTRAINT_CHECK ? CLAUSE_ADD_CHECK
						    : CLAUSE_ADD_FOREIGN_KEY);
	k->constraint = c;
	k->unnamed = !is_free && c->generated;
}

void diff_drop_constraints(struct table_diff *d, enum constraint_kind kind)
{
	for (size_t i = 0; i < d->from->n_constraints; i++) {
		const struct table_constraint *c = &d->from->constraints[i];

		if (c->kind == kind && !is_kept(d, d->from, d->to, c))
			drop(d, c);
	}
}

void diff_add_constraints(struct table_diff *d, enum constraint_kind kind)
{
	for (size_t i = 0; i < d->to->n_constraints; i++) {
		const struct table_constraint *c = &d->to->constraints[i];

		if (c->kind == kind && !is_kept(d, d->to, d->from, c))
			put(d, c);
	}
}
