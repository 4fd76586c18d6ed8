/*
 * diff_parts.h - what the parts of the comparison share: diff.c and diff_*.c only.
 */
#ifndef SB_SCHEMA_DIFF_PARTS_H
#define SB_SCHEMA_DIFF_PARTS_H

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

void diff_options(struct table_diff *d);    /* diff_options.c */
void diff_partitions(struct table_diff *d); /* diff_partitions.c */

#endif
