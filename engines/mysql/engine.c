/*
 * engine.c - the mysql engine's entry in the registry: what it can do, and where.
 *
 * The server's own ALTER where that changes only metadata, and an online copy of the
 * table otherwise.
 */
#include "engines/mysql/judge.h"
#include "engines/mysql/run.h"
#include "engines/mysql/tidy.h"

const struct engine mysql_engine = {
	.name = "mysql",
	.database_type = "mysql",
	.caps = ENGINE_CAP_STOP | ENGINE_CAP_CANCEL | ENGINE_CAP_DEFER_CUTOVER |
		ENGINE_CAP_VOLUME | ENGINE_CAP_RESIDENT | ENGINE_CAP_KEEP_OLD,
	.first = ENGINE_TASK_RUNNING,
	/* The work is fenced when the lease goes (fence()); a start must have time for that. */
	.worst_ms = { [ENGINE_EFFECT_START] = 20000,
		      [ENGINE_EFFECT_STOP] = MYSQL_STOP_MS,
		      [ENGINE_EFFECT_CANCEL] = MYSQL_STOP_MS + 10000,
		      [ENGINE_EFFECT_CUTOVER] = MYSQL_CUTOVER_MS,
		      [ENGINE_EFFECT_VOLUME] = 100 },
	.ops = {
		.judge = mysql_judge,
		.open = mysql_open,
		.start = mysql_start,
		.poll = mysql_poll,
		.stop = mysql_stop,
		.fence = mysql_fence,
		.cutover = mysql_cutover,
		.set_volume = mysql_set_volume,
		.cancel = mysql_cancel,
		.close = mysql_close_run,
		.tidy = mysql_tidy,
	},
};
