/*
 * online.c - a run's tables are copied online: connects the run with engines/mysql/copy.
 *
 * Called by the worker (exec.c, group.c) on its thread, which also executes the
 * statements on the shadow through the connection that holds the advisory locks. What the
 * change says about itself becomes the progress that poll() tells; what the driver asked
 * for (halt, volume, cutover) is what the change's hooks answer.
 *
 * Must never: report a table as changed before the change said so, or drop a shadow that
 * may be the only one of its table.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/copy/change.h"
#include "engines/mysql/copy/connect.h"
#include "engines/mysql/copy/cutover.h"
#include "engines/mysql/copy/table.h"
#include "engines/mysql/exec.h"
#include "engines/mysql/ladder.h"

struct online {
	struct engine_run *run;
	const struct online_before *before;
	const size_t *places; /* of the change's tasks in the run */
	size_t n_done;
	struct online_end *end;
};

bool online_is(const struct engine_run *run, const struct engine_task *task)
{
	char *old = mysql_renamed_from(NULL, task->ddl);
	bool rename = old != NULL;

	talloc_free(old);
	if (rename || strcmp(task->action, "alter") != 0 || task->announced_blocking)
		return false;
	return task->announced == ENGINE_ALGORITHM_COPY ||
	       (task->announced == ENGINE_ALGORITHM_AUTO &&
		run->options.algorithm == ENGINE_ALGORITHM_COPY);
}

/* ---- what the change asks
 * --------------------------------------------------------------
 */

static bool halted(void *arg)
{
	struct online *o = arg;

	return exec_halting(o->run);
}

static int volume(void *arg)
{
	struct online *o = arg;
	int v;

	pthread_mutex_lock(&o->run->mutex);
	v = o->run->volume;
	pthread_mutex_unlock(&o->run->mutex);
	return v;
}

static bool cutover_wanted(void *arg)
{
	struct online *o = arg;
	bool wanted;

	pthread_mutex_lock(&o->run->mutex);
	wanted = !o->run->options.defer_cutover || o->run->cutover;
	pthread_mutex_unlock(&o->run->mutex);
	return wanted;
}

static int cutting(void *arg, struct sb_err *err)
{
	struct online *o = arg;

	pthread_mutex_lock(&o->run->mutex);
	o->run->cutover = true; /* a former driver may have been asked */
	o->run->stored = true;
	pthread_cond_broadcast(&o->run->changed);
	pthread_mutex_unlock(&o->run->mutex);
	return o->before ? o->before->fn(o->before->arg, err) : 0;
}

/* ---- what the change says
 * --------------------------------------------------------------
 */

/* Without a deferred cutover, ready is a moment between two states. */
static enum engine_task_state state_of(const struct engine_run *run,
				       enum copy_phase phase)
{
	switch (phase) {
	case COPY_PREPARING:
	case COPY_COPYING:
	case COPY_BUILDING:
		return ENGINE_TASK_RUNNING;
	case COPY_CATCHING_UP:
		return ENGINE_TASK_CATCHING_UP;
	case COPY_CHECKING:
		return ENGINE_TASK_CHECKSUMMING;
	case COPY_READY:
		return run->options.defer_cutover && !run->cutover
			       ? ENGINE_TASK_WAITING_FOR_CUTOVER
			       : ENGINE_TASK_POST_CHECKSUM;
	case COPY_CUTTING_OVER:
	case COPY_DONE:
		return ENGINE_TASK_CUTTING_OVER;
	}
	BUG("no such phase");
}

/* Of all that is to be done, not of the rows alone: 100 is for a table that is changed.
 */
static int percent_of(const struct change_report *r)
{
	int64_t percent;

	if (r->phase > COPY_COPYING)
		return 99;
	if (r->rows_total <= 0)
		return -1;
	percent = r->rows * 100 / r->rows_total;
	return percent < 99 ? (int)percent : 99;
}

/* Of the phase that can be measured, -1 in the others. */
static int64_t eta_of(struct mysql_slot *slot, const struct change_report *r)
{
	int64_t now = clock_ms(), spent;

	if (r->phase != COPY_CHECKING) {
		slot->check_ms = 0;
	} else if (slot->check_ms == 0) {
		slot->check_ms = now;
		slot->check_from = r->checked;
	}
	if (r->phase == COPY_COPYING && r->rows_per_second > 0 &&
	    r->rows_total >= r->rows)
		return (r->rows_total - r->rows) / r->rows_per_second;
	if (r->phase != COPY_CHECKING || r->checked <= slot->check_from ||
	    r->rows_total < r->checked)
		return -1;
	spent = now - slot->check_ms;
	return spent * (r->rows_total - r->checked) / (r->checked - slot->check_from) /
	       1000;
}

static void describe(const struct change_report *r, char *out, size_t n)
{
	if (r->phase == COPY_CUTTING_OVER && r->cutover_reason)
		snprintf(out, n, "%s; try %d was in vain: %s", copy_phase_words(r->phase),
			 r->cutover_attempts, r->cutover_reason);
	else if (r->lag_seconds > 1)
		snprintf(out, n, "%s; the binlog is read %" PRId64 " s behind",
			 copy_phase_words(r->phase), r->lag_seconds);
	else
		snprintf(out, n, "%s", copy_phase_words(r->phase));
}

static void report(void *arg, size_t task, const struct change_report *r)
{
	struct online *o = arg;
	struct mysql_slot *slot = &o->run->slots[o->places[task]];
	struct engine_progress *p = &slot->progress;

	pthread_mutex_lock(&o->run->mutex);
	p->state = state_of(o->run, r->phase);
	p->rows_copied = r->rows;
	p->rows_total = r->rows_total;
	p->percent = percent_of(r);
	p->eta_seconds = eta_of(slot, r);
	p->rows_per_second = r->rows_per_second;
	p->checksum_rows = r->checked;
	p->pending_keys = (int64_t)r->pending;
	p->cutover_attempts = r->cutover_attempts;
	p->throttled = r->throttle != NULL;
	snprintf(p->throttle_reason, sizeof(p->throttle_reason), "%s",
		 r->throttle ? r->throttle : "");
	describe(r, p->detail, sizeof(p->detail));
	pthread_mutex_unlock(&o->run->mutex);
}

/* The caller reports it, when all that belongs together is done. */
static void done(void *arg, size_t task, const char *note)
{
	struct online *o = arg;
	const struct engine_task *t = &o->run->tasks[o->places[task]];

	o->n_done++;
	if (note)
		o->end->note = mem_strdup(o->end->ctx, note);
	log_info("engine.mysql.altered", "%s.%s by an online copy", t->schema, t->table);
}

/* ---- all of it ------------------------------------------------------------------------
 */

int online_discard(struct engine_run *run, const struct engine_task *task,
		   struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "discard");
	struct copy_table *t;
	int rc = copy_table_names(mem, run->apply_id, task, &t, err);

	if (rc == 0)
		rc = copy_evict(run->ddl, task->schema, task->table, err);
	if (rc == 0)
		rc = cutover_tidy(run->ddl, t, err);
	if (rc == 0)
		rc = cutover_spare(run->ddl, t, err);
	if (rc == 1)
		rc = copy_table_drop(run->ddl, t, err);
	talloc_free(mem);
	return rc;
}

/* Nobody takes up what failed for good: its disk space is wanted back at once. */
static void give_up(struct engine_run *run, const struct engine_task *task)
{
	struct sb_err err;

	if (mysql_checkpoint_save(run->ddl, run->operation, run->token, task->schema,
				  task->table, NULL, &err) < 0 ||
	    online_discard(run, task, &err) < 0)
		log_err(LOG_WARN, "engine.mysql.discard", &err,
			"what was copied of %s.%s stays until the reaper drops it",
			task->schema, task->table);
}

enum outcome online_change(struct engine_run *run, const size_t *places, size_t n,
			   const struct online_before *before, struct online_end *end,
			   struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "online change");
	struct engine_task *tasks = mem_array(mem, struct engine_task, n);
	struct online o = { .run = run, .before = before, .places = places, .end = end };
	const struct change_hooks hooks = { .arg = &o,
					    .halted = halted,
					    .volume = volume,
					    .cutover_wanted = cutover_wanted,
					    .cutting = cutting,
					    .report = report,
					    .done = done };
	const struct change_args args = { .target = &run->copy_params,
					  .locks = run->ddl,
					  .apply_id = run->apply_id,
					  .operation = run->operation,
					  .token = run->token,
					  .tasks = tasks,
					  .n = n,
					  .kill_blockers_after =
						  run->options.kill_blockers_after,
					  .forget_cutover = run->forget_cutover,
					  .hooks = &hooks,
					  .throttle = run->throttle };
	enum outcome result = DONE;
	int rc;

	for (size_t i = 0; i < n; i++)
		tasks[i] = run->tasks[places[i]];
	rc = change_run(&args, err);
	end->swapped = o.n_done == n;
	if (rc == 0 ||
	    (rc < 0 && exec_halting(run) && err_class(err->code) == ERR_RETRYABLE))
		result = HALTED;
	else if (rc < 0)
		result = FAILED;
	for (size_t i = 0; result == FAILED && err_class(err->code) == ERR_PERMANENT &&
			   i < n && !end->swapped && !db_is_lost(run->ddl);
	     i++)
		give_up(run, &tasks[i]);
	talloc_free(mem);
	return result;
}
