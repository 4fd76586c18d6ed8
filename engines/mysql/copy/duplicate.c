/*
 * duplicate.c - see duplicate.h.
 *
 * The server names the key. Its columns, as the shadow has them, are written as
 * expressions over the original: in the new collation, cut to the new prefix.
 */
#include "engines/mysql/copy/duplicate.h"

#include <string.h>
#include <strings.h>

#include "core/base/buf.h"

/* "… for key 'u'"; MySQL has the table's name before it. Of ctx, or NULL. */
static char *key_name(TALLOC_CTX *ctx, const struct copy_table *t, const char *words)
{
	static const char mark[] = "for key '";
	const char *at = NULL, *end;
	size_t table = strlen(t->shadow_name);

	for (const char *p = words; (p = strstr(p, mark)); p++)
		at = p + strlen(mark);
	end = at ? strrchr(at, '\'') : NULL;
	if (!end)
		return NULL;
	if (strncmp(at, t->shadow_name, table) == 0 && at[table] == '.')
		at += table + 1;
	return talloc_strndup(ctx, at, (size_t)(end - at));
}

static const struct copy_column *column_of(const struct copy_table *t, const char *quoted)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (strcasecmp(t->columns[i].shadow, quoted) == 0)
			return &t->columns[i];
	return NULL;
}

/* One part of the key as the original's rows would have it, of ctx; `prefix`: characters,
 * or NULL. */
static char *expression(TALLOC_CTX *ctx, const struct copy_column *c, const char *prefix)
{
	char *sql = mem_strdup(ctx, c->name);

	if (c->from->collation && c->to->collation &&
	    strcmp(c->from->collation, c->to->collation) != 0)
		sql = mem_printf(ctx, "CONVERT(%s USING %s) COLLATE %s", sql,
				 c->to->charset, c->to->collation);
	return prefix ? mem_printf(ctx, "LEFT(%s, %s)", sql, prefix) : sql;
}

/* "`a`, LEFT(`b`, 10)", of ctx; NULL = it cannot be told: an expression, a generated
 * column, or no answer. */
static char *parts_of(TALLOC_CTX *ctx, struct db *db, const struct copy_table *t,
		      const char *key)
{
	struct db_rows *rows;
	struct buf b;
	char *sql = mem_printf(ctx,
			       "SELECT COLUMN_NAME, SUB_PART"
			       " FROM information_schema.STATISTICS"
			       " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
			       " AND INDEX_NAME = %s ORDER BY SEQ_IN_INDEX",
			       db_literal(ctx, t->schema),
			       db_literal(ctx, t->shadow_name), db_literal(ctx, key));

	if (db_query(ctx, db, sql, &rows, NULL) < 0 || rows->n == 0)
		return NULL;
	buf_init(&b, ctx);
	for (size_t i = 0; i < rows->n; i++) {
		const char *name = rows->cell[i][0];
		const struct copy_column *c =
			name ? column_of(t, db_ident(ctx, name)) : NULL;

		if (!c)
			return NULL;
		buf_printf(&b, "%s%s", i > 0 ? ", " : "",
			   expression(ctx, c, rows->cell[i][1]));
	}
	return b.data;
}

/* A row's driving key in words: "1, 'x'". */
static char *words_of_key(TALLOC_CTX *ctx, const struct copy_table *t)
{
	struct buf b;

	buf_init(&b, ctx);
	for (size_t i = 0; i < t->key.n; i++)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "CONCAT_WS(', ', ",
			   t->key.parts[i].print ? t->key.parts[i].print
						 : t->key.parts[i].name);
	buf_char(&b, ')');
	return b.data;
}

/* Two rows of one value, as words of ctx; false = none was found in time. */
static bool find_pair(TALLOC_CTX *ctx, struct db *db, const struct copy_table *t,
		      const char *parts, char **one, char **other)
{
	char *key = words_of_key(ctx, t);
	bool mysql = db_flavor(db) == DB_MYSQL;
	struct db_rows *rows;
	char *sql = mem_printf(
		ctx,
		"%sSELECT %sMIN(%s), MAX(%s) FROM %s WHERE CONCAT(%s) IS NOT NULL"
		" GROUP BY %s HAVING COUNT(*) > 1 LIMIT 1",
		mysql ? ""
		      : mem_printf(ctx, "SET STATEMENT max_statement_time = %d FOR ",
				   DUPLICATE_SECONDS),
		mysql ? mem_printf(ctx, "/*+ MAX_EXECUTION_TIME(%d) */ ",
				   1000 * DUPLICATE_SECONDS)
		      : "",
		key, key, t->original, parts, parts);

	if (db_query(ctx, db, sql, &rows, NULL) < 0 || rows->n == 0 ||
	    !rows->cell[0][0] || !rows->cell[0][1])
		return false;
	*one = rows->cell[0][0];
	*other = rows->cell[0][1];
	return true;
}

void duplicate_explain(struct db *db, const struct copy_table *t, struct sb_err *err)
{
	const struct sb_err plain = *err;
	TALLOC_CTX *mem;
	char *key, *parts, *one, *other;

	if (db_error_kind(plain.db_errno) != DB_ERR_DUPLICATE)
		return;
	mem = mem_ctx(NULL, "duplicate");
	key = key_name(mem, t, plain.msg);
	parts = key ? parts_of(mem, db, t, key) : NULL;
	if (!parts)
		sb_err(err, SB_EENGINE,
		       "Rows of %s.%s contradict a unique key of the new definition: "
		       "%.400s Correct them first.",
		       t->schema, t->table, plain.msg);
	else if (find_pair(mem, db, t, parts, &one, &other))
		sb_err(err, SB_EENGINE,
		       "Rows of %s.%s contradict the unique key `%s` of the new "
		       "definition, first those with the keys (%.100s) and (%.100s): "
		       "%.300s Correct them first; SELECT %.150s, COUNT(*) FROM %s GROUP "
		       "BY %.150s HAVING COUNT(*) > 1 finds all.",
		       t->schema, t->table, key, one, other, plain.msg, parts,
		       t->original, parts);
	else
		sb_err(err, SB_EENGINE,
		       "Rows of %s.%s contradict the unique key `%s` of the new "
		       "definition: %.300s Correct them first; SELECT %.150s, COUNT(*) "
		       "FROM %s GROUP BY %.150s HAVING COUNT(*) > 1 finds all.",
		       t->schema, t->table, key, plain.msg, parts, t->original, parts);
	talloc_free(mem);
}
