/*
 * control.h - rows of apply_control_requests: what operators asked for.
 *
 * Append-only. A handler inserts a row (control_submit) after the rules allowed it, in
 * one transaction; the driver ends it by id in the transaction of its effect. A generated
 * UNIQUE column makes a second pending request of a kind impossible.
 *
 * Stop and cancel end when the apply comes to rest (control_settle). The other requests
 * of an apply with several operations are obeyed by each operation that they concern, and
 * end when the last one has (control_serve).
 */
#ifndef SB_STORE_CONTROL_H
#define SB_STORE_CONTROL_H

#include "core/base/db.h"
#include "core/store/lease.h"

enum control_outcome {
	CONTROL_ACCEPTED,	   /* a new pending request */
	CONTROL_ALREADY_REQUESTED, /* an equal one is pending */
	CONTROL_ALREADY_DONE,	   /* the apply is already where it would lead */
};

struct control_result {
	enum control_outcome outcome;
	uint64_t request; /* row id, 0 with ALREADY_DONE */
	enum state state; /* the apply's state when it was decided */
	int tasks_open;	  /* tasks it concerns: not settled */
	int tasks_settled;
	int previous_volume; /* volume only */
};

/*
 * Decide and record. Locks the apply's operations and the apply, asks the rule table
 * (control_rules.h), inserts the request, makes the operations that have to obey it and
 * that nobody drives due now, and writes the log line. A start whose stop has taken
 * effect without having been ended ends it first (SEMANTICS D.2). Errors: SB_ENOTFOUND;
 * SB_ECONFLICT, saying which states allow it; SB_EUNSUPPORTED when the engine cannot;
 * SB_EINVALID (environment does not match); SB_ESTORAGE; SB_EAMBIGUOUS. environment may
 * be NULL. engine_caps: what the apply's engine can do. volume: 0 or the new one.
 */
int control_submit(struct db *db, const char *apply_id, const char *environment,
		   enum control control, const char *requested_by, unsigned engine_caps,
		   int volume, struct control_result *out, struct sb_err *err) MUST_CHECK;

/* ---- the driver's side ---------------------------------------------------------------
 */

/* The pending requests of the lease's apply, cancel and stop first. Zero is an answer. */
int control_pending(TALLOC_CTX *ctx, struct db *db, const struct lease *lease,
		    struct control_request **out, size_t *n,
		    struct sb_err *err) MUST_CHECK;

/*
 * End a request in the transaction of its effect: failure NULL = completed, else failed
 * with that reason. A request that is not pending any more is left as it is.
 */
int control_finish(struct lease_tx *tx, const struct control_request *request,
		   const char *failure, struct sb_err *err) MUST_CHECK;

/* This operation has obeyed: end the request unless it concerns a sibling that has not.
 */
int control_serve(struct lease_tx *tx, const struct control_request *request,
		  struct sb_err *err) MUST_CHECK;

/*
 * After the apply's state may have changed, or instead of any work: end every request
 * that has nothing left to wait for. An operation that is stopped with a start or cancel
 * still waiting becomes due, so that whoever is at rest is never at rest with work to do.
 */
int control_settle(struct lease_tx *tx, struct sb_err *err) MUST_CHECK;

/* The latch of `release`: a rollout that paused at a failure may go on, for ever. */
int control_set_released(struct lease_tx *tx, struct sb_err *err) MUST_CHECK;

/* The engine accepted this start and yet does nothing. *seconds: for how long that has
 * been seen, by the database's clock; 0 the first time. */
int control_silence(struct lease_tx *tx, const struct control_request *request,
		    int64_t *seconds, struct sb_err *err) MUST_CHECK;

#endif
