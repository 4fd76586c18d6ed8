/*
 * control_rules.c - the rule table of control requests (SEMANTICS D). See
 * control_rules.h.
 */
#include "core/model/control_rules.h"

#include "engines/engine.h"

#define IN(class) (1U << CLASS_##class)

static const struct rule {
	unsigned cap;		/* what the engine must be able to do; 0 = nothing */
	unsigned classes;	/* allowed in these classes of state … */
	int only;		/* … or in exactly this state; -1 */
	int done1, done2;	/* already there; -1 */
	bool in_revert_phase;	/* allowed while a change is being reverted or may be */
	bool yields;		/* a pending stop or cancel refuses it */
	const char *allowed_in; /* the states above, in words */
} rules[CONTROL_COUNT] = {
	[CONTROL_STOP] = { ENGINE_CAP_STOP, IN(WAITING) | IN(ACTIVE) | IN(RETRYABLE), -1,
			   STATE_STOPPED, -1, false, false,
			   "while it is pending, being executed or retrying" },
	[CONTROL_CANCEL] = { ENGINE_CAP_CANCEL,
			     IN(WAITING) | IN(ACTIVE) | IN(RETRYABLE) | IN(STOPPED), -1,
			     STATE_CANCELLED, -1, false, false,
			     "until it is completed, failed or reverted" },
	[CONTROL_START] = { 0, IN(STOPPED), STATE_WAITING_FOR_DEPLOY, -1, -1, false, true,
			    "when it is stopped or waiting_for_deploy" },
	[CONTROL_CUTOVER] = { ENGINE_CAP_DEFER_CUTOVER, 0, STATE_WAITING_FOR_CUTOVER,
			      STATE_CUTTING_OVER, -1, false, true,
			      "when it is waiting_for_cutover" },
	[CONTROL_VOLUME] = { ENGINE_CAP_VOLUME, IN(WAITING) | IN(ACTIVE) | IN(RETRYABLE),
			     -1, -1, -1, false, true,
			     "while it is pending, being executed or retrying" },
};

static bool in_revert_phase(enum state s)
{
	return s == STATE_REVERT_WINDOW || s == STATE_SKIPPING_REVERT ||
	       s == STATE_REVERTING;
}

static enum control_verdict refuse(int always_negative)
{
	BUG_ON(always_negative >= 0);
	return CONTROL_REFUSED;
}

enum control_verdict control_judge(enum control control, enum state state,
				   bool pending_stop, bool pending_cancel,
				   unsigned engine_caps, struct sb_err *err)
{
	const struct rule *r = &rules[control];
	const char *name = control_name(control);
	bool allowed = (int)state == r->only || (r->classes & (1U << state_class(state)));

	if (r->cap && !(engine_caps & r->cap))
		return refuse(
			sb_err(err, SB_EUNSUPPORTED,
			       "The engine of this apply cannot do '%s'.%s", name,
			       control == CONTROL_STOP ? " Use cancel to end it." : ""));
	if ((int)state == r->done1 || (int)state == r->done2)
		return CONTROL_DONE;
	if (in_revert_phase(state) && !r->in_revert_phase)
		return refuse(
			sb_err(err, SB_ECONFLICT,
			       "The apply is in its revert phase (%s), where '%s' is not "
			       "possible; use revert or skip-revert.",
			       state_name(state), name));
	if (!allowed)
		return refuse(sb_err(err, SB_ECONFLICT,
				     "The apply is %s; '%s' is possible only %s.",
				     state_name(state), name, r->allowed_in));
	if (r->yields && (pending_stop || pending_cancel))
		return refuse(sb_err(
			err, SB_ECONFLICT,
			"A %s request is pending, which outranks '%s'; wait until it "
			"has taken effect.",
			pending_cancel ? "cancel" : "stop", name));
	return CONTROL_ALLOWED;
}
