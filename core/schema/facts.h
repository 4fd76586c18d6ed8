/*
 * facts.h - do two tables look alike to information_schema?
 *
 * Called by verify.c as the second of its comparisons: what SHOW CREATE TABLE leaves out
 * or prints in the same words for different things is seen here.
 */
#ifndef SB_SCHEMA_FACTS_H
#define SB_SCHEMA_FACTS_H

#include "core/base/db.h"
#include "core/schema/table.h"

struct facts_pair {
	const struct table *live, *desired; /* live NULL = made anew */
	const char *difference;		    /* out: a sentence; NULL = alike */
};

/*
 * Compare the tables named like `desired` in the schemas `is` and `should`. Sentences
 * belong to ctx. -1: the server's fault.
 */
int facts_compare(TALLOC_CTX *ctx, struct db *db, const char *is, const char *should,
		  struct facts_pair *pairs, size_t n, struct sb_err *err) MUST_CHECK;

#endif
