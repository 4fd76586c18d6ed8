/*
 * ddl.h - write a difference down as the statement that a reviewer sees.
 *
 * Called by plan.c. The text is compared byte for byte with a later one, so the same
 * difference must always give the same text.
 */
#ifndef SB_SCHEMA_DDL_H
#define SB_SCHEMA_DDL_H

#include "core/base/db.h"
#include "core/schema/diff.h"

/* "ALTER TABLE `name` clause, clause": one line, no schema, no semicolon. */
char *ddl_alter(TALLOC_CTX *ctx, const struct table_diff *d, enum db_flavor flavor);
char *ddl_create(TALLOC_CTX *ctx, const struct table *t);
char *ddl_rename(TALLOC_CTX *ctx, const char *table, const char *new);
char *ddl_drop(TALLOC_CTX *ctx, const char *table);

#endif
