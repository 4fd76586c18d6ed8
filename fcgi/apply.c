/*
 * apply.c - POST /api/apply: a reviewed plan becomes an apply that is due at once.
 *
 * It persists and wakes, nothing else: a driver does the work. Everything that can be
 * known now is refused now, each time with what to do next; what cannot (the target is
 * away) is left to the driver, which compares again.
 *
 * Must never: start anything itself, or ignore an option that the engine cannot honour.
 */
#include <string.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/id.h"
#include "core/base/log.h"
#include "core/schema/unrename.h"
#include "core/store/apply.h"
#include "core/store/plan.h"
#include "fcgi/handlers.h"
#include "fcgi/plan_data.h"

#define TARGET_CONNECT_SECONDS 2
#define TARGET_IO_SECONDS      5
#define CHECK_BUDGET_MS	       3000 /* for all deployments together */
#define NAMED_AT_MOST	       5    /* tables in a sentence */

struct candidate {
	const struct plan *plan;
	const struct schema_plan *outcome;
	struct app_target target;
	struct apply_options options;
	enum engine_algorithm algorithm;
};

/* ---- what the plan and the options allow ----------------------------------------------
 */

static int check_options(const struct candidate *c, struct sb_err *err)
{
	const struct apply_options *o = &c->options;
	const struct engine *e = c->target.engine;
	const struct {
		const char *name;
		bool given, possible;
	} table[] = {
		{ "defer_cutover", o->defer_cutover, e->caps & ENGINE_CAP_DEFER_CUTOVER },
		{ "volume", o->volume != 0, e->caps & ENGINE_CAP_VOLUME },
		{ "enable_revert", o->enable_revert, e->caps & ENGINE_CAP_REVERT },
		{ "skip_revert", o->skip_revert, e->caps & ENGINE_CAP_REVERT },
		{ "keep_old", o->keep_old != 0, e->caps & ENGINE_CAP_KEEP_OLD },
		/* Of engines with a deployment of their own. */
		{ "defer_deploy", o->defer_deploy, false },
		{ "branch", o->branch != NULL, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].given && !table[i].possible)
			return sb_err(
				err, SB_EUNSUPPORTED,
				"Option '%s' is not possible with the engine '%s'; leave it "
				"out.",
				table[i].name, e->name);
	return 0;
}

/* Who asks for a cutover wants the tables to be written until then. */
static int check_direct(const struct candidate *c, struct sb_err *err)
{
	for (size_t i = 0; i < c->outcome->n_changes; i++)
		if (strcmp(c->outcome->changes[i].execution_mode, "direct") != 0)
			return 0;
	if (!c->options.defer_cutover)
		return 0;
	return sb_err(err, SB_EINVALID,
		      "Option 'defer_cutover' has nothing to defer: every change of this "
		      "plan is made by the server itself, in one statement "
		      "(execution_mode 'direct'). Leave it out.");
}

/* A barrier is a cutover that waits for the other deployments. */
static int check_policy(const struct candidate *c, struct sb_err *err)
{
	const struct config_environment *e = c->target.environment;

	if (e->n_deployments == 1 || strcmp(e->cutover_policy, "barrier") != 0 ||
	    (c->target.engine->caps & ENGINE_CAP_DEFER_CUTOVER))
		return 0;
	return sb_err(
		err, SB_EUNSUPPORTED,
		"The configuration of '%s' says cutover_policy = \"barrier\", and the engine "
		"'%s' cannot wait before its cutover; configure rolling or parallel.",
		e->name, c->target.engine->name);
}

/* Only an ALTER has a choice. */
static bool is_forced(const struct candidate *c, const struct schema_change *change)
{
	return c->algorithm != ENGINE_ALGORITHM_AUTO &&
	       strcmp(change->action, "alter") == 0;
}

/* Does the forced algorithm leave the change to the server, which can do it? */
static bool is_native(const struct candidate *c, const struct schema_change *change)
{
	return is_forced(c, change) && c->algorithm != ENGINE_ALGORITHM_COPY &&
	       change->natively != ENGINE_ALGORITHM_AUTO &&
	       change->natively <= c->algorithm;
}

static int check_algorithm(const struct candidate *c, const struct schema_change *change,
			   struct sb_err *err)
{
	bool copy = c->algorithm == ENGINE_ALGORITHM_COPY;

	if (!is_forced(c, change) || is_native(c, change))
		return 0;
	if (copy && strcmp(change->execution_mode, "direct") == 0)
		return sb_err(err, SB_EINVALID,
			      "Option 'algorithm' is 'copy', but table '%s' cannot be "
			      "copied: %.500s Use auto.",
			      change->table, change->mode_reason);
	if (copy)
		return 0;
	return sb_err(err, SB_EINVALID,
		      "Option 'algorithm' is '%s', but the server cannot change table "
		      "'%s' that way while writes go on; %s.",
		      engine_algorithm_name(c->algorithm), change->table,
		      change->natively == ENGINE_ALGORITHM_INPLACE ? "use inplace or auto"
								   : "use auto");
}

/* The plan knows whether it is a rollback; the option may say so, and is recorded. */
static int check_rollback(struct candidate *c, struct sb_err *err)
{
	bool is_rollback = c->plan->rollback_of && *c->plan->rollback_of;

	if (c->options.rollback && !is_rollback)
		return sb_err(
			err, SB_EINVALID,
			"Option 'rollback' is true, but plan '%s' takes back no apply. Make "
			"one with POST /api/rollback/plan, or leave the option out.",
			c->plan->plan_id);
	c->options.rollback = is_rollback;
	return 0;
}

static int check_plan(TALLOC_CTX *ctx, const struct candidate *c, struct sb_err *err)
{
	const struct schema_plan *outcome = c->outcome;
	struct buf names;
	size_t n = 0;

	if (outcome->n_errors > 0)
		return sb_err(
			err, SB_EINVALID,
			"The plan has errors and cannot be applied: %.500s Correct the files "
			"and plan again.",
			outcome->errors[0]);
	if (outcome->n_changes == 0)
		return sb_err(
			err, SB_EINVALID,
			"The plan has no changes, so there is nothing to do: the database "
			"already is as the files say.");
	buf_init(&names, ctx);
	for (size_t i = 0; i < outcome->n_changes; i++) {
		const struct schema_change *change = &outcome->changes[i];

		if (check_algorithm(c, change, err) < 0)
			return -1;
		if (strcmp(change->execution_mode, "blocked") == 0 &&
		    !is_native(c, change))
			return sb_err(
				err, SB_EUNSUPPORTED,
				"The change of table '%s' cannot be executed: %.500s",
				change->table, change->mode_reason);
		if (change->is_unsafe && !c->options.allow_unsafe && n++ < NAMED_AT_MOST)
			buf_printf(&names, "%s'%s' (%s)", n > 1 ? ", " : "",
				   change->table, change->unsafe_reason);
	}
	if (n > 0)
		return sb_err(
			err, SB_EINVALID,
			"The plan is unsafe: %.700s%s. Review it, then apply with the option "
			"allow_unsafe = \"true\".",
			names.data, n > NAMED_AT_MOST ? " and more" : "");
	if (check_options(c, err) < 0 || check_direct(c, err) < 0)
		return -1;
	return check_policy(c, err);
}

/* ---- has the target changed since the plan was made? ----------------------------------
 */

/* An original of a plan of several deployments says whose it is. */
static bool is_of(const struct schema_original *o, const char *deployment)
{
	return !o->deployment || !deployment || strcmp(o->deployment, deployment) == 0;
}

/* Tables that are not what they were, as words. */
struct differences {
	struct buf names;
	char *statement; /* what was done to the first of them; NULL = not known */
	size_t n;
	const char *place; /* " in eu", or "" */
	enum db_flavor flavor;
};

static void add_difference(struct differences *d, const char *table, const char *what)
{
	if (d->n++ < NAMED_AT_MOST)
		buf_printf(&d->names, "%s'%s' (%s%s)", d->n > 1 ? ", " : "", table, what,
			   d->place);
}

/*
 * Those of one namespace of one deployment: both lists are ordered by name. Only tables
 * that the plan changes have a live definition; of the others the name alone counts,
 * since no statement of the plan depends on more.
 */
static void compare(const struct schema_plan *outcome, const char *deployment,
		    const char *namespace, const struct schema_original *live,
		    size_t n_live, struct differences *d)
{
	size_t l = 0;

	for (size_t i = 0; i < outcome->n_originals; i++) {
		const struct schema_original *was = &outcome->originals[i];

		if (strcmp(was->namespace, namespace) != 0 || !is_of(was, deployment))
			continue;
		for (; l < n_live && strcmp(live[l].table, was->table) < 0; l++)
			add_difference(d, live[l].table, "new");
		if (l == n_live || strcmp(live[l].table, was->table) != 0) {
			add_difference(d, was->table, "gone");
			continue;
		}
		if (live[l].create_sql &&
		    strcmp(live[l].create_sql, was->create_sql) != 0) {
			add_difference(d, was->table, "changed");
			if (!d->statement)
				d->statement =
					schema_drift(d->names.ctx, was->create_sql,
						     live[l].create_sql, d->flavor);
		}
		l++;
	}
	for (; l < n_live; l++)
		add_difference(d, live[l].table, "new");
}

/* The tables of a namespace that the plan changes, renamed ones by either name. */
static const char **changed_tables(TALLOC_CTX *ctx, const struct schema_plan *outcome,
				   const char *namespace, size_t *n)
{
	const char **tables = mem_array(ctx, const char *, 2 * outcome->n_changes + 1);

	*n = 0;
	for (size_t i = 0; i < outcome->n_changes; i++) {
		const struct schema_change *c = &outcome->changes[i];
		char *from, *to;

		if (strcmp(c->namespace, namespace) != 0)
			continue;
		tables[(*n)++] = c->table;
		if (unrename_table(ctx, c->ddl, &from, &to))
			tables[(*n)++] = from;
	}
	return tables;
}

/* -1 when the deployment could not be read. */
static int compare_deployment(TALLOC_CTX *ctx, const struct candidate *c,
			      const struct config_deployment *e, struct differences *d,
			      struct sb_err *err)
{
	struct db_params params =
		app_target_params(e, TARGET_CONNECT_SECONDS, TARGET_IO_SECONDS);
	struct db *db;
	int rc = 0;

	if (db_open(ctx, &params, &db, err) < 0)
		return -1;
	d->flavor = db_flavor(db);
	for (size_t i = 0; rc == 0 && i < e->n_schemas; i++) {
		const struct config_schema *s = &e->schemas[i];
		struct schema_original *live;
		size_t n, n_tables;
		const char **tables =
			changed_tables(ctx, c->outcome, s->namespace, &n_tables);

		if (n_tables == 0)
			continue;
		rc = schema_read_names(ctx, db, s->namespace, s->schema, tables, n_tables,
				       &live, &n, err);
		if (rc == 0)
			compare(c->outcome, e->name, s->namespace, live, n, d);
	}
	talloc_free(db);
	return rc;
}

/*
 * 0 also when a target does not answer, or all of them not soon enough: then the driver,
 * which compares before it acts, has the last word, and the request is neither lost to a
 * short outage nor held up by one.
 */
static int check_fresh(TALLOC_CTX *ctx, const struct candidate *c, struct sb_err *err)
{
	const struct config_environment *e = c->target.environment;
	struct differences d = { .n = 0 };
	int64_t until = clock_ms() + CHECK_BUDGET_MS;
	struct sb_err away;

	buf_init(&d.names, ctx);
	for (size_t i = 0; i < e->n_deployments; i++) {
		const char *name = e->deployments[i].name;

		if (clock_ms() > until) {
			log_warn("api.apply.unchecked",
				 "no time to read %s and those after it; the driver will "
				 "compare",
				 name);
			break;
		}
		d.place = e->n_deployments > 1 ? mem_printf(ctx, " in %s", name) : "";
		if (compare_deployment(ctx, c, &e->deployments[i], &d, &away) < 0)
			log_err(LOG_WARN, "api.apply.unchecked", &away,
				"the target could not be read; the driver will compare");
	}
	if (d.n > 0)
		return sb_err(
			err, SB_ESTALE,
			"The database has changed since the plan was made: %.700s%s.%s Plan "
			"again and review the new plan.",
			d.names.data, d.n > NAMED_AT_MOST ? " and more" : "",
			d.statement
				? mem_printf(ctx, " It was changed as if by \"%.300s\".",
					     d.statement)
				: "");
	return 0;
}

/* ---- creating -------------------------------------------------------------------------
 */

static int load_plan(struct app *app, const struct request *req, struct db *db,
		     struct candidate *c, struct sb_err *err)
{
	const struct apply_input *in = req->body;
	struct schema_plan *outcome;
	struct plan *plan;
	int rc = plan_get(req->ctx, db, in->plan_id, &plan, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(
			err, SB_ENOTFOUND,
			"There is no plan '%.100s'. Plan again with POST /api/plan.",
			in->plan_id);
	if (strcmp(plan->environment, lower_case(req->ctx, in->environment)) != 0)
		return sb_err(
			err, SB_EINVALID,
			"Plan '%s' is for the environment '%s', not '%.100s'. Plan for the "
			"environment that you want to change.",
			plan->plan_id, plan->environment, in->environment);
	if (app_target(app, req->ctx, plan->database, plan->environment,
		       plan->database_type, in->deployment, in->target, &c->target,
		       err) < 0)
		return -1;
	/* The route was fixed when planning; it must still be the configured one. */
	if (strcmp(plan->deployment, c->target.environment->deployment) != 0 ||
	    strcmp(plan->target, c->target.environment->target) != 0)
		return sb_err(
			err, SB_ESTALE,
			"Plan '%s' was made for the target '%s', which is not the configured "
			"one any more. Plan again.",
			plan->plan_id, plan->target);
	if (plan_data_parse(req->ctx, plan->plan_data, &outcome, err) < 0)
		return -1;
	c->plan = plan;
	c->outcome = outcome;
	return 0;
}

/* What is forced is what a driver finds announced. */
static void force(TALLOC_CTX *ctx, const struct candidate *c, struct apply_new_task *task)
{
	const char *name = engine_algorithm_name(c->algorithm);

	task->algorithm = name;
	task->execution_mode = "";
	task->mode_reason = mem_printf(ctx, "algorithm=%s was asked for.", name);
}

static struct apply_new_task *make_tasks(TALLOC_CTX *ctx, const struct candidate *c)
{
	const struct schema_plan *outcome = c->outcome;
	struct apply_new_task *tasks =
		mem_array(ctx, struct apply_new_task, outcome->n_changes);

	for (size_t i = 0; i < outcome->n_changes; i++) {
		const struct schema_change *change = &outcome->changes[i];

		tasks[i] = (struct apply_new_task){
			.namespace = change->namespace,
			.table = change->table,
			.ddl = change->ddl,
			.action = change->action,
			.execution_mode = change->execution_mode,
			.mode_reason = change->mode_reason,
			.algorithm = engine_algorithm_name(change->algorithm),
		};
		if (is_forced(c, change))
			force(ctx, c, &tasks[i]);
	}
	return tasks;
}

static struct apply_new_operation *make_operations(TALLOC_CTX *ctx,
						   const struct config_environment *e)
{
	struct apply_new_operation *operations =
		mem_array(ctx, struct apply_new_operation, e->n_deployments);

	for (size_t i = 0; i < e->n_deployments; i++)
		operations[i] = (struct apply_new_operation){ e->deployments[i].name,
							      e->deployments[i].target };
	return operations;
}

/* What the request means, for telling a repetition from another request with its key. */
static char *meaning_hash(TALLOC_CTX *ctx, const struct apply_new *request)
{
	struct json_object *list = js_array();
	char *hash = mem_array(ctx, char, SHA256_HEX_LEN + 1), *text;

	js_push(list, json_object_new_string(request->plan->plan_id));
	js_push(list, json_object_new_string(request->plan->environment));
	js_push(list, json_object_new_string(request->options));
	js_push(list, json_object_new_string(request->caller));
	text = js_render(ctx, list);
	sha256_hex(text, strlen(text), hash);
	return hash;
}

static void make_request(const struct request *req, const struct candidate *c,
			 struct apply_new *out)
{
	const struct apply_input *in = req->body;

	*out = (struct apply_new){
		.plan = c->plan,
		.caller = app_caller(req, in->caller),
		.lock_owner = in->caller && *in->caller ? in->caller : NULL,
		.options = js_render(req->ctx, options_to_json(&c->options)),
		.volume = c->options.volume ? c->options.volume : VOLUME_DEFAULT,
		.idempotency_key = req->idempotency_key,
		.tasks = make_tasks(req->ctx, c),
		.n_tasks = c->outcome->n_changes,
		.operations = make_operations(req->ctx, c->target.environment),
		.n_operations = c->target.environment->n_deployments,
		.cutover_policy = c->target.environment->cutover_policy,
		.on_failure = c->target.environment->on_failure,
	};
	out->idempotency_hash = meaning_hash(req->ctx, out);
}

static int accepted(struct reply *reply, const char *apply_id, bool replayed)
{
	struct json_object *o = js_object();

	js_bool(o, "accepted", true);
	js_str(o, "apply_id", apply_id);
	js_str(o, "status", replayed ? "already_requested" : "queued");
	return reply_json(reply, 200, o);
}

int apply_post(struct app *app, const struct request *req, struct reply *reply,
	       struct sb_err *err)
{
	const struct apply_input *in = req->body;
	struct candidate c = { .algorithm = ENGINE_ALGORITHM_AUTO };
	struct apply_new request;
	int rc, algorithm;
	char *apply_id;
	struct db *db;

	if (check_text("caller", in->caller, err) < 0 ||
	    options_parse(req->ctx, in->options, &c.options, err) < 0 ||
	    app_storage(app, req, &db, err) < 0 || load_plan(app, req, db, &c, err) < 0)
		return -1;
	if (check_rollback(&c, err) < 0)
		return -1;
	if (c.options.algorithm &&
	    engine_algorithm_parse(c.options.algorithm, &algorithm) == 0)
		c.algorithm = (enum engine_algorithm)algorithm;

	/* An active apply explains more than the differences it is making just now. */
	make_request(req, &c, &request);
	rc = apply_precheck(req->ctx, db, &request, &apply_id, err);
	if (rc == 0)
		return accepted(reply, apply_id, true);
	if (rc < 0 || check_plan(req->ctx, &c, err) < 0 ||
	    check_fresh(req->ctx, &c, err) < 0)
		return -1;

	FAULT("api.apply.checked");
	rc = apply_create(req->ctx, db, &request, &apply_id, err);
	if (rc < 0)
		return -1;
	FAULT("api.apply.created");
	app_wake(app);
	log_context("apply_id", apply_id);
	log_info("api.apply.accepted", "%s applies %s to %s/%s: %zu changes",
		 request.caller, c.plan->plan_id, c.plan->database, c.plan->environment,
		 request.n_tasks);
	return accepted(reply, apply_id, rc == 0);
}
