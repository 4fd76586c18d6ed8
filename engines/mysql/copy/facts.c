/*
 * facts.c - see facts.h.
 *
 * Two queries a table. The statement's clauses are looked at with a scanner of their own,
 * which knows quotes and brackets and nothing else of SQL.
 */
#include "engines/mysql/copy/facts.h"

#include <string.h>
#include <strings.h>

#include "core/base/buf.h"

static bool is(const char *cell, const char *word)
{
	return cell && strcasecmp(cell, word) == 0;
}

static int read_columns(struct facts *f, struct db *db, const char *schema,
			const char *table, struct sb_err *err)
{
	struct db_rows *rows;
	char *sql = mem_printf(f,
			       "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE,"
			       " CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, IS_NULLABLE,"
			       " GENERATION_EXPRESSION FROM information_schema.COLUMNS"
			       " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
			       " ORDER BY ORDINAL_POSITION",
			       db_literal(f, schema), db_literal(f, table));

	if (db_query(f, db, sql, &rows, err) < 0)
		return -1;
	f->columns = mem_array(f, struct fact_column, rows->n);
	for (size_t i = 0; i < rows->n; i++) {
		char **c = rows->cell[i];

		f->columns[i] = (struct fact_column){ .name = c[0],
						      .data_type = c[1],
						      .column_type = c[2],
						      .charset = c[3],
						      .collation = c[4],
						      .extra = c[5] ? c[5] : "",
						      .nullable = is(c[6], "YES"),
						      .generated = c[7] && *c[7] };
	}
	f->n_columns = rows->n;
	return 0;
}

static int read_indexes(struct facts *f, struct db *db, const char *schema,
			const char *table, struct sb_err *err)
{
	struct fact_index *x = NULL;
	struct db_rows *rows;
	char *sql = mem_printf(f,
			       "SELECT INDEX_NAME, NON_UNIQUE, INDEX_TYPE, COLUMN_NAME,"
			       " SUB_PART FROM information_schema.STATISTICS"
			       " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
			       " ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME,"
			       " SEQ_IN_INDEX",
			       db_literal(f, schema), db_literal(f, table));

	if (db_query(f, db, sql, &rows, err) < 0)
		return -1;
	f->indexes = mem_array(f, struct fact_index, rows->n);
	for (size_t i = 0; i < rows->n; i++) {
		char **c = rows->cell[i];

		if (!x || strcmp(x->name, c[0]) != 0) {
			x = &f->indexes[f->n_indexes++];
			*x = (struct fact_index){ .name = c[0],
						  .unique = is(c[1], "0"),
						  .type = c[2],
						  .whole = true };
		}
		x->columns = mem_grow(f, x->columns, const char *, x->n + 1);
		x->columns[x->n++] = c[3];
		if (!c[3] || c[4])
			x->whole = false;
	}
	return 0;
}

int facts_read(TALLOC_CTX *ctx, struct db *db, const char *schema, const char *table,
	       struct facts **out, struct sb_err *err)
{
	struct facts *f = mem_new(ctx, struct facts);

	*out = NULL;
	if (read_columns(f, db, schema, table, err) < 0 ||
	    read_indexes(f, db, schema, table, err) < 0) {
		talloc_free(f);
		return -1;
	}
	*out = f;
	return 0;
}

const struct fact_column *facts_column(const struct facts *f, const char *name)
{
	for (size_t i = 0; name && i < f->n_columns; i++)
		if (strcasecmp(f->columns[i].name, name) == 0)
			return &f->columns[i];
	return NULL;
}

/* ---- renames ------------------------------------------------------------------------
 */

struct scanner {
	TALLOC_CTX *ctx;
	const char *p;
};

static void skip_space(struct scanner *s)
{
	s->p += strspn(s->p, " \t\r\n");
}

/* Is the next word `word`? Then the scanner is behind it. */
static bool word(struct scanner *s, const char *word)
{
	size_t n = strlen(word);

	skip_space(s);
	if (strncasecmp(s->p, word, n) != 0 || (s->p[n] != ' ' && s->p[n] != '`'))
		return false;
	s->p += n;
	return true;
}

/* `quoted name`, doubled quotes within; NULL when there is none. */
static char *name(struct scanner *s)
{
	struct buf b;

	skip_space(s);
	if (*s->p != '`')
		return NULL;
	buf_init(&b, s->ctx);
	for (s->p++; *s->p; s->p++) {
		if (*s->p == '`' && *++s->p != '`')
			return b.data;
		buf_char(&b, *s->p);
	}
	return NULL;
}

/* To behind the comma that ends this clause, or to the end. */
static void skip_clause(struct scanner *s)
{
	int depth = 0;
	char quote = '\0';

	for (; *s->p; s->p++) {
		char c = *s->p;

		if (quote) {
			if (c == '\\' && quote != '`' && s->p[1])
				s->p++;
			else if (c == quote)
				quote = '\0';
		} else if (c == '\'' || c == '"' || c == '`') {
			quote = c;
		} else if (c == '(') {
			depth++;
		} else if (c == ')') {
			depth--;
		} else if (c == ',' && depth == 0) {
			s->p++;
			return;
		}
	}
}

static bool clause(struct scanner *s, struct fact_rename *out)
{
	*out = (struct fact_rename){ NULL, NULL };
	if (word(s, "RENAME COLUMN")) {
		out->from = name(s);
		if (out->from && word(s, "TO"))
			out->to = name(s);
		return out->to != NULL;
	}
	if (word(s, "CHANGE COLUMN")) {
		out->from = name(s);
		out->to = out->from ? name(s) : NULL;
		return out->to != NULL;
	}
	if (word(s, "DROP COLUMN")) {
		out->from = name(s);
		return out->from != NULL;
	}
	return false;
}

int facts_renames(TALLOC_CTX *ctx, const char *statement, struct fact_rename **out,
		  size_t *n, struct sb_err *err)
{
	struct scanner s = { ctx, statement };

	*out = NULL;
	*n = 0;
	if (!word(&s, "ALTER TABLE") || !name(&s))
		return sb_err(err, SB_EINVALID,
			      "Not a statement that can be carried out by a copy: %.100s",
			      statement);
	while (*s.p) {
		struct fact_rename r;

		if (clause(&s, &r)) {
			*out = mem_grow(ctx, *out, struct fact_rename, *n + 1);
			(*out)[(*n)++] = r;
		}
		skip_clause(&s);
	}
	return 0;
}
