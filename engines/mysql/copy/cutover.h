/*
 * cutover.h - the shadow becomes the table, in one moment that loses no write.
 *
 * Used by change.c when the shadow has caught up. Sources: ENGINE.md 7.5, where each way
 * was tried under load on both servers.
 *
 * Must never: let a write reach the original after the last look at it, or say that it
 * happened or did not when that is not known.
 */
#ifndef SB_ENGINES_MYSQL_COPY_CUTOVER_H
#define SB_ENGINES_MYSQL_COPY_CUTOVER_H

#include "engines/mysql/copy/copy.h"

/* Writers wait for so long at most: for the lock, and while it is held. */
#define CUTOVER_BUDGET_MS    3000
#define CUTOVER_LOCK_SECONDS 1
#define CUTOVER_HOLD_MS	     (CUTOVER_BUDGET_MS - 1000 * CUTOVER_LOCK_SECONDS)

struct cutover {
	const struct db_params *target;
	const struct copy_table *const *tables; /* several swap together */
	size_t n;
	/*
	 * `locked` holds write locks on all tables. Bring the shadows up to the end of
	 * the binlog by then (clock_ms()). 1 = they are, 0 = not in time, -1.
	 */
	int (*drain)(void *arg, struct db *locked, int64_t until_ms, struct sb_err *err);
	/* A connection of ours that will execute RENAME. */
	void (*own)(void *arg, uint64_t connection_id);
	/* The last moment to say no: 0 = go. */
	int (*may)(void *arg, struct sb_err *err);
	void *arg;
};

/* Does the server let a RENAME that waits go before the writers that wait behind it?
 * SB_EENGINE names the setting with which it does not. */
int cutover_check(struct db *control, struct sb_err *err) MUST_CHECK;

/*
 * Try once. 1 = done: every table is the new one. 0 = not this time and nothing has
 * changed, *err says what was in the way. -1: SB_EAMBIGUOUS when the truth is not to be
 * had now, else the reason why trying again is of no use. `control` is a connection
 * without locks.
 */
int cutover_try(const struct cutover *c, struct db *control,
		struct sb_err *err) MUST_CHECK;

/* What the server says: 1 = the table is the new one and the old one lies beside it, 0 =
 * not, -1 = no answer, or (SB_EENGINE) neither. */
int cutover_truth(struct db *control, const struct copy_table *t,
		  struct sb_err *err) MUST_CHECK;

/* Drop the table that an earlier statement of the same apply has replaced: the table is
 * to be replaced once more. */
int cutover_drop_old(struct db *db, const struct copy_table *t,
		     struct sb_err *err) MUST_CHECK;

/* After a swap: see to it that nobody but a person drops the table that was replaced. */
int cutover_keep_old(struct db *db, const struct copy_table *t,
		     struct sb_err *err) MUST_CHECK;

/* Is the shadow one too many: is the table there, and nothing that it was replaced by? 1,
 * 0 also when there is no shadow, -1. */
int cutover_spare(struct db *db, const struct copy_table *t,
		  struct sb_err *err) MUST_CHECK;

/* Remove what an attempt of a dead driver left: never a table with rows in it. */
int cutover_tidy(struct db *control, const struct copy_table *t,
		 struct sb_err *err) MUST_CHECK;

#endif
