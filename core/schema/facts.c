/*
 * facts.c - columns, indexes, constraints, partitions and options by information_schema;
 * see facts.h.
 *
 * A query is asked once for each schema; its first column is the table, and the rows of a
 * table are compared as a set.
 */
#include "core/schema/facts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Which tables a query says something about: it is not asked when there is none. */
enum subject { ANY_TABLE, WITH_CONSTRAINTS, WITH_PARTITIONS };

#define ON_MARIADB (1U << DB_MARIADB)
#define ON_MYSQL   (1U << DB_MYSQL)
#define ON_BOTH	   (ON_MARIADB | ON_MYSQL)

/*
 * Without what differs although nothing does: display widths, default row formats, the
 * schemas' names, COLUMN_KEY, which without a primary key tells the first unique index in
 * an order that means nothing, the columns that MySQL hides in functional indexes but
 * counts, and its expressions, whose character set introducers depend on how they came to
 * be; diff.c compares them without. Of constraints the third column is the name.
 */
static const struct {
	unsigned flavors;
	enum subject subject;
	const char *sql; /* %s: the schema */
} queries[] = {
	{ ON_BOTH, ANY_TABLE,
	  "SELECT TABLE_NAME, 'column', COLUMN_NAME,"
	  " ROW_NUMBER() OVER (PARTITION BY CAST(TABLE_NAME AS BINARY)"
	  " ORDER BY ORDINAL_POSITION), IS_NULLABLE,"
	  " DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE,"
	  " DATETIME_PRECISION, COLUMN_TYPE LIKE '%unsigned%',"
	  " COLUMN_TYPE LIKE '%zerofill%',"
	  " IF(DATA_TYPE IN ('enum', 'set'), COLUMN_TYPE, ''), COLLATION_NAME,"
	  " IF(EXTRA LIKE '%DEFAULT_GENERATED%', '', COLUMN_DEFAULT),"
	  " EXTRA, COLUMN_COMMENT FROM information_schema.COLUMNS"
	  " WHERE TABLE_SCHEMA = %s" },
	{ ON_MYSQL, ANY_TABLE,
	  "SELECT TABLE_NAME, 'index', INDEX_NAME, SEQ_IN_INDEX, NON_UNIQUE, COLUMN_NAME,"
	  " COLLATION, SUB_PART, INDEX_TYPE, IS_VISIBLE, INDEX_COMMENT"
	  " FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s" },
	{ ON_MARIADB, ANY_TABLE,
	  "SELECT TABLE_NAME, 'index', INDEX_NAME, SEQ_IN_INDEX, NON_UNIQUE, COLUMN_NAME,"
	  " COLLATION, SUB_PART, INDEX_TYPE, IGNORED, INDEX_COMMENT"
	  " FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s" },
	{ ON_BOTH, ANY_TABLE,
	  "SELECT TABLE_NAME, 'table', ENGINE, TABLE_COLLATION, TABLE_COMMENT"
	  " FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s" },
	{ ON_MYSQL, WITH_CONSTRAINTS,
	  "SELECT TABLE_NAME, 'constraint', CONSTRAINT_NAME, CONSTRAINT_TYPE, ENFORCED"
	  " FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = %s" },
	{ ON_MARIADB, WITH_CONSTRAINTS,
	  "SELECT TABLE_NAME, 'constraint', CONSTRAINT_NAME, LEVEL, CHECK_CLAUSE"
	  " FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s" },
	{ ON_BOTH, WITH_CONSTRAINTS,
	  "SELECT r.TABLE_NAME, 'constraint', r.CONSTRAINT_NAME, k.ORDINAL_POSITION,"
	  " k.COLUMN_NAME, r.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME,"
	  " r.MATCH_OPTION, r.UPDATE_RULE, r.DELETE_RULE"
	  " FROM information_schema.REFERENTIAL_CONSTRAINTS r"
	  " JOIN information_schema.KEY_COLUMN_USAGE k"
	  " ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA AND k.TABLE_NAME = r.TABLE_NAME"
	  " AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME WHERE r.CONSTRAINT_SCHEMA = %s" },
	{ ON_BOTH, WITH_PARTITIONS,
	  "SELECT TABLE_NAME, 'partition', PARTITION_ORDINAL_POSITION, PARTITION_NAME,"
	  " SUBPARTITION_ORDINAL_POSITION, SUBPARTITION_NAME, PARTITION_METHOD,"
	  " SUBPARTITION_METHOD, PARTITION_EXPRESSION, SUBPARTITION_EXPRESSION,"
	  " PARTITION_DESCRIPTION, PARTITION_COMMENT FROM information_schema.PARTITIONS"
	  " WHERE TABLE_SCHEMA = %s" },
};

static bool is_subject(const struct table *t, enum subject subject)
{
	switch (subject) {
	case ANY_TABLE:
		return true;
	case WITH_CONSTRAINTS:
		return t->n_constraints > 0;
	case WITH_PARTITIONS:
		return *t->partitioning != '\0';
	}
	return true;
}

/* Is there a table, before or after, that the query could say something about? */
static bool is_worth_asking(size_t query, const struct facts_pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_subject(pairs[i].desired, queries[query].subject) ||
		    (pairs[i].live && is_subject(pairs[i].live, queries[query].subject)))
			return true;
	return false;
}

static int ask(TALLOC_CTX *tmp, struct db *db, const char *schema, const char *query,
	       struct db_rows **out, struct sb_err *err)
{
	char *literal = db_literal(tmp, schema);
	const char *at = strstr(query, "%s");
	struct buf sql;

	buf_init(&sql, tmp);
	buf_add(&sql, query, (size_t)(at - query));
	buf_str(&sql, literal);
	buf_str(&sql, at + 2);
	return db_query(tmp, db, sql.data, out, err);
}

/* t_ibfk_1, t_chk_2, CONSTRAINT_3: names that a server makes up count for nothing. */
static bool is_made_up(const char *name)
{
	static const char *const before[] = { "_ibfk_", "_chk_", "CONSTRAINT_" };
	size_t len = strlen(name);

	while (len > 0 && isdigit((unsigned char)name[len - 1]))
		len--;
	for (size_t i = 0; name[len] && i < ARRAY_SIZE(before); i++) {
		size_t n = strlen(before[i]);

		if (len >= n && strncmp(name + len - n, before[i], n) == 0)
			return true;
	}
	return false;
}

struct fact {
	const char *table, *line;
};

static int compare_facts(const void *a, const void *b)
{
	const struct fact *x = a, *y = b;
	int order = strcmp(x->table, y->table);

	return order ? order : strcmp(x->line, y->line);
}

/* All rows as lines, in an order that depends on nothing else; the last has no table. */
static struct fact *facts_of(TALLOC_CTX *tmp, const struct db_rows *rows)
{
	struct fact *facts = mem_array(tmp, struct fact, rows->n + 1);
	struct buf b;

	for (size_t r = 0; r < rows->n; r++) {
		char **cell = rows->cell[r];
		bool nameless = strcmp(cell[1], "constraint") == 0 && is_made_up(cell[2]);

		buf_init(&b, tmp);
		for (size_t c = 1; c < rows->width; c++) {
			const char *value = cell[c] ? cell[c] : "NULL";

			buf_printf(&b, "%s%s", c > 1 ? " " : "",
				   nameless && c == 2 ? "(any)" : value);
		}
		facts[r] = (struct fact){ cell[0], b.data };
	}
	qsort(facts, rows->n, sizeof(*facts), compare_facts);
	return facts;
}

/* The first fact about the table, or the end of all. */
static const struct fact *find(const struct fact *facts, size_t n, const char *table)
{
	size_t low = 0;

	while (n > low) {
		size_t middle = low + (n - low) / 2;

		if (strcmp(facts[middle].table, table) < 0)
			low = middle + 1;
		else
			n = middle;
	}
	return &facts[low];
}

/* The line, or NULL where the facts about the table are over. */
static const char *line_of(const struct fact *fact, const char *table)
{
	return fact->table && strcmp(fact->table, table) == 0 ? fact->line : NULL;
}

/* The first difference as a sentence; NULL = all facts are equal. */
static const char *difference(TALLOC_CTX *ctx, const char *table, const struct fact *is,
			      const struct fact *should)
{
	for (;; is++, should++) {
		const char *a = line_of(is, table), *b = line_of(should, table);

		if (!a && !b)
			return NULL;
		if (!a || !b || strcmp(a, b) != 0)
			return mem_printf(
				ctx,
				"the server describes it as \"%s\" and not as \"%s\"",
				a ? a : "absent", b ? b : "absent");
	}
}

static void compare_all(TALLOC_CTX *ctx, TALLOC_CTX *tmp, const struct db_rows *is,
			const struct db_rows *should, struct facts_pair *pairs, size_t n)
{
	const struct fact *a = facts_of(tmp, is), *b = facts_of(tmp, should);

	for (size_t i = 0; i < n; i++) {
		const char *table = pairs[i].desired->name;

		if (!pairs[i].difference)
			pairs[i].difference =
				difference(ctx, table, find(a, is->n, table),
					   find(b, should->n, table));
	}
}

int facts_compare(TALLOC_CTX *ctx, struct db *db, const char *is, const char *should,
		  struct facts_pair *pairs, size_t n, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "facts");
	struct db_rows *a, *b;
	int rc = 0;

	for (size_t q = 0; rc == 0 && q < ARRAY_SIZE(queries); q++) {
		if (!(queries[q].flavors & 1U << db_flavor(db)) ||
		    !is_worth_asking(q, pairs, n))
			continue;
		rc = ask(tmp, db, is, queries[q].sql, &a, err);
		if (rc == 0)
			rc = ask(tmp, db, should, queries[q].sql, &b, err);
		if (rc == 0)
			compare_all(ctx, tmp, a, b, pairs, n);
	}
	talloc_free(tmp);
	return rc;
}
