/*
 * locks.c - see locks.h.
 */
#include "engines/mysql/locks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/id.h"
#include "core/base/log.h"

#define EVICT_SECONDS 8 /* open() may take ten */

static char ascii_lower(char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (char)(c - 'A' + 'a');
	return c;
}

void mysql_lock_name(const char *schema, const char *table,
		     char out[MYSQL_LOCK_NAME_LEN + 1])
{
	TALLOC_CTX *mem = mem_ctx(NULL, "mysql_lock_name");
	char hex[SHA256_HEX_LEN + 1];
	struct buf b;

	buf_init(&b, mem);
	buf_str(&b, schema);
	buf_char(&b, '\0');
	buf_str(&b, table);
	for (size_t i = 0; i < b.len; i++)
		b.data[i] = ascii_lower(b.data[i]);
	sha256_hex(b.data, b.len, hex);
	memcpy(out, "sb_", 3);
	memcpy(out + 3, hex, MYSQL_LOCK_NAME_LEN - 3);
	out[MYSQL_LOCK_NAME_LEN] = '\0';
	talloc_free(mem);
}

/*
 * One connection in words. A statement is shown only when it is DDL: that has no data in
 * it, and is what our own predecessor executes. Without the PROCESS privilege the server
 * shows only connections of our own user, which a predecessor's is.
 */
static char *describe(TALLOC_CTX *ctx, struct db *db, uint64_t id)
{
	struct db_rows *rows;
	char *sql = mem_printf(
		ctx,
		"SELECT user, host, command, time,"
		" IF(info REGEXP '^(ALTER|CREATE|DROP|RENAME) ', LEFT(info, 120), '')"
		" FROM information_schema.processlist WHERE id = %" PRIu64,
		id);
	char **c;

	if (db_query(ctx, db, sql, &rows, NULL) < 0 || rows->n == 0)
		return mem_printf(ctx, "connection %" PRIu64, id);
	c = rows->cell[0];
	return mem_printf(ctx, "connection %" PRIu64 " (%s@%s, %s for %s s%s%s)", id,
			  c[0] ? c[0] : "", c[1] ? c[1] : "",
			  c[2] && strcmp(c[2], "Sleep") == 0 ? "idle" : "executing",
			  c[3] ? c[3] : "0", c[4] && *c[4] ? ": " : "", c[4] ? c[4] : "");
}

int mysql_lock_take(struct db *db, const char *schema, const char *table,
		    struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "mysql_lock_take");
	char name[MYSQL_LOCK_NAME_LEN + 1];
	const char *got, *holder, *who = "somebody who has just let go of it";
	struct db_rows *rows;
	int rc = -1;

	mysql_lock_name(schema, table, name);
	/* model: TARGET_LOCK */
	if (db_query(mem, db, mem_printf(mem, "SELECT GET_LOCK('%s', 0)", name), &rows,
		     err) < 0)
		goto out;
	got = rows->n ? rows->cell[0][0] : NULL;
	if (got && strcmp(got, "1") == 0) {
		rc = 0;
		goto out;
	}
	if (db_query(mem, db, mem_printf(mem, "SELECT IS_USED_LOCK('%s')", name), &rows,
		     err) < 0)
		goto out;
	holder = rows->n ? rows->cell[0][0] : NULL;
	if (holder)
		who = describe(mem, db, strtoull(holder, NULL, 10));
	rc = sb_err(
		err, SB_EBUSY,
		"Table %s.%s is being changed by %s: the next change begins when that "
		"has ended.",
		schema, table, who);
out:
	talloc_free(mem);
	return rc;
}

int mysql_lock_evict(struct db *db, const char *schema, const char *table,
		     struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "mysql_lock_evict");
	char name[MYSQL_LOCK_NAME_LEN + 1];
	struct db_rows *rows;
	struct sb_err gone;
	int rc = -1;

	mysql_lock_name(schema, table, name);
	if (db_query(mem, db, mem_printf(mem, "SELECT IS_USED_LOCK('%s')", name), &rows,
		     err) < 0)
		goto out;
	/* The holder may end at this moment: what counts is whether the lock comes free.
	 */
	if (rows->n && rows->cell[0][0] &&
	    /* model: EVICT */
	    db_run(db, mem_printf(mem, "KILL %s", rows->cell[0][0]), &gone) < 0)
		log_err(LOG_WARN, "engine.evict", &gone,
			"cannot end a dead driver's connection");
	if (db_query(mem, db,
		     mem_printf(mem, "SELECT GET_LOCK('%s', %d)", name, EVICT_SECONDS),
		     &rows, err) < 0)
		goto out;
	if (rows->n && rows->cell[0][0] && strcmp(rows->cell[0][0], "1") == 0)
		rc = 0;
	else
		sb_err(err, SB_EBUSY,
		       "A dead driver's statement on '%s'.'%s' does not end; the server was told to "
		       "kill it.",
		       schema, table);
out:
	talloc_free(mem);
	return rc;
}

int mysql_lock_held_by(struct db *db, const char *lock_name, uint64_t connection_id,
		       struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "mysql_lock_held_by");
	struct db_rows *rows;
	char *sql = mem_printf(mem, "SELECT IS_USED_LOCK('%s')", lock_name);
	int rc = db_query(mem, db, sql, &rows, err);

	if (rc == 0 && rows->n && rows->cell[0][0])
		rc = strtoull(rows->cell[0][0], NULL, 10) == connection_id;
	talloc_free(mem);
	return rc;
}

/*
 * Where each flavour tells who holds a metadata lock, best first. Columns: connection id,
 * user, host, seconds. %1$s and %2$s are schema and table as literals. The last one only
 * knows which transaction has been open for longest.
 */
static const struct {
	bool serves[2]; /* indexed by enum db_flavor */
	bool certain;
	const char *sql;
} sources[] = {
	{ { [DB_MYSQL] = true, [DB_MARIADB] = true },
	  true,
	  "SELECT t.processlist_id, t.processlist_user, t.processlist_host,"
	  " t.processlist_time"
	  " FROM performance_schema.metadata_locks m"
	  " JOIN performance_schema.threads t ON t.thread_id = m.owner_thread_id"
	  " WHERE m.object_type = 'TABLE' AND m.object_schema = %1$s"
	  " AND m.object_name = %2$s AND m.lock_status = 'GRANTED'"
	  " AND t.processlist_id <> CONNECTION_ID()"
	  " ORDER BY t.processlist_time DESC LIMIT 1" },
	{ { [DB_MARIADB] = true },
	  true,
	  "SELECT p.id, p.user, p.host, p.time"
	  " FROM information_schema.metadata_lock_info m"
	  " JOIN information_schema.processlist p ON p.id = m.thread_id"
	  " WHERE m.table_schema = %1$s AND m.table_name = %2$s"
	  " AND p.id <> CONNECTION_ID() ORDER BY p.time DESC LIMIT 1" },
	{ { [DB_MYSQL] = true, [DB_MARIADB] = true },
	  false,
	  "SELECT p.id, p.user, p.host, p.time"
	  " FROM information_schema.innodb_trx x"
	  " JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id"
	  " WHERE p.id <> CONNECTION_ID() ORDER BY x.trx_started LIMIT 1" },
};

/* 1 and *out, 0 when this source knows nothing, -1 when it is not to be had. */
static int ask_source(TALLOC_CTX *ctx, struct db *db, size_t i, const char *schema,
		      const char *table, char **out)
{
	struct db_rows *rows;
	struct buf sql;
	char **c;

	buf_init(&sql, ctx);
	for (const char *p = sources[i].sql; *p; p++) {
		if (strncmp(p, "%1$s", 4) != 0 && strncmp(p, "%2$s", 4) != 0) {
			buf_char(&sql, *p);
			continue;
		}
		buf_str(&sql, db_literal(ctx, p[1] == '1' ? schema : table));
		p += 3;
	}
	if (db_query(ctx, db, sql.data, &rows, NULL) < 0)
		return -1;
	if (rows->n == 0)
		return 0;
	c = rows->cell[0];
	*out = mem_printf(ctx, "%sconnection %s (%s@%s, for %s s)",
			  sources[i].certain
				  ? "held by "
				  : "probably held by the oldest open transaction, of ",
			  c[0], c[1] ? c[1] : "", c[2] ? c[2] : "", c[3] ? c[3] : "0");
	return 1;
}

char *mysql_blocker(TALLOC_CTX *ctx, struct db *db, const char *schema, const char *table)
{
	int rc = -1;
	char *who;

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		rc = sources[i].serves[db_flavor(db)]
			     ? ask_source(ctx, db, i, schema, table, &who)
			     : -1;
		if (rc > 0)
			return who;
	}
	if (rc == 0) /* the last source sees every transaction, and there is none */
		return mem_strdup(ctx, "held by somebody who cannot be found any more");
	return mem_printf(ctx,
			  "held by somebody whom we may not see (the PROCESS privilege%s "
			  "would tell us)",
			  db_flavor(db) == DB_MYSQL ? " or SELECT on performance_schema"
						    : "");
}
