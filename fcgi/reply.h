/*
 * reply.h - one HTTP reply: what a handler fills and dispatch.c sends.
 *
 * Every reply is JSON but /metrics. Errors are {error, error_code}, made from an sb_err
 * in one place, which also decides what a client may be shown: our storage and our own
 * bugs are described in general words, and the log has the rest under the request's id.
 */
#ifndef SB_FCGI_REPLY_H
#define SB_FCGI_REPLY_H

#include "fcgi/request.h"

struct reply {
	TALLOC_CTX *ctx;
	int status;
	struct json_object *json; /* owned until rendered; NULL = `text` as it is */
	const char *text;
	size_t len;
	const char *content_type;
	const char *etag;  /* "W/\"…\"", NULL = none */
	const char *allow; /* with 405 */
	int retry_after;   /* seconds, 0 = none */
};

/* Takes over the object. */
int reply_json(struct reply *reply, int status, struct json_object *object);
/* A body as it is; it must live until the reply is sent. */
int reply_text(struct reply *reply, const char *content_type, const char *text);

/*
 * Answer with an error: its status, its code, its sentence with what to do next. A
 * handler that wants to add to the object finds it in reply->json.
 */
void reply_error(struct reply *reply, const struct sb_err *err);

/*
 * Finish: render the object, give a 200 to a GET an ETag of its content where it has
 * none, and turn it into a 304 when the client has it already.
 */
void reply_finish(struct reply *reply, const struct request *req);

/* Header lines and, unless the request is a HEAD, the body. */
char *reply_head(const struct reply *reply, const struct request *req);

#endif
