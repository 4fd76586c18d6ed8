/*
 * direct.c - see direct.h.
 *
 * The server's estimate is asked first, because it is free: it may only refuse. Rows are
 * then counted, up to one more than is allowed; bytes are those of InnoDB's files.
 */
#include "engines/mysql/direct.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engines/mysql/cost.h"

/* A query's first cell as a number: 1; 0 = no row, or NULL; -1 = no answer. What the
 * server refuses to tell is not known. */
static int number(TALLOC_CTX *ctx, struct db *db, const char *sql, int64_t *out,
		  struct sb_err *err)
{
	struct db_rows *rows;
	struct sb_err why;

	*out = -1;
	if (db_query(ctx, db, sql, &rows, &why) < 0) {
		if (err_class(why.code) == ERR_PERMANENT)
			return 0;
		if (err)
			*err = why;
		return -1;
	}
	if (rows->n == 0 || !rows->cell[0][0])
		return 0;
	*out = strtoll(rows->cell[0][0], NULL, 10);
	return 1;
}

static int estimate(TALLOC_CTX *mem, struct db *db, const char *schema, const char *table,
		    const char *what, int64_t *out, struct sb_err *err)
{
	return number(mem, db,
		      mem_printf(mem,
				 "SELECT %s FROM information_schema.TABLES"
				 " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
				 what, db_literal(mem, schema), db_literal(mem, table)),
		      out, err);
}

static int count_rows(TALLOC_CTX *mem, struct db *db, const char *schema,
		      const char *table, int64_t max, int64_t *out, struct sb_err *err)
{
	return number(mem, db,
		      mem_printf(mem,
				 "SELECT COUNT(*) FROM (SELECT 1 FROM %s"
				 " LIMIT %" PRId64 ") AS counted",
				 db_ident2(mem, schema, table), max + 1),
		      out, err);
}

/* The files of the table, or of all its partitions. MariaDB shows their names, MySQL 9
 * the tables'. */
static int measure_files(TALLOC_CTX *mem, struct db *db, const char *schema,
			 const char *table, int64_t *out, struct sb_err *err)
{
	char *folder = mysql_file_name(mem, schema), *file = mysql_file_name(mem, table);
	char *plain = mem_printf(mem, "%s/%s", schema, table);
	char *named = folder && file ? mem_printf(mem, "%s/%s", folder, file) : plain;

	return number(mem, db,
		      mem_printf(mem,
				 "SELECT SUM(FILE_SIZE) FROM information_schema.%s"
				 " WHERE SUBSTRING_INDEX(LOWER(NAME), '#p#', 1)"
				 " IN (LOWER(%s), LOWER(%s))",
				 db_flavor(db) == DB_MYSQL ? "INNODB_TABLESPACES"
							   : "INNODB_SYS_TABLESPACES",
				 db_literal(mem, plain), db_literal(mem, named)),
		      out, err);
}

static int judge_rows(TALLOC_CTX *ctx, TALLOC_CTX *mem, struct db *db, const char *schema,
		      const char *table, int64_t max, const char **why,
		      struct sb_err *err)
{
	int64_t guess, rows;
	int rc = estimate(mem, db, schema, table, "TABLE_ROWS", &guess, err);

	/* Estimates are seldom wrong by more than half, but of few rows, which are soon
	 * counted. */
	if (rc < 0)
		return -1;
	if (rc > 0 && guess / 2 > max + 500) {
		*why = mem_printf(
			ctx, "it has about %" PRId64 " rows, and %" PRId64 " are allowed",
			guess, max);
		return 0;
	}
	rc = count_rows(mem, db, schema, table, max, &rows, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		*why = "its rows could not be counted";
	else if (rows > max)
		*why = mem_printf(ctx, "it has more than %" PRId64 " row%s", max,
				  max == 1 ? "" : "s");
	else
		*why = mem_printf(ctx,
				  "it has %" PRId64 " row%s, and %" PRId64 " are allowed",
				  rows, rows == 1 ? "" : "s", max);
	return rc > 0 && rows <= max;
}

static int judge_bytes(TALLOC_CTX *ctx, TALLOC_CTX *mem, struct db *db,
		       const char *schema, const char *table, int64_t max,
		       const char **why, struct sb_err *err)
{
	int64_t guess, bytes;
	int rc = estimate(mem, db, schema, table, "DATA_LENGTH + INDEX_LENGTH", &guess,
			  err);

	if (rc < 0)
		return -1;
	if (rc > 0 && guess > max) {
		*why = mem_printf(ctx,
				  "it has about %" PRId64 " bytes, and %" PRId64
				  " are allowed",
				  guess, max);
		return 0;
	}
	rc = measure_files(mem, db, schema, table, &bytes, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		*why = "the size of its files is not known (for InnoDB tables, GRANT "
		       "PROCESS shows it)";
	else
		*why = mem_printf(ctx,
				  "its files have %" PRId64 " bytes, and %" PRId64
				  " are allowed",
				  bytes, max);
	return rc > 0 && bytes <= max;
}

int mysql_direct_allows(TALLOC_CTX *ctx, struct db *db, const char *schema,
			const char *table, const struct engine_direct *policy,
			const char **why, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "direct");
	int rc;

	*why = NULL;
	if (policy->max_bytes > 0)
		rc = judge_bytes(ctx, mem, db, schema, table, policy->max_bytes, why,
				 err);
	else
		rc = judge_rows(ctx, mem, db, schema, table, policy->max_rows, why, err);
	talloc_free(mem);
	return rc;
}
