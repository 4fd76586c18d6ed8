/*
 * fault.h - named points at which a test makes this process fail.
 *
 * Every durable step has one: FAULT("operation.claim.selected"). They exist only in
 * builds with SB_FAULTS; otherwise they compile to nothing.
 *
 *   SB_FAULT="[program/]point:action[=arg][@n][,…]"
 *
 * acts at the n-th passage (default 1), with @* at each, without end.
 *
 * actions: crash (SIGKILL to ourselves), exit, error (FAULT_ERR returns an error),
 * drop (the next use of the database connection finds it gone; via FAULT_ERR), stop
 * (SIGSTOP), wait=FILE (until FILE exists; FILE.at is created on arrival). With
 * SB_FAULT_LOG=FILE every passage appends "program pid point\n" there, which is how tests
 * list the points. SB_FAULT_ONCE=FILE: a fault fires only if it can create
 * FILE.<point>.<action>, so that a restarted process does not fall into the same hole
 * again.
 *
 * SB_FAULT_FILE=FILE: rules (as above, one a line) that a test may replace, by rename,
 * while processes run: the file is looked at in every passage, and counting begins anew
 * with a new one. The lines log=FILE and once=FILE do there what the variables do.
 */
#ifndef SB_BASE_FAULT_H
#define SB_BASE_FAULT_H

#include "core/base/err.h"

#ifdef SB_FAULTS
void fault_point(const char *point);
int fault_error(const char *point, struct sb_err *err);
#define FAULT(point) fault_point(point)
/* 0, or -1 with a retryable error when the test asked for one. */
#define FAULT_ERR(point, err) fault_error((point), (err))
#else
#define FAULT(point)	      ((void)0)
#define FAULT_ERR(point, err) 0
#endif

#endif
