/*
 * facts.h - a table's columns and indexes, as information_schema tells them.
 *
 * Used by table.c and key.c for the original and for the shadow alike.
 */
#ifndef SB_ENGINES_MYSQL_COPY_FACTS_H
#define SB_ENGINES_MYSQL_COPY_FACTS_H

#include "core/base/db.h"

struct fact_column {
	const char *name;
	const char *data_type, *column_type; /* "int", "int(10) unsigned" */
	const char *charset, *collation;     /* NULL = no text */
	const char *extra;
	bool nullable, generated;
};

struct fact_index {
	const char *name;
	bool unique;
	const char *type; /* BTREE, FULLTEXT, … */
	size_t n;
	const char **columns; /* NULL = an expression */
	bool whole;	      /* no part is a prefix or an expression */
};

struct facts {
	struct fact_column *columns;
	size_t n_columns;
	struct fact_index *indexes;
	size_t n_indexes;
};

/* Read them; *out belongs to ctx. No columns: there is no such table. */
int facts_read(TALLOC_CTX *ctx, struct db *db, const char *schema, const char *table,
	       struct facts **out, struct sb_err *err) MUST_CHECK;

/* By name, without regard to case; NULL = none. */
const struct fact_column *facts_column(const struct facts *f, const char *name);

/*
 * Which column of the original becomes which of the shadow: equal names, but for those
 * that the statement renames, and those it drops and adds again, which are new ones.
 * Source: the statement, whose clauses ddl.c of the planner writes.
 */
struct fact_rename {
	const char *from, *to; /* to NULL: dropped */
};
int facts_renames(TALLOC_CTX *ctx, const char *statement, struct fact_rename **out,
		  size_t *n, struct sb_err *err) MUST_CHECK;

#endif
