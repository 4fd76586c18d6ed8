/*
 * replan.c - what is still to be done: the plan's files against the live schema of now.
 *
 * Called immediately before the engine is (SEMANTICS E.2, E.3). A statement that the
 * target no longer lacks is done, whoever did it; one that would now read differently
 * from what was reviewed is refused. Where a table has several, what is missing must be
 * the last of them.
 */
#include <string.h>

#include "core/base/buf.h"
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
		struct json_object *files, *own;
		struct schema_file *f;

		ns->name = name;
		ns->schema = config_schema(d->route, name);
		if (!ns->schema)
			return sb_err(
				err, SB_EENGINE,
				"Namespace '%s' is not configured for %s/%s any more; plan "
				"again.",
				name, d->database, d->environment);
		/* A rollback may have other files for each deployment. */
		if (json_object_object_get_ex(value, "deployments", &own) &&
		    json_object_object_get_ex(own, d->op.deployment, &own))
			value = own;
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

/* ---- one table ------------------------------------------------------------------- */

struct table_work {    /* the reviewed statements of one table, and those of now */
	size_t *tasks; /* as indexes into drive.tasks, in their order */
	size_t n_tasks;
	const struct schema_change **changes;
	size_t n_changes;
};

static bool same_table(const struct task *a, const char *namespace, const char *table)
{
	return !task_is_vschema(a) && strcmp(a->namespace, namespace) == 0 &&
	       strcmp(a->table, table) == 0;
}

/* What there is about the table of task `first`, of which it is the first. */
static void gather(TALLOC_CTX *ctx, const struct drive *d,
		   const struct schema_plan *fresh, size_t first, struct table_work *w)
{
	const struct task *t = &d->tasks[first];

	*w = (struct table_work){ .tasks = mem_array(ctx, size_t, d->n_tasks) };
	w->changes = mem_array(ctx, const struct schema_change *, fresh->n_changes + 1);
	for (size_t i = first; i < d->n_tasks; i++)
		if (same_table(&d->tasks[i], t->namespace, t->table))
			w->tasks[w->n_tasks++] = i;
	for (size_t i = 0; i < fresh->n_changes; i++)
		if (same_table(t, fresh->changes[i].namespace, fresh->changes[i].table))
			w->changes[w->n_changes++] = &fresh->changes[i];
}

static bool is_first(const struct drive *d, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same_table(&d->tasks[k], d->tasks[i].namespace, d->tasks[i].table))
			return false;
	return true;
}

/*
 * Is what is missing now the end of what was reviewed, word for word, and was none of it
 * carried out already? Whatever comes before that end is done.
 */
static bool is_rest(const struct drive *d, const struct table_work *w)
{
	if (w->n_changes > w->n_tasks)
		return false;
	for (size_t i = 0; i < w->n_changes; i++) {
		const struct task *t = &d->tasks[w->tasks[w->n_tasks - w->n_changes + i]];

		if (!task_open(t) || strcmp(t->ddl, w->changes[i]->ddl) != 0)
			return false;
	}
	return true;
}

/* ---- drift -------------------------------------------------------------------------
 */

/* The table as the plan saw it, from what is stored of it. NULL = there was none. */
static const char *seen_by_plan(TALLOC_CTX *ctx, const struct drive *d,
				const struct plan *plan, const struct task *t)
{
	struct json_object *root, *list;

	if (json_parse(ctx, plan->plan_data, strlen(plan->plan_data), &root, NULL) < 0 ||
	    !json_object_object_get_ex(root, "originals", &list))
		return NULL;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *deployment = js_get_str(o, "deployment");
		const char *namespace = js_get_str(o, "namespace");
		const char *table = js_get_str(o, "table");

		if (namespace && table && same_table(t, namespace, table) &&
		    (!deployment || strcmp(deployment, d->op.deployment) == 0))
			return js_get_str(o, "create_sql");
	}
	return NULL;
}

static const char *seen_now(const struct schema_plan *fresh, const struct task *t)
{
	for (size_t i = 0; i < fresh->n_originals; i++)
		if (same_table(t, fresh->originals[i].namespace,
			       fresh->originals[i].table))
			return fresh->originals[i].create_sql;
	return NULL;
}

/*
 * A DROP reads the same whatever became of the table. What is dropped has to be what was
 * reviewed; once a statement of ours about it was carried out, it is not that any more.
 */
static bool drops_another(TALLOC_CTX *ctx, const struct drive *d, const struct plan *plan,
			  const struct schema_plan *fresh, const struct table_work *w)
{
	const struct task *t = &d->tasks[w->tasks[0]];
	const char *was, *is;

	if (w->n_changes < w->n_tasks || strcmp(t->action, "drop") != 0)
		return false;
	was = seen_by_plan(ctx, d, plan, t);
	is = seen_now(fresh, t);
	return was && is && strcmp(was, is) != 0 &&
	       schema_drift(ctx, was, is, fresh->flavor) != NULL;
}

/*
 * What has happened to the table since the plan was made; "" when that is not told: once
 * a statement of ours was carried out, the difference is also our own work.
 */
static char *what_happened(TALLOC_CTX *ctx, const struct drive *d,
			   const struct plan *plan, const struct schema_plan *fresh,
			   const struct table_work *w)
{
	const struct task *t = &d->tasks[w->tasks[0]];
	const char *was, *is = seen_now(fresh, t);
	char *statement = NULL;

	if (!task_open(t))
		return mem_strdup(ctx, "");
	was = seen_by_plan(ctx, d, plan, t);
	if (was && !is)
		return mem_strdup(ctx, " The table is gone.");
	if (!was && is)
		return mem_strdup(ctx, " A table of this name has been made meanwhile.");
	if (was)
		statement = schema_drift(ctx, was, is, fresh->flavor);
	return statement ? mem_printf(ctx, " It was changed as if by \"%.300s\".",
				      statement)
			 : mem_strdup(ctx, "");
}

/* What is shown of a table that is not as the plan expects: what has happened to it, and
 * what it would take now. */
static char *drift(TALLOC_CTX *ctx, const struct drive *d, const struct plan *plan,
		   const struct schema_plan *fresh, const struct table_work *w)
{
	const struct task *t = &d->tasks[w->tasks[0]];
	struct buf b;

	buf_init(&b, ctx);
	buf_printf(&b, "%s.%s has changed since the plan was reviewed.%s It would take ",
		   t->namespace, t->table, what_happened(ctx, d, plan, fresh, w));
	for (size_t i = 0; i < w->n_changes; i++)
		buf_printf(&b, "%s\"%.300s\"", i > 0 ? ", then " : "",
			   w->changes[i]->ddl);
	buf_str(&b, " now. Plan again.");
	return b.data;
}

/* ---- all of it ---------------------------------------------------------------------
 */

static void compare(TALLOC_CTX *ctx, const struct drive *d, const struct plan *plan,
		    const struct schema_plan *fresh, const struct table_work *w,
		    struct replan *out)
{
	bool rest = is_rest(d, w) && !drops_another(ctx, d, plan, fresh, w);
	char *reason = rest ? NULL : drift(ctx, d, plan, fresh, w);

	for (size_t i = 0; i < w->n_tasks; i++) {
		size_t k = w->tasks[i];

		if (!task_open(&d->tasks[k]))
			continue;
		out->needed[k] = !rest ? -1 : i + w->n_changes >= w->n_tasks;
		out->reason[k] = reason;
	}
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
		struct table_work work;

		/* The live schema cannot tell about a VSchema: only the engine can. */
		if (task_is_vschema(&d->tasks[i])) {
			out->needed[i] = task_open(&d->tasks[i]);
		} else if (is_first(d, i)) {
			gather(ctx, d, fresh, i, &work);
			compare(ctx, d, plan, fresh, &work, out);
		}
	}
	return 0;
}
