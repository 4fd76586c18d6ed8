/*
 * rollout.h - several deployments in one apply: who may begin, who waits for whom, and
 * what the apply's state is (SEMANTICS B.4, C.2).
 *
 * Asked by core/store/project.c, which writes what these functions say, and by the view,
 * which explains it. One member is one operation, in the order of the rollout. Pure.
 *
 * Must never: call an apply settled or stopped while anybody of it may still be driven.
 */
#ifndef SB_MODEL_ROLLOUT_H
#define SB_MODEL_ROLLOUT_H

#include "core/model/state.h"

/*
 * Rolling:  one begins when all earlier ones are completed.
 * Barrier:  one begins when all earlier ones have reached the cutover; when all have,
 *           they cut over one at a time, in order.
 * Parallel: all begin at once.
 * A policy that is not known is the first of its list: the most careful one.
 */
#define ROLLOUT_POLICIES(X)   \
	X(ROLLING, "rolling") \
	X(BARRIER, "barrier") \
	X(PARALLEL, "parallel")
enum rollout_policy {
#define X(name, text) ROLLOUT_##name,
	ROLLOUT_POLICIES(X)
#undef X
		ROLLOUT_POLICY_COUNT
};
/*
 * When one fails, what has begun goes on to its end (with barrier: to the cutover, which
 * stays shut). What has not begun is cancelled (halt), begins all the same (continue), or
 * waits until an operator releases it (pause).
 */
#define ROLLOUT_FAILURES(X)     \
	X(HALT, "halt")         \
	X(CONTINUE, "continue") \
	X(PAUSE, "pause")
enum rollout_failure {
#define X(name, text) ROLLOUT_ON_FAILURE_##name,
	ROLLOUT_FAILURES(X)
#undef X
		ROLLOUT_FAILURE_COUNT
};
/* Never fail; int, so that they fit struct db_col. */
int rollout_policy_parse(const char *text, int *policy);
int rollout_failure_parse(const char *text, int *on_failure);

struct rollout_member {
	enum state state;
	bool begun; /* it has been executed, at least tried, at some time */
	bool owned; /* claimed: by a driver at work, or one that died */
};
struct rollout {
	enum rollout_policy policy;
	enum rollout_failure on_failure;
	bool released; /* an operator said: go on after the failure */
	bool begun;    /* the apply was under way at some time */
	const struct rollout_member *members;
	size_t n;
};

/* What a member that has not begun may do. One that has is never held back again. Nobody
 * is cancelled while one is owned: its owner gives it back first. */
enum rollout_order {
	ROLLOUT_GO,
	ROLLOUT_HELD,	   /* by *blocker */
	ROLLOUT_CANCELLED, /* by *blocker, which failed or was ended */
};
enum rollout_order rollout_order(const struct rollout *r, size_t i, size_t *blocker);

/* May a member that has reached the cutover pass it? Open unless the policy is barrier.
 */
enum rollout_gate {
	ROLLOUT_GATE_OPEN,
	ROLLOUT_GATE_SHUT,  /* by *blocker: not there yet, or its turn is first */
	ROLLOUT_GATE_NEVER, /* by *blocker: the rollout was halted */
};
enum rollout_gate rollout_gate(const struct rollout *r, size_t i, size_t *blocker);

/* The apply's state. Members that rollout_order() cancels count as cancelled. */
enum state rollout_derive(const struct rollout *r);

#endif
