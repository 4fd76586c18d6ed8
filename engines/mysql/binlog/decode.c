/*
 * decode.c - see decode.h.
 *
 * A transaction is BEGIN (a QUERY on MySQL, the GTID event itself on MariaDB), events,
 * and its end: XID, a QUERY that says COMMIT or ROLLBACK, or XA_PREPARE. A QUERY outside
 * of one is a transaction of its own. SAVEPOINT and the like inside one end nothing.
 */
#include "engines/mysql/binlog/decode.h"

#include <string.h>
#include <strings.h>

#include "engines/mysql/binlog/payload.h"

struct mapped { /* a table id of the stream */
	uint64_t id;
	struct rows_map *map; /* NULL = a table that is not followed */
	size_t table;
};

struct decoder {
	struct event_format format;
	const struct rows_table *tables;
	size_t n_tables;
	struct decode_handler handler;
	char *file;
	uint64_t offset;     /* event offsets have 32 bits, files may be longer */
	uint64_t pass_over;  /* 0 = nothing any more */
	bool *forgotten;     /* by table */
	bool open;	     /* a transaction has begun, if only with its name */
	bool in_transaction; /* it has more than one statement */
	bool in_payload;
	struct event_gtid gtid;
	struct mapped *maps; /* of this transaction: each names its tables anew */
	size_t n_maps;
};

struct decoder *decoder_new(TALLOC_CTX *ctx, enum db_flavor flavor,
			    const struct rows_table *tables, size_t n,
			    const struct decode_handler *handler)
{
	struct decoder *d = mem_new(ctx, struct decoder);

	d->tables = tables;
	d->n_tables = n;
	d->forgotten = mem_array(d, bool, n);
	d->handler = *handler;
	event_format_init(&d->format, flavor);
	return d;
}

static void forget_maps(struct decoder *d)
{
	for (size_t i = 0; i < d->n_maps; i++)
		talloc_free(d->maps[i].map);
	d->n_maps = 0;
}

void decoder_begin(struct decoder *d, const char *file, uint64_t offset)
{
	char *copy = mem_strdup(d, file);

	forget_maps(d);
	event_format_init(&d->format, d->format.flavor);
	talloc_free(d->file);
	d->file = copy;
	d->offset = offset;
	d->pass_over = 0;
	d->open = d->in_transaction = d->in_payload = false;
	d->gtid = (struct event_gtid){ .number = 0 };
}

void decoder_pass_over(struct decoder *d, uint64_t offset)
{
	d->pass_over = offset;
}

void decoder_forget(struct decoder *d, size_t table)
{
	d->forgotten[table] = true;
}

/* ---- positions ----------------------------------------------------------------------
 */

/* The low 32 bits of where the stream is now. Within a file it only goes forward. */
static void advance(struct decoder *d, const struct event *e)
{
	uint64_t high = d->offset & ~(uint64_t)UINT32_MAX;

	if (d->in_payload || e->next == 0 || e->kind == EVENT_HEARTBEAT ||
	    e->kind == EVENT_ROTATE)
		return;
	if (e->next < (d->offset & UINT32_MAX))
		high += (uint64_t)1 << 32;
	d->offset = high + e->next;
}

static int end_transaction(struct decoder *d, const struct event *e, struct sb_err *err)
{
	struct decode_end end = { .file = d->file,
				  .offset = d->offset,
				  .gtid = &d->gtid,
				  .timestamp = e->timestamp };
	int rc = 0;

	d->open = d->in_transaction = false;
	forget_maps(d);
	/* One that stands in a payload ends with that, whose offset is the one to know.
	 */
	if (!d->in_payload)
		rc = d->handler.end(d->handler.arg, &end, err);
	if (!d->in_payload)
		d->gtid.number = 0;
	return rc;
}

/* The file changes. An artificial rotation (offset 0) begins each stream and names the
 * file that is read already. */
static int rotate(struct decoder *d, const struct event *e, struct sb_err *err)
{
	uint64_t offset;
	char *file;

	if (event_rotate(d, e, &file, &offset, err) < 0)
		return -1;
	if (!d->file || strcmp(file, d->file) != 0 || e->next != 0)
		d->offset = offset;
	if (d->file && *d->file && strcmp(file, d->file) != 0)
		d->pass_over = 0;
	talloc_free(d->file);
	d->file = file;
	return 0;
}

/* ---- statements ---------------------------------------------------------------------
 */

static bool says(const struct event_query *q, const char *word)
{
	size_t n = strlen(word);

	return q->sql_len >= n && strncasecmp(q->sql, word, n) == 0 &&
	       (q->sql_len == n || !strchr("abcdefghijklmnopqrstuvwxyz"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789",
					   q->sql[n]));
}

static int statement(struct decoder *d, const struct event *e, struct sb_err *err)
{
	struct event_query q;
	struct wire plain;
	TALLOC_CTX *mem = NULL;
	int rc;

	if (event_query(&d->format, e, &q, err) < 0)
		return -1;
	if (says(&q, "BEGIN") || says(&q, "XA START")) {
		d->open = d->in_transaction = true;
		return 0;
	}
	if (says(&q, "COMMIT") || says(&q, "ROLLBACK TO") || says(&q, "ROLLBACK")) {
		if (says(&q, "ROLLBACK TO"))
			return 0;
		return end_transaction(d, e, err);
	}
	if (e->type == BINLOG_QUERY_COMPRESSED) {
		struct wire packed = { (const uint8_t *)q.sql,
				       (const uint8_t *)q.sql + q.sql_len, false };

		mem = mem_ctx(NULL, "compressed statement");
		if (payload_inflate(mem, &packed, &plain, err) < 0) {
			talloc_free(mem);
			return -1;
		}
		q.sql = (const char *)plain.p;
		q.sql_len = wire_left(&plain);
	}
	rc = d->handler.statement(d->handler.arg, &q, err);
	if (rc == 0 && !d->in_transaction)
		rc = end_transaction(d, e, err);
	talloc_free(mem);
	return rc;
}

static int gtid(struct decoder *d, const struct event *e, struct sb_err *err)
{
	if (event_gtid(e, &d->gtid, err) < 0)
		return -1;
	d->open = true;
	if (e->type == BINLOG_MARIADB_GTID)
		d->in_transaction = !d->gtid.standalone;
	return 0;
}

/* ---- rows ---------------------------------------------------------------------------
 */

static struct mapped *find_map(struct decoder *d, uint64_t id)
{
	for (size_t i = d->n_maps; i > 0; i--)
		if (d->maps[i - 1].id == id)
			return &d->maps[i - 1];
	return NULL;
}

static size_t followed(const struct decoder *d, const struct rows_map *map)
{
	size_t i;

	for (i = 0; i < d->n_tables; i++)
		if (!d->forgotten[i] && strcmp(map->schema, d->tables[i].schema) == 0 &&
		    strcmp(map->name, d->tables[i].name) == 0)
			break;
	return i;
}

static int table_map(struct decoder *d, const struct event *e, struct sb_err *err)
{
	struct mapped *m;
	uint64_t id;

	if (rows_table_id(&d->format, e, &id, err) < 0)
		return -1;
	m = find_map(d, id);
	if (!m) {
		d->maps = mem_grow(d, d->maps, struct mapped, d->n_maps + 1);
		m = &d->maps[d->n_maps++];
	} else {
		talloc_free(m->map);
	}
	*m = (struct mapped){ .id = id };
	if (rows_map_name(d, &d->format, e, &m->map, err) < 0)
		return -1;
	m->table = followed(d, m->map);
	if (m->table == d->n_tables) {
		talloc_free(m->map);
		m->map = NULL;
		return 0;
	}
	return rows_map_read(m->map, &d->format, e, err) < 0
		       ? -1
		       : rows_map_fits(m->map, &d->tables[m->table], err);
}

struct row_call {
	struct decoder *d;
	size_t table;
};

static int on_key(void *arg, const struct rows_key *key, struct sb_err *err)
{
	struct row_call *call = arg;

	return call->d->handler.key(call->d->handler.arg, call->table, key, err);
}

static int rows(struct decoder *d, const struct event *e, struct sb_err *err)
{
	struct row_call call = { .d = d };
	const struct mapped *m;
	uint64_t id;

	if (rows_table_id(&d->format, e, &id, err) < 0)
		return -1;
	m = id != 0 ? find_map(d, id) : NULL;
	if (!m && id != 0)
		return sb_err(
			err, SB_EENGINE,
			"The binlog has rows of a table that it did not name before. "
			"Check the server's disk and network; the copy can be started "
			"again.");
	if (!m || !m->map)
		return 0;
	call.table = m->table;
	return rows_each(&d->format, e, m->map, &d->tables[m->table], on_key, &call, err);
}

/* ---- all of it ----------------------------------------------------------------------
 */

static int dispatch(struct decoder *d, const struct event *e, struct sb_err *err);

/* Events in a payload have no checksums, and offsets that mean nothing. */
static int on_packed(void *arg, const uint8_t *event, size_t len, struct sb_err *err)
{
	struct decoder *d = arg;
	struct event_format plain = d->format;
	struct event e;

	plain.checksum = false;
	if (event_read(&plain, event, len, &e, err) < 0)
		return -1;
	if (e.kind == EVENT_PAYLOAD || e.kind == EVENT_FORMAT || e.kind == EVENT_ROTATE)
		return sb_err(
			err, SB_EENGINE,
			"The binlog has an event (%s) inside a compressed transaction "
			"where none such may be.",
			e.name);
	return dispatch(d, &e, err);
}

static int payload(struct decoder *d, const struct event *e, struct sb_err *err)
{
	int rc;

	d->in_payload = true;
	rc = payload_each(e, on_packed, d, err);
	d->in_payload = false;
	return rc < 0 ? -1 : end_transaction(d, e, err);
}

static int dispatch(struct decoder *d, const struct event *e, struct sb_err *err)
{
	switch (e->kind) {
	case EVENT_FORMAT:
		forget_maps(d);
		return 0;
	case EVENT_ROTATE:
		return rotate(d, e, err);
	case EVENT_QUERY:
		return statement(d, e, err);
	case EVENT_COMMIT:
	case EVENT_PREPARE:
		return end_transaction(d, e, err);
	case EVENT_TABLE_MAP:
		return table_map(d, e, err);
	case EVENT_ROWS:
		return rows(d, e, err);
	case EVENT_GTID:
		return gtid(d, e, err);
	case EVENT_HEARTBEAT:
		return d->handler.heartbeat(d->handler.arg, err);
	case EVENT_PAYLOAD:
		return payload(d, e, err);
	case EVENT_NOTHING:
	case EVENT_REFUSED:
		break;
	}
	return 0;
}

/* Something of the server's own between two transactions: the position has moved on, and
 * in a quiet binlog nothing else would tell. */
static int between(struct decoder *d, const struct event *e, struct sb_err *err)
{
	const struct event_gtid none = { .number = 0 };
	const struct decode_end end = { .file = d->file,
					.offset = d->offset,
					.gtid = &none };

	if (d->open || e->next == 0 ||
	    (e->kind != EVENT_NOTHING && e->kind != EVENT_FORMAT &&
	     e->kind != EVENT_ROTATE))
		return 0;
	return d->handler.end(d->handler.arg, &end, err);
}

static bool is_passed_over(struct decoder *d, const struct event *e)
{
	if (d->pass_over > 0 && d->offset > d->pass_over)
		d->pass_over = 0;
	return d->pass_over > 0 && e->kind != EVENT_FORMAT && e->kind != EVENT_ROTATE &&
	       e->kind != EVENT_HEARTBEAT;
}

int decoder_feed(struct decoder *d, const uint8_t *event, size_t len, struct sb_err *err)
{
	struct event e;

	if (event_read(&d->format, event, len, &e, err) < 0)
		return -1;
	advance(d, &e);
	if (is_passed_over(d, &e))
		return 0;
	if (dispatch(d, &e, err) < 0)
		return -1;
	return between(d, &e, err);
}
