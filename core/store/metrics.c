/*
 * metrics.c - the numbers behind GET /metrics. See metrics.h.
 */
#include "core/store/metrics.h"

#include "core/store/reap.h"

#define METRICS_STATEMENTS(S)                                                            \
	S(ME_PLANS, "SELECT database_name, environment, CASE WHEN n_errors > 0 THEN"     \
		    " 'error' ELSE 'success' END AS label, '' AS label2, COUNT(*)"       \
		    " FROM plans GROUP BY database_name, environment, label")            \
	S(ME_APPLIES, "SELECT database_name, environment, state, '', COUNT(*)"           \
		      " FROM applies GROUP BY database_name, environment, state")        \
	S(ME_CONTROLS, "SELECT a.database_name, a.environment, r.operation, r.status,"   \
		       " COUNT(*) FROM apply_control_requests r JOIN applies a"          \
		       " ON a.id = r.apply_row GROUP BY a.database_name, a.environment," \
		       " r.operation, r.status")                                         \
	S(ME_OPERATIONS, "SELECT a.database_name, a.environment, o.state, '', COUNT(*)"  \
			 " FROM apply_operations o JOIN applies a ON a.id = o.apply_row" \
			 " WHERE o.claim_after IS NOT NULL OR o.state IN ('pending',"    \
			 "'stopped') GROUP BY a.database_name, a.environment, o.state")  \
	S(ME_QUEUE,                                                                      \
	  "SELECT COALESCE(SUM(claim_after <= NOW(6)), 0),"                              \
	  " COALESCE(TIMESTAMPDIFF(MICROSECOND, MIN(claim_after), NOW(6)) / 1e6, 0),"    \
	  " COALESCE(SUM(lease_owner IS NOT NULL AND claim_after > NOW(6)), 0),"         \
	  " COALESCE(SUM(claim_after < NOW(6) - INTERVAL ? SECOND), 0)"                  \
	  " FROM apply_operations WHERE claim_after IS NOT NULL")                        \
	S(ME_STUCK, "SELECT COUNT(*)" REAP_STUCK_APPLIES)                                \
	S(ME_STUCK_PENDING,                                                              \
	  "SELECT COUNT(*) FROM applies a WHERE a.state = 'pending'"                     \
	  " AND EXISTS (SELECT 1 FROM apply_operations o WHERE o.apply_row = a.id"       \
	  " AND o.claim_after < NOW(6) - INTERVAL ? SECOND)")                            \
	S(ME_FAILURES, "SELECT a.database_name, a.environment, o.error_code, '',"        \
		       " COUNT(*) FROM apply_operations o JOIN applies a"                \
		       " ON a.id = o.apply_row WHERE o.state = 'failed'"                 \
		       " AND o.error_code <> '' GROUP BY a.database_name,"               \
		       " a.environment, o.error_code")                                   \
	S(ME_UNRECOGNIZED, "SELECT a.database_name, a.environment, a.engine, '',"        \
			   " SUM(o.unrecognized) FROM apply_operations o JOIN applies a" \
			   " ON a.id = o.apply_row WHERE o.unrecognized > 0"             \
			   " GROUP BY a.database_name, a.environment, a.engine")         \
	S(ME_COUNTERS,                                                                   \
	  "SELECT database_name, environment, counter, '', n FROM counters")             \
	S(ME_RECENT,                                                                     \
	  "SELECT database_name, environment, CASE WHEN state = 'completed'"             \
	  " THEN 'success' ELSE 'error' END AS label, COUNT(*), AVG(s), MAX(s) FROM"     \
	  " (SELECT database_name, environment, state, TIMESTAMPDIFF(MICROSECOND,"       \
	  " started_at, completed_at) / 1e6 AS s FROM applies"                           \
	  " WHERE updated_at > NOW(6) - INTERVAL 1 DAY"                                  \
	  " AND (state = 'completed' OR state = 'failed')"                               \
	  " AND started_at IS NOT NULL AND completed_at IS NOT NULL) ended"              \
	  " GROUP BY database_name, environment, label")                                 \
	S(ME_EXPIRED, "SELECT COUNT(*) FROM apply_operations"                            \
		      " WHERE state = 'failed' AND error_code = 'retry_exhausted'")

DB_STATEMENTS(metrics, METRICS_STATEMENTS)

static const struct db_col total_columns[] = {
	COL(STR, struct metric_total, database),
	COL(STR, struct metric_total, environment),
	COL(STR, struct metric_total, label),
	COL(STR, struct metric_total, label2),
	COL(I64, struct metric_total, n),
};
static const struct db_col queue_columns[] = {
	COL(I64, struct metrics, operations_due),
	COL(DOUBLE, struct metrics, oldest_due_seconds),
	COL(I64, struct metrics, operations_leased),
	COL(I64, struct metrics, operations_wedged),
};
static const struct db_col expired_column[] = { COL(I64, struct metrics,
						    expired_retryable) };

static const struct db_col recent_columns[] = {
	COL(STR, struct metric_recent, database),
	COL(STR, struct metric_recent, environment),
	COL(STR, struct metric_recent, label),
	COL(I64, struct metric_recent, n),
	COL(DOUBLE, struct metric_recent, average_seconds),
	COL(DOUBLE, struct metric_recent, longest_seconds),
};

struct number {
	int64_t n;
};
static const struct db_col number_column[] = { COL(I64, struct number, n) };

static int totals(TALLOC_CTX *ctx, struct db *db, const struct db_stmt *stmt,
		  struct metric_total **out, size_t *n, struct sb_err *err)
{
	return db_all(ctx, db, stmt, NO_BIND, total_columns, ARRAY_SIZE(total_columns),
		      sizeof(**out), out, n, err);
}

int metrics_read(TALLOC_CTX *ctx, struct db *db, struct metrics *m, struct sb_err *err)
{
	struct number stuck = { 0 }, pending = { 0 };

	*m = (struct metrics){ 0 };
	if (totals(ctx, db, ME_PLANS, &m->plans, &m->n_plans, err) < 0 ||
	    totals(ctx, db, ME_APPLIES, &m->applies, &m->n_applies, err) < 0 ||
	    totals(ctx, db, ME_CONTROLS, &m->controls, &m->n_controls, err) < 0 ||
	    totals(ctx, db, ME_OPERATIONS, &m->operations, &m->n_operations, err) < 0 ||
	    totals(ctx, db, ME_FAILURES, &m->failures, &m->n_failures, err) < 0 ||
	    totals(ctx, db, ME_UNRECOGNIZED, &m->unrecognized, &m->n_unrecognized, err) <
		    0 ||
	    totals(ctx, db, ME_COUNTERS, &m->counters, &m->n_counters, err) < 0 ||
	    db_all(ctx, db, ME_RECENT, NO_BIND, recent_columns,
		   ARRAY_SIZE(recent_columns), sizeof(*m->recent), &m->recent,
		   &m->n_recent, err) < 0)
		return -1;
	if (db_one(ctx, db, ME_QUEUE, BIND(2 * LEASE_SECONDS), queue_columns,
		   ARRAY_SIZE(queue_columns), m, err) < 0 ||
	    db_one(ctx, db, ME_EXPIRED, NO_BIND, expired_column, 1, m, err) < 0 ||
	    db_one(ctx, db, ME_STUCK, BIND(2 * LEASE_SECONDS), number_column, 1, &stuck,
		   err) < 0 ||
	    db_one(ctx, db, ME_STUCK_PENDING, BIND(LEASE_SECONDS), number_column, 1,
		   &pending, err) < 0)
		return -1;
	m->operations_wedged += stuck.n;
	m->stuck_pending = pending.n;
	if (m->operations_due == 0)
		m->oldest_due_seconds = 0;
	return 0;
}
