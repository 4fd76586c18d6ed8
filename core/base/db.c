/*
 * db.c - connections, error classification, transactions, statements made at run time.
 *
 * See db.h for the contract. Works with MariaDB Connector/C and with Oracle's
 * libmysqlclient: nothing here goes beyond what both declare in <mysql.h>.
 */
#include "core/base/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/db_internal.h"
#include "core/base/fault.h"

#define DEFAULT_CONNECT_SECONDS 5
#define IDLE_SECONDS		45 /* less than a lease window */

static const struct {
	unsigned db_errno;
	enum db_error_kind kind;
} known_errors[] = {
#define DB_ERROR(number, kind, name) { number, kind },
#include "core/base/errors.def"
};

enum db_error_kind db_error_kind(unsigned db_errno)
{
	if (db_errno == 0)
		return DB_ERR_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(known_errors); i++)
		if (known_errors[i].db_errno == db_errno)
			return known_errors[i].kind;
	return DB_ERR_OTHER;
}

static enum err_code storage_code(enum db_error_kind kind, enum db_intent intent)
{
	switch (kind) {
	case DB_ERR_LOST:
		return intent == DB_INTENT_COMMIT ? SB_EAMBIGUOUS : SB_ESTORAGE;
	case DB_ERR_DUPLICATE:
		return SB_ECONFLICT;
	case DB_ERR_BUSY:
	case DB_ERR_MISSING:
	case DB_ERR_DENIED:
	case DB_ERR_KILLED:
	case DB_ERR_RESOURCE:
	case DB_ERR_READONLY:
		return SB_ESTORAGE;
	case DB_ERR_NONE:
	case DB_ERR_EXISTS:
	case DB_ERR_SYNTAX:
	case DB_ERR_NOT_SUPPORTED:
	case DB_ERR_OTHER:
		break;
	}
	return SB_EINTERNAL;
}

static enum err_code target_code(enum db_error_kind kind, enum db_intent intent)
{
	if (intent == DB_INTENT_CONNECT)
		return SB_EUNAVAILABLE;
	switch (kind) {
	case DB_ERR_LOST:
		return intent == DB_INTENT_READ ? SB_ERETRY : SB_EAMBIGUOUS;
	case DB_ERR_BUSY:
	case DB_ERR_KILLED:
	case DB_ERR_RESOURCE:
	case DB_ERR_READONLY:
		return SB_ERETRY;
	case DB_ERR_NONE:
	case DB_ERR_DUPLICATE:
	case DB_ERR_MISSING:
	case DB_ERR_EXISTS:
	case DB_ERR_DENIED:
	case DB_ERR_SYNTAX:
	case DB_ERR_NOT_SUPPORTED:
	case DB_ERR_OTHER:
		break;
	}
	return SB_EENGINE;
}

enum err_code db_target_code(unsigned db_errno, bool mutating)
{
	return target_code(db_error_kind(db_errno),
			   mutating ? DB_INTENT_WRITE : DB_INTENT_READ);
}

int db_fail(struct db *db, enum db_intent intent, unsigned db_errno, const char *text,
	    struct sb_err *err)
{
	enum db_error_kind kind = db_error_kind(db_errno);
	enum err_code code = db->params.role == DB_STORAGE ? storage_code(kind, intent)
							   : target_code(kind, intent);
	int rc;

	if (kind == DB_ERR_LOST)
		db->lost = true;
	db->doomed |= db->in_transaction && db->params.role == DB_STORAGE;
	rc = sb_err(err, code, "%s: %s (error %u).", db->params.name, text, db_errno);
	if (err)
		err->db_errno = db_errno;
	return rc;
}

int db_lose(struct db *db, struct sb_err *err)
{
	db->lost = true;
	if (err)
		err->code = SB_EAMBIGUOUS;
	return -1;
}

int db_fail_doomed(struct db *db, struct sb_err *err)
{
	return sb_err(err, SB_ESTORAGE,
		      "%s: an earlier statement of this transaction failed.",
		      db->params.name);
}

static int fail_last(struct db *db, enum db_intent intent, struct sb_err *err)
{
	return db_fail(db, intent, mysql_errno(db->mysql), mysql_error(db->mysql), err);
}

static int close_db(struct db *db)
{
	/* The connection first: closing a statement of an open one may wait for its rows.
	 */
	if (db->mysql)
		mysql_close(db->mysql);
	db->mysql = NULL;
	db_cache_clear(db);
	return 0;
}

unsigned db_idle_seconds(void)
{
#ifdef SB_FAULTS
	const char *sooner = getenv("SB_IDLE_SECONDS");

	if (sooner)
		return (unsigned)strtoul(sooner, NULL, 10);
#endif
	return IDLE_SECONDS;
}

/*
 * Short lock waits; and a process that is frozen, or whose host has vanished, within a
 * transaction loses its row locks before its lease is over: who is to claim then skips
 * locked rows. MySQL has nothing finer than the idle connection.
 */
static int set_up_storage(struct db *db, struct sb_err *err)
{
	char sql[160];

	snprintf(
		sql, sizeof(sql),
		"SET SESSION innodb_lock_wait_timeout = 5, lock_wait_timeout = 5, %s = %u",
		db->flavor == DB_MARIADB ? "idle_transaction_timeout" : "wait_timeout",
		db_idle_seconds());
	return db_run(db, sql, err);
}

/*
 * The session that all our statements are written for. sql_mode is set as a whole, so
 * that no server default decides how text is read or a value is cut.
 */
static int set_up_session(struct db *db, struct sb_err *err)
{
	static const char session[] =
		"SET SESSION time_zone = '+00:00',"
		" sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,"
		"NO_ENGINE_SUBSTITUTION',"
		" autocommit = 1, foreign_key_checks = 1, unique_checks = 1";

	if (db_run(db, session, err) < 0 ||
	    db_run(db, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", err) < 0)
		return -1;
	return db->params.role == DB_STORAGE ? set_up_storage(db, err) : 0;
}

static int connect_to(struct db *db, struct sb_err *err)
{
	const struct db_params *p = &db->params;
	unsigned connect =
		p->connect_seconds ? p->connect_seconds : DEFAULT_CONNECT_SECONDS;
	unsigned io = p->io_seconds;
	const char *socket = p->socket && *p->socket ? p->socket : NULL;
	const char *host = socket ? "localhost" : p->host;
	const char *version;

	db->mysql = mysql_init(NULL);
	if (!db->mysql)
		BUG("mysql_init failed");
	mysql_options(db->mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
	if (io) {
		mysql_options(db->mysql, MYSQL_OPT_READ_TIMEOUT, &io);
		mysql_options(db->mysql, MYSQL_OPT_WRITE_TIMEOUT, &io);
	}
	mysql_options(db->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	if (!mysql_real_connect(db->mysql, host, p->user, p->password, p->schema, p->port,
				socket, CLIENT_FOUND_ROWS))
		return fail_last(db, DB_INTENT_CONNECT, err);
	version = mysql_get_server_info(db->mysql);
	db->flavor = strstr(version, "MariaDB") ? DB_MARIADB : DB_MYSQL;
	if (set_up_session(db, err) < 0) {
		if (err && p->role == DB_TARGET)
			err->code = SB_EUNAVAILABLE;
		return -1;
	}
	return 0;
}

int db_open(TALLOC_CTX *ctx, const struct db_params *params, struct db **out,
	    struct sb_err *err)
{
	struct db *db = mem_new(ctx, struct db);

	*out = NULL;
	db->params = *params;
	db->params.name = mem_strdup(db, params->name);
	talloc_set_destructor(db, close_db);
	if (FAULT_ERR("db.open", err) < 0 || connect_to(db, err) < 0) {
		talloc_free(db);
		return -1;
	}
	*out = db;
	return 0;
}

enum db_flavor db_flavor(const struct db *db)
{
	return db->flavor;
}

unsigned long db_version(const struct db *db)
{
	return mysql_get_server_version(db->mysql);
}

uint64_t db_connection_id(const struct db *db)
{
	return mysql_thread_id(db->mysql);
}

bool db_is_lost(const struct db *db)
{
	return db->lost;
}

const struct db_params *db_params(const struct db *db)
{
	return &db->params;
}

int db_socket(const struct db *db)
{
	return (int)db->mysql->net.fd;
}

void *db_native(struct db *db)
{
	return db->mysql;
}

/* ---- statements made at run time --------------------------------------------------- */

static int send_text(struct db *db, enum db_intent intent, const char *sql,
		     struct sb_err *err)
{
	if (db->lost)
		return db_fail(db, DB_INTENT_READ, 2006, "the connection was lost before",
			       err);
	if (db->doomed)
		return db_fail_doomed(db, err);
	if (mysql_real_query(db->mysql, sql, strlen(sql)) != 0)
		return fail_last(db, intent, err);
	return 0;
}

int db_run(struct db *db, const char *sql, struct sb_err *err)
{
	MYSQL_RES *res;

	if (send_text(db, DB_INTENT_WRITE, sql, err) < 0)
		return -1;
	res = mysql_store_result(db->mysql);
	if (!res && mysql_errno(db->mysql) != 0)
		return fail_last(db, DB_INTENT_WRITE, err);
	mysql_free_result(res);
	return 0;
}

int64_t db_change(struct db *db, const char *sql, struct sb_err *err)
{
	if (db_run(db, sql, err) < 0)
		return -1;
	return (int64_t)mysql_affected_rows(db->mysql);
}

static void copy_rows(struct db_rows *rows, MYSQL_RES *res)
{
	const MYSQL_FIELD *fields = mysql_fetch_fields(res);
	MYSQL_ROW row;

	rows->n = (size_t)mysql_num_rows(res);
	rows->width = mysql_num_fields(res);
	rows->name = mem_array(rows, char *, rows->width);
	for (size_t c = 0; c < rows->width; c++)
		rows->name[c] = mem_strdup(rows->name, fields[c].name);
	rows->cell = mem_array(rows, char **, rows->n);
	rows->len = mem_array(rows, size_t *, rows->n);
	for (size_t r = 0; (row = mysql_fetch_row(res)) != NULL; r++) {
		unsigned long *lengths = mysql_fetch_lengths(res);

		rows->cell[r] = mem_array(rows->cell, char *, rows->width);
		rows->len[r] = mem_array(rows->len, size_t, rows->width);
		for (size_t c = 0; c < rows->width; c++) {
			if (!row[c])
				continue;
			rows->cell[r][c] = mem_memdup(rows->cell[r], row[c], lengths[c]);
			rows->len[r][c] = lengths[c];
		}
	}
}

int db_query(TALLOC_CTX *ctx, struct db *db, const char *sql, struct db_rows **out,
	     struct sb_err *err)
{
	MYSQL_RES *res;

	*out = NULL;
	if (send_text(db, DB_INTENT_READ, sql, err) < 0)
		return -1;
	res = mysql_store_result(db->mysql);
	if (!res) {
		if (mysql_errno(db->mysql) != 0)
			return fail_last(db, DB_INTENT_READ, err);
		*out = mem_new(ctx, struct db_rows);
		return 0;
	}
	*out = mem_new(ctx, struct db_rows);
	copy_rows(*out, res);
	mysql_free_result(res);
	return 0;
}

/* ---- transactions --------------------------------------------------------------------
 */

int db_begin(struct db *db, struct sb_err *err)
{
	BUG_ON(db->in_transaction);
	if (send_text(db, DB_INTENT_READ, "START TRANSACTION", err) < 0)
		return -1;
	db->in_transaction = true;
	return 0;
}

int db_commit(struct db *db, struct sb_err *err)
{
	BUG_ON(!db->in_transaction);
	if (db->doomed) {
		db_rollback(db);
		return db_fail_doomed(db, err);
	}
	db->in_transaction = false;
	FAULT("db.commit.before");
	if (FAULT_ERR("db.commit.lost_before", err) < 0)
		return db_lose(db, err);
	if (send_text(db, DB_INTENT_COMMIT, "COMMIT", err) < 0)
		return -1;
	FAULT("db.commit.after");
	if (FAULT_ERR("db.commit.lost_after", err) < 0)
		return db_lose(db, err);
	return 0;
}

void db_rollback(struct db *db)
{
	if (!db->in_transaction)
		return;
	db->in_transaction = db->doomed = false;
	if (!db->lost && mysql_real_query(db->mysql, "ROLLBACK", 8) != 0)
		db->lost = true; /* unusable: closing it is what rolls back */
}

/* ---- quoting ---------------------------------------------------------------------- */

char *db_ident(TALLOC_CTX *ctx, const char *name)
{
	struct buf b;

	buf_init(&b, ctx);
	buf_char(&b, '`');
	for (const char *p = name; *p; p++) {
		if (*p == '`')
			buf_char(&b, '`');
		buf_char(&b, *p);
	}
	buf_char(&b, '`');
	return b.data;
}

char *db_ident2(TALLOC_CTX *ctx, const char *schema, const char *name)
{
	char *quoted = db_ident(ctx, name), *prefix, *both;

	if (!schema)
		return quoted;
	prefix = db_ident(ctx, schema);
	both = mem_printf(ctx, "%s.%s", prefix, quoted);
	talloc_free(prefix);
	talloc_free(quoted);
	return both;
}

/*
 * Hexadecimal with a character set introducer when the text has a backslash, because what
 * a backslash means depends on the server's sql_mode; plain quotes otherwise.
 */
char *db_literal(TALLOC_CTX *ctx, const char *text)
{
	struct buf b;

	buf_init(&b, ctx);
	if (strchr(text, '\\')) {
		buf_str(&b, "_utf8mb4 0x");
		for (const char *p = text; *p; p++)
			buf_printf(&b, "%02x", (unsigned)(unsigned char)*p);
		return b.data;
	}
	buf_char(&b, '\'');
	for (const char *p = text; *p; p++) {
		if (*p == '\'')
			buf_char(&b, '\'');
		buf_char(&b, *p);
	}
	buf_char(&b, '\'');
	return b.data;
}

/* ---- library ---------------------------------------------------------------------- */

void db_library_init(void)
{
	if (mysql_library_init(0, NULL, NULL) != 0)
		BUG("the MySQL client library does not initialize");
}

void db_thread_init(void)
{
	if (mysql_thread_init())
		BUG("the MySQL client library does not initialize a thread");
}

void db_thread_end(void)
{
	mysql_thread_end();
}
