/*
 * plan_summary.c - see plan_summary.h.
 */
#include "fcgi/plan_summary.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/buf.h"

#define NAMED_AT_MOST 5

static bool is_alter(const struct schema_change *c)
{
	return strcmp(c->action, "create") != 0 && strcmp(c->action, "drop") != 0;
}

static bool is_blocked(const struct schema_change *c)
{
	return strcmp(c->execution_mode, "blocked") == 0;
}

static bool makes_wait(const struct schema_change *c)
{
	return strcmp(c->execution_mode, "direct") == 0;
}

static bool is_online(const struct schema_change *c, enum engine_cost cost)
{
	return is_alter(c) && *c->execution_mode == '\0' && c->cost == cost;
}

static bool is_metadata(const struct schema_change *c)
{
	return is_online(c, ENGINE_COST_METADATA);
}

static bool is_index(const struct schema_change *c)
{
	return is_online(c, ENGINE_COST_INDEX);
}

static bool is_rebuild(const struct schema_change *c)
{
	return is_online(c, ENGINE_COST_REBUILD);
}

static bool is_unknown(const struct schema_change *c)
{
	return is_online(c, ENGINE_COST_UNKNOWN);
}

static bool is_unsafe(const struct schema_change *c)
{
	return c->is_unsafe;
}

/* One sentence for each kind of statement that there is. */
static const struct kind {
	bool (*is)(const struct schema_change *c);
	const char *words;
	bool sized; /* rows and bytes are told: they say how long it takes */
} kinds[] = {
	{ is_blocked, "Impossible with this engine", false },
	{ is_metadata, "Only metadata changes", false },
	{ is_index, "All rows are read to build an index, while writes go on", true },
	{ is_rebuild, "Copied online, while writes go on", true },
	{ is_unknown, "Changed in place at a cost that is not known, while writes go on",
	  true },
	{ makes_wait, "Changed by the server itself, and writes may wait while it runs",
	  true },
	{ is_unsafe, "Unsafe, needs the option allow_unsafe", false },
};

static void add_bytes(struct buf *b, int64_t bytes)
{
	static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB" };
	double n = (double)bytes;
	size_t u = 0;

	while (n >= 1000 && u + 1 < ARRAY_SIZE(units)) {
		n /= 1000;
		u++;
	}
	buf_printf(b, "%.*f %s", u > 0 && n < 10 ? 1 : 0, n, units[u]);
}

static void add_size(struct buf *b, const struct schema_change *c)
{
	if (c->table_bytes < 0 && c->table_rows < 0) {
		buf_str(b, " (size unknown)");
		return;
	}
	buf_str(b, " (about ");
	if (c->table_rows >= 0)
		buf_printf(b, "%" PRId64 " row%s%s", c->table_rows,
			   c->table_rows == 1 ? "" : "s",
			   c->table_bytes >= 0 ? ", " : "");
	if (c->table_bytes >= 0)
		add_bytes(b, c->table_bytes);
	buf_char(b, ')');
}

static bool has_namespaces(const struct schema_plan *p)
{
	for (size_t i = 1; i < p->n_changes; i++)
		if (strcmp(p->changes[i].namespace, p->changes[0].namespace) != 0)
			return true;
	return false;
}

/* One of several statements for a table that was named already. */
static bool is_named(const struct schema_plan *p, const struct kind *k, size_t i)
{
	for (size_t e = 0; e < i; e++)
		if (k->is(&p->changes[e]) &&
		    strcmp(p->changes[e].table, p->changes[i].table) == 0 &&
		    strcmp(p->changes[e].namespace, p->changes[i].namespace) == 0)
			return true;
	return false;
}

static void add_kind(struct buf *b, const struct schema_plan *p, const struct kind *k)
{
	bool several = has_namespaces(p);
	size_t n = 0;

	for (size_t i = 0; i < p->n_changes; i++) {
		const struct schema_change *c = &p->changes[i];

		if (!k->is(c) || (n < NAMED_AT_MOST && is_named(p, k, i)) ||
		    n++ >= NAMED_AT_MOST)
			continue;
		buf_str(b, n == 1 ? " " : ", ");
		if (n == 1)
			buf_printf(b, "%s: ", k->words);
		buf_printf(b, "%s%s%s", several ? c->namespace : "", several ? "." : "",
			   c->table);
		if (k->sized)
			add_size(b, c);
	}
	if (n > NAMED_AT_MOST)
		buf_printf(b, " and %zu more", n - NAMED_AT_MOST);
	if (n > 0)
		buf_char(b, '.');
}

/* " 3 statements: 1 create, 2 alter." */
static void add_statements(struct buf *b, const struct schema_plan *p)
{
	const char *between = ": ";

	buf_printf(b, " %zu statement%s", p->n_changes, p->n_changes == 1 ? "" : "s");
	for (size_t i = 0; i < p->n_changes; i++) {
		const char *action = p->changes[i].action;
		size_t n = 0, first = 0;

		while (strcmp(p->changes[first].action, action) != 0)
			first++;
		if (first < i)
			continue;
		for (size_t k = i; k < p->n_changes; k++)
			n += strcmp(p->changes[k].action, action) == 0;
		buf_printf(b, "%s%zu %s", between, n, action);
		between = ", ";
	}
	buf_char(b, '.');
}

static void add_lint(struct buf *b, const struct schema_plan *p)
{
	static const char *const severities[] = { "error", "warning" };
	const char *between = " Lint: ";
	bool any = false;

	for (size_t s = 0; s < ARRAY_SIZE(severities); s++) {
		size_t n = 0;

		for (size_t i = 0; i < p->n_lint; i++)
			n += strcmp(p->lint[i].severity, severities[s]) == 0;
		if (n == 0)
			continue;
		buf_printf(b, "%s%zu %s%s", between, n, severities[s], n == 1 ? "" : "s");
		between = ", ";
		any = true;
	}
	if (any)
		buf_char(b, '.');
}

static void add_losses(struct buf *b, const struct schema_plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_lint; i++)
		if (strcmp(p->lint[i].linter, LINTER_ROLLBACK) == 0 &&
		    n++ < NAMED_AT_MOST)
			buf_printf(b, " %s", p->lint[i].message);
	if (n > NAMED_AT_MOST)
		buf_printf(b, " And %zu more that lose data.", n - NAMED_AT_MOST);
}

char *plan_summary(TALLOC_CTX *ctx, const struct schema_plan *p, const char *rollback_of)
{
	struct buf b;

	buf_init(&b, ctx);
	if (rollback_of && *rollback_of)
		buf_printf(&b, " Takes back what %s did to the definitions.",
			   rollback_of);
	if (p->n_errors > 0)
		buf_printf(&b, " It has %zu error%s and cannot be applied.", p->n_errors,
			   p->n_errors == 1 ? "" : "s");
	if (p->n_changes > 0)
		add_statements(&b, p);
	else if (p->n_errors == 0)
		buf_str(&b, " Nothing to do: the database is as it should be.");
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		add_kind(&b, p, &kinds[k]);
	add_losses(&b, p);
	add_lint(&b, p);
	return b.data + (b.len > 0 ? 1 : 0);
}
