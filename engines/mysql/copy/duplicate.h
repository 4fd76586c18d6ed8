/*
 * duplicate.h - which two rows of a table cannot both be in its new definition?
 *
 * Used by change.c and cycle.c when the server has refused a row of the copy for good: a
 * person has to decide which of the two is right, and needs to know them.
 *
 * Must never: change anything, or take longer than DUPLICATE_SECONDS.
 */
#ifndef SB_ENGINES_MYSQL_COPY_DUPLICATE_H
#define SB_ENGINES_MYSQL_COPY_DUPLICATE_H

#include "engines/mysql/copy/copy.h"

#define DUPLICATE_SECONDS 10

/*
 * *err is a refusal for a duplicate, in the server's words: make it say which two rows
 * these are, by their driving keys, and how all of their kind are found; of a large table
 * only the latter. Any other error is left as it is.
 */
void duplicate_explain(struct db *db, const struct copy_table *t, struct sb_err *err);

#endif
