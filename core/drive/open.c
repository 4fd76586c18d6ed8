/*
 * open.c - what an engine is given: the request, and the work built anew from the tasks.
 *
 * Called by work.c for a first dispatch and for every resume alike: there is one way from
 * tasks to an engine call, and one answer to whether they go together (drive_grouped).
 *
 * Must never: hand an engine an empty statement, or a task that is settled.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/drive/drive_internal.h"

bool drive_grouped(const struct drive *d)
{
	return drive_external(d) || drive_defers_cutover(d);
}

bool drive_external(const struct drive *d)
{
	return !(d->engine->caps & ENGINE_CAP_RESIDENT);
}

bool task_is_vschema(const struct task *t)
{
	return strcmp(t->action, "vschema_update") == 0;
}

static void fill_engine_task(struct drive *d, const struct task *t, struct engine_task *e)
{
	int algorithm;

	if (!*t->ddl)
		BUG("task %s has no statement", t->task_id);
	*e = (struct engine_task){
		.id = mem_strdup(d->run_ctx, t->task_id),
		.namespace = mem_strdup(d->run_ctx, t->namespace),
		.schema = config_schema(d->route, t->namespace),
		.table = mem_strdup(d->run_ctx, t->table),
		.ddl = mem_strdup(d->run_ctx, t->ddl),
		.action = mem_strdup(d->run_ctx, t->action),
		.announced_blocking = strcmp(t->execution_mode, "direct") == 0,
	};
	if (engine_algorithm_parse(t->algorithm, &algorithm) == 0)
		e->announced = (enum engine_algorithm)algorithm;
}

static int no_schema(struct drive *d, const char *namespace, struct sb_err *err)
{
	return sb_err(err, SB_EENGINE,
		      "Namespace '%s' is not configured for %s/%s any more.", namespace,
		      d->database, d->environment);
}

/* A start waits for the engine to accept work. */
static int started_again(struct drive *d, bool *out, struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "started");
	struct control_request start;
	int rc = drive_find_start(tmp, d, &start, err);

	*out = rc > 0;
	talloc_free(tmp);
	return rc < 0 ? -1 : 0;
}

int drive_open_engine(struct drive *d, bool evict, struct sb_err *err)
{
	struct engine_request request = {
		.target = &d->route->db,
		.apply_id = d->lease.apply_id,
		.deployment = d->op.deployment,
		.lease_token = d->lease.token,
		.options = { .defer_cutover = drive_defers_cutover(d),
			     .defer_deploy = d->options.defer_deploy,
			     .enable_revert = d->options.enable_revert,
			     .skip_revert = d->options.skip_revert,
			     .volume = d->volume,
			     .quarantine_drops = d->quarantine_drops,
			     .kill_blockers_after = d->kill_blockers_after,
			     .direct = d->direct },
		.throttle = &d->route->throttle,
		.evict = evict,
	};
	struct engine_task *tasks;
	int algorithm = ENGINE_ALGORITHM_AUTO;
	size_t n = 0;

	if (d->options.algorithm &&
	    engine_algorithm_parse(d->options.algorithm, &algorithm) < 0)
		return sb_err(err, SB_EENGINE, "Unknown algorithm '%s'.",
			      d->options.algorithm);
	request.options.algorithm = (enum engine_algorithm)algorithm;
	d->run_ctx = mem_ctx(d->ctx, "engine run");
	request.operation =
		mem_printf(d->run_ctx, "%s/%s", d->lease.apply_id, d->op.deployment);
	tasks = mem_array(d->run_ctx, struct engine_task, d->n_tasks);
	for (size_t i = 0; i < d->n_tasks; i++) {
		const struct task *t = &d->tasks[i];

		if (!task_open(t))
			continue;
		if (!config_schema(d->route, t->namespace)) {
			drive_close_engine(d);
			return no_schema(d, t->namespace, err);
		}
		if (!task_is_vschema(t))
			fill_engine_task(d, t, &tasks[n++]);
	}
	if (started_again(d, &request.started, err) < 0) {
		drive_close_engine(d);
		return -1;
	}
	request.tasks = tasks;
	request.n_tasks = n;
	if (d->engine->ops.open(d->run_ctx, &request, &d->run, err) < 0) {
		drive_close_engine(d);
		return -1;
	}
	heartbeat_guard(d->heartbeat, d->engine, d->run);
	return 0;
}

void drive_close_engine(struct drive *d)
{
	heartbeat_guard(d->heartbeat, d->engine, NULL);
	if (d->run)
		/* model: ENGINE_CLOSE */
		d->engine->ops.close(d->run);
	d->run = NULL;
	d->n_active = 0;
	d->seen = false;
	talloc_free(d->run_ctx);
	d->run_ctx = d->poll_ctx = NULL;
	d->work = (struct engine_work){ 0 };
	d->active = NULL;
}

/* ---- the work of one call
 * -------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct engine_namespace *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static struct engine_namespace *find_namespace(struct engine_namespace *list, size_t n,
					       const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

/* The namespaces of the chosen tasks, sorted; flagged where a chosen task changes the
 * VSchema. */
static size_t gather_namespaces(struct drive *d, const bool *chosen,
				struct engine_namespace *list)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_tasks; i++) {
		const struct task *t = &d->tasks[i];
		struct engine_namespace *ns;

		if (!chosen[i])
			continue;
		ns = find_namespace(list, n, t->namespace);
		if (!ns) {
			ns = &list[n++];
			*ns = (struct engine_namespace){
				.name = mem_strdup(d->run_ctx, t->namespace),
				.schema = config_schema(d->route, t->namespace),
			};
		}
		ns->vschema_changed |= task_is_vschema(t);
	}
	qsort(list, n, sizeof(*list), by_name);
	return n;
}

/* Which task each of the work's namespace entries tells about. */
static void map_vschema(struct drive *d, const bool *chosen)
{
	for (size_t k = 0; k < d->work.n_namespaces; k++) {
		size_t entry = d->work.n_tasks + k;

		d->active[entry] = NO_TASK;
		for (size_t i = 0; i < d->n_tasks; i++)
			if (chosen[i] && task_is_vschema(&d->tasks[i]) &&
			    strcmp(d->tasks[i].namespace, d->work.namespaces[k].name) ==
				    0)
				d->active[entry] = i;
	}
}

void drive_choose(struct drive *d)
{
	struct engine_namespace *namespaces =
		mem_array(d->run_ctx, struct engine_namespace, d->n_tasks);
	struct engine_task *tasks = mem_array(d->run_ctx, struct engine_task, d->n_tasks);
	bool *chosen = mem_array(d->run_ctx, bool, d->n_tasks), any = false;
	size_t n = 0;

	d->active = mem_array(d->run_ctx, size_t, 2 * d->n_tasks);
	for (size_t i = 0; i < d->n_tasks && (drive_grouped(d) || !any); i++) {
		if (!task_open(&d->tasks[i]))
			continue;
		any = chosen[i] = true;
		if (task_is_vschema(&d->tasks[i]))
			continue;
		d->active[n] = i;
		fill_engine_task(d, &d->tasks[i], &tasks[n++]);
	}
	d->work = (struct engine_work){
		.tasks = tasks,
		.n_tasks = n,
		.namespaces = namespaces,
		.n_namespaces = gather_namespaces(d, chosen, namespaces),
		.resume_state = mem_strdup(d->run_ctx, d->op.engine_state),
	};
	map_vschema(d, chosen);
	d->n_active = ENGINE_WORK_ENTRIES(&d->work);
}

/* ---- effects that no transaction covers
 * ------------------------------------------------ */

int drive_bounded(struct drive *d, enum engine_effect effect, struct sb_err *err)
{
	int64_t need = d->engine->worst_ms[effect], left;

	if (lease_remaining_ms(d->db, &d->lease, &left, err) < 0)
		return -1;
	if (left >= need)
		return 0;
	if (lease_heartbeat(d->db, &d->lease, err) < 0 ||
	    lease_remaining_ms(d->db, &d->lease, &left, err) < 0)
		return -1;
	if (left >= need)
		return 0;
	return sb_err(err, SB_EAMBIGUOUS,
		      "The lease has %lld ms left, and a %s may take %lld ms: not begun.",
		      (long long)left, engine_effect_name(effect), (long long)need);
}
