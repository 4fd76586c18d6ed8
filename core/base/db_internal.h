/*
 * db_internal.h - what db.c and db_stmt.c share; for nobody else.
 */
#ifndef SB_BASE_DB_INTERNAL_H
#define SB_BASE_DB_INTERNAL_H

#include <mysql.h>

#include "core/base/db.h"

struct db_cached; /* a prepared statement of this connection */

struct db {
	MYSQL *mysql;
	struct db_params params;
	enum db_flavor flavor;
	bool lost;
	bool in_transaction;
	bool doomed; /* a statement of it failed: it can only be rolled back */
	struct db_cached **cache;
	size_t n_cache;
};

/* What the failed call was doing, which decides what a lost connection means. */
enum db_intent { DB_INTENT_CONNECT, DB_INTENT_READ, DB_INTENT_WRITE, DB_INTENT_COMMIT };

/* Turn (errno, text) into *err, note a lost connection; returns -1. */
int db_fail(struct db *db, enum db_intent intent, unsigned db_errno, const char *text,
	    struct sb_err *err);

/* At a fault point: the connection broke while the server may have been committing. */
int db_lose(struct db *db, struct sb_err *err);

/* After a deadlock the server has rolled back, and what is sent next would commit itself:
 * nothing is sent in a transaction of which a statement failed. Returns -1. */
int db_fail_doomed(struct db *db, struct sb_err *err);

/* Free all prepared statements; after the connection is closed. */
void db_cache_clear(struct db *db);

#endif
