/*
 * buf.h - a growing byte string, for text that is put together piece by piece.
 *
 * Used by everybody who builds SQL text, JSON or messages. The bytes live in the
 * context given to buf_init() and are always NUL-terminated.
 */
#ifndef SB_BASE_BUF_H
#define SB_BASE_BUF_H

#include "core/base/mem.h"

struct buf {
	TALLOC_CTX *ctx;
	char *data; /* never NULL after buf_init(); data[len] == 0 */
	size_t len, cap;
};

void buf_init(struct buf *b, TALLOC_CTX *ctx);
void buf_clear(struct buf *b);
void buf_add(struct buf *b, const char *bytes, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
