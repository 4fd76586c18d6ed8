/*
 * change_internal.h - a change while it runs, as change.c, begin.c, cycle.c and
 * checksum.c see it.
 */
#ifndef SB_ENGINES_MYSQL_COPY_CHANGE_INTERNAL_H
#define SB_ENGINES_MYSQL_COPY_CHANGE_INTERNAL_H

#include "engines/mysql/copy/change.h"
#include "engines/mysql/copy/check.h"
#include "engines/mysql/copy/chunk.h"
#include "engines/mysql/copy/copier.h"
#include "engines/mysql/copy/feed.h"
#include "engines/mysql/copy/throttle.h"

struct change_table {
	const struct engine_task *task;
	struct copy_table *t;
	enum copy_phase phase;
	const char *deferred; /* still to be built */
	char *watermark;      /* NULL and !all: no row is copied */
	bool all;
	uint64_t before;	    /* rows that earlier drivers copied */
	struct chunker *chunker;    /* while it is copied */
	struct db *flush;	    /* its connection for flushes */
	int duplicates;		    /* cycles in a row in which a row would not go in */
	uint64_t checked, compared; /* rows: by this pass, by the last whole one */
	struct check *check;	    /* while it is compared */
	char *equal_upto; /* a dead driver's pass was so far; NULL = there is none */
	uint64_t equal_rows;
	bool equal; /* a whole pass found no difference, and none was found since */
	bool swapped;
};

struct change {
	const struct change_args *args;
	TALLOC_CTX *mem;
	struct db *work;		/* looks, checkpoints */
	struct change_table *tables;	/* those that are not the new ones yet */
	const struct copy_table **list; /* the same tables */
	size_t n;
	struct feed *feed;
	struct stream_position applied; /* of mem */
	char *server;			/* stream_server(): whose binlog is followed */
	int64_t cycle_ms, save_ms, report_ms, rate_ms;
	int64_t saving_ms; /* how long the last checkpoint took */
	uint64_t rate_rows;
	int64_t rows_per_second;
	int cutover_attempts;
	char cutover_reason[200]; /* why the last one was in vain, or "" */
	bool cutover;		  /* it was wanted, and that is stored */
	bool trusted;		  /* a dead driver's comparison was taken for ours */
	int64_t kept_ms;	  /* the advisory locks' connection was last used */

	struct throttle *throttle;
	unsigned busy; /* connections that execute something beside `work` and flushes */
	const struct change_table *waits; /* which waits for the throttle, or NULL, */
	char reason[PRESSURE_TEXT];	  /* why, */
	int64_t waits_ms;		  /* and since when */
	int64_t paused_ms;		  /* the last pause between two batches */
	bool hurry;			  /* writers wait for the flush: no pauses */
};

/* begin.c: find or make the shadows, and start the feed. 1 = nothing is left to be done:
 * a former driver has swapped all tables. Those that it has swapped are not in c. */
int change_begin(struct change *c, struct sb_err *err) MUST_CHECK;

/*
 * cycle.c: what has to be done all the time, whatever the phase: see that the feed lives,
 * flush, store, report. 0, or -1; also when the change was halted (*err is SB_OK then).
 */
int change_tick(struct change *c, struct sb_err *err) MUST_CHECK;
/* Flush now. 1 = everything up to c->applied is in the shadows, 0 = something was locked,
 * -1. `locked`: the connection that holds LOCK TABLES on all of them, or NULL. */
int change_flush(struct change *c, struct db *locked, struct sb_err *err) MUST_CHECK;
int change_save(struct change *c, struct sb_err *err) MUST_CHECK;
void change_report(struct change *c);
void change_phase(struct change *c, struct change_table *x, enum copy_phase phase);
/* Until the feed has been at the end of the binlog with little left to flush. */
int change_catch_up(struct change *c, struct sb_err *err) MUST_CHECK;
/* While nobody can write: bring the shadows up to the end of the binlog by then
 * (clock_ms()). 1 = they are, 0 = not in time, -1. `locked` as for change_flush(). */
int change_drain(struct change *c, struct db *locked, int64_t until_ms,
		 struct sb_err *err) MUST_CHECK;
/* The table's lock was not to be had for the n-th time: end who holds it, if that is
 * allowed by now. */
void change_end_blockers(struct change *c, const struct change_table *x, int n);
/* Are the tables' advisory locks ours still? Asked at every tick, at most every few
 * seconds. SB_ERETRY when not. */
int change_keep_locks(struct change *c, int64_t now, struct sb_err *err) MUST_CHECK;
bool change_halted(const struct change *c);

/*
 * pace.c: how fast a change goes. change_waits(): should such work of a table wait now?
 * It says so in the log when that begins and ends, and in what is reported. Asked again
 * and again, and change_goes_on() when it is not going to be asked any more.
 */
bool change_waits(struct change *c, const struct change_table *x,
		  enum pressure_work work);
void change_goes_on(struct change *c);
/* Tick until such work need not wait. 1, -1; with `idle`: 0 = the cutover is wanted. Not
 * to be called while a lock or a snapshot is held. */
int change_wait(struct change *c, const struct change_table *x, enum pressure_work work,
		bool idle, struct sb_err *err) MUST_CHECK;
/* So many connections besides the worker's own are executing something. */
void change_busy(struct change *c, unsigned n);
/* Between two batches of a flush, no transaction being open: gently, while replicas are
 * behind, and without a pause when that falls behind itself. */
void change_breathe(struct change *c);

/*
 * checksum.c: compare a table with its shadow, make equal what differs, and compare all
 * of it again. 0 = they are equal, -1: also when they never become so, and then the
 * table's progress is forgotten. `idle`: for as long as the cutover is not wanted; 0 also
 * when it is, as long as nothing had to be made equal.
 */
int change_check(struct change *c, struct change_table *x, bool idle,
		 struct sb_err *err) MUST_CHECK;

#endif
