/*
 * storage.c - opening our storage, and checking that we understand it. See storage.h.
 *
 * "Understand" means: every statement of this binary prepares against it, and every
 * unique index and CHECK constraint that the code relies on is there. That can be checked
 * in a few milliseconds and does not depend on a version number that somebody has to
 * remember.
 */
#include "core/store/storage.h"

#include <stdio.h>

#define STORAGE_STATEMENTS(S)                                                         \
	S(ST_PING, "SELECT 1")                                                        \
	S(ST_TABLE, "SELECT COUNT(*) FROM information_schema.tables"                  \
		    " WHERE table_schema = DATABASE() AND table_name = ?")            \
	S(ST_UNIQUE, "SELECT COUNT(DISTINCT index_name) FROM"                         \
		     " information_schema.statistics WHERE table_schema = DATABASE()" \
		     " AND table_name = ? AND index_name = ? AND non_unique = 0")     \
	S(ST_CHECK, "SELECT COUNT(*) FROM information_schema.table_constraints"       \
		    " WHERE constraint_schema = DATABASE() AND table_name = ?"        \
		    " AND constraint_name = ? AND constraint_type = 'CHECK'")         \
	S(ST_LOCK,                                                                    \
	  "SELECT GET_LOCK(CONCAT('schemabot_', LEFT(SHA2(DATABASE(), 256), 40)), ?)")

DB_STATEMENTS(storage, STORAGE_STATEMENTS)

#define SETS(X)       \
	X(storage)    \
	X(plan)       \
	X(apply)      \
	X(apply_read) \
	X(apply_list) \
	X(apply_log)  \
	X(operation)  \
	X(parked)     \
	X(project)    \
	X(lease)      \
	X(task)       \
	X(control)    \
	X(lock)       \
	X(setting)    \
	X(metrics)    \
	X(counter)    \
	X(why)        \
	X(reap)
#define X(set) extern const struct db_stmt_set set##_statements;
SETS(X)
#undef X
const struct db_stmt_set *const storage_statement_sets[] = {
#define X(set) &set##_statements,
	SETS(X)
#undef X
};
const size_t storage_n_statement_sets = ARRAY_SIZE(storage_statement_sets);

const struct storage_table storage_tables[] = {
#define STORAGE_TABLE(name, sql) { name, sql },
#include "storage_sql.h"
#undef STORAGE_TABLE
};
const size_t storage_n_tables = ARRAY_SIZE(storage_tables);

/* What the code relies on the database to refuse (DESIGN.md 3). */
static const struct {
	const struct db_stmt *ask;
	const char *table, *name;
} relied_on[] = {
	{ ST_UNIQUE, "plans", "uq_plan_id" },
	{ ST_UNIQUE, "applies", "uq_apply_id" },
	{ ST_UNIQUE, "applies", "uq_active" },
	{ ST_UNIQUE, "applies", "uq_idempotency_key" },
	{ ST_UNIQUE, "apply_operations", "uq_operation" },
	{ ST_UNIQUE, "tasks", "uq_seq" },
	{ ST_UNIQUE, "apply_control_requests", "uq_pending" },
	{ ST_UNIQUE, "locks", "uq_database" },
	{ ST_UNIQUE, "settings", "uq_setting_key" },
	{ ST_CHECK, "apply_operations", "ck_settled_unclaimable" },
	{ ST_CHECK, "apply_operations", "ck_open_claimable" },
};

struct count {
	int64_t n;
};
static const struct db_col count_column[] = { COL(I64, struct count, n) };

static int count(struct db *db, const struct db_stmt *stmt, const struct db_bind *binds,
		 size_t n_binds, int64_t *n, struct sb_err *err)
{
	struct count row = { 0 };

	if (db_one(db, db, stmt, binds, n_binds, count_column, 1, &row, err) < 0)
		return -1;
	*n = row.n;
	return 0;
}

static int refuse(const struct db *db, const char *what, struct sb_err *err)
{
	return sb_err(
		err, SB_ECONFIG,
		"The storage (database '%s') is not what this binary needs: %s Run "
		"`schemabot-reaper --converge-storage`; if that does not help, the storage "
		"belongs to another version of SchemaBot.",
		db_params(db)->schema, what);
}

int storage_check(struct db *db, struct sb_err *err)
{
	struct sb_err why = { 0 };
	int64_t n;

	for (size_t i = 0; i < storage_n_statement_sets; i++) {
		if (db_prepare_all(db, storage_statement_sets[i], &why) == 0)
			continue;
		if (db_error_kind(why.db_errno) != DB_ERR_MISSING) {
			*err = why;
			return -1;
		}
		return refuse(db, why.msg, err);
	}
	for (size_t i = 0; i < ARRAY_SIZE(relied_on); i++) {
		char what[160];

		if (count(db, relied_on[i].ask,
			  BIND(relied_on[i].table, relied_on[i].name), &n, err) < 0)
			return -1;
		if (n > 0)
			continue;
		snprintf(what, sizeof(what), "%s.%s is missing.", relied_on[i].table,
			 relied_on[i].name);
		return refuse(db, what, err);
	}
	return 0;
}

int storage_connect(TALLOC_CTX *ctx, const struct config *config, struct db **out,
		    struct sb_err *err)
{
	if (db_open(ctx, &config->storage, out, err) < 0) {
		if (err->code == SB_EINTERNAL)
			err->code = SB_ESTORAGE;
		return -1;
	}
	return 0;
}

int storage_open(TALLOC_CTX *ctx, const struct config *config, struct db **out,
		 struct sb_err *err)
{
	if (storage_connect(ctx, config, out, err) < 0)
		return -1;
	if (storage_check(*out, err) < 0) {
		talloc_free(*out);
		*out = NULL;
		return -1;
	}
	return 0;
}

int storage_ping(struct db *db, struct sb_err *err)
{
	int64_t n;

	return count(db, ST_PING, NO_BIND, &n, err);
}

int storage_lock(struct db *db, unsigned seconds, struct sb_err *err)
{
	int64_t locked;

	if (count(db, ST_LOCK, BIND(seconds), &locked, err) < 0)
		return -1;
	return locked == 1;
}

int storage_has_table(struct db *db, const char *name, struct sb_err *err)
{
	int64_t n;

	return count(db, ST_TABLE, BIND(name), &n, err) < 0 ? -1 : n > 0;
}
