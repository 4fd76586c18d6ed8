/*
 * check_sql.c - see check_sql.h.
 *
 * A row is one string of bytes: which columns are NULL, then numbers and times, then
 * texts, each but the last with its length in front, so that ('a', NULL) and (NULL, 'a'),
 * or ('a#', 'b') and ('a', '#b'), are not the same. The separator is CAST to BINARY: then
 * CONCAT_WS takes every value's bytes as they are, whatever its character set (a literal
 * _binary'#' gives way to a column). A column that stays what it is costs no conversion.
 *
 * How many such strings become one value differs:
 *
 * SHA2, on MySQL: the exclusive or of 224-bit digests, which costs no more than CRC32
 * there. (Version 9 has no MD5().)
 *
 * CRCS, on MariaDB, whose MD5() costs more than all the rest of the comparison: of each
 * row a = CRC32 and c = CRC32C. They have different polynomials without a common factor,
 * so that together they are a CRC of 64 bits: one row that differs goes unseen with a
 * chance of 2^-64, and never if its difference spans 64 bits or fewer. (Two CRCs of one
 * polynomial, begun differently, would both miss the same differences.) BIT_XOR(a) and
 * BIT_XOR(c) show that. But a CRC is linear: the exclusive or of CRCs cannot tell two
 * rows that have exchanged a value, or that both have the same bit wrong, from none. So
 * there is SUM(a * c) too. The product depends on all of the row, key included, and is
 * not linear: what the same difference does to it is another number of 64 bits in every
 * row, and two such numbers add up to zero with a chance of about 2^-59 (the number of
 * ways to write products of two factors below 2^32). The sum is exact, a DECIMAL.
 *
 * MD5, on MariaDB before 10.8, which has no CRC32C, and for a table that cannot be cut
 * into ranges, whose CRCs would be one huge temporary table: the exclusive or of the
 * first 64 bits of each row's MD5.
 */
#include "engines/mysql/copy/check_sql.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MARIADB_CRC32C 100800 /* the first version that has it */

enum kind { INTEGER, DECIMAL, REAL, BITS, TEXT, LONG_TEXT, ELEMENTS, TIME, DOCUMENT };

static const struct {
	const char *type;
	enum kind kind;
} kinds[] = {
	{ "tinyint", INTEGER },
	{ "smallint", INTEGER },
	{ "mediumint", INTEGER },
	{ "int", INTEGER },
	{ "bigint", INTEGER },
	{ "year", INTEGER },
	{ "decimal", DECIMAL },
	{ "float", REAL },
	{ "double", REAL },
	{ "bit", BITS },
	{ "char", TEXT },
	{ "varchar", TEXT },
	{ "binary", TEXT },
	{ "varbinary", TEXT },
	{ "tinytext", LONG_TEXT },
	{ "text", LONG_TEXT },
	{ "mediumtext", LONG_TEXT },
	{ "longtext", LONG_TEXT },
	{ "tinyblob", LONG_TEXT },
	{ "blob", LONG_TEXT },
	{ "mediumblob", LONG_TEXT },
	{ "longblob", LONG_TEXT },
	{ "enum", ELEMENTS },
	{ "set", ELEMENTS },
	{ "date", TIME },
	{ "time", TIME },
	{ "datetime", TIME },
	{ "timestamp", TIME },
};

/* Any other (JSON, geometry, addresses, vectors) is hashed as the server prints it. */
static enum kind kind_of(const struct fact_column *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcasecmp(kinds[i].type, c->data_type) == 0)
			return kinds[i].kind;
	return DOCUMENT;
}

static bool same(const char *a, const char *b)
{
	return strcasecmp(a ? a : "", b ? b : "") == 0;
}

static bool is_text(enum kind k)
{
	return k == TEXT || k == LONG_TEXT || k == ELEMENTS;
}

/* What the type's name has in brackets: "(10,2)"; "" = nothing. */
static const char *arguments(TALLOC_CTX *ctx, const struct fact_column *c)
{
	const char *p = strchr(c->column_type, '('), *end = p ? strchr(p, ')') : NULL;

	return end ? mem_strndup(ctx, p, (size_t)(end - p) + 1) : "";
}

/* Text as the shadow's column has it. */
static char *as_text(TALLOC_CTX *ctx, const struct copy_column *c, const char *name)
{
	char *v = mem_strdup(ctx, name);

	if (!is_text(kind_of(c->from)) ||
	    (c->to->charset && !same(c->from->charset, c->to->charset)))
		v = mem_printf(ctx, "CONVERT(%s USING %s)", v,
			       c->to->charset ? c->to->charset : "binary");
	if (same(c->to->data_type, "char") && !same(c->from->data_type, "char"))
		v = mem_printf(ctx, "TRIM(TRAILING ' ' FROM %s)", v);
	if (same(c->to->data_type, "binary"))
		v = mem_printf(ctx, "RPAD(CAST(%s AS BINARY), %lu, X'00')", v,
			       strtoul(arguments(ctx, c->to) + 1, NULL, 10));
	return v;
}

/* The original's value, converted to the type of the shadow's column. */
static char *converted(TALLOC_CTX *ctx, const struct copy_column *c)
{
	enum kind from = kind_of(c->from), to = kind_of(c->to);

	if (same(c->from->column_type, c->to->column_type) &&
	    same(c->from->charset, c->to->charset))
		return mem_strdup(ctx, c->name);
	if (is_text(to))
		return as_text(ctx, c, c->name);
	if (to == INTEGER && from != INTEGER)
		return mem_printf(ctx, "CAST(%s AS DECIMAL(65, 0))", c->name);
	if (to == DECIMAL)
		return mem_printf(ctx, "CAST(%s AS DECIMAL%s)", c->name,
				  arguments(ctx, c->to));
	if (to == TIME)
		return mem_printf(ctx, "CAST(%s AS %s%s)", c->name,
				  same(c->to->data_type, "timestamp") ? "DATETIME"
								      : c->to->data_type,
				  arguments(ctx, c->to));
	return mem_strdup(ctx, c->name);
}

/* How many rows' strings become one value: see above. */
enum fold { SHA2, CRCS, MD5 };

static enum fold fold_of(const struct copy_table *t, enum db_flavor flavor,
			 unsigned long version)
{
	if (flavor == DB_MYSQL)
		return SHA2;
	return version >= MARIADB_CRC32C && t->key.n_bounds > 0 ? CRCS : MD5;
}

/* How the shadow's column is told in a row's string. */
static enum kind told_as(const struct copy_column *c)
{
	enum kind k = kind_of(c->to);

	if (k != ELEMENTS)
		return k;
	return same(c->from->column_type, c->to->column_type) &&
			       same(c->from->charset, c->to->charset)
		       ? BITS  /* by number, */
		       : TEXT; /* or the same word may have another */
}

/* A row's string must not be longer than a packet. */
static void add_long(struct buf *b, const char *value, enum fold fold)
{
	switch (fold) {
	case SHA2:
		buf_printf(b, ", SHA2(%s, 224)", value);
		break;
	case CRCS:
		buf_printf(b, ", CRC32(%s), CRC32C(%s), LENGTH(%s)", value, value, value);
		break;
	case MD5:
		buf_printf(b, ", MD5(%s)", value);
		break;
	}
}

/* `last`: nothing follows, so that no length is needed. */
static void add_value(struct buf *b, const struct copy_column *c, const char *value,
		      bool last, enum fold fold)
{
	switch (told_as(c)) {
	case INTEGER:
	case DECIMAL:
	case TIME:
		buf_printf(b, ", %s", value);
		break;
	case REAL: /* all digits, which a FLOAT does not print by itself */
		buf_printf(b, ", %s + 0e0", value);
		break;
	case BITS:
		buf_printf(b, ", %s + 0", value);
		break;
	case TEXT:
	case ELEMENTS:
		if (!last)
			buf_printf(b, ", LENGTH(%s)", value);
		buf_printf(b, ", %s", value);
		break;
	case LONG_TEXT:
	case DOCUMENT:
		add_long(b, value, fold);
		break;
	}
}

static bool is_short_text(const struct copy_column *c)
{
	enum kind k = told_as(c);

	return k == TEXT || k == ELEMENTS;
}

/* A row's string. */
static char *row_of(TALLOC_CTX *ctx, const struct copy_table *t, bool shadow,
		    enum fold fold)
{
	size_t n_texts = 0;
	struct buf b;

	buf_init(&b, ctx);
	buf_str(&b, "CONCAT_WS(CAST('#' AS BINARY)");
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct copy_column *c = &t->columns[i];

		n_texts += is_short_text(c);
		if (c->from->nullable || c->to->nullable)
			buf_printf(&b, ", ISNULL(%s)", shadow ? c->shadow : c->name);
	}
	for (int texts = 0; texts < 2; texts++)
		for (size_t i = 0; i < t->n_columns; i++) {
			const struct copy_column *c = &t->columns[i];

			if (is_short_text(c) == (texts == 1))
				add_value(&b, c, shadow ? c->shadow : converted(ctx, c),
					  texts == 1 && --n_texts == 0, fold);
		}
	buf_char(&b, ')');
	return b.data;
}

/* A string that the server cannot make, because it would not fit into a packet, counts as
 * one that differs from every other: RAND(). */

char *check_hash(TALLOC_CTX *ctx, const struct copy_table *t, bool shadow,
		 enum db_flavor flavor)
{
	const char *row = row_of(ctx, t, shadow, flavor == DB_MYSQL ? SHA2 : MD5);

	return mem_printf(ctx,
			  flavor == DB_MYSQL ? "IFNULL(SHA2(%s, 224), RAND())"
					     : "IFNULL(MD5(%s), RAND())",
			  row);
}

char *check_fold(TALLOC_CTX *ctx, const struct copy_table *t, bool shadow,
		 enum db_flavor flavor, unsigned long version, const char *from)
{
	enum fold fold = fold_of(t, flavor, version);
	const char *row = row_of(ctx, t, shadow, fold);

	switch (fold) {
	case SHA2:
		return mem_printf(ctx,
				  "SELECT COUNT(*), HEX(BIT_XOR(IFNULL(UNHEX(SHA2(%s, "
				  "224)), UNHEX(SHA2(RAND(), 224))))) FROM %s",
				  row, from);
	case CRCS:
		/* LIMIT keeps the derived table one: merged, each mention of a and c
		 * would make the string again. */
		return mem_printf(
			ctx,
			"SELECT COUNT(*), CONCAT_WS(' ', SUM(a * c), BIT_XOR(a),"
			" BIT_XOR(c), IF(COUNT(a) < COUNT(*), RAND(), NULL))"
			" FROM (SELECT CRC32(%s) AS a, CRC32C(%s) AS c FROM %s"
			" LIMIT 18446744073709551615) AS crcs",
			row, row, from);
	case MD5:
		break;
	}
	return mem_printf(
		ctx,
		"SELECT COUNT(*), BIT_XOR(CAST(IFNULL(CONV(LEFT(MD5(%s), 16), 16, "
		"10), FLOOR(RAND() * 1000000000)) AS UNSIGNED)) FROM %s",
		row, from);
}
