/*
 * table.h - the original, its shadow, and what connects them.
 *
 * Called when a copy begins or is taken up again, and by planning, which asks whether a
 * copy would be possible.
 *
 * Must never: change the original, or touch a shadow that is not this apply's.
 */
#ifndef SB_ENGINES_MYSQL_COPY_TABLE_H
#define SB_ENGINES_MYSQL_COPY_TABLE_H

#include "engines/mysql/copy/copy.h"

/*
 * Make the shadow: the original's definition with the statement applied, empty, without
 * the indexes that are built after the copy. One that is there already under this name is
 * a leftover of this apply and is dropped first. `db` must hold the table's advisory
 * lock. -1: SB_EENGINE (refused: foreign keys, triggers, no key, …, each with a way out),
 * or what the statement itself fails with.
 */
int copy_table_create(TALLOC_CTX *ctx, struct db *db, const char *apply_id,
		      const struct engine_task *task, struct copy_table **out,
		      struct sb_err *err) MUST_CHECK;

/* The same for a shadow that is there: reads, makes nothing. 1, 0 when there is none. */
int copy_table_find(TALLOC_CTX *ctx, struct db *db, const char *apply_id,
		    const struct engine_task *task, struct copy_table **out,
		    struct sb_err *err) MUST_CHECK;

/* Only its names: for a question about what is there. */
int copy_table_names(TALLOC_CTX *ctx, const char *apply_id,
		     const struct engine_task *task, struct copy_table **out,
		     struct sb_err *err) MUST_CHECK;

/* For planning: *why there is no key that could drive a copy from one definition to the
 * other, of ctx; NULL = there is one. -1: a statement that no copy can carry out. */
int copy_table_key(const struct engine_task *task, const struct facts *original,
		   const struct facts *result, const char **why, TALLOC_CTX *ctx,
		   struct sb_err *err) MUST_CHECK;

/* Drop the shadow; it may be gone already. */
int copy_table_drop(struct db *db, const struct copy_table *t,
		    struct sb_err *err) MUST_CHECK;

/* Set up a connection of a copy: strict, but zero dates and zero AUTO_INCREMENT values
 * are kept as they are; short lock waits. */
int copy_session(struct db *db, struct sb_err *err) MUST_CHECK;

#endif
