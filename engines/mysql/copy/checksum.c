/*
 * checksum.c - no change is ready before its table and the shadow were seen to be equal;
 * see change_internal.h.
 *
 * A pass: catch up; lock the table against writes for a moment; flush all that is left;
 * open snapshots; unlock. Both tables are then of the same instant in each snapshot, and
 * are compared by threads (check.c) while this one flushes and stores as always. What
 * differs is looked at once more as it is now (settle.c), and if it still differs, under
 * the same kind of lock, where everything is flushed: there a difference is a true one.
 * It is made equal, and a whole pass follows. (Tried on both servers: the flush's reads
 * with locks, its writes and temporary tables work while another connection of ours holds
 * LOCK TABLES … READ.)
 */
#include <inttypes.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/copy/change_internal.h"
#include "engines/mysql/copy/cutover.h"
#include "engines/mysql/copy/settle.h"
#include "engines/mysql/copy/volume.h"

#define PASSES	      3
#define LOOK_MS	      10
#define LOCK_WAIT_S   1
#define LOCK_TRIES    50
#define FIRST_WAIT_MS 200
#define MOST_WAIT_MS  10000
#define SETTLE_MS     1000 /* so long writers wait for ranges to be settled */
#define MIN_THREADS   2
#define MAX_THREADS   8

/* ---- the lock -------------------------------------------------------------------------
 */

/* Nobody writes to the table, and everything is flushed, until *out is freed. 1, 0 = not
 * this time, *err says what was in the way, -1. Writers wait for CUTOVER_BUDGET_MS at
 * most: *until is when the rest of that is over. */
static int try_freeze(struct change *c, struct change_table *x, struct db **out,
		      int64_t *until, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "freeze");
	struct db *db;
	int rc = db_open(c->mem, c->args->target, &db, err);

	if (rc == 0) {
		rc = db_run(db,
			    mem_printf(mem,
				       "SET SESSION lock_wait_timeout = %d,"
				       " wait_timeout = %d",
				       LOCK_WAIT_S, 2 * CUTOVER_BUDGET_MS / 1000),
			    err);
		if (rc == 0)
			rc = db_run(
				db,
				mem_printf(mem, "LOCK TABLES %s READ", x->t->original),
				err);
		if (rc < 0 && db_error_kind(err->db_errno) != DB_ERR_BUSY)
			goto out;
		*until = clock_ms() + CUTOVER_BUDGET_MS - LOCK_WAIT_S * 1000;
		rc = rc < 0 ? 0 : 1;
	}
	if (rc == 1) {
		rc = change_drain(c, NULL, *until, err);
		if (rc == 0)
			sb_err(err, SB_ERETRY, "The changes were not read in time.");
	}
out:
	talloc_free(mem);
	if (rc == 1)
		*out = db;
	else
		talloc_free(db);
	return rc;
}

static int freeze(struct change *c, struct change_table *x, struct db **out,
		  int64_t *until, struct sb_err *err)
{
	int64_t pause = FIRST_WAIT_MS;

	for (int i = 0; i < LOCK_TRIES; i++) {
		int64_t again;
		int rc = change_catch_up(c, err) < 0 ? -1
						     : try_freeze(c, x, out, until, err);

		if (rc != 0)
			return rc < 0 ? -1 : 0;
		log_info("engine.mysql.copy.check.lock", "try %d: %s", i + 1, err->msg);
		change_end_blockers(c, x, i + 1);
		again = clock_ms() + pause;
		while (clock_ms() < again) {
			if (change_tick(c, err) < 0)
				return -1;
			clock_sleep_ms(LOOK_MS);
		}
		pause = pause * 2 < MOST_WAIT_MS ? pause * 2 : MOST_WAIT_MS;
	}
	return sb_err(err, SB_ERETRY,
		      "Table %s.%s could not be locked for the moment in which it is "
		      "compared: some transaction has it all the time.",
		      x->t->schema, x->t->table);
}

/* ---- settle ---------------------------------------------------------------------------
 */

struct pass {
	TALLOC_CTX *mem;
	struct check *check;
	unsigned threads;
	const struct check_range **left; /* differ, or seem to */
	size_t n_left;
	size_t differences;
	char *first; /* the first key that differed, of `keep` */
	TALLOC_CTX *keep;
};

/* Which of them still differ? Rows that were changed since are equal again. */
static int sift(struct change *c, struct pass *p, struct settle *s, struct sb_err *err)
{
	const struct check_range *ranges;
	size_t n = check_ranges(p->check, &ranges);

	p->left = mem_array(p->mem, const struct check_range *, n);
	for (size_t i = 0; i < n; i++) {
		int rc = settle_equal(s, &ranges[i], err);

		if (rc < 0 || change_tick(c, err) < 0)
			return -1;
		if (rc == 0)
			p->left[p->n_left++] = &ranges[i];
	}
	return 0;
}

static int settle_one(struct change_table *x, struct pass *p, struct settle *s,
		      const struct check_range *r, struct sb_err *err)
{
	int rc = settle_equal(s, r, err);
	char *key;

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (settle_first_key(p->mem, s, r, &key, err) < 0)
		return -1;
	p->differences++;
	if (!p->first)
		p->first = mem_strdup(p->keep, key);
	rc = settle_repair(s, r, err);
	if (rc >= 0)
		log_error(
			"engine.mysql.copy.check.differs",
			"%s.%s: the row with the key (%s), and perhaps others after it, "
			"differed in the new table%s",
			x->t->schema, x->t->table, key,
			rc == 1 ? "; they were copied again"
				: ", and another row is in their way");
	return rc < 0 ? -1 : 0;
}

static int settle_all(struct change *c, struct change_table *x, struct pass *p,
		      struct sb_err *err)
{
	const struct check_range *ranges;
	struct settle *s;
	size_t done = 0;
	int rc;

	if (check_ranges(p->check, &ranges) == 0)
		return 0;
	rc = settle_open(p->mem, c->args->target, x->t, &s, err);
	if (rc == 0)
		rc = sift(c, p, s, err);
	while (rc == 0 && done < p->n_left) {
		struct db *lock;
		int64_t until, enough;

		rc = freeze(c, x, &lock, &until, err);
		if (rc < 0)
			break;
		enough = clock_ms() + SETTLE_MS;
		enough = enough < until ? enough : until;
		do
			rc = settle_one(x, p, s, p->left[done++], err);
		while (rc == 0 && done < p->n_left && clock_ms() < enough);
		talloc_free(lock);
	}
	return rc;
}

/* ---- passes ---------------------------------------------------------------------------
 */

static int open_snapshots(struct change *c, struct change_table *x, struct pass *p,
			  struct sb_err *err)
{
	struct volume v = volume_of(c->args->hooks->volume(c->args->hooks->arg));
	unsigned n = v.threads < MIN_THREADS   ? MIN_THREADS
		     : v.threads > MAX_THREADS ? MAX_THREADS
					       : v.threads;
	struct db *lock;
	int64_t until;
	int rc;

	p->threads = n;
	if (check_open(p->mem, c->args->target, x->t, x->equal_upto, n, v.chunk_ms,
		       &p->check, err) < 0 ||
	    freeze(c, x, &lock, &until, err) < 0)
		return -1;
	FAULT("engine.mysql.copy.check.locked");
	rc = check_snapshot(p->check, err);
	talloc_free(lock);
	return rc;
}

/* 1 = all of it was compared, 0 = the cutover came first, -1. */
static int compare(struct change *c, struct change_table *x, struct pass *p, bool idle,
		   struct sb_err *err)
{
	uint64_t before = x->equal_upto ? x->equal_rows : 0;
	int rc = check_start(p->check, err);

	change_busy(c, p->threads);
	while (rc == 0) {
		x->checked = before + check_rows(p->check);
		rc = check_state(p->check, err);
		if (rc != 0)
			break;
		rc = change_tick(c, err);
		if (idle && c->args->hooks->cutover_wanted(c->args->hooks->arg))
			break;
		clock_sleep_ms(LOOK_MS);
	}
	check_stop(p->check, c->work);
	change_busy(c, 0);
	x->checked = before + check_rows(p->check);
	return rc;
}

/* No retry may take up what could not be made equal. */
static int give_up(struct change *c, struct change_table *x, const char *first,
		   struct sb_err *err)
{
	if (mysql_checkpoint_save(c->work, c->args->operation, c->args->token,
				  x->task->schema, x->task->table, NULL, err) < 0)
		return -1;
	return sb_err(
		err, SB_EENGINE,
		"The copy of %s.%s differs from the table, and differed again after "
		"it was made equal, first in the row with the key (%s). Nothing was "
		"swapped. Somebody else may be writing to %s, or the server may be "
		"damaged: find that out before you apply this again.",
		x->t->schema, x->t->table, first, x->t->shadow);
}

/* A pass ends early: what a successor need not do again. */
static void leave(struct change *c, struct change_table *x)
{
	char *upto = check_equal_upto(c->mem, x->check);

	x->equal = x->equal && !check_differs(x->check);
	talloc_free(x->equal_upto);
	x->equal_upto = upto;
	x->equal_rows = x->checked;
}

/* One pass. *whole: the cutover did not come first. */
static int compare_once(struct change *c, struct change_table *x, struct pass *p,
			bool idle, bool *whole, struct sb_err *err)
{
	int64_t began = clock_ms();
	int rc;

	x->checked = x->equal_upto ? x->equal_rows : 0;
	rc = change_wait(c, x, PRESSURE_READS, idle, err);
	*whole = rc > 0;
	if (rc <= 0)
		return rc;
	if (open_snapshots(c, x, p, err) < 0)
		return -1;
	x->check = p->check;
	rc = compare(c, x, p, idle, err);
	*whole = rc == 1;
	if (rc == 1)
		x->compared = x->checked;
	if (rc >= 0)
		rc = settle_all(c, x, p, err);
	if (rc < 0)
		leave(c, x);
	x->check = NULL;
	if (rc < 0)
		return -1;
	log_info("engine.mysql.copy.compared",
		 "%s.%s: %" PRIu64 " rows in %" PRId64 " ms, %zu ranges differ",
		 x->t->schema, x->t->table, x->checked, clock_ms() - began,
		 p->differences);
	return 0;
}

int change_check(struct change *c, struct change_table *x, bool idle, struct sb_err *err)
{
	char *first = NULL; /* of the first pass: later ones tell of the repair */

	for (int i = 1;; i++) {
		struct pass p = { .mem = mem_ctx(NULL, "checksum"),
				  .keep = c->mem,
				  .first = first };
		bool whole;
		int rc = compare_once(c, x, &p, idle && i == 1, &whole, err);

		if (rc == 0 && (whole || p.differences > 0)) {
			x->equal = p.differences == 0;
			talloc_free(x->equal_upto);
			x->equal_upto = NULL;
		}
		if (rc == 0 && p.differences > 0 && i == PASSES)
			rc = give_up(c, x, p.first, err);
		first = p.first;
		talloc_free(p.mem);
		if (rc < 0 || p.differences == 0)
			return rc;
		change_phase(c, x, COPY_CHECKING); /* nothing is ready any more */
	}
}
