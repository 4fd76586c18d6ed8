/*
 * control.c - rows of apply_control_requests. See control.h.
 *
 * Row locks are always taken in the order operations, apply, requests, here and in the
 * driver's transactions, so that the two sides cannot deadlock.
 */
#include "core/store/control.h"

#include <stdio.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/model/control_rules.h"

#define CONTROL_STATEMENTS(S)                                                           \
	S(CO_APPLY, "SELECT id FROM applies WHERE apply_id = ?")                        \
	S(CO_OPERATIONS,                                                                \
	  "SELECT id FROM apply_operations WHERE apply_row = ? ORDER BY id")            \
	S(CO_LOCK_OPERATION,                                                            \
	  "SELECT id, state, on_failure = 'pause', claim_after IS NULL"                 \
	  " FROM apply_operations WHERE id = ? FOR UPDATE")                             \
	S(CO_LOCK_APPLY, "SELECT state, environment, volume, released_at IS NOT NULL"   \
			 " FROM applies WHERE id = ? FOR UPDATE")                       \
	S(CO_PENDING, "SELECT id, operation, status, requested_by, error_message,"      \
		      " metadata, created_at, completed_at FROM apply_control_requests" \
		      " WHERE apply_row = ? AND status = 'pending'"                     \
		      " ORDER BY operation <> 'cancel', operation <> 'stop', id")       \
	S(CO_TASKS,                                                                     \
	  "SELECT COALESCE(SUM(state NOT IN ('completed','failed','cancelled',"         \
	  "'reverted')), 0), COALESCE(SUM(state IN ('completed','failed',"              \
	  "'cancelled','reverted')), 0) FROM tasks WHERE apply_row = ?")                \
	S(CO_STOPPED_LONG, "SELECT COALESCE(MAX(completed_at) <"                        \
			   " NOW(6) - INTERVAL ? DAY, 0) FROM apply_control_requests"   \
			   " WHERE apply_row = ? AND operation = 'stop'"                \
			   " AND status = 'completed'")                                 \
	S(CO_INSERT, "INSERT INTO apply_control_requests (apply_row, operation,"        \
		     " requested_by, metadata) VALUES (?, ?, ?, ?)")                    \
	S(CO_END_STOP, "UPDATE apply_control_requests SET status = 'completed',"        \
		       " completed_at = NOW(6) WHERE id = ? AND status = 'pending'")    \
	S(CO_WAKE, "UPDATE apply_operations SET claim_after = NOW(6)"                   \
		   " WHERE id = ? AND lease_owner IS NULL AND state NOT IN"             \
		   " ('completed','failed','cancelled','reverted')")                    \
	S(CO_WAKE_STOPPED,                                                              \
	  "UPDATE apply_operations SET claim_after = NOW(6)"                            \
	  " WHERE id = ? AND lease_owner IS NULL AND state = 'stopped'")                \
	S(CO_VOLUME, "UPDATE applies SET volume = ? WHERE id = ?")                      \
	S(CO_RELEASE, "UPDATE applies SET released_at = COALESCE(released_at, NOW(6))"  \
		      " WHERE id = ?")                                                  \
	S(CO_TOUCH, "UPDATE applies SET revision = revision + 1, updated_at = NOW(6)"   \
		    " WHERE id = ?")                                                    \
	S(CO_LOG, "INSERT INTO apply_logs (apply_row, event_type, message)"             \
		  " VALUES (?, ?, ?)")                                                  \
	S(CO_FINISH, "UPDATE apply_control_requests SET status = ?, error_message = ?," \
		     " completed_at = NOW(6) WHERE id = ? AND apply_row = ?"            \
		     " AND status = 'pending'")                                         \
	S(CO_STATE, "SELECT state FROM applies WHERE id = ?")                           \
	S(CO_SIBLINGS, "SELECT id, state, served_request FROM apply_operations"         \
		       " WHERE apply_row = ? ORDER BY id")                              \
	S(CO_SERVED, "UPDATE apply_operations SET served_request ="                     \
		     " GREATEST(served_request, ?) WHERE id = ?")                       \
	S(CO_SILENT, "UPDATE apply_control_requests SET silent_since ="                 \
		     " COALESCE(silent_since, NOW(6)) WHERE id = ? AND apply_row = ?")  \
	S(CO_SILENT_FOR, "SELECT TIMESTAMPDIFF(SECOND, silent_since, NOW(6))"           \
			 " FROM apply_control_requests WHERE id = ?")

DB_STATEMENTS(control, CONTROL_STATEMENTS)

struct row_id {
	uint64_t id;
};
static const struct db_col id_column[] = { COL(U64, struct row_id, id) };

struct locked_operation {
	uint64_t id;
	enum state state;
	bool pauses; /* on_failure */
	bool idle;   /* nobody may claim it */
};
static const struct db_col operation_columns[] = {
	COL(U64, struct locked_operation, id),
	COL_ENUM(struct locked_operation, state, state_parse),
	COL(BOOL, struct locked_operation, pauses),
	COL(BOOL, struct locked_operation, idle),
};

struct locked_apply {
	uint64_t id;
	enum state state;
	char *environment;
	int volume;
	bool released;
	struct locked_operation *operations;
	size_t n;
	struct control_request *pending;
	size_t n_pending;
};
static const struct db_col locked_columns[] = {
	COL_ENUM(struct locked_apply, state, state_parse),
	COL(STR, struct locked_apply, environment),
	COL(INT, struct locked_apply, volume),
	COL(BOOL, struct locked_apply, released),
};

static const struct db_col count_columns[] = {
	COL(INT, struct control_result, tasks_open),
	COL(INT, struct control_result, tasks_settled),
};

static const struct db_col request_columns[] = {
	COL(U64, struct control_request, id),
	COL_ENUM(struct control_request, operation, control_parse),
	COL(STR, struct control_request, status),
	COL(STR, struct control_request, requested_by),
	COL(STR, struct control_request, error_message),
	COL(STR, struct control_request, metadata),
	COL(STR, struct control_request, created_at),
	COL(STR, struct control_request, completed_at),
};

struct flag {
	bool set;
};
static const struct db_col flag_column[] = { COL(BOOL, struct flag, set) };

struct submission {
	const char *apply_id, *environment, *requested_by;
	enum control control;
	unsigned caps;
	int volume;
};

static int select_pending(TALLOC_CTX *ctx, struct db *db, uint64_t apply_row,
			  struct control_request **out, size_t *n, struct sb_err *err)
{
	return db_all(ctx, db, CO_PENDING, BIND(apply_row), request_columns,
		      ARRAY_SIZE(request_columns), sizeof(**out), out, n, err);
}

static const struct control_request *find(const struct control_request *list, size_t n,
					  enum control control)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].operation == control)
			return &list[i];
	return NULL;
}

static unsigned bits_of(const struct control_request *list, size_t n)
{
	unsigned bits = 0;

	for (size_t i = 0; i < n; i++)
		bits |= CONTROL_BIT(list[i].operation);
	return bits;
}

static bool at_rest(enum state s)
{
	return state_is_settled(s) || s == STATE_STOPPED;
}

/* ---- the handler's side --------------------------------------------------------------
 */

/*
 * Lock the apply's operations, one by one by primary key as drivers do: a lock through
 * another index would be taken in another order, and deadlock.
 */
static int lock_operations(TALLOC_CTX *tmp, struct db *db, uint64_t apply_row,
			   struct locked_apply *a, struct sb_err *err)
{
	struct row_id *ids;

	if (db_all(tmp, db, CO_OPERATIONS, BIND(apply_row), id_column, 1, sizeof(*ids),
		   &ids, &a->n, err) < 0)
		return -1;
	a->id = apply_row;
	a->operations = mem_array(tmp, struct locked_operation, a->n);
	for (size_t i = 0; i < a->n; i++)
		if (db_one(tmp, db, CO_LOCK_OPERATION, BIND(ids[i].id), operation_columns,
			   ARRAY_SIZE(operation_columns), &a->operations[i], err) != 1)
			return -1;
	return 0;
}

/* Every operation is settled or stopped: a pending stop has taken effect. */
static bool all_at_rest(const struct locked_apply *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (!at_rest(a->operations[i].state))
			return false;
	return true;
}

/* An apply of which one operation has stopped while another works on is not stopped yet.
 */
static enum state judged_state(const struct locked_apply *a)
{
	if (a->state != STATE_STOPPED)
		return a->state;
	for (size_t i = 0; i < a->n; i++)
		if (!at_rest(a->operations[i].state) && !a->operations[i].idle)
			return STATE_RUNNING;
	return a->state;
}

static int gather(struct db *db, const struct submission *s, const struct locked_apply *a,
		  struct control_facts *facts, struct sb_err *err)
{
	struct flag stopped_long = { false };

	*facts = (struct control_facts){ .state = judged_state(a),
					 .pending = bits_of(a->pending, a->n_pending),
					 .engine_caps = s->caps,
					 .released = a->released };
	for (size_t i = 0; i < a->n; i++) {
		facts->operations |= STATE_BIT(a->operations[i].state);
		facts->pauses |= a->operations[i].pauses;
	}
	if (facts->state == STATE_STOPPED && all_at_rest(a))
		facts->pending &= ~CONTROL_BIT(CONTROL_STOP);
	if (s->control == CONTROL_START &&
	    db_one(db, db, CO_STOPPED_LONG, BIND(RESTART_WINDOW_DAYS, a->id), flag_column,
		   1, &stopped_long, err) != 1)
		return -1;
	facts->stopped_too_long = stopped_long.set;
	return 0;
}

/* The stop that the start finds has taken effect; nobody has said so yet. */
static int end_stop_first(struct db *db, const struct submission *s,
			  const struct locked_apply *a, struct sb_err *err)
{
	const struct control_request *stop = find(a->pending, a->n_pending, CONTROL_STOP);

	if (s->control != CONTROL_START || !stop)
		return 0;
	if (db_exec(db, CO_END_STOP, BIND(stop->id), err) < 0 ||
	    db_exec(db, CO_LOG, BIND(a->id, "stop_completed", "stop completed."), err) <
		    0)
		return -1;
	return 0;
}

static int insert(TALLOC_CTX *tmp, struct db *db, const struct submission *s,
		  uint64_t apply_row, struct control_result *out, struct sb_err *err)
{
	char *metadata = mem_printf(tmp, "{\"open\":%d,\"settled\":%d,\"volume\":%d}",
				    out->tasks_open, out->tasks_settled, s->volume);
	char *event = mem_printf(tmp, "%s_requested", control_name(s->control));
	char *text = mem_printf(tmp, "%s requested by %s.", control_name(s->control),
				s->requested_by);

	if (db_exec(db, CO_INSERT,
		    BIND(apply_row, control_name(s->control), s->requested_by, metadata),
		    err) < 0)
		return -1;
	out->request = db_insert_id(db);
	FAULT("control.submit.inserted");
	if (s->control == CONTROL_VOLUME &&
	    db_exec(db, CO_VOLUME, BIND(s->volume, apply_row), err) < 0)
		return -1;
	if (db_exec(db, CO_LOG, BIND(apply_row, event, text), err) < 0 ||
	    db_exec(db, CO_TOUCH, BIND(apply_row), err) < 0)
		return -1;
	FAULT("control.submit.done");
	return 0;
}

/* Those that have to obey and that nobody drives are due now, parked and held ones too.
 */
static int wake_operations(struct db *db, enum control control,
			   const struct locked_apply *a, struct sb_err *err)
{
	for (size_t i = 0; i < a->n; i++)
		if (control_wakes(control, a->operations[i].state) &&
		    db_exec(db, CO_WAKE, BIND(a->operations[i].id), err) < 0)
			return -1;
	return 0;
}

static int submit_locked(TALLOC_CTX *tmp, struct db *db, const struct submission *s,
			 uint64_t apply_row, struct control_result *out,
			 struct sb_err *err)
{
	const struct control_request *same;
	struct control_facts facts;
	struct locked_apply a = { 0 };

	if (lock_operations(tmp, db, apply_row, &a, err) < 0 ||
	    db_one(tmp, db, CO_LOCK_APPLY, BIND(apply_row), locked_columns,
		   ARRAY_SIZE(locked_columns), &a, err) != 1 ||
	    select_pending(tmp, db, apply_row, &a.pending, &a.n_pending, err) < 0 ||
	    db_one(tmp, db, CO_TASKS, BIND(apply_row), count_columns, 2, out, err) != 1)
		return -1;
	FAULT("control.submit.locked");
	if (s->environment && strcmp(s->environment, a.environment) != 0)
		return sb_err(err, SB_EINVALID,
			      "Apply %s belongs to environment '%s', not '%.100s'.",
			      s->apply_id, a.environment, s->environment);
	out->state = a.state;
	out->previous_volume = a.volume;
	same = find(a.pending, a.n_pending, s->control);
	if (same) {
		out->outcome = CONTROL_ALREADY_REQUESTED;
		out->request = same->id;
		return 0;
	}
	if (gather(db, s, &a, &facts, err) < 0)
		return -1;
	switch (control_judge(s->control, &facts, err)) {
	case CONTROL_DONE:
		out->outcome = CONTROL_ALREADY_DONE;
		return 0;
	case CONTROL_REFUSED:
		return -1;
	case CONTROL_ALLOWED:
		break;
	}
	/* model: SUBMIT_STOP, SUBMIT_CANCEL, SUBMIT_START, SUBMIT_CUTOVER */
	out->outcome = CONTROL_ACCEPTED;
	if (end_stop_first(db, s, &a, err) < 0 ||
	    wake_operations(db, s->control, &a, err) < 0)
		return -1;
	return insert(tmp, db, s, apply_row, out, err);
}

int control_submit(struct db *db, const char *apply_id, const char *environment,
		   enum control control, const char *requested_by, unsigned engine_caps,
		   int volume, struct control_result *out, struct sb_err *err)
{
	const struct submission s = { apply_id, environment, requested_by,
				      control,	engine_caps, volume };
	TALLOC_CTX *tmp = mem_ctx(db, "control_submit");
	struct row_id apply;
	int rc = -1;

	*out = (struct control_result){ 0 };
	if (db_begin(db, err) < 0)
		goto out;
	rc = db_one(tmp, db, CO_APPLY, BIND(apply_id), id_column, 1, &apply, err);
	if (rc == 0)
		rc = sb_err(err, SB_ENOTFOUND, "There is no apply '%.100s'.", apply_id);
	else if (rc == 1)
		rc = submit_locked(tmp, db, &s, apply.id, out, err);
	rc = rc < 0 ? -1 : db_commit(db, err);
	if (rc < 0)
		db_rollback(db);
out:
	talloc_free(tmp);
	return rc;
}

/* ---- the driver's side ----------------------------------------------------------------
 */

int control_pending(TALLOC_CTX *ctx, struct db *db, const struct lease *lease,
		    struct control_request **out, size_t *n, struct sb_err *err)
{
	return select_pending(ctx, db, lease->apply_row, out, n, err);
}

int control_finish(struct lease_tx *tx, const struct control_request *request,
		   const char *failure, struct sb_err *err)
{
	char event[64], text[1200];
	int64_t n = db_exec(tx->db, CO_FINISH,
			    BIND(failure ? "failed" : "completed", failure, request->id,
				 tx->lease->apply_row),
			    err);

	if (n <= 0)
		return (int)n;
	FAULT("control.finish");
	snprintf(event, sizeof(event), "%s_%s", control_name(request->operation),
		 failure ? "failed" : "completed");
	snprintf(text, sizeof(text), "%s %s%s%s", control_name(request->operation),
		 failure ? "failed" : "completed", failure ? ": " : ".",
		 failure ? failure : "");
	return lease_log(tx, "", failure ? "warn" : "info", event, "", "", text, err);
}

struct sibling {
	uint64_t id, served_request;
	enum state state;
};
static const struct db_col sibling_columns[] = {
	COL(U64, struct sibling, id),
	COL_ENUM(struct sibling, state, state_parse),
	COL(U64, struct sibling, served_request),
};

static int load_siblings(TALLOC_CTX *ctx, struct lease_tx *tx, struct sibling **out,
			 size_t *n, struct sb_err *err)
{
	return db_all(ctx, tx->db, CO_SIBLINGS, BIND(tx->lease->apply_row),
		      sibling_columns, ARRAY_SIZE(sibling_columns), sizeof(**out), out, n,
		      err);
}

int control_serve(struct lease_tx *tx, const struct control_request *request,
		  struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(tx->db, "control_serve");
	struct sibling *siblings;
	bool waits = false;
	size_t n;
	int rc = -1;

	/* Nobody else has to obey: it ends here, and older ones are still to be obeyed.
	 */
	if (tx->lease->n_operations == 1) {
		rc = control_finish(tx, request, NULL, err);
		goto out;
	}
	if (db_exec(tx->db, CO_SERVED, BIND(request->id, tx->lease->operation), err) <
		    0 ||
	    load_siblings(tmp, tx, &siblings, &n, err) < 0)
		goto out;
	for (size_t i = 0; i < n; i++)
		waits |= siblings[i].id != tx->lease->operation &&
			 siblings[i].served_request < request->id &&
			 control_concerns(request->operation, siblings[i].state);
	rc = waits ? 0 : control_finish(tx, request, NULL, err);
out:
	talloc_free(tmp);
	return rc;
}

static const struct db_col state_column[] = { { DB_COL_ENUM, 0, state_parse } };

/* The apply's state, for requests: stopped only when nothing of it works any more. */
static int state_for_requests(TALLOC_CTX *tmp, struct lease_tx *tx, enum state *state,
			      bool *cancelled, struct sb_err *err)
{
	struct sibling *siblings;
	size_t n;

	if (db_one(tmp, tx->db, CO_STATE, BIND(tx->lease->apply_row), state_column, 1,
		   state, err) != 1 ||
	    load_siblings(tmp, tx, &siblings, &n, err) < 0)
		return -1;
	*cancelled = false;
	for (size_t i = 0; i < n; i++) {
		if (*state == STATE_STOPPED && !at_rest(siblings[i].state))
			*state = STATE_RUNNING;
		*cancelled |= siblings[i].state == STATE_CANCELLED;
	}
	return 0;
}

int control_settle(struct lease_tx *tx, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(tx->db, "control_settle");
	struct control_request *pending;
	unsigned bits, left = 0;
	const char *failure;
	enum state state;
	bool cancelled;
	size_t n;
	int rc = -1;

	if (select_pending(tmp, tx->db, tx->lease->apply_row, &pending, &n, err) < 0)
		goto out;
	rc = 0;
	if (n == 0)
		goto out;
	rc = state_for_requests(tmp, tx, &state, &cancelled, err);
	bits = bits_of(pending, n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		/* Of a rollout that failed earlier it has cancelled the rest. */
		bool rest = pending[i].operation == CONTROL_CANCEL && cancelled &&
			    state == STATE_FAILED;
		enum control_end end =
			control_ends(pending[i].operation, rest ? STATE_CANCELLED : state,
				     bits, &failure);

		if (end == CONTROL_STAYS)
			left |= CONTROL_BIT(pending[i].operation);
		else
			rc = control_finish(tx, &pending[i], failure, err);
	}
	/* A stop that waits for siblings also holds back a start. */
	if (rc == 0 && ((left & CONTROL_BIT(CONTROL_CANCEL)) ||
			((left & CONTROL_BIT(CONTROL_START)) &&
			 !(left & CONTROL_BIT(CONTROL_STOP)))))
		rc = db_exec(tx->db, CO_WAKE_STOPPED, BIND(tx->lease->operation), err) < 0
			     ? -1
			     : 0;
out:
	talloc_free(tmp);
	return rc;
}

int control_set_released(struct lease_tx *tx, struct sb_err *err)
{
	return db_exec(tx->db, CO_RELEASE, BIND(tx->lease->apply_row), err) < 0 ? -1 : 0;
}

struct number {
	int64_t n;
};
static const struct db_col number_column[] = { COL(I64, struct number, n) };

int control_silence(struct lease_tx *tx, const struct control_request *request,
		    int64_t *seconds, struct sb_err *err)
{
	struct number row = { 0 };

	*seconds = 0;
	if (db_exec(tx->db, CO_SILENT, BIND(request->id, tx->lease->apply_row), err) <
		    0 ||
	    db_one(tx->db, tx->db, CO_SILENT_FOR, BIND(request->id), number_column, 1,
		   &row, err) < 0)
		return -1;
	*seconds = row.n;
	return 0;
}
