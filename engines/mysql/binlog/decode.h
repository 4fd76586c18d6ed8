/*
 * decode.h - a binlog stream as changed keys, statements and ends of transactions.
 *
 * Called by the change feed with one packet after the other, in the order of the stream.
 * Pure: no connection, no SQL, so that the same code is fuzzed and replays recorded
 * streams.
 *
 * Must never: report a position that lies behind a change which was not reported before
 * it. A position is only ever the end of a transaction.
 */
#ifndef SB_ENGINES_MYSQL_BINLOG_DECODE_H
#define SB_ENGINES_MYSQL_BINLOG_DECODE_H

#include "engines/mysql/binlog/rows.h"

struct decode_end { /* the stream is between two transactions */
	const char *file;
	uint64_t offset;
	/* Of the one that ended here; number 0 and time 0 when none did, but something of
	 * the server's own came by. */
	const struct event_gtid *gtid;
	uint32_t timestamp; /* seconds since 1970, when it was executed */
};

/* What a stream consists of. Each returns 0, or -1 with *err, which ends the decoding. */
struct decode_handler {
	void *arg;
	/* A row of tables[table] was inserted, updated or deleted under this key. */
	int (*key)(void *arg, size_t table, const struct rows_key *key,
		   struct sb_err *err);
	/* A statement that is neither BEGIN, COMMIT nor ROLLBACK: DDL mostly. */
	int (*statement)(void *arg, const struct event_query *q, struct sb_err *err);
	int (*end)(void *arg, const struct decode_end *end, struct sb_err *err);
	/* The stream is alive and has nothing for us; the position it has come to may
	 * be one inside a transaction, and is not told. */
	int (*heartbeat)(void *arg, struct sb_err *err);
};

struct decoder;

/* `tables` must outlive the decoder, which belongs to ctx. */
struct decoder *decoder_new(TALLOC_CTX *ctx, enum db_flavor flavor,
			    const struct rows_table *tables, size_t n,
			    const struct decode_handler *handler);

/* A stream begins (again) there: nothing that was learnt from an earlier one holds. */
void decoder_begin(struct decoder *d, const char *file, uint64_t offset);

/* What lies in front of this offset in the file that the stream begins with was read
 * before, and is not reported. */
void decoder_pass_over(struct decoder *d, uint64_t offset);

/* Report no more keys of this table: what has its name now is another. */
void decoder_forget(struct decoder *d, size_t table);

/* One event, without the protocol's status byte. -1: the handler's error, or SB_EENGINE:
 * something that cannot be followed. The stream is useless then. */
int decoder_feed(struct decoder *d, const uint8_t *event, size_t len,
		 struct sb_err *err) MUST_CHECK;

#endif
