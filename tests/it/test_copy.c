/*
 * test_copy.c - the online copy, against an oracle: a twin of the table gets every write
 * of the application in the same transaction, and the server's own ALTER afterwards. Then
 * both are compared, row for row and byte for byte.
 *
 * The application is a thread that inserts, updates, moves keys, swaps values, deletes
 * and inserts again without a pause while the copy runs.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/copy/change.h"
#include "tests/it/store.h"

#define APPLY "apply-0123456789abcdef0123456789abcdef"

enum { BOTH = 0, MARIADB = 1, MYSQL = 2 };

static const struct shape {
	const char *name;
	int flavor;
	const char *create; /* columns of the table */
	const char *fill;   /* a row: %1 is a number that grows */
	const char *alter;
	/* What the application does; %1 is a random number, %2 another. */
	const char *writes[6];
} shapes[] = {
	{ "signed integers",
	  BOTH,
	  "id INT PRIMARY KEY AUTO_INCREMENT, v INT, t VARCHAR(40), KEY (v)",
	  "(%1 - 500, %1, REPEAT('x', %1 % 30))",
	  "MODIFY COLUMN `v` BIGINT, ADD COLUMN `n` INT NOT NULL DEFAULT 7, ADD KEY `nv` (`n`, `v`)",
	  { "INSERT IGNORE INTO # VALUES (%1, %2, 'new')",
	    "UPDATE # SET v = %2 WHERE id = %1",
	    "UPDATE IGNORE # SET id = %2 WHERE id = %1", "DELETE FROM # WHERE id = %1",
	    "REPLACE INTO # VALUES (%1, %2, 'again')",
	    "UPDATE # SET t = CONCAT(v, 'y') WHERE id BETWEEN %1 AND %1 + 5" } },
	{ "great unsigned integers",
	  BOTH,
	  "id BIGINT UNSIGNED PRIMARY KEY, v INT",
	  "(18446744073709551615 - %1 * 7, %1)",
	  "ADD COLUMN `n` INT FIRST",
	  { "INSERT IGNORE INTO # VALUES (18446744073709551615 - %1, %2)",
	    "UPDATE # SET v = %2 WHERE id = 18446744073709551615 - %1 * 7",
	    "DELETE FROM # WHERE id = 18446744073709551615 - %1 * 7",
	    "UPDATE IGNORE # SET id = %2 WHERE id = 18446744073709551615 - %1 * 7",
	    "DELETE FROM # WHERE id < %1", "UPDATE # SET v = v + 1 WHERE id < %1" } },
	{ "texts that differ in case",
	  BOTH,
	  "k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, v INT,"
	  " PRIMARY KEY (k)",
	  "(CONCAT(IF(%1 % 2, 'key', 'KEY'), %1), %1)",
	  "ADD COLUMN `n` INT, MODIFY COLUMN `v` BIGINT",
	  { "INSERT IGNORE INTO # VALUES (CONCAT('Key', %1), %2)",
	    "UPDATE # SET v = %2 WHERE k = CONCAT('kEy', %1)",
	    "UPDATE IGNORE # SET k = CONCAT('KEY', %1) WHERE k = CONCAT('key', %1)",
	    "DELETE FROM # WHERE k = CONCAT('key', %1)",
	    "REPLACE INTO # VALUES (CONCAT('kEY', %1), %2)",
	    "UPDATE IGNORE # SET k = CONCAT('key', %2) WHERE k = CONCAT('key', %1)" } },
	{ "bytes that end in zero",
	  BOTH,
	  "k BINARY(6), v INT, PRIMARY KEY (k)",
	  "(UNHEX(CONCAT(LPAD(HEX(%1), 8, '0'), '0000')), %1)",
	  "ADD COLUMN `n` FLOAT NOT NULL DEFAULT 1.1",
	  { "INSERT IGNORE INTO # VALUES (UNHEX(CONCAT(LPAD(HEX(%1), 8, '0'), '0000')), %2)",
	    "UPDATE # SET v = %2 WHERE k = UNHEX(CONCAT(LPAD(HEX(%1), 8, '0'), '0000'))",
	    "DELETE FROM # WHERE k = UNHEX(CONCAT(LPAD(HEX(%1), 8, '0'), '0000'))",
	    "UPDATE IGNORE # SET k = UNHEX(CONCAT(LPAD(HEX(%2), 8, '0'), '0000')) WHERE"
	    " k = UNHEX(CONCAT(LPAD(HEX(%1), 8, '0'), '0000'))",
	    "REPLACE INTO # VALUES (UNHEX(LPAD(HEX(%1), 12, '0')), %2)",
	    "DELETE FROM # WHERE v = %2" } },
	{ "a compound key, reduced, and a unique key that swaps",
	  BOTH,
	  "a INT, b DATETIME(3), c INT NOT NULL, u INT, PRIMARY KEY (a, b), UNIQUE KEY (c)",
	  "(%1 % 50, '2024-01-01 00:00:00.123' + INTERVAL %1 SECOND, %1, %1)",
	  "DROP PRIMARY KEY, ADD PRIMARY KEY (`a`, `b`, `c`), ADD UNIQUE KEY `ab` (`b`, `a`), MODIFY COLUMN `u` BIGINT",
	  { "INSERT IGNORE INTO # VALUES (%1 % 60, '2025-01-01' + INTERVAL %2 SECOND, %1, %2)",
	    "UPDATE # SET u = %2 WHERE c = %1",
	    "UPDATE # SET c = CASE c WHEN %1 THEN -1 ELSE c END WHERE c = %1",
	    "DELETE FROM # WHERE c = %1", "UPDATE IGNORE # SET c = %2 WHERE c = %1",
	    "UPDATE IGNORE # SET a = %2 % 50 WHERE c = %1" } },
	{ "no primary key, the unique key becomes it",
	  BOTH,
	  "id INT, k DECIMAL(12,4) NOT NULL, v VARCHAR(20), UNIQUE KEY (k)",
	  "(%1, %1 * -1.0625, 'abc')",
	  "ADD PRIMARY KEY (`k`), DROP COLUMN `id`",
	  { "INSERT IGNORE INTO # VALUES (%1, %1 * -1.0625, %2)",
	    "UPDATE # SET v = %2 WHERE k = %1 * -1.0625",
	    "DELETE FROM # WHERE k = %1 * -1.0625",
	    "UPDATE IGNORE # SET k = %2 WHERE k = %1 * -1.0625",
	    "DELETE FROM # WHERE k > %1", "UPDATE # SET id = %2 WHERE k > 0" } },
	{ "a renamed key, an enum before it",
	  BOTH,
	  "e ENUM('z','a','m') NOT NULL, id INT NOT NULL, v DOUBLE, PRIMARY KEY (e, id)",
	  "(ELT(%1 % 3 + 1, 'z', 'a', 'm'), %1, %1 / 3)",
	  "CHANGE COLUMN `id` `number` BIGINT NOT NULL, ADD COLUMN `x` INT DEFAULT 1",
	  { "INSERT IGNORE INTO # VALUES ('a', %1, %2 / 7)",
	    "UPDATE # SET v = %2 / 3 WHERE v = %1 / 3",
	    "UPDATE IGNORE # SET e = 'm' WHERE v = %1 / 3",
	    "DELETE FROM # WHERE v = %1 / 3", "REPLACE INTO # VALUES ('z', %1, %2)",
	    "DELETE FROM # WHERE e = 'a' AND v = %2" } },
	{ "a table without rows",
	  BOTH,
	  "id INT PRIMARY KEY, v INT",
	  "",
	  "ADD COLUMN `n` INT",
	  { "INSERT IGNORE INTO # VALUES (%1, %2)", "DELETE FROM # WHERE id = %1",
	    "UPDATE # SET v = %2 WHERE id = %1",
	    "UPDATE IGNORE # SET id = %2 WHERE id = %1",
	    "INSERT IGNORE INTO # VALUES (%2, %1)", "DELETE FROM # WHERE v = %1" } },
};

#define ROWS 4000
/* Both tables get the same number, and zero is one. */
#define ZERO_IS_ZERO "'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'"

/* ---- the application ------------------------------------------------------------------
 */

static struct {
	const struct shape *shape;
	unsigned seed;
	bool stop;
	uint64_t writes, conflicts;
	struct db *db;
} application;

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
	if (db_error_kind(err.db_errno) != DB_ERR_BUSY && err.db_errno != 1062 &&
	    err.db_errno != 1136 && err.db_errno != 1054)
		print_message("the application: %s: %s\n", text, err.msg);
	return -1;
}

static void *application_thread(void *unused)
{
	TALLOC_CTX *ctx = mem_ctx(NULL, "application");

	(void)unused;
	db_thread_init();
	while (!__atomic_load_n(&application.stop, __ATOMIC_RELAXED)) {
		unsigned a = (unsigned)rand_r(&application.seed) % (ROWS + ROWS / 4);
		unsigned b = (unsigned)rand_r(&application.seed) % (2 * ROWS);
		unsigned which = (unsigned)rand_r(&application.seed) % 6;

		if (write_once(ctx, application.db, application.shape->writes[which], a,
			       b) < 0)
			application.conflicts++;
		application.writes++;
		talloc_free_children(ctx);
	}
	db_thread_end();
	talloc_free(ctx);
	return NULL;
}

/* ---- the run, as the change sees it
 * ---------------------------------------------------- */

static struct {
	bool halt;
	int halt_at; /* phase in which to halt; -1 = never */
	enum copy_phase phase;
	bool done;
	int64_t began_ms, hold_ms; /* the cutover is wanted so long after it is ready */
} watch;

static bool halted(void *arg)
{
	(void)arg;
	return watch.halt;
}

static int volume(void *arg)
{
	(void)arg;
	return 3;
}

static bool cutover_wanted(void *arg)
{
	(void)arg;
	if (watch.began_ms == 0)
		watch.began_ms = clock_ms();
	return clock_ms() - watch.began_ms >= watch.hold_ms;
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
	watch.phase = r->phase;
	if (watch.halt_at == (int)r->phase)
		watch.halt = true;
}

static void done(void *arg, size_t task)
{
	(void)arg;
	(void)task;
	watch.done = true;
}

static const struct change_hooks hooks = { NULL,    halted, volume, cutover_wanted,
					   cutting, report, done };

static uint64_t last_token;

static int run_change(const char *ddl, struct sb_err *err)
{
	const uint64_t token = ++last_token;
	struct db_params target = *db_params(store.db);
	const struct engine_task task = { .id = "task",
					  .namespace = "n",
					  .schema = target.schema,
					  .table = "t",
					  .ddl = ddl,
					  .action = "alter" };
	const struct engine_request request = { .target = &target,
						.apply_id = APPLY,
						.operation = APPLY "/main",
						.lease_token = token,
						.tasks = &task,
						.n_tasks = 1 };
	struct change_args args = { .target = &target,
				    .apply_id = APPLY,
				    .operation = APPLY "/main",
				    .token = token,
				    .tasks = &task,
				    .n = 1,
				    .hooks = &hooks };

	struct db *locks;
	int rc;

	target.role = DB_TARGET;
	watch.halt = watch.done = false;
	watch.began_ms = 0;
	if (token == 1 && store.admin)
		store_try("DROP DATABASE `_schemabot_state`");
	if (db_open(store.ctx, &target, &locks, err) < 0 ||
	    mysql_checkpoint_write(locks, &request, err) < 0)
		return -1;
	args.locks = locks;
	rc = change_run(&args, err);
	/* As the worker does when a task is completed. */
	if (rc == 1 && mysql_checkpoint_remove(locks, APPLY "/main", token, target.schema,
					       "t", err) < 0)
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
		bool real = strstr(columns->cell[i][1], "double") ||
			    strstr(columns->cell[i][1], "float");

		buf_printf(&sql,
			   real ? ", COALESCE(`%s` + 0e0, 'NULL')"
				: ", COALESCE(HEX(`%s`), 'NULL')",
			   columns->cell[i][0]);
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

static void make_tables(const struct shape *s)
{
	store_sql("SET SESSION sql_mode = " ZERO_IS_ZERO);
	store_sql("DROP TABLE IF EXISTS t, twin, `t~sb_old_0123456789abcdef`");
	store_sql("CREATE TABLE t (%s)", s->create);
	for (unsigned i = 0; i < ROWS && *s->fill; i += 500) {
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

static bool here(int flavor)
{
	return flavor == BOTH ||
	       (flavor == MARIADB) == (db_flavor(store.admin) == DB_MARIADB);
}

static pthread_t application_id;

static void start_application(const struct shape *s, unsigned seed)
{
	struct sb_err err;

	store_try("DELETE FROM `_schemabot_state`.checkpoints"); /* of one that was killed
								  */
	make_tables(s);
	application.shape = s;
	application.seed = seed;
	application.stop = false;
	application.writes = application.conflicts = 0;
	application.db = store_connect();
	if (db_run(application.db, "SET SESSION sql_mode = " ZERO_IS_ZERO, &err) < 0)
		fail_msg("%s", err.msg);
	pthread_create(&application_id, NULL, application_thread, NULL);
}

static void stop_application(void)
{
	__atomic_store_n(&application.stop, true, __ATOMIC_RELAXED);
	pthread_join(application_id, NULL);
	talloc_free(application.db);
}

/* The change is done and the application has stopped: is the table what it should be? */
static void compare_with_twin(const struct shape *s)
{
	store_sql("ALTER TABLE twin %s", s->alter);
	assert_same(s->name, everything("t"), everything("twin"));
	assert_string_equal(definition("t"), definition("twin"));
}

static char *statement_of(const struct shape *s)
{
	return mem_printf(store.ctx, "ALTER TABLE `t` %s", s->alter);
}

static void change_under_load(const struct shape *s, unsigned seed, int halt_at)
{
	struct sb_err err;
	int rc;

	start_application(s, seed);
	watch.hold_ms = 200;
	watch.halt_at = halt_at;
	rc = run_change(statement_of(s), &err);
	if (rc == 0 && halt_at >= 0) {
		watch.halt_at = -1;
		rc = run_change(statement_of(s), &err);
	}
	stop_application();
	if (rc != 1)
		fail_msg("%s, seed %u: %d: %s", s->name, seed, rc, err.msg);
	print_message("%s: %" PRIu64 " writes, %" PRIu64 " conflicts\n", s->name,
		      application.writes, application.conflicts);
	compare_with_twin(s);
}

/* ---- killed ---------------------------------------------------------------------------
 */

/* How often each is passed is up to the load: so many passages are tried of each. */
static const struct {
	const char *point;
	int passages;
} points[] = {
	{ "engine.mysql.copy.shadow", 1 },
	{ "engine.mysql.copy.prepared", 1 },
	{ "engine.mysql.copy.begun", 1 },
	{ "engine.mysql.copy.chunk", 2 },
	{ "engine.mysql.copy.copied", 2 },
	{ "engine.mysql.copy.flush", 2 },
	{ "engine.mysql.copy.saved", 2 },
	{ "engine.mysql.copy.built", 1 },
	{ "engine.mysql.copy.check.locked", 1 },
	{ "engine.mysql.copy.checked", 1 },
	{ "engine.mysql.copy.cutover.locked", 1 },
	{ "engine.mysql.copy.cutover.rename", 1 },
	{ "engine.mysql.copy.cutover.renamed", 1 },
};

/* In another process, which is killed at the n-th passage of a point. True = it was. */
static bool killed(const char *ddl, const char *point, int n)
{
	char *fault = mem_printf(store.ctx, "%s:crash@%d", point, n);
	char *token = mem_printf(store.ctx, "%" PRIu64, ++last_token);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("SB_FAULT", fault, 1);
		execl("/proc/self/exe", "test_copy", "--child", ddl, token, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid ||
	    (WIFEXITED(status) && WEXITSTATUS(status) != 0))
		fail_msg("%s: the child ended with status %d", fault, status);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static int child(const char *ddl, const char *token)
{
	struct sb_err err = { 0 };

	db_library_init();
	store.ctx = mem_ctx(NULL, "child");
	store.config.storage = (struct db_params){ .name = "storage",
						   .role = DB_STORAGE,
						   .socket = getenv("SB_DB_SOCKET"),
						   .user = getenv("SB_DB_USER"),
						   .password = getenv("SB_DB_PASSWORD"),
						   .schema = "schemabot_c_tests" };
	store.db = store_connect();
	watch.halt_at = -1;
	watch.hold_ms = 200;
	last_token = strtoull(token, NULL, 10) - 1;
	if (run_change(ddl, &err) == 1)
		return 0;
	fprintf(stderr, "%s\n", err.msg);
	return 3;
}

/* What a driver does first: the live table may be the desired one already. */
static bool is_swapped(void)
{
	return store_number(
		       "SELECT COUNT(*) FROM information_schema.tables WHERE"
		       " table_schema = DATABASE() AND table_name LIKE 't~sb%%new%%'") ==
		       0 &&
	       store_number("SELECT COUNT(*) FROM information_schema.tables WHERE"
			    " table_schema = DATABASE() AND table_name LIKE 't~sb%%old%%'"
			    " AND table_comment = ''") == 1;
}

static bool survives(const struct shape *s, const char *point, int n, unsigned seed)
{
	struct sb_err err = { 0 };
	bool fired;
	int rc = 1;

	start_application(s, seed);
	fired = killed(statement_of(s), point, n);
	watch.halt_at = -1;
	for (int tries = 0; fired && !is_swapped() && tries < 10; tries++) {
		rc = run_change(statement_of(s), &err);
		/* The dead one's RENAME may have been let go, and come through late. */
		if (rc == 1 || err_class(err.code) != ERR_RETRYABLE)
			break;
	}
	stop_application();
	if (rc != 1 && !is_swapped())
		fail_msg("%s at %s@%d, seed %u: %s", s->name, point, n, seed, err.msg);
	compare_with_twin(s);
	return fired;
}

static void killed_at_every_point_and_taken_up(void **unused)
{
	static const size_t which[] = { 0, 4 }; /* of shapes */
	unsigned seed = (unsigned)clock_ms();

	(void)unused;
	print_message("seed %u\n", seed);
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		for (int n = 1; n <= points[i].passages; n++) {
			const struct shape *s = &shapes[which[(i + (size_t)n) % 2]];
			bool fired = survives(s, points[i].point, n, seed++);

			print_message("%s@%d: %s, %" PRIu64 " writes\n", points[i].point,
				      n, fired ? "killed" : "not passed",
				      application.writes);
			if (!fired && n == 1)
				fail_msg("%s is not passed", points[i].point);
		}
}

static void every_shape_under_load(void **unused)
{
	unsigned seed = (unsigned)clock_ms();

	(void)unused;
	print_message("seed %u\n", seed);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (here(shapes[i].flavor))
			change_under_load(&shapes[i], seed + (unsigned)i, -1);
}

static void halted_in_every_phase_and_taken_up(void **unused)
{
	static const enum copy_phase phases[] = { COPY_COPYING,	    COPY_BUILDING,
						  COPY_CATCHING_UP, COPY_CHECKING,
						  COPY_READY,	    COPY_CUTTING_OVER };
	unsigned seed = (unsigned)clock_ms();

	(void)unused;
	print_message("seed %u\n", seed);
	for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
		change_under_load(&shapes[0], seed + (unsigned)i, (int)phases[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_shape_under_load, store_empty),
		cmocka_unit_test_setup(halted_in_every_phase_and_taken_up, store_empty),
		cmocka_unit_test_setup(killed_at_every_point_and_taken_up, store_empty),
	};

	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		return child(argv[2], argv[3]);
	return cmocka_run_group_tests(tests, store_start, store_stop);
}
