/*
 * lint.h - what a change is judged to be: its violations, and whether it needs consent.
 *
 * Called by plan.c for every change. The rules are rules.def; a database's configuration
 * says which level each has. Only what a change brings is reported: debt that the live
 * table already had is not this change's fault, also when it was renamed.
 */
#ifndef SB_SCHEMA_LINT_H
#define SB_SCHEMA_LINT_H

#include "core/schema/diff.h"
#include "core/schema/rules.h"
#include "core/schema/schema.h"
#include "core/schema/table.h"

struct lint_list {
	TALLOC_CTX *ctx; /* owns what is in v */
	const struct config_lint *config;
	size_t n_config;
	struct schema_lint *v;
	size_t n;
};

/*
 * Append the violations of one change: a new table (from NULL), a dropped one (to NULL),
 * or one that becomes another by d. Returns why it is unsafe, of list->ctx: the messages
 * of all errors, separated by "; ". "" = it is safe.
 */
char *lint_change(struct lint_list *list, const struct table *from,
		  const struct table *to, const struct table_diff *d);

/* Append a note (a rule of that scope) unless it is off. The strings are copied. */
void lint_note(struct lint_list *list, enum rule_id rule, const char *table,
	       const char *column, const char *message);

#endif
