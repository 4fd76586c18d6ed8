/*
 * flush.c - see flush.h.
 *
 * Two ways. Where REPLACE can displace no other row but one whose own event is on its way
 * (copy_table.replaceable), rows that exist are replaced and those that do not are
 * deleted, batch by batch. Otherwise the shadow has a unique key that the original does
 * not imply: there all keys are deleted first and then inserted, so that two rows which
 * swapped a value are not in each other's way, and what still does not go in is either
 * waiting for another event or a real duplicate.
 */
#include "engines/mysql/copy/flush.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/fault.h"

#define BATCH_SINGLE   900 /* MariaDB turns 1,000 constants into a subquery */
#define BATCH_COMPOUND 300
/* So long one flush may wait for locks in all, beyond a last wait of copy_session()'s. */
#define PATIENCE_MS 500

struct batch {
	struct flush *f;
	const struct pending *keys;
	const struct value_column *columns;
	TALLOC_CTX *mem;
	int64_t waited_ms;
	bool wait;  /* for locks; otherwise they are refused at once */
	bool probe; /* a lock is likely to be met: look before anything is written */
};

/* ---- conditions ----------------------------------------------------------------------
 */

static int literal(struct batch *x, struct buf *b, const struct rows_key *key,
		   size_t part, struct sb_err *err)
{
	return value_literal(b, &x->columns[part], &x->f->t->key.parts[part].info,
			     key->p[part], key->len[part], err);
}

static const char *column(const struct batch *x, size_t part, bool shadow)
{
	const struct copy_part *p = &x->f->t->key.parts[part];

	return shadow ? p->shadow : p->name;
}

/* "k IN (1, 2)", or "(a = 1 AND b = 2) OR (…)", over keys [from, to). NULL = *err. */
static char *condition(struct batch *x, size_t from, size_t to, bool shadow,
		       struct sb_err *err)
{
	size_t parts = x->f->t->key.n;
	struct buf b;

	buf_init(&b, x->mem);
	if (parts == 1)
		buf_printf(&b, "%s IN (", column(x, 0, shadow));
	else
		buf_char(&b, '(');
	for (size_t i = from; i < to; i++) {
		struct rows_key key;
		size_t len;
		const uint8_t *bytes = pending_get(x->keys, i, &len);

		pending_parts(bytes, len, &key);
		if (i > from)
			buf_str(&b, parts == 1 ? ", " : " OR ");
		for (size_t p = 0; p < parts; p++) {
			if (parts > 1)
				buf_printf(&b, "%s%s = ", p > 0 ? " AND " : "(",
					   column(x, p, shadow));
			if (literal(x, &b, &key, p, err) < 0)
				return NULL;
		}
		if (parts > 1)
			buf_char(&b, ')');
	}
	buf_char(&b, ')');
	return b.data;
}

/* " AND (…)": not what the copy will bring. */
static void add_watermark(struct batch *x, struct buf *b)
{
	if (x->f->all)
		return;
	buf_str(b, " AND (");
	if (x->f->watermark)
		chunk_condition(b, &x->f->t->key, false, NULL, x->f->watermark);
	else
		buf_str(b, "FALSE");
	buf_char(b, ')');
}

/* ---- statements ----------------------------------------------------------------------
 */

/* A read that returns no row whose transaction is still under way. One that is in the
 * binlog and not visible yet holds its locks; so does whoever keeps a row for long. */
static const char *lock_words(const struct batch *x)
{
	if (x->wait || x->f->locked)
		return " LOCK IN SHARE MODE";
	return db_flavor(x->f->db) == DB_MYSQL ? " FOR SHARE NOWAIT"
					       : " LOCK IN SHARE MODE NOWAIT";
}

/* Read the keys with a lock, so that rows behind the watermark, which nobody copies now,
 * are visible to every chunk from here on. model: FLUSH_SEE */
static int see(struct batch *x, const char *where, struct sb_err *err)
{
	const struct copy_table *t = x->f->t;
	struct db_rows *rows;

	if (x->f->all && !x->probe)
		return 0;
	return db_query(x->mem, x->f->db,
			mem_printf(x->mem,
				   "SELECT COUNT(*) FROM %s FORCE INDEX (%s) WHERE %s%s",
				   t->original, t->key.index, where, lock_words(x)),
			&rows, err);
}

static int write_rows(struct batch *x, const char *verb, const char *where,
		      struct sb_err *err)
{
	const struct copy_table *t = x->f->t;
	struct buf b;

	buf_init(&b, x->mem);
	buf_printf(&b, "%s INTO %s (%s) SELECT %s FROM %s FORCE INDEX (%s) WHERE %s",
		   verb, t->shadow, t->shadow_list, t->column_list, t->original,
		   t->key.index, where);
	add_watermark(x, &b);
	buf_str(&b, lock_words(x));
	return db_run(x->f->db, b.data, err);
}

/* Those that the original does not have; all of them when `anyway`. */
static int delete_rows(struct batch *x, const char *where, bool anyway,
		       struct sb_err *err)
{
	const struct copy_table *t = x->f->t;
	struct buf b;

	buf_init(&b, x->mem);
	buf_printf(&b, "DELETE FROM %s WHERE %s", t->shadow, where);
	for (size_t i = 0; i < t->key.n && !anyway; i++) {
		if (i == 0)
			buf_printf(&b,
				   " AND NOT EXISTS (SELECT 1 FROM %s FORCE INDEX (%s)"
				   " WHERE ",
				   t->original, t->key.index);
		buf_printf(&b, "%s%s.%s = %s.%s", i > 0 ? " AND " : "", t->original,
			   t->key.parts[i].name, t->shadow, t->key.parts[i].shadow);
	}
	if (!anyway)
		buf_char(&b, ')');
	return db_run(x->f->db, b.data, err);
}

/* ---- batches --------------------------------------------------------------------------
 */

enum step { REPLACE_ROWS, DELETE_ALL, INSERT_ROWS };

/* model: FLUSH_COMMIT */
static int execute(struct batch *x, enum step step, size_t from, size_t to,
		   struct sb_err *err)
{
	const char *here = condition(x, from, to, false, err);
	const char *there = condition(x, from, to, true, err);
	int rc = -1;

	if (!here || !there || (!x->f->locked && db_begin(x->f->db, err) < 0))
		return -1;
	switch (step) {
	case REPLACE_ROWS:
		rc = see(x, here, err);
		if (rc == 0)
			rc = write_rows(x, "REPLACE", here, err);
		if (rc == 0)
			rc = delete_rows(x, there, false, err);
		break;
	case DELETE_ALL:
		rc = delete_rows(x, there, true, err);
		break;
	case INSERT_ROWS:
		rc = see(x, here, err);
		if (rc == 0)
			rc = write_rows(x, "INSERT", here, err);
		break;
	}
	if (rc == 0)
		rc = FAULT_ERR("engine.mysql.copy.flush", err);
	if (x->f->locked)
		return rc;
	if (rc == 0)
		return db_commit(x->f->db, err);
	db_rollback(x->f->db);
	return rc;
}

/* model: FLUSH_GIVE_BACK */
static void give_back(struct batch *x, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		size_t len;
		const uint8_t *bytes = pending_get(x->keys, i, &len);

		feed_give_back(x->f->feed, x->f->table, bytes, len);
	}
	x->f->given_back += to - from;
}

/* What is to be done about keys [from, to): 0 = nothing, they are flushed; 1 = halve
 * them; -1 = the server was lost, or refuses. */
static int try_batch(struct batch *x, enum step step, size_t from, size_t to,
		     struct sb_err *err)
{
	int64_t began = clock_ms();
	enum db_error_kind kind;
	int rc;

	x->mem = mem_ctx(NULL, "flush batch");
	rc = execute(x, step, from, to, err);
	talloc_free(x->mem);
	x->waited_ms += x->wait ? clock_ms() - began : 0;
	if (rc == 0) {
		x->f->flushed += step == DELETE_ALL ? 0 : to - from;
		return 0;
	}
	kind = db_error_kind(err->db_errno);
	if (db_is_lost(x->f->db) || (kind != DB_ERR_BUSY && kind != DB_ERR_DUPLICATE))
		return -1;
	if (kind == DB_ERR_DUPLICATE && to - from == 1 && !x->f->duplicate) {
		x->f->duplicate = mem_new(NULL, struct sb_err);
		*x->f->duplicate = *err;
	}
	return 1;
}

/*
 * One batch; when somebody holds a lock in it, its halves, so that only what is locked
 * stays behind. One key alone is read again with a wait, which gets a row that one short
 * transaction after the other changes; a row that is kept for longer uses up the
 * patience of this flush, and comes again with the next.
 */
static int flush_batch(struct batch *x, enum step step, size_t from, size_t to,
		       struct sb_err *err)
{
	size_t middle = from + (to - from) / 2;
	int rc;

	if (x->f->pause && x->f->pause(x->f->arg, err) < 0)
		return -1;
	rc = try_batch(x, step, from, to, err);
	if (rc == 1 && to - from == 1 && !x->f->locked && x->waited_ms < PATIENCE_MS &&
	    db_error_kind(err->db_errno) == DB_ERR_BUSY) {
		x->wait = true;
		rc = try_batch(x, step, from, to, err);
		x->wait = false;
	}
	if (rc <= 0)
		return rc;
	if (to - from == 1) {
		give_back(x, from, to);
		return 0;
	}
	x->probe = true;
	return flush_batch(x, step, from, middle, err) < 0
		       ? -1
		       : flush_batch(x, step, middle, to, err);
}

static int all_batches(struct batch *x, enum step step, struct sb_err *err)
{
	size_t n = pending_count(x->keys);
	size_t size = x->f->t->key.n == 1 ? BATCH_SINGLE : BATCH_COMPOUND;

	for (size_t from = 0; from < n; from += size) {
		x->probe = false;
		if (flush_batch(x, step, from, from + size < n ? from + size : n, err) <
		    0)
			return -1;
	}
	return 0;
}

int flush_keys(struct flush *f, const struct pending *keys, struct sb_err *err)
{
	struct batch x = { .f = f,
			   .keys = keys,
			   .columns = feed_key_columns(f->feed, f->table) };

	f->flushed = 0;
	f->given_back = 0;
	f->duplicate = NULL;
	if (pending_count(keys) == 0)
		return 0;
	if (f->t->replaceable)
		return all_batches(&x, REPLACE_ROWS, err);
	if (all_batches(&x, DELETE_ALL, err) < 0)
		return -1;
	if (f->given_back > 0) { /* none is inserted, so all have to come again */
		give_back(&x, 0, pending_count(keys));
		return 0;
	}
	return all_batches(&x, INSERT_ROWS, err);
}
