/*
 * test_control.c - the rules of control requests, walked exhaustively: every control in
 * every state with every set of waiting requests, against what SEMANTICS D says, written
 * down here a second time.
 */
#include <string.h>

#include "core/model/control_rules.h"
#include "engines/engine.h"
#include "tests/unit/unit.h"

#define ALL_CAPS (~0U)
#define SETS	 (1U << CONTROL_COUNT) /* of waiting requests */

/* Does SEMANTICS D allow it in this state, nothing waiting and the engine able? */
static bool allowed(enum control c, enum state s)
{
	bool revert_phase = s == STATE_REVERT_WINDOW || s == STATE_SKIPPING_REVERT ||
			    s == STATE_REVERTING;
	bool open = !state_is_settled(s) && s != STATE_STOPPED;

	switch (c) {
	case CONTROL_STOP:
	case CONTROL_VOLUME:
		return open && !revert_phase;
	case CONTROL_CANCEL:
		return (open || s == STATE_STOPPED) && !revert_phase;
	case CONTROL_START:
		return s == STATE_STOPPED || s == STATE_WAITING_FOR_DEPLOY;
	case CONTROL_CUTOVER:
		return s == STATE_WAITING_FOR_CUTOVER;
	case CONTROL_RELEASE:
		return s == STATE_PAUSED;
	case CONTROL_REVERT:
	case CONTROL_SKIP_REVERT:
		return s == STATE_REVERT_WINDOW;
	case CONTROL_COUNT:
		break;
	}
	fail();
	return false;
}

static bool done(enum control c, enum state s)
{
	return (c == CONTROL_STOP && s == STATE_STOPPED) ||
	       (c == CONTROL_CANCEL && s == STATE_CANCELLED) ||
	       (c == CONTROL_CUTOVER && s == STATE_CUTTING_OVER) ||
	       (c == CONTROL_REVERT && (s == STATE_REVERTING || s == STATE_REVERTED)) ||
	       (c == CONTROL_SKIP_REVERT && s == STATE_SKIPPING_REVERT);
}

/* Which waiting requests refuse it. */
static unsigned excluding(enum control c)
{
	unsigned halts = CONTROL_BIT(CONTROL_STOP) | CONTROL_BIT(CONTROL_CANCEL);

	switch (c) {
	case CONTROL_STOP:
	case CONTROL_CANCEL:
		return 0;
	case CONTROL_REVERT:
		return halts | CONTROL_BIT(CONTROL_SKIP_REVERT);
	case CONTROL_SKIP_REVERT:
		return halts | CONTROL_BIT(CONTROL_REVERT);
	case CONTROL_START:
	case CONTROL_CUTOVER:
	case CONTROL_VOLUME:
	case CONTROL_RELEASE:
	case CONTROL_COUNT:
		break;
	}
	return halts;
}

static enum control_verdict judge(enum control c, enum state s, unsigned pending,
				  unsigned caps, struct sb_err *err)
{
	const struct control_facts facts = { .state = s,
					     .operations = STATE_BIT(s),
					     .pending = pending,
					     .engine_caps = caps,
					     .pauses = true };

	*err = (struct sb_err){ 0 };
	return control_judge(c, &facts, err);
}

static void every_control_in_every_state_with_every_set_waiting(void **unused)
{
	(void)unused;
	for (int i = 0; i < CONTROL_COUNT; i++)
		for (int j = 0; j < STATE_COUNT; j++)
			for (unsigned pending = 0; pending < SETS; pending++) {
				enum control c = (enum control)i;
				enum state s = (enum state)j;
				struct sb_err err;
				enum control_verdict v =
					judge(c, s, pending, ALL_CAPS, &err);
				enum control_verdict wanted =
					done(c, s)		 ? CONTROL_DONE
					: !allowed(c, s)	 ? CONTROL_REFUSED
					: pending & excluding(c) ? CONTROL_REFUSED
								 : CONTROL_ALLOWED;

				if (v != wanted)
					fail_msg("%s in %s with %#x waiting: %d",
						 control_name(c), state_name(s), pending,
						 (int)v);
				if (v != CONTROL_REFUSED)
					continue;
				assert_int_equal(err.code, SB_ECONFLICT);
				assert_non_null(strstr(err.msg, "'"));
				if (allowed(c, s))
					assert_non_null(strstr(err.msg, "pending"));
				else if (c != CONTROL_RELEASE)
					assert_non_null(strstr(err.msg, state_name(s)));
			}
}

static void what_the_engine_cannot_do_is_refused(void **unused)
{
	static const unsigned needs[CONTROL_COUNT] = {
		[CONTROL_STOP] = ENGINE_CAP_STOP,
		[CONTROL_CANCEL] = ENGINE_CAP_CANCEL,
		[CONTROL_CUTOVER] = ENGINE_CAP_DEFER_CUTOVER,
		[CONTROL_VOLUME] = ENGINE_CAP_VOLUME,
		[CONTROL_REVERT] = ENGINE_CAP_REVERT,
		[CONTROL_SKIP_REVERT] = ENGINE_CAP_REVERT,
	};
	struct sb_err err;

	(void)unused;
	for (int c = 0; c < CONTROL_COUNT; c++)
		for (int s = 0; s < STATE_COUNT; s++) {
			enum control_verdict with =
				judge((enum control)c, (enum state)s, 0, needs[c], &err);
			enum control_verdict without =
				judge((enum control)c, (enum state)s, 0,
				      ALL_CAPS & ~needs[c], &err);

			assert_int_equal(with, judge((enum control)c, (enum state)s, 0,
						     ALL_CAPS, &err));
			if (!needs[c])
				continue;
			judge((enum control)c, (enum state)s, 0, ALL_CAPS & ~needs[c],
			      &err);
			assert_int_equal(without, CONTROL_REFUSED);
			assert_int_equal(err.code, SB_EUNSUPPORTED);
			assert_non_null(strstr(err.msg, control_name((enum control)c)));
		}
}

/* Of an apply with several deployments one operation's state is enough, while it is open.
 */
static void one_operation_at_the_gate_is_enough(void **unused)
{
	struct control_facts f = { .state = STATE_RUNNING,
				   .operations = STATE_BIT(STATE_WAITING_FOR_CUTOVER) |
						 STATE_BIT(STATE_PENDING),
				   .engine_caps = ALL_CAPS };
	struct sb_err err;

	(void)unused;
	assert_int_equal(control_judge(CONTROL_CUTOVER, &f, &err), CONTROL_ALLOWED);
	assert_int_equal(control_judge(CONTROL_REVERT, &f, &err), CONTROL_REFUSED);
	f.state = STATE_STOPPED;
	assert_int_equal(control_judge(CONTROL_CUTOVER, &f, &err), CONTROL_REFUSED);
}

static void release_is_a_latch_of_applies_that_pause(void **unused)
{
	struct sb_err err;

	(void)unused;
	for (int s = 0; s < STATE_COUNT; s++) {
		struct control_facts f = { .state = (enum state)s };

		assert_int_equal(control_judge(CONTROL_RELEASE, &f, &err),
				 CONTROL_REFUSED);
		assert_non_null(strstr(err.msg, "'pause'"));
		f.pauses = true;
		assert_int_equal(control_judge(CONTROL_RELEASE, &f, &err),
				 s == STATE_PAUSED ? CONTROL_ALLOWED : CONTROL_REFUSED);
		f.released = true;
		assert_int_equal(control_judge(CONTROL_RELEASE, &f, &err), CONTROL_DONE);
	}
}

static void what_was_stopped_too_long_is_not_continued(void **unused)
{
	struct control_facts f = { .state = STATE_STOPPED,
				   .engine_caps = ALL_CAPS,
				   .stopped_too_long = true };
	struct sb_err err;

	(void)unused;
	assert_int_equal(control_judge(CONTROL_START, &f, &err), CONTROL_REFUSED);
	assert_non_null(strstr(err.msg, "7 days"));
	assert_non_null(strstr(err.msg, "plan again"));
	assert_int_equal(control_judge(CONTROL_CANCEL, &f, &err), CONTROL_ALLOWED);
	f.state = STATE_WAITING_FOR_DEPLOY;
	assert_int_equal(control_judge(CONTROL_START, &f, &err), CONTROL_ALLOWED);
}

/* A start that only some deployments of a rollout could obey can be asked for again. */
static void what_is_left_stopped_can_be_started(void **unused)
{
	struct control_facts f = { .state = STATE_RUNNING,
				   .operations = STATE_BIT(STATE_RUNNING),
				   .engine_caps = ALL_CAPS };
	struct sb_err err;

	(void)unused;
	assert_int_equal(control_judge(CONTROL_START, &f, &err), CONTROL_REFUSED);
	f.operations |= STATE_BIT(STATE_STOPPED);
	assert_int_equal(control_judge(CONTROL_START, &f, &err), CONTROL_ALLOWED);
	f.pending = CONTROL_BIT(CONTROL_STOP);
	assert_int_equal(control_judge(CONTROL_START, &f, &err), CONTROL_REFUSED);
	/* Of one that has ended nothing is started. */
	f.pending = 0;
	f.state = STATE_FAILED;
	assert_int_equal(control_judge(CONTROL_START, &f, &err), CONTROL_REFUSED);
}

/* Nothing waits on in a settled state, nor what its state forbids; a reason is given. */
static void every_request_ends(void **unused)
{
	(void)unused;
	for (int c = 0; c < CONTROL_COUNT; c++)
		for (int s = 0; s < STATE_COUNT; s++)
			for (unsigned pending = 0; pending < SETS; pending++) {
				const char *failure;
				enum control_end end =
					control_ends((enum control)c, (enum state)s,
						     pending | CONTROL_BIT(c), &failure);

				assert_int_equal(end == CONTROL_FAILS, failure != NULL);
				if (state_is_settled((enum state)s))
					assert_int_not_equal(end, CONTROL_STAYS);
				if (done((enum control)c, (enum state)s) &&
				    (state_is_settled((enum state)s) ||
				     s == STATE_STOPPED))
					assert_int_equal(end, CONTROL_COMPLETES);
				/* What could be asked for now is not over. */
				if (allowed((enum control)c, (enum state)s) &&
				    c != CONTROL_VOLUME && c != CONTROL_START)
					assert_int_equal(end, CONTROL_STAYS);
			}
}

struct ending {
	enum control control;
	enum state state;
	unsigned pending;
	enum control_end end;
};

/* The endings that SEMANTICS D names. */
static void requests_end_as_the_spec_says(void **unused)
{
	static const struct ending cases[] = {
		/* stop racing completion: completion wins, and nothing is left to stop */
		{ CONTROL_STOP, STATE_COMPLETED, 0, CONTROL_COMPLETES },
		{ CONTROL_STOP, STATE_FAILED, 0, CONTROL_COMPLETES },
		{ CONTROL_STOP, STATE_FAILED_RETRYABLE, 0, CONTROL_STAYS },
		{ CONTROL_STOP, STATE_REVERT_WINDOW, 0, CONTROL_FAILS },
		{ CONTROL_CANCEL, STATE_COMPLETED, 0, CONTROL_FAILS },
		{ CONTROL_CANCEL, STATE_FAILED, 0, CONTROL_FAILS },
		{ CONTROL_CANCEL, STATE_STOPPED, 0, CONTROL_STAYS },
		/* "stopped" must not complete a start; other ends do, or fail it */
		{ CONTROL_START, STATE_STOPPED, 0, CONTROL_STAYS },
		{ CONTROL_START, STATE_STOPPED, CONTROL_BIT(CONTROL_STOP),
		  CONTROL_FAILS },
		{ CONTROL_START, STATE_RUNNING, 0, CONTROL_STAYS },
		{ CONTROL_START, STATE_COMPLETED, 0, CONTROL_COMPLETES },
		{ CONTROL_START, STATE_FAILED, 0, CONTROL_FAILS },
		{ CONTROL_CUTOVER, STATE_REVERT_WINDOW, 0, CONTROL_COMPLETES },
		{ CONTROL_CUTOVER, STATE_COMPLETED, 0, CONTROL_COMPLETES },
		{ CONTROL_CUTOVER, STATE_REVERTED, 0, CONTROL_COMPLETES },
		{ CONTROL_CUTOVER, STATE_CUTTING_OVER, 0, CONTROL_STAYS },
		{ CONTROL_CUTOVER, STATE_CANCELLED, 0, CONTROL_FAILS },
		{ CONTROL_CUTOVER, STATE_STOPPED, 0, CONTROL_FAILS },
		{ CONTROL_REVERT, STATE_COMPLETED, 0, CONTROL_FAILS },
		{ CONTROL_SKIP_REVERT, STATE_REVERTED, 0, CONTROL_FAILS },
		{ CONTROL_SKIP_REVERT, STATE_COMPLETED, 0, CONTROL_COMPLETES },
		{ CONTROL_RELEASE, STATE_FAILED, 0, CONTROL_FAILS },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ending *c = &cases[i];
		const char *failure;

		if (control_ends(c->control, c->state, c->pending, &failure) != c->end)
			fail_msg("%s in %s", control_name(c->control),
				 state_name(c->state));
	}
}

/* Whoever is concerned is woken; the settled sleep for ever. */
static void requests_wake_whom_they_concern(void **unused)
{
	(void)unused;
	for (int c = 0; c < CONTROL_COUNT; c++)
		for (int s = 0; s < STATE_COUNT; s++) {
			bool wakes = control_wakes((enum control)c, (enum state)s);

			if (control_concerns((enum control)c, (enum state)s))
				assert_true(wakes);
			if (state_is_settled((enum state)s))
				assert_false(wakes);
			else if (c == CONTROL_CANCEL ||
				 (c == CONTROL_STOP && s != STATE_STOPPED))
				assert_true(wakes);
		}
	/* A retry that waits its turn is not hurried by a new volume. */
	assert_false(control_wakes(CONTROL_VOLUME, STATE_FAILED_RETRYABLE));
	/* Nor is anything held let go, but by a release and for its end. */
	assert_false(control_wakes(CONTROL_START, STATE_PENDING));
	assert_false(control_wakes(CONTROL_CUTOVER, STATE_PENDING));
	assert_true(control_wakes(CONTROL_RELEASE, STATE_PENDING));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_control_in_every_state_with_every_set_waiting),
		cmocka_unit_test(what_the_engine_cannot_do_is_refused),
		cmocka_unit_test(one_operation_at_the_gate_is_enough),
		cmocka_unit_test(release_is_a_latch_of_applies_that_pause),
		cmocka_unit_test(what_was_stopped_too_long_is_not_continued),
		cmocka_unit_test(what_is_left_stopped_can_be_started),
		cmocka_unit_test(every_request_ends),
		cmocka_unit_test(requests_end_as_the_spec_says),
		cmocka_unit_test(requests_wake_whom_they_concern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
