/*
 * check.c - see check.h.
 */
#include "engines/mysql/copy/check.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "engines/mysql/copy/check_sql.h"
#include "engines/mysql/copy/table.h"

#define MAX_THREADS   16
#define FIRST_ROWS    5000
#define RANGE_ROWS    500 /* so fine is it told what differs */
#define KILL_EVERY_MS 100

struct thread {
	struct check *all;
	TALLOC_CTX *mem;
	struct db *db;
	pthread_t id;
	bool started, ended; /* ended: guarded */
};

struct check {
	const struct copy_table *t;
	TALLOC_CTX *mem;
	bool from_start;
	struct chunker *chunker;
	unsigned n;
	struct thread threads[MAX_THREADS];
	pthread_mutex_t mutex;
	/* guarded: */
	struct check_range *ranges;
	size_t n_ranges;
	bool stopping, failed, begun;
	struct sb_err err; /* with failed */
};

/* ---- one range ------------------------------------------------------------------------
 */

static int fold(TALLOC_CTX *ctx, struct db *db, const struct copy_table *t, bool shadow,
		const char *after, const char *upto, char ***out, struct sb_err *err)
{
	struct db_rows *rows;
	struct buf b;

	buf_init(&b, ctx);
	buf_str(&b, shadow ? t->shadow : t->original);
	if (!shadow)
		buf_printf(&b, " FORCE INDEX (%s)", t->key.index);
	buf_str(&b, " WHERE ");
	chunk_condition(&b, &t->key, shadow, after, upto);
	if (db_query(ctx, db,
		     check_fold(ctx, t, shadow, db_flavor(db), db_version(db), b.data),
		     &rows, err) < 0)
		return -1;
	*out = rows->cell[0];
	return 0;
}

int check_compare(struct db *db, const struct copy_table *t, const char *after,
		  const char *upto, uint64_t *rows, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "compare");
	char **is, **should;
	int rc = -1;

	if (fold(mem, db, t, false, after, upto, &should, err) == 0 &&
	    fold(mem, db, t, true, after, upto, &is, err) == 0) {
		*rows = strtoull(should[0], NULL, 10);
		rc = strcmp(is[0], should[0]) == 0 && strcmp(is[1], should[1]) == 0;
	}
	talloc_free(mem);
	return rc;
}

/* ---- one thread -----------------------------------------------------------------------
 */

static bool is_stopping(struct check *c)
{
	bool stopping;

	pthread_mutex_lock(&c->mutex);
	stopping = c->stopping;
	pthread_mutex_unlock(&c->mutex);
	return stopping;
}

static void add_range(struct check *c, const char *after, const char *upto)
{
	pthread_mutex_lock(&c->mutex);
	c->ranges = mem_grow(c->mem, c->ranges, struct check_range, c->n_ranges + 1);
	c->ranges[c->n_ranges++] = (struct check_range){ mem_strdup(c->mem, after),
							 mem_strdup(c->mem, upto) };
	pthread_mutex_unlock(&c->mutex);
}

/* A chunk of so many rows differs: which pieces of it? */
static int narrow(struct thread *th, const char *after, const char *upto, uint64_t rows,
		  struct sb_err *err)
{
	const struct copy_table *t = th->all->t;
	TALLOC_CTX *mem = mem_ctx(NULL, "narrow");
	int rc = 0;

	while (rc >= 0 && !is_stopping(th->all)) {
		bool last = t->key.n_bounds == 0 || rows <= RANGE_ROWS;
		char *middle = NULL;
		uint64_t n;

		if (!last &&
		    chunk_nth_row(mem, t, th->db, after, RANGE_ROWS, &middle, err) < 0)
			rc = -1;
		if (rc >= 0)
			rc = check_compare(th->db, t, after, last ? upto : middle, &n,
					   err);
		if (rc == 0)
			add_range(th->all, after, last ? upto : middle);
		if (last)
			break;
		after = middle;
		/* Parts of the key that cannot stand in a bound: more rows at once. */
		rows -= n < rows ? n : rows;
	}
	talloc_free(mem);
	return rc < 0 ? -1 : 0;
}

static int compare_chunk(struct thread *th, const struct chunk *chunk, struct sb_err *err)
{
	struct check *c = th->all;
	int64_t began = clock_ms();
	/* The first begins at the original's first row; the shadow's may be before it. */
	const char *after = chunk->number == 0 && c->from_start ? NULL : chunk->after;
	uint64_t rows = 0;
	int rc = check_compare(th->db, c->t, after, chunk->upto, &rows, err);

	if (rc == 0)
		rc = narrow(th, after, chunk->upto, rows, err);
	if (rc < 0)
		chunker_failed(c->chunker, chunk);
	else
		chunker_done(c->chunker, chunk, rows, clock_ms() - began);
	return rc < 0 ? -1 : 0;
}

static int work(struct thread *th, TALLOC_CTX *mem, struct sb_err *err)
{
	while (!is_stopping(th->all)) {
		struct chunk chunk;
		int rc = chunker_next(mem, th->all->chunker, th->db, &chunk, err);

		if (rc <= 0)
			return rc;
		pthread_mutex_lock(&th->all->mutex);
		th->all->begun = true;
		pthread_mutex_unlock(&th->all->mutex);
		rc = compare_chunk(th, &chunk, err);
		talloc_free_children(mem);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static void *run(void *arg)
{
	struct thread *th = arg;
	struct check *c = th->all;
	TALLOC_CTX *mem = mem_ctx(NULL, "check thread");
	struct sb_err err = { 0 };
	int rc;

	db_thread_init();
	rc = work(th, mem, &err);
	talloc_free(mem);
	db_thread_end();
	pthread_mutex_lock(&c->mutex);
	if (rc < 0 && !c->stopping && !c->failed) {
		c->failed = true;
		c->err = err;
	}
	th->ended = true;
	pthread_mutex_unlock(&c->mutex);
	if (rc < 0)
		chunker_stop(c->chunker);
	return NULL;
}

/* ---- all of them ----------------------------------------------------------------------
 */

static void join(struct check *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->threads[i].started) {
			pthread_join(c->threads[i].id, NULL);
			c->threads[i].started = false;
		}
}

static int destroy(struct check *c)
{
	pthread_mutex_lock(&c->mutex);
	c->stopping = true;
	pthread_mutex_unlock(&c->mutex);
	chunker_stop(c->chunker);
	join(c);
	for (unsigned i = 0; i < c->n; i++)
		talloc_free(c->threads[i].mem);
	pthread_mutex_destroy(&c->mutex);
	talloc_free(c->mem);
	return 0;
}

static int open_one(struct thread *th, const struct db_params *target, struct sb_err *err)
{
	if (db_open(th->mem, target, &th->db, err) < 0 || copy_session(th->db, err) < 0)
		return -1;
	return db_run(th->db, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		      err);
}

int check_open(TALLOC_CTX *ctx, const struct db_params *target,
	       const struct copy_table *t, const char *after, unsigned n,
	       int64_t chunk_ms, struct check **out, struct sb_err *err)
{
	struct check *c = mem_new(ctx, struct check);
	int rc = 0;

	*out = NULL;
	c->t = t;
	c->mem = mem_ctx(NULL, "check");
	c->n = n < MAX_THREADS ? n : MAX_THREADS;
	c->from_start = !after;
	c->chunker = chunker_new(c->mem, t, after, FIRST_ROWS);
	chunker_target(c->chunker, chunk_ms);
	pthread_mutex_init(&c->mutex, NULL);
	talloc_set_destructor(c, destroy);
	for (unsigned i = 0; i < c->n; i++) {
		c->threads[i] =
			(struct thread){ .all = c, .mem = mem_ctx(NULL, "snapshot") };
		if (rc == 0)
			rc = open_one(&c->threads[i], target, err);
	}
	if (rc == 0)
		*out = c;
	else
		talloc_free(c);
	return rc;
}

int check_snapshot(struct check *c, struct sb_err *err)
{
	for (unsigned i = 0; i < c->n; i++)
		if (db_run(c->threads[i].db, "START TRANSACTION WITH CONSISTENT SNAPSHOT",
			   err) < 0)
			return -1;
	return 0;
}

int check_start(struct check *c, struct sb_err *err)
{
	for (unsigned i = 0; i < c->n; i++) {
		sigset_t all, old;
		int rc;

		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		rc = pthread_create(&c->threads[i].id, NULL, run, &c->threads[i]);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		if (rc != 0)
			return sb_err(err, SB_EUNAVAILABLE, "Cannot start a thread: %s.",
				      strerror(rc));
		c->threads[i].started = true;
	}
	return 0;
}

static bool all_ended(struct check *c)
{
	bool ended = true;

	pthread_mutex_lock(&c->mutex);
	for (unsigned i = 0; i < c->n; i++)
		ended = ended && (!c->threads[i].started || c->threads[i].ended);
	pthread_mutex_unlock(&c->mutex);
	return ended;
}

int check_state(struct check *c, struct sb_err *err)
{
	bool failed;

	if (!all_ended(c))
		return 0;
	join(c);
	pthread_mutex_lock(&c->mutex);
	failed = c->failed;
	if (failed)
		*err = c->err;
	/* An empty original has no chunks; the shadow should be as empty. */
	if (!failed && !c->begun && c->n_ranges == 0) {
		c->ranges = mem_array(c->mem, struct check_range, 1);
		c->n_ranges = 1;
	}
	pthread_mutex_unlock(&c->mutex);
	return failed ? -1 : 1;
}

uint64_t check_rows(struct check *c)
{
	return chunker_rows(c->chunker);
}

bool check_differs(struct check *c)
{
	bool differs;

	pthread_mutex_lock(&c->mutex);
	differs = c->n_ranges > 0;
	pthread_mutex_unlock(&c->mutex);
	return differs;
}

char *check_equal_upto(TALLOC_CTX *ctx, struct check *c)
{
	bool all;
	/* First: a range that differs is noted before the watermark passes it. */
	char *upto = chunker_watermark(ctx, c->chunker, &all);

	if (!check_differs(c))
		return upto;
	talloc_free(upto);
	return NULL;
}

void check_stop(struct check *c, struct db *control)
{
	pthread_mutex_lock(&c->mutex);
	c->stopping = true;
	pthread_mutex_unlock(&c->mutex);
	chunker_stop(c->chunker);
	while (!all_ended(c)) {
		for (unsigned i = 0; i < c->n; i++) {
			struct sb_err ignored;
			char *sql = mem_printf(NULL, "KILL QUERY %" PRIu64,
					       db_connection_id(c->threads[i].db));

			if (db_run(control, sql, &ignored) < 0)
				log_err(LOG_DEBUG, "engine.mysql.copy.kill", &ignored,
					"the statement had ended by itself");
			talloc_free(sql);
		}
		if (db_is_lost(control))
			break;
		if (!all_ended(c))
			clock_sleep_ms(KILL_EVERY_MS);
	}
	join(c);
}

size_t check_ranges(const struct check *c, const struct check_range **out)
{
	*out = c->ranges;
	return c->n_ranges;
}
