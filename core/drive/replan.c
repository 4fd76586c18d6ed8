/*
 * replan.c - what is still to be done: the plan's files against the live schema of now.
 *
 * Called immediately before the engine is (SEMANTICS E.2, E.3). A statement that the
 * target no longer lacks is done, whoever did it; one that would now read differently
 * from what was reviewed is refused.
 */
#include <string.h>

#include "core/base/json.h"
#include "core/drive/drive_internal.h"
#include "core/schema/schema.h"
#include "core/store/plan.h"

/* The stored {ns:{files:{name:sql}}} as the planner takes it. */
static int load_files(TALLOC_CTX *ctx, struct drive *d, const struct plan *plan,
		      struct schema_namespace **out, size_t *n, struct sb_err *err)
{
	struct json_object *root;
	size_t i = 0;

	if (json_parse(ctx, plan->schema_files, strlen(plan->schema_files), &root, err) <
	    0)
		return sb_err_prefix(err, "The stored files of %s", plan->plan_id);
	*n = (size_t)json_object_object_length(root);
	*out = mem_array(ctx, struct schema_namespace, *n);
	json_object_object_foreach (root, name, value) {
		struct schema_namespace *ns = &(*out)[i++];
		struct json_object *files;
		struct schema_file *f;

		ns->name = name;
		ns->schema = config_schema(d->route, name);
		if (!ns->schema)
			return sb_err(
				err, SB_EENGINE,
				"Namespace '%s' is not configured for %s/%s any more; plan "
				"again.",
				name, d->database, d->environment);
		if (!json_object_object_get_ex(value, "files", &files))
			continue;
		f = mem_array(ctx, struct schema_file,
			      (size_t)json_object_object_length(files));
		ns->files = f;
		json_object_object_foreach (files, file, sql) {
			f[ns->n_files].name = file;
			f[ns->n_files++].sql = json_object_get_string(sql);
		}
	}
	return 0;
}

static const struct schema_change *find(const struct schema_plan *plan,
					const struct task *t)
{
	for (size_t i = 0; i < plan->n_changes; i++)
		if (strcmp(plan->changes[i].namespace, t->namespace) == 0 &&
		    strcmp(plan->changes[i].table, t->table) == 0)
			return &plan->changes[i];
	return NULL;
}

int drive_replan(TALLOC_CTX *ctx, struct drive *d, struct replan *out, struct sb_err *err)
{
	const struct schema_plan_options options = { .skip_verification = true,
						     .workspace = d->route->workspace };
	struct schema_namespace *namespaces = NULL;
	struct schema_plan *fresh;
	struct plan *plan;
	size_t n = 0;
	/* model: REPLAN */
	int rc = plan_of_apply(ctx, d->db, d->lease.apply_row, &plan, err);

	if (rc == 0)
		return sb_err(err, SB_EENGINE, "The plan of %s is gone from storage.",
			      d->lease.apply_id);
	if (rc < 0) {
		err->code = SB_ESTORAGE; /* whatever it was, it is not the plan's fault */
		return -1;
	}
	if (load_files(ctx, d, plan, &namespaces, &n, err) < 0 ||
	    schema_plan(ctx, &d->route->db, namespaces, n, &options, &fresh, err) < 0)
		return -1;
	if (fresh->n_errors > 0)
		return sb_err(err, SB_EENGINE,
			      "The schema files cannot be planned now: %s",
			      fresh->errors[0]);
	out->needed = mem_array(ctx, int, d->n_tasks);
	out->reason = mem_array(ctx, char *, d->n_tasks);
	for (size_t i = 0; i < d->n_tasks; i++) {
		const struct task *t = &d->tasks[i];
		const struct schema_change *c = task_open(t) ? find(fresh, t) : NULL;

		/* The live schema cannot tell about a VSchema: only the engine can. */
		if (task_is_vschema(t))
			out->needed[i] = task_open(t);
		if (!c)
			continue;
		out->needed[i] = strcmp(c->ddl, t->ddl) == 0 ? 1 : -1;
		if (out->needed[i] < 0)
			out->reason[i] = mem_printf(
				ctx,
				"%s.%s has changed since the plan was reviewed: it would take "
				"\"%.300s\" now. Plan again.",
				t->namespace, t->table, c->ddl);
	}
	return 0;
}
