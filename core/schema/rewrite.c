/*
 * rewrite.c - the text of a table after a step; see rewrite.h.
 *
 * Text between the tokens that change is copied as it is. Only quoted names are replaced:
 * both servers quote every name they print, but MySQL those of partitioning columns,
 * which it does not rename.
 */
#include "core/schema/rewrite.h"

#include <string.h>

struct rewriter {
	TALLOC_CTX *tmp;
	const struct table *t;
	const struct tokens *k; /* t->tokens */
	const struct renames *r;
	const struct table_rename *own; /* what is renamed in t; NULL = nothing */
	struct buf out;
	const char *pos; /* everything before it is in `out` */
	bool changed;
};

/* ---- writing ---------------------------------------------------------------------- */

/* Leave out tokens [from, to), and what stands before them. */
static void leave_out(struct rewriter *w, size_t from, size_t to)
{
	const struct token *last = &w->k->v[from - 1], *end = &w->k->v[to - 1];

	buf_add(&w->out, w->pos, (size_t)(last->text + last->len - w->pos));
	w->pos = end->text + end->len;
	w->changed = true;
}

static void replace(struct rewriter *w, size_t i, const char *name)
{
	const struct token *t = &w->k->v[i];

	buf_add(&w->out, w->pos, (size_t)(t->text - w->pos));
	buf_str(&w->out, db_ident(w->tmp, name));
	w->pos = t->text + t->len;
	w->changed = true;
}

/* What SHOW CREATE does not say because it is inherited, as introspect.c has put it in.
 */
static void inherit(struct table *to, const struct table *from)
{
	to->collation = from->collation;
	to->row_format = from->row_format;
	to->wide_text = from->wide_text;
	to->counter = from->counter;
	for (size_t i = 0; i < to->n_columns; i++) {
		to->columns[i].charset = from->columns[i].charset;
		to->columns[i].collation = from->columns[i].collation;
		to->columns[i].renamed_from = from->columns[i].renamed_from;
		if (strcmp(to->columns[i].name, from->columns[i].name) != 0)
			to->columns[i].renamed_from = from->columns[i].name;
	}
	table_make_canonical(to);
}

static struct table *finish(struct rewriter *w, TALLOC_CTX *ctx)
{
	struct table *out;
	struct sb_err err;

	buf_str(&w->out, w->pos);
	if (table_read(ctx, w->out.data, &out, &err) < 0 ||
	    out->n_columns != w->t->n_columns)
		BUG("a table that was read once: %s", w->out.data);
	inherit(out, w->t);
	return out;
}

static void begin(struct rewriter *w, const struct table *t)
{
	w->tmp = mem_ctx(NULL, "rewrite");
	w->t = t;
	w->k = &t->tokens;
	w->pos = t->create_sql;
	buf_init(&w->out, w->tmp);
}

/* The end of the element that begins at i: its comma, or the bracket behind the last. */
static size_t element_end(const struct tokens *k, size_t i)
{
	while (i < k->n && !(k->v[i].depth == 1 && token_punct(&k->v[i], ',')) &&
	       !(k->v[i].depth == 0 && token_punct(&k->v[i], ')')))
		i++;
	return i;
}

static bool is_constraint(const struct tokens *k, size_t i, const char *kind)
{
	return token_is(&k->v[i], "CONSTRAINT") && token_is(&k->v[i + 2], kind);
}

/* ---- without foreign keys ------------------------------------------------------------
 */

static bool is_gone(struct rewriter *w, size_t i, const bool *gone)
{
	char *name = token_name(w->tmp, &w->k->v[i + 1]);

	for (size_t c = 0; c < w->t->n_constraints; c++)
		if (gone[c] && w->t->constraints[c].kind == CONSTRAINT_FOREIGN_KEY &&
		    same_name(w->t->constraints[c].name, name))
			return true;
	return false;
}

struct table *rewrite_without(TALLOC_CTX *ctx, const struct table *t, const bool *gone)
{
	struct rewriter w = { 0 };
	struct table *out;

	begin(&w, t);
	for (size_t i = 4, end; i < w.k->n; i = end + 1) {
		end = element_end(w.k, i);
		if (is_constraint(w.k, i, "FOREIGN") && is_gone(&w, i, gone))
			leave_out(&w, i - 1, end); /* with the comma before it */
		if (w.k->v[end].depth == 0)
			break;
	}
	out = finish(&w, ctx);
	talloc_free(w.tmp);
	return out;
}

/* ---- renamed ---------------------------------------------------------------------- */

static bool same_table(const struct renames *r, const char *a, const char *b)
{
	return r->fold_case ? same_name(a, b) : strcmp(a, b) == 0;
}

static const struct table_rename *rename_of(const struct renames *r, const char *table)
{
	for (size_t i = 0; i < r->n; i++)
		if (same_table(r, r->v[i].old, table))
			return &r->v[i];
	return NULL;
}

/* Token i is a column of r's table: give it its new name, if it has one. */
static void column_name(struct rewriter *w, size_t i, const struct table_rename *r)
{
	char *name = token_name(w->tmp, &w->k->v[i]);

	for (size_t c = 0; r && c < r->n_columns; c++)
		if (same_name(r->columns[c].old, name)) {
			replace(w, i, r->columns[c].new);
			return;
		}
}

/* All quoted names in [from, to) that stand `depth` brackets deep; -1 = anywhere. */
static void column_names(struct rewriter *w, size_t from, size_t to, int depth,
			 const struct table_rename *r)
{
	for (size_t i = from; i < to; i++)
		if (w->k->v[i].type == TOKEN_IDENT &&
		    (depth < 0 || w->k->v[i].depth == depth))
			column_name(w, i, r);
}

static void expressions(struct rewriter *w, size_t from, size_t to)
{
	if (w->r->flavor == DB_MARIADB)
		column_names(w, from, to, -1, w->own);
}

/* A constraint's name that the server made from the table's follows it: a_ibfk_1. */
static void constraint_name(struct rewriter *w, size_t i, const char *infix)
{
	char *name = token_name(w->tmp, &w->k->v[i]);
	size_t n = strlen(w->t->name);

	if (w->own && strcmp(w->own->old, w->own->new) != 0 &&
	    strncmp(name, w->t->name, n) == 0 &&
	    strncmp(name + n, infix, strlen(infix)) == 0)
		replace(w, i, mem_printf(w->tmp, "%s%s", w->own->new, name + n));
}

static void foreign_key(struct rewriter *w, size_t from, size_t to)
{
	const struct table_rename *parent;
	const struct token *v = w->k->v;
	size_t i = from + 4;

	constraint_name(w, from + 1, "_ibfk_");
	while (i < to && !token_is(&v[i], "REFERENCES"))
		i++;
	column_names(w, from + 4, i, 2, w->own);
	if (i + 2 >= to || token_punct(&v[i + 2], '.'))
		return; /* another schema's table */
	parent = rename_of(w->r, token_name(w->tmp, &v[i + 1]));
	if (parent && strcmp(parent->old, parent->new) != 0)
		replace(w, i + 1, parent->new);
	column_names(w, i + 2, to, 2, parent);
}

static void index_parts(struct rewriter *w, size_t from, size_t to)
{
	size_t open = from;

	while (open < to && !token_punct(&w->k->v[open], '('))
		open++;
	if (open < to)
		column_names(w, open + 1, tokens_skip(w->k, open), 2, w->own);
}

static void element(struct rewriter *w, size_t from, size_t to)
{
	if (w->k->v[from].type == TOKEN_IDENT) {
		column_name(w, from, w->own);
		expressions(w, from + 1, to);
	} else if (is_constraint(w->k, from, "FOREIGN")) {
		foreign_key(w, from, to);
	} else if (is_constraint(w->k, from, "CHECK")) {
		if (w->r->flavor == DB_MYSQL)
			constraint_name(w, from + 1, "_chk_");
		expressions(w, from + 2, to);
	} else {
		index_parts(w, from, to);
	}
}

/* PARTITION BY … up to the list of partitions, whose names are not columns. */
static void partitioning(struct rewriter *w, size_t i)
{
	const struct token *v = w->k->v;
	size_t from;

	while (i < w->k->n && !(v[i].depth == 0 && token_is(&v[i], "PARTITION")))
		i++;
	for (from = i; i < w->k->n; i++)
		if (v[i].depth == 0 && token_punct(&v[i], '(') &&
		    token_is(&v[i + 1], "PARTITION"))
			break;
	expressions(w, from, i);
}

const struct table *rewrite_renamed(TALLOC_CTX *ctx, const struct table *t,
				    const struct renames *r)
{
	struct rewriter w = { .r = r, .own = rename_of(r, t->name) };
	const struct table *out = t;
	size_t i, end;

	if (r->n == 0)
		return t;
	begin(&w, t);
	if (w.own && strcmp(w.own->old, w.own->new) != 0)
		replace(&w, 2, w.own->new);
	for (i = 4; i < w.k->n; i = end + 1) {
		end = element_end(w.k, i);
		element(&w, i, end);
		if (w.k->v[end].depth == 0)
			break;
	}
	partitioning(&w, i);
	if (w.changed)
		out = finish(&w, ctx);
	talloc_free(w.tmp);
	return out;
}
