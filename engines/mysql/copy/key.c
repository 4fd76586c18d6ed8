/*
 * key.c - see key.h.
 *
 * A key column has to mean the same on both sides: a literal made from the binlog finds
 * the row in the shadow, and rows that differ there differ in the original. So its type
 * may grow, but not change its kind, and a text keeps its collation.
 */
#include "engines/mysql/copy/key.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/buf.h"

/* How a type is written in the binlog, and how SQL prints a literal of it (%s is the
 * column, %c its character set); "" = it cannot stand in a bound, NULL = it cannot be in
 * a key at all. */
struct kind {
	const char *data_type;
	enum value_type binlog;
	enum value_form form;
	const char *print;
};

#define PLAIN_NUMBER "CAST(%s AS CHAR)"
#define PLAIN_QUOTED "CONCAT('''',%s,'''')"
#define PLAIN_TEXT   "CONCAT('_%c x''',HEX(%s),'''')"
#define PLAIN_BYTES  "CONCAT('x''',HEX(%s),'''')"

static const struct kind kinds[] = {
	{ "tinyint", VALUE_TINY, VALUE_PLAIN, PLAIN_NUMBER },
	{ "smallint", VALUE_SHORT, VALUE_PLAIN, PLAIN_NUMBER },
	{ "mediumint", VALUE_INT24, VALUE_PLAIN, PLAIN_NUMBER },
	{ "int", VALUE_LONG, VALUE_PLAIN, PLAIN_NUMBER },
	{ "bigint", VALUE_LONGLONG, VALUE_PLAIN, PLAIN_NUMBER },
	{ "decimal", VALUE_NEWDECIMAL, VALUE_PLAIN, PLAIN_NUMBER },
	{ "year", VALUE_YEAR, VALUE_PLAIN, PLAIN_NUMBER },
	{ "bit", VALUE_BIT, VALUE_PLAIN, "CAST(%s + 0 AS CHAR)" },
	{ "date", VALUE_DATE, VALUE_PLAIN, PLAIN_QUOTED },
	{ "time", VALUE_TIME2, VALUE_PLAIN, PLAIN_QUOTED },
	{ "datetime", VALUE_DATETIME2, VALUE_PLAIN, PLAIN_QUOTED },
	{ "timestamp", VALUE_TIMESTAMP2, VALUE_PLAIN, PLAIN_QUOTED },
	{ "char", VALUE_STRING, VALUE_PLAIN, PLAIN_TEXT },
	{ "varchar", VALUE_VARCHAR, VALUE_PLAIN, PLAIN_TEXT },
	{ "binary", VALUE_STRING, VALUE_BYTES, PLAIN_BYTES },
	{ "varbinary", VALUE_VARCHAR, VALUE_BYTES, PLAIN_BYTES },
	{ "uuid", VALUE_STRING, VALUE_UUID, PLAIN_QUOTED },
	{ "inet6", VALUE_STRING, VALUE_INET6, PLAIN_QUOTED },
	{ "inet4", VALUE_STRING, VALUE_INET4, PLAIN_QUOTED },
	/* These are compared as texts and ordered as numbers. */
	{ "enum", VALUE_ENUM, VALUE_PLAIN, "" },
	{ "set", VALUE_SET, VALUE_PLAIN, "" },
	{ "float", VALUE_FLOAT, VALUE_PLAIN, NULL },
	{ "double", VALUE_DOUBLE, VALUE_PLAIN, NULL },
	{ "tinytext", VALUE_BLOB, VALUE_PLAIN, NULL },
	{ "text", VALUE_BLOB, VALUE_PLAIN, NULL },
	{ "mediumtext", VALUE_BLOB, VALUE_PLAIN, NULL },
	{ "longtext", VALUE_BLOB, VALUE_PLAIN, NULL },
	{ "tinyblob", VALUE_BLOB, VALUE_PLAIN, NULL },
	{ "blob", VALUE_BLOB, VALUE_PLAIN, NULL },
	{ "mediumblob", VALUE_BLOB, VALUE_PLAIN, NULL },
	{ "longblob", VALUE_BLOB, VALUE_PLAIN, NULL },
	{ "json", VALUE_JSON, VALUE_PLAIN, NULL },
	{ "vector", VALUE_VECTOR, VALUE_PLAIN, NULL },
};
static const struct kind geometry = { "geometry", VALUE_GEOMETRY, VALUE_PLAIN, NULL };

/* What is not in the table is one of the geometric types. */
static const struct kind *kind_of(const struct fact_column *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcasecmp(kinds[i].data_type, c->data_type) == 0)
			return &kinds[i];
	return &geometry;
}

static bool is_integer(const struct fact_column *c)
{
	enum value_type t = kind_of(c)->binlog;

	return t == VALUE_TINY || t == VALUE_SHORT || t == VALUE_INT24 ||
	       t == VALUE_LONG || t == VALUE_LONGLONG;
}

static bool is_unsigned(const struct fact_column *c)
{
	return strstr(c->column_type, "unsigned") != NULL;
}

/* MariaDB's compressed columns have types of their own in the binlog. */
static enum value_type binlog_type(const struct fact_column *c)
{
	enum value_type t = kind_of(c)->binlog;

	if (!strstr(c->column_type, "COMPRESSED"))
		return t;
	return t == VALUE_BLOB ? VALUE_BLOB_COMPRESSED : VALUE_VARCHAR_COMPRESSED;
}

/* ---- may a column be in the key? ----------------------------------------------------
 */

static bool same(const char *a, const char *b)
{
	return strcasecmp(a ? a : "", b ? b : "") == 0;
}

/* The number between a type's brackets, the n-th of them. */
static unsigned long argument(const struct fact_column *c, unsigned nth)
{
	const char *p = strchr(c->column_type, '(');

	for (; p && nth > 0; nth--)
		p = strchr(p + 1, ',');
	return p ? strtoul(p + 1, NULL, 10) : 0;
}

/* Does every value stay what it is, compared as before? NULL = yes, else why not. */
static const char *keeps_meaning(const struct fact_column *from,
				 const struct fact_column *to)
{
	enum value_type t = kind_of(from)->binlog;

	if (!same(from->collation, to->collation))
		return "its collation changes";
	if (is_integer(from) && is_integer(to))
		return NULL; /* one that does not fit fails the copy */
	if (!same(from->data_type, to->data_type))
		return "its type changes";
	if ((t == VALUE_TIME2 || t == VALUE_DATETIME2 || t == VALUE_TIMESTAMP2) &&
	    argument(to, 0) < argument(from, 0))
		return "it loses digits";
	if (t == VALUE_NEWDECIMAL && argument(to, 1) < argument(from, 1))
		return "it loses digits";
	if (strcmp(from->data_type, "binary") == 0 &&
	    !same(from->column_type, to->column_type))
		return "its length changes";
	return NULL;
}

static const char *why_not_column(const struct facts *original,
				  const struct key_mapping *map, const char *name)
{
	const struct fact_column *c = facts_column(original, name);
	const struct key_mapping *m;

	if (!c)
		return "it has an expression or a prefix";
	m = &map[c - original->columns];
	if (c->nullable)
		return "it can be NULL";
	if (!kind_of(c)->print || binlog_type(c) == VALUE_VARCHAR_COMPRESSED)
		return "its type cannot be followed exactly";
	if (!m->to)
		return "it is dropped";
	return keeps_meaning(c, m->to);
}

/* The shadow finds rows by the key's columns without reading all of itself. */
static bool has_access(const struct facts *original, const struct facts *shadow,
		       const struct key_mapping *map, const struct fact_index *x)
{
	for (size_t i = 0; i < shadow->n_indexes; i++) {
		const struct fact_index *y = &shadow->indexes[i];

		for (size_t k = 0; k < x->n && strcmp(y->type, "BTREE") == 0; k++) {
			const struct fact_column *c =
				facts_column(original, x->columns[k]);
			const struct fact_column *to = map[c - original->columns].to;

			if (y->columns[0] && same(y->columns[0], to->name))
				return true;
		}
	}
	return false;
}

/* NULL = the index can drive the copy; else why not, from ctx. */
static const char *why_not(TALLOC_CTX *ctx, const struct facts *original,
			   const struct facts *shadow, const struct key_mapping *map,
			   const struct fact_index *x)
{
	if (!x->whole)
		return "it has an expression or a prefix";
	if (strcmp(x->type, "BTREE") != 0)
		return "it is not ordered";
	if (x->n > ROWS_MAX_KEY_PARTS)
		return "it has too many columns";
	for (size_t i = 0; i < x->n; i++) {
		const char *why = why_not_column(original, map, x->columns[i]);

		if (why)
			return mem_printf(ctx, "column `%s`: %s", x->columns[i], why);
	}
	if (!has_access(original, shadow, map, x))
		return "the new table has no index that begins with one of its columns";
	return NULL;
}

/* ---- the key ------------------------------------------------------------------------
 */

static const char *print_expression(TALLOC_CTX *ctx, const struct fact_column *c,
				    const char *quoted)
{
	struct buf b;

	buf_init(&b, ctx);
	for (const char *p = kind_of(c)->print; *p; p++) {
		if (*p == '%' && p[1] == 's')
			buf_str(&b, quoted);
		else if (*p == '%' && p[1] == 'c')
			buf_str(&b, c->charset ? c->charset : "binary");
		else
			buf_char(&b, *p);
		if (*p == '%')
			p++;
	}
	return b.len > 0 ? b.data : NULL;
}

/* The members of "enum('a','b')", each as it stands there: a literal with its quotes. */
static void read_elements(TALLOC_CTX *ctx, const struct fact_column *c,
			  struct value_info *info)
{
	const char **list = NULL;

	for (const char *p = strchr(c->column_type, '\''), *end; p && *p == '\'';
	     p = *end == ',' ? end + 1 : NULL) {
		for (end = p + 1; *end && (*end != '\'' || end[1] == '\''); end++)
			if (*end == '\'' || (*end == '\\' && end[1]))
				end++;
		if (!*end)
			break;
		end++;
		list = mem_grow(ctx, list, const char *, info->n_elements + 1);
		list[info->n_elements++] = mem_strndup(ctx, p, (size_t)(end - p));
	}
	info->elements = list;
}

static void make_part(TALLOC_CTX *ctx, const struct key_mapping *m,
		      struct copy_part *part)
{
	const struct fact_column *c = m->from;
	enum value_type t = kind_of(c)->binlog;

	part->name = db_ident(ctx, c->name);
	part->shadow = db_ident(ctx, m->to->name);
	part->info.form =
		is_integer(c) && is_unsigned(c) ? VALUE_UNSIGNED : kind_of(c)->form;
	part->info.charset = c->charset;
	if (t == VALUE_ENUM || t == VALUE_SET)
		read_elements(ctx, c, &part->info);
	part->print = print_expression(ctx, c, part->name);
}

static void use(TALLOC_CTX *ctx, const struct facts *original,
		const struct key_mapping *map, const struct fact_index *x,
		struct copy_table *t)
{
	enum value_type *types = mem_array(ctx, enum value_type, original->n_columns);
	bool bounds = true;

	t->key = (struct copy_key){ .index = db_ident(ctx, x->name),
				    .n = x->n,
				    .parts = mem_array(ctx, struct copy_part, x->n) };
	for (size_t i = 0; i < x->n; i++) {
		const struct fact_column *c = facts_column(original, x->columns[i]);

		make_part(ctx, &map[c - original->columns], &t->key.parts[i]);
		t->rows.key[i] = (size_t)(c - original->columns);
		bounds = bounds && t->key.parts[i].print;
		t->key.n_bounds += bounds;
		t->key.integer = x->n == 1 && is_integer(c);
	}
	t->rows.n_key = x->n;
	for (size_t i = 0; i < original->n_columns; i++)
		types[i] = binlog_type(&original->columns[i]);
	t->rows.types = types;
	t->rows.n_columns = original->n_columns;
}

int key_choose(TALLOC_CTX *ctx, const struct facts *original, const struct facts *shadow,
	       const struct key_mapping *map, struct copy_table *t, struct sb_err *err)
{
	struct buf reasons;

	buf_init(&reasons, ctx);
	for (size_t i = 0; i < original->n_indexes; i++) {
		const struct fact_index *x = &original->indexes[i];
		const char *why;

		if (!x->unique)
			continue;
		why = why_not(ctx, original, shadow, map, x);
		if (!why) {
			use(ctx, original, map, x, t);
			return 0;
		}
		buf_printf(&reasons, "%s %s: %s.",
			   reasons.len > 0 ? "" : " Of those it has,", x->name, why);
	}
	return sb_err(
		err, SB_EENGINE,
		"An online copy of table %s needs a unique key without NULLs that the "
		"old and the new definition share.%s Add one in a change of its own "
		"first.",
		t->table, reasons.data);
}

/* ---- REPLACE or not -----------------------------------------------------------------
 */

/* Is `y`, of the shadow, made of at least the columns of `x`, compared as before? */
static bool implies(const struct facts *original, const struct key_mapping *map,
		    const struct fact_index *x, const struct fact_index *y)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct fact_column *c = facts_column(original, x->columns[i]);
		const struct key_mapping *m = c ? &map[c - original->columns] : NULL;
		bool found = false;

		if (!m || !m->to || keeps_meaning(c, m->to))
			return false;
		for (size_t k = 0; k < y->n; k++)
			found = found ||
				(y->columns[k] && same(y->columns[k], m->to->name));
		if (!found)
			return false;
	}
	return true;
}

bool key_replaceable(const struct facts *original, const struct facts *shadow,
		     const struct key_mapping *map)
{
	for (size_t i = 0; i < shadow->n_indexes; i++) {
		bool implied = !shadow->indexes[i].unique;

		for (size_t k = 0; k < original->n_indexes && !implied; k++)
			implied = original->indexes[k].unique &&
				  original->indexes[k].whole &&
				  shadow->indexes[i].whole &&
				  implies(original, map, &original->indexes[k],
					  &shadow->indexes[i]);
		if (!implied)
			return false;
	}
	return true;
}
