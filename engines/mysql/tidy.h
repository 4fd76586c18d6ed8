/*
 * tidy.h - removing what dead drivers left on a target; see engine_ops.tidy.
 */
#ifndef SB_ENGINES_MYSQL_TIDY_H
#define SB_ENGINES_MYSQL_TIDY_H

#include "engines/engine.h"

int mysql_tidy(const struct engine_tidy_request *request, struct engine_tidied *out,
	       struct sb_err *err);

#endif
