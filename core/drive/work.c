/*
 * work.c - the engine's side of a drive: begin, start, take up again, halt.
 *
 * Called by the loop in drive.c. Order matters here and is DESIGN.md 4's: the target's
 * locks first, then the re-plan, then one more look at stop and cancel, then a lease
 * transaction that marks the tasks as running, then the engine, then what it returned is
 * stored, and only then it is believed (observe.c).
 *
 * Must never: start what may have been started already, or call a start failed whose
 * answer was lost.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/drive/drive_internal.h"

#define BUSY_WAIT_MS 500

static const char gone[] =
	"The engine has no active schema change for this apply any more, and never reported "
	"its end. Look at the target, then plan again.";

/* ---- what is left ----------------------------------------------------------------- */

/* The target has these already, whatever else is the matter. */
/* Without a group, what an engine gave belongs to one task in hand, the first open one.
 */
static bool ends_the_work(const struct drive *d, const struct replan *plan)
{
	for (size_t i = 0; i < d->n_tasks; i++)
		if (task_open(&d->tasks[i]))
			return plan->needed[i] == 0 && !drive_grouped(d);
	return false;
}

static int finish_done(struct drive *d, const struct replan *plan, struct sb_err *err)
{
	struct projection p = { .forced = -1, .message = "The target has it already" };
	bool forget = d->op.engine_state && ends_the_work(d, plan);
	struct lease_tx tx;
	enum state state;
	int rc = 0;

	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < d->n_tasks; i++)
		if (task_open(&d->tasks[i]) && plan->needed[i] == 0)
			rc = task_move(&tx, &d->tasks[i], EVENT_FINISH, STATE_COMPLETED,
				       NULL, err);
	if (rc == 0 && forget)
		rc = operation_save_engine_state(&tx, NULL, false, err);
	if (rc < 0) {
		lease_tx_rollback(&tx);
		return -1;
	}
	if (forget) {
		d->op.engine_state = NULL;
		d->op.engine_accepted = false;
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

/* The target could not be opened or read: retry later, or fail. */
enum step drive_target_failed(struct drive *d, const struct sb_err *why)
{
	struct sb_err err;
	enum step step;

	drive_close_engine(d);
	/* What may be running cannot be said to have stopped again. */
	if (!drive_left_running(d) && drive_start_failed(d, why, &step))
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

/* What is still to be done, now: CONTINUE when something is and may be begun. */
static enum step confirm(struct drive *d)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "replan");
	struct replan plan;
	struct sb_err err;
	enum step step = STEP_CONTINUE;
	int rc = drive_replan(tmp, d, &plan, &err);

	if (rc < 0) {
		step = err.code == SB_ESTORAGE
			       ? drive_step_of(d, &err, "reading the plan")
			       : drive_target_failed(d, &err);
		goto out;
	}
	rc = apply_replan(d, &plan, &err);
	if (rc < 0) {
		step = drive_step_of(d, &err, "recording what is done");
	} else if (rc > 0 && state_is_settled(d->op.state)) {
		drive_close_engine(d);
		step = STEP_SETTLED;
	}
out:
	talloc_free(tmp);
	return step;
}

/* ---- starting --------------------------------------------------------------------- */

/* In one transaction: the chosen tasks are running, and what will find the work again. */
static int mark_running(struct drive *d, const char *intent, struct sb_err *err)
{
	enum state_event event = d->engine->first == ENGINE_TASK_PREPARING_BRANCH
					 ? EVENT_SETUP
					 : EVENT_START;
	enum state first = (enum state)state_next(STATE_PENDING, event);
	struct projection p = { .forced = -1 };
	struct lease_tx tx;
	enum state state;

	/* model: MARK */
	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	for (size_t i = 0; i < d->n_active; i++)
		if (d->active[i] != NO_TASK &&
		    task_move(&tx, &d->tasks[d->active[i]], event, first, NULL, err) < 0)
			goto rollback;
	if (intent &&
	    operation_save_engine_state(&tx, intent, d->op.engine_accepted, err) < 0)
		goto rollback;
	if (settle_commit(d, &tx, &p, &state, err) < 0)
		return -1;
	if (intent)
		d->op.engine_state = mem_strdup(d->loaded, intent);
	return 0;
rollback:
	lease_tx_rollback(&tx);
	return -1;
}

static int save_accepted(struct drive *d, const char *engine_state, struct sb_err *err)
{
	struct lease_tx tx;

	if (FAULT_ERR("drive.accepted.save", err) < 0 ||
	    lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	if (operation_save_engine_state(&tx, engine_state, true, err) < 0) {
		lease_tx_rollback(&tx);
		return -1;
	}
	return lease_tx_commit(&tx, err);
}

/*
 * The engine has accepted: that and what it returned are stored before anything it says
 * is believed. Whatever goes wrong here is uncertainty: the work is there, and a
 * successor takes it up.
 */
static enum step store_acceptance(struct drive *d, const char *engine_state)
{
	struct sb_err err;

	if (!engine_state && d->engine->needs_resume_state) {
		log_warn("drive.no_state",
			 "the engine accepted the work and returned no state to find it "
			 "by: left for the next driver");
		return drive_doubt(d, "the engine accepted the work, and returned no "
				      "state to find it by");
	}
	if (!engine_state)
		return STEP_CONTINUE;
	if (save_accepted(d, engine_state, &err) < 0) {
		log_err(LOG_WARN, "drive.not_saved", &err,
			"the engine accepted the work, and that could not be stored");
		return err.code == SB_ELEASE ? STEP_LOST : drive_doubt(d, err.msg);
	}
	d->op.engine_state = mem_strdup(d->loaded, engine_state);
	d->op.engine_accepted = true;
	FAULT("drive.accepted.saved");
	return STEP_CONTINUE;
}

/* The engine did not take the work. */
static enum step refused(struct drive *d, const struct sb_err *why)
{
	struct sb_err err;
	enum step step;
	size_t i = 0;

	log_err(LOG_WARN, "drive.refused", why, "the engine did not start");
	while (d->active[i] == NO_TASK)
		i++;
	i = d->active[i];
	drive_close_engine(d);
	if (err_class(why->code) == ERR_UNCERTAIN || err_class(why->code) == ERR_LEASE)
		return drive_step_of(d, why, "starting the engine");
	if (drive_start_failed(d, why, &step))
		return step;
	if (settle_task_failure(d, &d->tasks[i], why, false, &err) < 0)
		return drive_step_of(d, &err, "recording a refusal");
	return STEP_SETTLED;
}

/* What the engine wants stored before it is called. */
static int prepare(struct drive *d, const char **intent, struct sb_err *err)
{
	*intent = NULL;
	if (!d->engine->ops.prepare)
		return 0;
	if (d->engine->ops.prepare(d->run_ctx, d->run, &d->work, intent, err) < 0)
		return -1;
	if (*intent)
		d->work.resume_state = *intent;
	return 0;
}

/* An engine that had accepted the work before has to know it still: it is continued, and
 * never begun a second time under an old name. 1, 0 = it is gone, -1. */
static int still_there(struct drive *d, struct sb_err *err)
{
	if (!d->engine->ops.attach || !d->op.engine_accepted || !d->op.engine_state)
		return 1;
	return d->engine->ops.attach(d->run, &d->work, err);
}

static void log_started(const struct engine_work *w)
{
	for (size_t i = 0; i < w->n_tasks; i++)
		log_info("drive.started", "%s: %s", w->tasks[i].table, w->tasks[i].ddl);
	for (size_t i = 0; i < w->n_namespaces; i++)
		if (w->namespaces[i].vschema_changed)
			log_info("drive.started", "the VSchema of %s",
				 w->namespaces[i].name);
}

static enum step start_chosen(struct drive *d)
{
	const char *engine_state = NULL, *intent;
	struct sb_err err, why;
	enum step step;
	int rc;

	drive_choose(d);
	rc = still_there(d, &why);
	if (rc == 0)
		return drive_work_gone(d);
	if (rc < 0 || prepare(d, &intent, &why) < 0)
		return refused(d, &why);
	if (drive_bounded(d, ENGINE_EFFECT_START, &err) < 0 ||
	    mark_running(d, intent, &err) < 0) {
		d->n_active = 0;
		return drive_step_of(d, &err, "marking tasks as running");
	}
	FAULT("drive.start.before");
	/* model: ENGINE_START */
	if (d->engine->ops.start(d->run_ctx, d->run, &d->work, &engine_state, &why) < 0)
		return refused(d, &why);
	FAULT("drive.start.after");
	step = store_acceptance(d, engine_state);
	if (step != STEP_CONTINUE)
		return step;
	log_started(&d->work);
	drive_look_soon(d);
	return STEP_CONTINUE;
}

int drive_deploy(struct drive *d, struct sb_err *err)
{
	const char *engine_state = NULL;

	d->work.resume_state = mem_strdup(d->run_ctx, d->op.engine_state);
	if (drive_bounded(d, ENGINE_EFFECT_START, err) < 0 ||
	    d->engine->ops.start(d->run_ctx, d->run, &d->work, &engine_state, err) < 0)
		return -1;
	FAULT("drive.deploy.after");
	drive_look_soon(d);
	return 0;
}

/* ---- taking up again -------------------------------------------------------------- */

/* Work that was handed to an engine in which it outlives its drivers. */
static bool may_attach(const struct drive *d)
{
	return d->engine->ops.attach && d->op.engine_state && drive_left_running(d) &&
	       !d->absent;
}

/* Find it by what was stored, without starting anything. */
static enum step reattach(struct drive *d)
{
	struct sb_err err;
	int rc;

	drive_choose(d);
	rc = d->engine->ops.attach(d->run, &d->work, &err);
	if (rc < 0)
		return drive_poll_failed(d, &err);
	FAULT("drive.attached");
	if (rc == 0 && d->op.engine_accepted)
		return drive_work_gone(d);
	if (rc == 0) {
		/* It was about to be started: nothing has arrived there. */
		d->absent = true;
		d->n_active = 0;
		return STEP_CONTINUE;
	}
	/* What is asked for, or is our turn, is possible only after a look. */
	if (!d->quiet ||
	    (d->lease.n_operations > 1 && d->op.state == STATE_WAITING_FOR_CUTOVER))
		drive_look_soon(d);
	return d->op.engine_accepted ? STEP_CONTINUE
				     : store_acceptance(d, d->op.engine_state);
}

enum step drive_work_gone(struct drive *d)
{
	struct sb_err err;

	drive_close_engine(d);
	log_error("drive.gone", "%s", gone);
	if (settle_failed(d, "engine_error", gone, &err) < 0)
		return drive_step_of(d, &err, "recording a failure");
	return STEP_SETTLED;
}

/* Handed over, and nothing stored to find it by: to start it again could do it twice. */
static enum step fail_closed(struct drive *d)
{
	static const char why[] = "tasks were handed to the engine, and its state is not "
				  "in storage: nothing is started";

	log_error("drive.no_state", "%s", why);
	return drive_doubt(d, why);
}

/* Somebody else has the target: our dead predecessor's statement, as a rule. It will end.
 */
static enum step wait_for_target(struct drive *d, const struct sb_err *why)
{
	if (!d->busy_logged)
		log_err(LOG_INFO, "drive.busy", why, "waiting for the target's lock");
	d->busy_logged = true;
	d->wait_ms = BUSY_WAIT_MS;
	return STEP_CONTINUE;
}

enum step drive_begin(struct drive *d)
{
	struct sb_err err;
	enum step step;

	d->wait_ms = 0;
	if (d->engine->needs_resume_state && !d->op.engine_state && drive_left_running(d))
		return fail_closed(d);
	if (!d->run && drive_open_engine(d, false, &err) < 0) {
		if (err.code == SB_EBUSY)
			return wait_for_target(d, &err);
		return may_attach(d) ? drive_poll_failed(d, &err)
				     : drive_target_failed(d, &err);
	}
	FAULT("drive.opened");
	if (may_attach(d))
		return reattach(d);
	/* The locks are ours, or the engine has nothing of it: what a dead driver left
	 * running has ended. Whether it is done is looked at first: a task that waits
	 * again is known not to be. */
	step = confirm(d);
	/* model: UNMARK */
	if (step == STEP_CONTINUE && drive_left_running(d) &&
	    settle_all(d, EVENT_RETRY, NULL, &err) < 0)
		return drive_step_of(d, &err, "requeueing tasks");
	/* Stop and cancel once more: from here on the target is touched. */
	/* model: RECHECK */
	if (step == STEP_CONTINUE)
		step = drive_obey(d);
	if (step == STEP_CONTINUE)
		step = start_chosen(d);
	return step;
}

/* ---- halting ---------------------------------------------------------------------- */

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
	int rc = drive_open_engine(d, true, err);

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

/* An external engine's work that another driver began: 1 = attached, 0 = there is none.
 */
static int attach_to_halt(struct drive *d, struct sb_err *err)
{
	int rc;

	if (!d->op.engine_state)
		return sb_err(err, SB_EAMBIGUOUS,
			      "Tasks were handed to the engine, and its state is not in "
			      "storage: what runs there cannot be halted.");
	if (drive_open_engine(d, true, err) < 0)
		return -1;
	drive_choose(d);
	rc = d->engine->ops.attach(d->run, &d->work, err);
	if (rc == 0 && d->op.engine_accepted)
		rc = sb_err(err, SB_ENOTFOUND, "%s", gone);
	if (rc <= 0)
		drive_close_engine(d);
	return rc;
}

/* What was stopped at an external engine is still there, with all that it made. */
static bool stopped_there(const struct drive *d)
{
	return drive_external(d) && d->op.state == STATE_STOPPED && d->op.engine_accepted;
}

/* Has anything ever been handed to the engine that it may have left something of? */
static bool has_begun(const struct drive *d)
{
	for (size_t i = 0; i < d->n_tasks; i++)
		if (task_open(&d->tasks[i]) && d->tasks[i].started_at)
			return true;
	return false;
}

/*
 * Nothing runs any more, and what earlier drivers' work has left beside the tables goes:
 * an engine whose work ends with its driver keeps it there for the next one. What cannot
 * be removed now is the reaper's: that is no reason not to cancel.
 */
static void discard_left(struct drive *d)
{
	struct sb_err err;

	if (state_is_settled(d->op.state) || !has_begun(d))
		return;
	if ((!d->run && drive_open_engine(d, true, &err) < 0) ||
	    drive_bounded(d, ENGINE_EFFECT_CANCEL, &err) < 0 ||
	    d->engine->ops.cancel(d->run, &err) < 0)
		log_err(LOG_WARN, "drive.discard", &err,
			"what was begun stays on the target until the reaper removes it");
	drive_close_engine(d);
}

static int halt_work(struct drive *d, bool cancel, struct sb_err *err)
{
	bool rests = !d->run && !drive_left_running(d);
	bool unknown;
	int rc = 1;

	if (rests && !(cancel && stopped_there(d)))
		return 0;
	if (!drive_external(d) && d->n_active == 0 && drive_left_running(d)) {
		drive_close_engine(d); /* opened or not: nothing was looked at yet */
		return drive_quiesce(d, err);
	}
	if (!d->run)
		rc = attach_to_halt(d, err);
	if (rc < 0 && rests && err->code == SB_ENOTFOUND)
		return 0; /* nothing is left there to be removed */
	if (rc <= 0)
		return rc;
	if (d->n_active == 0)
		return 0;
	FAULT("drive.halt.before");
	if (drive_bounded(d, cancel ? ENGINE_EFFECT_CANCEL : ENGINE_EFFECT_STOP, err) < 0)
		return -1;
	/* model: ENGINE_STOP */
	rc = cancel ? d->engine->ops.cancel(d->run, err)
		    : d->engine->ops.stop(d->run, err);
	if (rc < 0)
		return -1;
	FAULT("drive.halt.stopped");
	if (drive_poll_once(d, &unknown, err) < 0)
		return -1;
	if (!unknown || drive_external(d))
		return 0;
	/* It has lost sight of its work, which nothing continues: the target tells. */
	drive_close_engine(d);
	return drive_quiesce(d, err);
}

int drive_halt(struct drive *d, bool cancel, struct sb_err *err)
{
	int rc;

	cancel = cancel && d->engine->ops.cancel;
	rc = halt_work(d, cancel, err);
	/* A run at work has cleaned up by itself. */
	if (rc == 0 && cancel && d->n_active == 0 && !drive_external(d))
		discard_left(d);
	return rc;
}
