/*
 * reap.c - the reaper's statements. See reap.h.
 */
#include "core/store/reap.h"

#include <stdio.h>

#include "core/base/fault.h"

#define REAP_STATEMENTS(S)                                                           \
	S(RE_EXPIRED,                                                                \
	  "SELECT o.id, o.apply_row, o.lease_token, a.apply_id, o.attempt,"          \
	  " o.attempt < ?, (SELECT COUNT(*) FROM apply_operations s"                 \
	  " WHERE s.apply_row = a.id) FROM apply_operations o JOIN applies a"        \
	  " ON a.id = o.apply_row WHERE o.state = 'failed_retryable'"                \
	  " AND o.lease_owner IS NULL AND (o.attempt >= ?"                           \
	  " OR o.failed_at < NOW(6) - INTERVAL ? SECOND)"                            \
	  " ORDER BY o.id LIMIT 1 FOR UPDATE SKIP LOCKED")                           \
	S(RE_TAKE, "UPDATE apply_operations SET lease_token = lease_token + 1,"      \
		   " lease_owner = ?, lease_acquired_at = NOW(6),"                   \
		   " claim_after = NOW(6) + INTERVAL ? SECOND WHERE id = ?")         \
	S(RE_REQUESTS,                                                               \
	  "UPDATE apply_control_requests r JOIN applies a ON a.id = r.apply_row"     \
	  " SET r.status = 'failed', r.completed_at = NOW(6), r.error_message ="     \
	  " CONCAT('The apply was ', a.state, ' before this could take effect.')"    \
	  " WHERE r.status = 'pending'"                                              \
	  " AND a.state IN ('completed','failed','cancelled','reverted')")           \
	S(RE_WEDGED, "SELECT a.apply_id, o.state,"                                   \
		     " TIMESTAMPDIFF(SECOND, o.claim_after, NOW(6))"                 \
		     " FROM apply_operations o JOIN applies a ON a.id = o.apply_row" \
		     " WHERE o.claim_after < NOW(6) - INTERVAL ? SECOND"             \
		     " ORDER BY o.claim_after LIMIT 100")

DB_STATEMENTS(reap, REAP_STATEMENTS)

struct expired {
	uint64_t id, apply_row, lease_token;
	char *apply_id;
	int attempt;
	bool too_old;
	int n_operations;
};
static const struct db_col expired_columns[] = {
	COL(U64, struct expired, id),		COL(U64, struct expired, apply_row),
	COL(U64, struct expired, lease_token),	COL(STR, struct expired, apply_id),
	COL(INT, struct expired, attempt),	COL(BOOL, struct expired, too_old),
	COL(INT, struct expired, n_operations),
};

int reap_claim_expired(struct db *db, const char *owner, struct claim *out, bool *too_old,
		       struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(db, "reap_claim_expired");
	struct expired row = { 0 };
	int rc = -1;

	*out = (struct claim){ 0 };
	*too_old = false;
	if (db_begin(db, err) < 0)
		goto out;
	rc = db_one(tmp, db, RE_EXPIRED,
		    BIND(RETRY_BUDGET, RETRY_BUDGET, RETRY_WINDOW_SECONDS),
		    expired_columns, ARRAY_SIZE(expired_columns), &row, err);
	if (rc == 1 && db_exec(db, RE_TAKE, BIND(owner, LEASE_SECONDS, row.id), err) != 1)
		rc = -1;
	FAULT("reap.expired.taken");
	if (rc == 1)
		rc = db_commit(db, err) < 0 ? -1 : 1;
	db_rollback(db);
	if (rc != 1)
		goto out;
	out->lease = (struct lease){ .operation = row.id,
				     .apply_row = row.apply_row,
				     .token = row.lease_token + 1,
				     .n_operations = row.n_operations };
	snprintf(out->lease.apply_id, sizeof(out->lease.apply_id), "%s", row.apply_id);
	out->state = STATE_FAILED_RETRYABLE;
	out->attempt = row.attempt;
	*too_old = row.too_old;
out:
	talloc_free(tmp);
	return rc;
}

int reap_orphaned_requests(struct db *db, struct sb_err *err)
{
	return (int)db_exec(db, RE_REQUESTS, NO_BIND, err);
}

static const struct db_col wedged_columns[] = {
	COL(STR, struct reap_wedged, apply_id),
	COL(STR, struct reap_wedged, state),
	COL(I64, struct reap_wedged, due_seconds),
};

int reap_find_wedged(TALLOC_CTX *ctx, struct db *db, int seconds,
		     struct reap_wedged **out, size_t *n, struct sb_err *err)
{
	return db_all(ctx, db, RE_WEDGED, BIND(seconds), wedged_columns,
		      ARRAY_SIZE(wedged_columns), sizeof(**out), out, n, err);
}
