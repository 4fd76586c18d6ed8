/*
 * rewrite.h - a table as it will look after a step that is not the last one.
 *
 * Used by steps.c, which compares what a step leaves with what is wanted. The text that
 * SHOW CREATE TABLE would print is made from the one that it prints, and read like that
 * one; verify.c requires that the server does the same.
 */
#ifndef SB_SCHEMA_REWRITE_H
#define SB_SCHEMA_REWRITE_H

#include "core/base/db.h"
#include "core/schema/table.h"

/* t without the foreign keys for which gone[i] is set; i as in t->constraints. */
struct table *rewrite_without(TALLOC_CTX *ctx, const struct table *t, const bool *gone);

struct column_rename {
	const char *old, *new;
};
struct table_rename {
	const char *old, *new; /* equal when only columns get other names */
	const struct column_rename *columns;
	size_t n_columns;
};
struct renames {
	struct table_rename *v;
	size_t n;
	bool fold_case; /* table names do not depend on case */
	enum db_flavor flavor;
};

/*
 * t after all renames, with what the server lets follow: index parts, foreign keys of t
 * and of others to it, generated names of constraints, and on MariaDB every expression.
 * (MySQL refuses to rename what an expression uses, unless the same ALTER says the
 * expression anew, which is what comes out when it is taken as it is.) t itself when none
 * of them concerns it.
 */
const struct table *rewrite_renamed(TALLOC_CTX *ctx, const struct table *t,
				    const struct renames *r);

#endif
