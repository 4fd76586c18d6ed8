/*
 * tidy.c - the tidier: checkpoints, copies and replaced tables of operations that are
 * over, and quarantined drops past their time.
 *
 * Called by the reaper, a batch a pass. What it finds is removed only when its name or
 * row says which apply it belongs to, the caller knows that apply and says that it is
 * over, and nobody holds the lock of the table beside which it stands.
 *
 * Must never: take a name for proof, or wait for a lock longer than two seconds.
 */
#include "engines/mysql/tidy.h"

#include <string.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/artefact.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/drops.h"
#include "engines/mysql/locks.h"

struct tidier {
	const struct engine_tidy_request *request;
	struct engine_tidied *out;
	struct db *db;
};

/* One thing could not be removed; -1 when nothing else can be either. */
static int not_removed(struct tidier *t, const char *what, const struct sb_err *why,
		       struct sb_err *err)
{
	log_err(LOG_WARN, "engine.mysql.tidy", why, "%s stays for now", what);
	t->out->errors++;
	if (!db_is_lost(t->db))
		return 0;
	*err = *why;
	return -1;
}

/* ---- checkpoints ------------------------------------------------------------------ */

static int tidy_checkpoint(struct tidier *t, TALLOC_CTX *mem,
			   const struct mysql_checkpoint *c, struct sb_err *err)
{
	const char *slash = strchr(c->operation, '/');
	struct sb_err why;
	char *apply;
	int rc;

	if (!slash)
		return 0; /* not of our making */
	apply = mem_strndup(mem, c->operation, (size_t)(slash - c->operation));
	rc = t->request->over(t->request->arg, ENGINE_TRACE_CHECKPOINT, apply, slash + 1,
			      err);
	if (rc <= 0)
		return rc;
	FAULT("engine.mysql.tidy.checkpoint");
	if (mysql_checkpoint_remove(t->db, c->operation, c->token, c->schema, c->table,
				    &why) < 0)
		return not_removed(t, c->operation, &why, err);
	t->out->checkpoints++;
	return 0;
}

static int tidy_checkpoints(struct tidier *t, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "tidy checkpoints");
	struct mysql_checkpoint *c = NULL;
	const char *schema = "", *table = "";
	size_t n;
	int rc;

	/* Rows of open operations stay, so every page is looked at. */
	do {
		rc = mysql_checkpoint_list(mem, t->db, schema, table, t->request->batch,
					   &c, &n, err);
		for (size_t i = 0; rc == 0 && i < n; i++)
			rc = t->out->checkpoints < t->request->batch
				     ? tidy_checkpoint(t, mem, &c[i], err)
				     : 0;
		if (n > 0) {
			schema = c[n - 1].schema;
			table = c[n - 1].table;
		}
	} while (rc == 0 && n > 0 && t->out->checkpoints < t->request->batch);
	talloc_free(mem);
	return rc;
}

/* ---- tables ----------------------------------------------------------------------- */

/*
 * The whole name of the table beside which the artefact stands: the one of the schema's
 * tables whose artefact would be called so. NULL when it is not there any more.
 */
static const char *original_of(TALLOC_CTX *mem, const struct db_rows *tables,
			       const char *name, const struct artefact *a)
{
	const char *apply = mem_printf(mem, "%s%016d", a->apply, 0);

	for (size_t i = 0; i < tables->n; i++) {
		const char *table = tables->cell[i][0];
		struct sb_err ignored;
		char *would_be = NULL;

		if (strncmp(table, a->table, strlen(a->table)) == 0 &&
		    strcmp(table, name) != 0)
			would_be = artefact_name(mem, table, a->kind, apply, &ignored);
		if (would_be && strcmp(would_be, name) == 0)
			return table;
	}
	return a->cut ? NULL : a->table;
}

static int drop_table(struct tidier *t, TALLOC_CTX *mem, const char *schema,
		      const char *name, const char *original, struct sb_err *err)
{
	char lock[MYSQL_LOCK_NAME_LEN + 1];
	struct db_rows *rows;
	struct sb_err why;
	int rc;

	if (mysql_lock_take(t->db, schema, original, &why) < 0)
		return not_removed(t, name, &why, err);
	FAULT("engine.mysql.tidy.table");
	rc = db_run(
		t->db,
		mem_printf(mem, "DROP TABLE IF EXISTS %s", db_ident2(mem, schema, name)),
		&why);
	mysql_lock_name(schema, original, lock);
	if (rc == 0)
		rc = db_query(mem, t->db,
			      mem_printf(mem, "SELECT RELEASE_LOCK('%s')", lock), &rows,
			      &why);
	if (rc < 0)
		return not_removed(t, name, &why, err);
	log_info("engine.mysql.tidy", "dropped %s.%s, which its apply has left behind",
		 schema, name);
	t->out->tables++;
	return 0;
}

static int tidy_table(struct tidier *t, TALLOC_CTX *mem, const char *schema,
		      const struct db_rows *tables, const char *name, struct sb_err *err)
{
	const char *original;
	struct artefact a;
	int rc;

	if (!artefact_parse(name, &a) || a.kind == ARTEFACT_KEPT)
		return 0;
	rc = t->request->over(t->request->arg,
			      a.kind == ARTEFACT_SHADOW ? ENGINE_TRACE_SHADOW
							: ENGINE_TRACE_OLD,
			      a.apply, NULL, err);
	if (rc <= 0)
		return rc;
	original = original_of(mem, tables, name, &a);
	if (!original) {
		log_warn("engine.mysql.tidy",
			 "%s.%s stays: the table that it was made for is not there",
			 schema, name);
		t->out->errors++;
		return 0;
	}
	return drop_table(t, mem, schema, name, original, err);
}

static int tidy_schema(struct tidier *t, const char *schema, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "tidy schema");
	struct db_rows *tables;
	int rc = db_query(
		mem, t->db,
		mem_printf(mem,
			   "SELECT TABLE_NAME FROM information_schema.TABLES"
			   " WHERE TABLE_SCHEMA = %s AND TABLE_TYPE = 'BASE TABLE'"
			   " ORDER BY TABLE_NAME",
			   db_literal(mem, schema)),
		&tables, err);

	for (size_t i = 0; rc == 0 && i < tables->n && t->out->tables < t->request->batch;
	     i++)
		rc = tidy_table(t, mem, schema, tables, tables->cell[i][0], err);
	talloc_free(mem);
	return rc;
}

int mysql_tidy(const struct engine_tidy_request *request, struct engine_tidied *out,
	       struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "tidy");
	struct tidier t = { .request = request, .out = out };
	struct db_params params = *request->target;
	int rc;

	*out = (struct engine_tidied){ 0 };
	params.schema = NULL;
	rc = db_open(mem, &params, &t.db, err);
	if (rc == 0)
		rc = db_run(t.db, "SET SESSION lock_wait_timeout = 2", err);
	if (rc == 0)
		rc = tidy_checkpoints(&t, err);
	for (size_t i = 0; rc == 0 && i < request->n_schemas; i++)
		rc = tidy_schema(&t, request->schemas[i], err);
	if (rc == 0)
		rc = mysql_drops_clean(t.db, request->drops_retention_hours,
				       request->batch, out, err);
	talloc_free(mem);
	return rc;
}
