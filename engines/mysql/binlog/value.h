/*
 * value.h - one column's value in a row image: how long it is, and as an SQL literal.
 *
 * Called by rows.c, which has to pass over every column, and by whoever turns a key into
 * a condition. Text is never transcoded here: it becomes `_charset 0x…`, and the server
 * does the rest.
 *
 * Must never: give a literal that does not compare equal to the value in the table.
 *
 * Source: "Table_map event" and "Rows event" in the MySQL source documentation; ENGINE.md
 * 6.3; what MariaDB stores for UUID and INET6 was seen on 10.11.
 */
#ifndef SB_ENGINES_MYSQL_BINLOG_VALUE_H
#define SB_ENGINES_MYSQL_BINLOG_VALUE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "engines/mysql/binlog/wire.h"

/* Types as TABLE_MAP names them. meta: bytes of metadata there. key: may be a part of
 * the key that drives a copy (exactly comparable, whole, of bounded length). */
#define VALUE_TYPES(X)                                                       \
	X(1, TINY, 0, true)                                                  \
	X(2, SHORT, 0, true)                                                 \
	X(3, LONG, 0, true)                                                  \
	X(4, FLOAT, 1, false)                                                \
	X(5, DOUBLE, 1, false)                                               \
	X(7, TIMESTAMP, 0, false)                                            \
	X(8, LONGLONG, 0, true)                                              \
	X(9, INT24, 0, true)                                                 \
	X(10, DATE, 0, true)                                                 \
	X(11, TIME, 0, false)                                                \
	X(12, DATETIME, 0, false)                                            \
	X(13, YEAR, 0, true)                                                 \
	X(15, VARCHAR, 2, true)                                              \
	X(16, BIT, 2, true)                                                  \
	X(17, TIMESTAMP2, 1, true)                                           \
	X(18, DATETIME2, 1, true)                                            \
	X(19, TIME2, 1, true)                                                \
	X(140, BLOB_COMPRESSED, 1, false)                                    \
	X(141, VARCHAR_COMPRESSED, 2, false)                                 \
	X(242, VECTOR, 1, false)                                             \
	X(245, JSON, 1, false)                                               \
	X(246, NEWDECIMAL, 2, true)                                          \
	X(247, ENUM, 2, true) /* these two stand inside STRING's metadata */ \
	X(248, SET, 2, true)                                                 \
	X(252, BLOB, 1, false)                                               \
	X(254, STRING, 2, true)                                              \
	X(255, GEOMETRY, 1, false)
enum value_type {
#define X(code, name, meta, key) VALUE_##name = (code),
	VALUE_TYPES(X)
#undef X
};

/* A column as the binlog describes it. `a` and `b` are what its metadata says:
 * NEWDECIMAL precision and scale; BIT odd bits and whole bytes; VARCHAR and STRING the
 * most bytes, ENUM and SET the bytes of a value, BLOB and its kind the bytes of the
 * length (in `a`); temporal types the digits of the fraction (in `a`). */
struct value_column {
	enum value_type type;
	unsigned a, b;
};

/* What only the table's definition tells: needed for literals, not for passing over. */
enum value_form {
	VALUE_PLAIN,
	VALUE_UNSIGNED,
	VALUE_BYTES, /* BINARY, VARBINARY: of STRING, padded with zeros to its length */
	VALUE_UUID,  /* MariaDB, 16 bytes of STRING */
	VALUE_INET6, /* MariaDB, 16 bytes of STRING */
	VALUE_INET4, /* MariaDB, 4 bytes of STRING */
};
struct value_info {
	enum value_form form;
	const char *charset;	     /* of text; NULL = none */
	const char *const *elements; /* ENUM, SET: each as a complete SQL literal */
	size_t n_elements;
};

const char *value_type_name(enum value_type type); /* NULL = not known */
bool value_type_can_be_key(enum value_type type);
unsigned value_meta_len(enum value_type type);

/* Read one column's metadata. -1 = the type is not known, or the metadata impossible. */
int value_read_column(struct wire *meta, unsigned type, struct value_column *out);

/* Pass over one value that is not NULL. NULL (and w->bad) when it is cut off; else its
 * first byte (a length in front of it included), and *len its length. */
const uint8_t *value_take(struct wire *w, const struct value_column *c, size_t *len);

/* Append a value, as value_take() gave it, as a literal for comparisons with its column.
 * The connection's time zone must be UTC. -1 = SB_EENGINE. */
int value_literal(struct buf *b, const struct value_column *c,
		  const struct value_info *info, const uint8_t *p, size_t len,
		  struct sb_err *err) MUST_CHECK;

#endif
