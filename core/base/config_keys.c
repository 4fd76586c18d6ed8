/*
 * config_keys.c - every key of the configuration: the arrays of config_internal.h.
 */
#include "core/base/config_internal.h"

struct connection { /* what a pointer to struct db_params points to */
	struct db_params db;
};

#define SECTION(k, type) .keys = (k), .n = ARRAY_SIZE(k), .size = sizeof(type)

/* clang-format off */

/* The keys of a connection, inside `field` of struct `st`. */
#define CONNECTION(st, field, in_form)                                                     \
	{ .name = "host", .type = KEY_STR, .preset = "127.0.0.1",                          \
	  .offset = offsetof(st, field.host), .form = (in_form),                           \
	  .example = "127.0.0.1", .doc = "TCP host; not used when socket is set" },        \
	{ .name = "port", .type = KEY_INT, .preset = "3306", .min = 1, .max = 65535,       \
	  .offset = offsetof(st, field.port), .form = (in_form),                           \
	  .example = "3306", .doc = "TCP port" },                                          \
	{ .name = "socket", .type = KEY_STR, .preset = "",                                 \
	  .offset = offsetof(st, field.socket), .form = (in_form),                         \
	  .example = "", .doc = "unix socket of the server; wins over host and port" },    \
	{ .name = "user", .type = KEY_STR,                                                 \
	  .offset = offsetof(st, field.user), .form = (in_form),                           \
	  .example = "schemabot", .doc = "account on the server" },                        \
	{ .name = "password", .type = KEY_SECRET,                                          \
	  .offset = offsetof(st, field.password), .form = (in_form),                       \
	  .example = "file:/etc/schemabot/password",                                       \
	  .doc = "env:NAME or file:PATH; never the password itself" }

#define WORKSPACE(st, field, in_form)                                                      \
	{ .name = "workspace", .type = KEY_OPTION, .preset = "",                           \
	  .offset = offsetof(st, field), .sub = &connection_section, .form = (in_form),     \
	  .example = "",                                                                   \
	  .doc = "where statements are tried out: a server of the same kind and version, or" \
		 " another account on the same one; default: this server and account" }

#define THROTTLE(st, field, in_form)                                                       \
	{ .name = "throttle", .type = KEY_GROUP, .preset = "",                             \
	  .offset = offsetof(st, field), .sub = &throttle_section, .form = (in_form),      \
	  .example = "",                                                                   \
	  .doc = "when the copy of a table waits, because the server or its replicas have" \
		 " too much to do" }

#define SCHEMAS(st, array, counter, in_form, in_example)                                   \
	{ .name = "schemas", .type = KEY_STRMAP, .preset = "",                             \
	  .offset = offsetof(st, array), .count = offsetof(st, counter),                   \
	  .form = (in_form), .example = (in_example),                                      \
	  .doc = "namespace of requests = schema on the server;"                           \
		 " default: the database's name for both" }

static const struct key storage_keys[] = {
	CONNECTION(struct config, storage, FORM_BOTH),
	{ .name = "database", .type = KEY_STR,
	  .offset = offsetof(struct config, storage.schema),
	  .example = "schemabot", .doc = "schema that holds our own tables" },
};
static const struct section storage_section = { SECTION(storage_keys, struct config) };

static const struct key token_keys[] = {
	{ .name = "role", .type = KEY_ROLE, .offset = offsetof(struct config_token, role),
	  .example = "read", .doc = "read, or write (which includes read)" },
	{ .name = "sha256", .type = KEY_DIGEST,
	  .offset = offsetof(struct config_token, sha256),
	  .example = "env:SCHEMABOT_TOKEN_SHA256",
	  .doc = "SHA-256 of the token in hex: printf %s \"$TOKEN\" | sha256sum" },
};
static const struct section token_section = { SECTION(token_keys, struct config_token) };

static const struct key connection_keys[] = { CONNECTION(struct connection, db, FORM_BOTH) };
static const struct section connection_section = {
	SECTION(connection_keys, struct connection)
};

static const struct key throttle_keys[] = {
	{ .name = "max_replica_lag_seconds", .type = KEY_INT, .preset = "120", .max = 86400,
	  .offset = offsetof(struct throttle_limits, max_replica_lag_seconds),
	  .example = "120",
	  .doc = "so far behind any of `replicas` may be; 0 = do not look at them. One that"
		 " cannot be asked for 45 s counts as too far behind" },
	{ .name = "max_threads_running", .type = KEY_INT, .preset = "50", .max = 100000,
	  .offset = offsetof(struct throttle_limits, max_threads_running), .example = "50",
	  .doc = "statements that the server executes at once (Threads_running without ours);"
		 " 0 = any number" },
	{ .name = "max_history_list", .type = KEY_INT, .preset = "1000000",
	  .max = 2000000000, .offset = offsetof(struct throttle_limits, max_history_list),
	  .example = "1000000",
	  .doc = "length of InnoDB's history list, which purge works off; 0 = any" },
	/* A server that has nothing to do leaves some of it unwritten (seen: MySQL, 6 %). */
	{ .name = "max_checkpoint_age_percent", .type = KEY_INT, .preset = "0",
	  .min = 30, .max = 100, .or_zero = true,
	  .offset = offsetof(struct throttle_limits, max_checkpoint_age_percent),
	  .example = "0",
	  .doc = "so full InnoDB's redo log may be; 0 = any. A copy alone fills a small one:"
		 " set it (80) where the redo log has room for minutes of writes" },
	{ .name = "replicas", .type = KEY_LIST, .preset = "",
	  .offset = offsetof(struct throttle_limits, replicas),
	  .count = offsetof(struct throttle_limits, n_replicas),
	  .sub = &connection_section, .example = "",
	  .doc = "whose lag is looked at; the account needs REPLICATION CLIENT there (on"
		 " MariaDB: REPLICA MONITOR)" },
};
static const struct section throttle_section = {
	SECTION(throttle_keys, struct throttle_limits)
};

static const struct key deployment_keys[] = {
	CONNECTION(struct config_deployment, db, FORM_BOTH),
	WORKSPACE(struct config_deployment, workspace, FORM_BOTH),
	THROTTLE(struct config_deployment, throttle, FORM_BOTH),
	{ .name = "target", .type = KEY_STR, .preset = "",
	  .offset = offsetof(struct config_deployment, target), .example = "",
	  .doc = "name of the server, as replies show it; default: the deployment's name" },
	SCHEMAS(struct config_deployment, schemas, n_schemas, FORM_BOTH,
		"shop = \"shop_production\";"),
};
static const struct section deployment_section = {
	SECTION(deployment_keys, struct config_deployment)
};

static const struct key drops_keys[] = {
	{ .name = "enabled", .type = KEY_BOOL, .preset = "false",
	  .offset = offsetof(struct config_environment, quarantine_drops),
	  .example = "false",
	  .doc = "true: DROP TABLE moves the table into the schema _schemabot_drops" },
	{ .name = "retention_hours", .type = KEY_INT, .preset = "168", .min = 1, .max = 8760,
	  .offset = offsetof(struct config_environment, drops_retention_hours),
	  .example = "168", .doc = "and the reaper drops it there after so long" },
};
static const struct section drops_section = {
	SECTION(drops_keys, struct config_environment)
};

static const struct key direct_keys[] = {
	{ .name = "max_table_rows", .type = KEY_INT, .preset = "0", .max = 1000000,
	  .offset = offsetof(struct config_environment, direct_max_rows), .example = "0",
	  .doc = "so many rows at most, which are counted; 0 = no table" },
	{ .name = "max_table_bytes", .type = KEY_INT, .preset = "0", .max = 1073741824,
	  .offset = offsetof(struct config_environment, direct_max_bytes), .example = "0",
	  .doc = "instead of that: so many bytes of its files at most; 0 = no table" },
	{ .name = "lock_acquisition_timeout", .type = KEY_INT, .preset = "10", .min = 1,
	  .max = 60, .offset = offsetof(struct config_environment, direct_lock_seconds),
	  .example = "10",
	  .doc = "seconds that such a statement waits for its lock, and others behind it" },
};
static const struct section direct_section = {
	SECTION(direct_keys, struct config_environment)
};

static const struct key environment_keys[] = {
	CONNECTION(struct config_environment, plain.db, FORM_WITHOUT),
	WORKSPACE(struct config_environment, plain.workspace, FORM_WITHOUT),
	THROTTLE(struct config_environment, plain.throttle, FORM_WITHOUT),
	{ .name = "deployment", .type = KEY_STR, .preset = "default",
	  .offset = offsetof(struct config_environment, plain.name), .form = FORM_WITHOUT,
	  .example = "default", .doc = "name of the route, as replies show it" },
	{ .name = "target", .type = KEY_STR, .preset = "",
	  .offset = offsetof(struct config_environment, plain.target), .form = FORM_WITHOUT,
	  .example = "",
	  .doc = "name of the server, as replies show it; default: the database's name" },
	SCHEMAS(struct config_environment, plain.schemas, plain.n_schemas, FORM_WITHOUT,
		"shop = \"shop_staging\";"),
	{ .name = "deployments", .type = KEY_MAP, .preset = "",
	  .offset = offsetof(struct config_environment, several),
	  .count = offsetof(struct config_environment, n_several),
	  .sub = &deployment_section, .form = FORM_WITH, .example = "eu",
	  .doc = "instead of a server of its own: several that have the same schemas and"
		 " are changed by one apply" },
	{ .name = "deployment_order", .type = KEY_NAMES, .preset = "",
	  .offset = offsetof(struct config_environment, order),
	  .count = offsetof(struct config_environment, n_order),
	  .form = FORM_WITH, .example = "[ \"eu\" ]",
	  .doc = "all of them, in the order of the rollout; default: as written" },
	{ .name = "cutover_policy", .type = KEY_CHOICE, .preset = "rolling",
	  .offset = offsetof(struct config_environment, cutover_policy),
	  .choices = "rolling barrier parallel", .form = FORM_WITH, .example = "rolling",
	  .doc = "rolling: one after the other; barrier: prepared one after the other, then"
		 " cut over together, in order; parallel: all at once" },
	{ .name = "on_failure", .type = KEY_CHOICE, .preset = "halt",
	  .offset = offsetof(struct config_environment, on_failure),
	  .choices = "halt continue pause", .form = FORM_WITH, .example = "halt",
	  .doc = "when one fails, the later ones: halt: are cancelled; continue: go on;"
		 " pause: wait until somebody releases them" },
	{ .name = "pending_drops", .type = KEY_GROUP, .preset = "", .sub = &drops_section,
	  .example = "", .doc = "what becomes of dropped tables" },
	{ .name = "direct", .type = KEY_GROUP, .preset = "", .sub = &direct_section,
	  .example = "",
	  .doc = "which tables may be changed under a lock that writes wait for, where the"
		 " online copy is not possible" },
	{ .name = "kill_blockers_after", .type = KEY_INT, .preset = "0", .max = 1000,
	  .offset = offsetof(struct config_environment, kill_blockers_after), .example = "0",
	  .doc = "so many tries for a table's lock, and the transactions that hold it are"
		 " ended (the account needs CONNECTION ADMIN); 0 = never" },
};
static const struct section environment_section = {
	SECTION(environment_keys, struct config_environment), .fork = "deployments",
	.fork_offset = offsetof(struct config_environment, n_several),
};

/* The ids of core/schema/rules.def, which this folder cannot see; a test compares them. */
#define LINT_RULES \
	"recompute_values not_null required_column drop_default" \
	" drop_auto_increment rename_column rename_table add_primary_key change_primary_key add_unique" \
	" unite_values drop_index add_check drop_check add_foreign_key" \
	" drop_foreign_key leave_innodb repartition counter_capacity" \
	" no_primary_key primary_key_type foreign_key odd_name" \
	" character_set redundant_index storage_engine zero_date" \
	" comment_characters small_counter inexact_money" \
	" no_future_partition too_many_indexes nullable_unique" \
	" reserved_word deprecated_type display_width unenforced_check" \
	" timestamp_2038 float_column enum_or_set signed_counter wide_index" \
	" wide_primary_key mixed_collation name_case table_comment" \
	" unmanaged_object rollback_data rename_done nearly_atomic"
#define LINT_LOSSES \
	"drop_table drop_column drop_partition lossy_type charset_narrowing" \
	" reorder_values becomes_generated"

static const struct key database_keys[] = {
	{ .name = "type", .type = KEY_STR, .offset = offsetof(struct config_database, type),
	  .example = "mysql", .doc = "which engine serves it: mysql (MySQL and MariaDB)" },
	{ .name = "environments", .type = KEY_MAP,
	  .offset = offsetof(struct config_database, environments),
	  .count = offsetof(struct config_database, n_environments),
	  .sub = &environment_section, .example = "staging", .example_with = "production",
	  .doc = "one section an environment" },
	{ .name = "lint", .type = KEY_LEVELS, .preset = "",
	  .offset = offsetof(struct config_database, lint),
	  .count = offsetof(struct config_database, n_lint),
	  .choices = "off info warning error", .names = LINT_RULES, .fixed = LINT_LOSSES,
	  .why_fixed = "a change that loses data always needs the option allow_unsafe",
	  .example = "foreign_key = \"warning\"; table_comment = \"info\";",
	  .doc = "rule = off, info, warning or error; an error makes a change unsafe."
		 " GET /api/lint-rules lists the rules" },
};
static const struct section database_section = {
	SECTION(database_keys, struct config_database)
};

static const struct key root_keys[] = {
	{ .name = "run_dir", .type = KEY_STR, .preset = "/run/schemabot",
	  .offset = offsetof(struct config, run_dir), .example = "/run/schemabot",
	  .doc = "this host's slot files, locks and wake-up socket" },
	{ .name = "drivers", .type = KEY_INT, .preset = "4", .min = 1, .max = 64,
	  .offset = offsetof(struct config, drivers), .example = "4",
	  .doc = "how many operations this host drives at a time; those that only wait for a cutover are not counted" },
	{ .name = "log_level", .type = KEY_LEVEL, .preset = "info",
	  .offset = offsetof(struct config, log_level), .example = "info",
	  .doc = "debug, info, warn or error" },
	{ .name = "log_retention_days", .type = KEY_INT, .preset = "90", .max = 36500,
	  .offset = offsetof(struct config, log_retention_days), .example = "90",
	  .doc = "how long the timeline of an apply is kept after its end; 0 = for ever" },
	{ .name = "storage", .type = KEY_GROUP, .sub = &storage_section, .example = "",
	  .doc = "where our own tables live" },
	{ .name = "tokens", .type = KEY_MAP, .preset = "",
	  .offset = offsetof(struct config, tokens),
	  .count = offsetof(struct config, n_tokens), .sub = &token_section,
	  .example = "deploy",
	  .doc = "who may call the API; one section a token, its name is the caller's name" },
	{ .name = "databases", .type = KEY_MAP,
	  .offset = offsetof(struct config, databases),
	  .count = offsetof(struct config, n_databases), .sub = &database_section,
	  .example = "shop", .doc = "the databases that may be changed" },
};
/* clang-format on */

const struct section config_root = { SECTION(root_keys, struct config) };
