/*
 * table.c - see table.h.
 *
 * The shadow is made by the server: CREATE TABLE … LIKE, then the reviewed statement with
 * the shadow's name in it. What the copy has to know is read back from
 * information_schema, so that it is what the server understood.
 */
#include "engines/mysql/copy/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "engines/artefact.h"
#include "engines/mysql/copy/key.h"
#include "engines/mysql/copy/refuse.h"

/* ---- what cannot be copied ----------------------------------------------------------
 */

/* Asked again before anything is made: much may have happened since the plan. */
static int refuse(TALLOC_CTX *ctx, struct db *db, const struct copy_table *t,
		  struct sb_err *err)
{
	struct refuse_definition now;
	const char *why;

	if (refuse_live(ctx, db, t->schema, t->table, t->statement, false, &why, err) < 0)
		return -1;
	if (!why) {
		if (refuse_look(ctx, db, t->schema, t->table, t->schema, t->statement,
				false, &now, err) < 0)
			return -1;
		why = now.why;
	}
	return why ? sb_err(err, SB_EENGINE, "%s", why) : 0;
}

/* ---- columns ------------------------------------------------------------------------
 */

static const char *new_name(const struct fact_rename *renames, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(renames[i].from, name) == 0)
			return renames[i].to;
	return name;
}

static int map_columns(TALLOC_CTX *ctx, const struct copy_table *t,
		       const struct facts *original, const struct facts *shadow,
		       struct key_mapping **out, struct sb_err *err)
{
	struct key_mapping *map = mem_array(ctx, struct key_mapping, original->n_columns);
	struct fact_rename *renames;
	size_t n;

	*out = map;
	if (facts_renames(ctx, t->statement, &renames, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < original->n_columns; i++) {
		const struct fact_column *c = &original->columns[i];

		map[i] = (struct key_mapping){
			c, facts_column(shadow, new_name(renames, n, c->name))
		};
	}
	return 0;
}

static void list_columns(struct copy_table *t, const struct key_mapping *map, size_t n)
{
	struct buf a, b;

	buf_init(&a, t);
	buf_init(&b, t);
	t->columns = mem_array(t, struct copy_column, n);
	for (size_t i = 0; i < n; i++) {
		struct copy_column *c = &t->columns[t->n_columns];

		if (!map[i].to || map[i].to->generated)
			continue;
		*c = (struct copy_column){ .name = db_ident(t, map[i].from->name),
					   .shadow = db_ident(t, map[i].to->name),
					   .from = map[i].from,
					   .to = map[i].to };
		buf_printf(&a, "%s%s", t->n_columns > 0 ? ", " : "", c->name);
		buf_printf(&b, "%s%s", t->n_columns > 0 ? ", " : "", c->shadow);
		t->n_columns++;
	}
	t->column_list = a.data;
	t->shadow_list = b.data;
}

/* ---- indexes that come later --------------------------------------------------------
 */

/*
 * The plain indexes of the shadow, as SHOW CREATE TABLE has them: a line each, two spaces
 * in. (Both servers print one element a line, and no line end inside of one: a comment's
 * is escaped.) Unique ones stay, since they find duplicates early; so do FULLTEXT and
 * SPATIAL ones, which cannot be added while rows change; and one that the AUTO_INCREMENT
 * column or the flush (has_access) needs.
 */
static bool must_stay(const struct copy_table *t, const struct facts *shadow,
		      const struct fact_index *x)
{
	const struct fact_column *first = facts_column(shadow, x->columns[0]);

	if (x->unique || strcmp(x->type, "BTREE") != 0)
		return true;
	if (first && strstr(first->extra, "auto_increment"))
		return true;
	for (size_t i = 0; first && i < t->key.n; i++)
		if (strcmp(t->key.parts[i].shadow, db_ident(t->key.parts, first->name)) ==
		    0)
			return true;
	return false;
}

/* The index whose line this is; NULL = none that may come later. */
static const struct fact_index *index_of(const struct copy_table *t, TALLOC_CTX *mem,
					 const struct facts *shadow, const char *line)
{
	for (size_t i = 0; i < shadow->n_indexes; i++) {
		const struct fact_index *x = &shadow->indexes[i];
		char *head = mem_printf(mem, "  KEY %s (", db_ident(mem, x->name));

		if (strncmp(line, head, strlen(head)) == 0)
			return must_stay(t, shadow, x) ? NULL : x;
	}
	return NULL;
}

/* Drop them from the empty shadow; the clauses that add them, in their order, go to
 * t->deferred. */
static int defer_indexes(struct copy_table *t, struct db *db, const struct facts *shadow,
			 struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "deferred indexes");
	struct buf add, drop;
	struct db_rows *rows;
	int rc;

	buf_init(&add, t);
	buf_init(&drop, mem);
	rc = db_query(mem, db, mem_printf(mem, "SHOW CREATE TABLE %s", t->shadow), &rows,
		      err);
	for (const char *p = rc == 0 ? rows->cell[0][1] : NULL; p && *p;) {
		size_t n = strcspn(p, "\n"), end = n > 0 && p[n - 1] == ',' ? n - 1 : n;
		const struct fact_index *x = index_of(t, mem, shadow, p);

		if (x) {
			buf_printf(&add, "%sADD %.*s", add.len > 0 ? ", " : "",
				   (int)end - 2, p + 2);
			buf_printf(&drop, "%sDROP INDEX %s", drop.len > 0 ? ", " : "",
				   db_ident(mem, x->name));
		}
		p += n + (p[n] == '\n');
	}
	t->deferred = add.data;
	if (rc == 0 && drop.len > 0)
		rc = db_run(db,
			    mem_printf(mem, "ALTER TABLE %s %s", t->shadow, drop.data),
			    err);
	talloc_free(mem);
	return rc;
}

/* ---- names --------------------------------------------------------------------------
 */

static struct copy_table *named(TALLOC_CTX *ctx, const char *apply_id,
				const struct engine_task *task, struct sb_err *err)
{
	struct copy_table *t = mem_new(ctx, struct copy_table);

	t->schema = mem_strdup(t, task->schema);
	t->table = mem_strdup(t, task->table);
	t->statement = mem_strdup(t, task->ddl);
	t->shadow_name = artefact_name(t, task->table, ARTEFACT_SHADOW, apply_id, err);
	t->old_name = artefact_name(t, task->table, ARTEFACT_OLD, apply_id, err);
	t->kept_name = artefact_name(t, task->table, ARTEFACT_KEPT, apply_id, err);
	if (!t->shadow_name || !t->old_name || !t->kept_name) {
		talloc_free(t);
		return NULL;
	}
	t->original = db_ident2(t, t->schema, t->table);
	t->shadow = db_ident2(t, t->schema, t->shadow_name);
	t->rows.schema = t->schema;
	t->rows.name = t->table;
	t->rows_estimate = -1;
	t->deferred = "";
	return t;
}

static int estimate(struct copy_table *t, struct db *db, struct sb_err *err)
{
	struct db_rows *rows;
	char *sql = mem_printf(t,
			       "SELECT TABLE_ROWS FROM information_schema.TABLES"
			       " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
			       db_literal(t, t->schema), db_literal(t, t->table));

	if (db_query(t, db, sql, &rows, err) < 0)
		return -1;
	if (rows->n > 0 && rows->cell[0][0])
		t->rows_estimate = strtoll(rows->cell[0][0], NULL, 10);
	return 0;
}

/* What connects the two tables that are there now. */
static int connect_tables(struct copy_table *t, struct db *db, struct facts **shadow,
			  struct sb_err *err)
{
	struct key_mapping *map;
	struct facts *original;

	if (facts_read(t, db, t->schema, t->table, &original, err) < 0 ||
	    facts_read(t, db, t->schema, t->shadow_name, shadow, err) < 0 ||
	    map_columns(t, t, original, *shadow, &map, err) < 0 ||
	    key_choose(t, original, *shadow, map, t, err) < 0)
		return -1;
	list_columns(t, map, original->n_columns);
	t->replaceable = key_replaceable(original, *shadow, map);
	for (size_t i = 0, n = 0; i < (*shadow)->n_indexes; i++)
		t->more_uniques = (n += (*shadow)->indexes[i].unique) > 1;
	return estimate(t, db, err);
}

/* ---- the shadow ---------------------------------------------------------------------
 */

/* The reviewed statement, about the shadow: "ALTER TABLE `name` rest". */
static char *about_shadow(const struct copy_table *t, TALLOC_CTX *ctx)
{
	char *head = mem_printf(ctx, "ALTER TABLE %s ", db_ident(ctx, t->table));
	size_t n = strlen(head);

	if (strncmp(t->statement, head, n) != 0)
		return NULL;
	return mem_printf(ctx, "ALTER TABLE %s %s", t->shadow, t->statement + n);
}

static int make_shadow(const struct copy_table *t, TALLOC_CTX *mem, struct db *db,
		       struct sb_err *err)
{
	char *statement = about_shadow(t, mem);

	if (!statement)
		return sb_err(err, SB_EINVALID,
			      "Not a statement that can be carried out by a copy: %.100s",
			      t->statement);
	if (copy_table_drop(db, t, err) < 0 ||
	    db_run(db, mem_printf(mem, "CREATE TABLE %s LIKE %s", t->shadow, t->original),
		   err) < 0)
		return -1;
	FAULT("engine.mysql.copy.shadow");
	return db_run(db, statement, err);
}

int copy_table_create(TALLOC_CTX *ctx, struct db *db, const char *apply_id,
		      const struct engine_task *task, struct copy_table **out,
		      struct sb_err *err)
{
	struct copy_table *t = named(ctx, apply_id, task, err);
	TALLOC_CTX *mem = mem_ctx(NULL, "shadow");
	struct facts *shadow;
	int rc = -1;

	*out = NULL;
	if (!t)
		goto out;
	if (refuse(mem, db, t, err) == 0 && make_shadow(t, mem, db, err) == 0 &&
	    connect_tables(t, db, &shadow, err) == 0 &&
	    defer_indexes(t, db, shadow, err) == 0)
		rc = 0;
	FAULT("engine.mysql.copy.prepared");
	if (rc == 0)
		*out = t;
	else
		talloc_free(t);
out:
	talloc_free(mem);
	return rc;
}

int copy_table_find(TALLOC_CTX *ctx, struct db *db, const char *apply_id,
		    const struct engine_task *task, struct copy_table **out,
		    struct sb_err *err)
{
	struct copy_table *t = named(ctx, apply_id, task, err);
	struct facts *shadow;
	int rc;

	*out = NULL;
	if (!t)
		return -1;
	rc = facts_read(t, db, t->schema, t->shadow_name, &shadow, err);
	if (rc == 0 && shadow->n_columns > 0)
		rc = connect_tables(t, db, &shadow, err) < 0 ? -1 : 1;
	if (rc == 1)
		*out = t;
	else
		talloc_free(t);
	return rc;
}

int copy_table_names(TALLOC_CTX *ctx, const char *apply_id,
		     const struct engine_task *task, struct copy_table **out,
		     struct sb_err *err)
{
	*out = named(ctx, apply_id, task, err);
	return *out ? 0 : -1;
}

int copy_table_key(const struct engine_task *task, const struct facts *original,
		   const struct facts *result, const char **why, TALLOC_CTX *ctx,
		   struct sb_err *err)
{
	struct copy_table *t = mem_new(NULL, struct copy_table);
	struct key_mapping *map;
	struct sb_err reason;
	int rc;

	*why = NULL;
	t->schema = task->schema;
	t->table = task->table;
	t->statement = task->ddl;
	rc = map_columns(t, t, original, result, &map, err);
	if (rc == 0 && key_choose(t, original, result, map, t, &reason) < 0)
		*why = mem_strdup(ctx, reason.msg);
	talloc_free(t);
	return rc;
}

int copy_table_drop(struct db *db, const struct copy_table *t, struct sb_err *err)
{
	char *sql = mem_printf(NULL, "DROP TABLE IF EXISTS %s", t->shadow);
	int rc = db_run(db, sql, err);

	talloc_free(sql);
	return rc;
}

/* ENGINE.md 7.2: exactly these exceptions. */
int copy_session(struct db *db, struct sb_err *err)
{
	return db_run(db,
		      "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,"
		      "ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION',"
		      " innodb_lock_wait_timeout = 2, lock_wait_timeout = 2,"
		      /* A flush may have nothing to do for days. */
		      " wait_timeout = 604800",
		      err);
}
