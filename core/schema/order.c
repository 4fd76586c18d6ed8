/*
 * order.c - order tables by their foreign keys; see order.h.
 */
#include "core/schema/order.h"

bool table_refers_to(const struct table *child, const char *parent)
{
	for (size_t i = 0; i < child->n_constraints; i++) {
		const struct table_constraint *c = &child->constraints[i];

		if (c->kind == CONSTRAINT_FOREIGN_KEY && !c->parent_schema &&
		    same_name(c->parent, parent))
			return true;
	}
	return false;
}

const char *table_refers_elsewhere(const struct table *t)
{
	for (size_t i = 0; i < t->n_constraints; i++)
		if (t->constraints[i].parent_schema)
			return t->constraints[i].parent_schema;
	return NULL;
}

static bool has_foreign_key(const struct table *t)
{
	for (size_t i = 0; i < t->n_constraints; i++)
		if (t->constraints[i].kind == CONSTRAINT_FOREIGN_KEY)
			return true;
	return false;
}

/* Is everything that t refers to outside v[from, n), but for t itself? */
static bool is_ready(const struct table **v, size_t from, size_t n, const struct table *t)
{
	if (!has_foreign_key(t))
		return true;
	for (size_t i = from; i < n; i++)
		if (v[i] != t && table_refers_to(t, v[i]->name))
			return false;
	return true;
}

const struct table *order_by_reference(const struct table **v, size_t n)
{
	for (size_t done = 0; done < n; done++) {
		const struct table *next;
		size_t i = done;

		while (i < n && !is_ready(v, done, n, v[i]))
			i++;
		if (i == n)
			return v[done];
		next = v[i];
		for (; i > done; i--)
			v[i] = v[i - 1];
		v[done] = next;
	}
	return NULL;
}
