/*
 * locks.c - the lock routes: an owner reserves a database, in all its environments.
 */
#include <string.h>

#include "core/base/log.h"
#include "core/store/lock.h"
#include "fcgi/handlers.h"
#include "fcgi/view.h"

/* The configured database of a lock request; type may be NULL. */
static int lock_database(const struct app *app, const struct request *req,
			 const char *database, const char *type,
			 const struct config_database **out, struct sb_err *err)
{
	const struct config_database *d =
		config_database(app->config, lower_case(req->ctx, database));

	*out = NULL;
	if (!d)
		return sb_err(
			err, SB_ENOTFOUND,
			"There is no database '%.100s'. GET /api/databases lists them.",
			database);
	if (type && strcmp(lower_case(req->ctx, type), d->type) != 0)
		return sb_err(
			err, SB_EINVALID,
			"Database '%s' is of type '%s', not '%.64s'; correct 'database_type' "
			"or leave it out.",
			d->name, d->type, type);
	*out = d;
	return 0;
}

static struct json_object *wrap(const char *key, const struct lock *lock)
{
	struct json_object *o = js_object();

	js_add(o, key, view_lock(lock));
	return o;
}

/* A conflict shows whose lock it is, besides saying so. */
static int conflict(struct reply *reply, const struct lock *held, struct sb_err *err)
{
	int rc = sb_err(
		err, SB_ELOCKED,
		"Database '%s' is locked by '%s' since %s UTC. Wait for its release, or "
		"release it with DELETE /api/locks and force = true.",
		held->database, held->owner, held->created_at);

	reply_error(reply, err);
	js_add(reply->json, "current_lock", view_lock(held));
	return rc;
}

int lock_acquire_post(struct app *app, const struct request *req, struct reply *reply,
		      struct sb_err *err)
{
	const struct lock_acquire_input *in = req->body;
	const struct config_database *d;
	struct lock wanted, *held;
	struct db *db;
	int rc;

	if (!*in->owner)
		return sb_err(err, SB_EINVALID,
			      "Field 'owner' is empty; say who it is for.");
	if (check_text("owner", in->owner, err) < 0 ||
	    check_text("repository", in->repository, err) < 0 ||
	    check_text("pending_plan_id", in->pending_plan_id, err) < 0 ||
	    lock_database(app, req, in->database, in->database_type, &d, err) < 0 ||
	    app_storage(app, req, &db, err) < 0)
		return -1;
	wanted = (struct lock){
		.database = mem_strdup(req->ctx, d->name),
		.database_type = mem_strdup(req->ctx, d->type),
		.owner = mem_strdup(req->ctx, in->owner),
		.repository = mem_strdup(req->ctx, in->repository ? in->repository : ""),
		.pending_plan_id = mem_strdup(
			req->ctx, in->pending_plan_id ? in->pending_plan_id : ""),
		.pull_request = in->pull_request,
	};
	rc = lock_acquire(req->ctx, db, &wanted, &held, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return conflict(reply, held, err);
	log_info("api.lock.acquired", "%s took the lock of %s for %s", req->token->name,
		 d->name, held->owner);
	return reply_json(reply, 200, wrap("lock", held));
}

int lock_release_delete(struct app *app, const struct request *req, struct reply *reply,
			struct sb_err *err)
{
	const struct lock_release_input *in = req->body ? req->body : req->query;
	const struct config_database *d;
	const char *type;
	struct json_object *o;
	struct db *db;

	if (req->body && request_param(req, "QUERY_STRING"))
		return sb_err(
			err, SB_EINVALID,
			"Send the fields in the body or in the query string, not in both.");
	if (!in->database)
		return sb_err(err, SB_EINVALID, "Field 'database' is missing.");
	if (!in->force && (!in->owner || !*in->owner))
		return sb_err(
			err, SB_EINVALID,
			"Field 'owner' is missing; name the lock's owner, or set force to "
			"true.");
	if (lock_database(app, req, in->database, in->database_type, &d, err) < 0 ||
	    app_storage(app, req, &db, err) < 0)
		return -1;
	type = d->type;
	if (lock_release(db, d->name, type, in->owner ? in->owner : "", in->force, err) <
	    0)
		return -1;
	log_info("api.lock.released", "%s released the lock of %s%s", req->token->name,
		 d->name, in->force ? " by force" : "");
	o = js_object();
	js_str(o, "status", "released");
	return reply_json(reply, 200, o);
}

int locks_read(struct app *app, const struct request *req, struct reply *reply,
	       struct sb_err *err)
{
	struct json_object *o, *list;
	struct lock *locks;
	struct db *db;
	size_t n;

	if (app_storage(app, req, &db, err) < 0 ||
	    lock_list(req->ctx, db, &locks, &n, err) < 0)
		return -1;
	o = js_object();
	list = js_array();
	for (size_t i = 0; i < n; i++)
		js_push(list, view_lock(&locks[i]));
	js_add(o, "locks", list);
	return reply_json(reply, 200, o);
}

int lock_read(struct app *app, const struct request *req, struct reply *reply,
	      struct sb_err *err)
{
	struct lock *lock;
	struct db *db;
	int rc;

	if (app_storage(app, req, &db, err) < 0)
		return -1;
	rc = lock_get(req->ctx, db, lower_case(req->ctx, req->params[0]),
		      lower_case(req->ctx, req->params[1]), &lock, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(err, SB_ENOTFOUND,
			      "Nobody holds a lock on the %.64s database '%.64s'.",
			      req->params[1], req->params[0]);
	return reply_json(reply, 200, wrap("lock", lock));
}
