/*
 * lint.h - what is questionable about a table that a change makes or leaves behind.
 *
 * Called by plan.c. Only what a change brings is reported: debt that the live table
 * already had is not this change's fault.
 */
#ifndef SB_SCHEMA_LINT_H
#define SB_SCHEMA_LINT_H

#include "core/schema/schema.h"
#include "core/schema/table.h"

struct lint_list {
	TALLOC_CTX *ctx;
	struct schema_lint *v;
	size_t n;
};

/* Append the violations of `to` that `from` (NULL = a new table) does not have. Returns
 * how many of them are errors; *first is the message of the first of those. */
size_t lint_change(struct lint_list *list, const struct table *from,
		   const struct table *to, const char **first);

/* Append one entry; the strings are copied, but linter and severity are literals. */
void lint_add(struct lint_list *list, const char *linter, const char *severity,
	      const char *table, const char *column, const char *message);

#endif
