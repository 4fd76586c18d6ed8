/*
 * state.h - the states of applies, operations and tasks, from state.def.
 *
 * Used by everybody above core/base. Pure: no storage, no clock.
 */
#ifndef SB_MODEL_STATE_H
#define SB_MODEL_STATE_H

#include <stdbool.h>
#include <stddef.h>

enum state {
#define STATE(name, wire, class, rank, label) STATE_##name,
#define EVENT(name)
#define EDGE(from, event, to)
#define EDGE_FROM_ACTIVE(event, to)
#include "core/model/state.def"
#undef STATE
	STATE_COUNT
};

enum state_class {
	CLASS_WAITING,
	CLASS_ACTIVE,
	CLASS_RETRYABLE,
	CLASS_STOPPED,
	CLASS_SETTLED
};

enum state_event {
#define STATE(name, wire, class, rank, label)
#undef EVENT
#define EVENT(name) EVENT_##name,
#include "core/model/state.def"
#undef STATE
#undef EVENT
#undef EDGE
#undef EDGE_FROM_ACTIVE
	EVENT_COUNT
};

const char *state_name(enum state s);  /* "waiting_for_cutover" */
const char *state_label(enum state s); /* "Waiting for cutover" */
enum state_class state_class(enum state s);
int state_rank(enum state s);
const char *state_event_name(enum state_event e);
/* 0 and *state, or -1 for a name that does not exist ("recovering_cutover" is read as
 * recovering). int, so that it fits struct db_col. */
int state_parse(const char *name, int *state);
bool state_is_settled(enum state s);

/* May `from` become `to` by this event? Progress may only raise the rank. */
bool state_may_move(enum state from, enum state_event event, enum state to);
/* Where the event leads, when exactly one edge says so; -1 otherwise. */
int state_next(enum state from, enum state_event event);

/*
 * The state of a parent from its children's (SEMANTICS B.3, first match wins). begun: the
 * parent has been driven, so that a rest of pending children reads as running.
 */
enum state state_derive(const enum state *children, size_t n, bool begun);

#endif
