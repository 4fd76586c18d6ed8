/*
 * checkpoint.c - see checkpoint.h.
 */
#include "engines/mysql/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fault.h"
#include "engines/artefact.h"
#include "engines/mysql/locks.h"

#define TABLE "`" ARTEFACT_STATE_SCHEMA "`.`checkpoints`"

static const char *const create[] = {
	"CREATE DATABASE IF NOT EXISTS `" ARTEFACT_STATE_SCHEMA "`"
	" CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
	"CREATE TABLE IF NOT EXISTS " TABLE " ("
	" schema_name varchar(64) NOT NULL,"
	" table_name varchar(64) NOT NULL,"
	" operation varchar(160) NOT NULL,"
	" lease_token bigint unsigned NOT NULL,"
	" apply_id varchar(64) NOT NULL,"
	" statement longtext NOT NULL,"
	" connection_id bigint unsigned NOT NULL,"
	" progress longtext,"
	" updated_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"
	" ON UPDATE CURRENT_TIMESTAMP(6),"
	" PRIMARY KEY (schema_name, table_name)"
	") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
};

/* For a table that an earlier version of ours has made. */
static const char add_progress[] = "ALTER TABLE " TABLE " ADD COLUMN progress longtext"
				   " AFTER connection_id";

#define ER_NO_SUCH_SCHEMA 1049
#define ER_NO_SUCH_COLUMN 1054
#define ER_NO_SUCH_TABLE  1146

static bool absent(const struct sb_err *err)
{
	return err->db_errno == ER_NO_SUCH_SCHEMA || err->db_errno == ER_NO_SUCH_TABLE;
}

/* Nothing of anybody's has been changed: whatever went wrong may be tried again. */
static int harmless(struct sb_err *err)
{
	if (err_class(err->code) == ERR_UNCERTAIN)
		err->code = SB_EUNAVAILABLE;
	return sb_err_prefix(err, "the checkpoint in `" ARTEFACT_STATE_SCHEMA "`");
}

struct signature {
	bool there, ours;
	uint64_t token, connection;
};

/* Who has signed the table. No schema of ours is no signature. */
static int read_signature(struct db *db, const struct engine_request *request,
			  const struct engine_task *task, struct signature *out,
			  struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "checkpoint");
	struct db_rows *rows;
	char *sql =
		mem_printf(mem,
			   "SELECT operation, lease_token, connection_id FROM " TABLE
			   " WHERE schema_name = %s AND table_name = %s",
			   db_literal(mem, task->schema), db_literal(mem, task->table));
	int rc = db_query(mem, db, sql, &rows, err);

	*out = (struct signature){ 0 };
	if (rc < 0 && absent(err)) {
		rc = 0;
	} else if (rc == 0 && rows->n > 0) {
		out->there = true;
		out->ours = strcmp(rows->cell[0][0], request->operation) == 0;
		out->token = strtoull(rows->cell[0][1], NULL, 10);
		out->connection = strtoull(rows->cell[0][2], NULL, 10);
	}
	talloc_free(mem);
	return rc;
}

static int superseded(const struct engine_request *request,
		      const struct engine_task *task, const struct signature *s,
		      struct sb_err *err)
{
	return sb_err(err, SB_ELEASE,
		      "Table %s.%s is signed with token %" PRIu64
		      " of %s, which is newer than ours (%" PRIu64
		      "): nothing was done there.",
		      task->schema, task->table, s->token, request->operation,
		      request->lease_token);
}

static int sign(struct db *db, const struct engine_request *request,
		const struct engine_task *task, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "checkpoint");
	const char *operation = db_literal(mem, request->operation);
	const char *apply = db_literal(mem, request->apply_id);
	const char *ddl = db_literal(mem, task->ddl);
	char *sql = mem_printf(
		mem,
		"INSERT INTO " TABLE " (schema_name, table_name, operation, lease_token,"
		" apply_id, statement, connection_id) VALUES (%s, %s, %s, %" PRIu64
		", %s, %s, CONNECTION_ID()) ON DUPLICATE KEY UPDATE"
		/* Of another work nothing may be taken up again. First, since what is
		 * assigned above is seen below. */
		" progress = IF(operation = VALUES(operation), progress, NULL),"
		" operation = %s, lease_token = %" PRIu64
		", apply_id = %s, statement = %s,"
		" connection_id = CONNECTION_ID()",
		db_literal(mem, task->schema), db_literal(mem, task->table), operation,
		request->lease_token, apply, ddl, operation, request->lease_token, apply,
		ddl);
	int rc = db_run(db, sql, err);

	talloc_free(mem);
	return rc;
}

static int sign_all(struct db *db, const struct engine_request *request,
		    struct sb_err *err)
{
	struct signature s;

	if (db_begin(db, err) < 0)
		return -1;
	for (size_t i = 0; i < request->n_tasks; i++) {
		const struct engine_task *t = &request->tasks[i];
		int rc = read_signature(db, request, t, &s, err);

		/* model: CHECKPOINT */
		if (rc == 0 && s.ours && s.token > request->lease_token)
			rc = superseded(request, t, &s, err);
		if (rc == 0)
			rc = sign(db, request, t, err);
		if (rc < 0) {
			db_rollback(db);
			return -1;
		}
	}
	FAULT("engine.mysql.checkpoint.signed");
	return db_commit(db, err);
}

int mysql_checkpoint_write(struct db *db, const struct engine_request *request,
			   struct sb_err *err)
{
	int rc = sign_all(db, request, err);

	if (rc < 0 && absent(err)) {
		rc = 0;
		for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(create); i++)
			rc = db_run(db, create[i], err);
		if (rc == 0)
			rc = sign_all(db, request, err);
	} else if (rc < 0 && err->db_errno == ER_NO_SUCH_COLUMN) {
		rc = db_run(db, add_progress, err);
		if (rc == 0)
			rc = sign_all(db, request, err);
	}
	return rc < 0 ? harmless(err) : 0;
}

int mysql_checkpoint_save(struct db *db, const char *operation, uint64_t token,
			  const char *schema, const char *table, const char *progress,
			  struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "checkpoint");
	char *sql = mem_printf(
		mem,
		"UPDATE " TABLE " SET progress = %s, updated_at = CURRENT_TIMESTAMP(6)"
		" WHERE schema_name = %s AND table_name = %s"
		" AND operation = %s AND lease_token = %" PRIu64,
		progress ? db_literal(mem, progress) : "NULL", db_literal(mem, schema),
		db_literal(mem, table), db_literal(mem, operation), token);
	/* Rows found are counted, not rows changed. */
	int64_t rows = db_change(db, sql, err);

	talloc_free(mem);
	if (rows == 0)
		return sb_err(
			err, SB_ELEASE,
			"The checkpoint of %s.%s is not signed with our token (%" PRIu64
			") any more: the copy is somebody else's now.",
			schema, table, token);
	return rows < 0 ? harmless(err) : 0;
}

int mysql_checkpoint_load(TALLOC_CTX *ctx, struct db *db, const char *schema,
			  const char *table, char **progress, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "checkpoint");
	struct db_rows *rows;
	char *sql = mem_printf(mem,
			       "SELECT progress FROM " TABLE
			       " WHERE schema_name = %s AND table_name = %s",
			       db_literal(mem, schema), db_literal(mem, table));
	int rc = db_query(mem, db, sql, &rows, err);

	*progress = NULL;
	if (rc == 0 && rows->n > 0)
		*progress = mem_strdup(ctx, rows->cell[0][0]);
	talloc_free(mem);
	return rc < 0 ? harmless(err) : 0;
}

/* 1 when the connection exists and executes nothing, 0, -1. */
static int idle(struct db *db, uint64_t connection, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "checkpoint");
	struct db_rows *rows;
	char *sql = mem_printf(mem,
			       "SELECT 1 FROM information_schema.processlist"
			       " WHERE id = %" PRIu64 " AND command = 'Sleep'",
			       connection);
	int rc = db_query(mem, db, sql, &rows, err);

	if (rc == 0)
		rc = rows->n > 0;
	talloc_free(mem);
	return rc;
}

int mysql_checkpoint_holder(struct db *db, const struct engine_request *request,
			    const struct engine_task *task, struct sb_err *err)
{
	char lock[MYSQL_LOCK_NAME_LEN + 1];
	struct signature s;
	int held;

	if (read_signature(db, request, task, &s, err) < 0)
		return harmless(err);
	if (s.ours && s.token > request->lease_token)
		return superseded(request, task, &s, err);
	if (!s.ours || s.token == request->lease_token)
		return 0;
	/* The holder may be somebody who has not signed yet. */
	mysql_lock_name(task->schema, task->table, lock);
	held = mysql_lock_held_by(db, lock, s.connection, err);
	if (held == 1)
		held = idle(db, s.connection, err);
	return held < 0 ? harmless(err) : held;
}

int mysql_checkpoint_remove(struct db *db, const char *operation, uint64_t token,
			    const char *schema, const char *table, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "checkpoint");
	char *sql = mem_printf(mem,
			       "DELETE FROM " TABLE
			       " WHERE schema_name = %s AND table_name = %s"
			       " AND operation = %s AND lease_token <= %" PRIu64,
			       db_literal(mem, schema), db_literal(mem, table),
			       db_literal(mem, operation), token);
	int rc = db_run(db, sql, err);

	if (rc < 0 && absent(err))
		rc = 0;
	talloc_free(mem);
	return rc;
}

int mysql_checkpoint_list(TALLOC_CTX *ctx, struct db *db, const char *after_schema,
			  const char *after_table, int limit,
			  struct mysql_checkpoint **out, size_t *n, struct sb_err *err)
{
	char *schema = db_literal(ctx, after_schema),
	     *table = db_literal(ctx, after_table);
	struct db_rows *rows;
	char *sql = mem_printf(ctx,
			       "SELECT schema_name, table_name, operation, lease_token"
			       " FROM " TABLE " WHERE schema_name > %s"
			       " OR (schema_name = %s AND table_name > %s)"
			       " ORDER BY schema_name, table_name LIMIT %d",
			       schema, schema, table, limit);

	*out = NULL;
	*n = 0;
	if (db_query(ctx, db, sql, &rows, err) < 0)
		return absent(err) ? 0 : -1;
	*out = mem_array(ctx, struct mysql_checkpoint, rows->n);
	for (size_t i = 0; i < rows->n; i++)
		(*out)[i] = (struct mysql_checkpoint){
			.schema = rows->cell[i][0],
			.table = rows->cell[i][1],
			.operation = rows->cell[i][2],
			.token = strtoull(rows->cell[i][3], NULL, 10),
		};
	*n = rows->n;
	return 0;
}
