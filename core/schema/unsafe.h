/*
 * unsafe.h - which changes destroy data, may fail, or are noticed by others (SEMANTICS
 * H).
 *
 * Called by lint.c for every ALTER. Each class of changes is a rule of rules.def.
 */
#ifndef SB_SCHEMA_UNSAFE_H
#define SB_SCHEMA_UNSAFE_H

#include "core/schema/diff.h"
#include "core/schema/findings.h"

void unsafe_check(struct findings *list, const struct table_diff *d);

/* Why the change is unsafe when nothing is configured, separated by "; "; "" = it is
 * safe. */
char *unsafe_reasons(TALLOC_CTX *ctx, const struct table_diff *d);

/* Does the rule have a check here? */
bool unsafe_has(enum rule_id rule);

#endif
