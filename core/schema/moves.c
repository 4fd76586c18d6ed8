/*
 * moves.c - longest increasing subsequence; see moves.h.
 *
 * Everything outside the subsequence has to be moved, and nothing in it: that is the
 * least number of moves. Among equally long ones the choice is always the same, because
 * a plan is compared with a later one byte for byte. Quadratic: a table has at most
 * 4096 columns.
 */
#include "core/schema/moves.h"

#include "core/base/mem.h"

#define NONE ((size_t)-1)

void moves_plan(const size_t *was, size_t n, bool *stays)
{
	size_t *length = mem_array(NULL, size_t, n + 1);
	size_t *before = mem_array(length, size_t, n + 1);
	size_t best = NONE;

	for (size_t i = 0; i < n; i++) {
		stays[i] = false;
		length[i] = 1;
		before[i] = NONE;
		for (size_t k = 0; k < i; k++)
			if (was[k] < was[i] && length[k] + 1 > length[i]) {
				length[i] = length[k] + 1;
				before[i] = k;
			}
		if (best == NONE || length[i] > length[best])
			best = i;
	}
	for (; best != NONE; best = before[best])
		stays[best] = true;
	talloc_free(length);
}
