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

/* Answer with the body of the current revision, or that the client has it already. */
static int reply_body(const struct request *req, const char *apply_id, uint64_t revision,
		      const char *body, struct reply *reply)
{
	reply->etag = etag_of(req->ctx, apply_id, revision);
	if (request_matches_etag(req, reply->etag)) {
		reply->status = 304;
		reply->text = "";
		return 0;
	}
	return reply_text(reply, "application/json", body);
}

static int no_apply(const char *apply_id, struct sb_err *err)
{
	return sb_err(err, SB_ENOTFOUND,
		      "There is no apply '%.100s'. GET /api/status lists what there is.",
		      apply_id);
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
		return no_apply(apply_id, err);
	a = bundle.apply;
	body = js_render(req->ctx, view_progress(req->ctx, &bundle));
	memo_put(app->memo, a->apply_id, a->revision, state_is_settled(a->state), body);
	return reply_body(req, a->apply_id, a->revision, body, reply);
}

/* A body that this worker does not remember need not be rendered for a 304. */
static int reply_revision(struct app *app, const struct request *req, struct db *db,
			  const char *apply_id, uint64_t revision, struct reply *reply,
			  struct sb_err *err)
{
	const char *body = memo_get(app->memo, apply_id, revision);

	if (body || request_matches_etag(req, etag_of(req->ctx, apply_id, revision)))
		return reply_body(req, apply_id, revision, body, reply);
	return reply_progress(app, req, db, apply_id, reply, err);
}

int progress_of_apply(struct app *app, const struct request *req, struct reply *reply,
		      struct sb_err *err)
{
	const char *apply_id = req->params[0];
	const char *body = NULL;
	uint64_t revision;
	struct db *db;
	int rc;

	/* Not while storage is away: then nobody knows. */
	if (app->storage)
		body = memo_get_settled(app->memo, apply_id, &revision);
	if (body)
		return reply_body(req, apply_id, revision, body, reply);
	if (app_storage(app, req, &db, err) < 0)
		return -1;
	if (!memo_knows(app->memo, apply_id) && !request_param(req, "HTTP_IF_NONE_MATCH"))
		return reply_progress(app, req, db, apply_id, reply, err);
	rc = apply_revision(db, apply_id, &revision, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return no_apply(apply_id, err);
	return reply_revision(app, req, db, apply_id, revision, reply, err);
}

int progress_of_database(struct app *app, const struct request *req, struct reply *reply,
			 struct sb_err *err)
{
	const struct progress_query *q = req->query;
	struct apply *apply;
	struct db *db;
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
	return reply_revision(app, req, db, apply->apply_id, apply->revision, reply, err);
}
