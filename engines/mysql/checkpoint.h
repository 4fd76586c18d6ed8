/*
 * checkpoint.h - rows of `_schemabot_state`.`checkpoints` on a target: who works, or has
 * worked, on which table, signed with the lease token.
 *
 * Written by open() while it holds the table's advisory lock, so that of two drivers the
 * one with the older token is refused on the target itself, whatever its clock, its
 * storage connection or its luck say. The row goes when the table's task is completed or
 * cancelled, and stays otherwise: it is what a later driver resumes from, and the proof
 * that what lies beside the table is ours. The tidier removes rows of settled operations.
 *
 * Must never: be written without the table's lock, or be replaced by an older token of
 * the same operation.
 */
#ifndef SB_ENGINES_MYSQL_CHECKPOINT_H
#define SB_ENGINES_MYSQL_CHECKPOINT_H

#include "engines/engine.h"

/* Sign the tables of all tasks, in one transaction, making our schema there when they are
 * the first. SB_ELEASE when a newer token of this operation has signed one: then none
 * was. The caller holds the tables' locks on `db`. */
int mysql_checkpoint_write(struct db *db, const struct engine_request *request,
			   struct sb_err *err) MUST_CHECK;

/*
 * Store how far the work is, or NULL: there is nothing to take up again. Under our token
 * only: SB_ELEASE when the row has another. Signing again for the same operation keeps
 * it, for another clears it; of which statement it is, it has to say itself.
 */
int mysql_checkpoint_save(struct db *db, const char *operation, uint64_t token,
			  const char *schema, const char *table, const char *progress,
			  struct sb_err *err) MUST_CHECK;
/* What was stored, of ctx; NULL = nothing. The caller has signed the table. */
int mysql_checkpoint_load(TALLOC_CTX *ctx, struct db *db, const char *schema,
			  const char *table, char **progress,
			  struct sb_err *err) MUST_CHECK;

/*
 * The table's lock is held by somebody else. 1: by an earlier driver of this operation,
 * fenced by our newer token, whose connection executes nothing: it may be ended. 0: by
 * somebody to wait for. -1: SB_ELEASE when it is our successor who holds it; or the
 * server did not say.
 */
int mysql_checkpoint_holder(struct db *db, const struct engine_request *request,
			    const struct engine_task *task,
			    struct sb_err *err) MUST_CHECK;

/* The task is over. Only a row that this operation signed, with this token or an older
 * one. */
int mysql_checkpoint_remove(struct db *db, const char *operation, uint64_t token,
			    const char *schema, const char *table,
			    struct sb_err *err) MUST_CHECK;

struct mysql_checkpoint {
	char *schema, *table, *operation;
	uint64_t token;
};
/* Up to `limit` rows after (schema, table), ordered by them, from ctx; none when our
 * schema is not there. */
int mysql_checkpoint_list(TALLOC_CTX *ctx, struct db *db, const char *after_schema,
			  const char *after_table, int limit,
			  struct mysql_checkpoint **out, size_t *n,
			  struct sb_err *err) MUST_CHECK;

#endif
