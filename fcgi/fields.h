/*
 * fields.h - what requests may contain: one list of fields for each body and query
 * string.
 *
 * From each list come the struct that a handler reads, the table that decodes into it,
 * and the description in the OpenAPI document, so that the three cannot differ. A field
 * that is not in a list is refused by name.
 *
 * F(struct, type, key, need, max, description): max is bytes for text, the greatest value
 * for a number, 0 for no limit.
 */
#ifndef SB_FCGI_FIELDS_H
#define SB_FCGI_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/json.h"

enum { OPTIONAL = 0, REQUIRED = 1 };

/* Longest values that fit the columns they end up in. */
enum {
	NAME_MAX_BYTES = 64,
	CALLER_MAX_BYTES = 180, /* what is stored has the token's name in front */
	REPOSITORY_MAX_BYTES = 255,
	SETTING_VALUE_MAX_BYTES = 4096,
};

struct input {
	const char *name; /* of its schema in the OpenAPI document */
	const struct json_field *fields;
	const char *const *docs; /* docs[i] describes fields[i] */
	size_t n;
	size_t size; /* of the struct that the fields fill */
};

/* ---- bodies ---------------------------------------------------------------------- */

#define ROUTE_FIELDS(F, S)                                                     \
	F(S, STR, deployment, OPTIONAL, 255,                                   \
	  "Accepted when it is the configured deployment, refused otherwise.") \
	F(S, STR, target, OPTIONAL, 255,                                       \
	  "Accepted when it is the configured target, refused otherwise.")

#define PLAN_FIELDS(F, S)                                                                  \
	F(S, STR, database, REQUIRED, NAME_MAX_BYTES, "A configured database.")            \
	F(S, STR, environment, REQUIRED, NAME_MAX_BYTES, "One of its environments.")       \
	F(S, STR, type, OPTIONAL, NAME_MAX_BYTES, "The database's type, such as mysql.")   \
	F(S, OBJECT, schema_files, REQUIRED, 0,                                            \
	  "The desired schema, complete: {namespace: {\"files\": {name: CREATE TABLE}}}.") \
	F(S, STR, repository, OPTIONAL, REPOSITORY_MAX_BYTES,                              \
	  "Where the files are from.")                                                     \
	F(S, INT, pull_request, OPTIONAL, INT32_MAX, "The pull request's number.")         \
	F(S, STR, head_sha, OPTIONAL, 64, "The commit the files are from.")                \
	ROUTE_FIELDS(F, S)

#define APPLY_FIELDS(F, S)                                                             \
	F(S, STR, plan_id, REQUIRED, NAME_MAX_BYTES, "The plan to carry out.")         \
	F(S, STR, environment, REQUIRED, NAME_MAX_BYTES, "The plan's environment.")    \
	F(S, STR, caller, OPTIONAL, CALLER_MAX_BYTES, "Who asks, for people to read.") \
	F(S, OBJECT, options, OPTIONAL, 0, "Apply options; every value is a string.")  \
	ROUTE_FIELDS(F, S)

#define ROLLBACK_FIELDS(F, S)                                                          \
	F(S, STR, apply_id, REQUIRED, NAME_MAX_BYTES,                                  \
	  "The completed apply to take back.")                                         \
	F(S, STR, environment, REQUIRED, NAME_MAX_BYTES, "The apply's environment.")   \
	F(S, STR, caller, OPTIONAL, CALLER_MAX_BYTES, "Who asks, for people to read.") \
	ROUTE_FIELDS(F, S)

#define CONTROL_FIELDS(F, S)                                                           \
	F(S, STR, apply_id, OPTIONAL, NAME_MAX_BYTES,                                  \
	  "The apply; or name database and environment for the active one.")           \
	F(S, STR, database, OPTIONAL, NAME_MAX_BYTES, "The apply's database.")         \
	F(S, STR, environment, OPTIONAL, NAME_MAX_BYTES, "The apply's environment.")   \
	F(S, STR, caller, OPTIONAL, CALLER_MAX_BYTES, "Who asks, for people to read.") \
	ROUTE_FIELDS(F, S)

#define VOLUME_FIELDS(F, S)  \
	CONTROL_FIELDS(F, S) \
	F(S, INT, volume, REQUIRED, 0, "How hard to work: 1 (gentle) to 11.")

#define LOCK_ACQUIRE_FIELDS(F, S)                                                        \
	F(S, STR, database, REQUIRED, NAME_MAX_BYTES, "The database to reserve.")        \
	F(S, STR, database_type, OPTIONAL, NAME_MAX_BYTES,                               \
	  "Its type; default: as configured.")                                           \
	F(S, STR, owner, REQUIRED, CALLER_MAX_BYTES,                                     \
	  "Who it is for: repo#pr or cli:user@host.")                                    \
	F(S, STR, repository, OPTIONAL, REPOSITORY_MAX_BYTES, "The owner's repository.") \
	F(S, INT, pull_request, OPTIONAL, INT32_MAX, "The owner's pull request.")        \
	F(S, STR, pending_plan_id, OPTIONAL, NAME_MAX_BYTES, "The plan it is held for.")

#define LOCK_RELEASE_FIELDS(F, S)                          \
	F(S, STR, database, OPTIONAL, NAME_MAX_BYTES,      \
	  "The reserved database (required).")             \
	F(S, STR, database_type, OPTIONAL, NAME_MAX_BYTES, \
	  "Its type; default: as configured.")             \
	F(S, STR, owner, OPTIONAL, CALLER_MAX_BYTES,       \
	  "The lock's owner (required unless forced).")    \
	F(S, BOOL, force, OPTIONAL, 0, "Release it whoever owns it.")

#define SETTING_FIELDS(F, S)                       \
	F(S, STR, key, REQUIRED, NAME_MAX_BYTES,   \
	  "The setting: a-z, 0-9, '_', '-', '.'.") \
	F(S, STR, value, REQUIRED, SETTING_VALUE_MAX_BYTES, "Its new value.")

#define PULL_FIELDS(F, S)                                                                \
	F(S, STR, database, REQUIRED, NAME_MAX_BYTES, "A configured database.")          \
	F(S, STR, environment, REQUIRED, NAME_MAX_BYTES, "One of its environments.")     \
	F(S, STR, type, OPTIONAL, NAME_MAX_BYTES, "The database's type, such as mysql.") \
	F(S, ARRAY, namespaces, OPTIONAL, 0, "Which namespaces to read; default: all.")  \
	F(S, BOOL, catalog_detail, OPTIONAL, 0,                                          \
	  "Also sizes, indexes, partitions, and what SchemaBot does not manage.")        \
	ROUTE_FIELDS(F, S)

/* ---- query strings: text, numbers and booleans only ------------------------------- */

#define LIMIT_FIELD(F, S) F(S, INT, limit, OPTIONAL, 1000, "How many at most, 1 to 1000.")

#define PROGRESS_QUERY(F, S) \
	F(S, STR, environment, OPTIONAL, NAME_MAX_BYTES, "Only this environment.")

#define STATUS_QUERY(F, S)                                                             \
	F(S, STR, database, OPTIONAL, NAME_MAX_BYTES, "Only this database.")           \
	F(S, STR, environment, OPTIONAL, NAME_MAX_BYTES, "Only this environment.")     \
	F(S, STR, deployment, OPTIONAL, 255, "Only this deployment.")                  \
	F(S, STR, state, OPTIONAL, NAME_MAX_BYTES, "Only applies in this state.")      \
	F(S, BOOL, failures, OPTIONAL, 0, "Only failed ones, retrying ones included.") \
	F(S, BOOL, active, OPTIONAL, 0, "Only those neither settled nor stopped.")     \
	F(S, STR, last, OPTIONAL, 16,                                                  \
	  "Only those created in this time: 90s, 30m, 24h, 7d.")                       \
	LIMIT_FIELD(F, S)                                                              \
	F(S, STR, after, OPTIONAL, NAME_MAX_BYTES,                                     \
	  "Walk all applies, newest first: empty to begin, then next_after of the last reply.")

#define HISTORY_QUERY(F, S)                                                        \
	F(S, STR, environment, OPTIONAL, NAME_MAX_BYTES, "Only this environment.") \
	LIMIT_FIELD(F, S)                                                          \
	F(S, STR, after, OPTIONAL, NAME_MAX_BYTES,                                 \
	  "Continue after this apply_id (next_after).")

#define LOGS_QUERY(F, S)                                  \
	F(S, STR, environment, OPTIONAL, NAME_MAX_BYTES,  \
	  "Of this environment's latest apply.")          \
	F(S, STR, apply_id, OPTIONAL, NAME_MAX_BYTES,     \
	  "Of this apply (required without a database).") \
	LIMIT_FIELD(F, S)                                 \
	F(S, INT, before, OPTIONAL, 0, "Lines older than the one with this id.")

#define INPUTS(X)                                                        \
	X(plan_input, PLAN_FIELDS, "PlanRequest")                        \
	X(apply_input, APPLY_FIELDS, "ApplyRequest")                     \
	X(rollback_input, ROLLBACK_FIELDS, "RollbackRequest")            \
	X(volume_input, VOLUME_FIELDS, "VolumeRequest")                  \
	X(lock_acquire_input, LOCK_ACQUIRE_FIELDS, "LockAcquireRequest") \
	X(lock_release_input, LOCK_RELEASE_FIELDS, "LockReleaseRequest") \
	X(setting_input, SETTING_FIELDS, "SettingRequest")               \
	X(pull_input, PULL_FIELDS, "PullRequest")                        \
	X(progress_query, PROGRESS_QUERY, "ProgressQuery")               \
	X(status_query, STATUS_QUERY, "StatusQuery")                     \
	X(history_query, HISTORY_QUERY, "HistoryQuery")                  \
	X(logs_query, LOGS_QUERY, "LogsQuery")

#define MEMBER_STR			      const char *
#define MEMBER_BOOL			      bool
#define MEMBER_INT			      int64_t
#define MEMBER_OBJECT			      struct json_object *
#define MEMBER_ARRAY			      struct json_object *
#define MEMBER(st, type, key, need, max, doc) MEMBER_##type key;

#define X(name, LIST, schema)      \
	struct name {              \
		LIST(MEMBER, name) \
	};                         \
	extern const struct input name##_spec;
INPUTS(X)
#undef X
#undef MEMBER

/* The fields of stop, start, cancel and cutover, decoded into a struct volume_input. */
extern const struct input control_input_spec;

/*
 * Fill *out (zeroed, spec->size bytes) from a query string ("a=1&b=2", percent-encoded).
 * SB_EINVALID names a parameter that is unknown, repeated, malformed or missing, and the
 * ones that there are. Text belongs to ctx.
 */
int query_decode(TALLOC_CTX *ctx, const char *query, const struct input *spec, void *out,
		 struct sb_err *err) MUST_CHECK;

/*
 * Undo percent-encoding ('+' is a blank when in_query). NULL for a bad escape, invalid
 * UTF-8 or a control character: names of ours have none.
 */
char *percent_decode(TALLOC_CTX *ctx, const char *text, size_t n, bool in_query);

#endif
