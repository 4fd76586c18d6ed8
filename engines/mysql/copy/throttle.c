/*
 * throttle.c - see throttle.h.
 *
 * Where the signals come from. Both servers: Threads_running, which counts connections
 * that execute something, and also those that only send the binlog or wait for events.
 * MariaDB: Innodb_history_list_length and Innodb_checkpoint_age with its maximum, in the
 * global status. MySQL: trx_rseg_history_len in INNODB_METRICS, and since 8.0.30 the
 * redo log's positions and capacity in the global status. Where these are not to be had:
 * SHOW ENGINE INNODB STATUS.
 */
#include "engines/mysql/copy/throttle.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"

#define LOOK_MS		  1000
#define FIRST_LOOK_MS	  3000
#define FIRST_LOOKS	  3
#define RESIDENT_MS	  5000
#define AGAIN_MS	  5000 /* after a server did not let us in */
#define SECONDS		  2    /* for a connection, for an answer */
#define MYSQL_HAS_REPLICA 80022

struct eye { /* on one server */
	struct db_params params;
	struct db *db;
	int64_t again_ms; /* not before that */
	bool complained;
	bool no_history, no_age; /* this server does not tell us */
};

struct throttle {
	TALLOC_CTX *mem; /* the thread's */
	struct eye target, *replicas;
	size_t n_replicas;
	int64_t resident, resident_ms; /* connections that only seem to execute */
	int looks;
	pthread_t thread;
	bool started;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* guarded: */
	struct pressure *pressure;
	unsigned own, own_most; /* now; at most since the last look */
	bool looked, stopping;
};

/* ---- one server -----------------------------------------------------------------------
 */

/* Said once, and once more when it has passed. */
static void complain(struct eye *e, const struct sb_err *err)
{
	if (!e->complained)
		log_err(LOG_WARN, "engine.mysql.copy.throttle.blind", err,
			"the load of %s cannot be seen", e->params.name);
	e->complained = true;
	if (e->db && db_is_lost(e->db)) {
		talloc_free(e->db);
		e->db = NULL;
	}
	e->again_ms = clock_ms() + AGAIN_MS;
}

static void sees(struct eye *e)
{
	if (e->complained)
		log_info("engine.mysql.copy.throttle.sees",
			 "the load of %s can be seen again", e->params.name);
	e->complained = false;
}

static bool is_open(struct throttle *t, struct eye *e)
{
	struct sb_err err;

	if (e->db)
		return true;
	if (clock_ms() < e->again_ms)
		return false;
	if (db_open(t->mem, &e->params, &e->db, &err) == 0)
		return true;
	complain(e, &err);
	return false;
}

static int ask(TALLOC_CTX *ctx, struct eye *e, const char *sql, struct db_rows **out)
{
	struct sb_err err;

	if (db_query(ctx, e->db, sql, out, &err) == 0)
		return 0;
	complain(e, &err);
	return -1;
}

/* What a server may not have, or may not tell us: no reason to complain. */
static int ask_quietly(TALLOC_CTX *ctx, struct eye *e, const char *sql,
		       struct db_rows **out)
{
	struct sb_err err;

	if (db_query(ctx, e->db, sql, out, &err) == 0)
		return 0;
	if (db_is_lost(e->db))
		complain(e, &err);
	return -1;
}

static int64_t number(const struct db_rows *rows, size_t column)
{
	const char *text = rows->n == 1 ? rows->cell[0][column] : NULL;

	return text ? strtoll(text, NULL, 10) : -1;
}

/* A variable of SHOW GLOBAL STATUS, -1 = there is none. */
static int64_t status(const struct db_rows *rows, const char *name)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(rows->cell[i][0], name) == 0 && rows->cell[i][1])
			return strtoll(rows->cell[i][1], NULL, 10);
	return -1;
}

/* ---- the server itself ----------------------------------------------------------------
 */

/* Connections that Threads_running counts although they only wait: senders of the binlog,
 * ours too, and the event scheduler. */
static void count_residents(struct throttle *t, TALLOC_CTX *mem)
{
	struct db_rows *rows;

	/* Our own feed is about to connect. */
	if (t->looks++ > FIRST_LOOKS && clock_ms() - t->resident_ms < RESIDENT_MS)
		return;
	if (ask(mem, &t->target,
		"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND IN"
		" ('Binlog Dump', 'Binlog Dump GTID', 'Daemon')",
		&rows) < 0)
		return;
	t->resident = number(rows, 0);
	t->resident_ms = clock_ms();
}

static char *innodb_status(TALLOC_CTX *ctx, struct eye *e)
{
	struct db_rows *rows;

	if (ask_quietly(ctx, e, "SHOW ENGINE INNODB STATUS", &rows) < 0)
		return NULL;
	return rows->n == 1 ? rows->cell[0][2] : NULL;
}

static void missing(struct eye *e, const char *what, bool *flag)
{
	if (!*flag && e->db)
		log_warn("engine.mysql.copy.throttle.unknown",
			 "%s does not tell its %s, so that no copy waits for it: does "
			 "the account have PROCESS?",
			 e->params.name, what);
	*flag = e->db != NULL;
}

static int64_t history(TALLOC_CTX *ctx, struct eye *e, const struct db_rows *global)
{
	int64_t length = status(global, "Innodb_history_list_length");
	struct db_rows *rows;
	char *text;

	if (length >= 0 || e->no_history)
		return length;
	if (ask_quietly(ctx, e,
			"SELECT `COUNT` FROM information_schema.INNODB_METRICS"
			" WHERE NAME = 'trx_rseg_history_len' AND STATUS = 'enabled'",
			&rows) == 0)
		length = number(rows, 0);
	if (length < 0 && e->db) {
		text = innodb_status(ctx, e);
		length = text ? pressure_status_number(text, "History list length") : -1;
	}
	if (length < 0)
		missing(e, "history list length", &e->no_history);
	return length;
}

static int64_t percent(int64_t part, int64_t all)
{
	return part < 0 || all <= 0 ? -1 : part > all ? 100 : part * 100 / all;
}

static int64_t checkpoint_age(TALLOC_CTX *ctx, struct eye *e,
			      const struct db_rows *global)
{
	int64_t age = percent(status(global, "Innodb_checkpoint_age"),
			      status(global, "Innodb_checkpoint_max_age"));
	int64_t at = status(global, "Innodb_redo_log_current_lsn");
	int64_t written = status(global, "Innodb_redo_log_checkpoint_lsn");
	struct db_rows *rows;
	char *text;

	if (age < 0 && at >= 0 && written >= 0)
		age = percent(at - written,
			      status(global, "Innodb_redo_log_capacity_resized"));
	if (age >= 0 || e->no_age)
		return age;
	text = innodb_status(ctx, e);
	if (text &&
	    ask_quietly(ctx, e,
			"SELECT @@innodb_log_file_size * @@innodb_log_files_in_group",
			&rows) == 0) {
		at = pressure_status_number(text, "Log sequence number");
		written = pressure_status_number(text, "Last checkpoint at");
		if (at >= 0 && written >= 0)
			age = percent(at - written, number(rows, 0));
	}
	if (age < 0)
		missing(e, "checkpoint age", &e->no_age);
	return age;
}

static void note(struct throttle *t, enum pressure_signal signal, size_t replica,
		 int64_t value)
{
	struct pressure_gauge *g;

	pthread_mutex_lock(&t->mutex);
	g = pressure_of(t->pressure, signal, replica);
	if (g)
		pressure_look(g, value, clock_ms());
	pthread_mutex_unlock(&t->mutex);
}

static bool wants(struct throttle *t, enum pressure_signal signal)
{
	bool wanted;

	pthread_mutex_lock(&t->mutex);
	wanted = pressure_of(t->pressure, signal, 0) != NULL;
	pthread_mutex_unlock(&t->mutex);
	return wanted;
}

static int64_t others_running(struct throttle *t, int64_t running)
{
	pthread_mutex_lock(&t->mutex);
	/* Not those of just now: it may be the moment between two chunks. */
	running -= 1 + (int64_t)t->own_most + t->resident;
	t->own_most = t->own;
	pthread_mutex_unlock(&t->mutex);
	return running > 0 ? running : 0;
}

static void look_at_target(struct throttle *t)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "look");
	struct eye *e = &t->target;
	struct db_rows *global;
	int64_t running;

	if (!is_open(t, e))
		goto out;
	count_residents(t, mem);
	if (!e->db ||
	    ask(mem, e,
		"SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_running',"
		" 'Innodb_history_list_length', 'Innodb_checkpoint_age',"
		" 'Innodb_checkpoint_max_age', 'Innodb_redo_log_current_lsn',"
		" 'Innodb_redo_log_checkpoint_lsn', 'Innodb_redo_log_capacity_resized')",
		&global) < 0)
		goto out;
	running = status(global, "Threads_running");
	if (running >= 0) {
		sees(e);
		note(t, PRESSURE_THREADS, 0, others_running(t, running));
	}
	if (wants(t, PRESSURE_HISTORY))
		note(t, PRESSURE_HISTORY, 0, history(mem, e, global));
	if (e->db && wants(t, PRESSURE_CHECKPOINT))
		note(t, PRESSURE_CHECKPOINT, 0, checkpoint_age(mem, e, global));
out:
	talloc_free(mem);
}

/* ---- replicas -------------------------------------------------------------------------
 */

static const char *status_statement(struct db *db)
{
	if (db_flavor(db) == DB_MARIADB)
		return "SHOW ALL SLAVES STATUS";
	return db_version(db) >= MYSQL_HAS_REPLICA ? "SHOW REPLICA STATUS"
						   : "SHOW SLAVE STATUS";
}

static void look_at_replica(struct throttle *t, size_t i)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "look");
	struct eye *e = &t->replicas[i];
	struct db_rows *rows;
	struct sb_err err;

	if (is_open(t, e) && ask(mem, e, status_statement(e->db), &rows) == 0) {
		int64_t lag = pressure_lag(rows);

		if (lag >= 0) {
			sees(e);
		} else {
			sb_err(&err, SB_EENGINE,
			       rows->n == 0 ? "%s is not a replica."
					    : "%s does not replicate: see SHOW REPLICA "
					      "STATUS there.",
			       e->params.name);
			complain(e, &err);
			e->again_ms = 0;
		}
		note(t, PRESSURE_LAG, i, lag);
	}
	talloc_free(mem);
}

/* ---- the thread -----------------------------------------------------------------------
 */

/* The mutex being held. */
static void wait_ms(struct throttle *t, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&t->changed, &t->mutex, &until);
}

static bool is_stopping(struct throttle *t)
{
	bool stopping;

	pthread_mutex_lock(&t->mutex);
	stopping = t->stopping;
	pthread_mutex_unlock(&t->mutex);
	return stopping;
}

static void *run(void *arg)
{
	struct throttle *t = arg;

	db_thread_init();
	while (!is_stopping(t)) {
		int64_t next = clock_ms() + LOOK_MS;

		look_at_target(t);
		for (size_t i = 0; i < t->n_replicas && !is_stopping(t); i++)
			look_at_replica(t, i);
		pthread_mutex_lock(&t->mutex);
		t->looked = true;
		pthread_cond_broadcast(&t->changed);
		while (!t->stopping && clock_ms() < next)
			wait_ms(t, next - clock_ms());
		pthread_mutex_unlock(&t->mutex);
	}
	talloc_free(t->mem);
	db_thread_end();
	return NULL;
}

static int destroy(struct throttle *t)
{
	pthread_mutex_lock(&t->mutex);
	t->stopping = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->mutex);
	if (t->started)
		pthread_join(t->thread, NULL);
	else
		talloc_free(t->mem);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->mutex);
	return 0;
}

/* Threads of ours take no signals: those are the driver's main loop's. */
static int start(struct throttle *t, struct sb_err *err)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&t->thread, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return sb_err(err, SB_EUNAVAILABLE, "Cannot start a thread: %s.",
			      strerror(rc));
	t->started = true;
	return 0;
}

static int64_t blind_ms(void)
{
#ifdef SB_FAULTS
	const char *sooner = getenv("SB_BLIND_SECONDS");

	if (sooner)
		return strtoll(sooner, NULL, 10) * 1000;
#endif
	return PRESSURE_BLIND_MS;
}

static void init_sync(struct throttle *t)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&t->mutex, NULL);
}

int throttle_open(TALLOC_CTX *ctx, const struct db_params *target,
		  const struct throttle_limits *limits, struct throttle **out,
		  struct sb_err *err)
{
	int64_t until = clock_ms() + FIRST_LOOK_MS;
	struct throttle *t;

	*out = NULL;
	if (!limits)
		return 0;
	t = mem_new(ctx, struct throttle);
	t->mem = mem_ctx(NULL, "throttle");
	t->target.params = *target;
	t->target.params.connect_seconds = t->target.params.io_seconds = SECONDS;
	t->n_replicas = limits->max_replica_lag_seconds > 0 ? limits->n_replicas : 0;
	t->replicas = mem_array(t, struct eye, t->n_replicas);
	for (size_t i = 0; i < t->n_replicas; i++)
		t->replicas[i].params = limits->replicas[i];
	t->pressure = pressure_new(t, limits, clock_ms());
	t->pressure->blind_ms = blind_ms();
	init_sync(t);
	talloc_set_destructor(t, destroy);
	if (start(t, err) < 0) {
		talloc_free(t);
		return -1;
	}
	pthread_mutex_lock(&t->mutex);
	while (!t->looked && clock_ms() < until)
		wait_ms(t, until - clock_ms());
	pthread_mutex_unlock(&t->mutex);
	*out = t;
	return 0;
}

/* ---- what it says ---------------------------------------------------------------------
 */

void throttle_own(struct throttle *t, unsigned n)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->mutex);
	t->own = n;
	t->own_most = n > t->own_most ? n : t->own_most;
	pthread_mutex_unlock(&t->mutex);
}

bool throttle_reason(struct throttle *t, enum pressure_work work, char out[PRESSURE_TEXT])
{
	bool any;

	*out = '\0';
	if (!t)
		return false;
	pthread_mutex_lock(&t->mutex);
	any = pressure_reason(t->pressure, work, clock_ms(), out);
	pthread_mutex_unlock(&t->mutex);
	return any;
}

bool throttle_lags(struct throttle *t)
{
	bool any;

	if (!t)
		return false;
	pthread_mutex_lock(&t->mutex);
	any = pressure_lags(t->pressure, clock_ms());
	pthread_mutex_unlock(&t->mutex);
	return any;
}
