/*
 * request.c - decoding of requests. See request.h.
 */
#include "fcgi/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/id.h"

#define SEGMENT_MAX_BYTES 255
#define FIRST_READ	  16384

static const char *const method_names[] = { [METHOD_OTHER] = "",
#define X(name) [METHOD_##name] = #name,
					    METHODS(X)
#undef X
};

const char *method_name(enum method m)
{
	return method_names[m];
}

const char *request_param(const struct request *req, const char *name)
{
	size_t n = strlen(name);

	for (char **p = req->envp; p && *p; p++)
		if (strncmp(*p, name, n) == 0 && (*p)[n] == '=')
			return (*p)[n + 1] ? *p + n + 1 : NULL;
	return NULL;
}

static void read_id(struct request *req)
{
	const char *given = request_param(req, "HTTP_X_REQUEST_ID");
	size_t n = given ? strlen(given) : 0;

	if (n == 0 || n > 64 ||
	    strspn(given,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
		    n)
		given = id_new(req->ctx, "req");
	req->id = given;
}

static void read_method(struct request *req)
{
	const char *given = request_param(req, "REQUEST_METHOD");

	req->head = given && strcmp(given, "HEAD") == 0;
	if (req->head)
		req->method = METHOD_GET;
	for (size_t i = 1; given && i < ARRAY_SIZE(method_names); i++)
		if (strcmp(given, method_names[i]) == 0)
			req->method = (enum method)i;
}

/*
 * The path as the client sent it, so that an escaped slash stays inside its segment:
 * nginx's own decoded form has lost that.
 */
static int read_path(struct request *req, struct sb_err *err)
{
	const char *p = request_param(req, "REQUEST_URI");
	size_t len = p ? strcspn(p, "?#") : 0, used = 0;

	if (len == 0 || p[0] != '/')
		return sb_err(err, SB_EINVALID,
			      "The request's path does not begin with '/'.");
	while (used < len) {
		size_t n;
		char *segment;

		used++; /* the slash */
		n = strcspn(p + used, "/?#");
		if (n > len - used)
			n = len - used;
		if (n > (size_t)3 * SEGMENT_MAX_BYTES ||
		    req->n_segments == PATH_MAX_SEGMENTS)
			return sb_err(err, SB_ENOTFOUND, NOTHING_HERE);
		segment = percent_decode(req->ctx, p + used, n, false);
		if (!segment || strlen(segment) > SEGMENT_MAX_BYTES)
			return sb_err(
				err, SB_EINVALID,
				"The path must be percent-encoded UTF-8 text without "
				"control characters, at most %d bytes between slashes.",
				SEGMENT_MAX_BYTES);
		req->segments[req->n_segments++] = segment;
		used += n;
	}
	return 0;
}

int request_init(struct request *req, TALLOC_CTX *ctx, char **envp, body_reader *reader,
		 void *source, struct sb_err *err)
{
	*req = (struct request){
		.ctx = ctx, .envp = envp, .reader = reader, .source = source
	};
	read_id(req);
	read_method(req);
	return read_path(req, err);
}

int request_idempotency_key(struct request *req, struct sb_err *err)
{
	const char *key = request_param(req, "HTTP_IDEMPOTENCY_KEY");
	size_t n = key ? strlen(key) : 0;

	bool visible = true;

	for (size_t i = 0; i < n; i++)
		visible &= (unsigned char)key[i] > 0x20 && (unsigned char)key[i] < 0x7f;
	if (!visible || n > 255)
		return sb_err(
			err, SB_EINVALID,
			"Idempotency-Key must be 1 to 255 visible ASCII characters.");
	req->idempotency_key = key;
	return 0;
}

int request_decode_query(struct request *req, const struct input *spec,
			 struct sb_err *err)
{
	const char *text = request_param(req, "QUERY_STRING");
	void *out;

	if (!spec) {
		if (text)
			return sb_err(
				err, SB_EINVALID,
				"This address takes no parameters; remove '?%.100s'.",
				text);
		return 0;
	}
	out = mem_alloc(req->ctx, spec->size, 1, spec->name);
	if (query_decode(req->ctx, text ? text : "", spec, out, err) < 0)
		return -1;
	req->query = out;
	return 0;
}

/* ---- body ------------------------------------------------------------------------ */

/* The announced length, or -1 when there is none. */
static int announced_length(const struct request *req, long long *length,
			    struct sb_err *err)
{
	const char *text = request_param(req, "CONTENT_LENGTH");

	*length = -1;
	if (!text)
		return 0;
	errno = 0;
	*length = strtoll(text, NULL, 10);
	if (text[strspn(text, "0123456789")] != '\0' || errno != 0)
		return sb_err(err, SB_EINVALID, "Content-Length is not a number.");
	if (*length > BODY_MAX)
		return sb_err(
			err, SB_ETOOLARGE,
			"The body is larger than %d MiB. Plan fewer namespaces at a time, each with all of its files.",
			BODY_MAX >> 20);
	return 0;
}

static int read_body(struct request *req, char **out, size_t *len, struct sb_err *err)
{
	long long announced;
	size_t room, got = 0;
	char *bytes;

	*out = NULL;
	*len = 0;
	if (announced_length(req, &announced, err) < 0)
		return -1;
	/* One byte more than there may be, to notice if there is. */
	room = announced >= 0 ? (size_t)announced + 1 : FIRST_READ;
	bytes = mem_array(req->ctx, char, room + 1);
	for (;;) {
		got += req->reader(req->source, bytes + got, room - got);
		if (got < room || announced >= 0 || got > BODY_MAX)
			break;
		room = room * 4 < BODY_MAX ? room * 4 : BODY_MAX + 1;
		bytes = mem_grow(req->ctx, bytes, char, room + 1);
	}
	if (announced >= 0 && got != (size_t)announced)
		return sb_err(
			err, SB_EINVALID,
			"The body does not have the %lld bytes that Content-Length says.",
			announced);
	if (got > BODY_MAX)
		return sb_err(
			err, SB_ETOOLARGE,
			"The body is larger than %d MiB. Plan fewer namespaces at a time, each with all of its files.",
			BODY_MAX >> 20);
	bytes[got] = '\0';
	*out = bytes;
	*len = got;
	return 0;
}

int request_decode_body(struct request *req, const struct input *spec, struct sb_err *err)
{
	struct json_object *object;
	size_t len;
	char *text;
	void *out;
	int rc;

	if (!spec)
		return 0;
	if (read_body(req, &text, &len, err) < 0)
		return -1;
	if (len == 0 && req->method == METHOD_DELETE)
		return 0;
	if (len == 0)
		return sb_err(
			err, SB_EINVALID,
			"The body is missing: send a JSON object with the fields of %s "
			"(GET /api/openapi.json).",
			spec->name);
	/* Whatever its Content-Type says (curl -d says it is a form), the body is JSON.
	 */
	rc = json_parse(req->ctx, text, len, &object, err);
	talloc_free(text);
	if (rc < 0)
		return -1;
	out = mem_alloc(req->ctx, spec->size, 1, spec->name);
	if (json_decode(req->ctx, object, spec->fields, spec->n, out, err) < 0)
		return -1;
	req->body = out;
	return 0;
}

/* ---- conditional requests ---------------------------------------------------------- */

static const char *opaque_part(const char *etag)
{
	return strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
}

bool request_matches_etag(const struct request *req, const char *etag)
{
	const char *given = request_param(req, "HTTP_IF_NONE_MATCH");
	const char *wanted = opaque_part(etag);
	size_t n = strlen(wanted);

	while (given && *given) {
		given += strspn(given, " \t,");
		if (*given == '*')
			return true;
		given = opaque_part(given);
		if (strncmp(given, wanted, n) == 0 && strchr(", \t", given[n]))
			return true;
		given += strcspn(given, ",");
	}
	return false;
}
