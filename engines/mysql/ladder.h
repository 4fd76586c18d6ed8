/*
 * ladder.h - the ways in which a server can execute an ALTER, from mildest to harshest.
 *
 * Planning climbs the ladder on an empty copy to find what it can announce (judge.c);
 * execution climbs it again on the real table, never above what was announced (exec.c).
 * Pure functions and constant data: no connection, no state.
 */
#ifndef SB_ENGINES_MYSQL_LADDER_H
#define SB_ENGINES_MYSQL_LADDER_H

#include "engines/engine.h"

struct mysql_rung {
	enum engine_algorithm algorithm;
	/* What follows the table name; "" = the server chooses. MariaDB needs LOCK=NONE
	 * beside INSTANT: without it, it accepts INSTANT for PARTITION BY, ORDER BY and a
	 * change of ENGINE and then copies the table all the same (seen on 10.11). MySQL
	 * refuses any LOCK beside INSTANT. */
	const char *clause[2]; /* indexed by enum db_flavor; NULL = not there */
	bool blocking;	       /* writes wait while it runs */
	bool partitions;       /* only for ADD and DROP PARTITION */
	const char *words;     /* "copying it under a lock": for messages */
	const char *reason;    /* what a plan says about it; "" when not blocking */
};

/* The first rung in place, the first one that blocks, all of them. */
#define MYSQL_INPLACE  1
#define MYSQL_BLOCKING 3
#define MYSQL_RUNGS    6
extern const struct mysql_rung mysql_ladder[MYSQL_RUNGS];

/* May this rung be used for a task with this announcement, under this option? */
bool mysql_rung_allowed(const struct mysql_rung *rung, enum db_flavor flavor,
			const struct engine_task *task, enum engine_algorithm forced);

/* Does this error number say "not in this way", so that another rung may still do? */
bool mysql_rung_refused(unsigned db_errno);

/*
 * `ddl`, which must be ALTER TABLE `name` and at least one clause, with `clause` put in
 * front of its clauses. From ctx. NULL and SB_EINVALID when it is not of that form.
 */
char *mysql_alter_with(TALLOC_CTX *ctx, const char *ddl, const char *clause,
		       struct sb_err *err);

/* What an ALTER does with single partitions, which it does alone (core/schema). */
enum mysql_partitions {
	MYSQL_PARTITIONS_NONE,
	MYSQL_PARTITIONS_ADDED,
	MYSQL_PARTITIONS_DROPPED, /* with their rows: DROP or TRUNCATE PARTITION */
};
enum mysql_partitions mysql_partitions(const char *ddl);

/* The table that "RENAME TABLE `name` TO …" renames, of ctx; NULL for any other
 * statement. It is of action alter, and only ever metadata. */
char *mysql_renamed_from(TALLOC_CTX *ctx, const char *ddl);

#endif
