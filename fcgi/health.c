/*
 * health.c - GET /livez and /health, for load balancers and supervisors.
 *
 * Both are public, so they say yes or no and nothing of why: the log does.
 */
#include "core/base/log.h"
#include "core/store/storage.h"
#include "fcgi/handlers.h"

static int say_ok(struct reply *reply)
{
	struct json_object *o = js_object();

	js_str(o, "status", "ok");
	return reply_json(reply, 200, o);
}

int livez_read(struct app *app, const struct request *req, struct reply *reply,
	       struct sb_err *err)
{
	(void)app;
	(void)req;
	(void)err;
	return say_ok(reply);
}

int health_read(struct app *app, const struct request *req, struct reply *reply,
		struct sb_err *err)
{
	struct db *db;

	if (app_storage(app, req, &db, err) < 0 || storage_ping(db, err) < 0) {
		log_err(LOG_WARN, "api.health.failed", err, "the storage cannot be used");
		return sb_err(err, SB_ESTORAGE, "%s", "The storage cannot be used.");
	}
	return say_ok(reply);
}
