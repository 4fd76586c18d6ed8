/*
 * db.h - one connection to MariaDB or MySQL: prepared statements, typed errors.
 *
 * Used for our storage and for target servers. Every connection is utf8mb4, UTC,
 * READ COMMITTED, strict, with found-rows counting and explicit timeouts; it never
 * reconnects by itself. A failed statement's errno is looked up in one table
 * (errors.def) and becomes an sb_err code that depends on the connection's role:
 *
 *   DB_STORAGE  lost, full, missing -> SB_ESTORAGE; COMMIT unanswered -> SB_EAMBIGUOUS
 *   DB_TARGET   cannot connect -> SB_EUNAVAILABLE; lost under a read -> SB_ERETRY, under
 *               a write -> SB_EAMBIGUOUS; lock wait, deadlock -> SB_ERETRY; rest
 * SB_EENGINE
 *
 * Must never: be used by two threads at once, build SQL from text that did not go
 * through db_ident()/db_literal(), or log a statement's values.
 */
#ifndef SB_BASE_DB_H
#define SB_BASE_DB_H

#include <stdint.h>

#include "core/base/err.h"
#include "core/base/mem.h"

enum db_flavor { DB_MARIADB, DB_MYSQL };
enum db_role { DB_STORAGE, DB_TARGET };

/* What kind of failure a server or client error number is. */
enum db_error_kind {
	DB_ERR_NONE,
	DB_ERR_LOST,	  /* connection gone or not to be had */
	DB_ERR_BUSY,	  /* lock wait timeout, deadlock, statement timeout */
	DB_ERR_DUPLICATE, /* unique key */
	DB_ERR_MISSING,	  /* schema, table, column or index does not exist */
	DB_ERR_EXISTS,	  /* it exists already */
	DB_ERR_DENIED,	  /* privilege or password */
	DB_ERR_KILLED,	  /* KILL QUERY */
	DB_ERR_RESOURCE,  /* disk, memory, connections, temporary space */
	DB_ERR_READONLY,  /* read-only or failed-over server */
	DB_ERR_SYNTAX,
	DB_ERR_NOT_SUPPORTED, /* e.g. ALGORITHM not possible for this ALTER */
	DB_ERR_OTHER,
};
enum db_error_kind db_error_kind(unsigned db_errno);
/* What an error of a target's statement means: one that only reads, or one that changes.
 */
enum err_code db_target_code(unsigned db_errno, bool mutating);

struct db_params {
	const char *name; /* for messages: "storage", "shop/staging" */
	enum db_role role;
	const char *host, *socket; /* socket wins when not empty */
	unsigned port;
	const char *user, *password;
	const char *schema;	  /* default schema or NULL */
	unsigned connect_seconds; /* 0 = 5 */
	unsigned io_seconds;	  /* read and write timeout; 0 = none */
};

struct db;

/* Connect. *out belongs to ctx; freeing it closes the connection. */
int db_open(TALLOC_CTX *ctx, const struct db_params *params, struct db **out,
	    struct sb_err *err) MUST_CHECK;

enum db_flavor db_flavor(const struct db *db);
/* 101109 for 10.11.9, 90704 for 9.7.4 (mysql_get_server_version()). */
unsigned long db_version(const struct db *db);
/* The server's connection id, for KILL and for naming the holder of a lock. */
uint64_t db_connection_id(const struct db *db);
/* True after an error that proved the connection unusable: free it and open another. */
bool db_is_lost(const struct db *db);
const struct db_params *db_params(const struct db *db);
/* After so many seconds of our silence a server lets go of what we hold: storage of the
 * row locks of an open transaction, a target of the advisory locks of a changing driver.
 */
unsigned db_idle_seconds(void);
/* The connection's socket: to be dup()ed by somebody who may have to shutdown() it while
 * another thread is blocked in a call on db; the call then returns that it was lost. */
int db_socket(const struct db *db);
/* The client library's MYSQL *: for what this file has no word for, which is only the
 * binlog stream. The connection is good for nothing else then. */
void *db_native(struct db *db);

/* ---- prepared statements ------------------------------------------------------- */

struct db_stmt {
	const char *name, *sql;
};
struct db_stmt_set {
	const char *name;
	const struct db_stmt *const *list;
	size_t n;
};

/*
 * DB_STATEMENTS(operation, LIST) where LIST(S) is S(NAME, "SQL") S(NAME, "SQL") …
 * defines NAME for use in the calls below, and operation_statements, the set that a
 * start-up check and a test prepare one by one.
 */
#define DB_STMT_DEFINE_(stmt_name, stmt_sql) \
	static const struct db_stmt stmt_name[1] = { { #stmt_name, stmt_sql } };
#define DB_STMT_LIST_(stmt_name, stmt_sql) stmt_name,
#define DB_STATEMENTS(set, LIST)                                                    \
	LIST(DB_STMT_DEFINE_)                                                       \
	static const struct db_stmt *const set##_list_[] = { LIST(DB_STMT_LIST_) }; \
	const struct db_stmt_set set##_statements = { #set, set##_list_,            \
						      ARRAY_SIZE(set##_list_) };

struct db_bind {
	enum {
		DB_BIND_NULL,
		DB_BIND_INT,
		DB_BIND_UINT,
		DB_BIND_DOUBLE,
		DB_BIND_STR
	} type;
	int64_t i;
	uint64_t u;
	double d;
	const char *s;
	size_t len;
};
struct db_bind db_bind_int(int64_t i);
struct db_bind db_bind_uint(uint64_t u);
struct db_bind db_bind_double(double d);
struct db_bind db_bind_str(const char *s); /* NULL becomes SQL NULL */

/* BIND(owner, 60, op->id): up to 24 values of integer, bool, double or string type. */
#define DB_B_(x) \
	_Generic((x), char *: db_bind_str, const char *: db_bind_str,                    \
		 bool: db_bind_int, int: db_bind_int, long: db_bind_int,                 \
		 long long: db_bind_int, unsigned: db_bind_uint,                         \
		 unsigned long: db_bind_uint, unsigned long long: db_bind_uint,          \
		 double: db_bind_double)(x)
#define BIND(...) \
	(const struct db_bind[]){ DB_EACH_(__VA_ARGS__) }, DB_COUNT_(__VA_ARGS__)
#define NO_BIND NULL, 0

/* Where a result column goes in the caller's struct. */
enum db_col_type {
	DB_COL_STR,	/* char *, NULL for SQL NULL; belongs to the ctx of the call */
	DB_COL_I64,	/* int64_t, SQL NULL becomes 0 */
	DB_COL_I64_NEG, /* int64_t, SQL NULL becomes -1 */
	DB_COL_U64,	/* uint64_t, SQL NULL becomes 0 */
	DB_COL_INT,	/* int, SQL NULL becomes 0 */
	DB_COL_BOOL,	/* bool */
	DB_COL_DOUBLE,	/* double */
	DB_COL_ENUM,	/* text turned by parse() into an int-sized enum */
};
struct db_col {
	enum db_col_type type;
	size_t offset;
	/* DB_COL_ENUM only: 0 or -1 for a text it does not know */
	int (*parse)(const char *text, int *value);
};
#define COL(kind, type, field)                             \
	{                                                  \
		DB_COL_##kind, offsetof(type, field), NULL \
	}
#define COL_ENUM(type, field, parse_fn)                        \
	{                                                      \
		DB_COL_ENUM, offsetof(type, field), (parse_fn) \
	}

/* Rows matched (not changed) by the statement, or -1. */
int64_t db_exec(struct db *db, const struct db_stmt *stmt, const struct db_bind *binds,
		size_t n_binds, struct sb_err *err) MUST_CHECK;
uint64_t db_insert_id(const struct db *db);

/* 1 and *row filled from the first row, 0 for no row, -1. */
int db_one(TALLOC_CTX *ctx, struct db *db, const struct db_stmt *stmt,
	   const struct db_bind *binds, size_t n_binds, const struct db_col *cols,
	   size_t n_cols, void *row, struct sb_err *err) MUST_CHECK;

/* All rows as an array of structs of row_size bytes, allocated from ctx. */
int db_all(TALLOC_CTX *ctx, struct db *db, const struct db_stmt *stmt,
	   const struct db_bind *binds, size_t n_binds, const struct db_col *cols,
	   size_t n_cols, size_t row_size, void *rows, size_t *n_rows,
	   struct sb_err *err) MUST_CHECK;

/* Prepare every statement of a set; -1 names the first that this server refuses. */
int db_prepare_all(struct db *db, const struct db_stmt_set *set,
		   struct sb_err *err) MUST_CHECK;

/* ---- transactions -------------------------------------------------------------- */

int db_begin(struct db *db, struct sb_err *err) MUST_CHECK;
/* SB_EAMBIGUOUS when the server's answer was lost: it may have happened. A transaction of
 * storage of which a statement failed is rolled back instead, and takes no other. */
int db_commit(struct db *db, struct sb_err *err) MUST_CHECK;
/* Never fails: where the server cannot be reached it rolls back by itself. */
void db_rollback(struct db *db);

/* ---- statements made at run time (DDL, SHOW, introspection of targets) ---------- */

/* Run one statement; result rows, if any, are discarded. A lost connection is
 * SB_EAMBIGUOUS on a target. */
int db_run(struct db *db, const char *sql, struct sb_err *err) MUST_CHECK;

/* The same, and answers how many rows it changed. */
int64_t db_change(struct db *db, const char *sql, struct sb_err *err) MUST_CHECK;

struct db_rows {
	size_t n, width;
	char **name;  /* of the columns */
	char ***cell; /* cell[row][column], NULL for SQL NULL */
	size_t **len; /* length of each cell in bytes */
};
/* Run one query and keep its rows as text, allocated from ctx. Reads only: a lost
 * connection is SB_ERETRY on a target. */
int db_query(TALLOC_CTX *ctx, struct db *db, const char *sql, struct db_rows **out,
	     struct sb_err *err) MUST_CHECK;

/* `name` quoted as an identifier, backticks doubled. */
char *db_ident(TALLOC_CTX *ctx, const char *name);
/* `schema`.`name`, or only the name when schema is NULL. */
char *db_ident2(TALLOC_CTX *ctx, const char *schema, const char *name);
/* 'text' quoted as a string literal; independent of sql_mode (no backslash is left bare).
 */
char *db_literal(TALLOC_CTX *ctx, const char *text);

/* Library set-up and per-thread set-up/tear-down for threads that use connections. */
void db_library_init(void);
void db_thread_init(void);
void db_thread_end(void);

/* ---- macro machinery for BIND ---------------------------------------------------- */
#define DB_COUNT_(...)                                               \
	(sizeof((const struct db_bind[]){ DB_EACH_(__VA_ARGS__) }) / \
	 sizeof(struct db_bind))
#define DB_EACH_(...)                                                                    \
	DB_PICK_(__VA_ARGS__, DB_E24_, DB_E23_, DB_E22_, DB_E21_, DB_E20_, DB_E19_,      \
		 DB_E18_, DB_E17_, DB_E16_, DB_E15_, DB_E14_, DB_E13_, DB_E12_, DB_E11_, \
		 DB_E10_, DB_E9_, DB_E8_, DB_E7_, DB_E6_, DB_E5_, DB_E4_, DB_E3_,        \
		 DB_E2_, DB_E1_, )                                                       \
	(__VA_ARGS__)
#define DB_PICK_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, \
		 a17, a18, a19, a20, a21, a22, a23, a24, N, ...)                        \
	N
#define DB_E1_(x)	DB_B_(x)
#define DB_E2_(x, ...)	DB_B_(x), DB_E1_(__VA_ARGS__)
#define DB_E3_(x, ...)	DB_B_(x), DB_E2_(__VA_ARGS__)
#define DB_E4_(x, ...)	DB_B_(x), DB_E3_(__VA_ARGS__)
#define DB_E5_(x, ...)	DB_B_(x), DB_E4_(__VA_ARGS__)
#define DB_E6_(x, ...)	DB_B_(x), DB_E5_(__VA_ARGS__)
#define DB_E7_(x, ...)	DB_B_(x), DB_E6_(__VA_ARGS__)
#define DB_E8_(x, ...)	DB_B_(x), DB_E7_(__VA_ARGS__)
#define DB_E9_(x, ...)	DB_B_(x), DB_E8_(__VA_ARGS__)
#define DB_E10_(x, ...) DB_B_(x), DB_E9_(__VA_ARGS__)
#define DB_E11_(x, ...) DB_B_(x), DB_E10_(__VA_ARGS__)
#define DB_E12_(x, ...) DB_B_(x), DB_E11_(__VA_ARGS__)
#define DB_E13_(x, ...) DB_B_(x), DB_E12_(__VA_ARGS__)
#define DB_E14_(x, ...) DB_B_(x), DB_E13_(__VA_ARGS__)
#define DB_E15_(x, ...) DB_B_(x), DB_E14_(__VA_ARGS__)
#define DB_E16_(x, ...) DB_B_(x), DB_E15_(__VA_ARGS__)
#define DB_E17_(x, ...) DB_B_(x), DB_E16_(__VA_ARGS__)
#define DB_E18_(x, ...) DB_B_(x), DB_E17_(__VA_ARGS__)
#define DB_E19_(x, ...) DB_B_(x), DB_E18_(__VA_ARGS__)
#define DB_E20_(x, ...) DB_B_(x), DB_E19_(__VA_ARGS__)
#define DB_E21_(x, ...) DB_B_(x), DB_E20_(__VA_ARGS__)
#define DB_E22_(x, ...) DB_B_(x), DB_E21_(__VA_ARGS__)
#define DB_E23_(x, ...) DB_B_(x), DB_E22_(__VA_ARGS__)
#define DB_E24_(x, ...) DB_B_(x), DB_E23_(__VA_ARGS__)

#endif
