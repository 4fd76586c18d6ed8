/*
 * moves.h - the fewest moves that bring things from one order into another.
 *
 * Used by diff.c for columns.
 */
#ifndef SB_SCHEMA_MOVES_H
#define SB_SCHEMA_MOVES_H

#include <stdbool.h>
#include <stddef.h>

/* was[i] is the old place of what shall be at place i (all different). Sets stays[i] for
 * a largest set of things that already stand in the right order among each other. */
void moves_plan(const size_t *was, size_t n, bool *stays);

#endif
