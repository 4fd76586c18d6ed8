/*
 * change.c - the course of a change: copy, build indexes, catch up, compare, wait, swap.
 *
 * See change.h. The tables of a group are copied one after the other and then wait for
 * each other; the feed serves all of them from the beginning. Each phase is a loop around
 * change_tick().
 */
#include "engines/mysql/copy/change.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/mysql/copy/build.h"
#include "engines/mysql/copy/change_internal.h"
#include "engines/mysql/copy/cutover.h"
#include "engines/mysql/copy/duplicate.h"
#include "engines/mysql/copy/volume.h"

#define LOOK_MS		      10
#define FIRST_ROWS	      1000 /* of a chunk */
#define CHECK_AGAIN_MS	      ((int64_t)60 * 60 * 1000)
#define CUTOVER_FIRST_MS      200
#define CUTOVER_MOST_MS	      30000
#define LOOK_BACK_MS	      20000
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
	if (rc < 0)
		duplicate_explain(c->work, x->t, err);
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

/* `idle`: they were equal and are ready; that is only looked at again. */
static int check_all(struct change *c, bool idle, struct sb_err *err)
{
	for (size_t i = 0; i < c->n; i++)
		if (!idle && !c->tables[i].equal)
			change_phase(c, &c->tables[i], COPY_CHECKING);
	for (size_t i = 0; i < c->n; i++)
		if ((idle || !c->tables[i].equal) &&
		    change_check(c, &c->tables[i], idle, err) < 0)
			return -1;
	FAULT("engine.mysql.copy.checked");
	for (size_t i = 0; i < c->n; i++)
		if (c->tables[i].phase != COPY_READY)
			change_phase(c, &c->tables[i], COPY_READY);
	return change_save(c, err);
}

/* As long as that takes it compares again from time to time; soon, when a dead driver was
 * the last to do it. */
static int stay_ready(struct change *c, struct sb_err *err)
{
	int64_t checked = clock_ms() - (c->trusted ? CHECK_AGAIN_MS : 0);

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

/* How many rows of the originals were written behind the last delta? -1 = unknown, as
 * *err says. */
static int count_lost(struct change *c, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "after the cutover");
	struct stream_position end;
	int rc = FAULT_ERR("engine.mysql.copy.behind", err);

	if (rc < 0) { /* as if there were one */
		talloc_free(mem);
		return 1;
	}
	rc = stream_end(mem, c->work, &end, err);
	if (rc == 0)
		rc = feed_reached(c->feed, &end, LOOK_BACK_MS, err);
	if (rc == 0)
		sb_err(err, SB_ERETRY, "its end was not reached within %d s",
		       LOOK_BACK_MS / 1000);
	talloc_free(mem);
	return rc == 1 ? (int)feed_waiting(c->feed) : -1;
}

static int swap_once(struct change *c, const struct cutover *cut, struct sb_err *err)
{
	int rc;

	c->cutover_attempts++;
	change_report(c);
	rc = cutover_try(cut, c->work, err);
	snprintf(c->cutover_reason, sizeof(c->cutover_reason), "%.199s",
		 rc == 0 ? err->msg : "");
	if (rc == 0)
		log_info("engine.mysql.copy.cutover", "try %d: %s", c->cutover_attempts,
			 err->msg);
	return rc;
}

/* Until it succeeds: a copy that took days is not given up because somebody holds the
 * table for an hour. The pauses grow, so that writers are not made to wait all the time.
 */
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
	while (rc == 0) {
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
	return rc;
}

/* Nobody but a person can say which of the two tables is right. */
static int keep_old_tables(struct change *c, int lost, struct sb_err *err)
{
	const struct copy_table *first = c->tables[0].t;
	bool kept = true;

	for (size_t i = 0; i < c->n; i++)
		kept &= cutover_keep_old(c->work, c->tables[i].t, err) == 0;
	sb_err(err, SB_EENGINE,
	       "The table was swapped, but %d row%s of the former one %s written after the "
	       "last look at it. It is kept as `%s`: compare it with `%s`, and drop it "
	       "then.",
	       lost, lost == 1 ? "" : "s", lost == 1 ? "was" : "were",
	       kept ? first->kept_name : first->old_name, first->table);
	log_err(LOG_ERROR, "engine.mysql.copy.lost", err, "%zu tables were swapped",
		c->n);
	return -1;
}

static int finish(struct change *c, struct sb_err *err)
{
	int lost = count_lost(c, err);
	const char *note = NULL;

	if (lost < 0) {
		note = mem_printf(
			c->mem,
			"the binlog around the cutover could not be read, so it "
			"was not verified that nothing was written meanwhile: %s",
			err->msg);
		log_err(LOG_WARN, "engine.mysql.copy.unseen", err,
			"the binlog around the cutover could not be read");
	}
	for (size_t i = 0; i < c->n; i++) {
		c->tables[i].swapped = true;
		change_phase(c, &c->tables[i], COPY_DONE);
	}
	feed_stop(c->feed);
	for (size_t i = 0; i < c->n; i++)
		c->args->hooks->done(c->args->hooks->arg,
				     (size_t)(c->tables[i].task - c->args->tasks), note);
	return lost > 0 ? keep_old_tables(c, lost, err) : 1;
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
