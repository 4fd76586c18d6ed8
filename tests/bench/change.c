/*
 * change.c - one table changed online, and how long each part of that took.
 *
 * Run by tests/bench/engine, with the server in SB_DB_SOCKET, SB_DB_USER and
 * SB_DB_PASSWORD: change SCHEMA TABLE STATEMENT VOLUME. Calls change_run() as the worker
 * does and prints "<seconds> <peak resident KiB>", then a line "<phase> <seconds>" for
 * each phase; exits with 1 and the reason on stderr when the change failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/copy/change.h"

#define APPLY "apply-0123456789abcdef0123456789abcdef"

static struct {
	int volume;
	enum copy_phase phase;
	int64_t since;
	int64_t us[COPY_DONE + 1];
} watch;

static void enter(enum copy_phase phase)
{
	int64_t now = clock_us();

	watch.us[watch.phase] += now - watch.since;
	watch.phase = phase;
	watch.since = now;
}

static bool halted(void *arg)
{
	(void)arg;
	return false;
}

static int volume(void *arg)
{
	(void)arg;
	return watch.volume;
}

static bool cutover_wanted(void *arg)
{
	(void)arg;
	return true;
}

static int cutting(void *arg, struct sb_err *err)
{
	(void)arg;
	(void)err;
	return 0;
}

static void report(void *arg, size_t task, const struct change_report *r)
{
	(void)arg;
	(void)task;
	if (r->phase != watch.phase)
		enter(r->phase);
}

static void done(void *arg, size_t task, const char *note)
{
	(void)arg;
	(void)task;
	(void)note;
}

static int change(const struct db_params *target, const char *table,
		  const char *statement, struct sb_err *err)
{
	const struct change_hooks hooks = { .halted = halted,
					    .volume = volume,
					    .cutover_wanted = cutover_wanted,
					    .cutting = cutting,
					    .report = report,
					    .done = done };
	const struct engine_task task = { .id = "task",
					  .namespace = "n",
					  .schema = target->schema,
					  .table = table,
					  .ddl = statement,
					  .action = "alter" };
	/* Of several runs on one server the latest has the newest token. */
	const uint64_t token = (uint64_t)time(NULL) * 1000 + (uint64_t)clock_ms() % 1000;
	const struct engine_request request = { .target = target,
						.apply_id = APPLY,
						.operation = APPLY "/bench",
						.lease_token = token,
						.tasks = &task,
						.n_tasks = 1 };
	struct change_args args = { .target = target,
				    .apply_id = APPLY,
				    .operation = APPLY "/bench",
				    .token = token,
				    .tasks = &task,
				    .n = 1,
				    .hooks = &hooks };
	TALLOC_CTX *ctx = mem_ctx(NULL, "bench");
	int rc = -1;

	if (db_open(ctx, target, &args.locks, err) == 0 &&
	    mysql_checkpoint_write(args.locks, &request, err) == 0)
		rc = change_run(&args, err);
	if (rc == 1 && mysql_checkpoint_remove(args.locks, APPLY "/bench", token,
					       target->schema, table, err) < 0)
		rc = -1;
	talloc_free(ctx);
	return rc;
}

/* getrusage() would tell of the parent, before exec. */
static long peak_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[200];
	long kib = -1;

	while (f && kib < 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

int main(int argc, char **argv)
{
	struct db_params target = { .name = "bench",
				    .role = DB_TARGET,
				    .socket = getenv("SB_DB_SOCKET"),
				    .user = getenv("SB_DB_USER"),
				    .password = getenv("SB_DB_PASSWORD") };
	struct sb_err err = { 0 };
	int64_t began;

	if (argc != 5 || !target.socket || !target.user || !target.password) {
		fprintf(stderr, "usage: change SCHEMA TABLE STATEMENT VOLUME, with the "
				"server in SB_DB_SOCKET, SB_DB_USER, SB_DB_PASSWORD\n");
		return 2;
	}
	db_library_init();
	target.schema = argv[1];
	watch.volume = atoi(argv[4]);
	watch.since = began = clock_us();
	if (change(&target, argv[2], argv[3], &err) != 1) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	enter(COPY_DONE);
	printf("%.3f %ld\n", (double)(clock_us() - began) / 1e6, peak_kib());
	for (int i = 0; i < COPY_DONE; i++)
		printf("%s %.3f\n", copy_phase_name((enum copy_phase)i),
		       (double)watch.us[i] / 1e6);
	return 0;
}
