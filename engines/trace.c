/*
 * trace.c - a wrapper around any engine that journals its calls. Test builds only.
 *
 * Where SB_TRACE names a file, registry.c hands out traced engines: same name, caps and
 * bounds, and every operation goes through here to the real one. Each call is one JSON
 * line: engine, call, operation, token, pid, tables, answer (or error), microseconds. A
 * test reads from it what an engine was asked to do, and above all what it was not.
 *
 * Must never: change an argument or an answer.
 */
#ifdef SB_FAULTS

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "engines/trace.h"

#define MOST_ENGINES 8

struct engine_run {
	const struct engine *real;
	struct engine_run *run;
	char *operation;
	uint64_t token;
};

/* ---- the journal ----------------------------------------------------------------------
 */

static void journal(const struct engine *e, const struct engine_run *t, const char *call,
		    const struct engine_task *tasks, size_t n, int64_t began, int rc,
		    const struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "trace");
	struct json_object *entry = js_object(), *list = js_array();
	char *line;
	int fd;

	js_str(entry, "engine", e->name);
	js_str(entry, "call", call);
	js_str(entry, "operation", t ? t->operation : NULL);
	js_int(entry, "token", t ? (int64_t)t->token : 0);
	js_int(entry, "pid", getpid());
	for (size_t i = 0; i < n; i++)
		js_push(list, json_object_new_string(tasks[i].table));
	js_add(entry, "tables", list);
	js_int(entry, "rc", rc);
	js_str(entry, "error", rc < 0 && err ? err_name(err->code) : "");
	js_int(entry, "us", clock_us() - began);
	line = mem_printf(tmp, "%s\n", js_render(tmp, entry));
	fd = open(getenv("SB_TRACE"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		BUG("cannot write the trace to %s", getenv("SB_TRACE"));
	close(fd);
	talloc_free(tmp);
}

/* ---- the operations
 * -------------------------------------------------------------------- */

static int trace_open(const struct engine *real, TALLOC_CTX *ctx,
		      const struct engine_request *request, struct engine_run **out,
		      struct sb_err *err)
{
	struct engine_run *t = mem_new(ctx, struct engine_run);
	int64_t began = clock_us();
	int rc;

	*out = NULL;
	t->real = real;
	t->operation = mem_strdup(t, request->operation);
	t->token = request->lease_token;
	rc = real->ops.open(t, request, &t->run, err);
	journal(real, t, "open", request->tasks, request->n_tasks, began, rc, err);
	if (rc == 0)
		*out = t;
	else
		talloc_free(t);
	return rc;
}

static int trace_prepare(TALLOC_CTX *ctx, struct engine_run *t,
			 const struct engine_work *work, const char **state,
			 struct sb_err *err)
{
	int64_t began = clock_us();
	int rc = t->real->ops.prepare(ctx, t->run, work, state, err);

	journal(t->real, t, "prepare", work->tasks, work->n_tasks, began, rc, err);
	return rc;
}

static int trace_start(TALLOC_CTX *ctx, struct engine_run *t,
		       const struct engine_work *work, const char **state,
		       struct sb_err *err)
{
	int64_t began = clock_us();
	int rc = t->real->ops.start(ctx, t->run, work, state, err);

	journal(t->real, t, "start", work->tasks, work->n_tasks, began, rc, err);
	return rc;
}

static int trace_attach(struct engine_run *t, const struct engine_work *work,
			struct sb_err *err)
{
	int64_t began = clock_us();
	int rc = t->real->ops.attach(t->run, work, err);

	journal(t->real, t, "attach", work->tasks, work->n_tasks, began, rc, err);
	return rc;
}

static int trace_poll(TALLOC_CTX *ctx, struct engine_run *t,
		      struct engine_progress *progress, const char **state,
		      struct sb_err *err)
{
	int64_t began = clock_us();
	int rc = t->real->ops.poll(ctx, t->run, progress, state, err);

	journal(t->real, t, "poll", NULL, 0, began, rc, err);
	return rc;
}

#define TRACED(name)                                                      \
	static int trace_##name(struct engine_run *t, struct sb_err *err) \
	{                                                                 \
		int64_t began = clock_us();                               \
		int rc = t->real->ops.name(t->run, err);                  \
                                                                          \
		journal(t->real, t, #name, NULL, 0, began, rc, err);      \
		return rc;                                                \
	}
TRACED(stop)
TRACED(cutover)
TRACED(cancel)
TRACED(revert)
TRACED(skip_revert)

static int trace_set_volume(struct engine_run *t, int volume, struct sb_err *err)
{
	int64_t began = clock_us();
	int rc = t->real->ops.set_volume(t->run, volume, err);

	journal(t->real, t, "set_volume", NULL, 0, began, rc, err);
	return rc;
}

static void trace_fence(struct engine_run *t)
{
	int64_t began = clock_us();

	t->real->ops.fence(t->run);
	journal(t->real, t, "fence", NULL, 0, began, 0, NULL);
}

static void trace_close(struct engine_run *t)
{
	int64_t began = clock_us();

	if (!t)
		return;
	t->real->ops.close(t->run);
	journal(t->real, t, "close", NULL, 0, began, 0, NULL);
	talloc_free(t);
}

/* ---- the wrapped engines
 * ---------------------------------------------------------------- */

static struct engine wrapped[MOST_ENGINES];
static const struct engine *originals[MOST_ENGINES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* open() is the only call without a run, so it needs a function for each engine. */
#define OPENER(i)                                                                  \
	static int open_##i(TALLOC_CTX *ctx, const struct engine_request *request, \
			    struct engine_run **out, struct sb_err *err)           \
	{                                                                          \
		return trace_open(originals[i], ctx, request, out, err);           \
	}
OPENER(0)
OPENER(1)
OPENER(2)
OPENER(3)
OPENER(4)
OPENER(5)
OPENER(6)
OPENER(7)
static int (*const openers[MOST_ENGINES])(TALLOC_CTX *, const struct engine_request *,
					  struct engine_run **, struct sb_err *) = {
	open_0, open_1, open_2, open_3, open_4, open_5, open_6, open_7,
};

#define WRAP(e, name)                               \
	do {                                        \
		if (e->ops.name)                    \
			e->ops.name = trace_##name; \
	} while (0)

static void wrap(struct engine *e, size_t i)
{
	*e = *originals[i];
	e->ops.open = openers[i];
	WRAP(e, prepare);
	WRAP(e, start);
	WRAP(e, attach);
	WRAP(e, poll);
	WRAP(e, stop);
	WRAP(e, fence);
	WRAP(e, cutover);
	WRAP(e, cancel);
	WRAP(e, set_volume);
	WRAP(e, revert);
	WRAP(e, skip_revert);
	WRAP(e, close);
}

static void wrap_all(void)
{
	for (size_t i = 0; i < MOST_ENGINES && originals[i]; i++)
		wrap(&wrapped[i], i);
}

const struct engine *engine_traced(const struct engine *const *engines, size_t n,
				   const struct engine *e)
{
	if (!getenv("SB_TRACE"))
		return e;
	if (n > MOST_ENGINES)
		BUG("more engines than trace.c can wrap");
	for (size_t i = 0; i < n; i++)
		originals[i] = engines[i];
	pthread_once(&once, wrap_all);
	for (size_t i = 0; i < n; i++)
		if (engines[i] == e)
			return &wrapped[i];
	return e;
}

#else
/* A translation unit must declare something. */
extern int trace_not_built;
#endif
