/*
 * types.h - does every value of one column type fit into another, unchanged?
 *
 * Called by unsafe.c and lint_table.c. Answered from the types' value ranges, never from
 * data.
 */
#ifndef SB_SCHEMA_TYPES_H
#define SB_SCHEMA_TYPES_H

#include "core/schema/table.h"

enum type_loss {
	LOSS_NONE,
	LOSS_VALUES,	 /* some do not fit, or become others */
	LOSS_CHARACTERS, /* the new character set lacks some */
	LOSS_ELEMENTS,	 /* of an ENUM or SET: removed or in another place */
};

/* What can be lost or altered; unless it is nothing, *why (literal or of ctx) says it. */
enum type_loss types_loss(TALLOC_CTX *ctx, const struct table_column *from,
			  const struct table_column *to, const char **why);

/* The greatest value of an integer type; 0 = it is none. */
uint64_t types_greatest_integer(const struct table_column *c);

/* The most bytes of one character, and of a whole value in an index. */
unsigned types_character_bytes(const struct table_column *c);
uint64_t types_most_bytes(const struct table_column *c);

#endif
