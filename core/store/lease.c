/*
 * lease.c - the lease transaction, the heartbeat, and the log line inside. See lease.h.
 */
#include "core/store/lease.h"

#include "core/base/fault.h"

#define LEASE_STATEMENTS(S)                                                              \
	S(LEASE_SIBLINGS,                                                                \
	  "SELECT id FROM apply_operations WHERE apply_row = ? ORDER BY id")             \
	S(LEASE_LOCK, "SELECT id FROM apply_operations WHERE id = ? FOR UPDATE")         \
	S(LEASE_HOLD, "SELECT lease_token FROM apply_operations"                         \
		      " WHERE id = ? AND lease_token = ? FOR UPDATE")                    \
	S(LEASE_BEAT, "UPDATE apply_operations SET claim_after ="                        \
		      " CASE WHEN claim_after IS NULL OR lease_owner IS NULL"            \
		      " THEN claim_after"                                                \
		      " ELSE NOW(6) + INTERVAL ? SECOND END"                             \
		      " WHERE id = ? AND lease_token = ?")                               \
	S(LEASE_REMAINING, "SELECT COALESCE(TIMESTAMPDIFF(MICROSECOND, NOW(6),"          \
			   " claim_after) DIV 1000, 0) AS ms FROM apply_operations"      \
			   " WHERE id = ? AND lease_token = ?")                          \
	S(LEASE_TOUCH, "UPDATE applies SET revision = revision + 1, updated_at = NOW(6)" \
		       " WHERE id = ?")                                                  \
	S(LEASE_LOG, "INSERT INTO apply_logs (apply_row, task_id, level, event_type,"    \
		     " old_state, new_state, message, lease_token)"                      \
		     " VALUES (?, ?, ?, ?, ?, ?, ?, ?)")

DB_STATEMENTS(lease, LEASE_STATEMENTS)

static int lost(const struct lease *lease, struct sb_err *err)
{
	return sb_err(err, SB_ELEASE,
		      "%s is owned by somebody else now (our token was %llu).",
		      lease->apply_id, (unsigned long long)lease->token);
}

struct number {
	int64_t n;
};
static const struct db_col number_column[] = { COL(I64, struct number, n) };

static int hold(struct db *db, const struct lease *lease, struct sb_err *err)
{
	struct number row;
	int rc = db_one(db, db, LEASE_HOLD, BIND(lease->operation, lease->token),
			number_column, 1, &row, err);

	return rc == 0 ? lost(lease, err) : rc;
}

/* A lock through another index would be taken in another order, and deadlock. Nobody's
 * lease (apply_rederive()) has no operation of its own to hold. */
static int hold_all(struct db *db, const struct lease *lease, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(db, "hold_all");
	struct number *ids, locked;
	bool held = lease->operation == 0;
	size_t n;
	int rc = db_all(tmp, db, LEASE_SIBLINGS, BIND(lease->apply_row), number_column, 1,
			sizeof(*ids), &ids, &n, err);

	for (size_t i = 0; rc >= 0 && i < n; i++) {
		bool own = (uint64_t)ids[i].n == lease->operation;

		held |= own;
		rc = own ? hold(db, lease, err)
			 : db_one(tmp, db, LEASE_LOCK, BIND(ids[i].n), number_column, 1,
				  &locked, err);
	}
	talloc_free(tmp);
	return rc < 0 || held ? rc : lost(lease, err);
}

int lease_tx_begin(struct db *db, const struct lease *lease, struct lease_tx *tx,
		   struct sb_err *err)
{
	int rc;

	*tx = (struct lease_tx){ 0 };
	if (db_begin(db, err) < 0)
		return -1;
	/* model: LEASE_TX */
	rc = lease->n_operations > 1 ? hold_all(db, lease, err) : hold(db, lease, err);
	if (rc < 0) {
		db_rollback(db);
		return -1;
	}
	*tx = (struct lease_tx){ .db = db, .lease = lease };
	return 0;
}

int lease_tx_commit(struct lease_tx *tx, struct sb_err *err)
{
	if (db_exec(tx->db, LEASE_TOUCH, BIND(tx->lease->apply_row), err) < 0) {
		lease_tx_rollback(tx);
		return -1;
	}
	return db_commit(tx->db, err);
}

void lease_tx_rollback(struct lease_tx *tx)
{
	if (tx->db)
		db_rollback(tx->db);
}

int lease_heartbeat(struct db *db, const struct lease *lease, struct sb_err *err)
{
	int64_t n;

	/* model: HEARTBEAT */
	if (FAULT_ERR("lease.heartbeat", err) < 0)
		return -1;
	n = db_exec(db, LEASE_BEAT, BIND(LEASE_SECONDS, lease->operation, lease->token),
		    err);
	if (n == 0)
		return lost(lease, err);
	return n < 0 ? -1 : 0;
}

int lease_remaining_ms(struct db *db, const struct lease *lease, int64_t *ms,
		       struct sb_err *err)
{
	struct number row;
	int rc = db_one(db, db, LEASE_REMAINING, BIND(lease->operation, lease->token),
			number_column, 1, &row, err);

	*ms = 0;
	if (rc == 0)
		return lost(lease, err);
	if (rc < 0)
		return -1;
	*ms = row.n;
	return 0;
}

int lease_log(struct lease_tx *tx, const char *task_id, const char *level,
	      const char *event_type, const char *old_state, const char *new_state,
	      const char *message, struct sb_err *err)
{
	int64_t n = db_exec(tx->db, LEASE_LOG,
			    BIND(tx->lease->apply_row, task_id, level, event_type,
				 old_state, new_state, message, tx->lease->token),
			    err);

	return n < 0 ? -1 : 0;
}
