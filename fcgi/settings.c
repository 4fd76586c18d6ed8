/*
 * settings.c - the settings routes: small values that operators keep by key.
 */
#include <string.h>

#include "core/base/log.h"
#include "core/store/setting.h"
#include "fcgi/handlers.h"
#include "fcgi/view.h"

int settings_read(struct app *app, const struct request *req, struct reply *reply,
		  struct sb_err *err)
{
	struct json_object *o, *list;
	struct setting *settings;
	struct db *db;
	size_t n;

	if (app_storage(app, req, &db, err) < 0 ||
	    setting_list(req->ctx, db, &settings, &n, err) < 0)
		return -1;
	o = js_object();
	list = js_array();
	for (size_t i = 0; i < n; i++)
		js_push(list, view_setting(&settings[i]));
	js_add(o, "settings", list);
	return reply_json(reply, 200, o);
}

static int reply_setting(const struct request *req, struct db *db, const char *key,
			 struct reply *reply, struct sb_err *err)
{
	struct setting *setting;
	int rc = setting_get(req->ctx, db, key, &setting, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(
			err, SB_ENOTFOUND,
			"There is no setting '%.64s'. GET /api/settings lists them.",
			key);
	return reply_json(reply, 200, view_setting(setting));
}

int setting_read(struct app *app, const struct request *req, struct reply *reply,
		 struct sb_err *err)
{
	struct db *db;

	if (app_storage(app, req, &db, err) < 0)
		return -1;
	return reply_setting(req, db, req->params[0], reply, err);
}

int setting_post(struct app *app, const struct request *req, struct reply *reply,
		 struct sb_err *err)
{
	const struct setting_input *in = req->body;
	struct db *db;

	if (!*in->key ||
	    in->key[strspn(in->key, "abcdefghijklmnopqrstuvwxyz0123456789_.-")] != '\0')
		return sb_err(
			err, SB_EINVALID,
			"Field 'key' may have the characters a-z, 0-9, '_', '-' and '.' "
			"only.");
	if (app_storage(app, req, &db, err) < 0 ||
	    setting_set(db, in->key, in->value, err) < 0)
		return -1;
	log_info("api.setting.set", "%s set %s", req->token->name, in->key);
	return reply_setting(req, db, in->key, reply, err);
}
