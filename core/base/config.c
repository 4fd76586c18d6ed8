/*
 * config.c - reading and checking the configuration file. See config.h.
 *
 * What may stand in it is data: config_keys.c.
 */
#include "core/base/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/config_internal.h"

#define MAX_NAME	64
#define OUR_SCHEMAS	"_schemabot_" /* scratch, state, quarantine */
#define MAX_SECRET_FILE 4096
#define REPLICA_SECONDS 2    /* for an answer of one that may be late */
#define MAX_ROUTE	1000 /* bytes of all deployments' names; the rows' columns */

/* ---- loading ---------------------------------------------------------------------- */

struct loader {
	TALLOC_CTX *ctx;
	const char *path;
	struct sb_err *err;
};

static int bad(const struct loader *l, const config_setting_t *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int bad(const struct loader *l, const config_setting_t *at, const char *fmt, ...)
{
	const char *file = config_setting_source_file(at);
	char text[900]; /* with room for the names of all lint rules */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return sb_err(l->err, SB_ECONFIG, "%s:%u: %s", file ? file : l->path,
		      (unsigned)config_setting_source_line(at), text);
}

static bool name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return islower((unsigned char)name[0]) && name[n] == '\0' && n <= MAX_NAME;
}

static int read_secret_file(const struct loader *l, const config_setting_t *at,
			    const char *path, const char **out)
{
	char text[MAX_SECRET_FILE + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return bad(l, at, "cannot read the secret file %s: %s", path,
			   strerror(errno));
	n = read(fd, text, MAX_SECRET_FILE);
	close(fd);
	if (n < 0)
		return bad(l, at, "cannot read the secret file %s: %s", path,
			   strerror(errno));
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	*out = mem_strndup(l->ctx, text, (size_t)n);
	explicit_bzero(text, sizeof(text));
	return 0;
}

/* env:NAME or file:PATH -> the value; anything else is refused without being repeated. */
static int resolve_secret(const struct loader *l, const config_setting_t *at,
			  const char *ref, const char **out)
{
	if (strncmp(ref, "env:", 4) == 0) {
		const char *value = getenv(ref + 4);

		if (!value)
			return bad(l, at, "the environment variable %s is not set",
				   ref + 4);
		*out = mem_strdup(l->ctx, value);
	} else if (strncmp(ref, "file:", 5) == 0) {
		if (read_secret_file(l, at, ref + 5, out) < 0)
			return -1;
	} else {
		return bad(
			l, at,
			"'%s' must be env:NAME or file:PATH; a secret may not stand in the "
			"file itself",
			config_setting_name(at));
	}
	log_secret(*out);
	return 0;
}

static int load_digest(const struct loader *l, const config_setting_t *at,
		       const char *text, const char **out)
{
	if (strchr(text, ':')) {
		if (resolve_secret(l, at, text, out) < 0)
			return -1;
		text = *out;
	}
	if (strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
		return bad(l, at, "'%s' must be 64 lower-case hex digits",
			   config_setting_name(at));
	*out = mem_strdup(l->ctx, text);
	return 0;
}

static int load_section(const struct loader *l, const config_setting_t *group,
			const struct section *section, char *base);

static int load_map(const struct loader *l, const config_setting_t *map,
		    const struct key *key, char *base)
{
	size_t size =
		key->type == KEY_MAP ? key->sub->size : sizeof(struct config_schema);
	int n = config_setting_length(map);
	char *array;

	if (!config_setting_is_group(map))
		return bad(l, map, "'%s' must be a group { … }", key->name);
	array = mem_alloc(l->ctx, size, (size_t)n, key->name);
	for (int i = 0; i < n; i++) {
		const config_setting_t *child = config_setting_get_elem(map, (unsigned)i);
		const char *name = config_setting_name(child);
		char *element = array + (size_t)i * size;

		if (key->type == KEY_STRMAP) {
			struct config_schema *s = (struct config_schema *)(void *)element;

			if (!config_setting_get_string(child))
				return bad(l, child, "'%s' must be a string", name);
			if (strncmp(config_setting_get_string(child), OUR_SCHEMAS,
				    strlen(OUR_SCHEMAS)) == 0)
				return bad(l, child,
					   "'%s' names a schema of SchemaBot's own "
					   "(" OUR_SCHEMAS "…)",
					   name);
			s->namespace = mem_strdup(l->ctx, name);
			s->schema = mem_strdup(l->ctx, config_setting_get_string(child));
			continue;
		}
		if (!name_ok(name))
			return bad(
				l, child,
				"'%s' is not a name: use lower-case letters, digits, _ and -, "
				"at most %d",
				name, MAX_NAME);
		if (!config_setting_is_group(child))
			return bad(l, child, "'%s' must be a group { … }", name);
		*(const char **)(void *)element = mem_strdup(l->ctx, name);
		if (load_section(l, child, key->sub, element) < 0)
			return -1;
	}
	*(void **)(void *)(base + key->offset) = array;
	*(size_t *)(void *)(base + key->count) = (size_t)n;
	return 0;
}

/* ( { host = "a"; }, { host = "b"; } ) */
static int load_list(const struct loader *l, const config_setting_t *at,
		     const struct key *key, char *base)
{
	int n = config_setting_length(at);
	char *array;

	if (!config_setting_is_list(at))
		return bad(l, at, "'%s' must be a list of groups: ( { … }, { … } )",
			   key->name);
	array = mem_alloc(l->ctx, key->sub->size, (size_t)n, key->name);
	for (int i = 0; i < n; i++) {
		const config_setting_t *child = config_setting_get_elem(at, (unsigned)i);

		if (!config_setting_is_group(child))
			return bad(l, at, "'%s' must have nothing but groups { … } in it",
				   key->name);
		if (load_section(l, child, key->sub, array + (size_t)i * key->sub->size) <
		    0)
			return -1;
	}
	*(void **)(void *)(base + key->offset) = array;
	*(size_t *)(void *)(base + key->count) = (size_t)n;
	return 0;
}

/* [ "eu", "us" ] */
static int load_names(const struct loader *l, const config_setting_t *at,
		      const struct key *key, char *base)
{
	int n = config_setting_length(at);
	const char **names = mem_array(l->ctx, const char *, (size_t)n);

	if (!config_setting_is_array(at) && !config_setting_is_list(at))
		return bad(l, at, "'%s' must be a list of names: [ \"a\", \"b\" ]",
			   key->name);
	for (int i = 0; i < n; i++) {
		names[i] = mem_strdup(l->ctx, config_setting_get_string_elem(at, i));
		if (!names[i])
			return bad(l, at, "'%s' must have nothing but strings in it",
				   key->name);
	}
	*(void **)(void *)(base + key->offset) = names;
	*(size_t *)(void *)(base + key->count) = (size_t)n;
	return 0;
}

/* Is `text` one of the words of `choices`? */
static bool is_choice(const char *choices, const char *text)
{
	size_t n = strlen(text);

	for (const char *at = choices; n > 0 && (at = strstr(at, text)) != NULL; at += n)
		if ((at == choices || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

/* { foreign_key = "off"; } */
static int load_levels(const struct loader *l, const config_setting_t *group,
		       const struct key *key, char *base)
{
	int n = config_setting_length(group);
	struct config_lint *list = mem_array(l->ctx, struct config_lint, (size_t)n);
	const char *last = strrchr(key->choices, ' ') + 1;

	if (!config_setting_is_group(group))
		return bad(l, group, "'%s' must be a group { … }", key->name);
	for (int i = 0; i < n; i++) {
		const config_setting_t *at = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(at);
		const char *word = config_setting_get_string(at);
		bool fixed = is_choice(key->fixed, name);

		if (!fixed && !is_choice(key->names, name))
			return bad(l, at, "'%s' has nothing named '%.64s'; there are: %s",
				   key->name, name, key->names);
		if (!word || !is_choice(key->choices, word))
			return bad(l, at, "'%s' must be one of: %s", name, key->choices);
		if (fixed && strcmp(word, last) != 0)
			return bad(l, at, "'%s' can only be \"%s\": %s", name, last,
				   key->why_fixed);
		list[i].rule = mem_strdup(l->ctx, name);
		list[i].level = mem_strdup(l->ctx, word);
	}
	*(void **)(void *)(base + key->offset) = list;
	*(size_t *)(void *)(base + key->count) = (size_t)n;
	return 0;
}

static int load_text(const struct loader *l, const config_setting_t *at,
		     const struct key *key, const char *text, void *value)
{
	switch (key->type) {
	case KEY_STR:
		*(const char **)value = mem_strdup(l->ctx, text);
		return 0;
	case KEY_SECRET:
		return resolve_secret(l, at, text, value);
	case KEY_DIGEST:
		return load_digest(l, at, text, value);
	case KEY_LEVEL:
		if (log_level_parse(text, value) < 0)
			return bad(l, at, "'%s' must be debug, info, warn or error",
				   key->name);
		return 0;
	case KEY_ROLE:
		if (strcmp(text, "read") == 0)
			*(enum config_role *)value = ROLE_READ;
		else if (strcmp(text, "write") == 0)
			*(enum config_role *)value = ROLE_WRITE;
		else
			return bad(l, at, "'%s' must be read or write", key->name);
		return 0;
	case KEY_CHOICE:
		if (!is_choice(key->choices, text))
			return bad(l, at, "'%s' must be one of: %s", key->name,
				   key->choices);
		*(const char **)value = mem_strdup(l->ctx, text);
		return 0;
	case KEY_BOOL:
		*(bool *)value = strcmp(text, "true") == 0; /* a preset */
		return 0;
	case KEY_INT:
	case KEY_GROUP:
	case KEY_OPTION:
	case KEY_MAP:
	case KEY_LIST:
	case KEY_STRMAP:
	case KEY_NAMES:
	case KEY_LEVELS:
		break;
	}
	BUG("'%s' is not a text key", key->name);
}

static int load_int(const struct loader *l, const config_setting_t *at,
		    const struct key *key, int n, int *value)
{
	if ((n < key->min || n > key->max) && !(key->or_zero && n == 0))
		return bad(l, at, "'%s' must be %sfrom %d to %d", key->name,
			   key->or_zero ? "0 or " : "", key->min, key->max);
	*value = n;
	return 0;
}

static int load_key(const struct loader *l, const config_setting_t *group,
		    const struct key *key, char *base);

/* A group that may be left out is one in which every key has its default. */
static int load_absent_group(const struct loader *l, const struct key *key, char *base)
{
	config_t empty;
	int rc = 0;

	config_init(&empty);
	for (size_t k = 0; rc == 0 && k < key->sub->n; k++) {
		BUG_ON(!key->sub->keys[k].preset);
		rc = load_key(l, config_root_setting(&empty), &key->sub->keys[k], base);
	}
	config_destroy(&empty);
	return rc;
}

static int load_option(const struct loader *l, const config_setting_t *at,
		       const struct key *key, void *value)
{
	char *section;

	if (!config_setting_is_group(at))
		return bad(l, at, "'%s' must be a group { … }", key->name);
	section = mem_alloc(l->ctx, key->sub->size, 1, key->name);
	*(void **)value = section;
	return load_section(l, at, key->sub, section);
}

static int load_key(const struct loader *l, const config_setting_t *group,
		    const struct key *key, char *base)
{
	const config_setting_t *at = config_setting_get_member(group, key->name);
	void *value = base + key->offset;

	if (!at) {
		if (!key->preset)
			return bad(l, group, "'%s' is missing (%s)", key->name, key->doc);
		if (key->type == KEY_MAP || key->type == KEY_LIST ||
		    key->type == KEY_STRMAP || key->type == KEY_NAMES ||
		    key->type == KEY_OPTION || key->type == KEY_LEVELS)
			return 0;
		if (key->type == KEY_GROUP)
			return load_absent_group(l, key, value);
		if (key->type == KEY_INT)
			return load_int(l, group, key, (int)strtol(key->preset, NULL, 10),
					value);
		return load_text(l, group, key, key->preset, value);
	}
	switch (key->type) {
	case KEY_GROUP:
		if (!config_setting_is_group(at))
			return bad(l, at, "'%s' must be a group { … }", key->name);
		return load_section(l, at, key->sub, value);
	case KEY_OPTION:
		return load_option(l, at, key, value);
	case KEY_MAP:
	case KEY_STRMAP:
		return load_map(l, at, key, base);
	case KEY_LIST:
		return load_list(l, at, key, base);
	case KEY_NAMES:
		return load_names(l, at, key, base);
	case KEY_LEVELS:
		return load_levels(l, at, key, base);
	case KEY_INT:
		if (config_setting_type(at) != CONFIG_TYPE_INT)
			return bad(l, at, "'%s' must be a whole number", key->name);
		return load_int(l, at, key, config_setting_get_int(at), value);
	case KEY_BOOL:
		if (config_setting_type(at) != CONFIG_TYPE_BOOL)
			return bad(l, at, "'%s' must be true or false", key->name);
		*(bool *)value = config_setting_get_bool(at) != 0;
		return 0;
	case KEY_STR:
	case KEY_SECRET:
	case KEY_DIGEST:
	case KEY_LEVEL:
	case KEY_CHOICE:
	case KEY_ROLE:
		break;
	}
	if (!config_setting_get_string(at))
		return bad(l, at, "'%s' must be a string in double quotes", key->name);
	return load_text(l, at, key, config_setting_get_string(at), value);
}

/* The key of that name, or -1 after saying why it may not stand here. */
static int check_key(const struct loader *l, const struct section *section,
		     enum form form, const config_setting_t *at)
{
	const char *name = config_setting_name(at);

	for (size_t k = 0; k < section->n; k++) {
		const struct key *key = &section->keys[k];

		if (strcmp(key->name, name) != 0)
			continue;
		if (key_applies(key, form))
			return 0;
		return form == FORM_WITH ? bad(l, at, "'%s' may not stand beside '%s'",
					       name, section->fork)
					 : bad(l, at, "'%s' may only stand beside '%s'",
					       name, section->fork);
	}
	return bad(l, at, "unknown key '%s'", name);
}

static int load_section(const struct loader *l, const config_setting_t *group,
			const struct section *section, char *base)
{
	enum form form = FORM_WITHOUT;
	int n = config_setting_length(group);

	if (section->fork && config_setting_get_member(group, section->fork))
		form = FORM_WITH;
	for (int i = 0; i < n; i++)
		if (check_key(l, section, form,
			      config_setting_get_elem(group, (unsigned)i)) < 0)
			return -1;
	for (size_t k = 0; k < section->n; k++)
		if (key_applies(&section->keys[k], form) &&
		    load_key(l, group, &section->keys[k], base) < 0)
			return -1;
	return 0;
}

/* ---- what one key cannot say ------------------------------------------------------ */

static struct config_deployment *find_deployment(struct config_deployment *list, size_t n,
						 const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

/* Put e->several into the order of the rollout; `deployment_order` names each once. */
static int order_deployments(const struct loader *l, const config_setting_t *at,
			     struct config_environment *e)
{
	const config_setting_t *order = config_setting_get_member(at, "deployment_order");
	struct config_deployment *sorted =
		mem_array(l->ctx, struct config_deployment, e->n_several);

	if (!order)
		return 0;
	for (size_t i = 0; i < e->n_order; i++) {
		const struct config_deployment *d =
			find_deployment(e->several, e->n_several, e->order[i]);

		if (!d)
			return bad(l, order,
				   "'deployment_order' names '%s', which 'deployments' "
				   "does not have",
				   e->order[i]);
		if (i >= e->n_several || find_deployment(sorted, i, e->order[i]))
			return bad(l, order, "'deployment_order' names '%s' twice",
				   e->order[i]);
		sorted[i] = *d;
	}
	for (size_t i = 0; i < e->n_several; i++)
		if (!find_deployment(sorted, e->n_order, e->several[i].name))
			return bad(l, order, "'deployment_order' does not name '%s'",
				   e->several[i].name);
	e->several = sorted;
	return 0;
}

/* Defaults that depend on other keys. */
static void complete_deployment(const struct loader *l, struct config_deployment *d,
				const char *target, const char *name,
				const struct config_database *db)
{
	d->db.name = name;
	d->db.role = DB_TARGET;
	d->db.io_seconds = 30;
	if (d->workspace) {
		d->workspace->name = mem_printf(l->ctx, "%s (workspace)", name);
		d->workspace->role = DB_TARGET;
		d->workspace->io_seconds = 30;
	}
	for (size_t i = 0; i < d->throttle.n_replicas; i++) {
		struct db_params *r = &d->throttle.replicas[i];

		r->name = *r->socket ? r->socket
				     : mem_printf(l->ctx, "%s:%u", r->host, r->port);
		r->role = DB_TARGET;
		r->connect_seconds = r->io_seconds = REPLICA_SECONDS;
	}
	if (!*d->target)
		d->target = target;
	if (d->n_schemas == 0) {
		d->schemas = mem_array(l->ctx, struct config_schema, 1);
		d->schemas[0].namespace = db->name;
		d->schemas[0].schema = db->name;
		d->n_schemas = 1;
	}
}

static int check_namespaces(const struct loader *l, const config_setting_t *at,
			    const struct config_deployment *a,
			    const struct config_deployment *b)
{
	for (size_t i = 0; i < a->n_schemas; i++)
		if (!config_schema(b, a->schemas[i].namespace))
			return bad(l, at,
				   "'schemas' of '%s' has '%s' and that of '%s' has not; "
				   "all deployments have the same namespaces",
				   a->name, a->schemas[i].namespace, b->name);
	return 0;
}

static int complete_several(const struct loader *l, const config_setting_t *at,
			    struct config_environment *e,
			    const struct config_database *db)
{
	const config_setting_t *several = config_setting_get_member(at, "deployments");
	struct buf names, targets;

	if (e->n_several == 0)
		return bad(l, several, "'deployments' must name at least one");
	if (order_deployments(l, at, e) < 0)
		return -1;
	buf_init(&names, l->ctx);
	buf_init(&targets, l->ctx);
	for (size_t i = 0; i < e->n_several; i++) {
		struct config_deployment *d = &e->several[i];

		complete_deployment(
			l, d, d->name,
			mem_printf(l->ctx, "%s/%s/%s", db->name, e->name, d->name), db);
		buf_printf(&names, "%s%s", i > 0 ? "," : "", d->name);
		buf_printf(&targets, "%s%s", i > 0 ? "," : "", d->target);
		if (check_namespaces(l, several, d, &e->several[0]) < 0 ||
		    check_namespaces(l, several, &e->several[0], d) < 0)
			return -1;
	}
	if (names.len > MAX_ROUTE || targets.len > MAX_ROUTE)
		return bad(l, several,
			   "the names or targets of 'deployments' are longer than %d "
			   "bytes together",
			   MAX_ROUTE);
	e->deployments = e->several;
	e->n_deployments = e->n_several;
	e->deployment = names.data;
	e->target = targets.data;
	return 0;
}

/* One bound, not two; and a group that says nothing about size is a mistake. */
static int check_direct(const struct loader *l, const config_setting_t *at,
			const struct config_environment *e)
{
	const config_setting_t *group = config_setting_get_member(at, "direct");

	if (group && (e->direct_max_rows > 0) + (e->direct_max_bytes > 0) > 1)
		return bad(l, group,
			   "'direct' must have one of max_table_rows and "
			   "max_table_bytes, not both");
	if (group && !config_setting_get_member(group, "max_table_rows") &&
	    !config_setting_get_member(group, "max_table_bytes"))
		return bad(l, group,
			   "'direct' must have max_table_rows or max_table_bytes");
	return 0;
}

static int complete_environment(const struct loader *l, const config_setting_t *at,
				struct config_environment *e,
				const struct config_database *db)
{
	if (check_direct(l, at, e) < 0)
		return -1;
	if (config_setting_get_member(at, "deployments"))
		return complete_several(l, at, e, db);
	complete_deployment(l, &e->plain, db->name,
			    mem_printf(l->ctx, "%s/%s", db->name, e->name), db);
	e->deployments = &e->plain;
	e->n_deployments = 1;
	e->deployment = e->plain.name;
	e->target = e->plain.target;
	/* One operation has nothing to wait for and nothing to hold back. */
	e->cutover_policy = "rolling";
	e->on_failure = "halt";
	return 0;
}

static int complete(const struct loader *l, const config_setting_t *root,
		    struct config *c)
{
	const config_setting_t *databases = config_setting_get_member(root, "databases");

	c->storage.name = "storage";
	c->storage.role = DB_STORAGE;
	c->storage.io_seconds = 10;
	for (size_t d = 0; d < c->n_databases; d++) {
		struct config_database *db = &c->databases[d];
		const config_setting_t *environments = config_setting_get_member(
			config_setting_get_elem(databases, (unsigned)d), "environments");

		for (size_t e = 0; e < db->n_environments; e++)
			if (complete_environment(
				    l, config_setting_get_elem(environments, (unsigned)e),
				    &db->environments[e], db) < 0)
				return -1;
	}
	return 0;
}

int config_load(TALLOC_CTX *ctx, const char *path, struct config **out,
		struct sb_err *err)
{
	struct config *c = mem_new(ctx, struct config);
	struct loader l = { .ctx = c, .path = path, .err = err };
	config_t file;
	int rc = -1;

	*out = NULL;
	config_init(&file);
	if (config_read_file(&file, path) != CONFIG_TRUE) {
		const char *in = config_error_file(&file);

		if (config_error_type(&file) == CONFIG_ERR_FILE_IO)
			sb_err(err, SB_ECONFIG, "Cannot read the configuration %s: %s.",
			       path, strerror(errno));
		else
			sb_err(err, SB_ECONFIG, "%s:%d: %s", in ? in : path,
			       config_error_line(&file), config_error_text(&file));
		goto out;
	}
	c->path = mem_strdup(c, path);
	if (load_section(&l, config_root_setting(&file), &config_root, (char *)c) < 0 ||
	    complete(&l, config_root_setting(&file), c) < 0)
		goto out;
	rc = 0;
out:
	config_destroy(&file);
	if (rc < 0)
		talloc_free(c);
	else
		*out = c;
	return rc;
}

/* ---- looking up ------------------------------------------------------------------- */

const struct config_database *config_database(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_databases; i++)
		if (strcmp(c->databases[i].name, name) == 0)
			return &c->databases[i];
	return NULL;
}

const struct config_environment *config_environment(const struct config_database *d,
						    const char *name)
{
	for (size_t i = 0; i < d->n_environments; i++)
		if (strcmp(d->environments[i].name, name) == 0)
			return &d->environments[i];
	return NULL;
}

const struct config_deployment *config_deployment(const struct config_environment *e,
						  const char *name)
{
	for (size_t i = 0; i < e->n_deployments; i++)
		if (strcmp(e->deployments[i].name, name) == 0)
			return &e->deployments[i];
	return NULL;
}

const char *config_schema(const struct config_deployment *d, const char *namespace)
{
	for (size_t i = 0; i < d->n_schemas; i++)
		if (strcmp(d->schemas[i].namespace, namespace) == 0)
			return d->schemas[i].schema;
	return NULL;
}
