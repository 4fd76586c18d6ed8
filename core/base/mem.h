/*
 * mem.h - the one memory rule: talloc contexts named by their lifetime.
 *
 * Every function that allocates takes the context first; freeing the context frees
 * everything below it. Running out of memory aborts the process: a lease, nginx or
 * cron recovers from that, and half-handled out-of-memory paths do not.
 *
 * Must never: be shared between threads (a thread makes a context of its own with a
 * NULL parent), or return NULL.
 */
#ifndef SB_BASE_MEM_H
#define SB_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <talloc.h>

/* Zeroed memory; never NULL. */
#define mem_new(ctx, type)	((type *)mem_alloc((ctx), sizeof(type), 1, #type))
#define mem_array(ctx, type, n) ((type *)mem_alloc((ctx), sizeof(type), (n), #type "[]"))
/* Grow an array made by mem_array (or NULL) to n elements; new ones are not zeroed. */
#define mem_grow(ctx, ptr, type, n) \
	((type *)mem_realloc((ctx), (ptr), sizeof(type), (n), #type "[]"))

void *mem_alloc(TALLOC_CTX *ctx, size_t size, size_t n, const char *name);
void *mem_realloc(TALLOC_CTX *ctx, void *ptr, size_t size, size_t n, const char *name);

/* A child context that is freed as one; name is a literal. */
TALLOC_CTX *mem_ctx(TALLOC_CTX *parent, const char *name);

/* Copies; NULL in, NULL out. */
char *mem_strdup(TALLOC_CTX *ctx, const char *s);
char *mem_strndup(TALLOC_CTX *ctx, const char *s, size_t n);
/* Exactly n bytes plus a terminating NUL, zero bytes included. */
char *mem_memdup(TALLOC_CTX *ctx, const void *p, size_t n);
char *mem_printf(TALLOC_CTX *ctx, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
char *mem_vprintf(TALLOC_CTX *ctx, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

#endif
