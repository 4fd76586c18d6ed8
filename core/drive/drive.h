/*
 * drive.h - one operation's life, from a claim to the state it is left in.
 *
 * Called by the driver's main with a fresh claim, and by the reaper to give up a retry.
 * Everything written goes through lease transactions; everything done to a target goes
 * through an engine.
 *
 * Must never: record what it has not observed, call an engine for work that a re-plan has
 * not just confirmed, or keep working when the lease may be lost.
 */
#ifndef SB_DRIVE_DRIVE_H
#define SB_DRIVE_DRIVE_H

#include "core/base/config.h"
#include "core/store/operation.h"

enum drive_result {
	DRIVE_LOOKED,	 /* as PARKED, but the claim is not given back yet: the caller
			  * parks all that it claimed together */
	DRIVE_PARKED,	 /* the engine works without us; the claim is given back for a
			  * while */
	DRIVE_SETTLED,	 /* the row says what comes next; the claim is given back */
	DRIVE_UNCERTAIN, /* outcome unknown: nothing recorded, the next driver looks in a
			  * moment, or when the claim expires */
	DRIVE_LOST,	 /* somebody else owns it */
	DRIVE_HANDED_BACK, /* asked to end: claim given back, due now */
};

/* Told when this driver begins, or ceases, to do nothing but wait for a cutover. */
struct drive_idle {
	void (*fn)(void *arg, bool waiting);
	void *arg;
};

/* Drive until one of the above. db is the storage connection; *db is replaced when it has
 * to be opened anew. `idle` may be NULL. */
enum drive_result drive_operation(TALLOC_CTX *ctx, const struct config *config,
				  struct db **db, const struct claim *claim,
				  const struct drive_idle *idle);

/* Fail an operation that has run out of retries: pending tasks are cancelled, others
 * failed, the reason recorded. */
int drive_expire(TALLOC_CTX *ctx, struct db *db, const struct lease *lease, bool too_old,
		 struct sb_err *err) MUST_CHECK;

#endif
