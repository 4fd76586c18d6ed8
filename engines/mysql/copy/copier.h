/*
 * copier.h - the threads that copy chunks, and how many of them there are.
 *
 * Used by change.c. Each has a connection of its own and copies one chunk after the
 * other: INSERT … SELECT on the server, so that no row passes through this process. Reads
 * take no locks on the original (READ COMMITTED).
 *
 * Must never: retry what is no lock conflict, or skip a row: IGNORE is not used.
 */
#ifndef SB_ENGINES_MYSQL_COPY_COPIER_H
#define SB_ENGINES_MYSQL_COPY_COPIER_H

#include "engines/mysql/copy/chunk.h"

struct copiers;

/* Start n threads. *out belongs to ctx; freeing it stops them (copiers_stop). */
int copiers_start(TALLOC_CTX *ctx, const struct db_params *target,
		  const struct copy_table *t, struct chunker *chunker, unsigned n,
		  struct copiers **out, struct sb_err *err) MUST_CHECK;

/* So many from now on; those too many end after their chunk. */
int copiers_set(struct copiers *c, unsigned n, struct sb_err *err) MUST_CHECK;

/* How many of them execute a statement now. */
unsigned copiers_busy(struct copiers *c);

/* 1 = all chunks are copied, 0 = working, -1 = a thread gave up, and *err says why: the
 * others end by themselves. */
int copiers_state(struct copiers *c, struct sb_err *err) MUST_CHECK;

/*
 * Begin no more chunks, end those that run (KILL QUERY through `control`; NULL: let them
 * end), and wait for the threads. -1: a connection was lost whose statement the server
 * may still be executing.
 */
int copiers_stop(struct copiers *c, struct db *control, struct sb_err *err);

#endif
