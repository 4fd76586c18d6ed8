/*
 * storage.h - opening our storage, and refusing one that this binary does not understand.
 *
 * Called first by every process. The tables are declared in sql/storage/ and carried in
 * the binary; storage_converge() (behind `schemabot-reaper --converge-storage`) creates
 * what is absent, under an advisory lock, and never drops or narrows anything.
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

/* Create the absent tables. Returns how many statements ran, or -1. */
int storage_converge(TALLOC_CTX *ctx, const struct config *config,
		     struct sb_err *err) MUST_CHECK;

#endif
