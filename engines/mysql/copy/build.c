/*
 * build.c - see build.h.
 */
#include "engines/mysql/copy/build.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "engines/mysql/copy/connect.h"

#define KILL_EVERY_MS 100

struct build {
	TALLOC_CTX *mem;
	struct db *db;
	const char *sql;
	pthread_t thread;
	bool started;
	pthread_mutex_t mutex;
	/* guarded: */
	bool ended;
	int rc;
	struct sb_err err;
};

static void *run(void *arg)
{
	struct build *b = arg;
	struct sb_err err = { 0 };
	int rc;

	db_thread_init();
	rc = db_run(b->db, b->sql, &err);
	db_thread_end();
	pthread_mutex_lock(&b->mutex);
	b->ended = true;
	b->rc = rc;
	b->err = err;
	pthread_mutex_unlock(&b->mutex);
	return NULL;
}

int build_state(struct build *b, struct sb_err *err)
{
	int rc = 0;

	pthread_mutex_lock(&b->mutex);
	if (b->ended)
		rc = b->rc < 0 ? -1 : 1;
	if (rc < 0)
		*err = b->err;
	pthread_mutex_unlock(&b->mutex);
	return rc;
}

void build_stop(struct build *b, struct db *control)
{
	char *sql = mem_printf(NULL, "KILL QUERY %" PRIu64, db_connection_id(b->db));
	struct sb_err err;

	while (build_state(b, &err) == 0) {
		if (db_run(control, sql, &err) < 0)
			log_err(LOG_DEBUG, "engine.mysql.copy.kill", &err,
				"the statement had ended by itself");
		if (db_is_lost(control)) {
			shutdown(db_socket(b->db), SHUT_RDWR);
			break;
		}
		clock_sleep_ms(KILL_EVERY_MS);
	}
	talloc_free(sql);
}

static int destroy(struct build *b)
{
	if (b->started)
		pthread_join(b->thread, NULL);
	pthread_mutex_destroy(&b->mutex);
	talloc_free(b->mem);
	return 0;
}

int build_start(TALLOC_CTX *ctx, const struct db_params *target,
		const struct copy_table *t, const char *sql, struct build **out,
		struct sb_err *err)
{
	struct build *b = mem_new(ctx, struct build);
	struct db_params params = *target;
	sigset_t all, old;
	int rc;

	*out = NULL;
	b->mem = mem_ctx(NULL, "build");
	b->sql = mem_strdup(b->mem, sql);
	pthread_mutex_init(&b->mutex, NULL);
	talloc_set_destructor(b, destroy);
	params.io_seconds = 0; /* it may take hours, and says nothing meanwhile */
	if (copy_connect(b->mem, &params, t, CONNECT_BUILD, &b->db, err) < 0) {
		talloc_free(b);
		return -1;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&b->thread, NULL, run, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		talloc_free(b);
		return sb_err(err, SB_EUNAVAILABLE, "Cannot start a thread: %s.",
			      strerror(rc));
	}
	b->started = true;
	*out = b;
	return 0;
}
