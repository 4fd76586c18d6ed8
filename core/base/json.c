/*
 * json.c - strict decoding by field tables, and building, over json-c. See json.h.
 */
#include "core/base/json.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"

#define MAX_DEPTH 32

static int put_object(struct json_object **slot)
{
	json_object_put(*slot);
	return 0;
}

struct json_object *js_own(TALLOC_CTX *ctx, struct json_object *object)
{
	struct json_object **slot = mem_new(ctx, struct json_object *);

	*slot = object;
	talloc_set_destructor(slot, put_object);
	return object;
}

bool utf8_valid(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + len;

	while (p < end) {
		unsigned c = *p++;
		unsigned min, more;

		if (c < 0x80)
			continue;
		if (c >= 0xc2 && c <= 0xdf) {
			more = 1, min = 0x80, c &= 0x1f;
		} else if (c >= 0xe0 && c <= 0xef) {
			more = 2, min = 0x800, c &= 0x0f;
		} else if (c >= 0xf0 && c <= 0xf4) {
			more = 3, min = 0x10000, c &= 0x07;
		} else {
			return false;
		}
		if ((size_t)(end - p) < more)
			return false;
		while (more-- > 0) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p++ & 0x3f);
		}
		if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

/*
 * json-c takes single quotes and comments even when strict. Outside of strings JSON has
 * few characters: the offset of the first other one, or len.
 */
static size_t first_foreign_byte(const char *text, size_t len)
{
	static const char allowed[] = "{}[],:0123456789+-.eEtrufalsn \t\r\n";
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && !memchr(allowed, text[i], sizeof(allowed) - 1))
			return i;
	}
	return len;
}

/* ---- a name that is given twice ---------------------------------------------------- */

struct member { /* as written, with its quotes */
	const char *name;
	size_t len;
	size_t object; /* a number for the object it is in */
};

/* All members of valid JSON, in order. */
static struct member *members_of(TALLOC_CTX *ctx, const char *text, size_t len, size_t *n)
{
	size_t inside[MAX_DEPTH + 1] = { 0 }, depth = 0, objects = 0, cap = 0;
	struct member *v = NULL, last = { 0 };

	*n = 0;
	for (size_t i = 0; i < len; i++) {
		const char *from = text + i;

		if (*from == '"') {
			for (i++; text[i] != '"'; i++)
				if (text[i] == '\\')
					i++;
			last = (struct member){ from, (size_t)(text + i + 1 - from),
						inside[depth] };
		} else if (*from == '{' || *from == '[') {
			depth += depth < MAX_DEPTH;
			inside[depth] = ++objects;
		} else if (*from == '}' || *from == ']') {
			depth -= depth > 0;
		} else if (*from == ':') {
			if (*n == cap) {
				cap = cap ? cap * 2 : 64;
				v = mem_grow(ctx, v, struct member, cap);
			}
			v[(*n)++] = last;
		}
	}
	return v;
}

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order;

	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	order = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);
	return order ? order : (x->len > y->len) - (x->len < y->len);
}

static size_t count_members(struct json_object *o)
{
	size_t n = 0;

	if (json_object_is_type(o, json_type_array))
		for (size_t i = 0; i < json_object_array_length(o); i++)
			n += count_members(json_object_array_get_idx(o, i));
	if (!json_object_is_type(o, json_type_object))
		return n;
	json_object_object_foreach (o, name, value) {
		(void)name;
		n += 1 + count_members(value);
	}
	return n;
}

/*
 * json-c keeps the last of two members with one name, so that half of what was sent would
 * be gone without a word. Fewer members than colons is the proof; the texts tell which.
 */
static int check_members(struct json_object *o, const char *text, size_t len,
			 struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "JSON members");
	size_t n;
	struct member *v = members_of(tmp, text, len, &n);
	const struct member *twice = NULL;
	int rc = 0;

	if (n != count_members(o)) {
		qsort(v, n, sizeof(*v), compare_members);
		for (size_t i = 1; i < n && !twice; i++)
			if (compare_members(&v[i - 1], &v[i]) == 0)
				twice = &v[i];
		rc = sb_err(
			err, SB_EINVALID,
			"The body has an object in which %.*s is given twice; send it "
			"once.",
			twice ? (int)(twice->len < 100 ? twice->len : 100) : 6,
			twice ? twice->name : "a name");
	}
	talloc_free(tmp);
	return rc;
}

int json_parse(TALLOC_CTX *ctx, const char *text, size_t len, struct json_object **out,
	       struct sb_err *err)
{
	struct json_tokener *tok;
	struct json_object *object = NULL;
	enum json_tokener_error result;
	size_t end;
	int rc;

	*out = NULL;
	if (!utf8_valid(text, len))
		return sb_err(err, SB_EINVALID, "The body is not valid UTF-8.");
	end = first_foreign_byte(text, len);
	if (end < len)
		return sb_err(
			err, SB_EINVALID,
			"The body is not valid JSON: unexpected character at byte %zu.",
			end);
	tok = json_tokener_new_ex(MAX_DEPTH);
	if (!tok)
		BUG("out of memory");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
					    JSON_TOKENER_ALLOW_TRAILING_CHARS);
	object = json_tokener_parse_ex(tok, text, (int)len);
	result = json_tokener_get_error(tok);
	end = json_tokener_get_parse_end(tok);
	/* A bare number or literal is complete only when the end is seen. */
	if (result == json_tokener_continue) {
		object = json_tokener_parse_ex(tok, "", 1);
		result = json_tokener_get_error(tok);
		if (result == json_tokener_continue)
			result = json_tokener_error_parse_eof;
	}
	while (end < len && strchr(" \t\r\n", text[end]) && text[end])
		end++;
	rc = 0;
	if (result != json_tokener_success)
		rc = sb_err(err, SB_EINVALID,
			    "The body is not valid JSON: %s at byte %zu.",
			    json_tokener_error_desc(result), end);
	else if (end < len)
		rc = sb_err(err, SB_EINVALID,
			    "The body has data after the JSON value, at byte %zu.", end);
	json_tokener_free(tok);
	if (rc == 0)
		rc = check_members(object, text, len, err);
	if (rc < 0)
		json_object_put(object);
	else
		*out = object ? js_own(ctx, object) : NULL;
	return rc;
}

static const char *const wanted_names[] = {
	[JSON_STR] = "a string",       [JSON_BOOL] = "true or false",
	[JSON_INT] = "a whole number", [JSON_OBJECT] = "an object",
	[JSON_ARRAY] = "an array",
};

static const enum json_type wanted_types[] = {
	[JSON_STR] = json_type_string,	[JSON_BOOL] = json_type_boolean,
	[JSON_INT] = json_type_int,	[JSON_OBJECT] = json_type_object,
	[JSON_ARRAY] = json_type_array,
};

static int decode_field(TALLOC_CTX *ctx, struct json_object *value,
			const struct json_field *f, char *out, struct sb_err *err)
{
	void *at = out + f->offset;
	size_t len;

	if (json_object_get_type(value) != wanted_types[f->type])
		return sb_err(err, SB_EINVALID, "Field '%s' must be %s.", f->key,
			      wanted_names[f->type]);
	switch (f->type) {
	case JSON_STR:
		len = (size_t)json_object_get_string_len(value);
		if (strlen(json_object_get_string(value)) != len)
			return sb_err(err, SB_EINVALID,
				      "Field '%s' has a zero byte in it.", f->key);
		if (f->max > 0 && len > (size_t)f->max)
			return sb_err(err, SB_EINVALID,
				      "Field '%s' is longer than %lld bytes.", f->key,
				      (long long)f->max);
		*(char **)at = mem_memdup(ctx, json_object_get_string(value), len);
		return 0;
	case JSON_BOOL:
		*(bool *)at = json_object_get_boolean(value);
		return 0;
	case JSON_INT:
		*(int64_t *)at = json_object_get_int64(value);
		if (*(int64_t *)at < 0 || (f->max > 0 && *(int64_t *)at > f->max))
			return sb_err(err, SB_EINVALID, "Field '%s' is out of range.",
				      f->key);
		return 0;
	case JSON_OBJECT:
	case JSON_ARRAY:
		*(struct json_object **)at = value;
		return 0;
	}
	return 0;
}

int json_decode(TALLOC_CTX *ctx, struct json_object *object,
		const struct json_field *fields, size_t n_fields, void *out,
		struct sb_err *err)
{
	if (!object || !json_object_is_type(object, json_type_object))
		return sb_err(err, SB_EINVALID, "The body must be a JSON object.");

	json_object_object_foreach (object, key, value) {
		size_t i = 0;

		while (i < n_fields && strcmp(fields[i].key, key) != 0)
			i++;
		if (i == n_fields)
			return sb_err(
				err, SB_EINVALID,
				"Unknown field '%.100s'; remove it or check its spelling.",
				key);
		if (decode_field(ctx, value, &fields[i], out, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < n_fields; i++)
		if (fields[i].required &&
		    !json_object_object_get_ex(object, fields[i].key, NULL))
			return sb_err(err, SB_EINVALID, "Field '%s' is missing.",
				      fields[i].key);
	return 0;
}

/* ---- building ------------------------------------------------------------------------
 */

static struct json_object *must(struct json_object *o)
{
	if (!o)
		BUG("out of memory");
	return o;
}

struct json_object *js_object(void)
{
	return must(json_object_new_object());
}

struct json_object *js_array(void)
{
	return must(json_object_new_array());
}

void js_add(struct json_object *object, const char *key, struct json_object *value)
{
	if (json_object_object_add(object, key, value) != 0)
		BUG("out of memory");
}

void js_push(struct json_object *array, struct json_object *value)
{
	if (json_object_array_add(array, value) != 0)
		BUG("out of memory");
}

void js_str(struct json_object *object, const char *key, const char *value)
{
	js_add(object, key, must(json_object_new_string(value ? value : "")));
}

void js_str_opt(struct json_object *object, const char *key, const char *value)
{
	if (value)
		js_str(object, key, value);
}

void js_int(struct json_object *object, const char *key, int64_t value)
{
	js_add(object, key, must(json_object_new_int64(value)));
}

void js_bool(struct json_object *object, const char *key, bool value)
{
	js_add(object, key, must(json_object_new_boolean(value)));
}

void js_time(struct json_object *object, const char *key, const char *datetime)
{
	char text[40];
	size_t n;

	if (!datetime)
		return;
	n = strlen(datetime);
	if (n < 19 || n > sizeof(text) - 2)
		BUG("'%s' is not a DATETIME", datetime);
	memcpy(text, datetime, n);
	text[10] = 'T';
	text[n] = 'Z';
	text[n + 1] = '\0';
	js_str(object, key, text);
}

char *js_render(TALLOC_CTX *ctx, struct json_object *object)
{
	size_t len;
	const char *text = json_object_to_json_string_length(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	char *copy;

	if (!text)
		BUG("out of memory");
	copy = mem_memdup(ctx, text, len);
	json_object_put(object);
	return copy;
}

const char *js_get_str(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}
