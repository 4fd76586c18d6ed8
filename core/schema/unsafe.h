/*
 * unsafe.h - which changes need somebody's explicit consent (SEMANTICS H).
 *
 * Called by plan.c for every ALTER; an unsafe one is only applied with `allow_unsafe`.
 */
#ifndef SB_SCHEMA_UNSAFE_H
#define SB_SCHEMA_UNSAFE_H

#include "core/schema/diff.h"

/* Why the change is unsafe, reasons separated by "; ". "" = it is safe. */
char *unsafe_reasons(TALLOC_CTX *ctx, const struct table_diff *d);

#define UNSAFE_DROP_TABLE "drops the table and all its rows"

#endif
