/*
 * statement.h - is a statement in the binlog about a table of ours?
 *
 * Row events say what happened to rows. What happened otherwise is said by statements:
 * DDL, and changes of a session that logs statements instead of rows. Either makes a copy
 * wrong without a row event for it, so the feed asks here about each. Pure.
 */
#ifndef SB_ENGINES_MYSQL_COPY_STATEMENT_H
#define SB_ENGINES_MYSQL_COPY_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>

enum statement_kind {
	STATEMENT_HARMLESS, /* not about the table, or nothing that matters */
	STATEMENT_DDL,	    /* changes the table, or empties or removes it */
	STATEMENT_ROWS,	    /* changes rows, and was logged as a statement */
};

/*
 * `sql` was executed with `schema` as default; is it about `in_schema`.`table`? In doubt
 * it is: a column or an alias of the same name, or a table that is only read, will do.
 * INSERT and REPLACE are about the table that they write to and no other. What a trigger
 * or a function of such a statement writes is not seen; comparing both tables finds that.
 */
enum statement_kind statement_kind(const char *schema, size_t schema_len, const char *sql,
				   size_t sql_len, const char *in_schema,
				   const char *table);

#endif
