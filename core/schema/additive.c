/*
 * additive.c - which clauses add, and which are left out; see additive.h.
 *
 * One rule a kind of clause. A kind without a rule is left out: a new kind has to be
 * thought about before it touches our own tables.
 */
#include "core/schema/additive.h"

#include <ctype.h>
#include <string.h>

#include "core/schema/ddl.h"
#include "core/schema/unsafe.h"

/* May this clause be executed? It may be made harmless first. */
typedef bool rule_fn(const struct table_diff *d, struct clause *k);

static bool always(const struct table_diff *d, struct clause *k)
{
	(void)d;
	(void)k;
	return true;
}

/* A generated column that is made anew is computed again from what remains. */
static bool holds_no_data(const struct table_diff *d, struct clause *k)
{
	const struct table_column *from = table_column(d->from, k->old_column->name);

	return k->recreated && from->kind != COLUMN_BASE &&
	       k->column->kind != COLUMN_BASE;
}

static bool adds_column(const struct table_diff *d, struct clause *k)
{
	const struct table_column *from = table_column(d->from, k->column->name);

	return !from || (from->kind != COLUMN_BASE && k->column->kind != COLUMN_BASE);
}

/* Only what makes it wider; it stays where it is, because our statements name columns. */
static bool widens(const struct table_diff *d, struct clause *k)
{
	struct table_diff one = { .from = d->from, .to = d->to, .v = k, .n = 1 };
	TALLOC_CTX *tmp;
	bool safe;

	if (strcmp(k->old_column->canonical, k->column->canonical) == 0)
		return false;
	tmp = mem_ctx(NULL, "one clause");
	/* A stored column of another expression is computed anew: nothing is lost. */
	safe = (k->old_column->kind == COLUMN_STORED &&
		k->column->kind == COLUMN_STORED) ||
	       *unsafe_reasons(tmp, &one) == '\0';
	talloc_free(tmp);
	k->positioned = false;
	return safe;
}

/* The other half, which adds it again, is a clause of the same statement. */
static bool replaces_index(const struct table_diff *d, struct clause *k)
{
	(void)d;
	return k->index != NULL;
}

static bool replaces_check(const struct table_diff *d, struct clause *k)
{
	for (size_t i = 0; i < d->to->n_constraints; i++)
		if (d->to->constraints[i].kind == CONSTRAINT_CHECK &&
		    same_name(d->to->constraints[i].name, k->constraint->name))
			return true;
	return false;
}

/* The index of the other name may be another version's: ours is added beside it. */
static bool adds_index(const struct table_diff *d, struct clause *k)
{
	(void)d;
	if (same_name(k->old_index->name, k->index->name))
		return false;
	k->kind = CLAUSE_ADD_INDEX;
	k->old_index = NULL;
	return true;
}

static bool adds_key(const struct table_diff *d, struct clause *k)
{
	(void)k;
	return !table_primary_key(d->from);
}

/* Not one that another version has under this name. */
static bool adds_foreign_key(const struct table_diff *d, struct clause *k)
{
	for (size_t i = 0; i < d->from->n_constraints; i++)
		if (d->from->constraints[i].kind == CONSTRAINT_FOREIGN_KEY &&
		    same_name(d->from->constraints[i].name, k->constraint->name))
			return false;
	return true;
}

static rule_fn *const rules[N_CLAUSE_KINDS] = {
	[CLAUSE_DROP_CHECK] = replaces_check,	     [CLAUSE_DROP_INDEX] = replaces_index,
	[CLAUSE_RENAME_INDEX] = adds_index,	     [CLAUSE_DROP_COLUMN] = holds_no_data,
	[CLAUSE_ADD_COLUMN] = adds_column,	     [CLAUSE_MODIFY_COLUMN] = widens,
	[CLAUSE_ADD_PRIMARY_KEY] = adds_key,	     [CLAUSE_ADD_INDEX] = always,
	[CLAUSE_ADD_FOREIGN_KEY] = adds_foreign_key, [CLAUSE_ADD_CHECK] = always,
};

/* ---- what is left out ------------------------------------------------------------- */

static const char *const kind_names[] = {
#define X(name) [CLAUSE_##name] = #name,
	CLAUSE_KINDS(X)
#undef X
};

static struct schema_refusal *append(struct refusal_list *list, const char *namespace,
				     const char *table)
{
	list->v = mem_grow(list->ctx, list->v, struct schema_refusal, list->n + 1);
	list->v[list->n] =
		(struct schema_refusal){ .namespace = mem_strdup(list->ctx, namespace),
					 .table = mem_strdup(list->ctx, table) };
	return &list->v[list->n++];
}

static void refuse(const struct table_diff *d, struct clause *k, const char *namespace,
		   enum db_flavor flavor, struct refusal_list *list)
{
	struct table_diff one = { .from = d->from, .to = d->to, .v = k, .n = 1 };
	struct schema_refusal *r = append(list, namespace, d->from->name);
	char *name = mem_strdup(list->ctx, kind_names[k->kind]);

	for (char *c = name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	r->operation = name;
	r->statement = ddl_alter(list->ctx, &one, flavor);
}

void additive_filter(struct table_diff *d, const char *namespace, enum db_flavor flavor,
		     struct refusal_list *list)
{
	size_t kept = 0, first = list ? list->n : 0;

	for (size_t i = 0; i < d->n; i++) {
		struct clause k = d->v[i];

		if (rules[k.kind] && rules[k.kind](d, &k))
			d->v[kept++] = k;
		else if (list)
			refuse(d, &d->v[i], namespace, flavor, list);
	}
	d->n = kept;
	for (size_t i = first; list && i < list->n; i++)
		list->v[i].scope = kept > 0 ? "split" : "whole";
}

void additive_keep_table(struct refusal_list *list, const char *namespace,
			 const char *table)
{
	struct schema_refusal *r = append(list, namespace, table);

	r->operation = "drop_table";
	r->statement = ddl_drop(list->ctx, table);
	r->scope = "whole";
}
