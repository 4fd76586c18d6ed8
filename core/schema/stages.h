/*
 * stages.h - what stands between a table and the wanted one when one ALTER cannot do it.
 *
 * Called by steps.c. Partitions are dropped and added by statements of their own, and an
 * AUTO_INCREMENT value is raised by one, before all else: it counts on while a plan
 * waits, and what the counter has reached by itself is a first statement that is done.
 */
#ifndef SB_SCHEMA_STAGES_H
#define SB_SCHEMA_STAGES_H

#include "core/schema/table.h"

#define MOST_STAGES 4

/*
 * Fill v with the tables between `from` and `to`, in order; returns how many. From each
 * to the next, from `from` to the first and from the last to `to` diff_tables() finds
 * nothing or one ALTER. They are for comparing only: their create_sql is not theirs.
 */
size_t stages_between(TALLOC_CTX *ctx, const struct table *from, const struct table *to,
		      const struct table *v[MOST_STAGES]);

#endif
