/*
 * converge.h - our own storage becomes what this binary needs, by our own planner.
 *
 * Called by schemabot-reaper (--converge-storage, --plan-storage) and by the tests that
 * need a storage. Additive only: tables, columns, indexes and CHECKs are added, columns
 * made wider; what another version or an administrator has put there stays.
 *
 * Must never: drop, narrow, or write a row; run beside another convergence; go on when
 * the budget is spent.
 */
#ifndef SB_SCHEDULER_CONVERGE_H
#define SB_SCHEDULER_CONVERGE_H

#include <stdio.h>

#include "core/base/config.h"
#include "core/schema/schema.h"

#define CONVERGE_BUDGET_SECONDS 300

struct convergence {
	const char *
		*todo; /* statements, in order: to be run, or (after a failure) left */
	size_t n_todo;
	size_t n_run; /* how many have run */
	const struct schema_refusal *kept;
	size_t n_kept; /* differences that stay because nothing is dropped */
};

/*
 * What convergence would do. *out is valid also after an error, as far as it got; its
 * contents belong to ctx. Reads only, but for scratch schemas. -1: the storage cannot be
 * reached, or its account lacks a right, which is said with the GRANT.
 */
int converge_plan(TALLOC_CTX *ctx, const struct config *config, struct convergence *out,
		  struct sb_err *err) MUST_CHECK;

/*
 * Do it, for at most `budget` seconds. 0 = the storage is what storage_open() accepts;
 * -1: out->todo from n_run on is outstanding; to run it again is always right.
 */
int converge(TALLOC_CTX *ctx, const struct config *config, unsigned budget,
	     struct convergence *out, struct sb_err *err) MUST_CHECK;

/* The plan as SQL that an administrator can read or run. */
void converge_print(const struct convergence *c, FILE *out);

#endif
