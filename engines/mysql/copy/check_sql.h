/*
 * check_sql.h - the words in which two tables are compared.
 *
 * Used by check.c and settle.c. A range of rows becomes two values: how many there are,
 * and the exclusive or of a 64-bit hash of each row, key included. Two rows that have
 * exchanged a value have other hashes, and no two rows of a table are equal, so that
 * none cancel each other out.
 *
 * The original's columns are converted as the copy did where SQL has words for that.
 * Where it has none, rows seem to differ that do not: settle.c looks again at whatever
 * differs, with the server's own conversion.
 */
#ifndef SB_ENGINES_MYSQL_COPY_CHECK_SQL_H
#define SB_ENGINES_MYSQL_COPY_CHECK_SQL_H

#include "core/base/buf.h"
#include "engines/mysql/copy/copy.h"

/* A row's hash, a number; of ctx. `shadow`: over the shadow's columns, else over the
 * original's as they would be there. */
char *check_hash(TALLOC_CTX *ctx, const struct copy_table *t, bool shadow,
		 enum db_flavor flavor);

#endif
