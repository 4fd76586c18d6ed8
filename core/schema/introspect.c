/*
 * introspect.c - read a schema; see introspect.h.
 *
 * SHOW CREATE TABLE is the definition. information_schema adds what it leaves out because
 * it is inherited (collations in effect, row format), and is the check that both tell of
 * the same columns: if they do not, the table changed between the two.
 */
#include "core/schema/introspect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/schema/schema.h"
#include "engines/artefact.h"

#define ER_NO_SUCH_TABLE 1146

struct table *view_table(const struct schema_view *view, const char *name)
{
	if (!view->fold_case)
		return tables_find(view->v, view->n, name);
	for (size_t i = 0; i < view->n; i++)
		if (same_name(view->v[i]->name, name))
			return view->v[i];
	return NULL;
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

/* ---- the schema itself ------------------------------------------------------------ */

static int read_defaults(struct schema_view *view, struct db *db, struct sb_err *err)
{
	char *literal = db_literal(view, view->schema);
	char *sql = mem_printf(view,
			       "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME,"
			       " DEFAULT_COLLATION_NAME, @@lower_case_table_names"
			       " FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s",
			       literal);
	struct db_rows *rows;

	if (db_query(view, db, sql, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows->n; i++) {
		char **cell = rows->cell[i];

		view->fold_case = strcmp(cell[3], "0") != 0;
		if (!view->fold_case && strcmp(cell[0], view->schema) != 0)
			continue;
		view->charset = cell[1];
		view->collation = cell[2];
		return 0;
	}
	return sb_err(
		err, SB_EENGINE,
		"%s: there is no schema `%s`, or user '%s' has no rights on it: create "
		"it, or correct `schemas` in the configuration",
		db_params(db)->name, view->schema, db_params(db)->user);
}

/*
 * A SELECT from a table that does not exist: with rights on the whole schema the answer
 * is "no such table", with rights on single tables only it is "denied".
 */
int introspect_check_access(struct db *db, const char *schema, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "access check");
	char *table = db_ident2(tmp, schema, SCHEMA_SCRATCH_PREFIX "access_check");
	struct db_rows *rows;
	struct sb_err got;
	int rc = 0;

	if (db_query(tmp, db, mem_printf(tmp, "SELECT 1 FROM %s", table), &rows, &got) <
		    0 &&
	    got.db_errno != ER_NO_SUCH_TABLE) {
		if (db_error_kind(got.db_errno) == DB_ERR_DENIED) {
			rc = sb_err(
				err, SB_EENGINE,
				"%s: user '%s' may not read all of schema `%s`, so tables "
				"could be hidden from it: GRANT SELECT on the whole schema",
				db_params(db)->name, db_params(db)->user, schema);
		} else {
			if (err)
				*err = got;
			rc = -1;
		}
	}
	talloc_free(tmp);
	return rc;
}

/* ---- tables ----------------------------------------------------------------------- */

bool introspect_is_ours(const char *name)
{
	struct artefact artefact;

	return strncmp(name, SCHEMA_SCRATCH_PREFIX, strlen(SCHEMA_SCRATCH_PREFIX)) == 0 ||
	       artefact_parse(name, &artefact);
}

/* The answer to SHOW CREATE TABLE, or why there is none. */
static int show_create(TALLOC_CTX *ctx, struct db *db, const char *schema,
		       const char *name, char **out, struct sb_err *err)
{
	char *sql = mem_printf(ctx, "SHOW CREATE TABLE %s", db_ident2(ctx, schema, name));
	struct db_rows *rows;
	struct sb_err got = { 0 };

	*out = NULL;
	if (db_query(ctx, db, sql, &rows, &got) < 0) {
		if (got.db_errno == ER_NO_SUCH_TABLE)
			return sb_err(err, SB_ERETRY,
				      "it was dropped while the schema was read");
		if (err)
			*err = got;
		return -1;
	}
	if (rows->n != 1 || rows->width < 2 || !rows->cell[0][1])
		return sb_err(err, SB_EENGINE, "the server did not show its definition");
	*out = rows->cell[0][1];
	return 0;
}

/* cell: name, type, collation, row format; appended to the view. */
static int read_table(struct schema_view *view, struct db *db, char **cell,
		      struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "SHOW CREATE TABLE");
	struct table *t = NULL;
	char *sql;

	if (show_create(tmp, db, view->schema, cell[0], &sql, err) == 0 &&
	    table_read(view, sql, &t, err) < 0)
		t = NULL;
	talloc_free(tmp);
	if (!t)
		return sb_err_prefix(err, "table `%s`", cell[0]);
	if (cell[2])
		t->collation = cell[2];
	if (cell[3])
		t->row_format = cell[3];
	view->v[view->n++] = t;
	return 0;
}

static int read_tables(struct schema_view *view, struct db *db, struct sb_err *err)
{
	char *literal = db_literal(view, view->schema);
	char *sql =
		mem_printf(view,
			   "SELECT TABLE_NAME, TABLE_TYPE, TABLE_COLLATION, ROW_FORMAT"
			   " FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s",
			   literal);
	struct db_rows *rows;

	if (db_query(view, db, sql, &rows, err) < 0)
		return -1;
	view->v = mem_array(view, struct table *, rows->n + 1);
	view->others = mem_array(view, struct other_object, rows->n + 1);
	for (size_t i = 0; i < rows->n; i++) {
		char **cell = rows->cell[i];

		if (introspect_is_ours(cell[0]))
			continue;
		if (strcmp(or_empty(cell[1]), "BASE TABLE") != 0) {
			view->others[view->n_others++] =
				(struct other_object){ cell[0], or_empty(cell[1]) };
			continue;
		}
		if (read_table(view, db, cell, err) < 0)
			return -1;
	}
	tables_sort(view->v, view->n);
	return 0;
}

/* ---- columns ---------------------------------------------------------------------- */

static int changed_meanwhile(const struct table *t, struct sb_err *err)
{
	return sb_err(err, SB_ERETRY,
		      "table `%s`: it was changed while the schema was read", t->name);
}

/* Put the collations of one table's columns in; rows [from, to) are its columns in order.
 */
static int merge_columns(struct table *t, const struct db_rows *rows, size_t from,
			 size_t to, struct sb_err *err)
{
	if (to - from != t->n_columns)
		return changed_meanwhile(t, err);
	for (size_t i = 0; i < t->n_columns; i++) {
		char **cell = rows->cell[from + i];
		struct table_column *c = &t->columns[i];

		if (strcmp(c->name, or_empty(cell[1])) != 0)
			return changed_meanwhile(t, err);
		c->charset = cell[2];
		c->collation = cell[3];
	}
	table_make_canonical(t);
	return 0;
}

static int read_columns(struct schema_view *view, struct db *db, struct sb_err *err)
{
	char *literal = db_literal(view, view->schema);
	char *sql = mem_printf(view,
			       "SELECT TABLE_NAME, COLUMN_NAME, CHARACTER_SET_NAME,"
			       " COLLATION_NAME FROM information_schema.COLUMNS"
			       " WHERE TABLE_SCHEMA = %s"
			       " ORDER BY CAST(TABLE_NAME AS BINARY), ORDINAL_POSITION",
			       literal);
	size_t merged = 0;
	struct db_rows *rows;

	if (db_query(view, db, sql, &rows, err) < 0)
		return -1;
	for (size_t i = 0, end; i < rows->n; i = end) {
		struct table *t = view_table(view, rows->cell[i][0]);

		for (end = i + 1; end < rows->n; end++)
			if (strcmp(rows->cell[end][0], rows->cell[i][0]) != 0)
				break;
		if (!t)
			continue; /* a view's, or of a table that was just created */
		if (merge_columns(t, rows, i, end, err) < 0)
			return -1;
		merged++;
	}
	if (merged != view->n)
		return sb_err(
			err, SB_ERETRY,
			"schema `%s` was changed while it was read, or columns of it are "
			"hidden from user '%s'",
			view->schema, db_params(db)->user);
	return 0;
}

int introspect_names(TALLOC_CTX *ctx, struct db *db, const char *schema,
		     const char *const *tables, size_t n, struct schema_view **out,
		     struct sb_err *err)
{
	struct schema_view *view = mem_new(ctx, struct schema_view);
	struct db_rows *rows;
	char *sql = mem_printf(view,
			       "SELECT TABLE_NAME, TABLE_TYPE, NULL, NULL"
			       " FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s",
			       db_literal(view, schema));
	int rc;

	*out = NULL;
	view->schema = mem_strdup(view, schema);
	rc = read_defaults(view, db, err);
	if (rc == 0)
		rc = db_query(view, db, sql, &rows, err);
	if (rc == 0)
		view->v = mem_array(view, struct table *, rows->n + 1);
	for (size_t i = 0; rc == 0 && i < rows->n; i++) {
		char **cell = rows->cell[i];
		bool asked = false;

		if (introspect_is_ours(cell[0]) ||
		    strcmp(or_empty(cell[1]), "BASE TABLE") != 0)
			continue;
		for (size_t k = 0; k < n && !asked; k++)
			asked = strcmp(tables[k], cell[0]) == 0;
		if (asked) {
			rc = read_table(view, db, cell, err);
			continue;
		}
		view->v[view->n] = mem_new(view, struct table);
		view->v[view->n++]->name = cell[0];
	}
	if (rc < 0) {
		sb_err_prefix(err, "schema `%s`", schema);
		talloc_free(view);
		return -1;
	}
	tables_sort(view->v, view->n);
	*out = view;
	return 0;
}

int introspect(TALLOC_CTX *ctx, struct db *db, const char *schema,
	       struct schema_view **out, struct sb_err *err)
{
	struct schema_view *view = mem_new(ctx, struct schema_view);

	*out = NULL;
	view->schema = mem_strdup(view, schema);
	if (read_defaults(view, db, err) < 0 || read_tables(view, db, err) < 0 ||
	    read_columns(view, db, err) < 0) {
		sb_err_prefix(err, "schema `%s`", schema);
		talloc_free(view);
		return -1;
	}
	*out = view;
	return 0;
}

/* ---- sizes ------------------------------------------------------------------------ */

int introspect_sizes(TALLOC_CTX *ctx, struct db *db, const char *schema,
		     const char *const *tables, size_t n_tables, struct table_size **out,
		     struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "table sizes");
	struct table_size *sizes = mem_array(ctx, struct table_size, n_tables + 1);
	struct db_rows *rows = NULL;
	struct buf sql;
	int rc = 0;

	*out = sizes;
	buf_init(&sql, tmp);
	buf_printf(&sql,
		   "SELECT TABLE_NAME, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH"
		   " FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
		   " AND TABLE_NAME IN (''",
		   db_literal(tmp, schema));
	for (size_t i = 0; i < n_tables; i++) {
		sizes[i] = (struct table_size){ tables[i], -1, -1 };
		buf_printf(&sql, ", %s", db_literal(tmp, tables[i]));
	}
	buf_char(&sql, ')');
	if (n_tables > 0)
		rc = db_query(tmp, db, sql.data, &rows, err);
	for (size_t r = 0; rc == 0 && rows && r < rows->n; r++)
		for (size_t i = 0; i < n_tables; i++)
			if (strcmp(rows->cell[r][0], tables[i]) == 0) {
				if (rows->cell[r][1])
					sizes[i].rows =
						strtoll(rows->cell[r][1], NULL, 10);
				if (rows->cell[r][2])
					sizes[i].bytes =
						strtoll(rows->cell[r][2], NULL, 10);
			}
	talloc_free(tmp);
	return rc;
}
