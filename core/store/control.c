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
	S(CO_LOCK_OPERATION, "SELECT id FROM apply_operations WHERE id = ? FOR UPDATE") \
	S(CO_LOCK_APPLY, "SELECT state, environment, volume FROM applies WHERE id = ?"  \
			 " FOR UPDATE")                                                 \
	S(CO_PENDING, "SELECT id, operation, status, requested_by, error_message,"      \
		      " metadata, created_at, completed_at FROM apply_control_requests" \
		      " WHERE apply_row = ? AND status = 'pending'"                     \
		      " ORDER BY operation NOT IN ('cancel','stop'), operation, id")    \
	S(CO_TASKS,                                                                     \
	  "SELECT COALESCE(SUM(state NOT IN ('completed','failed','cancelled',"         \
	  "'reverted')), 0), COALESCE(SUM(state IN ('completed','failed',"              \
	  "'cancelled','reverted')), 0) FROM tasks WHERE apply_row = ?")                \
	S(CO_INSERT, "INSERT INTO apply_control_requests (apply_row, operation,"        \
		     " requested_by, metadata) VALUES (?, ?, ?, ?)")                    \
	S(CO_WAKE, "UPDATE apply_operations SET claim_after = NOW(6)"                   \
		   " WHERE id = ? AND lease_owner IS NULL AND state NOT IN"             \
		   " ('completed','failed','cancelled','reverted')")                    \
	S(CO_VOLUME, "UPDATE applies SET volume = ? WHERE id = ?")                      \
	S(CO_TOUCH, "UPDATE applies SET revision = revision + 1, updated_at = NOW(6)"   \
		    " WHERE id = ?")                                                    \
	S(CO_LOG, "INSERT INTO apply_logs (apply_row, event_type, message)"             \
		  " VALUES (?, ?, ?)")                                                  \
	S(CO_FINISH, "UPDATE apply_control_requests SET status = ?, error_message = ?," \
		     " completed_at = NOW(6) WHERE id = ? AND apply_row = ?"            \
		     " AND status = 'pending'")

DB_STATEMENTS(control, CONTROL_STATEMENTS)

struct row_id {
	uint64_t id;
};
static const struct db_col id_column[] = { COL(U64, struct row_id, id) };

struct locked_apply {
	enum state state;
	char *environment;
	int volume;
};
static const struct db_col locked_columns[] = {
	COL_ENUM(struct locked_apply, state, state_parse),
	COL(STR, struct locked_apply, environment),
	COL(INT, struct locked_apply, volume),
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
	return 0;
}

/*
 * Lock the apply's operations, one by one by primary key as drivers do: a lock through
 * another index would be taken in another order, and deadlock.
 */
static int lock_operations(TALLOC_CTX *tmp, struct db *db, uint64_t apply_row,
			   struct row_id **ids, size_t *n, struct sb_err *err)
{
	if (db_all(tmp, db, CO_OPERATIONS, BIND(apply_row), id_column, 1, sizeof(**ids),
		   ids, n, err) < 0)
		return -1;
	for (size_t i = 0; i < *n; i++) {
		struct row_id locked;

		if (db_one(tmp, db, CO_LOCK_OPERATION, BIND((*ids)[i].id), id_column, 1,
			   &locked, err) < 0)
			return -1;
	}
	return 0;
}

/* Operations that nobody drives are due now. */
static int wake_operations(struct db *db, const struct row_id *ids, size_t n,
			   struct sb_err *err)
{
	for (size_t i = 0; i < n; i++)
		if (db_exec(db, CO_WAKE, BIND(ids[i].id), err) < 0)
			return -1;
	return 0;
}

static int submit_locked(TALLOC_CTX *tmp, struct db *db, const struct submission *s,
			 uint64_t apply_row, struct control_result *out,
			 struct sb_err *err)
{
	struct control_request *pending;
	const struct control_request *same;
	struct locked_apply apply;
	struct row_id *ids;
	size_t n, n_ids;

	if (lock_operations(tmp, db, apply_row, &ids, &n_ids, err) < 0 ||
	    db_one(tmp, db, CO_LOCK_APPLY, BIND(apply_row), locked_columns,
		   ARRAY_SIZE(locked_columns), &apply, err) != 1 ||
	    select_pending(tmp, db, apply_row, &pending, &n, err) < 0 ||
	    db_one(tmp, db, CO_TASKS, BIND(apply_row), count_columns, 2, out, err) != 1)
		return -1;
	if (s->environment && strcmp(s->environment, apply.environment) != 0)
		return sb_err(err, SB_EINVALID,
			      "Apply %s belongs to environment '%s', not '%.100s'.",
			      s->apply_id, apply.environment, s->environment);
	out->state = apply.state;
	out->previous_volume = apply.volume;
	same = find(pending, n, s->control);
	if (same) {
		out->outcome = CONTROL_ALREADY_REQUESTED;
		out->request = same->id;
		return 0;
	}
	switch (control_judge(s->control, apply.state,
			      find(pending, n, CONTROL_STOP) != NULL,
			      find(pending, n, CONTROL_CANCEL) != NULL, s->caps, err)) {
	case CONTROL_DONE:
		out->outcome = CONTROL_ALREADY_DONE;
		return 0;
	case CONTROL_REFUSED:
		return -1;
	case CONTROL_ALLOWED:
		break;
	}
	out->outcome = CONTROL_ACCEPTED;
	if (wake_operations(db, ids, n_ids, err) < 0)
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

	if (db_exec(tx->db, CO_FINISH,
		    BIND(failure ? "failed" : "completed", failure, request->id,
			 tx->lease->apply_row),
		    err) < 0)
		return -1;
	FAULT("control.finish");
	snprintf(event, sizeof(event), "%s_%s", control_name(request->operation),
		 failure ? "failed" : "completed");
	snprintf(text, sizeof(text), "%s %s%s%s", control_name(request->operation),
		 failure ? "failed" : "completed", failure ? ": " : ".",
		 failure ? failure : "");
	return lease_log(tx, "", failure ? "warn" : "info", event, "", "", text, err);
}
