/*
 * plan_union.h - the plans of all deployments of an environment as one plan.
 *
 * One apply brings every deployment to the same schema, so there is one reviewed
 * statement a table. A deployment that has a change already lacks it in its own plan;
 * two that need different statements for one table are an error of the plan.
 */
#ifndef SB_FCGI_PLAN_UNION_H
#define SB_FCGI_PLAN_UNION_H

#include "core/base/config.h"
#include "core/schema/schema.h"

/* plans[i] is of deployments[i]. *out belongs to ctx and shares the plans' strings; of a
 * single deployment it is that plan. */
void plan_union(TALLOC_CTX *ctx, const struct config_deployment *deployments,
		struct schema_plan *const *plans, size_t n, struct schema_plan **out);

#endif
