/*
 * request.h - one HTTP request, as the FastCGI parameters and the body stream give it.
 *
 * Made by dispatch.c for each request and freed with it. Decoding is strict: what is not
 * understood is refused with a sentence that names it.
 *
 * Must never: trust CONTENT_LENGTH for more than a first opinion, keep more than BODY_MAX
 * bytes, or let a control character from a path or header any further.
 */
#ifndef SB_FCGI_REQUEST_H
#define SB_FCGI_REQUEST_H

#include "core/base/config.h"
#include "fcgi/fields.h"

#define BODY_MAX	  (4 * 1024 * 1024)
#define PATH_MAX_SEGMENTS 8
#define ROUTE_MAX_PARAMS  2

/* The sentence of a 404 for an address. */
#define NOTHING_HERE \
	"There is nothing at this address. GET /api/openapi.json describes what there is."

#define METHODS(X) \
	X(GET)     \
	X(POST)    \
	X(DELETE)
enum method {
	METHOD_OTHER,
#define X(name) METHOD_##name,
	METHODS(X)
#undef X
};
const char *method_name(enum method m);

/* Reads up to n bytes of the body; less than asked only at its end. */
typedef size_t body_reader(void *source, char *bytes, size_t n);

struct route;

struct request {
	TALLOC_CTX *ctx;
	char **envp; /* FastCGI parameters */
	body_reader *reader;
	void *source;

	const char *id;	    /* the request's id, on the reply and in the log */
	enum method method; /* HEAD is GET with `head` */
	bool head;
	char *segments[PATH_MAX_SEGMENTS]; /* decoded; "/a/b" is { "a", "b" } */
	size_t n_segments;

	const struct route *route;
	const char *params[ROUTE_MAX_PARAMS]; /* the route's {…} segments, in order */
	const struct config_token *token;     /* who asks; NULL on a public route */
	const char *idempotency_key;	      /* NULL = none */
	const void *query;		      /* the struct of route->query, or NULL */
	const void *body; /* the struct of route->body; NULL when a DELETE has none */
};

/* Method, path and request id. SB_EINVALID for a path that cannot be; the id is set
 * anyway. */
int request_init(struct request *req, TALLOC_CTX *ctx, char **envp, body_reader *reader,
		 void *source, struct sb_err *err) MUST_CHECK;

/* A FastCGI parameter such as HTTP_IF_NONE_MATCH, NULL when absent or empty. */
const char *request_param(const struct request *req, const char *name);

/* Idempotency-Key: 1 to 255 visible ASCII characters. */
int request_idempotency_key(struct request *req, struct sb_err *err) MUST_CHECK;

/* Decode the query string and the body as the route wants them. */
int request_decode_query(struct request *req, const struct input *spec,
			 struct sb_err *err) MUST_CHECK;
int request_decode_body(struct request *req, const struct input *spec,
			struct sb_err *err) MUST_CHECK;

/* Does If-None-Match name this ETag (weak comparison)? */
bool request_matches_etag(const struct request *req, const char *etag);

#endif
