/*
 * call.c - what every call to the fake engine's remote side has in common: the script is
 * asked, the token is shown, the record is locked and written, the journal gets a line.
 *
 * The journal's line is written when the effect is there and before the answer is given,
 * so that a driver that dies in between has left its trace, as it would with a real
 * service.
 */
#ifdef SB_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/http_error.h"
#include "core/base/json.h"
#include "engines/fake/fake.h"

/* ---- the script -----------------------------------------------------------------------
 */

static struct json_object *load(const char *dir, const char *file)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return access(path, F_OK) == 0 ? json_object_from_file(path) : NULL;
}

static void save(const char *dir, const char *file, struct json_object *value)
{
	char path[600], draft[640];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	snprintf(draft, sizeof(draft), "%s.%d", path, getpid());
	if (json_object_to_file_ext(draft, value, JSON_C_TO_STRING_PLAIN) < 0 ||
	    rename(draft, path) < 0)
		BUG("the fake engine cannot write %s", path);
}

/* An exclusive lock on a file of the directory, waited for. */
static int lock(const char *dir, const char *file)
{
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		BUG("the fake engine cannot open %s: is SB_FAKE set?", path);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			BUG("flock %s", path);
	return fd;
}

static bool about_table(const struct engine_work *w, const char *table)
{
	for (size_t i = 0; w && i < w->n_tasks; i++)
		if (strcmp(w->tasks[i].table, table) == 0)
			return true;
	return false;
}

/* NULL in the rule matches everything. */
static bool same(struct json_object *rule, const char *key, const char *value)
{
	const char *wanted = js_get_str(rule, key);

	return !wanted || strcmp(wanted, value) == 0;
}

static bool concerns(const struct fake_call *c, struct json_object *rule)
{
	const char *table = js_get_str(rule, "table");

	return same(rule, "call", c->name) &&
	       same(rule, "deployment", c->run->deployment) &&
	       same(rule, "apply", c->run->apply_id) &&
	       (!table || about_table(c->work, table));
}

static int64_t number(struct json_object *object, const char *key, int64_t otherwise)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value)
		       ? json_object_get_int64(value)
		       : otherwise;
}

static bool fires(struct json_object *rule, int64_t n)
{
	int64_t nth = number(rule, "nth", 0);

	return (nth == 0 || n == nth) && n >= number(rule, "from", 1) &&
	       n <= number(rule, "until", INT64_MAX);
}

static bool is_counted(struct json_object *rule)
{
	static const char *const keys[] = { "nth", "from", "until" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_object_object_get_ex(rule, keys[i], NULL))
			return true;
	return false;
}

/* How often this call was met by the rule, over all processes, with this time. */
static int64_t count(const char *dir, const char *id)
{
	struct json_object *counts;
	int fd = lock(dir, "script.lock");
	int64_t n;

	counts = load(dir, "script.counts");
	if (!counts)
		counts = json_object_new_object();
	n = number(counts, id, 0) + 1;
	json_object_object_add(counts, id, json_object_new_int64(n));
	save(dir, "script.counts", counts);
	close(fd);
	json_object_put(counts);
	return n;
}

static void ask_script(struct fake_call *c)
{
	const char *dir = c->run->dir;
	struct json_object *script;

	c->rules = json_object_new_array();
	script = load(dir, "script.json");
	if (!script)
		return;
	for (size_t i = 0; i < json_object_array_length(script); i++) {
		struct json_object *rule = json_object_array_get_idx(script, i);
		const char *id = js_get_str(rule, "id");

		if (!id || !concerns(c, rule))
			continue;
		if (!is_counted(rule) || fires(rule, count(dir, id)))
			json_object_array_add(c->rules, json_object_get(rule));
	}
	json_object_put(script);
}

struct json_object *fake_rule(const struct fake_call *c, const char *key)
{
	struct json_object *value;

	for (size_t i = 0; i < json_object_array_length(c->rules); i++)
		if (json_object_object_get_ex(json_object_array_get_idx(c->rules, i), key,
					      &value))
			return value;
	return NULL;
}

bool fake_told(const struct fake_call *c, const char *key)
{
	return json_object_get_boolean(fake_rule(c, key));
}

/* ---- gates ----------------------------------------------------------------------------
 */

static bool released(const struct fake_call *c, const char *gate)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/gates/%s", c->run->dir, gate);
	return access(path, F_OK) == 0;
}

static void wait_at(const struct fake_call *c, struct json_object *gate)
{
	const char *name = json_object_get_string(gate);
	char path[600];
	int fd;

	if (!gate)
		return;
	snprintf(path, sizeof(path), "%s/gates/%s.at", c->run->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd >= 0)
		close(fd);
	while (!released(c, name))
		clock_sleep_ms(5);
}

bool fake_held(const struct fake_call *c, const char *phase)
{
	for (size_t i = 0; i < json_object_array_length(c->rules); i++) {
		struct json_object *rule = json_object_array_get_idx(c->rules, i);
		const char *hold = js_get_str(rule, "hold");
		const char *gate = js_get_str(rule, "gate");

		if (hold && strcmp(hold, phase) == 0 && !released(c, gate ? gate : hold))
			return true;
	}
	return false;
}

/* ---- errors ---------------------------------------------------------------------------
 */

static enum err_code code_named(const char *name)
{
#define X(code, class, http, wire, exit) \
	if (strcmp(name, #code) == 0)    \
		return code;
	ERR_CODES(X)
#undef X
	BUG("the fake engine's script has no error '%s'", name);
}

void fake_error(const char *spec, bool mutating, struct sb_err *err)
{
	const char *colon = strchr(spec, ':');
	int n = colon ? atoi(colon + 1) : 0;

	if (strncmp(spec, "http:", 5) == 0)
		(void)http_fail_status(err, n, mutating, "The fake engine");
	else if (strncmp(spec, "curl:", 5) == 0)
		(void)http_fail_curl(err, n, mutating, "The fake engine");
	else if (strncmp(spec, "mysql:", 6) == 0)
		(void)sb_err(err, db_target_code((unsigned)n, mutating),
			     "The fake engine: error %d.", n);
	else
		(void)sb_err(err, code_named(spec), "The fake engine says %s.", spec);
}

/* ---- the call -------------------------------------------------------------------------
 */

/* The operation as a file's name. */
static void file_of(const struct fake_call *c, const char *suffix, char *out, size_t size)
{
	snprintf(out, size, "remote/%s%s", c->run->operation, suffix);
	for (char *s = out + strlen("remote/"); *s; s++)
		if (*s == '/')
			*s = '~';
}

static void open_record(struct fake_call *c)
{
	char name[300];

	file_of(c, ".lock", name, sizeof(name));
	c->lock_fd = lock(c->run->dir, name);
	file_of(c, ".json", name, sizeof(name));
	c->record = load(c->run->dir, name);
	if (c->record)
		return;
	c->record = json_object_new_object();
	js_str(c->record, "operation", c->run->operation);
	js_str(c->record, "apply", c->run->apply_id);
	js_str(c->record, "deployment", c->run->deployment);
	js_add(c->record, "changes", json_object_new_object());
}

static void begin_entry(struct fake_call *c)
{
	struct json_object *tables = json_object_new_array();

	c->entry = json_object_new_object();
	js_str(c->entry, "call", c->name);
	js_str(c->entry, "operation", c->run->operation);
	js_str(c->entry, "apply", c->run->apply_id);
	js_str(c->entry, "deployment", c->run->deployment);
	js_int(c->entry, "token", (int64_t)c->run->token);
	js_int(c->entry, "pid", getpid());
	js_str(c->entry, "reference", c->run->reference);
	for (size_t i = 0; c->work && i < c->work->n_tasks; i++)
		js_push(tables, json_object_new_string(c->work->tasks[i].table));
	js_add(c->entry, "tables", tables);
}

static void write_journal(struct fake_call *c, int rc, const struct sb_err *err)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "journal");
	char path[600], *line;
	int fd;

	js_int(c->entry, "at_us", clock_us());
	js_str(c->entry, "answer", rc < 0 ? err_name(err->code) : "ok");
	line = mem_printf(tmp, "%s\n", js_render(tmp, c->entry));
	snprintf(path, sizeof(path), "%s/calls.log", c->run->dir);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		BUG("the fake engine cannot write %s", path);
	close(fd);
	talloc_free(tmp);
}

static void passed(const struct fake_call *c, const char *where)
{
	char point[96];

	snprintf(point, sizeof(point), "engine.fake.%s.%s", c->name, where);
	FAULT(point);
}

static int leave(struct fake_call *c, int rc)
{
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	json_object_put(c->record);
	json_object_put(c->rules);
	c->record = c->rules = NULL;
	return rc;
}

int fake_call_begin(struct fake_call *c, struct sb_err *err)
{
	struct json_object *error;
	int64_t highest;

	c->lock_fd = -1;
	ask_script(c);
	passed(c, "before");
	wait_at(c, fake_rule(c, "wait"));
	begin_entry(c);
	error = fake_rule(c, "error");
	if (error && !fake_told(c, "after")) {
		fake_error(json_object_get_string(error), c->mutating, err);
		write_journal(c, -1, err);
		return leave(c, -1);
	}
	open_record(c);
	highest = number(c->record, "token", 0);
	if ((int64_t)c->run->token < highest || atomic_load(&c->run->fenced)) {
		(void)sb_err(err, SB_ELEASE,
			     "The remote side has seen token %lld, and ours is %llu.",
			     (long long)highest, (unsigned long long)c->run->token);
		write_journal(c, -1, err);
		return leave(c, -1);
	}
	js_int(c->record, "token", (int64_t)c->run->token);
	return 0;
}

int fake_call_end(struct fake_call *c, int rc, struct sb_err *err)
{
	struct json_object *change = fake_change(c), *error = fake_rule(c, "error");
	char name[300];

	if (change)
		js_str(c->entry, "phase", fake_phase(change));
	if (error && rc >= 0) {
		fake_error(json_object_get_string(error), c->mutating, err);
		rc = -1;
	}
	file_of(c, ".json", name, sizeof(name));
	save(c->run->dir, name, c->record);
	write_journal(c, rc, err);
	close(c->lock_fd);
	c->lock_fd = -1;
	passed(c, "after");
	wait_at(c, fake_rule(c, "wait_after"));
	return leave(c, rc);
}

#else
/* A translation unit must declare something. */
extern int fake_call_not_built;
#endif
