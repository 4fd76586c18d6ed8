/*
 * test_states.c - every state of state.def as a row of the storage (SEMANTICS ST-8,
 * #302): which rows the database allows, who is claimed when, what a request does, what
 * the reaper touches. Expectations come from the classes of state.def and from nowhere
 * else.
 *
 * Each state is put into the operation, its tasks and its apply, and walked through
 *   fresh   a driver owns it and has just beaten its heart
 *   orphan  its driver died, and the lease window has passed
 *   free    nobody owns it, and it is due
 *   later   nobody owns it, due in a while (backoff, parked)
 *   held    nobody may claim it
 */
#include <stdio.h>
#include <string.h>

#include "core/model/control_rules.h"
#include "core/store/control.h"
#include "core/store/operation.h"
#include "core/store/reap.h"
#include "tests/it/store.h"

enum when { FRESH, ORPHAN, FREE, LATER, HELD, WHEN_COUNT };
static const struct {
	const char *name, *owner, *claim_after;
} whens[WHEN_COUNT] = {
	[FRESH] = { "fresh", "'h/1/driver'", "NOW(6) + INTERVAL 60 SECOND" },
	[ORPHAN] = { "orphan", "'h/1/driver'", "NOW(6) - INTERVAL 1 SECOND" },
	[FREE] = { "free", "NULL", "NOW(6) - INTERVAL 1 SECOND" },
	[LATER] = { "later", "NULL", "NOW(6) + INTERVAL 15 SECOND" },
	[HELD] = { "held", "NULL", "NULL" },
};
#define ALL_CAPS (~0U)

static struct made made;

static bool due(enum when when)
{
	return when == ORPHAN || when == FREE;
}

/* DESIGN.md 3: settled implies nobody may claim it; what nobody may claim is pending,
 * stopped or settled. */
static bool possible(enum state s, enum when when)
{
	if (when == HELD)
		return state_is_settled(s) || s == STATE_PENDING || s == STATE_STOPPED;
	return !state_is_settled(s);
}

static unsigned put(enum state s, enum when when)
{
	return store_try("UPDATE apply_operations SET state = '%s', lease_owner = %s,"
			 " claim_after = %s, lease_token = 7, attempt = 0, deaths = 0,"
			 " failed_at = IF(state = 'failed_retryable', NOW(6), NULL)",
			 state_name(s), whens[when].owner, whens[when].claim_after);
}

/* An apply in that state throughout; false when the database refuses it. */
static bool make(enum state s, enum when when)
{
	store_empty(NULL);
	made = store_make(2);
	if (put(s, when) != 0)
		return false;
	store_sql("UPDATE tasks SET state = '%s'", state_name(s));
	store_sql("UPDATE applies SET state = '%s'", state_name(s));
	return true;
}

/* Run `check` for every row that may exist. */
static void walk(void (*check)(enum state s, enum when when))
{
	for (int s = 0; s < STATE_COUNT; s++)
		for (int w = 0; w < WHEN_COUNT; w++)
			if (possible((enum state)s, (enum when)w)) {
				print_message("# %s, %s\n", state_name((enum state)s),
					      whens[w].name);
				assert_true(make((enum state)s, (enum when)w));
				check((enum state)s, (enum when)w);
			}
}

static int claim(struct claim *out)
{
	struct sb_err err = { 0 };
	int rc = operation_claim(store.db, "me/3/driver", NULL, NULL, out, &err);

	if (rc < 0)
		fail_msg("%s", err.msg);
	return rc;
}

/* ---- the tables
 * ------------------------------------------------------------------------
 */

static void the_database_refuses_impossible_rows(void **unused)
{
	(void)unused;
	store_empty(NULL);
	made = store_make(1);
	for (int s = 0; s < STATE_COUNT; s++)
		for (int w = 0; w < WHEN_COUNT; w++) {
			unsigned refused = put((enum state)s, (enum when)w);

			if (possible((enum state)s, (enum when)w))
				assert_int_equal(refused, 0);
			else /* MariaDB's and MySQL's number of a violated CHECK */
				assert_true(refused == 4025 || refused == 3819);
		}
}

/* One active apply for a database and environment, for every pair of states. */
static void only_rest_frees_the_place_of_an_apply(void **unused)
{
	(void)unused;
	store_empty(NULL);
	made = store_make(0);
	store_make(0);
	store_sql("UPDATE applies SET state = 'completed', environment = 'staging'");
	for (int s = 0; s < STATE_COUNT; s++) {
		bool rest = state_is_settled((enum state)s) || s == STATE_STOPPED;

		store_sql("UPDATE applies SET state = '%s' WHERE id = %llu",
			  state_name((enum state)s), (unsigned long long)made.apply_row);
		assert_int_equal(store_number("SELECT COUNT(active_key) FROM applies"),
				 !rest);
		for (int t = 0; t < STATE_COUNT; t++) {
			bool both = !rest && !state_is_settled((enum state)t) &&
				    t != STATE_STOPPED;
			unsigned refused = store_try(
				"UPDATE applies SET state = '%s' WHERE id <> %llu",
				state_name((enum state)t),
				(unsigned long long)made.apply_row);

			assert_int_equal(refused, both ? 1062 : 0);
		}
		store_sql("UPDATE applies SET state = 'completed'");
	}
}

static void one_pending_request_of_a_kind(void **unused)
{
	static const char *const statuses[] = { "pending", "completed", "failed" };

	(void)unused;
	store_empty(NULL);
	made = store_make(1);
	for (int c = 0; c < CONTROL_COUNT; c++)
		for (size_t s = 0; s < ARRAY_SIZE(statuses); s++) {
			store_request(&made, control_name((enum control)c));
			assert_int_equal(
				store_try("INSERT INTO apply_control_requests (apply_row,"
					  " operation, metadata, status) VALUES (%llu,"
					  " '%s', '{}', '%s')",
					  (unsigned long long)made.apply_row,
					  control_name((enum control)c), statuses[s]),
				strcmp(statuses[s], "pending") == 0 ? 1062 : 0);
			store_sql("DELETE FROM apply_control_requests");
		}
	assert_int_not_equal(store_try("INSERT INTO apply_control_requests (apply_row,"
				       " operation, metadata, status) VALUES (1, 'stop',"
				       " '{}', 'perhaps')"),
			     0);
}

/* ---- the claim
 * ---------------------------------------------------------------------------
 */

static void check_claim(enum state s, enum when when)
{
	char *before = store_snapshot();
	struct claim c;

	assert_int_equal(claim(&c), due(when));
	if (!due(when)) {
		store_assert_unchanged(before);
		return;
	}
	assert_true(c.lease.operation == made.operation && c.lease.token == 8);
	assert_int_equal(c.state, s);
	assert_int_equal(c.predecessor_died, when == ORPHAN);
	assert_false(c.too_old);
	/* Only a retry spends an attempt: a state as such never does. */
	assert_int_equal(c.attempt, state_class(s) == CLASS_RETRYABLE);
	assert_string_equal(store_text("SELECT state FROM apply_operations"),
			    state_name(s));
	assert_string_equal(store_text("SELECT lease_owner FROM apply_operations"),
			    "me/3/driver");
	assert_in_range(store_number("SELECT TIMESTAMPDIFF(SECOND, NOW(6), claim_after)"
				     " FROM apply_operations"),
			LEASE_SECONDS - 5, LEASE_SECONDS);
	assert_int_equal(claim(&c), 0); /* and nobody else, meanwhile */
}

static void what_is_due_is_claimed_and_nothing_earlier(void **unused)
{
	(void)unused;
	walk(check_claim);
}

/* Deaths in a row cost nothing three times, and an attempt each further time. */
static void deaths_are_free_three_times(void **unused)
{
	struct claim c;

	(void)unused;
	for (int s = 0; s < STATE_COUNT; s++) {
		int spent = state_class((enum state)s) == CLASS_RETRYABLE;

		if (!possible((enum state)s, ORPHAN))
			continue;
		assert_true(make((enum state)s, ORPHAN));
		for (int death = 1; death <= DEATHS_FREE + 3; death++) {
			assert_int_equal(claim(&c), 1);
			assert_int_equal(c.attempt,
					 death * spent + (death > DEATHS_FREE && !spent
								  ? death - DEATHS_FREE
								  : 0));
			assert_int_equal(
				store_number("SELECT deaths FROM apply_operations"),
				death);
			store_sql("UPDATE apply_operations SET claim_after ="
				  " NOW(6) - INTERVAL 1 SECOND");
		}
	}
}

/* Only a retry can be too old, and only by its last failure. */
static void a_retry_out_of_its_window_is_claimed_as_such(void **unused)
{
	struct claim c;

	(void)unused;
	for (int s = 0; s < STATE_COUNT; s++) {
		if (!possible((enum state)s, FREE))
			continue;
		assert_true(make((enum state)s, FREE));
		store_sql("UPDATE apply_operations SET failed_at = NOW(6) - INTERVAL %d"
			  " SECOND, attempt = 1",
			  RETRY_WINDOW_SECONDS + 1);
		assert_int_equal(claim(&c), 1);
		assert_int_equal(c.too_old,
				 state_class((enum state)s) == CLASS_RETRYABLE);
	}
}

/* Deaths count until the operation gets further than it ever was. */
static void only_getting_further_forgets_deaths(void **unused)
{
	static const struct {
		uint64_t mark;
		int deaths;
	} steps[] = { { 5, 0 }, { 5, 2 }, { 4, 2 }, { 6, 0 } };
	struct sb_err err = { 0 };
	struct lease_tx tx;
	struct claim c;

	(void)unused;
	assert_true(make(STATE_RUNNING, FREE));
	assert_int_equal(claim(&c), 1);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		store_sql("UPDATE apply_operations SET deaths = 2");
		assert_int_equal(lease_tx_begin(store.db, &c.lease, &tx, &err), 0);
		assert_int_equal(operation_note_progress(&tx, steps[i].mark, &err), 0);
		assert_int_equal(lease_tx_commit(&tx, &err), 0);
		assert_int_equal(store_number("SELECT deaths FROM apply_operations"),
				 steps[i].deaths);
	}
}

/* ---- requests
 * ----------------------------------------------------------------------------
 */

static void check_request(enum state s, enum when when, enum control control)
{
	const struct control_facts facts = { .state = s,
					     .operations = STATE_BIT(s),
					     .engine_caps = ALL_CAPS };
	enum control_verdict verdict;
	struct control_result result;
	struct sb_err err = { 0 };
	struct claim c;
	char *before;
	int rc, claimed;

	assert_true(make(s, when));
	before = store_snapshot();
	verdict = control_judge(control, &facts, &err);
	rc = control_submit(store.db, made.apply_id, NULL, control, "me", ALL_CAPS, 5,
			    &result, &err);
	assert_int_equal(rc, verdict == CONTROL_REFUSED ? -1 : 0);
	if (verdict != CONTROL_ALLOWED) {
		assert_int_equal(
			store_number("SELECT COUNT(*) FROM apply_control_requests"), 0);
		if (rc < 0)
			store_assert_unchanged(before);
		else
			assert_int_equal(result.outcome, CONTROL_ALREADY_DONE);
		return;
	}
	assert_int_equal(result.outcome, CONTROL_ACCEPTED);
	assert_false(state_is_settled(s));
	/* Whoever drives it sees the request; where nobody does, somebody is called, but
	 * for a request that can wait until it is due. */
	claimed = claim(&c);
	assert_int_equal(claimed,
			 due(when) || (when != FRESH && control_wakes(control, s)));
	if (claimed && state_class(s) != CLASS_RETRYABLE)
		assert_int_equal(c.attempt, 0);
	rc = control_submit(store.db, made.apply_id, NULL, control, "me too", ALL_CAPS, 5,
			    &result, &err);
	assert_int_equal(rc, 0);
	assert_int_equal(result.outcome, CONTROL_ALREADY_REQUESTED);
	assert_int_equal(store_number("SELECT COUNT(*) FROM apply_control_requests"), 1);
}

static void check_requests(enum state s, enum when when)
{
	for (int c = 0; c < CONTROL_COUNT; c++)
		check_request(s, when, (enum control)c);
}

static void an_accepted_request_reaches_a_driver(void **unused)
{
	(void)unused;
	walk(check_requests);
}

/* A stopped operation rests until an operator wants something. */
static void stopped_is_claimed_only_for_a_request(void **unused)
{
	static const enum control wakers[] = { CONTROL_START, CONTROL_CANCEL };
	struct control_result result;
	struct sb_err err = { 0 };
	struct claim c;

	(void)unused;
	for (int i = 0; i < CONTROL_COUNT; i++) {
		bool wakes = false;

		for (size_t w = 0; w < ARRAY_SIZE(wakers); w++)
			wakes |= wakers[w] == (enum control)i;
		assert_true(make(STATE_STOPPED, HELD));
		assert_int_equal(claim(&c), 0);
		if (control_submit(store.db, made.apply_id, NULL, (enum control)i, "me",
				   ALL_CAPS, 5, &result, &err) < 0)
			assert_false(wakes);
		assert_int_equal(claim(&c), wakes);
	}
}

/* ---- the reaper
 * --------------------------------------------------------------------------
 */

static void check_reaper(enum state s, enum when when)
{
	char *before = store_snapshot();
	struct sb_err err = { 0 };
	struct claim c;
	bool too_old;

	assert_int_equal(reap_claim_expired(store.db, "me/4/reaper", &c, &too_old, &err),
			 0);
	assert_int_equal(reap_orphaned_requests(store.db, 100, &err), 0);
	store_assert_unchanged(before);

	/* Out of retries, or failed two days ago: only a retry that nobody works on. */
	for (int old = 0; old < 2; old++) {
		bool expires = state_class(s) == CLASS_RETRYABLE && when != FRESH;

		assert_true(make(s, when));
		if (old)
			store_sql("UPDATE apply_operations SET failed_at ="
				  " NOW(6) - INTERVAL 2 DAY, attempt = 1");
		else
			store_sql("UPDATE apply_operations SET failed_at = NOW(6),"
				  " attempt = %d",
				  RETRY_BUDGET);
		before = store_snapshot();
		assert_int_equal(
			reap_claim_expired(store.db, "me/4/reaper", &c, &too_old, &err),
			expires);
		if (!expires) {
			store_assert_unchanged(before);
			continue;
		}
		assert_int_equal(too_old, old);
		assert_true(c.lease.token == 8 && c.attempt == (old ? 1 : RETRY_BUDGET));
		assert_int_equal(
			reap_claim_expired(store.db, "me/5/reaper", &c, &too_old, &err),
			0);
	}
}

static void the_reaper_takes_expired_retries_only(void **unused)
{
	(void)unused;
	walk(check_reaper);
}

/* Requests that nobody will answer are those of settled applies. */
static void only_requests_of_settled_applies_are_orphans(void **unused)
{
	struct sb_err err = { 0 };

	(void)unused;
	for (int s = 0; s < STATE_COUNT; s++) {
		bool settled = state_is_settled((enum state)s);

		assert_true(make((enum state)s, settled ? HELD : FREE));
		store_request(&made, "stop");
		assert_int_equal(reap_orphaned_requests(store.db, 100, &err), settled);
		assert_string_equal(
			store_text("SELECT status FROM apply_control_requests"),
			settled ? "completed" : "pending");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_database_refuses_impossible_rows),
		cmocka_unit_test(only_rest_frees_the_place_of_an_apply),
		cmocka_unit_test(one_pending_request_of_a_kind),
		cmocka_unit_test(what_is_due_is_claimed_and_nothing_earlier),
		cmocka_unit_test(deaths_are_free_three_times),
		cmocka_unit_test(a_retry_out_of_its_window_is_claimed_as_such),
		cmocka_unit_test(only_getting_further_forgets_deaths),
		cmocka_unit_test(an_accepted_request_reaches_a_driver),
		cmocka_unit_test(stopped_is_claimed_only_for_a_request),
		cmocka_unit_test(the_reaper_takes_expired_retries_only),
		cmocka_unit_test(only_requests_of_settled_applies_are_orphans),
	};

	return cmocka_run_group_tests_name("states", tests, store_start, store_stop);
}
