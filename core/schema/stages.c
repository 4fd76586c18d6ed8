/*
 * stages.c - see stages.h.
 */
#include "core/schema/stages.h"

#include <string.h>

#include "core/schema/diff_parts.h"
#include "core/schema/types.h"

static struct table *like(TALLOC_CTX *ctx, const struct table *t)
{
	struct table *copy = mem_new(ctx, struct table);

	*copy = *t;
	return copy;
}

/* The counter goes first when the column is there and can hold the value. */
static bool counts_first(const struct table *from, const struct table *to)
{
	const struct table_column *c = diff_counted(from, to);
	uint64_t most = c ? types_greatest_integer(c) : 0;

	return c && to->counter > 1 && from->counter < to->counter &&
	       (most == 0 || to->counter <= most);
}

/* Is there anything else to do than to add the last partitions? */
static bool differs(TALLOC_CTX *ctx, const struct table *from, const struct table *to)
{
	const struct table_diff *d = diff_tables(ctx, from, to);

	return d->n > 0 || d->inexpressible;
}

size_t stages_between(TALLOC_CTX *ctx, const struct table *from, const struct table *to,
		      const struct table *v[MOST_STAGES])
{
	struct partition_moves moves;
	struct table *stage;
	size_t n = 0;

	if (counts_first(from, to)) {
		stage = like(ctx, from);
		stage->counter = to->counter;
		v[n++] = from = stage;
	}
	if (strcmp(from->partitioning, to->partitioning) == 0 ||
	    !diff_partition_moves(ctx, from->partitioning, to->partitioning, &moves))
		return n;
	if (moves.dropped) {
		stage = like(ctx, from);
		stage->partitioning = moves.kept;
		v[n++] = from = stage;
	}
	stage = like(ctx, to);
	stage->partitioning = from->partitioning;
	if (moves.added && differs(ctx, from, stage))
		v[n++] = stage;
	return n;
}
