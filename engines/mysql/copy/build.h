/*
 * build.h - one long statement about the shadow, in a thread of its own, while the change
 * goes on flushing: the indexes that are built after the copy.
 *
 * Used by change.c.
 */
#ifndef SB_ENGINES_MYSQL_COPY_BUILD_H
#define SB_ENGINES_MYSQL_COPY_BUILD_H

#include "engines/mysql/copy/copy.h"

struct build;

/* *out belongs to ctx; freeing it ends the statement and waits. */
int build_start(TALLOC_CTX *ctx, const struct db_params *target,
		const struct copy_table *t, const char *sql, struct build **out,
		struct sb_err *err) MUST_CHECK;

/* 1 = done, 0 = it runs, -1 = it failed. */
int build_state(struct build *b, struct sb_err *err) MUST_CHECK;

/* KILL QUERY through `control` until it has ended. */
void build_stop(struct build *b, struct db *control);

#endif
