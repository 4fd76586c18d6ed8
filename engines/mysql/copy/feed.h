/*
 * feed.h - the change feed: a thread that reads the binlog and keeps the keys of changed
 * rows until somebody takes them.
 *
 * Used by change.c: one feed for all tables of a change, so that they share a position.
 *
 * Must never: forget a key that it has read, or say that it has come to a position before
 * every key up to there can be taken.
 */
#ifndef SB_ENGINES_MYSQL_COPY_FEED_H
#define SB_ENGINES_MYSQL_COPY_FEED_H

#include "engines/mysql/binlog/decode.h"
#include "engines/mysql/binlog/stream.h"
#include "engines/mysql/copy/copy.h"
#include "engines/mysql/copy/pending.h"

/* With so many bytes of keys waiting the feed reads no further. */
#define FEED_MAX_BYTES ((size_t)16 << 20)

struct feed;

struct feed_source {
	const struct db_params *target;
	enum db_flavor flavor;
	const char *server; /* stream_server()'s text: no other is read from */
};

/* Read from `from` on; it was the end of the binlog before the first row was copied, or
 * was stored by a former driver. *out belongs to ctx; freeing it ends the thread. */
int feed_start(TALLOC_CTX *ctx, const struct feed_source *source,
	       const struct copy_table *const *tables, size_t n,
	       const struct stream_position *from, struct feed **out,
	       struct sb_err *err) MUST_CHECK;

/*
 * Take all keys: out[i] is the set of tables[i], which belongs to ctx then. *at is where
 * the feed was: once these have been flushed, everything up to there is.
 */
void feed_take(TALLOC_CTX *ctx, struct feed *f, struct pending **out,
	       struct stream_position *at);
/* 1 = nothing waits, and everything up to *at (of ctx) was seen; 0 = something does. */
int feed_idle(TALLOC_CTX *ctx, struct feed *f, struct stream_position *at);
/* Statements of this connection are ours, and no reason to end; a RENAME of a table ends
 * its following. */
void feed_own(struct feed *f, uint64_t connection_id);
/* Put one back that could not be flushed. */
void feed_give_back(struct feed *f, size_t table, const uint8_t *key, size_t len);

/* Keys that wait, of all tables. */
size_t feed_waiting(struct feed *f);
/* It waits for somebody to take its keys. */
bool feed_is_full(struct feed *f);
/* Whole seconds between the execution of the last transaction that was read and now; 0
 * when the end of the binlog was reached lately. */
int64_t feed_lag_seconds(struct feed *f);

/* 0 = it reads, -1 = it ended: SB_EENGINE (somebody's DDL, something that cannot be
 * followed), SB_ERETRY (the server is away for longer than it tries, is another one, or
 * has purged what comes next: stream_proof() says what is to be done then). */
int feed_state(struct feed *f, struct sb_err *err) MUST_CHECK;

/* Has it come to this position? Waits for it up to ms. 1, 0 = not yet, -1 as above. */
int feed_reached(struct feed *f, const struct stream_position *at, int64_t ms,
		 struct sb_err *err) MUST_CHECK;

/* How the server writes the key's columns, for value_literal(); NULL before the first. */
const struct value_column *feed_key_columns(struct feed *f, size_t table);

/* Read nothing more. Returns when the thread has ended; what was read can be taken. */
void feed_stop(struct feed *f);

#endif
