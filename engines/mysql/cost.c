/*
 * cost.c - see cost.h.
 */
#include "engines/mysql/cost.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"

#define ROW_VERSIONS_OLD 64  /* MySQL 8.0.29 */
#define ROW_VERSIONS	 255 /* since 9.1 */

static const struct {
	const char *tables, *indexes;
} dictionary[] = {
	[DB_MARIADB] = { "INNODB_SYS_TABLES", "INNODB_SYS_INDEXES" },
	[DB_MYSQL] = { "INNODB_TABLES", "INNODB_INDEXES" },
};

/* A query whose refusal is an answer: 1 with rows, 0 refused, -1 no answer. */
static int ask(TALLOC_CTX *ctx, struct db *db, const char *sql, struct db_rows **out,
	       struct sb_err *err)
{
	struct sb_err why;

	if (db_query(ctx, db, sql, out, &why) == 0)
		return 1;
	if (err_class(why.code) == ERR_PERMANENT)
		return 0;
	if (err)
		*err = why;
	return -1;
}

static int is_innodb(TALLOC_CTX *ctx, struct db *db, const char *schema,
		     const char *table, struct sb_err *err)
{
	struct db_rows *rows;
	int rc = ask(ctx, db,
		     mem_printf(ctx,
				"SELECT ENGINE FROM information_schema.TABLES"
				" WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
				db_literal(ctx, schema), db_literal(ctx, table)),
		     &rows, err);

	if (rc <= 0)
		return rc;
	for (size_t i = 0; i < rows->n; i++)
		if (!rows->cell[i][0] || strcmp(rows->cell[i][0], "InnoDB") != 0)
			return 0;
	return rows->n > 0;
}

int mysql_pages_read(TALLOC_CTX *ctx, struct db *db, const char *schema,
		     const char *table, struct mysql_pages *out, struct sb_err *err)
{
	enum db_flavor flavor = db_flavor(db);
	char *file = mysql_file_name(ctx, schema);
	int rc;

	*out = (struct mysql_pages){ NULL };
	if (!file)
		return 0;
	rc = is_innodb(ctx, db, schema, table, err);
	if (rc <= 0)
		return rc;
	/* A statement touches no table but its own, so that the schema may be asked for
	 * as a whole. FTS_...: the servers' own, beside a table with a FULLTEXT index. */
	rc = ask(ctx, db,
		 mem_printf(ctx,
			    "SELECT t.TABLE_ID, i.INDEX_ID"
			    " FROM information_schema.%s t JOIN information_schema.%s i"
			    " ON i.TABLE_ID = t.TABLE_ID WHERE LEFT(t.NAME, %zu) = '%s/'"
			    " AND LEFT(t.NAME, %zu) NOT IN ('%s/fts_', '%s/FTS_')",
			    dictionary[flavor].tables, dictionary[flavor].indexes,
			    strlen(file) + 1, file, strlen(file) + 5, file, file),
		 &out->ids, err);
	return rc < 0 ? -1 : 0;
}

/* Is there a row with this table, and (unless NULL) this index? */
static bool has(const struct db_rows *ids, const char *table, const char *index)
{
	for (size_t i = 0; i < ids->n; i++)
		if (strcmp(ids->cell[i][0], table) == 0 &&
		    (!index || strcmp(ids->cell[i][1], index) == 0))
			return true;
	return false;
}

enum engine_cost mysql_pages_cost(const struct mysql_pages *before,
				  const struct mysql_pages *after)
{
	const struct db_rows *was = before->ids, *is = after->ids;

	if (!was || !is || was->n == 0)
		return ENGINE_COST_UNKNOWN;
	for (size_t i = 0; i < was->n; i++)
		if (!has(is, was->cell[i][0], NULL))
			return ENGINE_COST_REBUILD;
	for (size_t i = 0; i < is->n; i++)
		if (has(was, is->cell[i][0], NULL) &&
		    !has(was, is->cell[i][0], is->cell[i][1]))
			return ENGINE_COST_INDEX;
	return ENGINE_COST_METADATA;
}

/* ---- instant changes ----------------------------------------------------------------
 */

char *mysql_file_name(TALLOC_CTX *ctx, const char *name)
{
	struct buf b;

	buf_init(&b, ctx);
	for (const char *p = name; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c >= 0x80)
			return NULL;
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
		    (c >= 'a' && c <= 'z') || c == '_')
			buf_char(&b, *p);
		else
			buf_printf(&b, "@%04x", (unsigned)c);
	}
	return b.data;
}

int mysql_instant_used_up(TALLOC_CTX *ctx, struct db *live, const char *schema,
			  const char *table, const char *ddl, int *versions,
			  struct sb_err *err)
{
	char *folder = mysql_file_name(ctx, schema), *file = mysql_file_name(ctx, table);
	struct db_rows *rows;
	int rc;

	*versions = 0;
	if (db_flavor(live) != DB_MYSQL || !folder || !file ||
	    (!strstr(ddl, "ADD COLUMN") && !strstr(ddl, "DROP COLUMN")))
		return 0;
	/* Before 8.0.29 there is no such column, and no such limit. */
	rc = ask(ctx, live,
		 mem_printf(ctx,
			    "SELECT MAX(TOTAL_ROW_VERSIONS)"
			    " FROM information_schema.INNODB_TABLES"
			    " WHERE NAME = '%s/%s' OR LEFT(NAME, %zu) = '%s/%s#p#'",
			    folder, file, strlen(folder) + strlen(file) + 4, folder,
			    file),
		 &rows, err);
	if (rc <= 0 || rows->n == 0 || !rows->cell[0][0])
		return rc < 0 ? -1 : 0;
	*versions = (int)strtol(rows->cell[0][0], NULL, 10);
	return *versions >= (db_version(live) < 90100 ? ROW_VERSIONS_OLD : ROW_VERSIONS);
}
