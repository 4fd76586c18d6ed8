/*
 * timeline.c - lines about progress in the apply's log: how far a table is, in a
 * sentence, when its engine turns to something else and from time to time meanwhile.
 *
 * Asked by observe.c for each report, before its numbers are taken over. Moves of states
 * have lines of their own (core/store/task.c).
 *
 * Must never: write a line for every look, or because a number within a text has changed.
 */
#include <inttypes.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/drive/drive_internal.h"

#define PHASE_MS 1000	/* at least between two lines: when it does something else, */
#define NEWS_MS	 10000	/* when it pauses or goes on, or tries again to cut over */
#define FIRST_MS 30000	/* without news; doubled each time, up to the next */
#define MOST_MS	 600000 /* ten minutes: a long copy has a readable log */

/* Are the words the same, whatever numbers stand between them, and whatever is added
 * behind a semicolon? */
static bool same_words(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, "0123456789");
		b += strspn(b, "0123456789");
		if (*a == ';' || !*a)
			return *b == ';' || !*b;
		if (*a != *b)
			return false;
	}
}

static bool is_phase(const struct task *t, const struct engine_progress *p)
{
	return p->detail[0] && !same_words(t->detail, p->detail);
}

static bool is_news(const struct task *t, const struct engine_progress *p)
{
	return t->throttled != p->throttled || t->cutover_attempts < p->cutover_attempts;
}

/* Numbers move here; in later states there is news or there is none. */
static bool moves(enum engine_task_state s)
{
	return s == ENGINE_TASK_RUNNING || s == ENGINE_TASK_CATCHING_UP ||
	       s == ENGINE_TASK_CHECKSUMMING;
}

bool timeline_due(struct task_watch *w, const struct task *t,
		  const struct engine_progress *p)
{
	int64_t now = clock_ms();

	/* An engine's last word moves the task, and a word that nobody knows is told. */
	if (p->state >= ENGINE_TASK_REVERTED)
		return false;
	w->phase |= is_phase(t, p);
	w->news |= is_news(t, p);
	if (w->noted_ms == 0) { /* the first look */
		w->noted_ms = now;
		w->every_ms = FIRST_MS;
	}
	if (w->phase || w->news)
		return !w->told || now - w->noted_ms >= (w->phase ? PHASE_MS : NEWS_MS);
	return moves(p->state) && now - w->noted_ms >= w->every_ms;
}

static void add_rows(struct buf *b, const struct task *t)
{
	int percent = task_percent(t);

	if (t->rows_copied < 0)
		return;
	if (percent >= 0 && t->rows_total > 0)
		buf_printf(b, "; %" PRId64 " of %" PRId64 " rows copied (%d %%)",
			   t->rows_copied, t->rows_total, percent);
	else
		buf_printf(b, "; %" PRId64 " rows copied", t->rows_copied);
}

static char *sentence(TALLOC_CTX *ctx, const struct task *t, enum state state)
{
	struct buf b;

	buf_init(&b, ctx);
	buf_printf(&b, "%s.%s: %s", t->namespace, t->table,
		   t->detail[0] ? t->detail : state_label(state));
	add_rows(&b, t);
	if (t->checksum_rows >= 0)
		buf_printf(&b, "; %" PRId64 " rows compared", t->checksum_rows);
	if (t->rows_per_second > 0)
		buf_printf(&b, "; %" PRId64 " rows/s", t->rows_per_second);
	if (t->eta_seconds > 0)
		buf_printf(&b, "; about %" PRId64 " s left", t->eta_seconds);
	if (t->pending_keys > 0)
		buf_printf(&b, "; %" PRId64 " changed rows wait", t->pending_keys);
	if (t->cutover_attempts > 0)
		buf_printf(&b, "; cutover attempt %d", t->cutover_attempts);
	if (t->throttled)
		buf_printf(&b, "; throttled: %s", t->throttle_reason);
	return b.data;
}

int timeline_note(struct lease_tx *tx, struct task_watch *w, const struct task *t,
		  enum state state, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(tx->db, "timeline");
	int rc = lease_log(tx, t->task_id, "info", "progress", "", "",
			   sentence(tmp, t, state), err);

	talloc_free(tmp);
	w->every_ms = w->phase || w->news ? FIRST_MS : w->every_ms * 2;
	if (w->every_ms > MOST_MS)
		w->every_ms = MOST_MS;
	w->phase = w->news = false;
	w->told = true;
	w->noted_ms = clock_ms();
	return rc;
}
