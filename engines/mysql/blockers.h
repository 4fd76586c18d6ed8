/*
 * blockers.h - end the transactions that keep a table from being locked, where an
 * operator has allowed that (`kill_blockers_after`).
 *
 * Called when a lock was not to be had so often: by the cutover, by the comparison's
 * moment of lock and by native statements.
 *
 * Must never: end a connection that is not known to hold the table, one of our own
 * account, a replica's, one that holds LOCK TABLES, or a transaction so large that
 * undoing it would take longer than waiting for it.
 */
#ifndef SB_ENGINES_MYSQL_BLOCKERS_H
#define SB_ENGINES_MYSQL_BLOCKERS_H

#include "core/base/db.h"

/* Rows changed and locked (innodb_trx.trx_weight); SEMANTICS F.2. */
#define MYSQL_BLOCKER_WEIGHT 1000000

/* How many were ended; each is logged. Never fails: who holds the lock may not be known
 * to us, and the log says so. */
int mysql_blockers_end(struct db *db, const char *schema, const char *table);

#endif
