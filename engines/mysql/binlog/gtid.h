/*
 * gtid.h - sets of transactions, by the names that all servers of a replication group
 * have for them: a position that another server understands too.
 *
 * Used by the feed, which adds each transaction that it has read, by stream.c, which asks
 * a server for everything else, and when positions are compared. Pure.
 *
 * MySQL has a set of numbers for each source (a UUID, with a tag or without one). MariaDB
 * has the last transaction of each domain, whose numbers only grow: here a set from 1 to
 * that number.
 */
#ifndef SB_ENGINES_MYSQL_BINLOG_GTID_H
#define SB_ENGINES_MYSQL_BINLOG_GTID_H

#include "core/base/buf.h"
#include "engines/mysql/binlog/event.h"

struct gtid_set;

/* What a server says of itself: "uuid:1-5:7,…" or "0-1-55,…". NULL or "" is the empty
 * set. SB_EENGINE when it is neither. *out belongs to ctx. */
int gtid_parse(TALLOC_CTX *ctx, enum db_flavor flavor, const char *text,
	       struct gtid_set **out, struct sb_err *err) MUST_CHECK;

/* As such a text, of ctx: each server reads its own. */
char *gtid_text(TALLOC_CTX *ctx, const struct gtid_set *s);

/* One more; a transaction without a name is not added. */
void gtid_add(struct gtid_set *s, const struct event_gtid *g);

bool gtid_is_empty(const struct gtid_set *s);
/* Is all of b in a? */
bool gtid_covers(const struct gtid_set *a, const struct gtid_set *b);
/* What both have, of ctx. */
struct gtid_set *gtid_common(TALLOC_CTX *ctx, const struct gtid_set *a,
			     const struct gtid_set *b);

/*
 * MariaDB: does a server whose @@gtid_binlog_state is `state` have exactly these
 * transactions in its history? The state has the last one of each domain and server.
 */
bool gtid_in_history(const struct gtid_set *s, const char *state);

/* MySQL: as COM_BINLOG_DUMP_GTID has it. Source: Gtid_set::encode() in rpl_gtid_set.cc of
 * the MySQL source; the form with tags came with 8.3. */
void gtid_encode(struct buf *b, const struct gtid_set *s);

#endif
