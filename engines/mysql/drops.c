/*
 * drops.c - see drops.h.
 */
#include "engines/mysql/drops.h"

#include <string.h>

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/artefact.h"

#define CLEANER_LOCK "schemabot_drops"

static const char create[] = "CREATE DATABASE IF NOT EXISTS `" ARTEFACT_DROPS_SCHEMA "`"
			     " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/* The first column of all rows of a query, joined by ", "; NULL for no row. */
static int listed(TALLOC_CTX *ctx, struct db *db, const char *sql, char **out,
		  struct sb_err *err)
{
	struct db_rows *rows;
	struct buf b;

	*out = NULL;
	if (db_query(ctx, db, sql, &rows, err) < 0)
		return -1;
	buf_init(&b, ctx);
	for (size_t i = 0; i < rows->n; i++)
		buf_printf(&b, "%s%s", i ? ", " : "",
			   rows->cell[i][0] ? rows->cell[i][0] : "");
	if (rows->n > 0)
		*out = b.data;
	return 0;
}

int mysql_table_exists(struct db *db, const char *schema, const char *table,
		       struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "table exists");
	struct db_rows *rows;
	char *sql = mem_printf(mem,
			       "SELECT 1 FROM information_schema.TABLES"
			       " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
			       db_literal(mem, schema), db_literal(mem, table));
	int rc = db_query(mem, db, sql, &rows, err);

	if (rc == 0)
		rc = rows->n > 0;
	talloc_free(mem);
	return rc;
}

/* Why it may not be moved: -1 with the reason, 0. */
static int refuse_bound(TALLOC_CTX *mem, struct db *db, const char *schema,
			const char *table, struct sb_err *err)
{
	const char *s = db_literal(mem, schema), *t = db_literal(mem, table);
	char *children, *triggers;

	if (listed(mem, db,
		   mem_printf(mem,
			      "SELECT DISTINCT CONCAT(CONSTRAINT_SCHEMA, '.', TABLE_NAME)"
			      " FROM information_schema.REFERENTIAL_CONSTRAINTS"
			      " WHERE UNIQUE_CONSTRAINT_SCHEMA = %s"
			      " AND REFERENCED_TABLE_NAME = %s"
			      " AND NOT (CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %s)"
			      " ORDER BY 1 LIMIT 5",
			      s, t, s, t),
		   &children, err) < 0 ||
	    listed(mem, db,
		   mem_printf(
			   mem,
			   "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS"
			   " WHERE EVENT_OBJECT_SCHEMA = %s AND EVENT_OBJECT_TABLE = %s"
			   " ORDER BY 1 LIMIT 5",
			   s, t),
		   &triggers, err) < 0)
		return -1;
	if (children)
		return sb_err(
			err, SB_EENGINE,
			"It cannot be moved into quarantine: %s refer to it by "
			"foreign keys, which would follow it. Drop those foreign keys "
			"first.",
			children);
	if (triggers)
		return sb_err(
			err, SB_EENGINE,
			"It cannot be moved into quarantine with its triggers (%s): "
			"drop them first.",
			triggers);
	return 0;
}

int mysql_drops_prepare(struct db *db, const char *schema, const char *table,
			struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "drops");
	int rc = refuse_bound(mem, db, schema, table, err);

	if (rc == 0)
		rc = db_run(db, create, err);
	if (rc < 0 && err_class(err->code) == ERR_UNCERTAIN)
		err->code = SB_ERETRY; /* the table is where it was */
	talloc_free(mem);
	return rc;
}

int mysql_drops_statement(TALLOC_CTX *ctx, struct db *db, const char *schema,
			  const char *table, char **name, char **sql, struct sb_err *err)
{
	struct db_rows *rows;
	char *stamp;

	if (db_query(ctx, db, "SELECT DATE_FORMAT(UTC_TIMESTAMP(3), '%Y%m%d%H%i%S%f')",
		     &rows, err) < 0)
		return -1;
	stamp = mem_strndup(ctx, rows->cell[0][0], ARTEFACT_STAMP_CHARS);
	*name = artefact_drop_name(ctx, stamp, table);
	*sql = mem_printf(ctx, "RENAME TABLE %s TO %s", db_ident2(ctx, schema, table),
			  db_ident2(ctx, ARTEFACT_DROPS_SCHEMA, *name));
	return 0;
}

int mysql_drops_release(struct db *db, const char *name, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "drops");
	struct db_rows *rows;
	struct buf sql;
	int rc = db_query(mem, db,
			  mem_printf(mem,
				     "SELECT CONSTRAINT_NAME"
				     " FROM information_schema.REFERENTIAL_CONSTRAINTS"
				     " WHERE CONSTRAINT_SCHEMA = '" ARTEFACT_DROPS_SCHEMA
				     "' AND TABLE_NAME = %s",
				     db_literal(mem, name)),
			  &rows, err);

	if (rc < 0 || rows->n == 0)
		goto out;
	buf_init(&sql, mem);
	buf_printf(&sql, "ALTER TABLE %s", db_ident2(mem, ARTEFACT_DROPS_SCHEMA, name));
	for (size_t i = 0; i < rows->n; i++)
		buf_printf(&sql, "%s DROP FOREIGN KEY %s", i ? "," : "",
			   db_ident(mem, rows->cell[i][0]));
	rc = db_run(db, sql.data, err);
out:
	talloc_free(mem);
	return rc;
}

/* ---- the cleaner ------------------------------------------------------------------ */

static int clean_one(struct db *db, const char *name, bool due, struct engine_tidied *out,
		     struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "drops");
	struct sb_err why;
	int rc;

	FAULT("engine.mysql.drops.clean");
	if (due)
		rc = db_run(db,
			    mem_printf(mem, "DROP TABLE IF EXISTS %s",
				       db_ident2(mem, ARTEFACT_DROPS_SCHEMA, name)),
			    &why);
	else
		rc = mysql_drops_release(db, name, &why);
	if (rc == 0 && due) {
		log_info("engine.mysql.drops", "dropped `" ARTEFACT_DROPS_SCHEMA "`.`%s`",
			 name);
		out->drops++;
	}
	if (rc < 0) {
		log_err(LOG_WARN, "engine.mysql.drops", &why,
			"`" ARTEFACT_DROPS_SCHEMA "`.`%s` stays for now", name);
		out->errors++;
		if (db_is_lost(db)) {
			*err = why;
			talloc_free(mem);
			return -1;
		}
	}
	talloc_free(mem);
	return 0;
}

/* Names of quarantined tables, the due ones first (their stamps sort by age), and those
 * that a crash has left with foreign keys. */
static int clean_all(struct db *db, int retention_hours, int batch,
		     struct engine_tidied *out, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "drops");
	struct db_rows *rows;
	int rc, done = 0;

	rc = db_query(
		mem, db,
		mem_printf(mem,
			   "SELECT TABLE_NAME, LEFT(TABLE_NAME, 14) <= DATE_FORMAT("
			   "UTC_TIMESTAMP() - INTERVAL %d HOUR, '%%Y%%m%%d%%H%%i%%S'),"
			   " TABLE_TYPE = 'BASE TABLE', TABLE_NAME IN (SELECT TABLE_NAME"
			   " FROM information_schema.REFERENTIAL_CONSTRAINTS"
			   " WHERE CONSTRAINT_SCHEMA = '" ARTEFACT_DROPS_SCHEMA "')"
			   " FROM information_schema.TABLES"
			   " WHERE TABLE_SCHEMA = '" ARTEFACT_DROPS_SCHEMA "'"
			   " ORDER BY TABLE_NAME",
			   retention_hours),
		&rows, err);
	for (size_t i = 0; rc == 0 && i < rows->n && done < batch; i++) {
		char **cell = rows->cell[i];
		bool due = strcmp(cell[1], "1") == 0, bound = strcmp(cell[3], "1") == 0;

		if (strcmp(cell[2], "1") != 0 || !artefact_drop_parse(cell[0])) {
			out->drops_skipped++;
			continue;
		}
		if (!due && !bound)
			continue;
		done++;
		rc = clean_one(db, cell[0], due, out, err);
	}
	talloc_free(mem);
	return rc;
}

int mysql_drops_clean(struct db *db, int retention_hours, int batch,
		      struct engine_tidied *out, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "drops");
	struct db_rows *rows;
	int rc = db_query(mem, db, "SELECT GET_LOCK('" CLEANER_LOCK "', 0)", &rows, err);

	if (rc == 0 && (!rows->cell[0][0] || strcmp(rows->cell[0][0], "1") != 0)) {
		out->drops_locked = 1;
		goto out;
	}
	if (rc == 0)
		rc = clean_all(db, retention_hours, batch, out, err);
	if (rc == 0)
		rc = db_query(mem, db, "SELECT RELEASE_LOCK('" CLEANER_LOCK "')", &rows,
			      err);
out:
	talloc_free(mem);
	return rc;
}
