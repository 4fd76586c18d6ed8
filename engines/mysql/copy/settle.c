/*
 * settle.c - see settle.h.
 */
#include "engines/mysql/copy/settle.h"

#include <string.h>

#include "engines/mysql/copy/check_sql.h"
#include "engines/mysql/copy/connect.h"

/* A schema in which accounts of ours may make temporary tables. */
#define TEMPORARY "`_schemabot_state`.`check`"

struct settle {
	const struct copy_table *t;
	struct db *db;
	char *hash; /* of a row, in the temporary table and in the shadow */
};

int settle_open(TALLOC_CTX *ctx, const struct db_params *target,
		const struct copy_table *t, struct settle **out, struct sb_err *err)
{
	struct settle *s = mem_new(ctx, struct settle);

	*out = NULL;
	s->t = t;
	if (copy_connect(s, target, t, CONNECT_CHECK, &s->db, err) < 0 ||
	    db_run(s->db,
		   mem_printf(s,
			      "CREATE TEMPORARY TABLE %s ENGINE=InnoDB SELECT %s FROM %s"
			      " LIMIT 0",
			      TEMPORARY, t->shadow_list, t->shadow),
		   err) < 0) {
		talloc_free(s);
		return -1;
	}
	s->hash = check_hash(s, t, true, db_flavor(s->db));
	*out = s;
	return 0;
}

static char *condition(TALLOC_CTX *ctx, const struct settle *s, bool shadow,
		       const struct check_range *r)
{
	struct buf b;

	buf_init(&b, ctx);
	chunk_condition(&b, &s->t->key, shadow, r->after, r->upto);
	return b.data;
}

/* "INSERT INTO table (…) SELECT … FROM original WHERE range" */
static char *take_rows(TALLOC_CTX *ctx, const struct settle *s, const char *table,
		       const struct check_range *r)
{
	return mem_printf(
		ctx, "INSERT INTO %s (%s) SELECT %s FROM %s FORCE INDEX (%s) WHERE %s",
		table, s->t->shadow_list, s->t->column_list, s->t->original,
		s->t->key.index, condition(ctx, s, false, r));
}

static int fold(TALLOC_CTX *ctx, struct settle *s, const char *table, const char *where,
		char ***out, struct sb_err *err)
{
	struct db_rows *rows;

	if (db_query(ctx, s->db,
		     check_fold(ctx, s->t, true, db_flavor(s->db), db_version(s->db),
				mem_printf(ctx, "%s WHERE %s", table, where)),
		     &rows, err) < 0)
		return -1;
	*out = rows->cell[0];
	return 0;
}

int settle_equal(struct settle *s, const struct check_range *r, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "settle");
	char **is, **should;
	int rc = -1;

	if (db_run(s->db, mem_printf(mem, "DELETE FROM %s", TEMPORARY), err) == 0 &&
	    db_run(s->db, take_rows(mem, s, TEMPORARY, r), err) == 0 &&
	    fold(mem, s, TEMPORARY, "TRUE", &should, err) == 0 &&
	    fold(mem, s, s->t->shadow, condition(mem, s, true, r), &is, err) == 0)
		rc = strcmp(is[0], should[0]) == 0 && strcmp(is[1], should[1]) == 0;
	talloc_free(mem);
	return rc;
}

/* Each row's key and hash, in the key's order. */
static int list(TALLOC_CTX *ctx, struct settle *s, const char *table, const char *where,
		struct db_rows **out, struct sb_err *err)
{
	const struct copy_key *key = &s->t->key;
	struct buf names, printed;

	buf_init(&names, ctx);
	buf_init(&printed, ctx);
	for (size_t i = 0; i < key->n; i++) {
		buf_printf(&names, "%s%s", i > 0 ? ", " : "", key->parts[i].shadow);
		buf_printf(&printed, "%sQUOTE(%s)", i > 0 ? ", ', ', " : "",
			   key->parts[i].shadow);
	}
	return db_query(ctx, s->db,
			mem_printf(ctx,
				   "SELECT CONCAT(%s), %s FROM %s WHERE %s ORDER BY %s",
				   printed.data, s->hash, table, where, names.data),
			out, err);
}

static bool has(const struct db_rows *rows, const char *key)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(rows->cell[i][0], key) == 0)
			return true;
	return false;
}

int settle_first_key(TALLOC_CTX *ctx, struct settle *s, const struct check_range *r,
		     char **out, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "first key");
	struct db_rows *is, *should;
	const char *key = NULL;

	*out = NULL;
	if (list(mem, s, TEMPORARY, "TRUE", &should, err) < 0 ||
	    list(mem, s, s->t->shadow, condition(mem, s, true, r), &is, err) < 0) {
		talloc_free(mem);
		return -1;
	}
	for (size_t i = 0; !key && (i < is->n || i < should->n); i++) {
		const char *a = i < is->n ? is->cell[i][0] : NULL;
		const char *b = i < should->n ? should->cell[i][0] : NULL;

		if (!b || (a && strcmp(a, b) != 0 && !has(should, a)))
			key = a; /* a row too many */
		else if (!a || strcmp(a, b) != 0 ||
			 strcmp(is->cell[i][1], should->cell[i][1]) != 0)
			key = b;
	}
	*out = mem_strdup(ctx, key ? key : "?");
	talloc_free(mem);
	return 0;
}

int settle_repair(struct settle *s, const struct check_range *r, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "repair");
	bool duplicate;
	int rc = db_begin(s->db, err);

	if (rc == 0) {
		rc = db_run(s->db,
			    mem_printf(mem, "DELETE FROM %s WHERE %s", s->t->shadow,
				       condition(mem, s, true, r)),
			    err);
		if (rc == 0)
			rc = db_run(s->db, take_rows(mem, s, s->t->shadow, r), err);
		duplicate = rc < 0 && db_error_kind(err->db_errno) == DB_ERR_DUPLICATE;
		if (rc == 0)
			rc = db_commit(s->db, err) < 0 ? -1 : 1;
		else
			db_rollback(s->db);
		if (duplicate)
			rc = 0;
	}
	talloc_free(mem);
	return rc;
}
