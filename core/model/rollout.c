/*
 * rollout.c - order, gate and derived state of a rollout. See rollout.h.
 */
#include "core/model/rollout.h"

#include <string.h>

#include "core/base/err.h"
#include "core/base/mem.h"

int rollout_policy_parse(const char *text, int *policy)
{
	static const char *const names[] = {
#define X(name, text) text,
		ROLLOUT_POLICIES(X)
#undef X
	};

	*policy = 0;
	for (int i = 0; i < ROLLOUT_POLICY_COUNT; i++)
		if (strcmp(names[i], text) == 0)
			*policy = i;
	return 0;
}

int rollout_failure_parse(const char *text, int *on_failure)
{
	static const char *const names[] = {
#define X(name, text) text,
		ROLLOUT_FAILURES(X)
#undef X
	};

	*on_failure = 0;
	for (int i = 0; i < ROLLOUT_FAILURE_COUNT; i++)
		if (strcmp(names[i], text) == 0)
			*on_failure = i;
	return 0;
}

/* ---- one member ------------------------------------------------------------------- */

/* Nothing of it has begun: it holds nothing and can be cancelled without a trace. */
static bool fresh(const struct rollout_member *m)
{
	return !m->begun && (m->state == STATE_PENDING || m->state == STATE_STOPPED);
}

/* It has ended without the change. */
static bool ended_badly(const struct rollout_member *m)
{
	return state_is_settled(m->state) && m->state != STATE_COMPLETED;
}

static bool at_gate(const struct rollout_member *m)
{
	return state_rank(m->state) >= state_rank(STATE_WAITING_FOR_CUTOVER);
}

/* ---- the failure ------------------------------------------------------------------ */

/* An ended one stops nobody. */
static bool goes_on(const struct rollout *r)
{
	return r->on_failure == ROLLOUT_ON_FAILURE_CONTINUE ||
	       (r->on_failure == ROLLOUT_ON_FAILURE_PAUSE && r->released);
}

static bool find(const struct rollout *r, bool failed_only, size_t *found)
{
	for (size_t i = 0; i < r->n; i++)
		if (failed_only ? r->members[i].state == STATE_FAILED
				: ended_badly(&r->members[i])) {
			*found = i;
			return true;
		}
	return false;
}

/* A failure waits for an operator's release. */
static bool pausing(const struct rollout *r, size_t *failed)
{
	return r->on_failure == ROLLOUT_ON_FAILURE_PAUSE && !r->released &&
	       find(r, true, failed);
}

/* Nothing more begins, for ever. */
static bool halting(const struct rollout *r, size_t *ended)
{
	size_t failed;

	return !goes_on(r) && !pausing(r, &failed) && find(r, false, ended);
}

/* Somebody is at work, looks whether to begin, or has left work unfinished. */
static bool any_at_work(const struct rollout *r)
{
	for (size_t j = 0; j < r->n; j++)
		if (!state_is_settled(r->members[j].state) &&
		    (!fresh(&r->members[j]) || r->members[j].owned))
			return true;
	return false;
}

/* ---- order ------------------------------------------------------------------------ */

/* Does the earlier member let later ones begin? */
static bool passes(const struct rollout *r, const struct rollout_member *earlier)
{
	if (earlier->state == STATE_COMPLETED)
		return true;
	if (ended_badly(earlier))
		return goes_on(r);
	switch (r->policy) {
	case ROLLOUT_PARALLEL:
		return true;
	case ROLLOUT_BARRIER:
		return at_gate(earlier);
	case ROLLOUT_ROLLING:
	case ROLLOUT_POLICY_COUNT:
		break;
	}
	return false;
}

enum rollout_order rollout_order(const struct rollout *r, size_t i, size_t *blocker)
{
	if (!fresh(&r->members[i]))
		return ROLLOUT_GO;
	if (halting(r, blocker))
		return any_at_work(r) ? ROLLOUT_HELD : ROLLOUT_CANCELLED;
	for (size_t j = 0; j < i; j++)
		if (!passes(r, &r->members[j])) {
			*blocker = j;
			return ROLLOUT_HELD;
		}
	return ROLLOUT_GO;
}

/* ---- gate ------------------------------------------------------------------------- */

enum rollout_gate rollout_gate(const struct rollout *r, size_t i, size_t *blocker)
{
	if (r->policy != ROLLOUT_BARRIER)
		return ROLLOUT_GATE_OPEN;
	if (halting(r, blocker))
		return ROLLOUT_GATE_NEVER;
	if (pausing(r, blocker))
		return ROLLOUT_GATE_SHUT;
	for (size_t j = 0; j < r->n; j++) {
		const struct rollout_member *m = &r->members[j];
		bool turn = j < i && (m->state == STATE_WAITING_FOR_CUTOVER ||
				      m->state == STATE_CUTTING_OVER);

		*blocker = j;
		if (j != i && !state_is_settled(m->state) && (turn || !at_gate(m)))
			return ROLLOUT_GATE_SHUT;
	}
	return ROLLOUT_GATE_OPEN;
}

/* ---- derivation: first match wins ------------------------------------------------- */

/* What the rules look at. */
struct tally {
	bool open;    /* somebody is not settled */
	bool stopped; /* … and somebody of those is stopped */
	bool failed;
	bool claimed; /* somebody who has not begun is looked at by a driver */
	bool waiting; /* for a release: to begin, or at the gate */
};

static struct tally count(const struct rollout *r)
{
	struct tally t = { .open = false };
	size_t ignored;
	bool paused = pausing(r, &ignored);

	for (size_t i = 0; i < r->n; i++) {
		const struct rollout_member *m = &r->members[i];
		enum rollout_order order = rollout_order(r, i, &ignored);
		bool held = order == ROLLOUT_HELD && m->state == STATE_PENDING;

		t.failed |= m->state == STATE_FAILED;
		t.claimed |= m->owned && m->state == STATE_PENDING;
		if (state_is_settled(m->state) || order == ROLLOUT_CANCELLED)
			continue;
		t.open = true;
		t.stopped |= m->state == STATE_STOPPED;
		t.waiting |= paused && (held || (r->policy == ROLLOUT_BARRIER &&
						 m->state == STATE_WAITING_FOR_CUTOVER));
	}
	return t;
}

/*
 * SEMANTICS B.3 over all that are settled, or over those that count while some are not:
 * neither held nor ended otherwise than completed. One that is stopped while others are
 * driven is being stopped, or could not be started again: it has its way before it.
 */
static enum state derive_some(const struct rollout *r, bool all, bool *any_open)
{
	enum state *states = mem_array(NULL, enum state, r->n), s;
	size_t n = 0, blocker;

	*any_open = false;
	for (size_t i = 0; i < r->n; i++) {
		const struct rollout_member *m = &r->members[i];
		enum rollout_order order = rollout_order(r, i, &blocker);

		if (order == ROLLOUT_CANCELLED) {
			if (all)
				states[n++] = STATE_CANCELLED;
			continue;
		}
		if (!all && (ended_badly(m) || order == ROLLOUT_HELD))
			continue;
		states[n++] = m->state == STATE_STOPPED ? STATE_PENDING : m->state;
		*any_open |= !state_is_settled(m->state) && m->state != STATE_STOPPED;
	}
	s = state_derive(states, n, r->begun);
	talloc_free(states);
	return s;
}

enum state rollout_derive(const struct rollout *r)
{
	struct tally t = count(r);
	bool any_open;
	enum state s = derive_some(r, !t.open, &any_open);

	if (!t.open)
		return s;
	if (t.stopped && !any_open && !t.claimed)
		return STATE_STOPPED;
	if (t.failed)
		return t.waiting ? STATE_PAUSED : STATE_RUNNING_DEGRADED;
	if (any_open)
		return s;
	return r->begun ? STATE_RUNNING : STATE_PENDING;
}
