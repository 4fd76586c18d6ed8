/*
 * store.c - the storage of the C tests. See store.h.
 */
#include "tests/it/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/id.h"
#include "core/scheduler/converge.h"
#include "core/store/operation.h"
#include "core/store/storage.h"

struct store store;

static const char *const tables[] = {
#define STORAGE_TABLE(name, sql) name,
#include "storage_sql.h"
#undef STORAGE_TABLE
};

static char *format(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

static char *format(const char *fmt, va_list ap)
{
	return mem_vprintf(store.ctx, fmt, ap);
}

static int make_schema(const char *name)
{
	struct db_params params = store.config.storage;
	struct sb_err err = { 0 };
	struct db *db;
	int rc = -1;

	params.schema = NULL;
	if (db_open(NULL, &params, &db, &err) == 0) {
		if (db_run(db, mem_printf(store.ctx, "DROP DATABASE IF EXISTS %s", name),
			   &err) == 0 &&
		    db_run(db,
			   mem_printf(store.ctx,
				      "CREATE DATABASE %s CHARACTER SET utf8mb4", name),
			   &err) == 0)
			rc = 0;
		talloc_free(db);
	}
	if (rc < 0)
		fprintf(stderr, "%s\n", err.msg);
	return rc;
}

int store_start(void **state)
{
	const char *socket = getenv("SB_DB_SOCKET");
	struct convergence done;
	struct sb_err err = { 0 };

	(void)state;
	if (!socket) {
		fprintf(stderr, "SB_DB_SOCKET is not set; see tests/it/store.h\n");
		return -1;
	}
	db_library_init();
	store.ctx = mem_ctx(NULL, "store");
	store.config.storage = (struct db_params){
		.name = "storage",
		.role = DB_STORAGE,
		.socket = socket,
		.user = getenv("SB_DB_USER"),
		.password = getenv("SB_DB_PASSWORD"),
		.schema = "schemabot_c_tests",
	};
	if (make_schema("schemabot_c_tests") < 0)
		return -1;
	if (converge(store.ctx, &store.config, 60, &done, &err) < 0 ||
	    storage_open(NULL, &store.config, &store.db, &err) < 0 ||
	    storage_connect(NULL, &store.config, &store.admin, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return -1;
	}
	return 0;
}

int store_stop(void **state)
{
	(void)state;
	if (store.admin)
		store_sql("DROP DATABASE schemabot_c_tests");
	talloc_free(store.db);
	talloc_free(store.admin);
	talloc_free(store.ctx);
	store = (struct store){ 0 };
	return 0;
}

int store_empty(void **state)
{
	struct sb_err err;

	(void)state;
	talloc_free(store.ctx);
	store.ctx = mem_ctx(NULL, "store");
	if (db_is_lost(store.db)) {
		talloc_free(store.db);
		if (storage_connect(NULL, &store.config, &store.db, &err) < 0)
			return -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		store_sql("DELETE FROM %s", tables[i]);
	return 0;
}

struct db *store_connect(void)
{
	struct sb_err err = { 0 };
	struct db *db;

	if (storage_connect(store.ctx, &store.config, &db, &err) < 0)
		fail_msg("%s", err.msg);
	return db;
}

/* ---- SQL -----------------------------------------------------------------------------
 */

void store_sql(const char *fmt, ...)
{
	struct sb_err err = { 0 };
	va_list ap;

	va_start(ap, fmt);
	if (db_run(store.admin, format(fmt, ap), &err) < 0)
		fail_msg("%s: %s", fmt, err.msg);
	va_end(ap);
}

unsigned store_try(const char *fmt, ...)
{
	struct sb_err err = { 0 };
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = db_run(store.admin, format(fmt, ap), &err);
	va_end(ap);
	return rc < 0 ? err.db_errno : 0;
}

static char *first_cell(const char *sql)
{
	struct sb_err err = { 0 };
	struct db_rows *rows;

	if (db_query(store.ctx, store.admin, sql, &rows, &err) < 0)
		fail_msg("%s: %s", sql, err.msg);
	return rows->n > 0 && rows->width > 0 ? rows->cell[0][0] : NULL;
}

int64_t store_number(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = first_cell(format(fmt, ap));
	va_end(ap);
	return text ? strtoll(text, NULL, 10) : -1;
}

char *store_text(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = first_cell(format(fmt, ap));
	va_end(ap);
	return text;
}

/* ---- snapshots -----------------------------------------------------------------------
 */

static void add_table(struct buf *b, const char *table)
{
	char *sql = mem_printf(store.ctx, "SELECT * FROM %s ORDER BY id", table);
	struct sb_err err = { 0 };
	struct db_rows *rows;

	if (db_query(store.ctx, store.admin, sql, &rows, &err) < 0)
		fail_msg("%s: %s", sql, err.msg);
	for (size_t r = 0; r < rows->n; r++) {
		buf_printf(b, "%s:", table);
		for (size_t c = 0; c < rows->width; c++)
			buf_printf(b, " %s",
				   rows->cell[r][c] ? rows->cell[r][c] : "NULL");
		buf_char(b, '\n');
	}
}

char *store_snapshot(void)
{
	struct buf b;

	buf_init(&b, store.ctx);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		add_table(&b, tables[i]);
	return b.data;
}

void store_assert_unchanged(const char *before)
{
	char *now = store_snapshot();

	if (strcmp(before, now) != 0)
		fail_msg("rows have changed; before:\n%snow:\n%s", before, now);
}

/* ---- rows ----------------------------------------------------------------------------
 */

static uint64_t last_id(void)
{
	return (uint64_t)store_number("SELECT LAST_INSERT_ID()");
}

struct made store_make(size_t n_tasks)
{
	struct made m = { 0 };
	uint64_t plan;

	assert_true(n_tasks <= ARRAY_SIZE(m.tasks));
	snprintf(m.apply_id, sizeof(m.apply_id), "%s", id_new(store.ctx, "apply"));
	store_sql(
		"INSERT INTO plans (plan_id, database_name, database_type, environment,"
		" deployment, target, engine, schema_files, plan_data) VALUES ('plan-%s',"
		" 'shop', 'mysql', '%s', 'd', 't', 'mysql', '{}', '{}')",
		m.apply_id, m.apply_id);
	plan = last_id();
	store_sql(
		"INSERT INTO applies (apply_id, plan_row, database_name, database_type,"
		" environment, deployment, engine, options, volume, state) VALUES ('%s',"
		" %llu, 'shop', 'mysql', '%s', 'd', 'mysql', '{}', 3, 'pending')",
		m.apply_id, (unsigned long long)plan, m.apply_id);
	m.apply_row = last_id();
	store_sql("INSERT INTO apply_operations (apply_row, deployment, target, state,"
		  " claim_after) VALUES (%llu, 'd', 't', 'pending',"
		  " NOW(6) - INTERVAL 1 SECOND)",
		  (unsigned long long)m.apply_row);
	m.operation = last_id();
	for (size_t i = 0; i < n_tasks; i++) {
		store_sql("INSERT INTO tasks (task_id, apply_row, operation_row, seq,"
			  " namespace, table_name, ddl, ddl_action, mode_reason, state)"
			  " VALUES ('%s-%zu', %llu, %llu, %zu, 'shop', 't%zu',"
			  " 'ALTER TABLE t%zu ADD n int', 'alter', '', 'pending')",
			  m.apply_id, i, (unsigned long long)m.apply_row,
			  (unsigned long long)m.operation, i + 1, i, i);
		m.tasks[i] = last_id();
	}
	return m;
}

uint64_t store_request(const struct made *m, const char *operation)
{
	store_sql("INSERT INTO apply_control_requests (apply_row, operation, metadata)"
		  " VALUES (%llu, '%s', '{}')",
		  (unsigned long long)m->apply_row, operation);
	return last_id();
}

struct lease store_claim(const struct made *m)
{
	struct sb_err err = { 0 };
	struct claim claim;

	if (operation_claim(store.db, "host/1/driver", NULL, NULL, &claim, &err) != 1)
		fail_msg("nothing was claimed: %s", err.msg);
	assert_true(claim.lease.operation == m->operation);
	return claim.lease;
}

void store_rotate(const struct made *m)
{
	store_sql("UPDATE apply_operations SET lease_token = lease_token + 1,"
		  " lease_owner = 'other/2/driver' WHERE id = %llu",
		  (unsigned long long)m->operation);
}
