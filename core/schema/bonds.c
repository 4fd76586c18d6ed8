/*
 * bonds.c - what foreign keys allow; see bonds.h.
 */
#include "core/schema/bonds.h"

#include <string.h>

/* Is the column's type one that servers do not change below a foreign key? */
static bool changes_type(const struct change *c, const char *column)
{
	const struct table_column *from, *to;

	if (!c || !c->base || !c->desired)
		return false;
	from = table_column(c->base, column);
	to = table_column(c->desired, column);
	if (!from || !to)
		return false;
	if (strcmp(from->type, to->type) != 0 || from->is_unsigned != to->is_unsigned)
		return true;
	if (from->collation && to->collation)
		return strcmp(from->collation, to->collation) != 0;
	return !column_is_integer(from) && from->args && to->args &&
	       strcmp(from->args, to->args) != 0;
}

static bool changes_types(const struct change *c, const char *const *columns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (changes_type(c, columns[i]))
			return true;
	return false;
}

static bool has_name(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (same_name(names[i], name))
			return true;
	return false;
}

/* Does the parent lose what the foreign key f needs? */
static bool loses(const struct change *parent, const struct table_constraint *f)
{
	const struct table_diff *d = parent->diff;

	for (size_t i = 0; d && i < d->n; i++) {
		const struct clause *k = &d->v[i];

		if ((k->kind == CLAUSE_DROP_COLUMN &&
		     has_name(f->parent_columns, f->n_columns, k->old_column->name)) ||
		    ((k->kind == CLAUSE_DROP_INDEX ||
		      k->kind == CLAUSE_DROP_PRIMARY_KEY) &&
		     k->old_index->n_parts > 0 && k->old_index->parts[0].column &&
		     has_name(f->parent_columns, f->n_columns,
			      k->old_index->parts[0].column)) ||
		    k->kind == CLAUSE_ENGINE || k->kind == CLAUSE_PARTITION_BY)
			return true;
	}
	return changes_types(parent, f->parent_columns, f->n_columns);
}

/* Has the difference a clause of this kind for this constraint, or one of its name? */
static bool has_clause(const struct table_diff *d, enum clause_kind kind,
		       const struct table_constraint *f, bool by_name)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].kind == kind &&
		    (d->v[i].constraint == f ||
		     (by_name && !d->v[i].unnamed &&
		      same_name(d->v[i].constraint->name, f->name))))
			return true;
	return false;
}

static bool is_below_change(const struct change *c, const struct change *parent,
			    const struct table_constraint *f)
{
	return changes_types(c, f->columns, f->n_columns) ||
	       changes_types(parent, f->parent_columns, f->n_columns);
}

bool bond_partitions_come(const struct table *from, const struct table *to)
{
	return *from->partitioning == '\0' && *to->partitioning != '\0';
}

bool bond_goes_first(const struct change *c, const struct change *parent,
		     const struct table_constraint *f)
{
	if (c->diff && !has_clause(c->diff, CLAUSE_DROP_FOREIGN_KEY, f, false))
		return is_below_change(c, parent, f);
	if (c->diff && has_clause(c->diff, CLAUSE_ADD_FOREIGN_KEY, f, true))
		return true;
	if (c->diff && bond_partitions_come(c->base, c->desired))
		return true;
	return parent && loses(parent, f);
}

/* Does the index begin with the columns that f refers to? */
static bool leads_with(const struct table_index *x, const struct table_constraint *f)
{
	for (size_t i = 0; i < f->n_columns; i++)
		if (i >= x->n_parts || !x->parts[i].column ||
		    !same_name(x->parts[i].column, f->parent_columns[i]))
			return false;
	return true;
}

bool bond_is_ready(const struct change *parent, const struct table_constraint *f)
{
	const struct table *is = parent->moved, *to = parent->desired;
	bool indexed = false;

	if (!is || !to || bond_partitions_come(to, is))
		return false;
	for (size_t i = 0; i < f->n_columns; i++)
		if (!table_column(is, f->parent_columns[i]) ||
		    changes_type(parent, f->parent_columns[i]))
			return false;
	for (size_t i = 0; i < is->n_indexes; i++)
		indexed |= leads_with(&is->indexes[i], f);
	return indexed;
}

bool bond_is_added(const struct change *c, const struct change *parent,
		   const struct table_constraint *f)
{
	return !c->diff || has_clause(c->diff, CLAUSE_ADD_FOREIGN_KEY, f, false) ||
	       is_below_change(c, parent, f);
}
