/*
 * plan_data.h - a plan's outcome as it is kept in plans.plan_data: JSON and back.
 *
 * Only the plan and apply handlers read it. The order of the changes is the order in
 * which they can be executed.
 */
#ifndef SB_FCGI_PLAN_DATA_H
#define SB_FCGI_PLAN_DATA_H

#include "core/base/json.h"
#include "core/schema/schema.h"

/* JSON text of the whole outcome, of ctx. */
char *plan_data_render(TALLOC_CTX *ctx, const struct schema_plan *plan);

/* The way back. SB_EINTERNAL when the stored text is not what plan_data_render() wrote.
 */
int plan_data_parse(TALLOC_CTX *ctx, const char *text, struct schema_plan **out,
		    struct sb_err *err) MUST_CHECK;

/* One change and one lint violation, with the fields of the API (SEMANTICS G.2). */
struct json_object *plan_change_json(const struct schema_change *change);
struct json_object *plan_lint_json(const struct schema_lint *lint);

#endif
