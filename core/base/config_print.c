/*
 * config_print.c - the configuration in effect, and a commented example. See config.h.
 *
 * Must never: print a secret.
 */
#include <string.h>

#include "core/base/config_internal.h"

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

static void dump_list(const struct key *key, const char *base, int depth, FILE *out)
{
	const char *array = *(const char *const *)(const void *)(base + key->offset);
	size_t n = *(const size_t *)(const void *)(base + key->count);

	fprintf(out, "%s = (", key->name);
	for (size_t i = 0; i < n; i++) {
		fprintf(out, "%s{\n", i > 0 ? ", " : "");
		dump_section(key->sub, array + i * key->sub->size, depth + 1, out);
		indent(out, depth);
		fputc('}', out);
	}
	fputs(");\n", out);
}

static void dump_names(const struct key *key, const char *base, FILE *out)
{
	const char *const *names =
		*(const char *const *const *)(const void *)(base + key->offset);
	size_t n = *(const size_t *)(const void *)(base + key->count);

	fprintf(out, "%s = [ ", key->name);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s\"%s\"", i > 0 ? ", " : "", names[i]);
	fputs(n > 0 ? " ];\n" : "];\n", out);
}

static void dump_option(const struct key *key, const char *section, int depth, FILE *out)
{
	if (!section) {
		fprintf(out, "// no %s\n", key->name);
		return;
	}
	fprintf(out, "%s = {\n", key->name);
	dump_section(key->sub, section, depth + 1, out);
	indent(out, depth);
	fputs("};\n", out);
}

static void dump_levels(const struct key *key, const char *base, int depth, FILE *out)
{
	const struct config_lint *list =
		*(const struct config_lint *const *)(const void *)(base + key->offset);
	size_t n = *(const size_t *)(const void *)(base + key->count);

	fprintf(out, "%s = {\n", key->name);
	for (size_t i = 0; i < n; i++) {
		indent(out, depth + 1);
		fprintf(out, "%s = \"%s\";\n", list[i].rule, list[i].level);
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

	enum form form = FORM_WITHOUT;

	if (section->fork &&
	    *(const size_t *)(const void *)(base + section->fork_offset) > 0)
		form = FORM_WITH;
	for (size_t k = 0; k < section->n; k++) {
		const struct key *key = &section->keys[k];
		const void *value = base + key->offset;

		if (!key_applies(key, form))
			continue;
		indent(out, depth);
		switch (key->type) {
		case KEY_STR:
		case KEY_CHOICE:
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
			dump_section(key->sub, value, depth + 1, out);
			indent(out, depth);
			fputs("};\n", out);
			break;
		case KEY_OPTION:
			dump_option(key, *(const char *const *)value, depth, out);
			break;
		case KEY_MAP:
		case KEY_STRMAP:
			dump_map(key, base, depth, out);
			break;
		case KEY_LIST:
			dump_list(key, base, depth, out);
			break;
		case KEY_NAMES:
			dump_names(key, base, out);
			break;
		case KEY_LEVELS:
			dump_levels(key, base, depth, out);
			break;
		}
	}
}

void config_dump(const struct config *c, FILE *out)
{
	dump_section(&config_root, (const char *)c, 0, out);
}

static void example_section(const struct section *section, enum form form, int depth,
			    FILE *out);

static void example_element(const struct key *key, const char *name, enum form form,
			    int depth, FILE *out)
{
	indent(out, depth);
	fprintf(out, "%s = {\n", name);
	example_section(key->sub, form, depth + 1, out);
	indent(out, depth);
	fputs("};\n", out);
}

static void example_section(const struct section *section, enum form form, int depth,
			    FILE *out)
{
	for (size_t k = 0; k < section->n; k++) {
		const struct key *key = &section->keys[k];

		if (!key_applies(key, form))
			continue;
		indent(out, depth);
		fprintf(out, "// %s%s\n", key->doc, key->preset ? "" : " (required)");
		indent(out, depth);
		switch (key->type) {
		case KEY_INT:
		case KEY_BOOL:
		case KEY_NAMES:
			fprintf(out, "%s = %s;\n", key->name, key->example);
			break;
		case KEY_GROUP:
			fprintf(out, "%s = {\n", key->name);
			example_section(key->sub, FORM_WITHOUT, depth + 1, out);
			indent(out, depth);
			fputs("};\n", out);
			break;
		case KEY_OPTION:
			fprintf(out, "// %s = { the keys of a connection, as above };\n",
				key->name);
			break;
		case KEY_LIST:
			fprintf(out,
				"// %s = ( { the keys of a connection, as above }, … );\n",
				key->name);
			break;
		case KEY_MAP:
			fprintf(out, "%s = {\n", key->name);
			example_element(key, key->example, FORM_WITHOUT, depth + 1, out);
			if (key->example_with)
				example_element(key, key->example_with, FORM_WITH,
						depth + 1, out);
			indent(out, depth);
			fputs("};\n", out);
			break;
		case KEY_STRMAP:
		case KEY_LEVELS:
			fprintf(out, "%s = { %s };\n", key->name, key->example);
			break;
		case KEY_STR:
		case KEY_CHOICE:
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
	example_section(&config_root, FORM_WITHOUT, 0, out);
}
