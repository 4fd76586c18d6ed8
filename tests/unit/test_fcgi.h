/*
 * test_fcgi.h - drive the application's dispatcher without a web server or a storage.
 *
 * A request is a few strings; the configuration has one database, a token of each role
 * and a storage that nobody listens at.
 */
#ifndef SB_TEST_FCGI_H
#define SB_TEST_FCGI_H

#include <string.h>

#include "core/base/buf.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "fcgi/dispatch.h"
#include "fcgi/route.h"
#include "tests/unit/unit.h"

#define WRITE_TOKEN "write-token"
#define READ_TOKEN  "read-token"

static TALLOC_CTX *ctx;
static struct app *app;

static struct config_token tokens[2];
static struct config_schema schemas[] = { { "shop", "shop_staging" } };
static struct config_deployment deployments[] = {
	{ .name = "default",
	  .target = "shop-staging",
	  .db = { .name = "shop/staging",
		  .role = DB_TARGET,
		  .socket = "/nonexistent/target" },
	  .schemas = schemas,
	  .n_schemas = 1 },
};
static struct config_environment environments[] = {
	{ .name = "staging",
	  .deployment = "default",
	  .target = "shop-staging",
	  .deployments = deployments,
	  .n_deployments = 1,
	  .cutover_policy = "rolling",
	  .on_failure = "halt" },
};
static struct config_database databases[] = {
	{ .name = "shop",
	  .type = "mysql",
	  .environments = environments,
	  .n_environments = 1 },
};
static struct config config = {
	.run_dir = "/nonexistent",
	.storage = { .name = "storage",
		     .role = DB_STORAGE,
		     .socket = "/nonexistent/storage.sock",
		     .user = "storage-user",
		     .schema = "schemabot" },
	.tokens = tokens,
	.n_tokens = 2,
	.databases = databases,
	.n_databases = 1,
};

static inline int setup(void **unused)
{
	static char digests[2][SHA256_HEX_LEN + 1];

	(void)unused;
	log_init("test", LOG_ERROR);
	ctx = mem_ctx(NULL, "test");
	sha256_hex(READ_TOKEN, strlen(READ_TOKEN), digests[0]);
	sha256_hex(WRITE_TOKEN, strlen(WRITE_TOKEN), digests[1]);
	tokens[0] = (struct config_token){ "grafana", ROLE_READ, digests[0] };
	tokens[1] = (struct config_token){ "deploy", ROLE_WRITE, digests[1] };
	app = app_new(ctx, &config);
	return 0;
}

static inline int teardown(void **unused)
{
	(void)unused;
	talloc_free(ctx);
	return 0;
}

/* ---- one request ------------------------------------------------------------------- */

struct source {
	const char *bytes;
	size_t len;
	unsigned reads;
};

static inline size_t read_source(void *source, char *bytes, size_t n)
{
	struct source *s = source;

	s->reads++;
	if (n > s->len)
		n = s->len;
	memcpy(bytes, s->bytes, n);
	s->bytes += n;
	s->len -= n;
	return n;
}

struct call {
	const char *method, *uri, *token;
	const char *body;      /* NULL = none */
	size_t body_len;       /* 0 = strlen(body) */
	const char *length;    /* CONTENT_LENGTH; NULL = the real one */
	const char *params[6]; /* more FastCGI parameters, "NAME=value" */

	struct request req;
	struct reply reply;
	struct source source;
	const char *head;
};

static inline void run_call(struct call *c)
{
	const char *question = strchr(c->uri, '?');
	char **envp = mem_array(ctx, char *, 16);
	size_t n = 0;

	c->source = (struct source){ c->body ? c->body : "", 0, 0 };
	if (c->body)
		c->source.len = c->body_len ? c->body_len : strlen(c->body);
	envp[n++] = mem_printf(ctx, "REQUEST_METHOD=%s", c->method);
	envp[n++] = mem_printf(ctx, "REQUEST_URI=%s", c->uri);
	envp[n++] = mem_printf(ctx, "QUERY_STRING=%s", question ? question + 1 : "");
	if (c->token)
		envp[n++] = mem_printf(ctx, "HTTP_AUTHORIZATION=Bearer %s", c->token);
	if (c->length)
		envp[n++] = mem_printf(ctx, "CONTENT_LENGTH=%s", c->length);
	else if (c->body)
		envp[n++] = mem_printf(ctx, "CONTENT_LENGTH=%zu", c->source.len);
	for (size_t i = 0; i < ARRAY_SIZE(c->params) && c->params[i]; i++)
		envp[n++] = mem_strdup(ctx, c->params[i]);
	dispatch(app, ctx, envp, read_source, &c->source, &c->req, &c->reply);
	c->head = reply_head(&c->reply, &c->req);
}

/* The reply must be this status and error_code; `says` must be in its sentence. */
static inline void assert_error(const struct call *c, int status, const char *code,
				const char *says)
{
	struct json_object *o;
	struct sb_err err;

	if (json_parse(ctx, c->reply.text, c->reply.len, &o, &err) < 0)
		fail_msg("%s %s: '%s' is not JSON", c->method, c->uri, c->reply.text);
	if (c->reply.status != status || strcmp(js_get_str(o, "error_code"), code) != 0 ||
	    !strstr(js_get_str(o, "error"), says))
		fail_msg("%s %s %s: %d %s, not %d %s with '%s'", c->method, c->uri,
			 c->body ? c->body : "", c->reply.status, c->reply.text, status,
			 code, says);
}

#endif
