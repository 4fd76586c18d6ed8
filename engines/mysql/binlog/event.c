/*
 * event.c - framing of binlog events; see event.h.
 *
 * Everything is read through a checked cursor (wire.h): a length that a damaged stream
 * claims is never believed.
 */
#include "engines/mysql/binlog/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "engines/mysql/binlog/payload.h"

#define FLAG_IGNORABLE		     0x80 /* LOG_EVENT_IGNORABLE_F */
#define FORMAT_SERVER_VERSION_LEN    50
#define MARIADB_GTID_FLAG_STANDALONE 1
#define MYSQL_UUID_LEN		     16

static const struct known {
	enum event_type type;
	const char *name;
	enum event_kind kind;
	bool mariadb;
	const char *why;
} known[] = {
#define X(code, name, kind, mariadb, why) \
	{ BINLOG_##name, #name, EVENT_##kind, mariadb, why },
	BINLOG_EVENTS(X)
#undef X
};

/* The same number may mean another event on the other server. */
static const struct known *find(const struct event_format *f, unsigned type)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if ((unsigned)known[i].type == type &&
		    (!known[i].mariadb || f->flavor == DB_MARIADB))
			return &known[i];
	return NULL;
}

void event_format_init(struct event_format *f, enum db_flavor flavor)
{
	*f = (struct event_format){ .flavor = flavor };
}

static int damaged(const char *what, struct sb_err *err)
{
	return sb_err(err, SB_EENGINE,
		      "The binlog stream is damaged: %s. Check the server's disk and "
		      "network; the copy can be started again.",
		      what);
}

/* ---- FORMAT_DESCRIPTION -----------------------------------------------------------
 */

/*
 * Version (2), server version (50), creation time (4), header length (1), one length for
 * each type of event, checksum algorithm (1), CRC (4). The last two are always there, on
 * servers that we support, whatever the algorithm.
 */
static int read_format(struct event_format *f, const uint8_t *data, size_t len,
		       struct sb_err *err)
{
	struct wire w = { data + EVENT_HEADER_LEN, data + len, false };
	struct event_format out = { .flavor = f->flavor, .known = true };
	size_t types;

	wire_take(&w, 2 + FORMAT_SERVER_VERSION_LEN + 4);
	if (wire_uint(&w, 1) != EVENT_HEADER_LEN || wire_left(&w) < 1 + EVENT_CRC_LEN)
		return damaged("a format description that is too short", err);
	types = wire_left(&w) - 1 - EVENT_CRC_LEN;
	for (size_t i = 0; i < types && i + 1 < sizeof(out.post_header); i++)
		out.post_header[i + 1] = w.p[i];
	switch (w.p[types]) {
	case 0:
		break;
	case 1:
		out.checksum = true;
		break;
	default:
		return sb_err(
			err, SB_EENGINE,
			"The binlog has checksums of a kind that is not known (%d): "
			"SET GLOBAL binlog_checksum = CRC32 on the server.",
			w.p[types]);
	}
	*f = out;
	return 0;
}

/* ---- the common header -------------------------------------------------------------
 */

static bool checksum_fits(const uint8_t *data, size_t len)
{
	uint32_t want = (uint32_t)wire_le(data + len - EVENT_CRC_LEN, EVENT_CRC_LEN);

	return (uint32_t)crc32_z(0, data, len - EVENT_CRC_LEN) == want;
}

static int classify(const struct event_format *f, unsigned type, struct event *e,
		    struct sb_err *err)
{
	const struct known *k = find(f, type);

	if (!k && e->flags & FLAG_IGNORABLE) {
		e->kind = EVENT_NOTHING;
		e->name = "unknown";
		return 0;
	}
	if (!k)
		return sb_err(
			err, SB_EENGINE,
			"The binlog has an event of a type that is not known (%u), which "
			"may hold changes of the table. This server is newer than this "
			"version of SchemaBot.",
			type);
	if (k->kind == EVENT_REFUSED)
		return sb_err(err, SB_EENGINE,
			      "The binlog has an event that cannot be followed (%s): %s.",
			      k->name, k->why);
	e->kind = k->kind;
	e->type = k->type;
	e->name = k->name;
	return 0;
}

int event_read(struct event_format *f, const uint8_t *data, size_t len, struct event *out,
	       struct sb_err *err)
{
	struct wire w = { data, data + len, false };
	struct event e = { 0 };
	unsigned type;
	size_t size;
	bool checksum;

	e.timestamp = (uint32_t)wire_uint(&w, 4);
	type = (unsigned)wire_uint(&w, 1);
	e.server_id = (uint32_t)wire_uint(&w, 4);
	size = (size_t)wire_uint(&w, 4);
	e.next = (uint32_t)wire_uint(&w, 4);
	e.flags = (uint16_t)wire_uint(&w, 2);
	if (w.bad || size != len)
		return damaged("an event that is not as long as it says", err);
	if (type == BINLOG_FORMAT_DESCRIPTION && read_format(f, data, len, err) < 0)
		return -1;
	/* The artificial rotation in front of everything may have one or not. */
	checksum = f->known ? f->checksum
			    : len >= EVENT_HEADER_LEN + EVENT_CRC_LEN &&
				      checksum_fits(data, len);
	if (checksum && (wire_left(&w) < EVENT_CRC_LEN || !checksum_fits(data, len)))
		return damaged("a checksum does not fit", err);
	e.body = (struct wire){ w.p, data + len - (checksum ? EVENT_CRC_LEN : 0), false };
	if (classify(f, type, &e, err) < 0)
		return -1;
	*out = e;
	return 0;
}

/* ---- ROTATE -----------------------------------------------------------------------
 */

int event_rotate(TALLOC_CTX *ctx, const struct event *e, char **file, uint64_t *offset,
		 struct sb_err *err)
{
	struct wire w = e->body;

	*file = NULL;
	*offset = wire_uint(&w, 8);
	if (w.bad || wire_left(&w) == 0 || wire_left(&w) > 512 ||
	    memchr(w.p, '\0', wire_left(&w)))
		return damaged("a rotation to a file without a name", err);
	*file = mem_memdup(ctx, w.p, wire_left(&w));
	return 0;
}

/* ---- QUERY ------------------------------------------------------------------------
 */

/*
 * Thread (4), time (4), length of the schema (1), error (2), length of the status
 * variables (2); then those, the schema and a zero, the statement.
 */
int event_query(const struct event_format *f, const struct event *e,
		struct event_query *out, struct sb_err *err)
{
	struct event_query q = { 0 };
	struct wire w = e->body;
	size_t status, fixed = 13;

	q.thread = (uint32_t)wire_uint(&w, 4);
	wire_take(&w, 4);
	q.schema_len = (size_t)wire_uint(&w, 1);
	wire_take(&w, 2);
	status = (size_t)wire_uint(&w, 2);
	if (f->post_header[BINLOG_QUERY] > fixed)
		wire_take(&w, f->post_header[BINLOG_QUERY] - fixed);
	wire_take(&w, status);
	q.schema = (const char *)wire_take(&w, q.schema_len);
	wire_take(&w, 1);
	if (w.bad)
		return damaged("a statement that is cut off", err);
	q.sql = (const char *)w.p;
	q.sql_len = wire_left(&w);
	*out = q;
	return 0;
}

/* ---- GTID -------------------------------------------------------------------------
 */

static void print_uuid(char *out, size_t size, const uint8_t *u)
{
	snprintf(out, size,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		 u[12], u[13], u[14], u[15]);
}

/* Flags (1), server's UUID (16), number (8), … */
static void read_mysql(struct wire *w, struct event_gtid *g)
{
	const uint8_t *uuid;

	wire_take(w, 1);
	uuid = wire_take(w, MYSQL_UUID_LEN);
	g->number = wire_uint(w, 8);
	if (uuid)
		print_uuid(g->source, sizeof(g->source), uuid);
}

/*
 * GTID_TAGGED is written in MySQL's own serialization ("mysql::serialization"): integers
 * whose length is the number of trailing one bits of the first byte.
 */
static uint64_t read_varlen(struct wire *w)
{
	uint64_t first = wire_uint(w, 1), more, v;
	unsigned bytes = 1;

	while (bytes < 9 && first >> (bytes - 1) & 1)
		bytes++;
	if (bytes == 9)
		return wire_uint(w, 8);
	more = wire_uint(w, bytes - 1);
	v = first >> bytes;
	if (bytes < 8)
		v |= more << (8 - bytes);
	else
		v = more;
	return v;
}

static int64_t read_varlen_signed(struct wire *w)
{
	uint64_t v = read_varlen(w);

	return v & 1 ? -(int64_t)(v >> 1) - 1 : (int64_t)(v >> 1);
}

/*
 * Message: version, its size, last field that may not be ignored; then (field number,
 * value): 0 flags, 1 UUID (16 single bytes), 2 number (signed), 3 tag (length, text), …
 */
static void read_tagged(struct wire *w, struct event_gtid *g)
{
	uint8_t uuid[MYSQL_UUID_LEN];
	const uint8_t *tag;
	size_t len;

	read_varlen(w);
	read_varlen(w);
	read_varlen(w);
	for (uint64_t field = 0; field < 4; field++) {
		if (read_varlen(w) != field) {
			w->bad = true;
			return;
		}
		if (field == 0) {
			read_varlen(w);
		} else if (field == 1) {
			for (size_t i = 0; i < sizeof(uuid); i++)
				uuid[i] = (uint8_t)read_varlen(w);
			print_uuid(g->source, sizeof(g->source), uuid);
		} else if (field == 2) {
			g->number = (uint64_t)read_varlen_signed(w);
		} else {
			len = (size_t)read_varlen(w);
			tag = len <= 32 ? wire_take(w, len) : NULL;
			if (tag && len > 0)
				snprintf(g->source + 36, sizeof(g->source) - 36, ":%.*s",
					 (int)len, (const char *)tag);
			w->bad = w->bad || !tag;
		}
	}
}

/* Number (8), domain (4), flags (1), … */
static void read_mariadb(const struct event *e, struct wire *w, struct event_gtid *g)
{
	g->number = wire_uint(w, 8);
	snprintf(g->source, sizeof(g->source), "%u", (unsigned)wire_uint(w, 4));
	g->standalone = wire_uint(w, 1) & MARIADB_GTID_FLAG_STANDALONE;
	g->server_id = e->server_id;
}

int event_gtid(const struct event *e, struct event_gtid *out, struct sb_err *err)
{
	struct event_gtid g = { 0 };
	struct wire w = e->body;

	if (e->type == BINLOG_MARIADB_GTID)
		read_mariadb(e, &w, &g);
	else if (e->type == BINLOG_GTID)
		read_mysql(&w, &g);
	else if (e->type == BINLOG_GTID_TAGGED)
		read_tagged(&w, &g);
	if (w.bad)
		return damaged("a transaction's name that is cut off", err);
	*out = g;
	return 0;
}
