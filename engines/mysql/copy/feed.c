/*
 * feed.c - see feed.h.
 *
 * A lost connection is opened again from the last end of a transaction. Rows of the
 * transaction that was cut off come a second time then, which is harmless: a key says
 * only "look again".
 */
#include "engines/mysql/copy/feed.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "engines/mysql/binlog/gtid.h"
#include "engines/mysql/copy/statement.h"

#define RECONNECT_MS	   60000 /* so long the server may be away */
#define RECONNECT_EVERY_MS 500
#define FEED_OWN	   64

struct feed {
	struct db_params target;
	enum db_flavor flavor;
	char *server;
	struct decoder *decoder; /* the thread's */
	const struct copy_table *const *tables;
	struct rows_table *rows;
	size_t n;
	TALLOC_CTX *mem; /* the thread's */
	pthread_t thread;
	bool started;
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* CLOCK_MONOTONIC */
	/* guarded: */
	TALLOC_CTX *keys; /* parent of the sets */
	struct pending **waiting;
	struct value_column (*columns)[ROWS_MAX_KEY_PARTS];
	bool *have_columns;
	char *file; /* end of the last transaction; of `keys` */
	uint64_t offset;
	struct gtid_set *names; /* all up to there, of `keys`; NULL = they have none */
	int64_t read_ms;	/* clock_ms() when something came */
	int64_t lag;		/* of the last transaction */
	uint32_t own[FEED_OWN]; /* connections of ours, the latest of them */
	size_t n_own;
	int socket; /* of the open stream, -1 = none */
	bool stop, ended, failed, full;
	struct sb_err err;
};

/* ---- what the decoder calls -----------------------------------------------------------
 */

static size_t bytes_waiting(const struct feed *f)
{
	size_t bytes = 0;

	for (size_t i = 0; i < f->n; i++)
		bytes += pending_count(f->waiting[i]) ? pending_bytes(f->waiting[i]) : 0;
	return bytes;
}

static int stopped(struct sb_err *err)
{
	return sb_err(err, SB_ERETRY, "The change feed was stopped.");
}

/* model: FEED_READ */
static int on_key(void *arg, size_t table, const struct rows_key *key, struct sb_err *err)
{
	struct feed *f = arg;
	bool stop;

	pthread_mutex_lock(&f->mutex);
	while (!f->stop && bytes_waiting(f) > FEED_MAX_BYTES) {
		f->full = true;
		pthread_cond_broadcast(&f->changed);
		pthread_cond_wait(&f->changed, &f->mutex);
	}
	f->full = false;
	if (!f->have_columns[table])
		for (size_t i = 0; i < key->n; i++)
			f->columns[table][i] = *key->column[i];
	f->have_columns[table] = true;
	pending_add(f->waiting[table], key);
	stop = f->stop;
	pthread_mutex_unlock(&f->mutex);
	return stop ? stopped(err) : 0;
}

static bool is_own(struct feed *f, uint32_t thread)
{
	bool own = false;

	pthread_mutex_lock(&f->mutex);
	for (size_t i = 0; i < f->n_own && i < FEED_OWN; i++)
		own = own || f->own[i] == thread;
	pthread_mutex_unlock(&f->mutex);
	return own;
}

static int on_statement(void *arg, const struct event_query *q, struct sb_err *err)
{
	struct feed *f = arg;

	bool own = is_own(f, q->thread);

	for (size_t i = 0; i < f->n; i++) {
		const struct copy_table *t = f->tables[i];

		switch (statement_kind(q->schema, q->schema_len, q->sql, q->sql_len,
				       t->schema, t->table)) {
		case STATEMENT_HARMLESS:
			break;
		case STATEMENT_DDL:
			if (own) { /* the swap */
				decoder_forget(f->decoder, i);
				break;
			}
			return sb_err(
				err, SB_EENGINE,
				"Somebody changed the definition of table %s.%s while "
				"it was copied (connection %" PRIu32
				"): %.*s. Make a new plan.",
				t->schema, t->table, q->thread,
				q->sql_len < 200 ? (int)q->sql_len : 200, q->sql);
		case STATEMENT_ROWS:
			if (own)
				break;
			return sb_err(
				err, SB_EENGINE,
				"A session changed table %s.%s with "
				"binlog_format=STATEMENT or MIXED (connection %" PRIu32
				"): such changes cannot be followed. Let every session "
				"use ROW, and start again.",
				t->schema, t->table, q->thread);
		}
	}
	return 0;
}

static int on_end(void *arg, const struct decode_end *end, struct sb_err *err)
{
	struct feed *f = arg;
	int64_t lag = end->timestamp > 0 ? (int64_t)time(NULL) - end->timestamp : 0;
	bool stop;

	pthread_mutex_lock(&f->mutex);
	if (!f->file || strcmp(f->file, end->file) != 0) {
		talloc_free(f->file);
		f->file = mem_strdup(f->keys, end->file);
	}
	f->offset = end->offset;
	if (f->names)
		gtid_add(f->names, end->gtid);
	f->read_ms = clock_ms();
	f->lag = lag > 0 ? lag : 0;
	stop = f->stop;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
	return stop ? stopped(err) : 0;
}

/* The end of the binlog was reached: there is no lag. */
static int on_heartbeat(void *arg, struct sb_err *err)
{
	struct feed *f = arg;
	bool stop;

	pthread_mutex_lock(&f->mutex);
	f->read_ms = clock_ms();
	f->lag = 0;
	stop = f->stop;
	pthread_mutex_unlock(&f->mutex);
	return stop ? stopped(err) : 0;
}

/* ---- the thread -----------------------------------------------------------------------
 */

/* The mutex being held. */
static struct stream_position position_now(TALLOC_CTX *ctx, const struct feed *f)
{
	return (struct stream_position){ mem_strdup(ctx, f->file), f->offset,
					 f->names ? gtid_text(ctx, f->names) : NULL };
}

static struct stream_position position(TALLOC_CTX *ctx, struct feed *f)
{
	struct stream_position at;

	pthread_mutex_lock(&f->mutex);
	at = position_now(ctx, f);
	pthread_mutex_unlock(&f->mutex);
	return at;
}

/* Remember the open stream, so that feed_stop() can cut it off. False = it came first. */
static bool set_socket(struct feed *f, int socket)
{
	bool go;

	pthread_mutex_lock(&f->mutex);
	f->socket = socket;
	go = !f->stop;
	pthread_mutex_unlock(&f->mutex);
	return go;
}

/* One connection, until it fails: -1; 1 = it would be to another server. */
static int read_stream(struct feed *f, struct decoder *d, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(f->mem, "stream");
	struct stream_position from = position(mem, f);
	uint64_t offset, pass_over;
	struct stream *s = NULL;
	const char *file;
	int rc = stream_open(mem, &f->target, &from, f->server, &s, err);

	if (rc == 0) {
		stream_begin(s, &file, &offset, &pass_over);
		decoder_begin(d, file, offset);
		decoder_pass_over(d, pass_over);
	}
	if (rc == 0 && !set_socket(f, stream_socket(s)))
		rc = stopped(err);
	while (rc == 0) {
		const uint8_t *event;
		size_t len;

		rc = stream_next(s, &event, &len, err);
		if (rc == 0)
			rc = decoder_feed(d, event, len, err);
	}
	set_socket(f, -1);
	talloc_free(mem);
	return rc;
}

/* Wait a little before another connection. False when it is not worth it. */
static bool may_reconnect(struct feed *f, const struct sb_err *err)
{
	bool again;

	if (err_class(err->code) == ERR_PERMANENT)
		return false;
	pthread_mutex_lock(&f->mutex);
	again = !f->stop && clock_ms() - f->read_ms < RECONNECT_MS;
	pthread_mutex_unlock(&f->mutex);
	if (again)
		clock_sleep_ms(RECONNECT_EVERY_MS);
	return again;
}

/* The server refuses to go on. If that is because it does not have any more what comes
 * next, another try of the whole change finds that out too, and begins anew. */
static void explain(struct feed *f, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "proof");
	struct stream_position at = position(mem, f);
	struct db *db = NULL;
	struct sb_err ignored;
	char *why;

	if (err->db_errno == STREAM_REFUSED &&
	    db_open(mem, &f->target, &db, &ignored) == 0 &&
	    stream_proof(mem, db, &at, f->server, &why, &ignored) == 0)
		sb_err(err, SB_ERETRY, "The binlog cannot be followed any further: %s.",
		       why);
	talloc_free(mem);
}

static void *run(void *arg)
{
	static const struct decode_handler calls = { NULL, on_key, on_statement, on_end,
						     on_heartbeat };
	struct feed *f = arg;
	struct decode_handler handler = calls;
	struct sb_err err = { 0 };
	struct decoder *d;
	TALLOC_CTX *mem = mem_ctx(NULL, "feed");

	db_thread_init();
	handler.arg = f;
	d = f->decoder = decoder_new(mem, f->flavor, f->rows, f->n, &handler);
	while (read_stream(f, d, &err) < 0 && may_reconnect(f, &err))
		log_err(LOG_INFO, "engine.mysql.copy.feed", &err,
			"the binlog is read again from %s:%" PRIu64, f->file, f->offset);
	explain(f, &err);
	talloc_free(mem);
	pthread_mutex_lock(&f->mutex);
	f->failed = !f->stop;
	f->err = err;
	f->ended = true;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
	db_thread_end();
	return NULL;
}

/* ---- from outside ---------------------------------------------------------------------
 */

void feed_stop(struct feed *f)
{
	pthread_mutex_lock(&f->mutex);
	f->stop = true;
	if (f->socket >= 0)
		shutdown(f->socket, SHUT_RDWR);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
	if (f->started)
		pthread_join(f->thread, NULL);
	f->started = false;
}

static int destroy(struct feed *f)
{
	feed_stop(f);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->mutex);
	talloc_free(f->keys);
	talloc_free(f->mem);
	return 0;
}

static void init_sync(struct feed *f)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&f->mutex, NULL);
}

static int start_thread(struct feed *f, struct sb_err *err)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&f->thread, NULL, run, f);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	f->started = rc == 0;
	return rc == 0 ? 0
		       : sb_err(err, SB_EUNAVAILABLE, "Cannot start a thread: %s.",
				strerror(rc));
}

static int first_position(struct feed *f, const struct stream_position *from,
			  struct sb_err *err)
{
	f->file = mem_strdup(f->keys, from->file);
	f->offset = from->offset;
	if (!from->gtid)
		return 0;
	/* File and offset may be another server's: the stream will tell its own. */
	f->file = mem_strdup(f->keys, "");
	f->offset = 0;
	return gtid_parse(f->keys, f->flavor, from->gtid, &f->names, err);
}

int feed_start(TALLOC_CTX *ctx, const struct feed_source *source,
	       const struct copy_table *const *tables, size_t n,
	       const struct stream_position *from, struct feed **out, struct sb_err *err)
{
	struct feed *f = mem_new(ctx, struct feed);

	*out = NULL;
	f->target = *source->target;
	f->flavor = source->flavor;
	f->server = mem_strdup(f, source->server);
	f->tables = tables;
	f->n = n;
	f->mem = mem_ctx(NULL, "feed's streams");
	f->keys = mem_ctx(NULL, "feed's keys");
	f->rows = mem_array(f, struct rows_table, n);
	f->waiting = mem_array(f, struct pending *, n);
	f->columns = talloc_zero_size(f, n * sizeof(*f->columns));
	BUG_ON(!f->columns);
	f->have_columns = mem_array(f, bool, n);
	for (size_t i = 0; i < n; i++) {
		f->rows[i] = tables[i]->rows;
		f->waiting[i] = pending_new(f->keys);
	}
	f->read_ms = clock_ms();
	f->socket = -1;
	init_sync(f);
	talloc_set_destructor(f, destroy);
	if (first_position(f, from, err) < 0 || start_thread(f, err) < 0) {
		talloc_free(f);
		return -1;
	}
	*out = f;
	return 0;
}

/* model: FLUSH_TAKE */
void feed_take(TALLOC_CTX *ctx, struct feed *f, struct pending **out,
	       struct stream_position *at)
{
	pthread_mutex_lock(&f->mutex);
	for (size_t i = 0; i < f->n; i++) {
		out[i] = talloc_steal(ctx, f->waiting[i]);
		f->waiting[i] = pending_new(f->keys);
	}
	*at = position_now(ctx, f);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

int feed_idle(TALLOC_CTX *ctx, struct feed *f, struct stream_position *at)
{
	bool idle = true;

	pthread_mutex_lock(&f->mutex);
	for (size_t i = 0; i < f->n; i++)
		idle = idle && pending_count(f->waiting[i]) == 0;
	*at = idle ? position_now(ctx, f) : (struct stream_position){ .file = NULL };
	pthread_mutex_unlock(&f->mutex);
	return idle;
}

void feed_own(struct feed *f, uint64_t connection_id)
{
	pthread_mutex_lock(&f->mutex);
	f->own[f->n_own++ % FEED_OWN] = (uint32_t)connection_id;
	pthread_mutex_unlock(&f->mutex);
}

void feed_give_back(struct feed *f, size_t table, const uint8_t *key, size_t len)
{
	pthread_mutex_lock(&f->mutex);
	pending_add_bytes(f->waiting[table], key, len);
	pthread_mutex_unlock(&f->mutex);
}

size_t feed_waiting(struct feed *f)
{
	size_t n = 0;

	pthread_mutex_lock(&f->mutex);
	for (size_t i = 0; i < f->n; i++)
		n += pending_count(f->waiting[i]);
	pthread_mutex_unlock(&f->mutex);
	return n;
}

bool feed_is_full(struct feed *f)
{
	bool full;

	pthread_mutex_lock(&f->mutex);
	full = f->full;
	pthread_mutex_unlock(&f->mutex);
	return full;
}

int64_t feed_lag_seconds(struct feed *f)
{
	int64_t lag;

	pthread_mutex_lock(&f->mutex);
	lag = f->lag + (clock_ms() - f->read_ms) / 1000;
	pthread_mutex_unlock(&f->mutex);
	return lag;
}

/* The mutex being held. */
static int state(struct feed *f, struct sb_err *err)
{
	if (!f->failed)
		return 0;
	*err = f->err;
	return -1;
}

int feed_state(struct feed *f, struct sb_err *err)
{
	int rc;

	pthread_mutex_lock(&f->mutex);
	rc = state(f, err);
	pthread_mutex_unlock(&f->mutex);
	return rc;
}

/* The mutex being held: until it changes, or until then. */
static void wait_until(struct feed *f, int64_t until_ms)
{
	int64_t ms = until_ms - clock_ms();
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&f->changed, &f->mutex, &until);
}

int feed_reached(struct feed *f, const struct stream_position *at, int64_t ms,
		 struct sb_err *err)
{
	int64_t until = clock_ms() + ms;
	TALLOC_CTX *mem = mem_ctx(NULL, "position");
	struct gtid_set *names = NULL;
	int rc;

	if (at->gtid && gtid_parse(mem, f->flavor, at->gtid, &names, err) < 0) {
		talloc_free(mem);
		return -1;
	}
	pthread_mutex_lock(&f->mutex);
	for (;;) {
		const struct stream_position now = { f->file, f->offset, NULL };

		rc = state(f, err);
		if (rc == 0 && (stream_position_compare(&now, at) >= 0 ||
				(names && f->names && gtid_covers(f->names, names))))
			rc = 1;
		if (rc != 0 || clock_ms() >= until)
			break;
		wait_until(f, until);
	}
	pthread_mutex_unlock(&f->mutex);
	talloc_free(mem);
	return rc;
}

const struct value_column *feed_key_columns(struct feed *f, size_t table)
{
	const struct value_column *columns;

	pthread_mutex_lock(&f->mutex);
	columns = f->have_columns[table] ? f->columns[table] : NULL;
	pthread_mutex_unlock(&f->mutex);
	return columns;
}
