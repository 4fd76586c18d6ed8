/*
 * storage.h - opening our storage, and refusing one that this binary does not understand.
 *
 * Called first by every process. The tables are declared in sql/storage/ and carried in
 * the binary; core/scheduler/converge.c makes the storage what they say.
 */
#ifndef SB_STORE_STORAGE_H
#define SB_STORE_STORAGE_H

#include "core/base/config.h"
#include "core/base/db.h"

/* Every statement of core/store, for the check and for the test that prepares them all.
 */
extern const struct db_stmt_set *const storage_statement_sets[];
extern const size_t storage_n_statement_sets;

/*
 * Connect and check. SB_ESTORAGE when it cannot be reached; SB_ECONFIG when its tables
 * are not what this binary needs, naming the first difference and what to run. *out of
 * ctx.
 */
int storage_open(TALLOC_CTX *ctx, const struct config *config, struct db **out,
		 struct sb_err *err) MUST_CHECK;
/* Connect only: for handlers that reconnect after a loss. */
int storage_connect(TALLOC_CTX *ctx, const struct config *config, struct db **out,
		    struct sb_err *err) MUST_CHECK;
/* The database that holds the storage answers. */
int storage_ping(struct db *db, struct sb_err *err) MUST_CHECK;

/* What sql/storage/ declares, in the order of the names. */
struct storage_table {
	const char *name, *create; /* one CREATE TABLE, no semicolon needed behind it */
};
extern const struct storage_table storage_tables[];
extern const size_t storage_n_tables;

/* ---- for convergence --------------------------------------------------------------- */

/* The check of storage_open() on a connection that there is. */
int storage_check(struct db *db, struct sb_err *err) MUST_CHECK;
/* 1 = only we converge this storage as long as db is open, 0 = somebody else did for all
 * of `seconds`, -1. */
int storage_lock(struct db *db, unsigned seconds, struct sb_err *err) MUST_CHECK;
/* 1, 0, or -1. */
int storage_has_table(struct db *db, const char *name, struct sb_err *err) MUST_CHECK;

#endif
