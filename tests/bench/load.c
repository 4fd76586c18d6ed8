/*
 * load.c - the application that writes while a table is changed, and how long it waits.
 *
 * Run by tests/bench/engine, with the server in SB_DB_SOCKET, SB_DB_USER and
 * SB_DB_PASSWORD: load SCHEMA TABLE ROWS RATE BATCH. Writes RATE rows a second, BATCH in
 * a transaction, until its stdin ends. A write's time counts from when it was due: a
 * server that stands still makes all wait that would have come meanwhile. Prints
 * "<writes> <seconds> <worst second's p99 in ms> <longest wait in ms> <failed>".
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/db.h"

#define THREADS	    16
#define MAX_SECONDS 3600

static struct {
	struct db_params target;
	const char *table;
	unsigned rows, batch;
	double rate; /* transactions a second */
	int64_t began;
	int stop;
	int64_t *ms; /* of each transaction, by when it was due; -1 = not made */
	size_t n;
	size_t next;
	uint64_t failed;
} load;

static int write_once(TALLOC_CTX *ctx, struct db *db, unsigned *seed, struct sb_err *err)
{
	if (load.batch > 1 && db_begin(db, err) < 0)
		return -1;
	for (unsigned i = 0; i < load.batch; i++) {
		unsigned id = (unsigned)rand_r(seed) % load.rows + 1;

		if (db_run(db,
			   mem_printf(ctx,
				      rand_r(seed) % 2
					      ? "UPDATE %s SET k = k + 1 WHERE id = %u"
					      : "UPDATE %s SET c = REVERSE(c) WHERE id = "
						"%u",
				      load.table, id),
			   err) < 0)
			return -1;
	}
	return load.batch > 1 ? db_commit(db, err) : 0;
}

static void *run(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	TALLOC_CTX *ctx = mem_ctx(NULL, "load");
	struct sb_err err;
	struct db *db;

	db_thread_init();
	if (db_open(ctx, &load.target, &db, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		exit(1);
	}
	while (!__atomic_load_n(&load.stop, __ATOMIC_RELAXED)) {
		size_t i = __atomic_fetch_add(&load.next, 1, __ATOMIC_RELAXED);
		int64_t due = load.began + (int64_t)((double)i * 1e6 / load.rate), now;
		TALLOC_CTX *mem = mem_ctx(ctx, "write");

		if (i >= load.n)
			break;
		while ((now = clock_us()) < due)
			usleep((useconds_t)(due - now));
		if (write_once(mem, db, &seed, &err) < 0) {
			__atomic_fetch_add(&load.failed, 1, __ATOMIC_RELAXED);
			db_rollback(db);
			fprintf(stderr, "%s\n", err.msg);
		}
		load.ms[i] = (clock_us() - due) / 1000;
		talloc_free(mem);
	}
	talloc_free(ctx);
	db_thread_end();
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void print_result(void)
{
	size_t second = (size_t)load.rate, made = 0;
	int64_t longest = 0, worst = 0;
	double seconds = (double)(clock_us() - load.began) / 1e6;

	for (size_t i = 0; i < load.next && i < load.n; i++) {
		made += load.ms[i] >= 0;
		longest = load.ms[i] > longest ? load.ms[i] : longest;
	}
	for (size_t from = 0; from + second <= load.next && from + second <= load.n;
	     from += second) {
		int64_t *p = &load.ms[from];

		qsort(p, second, sizeof(*p), by_size);
		worst = p[second * 99 / 100] > worst ? p[second * 99 / 100] : worst;
	}
	printf("%zu %.1f %lld %lld %llu\n", made * load.batch, seconds, (long long)worst,
	       (long long)longest, (unsigned long long)load.failed);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	char c;

	if (argc != 6 || !getenv("SB_DB_SOCKET")) {
		fprintf(stderr,
			"usage: load SCHEMA TABLE ROWS RATE BATCH, with the server "
			"in SB_DB_SOCKET, SB_DB_USER, SB_DB_PASSWORD\n");
		return 2;
	}
	db_library_init();
	load.target = (struct db_params){ .name = "bench",
					  .role = DB_TARGET,
					  .socket = getenv("SB_DB_SOCKET"),
					  .user = getenv("SB_DB_USER"),
					  .password = getenv("SB_DB_PASSWORD"),
					  .schema = argv[1] };
	load.table = argv[2];
	load.rows = (unsigned)atoi(argv[3]);
	load.batch = (unsigned)atoi(argv[5]);
	load.rate = (double)atoi(argv[4]) / (double)load.batch;
	load.n = (size_t)(load.rate * MAX_SECONDS);
	load.ms = mem_array(NULL, int64_t, load.n);
	memset(load.ms, 0xff, load.n * sizeof(*load.ms));
	load.began = clock_us();
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)(i + 1)) != 0)
			BUG("pthread_create failed");
	while (read(0, &c, 1) > 0)
		;
	__atomic_store_n(&load.stop, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	print_result();
	talloc_free(load.ms);
	return 0;
}
