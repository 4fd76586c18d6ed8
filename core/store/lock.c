/*
 * lock.c - rows of locks. See lock.h.
 */
#include "core/store/lock.h"

#include <string.h>

#define LOCK_COLUMNS                                                     \
	"database_name, database_type, owner, repository, pull_request," \
	" pending_plan_id, created_at, updated_at"
#define LOCK_STATEMENTS(S)                                                               \
	S(LOCK_INSERT, "INSERT IGNORE INTO locks (database_name, database_type, owner,"  \
		       " repository, pull_request, pending_plan_id)"                     \
		       " VALUES (?, ?, ?, ?, ?, ?)")                                     \
	S(LOCK_CONFIRM, "UPDATE locks SET updated_at = NOW(6), repository = ?,"          \
			" pull_request = ?, pending_plan_id = ?"                         \
			" WHERE database_name = ? AND database_type = ? AND owner = ?")  \
	S(LOCK_GET, "SELECT " LOCK_COLUMNS " FROM locks WHERE database_name = ?"         \
		    " AND database_type = ?")                                            \
	S(LOCK_LIST, "SELECT " LOCK_COLUMNS " FROM locks ORDER BY database_name,"        \
		     " database_type")                                                   \
	S(LOCK_DELETE, "DELETE FROM locks WHERE database_name = ? AND database_type = ?" \
		       " AND (? OR owner = ?)")

DB_STATEMENTS(lock, LOCK_STATEMENTS)

static const struct db_col lock_columns[] = {
	COL(STR, struct lock, database),     COL(STR, struct lock, database_type),
	COL(STR, struct lock, owner),	     COL(STR, struct lock, repository),
	COL(I64, struct lock, pull_request), COL(STR, struct lock, pending_plan_id),
	COL(STR, struct lock, created_at),   COL(STR, struct lock, updated_at),
};

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

int lock_get(TALLOC_CTX *ctx, struct db *db, const char *database,
	     const char *database_type, struct lock **out, struct sb_err *err)
{
	struct lock *l = mem_new(ctx, struct lock);
	int rc = db_one(l, db, LOCK_GET, BIND(database, database_type), lock_columns,
			ARRAY_SIZE(lock_columns), l, err);

	*out = rc == 1 ? l : NULL;
	if (rc != 1)
		talloc_free(l);
	return rc;
}

int lock_acquire(TALLOC_CTX *ctx, struct db *db, const struct lock *r, struct lock **out,
		 struct sb_err *err)
{
	int64_t n = db_exec(db, LOCK_INSERT,
			    BIND(r->database, r->database_type, r->owner,
				 or_empty(r->repository), r->pull_request,
				 or_empty(r->pending_plan_id)),
			    err);
	int rc;

	*out = NULL;
	if (n < 0)
		return -1;
	if (n == 0 && db_exec(db, LOCK_CONFIRM,
			      BIND(or_empty(r->repository), r->pull_request,
				   or_empty(r->pending_plan_id), r->database,
				   r->database_type, r->owner),
			      err) < 0)
		return -1;
	rc = lock_get(ctx, db, r->database, r->database_type, out, err);
	if (rc < 0)
		return -1;
	if (rc == 0 || !*out)
		return sb_err(
			err, SB_ELOCKED,
			"The lock was released at this moment by its owner; try again.");
	return strcmp((*out)->owner, r->owner) == 0;
}

int lock_release(struct db *db, const char *database, const char *database_type,
		 const char *owner, bool force, struct sb_err *err)
{
	int64_t n = db_exec(db, LOCK_DELETE, BIND(database, database_type, force, owner),
			    err);
	struct lock *held;
	int rc;

	if (n < 0)
		return -1;
	if (n > 0)
		return 0;
	rc = lock_get(db, db, database, database_type, &held, err);
	if (rc < 0)
		return -1;
	if (rc == 0 || !held)
		return sb_err(err, SB_ENOTFOUND,
			      "There is no lock on database '%s' (%s).", database,
			      database_type);
	rc = sb_err(
		err, SB_ENOTOWNER,
		"The lock on '%s' belongs to '%.200s'; only they release it, or use force.",
		database, held->owner);
	talloc_free(held);
	return rc;
}

int lock_list(TALLOC_CTX *ctx, struct db *db, struct lock **out, size_t *n,
	      struct sb_err *err)
{
	return db_all(ctx, db, LOCK_LIST, NO_BIND, lock_columns, ARRAY_SIZE(lock_columns),
		      sizeof(**out), out, n, err);
}
