/*
 * lock.h - rows of locks: an owner reserves a database for itself, across environments.
 *
 * Called by the lock handlers; apply creation reads the row under its own transaction.
 */
#ifndef SB_STORE_LOCK_H
#define SB_STORE_LOCK_H

#include "core/base/db.h"
#include "core/model/model.h"

/*
 * Take the lock, or confirm that the same owner has it. 1 and *out: owned by
 * request->owner; 0 and *out: somebody else's, as it stands; -1. Only database,
 * database_type, owner, repository, pull_request and pending_plan_id of the request are
 * used.
 */
int lock_acquire(TALLOC_CTX *ctx, struct db *db, const struct lock *request,
		 struct lock **out, struct sb_err *err) MUST_CHECK;

/* SB_ENOTFOUND without such a lock, SB_ENOTOWNER when owner differs and force is false.
 */
int lock_release(struct db *db, const char *database, const char *database_type,
		 const char *owner, bool force, struct sb_err *err) MUST_CHECK;

/* 1 and *out, 0 none, -1 */
int lock_get(TALLOC_CTX *ctx, struct db *db, const char *database,
	     const char *database_type, struct lock **out, struct sb_err *err) MUST_CHECK;

int lock_list(TALLOC_CTX *ctx, struct db *db, struct lock **out, size_t *n,
	      struct sb_err *err) MUST_CHECK;

#endif
