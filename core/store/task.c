/*
 * task.c - rows of tasks. See task.h.
 */
#include "core/store/task.h"

#include <stdio.h>

#include "core/base/fault.h"

#define SELECT_TASKS                                                          \
	"SELECT id, operation_row, task_id, seq, namespace, table_name, ddl," \
	" ddl_action, execution_mode, mode_reason, algorithm, state,"         \
	" error_message, attempt, rows_copied, rows_total, percent,"          \
	" eta_seconds, rows_per_second, checksum_rows, pending_keys,"         \
	" is_instant, throttled, throttle_reason, detail, cutover_attempts,"  \
	" started_at, completed_at FROM tasks"

#define TASK_STATEMENTS(S)                                                         \
	S(TASK_ALL, SELECT_TASKS " WHERE operation_row = ? ORDER BY seq")          \
	S(TASK_EIGHT, SELECT_TASKS " WHERE operation_row IN (?,?,?,?,?,?,?,?)"     \
				   " ORDER BY operation_row, seq")                 \
	S(TASK_COUNT, "SELECT COUNT(*) FROM tasks WHERE operation_row = ?")        \
	S(TASK_MOVE, "UPDATE tasks SET state = ?, error_message = ?,"              \
		     " attempt = attempt + ?,"                                     \
		     " started_at = CASE WHEN ? THEN COALESCE(started_at, NOW(6))" \
		     " ELSE started_at END,"                                       \
		     " completed_at = CASE WHEN ? THEN NOW(6) ELSE NULL END,"      \
		     " percent = CASE WHEN ? THEN 100 ELSE percent END"            \
		     " WHERE id = ? AND operation_row = ? AND state = ?")          \
	S(TASK_PROGRESS,                                                           \
	  "UPDATE tasks SET rows_copied = ?, rows_total = ?, percent = ?,"         \
	  " eta_seconds = ?, rows_per_second = ?, checksum_rows = ?,"              \
	  " pending_keys = ?, is_instant = ?, throttled = ?,"                      \
	  " throttle_reason = ?, detail = ?, cutover_attempts = ?"                 \
	  " WHERE id = ? AND operation_row = ?")

DB_STATEMENTS(task, TASK_STATEMENTS)

static const struct db_col task_columns[] = {
	COL(U64, struct task, id),
	COL(U64, struct task, operation_row),
	COL(STR, struct task, task_id),
	COL(INT, struct task, seq),
	COL(STR, struct task, namespace),
	COL(STR, struct task, table),
	COL(STR, struct task, ddl),
	COL(STR, struct task, action),
	COL(STR, struct task, execution_mode),
	COL(STR, struct task, mode_reason),
	COL(STR, struct task, algorithm),
	COL_ENUM(struct task, state, state_parse),
	COL(STR, struct task, error_message),
	COL(INT, struct task, attempt),
	COL(I64_NEG, struct task, rows_copied),
	COL(I64_NEG, struct task, rows_total),
	COL(I64_NEG, struct task, percent),
	COL(I64_NEG, struct task, eta_seconds),
	COL(I64_NEG, struct task, rows_per_second),
	COL(I64_NEG, struct task, checksum_rows),
	COL(I64_NEG, struct task, pending_keys),
	COL(BOOL, struct task, is_instant),
	COL(BOOL, struct task, throttled),
	COL(STR, struct task, throttle_reason),
	COL(STR, struct task, detail),
	COL(INT, struct task, cutover_attempts),
	COL(STR, struct task, started_at),
	COL(STR, struct task, completed_at),
};

struct number {
	int64_t n;
};
static const struct db_col number_column[] = { COL(I64, struct number, n) };

int task_count(struct db *db, const struct lease *lease, int64_t *n, struct sb_err *err)
{
	struct number row = { 0 };
	int rc = db_one(db, db, TASK_COUNT, BIND(lease->operation), number_column, 1,
			&row, err);

	*n = row.n;
	return rc < 0 ? -1 : 0;
}

int task_load_all(TALLOC_CTX *ctx, struct db *db, const struct lease *lease,
		  struct task **out, size_t *n, struct sb_err *err)
{
	int rc = db_all(ctx, db, TASK_ALL, BIND(lease->operation), task_columns,
			ARRAY_SIZE(task_columns), sizeof(**out), out, n, err);

	/* A read that comes back empty for whatever reason. */
	if (rc == 0 && FAULT_ERR("task.load.empty", NULL) < 0)
		*n = 0;
	return rc;
}

int task_load_eight(TALLOC_CTX *ctx, struct db *db, const uint64_t operations[8],
		    struct task **out, size_t *n, struct sb_err *err)
{
	struct db_bind ids[8];

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = db_bind_uint(operations[i]);
	return db_all(ctx, db, TASK_EIGHT, ids, ARRAY_SIZE(ids), task_columns,
		      ARRAY_SIZE(task_columns), sizeof(**out), out, n, err);
}

int task_move(struct lease_tx *tx, struct task *t, enum state_event event, enum state to,
	      const char *error, struct sb_err *err)
{
	char text[1400];
	int64_t n;

	if (!state_may_move(t->state, event, to))
		return sb_err(err, SB_EINTERNAL,
			      "Task %s may not go from %s to %s by %s.", t->task_id,
			      state_name(t->state), state_name(to),
			      state_event_name(event));
	n = db_exec(tx->db, TASK_MOVE,
		    BIND(state_name(to), error,
			 event == EVENT_RETRY && t->state == STATE_FAILED_RETRYABLE,
			 state_class(to) == CLASS_ACTIVE, state_is_settled(to),
			 to == STATE_COMPLETED, t->id, t->operation_row,
			 state_name(t->state)),
		    err);
	if (n < 0)
		return -1;
	if (n == 0)
		return sb_err(err, SB_ESTORAGE, "Task %s is not %s in storage any more.",
			      t->task_id, state_name(t->state));
	FAULT("task.move");
	snprintf(text, sizeof(text), "%s.%s: %s -> %s%s%s", t->namespace, t->table,
		 state_label(t->state), state_label(to), error ? ". " : "",
		 error ? error : "");
	if (lease_log(tx, t->task_id, to == STATE_FAILED ? "error" : "info",
		      "task_update", state_name(t->state), state_name(to), text, err) < 0)
		return -1;
	t->state = to;
	return 0;
}

/* -1 in the struct is NULL in the row. */
static struct db_bind known(int64_t n)
{
	return n < 0 ? db_bind_str(NULL) : db_bind_int(n);
}

int task_save_progress(struct lease_tx *tx, const struct task *t, struct sb_err *err)
{
	const struct db_bind binds[] = {
		known(t->rows_copied),	   known(t->rows_total),
		known(t->percent),	   known(t->eta_seconds),
		known(t->rows_per_second), known(t->checksum_rows),
		known(t->pending_keys),	   db_bind_int(t->is_instant),
		db_bind_int(t->throttled), db_bind_str(t->throttle_reason),
		db_bind_str(t->detail),	   db_bind_int(t->cutover_attempts),
		db_bind_uint(t->id),	   db_bind_uint(t->operation_row),
	};

	return db_exec(tx->db, TASK_PROGRESS, binds, ARRAY_SIZE(binds), err) < 0 ? -1 : 0;
}
