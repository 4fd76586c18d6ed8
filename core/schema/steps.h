/*
 * steps.h - the statements that make the live schema the desired one, in their order.
 *
 * Called by plan.c. One ALTER for each table, but where servers need more: a table that
 * is renamed, a foreign key that is replaced under its own name or in the way of another
 * change, tables whose foreign keys form a circle.
 *
 * What must hold: after any of the steps the same input gives the steps that are left, in
 * the same words. The driver relies on that (core/drive/replan.c).
 */
#ifndef SB_SCHEMA_STEPS_H
#define SB_SCHEMA_STEPS_H

#include "core/schema/additive.h"
#include "core/schema/diff.h"
#include "core/schema/introspect.h"
#include "core/schema/load.h"
#include "core/schema/rewrite.h"

/* One table that differs. */
struct change {
	const char *name;	     /* its name in the end */
	const struct table *live;    /* as it is; NULL = is created */
	const struct table *desired; /* NULL = is dropped */
	struct table_diff *diff;     /* of both, when both are there */
	bool partial;		     /* additive: some of it is left as it is */
	/* the rest is for steps.c */
	const struct table *moved; /* live, after all tables were renamed */
	const struct table *base;  /* … and all columns */
	bool *early;		   /* base's foreign keys that are dropped before all */
	bool *late;		   /* desired's foreign keys that are added after all */
	size_t *behind;		   /* changes that have to come before, as indexes */
	size_t n_behind;
	bool placed;
};

struct step {
	const struct change *change;
	const char *action;	       /* create, alter, drop */
	const struct table *from, *to; /* before and after it; NULL = no such table */
	const struct table_diff *diff; /* NULL: not by clauses */
	const char *ddl;
	bool renames;	  /* the table, and does nothing else */
	bool first, last; /* of the change */
};

struct steps {
	struct step *v; /* in the order of execution */
	size_t n;
};

struct steps_request {
	const char *namespace;
	const struct schema_view *live;
	const struct desired *desired;
	const struct renames *renames; /* that have been decided */
	struct refusal_list *refused;  /* additive: gets what is left; NULL = it is not */
};

/* Everything belongs to ctx. */
void steps_make(TALLOC_CTX *ctx, const struct steps_request *request, struct steps *out);

#endif
