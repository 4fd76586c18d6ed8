/*
 * config.h - the configuration file: one table says what may stand in it.
 *
 * Read once at start by every process (config_load). libconfig syntax; an unknown key,
 * a wrong type, a value out of range or an unresolvable secret is SB_ECONFIG with file
 * and line. Secrets are references (`env:NAME`, `file:PATH`) and are resolved here.
 *
 * Must never: keep or print a literal secret, or accept a name that could not be a
 * lock key or a metrics label (names are [a-z][a-z0-9_-]*, at most 64 bytes).
 */
#ifndef SB_BASE_CONFIG_H
#define SB_BASE_CONFIG_H

#include <stdio.h>

#include "core/base/db.h"
#include "core/base/log.h"
#include "core/base/throttle.h"

enum config_role { ROLE_READ = 1, ROLE_WRITE = 2 };

struct config_token {
	const char *name;
	enum config_role role;
	const char *sha256; /* 64 lower-case hex digits */
};

struct config_schema {
	const char *namespace, *schema; /* name in requests -> schema on the server */
};

/* One server of an environment, and the schemas on it. */
struct config_deployment {
	const char *name, *target; /* the route, as requests and replies name it */
	struct db_params db;
	struct db_params *workspace; /* scratch schemas are made there; NULL: on db */
	struct throttle_limits throttle;
	struct config_schema *schemas; /* at least one; all have the same namespaces */
	size_t n_schemas;
};

/*
 * One server, or several that one apply changes in an order: `deployments` either way.
 * The policies are words of core/model/rollout.h. deployment and target name the whole
 * route: the names of all deployments, in order, with commas between them.
 */
struct config_environment {
	const char *name;
	const char *deployment, *target;
	const struct config_deployment *deployments; /* at least one */
	size_t n_deployments;
	const char *cutover_policy, *on_failure;
	bool quarantine_drops; /* a dropped table is kept aside for so long */
	int drops_retention_hours;
	/* Small tables that cannot be copied online may be changed by the server itself:
	 * at most one of the bounds is not 0. */
	int direct_max_rows, direct_max_bytes, direct_lock_seconds;
	int kill_blockers_after; /* tries for a table's lock; 0 = never */

	/* As written; for the loader and the dump only. */
	struct config_deployment plain, *several;
	const char **order;
	size_t n_several, n_order;
};

struct config_lint {
	const char *rule, *level; /* words of core/schema/rules.h */
};

struct config_database {
	const char *name, *type; /* type: "mysql" */
	struct config_environment *environments;
	size_t n_environments;
	struct config_lint *lint; /* rules whose level is not their own */
	size_t n_lint;
};

struct config {
	const char *path;
	const char *run_dir;
	int drivers;
	enum log_level log_level;
	int log_retention_days; /* of settled applies' timelines; 0 = for ever */
	struct db_params storage;
	struct config_token *tokens;
	size_t n_tokens;
	struct config_database *databases;
	size_t n_databases;
};

int config_load(TALLOC_CTX *ctx, const char *path, struct config **out,
		struct sb_err *err) MUST_CHECK;

/* NULL when not configured. */
const struct config_database *config_database(const struct config *c, const char *name);
const struct config_environment *config_environment(const struct config_database *d,
						    const char *name);
/* NULL when the environment has none of that name. */
const struct config_deployment *config_deployment(const struct config_environment *e,
						  const char *name);
/* The schema on the server for a namespace of requests, or NULL. */
const char *config_schema(const struct config_deployment *d, const char *namespace);

/* Everything in effect, secrets shown as [secret]. */
void config_dump(const struct config *c, FILE *out);
/* A commented example of every key, from the same table. */
void config_example(FILE *out);

#endif
