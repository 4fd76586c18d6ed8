/*
 * progress.h - how far a copy is, as it is stored in the checkpoint and read again.
 *
 * Used by change.c. A stored progress is a promise: everything up to `at` has been
 * flushed for the rows up to `watermark`, and everything behind it will be read again.
 */
#ifndef SB_ENGINES_MYSQL_COPY_PROGRESS_H
#define SB_ENGINES_MYSQL_COPY_PROGRESS_H

#include "engines/mysql/binlog/stream.h"

#define PROGRESS_VERSION 1

/* In the order in which a table goes through them. */
#define COPY_PHASES(X)                             \
	X(PREPARING, "preparing the new table")    \
	X(COPYING, "copying rows")                 \
	X(BUILDING, "building indexes")            \
	X(CATCHING_UP, "catching up with changes") \
	X(CHECKING, "comparing both tables")       \
	X(READY, "waiting for the cutover")        \
	X(CUTTING_OVER, "cutting over")            \
	X(DONE, "done")
enum copy_phase {
#define X(name, words) COPY_##name,
	COPY_PHASES(X)
#undef X
};
const char *copy_phase_name(enum copy_phase phase);  /* "COPYING" */
const char *copy_phase_words(enum copy_phase phase); /* for people */

struct copy_progress {
	enum copy_phase phase;
	struct stream_position at;
	char *watermark;       /* NULL = no row is copied, or all are */
	bool all;	       /* every row is copied */
	const char *deferred;  /* indexes that are to be built; "" = none */
	uint64_t rows;	       /* copied so far */
	uint64_t compared;     /* rows, by the pass that is told of here */
	char *compared_upto;   /* what is up to it was equal; NULL = nothing is said */
	bool all_compared;     /* a whole pass found both tables equal */
	const char *server;    /* which server the position belongs to */
	const char *statement; /* of the change */
	bool cutover;	       /* its cutover was wanted */
};

/* As JSON, of ctx. */
char *progress_write(TALLOC_CTX *ctx, const struct copy_progress *p);

/* 1; 0 = it is of a format that we do not know (a later version's): begin anew. */
int progress_read(TALLOC_CTX *ctx, const char *text, struct copy_progress *out);

#endif
