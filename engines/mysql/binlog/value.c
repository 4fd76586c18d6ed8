/*
 * value.c - see value.h.
 *
 * Two walks over the same types: how long is it, and what is it. Both are switches
 * without a default, so that a new type in the table is a warning here.
 */
#include "engines/mysql/binlog/value.h"

#include <inttypes.h>
#include <string.h>

static const struct {
	enum value_type type;
	const char *name;
	unsigned meta;
	bool key;
} types[] = {
#define X(code, name, meta, key) { VALUE_##name, #name, meta, key },
	VALUE_TYPES(X)
#undef X
};

const char *value_type_name(enum value_type type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return types[i].name;
	return NULL;
}

bool value_type_can_be_key(enum value_type type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return types[i].key;
	return false;
}

unsigned value_meta_len(enum value_type type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return types[i].meta;
	return 0;
}

/* ---- metadata ---------------------------------------------------------------------- */

/* The first byte is the real type; for CHAR longer than 255 bytes two bits of the length
 * are hidden in it, inverted. */
static int read_string(struct wire *w, struct value_column *c)
{
	unsigned real = (unsigned)wire_uint(w, 1), len = (unsigned)wire_uint(w, 1);

	if ((real & 0x30) != 0x30) {
		len |= ((real & 0x30) ^ 0x30) << 4;
		real |= 0x30;
	}
	if (real != VALUE_STRING && real != VALUE_ENUM && real != VALUE_SET)
		return -1;
	c->type = (enum value_type)real;
	c->a = len;
	if (real == VALUE_ENUM && len != 1 && len != 2)
		return -1;
	return real == VALUE_SET && (len < 1 || len > 8) ? -1 : 0;
}

int value_read_column(struct wire *meta, unsigned type, struct value_column *out)
{
	struct value_column c = { .type = (enum value_type)type };

	if (!value_type_name(c.type))
		return -1;
	if (c.type == VALUE_STRING || c.type == VALUE_ENUM || c.type == VALUE_SET) {
		if (read_string(meta, &c) < 0)
			return -1;
	} else if (c.type == VALUE_VARCHAR || c.type == VALUE_VARCHAR_COMPRESSED) {
		c.a = (unsigned)wire_uint(meta, 2);
	} else {
		unsigned len = value_meta_len(c.type);

		c.a = len > 0 ? (unsigned)wire_uint(meta, 1) : 0;
		c.b = len > 1 ? (unsigned)wire_uint(meta, 1) : 0;
	}
	*out = c;
	if (c.type == VALUE_NEWDECIMAL)
		return c.a == 0 || c.a > 65 || c.b > 38 || c.b > c.a ? -1 : 0;
	if (c.type == VALUE_BIT)
		return c.a > 7 || c.b * 8 + c.a > 64 ? -1 : 0;
	if (c.type == VALUE_TIMESTAMP2 || c.type == VALUE_DATETIME2 ||
	    c.type == VALUE_TIME2)
		return c.a > 6 ? -1 : 0;
	if (c.type == VALUE_BLOB || c.type == VALUE_GEOMETRY || c.type == VALUE_JSON ||
	    c.type == VALUE_VECTOR || c.type == VALUE_BLOB_COMPRESSED)
		return c.a < 1 || c.a > 4 ? -1 : 0;
	return 0;
}

/* ---- lengths ---------------------------------------------------------------------- */

/* Bytes of 0 to 9 decimal digits. */
static const unsigned digit_bytes[] = { 0, 1, 1, 2, 2, 3, 3, 4, 4, 4 };

static unsigned decimal_bytes(unsigned digits)
{
	return digits / 9 * 4 + digit_bytes[digits % 9];
}

static unsigned fraction_bytes(unsigned digits)
{
	return (digits + 1) / 2;
}

/* The length of the number that says how long a value is; 0 = all have one length. */
static unsigned length_bytes(const struct value_column *c)
{
	switch (c->type) {
	case VALUE_VARCHAR:
	case VALUE_VARCHAR_COMPRESSED:
	case VALUE_STRING:
		return c->a < 256 ? 1 : 2;
	case VALUE_BLOB:
	case VALUE_BLOB_COMPRESSED:
	case VALUE_GEOMETRY:
	case VALUE_JSON:
	case VALUE_VECTOR:
		return c->a;
	case VALUE_TINY:
	case VALUE_SHORT:
	case VALUE_LONG:
	case VALUE_FLOAT:
	case VALUE_DOUBLE:
	case VALUE_TIMESTAMP:
	case VALUE_LONGLONG:
	case VALUE_INT24:
	case VALUE_DATE:
	case VALUE_TIME:
	case VALUE_DATETIME:
	case VALUE_YEAR:
	case VALUE_BIT:
	case VALUE_TIMESTAMP2:
	case VALUE_DATETIME2:
	case VALUE_TIME2:
	case VALUE_NEWDECIMAL:
	case VALUE_ENUM:
	case VALUE_SET:
		break;
	}
	return 0;
}

static size_t fixed_bytes(const struct value_column *c)
{
	switch (c->type) {
	case VALUE_TINY:
	case VALUE_YEAR:
		return 1;
	case VALUE_SHORT:
		return 2;
	case VALUE_INT24:
	case VALUE_DATE:
	case VALUE_TIME:
		return 3;
	case VALUE_LONG:
	case VALUE_FLOAT:
	case VALUE_TIMESTAMP:
		return 4;
	case VALUE_LONGLONG:
	case VALUE_DOUBLE:
	case VALUE_DATETIME:
		return 8;
	case VALUE_BIT:
		return c->b + (c->a > 0);
	case VALUE_TIMESTAMP2:
		return 4 + fraction_bytes(c->a);
	case VALUE_DATETIME2:
		return 5 + fraction_bytes(c->a);
	case VALUE_TIME2:
		return 3 + fraction_bytes(c->a);
	case VALUE_NEWDECIMAL:
		return decimal_bytes(c->a - c->b) + decimal_bytes(c->b);
	case VALUE_ENUM:
	case VALUE_SET:
		return c->a;
	case VALUE_VARCHAR:
	case VALUE_VARCHAR_COMPRESSED:
	case VALUE_STRING:
	case VALUE_BLOB:
	case VALUE_BLOB_COMPRESSED:
	case VALUE_GEOMETRY:
	case VALUE_JSON:
	case VALUE_VECTOR:
		break;
	}
	return 0;
}

const uint8_t *value_take(struct wire *w, const struct value_column *c, size_t *len)
{
	const uint8_t *at = w->p;
	unsigned prefix = length_bytes(c);
	uint64_t n = prefix > 0 ? wire_uint(w, prefix) : fixed_bytes(c);

	*len = prefix + (size_t)n;
	return wire_take(w, (size_t)n) ? at : NULL;
}

/* ---- literals ---------------------------------------------------------------------- */

static void add_hex(struct buf *b, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < n; i++) {
		buf_char(b, digits[p[i] >> 4]);
		buf_char(b, digits[p[i] & 15]);
	}
}

static void integer(struct buf *b, const struct value_info *info, const uint8_t *p,
		    unsigned bytes)
{
	uint64_t v = wire_le(p, bytes), sign = (uint64_t)1 << (bytes * 8 - 1);

	if (info->form == VALUE_UNSIGNED || !(v & sign))
		buf_printf(b, "%" PRIu64, v);
	else
		/* The magnitude, without a signed overflow. */
		buf_printf(b, "-%" PRIu64, (~v & (sign | (sign - 1))) + 1);
}

/* One group of up to nine digits. */
static void decimal_group(struct buf *b, const uint8_t *p, unsigned digits)
{
	buf_printf(b, "%0*" PRIu64, (int)digits, wire_be(p, digit_bytes[digits]));
}

/*
 * Groups of nine digits in four bytes each, big-endian; the incomplete group is the first
 * of the integer part and the last of the fraction. The first bit is inverted, and all
 * bits of a negative number are.
 */
static void decimal(struct buf *b, const struct value_column *c, const uint8_t *value,
		    size_t len)
{
	unsigned whole = c->a - c->b, fraction = c->b;
	uint8_t copy[40]; /* 65 digits are 30 bytes */
	const uint8_t *p = copy;
	bool negative = !(value[0] & 0x80);

	for (size_t i = 0; i < len; i++)
		copy[i] = (uint8_t)(negative ? ~value[i] : value[i]);
	copy[0] ^= 0x80;
	if (negative)
		buf_char(b, '-');
	if (whole == 0)
		buf_char(b, '0');
	for (unsigned n = whole % 9; whole > 0; whole -= n, n = 9) {
		if (n == 0)
			n = 9;
		decimal_group(b, p, n);
		p += digit_bytes[n];
	}
	if (fraction > 0)
		buf_char(b, '.');
	for (unsigned n; fraction > 0; fraction -= n, p += digit_bytes[n]) {
		n = fraction < 9 ? fraction : 9;
		decimal_group(b, p, n);
	}
}

/* ".250000" */
static void add_fraction(struct buf *b, uint64_t v, unsigned digits)
{
	unsigned stored = fraction_bytes(digits) * 2;

	if (digits == 0)
		return;
	if (stored > digits) /* an odd number of digits is stored with a zero behind */
		v /= 10;
	buf_printf(b, ".%0*" PRIu64, (int)digits, v);
}

static void date(struct buf *b, uint64_t v)
{
	buf_printf(b, "'%04u-%02u-%02u'", (unsigned)(v >> 9), (unsigned)(v >> 5 & 15),
		   (unsigned)(v & 31));
}

/* 40 bits: sign, year * 13 + month in 17, day 5, hour 5, minute 6, second 6. */
static void date_time(struct buf *b, const struct value_column *c, const uint8_t *p)
{
	uint64_t v = wire_be(p, 5) & 0x7fffffffff;
	unsigned month = (unsigned)(v >> 22 & 0x1ffff);

	buf_printf(b, "'%04u-%02u-%02u %02u:%02u:%02u", month / 13, month % 13,
		   (unsigned)(v >> 17 & 31), (unsigned)(v >> 12 & 31),
		   (unsigned)(v >> 6 & 63), (unsigned)(v & 63));
	add_fraction(b, wire_be(p + 5, fraction_bytes(c->a)), c->a);
	buf_char(b, '\'');
}

/* Seconds since 1970; zero is the zero date. */
static void time_stamp(struct buf *b, const struct value_column *c, const uint8_t *p)
{
	uint64_t seconds = wire_be(p, 4), fraction = wire_be(p + 4, fraction_bytes(c->a));
	/* Days from 0000-03-01, in which a year ends with its leap day: "Euclidean affine
	 * functions and their application to calendar algorithms", Neri and Schneider. */
	uint64_t days = seconds / 86400 + 719468, rest = seconds % 86400;
	uint64_t era = days / 146097, doe = days % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	uint64_t month = mp < 10 ? mp + 3 : mp - 9;

	if (seconds == 0 && fraction == 0) {
		buf_str(b, "'0000-00-00 00:00:00'");
		return;
	}
	buf_printf(b,
		   "'%04" PRIu64 "-%02" PRIu64 "-%02" PRIu64 " %02" PRIu64 ":%02" PRIu64
		   ":%02" PRIu64,
		   yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1,
		   rest / 3600, rest / 60 % 60, rest % 60);
	add_fraction(b, fraction, c->a);
	buf_char(b, '\'');
}

/* 24 bits around 0x800000: sign, hour 10, minute 6, second 6; then the fraction. As one
 * number, negative ones are the complement to two. */
static void time_of_day(struct buf *b, const struct value_column *c, const uint8_t *p)
{
	unsigned bytes = 3 + fraction_bytes(c->a), shift = fraction_bytes(c->a) * 8;
	uint64_t zero = (uint64_t)0x800000 << shift, v = wire_be(p, bytes);
	bool negative = v < zero;
	uint64_t m = negative ? zero - v : v - zero;
	uint64_t t = m >> shift;

	buf_printf(b, "'%s%02u:%02u:%02u", negative ? "-" : "",
		   (unsigned)(t >> 12 & 0x3ff), (unsigned)(t >> 6 & 63),
		   (unsigned)(t & 63));
	add_fraction(b, m & (((uint64_t)1 << shift) - 1), c->a);
	buf_char(b, '\'');
}

static int element(struct buf *b, const struct value_info *info, uint64_t ordinal,
		   struct sb_err *err)
{
	if (ordinal == 0) { /* what an invalid value became; only a number finds it */
		buf_char(b, '0');
		return 0;
	}
	if (ordinal > info->n_elements)
		return sb_err(err, SB_EENGINE,
			      "The binlog has value number %" PRIu64
			      " of an ENUM with %zu: the table was changed meanwhile.",
			      ordinal, info->n_elements);
	buf_str(b, info->elements[ordinal - 1]);
	return 0;
}

/* A SET is compared with its members joined by commas. */
static int members(struct buf *b, const struct value_info *info, uint64_t bits,
		   struct sb_err *err)
{
	bool first = true;

	buf_str(b, "CONCAT_WS(','");
	for (unsigned i = 0; i < 64; i++) {
		if (!(bits >> i & 1))
			continue;
		buf_char(b, ',');
		if (element(b, info, i + 1, err) < 0)
			return -1;
		first = false;
	}
	buf_str(b, first ? ",'')" : ")");
	return 0;
}

/* Zeros at the end of a fixed number of bytes are not stored. */
static void padded_hex(struct buf *b, const uint8_t *p, size_t len, size_t full)
{
	add_hex(b, p, len);
	for (; len < full; len++)
		buf_str(b, "00");
}

static void uuid(struct buf *b, const uint8_t *p, size_t len)
{
	buf_char(b, '\'');
	for (size_t i = 0; i < 16; i++) {
		uint8_t byte = i < len ? p[i] : 0;

		if (i == 4 || i == 6 || i == 8 || i == 10)
			buf_char(b, '-');
		add_hex(b, &byte, 1);
	}
	buf_char(b, '\'');
}

static void string(struct buf *b, const struct value_column *c,
		   const struct value_info *info, const uint8_t *p, size_t len)
{
	size_t full = c->type == VALUE_STRING ? c->a : len;

	switch (info->form) {
	case VALUE_UUID:
		uuid(b, p, len);
		return;
	case VALUE_INET6:
	case VALUE_INET4:
		buf_printf(b, "CAST(x'");
		padded_hex(b, p, len, full);
		buf_printf(b, "' AS INET%c)", info->form == VALUE_INET6 ? '6' : '4');
		return;
	case VALUE_BYTES:
		buf_str(b, "x'");
		padded_hex(b, p, len, full);
		buf_char(b, '\'');
		return;
	case VALUE_PLAIN:
	case VALUE_UNSIGNED:
		break;
	}
	buf_printf(b, "_%s x'", info->charset ? info->charset : "binary");
	add_hex(b, p, len);
	buf_char(b, '\'');
}

int value_literal(struct buf *b, const struct value_column *c,
		  const struct value_info *info, const uint8_t *p, size_t len,
		  struct sb_err *err)
{
	unsigned prefix = length_bytes(c);

	switch (c->type) {
	case VALUE_TINY:
	case VALUE_SHORT:
	case VALUE_INT24:
	case VALUE_LONG:
	case VALUE_LONGLONG:
		integer(b, info, p, (unsigned)len);
		return 0;
	case VALUE_YEAR:
		buf_printf(b, "%u", p[0] == 0 ? 0 : 1900u + p[0]);
		return 0;
	case VALUE_NEWDECIMAL:
		decimal(b, c, p, len);
		return 0;
	case VALUE_DATE:
		date(b, wire_le(p, 3));
		return 0;
	case VALUE_DATETIME2:
		date_time(b, c, p);
		return 0;
	case VALUE_TIMESTAMP2:
		time_stamp(b, c, p);
		return 0;
	case VALUE_TIME2:
		time_of_day(b, c, p);
		return 0;
	case VALUE_BIT:
		buf_printf(b, "%" PRIu64, wire_be(p, (unsigned)len));
		return 0;
	case VALUE_ENUM:
		return element(b, info, wire_le(p, (unsigned)len), err);
	case VALUE_SET:
		return members(b, info, wire_le(p, (unsigned)len), err);
	case VALUE_VARCHAR:
	case VALUE_STRING:
		string(b, c, info, p + prefix, len - prefix);
		return 0;
	case VALUE_FLOAT:
	case VALUE_DOUBLE:
	case VALUE_TIMESTAMP:
	case VALUE_TIME:
	case VALUE_DATETIME:
	case VALUE_BLOB_COMPRESSED:
	case VALUE_VARCHAR_COMPRESSED:
	case VALUE_VECTOR:
	case VALUE_JSON:
	case VALUE_BLOB:
	case VALUE_GEOMETRY:
		break;
	}
	return sb_err(err, SB_EENGINE, "A value of type %s cannot be part of a key.",
		      value_type_name(c->type));
}
