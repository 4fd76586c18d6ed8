/*
 * change.c - the course of a change: copy, build indexes, catch up, compare, wait, swap.
 *
 * See change.h. The tables of a group are copied one after the other and then wait for
 * each other; the feed serves all of them from the beginning. Each phase is a loop around
 * change_tick().
 */
#include "engines/mysql/copy/change.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/mysql/copy/build.h"
#include "engines/mysql/copy/change_internal.h"
#include "engines/mysql/copy/cutover.h"
#include "engines/mysql/copy/volume.h"

#define LOOK_MS		      10
#define FIRST_ROWS	      1000 /* of a chunk */
#define CHECK_AGAIN_MS	      ((int64_t)60 * 60 * 1000)
#define CUTOVER_TRIES	      50
#define CUTOVER_FIRST_MS      200
#define CUTOVER_MOST_MS	      10000
#define ER_DUPLICATE_KEY_NAME 1061

/* ---- copy -----------------------------------------------------------------------------
 */

static int follow_volume(struct change *c, struct copiers *copiers,
			 struct change_table *x, int *volume, struct sb_err *err)
{
	int now = c->args->hooks->volume(c->args->hooks->arg);
	struct volume v = volume_of(now);

	if (now == *volume)
		return 0;
	*volume = now;
	chunker_target(x->chunker, v.chunk_ms);
	return copiers_set(copiers, v.threads, err);
}

static int copy_loop(struct change *c, struct copiers *copiers, struct change_table *x,
		     struct sb_err *err)
{
	int volume = 0;

	for (;;) {
		int rc = copiers_state(copiers, err);

		if (rc != 0)
			return rc < 0 ? -1 : 0;
		if (follow_volume(c, copiers, x, &volume, err) < 0 ||
		    change_tick(c, err) < 0)
			return -1;
		change_busy(c, copiers_busy(copiers));
		chunker_hold(x->chunker, change_waits(c, x, PRESSURE_WRITES));
		clock_sleep_ms(LOOK_MS);
	}
}

static int copy_table(struct change *c, struct change_table *x, struct sb_err *err)
{
	struct volume v = volume_of(c->args->hooks->volume(c->args->hooks->arg));
	TALLOC_CTX *mem = mem_ctx(NULL, "copy");
	struct copiers *copiers = NULL;
	struct sb_err late;
	int rc;

	if (x->all) {
		talloc_free(mem);
		return 0;
	}
	change_phase(c, x, COPY_COPYING);
	x->chunker = chunker_new(mem, x->t, x->watermark, FIRST_ROWS);
	chunker_target(x->chunker, v.chunk_ms);
	chunker_hold(x->chunker, change_waits(c, x, PRESSURE_WRITES));
	rc = copiers_start(mem, c->args->target, x->t, x->chunker, v.threads, &copiers,
			   err);
	if (rc == 0) {
		rc = copy_loop(c, copiers, x, err);
		if (copiers_stop(copiers, c->work, &late) < 0 && rc == 0) {
			*err = late;
			rc = -1;
		}
	}
	change_goes_on(c);
	change_busy(c, 0);
	x->before += chunker_rows(x->chunker);
	talloc_free(x->watermark);
	x->watermark = chunker_watermark(c->mem, x->chunker, &x->all);
	x->chunker = NULL;
	talloc_free(mem);
	return rc;
}

/* ---- indexes --------------------------------------------------------------------------
 */

static int build_indexes(struct change *c, struct change_table *x, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "indexes");
	struct build *b;
	int rc;

	if (!*x->deferred) {
		talloc_free(mem);
		return 0;
	}
	change_phase(c, x, COPY_BUILDING);
	rc = change_wait(c, x, PRESSURE_WRITES, false, err) < 0 ? -1 : 0;
	change_busy(c, 1);
	if (rc == 0)
		rc = build_start(
			mem, c->args->target, x->t,
			mem_printf(mem, "ALTER TABLE %s %s", x->t->shadow, x->deferred),
			&b, err);
	while (rc == 0) {
		rc = build_state(b, err);
		/* A dead driver's statement had its effect after all. */
		if (rc < 0 && err->db_errno == ER_DUPLICATE_KEY_NAME)
			rc = 1;
		if (rc != 0)
			break;
		rc = change_tick(c, err);
		if (rc < 0)
			build_stop(b, c->work);
		else
			clock_sleep_ms(LOOK_MS);
	}
	change_busy(c, 0);
	FAULT("engine.mysql.copy.built");
	talloc_free(mem);
	if (rc < 0)
		return -1;
	x->deferred = "";
	return change_save(c, err);
}

/* ---- compare, wait
 * -------------------------------------------------------------------- */

static int check_all(struct change *c, bool idle, struct sb_err *err)
{
	for (size_t i = 0; i < c->n; i++)
		change_phase(c, &c->tables[i], COPY_CHECKING);
	for (size_t i = 0; i < c->n; i++)
		if (change_check(c, &c->tables[i], idle, err) < 0)
			return -1;
	FAULT("engine.mysql.copy.checked");
	for (size_t i = 0; i < c->n; i++)
		change_phase(c, &c->tables[i], COPY_READY);
	return 0;
}

/* As long as that takes it compares again from time to time. */
static int stay_ready(struct change *c, struct sb_err *err)
{
	int64_t checked = clock_ms();

	while (!c->cutover && !c->args->hooks->cutover_wanted(c->args->hooks->arg)) {
		if (change_tick(c, err) < 0)
			return -1;
		if (clock_ms() - checked >= CHECK_AGAIN_MS) {
			if (check_all(c, true, err) < 0)
				return -1;
			checked = clock_ms();
		}
		clock_sleep_ms(LOOK_MS);
	}
	return 0;
}

/* ---- cutover --------------------------------------------------------------------------
 */

static int begin_cutover(struct change *c, struct sb_err *err)
{
	c->cutover = true;
	if (change_save(c, err) < 0)
		return -1;
	FAULT("engine.mysql.copy.cutover.stored");
	return c->args->hooks->cutting(c->args->hooks->arg, err);
}

static int drain(void *arg, struct db *locked, int64_t until_ms, struct sb_err *err)
{
	return change_drain(arg, locked, until_ms, err);
}

static void own(void *arg, uint64_t connection_id)
{
	struct change *c = arg;

	feed_own(c->feed, connection_id);
}

/* The checkpoint is the target's word for whose this is: nobody has a newer token. */
static int may(void *arg, struct sb_err *err)
{
	struct change *c = arg;

	if (change_halted(c)) {
		*err = (struct sb_err){ .code = SB_OK };
		return -1;
	}
	c->kept_ms = 0;
	return change_keep_locks(c, clock_ms(), err) < 0 ? -1 : change_save(c, err);
}

/* After the swap: was anything written to the original behind the last delta? */
static int check_nothing_lost(struct change *c, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "after the cutover");
	struct stream_position end;
	int rc = stream_end(mem, c->work, &end, err);
	size_t left;

	if (rc == 0)
		rc = feed_reached(c->feed, &end, CUTOVER_BUDGET_MS, err);
	talloc_free(mem);
	left = feed_waiting(c->feed);
	if (rc < 0)
		log_err(LOG_WARN, "engine.mysql.copy.unseen", err,
			"the binlog around the cutover could not be read");
	return left > 0 && rc == 1 ? (int)left : 0;
}

static int swap_once(struct change *c, const struct cutover *cut, struct sb_err *err)
{
	int rc;

	c->cutover_attempts++;
	change_report(c);
	rc = cutover_try(cut, c->work, err);
	if (rc == 0)
		log_info("engine.mysql.copy.cutover", "try %d: %s", c->cutover_attempts,
			 err->msg);
	return rc;
}

static int swap(struct change *c, struct sb_err *err)
{
	const struct cutover cut = { .target = c->args->target,
				     .tables = c->list,
				     .n = c->n,
				     .drain = drain,
				     .own = own,
				     .may = may,
				     .arg = c };
	int64_t pause = CUTOVER_FIRST_MS;
	int rc = 0;

	for (size_t i = 0; i < c->n; i++)
		change_phase(c, &c->tables[i], COPY_CUTTING_OVER);
	while (rc == 0 && c->cutover_attempts < CUTOVER_TRIES) {
		int64_t until = clock_ms() + pause;

		rc = swap_once(c, &cut, err);
		for (size_t i = 0; rc == 0 && i < c->n; i++)
			change_end_blockers(c, &c->tables[i], c->cutover_attempts);
		while (rc == 0 && clock_ms() < until) {
			rc = change_tick(c, err);
			clock_sleep_ms(rc == 0 ? LOOK_MS : 0);
		}
		pause = pause * 2 < CUTOVER_MOST_MS ? pause * 2 : CUTOVER_MOST_MS;
	}
	return rc == 0 ? -1 : rc;
}

static int finish(struct change *c, struct sb_err *err)
{
	int lost = check_nothing_lost(c, err);

	for (size_t i = 0; i < c->n; i++) {
		c->tables[i].swapped = true;
		change_phase(c, &c->tables[i], COPY_DONE);
	}
	if (lost > 0)
		log_error(
			"engine.mysql.copy.lost",
			"%d rows of the former table were changed behind the last delta: "
			"compare it with the new one",
			lost);
	feed_stop(c->feed);
	for (size_t i = 0; i < c->n; i++)
		c->args->hooks->done(c->args->hooks->arg,
				     (size_t)(c->tables[i].task - c->args->tasks));
	return 1;
}

/* ---- all of it ------------------------------------------------------------------------
 */

static int go(struct change *c, struct sb_err *err)
{
	int rc = change_begin(c, err);

	if (rc != 0)
		return rc;
	if (throttle_open(c->mem, c->args->target, c->args->throttle, &c->throttle, err) <
	    0)
		return -1;
	FAULT("engine.mysql.copy.begun");
	for (size_t i = 0; i < c->n; i++)
		if (copy_table(c, &c->tables[i], err) < 0)
			return -1;
	if (change_save(c, err) < 0)
		return -1;
	for (size_t i = 0; i < c->n; i++)
		if (build_indexes(c, &c->tables[i], err) < 0)
			return -1;
	for (size_t i = 0; i < c->n; i++)
		change_phase(c, &c->tables[i], COPY_CATCHING_UP);
	if (change_catch_up(c, err) < 0 || check_all(c, false, err) < 0 ||
	    stay_ready(c, err) < 0 || begin_cutover(c, err) < 0 ||
	    change_catch_up(c, err) < 0 || swap(c, err) < 0)
		return -1;
	return finish(c, err);
}

int change_run(const struct change_args *args, struct sb_err *err)
{
	struct change c = { .args = args,
			    .mem = mem_ctx(NULL, "change"),
			    .n = args->n,
			    .rows_per_second = -1 };
	struct sb_err late;
	int rc;

	*err = (struct sb_err){ .code = SB_OK };
	c.tables = mem_array(c.mem, struct change_table, args->n);
	c.list = mem_array(c.mem, const struct copy_table *, args->n);
	rc = db_open(c.mem, args->target, &c.work, err);
	if (rc == 0)
		rc = go(&c, err);
	if (rc < 0 && err->code == SB_OK) { /* halted */
		rc = 0;
		if (c.feed && change_save(&c, &late) < 0)
			log_err(LOG_WARN, "engine.mysql.copy.save", &late,
				"the last checkpoint stays");
	}
	talloc_free(c.feed);
	talloc_free(c.mem);
	return rc;
}
