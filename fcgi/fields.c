/*
 * fields.c - the tables made from the lists of fields.h, and query strings.
 *
 * Must never: let a parameter pass that no list names.
 */
#include "fcgi/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"

#define FIELD(st, type, key, need, max, doc) \
	JSON_FIELD(#key, JSON_##type, need, max, struct st, key),
#define DOC(st, type, key, need, max, doc) doc,

#define SPEC(spec_name, LIST, schema, st)                                          \
	static const struct json_field spec_name##_fields[] = { LIST(FIELD, st) }; \
	static const char *const spec_name##_docs[] = { LIST(DOC, st) };           \
	const struct input spec_name##_spec = {                                    \
		(schema),	   spec_name##_fields,                             \
		spec_name##_docs,  ARRAY_SIZE(spec_name##_fields),                 \
		sizeof(struct st),                                                 \
	};

#define X(name, LIST, schema) SPEC(name, LIST, schema, name)
INPUTS(X)
#undef X
SPEC(control_input, CONTROL_FIELDS, "ControlRequest", volume_input)

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

char *percent_decode(TALLOC_CTX *ctx, const char *text, size_t n, bool in_query)
{
	char *out = mem_memdup(ctx, text, n);
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (c == '+' && in_query) {
			c = ' ';
		} else if (c == '%') {
			bool inside = i + 2 < n;
			int high = inside ? hex_digit(text[i + 1]) : -1;
			int low = inside ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return NULL;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return NULL;
		out[len++] = c;
	}
	out[len] = '\0';
	return utf8_valid(out, len) ? out : NULL;
}

static char *known_parameters(TALLOC_CTX *ctx, const struct input *spec)
{
	struct buf b;

	buf_init(&b, ctx);
	for (size_t i = 0; i < spec->n; i++)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "", spec->fields[i].key);
	return b.data;
}

static int decode_int(const struct json_field *f, const char *value, int64_t *out,
		      struct sb_err *err)
{
	size_t digits = strspn(value, "0123456789");
	long long number;

	errno = 0;
	number = strtoll(value, NULL, 10);
	if (digits == 0 || value[digits] != '\0' || errno != 0)
		return sb_err(err, SB_EINVALID, "Parameter '%s' must be a whole number.",
			      f->key);
	if (f->max > 0 && (number < 1 || number > f->max))
		return sb_err(err, SB_EINVALID, "Parameter '%s' must be from 1 to %lld.",
			      f->key, (long long)f->max);
	*out = number;
	return 0;
}

static int decode_value(const struct json_field *f, char *value, char *out,
			struct sb_err *err)
{
	void *at = out + f->offset;

	switch (f->type) {
	case JSON_STR:
		if (f->max > 0 && strlen(value) > (size_t)f->max)
			return sb_err(err, SB_EINVALID,
				      "Parameter '%s' is longer than %lld bytes.", f->key,
				      (long long)f->max);
		*(char **)at = value;
		return 0;
	case JSON_INT:
		return decode_int(f, value, at, err);
	case JSON_BOOL:
		if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return sb_err(err, SB_EINVALID,
				      "Parameter '%s' must be true or false.", f->key);
		*(bool *)at = strcmp(value, "true") == 0;
		return 0;
	case JSON_OBJECT:
	case JSON_ARRAY:
		break;
	}
	BUG("%s cannot be a query parameter", f->key);
}

static int decode_pair(TALLOC_CTX *ctx, const char *pair, size_t n,
		       const struct input *spec, bool *seen, void *out,
		       struct sb_err *err)
{
	const char *equals = memchr(pair, '=', n);
	size_t key_len = equals ? (size_t)(equals - pair) : n;
	char *key = percent_decode(ctx, pair, key_len, true), *value;
	size_t i = 0;

	value = equals ? percent_decode(ctx, equals + 1, n - key_len - 1, true)
		       : mem_strdup(ctx, "");
	if (!key || !value)
		return sb_err(
			err, SB_EINVALID,
			"The query string is not properly percent-encoded UTF-8 text.");
	while (i < spec->n && strcmp(spec->fields[i].key, key) != 0)
		i++;
	if (i == spec->n)
		return sb_err(err, SB_EINVALID,
			      "Unknown parameter '%.100s'. There are: %s.", key,
			      known_parameters(ctx, spec));
	if (seen[i])
		return sb_err(err, SB_EINVALID, "Parameter '%s' is given twice.", key);
	seen[i] = true;
	return decode_value(&spec->fields[i], value, out, err);
}

int query_decode(TALLOC_CTX *ctx, const char *query, const struct input *spec, void *out,
		 struct sb_err *err)
{
	bool seen[16] = { false };

	BUG_ON(spec->n > ARRAY_SIZE(seen));
	while (*query) {
		size_t n = strcspn(query, "&");

		if (n > 0 && decode_pair(ctx, query, n, spec, seen, out, err) < 0)
			return -1;
		query += n;
		query += *query == '&';
	}
	for (size_t i = 0; i < spec->n; i++)
		if (spec->fields[i].required && !seen[i])
			return sb_err(err, SB_EINVALID, "Parameter '%s' is missing.",
				      spec->fields[i].key);
	return 0;
}
