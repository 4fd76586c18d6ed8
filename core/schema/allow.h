/*
 * allow.h - what a schema file may contain: one CREATE TABLE and nothing that reaches
 * out.
 *
 * Called for every file before any of its text goes to a server. The second fence is the
 * server's: the account's privileges and a connection without multi-statements.
 */
#ifndef SB_SCHEMA_ALLOW_H
#define SB_SCHEMA_ALLOW_H

#include "core/schema/token.h"

/*
 * Check one file. *table is the name in the statement, *tokens its tokens (both of ctx;
 * the tokens point into sql). -1 = SB_EINVALID, a sentence with the line and what to do.
 */
int allow_file(TALLOC_CTX *ctx, const char *sql, char **table, struct tokens *tokens,
	       struct sb_err *err) MUST_CHECK;

/* Do both statements say the same, but for white space, comments, the case of keywords,
 * IF NOT EXISTS and the AUTO_INCREMENT value? */
bool allow_same_statement(const struct tokens *a, const struct tokens *b);

#endif
