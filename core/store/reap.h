/*
 * reap.h - what the reaper looks for in storage.
 *
 * Called by schemabot-reaper only. It touches a row that somebody could be driving only
 * after claiming it like a driver does, so that everything it writes is fenced.
 */
#ifndef SB_STORE_REAP_H
#define SB_STORE_REAP_H

#include "core/store/operation.h"

/*
 * Claim one failed_retryable operation that has no retries left or whose last failure is
 * older than RETRY_WINDOW_SECONDS: 1 and *out (attempt not counted up), 0 when there is
 * none, -1. *too_old says which of the two it is.
 */
int reap_claim_expired(struct db *db, const char *owner, struct claim *out, bool *too_old,
		       struct sb_err *err) MUST_CHECK;

/*
 * What follows writes in one transaction an apply, which locks all of its operations one
 * by one in the order of their ids and then the apply, like drivers and handlers do.
 * Nothing that somebody has a lease on is ever changed: the statements say so themselves.
 * All return how many rows they put right, at most `batch`, or -1.
 */

/*
 * Operations that nobody drives and that wait under an apply which is settled and quiet
 * for QUIET_SECONDS take its state; open tasks under a settled operation are cancelled,
 * or failed when they had begun and the operation failed (SEMANTICS C.5 a, b).
 */
int reap_orphans(struct db *db, int batch, struct sb_err *err) MUST_CHECK;

/* End the pending requests of applies that are settled: nobody else will answer them. */
int reap_orphaned_requests(struct db *db, int batch, struct sb_err *err) MUST_CHECK;

/*
 * Applies whose state does not follow from their operations any more, or whose held
 * operations nobody has released: derive both anew. A sign of it is that nothing of an
 * apply can be claimed though it is not at rest.
 */
int reap_stale_applies(struct db *db, int batch, struct sb_err *err) MUST_CHECK;

/* The timelines of applies that have been settled for so many days. */
int reap_old_logs(struct db *db, int days, int batch, struct sb_err *err) MUST_CHECK;

/*
 * May what an apply left on a target for a deployment (NULL = any) go? 1: every apply
 * whose id begins so, and there is one, is settled there, and for that many hours (-1:
 * for as long as the apply's own option keep_old says). 0 otherwise. -1.
 */
int reap_is_over(struct db *db, const char *apply_id, const char *deployment,
		 int settled_hours, struct sb_err *err) MUST_CHECK;

/* What is stuck: operations due for longer than `seconds`, which nobody seems to be there
 * to claim, and applies in which nothing is left to claim though they are not at rest. */
struct reap_wedged {
	char *apply_id, *state;
	int64_t due_seconds; /* -1 = nothing of it can ever be claimed */
};
int reap_find_wedged(TALLOC_CTX *ctx, struct db *db, int seconds,
		     struct reap_wedged **out, size_t *n, struct sb_err *err) MUST_CHECK;

/* The same as a part of a SELECT, for the gauge; one `?`: seconds. */
#define REAP_STUCK_APPLIES                                                        \
	" FROM applies a WHERE a.state NOT IN ('completed','failed','cancelled'," \
	"'reverted','stopped','paused') AND a.updated_at < NOW(6)"                \
	" - INTERVAL ? SECOND AND NOT EXISTS (SELECT 1 FROM apply_operations o"   \
	" WHERE o.apply_row = a.id AND o.claim_after IS NOT NULL)"

#endif
