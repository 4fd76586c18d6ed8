/*
 * key.h - which unique key drives a copy, and what SQL can say about its columns.
 *
 * Used by table.c. ENGINE.md 3: any unique key without NULLs that original and shadow
 * share, the primary one first.
 */
#ifndef SB_ENGINES_MYSQL_COPY_KEY_H
#define SB_ENGINES_MYSQL_COPY_KEY_H

#include "engines/mysql/copy/copy.h"

/* The shadow's column that the original's becomes; NULL = none. */
struct key_mapping {
	const struct fact_column *from, *to;
};

/*
 * Choose. `map` has an entry for each column of `original`, in its order. Fills t->key
 * and t->rows (but for its names), whose memory belongs to ctx. -1 = SB_EENGINE: there is
 * no such key, and the sentence says for each unique key why it does not do.
 */
int key_choose(TALLOC_CTX *ctx, const struct facts *original, const struct facts *shadow,
	       const struct key_mapping *map, struct copy_table *t,
	       struct sb_err *err) MUST_CHECK;

/* Is every unique key of the shadow implied by one of the original (same columns or
 * fewer, same comparison)? Then no row can be in another's way. */
bool key_replaceable(const struct facts *original, const struct facts *shadow,
		     const struct key_mapping *map);

#endif
