/*
 * trial.c - temporary tables in place of real ones; see trial.h.
 *
 * information_schema does not know temporary tables; SHOW COLUMNS and SHOW KEYS say the
 * same about them.
 */
#include "core/schema/trial.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- which ------------------------------------------------------------------------ */

static bool is_one_of(const struct token *t, const char *const *words)
{
	for (; *words; words++)
		if (token_is(t, *words))
			return true;
	return false;
}

/* In file names other characters take up to five bytes, and a file's name can be too
 * long. */
static bool is_plain_name(const char *name)
{
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '_' && *name != '$')
			return false;
	return true;
}

/*
 * Foreign keys and partitions vanish in temporary tables, names of constraints are not
 * compared with those of other tables, and full-text indexes are refused. Of the table's
 * options those are known to mean the same that stand here.
 */
bool trial_possible(const char *name, const struct tokens *t)
{
	static const char *const never[] = { "REFERENCES", "CONSTRAINT", "CHECK",
					     "FULLTEXT",   "SPATIAL",	 "PERIOD",
					     "WITHOUT",	   "SYSTEM",	 "VERSIONING",
					     "PARTITION",  "LIKE",	 "SELECT",
					     NULL };
	static const char *const options[] = {
		"ENGINE",  "DEFAULT", "CHARSET",	"CHARACTER", "SET",
		"COLLATE", "COMMENT", "AUTO_INCREMENT", NULL
	};
	bool primary = false, body = false;

	for (size_t i = 0; i < t->n; i++) {
		const struct token *k = &t->v[i];

		if (k->version != 0 || is_one_of(k, never))
			return false;
		if (k->depth > 0) {
			body = true;
			primary |= token_is(k, "PRIMARY");
		} else if (body && k->type == TOKEN_WORD && !is_one_of(k, options) &&
			   !token_punct(k - 1, '=') && !is_one_of(k - 1, options)) {
			return false;
		}
	}
	return primary && is_plain_name(name);
}

/* ---- one table -------------------------------------------------------------------- */

static int make(TALLOC_CTX *tmp, struct db *work, const char *rest, struct sb_err *err)
{
	if (db_run(work, mem_printf(tmp, "CREATE TEMPORARY%s", rest), err) == 0)
		return 1;
	return db_is_lost(work) ? -1 : 0;
}

static int drop(TALLOC_CTX *tmp, struct db *work, const char *quoted, struct sb_err *err)
{
	return db_run(work, mem_printf(tmp, "DROP TEMPORARY TABLE %s", quoted), err);
}

/* SHOW CREATE of a temporary table is that of a table plus one word. */
static int show(TALLOC_CTX *ctx, TALLOC_CTX *tmp, struct db *work, const char *quoted,
		char **out, struct sb_err *err)
{
	static const char prefix[] = "CREATE TEMPORARY TABLE";
	struct db_rows *rows;
	const char *text;

	if (db_query(tmp, work, mem_printf(tmp, "SHOW CREATE TABLE %s", quoted), &rows,
		     err) < 0)
		return -1;
	text = rows->n == 1 && rows->width >= 2 ? rows->cell[0][1] : NULL;
	if (!text || strncmp(text, prefix, strlen(prefix)) != 0)
		return sb_err(err, SB_EENGINE,
			      "the server did not show the definition of temporary table "
			      "%s",
			      quoted);
	*out = mem_printf(ctx, "CREATE TABLE%s", text + strlen(prefix));
	return 0;
}

int trial_show(TALLOC_CTX *ctx, struct db *work, const char *name, const char *rest,
	       char **shown, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "trial");
	char *quoted = db_ident(tmp, name);
	int rc;

	*shown = NULL;
	rc = make(tmp, work, rest, err);
	if (rc > 0 && (show(ctx, tmp, work, quoted, shown, err) < 0 ||
		       drop(tmp, work, quoted, err) < 0))
		rc = -1;
	talloc_free(tmp);
	return rc;
}

/* ---- what else is known of it ----------------------------------------------------- */

/* The columns of SHOW FULL COLUMNS and SHOW KEYS; what is left out is not the table's. */
enum {
	COLUMN_COLLATION = 2,
	COLUMN_DEFAULT = 5,
	COLUMN_EXTRA = 6,
	COLUMN_PRIVILEGES = 7
};
enum { KEY_CARDINALITY = 6, KEY_EXPRESSION = 14 };

static void add_cell(struct buf *b, const char *cell)
{
	buf_str(b, cell ? cell : "NULL");
	buf_char(b, ' ');
}

/* An expression may be printed with or without moot introducers: diff.c compares those.
 */
static void add_columns(struct buf *b, const struct db_rows *rows)
{
	for (size_t r = 0; r < rows->n; r++) {
		char **cell = rows->cell[r];
		bool expression = strstr(cell[COLUMN_EXTRA], "DEFAULT_GENERATED") != NULL;

		for (size_t c = 0; c < rows->width; c++)
			if (c != COLUMN_PRIVILEGES &&
			    (c != COLUMN_DEFAULT || !expression))
				add_cell(b, cell[c]);
		buf_char(b, '\n');
	}
}

static void add_keys(struct buf *b, const struct db_rows *rows)
{
	for (size_t r = 0; r < rows->n; r++) {
		for (size_t c = 1; c < rows->width; c++)
			if (c != KEY_CARDINALITY && c != KEY_EXPRESSION)
				add_cell(b, rows->cell[r][c]);
		buf_char(b, '\n');
	}
}

/* A collation's name begins with that of its character set. */
static int merge_collations(struct table *t, const struct db_rows *rows)
{
	if (rows->n != t->n_columns || rows->width <= COLUMN_PRIVILEGES)
		return -1;
	for (size_t i = 0; i < rows->n; i++) {
		const char *collation = rows->cell[i][COLUMN_COLLATION];
		struct table_column *c = &t->columns[i];

		if (strcmp(rows->cell[i][0], c->name) != 0)
			return -1;
		c->charset = c->collation = NULL;
		if (!collation)
			continue;
		c->collation = mem_strdup(t, collation);
		c->charset = mem_strndup(t, collation, strcspn(collation, "_"));
	}
	table_make_canonical(t);
	return 0;
}

static int describe(TALLOC_CTX *tmp, struct db *work, const char *quoted, struct table *t,
		    struct sb_err *err)
{
	struct db_rows *columns, *keys;
	struct buf facts;

	if (db_query(tmp, work, mem_printf(tmp, "SHOW FULL COLUMNS FROM %s", quoted),
		     &columns, err) < 0 ||
	    db_query(tmp, work, mem_printf(tmp, "SHOW KEYS FROM %s", quoted), &keys,
		     err) < 0)
		return -1;
	if (merge_collations(t, columns) < 0)
		return sb_err(err, SB_EENGINE,
			      "the server shows two different tables as %s", quoted);
	buf_init(&facts, t);
	add_columns(&facts, columns);
	add_keys(&facts, keys);
	t->trial_facts = facts.data;
	return 0;
}

int trial_read(TALLOC_CTX *ctx, struct db *work, const char *name, const char *rest,
	       struct table **out, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "trial");
	char *quoted = db_ident(tmp, name), *shown;
	struct table *t = NULL;
	int rc;

	*out = NULL;
	rc = make(tmp, work, rest, err);
	if (rc <= 0)
		goto out;
	if (show(tmp, tmp, work, quoted, &shown, err) < 0 ||
	    table_read(ctx, shown, &t, err) < 0 ||
	    describe(tmp, work, quoted, t, err) < 0)
		rc = 0;
	else if (strcasecmp(t->engine, "InnoDB") != 0 || !*t->collation)
		rc = sb_err(err, SB_EENGINE, "not a table that can be tried so") + 1;
	if (drop(tmp, work, quoted, rc > 0 ? err : NULL) < 0)
		rc = -1;
	if (rc > 0)
		*out = t;
	else
		talloc_free(t);
out:
	talloc_free(tmp);
	return rc;
}
