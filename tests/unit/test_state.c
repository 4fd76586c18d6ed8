/*
 * test_state.c - state.def walked exhaustively: names, classes, edges, derivation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/model/model.h"
#include "core/model/state.h"
#include "tests/unit/unit.h"

static void names_are_read_back(void **unused)
{
	(void)unused;
	for (int s = 0; s < STATE_COUNT; s++) {
		int back = -1;

		assert_int_equal(state_parse(state_name((enum state)s), &back), 0);
		assert_int_equal(back, s);
		assert_true(strlen(state_label((enum state)s)) > 0);
	}
	int s;

	assert_int_equal(state_parse("recovering_cutover", &s), 0);
	assert_int_equal(s, STATE_RECOVERING);
	assert_int_equal(state_parse("nonsense", &s), -1);
}

/* ST-1/2: nothing leaves a settled state, by any event. */
static void settled_is_for_ever(void **unused)
{
	(void)unused;
	for (int from = 0; from < STATE_COUNT; from++)
		for (int e = 0; e < EVENT_COUNT; e++)
			for (int to = 0; to < STATE_COUNT; to++)
				if (state_is_settled((enum state)from))
					assert_false(state_may_move((enum state)from,
								    (enum state_event)e,
								    (enum state)to));
}

/* ST-4: progress never goes backwards, for all pairs. */
static void progress_only_rises(void **unused)
{
	(void)unused;
	for (int from = 0; from < STATE_COUNT; from++)
		for (int to = 0; to < STATE_COUNT; to++)
			if (state_may_move((enum state)from, EVENT_PROGRESS,
					   (enum state)to))
				assert_true(state_rank((enum state)to) >
					    state_rank((enum state)from));
	assert_true(state_may_move(STATE_RUNNING, EVENT_PROGRESS, STATE_CUTTING_OVER));
	assert_false(state_may_move(STATE_CUTTING_OVER, EVENT_PROGRESS, STATE_RUNNING));
	assert_false(state_may_move(STATE_STOPPED, EVENT_PROGRESS, STATE_RUNNING));
	assert_false(
		state_may_move(STATE_FAILED_RETRYABLE, EVENT_PROGRESS, STATE_RUNNING));
}

/* ST-8: every state that is neither settled nor at rest can be ended, stopped or retried.
 */
static void every_open_state_has_ways_out(void **unused)
{
	(void)unused;
	for (int s = 0; s < STATE_COUNT; s++) {
		enum state from = (enum state)s;

		if (state_is_settled(from))
			continue;
		assert_true(state_next(from, EVENT_CANCEL) == STATE_CANCELLED);
		assert_true(state_next(from, EVENT_FINISH) == STATE_COMPLETED);
		if (state_class(from) == CLASS_ACTIVE) {
			assert_int_equal(state_next(from, EVENT_FAIL), STATE_FAILED);
			assert_int_equal(state_next(from, EVENT_TRANSIENT),
					 STATE_FAILED_RETRYABLE);
			assert_int_equal(state_next(from, EVENT_STOP), STATE_STOPPED);
			assert_int_equal(state_next(from, EVENT_RETRY), STATE_PENDING);
		}
	}
	assert_int_equal(state_next(STATE_STOPPED, EVENT_START), STATE_PENDING);
	assert_int_equal(state_next(STATE_STOPPED, EVENT_RETRY), -1);
}

/* An event leads to one state from each state, so that state_next() is no guess. */
static void events_are_unambiguous(void **unused)
{
	(void)unused;
	for (int from = 0; from < STATE_COUNT; from++)
		for (int e = 0; e < EVENT_COUNT; e++) {
			int n = 0;

			if (e == EVENT_PROGRESS)
				continue;
			for (int to = 0; to < STATE_COUNT; to++)
				n += state_may_move((enum state)from, (enum state_event)e,
						    (enum state)to);
			assert_true(n <= 1);
		}
}

struct derivation {
	enum state children[4];
	size_t n;
	bool begun;
	enum state parent;
};

/* SEMANTICS B.3, rule by rule. */
static void derivation_follows_the_rules(void **unused)
{
	static const struct derivation cases[] = {
		{ { STATE_PENDING }, 0, false, STATE_PENDING },
		{ { STATE_PENDING, STATE_PENDING }, 2, false, STATE_PENDING },
		{ { STATE_PENDING, STATE_PENDING }, 2, true, STATE_RUNNING },
		{ { STATE_COMPLETED, STATE_PENDING }, 2, true, STATE_RUNNING },
		{ { STATE_COMPLETED, STATE_FAILED, STATE_FAILED_RETRYABLE },
		  3,
		  true,
		  STATE_FAILED },
		{ { STATE_FAILED_RETRYABLE, STATE_CANCELLED },
		  2,
		  true,
		  STATE_FAILED_RETRYABLE },
		{ { STATE_CANCELLED, STATE_STOPPED }, 2, true, STATE_CANCELLED },
		{ { STATE_STOPPED, STATE_COMPLETED }, 2, true, STATE_STOPPED },
		{ { STATE_STOPPED, STATE_RUNNING }, 2, true, STATE_STOPPED },
		{ { STATE_REVERTING, STATE_REVERTED }, 2, true, STATE_REVERTING },
		{ { STATE_REVERTED, STATE_COMPLETED }, 2, true, STATE_REVERTED },
		{ { STATE_COMPLETED, STATE_COMPLETED }, 2, true, STATE_COMPLETED },
		{ { STATE_RECOVERING, STATE_RUNNING }, 2, true, STATE_RECOVERING },
		{ { STATE_CUTTING_OVER, STATE_COMPLETED }, 2, true, STATE_CUTTING_OVER },
		{ { STATE_CUTTING_OVER, STATE_PENDING }, 2, true, STATE_RUNNING },
		{ { STATE_CUTTING_OVER, STATE_RUNNING }, 2, true, STATE_RUNNING },
		{ { STATE_WAITING_FOR_CUTOVER, STATE_COMPLETED },
		  2,
		  true,
		  STATE_WAITING_FOR_CUTOVER },
		{ { STATE_WAITING_FOR_CUTOVER, STATE_RUNNING }, 2, true, STATE_RUNNING },
		{ { STATE_WAITING_FOR_DEPLOY, STATE_COMPLETED },
		  2,
		  true,
		  STATE_WAITING_FOR_DEPLOY },
		{ { STATE_REVERT_WINDOW, STATE_COMPLETED },
		  2,
		  true,
		  STATE_REVERT_WINDOW },
		{ { STATE_CATCHING_UP, STATE_CHECKSUMMING }, 2, true, STATE_CATCHING_UP },
		{ { STATE_CHECKSUMMING, STATE_POST_CHECKSUM },
		  2,
		  true,
		  STATE_CHECKSUMMING },
		{ { STATE_PREPARING_BRANCH }, 1, true, STATE_PREPARING_BRANCH },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(state_name(state_derive(cases[i].children, cases[i].n,
							    cases[i].begun)),
				    state_name(cases[i].parent));
}

/* A parent is settled only when no child can move any more, for all pairs of children
 * that a driver can produce (a failure or cancellation ends the rest in the same
 * transaction). */
static void completed_needs_all_completed(void **unused)
{
	(void)unused;
	for (int a = 0; a < STATE_COUNT; a++)
		for (int b = 0; b < STATE_COUNT; b++) {
			enum state pair[] = { (enum state)a, (enum state)b };

			if (state_derive(pair, 2, true) == STATE_COMPLETED)
				assert_true(a == STATE_COMPLETED && b == STATE_COMPLETED);
		}
}

static void backoff_grows_to_its_ceiling(void **unused)
{
	static const int expected[] = { 0, 0, 15, 30, 60, 60, 60 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(retry_backoff_seconds((int)i), expected[i]);
	assert_int_equal(retry_backoff_seconds(-1), 0);
}

/* The state names inside sql/storage's constraints are those of state.def. */
static void storage_constraints_agree(void **unused)
{
	static const struct {
		const char *list;
		bool with_pending, with_stopped;
	} lists[] = {
		{ "not in ('completed','failed','cancelled','reverted')", false, false },
		{ "in ('pending','stopped','completed','failed','cancelled','reverted')",
		  true, true },
		{ "in ('completed','failed','cancelled','reverted','stopped')", false,
		  true },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (int s = 0; s < STATE_COUNT; s++) {
			char quoted[64];
			bool wanted = state_is_settled((enum state)s) ||
				      (s == STATE_PENDING && lists[i].with_pending) ||
				      (s == STATE_STOPPED && lists[i].with_stopped);

			snprintf(quoted, sizeof(quoted), "'%s'",
				 state_name((enum state)s));
			assert_int_equal(strstr(lists[i].list, quoted) != NULL, wanted);
		}
	static const char *const sql[] = {
#define STORAGE_TABLE(name, text) text,
#include "storage_sql.h"
#undef STORAGE_TABLE
	};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		bool found = false;

		for (size_t t = 0; t < ARRAY_SIZE(sql); t++)
			found |= strstr(sql[t], lists[i].list) != NULL;
		assert_true(found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_back),
		cmocka_unit_test(settled_is_for_ever),
		cmocka_unit_test(progress_only_rises),
		cmocka_unit_test(every_open_state_has_ways_out),
		cmocka_unit_test(events_are_unambiguous),
		cmocka_unit_test(derivation_follows_the_rules),
		cmocka_unit_test(completed_needs_all_completed),
		cmocka_unit_test(backoff_grows_to_its_ceiling),
		cmocka_unit_test(storage_constraints_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
