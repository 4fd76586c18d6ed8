/*
 * check_sql.h - the words in which two tables are compared.
 *
 * Used by check.c and settle.c. A range of rows becomes two values: how many there are,
 * and a fold of a hash of each row, key included: 64 bits or more, in which rows that
 * have exchanged a value, or that differ in the same way, do not cancel each other out
 * (check_sql.c tells why). No two rows of a table are equal.
 *
 * The original's columns are converted as the copy did where SQL has words for that.
 * Where it has none, rows seem to differ that do not: settle.c looks again at whatever
 * differs, with the server's own conversion.
 */
#ifndef SB_ENGINES_MYSQL_COPY_CHECK_SQL_H
#define SB_ENGINES_MYSQL_COPY_CHECK_SQL_H

#include "core/base/buf.h"
#include "engines/mysql/copy/copy.h"

/*
 * A SELECT of one row, of ctx: the number of rows, and their fold, as text. `from` is
 * what stands behind FROM. `shadow`: over the shadow's columns, else over the original's
 * as they would be there. `version` as db_version() has it: both sides of a comparison
 * need the same.
 */
char *check_fold(TALLOC_CTX *ctx, const struct copy_table *t, bool shadow,
		 enum db_flavor flavor, unsigned long version, const char *from);

/* One row's hash, as text: an expression of ctx. */
char *check_hash(TALLOC_CTX *ctx, const struct copy_table *t, bool shadow,
		 enum db_flavor flavor);

#endif
