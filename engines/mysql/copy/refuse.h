/*
 * refuse.h - what an online copy cannot do, found before anything is made.
 *
 * Asked by planning about the live table and the empty copy on which the statement was
 * tried (judge.c), and by execution again about the live table alone (table.c): between
 * the two a trigger may have come.
 *
 * Must never: change anything, or take what it could not see for harmless.
 */
#ifndef SB_ENGINES_MYSQL_COPY_REFUSE_H
#define SB_ENGINES_MYSQL_COPY_REFUSE_H

#include "engines/engine.h"
#include "engines/mysql/copy/facts.h"

/* A definition as it stands somewhere: what it has that a copy cannot have. */
struct refuse_definition {
	struct facts *facts;
	const char *why; /* a sentence; NULL = nothing */
};

/* Look at a table before its statement is executed, or (`result`) at what it left. It may
 * be a copy: sentences call its schema `shown`. */
int refuse_look(TALLOC_CTX *ctx, struct db *db, const char *schema, const char *table,
		const char *shown, const char *statement, bool result,
		struct refuse_definition *out, struct sb_err *err) MUST_CHECK;

/*
 * Is there anything about the live table, its server or our account? 1 and *why, a
 * sentence with the way out, of ctx; 0; -1 = no answer. A `planning` account that could
 * not change the table by any means is not asked for its rights: another one applies.
 */
int refuse_live(TALLOC_CTX *ctx, struct db *live, const char *schema, const char *table,
		const char *statement, bool planning, const char **why,
		struct sb_err *err) MUST_CHECK;

/* ---- pure parts, for tests ----------------------------------------------------------
 */

/*
 * One row of SHOW GRANTS: does it give `right` on *.*, or on all of `schema` unless that
 * is NULL? -1: it gives a role, of which the row says no more.
 */
int refuse_grant(const char *row, const char *right, const char *schema);

#endif
