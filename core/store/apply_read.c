/*
 * apply_read.c - one apply, with or without what belongs to it. Part of apply.h.
 *
 * apply_bundle() is the hot path of the progress replies: one statement, one round trip.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model/control_rules.h"
#include "core/store/apply.h"

#define APPLY_COLUMNS                                                                    \
	"a.id, a.plan_row, a.apply_id, a.database_name, a.database_type, a.environment," \
	" a.deployment, a.engine, a.caller, a.repository, a.pull_request, a.options,"    \
	" a.volume, a.state, a.error_code, a.error_message, a.revision, a.created_at,"   \
	" a.started_at, a.completed_at, a.updated_at, a.released_at"

#define APPLY_READ_STATEMENTS(S)                                                         \
	S(AR_GET, "SELECT " APPLY_COLUMNS ", p.plan_id FROM applies a"                   \
		  " JOIN plans p ON p.id = a.plan_row WHERE a.apply_id = ?")             \
	S(AR_CURRENT, "SELECT " APPLY_COLUMNS ", p.plan_id FROM applies a"               \
		      " JOIN plans p ON p.id = a.plan_row WHERE a.database_name = ?"     \
		      " AND (? IS NULL OR a.environment = ?)"                            \
		      " ORDER BY a.active_key IS NULL, a.id DESC LIMIT 1")               \
	S(AR_REVISION, "SELECT revision FROM applies WHERE apply_id = ?")                \
	S(AR_LATER,                                                                      \
	  "SELECT a.apply_id FROM applies s JOIN applies a"                              \
	  " ON a.database_name = s.database_name AND a.environment = s.environment"      \
	  " AND a.id <> s.id AND a.updated_at >= s.completed_at"                         \
	  " JOIN tasks t ON t.apply_row = a.id AND t.state = 'completed'"                \
	  " AND t.completed_at > s.completed_at WHERE s.id = ?"                          \
	  " ORDER BY t.completed_at DESC, t.id DESC LIMIT 1")                            \
	S(AR_BUNDLE,                                                                     \
	  "SELECT " APPLY_COLUMNS ", p.plan_id,"                                         \
	  " o.id, o.deployment, o.target, o.state, o.error_code, o.error_message,"       \
	  " o.attempt, o.cutover_policy, o.on_failure, o.lease_owner, o.claim_after,"    \
	  " o.started_at, o.completed_at,"                                               \
	  " t.id, t.task_id, t.seq, t.namespace, t.table_name, t.ddl, t.ddl_action,"     \
	  " t.execution_mode, t.mode_reason, t.algorithm, COALESCE(t.state, 'pending')," \
	  " t.error_message, t.attempt, t.rows_copied, t.rows_total, t.percent,"         \
	  " t.eta_seconds, t.rows_per_second, t.checksum_rows, t.pending_keys,"          \
	  " t.is_instant, t.throttled, t.throttle_reason, t.detail,"                     \
	  " t.cutover_attempts, t.started_at, t.completed_at,"                           \
	  " (SELECT GROUP_CONCAT(r.operation) FROM apply_control_requests r"             \
	  " WHERE r.apply_row = a.id AND r.status = 'pending')"                          \
	  " FROM applies a JOIN plans p ON p.id = a.plan_row"                            \
	  " JOIN apply_operations o ON o.apply_row = a.id"                               \
	  " LEFT JOIN tasks t ON t.operation_row = o.id"                                 \
	  " WHERE a.apply_id = ?")

DB_STATEMENTS(apply_read, APPLY_READ_STATEMENTS)

/* The columns of APPLY_COLUMNS and the plan's id, at `base` of struct st. */
#define APPLY_COLS(st, base)                                                             \
	COL(U64, st, base id), COL(U64, st, base plan_row), COL(STR, st, base apply_id), \
		COL(STR, st, base database), COL(STR, st, base database_type),           \
		COL(STR, st, base environment), COL(STR, st, base deployment),           \
		COL(STR, st, base engine), COL(STR, st, base caller),                    \
		COL(STR, st, base repository), COL(I64, st, base pull_request),          \
		COL(STR, st, base options), COL(INT, st, base volume),                   \
		COL_ENUM(st, base state, state_parse), COL(STR, st, base error_code),    \
		COL(STR, st, base error_message), COL(U64, st, base revision),           \
		COL(STR, st, base created_at), COL(STR, st, base started_at),            \
		COL(STR, st, base completed_at), COL(STR, st, base updated_at),          \
		COL(STR, st, base released_at), COL(STR, st, base plan_id)

static const struct db_col apply_columns[] = { APPLY_COLS(struct apply, ) };

static int one(TALLOC_CTX *ctx, struct db *db, const struct db_stmt *stmt,
	       const struct db_bind *binds, size_t n, struct apply **out,
	       struct sb_err *err)
{
	struct apply *a = mem_new(ctx, struct apply);
	int rc = db_one(a, db, stmt, binds, n, apply_columns, ARRAY_SIZE(apply_columns),
			a, err);

	*out = rc == 1 ? a : NULL;
	if (rc != 1)
		talloc_free(a);
	return rc;
}

int apply_get(TALLOC_CTX *ctx, struct db *db, const char *apply_id, struct apply **out,
	      struct sb_err *err)
{
	return one(ctx, db, AR_GET, BIND(apply_id), out, err);
}

int apply_current(TALLOC_CTX *ctx, struct db *db, const char *database,
		  const char *environment, struct apply **out, struct sb_err *err)
{
	return one(ctx, db, AR_CURRENT, BIND(database, environment, environment), out,
		   err);
}

int apply_revision(struct db *db, const char *apply_id, uint64_t *revision,
		   struct sb_err *err)
{
	static const struct db_col column[] = { { DB_COL_U64, 0, NULL } };

	*revision = 0;
	return db_one(db, db, AR_REVISION, BIND(apply_id), column, 1, revision, err);
}

int apply_later(TALLOC_CTX *ctx, struct db *db, uint64_t apply_row, char **apply_id,
		struct sb_err *err)
{
	struct apply found = { 0 };
	static const struct db_col column[] = { COL(STR, struct apply, apply_id) };
	int rc = db_one(ctx, db, AR_LATER, BIND(apply_row), column, 1, &found, err);

	*apply_id = rc == 1 ? found.apply_id : NULL;
	return rc;
}

struct bundle_row {
	struct apply a;
	struct operation o;
	struct task t;
	char *pending; /* names with commas between them */
};
static const struct db_col bundle_columns[] = {
	APPLY_COLS(struct bundle_row, a.),
	COL(U64, struct bundle_row, o.id),
	COL(STR, struct bundle_row, o.deployment),
	COL(STR, struct bundle_row, o.target),
	COL_ENUM(struct bundle_row, o.state, state_parse),
	COL(STR, struct bundle_row, o.error_code),
	COL(STR, struct bundle_row, o.error_message),
	COL(INT, struct bundle_row, o.attempt),
	COL(STR, struct bundle_row, o.cutover_policy),
	COL(STR, struct bundle_row, o.on_failure),
	COL(STR, struct bundle_row, o.lease_owner),
	COL(STR, struct bundle_row, o.claim_after),
	COL(STR, struct bundle_row, o.started_at),
	COL(STR, struct bundle_row, o.completed_at),
	COL(U64, struct bundle_row, t.id),
	COL(STR, struct bundle_row, t.task_id),
	COL(INT, struct bundle_row, t.seq),
	COL(STR, struct bundle_row, t.namespace),
	COL(STR, struct bundle_row, t.table),
	COL(STR, struct bundle_row, t.ddl),
	COL(STR, struct bundle_row, t.action),
	COL(STR, struct bundle_row, t.execution_mode),
	COL(STR, struct bundle_row, t.mode_reason),
	COL(STR, struct bundle_row, t.algorithm),
	COL_ENUM(struct bundle_row, t.state, state_parse),
	COL(STR, struct bundle_row, t.error_message),
	COL(INT, struct bundle_row, t.attempt),
	COL(I64_NEG, struct bundle_row, t.rows_copied),
	COL(I64_NEG, struct bundle_row, t.rows_total),
	COL(I64_NEG, struct bundle_row, t.percent),
	COL(I64_NEG, struct bundle_row, t.eta_seconds),
	COL(I64_NEG, struct bundle_row, t.rows_per_second),
	COL(I64_NEG, struct bundle_row, t.checksum_rows),
	COL(I64_NEG, struct bundle_row, t.pending_keys),
	COL(BOOL, struct bundle_row, t.is_instant),
	COL(BOOL, struct bundle_row, t.throttled),
	COL(STR, struct bundle_row, t.throttle_reason),
	COL(STR, struct bundle_row, t.detail),
	COL(INT, struct bundle_row, t.cutover_attempts),
	COL(STR, struct bundle_row, t.started_at),
	COL(STR, struct bundle_row, t.completed_at),
	COL(STR, struct bundle_row, pending),
};

/*
 * Sorted here: an ORDER BY over rows with text columns makes the server write a temporary
 * table, which costs three times as much as the rest of the statement.
 */
static int compare_rows(const void *a, const void *b)
{
	const struct bundle_row *x = a, *y = b;

	if (x->o.id != y->o.id)
		return x->o.id < y->o.id ? -1 : 1;
	return (x->t.seq > y->t.seq) - (x->t.seq < y->t.seq);
}

static unsigned bits_of(char *names)
{
	unsigned bits = 0;
	char *rest = NULL;
	int control;

	for (char *name = names ? strtok_r(names, ",", &rest) : NULL; name;
	     name = strtok_r(NULL, ",", &rest))
		if (control_parse(name, &control) == 0)
			bits |= CONTROL_BIT(control);
	return bits;
}

int apply_bundle(TALLOC_CTX *ctx, struct db *db, const char *apply_id,
		 struct apply_bundle *out, struct sb_err *err)
{
	struct bundle_row *rows;
	size_t n;

	*out = (struct apply_bundle){ 0 };
	if (db_all(ctx, db, AR_BUNDLE, BIND(apply_id), bundle_columns,
		   ARRAY_SIZE(bundle_columns), sizeof(*rows), &rows, &n, err) < 0)
		return -1;
	if (n == 0)
		return 0;
	qsort(rows, n, sizeof(*rows), compare_rows);
	out->apply = &rows[0].a;
	out->pending = bits_of(rows[0].pending);
	out->operations = mem_array(ctx, struct operation, n);
	out->tasks = mem_array(ctx, struct task, n);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || rows[i].o.id != rows[i - 1].o.id)
			out->operations[out->n_operations++] = rows[i].o;
		if (rows[i].t.id == 0)
			continue;
		rows[i].t.operation_row = rows[i].o.id;
		out->tasks[out->n_tasks++] = rows[i].t;
	}
	return 1;
}
