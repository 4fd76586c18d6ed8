/*
 * trial.h - what a CREATE TABLE makes, found out with a temporary table.
 *
 * Called by load.c and verify.c. A temporary table is made by the same code of the server
 * as a real one and costs it neither a file nor a write that has to be waited for: ten
 * times less. Not every table can be tried so (trial_possible); the others are made for
 * real.
 *
 * Must never: leave its table behind, or be the last word on a refusal: what a server
 * refuses as a temporary table has to be tried for real.
 */
#ifndef SB_SCHEMA_TRIAL_H
#define SB_SCHEMA_TRIAL_H

#include "core/base/db.h"
#include "core/schema/table.h"

/* Is the temporary table of this statement like a real one in every respect? */
bool trial_possible(const char *name, const struct tokens *t);

/*
 * Make a table of the connection's default schema by "CREATE TEMPORARY" and `rest`, what
 * follows CREATE; read it, drop it. *shown is what SHOW CREATE TABLE says, as if it were
 * a real one. 1; 0 = it cannot be made so (*err says why); -1 = the server's fault.
 */
int trial_show(TALLOC_CTX *ctx, struct db *work, const char *name, const char *rest,
	       char **shown, struct sb_err *err) MUST_CHECK;

/*
 * The same, taken apart. *out belongs to ctx and has `trial_facts`: what else the server
 * tells about it, which is the same for tables that are the same. 0 also when it is no
 * InnoDB table or does not say its collation.
 */
int trial_read(TALLOC_CTX *ctx, struct db *work, const char *name, const char *rest,
	       struct table **out, struct sb_err *err) MUST_CHECK;

#endif
