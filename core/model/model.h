/*
 * model.h - Plan -> Apply -> Operation -> Task, and what hangs on them.
 *
 * Plain structs that core/store fills and everybody above reads (SEMANTICS A). Strings
 * belong to the context that the store call was given. Times are DATETIME(6) texts of
 * the database in UTC, NULL when not set.
 */
#ifndef SB_MODEL_MODEL_H
#define SB_MODEL_MODEL_H

#include <stdint.h>

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/model/state.h"

/* Lease and retry numbers (DESIGN.md 3 and 4; SEMANTICS B.8, C.1). */
enum {
	LEASE_SECONDS = 60, /* a claim is valid this long after each heartbeat */
	HEARTBEAT_SECONDS = 10,
	SELF_FENCE_SECONDS = 45, /* without a heartbeat the driver halts its engine */
	RETRY_BUDGET = 10,	 /* attempts beyond the first */
	RETRY_WINDOW_SECONDS = 24 * 60 * 60,
	PARK_SECONDS = 2, /* between looks at an engine that works without us */
	DEATHS_FREE = 3,  /* driver deaths in a row that cost no attempt */
	/* Who has worked for so long, about as long as a whole budget lasts, has all of
	 * it again: a copy of days does not end because of ten failures on ten days. */
	RETRY_RENEW_SECONDS = 10 * 60,
};
/* What a stopped apply has copied is worth continuing for so long (SEMANTICS D.2). */
#define RESTART_WINDOW_DAYS 7
/* An external engine that accepted a start may still say "stopped" for so long. */
#define START_GRACE_SECONDS 30
/* Seconds until the attempt after `attempt` (0 = the first run failed). */
int retry_backoff_seconds(int attempt);

#define VOLUME_MIN     1
#define VOLUME_MAX     11
#define VOLUME_DEFAULT 3

struct plan {
	uint64_t id;
	char *plan_id; /* public identifier, "plan-…" */
	char *database, *database_type, *environment, *deployment, *target, *engine;
	char *repository, *head_sha;
	int64_t pull_request; /* 0 = none */
	/* JSON as requested: {ns:{files:{name:sql}}}. Of a rollback of several
	 * deployments also {ns:{deployments:{name:{files:…}}}}: each has its own. */
	char *schema_files;
	char *plan_data; /* JSON: changes, lint_violations, errors, originals */
	int n_changes, n_errors;
	char *rollback_of; /* the apply that it takes back; "" = none */
	char *created_at;
};

/*
 * Apply options: strings on the wire, typed inside, lossless both ways (#121). The
 * table is in options.c; an unknown key or value is SB_EINVALID.
 */
struct apply_options {
	bool allow_unsafe, defer_cutover, defer_deploy, enable_revert, skip_revert;
	char *branch;	 /* NULL = not given */
	char *algorithm; /* auto, instant, inplace, copy; NULL = auto */
	int volume;	 /* 0 = not given */
	int keep_old;	 /* hours; 0 = not given */
	bool rollback;	 /* the plan takes back an apply */
};
struct json_object;
int options_parse(TALLOC_CTX *ctx, struct json_object *map, struct apply_options *out,
		  struct sb_err *err) MUST_CHECK;
/* A new reference, {string: string}, only what was given. */
struct json_object *options_to_json(const struct apply_options *o);

struct apply {
	uint64_t id, plan_row;
	char *apply_id; /* public identifier, "apply-…" */
	char *plan_id;
	char *database, *database_type, *environment, *deployment, *engine, *caller;
	char *repository;
	int64_t pull_request;
	char *options; /* JSON {string:string} */
	int volume;
	enum state state;
	char *error_code, *error_message;
	uint64_t revision; /* grows with every visible change: the ETag */
	char *created_at, *started_at, *completed_at, *updated_at;
	char *released_at; /* not in lists */
};

struct operation {
	uint64_t id, apply_row;
	char *apply_id;
	char *deployment, *target;
	enum state state;
	char *error_code, *error_message;
	int attempt;			   /* recovery attempts used */
	int deaths;			   /* drivers lost in a row without progress */
	bool engine_accepted;		   /* the engine has said that it has the work */
	int poll_errors;		   /* in a row, when it was parked */
	char *engine_state;		   /* opaque, from engine poll; NULL = none */
	char *cutover_policy, *on_failure; /* rollout.h; as they were at creation */
	uint64_t served_request;	   /* the highest request that it has obeyed */
	/* Of its apply, when it was loaded. */
	char *database, *environment, *engine;
	char *options; /* JSON {string:string} */
	int volume;
	int n_pending; /* control requests */
	uint64_t lease_token;
	char *lease_owner; /* NULL = handed back properly */
	char *claim_after, *started_at, *completed_at;
};

struct task {
	uint64_t id, operation_row;
	char *task_id; /* public, "task-…" */
	int seq;
	char *namespace, *table, *ddl, *action;
	char *execution_mode, *mode_reason, *algorithm;
	enum state state;
	char *error_message;
	int attempt;
	int64_t rows_copied, rows_total;		      /* -1 = unknown */
	int64_t percent;				      /* -1 = unknown */
	int64_t eta_seconds;				      /* -1 = unknown */
	int64_t rows_per_second, checksum_rows, pending_keys; /* -1 = unknown */
	bool is_instant, throttled;
	char *throttle_reason, *detail;
	int cutover_attempts;
	char *started_at, *completed_at;
};
/*
 * 0 to 100, -1 = unknown. The total is the server's estimate: when more was copied nobody
 * can tell how much is left, and it is simply at work (SEMANTICS F.2).
 */
int task_percent(const struct task *t);

/*      name         wire          what the request is about                       */
#define CONTROLS(X)           \
	X(STOP, "stop")       \
	X(CANCEL, "cancel")   \
	X(START, "start")     \
	X(CUTOVER, "cutover") \
	X(VOLUME, "volume")   \
	X(RELEASE, "release") \
	X(REVERT, "revert")   \
	X(SKIP_REVERT, "skip_revert")
enum control {
#define X(name, wire) CONTROL_##name,
	CONTROLS(X)
#undef X
		CONTROL_COUNT
};
const char *control_name(enum control c);
int control_parse(const char *name, int *control);

struct control_request {
	uint64_t id;
	enum control operation;
	char *status; /* pending, completed, failed */
	char *requested_by, *error_message;
	char *metadata; /* JSON */
	char *created_at, *completed_at;
};

struct log_entry {
	uint64_t id;
	char *apply_id, *task_id, *level, *event_type, *source, *message;
	char *old_state, *new_state, *created_at;
};

struct lock {
	char *database, *database_type, *owner, *repository, *pending_plan_id;
	int64_t pull_request;
	char *created_at, *updated_at;
};

struct setting {
	char *key, *value, *updated_at;
};

#endif
