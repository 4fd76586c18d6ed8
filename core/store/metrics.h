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
/* How long applies took, from their first driver to their end. */
struct metric_recent {
	char *database, *environment, *label; /* success, error */
	int64_t n;
	double average_seconds, longest_seconds;
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
	int64_t operations_wedged; /* due for longer than two lease windows, or for ever
				    */
	int64_t stuck_pending;	   /* applies that nobody began within a lease window */
	int64_t expired_retryable; /* operations that ran out of retries, ever */
	struct metric_total *failures; /* operations, label = error code */
	size_t n_failures;
	struct metric_total *unrecognized; /* words of engines, label = engine */
	size_t n_unrecognized;
	struct metric_total *counters; /* label = the metric's name */
	size_t n_counters;
	struct metric_recent *recent; /* applies that ended within the last day */
	size_t n_recent;
};
int metrics_read(TALLOC_CTX *ctx, struct db *db, struct metrics *out,
		 struct sb_err *err) MUST_CHECK;

#endif
