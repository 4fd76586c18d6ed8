/*
 * registry.c - the engines there are, and the words for their enums.
 *
 * Asked by planning and driving for the engine of a database's type. Adding an engine is
 * one line in the table below.
 */
#include <string.h>

#include "engines/engine.h"

static const struct engine *const engines[] = {
	&mysql_engine,
};

static const char *const algorithm_names[] = {
#define X(name, text) [ENGINE_ALGORITHM_##name] = text,
	ENGINE_ALGORITHMS(X)
#undef X
};

const struct engine *engine_for_type(const char *database_type)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (strcmp(engines[i]->database_type, database_type) == 0)
			return engines[i];
	return NULL;
}

const struct engine *engine_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (strcmp(engines[i]->name, name) == 0)
			return engines[i];
	return NULL;
}

const char *engine_algorithm_name(enum engine_algorithm a)
{
	return algorithm_names[a];
}

int engine_algorithm_parse(const char *text, int *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithm_names); i++)
		if (strcmp(algorithm_names[i], text) == 0) {
			*a = (int)i;
			return 0;
		}
	return -1;
}
