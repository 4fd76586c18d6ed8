/*
 * why.c - GET /api/why/{apply_id}: why an apply does or does not move, what it waits for,
 * when it is next due; in words and as fields, from storage only.
 *
 * Must never: write anything, or ask an engine or a target.
 */
#include "fcgi/why.h"

#include <string.h>

#include "core/model/rollout.h"
#include "core/store/why.h"
#include "fcgi/handlers.h"
#include "fcgi/view.h"

/* The rules of a rollout, as the driver and the reaper ask them. */
static struct rollout rollout_of(TALLOC_CTX *ctx, const struct why_rows *rows)
{
	struct rollout_member *members =
		mem_array(ctx, struct rollout_member, rows->n_operations);
	struct rollout r = { .released = rows->apply->released_at != NULL,
			     .begun = rows->apply->started_at != NULL,
			     .members = members,
			     .n = rows->n_operations };
	int policy = 0, on_failure = 0;

	for (size_t i = 0; i < rows->n_operations; i++) {
		const struct operation *op = &rows->operations[i].op;

		members[i] = (struct rollout_member){ op->state, op->started_at != NULL,
						      op->lease_owner != NULL };
		if (i == 0 && rollout_policy_parse(op->cutover_policy, &policy) == 0 &&
		    rollout_failure_parse(op->on_failure, &on_failure) == 0) {
			r.policy = (enum rollout_policy)policy;
			r.on_failure = (enum rollout_failure)on_failure;
		}
	}
	return r;
}

static enum why_hold hold_of(const struct rollout *r, size_t i, size_t *blocker)
{
	enum rollout_order order;

	if (r->members[i].state != STATE_PENDING)
		return WHY_FREE;
	order = rollout_order(r, i, blocker);
	if (order == ROLLOUT_GO)
		return WHY_FREE;
	if (order == ROLLOUT_CANCELLED)
		return WHY_HALTED;
	if (r->members[*blocker].state == STATE_FAILED &&
	    r->on_failure == ROLLOUT_ON_FAILURE_PAUSE && !r->released)
		return WHY_PAUSED;
	return state_is_settled(r->members[*blocker].state) ? WHY_HALTED : WHY_HELD;
}

static char *rfc3339(TALLOC_CTX *ctx, const char *datetime)
{
	char *text = datetime ? mem_printf(ctx, "%sZ", datetime) : NULL;

	if (text)
		text[10] = 'T';
	return text;
}

static bool option_set(TALLOC_CTX *ctx, const char *options, const char *key)
{
	struct json_object *map = js_own(ctx, view_options(ctx, options));
	const char *value = js_get_str(map, key);

	return value && strcmp(value, "true") == 0;
}

static const struct control_request *pending(const struct why_rows *rows,
					     enum control control)
{
	for (size_t i = 0; i < rows->n_requests; i++)
		if (rows->requests[i].operation == control)
			return &rows->requests[i];
	return NULL;
}

static struct why_facts facts_of(TALLOC_CTX *ctx, const struct why_rows *rows,
				 const struct rollout *r, size_t i)
{
	const struct why_operation *w = &rows->operations[i];
	struct why_facts f = {
		.state = w->op.state,
		.stamped = w->stamped,
		.due_ms = w->due_ms,
		.due_at = rfc3339(ctx, w->op.claim_after),
		.owner = w->op.lease_owner,
		.error = w->op.error_message,
		.detail = w->detail,
		.attempt = w->op.attempt,
		.policy = w->op.cutover_policy,
		.defers = option_set(ctx, rows->apply->options, "defer_cutover"),
	};
	size_t blocker = i;

	f.hold = hold_of(r, i, &blocker);
	if (f.state == STATE_WAITING_FOR_CUTOVER)
		f.gate_shut = rollout_gate(r, i, &blocker) != ROLLOUT_GATE_OPEN;
	f.blocker = rows->operations[blocker].op.deployment;
	f.blocker_state = rows->operations[blocker].op.state;
	for (size_t k = 0; k < rows->n_requests; k++)
		f.asked |= rows->requests[k].id > w->op.served_request;
	return f;
}

/* ---- rendering -------------------------------------------------------------------- */

static struct json_object *operation_json(TALLOC_CTX *ctx, const struct why_operation *w,
					  const struct why_facts *f)
{
	enum why_situation s = why_judge(f);
	struct json_object *o = js_object();
	bool waits = f->hold != WHY_FREE || f->gate_shut;

	js_str(o, "deployment", w->op.deployment);
	js_str(o, "target", w->op.target);
	js_str(o, "state", state_name(f->state));
	js_str(o, "situation", why_situation_name(s));
	js_str(o, "sentence", why_sentence(ctx, f));
	js_str(o, "next_step", why_next(f));
	js_bool(o, "claimable", why_claimable(f));
	if (f->stamped || !state_is_settled(f->state))
		js_str(o, "clause", why_clause(ctx, f));
	js_time(o, "next_due_at", w->op.claim_after);
	if (f->stamped)
		js_int(o, "due_in_ms", f->due_ms);
	if (f->owner && f->stamped)
		js_str(o, "driver", f->owner);
	if (waits)
		js_str(o, "waiting_for", f->blocker);
	js_str(o, "cutover_policy", w->op.cutover_policy);
	js_str(o, "on_failure", w->op.on_failure);
	js_int(o, "attempt", f->attempt);
	js_int(o, "attempts_left",
	       f->attempt < RETRY_BUDGET ? RETRY_BUDGET - f->attempt : 0);
	js_int(o, "driver_deaths", w->op.deaths);
	if (f->error && *f->error)
		js_str(o, "error_message", f->error);
	if (f->detail)
		js_str(o, "progress_detail", f->detail);
	return o;
}

/* Which operation tells most about the apply: what needs somebody first, then what moves,
 * then what waits for others. */
static const enum why_situation telling[WHY_SITUATION_COUNT] = {
	WHY_IS_CONTRADICTION, WHY_IS_UNRELEASED, WHY_IS_OVERDUE, WHY_IS_DIED,
	WHY_IS_PAUSED,	      WHY_IS_DRIVEN,	 WHY_IS_PARKED,	 WHY_IS_DUE,
	WHY_IS_RETRYING,      WHY_IS_WAITING,	 WHY_IS_HALTED,	 WHY_IS_HELD,
	WHY_IS_STOPPED,	      WHY_IS_SETTLED,
};

static size_t most_telling(const struct why_facts *facts, size_t n)
{
	for (size_t t = 0; t < ARRAY_SIZE(telling); t++)
		for (size_t i = 0; i < n; i++)
			if (why_judge(&facts[i]) == telling[t])
				return i;
	return 0;
}

/* The first operation that has not obeyed, and can tell why: a settled one cannot. */
static const struct why_facts *who_obeys(const struct why_rows *rows,
					 const struct why_facts *facts,
					 const struct control_request *r)
{
	for (size_t i = 0; i < rows->n_operations; i++)
		if (rows->operations[i].op.served_request < r->id && facts[i].stamped)
			return &facts[i];
	for (size_t i = 0; i < rows->n_operations; i++)
		if (!state_is_settled(facts[i].state))
			return &facts[i];
	return &facts[0];
}

static struct json_object *requests_json(TALLOC_CTX *ctx, const struct why_rows *rows,
					 const struct why_facts *facts)
{
	bool stop = pending(rows, CONTROL_STOP) || pending(rows, CONTROL_CANCEL);
	struct json_object *list = js_array();

	for (size_t i = 0; i < rows->n_requests; i++) {
		const struct control_request *r = &rows->requests[i];
		struct json_object *o = js_object();

		js_str(o, "operation", control_name(r->operation));
		js_str(o, "requested_by", r->requested_by);
		js_time(o, "created_at", r->created_at);
		js_str(o, "sentence",
		       why_request(ctx, r->operation, stop, who_obeys(rows, facts, r)));
		js_push(list, o);
	}
	return list;
}

/* The earliest moment at which anybody may claim something of it. */
static const char *next_due(const struct why_rows *rows)
{
	const char *first = NULL;

	for (size_t i = 0; i < rows->n_operations; i++) {
		const char *at = rows->operations[i].op.claim_after;

		if (at && (!first || strcmp(at, first) < 0))
			first = at;
	}
	return first;
}

static struct json_object *render(TALLOC_CTX *ctx, const struct why_rows *rows)
{
	const struct apply *a = rows->apply;
	struct rollout rollout = rollout_of(ctx, rows);
	struct why_facts *facts = mem_array(ctx, struct why_facts, rows->n_operations);
	struct json_object *o = js_object(), *list = js_array();
	size_t best;

	for (size_t i = 0; i < rows->n_operations; i++) {
		facts[i] = facts_of(ctx, rows, &rollout, i);
		js_push(list, operation_json(ctx, &rows->operations[i], &facts[i]));
	}
	best = most_telling(facts, rows->n_operations);
	js_str(o, "apply_id", a->apply_id);
	js_str(o, "database", a->database);
	js_str(o, "environment", a->environment);
	js_str(o, "state", state_name(a->state));
	js_str(o, "state_label", state_label(a->state));
	js_bool(o, "settled", state_is_settled(a->state));
	js_str(o, "sentence",
	       rows->n_operations > 1
		       ? mem_printf(ctx, "%s: %s", rows->operations[best].op.deployment,
				    why_sentence(ctx, &facts[best]))
		       : why_sentence(ctx, &facts[best]));
	js_str(o, "next_step", why_next(&facts[best]));
	js_time(o, "next_due_at", next_due(rows));
	/* What is over does not change any more, not even by the clock. */
	if (!state_is_settled(a->state))
		js_time(o, "checked_at", rows->now);
	js_bool(o, "released", a->released_at != NULL);
	js_add(o, "operations", list);
	js_add(o, "requests", requests_json(ctx, rows, facts));
	return o;
}

int why_of_apply(struct app *app, const struct request *req, struct reply *reply,
		 struct sb_err *err)
{
	struct why_rows rows;
	struct db *db;
	int rc;

	if (app_storage(app, req, &db, err) < 0)
		return -1;
	rc = why_read(req->ctx, db, req->params[0], &rows, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(err, SB_ENOTFOUND,
			      "There is no apply '%.100s'. GET /api/status lists what "
			      "there is.",
			      req->params[0]);
	if (rows.n_operations == 0)
		return sb_err(err, SB_EINTERNAL, "%s has no operations.",
			      rows.apply->apply_id);
	return reply_json(reply, 200, render(req->ctx, &rows));
}
