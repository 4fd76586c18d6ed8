/*
 * diff.h - what has to be done to one table so that it becomes another, as clauses.
 *
 * Called by plan.c for live against desired and by verify.c for the proof. Clauses stand
 * in an order that servers can execute in one ALTER. ddl.c writes them down, unsafe.c
 * judges them.
 */
#ifndef SB_SCHEMA_DIFF_H
#define SB_SCHEMA_DIFF_H

#include "core/schema/table.h"

/* In the order in which they stand in the statement. */
#define CLAUSE_KINDS(X)                                                  \
	X(DROP_FOREIGN_KEY)                                              \
	X(DROP_CHECK)                                                    \
	X(DROP_PRIMARY_KEY)                                              \
	X(DROP_INDEX)                                                    \
	X(RENAME_INDEX)                                                  \
	X(DROP_COLUMN)                                                   \
	X(RENAME_COLUMN)                                                 \
	X(ADD_COLUMN)                                                    \
	X(MODIFY_COLUMN) /* also its position and its name */            \
	X(ADD_PRIMARY_KEY)                                               \
	X(ADD_INDEX)                                                     \
	X(INDEX_VISIBILITY)                                              \
	X(ADD_FOREIGN_KEY)                                               \
	X(ADD_CHECK)                                                     \
	X(ENGINE)                                                        \
	X(COLLATION) /* the table's default */                           \
	X(ROW_FORMAT)                                                    \
	X(SETTING)                                                       \
	X(COUNTER)	   /* raise the AUTO_INCREMENT value */          \
	X(DROP_PARTITIONS) /* with their rows; alone in its statement */ \
	X(ADD_PARTITIONS)  /* at the end, alone in its statement */      \
	X(PARTITION_BY)                                                  \
	X(REMOVE_PARTITIONING)
enum clause_kind {
#define X(name) CLAUSE_##name,
	CLAUSE_KINDS(X)
#undef X
		N_CLAUSE_KINDS
};

struct clause {
	enum clause_kind kind;
	/* Which of these are set follows from the kind; `old` is always of diff->from. */
	const struct table_column *old_column, *column;
	const struct table_index *old_index, *index;
	const struct table_constraint *constraint;
	bool recreated;	 /* column: dropped and added again under its name */
	bool positioned; /* column: goes behind `after`, or to the front when NULL */
	const char *after;
	const char *name, *value; /* settings, partitions */
	bool unnamed;		  /* constraint: the server finds a name that is free */
};

struct table_diff {
	const struct table *from, *to;
	struct clause *v;
	size_t n; /* 0 = nothing to do */
	/* A difference that no clause can express, as a sentence; NULL = none. */
	const char *inexpressible;
	const bool *recreated; /* for each column of `from`; NULL = none */
};

/* Compare. The result belongs to ctx and points into both tables. */
struct table_diff *diff_tables(TALLOC_CTX *ctx, const struct table *from,
			       const struct table *to);

#endif
