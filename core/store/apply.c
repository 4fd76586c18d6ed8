/*
 * apply.c - creating an apply with its operations and tasks. See apply.h.
 *
 * Reading is in apply_read.c, lists in apply_list.c.
 */
#include "core/store/apply.h"

#include <string.h>

#include "core/base/fault.h"
#include "core/base/id.h"
#include "core/model/rollout.h"

#define APPLY_STATEMENTS(S)                                                              \
	S(AP_LOCK, "SELECT owner FROM locks WHERE database_name = ?"                     \
		   " AND database_type = ? FOR UPDATE")                                  \
	S(AP_BY_KEY, "SELECT apply_id, idempotency_hash FROM applies"                    \
		     " WHERE idempotency_key = ?")                                       \
	S(AP_ACTIVE, "SELECT apply_id, state FROM applies WHERE active_key = ?")         \
	S(AP_APPLIED, "SELECT apply_id, state FROM applies WHERE plan_row = ?"           \
		      " AND state = 'completed' LIMIT 1")                                \
	S(AP_INSERT,                                                                     \
	  "INSERT INTO applies (apply_id, plan_row, idempotency_key, idempotency_hash,"  \
	  " database_name, database_type, environment, deployment, engine, repository,"  \
	  " pull_request, caller, options, volume, state)"                               \
	  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending')")               \
	S(AP_INSERT_OPERATION,                                                           \
	  "INSERT INTO apply_operations (apply_row, deployment, target, cutover_policy," \
	  " on_failure, state, claim_after) VALUES (?, ?, ?, ?, ?, 'pending',"           \
	  " CASE WHEN ? THEN NOW(6) ELSE NULL END)")                                     \
	S(AP_INSERT_TASK,                                                                \
	  "INSERT INTO tasks (task_id, apply_row, operation_row, seq, namespace,"        \
	  " table_name, ddl, ddl_action, execution_mode, mode_reason, algorithm, state)" \
	  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending')")                        \
	S(AP_INSERT_LOG, "INSERT INTO apply_logs (apply_row, event_type, new_state,"     \
			 " message) VALUES (?, 'state_transition', 'pending', ?)")

DB_STATEMENTS(apply, APPLY_STATEMENTS)

struct pair {
	char *a, *b;
};
static const struct db_col pair_columns[] = { COL(STR, struct pair, a),
					      COL(STR, struct pair, b) };

/* 1 = this request was made before (*apply_id set), 0 = the key is new, -1. */
static int replayed(TALLOC_CTX *ctx, struct db *db, const struct apply_new *r,
		    char **apply_id, struct sb_err *err)
{
	struct pair found;
	int rc;

	if (!r->idempotency_key)
		return 0;
	rc = db_one(ctx, db, AP_BY_KEY, BIND(r->idempotency_key), pair_columns, 2, &found,
		    err);
	if (rc <= 0)
		return rc;
	if (strcmp(found.b, r->idempotency_hash) != 0)
		return sb_err(
			err, SB_ECONFLICT,
			"This Idempotency-Key was used for another request (%s); use a "
			"new key for a new request.",
			found.a);
	*apply_id = found.a;
	return 1;
}

static int refuse_locked(TALLOC_CTX *tmp, struct db *db, const struct apply_new *r,
			 struct sb_err *err)
{
	static const struct db_col owner_column[] = { COL(STR, struct pair, a) };
	struct pair lock;
	int rc = db_one(tmp, db, AP_LOCK, BIND(r->plan->database, r->plan->database_type),
			owner_column, 1, &lock, err);

	if (rc <= 0)
		return rc;
	if (r->lock_owner && strcmp(lock.a, r->lock_owner) == 0)
		return 0;
	return sb_err(
		err, SB_ELOCKED,
		"Database '%s' is locked by '%.200s'; wait until they release it, or apply "
		"with that caller.",
		r->plan->database, lock.a);
}

static int refuse_applied(TALLOC_CTX *tmp, struct db *db, const struct apply_new *r,
			  struct sb_err *err)
{
	struct pair done;
	int rc = db_one(tmp, db, AP_APPLIED, BIND(r->plan->id), pair_columns, 2, &done,
			err);

	if (rc <= 0)
		return rc;
	return sb_err(
		err, SB_ESTALE,
		"Plan %s was already applied by %s; plan again to see what is left.",
		r->plan->plan_id, done.a);
}

/* -1 with SB_EACTIVE when an apply of this database and environment is active. */
static int refuse_active(TALLOC_CTX *tmp, struct db *db, const struct apply_new *r,
			 struct sb_err *err)
{
	char *key = mem_printf(tmp, "%s/%s", r->plan->environment, r->plan->database);
	struct pair active;
	int rc = db_one(tmp, db, AP_ACTIVE, BIND(key), pair_columns, 2, &active, err);

	if (rc <= 0)
		return rc;
	return sb_err(
		err, SB_EACTIVE,
		"Apply %s (%s) is active for database '%s' in '%s'; wait for it, or stop or "
		"cancel it first.",
		active.a, active.b, r->plan->database, r->plan->environment);
}

/* A duplicate key of the INSERT: by whom? Returns as apply_create(). */
static int explain_duplicate(TALLOC_CTX *ctx, struct db *db, const struct apply_new *r,
			     char **apply_id, struct sb_err *err)
{
	int rc = replayed(ctx, db, r, apply_id, err);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (refuse_active(ctx, db, r, err) < 0)
		return -1;
	return sb_err(
		err, SB_EACTIVE,
		"Another apply for '%s' in '%s' was active a moment ago; try again.",
		r->plan->database, r->plan->environment);
}

static int insert_tasks(TALLOC_CTX *tmp, struct db *db, const struct apply_new *r,
			uint64_t apply_row, uint64_t operation_row, struct sb_err *err)
{
	for (size_t i = 0; i < r->n_tasks; i++) {
		const struct apply_new_task *t = &r->tasks[i];

		if (db_exec(db, AP_INSERT_TASK,
			    BIND(id_new(tmp, "task"), apply_row, operation_row,
				 (int)i + 1, t->namespace, t->table, t->ddl, t->action,
				 t->execution_mode, t->mode_reason, t->algorithm),
			    err) < 0)
			return -1;
		FAULT("apply.create.task");
	}
	return 0;
}

/* One for each deployment, in order; row ids ascend in it. */
static int insert_operations(TALLOC_CTX *tmp, struct db *db, const struct apply_new *r,
			     uint64_t apply_row, struct sb_err *err)
{
	struct rollout_member *members =
		mem_array(tmp, struct rollout_member, r->n_operations);
	struct rollout rollout = { .members = members, .n = r->n_operations };
	int policy, on_failure;
	size_t blocker;

	if (rollout_policy_parse(r->cutover_policy, &policy) < 0 ||
	    rollout_failure_parse(r->on_failure, &on_failure) < 0)
		return sb_err(err, SB_EINTERNAL, "A policy that cannot be.");
	rollout.policy = (enum rollout_policy)policy;
	rollout.on_failure = (enum rollout_failure)on_failure;
	for (size_t i = 0; i < r->n_operations; i++)
		members[i] = (struct rollout_member){ .state = STATE_PENDING };
	for (size_t i = 0; i < r->n_operations; i++) {
		const struct apply_new_operation *o = &r->operations[i];
		bool go = rollout_order(&rollout, i, &blocker) == ROLLOUT_GO;

		if (db_exec(db, AP_INSERT_OPERATION,
			    BIND(apply_row, o->deployment, o->target, r->cutover_policy,
				 r->on_failure, go),
			    err) < 0)
			return -1;
		FAULT("apply.create.operation");
		if (insert_tasks(tmp, db, r, apply_row, db_insert_id(db), err) < 0)
			return -1;
	}
	return 0;
}

static int insert_all(TALLOC_CTX *tmp, struct db *db, const struct apply_new *r,
		      const char *apply_id, struct sb_err *err)
{
	const struct plan *p = r->plan;
	uint64_t apply_row;

	if (db_exec(db, AP_INSERT,
		    BIND(apply_id, p->id, r->idempotency_key, r->idempotency_hash,
			 p->database, p->database_type, p->environment, p->deployment,
			 p->engine, p->repository, p->pull_request, r->caller, r->options,
			 r->volume),
		    err) < 0)
		return -1;
	apply_row = db_insert_id(db);
	FAULT("apply.create.apply");
	if (insert_operations(tmp, db, r, apply_row, err) < 0)
		return -1;
	if (db_exec(db, AP_INSERT_LOG,
		    BIND(apply_row, mem_printf(tmp, "Apply of %s requested by %s.",
					       p->plan_id, r->caller)),
		    err) < 0)
		return -1;
	return 0;
}

int apply_precheck(TALLOC_CTX *ctx, struct db *db, const struct apply_new *request,
		   char **apply_id, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(ctx, "apply_precheck");
	char *earlier = NULL;
	int rc;

	*apply_id = NULL;
	rc = replayed(tmp, db, request, &earlier, err);
	if (rc == 1)
		*apply_id = mem_strdup(ctx, earlier);
	if (rc != 0)
		rc = rc < 0 ? -1 : 0;
	else if (refuse_active(tmp, db, request, err) < 0 ||
		 refuse_locked(tmp, db, request, err) < 0 ||
		 refuse_applied(tmp, db, request, err) < 0) {
		/* The same request may have been stored by somebody else just now. */
		struct sb_err ignored;

		rc = replayed(tmp, db, request, &earlier, &ignored) == 1 ? 0 : -1;
		if (rc == 0)
			*apply_id = mem_strdup(ctx, earlier);
	} else
		rc = 1;
	talloc_free(tmp);
	return rc;
}

int apply_create(TALLOC_CTX *ctx, struct db *db, const struct apply_new *request,
		 char **apply_id, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(ctx, "apply_create");
	char *id = id_new(tmp, "apply"), *earlier = NULL;
	struct sb_err why = { 0 };
	int rc;

	*apply_id = NULL;
	rc = replayed(tmp, db, request, &earlier, err);
	if (rc != 0) {
		rc = rc < 0 ? -1 : 0;
		goto out;
	}
	rc = -1;
	if (db_begin(db, err) < 0)
		goto out;
	if (refuse_locked(tmp, db, request, err) < 0 ||
	    refuse_applied(tmp, db, request, err) < 0) {
		db_rollback(db);
		goto out;
	}
	if (insert_all(tmp, db, request, id, &why) < 0) {
		db_rollback(db);
		if (why.code == SB_ECONFLICT)
			rc = explain_duplicate(tmp, db, request, &earlier, err);
		else if (err)
			*err = why;
		goto out;
	}
	rc = db_commit(db, err) < 0 ? -1 : 1;
out:
	if (rc >= 0)
		*apply_id = mem_strdup(ctx, rc == 1 ? id : earlier);
	talloc_free(tmp);
	return rc;
}
