/*
 * settle.h - a range that differs, or seems to: made equal, or shown to be.
 *
 * Used by checksum.c. The original's rows are put into a temporary table of the shadow's
 * columns, so that the server itself converts them as the copy did, and those are
 * compared with the shadow's.
 *
 * Must never: change a shadow while its original can be written to, or call rows equal
 * that are not stored alike.
 */
#ifndef SB_ENGINES_MYSQL_COPY_SETTLE_H
#define SB_ENGINES_MYSQL_COPY_SETTLE_H

#include "engines/mysql/copy/check.h"

struct settle;

/* A connection (CONNECT_CHECK) and its temporary table; *out belongs to ctx. */
int settle_open(TALLOC_CTX *ctx, const struct db_params *target,
		const struct copy_table *t, struct settle **out,
		struct sb_err *err) MUST_CHECK;

/* Are the range's rows equal, as they are now? 1, 0, -1. */
int settle_equal(struct settle *s, const struct check_range *r,
		 struct sb_err *err) MUST_CHECK;
/* The first key that settle_equal() has just found to differ, for people; of ctx. */
int settle_first_key(TALLOC_CTX *ctx, struct settle *s, const struct check_range *r,
		     char **out, struct sb_err *err) MUST_CHECK;
/* Make the shadow's rows what the original's are; nobody writes to it, and everything is
 * flushed. 1, 0 = another row is in the way (a unique key), -1. */
int settle_repair(struct settle *s, const struct check_range *r,
		  struct sb_err *err) MUST_CHECK;

#endif
