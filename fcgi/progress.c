/*
 * progress.c - GET /api/progress/…: how far an apply is, from storage only.
 *
 * Polled every two seconds by everybody who watches, so it is kept cheap: an unchanged
 * apply is recognized by its revision alone, and the rest is one statement.
 *
 * Must never: write anything, or ask an engine or a target.
 */
#include "core/store/apply.h"
#include "fcgi/handlers.h"
#include "fcgi/view.h"

static char *etag_of(TALLOC_CTX *ctx, const char *apply_id, uint64_t revision)
{
	return mem_printf(ctx, "W/\"%s-%llu\"", apply_id, (unsigned long long)revision);
}

static int not_modified(struct reply *reply, char *etag)
{
	reply->status = 304;
	reply->text = "";
	reply->etag = etag;
	return 0;
}

static int remembered(const struct app *app, const struct request *req,
		      const char *apply_id, uint64_t revision, struct reply *reply)
{
	const char *body = memo_get(app->memo, apply_id, revision);

	if (!body)
		return 0;
	reply->etag = etag_of(req->ctx, apply_id, revision);
	reply_text(reply, "application/json", body);
	return 1;
}

static int reply_progress(struct app *app, const struct request *req, struct db *db,
			  const char *apply_id, struct reply *reply, struct sb_err *err)
{
	struct apply_bundle bundle;
	const struct apply *a;
	int rc = apply_bundle(req->ctx, db, apply_id, &bundle, err);
	char *body;

	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(
			err, SB_ENOTFOUND,
			"There is no apply '%.100s'. GET /api/status lists what there is.",
			apply_id);
	a = bundle.apply;
	body = js_render(req->ctx, view_progress(req->ctx, &bundle));
	memo_put(app->memo, a->apply_id, a->revision, body);
	reply->etag = etag_of(req->ctx, a->apply_id, a->revision);
	return reply_text(reply, "application/json", body);
}

int progress_of_apply(struct app *app, const struct request *req, struct reply *reply,
		      struct sb_err *err)
{
	const char *apply_id = req->params[0];
	uint64_t revision;
	struct db *db;
	int rc;

	if (app_storage(app, req, &db, err) < 0)
		return -1;
	rc = apply_revision(db, apply_id, &revision, err);
	if (rc < 0)
		return -1;
	if (rc > 0) {
		char *etag = etag_of(req->ctx, apply_id, revision);

		if (request_matches_etag(req, etag))
			return not_modified(reply, etag);
		if (remembered(app, req, apply_id, revision, reply))
			return 0;
	}
	return reply_progress(app, req, db, apply_id, reply, err);
}

int progress_of_database(struct app *app, const struct request *req, struct reply *reply,
			 struct sb_err *err)
{
	const struct progress_query *q = req->query;
	struct apply *apply;
	struct db *db;
	char *etag;
	int rc;

	if (app_storage(app, req, &db, err) < 0)
		return -1;
	rc = apply_current(req->ctx, db, lower_case(req->ctx, req->params[0]),
			   lower_case(req->ctx, q->environment), &apply, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(
			err, SB_ENOTFOUND,
			"Nothing has been applied to '%.100s' yet%s. GET /api/databases lists "
			"the databases.",
			req->params[0], q->environment ? " in this environment" : "");
	etag = etag_of(req->ctx, apply->apply_id, apply->revision);
	if (request_matches_etag(req, etag))
		return not_modified(reply, etag);
	if (remembered(app, req, apply->apply_id, apply->revision, reply))
		return 0;
	return reply_progress(app, req, db, apply->apply_id, reply, err);
}
