/*
 * plan.c - POST /api/plan and GET /api/plans/{plan_id}.
 *
 * Planning reads the target and works in a scratch schema of its own there (core/schema);
 * what comes out is stored, also when it has errors, and returned. SQL that is wrong is
 * an outcome (200 with `errors`); a request that is wrong is a 400.
 *
 * Must never: take a namespace that is not configured, or store a plan without its route.
 */
#include <string.h>

#include "core/base/buf.h"
#include "fcgi/handlers.h"
#include "fcgi/plan_data.h"
#include "fcgi/plan_union.h"
#include "fcgi/planning.h"
#include "fcgi/view.h"

#define FILE_NAME_MAX_BYTES 255

/* ---- schema_files --------------------------------------------------------------------
 */

static char *known_namespaces(TALLOC_CTX *ctx, const struct config_deployment *d)
{
	struct buf b;

	buf_init(&b, ctx);
	for (size_t i = 0; i < d->n_schemas; i++)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "", d->schemas[i].namespace);
	return b.data;
}

static int check_file(const char *namespace, const char *name, struct json_object *sql,
		      struct sb_err *err)
{
	size_t n = strlen(name);

	if (n == 0 || n > FILE_NAME_MAX_BYTES || strchr(name, '/') ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    check_text("schema_files", name, NULL) < 0)
		return sb_err(
			err, SB_EINVALID,
			"Field 'schema_files': namespace '%s' has a file named '%.80s'; a "
			"name is 1 to %d bytes without '/' or control characters.",
			namespace, name, FILE_NAME_MAX_BYTES);
	if (!json_object_is_type(sql, json_type_string))
		return sb_err(
			err, SB_EINVALID,
			"Field 'schema_files': file '%s' of namespace '%s' must be a string "
			"of SQL.",
			name, namespace);
	if (strlen(json_object_get_string(sql)) !=
	    (size_t)json_object_get_string_len(sql))
		return sb_err(
			err, SB_EINVALID,
			"Field 'schema_files': file '%s' of namespace '%s' has a zero byte "
			"in it.",
			name, namespace);
	return 0;
}

/* The value of a namespace: {"files": {name: sql}} and nothing else. */
static int decode_namespace(TALLOC_CTX *ctx, const char *name, struct json_object *value,
			    struct schema_namespace *out, struct sb_err *err)
{
	struct json_object *list;
	struct schema_file *files;
	size_t n = 0;

	if (!json_object_is_type(value, json_type_object) ||
	    json_object_object_length(value) != 1 ||
	    !json_object_object_get_ex(value, "files", &list) ||
	    !json_object_is_type(list, json_type_object))
		return sb_err(
			err, SB_EINVALID,
			"Field 'schema_files': namespace '%s' must be an object with the one "
			"field 'files': {name: SQL}.",
			name);
	files = mem_array(ctx, struct schema_file,
			  (size_t)json_object_object_length(list));
	json_object_object_foreach (list, file, sql) {
		if (check_file(name, file, sql, err) < 0)
			return -1;
		files[n++] = (struct schema_file){ file, json_object_get_string(sql) };
	}
	out->files = files;
	out->n_files = n;
	return 0;
}

/*
 * Namespaces as requested, in lower case like every name of ours. Strings that are not
 * copied belong to the request's JSON, which lives as long.
 */
static int decode_schema_files(TALLOC_CTX *ctx, struct json_object *map,
			       const struct config_deployment *d,
			       struct schema_namespace **out, size_t *n_out,
			       struct sb_err *err)
{
	struct schema_namespace *list;
	size_t n = 0;

	*out = NULL;
	*n_out = 0;
	if (json_object_object_length(map) == 0)
		return sb_err(
			err, SB_EINVALID,
			"Field 'schema_files' is empty; name a namespace (%s) and all of its "
			"files.",
			known_namespaces(ctx, d));
	list = mem_array(ctx, struct schema_namespace,
			 (size_t)json_object_object_length(map));
	json_object_object_foreach (map, key, value) {
		struct schema_namespace *ns = &list[n];

		ns->name = lower_case(ctx, key);
		ns->schema = config_schema(d, ns->name);
		if (!ns->schema)
			return sb_err(
				err, SB_EINVALID,
				"Field 'schema_files': there is no namespace '%.100s' here. "
				"Configured are: %s.",
				key, known_namespaces(ctx, d));
		for (size_t i = 0; i < n; i++)
			if (strcmp(list[i].name, ns->name) == 0)
				return sb_err(
					err, SB_EINVALID,
					"Field 'schema_files': namespace '%s' is given twice, "
					"in different spellings.",
					ns->name);
		if (decode_namespace(ctx, ns->name, value, ns, err) < 0)
			return -1;
		n++;
	}
	*out = list;
	*n_out = n;
	return 0;
}

static char *render_schema_files(TALLOC_CTX *ctx, const struct schema_namespace *list,
				 size_t n)
{
	struct json_object *root = js_object();

	for (size_t i = 0; i < n; i++)
		js_add(root, list[i].name, planning_files_json(&list[i]));
	return js_render(ctx, root);
}

/* ---- handlers ------------------------------------------------------------------------
 */

/* Every deployment is planned; the plan is what all of them together need. */
static int make_plan(const struct request *req, const struct app_target *target,
		     struct schema_plan **outcome, char **schema_files,
		     struct sb_err *err)
{
	const struct config_environment *e = target->environment;
	const struct plan_input *in = req->body;
	struct schema_plan **plans =
		mem_array(req->ctx, struct schema_plan *, e->n_deployments);
	struct schema_namespace *namespaces;
	size_t n;

	for (size_t i = 0; i < e->n_deployments; i++) {
		const struct config_deployment *d = &e->deployments[i];

		if (decode_schema_files(req->ctx, in->schema_files, d, &namespaces, &n,
					err) < 0)
			return -1;
		*schema_files = render_schema_files(req->ctx, namespaces, n);
		if (planning_compare(req->ctx, target, d, namespaces, n, true, &plans[i],
				     err) < 0)
			return -1;
	}
	plan_union(req->ctx, e->deployments, plans, e->n_deployments, outcome);
	return 0;
}

int plan_post(struct app *app, const struct request *req, struct reply *reply,
	      struct sb_err *err)
{
	const struct plan_input *in = req->body;
	struct schema_plan *outcome;
	struct app_target target;
	struct plan plan = { 0 };

	if (check_text("repository", in->repository, err) < 0 ||
	    check_text("head_sha", in->head_sha, err) < 0 ||
	    app_target(app, req->ctx, in->database, in->environment, in->type,
		       in->deployment, in->target, &target, err) < 0 ||
	    make_plan(req, &target, &outcome, &plan.schema_files, err) < 0)
		return -1;
	plan.repository = mem_strdup(req->ctx, in->repository ? in->repository : "");
	plan.head_sha = mem_strdup(req->ctx, in->head_sha ? in->head_sha : "");
	plan.pull_request = in->pull_request;
	if (planning_store(app, req, &target, outcome, &plan, err) < 0)
		return -1;
	return reply_json(reply, 200, view_plan(&plan, outcome));
}

int plan_read(struct app *app, const struct request *req, struct reply *reply,
	      struct sb_err *err)
{
	struct schema_plan *outcome;
	struct plan *plan;
	struct db *db;
	int rc;

	if (app_storage(app, req, &db, err) < 0)
		return -1;
	rc = plan_get(req->ctx, db, req->params[0], &plan, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(
			err, SB_ENOTFOUND,
			"There is no plan '%.100s'. Plan again with POST /api/plan.",
			req->params[0]);
	if (plan_data_parse(req->ctx, plan->plan_data, &outcome, err) < 0)
		return -1;
	return reply_json(reply, 200, view_plan(plan, outcome));
}
