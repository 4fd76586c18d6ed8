/*
 * blockers.c - see blockers.h.
 */
#include "engines/mysql/blockers.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/log.h"

/* The locks of statements and transactions; those of LOCK TABLES are others. */
#define HARMLESS_MYSQL                                                                     \
	"'SHARED','SHARED_HIGH_PRIO','SHARED_READ','SHARED_WRITE','SHARED_READ_LOW_PRIO'," \
	"'SHARED_WRITE_LOW_PRIO'"
#define HARMLESS_MARIADB                                         \
	"'MDL_SHARED','MDL_SHARED_HIGH_PRIO','MDL_SHARED_READ'," \
	"'MDL_SHARED_WRITE'"
/* Where each flavour says who holds a table's metadata lock, and by what kind of lock. */
static const struct {
	bool serves[2]; /* indexed by enum db_flavor */
	const char *from, *schema, *table, *kinds;
} sources[] = {
	{ { [DB_MYSQL] = true, [DB_MARIADB] = true },
	  "performance_schema.metadata_locks m JOIN performance_schema.threads t"
	  " ON t.thread_id = m.owner_thread_id"
	  " JOIN information_schema.processlist p ON p.id = t.processlist_id",
	  "m.object_type = 'TABLE' AND m.lock_status = 'GRANTED' AND m.object_schema",
	  "m.object_name",
	  "m.lock_type IN (" HARMLESS_MYSQL ")" },
	{ { [DB_MARIADB] = true },
	  "information_schema.metadata_lock_info m"
	  " JOIN information_schema.processlist p ON p.id = m.thread_id",
	  "m.table_schema",
	  "m.table_name",
	  "m.lock_mode IN (" HARMLESS_MARIADB ")" },
};

static char *query(TALLOC_CTX *mem, size_t source, const char *schema, const char *table)
{
	return mem_printf(
		mem,
		"SELECT DISTINCT p.id, p.user, p.host, p.time FROM %s WHERE %s = %s"
		" AND %s = %s AND %s AND p.id <> CONNECTION_ID()"
		" AND p.user <> SUBSTRING_INDEX(USER(), '@', 1)"
		" AND p.user NOT IN ('system user','event_scheduler')"
		" AND p.command NOT LIKE 'Binlog Dump%%' AND p.command <> 'Daemon'"
		" AND NOT EXISTS (SELECT 1 FROM information_schema.innodb_trx x"
		" WHERE x.trx_mysql_thread_id = p.id AND x.trx_weight > %d)",
		sources[source].from, sources[source].schema, db_literal(mem, schema),
		sources[source].table, db_literal(mem, table), sources[source].kinds,
		MYSQL_BLOCKER_WEIGHT);
}

static int end_one(TALLOC_CTX *mem, struct db *db, char **who, const char *schema,
		   const char *table)
{
	struct sb_err err;

	if (db_run(db, mem_printf(mem, "KILL CONNECTION %s", who[0]), &err) < 0) {
		log_err(LOG_WARN, "engine.mysql.blocker_stays", &err,
			"connection %s of %s@%s holds %s.%s", who[0], who[1], who[2],
			schema, table);
		return 0;
	}
	log_warn("engine.mysql.blocker_ended",
		 "connection %s of %s@%s held %s.%s for %s s and was ended, as "
		 "kill_blockers_after allows",
		 who[0], who[1], who[2], schema, table, who[3]);
	return 1;
}

int mysql_blockers_end(struct db *db, const char *schema, const char *table)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "blockers");
	bool asked = false;
	int ended = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sources) && ended == 0; i++) {
		struct db_rows *rows;

		if (!sources[i].serves[db_flavor(db)])
			continue;
		if (db_query(mem, db, query(mem, i, schema, table), &rows, NULL) < 0)
			continue;
		asked = true;
		for (size_t r = 0; r < rows->n; r++)
			ended += end_one(mem, db, rows->cell[r], schema, table);
	}
	if (!asked)
		log_warn("engine.mysql.blocker_unknown",
			 "who holds %s.%s is not to be seen: %s", schema, table,
			 db_flavor(db) == DB_MYSQL
				 ? "GRANT SELECT ON performance_schema.*, PROCESS"
				 : "INSTALL SONAME 'metadata_lock_info', or turn "
				   "performance_schema on");
	talloc_free(mem);
	return ended;
}
