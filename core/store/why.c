/*
 * why.c - see why.h.
 */
#include "core/store/why.h"

#include "core/store/apply.h"

#define WHY_STATEMENTS(S)                                                                                             \
	S(WY_OPERATIONS,                                                                                              \
	  "SELECT o.id, o.apply_row, o.deployment, o.target, o.state, o.error_code,"                                  \
	  " o.error_message, o.attempt, o.deaths, o.cutover_policy, o.on_failure,"                                    \
	  " o.served_request, o.lease_token, o.lease_owner, o.claim_after, o.started_at,"                             \
	  " o.completed_at, o.claim_after IS NOT NULL,"                                                               \
	  " TIMESTAMPDIFF(MICROSECOND, NOW(6), o.claim_after) DIV 1000, NOW(6),"                                      \
	  " (SELECT NULLIF(CASE WHEN t.throttled"                                                                     \
	  " THEN CONCAT('it pauses: ', t.throttle_reason) WHEN t.cutover_attempts > 1"                                \
	  " THEN CONCAT_WS(', ', NULLIF(t.detail, ''), CONCAT('cutover attempt ',"                                    \
	  " t.cutover_attempts)) ELSE t.detail END, '') FROM tasks t WHERE t.operation_row = o.id AND t.state NOT IN" \
	  " ('pending','stopped','failed_retryable','completed','failed','cancelled',"                                \
	  "'reverted') ORDER BY t.seq LIMIT 1)"                                                                       \
	  " FROM apply_operations o WHERE o.apply_row = ? ORDER BY o.id")                                             \
	S(WY_REQUESTS,                                                                                                \
	  "SELECT id, operation, status, requested_by, created_at"                                                    \
	  " FROM apply_control_requests WHERE apply_row = ? AND status = 'pending'"                                   \
	  " ORDER BY id")

DB_STATEMENTS(why, WHY_STATEMENTS)

struct row {
	struct why_operation w;
	char *now;
};
static const struct db_col operation_columns[] = {
	COL(U64, struct row, w.op.id),
	COL(U64, struct row, w.op.apply_row),
	COL(STR, struct row, w.op.deployment),
	COL(STR, struct row, w.op.target),
	COL_ENUM(struct row, w.op.state, state_parse),
	COL(STR, struct row, w.op.error_code),
	COL(STR, struct row, w.op.error_message),
	COL(INT, struct row, w.op.attempt),
	COL(INT, struct row, w.op.deaths),
	COL(STR, struct row, w.op.cutover_policy),
	COL(STR, struct row, w.op.on_failure),
	COL(U64, struct row, w.op.served_request),
	COL(U64, struct row, w.op.lease_token),
	COL(STR, struct row, w.op.lease_owner),
	COL(STR, struct row, w.op.claim_after),
	COL(STR, struct row, w.op.started_at),
	COL(STR, struct row, w.op.completed_at),
	COL(BOOL, struct row, w.stamped),
	COL(I64, struct row, w.due_ms),
	COL(STR, struct row, now),
	COL(STR, struct row, w.detail),
};
static const struct db_col request_columns[] = {
	COL(U64, struct control_request, id),
	COL_ENUM(struct control_request, operation, control_parse),
	COL(STR, struct control_request, status),
	COL(STR, struct control_request, requested_by),
	COL(STR, struct control_request, created_at),
};

int why_read(TALLOC_CTX *ctx, struct db *db, const char *apply_id, struct why_rows *out,
	     struct sb_err *err)
{
	struct row *rows;
	size_t n;
	int rc;

	*out = (struct why_rows){ 0 };
	rc = apply_get(ctx, db, apply_id, &out->apply, err);
	if (rc <= 0)
		return rc;
	if (db_all(ctx, db, WY_OPERATIONS, BIND(out->apply->id), operation_columns,
		   ARRAY_SIZE(operation_columns), sizeof(*rows), &rows, &n, err) < 0 ||
	    db_all(ctx, db, WY_REQUESTS, BIND(out->apply->id), request_columns,
		   ARRAY_SIZE(request_columns), sizeof(*out->requests), &out->requests,
		   &out->n_requests, err) < 0)
		return -1;
	out->operations = mem_array(ctx, struct why_operation, n);
	for (size_t i = 0; i < n; i++)
		out->operations[out->n_operations++] = rows[i].w;
	out->now = n > 0 ? rows[0].now : NULL;
	return 1;
}
