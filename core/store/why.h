/*
 * why.h - what explains why an apply does or does not move: the columns that decide about
 * the claim, at one instant of the database's clock.
 *
 * Read by GET /api/why. Must never: lock or change anything.
 */
#ifndef SB_STORE_WHY_H
#define SB_STORE_WHY_H

#include "core/base/db.h"
#include "core/model/model.h"

struct why_operation {
	struct operation op;
	bool stamped;	/* claim_after is not NULL: somebody may claim it, at some time */
	int64_t due_ms; /* until then; negative: for so long already */
	char *detail;	/* what the engine says about the task at hand; NULL */
};

struct why_rows {
	struct apply *apply;
	char *now;			  /* the instant, by the database's clock */
	struct why_operation *operations; /* in the order of the rollout */
	size_t n_operations;
	struct control_request *requests; /* those that wait */
	size_t n_requests;
};

/* 1 and *out (of ctx), 0 when there is no such apply, -1. */
int why_read(TALLOC_CTX *ctx, struct db *db, const char *apply_id, struct why_rows *out,
	     struct sb_err *err) MUST_CHECK;

#endif
