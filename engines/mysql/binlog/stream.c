/*
 * stream.c - see stream.h.
 *
 * The dump command: position (4 bytes), flags (2), our server id (4), the file's name.
 * Source: "COM_BINLOG_DUMP" in the MySQL source documentation; that both servers stream
 * to these calls was tried (MariaDB 10.11, MySQL 9).
 */
#include "engines/mysql/binlog/stream.h"

#include <inttypes.h>
#include <mysql.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/buf.h"

#define SERVER_IDS_OF_OURS 0x53420000u /* "SB": and 16 random bits */
#define STATUS_OK	   0
#define STATUS_EOF	   254
#define ER_PURGED	   1236 /* also: our server id is taken, corrupt, … */

struct stream {
	struct db *db;
	char *file;
#ifndef LIBMARIADB
	MYSQL_RPL rpl;
#endif
};

/* ---- the server ----------------------------------------------------------------------
 */

int stream_end(TALLOC_CTX *ctx, struct db *db, struct stream_position *out,
	       struct sb_err *err)
{
	bool new_word = db_flavor(db) == DB_MYSQL && db_version(db) >= 80200;
	struct db_rows *rows;

	*out = (struct stream_position){ NULL, 0 };
	if (db_query(ctx, db, new_word ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS",
		     &rows, err) < 0) {
		if (err && db_error_kind(err->db_errno) == DB_ERR_DENIED)
			sb_err(err, SB_EENGINE,
			       "User '%s' may not see where the binlog is: GRANT REPLICATION "
			       "CLIENT%s ON *.* TO it.",
			       db_params(db)->user,
			       db_flavor(db) == DB_MARIADB ? ", BINLOG MONITOR" : "");
		return -1;
	}
	if (rows->n == 0 || rows->width < 2 || !rows->cell[0][0] || !*rows->cell[0][0])
		return sb_err(
			err, SB_EENGINE,
			"The server writes no binlog, which the online copy follows: "
			"start it with --log-bin and binlog_format=ROW.");
	out->file = mem_strdup(ctx, rows->cell[0][0]);
	out->offset = strtoull(rows->cell[0][1], NULL, 10);
	return 0;
}

/* Settings without which the stream does not tell what has to be known. MySQL 9 may have
 * no binlog_format any more: it is ROW then. */
static const struct {
	const char *variable, *want, *else_want, *advice;
} needed[] = {
	{ "log_bin", "ON", "ON", "start the server with --log-bin" },
	{ "binlog_format", "ROW", "ROW", "SET GLOBAL binlog_format = ROW" },
	{ "binlog_row_image", "FULL", "MINIMAL", "SET GLOBAL binlog_row_image = FULL" },
};

int stream_check(struct db *db, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "stream check");
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(needed); i++) {
		struct db_rows *rows;
		const char *is;

		rc = db_query(mem, db,
			      mem_printf(mem, "SHOW GLOBAL VARIABLES LIKE '%s'",
					 needed[i].variable),
			      &rows, err);
		if (rc < 0 || rows->n == 0)
			continue;
		is = rows->cell[0][1];
		if (strcasecmp(is, needed[i].want) != 0 &&
		    strcasecmp(is, needed[i].else_want) != 0)
			rc = sb_err(
				err, SB_EENGINE,
				"The server has %s=%s, with which an online copy cannot "
				"follow changes: %s (and reconnect the application).",
				needed[i].variable, is, needed[i].advice);
	}
	talloc_free(mem);
	return rc;
}

/* ---- the libraries -------------------------------------------------------------------
 */

static MYSQL *native(struct stream *s)
{
	return db_native(s->db);
}

static int fail(struct stream *s, struct sb_err *err)
{
	unsigned number = mysql_errno(native(s));
	enum err_code code = db_target_code(number, false);

	if (number == ER_PURGED)
		code = SB_EENGINE;
	sb_err(err, code, "Reading the binlog: %s", mysql_error(native(s)));
	if (err)
		err->db_errno = number;
	return -1;
}

#ifdef LIBMARIADB

static int request(struct stream *s, uint64_t offset, uint32_t server_id,
		   struct sb_err *err)
{
	uint8_t head[10];
	struct buf b;
	int rc;

	for (unsigned i = 0; i < 4; i++) {
		head[i] = (uint8_t)(offset >> (8 * i));
		head[6 + i] = (uint8_t)(server_id >> (8 * i));
	}
	head[4] = head[5] = 0; /* no flags: wait at the end of the binlog */
	buf_init(&b, s);
	buf_add(&b, (const char *)head, sizeof(head));
	buf_str(&b, s->file);
	rc = native(s)->methods->db_command(native(s), COM_BINLOG_DUMP, b.data, b.len, 1,
					    NULL);
	talloc_free(b.data);
	return rc != 0 ? fail(s, err) : 0;
}

int stream_next(struct stream *s, const uint8_t **event, size_t *len, struct sb_err *err)
{
	unsigned long n = mysql_net_read_packet(native(s));
	const uint8_t *at = native(s)->net.read_pos;

	*event = NULL;
	*len = 0;
	if (n == packet_error || n == 0)
		return fail(s, err);
	if (at[0] == STATUS_EOF && n < 9)
		return sb_err(err, SB_ERETRY, "The server ended the binlog stream.");
	if (at[0] != STATUS_OK)
		return sb_err(err, SB_EENGINE,
			      "The server sent something that is no binlog event (%u).",
			      at[0]);
	*event = at + 1;
	*len = n - 1;
	return 0;
}

#else

static int request(struct stream *s, uint64_t offset, uint32_t server_id,
		   struct sb_err *err)
{
	s->rpl = (MYSQL_RPL){ .file_name = s->file,
			      .file_name_length = strlen(s->file),
			      .start_position = offset,
			      .server_id = server_id };
	return mysql_binlog_open(native(s), &s->rpl) != 0 ? fail(s, err) : 0;
}

int stream_next(struct stream *s, const uint8_t **event, size_t *len, struct sb_err *err)
{
	*event = NULL;
	*len = 0;
	if (mysql_binlog_fetch(native(s), &s->rpl) != 0)
		return fail(s, err);
	if (s->rpl.size == 0)
		return sb_err(err, SB_ERETRY, "The server ended the binlog stream.");
	*event = s->rpl.buffer + 1;
	*len = s->rpl.size - 1;
	return 0;
}

#endif

/* ---- open ---------------------------------------------------------------------------
 */

/* Replicas tell the server what they understand with variables like these. */
static int set_up(struct stream *s, struct sb_err *err)
{
	char *sql = mem_printf(s,
			       "SET @master_binlog_checksum = @@global.binlog_checksum,"
			       " @source_binlog_checksum = @@global.binlog_checksum,"
			       " @master_heartbeat_period = %d000000,"
			       " @source_heartbeat_period = %d000000,"
			       " @mariadb_slave_capability = 4, @slave_uuid = UUID(),"
			       " @replica_uuid = @slave_uuid",
			       STREAM_HEARTBEAT_MS, STREAM_HEARTBEAT_MS);

	return db_run(s->db, sql, err);
}

int stream_open(TALLOC_CTX *ctx, const struct db_params *target,
		const struct stream_position *from, struct stream **out,
		struct sb_err *err)
{
	struct stream *s = mem_new(ctx, struct stream);
	struct db_params params = *target;

	*out = NULL;
	if (from->offset > UINT32_MAX) {
		talloc_free(s);
		return sb_err(err, SB_EENGINE,
			      "The position in %s lies behind 4 GiB, where no stream can "
			      "begin: the copy starts again.",
			      from->file);
	}
	params.schema = NULL;
	params.io_seconds = STREAM_SILENCE_SECONDS;
	s->file = mem_strdup(s, from->file);
	if (db_open(s, &params, &s->db, err) < 0 || set_up(s, err) < 0 ||
	    request(s, from->offset, SERVER_IDS_OF_OURS | arc4random_uniform(65536),
		    err) < 0) {
		talloc_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

int stream_socket(const struct stream *s)
{
	return db_socket(s->db);
}

enum db_flavor stream_flavor(const struct stream *s)
{
	return db_flavor(s->db);
}
