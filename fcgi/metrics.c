/*
 * metrics.c - GET /metrics: Prometheus text, counted from the tables when asked.
 *
 * Every series has an environment label, `unknown` where there is none. Labels are names
 * from the configuration and from our own lists: no identifier, caller or message, so
 * that their number stays small. A dead storage is a value (schemabot_storage_up 0), not
 * an error: the scrape succeeds and the alert can tell the two apart.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/store/counter.h"
#include "core/store/metrics.h"
#include "fcgi/handlers.h"

#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* ---- text format ------------------------------------------------------------------ */

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP schemabot_%s %s\n# TYPE schemabot_%s %s\n", name, help,
		   name, type);
}

static void label(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, ",%s=\"", name);
	for (const char *p = value ? value : ""; *p; p++) {
		if (*p == '\n') {
			buf_str(b, "\\n");
			continue;
		}
		if (*p == '"' || *p == '\\')
			buf_char(b, '\\');
		buf_char(b, *p);
	}
	buf_char(b, '"');
}

/* "schemabot_NAME{environment="E"" : more labels and end_sample() follow. */
static void begin_sample(struct buf *b, const char *name, const char *environment)
{
	size_t comma;

	buf_printf(b, "schemabot_%s{", name);
	comma = b->len;
	label(b, "environment", environment && *environment ? environment : "unknown");
	memmove(b->data + comma, b->data + comma + 1, b->len - comma);
	b->len--;
}

static void end_sample(struct buf *b, double value)
{
	buf_printf(b, "} %.15g\n", value);
}

static void single(struct buf *b, const char *name, const char *type, const char *help,
		   double value)
{
	family(b, name, type, help);
	begin_sample(b, name, NULL);
	end_sample(b, value);
}

/* ---- families over metric_total rows ---------------------------------------------- */

static void by_state(struct buf *b, const char *name, const struct metric_total *t,
		     size_t n)
{
	for (size_t i = 0; i < n; i++) {
		begin_sample(b, name, t[i].environment);
		label(b, "database", t[i].database);
		label(b, "state", t[i].label);
		end_sample(b, (double)t[i].n);
	}
}

static bool is_active(const char *name)
{
	int state;

	if (!name || state_parse(name, &state) < 0)
		return false;
	return state_class((enum state)state) != CLASS_SETTLED &&
	       state_class((enum state)state) != CLASS_STOPPED;
}

static bool same_place(const struct metric_total *a, const struct metric_total *b)
{
	return strcmp(a->database, b->database) == 0 &&
	       strcmp(a->environment, b->environment) == 0;
}

/* One sample for each database and environment that has ever had an apply, zero included.
 */
static void active_applies(struct buf *b, const struct metric_total *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int64_t sum = 0;
		size_t first = 0;

		while (!same_place(&t[first], &t[i]))
			first++;
		if (first < i)
			continue;
		for (size_t j = i; j < n; j++)
			if (same_place(&t[j], &t[i]) && is_active(t[j].label))
				sum += t[j].n;
		begin_sample(b, "active_applies", t[i].environment);
		label(b, "database", t[i].database);
		end_sample(b, (double)sum);
	}
}

static void finished_applies(struct buf *b, const struct metric_total *t, size_t n)
{
	static const struct {
		const char *state, *status;
	} outcomes[] = { { "completed", "success" }, { "failed", "error" } };

	for (size_t i = 0; i < n; i++)
		for (size_t o = 0; o < ARRAY_SIZE(outcomes); o++) {
			if (strcmp(t[i].label, outcomes[o].state) != 0)
				continue;
			begin_sample(b, "applies_total", t[i].environment);
			label(b, "database", t[i].database);
			label(b, "status", outcomes[o].status);
			end_sample(b, (double)t[i].n);
		}
}

static void plans(struct buf *b, const struct metric_total *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		begin_sample(b, "plans_total", t[i].environment);
		label(b, "database", t[i].database);
		label(b, "status", t[i].label);
		end_sample(b, (double)t[i].n);
	}
}

static const char *control_status(const char *stored)
{
	if (strcmp(stored, "completed") == 0)
		return "success";
	return strcmp(stored, "failed") == 0 ? "error" : stored;
}

static void controls(struct buf *b, const struct metric_total *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		begin_sample(b, "control_operations_total", t[i].environment);
		label(b, "database", t[i].database);
		label(b, "operation", t[i].label);
		label(b, "status", control_status(t[i].label2 ? t[i].label2 : ""));
		end_sample(b, (double)t[i].n);
	}
}

static void by_label(struct buf *b, const char *name, const char *label_name,
		     const struct metric_total *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		begin_sample(b, name, t[i].environment);
		label(b, "database", t[i].database);
		label(b, label_name, t[i].label);
		end_sample(b, (double)t[i].n);
	}
}

/* Upstream's names for what our error codes say. */
static void resume_failures(struct buf *b, const struct metric_total *t, size_t n)
{
	static const struct {
		const char *code, *reason;
	} reasons[] = {
		{ "retry_exhausted", "retry_budget_exhausted" },
		{ "deployment_not_found", "missing_deployment" },
	};

	for (size_t i = 0; i < n; i++)
		for (size_t r = 0; r < ARRAY_SIZE(reasons); r++) {
			if (strcmp(t[i].label, reasons[r].code) != 0)
				continue;
			begin_sample(b, "operator_resume_failures_total",
				     t[i].environment);
			label(b, "database", t[i].database);
			label(b, "reason", reasons[r].reason);
			end_sample(b, (double)t[i].n);
		}
}

/* Of the last day only: a histogram of all of them would read the whole table. */
static void recent(struct buf *b, const struct metric_recent *r, size_t n)
{
	static const char *const stats[] = { "average", "longest" };

	for (size_t i = 0; i < n; i++)
		for (size_t s = 0; s < ARRAY_SIZE(stats); s++) {
			begin_sample(b, "apply_last_day_duration_seconds",
				     r[i].environment);
			label(b, "database", r[i].database);
			label(b, "status", r[i].label);
			label(b, "stat", stats[s]);
			end_sample(b,
				   s == 0 ? r[i].average_seconds : r[i].longest_seconds);
		}
}

/* One family for each, whether or not it has ever happened. */
static void counters(struct buf *b, const struct metric_total *t, size_t n)
{
	for (int c = 0; c < COUNTER_COUNT; c++) {
		const char *name = counter_name((enum counter)c);

		family(b, name, "counter", counter_help((enum counter)c));
		for (size_t i = 0; i < n; i++) {
			if (strcmp(t[i].label, name) != 0)
				continue;
			begin_sample(b, name, t[i].environment);
			label(b, "database", t[i].database);
			end_sample(b, (double)t[i].n);
		}
	}
}

static void add_all(struct buf *b, const struct metrics *m)
{
	family(b, "plans_total", "counter", "Plans made, by whether they have errors.");
	plans(b, m->plans, m->n_plans);
	family(b, "applies", "gauge", "Stored applies, by state.");
	by_state(b, "applies", m->applies, m->n_applies);
	family(b, "applies_total", "counter", "Applies that ended, by outcome.");
	finished_applies(b, m->applies, m->n_applies);
	family(b, "active_applies", "gauge",
	       "Applies that are neither settled nor stopped.");
	active_applies(b, m->applies, m->n_applies);
	family(b, "control_operations_total", "counter",
	       "Requests of operators, by outcome.");
	controls(b, m->controls, m->n_controls);
	family(b, "operations", "gauge", "Operations that are not settled, by state.");
	by_state(b, "operations", m->operations, m->n_operations);
	single(b, "operator_operations_due", "gauge",
	       "Operations that wait to be claimed.", (double)m->operations_due);
	single(b, "operator_oldest_due_seconds", "gauge",
	       "For how long the oldest of them has been waiting.",
	       m->oldest_due_seconds);
	single(b, "operator_operations_leased", "gauge",
	       "Operations that a driver holds.", (double)m->operations_leased);
	single(b, "wedged_operations", "gauge",
	       "Operations that nobody claims, or could ever claim, for two lease windows; "
	       "should be 0.",
	       (double)m->operations_wedged);
	single(b, "scheduler_expired_retryable_total", "counter",
	       "Operations that failed because their retries were used up.",
	       (double)m->expired_retryable);
	single(b, "operator_stuck_pending_applies", "gauge",
	       "Applies that nobody has begun within a lease window.",
	       (double)m->stuck_pending);
	family(b, "operator_resume_failures_total", "counter",
	       "Operations that were given up, by reason.");
	resume_failures(b, m->failures, m->n_failures);
	family(b, "operation_failures_total", "counter",
	       "Operations that failed, by the code of their error.");
	by_label(b, "operation_failures_total", "error_code", m->failures, m->n_failures);
	family(b, "engine_unrecognized_status_total", "counter",
	       "Times that an engine reported a state that is not known here.");
	by_label(b, "engine_unrecognized_status_total", "engine", m->unrecognized,
		 m->n_unrecognized);
	family(b, "apply_last_day_duration_seconds", "gauge",
	       "From the first driver to the end, of applies that ended within a day.");
	recent(b, m->recent, m->n_recent);
	counters(b, m->counters, m->n_counters);
}

int metrics_text(struct app *app, const struct request *req, struct reply *reply,
		 struct sb_err *err)
{
	struct metrics m = { 0 };
	struct db *db;
	struct buf b;
	bool up;

	up = app_storage(app, req, &db, err) == 0 &&
	     metrics_read(req->ctx, db, &m, err) == 0;
	/* A dead old connection is no outage: dispatch tries once more with a new one. */
	if (!up && app->storage_reused && app->storage && db_is_lost(app->storage))
		return -1;
	buf_init(&b, req->ctx);
	single(&b, "storage_up", "gauge", "Whether our storage answers.", up);
	if (up)
		add_all(&b, &m);
	else
		log_err(LOG_WARN, "api.metrics.failed", err,
			"the storage cannot be used");
	return reply_text(reply, CONTENT_TYPE, b.data);
}
