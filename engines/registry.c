/*
 * registry.c - the engines there are, and the words for their enums.
 *
 * Asked by planning and driving for the engine of a database's type. Adding an engine is
 * one line in the table below.
 */
#include <string.h>

#include "engines/engine.h"
#include "engines/trace.h"

static const struct engine *const engines[] = {
	&mysql_engine,
#ifdef SB_FAULTS
	&fake_engine,
	&fake_resident_engine,
#endif
};

static const char *const algorithm_names[] = {
#define X(name, text) [ENGINE_ALGORITHM_##name] = text,
	ENGINE_ALGORITHMS(X)
#undef X
};

static const char *const cost_names[] = {
#define X(name, text) [ENGINE_COST_##name] = text,
	ENGINE_COSTS(X)
#undef X
};

static const char *const task_state_names[] = {
#define X(name, text) [ENGINE_TASK_##name] = text,
	ENGINE_TASK_STATES(X)
#undef X
};

static const char *const effect_names[] = {
#define X(name, text) [ENGINE_EFFECT_##name] = text,
	ENGINE_EFFECTS(X)
#undef X
};

static const struct engine *entry(size_t i)
{
#ifdef SB_FAULTS
	return engine_traced(engines, ARRAY_SIZE(engines), engines[i]);
#else
	return engines[i];
#endif
}

const struct engine *engine_for_type(const char *database_type)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (strcmp(engines[i]->database_type, database_type) == 0)
			return entry(i);
	return NULL;
}

const struct engine *engine_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (strcmp(engines[i]->name, name) == 0)
			return entry(i);
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

const char *engine_cost_name(enum engine_cost c)
{
	return cost_names[c];
}

int engine_cost_parse(const char *text, int *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(cost_names); i++)
		if (strcmp(cost_names[i], text) == 0) {
			*c = (int)i;
			return 0;
		}
	return -1;
}

const char *engine_task_state_name(enum engine_task_state s)
{
	return task_state_names[s];
}

enum engine_task_state engine_task_state_parse(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(task_state_names); i++)
		if (strcmp(task_state_names[i], text) == 0)
			return (enum engine_task_state)i;
	return ENGINE_TASK_UNKNOWN;
}

const char *engine_effect_name(enum engine_effect e)
{
	return effect_names[e];
}
