/*
 * flush.h - make the shadow's rows for a set of keys what the original's rows are.
 *
 * Used by change.c with what feed_take() gave. In which order the keys' events came does
 * not matter: each key's row is read anew, under a lock that waits for transactions that
 * are in the binlog and not visible yet (ENGINE.md 6.4).
 *
 * Must never: be called while a chunk is in flight that could cover one of the keys.
 */
#ifndef SB_ENGINES_MYSQL_COPY_FLUSH_H
#define SB_ENGINES_MYSQL_COPY_FLUSH_H

#include "engines/mysql/copy/chunk.h"
#include "engines/mysql/copy/feed.h"

struct flush {
	struct db *db; /* a connection of the copy's (copy_connect), CONNECT_FLUSH */
	const struct copy_table *t;
	struct feed *feed;
	size_t table; /* t's number in the feed */
	/* Rows behind this bound are not in the shadow, and shall not be: the copy will
	 * bring them. NULL and !all: no row is. */
	const char *watermark;
	bool all; /* the copy is complete: every row belongs there */
	/* db holds LOCK TABLES … WRITE on both: no transactions, which would end that. */
	bool locked;
	/* Called between batches: -1 (*err filled) ends the flush. May be NULL. */
	int (*pause)(void *arg, struct sb_err *err);
	void *arg;
	/* out */
	uint64_t flushed;
	size_t given_back; /* locked by others for too long: they are in the feed again */
	struct sb_err *duplicate; /* the server's words when one would not go in; the
				     caller frees it */
};

/*
 * Flush all keys. 0: done, but for what was given back; only when nothing was has the
 * feed's position been applied. -1: the server was lost, or refuses.
 */
int flush_keys(struct flush *f, const struct pending *keys,
	       struct sb_err *err) MUST_CHECK;

#endif
