/*
 * control.c - POST /api/stop, start, cancel, cutover, volume, release, revert,
 * skip-revert.
 *
 * A request is recorded, with the rules of core/store deciding whether the state allows
 * it, and the scheduler is woken; whoever drives the apply obeys it. "Accepted" therefore
 * means durable, not done.
 *
 * Must never: call an engine, or write anything before the rules have agreed.
 */
#include <string.h>

#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/store/apply.h"
#include "core/store/control.h"
#include "engines/engine.h"
#include "fcgi/handlers.h"

/* ---- which apply ------------------------------------------------------------------ */

static int find_active(const struct request *req, struct db *db,
		       const struct volume_input *in, struct apply **apply,
		       struct sb_err *err)
{
	int rc;

	if (!in->database || !in->environment)
		return sb_err(
			err, SB_EINVALID,
			"Name the apply: field 'apply_id', or 'database' and 'environment' "
			"for the active one.");
	rc = apply_current(req->ctx, db, lower_case(req->ctx, in->database),
			   lower_case(req->ctx, in->environment), apply, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(
			err, SB_ENOTFOUND,
			"Nothing has been applied to %.64s/%.64s yet, so there is nothing to "
			"control.",
			in->database, in->environment);
	return 0;
}

static int must_equal(const struct request *req, const char *field, const char *given,
		      const char *actual, const char *apply_id, struct sb_err *err)
{
	if (!given || strcmp(lower_case(req->ctx, given), actual) == 0)
		return 0;
	return sb_err(
		err, SB_EINVALID,
		"Field '%s' is '%.100s', but apply '%s' has '%s'; correct it or leave it "
		"out.",
		field, given, apply_id, actual);
}

static int find_apply(struct app *app, const struct request *req, struct db *db,
		      struct apply **apply, struct sb_err *err)
{
	const struct volume_input *in = req->body;
	struct app_target target;
	int rc;

	if (!in->apply_id) {
		if (find_active(req, db, in, apply, err) < 0)
			return -1;
	} else {
		rc = apply_get(req->ctx, db, in->apply_id, apply, err);
		if (rc < 0)
			return -1;
		if (rc == 0)
			return sb_err(
				err, SB_ENOTFOUND,
				"There is no apply '%.100s'. GET /api/status lists what "
				"there is.",
				in->apply_id);
	}
	if (must_equal(req, "database", in->database, (*apply)->database,
		       (*apply)->apply_id, err) < 0 ||
	    must_equal(req, "environment", in->environment, (*apply)->environment,
		       (*apply)->apply_id, err) < 0)
		return -1;
	/* Only a request that names a route needs one that is still configured. */
	if (!in->deployment && !in->target)
		return 0;
	return app_target(app, req->ctx, (*apply)->database, (*apply)->environment, NULL,
			  in->deployment, in->target, &target, err);
}

/* ---- replies ---------------------------------------------------------------------- */

static const char *status_text(enum control control, const struct control_result *result)
{
	switch (result->outcome) {
	case CONTROL_ACCEPTED:
		return "queued";
	case CONTROL_ALREADY_REQUESTED:
		return "already_requested";
	case CONTROL_ALREADY_DONE:
		return control == CONTROL_CUTOVER ? "already_in_progress"
						  : "already_done";
	}
	BUG("outcome %d", (int)result->outcome);
}

static int reply_control(enum control control, const struct apply *apply, int volume,
			 const struct control_result *result, struct reply *reply)
{
	struct json_object *o = js_object();

	js_bool(o, "accepted", true);
	js_str(o, "status", status_text(control, result));
	js_str(o, "apply_id", apply->apply_id);
	js_str(o, "state", state_name(result->state));
	if (control == CONTROL_STOP || control == CONTROL_CANCEL)
		js_int(o, "stopped_count", result->tasks_open);
	if (control == CONTROL_START)
		js_int(o, "started_count", result->tasks_open);
	if (control == CONTROL_STOP || control == CONTROL_CANCEL ||
	    control == CONTROL_START)
		js_int(o, "skipped_count", result->tasks_settled);
	if (control == CONTROL_VOLUME) {
		js_int(o, "previous_volume", result->previous_volume);
		js_int(o, "new_volume", volume);
	}
	return reply_json(reply, result->outcome == CONTROL_ACCEPTED ? 200 : 202, o);
}

static int submit(struct app *app, const struct request *req, enum control control,
		  int volume, struct reply *reply, struct sb_err *err)
{
	const struct volume_input *in = req->body;
	const struct engine *engine;
	struct control_result result;
	struct apply *apply;
	const char *caller;
	struct db *db;

	if (check_text("caller", in->caller, err) < 0 ||
	    app_storage(app, req, &db, err) < 0 ||
	    find_apply(app, req, db, &apply, err) < 0)
		return -1;
	caller = app_caller(req, in->caller);
	engine = engine_by_name(apply->engine);
	if (control_submit(db, apply->apply_id, apply->environment, control, caller,
			   engine ? engine->caps : 0, volume, &result, err) < 0)
		return -1;
	FAULT("api.control.recorded");
	app_wake(app);
	log_context("apply_id", apply->apply_id);
	log_info("api.control.accepted", "%s: %s requested by %s",
		 status_text(control, &result), control_name(control), caller);
	return reply_control(control, apply, volume, &result, reply);
}

#define HANDLER(name, control)                                                    \
	int name(struct app *app, const struct request *req, struct reply *reply, \
		 struct sb_err *err)                                              \
	{                                                                         \
		return submit(app, req, control, 0, reply, err);                  \
	}
HANDLER(control_stop, CONTROL_STOP)
HANDLER(control_start, CONTROL_START)
HANDLER(control_cancel, CONTROL_CANCEL)
HANDLER(control_cutover, CONTROL_CUTOVER)
HANDLER(control_release, CONTROL_RELEASE)
HANDLER(control_revert, CONTROL_REVERT)
HANDLER(control_skip_revert, CONTROL_SKIP_REVERT)

int control_volume(struct app *app, const struct request *req, struct reply *reply,
		   struct sb_err *err)
{
	const struct volume_input *in = req->body;

	if (in->volume < VOLUME_MIN || in->volume > VOLUME_MAX)
		return sb_err(err, SB_EINVALID, "Field 'volume' must be from %d to %d.",
			      VOLUME_MIN, VOLUME_MAX);
	return submit(app, req, CONTROL_VOLUME, (int)in->volume, reply, err);
}
