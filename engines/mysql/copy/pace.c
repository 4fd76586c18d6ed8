/*
 * pace.c - a change waits for its server and for replicas; see change_internal.h.
 *
 * What waits, and for what (pressure.h): chunks and the building of indexes for
 * everything, a comparison before it opens its snapshots for all but lag and checkpoint
 * age, because it writes nothing. What has begun goes on to its end: a chunk, an index, a
 * comparison; a snapshot that is kept while nothing is done only makes the history grow.
 * The flush never waits, because what the feed has read must not pile up: it takes a
 * breath between batches while replicas lag. The cutover does not wait.
 */
#include <inttypes.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "engines/mysql/copy/change_internal.h"

#define LOOK_MS	    50
#define BREATH_MS   200	 /* at most, and no longer than the batch before took */
#define BEHIND_KEYS 5000 /* so many keys wait: no pauses */

void change_goes_on(struct change *c)
{
	const struct change_table *x = c->waits;

	if (!x)
		return;
	c->waits = NULL;
	log_info("engine.mysql.copy.throttled", "%s.%s: waited for %" PRId64 " s",
		 x->t->schema, x->t->table, (clock_ms() - c->waits_ms + 500) / 1000);
	change_report(c);
}

bool change_waits(struct change *c, const struct change_table *x, enum pressure_work work)
{
	if (!throttle_reason(c->throttle, work, c->reason)) {
		change_goes_on(c);
		return false;
	}
	if (c->waits != x) {
		change_goes_on(c);
		c->waits = x;
		c->waits_ms = clock_ms();
		log_info("engine.mysql.copy.throttle", "%s.%s waits: %s", x->t->schema,
			 x->t->table, c->reason);
		change_report(c);
	}
	return true;
}

int change_wait(struct change *c, const struct change_table *x, enum pressure_work work,
		bool idle, struct sb_err *err)
{
	int rc = 1;

	while (rc == 1 && change_waits(c, x, work)) {
		if (change_tick(c, err) < 0)
			rc = -1;
		else if (idle && c->args->hooks->cutover_wanted(c->args->hooks->arg))
			rc = 0;
		else
			clock_sleep_ms(LOOK_MS);
	}
	change_goes_on(c);
	return rc;
}

void change_busy(struct change *c, unsigned n)
{
	c->busy = n;
	throttle_own(c->throttle, n);
}

void change_breathe(struct change *c)
{
	int64_t took = clock_ms() - c->paused_ms;

	if (!c->hurry && feed_waiting(c->feed) < BEHIND_KEYS &&
	    throttle_lags(c->throttle))
		clock_sleep_ms(took < BREATH_MS ? took : BREATH_MS);
	c->paused_ms = clock_ms();
}
