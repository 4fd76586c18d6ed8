/*
 * cutover.c - see cutover.h.
 *
 * MySQL (8.0.13 and later) renames tables that the session has locked itself: lock,
 * drain, one RENAME of all, unlock.
 *
 * MariaDB refuses that. There a sentry, an empty table under the name that the old table
 * will have, makes every RENAME fail until it is dropped. Session A locks original,
 * shadow and sentry and drains; sessions B, one a table, send their RENAME and wait: all
 * names sort behind the original's, so what they wait for first is the original, and they
 * stand in front of every writer. When all are seen waiting, A drops the sentries and
 * unlocks. If A dies before that, the sentry stops the RENAMEs.
 */
#include "engines/mysql/copy/cutover.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/mysql/copy/connect.h"

#define SENTRY_COMMENT "schemabot: guards a cutover"
#define SEEN_EVERY_MS  10
#define SEEN_MS	       1500 /* so long the renames may take to stand in line */
/* Locks that may be given in a row, before writers that wait, between lock and RENAME. */
#define WRITE_LOCKS 1000

/* ---- what is there --------------------------------------------------------------------
 */

enum being { ABSENT, SENTRY, TABLE };

static int what_is(struct db *db, const struct copy_table *t, const char *name,
		   enum being *out, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "what is there");
	struct db_rows *rows;
	int rc = db_query(mem, db,
			  mem_printf(mem,
				     "SELECT TABLE_COMMENT FROM information_schema.TABLES"
				     " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
				     db_literal(mem, t->schema), db_literal(mem, name)),
			  &rows, err);

	*out = ABSENT;
	if (rc == 0 && rows->n > 0)
		*out = rows->cell[0][0] && strcmp(rows->cell[0][0], SENTRY_COMMENT) == 0
			       ? SENTRY
			       : TABLE;
	talloc_free(mem);
	return rc;
}

int cutover_truth(struct db *control, const struct copy_table *t, struct sb_err *err)
{
	enum being original, shadow, old;

	if (what_is(control, t, t->table, &original, err) < 0 ||
	    what_is(control, t, t->shadow_name, &shadow, err) < 0 ||
	    what_is(control, t, t->old_name, &old, err) < 0) {
		err->code = SB_EAMBIGUOUS;
		return -1;
	}
	if (original == TABLE && shadow == ABSENT && old == TABLE)
		return 1;
	if (original == TABLE && shadow == TABLE && old != TABLE)
		return 0;
	return sb_err(
		err, SB_EENGINE,
		"Of %s.%s, `%s` and `%s` not those are there that should be: "
		"somebody renamed or dropped one. Look at them before anything else.",
		t->schema, t->table, t->shadow_name, t->old_name);
}

static char *old_table(TALLOC_CTX *ctx, const struct copy_table *t)
{
	return db_ident2(ctx, t->schema, t->old_name);
}

int cutover_spare(struct db *db, const struct copy_table *t, struct sb_err *err)
{
	enum being original, shadow;

	if (what_is(db, t, t->table, &original, err) < 0 ||
	    what_is(db, t, t->shadow_name, &shadow, err) < 0)
		return -1;
	return original == TABLE && shadow == TABLE;
}

int cutover_drop_old(struct db *db, const struct copy_table *t, struct sb_err *err)
{
	enum being original, old;
	TALLOC_CTX *mem;
	int rc;

	if (what_is(db, t, t->table, &original, err) < 0 ||
	    what_is(db, t, t->old_name, &old, err) < 0)
		return -1;
	if (original != TABLE || old != TABLE)
		return 0;
	mem = mem_ctx(NULL, "former table");
	rc = db_run(db, mem_printf(mem, "DROP TABLE %s", old_table(mem, t)), err);
	if (rc == 0)
		log_info(
			"engine.mysql.copy.former",
			"%s.%s, which the statement before this one replaced, is dropped",
			t->schema, t->old_name);
	talloc_free(mem);
	return rc;
}

int cutover_keep_old(struct db *db, const struct copy_table *t, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "kept table");
	int rc = db_run(db,
			mem_printf(mem, "RENAME TABLE %s TO %s", old_table(mem, t),
				   db_ident2(mem, t->schema, t->kept_name)),
			err);

	talloc_free(mem);
	return rc;
}

int cutover_tidy(struct db *control, const struct copy_table *t, struct sb_err *err)
{
	enum being old;
	TALLOC_CTX *mem;
	int rc;

	if (what_is(control, t, t->old_name, &old, err) < 0)
		return -1;
	if (old != SENTRY)
		return 0;
	mem = mem_ctx(NULL, "sentry");
	rc = db_run(control,
		    mem_printf(mem, "DROP TABLE IF EXISTS %s", old_table(mem, t)), err);
	talloc_free(mem);
	return rc;
}

/* ---- the lock -------------------------------------------------------------------------
 */

/* A connection whose locks do not outlive the budget by much if its driver freezes. It
 * has a place: a RENAME that a dead driver left in line would go through as soon as
 * somebody drops the sentry, so that a successor ends it first. */
static int connect(TALLOC_CTX *ctx, const struct cutover *c, const struct copy_table *t,
		   unsigned place, struct db **out, struct sb_err *err)
{
	char *sql =
		mem_printf(ctx, "SET SESSION lock_wait_timeout = %d, wait_timeout = %d",
			   CUTOVER_LOCK_SECONDS, 2 * CUTOVER_BUDGET_MS / 1000);

	if (copy_connect(ctx, c->target, t, place, out, err) < 0 ||
	    db_run(*out, sql, err) < 0)
		return -1;
	c->own(c->arg, db_connection_id(*out));
	return 0;
}

/* model: CUTOVER_LOCK */
static int lock_all(const struct cutover *c, struct db *a, bool sentries,
		    struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "lock");
	struct buf b;
	int rc;

	buf_init(&b, mem);
	for (size_t i = 0; i < c->n; i++) {
		const struct copy_table *t = c->tables[i];

		buf_printf(&b, "%s%s WRITE, %s WRITE", i > 0 ? ", " : "LOCK TABLES ",
			   t->original, t->shadow);
		if (sentries)
			buf_printf(&b, ", %s WRITE", old_table(mem, t));
	}
	rc = db_run(a, b.data, err);
	talloc_free(mem);
	return rc;
}

/* The next number that the original would give, when it is above the shadow's own. */
static int raise_counter(struct db *a, const struct copy_table *t, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "counter");
	struct db_rows *rows;
	const char *at;
	int rc = db_query(mem, a, mem_printf(mem, "SHOW CREATE TABLE %s", t->original),
			  &rows, err);

	at = rc == 0 ? strstr(rows->cell[0][1], "\n) ") : NULL;
	at = at ? strstr(at, " AUTO_INCREMENT=") : NULL;
	if (at)
		rc = db_run(a,
			    mem_printf(mem, "ALTER TABLE %s AUTO_INCREMENT = %" PRIu64,
				       t->shadow,
				       (uint64_t)strtoull(at + strlen(" AUTO_INCREMENT="),
							  NULL, 10)),
			    err);
	talloc_free(mem);
	return rc;
}

/* With the locks held: the last delta, and a last look whether we may. 1, 0, -1. */
static int last_delta(const struct cutover *c, struct db *a, int64_t until,
		      struct sb_err *err)
{
	int rc = c->drain(c->arg, a, until, err);

	if (rc == 0)
		sb_err(err, SB_ERETRY,
		       "The last changes did not arrive within %d ms of the lock.",
		       CUTOVER_HOLD_MS);
	for (size_t i = 0; rc == 1 && i < c->n; i++)
		if (raise_counter(a, c->tables[i], err) < 0)
			rc = -1;
	if (rc == 1 && c->may(c->arg, err) < 0)
		rc = -1;
	return rc;
}

/* What a failure means: one that a later try may not meet is 0. */
static int soft(const struct sb_err *err)
{
	return err_class(err->code) == ERR_RETRYABLE ? 0 : -1;
}

static char *rename_of(TALLOC_CTX *ctx, const struct copy_table *t)
{
	return mem_printf(ctx, "%s TO %s, %s TO %s", t->original, old_table(ctx, t),
			  t->shadow, t->original);
}

/* ---- MySQL ----------------------------------------------------------------------------
 */

static int swap_mysql(const struct cutover *c, TALLOC_CTX *mem, struct sb_err *err)
{
	int64_t until;
	struct db *a = NULL;
	struct buf b;
	int rc;

	if (connect(mem, c, c->tables[0], CONNECT_LOCKER, &a, err) < 0 ||
	    lock_all(c, a, false, err) < 0)
		return soft(err);
	FAULT("engine.mysql.copy.cutover.locked");
	until = clock_ms() + CUTOVER_HOLD_MS;
	rc = last_delta(c, a, until, err);
	if (rc <= 0)
		return rc < 0 ? soft(err) : 0;
	buf_init(&b, mem);
	for (size_t i = 0; i < c->n; i++)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "RENAME TABLE ",
			   rename_of(mem, c->tables[i]));
	FAULT("engine.mysql.copy.cutover.rename");
	rc = db_run(a, b.data, err);
	FAULT("engine.mysql.copy.cutover.renamed");
	if (rc < 0)
		return soft(err);
	return 1; /* closing the connection unlocks */
}

/* ---- MariaDB --------------------------------------------------------------------------
 */

/* After max_write_lock_count locks in a row MariaDB lets writers pass a RENAME that came
 * before them: they would write to the table that is about to be the old one (tried with
 * 1: the second cutover lost writes). MySQL renames what it holds. */
int cutover_check(struct db *control, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "cutover check");
	struct db_rows *rows;
	int rc = 0;

	if (db_flavor(control) == DB_MARIADB) {
		rc = db_query(mem, control, "SELECT @@GLOBAL.max_write_lock_count", &rows,
			      err);
		if (rc == 0 && strtoull(rows->cell[0][0], NULL, 10) < WRITE_LOCKS)
			rc = sb_err(err, SB_EENGINE,
				    "The server has max_write_lock_count=%s, with which "
				    "writes would be lost when the tables are swapped: "
				    "SET GLOBAL max_write_lock_count = DEFAULT.",
				    rows->cell[0][0]);
	}
	talloc_free(mem);
	return rc;
}

struct renamer { /* session B of one table */
	const struct cutover *c;
	const struct copy_table *t;
	TALLOC_CTX *mem;
	struct db *db;
	pthread_t thread;
	bool started;
	int rc;
	struct sb_err err;
};

static void *rename_thread(void *arg)
{
	struct renamer *r = arg;
	char *sql = mem_printf(r->mem, "RENAME TABLE %s", rename_of(r->mem, r->t));

	db_thread_init();
	r->rc = db_run(r->db, sql, &r->err);
	db_thread_end();
	return NULL;
}

static int start_renamer(struct renamer *r, struct sb_err *err)
{
	sigset_t all, old;
	int rc;

	if (connect(r->mem, r->c, r->t, CONNECT_RENAMER, &r->db, err) < 0)
		return -1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&r->thread, NULL, rename_thread, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	r->started = rc == 0;
	return rc == 0 ? 0
		       : sb_err(err, SB_EUNAVAILABLE, "Cannot start a thread: %s.",
				strerror(rc));
}

/* Do all stand in line? 1, 0 = not by then, -1. */
static int all_waiting(const struct cutover *c, const struct renamer *r,
		       struct db *control, int64_t until, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "renames in line");
	struct buf b;
	int rc = 0;

	buf_init(&b, mem);
	buf_str(&b, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE ="
		    " 'Waiting for table metadata lock' AND ID IN (");
	for (size_t i = 0; i < c->n; i++)
		buf_printf(&b, "%s%" PRIu64, i > 0 ? ", " : "",
			   db_connection_id(r[i].db));
	buf_char(&b, ')');
	while (rc == 0) {
		struct db_rows *rows;

		if (db_query(mem, control, b.data, &rows, err) < 0)
			rc = -1;
		else if (strtoull(rows->cell[0][0], NULL, 10) == c->n)
			rc = 1;
		else if (clock_ms() >= until)
			break;
		else
			clock_sleep_ms(SEEN_EVERY_MS);
	}
	talloc_free(mem);
	return rc;
}

static int make_sentries(const struct cutover *c, struct db *control, struct sb_err *err)
{
	for (size_t i = 0; i < c->n; i++) {
		TALLOC_CTX *mem = mem_ctx(NULL, "sentry");
		char *sql = mem_printf(
			mem,
			"CREATE TABLE %s (id INT) ENGINE=InnoDB COMMENT='" SENTRY_COMMENT
			"'",
			old_table(mem, c->tables[i]));
		int rc = db_run(control, sql, err);

		talloc_free(mem);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int drop_sentries(const struct cutover *c, struct db *a, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "sentries");
	struct buf b;
	int rc;

	buf_init(&b, mem);
	for (size_t i = 0; i < c->n; i++)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "DROP TABLE ",
			   old_table(mem, c->tables[i]));
	rc = db_run(a, b.data, err);
	talloc_free(mem);
	return rc;
}

/* With all locks held by A and everything drained: 1 = the renames have been let go. */
static int release(const struct cutover *c, struct renamer *r, struct db *a,
		   struct db *control, struct sb_err *err)
{
	int rc;

	for (size_t i = 0; i < c->n; i++)
		if (start_renamer(&r[i], err) < 0)
			return -1;
	rc = all_waiting(c, r, control, clock_ms() + SEEN_MS, err);
	if (rc == 0)
		sb_err(err, SB_ERETRY, "The RENAME did not come to stand in line.");
	if (rc <= 0)
		return rc;
	FAULT("engine.mysql.copy.cutover.rename");
	if (drop_sentries(c, a, err) < 0 || db_run(a, "UNLOCK TABLES", err) < 0)
		return -1;
	FAULT("engine.mysql.copy.cutover.renamed");
	return 1;
}

/* Wait for the renames; with `kill` they are not to happen any more. */
static void join_renamers(const struct cutover *c, struct renamer *r, struct db *control,
			  bool kill)
{
	for (size_t i = 0; i < c->n; i++) {
		struct sb_err ignored;
		char *sql;

		if (!r[i].started)
			continue;
		sql = mem_printf(r[i].mem, "KILL %" PRIu64, db_connection_id(r[i].db));
		if (kill && db_run(control, sql, &ignored) < 0)
			log_err(LOG_DEBUG, "engine.mysql.copy.cutover", &ignored,
				"the rename had ended by itself");
		pthread_join(r[i].thread, NULL);
	}
}

static int swap_mariadb(const struct cutover *c, TALLOC_CTX *mem, struct db *control,
			struct sb_err *err)
{
	struct renamer *r = mem_array(mem, struct renamer, c->n);
	struct db *a = NULL;
	int rc;

	for (size_t i = 0; i < c->n; i++)
		r[i] = (struct renamer){ .c = c,
					 .t = c->tables[i],
					 .mem = mem_ctx(NULL, "renamer") };
	rc = cutover_check(control, err);
	if (rc < 0 && err->code == SB_EENGINE) /* the copy is not to be thrown away */
		err->code = SB_ERETRY;
	if (rc == 0)
		rc = make_sentries(c, control, err);
	if (rc == 0)
		rc = connect(mem, c, c->tables[0], CONNECT_LOCKER, &a, err);
	if (rc == 0)
		rc = lock_all(c, a, true, err);
	FAULT("engine.mysql.copy.cutover.locked");
	if (rc == 0)
		rc = last_delta(c, a, clock_ms() + CUTOVER_HOLD_MS, err);
	if (rc == 1)
		rc = release(c, r, a, control, err);
	join_renamers(c, r, control, rc != 1);
	for (size_t i = 0; i < c->n && rc == 1; i++)
		if (r[i].started && r[i].rc < 0) {
			*err = r[i].err;
			rc = -1;
		}
	for (size_t i = 0; i < c->n; i++)
		talloc_free(r[i].mem);
	return rc < 0 ? soft(err) : rc;
}

/* ---- both -----------------------------------------------------------------------------
 */

/* Whatever was heard, the tables tell. 1, 0, -1. */
static int look(const struct cutover *c, struct db *control, int heard,
		struct sb_err *err)
{
	struct sb_err why;
	size_t done = 0;

	for (size_t i = 0; i < c->n; i++) {
		int rc = cutover_truth(control, c->tables[i], &why);

		if (rc < 0) {
			*err = why;
			return -1;
		}
		done += (size_t)rc;
	}
	if (done == c->n)
		return 1;
	if (done > 0)
		return sb_err(err, SB_ERETRY,
			      "%zu of %zu tables were swapped: the others follow.", done,
			      c->n);
	return heard > 0 ? sb_err(err, SB_ERETRY, "The RENAME had no effect.") : heard;
}

/* model: CUTOVER_SWAP */
int cutover_try(const struct cutover *c, struct db *control, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "cutover");
	struct sb_err left;
	int rc;

	for (size_t i = 0; i < c->n; i++)
		if (cutover_tidy(control, c->tables[i], err) < 0) {
			talloc_free(mem);
			return soft(err);
		}
	rc = db_flavor(control) == DB_MYSQL ? swap_mysql(c, mem, err)
					    : swap_mariadb(c, mem, control, err);
	talloc_free(mem); /* closes the connections: no lock is held any more */
	rc = look(c, control, rc, err);
	for (size_t i = 0; rc != 1 && i < c->n; i++)
		if (cutover_tidy(control, c->tables[i], &left) < 0)
			log_err(LOG_WARN, "engine.mysql.copy.cutover", &left,
				"a sentry stays until the next try");
	return rc;
}
