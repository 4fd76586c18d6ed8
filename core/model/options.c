/*
 * options.c - apply options: strings on the wire, typed inside, lossless both ways.
 *
 * Used by the apply handler (to refuse what is unknown), by replies, and by the driver.
 * The table below is the only list of options there is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "core/model/model.h"
#include "engines/engine.h"

enum option_type { OPTION_BOOL, OPTION_TEXT, OPTION_ALGORITHM, OPTION_INT };

static const struct option {
	const char *key;
	enum option_type type;
	int min, max; /* OPTION_INT; OPTION_TEXT: most bytes */
	size_t offset;
	const char *allowed; /* for the refusal */
} options[] = {
#define OPTION(key, type, min, max, allowed)                                       \
	{                                                                          \
#key, type, min, max, offsetof(struct apply_options, key), allowed \
	}
	OPTION(allow_unsafe, OPTION_BOOL, 0, 0, "true or false"),
	OPTION(defer_cutover, OPTION_BOOL, 0, 0, "true or false"),
	OPTION(defer_deploy, OPTION_BOOL, 0, 0, "true or false"),
	OPTION(enable_revert, OPTION_BOOL, 0, 0, "true or false"),
	OPTION(skip_revert, OPTION_BOOL, 0, 0, "true or false"),
	OPTION(branch, OPTION_TEXT, 1, 255, "1 to 255 bytes"),
	OPTION(algorithm, OPTION_ALGORITHM, 0, 0, "auto, instant, inplace or copy"),
	OPTION(volume, OPTION_INT, VOLUME_MIN, VOLUME_MAX, "1 to 11"),
	OPTION(keep_old, OPTION_INT, 1, 24 * 365, "1 to 8760 hours"),
	OPTION(rollback, OPTION_BOOL, 0, 0, "true or false"),
#undef OPTION
};

/* One spelling for each number, so that it comes out as it went in. */
static int set_int(const struct option *o, const char *text, int *out)
{
	char *end;
	long n;

	if (*text < '1' || *text > '9')
		return -1;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < o->min || n > o->max)
		return -1;
	*out = (int)n;
	return 0;
}

static int set(TALLOC_CTX *ctx, const struct option *o, const char *text, void *at)
{
	int algorithm;

	switch (o->type) {
	case OPTION_BOOL:
		*(bool *)at = strcmp(text, "true") == 0;
		return *(bool *)at || strcmp(text, "false") == 0 ? 0 : -1;
	case OPTION_ALGORITHM:
		if (engine_algorithm_parse(text, &algorithm) < 0)
			return -1;
		break;
	case OPTION_TEXT:
		if (strlen(text) < (size_t)o->min || strlen(text) > (size_t)o->max)
			return -1;
		break;
	case OPTION_INT:
		return set_int(o, text, at);
	}
	*(char **)at = mem_strdup(ctx, text);
	return 0;
}

int options_parse(TALLOC_CTX *ctx, struct json_object *map, struct apply_options *out,
		  struct sb_err *err)
{
	*out = (struct apply_options){ 0 };
	if (!map)
		return 0;
	json_object_object_foreach (map, key, value) {
		const struct option *o = NULL;

		for (size_t i = 0; i < ARRAY_SIZE(options) && !o; i++)
			if (strcmp(options[i].key, key) == 0)
				o = &options[i];
		if (!o)
			return sb_err(
				err, SB_EINVALID,
				"Unknown option '%.100s'; remove it or check its spelling.",
				key);
		if (!json_object_is_type(value, json_type_string))
			return sb_err(
				err, SB_EINVALID,
				"Option '%s' must be a string (options are strings on the "
				"wire, e.g. \"true\").",
				key);
		if (strlen(json_object_get_string(value)) !=
			    (size_t)json_object_get_string_len(value) ||
		    set(ctx, o, json_object_get_string(value), (char *)out + o->offset) <
			    0)
			return sb_err(err, SB_EINVALID,
				      "Option '%s' must be %s, not '%.100s'.", key,
				      o->allowed, json_object_get_string(value));
	}
	return 0;
}

struct json_object *options_to_json(const struct apply_options *opts)
{
	struct json_object *map = js_object();

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option *o = &options[i];
		const void *at = (const char *)opts + o->offset;
		char number[16];

		switch (o->type) {
		case OPTION_BOOL:
			if (*(const bool *)at)
				js_str(map, o->key, "true");
			break;
		case OPTION_INT:
			if (*(const int *)at == 0)
				break;
			snprintf(number, sizeof(number), "%d", *(const int *)at);
			js_str(map, o->key, number);
			break;
		case OPTION_TEXT:
		case OPTION_ALGORITHM:
			js_str_opt(map, o->key, *(const char *const *)at);
			break;
		}
	}
	return map;
}
