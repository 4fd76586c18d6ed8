/*
 * status.c - GET /api/status and /api/history/{database}: lists of applies.
 */
#include <stdlib.h>
#include <string.h>

#include "core/store/apply.h"
#include "fcgi/handlers.h"
#include "fcgi/view.h"

#define DEFAULT_LIMIT 20
/* A cursor that stands before the newest row. */
#define FROM_THE_NEWEST	    ((uint64_t)INT64_MAX)
#define LONGEST_AGE_SECONDS (10LL * 365 * 24 * 60 * 60)

/* "90s", "30m", "24h", "7d" as seconds, or -1. */
static int64_t parse_age(const char *text)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 60 * 60 }, { 'd', 24 * 60 * 60 } };
	size_t digits = strspn(text, "0123456789");
	int64_t n = digits > 0 && digits <= 9 ? strtoll(text, NULL, 10) : 0;

	if (n < 1 || !text[digits] || text[digits + 1])
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (units[i].unit == text[digits])
			return n * units[i].seconds <= LONGEST_AGE_SECONDS
				       ? n * units[i].seconds
				       : -1;
	return -1;
}

/* The row behind a cursor: cursors are public identifiers, row ids stay here. */
static int find_cursor(const struct request *req, struct db *db, const char *after,
		       uint64_t *row, struct sb_err *err)
{
	struct apply *apply;
	int rc;

	*row = FROM_THE_NEWEST;
	if (!*after)
		return 0;
	rc = apply_get(req->ctx, db, after, &apply, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return sb_err(
			err, SB_EINVALID,
			"Parameter 'after' must be the next_after of an earlier reply; there "
			"is no apply '%.100s'.",
			after);
	*row = apply->id;
	return 0;
}

static int fill_filter(const struct request *req, struct db *db, struct apply_filter *f,
		       struct sb_err *err)
{
	const struct status_query *q = req->query;
	int state = STATE_PENDING;

	*f = (struct apply_filter){
		.database = lower_case(req->ctx, q->database),
		.environment = lower_case(req->ctx, q->environment),
		.deployment = q->deployment,
		.failures = q->failures,
		.active = q->active,
		.limit = q->limit ? (int)q->limit : DEFAULT_LIMIT,
	};
	if (q->state && state_parse(q->state, &state) < 0)
		return sb_err(
			err, SB_EINVALID,
			"Parameter 'state': there is no state '%.64s'. state_counts of this "
			"reply without it has those in use.",
			q->state);
	if (q->state) /* by its present name: an older one is understood too */
		f->state = state_name((enum state)state);
	if (q->last) {
		f->newer_than_seconds = parse_age(q->last);
		if (f->newer_than_seconds < 0)
			return sb_err(
				err, SB_EINVALID,
				"Parameter 'last' must be a number with s, m, h or d, such as "
				"24h, and at most ten years.");
	}
	return q->after ? find_cursor(req, db, q->after, &f->after, err) : 0;
}

static void add_totals(struct json_object *o, const struct state_total *totals, size_t n)
{
	struct json_object *counts = js_object();
	int64_t active = 0;

	for (size_t i = 0; i < n; i++) {
		enum state_class class = state_class(totals[i].state);

		js_int(counts, state_name(totals[i].state), totals[i].n);
		if (class != CLASS_SETTLED && class != CLASS_STOPPED)
			active += totals[i].n;
	}
	js_int(o, "active_count", active);
	js_add(o, "state_counts", counts);
}

int status_read(struct app *app, const struct request *req, struct reply *reply,
		struct sb_err *err)
{
	struct json_object *o, *list;
	struct state_total *totals;
	struct apply_filter filter;
	size_t n, n_totals;
	struct apply *a;
	struct db *db;
	bool has_more;

	if (app_storage(app, req, &db, err) < 0 ||
	    fill_filter(req, db, &filter, err) < 0 ||
	    apply_list(req->ctx, db, &filter, &a, &n, &has_more, err) < 0 ||
	    apply_state_totals(req->ctx, db, &totals, &n_totals, err) < 0)
		return -1;
	o = js_object();
	list = js_array();
	for (size_t i = 0; i < n; i++)
		js_push(list, view_status_entry(req->ctx, &a[i]));
	add_totals(o, totals, n_totals);
	js_add(o, "applies", list);
	js_bool(o, "has_more", has_more);
	if (filter.after && has_more)
		js_str(o, "next_after", a[n - 1].apply_id);
	return reply_json(reply, 200, o);
}

int history_read(struct app *app, const struct request *req, struct reply *reply,
		 struct sb_err *err)
{
	const struct history_query *q = req->query;
	struct apply_filter filter = {
		.database = lower_case(req->ctx, req->params[0]),
		.environment = lower_case(req->ctx, q->environment),
		.limit = q->limit ? (int)q->limit : DEFAULT_LIMIT,
	};
	struct json_object *o, *list;
	struct apply *a;
	struct db *db;
	bool has_more;
	size_t n;

	if (app_storage(app, req, &db, err) < 0 ||
	    find_cursor(req, db, q->after ? q->after : "", &filter.after, err) < 0 ||
	    apply_list(req->ctx, db, &filter, &a, &n, &has_more, err) < 0)
		return -1;
	/* A database that left the configuration still has its history. */
	if (n == 0 && !config_database(app->config, filter.database))
		return sb_err(
			err, SB_ENOTFOUND,
			"There is no database '%.100s'. GET /api/databases lists them.",
			req->params[0]);
	o = js_object();
	list = js_array();
	for (size_t i = 0; i < n; i++)
		js_push(list, view_history_entry(&a[i]));
	js_str(o, "database", filter.database);
	js_add(o, "applies", list);
	js_bool(o, "has_more", has_more);
	if (has_more)
		js_str(o, "next_after", a[n - 1].apply_id);
	return reply_json(reply, 200, o);
}
