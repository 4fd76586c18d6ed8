/*
 * reaper_main.c - schemabot-reaper: one pass (reaper.c), or the storage's tables.
 *
 * Started by cron every minute, one at a time a host; also creates our tables
 * (--converge-storage).
 *
 * Must never: work for longer than PASS_MS.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/proc.h"
#include "core/base/program.h"
#include "core/scheduler/reaper.h"
#include "core/store/storage.h"

#define PASS_MS 50000

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
	return reaper_pass(r);
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
