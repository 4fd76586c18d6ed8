/*
 * operation.h - rows of apply_operations: the queue, the claim, the derived state.
 *
 * Called by the driver and the scheduler; handlers only read operations through
 * apply_bundle(). The only file, with lease.c, that knows the SQL of this table's queue.
 */
#ifndef SB_STORE_OPERATION_H
#define SB_STORE_OPERATION_H

#include "core/model/rollout.h"
#include "core/store/lease.h"

struct claim {
	struct lease lease;
	enum state state;
	int attempt;	       /* after counting this claim */
	bool too_old;	       /* a retry whose last failure is out of the window */
	bool predecessor_died; /* the last owner did not hand the claim back */
	bool parked;	       /* an engine has its work, and goes on without us */
	int64_t made_ms; /* clock_ms() from before it was made: its window began later */
	/* Of claims made together, as read in the claim's transaction; NULL = not read.
	 */
	struct operation *loaded;
	struct task *tasks;
	size_t n_tasks;
};

/* Called with the claims before they are committed, so that the caller can write down
 * what it is about to own; -1 gives them up. */
typedef int (*claim_note)(void *arg, const struct claim *claims, size_t n,
			  struct sb_err *err);

/*
 * Claim the operation that has been due for longest: 1 and *out, 0 when nothing is due.
 * Counts an attempt when it was failed_retryable, and when its drivers keep dying
 * (DEATHS_FREE). SB_EAMBIGUOUS when the COMMIT's answer was lost: the claim may exist,
 * and expires by itself.
 */
int operation_claim(struct db *db, const char *owner, claim_note note, void *arg,
		    struct claim *out, struct sb_err *err) MUST_CHECK;

/* Claim up to eight operations that are parked and due, and read them; 0 is an answer.
 * What was read belongs to ctx. For a driver that has just met one of them;
 * operation_claim() sees to it that no other waits for long. */
#define CLAIM_PARKED 8
int operation_claim_parked(TALLOC_CTX *ctx, struct db *db, const char *owner,
			   claim_note note, void *arg, struct claim out[CLAIM_PARKED],
			   size_t *n, struct sb_err *err) MUST_CHECK;

/* Park what was claimed so and has not changed, as operation_park() does for one.
 * SB_ELEASE when some of them are not ours any more: the others are parked. */
int operation_park_all(struct db *db, const struct lease *leases, size_t n, int seconds,
		       struct sb_err *err) MUST_CHECK;

/* How many are due now, and the milliseconds until the next one is (-1: none at all). */
int operation_due(struct db *db, int64_t *n, int64_t *next_ms,
		  struct sb_err *err) MUST_CHECK;

/* The kernel has proved the owner of this claim dead: make it due now. Fenced by the
 * token and the owner; 1 when it was still that claim, else 0. The death stays on
 * record. */
int operation_reclaim(struct db *db, uint64_t operation, uint64_t token,
		      const char *owner, struct sb_err *err) MUST_CHECK;

int operation_load(TALLOC_CTX *ctx, struct db *db, const struct lease *lease,
		   struct operation *out, struct sb_err *err) MUST_CHECK;

/* ---- owned writes ------------------------------------------------------------------ */

/* Give the claim back in good order: due now (delay 0) or later, no attempt spent. */
int operation_hand_back(struct lease_tx *tx, int delay_seconds,
			struct sb_err *err) MUST_CHECK;

/* Its outcome is not known, for this reason: shown until its state changes. */
int operation_note_doubt(struct lease_tx *tx, const char *reason,
			 struct sb_err *err) MUST_CHECK;

/* An operator has started it again: attempts and deaths are counted anew. */
int operation_renew(struct lease_tx *tx, struct sb_err *err) MUST_CHECK;

/* Remember what the engine needs to continue; NULL forgets it. accepted: the engine has
 * said that it has the work; false: it is about to be asked. */
int operation_save_engine_state(struct lease_tx *tx, const char *engine_state,
				bool accepted, struct sb_err *err) MUST_CHECK;

/* The engine has said a word that we do not know. */
int operation_count_unrecognized(struct lease_tx *tx, struct sb_err *err) MUST_CHECK;

/*
 * Give the claim of an operation, whose work goes on without us, back until the next
 * look. One statement, fenced by the token like a heartbeat, because it is made for
 * thousands of operations every other second; inside a lease transaction it is part of
 * that. With a request pending that nobody has looked at since the claim it is due at
 * once. poll_errors is stored beside it, -1 leaves it. SB_ELEASE when it is not ours any
 * more.
 */
int operation_park(struct db *db, const struct lease *lease, int seconds, int poll_errors,
		   struct sb_err *err) MUST_CHECK;

/* How far it is, as a number that grows. Further than ever before: the count of deaths in
 * a row starts again. */
int operation_note_progress(struct lease_tx *tx, uint64_t mark,
			    struct sb_err *err) MUST_CHECK;

/*
 * Derive the operation's state from its tasks and the apply's from its operations, write
 * what changed with its log lines, and set claim_after to what the table in DESIGN.md 3
 * says for the new state. forced: -1, or the state of an operation whose tasks cannot say
 * it (it has none). error_* describe a failure; NULL otherwise. SB_ECONFLICT when the
 * apply would become active beside another one.
 *
 * Of several operations (core/model/rollout.h) those that have not begun and that nobody
 * owns are freed, held, stopped or cancelled as the order and pending requests demand;
 * and this one, when it is about to begin and may not, is given back likewise.
 */
struct projection {
	int forced;
	const char *error_code, *error_message;
	const char *message; /* for the log line, or NULL */
};
struct projected {
	enum state operation, apply;
	bool given_back; /* the claim is: nothing more may be done under this lease */
	bool freed;	 /* another operation has become due */
};
int operation_project(struct lease_tx *tx, const struct projection *p,
		      struct projected *out, struct sb_err *err) MUST_CHECK;

/*
 * May this operation pass its cutover (rollout_gate)? A read; it decides only when made
 * in a lease transaction. blocker, of ctx: the deployment that shuts the gate, or NULL.
 */
struct operation_gate {
	enum rollout_gate gate;
	const char *blocker;
};
int operation_gate(TALLOC_CTX *ctx, struct db *db, const struct lease *lease,
		   struct operation_gate *out, struct sb_err *err) MUST_CHECK;

/* ---- for the reaper ---------------------------------------------------------------- */

/*
 * Derive an apply's state, and who of it is held, free or cancelled, from nothing but the
 * rows, in a transaction of its own that locks all of its operations in order: repairs a
 * parent or a hold that a lost transition left behind. Touches no operation that is owned
 * or has begun. *changed: something was written.
 */
int apply_rederive(struct db *db, uint64_t apply_row, const char *apply_id, bool *changed,
		   struct sb_err *err) MUST_CHECK;

#endif
