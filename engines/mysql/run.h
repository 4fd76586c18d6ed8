/*
 * run.h - one open run of the mysql engine, as its files see it.
 *
 * run.c is the driver's side (open, start, poll, cutover, stop, fence, close). Two
 * threads work behind it: the worker (exec.c) executes the statements on the connection
 * that holds the advisory locks, or has tables copied online beside it (online.c), and
 * the watcher (watch.c) looks at that connection through another one: progress once a
 * second, KILL QUERY when the run is to halt. So no call of the driver ever waits for the
 * network except open(), stop() and close().
 *
 * Who may touch what: `ddl` belongs to the worker and `control` to the watcher while
 * those run, and to the driver's thread otherwise. What is under "guarded" needs `mutex`.
 * The rest is constant from open() on.
 */
#ifndef SB_ENGINES_MYSQL_RUN_H
#define SB_ENGINES_MYSQL_RUN_H

#include <pthread.h>

#include "engines/engine.h"
#include "engines/mysql/locks.h"

/* How long a statement waits for a metadata lock. Everybody who comes after it waits
 * behind it, so this is also the longest wait that we cause to an application. */
#define MYSQL_LOCK_WAIT_SECONDS 2
/* Then it steps aside for 100 ms, 200 ms … 10 s, so often and for so long in all. */
#define MYSQL_LOCK_TRIES     8
#define MYSQL_LOCK_BUDGET_MS 120000
/* stop() waits this long for a statement to end; close() until so long after the first
 * request to halt. */
#define MYSQL_STOP_MS 10000

/* cutover() waits this long until the request is stored on the target. */
#define MYSQL_CUTOVER_MS 4000

struct mysql_slot { /* one task of the current start() */
	struct engine_progress progress;
	int64_t began_ms; /* clock_ms() of the running statement, 0 = none runs */
	int64_t check_ms; /* clock_ms() when the comparison began, 0 = it does not run, */
	int64_t check_from; /* and so many rows had been compared */
};

struct engine_run {
	struct db_params ddl_params, control_params, copy_params;
	const char *apply_id, *operation;
	uint64_t token;
	struct engine_options options;		/* but for the volume */
	const struct throttle_limits *throttle; /* NULL = none */
	bool forget_cutover; /* an operator has started it: a cutover is asked for anew */
	TALLOC_CTX *ddl_mem, *control_mem; /* roots of their own: threads use them */
	struct db *ddl;
	int ddl_socket;	 /* a dup, for shutdown() while the worker is blocked */
	uint64_t ddl_id; /* connection id */
	char (*locks)[MYSQL_LOCK_NAME_LEN + 1]; /* held by ddl, at least one */
	size_t n_locks;
	struct mysql_signed { /* tables that have our checkpoint */
		const char *schema, *table;
		size_t open; /* statements that are left; the worker counts them down */
	} * signed_tables;
	size_t n_signed;

	struct db *control; /* NULL after it was lost, until it is opened again */
	bool no_stages;	    /* the server does not tell us about stages */

	pthread_t worker, watcher;
	bool threads; /* both were created and not joined yet */
	const struct engine_task *tasks;
	size_t n;

	pthread_mutex_t mutex;
	pthread_cond_t changed; /* any of the following; CLOCK_MONOTONIC */
	/* guarded: */
	struct mysql_slot *slots;
	size_t current;	 /* the task that the worker is at */
	bool executing;	 /* a statement has been or is being sent */
	bool halt;	 /* begin nothing more, kill what runs */
	int64_t halt_ms; /* clock_ms() since when */
	bool fenced;	 /* halt, for good */
	int volume;	 /* 1 to 11 */
	bool cutover;	 /* cutover() was called */
	bool stored;	 /* … and the target knows it */
	bool ended;	 /* the worker is at its end: slots change no more */
};

/* exec.c, watch.c: bodies of the threads; the argument is the run. */
void *mysql_worker(void *run);
void *mysql_watcher(void *run);

/* watch.c: one attempt to end what ddl's connection executes on the server. 1 = tried,
 * look again; 0 = that connection is gone there; -1 = the server did not answer. */
int mysql_kill(struct engine_run *run, struct sb_err *err) MUST_CHECK;

/* run.c: one statement about the task's table is done; was it the last of this run's
 * operation? For the worker only. */
bool mysql_table_is_over(struct engine_run *run, const struct engine_task *task);

/* run.c: wait for a change or for ms, the mutex being held. */
void mysql_wait(struct engine_run *run, int64_t ms);

/* The operations, for engine.c's table. */
int mysql_open(TALLOC_CTX *ctx, const struct engine_request *request,
	       struct engine_run **out, struct sb_err *err);
int mysql_start(TALLOC_CTX *ctx, struct engine_run *run, const struct engine_work *work,
		const char **resume_state, struct sb_err *err);
int mysql_poll(TALLOC_CTX *ctx, struct engine_run *run, struct engine_progress *progress,
	       const char **resume_state, struct sb_err *err);
int mysql_cutover(struct engine_run *run, struct sb_err *err);
int mysql_set_volume(struct engine_run *run, int volume, struct sb_err *err);
int mysql_stop(struct engine_run *run, struct sb_err *err);
int mysql_cancel(struct engine_run *run, struct sb_err *err);
void mysql_fence(struct engine_run *run);
void mysql_close_run(struct engine_run *run);

#endif
