/*
 * gtid.c - see gtid.h.
 */
#include "engines/mysql/binlog/gtid.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UUID_TEXT 36
#define TAG_MOST  32

struct range {
	uint64_t from, to; /* both belong to it */
};

struct source {
	char name[EVENT_GTID_LEN]; /* uuid, uuid:tag; MariaDB: the domain */
	uint64_t server_id;	   /* MariaDB: of the last one */
	struct range *ranges;	   /* ascending, with gaps between them */
	size_t n;
};

struct gtid_set {
	enum db_flavor flavor;
	struct source *sources;
	size_t n;
};

/* ---- sets -----------------------------------------------------------------------------
 */

static struct source *find(const struct gtid_set *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->sources[i].name, name) == 0)
			return &s->sources[i];
	return NULL;
}

static struct source *obtain(struct gtid_set *s, const char *name)
{
	struct source *found = find(s, name);

	if (found)
		return found;
	s->sources = mem_grow(s, s->sources, struct source, s->n + 1);
	found = &s->sources[s->n++];
	*found = (struct source){ .n = 0 };
	snprintf(found->name, sizeof(found->name), "%s", name);
	return found;
}

/* Ranges that touch become one. */
static void add_range(struct gtid_set *s, struct source *o, struct range r)
{
	size_t at = 0, end;

	while (at < o->n && o->ranges[at].to + 1 < r.from)
		at++;
	for (end = at; end < o->n && o->ranges[end].from <= r.to + 1; end++) {
		r.from = o->ranges[end].from < r.from ? o->ranges[end].from : r.from;
		r.to = o->ranges[end].to > r.to ? o->ranges[end].to : r.to;
	}
	if (end == at)
		o->ranges = mem_grow(s, o->ranges, struct range, o->n + 1);
	memmove(&o->ranges[at + 1], &o->ranges[end], (o->n - end) * sizeof(r));
	o->n = o->n - (end - at) + 1;
	o->ranges[at] = r;
}

void gtid_add(struct gtid_set *s, const struct event_gtid *g)
{
	struct source *o;

	if (g->number == 0 || !*g->source)
		return;
	o = obtain(s, g->source);
	if (s->flavor == DB_MYSQL) {
		add_range(s, o, (struct range){ g->number, g->number });
		return;
	}
	o->server_id = g->server_id;
	o->n = 0;
	add_range(s, o, (struct range){ 1, g->number });
}

bool gtid_is_empty(const struct gtid_set *s)
{
	return s->n == 0;
}

static bool has_range(const struct source *o, const struct range *r)
{
	for (size_t i = 0; o && i < o->n; i++)
		if (o->ranges[i].from <= r->from && r->to <= o->ranges[i].to)
			return true;
	return false;
}

bool gtid_covers(const struct gtid_set *a, const struct gtid_set *b)
{
	for (size_t i = 0; i < b->n; i++)
		for (size_t k = 0; k < b->sources[i].n; k++)
			if (!has_range(find(a, b->sources[i].name),
				       &b->sources[i].ranges[k]))
				return false;
	return true;
}

static struct gtid_set *empty(TALLOC_CTX *ctx, enum db_flavor flavor)
{
	struct gtid_set *s = mem_new(ctx, struct gtid_set);

	s->flavor = flavor;
	return s;
}

static void add_common(struct gtid_set *s, const struct source *a, const struct source *b)
{
	struct source *o = NULL;

	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++) {
			const struct range *p = &a->ranges[i], *q = &b->ranges[k];
			struct range r = { p->from > q->from ? p->from : q->from,
					   p->to < q->to ? p->to : q->to };

			if (r.from > r.to)
				continue;
			o = obtain(s, a->name);
			o->server_id = r.to == p->to ? a->server_id : b->server_id;
			add_range(s, o, r);
		}
}

struct gtid_set *gtid_common(TALLOC_CTX *ctx, const struct gtid_set *a,
			     const struct gtid_set *b)
{
	struct gtid_set *s = empty(ctx, a->flavor);

	for (size_t i = 0; i < a->n; i++) {
		const struct source *other = find(b, a->sources[i].name);

		if (other)
			add_common(s, &a->sources[i], other);
	}
	return s;
}

/* ---- text -----------------------------------------------------------------------------
 */

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *number(const char *p, uint64_t *out)
{
	char *end;

	if (*p < '0' || *p > '9')
		return NULL;
	*out = strtoull(p, &end, 10);
	return skip_space(end);
}

/* "domain-server-number" */
static const char *read_mariadb(const char *p, char *domain, size_t size,
				uint64_t *server, uint64_t *n)
{
	uint64_t d;

	p = number(p, &d);
	if (!p || *p != '-')
		return NULL;
	p = number(p + 1, server);
	if (!p || *p != '-')
		return NULL;
	snprintf(domain, size, "%" PRIu64, d);
	return number(p + 1, n);
}

static const char *parse_mariadb(struct gtid_set *s, const char *p)
{
	char domain[24];
	uint64_t server, n;
	struct source *o;

	p = read_mariadb(p, domain, sizeof(domain), &server, &n);
	if (!p)
		return NULL;
	o = obtain(s, domain);
	o->server_id = server;
	o->n = 0;
	if (n > 0)
		add_range(s, o, (struct range){ 1, n });
	return p;
}

/* "uuid[:tag]:1-5:7[:tag:1-3]": a tag holds until the next. */
static const char *parse_mysql(struct gtid_set *s, const char *p)
{
	char name[UUID_TEXT + 1 + TAG_MOST + 1];

	if (strnlen(p, UUID_TEXT) < UUID_TEXT)
		return NULL;
	for (size_t i = 0; i < UUID_TEXT; i++)
		name[i] = p[i] >= 'A' && p[i] <= 'F' ? (char)(p[i] + 32) : p[i];
	name[UUID_TEXT] = '\0';
	p = skip_space(p + UUID_TEXT);
	if (*p != ':')
		return NULL;
	while (p && *p == ':') {
		struct range r;
		size_t tag;

		p = skip_space(p + 1);
		if (*p < '0' || *p > '9') {
			tag = strcspn(p, ": \t\r\n,");
			if (tag == 0 || tag > TAG_MOST)
				return NULL;
			snprintf(name + UUID_TEXT, sizeof(name) - UUID_TEXT, ":%.*s",
				 (int)tag, p);
			p = skip_space(p + tag);
			continue;
		}
		p = number(p, &r.from);
		r.to = r.from;
		if (p && *p == '-')
			p = number(p + 1, &r.to);
		if (!p || r.from == 0 || r.to < r.from)
			return NULL;
		add_range(s, obtain(s, name), r);
	}
	return p;
}

int gtid_parse(TALLOC_CTX *ctx, enum db_flavor flavor, const char *text,
	       struct gtid_set **out, struct sb_err *err)
{
	struct gtid_set *s = empty(ctx, flavor);
	const char *p = skip_space(text ? text : "");

	*out = NULL;
	while (p && *p) {
		p = flavor == DB_MYSQL ? parse_mysql(s, p) : parse_mariadb(s, p);
		if (p && *p && *p != ',')
			p = NULL;
		if (p && *p)
			p = skip_space(p + 1);
	}
	if (!p) {
		talloc_free(s);
		return sb_err(err, SB_EENGINE,
			      "\"%.100s\" is no position of transactions (GTID).", text);
	}
	*out = s;
	return 0;
}

char *gtid_text(TALLOC_CTX *ctx, const struct gtid_set *s)
{
	struct buf b;

	buf_init(&b, ctx);
	buf_str(&b, "");
	for (size_t i = 0; i < s->n; i++) {
		const struct source *o = &s->sources[i];

		if (o->n == 0)
			continue;
		buf_printf(&b, "%s%s", b.len > 0 ? "," : "", o->name);
		if (s->flavor == DB_MARIADB) {
			buf_printf(&b, "-%" PRIu64 "-%" PRIu64, o->server_id,
				   o->ranges[0].to);
			continue;
		}
		for (size_t k = 0; k < o->n; k++) {
			buf_printf(&b, ":%" PRIu64, o->ranges[k].from);
			if (o->ranges[k].to > o->ranges[k].from)
				buf_printf(&b, "-%" PRIu64, o->ranges[k].to);
		}
	}
	return b.data;
}

bool gtid_in_history(const struct gtid_set *s, const char *state)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct source *o = &s->sources[i];
		bool found = o->n == 0;
		const char *p = skip_space(state ? state : "");

		while (!found && p && *p) {
			char domain[24];
			uint64_t server, n;

			p = read_mariadb(p, domain, sizeof(domain), &server, &n);
			found = p && strcmp(domain, o->name) == 0 &&
				server == o->server_id && n >= o->ranges[0].to;
			if (p && *p == ',')
				p = skip_space(p + 1);
		}
		if (!found)
			return false;
	}
	return true;
}

/* ---- protocol -------------------------------------------------------------------------
 */

static void add_uint64(struct buf *b, uint64_t v)
{
	char bytes[8];

	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (char)(uint8_t)(v >> (8 * i));
	buf_add(b, bytes, sizeof(bytes));
}

static unsigned nibble(char c)
{
	return (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0') & 15;
}

static void add_uuid(struct buf *b, const char *text)
{
	for (size_t i = 0; i + 1 < UUID_TEXT; i += 2) {
		if (text[i] == '-')
			i++;
		buf_char(b, (char)(uint8_t)(nibble(text[i]) << 4 | nibble(text[i + 1])));
	}
}

void gtid_encode(struct buf *b, const struct gtid_set *s)
{
	bool tagged = false;

	for (size_t i = 0; i < s->n; i++)
		tagged = tagged || strlen(s->sources[i].name) > UUID_TEXT;
	add_uint64(b,
		   tagged ? (uint64_t)1 << 56 | (uint64_t)s->n << 8 | 1 : (uint64_t)s->n);
	for (size_t i = 0; i < s->n; i++) {
		const struct source *o = &s->sources[i];
		const char *tag = o->name + UUID_TEXT;

		add_uuid(b, o->name);
		tag += *tag == ':';
		if (tagged) { /* its length as the server's own kind of integer */
			buf_char(b, (char)(strlen(tag) << 1));
			buf_str(b, tag);
		}
		add_uint64(b, o->n);
		for (size_t k = 0; k < o->n; k++) {
			add_uint64(b, o->ranges[k].from);
			add_uint64(b, o->ranges[k].to + 1);
		}
	}
}
