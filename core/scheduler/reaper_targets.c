/*
 * reaper_targets.c - the reaper's duties on target servers: scratch schemas of crashed
 * planners (of our storage's convergence too), and what engines have left behind. See
 * reaper.h.
 *
 * Which of it may go is asked of our storage (reap_is_over); what it is and how it goes
 * is the engine's knowledge (engine_ops.tidy).
 */
#include <string.h>

#include "core/scheduler/reaper.h"
#include "core/schema/schema.h"
#include "core/store/counter.h"
#include "core/store/reap.h"
#include "engines/engine.h"

#define SCRATCH_MAX_AGE_SECONDS 0 /* one that is in use is locked */

typedef int target_fn(struct reaper *r, const struct config_database *database,
		      const struct config_environment *environment,
		      const struct config_deployment *target, struct sb_err *err);

/* On every deployment of every environment; the sum of what fn() returned. */
static int on_all(struct reaper *r, target_fn *fn, struct sb_err *err)
{
	const struct config *c = r->config;
	int total = 0;

	for (size_t d = 0; d < c->n_databases; d++)
		for (size_t e = 0; e < c->databases[d].n_environments; e++) {
			const struct config_environment *env =
				&c->databases[d].environments[e];

			for (size_t i = 0; i < env->n_deployments; i++) {
				int n = reaper_time_left(r)
						? fn(r, &c->databases[d], env,
						     &env->deployments[i], err)
						: 0;

				if (n < 0)
					return -1;
				total += n;
			}
		}
	return total;
}

/* ---- scratch schemas -------------------------------------------------------------- */

static int drop_scratch_on(struct reaper *r, const struct db_params *server)
{
	struct sb_err err;
	struct db *db;
	int n;

	if (db_open(r->ctx, server, &db, &err) < 0) {
		log_err(LOG_WARN, "reaper.target", &err,
			"cannot look for scratch schemas");
		return 0;
	}
	n = schema_drop_leftovers(db, SCRATCH_MAX_AGE_SECONDS, &err);
	if (n < 0)
		log_err(LOG_WARN, "reaper.scratch", &err, "cannot drop scratch schemas");
	talloc_free(db);
	return n < 0 ? 0 : n;
}

/* On the target too when it has a workspace: it may not always have had one. */
static int drop_scratch(struct reaper *r, const struct config_database *database,
			const struct config_environment *environment,
			const struct config_deployment *target, struct sb_err *unused)
{
	int n = target->workspace ? drop_scratch_on(r, target->workspace) : 0;

	(void)database;
	(void)environment;
	(void)unused;
	return n + drop_scratch_on(r, &target->db);
}

int reaper_drop_scratch(struct reaper *r, struct sb_err *err)
{
	int ours = drop_scratch_on(r, &r->config->storage);
	int n = on_all(r, drop_scratch, err);

	return n < 0 ? -1 : n + ours;
}

/* ---- what engines leave ----------------------------------------------------------- */

static bool same_server(const struct db_params *a, const struct db_params *b)
{
	if ((a->socket && *a->socket) || (b->socket && *b->socket))
		return strcmp(a->socket ? a->socket : "", b->socket ? b->socket : "") ==
		       0;
	return strcmp(a->host, b->host) == 0 && a->port == b->port;
}

/*
 * A name in quarantine does not say where it came from: where several environments share
 * a server, the longest retention of those that quarantine counts, and of all when none
 * does any more.
 */
static int longest_retention(const struct config *c, const struct db_params *server,
			     bool quarantining)
{
	int hours = 0;

	for (size_t d = 0; d < c->n_databases; d++)
		for (size_t e = 0; e < c->databases[d].n_environments; e++) {
			const struct config_environment *env =
				&c->databases[d].environments[e];

			if (quarantining && !env->quarantine_drops)
				continue;
			for (size_t i = 0; i < env->n_deployments; i++)
				if (env->drops_retention_hours > hours &&
				    same_server(&env->deployments[i].db, server))
					hours = env->drops_retention_hours;
		}
	return hours || !quarantining ? hours : longest_retention(c, server, false);
}

static int is_over(void *arg, enum engine_trace trace, const char *apply_id,
		   const char *deployment, struct sb_err *err)
{
	const struct reaper *r = arg;

	return reap_is_over(r->db, apply_id, deployment,
			    trace == ENGINE_TRACE_OLD ? -1 : 0, err);
}

static void count_all(struct reaper *r, const char *database, const char *environment,
		      const struct engine_tidied *t)
{
	const struct {
		enum counter counter;
		int n;
	} counts[] = {
		{ COUNTER_CHECKPOINTS, t->checkpoints },
		{ COUNTER_TABLES, t->tables },
		{ COUNTER_DROPS, t->drops },
		{ COUNTER_DROPS_LOCKED, t->drops_locked },
		{ COUNTER_DROPS_SKIPPED, t->drops_skipped },
		{ COUNTER_ERRORS, t->errors },
	};
	struct sb_err err;

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		if (counter_add(r->db, counts[i].counter, database, environment,
				counts[i].n, &err) < 0)
			log_err(LOG_WARN, "reaper.counter", &err, "%s",
				counter_name(counts[i].counter));
}

static int tidy(struct reaper *r, const struct config_database *database,
		const struct config_environment *environment,
		const struct config_deployment *target, struct sb_err *unused)
{
	const struct engine *engine = engine_for_type(database->type);
	const char **schemas = mem_array(r->ctx, const char *, target->n_schemas);
	const struct engine_tidy_request request = {
		.target = &target->db,
		.schemas = schemas,
		.n_schemas = target->n_schemas,
		.drops_retention_hours = longest_retention(r->config, &target->db, true),
		.batch = REAPER_BATCH,
		.over = is_over,
		.arg = r,
	};
	struct engine_tidied done = { 0 };
	struct sb_err err;

	(void)unused;
	for (size_t i = 0; i < target->n_schemas; i++)
		schemas[i] = target->schemas[i].schema;
	if (engine && engine->ops.tidy) {
		if (engine->ops.tidy(&request, &done, &err) < 0)
			log_err(LOG_WARN, "reaper.target", &err, "cannot tidy up %s",
				target->db.name);
		count_all(r, database->name, environment->name, &done);
	}
	talloc_free(schemas);
	return done.checkpoints + done.tables + done.drops;
}

int reaper_tidy_targets(struct reaper *r, struct sb_err *err)
{
	return on_all(r, tidy, err);
}
