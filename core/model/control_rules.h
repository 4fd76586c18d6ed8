/*
 * control_rules.h - which state allows which request: a table, and the words for a
 * refusal.
 *
 * Asked by control_submit() under the apply's row lock, and by the driver before it acts.
 * Pure.
 */
#ifndef SB_MODEL_CONTROL_RULES_H
#define SB_MODEL_CONTROL_RULES_H

#include "core/model/model.h"

enum control_verdict {
	CONTROL_ALLOWED,
	CONTROL_DONE,	 /* the apply is already where the request would lead */
	CONTROL_REFUSED, /* err says which states allow it */
};

/* pending_stop, pending_cancel: such a request waits; both outrank everything else. */
enum control_verdict control_judge(enum control control, enum state state,
				   bool pending_stop, bool pending_cancel,
				   unsigned engine_caps, struct sb_err *err);

#endif
