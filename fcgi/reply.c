/*
 * reply.c - replies. See reply.h.
 */
#include "fcgi/reply.h"

#include <string.h>

#include "core/base/buf.h"
#include "core/base/id.h"

#define RETRY_AFTER_SECONDS 2

/*
 * What a client reads besides, or instead of, the error's own sentence.
 * `instead`: the sentence is about our insides and stays in the log.
 */
static const struct {
	enum err_code code;
	bool instead;
	const char *text;
} advice[] = {
	{ SB_ESTORAGE, true,
	  "The storage does not answer. Nothing was recorded; try again in a moment." },
	{ SB_EAMBIGUOUS, true,
	  "The storage did not confirm the request, so it may or may not have been recorded. "
	  "Look at GET /api/status, or repeat it with the same Idempotency-Key." },
	{ SB_ELEASE, true,
	  "The state changed while the request was handled. Look at GET /api/status, then "
	  "decide again." },
	{ SB_EINTERNAL, true,
	  "Something that should not happen did. The server's log has the details under this "
	  "reply's X-Request-Id." },
	{ SB_EUNAVAILABLE, false, "Try again when the target answers." },
	{ SB_ERETRY, false, "Try again in a moment." },
	{ SB_EBUSY, false, "Try again in a moment." },
};

int reply_json(struct reply *reply, int status, struct json_object *object)
{
	json_object_put(reply->json);
	reply->json = object;
	reply->status = status;
	reply->content_type = "application/json";
	return 0;
}

int reply_text(struct reply *reply, const char *content_type, const char *text)
{
	reply->status = 200;
	reply->content_type = content_type;
	reply->text = text;
	reply->len = strlen(text);
	return 0;
}

/* Messages quote what clients sent, possibly cut in the middle of a character. */
static char *clean_utf8(TALLOC_CTX *ctx, const char *text)
{
	char *copy = mem_strdup(ctx, text);

	if (!utf8_valid(copy, strlen(copy)))
		for (char *p = copy; *p; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
	return copy;
}

void reply_error(struct reply *reply, const struct sb_err *err)
{
	struct json_object *object = js_object();
	char *text = clean_utf8(reply->ctx, err->msg);
	int status = err_http_status(err->code);

	for (size_t i = 0; i < ARRAY_SIZE(advice); i++) {
		if (advice[i].code != err->code)
			continue;
		text = advice[i].instead
			       ? mem_strdup(reply->ctx, advice[i].text)
			       : mem_printf(reply->ctx, "%s %s", text, advice[i].text);
	}
	js_str(object, "error", text);
	js_str(object, "error_code", err_wire_code(err->code));
	reply_json(reply, status, object);
	reply->etag = NULL;
	reply->retry_after = status == 503 ? RETRY_AFTER_SECONDS : 0;
}

void reply_finish(struct reply *reply, const struct request *req)
{
	bool read = req->method == METHOD_GET && req->token && reply->status == 200;

	if (reply->json) {
		reply->text = js_render(reply->ctx, reply->json);
		reply->json = NULL;
		reply->len = strlen(reply->text);
		if (read && !reply->etag) {
			char digest[SHA256_HEX_LEN + 1];

			sha256_hex(reply->text, reply->len, digest);
			reply->etag = mem_printf(reply->ctx, "W/\"%.32s\"", digest);
		}
	}
	if (read && reply->etag && request_matches_etag(req, reply->etag)) {
		reply->status = 304;
		reply->text = "";
		reply->len = 0;
	}
}

static const struct {
	int status;
	const char *text;
} reasons[] = {
	{ 200, "OK" },
	{ 202, "Accepted" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 409, "Conflict" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 500, "Internal Server Error" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
};

static const char *reason(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	BUG("status %d has no text", status);
}

char *reply_head(const struct reply *reply, const struct request *req)
{
	struct buf b;

	buf_init(&b, reply->ctx);
	buf_printf(&b, "Status: %d %s\r\nX-Request-Id: %s\r\n", reply->status,
		   reason(reply->status), req->id);
	if (req->token) /* so that a page does not offer what is refused */
		buf_printf(&b, "X-Token-Role: %s\r\n",
			   req->token->role == ROLE_WRITE ? "write" : "read");
	if (reply->status != 304)
		buf_printf(&b, "Content-Type: %s\r\nContent-Length: %zu\r\n",
			   reply->content_type, reply->len);
	if (reply->etag)
		buf_printf(&b, "ETag: %s\r\nCache-Control: private, no-cache\r\n",
			   reply->etag);
	else
		buf_str(&b, "Cache-Control: no-store\r\n");
	if (reply->allow)
		buf_printf(&b, "Allow: %s\r\n", reply->allow);
	if (reply->retry_after)
		buf_printf(&b, "Retry-After: %d\r\n", reply->retry_after);
	if (reply->status == 401)
		buf_str(&b, "WWW-Authenticate: Bearer realm=\"schemabot\"\r\n");
	buf_str(&b, "\r\n");
	return b.data;
}
