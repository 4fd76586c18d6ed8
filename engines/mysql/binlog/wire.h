/*
 * wire.h - little-endian integers in a piece of memory whose end is known.
 *
 * Used by the decoders of this folder, which read what a server or a network made: every
 * read is checked, and after one that went beyond the end the cursor is `bad` and yields
 * zeros, so that a decoder may look once, at its end.
 */
#ifndef SB_ENGINES_MYSQL_BINLOG_WIRE_H
#define SB_ENGINES_MYSQL_BINLOG_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire {
	const uint8_t *p, *end;
	bool bad;
};

static inline size_t wire_left(const struct wire *w)
{
	return (size_t)(w->end - w->p);
}

/* The next n bytes, or NULL when there are fewer. */
static inline const uint8_t *wire_take(struct wire *w, size_t n)
{
	const uint8_t *at = w->p;

	if (w->bad || wire_left(w) < n) {
		w->bad = true;
		return NULL;
	}
	w->p += n;
	return at;
}

/* An unsigned integer of 1 to 8 bytes, least significant first. */
static inline uint64_t wire_uint(struct wire *w, unsigned bytes)
{
	const uint8_t *at = wire_take(w, bytes);
	uint64_t v = 0;

	for (unsigned i = bytes; at && i > 0; i--)
		v = v << 8 | at[i - 1];
	return v;
}

/* A length-encoded integer ("Protocol::LengthEncodedInteger" in MySQL's documentation).
 */
static inline uint64_t wire_packed(struct wire *w)
{
	uint64_t first = wire_uint(w, 1);

	switch (first) {
	case 0xfc:
		return wire_uint(w, 2);
	case 0xfd:
		return wire_uint(w, 3);
	case 0xfe:
		return wire_uint(w, 8);
	case 0xfb: /* NULL: has no meaning as a length */
	case 0xff:
		w->bad = true;
		return 0;
	}
	return first;
}

/* Read one elsewhere. The caller knows that the bytes are there. */
static inline uint64_t wire_le(const uint8_t *p, unsigned bytes)
{
	struct wire w = { p, p + bytes, false };

	return wire_uint(&w, bytes);
}

static inline uint64_t wire_be(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

#endif
