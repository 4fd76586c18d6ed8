/*
 * databases.c - GET /api/databases and /api/databases/{database}/environments.
 *
 * Must never: show where a server is or who logs in to it.
 */
#include "fcgi/handlers.h"

int databases_read(struct app *app, const struct request *req, struct reply *reply,
		   struct sb_err *err)
{
	struct json_object *o = js_object(), *list = js_array();

	(void)req;
	(void)err;
	for (size_t i = 0; i < app->config->n_databases; i++) {
		const struct config_database *d = &app->config->databases[i];
		struct json_object *entry = js_object(), *environments = js_array();

		for (size_t e = 0; e < d->n_environments; e++)
			js_push(environments,
				json_object_new_string(d->environments[e].name));
		js_str(entry, "database", d->name);
		js_str(entry, "database_type", d->type);
		js_add(entry, "environments", environments);
		js_push(list, entry);
	}
	js_add(o, "databases", list);
	return reply_json(reply, 200, o);
}

static struct json_object *environment_json(const struct config_environment *e)
{
	struct json_object *o = js_object(), *namespaces = js_array(),
			   *deployments = js_array();

	for (size_t i = 0; i < e->deployments[0].n_schemas; i++)
		js_push(namespaces,
			json_object_new_string(e->deployments[0].schemas[i].namespace));
	for (size_t i = 0; i < e->n_deployments; i++) {
		struct json_object *d = js_object();

		js_str(d, "deployment", e->deployments[i].name);
		js_str(d, "target", e->deployments[i].target);
		js_push(deployments, d);
	}
	js_str(o, "environment", e->name);
	js_str(o, "deployment", e->deployment);
	js_str(o, "target", e->target);
	js_add(o, "namespaces", namespaces);
	js_add(o, "deployments", deployments);
	js_str(o, "cutover_policy", e->cutover_policy);
	js_str(o, "on_failure", e->on_failure);
	return o;
}

int environments_read(struct app *app, const struct request *req, struct reply *reply,
		      struct sb_err *err)
{
	const struct config_database *d =
		config_database(app->config, lower_case(req->ctx, req->params[0]));
	struct json_object *o, *list;

	if (!d)
		return sb_err(
			err, SB_ENOTFOUND,
			"There is no database '%.100s'. GET /api/databases lists them.",
			req->params[0]);
	o = js_object();
	list = js_array();
	for (size_t i = 0; i < d->n_environments; i++)
		js_push(list, environment_json(&d->environments[i]));
	js_str(o, "database", d->name);
	js_str(o, "database_type", d->type);
	js_add(o, "environments", list);
	return reply_json(reply, 200, o);
}
