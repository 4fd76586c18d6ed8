/*
 * reaper_main.c - schemabot-reaper: one pass over what nobody else will tidy.
 *
 * Started by cron every minute, one at a time a host. Gives up exhausted and too old
 * retries, fails requests that no driver will answer, drops scratch schemas of crashed
 * planners, and reports what is wedged. Also creates the storage (--converge-storage).
 *
 * Must never: touch a row that is being driven, or work for longer than PASS_MS.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/proc.h"
#include "core/base/program.h"
#include "core/drive/drive.h"
#include "core/schema/schema.h"
#include "core/store/reap.h"
#include "core/store/storage.h"

#define PASS_MS			50000
#define SCRATCH_MAX_AGE_SECONDS 0 /* one that is in use is locked */

struct reaper {
	TALLOC_CTX *ctx;
	const struct config *config;
	struct db *db;
	int64_t until_ms;
};

static bool time_left(const struct reaper *r)
{
	return proc_stop_requested() == 0 && clock_ms() < r->until_ms;
}

static int expire_retries(struct reaper *r, struct sb_err *err)
{
	char *owner = proc_owner(r->ctx);
	struct claim claim;
	bool too_old;
	int rc = 0;

	while (time_left(r) &&
	       (rc = reap_claim_expired(r->db, owner, &claim, &too_old, err)) == 1) {
		log_context("apply_id", claim.lease.apply_id);
		rc = drive_expire(r->ctx, r->db, &claim.lease, too_old, err);
		log_context_clear();
		if (rc < 0)
			break;
	}
	talloc_free(owner);
	return rc < 0 ? -1 : 0;
}

static int end_orphaned_requests(struct reaper *r, struct sb_err *err)
{
	int n = reap_orphaned_requests(r->db, err);

	if (n > 0)
		log_warn("reaper.requests", "failed %d requests of settled applies", n);
	return n < 0 ? -1 : 0;
}

static int report_wedged(struct reaper *r, struct sb_err *err)
{
	struct reap_wedged *wedged;
	size_t n;

	if (reap_find_wedged(r->ctx, r->db, 2 * LEASE_SECONDS, &wedged, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		log_error(
			"reaper.wedged",
			"%s (%s) has been due for %lld s and nobody claims it: is a scheduler "
			"running?",
			wedged[i].apply_id, wedged[i].state,
			(long long)wedged[i].due_seconds);
	return 0;
}

/* A target that is away is its own applies' trouble, not the reaper's. */
static void drop_scratch(struct reaper *r, const struct config_deployment *target)
{
	struct sb_err err;
	struct db *db;
	int n;

	if (db_open(r->ctx, &target->db, &db, &err) < 0) {
		log_err(LOG_WARN, "reaper.target", &err,
			"cannot look for scratch schemas");
		return;
	}
	n = schema_drop_leftovers(db, SCRATCH_MAX_AGE_SECONDS, &err);
	if (n < 0)
		log_err(LOG_WARN, "reaper.scratch", &err, "cannot drop scratch schemas");
	else if (n > 0)
		log_info("reaper.scratch", "dropped %d left-over scratch schemas on %s",
			 n, target->db.name);
	talloc_free(db);
}

static void drop_all_scratch(struct reaper *r)
{
	for (size_t d = 0; d < r->config->n_databases; d++)
		for (size_t e = 0; e < r->config->databases[d].n_environments; e++) {
			const struct config_environment *env =
				&r->config->databases[d].environments[e];

			for (size_t i = 0; i < env->n_deployments && time_left(r); i++)
				drop_scratch(r, &env->deployments[i]);
		}
}

static int pass(struct reaper *r)
{
	static int (*const duties[])(struct reaper *, struct sb_err *) = {
		expire_retries,
		end_orphaned_requests,
		report_wedged,
	};
	struct sb_err err;
	int rc = 0;

	if (storage_open(r->ctx, r->config, &r->db, &err) < 0)
		return program_fail("reaper.storage", &err);
	for (size_t i = 0; i < ARRAY_SIZE(duties) && time_left(r); i++)
		if (duties[i](r, &err) < 0)
			rc = program_fail("reaper.duty", &err);
	drop_all_scratch(r);
	return rc;
}

static int run(struct reaper *r)
{
	char *path = mem_printf(r->ctx, "%s/reaper.lock", r->config->run_dir);
	struct sb_err err;
	int fd, rc;

	if (proc_mkdir(r->config->run_dir, &err) < 0)
		return program_fail("reaper.run_dir", &err);
	rc = proc_lock_file(path, &fd, &err);
	if (rc < 0)
		return program_fail("reaper.lock", &err);
	if (rc == 0)
		return 0; /* another pass is at it */
	return pass(r);
}

static int converge(TALLOC_CTX *ctx, const struct config *config)
{
	struct sb_err err;
	int n = storage_converge(ctx, config, &err);

	if (n < 0)
		return program_fail("reaper.converge", &err);
	log_info("reaper.converged", "%d storage tables created", n);
	return 0;
}

int main(int argc, char **argv)
{
	bool do_converge = false, example = false;
	const struct program_option options[] = {
		{ "converge-storage", NULL,
		  "create the absent tables of our storage, and end", &do_converge,
		  NULL },
		{ "example-config", NULL,
		  "print a commented example configuration, and end", &example, NULL },
	};
	const struct program program = { "schemabot-reaper", "tidies up, one pass",
					 options, ARRAY_SIZE(options) };
	struct reaper r = { .ctx = mem_ctx(NULL, "reaper") };
	struct config *config;
	int rc;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--example-config") == 0) {
			config_example(stdout);
			rc = 0;
			goto out;
		}
	rc = program_start(r.ctx, &program, argc, argv, &config);
	if (rc >= 0)
		goto out;
	proc_signals_init();
	r.config = config;
	r.until_ms = clock_ms() + PASS_MS;
	rc = do_converge ? converge(r.ctx, config) : run(&r);
out:
	talloc_free(r.ctx);
	return rc;
}
