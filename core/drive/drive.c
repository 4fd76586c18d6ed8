/*
 * drive.c - the loop: what a driver does with one claimed operation. See drive.h.
 */
#include "core/drive/drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/drive/drive_internal.h"
#include "core/schema/schema.h"
#include "core/store/apply.h"
#include "core/store/storage.h"

#define RECONNECT_MS	  500
#define UNCERTAIN_SECONDS 5 /* before the next driver looks */

enum step drive_step_of(struct drive *d, const struct sb_err *err, const char *doing)
{
	bool storage = err->code == SB_ESTORAGE || db_is_lost(d->db);

	if (err->code == SB_ELEASE) {
		log_err(LOG_WARN, "drive.lease_lost", err, "%s", doing);
		return STEP_LOST;
	}
	/* A COMMIT without an answer is storage's uncertainty: reading tells. */
	if (storage) {
		log_err(LOG_WARN, "drive.storage", err, "%s", doing);
		return STEP_STORAGE;
	}
	log_err(LOG_ERROR, "drive.uncertain", err, "%s", doing);
	return drive_doubt(d, err->msg);
}

enum step drive_doubt(struct drive *d, const char *why)
{
	d->doubt = mem_printf(d->ctx, "The outcome is not known yet: %s", why);
	return STEP_UNCERTAIN;
}

/* Zero loaded is not zero owned: 0 only when there is none. */
static int nothing_owned(struct drive *d, struct sb_err *err)
{
	int64_t n;

	if (task_count(d->db, &d->lease, &n, err) < 0)
		return -1;
	if (n > 0)
		return sb_err(err, SB_ESTORAGE,
			      "%lld tasks of %s are in storage, and none was read.",
			      (long long)n, d->lease.apply_id);
	return 0;
}

static void own_tasks(struct drive *d, struct task *tasks, size_t n)
{
	if (!d->watch || n != d->n_tasks)
		d->watch = mem_array(d->ctx, struct task_watch, n);
	d->tasks = tasks;
	d->n_tasks = n;
}

int drive_reload(struct drive *d, struct sb_err *err)
{
	TALLOC_CTX *fresh = mem_ctx(d->ctx, "loaded");
	struct operation op;
	struct task *tasks;
	size_t n;

	if (operation_load(fresh, d->db, &d->lease, &op, err) < 0 ||
	    task_load_all(fresh, d->db, &d->lease, &tasks, &n, err) < 0 ||
	    (n == 0 && nothing_owned(d, err) < 0))
		goto fail;
	if (d->n_active > 0 && n != d->n_tasks) {
		sb_err(err, SB_ESTORAGE,
		       "The tasks of %s are not those that were loaded.",
		       d->lease.apply_id);
		goto fail;
	}
	d->op = op;
	own_tasks(d, tasks, n);
	talloc_free(d->loaded);
	d->loaded = fresh;
	return 0;
fail:
	talloc_free(fresh);
	return -1;
}

/* Storage was lost: the engine goes on while we look for it, until the watchdog says no.
 */
static enum step reconnect(struct drive *d, struct db **db)
{
	struct db *fresh;
	struct sb_err err;

	for (;;) {
		if (heartbeat_check(d->heartbeat) != HEARTBEAT_OK ||
		    proc_stop_requested() > 0)
			return STEP_UNCERTAIN;
		if (storage_connect(talloc_parent(*db), d->config, &fresh, &err) == 0) {
			talloc_free(*db);
			*db = d->db = fresh;
			/* A statement that keeps failing must not keep storage busy. */
			d->wait_ms = RECONNECT_MS;
			/* model: RELOAD */
			if (drive_reload(d, &err) == 0)
				/* Without an owner: what we did not hear of, happened. */
				return d->op.lease_owner ? STEP_CONTINUE : STEP_SETTLED;
			if (err.code == SB_ELEASE)
				return STEP_LOST;
		}
		proc_wait(-1, RECONNECT_MS);
	}
}

/* Who and what: 0; 1 = it cannot be driven, *reason says why; -1. */
static int load_context(struct drive *d, char **reason, struct sb_err *err)
{
	const struct config_database *database;
	const struct config_environment *env;
	struct json_object *options;
	const struct operation *op = &d->op;

	*reason = NULL;
	if (d->claim->loaded && d->claim->n_tasks > 0 && !d->loaded) {
		d->loaded = mem_ctx(d->ctx, "loaded");
		d->op = *d->claim->loaded;
		own_tasks(d, d->claim->tasks, d->claim->n_tasks);
	} else if (drive_reload(d, err) < 0) {
		return -1;
	}
	d->database = mem_strdup(d->ctx, op->database);
	d->environment = mem_strdup(d->ctx, op->environment);
	d->volume = op->volume;
	log_context("database", d->database);
	log_context("environment", d->environment);
	database = config_database(d->config, op->database);
	env = database ? config_environment(database, op->environment) : NULL;
	d->route = env ? config_deployment(env, d->op.deployment) : NULL;
	d->quarantine_drops = env && env->quarantine_drops;
	d->kill_blockers_after = env ? env->kill_blockers_after : 0;
	d->direct = schema_direct_policy(env);
	d->engine = engine_by_name(op->engine);
	if (!d->route || !d->engine) {
		*reason = mem_printf(
			d->ctx,
			"There is no route for database '%s' in '%s', deployment '%s', with "
			"engine '%s' in this host's configuration any more; plan again.",
			op->database, op->environment, op->deployment, op->engine);
		return 1;
	}
	if (json_parse(d->ctx, op->options, strlen(op->options), &options, err) < 0 ||
	    options_parse(d->ctx, options, &d->options, err) < 0) {
		*reason = mem_printf(d->ctx, "Its options cannot be read: %s", err->msg);
		return 1;
	}
	if (d->n_tasks == 0) {
		*reason = mem_strdup(d->ctx, "It has no tasks in storage; plan again.");
		return 1;
	}
	return 0;
}

/* An operation that is being driven already (parked, or left by a dead driver) is taken
 * up as it is. */
static bool needs_requeue(const struct drive *d)
{
	for (size_t i = 0; i < d->n_tasks; i++)
		/* model: REQUEUE */
		if (d->tasks[i].state == STATE_FAILED_RETRYABLE)
			return true;
	return state_class(d->op.state) != CLASS_ACTIVE;
}

/* Tasks that failed wait again, and the operation is running. Those that a dead driver
 * left running are requeued when the target's locks prove that they have ended
 * (drive_begin). */
static enum step requeue(struct drive *d)
{
	struct projection p = { .forced = -1 };
	struct lease_tx tx;
	struct sb_err err;
	enum state state;
	int rc = 0;

	if (lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "requeueing tasks");
	for (size_t i = 0; rc == 0 && i < d->n_tasks; i++)
		if (d->tasks[i].state == STATE_FAILED_RETRYABLE)
			rc = task_move(&tx, &d->tasks[i], EVENT_RETRY, STATE_PENDING,
				       NULL, &err);
	if (rc < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "requeueing tasks");
	}
	if (settle_commit(d, &tx, &p, &state, &err) < 0)
		return drive_step_of(d, &err, "requeueing tasks");
	/* The order of the rollout does not let it begin. */
	return d->given_back ? STEP_SETTLED : STEP_CONTINUE;
}

/* No retry is left: halt what may still be running, then say so. */
static enum step give_up(struct drive *d, bool too_old)
{
	struct sb_err err;

	if (drive_left_running(d) && drive_halt(d, false, &err) < 0) {
		log_err(LOG_WARN, "drive.quiesce", &err,
			"the target may still be at work");
		if (err_class(err.code) == ERR_LEASE || err.code == SB_ESTORAGE)
			return drive_step_of(d, &err, "giving up");
	}
	if (state_is_settled(d->op.state))
		return STEP_SETTLED;
	if (drive_expire(d->ctx, d->db, &d->lease, too_old, &err) < 0)
		return drive_step_of(d, &err, "giving up");
	return STEP_SETTLED;
}

/* Before the first step: is there anything to drive, and from where? */
static enum step prepare(struct drive *d, const struct claim *claim)
{
	bool restarted = false;
	struct sb_err err;
	enum step step;
	char *reason;
	/* model: PREPARE */
	int rc = load_context(d, &reason, &err);

	if (rc < 0)
		return drive_step_of(d, &err, "reading the operation");
	if (state_is_settled(d->op.state))
		return STEP_SETTLED;
	if (rc > 0) {
		log_warn("drive.impossible", "%s", reason);
		if (settle_failed(d, "deployment_not_found", reason, &err) < 0)
			return drive_step_of(d, &err, "recording a failure");
		return STEP_SETTLED;
	}
	d->quiet = claim->parked && d->op.n_pending == 0;
	step = d->quiet ? STEP_CONTINUE : drive_obey(d);
	if (step == STEP_CONTINUE && d->op.state == STATE_STOPPED) {
		step = drive_restart(d);
		restarted = true;
	}
	if (step != STEP_CONTINUE)
		return step;
	if (d->given_back)
		return STEP_SETTLED;
	if (restarted) /* with all of its retries */
		return needs_requeue(d) ? requeue(d) : STEP_CONTINUE;
	if (claim->too_old || claim->attempt > RETRY_BUDGET)
		return give_up(d, claim->too_old);
	if (claim->state == STATE_FAILED_RETRYABLE)
		d->op.poll_errors = 0;
	return needs_requeue(d) ? requeue(d) : STEP_CONTINUE;
}

/* SIGTERM: halt, write what was finished, give the claim back without spending an
 * attempt. */
static enum step hand_back(struct drive *d)
{
	bool ours = d->run != NULL && !drive_external(d);
	struct lease_tx tx;
	struct sb_err err;

	log_info("drive.hand_back", "asked to end");
	/* What a dead driver left running is not ours to end, and neither is what goes on
	 * without us: the successor waits for it too. */
	if (ours && drive_halt(d, false, &err) < 0)
		return drive_step_of(d, &err, "halting the engine");
	drive_close_engine(d);
	FAULT("drive.hand_back.halted");
	if (state_is_settled(d->op.state))
		return STEP_SETTLED;
	if (ours && drive_left_running(d) && settle_all(d, EVENT_RETRY, NULL, &err) < 0)
		return drive_step_of(d, &err, "handing back");
	if (lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "handing back");
	if (operation_hand_back(&tx, 0, &err) < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "handing back");
	}
	if (lease_tx_commit(&tx, &err) < 0)
		return drive_step_of(d, &err, "handing back");
	drive_wake_scheduler(d);
	return STEP_HANDED_BACK;
}

/* SB_RENEW_SECONDS in builds with fault points. */
static int64_t renew_ms(void)
{
#ifdef SB_FAULTS
	const char *sooner = getenv("SB_RENEW_SECONDS");

	if (sooner)
		return strtoll(sooner, NULL, 10) * 1000;
#endif
	return (int64_t)RETRY_RENEW_SECONDS * 1000;
}

/* The budget is for failures that follow each other. */
static enum step forget_failures(struct drive *d)
{
	int64_t now = clock_ms();
	struct lease_tx tx;
	struct sb_err err;

	if (d->n_active == 0)
		d->works_ms = 0;
	else if (d->works_ms == 0)
		d->works_ms = now;
	if (d->renewed || d->works_ms == 0 || now - d->works_ms < renew_ms())
		return STEP_CONTINUE;
	if (lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return drive_step_of(d, &err, "renewing the retries");
	if (operation_renew(&tx, &err) < 0) {
		lease_tx_rollback(&tx);
		return drive_step_of(d, &err, "renewing the retries");
	}
	if (lease_tx_commit(&tx, &err) < 0)
		return drive_step_of(d, &err, "renewing the retries");
	d->renewed = true;
	return STEP_CONTINUE;
}

/* One look at signals, the lease, requests and the engine, in this order. */
static enum step drive_step(struct drive *d)
{
	enum step step;

	switch (heartbeat_check(d->heartbeat)) {
	case HEARTBEAT_OK:
		break;
	/* model: FENCED */
	case HEARTBEAT_LOST:
		return STEP_LOST;
	case HEARTBEAT_FENCED:
		return STEP_UNCERTAIN;
	}
	if (proc_stop_requested() > 0)
		/* model: TERM */
		return hand_back(d);
	/* A quick look at an external engine asks once for requests, when it is claimed.
	 */
	if (!d->quiet || !drive_external(d)) {
		step = drive_obey(d);
		if (step != STEP_CONTINUE)
			return step;
	}
	if (d->n_active == 0)
		return drive_begin(d);
	d->quiet = false;
	step = drive_gate(d);
	if (step == STEP_CONTINUE)
		step = drive_observe(d);
	return step == STEP_CONTINUE ? forget_failures(d) : step;
}

/*
 * The outcome is not known, and nothing is said about it; but this driver has not died:
 * the next one looks in a moment, and that costs the operation neither a death nor an
 * attempt. Where storage does not answer, the claim expires.
 */
static void leave_uncertain(struct drive *d)
{
	struct lease_tx tx;
	struct sb_err err;

	if (heartbeat_check(d->heartbeat) != HEARTBEAT_OK || db_is_lost(d->db) ||
	    lease_tx_begin(d->db, &d->lease, &tx, &err) < 0)
		return;
	if ((d->doubt && operation_note_doubt(&tx, d->doubt, &err) < 0) ||
	    operation_hand_back(&tx, UNCERTAIN_SECONDS, &err) < 0) {
		lease_tx_rollback(&tx);
		return;
	}
	if (lease_tx_commit(&tx, &err) < 0)
		log_err(LOG_WARN, "drive.uncertain", &err, "the claim expires by itself");
}

/* Only work that ends with us is waited with; the others' is parked. */
static void tell_idle(struct drive *d, const struct drive_idle *idle, bool *waiting)
{
	bool now = d->run && !drive_external(d) && d->n_active > 0 &&
		   d->op.state == STATE_WAITING_FOR_CUTOVER;

	if (idle && now != *waiting)
		idle->fn(idle->arg, now);
	*waiting = now;
}

enum drive_result drive_operation(TALLOC_CTX *ctx, const struct config *config,
				  struct db **db, const struct claim *claim,
				  const struct drive_idle *idle)
{
	struct drive d = { .ctx = mem_ctx(ctx, "drive"),
			   .config = config,
			   .db = *db,
			   .lease = claim->lease,
			   .claim = claim };
	bool prepared = false, waiting = false, looked;
	enum step step;

	log_context("apply_id", d.lease.apply_id);
	log_info("drive.claimed", "state %s, attempt %d%s", state_name(claim->state),
		 claim->attempt, claim->predecessor_died ? ", its last driver died" : "");
	FAULT("drive.claimed");
	d.heartbeat = heartbeat_start(&config->storage, &d.lease, claim->made_ms);
	for (;;) {
		step = prepared ? drive_step(&d) : prepare(&d, claim);
		if (step == STEP_STORAGE)
			step = reconnect(&d, db);
		else if (step == STEP_CONTINUE)
			prepared = true;
		if (step != STEP_CONTINUE)
			break;
		tell_idle(&d, idle, &waiting);
		if (d.wait_ms > 0)
			proc_wait(-1, d.wait_ms);
	}
	drive_close_engine(&d);
	if (step == STEP_UNCERTAIN)
		leave_uncertain(&d);
	heartbeat_stop(d.heartbeat);
	log_info("drive.left", "state %s", state_name(d.op.state));
	log_context_clear();
	looked = d.looked;
	talloc_free(d.ctx);
	switch (step) {
	case STEP_SETTLED:
		return DRIVE_SETTLED;
	case STEP_PARK:
		return looked ? DRIVE_LOOKED : DRIVE_PARKED;
	case STEP_LOST:
		return DRIVE_LOST;
	case STEP_HANDED_BACK:
		return DRIVE_HANDED_BACK;
	case STEP_UNCERTAIN:
	case STEP_STORAGE:
	case STEP_CONTINUE:
		break;
	}
	return DRIVE_UNCERTAIN;
}
