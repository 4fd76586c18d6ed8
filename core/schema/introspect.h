/*
 * introspect.h - all tables of one schema, read from a server.
 *
 * Called for the live schema and for scratch schemas alike. Few queries for each schema
 * and one SHOW CREATE for each table.
 *
 * Must never: return a part of a schema. What cannot be read completely is an error, so
 * that nothing hidden or half-changed is taken for something that is gone.
 */
#ifndef SB_SCHEMA_INTROSPECT_H
#define SB_SCHEMA_INTROSPECT_H

#include "core/base/db.h"
#include "core/schema/table.h"

struct other_object { /* a view, a sequence, … */
	const char *name, *type;
};

struct schema_view {
	const char *schema;
	const char *charset, *collation; /* its defaults */
	bool fold_case;			 /* table names do not depend on case here */
	struct table **v;		 /* ordered by name, byte-wise */
	size_t n;
	struct other_object *others;
	size_t n_others;
};

/*
 * Read `schema`. *out belongs to ctx. Tables whose names begin with
 * SCHEMA_SCRATCH_PREFIX are ours and left out. -1: SB_ERETRY (server lost, or a table
 * changed meanwhile), SB_EENGINE (no such schema, missing privilege, or a table that
 * cannot be understood).
 */
int introspect(TALLOC_CTX *ctx, struct db *db, const char *schema,
	       struct schema_view **out, struct sb_err *err) MUST_CHECK;

/* What an engine has put beside a table is not part of the schema. */
bool introspect_is_ours(const char *name);

/* The names of all tables, and the definitions of these alone: the others have no
 * create_sql, and none has collations. As introspect() otherwise. */
int introspect_names(TALLOC_CTX *ctx, struct db *db, const char *schema,
		     const char *const *tables, size_t n, struct schema_view **out,
		     struct sb_err *err) MUST_CHECK;

/* Refuse an account from which tables of `schema` could be hidden (SB_EENGINE). */
int introspect_check_access(struct db *db, const char *schema,
			    struct sb_err *err) MUST_CHECK;

/* The server's estimates for one table; -1 = unknown. */
struct table_size {
	const char *name;
	int64_t rows, bytes;
};
int introspect_sizes(TALLOC_CTX *ctx, struct db *db, const char *schema,
		     const char *const *tables, size_t n_tables, struct table_size **out,
		     struct sb_err *err) MUST_CHECK;

/* NULL when there is no such table. */
struct table *view_table(const struct schema_view *view, const char *name);

#endif
