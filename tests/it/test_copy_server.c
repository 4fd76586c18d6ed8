/*
 * test_copy_server.c - the online copy and its server: under each setting that changes
 * what the binlog looks like, with rows that are in the binlog for a second before they
 * can be seen, with connections that are killed, on a server that is started anew,
 * becomes read-only, has purged what was not read yet, or is another one.
 *
 * With SB_RESTART, a command that starts the server of SB_DB_* anew, and SB_DB2_SOCKET, a
 * replica of it, only what needs these is tested: test_copy_server.py.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/it/copy_load.h"

static const struct load_shape shape = {
	"two unique keys and a document",
	BOTH,
	"id INT PRIMARY KEY AUTO_INCREMENT, v INT, c INT NOT NULL, j JSON, b LONGBLOB,"
	" UNIQUE KEY (c), KEY (v)",
	"(%1 + 1, %1, %1, '{\"a\": 1, \"long\": \"0123456789012345678901234567890123456789\"}',"
	" REPEAT('b', %1 % 200))",
	"MODIFY COLUMN `v` BIGINT, ADD COLUMN `n` INT NOT NULL DEFAULT 7, ADD KEY `nv` (`n`, `v`)",
	{ "INSERT IGNORE INTO # VALUES (%1, %2, %1, '{\"a\": 2}', 'new')",
	  "UPDATE # SET j = JSON_SET(j, '$.a', %2) WHERE id BETWEEN %1 AND %1 + 3",
	  "UPDATE IGNORE # SET id = %2 WHERE id = %1", "DELETE FROM # WHERE c = %1",
	  "UPDATE IGNORE # SET c = %2 WHERE c = %1", "UPDATE # SET v = %2 WHERE id = %1" }
};

static unsigned seed;

static const char *word(const char *mariadb, const char *mysql)
{
	return db_flavor(store.admin) == DB_MARIADB ? mariadb : mysql;
}

/* ---- settings -------------------------------------------------------------------------
 */

#define GTID_OFF                                                                         \
	"SET GLOBAL gtid_mode = ON_PERMISSIVE", "SET GLOBAL gtid_mode = OFF_PERMISSIVE", \
		"SET GLOBAL gtid_mode = OFF"
#define GTID_ON                                                                          \
	"SET GLOBAL gtid_mode = OFF_PERMISSIVE", "SET GLOBAL gtid_mode = ON_PERMISSIVE", \
		"SET GLOBAL gtid_mode = ON"

static const struct server_setting {
	int flavor;
	const char *name;
	const char *on[4], *off[4];
	/* While the copy is ready: statements of somebody else. */
	const char *meanwhile[4];
} settings[] = {
	{ BOTH,
	  "minimal images",
	  { "SET GLOBAL binlog_row_image = MINIMAL" },
	  { "SET GLOBAL binlog_row_image = FULL" },
	  { NULL } },
	{ BOTH,
	  "no checksums",
	  { "SET GLOBAL binlog_checksum = NONE" },
	  { "SET GLOBAL binlog_checksum = CRC32" },
	  { "SET GLOBAL binlog_checksum = CRC32", "SET GLOBAL binlog_checksum = NONE" } },
	{ BOTH,
	  "small files",
	  { "SET GLOBAL max_binlog_size = 16384" },
	  { "SET GLOBAL max_binlog_size = 1073741824" },
	  { "FLUSH BINARY LOGS", "FLUSH BINARY LOGS" } },
	{ BOTH,
	  "an event of 20 MB",
	  { "SET GLOBAL max_allowed_packet = 67108864" },
	  { "SET GLOBAL max_allowed_packet = DEFAULT" },
	  { "UPDATE t SET b = REPEAT('x', 20000000) WHERE id = (SELECT i FROM"
	    " (SELECT MAX(id) AS i FROM t) AS m)",
	    "UPDATE twin SET b = REPEAT('x', 20000000) WHERE id IN (SELECT id FROM t"
	    " WHERE LENGTH(b) = 20000000)" } },
	{ MARIADB,
	  "compressed events",
	  { "SET GLOBAL log_bin_compress = ON",
	    "SET GLOBAL log_bin_compress_min_len = 10" },
	  { "SET GLOBAL log_bin_compress = OFF" },
	  { NULL } },
	{ MYSQL,
	  "compressed transactions",
	  { "SET GLOBAL binlog_transaction_compression = ON" },
	  { "SET GLOBAL binlog_transaction_compression = OFF" },
	  { NULL } },
	{ MYSQL,
	  "partial documents",
	  { "SET GLOBAL binlog_row_value_options = PARTIAL_JSON" },
	  { "SET GLOBAL binlog_row_value_options = ''" },
	  { NULL } },
	{ MYSQL, "transactions without names", { GTID_OFF }, { GTID_ON }, { NULL } },
	{ MARIADB,
	  "domains of their own",
	  { "SET GLOBAL gtid_domain_id = 77" },
	  { "SET GLOBAL gtid_domain_id = 0" },
	  { NULL } },
};

static const struct server_setting *now;

static void all_of(const char *const *list)
{
	for (size_t i = 0; i < 4 && list[i]; i++)
		store_sql("%s", list[i]);
}

static void meanwhile(enum copy_phase phase)
{
	static const struct server_setting *had;

	if (phase != COPY_READY || had == now)
		return;
	had = now;
	all_of(now->meanwhile);
}

static void under_every_setting(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		now = &settings[i];
		if (!load_here(now->flavor))
			continue;
		print_message("%s: ", now->name);
		all_of(now->on);
		talloc_free(store.admin); /* globals are those of new connections */
		store.admin = store_connect();
		talloc_steal(NULL, store.admin);
		load_watch.look = meanwhile;
		load_run(&shape, seed + (unsigned)i, COPY_CATCHING_UP);
		load_watch.look = NULL;
		all_of(now->off);
	}
}

/* ---- other threads --------------------------------------------------------------------
 */

static struct {
	pthread_t id;
	struct db *db;
	bool stop;
	int n;
} other;

static void start_other(void *(*run)(void *))
{
	other.db = store_connect();
	other.stop = false;
	other.n = 0;
	pthread_create(&other.id, NULL, run, NULL);
}

static void stop_other(void)
{
	__atomic_store_n(&other.stop, true, __ATOMIC_RELAXED);
	pthread_join(other.id, NULL);
	talloc_free(other.db);
}

static bool goes_on(int64_t until)
{
	return !__atomic_load_n(&other.stop, __ATOMIC_RELAXED) && clock_ms() < until;
}

static int milliseconds(const char *variable, int otherwise)
{
	const char *text = getenv(variable);

	return text ? atoi(text) : otherwise;
}

/* Until it is done. Whatever happens to it has to be worth another try. */
static void run_to_the_end(void)
{
	struct sb_err err = { 0 };
	int64_t until = clock_ms() + 90000;
	int rc = 0, tries = 0;

	while (rc != 1 && clock_ms() < until) {
		load_watch.halt_at = -1;
		rc = load_change(load_statement(&shape), &err);
		if (rc < 0 && err_class(err.code) != ERR_RETRYABLE &&
		    err_class(err.code) != ERR_UNCERTAIN)
			break;
		tries++;
		clock_sleep_ms(rc < 0 ? 100 : 0);
	}
	load_stop();
	if (rc != 1)
		fail_msg("seed %u, try %d: %d: %s", seed, tries, rc, err.msg);
	print_message("%d tries, %" PRIu64 " writes\n", tries, load_application.writes);
}

/* ---- visible late ---------------------------------------------------------------------
 */

/* Nobody acknowledges, so the next transaction waits between binlog and engine for the
 * whole timeout; then the server gives up waiting, until it is told to begin again. */
static void *wait_for_nobody(void *unused)
{
	int64_t until = clock_ms() + milliseconds("SB_LAG_MS", 8000);
	struct sb_err err;

	(void)unused;
	db_thread_init();
	while (goes_on(until)) {
		if (db_run(other.db,
			   word("SET GLOBAL rpl_semi_sync_master_enabled = OFF",
				"SET GLOBAL rpl_semi_sync_source_enabled = OFF"),
			   &err) == 0 &&
		    db_run(other.db,
			   word("SET GLOBAL rpl_semi_sync_master_enabled = ON",
				"SET GLOBAL rpl_semi_sync_source_enabled = ON"),
			   &err) == 0)
			other.n++;
		clock_sleep_ms(1900);
	}
	db_thread_end();
	return NULL;
}

static void rows_that_are_visible_late(void **unused)
{
	const char *off = word("SET GLOBAL rpl_semi_sync_master_enabled = OFF",
			       "SET GLOBAL rpl_semi_sync_source_enabled = OFF");

	(void)unused;
	if (db_flavor(store.admin) == DB_MYSQL &&
	    store_number("SELECT COUNT(*) FROM information_schema.plugins WHERE"
			 " plugin_name = 'rpl_semi_sync_source'") == 0 &&
	    store_try(
		    "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'")) {
		print_message("skipped: this server has no semi-synchronous plugin\n");
		return;
	}
	store_sql("%s", word("SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC,"
			     " GLOBAL rpl_semi_sync_master_timeout = 1500,"
			     " GLOBAL sync_binlog = 0",
			     "SET GLOBAL rpl_semi_sync_source_wait_point = AFTER_SYNC,"
			     " GLOBAL rpl_semi_sync_source_timeout = 1500,"
			     " GLOBAL sync_binlog = 0"));
	load_start(&shape, seed);
	load_watch.hold_ms = 500;
	start_other(wait_for_nobody);
	run_to_the_end();
	stop_other();
	store_sql("%s", off);
	assert_true(other.n > 0);
	load_compare(&shape);
}

/* ---- killed connections ---------------------------------------------------------------
 */

/* Any that is not of this program's own making: a victim a time. */
static void *kill_some(void *unused)
{
	int64_t until = clock_ms() + milliseconds("SB_KILL_MS", 5000);
	TALLOC_CTX *mem = mem_ctx(NULL, "killer");

	(void)unused;
	db_thread_init();
	while (goes_on(until)) {
		struct db_rows *rows;
		struct sb_err err;

		if (db_query(
			    mem, other.db,
			    mem_printf(
				    mem,
				    "SELECT id FROM information_schema.processlist WHERE"
				    " id NOT IN (CONNECTION_ID(), %" PRIu64 ", %" PRIu64
				    ") AND user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1)"
				    " AND (db = 'schemabot_c_tests' OR command LIKE"
				    " 'Binlog Dump%%') ORDER BY RAND() LIMIT 1",
				    db_connection_id(store.db),
				    db_connection_id(store.admin)),
			    &rows, &err) == 0 &&
		    rows->n == 1 &&
		    db_run(other.db, mem_printf(mem, "KILL %s", rows->cell[0][0]),
			   &err) == 0)
			other.n++;
		talloc_free_children(mem);
		clock_sleep_ms(60 + rand() % 200);
	}
	talloc_free(mem);
	db_thread_end();
	return NULL;
}

static void connections_are_killed(void **unused)
{
	(void)unused;
	load_start(&shape, seed + 100);
	load_watch.hold_ms = 300;
	start_other(kill_some);
	run_to_the_end();
	stop_other();
	print_message("%d connections killed\n", other.n);
	assert_true(other.n > 3);
	load_compare(&shape);
}

/* ---- another state of the server
 * --------------------------------------------------------
 */

static bool copies_rows;

static void note_copying(enum copy_phase phase)
{
	copies_rows = copies_rows || phase == COPY_COPYING;
}

/* The same, and did it begin with the first row? */
static bool run_and_copy_again(void)
{
	copies_rows = false;
	load_watch.look = note_copying;
	run_to_the_end();
	load_watch.look = NULL;
	return copies_rows;
}

static void halt_in(enum copy_phase phase, unsigned more)
{
	struct sb_err err = { 0 };
	int rc;

	load_start(&shape, seed + more);
	load_watch.hold_ms = 100;
	load_watch.halt_at = (int)phase;
	rc = load_change(load_statement(&shape), &err);
	if (rc != 0)
		fail_msg("%d: %s", rc, err.msg);
}

static int64_t rows_kept(void)
{
	return store_number("SELECT COUNT(*) FROM `_schemabot_state`.checkpoints WHERE"
			    " progress LIKE '%%\"phase\":\"CATCHING_UP\"%%'");
}

static void a_read_only_server_is_told(void **unused)
{
	struct sb_err err = { 0 };

	(void)unused;
	halt_in(COPY_CATCHING_UP, 200);
	store_sql("SET GLOBAL %s = ON", word("read_only", "super_read_only"));
	assert_int_equal(load_change(load_statement(&shape), &err), -1);
	store_sql("SET GLOBAL read_only = OFF");
	print_message("%s\n", err.msg);
	assert_int_equal(err_class(err.code), ERR_RETRYABLE);
	assert_non_null(strstr(err.msg, "read"));
	assert_int_equal(rows_kept(), 1);
	assert_false(run_and_copy_again());
	load_compare(&shape);
}

/* What was not read yet is gone: proof, and all is copied again. */
static void a_purged_binlog_begins_anew(void **unused)
{
	const char *status = word("SHOW MASTER STATUS", "SHOW BINARY LOG STATUS");
	int64_t until = clock_ms() + 20000;
	struct db_rows *files;
	struct sb_err err;

	(void)unused;
	halt_in(COPY_CATCHING_UP, 300);
	for (uint64_t writes = load_application.writes; until > clock_ms();)
		if (load_application.writes > writes + 20)
			break;
	store_sql("FLUSH BINARY LOGS");
	/* Not while the server believes that the stream still reads the file. */
	for (bool purged = false; !purged; clock_sleep_ms(20)) {
		store_sql("PURGE BINARY LOGS TO '%s'", store_text("%s", status));
		if (db_query(store.ctx, store.admin, "SHOW BINARY LOGS", &files, &err) <
		    0)
			fail_msg("%s", err.msg);
		purged = files->n == 1;
		assert_true(clock_ms() < until);
	}
	assert_true(run_and_copy_again());
	load_compare(&shape);
}

/* A position keeps its kind: one by names is good for nothing without them, one by file
 * and offset is not taken by a server that has them. */
static void names_that_come_and_go(void **unused)
{
	static const char *const off[] = { GTID_OFF, NULL }, *const on[] = { GTID_ON,
									     NULL };

	(void)unused;
	if (db_flavor(store.admin) == DB_MARIADB)
		return; /* always has them */
	halt_in(COPY_CATCHING_UP, 310);
	all_of(off);
	assert_true(run_and_copy_again());
	load_compare(&shape);
	halt_in(COPY_CATCHING_UP, 320);
	all_of(on);
	assert_true(run_and_copy_again());
	load_compare(&shape);
}

static struct db *holder;
static int64_t held_ms, checking_ms;

/* Change a row, so that its key waits, and keep it then. */
static void hold_a_row(enum copy_phase phase)
{
	struct sb_err err;

	if (phase == COPY_CATCHING_UP && held_ms == 0) {
		if (db_run(holder, "UPDATE t SET v = -1 WHERE id = 77", &err) < 0 ||
		    db_run(holder, "UPDATE twin SET v = -1 WHERE id = 77", &err) < 0 ||
		    db_begin(holder, &err) < 0 ||
		    db_run(holder, "SELECT * FROM t WHERE id = 77 FOR UPDATE", &err) < 0)
			fail_msg("%s", err.msg);
		held_ms = clock_ms();
	}
	if (phase == COPY_CHECKING && checking_ms == 0)
		checking_ms = clock_ms();
}

/* It delays itself, and neither other rows nor what comes after. */
static void a_row_that_is_kept_for_long(void **unused)
{
	struct sb_err err = { 0 };

	(void)unused;
	load_start(&shape, seed + 400);
	store_sql("DELETE FROM t WHERE id = 77 OR c = -77");
	store_sql("DELETE FROM twin WHERE id = 77 OR c = -77");
	load_stop();
	store_sql("INSERT INTO t VALUES (77, 1, -77, '{}', '')");
	store_sql("INSERT INTO twin VALUES (77, 1, -77, '{}', '')");
	holder = store_connect();
	held_ms = checking_ms = 0;
	load_watch.halt_at = COPY_CHECKING;
	load_watch.look = hold_a_row;
	if (load_change(load_statement(&shape), &err) < 0 &&
	    err_class(err.code) != ERR_RETRYABLE)
		fail_msg("%s", err.msg);
	load_watch.look = NULL;
	db_rollback(holder);
	talloc_free(holder);
	assert_true(held_ms > 0 && checking_ms > 0);
	print_message("caught up %d ms after a row was locked\n",
		      (int)(checking_ms - held_ms));
	assert_true(checking_ms - held_ms < 4000);
	load_again(&shape, seed + 401);
	run_to_the_end();
	load_compare(&shape);
}

static bool moved;

static void move_the_address(enum copy_phase phase)
{
	const char *stream = "SELECT id FROM information_schema.processlist WHERE"
			     " command LIKE 'Binlog Dump%' LIMIT 1";

	if (phase != COPY_READY || moved)
		return;
	store_sql("SET GLOBAL server_id = 99");
	store_sql("KILL %s", store_text("%s", stream));
	moved = true;
}

/* The feed does not go on with another server while others of the copy's connections are
 * at the one before; the next try goes on there, as the transactions are the same. */
static void an_address_that_leads_elsewhere(void **unused)
{
	struct sb_err err = { 0 };

	(void)unused;
	if (db_flavor(store.admin) == DB_MYSQL)
		return; /* its identity is in a file */
	moved = false;
	load_start(&shape, seed + 700);
	load_watch.hold_ms = 20000;
	load_watch.halt_at = -1;
	load_watch.look = move_the_address;
	assert_int_equal(load_change(load_statement(&shape), &err), -1);
	print_message("%s\n", err.msg);
	assert_int_equal(err_class(err.code), ERR_RETRYABLE);
	assert_non_null(strstr(err.msg, "is another server now"));
	load_watch.hold_ms = 200;
	assert_false(run_and_copy_again());
	store_sql("SET GLOBAL server_id = 1");
	load_compare(&shape);
}

/* ---- servers of their own -------------------------------------------------------------
 */

static void *restart(void *unused)
{
	(void)unused;
	clock_sleep_ms(milliseconds("SB_RESTART_AFTER_MS", 150));
	if (system(getenv("SB_RESTART")) == 0)
		other.n++;
	return NULL;
}

static void look_again(void)
{
	talloc_free(store.admin);
	store.admin = store_connect();
	talloc_steal(NULL, store.admin);
}

static void the_server_is_started_anew(void **unused)
{
	(void)unused;
	load_start(&shape, seed + 500);
	load_watch.hold_ms = 3000;
	start_other(restart);
	run_to_the_end();
	stop_other();
	look_again();
	assert_int_equal(other.n, 1);
	load_compare(&shape);
}

/* The primary is gone, its replica takes over with all that it had. */
static void another_server_takes_over(void **unused)
{
	const char *socket = getenv("SB_DB2_SOCKET"), *catch_up;
	struct db *first = store.db;

	(void)unused;
	assert_non_null(socket);
	halt_in(COPY_CATCHING_UP, 600);
	load_stop();
	catch_up = db_flavor(store.admin) == DB_MARIADB
			   ? mem_printf(store.ctx, "SELECT MASTER_GTID_WAIT('%s', 60)",
					store_text("SELECT @@gtid_binlog_pos"))
			   : mem_printf(store.ctx,
					"SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', 60)",
					store_text("SELECT @@gtid_executed"));
	store.config.storage.socket = socket;
	store.db = store_connect();
	look_again();
	assert_int_equal(store_number("%s", catch_up), 0);
	store_sql("%s", word("STOP SLAVE", "STOP REPLICA"));
	load_again(&shape, seed + 601);
	load_watch.hold_ms = 200;
	assert_false(run_and_copy_again());
	load_compare(&shape);
	talloc_free(store.db);
	store.db = first;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(under_every_setting, store_empty),
		cmocka_unit_test_setup(a_read_only_server_is_told, store_empty),
		cmocka_unit_test_setup(a_purged_binlog_begins_anew, store_empty),
		cmocka_unit_test_setup(names_that_come_and_go, store_empty),
		cmocka_unit_test_setup(a_row_that_is_kept_for_long, store_empty),
		cmocka_unit_test_setup(an_address_that_leads_elsewhere, store_empty),
		cmocka_unit_test_setup(connections_are_killed, store_empty),
		cmocka_unit_test_setup(rows_that_are_visible_late, store_empty),
	};
	const struct CMUnitTest of_its_own[] = {
		cmocka_unit_test_setup(the_server_is_started_anew, store_empty),
		cmocka_unit_test_setup(another_server_takes_over, store_empty),
	};

	if (getenv("SB_ONLY"))
		cmocka_set_test_filter(getenv("SB_ONLY"));
	seed = (unsigned)clock_ms();
	srand(seed);
	print_message("seed %u\n", seed);
	return getenv("SB_RESTART")
		       ? cmocka_run_group_tests(of_its_own, store_start, store_stop)
		       : cmocka_run_group_tests(tests, store_start, store_stop);
}
