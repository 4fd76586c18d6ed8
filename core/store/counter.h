/*
 * counter.h - rows of counters: what happened so often and left nothing to count.
 *
 * Written by the reaper, read by metrics.c. Names are the metrics' own, so that /metrics
 * can show whatever is there.
 */
#ifndef SB_STORE_COUNTER_H
#define SB_STORE_COUNTER_H

#include "core/base/db.h"

/*  counter                             what it counts                                */
#define COUNTERS(X)                                                                  \
	X(STRANDED_OPERATIONS, "operator_stranded_operations_reaped_total",          \
	  "Operations and tasks that the reaper settled under a settled apply.")     \
	X(STALE_APPLIES, "operator_stale_applies_rederived_total",                   \
	  "Applies whose state or holds the reaper derived anew.")                   \
	X(CHECKPOINTS, "checkpoints_removed_total",                                  \
	  "Checkpoints of settled operations that the reaper removed from targets.") \
	X(TABLES, "leftover_tables_dropped_total",                                   \
	  "Copies and replaced tables of settled applies that the reaper dropped.")  \
	X(DROPS, "pending_drops_cleanup_dropped_total",                              \
	  "Quarantined tables that were dropped after their retention.")             \
	X(DROPS_SKIPPED, "pending_drops_cleanup_skipped_total",                      \
	  "Looks at something in the quarantine that is not ours, and stays.")       \
	X(DROPS_LOCKED, "pending_drops_cleanup_lock_skipped_total",                  \
	  "Times that another reaper was cleaning a target's quarantine.")           \
	X(ERRORS, "pending_drops_cleanup_errors_total",                              \
	  "What the reaper could not remove from a target.")                         \
	X(LOGS, "log_lines_removed_total",                                           \
	  "Lines of the timelines of settled applies that were past their retention.")

enum counter {
#define X(name, metric, help) COUNTER_##name,
	COUNTERS(X)
#undef X
		COUNTER_COUNT
};
const char *counter_name(enum counter c);
const char *counter_help(enum counter c);

/* database and environment: "" when it belongs to none. n = 0 does nothing. */
int counter_add(struct db *db, enum counter c, const char *database,
		const char *environment, int64_t n, struct sb_err *err) MUST_CHECK;

#endif
