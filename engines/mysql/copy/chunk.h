/*
 * chunk.h - which range of the driving key is copied next, and how far all is copied.
 *
 * Used by the copiers, several at a time, and by the checksum. A chunk is a range
 * (after, upto] over the first n_bounds parts of the key; a bound is a row value of SQL
 * literals, which the server printed. The last chunk is open at its end, so that rows
 * behind the highest key at the start are in it.
 *
 * Must never: leave a gap between chunks, or call a range done that is not.
 */
#ifndef SB_ENGINES_MYSQL_COPY_CHUNK_H
#define SB_ENGINES_MYSQL_COPY_CHUNK_H

#include "core/base/buf.h"
#include "engines/mysql/copy/copy.h"

struct chunk {
	uint64_t number;
	/* Bounds as "lit1, lit2"; NULL = there is none on that side. */
	char *after, *upto;
};

struct chunker;

/*
 * `after`: begin behind this bound (a stored watermark), NULL = at the start. `rows`: how
 * many rows the first chunks shall have. *out belongs to ctx; it is safe for several
 * threads, each with a connection of its own.
 */
struct chunker *chunker_new(TALLOC_CTX *ctx, const struct copy_table *t,
			    const char *after, uint64_t rows);

/*
 * The next chunk; *out's bounds belong to ctx. 1, 0 = there is none any more, -1. May
 * wait for the barrier to be lifted; 0 also when the chunker was stopped.
 */
int chunker_next(TALLOC_CTX *ctx, struct chunker *c, struct db *db, struct chunk *out,
		 struct sb_err *err) MUST_CHECK;
/* It is committed, and took so long; sizes of later chunks follow that. */
void chunker_done(struct chunker *c, const struct chunk *chunk, uint64_t rows,
		  int64_t ms);
/* It was not: the chunk is handed out again, to whoever asks next. */
void chunker_failed(struct chunker *c, const struct chunk *chunk);
/*
 * It was not, because of a duplicate. A row that was copied earlier may have lost that
 * value since, and its key waits to be flushed: the chunk is handed out again after the
 * next barrier. How often that has happened to it.
 */
int chunker_suspect(struct chunker *c, const struct chunk *chunk);
/* Does a chunk wait for that? */
bool chunker_has_suspects(struct chunker *c);

/* A chunk should take so long. */
void chunker_target(struct chunker *c, int64_t ms);
/* Hand out no more chunks until chunker_resume(), and wait until none is in flight.
 * False when it was stopped meanwhile. */
bool chunker_barrier(struct chunker *c);
void chunker_resume(struct chunker *c);
/* Hand out no chunk while it is held; what is in flight ends. */
void chunker_hold(struct chunker *c, bool held);
/* For good: chunker_next() answers 0. */
void chunker_stop(struct chunker *c);

/* How far everything is committed; belongs to ctx. all = there is nothing more. NULL and
 * !all: nothing is. */
char *chunker_watermark(TALLOC_CTX *ctx, struct chunker *c, bool *all);
uint64_t chunker_rows(struct chunker *c);

/*
 * Append the condition that a row of `after` < key <= `upto` fulfils (either may be NULL;
 * both NULL: "TRUE"), over the shadow's columns or the original's. Row comparisons are
 * written out, because servers do not use an index for (a, b) > (x, y).
 */
void chunk_condition(struct buf *b, const struct copy_key *key, bool shadow,
		     const char *after, const char *upto);

/* The n-th row of the original behind `after`, as a bound of ctx; NULL = there are fewer.
 * Only where n_bounds > 0. */
int chunk_nth_row(TALLOC_CTX *ctx, const struct copy_table *t, struct db *db,
		  const char *after, uint64_t n, char **out,
		  struct sb_err *err) MUST_CHECK;

/* Split a bound into its n literals (of ctx). */
char **chunk_literals(TALLOC_CTX *ctx, const char *bound, size_t n);

#endif
