/*
 * order.h - tables in an order in which foreign keys allow them to be made.
 *
 * Used by plan.c: creations parents first, removals the other way round.
 */
#ifndef SB_SCHEMA_ORDER_H
#define SB_SCHEMA_ORDER_H

#include "core/schema/table.h"

/*
 * Order v by reference: a table stands behind those it refers to, otherwise the order is
 * kept. Returns the first table that is part of a circle of references, or NULL; the
 * circle's tables then come last.
 */
const struct table *order_by_reference(const struct table **v, size_t n);

/* Does `child` have a foreign key to the table `parent` of its own schema? */
bool table_refers_to(const struct table *child, const char *parent);

/* The other schema that a foreign key of t reaches into, or NULL. */
const char *table_refers_elsewhere(const struct table *t);

#endif
