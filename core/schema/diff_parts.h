/*
 * diff_parts.h - what the parts of the comparison share: diff.c and diff_*.c only.
 */
#ifndef SB_SCHEMA_DIFF_PARTS_H
#define SB_SCHEMA_DIFF_PARTS_H

#include "core/base/db.h"
#include "core/schema/diff.h"

/* Append a clause; the pointer is good until the next one. */
struct clause *diff_add(struct table_diff *d, enum clause_kind kind);

/* Nothing can be done about this difference; the first one is told. */
void diff_cannot(struct table_diff *d, const char *what, const char *from,
		 const char *to);

/* Is the old column of this name dropped and added again under its name? */
bool diff_recreates(const struct table_diff *d, const char *column);
/* Does an expression in this text name such a column? */
bool diff_names_recreated(const struct table_diff *d, const char *text);

/* diff_constraints.c: once for the clauses of removal, once for those of addition. */
void diff_drop_constraints(struct table_diff *d, enum constraint_kind kind);
void diff_add_constraints(struct table_diff *d, enum constraint_kind kind);

/* How one list of partitions becomes another without touching those that stay. */
struct partition_moves {
	const char *dropped; /* names; NULL = none */
	const char *kept;    /* the partitioning between the two */
	const char *added;   /* definitions; NULL = none */
};
/* False: it does not, or it could not be told what became of rows. diff_partitions.c */
bool diff_partition_moves(TALLOC_CTX *ctx, const char *from, const char *to,
			  struct partition_moves *out);

/* The AUTO_INCREMENT column of `from` that goes on counting in `to`, or NULL. */
const struct table_column *diff_counted(const struct table *from, const struct table *to);

void diff_options(struct table_diff *d);    /* diff_options.c */
void diff_partitions(struct table_diff *d); /* diff_partitions.c */

#endif
