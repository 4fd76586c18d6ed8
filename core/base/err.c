/*
 * err.c - the error table and the functions over it. See err.h.
 */
#include "core/base/err.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name, *wire;
	enum err_class class;
	int http, exit;
} table[] = { [SB_OK] = { "SB_OK", "", ERR_PERMANENT, 200, 0 },
#define X(code, class, http, wire, exit) \
	[code] = { #code, wire, ERR_##class, http, exit },
	      ERR_CODES(X)
#undef X
};

static void cut_at_character(char *msg, size_t size)
{
	size_t len = strlen(msg);

	if (len + 1 < size)
		return;
	/* Do not end in the middle of a UTF-8 sequence. */
	while (len > 0 && ((unsigned char)msg[len - 1] & 0xc0) == 0x80)
		len--;
	if (len > 0 && ((unsigned char)msg[len - 1] & 0xc0) == 0xc0)
		len--;
	msg[len] = '\0';
}

void err_set(struct sb_err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return;
	err->code = code;
	err->db_errno = 0;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	cut_at_character(err->msg, sizeof(err->msg));
}

void err_set_prefix(struct sb_err *err, const char *fmt, ...)
{
	char old[sizeof(err->msg)];
	va_list ap;
	int n;

	if (!err)
		return;
	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n + 3 < sizeof(err->msg)) {
		size_t at = (size_t)n;

		snprintf(err->msg + at, sizeof(err->msg) - at, ": %.*s",
			 (int)(sizeof(err->msg) - at - 3), old);
	}
	cut_at_character(err->msg, sizeof(err->msg));
}

enum err_class err_class(enum err_code code)
{
	return table[code].class;
}

int err_http_status(enum err_code code)
{
	return table[code].http;
}

int err_exit_code(enum err_code code)
{
	return table[code].exit;
}

const char *err_wire_code(enum err_code code)
{
	return table[code].wire;
}

const char *err_name(enum err_code code)
{
	return table[code].name;
}

_Noreturn void bug_at(const char *file, int line, const char *fmt, ...)
{
	void *frames[64];
	va_list ap;

	fprintf(stderr, "BUG at %s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
	abort();
}
