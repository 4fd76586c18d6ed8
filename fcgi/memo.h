/*
 * memo.h - bodies that this worker has rendered, by apply and revision.
 *
 * An apply's progress depends on nothing but its rows, and every visible change of those
 * raises the revision: a body with the same revision is the same body. So a poll of an
 * apply that has not moved costs one look at one indexed column. Used by progress.c only.
 *
 * Must never: be asked without the revision that storage holds at this moment.
 */
#ifndef SB_FCGI_MEMO_H
#define SB_FCGI_MEMO_H

#include <stdint.h>

#include "core/base/mem.h"

struct memo;

struct memo *memo_new(TALLOC_CTX *ctx);

/* The body, valid until the next memo_put(), or NULL. */
const char *memo_get(const struct memo *memo, const char *apply_id, uint64_t revision);

/* Remember a copy; long bodies are not kept, so that a worker stays small. */
void memo_put(struct memo *memo, const char *apply_id, uint64_t revision,
	      const char *body);

#endif
