/*
 * engine.c - the mysql engine's entry in the registry: what it can do, and where.
 *
 * First stage: the server's own ALTER in the mildest way it offers. What needs an online
 * copy (deferred cutover, volume) is not announced in the caps, so that it is refused
 * before anything begins.
 */
#include "engines/mysql/judge.h"
#include "engines/mysql/run.h"

const struct engine mysql_engine = {
	.name = "mysql",
	.database_type = "mysql",
	.caps = ENGINE_CAP_STOP | ENGINE_CAP_CANCEL | ENGINE_CAP_RESIDENT,
	.ops = {
		.judge = mysql_judge,
		.open = mysql_open,
		.start = mysql_start,
		.poll = mysql_poll,
		.stop = mysql_stop,
		.fence = mysql_fence,
		.cancel = mysql_cancel,
		.close = mysql_close_run,
	},
};
