/*
 * lint_table.h - what is questionable about a table as it is.
 *
 * Called by lint.c for the live and for the desired table of a change: what only the
 * latter has was brought by the change.
 */
#ifndef SB_SCHEMA_LINT_TABLE_H
#define SB_SCHEMA_LINT_TABLE_H

#include "core/schema/findings.h"
#include "core/schema/table.h"

void lint_table(struct findings *list, const struct table *t);

/* Does the rule have a check here? */
bool lint_table_has(enum rule_id rule);

#endif
