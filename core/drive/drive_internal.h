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
	STEP_PARK,    /* the claim was given back until the next look */
};

/* What one driver remembers about the reports on a task. */
struct task_watch {
	int64_t saved_ms; /* its numbers were written */
	int64_t noted_ms,
		every_ms; /* the last line about it, the next when all is same */
	bool told;	  /* there was one */
	bool phase, news; /* not told yet, since the last line was just now */
};

struct drive {
	TALLOC_CTX *ctx; /* lives as long as this drive */
	const struct config *config;
	struct db *db;
	struct lease lease;
	const struct claim *claim;
	struct heartbeat *heartbeat;

	/* As loaded; replaced by drive_reload(). */
	TALLOC_CTX *loaded;
	struct operation op;
	struct task *tasks;
	size_t n_tasks;
	struct task_watch *watch; /* one for each task */

	/* Fixed for the drive. */
	char *database, *environment;
	struct apply_options options;
	int volume;
	const struct config_deployment *route; /* the operation's deployment */
	bool quarantine_drops;
	int kill_blockers_after;
	struct engine_direct direct;
	const struct engine *engine;

	/* The engine at work. run is NULL when none is open; active are the tasks of the
	 * last start or attach, as indexes into tasks: one for each entry of its work,
	 * NO_TASK for a namespace without a VSchema task. */
	struct engine_run *run;
	TALLOC_CTX *run_ctx, *poll_ctx; /* the second: of the last look, in the first */
	struct engine_work work;	/* of that call; its memory is run_ctx's */
	size_t *active;
	size_t n_active; /* 0 = nothing started */
	bool busy_logged;
	bool given_back;			/* the last commit gave the claim back */
	const struct control_request *starting; /* a start that is being obeyed */
	int64_t cutover_sent_ms; /* at the barrier's gate; 0 = not by this driver */
	int64_t works_ms;	 /* the engine works since; 0 = it does not */
	bool renewed;		 /* former failures do not count any more */
	int64_t wait_ms;	 /* before the next step */
	int64_t poll_ms;	 /* between looks at the engine */
	int looks_left; /* at an external engine, before the operation is parked */
	bool park_now;	/* the next settle_commit() gives the claim back ... */
	bool parked;	/* ... and has done so */
	bool looked;	/* nothing has changed; the caller parks it */
	bool absent;	/* the engine has nothing of what was about to be started */
	bool seen;    /* the engine has said how far it is since it was opened: an effect
		       * whose answer was lost is looked at before it is asked for again */
	bool working; /* … and that it works at it */
	bool quiet;   /* no request was pending when they were last read */
	char *doubt;  /* why the outcome is not known; NULL = it is */
};
#define NO_TASK SIZE_MAX

/* ---- drive.c ------------------------------------------------------------------------
 */
/* What an error of a storage or engine call means for the loop; logs it. */
enum step drive_step_of(struct drive *d, const struct sb_err *err, const char *doing);
/* Leave, saying for what reason the outcome is not known. */
enum step drive_doubt(struct drive *d, const char *why);
int drive_reload(struct drive *d, struct sb_err *err) MUST_CHECK;
bool task_open(const struct task *t); /* not settled */

/* ---- open.c: what an engine is given ------------------------------------------------
 */
bool drive_external(const struct drive *d); /* its work outlives its drivers */
/* All tasks in one engine call: asked by first dispatch and by every resume. */
bool drive_grouped(const struct drive *d);
bool task_is_vschema(const struct task *t); /* has no statement */
int drive_open_engine(struct drive *d, bool evict, struct sb_err *err) MUST_CHECK;
void drive_close_engine(struct drive *d);
/* Build the work of the next call anew from the tasks: all open ones of a group, else the
 * first. */
void drive_choose(struct drive *d);
/* Before an effect that no transaction covers: is there lease enough left for the longest
 * that it can take? SB_EAMBIGUOUS when not, and it must not begin. */
int drive_bounded(struct drive *d, enum engine_effect effect,
		  struct sb_err *err) MUST_CHECK;

/* ---- work.c: the engine's side -------------------------------------------------------
 */
/* A task was handed to an engine, and its end was not observed. */
bool drive_left_running(const struct drive *d);
/* A dead driver's statement may still be running on the target: end it and write what it
 * finished. Afterwards nothing of ours touches the target. */
int drive_quiesce(struct drive *d, struct sb_err *err) MUST_CHECK;
enum step drive_begin(struct drive *d); /* nothing started: what is next? */
/* The engine does not know the work any more: that is a failure, never completion. */
enum step drive_work_gone(struct drive *d);
/* Tell an engine that waits with the deployment to go on. */
int drive_deploy(struct drive *d, struct sb_err *err) MUST_CHECK;
/* Halt the engine, or what a dead driver left running, and write what was finished; with
 * `cancel`, remove what the engine made. 0, or -1 when the target may still be at work.
 */
int drive_halt(struct drive *d, bool cancel, struct sb_err *err) MUST_CHECK;
/* The target could not be opened or read: record a retry or a failure by its class. */
enum step drive_target_failed(struct drive *d, const struct sb_err *why);

/* ---- observe.c: how far it is ------------------------------------------------------
 */
enum step drive_observe(struct drive *d); /* something started: how far is it? */
void drive_look_soon(struct drive *d);	  /* something was just begun */
/* Poll and write what is reported; for a halted engine, whose last word counts. *unknown:
 * it does not know how its work ended. */
int drive_poll_once(struct drive *d, bool *unknown, struct sb_err *err) MUST_CHECK;
/* The engine could not be asked: again, later, or never, by the error's class. */
enum step drive_poll_failed(struct drive *d, const struct sb_err *why);

/* ---- timeline.c: lines about progress -----------------------------------------------
 */
/* Before the report's numbers are taken over: is a line due? */
bool timeline_due(struct task_watch *w, const struct task *t,
		  const struct engine_progress *p);
/* Afterwards: write it. */
int timeline_note(struct lease_tx *tx, struct task_watch *w, const struct task *t,
		  enum state state, struct sb_err *err) MUST_CHECK;

/* ---- requests.c: obeying operators ------------------------------------------------ */
enum step drive_obey(struct drive *d);
/* A start request on a stopped operation, before anything else. */
enum step drive_restart(struct drive *d);
/* A start that this operation has not served yet: 1 and *out, 0, -1. */
int drive_find_start(TALLOC_CTX *ctx, struct drive *d, struct control_request *out,
		     struct sb_err *err) MUST_CHECK;
/* The target did not take the work, and an operator's start waits for that: true, *step,
 * and the operation is stopped again with the reason. False when it is not so: then it is
 * a failure like any other. */
bool drive_start_failed(struct drive *d, const struct sb_err *why, enum step *step);
/* An external engine that accepted an operator's start says that it is stopped: true, and
 * *step is CONTINUE while that is tolerated; then the start has failed. False when no
 * start waits. */
bool drive_start_silent(struct drive *d, enum step *step);

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
/* Something has become due that this driver does not take itself. Best effort. */
void drive_wake_scheduler(struct drive *d);
/* Project, end requests when the operation comes to rest, commit. */
int settle_commit(struct drive *d, struct lease_tx *tx, const struct projection *p,
		  enum state *state, struct sb_err *err) MUST_CHECK;
/* Fail the whole operation with a reason; open tasks that never ran are cancelled. */
int settle_failed(struct drive *d, const char *error_code, const char *reason,
		  struct sb_err *err) MUST_CHECK;
/* All open tasks move by one event (STOP, CANCEL, RETRY, …), then project and commit. */
int settle_all(struct drive *d, enum state_event event, const char *message,
	       struct sb_err *err) MUST_CHECK;
/* One task failed: retryable (what was to run with it waits again), or for good (then the
 * later ones are cancelled). ended: the engine's work is over, its state is forgotten. */
int settle_task_failure(struct drive *d, struct task *t, const struct sb_err *why,
			bool ended, struct sb_err *err) MUST_CHECK;
/* Try again later: the target cannot be reached. Tasks stay as they are, because a
 * running one may really be running. */
int settle_retry(struct drive *d, const struct sb_err *why,
		 struct sb_err *err) MUST_CHECK;

#endif
