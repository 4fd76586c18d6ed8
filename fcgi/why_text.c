/*
 * why_text.c - the tables and sentences of why.h.
 */
#include "fcgi/why.h"

#include <inttypes.h>
#include <string.h>

enum claim { NEVER, NO, YES };

static const struct {
	const char *name;
	enum claim claim;
	const char *next;
} situations[WHY_SITUATION_COUNT] = {
#define X(name, wire, claim, next) [WHY_IS_##name] = { wire, claim, next },
	WHY_SITUATIONS(X)
#undef X
};

/* What an operation in this state does or waits for, while somebody or an engine works
 * on it, or would; and what a person can do about it. */
static const struct {
	const char *doing, *next;
} states[STATE_COUNT] = {
	[STATE_PENDING] = { "it is about to begin", "" },
	[STATE_PREPARING_BRANCH] = { "its branch is being prepared", "" },
	[STATE_APPLYING_BRANCH_CHANGES] = { "its statements are being applied to the branch",
					    "" },
	[STATE_VALIDATING_BRANCH] = { "its branch is being validated", "" },
	[STATE_CREATING_DEPLOY_REQUEST] = { "its deploy request is being created", "" },
	[STATE_VALIDATING_DEPLOY_REQUEST] = { "its deploy request is being validated",
					      "" },
	[STATE_WAITING_FOR_DEPLOY] = { "it waits for an operator to start the deployment",
				       "POST /api/start, /api/stop or /api/cancel." },
	[STATE_RUNNING] = { "its statements are being executed", "" },
	[STATE_RUNNING_DEGRADED] = { "a sibling has failed and the others are at work",
				     "" },
	[STATE_RESUMING] = { "it is being resumed", "" },
	[STATE_CATCHING_UP] = { "its copy is catching up with the writes of the meantime",
				"" },
	[STATE_CHECKSUMMING] = { "its copy is being compared with the original", "" },
	[STATE_POST_CHECKSUM] = { "its copy equals the original and the cutover is near",
				  "" },
	[STATE_WAITING_FOR_CUTOVER] = { "it is ready for its cutover",
					"POST /api/cutover." },
	[STATE_RECOVERING] = { "it is being found out how far its cutover came", "" },
	[STATE_CUTTING_OVER] = { "its tables are being swapped", "" },
	[STATE_REVERT_WINDOW] = { "it is done and can be reverted for a while",
				  "POST /api/revert or /api/skip-revert." },
	[STATE_SKIPPING_REVERT] = { "its revert window is being closed", "" },
	[STATE_REVERTING] = { "it is being reverted", "" },
	[STATE_PAUSED] = { "its rollout is paused at a failure",
			   "POST /api/release, /api/stop or /api/cancel." },
	[STATE_FAILED_RETRYABLE] = { "it has failed for now and is tried again", "" },
	[STATE_STOPPED] = { "an operator has stopped it",
			    "POST /api/start or /api/cancel." },
	[STATE_COMPLETED] = { "It is completed", "" },
	[STATE_FAILED] = { "It has failed",
			   "GET /api/logs?apply_id=… tells how; then plan again." },
	[STATE_CANCELLED] = { "It was cancelled", "Plan again to make the change." },
	[STATE_REVERTED] = { "It was reverted", "" },
};

const char *why_situation_name(enum why_situation s)
{
	return situations[s].name;
}

/* Nobody may claim it. */
static enum why_situation judge_unstamped(const struct why_facts *f)
{
	if (f->state == STATE_STOPPED)
		return WHY_IS_STOPPED;
	if (f->state != STATE_PENDING)
		return WHY_IS_CONTRADICTION;
	switch (f->hold) {
	case WHY_HELD:
		return WHY_IS_HELD;
	case WHY_PAUSED:
		return WHY_IS_PAUSED;
	case WHY_HALTED:
		return WHY_IS_HALTED;
	case WHY_FREE:
		break;
	}
	return WHY_IS_UNRELEASED;
}

enum why_situation why_judge(const struct why_facts *f)
{
	if (state_is_settled(f->state))
		return f->stamped ? WHY_IS_CONTRADICTION : WHY_IS_SETTLED;
	if (!f->stamped)
		return judge_unstamped(f);
	if (f->due_ms > 0 && f->owner)
		return WHY_IS_DRIVEN;
	if (f->due_ms > 0 && f->state == STATE_FAILED_RETRYABLE)
		return WHY_IS_RETRYING;
	if (f->due_ms > 0)
		return state_class(f->state) == CLASS_ACTIVE ? WHY_IS_PARKED
							     : WHY_IS_WAITING;
	if (-f->due_ms > WHY_OVERDUE_MS)
		return WHY_IS_OVERDUE;
	return f->owner ? WHY_IS_DIED : WHY_IS_DUE;
}

bool why_claimable(const struct why_facts *f)
{
	return situations[why_judge(f)].claim == YES;
}

/* At the gate it is the gate that it waits for. */
static char *doing(TALLOC_CTX *ctx, const struct why_facts *f)
{
	const char *text = states[f->state].doing;

	if (f->state == STATE_WAITING_FOR_CUTOVER && f->gate_shut)
		return mem_printf(ctx, "%s, and '%s' (%s) has to come first", text,
				  f->blocker, state_label(f->blocker_state));
	if (f->state == STATE_WAITING_FOR_CUTOVER && f->defers && !f->asked)
		return mem_printf(ctx, "%s, and waits for an operator to request it",
				  text);
	if (f->detail)
		return mem_printf(ctx, "%s (%s)", text, f->detail);
	return mem_strdup(ctx, text);
}

static int64_t seconds(int64_t ms)
{
	return (ms < 0 ? -ms : ms) / 1000;
}

static char *situation(TALLOC_CTX *ctx, const struct why_facts *f)
{
	const char *error = f->error && *f->error ? f->error : NULL;

	switch (why_judge(f)) {
	case WHY_IS_SETTLED:
		return mem_printf(ctx, "%s%s%s", states[f->state].doing,
				  error ? ": " : ".", error ? error : "");
	case WHY_IS_STOPPED:
		return mem_strdup(ctx, "An operator has stopped it: it stays so until it "
				       "is started or cancelled.");
	case WHY_IS_HELD:
		return mem_printf(
			ctx, "It has not begun: '%s' comes first (policy %s) and is %s.",
			f->blocker, f->policy, state_name(f->blocker_state));
	case WHY_IS_PAUSED:
		return mem_printf(ctx,
				  "It has not begun: '%s' has failed, and the rollout is "
				  "paused until an operator releases it.",
				  f->blocker);
	case WHY_IS_HALTED:
		return mem_printf(
			ctx,
			"It will not begin: '%s' is %s, which halts the rollout. "
			"It is cancelled when those that have begun are at their "
			"end.",
			f->blocker, state_name(f->blocker_state));
	case WHY_IS_UNRELEASED:
		return mem_strdup(ctx,
				  "Nothing holds it any more, but nobody has made it "
				  "due: the reaper does so within two minutes.");
	case WHY_IS_CONTRADICTION:
		return mem_printf(ctx,
				  "Its state (%s) and its place in the queue contradict "
				  "each other.",
				  state_name(f->state));
	case WHY_IS_DRIVEN:
		return mem_printf(ctx,
				  "A driver (%s) is at it: %s. If that is not heard from "
				  "until %s, another takes over.",
				  f->owner, doing(ctx, f), f->due_at);
	case WHY_IS_DIED:
		return mem_printf(
			ctx,
			"Its driver (%s) has not been heard from since its lease "
			"ended %" PRId64 " s ago: the next free driver takes over.",
			f->owner, seconds(f->due_ms));
	case WHY_IS_DUE:
		return mem_printf(ctx,
				  "It is due (for %" PRId64
				  " s): the next free driver claims it%s.",
				  seconds(f->due_ms), f->asked ? " and obeys" : "");
	case WHY_IS_OVERDUE:
		return mem_printf(
			ctx,
			"It has been due for %" PRId64
			" s and nobody claims it: no scheduler runs, or all "
			"drivers are busy.%s%s%s",
			seconds(f->due_ms), f->owner ? " Its last driver (" : "",
			f->owner ? f->owner : "", f->owner ? ") was lost." : "");
	case WHY_IS_RETRYING:
		return mem_printf(ctx, "Retry %d of %d begins at %s%s%s", f->attempt + 1,
				  RETRY_BUDGET, f->due_at, error ? ", because of: " : ".",
				  error ? error : "");
	case WHY_IS_PARKED:
		return mem_printf(ctx,
				  "Its engine works without us: %s. A driver looks again "
				  "at %s.",
				  doing(ctx, f), f->due_at);
	case WHY_IS_WAITING:
		return mem_printf(ctx, "Nobody looks at it before %s: %s.", f->due_at,
				  states[f->state].doing);
	case WHY_SITUATION_COUNT:
		break;
	}
	BUG("no such situation");
}

char *why_clause(TALLOC_CTX *ctx, const struct why_facts *f)
{
	static const char clause[] = "claim_after <= NOW(6)";

	if (!f->stamped)
		return mem_printf(
			ctx,
			"%s does not match: claim_after is NULL, nobody may claim "
			"it.",
			clause);
	if (f->due_ms > 0)
		return mem_printf(ctx, "%s does not match: %s is in %" PRId64 ".%03d s.",
				  clause, f->due_at, f->due_ms / 1000,
				  (int)(f->due_ms % 1000));
	return mem_printf(ctx, "%s matches: %s was %" PRId64 ".%03d s ago.", clause,
			  f->due_at, -f->due_ms / 1000, (int)(-f->due_ms % 1000));
}

const char *why_next(const struct why_facts *f)
{
	enum why_situation s = why_judge(f);

	if (*situations[s].next)
		return situations[s].next;
	/* Its turn comes, or its request is on its way. */
	if (f->state == STATE_WAITING_FOR_CUTOVER &&
	    (f->gate_shut || !f->defers || f->asked))
		return "";
	if (f->asked && s == WHY_IS_STOPPED)
		return "";
	return states[f->state].next;
}

/* ---- requests --------------------------------------------------------------------- */

/* What must have come first, besides somebody to obey it. */
static const char *const before[CONTROL_COUNT] = {
	[CONTROL_STOP] = "",
	[CONTROL_CANCEL] = "",
	[CONTROL_START] = "It ends when the engine has accepted the work again. ",
	[CONTROL_CUTOVER] = "It is obeyed when every table is ready. ",
	[CONTROL_VOLUME] = "",
	[CONTROL_RELEASE] = "",
	[CONTROL_REVERT] = "",
	[CONTROL_SKIP_REVERT] = "",
};

char *why_request(TALLOC_CTX *ctx, enum control control, bool stop_pending,
		  const struct why_facts *f)
{
	const char *text = before[control];

	if (stop_pending && control != CONTROL_STOP && control != CONTROL_CANCEL)
		return mem_strdup(ctx, "A stop or cancel waits, too, and comes first.");
	if (state_is_settled(f->state))
		return mem_strdup(ctx, "Its apply is over: the reaper ends it within two "
				       "minutes.");
	switch (why_judge(f)) {
	case WHY_IS_DRIVEN:
		return mem_printf(ctx, "%sThe driver looks for requests at every step.",
				  text);
	case WHY_IS_DIED:
	case WHY_IS_DUE:
		return mem_printf(ctx, "%sThe next free driver obeys it.", text);
	case WHY_IS_OVERDUE:
		return mem_printf(ctx,
				  "%sNobody claims the operation, though it is due: see "
				  "that a scheduler runs.",
				  text);
	case WHY_IS_RETRYING:
	case WHY_IS_PARKED:
	case WHY_IS_WAITING:
		return mem_printf(ctx, "%sA driver looks at it at %s.", text, f->due_at);
	case WHY_IS_SETTLED:
	case WHY_IS_STOPPED:
	case WHY_IS_HELD:
	case WHY_IS_PAUSED:
	case WHY_IS_HALTED:
	case WHY_IS_UNRELEASED:
	case WHY_IS_CONTRADICTION:
		return mem_printf(ctx, "%sNobody may claim this operation now.", text);
	case WHY_SITUATION_COUNT:
		break;
	}
	BUG("no such situation");
}

char *why_sentence(TALLOC_CTX *ctx, const struct why_facts *f)
{
	char *text = situation(ctx, f);

	/* What is being driven has an error only when its last driver was in doubt. */
	if (state_class(f->state) == CLASS_ACTIVE && f->error && *f->error)
		return mem_printf(ctx, "%s %s", text, f->error);
	return text;
}
