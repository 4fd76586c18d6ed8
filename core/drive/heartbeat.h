/*
 * heartbeat.h - a thread that keeps a lease alive, and the watchdog that gives it up.
 *
 * Started by the drive right after the claim. It beats on a connection of its own, so
 * that a slow statement of the drive does not cost the lease. When the lease is lost, or
 * no beat has succeeded for SELF_FENCE_SECONDS by the monotonic clock (before anybody
 * else may claim), it fences the engine itself and says so, even while a beat hangs.
 *
 * Must never: share the drive's connection or memory context.
 */
#ifndef SB_DRIVE_HEARTBEAT_H
#define SB_DRIVE_HEARTBEAT_H

#include "core/base/db.h"
#include "core/store/lease.h"
#include "engines/engine.h"

struct heartbeat;

enum heartbeat_state {
	HEARTBEAT_OK,
	HEARTBEAT_LOST,	  /* proved by a read: somebody else has a newer token */
	HEARTBEAT_FENCED, /* not proved, but too long without a beat to go on */
};

/* Never fails; ends with heartbeat_stop(). storage is copied. claimed_ms: clock_ms() from
 * before the claim was made, from which the watchdog counts until the first beat. */
struct heartbeat *heartbeat_start(const struct db_params *storage,
				  const struct lease *lease, int64_t claimed_ms);
enum heartbeat_state heartbeat_check(struct heartbeat *h);
/* The engine to fence when the lease goes; NULL for none. After it returned, the run
 * given before is not touched any more. */
void heartbeat_guard(struct heartbeat *h, const struct engine *engine,
		     struct engine_run *run);
void heartbeat_stop(struct heartbeat *h);

#endif
