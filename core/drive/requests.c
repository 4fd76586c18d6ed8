/*
 * requests.c - obeying operators: stop, cancel, start, volume, cutover (SEMANTICS D).
 *
 * Asked at every step. Stop and cancel come first and are looked at again right before
 * the engine is called. A request ends in the transaction of its effect.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/drive/drive_internal.h"

/* Halt whatever runs, then move every open task; completion that could not be stopped
 * wins. */
static enum step halt_and_move(struct drive *d, const struct control_request *r,
			       enum state_event event)
{
	struct sb_err err;
	char *message;

	log_info("drive.obey", "%s requested by %s", control_name(r->operation),
		 r->requested_by);
	if (drive_halt(d, &err) < 0) {
		/* Not known to be halted: the request stays pending for the next attempt.
		 */
		if (err_class(err.code) == ERR_RETRYABLE)
			return drive_target_failed(d, &err);
		return drive_step_of(d, &err, "halting the engine");
	}
	drive_close_engine(d);
	FAULT("drive.obey.halted");
	if (state_is_settled(d->op.state))
		return STEP_SETTLED; /* completed before it could be halted */
	message = mem_printf(d->loaded, "%s by %s",
			     event == EVENT_STOP ? "Stopped" : "Cancelled",
			     r->requested_by);
	if (settle_all(d, event, message, &err) < 0)
		return drive_step_of(d, &err, "recording the request's effect");
	/* Stopped, cancelled, or completed all the same: the requests ended with it. */
	return STEP_SETTLED;
}

/* Nothing to do for an operation at rest: end what cannot take effect, give it back. */
static enum step rest(struct drive *d)
{
	struct lease_tx tx;
	struct sb_err err;

	if (lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "ending requests");
	if (settle_requests(d, &tx, d->op.state, &err) < 0 ||
	    operation_hand_back(&tx, 0, &err) < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "ending requests");
	}
	if (lease_tx_commit(&tx, &err) < 0)
		return drive_step_of(d, &err, "ending requests");
	return STEP_SETTLED;
}

static enum step finish_one(struct drive *d, const struct control_request *r,
			    const char *failure)
{
	struct lease_tx tx;
	struct sb_err err;

	if (lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "ending a request");
	if (control_finish(&tx, r, failure, &err) < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "ending a request");
	}
	if (lease_tx_commit(&tx, &err) < 0)
		return drive_step_of(d, &err, "ending a request");
	return STEP_CONTINUE;
}

static int requested_volume(TALLOC_CTX *tmp, const struct control_request *r)
{
	struct json_object *meta, *volume;
	struct sb_err err;

	if (json_parse(tmp, r->metadata, strlen(r->metadata), &meta, &err) < 0 ||
	    !json_object_object_get_ex(meta, "volume", &volume))
		return VOLUME_DEFAULT;
	return json_object_get_int(volume);
}

/* Requests that change how the work goes on, not whether. */
static enum step obey_forward(TALLOC_CTX *tmp, struct drive *d,
			      const struct control_request *r)
{
	struct sb_err err;

	switch (r->operation) {
	case CONTROL_VOLUME:
		d->volume = requested_volume(tmp, r);
		if (d->run && d->engine->ops.set_volume &&
		    d->engine->ops.set_volume(d->run, d->volume, &err) < 0)
			return finish_one(d, r, err.msg);
		return finish_one(d, r, NULL);
	case CONTROL_CUTOVER:
		if (!d->n_active || !d->engine->ops.cutover)
			return STEP_CONTINUE; /* not at the gate yet: it stays pending */
		if (d->engine->ops.cutover(d->run, &err) < 0)
			return finish_one(d, r, err.msg);
		return finish_one(d, r, NULL);
	case CONTROL_START:
		/* Completed when the engine has accepted work again (SEMANTICS D.2). */
		return d->n_active ? finish_one(d, r, NULL) : STEP_CONTINUE;
	case CONTROL_STOP:
	case CONTROL_CANCEL:
	case CONTROL_COUNT:
		break;
	}
	BUG("not a forward request");
}

enum step drive_obey(struct drive *d)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "obey");
	struct control_request *requests;
	enum step step = STEP_CONTINUE;
	struct sb_err err;
	size_t n;

	if (control_pending(tmp, d->db, &d->lease, &requests, &n, &err) < 0) {
		step = drive_step_of(d, &err, "reading requests");
		goto out;
	}
	for (size_t i = 0; i < n && step == STEP_CONTINUE; i++) {
		switch (requests[i].operation) {
		case CONTROL_CANCEL:
			step = halt_and_move(d, &requests[i], EVENT_CANCEL);
			break;
		case CONTROL_STOP:
			step = d->op.state == STATE_STOPPED
				       ? rest(d)
				       : halt_and_move(d, &requests[i], EVENT_STOP);
			break;
		case CONTROL_START:
		case CONTROL_CUTOVER:
		case CONTROL_VOLUME:
		case CONTROL_COUNT:
			step = obey_forward(tmp, d, &requests[i]);
			break;
		}
	}
out:
	talloc_free(tmp);
	return step;
}

/* The start request among the pending, or NULL. */
static const struct control_request *find_start(const struct control_request *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (r[i].operation == CONTROL_START)
			return &r[i];
	return NULL;
}

enum step drive_restart(struct drive *d)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "restart");
	struct control_request *requests;
	const struct control_request *start;
	enum step step = STEP_CONTINUE;
	struct sb_err err;
	size_t n;

	if (control_pending(tmp, d->db, &d->lease, &requests, &n, &err) < 0) {
		step = drive_step_of(d, &err, "reading requests");
		goto out;
	}
	start = find_start(requests, n);
	if (!start) {
		/* Stopped and nobody asked for anything: put it back to rest. */
		step = rest(d);
		goto out;
	}
	FAULT("drive.restart.before");
	if (settle_all(d, EVENT_START, "Started again", &err) == 0)
		goto out;
	if (err.code != SB_ECONFLICT) {
		step = drive_step_of(d, &err, "starting again");
		goto out;
	}
	/* Another apply has become active for the same database and environment. */
	step = finish_one(
		d, start,
		"Another apply is active for this database and environment; wait for it "
		"or end it, then start this one again.");
	if (drive_reload(d, &err) < 0)
		step = drive_step_of(d, &err, "reading the operation");
	if (step == STEP_CONTINUE)
		step = rest(d);
out:
	talloc_free(tmp);
	return step;
}
