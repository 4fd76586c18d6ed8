/*
 * planning.c - see planning.h.
 */
#include "fcgi/planning.h"

#include <string.h>

#include "core/base/buf.h"
#include "core/base/id.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "fcgi/plan_data.h"

#define TARGET_CONNECT_SECONDS 5
#define TARGET_IO_SECONDS      120

int planning_compare(TALLOC_CTX *ctx, const struct app_target *target,
		     const struct config_deployment *d,
		     const struct schema_namespace *namespaces, size_t n, bool verified,
		     struct schema_plan **outcome, struct sb_err *err)
{
	struct db_params params =
		app_target_params(d, TARGET_CONNECT_SECONDS, TARGET_IO_SECONDS);
	struct db_params workspace;
	struct schema_plan_options options = { .skip_verification = !verified,
					       .engine = target->engine,
					       .algorithm = ENGINE_ALGORITHM_AUTO,
					       .lint = target->database->lint,
					       .n_lint = target->database->n_lint };

	options.direct = schema_direct_policy(target->environment);
	if (target->environment->quarantine_drops)
		options.keep_drops_hours = target->environment->drops_retention_hours;
	if (d->workspace) {
		workspace = *d->workspace;
		workspace.connect_seconds = TARGET_CONNECT_SECONDS;
		workspace.io_seconds = TARGET_IO_SECONDS;
		options.workspace = &workspace;
	}
	return schema_plan(ctx, &params, namespaces, n, &options, outcome, err);
}

int planning_store(struct app *app, const struct request *req,
		   const struct app_target *target, const struct schema_plan *outcome,
		   struct plan *plan, struct sb_err *err)
{
	struct db *db;

	plan->plan_id = id_new(req->ctx, "plan");
	plan->database = mem_strdup(req->ctx, target->database->name);
	plan->database_type = mem_strdup(req->ctx, target->database->type);
	plan->environment = mem_strdup(req->ctx, target->environment->name);
	plan->deployment = mem_strdup(req->ctx, target->environment->deployment);
	plan->target = mem_strdup(req->ctx, target->environment->target);
	plan->engine = mem_strdup(req->ctx, target->engine->name);
	plan->plan_data = plan_data_render(req->ctx, outcome);
	plan->n_changes = (int)outcome->n_changes;
	plan->n_errors = (int)outcome->n_errors;
	if (app_storage(app, req, &db, err) < 0 || plan_insert(db, plan, err) < 0)
		return -1;
	log_context("plan_id", plan->plan_id);
	log_info("api.plan.stored", "%s planned %zu changes of %s/%s, %zu errors",
		 req->token->name, outcome->n_changes, plan->database, plan->environment,
		 outcome->n_errors);
	return 0;
}

struct json_object *planning_files_json(const struct schema_namespace *ns)
{
	struct json_object *o = js_object(), *files = js_object();

	for (size_t f = 0; f < ns->n_files; f++)
		js_str(files, ns->files[f].name, ns->files[f].sql);
	js_add(o, "files", files);
	return o;
}

char *planning_file_name(TALLOC_CTX *ctx, const char *table)
{
	struct buf b;

	buf_init(&b, ctx);
	for (const char *p = table; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 || c == 0x7f || strchr("/\\%", c) ||
		    (c == '.' && p == table))
			buf_printf(&b, "%%%02X", (unsigned)c);
		else
			buf_char(&b, *p);
	}
	buf_str(&b, ".sql");
	return b.data;
}

/* A plan of several deployments may have files of its own for each. */
static struct json_object *files_of(struct json_object *namespace, const char *deployment)
{
	struct json_object *all, *own, *files = NULL;

	if (json_object_object_get_ex(namespace, "deployments", &all) &&
	    json_object_object_get_ex(all, deployment, &own))
	namespace = own;
	json_object_object_get_ex(namespace, "files", &files);
	return files;
}

int planning_files_parse(TALLOC_CTX *ctx, const char *schema_files,
			 const struct config_deployment *d, struct schema_namespace **out,
			 size_t *n, struct sb_err *err)
{
	struct json_object *root;
	size_t i = 0;

	*out = NULL;
	*n = 0;
	if (json_parse(ctx, schema_files, strlen(schema_files), &root, err) < 0)
		return sb_err(err, SB_EINTERNAL, "The stored files are not readable.");
	*out = mem_array(ctx, struct schema_namespace,
			 (size_t)json_object_object_length(root) + 1);
	json_object_object_foreach (root, name, value) {
		struct schema_namespace *ns = &(*out)[i++];
		struct json_object *files = files_of(value, d->name);
		struct schema_file *f;

		ns->name = name;
		ns->schema = config_schema(d, name);
		if (!ns->schema)
			return sb_err(
				err, SB_ESTALE,
				"Namespace '%s' is not configured for deployment '%s' any "
				"more. Plan the files that you want instead.",
				name, d->name);
		if (!files)
			continue;
		f = mem_array(ctx, struct schema_file,
			      (size_t)json_object_object_length(files) + 1);
		ns->files = f;
		json_object_object_foreach (files, file, sql)
			f[ns->n_files++] =
				(struct schema_file){ file, json_object_get_string(sql) };
	}
	*n = i;
	return 0;
}
