/*
 * diff_partitions.c - differences of partitioning; see diff_parts.h.
 */
#include <string.h>

#include "core/schema/diff_parts.h"

/* Index of the bracket that opens the list of partitions, or t->n. */
static size_t partition_list(const struct tokens *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (token_punct(&t->v[i], '(') && t->v[i].depth == 0 &&
		    token_is(&t->v[i + 1], "PARTITION"))
			return i;
	return t->n;
}

/*
 * The partitions that `to` has behind all those of `from`, when that is the only
 * difference; else NULL.
 */
static char *appended_partitions(TALLOC_CTX *ctx, const struct tokens *from,
				 const struct tokens *to)
{
	size_t open = partition_list(from), comma = from->n - 1;

	/* Everything up to the bracket that closes the old list must be the same. */
	if (open == from->n || partition_list(to) != open || to->n <= from->n)
		return NULL;
	for (size_t i = 0; i < comma; i++)
		if (from->v[i].len != to->v[i].len ||
		    memcmp(from->v[i].text, to->v[i].text, to->v[i].len) != 0)
			return NULL;
	if (!token_punct(&to->v[comma], ',') || to->v[comma].depth != 1)
		return NULL;
	return tokens_text(ctx, to, comma + 1, to->n - 1);
}

void diff_partitions(struct table_diff *d)
{
	const char *from = d->from->partitioning, *to = d->to->partitioning;
	struct tokens a, b;
	char *more = NULL;

	if (strcmp(from, to) == 0)
		return;
	if (!*to) {
		diff_add(d, CLAUSE_REMOVE_PARTITIONING);
		return;
	}
	if (d->n == 0 && tokenize(d, from, &a, NULL) == 0 &&
	    tokenize(d, to, &b, NULL) == 0 && a.n > 0)
		more = appended_partitions(d, &a, &b);
	diff_add(d, more ? CLAUSE_ADD_PARTITIONS : CLAUSE_PARTITION_BY)->value =
		more ? more : to;
}
