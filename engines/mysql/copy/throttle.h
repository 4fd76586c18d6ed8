/*
 * throttle.h - looks at a server and its replicas once a second, and says when a change
 * should wait for them.
 *
 * Used by pace.c. A thread with connections of its own; what the signals mean is in
 * pressure.h. With NULL limits there is no throttle: NULL is fine everywhere here.
 *
 * Must never: count the work of this change as load, or print a password.
 */
#ifndef SB_ENGINES_MYSQL_COPY_THROTTLE_H
#define SB_ENGINES_MYSQL_COPY_THROTTLE_H

#include "engines/mysql/copy/pressure.h"

struct throttle;

/*
 * Begin to look, and wait for the first look (three seconds at most). *out belongs to
 * ctx; freeing it ends the thread. `limits` have to stay. -1: no thread could be started;
 * a server that does not answer is no error, but a reason in time.
 */
int throttle_open(TALLOC_CTX *ctx, const struct db_params *target,
		  const struct throttle_limits *limits, struct throttle **out,
		  struct sb_err *err) MUST_CHECK;

/* So many connections of this change execute something now. */
void throttle_own(struct throttle *t, unsigned n);

/* As pressure_reason(), now. */
bool throttle_reason(struct throttle *t, enum pressure_work work,
		     char out[PRESSURE_TEXT]);
/* Is a replica too far behind, or not to be seen? */
bool throttle_lags(struct throttle *t);

#endif
