/*
 * copy.pml - the online copy of a table under writes: chunks, the change feed, flushes,
 * the stored progress, crashes of the driver. README.md explains.
 *
 * As in drive.pml, T(NAME) is a transition of ours, at the place of the code that says
 * "model: NAME", and E(NAME) is the world's. What the world may do at any time between two
 * of our steps: a transaction is in the binlog (WRITE) before anybody can read what it wrote
 * (VISIBLE); a chunk reads its rows (CHUNK_READ) before it has written them (CHUNK_DONE);
 * what a dead driver's connections were at goes on (ORPHAN_*). With -DNO_x a guard is left
 * out. Each key is a chunk; a row is its value, 0 = there is none.
 */

#ifndef KEYS
#define KEYS 2
#endif
#ifndef COPIERS
#define COPIERS 1
#endif
#ifndef WRITES
#define WRITES 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

#define T(name) printf(#name); printf("\n")
#define E(name) printf(#name); printf(" (world)\n")
#define HAS(set, k) (((set) >> (k)) & 1)
#define WITH(set, k) ((set) | (1 << (k)))
#define WITHOUT(set, k) ((set) & ~(1 << (k)))

/* ---- the server --------------------------------------------------------------------- */

byte orig[KEYS], shadow[KEYS];
byte tx[KEYS];   /* the keys of the transaction that has this row locked; 0 = nobody has */
byte becomes[KEYS];
byte shared;     /* rows that a flush has read with a lock */
byte binlog[WRITES];
byte n_log;
byte writes = WRITES;
bit locked;      /* LOCK TABLES … WRITE */

typedef statement { /* INSERT … SELECT of a chunk */
	byte key; /* + 1; 0 = none */
	bit has_read;
	byte value;
};
statement chunk[COPIERS], orphan[COPIERS];

/* A flush whose driver died before it knew of the commit. */
byte late_keys, late_upto;
byte late_value[KEYS];

/* ---- the driver --------------------------------------------------------------------- */

#define BEGINNING 0
#define NOTED 1
#define COPYING 2
#define DEAD 3
#define EVICTED 4
#define SWAPPED 5
#define EMPTY 6 /* the table has no rows yet */
byte state = EMPTY;
byte crashes = CRASHES;

byte cursor, copied;  /* keys that were handed out, that are committed */
byte watermark;       /* all keys before it are committed */
byte pending, pos;    /* the feed: keys that wait, how far it has read */

#define IDLE 0
#define ASKED 1 /* for the barrier */
#define TAKEN 2
#define SEEN 3
byte flush;
bit barrier, given_back;
byte batch, at, upto; /* the flush: its keys, the feed's position, the watermark then */
byte value[KEYS];
byte applied;

byte saved_pos, saved_mark;

/* ---- shorthands --------------------------------------------------------------------- */

#if COPIERS == 1
#define NO_CHUNK (chunk[0].key == 0)
#else
#define NO_CHUNK (chunk[0].key == 0 && chunk[1].key == 0)
#endif
#if KEYS == 2
#define NO_TX (tx[0] == 0 && tx[1] == 0)
#define BUSY ((HAS(batch, 0) && tx[0]) || (HAS(batch, 1) && tx[1]))
#else
#define NO_TX (tx[0] == 0 && tx[1] == 0 && tx[2] == 0)
#define BUSY ((HAS(batch, 0) && tx[0]) || (HAS(batch, 1) && tx[1]) || (HAS(batch, 2) && tx[2]))
#endif

#ifdef NO_BARRIER
#define MAY_FLUSH true
#else
#define MAY_FLUSH NO_CHUNK
#endif

#ifdef NO_LOCKED_READ
#define MAY_READ true
#else
#define MAY_READ (!BUSY)
#endif

#ifdef NO_SETTLE
#define SETTLED true
#else
#define SETTLED NO_TX
#endif

#ifdef NO_APPLIED
#define DONE_UPTO pos
#else
#define DONE_UPTO applied
#endif

#define FREE(k) (tx[k] == 0 && !(orig[k] != 0 && HAS(shared, k)))

inline log_it(keys)
{
	binlog[n_log] = keys;
	n_log++;
	writes--
}

/* What one flush writes, at its commit: rows that were found, and of the others those that
 * are not there now are deleted. */
#define WRITE_BATCH(keys, bound, values) \
	k = 0; \
	do \
	:: k < KEYS && HAS(keys, k) && k < bound -> \
		if \
		:: values[k] != 0 -> shadow[k] = values[k] \
		:: values[k] == 0 && orig[k] == 0 -> shadow[k] = 0 \
		:: else \
		fi; \
		k++ \
	:: k < KEYS && !(HAS(keys, k) && k < bound) -> k++ \
	:: k == KEYS -> break \
	od

inline end_flush()
{
	batch = 0;
	at = 0;
	upto = 0;
	shared = 0;
	given_back = 0;
	barrier = 0;
	flush = IDLE;
	k = 0;
	do
	:: k < KEYS -> value[k] = 0; k++
	:: k == KEYS -> break
	od
}

inline pick_key()
{
	k = 0;
	do
	:: k + 1 < KEYS -> k++
	:: break
	od
}

inline pick_copier()
{
	c = 0;
	do
	:: c + 1 < COPIERS -> c++
	:: break
	od
}

/* ---- writers ------------------------------------------------------------------------ */

active proctype writers()
{
	byte k, j;

	atomic {
		k = 0;
		do
		:: k < KEYS -> if :: orig[k] = 1 :: orig[k] = 0 fi; k++
		:: k == KEYS -> break
		od;
		k = 0;
		state = BEGINNING
	}
	do
	:: atomic { writes > 0 && !locked && state != SWAPPED ->
		pick_key();
		if
		:: FREE(k) && orig[k] == 0 -> tx[k] = 1 << k; becomes[k] = 1;
			E(INSERT); log_it(tx[k])
		:: FREE(k) && orig[k] != 0 -> tx[k] = 1 << k; becomes[k] = 3 - orig[k];
			E(UPDATE); log_it(tx[k])
		:: FREE(k) && orig[k] != 0 -> tx[k] = 1 << k; becomes[k] = 0;
			E(DELETE); log_it(tx[k])
		:: FREE(k) && orig[k] != 0 ->
			j = (k + 1) % KEYS;
			if
			:: FREE(j) && orig[j] == 0 ->
				tx[k] = (1 << k) | (1 << j);
				tx[j] = tx[k];
				becomes[k] = 0;
				becomes[j] = orig[k];
				E(MOVE); log_it(tx[k])
			:: else
			fi;
			j = 0
		:: else
		fi;
		k = 0 }
	:: atomic { !NO_TX ->
		pick_key();
		if
		:: tx[k] != 0 ->
			j = tx[k];
			k = 0;
			do
			:: k < KEYS && HAS(j, k) ->
				orig[k] = becomes[k];
				becomes[k] = 0;
				tx[k] = 0;
				k++
			:: k < KEYS && !HAS(j, k) -> k++
			:: k == KEYS -> break
			od;
			E(VISIBLE)
		:: else
		fi;
		k = 0;
		j = 0 }
	:: atomic { state == SWAPPED -> break }
	od
}

/* ---- what a dead driver left -------------------------------------------------------- */

active proctype orphans()
{
	byte k, c;

	do
	:: atomic { orphan[0].key + orphan[COPIERS - 1].key > 0 ->
		pick_copier();
		if
		:: orphan[c].key != 0 && !orphan[c].has_read ->
			orphan[c].value = orig[orphan[c].key - 1];
			orphan[c].has_read = 1;
			E(ORPHAN_READ)
		:: orphan[c].key != 0 && orphan[c].has_read ->
			if
			:: orphan[c].value != 0 && shadow[orphan[c].key - 1] == 0 ->
				shadow[orphan[c].key - 1] = orphan[c].value
			:: else /* a duplicate, which nobody hears of */
			fi;
			orphan[c].key = 0;
			orphan[c].has_read = 0;
			orphan[c].value = 0;
			E(ORPHAN_COMMIT)
		:: else
		fi;
		c = 0 }
	:: atomic { late_keys != 0 ->
		WRITE_BATCH(late_keys, late_upto, late_value);
		late_keys = 0;
		late_upto = 0;
		k = 0;
		do
		:: k < KEYS -> late_value[k] = 0; k++
		:: k == KEYS -> break
		od;
		k = 0;
		if
		:: state == DEAD || state == EVICTED -> shared = 0
		:: else
		fi;
		E(ORPHAN_FLUSH) }
	:: atomic { state == SWAPPED -> break }
	od
}

/* ---- the driver --------------------------------------------------------------------- */

active proctype driver()
{
	byte k, c;

	do
	/* Begin. */
	:: atomic { state == BEGINNING ->
		T(COPY_BEGIN);
		pos = n_log;
		applied = pos;
		saved_pos = pos;
		state = NOTED }
	:: atomic { state == NOTED && SETTLED ->
		T(COPY_SETTLE);
		state = COPYING }

	/* Chunks. */
	:: atomic { state == COPYING && !barrier && cursor < KEYS ->
		pick_copier();
		if
		:: chunk[c].key == 0 ->
			T(CHUNK_GIVE);
			chunk[c].key = cursor + 1;
			cursor++
		:: else
		fi;
		c = 0 }
	:: atomic { state == COPYING && !NO_CHUNK ->
		pick_copier();
		if
		:: chunk[c].key != 0 && !chunk[c].has_read ->
			E(CHUNK_READ);
			chunk[c].value = orig[chunk[c].key - 1];
			chunk[c].has_read = 1
		:: chunk[c].key != 0 && chunk[c].has_read ->
			T(CHUNK_DONE);
			k = chunk[c].key - 1;
			/* Else a duplicate: the change would fail. */
			assert(chunk[c].value == 0 || shadow[k] == 0);
			if
			:: chunk[c].value != 0 -> shadow[k] = chunk[c].value
			:: else
			fi;
			chunk[c].key = 0;
			chunk[c].has_read = 0;
			chunk[c].value = 0;
			copied = WITH(copied, k);
			do
			:: watermark < KEYS && HAS(copied, watermark) -> watermark++
			:: else -> break
			od;
			k = 0
		:: else
		fi;
		c = 0 }

	/* The feed. */
	:: atomic { state == COPYING && pos < n_log ->
		T(FEED_READ);
		pending = pending | binlog[pos];
		pos++ }

	/* Flush. */
	:: atomic { state == COPYING && flush == IDLE && pending != 0 ->
		T(FLUSH_ASK);
#ifndef NO_BARRIER
		barrier = 1;
#endif
		flush = ASKED }
	:: atomic { state == COPYING && flush == IDLE && pending == 0 && applied < pos ->
		T(FLUSH_NOTHING);
		applied = pos }
	:: atomic { state == COPYING && flush == ASKED && MAY_FLUSH ->
		T(FLUSH_TAKE);
		batch = pending;
		pending = 0;
		at = pos;
		upto = watermark;
#ifdef NO_READ_ABOVE
		k = upto;
		do
		:: k < KEYS -> batch = WITHOUT(batch, k); k++
		:: k == KEYS -> break
		od;
		k = 0;
#endif
		flush = TAKEN }
	:: atomic { state == COPYING && flush == TAKEN && BUSY ->
		pick_key();
		if
		:: HAS(batch, k) && tx[k] != 0 ->
			T(FLUSH_GIVE_BACK);
			batch = WITHOUT(batch, k);
			pending = WITH(pending, k);
			given_back = 1
		:: else
		fi;
		k = 0 }
	:: atomic { state == COPYING && flush == TAKEN && MAY_READ ->
		T(FLUSH_SEE);
		k = 0;
		do
		:: k < KEYS && HAS(batch, k) ->
			value[k] = orig[k];
#ifndef NO_LOCKED_READ
			if
			:: orig[k] != 0 -> shared = WITH(shared, k)
			:: else
			fi;
#endif
			k++
		:: k < KEYS && !HAS(batch, k) -> k++
		:: k == KEYS -> break
		od;
		k = 0;
		flush = SEEN }
	:: atomic { state == COPYING && flush == SEEN ->
		T(FLUSH_COMMIT);
		WRITE_BATCH(batch, upto, value);
		if
#ifdef NO_ALL_FLUSHED
		:: true -> applied = at
#else
		:: !given_back -> applied = at
		:: else
#endif
		fi;
		end_flush();
		k = 0 }

	/* Stored progress. */
	:: atomic { state == COPYING && (saved_pos != DONE_UPTO || saved_mark != watermark) ->
		T(COPY_SAVE);
		saved_pos = DONE_UPTO;
		saved_mark = watermark }

	/* Death, and a successor. */
	:: atomic { state == COPYING && crashes > 0 ->
		E(CRASH);
		crashes--;
		c = 0;
		do
		:: c < COPIERS ->
			orphan[c].key = chunk[c].key;
			orphan[c].has_read = chunk[c].has_read;
			orphan[c].value = chunk[c].value;
			chunk[c].key = 0;
			chunk[c].has_read = 0;
			chunk[c].value = 0;
			c++
		:: c == COPIERS -> break
		od;
		c = 0;
		if
		:: flush == SEEN -> /* its COMMIT may be on the way */
			late_keys = batch;
			late_upto = upto;
			k = 0;
			do
			:: k < KEYS -> late_value[k] = value[k]; k++
			:: k == KEYS -> break
			od;
			c = shared;
			end_flush();
			shared = c;
			c = 0
		:: end_flush()
		fi;
		k = 0;
		pending = 0;
		pos = 0;
		cursor = 0;
		copied = 0;
		watermark = 0;
		applied = 0;
		locked = 0;
		state = DEAD }
	:: atomic { state == DEAD ->
		T(COPY_EVICT);
#ifndef NO_EVICT
		c = 0;
		do
		:: c < COPIERS ->
			orphan[c].key = 0;
			orphan[c].has_read = 0;
			orphan[c].value = 0;
			c++
		:: c == COPIERS -> break
		od;
		c = 0;
		late_keys = 0;
		late_upto = 0;
		k = 0;
		do
		:: k < KEYS -> late_value[k] = 0; k++
		:: k == KEYS -> break
		od;
		k = 0;
		shared = 0;
#endif
		state = EVICTED }
	:: atomic { state == EVICTED ->
		T(COPY_CUT_BACK);
#ifndef NO_CUT_BACK
		k = saved_mark;
		do
		:: k < KEYS -> shadow[k] = 0; k++
		:: k == KEYS -> break
		od;
#endif
		k = 0;
		do
		:: k < saved_mark -> copied = WITH(copied, k); k++
		:: k == saved_mark -> break
		od;
		k = 0;
		cursor = saved_mark;
		watermark = saved_mark;
		pos = saved_pos;
		applied = saved_pos;
		state = COPYING }

	/* The cutover. */
	:: atomic { state == COPYING && watermark == KEYS && NO_TX && !locked && flush == IDLE ->
		T(CUTOVER_LOCK);
		locked = 1 }
	:: atomic { state == COPYING && locked && flush == IDLE && pos == n_log && pending == 0 ->
		T(CUTOVER_SWAP);
		k = 0;
		do
		:: k < KEYS ->
			assert(shadow[k] == orig[k]);
			k++
		:: k == KEYS -> break
		od;
		state = SWAPPED;
		break }
	od
}
