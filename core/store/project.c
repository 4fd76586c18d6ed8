/*
 * project.c - the derived states: an operation's from its tasks, an apply's from its
 * operations, in the transaction of whatever changed below them; and with several
 * operations what that means for the others: who may begin now, who is held, who is
 * cancelled (core/model/rollout.h). Part of operation.h.
 *
 * Must never: let a settled row change again, touch another operation that has begun or
 * is owned, or leave claim_after saying something else than the state does (DESIGN.md 3;
 * the table's CHECK constraints agree).
 */
#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/store/operation.h"

#define PROJECT_STATEMENTS(S)                                                             \
	S(PR_TASKS, "SELECT state FROM tasks WHERE operation_row = ? ORDER BY seq")       \
	S(PR_MEMBERS,                                                                     \
	  "SELECT id, state, attempt, started_at IS NOT NULL, lease_owner IS NOT NULL,"   \
	  " claim_after IS NOT NULL, claim_after > NOW(6), deployment, cutover_policy,"   \
	  " on_failure, error_code, error_message FROM apply_operations"                  \
	  " WHERE apply_row = ? ORDER BY id")                                             \
	S(PR_SET_OPERATION,                                                               \
	  "UPDATE apply_operations SET state = ?, error_code = ?, error_message = ?,"     \
	  " lease_owner = CASE WHEN ? THEN lease_owner ELSE NULL END,"                    \
	  " claim_after = CASE WHEN ? < 0 THEN NULL ELSE NOW(6) + INTERVAL ? SECOND END," \
	  " failed_at = CASE WHEN ? THEN NOW(6) ELSE failed_at END,"                      \
	  " started_at = CASE WHEN ? THEN COALESCE(started_at, NOW(6))"                   \
	  " ELSE started_at END,"                                                         \
	  " completed_at = CASE WHEN ? THEN NOW(6) ELSE NULL END WHERE id = ?")           \
	S(PR_LOG_TASKS,                                                                   \
	  "INSERT INTO apply_logs (apply_row, task_id, event_type, old_state, new_state," \
	  " message, lease_token) SELECT apply_row, task_id, 'task_update', state, ?,"    \
	  " CONCAT(namespace, '.', table_name, ': ', ?), 0 FROM tasks"                    \
	  " WHERE operation_row = ? AND state IN ('pending','stopped')")                  \
	S(PR_END_TASKS,                                                                   \
	  "UPDATE tasks SET state = ?, completed_at = CASE WHEN ? THEN NOW(6)"            \
	  " ELSE NULL END WHERE operation_row = ? AND state IN ('pending','stopped')")    \
	S(PR_HOLD, "UPDATE apply_operations SET claim_after = NULL"                       \
		   " WHERE id = ? AND lease_owner IS NULL AND state = 'pending'")         \
	S(PR_FREE, "UPDATE apply_operations SET claim_after = NOW(6)"                     \
		   " WHERE id = ? AND lease_owner IS NULL")                               \
	S(PR_REQUESTS,                                                                    \
	  "SELECT operation FROM apply_control_requests WHERE apply_row = ?"              \
	  " AND status = 'pending'"                                                       \
	  " AND operation IN ('cancel','release','stop')")                                \
	S(PR_APPLY, "SELECT state, started_at IS NOT NULL, released_at IS NOT NULL,"      \
		    " error_message FROM applies WHERE id = ? FOR UPDATE")                \
	S(PR_LOOK, "SELECT state, started_at IS NOT NULL, released_at IS NOT NULL,"       \
		   " error_message FROM applies WHERE id = ?")                            \
	S(PR_SET_APPLY,                                                                   \
	  "UPDATE applies SET state = ?, error_code = ?, error_message = ?,"              \
	  " started_at = CASE WHEN ? THEN COALESCE(started_at, NOW(6))"                   \
	  " ELSE started_at END,"                                                         \
	  " completed_at = CASE WHEN ? THEN NOW(6) ELSE NULL END WHERE id = ?")

DB_STATEMENTS(project, PROJECT_STATEMENTS)

struct member {
	uint64_t id;
	enum state state;
	int attempt;
	bool begun, owned;
	bool claimable, later; /* claim_after is set; and not reached yet */
	char *deployment;
	enum rollout_policy policy;
	enum rollout_failure on_failure;
	char *error_code, *error_message;
};
static const struct db_col member_columns[] = {
	COL(U64, struct member, id),
	COL_ENUM(struct member, state, state_parse),
	COL(INT, struct member, attempt),
	COL(BOOL, struct member, begun),
	COL(BOOL, struct member, owned),
	COL(BOOL, struct member, claimable),
	COL(BOOL, struct member, later),
	COL(STR, struct member, deployment),
	COL_ENUM(struct member, policy, rollout_policy_parse),
	COL_ENUM(struct member, on_failure, rollout_failure_parse),
	COL(STR, struct member, error_code),
	COL(STR, struct member, error_message),
};

struct parent {
	enum state state;
	bool begun, released;
	char *error_message;
};
static const struct db_col parent_columns[] = {
	COL_ENUM(struct parent, state, state_parse),
	COL(BOOL, struct parent, begun),
	COL(BOOL, struct parent, released),
	COL(STR, struct parent, error_message),
};

static const struct db_col state_column[] = { { DB_COL_ENUM, 0, state_parse } };
static const struct db_col control_column[] = { { DB_COL_ENUM, 0, control_parse } };

/* One projection at work. */
struct work {
	TALLOC_CTX *tmp;
	const struct projection *p;
	struct parent apply;
	struct member *members;
	struct rollout_member *states; /* of the members, as rollout.h takes them */
	struct rollout rollout;
	size_t n;
	bool stop, cancel, release; /* such a request is pending */
	bool changed;		    /* something was written */
	bool freed;		    /* somebody has become due */
};

/* Is being in this state proof that somebody has worked on the row? */
static bool begins(enum state s)
{
	return state_class(s) != CLASS_WAITING && s != STATE_STOPPED &&
	       s != STATE_CANCELLED;
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

/* ---- reading -----------------------------------------------------------------------
 */

static int read_requests(struct lease_tx *tx, struct work *w, struct sb_err *err)
{
	enum control *list;
	size_t n;

	if (db_all(w->tmp, tx->db, PR_REQUESTS, BIND(tx->lease->apply_row),
		   control_column, 1, sizeof(*list), &list, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		w->stop |= list[i] == CONTROL_STOP;
		w->cancel |= list[i] == CONTROL_CANCEL;
		w->release |= list[i] != CONTROL_STOP && list[i] != CONTROL_CANCEL;
	}
	return 0;
}

/* The members and the apply, by PR_APPLY (locked) or PR_LOOK. */
static int read_rows(struct db *db, const struct lease *lease, struct work *w,
		     const struct db_stmt *apply, struct sb_err *err)
{
	if (db_all(w->tmp, db, PR_MEMBERS, BIND(lease->apply_row), member_columns,
		   ARRAY_SIZE(member_columns), sizeof(*w->members), &w->members, &w->n,
		   err) < 0 ||
	    db_one(w->tmp, db, apply, BIND(lease->apply_row), parent_columns,
		   ARRAY_SIZE(parent_columns), &w->apply, err) != 1)
		return -1;
	if (w->n == 0)
		return sb_err(err, SB_ESTORAGE, "%s has no operations.", lease->apply_id);
	w->states = mem_array(w->tmp, struct rollout_member, w->n);
	for (size_t i = 0; i < w->n; i++)
		w->states[i] =
			(struct rollout_member){ w->members[i].state, w->members[i].begun,
						 w->members[i].owned };
	w->rollout = (struct rollout){ .policy = w->members[0].policy,
				       .on_failure = w->members[0].on_failure,
				       .released = w->apply.released,
				       .begun = w->apply.begun,
				       .members = w->states,
				       .n = w->n };
	return 0;
}

static int read_all(struct lease_tx *tx, struct work *w, struct sb_err *err)
{
	if (read_rows(tx->db, tx->lease, w, PR_APPLY, err) < 0)
		return -1;
	return w->n > 1 ? read_requests(tx, w, err) : 0;
}

/* ---- one operation -----------------------------------------------------------------
 */

static int log_change(struct lease_tx *tx, const char *event, const char *what,
		      enum state old, enum state new, const char *why, struct sb_err *err)
{
	const char *level = new == STATE_FAILED		    ? "error"
			    : new == STATE_FAILED_RETRYABLE ? "warn"
							    : "info";
	char text[1200];

	snprintf(text, sizeof(text), "%s: %s -> %s%s%s", what, state_label(old),
		 state_label(new), why ? ". " : "", why ? why : "");
	return lease_log(tx, "", level, event, state_name(old), state_name(new), text,
			 err);
}

static int log_rollout(struct lease_tx *tx, const char *text, struct sb_err *err)
{
	return lease_log(tx, "", "info", "rollout", "", "", text, err);
}

/* Write a member's state and what follows from it. delay: claim_delay(), or -1 for a
 * pending one that is held. */
static int set_member(struct lease_tx *tx, struct work *w, size_t i, enum state new,
		      int delay, const char *error_code, const char *error_message,
		      const char *why, struct sb_err *err)
{
	struct member *m = &w->members[i];
	bool owned = m->owned && state_class(new) == CLASS_ACTIVE;

	if (db_exec(tx->db, PR_SET_OPERATION,
		    BIND(state_name(new), error_code ? error_code : "", error_message,
			 owned, delay, delay < 0 ? 0 : delay,
			 state_class(new) == CLASS_RETRYABLE, begins(new),
			 state_is_settled(new), m->id),
		    err) != 1)
		return -1;
	FAULT("operation.project.operation");
	if (w->n > 1 && new != m->state &&
	    log_change(tx, "operation_update",
		       mem_printf(w->tmp, "Deployment %s", m->deployment), m->state, new,
		       why, err) < 0)
		return -1;
	w->changed = true;
	m->state = w->states[i].state = new;
	m->owned = w->states[i].owned = owned;
	m->begun = w->states[i].begun = m->begun || begins(new);
	m->claimable = delay >= 0;
	m->error_code = mem_strdup(w->tmp, error_code);
	m->error_message = mem_strdup(w->tmp, error_message);
	return 0;
}

/* Nothing of it has been executed, and it has not ended. */
static bool fresh(const struct member *m)
{
	return !m->begun && (m->state == STATE_PENDING || m->state == STATE_STOPPED);
}

/* End a fresh member and its tasks by STOP or CANCEL. */
static int end_member(struct lease_tx *tx, struct work *w, size_t i,
		      enum state_event event, const char *why, struct sb_err *err)
{
	int to = state_next(w->members[i].state, event);
	char *text;

	if (to < 0)
		return 0; /* stopped already */
	text = mem_printf(w->tmp, "%s. %s", state_label((enum state)to), why);
	/* Token 0: no owner of this member wrote it, and ours means nothing for it. */
	if (db_exec(tx->db, PR_LOG_TASKS,
		    BIND(state_name((enum state)to), text, w->members[i].id), err) < 0 ||
	    db_exec(tx->db, PR_END_TASKS,
		    BIND(state_name((enum state)to), state_is_settled((enum state)to),
			 w->members[i].id),
		    err) < 0)
		return -1;
	FAULT("operation.project.sibling_tasks");
	return set_member(tx, w, i, (enum state)to, -1, NULL, NULL, why, err);
}

/* ---- order -------------------------------------------------------------------------
 */

static char *because(struct work *w, size_t blocker)
{
	const struct member *b = &w->members[blocker];

	return mem_printf(w->tmp, "Deployment %s is %s", b->deployment,
			  state_name(b->state));
}

/* A fresh member that nobody owns: what requests and the order demand of it. */
static int order_member(struct lease_tx *tx, struct work *w, size_t i, struct sb_err *err)
{
	struct member *m = &w->members[i];
	enum rollout_order order;
	size_t blocker = i;
	bool wanted;

	if (w->cancel)
		return end_member(tx, w, i, EVENT_CANCEL, "Cancelled with the rollout",
				  err);
	order = rollout_order(&w->rollout, i, &blocker);
	if (order == ROLLOUT_CANCELLED)
		return end_member(tx, w, i, EVENT_CANCEL, because(w, blocker), err);
	if (w->stop)
		return end_member(tx, w, i, EVENT_STOP, "Stopped with the rollout", err);
	/* A request makes it due although it is held: somebody has to obey. */
	wanted = order == ROLLOUT_GO || w->release;
	if (m->state != STATE_PENDING || m->claimable == wanted)
		return 0;
	if (db_exec(tx->db, wanted ? PR_FREE : PR_HOLD, BIND(m->id), err) < 0)
		return -1;
	FAULT("operation.project.order");
	w->changed = true;
	w->freed |= wanted;
	m->claimable = wanted;
	return log_rollout(
		tx,
		order == ROLLOUT_GO
			? mem_printf(w->tmp, "Deployment %s may begin.", m->deployment)
			: mem_printf(w->tmp, "Deployment %s waits. %s.", m->deployment,
				     because(w, blocker)),
		err);
}

/* One that is parked at the gate looks again as soon as it may pass. */
static int wake_at_gate(struct lease_tx *tx, struct work *w, size_t i, struct sb_err *err)
{
	struct member *m = &w->members[i];
	size_t blocker;

	if (w->rollout.policy != ROLLOUT_BARRIER || !m->later ||
	    rollout_gate(&w->rollout, i, &blocker) == ROLLOUT_GATE_SHUT)
		return 0;
	m->later = false;
	w->changed = w->freed = true;
	return db_exec(tx->db, PR_FREE, BIND(m->id), err) < 0 ? -1 : 0;
}

/* Everybody but member `own`. Cancelling one may decide about the others: the last look
 * is the one that counts, and nobody is freed by a cancellation. */
static int order_others(struct lease_tx *tx, struct work *w, size_t own,
			struct sb_err *err)
{
	for (size_t i = 0; w->n > 1 && i < w->n; i++) {
		const struct member *m = &w->members[i];

		if (i == own || m->owned)
			continue;
		if (fresh(m) && order_member(tx, w, i, err) < 0)
			return -1;
		if (m->state == STATE_WAITING_FOR_CUTOVER &&
		    wake_at_gate(tx, w, i, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the apply ---------------------------------------------------------------------
 */

/* Whose error the apply shows: a failure's before a retry's, the first in order. */
static const struct member *spokesman(const struct work *w)
{
	static const enum state telling[] = { STATE_FAILED, STATE_FAILED_RETRYABLE };

	for (size_t t = 0; t < ARRAY_SIZE(telling); t++)
		for (size_t i = 0; i < w->n; i++)
			if (w->members[i].state == telling[t])
				return &w->members[i];
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : !a && !b;
}

static int project_apply(struct lease_tx *tx, struct work *w, enum state *out,
			 struct sb_err *err)
{
	const char *code = w->p->error_code, *message = w->p->error_message;
	enum state old = w->apply.state, new;

	if (w->n == 1) {
		new = state_derive(&w->members[0].state, 1, w->rollout.begun);
	} else {
		const struct member *m = spokesman(w);

		for (size_t i = 0; i < w->n; i++)
			w->rollout.begun |= w->members[i].begun;
		new = rollout_derive(&w->rollout);
		code = m ? m->error_code : NULL;
		message = m && m->error_message
				  ? mem_printf(w->tmp, "%s: %s", m->deployment,
					       m->error_message)
				  : NULL;
	}
	*out = new;
	if (new == old &&
	    (state_is_settled(old) ||
	     (w->n == 1 ? !message : same_text(message, w->apply.error_message))))
		return 0;
	if (state_is_settled(old))
		return sb_err(err, SB_EINTERNAL,
			      "%s is settled (%s) and may not become %s.",
			      tx->lease->apply_id, state_name(old), state_name(new));
	if (db_exec(tx->db, PR_SET_APPLY,
		    BIND(state_name(new), code ? code : "", message, begins(new),
			 state_is_settled(new), tx->lease->apply_row),
		    err) != 1)
		return -1;
	FAULT("operation.project.apply");
	w->changed = true;
	if (new == old)
		return 0;
	return log_change(tx, "state_transition", "Apply", old, new,
			  message ? message : w->p->message, err);
}

/* ---- the lease's own operation -------------------------------------------------------
 */

static int find_own(const struct lease *lease, const struct work *w, size_t *own,
		    struct sb_err *err)
{
	for (*own = 0; *own < w->n; ++*own)
		if (w->members[*own].id == lease->operation)
			return 0;
	return sb_err(err, SB_ESTORAGE, "An operation of %s is gone from storage.",
		      lease->apply_id);
}

/*
 * An operation that is about to begin asks whether it may: 1 = it is not going to, and
 * the claim has been given back.
 */
static int may_not_begin(struct lease_tx *tx, struct work *w, size_t own,
			 struct sb_err *err)
{
	struct member *m = &w->members[own];
	enum rollout_order order;
	size_t blocker;

	if (w->n == 1)
		return 0;
	order = rollout_order(&w->rollout, own, &blocker);
	if (!w->stop && !w->cancel && order == ROLLOUT_GO)
		return 0;
	/* From here on like any other that nobody owns; a restarted one is pending. */
	m->owned = w->states[own].owned = false;
	if (set_member(tx, w, own, STATE_PENDING, -1, NULL, NULL, NULL, err) < 0 ||
	    order_member(tx, w, own, err) < 0)
		return -1;
	return 1;
}

static int project_own(struct lease_tx *tx, struct work *w, size_t own,
		       struct projected *out, struct sb_err *err)
{
	const struct projection *p = w->p;
	struct member *m = &w->members[own];
	enum state *tasks, new;
	size_t n;
	int rc;

	if (db_all(w->tmp, tx->db, PR_TASKS, BIND(m->id), state_column, 1, sizeof(*tasks),
		   &tasks, &n, err) < 0)
		return -1;
	/* Whoever projects is driving: pending tasks of its operation are work begun. */
	new = p->forced >= 0 ? (enum state)p->forced : state_derive(tasks, n, true);
	if (state_is_settled(m->state) && new != m->state)
		return sb_err(err, SB_EINTERNAL,
			      "An operation of %s is settled (%s) and may not become %s.",
			      tx->lease->apply_id, state_name(m->state), state_name(new));
	if (new == STATE_RUNNING && fresh(m) && n > 0 &&
	    state_derive(tasks, n, false) == STATE_PENDING) {
		rc = may_not_begin(tx, w, own, err);
		if (rc < 0)
			return -1;
		out->given_back = rc == 1;
		if (rc == 1)
			return 0;
	}
	if (new == m->state && !p->error_message)
		return 0;
	out->given_back = state_class(new) != CLASS_ACTIVE;
	return set_member(tx, w, own, new, claim_delay(new, m->attempt), p->error_code,
			  p->error_message,
			  p->error_message ? p->error_message : p->message, err);
}

int operation_project(struct lease_tx *tx, const struct projection *p,
		      struct projected *out, struct sb_err *err)
{
	struct work w = { .tmp = mem_ctx(tx->db, "project"), .p = p };
	size_t own;
	int rc = -1;

	*out = (struct projected){ 0 };
	if (read_all(tx, &w, err) < 0 || find_own(tx->lease, &w, &own, err) < 0 ||
	    project_own(tx, &w, own, out, err) < 0 || order_others(tx, &w, own, err) < 0)
		goto out;
	rc = project_apply(tx, &w, &out->apply, err);
	out->operation = w.members[own].state;
	out->freed = w.freed;
out:
	talloc_free(w.tmp);
	return rc;
}

int operation_gate(TALLOC_CTX *ctx, struct db *db, const struct lease *lease,
		   struct operation_gate *out, struct sb_err *err)
{
	struct work w = { .tmp = mem_ctx(db, "gate") };
	size_t own, blocker = SIZE_MAX;
	int rc = -1;

	*out = (struct operation_gate){ .gate = ROLLOUT_GATE_SHUT };
	if (read_rows(db, lease, &w, PR_LOOK, err) < 0 ||
	    find_own(lease, &w, &own, err) < 0)
		goto out;
	out->gate = rollout_gate(&w.rollout, own, &blocker);
	if (out->gate != ROLLOUT_GATE_OPEN)
		out->blocker = mem_strdup(ctx, w.members[blocker].deployment);
	rc = 0;
out:
	talloc_free(w.tmp);
	return rc;
}

int apply_rederive(struct db *db, uint64_t apply_row, const char *apply_id, bool *changed,
		   struct sb_err *err)
{
	static const struct projection nothing = { .forced = -1 };
	/* Nobody's lease: it locks all operations and owns none. */
	struct lease lease = { .apply_row = apply_row, .n_operations = 2 };
	struct lease_tx tx;
	struct work w = { .p = &nothing };
	enum state state;
	int rc = -1;

	*changed = false;
	snprintf(lease.apply_id, sizeof(lease.apply_id), "%s", apply_id);
	if (lease_tx_begin(db, &lease, &tx, err) < 0)
		return -1;
	w.tmp = mem_ctx(db, "rederive");
	if (read_all(&tx, &w, err) < 0 || order_others(&tx, &w, w.n, err) < 0 ||
	    project_apply(&tx, &w, &state, err) < 0)
		goto out;
	*changed = w.changed;
	rc = 0;
	if (w.changed)
		rc = lease_tx_commit(&tx, err);
	else
		lease_tx_rollback(&tx);
out:
	if (rc < 0)
		lease_tx_rollback(&tx);
	talloc_free(w.tmp);
	return rc;
}
