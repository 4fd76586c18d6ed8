/*
 * rows.c - see rows.h.
 *
 * Layout of a rows event: table id (6, or 4 in ancient formats), flags (2), in v2 extra
 * data (2 for its length, itself included), number of columns (packed), a bitmap of the
 * columns that are there, for updates a second one; then rows: a bitmap of NULLs over
 * the columns that are there, and their values. Source: "Rows_event" in the MySQL source
 * documentation.
 */
#include "engines/mysql/binlog/rows.h"

#include <inttypes.h>
#include <string.h>

#include "engines/mysql/binlog/payload.h"

static int damaged(const struct event *e, struct sb_err *err)
{
	return sb_err(err, SB_EENGINE,
		      "The binlog has a damaged event (%s). Check the server's disk and "
		      "network; the copy can be started again.",
		      e->name);
}

static unsigned id_bytes(const struct event_format *f, const struct event *e)
{
	return f->post_header[e->type] == 6 ? 4 : 6;
}

/* ---- TABLE_MAP ----------------------------------------------------------------------
 */

static const char *take_name(TALLOC_CTX *ctx, struct wire *w)
{
	size_t len = (size_t)wire_packed(w);
	const uint8_t *at = wire_take(w, len);

	wire_take(w, 1); /* a zero */
	return at ? mem_memdup(ctx, at, len) : NULL;
}

/* Up to the number of columns. */
static int read_names(struct wire *w, const struct event_format *f, const struct event *e,
		      struct rows_map *map, struct sb_err *err)
{
	wire_take(w, id_bytes(f, e) + 2);
	map->schema = take_name(map, w);
	map->name = take_name(map, w);
	map->n = (size_t)wire_packed(w);
	return w->bad || map->n == 0 || map->n > ROWS_MAX_COLUMNS ? damaged(e, err) : 0;
}

int rows_map_name(TALLOC_CTX *ctx, const struct event_format *f, const struct event *e,
		  struct rows_map **out, struct sb_err *err)
{
	struct rows_map *map = mem_new(ctx, struct rows_map);
	struct wire w = e->body;

	*out = NULL;
	if (read_names(&w, f, e, map, err) < 0) {
		talloc_free(map);
		return -1;
	}
	*out = map;
	return 0;
}

int rows_map_read(struct rows_map *map, const struct event_format *f,
		  const struct event *e, struct sb_err *err)
{
	struct wire w = e->body, meta;
	const uint8_t *types;
	size_t meta_len;

	if (read_names(&w, f, e, map, err) < 0)
		return -1;
	types = wire_take(&w, map->n);
	meta_len = (size_t)wire_packed(&w);
	meta.p = wire_take(&w, meta_len);
	if (!types || !meta.p)
		return damaged(e, err);
	meta = (struct wire){ meta.p, meta.p + meta_len, false };
	map->columns = mem_array(map, struct value_column, map->n);
	for (size_t i = 0; i < map->n; i++)
		if (value_read_column(&meta, types[i], &map->columns[i]) < 0 || meta.bad)
			return sb_err(
				err, SB_EENGINE,
				"Column %zu of table %s.%s has a type that is not known in the "
				"binlog (%u): its changes cannot be followed.",
				i + 1, map->schema, map->name, types[i]);
	return 0;
}

int rows_map_fits(const struct rows_map *map, const struct rows_table *table,
		  struct sb_err *err)
{
	bool same = map->n == table->n_columns;

	for (size_t i = 0; same && i < map->n; i++)
		same = map->columns[i].type == table->types[i];
	if (same)
		return 0;
	return sb_err(
		err, SB_EENGINE,
		"Table %s.%s is not what it was when the copy began: somebody changed "
		"its definition. Make a new plan.",
		table->schema, table->name);
}

/* ---- rows ---------------------------------------------------------------------------
 */

int rows_table_id(const struct event_format *f, const struct event *e, uint64_t *id,
		  struct sb_err *err)
{
	struct wire w = e->body;

	*id = wire_uint(&w, id_bytes(f, e));
	/* The dummy that only says "end of the statement". */
	if (*id == 0xffffff)
		*id = 0;
	return w.bad ? damaged(e, err) : 0;
}

static bool bit(const uint8_t *map, size_t i)
{
	return map[i / 8] >> (i % 8) & 1;
}

static bool is_v2(enum event_type t)
{
	return t == BINLOG_WRITE_ROWS || t == BINLOG_UPDATE_ROWS ||
	       t == BINLOG_DELETE_ROWS || t == BINLOG_PARTIAL_UPDATE_ROWS ||
	       t == BINLOG_WRITE_ROWS_COMPRESSED || t == BINLOG_UPDATE_ROWS_COMPRESSED ||
	       t == BINLOG_DELETE_ROWS_COMPRESSED;
}

static bool is_update(enum event_type t)
{
	return t == BINLOG_UPDATE_ROWS_V1 || t == BINLOG_UPDATE_ROWS ||
	       t == BINLOG_PARTIAL_UPDATE_ROWS || t == BINLOG_UPDATE_ROWS_COMPRESSED_V1 ||
	       t == BINLOG_UPDATE_ROWS_COMPRESSED;
}

static bool is_compressed(enum event_type t)
{
	return t >= BINLOG_WRITE_ROWS_COMPRESSED_V1 && t <= BINLOG_DELETE_ROWS_COMPRESSED;
}

struct reader {
	const struct event *e;
	const struct rows_map *map;
	const struct rows_table *table;
	struct wire w;
	const uint8_t *before, *after; /* bitmaps of columns that are there */
	size_t n_before, n_after;
	uint8_t used[ROWS_MAX_COLUMNS]; /* key part number + 1, by column */
};

static size_t count_bits(const uint8_t *map, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += bit(map, i);
	return count;
}

/*
 * In the second image of PARTIAL_UPDATE_ROWS there stands in front: an options word
 * (packed; bit 0: JSON columns may be partial), and then a bitmap over the JSON columns
 * of which ones are. A partial value is as long as it says, like a whole one.
 */
static void skip_partial_head(struct reader *r)
{
	uint64_t options = wire_packed(&r->w);
	size_t json = 0;

	if (!(options & 1))
		return;
	for (size_t i = 0; i < r->map->n; i++)
		json += r->map->columns[i].type == VALUE_JSON;
	wire_take(&r->w, (json + 7) / 8);
}

/* One image. A key part that is not in it keeps what key already has. */
static int read_image(struct reader *r, const uint8_t *present, size_t n_present,
		      struct rows_key *key, struct sb_err *err)
{
	const uint8_t *nulls = wire_take(&r->w, (n_present + 7) / 8);
	size_t at = 0;

	for (size_t i = 0; nulls && i < r->map->n; i++) {
		const struct value_column *c = &r->map->columns[i];
		const uint8_t *p;
		size_t len;

		if (!bit(present, i))
			continue;
		if (bit(nulls, at++)) {
			if (r->used[i])
				return sb_err(err, SB_EENGINE,
					      "Table %s.%s has a NULL in its key: the "
					      "definition was changed meanwhile.",
					      r->table->schema, r->table->name);
			continue;
		}
		p = value_take(&r->w, c, &len);
		if (!p)
			break;
		if (r->used[i]) {
			key->p[r->used[i] - 1] = p;
			key->len[r->used[i] - 1] = len;
			key->column[r->used[i] - 1] = c;
		}
	}
	return r->w.bad || !nulls ? damaged(r->e, err) : 0;
}

static bool is_whole(const struct rows_key *key)
{
	for (size_t i = 0; i < key->n; i++)
		if (!key->p[i])
			return false;
	return true;
}

static bool same_key(const struct rows_key *a, const struct rows_key *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->len[i] != b->len[i] || memcmp(a->p[i], b->p[i], a->len[i]) != 0)
			return false;
	return true;
}

static int read_row(struct reader *r,
		    int (*each)(void *arg, const struct rows_key *key,
				struct sb_err *err),
		    void *arg, struct sb_err *err)
{
	struct rows_key before = { .n = r->table->n_key }, after;

	if (read_image(r, r->before, r->n_before, &before, err) < 0)
		return -1;
	if (!is_whole(&before))
		return sb_err(
			err, SB_EENGINE,
			"The binlog does not have the key of a changed row of %s.%s: SET "
			"GLOBAL binlog_row_image = FULL (or MINIMAL with a primary key) on "
			"the server.",
			r->table->schema, r->table->name);
	if (each(arg, &before, err) < 0)
		return -1;
	if (!is_update(r->e->type))
		return 0;
	after = before;
	if (r->e->type == BINLOG_PARTIAL_UPDATE_ROWS)
		skip_partial_head(r);
	if (read_image(r, r->after, r->n_after, &after, err) < 0)
		return -1;
	return same_key(&before, &after) ? 0 : each(arg, &after, err);
}

static int read_head(struct reader *r, const struct event_format *f, struct sb_err *err)
{
	size_t bytes = (r->map->n + 7) / 8, extra;

	wire_take(&r->w, id_bytes(f, r->e) + 2);
	if (is_v2(r->e->type)) {
		extra = (size_t)wire_uint(&r->w, 2);
		if (extra < 2)
			return damaged(r->e, err);
		wire_take(&r->w, extra - 2);
	}
	if (wire_packed(&r->w) != r->map->n)
		return damaged(r->e, err);
	r->before = wire_take(&r->w, bytes);
	r->after = is_update(r->e->type) ? wire_take(&r->w, bytes) : r->before;
	if (r->w.bad)
		return damaged(r->e, err);
	r->n_before = count_bits(r->before, r->map->n);
	r->n_after = count_bits(r->after, r->map->n);
	return 0;
}

int rows_each(const struct event_format *f, const struct event *e,
	      const struct rows_map *map, const struct rows_table *table,
	      int (*each)(void *arg, const struct rows_key *key, struct sb_err *err),
	      void *arg, struct sb_err *err)
{
	struct reader r = { .e = e, .map = map, .table = table, .w = e->body };
	TALLOC_CTX *mem = NULL;
	int rc = 0;

	if (rows_map_fits(map, table, err) < 0 || read_head(&r, f, err) < 0)
		return -1;
	for (size_t i = 0; i < table->n_key; i++)
		r.used[table->key[i]] = (uint8_t)(i + 1);
	if (is_compressed(e->type)) {
		mem = mem_ctx(NULL, "compressed rows");
		rc = payload_inflate(mem, &r.w, &r.w, err);
	}
	while (rc == 0 && wire_left(&r.w) > 0)
		rc = read_row(&r, each, arg, err);
	talloc_free(mem);
	return rc;
}
