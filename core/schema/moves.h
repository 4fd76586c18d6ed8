/*
 * moves.h - the fewest clauses that bring things from one order into another.
 *
 * Used by diff.c for columns.
 */
#ifndef SB_SCHEMA_MOVES_H
#define SB_SCHEMA_MOVES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * was[i] is the old place of what shall be at place i (all different). Sets stays[i] for
 * a set of things that already stand in the right order among each other: as many as
 * possible of those that are not touched otherwise, then as many as possible of all.
 */
void moves_plan(const size_t *was, const bool *touched, size_t n, bool *stays);

#endif
