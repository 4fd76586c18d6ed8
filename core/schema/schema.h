/*
 * schema.h - declarative planning: the schema somebody wants against the schema there is.
 *
 * Called by the plan and pull handlers, by the driver (what is still to be done?) and
 * by storage convergence. Desired files are loaded into a scratch schema on the target's
 * own server, so that the server is the parser; live and desired are introspected the
 * same way, compared structurally, and every statement is proved on an empty copy of the
 * live table before it is offered.
 *
 * Must never: change anything outside a scratch schema of its own, report a table that
 * could not be read as one that is gone, or see our storage.
 */
#ifndef SB_SCHEMA_SCHEMA_H
#define SB_SCHEMA_SCHEMA_H

#include "core/base/config.h"
#include "engines/engine.h"

/* ---- input ---------------------------------------------------------------------- */

struct schema_file {
	const char *name; /* "orders.sql": for messages */
	const char *sql;  /* exactly one CREATE TABLE */
};

/* One namespace, complete: a live table without a file is a DROP. */
struct schema_namespace {
	const char *name;   /* as in requests */
	const char *schema; /* on the server */
	const struct schema_file *files;
	size_t n_files;
};

/* ---- result --------------------------------------------------------------------- */

struct schema_change {
	const char *namespace, *table;
	const char *ddl;    /* one statement, unqualified names, no trailing semicolon */
	const char *action; /* create, alter, drop */
	bool is_unsafe;
	const char *unsafe_reason;  /* "" when safe */
	const char *execution_mode; /* engine_verdict */
	const char *mode_reason;
	enum engine_algorithm algorithm;
	enum engine_cost cost;
	enum engine_algorithm natively;	 /* engine_verdict */
	int64_t table_rows, table_bytes; /* the server's estimate; -1 = unknown */
};

struct schema_lint {
	const char *message, *table, *column;
	const char *linter;   /* id of a rule: rules.def */
	const char *severity; /* error, warning, info */
	const char *fix_type; /* "" or what kind of fix would help */
};

/* A table of the live schema as it was when the plan was made. */
struct schema_original {
	const char *namespace, *table;
	const char
		*create_sql; /* SHOW CREATE TABLE, normalized: no AUTO_INCREMENT value */
	const char *deployment; /* whose it is; NULL: there is only one */
};

/* What an additive plan leaves as it is, although the files say otherwise. */
struct schema_refusal {
	const char *namespace, *table;
	const char *operation; /* drop_column, modify_column, drop_table, ... */
	const char *scope;     /* split: the rest of the table's change is planned;
				  whole: nothing else was to be done */
	const char *statement; /* what would have been needed */
};

struct schema_plan {
	const struct schema_change *changes; /* in an order that can be executed */
	size_t n_changes;
	const struct schema_lint *lint;
	size_t n_lint;
	const char *const *errors; /* a plan with errors cannot be applied */
	size_t n_errors;
	const struct schema_original *originals; /* all tables of the namespaces */
	size_t n_originals;
	const struct schema_refusal *refused; /* additive plans only */
	size_t n_refused;
	enum db_flavor flavor; /* of the target; unknown in a plan that was stored */
};

struct schema_plan_options {
	bool skip_verification; /* the driver's re-plan: only the difference is wanted */
	bool additive; /* our own storage: nothing is dropped or narrowed, see additive.h
			*/
	const struct engine *engine;	 /* judges each statement; NULL = no verdicts */
	enum engine_algorithm algorithm; /* AUTO, or a forced one */
	struct engine_direct direct;	 /* tables that may be changed under a lock */
	int keep_drops_hours; /* a dropped table is moved away for so long; 0 = not */
	/* Where scratch schemas are made and statements tried; NULL = on the target. */
	const struct db_params *workspace;
	const struct config_lint *lint; /* the database's levels; NULL = the rules' own */
	size_t n_lint;
};

/* What an environment says about changes that make writes wait; of NULL: nothing. */
struct engine_direct schema_direct_policy(const struct config_environment *e);

/*
 * Compare and plan. `target` is used for two connections of its own, or with a workspace
 * for one that only reads. *out belongs to ctx.
 * What is wrong with a file (does not parse, two statements, a view, a table twice) is an
 * entry in errors, not -1. -1: SB_EUNAVAILABLE / SB_ERETRY (server away), SB_EENGINE
 * (missing privilege, said precisely), SB_EINVALID (a file name or namespace that cannot
 * be).
 */
int schema_plan(TALLOC_CTX *ctx, const struct db_params *target,
		const struct schema_namespace *namespaces, size_t n_namespaces,
		const struct schema_plan_options *options, struct schema_plan **out,
		struct sb_err *err) MUST_CHECK;

/* The live tables of one schema, ordered by name, byte-wise: the normalized CREATE
 * statements of `tables`, and NULL for all others. */
int schema_read_names(TALLOC_CTX *ctx, struct db *db, const char *namespace,
		      const char *schema, const char *const *tables, size_t n_tables,
		      struct schema_original **out, size_t *n,
		      struct sb_err *err) MUST_CHECK;

/* What was done to a table meanwhile, given two CREATE statements of it: an ALTER, of
 * ctx. NULL when no clause says it. */
char *schema_drift(TALLOC_CTX *ctx, const char *was, const char *is,
		   enum db_flavor flavor);

/* The same with the normalized CREATE statements of all of them. */
int schema_read_live(TALLOC_CTX *ctx, struct db *db, const char *namespace,
		     const char *schema, struct schema_original **out, size_t *n,
		     struct sb_err *err) MUST_CHECK;

/*
 * Drop scratch schemas that a crashed process left behind: ours by name, at least
 * max_age_seconds old by the server's clock, and not in use (whoever uses one holds a
 * server lock of its name, so that 0 is a safe age). Returns how many were dropped, or
 * -1.
 */
int schema_drop_leftovers(struct db *db, int max_age_seconds,
			  struct sb_err *err) MUST_CHECK;

#define SCHEMA_SCRATCH_PREFIX "_schemabot_"
#define SCHEMA_MAX_IDENTIFIER 64 /* characters; both servers */

#endif
