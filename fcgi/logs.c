/*
 * logs.c - GET /api/logs and /api/logs/{database}: the timeline of an apply.
 */
#include <string.h>

#include "core/store/apply.h"
#include "core/store/apply_log.h"
#include "fcgi/handlers.h"
#include "fcgi/view.h"

#define DEFAULT_LIMIT 50

static int reply_logs(const struct request *req, struct db *db, const struct apply *apply,
		      struct reply *reply, struct sb_err *err)
{
	const struct logs_query *q = req->query;
	struct json_object *o, *list;
	struct log_entry *entries;
	size_t n;

	if (apply_log_read(req->ctx, db, apply->apply_id, (uint64_t)q->before,
			   q->limit ? (int)q->limit : DEFAULT_LIMIT, &entries, &n,
			   err) < 0)
		return -1;
	o = js_object();
	list = js_array();
	for (size_t i = 0; i < n; i++)
		js_push(list, view_log_entry(&entries[i]));
	js_str(o, "apply_id", apply->apply_id);
	js_add(o, "logs", list);
	return reply_json(reply, 200, o);
}

static int no_apply(const char *apply_id, struct sb_err *err)
{
	return sb_err(
		err, SB_ENOTFOUND,
		"There is no apply '%.100s' here. GET /api/status lists what there is.",
		apply_id);
}

/* The apply with this id, which must be of the database and environment where given. */
static int find_apply(const struct request *req, struct db *db, const char *database,
		      struct apply **apply, struct sb_err *err)
{
	const struct logs_query *q = req->query;
	const char *environment = lower_case(req->ctx, q->environment);
	int rc = apply_get(req->ctx, db, q->apply_id, apply, err);

	if (rc < 0)
		return -1;
	if (rc == 0 || (database && strcmp((*apply)->database, database) != 0) ||
	    (environment && strcmp((*apply)->environment, environment) != 0))
		return no_apply(q->apply_id, err);
	return 0;
}

int logs_of_apply(struct app *app, const struct request *req, struct reply *reply,
		  struct sb_err *err)
{
	const struct logs_query *q = req->query;
	struct apply *apply;
	struct db *db;

	if (!q->apply_id)
		return sb_err(
			err, SB_EINVALID,
			"Parameter 'apply_id' is missing; or ask for /api/logs/{database}.");
	if (app_storage(app, req, &db, err) < 0 ||
	    find_apply(req, db, NULL, &apply, err) < 0)
		return -1;
	return reply_logs(req, db, apply, reply, err);
}

int logs_of_database(struct app *app, const struct request *req, struct reply *reply,
		     struct sb_err *err)
{
	const struct logs_query *q = req->query;
	const char *database = lower_case(req->ctx, req->params[0]);
	struct apply *apply;
	struct db *db;
	int rc;

	if (app_storage(app, req, &db, err) < 0)
		return -1;
	if (q->apply_id) {
		if (find_apply(req, db, database, &apply, err) < 0)
			return -1;
		return reply_logs(req, db, apply, reply, err);
	}
	rc = apply_current(req->ctx, db, database, lower_case(req->ctx, q->environment),
			   &apply, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(
			err, SB_ENOTFOUND,
			"Nothing has been applied to '%.100s' yet%s. GET /api/databases lists "
			"the databases.",
			req->params[0], q->environment ? " in this environment" : "");
	return reply_logs(req, db, apply, reply, err);
}
