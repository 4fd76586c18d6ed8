/*
 * remote.c - the change as the fake engine's remote side keeps it: its phases, and what
 * it does to the target.
 *
 * A change goes from phase to phase when it is looked at, one step a look. The statements
 * are executed when a phase is entered in which their result can be seen. All of it is in
 * the operation's record, a JSON file that outlives every driver.
 */
#ifdef SB_FAULTS

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/json.h"
#include "core/base/log.h"
#include "engines/fake/fake.h"

/* ---- the record -----------------------------------------------------------------------
 */

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

struct json_object *fake_change(const struct fake_call *c)
{
	return c->run->reference ? member(member(c->record, "changes"), c->run->reference)
				 : NULL;
}

void fake_change_forget(struct fake_call *c)
{
	if (c->run->reference)
		json_object_object_del(member(c->record, "changes"), c->run->reference);
}

static void add_phases(struct json_object *change, const struct engine_options *o)
{
	static const char *const plain[] = { "running", "completed" };
	struct json_object *list = json_object_new_array();

	if (o->defer_deploy)
		js_push(list, json_object_new_string("waiting_for_deploy"));
	js_push(list, json_object_new_string(plain[0]));
	if (o->defer_cutover) {
		js_push(list, json_object_new_string("waiting_for_cutover"));
		js_push(list, json_object_new_string("cutting_over"));
	}
	if (o->enable_revert && !o->skip_revert)
		js_push(list, json_object_new_string("revert_window"));
	js_push(list, json_object_new_string(plain[1]));
	js_add(change, "phases", list);
}

/* What the target says to SHOW CREATE TABLE, or NULL where there is no such table. */
static char *original_of(TALLOC_CTX *ctx, struct db *db, const struct engine_task *t)
{
	struct db_rows *rows;
	char *sql = mem_printf(ctx, "SHOW CREATE TABLE %s",
			       db_ident2(ctx, t->schema, t->table));

	if (db_query(ctx, db, sql, &rows, NULL) < 0 || rows->n == 0 || rows->width < 2)
		return NULL;
	return rows->cell[0][1];
}

static struct json_object *table_of(struct engine_run *run, const struct engine_task *t)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "fake table");
	struct json_object *table = json_object_new_object();
	struct db *db;

	js_str(table, "namespace", t->namespace);
	js_str(table, "schema", t->schema);
	js_str(table, "table", t->table);
	js_str(table, "ddl", t->ddl);
	if (run->options.enable_revert && db_open(tmp, &run->target, &db, NULL) == 0)
		js_str_opt(table, "original", original_of(tmp, db, t));
	talloc_free(tmp);
	return table;
}

void fake_change_create(struct fake_call *c)
{
	const struct engine_work *w = c->run->work;
	struct json_object *change = json_object_new_object();
	struct json_object *tables = json_object_new_array();
	struct json_object *vschema = json_object_new_array();
	struct json_object *phases = fake_rule(c, "phases");

	if (phases)
		js_add(change, "phases", json_object_get(phases));
	else
		add_phases(change, &c->run->options);
	for (size_t i = 0; i < w->n_tasks; i++) {
		if (!w->tasks[i].ddl || !*w->tasks[i].ddl)
			BUG("an empty statement for %s", w->tasks[i].table);
		js_push(tables, table_of(c->run, &w->tasks[i]));
	}
	for (size_t i = 0; i < w->n_namespaces; i++)
		if (w->namespaces[i].vschema_changed)
			js_push(vschema, json_object_new_string(w->namespaces[i].name));
	js_int(change, "at", 0);
	js_add(change, "tables", tables);
	js_add(change, "vschema", json_object_get(vschema));
	js_int(change, "created_by", getpid());
	js_add(member(c->record, "changes"), c->run->reference, change);
	js_str(c->entry, "created", c->run->reference);
	js_add(c->entry, "vschema", vschema);
}

const char *fake_phase(struct json_object *change)
{
	struct json_object *phases = member(change, "phases");
	size_t at = (size_t)json_object_get_int64(member(change, "at"));

	return json_object_get_string(json_object_array_get_idx(phases, at));
}

const char *fake_ended(struct json_object *change)
{
	const char *ended = js_get_str(change, "ended");

	return ended ? ended : "";
}

void fake_end_as(struct json_object *change, const char *how)
{
	js_str(change, "ended", how);
}

int fake_go_to(struct json_object *change, const char *phase)
{
	struct json_object *phases = member(change, "phases");

	for (size_t i = 0; i < json_object_array_length(phases); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(phases, i)),
			   phase) == 0) {
			js_int(change, "at", (int64_t)i);
			return 0;
		}
	return -1;
}

/* ---- the effect -----------------------------------------------------------------------
 */

/* The number of an error says that a dead driver's process had executed it already. */
static bool is_there_already(unsigned db_errno)
{
	/* duplicate column, duplicate key name */
	return db_errno == 1060 || db_errno == 1061 ||
	       db_error_kind(db_errno) == DB_ERR_EXISTS ||
	       db_error_kind(db_errno) == DB_ERR_MISSING;
}

static int run_in(struct engine_run *run, const char *schema, const char *sql,
		  struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "fake effect");
	struct db_params params = run->target;
	struct db *db;
	int rc;

	params.schema = schema;
	rc = db_open(tmp, &params, &db, err);
	if (rc == 0)
		rc = db_run(db, sql, err);
	talloc_free(tmp);
	return rc;
}

/* An engine knows what became of its own statement, or looks: it never says for ever that
 * it does not know. */
static void fail_change(struct json_object *change, const char *table,
			const struct sb_err *err)
{
	int64_t code = err_class(err->code) == ERR_UNCERTAIN ? SB_ERETRY : err->code;

	fake_end_as(change, "failed");
	js_str(change, "failed_table", table);
	js_str(change, "error", err->msg);
	js_int(change, "error_code", code);
}

/* Execute what has not been executed; the change fails with the target's error. */
static void execute(struct fake_call *c, struct json_object *change)
{
	struct json_object *tables = member(change, "tables");

	for (size_t i = 0; i < json_object_array_length(tables); i++) {
		struct json_object *t = json_object_array_get_idx(tables, i);
		struct sb_err err;

		if (json_object_get_boolean(member(t, "executed")))
			continue;
		if (run_in(c->run, js_get_str(t, "schema"), js_get_str(t, "ddl"), &err) <
			    0 &&
		    !is_there_already(err.db_errno)) {
			log_err(LOG_WARN, "engine.fake.effect", &err,
				"executing a change");
			fail_change(change, js_get_str(t, "table"), &err);
			return;
		}
		js_bool(t, "executed", true);
	}
}

static bool shows_result(const char *phase)
{
	return strcmp(phase, "completed") == 0 || strcmp(phase, "revert_window") == 0;
}

void fake_complete(struct fake_call *c, struct json_object *change)
{
	execute(c, change);
	if (strcmp(fake_ended(change), "failed") == 0)
		return;
	if (fake_go_to(change, "completed") < 0)
		BUG("a change that never completes");
	fake_end_as(change, "");
}

/* Phases that only a call leaves. */
static bool waits(struct json_object *change, const char *phase)
{
	if (strcmp(phase, "waiting_for_cutover") == 0)
		return !json_object_get_boolean(member(change, "cut"));
	if (strcmp(phase, "waiting_for_deploy") == 0)
		return !json_object_get_boolean(member(change, "deployed"));
	return strcmp(phase, "revert_window") == 0 || strcmp(phase, "completed") == 0 ||
	       strcmp(phase, "reverted") == 0;
}

void fake_advance(struct fake_call *c, struct json_object *change)
{
	const char *phase = fake_phase(change);
	int64_t at = json_object_get_int64(member(change, "at"));

	if (*fake_ended(change) || waits(change, phase) || fake_held(c, phase))
		return;
	if ((size_t)at + 1 >= json_object_array_length(member(change, "phases")))
		return;
	js_int(change, "at", at + 1);
	phase = fake_phase(change);
	if (strcmp(phase, "reverted") == 0)
		fake_undo(c, change);
	if (shows_result(phase) && !fake_told(c, "no_effect"))
		execute(c, change);
}

void fake_undo(struct fake_call *c, struct json_object *change)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "fake undo");
	struct json_object *tables = member(change, "tables");

	for (size_t i = 0; i < json_object_array_length(tables); i++) {
		struct json_object *t = json_object_array_get_idx(tables, i);
		const char *original = js_get_str(t, "original");
		const char *schema = js_get_str(t, "schema");
		struct sb_err err;
		char *drop = mem_printf(tmp, "DROP TABLE IF EXISTS %s",
					db_ident(tmp, js_get_str(t, "table")));

		if (!json_object_get_boolean(member(t, "executed")))
			continue;
		if (run_in(c->run, schema, drop, &err) < 0 ||
		    (original && run_in(c->run, schema, original, &err) < 0))
			log_err(LOG_WARN, "engine.fake.undo", &err, "undoing a change");
		js_bool(t, "executed", false);
	}
	talloc_free(tmp);
}

#else
/* A translation unit must declare something. */
extern int fake_remote_not_built;
#endif
