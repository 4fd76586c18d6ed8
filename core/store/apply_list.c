/*
 * apply_list.c - lists of applies and their totals. Part of apply.h.
 *
 * The first page shows what is alive before what is over (SEMANTICS G.2): two statements,
 * each served by an index, joined here. A cursor walks by id, newest first.
 */
#include <string.h>

#include "core/store/apply.h"

#define LIST_COLUMNS                                                                   \
	"a.id, a.apply_id, a.database_name, a.database_type, a.environment,"           \
	" a.deployment, a.engine, a.caller, a.repository, a.pull_request, a.options,"  \
	" a.volume, a.state, a.error_code, a.error_message, a.revision, a.created_at," \
	" a.started_at, a.completed_at, a.updated_at"
#define LIST_FILTER                                                                       \
	" AND (? IS NULL OR a.database_name = ?) AND (? IS NULL OR a.environment = ?)"    \
	" AND (? IS NULL OR FIND_IN_SET(?, a.deployment)) AND (? IS NULL OR a.state = ?)" \
	" AND (? = 0 OR a.state IN ('failed','failed_retryable'))"                        \
	" AND (? = 0 OR a.created_at >= NOW(6) - INTERVAL ? SECOND)"

#define APPLY_LIST_STATEMENTS(S)                                                        \
	S(AL_LIVE, "SELECT " LIST_COLUMNS                                               \
		   " FROM applies a WHERE active_key IS NOT NULL" LIST_FILTER           \
		   " ORDER BY COALESCE(a.started_at, a.created_at), a.id"               \
		   " LIMIT ?")                                                          \
	S(AL_REST,                                                                      \
	  "SELECT " LIST_COLUMNS " FROM applies a WHERE active_key IS NULL" LIST_FILTER \
	  " ORDER BY a.updated_at DESC, a.id DESC LIMIT ?")                             \
	S(AL_AFTER, "SELECT " LIST_COLUMNS " FROM applies a WHERE a.id < ?" LIST_FILTER \
		    " AND (? = 0 OR active_key IS NOT NULL)"                            \
		    " ORDER BY a.id DESC LIMIT ?")                                      \
	S(AL_TOTALS, "SELECT state, COUNT(*) FROM applies GROUP BY state ORDER BY state")

DB_STATEMENTS(apply_list, APPLY_LIST_STATEMENTS)

static const struct db_col list_columns[] = {
	COL(U64, struct apply, id),
	COL(STR, struct apply, apply_id),
	COL(STR, struct apply, database),
	COL(STR, struct apply, database_type),
	COL(STR, struct apply, environment),
	COL(STR, struct apply, deployment),
	COL(STR, struct apply, engine),
	COL(STR, struct apply, caller),
	COL(STR, struct apply, repository),
	COL(I64, struct apply, pull_request),
	COL(STR, struct apply, options),
	COL(INT, struct apply, volume),
	COL_ENUM(struct apply, state, state_parse),
	COL(STR, struct apply, error_code),
	COL(STR, struct apply, error_message),
	COL(U64, struct apply, revision),
	COL(STR, struct apply, created_at),
	COL(STR, struct apply, started_at),
	COL(STR, struct apply, completed_at),
	COL(STR, struct apply, updated_at),
};

#define FILTER_BINDS 11

/* The parameters of LIST_FILTER, in its order. */
static void bind_filter(struct db_bind *b, const struct apply_filter *f)
{
	const char *const texts[] = { f->database, f->environment, f->deployment,
				      f->state };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		*b++ = db_bind_str(texts[i]);
		*b++ = db_bind_str(texts[i]);
	}
	*b++ = db_bind_int(f->failures);
	*b++ = db_bind_int(f->newer_than_seconds);
	*b++ = db_bind_int(f->newer_than_seconds);
}

static int select_some(TALLOC_CTX *ctx, struct db *db, const struct db_stmt *stmt,
		       const struct apply_filter *f, int limit, struct apply **out,
		       size_t *n, struct sb_err *err)
{
	struct db_bind binds[FILTER_BINDS + 1];

	bind_filter(binds, f);
	binds[FILTER_BINDS] = db_bind_int(limit);
	return db_all(ctx, db, stmt, binds, ARRAY_SIZE(binds), list_columns,
		      ARRAY_SIZE(list_columns), sizeof(**out), out, n, err);
}

static int select_after(TALLOC_CTX *ctx, struct db *db, const struct apply_filter *f,
			int limit, struct apply **out, size_t *n, struct sb_err *err)
{
	struct db_bind binds[FILTER_BINDS + 3];

	binds[0] = db_bind_uint(f->after);
	bind_filter(binds + 1, f);
	binds[FILTER_BINDS + 1] = db_bind_int(f->active);
	binds[FILTER_BINDS + 2] = db_bind_int(limit);
	return db_all(ctx, db, AL_AFTER, binds, ARRAY_SIZE(binds), list_columns,
		      ARRAY_SIZE(list_columns), sizeof(**out), out, n, err);
}

int apply_list(TALLOC_CTX *ctx, struct db *db, const struct apply_filter *f,
	       struct apply **out, size_t *n, bool *has_more, struct sb_err *err)
{
	struct apply *rest;
	size_t n_rest = 0;

	*has_more = false;
	if (f->after > 0) {
		if (select_after(ctx, db, f, f->limit + 1, out, n, err) < 0)
			return -1;
	} else {
		if (select_some(ctx, db, AL_LIVE, f, f->limit + 1, out, n, err) < 0)
			return -1;
		if (!f->active && *n <= (size_t)f->limit) {
			if (select_some(ctx, db, AL_REST, f, f->limit + 1 - (int)*n,
					&rest, &n_rest, err) < 0)
				return -1;
			*out = mem_grow(ctx, *out, struct apply, *n + n_rest);
			memcpy(*out + *n, rest, n_rest * sizeof(*rest));
			*n += n_rest;
		}
	}
	if (*n > (size_t)f->limit) {
		*n = (size_t)f->limit;
		*has_more = true;
	}
	return 0;
}

static const struct db_col total_columns[] = {
	COL_ENUM(struct state_total, state, state_parse),
	COL(I64, struct state_total, n),
};

int apply_state_totals(TALLOC_CTX *ctx, struct db *db, struct state_total **out,
		       size_t *n, struct sb_err *err)
{
	return db_all(ctx, db, AL_TOTALS, NO_BIND, total_columns,
		      ARRAY_SIZE(total_columns), sizeof(**out), out, n, err);
}
