/*
 * mem.c - talloc with the abort-on-exhaustion rule. See mem.h.
 */
#include "core/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *must(void *p)
{
	if (!p) {
		/* No allocation may happen on this path, so no stdio. */
		static const char text[] = "out of memory\n";

		if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
			abort();
		abort();
	}
	return p;
}

void *mem_alloc(TALLOC_CTX *ctx, size_t size, size_t n, const char *name)
{
	void *p = must(_talloc_array(ctx, size, n > 0 ? (unsigned)n : 1, name));

	memset(p, 0, size * (n > 0 ? n : 1));
	return p;
}

void *mem_realloc(TALLOC_CTX *ctx, void *ptr, size_t size, size_t n, const char *name)
{
	return must(_talloc_realloc_array(ctx, ptr, size, n > 0 ? (unsigned)n : 1, name));
}

TALLOC_CTX *mem_ctx(TALLOC_CTX *parent, const char *name)
{
	return must(talloc_named_const(parent, 0, name));
}

char *mem_strdup(TALLOC_CTX *ctx, const char *s)
{
	return s ? must(talloc_strdup(ctx, s)) : NULL;
}

char *mem_strndup(TALLOC_CTX *ctx, const char *s, size_t n)
{
	return s ? must(talloc_strndup(ctx, s, n)) : NULL;
}

char *mem_memdup(TALLOC_CTX *ctx, const void *p, size_t n)
{
	char *copy = must(talloc_size(ctx, n + 1));

	if (n > 0)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

char *mem_vprintf(TALLOC_CTX *ctx, const char *fmt, va_list ap)
{
	return must(talloc_vasprintf(ctx, fmt, ap));
}

char *mem_printf(TALLOC_CTX *ctx, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = mem_vprintf(ctx, fmt, ap);
	va_end(ap);
	return s;
}
