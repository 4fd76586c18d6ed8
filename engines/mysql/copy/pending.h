/*
 * pending.h - a set of keys whose rows may be wrong in the shadow.
 *
 * The feed adds to one set while the flush works off another. A key is kept as the bytes
 * that the binlog has, so that adding one costs no SQL; two spellings of what the server
 * calls equal are two keys, which costs a second look and nothing else. Not thread-safe:
 * feed.c has the mutex.
 */
#ifndef SB_ENGINES_MYSQL_COPY_PENDING_H
#define SB_ENGINES_MYSQL_COPY_PENDING_H

#include "engines/mysql/binlog/rows.h"

struct pending;

struct pending *pending_new(TALLOC_CTX *ctx);
/* False when it is there already. */
bool pending_add(struct pending *p, const struct rows_key *key);
/* One of another set (pending_get's form). */
bool pending_add_bytes(struct pending *p, const uint8_t *bytes, size_t len);
size_t pending_count(const struct pending *p);
/* What it takes of memory, about. */
size_t pending_bytes(const struct pending *p);
/* Key number i, in the order in which they were added; valid as long as the set. */
const uint8_t *pending_get(const struct pending *p, size_t i, size_t *len);
/* The parts of a key: p[] and len[] of *out; its columns are not known here. */
void pending_parts(const uint8_t *bytes, size_t len, struct rows_key *out);

#endif
