/*
 * group.c - several tasks that wait for one cutover: nothing of theirs is to be seen
 * before it was asked for, and then all of it, as nearly at once as the server can.
 *
 * Called by the worker (exec.c). Tables that are copied online are copied and then wait;
 * what the server does in a moment waits with them, and is executed in the plan's order
 * when the cutover was asked for: what stands before the first copied table, then the
 * swap of all of these, then the rest. A statement that stands before the copy of its own
 * table is the exception: the copy is made of its result, so it is executed first of all.
 *
 * Must never: execute anything else before the cutover was asked for and that is stored.
 */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/exec.h"

#define LOOK_MS 1000
/* What a task's checkpoint says that is not copied: its cutover was asked for. */
#define ASKED "{\"cutover\":true}"

enum part { EARLY, BEFORE, ONLINE, AFTER };

struct group {
	TALLOC_CTX *mem;
	struct engine_run *run;
	enum part *part; /* of each task */
	size_t n_online;
	size_t left; /* tasks that are not done */
	/* What failed, by its place; run->n = the copies. */
	size_t failed;
	enum outcome outcome;
};

static bool same_table(const struct engine_task *a, const struct engine_task *b)
{
	return strcmp(a->schema, b->schema) == 0 && strcmp(a->table, b->table) == 0;
}

static void divide(struct group *g)
{
	const struct engine_task *tasks = g->run->tasks;
	size_t n = g->run->n;
	bool seen = false;

	g->part = mem_array(g->mem, enum part, n);
	for (size_t i = 0; i < n; i++) {
		bool online = online_is(g->run, &tasks[i]);

		seen |= online;
		g->part[i] = online ? ONLINE : seen ? AFTER : BEFORE;
		g->n_online += online;
		for (size_t k = i + 1; k < n && !online; k++)
			if (same_table(&tasks[i], &tasks[k]) &&
			    online_is(g->run, &tasks[k]))
				g->part[i] = EARLY;
	}
}

/* Execute the tasks of one part. DONE, or how the first that is not ended. */
static enum outcome execute(struct group *g, enum part part, struct sb_err *err)
{
	for (size_t i = 0; i < g->run->n; i++) {
		const char *note;

		if (g->part[i] != part)
			continue;
		g->failed = i;
		g->outcome = exec_task(g->mem, g->run, i, &note, err);
		if (g->outcome != DONE)
			return g->outcome;
		g->left--;
		exec_report(g->run, i, DONE, note, err, g->left == 0);
	}
	g->failed = g->run->n;
	return DONE;
}

/* ---- the cutover ----------------------------------------------------------------------
 */

/* A former driver may have been asked, and has executed some of it. */
static int was_asked(struct group *g, bool *asked, struct sb_err *err)
{
	*asked = false;
	for (size_t i = 0; i < g->run->n && !g->run->forget_cutover; i++) {
		const struct engine_task *t = &g->run->tasks[i];
		char *text;

		if (g->part[i] == ONLINE)
			continue;
		if (mysql_checkpoint_load(g->mem, g->run->ddl, t->schema, t->table, &text,
					  err) < 0)
			return -1;
		*asked |= text && strcmp(text, ASKED) == 0;
	}
	return 0;
}

static int store_asked(struct group *g, struct sb_err *err)
{
	for (size_t i = 0; i < g->run->n; i++) {
		const struct engine_task *t = &g->run->tasks[i];

		if ((g->part[i] == BEFORE || g->part[i] == AFTER) &&
		    mysql_checkpoint_save(g->run->ddl, g->run->operation, g->run->token,
					  t->schema, t->table, ASKED, err) < 0)
			return -1;
	}
	return 0;
}

/* What precedes the swap; for online_change(). */
static int before_swap(void *arg, struct sb_err *err)
{
	struct group *g = arg;

	if (store_asked(g, err) < 0)
		return -1;
	FAULT("engine.mysql.group.asked");
	if (execute(g, BEFORE, err) == DONE)
		return 0;
	if (g->outcome == HALTED)
		*err = (struct sb_err){ .code = SB_OK };
	return -1;
}

static void show_waiting(struct group *g)
{
	pthread_mutex_lock(&g->run->mutex);
	for (size_t i = 0; i < g->run->n; i++)
		if (g->part[i] == BEFORE || g->part[i] == AFTER)
			g->run->slots[i].progress.state = ENGINE_TASK_WAITING_FOR_CUTOVER;
	pthread_mutex_unlock(&g->run->mutex);
}

/* Without a copy there is nobody else to wait. The connection with the locks lets go of
 * them when it is idle for too long. */
static enum outcome wait_until_asked(struct group *g, struct sb_err *err)
{
	struct engine_run *run = g->run;
	bool asked, halt = false;

	if (was_asked(g, &asked, err) < 0)
		return FAILED;
	while (!asked && !halt) {
		if (db_run(run->ddl, "DO 0", err) < 0) {
			err->code = SB_ERETRY;
			return FAILED;
		}
		pthread_mutex_lock(&run->mutex);
		if (!run->cutover && !run->halt)
			mysql_wait(run, LOOK_MS);
		asked = run->cutover;
		halt = run->halt;
		pthread_mutex_unlock(&run->mutex);
	}
	return halt ? HALTED : DONE;
}

static void note_stored(struct engine_run *run)
{
	pthread_mutex_lock(&run->mutex);
	run->stored = true;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->mutex);
}

/* Nothing is copied: wait, then as before a swap. */
static enum outcome cut_without_copies(struct group *g, struct sb_err *err)
{
	enum outcome o = wait_until_asked(g, err);

	if (o != DONE)
		return o;
	if (store_asked(g, err) < 0)
		return FAILED;
	note_stored(g->run);
	return execute(g, BEFORE, err);
}

static enum outcome cut_with_copies(struct group *g, struct sb_err *err)
{
	const struct online_before before = { before_swap, g };
	struct online_end end = { .ctx = g->mem };
	size_t *places = mem_array(g->mem, size_t, g->n_online), n = 0;
	enum outcome o;

	for (size_t i = 0; i < g->run->n; i++)
		if (g->part[i] == ONLINE)
			places[n++] = i;
	o = online_change(g->run, places, n, &before, &end, err);
	for (size_t i = 0; end.swapped && i < n; i++) {
		exec_forget(g->run, &g->run->tasks[places[i]]);
		if (o != DONE && i == 0)
			continue; /* what failed is told of this one */
		g->left--;
		exec_report(g->run, places[i], DONE, end.note, err, g->left == 0);
	}
	if (o == FAILED && g->failed == g->run->n)
		g->failed = places[0];
	return o;
}

void group_execute(struct engine_run *run)
{
	struct group g = { .mem = mem_ctx(NULL, "mysql group"),
			   .run = run,
			   .left = run->n,
			   .failed = run->n };
	struct sb_err err = { 0 };
	enum outcome o;

	divide(&g);
	o = execute(&g, EARLY, &err);
	if (o == DONE)
		show_waiting(&g);
	if (o == DONE && g.left > 0)
		o = g.n_online > 0 ? cut_with_copies(&g, &err)
				   : cut_without_copies(&g, &err);
	if (o == DONE)
		o = execute(&g, AFTER, &err);
	if (o == HALTED)
		exec_end(run);
	else if (o != DONE)
		exec_report(run, g.failed < run->n ? g.failed : 0, FAILED, NULL, &err,
			    true);
	talloc_free(g.mem);
}
