/*
 * metrics.h - the numbers behind GET /metrics, counted from the tables.
 *
 * Processes are many and short-lived, so the rows are the counters.
 */
#ifndef SB_STORE_METRICS_H
#define SB_STORE_METRICS_H

#include "core/base/db.h"
#include "core/model/model.h"

struct metric_total {
	char *database, *environment, *label; /* label: a state, an operation/status, … */
	char *label2;
	int64_t n;
};
struct metrics {
	struct metric_total *plans; /* label = success | error */
	size_t n_plans;
	struct metric_total *applies; /* label = state */
	size_t n_applies;
	struct metric_total *controls; /* label = operation, label2 = status */
	size_t n_controls;
	struct metric_total *operations; /* label = state, not settled ones only */
	size_t n_operations;
	int64_t operations_due;	   /* claimable now */
	double oldest_due_seconds; /* how long the oldest of them has been due */
	int64_t operations_leased; /* being driven */
	int64_t operations_wedged; /* due for longer than two lease windows */
	int64_t expired_retryable; /* operations that ran out of retries, ever */
};
int metrics_read(TALLOC_CTX *ctx, struct db *db, struct metrics *out,
		 struct sb_err *err) MUST_CHECK;

#endif
