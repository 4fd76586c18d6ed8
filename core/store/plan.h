/*
 * plan.h - rows of plans: what was proposed. Immutable once written.
 *
 * Written by the plan handler, read by the apply handler and the driver.
 */
#ifndef SB_STORE_PLAN_H
#define SB_STORE_PLAN_H

#include "core/base/db.h"
#include "core/model/model.h"

/* Store a new plan; plan->id is ignored. One statement: it is there or it is not. */
int plan_insert(struct db *db, const struct plan *plan, struct sb_err *err) MUST_CHECK;

/* 1 and *out (of ctx), 0 when there is none, -1. */
int plan_get(TALLOC_CTX *ctx, struct db *db, const char *plan_id, struct plan **out,
	     struct sb_err *err) MUST_CHECK;

/* The plan that an apply runs, by the apply's row id; as plan_get(). */
int plan_of_apply(TALLOC_CTX *ctx, struct db *db, uint64_t apply_row, struct plan **out,
		  struct sb_err *err) MUST_CHECK;

#endif
