/*
 * begin.c - how a change begins, or is taken up again where a former driver left it.
 *
 * A stored progress is used only when everything that it speaks of is still there: the
 * shadow, the server, the binlog file. An error while finding that out is an error, and
 * no reason to begin anew; only proof is (ENGINE.md B, Checkpoint).
 */
#include <inttypes.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/copy/change_internal.h"
#include "engines/mysql/copy/connect.h"
#include "engines/mysql/copy/cutover.h"
#include "engines/mysql/copy/table.h"

#define SETTLE_TRIES	4   /* of a second each, */
#define SETTLE_PAUSE_MS 500 /* with longer and longer pauses */

/* A replica, or a primary that is one no more: nothing may be written there, and what is
 * would be lost. */
static int check_writable(struct change *c, struct sb_err *err)
{
	struct db_rows *rows;
	const char *sql = db_flavor(c->work) == DB_MYSQL
				  ? "SELECT IF(@@super_read_only, 'super_read_only',"
				    " IF(@@read_only, 'read_only', ''))"
				  : "SELECT IF(@@read_only, 'read_only', '')";

	if (db_query(c->mem, c->work, sql, &rows, err) < 0)
		return -1;
	if (!*rows->cell[0][0])
		return 0;
	return sb_err(
		err, SB_ERETRY,
		"%s has %s=ON: it is a replica, or has failed over to another. Point the "
		"environment at the primary; the copy goes on from where it was.",
		c->args->target->name, rows->cell[0][0]);
}

/* Can everything behind a stored position still be read? 1, 0 = it is proved that it
 * cannot, -1. */
static int is_continued(struct change *c, const struct change_table *x,
			const struct copy_progress *p, struct sb_err *err)
{
	char *why;
	int rc = stream_proof(c->mem, c->work, &p->at, p->server, &why, err);

	if (rc == 0)
		log_warn("engine.mysql.copy.anew",
			 "%s.%s is copied from its first row again: %s", x->task->schema,
			 x->task->table, why);
	if (rc == 1 && strcmp(p->server, c->server) != 0)
		log_info(
			"engine.mysql.copy.moved",
			"%s.%s: the server is %s now and was %s, and has the same transactions",
			x->task->schema, x->task->table, c->server, p->server);
	return rc;
}

/*
 * A driver died in the cutover, and its RENAME may have been let go: with its connections
 * ended, the tables tell. 1 = the table is the new one, 0, -1.
 */
static int is_swapped(struct change *c, struct change_table *x, struct sb_err *err)
{
	struct copy_table *t;
	int rc;

	if (copy_table_names(c->mem, c->args->apply_id, x->task, &t, err) < 0)
		return -1;
	rc = cutover_truth(c->work, t, err);
	x->swapped = rc == 1;
	return rc;
}

/* What may be continued of a table. 1 and *p, 0 = nothing, -1. */
static int usable(struct change *c, struct change_table *x, struct copy_progress *p,
		  struct sb_err *err)
{
	char *text;
	int rc;

	if (mysql_checkpoint_load(c->mem, c->work, x->task->schema, x->task->table, &text,
				  err) < 0)
		return -1;
	if (!text || progress_read(c->mem, text, p) == 0 ||
	    strcmp(p->statement, x->task->ddl) != 0)
		return 0;
	if (p->phase == COPY_CUTTING_OVER && is_swapped(c, x, err) != 0)
		return x->swapped ? 0 : -1;
	rc = is_continued(c, x, p, err);
	if (rc <= 0)
		return rc;
	return copy_table_find(c->mem, c->args->locks, c->args->apply_id, x->task, &x->t,
			       err);
}

/* Nothing behind the watermark may be in the shadow: a chunk that a dead driver was at
 * may be there or not. model: COPY_CUT_BACK */
static int cut_back(struct change *c, struct change_table *x, struct sb_err *err)
{
	struct buf b;
	int rc;

	if (x->all)
		return 0;
	buf_init(&b, c->mem);
	buf_printf(&b, "DELETE FROM %s WHERE ", x->t->shadow);
	chunk_condition(&b, &x->t->key, true, x->watermark, NULL);
	rc = db_run(c->args->locks, b.data, err);
	if (rc < 0 && err_class(err->code) == ERR_UNCERTAIN)
		err->code = SB_ERETRY;
	return rc;
}

/*
 * A comparison goes on where a dead driver left it: what it found equal was brought up to
 * date since by the same feed. Not on another server, and not after an operator's stop,
 * which may have been long ago.
 */
static void take_up_check(struct change *c, struct change_table *x,
			  const struct copy_progress *p)
{
	if (c->args->forget_cutover || strcmp(p->server, c->server) != 0)
		return;
	x->equal = p->all_compared;
	x->equal_upto = x->equal ? NULL : p->compared_upto;
	x->equal_rows = x->checked = p->compared;
	if (x->equal)
		x->compared = p->compared;
	c->trusted |= x->equal;
}

static int take_up(struct change *c, struct change_table *x,
		   const struct copy_progress *p, struct sb_err *err)
{
	x->phase = p->phase;
	x->deferred = p->deferred;
	x->watermark = p->watermark;
	x->all = p->all;
	x->before = p->rows;
	c->cutover |= p->cutover && !c->args->forget_cutover;
	log_info("engine.mysql.copy.resumed", "%s.%s: %s, %" PRIu64 " rows are copied",
		 x->task->schema, x->task->table, copy_phase_words(p->phase), p->rows);
	take_up_check(c, x, p);
	if (x->phase > COPY_CATCHING_UP)
		x->phase = COPY_CATCHING_UP;
	return cut_back(c, x, err);
}

static int make(struct change *c, struct change_table *x, struct sb_err *err)
{
	if (copy_table_create(c->mem, c->args->locks, c->args->apply_id, x->task, &x->t,
			      err) < 0 ||
	    cutover_drop_old(c->args->locks, x->t, err) < 0)
		return -1;
	x->phase = COPY_COPYING;
	x->deferred = x->t->deferred;
	return 0;
}

static int begin_table(struct change *c, struct change_table *x,
		       struct stream_position *from, struct sb_err *err)
{
	struct copy_progress p;
	int rc;

	if (copy_evict(c->work, x->task->schema, x->task->table, err) < 0)
		return -1;
	rc = usable(c, x, &p, err);
	if (x->swapped) {
		log_info("engine.mysql.copy.swapped",
			 "%s.%s: a former driver has swapped it", x->task->schema,
			 x->task->table);
		return 0;
	}
	if (rc == 1)
		rc = take_up(c, x, &p, err);
	else if (rc == 0)
		rc = make(c, x, err) < 0 ? -1 : 1;
	if (rc < 0)
		return -1;
	if (rc == 0 && stream_position_earlier(c->mem, db_flavor(c->work), &p.at,
					       from->file ? from : &p.at, from, err) < 0)
		return -1;
	if (cutover_tidy(c->work, x->t, err) < 0)
		return -1;
	return copy_connect(c->mem, c->args->target, x->t, CONNECT_FLUSH, &x->flush, err);
}

/* LOCK TABLES for a moment: 1 = it was had, 0 = not in time, -1. */
static int lock_once(struct change *c, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "settle");
	struct buf b;
	int rc;

	buf_init(&b, mem);
	for (size_t i = 0; i < c->n; i++)
		buf_printf(&b, "%s%s READ", i > 0 ? ", " : "LOCK TABLES ",
			   c->list[i]->original);
	rc = db_run(c->work, b.data, err);
	talloc_free(mem);
	if (rc == 0)
		return db_run(c->work, "UNLOCK TABLES", err) < 0 ? -1 : 1;
	return !db_is_lost(c->work) && db_error_kind(err->db_errno) == DB_ERR_BUSY ? 0
										   : -1;
}

/*
 * A transaction may stand in the binlog in front of the feed's first position, and what
 * it wrote be visible only after the first chunk was read: nobody would bring it. It
 * holds its tables until it is visible, so whoever gets a lock on them has waited for it.
 * Writers wait as long as we do; a transaction that stays open for longer than that is
 * not waited for, and is most likely not in the binlog yet either: comparing both tables
 * tells. model: COPY_SETTLE
 */
static int settle(struct change *c, struct sb_err *err)
{
	int rc = db_run(c->work, "SET SESSION lock_wait_timeout = 1", err);

	for (int i = 0; rc == 0 && i < SETTLE_TRIES; i++) {
		if (change_halted(c)) {
			*err = (struct sb_err){ .code = SB_OK };
			return -1;
		}
		clock_sleep_ms(i * SETTLE_PAUSE_MS);
		rc = lock_once(c, err);
	}
	if (rc < 0)
		return -1;
	if (rc == 0)
		log_warn("engine.mysql.copy.settle",
			 "transactions on %s have been open for long, and are not waited "
			 "for",
			 c->list[0]->original);
	return db_run(c->work, "SET SESSION lock_wait_timeout = 5", err);
}

/* Does a table begin with its first row? */
static bool is_fresh(const struct change *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (!c->tables[i].watermark && !c->tables[i].all)
			return true;
	return false;
}

/* model: COPY_BEGIN */
int change_begin(struct change *c, struct sb_err *err)
{
	struct feed_source source = { .target = c->args->target };
	struct stream_position from = { .file = NULL }, now;

	if (stream_check(c->work, err) < 0 || check_writable(c, err) < 0 ||
	    stream_server(c->mem, c->work, &c->server, err) < 0)
		return -1;
	c->n = 0;
	for (size_t i = 0; i < c->args->n; i++) {
		struct change_table *x = &c->tables[c->n];

		*x = (struct change_table){ .task = &c->args->tasks[i] };
		if (begin_table(c, x, &from, err) < 0)
			return -1;
		if (x->swapped)
			c->args->hooks->done(c->args->hooks->arg, i, NULL);
		else
			c->list[c->n++] = x->t;
	}
	if (c->n == 0)
		return 1;
	if (stream_end(c->mem, c->work, &now, err) < 0)
		return -1;
	c->applied = from.file ? from : now;
	if (change_save(c, err) < 0 || (is_fresh(c) && settle(c, err) < 0))
		return -1;
	source.flavor = db_flavor(c->work);
	source.server = c->server;
	return feed_start(c->mem, &source, c->list, c->n, &c->applied, &c->feed, err);
}
