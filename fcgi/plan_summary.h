/*
 * plan_summary.h - what a plan comes to, in a few plain sentences for a person.
 *
 * Rendered from what is stored, so that a plan says the same today and next week.
 */
#ifndef SB_FCGI_PLAN_SUMMARY_H
#define SB_FCGI_PLAN_SUMMARY_H

#include "core/schema/schema.h"

/* The rule of a finding that says what a rollback does not bring back. */
#define LINTER_ROLLBACK "rollback_data"

/*
 * How many statements, which of them only change metadata, which read or rewrite how
 * much, which make writers wait, what needs consent, what lint says. rollback_of: the
 * apply that the plan takes back, NULL or "" = none. Of ctx.
 */
char *plan_summary(TALLOC_CTX *ctx, const struct schema_plan *plan,
		   const char *rollback_of);

#endif
