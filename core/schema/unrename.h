/*
 * unrename.h - the renames that a reviewed statement makes, and the hints that undo them.
 *
 * Called for a rollback: a table whose column was renamed has to get the old name back,
 * not a new empty column of that name. The statement that was carried out is what counts,
 * not the hints that led to it.
 */
#ifndef SB_SCHEMA_UNRENAME_H
#define SB_SCHEMA_UNRENAME_H

#include <stdbool.h>

#include "core/base/mem.h"

/* Is it a RENAME TABLE? Then the names, of ctx. */
bool unrename_table(TALLOC_CTX *ctx, const char *ddl, char **from, char **to);

/*
 * Hints, one a line and each with its line break, that undo the column renames of `ddl`
 * for a table that was `create_sql` before; "" when it makes none, or that table has not
 * the old names but the new ones already. Of ctx.
 */
char *unrename_columns(TALLOC_CTX *ctx, const char *ddl, const char *create_sql);

/* The hint that undoes a rename of a table. Of ctx. */
char *unrename_table_hint(TALLOC_CTX *ctx, const char *from, const char *to);

#endif
