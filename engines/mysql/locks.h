/*
 * locks.h - advisory locks on target tables, and who holds what there.
 *
 * The lock of a table is taken with GET_LOCK on the connection that executes the DDL, so
 * that a statement which outlives its driver keeps the next driver out until it ends:
 * the server notices that the client is gone only when it has a result to send.
 */
#ifndef SB_ENGINES_MYSQL_LOCKS_H
#define SB_ENGINES_MYSQL_LOCKS_H

#include "engines/engine.h"

#define MYSQL_LOCK_NAME_LEN 59 /* GET_LOCK allows 64 */

/* "sb_" and the beginning of the hex SHA-256 of schema NUL table, ASCII lower case: names
 * that one server folds together share a lock on every server. */
void mysql_lock_name(const char *schema, const char *table,
		     char out[MYSQL_LOCK_NAME_LEN + 1]);

/* Take it without waiting. SB_EBUSY names the connection that has it and, where we may
 * see that, what it executes. Belongs to the connection until that ends. */
int mysql_lock_take(struct db *db, const char *schema, const char *table,
		    struct sb_err *err) MUST_CHECK;

/* End the connection that has it and take it; for a holder whose driver is dead. SB_EBUSY
 * when it has not let go within EVICT_SECONDS. */
int mysql_lock_evict(struct db *db, const char *schema, const char *table,
		     struct sb_err *err) MUST_CHECK;

/* Is the lock held by that connection? 1, 0, or -1 when the server did not say. */
int mysql_lock_held_by(struct db *db, const char *lock_name, uint64_t connection_id,
		       struct sb_err *err) MUST_CHECK;

/*
 * Who keeps others from locking this table, as a phrase for a message, from ctx. Never
 * fails: what may not be seen is said instead. Never shows another's statement, which may
 * contain data.
 */
char *mysql_blocker(TALLOC_CTX *ctx, struct db *db, const char *schema,
		    const char *table);

#endif
