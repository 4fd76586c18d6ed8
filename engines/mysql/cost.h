/*
 * cost.h - what did a statement do with its table's pages?
 *
 * An accepted ALGORITHM=INPLACE says nothing about it: renaming an index touches no row,
 * adding one reads all of them, and NULL becoming NOT NULL writes the whole table anew.
 * InnoDB's own numbers of tables and indexes tell it for certain: a table that is
 * rebuilt gets another number, an index that is built a new one. They do not depend on
 * rows, so that what they say of an empty copy is true of the table. Called by judge.c
 * around a statement in the scratch schema.
 *
 * Must never: take what it could not see for harmless.
 */
#ifndef SB_ENGINES_MYSQL_COST_H
#define SB_ENGINES_MYSQL_COST_H

#include "engines/engine.h"

struct mysql_pages { /* of the tables of one schema; NULL = they cannot be seen */
	struct db_rows *ids;
};

/* Note the numbers before a statement on `table`. Of ctx. Not InnoDB, or no right to see
 * them (PROCESS), is an answer; -1 only when the server did not give one. */
int mysql_pages_read(TALLOC_CTX *ctx, struct db *db, const char *schema,
		     const char *table, struct mysql_pages *out,
		     struct sb_err *err) MUST_CHECK;

/* What happened between the two. Pure. */
enum engine_cost mysql_pages_cost(const struct mysql_pages *before,
				  const struct mysql_pages *after);

/*
 * MySQL counts, for each table, how often a column was added or dropped instantly, and
 * refuses at a limit until the table is rebuilt; the copy begins at none. 1 = `ddl` is
 * such a change and the live table has none left (*versions), 0 = it is not so or cannot
 * be known, -1 = no answer.
 */
int mysql_instant_used_up(TALLOC_CTX *ctx, struct db *live, const char *schema,
			  const char *table, const char *ddl, int *versions,
			  struct sb_err *err) MUST_CHECK;

/* A name as InnoDB writes it: what is not a letter, digit or '_' as @ and four digits.
 * NULL for a name that is not ASCII. */
char *mysql_file_name(TALLOC_CTX *ctx, const char *name);

#endif
