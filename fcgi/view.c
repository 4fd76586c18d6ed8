/*
 * view.c - rendering. See view.h.
 */
#include "fcgi/view.h"

#include <string.h>

#include "core/base/buf.h"
#include "core/model/control_rules.h"
#include "core/model/rollout.h"
#include "engines/engine.h"
#include "fcgi/plan_data.h"
#include "fcgi/plan_summary.h"

#define REASON_MAX_BYTES 240 /* SEMANTICS G.2: a failure's reason in a list */

/* Storage has '' where there is nothing. */
static void str_if_any(struct json_object *o, const char *key, const char *value)
{
	if (value && *value)
		js_str(o, key, value);
}

static void number_if_known(struct json_object *o, const char *key, int64_t value)
{
	if (value >= 0)
		js_int(o, key, value);
}

struct json_object *view_options(TALLOC_CTX *ctx, const char *options)
{
	struct json_object *map = NULL;

	if (options && json_parse(ctx, options, strlen(options), &map, NULL) == 0 && map)
		return json_object_get(map);
	return js_object();
}

/* ---- plans ---------------------------------------------------------------------------
 */

static struct json_object *namespace_changes(const struct schema_plan *outcome,
					     const char *namespace)
{
	struct json_object *o = js_object(), *tables = js_array();

	for (size_t i = 0; i < outcome->n_changes; i++)
		if (strcmp(outcome->changes[i].namespace, namespace) == 0)
			js_push(tables, plan_change_json(&outcome->changes[i]));
	js_str(o, "namespace", namespace);
	js_add(o, "table_changes", tables);
	js_add(o, "metadata", js_object());
	return o;
}

/* Namespaces in the order of their first change. */
static struct json_object *all_changes(const struct schema_plan *outcome)
{
	struct json_object *list = js_array();

	for (size_t i = 0; i < outcome->n_changes; i++) {
		const char *namespace = outcome->changes[i].namespace;
		size_t first = 0;

		while (strcmp(outcome->changes[first].namespace, namespace) != 0)
			first++;
		if (first == i)
			js_push(list, namespace_changes(outcome, namespace));
	}
	return list;
}

/* The options that an apply of it has anyway. */
static struct json_object *plan_options(const struct plan *plan)
{
	struct json_object *o = js_object();

	if (plan->rollback_of && *plan->rollback_of)
		js_str(o, "rollback", "true");
	return o;
}

struct json_object *view_plan(const struct plan *plan, const struct schema_plan *outcome)
{
	struct json_object *o = js_object(), *lint = js_array(), *errors = js_array();
	TALLOC_CTX *tmp = mem_ctx(NULL, "view_plan");

	for (size_t i = 0; i < outcome->n_lint; i++)
		js_push(lint, plan_lint_json(&outcome->lint[i]));
	for (size_t i = 0; i < outcome->n_errors; i++)
		js_push(errors, json_object_new_string(outcome->errors[i]));
	js_str(o, "plan_id", plan->plan_id);
	js_str(o, "database", plan->database);
	js_str(o, "database_type", plan->database_type);
	js_str(o, "environment", plan->environment);
	js_str(o, "deployment", plan->deployment);
	js_str(o, "engine", plan->engine);
	str_if_any(o, "repository", plan->repository);
	if (plan->pull_request > 0)
		js_int(o, "pull_request", plan->pull_request);
	str_if_any(o, "head_sha", plan->head_sha);
	js_time(o, "created_at", plan->created_at);
	js_add(o, "changes", all_changes(outcome));
	js_add(o, "lint_violations", lint);
	js_add(o, "errors", errors);
	js_str(o, "summary", plan_summary(tmp, outcome, plan->rollback_of));
	js_add(o, "options", plan_options(plan));
	str_if_any(o, "rollback_of", plan->rollback_of);
	talloc_free(tmp);
	return o;
}

/* ---- progress ------------------------------------------------------------------------
 */

/* The bundle's operations as the rules of a rollout take them; of ctx. */
static struct rollout rollout_of(TALLOC_CTX *ctx, const struct apply_bundle *b)
{
	struct rollout_member *members =
		mem_array(ctx, struct rollout_member, b->n_operations);
	struct rollout r = { .released = b->apply->released_at != NULL,
			     .begun = b->apply->started_at != NULL,
			     .members = members,
			     .n = b->n_operations };
	int policy = 0, on_failure = 0;

	/* They never fail, and all operations have the same. */
	if (rollout_policy_parse(b->operations[0].cutover_policy, &policy) == 0)
		r.policy = (enum rollout_policy)policy;
	if (rollout_failure_parse(b->operations[0].on_failure, &on_failure) == 0)
		r.on_failure = (enum rollout_failure)on_failure;
	for (size_t i = 0; i < b->n_operations; i++) {
		const struct operation *op = &b->operations[i];

		members[i] = (struct rollout_member){ op->state, op->started_at != NULL,
						      op->lease_owner != NULL };
	}
	return r;
}

/* Whom operation i waits for, to begin or to cut over; NULL = nobody. */
static const char *waiting_for(const struct apply_bundle *b, const struct rollout *r,
			       size_t i)
{
	size_t blocker;

	if (b->operations[i].state == STATE_PENDING
		    ? rollout_order(r, i, &blocker) == ROLLOUT_HELD
		    : b->operations[i].state == STATE_WAITING_FOR_CUTOVER &&
			      rollout_gate(r, i, &blocker) == ROLLOUT_GATE_SHUT)
		return b->operations[blocker].deployment;
	return NULL;
}

static struct json_object *operation_json(const struct apply_bundle *b,
					  const struct rollout *r, size_t i)
{
	const struct operation *op = &b->operations[i];
	struct json_object *o = js_object();

	js_str(o, "deployment", op->deployment);
	js_str(o, "target", op->target);
	js_str(o, "state", state_name(op->state));
	js_int(o, "attempt", op->attempt);
	js_bool(o, "held", op->state == STATE_PENDING && !op->claim_after);
	str_if_any(o, "waiting_for", waiting_for(b, r, i));
	if (op->state == STATE_FAILED_RETRYABLE)
		js_time(o, "retry_after", op->claim_after);
	str_if_any(o, "error_code", op->error_code);
	str_if_any(o, "error_message", op->error_message);
	js_time(o, "started_at", op->started_at);
	js_time(o, "completed_at", op->completed_at);
	return o;
}

/* Of the operation that is tried again first; attempts of the one that had most. */
static void retry_json(struct json_object *o, const struct apply_bundle *b)
{
	const char *first = NULL;
	int attempt = 0;

	for (size_t i = 0; i < b->n_operations; i++) {
		const struct operation *op = &b->operations[i];

		if (op->attempt > attempt)
			attempt = op->attempt;
		if (op->state == STATE_FAILED_RETRYABLE && op->claim_after &&
		    (!first || strcmp(op->claim_after, first) < 0))
			first = op->claim_after;
	}
	js_int(o, "attempt", attempt);
	js_time(o, "retry_after", first);
}

static const char *deployment_of(const struct apply_bundle *b, const struct task *t)
{
	size_t i = 0;

	while (i + 1 < b->n_operations && b->operations[i].id != t->operation_row)
		i++;
	return b->operations[i].deployment;
}

/* What is true only while somebody works at it. */
static void now_json(struct json_object *o, const struct task *t)
{
	bool at_work = state_class(t->state) == CLASS_ACTIVE;

	if (at_work && task_percent(t) >= 0)
		number_if_known(o, "eta_seconds", t->eta_seconds);
	if (at_work) {
		number_if_known(o, "rows_per_second", t->rows_per_second);
		number_if_known(o, "pending_keys", t->pending_keys);
	}
	js_bool(o, "throttled", at_work && t->throttled);
	if (at_work && t->throttled)
		str_if_any(o, "throttle_reason", t->throttle_reason);
}

static struct json_object *task_json(const struct apply_bundle *b, const struct task *t)
{
	struct json_object *o = js_object();

	js_str(o, "task_id", t->task_id);
	js_str(o, "deployment", deployment_of(b, t));
	js_str(o, "table_name", t->table);
	js_str(o, "namespace", t->namespace);
	js_str(o, "keyspace", t->namespace);
	js_str(o, "ddl", t->ddl);
	js_str(o, "change_type", t->action);
	js_str(o, "status", state_name(t->state));
	js_str(o, "execution_mode", t->execution_mode);
	str_if_any(o, "mode_reason", t->mode_reason);
	js_str(o, "algorithm", t->algorithm);
	number_if_known(o, "rows_copied", t->rows_copied);
	number_if_known(o, "rows_total", t->rows_total);
	number_if_known(o, "percent_complete", task_percent(t));
	number_if_known(o, "checksum_rows", t->checksum_rows);
	now_json(o, t);
	js_bool(o, "is_instant", t->is_instant);
	str_if_any(o, "progress_detail", t->detail);
	js_int(o, "attempt", t->attempt);
	js_int(o, "cutover_attempts", t->cutover_attempts);
	str_if_any(o, "error_message", t->error_message);
	js_time(o, "started_at", t->started_at);
	js_time(o, "completed_at", t->completed_at);
	js_add(o, "shards", js_array());
	return o;
}

/* "3 tables: 1 completed, 1 running, 1 pending" */
static char *summary(TALLOC_CTX *ctx, const struct apply_bundle *bundle)
{
	size_t counts[STATE_COUNT] = { 0 };
	const char *between = ": ";
	struct buf b;

	for (size_t i = 0; i < bundle->n_tasks; i++)
		counts[bundle->tasks[i].state]++;
	buf_init(&b, ctx);
	buf_printf(&b, "%zu table%s", bundle->n_tasks, bundle->n_tasks == 1 ? "" : "s");
	/* What is furthest along first: completed stands near the end of the list. */
	for (size_t s = STATE_COUNT; s-- > 0;) {
		if (counts[s] == 0)
			continue;
		buf_printf(&b, "%s%zu %s", between, counts[s], state_name((enum state)s));
		between = ", ";
	}
	for (char *p = b.data; *p; p++)
		if (*p == '_')
			*p = ' ';
	return b.data;
}

/* A failure that will be tried again has a code of its own (SEMANTICS G.3). */
static const char *error_code_of(const struct apply *a)
{
	if (a->state == STATE_FAILED_RETRYABLE)
		return err_wire_code(SB_ERETRY);
	return a->error_code;
}

static void apply_head(struct json_object *o, const struct apply *a)
{
	js_str(o, "apply_id", a->apply_id);
	js_str(o, "state", state_name(a->state));
	js_str(o, "state_label", state_label(a->state));
	js_str(o, "engine", a->engine);
	js_str(o, "environment", a->environment);
	js_str(o, "caller", a->caller);
}

static void apply_times(struct json_object *o, const struct apply *a)
{
	js_time(o, "created_at", a->created_at);
	js_time(o, "started_at", a->started_at);
	js_time(o, "completed_at", a->completed_at);
}

static void apply_origin(struct json_object *o, const struct apply *a)
{
	str_if_any(o, "repository", a->repository);
	if (a->pull_request > 0)
		js_int(o, "pull_request", a->pull_request);
}

static bool at_rest(enum state s)
{
	return state_is_settled(s) || s == STATE_STOPPED;
}

/* What the rules of core/model say about the apply as storage shows it; the judgement
 * that counts is made when a request comes, on locked rows. */
static struct control_facts facts_of(const struct apply_bundle *b)
{
	const struct engine *engine = engine_by_name(b->apply->engine);
	struct control_facts f = { .state = b->apply->state,
				   .pending = b->pending,
				   .engine_caps = engine ? engine->caps : 0,
				   .released = b->apply->released_at != NULL };

	for (size_t i = 0; i < b->n_operations; i++) {
		const struct operation *op = &b->operations[i];

		f.operations |= STATE_BIT(op->state);
		f.pauses |= strcmp(op->on_failure, "pause") == 0;
		if (b->apply->state == STATE_STOPPED && !at_rest(op->state) &&
		    op->claim_after)
			f.state = STATE_RUNNING; /* not all of it has stopped */
	}
	if (f.state == STATE_STOPPED) /* a stop that still waits has taken effect */
		f.pending &= ~CONTROL_BIT(CONTROL_STOP);
	return f;
}

static void controls_json(struct json_object *o, const struct apply_bundle *b)
{
	struct json_object *possible = js_array(), *requested = js_array();
	const struct control_facts f = facts_of(b);

	for (int c = 0; c < CONTROL_COUNT; c++) {
		struct sb_err err;

		if (f.pending & CONTROL_BIT(c))
			js_push(requested,
				json_object_new_string(control_name((enum control)c)));
		else if (control_judge((enum control)c, &f, &err) == CONTROL_ALLOWED)
			js_push(possible,
				json_object_new_string(control_name((enum control)c)));
	}
	js_add(o, "controls", possible);
	js_add(o, "requested", requested);
}

struct json_object *view_progress(TALLOC_CTX *ctx, const struct apply_bundle *bundle)
{
	const struct apply *a = bundle->apply;
	struct json_object *o = js_object(), *operations = js_array(),
			   *tables = js_array();
	struct rollout rollout = rollout_of(ctx, bundle);

	for (size_t i = 0; i < bundle->n_operations; i++)
		js_push(operations, operation_json(bundle, &rollout, i));
	for (size_t i = 0; i < bundle->n_tasks; i++)
		js_push(tables, task_json(bundle, &bundle->tasks[i]));
	apply_head(o, a);
	js_str(o, "plan_id", a->plan_id);
	js_str(o, "database", a->database);
	js_str(o, "database_type", a->database_type);
	js_str(o, "deployment", a->deployment);
	apply_origin(o, a);
	apply_times(o, a);
	js_str(o, "summary", summary(ctx, bundle));
	str_if_any(o, "error_code", error_code_of(a));
	str_if_any(o, "error_message", a->error_message);
	js_int(o, "volume", a->volume);
	js_add(o, "options", view_options(ctx, a->options));
	js_add(o, "metadata", js_object());
	retry_json(o, bundle);
	js_str(o, "cutover_policy", bundle->operations[0].cutover_policy);
	js_str(o, "on_failure", bundle->operations[0].on_failure);
	js_bool(o, "released", a->released_at != NULL);
	controls_json(o, bundle);
	js_add(o, "operations", operations);
	js_add(o, "tables", tables);
	return o;
}

/* ---- lists ---------------------------------------------------------------------------
 */

static char *clamp(TALLOC_CTX *ctx, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (n <= REASON_MAX_BYTES)
		return mem_strdup(ctx, text);
	n = REASON_MAX_BYTES - strlen("…");
	while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return mem_printf(ctx, "%.*s…", (int)n, text);
}

struct json_object *view_status_entry(TALLOC_CTX *ctx, const struct apply *a)
{
	struct json_object *o = js_object();

	apply_head(o, a);
	js_str(o, "database", a->database);
	js_str(o, "database_type", a->database_type);
	js_str(o, "deployment", a->deployment);
	apply_origin(o, a);
	apply_times(o, a);
	js_time(o, "updated_at", a->updated_at);
	js_int(o, "volume", a->volume);
	str_if_any(o, "error_code", error_code_of(a));
	str_if_any(o, "error", clamp(ctx, a->error_message));
	return o;
}

struct json_object *view_history_entry(const struct apply *a)
{
	struct json_object *o = js_object();

	apply_head(o, a);
	apply_origin(o, a);
	apply_times(o, a);
	str_if_any(o, "error_code", error_code_of(a));
	str_if_any(o, "error", a->error_message);
	return o;
}

struct json_object *view_log_entry(const struct log_entry *e)
{
	struct json_object *o = js_object();

	js_int(o, "id", (int64_t)e->id);
	js_str(o, "apply_id", e->apply_id);
	js_str(o, "level", e->level);
	js_str(o, "event_type", e->event_type);
	js_str(o, "source", e->source);
	js_str(o, "message", e->message);
	js_time(o, "created_at", e->created_at);
	str_if_any(o, "task_id", e->task_id);
	str_if_any(o, "old_state", e->old_state);
	str_if_any(o, "new_state", e->new_state);
	return o;
}

struct json_object *view_lock(const struct lock *l)
{
	struct json_object *o = js_object();

	js_str(o, "database", l->database);
	js_str(o, "database_type", l->database_type);
	js_str(o, "owner", l->owner);
	str_if_any(o, "repository", l->repository);
	if (l->pull_request > 0)
		js_int(o, "pull_request", l->pull_request);
	str_if_any(o, "pending_plan_id", l->pending_plan_id);
	js_time(o, "created_at", l->created_at);
	js_time(o, "updated_at", l->updated_at);
	return o;
}

struct json_object *view_setting(const struct setting *s)
{
	struct json_object *o = js_object();

	js_str(o, "key", s->key);
	js_str(o, "value", s->value);
	js_time(o, "updated_at", s->updated_at);
	return o;
}
