/*
 * drive.pml - what drivers, the scheduler, the reaper, operators and a MySQL target do to
 * operations, and what must hold whatever dies, freezes or is late. README.md explains.
 *
 * T(NAME) is a transition of ours: the C code that implements it says "model: NAME".
 * E(NAME) is one of the world's: a crash, a clock, a server. One step of this model is one
 * durable write or one effect on the target, so that a crash can come between any two.
 *
 * What may happen (CRASH, FREEZE, …) is chosen by -D; with -DNO_x a guard is left out. Both
 * tables are in `run`. The property after each assert is DESIGN.md 8's.
 */

#ifndef NOPS
#define NOPS 2
#endif
#define NDRV 2
#ifndef BUDGET
#define BUDGET 1 /* RETRY_BUDGET */
#endif
#define DEATHS_FREE 1
#define TOKENS 8

#define T(name) printf(#name); printf("\n")
#define E(name) printf(#name); printf(" (world)\n")

/* ---- storage ------------------------------------------------------------------------ */

/* States of operations and tasks: one task each. REST from STOPPED on. */
#define PEND 0
#define RUN 1
#define GATE 2 /* waiting_for_cutover */
#define RETRY 3
#define STOPPED 4
#define DONE 5
#define FAILED 6
#define CANCELLED 7
#define SETTLED(s) ((s) >= DONE)
#define REST(s) ((s) >= STOPPED)
#define ACTIVE(s) ((s) == RUN || (s) == GATE)

/* claim_after */
#define NEVER 0
#define DUE 1
#define LATER 2

#define REAPER 7 /* an owner, besides 1 + driver */

typedef operation {
	byte st = PEND;
	byte task = PEND;
	byte claim = DUE;
	byte owner;  /* lease_owner; 0 = NULL */
	byte token;  /* lease_token */
	byte attempt;
	byte deaths;
	byte locked; /* the row lock: 1 + who */
	bit stop, start, cancel, cutover; /* pending requests */
	/* Only for properties: */
	bit window;  /* a lease was given and has neither ended nor run out */
	bit applied; /* the target has the change */
	bit unsure;  /* given up without a look at the target, and the message says so */
	bit outdated; /* the start was there before a stop that has taken effect */
	bit late;    /* stop or cancel was acknowledged after the driver's last look */
	byte tries;  /* engine calls since an orderly end or progress */
};
operation op[NOPS];

/* ---- the target: a table, its lock, the statement on the connection that holds it ---- */

#define ORPHAN 7 /* the connection of a driver that is not there any more */
#define NOTHING 0
#define RUNNING 1
#define AT_GATE 2
#define R_DONE 3
#define R_RETRY 4
#define R_FAILED 5

typedef table {
	byte lock; /* GET_LOCK: 1 + driver, ORPHAN, 0 */
	byte stmt;
	byte check_token; /* the checkpoint */
};
table tgt[NOPS];

/* ---- drivers ------------------------------------------------------------------------ */

/* Any process may rest between two steps for as long as it likes: SIGSTOP, swap, a paused
 * machine. What that means is that its lease runs out (FROZEN) or the storage ends its
 * transaction (TX_TIMEOUT), and that it goes on afterwards with what it believed before. */
#define WELL 0
#define CUT 1 /* it runs, and storage is out of its reach */

#define NONE 0 /* the engine: closed, open, at work */
#define OPEN 1
#define WORK 2

/* Why it halts. */
#define BY_STOP 1
#define BY_CANCEL 2
#define BY_BUDGET 3
#define BY_TERM 4

/* Where it is. */
#define DEAD 0
#define IDLE 1
#define QUIT 2 /* its claim failed */
#define CLAIMING 3
#define PREPARE 4
#define STEP 5
#define CHECKPOINT 6
#define REPLAN 7
#define RECHECK 8
#define START 9
#define HALT 10
#define EVICT 11
#define CLOSE 12
#define LEFT 13 /* settled or handed back; its slot still names the claim */
#define RELOAD 14
#define CALL_CUTOVER 15
#define CUTOVER_SENT 16
#define END_REQUESTS 17
/* From here on: to be written in a lease transaction. */
#define TX 20
#define TX_REQUEUE 20
#define TX_UNMARK 21
#define TX_MARK 22
#define TX_DONE 23
#define TX_GATE 24
#define TX_RETRY 25
#define TX_FAIL 26
#define TX_AWAY 27
#define TX_HALTED 28
#define TX_REST 29
#define TX_RESTART 30
#define TX_NOSTART 31
#define TX_STARTED 32
#define TX_CUTOVER 33
#define TX_EXPIRE 34
#define TX_BACK 35

typedef driver {
	byte pc;
	byte op;
	byte token;
	byte st, task; /* as it has read or written them last */
	byte health;
	byte engine;
	byte why;
	bit term;     /* SIGTERM */
	bit fenced;   /* its heartbeat has given up */
	bit held;     /* in a lease transaction */
	bit prepared;
	byte slot_op; /* the slot file: 1 + operation; 0 = empty */
	byte slot_token;
	bit over;     /* for properties: its window ran out while it was frozen */
};
driver drv[NDRV];

#define D drv[d]
#define O op[drv[d].op]
#define G tgt[drv[d].op]
#define ME (d + 1)

byte reaper_pc, reaper_op, reaper_token;
byte sched_pc, sched_slot;

hidden byte i, v;

/* ---- tokens: only their order and neighbourhood matter ------------------------------- */

#define REFERS_DRIVER(x, p, n) \
	((drv[x].pc != DEAD && drv[x].pc != IDLE && drv[x].op == p && drv[x].token == n) || \
	 (drv[x].slot_op == p + 1 && drv[x].slot_token == n))
#define REFERS(p, n) \
	(op[p].token == n || tgt[p].check_token == n || \
	 (reaper_pc && reaper_op == p && reaper_token == n) || \
	 REFERS_DRIVER(0, p, n) || REFERS_DRIVER(1, p, n))
#define DROP(x, n) if :: x > n -> x-- :: else fi
#define DROP_DRIVER(x, p, n) \
	if :: drv[x].op == p && drv[x].pc > IDLE -> DROP(drv[x].token, n) :: else fi; \
	if :: drv[x].slot_op == p + 1 -> DROP(drv[x].slot_token, n) :: else fi

/* Forget the tokens that nobody names any more, so that there are finitely many. */
inline forget(P)
{
	d_step {
		v = TOKENS;
		do
		:: v > 0 ->
			if
			:: !REFERS(P, v) ->
				DROP(op[P].token, v); DROP(tgt[P].check_token, v);
				if
				:: reaper_pc && reaper_op == P -> DROP(reaper_token, v)
				:: else
				fi;
				DROP_DRIVER(0, P, v); DROP_DRIVER(1, P, v)
			:: else
			fi;
			v--
		:: else -> break
		od;
		assert(op[P].token < TOKENS - 1)
	}
}

/* ---- what the world does to a driver -------------------------------------------------- */

inline unlock_row()
{
	if :: D.held && O.locked == ME -> O.locked = 0 :: else fi;
	D.held = 0
}

/* The process is gone; its connection to the target, too, but not what runs there. */
inline die()
{
	unlock_row();
	if :: D.pc == CLAIMING && O.locked == ME -> O.locked = 0 :: else fi;
	if :: G.lock == ME -> G.lock = ORPHAN :: else fi;
	D.pc = DEAD; D.op = 0; D.token = 0; D.st = 0; D.task = 0; D.health = WELL;
	D.engine = NONE; D.why = 0; D.term = 0; D.fenced = 0; D.prepared = 0; D.over = 0;
	i = D.slot_op;
	if :: i > 0 -> forget(i - 1) :: else fi
}

/* Close the engine: end the statement, or break the connection when it does not end. */
inline close_engine()
{
	if
	:: G.lock == ME && G.stmt == RUNNING -> G.stmt = NOTHING; G.lock = 0
	:: G.lock == ME && G.stmt == RUNNING -> G.lock = ORPHAN
	:: G.lock == ME && G.stmt != RUNNING -> G.stmt = NOTHING; G.lock = 0
	:: G.lock != ME
	fi;
	D.engine = NONE
}

/* An uncertain end or a lost lease: the process ends, its slot file stays. */
inline leave()
{
	close_engine();
	die()
}

/* ---- writing -------------------------------------------------------------------------- */

/* How pending requests end when an operation comes to rest in NEW, and who stays is heard. */
inline end_requests(NEW)
{
	O.outdated = (NEW == STOPPED && O.stop && O.start);
#ifdef NO_STOP_ENDS_START
	O.start = (NEW == STOPPED && O.start);
#else
	O.start = (NEW == STOPPED && O.start && !O.stop);
#endif
	O.cancel = (NEW == STOPPED && O.cancel);
	O.stop = 0;
	O.cutover = 0;
	O.outdated = (O.outdated && O.start);
	if :: !O.stop && !O.cancel -> O.late = 0 :: else fi
#ifndef NO_WAKE_AFTER_STOP
	;
	if :: O.cancel || O.start -> O.claim = DUE :: else fi
#endif
}

inline set_state(NEW)
{
	assert(!SETTLED(O.st) || O.st == NEW);
	O.st = NEW;
	if
	:: NEW == PEND || ACTIVE(NEW) -> O.claim = LATER; O.window = 1
	:: NEW == RETRY -> O.claim = LATER; O.owner = 0; O.window = 0
	:: REST(NEW) -> O.claim = NEVER; O.owner = 0; O.window = 0
	fi;
	D.st = NEW
}

inline set_task(NEW)
{
	assert(!SETTLED(O.task) || O.task == NEW);
	O.task = NEW;
	D.task = NEW
}

/* COMMIT. Nothing may be written by a driver whose token is not the row's. */
inline commit()
{
	assert(O.token == D.token);
	unlock_row()
}

/* Settled or stopped in s: the requests end in this transaction. */
inline come_to_rest(NEW)
{
	set_state(NEW);
#ifdef NO_SAME_TX
	D.pc = END_REQUESTS
#else
	end_requests(NEW)
#endif
}

/* The answer to a COMMIT may be lost: the driver has to read. */
inline then(NEXT)
{
	if
	:: D.pc = NEXT
#ifdef ANSWER_LOST
	:: E(ANSWER_LOST); D.pc = RELOAD
#endif
	fi
}

#define UNREST (O.stop || O.cancel)
#define LEFT_RUNNING (D.engine == NONE && ACTIVE(D.task))
#define OK (D.health == WELL)
#ifdef NO_LOCK
#define LOCK_KEPT true
#else
#define LOCK_KEPT (G.lock == ME)
#endif
#ifdef NO_STOP_AGAIN_LOOK
#define MAY_STOP_AGAIN true
#else
#define MAY_STOP_AGAIN (!ACTIVE(D.task))
#endif
#ifdef WHOLE_TX /* a lease transaction as one step, as its row lock makes it */
#define IN_TX(p) (OK && D.pc == p && O.locked == 0 && O.token == D.token)
#else
#define IN_TX(p) (OK && D.held && D.pc == p)
#endif

/* Another apply of the same database and environment is active: the UNIQUE index. */
#ifdef SAME
#define OTHER_ACTIVE (NOPS > 1 && !REST(op[1 - D.op].st))
#else
#define OTHER_ACTIVE 0
#endif

#define CLAIMABLE(p) (p < NOPS && op[p].claim == DUE && op[p].locked == 0)

/* ---- a driver ------------------------------------------------------------------------- */

inline note(P)
{
	T(CLAIM_NOTE);
	D.op = P;
	D.token = op[P].token + 1;
	op[P].locked = ME;
	D.slot_op = P + 1;
	D.slot_token = D.token;
	D.pc = CLAIMING
}

/* Stop and cancel first; then what goes forward. */
#define NOTHING_ASKED 255
inline obey()
{
	if
	:: O.cancel -> D.why = BY_CANCEL; D.pc = HALT
	:: !O.cancel && O.stop && D.st == STOPPED -> D.pc = TX_REST
	:: !O.cancel && O.stop && D.st != STOPPED -> D.why = BY_STOP; D.pc = HALT
	:: !UNREST && O.cutover && D.engine == WORK && D.st == GATE -> D.pc = TX_CUTOVER
	:: !UNREST && O.start && D.engine == WORK && !(O.cutover && D.st == GATE) ->
		D.pc = TX_STARTED
	:: else -> D.pc = NOTHING_ASKED
	fi
}

/* A driver that could act has the engine at work on operation p; a fenced one has ended it. */
#define AT_WORK(x, p) \
	(x != d && drv[x].pc > CLAIMING && drv[x].op == p && drv[x].engine == WORK && \
	 !drv[x].over && \
	 (!drv[x].fenced || (tgt[p].lock == x + 1 && tgt[p].stmt == RUNNING)))

proctype drive(byte d)
{
	do
	/* ---- claim ---- */
	:: atomic { D.pc == IDLE && OK && CLAIMABLE(0) -> note(0) }
#if NOPS > 1
	:: atomic { D.pc == IDLE && OK && CLAIMABLE(1) -> note(1) }
#endif
	:: atomic { D.pc == CLAIMING && OK ->
		T(CLAIM);
		assert(!O.window);
		assert(!AT_WORK(0, D.op) && !AT_WORK(1, D.op));
		O.locked = 0;
#ifdef NO_BUMP
		D.token = O.token; D.slot_token = O.token;
#else
		O.token = D.token;
#endif
		if
		:: O.owner != 0 ->
#if !defined(NO_DEATHS) && !defined(UNCOUNTED)
			if
			:: O.deaths < DEATHS_FREE -> O.deaths++
			:: else -> O.attempt++
			fi
#else
			skip
#endif
		:: else
		fi;
		if
		:: O.st == RETRY ->
#if !defined(NO_ATTEMPT) && !defined(UNCOUNTED)
			O.attempt++
#else
			skip
#endif
		:: else
		fi;
		if :: O.attempt > BUDGET + 1 -> O.attempt = BUDGET + 1 :: else fi;
		O.owner = ME;
#ifndef NO_CLAIM_AFTER
		O.claim = LATER;
#endif
		O.window = 1;
		D.fenced = 0; D.prepared = 0; D.over = 0;
		forget(D.op);
		then(PREPARE);
		if :: D.pc == RELOAD -> leave() :: else fi /* it exits; the slot tells */
	}

	:: atomic { D.pc == QUIT && OK -> T(CLAIM_FAILED); leave() }

	/* ---- the first look ---- */
	:: atomic { D.pc == PREPARE && OK ->
		T(PREPARE);
		if
		:: O.token != D.token -> leave()
		:: else ->
			D.st = O.st; D.task = O.task;
			if
			:: SETTLED(D.st) -> D.pc = LEFT
			:: else ->
				obey();
				if
				:: D.pc != NOTHING_ASKED
				:: D.pc == NOTHING_ASKED && D.st == STOPPED ->
					D.pc = (O.start -> TX_RESTART : TX_REST)
				:: D.pc == NOTHING_ASKED && D.st != STOPPED &&
					O.attempt > BUDGET ->
					D.why = BY_BUDGET;
					D.pc = (LEFT_RUNNING -> EVICT : TX_EXPIRE)
				:: D.pc == NOTHING_ASKED && D.st != STOPPED &&
					O.attempt <= BUDGET -> D.pc = TX_REQUEUE
				fi
			fi
		fi
	}

	/* ---- every lease transaction begins so ---- */
#ifdef NO_FOR_UPDATE
	:: atomic { D.pc >= TX && OK && !D.held ->
		T(LEASE_TX);
		if :: O.token == D.token -> D.held = 1 :: else -> leave() fi
	}
#elif defined(NO_FENCE)
	:: atomic { D.pc >= TX && OK && !D.held && O.locked == 0 ->
		T(LEASE_TX); D.held = 1; O.locked = ME }
#elif defined(WHOLE_TX)
	:: atomic { D.pc >= TX && OK && O.locked == 0 && O.token != D.token -> leave() }
#else
	:: atomic { D.pc >= TX && OK && !D.held && O.locked == 0 ->
		T(LEASE_TX);
		if :: O.token == D.token -> D.held = 1; O.locked = ME :: else -> leave() fi
	}
#endif
	:: atomic { D.held && OK ->
#ifdef ANSWER_LOST
		E(ROLLED_BACK); unlock_row(); D.pc = RELOAD
#else
		false
#endif
	}

	/* ---- before the first step ---- */
	:: atomic { IN_TX(TX_REQUEUE) ->
		T(REQUEUE);
		commit();
		if :: D.task == RETRY -> set_task(PEND) :: else fi;
		if :: O.st != RUN && O.st != GATE -> set_state(RUN) :: else fi;
		D.prepared = 1;
		then(STEP)
	}
	:: atomic { IN_TX(TX_RESTART) ->
		T(RESTART);
		commit();
		assert(!O.outdated); /* nothing starts by itself after a stop */
		if
		:: OTHER_ACTIVE -> D.pc = TX_NOSTART
		:: else -> set_task(PEND); set_state(RUN); D.prepared = 1; then(STEP)
		fi
	}
	:: atomic { IN_TX(TX_NOSTART) ->
		T(START_REFUSED);
		commit();
		O.start = 0;
		O.owner = 0; O.window = 0; O.claim = NEVER;
		end_requests(O.st);
		then(LEFT)
	}
	:: atomic { IN_TX(TX_REST) ->
		T(REST);
		commit();
		O.owner = 0; O.window = 0; O.claim = NEVER;
		end_requests(O.st);
		then(LEFT)
	}

	/* ---- a step ---- */
	:: atomic { D.pc == STEP && OK && D.fenced -> T(FENCED); leave() }
	:: atomic { D.pc == STEP && OK && !D.fenced && D.term ->
		T(TERM); D.why = BY_TERM; D.pc = HALT }
	:: atomic { D.pc == STEP && OK && !D.fenced && !D.term &&
		(UNREST || (D.engine == WORK && (O.start || (O.cutover && D.st == GATE)))) ->
		T(OBEY); obey(); assert(D.pc != NOTHING_ASKED) }
	:: atomic { D.pc == STEP && OK && !D.fenced && !D.term && D.engine == WORK &&
		!UNREST && !O.start && !(O.cutover && D.st == GATE) ->
		if
		:: G.lock != ME -> T(OBSERVE); leave()
		:: G.lock == ME && G.stmt == R_DONE -> T(OBSERVE); D.pc = TX_DONE
		:: G.lock == ME && G.stmt == R_RETRY ->
			T(OBSERVE); close_engine(); D.pc = TX_RETRY
		:: G.lock == ME && G.stmt == R_FAILED ->
			T(OBSERVE); close_engine(); D.pc = TX_FAIL
		:: G.lock == ME && G.stmt == AT_GATE && D.st != GATE ->
			T(OBSERVE); D.pc = TX_GATE
		fi
	}
	:: atomic { D.pc == STEP && OK && !D.fenced && !D.term && D.engine == NONE && !UNREST &&
#ifdef NO_LOCK
		true ->
#else
		G.lock == 0 ->
#endif
		if
		:: T(TARGET_LOCK);
#ifdef NO_LOCK
			if :: G.lock == 0 -> G.lock = ME :: else fi;
#else
			G.lock = ME;
#endif
			D.engine = OPEN; D.pc = CHECKPOINT
#ifdef AWAY
		:: E(TARGET_AWAY); D.pc = TX_AWAY
#endif
		fi
	}
	:: atomic { D.pc == STEP && OK && !D.fenced && !D.term && D.engine == OPEN && !UNREST ->
		D.pc = REPLAN }
	:: atomic { D.pc == CHECKPOINT ->
		T(CHECKPOINT);
		if
#ifndef NO_LOCK
		:: G.lock != ME -> leave()
#endif
#ifndef NO_CHECKPOINT
		:: (G.lock == ME) && G.check_token > D.token -> leave()
#endif
		:: else ->
			assert(D.token >= G.check_token);
			G.check_token = D.token;
			forget(D.op);
#ifdef NO_LOOK_BEFORE_UNMARK
			D.pc = ((ACTIVE(D.task) && !D.why) -> TX_UNMARK : REPLAN)
#else
			D.pc = REPLAN
#endif
		fi
	}
	:: atomic { IN_TX(TX_UNMARK) ->
		T(UNMARK); commit(); set_task(PEND);
		if :: O.st == GATE -> set_state(RUN) :: else fi;
#ifdef NO_LOOK_BEFORE_UNMARK
		then((D.why -> TX_BACK : REPLAN))
#else
		then((D.why -> TX_BACK : RECHECK))
#endif
	}
	:: atomic { D.pc == REPLAN ->
		T(REPLAN);
		if
#ifndef NO_REPLAN
		:: O.applied -> D.pc = TX_DONE
#endif
		:: else ->
			if
			:: D.why == BY_BUDGET -> D.pc = TX_EXPIRE; close_engine()
			:: D.why == BY_STOP || D.why == BY_CANCEL ->
				D.pc = TX_HALTED; close_engine()
			:: D.why == BY_TERM -> D.pc = CLOSE
			:: !D.why && ACTIVE(D.task) -> D.pc = TX_UNMARK
			:: !D.why && !ACTIVE(D.task) -> D.pc = RECHECK
			fi
		fi
	}
	:: atomic { D.pc == RECHECK && OK ->
#ifdef NO_RECHECK
		D.pc = TX_MARK
#else
		T(RECHECK);
		obey();
		if :: D.pc == NOTHING_ASKED -> D.pc = TX_MARK :: else fi
#endif
	}
	:: atomic { IN_TX(TX_MARK) ->
		T(MARK);
		commit();
		assert(O.task == PEND); /* a finished task is never run again */
		set_task(RUN);
		if :: O.st != RUN -> set_state(RUN) :: else fi;
		then(START)
	}
	/* The effect: from here on the server works for us. */
	:: atomic { D.pc == START ->
		T(ENGINE_START);
		if
#ifndef NO_FENCED_START
		:: D.fenced -> leave()
#endif
		:: else ->
			if
			:: LOCK_KEPT ->
				assert(!UNREST || O.late);
				assert(!REST(O.st) || O.unsure);
				assert(D.token >= G.check_token);
				assert(G.stmt != RUNNING);
				assert(!O.applied);
#ifndef UNCOUNTED
				O.tries++;
				assert(O.tries <= 1 + BUDGET + DEATHS_FREE);
#endif
				G.stmt = RUNNING
			:: else
			fi;
			D.engine = WORK;
			D.pc = STEP
		fi
	}
	:: atomic { IN_TX(TX_DONE) ->
		T(FINISH);
		commit();
		assert(O.applied);
		set_task(DONE);
		come_to_rest(DONE);
		if :: D.pc != END_REQUESTS -> then(CLOSE) :: else fi
	}
	:: atomic { IN_TX(TX_GATE) ->
		T(GATE); commit(); set_task(GATE); set_state(GATE);
		O.deaths = 0; O.tries = 0; then(STEP)
	}
	:: atomic { IN_TX(TX_RETRY) ->
		T(FAIL_RETRYABLE);
		commit(); set_task(RETRY); set_state(RETRY);
		then(LEFT)
	}
	:: atomic { IN_TX(TX_AWAY) ->
		T(TARGET_FAILED);
		commit();
		if
		:: O.start && MAY_STOP_AGAIN ->
			T(STOP_AGAIN);
			O.start = 0; set_task(STOPPED); set_state(STOPPED); end_requests(STOPPED)
		:: else -> set_state(RETRY)
		fi;
		then(LEFT)
	}
	:: atomic { IN_TX(TX_FAIL) ->
		T(FAIL);
		commit(); set_task(FAILED); come_to_rest(FAILED);
		if :: D.pc != END_REQUESTS -> then(LEFT) :: else fi
	}
	:: atomic { IN_TX(TX_EXPIRE) ->
		T(GIVE_UP);
		commit();
		if :: ACTIVE(O.task) && D.why != BY_BUDGET -> O.unsure = 1 :: else fi;
		set_task(FAILED); come_to_rest(FAILED);
		if :: D.pc != END_REQUESTS -> then(LEFT) :: else fi
	}

	/* ---- halting ---- */
	:: atomic { D.pc == HALT ->
		if
		:: D.engine == WORK && G.lock == ME && G.stmt == R_DONE ->
			T(ENGINE_STOP); D.pc = TX_DONE
		:: D.engine == WORK && G.lock == ME && G.stmt == RUNNING ->
			T(ENGINE_STOP); G.stmt = NOTHING
		:: D.engine == WORK && G.lock == ME && G.stmt != R_DONE && G.stmt != RUNNING ->
			T(ENGINE_STOP); D.pc = CLOSE
		:: D.engine == WORK && G.lock != ME -> T(ENGINE_STOP);
#ifdef NO_LOOK_AFTER_LOSS
			D.pc = CLOSE
#else
			D.engine = NONE; D.pc = EVICT
#endif
#ifdef NO_LOOK_BEFORE_HALT
		:: D.engine == OPEN -> D.pc = CLOSE
#else
		:: D.engine == OPEN -> D.pc = (ACTIVE(D.task) -> EVICT : CLOSE)
#endif
		:: D.engine == NONE && ACTIVE(D.task) && D.why != BY_TERM ->
#ifdef NO_QUIESCE
			D.pc = CLOSE
#else
			D.pc = EVICT
#endif
		:: D.engine == NONE && !(ACTIVE(D.task) && D.why != BY_TERM) -> D.pc = CLOSE
		fi
	}
	/* What a dead driver left running ends here, and its lock is ours. */
	:: atomic { D.pc == EVICT ->
		if
		:: T(EVICT);
			if
			:: G.lock != 0 && G.stmt == RUNNING -> G.stmt = NOTHING
			:: else -> G.stmt = NOTHING
			fi;
			G.lock = ME; D.engine = OPEN; D.pc = CHECKPOINT
#ifdef AWAY
		:: E(TARGET_AWAY);
			if
			:: D.why == BY_BUDGET -> O.unsure = (O.unsure || O.token == D.token);
				D.pc = TX_EXPIRE
			:: else -> D.pc = TX_AWAY
			fi
#endif
		fi
	}
	:: atomic { D.pc == CLOSE ->
		T(ENGINE_CLOSE);
		i = (D.engine != NONE);
		close_engine();
		if
		:: SETTLED(D.st) || !D.why -> D.pc = LEFT
		:: !SETTLED(D.st) && D.why == BY_TERM && i && ACTIVE(D.task) ->
			D.pc = TX_UNMARK
		:: !SETTLED(D.st) && D.why == BY_TERM && !(i && ACTIVE(D.task)) ->
			D.pc = TX_BACK
		:: !SETTLED(D.st) && D.why && D.why != BY_TERM -> D.pc = TX_HALTED
		fi;
		i = 0
	}
	:: atomic { IN_TX(TX_HALTED) ->
		T(HALTED);
		commit();
		O.tries = 0;
		if
		:: D.why == BY_STOP ->
			if :: O.task != STOPPED -> set_task(STOPPED) :: else fi;
			come_to_rest(STOPPED)
		:: else ->
			assert(!O.applied);
			set_task(CANCELLED); come_to_rest(CANCELLED)
		fi;
		if :: D.pc != END_REQUESTS -> then(LEFT) :: else fi
	}
	:: atomic { IN_TX(TX_BACK) ->
		T(HAND_BACK);
		commit(); O.owner = 0; O.claim = DUE; O.window = 0; O.tries = 0;
		then(LEFT)
	}

	/* ---- forward requests ---- */
	:: atomic { IN_TX(TX_STARTED) ->
		T(SERVE_START); commit(); O.start = 0; then(STEP) }
	/* The one effect that is made while the row is locked. */
	:: atomic { IN_TX(TX_CUTOVER) ->
		if
#ifndef NO_CUTOVER_LOOK
		:: UNREST -> T(CUTOVER_WITHHELD); unlock_row(); D.pc = STEP
#endif
		:: else -> D.pc = CALL_CUTOVER
		fi
	}
	:: atomic { D.pc == CALL_CUTOVER ->
		T(CUTOVER);
		if
		:: G.lock == ME && G.stmt == AT_GATE ->
			assert(!UNREST || !D.held);
			assert(!REST(O.st) || O.unsure);
			assert(!O.applied);
			O.applied = 1;
			G.stmt = R_DONE
		:: else
		fi;
		D.pc = (D.held -> CUTOVER_SENT : RELOAD)
	}
	:: atomic { OK && D.held && D.pc == CUTOVER_SENT ->
		T(SERVE_CUTOVER); commit(); O.cutover = 0; then(STEP) }

	/* ---- the ends ---- */
	:: atomic { D.pc == END_REQUESTS && OK -> end_requests(O.st); D.pc = LEFT }
	:: atomic { D.pc == RELOAD && OK ->
		T(RELOAD);
		if
		:: O.token != D.token -> leave()
		:: else ->
			D.st = O.st; D.task = O.task;
			if
#ifndef NO_RELOAD_LOOK
			:: O.owner != ME -> D.pc = CLOSE; D.why = 0
#endif
			:: else ->
				/* A failure that storage did not take is tried again at once. */
				if :: D.why -> close_engine() :: else fi;
				if :: D.engine == NONE -> O.tries = 0 :: else fi;
				D.why = 0;
				D.pc = (D.prepared -> STEP : PREPARE)
			fi
		fi
	}
	:: atomic { D.pc == LEFT ->
		T(SLOT_CLEAR);
		i = D.op;
		D.slot_op = 0; D.slot_token = 0;
		if
		:: D.term -> die()
		:: else ->
			D.pc = IDLE; D.op = 0; D.token = 0; D.st = 0; D.task = 0; D.why = 0;
			D.fenced = 0; D.prepared = 0; D.over = 0; D.engine = NONE
		fi;
		forget(i);
		i = 0
	}
	od
}

/* ---- the world around a driver --------------------------------------------------------- */

inline fence()
{
	D.fenced = 1;
	if :: G.lock == ME && G.stmt == RUNNING -> G.stmt = NOTHING :: else fi
}

#ifdef NO_BEAT_OWNER
#define BEATABLE true
#else
#define BEATABLE (O.owner != 0)
#endif
#define DRIVING (D.pc > CLAIMING && D.pc != NOTHING_ASKED)

proctype world(byte d)
{
	do
#ifdef CRASH
	:: atomic { D.pc > DEAD -> E(CRASH); die() }
#endif
#ifdef FREEZE
	/* The server ends a session that is silent within a transaction. */
#ifndef NO_TX_TIMEOUT
	:: atomic { D.held -> E(TX_TIMEOUT); unlock_row();
		if :: D.pc != CALL_CUTOVER -> D.pc = RELOAD :: else fi }
	:: atomic { D.pc == CLAIMING -> E(TX_TIMEOUT); O.locked = 0; D.pc = QUIT }
#endif
#endif
#ifdef CUTS
	:: atomic { DRIVING && OK ->
		E(CUT);
		D.health = CUT;
		if
		:: D.held -> unlock_row(); if :: D.pc != CALL_CUTOVER -> D.pc = RELOAD :: else fi
		:: else
		fi
	}
	:: atomic { D.health == CUT -> E(MEND); D.health = WELL }
	:: atomic { D.health == CUT && !D.fenced -> T(SELF_FENCE); fence() }
#endif
#ifdef SIGTERM
	:: atomic { DRIVING && OK && !D.term -> E(SIGTERM); D.term = 1 }
#endif
	:: atomic { DRIVING && OK && !D.fenced && O.locked == 0 && O.token == D.token &&
		((O.claim == DUE && BEATABLE) || D.over) ->
		T(HEARTBEAT);
		D.over = 0;
		if
		:: O.claim == DUE && BEATABLE -> O.claim = LATER; O.window = (O.owner != 0)
		:: else
		fi
	}
	:: atomic { DRIVING && OK && !D.fenced && O.token != D.token ->
		T(LEASE_LOST); fence() }
	od
}

/* ---- the clock: leases and backoffs run out --------------------------------------------- */

#ifdef NO_SELF_FENCE
#define BEATS(x, p) (drv[x].pc > CLAIMING && drv[x].op == p && \
	drv[x].token == op[p].token && !drv[x].fenced && drv[x].health == WELL)
#else
/* One that lives fences itself before its window is over. */
#define BEATS(x, p) (drv[x].pc > CLAIMING && drv[x].op == p && \
	drv[x].token == op[p].token && !drv[x].fenced)
#endif
#define OVER(x, p) \
	if \
	:: drv[x].pc > CLAIMING && drv[x].op == p && drv[x].token == op[p].token -> \
		drv[x].over = 1 \
	:: else \
	fi

#ifdef FREEZE
#define FROZEN(p) \
	:: atomic { op[p].claim == LATER && (BEATS(0, p) || BEATS(1, p)) -> \
		E(FROZEN); op[p].claim = DUE; op[p].window = 0; OVER(0, p); OVER(1, p) }
#else
#define FROZEN(p)
#endif

#define EXPIRE(p) \
	:: atomic { op[p].claim == LATER && !BEATS(0, p) && !BEATS(1, p) -> \
		E(EXPIRE); op[p].claim = DUE; op[p].window = 0 } \
	FROZEN(p)

proctype clock()
{
	do
	EXPIRE(0)
#if NOPS > 1
	EXPIRE(1)
#endif
	od
}

/* ---- the scheduler ------------------------------------------------------------------------ */

#define ALIVE_WITH(x, p, n) (drv[x].pc > CLAIMING && drv[x].op == p && drv[x].token == n)
#define NAMED(x) op[drv[x].slot_op - 1]
#ifdef NO_RECLAIM_OWNER
#define SAME_OWNER(x) true
#else
#define SAME_OWNER(x) (NAMED(x).owner == x + 1)
#endif
#ifdef NO_RECLAIM_TOKEN
#define SAME_TOKEN(x) true
#else
#define SAME_TOKEN(x) (NAMED(x).token == drv[x].slot_token)
#endif

/* The slot's lock proves its driver dead; the claim that it names is handed back. */
inline reclaim(x)
{
	T(RECLAIM);
	if
	:: NAMED(x).owner != 0 && NAMED(x).claim == LATER && SAME_OWNER(x) && SAME_TOKEN(x) ->
		assert(!ALIVE_WITH(0, drv[x].slot_op - 1, NAMED(x).token) &&
			!ALIVE_WITH(1, drv[x].slot_op - 1, NAMED(x).token));
		NAMED(x).claim = DUE; NAMED(x).window = 0
	:: else
	fi;
#ifdef QUICK /* nothing can come between the two steps that matters here */
	i = drv[x].slot_op; drv[x].slot_op = 0; drv[x].slot_token = 0;
	forget(i - 1);
	i = 0
#else
	sched_pc = 1;
	sched_slot = x
#endif
}

#ifdef NO_SLOT_LOCK
#define UNLOCKED(x) (drv[x].pc != IDLE)
#else
#define UNLOCKED(x) (drv[x].pc == DEAD)
#endif
#if NOPS > 1
#define SOME_DUE (op[0].claim == DUE || op[1].claim == DUE)
#else
#define SOME_DUE (op[0].claim == DUE)
#endif

#define TEND(x) \
	:: atomic { sched_pc == 0 && drv[x].slot_op != 0 && UNLOCKED(x) && NAMED(x).locked == 0 -> \
		reclaim(x) } \
	:: atomic { sched_pc == 0 && drv[x].slot_op == 0 && drv[x].pc == DEAD && SOME_DUE -> \
		T(SPAWN); drv[x].pc = IDLE }

proctype scheduler()
{
	do
	TEND(0)
	TEND(1)
	:: atomic { sched_pc == 1 ->
		T(SLOT_FREE);
		sched_pc = 0;
		i = drv[sched_slot].slot_op;
		drv[sched_slot].slot_op = 0;
		drv[sched_slot].slot_token = 0;
		if :: i > 0 -> forget(i - 1) :: else fi;
		i = 0;
		sched_slot = 0
	}
#ifdef CRASH
	:: atomic { sched_pc == 1 -> E(CRASH_SCHEDULER); sched_pc = 0; sched_slot = 0 }
#endif
	od
}

/* ---- the reaper ----------------------------------------------------------------------------- */

#ifdef NO_REAP_UNOWNED
#define REAPABLE(p) (op[p].st == RETRY && op[p].locked == 0)
#else
#define REAPABLE(p) (op[p].st == RETRY && op[p].locked == 0 && op[p].owner == 0)
#endif

/* No retries left, or the last failure is a day old, which may be so at any time. */
#define REAP(p) \
	:: atomic { reaper_pc == 0 && REAPABLE(p) -> \
		T(REAP); \
		assert(!op[p].window); \
		op[p].token++; op[p].owner = REAPER; op[p].claim = LATER; op[p].window = 1; \
		reaper_pc = 1; reaper_op = p; reaper_token = op[p].token; \
		forget(p) }

#define V op[reaper_op]
#ifdef NO_FENCE
#define REAPER_HOLDS true
#else
#define REAPER_HOLDS (V.token == reaper_token)
#endif

proctype reaper()
{
	do
	REAP(0)
#if NOPS > 1
	REAP(1)
#endif
	:: atomic { reaper_pc == 1 && V.locked == 0 ->
		T(EXPIRE_RETRIES);
		if
		:: REAPER_HOLDS ->
			assert(V.token == reaper_token);
			assert(!SETTLED(V.st) && !SETTLED(V.task));
			if :: ACTIVE(V.task) -> V.unsure = 1 :: else fi;
			V.task = FAILED; V.st = FAILED; V.claim = NEVER; V.owner = 0;
			V.window = 0; V.stop = 0; V.start = 0; V.cancel = 0; V.cutover = 0
		:: else
		fi;
		reaper_pc = 0; i = reaper_op; reaper_op = 0; reaper_token = 0;
		forget(i); i = 0
	}
#ifdef CRASH
	:: atomic { reaper_pc == 1 -> E(CRASH_REAPER); reaper_pc = 0; i = reaper_op;
		reaper_op = 0; reaper_token = 0; forget(i); i = 0 }
#endif
	od
}

/* ---- operators -------------------------------------------------------------------------------- */

#define AT_CALL(x, p) (drv[x].op == p && (drv[x].pc == TX_MARK || drv[x].pc == START))
#define LATE(p) ((op[p].stop || op[p].cancel) -> op[p].late : (AT_CALL(0, p) || AT_CALL(1, p)))

inline submitted(P)
{
	if
	:: op[P].owner == 0 -> op[P].claim = DUE; op[P].window = 0
	:: else
	fi
}

#define OPERATOR(p) \
	STOPS(p) \
	CANCELS(p) \
	STARTS(p) \
	CUTOVERS(p)

#ifdef STOPPING
#define STOPS(p) \
	:: atomic { op[p].locked == 0 && !op[p].stop && !REST(op[p].st) -> \
		T(SUBMIT_STOP); op[p].late = LATE(p); op[p].stop = 1; submitted(p) }
#define STARTS(p) \
	:: atomic { op[p].locked == 0 && !op[p].start && !op[p].stop && !op[p].cancel && \
		op[p].st == STOPPED -> \
		T(SUBMIT_START); op[p].start = 1; submitted(p) }
#else
#define STOPS(p)
#define STARTS(p)
#endif
#ifdef CANCELLING
#define CANCELS(p) \
	:: atomic { op[p].locked == 0 && !op[p].cancel && !SETTLED(op[p].st) -> \
		T(SUBMIT_CANCEL); op[p].late = LATE(p); op[p].cancel = 1; submitted(p) }
#else
#define CANCELS(p)
#endif
#ifdef GATES
#define CUTOVERS(p) \
	:: atomic { op[p].locked == 0 && !op[p].cutover && !op[p].stop && !op[p].cancel && \
		op[p].st == GATE -> \
		T(SUBMIT_CUTOVER); op[p].cutover = 1; submitted(p) }
#else
#define CUTOVERS(p)
#endif

#if defined(STOPPING) || defined(CANCELLING) || defined(GATES)
proctype operator()
{
	do
	OPERATOR(0)
#if NOPS > 1
	OPERATOR(1)
#endif
	od
}
#endif

/* ---- the target's server ------------------------------------------------------------------------ */

inline let_go(P)
{
	if :: tgt[P].lock == ORPHAN -> tgt[P].lock = 0; tgt[P].stmt = NOTHING :: else fi
}

inline executed(P)
{
	assert(!op[P].applied);			   /* nothing is done twice */
	assert(!REST(op[P].st) || op[P].unsure); /* nor after we said that it is over */
	op[P].applied = 1;
	tgt[P].stmt = R_DONE;
	let_go(P)
}

#ifdef GATES
#define DDL_DONE(p) \
	:: atomic { tgt[p].stmt == RUNNING && tgt[p].lock != ORPHAN -> \
		E(AT_THE_GATE); tgt[p].stmt = AT_GATE }
#else
#define DDL_DONE(p) \
	:: atomic { tgt[p].stmt == RUNNING -> E(DDL_DONE); executed(p) }
#endif
#ifdef LINK_LOST
#define LINK(p) \
	:: atomic { tgt[p].lock != 0 && tgt[p].lock != ORPHAN -> E(LINK_LOST); tgt[p].lock = ORPHAN }
#else
#define LINK(p)
#endif

#ifdef FAULTLESS_DDL
#define FAILS(p)
#else
#define FAILS(p) \
	:: atomic { tgt[p].stmt == RUNNING -> E(DDL_RETRYABLE); tgt[p].stmt = R_RETRY; let_go(p) } \
	:: atomic { tgt[p].stmt == RUNNING -> E(DDL_FAILED); tgt[p].stmt = R_FAILED; let_go(p) }
#endif

#define SERVER(p) \
	DDL_DONE(p) \
	LINK(p) \
	FAILS(p) \
	:: atomic { tgt[p].lock == ORPHAN && tgt[p].stmt != RUNNING -> \
		E(CONNECTION_ENDS); tgt[p].lock = 0; tgt[p].stmt = NOTHING }

proctype server()
{
	do
	SERVER(0)
#if NOPS > 1
	SERVER(1)
#endif
	od
}

/* ---- what must always be true ---------------------------------------------------------------------- */

#define OWNS(x, p) (drv[x].pc > CLAIMING && drv[x].op == p && drv[x].token == op[p].token)
#define PENDING(p) (op[p].stop || op[p].start || op[p].cancel || op[p].cutover)

/* 8.2: two drivers never both own an operation. */
#define ONE_OWNER(p) (!(OWNS(0, p) && OWNS(1, p)))
/* 8.3: claimable or owned; what nobody owns and nobody held back is due at once. */
#define CLAIMED_IN_TIME(p) \
	((REST(op[p].st) || op[p].claim != NEVER) && \
	 (REST(op[p].st) || op[p].st == RETRY || op[p].owner != 0 || op[p].claim == DUE))
/* 8.4: what is settled is out of the queue. */
#define SETTLED_RESTS(p) (!SETTLED(op[p].st) || (op[p].claim == NEVER && op[p].owner == 0))
/* 8.6: an acknowledged request will be looked at, until it has ended. */
#define ASKED_IS_HEARD(p) (!PENDING(p) || (!SETTLED(op[p].st) && op[p].claim != NEVER))
/* A dead driver's claim is in its slot file: recovery need not wait for the lease. */
#define SLOT_TELLS(x, p) \
	(!(op[p].owner == x + 1 && op[p].claim == LATER && drv[x].pc == DEAD) || \
	 (drv[x].slot_op == p + 1 && drv[x].slot_token == op[p].token))

#define HOLDS(p) (ONE_OWNER(p) && CLAIMED_IN_TIME(p) && SETTLED_RESTS(p) && \
	ASKED_IS_HEARD(p) && SLOT_TELLS(0, p) && SLOT_TELLS(1, p))

proctype monitor()
{
	atomic { !HOLDS(0) -> assert(ONE_OWNER(0)); assert(CLAIMED_IN_TIME(0));
		assert(SETTLED_RESTS(0)); assert(ASKED_IS_HEARD(0)); assert(HOLDS(0)) }
}

init
{
	atomic {
#ifdef SAME
		op[1].st = STOPPED; op[1].task = STOPPED; op[1].claim = NEVER;
#endif
		run drive(0); run drive(1); run world(0); run world(1);
		run clock(); run scheduler(); run reaper(); run server();
#if defined(STOPPING) || defined(CANCELLING) || defined(GATES)
		run operator();
#endif
		run monitor()
	}
}
