/*
 * heartbeat.c - keeping a lease alive from a thread. See heartbeat.h.
 */
#include "core/drive/heartbeat.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/log.h"

#define RETRY_MS 1000

struct heartbeat {
	pthread_t thread;
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t wake;
	bool ending;
	enum heartbeat_state state;
	const struct engine *engine;
	struct engine_run *run;

	/* The thread's own. */
	struct db_params params;
	struct lease lease;
	int64_t last_beat_ms;
};

static void give_up(struct heartbeat *h, enum heartbeat_state state)
{
	pthread_mutex_lock(&h->mutex);
	h->state = state;
	if (h->run)
		h->engine->ops.fence(h->run);
	pthread_mutex_unlock(&h->mutex);
}

/* Wait up to ms; true when the thread has to end. */
static bool pause_for(struct heartbeat *h, int64_t ms)
{
	struct timespec until;
	bool ending;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&h->mutex);
	while (!h->ending &&
	       pthread_cond_timedwait(&h->wake, &h->mutex, &until) != ETIMEDOUT)
		;
	ending = h->ending;
	pthread_mutex_unlock(&h->mutex);
	return ending;
}

/* One beat over *db, which is opened when needed and closed when lost. */
static int beat(TALLOC_CTX *ctx, struct heartbeat *h, struct db **db, struct sb_err *err)
{
	if (!*db && db_open(ctx, &h->params, db, err) < 0)
		return -1;
	if (lease_heartbeat(*db, &h->lease, err) == 0)
		return 0;
	if (err->code != SB_ELEASE) {
		talloc_free(*db);
		*db = NULL;
	}
	return -1;
}

static void *run(void *arg)
{
	struct heartbeat *h = arg;
	TALLOC_CTX *ctx = mem_ctx(NULL, "heartbeat");
	int64_t wait = HEARTBEAT_SECONDS * 1000;
	struct db *db = NULL;
	struct sb_err err;

	db_thread_init();
	log_context("apply_id", h->lease.apply_id);
	while (!pause_for(h, wait)) {
		int64_t before = clock_ms();

		wait = HEARTBEAT_SECONDS * 1000;
		if (beat(ctx, h, &db, &err) == 0) {
			/* The row's window began no earlier than when we sent. */
			h->last_beat_ms = before;
			continue;
		}
		if (err.code == SB_ELEASE) {
			log_err(LOG_WARN, "heartbeat.lost", &err, "the lease is lost");
			give_up(h, HEARTBEAT_LOST);
			break;
		}
		log_err(LOG_WARN, "heartbeat.failed", &err, "no heartbeat for %lld s",
			(long long)((clock_ms() - h->last_beat_ms) / 1000));
		if (clock_ms() - h->last_beat_ms >= SELF_FENCE_SECONDS * 1000) {
			log_error(
				"heartbeat.fenced",
				"no heartbeat for %d s: halting before the lease expires",
				SELF_FENCE_SECONDS);
			give_up(h, HEARTBEAT_FENCED);
			break;
		}
		wait = RETRY_MS;
	}
	talloc_free(ctx);
	db_thread_end();
	return NULL;
}

struct heartbeat *heartbeat_start(const struct db_params *storage,
				  const struct lease *lease)
{
	struct heartbeat *h = mem_new(NULL, struct heartbeat);
	pthread_condattr_t attr;

	h->params = *storage;
	h->params.connect_seconds = 3;
	h->params.io_seconds = 4;
	h->lease = *lease;
	h->last_beat_ms = clock_ms();
	pthread_mutex_init(&h->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&h->thread, NULL, run, h) != 0)
		BUG("cannot start the heartbeat thread");
	return h;
}

enum heartbeat_state heartbeat_check(struct heartbeat *h)
{
	enum heartbeat_state state;

	pthread_mutex_lock(&h->mutex);
	state = h->state;
	pthread_mutex_unlock(&h->mutex);
	return state;
}

void heartbeat_guard(struct heartbeat *h, const struct engine *engine,
		     struct engine_run *r)
{
	pthread_mutex_lock(&h->mutex);
	h->engine = engine;
	h->run = r;
	if (r && h->state != HEARTBEAT_OK)
		engine->ops.fence(r);
	pthread_mutex_unlock(&h->mutex);
}

void heartbeat_stop(struct heartbeat *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->mutex);
	h->ending = true;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->mutex);
	pthread_join(h->thread, NULL);
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->mutex);
	talloc_free(h);
}
