/*
 * test_fcgi_request.c - decoding of requests: whatever is not understood is refused by
 * name.
 */
#include "tests/unit/test_fcgi.h"

#define PLAN	  .method = "POST", .uri = "/api/plan", .token = WRITE_TOKEN
#define GOOD_PLAN "{\"database\":\"shop\",\"environment\":\"staging\",\"schema_files\":"

static const struct {
	const char *body;
	size_t len; /* 0 = strlen */
	int status;
	const char *code, *says;
} bad_bodies[] = {
	{ "", 0, 400, "invalid_request", "body is missing" },
	{ "{", 0, 400, "invalid_request", "not valid JSON" },
	{ "[]", 0, 400, "invalid_request", "must be a JSON object" },
	{ "null", 0, 400, "invalid_request", "must be a JSON object" },
	{ "{} {}", 0, 400, "invalid_request", "after the JSON value" },
	{ "{\"database\":\"sh\xff\"}", 0, 400, "invalid_request", "UTF-8" },
	{ "{\"database\":\"shop\",\"environment\":\"staging\"}", 0, 400,
	  "invalid_request", "'schema_files' is missing" },
	{ GOOD_PLAN "{},\"colour\":1}", 0, 400, "invalid_request", "'colour'" },
	{ GOOD_PLAN "[]}", 0, 400, "invalid_request",
	  "'schema_files' must be an object" },
	{ GOOD_PLAN "{},\"pull_request\":\"7\"}", 0, 400, "invalid_request",
	  "'pull_request' must be a whole number" },
	{ GOOD_PLAN "{},\"pull_request\":-7}", 0, 400, "invalid_request",
	  "'pull_request'" },
	{ GOOD_PLAN "{},\"repository\":null}", 0, 400, "invalid_request",
	  "'repository' must be a string" },
	{ GOOD_PLAN "{},\"repository\":\"a\\u0000b\"}", 0, 400, "invalid_request",
	  "zero byte" },
	{ GOOD_PLAN "{},\"repository\":\"a\\nb\"}", 0, 400, "invalid_request",
	  "'repository' has a control character" },
	{ GOOD_PLAN "{}}", 0, 400, "invalid_request", "'schema_files' is empty" },
	{ GOOD_PLAN "{\"shop\":null}}", 0, 400, "invalid_request", "namespace 'shop'" },
	{ GOOD_PLAN "{\"shop\":{}}}", 0, 400, "invalid_request", "'files'" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{},\"more\":1}}}", 0, 400, "invalid_request",
	  "one field 'files'" },
	{ GOOD_PLAN "{\"shop\":{\"files\":null}}}", 0, 400, "invalid_request",
	  "'files'" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{\"a.sql\":1}}}}", 0, 400, "invalid_request",
	  "'a.sql'" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{\"a.sql\":\"x\\u0000\"}}}}", 0, 400,
	  "invalid_request", "zero byte" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{\"a/b.sql\":\"\"}}}}", 0, 400,
	  "invalid_request", "'a/b.sql'" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{\"..\":\"\"}}}}", 0, 400, "invalid_request",
	  "'..'" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{\"\":\"\"}}}}", 0, 400, "invalid_request",
	  "named ''" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{\"a\\nb\":\"\"}}}}", 0, 400, "invalid_request",
	  "control characters" },
	{ GOOD_PLAN "{\"store\":{\"files\":{}}}}", 0, 400, "invalid_request",
	  "no namespace 'store' here. Configured are: shop" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{}},\"SHOP\":{\"files\":{}}}}", 0, 400,
	  "invalid_request", "given twice" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{}}},\"type\":\"vitess\"}", 0, 400,
	  "invalid_request", "'type' is 'vitess'" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{}}},\"deployment\":\"other\"}", 0, 400,
	  "invalid_request", "'deployment' is 'other'" },
	{ GOOD_PLAN "{\"shop\":{\"files\":{}}},\"target\":\"other\"}", 0, 400,
	  "invalid_request", "'target' is 'other'" },
	{ "{\"database\":\"store\",\"environment\":\"staging\",\"schema_files\":{}}", 0,
	  404, "deployment_not_found", "no database 'store'. Configured are: shop" },
	{ "{\"database\":\"shop\",\"environment\":\"qa\",\"schema_files\":{}}", 0, 404,
	  "deployment_not_found", "no environment 'qa'. Configured are: staging" },
};

static void bad_bodies_are_refused_by_name(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(bad_bodies); i++) {
		struct call c = { PLAN, .body = bad_bodies[i].body,
				  .body_len = bad_bodies[i].len };

		run_call(&c);
		assert_error(&c, bad_bodies[i].status, bad_bodies[i].code,
			     bad_bodies[i].says);
	}
}

static void long_file_names_are_refused(void **unused)
{
	char *name = mem_array(ctx, char, 257);
	struct call c = { PLAN };

	(void)unused;
	memset(name, 'n', 256);
	c.body = mem_printf(ctx, GOOD_PLAN "{\"shop\":{\"files\":{\"%s\":\"\"}}}}", name);
	run_call(&c);
	assert_error(&c, 400, "invalid_request", "1 to 255 bytes");
}

/* A message that quotes the middle of a character must still be valid UTF-8. */
static void cut_quotations_stay_utf8(void **unused)
{
	struct buf b;
	struct call c = { PLAN };

	(void)unused;
	buf_init(&b, ctx);
	buf_str(&b, "{\"x");
	for (int i = 0; i < 200; i++)
		buf_str(&b, "é");
	buf_str(&b, "\":1}");
	c.body = b.data;
	run_call(&c);
	assert_int_equal(c.reply.status, 400);
	assert_true(utf8_valid(c.reply.text, c.reply.len));
}

static void bodies_are_limited(void **unused)
{
	size_t over = BODY_MAX + 1;
	char *large = mem_array(ctx, char, over + 1);
	struct call announced = { PLAN, .body = "{}", .length = "4194305" };
	struct call unannounced = { PLAN, .body = large, .length = "" };
	struct call exact = { PLAN, .body = large };

	(void)unused;
	memset(large, ' ', over);
	run_call(&announced);
	assert_error(&announced, 413, "payload_too_large", "4 MiB");
	assert_int_equal(announced.source.reads, 0);

	unannounced.body_len = over;
	run_call(&unannounced);
	assert_error(&unannounced, 413, "payload_too_large", "4 MiB");

	exact.body_len = BODY_MAX; /* as large as may be: then it is only wrong */
	run_call(&exact);
	assert_error(&exact, 400, "invalid_request", "JSON");
}

static void announced_and_real_length_must_agree(void **unused)
{
	static const char *const lengths[] = { "1", "3", "4194304" };
	static const char *const not_numbers[] = { "-1", "2x", "99999999999999999999" };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct call c = { PLAN, .body = "{}", .length = lengths[i] };

		run_call(&c);
		assert_error(&c, 400, "invalid_request", "Content-Length says");
	}
	for (size_t i = 0; i < ARRAY_SIZE(not_numbers); i++) {
		struct call c = { PLAN, .body = "{}", .length = not_numbers[i] };

		run_call(&c);
		assert_error(&c, 400, "invalid_request", "Content-Length is not");
	}
}

static void a_body_without_length_is_read_to_its_end(void **unused)
{
	char *large = mem_array(ctx, char, 100001);
	struct call c = { PLAN, .body = large, .length = "" };

	(void)unused;
	memset(large, ' ', 100000);
	memcpy(large + 99998, "{}", 2);
	run_call(&c);
	assert_error(&c, 400, "invalid_request", "'database' is missing");
	assert_int_equal(c.source.len, 0);
}

/* The body is JSON whatever its type claims: curl -d claims a form. */
static void content_types_do_not_matter(void **unused)
{
	static const char *const types[] = {
		"CONTENT_TYPE=",
		"CONTENT_TYPE=application/json; charset=utf-8",
		"CONTENT_TYPE=application/x-www-form-urlencoded",
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct call c = { PLAN, .body = "{}", .params = { types[i] } };

		run_call(&c);
		assert_error(&c, 400, "invalid_request", "'database' is missing");
	}
}

static void bad_paths_and_queries(void **unused)
{
	static const struct {
		const char *uri;
		int status;
		const char *code, *says;
	} bad[] = {
		{ "/api/history/%zz", 400, "invalid_request", "percent-encoded" },
		{ "/api/history/%4", 400, "invalid_request", "percent-encoded" },
		{ "/api/history/a%00b", 400, "invalid_request", "control characters" },
		{ "/api/history/a%0ab", 400, "invalid_request", "control characters" },
		{ "/api/history/%ff", 400, "invalid_request", "UTF-8" },
		{ "/api/databases?x=1", 400, "invalid_request", "takes no parameters" },
		{ "/api/status?colour=1", 400, "invalid_request",
		  "Unknown parameter 'colour'. There are: database" },
		{ "/api/status?limit=0", 400, "invalid_request",
		  "'limit' must be from 1" },
		{ "/api/status?limit=1001", 400, "invalid_request", "1 to 1000" },
		{ "/api/status?limit=ten", 400, "invalid_request", "whole number" },
		{ "/api/status?limit=", 400, "invalid_request", "whole number" },
		{ "/api/status?limit=99999999999999999999", 400, "invalid_request",
		  "whole number" },
		{ "/api/status?limit=1&limit=2", 400, "invalid_request", "given twice" },
		{ "/api/status?failures=yes", 400, "invalid_request", "true or false" },
		{ "/api/status?state=%ff", 400, "invalid_request", "percent-encoded" },
		{ "/api/logs", 400, "invalid_request", "'apply_id' is missing" },
		{ "/api/logs?apply_id=a&before=-1", 400, "invalid_request",
		  "whole number" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct call c = { .method = "GET",
				  .uri = bad[i].uri,
				  .token = READ_TOKEN };

		run_call(&c);
		assert_error(&c, bad[i].status, bad[i].code, bad[i].says);
	}
}

static void queries_are_decoded(void **unused)
{
	struct status_query q = { 0 };
	struct sb_err err;

	(void)unused;
	assert_int_equal(
		query_decode(ctx, "&state=a+b%2Bc&&active=true&failures=false&limit=7&",
			     &status_query_spec, &q, &err),
		0);
	assert_string_equal(q.state, "a b+c");
	assert_true(q.active);
	assert_false(q.failures);
	assert_int_equal(q.limit, 7);
	assert_null(q.after);
	assert_int_equal(query_decode(ctx, "after", &status_query_spec, &q, &err), 0);
	assert_string_equal(q.after, "");
}

static void request_ids(void **unused)
{
	struct call good = { .method = "GET",
			     .uri = "/livez",
			     .params = { "HTTP_X_REQUEST_ID=Abc.1_2-3" } };
	struct call bad = { .method = "GET",
			    .uri = "/livez",
			    .params = { "HTTP_X_REQUEST_ID=a b" } };
	struct call none = { .method = "GET", .uri = "/nowhere" };

	(void)unused;
	run_call(&good);
	assert_non_null(strstr(good.head, "X-Request-Id: Abc.1_2-3\r\n"));
	run_call(&bad);
	assert_non_null(strstr(bad.head, "X-Request-Id: req-"));
	run_call(&none);
	assert_non_null(strstr(none.head, "X-Request-Id: req-"));
}

static void idempotency_keys(void **unused)
{
	char *key = mem_array(ctx, char, 300);
	struct call c = { PLAN, .body = "{}" };

	(void)unused;
	c.params[0] = "HTTP_IDEMPOTENCY_KEY=with blank";
	run_call(&c);
	assert_error(&c, 400, "invalid_request", "Idempotency-Key");
	memset(key, 'k', 256);
	c.params[0] = mem_printf(ctx, "HTTP_IDEMPOTENCY_KEY=%s", key);
	run_call(&c);
	assert_error(&c, 400, "invalid_request", "Idempotency-Key");
	key[255] = '\0';
	c.params[0] = mem_printf(ctx, "HTTP_IDEMPOTENCY_KEY=%s", key);
	run_call(&c);
	assert_error(&c, 400, "invalid_request", "'database' is missing");
}

static void etags_of_reads(void **unused)
{
	static const char *const others[] = { "\"x\"", "W/\"x\"", "" };
	struct call first = { .method = "GET",
			      .uri = "/api/databases",
			      .token = READ_TOKEN };
	char *etag;

	(void)unused;
	run_call(&first);
	assert_int_equal(first.reply.status, 200);
	assert_non_null(first.reply.etag);
	assert_non_null(strstr(first.head, "Cache-Control: private, no-cache"));
	etag = mem_strdup(ctx, first.reply.etag);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		struct call c = first, same = first;

		c.params[0] = mem_printf(ctx, "HTTP_IF_NONE_MATCH=%s", others[i]);
		run_call(&c);
		assert_int_equal(c.reply.status, 200);
		same.params[0] = mem_printf(ctx, "HTTP_IF_NONE_MATCH=%s%s%s", others[i],
					    *others[i] ? ", " : "", etag);
		run_call(&same);
		assert_int_equal(same.reply.status, 304);
		assert_int_equal(same.reply.len, 0);
		assert_null(strstr(same.head, "Content-Type"));
		assert_non_null(strstr(same.head, etag));
	}
	first.params[0] = "HTTP_IF_NONE_MATCH=*";
	run_call(&first);
	assert_int_equal(first.reply.status, 304);
}

static void head_is_get_without_a_body(void **unused)
{
	struct call get = { .method = "GET",
			    .uri = "/api/databases",
			    .token = READ_TOKEN };
	struct call head = { .method = "HEAD",
			     .uri = "/api/databases",
			     .token = READ_TOKEN };

	(void)unused;
	run_call(&get);
	run_call(&head);
	assert_true(head.req.head);
	assert_string_equal(strstr(get.head, "Content-Type"),
			    strstr(head.head, "Content-Type"));
}

/* Storage is away: refused with 503, nothing of where or as whom we log in. */
static void without_storage(void **unused)
{
	static const struct {
		const char *method, *uri, *body;
	} needs_it[] = {
		{ "GET", "/health", NULL },
		{ "GET", "/api/status", NULL },
		{ "GET", "/api/progress/apply/apply-1", NULL },
		{ "GET", "/api/progress/shop", NULL },
		{ "GET", "/api/history/shop", NULL },
		{ "GET", "/api/logs/shop", NULL },
		{ "GET", "/api/plans/plan-1", NULL },
		{ "GET", "/api/locks", NULL },
		{ "GET", "/api/settings", NULL },
		{ "POST", "/api/apply",
		  "{\"plan_id\":\"p\",\"environment\":\"staging\"}" },
		{ "POST", "/api/stop", "{\"apply_id\":\"a\"}" },
		{ "POST", "/api/volume", "{\"apply_id\":\"a\",\"volume\":3}" },
		{ "POST", "/api/locks/acquire",
		  "{\"database\":\"shop\",\"owner\":\"o\"}" },
		{ "DELETE", "/api/locks?database=shop&owner=o", NULL },
		{ "POST", "/api/settings", "{\"key\":\"k\",\"value\":\"v\"}" },
	};
	struct call livez = { .method = "GET", .uri = "/livez" },
		    metrics = { .method = "GET", .uri = "/metrics" };

	(void)unused;
	log_init("test", LOG_ERROR);
	for (size_t i = 0; i < ARRAY_SIZE(needs_it); i++) {
		struct call c = { .method = needs_it[i].method,
				  .uri = needs_it[i].uri,
				  .token = WRITE_TOKEN,
				  .body = needs_it[i].body };

		run_call(&c);
		assert_error(&c, 503, "storage_error", "try again");
		assert_non_null(strstr(c.head, "\r\nRetry-After: "));
		assert_null(strstr(c.reply.text, "storage.sock"));
		assert_null(strstr(c.reply.text, "storage-user"));
	}
	run_call(&livez);
	assert_int_equal(livez.reply.status, 200);
	run_call(&metrics);
	assert_int_equal(metrics.reply.status, 200);
	assert_non_null(strstr(metrics.reply.text,
			       "\nschemabot_storage_up{environment=\"unknown\"} 0\n"));
}

static void without_target(void **unused)
{
	struct call plan = { PLAN, .body = GOOD_PLAN "{\"shop\":{\"files\":{}}}}" };
	struct call pull = {
		.method = "POST",
		.uri = "/api/pull",
		.token = READ_TOKEN,
		.body = "{\"database\":\"Shop\",\"environment\":\"Staging\"}"
	};

	(void)unused;
	run_call(&plan);
	assert_error(&plan, 503, "engine_unavailable",
		     "Try again when the target answers.");
	run_call(&pull);
	assert_error(&pull, 503, "engine_unavailable", "shop/staging");
}

static void bad_fields_of_other_routes(void **unused)
{
	static const struct {
		const char *method, *uri, *body;
		int status;
		const char *code, *says;
	} bad[] = {
		{ "POST", "/api/apply",
		  "{\"plan_id\":\"p\",\"environment\":\"e\",\"options\":{\"fast\":\"1\"}}",
		  400, "invalid_request", "option 'fast'" },
		{ "POST", "/api/apply",
		  "{\"plan_id\":\"p\",\"environment\":\"e\",\"options\":{\"allow_unsafe\":true}}",
		  400, "invalid_request", "'allow_unsafe' must be a string" },
		{ "POST", "/api/apply",
		  "{\"plan_id\":\"p\",\"environment\":\"e\",\"caller\":\"a\\u001bb\"}",
		  400, "invalid_request", "'caller' has a control character" },
		{ "POST", "/api/volume", "{\"apply_id\":\"a\",\"volume\":0}", 400,
		  "invalid_request", "1 to 11" },
		{ "POST", "/api/volume", "{\"apply_id\":\"a\",\"volume\":12}", 400,
		  "invalid_request", "1 to 11" },
		{ "POST", "/api/volume", "{\"apply_id\":\"a\"}", 400, "invalid_request",
		  "'volume' is missing" },
		{ "POST", "/api/stop", "{\"apply_id\":\"a\",\"volume\":3}", 400,
		  "invalid_request", "'volume'" },
		{ "POST", "/api/settings", "{\"key\":\"a b\",\"value\":\"\"}", 400,
		  "invalid_request", "'key'" },
		{ "POST", "/api/settings", "{\"key\":\"\",\"value\":\"\"}", 400,
		  "invalid_request", "'key'" },
		{ "POST", "/api/locks/acquire", "{\"database\":\"shop\",\"owner\":\"\"}",
		  400, "invalid_request", "'owner' is empty" },
		{ "POST", "/api/locks/acquire", "{\"database\":\"x\",\"owner\":\"o\"}",
		  404, "not_found", "no database 'x'" },
		{ "POST", "/api/locks/acquire",
		  "{\"database\":\"shop\",\"owner\":\"o\",\"database_type\":\"vitess\"}",
		  400, "invalid_request", "'database_type'" },
		{ "DELETE", "/api/locks", NULL, 400, "invalid_request",
		  "'database' is missing" },
		{ "DELETE", "/api/locks?database=shop", NULL, 400, "invalid_request",
		  "'owner' is missing" },
		{ "DELETE", "/api/locks?database=shop", "{\"database\":\"shop\"}", 400,
		  "invalid_request", "not in both" },
		{ "POST", "/api/pull",
		  "{\"database\":\"shop\",\"environment\":\"staging\",\"namespaces\":[1]}",
		  400, "invalid_request", "array of strings" },
		{ "POST", "/api/pull",
		  "{\"database\":\"shop\",\"environment\":\"staging\",\"namespaces\":[\"x\"]}",
		  400, "invalid_request", "no namespace 'x'" },
		{ "GET", "/api/databases/x/environments", NULL, 404, "not_found",
		  "no database 'x'" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct call c = { .method = bad[i].method,
				  .uri = bad[i].uri,
				  .token = WRITE_TOKEN,
				  .body = bad[i].body };

		run_call(&c);
		assert_error(&c, bad[i].status, bad[i].code, bad[i].says);
	}
}

static void every_error_can_be_replied(void **unused)
{
	static const enum err_code codes[] = {
#define X(code, class, http, wire, exit) code,
		ERR_CODES(X)
#undef X
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct call c = { .method = "GET", .uri = "/livez" };
		struct reply reply = { .ctx = ctx };
		struct sb_err err;

		run_call(&c);
		assert_int_equal(sb_err(&err, codes[i], "Why."), -1);
		reply_error(&reply, &err);
		reply_finish(&reply, &c.req);
		assert_non_null(strstr(reply_head(&reply, &c.req), "\r\n\r\n"));
		assert_int_equal(reply.status, err_http_status(codes[i]));
		assert_int_equal(reply.retry_after > 0, reply.status == 503);
		assert_true(strlen(reply.text) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_bodies_are_refused_by_name),
		cmocka_unit_test(long_file_names_are_refused),
		cmocka_unit_test(cut_quotations_stay_utf8),
		cmocka_unit_test(bodies_are_limited),
		cmocka_unit_test(announced_and_real_length_must_agree),
		cmocka_unit_test(a_body_without_length_is_read_to_its_end),
		cmocka_unit_test(content_types_do_not_matter),
		cmocka_unit_test(bad_paths_and_queries),
		cmocka_unit_test(queries_are_decoded),
		cmocka_unit_test(request_ids),
		cmocka_unit_test(idempotency_keys),
		cmocka_unit_test(etags_of_reads),
		cmocka_unit_test(head_is_get_without_a_body),
		cmocka_unit_test(without_storage),
		cmocka_unit_test(without_target),
		cmocka_unit_test(bad_fields_of_other_routes),
		cmocka_unit_test(every_error_can_be_replied),
	};

	return cmocka_run_group_tests_name("fcgi_request", tests, setup, teardown);
}
