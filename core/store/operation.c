/*
 * operation.c - the claim, and what an owner writes about its operation. See operation.h.
 *
 * The derivation is in project.c.
 */
#include "core/store/operation.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/store/operation_internal.h"

#define OPERATION_STATEMENTS(S)                                                          \
	S(OP_SELECT_DUE,                                                                 \
	  "SELECT id, apply_row, state, lease_token, lease_owner, attempt,"              \
	  " deaths, state = 'failed_retryable' AND failed_at < NOW(6) - INTERVAL ?"      \
	  " SECOND, engine_accepted FROM apply_operations WHERE claim_after <= NOW(6)"   \
	  " ORDER BY claim_after, id LIMIT 1 FOR UPDATE SKIP LOCKED")                    \
	S(OP_APPLY, "SELECT apply_id, (SELECT COUNT(*) FROM apply_operations o"          \
		    " WHERE o.apply_row = a.id) FROM applies a WHERE a.id = ?")          \
	S(OP_TAKE, "UPDATE apply_operations SET lease_token = lease_token + 1,"          \
		   " lease_owner = ?, lease_acquired_at = NOW(6), attempt = ?,"          \
		   " deaths = ?, claim_after = NOW(6) + INTERVAL ? SECOND WHERE id = ?") \
	S(OP_DUE,                                                                        \
	  "SELECT d.n, CASE WHEN l.at IS NULL THEN -1 ELSE GREATEST(0,"                  \
	  " TIMESTAMPDIFF(MICROSECOND, NOW(6), l.at) DIV 1000) END FROM"                 \
	  " (SELECT COUNT(*) AS n FROM apply_operations WHERE claim_after <= NOW(6)) d," \
	  " (SELECT MIN(claim_after) AS at FROM apply_operations"                        \
	  " WHERE claim_after > NOW(6)) l")                                              \
	S(OP_RECLAIM, "UPDATE apply_operations SET claim_after = NOW(6)"                 \
		      " WHERE id = ? AND lease_token = ? AND lease_owner = ?"            \
		      " AND claim_after > NOW(6)")                                       \
	S(OP_LOAD, SELECT_OPERATIONS " WHERE o.id = ? AND o.lease_token = ?")            \
	S(OP_HAND_BACK, "UPDATE apply_operations SET lease_owner = NULL, claim_after ="  \
			" CASE WHEN state IN ('stopped','completed','failed',"           \
			"'cancelled','reverted') THEN NULL"                              \
			" ELSE NOW(6) + INTERVAL ? SECOND END WHERE id = ?")             \
	S(OP_DOUBT, "UPDATE apply_operations SET error_code = 'outcome_unknown',"        \
		    " error_message = ? WHERE id = ?")                                   \
	S(OP_RENEW, "UPDATE apply_operations SET attempt = 0, deaths = 0 WHERE id = ?")  \
	S(OP_SAVE_ENGINE, "UPDATE apply_operations SET engine_state = ?,"                \
			  " engine_accepted = ? WHERE id = ?")                           \
	S(OP_UNRECOGNIZED, "UPDATE apply_operations SET unrecognized ="                  \
			   " unrecognized + 1 WHERE id = ?")                             \
	S(OP_PARK,                                                                       \
	  "UPDATE apply_operations SET lease_owner = NULL,"                              \
	  " poll_errors = COALESCE(?, poll_errors),"                                     \
	  " claim_after = CASE WHEN EXISTS (SELECT 1 FROM apply_control_requests r"      \
	  " WHERE r.apply_row = ? AND r.status = 'pending' AND"                          \
	  " r.created_at > lease_acquired_at) THEN NOW(6)"                               \
	  " ELSE NOW(6) + INTERVAL ? SECOND END"                                         \
	  " WHERE id = ? AND lease_token = ? AND claim_after IS NOT NULL")               \
	S(OP_PROGRESS, "UPDATE apply_operations SET error_message ="                     \
		       " CASE error_code WHEN 'outcome_unknown' THEN NULL"               \
		       " ELSE error_message END, error_code = CASE error_code"           \
		       " WHEN 'outcome_unknown' THEN '' ELSE error_code END,"            \
		       " deaths = CASE WHEN progress_mark"                               \
		       " < ? THEN 0 ELSE deaths END, progress_mark ="                    \
		       " GREATEST(progress_mark, ?) WHERE id = ?")

DB_STATEMENTS(operation, OPERATION_STATEMENTS)

struct due {
	uint64_t id, apply_row, lease_token;
	enum state state;
	char *lease_owner;
	int attempt, deaths;
	bool too_old, engine_accepted;
};
static const struct db_col due_columns[] = {
	COL(U64, struct due, id),
	COL(U64, struct due, apply_row),
	COL_ENUM(struct due, state, state_parse),
	COL(U64, struct due, lease_token),
	COL(STR, struct due, lease_owner),
	COL(INT, struct due, attempt),
	COL(INT, struct due, deaths),
	COL(BOOL, struct due, too_old),
	COL(BOOL, struct due, engine_accepted),
};

struct parent {
	char *apply_id;
	int n_operations;
};
static const struct db_col parent_columns[] = { COL(STR, struct parent, apply_id),
						COL(INT, struct parent, n_operations) };

struct queue {
	int64_t due, next_ms;
};
static const struct db_col queue_columns[] = { COL(I64, struct queue, due),
					       COL(I64, struct queue, next_ms) };

/* What this claim costs: an attempt for a retry, or for a death beyond the
 * free; a claim never costs two. */
static void count_claim(struct due *due, struct claim *out)
{
	out->predecessor_died = due->lease_owner != NULL;
	if (out->predecessor_died)
		due->deaths++;
	if (state_class(due->state) == CLASS_RETRYABLE ||
	    (out->predecessor_died && due->deaths > DEATHS_FREE))
		due->attempt++;
	out->attempt = due->attempt;
	out->state = due->state;
	out->too_old = due->too_old;
	out->parked = due->engine_accepted && !due->lease_owner &&
		      state_class(due->state) == CLASS_ACTIVE;
}

static int take(TALLOC_CTX *tmp, struct db *db, const char *owner, claim_note note,
		void *arg, struct claim *out, struct sb_err *err)
{
	struct due due;
	struct parent parent;
	int rc = db_one(tmp, db, OP_SELECT_DUE, BIND(RETRY_WINDOW_SECONDS), due_columns,
			ARRAY_SIZE(due_columns), &due, err);

	if (rc <= 0)
		return rc;
	if (db_one(tmp, db, OP_APPLY, BIND(due.apply_row), parent_columns,
		   ARRAY_SIZE(parent_columns), &parent, err) != 1)
		return sb_err(err, SB_ESTORAGE,
			      "An operation without an apply: row %llu.",
			      (unsigned long long)due.id);
	/* model: CLAIM_NOTE */
	FAULT("operation.claim.selected");
	count_claim(&due, out);
	out->lease = (struct lease){ .operation = due.id,
				     .apply_row = due.apply_row,
				     .token = due.lease_token + 1,
				     .n_operations = parent.n_operations };
	snprintf(out->lease.apply_id, sizeof(out->lease.apply_id), "%s", parent.apply_id);
	if (note && note(arg, out, 1, err) < 0)
		return -1;
	/* model: CLAIM */
	if (db_exec(db, OP_TAKE,
		    BIND(owner, due.attempt, due.deaths, LEASE_SECONDS, due.id),
		    err) != 1)
		return -1;
	FAULT("operation.claim.taken");
	return 1;
}

int operation_claim(struct db *db, const char *owner, claim_note note, void *arg,
		    struct claim *out, struct sb_err *err)
{
	TALLOC_CTX *tmp;
	int rc;

	*out = (struct claim){ .made_ms = clock_ms() };
	if (db_begin(db, err) < 0)
		return -1;
	tmp = mem_ctx(db, "claim");
	rc = take(tmp, db, owner, note, arg, out, err);
	talloc_free(tmp);
	if (rc == 1)
		return db_commit(db, err) < 0 ? -1 : 1;
	db_rollback(db);
	return rc;
}

int operation_due(struct db *db, int64_t *n, int64_t *next_ms, struct sb_err *err)
{
	struct queue queue;

	*n = 0;
	*next_ms = -1;
	if (db_one(db, db, OP_DUE, NO_BIND, queue_columns, ARRAY_SIZE(queue_columns),
		   &queue, err) != 1)
		return -1;
	*n = queue.due;
	*next_ms = queue.next_ms;
	return 0;
}

int operation_reclaim(struct db *db, uint64_t operation, uint64_t token,
		      const char *owner, struct sb_err *err)
{
	/* model: RECLAIM */
	int64_t n = db_exec(db, OP_RECLAIM, BIND(operation, token, owner), err);

	return n < 0 ? -1 : n > 0;
}

const struct db_col operation_columns[OPERATION_COLUMNS] = {
	COL(U64, struct operation, id),
	COL(U64, struct operation, apply_row),
	COL(STR, struct operation, apply_id),
	COL(STR, struct operation, deployment),
	COL(STR, struct operation, target),
	COL_ENUM(struct operation, state, state_parse),
	COL(STR, struct operation, error_code),
	COL(STR, struct operation, error_message),
	COL(INT, struct operation, attempt),
	COL(INT, struct operation, deaths),
	COL(STR, struct operation, engine_state),
	COL(BOOL, struct operation, engine_accepted),
	COL(INT, struct operation, poll_errors),
	COL(STR, struct operation, cutover_policy),
	COL(STR, struct operation, on_failure),
	COL(U64, struct operation, served_request),
	COL(U64, struct operation, lease_token),
	COL(STR, struct operation, lease_owner),
	COL(STR, struct operation, claim_after),
	COL(STR, struct operation, started_at),
	COL(STR, struct operation, completed_at),
	COL(STR, struct operation, database),
	COL(STR, struct operation, environment),
	COL(STR, struct operation, engine),
	COL(STR, struct operation, options),
	COL(INT, struct operation, volume),
	COL(INT, struct operation, n_pending),
};

int operation_load(TALLOC_CTX *ctx, struct db *db, const struct lease *lease,
		   struct operation *out, struct sb_err *err)
{
	int rc;

	if (FAULT_ERR("operation.load", err) < 0)
		return -1;
	rc = db_one(ctx, db, OP_LOAD, BIND(lease->operation, lease->token),
		    operation_columns, OPERATION_COLUMNS, out, err);

	if (rc == 0)
		return sb_err(err, SB_ELEASE, "%s is owned by somebody else now.",
			      lease->apply_id);
	return rc < 0 ? -1 : 0;
}

int operation_hand_back(struct lease_tx *tx, int delay_seconds, struct sb_err *err)
{
	/* model: HAND_BACK */
	int64_t n = db_exec(tx->db, OP_HAND_BACK,
			    BIND(delay_seconds, tx->lease->operation), err);

	FAULT("operation.hand_back");
	return n < 0 ? -1 : 0;
}

int operation_note_doubt(struct lease_tx *tx, const char *reason, struct sb_err *err)
{
	int64_t n = db_exec(tx->db, OP_DOUBT, BIND(reason, tx->lease->operation), err);

	return n < 0 ? -1 : 0;
}

int operation_renew(struct lease_tx *tx, struct sb_err *err)
{
	return db_exec(tx->db, OP_RENEW, BIND(tx->lease->operation), err) < 0 ? -1 : 0;
}

int operation_save_engine_state(struct lease_tx *tx, const char *engine_state,
				bool accepted, struct sb_err *err)
{
	int64_t n = db_exec(tx->db, OP_SAVE_ENGINE,
			    BIND(engine_state, accepted, tx->lease->operation), err);

	return n < 0 ? -1 : 0;
}

int operation_count_unrecognized(struct lease_tx *tx, struct sb_err *err)
{
	int64_t n = db_exec(tx->db, OP_UNRECOGNIZED, BIND(tx->lease->operation), err);

	return n < 0 ? -1 : 0;
}

int operation_park(struct db *db, const struct lease *lease, int seconds, int poll_errors,
		   struct sb_err *err)
{
	const struct db_bind binds[] = {
		poll_errors < 0 ? db_bind_str(NULL) : db_bind_int(poll_errors),
		db_bind_uint(lease->apply_row),
		db_bind_int(seconds),
		db_bind_uint(lease->operation),
		db_bind_uint(lease->token),
	};
	int64_t n = db_exec(db, OP_PARK, binds, ARRAY_SIZE(binds), err);

	if (n == 0)
		return sb_err(err, SB_ELEASE, "%s is owned by somebody else now.",
			      lease->apply_id);
	return n < 0 ? -1 : 0;
}

int operation_note_progress(struct lease_tx *tx, uint64_t mark, struct sb_err *err)
{
	int64_t n =
		db_exec(tx->db, OP_PROGRESS, BIND(mark, mark, tx->lease->operation), err);

	return n < 0 ? -1 : 0;
}
