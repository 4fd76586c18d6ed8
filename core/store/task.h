/*
 * task.h - rows of tasks: one statement each.
 *
 * Inserted by apply_create(), read by the driver here and by handlers through
 * apply_bundle(); changed only by the driver, inside a lease transaction.
 *
 * Must never: move a task along an edge that state.def does not have.
 */
#ifndef SB_STORE_TASK_H
#define SB_STORE_TASK_H

#include "core/store/lease.h"

/* How many tasks the operation owns, asked apart from loading them: zero loaded is not
 * zero owned. */
int task_count(struct db *db, const struct lease *lease, int64_t *n,
	       struct sb_err *err) MUST_CHECK;

/* The tasks of the operation, by seq. Zero rows is an answer, not an error. */
int task_load_all(TALLOC_CTX *ctx, struct db *db, const struct lease *lease,
		  struct task **out, size_t *n, struct sb_err *err) MUST_CHECK;

/* The tasks of up to eight operations, by operation and seq; 0 = no operation. */
int task_load_eight(TALLOC_CTX *ctx, struct db *db, const uint64_t operations[8],
		    struct task **out, size_t *n, struct sb_err *err) MUST_CHECK;

/*
 * Move a task by an event of state.def and say why in the log. t->state is changed on
 * success. error: NULL, or the reason that the task shows. SB_EINTERNAL for an edge that
 * does not exist, SB_ESTORAGE when the row was not in t->state.
 */
int task_move(struct lease_tx *tx, struct task *t, enum state_event event, enum state to,
	      const char *error, struct sb_err *err) MUST_CHECK;

/* Write t's counters (rows, percent, eta, throttle, detail, cutover attempts,
 * is_instant). */
int task_save_progress(struct lease_tx *tx, const struct task *t,
		       struct sb_err *err) MUST_CHECK;

#endif
