/*
 * unsafe.c - the classes of changes, as a table; see unsafe.h.
 *
 * What can lose or alter stored values, what can fail on the data that is there, what can
 * make running queries slow, and what lets the application's statements fail. A check
 * looks at one clause of the kind it names.
 */
#include "core/schema/unsafe.h"

#include <string.h>
#include <strings.h>

#include "core/schema/types.h"

struct check {
	enum clause_kind kind;
	enum rule_id rule;
	/* Appends its message and returns true when the clause is of this class. */
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

static bool loses(const struct clause *k, enum type_loss loss, struct buf *why)
{
	const char *reason;

	if (types_loss(why->ctx, k->old_column, k->column, &reason) != loss)
		return false;
	buf_printf(why, "changes the type of column `%s` from %.100s to %.100s: %s",
		   k->column->name, k->old_column->definition, k->column->definition,
		   reason);
	return true;
}

static bool loses_values(const struct table_diff *d, const struct clause *k,
			 struct buf *why)
{
	(void)d;
	return loses(k, LOSS_VALUES, why);
}

static bool loses_characters(const struct table_diff *d, const struct clause *k,
			     struct buf *why)
{
	(void)d;
	return loses(k, LOSS_CHARACTERS, why);
}

static bool loses_elements(const struct table_diff *d, const struct clause *k,
			   struct buf *why)
{
	(void)d;
	return loses(k, LOSS_ELEMENTS, why);
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

/* What stands in the brackets after `word`: of GENERATED ALWAYS AS (…), CHECK (…). */
static char *part_in_brackets(TALLOC_CTX *ctx, const struct table_column *c,
			      const char *word)
{
	struct tokens t;
	struct buf b;

	buf_init(&b, ctx);
	if (tokenize(ctx, c->definition, &t, NULL) < 0)
		return b.data;
	for (size_t i = 0; i < t.n; i++)
		if (t.v[i].depth == 0 && token_is(&t.v[i], word) &&
		    token_punct(&t.v[i + 1], '(')) {
			tokens_canonical(&b, &t, i + 2, tokens_skip(&t, i + 1) - 1);
			break;
		}
	return b.data;
}

static bool recomputes(const struct table_diff *d, const struct clause *k,
		       struct buf *why)
{
	(void)d;
	if (k->old_column->kind != COLUMN_STORED || k->column->kind != COLUMN_STORED ||
	    strcmp(part_in_brackets(why->ctx, k->old_column, "AS"),
		   part_in_brackets(why->ctx, k->column, "AS")) == 0)
		return false;
	buf_printf(why,
		   "changes the expression of column `%s`: every row is computed anew",
		   k->column->name);
	return true;
}

/* Strict servers refuse an INSERT that leaves the column out. */
static bool is_required(const struct table_column *c)
{
	return c->not_null && !c->default_value && !c->auto_increment &&
	       c->kind == COLUMN_BASE;
}

static bool adds_required(const struct table_diff *d, const struct clause *k,
			  struct buf *why)
{
	(void)d;
	if (k->recreated || !is_required(k->column))
		return false;
	buf_printf(why,
		   "adds column `%s`, NOT NULL without a default: INSERT has to name it",
		   k->column->name);
	return true;
}

static bool drops_default(const struct table_diff *d, const struct clause *k,
			  struct buf *why)
{
	const char *was = k->old_column->default_value;

	(void)d;
	if (!was || strcasecmp(was, "NULL") == 0 || !is_required(k->column))
		return false;
	buf_printf(why, "drops the default of column `%s`: INSERT has to name it",
		   k->column->name);
	return true;
}

static bool drops_auto_increment(const struct table_diff *d, const struct clause *k,
				 struct buf *why)
{
	(void)d;
	if (!k->old_column->auto_increment || k->column->auto_increment)
		return false;
	buf_printf(why, "column `%s` no longer numbers rows: INSERT has to give a value",
		   k->column->name);
	return true;
}

#define SCARCE_PERCENT 80

/* Rows that exist have used up most of what the new type can count, but not of the old.
 */
static bool exhausts_counter(const struct table_diff *d, const struct clause *k,
			     struct buf *why)
{
	uint64_t was = types_greatest_integer(k->old_column) / 100 * SCARCE_PERCENT;
	uint64_t is = types_greatest_integer(k->column) / 100 * SCARCE_PERCENT;

	if (!k->column->auto_increment || is == 0 || d->from->counter < is ||
	    (was > 0 && d->from->counter >= was))
		return false;
	buf_printf(why,
		   "column `%s` numbers rows, is at %ju already, and %s%s ends at %ju",
		   k->column->name, (uintmax_t)d->from->counter, k->column->type,
		   k->column->is_unsigned ? " unsigned" : "",
		   (uintmax_t)types_greatest_integer(k->column));
	return true;
}

/* A finer collation with the same padding tells apart all that the old one does. */
static bool is_finer(const struct table_column *from, const struct table_column *to)
{
	size_t n = strlen(to->collation);

	if (!from->charset || !to->charset || strcmp(from->charset, to->charset) != 0 ||
	    n < 4 || strcmp(to->collation + n - 4, "_bin") != 0)
		return false;
	return strstr(to->collation, "0900") || strstr(to->collation, "nopad") ||
	       !(strstr(from->collation, "0900") || strstr(from->collation, "nopad"));
}

static bool unites_values(const struct table_diff *d, const struct clause *k,
			  struct buf *why)
{
	const char *from = k->old_column->collation, *to = k->column->collation;

	if (!from || !to || strcmp(from, to) == 0 || is_finer(k->old_column, k->column))
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

static bool renames_column(const struct table_diff *d, const struct clause *k,
			   struct buf *why)
{
	(void)d;
	if (!k->old_column->renamed_from)
		return false;
	buf_printf(
		why,
		"renames column `%s` to `%s`: statements that use the old name fail from "
		"the moment of the change",
		k->old_column->renamed_from, k->column->name);
	return true;
}

/* ---- indexes ---------------------------------------------------------------------- */

static bool begins_with(const struct table_index *x, const struct table_index *beginning)
{
	if (x->n_parts < beginning->n_parts)
		return false;
	for (size_t i = 0; i < beginning->n_parts; i++)
		if (!same_name(beginning->parts[i].text, x->parts[i].text))
			return false;
	return true;
}

/* Does `to` serve every query that `from` served? */
static bool extends(const struct table_index *from, const struct table_index *to)
{
	return from->kind == to->kind && to->visible && begins_with(to, from);
}

/* A plain index is not missed while another one begins with it, nor a unique one while
 * another is the same. */
static bool is_spare(const struct table_diff *d, const struct table_index *x)
{
	for (size_t i = 0; x->kind <= INDEX_PLAIN && i < d->to->n_indexes; i++) {
		const struct table_index *y = &d->to->indexes[i];

		if (y->kind <= x->kind && y->visible && begins_with(y, x) &&
		    (x->kind == INDEX_PLAIN || y->n_parts == x->n_parts))
			return true;
	}
	return false;
}

static bool drops_index(const struct table_diff *d, const struct clause *k,
			struct buf *why)
{
	if (!k->old_index->visible || (k->index && extends(k->old_index, k->index)) ||
	    is_spare(d, k->old_index))
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

/* ---- constraints ------------------------------------------------------------------ */

static bool has_constraint(const struct table *t, const struct table_constraint *like)
{
	for (size_t i = 0; i < t->n_constraints; i++)
		if (t->constraints[i].kind == like->kind &&
		    same_name(t->constraints[i].name, like->name))
			return true;
	return false;
}

static bool mentions_old_column(const struct table_diff *d,
				const struct table_constraint *c)
{
	struct tokens t;
	bool found = false;

	if (tokenize(NULL, c->definition, &t, NULL) < 0)
		return true;
	for (size_t i = 0; i < t.n && !found; i++) {
		char *name = token_name(t.v, &t.v[i]);

		found = t.v[i].depth > 0 && name && table_column(d->from, name);
	}
	talloc_free(t.v);
	return found;
}

static bool adds_check(const struct table_diff *d, const struct clause *k,
		       struct buf *why)
{
	if (strstr(k->constraint->definition, "NOT ENFORCED") ||
	    !mentions_old_column(d, k->constraint))
		return false;
	buf_printf(why, "%s CHECK `%s`: it fails where a row violates it",
		   has_constraint(d->from, k->constraint) ? "changes" : "adds",
		   k->constraint->name);
	return true;
}

static bool drops_check(const struct table_diff *d, const struct clause *k,
			struct buf *why)
{
	if (has_constraint(d->to, k->constraint))
		return false;
	buf_printf(why, "drops CHECK `%s`: rows that were refused will be accepted",
		   k->constraint->name);
	return true;
}

/* MariaDB keeps a column's CHECK with the column. */
static bool adds_column_check(const struct table_diff *d, const struct clause *k,
			      struct buf *why)
{
	const char *from = part_in_brackets(why->ctx, k->old_column, "CHECK");
	const char *to = part_in_brackets(why->ctx, k->column, "CHECK");

	(void)d;
	if (!*to || strcmp(from, to) == 0)
		return false;
	buf_printf(why, "%s the CHECK of column `%s`: it fails where a row violates it",
		   *from ? "changes" : "adds", k->column->name);
	return true;
}

static bool drops_column_check(const struct table_diff *d, const struct clause *k,
			       struct buf *why)
{
	(void)d;
	if (!*part_in_brackets(why->ctx, k->old_column, "CHECK") ||
	    *part_in_brackets(why->ctx, k->column, "CHECK"))
		return false;
	buf_printf(why,
		   "drops the CHECK of column `%s`: rows that were refused will be "
		   "accepted",
		   k->column->name);
	return true;
}

static bool adds_foreign_key(const struct table_diff *d, const struct clause *k,
			     struct buf *why)
{
	(void)d;
	buf_printf(why, "adds foreign key `%s`: it fails where a row has no parent",
		   k->constraint->name);
	return true;
}

static bool drops_foreign_key(const struct table_diff *d, const struct clause *k,
			      struct buf *why)
{
	if (has_constraint(d->to, k->constraint))
		return false;
	buf_printf(why, "drops foreign key `%s`: rows without a parent will be accepted",
		   k->constraint->name);
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

static bool repartitions(const struct table_diff *d, const struct clause *k,
			 struct buf *why)
{
	static const char range[] = "PARTITION BY RANGE", list[] = "PARTITION BY LIST";

	(void)k;
	if (strncasecmp(d->to->partitioning, range, strlen(range)) != 0 &&
	    strncasecmp(d->to->partitioning, list, strlen(list)) != 0)
		return false;
	buf_str(why, "partitions the table anew: it fails where a row has a place in no "
		     "partition");
	return true;
}

static bool drops_partitions(const struct table_diff *d, const struct clause *k,
			     struct buf *why)
{
	(void)d;
	buf_printf(why, "drops partitions with all their rows: %.500s", k->value);
	return true;
}

static const struct check checks[] = {
	{ CLAUSE_DROP_COLUMN, RULE_drop_column, drops_column },
	{ CLAUSE_ADD_COLUMN, RULE_required_column, adds_required },
	{ CLAUSE_RENAME_COLUMN, RULE_rename_column, renames_column },
	{ CLAUSE_MODIFY_COLUMN, RULE_rename_column, renames_column },
	{ CLAUSE_MODIFY_COLUMN, RULE_lossy_type, loses_values },
	{ CLAUSE_MODIFY_COLUMN, RULE_charset_narrowing, loses_characters },
	{ CLAUSE_MODIFY_COLUMN, RULE_reorder_values, loses_elements },
	{ CLAUSE_MODIFY_COLUMN, RULE_becomes_generated, replaces_data },
	{ CLAUSE_MODIFY_COLUMN, RULE_recompute_values, recomputes },
	{ CLAUSE_MODIFY_COLUMN, RULE_not_null, forbids_null },
	{ CLAUSE_MODIFY_COLUMN, RULE_drop_default, drops_default },
	{ CLAUSE_MODIFY_COLUMN, RULE_drop_auto_increment, drops_auto_increment },
	{ CLAUSE_MODIFY_COLUMN, RULE_counter_capacity, exhausts_counter },
	{ CLAUSE_MODIFY_COLUMN, RULE_unite_values, unites_values },
	{ CLAUSE_MODIFY_COLUMN, RULE_add_check, adds_column_check },
	{ CLAUSE_MODIFY_COLUMN, RULE_drop_check, drops_column_check },
	{ CLAUSE_DROP_PRIMARY_KEY, RULE_change_primary_key, drops_primary_key },
	{ CLAUSE_ADD_PRIMARY_KEY, RULE_add_primary_key, adds_unique },
	{ CLAUSE_DROP_INDEX, RULE_drop_index, drops_index },
	{ CLAUSE_ADD_INDEX, RULE_add_unique, adds_unique },
	{ CLAUSE_ADD_CHECK, RULE_add_check, adds_check },
	{ CLAUSE_DROP_CHECK, RULE_drop_check, drops_check },
	{ CLAUSE_ADD_FOREIGN_KEY, RULE_add_foreign_key, adds_foreign_key },
	{ CLAUSE_DROP_FOREIGN_KEY, RULE_drop_foreign_key, drops_foreign_key },
	{ CLAUSE_ENGINE, RULE_leave_innodb, leaves_innodb },
	{ CLAUSE_DROP_PARTITIONS, RULE_drop_partition, drops_partitions },
	{ CLAUSE_PARTITION_BY, RULE_repartition, repartitions },
};

static void report(struct findings *list, enum rule_id rule, const struct clause *k,
		   const char *why)
{
	if (k->column || k->old_column)
		finding_add(list, rule, OF_COLUMN,
			    (k->column ? k->column : k->old_column)->name, "%s", why);
	else if (k->index || k->old_index)
		finding_add(list, rule, OF_INDEX,
			    (k->index ? k->index : k->old_index)->name, "%s", why);
	else
		finding_add(list, rule, OF_TABLE, "", "%s", why);
}

void unsafe_check(struct findings *list, const struct table_diff *d)
{
	struct buf why;

	buf_init(&why, list->ctx);
	for (size_t i = 0; i < d->n; i++)
		for (size_t c = 0; c < ARRAY_SIZE(checks); c++) {
			buf_clear(&why);
			if (checks[c].kind == d->v[i].kind &&
			    checks[c].applies(d, &d->v[i], &why))
				report(list, checks[c].rule, &d->v[i], why.data);
		}
}

char *unsafe_reasons(TALLOC_CTX *ctx, const struct table_diff *d)
{
	struct findings list = { .ctx = mem_ctx(NULL, "unsafe") };
	struct buf all;

	buf_init(&all, ctx);
	unsafe_check(&list, d);
	for (size_t i = 0; i < list.n; i++)
		if (lint_rules[list.v[i].rule].level == LEVEL_ERROR)
			buf_printf(&all, "%s%s", all.len > 0 ? "; " : "",
				   list.v[i].message);
	talloc_free(list.ctx);
	return all.data;
}

bool unsafe_has(enum rule_id rule)
{
	for (size_t c = 0; c < ARRAY_SIZE(checks); c++)
		if (checks[c].rule == rule)
			return true;
	/* No clauses: lint.c's own. */
	return rule == RULE_drop_table || rule == RULE_rename_table;
}
