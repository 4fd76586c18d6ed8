/*
 * parked.c - claiming, reading and parking several parked operations at once. Part of
 * operation.h.
 *
 * Thousands of operations whose engines work without us are looked at every other second,
 * and most looks change nothing: what a look costs storage is the claim, the reading and
 * the parking. Each of them
 * gets a fencing number of its own, like any claim.
 */
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/store/operation_internal.h"
#include "core/store/task.h"

/* Eight places: unused ones hold 0, which is no row's id. */
#define EIGHT "(?,?,?,?,?,?,?,?)"

#define PARKED_STATEMENTS(S)                                                             \
	S(PK_SELECT,                                                                     \
	  "SELECT id, apply_row, state, lease_token, attempt FROM apply_operations"      \
	  " WHERE claim_after <= NOW(6) AND lease_owner IS NULL AND engine_accepted = 1" \
	  " AND deaths = 0 AND state NOT IN ('pending','failed_retryable','stopped')"    \
	  " ORDER BY claim_after, id LIMIT 8 FOR UPDATE SKIP LOCKED")                    \
	S(PK_APPLIES, "SELECT o.id, a.apply_id, (SELECT COUNT(*) FROM apply_operations"  \
		      " s WHERE s.apply_row = a.id) FROM apply_operations o"             \
		      " JOIN applies a ON a.id = o.apply_row WHERE o.id IN " EIGHT)      \
	S(PK_TAKE, "UPDATE apply_operations SET lease_token = lease_token + 1,"          \
		   " lease_owner = ?, lease_acquired_at = NOW(6), claim_after ="         \
		   " NOW(6) + INTERVAL ? SECOND WHERE id IN " EIGHT)                     \
	S(PK_LOAD, SELECT_OPERATIONS " WHERE o.id IN " EIGHT)                            \
	S(PK_PARK,                                                                       \
	  "UPDATE apply_operations SET lease_owner = NULL,"                              \
	  " claim_after = CASE WHEN EXISTS (SELECT 1 FROM apply_control_requests r"      \
	  " WHERE r.apply_row = apply_operations.apply_row AND r.status = 'pending'"     \
	  " AND r.created_at > lease_acquired_at) THEN NOW(6)"                           \
	  " ELSE NOW(6) + INTERVAL ? SECOND END WHERE id IN " EIGHT                      \
	  " AND (id, lease_token) IN ((?,?),(?,?),(?,?),(?,?),(?,?),(?,?),(?,?),(?,?))"  \
	  " AND claim_after IS NOT NULL")

DB_STATEMENTS(parked, PARKED_STATEMENTS)

struct due {
	uint64_t id, apply_row, lease_token;
	enum state state;
	int attempt;
};
static const struct db_col due_columns[] = {
	COL(U64, struct due, id),
	COL(U64, struct due, apply_row),
	COL_ENUM(struct due, state, state_parse),
	COL(U64, struct due, lease_token),
	COL(INT, struct due, attempt),
};

struct parent {
	uint64_t operation;
	char *apply_id;
	int n_operations;
};
static const struct db_col parent_columns[] = {
	COL(U64, struct parent, operation),
	COL(STR, struct parent, apply_id),
	COL(INT, struct parent, n_operations),
};

static void bind_ids(struct db_bind *binds, const struct due *due, size_t n)
{
	for (size_t i = 0; i < CLAIM_PARKED; i++)
		binds[i] = db_bind_uint(i < n ? due[i].id : 0);
}

/* The claims as they will be; -1 when an operation has no apply. */
static int fill_claims(TALLOC_CTX *tmp, struct db *db, const struct due *due, size_t n,
		       struct claim *out, struct sb_err *err)
{
	struct db_bind ids[CLAIM_PARKED];
	struct parent *parents;
	size_t n_parents;

	bind_ids(ids, due, n);
	if (db_all(tmp, db, PK_APPLIES, ids, CLAIM_PARKED, parent_columns,
		   ARRAY_SIZE(parent_columns), sizeof(*parents), &parents, &n_parents,
		   err) < 0)
		return -1;
	if (n_parents != n)
		return sb_err(err, SB_ESTORAGE, "An operation without an apply.");
	for (size_t i = 0; i < n; i++) {
		struct lease *lease = &out[i].lease;

		out[i].state = due[i].state;
		out[i].attempt = due[i].attempt;
		out[i].parked = true;
		*lease = (struct lease){ .operation = due[i].id,
					 .apply_row = due[i].apply_row,
					 .token = due[i].lease_token + 1 };
		for (size_t k = 0; k < n; k++)
			if (parents[k].operation == due[i].id) {
				lease->n_operations = parents[k].n_operations;
				snprintf(lease->apply_id, sizeof(lease->apply_id), "%s",
					 parents[k].apply_id);
			}
	}
	return 0;
}

/* Read what was claimed, in the claim's transaction: nobody else has touched it since. */
static int load_parked(TALLOC_CTX *ctx, struct db *db, const struct due *due, size_t n,
		       struct claim *out, struct sb_err *err)
{
	struct db_bind binds[CLAIM_PARKED];
	uint64_t ids[CLAIM_PARKED] = { 0 };
	struct operation *operations;
	struct task *tasks;
	size_t n_operations, n_tasks;

	bind_ids(binds, due, n);
	for (size_t i = 0; i < n; i++)
		ids[i] = due[i].id;
	if (db_all(ctx, db, PK_LOAD, binds, ARRAY_SIZE(binds), operation_columns,
		   OPERATION_COLUMNS, sizeof(*operations), &operations, &n_operations,
		   err) < 0 ||
	    task_load_eight(ctx, db, ids, &tasks, &n_tasks, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n_operations; k++)
			if (operations[k].id == due[i].id)
				out[i].loaded = &operations[k];
		for (size_t k = 0; k < n_tasks; k++)
			if (tasks[k].operation_row == due[i].id && out[i].n_tasks++ == 0)
				out[i].tasks = &tasks[k];
	}
	return 0;
}

static int take_parked(TALLOC_CTX *ctx, TALLOC_CTX *tmp, struct db *db, const char *owner,
		       claim_note note, void *arg, struct claim *out, size_t *n,
		       struct sb_err *err)
{
	struct db_bind binds[2 + CLAIM_PARKED];
	struct due *due;
	size_t found;

	if (db_all(tmp, db, PK_SELECT, NO_BIND, due_columns, ARRAY_SIZE(due_columns),
		   sizeof(*due), &due, &found, err) < 0)
		return -1;
	if (found == 0)
		return 0;
	if (fill_claims(tmp, db, due, found, out, err) < 0 ||
	    (note && note(arg, out, found, err) < 0))
		return -1;
	FAULT("operation.claim.parked");
	binds[0] = db_bind_str(owner);
	binds[1] = db_bind_int(LEASE_SECONDS);
	bind_ids(&binds[2], due, found);
	if (db_exec(db, PK_TAKE, binds, ARRAY_SIZE(binds), err) != (int64_t)found ||
	    load_parked(ctx, db, due, found, out, err) < 0)
		return -1;
	*n = found;
	return 1;
}

int operation_claim_parked(TALLOC_CTX *ctx, struct db *db, const char *owner,
			   claim_note note, void *arg, struct claim out[CLAIM_PARKED],
			   size_t *n, struct sb_err *err)
{
	int64_t now = clock_ms();
	TALLOC_CTX *tmp;
	int rc;

	*n = 0;
	for (size_t i = 0; i < CLAIM_PARKED; i++)
		out[i] = (struct claim){ .made_ms = now };
	if (db_begin(db, err) < 0)
		return -1;
	tmp = mem_ctx(db, "claim parked");
	rc = take_parked(ctx, tmp, db, owner, note, arg, out, n, err);
	talloc_free(tmp);
	if (rc == 1 && db_commit(db, err) == 0)
		return 0;
	*n = 0;
	if (rc != 1)
		db_rollback(db);
	return rc == 0 ? 0 : -1;
}

int operation_park_all(struct db *db, const struct lease *leases, size_t n, int seconds,
		       struct sb_err *err)
{
	struct db_bind binds[1 + 3 * CLAIM_PARKED];
	int64_t parked;

	BUG_ON(n > CLAIM_PARKED);
	if (n == 0)
		return 0;
	FAULT("operation.park.together");
	binds[0] = db_bind_int(seconds);
	for (size_t i = 0; i < CLAIM_PARKED; i++) {
		binds[1 + i] = db_bind_uint(i < n ? leases[i].operation : 0);
		binds[1 + CLAIM_PARKED + 2 * i] = binds[1 + i];
		binds[2 + CLAIM_PARKED + 2 * i] =
			db_bind_uint(i < n ? leases[i].token : 0);
	}
	parked = db_exec(db, PK_PARK, binds, ARRAY_SIZE(binds), err);
	if (parked >= 0 && parked < (int64_t)n)
		return sb_err(err, SB_ELEASE,
			      "%lld of %zu parked operations are owned by others now.",
			      (long long)n - (long long)parked, n);
	return parked < 0 ? -1 : 0;
}
