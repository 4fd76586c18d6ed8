/*
 * copier.c - see copier.h.
 */
#include "engines/mysql/copy/copier.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/mysql/copy/connect.h"

#define MAX_THREADS   CONNECT_COPIERS
#define TRIES	      20 /* of one chunk, over lock conflicts */
#define SUSPICIONS    6	 /* flushes in which a duplicate did not go away */
#define KILL_EVERY_MS 100

struct thread {
	struct copiers *all;
	unsigned number;
	pthread_t id;
	bool started, ended;
	uint64_t connection; /* 0 = none */
	bool executing;
};

struct copiers {
	struct db_params target;
	const struct copy_table *t;
	struct chunker *chunker;
	pthread_mutex_t mutex;
	/* guarded: */
	struct thread threads[MAX_THREADS];
	unsigned wanted; /* threads of this number and above end */
	bool stopping, failed, uncertain;
	struct sb_err err; /* with failed */
};

/*
 * REPLACE where the shadow has more unique keys than the driving one, all implied by the
 * original's: what a row displaces then is a row that was copied earlier and has lost the
 * value since, whose key is pending or on its way and will bring it back (ENGINE.md 7.2).
 * With INSERT a busy table would never get past such a chunk.
 */
static char *statement(TALLOC_CTX *ctx, const struct copy_table *t,
		       const struct chunk *chunk)
{
	struct buf b;

	buf_init(&b, ctx);
	buf_printf(&b, "%s INTO %s (%s) SELECT %s FROM %s FORCE INDEX (%s) WHERE ",
		   t->replaceable && t->more_uniques ? "REPLACE" : "INSERT", t->shadow,
		   t->shadow_list, t->column_list, t->original, t->key.index);
	chunk_condition(&b, &t->key, false, chunk->after, chunk->upto);
	return b.data;
}

/* ---- one thread ----------------------------------------------------------------------
 */

static bool enter(struct thread *th)
{
	bool go;

	pthread_mutex_lock(&th->all->mutex);
	go = !th->all->stopping;
	th->executing = go;
	pthread_mutex_unlock(&th->all->mutex);
	return go;
}

static void leave(struct thread *th)
{
	pthread_mutex_lock(&th->all->mutex);
	th->executing = false;
	pthread_mutex_unlock(&th->all->mutex);
}

static bool is_wanted(struct thread *th)
{
	bool wanted;

	pthread_mutex_lock(&th->all->mutex);
	wanted = th->number < th->all->wanted && !th->all->stopping;
	pthread_mutex_unlock(&th->all->mutex);
	return wanted;
}

static bool is_stopping(struct copiers *c)
{
	bool stopping;

	pthread_mutex_lock(&c->mutex);
	stopping = c->stopping;
	pthread_mutex_unlock(&c->mutex);
	return stopping;
}

/* The first failure counts; the others follow from the stopped chunker. */
static void give_up(struct thread *th, const struct sb_err *why, bool uncertain)
{
	struct copiers *c = th->all;

	pthread_mutex_lock(&c->mutex);
	if (!c->failed && !c->stopping)
		c->err = *why;
	c->failed = c->failed || !c->stopping;
	c->uncertain = c->uncertain || uncertain;
	pthread_mutex_unlock(&c->mutex);
	chunker_stop(c->chunker);
}

/* 1 = copied, 0 = a conflict: to be tried again, -1. */
static int copy_chunk(struct thread *th, struct db *db, const struct chunk *chunk,
		      struct sb_err *err)
{
	struct copiers *c = th->all;
	TALLOC_CTX *mem = mem_ctx(NULL, "chunk");
	int64_t began = clock_ms(), rows = -1;

	if (enter(th)) {
		rows = FAULT_ERR("engine.mysql.copy.chunk", err) < 0
			       ? -1
			       : db_change(db, statement(mem, c->t, chunk), err);
		leave(th);
	}
	talloc_free(mem);
	if (rows >= 0) {
		FAULT("engine.mysql.copy.copied");
		chunker_done(c->chunker, chunk, (uint64_t)rows, clock_ms() - began);
		return 1;
	}
	if (db_error_kind(err->db_errno) == DB_ERR_DUPLICATE && !is_stopping(c))
		return chunker_suspect(c->chunker, chunk) < SUSPICIONS ? 0 : -1;
	chunker_failed(c->chunker, chunk);
	if (is_stopping(c))
		return 0;
	return db_error_kind(err->db_errno) == DB_ERR_BUSY ? 0 : -1;
}

static int work(struct thread *th, struct db *db, TALLOC_CTX *mem, struct sb_err *err)
{
	int tries = 0;

	while (is_wanted(th)) {
		struct chunk chunk;
		int rc = chunker_next(mem, th->all->chunker, db, &chunk, err);

		if (rc <= 0)
			return rc;
		rc = copy_chunk(th, db, &chunk, err);
		talloc_free(chunk.after);
		talloc_free(chunk.upto);
		if (rc < 0 || (rc == 0 && ++tries >= TRIES && !is_stopping(th->all)))
			return -1;
		if (rc > 0)
			tries = 0;
	}
	return 0;
}

static void *run(void *arg)
{
	struct thread *th = arg;
	struct copiers *c = th->all;
	TALLOC_CTX *mem = mem_ctx(NULL, "copier");
	struct sb_err err = { 0 };
	struct db *db = NULL;
	int rc;

	db_thread_init();
	rc = copy_connect(mem, &c->target, c->t, th->number, &db, &err);
	if (rc == 0) {
		pthread_mutex_lock(&c->mutex);
		th->connection = db_connection_id(db);
		pthread_mutex_unlock(&c->mutex);
		rc = work(th, db, mem, &err);
	}
	if (rc < 0)
		give_up(th, &err, db && db_is_lost(db));
	pthread_mutex_lock(&c->mutex);
	th->connection = 0;
	pthread_mutex_unlock(&c->mutex);
	talloc_free(mem);
	db_thread_end();
	pthread_mutex_lock(&c->mutex);
	th->ended = true;
	pthread_mutex_unlock(&c->mutex);
	return NULL;
}

/* ---- all of them ---------------------------------------------------------------------
 */

/* Threads of ours take no signals: those are the driver's main loop's. */
static int start_thread(struct copiers *c, unsigned i, struct sb_err *err)
{
	sigset_t all, old;
	int rc;

	c->threads[i] = (struct thread){ .all = c, .number = i, .started = true };
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&c->threads[i].id, NULL, run, &c->threads[i]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		return 0;
	c->threads[i].started = false;
	return sb_err(err, SB_EUNAVAILABLE, "Cannot start a thread: %s.", strerror(rc));
}

int copiers_set(struct copiers *c, unsigned n, struct sb_err *err)
{
	if (n > MAX_THREADS)
		n = MAX_THREADS;
	pthread_mutex_lock(&c->mutex);
	c->wanted = n;
	pthread_mutex_unlock(&c->mutex);
	for (unsigned i = 0; i < n; i++) {
		struct thread *th = &c->threads[i];
		bool ended;

		pthread_mutex_lock(&c->mutex);
		ended = th->started && th->ended;
		pthread_mutex_unlock(&c->mutex);
		if (ended) {
			pthread_join(th->id, NULL);
			th->started = false;
		}
		if (!th->started && start_thread(c, i, err) < 0)
			return -1;
	}
	return 0;
}

static int destroy(struct copiers *c)
{
	struct sb_err ignored;

	copiers_stop(c, NULL, &ignored);
	pthread_mutex_destroy(&c->mutex);
	return 0;
}

int copiers_start(TALLOC_CTX *ctx, const struct db_params *target,
		  const struct copy_table *t, struct chunker *chunker, unsigned n,
		  struct copiers **out, struct sb_err *err)
{
	struct copiers *c = mem_new(ctx, struct copiers);

	*out = NULL;
	c->target = *target;
	c->t = t;
	c->chunker = chunker;
	pthread_mutex_init(&c->mutex, NULL);
	talloc_set_destructor(c, destroy);
	if (copiers_set(c, n, err) < 0) {
		talloc_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

unsigned copiers_busy(struct copiers *c)
{
	unsigned busy = 0;

	pthread_mutex_lock(&c->mutex);
	for (unsigned i = 0; i < MAX_THREADS; i++)
		busy += c->threads[i].executing;
	pthread_mutex_unlock(&c->mutex);
	return busy;
}

int copiers_state(struct copiers *c, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "copiers");
	bool failed, all;

	pthread_mutex_lock(&c->mutex);
	failed = c->failed;
	if (failed)
		*err = c->err;
	pthread_mutex_unlock(&c->mutex);
	chunker_watermark(mem, c->chunker, &all);
	talloc_free(mem);
	return failed ? -1 : all;
}

/* KILL QUERY to each that executes something. */
static void kill_running(struct copiers *c, struct db *control)
{
	for (unsigned i = 0; i < MAX_THREADS; i++) {
		struct thread *th = &c->threads[i];
		struct sb_err ignored;
		uint64_t id = 0;
		char *sql;

		pthread_mutex_lock(&c->mutex);
		if (th->executing)
			id = th->connection;
		pthread_mutex_unlock(&c->mutex);
		if (id == 0)
			continue;
		sql = mem_printf(NULL, "KILL QUERY %" PRIu64, id);
		if (db_run(control, sql, &ignored) < 0)
			log_err(LOG_DEBUG, "engine.mysql.copy.kill", &ignored,
				"the statement had ended by itself");
		talloc_free(sql);
	}
}

static bool all_ended(struct copiers *c)
{
	bool ended = true;

	pthread_mutex_lock(&c->mutex);
	for (unsigned i = 0; i < MAX_THREADS; i++)
		ended = ended && (!c->threads[i].started || c->threads[i].ended);
	pthread_mutex_unlock(&c->mutex);
	return ended;
}

int copiers_stop(struct copiers *c, struct db *control, struct sb_err *err)
{
	bool uncertain;

	pthread_mutex_lock(&c->mutex);
	c->stopping = true;
	pthread_mutex_unlock(&c->mutex);
	chunker_stop(c->chunker);
	while (control && !all_ended(c)) {
		kill_running(c, control);
		if (!all_ended(c))
			clock_sleep_ms(KILL_EVERY_MS);
	}
	for (unsigned i = 0; i < MAX_THREADS; i++)
		if (c->threads[i].started) {
			pthread_join(c->threads[i].id, NULL);
			c->threads[i].started = false;
		}
	pthread_mutex_lock(&c->mutex);
	uncertain = c->uncertain;
	pthread_mutex_unlock(&c->mutex);
	if (uncertain)
		return sb_err(
			err, SB_EAMBIGUOUS,
			"A connection of the copy was lost; the server may still be "
			"copying a chunk.");
	return 0;
}
