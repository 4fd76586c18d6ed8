/*
 * drops.h - dropping a table by moving it aside, and dropping it for good later.
 *
 * With `pending_drops` a DROP TABLE is a rename into `_schemabot_drops`, which takes no
 * longer, destroys nothing, and can be undone by renaming back. Called by the worker
 * (exec.c); the cleaner is called by the tidier (tidy.c).
 *
 * Must never: drop a table whose name there is not exactly of our form, or move one that
 * others refer to (their foreign keys would follow it).
 */
#ifndef SB_ENGINES_MYSQL_DROPS_H
#define SB_ENGINES_MYSQL_DROPS_H

#include "engines/engine.h"

/* Does the table exist? 1, 0, -1 when the server did not say. */
int mysql_table_exists(struct db *db, const char *schema, const char *table,
		       struct sb_err *err) MUST_CHECK;

/* Make the quarantine where it is not there, and look whether the table may be moved:
 * SB_EENGINE says what refers to it, or which triggers it has. */
int mysql_drops_prepare(struct db *db, const char *schema, const char *table,
			struct sb_err *err) MUST_CHECK;

/* The name under which the table would be kept from now on (the server's clock) and the
 * statement that moves it there, both from ctx. */
int mysql_drops_statement(TALLOC_CTX *ctx, struct db *db, const char *schema,
			  const char *table, char **name, char **sql,
			  struct sb_err *err) MUST_CHECK;

/* The moved table's own foreign keys bind nobody's rows any more. Repeated by the cleaner
 * when it was missed. */
int mysql_drops_release(struct db *db, const char *name, struct sb_err *err) MUST_CHECK;

/* Drop what is older than so many hours, at most `batch`, holding the target's cleaner
 * lock. Counts go into *out. */
int mysql_drops_clean(struct db *db, int retention_hours, int batch,
		      struct engine_tidied *out, struct sb_err *err) MUST_CHECK;

#endif
