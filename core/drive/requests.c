/*
 * requests.c - obeying operators (SEMANTICS D): stop, cancel, start, cutover, volume,
 * release, revert, skip_revert.
 *
 * Asked at every step. Stop and cancel come first and are looked at again right before
 * the engine is called; while one of them waits, no other request is obeyed. A request
 * ends in the transaction of its effect; what the engine says about its work outranks
 * what was asked.
 *
 * Must never: record that something was stopped before the engine said that it has
 * halted, or call an engine for what a pending stop or cancel forbids.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/drive/drive_internal.h"
#include "core/model/control_rules.h"

/* ---- ending requests -----------------------------------------------------------------
 */

/* One of several operations remembers what it has obeyed until its siblings have, too. */
static void served(struct drive *d, const struct control_request *r)
{
	if (d->lease.n_operations > 1)
		d->op.served_request = r->id;
}

/* This operation has obeyed, or (failure) nobody can. */
static enum step answer(struct drive *d, const struct control_request *r,
			const char *failure)
{
	struct lease_tx tx;
	struct sb_err err;

	if (lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "ending a request");
	if ((failure ? control_finish(&tx, r, failure, &err)
		     : control_serve(&tx, r, &err)) < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "ending a request");
	}
	if (lease_tx_commit(&tx, &err) < 0)
		return drive_step_of(d, &err, "ending a request");
	served(d, r);
	if (failure)
		log_warn("drive.request_failed", "%s: %s", control_name(r->operation),
			 failure);
	return STEP_CONTINUE;
}

/* Nothing to do for an operation at rest: end what cannot take effect (and `r`, when
 * given, as failed), and give it back. Due again at once when something was asked
 * meanwhile. */
static enum step rest(struct drive *d, const struct control_request *r,
		      const char *failure)
{
	struct lease_tx tx;
	struct sb_err err;

	if (lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "ending requests");
	if ((r && control_finish(&tx, r, failure, &err) < 0) ||
	    /* model: REST */
	    operation_hand_back(&tx, 0, &err) < 0 || control_settle(&tx, &err) < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "ending requests");
	}
	FAULT("drive.rest.before_commit");
	if (lease_tx_commit(&tx, &err) < 0)
		return drive_step_of(d, &err, "ending requests");
	return STEP_SETTLED;
}

/* ---- stop, cancel --------------------------------------------------------------------
 */

/* The engine did not halt. */
static enum step not_halted(struct drive *d, const struct control_request *r,
			    const struct sb_err *why)
{
	switch (err_class(why->code)) {
	case ERR_PERMANENT:
		if (why->code == SB_ENOTFOUND)
			return drive_work_gone(d);
		return answer(d, r, why->msg); /* it cannot, and works on */
	case ERR_RETRYABLE:
		/* Not known to be halted: the request waits for the next attempt. */
		return drive_target_failed(d, why);
	case ERR_UNCERTAIN:
	case ERR_LEASE:
		break;
	}
	return drive_step_of(d, why, "halting the engine");
}

/* Halt whatever runs, then move every open task; completion that could not be stopped
 * wins. */
static enum step halt_and_move(struct drive *d, const struct control_request *r)
{
	bool cancel = r->operation == CONTROL_CANCEL;
	struct sb_err err;
	char *message;

	log_info("drive.obey", "%s requested by %s", control_name(r->operation),
		 r->requested_by);
	if (drive_halt(d, cancel, &err) < 0)
		return not_halted(d, r, &err);
	drive_close_engine(d);
	FAULT("drive.obey.halted");
	if (state_is_settled(d->op.state))
		return STEP_SETTLED; /* completed before it could be halted */
	message = mem_printf(d->loaded, "%s by %s", cancel ? "Cancelled" : "Stopped",
			     r->requested_by);
	/* model: HALTED */
	if (settle_all(d, cancel ? EVENT_CANCEL : EVENT_STOP, message, &err) < 0)
		return drive_step_of(d, &err, "recording the request's effect");
	/* Stopped, cancelled, or completed all the same: the requests ended with it. */
	return STEP_SETTLED;
}

static enum step obey_halt(struct drive *d, const struct control_request *r)
{
	if (d->op.state == STATE_STOPPED && r->operation == CONTROL_STOP)
		return rest(d, NULL, NULL);
	if (control_in_revert_phase(d->op.state))
		return STEP_CONTINUE; /* made already; a sibling may still obey */
	return halt_and_move(d, r);
}

/* ---- cutover -------------------------------------------------------------------------
 */

static bool any_halt(const struct control_request *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (r[i].operation == CONTROL_STOP || r[i].operation == CONTROL_CANCEL)
			return true;
	return false;
}

/*
 * The one step that nothing undoes. It is sent while the operation's row is locked, so
 * that a stop is either seen here or was requested after it. 1 = sent, 0 = withheld, -1.
 */
static int send_cutover(struct drive *d, struct lease_tx *tx,
			const struct control_request *r, struct sb_err *err)
{
	bool may;
	int rc = drive_may_cut_over(d, tx, &may, err);

	if (rc == 0 && may) {
		FAULT("drive.cutover.before");
		/* model: CUTOVER */
		rc = d->engine->ops.cutover(d->run, err) < 0 ? -1 : 1;
		FAULT("drive.cutover.sent");
		/* model: SERVE_CUTOVER */
		if (rc == 1 && control_serve(tx, r, err) < 0)
			rc = -1;
	}
	return rc;
}

static enum step obey_cutover(struct drive *d, const struct control_request *r)
{
	struct lease_tx tx;
	struct sb_err err;
	int rc;

	if (d->op.state != STATE_WAITING_FOR_CUTOVER || !d->seen ||
	    !d->engine->ops.cutover)
		return STEP_CONTINUE; /* not at the gate: it waits */
	if (drive_bounded(d, ENGINE_EFFECT_CUTOVER, &err) < 0)
		return drive_step_of(d, &err, "cutting over");
	FAULT("drive.cutover.chosen");
	if (lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "cutting over");
	rc = send_cutover(d, &tx, r, &err);
	if (rc > 0) {
		if (lease_tx_commit(&tx, &err) < 0)
			return drive_step_of(d, &err, "cutting over");
		log_info("drive.cutover", "requested by %s", r->requested_by);
		drive_look_soon(d);
		served(d, r);
		return STEP_CONTINUE;
	}
	lease_tx_rollback(&tx);
	if (rc == 0)
		/* model: CUTOVER_WITHHELD */
		return STEP_CONTINUE; /* the next step obeys the stop; or the gate is shut
				       */
	/* Not known to have been refused: the next look tells, and may send it again. */
	if (err_class(err.code) == ERR_UNCERTAIN && !db_is_lost(d->db)) {
		log_err(LOG_WARN, "drive.cutover_unknown", &err, "asking the engine");
		return STEP_CONTINUE;
	}
	if (err_class(err.code) == ERR_LEASE || db_is_lost(d->db))
		return drive_step_of(d, &err, "cutting over");
	return answer(d, r, err.msg); /* and it keeps waiting */
}

/* ---- the other forward requests ------------------------------------------------------
 */

static int requested_volume(TALLOC_CTX *tmp, const struct control_request *r)
{
	struct json_object *meta, *volume;
	struct sb_err err;

	if (json_parse(tmp, r->metadata, strlen(r->metadata), &meta, &err) < 0 ||
	    !json_object_object_get_ex(meta, "volume", &volume))
		return VOLUME_DEFAULT;
	return json_object_get_int(volume);
}

static enum step obey_volume(TALLOC_CTX *tmp, struct drive *d,
			     const struct control_request *r)
{
	struct sb_err err;

	d->volume = requested_volume(tmp, r);
	if (d->n_active == 0 && drive_left_running(d))
		return STEP_CONTINUE; /* until the work is found again */
	if (d->n_active > 0 && drive_bounded(d, ENGINE_EFFECT_VOLUME, &err) < 0)
		return drive_step_of(d, &err, "changing the volume");
	if (d->n_active > 0 && d->engine->ops.set_volume &&
	    d->engine->ops.set_volume(d->run, d->volume, &err) < 0)
		return answer(d, r, err.msg);
	return answer(d, r, NULL); /* otherwise the next start works at it */
}

static enum step obey_release(struct drive *d, const struct control_request *r)
{
	struct projection p = { .forced = -1, .message = "Released" };
	struct lease_tx tx;
	struct sb_err err;
	enum state state;

	if (lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "releasing");
	if (control_set_released(&tx, &err) < 0 ||
	    control_finish(&tx, r, NULL, &err) < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "releasing");
	}
	if (settle_commit(d, &tx, &p, &state, &err) < 0)
		return drive_step_of(d, &err, "releasing");
	return STEP_CONTINUE;
}

/* revert and skip_revert: accepted completes, refused fails, anything else waits. */
static enum step obey_revert(struct drive *d, const struct control_request *r)
{
	int (*call)(struct engine_run *, struct sb_err *) =
		r->operation == CONTROL_REVERT ? d->engine->ops.revert
					       : d->engine->ops.skip_revert;
	struct sb_err err;

	if (!call)
		return answer(d, r, "The engine of this apply cannot do that.");
	if (d->op.state != STATE_REVERT_WINDOW || !d->seen)
		return STEP_CONTINUE;
	if (drive_bounded(d,
			  r->operation == CONTROL_REVERT ? ENGINE_EFFECT_REVERT
							 : ENGINE_EFFECT_SKIP_REVERT,
			  &err) < 0)
		return drive_step_of(d, &err, "reverting");
	FAULT("drive.revert.before");
	if (call(d->run, &err) == 0) {
		drive_look_soon(d);
		return answer(d, r, NULL);
	}
	switch (err_class(err.code)) {
	case ERR_PERMANENT:
		return answer(d, r, err.msg);
	case ERR_RETRYABLE:
	case ERR_UNCERTAIN:
		log_err(LOG_WARN, "drive.revert", &err, "%s waits",
			control_name(r->operation));
		return STEP_CONTINUE;
	case ERR_LEASE:
		break;
	}
	return drive_step_of(d, &err, "reverting");
}

/* The engine has the work, and an external one has been seen to do it; one that waits
 * with the deployment is told to go on. */
static enum step obey_start(struct drive *d, const struct control_request *r)
{
	struct sb_err err;

	if (drive_external(d) && !d->working)
		return STEP_CONTINUE;
	/* model: SERVE_START */
	if (d->op.state != STATE_WAITING_FOR_DEPLOY)
		return answer(d, r, NULL);
	if (drive_deploy(d, &err) == 0)
		return answer(d, r, NULL);
	if (err_class(err.code) == ERR_UNCERTAIN || err_class(err.code) == ERR_LEASE)
		return drive_step_of(d, &err, "starting the deployment");
	return answer(d, r, err.msg); /* and it keeps waiting */
}

/* Requests that change how the work goes on, not whether. */
static enum step obey_forward(TALLOC_CTX *tmp, struct drive *d,
			      const struct control_request *r)
{
	if (r->id <= d->op.served_request)
		return STEP_CONTINUE; /* a sibling has not obeyed yet */
	switch (r->operation) {
	case CONTROL_VOLUME:
		return obey_volume(tmp, d, r);
	case CONTROL_CUTOVER:
		return obey_cutover(d, r);
	case CONTROL_RELEASE:
		return obey_release(d, r);
	case CONTROL_REVERT:
	case CONTROL_SKIP_REVERT:
		return obey_revert(d, r);
	case CONTROL_START:
		/* Ends when the engine has accepted work again (SEMANTICS D.2). */
		return d->n_active > 0 ? obey_start(d, r) : STEP_CONTINUE;
	case CONTROL_STOP:
	case CONTROL_CANCEL:
	case CONTROL_COUNT:
		break;
	}
	BUG("not a forward request");
}

/*
 * Of several operations each remembers the highest request that it has obeyed: a later
 * one must not be obeyed before one that is still to come.
 */
static bool waits_for(const struct drive *d, const struct control_request *r)
{
	return d->lease.n_operations > 1 && r->id > d->op.served_request &&
	       control_concerns(r->operation, d->op.state);
}

enum step drive_obey(struct drive *d)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "obey");
	struct control_request *requests;
	enum step step = STEP_CONTINUE;
	struct sb_err err;
	bool halt;
	size_t n;

	if (control_pending(tmp, d->db, &d->lease, &requests, &n, &err) < 0) {
		step = drive_step_of(d, &err, "reading requests");
		goto out;
	}
	d->quiet = n == 0;
	/* model: OBEY */
	halt = any_halt(requests, n);
	for (size_t i = 0; i < n && step == STEP_CONTINUE; i++) {
		const struct control_request *r = &requests[i];

		if (r->operation == CONTROL_STOP || r->operation == CONTROL_CANCEL)
			step = obey_halt(d, r);
		else if (!halt)
			step = obey_forward(tmp, d, r);
		if (waits_for(d, r))
			break;
	}
out:
	talloc_free(tmp);
	return step;
}

/* ---- start ---------------------------------------------------------------------------
 */

/* The start request that this operation has to obey: 1 and *out (of tmp), 0, -1. */
int drive_find_start(TALLOC_CTX *tmp, struct drive *d, struct control_request *out,
		     struct sb_err *err)
{
	struct control_request *requests;
	size_t n;

	if (control_pending(tmp, d->db, &d->lease, &requests, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (requests[i].operation == CONTROL_START &&
		    requests[i].id > d->op.served_request) {
			*out = requests[i];
			return 1;
		}
	return 0;
}

enum step drive_restart(struct drive *d)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "restart");
	struct control_request start;
	enum step step = STEP_CONTINUE;
	struct sb_err err;
	int rc = drive_find_start(tmp, d, &start, &err);

	if (rc < 0) {
		step = drive_step_of(d, &err, "reading requests");
		goto out;
	}
	if (rc == 0) {
		/* Stopped and nobody asked for anything: put it back to rest. */
		step = rest(d, NULL, NULL);
		goto out;
	}
	FAULT("drive.restart.before");
	d->starting = &start;
	/* model: RESTART */
	rc = settle_all(d, EVENT_START, "Started again", &err);
	d->starting = NULL;
	if (rc == 0)
		goto out;
	if (err.code != SB_ECONFLICT) {
		step = drive_step_of(d, &err, "starting again");
		goto out;
	}
	/* Another apply has become active for the same database and environment. */
	if (drive_reload(d, &err) < 0)
		step = drive_step_of(d, &err, "reading the operation");
	else
		/* model: START_REFUSED */
		step = rest(d, &start,
			    "Another apply is active for this database and environment; "
			    "wait for it or end it, then start this one again.");
out:
	talloc_free(tmp);
	return step;
}

/* Tasks that have not begun again stop again, and the request says why. */
static enum step stop_again(struct drive *d, const struct control_request *start,
			    const struct sb_err *why)
{
	struct projection p = { .forced = -1,
				.error_code = err_wire_code(why->code),
				.error_message = why->msg };
	struct lease_tx tx;
	struct sb_err err;
	enum state state;
	int rc;

	log_err(LOG_WARN, "drive.start_failed", why, "it stays stopped");
	if (lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "recording a failed start");
	/* model: STOP_AGAIN */
	rc = control_finish(&tx, start, why->msg, &err);
	for (size_t i = 0; rc == 0 && i < d->n_tasks; i++)
		if (state_next(d->tasks[i].state, EVENT_STOP) >= 0)
			rc = task_move(&tx, &d->tasks[i], EVENT_STOP, STATE_STOPPED, NULL,
				       &err);
	if (rc < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "recording a failed start");
	}
	if (settle_commit(d, &tx, &p, &state, &err) < 0)
		return drive_step_of(d, &err, "recording a failed start");
	return STEP_SETTLED;
}

bool drive_start_failed(struct drive *d, const struct sb_err *why, enum step *step)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "start failed");
	struct control_request start;
	struct sb_err err;
	int rc = 0;

	/* A permanent failure ends the apply and its start with it; in doubt, the next
	 * driver looks. */
	if (err_class(why->code) == ERR_RETRYABLE)
		rc = drive_find_start(tmp, d, &start, &err);
	if (rc < 0)
		*step = drive_step_of(d, &err, "reading requests");
	else if (rc > 0)
		*step = stop_again(d, &start, why);
	talloc_free(tmp);
	return rc != 0;
}

/* How long has the engine been silent about this start? -1. */
static int64_t silent_for(struct drive *d, const struct control_request *start,
			  struct sb_err *err)
{
	struct lease_tx tx;
	int64_t seconds;

	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	if (control_silence(&tx, start, &seconds, err) < 0) {
		lease_tx_rollback(&tx);
		return -1;
	}
	return lease_tx_commit(&tx, err) < 0 ? -1 : seconds;
}

bool drive_start_silent(struct drive *d, enum step *step)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "start silent");
	struct control_request start;
	struct sb_err err;
	int64_t seconds = 0;
	int rc = drive_find_start(tmp, d, &start, &err);

	*step = STEP_CONTINUE;
	if (rc > 0)
		seconds = silent_for(d, &start, &err);
	if (rc < 0 || seconds < 0) {
		*step = drive_step_of(d, &err, "reading requests");
	} else if (seconds >= START_GRACE_SECONDS) {
		sb_err(&err, SB_ERETRY,
		       "The engine accepted the start and still says, %lld s later, that "
		       "it is stopped.",
		       (long long)seconds);
		drive_close_engine(d);
		*step = stop_again(d, &start, &err);
	}
	talloc_free(tmp);
	return rc != 0;
}
