/*
 * memo.h - bodies that this worker has rendered, by apply and revision.
 *
 * An apply's progress depends on nothing but its rows, and every visible change of those
 * raises the revision: a body with the same revision is the same body. So a poll of an
 * apply that has not moved costs one look at one indexed column; and of one that is
 * settled, which never changes again, not even that for a quarter of a second. Used by
 * progress.c.
 *
 * Must never: give the body of an apply that may still move without being told the
 * revision that storage holds at this moment.
 */
#ifndef SB_FCGI_MEMO_H
#define SB_FCGI_MEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/mem.h"

struct memo;

struct memo *memo_new(TALLOC_CTX *ctx);

/* Is there a body of this apply at all, so that asking for its revision may pay? */
bool memo_knows(const struct memo *memo, const char *apply_id);

/* The body, valid until the next memo_put(), or NULL. */
const char *memo_get(struct memo *memo, const char *apply_id, uint64_t revision);

/* The same for an apply that was settled when storage was last asked, a moment ago. */
const char *memo_get_settled(const struct memo *memo, const char *apply_id,
			     uint64_t *revision);

/* Remember a copy; long bodies are not kept, so that a worker stays small. */
void memo_put(struct memo *memo, const char *apply_id, uint64_t revision, bool settled,
	      const char *body);

#endif
