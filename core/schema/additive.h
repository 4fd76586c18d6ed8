/*
 * additive.h - what is left of a difference when nothing may be dropped or narrowed.
 *
 * Called by plan.c and verify.c for plans that are `additive`: those of our own storage,
 * which may hold columns, indexes and tables of a newer or an older version.
 */
#ifndef SB_SCHEMA_ADDITIVE_H
#define SB_SCHEMA_ADDITIVE_H

#include "core/base/db.h"
#include "core/schema/diff.h"
#include "core/schema/schema.h"

struct refusal_list {
	TALLOC_CTX *ctx; /* of the strings */
	struct schema_refusal *v;
	size_t n;
};

/*
 * Take the clauses out of d that could lose something or that nobody needs, and append
 * each to `list` (NULL: only take them out). What stays: additions, wider columns, and
 * what holds no data and is replaced under its name (indexes, CHECKs, generated
 * columns).
 */
void additive_filter(struct table_diff *d, const char *namespace, enum db_flavor flavor,
		     struct refusal_list *list);

/* A live table that nobody declares is left alone. */
void additive_keep_table(struct refusal_list *list, const char *namespace,
			 const char *table);

#endif
