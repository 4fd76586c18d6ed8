/*
 * verify.h - prove statements on empty copies before anybody is offered them.
 *
 * Called by plan.c with all changes of one namespace. The engine judges each statement on
 * the copy (what would it cost?), which also executes it there; the result must be the
 * desired table in every respect.
 */
#ifndef SB_SCHEMA_VERIFY_H
#define SB_SCHEMA_VERIFY_H

#include "core/schema/introspect.h"
#include "core/schema/load.h"
#include "core/schema/schema.h"

struct proof {
	/* in */
	const char *table, *ddl, *action;
	const struct table *live;    /* to be copied; NULL = there is none, or already */
	const char *live_name;	     /* of the table in the live schema; NULL = none */
	const struct table *desired; /* what it leaves; NULL = no table */
	bool partial; /* additive: it need not become the desired table entirely */
	bool more;    /* statements about this table follow */
	/* out */
	struct engine_verdict verdict; /* strings never NULL */
	const char *error; /* why it is not what it should be; NULL = proved */
};

struct verification {
	struct db *work, *keeper;
	struct db *source; /* where the live tables are: only read */
	int64_t until;	   /* clock_ms: nothing more is tried then */
	const struct schema_namespace *ns;
	const struct schema_view *live;
	const struct scratch
		*desired; /* has the desired tables; NULL when none was loaded */
	const struct engine *engine; /* may be NULL */
	enum engine_algorithm algorithm;
	struct engine_direct direct;
	int keep_drops_hours; /* schema_plan_options */
	bool additive;	      /* what additive_filter() takes out may remain */
};

/* Fill in the results; strings belong to ctx. -1: the server was lost or refuses us. */
int verify(TALLOC_CTX *ctx, const struct verification *v, struct proof *proofs, size_t n,
	   struct sb_err *err) MUST_CHECK;

#endif
