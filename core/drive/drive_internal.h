/*
 * drive_internal.h - what the files of core/drive share; for nobody else.
 */
#ifndef SB_DRIVE_INTERNAL_H
#define SB_DRIVE_INTERNAL_H

#include "core/base/config.h"
#include "core/drive/heartbeat.h"
#include "core/store/control.h"
#include "core/store/lease.h"
#include "core/store/operation.h"
#include "core/store/task.h"
#include "engines/engine.h"

/* What a step asks the loop to do. */
enum step {
	STEP_CONTINUE, /* again, after d->wait_ms */
	STEP_SETTLED,
	STEP_UNCERTAIN,
	STEP_LOST,
	STEP_HANDED_BACK,
	STEP_STORAGE, /* storage did not answer: reconnect, reload, go on */
};

struct drive {
	TALLOC_CTX *ctx; /* lives as long as this drive */
	const struct config *config;
	struct db *db;
	struct lease lease;
	struct heartbeat *heartbeat;

	/* As loaded; replaced by drive_reload(). */
	TALLOC_CTX *loaded;
	struct operation op;
	struct task *tasks;
	size_t n_tasks;

	/* Fixed for the drive. */
	char *database, *environment;
	struct apply_options options;
	int volume;
	const struct config_deployment *route; /* the operation's deployment */
	bool quarantine_drops;
	const struct engine *engine;
	bool grouped; /* all tasks in one engine call */

	/* The engine at work. run is NULL when none is open; active are the tasks of the
	 * last start, as indexes into tasks. */
	struct engine_run *run;
	TALLOC_CTX *run_ctx;
	struct engine_work work; /* of the last start; its memory is run_ctx's */
	size_t *active;
	size_t n_active; /* 0 = nothing started */
	bool busy_logged;
	bool given_back;			/* the last commit gave the claim back */
	const struct control_request *starting; /* a start that is being obeyed */
	int64_t cutover_sent_ms; /* at the barrier's gate; 0 = not by this driver */
	int64_t wait_ms;	 /* before the next step */
	int64_t poll_ms;	 /* between looks at the engine */
};

/* ---- drive.c ------------------------------------------------------------------------
 */
/* What an error of a storage or engine call means for the loop; logs it. */
enum step drive_step_of(struct drive *d, const struct sb_err *err, const char *doing);
int drive_reload(struct drive *d, struct sb_err *err) MUST_CHECK;
bool task_open(const struct task *t); /* not settled */

/* ---- work.c: the engine's side -------------------------------------------------------
 */
/* A task was handed to an engine, and its end was not observed. */
bool drive_left_running(const struct drive *d);
/* A dead driver's statement may still be running on the target: end it and write what it
 * finished. Afterwards nothing of ours touches the target. */
int drive_quiesce(struct drive *d, struct sb_err *err) MUST_CHECK;
enum step drive_begin(struct drive *d);	  /* nothing started: what is next? */
enum step drive_observe(struct drive *d); /* something started: how far is it? */
/* Halt the engine, or what a dead driver left running, and write what was finished; with
 * `cancel`, remove what the engine made. 0, or -1 when the target may still be at work.
 */
int drive_halt(struct drive *d, bool cancel, struct sb_err *err) MUST_CHECK;
void drive_close_engine(struct drive *d);
/* The target could not be opened or read: record a retry or a failure by its class. */
enum step drive_target_failed(struct drive *d, const struct sb_err *why);

/* ---- requests.c: obeying operators ------------------------------------------------ */
enum step drive_obey(struct drive *d);
/* A start request on a stopped operation, before anything else. */
enum step drive_restart(struct drive *d);
/* The target did not take the work, and an operator's start waits for that: true, *step,
 * and the operation is stopped again with the reason. False when it is not so: then it is
 * a failure like any other. */
bool drive_start_failed(struct drive *d, const struct sb_err *why, enum step *step);

/* ---- gate.c: the barrier of a rollout -----------------------------------------------
 */
/* The engine stops before its cutover and waits to be told. */
bool drive_defers_cutover(const struct drive *d);
/* Cut over when the barrier's gate opens; cancel when it never will. */
enum step drive_gate(struct drive *d);
/* In a lease transaction, right before a cutover is sent: no stop or cancel is pending,
 * and the gate is open. */
int drive_may_cut_over(struct drive *d, struct lease_tx *tx, bool *may,
		       struct sb_err *err) MUST_CHECK;

/* ---- replan.c --------------------------------------------------------------------- */
/* What is left of each open task, from the live schema: needed[i] is 1 (its statement is
 * still exactly what is missing), 0 (the target has it), -1 (drifted, see reason). */
struct replan {
	int *needed;
	char **reason;
};
int drive_replan(TALLOC_CTX *ctx, struct drive *d, struct replan *out,
		 struct sb_err *err) MUST_CHECK;

/* ---- settle.c: writing outcomes --------------------------------------------------- */
/* Project, end requests when the operation comes to rest, commit. */
int settle_commit(struct drive *d, struct lease_tx *tx, const struct projection *p,
		  enum state *state, struct sb_err *err) MUST_CHECK;
/* Fail the whole operation with a reason; open tasks that never ran are cancelled. */
int settle_failed(struct drive *d, const char *error_code, const char *reason,
		  struct sb_err *err) MUST_CHECK;
/* All open tasks move by one event (STOP, CANCEL, RETRY, …), then project and commit. */
int settle_all(struct drive *d, enum state_event event, const char *message,
	       struct sb_err *err) MUST_CHECK;
/* One task failed: retryable, or for good (then the later ones are cancelled). */
int settle_task_failure(struct drive *d, struct task *t, const struct sb_err *why,
			struct sb_err *err) MUST_CHECK;
/* Try again later: the target cannot be reached. Tasks stay as they are, because a
 * running one may really be running. */
int settle_retry(struct drive *d, const struct sb_err *why,
		 struct sb_err *err) MUST_CHECK;

#endif
