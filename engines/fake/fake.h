/*
 * fake.h - what the files of the fake engine share; for nobody else. README.md tells what
 * it is and the language of its script.
 *
 * engine.c has the operations, call.c what every call has in common (script, fence, lock,
 * journal), remote.c the change on the other side. Test builds only.
 */
#ifndef SB_ENGINES_FAKE_H
#define SB_ENGINES_FAKE_H

#include <json-c/json.h>
#include <stdatomic.h>

#include "engines/engine.h"

struct engine_run {
	const struct engine *engine;
	char *dir; /* the remote side: $SB_FAKE */
	char *apply_id, *operation, *deployment;
	uint64_t token;
	struct db_params target;
	struct engine_options options;
	const struct engine_work *work; /* of the last start or attach */
	char *reference;		/* the change that work is, NULL = none yet */
	atomic_bool fenced;
};

/* ---- call.c: one call to the remote side ------------------------------------------- */

struct fake_call {
	struct engine_run *run;
	const char *name;
	const struct engine_work *work; /* whose tables the call is about */
	bool mutating;
	struct json_object *rules;  /* those of the script that fire, in order */
	struct json_object *record; /* what the remote side knows of the operation */
	struct json_object *entry;  /* of the journal */
	int lock_fd;
};

/* Ask the script, wait where it says so, take the record's lock and show the token. 0, or
 * -1 when the call ends here: refused by the script, or the token is not the highest. */
int fake_call_begin(struct fake_call *c, struct sb_err *err);
/* Write the record and the journal, let go. rc and *err are what the operation came to;
 * returns what the caller sees, which the script may have made something else. */
int fake_call_end(struct fake_call *c, int rc, struct sb_err *err);

/* The member of the first firing rule that has it, or NULL. */
struct json_object *fake_rule(const struct fake_call *c, const char *key);
bool fake_told(const struct fake_call *c, const char *key); /* true there */
/* Is the change held at this phase, its gate not yet released? */
bool fake_held(const struct fake_call *c, const char *phase);
/* Fill *err as the script's "mysql:1205", "http:503", "curl:28" or "SB_ERETRY" says. */
void fake_error(const char *spec, bool mutating, struct sb_err *err);

/* ---- remote.c: the change there ------------------------------------------------------
 */

/* The change that the run refers to, borrowed from the record, or NULL. */
struct json_object *fake_change(const struct fake_call *c);
void fake_change_create(struct fake_call *c);
void fake_change_forget(struct fake_call *c);
const char *fake_phase(struct json_object *change);
/* What ended it before its last phase ("stopped", "cancelled", "failed"), "" = nothing.
 */
const char *fake_ended(struct json_object *change);
void fake_end_as(struct json_object *change, const char *how);
/* One step on, where nothing holds it; entering a phase that shows the result executes
 * the statements on the target. */
void fake_advance(struct fake_call *c, struct json_object *change);
/* To the end now. */
void fake_complete(struct fake_call *c, struct json_object *change);
/* To the phase, which must be one of its phases; 0 or -1. */
int fake_go_to(struct json_object *change, const char *phase);
/* Put the tables back as they were when it began. */
void fake_undo(struct fake_call *c, struct json_object *change);

#endif
