/*
 * test_options.c - apply options survive losslessly (#121): from the request's strings to
 * the struct, to the row, to the driver of every attempt.
 *
 * Generated, with a fixed seed: whatever is accepted comes out again as it went in, once
 * and after any number of round trips, and whatever cannot come out so is refused.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/json.h"
#include "core/model/model.h"
#include "tests/unit/unit.h"

#define ROUNDS 20000

static TALLOC_CTX *ctx;
static uint64_t seed = 20261121;

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

/* 0 .. n-1 */
static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % n;
}

/* Text with everything that quoting, SQL or UTF-8 could trip over. */
static const char *some_branch(TALLOC_CTX *tmp)
{
	static const char *const pieces[] = {
		"a",  "feature/", "\"",	      "\\", "'",
		"\n", "\t",	  "%s",	      "`",  "{\"",
		"}",  "\x7f",	  "\xc3\xa9", " ",  "\xf0\x9f\x90\xac",
		"0",
	};
	char *text = mem_strdup(tmp, pieces[pick(ARRAY_SIZE(pieces))]);

	for (unsigned n = pick(12); n > 0; n--)
		text = mem_printf(tmp, "%s%s", text, pieces[pick(ARRAY_SIZE(pieces))]);
	return text;
}

static const char *some_number(TALLOC_CTX *tmp, unsigned max)
{
	return mem_printf(tmp, "%u", 1 + pick(max));
}

/* A request's options: any subset, in any order. */
static struct json_object *some_request(TALLOC_CTX *tmp)
{
	static const char *const flags[] = { "allow_unsafe", "defer_cutover",
					     "defer_deploy", "enable_revert",
					     "skip_revert" };
	static const char *const algorithms[] = { "auto", "instant", "inplace", "copy" };
	struct json_object *map = js_object();
	unsigned n = pick(10);

	while (n-- > 0) {
		unsigned which = pick(9);

		if (which < ARRAY_SIZE(flags))
			js_str(map, flags[which], "true");
		else if (which == 5)
			js_str(map, "branch", some_branch(tmp));
		else if (which == 6)
			js_str(map, "algorithm", algorithms[pick(4)]);
		else if (which == 7)
			js_str(map, "volume", some_number(tmp, VOLUME_MAX));
		else
			js_str(map, "keep_old", some_number(tmp, 24 * 365));
	}
	return map;
}

/* Out to the row's text, and in again as a driver reads it. */
static struct json_object *through_the_row(TALLOC_CTX *tmp, const struct apply_options *o)
{
	const char *text = js_render(tmp, options_to_json(o));
	struct json_object *back;
	struct sb_err err;

	assert_int_equal(json_parse(tmp, text, strlen(text), &back, &err), 0);
	return back;
}

static void what_is_accepted_comes_out_as_it_went_in(void **unused)
{
	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		TALLOC_CTX *tmp = mem_ctx(ctx, "round");
		struct json_object *given = js_own(tmp, some_request(tmp)), *map = given;
		struct apply_options options;
		struct sb_err err = { 0 };

		for (int attempt = 0; attempt < 3; attempt++) {
			if (options_parse(tmp, map, &options, &err) < 0)
				fail_msg("%s: %s", json_object_to_json_string(map),
					 err.msg);
			map = through_the_row(tmp, &options);
			if (!json_object_equal(given, map))
				fail_msg("%s became %s",
					 json_object_to_json_string(given),
					 json_object_to_json_string(map));
		}
		talloc_free(tmp);
	}
}

/* "false" is how an option is not given; nothing else has two spellings. */
static void false_is_not_given(void **unused)
{
	struct json_object *map = js_own(ctx, js_object());
	struct apply_options options;
	struct sb_err err;

	(void)unused;
	js_str(map, "defer_cutover", "false");
	assert_int_equal(options_parse(ctx, map, &options, &err), 0);
	assert_false(options.defer_cutover);
	assert_int_equal(json_object_object_length(through_the_row(ctx, &options)), 0);
}

/* One of the bytes of a good value is another: accepted only if it comes out so. */
static void what_would_come_out_otherwise_is_refused(void **unused)
{
	static const char *const keys[] = { "allow_unsafe", "algorithm", "volume",
					    "keep_old", "branch" };
	static const char *const values[] = { "true", "copy", "7", "8760", "b" };
	static const char bytes[] = "0179 +-.xeTRUE\t\n\"";

	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		TALLOC_CTX *tmp = mem_ctx(ctx, "round");
		unsigned k = pick(ARRAY_SIZE(keys));
		char value[16];
		size_t len = strlen(values[k]), at = pick((unsigned)len + 1);
		struct json_object *map = js_own(tmp, js_object());
		struct apply_options options;
		struct sb_err err = { 0 };

		snprintf(value, sizeof(value), "%.*s%c%s", (int)at, values[k],
			 bytes[pick(sizeof(bytes) - 1)], values[k] + at);
		js_str(map, keys[k], value);
		if (options_parse(tmp, map, &options, &err) < 0) {
			assert_int_equal(err.code, SB_EINVALID);
			assert_non_null(strstr(err.msg, keys[k]));
		} else if (!json_object_equal(map, through_the_row(tmp, &options)))
			fail_msg("%s=\"%s\" was accepted as another value", keys[k],
				 value);
		talloc_free(tmp);
	}
}

static void a_text_with_a_nul_is_refused(void **unused)
{
	static const char text[] = "{\"branch\":\"a\\u0000b\"}";
	struct apply_options options;
	struct json_object *map;
	struct sb_err err = { 0 };

	(void)unused;
	assert_int_equal(json_parse(ctx, text, strlen(text), &map, &err), 0);
	assert_int_equal(options_parse(ctx, map, &options, &err), -1);
	assert_int_equal(err.code, SB_EINVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_accepted_comes_out_as_it_went_in),
		cmocka_unit_test(false_is_not_given),
		cmocka_unit_test(what_would_come_out_otherwise_is_refused),
		cmocka_unit_test(a_text_with_a_nul_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
