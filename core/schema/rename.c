/*
 * rename.c - read rename hints and decide which are in effect; see rename.h.
 *
 * Columns may be renamed in a chain (a to b, b to c), of which all or nothing has been
 * done, since it is one ALTER. Two columns that swap their names look the same before and
 * after, so that has to be done through a third name.
 */
#include "core/schema/rename.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define PREFIX "schemabot:"
#define FORM                                                                              \
	"write \"schemabot: rename column old to new\" or \"schemabot: rename table old " \
	"to new\""

/* ---- reading ------------------------------------------------------------------------
 */

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && isspace((unsigned char)*p))
		p++;
	return p;
}

/* One line of a comment, from behind the prefix. */
static int read_hint(TALLOC_CTX *ctx, const char *text, size_t len, int line,
		     struct rename_hint *out, struct sb_err *err)
{
	char *copy = mem_strndup(ctx, text, len);
	struct tokens t;

	*out = (struct rename_hint){ .line = line };
	if (tokenize(ctx, copy, &t, NULL) < 0 || t.n != 5 ||
	    !token_is(&t.v[0], "rename") ||
	    !(token_is(&t.v[1], "column") || token_is(&t.v[1], "table")) ||
	    !token_is(&t.v[3], "to"))
		goto unknown;
	out->of_table = token_is(&t.v[1], "table");
	out->old = token_name(ctx, &t.v[2]);
	out->new = token_name(ctx, &t.v[4]);
	if (out->old && *out->old && out->new && * out->new)
		return 0;
unknown:
	return sb_err(
		err, SB_EINVALID,
		"line %d: a comment for SchemaBot that is not known (\"%.100s\"); " FORM,
		line, copy);
}

/* A comment may have several lines, each with a star of its own. */
static int read_comment(TALLOC_CTX *ctx, const struct token_comment *c,
			struct rename_hint **out, size_t *n, struct sb_err *err)
{
	const char *p = c->text, *end = c->text + c->len;
	int line = c->line;

	for (; p < end; line++) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		const char *next = stop ? stop + 1 : end;

		if (!stop)
			stop = end;
		p = skip_space(p, stop);
		while (p < stop && *p == '*')
			p = skip_space(p + 1, stop);
		if ((size_t)(stop - p) >= strlen(PREFIX) &&
		    strncasecmp(p, PREFIX, strlen(PREFIX)) == 0) {
			p += strlen(PREFIX);
			*out = mem_grow(ctx, *out, struct rename_hint, *n + 1);
			if (read_hint(ctx, p, (size_t)(stop - p), line, &(*out)[*n],
				      err) < 0)
				return -1;
			(*n)++;
		}
		p = next;
	}
	return 0;
}

static int check_hint(const struct rename_hint *h, const struct rename_hint *before,
		      size_t n, const char *table, struct sb_err *err)
{
	if (h->of_table && !same_name(h->new, table))
		return sb_err(
			err, SB_EINVALID,
			"line %d: a hint to rename a table to `%s`, but this file is "
			"about `%s`; put it into the file of the table's new name",
			h->line, h->new, table);
	for (size_t i = 0; i < n; i++)
		if (before[i].of_table == h->of_table &&
		    (h->of_table || same_name(before[i].old, h->old) ||
		     same_name(before[i].new, h->new)))
			return sb_err(err, SB_EINVALID,
				      "line %d: this rename hint contradicts the one in "
				      "line %d; keep one of them",
				      h->line, before[i].line);
	return 0;
}

int rename_read(TALLOC_CTX *ctx, const struct tokens *t, const char *table,
		struct rename_hint **out, size_t *n, struct sb_err *err)
{
	*out = NULL;
	*n = 0;
	for (size_t i = 0; i < t->n_comments; i++)
		if (read_comment(ctx, &t->comments[i], out, n, err) < 0)
			return -1;
	for (size_t i = 0; i < *n; i++)
		if (check_hint(&(*out)[i], *out, i, table, err) < 0)
			return -1;
	return 0;
}

/* ---- deciding -----------------------------------------------------------------------
 */

struct decider {
	TALLOC_CTX *ctx;
	const char *namespace;
	const struct schema_view *live;
	const struct desired *desired;
	struct text_list *errors;
	struct lint_list *lint;
	const struct table *to;	    /* whose hints are looked at */
	const struct table *from;   /* its live table; NULL = none */
	const struct renames *out;  /* decided so far */
	struct table_rename rename; /* what becomes of it */
	struct column_rename *columns;
};

static void doubt(struct decider *d, const struct rename_hint *h, const char *why)
{
	text_add(d->errors,
		 "%s: table `%s`, line %d: the hint to rename %s `%s` to `%s`: %s",
		 d->namespace, d->to->name, h->line, h->of_table ? "table" : "column",
		 h->old, h->new, why);
}

static void done(struct decider *d, const struct rename_hint *h)
{
	char *message = mem_printf(
		d->ctx,
		"the hint to rename %s `%s` to `%s` (line %d) has nothing left to do here: "
		"remove it when that is so in every environment",
		h->of_table ? "table" : "column", h->old, h->new, h->line);

	lint_note(d->lint, RULE_rename_done, d->to->name, h->of_table ? "" : h->new,
		  message);
}

static bool is_desired(const struct decider *d, const char *table)
{
	for (size_t i = 0; i < d->desired->n; i++)
		if (d->live->fold_case ? same_name(d->desired->v[i]->name, table)
				       : strcmp(d->desired->v[i]->name, table) == 0)
			return true;
	return false;
}

static bool same_table(const struct decider *d, const char *a, const char *b)
{
	return d->live->fold_case ? same_name(a, b) : strcmp(a, b) == 0;
}

static bool is_taken(const struct decider *d, const char *table)
{
	for (size_t i = 0; i < d->out->n; i++)
		if (same_table(d, d->out->v[i].old, table) &&
		    !same_table(d, d->out->v[i].new, table))
			return true;
	return false;
}

static void decide_table(struct decider *d, const struct rename_hint *h)
{
	const struct table *old = view_table(d->live, h->old);

	if (same_table(d, h->old, d->to->name) || (!old && !is_desired(d, h->old))) {
		done(d, h);
	} else if (is_desired(d, h->old)) {
		doubt(d, h,
		      "there is a file for the old name too; remove the hint, or that file");
	} else if (d->from) {
		doubt(d, h,
		      "the live schema has tables of both names; drop or rename one of them "
		      "there, or remove the hint to have the old one dropped");
	} else if (is_taken(d, h->old)) {
		doubt(d, h,
		      "another file has a hint to rename the same table; keep one of them");
	} else {
		d->from = old;
		d->rename.old = old->name;
	}
}

static const struct rename_hint *hint_from(const struct table *t, const char *old)
{
	for (size_t i = 0; i < t->n_hints; i++)
		if (!t->hints[i].of_table && same_name(t->hints[i].old, old))
			return &t->hints[i];
	return NULL;
}

static const struct rename_hint *hint_to(const struct table *t, const char *new)
{
	for (size_t i = 0; i < t->n_hints; i++)
		if (!t->hints[i].of_table && same_name(t->hints[i].new, new))
			return &t->hints[i];
	return NULL;
}

static bool has(const struct table *t, const char *column)
{
	return t && table_column(t, column);
}

/* A chain that begins with h, whose old name is nobody's new one. */
static void decide_chain(struct decider *d, const struct rename_hint *h)
{
	const struct rename_hint *last = h;
	bool all_wanted = true, all_old = has(d->from, h->old), any_middle = false;

	for (const struct rename_hint *k = h; k; k = hint_from(d->to, k->new)) {
		last = k;
		all_wanted = all_wanted && has(d->to, k->new);
		all_old = all_old && has(d->from, k->old);
		any_middle = any_middle || (k != h && has(d->from, k->old));
	}
	if (has(d->to, h->old)) {
		doubt(d, h,
		      "the file has a column of the old name too; remove the hint, or that "
		      "column");
		return;
	}
	if (!has(d->from, h->old) && (has(d->from, last->new) || !any_middle)) {
		for (; h; h = hint_from(d->to, h->new))
			done(d, h);
		return;
	}
	if (!all_wanted) {
		doubt(d, h, "the file has no column of the new name");
		return;
	}
	if (!all_old || has(d->from, last->new)) {
		doubt(d, h,
		      "the live table is neither as it was before nor as it should be after: "
		      "it has columns of both names; drop or rename one of them there, or "
		      "remove the hint to have the old one dropped");
		return;
	}
	for (; h; h = hint_from(d->to, h->new))
		d->columns[d->rename.n_columns++] =
			(struct column_rename){ table_column(d->from, h->old)->name,
						table_column(d->to, h->new)->name };
}

static bool in_circle(const struct table *t, const struct rename_hint *h)
{
	const struct rename_hint *k = h;

	for (size_t i = 0; k && i <= t->n_hints; i++)
		k = hint_to(t, k->old);
	return k != NULL;
}

static void decide_column(struct decider *d, const struct rename_hint *h)
{
	if (same_name(h->old, h->new))
		done(d, h); /* the case of a name is changed without a hint */
	else if (in_circle(d->to, h))
		doubt(d, h,
		      "columns that swap their names look the same before and after; do it "
		      "in two applies, through a third name");
	else if (!hint_to(d->to, h->old))
		decide_chain(d, h);
}

static void decide_hints(struct decider *d, struct renames *out)
{
	const struct table *t = d->to;

	d->from = view_table(d->live, t->name);
	d->rename = (struct table_rename){ .old = t->name, .new = t->name };
	d->columns = mem_array(d->ctx, struct column_rename, t->n_hints);
	if (d->from)
		d->rename.old = d->rename.new = d->from->name;
	for (size_t i = 0; i < t->n_hints; i++)
		if (t->hints[i].of_table)
			decide_table(d, &t->hints[i]);
	if (strcmp(d->rename.old, d->rename.new) != 0)
		d->rename.new = t->name;
	for (size_t i = 0; i < t->n_hints; i++)
		if (!t->hints[i].of_table)
			decide_column(d, &t->hints[i]);
	d->rename.columns = d->columns;
	if (d->rename.n_columns > 0 || strcmp(d->rename.old, d->rename.new) != 0)
		out->v[out->n++] = d->rename;
}

/* ---- what the files say of renamed things -------------------------------------------
 */

static const char *renamed_column(const struct table_rename *r,
				  const struct table_constraint *f)
{
	for (size_t i = 0; i < f->n_columns; i++)
		for (size_t k = 0; k < r->n_columns; k++) {
			bool again = false;

			for (size_t l = 0; l < r->n_columns; l++)
				again |= same_name(r->columns[l].new, r->columns[k].old);
			if (!again && same_name(f->parent_columns[i], r->columns[k].old))
				return r->columns[k].new;
		}
	return NULL;
}

/* Foreign keys follow on the server, and the files have to follow by hand. */
static void check_foreign_key(struct decider *d, const struct table *t,
			      const struct table_constraint *f, const struct renames *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct table_rename *k = &r->v[i];
		const char *column;

		if (strcmp(k->old, k->new) != 0 && same_table(d, f->parent, k->old))
			text_add(
				d->errors,
				"%s: table `%s`: foreign key `%s` refers to table `%s`, "
				"which is renamed to `%s`; use the new name in this file "
				"too",
				d->namespace, t->name, f->name, k->old, k->new);
		column = same_table(d, f->parent, k->new) ? renamed_column(k, f) : NULL;
		if (column)
			text_add(
				d->errors,
				"%s: table `%s`: foreign key `%s` refers to a column of "
				"table `%s` which is renamed to `%s`; use the new name in "
				"this file too",
				d->namespace, t->name, f->name, k->new, column);
	}
}

void rename_decide(TALLOC_CTX *ctx, const char *namespace, const struct schema_view *live,
		   const struct desired *desired, enum db_flavor flavor,
		   struct text_list *errors, struct lint_list *lint, struct renames *out)
{
	struct decider d = { .ctx = ctx,
			     .namespace = namespace,
			     .live = live,
			     .desired = desired,
			     .errors = errors,
			     .lint = lint,
			     .out = out };

	*out = (struct renames){ .v = mem_array(ctx, struct table_rename, desired->n + 1),
				 .fold_case = live->fold_case,
				 .flavor = flavor };
	for (size_t i = 0; i < desired->n; i++) {
		d.to = desired->v[i];
		if (d.to->n_hints > 0)
			decide_hints(&d, out);
	}
	for (size_t i = 0; out->n > 0 && i < desired->n; i++)
		for (size_t k = 0; k < desired->v[i]->n_constraints; k++) {
			const struct table_constraint *f = &desired->v[i]->constraints[k];

			if (f->kind == CONSTRAINT_FOREIGN_KEY && !f->parent_schema)
				check_foreign_key(&d, desired->v[i], f, out);
		}
}
