/*
 * control_rules.c - the rule tables of control requests (SEMANTICS D). See
 * control_rules.h.
 *
 * tests/unit/test_control.c walks them: every control, in every state, with every set of
 * waiting requests.
 */
#include "core/model/control_rules.h"

#include "engines/engine.h"

#define IN(class) (1U << CLASS_##class)
#define AT(name)  STATE_BIT(STATE_##name)
#define OPEN	  (IN(WAITING) | IN(ACTIVE) | IN(RETRYABLE))

static const struct rule {
	unsigned cap;	  /* what the engine must be able to do; 0 = nothing */
	unsigned classes; /* allowed in these classes of the apply's state … */
	unsigned at;	  /* … or when it or one of its operations is in these states */
	unsigned done;	  /* already there: the apply's state */
	bool in_revert;	  /* allowed while a change is being reverted or may be */
	bool yields;	  /* a pending stop or cancel refuses it */
	unsigned excludes;	/* these pending requests refuse it */
	unsigned wakes;		/* the classes of operations that it makes due */
	const char *allowed_in; /* the states above, in words */
} rules[CONTROL_COUNT] = {
	[CONTROL_STOP] = { .cap = ENGINE_CAP_STOP,
			   .classes = OPEN,
			   .done = AT(STOPPED),
			   .wakes = OPEN,
			   .allowed_in =
				   "while it is pending, being executed or retrying" },
	[CONTROL_CANCEL] = { .cap = ENGINE_CAP_CANCEL,
			     .classes = OPEN | IN(STOPPED),
			     .done = AT(CANCELLED),
			     .wakes = OPEN | IN(STOPPED),
			     .allowed_in = "until it is completed, failed or reverted" },
	/* Also when only some deployments of a rollout could be started again. */
	[CONTROL_START] = { .classes = IN(STOPPED),
			    .at = AT(WAITING_FOR_DEPLOY) | AT(STOPPED),
			    .yields = true,
			    .wakes = IN(STOPPED) | IN(ACTIVE),
			    .allowed_in = "when it is stopped or waiting_for_deploy" },
	[CONTROL_CUTOVER] = { .cap = ENGINE_CAP_DEFER_CUTOVER,
			      .at = AT(WAITING_FOR_CUTOVER),
			      .done = AT(CUTTING_OVER),
			      .yields = true,
			      .wakes = IN(ACTIVE),
			      .allowed_in = "when it is waiting_for_cutover" },
	[CONTROL_VOLUME] = { .cap = ENGINE_CAP_VOLUME,
			     .classes = OPEN,
			     .yields = true,
			     .wakes = IN(ACTIVE),
			     .allowed_in =
				     "while it is pending, being executed or retrying" },
	[CONTROL_RELEASE] = { .at = AT(PAUSED),
			      .yields = true,
			      .wakes = IN(WAITING) | IN(ACTIVE),
			      .allowed_in =
				      "when it is paused, its on_failure being 'pause'" },
	[CONTROL_REVERT] = { .cap = ENGINE_CAP_REVERT,
			     .at = AT(REVERT_WINDOW),
			     .done = AT(REVERTING) | AT(REVERTED),
			     .in_revert = true,
			     .yields = true,
			     .excludes = CONTROL_BIT(CONTROL_SKIP_REVERT),
			     .wakes = IN(ACTIVE),
			     .allowed_in = "in its revert_window" },
	[CONTROL_SKIP_REVERT] = { .cap = ENGINE_CAP_REVERT,
				  .at = AT(REVERT_WINDOW),
				  .done = AT(SKIPPING_REVERT),
				  .in_revert = true,
				  .yields = true,
				  .excludes = CONTROL_BIT(CONTROL_REVERT),
				  .wakes = IN(ACTIVE),
				  .allowed_in = "in its revert_window" },
};

bool control_in_revert_phase(enum state s)
{
	return s == STATE_REVERT_WINDOW || s == STATE_SKIPPING_REVERT ||
	       s == STATE_REVERTING;
}

static enum control_verdict refuse(int always_negative)
{
	BUG_ON(always_negative >= 0);
	return CONTROL_REFUSED;
}

/* Is the apply, or while it is open one of its operations, where the rule wants it? */
static bool is_at(const struct rule *r, const struct control_facts *f)
{
	bool open = !state_is_settled(f->state) && f->state != STATE_STOPPED;

	return (r->at & STATE_BIT(f->state)) || (open && (r->at & f->operations));
}

static enum control_verdict judge_release(const struct control_facts *f,
					  struct sb_err *err)
{
	if (f->released)
		return CONTROL_DONE;
	if (!f->pauses)
		return refuse(sb_err(err, SB_ECONFLICT,
				     "Only an apply whose on_failure is 'pause' can be "
				     "released; this one never waits for that."));
	return CONTROL_ALLOWED;
}

/* What waits and refuses the request, or -1. */
static int excluded_by(const struct rule *r, const struct control_facts *f)
{
	unsigned by = r->excludes;

	if (r->yields)
		by |= CONTROL_BIT(CONTROL_STOP) | CONTROL_BIT(CONTROL_CANCEL);
	by &= f->pending;
	if (by & CONTROL_BIT(CONTROL_CANCEL))
		return CONTROL_CANCEL;
	for (int c = 0; c < CONTROL_COUNT; c++)
		if (by & CONTROL_BIT(c))
			return c;
	return -1;
}

enum control_verdict control_judge(enum control control, const struct control_facts *f,
				   struct sb_err *err)
{
	const struct rule *r = &rules[control];
	const char *name = control_name(control);
	int by = excluded_by(r, f);

	if (r->cap && !(f->engine_caps & r->cap))
		return refuse(
			sb_err(err, SB_EUNSUPPORTED,
			       "The engine of this apply cannot do '%s'.%s", name,
			       control == CONTROL_STOP ? " Use cancel to end it." : ""));
	if (r->done & STATE_BIT(f->state))
		return CONTROL_DONE;
	if (control == CONTROL_RELEASE) {
		enum control_verdict v = judge_release(f, err);

		if (v != CONTROL_ALLOWED)
			return v;
	}
	if (control_in_revert_phase(f->state) && !r->in_revert)
		return refuse(
			sb_err(err, SB_ECONFLICT,
			       "The apply is in its revert phase (%s), where '%s' is not "
			       "possible; use revert or skip-revert.",
			       state_name(f->state), name));
	if (!is_at(r, f) && !(r->classes & (1U << state_class(f->state))))
		return refuse(sb_err(err, SB_ECONFLICT,
				     "The apply is %s; '%s' is possible only %s.",
				     state_name(f->state), name, r->allowed_in));
	if (by >= 0)
		return refuse(sb_err(
			err, SB_ECONFLICT,
			"A %s request is pending, which %s '%s'; wait until it has taken "
			"effect.",
			control_name((enum control)by),
			r->excludes & CONTROL_BIT(by) ? "excludes" : "outranks", name));
	if (control == CONTROL_START && f->state == STATE_STOPPED && f->stopped_too_long)
		return refuse(sb_err(
			err, SB_ECONFLICT,
			"The apply was stopped more than %d days ago, too long to continue "
			"it; cancel it, then plan again.",
			RESTART_WINDOW_DAYS));
	return CONTROL_ALLOWED;
}

bool control_wakes(enum control control, enum state operation)
{
	return rules[control].wakes & (1U << state_class(operation));
}

/* ---- how requests end ---------------------------------------------------------------
 */

#define SETTLED	  (AT(COMPLETED) | AT(FAILED) | AT(CANCELLED) | AT(REVERTED))
#define REVERTING (AT(REVERT_WINDOW) | AT(SKIPPING_REVERT) | AT(REVERTING))

/* In states of neither set a request waits on. */
static const struct ending {
	unsigned completes, fails;
	const char *reason;
} endings[CONTROL_COUNT] = {
	/* Where nothing is left to stop, completion has won. */
	[CONTROL_STOP] = { AT(STOPPED) | SETTLED, REVERTING,
			   "The change was made before it could be stopped; revert it or "
			   "skip the revert." },
	[CONTROL_CANCEL] = { AT(CANCELLED), (SETTLED & ~AT(CANCELLED)) | REVERTING,
			     "The apply finished before it could be cancelled." },
	[CONTROL_START] = { AT(COMPLETED) | AT(REVERTED), AT(FAILED) | AT(CANCELLED),
			    "The apply ended before it was started again." },
	[CONTROL_CUTOVER] = { AT(COMPLETED) | AT(REVERTED) | REVERTING,
			      AT(FAILED) | AT(CANCELLED) | AT(STOPPED),
			      "The apply ended or was stopped without a cutover." },
	/* Stored with the request: whoever starts it again works at the new volume. */
	[CONTROL_VOLUME] = { AT(STOPPED), SETTLED | REVERTING,
			     "The apply ended before the new volume could take effect." },
	[CONTROL_RELEASE] = { 0, SETTLED | AT(STOPPED),
			      "The apply ended or was stopped before it was released." },
	[CONTROL_REVERT] = { AT(REVERTED), SETTLED & ~AT(REVERTED),
			     "The revert window closed before the change was reverted." },
	[CONTROL_SKIP_REVERT] = { AT(COMPLETED), SETTLED & ~AT(COMPLETED),
				  "The change was not kept." },
};

enum control_end control_ends(enum control control, enum state state, unsigned pending,
			      const char **failure)
{
	const struct ending *e = &endings[control];

	*failure = NULL;
	/* No start by itself after a stop: a newer start than the stop would have been
	 * refused, so this one is older. */
	if (control == CONTROL_START && state == STATE_STOPPED &&
	    (pending & CONTROL_BIT(CONTROL_STOP))) {
		*failure = "The apply was stopped again before it was started.";
		return CONTROL_FAILS;
	}
	if (e->completes & STATE_BIT(state))
		return CONTROL_COMPLETES;
	if (!(e->fails & STATE_BIT(state)))
		return CONTROL_STAYS;
	*failure = e->reason;
	return CONTROL_FAILS;
}

bool control_concerns(enum control control, enum state operation)
{
	switch (control) {
	case CONTROL_START:
		return operation == STATE_STOPPED ||
		       operation == STATE_WAITING_FOR_DEPLOY;
	case CONTROL_CUTOVER:
		return operation == STATE_WAITING_FOR_CUTOVER;
	case CONTROL_VOLUME:
		return state_class(operation) == CLASS_ACTIVE;
	case CONTROL_REVERT:
	case CONTROL_SKIP_REVERT:
		return operation == STATE_REVERT_WINDOW;
	case CONTROL_RELEASE: /* a latch of the apply: whoever obeys it does so for all */
	case CONTROL_STOP:    /* these end when the apply has come to rest */
	case CONTROL_CANCEL:
	case CONTROL_COUNT:
		return false;
	}
	BUG("no such control");
}
