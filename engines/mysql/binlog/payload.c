/*
 * payload.c - see payload.h.
 *
 * A compressed transaction is unpacked piece by piece: of a gigabyte of rows only the
 * event at hand is in memory.
 */
#include "engines/mysql/binlog/payload.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define FIELD_END	  0
#define FIELD_COMPRESSION 2
#define COMPRESSION_ZSTD  0
#define COMPRESSION_NONE  255
/* zlib's best, a run of zeros, is 1,032 to 1 and a head; more is a lie. */
#define ZLIB_RATIO 1040
#define ZLIB_HEAD  64

static int damaged(struct sb_err *err)
{
	return sb_err(
		err, SB_EENGINE,
		"The binlog has a compressed event that cannot be unpacked. Check the "
		"server's disk and network; the copy can be started again.");
}

/* ---- MariaDB ------------------------------------------------------------------------
 */

int payload_inflate(TALLOC_CTX *ctx, const struct wire *packed, struct wire *out,
		    struct sb_err *err)
{
	struct wire w = *packed;
	unsigned head = (unsigned)wire_uint(&w, 1), bytes = head & 7;
	const uint8_t *len = wire_take(&w, bytes);
	uint64_t size = len && bytes <= 4 ? wire_be(len, bytes) : 0;
	unsigned long n = (unsigned long)size;
	uint8_t *plain;

	*out = (struct wire){ NULL, NULL, true };
	if ((head & 0xf0) != 0x80 || size == 0 || size > PAYLOAD_MAX ||
	    size > wire_left(&w) * ZLIB_RATIO + ZLIB_HEAD)
		return damaged(err);
	plain = mem_array(ctx, uint8_t, (size_t)size);
	if (uncompress(plain, &n, w.p, wire_left(&w)) != Z_OK || n != size) {
		talloc_free(plain);
		return damaged(err);
	}
	*out = (struct wire){ plain, plain + n, false };
	return 0;
}

/* ---- MySQL --------------------------------------------------------------------------
 */

/* The fields in front; afterwards the cursor is at the events. */
static int read_fields(struct wire *w, uint64_t *compression)
{
	*compression = COMPRESSION_NONE;
	for (;;) {
		uint64_t field = wire_packed(w), len;
		struct wire value;

		if (w->bad)
			return -1;
		if (field == FIELD_END)
			return 0;
		len = wire_packed(w);
		value.p = wire_take(w, (size_t)len);
		if (!value.p)
			return -1;
		value = (struct wire){ value.p, value.p + len, false };
		if (field == FIELD_COMPRESSION)
			*compression = wire_packed(&value);
		if (value.bad)
			return -1;
	}
}

/* Bytes that were unpacked and not consumed yet. */
struct unpacker {
	TALLOC_CTX *ctx;
	uint8_t *data;
	size_t n, cap;
	int (*each)(void *arg, const uint8_t *event, size_t len, struct sb_err *err);
	void *arg;
};

/* Hand over the complete events among them. */
static int consume(struct unpacker *u, struct sb_err *err)
{
	size_t at = 0;

	while (u->n - at >= EVENT_HEADER_LEN) {
		size_t size = (size_t)wire_le(u->data + at + 9, 4);

		if (size < EVENT_HEADER_LEN || size > PAYLOAD_MAX)
			return damaged(err);
		if (u->n - at < size)
			break;
		if (u->each(u->arg, u->data + at, size, err) < 0)
			return -1;
		at += size;
	}
	if (at > 0)
		memmove(u->data, u->data + at, u->n - at);
	u->n -= at;
	return 0;
}

static void append(struct unpacker *u, const uint8_t *p, size_t n)
{
	if (n == 0)
		return;
	if (u->n + n > u->cap) {
		u->cap = (u->n + n) * 2;
		u->data = mem_grow(u->ctx, u->data, uint8_t, u->cap);
	}
	memcpy(u->data + u->n, p, n);
	u->n += n;
}

static int unpack(struct unpacker *u, const struct wire *w, struct sb_err *err)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer in = { w->p, wire_left(w), 0 };
	size_t piece = ZSTD_DStreamOutSize(), rc = 1;
	uint8_t *plain = mem_array(u->ctx, uint8_t, piece);
	int result = -1;

	BUG_ON(!stream);
	for (;;) {
		ZSTD_outBuffer out = { plain, piece, 0 };

		rc = ZSTD_decompressStream(stream, &out, &in);
		if (ZSTD_isError(rc))
			break;
		append(u, plain, out.pos);
		if (consume(u, err) < 0)
			goto out;
		if (in.pos == in.size && out.pos < out.size)
			break;
	}
	result = ZSTD_isError(rc) || rc != 0 ? damaged(err) : 0;
out:
	ZSTD_freeDStream(stream);
	return result;
}

int payload_each(const struct event *e,
		 int (*each)(void *arg, const uint8_t *event, size_t len,
			     struct sb_err *err),
		 void *arg, struct sb_err *err)
{
	struct unpacker u = { .ctx = mem_ctx(NULL, "payload"), .each = each, .arg = arg };
	struct wire w = e->body;
	uint64_t compression;
	int rc = -1;

	if (read_fields(&w, &compression) < 0) {
		rc = damaged(err);
	} else if (compression == COMPRESSION_ZSTD) {
		rc = unpack(&u, &w, err);
	} else if (compression == COMPRESSION_NONE) {
		append(&u, w.p, wire_left(&w));
		rc = consume(&u, err);
	} else {
		sb_err(err, SB_EENGINE,
		       "The binlog has a transaction that is compressed in a way that is not "
		       "known: SET GLOBAL binlog_transaction_compression = OFF on the server.");
	}
	if (rc == 0 && u.n > 0)
		rc = damaged(err);
	talloc_free(u.ctx);
	return rc;
}
