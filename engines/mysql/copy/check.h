/*
 * check.h - compares the original with its shadow, both as they were at one moment.
 *
 * Used by checksum.c. The snapshots are of connections of their own, opened while nobody
 * could write; the comparison runs in a thread for each, by ranges of the driving key,
 * while the caller goes on.
 *
 * Must never: write anything, or leave a range out.
 */
#ifndef SB_ENGINES_MYSQL_COPY_CHECK_H
#define SB_ENGINES_MYSQL_COPY_CHECK_H

#include "engines/mysql/copy/chunk.h"

struct check_range { /* differs, or seems to: (after, upto], as chunk.h has it */
	char *after, *upto;
};

struct check;

/* Open n connections, for what is behind the bound `after` (NULL = for everything); *out
 * belongs to ctx. Freeing it ends the threads. */
int check_open(TALLOC_CTX *ctx, const struct db_params *target,
	       const struct copy_table *t, const char *after, unsigned n,
	       int64_t chunk_ms, struct check **out, struct sb_err *err) MUST_CHECK;
/* Take the snapshots: now, on every connection. */
int check_snapshot(struct check *c, struct sb_err *err) MUST_CHECK;
/* Begin to compare. */
int check_start(struct check *c, struct sb_err *err) MUST_CHECK;
/* 1 = everything is compared, 0 = working, -1 = a thread gave up, and *err says why. */
int check_state(struct check *c, struct sb_err *err) MUST_CHECK;
uint64_t check_rows(struct check *c);
/* Has a difference been seen? May be asked while it works. */
bool check_differs(struct check *c);
/* Everything up to this bound is equal, of ctx; NULL = that is not known, or something
 * differs. Likewise. */
char *check_equal_upto(TALLOC_CTX *ctx, struct check *c);
/* End what runs (KILL QUERY through `control`) and wait for the threads. */
void check_stop(struct check *c, struct db *control);
/* What differs, once the threads have ended; belongs to c. */
size_t check_ranges(const struct check *c, const struct check_range **out);

/* Do both tables have the same rows in the range? 1, 0, -1; *rows = of the original. */
int check_compare(struct db *db, const struct copy_table *t, const char *after,
		  const char *upto, uint64_t *rows, struct sb_err *err) MUST_CHECK;

#endif
