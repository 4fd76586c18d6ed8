/*
 * control_rules.h - what operators may ask for, as data: which state allows which
 * request, what outranks what, whom a request wakes, and how it ends (SEMANTICS D).
 *
 * control_judge() is asked by control_submit() under the operations' row locks;
 * control_ends() by whoever changes an apply's state, in that transaction. Pure.
 */
#ifndef SB_MODEL_CONTROL_RULES_H
#define SB_MODEL_CONTROL_RULES_H

#include "core/model/model.h"

#define CONTROL_BIT(control) (1U << (control))
#define STATE_BIT(state)     (1U << (state))

/* What a request is judged by. */
struct control_facts {
	enum state state;      /* the apply's */
	unsigned operations;   /* STATE_BIT of each of its operations' states */
	unsigned pending;      /* CONTROL_BIT of each request that waits */
	unsigned engine_caps;  /* enum engine_caps */
	bool pauses, released; /* on_failure is pause; the latch of release */
	bool stopped_too_long; /* for more than RESTART_WINDOW_DAYS */
};

/* The change is made, and may be or is being undone. */
bool control_in_revert_phase(enum state s);

enum control_verdict {
	CONTROL_ALLOWED,
	CONTROL_DONE,	 /* the apply is already where the request would lead */
	CONTROL_REFUSED, /* err: SB_ECONFLICT, or SB_EUNSUPPORTED by the engine */
};

/* An equal request that waits already is the caller's matter. */
enum control_verdict control_judge(enum control control,
				   const struct control_facts *facts, struct sb_err *err);

/* Must an operation in this state that nobody drives be made due by such a request? */
bool control_wakes(enum control control, enum state operation);

enum control_end {
	CONTROL_STAYS,	   /* it waits on */
	CONTROL_COMPLETES, /* the apply is where it leads, or nothing is left to do */
	CONTROL_FAILS,	   /* it can never be obeyed any more; the reason says why */
};

/*
 * What becomes of a waiting request when the apply is in `state`, `pending` being the
 * CONTROL_BITs of all that wait. In a settled state nothing waits on. *failure is a
 * sentence with CONTROL_FAILS, else NULL.
 */
enum control_end control_ends(enum control control, enum state state, unsigned pending,
			      const char **failure);

/* Which operations still have to obey a forward request: those in these states. */
bool control_concerns(enum control control, enum state operation);

#endif
