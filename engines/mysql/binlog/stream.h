/*
 * stream.h - one connection that a server sends its binlog through, as if to a replica.
 *
 * Used by the change feed, in a thread of its own: reading blocks. The only place that
 * knows how the client libraries do it (MariaDB Connector/C has no call for it that works
 * with MySQL's events; Oracle's library has mysql_binlog_fetch()).
 *
 * Must never: skip a part of the stream. A reader that reconnects names the position
 * itself, and the server refuses one that it does not have any more.
 */
#ifndef SB_ENGINES_MYSQL_BINLOG_STREAM_H
#define SB_ENGINES_MYSQL_BINLOG_STREAM_H

#include "core/base/db.h"

/* The server says so often that it is alive, when it has nothing else to say. */
#define STREAM_HEARTBEAT_MS 500
/* Silence for so long means that the connection is dead. */
#define STREAM_SILENCE_SECONDS 10

struct stream_position { /* a place in a binlog: always between two transactions */
	char *file;
	uint64_t offset;
};

struct stream;

/* Where the binlog of the server ends now. *out's text belongs to ctx. SB_EENGINE: the
 * server has no binlog, or we may not see it; the sentence says which right is missing.
 */
int stream_end(TALLOC_CTX *ctx, struct db *db, struct stream_position *out,
	       struct sb_err *err) MUST_CHECK;

/* Is everything there that following rows takes (ROW format, rights, …)? SB_EENGINE with
 * the statement that would mend it. */
int stream_check(struct db *db, struct sb_err *err) MUST_CHECK;

/* Connect and ask for everything from `from` on. *out belongs to ctx. */
int stream_open(TALLOC_CTX *ctx, const struct db_params *target,
		const struct stream_position *from, struct stream **out,
		struct sb_err *err) MUST_CHECK;

/*
 * The next event, valid until the next call; waits for it. -1: SB_ERETRY (the connection
 * is lost: open another from the last position), or SB_EENGINE (the server refuses: the
 * position is purged, a right is missing).
 */
int stream_next(struct stream *s, const uint8_t **event, size_t *len,
		struct sb_err *err) MUST_CHECK;

/* Its socket, for shutdown() by a thread that wants stream_next() to return. */
int stream_socket(const struct stream *s);
enum db_flavor stream_flavor(const struct stream *s);

#endif
