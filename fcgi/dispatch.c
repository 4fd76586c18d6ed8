/*
 * dispatch.c - one request's way through the application. See dispatch.h.
 *
 * The order matters: the address first (404, 405), then the token, and only then does
 * anything of the request get read, so that a stranger costs us nothing.
 */
#include "fcgi/dispatch.h"

#include "core/base/log.h"
#include "fcgi/auth.h"
#include "fcgi/route.h"

static int prepare(struct app *app, struct request *req, struct reply *reply,
		   struct sb_err *err)
{
	if (route_find(req, &reply->allow, err) < 0 ||
	    auth_check(app->config, req, req->route->access, err) < 0 ||
	    request_idempotency_key(req, err) < 0 ||
	    request_decode_query(req, req->route->query, err) < 0 ||
	    request_decode_body(req, req->route->body, err) < 0)
		return -1;
	return 0;
}

static int run(struct app *app, const struct request *req, struct reply *reply,
	       struct sb_err *err)
{
	int rc;

	app->storage_reused = app->storage != NULL;
	app->storage_verified = false;
	rc = req->route->handler(app, req, reply, err);
	app_storage_check(app);
	return rc;
}

static void log_failure(const struct request *req, const struct sb_err *err)
{
	enum log_level level = err_http_status(err->code) >= 500 ? LOG_WARN : LOG_DEBUG;

	log_err(level, "api.refused", err, "%s %s was answered with an error",
		method_name(req->method), req->route ? req->route->path : "(no route)");
}

void dispatch(struct app *app, TALLOC_CTX *ctx, char **envp, body_reader *reader,
	      void *source, struct request *req, struct reply *reply)
{
	struct sb_err err = { 0 };
	int rc;

	*reply = (struct reply){ .ctx = ctx };
	rc = request_init(req, ctx, envp, reader, source, &err);
	log_context("request_id", req->id);
	if (rc == 0)
		rc = prepare(app, req, reply, &err);
	if (rc == 0) {
		rc = run(app, req, reply, &err);
		/* An idle connection that died meanwhile is no reason to refuse a read;
		 * a deadlock undid all that was written, so anything may be repeated. */
		if (rc < 0 && ((app->storage_reused && !app->storage &&
				req->route->access != ACCESS_WRITE) ||
			       (err.code == SB_ESTORAGE &&
				db_error_kind(err.db_errno) == DB_ERR_BUSY)))
			rc = run(app, req, reply, &err);
	}
	if (rc < 0) {
		log_failure(req, &err);
		/* A handler that has more to tell than the error left it in the reply. */
		if (reply->status < 400)
			reply_error(reply, &err);
	}
	reply_finish(reply, req);
	log_context_clear();
}
