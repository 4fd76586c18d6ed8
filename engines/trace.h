/*
 * trace.h - engines whose calls are journalled; test builds only. For registry.c alone.
 */
#ifndef SB_ENGINES_TRACE_H
#define SB_ENGINES_TRACE_H

#include "engines/engine.h"

/* e of the registry's n engines, or its traced twin where SB_TRACE names a file. */
const struct engine *engine_traced(const struct engine *const *engines, size_t n,
				   const struct engine *e);

#endif
