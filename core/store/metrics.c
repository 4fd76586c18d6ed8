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
	S(ME_CLAIMS, "SELECT COALESCE(SUM(lease_token), 0) FROM apply_operations")       \
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
	S(ME_DURATIONS,                                                                  \
	  "SELECT database_name, environment, CASE WHEN state = 'completed'"             \
	  " THEN 'success' ELSE 'error' END AS label, COUNT(*), SUM(s), SUM(s <= 1),"    \
	  " SUM(s <= 5), SUM(s <= 30), SUM(s <= 120), SUM(s <= 600), SUM(s <= 3600),"    \
	  " SUM(s <= 21600), SUM(s <= 86400) FROM (SELECT database_name, environment,"   \
	  " state, TIMESTAMPDIFF(MICROSECOND, started_at, completed_at) / 1e6 AS s"      \
	  " FROM applies WHERE (state = 'completed' OR state = 'failed')"                \
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

/* As in ME_DURATIONS. */
const int metric_bucket_seconds[METRIC_BUCKETS] = {
	1, 5, 30, 120, 600, 3600, 21600, 86400,
};
#define BUCKET(i) COL(I64, struct metric_duration, le[i])
static const struct db_col duration_columns[] = {
	COL(STR, struct metric_duration, database),
	COL(STR, struct metric_duration, environment),
	COL(STR, struct metric_duration, label),
	COL(I64, struct metric_duration, n),
	COL(DOUBLE, struct metric_duration, seconds),
	BUCKET(0),
	BUCKET(1),
	BUCKET(2),
	BUCKET(3),
	BUCKET(4),
	BUCKET(5),
	BUCKET(6),
	BUCKET(7),
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
	struct number stuck = { 0 }, pending = { 0 }, claims = { 0 };

	*m = (struct metrics){ 0 };
	if (totals(ctx, db, ME_PLANS, &m->plans, &m->n_plans, err) < 0 ||
	    totals(ctx, db, ME_APPLIES, &m->applies, &m->n_applies, err) < 0 ||
	    totals(ctx, db, ME_CONTROLS, &m->controls, &m->n_controls, err) < 0 ||
	    totals(ctx, db, ME_OPERATIONS, &m->operations, &m->n_operations, err) < 0 ||
	    totals(ctx, db, ME_FAILURES, &m->failures, &m->n_failures, err) < 0 ||
	    totals(ctx, db, ME_UNRECOGNIZED, &m->unrecognized, &m->n_unrecognized, err) <
		    0 ||
	    totals(ctx, db, ME_COUNTERS, &m->counters, &m->n_counters, err) < 0 ||
	    db_all(ctx, db, ME_DURATIONS, NO_BIND, duration_columns,
		   ARRAY_SIZE(duration_columns), sizeof(*m->durations), &m->durations,
		   &m->n_durations, err) < 0)
		return -1;
	if (db_one(ctx, db, ME_QUEUE, BIND(2 * LEASE_SECONDS), queue_columns,
		   ARRAY_SIZE(queue_columns), m, err) < 0 ||
	    db_one(ctx, db, ME_EXPIRED, NO_BIND, expired_column, 1, m, err) < 0 ||
	    db_one(ctx, db, ME_STUCK, BIND(2 * LEASE_SECONDS), number_column, 1, &stuck,
		   err) < 0 ||
	    db_one(ctx, db, ME_STUCK_PENDING, BIND(LEASE_SECONDS), number_column, 1,
		   &pending, err) < 0 ||
	    db_one(ctx, db, ME_CLAIMS, NO_BIND, number_column, 1, &claims, err) < 0)
		return -1;
	m->operations_wedged += stuck.n;
	m->stuck_pending = pending.n;
	m->claims = claims.n;
	if (m->operations_due == 0)
		m->oldest_due_seconds = 0;
	return 0;
}
