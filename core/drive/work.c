/*
 * work.c - the engine's side of a drive: open, confirm, start, observe, halt.
 *
 * Called by the loop in drive.c. Order matters here and is DESIGN.md 4's: the target's
 * locks first, then the re-plan, then one more look at stop and cancel, then a lease
 * transaction that marks the tasks as running, then the engine.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/drive/drive_internal.h"

#define BUSY_WAIT_MS  500
#define POLL_FIRST_MS 5 /* doubled at every look, up to the next */
#define POLL_MS	      200
/* Lease time that must be left when the engine is called. */
#define START_NEEDS_MS 20000

/* ---- opening ---------------------------------------------------------------------- */

static void fill_engine_task(struct drive *d, const struct task *t, struct engine_task *e)
{
	int algorithm;

	*e = (struct engine_task){
		.id = mem_strdup(d->run_ctx, t->task_id),
		.namespace = mem_strdup(d->run_ctx, t->namespace),
		.schema = config_schema(d->route, t->namespace),
		.table = mem_strdup(d->run_ctx, t->table),
		.ddl = mem_strdup(d->run_ctx, t->ddl),
		.action = mem_strdup(d->run_ctx, t->action),
		.announced_blocking = strcmp(t->execution_mode, "direct") == 0,
	};
	if (engine_algorithm_parse(t->algorithm, &algorithm) == 0)
		e->announced = (enum engine_algorithm)algorithm;
	e->announced_blocking = strcmp(t->execution_mode, "direct") == 0;
}

static int open_engine(struct drive *d, bool evict, struct sb_err *err)
{
	struct engine_request request = {
		.target = &d->route->db,
		.apply_id = d->lease.apply_id,
		.deployment = d->op.deployment,
		.lease_token = d->lease.token,
		.options = { .defer_cutover = drive_defers_cutover(d),
			     .defer_deploy = d->options.defer_deploy,
			     .enable_revert = d->options.enable_revert,
			     .skip_revert = d->options.skip_revert,
			     .volume = d->volume,
			     .quarantine_drops = d->quarantine_drops },
		.evict = evict,
	};
	struct engine_task *tasks;
	int algorithm = ENGINE_ALGORITHM_AUTO;
	size_t n = 0;

	if (d->options.algorithm &&
	    engine_algorithm_parse(d->options.algorithm, &algorithm) < 0)
		return sb_err(err, SB_EENGINE, "Unknown algorithm '%s'.",
			      d->options.algorithm);
	request.options.algorithm = (enum engine_algorithm)algorithm;
	d->run_ctx = mem_ctx(d->ctx, "engine run");
	request.operation =
		mem_printf(d->run_ctx, "%s/%s", d->lease.apply_id, d->op.deployment);
	tasks = mem_array(d->run_ctx, struct engine_task, d->n_tasks);
	for (size_t i = 0; i < d->n_tasks; i++) {
		if (!task_open(&d->tasks[i]))
			continue;
		fill_engine_task(d, &d->tasks[i], &tasks[n]);
		if (!tasks[n].schema) {
			drive_close_engine(d);
			return sb_err(
				err, SB_EENGINE,
				"Namespace '%s' is not configured for %s/%s any more.",
				d->tasks[i].namespace, d->database, d->environment);
		}
		n++;
	}
	request.tasks = tasks;
	request.n_tasks = n;
	if (d->engine->ops.open(d->run_ctx, &request, &d->run, err) < 0) {
		drive_close_engine(d);
		return -1;
	}
	heartbeat_guard(d->heartbeat, d->engine, d->run);
	return 0;
}

void drive_close_engine(struct drive *d)
{
	heartbeat_guard(d->heartbeat, d->engine, NULL);
	if (d->run)
		d->engine->ops.close(d->run);
	d->run = NULL;
	d->n_active = 0;
	talloc_free(d->run_ctx);
	d->run_ctx = NULL;
	d->work = (struct engine_work){ 0 };
	d->active = NULL;
}

/* ---- starting --------------------------------------------------------------------- */

/* The target has these already, whatever else is the matter. */
static int finish_done(struct drive *d, const struct replan *plan, struct sb_err *err)
{
	struct projection p = { .forced = -1, .message = "The target has it already" };
	struct lease_tx tx;
	enum state state;

	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	for (size_t i = 0; i < d->n_tasks; i++)
		if (task_open(&d->tasks[i]) && plan->needed[i] == 0 &&
		    task_move(&tx, &d->tasks[i], EVENT_FINISH, STATE_COMPLETED, NULL,
			      err) < 0) {
			lease_tx_rollback(&tx);
			return -1;
		}
	return settle_commit(d, &tx, &p, &state, err);
}

/* Settle what the target has already, then what has drifted: a task that was carried out
 * is completed, even where its sibling fails. 1 = something was settled. */
static int apply_replan(struct drive *d, const struct replan *plan, struct sb_err *err)
{
	const char *drift = NULL;
	bool done = false;

	for (size_t i = 0; i < d->n_tasks; i++) {
		if (!task_open(&d->tasks[i]))
			continue;
		done |= plan->needed[i] == 0;
		if (plan->needed[i] < 0 && !drift)
			drift = plan->reason[i];
	}
	if (done && finish_done(d, plan, err) < 0)
		return -1;
	if (drift && settle_failed(d, "engine_error", drift, err) < 0)
		return -1;
	return done || drift;
}

/* The tasks of the next engine call: all open ones of a group, else the first. */
static void choose(struct drive *d)
{
	struct engine_task *tasks = mem_array(d->run_ctx, struct engine_task, d->n_tasks);
	size_t n = 0;

	d->active = mem_array(d->run_ctx, size_t, d->n_tasks);
	for (size_t i = 0; i < d->n_tasks && (d->grouped || n == 0); i++) {
		if (!task_open(&d->tasks[i]))
			continue;
		d->active[n] = i;
		fill_engine_task(d, &d->tasks[i], &tasks[n]);
		n++;
	}
	d->n_active = n;
	d->work = (struct engine_work){ .tasks = tasks,
					.n_tasks = n,
					.resume_state = mem_strdup(d->run_ctx,
								   d->op.engine_state) };
}

/* In one transaction, with the lease proved: the chosen tasks are running. */
static int mark_running(struct drive *d, struct sb_err *err)
{
	struct projection p = { .forced = -1 };
	struct lease_tx tx;
	enum state state;
	int64_t left;

	if (lease_remaining_ms(d->db, &d->lease, &left, err) < 0)
		return -1;
	if (left < START_NEEDS_MS && lease_heartbeat(d->db, &d->lease, err) < 0)
		return -1;
	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	for (size_t i = 0; i < d->n_active; i++)
		if (task_move(&tx, &d->tasks[d->active[i]], EVENT_START, STATE_RUNNING,
			      NULL, err) < 0) {
			lease_tx_rollback(&tx);
			return -1;
		}
	return settle_commit(d, &tx, &p, &state, err);
}

static int save_engine_state(struct drive *d, const char *engine_state,
			     struct sb_err *err)
{
	struct lease_tx tx;

	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	if (operation_save_engine_state(&tx, engine_state, err) < 0) {
		lease_tx_rollback(&tx);
		return -1;
	}
	if (lease_tx_commit(&tx, err) < 0)
		return -1;
	d->op.engine_state = mem_strdup(d->loaded, engine_state);
	return 0;
}

static enum step start_chosen(struct drive *d)
{
	const char *engine_state;
	struct sb_err err, why;
	enum step step;

	choose(d);
	if (mark_running(d, &err) < 0) {
		d->n_active = 0;
		return drive_step_of(d, &err, "marking tasks as running");
	}
	FAULT("drive.start.before");
	if (d->engine->ops.start(d->run_ctx, d->run, &d->work, &engine_state, &why) < 0) {
		size_t first = d->active[0];

		log_err(LOG_WARN, "drive.refused", &why, "the engine did not start");
		drive_close_engine(d);
		if (err_class(why.code) == ERR_UNCERTAIN)
			return STEP_UNCERTAIN;
		if (drive_start_failed(d, &why, &step))
			return step;
		if (settle_task_failure(d, &d->tasks[first], &why, &err) < 0)
			return drive_step_of(d, &err, "recording a refusal");
		return STEP_SETTLED;
	}
	FAULT("drive.start.after");
	if (engine_state && save_engine_state(d, engine_state, &err) < 0)
		return drive_step_of(d, &err, "saving what the engine gave");
	for (size_t i = 0; i < d->n_active; i++)
		log_info("drive.started", "%s: %s", d->work.tasks[i].table,
			 d->work.tasks[i].ddl);
	d->poll_ms = POLL_FIRST_MS; /* an instant change is over by then */
	d->wait_ms = d->poll_ms;
	return STEP_CONTINUE;
}

/* The target could not be opened or read: retry later, or fail. */
enum step drive_target_failed(struct drive *d, const struct sb_err *why)
{
	struct sb_err err;
	enum step step;

	drive_close_engine(d);
	if (drive_start_failed(d, why, &step))
		return step;
	switch (err_class(why->code)) {
	case ERR_RETRYABLE:
		if (settle_retry(d, why, &err) < 0)
			return drive_step_of(d, &err, "recording a failure");
		return STEP_SETTLED;
	case ERR_PERMANENT:
		if (settle_failed(d, err_wire_code(why->code), why->msg, &err) < 0)
			return drive_step_of(d, &err, "recording a failure");
		return STEP_SETTLED;
	case ERR_UNCERTAIN:
	case ERR_LEASE:
		break;
	}
	return drive_step_of(d, why, "looking at the target");
}

enum step drive_begin(struct drive *d)
{
	TALLOC_CTX *tmp;
	struct replan plan;
	struct sb_err err;
	enum step step;
	int rc;

	d->wait_ms = 0;
	if (!d->run && open_engine(d, false, &err) < 0) {
		if (err.code != SB_EBUSY)
			return drive_target_failed(d, &err);
		/* Our dead predecessor's statement, as a rule: it will end. */
		if (!d->busy_logged)
			log_err(LOG_INFO, "drive.busy", &err,
				"waiting for the target's lock");
		d->busy_logged = true;
		d->wait_ms = BUSY_WAIT_MS;
		return STEP_CONTINUE;
	}
	FAULT("drive.opened");
	/* The locks are ours: what a dead driver left running has ended. */
	if (drive_left_running(d) && settle_all(d, EVENT_RETRY, NULL, &err) < 0)
		return drive_step_of(d, &err, "requeueing tasks");
	tmp = mem_ctx(d->ctx, "replan");
	rc = drive_replan(tmp, d, &plan, &err);
	if (rc < 0) {
		step = err.code == SB_ESTORAGE
			       ? drive_step_of(d, &err, "reading the plan")
			       : drive_target_failed(d, &err);
		goto out;
	}
	rc = apply_replan(d, &plan, &err);
	if (rc < 0) {
		step = drive_step_of(d, &err, "recording what is done");
		goto out;
	}
	if (rc > 0 && state_is_settled(d->op.state)) {
		drive_close_engine(d);
		step = STEP_SETTLED;
		goto out;
	}
	/* Stop and cancel once more: from here on the target is touched. */
	step = drive_obey(d);
	if (step == STEP_CONTINUE)
		step = start_chosen(d);
out:
	talloc_free(tmp);
	return step;
}

/* ---- observing -------------------------------------------------------------------- */

/* An engine's word as ours; what says nothing definite is running: visible, and in the
 * way of others. */
static enum state state_of(enum engine_task_state s)
{
	switch (s) {
	case ENGINE_TASK_PENDING:
	case ENGINE_TASK_UNKNOWN:
	case ENGINE_TASK_UNREPORTED:
		return STATE_RUNNING;
#define SAME(name)               \
	case ENGINE_TASK_##name: \
		return STATE_##name;
		SAME(PREPARING_BRANCH)
		SAME(APPLYING_BRANCH_CHANGES)
		SAME(VALIDATING_BRANCH)
		SAME(CREATING_DEPLOY_REQUEST)
		SAME(VALIDATING_DEPLOY_REQUEST)
		SAME(WAITING_FOR_DEPLOY)
		SAME(RUNNING)
		SAME(CATCHING_UP)
		SAME(CHECKSUMMING)
		SAME(POST_CHECKSUM)
		SAME(WAITING_FOR_CUTOVER)
		SAME(CUTTING_OVER)
		SAME(REVERT_WINDOW)
		SAME(SKIPPING_REVERT)
		SAME(REVERTING)
		SAME(REVERTED)
		SAME(COMPLETED)
		SAME(FAILED)
		SAME(STOPPED)
		SAME(CANCELLED)
#undef SAME
	}
	BUG("no such engine state");
}

/* Copy the counters; true when anything a user sees has changed. */
static bool take_progress(struct drive *d, struct task *t,
			  const struct engine_progress *p)
{
	bool same = t->rows_copied == p->rows_copied && t->rows_total == p->rows_total &&
		    t->percent == p->percent && t->eta_seconds == p->eta_seconds &&
		    t->is_instant == p->is_instant && t->throttled == p->throttled &&
		    t->cutover_attempts == p->cutover_attempts &&
		    strcmp(t->detail, p->detail) == 0 &&
		    strcmp(t->throttle_reason, p->throttle_reason) == 0;

	if (same)
		return false;
	t->rows_copied = p->rows_copied;
	t->rows_total = p->rows_total;
	t->percent = p->percent;
	t->eta_seconds = p->eta_seconds;
	t->is_instant = p->is_instant;
	t->throttled = p->throttled;
	t->cutover_attempts = p->cutover_attempts;
	t->detail = mem_strdup(d->loaded, p->detail);
	t->throttle_reason = mem_strdup(d->loaded, p->throttle_reason);
	return true;
}

/* Write counters and moves of one active task; *changed says whether anything was. */
static int write_task(struct drive *d, struct lease_tx *tx, struct task *t,
		      const struct engine_progress *p, bool *changed, struct sb_err *err)
{
	enum state to = state_of(p->state);
	bool moved = false;

	if (take_progress(d, t, p)) {
		if (task_save_progress(tx, t, err) < 0)
			return -1;
		*changed = true;
	}
	if (!task_open(t))
		return 0;
	if (to == STATE_COMPLETED) {
		moved = true;
		if (task_move(tx, t, EVENT_FINISH, to, NULL, err) < 0)
			return -1;
	} else if (state_may_move(t->state, EVENT_PROGRESS, to)) {
		moved = true;
		if (task_move(tx, t, EVENT_PROGRESS, to, NULL, err) < 0)
			return -1;
	}
	*changed |= moved;
	return 0;
}

/*
 * How far the operation is, as one number: tasks that are settled, then the stage of the
 * slowest that is not, then rows. A driver that repeats what another did before it died
 * comes to no higher one, so that a row which kills its drivers is noticed.
 */
static uint64_t progress_mark(const struct drive *d)
{
	const uint64_t most_rows = (1ULL << 36) - 1;
	uint64_t settled = 0, rows = 0;
	int stage = -1;

	for (size_t i = 0; i < d->n_tasks; i++) {
		const struct task *t = &d->tasks[i];
		int rank = state_rank(t->state) > 0 ? state_rank(t->state) : 0;

		if (!task_open(t)) {
			settled++;
			continue;
		}
		if (stage < 0 || rank < stage)
			stage = rank;
		rows += (uint64_t)(t->rows_copied > 0 ? t->rows_copied
				   : t->percent > 0   ? t->percent
						      : 0);
	}
	return settled << 40 | (uint64_t)(stage > 0 ? stage : 0) << 36 |
	       (rows < most_rows ? rows : most_rows);
}

/* What poll reported, in one transaction; nothing is written when nothing changed. */
static int write_progress(struct drive *d, const struct engine_progress *progress,
			  const char *engine_state, struct sb_err *err)
{
	struct projection p = { .forced = -1 };
	struct lease_tx tx;
	enum state state;
	bool changed = false;

	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	for (size_t i = 0; i < d->n_active; i++)
		if (write_task(d, &tx, &d->tasks[d->active[i]], &progress[i], &changed,
			       err) < 0)
			goto rollback;
	if (engine_state &&
	    (!d->op.engine_state || strcmp(engine_state, d->op.engine_state) != 0)) {
		if (operation_save_engine_state(&tx, engine_state, err) < 0)
			goto rollback;
		d->op.engine_state = mem_strdup(d->loaded, engine_state);
		changed = true;
	}
	if (!changed) {
		lease_tx_rollback(&tx);
		return 0;
	}
	if (operation_note_progress(&tx, progress_mark(d), err) < 0)
		goto rollback;
	return settle_commit(d, &tx, &p, &state, err);
rollback:
	lease_tx_rollback(&tx);
	return -1;
}

static int poll_and_write(struct drive *d, struct engine_progress **progress,
			  struct sb_err *err)
{
	const char *engine_state = NULL;

	*progress = mem_array(d->run_ctx, struct engine_progress, d->n_active);
	if (d->engine->ops.poll(d->run_ctx, d->run, *progress, &engine_state, err) < 0)
		return -1;
	return write_progress(d, *progress, engine_state, err);
}

/* A task that the engine reports as failed. */
static enum step failed(struct drive *d, struct task *t, const struct sb_err *reported)
{
	const struct sb_err why = *reported; /* lies in what closing the engine frees */
	struct sb_err err;

	log_err(LOG_WARN, "drive.failed", &why, "%s.%s failed", t->namespace, t->table);
	drive_close_engine(d);
	if (err_class(why.code) == ERR_UNCERTAIN)
		return STEP_UNCERTAIN;
	if (settle_task_failure(d, t, &why, &err) < 0)
		return drive_step_of(d, &err, "recording a failure");
	return STEP_SETTLED;
}

enum step drive_observe(struct drive *d)
{
	struct engine_progress *progress;
	struct sb_err err;
	bool open = false;

	d->poll_ms = d->poll_ms * 2 < POLL_MS ? d->poll_ms * 2 : POLL_MS;
	d->wait_ms = d->poll_ms;
	if (poll_and_write(d, &progress, &err) < 0)
		return drive_step_of(d, &err, "observing the engine");
	for (size_t i = 0; i < d->n_active; i++) {
		struct task *t = &d->tasks[d->active[i]];
		const struct sb_err *why = &progress[i].error;

		if (progress[i].state == ENGINE_TASK_FAILED)
			return failed(d, t, why);
		if (progress[i].state == ENGINE_TASK_STOPPED) {
			/* Nobody of ours stopped it: somebody killed the statement. */
			sb_err(&err, SB_ERETRY,
			       "The statement on %s.%s was killed on the server.",
			       t->namespace, t->table);
			return failed(d, t, &err);
		}
		open |= task_open(t);
	}
	talloc_free(progress);
	if (open)
		return STEP_CONTINUE;
	d->wait_ms = 0;
	d->n_active = 0;
	if (state_is_settled(d->op.state)) {
		drive_close_engine(d);
		return STEP_SETTLED;
	}
	return STEP_CONTINUE; /* the next task */
}

bool drive_left_running(const struct drive *d)
{
	for (size_t i = 0; i < d->n_tasks; i++)
		if (state_class(d->tasks[i].state) == CLASS_ACTIVE)
			return true;
	return false;
}

int drive_quiesce(struct drive *d, struct sb_err *err)
{
	struct replan plan;
	int rc = open_engine(d, true, err);

	if (rc == 0)
		rc = drive_replan(d->run_ctx, d, &plan, err);
	/* Only what is done is settled here; drift is the next start's matter. */
	for (size_t i = 0; rc == 0 && i < d->n_tasks; i++)
		if (plan.needed[i] < 0)
			plan.needed[i] = 1;
	if (rc == 0)
		rc = apply_replan(d, &plan, err) < 0 ? -1 : 0;
	drive_close_engine(d);
	return rc;
}

int drive_halt(struct drive *d, bool cancel, struct sb_err *err)
{
	struct engine_progress *progress;

	if (!d->run && drive_left_running(d))
		return drive_quiesce(d, err);
	if (!d->run || d->n_active == 0)
		return 0;
	if ((cancel && d->engine->ops.cancel ? d->engine->ops.cancel(d->run, err)
					     : d->engine->ops.stop(d->run, err)) < 0)
		return -1;
	FAULT("drive.halt.stopped");
	return poll_and_write(d, &progress, err);
}
