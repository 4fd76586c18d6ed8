/*
 * apply_log.h - rows of apply_logs: the timeline that users see.
 *
 * Read by handlers. Written inside the transaction of the change that a line tells of:
 * by the driver through lease.h, by apply_create() and control_submit().
 */
#ifndef SB_STORE_APPLY_LOG_H
#define SB_STORE_APPLY_LOG_H

#include "core/base/db.h"
#include "core/model/model.h"

/* The newest `limit` lines of an apply with id < before (0 = all), oldest first. */
int apply_log_read(TALLOC_CTX *ctx, struct db *db, const char *apply_id, uint64_t before,
		   int limit, struct log_entry **out, size_t *n,
		   struct sb_err *err) MUST_CHECK;

#endif
