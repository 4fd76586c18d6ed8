/*
 * planning.h - what every handler that makes a plan does alike: ask the planner, for each
 * deployment, and store the outcome with its route.
 */
#ifndef SB_FCGI_PLANNING_H
#define SB_FCGI_PLANNING_H

#include "core/schema/schema.h"
#include "core/store/plan.h"
#include "fcgi/app.h"

/* Compare one deployment with these namespaces. Without verification only the difference
 * is wanted, and no statement is tried. *outcome belongs to ctx. */
int planning_compare(TALLOC_CTX *ctx, const struct app_target *target,
		     const struct config_deployment *d,
		     const struct schema_namespace *namespaces, size_t n, bool verified,
		     struct schema_plan **outcome, struct sb_err *err) MUST_CHECK;

/* Store a plan; what it was made for and its files are set by the caller, everything that
 * follows from target and outcome here. */
int planning_store(struct app *app, const struct request *req,
		   const struct app_target *target, const struct schema_plan *outcome,
		   struct plan *plan, struct sb_err *err) MUST_CHECK;

/* The files of one namespace as plans.schema_files has them: {"files": {name: sql}}; a
 * new reference. */
struct json_object *planning_files_json(const struct schema_namespace *ns);

/*
 * The file for a table. Its name is the table's, with what cannot stand in a file's name
 * as %XX; "%" too, so that two tables never share a file.
 */
char *planning_file_name(TALLOC_CTX *ctx, const char *table);

/*
 * The way back for one deployment (core/drive/replan.c reads the same): *out of ctx,
 * strings in the parsed text, which belongs to ctx too. A namespace that is not
 * configured any more is SB_ESTALE.
 */
int planning_files_parse(TALLOC_CTX *ctx, const char *schema_files,
			 const struct config_deployment *d, struct schema_namespace **out,
			 size_t *n, struct sb_err *err) MUST_CHECK;

#endif
