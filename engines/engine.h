/*
 * engine.h - what an engine is: the interface between driving work and doing it.
 *
 * An engine turns reviewed DDL statements into a changed target and reports how far it
 * is. core/drive calls it and is the only one that writes what it reports; planning
 * asks judge() what a statement would cost. An engine includes core/base and this file
 * and nothing else of ours: it cannot see our tables (`make layers` checks it).
 *
 * Must never: record anything in our storage, invent an outcome it has not observed
 * (SB_EAMBIGUOUS exists for that), or block for more than about a second except in
 * open(), stop() and close() (ten seconds at most).
 */
#ifndef SB_ENGINES_ENGINE_H
#define SB_ENGINES_ENGINE_H

#include "core/base/db.h"
#include "core/base/throttle.h"

/* What an engine can do beyond running a statement; a user is told before "accepted". */
#define ENGINE_CAPS(X)                                                                \
	X(STOP, 1, "stop")		     /* halt, and continue later */           \
	X(CANCEL, 2, "cancel")		     /* halt for ever, remove what it made */ \
	X(DEFER_CUTOVER, 4, "defer_cutover") /* wait for a cutover request */         \
	X(VOLUME, 8, "volume")		     /* change speed while running */         \
	X(REVERT, 16, "revert")		     /* undo after completion */              \
	X(RESIDENT, 32, "resident") /* work ends when the driver's process ends */    \
	X(KEEP_OLD, 64, "keep_old") /* what it replaced stays beside it for a while */
enum engine_caps {
#define X(name, bit, text) ENGINE_CAP_##name = (bit),
	ENGINE_CAPS(X)
#undef X
};

/* How a statement is or would be executed. */
#define ENGINE_ALGORITHMS(X)  \
	X(AUTO, "auto")       \
	X(INSTANT, "instant") \
	X(INPLACE, "inplace") \
	X(COPY, "copy")
enum engine_algorithm {
#define X(name, text) ENGINE_ALGORITHM_##name,
	ENGINE_ALGORITHMS(X)
#undef X
};
const char *engine_algorithm_name(enum engine_algorithm a);
int engine_algorithm_parse(const char *text, int *a); /* -1 for an unknown text */

/* ---- planning ------------------------------------------------------------------- */

/* What a statement does with the rows that are there; harmless first. */
#define ENGINE_COSTS(X)                                                    \
	X(UNKNOWN, "")		/* nobody could tell */                    \
	X(METADATA, "metadata") /* none is read or written */              \
	X(INDEX, "index")	/* all are read once, to build an index */ \
	X(REBUILD, "rebuild")	/* all are read and written into new pages */
enum engine_cost {
#define X(name, text) ENGINE_COST_##name,
	ENGINE_COSTS(X)
#undef X
};
const char *engine_cost_name(enum engine_cost c);
int engine_cost_parse(const char *text, int *c); /* -1 for an unknown text */

struct engine_verdict {
	/* As on the wire: "" = online; "direct" = natively, and it blocks writers while
	 * it runs; "blocked" = cannot be executed by this engine at all. */
	const char *execution_mode;
	const char *reason;		 /* a sentence, "" when there is nothing to say */
	enum engine_algorithm algorithm; /* how it is done */
	enum engine_cost cost;
	/* The mildest way in which the server itself does it while writes go on, by which
	 * a forced algorithm is judged; AUTO = there is none. */
	enum engine_algorithm natively;
};

/* Which tables may be changed under a lock that writes wait for, where nothing else is
 * possible: exactly one bound is not 0. What is not known of a table counts as more. */
struct engine_direct {
	int64_t max_rows, max_bytes;
	int lock_seconds; /* to wait for the table's lock */
};

/* ---- driving -------------------------------------------------------------------- */

struct engine_task {
	const char *id;				/* task identifier, for messages */
	const char *namespace, *schema, *table; /* schema: the name on the target */
	const char *ddl;    /* unqualified table name; run with `schema` as default;
			     * never empty */
	const char *action; /* create, alter, drop, rename */
	/* What the reviewed plan said (engine_verdict), which a run may never exceed: its
	 * algorithm, AUTO when nothing was announced, and whether its mode was "direct".
	 */
	enum engine_algorithm announced;
	bool announced_blocking;
};

struct engine_options {
	enum engine_algorithm algorithm;
	bool defer_cutover, defer_deploy;
	/* Stay in the revert window until told (enable), or skip it. */
	bool enable_revert, skip_revert;
	bool quarantine_drops;	     /* a dropped table is moved away, not destroyed */
	struct engine_direct direct; /* no bound: only tables without rows */
	int volume;		     /* 1..11 */
	/* After so many tries for a table's lock, transactions that hold it may be ended;
	 * 0 = never. */
	int kill_blockers_after;
};

struct engine_request {
	const struct db_params *target;
	const char *apply_id, *deployment;
	/* "<apply_id>/<deployment>": whose fencing number lease_token is. A checkpoint is
	 * signed with both, and an older token than the stored one gets SB_ELEASE. */
	const char *operation;
	uint64_t lease_token;
	struct engine_options options;
	/* When a copy waits; NULL = never. Outlives the run. */
	const struct throttle_limits *throttle;
	const struct engine_task
		*tasks; /* every unfinished one: their tables get locked */
	size_t n_tasks;
	/* End what a dead driver's connection is still executing there, instead of
	 * SB_EBUSY: for a stop or cancel, which must not be followed by the change all
	 * the same. */
	bool evict;
	/* An operator has started it, perhaps after a stop: what was asked for before
	 * that (a cutover) is to be asked for again. */
	bool started;
};

/*
 * A namespace of the work. A VSchema change has no statement: it is a flag here, and the
 * engine finds the document by the namespace.
 */
struct engine_namespace {
	const char *name, *schema;
	bool vschema_changed;
};

/* One engine call's work: what start() begins or attach() takes up again. */
struct engine_work {
	const struct engine_task *tasks;
	size_t n_tasks;				   /* 0 when only a VSchema changes */
	const struct engine_namespace *namespaces; /* of all tasks, by name */
	size_t n_namespaces;
	/* What prepare(), start() or poll() last gave for this operation, NULL = nothing.
	 */
	const char *resume_state;
};
/* Entries of poll()'s array: one a task, then one a namespace (to be filled where
 * vschema_changed). */
#define ENGINE_WORK_ENTRIES(w) ((w)->n_tasks + (w)->n_namespaces)

/*
 * What an engine can say about a task: the states of SEMANTICS B.1 that are an engine's
 * to report, by their names there, and two that say that it does not know better.
 */
#define ENGINE_TASK_STATES(X)                                                           \
	X(PENDING, "pending")                                                           \
	X(PREPARING_BRANCH, "preparing_branch")                                         \
	X(APPLYING_BRANCH_CHANGES, "applying_branch_changes")                           \
	X(VALIDATING_BRANCH, "validating_branch")                                       \
	X(CREATING_DEPLOY_REQUEST, "creating_deploy_request")                           \
	X(VALIDATING_DEPLOY_REQUEST, "validating_deploy_request")                       \
	X(WAITING_FOR_DEPLOY, "waiting_for_deploy")                                     \
	X(RUNNING, "running")                                                           \
	X(CATCHING_UP, "catching_up")                                                   \
	X(CHECKSUMMING, "checksumming")                                                 \
	X(POST_CHECKSUM, "post_checksum")                                               \
	X(WAITING_FOR_CUTOVER, "waiting_for_cutover")                                   \
	X(CUTTING_OVER, "cutting_over")                                                 \
	X(REVERT_WINDOW, "revert_window")                                               \
	X(SKIPPING_REVERT, "skipping_revert")                                           \
	X(REVERTING, "reverting")                                                       \
	X(REVERTED, "reverted")                                                         \
	X(COMPLETED, "completed")                                                       \
	X(FAILED, "failed")	    /* error says why, its class what to do about it */ \
	X(STOPPED, "stopped")	    /* by stop(): may be started again */               \
	X(CANCELLED, "cancelled")   /* by cancel(), or by others: for ever */           \
	X(UNKNOWN, "unknown")	    /* a word that we do not know, see detail */        \
	X(UNREPORTED, "unreported") /* nothing was said about this task */
enum engine_task_state {
#define X(name, text) ENGINE_TASK_##name,
	ENGINE_TASK_STATES(X)
#undef X
};
const char *engine_task_state_name(enum engine_task_state s);
/* ENGINE_TASK_UNKNOWN for a word that is not in the list. */
enum engine_task_state engine_task_state_parse(const char *text);

struct engine_progress {
	enum engine_task_state state;
	int64_t rows_copied, rows_total; /* -1 = unknown */
	int percent;			 /* 0..100, -1 = unknown */
	int64_t eta_seconds;		 /* -1 = unknown */
	int64_t rows_per_second;	 /* copied or compared lately; -1 = unknown */
	int64_t checksum_rows;		 /* compared so far; -1 = not comparing */
	int64_t pending_keys; /* changed rows that wait to be copied; -1 = unknown */
	bool is_instant, throttled;
	char throttle_reason[256];
	char detail[256]; /* what it is doing, in words */
	int cutover_attempts;
	struct sb_err error; /* with FAILED */
};

struct engine_run; /* one open engine: a connection, locks, maybe threads */

/* ---- tidying up ------------------------------------------------------------------- */

/* What an engine leaves on a target when its process dies. */
enum engine_trace {
	ENGINE_TRACE_CHECKPOINT,
	ENGINE_TRACE_SHADOW, /* a copy that did not become the table */
	ENGINE_TRACE_OLD,    /* a table that was replaced */
};

struct engine_tidy_request {
	const struct db_params *target;
	const char *const *schemas; /* where traces may be */
	size_t n_schemas;
	int drops_retention_hours;
	int batch; /* at most so many of each kind */
	/* May what this apply (its id, or how it begins) left for this deployment (NULL =
	 * any) go? 1; 0 when it is open, or nobody knows it; -1. */
	int (*over)(void *arg, enum engine_trace trace, const char *apply_id,
		    const char *deployment, struct sb_err *err);
	void *arg;
};
struct engine_tidied {
	int checkpoints, tables; /* removed */
	int drops;		 /* quarantined tables dropped for good */
	int drops_locked;	 /* 1 = somebody else is cleaning up there */
	int drops_skipped;	 /* names that are not ours, and stay */
	int errors;		 /* what could not be removed; the log says why */
};

/* What would `task` do? */
struct engine_question {
	struct db *db;	    /* connected with the scratch schema as default */
	const char *schema; /* which holds an empty copy of the live table(s) */
	/* Where the table is in earnest, to be read only: what its history allows. */
	struct db *live;
	const char *live_schema;
	const char *live_table;		/* its name there now; NULL = the plan makes it */
	const struct engine_task *task; /* its schema is the scratch schema */
	enum engine_algorithm algorithm; /* AUTO, or a forced one */
	struct engine_direct direct;
	/* A dropped table is moved away and kept so long; 0 = it is destroyed. */
	int keep_drops_hours;
};

struct engine_ops {
	/*
	 * Judging runs the statement in the scratch schema, so that afterwards the copy
	 * has its result. Strings of *verdict belong to ctx. -1 = the statement does not
	 * work at all, or the server did not answer; with a forced algorithm that is
	 * impossible: SB_EINVALID.
	 */
	int (*judge)(TALLOC_CTX *ctx, const struct engine_question *question,
		     struct engine_verdict *verdict, struct sb_err *err);

	/*
	 * Connect to the target and take its locks on the tasks' tables. SB_EBUSY when
	 * somebody else holds one: usually our dead predecessor, whose statement the
	 * server is still executing; look again in a moment. *run belongs to ctx.
	 */
	int (*open)(TALLOC_CTX *ctx, const struct engine_request *request,
		    struct engine_run **run, struct sb_err *err);

	/*
	 * What will find the work again should start()'s answer be lost (a name that it
	 * will be created under): stored before start() is called, and given to it as
	 * resume_state. Touches nothing. NULL where starting twice does no harm.
	 */
	int (*prepare)(TALLOC_CTX *ctx, struct engine_run *run,
		       const struct engine_work *work, const char **resume_state,
		       struct sb_err *err);

	/*
	 * Begin work on tables that open() locked (one, or all of a group), or continue
	 * what resume_state names: never a second time what is there already. Returns at
	 * once; see poll(). The work must outlive the run. After a failure the later
	 * tasks stay PENDING. *resume_state (of ctx) is opaque and is stored before
	 * anything that poll() says is believed; NULL = nothing to store.
	 */
	int (*start)(TALLOC_CTX *ctx, struct engine_run *run,
		     const struct engine_work *work, const char **resume_state,
		     struct sb_err *err);

	/*
	 * Take up the work that resume_state names without beginning any: 1 = it is there
	 * and poll() tells about it, 0 = there is none such. NULL where work ends with
	 * its driver (ENGINE_CAP_RESIDENT).
	 */
	int (*attach)(struct engine_run *run, const struct engine_work *work,
		      struct sb_err *err);

	/* progress[i]: see ENGINE_WORK_ENTRIES, of the last start() or attach().
	 * *resume_state as in start(). SB_ENOTFOUND: there is no such work, which is
	 * never completion. */
	int (*poll)(TALLOC_CTX *ctx, struct engine_run *run,
		    struct engine_progress *progress, const char **resume_state,
		    struct sb_err *err);

	/* Halt. After it returned 0 the engine changes nothing on the target any more,
	 * and poll() tells the final truth: a statement that could not be halted any more
	 * is COMPLETED. -1 = it is not known whether the target still works for us: call
	 * it again, or close and look at the target. start() may follow. */
	int (*stop)(struct engine_run *run, struct sb_err *err);

	/* Callable from any thread at any time between open and close: the lease may be
	 * lost, make the target stop working for us as fast as possible. Returns at once;
	 * nothing new is begun from then on, start() is refused, close() waits for the
	 * end. */
	void (*fence)(struct engine_run *run);

	/* NULL where the caps do not have it. */
	int (*cutover)(struct engine_run *run, struct sb_err *err);
	int (*cancel)(struct engine_run *run,
		      struct sb_err *err); /* remove every artefact */
	int (*set_volume)(struct engine_run *run, int volume, struct sb_err *err);
	int (*revert)(struct engine_run *run, struct sb_err *err);
	int (*skip_revert)(struct engine_run *run, struct sb_err *err);

	/* stop() if needed, release the locks, disconnect; run is gone. NULL is fine. */
	void (*close)(struct engine_run *run);

	/* Remove from a target what dead processes left and nobody needs: never anything
	 * of an open operation, or that is not provably ours. NULL = leaves nothing. */
	int (*tidy)(const struct engine_tidy_request *request, struct engine_tidied *out,
		    struct sb_err *err);
};

/* Calls with effects that no transaction covers. The driver makes one only when the lease
 * has more time left than the call may take (DESIGN.md 3). */
#define ENGINE_EFFECTS(X)     \
	X(START, "start")     \
	X(STOP, "stop")       \
	X(CANCEL, "cancel")   \
	X(CUTOVER, "cutover") \
	X(VOLUME, "volume")   \
	X(REVERT, "revert")   \
	X(SKIP_REVERT, "skip_revert")
enum engine_effect {
#define X(name, text) ENGINE_EFFECT_##name,
	ENGINE_EFFECTS(X)
#undef X
		ENGINE_EFFECT_COUNT
};
const char *engine_effect_name(enum engine_effect e);

struct engine {
	const char *name;	   /* in replies and rows: "mysql" */
	const char *database_type; /* the configuration's type it serves: "mysql" */
	unsigned caps;		   /* enum engine_caps */
	/* Without a stored resume_state its running work cannot be found again: an
	 * accepted start that gives none is uncertain. */
	bool needs_resume_state;
	/* The first state of a task that was handed over; PREPARING_BRANCH or RUNNING. */
	enum engine_task_state first;
	int worst_ms[ENGINE_EFFECT_COUNT]; /* how long each may take, its timeouts summed
					    */
	struct engine_ops ops;
};

extern const struct engine mysql_engine; /* engines/mysql/engine.c */
#ifdef SB_FAULTS
extern const struct engine fake_engine, fake_resident_engine; /* engines/fake/engine.c */
#endif

/* registry.c: NULL when there is none. */
const struct engine *engine_for_type(const char *database_type);
const struct engine *engine_by_name(const char *name);

#endif
