/*
 * load.c - files into a scratch schema; see load.h.
 *
 * The number of tables in the scratch schema afterwards must be the number of statements
 * that were sent: a file can neither hide another's table nor add one.
 */
#include "core/schema/load.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/schema/allow.h"
#include "core/schema/order.h"
#include "core/schema/printed.h"
#include "core/schema/rename.h"
#include "core/schema/trial.h"

struct loaded { /* one file */
	const struct schema_file *file;
	char *table;
	struct tokens tokens;
	struct table *live;  /* says the same */
	struct table *tried; /* is new and needs no table in the scratch schema */
	char **parents;	     /* tables that its foreign keys name */
	size_t n_parents;
	struct rename_hint *hints;
	size_t n_hints;
	bool refused;
};

struct loader {
	const struct schema_namespace *ns;
	const struct schema_view *live;
	struct db *work, *keeper;
	int64_t until; /* clock_ms */
	bool late;
	struct text_list *errors;
	struct loaded *files;
	struct desired *out;
};

void text_add(struct text_list *list, const char *fmt, ...)
{
	va_list ap;

	list->v = mem_grow(list->ctx, list->v, const char *, list->n + 1);
	va_start(ap, fmt);
	list->v[list->n++] = mem_vprintf(list->ctx, fmt, ap);
	va_end(ap);
}

bool is_statement_fault(const struct sb_err *err)
{
	switch (db_error_kind(err->db_errno)) {
	case DB_ERR_DUPLICATE:
	case DB_ERR_MISSING:
	case DB_ERR_EXISTS:
	case DB_ERR_SYNTAX:
	case DB_ERR_NOT_SUPPORTED:
	case DB_ERR_OTHER:
		return true;
	case DB_ERR_NONE:
	case DB_ERR_LOST:
	case DB_ERR_BUSY:
	case DB_ERR_DENIED:
	case DB_ERR_KILLED:
	case DB_ERR_RESOURCE:
	case DB_ERR_READONLY:
		break;
	}
	return false;
}

bool took_too_long(const struct db *work, int64_t started)
{
	int64_t limit = db_params(work)->io_seconds;

	return db_is_lost(work) && limit > 0 &&
	       clock_ms() - started >= limit * 1000 - 100;
}

static void refuse(struct loader *l, struct loaded *f, const char *why)
{
	text_add(l->errors, "%s/%s: %s", l->ns->name, f->file->name, why);
	f->refused = true;
	l->out->failed = true;
}

/* ---- before the server sees anything ---------------------------------------------- */

static bool same_table(const struct loader *l, const char *a, const char *b)
{
	return l->live->fold_case ? same_name(a, b) : strcmp(a, b) == 0;
}

static void check_unique(struct loader *l, struct loaded *f)
{
	for (struct loaded *o = l->files; o < f; o++)
		if (o->table && same_table(l, o->table, f->table)) {
			refuse(l, f,
			       mem_printf(
				       l->out,
				       "table `%s` is already defined in %s; keep one of the "
				       "two",
				       f->table, o->file->name));
			return;
		}
}

static void check_no_view(struct loader *l, struct loaded *f)
{
	for (size_t i = 0; i < l->live->n_others; i++) {
		const struct other_object *o = &l->live->others[i];

		if (same_table(l, o->name, f->table)) {
			refuse(l, f,
			       mem_printf(
				       l->out,
				       "`%s` is a %s in the live schema, which SchemaBot does "
				       "not manage; drop it there or remove this file",
				       o->name, o->type));
			return;
		}
	}
}

/* A comment may hold any character, but servers keep some of them as "?" only. */
static bool has_wide_text(const struct tokens *t)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; t->v[i].type == TOKEN_STRING && k < t->v[i].len; k++)
			if ((unsigned char)t->v[i].text[k] >= 0xf0)
				return true;
	return false;
}

/* The last part of each name behind REFERENCES. */
static void note_parents(struct loader *l, struct loaded *f)
{
	for (size_t i = 0; i + 1 < f->tokens.n; i++) {
		const struct token *name = &f->tokens.v[i + 1];

		if (!token_is(&f->tokens.v[i], "REFERENCES"))
			continue;
		if (token_punct(name + 1, '.'))
			name += 2;
		f->parents = mem_grow(l->out, f->parents, char *, f->n_parents + 1);
		f->parents[f->n_parents++] = token_name(l->out, name);
	}
}

/* The AUTO_INCREMENT value is no part of what a table is, but may have to be raised. */
static bool raises_counter(const struct loaded *f, const struct table *live)
{
	return printed_counter(&f->tokens) > live->counter;
}

static void check_file(struct loader *l, struct loaded *f)
{
	struct sb_err why;

	if (allow_file(l->out, f->file->sql, &f->table, &f->tokens, &why) < 0) {
		refuse(l, f, why.msg);
		return;
	}
	if (rename_read(l->out, &f->tokens, f->table, &f->hints, &f->n_hints, &why) < 0)
		refuse(l, f, why.msg);
	note_parents(l, f);
	check_unique(l, f);
	check_no_view(l, f);
	f->live = view_table(l->live, f->table);
	if (f->live && (raises_counter(f, f->live) ||
			!allow_same_statement(&f->tokens, &f->live->tokens)))
		f->live = NULL;
}

/*
 * What became of a file's statement that failed for `why`. 0 = an entry in errors says
 * it, -1 = the server's fault. A statement that outlasts the connection's patience costs
 * the connection: nothing more is loaded then.
 */
static int statement_failed(struct loader *l, struct loaded *f, int64_t started,
			    const struct sb_err *why, struct sb_err *err)
{
	if (is_statement_fault(why)) {
		refuse(l, f,
		       scratch_hide(l->out, l->out->scratch, l->ns->name, why->msg));
		return 0;
	}
	if (took_too_long(l->work, started)) {
		refuse(l, f,
		       mem_printf(
			       l->out,
			       "the server did not finish this statement in %u seconds; "
			       "simplify it",
			       db_params(l->work)->io_seconds));
		return 0;
	}
	if (err)
		*err = *why;
	return sb_err_prefix(err, "%s/%s", l->ns->name, f->file->name);
}

/* ---- screening -------------------------------------------------------------------- */

/* Foreign keys and partitions do not exist, or silently vanish, in temporary tables. */
static bool can_screen(const struct loaded *f)
{
	for (size_t i = 0; i < f->tokens.n; i++)
		if (token_is(&f->tokens.v[i], "REFERENCES") ||
		    token_is(&f->tokens.v[i], "PARTITION"))
			return false;
	return true;
}

static const char *behind_create(const struct loaded *f)
{
	return f->tokens.v[0].text + f->tokens.v[0].len;
}

/*
 * Does the file make the live table? A temporary table answers that ten times faster than
 * a real one. "No" only means that it has to be looked at closely: not every table can
 * be temporary, and the account may not be allowed to make one. -1: the server's fault.
 */
static int screen(struct loader *l, struct loaded *f, const struct table *live,
		  struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "screening");
	int64_t started = clock_ms();
	struct sb_err why = { 0 };
	struct tokens tokens;
	char *shown;
	int rc;

	rc = trial_show(tmp, l->work, f->table, behind_create(f), &shown, &why);
	if (rc < 0)
		rc = statement_failed(l, f, started, &why, err);
	else if (rc > 0)
		rc = tokenize(tmp, shown, &tokens, NULL) == 0 &&
		     allow_same_statement(&tokens, &live->tokens);
	talloc_free(tmp);
	return rc;
}

/* A table at the other end of a foreign key has to be there. */
static bool is_referenced(const struct loader *l, const char *table)
{
	for (size_t i = 0; i < l->live->n; i++)
		if (table_refers_to(l->live->v[i], table))
			return true;
	for (size_t i = 0; i < l->ns->n_files; i++)
		for (size_t k = 0; k < l->files[i].n_parents; k++)
			if (same_name(l->files[i].parents[k], table))
				return true;
	return false;
}

/* A table that is not there yet: what is known of it is all that is needed. */
static int try_new(struct loader *l, struct loaded *f, struct sb_err *err)
{
	int64_t started = clock_ms();
	struct sb_err why = { 0 };
	int rc;

	rc = trial_read(l->out, l->work, f->table, behind_create(f), &f->tried, &why);
	if (rc < 0)
		return statement_failed(l, f, started, &why, err);
	if (rc > 0)
		f->tried->trial_is_file =
			allow_same_statement(&f->tokens, &f->tried->tokens);
	return 0;
}

/* All statements together have a limit too: the file at which it was over is named. */
static bool out_of_time(struct loader *l, struct loaded *f)
{
	if (!l->late && clock_ms() > l->until) {
		l->late = true;
		refuse(l, f,
		       "the time for trying out all files was over before this one; "
		       "simplify those that take long, or plan fewer namespaces at a "
		       "time");
	}
	return l->late;
}

static int screen_all(struct loader *l, struct sb_err *err)
{
	for (size_t i = 0; i < l->ns->n_files && !db_is_lost(l->work); i++) {
		struct loaded *f = &l->files[i];
		struct table *live = f->table ? view_table(l->live, f->table) : NULL;
		int same;

		if (f->live || f->refused)
			continue;
		if (out_of_time(l, f))
			return 0;
		if (!live && f->n_hints == 0 && trial_possible(f->table, &f->tokens) &&
		    !is_referenced(l, f->table) && try_new(l, f, err) < 0)
			return -1;
		if (!live || raises_counter(f, live) || !can_screen(f))
			continue;
		same = screen(l, f, live, err);
		if (same < 0)
			return -1;
		if (same)
			f->live = live;
	}
	return 0;
}

/* ---- into the scratch schema ------------------------------------------------------ */

static int create(struct loader *l, struct loaded *f, struct sb_err *err)
{
	int64_t started = clock_ms();
	struct sb_err why = { 0 };

	if (db_run(l->work, f->file->sql, &why) == 0)
		return 0;
	return statement_failed(l, f, started, &why, err);
}

/* The live table where the file says the same, else what the scratch schema has. */
static int collect(struct loader *l, size_t sent, struct sb_err *err)
{
	struct schema_view *view = NULL;
	struct desired *out = l->out;

	if (sent > 0 && introspect(out, l->work, out->scratch->name, &view, err) < 0)
		return -1;
	if (sent > 0 && view->n != sent)
		return sb_err(
			err, SB_EENGINE,
			"namespace %s: %zu files made %zu tables; check the files for "
			"names that differ in case only",
			l->ns->name, sent, view->n);
	out->v = mem_array(out, struct table *, l->ns->n_files + 1);
	for (size_t i = 0; i < l->ns->n_files; i++) {
		struct loaded *f = &l->files[i];
		struct table *t = f->live    ? f->live
				  : f->tried ? f->tried
				  : view     ? view_table(view, f->table)
					     : NULL;

		if (!t)
			return sb_err(err, SB_EENGINE,
				      "%s/%s: the server made no table `%s`", l->ns->name,
				      f->file->name, f->table);
		t->wide_text = has_wide_text(&f->tokens);
		t->hints = f->hints;
		t->n_hints = f->n_hints;
		out->v[out->n++] = t;
	}
	tables_sort(out->v, out->n);
	return 0;
}

/* How many files need a table of their own in the scratch schema. */
static size_t count_open(const struct loader *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->ns->n_files; i++)
		if (!l->files[i].live && !l->files[i].tried && !l->files[i].refused)
			n++;
	return n;
}

static int load(struct loader *l, struct sb_err *err)
{
	size_t sent;

	for (size_t i = 0; i < l->ns->n_files; i++) {
		l->files[i].file = &l->ns->files[i];
		check_file(l, &l->files[i]);
	}
	if (count_open(l) > 0 &&
	    (scratch_create(l->out, l->work, l->keeper, l->live->charset,
			    l->live->collation, &l->out->scratch, err) < 0 ||
	     screen_all(l, err) < 0))
		return -1;
	if (db_is_lost(l->work))
		return 0; /* the time limit: an entry in errors */
	sent = count_open(l);
	for (size_t i = 0; i < l->ns->n_files; i++) {
		struct loaded *f = &l->files[i];

		if (f->live || f->tried || f->refused)
			continue;
		if (out_of_time(l, f))
			break;
		if (create(l, f, err) < 0)
			return -1;
		if (db_is_lost(l->work))
			return 0; /* the time limit: an entry in errors */
	}
	FAULT("schema.load.created");
	return l->out->failed ? 0 : collect(l, sent, err);
}

int load_files(TALLOC_CTX *ctx, struct db *work, struct db *keeper,
	       const struct schema_namespace *ns, const struct schema_view *live,
	       int64_t until, struct text_list *errors, struct desired **out,
	       struct sb_err *err)
{
	struct loader l = { .ns = ns,
			    .live = live,
			    .work = work,
			    .keeper = keeper,
			    .until = until,
			    .errors = errors,
			    .out = mem_new(ctx, struct desired) };

	*out = l.out;
	l.files = mem_array(l.out, struct loaded, ns->n_files + 1);
	return load(&l, err);
}
