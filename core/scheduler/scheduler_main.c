/*
 * scheduler_main.c - schemabot-scheduler: watches the queue and starts drivers.
 *
 * Started by cron every minute; lives until a minute after its start, then its successor,
 * which has been waiting for the lock, goes on. Wakes on a datagram of the FastCGI app,
 * at the moment the next operation becomes due, and at least every POLL_MS.
 *
 * Must never: drive anything itself, claim anything, or run more drivers than configured
 * (a locked slot file is a running driver, whoever started it).
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/proc.h"
#include "core/base/program.h"
#include "core/scheduler/slot.h"
#include "core/store/operation.h"
#include "core/store/storage.h"

#define POLL_MS	     1000
#define TICK_MS	     20 /* between two looks, unless somebody wakes us */
#define LOCK_POLL_MS 50

struct scheduler {
	TALLOC_CTX *ctx;
	const struct config *config;
	struct db *db; /* NULL while storage is away */
	char *driver;  /* path of schemabot-driver */
	int wake_fd;
	int64_t until_ms;
	int64_t wait_ms; /* until the next look at the queue */
};

static bool over(const struct scheduler *s)
{
	return proc_stop_requested() > 0 || clock_ms() >= s->until_ms;
}

/* A slot nobody locks with claims in it: its driver is dead, hand them back. */
static int reclaim(struct scheduler *s, int fd, int slot, struct sb_err *err)
{
	struct slot_claim claims[SLOT_MOST];
	char owner[SLOT_OWNER_MAX + 1];
	size_t n = slot_read(fd, owner, claims);

	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		int rc = operation_reclaim(s->db, claims[i].operation, claims[i].token,
					   owner, err);

		if (rc < 0)
			return -1;
		FAULT("scheduler.reclaimed");
		if (rc > 0)
			log_warn("scheduler.reclaimed",
				 "the driver in slot %d died; its operation is due again",
				 slot);
	}
	/* model: SLOT_FREE */
	slot_clear(fd);
	return 0;
}

static int start_driver(struct scheduler *s, int fd, int slot, struct sb_err *err)
{
	static char slot_flag[] = "--slot", config_flag[] = "--config";
	char *path = mem_strdup(s->ctx, s->config->path);
	char *argv[] = { s->driver, slot_flag, config_flag, path, NULL };
	pid_t pid;
	int rc;

	FAULT("scheduler.spawn.before");
	/* model: SPAWN */
	rc = proc_spawn_detached(argv, fd, &pid, err);
	talloc_free(path);
	if (rc == 0)
		log_info("scheduler.started", "driver %d in slot %d", (int)pid, slot);
	return rc;
}

/* How long to sleep when the queue's next row is due in `next_ms` (-1: there is none). */
static int64_t until_next(int64_t next_ms)
{
	if (next_ms < 0 || next_ms >= POLL_MS)
		return POLL_MS;
	return next_ms < TICK_MS ? TICK_MS : next_ms + 1;
}

/* Slots beyond config->drivers are for as many drivers as wait for a cutover. */
#define MOST_WAITING 64

struct slots {
	int n;	    /* looked at */
	int *fds;   /* locked by us, -1 = a driver has it, or nobody ever had */
	int vacant; /* so many more drivers may run */
};

static int look_at_slots(struct scheduler *s, struct slots *slots, struct sb_err *err)
{
	const char *dir = s->config->run_dir;
	int rc = 0;

	slots->n = s->config->drivers + MOST_WAITING;
	slots->fds = mem_array(s->ctx, int, (size_t)slots->n);
	slots->vacant = s->config->drivers;
	for (int i = 0; i < slots->n; i++) {
		int *fd = &slots->fds[i], got;

		*fd = -1;
		if (i >= s->config->drivers && !slot_exists(dir, i))
			continue;
		got = slot_take(dir, i, fd, err);
		if (got < 0 || (got > 0 && reclaim(s, *fd, i, err) < 0))
			rc = -1;
		else if (got == 0 && !slot_is_waiting(dir, i))
			slots->vacant--;
	}
	return rc;
}

static int start_drivers(struct scheduler *s, struct slots *slots, int64_t due,
			 struct sb_err *err)
{
	for (int i = 0; i < slots->n && slots->vacant > 0 && due > 0; i++) {
		if (slots->fds[i] < 0 && !slot_exists(s->config->run_dir, i) &&
		    slot_take(s->config->run_dir, i, &slots->fds[i], err) < 0)
			return -1;
		if (slots->fds[i] < 0)
			continue;
		if (start_driver(s, slots->fds[i], i, err) < 0)
			return -1;
		slots->vacant--;
		due--;
	}
	return 0;
}

/*
 * Look at every slot: hand back what died, start drivers for what is due. With every slot
 * taken the queue is not asked: a driver that ends its operation asks it by itself.
 */
static int tend_slots(struct scheduler *s, struct sb_err *err)
{
	struct slots slots;
	int64_t due = 0, next = -1;
	int rc = look_at_slots(s, &slots, err);

	if (rc == 0 && slots.vacant > 0)
		rc = operation_due(s->db, &due, &next, err);
	if (rc == 0)
		rc = start_drivers(s, &slots, due, err);
	for (int i = 0; i < slots.n; i++)
		if (slots.fds[i] >= 0)
			close(slots.fds[i]); /* a started driver keeps the lock through
					      * its own copy */
	talloc_free(slots.fds);
	s->wait_ms = until_next(next);
	return rc;
}

static void tick(struct scheduler *s)
{
	struct sb_err err;

	s->wait_ms = POLL_MS;
	if (s->db && db_is_lost(s->db)) {
		talloc_free(s->db);
		s->db = NULL;
	}
	if (!s->db && storage_open(s->ctx, s->config, &s->db, &err) < 0) {
		log_err(LOG_ERROR, "scheduler.storage", &err, "storage is away");
		return;
	}
	if (tend_slots(s, &err) < 0)
		log_err(LOG_ERROR, "scheduler.tick", &err, "this round was cut short");
}

static int run(struct scheduler *s)
{
	char *lock_path = mem_printf(s->ctx, "%s/scheduler.lock", s->config->run_dir);
	char *wake_path = mem_printf(s->ctx, "%s/scheduler.sock", s->config->run_dir);
	struct sb_err err;
	int64_t left;
	int lock_fd, rc;

	if (proc_mkdir(s->config->run_dir, &err) < 0)
		return program_fail("scheduler.run_dir", &err);
	while ((rc = proc_lock_file(lock_path, &lock_fd, &err)) == 0) {
		if (over(s))
			return 0; /* the predecessor is still at it */
		proc_wait(-1, LOCK_POLL_MS);
	}
	if (rc < 0 || proc_wake_listen(wake_path, &s->wake_fd, &err) < 0)
		return program_fail("scheduler.lock", &err);
	log_info("scheduler.begin", "up to %d drivers", s->config->drivers);
	while (!over(s)) {
		tick(s);
		left = over(s) ? 0 : s->until_ms - clock_ms();
		if (proc_wait(s->wake_fd, s->wait_ms < left ? s->wait_ms : left))
			proc_wake_drain(s->wake_fd);
	}
	log_info("scheduler.end", "leaving to the successor");
	return 0;
}

int main(int argc, char **argv)
{
	const char *seconds = "60";
	const struct program_option options[] = {
		{ "for", "SECONDS", "how long to live, from the start (default 60)", NULL,
		  &seconds },
	};
	const struct program program = { "schemabot-scheduler",
					 "starts drivers for due operations", options,
					 ARRAY_SIZE(options) };
	struct scheduler s = { .ctx = mem_ctx(NULL, "scheduler"), .wake_fd = -1 };
	struct config *config;
	int64_t began = clock_ms();
	int rc = program_start(s.ctx, &program, argc, argv, &config);

	if (rc >= 0)
		goto out;
	proc_signals_init();
	s.config = config;
	s.driver = mem_printf(s.ctx, "%s/schemabot-driver", proc_self_dir(s.ctx));
	s.until_ms = began + 1000 * strtoll(seconds, NULL, 10);
	rc = run(&s);
out:
	talloc_free(s.ctx);
	return rc;
}
