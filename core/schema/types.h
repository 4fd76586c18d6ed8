/*
 * types.h - does every value of one column type fit into another, unchanged?
 *
 * Called by unsafe.c. Answered from the types' value ranges, never from data.
 */
#ifndef SB_SCHEMA_TYPES_H
#define SB_SCHEMA_TYPES_H

#include "core/schema/table.h"

/* True when no value can be lost or altered; else *why (literal or of ctx) says what can.
 */
bool types_lossless(TALLOC_CTX *ctx, const struct table_column *from,
		    const struct table_column *to, const char **why);

#endif
