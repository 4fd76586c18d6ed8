/*
 * watch.c - the watcher: looks at the worker's connection through one of its own.
 *
 * A thread that lives as long as a worker. Once a second it reads how far the statement
 * is, where the server says; when the run is to halt it sends KILL QUERY every 100 ms
 * until the worker has come back, because a KILL that arrives before its statement has no
 * effect. When the server stays out of reach for a minute, or has forgotten the worker's
 * connection, it breaks that connection, or the worker would wait for ever.
 *
 * Must never: kill anything but the connection that provably holds our advisory lock (ids
 * begin anew when a server restarts).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "engines/mysql/run.h"

#define LOOK_MS	       1000
#define KILL_MS	       100
#define UNREACHABLE_MS 60000

static bool reconnect(struct engine_run *run, struct sb_err *err)
{
	if (run->control && !db_is_lost(run->control))
		return true;
	talloc_free(run->control);
	return db_open(run->control_mem, &run->control_params, &run->control, err) == 0;
}

/* Does the server still have the worker's connection? 1, 0, -1 = no answer. */
static int still_there(struct engine_run *run, struct sb_err *err)
{
	if (!reconnect(run, err))
		return -1;
	return mysql_lock_held_by(run->control, run->locks[0], run->ddl_id, err);
}

int mysql_kill(struct engine_run *run, struct sb_err *err)
{
	char sql[64];
	int rc = still_there(run, err);

	if (rc <= 0)
		return rc;
	snprintf(sql, sizeof(sql), "KILL QUERY %" PRIu64, run->ddl_id);
	/* No such thread: it has ended since; the next look will tell. */
	if (db_run(run->control, sql, err) < 0 && db_is_lost(run->control))
		return -1;
	return 1;
}

/* ---- progress --------------------------------------------------------------------- */

struct look {
	int percent; /* -1 = not known */
	int copied;  /* percent of the rows that were copied, -1 = this is not a copy */
	char detail[128]; /* the server's own words, "" = none */
};

static double number(const char *text)
{
	return text ? strtod(text, NULL) : 0;
}

static int whole_percent(double part, double of)
{
	double p = of > 0 ? 100 * part / of : -1;

	return p < 0	? -1
	       : p > 99 ? 99
			: (int)p; /* 100 is for a statement that is done */
}

/*
 * MySQL, where the consumer events_stages_current is on and we may read it: units are
 * rows for a copy and pages otherwise. Returns false when there is nothing to be had.
 */
static bool look_at_stage(TALLOC_CTX *mem, struct engine_run *run, struct look *look)
{
	char *sql = mem_printf(mem,
			       "SELECT e.event_name, e.work_completed, e.work_estimated"
			       " FROM performance_schema.events_stages_current e"
			       " JOIN performance_schema.threads t USING (thread_id)"
			       " WHERE t.processlist_id = %" PRIu64,
			       run->ddl_id);
	struct db_rows *rows;
	const char *stage;

	if (run->no_stages)
		return false;
	if (db_query(mem, run->control, sql, &rows, NULL) < 0) {
		run->no_stages = !db_is_lost(run->control);
		return false;
	}
	if (rows->n == 0 || !rows->cell[0][1])
		return false;
	stage = strrchr(rows->cell[0][0], '/');
	stage = stage ? stage + 1 : rows->cell[0][0];
	snprintf(look->detail, sizeof(look->detail), "%s", stage);
	look->percent = whole_percent(number(rows->cell[0][1]), number(rows->cell[0][2]));
	if (strcmp(stage, "copy to tmp table") == 0)
		look->copied = look->percent;
	return true;
}

/*
 * Both flavours know the state in words; MariaDB adds which of how many stages it is in,
 * and the percentage of that stage (KB: "Progress Reporting"). Its copy has two stages,
 * and building the indexes, the second, may take as long as the first.
 */
static void look_at_processlist(TALLOC_CTX *mem, struct engine_run *run,
				struct look *look)
{
	bool stages = db_flavor(run->control) == DB_MARIADB;
	char *sql = mem_printf(mem,
			       "SELECT state%s FROM information_schema.processlist"
			       " WHERE id = %" PRIu64,
			       stages ? ", stage, max_stage, progress" : "", run->ddl_id);
	struct db_rows *rows;
	double stage, of;
	char **c;

	if (db_query(mem, run->control, sql, &rows, NULL) < 0 || rows->n == 0)
		return;
	c = rows->cell[0];
	snprintf(look->detail, sizeof(look->detail), "%s", c[0] ? c[0] : "");
	if (!stages)
		return;
	stage = number(c[1]);
	of = number(c[2]);
	if (stage < 1 || of < stage)
		return;
	look->percent = whole_percent((stage - 1) * 100 + number(c[3]), of * 100);
	if (strcmp(look->detail, "copy to tmp table") == 0)
		look->copied = whole_percent(number(c[3]), 100);
	else if (strcmp(look->detail, "Enabling keys") == 0)
		look->copied = 100;
}

/* Progress of one statement never goes back. */
static void publish(struct engine_run *run, const struct look *look)
{
	struct engine_progress *p;
	int64_t rows;

	pthread_mutex_lock(&run->mutex);
	p = &run->slots[run->current].progress;
	if (run->executing) {
		if (look->percent > p->percent)
			p->percent = look->percent;
		rows = look->copied < 0 || p->rows_total < 0
			       ? -1
			       : p->rows_total * look->copied / 100;
		if (rows > p->rows_copied)
			p->rows_copied = rows;
		if (look->detail[0])
			snprintf(p->detail, sizeof(p->detail), "%s", look->detail);
	}
	pthread_mutex_unlock(&run->mutex);
}

static void observe(struct engine_run *run)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "mysql observe");
	struct look look = { .percent = -1, .copied = -1 };

	if (db_flavor(run->control) != DB_MYSQL || !look_at_stage(mem, run, &look))
		look_at_processlist(mem, run, &look);
	publish(run, &look);
	talloc_free(mem);
}

/* ---- the thread ------------------------------------------------------------------- */

/*
 * One look at a running statement, without the mutex. False when the worker waits in vain
 * and its connection is to be broken.
 */
static bool look_once(struct engine_run *run, bool halt, int64_t *reached_ms)
{
	struct sb_err err = { 0 };
	int rc = halt ? mysql_kill(run, &err) : still_there(run, &err);

	if (rc >= 0 || db_error_kind(err.db_errno) != DB_ERR_LOST)
		*reached_ms = clock_ms();
	if (rc > 0 && !halt)
		observe(run);
	if (rc < 0)
		return clock_ms() - *reached_ms < UNREACHABLE_MS;
	return rc > 0;
}

void *mysql_watcher(void *arg)
{
	struct engine_run *run = arg;
	int64_t reached_ms = clock_ms();

	db_thread_init();
	log_context("apply_id", run->apply_id);
	pthread_mutex_lock(&run->mutex);
	while (!run->ended) {
		if (!run->executing) {
			reached_ms = clock_ms();
			mysql_wait(run, LOOK_MS);
			continue;
		}
		bool halt = run->halt, good;

		pthread_mutex_unlock(&run->mutex);
		good = look_once(run, halt, &reached_ms);
		pthread_mutex_lock(&run->mutex);
		if (!good && run->executing) {
			log_warn("engine.mysql.connection_broken",
				 "connection %" PRIu64 " does not answer any more",
				 run->ddl_id);
			shutdown(run->ddl_socket, SHUT_RDWR);
		}
		if (run->executing && run->halt == halt)
			mysql_wait(run, halt ? KILL_MS : LOOK_MS);
	}
	pthread_mutex_unlock(&run->mutex);
	log_context_clear();
	db_thread_end();
	return NULL;
}
