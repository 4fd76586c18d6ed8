/*
 * test_base.c - core/base without a server: errors, buffers, ids, JSON, quoting, faults'
 * absence.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/db.h"
#include "core/base/http_error.h"
#include "core/base/id.h"
#include "core/base/json.h"
#include "core/model/model.h"
#include "tests/unit/unit.h"

static TALLOC_CTX *ctx;

static int setup(void **unused)
{
	(void)unused;
	ctx = mem_ctx(NULL, "test");
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	talloc_free(ctx);
	return 0;
}

static void every_error_code_has_its_row(void **unused)
{
	(void)unused;
#define X(code, class, http, wire, exit)                                          \
	assert_true(err_http_status(code) >= 400 && err_http_status(code) < 600); \
	assert_true(strlen(err_wire_code(code)) > 0);                             \
	assert_true(err_exit_code(code) > 0 && err_exit_code(code) < 128);        \
	assert_string_equal(err_name(code), #code);
	ERR_CODES(X)
#undef X
}

static void long_messages_end_at_a_character(void **unused)
{
	char *text = mem_array(ctx, char, 4001);
	struct sb_err err;

	(void)unused;
	for (int i = 0; i < 2000; i++)
		memcpy(text + 2 * i, "\xc3\xa9", 2);
	assert_int_equal(sb_err(&err, SB_EINVALID, "%s", text), -1);
	assert_true(utf8_valid(err.msg, strlen(err.msg)));
	sb_err_prefix(&err, "x%s", "yz");
	assert_true(utf8_valid(err.msg, strlen(err.msg)));
	assert_memory_equal(err.msg, "xyz: ", 5);
	assert_int_equal(sb_err(NULL, SB_EINVALID, "nobody listens"), -1);
}

static void buffers_grow(void **unused)
{
	struct buf b;

	(void)unused;
	buf_init(&b, ctx);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	assert_int_equal(b.len, strlen(b.data));
	assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
	buf_clear(&b);
	assert_string_equal(b.data, "");
}

static void digests_and_ids(void **unused)
{
	char hex[SHA256_HEX_LEN + 1];
	char *a = id_new(ctx, "apply"), *b = id_new(ctx, "apply");

	(void)unused;
	sha256_hex("abc", 3, hex); /* FIPS 180-2, appendix B.1 */
	assert_string_equal(
		hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), strlen("apply-") + 32);
	assert_true(equal_const_time("abc", "abc", 3));
	assert_false(equal_const_time("abc", "abd", 3));
}

static void identifiers_and_literals_are_quoted(void **unused)
{
	(void)unused;
	assert_string_equal(db_ident(ctx, "a`b"), "`a``b`");
	assert_string_equal(db_ident2(ctx, "s", "t"), "`s`.`t`");
	assert_string_equal(db_ident2(ctx, NULL, "t"), "`t`");
	assert_string_equal(db_literal(ctx, "it's"), "'it''s'");
	assert_string_equal(db_literal(ctx, "a\\"), "_utf8mb4 0x615c");
}

static void server_errors_are_classified(void **unused)
{
	(void)unused;
	assert_int_equal(db_error_kind(0), DB_ERR_NONE);
	assert_int_equal(db_error_kind(1213), DB_ERR_BUSY);
	assert_int_equal(db_error_kind(2013), DB_ERR_LOST);
	assert_int_equal(db_error_kind(1062), DB_ERR_DUPLICATE);
	assert_int_equal(db_error_kind(99999), DB_ERR_OTHER);
}

/* Every row of errors.def, whichever list it is of. */
struct foreign_error {
	unsigned number;
	int kind;
	const char *name;
};
static const struct foreign_error db_rows[] = {
#define DB_ERROR(number, kind, name) { number, kind, name },
#include "core/base/errors.def"
};
static const struct foreign_error status_rows[] = {
#define HTTP_ERROR(number, kind, name) { number, kind, name },
#include "core/base/errors.def"
};
static const struct foreign_error curl_rows[] = {
#define CURL_ERROR(number, kind, name) { number, kind, name },
#include "core/base/errors.def"
};

static void listed_once(const struct foreign_error *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(rows[i].name[0] != '\0');
		if (i > 0)
			assert_true(rows[i - 1].number < rows[i].number);
	}
}

static void error_numbers_are_listed_once(void **unused)
{
	(void)unused;
	listed_once(db_rows, ARRAY_SIZE(db_rows));
	listed_once(status_rows, ARRAY_SIZE(status_rows));
	listed_once(curl_rows, ARRAY_SIZE(curl_rows));
}

/* A driver must be able to tell what it may do after every error of a target: what was
 * lost under a change is looked at, a busy server is asked again, the rest is final. */
static void every_server_error_has_its_class(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(db_rows); i++) {
		unsigned number = db_rows[i].number;
		enum err_class read = err_class(db_target_code(number, false));
		enum err_class write = err_class(db_target_code(number, true));

		assert_int_equal(db_error_kind(number), db_rows[i].kind);
		switch ((enum db_error_kind)db_rows[i].kind) {
		case DB_ERR_LOST:
			assert_int_equal(read, ERR_RETRYABLE);
			assert_int_equal(write, ERR_UNCERTAIN);
			break;
		case DB_ERR_BUSY:
		case DB_ERR_KILLED:
		case DB_ERR_RESOURCE:
		case DB_ERR_READONLY:
			assert_int_equal(read, ERR_RETRYABLE);
			assert_int_equal(write, ERR_RETRYABLE);
			break;
		case DB_ERR_DUPLICATE:
		case DB_ERR_MISSING:
		case DB_ERR_EXISTS:
		case DB_ERR_DENIED:
		case DB_ERR_SYNTAX:
		case DB_ERR_NOT_SUPPORTED:
		case DB_ERR_OTHER:
			assert_int_equal(read, ERR_PERMANENT);
			assert_int_equal(write, ERR_PERMANENT);
			break;
		case DB_ERR_NONE:
			fail();
		}
	}
}

static void check_http_kind(enum http_error_kind kind, enum err_code read,
			    enum err_code write)
{
	switch (kind) {
	case HTTP_ERR_LOST:
		assert_int_equal(err_class(read), ERR_RETRYABLE);
		assert_int_equal(err_class(write), ERR_UNCERTAIN);
		break;
	case HTTP_ERR_BUSY:
	case HTTP_ERR_UNREACHED:
		assert_int_equal(err_class(read), ERR_RETRYABLE);
		assert_int_equal(err_class(write), ERR_RETRYABLE);
		break;
	case HTTP_ERR_MISSING:
		assert_int_equal(read, SB_ENOTFOUND);
		assert_int_equal(write, SB_ENOTFOUND);
		break;
	case HTTP_ERR_DENIED:
	case HTTP_ERR_CONFLICT:
	case HTTP_ERR_INVALID:
	case HTTP_ERR_OTHER:
		assert_int_equal(err_class(read), ERR_PERMANENT);
		assert_int_equal(err_class(write), ERR_PERMANENT);
		break;
	case HTTP_ERR_NONE:
		assert_int_equal(read, SB_OK);
		assert_int_equal(write, SB_OK);
		break;
	}
}

static void every_http_answer_has_its_class(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(status_rows); i++)
		assert_int_equal(http_status_kind((int)status_rows[i].number),
				 status_rows[i].kind);
	for (size_t i = 0; i < ARRAY_SIZE(curl_rows); i++)
		assert_int_equal(http_curl_kind((int)curl_rows[i].number),
				 curl_rows[i].kind);
	for (int status = 0; status < 700; status++) {
		enum http_error_kind kind = http_status_kind(status);

		check_http_kind(kind, http_error_code(kind, false),
				http_error_code(kind, true));
		assert_int_equal(kind == HTTP_ERR_NONE, status >= 200 && status < 300);
		if (status >= 500 && status < 600 && status != 501)
			assert_true(kind == HTTP_ERR_BUSY || kind == HTTP_ERR_LOST);
	}
	for (int code = 0; code < 200; code++) {
		enum http_error_kind kind = http_curl_kind(code);

		check_http_kind(kind, http_error_code(kind, false),
				http_error_code(kind, true));
		assert_int_equal(kind == HTTP_ERR_NONE, code == 0);
	}
}

static void an_http_failure_names_what_was_asked(void **unused)
{
	struct sb_err err;

	(void)unused;
	assert_int_equal(http_fail_status(&err, 503, true, "creating a branch"), -1);
	assert_int_equal(err.code, SB_ERETRY);
	assert_string_equal(err.msg,
			    "creating a branch: HTTP status 503 (Service Unavailable).");
	assert_int_equal(http_fail_curl(&err, 28, true, "creating a branch"), -1);
	assert_int_equal(err.code, SB_EAMBIGUOUS);
	assert_int_equal(http_fail_curl(&err, 28, false, "polling"), -1);
	assert_int_equal(err.code, SB_ERETRY);
	assert_int_equal(http_fail_status(&err, 599, false, "polling"), -1);
	assert_string_equal(err.msg, "polling: HTTP status 599.");
}

struct body {
	char *name;
	int64_t n;
	bool flag;
	struct json_object *map;
};
static const struct json_field fields[] = {
	JSON_FIELD("name", JSON_STR, true, 8, struct body, name),
	JSON_FIELD("n", JSON_INT, false, 100, struct body, n),
	JSON_FIELD("flag", JSON_BOOL, false, 0, struct body, flag),
	JSON_FIELD("map", JSON_OBJECT, false, 0, struct body, map),
};

static int decode(const char *text, struct body *out, struct sb_err *err)
{
	struct json_object *o;

	memset(out, 0, sizeof(*out));
	memset(err, 0, sizeof(*err));
	if (json_parse(ctx, text, strlen(text), &o, err) < 0)
		return -1;
	return json_decode(ctx, o, fields, ARRAY_SIZE(fields), out, err);
}

static void good_json_is_decoded(void **unused)
{
	struct body b;
	struct sb_err err;

	(void)unused;
	assert_int_equal(
		decode(" {\"name\":\"x\",\"n\":7,\"flag\":true,\"map\":{}} \n", &b, &err),
		0);
	assert_string_equal(b.name, "x");
	assert_int_equal(b.n, 7);
	assert_true(b.flag);
	assert_non_null(b.map);
}

static void bad_json_is_refused_with_its_field(void **unused)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "not valid JSON" },
		{ "{\"name\":\"x\"", "not valid JSON" },
		{ "{\"name\":\"x\"} {}", "after the JSON" },
		{ "{\"name\":\"x\"}1", "after the JSON" },
		{ "{\"name\":\"x\"}x", "not valid JSON" },
		{ "{\"name\":\"x\" /* why */}", "not valid JSON" },
		{ "{\"name\":NaN}", "not valid JSON" },
		{ "{\"name\":True}", "not valid JSON" },
		{ "{'name':\"x\"}", "not valid JSON" },
		{ "[]", "must be a JSON object" },
		{ "7", "must be a JSON object" },
		{ "null", "must be a JSON object" },
		{ "{}", "'name' is missing" },
		{ "{\"name\":null}", "'name' must be a string" },
		{ "{\"name\":7}", "'name' must be a string" },
		{ "{\"name\":\"123456789\"}", "'name' is longer than 8" },
		{ "{\"name\":\"a\\u0000b\"}", "'name' has a zero byte" },
		{ "{\"name\":\"x\",\"n\":101}", "'n' is out of range" },
		{ "{\"name\":\"x\",\"n\":-1}", "'n' is out of range" },
		{ "{\"name\":\"x\",\"n\":1.5}", "'n' must be a whole number" },
		{ "{\"name\":\"x\",\"flag\":\"true\"}", "'flag' must be true or false" },
		{ "{\"name\":\"x\",\"other\":1}", "Unknown field 'other'" },
		{ "{\"name\":\"x\",\"name\":\"y\"}", "\"name\" is given twice" },
		{ "{\"name\":\"x\",\"n\\u0061me\":\"y\"}", "a name is given twice" },
		{ "[[{\"a:\":[{\"b\":1}],\"c\":{\"b\":1,\"\\\"{\":2,\"b\":3}}]]",
		  "\"b\" is given twice" },
		{ "{\"a\\u0000x\":1,\"a\\u0000y\":2}", "a name is given twice" },
		{ "{\"name\":\"\xff\"}", "not valid UTF-8" },
		{ "{\"name\":\"\xed\xa0\x80\"}", "not valid UTF-8" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct body b;
		struct sb_err err;

		if (decode(cases[i].text, &b, &err) == 0)
			fail_msg("%s is accepted", cases[i].text);
		assert_int_equal(err.code, SB_EINVALID);
		if (!strstr(err.msg, cases[i].says))
			fail_msg("%s: '%s'", cases[i].text, err.msg);
	}
}

static void deep_json_is_refused(void **unused)
{
	char text[200];
	struct json_object *o;
	struct sb_err err;

	(void)unused;
	memset(text, '[', sizeof(text));
	assert_int_equal(json_parse(ctx, text, sizeof(text), &o, &err), -1);
}

static void times_are_rfc3339(void **unused)
{
	struct json_object *o = js_object();

	(void)unused;
	js_time(o, "t", "2026-11-21 03:04:05.000001");
	js_time(o, "none", NULL);
	assert_string_equal(js_render(ctx, o), "{\"t\":\"2026-11-21T03:04:05.000001Z\"}");
}

static void options_survive_the_wire(void **unused)
{
	static const char text[] =
		"{\"allow_unsafe\":\"true\",\"defer_cutover\":\"true\",\"defer_deploy\":\"true\","
		"\"enable_revert\":\"true\",\"skip_revert\":\"true\",\"branch\":\"b\","
		"\"algorithm\":\"inplace\",\"volume\":\"11\",\"keep_old\":\"24\"}";
	struct apply_options options;
	struct json_object *o;
	struct sb_err err;

	(void)unused;
	assert_int_equal(json_parse(ctx, text, strlen(text), &o, &err), 0);
	assert_int_equal(options_parse(ctx, o, &options, &err), 0);
	assert_string_equal(js_render(ctx, options_to_json(&options)), text);
}

static void bad_options_are_refused(void **unused)
{
	static const char *const cases[] = {
		"{\"allow_unsafe\":\"yes\"}", "{\"allow_unsafe\":true}",
		"{\"volume\":\"12\"}",	      "{\"volume\":\"0\"}",
		"{\"volume\":\"3x\"}",	      "{\"branch\":\"\"}",
		"{\"algorithm\":\"fast\"}",   "{\"alow_unsafe\":\"true\"}",
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct apply_options options;
		struct json_object *o;
		struct sb_err err;

		assert_int_equal(json_parse(ctx, cases[i], strlen(cases[i]), &o, &err),
				 0);
		assert_int_equal(options_parse(ctx, o, &options, &err), -1);
		assert_int_equal(err.code, SB_EINVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_code_has_its_row),
		cmocka_unit_test(long_messages_end_at_a_character),
		cmocka_unit_test(buffers_grow),
		cmocka_unit_test(digests_and_ids),
		cmocka_unit_test(identifiers_and_literals_are_quoted),
		cmocka_unit_test(server_errors_are_classified),
		cmocka_unit_test(error_numbers_are_listed_once),
		cmocka_unit_test(every_server_error_has_its_class),
		cmocka_unit_test(every_http_answer_has_its_class),
		cmocka_unit_test(an_http_failure_names_what_was_asked),
		cmocka_unit_test(good_json_is_decoded),
		cmocka_unit_test(bad_json_is_refused_with_its_field),
		cmocka_unit_test(deep_json_is_refused),
		cmocka_unit_test(times_are_rfc3339),
		cmocka_unit_test(options_survive_the_wire),
		cmocka_unit_test(bad_options_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
