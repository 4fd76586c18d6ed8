/*
 * judge.h - planning's question to the mysql engine; see engine_ops.judge.
 */
#ifndef SB_ENGINES_MYSQL_JUDGE_H
#define SB_ENGINES_MYSQL_JUDGE_H

#include "engines/engine.h"

int mysql_judge(TALLOC_CTX *ctx, const struct engine_question *question,
		struct engine_verdict *verdict, struct sb_err *err);

#endif
