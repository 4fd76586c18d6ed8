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

static bool names_srid(const struct table_column *c)
{
	return c && strcasestr(c->definition, " SRID ");
}

static bool same_parts(const struct table_index *x, const struct table_index *y)
{
	for (size_t i = 0; i < x->n_parts && i < y->n_parts; i++)
		if (!same_name(x->parts[i].text, y->parts[i].text))
			return false;
	return x->n_parts == y->n_parts;
}

/*
 * Does MySQL need this index to be gone before its ALTER? One that drops a FULLTEXT index
 * and adds it with another parser keeps the old parser without a word, and a reference
 * system does not change under a SPATIAL index.
 */
static bool goes_first(const struct table_index *x, const struct table *from,
		       const struct table *to)
{
	const struct table_index *y = table_index(to, x->name);

	if (x->kind == INDEX_FULLTEXT)
		return y && y->kind == x->kind && same_parts(x, y) &&
		       strcmp(x->canonical, y->canonical) != 0;
	for (size_t i = 0; x->kind == INDEX_SPATIAL && i < x->n_parts; i++) {
		const char *name = x->parts[i].column;
		const struct table_column *c = name ? table_column(from, name) : NULL,
					  *d = name ? table_column(to, name) : NULL;

		if (c && d && (names_srid(c) || names_srid(d)) &&
		    strcmp(c->canonical, d->canonical) != 0)
			return true;
	}
	return false;
}

/* `from` without the indexes that go first; `from` itself when there are none. */
static const struct table *without_indexes(TALLOC_CTX *ctx, const struct table *from,
					   const struct table *to)
{
	struct table *stage = like(ctx, from);

	stage->indexes = mem_array(stage, struct table_index, from->n_indexes + 1);
	stage->n_indexes = 0;
	for (size_t i = 0; i < from->n_indexes; i++)
		if (!goes_first(&from->indexes[i], from, to))
			stage->indexes[stage->n_indexes++] = from->indexes[i];
	return stage->n_indexes < from->n_indexes ? stage : from;
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
	const struct table *bare = without_indexes(ctx, from, to);
	struct partition_moves moves;
	struct table *stage;
	size_t n = 0;

	if (counts_first(from, to)) {
		stage = like(ctx, from);
		stage->counter = to->counter;
		v[n++] = from = stage;
		bare = without_indexes(ctx, from, to);
	}
	if (bare != from)
		v[n++] = from = bare;
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
