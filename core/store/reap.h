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

/* Fail the pending requests of applies that are settled: nobody will answer them. Returns
 * how many. */
int reap_orphaned_requests(struct db *db, struct sb_err *err) MUST_CHECK;

/* Operations due for longer than `seconds`: nobody seems to be there to claim them. */
struct reap_wedged {
	char *apply_id, *state;
	int64_t due_seconds;
};
int reap_find_wedged(TALLOC_CTX *ctx, struct db *db, int seconds,
		     struct reap_wedged **out, size_t *n, struct sb_err *err) MUST_CHECK;

#endif
