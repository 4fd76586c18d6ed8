/*
 * reaper_main.c - schemabot-reaper: one pass (reaper.c), or the storage's tables.
 *
 * Started by cron every minute, one at a time a host. An administrator also has it show
 * (--plan-storage) and make (--converge-storage) our tables: exit code 0 = nothing is to
 * be done (any more), 2 = statements are outstanding, 1 = it failed.
 *
 * Must never: work for longer than PASS_MS in a pass.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/proc.h"
#include "core/base/program.h"
#include "core/scheduler/converge.h"
#include "core/scheduler/reaper.h"

#define PASS_MS		 50000
#define MAX_BUDGET	 86400
#define EXIT_OUTSTANDING 2
#define EXIT_FAILED	 1

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

/* ---- the storage's tables --------------------------------------------------------- */

static void log_kept(const struct convergence *c)
{
	for (size_t i = 0; i < c->n_kept; i++)
		log_info("storage.kept",
			 "table `%s`: %s (%s) is left as it is, for nothing is dropped "
			 "or narrowed: %s",
			 c->kept[i].table, c->kept[i].operation, c->kept[i].scope,
			 c->kept[i].statement);
}

static int plan_storage(const struct reaper *r)
{
	struct convergence c;
	struct sb_err err;

	if (converge_plan(r->ctx, r->config, &c, &err) < 0) {
		program_fail("storage.plan", &err);
		return EXIT_FAILED;
	}
	converge_print(&c, stdout);
	return c.n_todo > 0 ? EXIT_OUTSTANDING : 0;
}

static int converge_storage(const struct reaper *r, unsigned budget)
{
	struct convergence c;
	struct sb_err err;
	int rc = converge(r->ctx, r->config, budget, &c, &err);

	log_kept(&c);
	if (rc < 0) {
		program_fail("storage.converge", &err);
		for (size_t i = c.n_run; i < c.n_todo; i++)
			log_error("storage.outstanding", "%s", c.todo[i]);
		return EXIT_FAILED;
	}
	log_info("storage.converged", "%zu statements have run", c.n_run);
	return 0;
}

/* Seconds, or 0 when it is no such number. */
static unsigned parse_budget(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	return *text >= '0' && *text <= '9' && !*end && n <= MAX_BUDGET ? (unsigned)n : 0;
}

int main(int argc, char **argv)
{
	bool do_converge = false, do_plan = false, example = false;
	const char *budget = NULL;
	const struct program_option options[] = {
		{ "converge-storage", NULL,
		  "create and complete the tables of our storage, and end", &do_converge,
		  NULL },
		{ "plan-storage", NULL,
		  "print what --converge-storage would run; exit code 2 if anything",
		  &do_plan, NULL },
		{ "budget", "SECONDS",
		  "how long --converge-storage may take (default 300)", NULL, &budget },
		{ "example-config", NULL,
		  "print a commented example configuration, and end", &example, NULL },
	};
	const struct program program = { "schemabot-reaper", "tidies up, one pass",
					 options, ARRAY_SIZE(options) };
	struct reaper r = { .ctx = mem_ctx(NULL, "reaper") };
	unsigned seconds = CONVERGE_BUDGET_SECONDS;
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
	r.config = config;
	if (budget)
		seconds = parse_budget(budget);
	if (seconds == 0) {
		fprintf(stderr, "schemabot-reaper: --budget takes 1 to %d seconds\n",
			MAX_BUDGET);
		rc = err_exit_code(SB_EINVALID);
		goto out;
	}
	/* A signal ends these two at once: the server completes or undoes a statement. */
	if (do_plan || do_converge) {
		rc = do_plan ? plan_storage(&r) : converge_storage(&r, seconds);
		goto out;
	}
	proc_signals_init();
	r.until_ms = clock_ms() + PASS_MS;
	rc = run(&r);
out:
	talloc_free(r.ctx);
	return rc;
}
