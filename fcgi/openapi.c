/*
 * openapi.c - the OpenAPI document, generated. See openapi.h.
 */
#include "fcgi/openapi.h"

#include <string.h>

#include "fcgi/handlers.h"
#include "fcgi/route.h"
#include "fcgi/schema_doc.h"

static struct json_object *typed(const char *type)
{
	struct json_object *o = js_object();

	js_str(o, "type", type);
	return o;
}

static struct json_object *reference(TALLOC_CTX *ctx, const char *schema)
{
	struct json_object *o = js_object();

	js_str(o, "$ref", mem_printf(ctx, "#/components/schemas/%s", schema));
	return o;
}

static void describe(struct json_object *o, const char *doc)
{
	if (*doc)
		js_str(o, "description", doc);
}

/* ---- replies ---------------------------------------------------------------------- */

static struct json_object *map_of(struct json_object *value)
{
	struct json_object *o = typed("object");

	js_add(o, "additionalProperties", value);
	return o;
}

static struct json_object *list_of(struct json_object *item)
{
	struct json_object *o = typed("array");

	js_add(o, "items", item);
	return o;
}

static struct json_object *integer_or_null(void)
{
	struct json_object *o = js_object(), *types = js_array();

	js_push(types, json_object_new_string("integer"));
	js_push(types, json_object_new_string("null"));
	js_add(o, "type", types);
	return o;
}

static struct json_object *doc_type(TALLOC_CTX *ctx, const struct doc_field *f)
{
	struct json_object *o;

	switch (f->type) {
	case DOC_STRING:
		return typed("string");
	case DOC_TIME:
		o = typed("string");
		js_str(o, "format", "date-time");
		return o;
	case DOC_INT:
		return typed("integer");
	case DOC_COUNT:
		return integer_or_null();
	case DOC_BOOL:
		return typed("boolean");
	case DOC_OBJECT:
		return reference(ctx, f->of);
	case DOC_LIST:
		return list_of(reference(ctx, f->of));
	case DOC_STRINGS:
		return list_of(typed("string"));
	case DOC_MAP_STRING:
		return map_of(typed("string"));
	case DOC_MAP_INT:
		return map_of(typed("integer"));
	case DOC_MAP:
		return map_of(reference(ctx, f->of));
	case DOC_ANY:
		return js_object();
	}
	BUG("type %d", (int)f->type);
}

/* The schema whose rows begin at `first`; returns the row after its last. */
static size_t add_reply_schema(TALLOC_CTX *ctx, struct json_object *schemas, size_t first)
{
	const char *name = doc_fields[first].schema;
	struct json_object *schema = typed("object"), *properties = js_object();
	struct json_object *required = js_array();
	size_t i = first;

	for (; i < n_doc_fields && strcmp(doc_fields[i].schema, name) == 0; i++) {
		struct json_object *property = doc_type(ctx, &doc_fields[i]);

		describe(property, doc_fields[i].doc);
		js_add(properties, doc_fields[i].key, property);
		if (doc_fields[i].always)
			js_push(required, json_object_new_string(doc_fields[i].key));
	}
	js_add(schema, "properties", properties);
	js_add(schema, "required", required);
	js_add(schemas, name, schema);
	return i;
}

/* ---- requests --------------------------------------------------------------------- */

static struct json_object *field_type(const struct json_field *f)
{
	struct json_object *o;

	switch (f->type) {
	case JSON_STR:
		o = typed("string");
		if (f->max > 0)
			js_int(o, "maxLength", f->max);
		return o;
	case JSON_BOOL:
		return typed("boolean");
	case JSON_INT:
		o = typed("integer");
		js_int(o, "minimum", 0);
		if (f->max > 0)
			js_int(o, "maximum", f->max);
		return o;
	case JSON_OBJECT:
		return typed("object");
	case JSON_ARRAY:
		return list_of(typed("string"));
	}
	BUG("type %d", (int)f->type);
}

static struct json_object *body_schema(const struct input *in)
{
	struct json_object *schema = typed("object"), *properties = js_object();
	struct json_object *required = js_array();

	for (size_t i = 0; i < in->n; i++) {
		struct json_object *property = field_type(&in->fields[i]);

		describe(property, in->docs[i]);
		js_add(properties, in->fields[i].key, property);
		if (in->fields[i].required)
			js_push(required, json_object_new_string(in->fields[i].key));
	}
	js_add(schema, "properties", properties);
	js_add(schema, "required", required);
	js_bool(schema, "additionalProperties", false);
	return schema;
}

static struct json_object *parameter(const char *name, const char *in, bool required,
				     struct json_object *schema)
{
	struct json_object *o = js_object();

	js_str(o, "name", name);
	js_str(o, "in", in);
	js_bool(o, "required", required);
	js_add(o, "schema", schema);
	return o;
}

static struct json_object *parameters(TALLOC_CTX *ctx, const struct route *r)
{
	struct json_object *list = js_array();
	const char *p = r->path;

	while ((p = strchr(p, '{')) != NULL) {
		size_t n = strcspn(++p, "}");

		js_push(list,
			parameter(mem_strndup(ctx, p, n), "path", true, typed("string")));
	}
	for (size_t i = 0; r->query && i < r->query->n; i++) {
		const struct json_field *f = &r->query->fields[i];
		struct json_object *o =
			parameter(f->key, "query", f->required, field_type(f));

		describe(o, r->query->docs[i]);
		js_push(list, o);
	}
	if (r->access == ACCESS_WRITE)
		js_push(list,
			parameter("Idempotency-Key", "header", false, typed("string")));
	return list;
}

/* ---- routes ----------------------------------------------------------------------- */

static struct json_object *content(const char *type, struct json_object *schema)
{
	struct json_object *o = js_object(), *media = js_object(), *wrapped = js_object();

	js_add(media, "schema", schema);
	js_add(o, type, media);
	js_add(wrapped, "content", o);
	return wrapped;
}

static struct json_object *response(const char *description,
				    struct json_object *content_or_null)
{
	struct json_object *o = content_or_null ? content_or_null : js_object();

	js_str(o, "description", description);
	return o;
}

static struct json_object *responses(TALLOC_CTX *ctx, const struct route *r)
{
	struct json_object *o = js_object();
	bool control = r->reply && (strcmp(r->reply, "Control") == 0 ||
				    strcmp(r->reply, "Volume") == 0);

	js_add(o, "200",
	       response("Done, or recorded.",
			r->reply ? content("application/json", reference(ctx, r->reply))
				 : content("text/plain", typed("string"))));
	if (control)
		js_add(o, "202",
		       response("It was requested, or done, before.",
				content("application/json", reference(ctx, r->reply))));
	if (r->method == METHOD_GET && r->access != ACCESS_PUBLIC)
		js_add(o, "304",
		       response("Unchanged since the ETag in If-None-Match.", NULL));
	js_add(o, "default",
	       response("Refused.",
			content("application/json", reference(ctx, "Error"))));
	return o;
}

/* OpenAPI 3.1 lets any scheme name roles where 3.0 had only scopes. */
static struct json_object *needs_role(const char *role)
{
	struct json_object *list = js_array(), *requirement = js_object(),
			   *roles = js_array();

	js_push(roles, json_object_new_string(role));
	js_add(requirement, "token", roles);
	js_push(list, requirement);
	return list;
}

static struct json_object *operation(TALLOC_CTX *ctx, const struct route *r)
{
	struct json_object *o = js_object(), *body;

	js_str(o, "summary", r->summary);
	if (r->access == ACCESS_PUBLIC)
		js_add(o, "security", js_array());
	if (r->access == ACCESS_WRITE)
		js_add(o, "security", needs_role("write"));
	js_add(o, "parameters", parameters(ctx, r));
	if (r->body) {
		body = content("application/json", reference(ctx, r->body->name));
		js_bool(body, "required", r->method == METHOD_POST);
		js_add(o, "requestBody", body);
	}
	js_add(o, "responses", responses(ctx, r));
	return o;
}

static const char *method_key(enum method m)
{
	switch (m) {
	case METHOD_GET:
		return "get";
	case METHOD_POST:
		return "post";
	case METHOD_DELETE:
		return "delete";
	case METHOD_OTHER:
		break;
	}
	BUG("method %d", (int)m);
}

static struct json_object *paths(TALLOC_CTX *ctx)
{
	struct json_object *o = js_object(), *path;

	for (size_t i = 0; i < n_routes; i++) {
		if (!json_object_object_get_ex(o, routes[i].path, &path)) {
			path = js_object();
			js_add(o, routes[i].path, path);
		}
		js_add(path, method_key(routes[i].method), operation(ctx, &routes[i]));
	}
	return o;
}

static struct json_object *components(TALLOC_CTX *ctx)
{
	struct json_object *o = js_object(), *schemas = js_object();
	struct json_object *schemes = js_object(), *token = typed("http");

	for (size_t i = 0; i < n_routes; i++) {
		const struct input *body = routes[i].body;

		if (body && !json_object_object_get_ex(schemas, body->name, NULL))
			js_add(schemas, body->name, body_schema(body));
	}
	for (size_t i = 0; i < n_doc_fields;)
		i = add_reply_schema(ctx, schemas, i);
	js_add(o, "schemas", schemas);
	js_str(token, "scheme", "bearer");
	js_add(schemes, "token", token);
	js_add(o, "securitySchemes", schemes);
	return o;
}

struct json_object *openapi_document(TALLOC_CTX *ctx)
{
	struct json_object *o = js_object(), *info = js_object();

	js_str(info, "title", "SchemaBot");
	js_str(info, "version", "1");
	js_str(info, "description",
	       "Schema changes for MySQL: plan, apply, watch, control. Errors are {error, "
	       "error_code}; every reply has an X-Request-Id. Unknown fields are refused.");

	js_str(o, "openapi", "3.1.0");
	js_add(o, "info", info);
	js_add(o, "security", needs_role("read"));
	js_add(o, "paths", paths(ctx));
	js_add(o, "components", components(ctx));
	return o;
}

int openapi_read(struct app *app, const struct request *req, struct reply *reply,
		 struct sb_err *err)
{
	(void)app;
	(void)err;
	return reply_json(reply, 200, openapi_document(req->ctx));
}
