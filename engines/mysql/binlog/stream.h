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

/*
 * A place in a binlog, always between two transactions: as the server that has it names
 * it, and, where every transaction has a name (MariaDB; MySQL with gtid_mode=ON), as the
 * set of all that lie in front of it, by which any server of the replication group knows
 * the place. A stream begins by the set when there is one; file and offset are then only
 * good for the order of positions of one server.
 */
struct stream_position {
	char *file;
	uint64_t offset;
	char *gtid; /* gtid.h's text; NULL = none */
};

/* The server will not send what was asked for, and a sentence says why: the place is
 * purged, or not known to it, or something else is wrong (stream_proof() tells). */
#define STREAM_REFUSED 1236

struct stream;

/* Where the binlog of the server ends now. *out's text belongs to ctx. SB_EENGINE: the
 * server has no binlog, or we may not see it; the sentence says which right is missing.
 */
int stream_end(TALLOC_CTX *ctx, struct db *db, struct stream_position *out,
	       struct sb_err *err) MUST_CHECK;

/* Is everything there that following rows takes (ROW format, rights, …)? SB_EENGINE with
 * the statement that would mend it. */
int stream_check(struct db *db, struct sb_err *err) MUST_CHECK;

/* Whose binlog it is, of ctx: a failed-over server under the same address has another. */
int stream_server(TALLOC_CTX *ctx, struct db *db, char **out,
		  struct sb_err *err) MUST_CHECK;

/* A copy, of ctx. */
struct stream_position stream_position_copy(TALLOC_CTX *ctx,
					    const struct stream_position *at);
/* <0, 0, >0: order of two positions of one server, by file and offset. */
int stream_position_compare(const struct stream_position *a,
			    const struct stream_position *b);
/* From where everything behind either is seen, of ctx. */
int stream_position_earlier(TALLOC_CTX *ctx, enum db_flavor flavor,
			    const struct stream_position *a,
			    const struct stream_position *b, struct stream_position *out,
			    struct sb_err *err) MUST_CHECK;

/*
 * Can a stream begin at `at`, which `server` was followed up to (stream_server()'s text),
 * without passing over a transaction? 1; 0 = it is proved that it cannot, and *why, of
 * ctx, says so; -1 = that could not be found out.
 */
int stream_proof(TALLOC_CTX *ctx, struct db *db, const struct stream_position *at,
		 const char *server, char **why, struct sb_err *err) MUST_CHECK;

/*
 * Connect and ask for everything from `from` on. 0 and *out, which belongs to ctx; 1 =
 * the server is not `server` any more (NULL: whichever it is), and *err says so; -1.
 */
int stream_open(TALLOC_CTX *ctx, const struct db_params *target,
		const struct stream_position *from, const char *server,
		struct stream **out, struct sb_err *err) MUST_CHECK;

/* Where the decoder begins: file "" when the server chooses it. What lies in front of
 * *pass_over is sent, but has been read before (decoder_pass_over()). */
void stream_begin(const struct stream *s, const char **file, uint64_t *offset,
		  uint64_t *pass_over);

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
