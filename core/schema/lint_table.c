/*
 * lint_table.c - the rules about a table, each as a check; see lint_table.h.
 *
 * A check sees one table and never the live one beside it: what is new is lint.c's
 * matter.
 */
#include "core/schema/lint_table.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/schema/types.h"
#include "core/schema/words.h"

#define MANY_INDEXES	   16
#define WIDE_PART_BYTES	   767 /* the longest that row formats before DYNAMIC can index */
#define WIDE_PRIMARY_BYTES 64

typedef void check_fn(struct findings *list, enum rule_id rule, const struct table *t);

static bool is_type(const struct table_column *c, const char *const *types)
{
	for (; *types; types++)
		if (strcmp(c->type, *types) == 0)
			return true;
	return false;
}

static bool is_float(const struct table_column *c)
{
	static const char *const types[] = { "float", "double", NULL };

	return is_type(c, types);
}

static const struct table_column *part_column(const struct table *t,
					      const struct index_part *part)
{
	return part->column ? table_column(t, part->column) : NULL;
}

/* ---- keys -----------------------------------------------------------------------------
 */

static void no_primary_key(struct findings *list, enum rule_id rule,
			   const struct table *t)
{
	if (!table_primary_key(t))
		finding_add(list, rule, OF_TABLE, t->name,
			    "table `%s` has no primary key: its rows cannot be told "
			    "apart, and online changes and replication need that",
			    t->name);
}

static void primary_key_type(struct findings *list, enum rule_id rule,
			     const struct table *t)
{
	static const char *const inexact[] = { "float", "double", "bit", NULL };
	const struct table_index *pk = table_primary_key(t);

	for (size_t i = 0; pk && i < pk->n_parts; i++) {
		const struct table_column *c = part_column(t, &pk->parts[i]);

		if (c && is_type(c, inexact))
			finding_add(list, rule, OF_COLUMN, c->name,
				    "column `%s` of the primary key is of type %s, which "
				    "is not compared exactly by every client",
				    c->name, c->type);
	}
}

/* The most bytes that a part of an index takes. */
static uint64_t part_bytes(const struct table *t, const struct index_part *part)
{
	const struct table_column *c = part_column(t, part);
	const char *prefix = strrchr(part->text, '(');

	if (!c)
		return 0;
	if (part->text[0] == '`' && prefix && prefix > part->text + strlen(c->name))
		return strtoull(prefix + 1, NULL, 10) * types_character_bytes(c);
	return types_most_bytes(c);
}

static void wide_primary_key(struct findings *list, enum rule_id rule,
			     const struct table *t)
{
	const struct table_index *pk = table_primary_key(t);
	uint64_t bytes = 0;

	for (size_t i = 0; pk && i < pk->n_parts; i++)
		bytes += part_bytes(t, &pk->parts[i]);
	if (bytes > WIDE_PRIMARY_BYTES)
		finding_add(list, rule, OF_TABLE, t->name,
			    "the primary key of table `%s` can be %ju bytes long, which "
			    "every other index carries along",
			    t->name, (uintmax_t)bytes);
}

static void foreign_key(struct findings *list, enum rule_id rule, const struct table *t)
{
	for (size_t i = 0; i < t->n_constraints; i++)
		if (t->constraints[i].kind == CONSTRAINT_FOREIGN_KEY)
			finding_add(
				list, rule, OF_CONSTRAINT, t->constraints[i].name,
				"foreign key `%s` ties changes of table `%s` to table "
				"`%s`: online changes of either are not possible",
				t->constraints[i].name, t->name,
				t->constraints[i].parent);
}

static void unenforced_check(struct findings *list, enum rule_id rule,
			     const struct table *t)
{
	for (size_t i = 0; i < t->n_constraints; i++)
		if (t->constraints[i].kind == CONSTRAINT_CHECK &&
		    strstr(t->constraints[i].definition, "NOT ENFORCED"))
			finding_add(list, rule, OF_CONSTRAINT, t->constraints[i].name,
				    "CHECK `%s` is not enforced: it checks nothing",
				    t->constraints[i].name);
}

/* ---- indexes --------------------------------------------------------------------------
 */

/* Does y serve everything that x does? Of two equal ones the later is the redundant one.
 */
static bool is_redundant(const struct table_index *x, const struct table_index *y)
{
	if (x == y || x->kind == INDEX_PRIMARY || x->kind > INDEX_PLAIN ||
	    y->kind > INDEX_PLAIN || !y->visible || x->n_parts > y->n_parts)
		return false;
	for (size_t i = 0; i < x->n_parts; i++)
		if (!same_name(x->parts[i].text, y->parts[i].text))
			return false;
	if (x->kind == INDEX_UNIQUE && (y->kind > x->kind || x->n_parts < y->n_parts))
		return false; /* it refuses more rows */
	return x->n_parts < y->n_parts || y->kind < x->kind || x > y;
}

static void redundant_index(struct findings *list, enum rule_id rule,
			    const struct table *t)
{
	for (size_t i = 0; i < t->n_indexes; i++)
		for (size_t k = 0; k < t->n_indexes; k++) {
			const struct table_index *x = &t->indexes[i], *y = &t->indexes[k];

			if (!is_redundant(x, y))
				continue;
			finding_add(list, rule, OF_INDEX, x->name,
				    "index `%s` is %s index `%s`: every write pays for "
				    "both",
				    x->name,
				    x->n_parts < y->n_parts ? "the beginning of"
							    : "the same as",
				    y->name)
				->detail = x->canonical;
			break;
		}
}

static void too_many_indexes(struct findings *list, enum rule_id rule,
			     const struct table *t)
{
	if (t->n_indexes > MANY_INDEXES)
		finding_add(list, rule, OF_TABLE, t->name,
			    "table `%s` has %zu indexes, and every write changes all of "
			    "them",
			    t->name, t->n_indexes);
}

static void nullable_unique(struct findings *list, enum rule_id rule,
			    const struct table *t)
{
	for (size_t i = 0; i < t->n_indexes; i++) {
		const struct table_index *x = &t->indexes[i];

		for (size_t k = 0; x->kind == INDEX_UNIQUE && k < x->n_parts; k++) {
			const struct table_column *c = part_column(t, &x->parts[k]);

			if (!c || c->not_null)
				continue;
			finding_add(list, rule, OF_INDEX, x->name,
				    "unique index `%s` has column `%s`, which may be "
				    "NULL: rows with NULL may repeat",
				    x->name, c->name);
			break;
		}
	}
}

static void wide_index(struct findings *list, enum rule_id rule, const struct table *t)
{
	for (size_t i = 0; i < t->n_indexes; i++) {
		const struct table_index *x = &t->indexes[i];

		for (size_t k = 0; x->kind <= INDEX_PLAIN && k < x->n_parts; k++) {
			uint64_t bytes = part_bytes(t, &x->parts[k]);

			if (bytes <= WIDE_PART_BYTES)
				continue;
			finding_add(list, rule, OF_INDEX, x->name,
				    "index `%s` has up to %ju bytes of column `%s`: "
				    "index a prefix of it",
				    x->name, (uintmax_t)bytes, x->parts[k].column);
			break;
		}
	}
}

/* ---- names ----------------------------------------------------------------------------
 */

typedef const char *fault_fn(const char *name);

/* Report each name of the table that has the fault; fault() says which, NULL = none. */
static void each_name(struct findings *list, enum rule_id rule, const struct table *t,
		      fault_fn *fault)
{
	const char *why = fault(t->name);

	if (why)
		finding_add(list, rule, OF_TABLE, t->name, "table name `%s` %s", t->name,
			    why)
			->name_is_at_fault = true;
	for (size_t i = 0; i < t->n_columns; i++) {
		why = fault(t->columns[i].name);
		if (why)
			finding_add(list, rule, OF_COLUMN, t->columns[i].name,
				    "column name `%s` %s", t->columns[i].name, why)
				->name_is_at_fault = true;
	}
	for (size_t i = 0; i < t->n_indexes; i++) {
		const struct table_index *x = &t->indexes[i];

		why = x->kind == INDEX_PRIMARY ? NULL : fault(x->name);
		if (why)
			finding_add(list, rule, OF_INDEX, x->name, "index name `%s` %s",
				    x->name, why)
				->name_is_at_fault = true;
	}
}

static const char *oddness(const char *name)
{
	bool odd = isdigit((unsigned char)*name);

	for (; *name; name++)
		odd |= !isalnum((unsigned char)*name) && *name != '_' && *name != '$';
	return odd ? "needs quoting everywhere: use letters, digits and _" : NULL;
}

static void odd_name(struct findings *list, enum rule_id rule, const struct table *t)
{
	each_name(list, rule, t, oddness);
}

static const char *capitals(const char *name)
{
	for (; *name; name++)
		if (isupper((unsigned char)*name))
			return "has capital letters: use small ones";
	return NULL;
}

static void name_case(struct findings *list, enum rule_id rule, const struct table *t)
{
	each_name(list, rule, t, capitals);
}

static const char *reservation(const char *name)
{
	const char *where = word_reserved_in(name);

	if (!where)
		return NULL;
	if (strcmp(where, "MySQL") == 0)
		return "is a reserved word of MySQL: it needs quoting there";
	if (strcmp(where, "MariaDB") == 0)
		return "is a reserved word of MariaDB: it needs quoting there";
	return "is a reserved word of MySQL and MariaDB: it needs quoting";
}

static void reserved_word(struct findings *list, enum rule_id rule, const struct table *t)
{
	each_name(list, rule, t, reservation);
}

/* ---- character sets -------------------------------------------------------------------
 */

static bool is_narrow(const char *charset)
{
	return charset && *charset && strcasecmp(charset, "utf8mb4") != 0 &&
	       strcasecmp(charset, "binary") != 0;
}

static void character_set(struct findings *list, enum rule_id rule, const struct table *t)
{
	if (is_narrow(t->charset))
		finding_add(list, rule, OF_TABLE, t->name,
			    "table `%s` has the default character set %s, which cannot "
			    "hold every character: use utf8mb4",
			    t->name, t->charset);
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];

		if (is_narrow(c->charset) && strcasecmp(c->charset, t->charset) != 0)
			finding_add(list, rule, OF_COLUMN, c->name,
				    "column `%s` has the character set %s, which cannot "
				    "hold every character: use utf8mb4",
				    c->name, c->charset);
	}
}

static void mixed_collation(struct findings *list, enum rule_id rule,
			    const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];

		if (c->collation && strcasecmp(c->collation, t->collation) != 0)
			finding_add(list, rule, OF_COLUMN, c->name,
				    "column `%s` has the collation %s, and its table has "
				    "%s",
				    c->name, c->collation, t->collation);
	}
}

static void comment_characters(struct findings *list, enum rule_id rule,
			       const struct table *t)
{
	if (t->wide_text)
		finding_add(list, rule, OF_TABLE, t->name,
			    "a comment in table `%s` has characters above U+FFFF (such "
			    "as emoji), which servers keep as \"?\"",
			    t->name);
}

/* ---- columns --------------------------------------------------------------------------
 */

static void zero_date(struct findings *list, enum rule_id rule, const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];

		if (c->default_value && strncmp(c->default_value, "'0000-00-00", 11) == 0)
			finding_add(list, rule, OF_COLUMN, c->name,
				    "column `%s` has a date that does not exist as its "
				    "default, which strict servers refuse",
				    c->name);
	}
}

static void small_counter(struct findings *list, enum rule_id rule, const struct table *t)
{
	static const char *const small[] = { "tinyint", "smallint", NULL };

	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];

		if (c->auto_increment && is_type(c, small))
			finding_add(list, rule, OF_COLUMN, c->name,
				    "column `%s` numbers rows with a %s, which is soon "
				    "used up",
				    c->name, c->type);
	}
}

static void signed_counter(struct findings *list, enum rule_id rule,
			   const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];

		if (c->auto_increment && !c->is_unsigned)
			finding_add(list, rule, OF_COLUMN, c->name,
				    "column `%s` numbers rows and is signed: half of its "
				    "values are never used",
				    c->name);
	}
}

/* Is one of the words a part of the name: "total_price", "priceNet"? */
static bool names_money(const char *name)
{
	static const char *const words[] = { "price",	"amount",  "cost",
					     "balance", "payment", "salary",
					     "money",	"revenue", "discount" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

static void inexact_money(struct findings *list, enum rule_id rule, const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];

		if (is_float(c) && names_money(c->name))
			finding_add(list, rule, OF_COLUMN, c->name,
				    "column `%s` is of type %s, and sums of such values "
				    "are not exact: use decimal",
				    c->name, c->type);
	}
}

static void float_column(struct findings *list, enum rule_id rule, const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (is_float(&t->columns[i]))
			finding_add(list, rule, OF_COLUMN, t->columns[i].name,
				    "column `%s` is of type %s, whose values are not "
				    "exact",
				    t->columns[i].name, t->columns[i].type);
}

static void timestamp_2038(struct findings *list, enum rule_id rule,
			   const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (strcmp(t->columns[i].type, "timestamp") == 0)
			finding_add(list, rule, OF_COLUMN, t->columns[i].name,
				    "column `%s` is a timestamp, which ends in January "
				    "2038: use datetime",
				    t->columns[i].name);
}

static void enum_or_set(struct findings *list, enum rule_id rule, const struct table *t)
{
	static const char *const lists[] = { "enum", "set", NULL };

	for (size_t i = 0; i < t->n_columns; i++)
		if (is_type(&t->columns[i], lists))
			finding_add(list, rule, OF_COLUMN, t->columns[i].name,
				    "column `%s` is of type %s: new values need a change "
				    "of the table",
				    t->columns[i].name, t->columns[i].type);
}

static void deprecated_type(struct findings *list, enum rule_id rule,
			    const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];
		const char *what = NULL;

		if (c->zerofill)
			what = "ZEROFILL";
		else if (c->is_unsigned && !column_is_integer(c))
			what = "UNSIGNED for other numbers than integers";
		else if (c->args && is_float(c))
			what = "digits of a float";
		if (what)
			finding_add(list, rule, OF_COLUMN, c->name,
				    "column `%s` uses %s, which MySQL deprecates",
				    c->name, what);
	}
}

/* MariaDB prints a width always; these are the ones that say nothing. */
static bool is_default_width(const struct table_column *c)
{
	static const struct {
		const char *type, *width, *unsigned_width;
	} widths[] = { { "tinyint", "4", "3" },
		       { "smallint", "6", "5" },
		       { "mediumint", "9", "8" },
		       { "int", "11", "10" },
		       { "bigint", "20", "20" } };

	for (size_t i = 0; i < ARRAY_SIZE(widths); i++)
		if (strcmp(c->type, widths[i].type) == 0)
			return strcmp(c->args, c->is_unsigned ? widths[i].unsigned_width
							      : widths[i].width) == 0;
	return true;
}

static void display_width(struct findings *list, enum rule_id rule, const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];

		/* tinyint(1) is how a boolean is written. */
		if (!c->args || c->zerofill || !column_is_integer(c) ||
		    is_default_width(c) ||
		    (strcmp(c->type, "tinyint") == 0 && strcmp(c->args, "1") == 0))
			continue;
		finding_add(list, rule, OF_COLUMN, c->name,
			    "column `%s` has a display width (%s), which does not limit "
			    "its values",
			    c->name, c->args);
	}
}

/* ---- options --------------------------------------------------------------------------
 */

static void storage_engine(struct findings *list, enum rule_id rule,
			   const struct table *t)
{
	if (strcasecmp(t->engine, "InnoDB") != 0)
		finding_add(list, rule, OF_TABLE, t->name,
			    "table `%s` is stored by %s, which has no transactions like "
			    "InnoDB's",
			    t->name, t->engine);
}

static void no_future_partition(struct findings *list, enum rule_id rule,
				const struct table *t)
{
	static const char range[] = "PARTITION BY RANGE";

	if (strncasecmp(t->partitioning, range, strlen(range)) == 0 &&
	    !strcasestr(t->partitioning, "MAXVALUE"))
		finding_add(list, rule, OF_TABLE, t->name,
			    "table `%s` has no partition for rows behind the last one: "
			    "INSERT of such a row fails",
			    t->name);
}

static void table_comment(struct findings *list, enum rule_id rule, const struct table *t)
{
	const char *comment = table_setting(t, "COMMENT");

	if (!comment || strcmp(comment, "''") == 0)
		finding_add(list, rule, OF_TABLE, t->name, "table `%s` has no comment",
			    t->name);
}

static const struct {
	enum rule_id rule;
	check_fn *check;
} checks[] = {
#define CHECK(name)               \
	{                         \
		RULE_##name, name \
	}
	CHECK(no_primary_key),	 CHECK(primary_key_type), CHECK(foreign_key),
	CHECK(odd_name),	 CHECK(character_set),	  CHECK(redundant_index),
	CHECK(storage_engine),	 CHECK(zero_date),	  CHECK(comment_characters),
	CHECK(small_counter),	 CHECK(inexact_money),	  CHECK(no_future_partition),
	CHECK(too_many_indexes), CHECK(nullable_unique),  CHECK(reserved_word),
	CHECK(deprecated_type),	 CHECK(display_width),	  CHECK(unenforced_check),
	CHECK(timestamp_2038),	 CHECK(float_column),	  CHECK(enum_or_set),
	CHECK(signed_counter),	 CHECK(wide_index),	  CHECK(wide_primary_key),
	CHECK(mixed_collation),	 CHECK(name_case),	  CHECK(table_comment),
#undef CHECK
};

void lint_table(struct findings *list, const struct table *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		checks[i].check(list, checks[i].rule, t);
}

bool lint_table_has(enum rule_id rule)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (checks[i].rule == rule)
			return true;
	return false;
}
