/*
 * payload.h - what servers compress in the binlog, unpacked.
 *
 * MariaDB compresses single events (log_bin_compress), MySQL whole transactions
 * (binlog_transaction_compression), and any session of MySQL may do so by itself.
 *
 * Must never: believe a length that a stream claims beyond PAYLOAD_MAX.
 */
#ifndef SB_ENGINES_MYSQL_BINLOG_PAYLOAD_H
#define SB_ENGINES_MYSQL_BINLOG_PAYLOAD_H

#include "core/base/mem.h"
#include "engines/mysql/binlog/event.h"

#define PAYLOAD_MAX ((size_t)1 << 30) /* max_allowed_packet is at most this */

/*
 * The compressed rest of an event of MariaDB: a byte (0x80 | algorithm << 4 | length of
 * the length), the length unpacked, big-endian, and a zlib stream. *out belongs to ctx.
 */
int payload_inflate(TALLOC_CTX *ctx, const struct wire *packed, struct wire *out,
		    struct sb_err *err) MUST_CHECK;

/*
 * TRANSACTION_PAYLOAD: fields (type, length, value) up to type 0, then the events of a
 * transaction, zstd-compressed or plain; these have no checksums. Calls `each` with one
 * event after the other, until it returns -1. Source: "Transaction_payload_event" in the
 * MySQL source documentation.
 */
int payload_each(const struct event *e,
		 int (*each)(void *arg, const uint8_t *event, size_t len,
			     struct sb_err *err),
		 void *arg, struct sb_err *err) MUST_CHECK;

#endif
