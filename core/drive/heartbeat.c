/*
 * heartbeat.c - keeping a lease alive from a thread. See heartbeat.h.
 *
 * Two threads: one beats, and may be held up for long by a storage that neither answers
 * nor refuses; the other only watches the clock, and nothing can hold it up.
 */
#include "core/drive/heartbeat.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/log.h"

#define RETRY_MS 1000

struct heartbeat {
	pthread_t beater, watchdog;
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t wake;
	bool ending;
	enum heartbeat_state state;
	const struct engine *engine;
	struct engine_run *run;
	int64_t last_beat_ms;

	/* Written before the threads exist. */
	int64_t beat_ms, retry_ms, fence_ms;

	/* The beater's own. */
	struct db_params params;
	struct lease lease;
};

/* With the mutex held. The first verdict stays. */
static void give_up(struct heartbeat *h, enum heartbeat_state state)
{
	if (h->state != HEARTBEAT_OK)
		return;
	h->state = state;
	if (h->run)
		h->engine->ops.fence(h->run);
	pthread_cond_broadcast(&h->wake);
}

/* With the mutex held: wait until woken or for ms. */
static void wait_for(struct heartbeat *h, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&h->wake, &h->mutex, &until);
}

static bool over(const struct heartbeat *h)
{
	return h->ending || h->state != HEARTBEAT_OK;
}

/* Wait ms; true when the thread has to end. */
static bool pause_for(struct heartbeat *h, int64_t ms)
{
	int64_t until = clock_ms() + ms, left;
	bool end;

	pthread_mutex_lock(&h->mutex);
	while (!over(h) && (left = until - clock_ms()) > 0)
		wait_for(h, left);
	end = over(h);
	pthread_mutex_unlock(&h->mutex);
	return end;
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

/* What a beat that was sent at `sent` has told; true when it was the last. */
static bool take_answer(struct heartbeat *h, int64_t sent, int rc,
			const struct sb_err *err)
{
	int64_t silent;
	bool end;

	pthread_mutex_lock(&h->mutex);
	if (rc == 0)
		h->last_beat_ms = sent; /* the row's window began no earlier */
	else if (err->code == SB_ELEASE)
		/* model: LEASE_LOST */
		give_up(h, HEARTBEAT_LOST);
	silent = clock_ms() - h->last_beat_ms;
	end = over(h);
	pthread_mutex_unlock(&h->mutex);
	if (rc < 0 && err->code == SB_ELEASE)
		log_err(LOG_WARN, "heartbeat.lost", err, "the lease is lost");
	else if (rc < 0)
		log_err(LOG_WARN, "heartbeat.failed", err, "no heartbeat for %lld s",
			(long long)(silent / 1000));
	return end;
}

static void *keep_beating(void *arg)
{
	struct heartbeat *h = arg;
	TALLOC_CTX *ctx = mem_ctx(NULL, "heartbeat");
	int64_t wait = h->beat_ms;
	struct db *db = NULL;

	db_thread_init();
	log_context("apply_id", h->lease.apply_id);
	while (!pause_for(h, wait)) {
		int64_t sent = clock_ms();
		struct sb_err err;
		int rc = beat(ctx, h, &db, &err);

		if (take_answer(h, sent, rc, &err))
			break;
		wait = rc == 0 ? h->beat_ms : h->retry_ms;
	}
	talloc_free(ctx);
	db_thread_end();
	return NULL;
}

static void *keep_watching(void *arg)
{
	struct heartbeat *h = arg;
	bool fenced = false;

	pthread_mutex_lock(&h->mutex);
	while (!over(h)) {
		int64_t left = h->last_beat_ms + h->fence_ms - clock_ms();

		if (left > 0) {
			wait_for(h, left);
			continue;
		}
		/* model: SELF_FENCE */
		give_up(h, HEARTBEAT_FENCED);
		fenced = true;
	}
	pthread_mutex_unlock(&h->mutex);
	if (fenced) {
		log_context("apply_id", h->lease.apply_id);
		log_error("heartbeat.fenced",
			  "no heartbeat for %lld ms: halting before the lease expires",
			  (long long)h->fence_ms);
	}
	return NULL;
}

/* SB_HEARTBEAT_MS=BEAT,RETRY,FENCE shortens the times in builds with fault points. */
static void set_times(struct heartbeat *h)
{
	h->beat_ms = HEARTBEAT_SECONDS * 1000;
	h->retry_ms = RETRY_MS;
	h->fence_ms = SELF_FENCE_SECONDS * 1000;
#ifdef SB_FAULTS
	const char *text = getenv("SB_HEARTBEAT_MS");
	long long beat_ms, retry_ms, fence_ms;

	if (!text)
		return;
	if (sscanf(text, "%lld,%lld,%lld", &beat_ms, &retry_ms, &fence_ms) != 3)
		BUG("SB_HEARTBEAT_MS: cannot read '%s'", text);
	h->beat_ms = beat_ms;
	h->retry_ms = retry_ms;
	h->fence_ms = fence_ms;
#endif
}

struct heartbeat *heartbeat_start(const struct db_params *storage,
				  const struct lease *lease, int64_t claimed_ms)
{
	struct heartbeat *h = mem_new(NULL, struct heartbeat);
	pthread_condattr_t attr;

	h->params = *storage;
	h->params.connect_seconds = 3;
	h->params.io_seconds = 4;
	h->lease = *lease;
	h->last_beat_ms = claimed_ms;
	set_times(h);
	pthread_mutex_init(&h->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&h->beater, NULL, keep_beating, h) != 0 ||
	    pthread_create(&h->watchdog, NULL, keep_watching, h) != 0)
		BUG("cannot start the heartbeat threads");
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
	pthread_cond_broadcast(&h->wake);
	pthread_mutex_unlock(&h->mutex);
	pthread_join(h->beater, NULL);
	pthread_join(h->watchdog, NULL);
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->mutex);
	talloc_free(h);
}
