/*
 * moves.c - heaviest increasing subsequence; see moves.h.
 *
 * Everything outside the subsequence has to be moved, and nothing in it. What is changed
 * anyway can be moved by the same clause, so it weighs next to nothing. Among equally
 * heavy ones the choice is always the same, because a plan is compared with a later one
 * byte for byte. Quadratic: a table has at most 4096 columns.
 */
#include "core/schema/moves.h"

#include "core/base/mem.h"

#define NONE ((size_t)-1)

void moves_plan(const size_t *was, const bool *touched, size_t n, bool *stays)
{
	size_t *weight = mem_array(NULL, size_t, n + 1);
	size_t *before = mem_array(weight, size_t, n + 1);
	size_t best = NONE;

	for (size_t i = 0; i < n; i++) {
		size_t own = touched[i] ? 1 : n + 1;

		stays[i] = false;
		weight[i] = own;
		before[i] = NONE;
		for (size_t k = 0; k < i; k++)
			if (was[k] < was[i] && weight[k] + own > weight[i]) {
				weight[i] = weight[k] + own;
				before[i] = k;
			}
		if (best == NONE || weight[i] > weight[best])
			best = i;
	}
	for (; best != NONE; best = before[best])
		stays[best] = true;
	talloc_free(weight);
}
