/*
 * state.c - names, classes, edges and derivation, from state.def. See state.h.
 */
#include "core/model/state.h"

#include <string.h>

#include "core/base/err.h"

struct state_row {
	const char *name, *label;
	enum state_class class;
	int rank;
};
static const struct state_row states[STATE_COUNT] = {
#define STATE(name, wire, class, rank, label) \
	[STATE_##name] = { wire, label, CLASS_##class, rank },
#define EVENT(name)
#define EDGE(from, event, to)
#define EDGE_FROM_ACTIVE(event, to)
#include "core/model/state.def"
#undef STATE
#undef EVENT
};

static const char *const events[EVENT_COUNT] = {
#define STATE(name, wire, class, rank, label)
#define EVENT(name) [EVENT_##name] = #name,
#include "core/model/state.def"
#undef STATE
#undef EVENT
#undef EDGE
#undef EDGE_FROM_ACTIVE
};

struct edge {
	bool from_active;
	enum state from;
	enum state_event event;
	enum state to;
};
static const struct edge edges[] = {
#define STATE(name, wire, class, rank, label)
#define EVENT(name)
#define EDGE(from, event, to)	    { false, STATE_##from, EVENT_##event, STATE_##to },
#define EDGE_FROM_ACTIVE(event, to) { true, STATE_PENDING, EVENT_##event, STATE_##to },
#include "core/model/state.def"
#undef STATE
#undef EVENT
#undef EDGE
#undef EDGE_FROM_ACTIVE
};

const char *state_name(enum state s)
{
	return states[s].name;
}

const char *state_label(enum state s)
{
	return states[s].label;
}

enum state_class state_class(enum state s)
{
	return states[s].class;
}

int state_rank(enum state s)
{
	return states[s].rank;
}

bool state_is_settled(enum state s)
{
	return states[s].class == CLASS_SETTLED;
}

const char *state_event_name(enum state_event e)
{
	return events[e];
}

int state_parse(const char *name, int *state)
{
	if (strcmp(name, "recovering_cutover") == 0) {
		*state = STATE_RECOVERING;
		return 0;
	}
	for (int s = 0; s < STATE_COUNT; s++)
		if (strcmp(states[s].name, name) == 0) {
			*state = s;
			return 0;
		}
	return -1;
}

static bool edge_leaves(const struct edge *e, enum state from)
{
	return e->from_active ? states[from].class == CLASS_ACTIVE : e->from == from;
}

bool state_may_move(enum state from, enum state_event event, enum state to)
{
	if (event == EVENT_PROGRESS)
		return states[from].class == CLASS_ACTIVE &&
		       states[to].class == CLASS_ACTIVE && states[to].rank >= 0 &&
		       states[to].rank > states[from].rank;
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
		if (edges[i].event == event && edges[i].to == to &&
		    edge_leaves(&edges[i], from))
			return true;
	return false;
}

int state_next(enum state from, enum state_event event)
{
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
		if (edges[i].event == event && edge_leaves(&edges[i], from))
			return (int)edges[i].to;
	return -1;
}

/* ---- derivation: SEMANTICS B.3, first match wins ---------------------------------- */

static bool any(const enum state *s, size_t n, enum state wanted)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] == wanted)
			return true;
	return false;
}

static bool all_of(const enum state *s, size_t n, enum state a, enum state b)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] != a && s[i] != b)
			return false;
	return n > 0;
}

/* A child that has not reached the cutover yet. */
static bool any_before_cutover(const enum state *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (states[s[i]].rank >= 0 &&
		    states[s[i]].rank < states[STATE_WAITING_FOR_CUTOVER].rank)
			return true;
	return false;
}

enum state state_derive(const enum state *s, size_t n, bool begun)
{
	/* One child in such a state decides; the order is the rule's. */
	static const enum state decisive[] = {
		STATE_FAILED,  STATE_FAILED_RETRYABLE, STATE_CANCELLED,
		STATE_STOPPED, STATE_REVERTING,	       STATE_REVERTED,
	};
	/* Setup states and later phases, the furthest behind first. */
	static const enum state behind[] = {
		STATE_PREPARING_BRANCH,
		STATE_APPLYING_BRANCH_CHANGES,
		STATE_VALIDATING_BRANCH,
		STATE_CREATING_DEPLOY_REQUEST,
		STATE_VALIDATING_DEPLOY_REQUEST,
		STATE_WAITING_FOR_DEPLOY,
		STATE_CATCHING_UP,
		STATE_CHECKSUMMING,
		STATE_POST_CHECKSUM,
	};

	for (size_t i = 0; i < ARRAY_SIZE(decisive); i++)
		if (any(s, n, decisive[i]))
			return decisive[i];
	if (all_of(s, n, STATE_COMPLETED, STATE_COMPLETED))
		return STATE_COMPLETED;
	if (any(s, n, STATE_RECOVERING))
		return STATE_RECOVERING;
	if (any(s, n, STATE_CUTTING_OVER) && !any_before_cutover(s, n))
		return STATE_CUTTING_OVER;
	if (all_of(s, n, STATE_WAITING_FOR_CUTOVER, STATE_COMPLETED))
		return STATE_WAITING_FOR_CUTOVER;
	if (all_of(s, n, STATE_WAITING_FOR_DEPLOY, STATE_COMPLETED))
		return STATE_WAITING_FOR_DEPLOY;
	if (any(s, n, STATE_SKIPPING_REVERT))
		return STATE_SKIPPING_REVERT;
	if (any(s, n, STATE_REVERT_WINDOW))
		return STATE_REVERT_WINDOW;
	if (any(s, n, STATE_PAUSED))
		return STATE_PAUSED;
	if (any(s, n, STATE_RUNNING_DEGRADED))
		return STATE_RUNNING_DEGRADED;
	if (any(s, n, STATE_RUNNING) || any(s, n, STATE_RESUMING) ||
	    any(s, n, STATE_CUTTING_OVER) || any(s, n, STATE_WAITING_FOR_CUTOVER))
		return STATE_RUNNING;
	for (size_t i = 0; i < ARRAY_SIZE(behind); i++)
		if (any(s, n, behind[i]))
			return behind[i];
	return begun ? STATE_RUNNING : STATE_PENDING;
}
