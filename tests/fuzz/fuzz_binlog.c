/*
 * fuzz_binlog.c - any bytes as a binlog: the decoder, values, compressed events.
 *
 * The first byte of the input says what the rest is (MODE) and how it is read; a stream
 * is events, each with its length (2 bytes) in front. A mutated event would stop at its
 * length or its checksum, so both are put right here before it is fed. The tables that
 * are followed are those that the stream itself describes first. What must hold: an
 * error has a sentence; a key survives the set that it waits in; a literal is one piece
 * of plain SQL; nothing is allocated because a few bytes claim to be many.
 */
#include <zlib.h>

#include "core/base/buf.h"
#include "engines/mysql/binlog/decode.h"
#include "engines/mysql/binlog/payload.h"
#include "engines/mysql/copy/pending.h"
#include "engines/mysql/copy/statement.h"
#include "tests/fuzz/fuzz.h"

enum mode { STREAM, VALUES, INFLATE, PAYLOAD, STATEMENT, N_MODES };
#define MODE(head)   ((enum mode)((head)&7))
#define MYSQL	     0x08 /* the flavour */
#define CHECKSUMS    0x10 /* each event ends in one */
#define TRUST	     0x20 /* lengths and checksums are left as they are */
#define FORM(head)   ((enum value_form)((head) >> 6))
#define MAX_TABLES   4
#define MAX_KEYS     3
#define MAX_UNPACKED 2000 /* times the input: more than zlib can do */

static const char *const elements[] = { "'a'", "'b'", "'it''s'", "'d'" };

/* ---- literals ---------------------------------------------------------------------- */

/* Printable, quotes closed, brackets closed: nothing that goes on behind it. */
static void check_literal(const char *sql)
{
	int depth = 0;
	bool quoted = false;

	MUST(*sql);
	for (const char *p = sql; *p; p++) {
		MUST(*p >= ' ' && *p <= '~' && *p != '\\' && *p != ';');
		if (*p == '\'')
			quoted = !quoted;
		if (!quoted)
			depth += (*p == '(') - (*p == ')');
		MUST(depth >= 0);
	}
	MUST(!quoted && depth == 0);
}

static void check_error(const struct sb_err *err)
{
	MUST(err->code == SB_EENGINE && *err->msg);
}

static void literal(TALLOC_CTX *ctx, const struct value_column *c, enum value_form form,
		    const uint8_t *p, size_t len)
{
	const struct value_info info = { .form = form,
					 .charset =
						 form == VALUE_PLAIN ? "utf8mb4" : NULL,
					 .elements = elements,
					 .n_elements = ARRAY_SIZE(elements) };
	TALLOC_CTX *mem = mem_ctx(ctx, "literal");
	struct sb_err err = { 0 };
	struct buf b;

	buf_init(&b, mem);
	if (value_literal(&b, c, &info, p, len, &err) < 0)
		check_error(&err);
	else
		check_literal(b.data);
	talloc_free(mem);
}

/* ---- a stream ---------------------------------------------------------------------- */

struct stream {
	TALLOC_CTX *ctx;
	const struct rows_table *tables;
	size_t n;
	enum value_form form;
	struct pending *pending;
};

static int on_key(void *arg, size_t table, const struct rows_key *key, struct sb_err *err)
{
	struct stream *s = arg;
	struct rows_key same;
	const uint8_t *bytes;
	size_t len;

	(void)err;
	MUST(table < s->n && key->n == s->tables[table].n_key);
	for (size_t i = 0; i < key->n; i++)
		literal(s->ctx, key->column[i], s->form, key->p[i], key->len[i]);
	if (!pending_add(s->pending, key))
		return 0;
	MUST(!pending_add(s->pending, key));
	bytes = pending_get(s->pending, pending_count(s->pending) - 1, &len);
	pending_parts(bytes, len, &same);
	MUST(same.n == key->n);
	for (size_t i = 0; i < key->n; i++)
		MUST(same.len[i] == key->len[i] &&
		     memcmp(same.p[i], key->p[i], key->len[i]) == 0);
	return 0;
}

static int on_statement(void *arg, const struct event_query *q, struct sb_err *err)
{
	(void)arg;
	(void)err;
	statement_kind(q->schema, q->schema_len, q->sql, q->sql_len, "shop", "orders");
	return 0;
}

static int on_end(void *arg, const struct decode_end *end, struct sb_err *err)
{
	(void)arg;
	(void)err;
	MUST(end->file && *end->file && end->gtid);
	return 0;
}

static int on_heartbeat(void *arg, struct sb_err *err)
{
	(void)arg;
	(void)err;
	return 0;
}

/* The next event of the input, in a block of exactly its size; NULL = no more. */
static uint8_t *take(struct wire *w, unsigned head, size_t *len)
{
	size_t n = (size_t)wire_uint(w, 2);
	const uint8_t *at = wire_take(w, n < wire_left(w) ? n : wire_left(w));
	uint8_t *event;
	uint32_t crc;

	if (!at || w->p == at)
		return NULL;
	*len = (size_t)(w->p - at);
	event = malloc(*len);
	MUST(event);
	memcpy(event, at, *len);
	if (head & TRUST || *len < EVENT_HEADER_LEN + EVENT_CRC_LEN)
		return event;
	for (unsigned i = 0; i < 4; i++)
		event[9 + i] = (uint8_t)(*len >> (8 * i));
	if (!(head & CHECKSUMS))
		return event;
	crc = (uint32_t)crc32_z(0, event, *len - EVENT_CRC_LEN);
	for (unsigned i = 0; i < 4; i++)
		event[*len - EVENT_CRC_LEN + i] = (uint8_t)(crc >> (8 * i));
	return event;
}

/* Follow the table that this event describes: its first columns that can be a key. */
static bool subscribe(TALLOC_CTX *ctx, const struct event_format *f,
		      const struct event *e, struct rows_table *t)
{
	enum value_type *types;
	struct rows_map *map;
	struct sb_err err;

	if (rows_map_name(ctx, f, e, &map, &err) < 0 ||
	    rows_map_read(map, f, e, &err) < 0)
		return false;
	types = mem_array(ctx, enum value_type, map->n);
	*t = (struct rows_table){ .schema = map->schema,
				  .name = map->name,
				  .n_columns = map->n,
				  .types = types };
	for (size_t i = 0; i < map->n; i++) {
		types[i] = map->columns[i].type;
		if (t->n_key < MAX_KEYS && value_type_can_be_key(types[i]))
			t->key[t->n_key++] = i;
	}
	return t->n_key > 0;
}

static size_t find_tables(TALLOC_CTX *ctx, const struct wire *input, unsigned head,
			  struct rows_table *tables)
{
	struct event_format f;
	struct wire w = *input;
	struct event e;
	struct sb_err err;
	size_t n = 0, len;
	uint8_t *event;

	event_format_init(&f, head & MYSQL ? DB_MYSQL : DB_MARIADB);
	while (n < MAX_TABLES && (event = take(&w, head, &len)) != NULL) {
		if (event_read(&f, event, len, &e, &err) == 0 &&
		    e.kind == EVENT_TABLE_MAP && subscribe(ctx, &f, &e, &tables[n]))
			n++;
		free(event);
	}
	return n;
}

static void stream(TALLOC_CTX *ctx, const struct wire *input, unsigned head)
{
	struct rows_table tables[MAX_TABLES];
	struct stream s = { .ctx = ctx,
			    .tables = tables,
			    .n = find_tables(ctx, input, head, tables),
			    .form = FORM(head),
			    .pending = pending_new(ctx) };
	const struct decode_handler handler = { &s, on_key, on_statement, on_end,
						on_heartbeat };
	struct decoder *d = decoder_new(ctx, head & MYSQL ? DB_MYSQL : DB_MARIADB, tables,
					s.n, &handler);
	struct wire w = *input;
	uint8_t *event;
	size_t len;

	decoder_begin(d, "binlog.000001", 4);
	while ((event = take(&w, head, &len)) != NULL) {
		struct sb_err err = { 0 };
		int rc = decoder_feed(d, event, len, &err);

		free(event);
		if (rc == 0)
			continue;
		/* What the feed does: connect again, and go on from the last position. */
		check_error(&err);
		decoder_begin(d, "binlog.000001", 4);
	}
}

/* ---- the parts -----------------------------------------------------------------------
 */

static void values(TALLOC_CTX *ctx, const struct wire *input, unsigned head)
{
	struct wire w = *input, meta;
	unsigned type = (unsigned)wire_uint(&w, 1);
	const uint8_t *at = wire_take(&w, 2), *p;
	struct value_column c;
	size_t len;

	if (!at)
		return;
	meta = (struct wire){ at, at + 2, false };
	if (value_read_column(&meta, type, &c) < 0)
		return;
	MUST(value_type_name(c.type));
	while (wire_left(&w) > 0 && (p = value_take(&w, &c, &len)) != NULL && len > 0)
		for (unsigned form = 0; form <= VALUE_INET4; form++)
			if (form == FORM(head) || form > 3)
				literal(ctx, &c, (enum value_form)form, p, len);
}

static int each(void *arg, const uint8_t *event, size_t len, struct sb_err *err)
{
	struct event_format f;
	struct event e;

	(void)arg;
	event_format_init(&f, DB_MYSQL);
	return event_read(&f, event, len, &e, err);
}

static void unpack(TALLOC_CTX *ctx, const struct wire *input, enum mode mode)
{
	struct event e = { .body = *input };
	struct sb_err err = { 0 };
	struct wire out;

	if (mode == PAYLOAD) {
		if (payload_each(&e, each, NULL, &err) < 0)
			check_error(&err);
		return;
	}
	if (payload_inflate(ctx, input, &out, &err) < 0)
		check_error(&err);
	else
		MUST(wire_left(&out) <= MAX_UNPACKED * wire_left(input));
	MUST(talloc_total_size(ctx) <= 4096 + MAX_UNPACKED * wire_left(input));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TALLOC_CTX *ctx;
	uint8_t *copy;
	struct wire w;

	if (size < 2)
		return 0;
	ctx = mem_ctx(NULL, "fuzz");
	copy = malloc(size - 1);
	MUST(copy);
	memcpy(copy, data + 1, size - 1);
	w = (struct wire){ copy, copy + size - 1, false };
	switch (MODE(data[0])) {
	case STREAM:
		stream(ctx, &w, data[0]);
		break;
	case VALUES:
		values(ctx, &w, data[0]);
		break;
	case INFLATE:
	case PAYLOAD:
		unpack(ctx, &w, MODE(data[0]));
		break;
	case STATEMENT:
		statement_kind("shop", 4, (const char *)copy, size - 1, "shop", "orders");
		break;
	case N_MODES:
		break;
	}
	free(copy);
	talloc_free(ctx);
	return 0;
}
