/*
 * exec.c - the worker: executes a run's statements, one after the other.
 *
 * A thread of its own, because a statement may take days. It climbs the ladder no higher
 * than the plan announced, steps aside when somebody holds the metadata lock, and reports
 * what it has seen, and only that, in the run's slots.
 *
 * What is copied online, and tasks that end together, have files of their own (online.c,
 * group.c).
 *
 * Must never: send a statement after `halt` was set, send one again whose outcome is not
 * known, or use another connection than the one that holds the advisory locks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/artefact.h"
#include "engines/mysql/blockers.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/direct.h"
#include "engines/mysql/drops.h"
#include "engines/mysql/exec.h"
#include "engines/mysql/ladder.h"

struct attempt { /* at one task */
	struct engine_run *run;
	const struct engine_task *task;
	TALLOC_CTX *mem;
	int tries;	  /* lock waits so far, over all rungs */
	const char *note; /* what a user should know about how it was done; NULL */
	int64_t began_ms;
};

static struct engine_progress *progress_of(struct engine_run *run)
{
	return &run->slots[run->current].progress;
}

static void set_detail(struct engine_run *run, const char *text)
{
	pthread_mutex_lock(&run->mutex);
	snprintf(progress_of(run)->detail, sizeof(progress_of(run)->detail), "%s", text);
	pthread_mutex_unlock(&run->mutex);
}

/* From here on the watcher may see and kill a statement. False when the run is to halt.
 */
static bool enter_statement(struct engine_run *run)
{
	bool go;

	pthread_mutex_lock(&run->mutex);
	go = !run->halt;
	run->executing = go;
	if (go) {
		run->slots[run->current].began_ms = clock_ms();
		progress_of(run)->percent = -1;
		progress_of(run)->rows_copied = -1;
	}
	pthread_mutex_unlock(&run->mutex);
	return go;
}

/* Returns whether the run is to halt. */
static bool leave_statement(struct engine_run *run)
{
	bool halt;

	pthread_mutex_lock(&run->mutex);
	run->executing = false;
	run->slots[run->current].began_ms = 0;
	halt = run->halt;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->mutex);
	return halt;
}

/* Wait without a statement. False when the run is to halt. */
static bool step_aside(struct engine_run *run, int64_t ms)
{
	int64_t until = clock_ms() + ms;
	bool go;

	pthread_mutex_lock(&run->mutex);
	while (!run->halt && clock_ms() < until)
		mysql_wait(run, until - clock_ms());
	go = !run->halt;
	pthread_mutex_unlock(&run->mutex);
	return go;
}

/* 100 ms, 200 ms, … 10 s. */
static int64_t backoff_ms(int tries)
{
	int64_t ms = 100;

	while (--tries > 0 && ms < 10000)
		ms *= 2;
	return ms < 10000 ? ms : 10000;
}

/* Send one statement and wait for its end, once. */
static enum outcome send_once(struct attempt *a, const char *sql, struct sb_err *err)
{
	struct engine_run *run = a->run;
	bool halting;
	int rc;

	if (!enter_statement(run))
		return HALTED;
	rc = FAULT_ERR("engine.mysql.ddl.before", err);
	if (rc < 0)
		err->code = SB_ERETRY;
	else
		rc = db_run(run->ddl, sql, err);
	if (rc == 0 && FAULT_ERR("engine.mysql.ddl.after", err) < 0) {
		err->code = SB_EAMBIGUOUS; /* as if the answer had been lost */
		rc = -1;
	}
	halting = leave_statement(run);
	if (rc == 0)
		return DONE;
	if (halting && err_class(err->code) != ERR_UNCERTAIN)
		return HALTED; /* by our KILL or by itself: the server has undone it */
	return mysql_rung_refused(err->db_errno) ? REFUSED : FAILED;
}

/* What the table is called as long as the statement waits. */
static const char *is_named(const struct attempt *a)
{
	const char *old = mysql_renamed_from(a->mem, a->task->ddl);

	return old ? old : a->task->table;
}

/* The environment's policy says how long what blocks writers may wait for its lock. */
static bool is_direct(const struct attempt *a)
{
	return a->task->announced_blocking && a->run->options.direct.lock_seconds > 0;
}

static int lock_seconds(const struct attempt *a)
{
	return is_direct(a) ? a->run->options.direct.lock_seconds
			    : MYSQL_LOCK_WAIT_SECONDS;
}

static int max_tries(const struct attempt *a)
{
	return is_direct(a) ? MYSQL_DIRECT_TRIES : MYSQL_LOCK_TRIES;
}

/* One statement, as often as lock waits allow. */
static enum outcome send(struct attempt *a, const char *sql, struct sb_err *err)
{
	for (;;) {
		enum outcome o = send_once(a, sql, err);
		char *who, *text;

		if (o != FAILED || db_error_kind(err->db_errno) != DB_ERR_BUSY)
			return o;
		a->tries++;
		who = mysql_blocker(a->mem, a->run->ddl, a->task->schema, is_named(a));
		if (a->tries >= max_tries(a) ||
		    clock_ms() - a->began_ms > MYSQL_LOCK_BUDGET_MS) {
			sb_err(err, SB_ERETRY,
			       "The lock on the table was not to be had within %d tries of "
			       "%d s; it is %s.",
			       a->tries, lock_seconds(a), who);
			return FAILED;
		}
		text = mem_printf(a->mem,
				  "waiting for the table's lock (try %d of %d), %s",
				  a->tries, max_tries(a), who);
		log_info("engine.mysql.lock_wait", "%s.%s: %s", a->task->schema,
			 a->task->table, text);
		set_detail(a->run, text);
		if (a->run->options.kill_blockers_after > 0 &&
		    a->tries >= a->run->options.kill_blockers_after)
			mysql_blockers_end(a->run->ddl, a->task->schema, is_named(a));
		if (!step_aside(a->run, backoff_ms(a->tries)))
			return HALTED;
	}
}

/* No rung that may be used was accepted; *err is the last refusal. */
static enum outcome fail_refused(const struct attempt *a, struct sb_err *err)
{
	enum engine_algorithm forced = a->run->options.algorithm;
	struct sb_err refusal = *err;

	if (forced != ENGINE_ALGORITHM_AUTO)
		sb_err(err, SB_EINVALID,
		       "algorithm=%s is not possible for this change: %s Leave the option "
		       "out, or choose another algorithm.",
		       engine_algorithm_name(forced), refusal.msg);
	else if (a->task->announced != ENGINE_ALGORITHM_AUTO)
		sb_err(err, SB_EENGINE,
		       "The plan announced algorithm %s%s, which the server refuses now "
		       "that it sees the table's rows: %s Apply a new plan with the option "
		       "algorithm=%s if that is acceptable.",
		       engine_algorithm_name(a->task->announced),
		       a->task->announced_blocking ? "" : " without blocking writes",
		       refusal.msg,
		       a->task->announced == ENGINE_ALGORITHM_INSTANT ? "inplace"
								      : "copy");
	return FAILED;
}

static enum outcome climb(struct attempt *a, struct sb_err *err)
{
	enum db_flavor flavor = db_flavor(a->run->ddl);

	for (size_t i = 0; i < MYSQL_RUNGS; i++) {
		const struct mysql_rung *rung = &mysql_ladder[i];
		enum outcome o;
		char *sql;

		if (!mysql_rung_allowed(rung, flavor, a->task, a->run->options.algorithm))
			continue;
		sql = mysql_alter_with(a->mem, a->task->ddl, rung->clause[flavor], err);
		if (!sql)
			return FAILED;
		set_detail(a->run, rung->words);
		o = send(a, sql, err);
		if (o == DONE) {
			pthread_mutex_lock(&a->run->mutex);
			progress_of(a->run)->is_instant =
				rung->algorithm == ENGINE_ALGORITHM_INSTANT;
			pthread_mutex_unlock(&a->run->mutex);
			log_info("engine.mysql.altered", "%s.%s by %s in %lld ms",
				 a->task->schema, a->task->table, rung->words,
				 (long long)(clock_ms() - a->began_ms));
		}
		if (o != REFUSED)
			return o;
	}
	return fail_refused(a, err);
}

static int set_lock_wait(struct attempt *a, int seconds, struct sb_err *err)
{
	int rc = db_run(a->run->ddl,
			mem_printf(a->mem, "SET SESSION lock_wait_timeout = %d", seconds),
			err);

	if (rc < 0 && err_class(err->code) == ERR_UNCERTAIN)
		err->code = SB_ERETRY; /* nothing was sent that changes anything */
	return rc;
}

/* What blocks writers is for small tables, and this one may have grown since the plan. */
static enum outcome climb_direct(struct attempt *a, struct sb_err *err)
{
	const struct engine_task *task = a->task;
	struct sb_err ignored;
	const char *why;
	enum outcome o;
	int rc = mysql_direct_allows(a->mem, a->run->ddl, task->schema, task->table,
				     &a->run->options.direct, &why, err);

	if (rc == 0)
		sb_err(err, SB_EENGINE,
		       "It may not be changed under a lock that writes wait for: %s (`direct` "
		       "in the environment's configuration). Plan again.",
		       why);
	if (rc <= 0 || set_lock_wait(a, lock_seconds(a), err) < 0)
		return FAILED;
	log_info("engine.mysql.direct", "%s.%s: %s", task->schema, task->table, why);
	o = climb(a, err);
	if (!db_is_lost(a->run->ddl) &&
	    set_lock_wait(a, MYSQL_LOCK_WAIT_SECONDS, &ignored) < 0)
		log_err(LOG_WARN, "engine.mysql.direct", &ignored,
			"later statements wait longer for their locks");
	return o;
}

/* Make the task's schema the default. A KILL that came too late for an earlier statement
 * may hit here, where nothing is lost by asking again. */
static int use_schema(struct attempt *a, struct sb_err *err)
{
	char *sql = mem_printf(a->mem, "USE %s", db_ident(a->mem, a->task->schema));
	int rc = db_run(a->run->ddl, sql, err);

	if (rc < 0 && db_error_kind(err->db_errno) == DB_ERR_KILLED)
		rc = db_run(a->run->ddl, sql, err);
	if (rc < 0 && err_class(err->code) == ERR_UNCERTAIN)
		err->code = SB_ERETRY; /* nothing was sent that changes anything */
	return rc;
}

/* The server's own guess, once, before the statement locks the table. */
static void estimate_rows(struct attempt *a)
{
	struct db_rows *rows;
	char *sql = mem_printf(a->mem,
			       "SELECT table_rows FROM information_schema.tables"
			       " WHERE table_schema = %s AND table_name = %s",
			       db_literal(a->mem, a->task->schema),
			       db_literal(a->mem, a->task->table));
	int64_t n;

	if (db_query(a->mem, a->run->ddl, sql, &rows, NULL) < 0 || rows->n == 0 ||
	    !rows->cell[0][0])
		return;
	n = strtoll(rows->cell[0][0], NULL, 10);
	pthread_mutex_lock(&a->run->mutex);
	progress_of(a->run)->rows_total = n;
	pthread_mutex_unlock(&a->run->mutex);
}

/* Is the table gone, whoever dropped it? Then the drop is done. */
static enum outcome already_absent(struct attempt *a, enum outcome o, struct sb_err *err)
{
	struct sb_err ignored;

	if (o == FAILED && db_error_kind(err->db_errno) == DB_ERR_MISSING &&
	    mysql_table_exists(a->run->ddl, a->task->schema, a->task->table, &ignored) ==
		    0) {
		log_info("engine.mysql.already_absent", "%s.%s: there is nothing to drop",
			 a->task->schema, a->task->table);
		return DONE;
	}
	return o;
}

/* A drop that can be undone: the table moves into quarantine, and out of every foreign
 * key of its own. */
static enum outcome move_aside(struct attempt *a, struct sb_err *err)
{
	const struct engine_task *task = a->task;
	struct db *db = a->run->ddl;
	char *name, *sql;
	struct sb_err late;
	enum outcome o;

	if (mysql_drops_prepare(db, task->schema, task->table, err) < 0)
		return FAILED;
	do {
		if (mysql_drops_statement(a->mem, db, task->schema, task->table, &name,
					  &sql, err) < 0)
			return FAILED;
		o = send(a, sql, err);
		/* Two of one name within a millisecond: the next one is free. */
	} while (o == FAILED && db_error_kind(err->db_errno) == DB_ERR_EXISTS);
	if (o != DONE)
		return already_absent(a, o, err);
	FAULT("engine.mysql.drops.moved");
	if (mysql_drops_release(db, name, &late) < 0)
		log_err(LOG_WARN, "engine.mysql.drops", &late,
			"the foreign keys of %s stay until the reaper drops them", name);
	log_info("engine.mysql.quarantined",
		 "%s.%s is kept as `" ARTEFACT_DROPS_SCHEMA "`.`%s`", task->schema,
		 task->table, name);
	a->note = mem_printf(a->mem, "kept as `" ARTEFACT_DROPS_SCHEMA "`.`%s`", name);
	return DONE;
}

static enum outcome do_task(struct attempt *a, struct sb_err *err)
{
	enum outcome o;

	if (use_schema(a, err) < 0)
		return FAILED;
	if (mysql_renamed_from(a->mem, a->task->ddl)) {
		o = send(a, a->task->ddl, err);
	} else if (strcmp(a->task->action, "alter") == 0) {
		estimate_rows(a);
		o = a->task->announced_blocking ? climb_direct(a, err) : climb(a, err);
	} else if (strcmp(a->task->action, "drop") == 0) {
		o = a->run->options.quarantine_drops
			    ? move_aside(a, err)
			    : already_absent(a, send(a, a->task->ddl, err), err);
	} else {
		o = send(a, a->task->ddl, err);
	}
	return o == REFUSED ? FAILED : o;
}

void exec_forget(struct engine_run *run, const struct engine_task *task)
{
	struct sb_err err;

	if (mysql_table_is_over(run, task) &&
	    mysql_checkpoint_remove(run->ddl, run->operation, run->token, task->schema,
				    task->table, &err) < 0)
		log_err(LOG_WARN, "engine.mysql.checkpoint", &err,
			"a checkpoint stays until the reaper removes it");
}

/* Error numbers whose text alone leaves an operator without a next step. */
#define DATA_HINT "Rows of the table do not fit the new definition: correct them first."
static const struct {
	unsigned db_errno;
	const char *hint;
} hints[] = {
	{ 1062, "Rows of the table contradict the new unique key: correct them first." },
	{ 1138, DATA_HINT },
	{ 1264, DATA_HINT },
	{ 1265, DATA_HINT },
	{ 1292, DATA_HINT },
	{ 1317, "Somebody ended the statement with KILL." },
	{ 1366, DATA_HINT },
	{ 1406, DATA_HINT },
	{ 1435, "A table cannot be moved into quarantine with its triggers: drop them "
		"first." },
	{ 1799,
	  "Writes came faster than the server could apply them afterwards: apply in a "
	  "quieter hour, or raise innodb_online_alter_log_max_size." },
};

static void explain(const struct engine_task *task, struct sb_err *err)
{
	struct sb_err plain = *err;
	const char *hint = "";

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (hints[i].db_errno == plain.db_errno)
			hint = hints[i].hint;
	sb_err(err, plain.code, "Table %s.%s: %s%s%s", task->schema, task->table,
	       plain.msg, *hint ? " " : "", hint);
	err->db_errno = plain.db_errno;
}

/* The mutex being held. From here on the slots change no more. */
static void end_run(struct engine_run *run)
{
	for (size_t i = 0; i < run->n && run->halt; i++) {
		struct engine_progress *p = &run->slots[i].progress;

		if (p->state != ENGINE_TASK_COMPLETED && p->state != ENGINE_TASK_FAILED)
			p->state = ENGINE_TASK_STOPPED;
	}
	run->ended = true;
	pthread_cond_broadcast(&run->changed);
}

void exec_end(struct engine_run *run)
{
	pthread_mutex_lock(&run->mutex);
	end_run(run);
	pthread_mutex_unlock(&run->mutex);
}

bool exec_halting(struct engine_run *run)
{
	bool halt;

	pthread_mutex_lock(&run->mutex);
	halt = run->halt;
	pthread_mutex_unlock(&run->mutex);
	return halt;
}

void exec_report(struct engine_run *run, size_t i, enum outcome o, const char *note,
		 const struct sb_err *err, bool last)
{
	struct engine_progress *p;

	pthread_mutex_lock(&run->mutex);
	p = &run->slots[i].progress;
	snprintf(p->detail, sizeof(p->detail), "%s", note ? note : "");
	p->eta_seconds = -1;
	switch (o) {
	case DONE:
		p->state = ENGINE_TASK_COMPLETED;
		p->percent = 100;
		if (p->rows_copied >= 0)
			p->rows_copied = p->rows_total;
		break;
	case REFUSED:
	case FAILED:
		p->state = ENGINE_TASK_FAILED;
		p->error = *err;
		explain(&run->tasks[i], &p->error);
		break;
	case HALTED:
		p->state = ENGINE_TASK_STOPPED;
		break;
	}
	if (last)
		end_run(run);
	pthread_mutex_unlock(&run->mutex);
}

/* False when the run is to halt: nothing of this task has begun. */
static bool enter_task(struct engine_run *run, size_t i)
{
	bool go;

	pthread_mutex_lock(&run->mutex);
	go = !run->halt;
	if (go) {
		run->current = i;
		run->slots[i].progress.state = ENGINE_TASK_RUNNING;
	}
	pthread_mutex_unlock(&run->mutex);
	return go;
}

enum outcome exec_task(TALLOC_CTX *mem, struct engine_run *run, size_t i,
		       const char **note, struct sb_err *err)
{
	struct attempt a = {
		.run = run, .task = &run->tasks[i], .mem = mem, .began_ms = clock_ms()
	};
	struct online_end end = { .ctx = mem };
	enum outcome o;

	*note = NULL;
	if (!enter_task(run, i))
		return HALTED;
	if (online_is(run, a.task)) {
		o = online_change(run, &i, 1, NULL, &end, err);
		a.note = end.note;
	} else {
		o = do_task(&a, err);
	}
	if (o == DONE || end.swapped)
		exec_forget(run, a.task);
	*note = a.note;
	return o;
}

/* One after the other. */
static void execute(struct engine_run *run)
{
	enum outcome o = DONE;

	for (size_t i = 0; i < run->n && o == DONE; i++) {
		TALLOC_CTX *mem = mem_ctx(NULL, "mysql task");
		struct sb_err err = { 0 };
		const char *note;

		o = exec_task(mem, run, i, &note, &err);
		exec_report(run, i, o, note, &err, o != DONE || i + 1 == run->n);
		talloc_free(mem);
	}
}

void *mysql_worker(void *arg)
{
	struct engine_run *run = arg;

	db_thread_init();
	log_context("apply_id", run->apply_id);
	if (run->options.defer_cutover)
		group_execute(run);
	else
		execute(run);
	log_context_clear();
	db_thread_end();
	return NULL;
}
