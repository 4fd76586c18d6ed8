/*
 * check_sql.c - see check_sql.h.
 *
 * A row is one string: which columns are NULL, then each value, texts with their length
 * in front, so that ('a', NULL) and (NULL, 'a'), or ('a#', 'b') and ('a', '#b'), are not
 * the same. A column that stays what it is costs no conversion. MySQL 9 has no MD5().
 */
#include "engines/mysql/copy/check_sql.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

static const char *digest(enum db_flavor flavor)
{
	return flavor == DB_MYSQL ? "SHA2(%s, 224)" : "MD5(%s)";
}

static void digest_of(struct buf *b, enum db_flavor flavor, const char *value)
{
	const char *f = digest(flavor), *at = strstr(f, "%s");

	buf_printf(b, "%.*s%s%s", (int)(at - f), f, value, at + 2);
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

static void add_value(struct buf *b, const struct copy_column *c, const char *value,
		      enum db_flavor flavor)
{
	switch (told_as(c)) {
	case INTEGER:
	case DECIMAL:
	case TIME:
		buf_str(b, value);
		break;
	case REAL: /* all digits, which a FLOAT does not print by itself */
		buf_printf(b, "%s + 0e0", value);
		break;
	case BITS:
		buf_printf(b, "%s + 0", value);
		break;
	case TEXT:
	case ELEMENTS:
		buf_printf(b, "LENGTH(%s), CAST(%s AS BINARY)", value, value);
		break;
	case LONG_TEXT: /* a row's string must not be longer than a packet */
	case DOCUMENT:
		digest_of(b, flavor, value);
		break;
	}
}

char *check_hash(TALLOC_CTX *ctx, const struct copy_table *t, bool shadow,
		 enum db_flavor flavor)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "hash of a row");
	struct buf row, hash;

	buf_init(&row, mem);
	buf_str(&row, "CONCAT_WS('#'");
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct copy_column *c = &t->columns[i];

		if (c->from->nullable || c->to->nullable)
			buf_printf(&row, ", ISNULL(%s)", shadow ? c->shadow : c->name);
	}
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct copy_column *c = &t->columns[i];

		buf_str(&row, ", ");
		add_value(&row, c,
			  shadow ? mem_strdup(mem, c->shadow) : converted(mem, c),
			  flavor);
	}
	buf_char(&row, ')');
	buf_init(&hash, ctx);
	/* A string that the server cannot make counts as one that differs. */
	buf_str(&hash, "CAST(IFNULL(CONV(LEFT(");
	digest_of(&hash, flavor, row.data);
	buf_str(&hash, ", 16), 16, 10), FLOOR(RAND() * 1000000000)) AS UNSIGNED)");
	talloc_free(mem);
	return hash.data;
}
