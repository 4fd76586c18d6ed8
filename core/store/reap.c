/*
 * reap.c - the reaper's statements. See reap.h.
 */
#include "core/store/reap.h"

#include <stdio.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/model/control_rules.h"

/* How long an apply must have been left alone before its orphans are settled. */
#define QUIET_SECONDS (10 * 60)

#define REAP_STATEMENTS(S)                                                              \
	S(RE_EXPIRED,                                                                   \
	  "SELECT o.id, o.apply_row, o.lease_token, a.apply_id, o.attempt,"             \
	  " o.attempt < ?, (SELECT COUNT(*) FROM apply_operations s"                    \
	  " WHERE s.apply_row = a.id) FROM apply_operations o JOIN applies a"           \
	  " ON a.id = o.apply_row WHERE o.state = 'failed_retryable'"                   \
	  " AND (o.lease_owner IS NULL OR o.claim_after <= NOW(6))"                     \
	  " AND (o.attempt >= ?"                                                        \
	  " OR o.failed_at < NOW(6) - INTERVAL ? SECOND)"                               \
	  " ORDER BY o.id LIMIT 1 FOR UPDATE SKIP LOCKED")                              \
	S(RE_TAKE, "UPDATE apply_operations SET lease_token = lease_token + 1,"         \
		   " lease_owner = ?, lease_acquired_at = NOW(6),"                      \
		   " claim_after = NOW(6) + INTERVAL ? SECOND WHERE id = ?")            \
	S(RE_ORPHANS,                                                                   \
	  "SELECT DISTINCT o.apply_row FROM apply_operations o"                         \
	  " JOIN applies a ON a.id = o.apply_row"                                       \
	  " WHERE o.state IN ('pending','stopped','failed_retryable')"                  \
	  " AND (o.lease_owner IS NULL OR COALESCE(o.claim_after, NOW(6)) <= NOW(6))"   \
	  " AND a.state IN ('completed','failed','cancelled','reverted')"               \
	  " AND a.updated_at < NOW(6) - INTERVAL ? SECOND"                              \
	  " ORDER BY o.apply_row LIMIT ?")                                              \
	S(RE_ORPHAN_TASKS,                                                              \
	  "SELECT DISTINCT t.apply_row FROM tasks t"                                    \
	  " JOIN apply_operations o ON o.id = t.operation_row"                          \
	  " JOIN applies a ON a.id = o.apply_row WHERE"                                 \
	  " t.state NOT IN ('completed','failed','cancelled','reverted')"               \
	  " AND o.state IN ('completed','failed','cancelled','reverted')"               \
	  " AND a.updated_at < NOW(6) - INTERVAL ? SECOND"                              \
	  " ORDER BY t.apply_row LIMIT ?")                                              \
	S(RE_OPERATIONS,                                                                \
	  "SELECT id FROM apply_operations WHERE apply_row = ? ORDER BY id")            \
	S(RE_LOCK_OPERATION, "SELECT id, state, deployment FROM apply_operations"       \
			     " WHERE id = ? FOR UPDATE")                                \
	S(RE_LOCK_APPLY, "SELECT id, state, apply_id, error_message FROM applies"       \
			 " WHERE id = ? FOR UPDATE")                                    \
	S(RE_SETTLE_OPERATION,                                                          \
	  "UPDATE apply_operations SET state = ?, lease_token = lease_token + 1,"       \
	  " lease_owner = NULL, claim_after = NULL, completed_at = NOW(6),"             \
	  " error_message = ? WHERE id = ?"                                             \
	  " AND state IN ('pending','stopped','failed_retryable')"                      \
	  " AND (lease_owner IS NULL OR COALESCE(claim_after, NOW(6)) <= NOW(6))")      \
	S(RE_SETTLE_TASKS,                                                              \
	  "UPDATE tasks SET state = CASE WHEN state = 'pending' OR ? <> 'failed'"       \
	  " THEN 'cancelled' ELSE 'failed' END, completed_at = NOW(6),"                 \
	  " error_message = ? WHERE operation_row = ?"                                  \
	  " AND state NOT IN ('completed','failed','cancelled','reverted')"             \
	  " AND EXISTS (SELECT 1 FROM apply_operations o WHERE o.id = operation_row"    \
	  " AND o.state IN ('completed','failed','cancelled','reverted'))")             \
	S(RE_REQUESTS,                                                                  \
	  "SELECT r.id, r.apply_row, r.operation FROM apply_control_requests r"         \
	  " JOIN applies a ON a.id = r.apply_row WHERE r.pending_key IS NOT NULL"       \
	  " AND a.state IN ('completed','failed','cancelled','reverted')"               \
	  " ORDER BY r.id LIMIT ?")                                                     \
	S(RE_END_REQUEST,                                                               \
	  "UPDATE apply_control_requests SET status = ?, error_message = ?,"            \
	  " completed_at = NOW(6) WHERE id = ? AND status = 'pending'")                 \
	S(RE_LOG, "INSERT INTO apply_logs (apply_row, level, event_type, old_state,"    \
		  " new_state, message) VALUES (?, ?, ?, ?, ?, ?)")                     \
	S(RE_TOUCH, "UPDATE applies SET revision = revision + 1 WHERE id = ?")          \
	S(RE_STALE,                                                                     \
	  "SELECT a.id, a.apply_id FROM applies a WHERE a.id > ?"                       \
	  " AND a.state NOT IN ('completed','failed','cancelled','reverted')"           \
	  " AND a.updated_at < NOW(6) - INTERVAL ? SECOND"                              \
	  " AND NOT EXISTS (SELECT 1 FROM apply_operations o WHERE o.apply_row = a.id"  \
	  " AND (o.claim_after IS NOT NULL"                                             \
	  " OR (a.state = 'stopped' AND o.state = 'stopped')))"                         \
	  " ORDER BY a.id LIMIT ?")                                                     \
	S(RE_OLD_LOGS,                                                                  \
	  "SELECT COALESCE(MAX(id), 0), COUNT(*), COALESCE(MIN(old), 0) FROM"           \
	  " (SELECT id, created_at < NOW(6) - INTERVAL ? DAY AS old FROM apply_logs"    \
	  " WHERE id > ? ORDER BY id LIMIT ?) oldest")                                  \
	S(RE_TRIM_LOGS, "DELETE FROM apply_logs WHERE id > ? AND id <= ? AND EXISTS"    \
			" (SELECT 1 FROM applies a WHERE a.id = apply_row"              \
			" AND a.state IN ('completed','failed','cancelled','reverted')" \
			" AND a.completed_at < NOW(6) - INTERVAL ? DAY)")               \
	S(RE_OVER,                                                                      \
	  "SELECT COUNT(*), COALESCE(SUM(o.state NOT IN ('completed','failed',"         \
	  "'cancelled','reverted') OR o.completed_at > NOW(6) - INTERVAL"               \
	  " CASE WHEN ? >= 0 THEN ? ELSE CAST(COALESCE(JSON_UNQUOTE(JSON_EXTRACT("      \
	  "a.options, '$.keep_old')), '0') AS SIGNED) END HOUR), 0) FROM applies a"     \
	  " JOIN apply_operations o ON o.apply_row = a.id"                              \
	  " WHERE a.apply_id LIKE CONCAT(?, '%') AND (? IS NULL OR o.deployment = ?)")  \
	S(RE_WEDGED, "SELECT a.apply_id, o.state,"                                      \
		     " TIMESTAMPDIFF(SECOND, o.claim_after, NOW(6))"                    \
		     " FROM apply_operations o JOIN applies a ON a.id = o.apply_row"    \
		     " WHERE o.claim_after < NOW(6) - INTERVAL ? SECOND"                \
		     " ORDER BY o.claim_after LIMIT 100")                               \
	S(RE_STUCK, "SELECT a.apply_id, a.state, -1" REAP_STUCK_APPLIES " LIMIT 100")

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
	/* model: REAP */
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

/* ---- one apply at a time ---------------------------------------------------------- */

struct locked_operation {
	uint64_t id;
	enum state state;
	char *deployment;
};
static const struct db_col locked_operation_columns[] = {
	COL(U64, struct locked_operation, id),
	COL_ENUM(struct locked_operation, state, state_parse),
	COL(STR, struct locked_operation, deployment),
};

struct locked_apply {
	uint64_t id;
	enum state state;
	char *apply_id, *error_message;
	struct locked_operation *operations;
	size_t n_operations;
};
static const struct db_col locked_apply_columns[] = {
	COL(U64, struct locked_apply, id),
	COL_ENUM(struct locked_apply, state, state_parse),
	COL(STR, struct locked_apply, apply_id),
	COL(STR, struct locked_apply, error_message),
};

struct row_id {
	uint64_t id;
};
static const struct db_col id_column[] = { COL(U64, struct row_id, id) };

/* Inside a transaction: the operations of an apply as they are, locked. */
static int lock_operations(TALLOC_CTX *tmp, struct db *db, uint64_t apply_row,
			   struct locked_apply *out, struct sb_err *err)
{
	struct row_id *ids;
	size_t n;

	if (db_all(tmp, db, RE_OPERATIONS, BIND(apply_row), id_column, 1, sizeof(*ids),
		   &ids, &n, err) < 0)
		return -1;
	out->operations = mem_array(tmp, struct locked_operation, n);
	for (size_t i = 0; i < n; i++) {
		int rc = db_one(tmp, db, RE_LOCK_OPERATION, BIND(ids[i].id),
				locked_operation_columns,
				ARRAY_SIZE(locked_operation_columns),
				&out->operations[out->n_operations], err);

		if (rc < 0)
			return -1;
		out->n_operations += (size_t)rc;
	}
	return 0;
}

static int reap_log(struct db *db, uint64_t apply_row, const char *level,
		    const char *event, const char *old, const char *new,
		    const char *message, struct sb_err *err)
{
	return db_exec(db, RE_LOG, BIND(apply_row, level, event, old, new, message),
		       err) < 0
		       ? -1
		       : 0;
}

/* ---- orphans ---------------------------------------------------------------------- */

#define ORPHAN_TEXT "Nobody was left to settle it: its apply had ended."

static int settle_operation(TALLOC_CTX *tmp, struct db *db,
			    const struct locked_apply *apply, struct locked_operation *op,
			    struct sb_err *err)
{
	const char *reason = apply->state == STATE_FAILED ? apply->error_message : NULL;
	int64_t n = db_exec(db, RE_SETTLE_OPERATION,
			    BIND(state_name(apply->state), reason, op->id), err);

	if (n <= 0)
		return (int)n; /* 0: somebody drives it */
	if (reap_log(db, apply->id, "warn", "state_transition", state_name(op->state),
		     state_name(apply->state),
		     mem_printf(tmp, "Operation %s: %s -> %s. %s", op->deployment,
				state_label(op->state), state_label(apply->state),
				ORPHAN_TEXT),
		     err) < 0)
		return -1;
	op->state = apply->state;
	return 1;
}

static int settle_tasks(TALLOC_CTX *tmp, struct db *db, const struct locked_apply *apply,
			const struct locked_operation *op, struct sb_err *err)
{
	int64_t n = db_exec(db, RE_SETTLE_TASKS,
			    BIND(state_name(op->state), ORPHAN_TEXT, op->id), err);

	if (n <= 0)
		return (int)n;
	if (reap_log(db, apply->id, "warn", "task_update", "", "",
		     mem_printf(tmp,
				"Operation %s is %s: ended %lld tasks that were open. %s",
				op->deployment, state_name(op->state), (long long)n,
				ORPHAN_TEXT),
		     err) < 0)
		return -1;
	return (int)n;
}

static int mend(TALLOC_CTX *tmp, struct db *db, const struct locked_apply *apply,
		struct sb_err *err)
{
	int total = 0, rc;

	for (size_t i = 0; i < apply->n_operations; i++) {
		struct locked_operation *op = &apply->operations[i];

		if (state_is_settled(apply->state) && !state_is_settled(op->state)) {
			rc = settle_operation(tmp, db, apply, op, err);
			if (rc < 0)
				return -1;
			total += rc;
		}
		if (!state_is_settled(op->state))
			continue;
		rc = settle_tasks(tmp, db, apply, op, err);
		if (rc < 0)
			return -1;
		total += rc;
	}
	return total;
}

static int mend_one(struct db *db, uint64_t apply_row, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(db, "mend");
	struct locked_apply apply = { 0 };
	int rc = db_begin(db, err), n = 0;

	if (rc == 0)
		rc = lock_operations(tmp, db, apply_row, &apply, err);
	if (rc == 0)
		rc = db_one(tmp, db, RE_LOCK_APPLY, BIND(apply_row), locked_apply_columns,
			    ARRAY_SIZE(locked_apply_columns), &apply, err);
	FAULT("reap.orphans.locked");
	if (rc == 1)
		rc = n = mend(tmp, db, &apply, err);
	if (rc > 0 && db_exec(db, RE_TOUCH, BIND(apply_row), err) < 0)
		rc = -1;
	FAULT("reap.orphans.settled");
	if (rc > 0)
		rc = db_commit(db, err);
	db_rollback(db);
	talloc_free(tmp);
	return rc < 0 ? -1 : n;
}

/* `which` takes (seconds, batch) and names applies; each is mended in a transaction. */
static int mend_all(struct db *db, const struct db_stmt *which, int batch,
		    struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(db, "mend_all");
	struct row_id *rows;
	size_t n;
	int total = 0, rc;

	rc = db_all(tmp, db, which, BIND(QUIET_SECONDS, batch), id_column, 1,
		    sizeof(*rows), &rows, &n, err);
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		FAULT("reap.orphans.found");
		rc = mend_one(db, rows[i].id, err);
		total += rc < 0 ? 0 : rc;
	}
	talloc_free(tmp);
	return rc < 0 ? -1 : total;
}

int reap_orphans(struct db *db, int batch, struct sb_err *err)
{
	int operations = mend_all(db, RE_ORPHANS, batch, err);
	int tasks = operations < 0 ? -1 : mend_all(db, RE_ORPHAN_TASKS, batch, err);

	return tasks < 0 ? -1 : operations + tasks;
}

/* ---- stale parents ---------------------------------------------------------------- */

struct stale {
	uint64_t id;
	char *apply_id;
};
static const struct db_col stale_columns[] = {
	COL(U64, struct stale, id),
	COL(STR, struct stale, apply_id),
};

/* One page of candidates; *last is where the next begins, 0 when there is none. */
static int rederive_page(struct db *db, int batch, uint64_t *last, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(db, "rederive_page");
	struct stale *rows;
	bool changed;
	int total = 0;
	size_t n;
	int rc = db_all(tmp, db, RE_STALE, BIND(*last, LEASE_SECONDS, batch),
			stale_columns, ARRAY_SIZE(stale_columns), sizeof(*rows), &rows,
			&n, err);

	for (size_t i = 0; rc >= 0 && i < n; i++) {
		FAULT("reap.stale.found");
		rc = apply_rederive(db, rows[i].id, rows[i].apply_id, &changed, err);
		if (rc == 0 && changed) {
			log_warn("reaper.stale", "%s: its state was derived anew",
				 rows[i].apply_id);
			total++;
		}
	}
	*last = rc >= 0 && n == (size_t)batch ? rows[n - 1].id : 0;
	talloc_free(tmp);
	return rc < 0 ? -1 : total;
}

int reap_stale_applies(struct db *db, int batch, struct sb_err *err)
{
	uint64_t last = 0;
	int total = 0, n;

	/* A paused rollout is a candidate, too, and stays one: look past those. */
	do {
		n = rederive_page(db, batch, &last, err);
		total += n < 0 ? 0 : n;
	} while (n >= 0 && last > 0 && total < batch);
	return n < 0 ? -1 : total;
}

/* ---- requests --------------------------------------------------------------------- */

struct request_row {
	uint64_t id, apply_row;
	enum control operation;
};
static const struct db_col request_columns[] = {
	COL(U64, struct request_row, id),
	COL(U64, struct request_row, apply_row),
	COL_ENUM(struct request_row, operation, control_parse),
};

static int end_request(struct db *db, const struct request_row *r, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(db, "end_request");
	const char *name = control_name(r->operation), *failure = NULL;
	struct locked_apply apply = { 0 };
	int64_t n = 0;
	int rc = db_begin(db, err);

	if (rc == 0)
		rc = db_one(tmp, db, RE_LOCK_APPLY, BIND(r->apply_row),
			    locked_apply_columns, ARRAY_SIZE(locked_apply_columns),
			    &apply, err);
	if (rc <= 0 || !state_is_settled(apply.state))
		goto out;
	if (control_ends(r->operation, apply.state, 0, &failure) == CONTROL_STAYS)
		BUG("%s outlives a settled apply", name);
	n = db_exec(db, RE_END_REQUEST,
		    BIND(failure ? "failed" : "completed", failure, r->id), err);
	FAULT("reap.request.ended");
	if (n > 0)
		n = reap_log(db, r->apply_row, failure ? "warn" : "info",
			     mem_printf(tmp, "%s_%s", name,
					failure ? "failed" : "completed"),
			     "", "",
			     mem_printf(tmp, "%s %s%s%s", name,
					failure ? "failed" : "completed",
					failure ? ": " : ".", failure ? failure : ""),
			     err) < 0
			    ? -1
			    : 1;
	if (n > 0 && db_exec(db, RE_TOUCH, BIND(r->apply_row), err) < 0)
		n = -1;
	if (n > 0)
		n = db_commit(db, err) < 0 ? -1 : 1;
	rc = (int)n;
out:
	db_rollback(db);
	talloc_free(tmp);
	return rc < 0 ? -1 : n > 0;
}

int reap_orphaned_requests(struct db *db, int batch, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(db, "reap_requests");
	struct request_row *rows;
	int total = 0, rc;
	size_t n;

	rc = db_all(tmp, db, RE_REQUESTS, BIND(batch), request_columns,
		    ARRAY_SIZE(request_columns), sizeof(*rows), &rows, &n, err);
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		rc = end_request(db, &rows[i], err);
		total += rc > 0;
	}
	talloc_free(tmp);
	return rc < 0 ? -1 : total;
}

/* ---- retention -------------------------------------------------------------------- */

struct page {
	uint64_t last;
	int64_t n;
	bool all_old;
};
static const struct db_col page_columns[] = {
	COL(U64, struct page, last),
	COL(I64, struct page, n),
	COL(BOOL, struct page, all_old),
};

/*
 * Pages of the primary key, oldest first, up to the first line that is too young: lines
 * of applies that are still open stay behind and are few.
 */
int reap_old_logs(struct db *db, int days, int batch, struct sb_err *err)
{
	struct page page = { 0 };
	int64_t total = 0;

	if (days == 0)
		return 0;
	do {
		uint64_t from = page.last;
		int64_t n;

		if (db_one(db, db, RE_OLD_LOGS, BIND(days, from, batch), page_columns,
			   ARRAY_SIZE(page_columns), &page, err) < 0)
			return -1;
		if (page.n == 0)
			break;
		n = db_exec(db, RE_TRIM_LOGS, BIND(from, page.last, days), err);
		FAULT("reap.logs.trimmed");
		if (n < 0)
			return -1;
		total += n;
	} while (page.all_old && page.n == batch && total < batch);
	return (int)total;
}

/* ---- questions -------------------------------------------------------------------- */

struct over {
	int64_t n, open;
};
static const struct db_col over_columns[] = {
	COL(I64, struct over, n),
	COL(I64, struct over, open),
};

int reap_is_over(struct db *db, const char *apply_id, const char *deployment,
		 int settled_hours, struct sb_err *err)
{
	struct over row = { 0 };

	if (db_one(db, db, RE_OVER,
		   BIND(settled_hours, settled_hours, apply_id, deployment, deployment),
		   over_columns, ARRAY_SIZE(over_columns), &row, err) < 0)
		return -1;
	return row.n > 0 && row.open == 0;
}

static const struct db_col wedged_columns[] = {
	COL(STR, struct reap_wedged, apply_id),
	COL(STR, struct reap_wedged, state),
	COL(I64, struct reap_wedged, due_seconds),
};

int reap_find_wedged(TALLOC_CTX *ctx, struct db *db, int seconds,
		     struct reap_wedged **out, size_t *n, struct sb_err *err)
{
	struct reap_wedged *stuck;
	size_t n_stuck;

	if (db_all(ctx, db, RE_WEDGED, BIND(seconds), wedged_columns,
		   ARRAY_SIZE(wedged_columns), sizeof(**out), out, n, err) < 0 ||
	    db_all(ctx, db, RE_STUCK, BIND(seconds), wedged_columns,
		   ARRAY_SIZE(wedged_columns), sizeof(*stuck), &stuck, &n_stuck, err) < 0)
		return -1;
	*out = mem_grow(ctx, *out, struct reap_wedged, *n + n_stuck + 1);
	for (size_t i = 0; i < n_stuck; i++)
		(*out)[(*n)++] = stuck[i];
	return 0;
}
