/*
 * position.c - positions: their order, and the proof that a stream which begins at one
 * passes over nothing; see stream.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engines/mysql/binlog/gtid.h"
#include "engines/mysql/binlog/stream.h"

#define ER_SHOW_BINLOG_EVENTS 1220 /* wrong offset, or an I/O error */

struct stream_position stream_position_copy(TALLOC_CTX *ctx,
					    const struct stream_position *at)
{
	return (struct stream_position){ at->file ? mem_strdup(ctx, at->file) : NULL,
					 at->offset,
					 at->gtid ? mem_strdup(ctx, at->gtid) : NULL };
}

/* Names differ in the number at their end, which grows in length too. */
int stream_position_compare(const struct stream_position *a,
			    const struct stream_position *b)
{
	size_t la = strlen(a->file), lb = strlen(b->file);
	int names = la != lb ? (la > lb) - (la < lb) : strcmp(a->file, b->file);

	return names != 0 ? names : (a->offset > b->offset) - (a->offset < b->offset);
}

int stream_position_earlier(TALLOC_CTX *ctx, enum db_flavor flavor,
			    const struct stream_position *a,
			    const struct stream_position *b, struct stream_position *out,
			    struct sb_err *err)
{
	struct gtid_set *x, *y;

	*out = stream_position_copy(ctx, stream_position_compare(a, b) <= 0 ? a : b);
	if (!a->gtid || !b->gtid) {
		out->gtid = NULL;
		return 0;
	}
	if (gtid_parse(ctx, flavor, a->gtid, &x, err) < 0 ||
	    gtid_parse(ctx, flavor, b->gtid, &y, err) < 0)
		return -1;
	out->gtid = gtid_text(ctx, gtid_common(ctx, x, y));
	return 0;
}

/* ---- proof ----------------------------------------------------------------------------
 */

static int lost(TALLOC_CTX *ctx, char **why, const char *what)
{
	*why = mem_strdup(ctx, what);
	return 0;
}

static int proof_mysql(TALLOC_CTX *ctx, struct db *db, const struct stream_position *at,
		       char **why, struct sb_err *err)
{
	const char *set = db_literal(ctx, at->gtid);
	struct db_rows *rows;

	if (db_query(ctx, db,
		     mem_printf(ctx,
				"SELECT @@gtid_mode = 'ON',"
				" GTID_SUBSET(%s, @@global.gtid_executed),"
				" GTID_SUBSET(@@global.gtid_purged, %s)",
				set, set),
		     &rows, err) < 0)
		return -1;
	if (strcmp(rows->cell[0][0], "1") != 0)
		return lost(ctx, why, "the server has no gtid_mode=ON any more");
	if (strcmp(rows->cell[0][1], "1") != 0)
		return lost(
			ctx, why,
			"the server has not executed all transactions that the copy has "
			"seen: it is no successor of the one that was followed");
	if (strcmp(rows->cell[0][2], "1") != 0)
		return lost(ctx, why,
			    "the server has purged binlogs that were not read yet");
	return 1;
}

/* The oldest file says what lay in front of it. */
static int proof_mariadb(TALLOC_CTX *ctx, struct db *db, const struct stream_position *at,
			 char **why, struct sb_err *err)
{
	struct gtid_set *ours, *purged;
	struct db_rows *files, *rows;

	if (gtid_parse(ctx, DB_MARIADB, at->gtid, &ours, err) < 0 ||
	    db_query(ctx, db, "SHOW BINARY LOGS", &files, err) < 0)
		return -1;
	if (files->n == 0)
		return lost(ctx, why, "the server has no binlog");
	if (db_query(ctx, db,
		     mem_printf(ctx,
				"SELECT @@gtid_binlog_state, BINLOG_GTID_POS(%s, %d)",
				db_literal(ctx, files->cell[0][0]), 4),
		     &rows, err) < 0 ||
	    gtid_parse(ctx, DB_MARIADB, rows->cell[0][1], &purged, err) < 0)
		return -1;
	if (!gtid_in_history(ours, rows->cell[0][0]))
		return lost(
			ctx, why,
			"the server's binlog does not have all transactions that the "
			"copy has seen: it is no successor of the one that was followed, "
			"or writes no binlog of what it replicates");
	if (!gtid_covers(ours, purged))
		return lost(ctx, why,
			    "the server has purged binlogs that were not read yet");
	return 1;
}

/* The file is there, not shorter than that, and an event begins at the offset. */
static int proof_file(TALLOC_CTX *ctx, struct db *db, const struct stream_position *at,
		      char **why, struct sb_err *err)
{
	struct db_rows *files, *rows, *mode;
	size_t i = 0;

	if (db_flavor(db) == DB_MYSQL) {
		if (db_query(ctx, db, "SELECT @@gtid_mode = 'ON'", &mode, err) < 0)
			return -1;
		if (strcmp(mode->cell[0][0], "1") == 0)
			return lost(ctx, why,
				    "the server has gtid_mode=ON now, and sends no "
				    "transactions without names any more");
	}
	if (db_query(ctx, db, "SHOW BINARY LOGS", &files, err) < 0)
		return -1;
	while (i < files->n && strcmp(files->cell[i][0], at->file) != 0)
		i++;
	if (i == files->n)
		return lost(ctx, why,
			    mem_printf(ctx, "the server has purged the binlog file %s",
				       at->file));
	if (strtoull(files->cell[i][1], NULL, 10) < at->offset)
		return lost(
			ctx, why,
			mem_printf(
				ctx,
				"the binlog file %s is shorter than it was: the server "
				"has begun its binlog anew, or lost the end of it",
				at->file));
	if (db_query(ctx, db,
		     mem_printf(ctx, "SHOW BINLOG EVENTS IN %s FROM %" PRIu64 " LIMIT 1",
				db_literal(ctx, at->file), at->offset),
		     &rows, err) == 0)
		return 1;
	if (err->db_errno != ER_SHOW_BINLOG_EVENTS)
		return -1;
	return lost(
		ctx, why,
		mem_printf(ctx,
			   "no event begins at %" PRIu64
			   " in the binlog file %s: the server has begun its binlog anew",
			   at->offset, at->file));
}

int stream_proof(TALLOC_CTX *ctx, struct db *db, const struct stream_position *at,
		 const char *server, char **why, struct sb_err *err)
{
	char *now;

	*why = NULL;
	if (stream_server(ctx, db, &now, err) < 0)
		return -1;
	if (at->gtid)
		return db_flavor(db) == DB_MYSQL ? proof_mysql(ctx, db, at, why, err)
						 : proof_mariadb(ctx, db, at, why, err);
	if (strcmp(now, server) != 0)
		return lost(
			ctx, why,
			"the server is another one than that whose binlog was followed, "
			"and without names of transactions (gtid_mode) no place in the "
			"one is known in the other");
	return proof_file(ctx, db, at, why, err);
}
