/*
 * db_stmt.c - prepared statements: cached per connection, bound and fetched by tables.
 *
 * Part of db.h. A statement is prepared on first use and kept until the connection
 * closes. Results are stored on the client at once, so that a cursor never holds a
 * transaction open.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/db.h"
#include "core/base/db_internal.h"
#include "core/base/fault.h"

#define MAX_BINDS 32
#define MAX_COLS  64

/* `bool` in Oracle's library, `my_bool` in MariaDB's. */
#ifdef MARIADB_BASE_VERSION
typedef my_bool db_flag;
#else
typedef bool db_flag;
#endif

struct db_cached {
	const struct db_stmt *stmt;
	MYSQL_STMT *handle;
};

struct db_bind db_bind_int(int64_t i)
{
	return (struct db_bind){ .type = DB_BIND_INT, .i = i };
}

struct db_bind db_bind_uint(uint64_t u)
{
	return (struct db_bind){ .type = DB_BIND_UINT, .u = u };
}

struct db_bind db_bind_double(double d)
{
	return (struct db_bind){ .type = DB_BIND_DOUBLE, .d = d };
}

struct db_bind db_bind_str(const char *s)
{
	if (!s)
		return (struct db_bind){ .type = DB_BIND_NULL };
	return (struct db_bind){ .type = DB_BIND_STR, .s = s, .len = strlen(s) };
}

void db_cache_clear(struct db *db)
{
	for (size_t i = 0; i < db->n_cache; i++)
		mysql_stmt_close(db->cache[i]->handle);
	db->n_cache = 0;
}

static int fail_stmt(struct db *db, MYSQL_STMT *handle, const struct db_stmt *stmt,
		     enum db_intent intent, struct sb_err *err)
{
	db_fail(db, intent, mysql_stmt_errno(handle), mysql_stmt_error(handle), err);
	return sb_err_prefix(err, "%s", stmt->name);
}

static int prepare(struct db *db, const struct db_stmt *stmt, MYSQL_STMT **out,
		   struct sb_err *err)
{
	static const db_flag yes = 1;
	MYSQL_STMT *handle = NULL;

	for (size_t i = 0; i < db->n_cache; i++)
		if (db->cache[i]->stmt == stmt) {
			*out = db->cache[i]->handle;
			return 0;
		}
	if (db->lost)
		return db_fail(db, DB_INTENT_READ, 2006, "the connection was lost before",
			       err);
	handle = mysql_stmt_init(db->mysql);
	if (!handle)
		BUG("mysql_stmt_init failed");
	if (mysql_stmt_prepare(handle, stmt->sql, strlen(stmt->sql)) != 0) {
		fail_stmt(db, handle, stmt, DB_INTENT_READ, err);
		mysql_stmt_close(handle);
		return -1;
	}
	mysql_stmt_attr_set(handle, STMT_ATTR_UPDATE_MAX_LENGTH, &yes);
	db->cache = mem_grow(db, db->cache, struct db_cached *, db->n_cache + 1);
	db->cache[db->n_cache] = mem_new(db->cache, struct db_cached);
	*db->cache[db->n_cache] = (struct db_cached){ stmt, handle };
	db->n_cache++;
	*out = handle;
	return 0;
}

int db_prepare_all(struct db *db, const struct db_stmt_set *set, struct sb_err *err)
{
	MYSQL_STMT *handle = NULL;

	for (size_t i = 0; i < set->n; i++)
		if (prepare(db, set->list[i], &handle, err) < 0)
			return sb_err_prefix(err, "%s", set->name);
	return 0;
}

/* The client library takes its parameters through pointers to non-const. */
static void *unconst(const void *p)
{
	union {
		const void *in;
		void *out;
	} u = { .in = p };

	return u.out;
}

static int execute(struct db *db, const struct db_stmt *stmt, const struct db_bind *binds,
		   size_t n_binds, enum db_intent intent, MYSQL_STMT **out,
		   struct sb_err *err)
{
	MYSQL_BIND params[MAX_BINDS];
	MYSQL_STMT *handle = NULL;

	if (db->doomed)
		return db_fail_doomed(db, err);
	if (prepare(db, stmt, &handle, err) < 0)
		return -1;
	BUG_ON(n_binds > MAX_BINDS);
	if (mysql_stmt_param_count(handle) != n_binds)
		BUG("%s takes %lu parameters, not %zu", stmt->name,
		    mysql_stmt_param_count(handle), n_binds);
	memset(params, 0, sizeof(params));
	for (size_t i = 0; i < n_binds; i++) {
		const struct db_bind *b = &binds[i];

		switch (b->type) {
		case DB_BIND_NULL:
			params[i].buffer_type = MYSQL_TYPE_NULL;
			break;
		case DB_BIND_INT:
		case DB_BIND_UINT:
			params[i].buffer_type = MYSQL_TYPE_LONGLONG;
			params[i].is_unsigned = b->type == DB_BIND_UINT;
			params[i].buffer =
				unconst(b->type == DB_BIND_UINT ? (const void *)&b->u
								: (const void *)&b->i);
			break;
		case DB_BIND_DOUBLE:
			params[i].buffer_type = MYSQL_TYPE_DOUBLE;
			params[i].buffer = unconst(&b->d);
			break;
		case DB_BIND_STR:
			params[i].buffer_type = MYSQL_TYPE_STRING;
			params[i].buffer = unconst(b->s);
			params[i].buffer_length = b->len;
			break;
		}
	}
	if (n_binds > 0 && mysql_stmt_bind_param(handle, params) != 0)
		return fail_stmt(db, handle, stmt, intent, err);
	if (mysql_stmt_execute(handle) != 0)
		return fail_stmt(db, handle, stmt, intent, err);
	*out = handle;
	return 0;
}

/* A statement that commits itself is a durable step like COMMIT. */
static int64_t exec_autocommit(struct db *db, const struct db_stmt *stmt,
			       const struct db_bind *binds, size_t n_binds,
			       struct sb_err *err)
{
	MYSQL_STMT *handle = NULL;

	FAULT("db.write.before");
	if (FAULT_ERR("db.write.lost_before", err) < 0)
		return db_lose(db, err);
	if (execute(db, stmt, binds, n_binds, DB_INTENT_COMMIT, &handle, err) < 0)
		return -1;
	FAULT("db.write.after");
	if (FAULT_ERR("db.write.lost_after", err) < 0)
		return db_lose(db, err);
	return (int64_t)mysql_stmt_affected_rows(handle);
}

int64_t db_exec(struct db *db, const struct db_stmt *stmt, const struct db_bind *binds,
		size_t n_binds, struct sb_err *err)
{
	enum db_intent intent = db->in_transaction ? DB_INTENT_READ : DB_INTENT_WRITE;
	MYSQL_STMT *handle = NULL;

	if (!db->in_transaction && db->params.role == DB_STORAGE)
		return exec_autocommit(db, stmt, binds, n_binds, err);
	if (execute(db, stmt, binds, n_binds, intent, &handle, err) < 0)
		return -1;
	return (int64_t)mysql_stmt_affected_rows(handle);
}

uint64_t db_insert_id(const struct db *db)
{
	return mysql_insert_id(db->mysql);
}

/* ---- results ---------------------------------------------------------------------- */

struct cell {
	int64_t i;
	uint64_t u;
	double d;
	char *text;
	unsigned long len;
	db_flag is_null;
};

static void bind_cell(MYSQL_BIND *b, struct cell *cell, enum db_col_type type)
{
	memset(b, 0, sizeof(*b));
	b->is_null = &cell->is_null;
	b->length = &cell->len;
	switch (type) {
	case DB_COL_I64:
	case DB_COL_I64_NEG:
	case DB_COL_INT:
	case DB_COL_BOOL:
		b->buffer_type = MYSQL_TYPE_LONGLONG;
		b->buffer = &cell->i;
		return;
	case DB_COL_U64:
		b->buffer_type = MYSQL_TYPE_LONGLONG;
		b->is_unsigned = 1;
		b->buffer = &cell->u;
		return;
	case DB_COL_DOUBLE:
		b->buffer_type = MYSQL_TYPE_DOUBLE;
		b->buffer = &cell->d;
		return;
	case DB_COL_STR:
	case DB_COL_ENUM:
		b->buffer_type = MYSQL_TYPE_STRING;
		b->buffer = cell->text;
		b->buffer_length = cell->len;
		return;
	}
}

static bool is_text(enum db_col_type type)
{
	return type == DB_COL_STR || type == DB_COL_ENUM;
}

/* Text buffers as wide as the widest value of the stored result, from ctx. */
static void make_cells(TALLOC_CTX *ctx, MYSQL_STMT *handle, const struct db_col *cols,
		       size_t n_cols, struct cell *cells)
{
	MYSQL_RES *meta = mysql_stmt_result_metadata(handle);

	for (size_t c = 0; c < n_cols; c++) {
		unsigned long width = 0;

		memset(&cells[c], 0, sizeof(cells[c]));
		if (!is_text(cols[c].type))
			continue;
		if (meta)
			width = mysql_fetch_field_direct(meta, (unsigned)c)->max_length;
		/* Dates and numbers fetched as text have no max_length in either library.
		 */
		if (width < 32)
			width = 32;
		cells[c].text = mem_array(ctx, char, width + 1);
		cells[c].len = width;
	}
	mysql_free_result(meta);
}

static int store_cell(TALLOC_CTX *ctx, const struct db_stmt *stmt,
		      const struct db_col *col, const struct cell *cell, char *row,
		      struct sb_err *err)
{
	void *at = row + col->offset;
	int value;

	switch (col->type) {
	case DB_COL_STR:
		*(char **)at =
			cell->is_null ? NULL : mem_memdup(ctx, cell->text, cell->len);
		return 0;
	case DB_COL_I64:
		*(int64_t *)at = cell->is_null ? 0 : cell->i;
		return 0;
	case DB_COL_I64_NEG:
		*(int64_t *)at = cell->is_null ? -1 : cell->i;
		return 0;
	case DB_COL_U64:
		*(uint64_t *)at = cell->is_null ? 0 : cell->u;
		return 0;
	case DB_COL_INT:
		*(int *)at = cell->is_null ? 0 : (int)cell->i;
		return 0;
	case DB_COL_BOOL:
		*(bool *)at = !cell->is_null && cell->i != 0;
		return 0;
	case DB_COL_DOUBLE:
		*(double *)at = cell->is_null ? 0 : cell->d;
		return 0;
	case DB_COL_ENUM:
		cell->text[cell->is_null ? 0 : cell->len] = '\0';
		if (col->parse(cell->text, &value) < 0)
			return sb_err(err, SB_EINTERNAL,
				      "%s: unknown value '%s' in storage.", stmt->name,
				      cell->text);
		memcpy(at, &value, sizeof(value));
		return 0;
	}
	return 0;
}

/* Bind the cells to the stored result; widths are known now. */
static int bind_cells(struct db *db, MYSQL_STMT *handle, const struct db_stmt *stmt,
		      const struct db_col *cols, size_t n_cols, struct cell *cells,
		      struct sb_err *err)
{
	MYSQL_BIND binds[MAX_COLS];

	if (mysql_stmt_field_count(handle) != n_cols)
		BUG("%s returns %u columns, not %zu", stmt->name,
		    mysql_stmt_field_count(handle), n_cols);
	for (size_t c = 0; c < n_cols; c++)
		bind_cell(&binds[c], &cells[c], cols[c].type);
	if (mysql_stmt_bind_result(handle, binds) != 0)
		return fail_stmt(db, handle, stmt, DB_INTENT_READ, err);
	return 0;
}

/* Fetch up to max rows (0 = all) into an array grown from ctx. */
static int fetch_rows(TALLOC_CTX *ctx, struct db *db, const struct db_stmt *stmt,
		      MYSQL_STMT *handle, const struct db_col *cols, size_t n_cols,
		      size_t row_size, size_t max, char **rows, size_t *n,
		      struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(ctx, "cells");
	struct cell cells[MAX_COLS];
	size_t total;
	int rc = -1;

	BUG_ON(n_cols > MAX_COLS);
	if (mysql_stmt_store_result(handle) != 0) {
		/* The library would now wait for rows that do not come (a deadlock ends a
		 * locking read here): the connection cannot be used any more. */
		fail_stmt(db, handle, stmt, DB_INTENT_READ, err);
		db->lost = true;
		talloc_free(tmp);
		return -1;
	}
	total = (size_t)mysql_stmt_num_rows(handle);
	if (max > 0 && total > max)
		total = max;
	make_cells(tmp, handle, cols, n_cols, cells);
	if (bind_cells(db, handle, stmt, cols, n_cols, cells, err) < 0)
		goto out;
	if (!*rows)
		*rows = mem_alloc(ctx, row_size, total, "rows");
	for (*n = 0; *n < total; (*n)++) {
		int fetched = mysql_stmt_fetch(handle);

		if (fetched == MYSQL_NO_DATA)
			break;
		if (fetched != 0) {
			fail_stmt(db, handle, stmt, DB_INTENT_READ, err);
			goto out;
		}
		for (size_t c = 0; c < n_cols; c++)
			if (store_cell(ctx, stmt, &cols[c], &cells[c],
				       *rows + *n * row_size, err) < 0)
				goto out;
	}
	rc = 0;
out:
	mysql_stmt_free_result(handle);
	talloc_free(tmp);
	return rc;
}

int db_one(TALLOC_CTX *ctx, struct db *db, const struct db_stmt *stmt,
	   const struct db_bind *binds, size_t n_binds, const struct db_col *cols,
	   size_t n_cols, void *row, struct sb_err *err)
{
	MYSQL_STMT *handle = NULL;
	char *into = row;
	size_t n = 0;

	if (execute(db, stmt, binds, n_binds, DB_INTENT_READ, &handle, err) < 0)
		return -1;
	if (fetch_rows(ctx, db, stmt, handle, cols, n_cols, 0, 1, &into, &n, err) < 0)
		return -1;
	return n > 0;
}

int db_all(TALLOC_CTX *ctx, struct db *db, const struct db_stmt *stmt,
	   const struct db_bind *binds, size_t n_binds, const struct db_col *cols,
	   size_t n_cols, size_t row_size, void *rows, size_t *n_rows, struct sb_err *err)
{
	MYSQL_STMT *handle = NULL;
	char *array = NULL;

	*(void **)rows = NULL;
	*n_rows = 0;
	if (execute(db, stmt, binds, n_binds, DB_INTENT_READ, &handle, err) < 0)
		return -1;
	if (fetch_rows(ctx, db, stmt, handle, cols, n_cols, row_size, 0, &array, n_rows,
		       err) < 0)
		return -1;
	*(void **)rows = array;
	return 0;
}
