/*
 * why.h - why an operation does or does not move, from what decides about it: a table of
 * situations and one of states, and the sentences they make together.
 *
 * Used by why.c, which reads the facts and answers GET /api/why/{apply_id}. Pure.
 *
 * Must never: guess. What the facts do not say is not said.
 */
#ifndef SB_FCGI_WHY_H
#define SB_FCGI_WHY_H

#include <stdint.h>

#include "core/model/model.h"

/* Due for longer than this, and nobody claims it: something is wrong. */
#define WHY_OVERDUE_MS 15000

/* What the order of the rollout says about an operation. */
enum why_hold {
	WHY_FREE,
	WHY_HELD,   /* a sibling comes first */
	WHY_PAUSED, /* a sibling has failed, and an operator decides */
	WHY_HALTED, /* a sibling has failed or was ended, and nothing more begins */
};

/*
 * claim: what the one claim clause, `claim_after <= NOW(6)`, says in this situation:
 * YES it matches, NO not now, NEVER claim_after is NULL.
 */
#define WHY_SITUATIONS(X)                                                                  \
	X(SETTLED, "settled", NEVER, "")                                                   \
	X(STOPPED, "stopped", NEVER, "")                                                   \
	X(HELD, "held", NEVER, "")                                                         \
	X(PAUSED, "paused", NEVER, "POST /api/release, /api/stop or /api/cancel.")         \
	X(HALTED, "halted", NEVER, "")                                                     \
	X(UNRELEASED, "unreleased", NEVER, "See that schemabot-reaper runs (cron).")       \
	X(CONTRADICTION, "contradiction", NEVER,                                           \
	  "This is a mistake of ours: see schemabot-reaper's log and report it.")          \
	X(DRIVEN, "driven", NO, "")                                                        \
	X(DIED, "driver_died", YES, "")                                                    \
	X(DUE, "due", YES, "")                                                             \
	X(OVERDUE, "overdue", YES,                                                         \
	  "See that schemabot-scheduler runs on some host (cron), and raise `drivers` if " \
	  "all of its drivers are busy.")                                                  \
	X(RETRYING, "retrying", NO, "")                                                    \
	X(PARKED, "parked", NO, "")                                                        \
	X(WAITING, "waiting", NO, "")

enum why_situation {
#define X(name, wire, claim, next) WHY_IS_##name,
	WHY_SITUATIONS(X)
#undef X
		WHY_SITUATION_COUNT
};
const char *why_situation_name(enum why_situation s);

struct why_facts {
	enum state state;
	bool stamped;		    /* claim_after is not NULL */
	int64_t due_ms;		    /* until claim_after; negative: past */
	const char *due_at, *owner; /* RFC 3339; NULL */
	const char *error, *detail; /* NULL */
	int attempt;
	enum why_hold hold;
	const char *blocker; /* the deployment that holds it, or keeps its gate shut */
	enum state blocker_state;
	const char *policy; /* cutover_policy */
	bool gate_shut;	    /* barrier: not its turn to cut over */
	bool defers;	    /* its cutover waits for an operator */
	bool asked;	    /* a request waits that it has to obey */
};

enum why_situation why_judge(const struct why_facts *f);
/* Whole sentences, from ctx. why_next(): what a person can do, "" for nothing. */
char *why_sentence(TALLOC_CTX *ctx, const struct why_facts *f);
char *why_clause(TALLOC_CTX *ctx, const struct why_facts *f);
const char *why_next(const struct why_facts *f);
bool why_claimable(const struct why_facts *f);

/* Why a request waits, when this is the operation that has to obey it. */
char *why_request(TALLOC_CTX *ctx, enum control control, bool stop_pending,
		  const struct why_facts *f);

#endif
