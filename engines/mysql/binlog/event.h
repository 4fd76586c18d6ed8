/*
 * event.h - binlog events: where one begins and ends, and what kind it is.
 *
 * Called by feed.c's decoder for each packet of a binlog stream. Knows the events of
 * MariaDB 10.6 to 11.x and MySQL 8.0 to 9.x, as a table; what is in a row event is for
 * rows.h.
 *
 * Must never: pass over an event that it does not know, unless the server marked it as
 * ignorable: it could hold changes of a table.
 *
 * Source: "Binary Log Event" and "Binary Log Version" in the MySQL source documentation
 * (libbinlogevents), "Replication protocol" in MariaDB's knowledge base.
 */
#ifndef SB_ENGINES_MYSQL_BINLOG_EVENT_H
#define SB_ENGINES_MYSQL_BINLOG_EVENT_H

#include "core/base/db.h"
#include "engines/mysql/binlog/wire.h"

/* What an event means to somebody who follows the rows of a few tables. */
enum event_kind {
	EVENT_FORMAT,  /* begins a file: lengths and checksum of what follows */
	EVENT_ROTATE,  /* names the file that follows */
	EVENT_QUERY,   /* a statement: BEGIN, DDL, or DML of a session that logs those */
	EVENT_COMMIT,  /* a transaction is complete */
	EVENT_PREPARE, /* an XA transaction is prepared: complete as far as we care */
	EVENT_TABLE_MAP, /* which table the row events that follow are about */
	EVENT_ROWS,	 /* see rows.h */
	EVENT_GTID,	 /* begins a transaction and names it */
	EVENT_HEARTBEAT, /* nothing happened */
	EVENT_PAYLOAD,	 /* a whole transaction, compressed (MySQL) */
	EVENT_NOTHING,	 /* of no concern to us */
	EVENT_REFUSED,	 /* changes that cannot be followed; the table says what to do */
};

/*  code, name, kind, MariaDB's own, refused: why and what to do */
#define BINLOG_EVENTS(X)                                                                \
	X(2, QUERY, QUERY, false, "")                                                   \
	X(3, STOP, NOTHING, false, "")                                                  \
	X(4, ROTATE, ROTATE, false, "")                                                 \
	X(5, INTVAR, NOTHING, false, "")                                                \
	X(13, RAND, NOTHING, false, "")                                                 \
	X(14, USER_VAR, NOTHING, false, "")                                             \
	X(15, FORMAT_DESCRIPTION, FORMAT, false, "")                                    \
	X(16, XID, COMMIT, false, "")                                                   \
	X(17, BEGIN_LOAD_QUERY, REFUSED, false,                                         \
	  "a LOAD DATA that was logged as a statement: use binlog_format=ROW in every " \
	  "session")                                                                    \
	X(18, EXECUTE_LOAD_QUERY, REFUSED, false,                                       \
	  "a LOAD DATA that was logged as a statement: use binlog_format=ROW in every " \
	  "session")                                                                    \
	X(19, TABLE_MAP, TABLE_MAP, false, "")                                          \
	X(20, PRE_GA_WRITE_ROWS, REFUSED, false,                                        \
	  "row events of a server older than 5.1")                                      \
	X(21, PRE_GA_UPDATE_ROWS, REFUSED, false,                                       \
	  "row events of a server older than 5.1")                                      \
	X(22, PRE_GA_DELETE_ROWS, REFUSED, false,                                       \
	  "row events of a server older than 5.1")                                      \
	X(23, WRITE_ROWS_V1, ROWS, false, "")                                           \
	X(24, UPDATE_ROWS_V1, ROWS, false, "")                                          \
	X(25, DELETE_ROWS_V1, ROWS, false, "")                                          \
	X(26, INCIDENT, REFUSED, false,                                                 \
	  "the server lost changes before it could log them")                           \
	X(27, HEARTBEAT, HEARTBEAT, false, "")                                          \
	X(28, IGNORABLE, NOTHING, false, "")                                            \
	X(29, ROWS_QUERY, NOTHING, false, "")                                           \
	X(30, WRITE_ROWS, ROWS, false, "")                                              \
	X(31, UPDATE_ROWS, ROWS, false, "")                                             \
	X(32, DELETE_ROWS, ROWS, false, "")                                             \
	X(33, GTID, GTID, false, "")                                                    \
	X(34, ANONYMOUS_GTID, GTID, false, "")                                          \
	X(35, PREVIOUS_GTIDS, NOTHING, false, "")                                       \
	X(36, TRANSACTION_CONTEXT, NOTHING, false, "")                                  \
	X(37, VIEW_CHANGE, NOTHING, false, "")                                          \
	X(38, XA_PREPARE, PREPARE, false, "")                                           \
	X(39, PARTIAL_UPDATE_ROWS, ROWS, false, "")                                     \
	X(40, TRANSACTION_PAYLOAD, PAYLOAD, false, "")                                  \
	X(41, HEARTBEAT_V2, HEARTBEAT, false, "")                                       \
	X(42, GTID_TAGGED, GTID, false, "")                                             \
	X(160, ANNOTATE_ROWS, NOTHING, true, "")                                        \
	X(161, BINLOG_CHECKPOINT, NOTHING, true, "")                                    \
	X(162, MARIADB_GTID, GTID, true, "")                                            \
	X(163, GTID_LIST, NOTHING, true, "")                                            \
	X(164, START_ENCRYPTION, NOTHING, true, "")                                     \
	X(165, QUERY_COMPRESSED, QUERY, true, "")                                       \
	X(166, WRITE_ROWS_COMPRESSED_V1, ROWS, true, "")                                \
	X(167, UPDATE_ROWS_COMPRESSED_V1, ROWS, true, "")                               \
	X(168, DELETE_ROWS_COMPRESSED_V1, ROWS, true, "")                               \
	X(169, WRITE_ROWS_COMPRESSED, ROWS, true, "")                                   \
	X(170, UPDATE_ROWS_COMPRESSED, ROWS, true, "")                                  \
	X(171, DELETE_ROWS_COMPRESSED, ROWS, true, "")

enum event_type {
#define X(code, name, kind, mariadb, why) BINLOG_##name = (code),
	BINLOG_EVENTS(X)
#undef X
};

#define EVENT_HEADER_LEN 19
#define EVENT_CRC_LEN	 4

/* What a FORMAT_DESCRIPTION event said of the events that follow it. */
struct event_format {
	enum db_flavor flavor;
	bool known;		  /* such an event has been read */
	bool checksum;		  /* each event ends in a CRC-32 */
	uint8_t post_header[256]; /* by type: fixed part after the common header */
};

struct event {
	enum event_kind kind;
	enum event_type type;
	const char *name; /* "WRITE_ROWS_V1" */
	uint16_t flags;
	uint32_t server_id, timestamp;
	uint32_t next;	  /* offset in its file of the event behind it; 0 = artificial */
	struct wire body; /* without header and checksum */
};

/* What is assumed until the first FORMAT_DESCRIPTION: its own layout is fixed. */
void event_format_init(struct event_format *f, enum db_flavor flavor);

/*
 * Split one event off its packet (without the protocol's status byte), which must outlive
 * *out. A FORMAT_DESCRIPTION is also taken into *f. -1 = SB_EENGINE: damaged (a length or
 * a checksum is wrong), unknown, or one that is refused.
 */
int event_read(struct event_format *f, const uint8_t *data, size_t len, struct event *out,
	       struct sb_err *err) MUST_CHECK;

/* ROTATE: the file that follows, from ctx, and the offset there. */
int event_rotate(TALLOC_CTX *ctx, const struct event *e, char **file, uint64_t *offset,
		 struct sb_err *err) MUST_CHECK;

/* QUERY. The texts are of the event's memory, and not terminated. */
struct event_query {
	uint32_t thread;
	const char *schema, *sql;
	size_t schema_len, sql_len;
};
int event_query(const struct event_format *f, const struct event *e,
		struct event_query *out, struct sb_err *err) MUST_CHECK;

/* The transaction's name in a GTID event, as text for a position; "" = anonymous. */
#define EVENT_GTID_LEN 96
struct event_gtid {
	char source[EVENT_GTID_LEN]; /* MySQL: uuid[:tag]; MariaDB: domain */
	uint64_t server_id;	     /* MariaDB */
	uint64_t number;
	/* MariaDB: no COMMIT event follows, the statement behind it is all of it. */
	bool standalone;
};
int event_gtid(const struct event *e, struct event_gtid *out,
	       struct sb_err *err) MUST_CHECK;

#endif
