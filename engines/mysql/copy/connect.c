/*
 * connect.c - see connect.h.
 */
#include "engines/mysql/copy/connect.h"

#include <string.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "engines/mysql/copy/table.h"
#include "engines/mysql/locks.h"

#define EVICT_MS       8000 /* open() may take ten seconds */
#define EVICT_EVERY_MS 100

/* GET_LOCK takes 64 characters: the table's lock name is 59. */
static char *place_name(TALLOC_CTX *ctx, const char *schema, const char *table,
			unsigned place)
{
	char name[MYSQL_LOCK_NAME_LEN + 1];

	mysql_lock_name(schema, table, name);
	return mem_printf(ctx, "%s_%u", name, place);
}

int copy_connect(TALLOC_CTX *ctx, const struct db_params *target,
		 const struct copy_table *t, unsigned place, struct db **out,
		 struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "copy connection");
	struct db_rows *rows;
	struct db *db = NULL;
	int rc = db_open(ctx, target, &db, err);

	*out = NULL;
	if (rc == 0)
		rc = copy_session(db, err);
	/* A copy that waits for its server has nothing to say for long. */
	if (rc == 0)
		rc = db_run(db, "SET SESSION wait_timeout = 86400", err);
	if (rc == 0)
		rc = db_query(mem, db,
			      mem_printf(mem, "SELECT GET_LOCK('%s', 2)",
					 place_name(mem, t->schema, t->table, place)),
			      &rows, err);
	if (rc == 0 && (!rows->cell[0][0] || strcmp(rows->cell[0][0], "1") != 0))
		rc = sb_err(err, SB_EBUSY,
			    "A former copy of %s.%s still holds its connection %u.",
			    t->schema, t->table, place);
	if (rc == 0)
		*out = db;
	else
		talloc_free(db);
	talloc_free(mem);
	return rc;
}

/* Connections that hold a place; the server knows them by id. */
static int holders(TALLOC_CTX *ctx, struct db *db, const char *schema, const char *table,
		   struct db_rows **out, struct sb_err *err)
{
	struct buf sql;

	buf_init(&sql, ctx);
	buf_str(&sql, "SELECT DISTINCT id FROM (");
	for (unsigned i = 0; i < CONNECT_PLACES; i++)
		buf_printf(&sql, "%sSELECT IS_USED_LOCK('%s') AS id",
			   i > 0 ? " UNION ALL " : "", place_name(ctx, schema, table, i));
	buf_str(&sql, ") AS places WHERE id IS NOT NULL");
	return db_query(ctx, db, sql.data, out, err);
}

/* model: COPY_EVICT */
int copy_evict(struct db *db, const char *schema, const char *table, struct sb_err *err)
{
	int64_t until = clock_ms() + EVICT_MS;

	for (;;) {
		TALLOC_CTX *mem = mem_ctx(NULL, "evict");
		struct db_rows *rows;
		struct sb_err ignored;
		int rc = holders(mem, db, schema, table, &rows, err);
		size_t n = rc == 0 ? rows->n : 0;

		for (size_t i = 0; i < n; i++) {
			log_warn("engine.mysql.copy.evict",
				 "connection %s of a former copy of %s.%s is ended",
				 rows->cell[i][0], schema, table);
			if (db_run(db, mem_printf(mem, "KILL %s", rows->cell[i][0]),
				   &ignored) < 0)
				log_err(LOG_DEBUG, "engine.mysql.copy.evict", &ignored,
					"it had ended by itself");
		}
		talloc_free(mem);
		if (rc < 0 || n == 0)
			return rc;
		if (clock_ms() > until)
			return sb_err(
				err, SB_ERETRY,
				"A connection of a former copy of %s.%s does not end: "
				"the server is undoing its last chunk.",
				schema, table);
		clock_sleep_ms(EVICT_EVERY_MS);
	}
}
