/*
 * diff_options.c - differences of table options; see diff_parts.h.
 */
#include <string.h>
#include <strings.h>

#include "core/schema/diff_parts.h"
#include "core/schema/options.h"

static void setting(struct table_diff *d, const char *name, const char *value)
{
	struct clause *k = diff_add(d, CLAUSE_SETTING);

	k->name = name;
	k->value = value;
}

/* The counter is data. MariaDB takes a checksum setting along when a table
 * leaves Aria, and does not let go of it in the same statement; to another
 * engine it means nothing. */
static bool is_moot(const struct table_diff *d, const char *name)
{
	return strcmp(name, "AUTO_INCREMENT") == 0 ||
	       (strcmp(name, "PAGE_CHECKSUM") == 0 &&
		strcasecmp(d->to->engine, "Aria") != 0);
}

static void settings(struct table_diff *d)
{
	for (size_t i = 0; i < d->to->n_settings; i++) {
		const struct table_setting *s = &d->to->settings[i];
		const char *old = table_setting(d->from, s->name);
		const struct table_option *o = option_by_name(s->name);

		if (is_moot(d, s->name) || (old && !strcmp(old, s->value)))
			continue;
		if (!o || o->refused)
			diff_cannot(d, s->name, old ? old : "absent", s->value);
		else
			setting(d, s->name, s->value);
	}
	for (size_t i = 0; i < d->from->n_settings; i++) {
		const struct table_setting *s = &d->from->settings[i];
		const struct table_option *o = option_by_name(s->name);

		if (is_moot(d, s->name) || table_setting(d->to, s->name))
			continue;
		if (!o || !o->reset)
			diff_cannot(d, s->name, s->value, "absent");
		else
			setting(d, s->name, o->reset);
	}
}

/*
 * Two tables that name the same row format are the same, whatever is in effect:
 * of a partitioned table MySQL keeps what was in effect. So are two that name
 * none: they differ only in the server's default.
 */
static void row_format(struct table_diff *d)
{
	const char *from = d->from->row_format_printed, *to = d->to->row_format_printed;

	if (strcasecmp(from, to) == 0)
		return;
	/* Another engine has its own idea of what the name says. */
	if (strcasecmp(d->from->row_format, d->to->row_format) == 0 &&
	    strcasecmp(d->from->engine, d->to->engine) == 0)
		return;
	diff_add(d, CLAUSE_ROW_FORMAT)->value = *to ? to : "DEFAULT";
}

static const struct table_column *counting(const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (t->columns[i].auto_increment)
			return &t->columns[i];
	return NULL;
}

const struct table_column *diff_counted(const struct table *from, const struct table *to)
{
	const struct table_column *a = counting(from), *b = counting(to);

	return a && b && same_name(a->name, b->name) ? a : NULL;
}

/* The value is data, which goes on counting: it is raised, never lowered. */
static void counter(struct table_diff *d)
{
	uint64_t is = diff_counted(d->from, d->to) ? d->from->counter : 0;

	if (counting(d->to) && d->to->counter > 1 && d->to->counter > is)
		diff_add(d, CLAUSE_COUNTER);
}

void diff_options(struct table_diff *d)
{
	if (strcasecmp(d->from->engine, d->to->engine) != 0)
		diff_add(d, CLAUSE_ENGINE)->value = d->to->engine;
	if (strcasecmp(d->from->collation, d->to->collation) != 0)
		diff_add(d, CLAUSE_COLLATION);
	row_format(d);
	settings(d);
	counter(d);
}
