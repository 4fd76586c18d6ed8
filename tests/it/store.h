/*
 * store.h - a real storage for C tests: a schema of its own on the server in SB_DB_*,
 * created by converge(), and rows in any state.
 *
 * For the programs test_*.c of this folder, which tests/it/test_store_c.py runs on every
 * flavour. By hand: `tests/stack server DIR; . DIR/env;
 * .build/test/tests-it/test_writers`.
 */
#ifndef SB_TESTS_IT_STORE_H
#define SB_TESTS_IT_STORE_H

#include "core/base/config.h"
#include "core/store/lease.h"
#include "tests/unit/unit.h"

struct store {
	TALLOC_CTX *ctx; /* emptied between tests */
	struct config config;
	struct db *db;	  /* connected as our programs are */
	struct db *admin; /* somebody else: looks, rotates, kills */
};
extern struct store store;

/* cmocka fixtures: of the group (skips everything without a server), of each test. */
int store_start(void **state);
int store_stop(void **state);
int store_empty(void **state);

/* Another connection like store.db; of store.ctx. */
struct db *store_connect(void);

/* On the other connection; a refusal fails the test. The values stand in the SQL. */
void store_sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, but answers the server's error number, 0 = done. */
unsigned store_try(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* First cell of the answer: as a number (-1 = NULL or no row), as text (NULL likewise).
 */
int64_t store_number(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *store_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Every row of every table, as one text to compare. */
char *store_snapshot(void);
/* Compare with now; prints the lines that differ. */
void store_assert_unchanged(const char *before);

struct made {
	uint64_t apply_row, operation;
	uint64_t tasks[4];
	char apply_id[65];
};
/* An apply with one operation and n pending tasks, due now. */
struct made store_make(size_t n_tasks);
/* A pending request; its row id. */
uint64_t store_request(const struct made *m, const char *operation);
/* Claim it as a driver does. */
struct lease store_claim(const struct made *m);
/* Somebody else has claimed since. */
void store_rotate(const struct made *m);

#endif
