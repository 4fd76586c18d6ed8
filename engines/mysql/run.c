/*
 * run.c - the driver's side of a run: open, start, poll, stop, fence, close.
 *
 * See run.h for who does what. Must never: execute a statement that changes the target
 * (exec.c does), or say that a run has halted before that is certain.
 */
#include "engines/mysql/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/exec.h"
#include "engines/mysql/ladder.h"

/* ---- open ---------------------------------------------------------------------------
 */

/*
 * Short lock waits, no statement timeout; and the idle connection of a driver that was
 * frozen or vanished with its host lets go of its locks before its lease is over. A
 * living driver that left it idle for so long loses the locks with the connection that
 * it would change something through.
 */
static int set_up_ddl(struct db *db, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "set_up_ddl");
	char *sql = mem_printf(
		mem,
		"SET SESSION lock_wait_timeout = %d,"
		" innodb_lock_wait_timeout = %d, wait_timeout = %u%s",
		MYSQL_LOCK_WAIT_SECONDS, MYSQL_LOCK_WAIT_SECONDS, db_idle_seconds(),
		db_flavor(db) == DB_MARIADB ? ", max_statement_time = 0" : "");
	int rc = db_run(db, sql, err);

	if (rc < 0 && err && err_class(err->code) == ERR_UNCERTAIN)
		err->code = SB_EUNAVAILABLE; /* nothing has happened yet */
	talloc_free(mem);
	return rc;
}

static bool holds(const struct engine_run *run, const char *lock_name)
{
	for (size_t i = 0; i < run->n_locks; i++)
		if (strcmp(run->locks[i], lock_name) == 0)
			return true;
	return false;
}

/*
 * One table's lock. Somebody else's is waited for by looking again later; but a driver
 * that our newer token fences and whose connection is idle (frozen, or cut off with its
 * host) would let nobody in until it ends, so that is ended here.
 */
static int take_lock(struct engine_run *run, const struct engine_request *request,
		     const struct engine_task *t, struct sb_err *err)
{
	struct sb_err why;
	int rc;

	if (mysql_lock_take(run->ddl, t->schema, t->table, err) == 0)
		return 0;
	if (err->code != SB_EBUSY)
		return -1;
	rc = mysql_checkpoint_holder(run->ddl, request, t, &why);
	if (rc < 0)
		*err = why;
	if (rc < 0 || (rc == 0 && !request->evict))
		return -1;
	log_warn("engine.mysql.evicting", "%s", err->msg);
	return mysql_lock_evict(run->ddl, t->schema, t->table, err);
}

static struct mysql_signed *find_signed(struct engine_run *run, const char *schema,
					const char *table)
{
	for (size_t i = 0; i < run->n_signed; i++)
		if (strcmp(run->signed_tables[i].schema, schema) == 0 &&
		    strcmp(run->signed_tables[i].table, table) == 0)
			return &run->signed_tables[i];
	return NULL;
}

/* The names are kept: the driver frees its tasks before the run. */
static void note_signed(struct engine_run *run, const struct engine_request *request)
{
	run->signed_tables = mem_array(run, struct mysql_signed, request->n_tasks);
	for (size_t i = 0; i < request->n_tasks; i++) {
		const struct engine_task *t = &request->tasks[i];
		struct mysql_signed *s = find_signed(run, t->schema, t->table);

		if (!s) {
			s = &run->signed_tables[run->n_signed++];
			s->schema = mem_strdup(run, t->schema);
			s->table = mem_strdup(run, t->table);
		}
		s->open++;
	}
}

bool mysql_table_is_over(struct engine_run *run, const struct engine_task *task)
{
	struct mysql_signed *s = find_signed(run, task->schema, task->table);

	if (s && s->open > 0)
		s->open--;
	return !s || s->open == 0;
}

static int lock_once(struct engine_run *run, const struct engine_request *request,
		     const struct engine_task *task, const char *table,
		     struct sb_err *err)
{
	struct engine_task t = *task;
	char name[MYSQL_LOCK_NAME_LEN + 1];

	t.table = table;
	mysql_lock_name(t.schema, table, name);
	if (holds(run, name))
		return 0;
	if (take_lock(run, request, &t, err) < 0)
		return -1;
	memcpy(run->locks[run->n_locks++], name, sizeof(name));
	return 0;
}

/* A table that is renamed is locked by both of its names. */
static int take_locks(struct engine_run *run, const struct engine_request *request,
		      struct sb_err *err)
{
	run->locks = talloc_zero_size(run, 2 * request->n_tasks * sizeof(*run->locks));
	BUG_ON(!run->locks);
	for (size_t i = 0; i < request->n_tasks; i++) {
		const struct engine_task *t = &request->tasks[i];
		char *old = mysql_renamed_from(run, t->ddl);

		if (lock_once(run, request, t, t->table, err) < 0 ||
		    (old && lock_once(run, request, t, old, err) < 0))
			return -1;
	}
	return 0;
}

static int connect_both(struct engine_run *run, const struct engine_request *request,
			struct sb_err *err)
{
	if (db_open(run->ddl_mem, &run->ddl_params, &run->ddl, err) < 0 ||
	    set_up_ddl(run->ddl, err) < 0)
		return -1;
	run->ddl_id = db_connection_id(run->ddl);
	run->ddl_socket = fcntl(db_socket(run->ddl), F_DUPFD_CLOEXEC, 0);
	if (run->ddl_socket < 0)
		return sb_err(err, SB_EUNAVAILABLE, "Cannot duplicate a socket: %s.",
			      strerror(errno));
	if (take_locks(run, request, err) < 0)
		return -1;
	if (FAULT_ERR("engine.mysql.open.locked", err) < 0 ||
	    mysql_checkpoint_write(run->ddl, request, err) < 0)
		return -1;
	note_signed(run, request);
	return db_open(run->control_mem, &run->control_params, &run->control, err);
}

static int destroy(struct engine_run *run);

static void init_sync(struct engine_run *run)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&run->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&run->mutex, NULL);
}

int mysql_open(TALLOC_CTX *ctx, const struct engine_request *request,
	       struct engine_run **out, struct sb_err *err)
{
	struct engine_run *run;

	*out = NULL;
	if (request->n_tasks == 0)
		return sb_err(err, SB_EINVALID, "There is no table to change.");
	run = mem_new(ctx, struct engine_run);
	run->ddl_params = *request->target;
	run->ddl_params.schema = NULL;	/* each task says its own */
	run->ddl_params.io_seconds = 0; /* an ALTER may take days */
	run->copy_params = *request->target;
	run->copy_params.schema = NULL;
	run->control_params = run->ddl_params;
	run->control_params.connect_seconds = 2;
	run->control_params.io_seconds = 2;
	run->apply_id = mem_strdup(run, request->apply_id);
	run->operation = mem_strdup(run, request->operation);
	run->token = request->lease_token;
	run->options = request->options;
	run->throttle = request->throttle;
	run->volume = request->options.volume;
	run->forget_cutover = request->started;
	run->ddl_mem = mem_ctx(NULL, "mysql ddl");
	run->control_mem = mem_ctx(NULL, "mysql control");
	run->ddl_socket = -1;
	run->ended = true;
	init_sync(run);
	talloc_set_destructor(run, destroy);

	if (connect_both(run, request, err) < 0)
		goto fail;
	if (FAULT_ERR("engine.mysql.open.signed", err) < 0)
		goto fail;
	*out = run;
	return 0;
fail:
	talloc_free(run);
	return -1;
}

/* ---- start, poll ---------------------------------------------------------------------
 */

void mysql_wait(struct engine_run *run, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&run->changed, &run->mutex, &until);
}

static void join(struct engine_run *run)
{
	if (!run->threads)
		return;
	pthread_join(run->worker, NULL);
	pthread_join(run->watcher, NULL);
	run->threads = false;
}

/* Threads of ours take no signals: those are the driver's main loop's. */
static int spawn(struct engine_run *run, struct sb_err *err)
{
	sigset_t all, old;
	bool have_watcher;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&run->watcher, NULL, mysql_watcher, run);
	have_watcher = rc == 0;
	if (rc == 0)
		rc = pthread_create(&run->worker, NULL, mysql_worker, run);
	if (rc != 0) {
		pthread_mutex_lock(&run->mutex);
		run->ended = true;
		pthread_cond_broadcast(&run->changed);
		pthread_mutex_unlock(&run->mutex);
		if (have_watcher)
			pthread_join(run->watcher, NULL);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	run->threads = rc == 0;
	if (rc != 0)
		return sb_err(err, SB_EUNAVAILABLE, "Cannot start a thread: %s.",
			      strerror(rc));
	return 0;
}

static void reset_slots(struct engine_run *run, size_t n)
{
	talloc_free(run->slots);
	run->slots = mem_array(run, struct mysql_slot, n);
	for (size_t i = 0; i < n; i++)
		run->slots[i].progress = (struct engine_progress){ .rows_copied = -1,
								   .rows_total = -1,
								   .percent = -1,
								   .eta_seconds = -1,
								   .rows_per_second = -1,
								   .checksum_rows = -1,
								   .pending_keys = -1 };
}

int mysql_start(TALLOC_CTX *ctx, struct engine_run *run, const struct engine_work *work,
		const char **resume_state, struct sb_err *err)
{
	const struct engine_task *tasks = work->tasks;
	size_t n = work->n_tasks;
	char name[MYSQL_LOCK_NAME_LEN + 1];
	bool busy, fenced;

	(void)ctx;
	*resume_state = NULL; /* a native statement leaves nothing to resume from */
	if (n == 0)
		return sb_err(err, SB_EUNSUPPORTED,
			      "This engine executes statements, and there is none.");
	for (size_t i = 0; i < n; i++) {
		mysql_lock_name(tasks[i].schema, tasks[i].table, name);
		if (!holds(run, name))
			BUG("start of a task whose table is not locked: %s", tasks[i].id);
	}
	pthread_mutex_lock(&run->mutex);
	busy = !run->ended;
	fenced = run->fenced;
	pthread_mutex_unlock(&run->mutex);
	if (busy)
		BUG("start while a start is running");
	if (fenced)
		return sb_err(err, SB_ELEASE,
			      "The work was taken away: nothing is started.");
	if (FAULT_ERR("engine.mysql.start", err) < 0)
		return -1;
	join(run);

	pthread_mutex_lock(&run->mutex);
	reset_slots(run, n);
	run->tasks = tasks;
	run->n = n;
	run->current = 0;
	run->cutover = run->stored = false;
	run->halt = run->fenced;
	run->ended = false;
	pthread_mutex_unlock(&run->mutex);
	return spawn(run, err);
}

/* From the time and the share of it so far; nothing before that says something. */
static int64_t eta_seconds(const struct mysql_slot *slot)
{
	int64_t elapsed = clock_ms() - slot->began_ms;
	int percent = slot->progress.percent;

	if (percent < 1 || elapsed < 1000)
		return -1;
	return elapsed * (100 - percent) / percent / 1000;
}

int mysql_poll(TALLOC_CTX *ctx, struct engine_run *run, struct engine_progress *progress,
	       const char **resume_state, struct sb_err *err)
{
	(void)ctx;
	(void)err;
	*resume_state = NULL;
	pthread_mutex_lock(&run->mutex);
	for (size_t i = 0; i < run->n; i++) {
		progress[i] = run->slots[i].progress;
		if (run->slots[i].began_ms > 0)
			progress[i].eta_seconds = eta_seconds(&run->slots[i]);
	}
	pthread_mutex_unlock(&run->mutex);
	return 0;
}

/* ---- cutover, volume ------------------------------------------------------------------
 */

/* Returns when the target knows that it was asked for: whoever drives from then on does
 * not wait for it again. */
int mysql_cutover(struct engine_run *run, struct sb_err *err)
{
	int64_t deadline = clock_ms() + MYSQL_CUTOVER_MS;
	bool stored, ended;

	if (FAULT_ERR("engine.mysql.cutover", err) < 0)
		return -1;
	pthread_mutex_lock(&run->mutex);
	run->cutover = true;
	pthread_cond_broadcast(&run->changed);
	while (!run->stored && !run->ended && clock_ms() < deadline)
		mysql_wait(run, deadline - clock_ms());
	stored = run->stored;
	ended = run->ended;
	pthread_mutex_unlock(&run->mutex);
	if (stored)
		return 0;
	return sb_err(err, SB_EAMBIGUOUS,
		      ended ? "The change ended before it could cut over."
			    : "The target has not stored the cutover within %d s.",
		      MYSQL_CUTOVER_MS / 1000);
}

int mysql_set_volume(struct engine_run *run, int volume, struct sb_err *err)
{
	(void)err; /* only a fault point fails here */
	if (FAULT_ERR("engine.mysql.volume", err) < 0)
		return -1;
	pthread_mutex_lock(&run->mutex);
	run->volume = volume;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->mutex);
	return 0;
}

/* ---- stop, fence, close ----------------------------------------------------------- */

/* The mutex being held. */
static void request_halt(struct engine_run *run)
{
	if (!run->halt)
		run->halt_ms = clock_ms();
	run->halt = true;
	pthread_cond_broadcast(&run->changed);
}

/* Wait until both threads have wound up. True when they have. */
static bool halted(struct engine_run *run, int64_t deadline)
{
	bool ended;

	pthread_mutex_lock(&run->mutex);
	while (!run->ended && clock_ms() < deadline)
		mysql_wait(run, deadline - clock_ms());
	ended = run->ended;
	pthread_mutex_unlock(&run->mutex);
	if (ended)
		join(run);
	return ended;
}

/*
 * The worker lost its connection: the server may still be executing its statement.
 * Threads are joined. 0 when that connection is gone on the server, too.
 */
static int end_orphan(struct engine_run *run, int64_t deadline, struct sb_err *err)
{
	for (;;) {
		int rc = mysql_kill(run, err);

		if (rc == 0)
			return 0;
		if (clock_ms() >= deadline)
			break;
		clock_sleep_ms(100);
	}
	return sb_err(err, SB_EAMBIGUOUS,
		      "The connection was lost and the server may still be executing the "
		      "statement (connection %" PRIu64 ").",
		      run->ddl_id);
}

int mysql_stop(struct engine_run *run, struct sb_err *err)
{
	int64_t deadline = clock_ms() + MYSQL_STOP_MS;

	if (FAULT_ERR("engine.mysql.stop", err) < 0)
		return -1;
	pthread_mutex_lock(&run->mutex);
	request_halt(run);
	pthread_mutex_unlock(&run->mutex);
	if (!halted(run, deadline))
		return sb_err(
			err, SB_EAMBIGUOUS,
			"The server has not ended the statement of connection %" PRIu64
			" within %d s of KILL QUERY.",
			run->ddl_id, MYSQL_STOP_MS / 1000);
	return db_is_lost(run->ddl) ? end_orphan(run, deadline, err) : 0;
}

/* The server removes the traces of a statement; what is left is shadows and checkpoints.
 * That one could not be removed is no reason to say that the change may still run. */
int mysql_cancel(struct engine_run *run, struct sb_err *err)
{
	struct sb_err left;

	if (mysql_stop(run, err) < 0)
		return -1;
	for (size_t i = 0; i < run->n_signed && !db_is_lost(run->ddl); i++) {
		const struct engine_task t = { .schema = run->signed_tables[i].schema,
					       .table = run->signed_tables[i].table };

		if (run->signed_tables[i].open > 0 &&
		    (online_discard(run, &t, &left) < 0 ||
		     mysql_checkpoint_remove(run->ddl, run->operation, run->token,
					     t.schema, t.table, &left) < 0))
			log_err(LOG_WARN, "engine.mysql.discard", &left,
				"what was made for %s.%s stays until the reaper removes it",
				t.schema, t.table);
	}
	return 0;
}

void mysql_fence(struct engine_run *run)
{
	pthread_mutex_lock(&run->mutex);
	run->fenced = true;
	request_halt(run);
	pthread_mutex_unlock(&run->mutex);
}

/*
 * The talloc destructor, so that a run never outlives its context with threads in it. A
 * worker whose server does not answer is freed by breaking its connection; the server
 * keeps the advisory lock until the statement has ended there.
 */
static int destroy(struct engine_run *run)
{
	int64_t since;

	pthread_mutex_lock(&run->mutex);
	request_halt(run);
	since = run->halt_ms;
	pthread_mutex_unlock(&run->mutex);
	if (!halted(run, since + MYSQL_STOP_MS)) {
		log_warn("engine.mysql.abandoned",
			 "the server did not end the statement of connection %" PRIu64,
			 run->ddl_id);
		shutdown(run->ddl_socket, SHUT_RDWR);
		join(run);
	}
	talloc_free(run->ddl_mem);
	talloc_free(run->control_mem);
	if (run->ddl_socket >= 0)
		close(run->ddl_socket);
	pthread_cond_destroy(&run->changed);
	pthread_mutex_destroy(&run->mutex);
	return 0;
}

void mysql_close_run(struct engine_run *run)
{
	talloc_free(run);
}
