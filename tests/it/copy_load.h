/*
 * copy_load.h - an application that writes while the online copy runs, and the oracle: a
 * twin of the table gets every write in the same transaction, and the server's own ALTER
 * afterwards. Then both are compared, row for row and byte for byte.
 *
 * For the programs test_copy*.c of this folder; the application is a thread that inserts,
 * updates, moves keys, swaps values, deletes and inserts again without a pause.
 */
#ifndef SB_TESTS_IT_COPY_LOAD_H
#define SB_TESTS_IT_COPY_LOAD_H

#include <inttypes.h>

#include "core/base/clock.h"
#include "engines/mysql/copy/change.h"
#include "tests/it/store.h"

#define LOAD_APPLY "apply-0123456789abcdef0123456789abcdef"
#define LOAD_ROWS  4000

enum { BOTH = 0, MARIADB = 1, MYSQL = 2 };

struct load_shape {
	const char *name;
	int flavor;
	const char *create; /* columns of the table */
	const char *fill;   /* a row: %1 is a number that grows */
	const char *alter;
	/* What the application does; %1 is a random number, %2 another. */
	const char *writes[6];
};

extern struct load_application {
	const struct load_shape *shape;
	unsigned seed;
	bool stop;
	uint64_t writes, conflicts;
	struct db *db;
} load_application;

/* The run, as the change sees it. */
extern struct load_watch {
	bool halt;
	int halt_at; /* phase in which to halt; -1 = never */
	enum copy_phase phase;
	bool done;
	int64_t began_ms, hold_ms; /* the cutover is wanted so long after it is ready */
	/* Called with each report; may be NULL. */
	void (*look)(enum copy_phase phase);
} load_watch;

extern uint64_t load_token; /* of the latest try */

/* Is this the server's kind? */
bool load_here(int flavor);

/* Make the tables, and let the application write. */
void load_start(const struct load_shape *s, unsigned seed);
/* Only the application, on tables that are there. */
void load_again(const struct load_shape *s, unsigned seed);
void load_stop(void);
/* The change is done and the application has stopped: is the table what it should be? */
void load_compare(const struct load_shape *s);
char *load_statement(const struct load_shape *s);

/* One driver's try, as change_run() answers it. */
int load_change(const char *ddl, struct sb_err *err);

/* All of it. It is halted in the phase halt_at (-1: in none), and taken up again. */
void load_run(const struct load_shape *s, unsigned seed, int halt_at);

#endif
