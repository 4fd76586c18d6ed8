/*
 * test_copy_throttle.c - a change waits while its server has too much to do, without a
 * lock and without a snapshot, and goes on afterwards.
 *
 * The load is connections that sleep in a statement, which counts as running. What the
 * change says of itself (change_hooks.report) is called on this thread, so that a test
 * looks, and ends the load, in there.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/copy/change.h"
#include "engines/mysql/copy/pressure.h"
#include "tests/it/store.h"

#define APPLY	    "apply-0123456789abcdef0123456789abcdef"
#define SLEEPERS    12
#define LIMIT	    6
#define DEADLINE_MS 60000

/* ---- the load -------------------------------------------------------------------------
 */

static struct {
	struct db *db[SLEEPERS];
	pthread_t thread[SLEEPERS];
	bool there;
} load;

static void *sleep_in_the_server(void *db)
{
	struct sb_err ignored;

	db_thread_init();
	if (db_run(db, "DO SLEEP(300)", &ignored) < 0)
		ignored.code = SB_OK;
	db_thread_end();
	return NULL;
}

static void begin_load(void)
{
	int64_t until = clock_ms() + DEADLINE_MS;

	for (int i = 0; i < SLEEPERS; i++) {
		load.db[i] = store_connect();
		pthread_create(&load.thread[i], NULL, sleep_in_the_server, load.db[i]);
	}
	load.there = true;
	while (store_number("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE"
			    " INFO = 'DO SLEEP(300)'") < SLEEPERS)
		if (clock_ms() > until)
			fail_msg("the load does not begin");
}

static void end_load(void)
{
	if (!load.there)
		return;
	for (int i = 0; i < SLEEPERS; i++)
		store_sql("KILL %" PRIu64, db_connection_id(load.db[i]));
	for (int i = 0; i < SLEEPERS; i++) {
		pthread_join(load.thread[i], NULL);
		talloc_free(load.db[i]);
	}
	load.there = false;
}

/* ---- the change -----------------------------------------------------------------------
 */

static struct {
	void (*look)(const struct change_report *r);
	int volume;
	bool halt;
	int64_t until_ms;
	char reason[PRESSURE_TEXT]; /* the last one */
	int throttled;		    /* reports that had one */
	int64_t rows, snapshots;
	int64_t looks;
	struct db *lock;
	int step;
} watch;

static bool halted(void *arg)
{
	(void)arg;
	return watch.halt;
}

static int volume(void *arg)
{
	(void)arg;
	return watch.volume;
}

static bool cutover_wanted(void *arg)
{
	(void)arg;
	return true;
}

static void report(void *arg, size_t task, const struct change_report *r)
{
	(void)arg;
	(void)task;
	if (r->throttle) {
		snprintf(watch.reason, sizeof(watch.reason), "%s", r->throttle);
		watch.throttled++;
	}
	if (clock_ms() > watch.until_ms) { /* fail_msg() would leave threads behind */
		print_message("too late, in phase %d: %s\n", (int)r->phase, watch.reason);
		watch.halt = true;
	}
	if (watch.look)
		watch.look(r);
}

static int cutting(void *arg, struct sb_err *err)
{
	(void)arg;
	(void)err;
	return 0;
}

static void done(void *arg, size_t task, const char *note)
{
	(void)arg;
	(void)task;
	(void)note;
}

static const struct change_hooks hooks = { .halted = halted,
					   .volume = volume,
					   .cutover_wanted = cutover_wanted,
					   .cutting = cutting,
					   .report = report,
					   .done = done };

static int change(const struct throttle_limits *limits, struct sb_err *err)
{
	static uint64_t token;
	struct db_params target = *db_params(store.db);
	const struct engine_task task = {
		.id = "task",
		.namespace = "n",
		.schema = target.schema,
		.table = "t",
		.ddl = "ALTER TABLE `t` ADD COLUMN `n` INT, ADD KEY `nv` (`n`, `v`)",
		.action = "alter"
	};
	const struct engine_request request = { .target = &target,
						.apply_id = APPLY,
						.operation = APPLY "/main",
						.lease_token = ++token,
						.tasks = &task,
						.n_tasks = 1 };
	struct change_args args = { .target = &target,
				    .apply_id = APPLY,
				    .operation = APPLY "/main",
				    .token = token,
				    .tasks = &task,
				    .n = 1,
				    .hooks = &hooks,
				    .throttle = limits };
	struct db *locks;
	int rc;

	target.role = DB_TARGET;
	if (db_open(store.ctx, &target, &locks, err) < 0 ||
	    mysql_checkpoint_write(locks, &request, err) < 0)
		return -1;
	args.locks = locks;
	watch.until_ms = clock_ms() + DEADLINE_MS;
	rc = change_run(&args, err);
	end_load();
	talloc_free(locks);
	return rc;
}

/* ---- tests ----------------------------------------------------------------------------
 */

static int set_up(void **state)
{
	if (store_empty(state) < 0)
		return -1;
	memset(&watch, 0, sizeof(watch));
	watch.volume = 3;
	store_try("DROP DATABASE `_schemabot_state`");
	store_sql("DROP TABLE IF EXISTS t, `t~sb_old_0123456789abcdef`,"
		  " `t~sb_new_0123456789abcdef`");
	store_sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, KEY (v))");
	return 0;
}

static void fill(int doublings)
{
	store_sql("INSERT INTO t (v) VALUES (1), (2), (3), (4)");
	for (int i = 0; i < doublings; i++)
		store_sql("INSERT INTO t (v) SELECT v + 1 FROM t");
}

static void assert_busy_reason(void)
{
	int running = 0, limit = 0, n = 0;

	if (sscanf(watch.reason, "threads running %d > %d%n", &running, &limit, &n) < 2 ||
	    watch.reason[n] != '\0' || running <= LIMIT || limit != LIMIT)
		fail_msg("\"%s\"", watch.reason);
}

/* No chunk is handed out, and still every change is read and flushed. */
static void while_copying(const struct change_report *r)
{
	if (!r->throttle || r->phase != COPY_COPYING)
		return;
	watch.rows = r->rows > watch.rows ? r->rows : watch.rows;
	if (watch.step == 0) { /* until one was seen before it was flushed */
		if (r->pending > 0)
			watch.step = 1;
		else
			store_sql("UPDATE t SET v = IF(v > 0, -v, v - 1)");
	}
	if (watch.step == 1 && r->pending == 0) {
		watch.step = 2;
		end_load();
	}
}

static void no_chunk_is_copied_while_the_server_is_busy(void **unused)
{
	const struct throttle_limits limits = { .max_threads_running = LIMIT };
	struct sb_err err = { 0 };

	(void)unused;
	fill(10);
	watch.look = while_copying;
	begin_load();
	if (change(&limits, &err) != 1)
		fail_msg("%s", err.msg);
	assert_int_equal(watch.step, 2);
	assert_int_equal(watch.rows, 0);
	assert_busy_reason();
	assert_int_equal(store_number("SELECT COUNT(n IS NULL) FROM t WHERE v < 0"),
			 4096);
}

/* How often somebody asked for the server's status, which a throttle does at each look.
 */
static int64_t looks(void)
{
	static int64_t ours;
	struct db_rows *rows;
	struct sb_err err;

	ours++;
	if (db_query(store.ctx, store.admin, "SHOW GLOBAL STATUS LIKE 'Com_show_status'",
		     &rows, &err) < 0)
		fail_msg("%s", err.msg);
	return strtoll(rows->cell[0][1], NULL, 10) - ours;
}

static void wait_for_looks(void)
{
	int64_t until = clock_ms() + DEADLINE_MS, first = looks();

	while (looks() < first + 2) {
		if (clock_ms() > until)
			fail_msg("the throttle does not look");
		clock_sleep_ms(20);
	}
}

static void before_comparing(const struct change_report *r)
{
	if (r->phase == COPY_CATCHING_UP && watch.step == 0) {
		watch.step = 1;
		begin_load();
		wait_for_looks();
	}
	if (r->phase == COPY_CHECKING && r->throttle && watch.step < 3) {
		watch.step++;
		watch.rows = r->checked;
		watch.snapshots += store_number("SELECT COUNT(*) FROM"
						" information_schema.INNODB_TRX WHERE"
						" trx_isolation_level = 'REPEATABLE "
						"READ'");
		store_sql("UPDATE t SET v = v + 1"); /* nobody has locked it */
		if (watch.step == 3)
			end_load();
	}
}

static void a_comparison_begins_when_the_server_is_not_busy(void **unused)
{
	const struct throttle_limits limits = { .max_threads_running = LIMIT };
	struct sb_err err = { 0 };

	(void)unused;
	fill(6);
	watch.look = before_comparing;
	if (change(&limits, &err) != 1)
		fail_msg("%s", err.msg);
	assert_int_equal(watch.step, 3);
	assert_int_equal(watch.rows, 0);
	assert_int_equal(watch.snapshots, 0);
	assert_busy_reason();
}

/* All copiers wait for a lock in the shadow, each in a statement. */
static void hold_copiers(const struct change_report *r)
{
	struct sb_err err;

	if (r->phase == COPY_COPYING && !watch.lock) {
		watch.lock = store_connect();
		if (db_run(watch.lock, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
			   &err) < 0 ||
		    db_begin(watch.lock, &err) < 0 ||
		    db_run(watch.lock,
			   "SELECT * FROM `t~sb_new_0123456789abcdef` FOR UPDATE",
			   &err) < 0)
			fail_msg("%s", err.msg);
		watch.looks = looks();
	}
	if (watch.lock && watch.step == 0) {
		int64_t n = store_number("SELECT COUNT(*) FROM"
					 " information_schema.PROCESSLIST WHERE"
					 " INFO LIKE 'INSERT INTO%%t~sb_new%%'");

		watch.rows = n > watch.rows ? n : watch.rows;
		if (looks() < watch.looks + 3)
			return;
		db_rollback(watch.lock);
		watch.step = 1;
	}
}

static void its_own_threads_are_no_load(void **unused)
{
	const struct throttle_limits limits = { .max_threads_running = LIMIT };
	struct sb_err err = { 0 };

	(void)unused;
	fill(13);
	watch.volume = 7;
	watch.look = hold_copiers;
	if (change(&limits, &err) != 1)
		fail_msg("%s", err.msg);
	assert_true(watch.rows > LIMIT);
	if (watch.throttled > 0)
		fail_msg("it waited for itself: %s", watch.reason);
}

static void halt_when_it_waits(const struct change_report *r)
{
	if (r->throttle)
		watch.halt = true;
}

static void assert_blind_reason(void)
{
	int seconds = -1, n = 0;

	if (sscanf(watch.reason, "replica lag of db2:3306 unknown for %ds >= 0s%n",
		   &seconds, &n) < 1 ||
	    n == 0 || watch.reason[n] != '\0')
		fail_msg("\"%s\"", watch.reason);
}

/* The flush takes its breaths, and goes on. */
static void halt_when_flushed(const struct change_report *r)
{
	while_copying(r);
	if (watch.step == 2)
		watch.halt = true;
}

static void a_replica_that_cannot_be_seen_counts_as_late(void **unused)
{
	struct db_params replica = *db_params(store.db);
	const struct throttle_limits limits = { .max_replica_lag_seconds = 120,
						.replicas = &replica,
						.n_replicas = 1 };
	struct sb_err err = { 0 };

	(void)unused;
	replica.role = DB_TARGET;
	replica.name = "db2:3306";
	fill(10);
	watch.look = halt_when_flushed;
	setenv("SB_BLIND_SECONDS", "0", 1);
	assert_int_equal(change(&limits, &err), 0); /* there, and no replica */
	assert_int_equal(watch.step, 2);
	assert_int_equal(watch.rows, 0);
	assert_blind_reason();
	replica.socket = "/nowhere";
	watch.look = halt_when_it_waits;
	watch.halt = false;
	*watch.reason = '\0';
	assert_int_equal(change(&limits, &err), 0);
	assert_blind_reason();
	unsetenv("SB_BLIND_SECONDS");
	watch.halt = false;
	watch.look = NULL;
	watch.throttled = 0;
	if (change(&limits, &err) != 1)
		fail_msg("%s", err.msg);
	assert_int_equal(watch.throttled, 0); /* not for so long */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_chunk_is_copied_while_the_server_is_busy,
				       set_up),
		cmocka_unit_test_setup(a_comparison_begins_when_the_server_is_not_busy,
				       set_up),
		cmocka_unit_test_setup(its_own_threads_are_no_load, set_up),
		cmocka_unit_test_setup(a_replica_that_cannot_be_seen_counts_as_late,
				       set_up),
	};

	return cmocka_run_group_tests(tests, store_start, store_stop);
}
