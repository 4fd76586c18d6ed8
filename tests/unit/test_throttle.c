/*
 * test_throttle.c - what signals of load mean: limits, words, how it begins and ends, and
 * that a replica which nobody can see counts as late.
 */
#include <string.h>

#include "engines/mysql/copy/pressure.h"
#include "tests/unit/unit.h"

static TALLOC_CTX *ctx;
static struct pressure *pressure;
static int64_t now = 1000000;

static int setup(void **unused)
{
	static struct db_params replicas[] = { { .name = "db2:3306" },
					       { .name = "db3:3306" } };
	const struct throttle_limits limits = { .max_replica_lag_seconds = 120,
						.max_threads_running = 50,
						.max_history_list = 1000000,
						.max_checkpoint_age_percent = 80,
						.replicas = replicas,
						.n_replicas = 2 };

	(void)unused;
	ctx = mem_ctx(NULL, "test");
	pressure = pressure_new(ctx, &limits, now);
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	talloc_free(ctx);
	return 0;
}

static void look(enum pressure_signal signal, size_t replica, int64_t value)
{
	pressure_look(pressure_of(pressure, signal, replica), value, now);
}

/* All is quiet, but for what a test says next. */
static void quiet(void)
{
	look(PRESSURE_THREADS, 0, 3);
	look(PRESSURE_HISTORY, 0, 100);
	look(PRESSURE_CHECKPOINT, 0, 10);
	look(PRESSURE_LAG, 0, 0);
	look(PRESSURE_LAG, 1, 1);
}

#define assert_reason(work, text)                                                 \
	do {                                                                      \
		char is_[PRESSURE_TEXT];                                          \
		bool any_ = pressure_reason(pressure, PRESSURE_##work, now, is_); \
		assert_string_equal(is_, text);                                   \
		assert_int_equal(any_, *(text) != '\0');                          \
	} while (0)

static void a_reason_names_signal_and_limit(void **unused)
{
	(void)unused;
	quiet();
	assert_reason(WRITES, "");
	look(PRESSURE_THREADS, 0, 50);
	look(PRESSURE_HISTORY, 0, 1000000);
	look(PRESSURE_CHECKPOINT, 0, 80);
	look(PRESSURE_LAG, 1, 120);
	assert_reason(WRITES, "");
	look(PRESSURE_THREADS, 0, 51);
	assert_reason(WRITES, "threads running 51 > 50");
	look(PRESSURE_HISTORY, 0, 1000001);
	look(PRESSURE_CHECKPOINT, 0, 100);
	assert_false(pressure_lags(pressure, now));
	look(PRESSURE_LAG, 1, 130);
	assert_true(pressure_lags(pressure, now));
	assert_reason(WRITES, "threads running 51 > 50; history list 1000001 > 1000000;"
			      " checkpoint age 100% > 80%;"
			      " replica lag of db3:3306 130s > 120s");
}

static void what_only_reads_does_not_wait_for_replicas(void **unused)
{
	(void)unused;
	quiet();
	look(PRESSURE_LAG, 0, 10000);
	look(PRESSURE_CHECKPOINT, 0, 100);
	assert_reason(READS, "");
	look(PRESSURE_THREADS, 0, 60);
	look(PRESSURE_HISTORY, 0, 2000000);
	assert_reason(READS, "threads running 60 > 50; history list 2000000 > 1000000");
}

static void it_ends_when_it_has_been_well_below_for_three_looks(void **unused)
{
	(void)unused;
	quiet();
	look(PRESSURE_THREADS, 0, 90);
	look(PRESSURE_THREADS, 0, 46);
	assert_reason(WRITES, "threads running 46 > 45");
	look(PRESSURE_THREADS, 0, 45);
	assert_reason(WRITES, "threads running 90 > 50");
	look(PRESSURE_THREADS, 0, 2);
	look(PRESSURE_THREADS, 0, 47); /* counts anew */
	look(PRESSURE_THREADS, 0, 45);
	look(PRESSURE_THREADS, 0, 44);
	assert_reason(WRITES, "threads running 90 > 50");
	look(PRESSURE_THREADS, 0, 45);
	assert_reason(WRITES, "");
	look(PRESSURE_THREADS, 0, 50); /* at the limit it does not begin */
	assert_reason(WRITES, "");
	look(PRESSURE_THREADS, 0, 51);
	assert_reason(WRITES, "threads running 51 > 50");
}

/* A limit of one or two has something below it, too. */
static void small_limits_can_be_kept(void **unused)
{
	const struct throttle_limits limits = { .max_threads_running = 1 };

	(void)unused;
	pressure = pressure_new(ctx, &limits, now);
	look(PRESSURE_THREADS, 0, 2);
	assert_reason(WRITES, "threads running 2 > 1");
	for (int i = 0; i < 3; i++)
		look(PRESSURE_THREADS, 0, 0);
	assert_reason(WRITES, "");
}

static void an_unseen_replica_is_late_after_45_seconds(void **unused)
{
	(void)unused;
	now += 44999; /* it was never seen */
	look(PRESSURE_THREADS, 0, 1);
	look(PRESSURE_LAG, 0, 0);
	look(PRESSURE_LAG, 1, -1);
	assert_reason(WRITES, "");
	now += 1;
	look(PRESSURE_LAG, 0, 0);
	look(PRESSURE_LAG, 1, -1);
	assert_true(pressure_lags(pressure, now));
	assert_reason(WRITES, "replica lag of db3:3306 unknown for 45s >= 45s");
	assert_reason(READS, "");
	look(PRESSURE_LAG, 1, 5);
	assert_reason(WRITES, "");
	now += 30000;
	look(PRESSURE_LAG, 0, 0);
	look(PRESSURE_LAG, 1, -1);
	assert_reason(WRITES, "");
	now += 30500;
	look(PRESSURE_THREADS, 0, 1);
	look(PRESSURE_LAG, 0, 0);
	look(PRESSURE_LAG, 1, -1);
	assert_reason(WRITES, "replica lag of db3:3306 unknown for 60s >= 45s");
}

/* It was late, and cannot be seen any more: that is no reason to go on. */
static void a_late_replica_stays_late_while_it_is_unseen(void **unused)
{
	(void)unused;
	quiet();
	look(PRESSURE_LAG, 0, 500);
	now += 1000;
	look(PRESSURE_LAG, 0, -1);
	assert_reason(WRITES, "replica lag of db2:3306 500s > 120s");
	now += 44000;
	look(PRESSURE_LAG, 1, 0);
	look(PRESSURE_THREADS, 0, 0);
	assert_reason(WRITES, "replica lag of db2:3306 unknown for 45s >= 45s");
	look(PRESSURE_LAG, 0, 3); /* once is not three times */
	assert_reason(WRITES, "replica lag of db2:3306 500s > 120s");
}

static void a_server_that_does_not_answer_is_busy(void **unused)
{
	(void)unused;
	quiet();
	now += 45000;
	look(PRESSURE_LAG, 0, 0);
	look(PRESSURE_LAG, 1, 0);
	assert_reason(READS, "threads running unknown for 45s >= 45s");
	look(PRESSURE_THREADS, 0, 0); /* the others may not exist there */
	assert_reason(WRITES, "");
}

static void what_is_off_is_not_looked_at(void **unused)
{
	static struct db_params replica = { .name = "db2:3306" };
	const struct throttle_limits limits = { .replicas = &replica, .n_replicas = 1 };

	(void)unused;
	pressure = pressure_new(ctx, &limits, now);
	for (int s = 0; s < PRESSURE_SIGNALS; s++)
		assert_null(pressure_of(pressure, (enum pressure_signal)s, 0));
	now += 100000;
	assert_reason(WRITES, "");
	assert_reason(READS, "");
	assert_false(pressure_lags(pressure, now));
}

/* More replicas than words fit. */
static void a_long_reason_is_cut(void **unused)
{
	struct db_params replicas[20];
	const struct throttle_limits limits = { .max_replica_lag_seconds = 1,
						.replicas = replicas,
						.n_replicas = ARRAY_SIZE(replicas) };
	char text[PRESSURE_TEXT];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(replicas); i++)
		replicas[i] = (struct db_params){ .name = "db.example.com:3306" };
	pressure = pressure_new(ctx, &limits, now);
	for (size_t i = 0; i < ARRAY_SIZE(replicas); i++)
		look(PRESSURE_LAG, i, 9);
	assert_true(pressure_reason(pressure, PRESSURE_WRITES, now, text));
	assert_int_equal(strlen(text), sizeof(text) - 1);
}

/* ---- what servers print ---------------------------------------------------------------
 */

static void numbers_are_found_in_the_status_of_innodb(void **unused)
{
	static const char mysql[] = "TRANSACTIONS\n------------\nTrx id counter 1289\n"
				    "History list length 39\n---\nLOG\n---\n"
				    "Log sequence number          19495633\n"
				    "Log buffer assigned up to    19495633\n"
				    "Last checkpoint at           19067717\n";
	static const char mariadb[] = "History list length 7\nLog sequence number 44760\n"
				      "Last checkpoint at  44404\n";

	(void)unused;
	assert_int_equal(pressure_status_number(mysql, "History list length"), 39);
	assert_int_equal(pressure_status_number(mysql, "Log sequence number"), 19495633);
	assert_int_equal(pressure_status_number(mysql, "Last checkpoint at"), 19067717);
	assert_int_equal(pressure_status_number(mariadb, "History list length"), 7);
	assert_int_equal(pressure_status_number(mariadb, "Last checkpoint at"), 44404);
	assert_int_equal(
		pressure_status_number("x Last checkpoint at 1\n", "Last checkpoint at"),
		-1);
	assert_int_equal(
		pressure_status_number("Last checkpoint at\n", "Last checkpoint at"), -1);
	assert_int_equal(pressure_status_number("", "Last checkpoint at"), -1);
}

static int64_t lag_of(const char *column, const char *first, const char *second)
{
	char *names[] = { mem_strdup(ctx, "Channel"), mem_strdup(ctx, column) };
	char *one[] = { NULL, mem_strdup(ctx, first) };
	char *two[] = { NULL, mem_strdup(ctx, second) };
	char **cells[] = { one, two };
	const struct db_rows rows = { .n = 2, .width = 2, .name = names, .cell = cells };

	return pressure_lag(&rows);
}

static void the_lag_is_that_of_the_latest_channel(void **unused)
{
	const struct db_rows none = { .n = 0 };

	(void)unused;
	assert_int_equal(lag_of("Seconds_Behind_Source", "3", "17"), 17);
	assert_int_equal(lag_of("Seconds_Behind_Master", "17", "0"), 17);
	assert_int_equal(lag_of("Seconds_Behind_Master", "17", NULL), -1);
	assert_int_equal(lag_of("Seconds_Behind_Master", NULL, "17"), -1);
	assert_int_equal(lag_of("Seconds", "3", "17"), -1);
	assert_int_equal(pressure_lag(&none), -1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_reason_names_signal_and_limit),
		T(what_only_reads_does_not_wait_for_replicas),
		T(it_ends_when_it_has_been_well_below_for_three_looks),
		T(small_limits_can_be_kept),
		T(an_unseen_replica_is_late_after_45_seconds),
		T(a_late_replica_stays_late_while_it_is_unseen),
		T(a_server_that_does_not_answer_is_busy),
		T(what_is_off_is_not_looked_at),
		T(a_long_reason_is_cut),
		T(numbers_are_found_in_the_status_of_innodb),
		T(the_lag_is_that_of_the_latest_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
