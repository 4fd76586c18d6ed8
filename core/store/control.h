/*
 * control.h - rows of apply_control_requests: what operators asked for.
 *
 * Append-only. A handler inserts a row (control_submit) after the state allowed it, in
 * the same transaction; the driver completes it by id in the transaction of its effect.
 * A generated UNIQUE column makes a second pending request of a kind impossible.
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
 * Decide and record. Locks the apply, asks the rule table (control_rules.c: which states
 * allow which request, what outranks what), inserts the request, makes an operation that
 * nobody drives due now, and writes the log line.
 * Errors: SB_ENOTFOUND; SB_ECONFLICT, saying which states allow it; SB_EUNSUPPORTED when
 * the engine cannot; SB_EINVALID (environment does not match); SB_ESTORAGE;
 * SB_EAMBIGUOUS. environment may be NULL. engine_caps: what the apply's engine can do.
 * volume: 0 or the new one.
 */
int control_submit(struct db *db, const char *apply_id, const char *environment,
		   enum control control, const char *requested_by, unsigned engine_caps,
		   int volume, struct control_result *out, struct sb_err *err) MUST_CHECK;

/* The pending requests of the lease's apply, stop and cancel first. Zero is an answer. */
int control_pending(TALLOC_CTX *ctx, struct db *db, const struct lease *lease,
		    struct control_request **out, size_t *n,
		    struct sb_err *err) MUST_CHECK;

/*
 * End a request in the transaction of its effect: failure NULL = completed, else failed
 * with that reason. A request that is not pending any more is left as it is.
 */
int control_finish(struct lease_tx *tx, const struct control_request *request,
		   const char *failure, struct sb_err *err) MUST_CHECK;

#endif
