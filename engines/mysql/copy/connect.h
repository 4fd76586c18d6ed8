/*
 * connect.h - the connections of a copy, and those that a dead driver left behind.
 *
 * A server notices that a client is gone only when it has a result to send: a chunk that
 * was being copied is committed after its driver died. So every connection that writes to
 * a shadow holds an advisory lock, numbered by its place in the copy, and a successor
 * ends whoever still holds one of them before it touches the shadow.
 */
#ifndef SB_ENGINES_MYSQL_COPY_CONNECT_H
#define SB_ENGINES_MYSQL_COPY_CONNECT_H

#include "engines/mysql/copy/copy.h"

/* Places: copiers have 0 to 63. */
#define CONNECT_COPIERS 64
#define CONNECT_FLUSH	64
#define CONNECT_BUILD	65
#define CONNECT_LOCKER	66 /* holds LOCK TABLES for the cutover */
#define CONNECT_RENAMER 67 /* a RENAME that must not outlive its driver unseen */
#define CONNECT_CHECK	68
#define CONNECT_PLACES	69

/* Open, set up (copy_session), take the place's lock. SB_EBUSY: somebody holds it. */
int copy_connect(TALLOC_CTX *ctx, const struct db_params *target,
		 const struct copy_table *t, unsigned place, struct db **out,
		 struct sb_err *err) MUST_CHECK;

/* End every connection that holds a place of this table, and wait until the server has
 * undone what they were at. SB_ERETRY when one does not end in time. */
int copy_evict(struct db *db, const char *schema, const char *table,
	       struct sb_err *err) MUST_CHECK;

#endif
