/*
 * pull.c - POST /api/pull: the live schema as files, in the form that POST /api/plan
 * takes; with catalog_detail also what definitions do not say.
 *
 * A read, although a POST: it changes nothing anywhere.
 */
#include <string.h>

#include "core/schema/catalog.h"
#include "core/schema/schema.h"
#include "fcgi/handlers.h"
#include "fcgi/planning.h"

#define TARGET_CONNECT_SECONDS 5
#define TARGET_IO_SECONDS      60
#define CATALOG_AT_MOST	       10000 /* tables, and as many objects, of a namespace */

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

/* ---- catalog_detail -------------------------------------------------------------------
 */

/* null: the server does not know. */
static void count(struct json_object *o, const char *key, int64_t n)
{
	if (n >= 0)
		js_int(o, key, n);
	else
		js_add(o, key, NULL);
}

static struct json_object *index_json(const struct catalog_index *x)
{
	struct json_object *o = js_object(), *columns = js_array();

	for (size_t i = 0; i < x->n_columns; i++)
		js_push(columns, json_object_new_string(x->columns[i]));
	js_str(o, "name", x->name);
	js_str(o, "type", x->type);
	js_bool(o, "is_unique", x->is_unique);
	js_add(o, "columns", columns);
	count(o, "cardinality", x->cardinality);
	return o;
}

static struct json_object *partition_json(const struct catalog_partition *p)
{
	struct json_object *o = js_object();

	js_str(o, "name", p->name);
	js_str(o, "method", p->method);
	count(o, "table_rows", p->rows);
	count(o, "table_bytes", p->bytes);
	return o;
}

static struct json_object *table_json(const struct catalog_table *t)
{
	struct json_object *o = js_object(), *indexes = js_array(),
			   *partitions = js_array();

	for (size_t i = 0; i < t->n_indexes; i++)
		js_push(indexes, index_json(&t->indexes[i]));
	for (size_t i = 0; i < t->n_partitions; i++)
		js_push(partitions, partition_json(&t->partitions[i]));
	js_str(o, "table_name", t->name);
	js_str(o, "engine", t->engine);
	js_str(o, "collation", t->collation);
	js_str(o, "row_format", t->row_format);
	count(o, "table_rows", t->rows);
	count(o, "data_bytes", t->data_bytes);
	count(o, "index_bytes", t->index_bytes);
	js_time(o, "created_at", t->created);
	js_time(o, "updated_at", t->updated);
	js_add(o, "indexes", indexes);
	js_add(o, "partitions", partitions);
	return o;
}

static struct json_object *object_json(const struct catalog_object *x)
{
	struct json_object *o = js_object();

	js_str(o, "name", x->name);
	js_str(o, "type", x->type);
	js_str_opt(o, "table_name", x->table);
	return o;
}

static int add_catalog(const struct request *req, struct db *db,
		       const struct config_schema *schema, struct json_object *out,
		       struct sb_err *err)
{
	struct json_object *o, *tables, *objects;
	struct schema_catalog *c;

	if (schema_catalog(req->ctx, db, schema->schema, CATALOG_AT_MOST, &c, err) < 0)
		return -1;
	o = js_object();
	tables = js_array();
	objects = js_array();
	for (size_t i = 0; i < c->n_tables; i++)
		js_push(tables, table_json(&c->tables[i]));
	for (size_t i = 0; i < c->n_objects; i++)
		js_push(objects, object_json(&c->objects[i]));
	js_add(o, "tables", tables);
	js_add(o, "unmanaged", objects);
	js_bool(o, "truncated", c->truncated);
	js_add(out, schema->namespace, o);
	return 0;
}

/* ---- the request ----------------------------------------------------------------------
 */

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
	struct json_object *out, *files, *catalog = NULL;
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
	if (in->catalog_detail)
		js_add(out, "catalog", catalog = js_object());
	for (size_t i = 0; i < d->n_schemas; i++) {
		const struct config_schema *s = &d->schemas[i];

		if (!wanted(in->namespaces, s->namespace))
			continue;
		if (add_namespace(req, db, s, files, err) < 0 ||
		    (catalog && add_catalog(req, db, s, catalog, err) < 0))
			return -1;
	}
	return reply_json(reply, 200, json_object_get(out));
}
