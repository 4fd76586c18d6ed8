/*
 * observe.c - how far the engine is: poll, write, and what a poll means for the
 * operation.
 *
 * Called by the loop when something was started or attached. What a poll reports is
 * written in one lease transaction; of an external engine the claim is given back in the
 * same one (parking), because there the work goes on without us.
 *
 * Must never: move a task backwards, take silence or a missing change for completion, or
 * overwrite a number with "unknown".
 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/drive/drive_internal.h"

#define POLL_FIRST_MS	 5 /* doubled at every look, up to the next */
#define POLL_MS		 200
#define GAUGES_MS	 2000 /* between two writes of nothing but rates */
#define SOON_LOOKS	 6    /* at an external engine before its operation is parked */
#define MOST_POLL_ERRORS 10   /* in a row; SEMANTICS D.7 */

void drive_look_soon(struct drive *d)
{
	d->poll_ms = POLL_FIRST_MS; /* an instant change is over by then */
	d->wait_ms = d->poll_ms;
	d->looks_left = SOON_LOOKS;
}

/* ---- one report -------------------------------------------------------------------- */

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

/* What the report leaves out stays as it was. */
static struct engine_progress filled(const struct task *t,
				     const struct engine_progress *reported)
{
	struct engine_progress p = *reported;

	if (p.rows_copied < 0)
		p.rows_copied = t->rows_copied;
	if (p.rows_total < 0)
		p.rows_total = t->rows_total;
	if (p.percent < 0)
		p.percent = (int)t->percent;
	/* What was compared stays so, unless it is copied again. */
	if (p.checksum_rows < 0 &&
	    (state_rank(t->state) >= state_rank(STATE_CHECKSUMMING) ||
	     state_rank(state_of(p.state)) >= state_rank(STATE_CHECKSUMMING)))
		p.checksum_rows = t->checksum_rows;
	if (p.state == ENGINE_TASK_UNKNOWN)
		snprintf(p.detail, sizeof(p.detail),
			 "The engine says '%.200s', which is not known here.",
			 reported->detail);
	return p;
}

/* What a person waits for. */
static bool counters_same(const struct task *t, const struct engine_progress *p)
{
	return t->rows_copied == p->rows_copied && t->rows_total == p->rows_total &&
	       t->percent == p->percent && t->checksum_rows == p->checksum_rows &&
	       t->is_instant == p->is_instant && t->throttled == p->throttled &&
	       t->cutover_attempts == p->cutover_attempts &&
	       strcmp(t->detail, p->detail) == 0;
}

/* What is different at every look, and for nobody worth a write at every look. */
static bool gauges_same(const struct task *t, const struct engine_progress *p)
{
	return t->eta_seconds == p->eta_seconds &&
	       t->rows_per_second == p->rows_per_second &&
	       t->pending_keys == p->pending_keys &&
	       strcmp(t->throttle_reason, p->throttle_reason) == 0;
}

static bool worth_saving(const struct task_watch *w, const struct task *t,
			 const struct engine_progress *p)
{
	return !counters_same(t, p) ||
	       (!gauges_same(t, p) && clock_ms() - w->saved_ms >= GAUGES_MS);
}

/* Nothing may be left behind at every look: a copy takes days. */
static void set_text(struct drive *d, char **at, const char *text)
{
	if (strcmp(*at, text) == 0)
		return;
	talloc_free(*at);
	*at = mem_strdup(d->loaded, text);
}

static void take_progress(struct drive *d, struct task *t,
			  const struct engine_progress *p)
{
	t->rows_copied = p->rows_copied;
	t->rows_total = p->rows_total;
	t->percent = p->percent;
	t->eta_seconds = p->eta_seconds;
	t->rows_per_second = p->rows_per_second;
	t->checksum_rows = p->checksum_rows;
	t->pending_keys = p->pending_keys;
	t->is_instant = p->is_instant;
	t->throttled = p->throttled;
	t->cutover_attempts = p->cutover_attempts;
	set_text(d, &t->detail, p->detail);
	set_text(d, &t->throttle_reason, p->throttle_reason);
}

/* The report's numbers, and a line about them when one is due. */
static int save_progress(struct drive *d, struct lease_tx *tx, struct task *t,
			 const struct engine_progress *p, bool *changed,
			 struct sb_err *err)
{
	struct task_watch *w = &d->watch[t - d->tasks];
	bool due = timeline_due(w, t, p);

	if (!due && !worth_saving(w, t, p))
		return 0;
	take_progress(d, t, p);
	w->saved_ms = clock_ms();
	*changed = true;
	if (task_save_progress(tx, t, err) < 0)
		return -1;
	return due ? timeline_note(tx, w, t, state_of(p->state), err) : 0;
}

static int move(struct lease_tx *tx, struct task *t, enum state_event event,
		enum state to, bool *changed, struct sb_err *err)
{
	*changed = true;
	return task_move(tx, t, event, to, NULL, err);
}

/* Where the report leads, forwards only. */
static int move_forward(struct lease_tx *tx, struct task *t, enum state to, bool *changed,
			struct sb_err *err)
{
	if (to == STATE_COMPLETED)
		/* model: FINISH */
		return move(tx, t, EVENT_FINISH, to, changed, err);
	if (to == STATE_REVERTED) {
		if (t->state != STATE_REVERTING &&
		    move(tx, t, EVENT_PROGRESS, STATE_REVERTING, changed, err) < 0)
			return -1;
		return move(tx, t, EVENT_REVERT, to, changed, err);
	}
	if (state_may_move(t->state, EVENT_PROGRESS, to))
		/* model: GATE */
		return move(tx, t, EVENT_PROGRESS, to, changed, err);
	return 0;
}

/* Write counters and moves of one active task; *changed says whether anything was. */
static int write_task(struct drive *d, struct lease_tx *tx, struct task *t,
		      const struct engine_progress *reported, bool *changed,
		      struct sb_err *err)
{
	struct engine_progress p;

	if (reported->state == ENGINE_TASK_UNREPORTED)
		return 0;
	p = filled(t, reported);
	if (p.state == ENGINE_TASK_UNKNOWN) {
		log_warn("engine.unrecognized_status", "%s.%s: %s", t->namespace,
			 t->table, p.detail);
		if (operation_count_unrecognized(tx, err) < 0)
			return -1;
		*changed = true;
	}
	if (save_progress(d, tx, t, &p, changed, err) < 0)
		return -1;
	return task_open(t) ? move_forward(tx, t, state_of(p.state), changed, err) : 0;
}

/* ---- one poll ------------------------------------------------------------------------
 */

static bool work_is_over(const struct drive *d)
{
	for (size_t i = 0; i < d->n_active; i++)
		if (d->active[i] != NO_TASK && task_open(&d->tasks[d->active[i]]))
			return false;
	return true;
}

/* The engine's state after this poll: as reported; none when its work is over and other
 * tasks are left, which it knows nothing about. */
static int write_engine_state(struct drive *d, struct lease_tx *tx, const char *reported,
			      bool *changed, struct sb_err *err)
{
	const char *new = work_is_over(d) ? NULL : reported, *old = d->op.engine_state;
	bool forget = work_is_over(d) && old;

	if (!forget && (!new || (old && strcmp(new, old) == 0)))
		return 0;
	if (operation_save_engine_state(tx, new, new != NULL, err) < 0)
		return -1;
	d->op.engine_state = mem_strdup(d->loaded, new);
	d->op.engine_accepted = new != NULL;
	*changed = true;
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
		if (d->active[i] != NO_TASK &&
		    write_task(d, &tx, &d->tasks[d->active[i]], &progress[i], &changed,
			       err) < 0)
			goto rollback;
	if (write_engine_state(d, &tx, engine_state, &changed, err) < 0)
		goto rollback;
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

/* True when the reports change nothing that is stored. */
static bool nothing_new(struct drive *d, const struct engine_progress *progress,
			const char *engine_state)
{
	if (engine_state &&
	    (!d->op.engine_state || strcmp(engine_state, d->op.engine_state) != 0))
		return false;
	for (size_t i = 0; i < d->n_active; i++) {
		const struct engine_progress *reported = &progress[i];
		struct engine_progress p;
		const struct task *t;

		if (d->active[i] == NO_TASK || reported->state == ENGINE_TASK_UNREPORTED)
			continue;
		t = &d->tasks[d->active[i]];
		p = filled(t, reported);
		if (p.state == ENGINE_TASK_UNKNOWN || state_of(p.state) != t->state ||
		    worth_saving(&d->watch[d->active[i]], t, &p))
			return false;
	}
	return true;
}

static int poll_engine(struct drive *d, struct engine_progress **progress,
		       const char **engine_state, struct sb_err *err)
{
	talloc_free(d->poll_ctx); /* of the last look */
	d->poll_ctx = mem_ctx(d->run_ctx, "poll");
	*engine_state = NULL;
	*progress = mem_array(d->poll_ctx, struct engine_progress, d->n_active);
	return d->engine->ops.poll(d->poll_ctx, d->run, *progress, engine_state, err);
}

int drive_poll_once(struct drive *d, bool *unknown, struct sb_err *err)
{
	struct engine_progress *progress;
	const char *engine_state;

	*unknown = false;
	if (poll_engine(d, &progress, &engine_state, err) < 0)
		return -1;
	for (size_t i = 0; i < d->n_active; i++)
		*unknown |= progress[i].state == ENGINE_TASK_FAILED &&
			    err_class(progress[i].error.code) == ERR_UNCERTAIN;
	return write_progress(d, progress, engine_state, err);
}

/* ---- a poll that failed --------------------------------------------------------------
 */

static enum step park(struct drive *d)
{
	struct sb_err err;

	if (d->claim->loaded && d->op.poll_errors == d->claim->loaded->poll_errors) {
		d->looked = true;
		return STEP_PARK;
	}
	FAULT("drive.park.before");
	if (operation_park(d->db, &d->lease, PARK_SECONDS, d->op.poll_errors, &err) < 0)
		return drive_step_of(d, &err, "parking");
	FAULT("drive.parked");
	return STEP_PARK;
}

/* Not an answer: ask again; ten times in a row, then the operation is tried again later.
 * The work is left alone. */
static enum step no_answer(struct drive *d, const struct sb_err *why)
{
	struct sb_err later = *why, err;

	log_err(LOG_WARN, "drive.poll_failed", why, "%d in a row", d->op.poll_errors + 1);
	if (++d->op.poll_errors < MOST_POLL_ERRORS) {
		d->wait_ms = POLL_MS;
		return drive_external(d) ? park(d) : STEP_CONTINUE;
	}
	later.code = SB_ERETRY; /* nothing was changed by asking */
	drive_close_engine(d);
	if (settle_retry(d, &later, &err) < 0)
		return drive_step_of(d, &err, "recording a failure");
	return STEP_SETTLED;
}

enum step drive_poll_failed(struct drive *d, const struct sb_err *why)
{
	struct sb_err err;

	switch (err_class(why->code)) {
	case ERR_RETRYABLE:
	case ERR_UNCERTAIN:
		return no_answer(d, why);
	case ERR_LEASE:
		return drive_step_of(d, why, "observing the engine");
	case ERR_PERMANENT:
		break;
	}
	if (why->code == SB_ENOTFOUND)
		return drive_work_gone(d);
	log_err(LOG_ERROR, "drive.poll_refused", why, "the engine refuses to answer");
	drive_close_engine(d);
	if (settle_failed(d, err_wire_code(why->code), why->msg, &err) < 0)
		return drive_step_of(d, &err, "recording a failure");
	return STEP_SETTLED;
}

/* ---- what the engine reports as ended
 * -------------------------------------------------- */

/* A task that the engine reports as failed. ended: its work is over there, and the next
 * attempt begins anew. */
static enum step failed(struct drive *d, struct task *t, const struct sb_err *reported,
			bool ended)
{
	const struct sb_err why = *reported; /* lies in what closing the engine frees */
	struct sb_err err;

	log_err(LOG_WARN, "drive.failed", &why, "%s.%s failed", t->namespace, t->table);
	drive_close_engine(d);
	if (err_class(why.code) == ERR_UNCERTAIN)
		return drive_doubt(d, why.msg);
	if (settle_task_failure(d, t, &why, ended, &err) < 0)
		return drive_step_of(d, &err, "recording a failure");
	return STEP_SETTLED;
}

static enum step cancelled_there(struct drive *d)
{
	struct sb_err err;

	drive_close_engine(d);
	if (settle_all(d, EVENT_CANCEL, "The change was cancelled at the engine", &err) <
	    0)
		return drive_step_of(d, &err, "recording a cancellation");
	return STEP_SETTLED;
}

static bool any_ended(const struct drive *d, const struct engine_progress *progress)
{
	for (size_t i = 0; i < d->n_active; i++)
		if (d->active[i] != NO_TASK &&
		    (progress[i].state == ENGINE_TASK_FAILED ||
		     progress[i].state == ENGINE_TASK_STOPPED ||
		     progress[i].state == ENGINE_TASK_CANCELLED))
			return true;
	return false;
}

/* FAILED, STOPPED or CANCELLED, which nobody of ours has asked for; CONTINUE otherwise.
 */
static enum step ended_by_itself(struct drive *d, const struct engine_progress *progress)
{
	struct sb_err err;
	enum step step;

	for (size_t i = 0; i < d->n_active; i++) {
		const struct engine_progress *p = &progress[i];
		struct task *t;

		if (d->active[i] == NO_TASK)
			continue;
		t = &d->tasks[d->active[i]];
		if (p->state == ENGINE_TASK_FAILED)
			return failed(d, t, &p->error, true);
		if (p->state == ENGINE_TASK_CANCELLED)
			return cancelled_there(d);
		if (p->state != ENGINE_TASK_STOPPED)
			continue;
		if (drive_external(d) && drive_start_silent(d, &step))
			return step == STEP_CONTINUE ? park(d) : step;
		sb_err(&err, SB_ERETRY,
		       drive_external(d)
			       ? "The change of %s.%s was stopped at the engine."
			       : "The statement on %s.%s was killed on the server.",
		       t->namespace, t->table);
		return failed(d, t, &err, false);
	}
	return STEP_CONTINUE;
}

/* ---- completion
 * -------------------------------------------------------------------------- */

static bool claims_completion(const struct drive *d,
			      const struct engine_progress *progress)
{
	for (size_t i = 0; i < d->n_active; i++)
		if (d->active[i] != NO_TASK && task_open(&d->tasks[d->active[i]]) &&
		    progress[i].state == ENGINE_TASK_COMPLETED)
			return true;
	return false;
}

/*
 * An external engine says that something is completed: the target tells whether it is. A
 * completion without its effect is a failure that must be seen. CONTINUE when it is true.
 */
static enum step verify_completion(struct drive *d,
				   const struct engine_progress *progress)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "verify");
	enum step step = STEP_CONTINUE;
	struct replan now;
	struct sb_err err;
	char *reason;

	if (drive_replan(tmp, d, &now, &err) < 0) {
		step = err.code == SB_ESTORAGE
			       ? drive_step_of(d, &err, "reading the plan")
			       : no_answer(d, &err);
		goto out;
	}
	for (size_t i = 0; i < d->n_active && step == STEP_CONTINUE; i++) {
		size_t k = d->active[i];

		if (k == NO_TASK || progress[i].state != ENGINE_TASK_COMPLETED ||
		    task_is_vschema(&d->tasks[k]) || now.needed[k] <= 0)
			continue;
		reason =
			mem_printf(tmp,
				   "The engine reports the change of %s.%s as completed, "
				   "and the target does not have it. Plan again.",
				   d->tasks[k].namespace, d->tasks[k].table);
		log_error("drive.no_effect", "%s", reason);
		drive_close_engine(d);
		step = settle_failed(d, "engine_error", reason, &err) < 0
			       ? drive_step_of(d, &err, "recording a failure")
			       : STEP_SETTLED;
	}
out:
	talloc_free(tmp);
	return step;
}

/* ---- the step
 * -------------------------------------------------------------------------- */

/* Write what was reported; where the operation has to wait for an external engine, the
 * claim goes back in the same transaction. */
static enum step write_and_wait(struct drive *d, const struct engine_progress *progress,
				const char *engine_state)
{
	struct sb_err err;

	d->park_now = drive_external(d) && d->looks_left <= 0 && !any_ended(d, progress);
	if (d->park_now && nothing_new(d, progress, engine_state))
		return park(d);
	d->parked = false;
	if (write_progress(d, progress, engine_state, &err) < 0)
		return drive_step_of(d, &err, "writing progress");
	d->park_now = false;
	if (d->parked)
		return STEP_PARK;
	return STEP_CONTINUE;
}

enum step drive_observe(struct drive *d)
{
	struct engine_progress *progress;
	const char *engine_state;
	struct sb_err err;
	enum step step;

	d->poll_ms = d->poll_ms * 2 < POLL_MS ? d->poll_ms * 2 : POLL_MS;
	d->wait_ms = d->poll_ms;
	d->looks_left--;
	/* model: OBSERVE */
	if (poll_engine(d, &progress, &engine_state, &err) < 0)
		return drive_poll_failed(d, &err);
	d->op.poll_errors = 0;
	d->seen = true;
	d->working = !any_ended(d, progress);
	if (drive_external(d) && claims_completion(d, progress)) {
		step = verify_completion(d, progress);
		if (step != STEP_CONTINUE)
			return step;
	}
	step = write_and_wait(d, progress, engine_state);
	if (step != STEP_CONTINUE)
		return step;
	step = ended_by_itself(d, progress);
	if (step != STEP_CONTINUE)
		return step;
	talloc_free(progress);
	if (!work_is_over(d))
		return drive_external(d) && d->looks_left <= 0 ? park(d) : STEP_CONTINUE;
	d->wait_ms = 0;
	d->n_active = 0;
	if (state_is_settled(d->op.state)) {
		drive_close_engine(d);
		return STEP_SETTLED;
	}
	return STEP_CONTINUE; /* the next task */
}
