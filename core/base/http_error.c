/*
 * http_error.c - classes of HTTP statuses and libcurl codes. See http_error.h.
 */
#include "core/base/http_error.h"

struct foreign {
	int number;
	enum http_error_kind kind;
	const char *name;
};

static const struct foreign statuses[] = {
#define HTTP_ERROR(number, kind, name) { number, kind, name },
#include "core/base/errors.def"
};

static const struct foreign curl_codes[] = {
#define CURL_ERROR(number, kind, name) { number, kind, name },
#include "core/base/errors.def"
};

static const struct {
	enum err_code read, write;
} codes[] = {
#define X(name, read, write) [HTTP_ERR_##name] = { read, write },
	HTTP_ERROR_KINDS(X)
#undef X
};

static const struct foreign *find(const struct foreign *rows, size_t n, int number)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].number == number)
			return &rows[i];
	return NULL;
}

enum http_error_kind http_status_kind(int status)
{
	const struct foreign *row = find(statuses, ARRAY_SIZE(statuses), status);

	if (row)
		return row->kind;
	if (status >= 200 && status < 300)
		return HTTP_ERR_NONE;
	return status >= 500 && status < 600 ? HTTP_ERR_BUSY : HTTP_ERR_OTHER;
}

enum http_error_kind http_curl_kind(int code)
{
	const struct foreign *row = find(curl_codes, ARRAY_SIZE(curl_codes), code);

	if (code == 0)
		return HTTP_ERR_NONE;
	return row ? row->kind : HTTP_ERR_OTHER;
}

enum err_code http_error_code(enum http_error_kind kind, bool mutating)
{
	return mutating ? codes[kind].write : codes[kind].read;
}

int http_fail_status(struct sb_err *err, int status, bool mutating, const char *what)
{
	const struct foreign *row = find(statuses, ARRAY_SIZE(statuses), status);
	enum err_code code = http_error_code(http_status_kind(status), mutating);

	if (code == SB_OK)
		BUG("HTTP status %d is no failure", status);
	return sb_err(err, code, "%s: HTTP status %d%s%s%s.", what, status,
		      row ? " (" : "", row ? row->name : "", row ? ")" : "");
}

int http_fail_curl(struct sb_err *err, int code, bool mutating, const char *what)
{
	const struct foreign *row = find(curl_codes, ARRAY_SIZE(curl_codes), code);
	enum err_code meaning = http_error_code(http_curl_kind(code), mutating);

	if (meaning == SB_OK)
		BUG("libcurl's code 0 is no failure");
	return sb_err(err, meaning, "%s: the HTTP call failed, code %d%s%s%s.", what,
		      code, row ? " (" : "", row ? row->name : "", row ? ")" : "");
}
