/*
 * test_rollout.c - rollout.c walked exhaustively: every policy, every combination of
 * states of one to three members, begun and claimed or not (SEMANTICS B.4, ST-10).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/model/rollout.h"
#include "tests/unit/unit.h"

#define MOST 3

static const char *describe(const struct rollout *r)
{
	static char text[400];
	int n = snprintf(text, sizeof(text),
			 "policy %d, on_failure %d%s:", (int)r->policy,
			 (int)r->on_failure, r->released ? ", released" : "");

	for (size_t i = 0; i < r->n; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %s%s%s",
			      state_name(r->members[i].state),
			      r->members[i].begun ? "+begun" : "",
			      r->members[i].owned ? "+owned" : "");
	return text;
}

#define HOLDS(r, condition)                                                  \
	do {                                                                 \
		if (!(condition))                                            \
			fail_msg("%s -> %s: not so: %s", describe(r),        \
				 state_name(rollout_derive(r)), #condition); \
	} while (0)

/* The flags that a member in a state can have; bit 0 begun, bit 1 owned. */
static bool possible(enum state s, int flags)
{
	bool begun = flags & 1, owned = flags & 2;

	if (s == STATE_PAUSED || s == STATE_RUNNING_DEGRADED)
		return false; /* of applies only */
	switch (state_class(s)) {
	case CLASS_WAITING:
	case CLASS_STOPPED:
		return true;
	case CLASS_ACTIVE:
	case CLASS_RETRYABLE:
		return begun;
	case CLASS_SETTLED:
		return !owned && (begun || s == STATE_CANCELLED);
	}
	return false;
}

static void walk_members(struct rollout *r, struct rollout_member *m, size_t i,
			 void (*visit)(const struct rollout *))
{
	if (i == r->n) {
		r->begun = false;
		for (size_t j = 0; j < r->n; j++)
			r->begun |= m[j].begun;
		visit(r);
		return;
	}
	for (int s = 0; s < STATE_COUNT; s++)
		for (int flags = 0; flags < 4; flags++)
			if (possible((enum state)s, flags)) {
				m[i] = (struct rollout_member){ (enum state)s, flags & 1,
								flags & 2 };
				walk_members(r, m, i + 1, visit);
			}
}

static void walk(void (*visit)(const struct rollout *))
{
	struct rollout_member m[MOST];

	for (size_t n = 1; n <= MOST; n++)
		for (int p = 0; p < ROLLOUT_POLICY_COUNT; p++)
			for (int f = 0; f < ROLLOUT_FAILURE_COUNT; f++)
				for (int released = 0; released < 2; released++) {
					struct rollout r = {
						.policy = (enum rollout_policy)p,
						.on_failure = (enum rollout_failure)f,
						.released = released,
						.members = m,
						.n = n
					};

					walk_members(&r, m, 0, visit);
				}
}

struct seen {
	bool failed, open, stopped, fresh_go, fresh_held, at_work, cancelled;
	bool gate_moves; /* somebody at the gate may pass it or has to be cancelled */
	bool claimed;	 /* somebody who is pending is owned */
	size_t owned;	 /* how many open ones are */
};

static struct seen look(const struct rollout *r)
{
	struct seen s = { .failed = false };
	size_t blocker;

	for (size_t i = 0; i < r->n; i++) {
		const struct rollout_member *m = &r->members[i];
		enum rollout_order order = rollout_order(r, i, &blocker);
		bool fresh = !m->begun && state_class(m->state) != CLASS_SETTLED;

		s.failed |= m->state == STATE_FAILED;
		if (state_is_settled(m->state))
			continue;
		s.owned += m->owned;
		s.claimed |= m->owned && m->state == STATE_PENDING;
		if (order == ROLLOUT_CANCELLED) {
			s.cancelled = true;
			continue;
		}
		s.open = true;
		s.stopped |= m->state == STATE_STOPPED;
		s.fresh_go |= fresh && m->state == STATE_PENDING && order == ROLLOUT_GO;
		s.fresh_held |=
			fresh && m->state == STATE_PENDING && order == ROLLOUT_HELD;
		if (m->state == STATE_WAITING_FOR_CUTOVER)
			s.gate_moves |= rollout_gate(r, i, &blocker) != ROLLOUT_GATE_SHUT;
		else
			s.at_work |= m->begun && m->state != STATE_STOPPED;
	}
	return s;
}

static void check_state(const struct rollout *r)
{
	enum state state = rollout_derive(r);
	struct seen s = look(r);

	HOLDS(r, state_is_settled(state) == !s.open);
	HOLDS(r, !state_is_settled(state) || s.owned == 0);
	HOLDS(r, state != STATE_STOPPED || !s.claimed);
	HOLDS(r, state != STATE_COMPLETED || !s.failed);
	HOLDS(r, s.open || !s.failed || state == STATE_FAILED);
	HOLDS(r, state != STATE_STOPPED || (s.stopped && !s.at_work && !s.fresh_go));
	HOLDS(r, state != STATE_PAUSED ||
			 (s.failed && r->on_failure == ROLLOUT_ON_FAILURE_PAUSE &&
			  !r->released));
	HOLDS(r, state != STATE_RUNNING_DEGRADED || (s.failed && s.open));
	/* Whatever is seen to have failed while something is open is seen in the state.
	 */
	HOLDS(r, !s.failed || !s.open || state == STATE_PAUSED ||
			 state == STATE_RUNNING_DEGRADED || state == STATE_STOPPED);
	/* At the gate together: an operator's cutover request has to be possible. */
	HOLDS(r, state != STATE_WAITING_FOR_CUTOVER || !s.at_work);
}

static void the_state_keeps_its_promises(void **unused)
{
	(void)unused;
	walk(check_state);
}

/* Nobody waits for ever: somebody is at work or may begin, pass the gate or be cancelled,
 * or it is an operator's turn. */
static void check_moves(const struct rollout *r)
{
	struct seen s = look(r);
	enum state state = rollout_derive(r);

	if (!s.open || state == STATE_STOPPED || state == STATE_PAUSED)
		return;
	HOLDS(r, s.at_work || s.fresh_go || s.gate_moves || s.cancelled || s.stopped ||
			 /* claimed: its driver looks next */
			 s.fresh_held);
	if (!s.at_work && !s.fresh_go && !s.gate_moves && !s.cancelled && !s.stopped) {
		bool owned = false;

		for (size_t i = 0; i < r->n; i++)
			owned |= r->members[i].owned;
		HOLDS(r, owned);
	}
}

static void somebody_can_always_move(void **unused)
{
	(void)unused;
	walk(check_moves);
}

static void check_order(const struct rollout *r)
{
	bool goes_on = r->on_failure == ROLLOUT_ON_FAILURE_CONTINUE ||
		       (r->on_failure == ROLLOUT_ON_FAILURE_PAUSE && r->released);
	size_t gates = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct rollout_member *m = &r->members[i];
		size_t blocker = MOST;
		enum rollout_order order = rollout_order(r, i, &blocker);

		if (m->begun || state_class(m->state) == CLASS_SETTLED)
			HOLDS(r, order == ROLLOUT_GO);
		HOLDS(r, order == ROLLOUT_GO || (blocker < r->n && blocker != i));
		if (order == ROLLOUT_CANCELLED)
			HOLDS(r, !goes_on && !m->begun &&
					 r->members[blocker].state != STATE_COMPLETED &&
					 state_is_settled(r->members[blocker].state));
		for (size_t j = 0; j < i && !m->begun && m->state == STATE_PENDING &&
				   order == ROLLOUT_GO;
		     j++) {
			enum state before = r->members[j].state;

			HOLDS(r, before != STATE_FAILED || goes_on);
			HOLDS(r, r->policy != ROLLOUT_ROLLING || goes_on ||
					 before == STATE_COMPLETED);
			HOLDS(r, r->policy != ROLLOUT_BARRIER ||
					 state_is_settled(before) ||
					 state_rank(before) >=
						 state_rank(STATE_WAITING_FOR_CUTOVER));
		}
		if (r->policy == ROLLOUT_BARRIER &&
		    m->state == STATE_WAITING_FOR_CUTOVER &&
		    rollout_gate(r, i, &blocker) == ROLLOUT_GATE_OPEN)
			gates++;
	}
	HOLDS(r, gates <= 1);
}

/* Nobody cuts over before all have arrived, nor after a failure that nobody accepted. */
static void check_gate(const struct rollout *r)
{
	bool goes_on = r->on_failure == ROLLOUT_ON_FAILURE_CONTINUE ||
		       (r->on_failure == ROLLOUT_ON_FAILURE_PAUSE && r->released);
	size_t blocker;

	for (size_t i = 0; i < r->n; i++) {
		if (r->members[i].state != STATE_WAITING_FOR_CUTOVER ||
		    rollout_gate(r, i, &blocker) != ROLLOUT_GATE_OPEN ||
		    r->policy != ROLLOUT_BARRIER)
			continue;
		for (size_t j = 0; j < r->n; j++) {
			enum state s = r->members[j].state;

			HOLDS(r, state_is_settled(s)
					 ? s == STATE_COMPLETED || goes_on
					 : state_rank(s) >=
						   state_rank(STATE_WAITING_FOR_CUTOVER));
			HOLDS(r, j >= i || (s != STATE_WAITING_FOR_CUTOVER &&
					    s != STATE_CUTTING_OVER));
		}
	}
}

static void nobody_passes_a_gate_too_early(void **unused)
{
	(void)unused;
	walk(check_gate);
}

static void order_and_gate_follow_the_policies(void **unused)
{
	(void)unused;
	walk(check_order);
}

struct example {
	enum rollout_policy policy;
	enum rollout_failure on_failure;
	bool released;
	const char *members; /* in the order; '+' = begun */
	const char *state, *order;
};

/* B.4 as a person reads it. */
static void examples(void **unused)
{
#define R	 ROLLOUT_ROLLING
#define B	 ROLLOUT_BARRIER
#define P	 ROLLOUT_PARALLEL
#define HALT	 ROLLOUT_ON_FAILURE_HALT
#define CONTINUE ROLLOUT_ON_FAILURE_CONTINUE
#define PAUSE	 ROLLOUT_ON_FAILURE_PAUSE
	static const struct example table[] = {
		{ R, HALT, false, "pending pending pending", "pending", "ghh" },
		{ P, HALT, false, "pending pending pending", "pending", "ggg" },
		{ R, HALT, false, "+running pending pending", "running", "ghh" },
		{ R, HALT, false, "+completed pending pending", "running", "ggh" },
		{ R, HALT, false, "+failed_retryable pending pending", "failed_retryable",
		  "ghh" },
		/* Deferred cutover of the first: the operator must see that it waits. */
		{ R, HALT, false, "+waiting_for_cutover pending pending",
		  "waiting_for_cutover", "ghh" },
		{ B, HALT, false, "+waiting_for_cutover pending pending", "running",
		  "ggh" },
		{ B, HALT, false, "+waiting_for_cutover +waiting_for_cutover +running",
		  "running", "ggg" },
		{ R, HALT, false, "+failed pending pending", "failed", "gcc" },
		{ P, HALT, false, "+failed +running pending", "running_degraded", "ggh" },
		{ P, HALT, false, "+failed +completed pending", "failed", "ggc" },
		{ R, CONTINUE, false, "+failed pending pending", "running_degraded",
		  "ggh" },
		{ R, CONTINUE, false, "+failed +completed +completed", "failed", "ggg" },
		{ R, PAUSE, false, "+failed pending pending", "paused", "ghh" },
		{ R, PAUSE, true, "+failed pending pending", "running_degraded", "ggh" },
		{ R, PAUSE, false, "+completed +completed +failed", "failed", "ggg" },
		{ P, PAUSE, false, "+failed +running +completed", "running_degraded",
		  "ggg" },
		{ B, PAUSE, false, "+waiting_for_cutover +failed pending", "paused",
		  "ggh" },
		{ R, HALT, false, "+stopped stopped stopped", "stopped", "ghh" },
		{ R, HALT, false, "+stopped pending pending", "stopped", "ghh" },
		{ P, HALT, false, "+failed +stopped stopped", "stopped", "ggh" },
		{ P, HALT, false, "+running +stopped +completed", "running", "ggg" },
		/* It could not be started again: nobody is at the gate together. */
		{ B, HALT, false, "+waiting_for_cutover +stopped stopped", "running",
		  "ggh" },
		{ R, HALT, false, "+cancelled pending pending", "cancelled", "gcc" },
		{ P, HALT, false, "+cancelled +running +running", "running", "ggg" },
		{ R, HALT, false, "+reverted pending pending", "cancelled", "gcc" },
	};

	(void)unused;
	for (size_t e = 0; e < ARRAY_SIZE(table); e++) {
		struct rollout_member m[MOST];
		struct rollout r = { table[e].policy,
				     table[e].on_failure,
				     table[e].released,
				     false,
				     m,
				     0 };
		char text[200], *save = NULL, order[MOST + 1] = "";
		size_t blocker;

		snprintf(text, sizeof(text), "%s", table[e].members);
		for (char *t = strtok_r(text, " ", &save); t;
		     t = strtok_r(NULL, " ", &save)) {
			int state;

			m[r.n] = (struct rollout_member){ .begun = *t == '+' };
			assert_int_equal(state_parse(t + (*t == '+'), &state), 0);
			m[r.n].state = (enum state)state;
			r.begun |= m[r.n++].begun;
		}
		for (size_t i = 0; i < r.n; i++)
			order[i] = "ghc"[rollout_order(&r, i, &blocker)];
		if (strcmp(state_name(rollout_derive(&r)), table[e].state) != 0 ||
		    strcmp(order, table[e].order) != 0)
			fail_msg("%s -> %s %s, not %s %s", describe(&r),
				 state_name(rollout_derive(&r)), order, table[e].state,
				 table[e].order);
	}
}

static void an_unknown_policy_is_the_most_careful(void **unused)
{
	int value = 7;

	(void)unused;
	assert_int_equal(rollout_policy_parse("sideways", &value), 0);
	assert_int_equal(value, ROLLOUT_ROLLING);
	assert_int_equal(rollout_policy_parse("barrier", &value), 0);
	assert_int_equal(value, ROLLOUT_BARRIER);
	assert_int_equal(rollout_failure_parse("", &value), 0);
	assert_int_equal(value, ROLLOUT_ON_FAILURE_HALT);
	assert_int_equal(rollout_failure_parse("pause", &value), 0);
	assert_int_equal(value, ROLLOUT_ON_FAILURE_PAUSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unknown_policy_is_the_most_careful),
		cmocka_unit_test(examples),
		cmocka_unit_test(the_state_keeps_its_promises),
		cmocka_unit_test(somebody_can_always_move),
		cmocka_unit_test(order_and_gate_follow_the_policies),
		cmocka_unit_test(nobody_passes_a_gate_too_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
