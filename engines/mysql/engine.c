/*
 * engine.c - the mysql engine's entry in the registry: what it can do, and where.
 *
 * First stage: the server's own ALTER in the mildest way it offers. What needs an online
 * copy (deferred cutover, volume) is not announced in the caps, so that it is refused
 * before anything begins.
 */
#include "engines/mysql/judge.h"
#include "engines/mysql/run.h"
#include "engines/mysql/tidy.h"

const struct engine mysql_engine = {
	.name = "mysql",
	.database_type = "mysql",
	.caps = ENGINE_CAP_STOP | ENGINE_CAP_CANCEL | ENGINE_CAP_RESIDENT,
	.first = ENGINE_TASK_RUNNING,
	/* The work is fenced when the lease goes (fence()); a start must have time for that. */
	.worst_ms = { [ENGINE_EFFECT_START] = 20000,
		      [ENGINE_EFFECT_STOP] = MYSQL_STOP_MS,
		      [ENGINE_EFFECT_CANCEL] = MYSQL_STOP_MS },
	.ops = {
		.judge = mysql_judge,
		.open = mysql_open,
		.start = mysql_start,
		.poll = mysql_poll,
		.stop = mysql_stop,
		.fence = mysql_fence,
		.cancel = mysql_cancel,
		.close = mysql_close_run,
		.tidy = mysql_tidy,
	},
};
