/*
 * engine.c - the fake engine's operations: an external engine and a resident one, which
 * do what a test's script says. See README.md.
 *
 * Entered in the registry of test builds only; a release build has nothing of it.
 */
#ifdef SB_FAULTS

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/json.h"
#include "engines/fake/fake.h"

static int fake_judge(TALLOC_CTX *ctx, const struct engine_question *question,
		      struct engine_verdict *verdict, struct sb_err *err)
{
	(void)ctx;
	*verdict = (struct engine_verdict){ .execution_mode = "",
					    .reason = "",
					    .natively = ENGINE_ALGORITHM_INSTANT };
	return db_run(question->db, question->task->ddl, err);
}

/* ---- open, close --------------------------------------------------------------------
 */

static void make_folders(struct engine_run *run)
{
	static const char *const folders[] = { "", "/remote", "/gates" };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		mkdir(mem_printf(run, "%s%s", run->dir, folders[i]), 0777);
}

static int open_run(TALLOC_CTX *ctx, const struct engine *engine,
		    const struct engine_request *request, struct engine_run **out,
		    struct sb_err *err)
{
	struct engine_work work = { .tasks = request->tasks,
				    .n_tasks = request->n_tasks };
	struct fake_call c = { .name = "open", .work = &work };
	const char *dir = getenv("SB_FAKE");
	struct engine_run *run;

	*out = NULL;
	if (!dir)
		return sb_err(err, SB_ECONFIG,
			      "SB_FAKE does not name the fake engine's directory.");
	run = mem_new(ctx, struct engine_run);
	run->engine = engine;
	run->dir = mem_strdup(run, dir);
	run->apply_id = mem_strdup(run, request->apply_id);
	run->operation = mem_strdup(run, request->operation);
	run->deployment = mem_strdup(run, request->deployment);
	run->token = request->lease_token;
	run->target = *request->target;
	run->options = request->options;
	make_folders(run);
	c.run = run;
	if (fake_call_begin(&c, err) < 0 || fake_call_end(&c, 0, err) < 0) {
		talloc_free(run);
		return -1;
	}
	*out = run;
	return 0;
}

static int fake_open(TALLOC_CTX *ctx, const struct engine_request *request,
		     struct engine_run **out, struct sb_err *err)
{
	return open_run(ctx, &fake_engine, request, out, err);
}

static int resident_open(TALLOC_CTX *ctx, const struct engine_request *request,
			 struct engine_run **out, struct sb_err *err)
{
	return open_run(ctx, &fake_resident_engine, request, out, err);
}

static void fake_close(struct engine_run *run)
{
	talloc_free(run);
}

static void fake_fence(struct engine_run *run)
{
	atomic_store(&run->fenced, true);
}

/* ---- the reference: what is stored ----------------------------------------------------
 */

static const char *state_text(TALLOC_CTX *ctx, const struct fake_call *c,
			      const char *phase)
{
	struct json_object *state = json_object_new_object();

	if (fake_told(c, "no_state")) {
		json_object_put(state);
		return NULL;
	}
	js_str(state, "reference", c->run->reference);
	js_str_opt(state, "phase", phase);
	return js_render(ctx, state);
}

/* Refer to the change that resume_state names, or to none. */
static void refer(struct engine_run *run, const struct engine_work *work)
{
	TALLOC_CTX *tmp = mem_ctx(run, "refer");
	struct json_object *state;

	run->work = work;
	talloc_free(run->reference);
	run->reference = NULL;
	if (work->resume_state &&
	    json_parse(tmp, work->resume_state, strlen(work->resume_state), &state,
		       NULL) == 0)
		run->reference = mem_strdup(run, js_get_str(state, "reference"));
	talloc_free(tmp);
}

/* Named after its first table, too: without a group each table is a change of its own,
 * and one driver may start them all. */
static char *new_reference(struct engine_run *run)
{
	return mem_printf(run, "change-%s@%llu/%s", run->operation,
			  (unsigned long long)run->token,
			  run->work->n_tasks > 0 ? run->work->tasks[0].table : "");
}

/* ---- prepare, start, attach -----------------------------------------------------------
 */

static int fake_prepare(TALLOC_CTX *ctx, struct engine_run *run,
			const struct engine_work *work, const char **resume_state,
			struct sb_err *err)
{
	struct fake_call c = { .run = run, .name = "prepare", .work = work };
	int rc;

	*resume_state = NULL;
	refer(run, work);
	rc = fake_call_begin(&c, err);
	if (rc < 0)
		return -1;
	if (!run->reference)
		run->reference = new_reference(run);
	*resume_state = state_text(ctx, &c, NULL);
	return fake_call_end(&c, 0, err);
}

static int fake_start(TALLOC_CTX *ctx, struct engine_run *run,
		      const struct engine_work *work, const char **resume_state,
		      struct sb_err *err)
{
	struct fake_call c = {
		.run = run, .name = "start", .work = work, .mutating = true
	};
	struct json_object *change;
	int rc;

	*resume_state = NULL;
	refer(run, work);
	if (fake_call_begin(&c, err) < 0)
		return -1;
	if (!run->reference)
		run->reference = new_reference(run);
	change = fake_change(&c);
	if (!change)
		fake_change_create(&c);
	else if (strcmp(fake_ended(change), "stopped") == 0)
		fake_end_as(change, "");
	else if (strcmp(fake_phase(change), "waiting_for_deploy") == 0)
		js_bool(change, "deployed", true);
	if (fake_told(&c, "lose"))
		fake_change_forget(&c);
	*resume_state = state_text(ctx, &c, "accepted");
	rc = fake_call_end(&c, 0, err);
	if (rc < 0)
		*resume_state = NULL;
	return rc;
}

static int fake_attach(struct engine_run *run, const struct engine_work *work,
		       struct sb_err *err)
{
	struct fake_call c = { .run = run, .name = "attach", .work = work };
	int found;

	refer(run, work);
	if (fake_call_begin(&c, err) < 0)
		return -1;
	if (fake_told(&c, "lose"))
		fake_change_forget(&c);
	found = fake_change(&c) != NULL;
	js_bool(c.entry, "found", found);
	return fake_call_end(&c, found, err);
}

/* ---- poll -----------------------------------------------------------------------------
 */

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

static enum engine_task_state state_of(struct json_object *change, const char *table)
{
	const char *ended = fake_ended(change);

	if (strcmp(ended, "stopped") == 0)
		return ENGINE_TASK_STOPPED;
	if (strcmp(ended, "cancelled") == 0)
		return ENGINE_TASK_CANCELLED;
	if (strcmp(ended, "failed") == 0) {
		const char *failed = js_get_str(change, "failed_table");

		/* The others stay where they were. */
		if (!failed || strcmp(failed, table) == 0)
			return ENGINE_TASK_FAILED;
	}
	return engine_task_state_parse(fake_phase(change));
}

static void truth(struct json_object *change, const char *table,
		  struct engine_progress *p)
{
	int64_t at = json_object_get_int64(member(change, "at"));
	int64_t last = (int64_t)json_object_array_length(member(change, "phases")) - 1;

	*p = (struct engine_progress){ .state = state_of(change, table),
				       .rows_copied = last > 0 ? 1000 * at / last : 1000,
				       .rows_total = 1000,
				       .eta_seconds = -1,
				       .rows_per_second = -1,
				       .checksum_rows = -1,
				       .pending_keys = -1 };
	p->percent = (int)(p->rows_copied / 10);
	if (p->state == ENGINE_TASK_FAILED)
		(void)sb_err(
			&p->error,
			(enum err_code)json_object_get_int(member(change, "error_code")),
			"%s", js_get_str(change, "error"));
}

static void take_number(struct json_object *report, const char *key, int64_t *out)
{
	struct json_object *value = member(report, key);

	if (value)
		*out = json_object_get_int64(value);
}

static void take_text(struct json_object *report, const char *key, char *out, size_t size)
{
	const char *text = js_get_str(report, key);

	if (text)
		snprintf(out, size, "%s", text);
}

/* What the script says instead of the truth. */
static void lie(struct json_object *report, struct engine_progress *p)
{
	const char *state = js_get_str(report, "state");
	int64_t percent = p->percent, attempts = p->cutover_attempts;

	take_number(report, "rows_copied", &p->rows_copied);
	take_number(report, "rows_total", &p->rows_total);
	take_number(report, "percent", &percent);
	take_number(report, "eta_seconds", &p->eta_seconds);
	take_number(report, "rows_per_second", &p->rows_per_second);
	take_number(report, "checksum_rows", &p->checksum_rows);
	take_number(report, "pending_keys", &p->pending_keys);
	take_number(report, "cutover_attempts", &attempts);
	p->percent = (int)percent;
	p->cutover_attempts = (int)attempts;
	take_text(report, "detail", p->detail, sizeof(p->detail));
	take_text(report, "throttle_reason", p->throttle_reason,
		  sizeof(p->throttle_reason));
	p->throttled = p->throttle_reason[0] != '\0';
	if (!state)
		return;
	p->state = engine_task_state_parse(state);
	if (p->state == ENGINE_TASK_UNKNOWN)
		snprintf(p->detail, sizeof(p->detail), "%s", state);
}

/* One entry of the answer, for a table or (table NULL) a namespace's VSchema. */
static void answer(const struct fake_call *c, struct json_object *change,
		   const char *table, struct engine_progress *p)
{
	truth(change, table ? table : "", p);
	for (size_t i = 0; i < json_object_array_length(c->rules); i++) {
		struct json_object *rule = json_object_array_get_idx(c->rules, i);
		const char *only = js_get_str(rule, "table");

		if (only && (!table || strcmp(only, table) != 0))
			continue;
		if (json_object_get_boolean(member(rule, "omit")))
			p->state = ENGINE_TASK_UNREPORTED;
		if (member(rule, "report"))
			lie(member(rule, "report"), p);
	}
}

/* The script ends a change as failed: {"fail": "mysql:1114"}, with a table only that. */
static void fail_if_told(const struct fake_call *c, struct json_object *change)
{
	for (size_t i = 0; i < json_object_array_length(c->rules); i++) {
		struct json_object *rule = json_object_array_get_idx(c->rules, i);
		const char *spec = js_get_str(rule, "fail");
		struct sb_err err;

		if (!spec || *fake_ended(change))
			continue;
		fake_error(spec, true, &err);
		fake_end_as(change, "failed");
		if (js_get_str(rule, "table"))
			js_str(change, "failed_table", js_get_str(rule, "table"));
		js_str(change, "error", err.msg);
		js_int(change, "error_code", (int64_t)err.code);
	}
}

static void answer_all(struct fake_call *c, struct json_object *change,
		       struct engine_progress *progress)
{
	const struct engine_work *w = c->run->work;
	struct json_object *states = json_object_new_array();

	for (size_t i = 0; i < ENGINE_WORK_ENTRIES(w); i++) {
		const char *table = i < w->n_tasks ? w->tasks[i].table : NULL;

		answer(c, change, table, &progress[i]);
		js_push(states, json_object_new_string(
					engine_task_state_name(progress[i].state)));
	}
	js_add(c->entry, "states", states);
}

static int not_found(const struct engine_run *run, struct sb_err *err)
{
	return sb_err(err, SB_ENOTFOUND, "There is no active schema change '%s'.",
		      run->reference ? run->reference : "");
}

static int fake_poll(TALLOC_CTX *ctx, struct engine_run *run,
		     struct engine_progress *progress, const char **resume_state,
		     struct sb_err *err)
{
	struct fake_call c = { .run = run, .name = "poll", .work = run->work };
	struct json_object *change;
	int rc;

	*resume_state = NULL;
	if (fake_call_begin(&c, err) < 0)
		return -1;
	if (fake_told(&c, "lose"))
		fake_change_forget(&c);
	change = fake_change(&c);
	if (!change)
		return fake_call_end(&c, not_found(run, err), err);
	fail_if_told(&c, change);
	fake_advance(&c, change);
	answer_all(&c, change, progress);
	*resume_state = state_text(ctx, &c, fake_phase(change));
	rc = fake_call_end(&c, 0, err);
	if (rc < 0)
		*resume_state = NULL;
	return rc;
}

/* ---- controls
 * -------------------------------------------------------------------------- */

typedef int (*control_effect)(struct fake_call *c, struct json_object *change,
			      struct sb_err *err);

static int control(struct engine_run *run, const char *name, control_effect effect,
		   struct sb_err *err)
{
	struct fake_call c = {
		.run = run, .name = name, .work = run->work, .mutating = true
	};
	struct json_object *change;

	if (fake_call_begin(&c, err) < 0)
		return -1;
	change = fake_change(&c);
	if (!change)
		return fake_call_end(&c, not_found(run, err), err);
	return fake_call_end(&c, effect(&c, change, err), err);
}

static bool over(struct json_object *change)
{
	const char *phase = fake_phase(change);

	return *fake_ended(change) || strcmp(phase, "completed") == 0 ||
	       strcmp(phase, "reverted") == 0;
}

/* "complete": it could not be halted any more; "late": it says that it has, and then
 * completes all the same. */
static int halt(struct fake_call *c, struct json_object *change, const char *how)
{
	if (over(change) && strcmp(fake_ended(change), "stopped") != 0)
		return 0;
	if (fake_told(c, "complete")) {
		fake_complete(c, change);
		return 0;
	}
	if (fake_told(c, "late"))
		fake_complete(c, change);
	fake_end_as(change, how);
	return 0;
}

static int stop_effect(struct fake_call *c, struct json_object *change,
		       struct sb_err *err)
{
	(void)err;
	return halt(c, change, "stopped");
}

static int cancel_effect(struct fake_call *c, struct json_object *change,
			 struct sb_err *err)
{
	(void)err;
	return halt(c, change, "cancelled");
}

static int conflict(struct json_object *change, const char *verb, struct sb_err *err)
{
	return sb_err(err, SB_ECONFLICT, "Cannot %s: the change is %s.", verb,
		      *fake_ended(change) ? fake_ended(change) : fake_phase(change));
}

static int cutover_effect(struct fake_call *c, struct json_object *change,
			  struct sb_err *err)
{
	(void)c;
	if (strcmp(fake_phase(change), "waiting_for_cutover") != 0)
		return conflict(change, "cut over", err);
	js_bool(change, "cut", true);
	return 0;
}

/* What is left of its phases becomes these. */
static void go_on_with(struct json_object *change, const char *const *phases, size_t n)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < n; i++)
		js_push(list, json_object_new_string(phases[i]));
	js_add(change, "phases", list);
	js_int(change, "at", 0);
}

static int revert_effect(struct fake_call *c, struct json_object *change,
			 struct sb_err *err)
{
	static const char *const phases[] = { "reverting", "reverted" };

	(void)c;
	if (strcmp(fake_phase(change), "revert_window") != 0)
		return conflict(change, "revert", err);
	go_on_with(change, phases, ARRAY_SIZE(phases));
	return 0;
}

static int skip_effect(struct fake_call *c, struct json_object *change,
		       struct sb_err *err)
{
	static const char *const phases[] = { "skipping_revert", "completed" };

	(void)c;
	if (strcmp(fake_phase(change), "revert_window") != 0)
		return conflict(change, "skip the revert", err);
	go_on_with(change, phases, ARRAY_SIZE(phases));
	return 0;
}

static int volume_effect(struct fake_call *c, struct json_object *change,
			 struct sb_err *err)
{
	(void)err;
	js_int(change, "volume", c->run->options.volume);
	js_int(c->entry, "volume", c->run->options.volume);
	return 0;
}

static int fake_stop(struct engine_run *run, struct sb_err *err)
{
	return control(run, "stop", stop_effect, err);
}

static int fake_cancel(struct engine_run *run, struct sb_err *err)
{
	return control(run, "cancel", cancel_effect, err);
}

static int fake_cutover(struct engine_run *run, struct sb_err *err)
{
	return control(run, "cutover", cutover_effect, err);
}

static int fake_revert(struct engine_run *run, struct sb_err *err)
{
	return control(run, "revert", revert_effect, err);
}

static int fake_skip_revert(struct engine_run *run, struct sb_err *err)
{
	return control(run, "skip_revert", skip_effect, err);
}

static int fake_set_volume(struct engine_run *run, int volume, struct sb_err *err)
{
	run->options.volume = volume;
	return control(run, "set_volume", volume_effect, err);
}

/* ---- the two engines ------------------------------------------------------------------
 */

#define FAKE_WORST_MS                                                            \
	{                                                                        \
		[ENGINE_EFFECT_START] = 10000, [ENGINE_EFFECT_STOP] = 10000,     \
		[ENGINE_EFFECT_CANCEL] = 10000, [ENGINE_EFFECT_CUTOVER] = 10000, \
		[ENGINE_EFFECT_VOLUME] = 10000, [ENGINE_EFFECT_REVERT] = 10000,  \
		[ENGINE_EFFECT_SKIP_REVERT] = 10000,                             \
	}

const struct engine fake_engine = {
	.name = "fake",
	.database_type = "fake",
	.caps = ENGINE_CAP_STOP | ENGINE_CAP_CANCEL | ENGINE_CAP_DEFER_CUTOVER |
		ENGINE_CAP_VOLUME | ENGINE_CAP_REVERT,
	.needs_resume_state = true,
	.first = ENGINE_TASK_PREPARING_BRANCH,
	.worst_ms = FAKE_WORST_MS,
	.ops = {
		.judge = fake_judge,
		.open = fake_open,
		.prepare = fake_prepare,
		.start = fake_start,
		.attach = fake_attach,
		.poll = fake_poll,
		.stop = fake_stop,
		.fence = fake_fence,
		.cutover = fake_cutover,
		.cancel = fake_cancel,
		.set_volume = fake_set_volume,
		.revert = fake_revert,
		.skip_revert = fake_skip_revert,
		.close = fake_close,
	},
};

const struct engine fake_resident_engine = {
	.name = "fake_resident",
	.database_type = "fake_resident",
	.caps = ENGINE_CAP_RESIDENT | ENGINE_CAP_STOP | ENGINE_CAP_CANCEL |
		ENGINE_CAP_DEFER_CUTOVER | ENGINE_CAP_VOLUME,
	.first = ENGINE_TASK_RUNNING,
	.worst_ms = FAKE_WORST_MS,
	.ops = {
		.judge = fake_judge,
		.open = resident_open,
		.start = fake_start,
		.poll = fake_poll,
		.stop = fake_stop,
		.fence = fake_fence,
		.cutover = fake_cutover,
		.cancel = fake_cancel,
		.set_volume = fake_set_volume,
		.close = fake_close,
	},
};

#else
/* A translation unit must declare something. */
extern int fake_engine_not_built;
#endif
