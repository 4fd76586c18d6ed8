/*
 * routes.c - the route table and its matching. See route.h.
 */
#include <string.h>

#include "core/base/buf.h"
#include "fcgi/handlers.h"
#include "fcgi/route.h"

#define R(method, path, access, handler, body, query, reply, summary)                \
	{                                                                            \
		METHOD_##method, path, ACCESS_##access, handler, body, query, reply, \
			summary                                                      \
	}

/* clang-format off */
const struct route routes[] = {
	/* method, path, access, handler,
	   body, query, reply, summary */
	R(GET, "/livez", PUBLIC, livez_read,
	  NULL, NULL, "Health", "Is the process alive? Asks nothing else."),
	R(GET, "/health", PUBLIC, health_read,
	  NULL, NULL, "Health", "Does the storage answer? 503 when not."),
	R(GET, "/metrics", PUBLIC, metrics_text,
	  NULL, NULL, NULL, "Prometheus text; nginx serves it on its own port only."),
	R(GET, "/api/openapi.json", READ, openapi_read,
	  NULL, NULL, "OpenAPI", "This document."),

	R(GET, "/api/databases", READ, databases_read,
	  NULL, NULL, "Databases", "The configured databases."),
	R(GET, "/api/databases/{database}/environments", READ, environments_read,
	  NULL, NULL, "Environments", "The environments of a database, with their routes."),
	R(GET, "/api/lint-rules", READ, lint_rules_read,
	  NULL, NULL, "LintRules", "The rules that plans are judged by, and their levels."),
	R(POST, "/api/pull", READ, pull_post,
	  &pull_input_spec, NULL, "Pull", "The live schema as files that a plan takes."),

	R(POST, "/api/plan", WRITE, plan_post,
	  &plan_input_spec, NULL, "Plan", "Compare desired files with the live schema."),
	R(GET, "/api/plans/{plan_id}", READ, plan_read,
	  NULL, NULL, "Plan", "A plan again."),
	R(POST, "/api/apply", WRITE, apply_post,
	  &apply_input_spec, NULL, "ApplyAccepted", "Start carrying out a plan. Honours Idempotency-Key."),

	R(POST, "/api/rollback/plan", WRITE, rollback_plan_post,
	  &rollback_input_spec, NULL, "Plan", "Plan the way back from a completed apply; applied like any plan."),

	R(GET, "/api/progress/apply/{apply_id}", READ, progress_of_apply,
	  NULL, NULL, "Progress", "How far an apply is."),
	R(GET, "/api/progress/{database}", READ, progress_of_database,
	  NULL, &progress_query_spec, "Progress", "How far the active apply of a database is, else its latest."),
	R(GET, "/api/why/{apply_id}", READ, why_of_apply,
	  NULL, NULL, "Why", "Why an apply does or does not move: what it waits for, and until when."),
	R(GET, "/api/status", READ, status_read,
	  NULL, &status_query_spec, "Status", "Applies: live ones first, then by latest activity."),
	R(GET, "/api/history/{database}", READ, history_read,
	  NULL, &history_query_spec, "History", "The applies of a database, newest first."),
	R(GET, "/api/logs", READ, logs_of_apply,
	  NULL, &logs_query_spec, "Logs", "The newest log lines of an apply, oldest first."),
	R(GET, "/api/logs/{database}", READ, logs_of_database,
	  NULL, &logs_query_spec, "Logs", "The same for the active apply of a database, else its latest."),

	R(POST, "/api/stop", WRITE, control_stop,
	  &control_input_spec, NULL, "Control", "Halt an apply; it can be started again."),
	R(POST, "/api/start", WRITE, control_start,
	  &control_input_spec, NULL, "Control", "Continue a stopped apply."),
	R(POST, "/api/cancel", WRITE, control_cancel,
	  &control_input_spec, NULL, "Control", "Halt an apply for ever."),
	R(POST, "/api/cutover", WRITE, control_cutover,
	  &control_input_spec, NULL, "Control", "Let an apply that waits for it swap its tables."),
	R(POST, "/api/volume", WRITE, control_volume,
	  &volume_input_spec, NULL, "Volume", "How hard an apply works, 1 to 11."),
	R(POST, "/api/release", WRITE, control_release,
	  &control_input_spec, NULL, "Control", "Let a rollout that paused at a failure go on."),
	R(POST, "/api/revert", WRITE, control_revert,
	  &control_input_spec, NULL, "Control", "Undo a change during its revert window."),
	R(POST, "/api/skip-revert", WRITE, control_skip_revert,
	  &control_input_spec, NULL, "Control", "Keep a change: end its revert window."),

	R(POST, "/api/locks/acquire", WRITE, lock_acquire_post,
	  &lock_acquire_input_spec, NULL, "LockReply", "Reserve a database for an owner."),
	R(DELETE, "/api/locks", WRITE, lock_release_delete,
	  &lock_release_input_spec, &lock_release_input_spec, "Released", "Release a lock; fields in the body or the query."),
	R(GET, "/api/locks", READ, locks_read,
	  NULL, NULL, "Locks", "All locks."),
	R(GET, "/api/locks/{database}/{database_type}", READ, lock_read,
	  NULL, NULL, "LockReply", "The lock of a database."),

	R(GET, "/api/settings", READ, settings_read,
	  NULL, NULL, "Settings", "All settings."),
	R(GET, "/api/settings/{key}", READ, setting_read,
	  NULL, NULL, "Setting", "One setting."),
	R(POST, "/api/settings", WRITE, setting_post,
	  &setting_input_spec, NULL, "Setting", "Set one."),
};
/* clang-format on */
const size_t n_routes = ARRAY_SIZE(routes);

/* Does the path of a route fit? Its {…} segments are noted in req->params. */
static bool path_matches(struct request *req, const char *path)
{
	size_t i = 0, n_params = 0;

	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if (i == req->n_segments)
			return false;
		if (*path == '{') {
			BUG_ON(n_params == ROUTE_MAX_PARAMS);
			if (!*req->segments[i])
				return false;
			req->params[n_params++] = req->segments[i];
		} else if (strlen(req->segments[i]) != n ||
			   memcmp(req->segments[i], path, n) != 0) {
			return false;
		}
		path += n;
		i++;
	}
	return i == req->n_segments;
}

int route_find(struct request *req, const char **allow, struct sb_err *err)
{
	struct buf methods;

	*allow = NULL;
	buf_init(&methods, req->ctx);
	for (size_t i = 0; i < n_routes; i++) {
		if (!path_matches(req, routes[i].path))
			continue;
		if (routes[i].method == req->method) {
			req->route = &routes[i];
			return 0;
		}
		buf_printf(&methods, "%s%s", methods.len > 0 ? ", " : "",
			   routes[i].method == METHOD_GET
				   ? "GET, HEAD"
				   : method_name(routes[i].method));
	}
	if (methods.len == 0)
		return sb_err(err, SB_ENOTFOUND, NOTHING_HERE);
	*allow = methods.data;
	return sb_err(err, SB_EMETHOD, "This address takes %s.", methods.data);
}
