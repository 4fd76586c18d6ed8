/*
 * verify.c - execute on a copy, read back, compare; see verify.h.
 *
 * Two comparisons, because each can be blind: by definition (SHOW CREATE: a second diff
 * must be empty) and by what information_schema says of everything that it knows.
 */
#include "core/schema/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/schema/additive.h"
#include "core/schema/ddl.h"
#include "core/schema/diff.h"
#include "core/schema/facts.h"
#include "core/schema/order.h"
#include "core/schema/trial.h"

struct verifier {
	TALLOC_CTX *ctx; /* for the results */
	TALLOC_CTX *tmp;
	const struct verification *v;
	struct scratch *scratch;
	struct proof *proofs;
	size_t n;
	const char **made; /* live tables that have or had a copy */
	size_t n_made;
	bool *tried; /* proofs that need no comparison: they are about temporary tables */
	bool judged; /* `verdict` is the engine's about a new table */
	struct engine_verdict verdict;
};

/* ---- for tests ------------------------------------------------------------------- */

/*
 * The statement, or in builds for tests what the file SB_BREAK_DDL makes of it: its
 * second line put in place of its first. That is how tests see that a wrong one is found
 * out; with "blind" in the third line by the second of the comparisons alone.
 */
#ifdef SB_FAULTS
enum { BREAK_BEFORE, BREAK_AFTER, BREAK_HOW, BREAK_LINES };

static bool read_break(char lines[BREAK_LINES][256])
{
	const char *name = getenv("SB_BREAK_DDL");
	FILE *f = name ? fopen(name, "re") : NULL;
	int n = 0;

	while (f && n < BREAK_LINES && fgets(lines[n], 256, f)) {
		lines[n][strcspn(lines[n], "\n")] = '\0';
		n++;
	}
	if (f)
		fclose(f);
	return n == BREAK_LINES;
}

static const char *as_tried(TALLOC_CTX *ctx, const char *ddl)
{
	char lines[BREAK_LINES][256];
	const char *at = read_break(lines) ? strstr(ddl, lines[BREAK_BEFORE]) : NULL;

	if (!at)
		return ddl;
	return mem_printf(ctx, "%.*s%s%s", (int)(at - ddl), ddl, lines[BREAK_AFTER],
			  at + strlen(lines[BREAK_BEFORE]));
}

static bool is_blind(void)
{
	char lines[BREAK_LINES][256];

	return read_break(lines) && strcmp(lines[BREAK_HOW], "blind") == 0;
}
#else
static const char *as_tried(TALLOC_CTX *ctx, const char *ddl)
{
	(void)ctx;
	return ddl;
}

static bool is_blind(void)
{
	return false;
}
#endif

/* ---- comparison by definition ----------------------------------------------------- */

static const char *why_different(struct verifier *x, const struct table *is,
				 const struct table *should)
{
	struct table_diff *d;

	if (!is || !should)
		return is == should ? NULL
				    : (is ? "the table would remain"
					  : "there would be no table");
	d = diff_tables(x->tmp, is, should);
	if (x->v->additive)
		additive_filter(d, x->v->ns->name, db_flavor(x->v->work), NULL);
	if (d->inexpressible)
		return d->inexpressible;
	if (d->n == 0)
		return NULL;
	return mem_printf(x->tmp, "what would still be missing: %s",
			  ddl_alter(x->tmp, d, db_flavor(x->v->work)));
}

static void compare_one(struct verifier *x, struct proof *p,
			const struct schema_view *result)
{
	const char *name = p->desired ? p->desired->name : p->table;
	const char *difference = why_different(x, view_table(result, name), p->desired);

	if (is_blind() && p->desired)
		return;

	if (difference)
		p->error =
			mem_printf(x->ctx, "the result %s: %s",
				   p->more ? "of its first statement is not the expected "
					     "one"
					   : "is not the desired table",
				   difference);
}

/* A statement that others about the same table follow: what it leaves is looked at right
 * away, because the driver has to find exactly the rest missing then. */
static int compare_interim(struct verifier *x, struct proof *p, struct sb_err *err)
{
	struct schema_view *result;

	if (introspect(x->tmp, x->v->work, x->scratch->name, &result, err) < 0)
		return -1;
	compare_one(x, p, result);
	return 0;
}

/* ---- execution -------------------------------------------------------------------- */

static const char *shown(struct verifier *x, const struct sb_err *why)
{
	return scratch_hide(x->ctx, x->scratch, x->v->ns->name, why->msg);
}

/* 0 = the statement is at fault and the proof says so, -1 = it is not its fault. */
static int failed(struct verifier *x, struct proof *p, const char *what, int64_t started,
		  const struct sb_err *why, struct sb_err *err)
{
	bool impossible = why->code == SB_EINVALID || why->code == SB_EUNSUPPORTED;

	if (took_too_long(x->v->work, started)) {
		p->error = mem_printf(x->ctx,
				      "%s: the server did not finish in %u seconds on an "
				      "empty copy; simplify the table",
				      what, db_params(x->v->work)->io_seconds);
		return 0;
	}
	if (!impossible && !is_statement_fault(why)) {
		if (err)
			*err = *why;
		return sb_err_prefix(err, "trying the change of table `%s`", p->table);
	}
	p->error = mem_printf(x->ctx, "%s: %s", what, shown(x, why));
	return 0;
}

static int judge(struct verifier *x, const struct proof *p,
		 struct engine_verdict *verdict, struct sb_err *why)
{
	const struct verification *v = x->v;
	const char *ddl = as_tried(x->ctx, p->ddl);
	struct engine_task task = { .id = p->table,
				    .namespace = v->ns->name,
				    .schema = x->scratch->name,
				    .table = p->table,
				    .ddl = ddl,
				    .action = p->action };

	const struct engine_question question = { .db = v->work,
						  .schema = x->scratch->name,
						  .live = v->source,
						  .live_schema = v->ns->schema,
						  .live_table = p->live_name,
						  .direct = v->direct,
						  .task = &task,
						  .algorithm = v->algorithm,
						  .keep_drops_hours =
							  v->keep_drops_hours };

	if (!v->engine || !v->engine->ops.judge)
		return db_run(v->work, ddl, why);
	return v->engine->ops.judge(x->ctx, &question, verdict, why);
}

/* An empty copy of a live table, once: what became of it since then is what counts. */
static int make_copy(struct verifier *x, const struct table *live, struct sb_err *err)
{
	for (size_t i = 0; i < x->n_made; i++)
		if (strcmp(x->made[i], live->name) == 0)
			return 0;
	x->made[x->n_made++] = live->name;
	return db_run(x->v->work, table_create_sql(x->tmp, live), err);
}

/*
 * Foreign keys decide what a server accepts and by which algorithm, so the tables on
 * their other ends have to be there: those that t refers to, and those that refer to it.
 */
static int make_relatives(struct verifier *x, const struct table *t, struct sb_err *err)
{
	const struct schema_view *live = x->v->live;

	for (size_t i = 0; i < live->n; i++) {
		const struct table *other = live->v[i];

		if (other != t && !table_refers_elsewhere(other) &&
		    (table_refers_to(t, other->name) ||
		     table_refers_to(other, t->name)) &&
		    make_copy(x, other, err) < 0)
			return -1;
	}
	return 0;
}

static int make_copies(struct verifier *x, const struct proof *p, struct sb_err *err)
{
	if (p->live && make_copy(x, p->live, err) < 0)
		return -1;
	if (p->live && make_relatives(x, p->live, err) < 0)
		return -1;
	return p->desired ? make_relatives(x, p->desired, err) : 0;
}

/* Why the next statement cannot be tried any more; NULL: it can. */
static const char *too_late(const struct verifier *x)
{
	if (db_is_lost(x->v->work))
		return "not tried, because an earlier statement took too long";
	if (clock_ms() > x->v->until)
		return "not tried, because the time for trying out all statements was over; "
		       "plan fewer namespaces at a time, or simplify the tables that take "
		       "long";
	return NULL;
}

/* The checks are on while the statement runs, as they will be in earnest. */
static int execute(struct verifier *x, struct proof *p, struct sb_err *err)
{
	struct engine_verdict verdict = { .execution_mode = "", .reason = "" };
	int64_t started = clock_ms();
	struct sb_err why = { 0 };
	int rc;

	p->verdict = verdict;
	p->error = too_late(x);
	if (p->error)
		return 0;
	if (make_copies(x, p, &why) < 0)
		return failed(x, p, "an empty copy of the live table cannot be made",
			      started, &why, err);
	if (db_run(x->v->work, "SET SESSION foreign_key_checks = 1", err) < 0)
		return -1;
	started = clock_ms();
	rc = judge(x, p, &verdict, &why);
	if (rc < 0)
		rc = failed(x, p, "the statement does not work", started, &why, err);
	else
		p->verdict = verdict;
	if (rc == 0 && !db_is_lost(x->v->work))
		rc = db_run(x->v->work, "SET SESSION foreign_key_checks = 0", err);
	if (rc == 0 && p->more && !p->error)
		rc = compare_interim(x, p, err);
	return rc;
}

/* ---- comparison by information_schema --------------------------------------------- */

/* The first line that differs, as a sentence; NULL = all are equal. */
static const char *first_difference(struct verifier *x, const char *is,
				    const char *should)
{
	while (*is && *should) {
		size_t a = strcspn(is, "\n"), b = strcspn(should, "\n");

		if (a != b || strncmp(is, should, a) != 0)
			break;
		is += a + 1;
		should += b + 1;
	}
	if (strcmp(is, should) == 0)
		return NULL;
	return mem_printf(x->tmp,
			  "the server describes it as \"%.*s\" and not as \"%.*s\"",
			  (int)strcspn(is, "\n"), is, (int)strcspn(should, "\n"), should);
}

static int compare_facts(struct verifier *x, struct sb_err *err)
{
	struct facts_pair *pairs = mem_array(x->tmp, struct facts_pair, x->n + 1);
	struct proof **of = mem_array(x->tmp, struct proof *, x->n + 1);
	size_t n = 0;

	for (size_t i = 0; i < x->n; i++) {
		struct proof *p = &x->proofs[i];

		if (p->error || p->more || !p->desired || p->partial ||
		    p->desired->trial_facts)
			continue;
		of[n] = p;
		pairs[n++] = (struct facts_pair){ p->live, p->desired, NULL };
	}
	if (facts_compare(x->tmp, x->v->work, x->scratch->name, x->v->desired->name,
			  pairs, n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (pairs[i].difference)
			of[i]->error = mem_printf(
				x->ctx, "the result is not the desired table: %s",
				pairs[i].difference);
	return 0;
}

static int compare(struct verifier *x, struct sb_err *err)
{
	struct schema_view *result;

	if (introspect(x->tmp, x->v->work, x->scratch->name, &result, err) < 0)
		return -1;
	for (size_t i = 0; i < x->n; i++) {
		if (!x->proofs[i].error && !x->proofs[i].more && !x->tried[i])
			compare_one(x, &x->proofs[i], result);
	}
	return x->v->desired ? compare_facts(x, err) : 0;
}

/* ---- new tables that need not be real --------------------------------------------- */

static bool was_tried(const struct proof *p)
{
	return strcmp(p->action, "create") == 0 && !p->more && p->desired->trial_facts;
}

/* What follows CREATE in the statement, which the server has printed. */
static const char *behind_create(const char *ddl)
{
	return ddl + strlen("CREATE");
}

/* An engine says the same of every new table: it is asked once. 0 = it could not say. */
static int judge_trial(struct verifier *x, const struct proof *p, struct sb_err *err)
{
	struct proof temporary = *p;
	char *drop =
		mem_printf(x->tmp, "DROP TEMPORARY TABLE %s", db_ident(x->tmp, p->table));
	struct sb_err why = { 0 };

	if (x->judged)
		return 1;
	temporary.ddl = mem_printf(x->tmp, "CREATE TEMPORARY%s", behind_create(p->ddl));
	x->judged = judge(x, &temporary, &x->verdict, &why) == 0;
	if (x->judged && db_run(x->v->work, drop, err) < 0)
		return -1;
	return x->judged;
}

/* The file's own words made the desired table; if the server's do too, they are right. */
static int execute_trial(struct verifier *x, struct proof *p, struct sb_err *err)
{
	const struct table *desired = p->desired;
	const char *difference;
	const char *ddl = as_tried(x->ctx, p->ddl);
	struct sb_err why = { 0 };
	struct table *is;
	int rc;

	p->verdict = x->verdict;
	p->error = too_late(x);
	if (p->error)
		return 0;
	rc = judge_trial(x, p, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return execute(x, p, err);
	p->verdict = x->verdict;
	x->tried[p - x->proofs] = true;
	if (desired->trial_is_file && ddl == p->ddl)
		return 0;
	rc = trial_read(x->tmp, x->v->work, p->table, behind_create(ddl), &is, &why);
	if (rc < 0) {
		if (err)
			*err = why;
		return sb_err_prefix(err, "trying the change of table `%s`", p->table);
	}
	if (rc == 0) {
		x->tried[p - x->proofs] = false;
		return execute(x, p, err);
	}
	difference = is_blind() ? NULL : why_different(x, is, desired);
	if (!difference)
		difference = first_difference(x, is->trial_facts, desired->trial_facts);
	if (difference)
		p->error = mem_printf(x->ctx, "the result is not the desired table: %s",
				      difference);
	return 0;
}

int verify(TALLOC_CTX *ctx, const struct verification *v, struct proof *proofs, size_t n,
	   struct sb_err *err)
{
	struct verifier x = { .ctx = ctx,
			      .tmp = mem_ctx(NULL, "verification"),
			      .v = v,
			      .proofs = proofs,
			      .n = n };
	int rc;

	x.made = mem_array(x.tmp, const char *, v->live->n + 1);
	x.tried = mem_array(x.tmp, bool, n + 1);
	rc = scratch_create(x.tmp, v->work, v->keeper, v->live->charset,
			    v->live->collation, &x.scratch, err);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = was_tried(&proofs[i]) ? execute_trial(&x, &proofs[i], err)
					   : execute(&x, &proofs[i], err);
	FAULT("schema.verify.executed");
	for (size_t i = 0; rc == 0 && db_is_lost(v->work) && i < n; i++)
		if (!proofs[i].error)
			proofs[i].error =
				"its result could not be compared, because another "
				"statement took too long";
	if (rc == 0 && !db_is_lost(v->work))
		rc = compare(&x, err);
	talloc_free(x.tmp);
	return rc;
}
