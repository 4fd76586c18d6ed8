/*
 * direct.h - may a table be changed under a lock that writes wait for? The environment's
 * policy, for what the online copy cannot do.
 *
 * Asked by planning (judge.c), and again by execution (exec.c) before a statement that
 * was announced as "direct" is sent.
 *
 * Must never: approve on the strength of an estimate, or read more rows than it allows.
 */
#ifndef SB_ENGINES_MYSQL_DIRECT_H
#define SB_ENGINES_MYSQL_DIRECT_H

#include "engines/engine.h"

/* Attempts at the table's lock, each of lock_seconds. */
#define MYSQL_DIRECT_TRIES 3

/*
 * 1 = the table is small enough, 0 = it is not or that is not known, -1 = no answer. *why
 * is a clause without an end, of ctx, in every case but the last: "it has 3 rows, and …".
 */
int mysql_direct_allows(TALLOC_CTX *ctx, struct db *db, const char *schema,
			const char *table, const struct engine_direct *policy,
			const char **why, struct sb_err *err) MUST_CHECK;

#endif
