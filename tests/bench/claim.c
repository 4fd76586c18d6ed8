/*
 * claim.c - how fast is the queue? N processes claim until nothing is due.
 *
 * Run by tests/bench/run against a storage that it has filled: claim --config FILE
 * --processes N. Prints "<claims> <seconds>"; whether a row was claimed twice is checked
 * by the caller in the table (a lease token above 1).
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/program.h"
#include "core/store/operation.h"
#include "core/store/storage.h"

#define MAX_PROCESSES 64

/* One page shared by parent and children. */
struct board {
	volatile int ready, go;
	volatile int64_t claims[MAX_PROCESSES];
};

static int claim_all(const struct config *config, struct board *board, int me)
{
	TALLOC_CTX *ctx = mem_ctx(NULL, "claimer");
	struct claim claim;
	struct sb_err err;
	struct db *db;
	int rc;

	if (storage_open(ctx, config, &db, &err) < 0)
		return program_fail("bench.storage", &err);
	__atomic_add_fetch(&board->ready, 1, __ATOMIC_SEQ_CST);
	while (!board->go)
		clock_sleep_ms(1);
	while ((rc = operation_claim(db, "bench", NULL, NULL, &claim, &err)) == 1)
		board->claims[me]++;
	talloc_free(ctx);
	return rc < 0 ? program_fail("bench.claim", &err) : 0;
}

static int run(const struct config *config, int processes)
{
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t began, total = 0;
	int status, bad = 0;

	if (board == MAP_FAILED)
		BUG("mmap failed");
	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(claim_all(config, board, i));
		if (pid < 0)
			BUG("fork failed");
	}
	while (board->ready < processes && waitpid(-1, &status, WNOHANG) == 0)
		clock_sleep_ms(1);
	began = clock_us();
	board->go = 1;
	while (wait(&status) > 0)
		bad |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	for (int i = 0; i < processes; i++)
		total += board->claims[i];
	printf("%lld %.3f\n", (long long)total, (double)(clock_us() - began) / 1e6);
	return bad;
}

int main(int argc, char **argv)
{
	const char *processes = "8";
	const struct program_option options[] = {
		{ "processes", "N", "how many claim at a time (default 8)", NULL,
		  &processes },
	};
	const struct program program = { "claim", "measures the queue", options,
					 ARRAY_SIZE(options) };
	TALLOC_CTX *ctx = mem_ctx(NULL, "bench");
	struct config *config;
	int rc = program_start(ctx, &program, argc, argv, &config);
	int n = atoi(processes);

	if (rc < 0)
		rc = run(config, n < 1 || n > MAX_PROCESSES ? 8 : n);
	talloc_free(ctx);
	return rc;
}
