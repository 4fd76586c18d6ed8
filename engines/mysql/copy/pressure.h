/*
 * pressure.h - what a server's signals of load mean: which of them are beyond their
 * limits, and what should wait for that.
 *
 * Used by throttle.c, which reads the signals. Nothing here reads anything or knows the
 * time. A signal that went beyond its limit holds the work back until it was a tenth
 * below it in three looks in a row, so that a copy does not start and stop every second.
 *
 * Must never: take a replica that nobody could look at for one that is not behind.
 */
#ifndef SB_ENGINES_MYSQL_COPY_PRESSURE_H
#define SB_ENGINES_MYSQL_COPY_PRESSURE_H

#include "core/base/throttle.h"

/* SEMANTICS F.4: a lag that could not be observed for so long is too great. */
#define PRESSURE_BLIND_MS   45000
#define PRESSURE_CALM_LOOKS 3
#define PRESSURE_TEXT	    256

/* Kinds of work that can wait. */
enum pressure_work {
	PRESSURE_WRITES = 1, /* chunks, building an index */
	PRESSURE_READS =
		2, /* a comparison: it writes nothing, but keeps old row versions */
};

/* In the order in which reasons are told. `blind`: when it cannot be read, that counts;
 * the others are not there on every server. */
#define PRESSURES(X)                                                              \
	X(THREADS, "threads running", "", PRESSURE_WRITES | PRESSURE_READS, true) \
	X(HISTORY, "history list", "", PRESSURE_WRITES | PRESSURE_READS, false)   \
	X(CHECKPOINT, "checkpoint age", "%", PRESSURE_WRITES, false)              \
	X(LAG, "replica lag", "s", PRESSURE_WRITES, true)
enum pressure_signal {
#define X(name, text, unit, works, blind) PRESSURE_##name,
	PRESSURES(X)
#undef X
		PRESSURE_SIGNALS
};

struct pressure_gauge { /* one signal of one server */
	enum pressure_signal signal;
	const char *of;	 /* which replica; NULL = the server itself */
	int limit;	 /* 0 = it is not looked at */
	int64_t seen_ms; /* when it was read last */
	int64_t value;	 /* what it was; -1 = never read */
	int64_t excess;	 /* the last value beyond the limit */
	bool over;
	int calm; /* so many looks in a row it has been well below */
};

struct pressure {
	struct pressure_gauge
		*gauges; /* one a signal, in their order, then the replicas' */
	size_t n;
	int64_t blind_ms;
};

/* A gauge for each signal but LAG, and one for each replica; of ctx. Texts stay the
 * limits'. */
struct pressure *pressure_new(TALLOC_CTX *ctx, const struct throttle_limits *limits,
			      int64_t now_ms);
/* The gauge of a signal of the server; of the i-th replica. NULL = nobody asked for it.
 */
struct pressure_gauge *pressure_of(struct pressure *p, enum pressure_signal signal,
				   size_t replica);

/* It was looked at, and was that; -1 = it could not be read. */
void pressure_look(struct pressure_gauge *g, int64_t value, int64_t now_ms);

/* Should such work wait now? Then `out` says why: "<signal> <observed> <op> <limit>",
 * joined by "; ". */
bool pressure_reason(const struct pressure *p, enum pressure_work work, int64_t now_ms,
		     char out[PRESSURE_TEXT]);
/* Is a replica too far behind, or not to be seen? */
bool pressure_lags(const struct pressure *p, int64_t now_ms);

/* Out of SHOW ENGINE INNODB STATUS: the number behind `label` at the beginning of a line,
 * or -1. */
int64_t pressure_status_number(const char *text, const char *label);
/* Out of SHOW REPLICA STATUS, all its rows: the greatest lag in seconds; -1 = it cannot
 * be told, because a channel does not replicate, or there is none. */
int64_t pressure_lag(const struct db_rows *status);

#endif
