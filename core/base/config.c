/*
 * config.c - the configuration file, read by tables. See config.h.
 *
 * A section is an array of keys; a key says its type, default, bounds, whether it is a
 * secret, and what it means. Loading, the redacted dump and the commented example all
 * walk the same arrays, so that none of them can forget a key.
 */
#include "core/base/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAME	64
#define MAX_SECRET_FILE 4096

enum key_type {
	KEY_STR,    /* const char * */
	KEY_INT,    /* int */
	KEY_BOOL,   /* bool */
	KEY_SECRET, /* const char *, given as env:NAME or file:PATH */
	KEY_DIGEST, /* const char *, 64 hex digits, literal or as a secret */
	KEY_LEVEL,  /* enum log_level */
	KEY_ROLE,   /* enum config_role */
	KEY_GROUP,  /* a section inside the same struct */
	KEY_MAP, /* named sections: an array of structs whose first member is the name */
	KEY_STRMAP, /* named strings: an array of struct config_schema */
};

struct section;
struct key {
	const char *name;
	enum key_type type;
	const char *preset; /* default as text; NULL = required */
	int min, max;	    /* KEY_INT */
	size_t offset;	    /* of the value, or of the array pointer */
	size_t count;	    /* KEY_MAP, KEY_STRMAP: of the size_t beside the array */
	const struct section *sub;
	const char *example, *doc;
};
struct section {
	const struct key *keys;
	size_t n;
	size_t size; /* of one element, for KEY_MAP */
};

#define SECTION(keys, type)                            \
	{                                              \
		(keys), ARRAY_SIZE(keys), sizeof(type) \
	}

/* The keys of a connection, inside `field` of struct `st`. */
#define CONNECTION(st, field)                                                          \
	{ "host",      KEY_STR,                                                        \
	  "127.0.0.1", 0,                                                              \
	  0,	       offsetof(st, field.host),                                       \
	  0,	       NULL,                                                           \
	  "127.0.0.1", "TCP host; not used when socket is set" },                      \
		{ "port", KEY_INT, "3306", 1,	      65535, offsetof(st, field.port), \
		  0,	  NULL,	   "3306", "TCP port" },                               \
		{ "socket", KEY_STR,                                                   \
		  "",	    0,                                                         \
		  0,	    offsetof(st, field.socket),                                \
		  0,	    NULL,                                                      \
		  "",	    "unix socket of the server; wins over host and port" },    \
		{ "user",      KEY_STR,                                                \
		  NULL,	       0,                                                      \
		  0,	       offsetof(st, field.user),                               \
		  0,	       NULL,                                                   \
		  "schemabot", "account on the server" },                              \
	{                                                                              \
		"password", KEY_SECRET, NULL, 0, 0, offsetof(st, field.password), 0,   \
			NULL, "file:/etc/schemabot/password",                          \
			"env:NAME or file:PATH; never the password itself"             \
	}

static const struct key storage_keys[] = {
	CONNECTION(struct config, storage),
	{ "database", KEY_STR, NULL, 0, 0, offsetof(struct config, storage.schema), 0,
	  NULL, "schemabot", "schema that holds our own tables" },
};
static const struct section storage_section = SECTION(storage_keys, struct config);

static const struct key token_keys[] = {
	{ "role", KEY_ROLE, NULL, 0, 0, offsetof(struct config_token, role), 0, NULL,
	  "read", "read, or write (which includes read)" },
	{ "sha256", KEY_DIGEST, NULL, 0, 0, offsetof(struct config_token, sha256), 0,
	  NULL, "env:SCHEMABOT_TOKEN_SHA256",
	  "SHA-256 of the token in hex: printf %s \"$TOKEN\" | sha256sum" },
};
static const struct section token_section = SECTION(token_keys, struct config_token);

static const struct key drops_keys[] = {
	{ "enabled", KEY_BOOL, "false", 0, 0,
	  offsetof(struct config_environment, quarantine_drops), 0, NULL, "false",
	  "true: DROP TABLE moves the table into the schema _schemabot_drops" },
	{ "retention_hours", KEY_INT, "168", 1, 8760,
	  offsetof(struct config_environment, drops_retention_hours), 0, NULL, "168",
	  "and the reaper drops it there after so long" },
};
static const struct section drops_section =
	SECTION(drops_keys, struct config_environment);

static const struct key environment_keys[] = {
	CONNECTION(struct config_environment, db),
	{ "deployment", KEY_STR, "default", 0, 0,
	  offsetof(struct config_environment, deployment), 0, NULL, "default",
	  "name of the route, as replies show it" },
	{ "target", KEY_STR, "", 0, 0, offsetof(struct config_environment, target), 0,
	  NULL, "",
	  "name of the server, as replies show it; default: the database's name" },
	{ "schemas", KEY_STRMAP, "", 0, 0, offsetof(struct config_environment, schemas),
	  offsetof(struct config_environment, n_schemas), NULL,
	  "shop = \"shop_staging\";",
	  "namespace of requests = schema on the server; default: the database's name for both" },
	{ "pending_drops", KEY_GROUP, "", 0, 0, 0, 0, &drops_section, "",
	  "what becomes of dropped tables" },
};
static const struct section environment_section =
	SECTION(environment_keys, struct config_environment);

static const struct key database_keys[] = {
	{ "type", KEY_STR, NULL, 0, 0, offsetof(struct config_database, type), 0, NULL,
	  "mysql", "which engine serves it: mysql (MySQL and MariaDB)" },
	{ "environments", KEY_MAP, NULL, 0, 0,
	  offsetof(struct config_database, environments),
	  offsetof(struct config_database, n_environments), &environment_section,
	  "staging", "one section an environment" },
};
static const struct section database_section =
	SECTION(database_keys, struct config_database);

static const struct key root_keys[] = {
	{ "run_dir", KEY_STR, "/run/schemabot", 0, 0, offsetof(struct config, run_dir), 0,
	  NULL, "/run/schemabot", "this host's slot files, locks and wake-up socket" },
	{ "drivers", KEY_INT, "4", 1, 64, offsetof(struct config, drivers), 0, NULL, "4",
	  "how many operations this host drives at a time" },
	{ "log_level", KEY_LEVEL, "info", 0, 0, offsetof(struct config, log_level), 0,
	  NULL, "info", "debug, info, warn or error" },
	{ "log_retention_days", KEY_INT, "90", 0, 36500,
	  offsetof(struct config, log_retention_days), 0, NULL, "90",
	  "how long the timeline of an apply is kept after its end; 0 = for ever" },
	{ "storage", KEY_GROUP, NULL, 0, 0, 0, 0, &storage_section, "",
	  "where our own tables live" },
	{ "tokens", KEY_MAP, "", 0, 0, offsetof(struct config, tokens),
	  offsetof(struct config, n_tokens), &token_section, "deploy",
	  "who may call the API; one section a token, its name is the caller's name" },
	{ "databases", KEY_MAP, NULL, 0, 0, offsetof(struct config, databases),
	  offsetof(struct config, n_databases), &database_section, "shop",
	  "the databases that may be changed" },
};
static const struct section root_section = SECTION(root_keys, struct config);

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
	char text[512];
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
	case KEY_BOOL:
		*(bool *)value = strcmp(text, "true") == 0; /* a preset */
		return 0;
	case KEY_INT:
	case KEY_GROUP:
	case KEY_MAP:
	case KEY_STRMAP:
		break;
	}
	BUG("'%s' is not a text key", key->name);
}

static int load_int(const struct loader *l, const config_setting_t *at,
		    const struct key *key, int n, int *value)
{
	if (n < key->min || n > key->max)
		return bad(l, at, "'%s' must be from %d to %d", key->name, key->min,
			   key->max);
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

static int load_key(const struct loader *l, const config_setting_t *group,
		    const struct key *key, char *base)
{
	const config_setting_t *at = config_setting_get_member(group, key->name);
	void *value = base + key->offset;

	if (!at) {
		if (!key->preset)
			return bad(l, group, "'%s' is missing (%s)", key->name, key->doc);
		if (key->type == KEY_MAP || key->type == KEY_STRMAP)
			return 0;
		if (key->type == KEY_GROUP)
			return load_absent_group(l, key, base);
		if (key->type == KEY_INT)
			return load_int(l, group, key, (int)strtol(key->preset, NULL, 10),
					value);
		return load_text(l, group, key, key->preset, value);
	}
	switch (key->type) {
	case KEY_GROUP:
		if (!config_setting_is_group(at))
			return bad(l, at, "'%s' must be a group { … }", key->name);
		return load_section(l, at, key->sub, base);
	case KEY_MAP:
	case KEY_STRMAP:
		return load_map(l, at, key, base);
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
	case KEY_ROLE:
		break;
	}
	if (!config_setting_get_string(at))
		return bad(l, at, "'%s' must be a string in double quotes", key->name);
	return load_text(l, at, key, config_setting_get_string(at), value);
}

static int load_section(const struct loader *l, const config_setting_t *group,
			const struct section *section, char *base)
{
	int n = config_setting_length(group);

	for (int i = 0; i < n; i++) {
		const config_setting_t *child =
			config_setting_get_elem(group, (unsigned)i);
		size_t k = 0;

		while (k < section->n &&
		       strcmp(section->keys[k].name, config_setting_name(child)) != 0)
			k++;
		if (k == section->n)
			return bad(l, child, "unknown key '%s'",
				   config_setting_name(child));
	}
	for (size_t k = 0; k < section->n; k++)
		if (load_key(l, group, &section->keys[k], base) < 0)
			return -1;
	return 0;
}

/* What one key cannot say: names for messages, defaults that depend on other keys. */
static void complete(struct config *c)
{
	c->storage.name = "storage";
	c->storage.role = DB_STORAGE;
	c->storage.io_seconds = 10;
	for (size_t d = 0; d < c->n_databases; d++) {
		struct config_database *db = &c->databases[d];

		for (size_t e = 0; e < db->n_environments; e++) {
			struct config_environment *env = &db->environments[e];

			env->db.name = mem_printf(c, "%s/%s", db->name, env->name);
			env->db.role = DB_TARGET;
			env->db.io_seconds = 30;
			if (!*env->target)
				env->target = db->name;
			if (env->n_schemas == 0) {
				env->schemas = mem_array(c, struct config_schema, 1);
				env->schemas[0].namespace = db->name;
				env->schemas[0].schema = db->name;
				env->n_schemas = 1;
			}
		}
	}
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
	if (load_section(&l, config_root_setting(&file), &root_section, (char *)c) < 0)
		goto out;
	complete(c);
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

const char *config_schema(const struct config_environment *e, const char *namespace)
{
	for (size_t i = 0; i < e->n_schemas; i++)
		if (strcmp(e->schemas[i].namespace, namespace) == 0)
			return e->schemas[i].schema;
	return NULL;
}

/* ---- printing --------------------------------------------------------------------- */

static void indent(FILE *out, int depth)
{
	for (int i = 0; i < depth; i++)
		fputc('\t', out);
}

static void dump_section(const struct section *section, const char *base, int depth,
			 FILE *out);

static void dump_map(const struct key *key, const char *base, int depth, FILE *out)
{
	const char *array = *(const char *const *)(const void *)(base + key->offset);
	size_t n = *(const size_t *)(const void *)(base + key->count);
	size_t size =
		key->type == KEY_MAP ? key->sub->size : sizeof(struct config_schema);

	fprintf(out, "%s = {\n", key->name);
	for (size_t i = 0; i < n; i++) {
		const char *element = array + i * size;
		const struct config_schema *s = (const void *)element;

		indent(out, depth + 1);
		if (key->type == KEY_STRMAP) {
			fprintf(out, "%s = \"%s\";\n", s->namespace, s->schema);
			continue;
		}
		fprintf(out, "%s = {\n", *(const char *const *)(const void *)element);
		dump_section(key->sub, element, depth + 2, out);
		indent(out, depth + 1);
		fputs("};\n", out);
	}
	indent(out, depth);
	fputs("};\n", out);
}

static void dump_section(const struct section *section, const char *base, int depth,
			 FILE *out)
{
	static const char *const levels[] = {
#define X(name, text) text,
		LOG_LEVELS(X)
#undef X
	};

	for (size_t k = 0; k < section->n; k++) {
		const struct key *key = &section->keys[k];
		const void *value = base + key->offset;

		indent(out, depth);
		switch (key->type) {
		case KEY_STR:
			fprintf(out, "%s = \"%s\";\n", key->name,
				*(const char *const *)value);
			break;
		case KEY_DIGEST:
		case KEY_SECRET:
			fprintf(out, "%s = [secret];\n", key->name);
			break;
		case KEY_INT:
			fprintf(out, "%s = %d;\n", key->name, *(const int *)value);
			break;
		case KEY_BOOL:
			fprintf(out, "%s = %s;\n", key->name,
				*(const bool *)value ? "true" : "false");
			break;
		case KEY_LEVEL:
			fprintf(out, "%s = \"%s\";\n", key->name,
				levels[*(const enum log_level *)value]);
			break;
		case KEY_ROLE:
			fprintf(out, "%s = \"%s\";\n", key->name,
				*(const enum config_role *)value == ROLE_WRITE ? "write"
									       : "read");
			break;
		case KEY_GROUP:
			fprintf(out, "%s = {\n", key->name);
			dump_section(key->sub, base, depth + 1, out);
			indent(out, depth);
			fputs("};\n", out);
			break;
		case KEY_MAP:
		case KEY_STRMAP:
			dump_map(key, base, depth, out);
			break;
		}
	}
}

void config_dump(const struct config *c, FILE *out)
{
	dump_section(&root_section, (const char *)c, 0, out);
}

static void example_section(const struct section *section, int depth, FILE *out)
{
	for (size_t k = 0; k < section->n; k++) {
		const struct key *key = &section->keys[k];

		indent(out, depth);
		fprintf(out, "// %s%s\n", key->doc, key->preset ? "" : " (required)");
		indent(out, depth);
		switch (key->type) {
		case KEY_INT:
		case KEY_BOOL:
			fprintf(out, "%s = %s;\n", key->name, key->example);
			break;
		case KEY_GROUP:
			fprintf(out, "%s = {\n", key->name);
			example_section(key->sub, depth + 1, out);
			indent(out, depth);
			fputs("};\n", out);
			break;
		case KEY_MAP:
			fprintf(out, "%s = {\n", key->name);
			indent(out, depth + 1);
			fprintf(out, "%s = {\n", key->example);
			example_section(key->sub, depth + 2, out);
			indent(out, depth + 1);
			fputs("};\n", out);
			indent(out, depth);
			fputs("};\n", out);
			break;
		case KEY_STRMAP:
			fprintf(out, "%s = { %s };\n", key->name, key->example);
			break;
		case KEY_STR:
		case KEY_SECRET:
		case KEY_DIGEST:
		case KEY_LEVEL:
		case KEY_ROLE:
			fprintf(out, "%s = \"%s\";\n", key->name, key->example);
			break;
		}
	}
}

void config_example(FILE *out)
{
	fputs("// SchemaBot's configuration (libconfig). Install as "
	      "/etc/schemabot/schemabot.conf.\n"
	      "// Made by: schemabot-reaper --example-config\n\n",
	      out);
	example_section(&root_section, 0, out);
}
