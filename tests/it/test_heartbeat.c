/*
 * test_heartbeat.c - the thread that keeps a lease and the watchdog that gives it up
 * (DESIGN.md 3: a driver that cannot heartbeat halts its engine by itself, by the
 * monotonic clock, before anyone can steal the claim).
 *
 * The times are shortened with SB_HEARTBEAT_MS; nothing here waits for 45 seconds.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/drive/heartbeat.h"
#include "core/store/operation.h"
#include "tests/it/store.h"

#define DEADLINE_MS 20000

struct engine_run {
	atomic_int fenced;
};

static void fence(struct engine_run *run)
{
	run->fenced++;
}

static const struct engine engine = { .name = "test", .ops = { .fence = fence } };
static struct engine_run run;
static struct made made;
static struct lease lease;

static int setup(void **state)
{
	if (store_empty(state) < 0)
		return -1;
	run.fenced = 0;
	made = store_make(1);
	lease = store_claim(&made);
	unsetenv("SB_FAULT_FILE");
	return 0;
}

static struct heartbeat *start(const struct db_params *storage, const char *times)
{
	struct heartbeat *h;

	setenv("SB_HEARTBEAT_MS", times, 1);
	h = heartbeat_start(storage, &lease, clock_ms());
	heartbeat_guard(h, &engine, &run);
	return h;
}

static void wait_verdict(struct heartbeat *h, enum heartbeat_state wanted)
{
	int64_t end = clock_ms() + DEADLINE_MS;

	while (heartbeat_check(h) == HEARTBEAT_OK && clock_ms() < end)
		clock_sleep_ms(1);
	assert_int_equal(heartbeat_check(h), wanted);
}

static char *claim_after(void)
{
	return store_text("SELECT claim_after FROM apply_operations");
}

static void wait_for_beats(int n)
{
	int64_t end = clock_ms() + DEADLINE_MS;

	while (n-- > 0) {
		char *before = claim_after();

		while (strcmp(before, claim_after()) == 0)
			assert_true(clock_ms() < end);
	}
}

/* A socket that takes connections and never says a word: a storage that hangs. */
static int silent_server(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 10), 0);
	return fd;
}

/* ---- tests ---------------------------------------------------------------------------
 */

static void beats_move_the_claim_ahead(void **unused)
{
	struct heartbeat *h = start(&store.config.storage, "5,5,60000");

	(void)unused;
	wait_for_beats(3);
	assert_int_equal(heartbeat_check(h), HEARTBEAT_OK);
	heartbeat_stop(h);
	assert_int_equal(run.fenced, 0);
}

static void a_newer_token_is_a_lost_lease(void **unused)
{
	struct heartbeat *h = start(&store.config.storage, "5,5,60000");
	char *before;

	(void)unused;
	wait_for_beats(1);
	store_rotate(&made);
	wait_verdict(h, HEARTBEAT_LOST);
	assert_int_equal(run.fenced, 1);
	before = store_snapshot();
	heartbeat_stop(h);
	store_assert_unchanged(before);
}

/* What is opened after the loss is fenced at once. */
static void an_engine_that_comes_too_late_is_fenced(void **unused)
{
	struct engine_run late = { 0 };
	struct heartbeat *h = start(&store.config.storage, "5,5,60000");

	(void)unused;
	store_rotate(&made);
	wait_verdict(h, HEARTBEAT_LOST);
	heartbeat_guard(h, &engine, NULL);
	heartbeat_guard(h, &engine, &late);
	assert_int_equal(late.fenced, 1);
	heartbeat_stop(h);
}

/* A verdict belongs to the run that was guarded under its claim: not to the run of a
 * newer claim, not to one that was closed before it. */
static void a_fence_hits_its_own_run_only(void **unused)
{
	struct engine_run newer = { 0 }, closed = { 0 };
	struct heartbeat *old = start(&store.config.storage, "5,5,60000"), *new;
	struct lease claim = lease;

	(void)unused;
	heartbeat_guard(old, &engine, &closed);
	heartbeat_guard(old, &engine, NULL); /* closed */
	heartbeat_guard(old, &engine, &run);
	store_rotate(&made);
	claim.token++;
	new = heartbeat_start(&store.config.storage, &claim, clock_ms());
	heartbeat_guard(new, &engine, &newer);
	wait_verdict(old, HEARTBEAT_LOST);
	wait_for_beats(3); /* the newer claim's */
	assert_int_equal(run.fenced, 1);
	assert_int_equal(closed.fenced, 0);
	assert_int_equal(newer.fenced, 0);
	assert_int_equal(heartbeat_check(new), HEARTBEAT_OK);
	heartbeat_stop(old);
	assert_int_equal(heartbeat_check(new), HEARTBEAT_OK);
	assert_int_equal(newer.fenced, 0);
	heartbeat_stop(new);
}

/* OW-4: errors prove nothing; only silence for too long ends in fencing, not in "lost".
 */
static void an_unreachable_storage_fences(void **unused)
{
	struct db_params gone = store.config.storage;
	int64_t began = clock_ms();
	struct heartbeat *h;

	(void)unused;
	gone.socket = "/nonexistent/storage.sock";
	h = start(&gone, "1,10,150");
	wait_verdict(h, HEARTBEAT_FENCED);
	assert_true(clock_ms() - began >= 150);
	assert_int_equal(run.fenced, 1);
	heartbeat_stop(h);
}

/* A beat that hangs in the network does not hold up the watchdog. */
static void a_hanging_storage_fences_in_time(void **unused)
{
	char path[64];
	struct db_params hanging = store.config.storage;
	int64_t began = clock_ms();
	struct heartbeat *h;
	int fd;

	(void)unused;
	snprintf(path, sizeof(path), "/tmp/sb-silent-%d.sock", (int)getpid());
	fd = silent_server(path);
	hanging.socket = path;
	h = start(&hanging, "1,10,150");
	wait_verdict(h, HEARTBEAT_FENCED);
	/* Its connection attempt alone would take three seconds. */
	assert_in_range(clock_ms() - began, 150, 2000);
	assert_int_equal(run.fenced, 1);
	close(fd);
	unlink(path);
	heartbeat_stop(h);
}

/* The row is locked by somebody: beats wait and fail, then one gets through. */
static void a_few_failures_do_no_harm(void **unused)
{
	char rules[64];
	struct heartbeat *h;
	FILE *file;

	(void)unused;
	snprintf(rules, sizeof(rules), "/tmp/sb-rules-%d", (int)getpid());
	file = fopen(rules, "w");
	assert_non_null(file);
	for (int i = 1; i <= 4; i++)
		fprintf(file, "lease.heartbeat:error@%d\n", i);
	fclose(file);
	setenv("SB_FAULT_FILE", rules, 1);
	h = start(&store.config.storage, "1,1,60000");
	wait_for_beats(2);
	assert_int_equal(heartbeat_check(h), HEARTBEAT_OK);
	heartbeat_stop(h);
	assert_int_equal(run.fenced, 0);
	unlink(rules);
}

/* The watchdog counts from before the claim: a driver that froze in between is late. */
static void a_claim_that_is_old_is_fenced_at_once(void **unused)
{
	struct heartbeat *h;

	(void)unused;
	setenv("SB_HEARTBEAT_MS", "60000,60000,150", 1);
	h = heartbeat_start(&store.config.storage, &lease, clock_ms() - 150);
	heartbeat_guard(h, &engine, &run);
	wait_verdict(h, HEARTBEAT_FENCED);
	heartbeat_stop(h);
	assert_int_equal(run.fenced, 1);
}

/* No window for a thief: who presumes its lease lost does so before others may. */
static void the_windows_are_in_order(void **unused)
{
	/* Beats that fail take at most 3 s to connect and 4 s for an answer. */
	(void)unused;
	assert_true(HEARTBEAT_SECONDS * 3 < SELF_FENCE_SECONDS);
	assert_true(SELF_FENCE_SECONDS + 10 < LEASE_SECONDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(beats_move_the_claim_ahead, setup),
		cmocka_unit_test_setup(a_newer_token_is_a_lost_lease, setup),
		cmocka_unit_test_setup(an_engine_that_comes_too_late_is_fenced, setup),
		cmocka_unit_test_setup(a_fence_hits_its_own_run_only, setup),
		cmocka_unit_test_setup(an_unreachable_storage_fences, setup),
		cmocka_unit_test_setup(a_hanging_storage_fences_in_time, setup),
		cmocka_unit_test_setup(a_few_failures_do_no_harm, setup),
		cmocka_unit_test_setup(a_claim_that_is_old_is_fenced_at_once, setup),
		cmocka_unit_test(the_windows_are_in_order),
	};

	return cmocka_run_group_tests_name("heartbeat", tests, store_start, store_stop);
}
