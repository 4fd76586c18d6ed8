/*
 * pull.c - POST /api/pull: the live schema as files, in the form that POST /api/plan
 * takes.
 *
 * A read, although a POST: it changes nothing anywhere.
 */
#include <string.h>

#include "core/schema/schema.h"
#include "fcgi/handlers.h"
#include "fcgi/planning.h"

#define TARGET_CONNECT_SECONDS 5
#define TARGET_IO_SECONDS      60

static int add_namespace(const struct request *req, struct db *db,
			 const struct config_schema *schema, struct json_object *out,
			 struct sb_err *err)
{
	struct json_object *namespace, *files;
	struct schema_original *tables;
	size_t n;

	if (schema_read_live(req->ctx, db, schema->namespace, schema->schema, &tables, &n,
			     err) < 0)
		return -1;
	namespace = js_object();
	files = js_object();
	for (size_t i = 0; i < n; i++)
		js_str(files, planning_file_name(req->ctx, tables[i].table),
		       mem_printf(req->ctx, "%s;\n", tables[i].create_sql));
	js_add(namespace, "files", files);
	js_add(out, schema->namespace, namespace);
	return 0;
}

/* Is the namespace asked for? Without a list, every one is. */
static bool wanted(struct json_object *list, const char *namespace)
{
	if (!list)
		return true;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (strcasecmp(json_object_get_string(json_object_array_get_idx(list, i)),
			       namespace) == 0)
			return true;
	return false;
}

static int check_namespaces(struct json_object *list, const struct request *req,
			    const struct config_deployment *d, struct sb_err *err)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *name = json_object_array_get_idx(list, i);

		if (!json_object_is_type(name, json_type_string))
			return sb_err(err, SB_EINVALID,
				      "Field 'namespaces' must be an array of strings.");
		if (!config_schema(d, lower_case(req->ctx, json_object_get_string(name))))
			return sb_err(
				err, SB_EINVALID,
				"Field 'namespaces': there is no namespace '%.100s' here.",
				json_object_get_string(name));
	}
	return 0;
}

int pull_post(struct app *app, const struct request *req, struct reply *reply,
	      struct sb_err *err)
{
	const struct pull_input *in = req->body;
	const struct config_deployment *d;
	struct json_object *out, *files;
	struct app_target target;
	struct db_params params;
	struct db *db;

	/* Of several deployments, which should be alike, the first unless one is named.
	 */
	if (app_target(app, req->ctx, in->database, in->environment, in->type, NULL, NULL,
		       &target, err) < 0 ||
	    app_deployment(target.environment, in->deployment, in->target, &d, err) < 0 ||
	    check_namespaces(in->namespaces, req, d, err) < 0)
		return -1;
	params = app_target_params(d, TARGET_CONNECT_SECONDS, TARGET_IO_SECONDS);
	if (db_open(req->ctx, &params, &db, err) < 0)
		return -1;

	out = js_own(req->ctx, js_object());
	files = js_object();
	js_str(out, "database", target.database->name);
	js_str(out, "database_type", target.database->type);
	js_str(out, "environment", target.environment->name);
	js_add(out, "schema_files", files);
	for (size_t i = 0; i < d->n_schemas; i++)
		if (wanted(in->namespaces, d->schemas[i].namespace) &&
		    add_namespace(req, db, &d->schemas[i], files, err) < 0)
			return -1;
	return reply_json(reply, 200, json_object_get(out));
}
