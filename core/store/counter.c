/*
 * counter.c - rows of counters. See counter.h.
 */
#include "core/store/counter.h"

#define COUNTER_STATEMENTS(S)                                                     \
	S(CN_ADD, "INSERT INTO counters (counter, database_name, environment, n)" \
		  " VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE n = n + ?")

DB_STATEMENTS(counter, COUNTER_STATEMENTS)

static const struct {
	const char *name, *help;
} counters[COUNTER_COUNT] = {
#define X(name, metric, help) [COUNTER_##name] = { metric, help },
	COUNTERS(X)
#undef X
};

const char *counter_name(enum counter c)
{
	return counters[c].name;
}

const char *counter_help(enum counter c)
{
	return counters[c].help;
}

int counter_add(struct db *db, enum counter c, const char *database,
		const char *environment, int64_t n, struct sb_err *err)
{
	if (n <= 0)
		return 0;
	return db_exec(db, CN_ADD, BIND(counter_name(c), database, environment, n, n),
		       err) < 0
		       ? -1
		       : 0;
}
