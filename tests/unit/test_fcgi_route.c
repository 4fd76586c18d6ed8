/*
 * test_fcgi_route.c - the route table: every row is reachable, guarded and unambiguous.
 */
#include "tests/unit/test_fcgi.h"

static const char *const methods[] = { "GET", "HEAD",  "POST",	 "DELETE",
				       "PUT", "PATCH", "OPTIONS" };

/* The path with every {…} replaced by `value`. */
static char *address(const char *path, const char *value)
{
	struct buf b;

	buf_init(&b, ctx);
	for (; *path; path++) {
		if (*path != '{') {
			buf_char(&b, *path);
			continue;
		}
		buf_str(&b, value);
		path = strchr(path, '}');
	}
	return b.data;
}

static void init(struct request *req, const char *method, const char *uri)
{
	char **envp = mem_array(ctx, char *, 3);
	struct sb_err err;

	envp[0] = mem_printf(ctx, "REQUEST_METHOD=%s", method);
	envp[1] = mem_printf(ctx, "REQUEST_URI=%s", uri);
	assert_int_equal(request_init(req, ctx, envp, NULL, NULL, &err), 0);
}

static void every_route_is_found_by_its_own_address(void **unused)
{
	struct request req;
	const char *allow;
	struct sb_err err;

	(void)unused;
	for (size_t i = 0; i < n_routes; i++) {
		init(&req, method_name(routes[i].method),
		     address(routes[i].path, "x%2Fy"));
		assert_int_equal(route_find(&req, &allow, &err), 0);
		assert_ptr_equal(req.route, &routes[i]);
		if (strchr(routes[i].path, '{'))
			assert_string_equal(req.params[0], "x/y");
	}
}

static bool takes(const char *path, const char *method)
{
	for (size_t i = 0; i < n_routes; i++)
		if (strcmp(routes[i].path, path) == 0 &&
		    (strcmp(method_name(routes[i].method), method) == 0 ||
		     (strcmp(method, "HEAD") == 0 && routes[i].method == METHOD_GET)))
			return true;
	return false;
}

static void other_methods_are_405_with_allow(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < n_routes; i++)
		for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
			struct call c = { .method = methods[m],
					  .uri = address(routes[i].path, "x") };

			if (takes(routes[i].path, methods[m]))
				continue;
			run_call(&c);
			assert_error(&c, 405, "method_not_allowed",
				     method_name(routes[i].method));
			assert_non_null(strstr(c.head, "\r\nAllow: "));
			for (size_t a = 0; a < ARRAY_SIZE(methods); a++)
				assert_int_equal(strstr(c.reply.allow, methods[a]) !=
							 NULL,
						 takes(routes[i].path, methods[a]));
		}
}

static void no_address_fits_two_routes_of_a_method(void **unused)
{
	struct request req;
	const char *allow;
	struct sb_err err;

	(void)unused;
	/* Found by its own address, and no earlier row took it: see above. Here the
	 * literal segments must win over {…} ones, whatever the order of the rows. */
	init(&req, "GET", "/api/progress/apply/apply-1");
	assert_int_equal(route_find(&req, &allow, &err), 0);
	assert_string_equal(req.route->path, "/api/progress/apply/{apply_id}");
	for (size_t i = 0; i < n_routes; i++)
		for (size_t j = 0; j < i; j++)
			assert_false(routes[i].method == routes[j].method &&
				     strcmp(address(routes[i].path, "x"),
					    address(routes[j].path, "x")) == 0);
}

static void everything_else_is_404(void **unused)
{
	static const char *const nowhere[] = {
		"/",
		"/api",
		"/api/",
		"/api/nothing",
		"/livez/",
		"//livez",
		"/api//status",
		"/api/status/",
		"/api/plans/",
		"/api/progress/apply",
		"/API/status",
		"/a/b/c/d/e/f/g/h/i/j",
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
		struct call c = { .method = "GET",
				  .uri = nowhere[i],
				  .token = READ_TOKEN };

		if (strcmp(nowhere[i], "/api/progress/apply") == 0)
			continue; /* the progress of a database of that name */
		run_call(&c);
		assert_error(&c, 404, "not_found", "openapi.json");
	}
}

static void everything_that_is_not_public_asks_for_a_token(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < n_routes; i++) {
		const struct route *r = &routes[i];
		struct call c = { .method = method_name(r->method),
				  .uri = address(r->path, "x") };

		if (r->access == ACCESS_PUBLIC)
			continue;
		run_call(&c);
		assert_error(&c, 401, "unauthenticated", "Authorization");
		assert_non_null(strstr(c.head, "\r\nWWW-Authenticate: Bearer"));
		c.token = "wrong-token";
		run_call(&c);
		assert_error(&c, 401, "unauthenticated", "not configured");
		assert_null(strstr(c.reply.text, "wrong-token"));
	}
}

static void every_writing_route_refuses_a_read_token(void **unused)
{
	size_t refused = 0;

	(void)unused;
	for (size_t i = 0; i < n_routes; i++) {
		const struct route *r = &routes[i];
		struct call c = { .method = method_name(r->method),
				  .uri = address(r->path, "x"),
				  .token = READ_TOKEN,
				  .body = "{}" };

		/* Only GET, and the one POST that changes nothing, may be a read. */
		if (r->method == METHOD_GET || strcmp(r->path, "/api/pull") == 0) {
			assert_int_not_equal(r->access, ACCESS_WRITE);
			continue;
		}
		assert_int_equal(r->access, ACCESS_WRITE);
		run_call(&c);
		assert_error(&c, 403, "forbidden", "grafana");
		assert_int_equal(c.source.reads, 0);
		refused++;
	}
	assert_true(refused >= 10);
}

static void only_bearer_tokens_count(void **unused)
{
	static const char *const bad[] = {
		"HTTP_AUTHORIZATION=Basic d3JpdGUtdG9rZW4=", "HTTP_AUTHORIZATION=Bearer",
		"HTTP_AUTHORIZATION=Bearer ", ("HTTP_AUTHORIZATION=" WRITE_TOKEN)
	};
	struct call good = { .method = "GET",
			     .uri = "/api/databases",
			     .params = { "HTTP_AUTHORIZATION=bearer  " READ_TOKEN } };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct call c = { .method = "GET",
				  .uri = "/api/databases",
				  .params = { bad[i] } };

		run_call(&c);
		assert_int_equal(c.reply.status, 401);
	}
	run_call(&good);
	assert_int_equal(good.reply.status, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_is_found_by_its_own_address),
		cmocka_unit_test(other_methods_are_405_with_allow),
		cmocka_unit_test(no_address_fits_two_routes_of_a_method),
		cmocka_unit_test(everything_else_is_404),
		cmocka_unit_test(everything_that_is_not_public_asks_for_a_token),
		cmocka_unit_test(every_writing_route_refuses_a_read_token),
		cmocka_unit_test(only_bearer_tokens_count),
	};

	return cmocka_run_group_tests_name("fcgi_route", tests, setup, teardown);
}
