/*
 * chunk.c - see chunk.h.
 *
 * An integer key whose values lie close together is cut by arithmetic, which costs
 * nothing; every other by asking for the n-th row from here. Sizes follow the time that
 * chunks take: at most half as much again from one to the next, down at once when one
 * took five times too long.
 */
#include "engines/mysql/copy/chunk.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MIN  10
#define ROWS_MAX  100000
#define GROWTH	  1.5
#define TOO_LONG  5 /* times the target: cut to a tenth */
#define SPARSE	  4 /* times as many values as rows: the n-th row is asked for */
#define TARGET_MS 500

/* Any value of any integer type, and one more on each side. */
__extension__ typedef __int128 wide;

struct record { /* a chunk that was handed out; in the order of the key */
	uint64_t number;
	char *after, *upto;
	bool flying, done;
	int suspected;	/* so many duplicates, */
	uint64_t cycle; /* the last one before this many barriers had been lifted */
};

struct chunker {
	const struct copy_table *t;
	TALLOC_CTX *mem;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* guarded: */
	char *cursor;	/* where the next chunk begins; NULL = at the start */
	bool at_end;	/* the last chunk has been handed out */
	bool finding;	/* a thread asks the server for the next bound */
	bool dense;	/* of an integer key: bounds by arithmetic */
	bool have_most; /* of an integer key: `most` is known */
	wide most;	/* its highest value when the copy began */
	struct record *records;
	size_t n_records, n_flying;
	char *watermark;
	bool all;
	double size; /* rows of a chunk */
	int64_t target_ms;
	uint64_t rows, next_number;
	bool barrier, held, stopped;
	uint64_t cycles; /* barriers that were lifted */
};

static int destroy(struct chunker *c)
{
	pthread_mutex_destroy(&c->mutex);
	pthread_cond_destroy(&c->changed);
	talloc_free(c->mem);
	return 0;
}

struct chunker *chunker_new(TALLOC_CTX *ctx, const struct copy_table *t,
			    const char *after, uint64_t rows)
{
	struct chunker *c = mem_new(ctx, struct chunker);

	c->t = t;
	c->mem = mem_ctx(NULL, "chunker");
	c->cursor = mem_strdup(c->mem, after);
	c->watermark = mem_strdup(c->mem, after);
	c->size = rows < ROWS_MIN ? ROWS_MIN : rows > ROWS_MAX ? ROWS_MAX : (double)rows;
	c->target_ms = TARGET_MS;
	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->changed, NULL);
	talloc_set_destructor(c, destroy);
	return c;
}

/* ---- conditions ----------------------------------------------------------------------
 */

char **chunk_literals(TALLOC_CTX *ctx, const char *bound, size_t n)
{
	char **v = mem_array(ctx, char *, n + 1);
	const char *p = bound;

	/* No literal has a comma in it: they are numbers, hex and times. */
	for (size_t i = 0; i < n; i++) {
		const char *end = strstr(p, ", ");
		size_t len = end && i + 1 < n ? (size_t)(end - p) : strlen(p);

		v[i] = mem_strndup(v, p, len);
		p += len + (end && i + 1 < n ? 2 : 0);
	}
	return v;
}

static const char *column(const struct copy_key *key, size_t i, bool shadow)
{
	return shadow ? key->parts[i].shadow : key->parts[i].name;
}

/* (a, b) <op> (x, y), where op is ">" or "<"; or_equal: of the last part. */
static void compare(struct buf *b, const struct copy_key *key, bool shadow, char op,
		    bool or_equal, char **literals)
{
	size_t n = key->n_bounds;

	for (size_t i = 0; i < n; i++) {
		const char *name = column(key, i, shadow);

		if (i + 1 == n) {
			buf_printf(b, "%s %c%s %s", name, op, or_equal ? "=" : "",
				   literals[i]);
			continue;
		}
		/* The first comparison is implied by the rest, and gives the range. */
		buf_printf(b, "%s %c= %s AND (%s %c %s OR (%s = %s AND ", name, op,
			   literals[i], name, op, literals[i], name, literals[i]);
	}
	for (size_t i = 1; i < n; i++)
		buf_str(b, "))");
}

void chunk_condition(struct buf *b, const struct copy_key *key, bool shadow,
		     const char *after, const char *upto)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "condition");

	if (after)
		compare(b, key, shadow, '>', false,
			chunk_literals(mem, after, key->n_bounds));
	if (after && upto)
		buf_str(b, " AND ");
	if (upto)
		compare(b, key, shadow, '<', true,
			chunk_literals(mem, upto, key->n_bounds));
	if (!after && !upto)
		buf_str(b, "TRUE");
	talloc_free(mem);
}

/* ---- the next bound ------------------------------------------------------------------
 */

int chunk_nth_row(TALLOC_CTX *ctx, const struct copy_table *t, struct db *db,
		  const char *after, uint64_t n, char **out, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "nth row");
	const struct copy_key *key = &t->key;
	struct db_rows *rows;
	struct buf sql, bound;
	int rc;

	*out = NULL;
	buf_init(&sql, mem);
	buf_str(&sql, "SELECT ");
	for (size_t i = 0; i < key->n_bounds; i++)
		buf_printf(&sql, "%s%s", i > 0 ? ", " : "", key->parts[i].print);
	buf_printf(&sql, " FROM %s FORCE INDEX (%s) WHERE ", t->original, key->index);
	chunk_condition(&sql, key, false, after, NULL);
	buf_str(&sql, " ORDER BY ");
	for (size_t i = 0; i < key->n_bounds; i++)
		buf_printf(&sql, "%s%s", i > 0 ? ", " : "", key->parts[i].name);
	buf_printf(&sql, " LIMIT 1 OFFSET %" PRIu64, n - 1);
	rc = db_query(mem, db, sql.data, &rows, err);
	if (rc == 0 && rows->n > 0) {
		buf_init(&bound, ctx);
		for (size_t i = 0; i < key->n_bounds; i++)
			buf_printf(&bound, "%s%s", i > 0 ? ", " : "", rows->cell[0][i]);
		*out = bound.data;
	}
	talloc_free(mem);
	return rc;
}

static wide to_integer(const char *text)
{
	bool negative = *text == '-';
	wide v = (wide)strtoull(text + negative, NULL, 10);

	return negative ? -v : v;
}

static char *from_integer(TALLOC_CTX *ctx, wide v)
{
	return v < 0 ? mem_printf(ctx, "-%" PRIu64, (uint64_t)-v)
		     : mem_printf(ctx, "%" PRIu64, (uint64_t)v);
}

/* One value below the smallest, and the greatest, of an integer key. */
static int read_range(struct chunker *c, struct db *db, bool *dense, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "range of the key");
	struct db_rows *rows;
	char *sql = mem_printf(mem,
			       "SELECT CAST(MIN(%s) AS CHAR), CAST(MAX(%s) AS CHAR)"
			       " FROM %s FORCE INDEX (%s)",
			       c->t->key.parts[0].name, c->t->key.parts[0].name,
			       c->t->original, c->t->key.index);
	int rc = db_query(mem, db, sql, &rows, err);

	if (rc == 0 && rows->cell[0][0]) {
		c->most = to_integer(rows->cell[0][1]);
		if (!c->cursor)
			c->cursor =
				from_integer(c->mem, to_integer(rows->cell[0][0]) - 1);
		*dense = true;
	} else if (rc == 0) {
		c->at_end = c->all = true; /* an empty table */
	}
	c->have_most = rc == 0;
	talloc_free(mem);
	return rc;
}

/* The end of the chunk that begins at the cursor, of ctx; NULL = open. Only the thread
 * that is `finding` is here, the mutex not being held: what others change meanwhile,
 * c->mem with all that is in it and c->dense, is not touched (the first range is read
 * before there is any chunk). */
static int find_end(TALLOC_CTX *ctx, struct chunker *c, struct db *db, uint64_t n,
		    bool *dense, char **upto, struct sb_err *err)
{
	wide next;

	*upto = NULL;
	if (c->t->key.n_bounds == 0)
		return 0;
	if (c->t->key.integer && !c->have_most && read_range(c, db, dense, err) < 0)
		return -1;
	if (c->all)
		return 0;
	if (!c->t->key.integer || !*dense) {
		if (chunk_nth_row(ctx, c->t, db, c->cursor, n, upto, err) < 0)
			return -1;
		if (c->t->key.integer && *upto && c->cursor)
			*dense = to_integer(*upto) - to_integer(c->cursor) <
				 (wide)n * SPARSE;
		return 0;
	}
	next = to_integer(c->cursor) + (wide)n;
	if (next < c->most)
		*upto = from_integer(ctx, next);
	return 0;
}

/* ---- handing out ---------------------------------------------------------------------
 */

/* model: CHUNK_GIVE */
static void give(TALLOC_CTX *ctx, struct chunker *c, struct record *r, struct chunk *out)
{
	r->flying = true;
	c->n_flying++;
	*out = (struct chunk){ r->number, mem_strdup(ctx, r->after),
			       mem_strdup(ctx, r->upto) };
}

static struct record *failed_one(struct chunker *c)
{
	for (size_t i = 0; i < c->n_records; i++)
		if (!c->records[i].flying && !c->records[i].done &&
		    (c->records[i].suspected == 0 || c->records[i].cycle < c->cycles))
			return &c->records[i];
	return NULL;
}

static bool suspects(const struct chunker *c)
{
	for (size_t i = 0; i < c->n_records; i++)
		if (!c->records[i].flying && !c->records[i].done &&
		    c->records[i].suspected > 0 && c->records[i].cycle == c->cycles)
			return true;
	return false;
}

static struct record *add_record(struct chunker *c, char *upto)
{
	struct record *r;

	c->records = mem_grow(c->mem, c->records, struct record, c->n_records + 1);
	r = &c->records[c->n_records++];
	*r = (struct record){ .number = c->next_number++,
			      .after = c->cursor,
			      .upto = upto };
	c->cursor = mem_strdup(c->mem, upto);
	c->at_end = !upto;
	return r;
}

/* The mutex being held. 1, 0 = nothing is left, -1. */
static int next(TALLOC_CTX *ctx, struct chunker *c, struct db *db, struct chunk *out,
		struct sb_err *err)
{
	struct record *r;
	char *upto;
	int rc;

	for (;;) {
		while ((c->barrier || c->held || c->finding) && !c->stopped)
			pthread_cond_wait(&c->changed, &c->mutex);
		if (c->stopped)
			return 0;
		r = failed_one(c);
		if (!r && suspects(c)) {
			pthread_cond_wait(&c->changed, &c->mutex);
			continue;
		}
		if (!r && c->at_end)
			return 0;
		if (!r) {
			uint64_t n = (uint64_t)c->size;
			bool was = c->dense, dense = was;

			c->finding = true;
			pthread_mutex_unlock(&c->mutex);
			rc = find_end(ctx, c, db, n, &dense, &upto, err);
			pthread_mutex_lock(&c->mutex);
			if (dense != was)
				c->dense = dense;
			c->finding = false;
			pthread_cond_broadcast(&c->changed);
			if (rc < 0 || c->all)
				return rc;
			if (c->stopped)
				return 0;
			r = add_record(c, mem_strdup(c->mem, upto));
			talloc_free(upto);
			/* A barrier that was asked for meanwhile comes first: the chunk
			 * waits as one that has not begun. */
			if (c->barrier || c->held)
				continue;
		}
		give(ctx, c, r, out);
		return 1;
	}
}

int chunker_next(TALLOC_CTX *ctx, struct chunker *c, struct db *db, struct chunk *out,
		 struct sb_err *err)
{
	int rc;

	*out = (struct chunk){ 0, NULL, NULL };
	pthread_mutex_lock(&c->mutex);
	rc = next(ctx, c, db, out, err);
	pthread_mutex_unlock(&c->mutex);
	return rc;
}

static struct record *find_record(struct chunker *c, const struct chunk *chunk)
{
	for (size_t i = 0; i < c->n_records; i++)
		if (c->records[i].number == chunk->number)
			return &c->records[i];
	BUG("a chunk that was not handed out");
}

/* Everything at the front that is done is behind the watermark now. */
static void move_watermark(struct chunker *c)
{
	size_t n = 0;

	while (n < c->n_records && c->records[n].done) {
		talloc_free(c->watermark);
		c->watermark = c->records[n].upto;
		c->all = !c->watermark;
		talloc_free(c->records[n].after);
		n++;
	}
	memmove(c->records, c->records + n, (c->n_records - n) * sizeof(*c->records));
	c->n_records -= n;
}

static void adapt(struct chunker *c, uint64_t rows, int64_t ms)
{
	double factor = (double)c->target_ms / (double)(ms > 0 ? ms : 1);

	if (c->dense && rows * SPARSE < (uint64_t)c->size)
		c->dense = false;
	if (ms > TOO_LONG * c->target_ms)
		factor = 0.1;
	else if (factor > GROWTH)
		factor = GROWTH;
	/* One that was hardly filled says nothing about a full one. */
	if (factor > 1 && (double)rows < c->size / 2)
		return;
	c->size *= factor;
	if (c->size < ROWS_MIN)
		c->size = ROWS_MIN;
	if (c->size > ROWS_MAX)
		c->size = ROWS_MAX;
}

/* model: CHUNK_DONE */
void chunker_done(struct chunker *c, const struct chunk *chunk, uint64_t rows, int64_t ms)
{
	struct record *r;

	pthread_mutex_lock(&c->mutex);
	r = find_record(c, chunk);
	r->flying = false;
	r->done = true;
	c->n_flying--;
	c->rows += rows;
	adapt(c, rows, ms);
	move_watermark(c);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mutex);
}

void chunker_failed(struct chunker *c, const struct chunk *chunk)
{
	pthread_mutex_lock(&c->mutex);
	find_record(c, chunk)->flying = false;
	c->n_flying--;
	if (c->size > 2 * ROWS_MIN)
		c->size /= 2; /* not the same again: it may be what deadlocks */
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mutex);
}

int chunker_suspect(struct chunker *c, const struct chunk *chunk)
{
	struct record *r;
	int times;

	pthread_mutex_lock(&c->mutex);
	r = find_record(c, chunk);
	r->flying = false;
	r->cycle = c->cycles;
	times = ++r->suspected;
	c->n_flying--;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mutex);
	return times;
}

bool chunker_has_suspects(struct chunker *c)
{
	bool any;

	pthread_mutex_lock(&c->mutex);
	any = suspects(c);
	pthread_mutex_unlock(&c->mutex);
	return any;
}

/* ---- control -------------------------------------------------------------------------
 */

void chunker_target(struct chunker *c, int64_t ms)
{
	pthread_mutex_lock(&c->mutex);
	c->target_ms = ms;
	pthread_mutex_unlock(&c->mutex);
}

bool chunker_barrier(struct chunker *c)
{
	bool stopped;

	pthread_mutex_lock(&c->mutex);
	c->barrier = true;
	while ((c->n_flying > 0 || c->finding) && !c->stopped)
		pthread_cond_wait(&c->changed, &c->mutex);
	stopped = c->stopped;
	pthread_mutex_unlock(&c->mutex);
	return !stopped;
}

void chunker_resume(struct chunker *c)
{
	pthread_mutex_lock(&c->mutex);
	c->barrier = false;
	c->cycles++;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mutex);
}

void chunker_hold(struct chunker *c, bool held)
{
	pthread_mutex_lock(&c->mutex);
	if (c->held && !held)
		pthread_cond_broadcast(&c->changed);
	c->held = held;
	pthread_mutex_unlock(&c->mutex);
}

void chunker_stop(struct chunker *c)
{
	pthread_mutex_lock(&c->mutex);
	c->stopped = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->mutex);
}

char *chunker_watermark(TALLOC_CTX *ctx, struct chunker *c, bool *all)
{
	char *copy;

	pthread_mutex_lock(&c->mutex);
	*all = c->all;
	copy = mem_strdup(ctx, c->watermark);
	pthread_mutex_unlock(&c->mutex);
	return copy;
}

uint64_t chunker_rows(struct chunker *c)
{
	uint64_t rows;

	pthread_mutex_lock(&c->mutex);
	rows = c->rows;
	pthread_mutex_unlock(&c->mutex);
	return rows;
}
