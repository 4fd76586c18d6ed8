/*
 * model.c - the small tables of the model: controls and the retry backoff. See model.h.
 */
#include "core/model/model.h"

#include <string.h>

static const char *const control_names[] = {
#define X(name, wire) [CONTROL_##name] = wire,
	CONTROLS(X)
#undef X
};

const char *control_name(enum control c)
{
	return control_names[c];
}

int control_parse(const char *name, int *control)
{
	for (int c = 0; c < CONTROL_COUNT; c++)
		if (strcmp(control_names[c], name) == 0) {
			*control = c;
			return 0;
		}
	return -1;
}

int task_percent(const struct task *t)
{
	if (t->state == STATE_COMPLETED)
		return 100;
	if (t->rows_total > 0 && t->rows_copied > t->rows_total)
		return -1;
	if (t->percent >= 0)
		return t->percent > 100 ? 100 : (int)t->percent;
	if (t->rows_copied >= 0 && t->rows_total > 0)
		return (int)(t->rows_copied * 100 / t->rows_total);
	return -1;
}

int retry_backoff_seconds(int attempt)
{
	static const int seconds[] = { 0, 0, 15, 30, 60 };
	size_t last = ARRAY_SIZE(seconds) - 1;

	if (attempt < 0)
		attempt = 0;
	return seconds[(size_t)attempt < last ? (size_t)attempt : last];
}
