/*
 * scratch.h - schemas of our own on a target, in which statements are tried out.
 *
 * Called by plan.c. A scratch schema lives as long as one planning request. Its name
 * tells when it was made, and a server lock of the same name is held as long as somebody
 * uses it, so that leftovers of a crash are recognized for certain.
 *
 * Must never: drop a schema whose name is not exactly of our form.
 */
#ifndef SB_SCHEMA_SCRATCH_H
#define SB_SCHEMA_SCRATCH_H

#include "core/base/db.h"

struct scratch {
	const char *name;
	struct db *work;   /* its default schema is this one while it is used */
	struct db *keeper; /* holds the lock, and cleans up when `work` was lost */
};

/*
 * Create a schema with these defaults and make it the default of `work`. *out belongs to
 * ctx; freeing it drops the schema (a failure is logged and left to
 * schema_drop_leftovers). Free it before its connections.
 */
int scratch_create(TALLOC_CTX *ctx, struct db *work, struct db *keeper,
		   const char *charset, const char *collation, struct scratch **out,
		   struct sb_err *err) MUST_CHECK;

/* Make it the default schema of its working connection again. */
int scratch_use(struct scratch *s, struct sb_err *err) MUST_CHECK;

/* `text` with the scratch schema's name replaced by `schema`: for messages to people. */
char *scratch_hide(TALLOC_CTX *ctx, const struct scratch *s, const char *schema,
		   const char *text);

#endif
