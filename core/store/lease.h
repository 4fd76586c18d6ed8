/*
 * lease.h - owning an operation, and the only door through which an owner writes.
 *
 * The lease token is a fencing number, monotonic per operation. Every write a driver
 * makes happens between lease_tx_begin() and lease_tx_commit(): begin locks the
 * operation's row on the condition that the token is still ours, so that a write either
 * precedes the next claim or fails with SB_ELEASE and changes nothing (DESIGN.md 3). All
 * writers of this folder that a driver may call take a struct lease_tx, so that no owned
 * write can be made outside of one.
 *
 * Must never: compare with this host's clock, or call a lost connection a lost lease.
 */
#ifndef SB_STORE_LEASE_H
#define SB_STORE_LEASE_H

#include "core/base/db.h"
#include "core/model/model.h"

struct lease {
	uint64_t operation, apply_row; /* row ids */
	uint64_t token;
	char apply_id[65]; /* public identifier, for logs and locks */
	/* Of the apply, which never changes. More than one: a lease transaction locks all
	 * of them, because what happens to one decides about the others. */
	int n_operations;
};

struct lease_tx {
	struct db *db;
	const struct lease *lease;
};

/*
 * Locks the operation on the condition that the lease is ours; of an apply with several
 * operations all of them, one by one in the order of their ids, as control_submit() does.
 * SB_ELEASE: somebody else owns the operation, nothing was written. A lease of operation
 * 0 owns none: it locks those of the apply for somebody who decides about all of them.
 */
int lease_tx_begin(struct db *db, const struct lease *lease, struct lease_tx *tx,
		   struct sb_err *err) MUST_CHECK;
/* Bumps the apply's revision and commits. SB_EAMBIGUOUS when the answer was lost. */
int lease_tx_commit(struct lease_tx *tx, struct sb_err *err) MUST_CHECK;
void lease_tx_rollback(struct lease_tx *tx);

/* Push claim_after LEASE_SECONDS into the future. SB_ELEASE when it is not ours any more.
 */
int lease_heartbeat(struct db *db, const struct lease *lease,
		    struct sb_err *err) MUST_CHECK;

/* Milliseconds that the lease has left, by the database's clock; SB_ELEASE as above. An
 * effect that no transaction covers may begin only when this exceeds its own timeout. */
int lease_remaining_ms(struct db *db, const struct lease *lease, int64_t *ms,
		       struct sb_err *err) MUST_CHECK;

/* A line of the timeline. task_id, old_state and new_state may be "". */
int lease_log(struct lease_tx *tx, const char *task_id, const char *level,
	      const char *event_type, const char *old_state, const char *new_state,
	      const char *message, struct sb_err *err) MUST_CHECK;

#endif
