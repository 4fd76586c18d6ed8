/*
 * reaper.h - one pass over what nobody else will tidy.
 *
 * Called by schemabot-reaper's main, once a minute and host. A pass is a list of duties,
 * each a bounded batch: what is left over comes next time. A duty that fails does not
 * keep the others from their turn.
 *
 * Must never: touch a row or a table that somebody may be working on.
 */
#ifndef SB_SCHEDULER_REAPER_H
#define SB_SCHEDULER_REAPER_H

#include "core/base/config.h"

/* How many of a kind a duty puts right in one pass. */
#define REAPER_BATCH 100

struct reaper {
	TALLOC_CTX *ctx;
	const struct config *config;
	struct db *db;	  /* our storage; owned by ctx */
	int64_t until_ms; /* clock_ms() at which the pass ends */
};

bool reaper_time_left(const struct reaper *r);

/* Every duty in turn. 0, or the exit code of the last failure. */
int reaper_pass(struct reaper *r);

/* reaper_targets.c: the duties on target servers. A target that is away is its own
 * applies' trouble: it is logged and passed over. */
int reaper_tidy_targets(struct reaper *r, struct sb_err *err) MUST_CHECK;
int reaper_drop_scratch(struct reaper *r, struct sb_err *err) MUST_CHECK;

#endif
