/*
 * change.h - tables are changed online, from the first look to the last: one table, or a
 * group that swaps together.
 *
 * Called by the worker (exec.c) on its own thread, and returns when the change is done,
 * halted or failed. Everything it knows is on the target: a later call, by whoever,
 * continues from the checkpoint.
 *
 * Must never: swap tables of which it has not been shown that they are equal.
 */
#ifndef SB_ENGINES_MYSQL_COPY_CHANGE_H
#define SB_ENGINES_MYSQL_COPY_CHANGE_H

#include "engines/mysql/copy/copy.h"
#include "engines/mysql/copy/progress.h"

struct change_report { /* of one table */
	enum copy_phase phase;
	int64_t rows, rows_total; /* total: the server's guess, or -1 */
	int64_t rows_per_second;
	int64_t checked; /* rows compared: so far, or by the last whole pass; or -1 */
	size_t pending;	 /* keys that wait, of all tables */
	int64_t lag_seconds;
	int cutover_attempts;
	const char *cutover_reason; /* why the last one was in vain; NULL = none was */
	const char *throttle;	    /* why it waits; NULL = it does not */
};

/* What the run tells a change, and is told. All are called from change_run()'s thread. */
struct change_hooks {
	void *arg;
	bool (*halted)(void *arg);
	int (*volume)(void *arg);	   /* 1 to 11 */
	bool (*cutover_wanted)(void *arg); /* may it swap now? */
	/* It may, and that is stored: a successor will not ask again. What is left to be
	 * done before the swap is done here; -1 = it cannot be, and nothing is swapped.
	 */
	int (*cutting)(void *arg, struct sb_err *err);
	void (*report)(void *arg, size_t task, const struct change_report *r);
	/* The table is the new one. `note`: what a user should know about it, or NULL. */
	void (*done)(void *arg, size_t task, const char *note);
};

struct change_args {
	const struct db_params *target;
	struct db *locks; /* holds the tables' advisory locks; DDL is executed on it */
	const char *apply_id, *operation;
	uint64_t token;
	const struct engine_task *tasks;
	size_t n;
	int kill_blockers_after; /* tries for a lock; 0 = never */
	/* Started by an operator: that a cutover was wanted before the stop is forgotten.
	 */
	bool forget_cutover;
	const struct change_hooks *hooks;
	const struct throttle_limits *throttle; /* NULL = never wait */
};

/*
 * 1 = done, 0 = halted: nothing of it runs any more, and a checkpoint is stored; -1.
 * Also -1 when done() was called for all tables, and then the last word is that writes
 * may be missing in them (SB_EENGINE): the tables that were replaced are kept.
 */
int change_run(const struct change_args *args, struct sb_err *err) MUST_CHECK;

#endif
