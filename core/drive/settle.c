/*
 * settle.c - how an operation's outcome is written: tasks, derived states and requests in
 * one transaction each. Called by the other files of core/drive.
 *
 * Must never: write outside a lease transaction, or end a request apart from its effect.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/drive/drive.h"
#include "core/drive/drive_internal.h"
#include "core/model/control_rules.h"

bool task_open(const struct task *t)
{
	return !state_is_settled(t->state);
}

/* States in which requests end, or may not be obeyed any more. */
static bool ends_requests(enum state s)
{
	return state_is_settled(s) || s == STATE_STOPPED || control_in_revert_phase(s);
}

/* Started again, but its turn in the rollout is later: the start is obeyed all the same.
 */
static bool held(const struct projected *now)
{
	return now->given_back && now->operation == STATE_PENDING;
}

/* Somebody else has become due. Best effort: a scheduler looks every second. */
void drive_wake_scheduler(struct drive *d)
{
	char *path = mem_printf(d->ctx, "%s/scheduler.sock", d->config->run_dir);

	proc_wake_send(path);
	talloc_free(path);
}

/* The claim goes back with what was written; DESIGN.md 3's "parked". */
static int park(struct drive *d, struct lease_tx *tx, struct sb_err *err)
{
	d->parked = true;
	return operation_park(tx->db, tx->lease, PARK_SECONDS, d->op.poll_errors, err);
}

int settle_commit(struct drive *d, struct lease_tx *tx, const struct projection *p,
		  enum state *state, struct sb_err *err)
{
	struct projected now;

	if (operation_project(tx, p, &now, err) < 0 ||
	    ((ends_requests(now.operation) || ends_requests(now.apply)) &&
	     control_settle(tx, err) < 0) ||
	    (held(&now) && d->starting && control_serve(tx, d->starting, err) < 0) ||
	    (d->park_now && !now.given_back &&
	     state_class(now.operation) == CLASS_ACTIVE && park(d, tx, err) < 0)) {
		lease_tx_rollback(tx);
		return -1;
	}
	FAULT("drive.settle.before_commit");
	if (lease_tx_commit(tx, err) < 0)
		return -1;
	FAULT("drive.settle.committed");
	d->op.state = *state = now.operation;
	d->given_back = now.given_back;
	/* A driver that gives its own back looks for the next one by itself. */
	if (now.freed && !now.given_back && d->config)
		drive_wake_scheduler(d);
	return 0;
}

/* Open tasks that may move by the event do; cancel what never ran when the rest fails. */
static int move_open(struct drive *d, struct lease_tx *tx, enum state_event event,
		     const char *error, struct sb_err *err)
{
	for (size_t i = 0; i < d->n_tasks; i++) {
		struct task *t = &d->tasks[i];
		enum state_event e = event;
		int to;

		if (!task_open(t))
			continue;
		if (event == EVENT_FAIL &&
		    (t->state == STATE_PENDING || t->state == STATE_STOPPED))
			e = EVENT_CANCEL;
		to = state_next(t->state, e);
		if (to < 0)
			continue; /* already where the event leads, or not concerned */
		if (task_move(tx, t, e, (enum state)to,
			      e == EVENT_FAIL || e == EVENT_EXPIRE ? error : NULL,
			      err) < 0)
			return -1;
	}
	return 0;
}

int settle_all(struct drive *d, enum state_event event, const char *message,
	       struct sb_err *err)
{
	struct projection p = { .forced = -1, .message = message };
	struct lease_tx tx;
	enum state state;

	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	/* An operator's start is a new beginning: it has all of its retries. */
	if (move_open(d, &tx, event, message, err) < 0 ||
	    (event == EVENT_START && operation_renew(&tx, err) < 0)) {
		lease_tx_rollback(&tx);
		return -1;
	}
	return settle_commit(d, &tx, &p, &state, err);
}

int settle_failed(struct drive *d, const char *error_code, const char *reason,
		  struct sb_err *err)
{
	struct projection p = { .forced = STATE_FAILED,
				.error_code = error_code,
				.error_message = reason };
	struct lease_tx tx;
	enum state state;

	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	if (move_open(d, &tx, EVENT_FAIL, reason, err) < 0) {
		lease_tx_rollback(&tx);
		return -1;
	}
	return settle_commit(d, &tx, &p, &state, err);
}

int settle_task_failure(struct drive *d, struct task *t, const struct sb_err *why,
			bool ended, struct sb_err *err)
{
	bool retry = err_class(why->code) == ERR_RETRYABLE;
	struct projection p = { .forced = -1,
				.error_code = err_wire_code(why->code),
				.error_message = why->msg };
	enum state_event event = retry ? EVENT_TRANSIENT : EVENT_FAIL;
	struct lease_tx tx;
	enum state state;
	int rc;

	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	/* model: FAIL_RETRYABLE, FAIL */
	rc = task_move(&tx, t, event, retry ? STATE_FAILED_RETRYABLE : STATE_FAILED,
		       why->msg, err);
	for (size_t i = 0; rc == 0 && i < d->n_tasks; i++) {
		struct task *other = &d->tasks[i];

		if (!retry && task_open(other))
			rc = task_move(&tx, other, EVENT_CANCEL, STATE_CANCELLED,
				       "An earlier statement failed.", err);
		else if (retry && state_class(other->state) == CLASS_ACTIVE)
			rc = task_move(&tx, other, EVENT_RETRY, STATE_PENDING, NULL, err);
	}
	if (rc == 0 && ended && d->op.engine_state)
		rc = operation_save_engine_state(&tx, NULL, false, err);
	if (rc < 0) {
		lease_tx_rollback(&tx);
		return -1;
	}
	return settle_commit(d, &tx, &p, &state, err);
}

int settle_retry(struct drive *d, const struct sb_err *why, struct sb_err *err)
{
	struct projection p = { .forced = STATE_FAILED_RETRYABLE,
				.error_code = err_wire_code(why->code),
				.error_message = why->msg };
	struct lease_tx tx;
	enum state state;

	if (lease_tx_begin(d->db, &d->lease, &tx, err) < 0)
		return -1;
	/* model: TARGET_FAILED */
	return settle_commit(d, &tx, &p, &state, err);
}

int drive_expire(TALLOC_CTX *ctx, struct db *db, const struct lease *lease, bool too_old,
		 struct sb_err *err)
{
	struct drive d = { .ctx = mem_ctx(ctx, "expire"), .db = db, .lease = *lease };
	struct projection p = { .forced = STATE_FAILED, .error_code = "retry_exhausted" };
	char reason[1200];
	struct lease_tx tx;
	enum state state;
	int rc = -1;

	if (drive_reload(&d, err) < 0)
		goto out;
	snprintf(
		reason, sizeof(reason), "%s: %s%s",
		too_old ? "Gave up: its last failure is more than a day old"
			: "Gave up: no retry is left. The last failure",
		d.op.error_message ? d.op.error_message : "its drivers kept dying.",
		drive_left_running(&d)
			? " A statement may still be running on the target; plan again to see."
			: "");
	p.error_message = reason;
	if (lease_tx_begin(db, lease, &tx, err) < 0)
		goto out;
	/* model: GIVE_UP */
	if (move_open(&d, &tx, EVENT_EXPIRE, reason, err) < 0) {
		lease_tx_rollback(&tx);
		goto out;
	}
	rc = settle_commit(&d, &tx, &p, &state, err);
	if (rc == 0)
		log_warn("drive.expired", "%s", reason);
out:
	talloc_free(d.ctx);
	return rc;
}
