/*
 * cycle.c - what goes on in every phase of a change; see change_internal.h.
 */
#include <inttypes.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/mysql/blockers.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/copy/change_internal.h"
#include "engines/mysql/copy/duplicate.h"
#include "engines/mysql/copy/flush.h"
#include "engines/mysql/copy/volume.h"

#define CYCLE_MS   2000	 /* flush so often, */
#define CYCLE_KEYS 50000 /* or when so many keys wait */
/* While it copies a flush makes all copiers wait for the slowest: not more often than
 * every so many chunks. */
#define CYCLE_CHUNKS 8
#define SAVE_MS	     4000 /* ENGINE.md B: at least every 5 s; */
/* while it copies or compares about once a chunk, so that a successor does little twice:
 * but not more often than this, nor so often that it takes a tenth of the time. */
#define SAVE_LEAST_MS 100
#define SAVE_SHARE    10
#define REPORT_MS     500
#define RATE_MS	      2000
#define WAIT_MS	      50
/* So few keys wait: a lock can be asked for. A busy table may never get there: twice as
 * many do after every so many rounds, up to what is flushed well within the lock's time.
 */
#define NEAR_KEYS      1000
#define NEAR_ROUNDS    5
#define NEAR_DOUBLINGS 4
/* A row that does not go in may wait for another's event; after so many cycles it does
 * not. */
#define DUPLICATE_CYCLES 5

bool change_halted(const struct change *c)
{
	return c->args->hooks->halted(c->args->hooks->arg);
}

static uint64_t rows_of(const struct change_table *x)
{
	return x->before + (x->chunker ? chunker_rows(x->chunker) : 0);
}

/* ---- flush ----------------------------------------------------------------------------
 */

static int look_halted(const struct change *c, struct sb_err *err)
{
	if (!change_halted(c))
		return 0;
	*err = (struct sb_err){ .code = SB_OK };
	return -1;
}

/* Between two batches of a flush, which may be many. */
static int pause(void *arg, struct sb_err *err)
{
	struct change *c = arg;

	if (look_halted(c, err) < 0 || change_keep_locks(c, clock_ms(), err) < 0)
		return -1;
	change_breathe(c);
	return 0;
}

/* One table's keys. 1 = all are in, 0 = some were locked, -1. */
static int flush_table(struct change *c, size_t i, const struct pending *keys,
		       struct db *locked, struct sb_err *err)
{
	struct change_table *x = &c->tables[i];
	struct flush f = { .db = locked ? locked : x->flush,
			   .t = x->t,
			   .feed = c->feed,
			   .table = i,
			   .watermark = x->watermark,
			   .all = x->all,
			   .locked = locked != NULL,
			   .pause = pause,
			   .arg = c };

	if (x->swapped)
		return 1;
	if (flush_keys(&f, keys, err) < 0)
		return -1;
	x->duplicates = f.duplicate ? x->duplicates + 1 : 0;
	if (f.duplicate && x->duplicates >= DUPLICATE_CYCLES) {
		*err = *f.duplicate;
		duplicate_explain(c->work, x->t, err);
	}
	talloc_free(f.duplicate);
	if (x->duplicates >= DUPLICATE_CYCLES)
		return -1;
	return f.given_back == 0;
}

static int flush_all(struct change *c, struct db *locked, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "flush");
	struct pending **keys = mem_array(mem, struct pending *, c->n);
	struct stream_position at;
	int all = 1;

	throttle_own(c->throttle, c->busy + 1);
	feed_take(mem, c->feed, keys, &at);
	for (size_t i = 0; i < c->n; i++) {
		int rc = flush_table(c, i, keys[i], locked, err);

		if (rc < 0) {
			talloc_free(mem);
			return -1;
		}
		all = all && rc;
	}
	throttle_own(c->throttle, c->busy);
	if (all) {
		talloc_free(c->applied.file);
		talloc_free(c->applied.gtid);
		c->applied = stream_position_copy(c->mem, &at);
	}
	talloc_free(mem);
	return all;
}

/* The table that is copied now, or NULL. */
static struct change_table *copied(struct change *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->tables[i].chunker)
			return &c->tables[i];
	return NULL;
}

static void note_watermark(struct change *c, struct change_table *x)
{
	talloc_free(x->watermark);
	x->watermark = chunker_watermark(c->mem, x->chunker, &x->all);
}

/* model: FLUSH_NOTHING, FLUSH_ASK */
int change_flush(struct change *c, struct db *locked, struct sb_err *err)
{
	struct change_table *x = copied(c);
	struct stream_position at;
	int rc;

	if (feed_idle(c->mem, c->feed, &at)) {
		talloc_free(c->applied.file);
		talloc_free(c->applied.gtid);
		c->applied = at;
		if (x) /* whoever waits for a flush has had it */
			chunker_resume(x->chunker);
		return 1;
	}
	if (!x)
		return flush_all(c, locked, err);
	/* I3: no chunk is in flight while keys that it could cover are flushed. */
	rc = chunker_barrier(x->chunker) ? 0 : -1;
	if (rc == 0) {
		note_watermark(c, x);
		rc = flush_all(c, NULL, err);
	} else {
		/* A copier gave up, and stopped the chunker. */
		*err = (struct sb_err){ .code = SB_OK };
		rc = 0;
	}
	chunker_resume(x->chunker);
	return rc;
}

/* ---- checkpoint -----------------------------------------------------------------------
 */

/* How far a comparison has found no difference. */
static char *equal_upto(TALLOC_CTX *ctx, const struct change_table *x)
{
	return x->check ? check_equal_upto(ctx, x->check) : x->equal_upto;
}

static bool is_equal(const struct change_table *x)
{
	return x->equal && !(x->check && check_differs(x->check));
}

/* model: COPY_SAVE */
int change_save(struct change *c, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "save");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->n; i++) {
		struct change_table *x = &c->tables[i];
		const struct copy_progress p = { .phase = x->phase,
						 .at = c->applied,
						 .watermark = x->watermark,
						 .all = x->all,
						 .deferred = x->deferred,
						 .rows = rows_of(x),
						 .compared = x->checked,
						 .compared_upto = equal_upto(mem, x),
						 .all_compared = is_equal(x),
						 .server = c->server,
						 .statement = x->task->ddl,
						 .cutover = c->cutover };

		if (!x->swapped)
			rc = mysql_checkpoint_save(c->work, c->args->operation,
						   c->args->token, x->task->schema,
						   x->task->table,
						   progress_write(mem, &p), err);
	}
	FAULT("engine.mysql.copy.saved");
	talloc_free(mem);
	return rc;
}

/* ---- report
 * ----------------------------------------------------------------------------- */

static void measure_rate(struct change *c, int64_t now)
{
	uint64_t rows = 0;

	for (size_t i = 0; i < c->n; i++)
		rows += rows_of(&c->tables[i]);
	if (c->rate_ms > 0 && now > c->rate_ms)
		c->rows_per_second =
			(int64_t)(rows - c->rate_rows) * 1000 / (now - c->rate_ms);
	c->rate_ms = now;
	c->rate_rows = rows;
}

/* So far, or by the last pass that came to its end; -1 = none has yet. */
static int64_t compared(const struct change_table *x)
{
	if (x->phase == COPY_CHECKING)
		return (int64_t)x->checked;
	return x->phase > COPY_CHECKING && x->compared > 0 ? (int64_t)x->compared : -1;
}

void change_report(struct change *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct change_table *x = &c->tables[i];
		const struct change_report r = {
			.phase = x->phase,
			.rows = (int64_t)rows_of(x),
			.rows_total = x->all ? (int64_t)rows_of(x) : x->t->rows_estimate,
			.rows_per_second = x->chunker ? c->rows_per_second : -1,
			.checked = compared(x),
			.pending = feed_waiting(c->feed),
			.lag_seconds = feed_lag_seconds(c->feed),
			.cutover_attempts = c->cutover_attempts,
			.cutover_reason = *c->cutover_reason ? c->cutover_reason : NULL,
			.throttle = c->waits == x ? c->reason : NULL
		};

		c->args->hooks->report(c->args->hooks->arg,
				       (size_t)(x->task - c->args->tasks), &r);
	}
}

void change_phase(struct change *c, struct change_table *x, enum copy_phase phase)
{
	x->phase = phase;
	log_info("engine.mysql.copy.phase", "%s.%s: %s", x->t->schema, x->t->table,
		 copy_phase_words(phase));
	change_report(c);
}

/*
 * The connection that holds the advisory locks has nothing to do for hours, and lets go
 * of them when it is idle for too long (run.c). Once it is lost somebody else may work
 * here.
 */
int change_keep_locks(struct change *c, int64_t now, struct sb_err *err)
{
	if (now - c->kept_ms < (int64_t)db_idle_seconds() * 1000 / 4)
		return 0;
	c->kept_ms = now;
	if (db_run(c->args->locks, "DO 0", err) == 0)
		return 0;
	return sb_err(err, SB_ERETRY,
		      "The connection that holds the tables' locks was lost: it goes on "
		      "from the checkpoint.");
}

void change_end_blockers(struct change *c, const struct change_table *x, int n)
{
	int after = c->args->kill_blockers_after;

	if (after > 0 && n >= after && !db_is_lost(c->work))
		mysql_blockers_end(c->work, x->t->schema, x->t->table);
}

/* ---- all the time ---------------------------------------------------------------------
 */

/* A chunk met a duplicate. What displaced the value is in the binlog by now: flush all of
 * that. */
static int clear_suspicion(struct change *c, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "suspicion");
	struct stream_position end;
	int rc = stream_end(mem, c->work, &end, err);

	if (rc == 0)
		rc = feed_reached(c->feed, &end, CYCLE_MS, err);
	if (rc >= 0)
		rc = change_flush(c, NULL, err);
	talloc_free(mem);
	return rc < 0 ? -1 : 0;
}

static int64_t cycle_ms(struct change *c, const struct change_table *x)
{
	int64_t chunks = 0;

	if (x)
		chunks = CYCLE_CHUNKS *
			 volume_of(c->args->hooks->volume(c->args->hooks->arg)).chunk_ms;
	return chunks > CYCLE_MS ? chunks : CYCLE_MS;
}

static bool advances(const struct change *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->tables[i].chunker || c->tables[i].check)
			return true;
	return false;
}

static int64_t save_ms(const struct change *c)
{
	int volume = c->args->hooks->volume(c->args->hooks->arg);
	int64_t ms = volume_of(volume).chunk_ms;

	if (ms < SAVE_LEAST_MS)
		ms = SAVE_LEAST_MS;
	if (ms < SAVE_SHARE * c->saving_ms)
		ms = SAVE_SHARE * c->saving_ms;
	return advances(c) && ms < SAVE_MS ? ms : SAVE_MS;
}

int change_tick(struct change *c, struct sb_err *err)
{
	int64_t now = clock_ms();
	struct change_table *x = copied(c);

	if (look_halted(c, err) < 0 || change_keep_locks(c, now, err) < 0 ||
	    feed_state(c->feed, err) < 0)
		return -1;
	if (x && chunker_has_suspects(x->chunker) && clear_suspicion(c, err) < 0)
		return -1;
	if (now - c->cycle_ms >= cycle_ms(c, x) || feed_waiting(c->feed) > CYCLE_KEYS ||
	    feed_is_full(c->feed)) {
		if (change_flush(c, NULL, err) < 0)
			return -1;
		c->cycle_ms = clock_ms();
	}
	if (now - c->save_ms >= save_ms(c)) {
		int64_t began = clock_ms();

		if (x)
			note_watermark(c, x);
		if (change_save(c, err) < 0)
			return -1;
		c->save_ms = clock_ms();
		c->saving_ms = c->save_ms - began;
	}
	if (now - c->rate_ms >= RATE_MS)
		measure_rate(c, now);
	if (now - c->report_ms >= REPORT_MS) {
		change_report(c);
		c->report_ms = now;
	}
	return 0;
}

/* ---- to the end of the binlog ---------------------------------------------------------
 */

int change_catch_up(struct change *c, struct sb_err *err)
{
	int rc = 0;

	for (size_t round = 0; rc == 0; round++) {
		size_t doublings = round / NEAR_ROUNDS;
		size_t near =
			(size_t)NEAR_KEYS
			<< (doublings < NEAR_DOUBLINGS ? doublings : NEAR_DOUBLINGS);
		TALLOC_CTX *mem = mem_ctx(NULL, "catch up");
		struct stream_position end;

		rc = change_tick(c, err);
		if (rc == 0)
			rc = change_flush(c, NULL, err) < 0 ? -1 : 0;
		if (rc == 0)
			rc = stream_end(mem, c->work, &end, err);
		if (rc == 0)
			rc = feed_reached(c->feed, &end, WAIT_MS, err);
		if (rc == 1 && feed_waiting(c->feed) > near)
			rc = 0;
		talloc_free(mem);
	}
	return rc < 0 ? -1 : 0;
}

int change_drain(struct change *c, struct db *locked, int64_t until_ms,
		 struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "drain");
	struct stream_position end;
	int rc = stream_end(mem, c->work, &end, err);

	c->hurry = true;
	if (rc == 0)
		rc = feed_reached(c->feed, &end, until_ms - clock_ms(), err);
	while (rc == 1) {
		int flushed = change_flush(c, locked, err);

		if (flushed != 0) {
			rc = flushed;
			break;
		}
		rc = clock_ms() < until_ms;
	}
	c->hurry = false;
	talloc_free(mem);
	return rc;
}
