/*
 * gate.c - the cutover of a rollout with the policy barrier: nobody passes before all
 * have arrived, then they pass one at a time, in order (core/model/rollout.h).
 *
 * Asked by the loop at every look at the engine, and by requests.c before an operator's
 * cutover is sent. Without that policy the gate is always open and nothing happens here.
 *
 * Must never: cut over by itself when the operator asked to be waited for
 * (defer_cutover), or decide on rows that are not locked.
 */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/drive/drive_internal.h"

/* An engine that refused, or still waits so long after it was told, is told again. */
#define AGAIN_MS 5000

static bool has_barrier(const struct drive *d)
{
	return d->lease.n_operations > 1 && strcmp(d->op.cutover_policy, "barrier") == 0;
}

bool drive_defers_cutover(const struct drive *d)
{
	return d->options.defer_cutover || has_barrier(d);
}

int drive_may_cut_over(struct drive *d, struct lease_tx *tx, bool *may,
		       struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "gate");
	struct control_request *requests;
	struct operation_gate gate;
	size_t n;
	int rc = -1;

	*may = false;
	if (operation_gate(tmp, tx->db, tx->lease, &gate, err) < 0 ||
	    control_pending(tmp, tx->db, tx->lease, &requests, &n, err) < 0)
		goto out;
	*may = gate.gate == ROLLOUT_GATE_OPEN;
	for (size_t i = 0; i < n; i++)
		if (requests[i].operation == CONTROL_STOP ||
		    requests[i].operation == CONTROL_CANCEL)
			*may = false;
	rc = 0;
out:
	talloc_free(tmp);
	return rc;
}

/* All have arrived and it is our turn: sent while the rows of all are locked, so that a
 * stop, or a sibling that retreats, is either seen here or comes after it. */
static enum step cut_over(struct drive *d)
{
	struct lease_tx tx;
	struct sb_err err;
	bool may;

	if (drive_bounded(d, ENGINE_EFFECT_CUTOVER, &err) < 0 ||
	    lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "cutting over");
	if (drive_may_cut_over(d, &tx, &may, &err) < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "cutting over");
	}
	FAULT("drive.gate.before");
	if (may)
		d->cutover_sent_ms = clock_ms();
	if (may && d->engine->ops.cutover(d->run, &err) < 0) {
		lease_tx_rollback(&tx);
		/* Refused or unknown: the next look at the engine tells. */
		log_err(LOG_WARN, "drive.cutover", &err, "it is asked again");
		return err_class(err.code) == ERR_LEASE ? STEP_LOST : STEP_CONTINUE;
	}
	FAULT("drive.gate.sent");
	if (may &&
	    lease_log(&tx, "", "info", "cutover_triggered", "", "",
		      mem_printf(d->loaded, "Deployment %s cuts over: all have arrived.",
				 d->op.deployment),
		      &err) < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "cutting over");
	}
	if (lease_tx_commit(&tx, &err) < 0)
		return drive_step_of(d, &err, "cutting over");
	if (may)
		drive_look_soon(d);
	return STEP_CONTINUE;
}

/* The rollout was halted: what is prepared here will never be cut over. */
static enum step give_up(struct drive *d, const char *blocker)
{
	struct sb_err err;

	log_info("drive.gate", "deployment %s has ended: cancelling", blocker);
	if (drive_halt(d, true, &err) < 0) {
		if (err_class(err.code) == ERR_RETRYABLE)
			return drive_target_failed(d, &err);
		return drive_step_of(d, &err, "cancelling at the gate");
	}
	drive_close_engine(d);
	FAULT("drive.gate.halted");
	if (state_is_settled(d->op.state))
		return STEP_SETTLED; /* completed before it could be halted */
	if (settle_all(d, EVENT_CANCEL,
		       mem_printf(d->loaded,
				  "Deployment %s has ended, so the cutover never comes",
				  blocker),
		       &err) < 0)
		return drive_step_of(d, &err, "cancelling at the gate");
	return STEP_SETTLED;
}

enum step drive_gate(struct drive *d)
{
	struct operation_gate gate;
	struct sb_err err;

	if (!has_barrier(d) || state_class(d->op.state) != CLASS_ACTIVE ||
	    state_rank(d->op.state) >= state_rank(STATE_CUTTING_OVER))
		return STEP_CONTINUE;
	if (operation_gate(d->loaded, d->db, &d->lease, &gate, &err) < 0)
		return drive_step_of(d, &err, "looking at the gate");
	if (gate.gate == ROLLOUT_GATE_NEVER)
		return give_up(d, gate.blocker);
	if (gate.gate == ROLLOUT_GATE_SHUT || d->options.defer_cutover ||
	    d->op.state != STATE_WAITING_FOR_CUTOVER || !d->seen ||
	    (d->cutover_sent_ms > 0 && clock_ms() - d->cutover_sent_ms < AGAIN_MS))
		return STEP_CONTINUE;
	return cut_over(d);
}
