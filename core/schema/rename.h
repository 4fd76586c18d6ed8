/*
 * rename.h - renames that a schema file asks for in a comment; nothing else is a rename.
 *
 *   -- schemabot: rename column old to new
 *   -- schemabot: rename table old to new
 *
 * Anywhere in the file of the table, in any kind of comment, names plain or quoted. A
 * hint is in effect as long as the live schema has the old name and the files have the
 * new one; then it is done, and says so until somebody removes it. Where neither is
 * certain, the plan has an error.
 */
#ifndef SB_SCHEMA_RENAME_H
#define SB_SCHEMA_RENAME_H

#include "core/schema/introspect.h"
#include "core/schema/lint.h"
#include "core/schema/load.h"
#include "core/schema/rewrite.h"

/* The hints among the comments of a file about `table`, all of ctx. -1 (SB_EINVALID with
 * the line): a comment for us that says nothing we know. */
int rename_read(TALLOC_CTX *ctx, const struct tokens *t, const char *table,
		struct rename_hint **out, size_t *n, struct sb_err *err) MUST_CHECK;

/* Which hints are in effect. Doubts go to errors, what is done to lint. */
void rename_decide(TALLOC_CTX *ctx, const char *namespace, const struct schema_view *live,
		   const struct desired *desired, enum db_flavor flavor,
		   struct text_list *errors, struct lint_list *lint, struct renames *out);

#endif
