/*
 * json.h - strict JSON in, plain JSON out, over json-c.
 *
 * Input goes through json_parse() and then json_decode() with a table of fields, so
 * that every refusal names the field and nothing unknown is silently ignored. Output
 * is put together with the js_* helpers, which own what they are given.
 */
#ifndef SB_BASE_JSON_H
#define SB_BASE_JSON_H

#include <json-c/json.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/mem.h"

/* Parse exactly one value (no trailing data, valid UTF-8, no name twice in one object,
 * depth <= 32). *out is freed with ctx. SB_EINVALID says where. */
int json_parse(TALLOC_CTX *ctx, const char *text, size_t len, struct json_object **out,
	       struct sb_err *err) MUST_CHECK;

enum json_type_wanted {
	JSON_STR,    /* const char *, no NUL inside */
	JSON_BOOL,   /* bool */
	JSON_INT,    /* int64_t */
	JSON_OBJECT, /* struct json_object * (borrowed) */
	JSON_ARRAY,  /* struct json_object * (borrowed) */
};
struct json_field {
	const char *key;
	enum json_type_wanted type;
	bool required;
	int64_t max; /* JSON_STR: most bytes; JSON_INT: greatest value; 0 = no limit */
	size_t offset;
};
#define JSON_FIELD(key, type, required, max, st, field)               \
	{                                                             \
		(key), (type), (required), (max), offsetof(st, field) \
	}

/*
 * Fill *out from object by the table. Unknown key, wrong type, null, missing required
 * field or too long: SB_EINVALID naming the field. Strings belong to ctx.
 */
int json_decode(TALLOC_CTX *ctx, struct json_object *object,
		const struct json_field *fields, size_t n_fields, void *out,
		struct sb_err *err) MUST_CHECK;

/* True when s is well-formed UTF-8 (no surrogates, no overlong forms). */
bool utf8_valid(const char *s, size_t len);

/* ---- building ------------------------------------------------------------------ */

struct json_object *js_object(void);
struct json_object *js_array(void);
void js_add(struct json_object *object, const char *key, struct json_object *value);
void js_push(struct json_object *array, struct json_object *value);
void js_str(struct json_object *object, const char *key,
	    const char *value); /* NULL -> "" */
void js_str_opt(struct json_object *object, const char *key,
		const char *value); /* NULL -> omitted */
void js_int(struct json_object *object, const char *key, int64_t value);
void js_bool(struct json_object *object, const char *key, bool value);
/* A DATETIME(6) text of the database ("2026-11-21 03:04:05.000000") as RFC 3339 UTC;
 * NULL is omitted. */
void js_time(struct json_object *object, const char *key, const char *datetime);
/* Text of the object in ctx; frees the object. */
char *js_render(TALLOC_CTX *ctx, struct json_object *object);
/* Let ctx own a reference that json-c handed out. */
struct json_object *js_own(TALLOC_CTX *ctx, struct json_object *object);

/* String member of an object or NULL; no error: for data that we wrote ourselves. */
const char *js_get_str(struct json_object *object, const char *key);

#endif
