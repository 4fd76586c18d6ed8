/*
 * bonds.h - what a foreign key stands in the way of, and what it has to wait for.
 *
 * Called by steps.c with the change of the table that has it, and that of the table it
 * refers to (NULL when that is not changed).
 */
#ifndef SB_SCHEMA_BONDS_H
#define SB_SCHEMA_BONDS_H

#include "core/schema/steps.h"

/*
 * Must f, of c->base, be gone before anything else is done? Servers take no DROP and ADD
 * of one name in one ALTER, and change no column's type on either end of one.
 */
bool bond_goes_first(const struct change *c, const struct change *parent,
		     const struct table_constraint *f);

/* Is f, of c->desired, one that the change adds? */
bool bond_is_added(const struct change *c, const struct change *parent,
		   const struct table_constraint *f);

/* Could f be added while the parent is as it is now? */
bool bond_is_ready(const struct change *parent, const struct table_constraint *f);

/* Is only `to` partitioned? No table has partitions and foreign keys, not even while one
 * ALTER exchanges them. */
bool bond_partitions_come(const struct table *from, const struct table *to);

#endif
