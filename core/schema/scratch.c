/*
 * scratch.c - create, use, drop and recognize scratch schemas; see scratch.h.
 *
 * Names: _schemabot_<UTC yyyymmddhhmmss>_<16 hex digits>, by the server's clock.
 */
#include "core/schema/scratch.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/schema/schema.h"

#define NAME_PATTERN  "^" SCHEMA_SCRATCH_PREFIX "[0-9]{14}_[0-9a-f]{16}$"
#define RANDOM_DIGITS 16

static int new_name(struct scratch *s, struct sb_err *err)
{
	static const char sql[] = "SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y%m%d%H%i%S')";
	char *random = id_new(s, "x");
	struct db_rows *rows;

	if (db_query(s, s->keeper, sql, &rows, err) < 0)
		return -1;
	s->name = mem_printf(s, SCHEMA_SCRATCH_PREFIX "%s_%.*s", rows->cell[0][0],
			     RANDOM_DIGITS, random + 2);
	return 0;
}

/* 1 = ours now, 0 = somebody holds it, -1. */
static int lock_name(struct db *db, const char *name, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "scratch lock");
	struct db_rows *rows;
	int rc;

	rc = db_query(tmp, db,
		      mem_printf(tmp, "SELECT GET_LOCK(%s, 0)", db_literal(tmp, name)),
		      &rows, err);
	if (rc == 0)
		rc = rows->cell[0][0] && strcmp(rows->cell[0][0], "1") == 0;
	talloc_free(tmp);
	return rc;
}

static void unlock_name(struct db *db, const char *name)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "scratch lock");
	struct db_rows *rows;
	struct sb_err err;

	if (db_query(tmp, db,
		     mem_printf(tmp, "SELECT RELEASE_LOCK(%s)", db_literal(tmp, name)),
		     &rows, &err) < 0)
		log_err(LOG_WARN, "schema.scratch.unlock_failed", &err,
			"the lock of a scratch schema could not be released");
	talloc_free(tmp);
}

static int drop_schema(struct db *db, const char *name, struct sb_err *err)
{
	char *quoted = db_ident(NULL, name);
	char *sql = mem_printf(quoted, "DROP DATABASE IF EXISTS %s", quoted);
	int rc = db_run(db, sql, err);

	talloc_free(quoted);
	return rc;
}

/* The working connection is gone, but the server may still be executing its statement. */
static void kill_work(struct scratch *s)
{
	struct sb_err err;
	char *sql = mem_printf(NULL, "KILL %" PRIu64, db_connection_id(s->work));

	if (db_run(s->keeper, sql, &err) < 0)
		log_err(LOG_DEBUG, "schema.scratch.kill", &err,
			"the lost connection had ended by itself");
	talloc_free(sql);
}

static int drop_scratch(struct scratch *s)
{
	bool lost = db_is_lost(s->work);
	struct sb_err err;

	FAULT("schema.scratch.drop");
	if (lost)
		kill_work(s);
	if (drop_schema(lost ? s->keeper : s->work, s->name, &err) < 0)
		log_err(LOG_WARN, "schema.scratch.drop_failed", &err,
			"scratch schema %s stays behind and will be dropped later",
			s->name);
	unlock_name(s->keeper, s->name);
	return 0;
}

int scratch_create(TALLOC_CTX *ctx, struct db *work, struct db *keeper,
		   const char *charset, const char *collation, struct scratch **out,
		   struct sb_err *err)
{
	struct scratch *s = mem_new(ctx, struct scratch);
	char *quoted, *sql;
	int locked;

	*out = NULL;
	s->work = work;
	s->keeper = keeper;
	if (new_name(s, err) < 0)
		goto fail;
	locked = lock_name(keeper, s->name, err);
	if (locked == 0)
		sb_err(err, SB_ERETRY, "the scratch schema's name is taken; try again");
	if (locked <= 0)
		goto fail;
	quoted = db_ident(s, s->name);
	sql = mem_printf(s, "CREATE DATABASE %s CHARACTER SET %s COLLATE %s", quoted,
			 charset, collation);
	if (db_run(work, sql, err) < 0) {
		if (db_is_lost(work)) { /* it may have been created all the same */
			talloc_set_destructor(s, drop_scratch);
			goto fail;
		}
		sb_err_prefix(err,
			      "a scratch schema cannot be created (the account needs all "
			      "rights on `" SCHEMA_SCRATCH_PREFIX "%%`)");
		unlock_name(keeper, s->name);
		goto fail;
	}
	FAULT("schema.scratch.created");
	talloc_set_destructor(s, drop_scratch);
	if (scratch_use(s, err) < 0)
		goto fail;
	*out = s;
	return 0;
fail:
	talloc_free(s);
	return -1;
}

int scratch_use(struct scratch *s, struct sb_err *err)
{
	char *quoted = db_ident(NULL, s->name);
	int rc = db_run(s->work, mem_printf(quoted, "USE %s", quoted), err);

	talloc_free(quoted);
	return rc;
}

char *scratch_hide(TALLOC_CTX *ctx, const struct scratch *s, const char *schema,
		   const char *text)
{
	size_t len = strlen(s->name);
	struct buf b;

	buf_init(&b, ctx);
	for (;;) {
		const char *at = strstr(text, s->name);

		if (!at)
			break;
		buf_add(&b, text, (size_t)(at - text));
		buf_str(&b, schema);
		text = at + len;
	}
	buf_str(&b, text);
	return b.data;
}

/* ---- leftovers -------------------------------------------------------------------- */

int schema_drop_leftovers(struct db *db, int max_age_seconds, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "scratch leftovers");
	char *sql = mem_printf(
		tmp,
		"SELECT SCHEMA_NAME FROM information_schema.SCHEMATA"
		" WHERE SCHEMA_NAME REGEXP '" NAME_PATTERN "'"
		" AND TIMESTAMPDIFF(SECOND, STR_TO_DATE(SUBSTR(SCHEMA_NAME, %zu,"
		" 14), '%%Y%%m%%d%%H%%i%%S'), UTC_TIMESTAMP()) >= %d",
		strlen(SCHEMA_SCRATCH_PREFIX) + 1, max_age_seconds);
	struct db_rows *rows;
	int dropped = 0, rc;

	/* Somebody's statement may go on in a schema of which nobody holds the lock. */
	rc = db_run(db, "SET SESSION lock_wait_timeout = 2", err);
	if (rc == 0)
		rc = db_query(tmp, db, sql, &rows, err);
	for (size_t i = 0; rc >= 0 && i < rows->n; i++) {
		const char *name = rows->cell[i][0];

		rc = lock_name(db, name, err);
		if (rc <= 0)
			continue; /* in use, or an error */
		rc = drop_schema(db, name, err);
		if (rc < 0 && !db_is_lost(db)) {
			log_err(LOG_WARN, "schema.scratch.drop_failed", err,
				"scratch schema %s cannot be dropped now", name);
			rc = 0;
			unlock_name(db, name);
			continue;
		}
		if (rc < 0)
			break;
		unlock_name(db, name);
		log_info("schema.scratch.leftover", "dropped scratch schema %s", name);
		dropped++;
	}
	talloc_free(tmp);
	return rc < 0 ? -1 : dropped;
}
