/*
 * copy_load.c - see copy_load.h.
 */
#include "tests/it/copy_load.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engines/mysql/checkpoint.h"

/* Both tables get the same number, and zero is one. */
#define ZERO_IS_ZERO "'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'"

/* ---- the application ------------------------------------------------------------------
 */

struct load_application load_application;

static char *expand(TALLOC_CTX *ctx, const char *text, const char *table, unsigned a,
		    unsigned b)
{
	struct buf out;

	buf_init(&out, ctx);
	for (const char *p = text; *p; p++)
		if (*p == '#') {
			buf_str(&out, table);
		} else if (*p == '%' && (p[1] == '1' || p[1] == '2')) {
			buf_printf(&out, "%u", p[1] == '1' ? a : b);
			p++;
		} else {
			buf_char(&out, *p);
		}
	return out.data;
}

/* The same write to the table and to its twin, in one transaction. */
static int write_once(TALLOC_CTX *ctx, struct db *db, const char *text, unsigned a,
		      unsigned b)
{
	struct sb_err err;

	if (db_begin(db, &err) == 0 &&
	    db_run(db, expand(ctx, text, "t", a, b), &err) == 0 &&
	    db_run(db, expand(ctx, text, "twin", a, b), &err) == 0 &&
	    db_commit(db, &err) == 0)
		return 0;
	db_rollback(db);
	/* A duplicate; after the swap there is another number of columns, or no such. */
	if (!db_is_lost(db) && db_error_kind(err.db_errno) != DB_ERR_BUSY &&
	    db_error_kind(err.db_errno) != DB_ERR_READONLY && err.db_errno != 1062 &&
	    err.db_errno != 1136 && err.db_errno != 1054)
		print_message("the application: %s: %s\n", text, err.msg);
	return -1;
}

/* Its server may be started anew, or have killed its connection. A COMMIT that was not
 * answered has had its effect on both tables, or on none. */
static void reconnect(void)
{
	struct db_params params = store.config.storage;
	struct sb_err err;

	talloc_free(load_application.db);
	while (db_open(NULL, &params, &load_application.db, &err) < 0 ||
	       db_run(load_application.db, "SET SESSION sql_mode = " ZERO_IS_ZERO, &err) <
		       0) {
		talloc_free(load_application.db);
		load_application.db = NULL;
		clock_sleep_ms(20);
	}
}

static void *application_thread(void *unused)
{
	TALLOC_CTX *ctx = mem_ctx(NULL, "application");

	(void)unused;
	db_thread_init();
	while (!__atomic_load_n(&load_application.stop, __ATOMIC_RELAXED)) {
		unsigned a = (unsigned)rand_r(&load_application.seed) %
			     (LOAD_ROWS + LOAD_ROWS / 4);
		unsigned b = (unsigned)rand_r(&load_application.seed) % (2 * LOAD_ROWS);
		unsigned which = (unsigned)rand_r(&load_application.seed) % 6;

		if (write_once(ctx, load_application.db,
			       load_application.shape->writes[which], a, b) < 0)
			load_application.conflicts++;
		load_application.writes++;
		if (db_is_lost(load_application.db))
			reconnect();
		talloc_free_children(ctx);
	}
	db_thread_end();
	talloc_free(ctx);
	return NULL;
}

/* ---- the run, as the change sees it
 * ---------------------------------------------------- */

struct load_watch load_watch = { .halt_at = -1 };

static bool halted(void *arg)
{
	(void)arg;
	return load_watch.halt;
}

static int volume(void *arg)
{
	(void)arg;
	return 3;
}

static bool cutover_wanted(void *arg)
{
	(void)arg;
	if (load_watch.began_ms == 0)
		load_watch.began_ms = clock_ms();
	return clock_ms() - load_watch.began_ms >= load_watch.hold_ms;
}

static int cutting(void *arg, struct sb_err *err)
{
	(void)arg;
	(void)err;
	return 0;
}

static void report(void *arg, size_t task, const struct change_report *r)
{
	(void)arg;
	(void)task;
	load_watch.phase = r->phase;
	if (load_watch.look)
		load_watch.look(r->phase);
	if (load_watch.halt_at == (int)r->phase)
		load_watch.halt = true;
}

static void done(void *arg, size_t task, const char *note)
{
	(void)arg;
	(void)task;
	(void)note;
	load_watch.done = true;
}

static const struct change_hooks hooks = { NULL,    halted, volume, cutover_wanted,
					   cutting, report, done };

uint64_t load_token;

int load_change(const char *ddl, struct sb_err *err)
{
	const uint64_t token = ++load_token;
	struct db_params target = *db_params(store.db);
	const struct engine_task task = { .id = "task",
					  .namespace = "n",
					  .schema = target.schema,
					  .table = "t",
					  .ddl = ddl,
					  .action = "alter" };
	const struct engine_request request = { .target = &target,
						.apply_id = LOAD_APPLY,
						.operation = LOAD_APPLY "/main",
						.lease_token = token,
						.tasks = &task,
						.n_tasks = 1 };
	struct change_args args = { .target = &target,
				    .apply_id = LOAD_APPLY,
				    .operation = LOAD_APPLY "/main",
				    .token = token,
				    .tasks = &task,
				    .n = 1,
				    .hooks = &hooks };

	struct db *locks;
	int rc;

	target.role = DB_TARGET;
	load_watch.halt = load_watch.done = false;
	load_watch.began_ms = 0;
	if (token == 1 && store.admin)
		store_try("DROP DATABASE `_schemabot_state`");
	if (db_open(store.ctx, &target, &locks, err) < 0 ||
	    mysql_checkpoint_write(locks, &request, err) < 0)
		return -1;
	args.locks = locks;
	rc = change_run(&args, err);
	/* As the worker does when a task is completed. */
	if (rc == 1 && mysql_checkpoint_remove(locks, LOAD_APPLY "/main", token,
					       target.schema, "t", err) < 0)
		rc = -1;
	talloc_free(locks);
	return rc;
}

/* ---- comparison
 * ------------------------------------------------------------------------ */

static char *everything(const char *table)
{
	struct db_rows *columns, *rows;
	struct sb_err err;
	struct buf sql, out;

	buf_init(&out, store.ctx);
	buf_init(&sql, store.ctx);
	if (db_query(store.ctx, store.admin,
		     mem_printf(store.ctx, "SHOW COLUMNS FROM %s", table), &columns,
		     &err) < 0)
		fail_msg("%s", err.msg);
	buf_str(&sql, "SELECT CONCAT_WS('|'");
	for (size_t i = 0; i < columns->n; i++) {
		const char *type = columns->cell[i][1];
		const char *before = "HEX(`", *after = "`)";

		if (strstr(type, "double") || strstr(type, "float")) {
			before = "`";
			after = "` + 0e0";
		} else if (strstr(type, "longblob")) { /* more than can be sorted */
			before = "SHA2(`";
			after = "`, 256)";
		}
		buf_printf(&sql, ", COALESCE(%s%s%s, 'NULL')", before,
			   columns->cell[i][0], after);
	}
	buf_printf(&sql, ") AS r FROM %s ORDER BY r", table);
	if (db_query(store.ctx, store.admin, sql.data, &rows, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < rows->n; i++)
		buf_printf(&out, "%s\n", rows->cell[i][0]);
	return out.data;
}

/* The first line in which they differ. */
static void assert_same(const char *what, const char *is, const char *should)
{
	const char *a = is, *b = should;
	size_t row = 0;

	while (*a && *b) {
		size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");

		if (n != m || memcmp(a, b, n) != 0)
			break;
		a += n + (a[n] == '\n');
		b += m + (b[m] == '\n');
		row++;
	}
	if (*a || *b)
		fail_msg("%s: row %zu is \"%.*s\" and should be \"%.*s\"", what, row,
			 (int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"), b);
}

static char *definition(const char *table)
{
	struct db_rows *rows;
	struct sb_err err;
	char *text, *at;

	if (db_query(store.ctx, store.admin,
		     mem_printf(store.ctx, "SHOW CREATE TABLE %s", table), &rows,
		     &err) < 0)
		fail_msg("%s", err.msg);
	text = rows->cell[0][1];
	at = strstr(text, " AUTO_INCREMENT=");
	if (at && strstr(at, "\n") == NULL) {
		char *rest = at + strlen(" AUTO_INCREMENT=");

		rest += strspn(rest, "0123456789");
		memmove(at, rest, strlen(rest) + 1);
	}
	return strchr(text, '(');
}

/* ---- tests
 * ----------------------------------------------------------------------------- */

static void make_tables(const struct load_shape *s)
{
	store_sql("SET SESSION sql_mode = " ZERO_IS_ZERO);
	store_sql("DROP TABLE IF EXISTS t, twin, `t~sb_old_0123456789abcdef`");
	store_sql("CREATE TABLE t (%s)", s->create);
	for (unsigned i = 0; i < LOAD_ROWS && *s->fill; i += 500) {
		struct buf sql;

		buf_init(&sql, store.ctx);
		buf_str(&sql, "INSERT INTO t VALUES ");
		for (unsigned k = i; k < i + 500; k++)
			buf_printf(&sql, "%s%s", k > i ? ", " : "",
				   expand(store.ctx, s->fill, "t", k, 0));
		store_sql("%s", sql.data);
	}
	store_sql("CREATE TABLE twin LIKE t");
	store_sql("INSERT INTO twin SELECT * FROM t");
}

bool load_here(int flavor)
{
	return flavor == BOTH ||
	       (flavor == MARIADB) == (db_flavor(store.admin) == DB_MARIADB);
}

static pthread_t application_id;

void load_start(const struct load_shape *s, unsigned seed)
{
	store_try("DELETE FROM `_schemabot_state`.checkpoints"); /* of one that was killed
								  */
	make_tables(s);
	load_again(s, seed);
}

void load_again(const struct load_shape *s, unsigned seed)
{
	struct sb_err err;

	load_application.shape = s;
	load_application.seed = seed;
	load_application.stop = false;
	load_application.writes = load_application.conflicts = 0;
	load_application.db = store_connect();
	if (db_run(load_application.db, "SET SESSION sql_mode = " ZERO_IS_ZERO, &err) < 0)
		fail_msg("%s", err.msg);
	pthread_create(&application_id, NULL, application_thread, NULL);
}

void load_stop(void)
{
	__atomic_store_n(&load_application.stop, true, __ATOMIC_RELAXED);
	pthread_join(application_id, NULL);
	talloc_free(load_application.db);
}

void load_compare(const struct load_shape *s)
{
	store_sql("ALTER TABLE twin %s", s->alter);
	assert_same(s->name, everything("t"), everything("twin"));
	assert_string_equal(definition("t"), definition("twin"));
}

char *load_statement(const struct load_shape *s)
{
	return mem_printf(store.ctx, "ALTER TABLE `t` %s", s->alter);
}

void load_run(const struct load_shape *s, unsigned seed, int halt_at)
{
	struct sb_err err;
	int rc;

	load_start(s, seed);
	load_watch.hold_ms = 200;
	load_watch.halt_at = halt_at;
	rc = load_change(load_statement(s), &err);
	if (rc == 0 && halt_at >= 0) {
		load_watch.halt_at = -1;
		rc = load_change(load_statement(s), &err);
	}
	load_stop();
	if (rc != 1)
		fail_msg("%s, seed %u: %d: %s", s->name, seed, rc, err.msg);
	print_message("%s: %" PRIu64 " writes, %" PRIu64 " conflicts\n", s->name,
		      load_application.writes, load_application.conflicts);
	load_compare(s);
}
