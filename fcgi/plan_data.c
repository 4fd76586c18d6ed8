/*
 * plan_data.c - plans.plan_data, written and read. See plan_data.h.
 */
#include "fcgi/plan_data.h"

#include <string.h>

/* ---- writing ------------------------------------------------------------------------
 */

/* null: the server does not know. */
static void js_count(struct json_object *o, const char *key, int64_t n)
{
	if (n >= 0)
		js_int(o, key, n);
	else
		js_add(o, key, NULL);
}

struct json_object *plan_change_json(const struct schema_change *c)
{
	struct json_object *o = js_object();

	js_str(o, "table_name", c->table);
	js_str(o, "namespace", c->namespace);
	js_str(o, "ddl", c->ddl);
	js_str(o, "change_type", c->action);
	js_bool(o, "is_unsafe", c->is_unsafe);
	js_str(o, "unsafe_reason", c->unsafe_reason);
	js_str(o, "execution_mode", c->execution_mode);
	js_str(o, "mode_reason", c->mode_reason);
	js_str(o, "algorithm", engine_algorithm_name(c->algorithm));
	js_str(o, "native_algorithm",
	       c->natively == ENGINE_ALGORITHM_AUTO ? ""
						    : engine_algorithm_name(c->natively));
	js_bool(o, "metadata_only", c->cost == ENGINE_COST_METADATA);
	js_str(o, "cost", engine_cost_name(c->cost));
	js_count(o, "table_rows", c->table_rows);
	js_count(o, "table_bytes", c->table_bytes);
	return o;
}

struct json_object *plan_lint_json(const struct schema_lint *l)
{
	struct json_object *o = js_object();

	js_str(o, "message", l->message);
	js_str(o, "table", l->table);
	js_str(o, "column", l->column);
	js_str(o, "linter", l->linter);
	js_str(o, "severity", l->severity);
	js_str(o, "fix_type", l->fix_type);
	return o;
}

static struct json_object *original_json(const struct schema_original *original)
{
	struct json_object *o = js_object();

	js_str(o, "namespace", original->namespace);
	js_str(o, "table", original->table);
	js_str(o, "create_sql", original->create_sql);
	if (original->deployment)
		js_str(o, "deployment", original->deployment);
	return o;
}

char *plan_data_render(TALLOC_CTX *ctx, const struct schema_plan *plan)
{
	struct json_object *root = js_object(), *changes = js_array(), *lint = js_array();
	struct json_object *errors = js_array(), *originals = js_array();

	for (size_t i = 0; i < plan->n_changes; i++)
		js_push(changes, plan_change_json(&plan->changes[i]));
	for (size_t i = 0; i < plan->n_lint; i++)
		js_push(lint, plan_lint_json(&plan->lint[i]));
	for (size_t i = 0; i < plan->n_errors; i++)
		js_push(errors, json_object_new_string(plan->errors[i]));
	for (size_t i = 0; i < plan->n_originals; i++)
		js_push(originals, original_json(&plan->originals[i]));
	js_add(root, "changes", changes);
	js_add(root, "lint_violations", lint);
	js_add(root, "errors", errors);
	js_add(root, "originals", originals);
	return js_render(ctx, root);
}

/* ---- reading ------------------------------------------------------------------------
 */

/* The strings stay where json-c has them, and that belongs to the caller's ctx. */
static const char *text(struct json_object *o, const char *key)
{
	const char *s = js_get_str(o, key);

	return s ? s : "";
}

static int64_t number(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) && value
		       ? json_object_get_int64(value)
		       : -1;
}

static struct json_object *list(struct json_object *root, const char *key, size_t *n)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(root, key, &value) ||
	    !json_object_is_type(value, json_type_array))
		return NULL;
	*n = json_object_array_length(value);
	return value;
}

/* Plans from before it was kept announced nothing milder than what the server does. */
static enum engine_algorithm read_natively(struct json_object *o,
					   enum engine_algorithm algorithm)
{
	int natively = ENGINE_ALGORITHM_AUTO;

	if (!json_object_object_get_ex(o, "native_algorithm", NULL))
		return algorithm == ENGINE_ALGORITHM_COPY ? ENGINE_ALGORITHM_AUTO
							  : algorithm;
	if (!*text(o, "native_algorithm") ||
	    engine_algorithm_parse(text(o, "native_algorithm"), &natively) < 0)
		return ENGINE_ALGORITHM_AUTO;
	return (enum engine_algorithm)natively;
}

static int read_change(struct json_object *o, struct schema_change *c)
{
	struct json_object *is_unsafe;
	int algorithm, cost;

	/* Plans from before `cost` was kept have none. */
	if (engine_algorithm_parse(text(o, "algorithm"), &algorithm) < 0 ||
	    engine_cost_parse(text(o, "cost"), &cost) < 0 ||
	    !json_object_object_get_ex(o, "is_unsafe", &is_unsafe) || !*text(o, "ddl"))
		return -1;
	*c = (struct schema_change){
		.namespace = text(o, "namespace"),
		.table = text(o, "table_name"),
		.ddl = text(o, "ddl"),
		.action = text(o, "change_type"),
		.is_unsafe = json_object_get_boolean(is_unsafe),
		.unsafe_reason = text(o, "unsafe_reason"),
		.execution_mode = text(o, "execution_mode"),
		.mode_reason = text(o, "mode_reason"),
		.algorithm = (enum engine_algorithm)algorithm,
		.cost = (enum engine_cost)cost,
		.natively = read_natively(o, (enum engine_algorithm)algorithm),
		.table_rows = number(o, "table_rows"),
		.table_bytes = number(o, "table_bytes"),
	};
	return 0;
}

int plan_data_parse(TALLOC_CTX *ctx, const char *data, struct schema_plan **out,
		    struct sb_err *err)
{
	struct schema_plan *plan = mem_new(ctx, struct schema_plan);
	struct json_object *root, *changes, *lint, *errors, *originals;
	struct schema_change *c;
	struct schema_lint *l;
	struct schema_original *o;
	const char **e;

	*out = NULL;
	if (json_parse(plan, data, strlen(data), &root, err) < 0)
		goto broken;
	changes = list(root, "changes", &plan->n_changes);
	lint = list(root, "lint_violations", &plan->n_lint);
	errors = list(root, "errors", &plan->n_errors);
	originals = list(root, "originals", &plan->n_originals);
	if (!changes || !lint || !errors || !originals)
		goto broken;
	plan->changes = c = mem_array(plan, struct schema_change, plan->n_changes);
	plan->lint = l = mem_array(plan, struct schema_lint, plan->n_lint);
	plan->originals = o = mem_array(plan, struct schema_original, plan->n_originals);
	plan->errors = e = mem_array(plan, const char *, plan->n_errors);

	for (size_t i = 0; i < plan->n_changes; i++)
		if (read_change(json_object_array_get_idx(changes, i), &c[i]) < 0)
			goto broken;
	for (size_t i = 0; i < plan->n_lint; i++) {
		struct json_object *from = json_object_array_get_idx(lint, i);

		l[i] = (struct schema_lint){
			text(from, "message"),	text(from, "table"),
			text(from, "column"),	text(from, "linter"),
			text(from, "severity"), text(from, "fix_type")
		};
	}
	for (size_t i = 0; i < plan->n_originals; i++) {
		struct json_object *from = json_object_array_get_idx(originals, i);

		o[i] = (struct schema_original){ text(from, "namespace"),
						 text(from, "table"),
						 text(from, "create_sql"),
						 js_get_str(from, "deployment") };
	}
	for (size_t i = 0; i < plan->n_errors; i++)
		e[i] = json_object_get_string(json_object_array_get_idx(errors, i));
	*out = plan;
	return 0;
broken:
	talloc_free(plan);
	return sb_err(err, SB_EINTERNAL, "A stored plan is not readable.");
}
