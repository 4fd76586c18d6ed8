/*
 * throttle.h - at what a server and its replicas are loaded so much that a change of a
 * table waits.
 *
 * Read from the configuration of a deployment, and handed to its engine, which looks at
 * them (engines/mysql/copy/throttle.h). 0 = that one is not looked at.
 */
#ifndef SB_BASE_THROTTLE_H
#define SB_BASE_THROTTLE_H

#include "core/base/db.h"

struct throttle_limits {
	int max_replica_lag_seconds;
	int max_threads_running; /* at once, ours not counted */
	int max_history_list;	 /* transactions that wait for InnoDB's purge */
	int max_checkpoint_age_percent;
	struct db_params *replicas;
	size_t n_replicas;
};

#endif
