/*
 * test_fcgi_docs.c - what the API says about itself: the OpenAPI document against the
 * tables it is made from and the file in the tree, rendered replies against the document.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/model/control_rules.h"
#include "fcgi/openapi.h"
#include "fcgi/plan_data.h"
#include "fcgi/schema_doc.h"
#include "fcgi/view.h"
#include "tests/unit/test_fcgi.h"

#define FILE_IN_THE_TREE "fcgi/openapi.json"

static struct json_object *document(void)
{
	return js_own(ctx, openapi_document(ctx));
}

static struct json_object *at(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(o, key, &value))
		fail_msg("no '%s' in %s", key, json_object_to_json_string(o));
	return value;
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	struct buf b;
	char part[4096];
	size_t n;

	buf_init(&b, ctx);
	if (!f)
		fail_msg("%s cannot be read from here", path);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_add(&b, part, n);
	fclose(f);
	return b.data;
}

static void the_file_is_the_document(void **unused)
{
	char *text = read_file(FILE_IN_THE_TREE);
	struct json_object *in_file;
	struct sb_err err;

	(void)unused;
	assert_int_equal(json_parse(ctx, text, strlen(text), &in_file, &err), 0);
	if (!json_object_equal(in_file, document()))
		fail_msg("%s is out of date: run schemabot.fcgi --openapi > %s",
			 FILE_IN_THE_TREE, FILE_IN_THE_TREE);
}

static void every_route_is_described_and_nothing_else(void **unused)
{
	static const char *const keys[] = {
		[METHOD_GET] = "get", [METHOD_POST] = "post", [METHOD_DELETE] = "delete"
	};
	struct json_object *paths = at(document(), "paths");
	size_t described = 0;

	(void)unused;
	for (size_t i = 0; i < n_routes; i++) {
		struct json_object *operation =
			at(at(paths, routes[i].path), keys[routes[i].method]);

		assert_true(strlen(js_get_str(operation, "summary")) > 0);
		assert_int_equal(
			json_object_object_get_ex(operation, "requestBody", NULL),
			routes[i].body != NULL);
	}
	json_object_object_foreach (paths, path, methods) {
		(void)path;
		described += (size_t)json_object_object_length(methods);
	}
	assert_int_equal(described, n_routes);
}

static void check_references(struct json_object *value, struct json_object *known)
{
	static const char prefix[] = "#/components/schemas/";

	if (json_object_is_type(value, json_type_array))
		for (size_t i = 0; i < json_object_array_length(value); i++)
			check_references(json_object_array_get_idx(value, i), known);
	if (!json_object_is_type(value, json_type_object))
		return;
	json_object_object_foreach (value, key, member) {
		if (strcmp(key, "$ref") == 0) {
			const char *name = json_object_get_string(member);

			assert_memory_equal(name, prefix, strlen(prefix));
			at(known, name + strlen(prefix));
		}
		check_references(member, known);
	}
}

static void every_reference_leads_somewhere(void **unused)
{
	struct json_object *doc = document();

	(void)unused;
	check_references(doc, at(at(doc, "components"), "schemas"));
}

static void rows_of_a_schema_are_consecutive_and_unique(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < n_doc_fields; i++)
		for (size_t j = 0; j < i; j++) {
			bool same =
				strcmp(doc_fields[i].schema, doc_fields[j].schema) == 0;

			if (same && j + 1 < i)
				assert_string_equal(doc_fields[i - 1].schema,
						    doc_fields[i].schema);
			assert_false(same &&
				     strcmp(doc_fields[i].key, doc_fields[j].key) == 0);
		}
}

/* ---- rendered replies ----------------------------------------------------------------
 */

static bool fits(struct json_object *value, const struct doc_field *f);

static const struct doc_field *find_field(const char *schema, const char *key)
{
	for (size_t i = 0; i < n_doc_fields; i++)
		if (strcmp(doc_fields[i].schema, schema) == 0 &&
		    strcmp(doc_fields[i].key, key) == 0)
			return &doc_fields[i];
	return NULL;
}

/* Every member is in the table with its type, every `always` row is a member. */
static void check_schema(struct json_object *o, const char *schema)
{
	assert_true(json_object_is_type(o, json_type_object));
	json_object_object_foreach (o, key, value) {
		const struct doc_field *f = find_field(schema, key);

		if (!f || !fits(value, f))
			fail_msg("%s.%s is not as described: %s", schema, key,
				 json_object_to_json_string(value));
	}
	for (size_t i = 0; i < n_doc_fields; i++)
		if (strcmp(doc_fields[i].schema, schema) == 0 && doc_fields[i].always)
			at(o, doc_fields[i].key);
}

static bool fits(struct json_object *value, const struct doc_field *f)
{
	const char *text;

	switch (f->type) {
	case DOC_STRING:
		return json_object_is_type(value, json_type_string);
	case DOC_TIME:
		text = json_object_get_string(value);
		return text[10] == 'T' && text[strlen(text) - 1] == 'Z';
	case DOC_INT:
		return json_object_is_type(value, json_type_int);
	case DOC_COUNT:
		return !value || json_object_is_type(value, json_type_int);
	case DOC_BOOL:
		return json_object_is_type(value, json_type_boolean);
	case DOC_OBJECT:
		check_schema(value, f->of);
		return true;
	case DOC_LIST:
		for (size_t i = 0; i < json_object_array_length(value); i++)
			check_schema(json_object_array_get_idx(value, i), f->of);
		return true;
	case DOC_STRINGS:
		return json_object_is_type(value, json_type_array);
	case DOC_MAP_STRING:
	case DOC_MAP_INT:
	case DOC_MAP:
		return json_object_is_type(value, json_type_object);
	case DOC_ANY:
		return true;
	}
	return false;
}

static char text[] = "text", when[] = "2026-11-21 03:04:05.000000";
static char some_options[] = "{\"allow_unsafe\":\"true\"}";

static struct apply full_apply(void)
{
	return (struct apply){
		.apply_id = text,
		.plan_id = text,
		.database = text,
		.database_type = text,
		.environment = text,
		.deployment = text,
		.engine = text,
		.caller = text,
		.repository = text,
		.pull_request = 7,
		.options = some_options,
		.volume = 3,
		.state = STATE_FAILED,
		.error_code = text,
		.error_message = text,
		.created_at = when,
		.started_at = when,
		.completed_at = when,
		.updated_at = when,
	};
}

static struct task full_task(void)
{
	return (struct task){
		.task_id = text,
		.namespace = text,
		.table = text,
		.ddl = text,
		.action = text,
		.execution_mode = text,
		.mode_reason = text,
		.algorithm = text,
		.state = STATE_RUNNING,
		.error_message = text,
		.rows_copied = 10,
		.rows_total = 40,
		.percent = -1,
		.eta_seconds = 5,
		.rows_per_second = 1000,
		.checksum_rows = 20,
		.pending_keys = 3,
		.throttled = true,
		.cutover_attempts = 2,
		.throttle_reason = text,
		.detail = text,
		.started_at = when,
		.completed_at = when,
	};
}

static void progress_is_as_described(void **unused)
{
	static const char *const only_at_work[] = { "eta_seconds", "rows_per_second",
						    "pending_keys", "throttle_reason" };
	struct apply apply = full_apply();
	struct task tasks[] = { full_task(), full_task(), full_task() };
	struct operation operation = { .deployment = text,
				       .cutover_policy = text,
				       .on_failure = text,
				       .target = text,
				       .state = STATE_RUNNING,
				       .error_code = text,
				       .error_message = text,
				       .started_at = when,
				       .completed_at = when };
	struct apply_bundle bundle = { &apply, &operation, 1, tasks, 3, 0 };
	struct json_object *o, *tables;

	(void)unused;
	tasks[1].state = STATE_COMPLETED;
	tasks[2].state = STATE_PENDING;
	tasks[2].rows_copied = tasks[2].rows_total = tasks[2].eta_seconds = -1;
	o = js_own(ctx, view_progress(ctx, &bundle));
	check_schema(o, "Progress");
	assert_string_equal(js_get_str(o, "summary"),
			    "3 tables: 1 completed, 1 running, 1 pending");
	assert_string_equal(js_get_str(o, "created_at"), "2026-11-21T03:04:05.000000Z");
	tables = at(o, "tables");
	assert_int_equal(json_object_get_int(at(json_object_array_get_idx(tables, 0),
						"percent_complete")),
			 25);
	assert_int_equal(json_object_get_int(at(json_object_array_get_idx(tables, 1),
						"percent_complete")),
			 100);
	assert_false(json_object_object_get_ex(json_object_array_get_idx(tables, 2),
					       "percent_complete", NULL));
	/* What is over has no speed, no rest and no reason to wait. */
	for (size_t i = 0; i < ARRAY_SIZE(only_at_work); i++) {
		struct json_object *running = json_object_array_get_idx(tables, 0),
				   *over = json_object_array_get_idx(tables, 1);

		assert_true(json_object_object_get_ex(running, only_at_work[i], NULL));
		assert_false(json_object_object_get_ex(over, only_at_work[i], NULL));
	}
	/* More copied than estimated: nobody knows how far it is. */
	tasks[0].rows_copied = 50;
	tasks[0].percent = 100;
	o = js_own(ctx, view_progress(ctx, &bundle));
	assert_false(json_object_object_get_ex(
		json_object_array_get_idx(at(o, "tables"), 0), "percent_complete", NULL));
	assert_false(json_object_object_get_ex(
		json_object_array_get_idx(at(o, "tables"), 0), "eta_seconds", NULL));
	/* A failure that is being retried has its own code, whatever was stored. */
	apply.state = STATE_FAILED_RETRYABLE;
	o = js_own(ctx, view_progress(ctx, &bundle));
	assert_string_equal(js_get_str(o, "error_code"), "engine_error_retryable");
	assert_string_equal(js_get_str(o, "state_label"), "Retrying");
}

/* "stop cancel": the names in the list, in order. */
static const char *names_in(struct json_object *o, const char *key)
{
	struct json_object *list = at(o, key);
	struct buf b;

	buf_init(&b, ctx);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		buf_printf(&b, "%s%s", i > 0 ? " " : "",
			   json_object_get_string(json_object_array_get_idx(list, i)));
	return b.data ? b.data : "";
}

static void controls_are_what_engine_and_state_allow(void **unused)
{
	struct apply apply = full_apply();
	struct task task = full_task();
	struct operation operation = { .deployment = text,
				       .cutover_policy = text,
				       .on_failure = text,
				       .target = text };
	struct apply_bundle bundle = { &apply, &operation, 1, &task, 1, 0 };
	static char mysql[] = "mysql", none[] = "none";
	static const struct {
		enum state state;
		unsigned pending;
		char *engine;
		const char *controls, *requested;
	} cases[] = {
		{ STATE_RUNNING, 0, mysql, "stop cancel volume", "" },
		{ STATE_WAITING_FOR_CUTOVER, 0, mysql, "stop cancel cutover volume", "" },
		{ STATE_WAITING_FOR_CUTOVER, CONTROL_BIT(CONTROL_CUTOVER), mysql,
		  "stop cancel volume", "cutover" },
		{ STATE_WAITING_FOR_CUTOVER, CONTROL_BIT(CONTROL_STOP), mysql, "cancel",
		  "stop" },
		{ STATE_STOPPED, 0, mysql, "cancel start", "" },
		{ STATE_STOPPED, CONTROL_BIT(CONTROL_STOP), mysql, "cancel start", "" },
		{ STATE_COMPLETED, 0, mysql, "", "" },
		{ STATE_RUNNING, 0, none, "", "" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json_object *o;

		apply.engine = cases[i].engine;
		apply.state = operation.state = task.state = cases[i].state;
		bundle.pending = cases[i].pending;
		o = js_own(ctx, view_progress(ctx, &bundle));
		check_schema(o, "Progress");
		assert_string_equal(names_in(o, "controls"), cases[i].controls);
		assert_string_equal(names_in(o, "requested"), cases[i].requested);
	}
}

static void lists_are_as_described(void **unused)
{
	struct apply apply = full_apply();
	struct log_entry entry = {
		1, text, text, text, text, text, text, text, text, when
	};
	struct lock lock = { text, text, text, text, text, 7, when, when };
	struct setting setting = { text, text, when };
	struct json_object *o;
	struct buf long_reason;

	(void)unused;
	buf_init(&long_reason, ctx);
	for (int i = 0; i < 200; i++)
		buf_str(&long_reason, "é");
	check_schema(js_own(ctx, view_history_entry(&apply)), "HistoryEntry");
	check_schema(js_own(ctx, view_log_entry(&entry)), "LogEntry");
	check_schema(js_own(ctx, view_lock(&lock)), "Lock");
	check_schema(js_own(ctx, view_setting(&setting)), "Setting");
	apply.error_message = long_reason.data;
	o = js_own(ctx, view_status_entry(ctx, &apply));
	check_schema(o, "StatusEntry");
	assert_true(strlen(js_get_str(o, "error")) <= 240);
	assert_true(utf8_valid(js_get_str(o, "error"), strlen(js_get_str(o, "error"))));
}

static void plans_survive_storage(void **unused)
{
	static const struct schema_change changes[] = {
		{ "b", "t1", "ALTER TABLE `t1` ADD \"é\"", "alter", true, "why", "direct",
		  "slow", ENGINE_ALGORITHM_COPY, ENGINE_COST_REBUILD,
		  ENGINE_ALGORITHM_INPLACE, 12, 34 },
		{ "a", "t2", "CREATE TABLE `t2` (…)", "create", false, "", "", "",
		  ENGINE_ALGORITHM_AUTO, ENGINE_COST_METADATA, ENGINE_ALGORITHM_AUTO, -1,
		  -1 },
		{ "b", "t3", "DROP TABLE `t3`", "drop", true, "gone", "", "",
		  ENGINE_ALGORITHM_AUTO, ENGINE_COST_UNKNOWN, ENGINE_ALGORITHM_AUTO, 0,
		  0 },
	};
	static const struct schema_lint lint[] = { { "m", "t", "c", "l", "warning",
						     "" } };
	static const struct schema_original originals[] = {
		{ "b", "t1", "CREATE TABLE\n\t`t1`", NULL },
		{ "b", "t1", "CREATE TABLE `t1`", "eu" },
	};
	static const char *const errors[] = { "one", "two" };
	const struct schema_plan before = { .changes = changes,
					    .n_changes = 3,
					    .lint = lint,
					    .n_lint = 1,
					    .errors = errors,
					    .n_errors = 2,
					    .originals = originals,
					    .n_originals = 2 };
	struct plan row = { .plan_id = text,
			    .database = text,
			    .database_type = text,
			    .environment = text,
			    .deployment = text,
			    .engine = text,
			    .repository = text,
			    .pull_request = 7,
			    .head_sha = text,
			    .created_at = when,
			    .rollback_of = text };
	char *stored = plan_data_render(ctx, &before);
	struct schema_plan *after;
	struct json_object *o, *namespaces;
	struct sb_err err;

	(void)unused;
	assert_int_equal(plan_data_parse(ctx, stored, &after, &err), 0);
	assert_string_equal(plan_data_render(ctx, after), stored);
	assert_int_equal(after->changes[1].table_rows, -1);
	assert_int_equal(after->changes[2].table_rows, 0);
	assert_string_equal(after->originals[0].create_sql, "CREATE TABLE\n\t`t1`");
	assert_null(after->originals[0].deployment);
	assert_string_equal(after->originals[1].deployment, "eu");

	o = js_own(ctx, view_plan(&row, after));
	check_schema(o, "Plan");
	namespaces = at(o, "changes");
	assert_int_equal(json_object_array_length(namespaces), 2);
	assert_string_equal(
		js_get_str(json_object_array_get_idx(namespaces, 0), "namespace"), "b");
	assert_int_equal(
		json_object_array_length(
			at(json_object_array_get_idx(namespaces, 0), "table_changes")),
		2);
}

static void unreadable_plans_are_our_error(void **unused)
{
	static const char *const broken[] = { "", "{", "null", "{}",
					      "{\"changes\":[{}]}" };
	struct schema_plan *plan;
	struct sb_err err;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		assert_int_equal(plan_data_parse(ctx, broken[i], &plan, &err), -1);
		assert_int_equal(err.code, SB_EINTERNAL);
		assert_null(plan);
	}
}

static void configured_things_are_as_described(void **unused)
{
	static const struct {
		const char *uri, *schema;
	} reads[] = { { "/api/databases", "Databases" },
		      { "/api/databases/SHOP/environments", "Environments" },
		      { "/api/openapi.json", "OpenAPI" },
		      { "/livez", "Health" },
		      { "/nowhere", "Error" } };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
		struct call c = { .method = "GET",
				  .uri = reads[i].uri,
				  .token = READ_TOKEN };
		struct json_object *o;
		struct sb_err err;

		run_call(&c);
		assert_int_equal(json_parse(ctx, c.reply.text, c.reply.len, &o, &err), 0);
		check_schema(o, reads[i].schema);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_is_the_document),
		cmocka_unit_test(every_route_is_described_and_nothing_else),
		cmocka_unit_test(every_reference_leads_somewhere),
		cmocka_unit_test(rows_of_a_schema_are_consecutive_and_unique),
		cmocka_unit_test(progress_is_as_described),
		cmocka_unit_test(controls_are_what_engine_and_state_allow),
		cmocka_unit_test(lists_are_as_described),
		cmocka_unit_test(plans_survive_storage),
		cmocka_unit_test(unreadable_plans_are_our_error),
		cmocka_unit_test(configured_things_are_as_described),
	};

	return cmocka_run_group_tests_name("fcgi_docs", tests, setup, teardown);
}
