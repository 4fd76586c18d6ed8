/*
 * rollback.c - POST /api/rollback/plan: the way back from a completed apply, as a plan.
 *
 * Every plan keeps the definitions that it found. The way back wants the tables that the
 * apply changed as they were then, and all others as they are now, so that nothing else
 * is touched, whatever happened to it since. It is planned, proved, stored, reviewed and
 * applied like any other plan, and can be taken back itself.
 *
 * Definitions come back, rows do not: what was lost with a dropped table or column is
 * said in the plan. A plan is refused unless the apply's tables still are what it made
 * of them; somebody has built on it otherwise, and only they know what should be.
 *
 * Must never: offer a statement for a table that the apply did not change.
 */
#include <string.h>

#include "core/base/buf.h"
#include "core/schema/rules.h"
#include "core/schema/unrename.h"
#include "core/store/apply.h"
#include "fcgi/handlers.h"
#include "fcgi/plan_data.h"
#include "fcgi/plan_summary.h"
#include "fcgi/plan_union.h"
#include "fcgi/planning.h"
#include "fcgi/view.h"

#define NAMED_AT_MOST 5

struct rollback {
	const struct request *req;
	struct app_target target;
	struct apply_bundle source;
	struct plan *plan;	     /* the source's */
	struct schema_plan *outcome; /* and what it said */
	struct json_object *files;   /* of the plan that is made: schema_files */
};

/* ---- may it be taken back? -----------------------------------------------------------
 */

static int refuse_state(const struct apply *a, struct sb_err *err)
{
	const char *next = "Plan the files that you want instead, with POST /api/plan.";

	if (!state_is_settled(a->state))
		next = a->state == STATE_STOPPED
			       ? "Start it and let it complete, or cancel it and plan the "
				 "files that you want."
			       : "Wait until it has completed, or cancel it and plan the "
				 "files that you want.";
	return sb_err(err, SB_ECONFLICT,
		      "Only a completed apply can be taken back, and %s is %s. %s",
		      a->apply_id, state_name(a->state), next);
}

static int refuse_later(struct rollback *r, struct db *db, struct sb_err *err)
{
	const struct apply *a = r->source.apply;
	char *later;
	int rc = apply_later(r->req->ctx, db, a->id, &later, err);

	if (rc <= 0)
		return rc;
	return sb_err(err, SB_ECONFLICT,
		      "%s has changed '%s' in '%s' since %s was completed. Take that one "
		      "back first, or plan the files that you want with POST /api/plan.",
		      later, a->database, a->environment, a->apply_id);
}

/* What the source renamed a table to; NULL = it did not. */
static const char *renamed_to(const struct rollback *r, const char *namespace,
			      const char *table)
{
	for (size_t i = 0; i < r->outcome->n_changes; i++) {
		const struct schema_change *c = &r->outcome->changes[i];
		char *from, *to;

		if (strcmp(c->namespace, namespace) == 0 &&
		    unrename_table(r->req->ctx, c->ddl, &from, &to) &&
		    strcmp(from, table) == 0)
			return to;
	}
	return NULL;
}

/* By its old name or by its new one. */
static bool is_changed(const struct rollback *r, const char *namespace, const char *table)
{
	for (size_t i = 0; i < r->outcome->n_changes; i++)
		if (strcmp(r->outcome->changes[i].namespace, namespace) == 0 &&
		    strcmp(r->outcome->changes[i].table, table) == 0)
			return true;
	return renamed_to(r, namespace, table) != NULL;
}

static bool is_changed_namespace(const struct rollback *r, const char *namespace)
{
	for (size_t i = 0; i < r->outcome->n_changes; i++)
		if (strcmp(r->outcome->changes[i].namespace, namespace) == 0)
			return true;
	return false;
}

/* Was the table as it was before noted, for this deployment (NULL = for any)? */
static const struct schema_original *original(const struct rollback *r,
					      const char *deployment,
					      const char *namespace, const char *table)
{
	for (size_t i = 0; i < r->outcome->n_originals; i++) {
		const struct schema_original *o = &r->outcome->originals[i];

		if (strcmp(o->table, table) == 0 &&
		    strcmp(o->namespace, namespace) == 0 &&
		    (!deployment || !o->deployment ||
		     strcmp(o->deployment, deployment) == 0))
			return o;
	}
	return NULL;
}

static int refuse_without_originals(const struct rollback *r, struct sb_err *err)
{
	for (size_t i = 0; i < r->outcome->n_changes; i++) {
		const struct schema_change *c = &r->outcome->changes[i];

		char *from = NULL, *to;

		/* By its new name, a renamed table has none. */
		for (size_t k = 0; k < r->outcome->n_changes && !from; k++)
			if (unrename_table(r->req->ctx, r->outcome->changes[k].ddl, &from,
					   &to) &&
			    strcmp(to, c->table) != 0)
				from = NULL;
		if (strcmp(c->action, "create") != 0 &&
		    !original(r, NULL, c->namespace, c->table) &&
		    !(from && original(r, NULL, c->namespace, from)))
			return sb_err(
				err, SB_ECONFLICT,
				"What table '%s' was before %s was not kept, so that the "
				"way back is not known. Plan the files that you want with "
				"POST /api/plan.",
				c->table, r->source.apply->apply_id);
	}
	return 0;
}

/* The route was fixed when the source was planned; it must still be the configured one.
 */
static int refuse_other_route(const struct rollback *r, struct sb_err *err)
{
	if (strcmp(r->plan->deployment, r->target.environment->deployment) == 0 &&
	    strcmp(r->plan->target, r->target.environment->target) == 0)
		return 0;
	return sb_err(
		err, SB_ESTALE,
		"%s was made on the target '%s', which is not the configured one any "
		"more. Plan the files that you want with POST /api/plan.",
		r->source.apply->apply_id, r->plan->target);
}

static int load(struct app *app, struct rollback *r, struct sb_err *err)
{
	const struct rollback_input *in = r->req->body;
	const struct apply *a;
	struct db *db;
	int rc;

	if (app_storage(app, r->req, &db, err) < 0)
		return -1;
	rc = apply_bundle(r->req->ctx, db, in->apply_id, &r->source, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(err, SB_ENOTFOUND,
			      "There is no apply '%.100s'; GET /api/history/{database} "
			      "lists those of a database.",
			      in->apply_id);
	a = r->source.apply;
	if (strcmp(a->environment, lower_case(r->req->ctx, in->environment)) != 0)
		return sb_err(err, SB_EINVALID,
			      "Apply '%s' is of the environment '%s', not '%.100s'.",
			      a->apply_id, a->environment, in->environment);
	if (app_target(app, r->req->ctx, a->database, a->environment, a->database_type,
		       in->deployment, in->target, &r->target, err) < 0)
		return -1;
	if (a->state != STATE_COMPLETED)
		return refuse_state(a, err);
	rc = plan_of_apply(r->req->ctx, db, a->id, &r->plan, err);
	if (rc <= 0)
		return rc < 0 ? -1
			      : sb_err(err, SB_EINTERNAL, "The plan of %s is gone.",
				       a->apply_id);
	if (plan_data_parse(r->req->ctx, r->plan->plan_data, &r->outcome, err) < 0 ||
	    refuse_other_route(r, err) < 0 || refuse_later(r, db, err) < 0)
		return -1;
	return refuse_without_originals(r, err);
}

/* ---- one deployment -------------------------------------------------------------------
 */

/* Is what the apply made of its tables still there? `now`: the source's files compared
 * with the live schema. */
static int refuse_drift(const struct rollback *r, const struct config_deployment *d,
			const struct schema_plan *now, struct sb_err *err)
{
	const char *id = r->source.apply->apply_id;
	bool several = r->target.environment->n_deployments > 1;
	struct buf names;
	size_t n = 0;

	if (now->n_errors > 0)
		return sb_err(
			err, SB_EENGINE,
			"Whether the tables of %s are still as it made them cannot be "
			"told: %.500s Plan the files that you want with POST "
			"/api/plan.",
			id, now->errors[0]);
	buf_init(&names, r->req->ctx);
	for (size_t i = 0; i < now->n_changes; i++) {
		const struct schema_change *c = &now->changes[i];

		if (!is_changed(r, c->namespace, c->table) || n++ >= NAMED_AT_MOST)
			continue;
		buf_printf(&names, "%s'%s' (%s%s%s)", n > 1 ? ", " : "", c->table,
			   strcmp(c->action, "create") == 0 ? "gone"
			   : strcmp(c->action, "drop") == 0 ? "there again"
							    : "changed",
			   several ? " in " : "", several ? d->name : "");
	}
	if (n == 0)
		return 0;
	return sb_err(err, SB_ESTALE,
		      "The tables are not as %s left them: %.600s%s. Plan the files that "
		      "you want with POST /api/plan.",
		      id, names.data, n > NAMED_AT_MOST ? " and more" : "");
}

/* The definition as it was, with hints for what has to get its old name back. */
static const char *as_it_was(const struct rollback *r, const struct schema_original *o)
{
	TALLOC_CTX *ctx = r->req->ctx;
	const char *to = renamed_to(r, o->namespace, o->table), *sql = o->create_sql;

	for (size_t i = 0; i < r->outcome->n_changes; i++) {
		const struct schema_change *c = &r->outcome->changes[i];

		if (strcmp(c->namespace, o->namespace) == 0 &&
		    (strcmp(c->table, o->table) == 0 ||
		     (to && strcmp(c->table, to) == 0)))
			sql = mem_printf(ctx, "%s%s",
					 unrename_columns(ctx, c->ddl, o->create_sql),
					 sql);
	}
	return to ? mem_printf(ctx, "%s%s", unrename_table_hint(ctx, o->table, to), sql)
		  : sql;
}

/* Files of a namespace as it should be: changed tables as they were, others as they are.
 */
static void want(const struct rollback *r, const struct config_deployment *d,
		 const struct schema_plan *now, struct schema_namespace *ns)
{
	size_t most = now->n_originals + r->outcome->n_originals;
	struct schema_file *f = mem_array(r->req->ctx, struct schema_file, most + 1);
	const struct schema_original *o;

	ns->files = f;
	ns->n_files = 0;
	for (size_t i = 0; i < now->n_originals; i++) {
		o = &now->originals[i];
		if (strcmp(o->namespace, ns->name) == 0 &&
		    !is_changed(r, ns->name, o->table))
			f[ns->n_files++] = (struct schema_file){
				planning_file_name(r->req->ctx, o->table), o->create_sql
			};
	}
	for (size_t i = 0; i < r->outcome->n_originals; i++) {
		o = &r->outcome->originals[i];
		if (strcmp(o->namespace, ns->name) == 0 &&
		    is_changed(r, ns->name, o->table) &&
		    original(r, d->name, ns->name, o->table) == o)
			f[ns->n_files++] = (struct schema_file){
				planning_file_name(r->req->ctx, o->table), as_it_was(r, o)
			};
	}
}

/* Keep the files, of each deployment if there are several; the first one's serve for all
 * who look for no deployment. */
static void keep_files(struct rollback *r, const struct config_deployment *d,
		       const struct schema_namespace *ns)
{
	struct json_object *entry, *own;

	if (!json_object_object_get_ex(r->files, ns->name, &entry)) {
		entry = planning_files_json(ns);
		js_add(r->files, ns->name, entry);
	}
	if (r->target.environment->n_deployments == 1)
		return;
	if (!json_object_object_get_ex(entry, "deployments", &own)) {
		own = js_object();
		js_add(entry, "deployments", own);
	}
	js_add(own, d->name, planning_files_json(ns));
}

static int plan_back(struct rollback *r, const struct config_deployment *d,
		     struct schema_plan **out, struct sb_err *err)
{
	TALLOC_CTX *ctx = r->req->ctx;
	struct schema_namespace *all;
	struct schema_plan *now;
	size_t n, kept = 0;

	if (planning_files_parse(ctx, r->plan->schema_files, d, &all, &n, err) < 0 ||
	    planning_compare(ctx, &r->target, d, all, n, false, &now, err) < 0 ||
	    refuse_drift(r, d, now, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!is_changed_namespace(r, all[i].name))
			continue;
		all[kept] = all[i];
		want(r, d, now, &all[kept]);
		keep_files(r, d, &all[kept++]);
	}
	return planning_compare(ctx, &r->target, d, all, kept, true, out, err);
}

/* ---- what does not come back
 * ------------------------------------------------------------
 */

/* Where the source's driver has put the rows of a table that it dropped; "" = nowhere. */
static const char *kept_as(const struct rollback *r, const struct schema_change *c)
{
	for (size_t i = 0; i < r->source.n_tasks; i++) {
		const struct task *t = &r->source.tasks[i];

		if (strcmp(t->action, "drop") == 0 && strcmp(t->table, c->table) == 0 &&
		    strcmp(t->namespace, c->namespace) == 0 && t->detail &&
		    strncmp(t->detail, "kept as ", 8) == 0)
			return t->detail;
	}
	return "";
}

static const char *loss(const struct rollback *r, const struct schema_change *c)
{
	TALLOC_CTX *ctx = r->req->ctx;
	const char *id = r->source.apply->apply_id, *kept;

	if (strcmp(c->action, "create") == 0) {
		kept = kept_as(r, c);
		if (*kept)
			return mem_printf(
				ctx,
				"Table '%s' comes back without its rows. They were %s when "
				"%s dropped it; copy them from there before its time is "
				"over.",
				c->table, kept, id);
		return mem_printf(ctx,
				  "Table '%s' comes back without its rows, which %s "
				  "dropped; restore them from a backup.",
				  c->table, id);
	}
	if (strcmp(c->action, "drop") == 0)
		return mem_printf(ctx, "Table '%s' goes with the rows it got since.",
				  c->table);
	if (strstr(c->ddl, "ADD COLUMN"))
		return mem_printf(ctx,
				  "A column of table '%s' comes back without its values.",
				  c->table);
	return NULL;
}

static void tell_losses(const struct rollback *r, struct schema_plan *plan)
{
	struct schema_lint *lint = mem_array(r->req->ctx, struct schema_lint,
					     plan->n_lint + plan->n_changes + 1);
	const struct config_database *d = r->target.database;
	enum rule_level level =
		rule_level(&lint_rules[RULE_rollback_data], d->lint, d->n_lint);

	if (level == LEVEL_OFF)
		return;
	if (plan->n_lint > 0)
		memcpy(lint, plan->lint, plan->n_lint * sizeof(*lint));
	plan->lint = lint;
	for (size_t i = 0; i < plan->n_changes; i++) {
		const char *message = loss(r, &plan->changes[i]);

		if (message)
			lint[plan->n_lint++] = (struct schema_lint){
				message,	 plan->changes[i].table, "",
				LINTER_ROLLBACK, rule_level_name(level), ""
			};
	}
}

int rollback_plan_post(struct app *app, const struct request *req, struct reply *reply,
		       struct sb_err *err)
{
	const struct rollback_input *in = req->body;
	struct rollback r = { .req = req, .files = js_own(req->ctx, js_object()) };
	const struct config_environment *e;
	struct schema_plan **plans, *outcome;
	struct plan plan = { 0 };

	if (check_text("caller", in->caller, err) < 0 || load(app, &r, err) < 0)
		return -1;
	e = r.target.environment;
	plans = mem_array(req->ctx, struct schema_plan *, e->n_deployments);
	for (size_t i = 0; i < e->n_deployments; i++)
		if (plan_back(&r, &e->deployments[i], &plans[i], err) < 0)
			return -1;
	plan_union(req->ctx, e->deployments, plans, e->n_deployments, &outcome);
	tell_losses(&r, outcome);

	plan.schema_files = js_render(req->ctx, json_object_get(r.files));
	plan.repository = r.plan->repository;
	plan.head_sha = mem_strdup(req->ctx, "");
	plan.pull_request = r.plan->pull_request;
	plan.rollback_of = r.source.apply->apply_id;
	if (planning_store(app, req, &r.target, outcome, &plan, err) < 0)
		return -1;
	return reply_json(reply, 200, view_plan(&plan, outcome));
}
