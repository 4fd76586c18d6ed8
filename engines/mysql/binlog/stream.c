/*
 * stream.c - see stream.h.
 *
 * The dump command: position (4 bytes), flags (2), our server id (4), the file's name.
 * Source: "COM_BINLOG_DUMP" in the MySQL source documentation; that both servers stream
 * to these calls was tried (MariaDB 10.11, MySQL 9). With names of transactions MySQL has
 * a command of its own: flags (2), server id (4), length and text of a file's name,
 * position (8), length (4) and the set; MariaDB reads a variable of the session.
 */
#include "engines/mysql/binlog/stream.h"

#include <inttypes.h>
#include <mysql.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/buf.h"
#include "engines/mysql/binlog/gtid.h"

#define SERVER_IDS_OF_OURS 0x53420000u /* "SB": and 16 random bits */
#define STATUS_OK	   0
#define STATUS_EOF	   254
#define FIRST_EVENT	   4  /* behind a file's magic number */
#define DUMP_GTID	   30 /* COM_BINLOG_DUMP_GTID */

struct stream {
	struct db *db;
	struct stream_position from;
	uint64_t pass_over;
	uint32_t server_id;
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
	struct db_rows *rows, *names;

	*out = (struct stream_position){ .file = NULL };
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
	if (db_query(ctx, db,
		     db_flavor(db) == DB_MYSQL
			     ? "SELECT IF(@@gtid_mode = 'ON', @@gtid_executed, '')"
			     : "SELECT @@gtid_binlog_pos",
		     &names, err) < 0)
		return -1;
	out->file = mem_strdup(ctx, rows->cell[0][0]);
	out->offset = strtoull(rows->cell[0][1], NULL, 10);
	/* On MySQL not all of these may be committed yet which stand in front of that
	 * place in the binlog: then they come again. */
	if (names->cell[0][0] && *names->cell[0][0])
		out->gtid = mem_strdup(ctx, names->cell[0][0]);
	return 0;
}

int stream_server(TALLOC_CTX *ctx, struct db *db, char **out, struct sb_err *err)
{
	struct db_rows *rows;
	const char *sql =
		db_flavor(db) == DB_MYSQL
			? "SELECT @@server_uuid"
			: "SELECT CONCAT(@@hostname, ':', @@port, ':', @@server_id)";

	*out = NULL;
	if (db_query(ctx, db, sql, &rows, err) < 0)
		return -1;
	*out = rows->cell[0][0];
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

	if (number == STREAM_REFUSED)
		code = SB_EENGINE;
	sb_err(err, code, "Reading the binlog: %s", mysql_error(native(s)));
	if (err)
		err->db_errno = number;
	return -1;
}

#ifdef LIBMARIADB

static void add_uint(struct buf *b, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		buf_char(b, (char)(uint8_t)(v >> (8 * i)));
}

/* No flags: the server waits at the end of the binlog. */
static int request(struct stream *s, const struct gtid_set *set, struct sb_err *err)
{
	struct buf b, names;
	int rc;

	buf_init(&b, s);
	buf_init(&names, s);
	if (set) {
		gtid_encode(&names, set);
		add_uint(&b, 0, 2);
		add_uint(&b, s->server_id, 4);
		add_uint(&b, 0, 4);
		add_uint(&b, FIRST_EVENT, 8);
		add_uint(&b, names.len, 4);
		buf_add(&b, names.data, names.len);
	} else {
		add_uint(&b, s->from.offset, 4);
		add_uint(&b, 0, 2);
		add_uint(&b, s->server_id, 4);
		buf_str(&b, s->from.file);
	}
	rc = native(s)->methods->db_command(native(s), set ? DUMP_GTID : COM_BINLOG_DUMP,
					    b.data, b.len, 1, NULL);
	talloc_free(b.data);
	talloc_free(names.data);
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

/* The library asks for a set that is encoded already. */
static void give_set(MYSQL_RPL *rpl, unsigned char *at)
{
	memcpy(at, rpl->gtid_set_arg, rpl->gtid_set_encoded_size);
}

static int request(struct stream *s, const struct gtid_set *set, struct sb_err *err)
{
	struct buf names;

	buf_init(&names, s);
	s->rpl = (MYSQL_RPL){ .file_name = s->from.file,
			      .file_name_length = strlen(s->from.file),
			      .start_position = s->from.offset,
			      .server_id = s->server_id };
	if (set) {
		gtid_encode(&names, set);
		s->rpl.file_name_length = 0;
		s->rpl.flags = MYSQL_RPL_GTID;
		s->rpl.gtid_set_encoded_size = names.len;
		s->rpl.fix_gtid_set = give_set;
		s->rpl.gtid_set_arg = names.data;
	}
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

/* MariaDB: the names of where to begin, and that each has to be there. */
static int set_names(struct stream *s, struct sb_err *err)
{
	char *sql =
		mem_printf(s,
			   "SET @slave_connect_state = %s, @slave_gtid_strict_mode = 1,"
			   " @slave_gtid_ignore_duplicates = 0",
			   db_literal(s, s->from.gtid));

	return db_run(s->db, sql, err);
}

/* 0 = it is the one, 1 = another, -1. */
static int look_who(struct stream *s, const char *server, struct sb_err *err)
{
	char *now;

	if (!server)
		return 0;
	if (stream_server(s, s->db, &now, err) < 0)
		return -1;
	if (strcmp(now, server) == 0)
		return 0;
	sb_err(err, SB_ERETRY,
	       "%s is another server now (%s, and was %s): the copy goes on there if that "
	       "has the same transactions.",
	       db_params(s->db)->name, now, server);
	return 1;
}

static int begin(struct stream *s, struct sb_err *err)
{
	struct gtid_set *set = NULL;

	if (s->from.gtid && db_flavor(s->db) == DB_MYSQL &&
	    gtid_parse(s, DB_MYSQL, s->from.gtid, &set, err) < 0)
		return -1;
	if (s->from.gtid && db_flavor(s->db) == DB_MARIADB && set_names(s, err) < 0)
		return -1;
	if (s->from.gtid) {
		s->from.file = mem_strdup(s, "");
		s->from.offset = FIRST_EVENT;
	} else if (s->from.offset > UINT32_MAX) {
		/* The command has 32 bits for it, so the file is read from its beginning.
		 */
		s->from.offset = FIRST_EVENT;
	}
	s->server_id = SERVER_IDS_OF_OURS | arc4random_uniform(65536);
	return request(s, set, err);
}

int stream_open(TALLOC_CTX *ctx, const struct db_params *target,
		const struct stream_position *from, const char *server,
		struct stream **out, struct sb_err *err)
{
	struct stream *s = mem_new(ctx, struct stream);
	struct db_params params = *target;
	int rc;

	*out = NULL;
	params.schema = NULL;
	params.io_seconds = STREAM_SILENCE_SECONDS;
	s->from = stream_position_copy(s, from);
	s->pass_over = from->gtid ? 0 : from->offset;
	rc = db_open(s, &params, &s->db, err);
	if (rc == 0)
		rc = look_who(s, server, err);
	if (rc == 0)
		rc = set_up(s, err);
	if (rc == 0)
		rc = begin(s, err);
	if (rc == 0)
		*out = s;
	else
		talloc_free(s);
	return rc;
}

void stream_begin(const struct stream *s, const char **file, uint64_t *offset,
		  uint64_t *pass_over)
{
	*file = s->from.file;
	*offset = s->from.offset;
	*pass_over = s->pass_over;
}

int stream_socket(const struct stream *s)
{
	return db_socket(s->db);
}

enum db_flavor stream_flavor(const struct stream *s)
{
	return db_flavor(s->db);
}
