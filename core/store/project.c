/*
 * project.c - the derived states: an operation's from its tasks, an apply's from its
 * operations, in the transaction of whatever changed below them. Part of operation.h.
 *
 * Must never: let a settled row change again, or leave claim_after saying something
 * else than the state does (DESIGN.md 3; the table's CHECK constraints agree).
 */
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/store/operation.h"

#define PROJECT_STATEMENTS(S)                                                             \
	S(PR_OPERATION, "SELECT state, attempt, started_at IS NOT NULL, deployment"       \
			" FROM apply_operations WHERE id = ?")                            \
	S(PR_TASKS, "SELECT state FROM tasks WHERE operation_row = ? ORDER BY seq")       \
	S(PR_SET_OPERATION,                                                               \
	  "UPDATE apply_operations SET state = ?, error_code = ?, error_message = ?,"     \
	  " lease_owner = CASE WHEN ? THEN lease_owner ELSE NULL END,"                    \
	  " claim_after = CASE WHEN ? < 0 THEN NULL ELSE NOW(6) + INTERVAL ? SECOND END," \
	  " failed_at = CASE WHEN ? THEN NOW(6) ELSE failed_at END,"                      \
	  " started_at = CASE WHEN ? THEN COALESCE(started_at, NOW(6))"                   \
	  " ELSE started_at END,"                                                         \
	  " completed_at = CASE WHEN ? THEN NOW(6) ELSE NULL END WHERE id = ?")           \
	S(PR_APPLY, "SELECT state, attempt, started_at IS NOT NULL, deployment FROM"      \
		    " (SELECT state, 0 AS attempt, started_at, deployment FROM applies"   \
		    " WHERE id = ? FOR UPDATE) a")                                        \
	S(PR_OPERATIONS, "SELECT state FROM apply_operations WHERE apply_row = ?"         \
			 " ORDER BY id")                                                  \
	S(PR_SET_APPLY,                                                                   \
	  "UPDATE applies SET state = ?, error_code = ?, error_message = ?,"              \
	  " started_at = CASE WHEN ? THEN COALESCE(started_at, NOW(6))"                   \
	  " ELSE started_at END,"                                                         \
	  " completed_at = CASE WHEN ? THEN NOW(6) ELSE NULL END WHERE id = ?")

DB_STATEMENTS(project, PROJECT_STATEMENTS)

struct parent {
	enum state state;
	int attempt;
	bool begun;
	char *deployment;
};
static const struct db_col parent_columns[] = {
	COL_ENUM(struct parent, state, state_parse),
	COL(INT, struct parent, attempt),
	COL(BOOL, struct parent, begun),
	COL(STR, struct parent, deployment),
};

static const struct db_col state_column[] = { { DB_COL_ENUM, 0, state_parse } };

/* Has somebody begun to work on a row in this state? */
static bool begins(enum state s)
{
	return state_class(s) != CLASS_WAITING;
}

/* Seconds until the row may be claimed; -1 = nobody may. The table of DESIGN.md 3. */
static int claim_delay(enum state s, int attempt)
{
	switch (state_class(s)) {
	case CLASS_WAITING:
		return 0;
	case CLASS_ACTIVE:
		return LEASE_SECONDS;
	case CLASS_RETRYABLE:
		return retry_backoff_seconds(attempt);
	case CLASS_STOPPED:
	case CLASS_SETTLED:
		return -1;
	}
	BUG("no such class");
}

static int log_change(struct lease_tx *tx, const char *what, enum state old,
		      enum state new, const struct projection *p, struct sb_err *err)
{
	const char *why = p->error_message ? p->error_message : p->message;
	const char *level = new == STATE_FAILED		    ? "error"
			    : new == STATE_FAILED_RETRYABLE ? "warn"
							    : "info";
	char text[1200];

	snprintf(text, sizeof(text), "%s: %s -> %s%s%s", what, state_label(old),
		 state_label(new), why ? ". " : "", why ? why : "");
	return lease_log(tx, "", level, "state_transition", state_name(old),
			 state_name(new), text, err);
}

static int set_operation(struct lease_tx *tx, const struct parent *old, enum state new,
			 const struct projection *p, struct sb_err *err)
{
	int delay = claim_delay(new, old->attempt);
	bool owned = state_class(new) == CLASS_ACTIVE;

	if (db_exec(tx->db, PR_SET_OPERATION,
		    BIND(state_name(new), p->error_code ? p->error_code : "",
			 p->error_message, owned, delay, delay < 0 ? 0 : delay,
			 state_class(new) == CLASS_RETRYABLE, begins(new),
			 state_is_settled(new), tx->lease->operation),
		    err) != 1)
		return -1;
	FAULT("operation.project.operation");
	return 0;
}

static int project_apply(TALLOC_CTX *tmp, struct lease_tx *tx, const struct projection *p,
			 struct sb_err *err)
{
	struct parent apply;
	enum state *states, new;
	size_t n;

	if (db_one(tmp, tx->db, PR_APPLY, BIND(tx->lease->apply_row), parent_columns,
		   ARRAY_SIZE(parent_columns), &apply, err) != 1)
		return -1;
	if (db_all(tmp, tx->db, PR_OPERATIONS, BIND(tx->lease->apply_row), state_column,
		   1, sizeof(*states), &states, &n, err) < 0)
		return -1;
	new = state_derive(states, n, apply.begun);
	if (new == apply.state && !p->error_message)
		return 0;
	if (state_is_settled(apply.state))
		return sb_err(
			err, SB_EINTERNAL, "%s is settled (%s) and may not become %s.",
			tx->lease->apply_id, state_name(apply.state), state_name(new));
	if (db_exec(tx->db, PR_SET_APPLY,
		    BIND(state_name(new), p->error_code ? p->error_code : "",
			 p->error_message, begins(new), state_is_settled(new),
			 tx->lease->apply_row),
		    err) != 1)
		return -1;
	FAULT("operation.project.apply");
	if (new == apply.state)
		return 0;
	return log_change(tx, "Apply", apply.state, new, p, err);
}

int operation_project(struct lease_tx *tx, const struct projection *p, enum state *state,
		      struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(tx->db, "project");
	struct parent op;
	enum state *states, new;
	size_t n;
	int rc = -1;

	if (db_one(tmp, tx->db, PR_OPERATION, BIND(tx->lease->operation), parent_columns,
		   ARRAY_SIZE(parent_columns), &op, err) != 1)
		goto out;
	if (db_all(tmp, tx->db, PR_TASKS, BIND(tx->lease->operation), state_column, 1,
		   sizeof(*states), &states, &n, err) < 0)
		goto out;
	/* Whoever projects is driving: pending tasks of its operation are work begun. */
	new = p->forced >= 0 ? (enum state)p->forced : state_derive(states, n, true);
	if (state_is_settled(op.state) && new != op.state) {
		sb_err(err, SB_EINTERNAL,
		       "An operation of %s is settled (%s) and may not become %s.",
		       tx->lease->apply_id, state_name(op.state), state_name(new));
		goto out;
	}
	if (new != op.state || p->error_message)
		if (set_operation(tx, &op, new, p, err) < 0)
			goto out;
	rc = project_apply(tmp, tx, p, err);
	*state = new;
out:
	talloc_free(tmp);
	return rc;
}
