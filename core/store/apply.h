/*
 * apply.h - rows of applies: one run of a plan against one database and environment.
 *
 * Handlers create and read them; their state is derived by the driver inside a lease
 * transaction (lease.h). At most one apply per database and environment is active: a
 * UNIQUE index on a generated column says so, not a check that could be raced.
 *
 * Must never: change the state of an apply on its own authority.
 */
#ifndef SB_STORE_APPLY_H
#define SB_STORE_APPLY_H

#include "core/base/db.h"
#include "core/model/model.h"

/* ---- creating -------------------------------------------------------------------- */

struct apply_new_task {
	const char *namespace, *table, *ddl, *action;
	const char *execution_mode, *mode_reason, *algorithm;
};
struct apply_new_operation {
	const char *deployment, *target;
};
struct apply_new {
	const struct plan *plan;
	const char *caller;	/* who, for people */
	const char *lock_owner; /* who, as lock owners are named; NULL = nobody */
	const char *options;	/* JSON {string:string} */
	int volume;
	const char *idempotency_key;  /* NULL = none */
	const char *idempotency_hash; /* SHA-256 hex of the request's meaning */
	const struct apply_new_task *tasks;
	size_t n_tasks;
	const struct apply_new_operation *operations; /* in the order of the rollout */
	size_t n_operations;
	const char *cutover_policy, *on_failure; /* rollout.h */
};

/*
 * Create the apply, its operations, each with all tasks, and the first log line in one
 * transaction; operations whose turn it is are due at once, the others are held.
 * *apply_id belongs to ctx.
 *   1  created
 *   0  this idempotency key has created *apply_id before, with the same request
 *  -1  SB_EACTIVE (names the active apply), SB_ESTALE (the plan was applied already),
 *      SB_ELOCKED (somebody else holds the lock), SB_ECONFLICT (idempotency key used for
 *      another request), SB_ESTORAGE, SB_EAMBIGUOUS
 */
int apply_create(TALLOC_CTX *ctx, struct db *db, const struct apply_new *request,
		 char **apply_id, struct sb_err *err) MUST_CHECK;

/*
 * What apply_create() would answer now, without writing anything: asked before checks
 * that cost time or whose answer would hide a better one. The answer of apply_create()
 * counts. 1  it would create    0  replay of the idempotency key: *apply_id    -1  as
 * above
 */
int apply_precheck(TALLOC_CTX *ctx, struct db *db, const struct apply_new *request,
		   char **apply_id, struct sb_err *err) MUST_CHECK;

/* ---- reading: all 1 / 0 = none / -1; results of ctx -------------------------------- */

int apply_get(TALLOC_CTX *ctx, struct db *db, const char *apply_id, struct apply **out,
	      struct sb_err *err) MUST_CHECK;
/* The active apply of a database (and environment, unless NULL), else the latest. */
int apply_current(TALLOC_CTX *ctx, struct db *db, const char *database,
		  const char *environment, struct apply **out,
		  struct sb_err *err) MUST_CHECK;
/* Only what an ETag needs: the public id and the revision. */
int apply_revision(struct db *db, const char *apply_id, uint64_t *revision,
		   struct sb_err *err) MUST_CHECK;

/* Who completed a task for the same database and environment after this one was
 * completed: the latest such apply's public id. */
int apply_later(TALLOC_CTX *ctx, struct db *db, uint64_t apply_row, char **apply_id,
		struct sb_err *err) MUST_CHECK;

/* An apply with all that belongs to it, from one statement (one consistent view). */
struct apply_bundle {
	struct apply *apply;
	struct operation *operations;
	size_t n_operations;
	struct task *tasks; /* ordered by operation and seq */
	size_t n_tasks;
	unsigned pending; /* CONTROL_BIT of each request that waits */
};
int apply_bundle(TALLOC_CTX *ctx, struct db *db, const char *apply_id,
		 struct apply_bundle *out, struct sb_err *err) MUST_CHECK;

struct apply_filter {
	const char *database, *environment, *deployment, *state; /* NULL = any */
	bool failures;		    /* failed and failed_retryable only */
	bool active;		    /* neither settled nor stopped only */
	int64_t newer_than_seconds; /* 0 = any age; by created_at */
	uint64_t after; /* cursor: row id of the last one seen, 0 = from the start */
	int limit;
};
/* Live group first (oldest start first), then by latest activity (SEMANTICS G.2); with a
 * cursor: by id, newest first. One more than limit is fetched to set *has_more. */
int apply_list(TALLOC_CTX *ctx, struct db *db, const struct apply_filter *filter,
	       struct apply **out, size_t *n, bool *has_more,
	       struct sb_err *err) MUST_CHECK;

struct state_total {
	enum state state;
	int64_t n;
};
/* How many applies are in each state; absent states are left out. */
int apply_state_totals(TALLOC_CTX *ctx, struct db *db, struct state_total **out,
		       size_t *n, struct sb_err *err) MUST_CHECK;

#endif
