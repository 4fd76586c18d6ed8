/*
 * plan.c - rows of plans. See plan.h.
 */
#include "core/store/plan.h"

#include "core/base/fault.h"

#define PLAN_STATEMENTS(S)                                                         \
	S(PLAN_INSERT,                                                             \
	  "INSERT INTO plans (plan_id, database_name, database_type,"              \
	  " environment, deployment, target, engine, repository,"                  \
	  " pull_request, head_sha, schema_files, plan_data, n_changes,"           \
	  " n_errors, rollback_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"    \
	  " ?, ?, ?)")                                                             \
	S(PLAN_GET,                                                                \
	  "SELECT id, plan_id, database_name, database_type, environment,"         \
	  " deployment, target, engine, repository, pull_request, head_sha,"       \
	  " schema_files, plan_data, n_changes, n_errors, rollback_of, created_at" \
	  " FROM plans WHERE plan_id = ?")                                         \
	S(PLAN_OF_APPLY,                                                           \
	  "SELECT p.id, plan_id, p.database_name, p.database_type,"                \
	  " p.environment, p.deployment, target, p.engine, p.repository,"          \
	  " p.pull_request, head_sha, schema_files, plan_data, n_changes,"         \
	  " n_errors, rollback_of, p.created_at FROM plans p JOIN applies a"       \
	  " ON a.plan_row = p.id WHERE a.id = ?")

DB_STATEMENTS(plan, PLAN_STATEMENTS)

static const struct db_col plan_columns[] = {
	COL(U64, struct plan, id),	    COL(STR, struct plan, plan_id),
	COL(STR, struct plan, database),    COL(STR, struct plan, database_type),
	COL(STR, struct plan, environment), COL(STR, struct plan, deployment),
	COL(STR, struct plan, target),	    COL(STR, struct plan, engine),
	COL(STR, struct plan, repository),  COL(I64, struct plan, pull_request),
	COL(STR, struct plan, head_sha),    COL(STR, struct plan, schema_files),
	COL(STR, struct plan, plan_data),   COL(INT, struct plan, n_changes),
	COL(INT, struct plan, n_errors),    COL(STR, struct plan, rollback_of),
	COL(STR, struct plan, created_at),
};

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

int plan_insert(struct db *db, const struct plan *p, struct sb_err *err)
{
	int64_t n;

	FAULT("plan.insert");
	n = db_exec(db, PLAN_INSERT,
		    BIND(p->plan_id, p->database, p->database_type, p->environment,
			 p->deployment, p->target, p->engine, or_empty(p->repository),
			 p->pull_request, or_empty(p->head_sha), p->schema_files,
			 p->plan_data, p->n_changes, p->n_errors,
			 or_empty(p->rollback_of)),
		    err);
	return n < 0 ? -1 : 0;
}

static int one(TALLOC_CTX *ctx, struct db *db, const struct db_stmt *stmt,
	       const struct db_bind *binds, size_t n, struct plan **out,
	       struct sb_err *err)
{
	struct plan *p = mem_new(ctx, struct plan);
	int rc = db_one(p, db, stmt, binds, n, plan_columns, ARRAY_SIZE(plan_columns), p,
			err);

	*out = rc == 1 ? p : NULL;
	if (rc != 1)
		talloc_free(p);
	return rc;
}

int plan_get(TALLOC_CTX *ctx, struct db *db, const char *plan_id, struct plan **out,
	     struct sb_err *err)
{
	return one(ctx, db, PLAN_GET, BIND(plan_id), out, err);
}

int plan_of_apply(TALLOC_CTX *ctx, struct db *db, uint64_t apply_row, struct plan **out,
		  struct sb_err *err)
{
	return one(ctx, db, PLAN_OF_APPLY, BIND(apply_row), out, err);
}
