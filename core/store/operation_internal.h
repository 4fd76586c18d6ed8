/*
 * operation_internal.h - how a row of apply_operations is read; for operation.c and
 * parked.c only.
 */
#ifndef SB_STORE_OPERATION_INTERNAL_H
#define SB_STORE_OPERATION_INTERNAL_H

#include "core/store/operation.h"

/* The columns of struct operation, in the order of operation_columns. */
#define SELECT_OPERATIONS                                                        \
	"SELECT o.id, o.apply_row, a.apply_id, o.deployment, o.target, o.state," \
	" o.error_code, o.error_message, o.attempt, o.deaths,"                   \
	" o.engine_state, o.engine_accepted, o.poll_errors, o.cutover_policy,"   \
	" o.on_failure, o.served_request,"                                       \
	" o.lease_token, o.lease_owner, o.claim_after,"                          \
	" o.started_at, o.completed_at, a.database_name, a.environment,"         \
	" a.engine,"                                                             \
	" a.options, a.volume, (SELECT COUNT(*) FROM apply_control_requests r"   \
	" WHERE r.apply_row = o.apply_row AND r.status = 'pending')"             \
	" FROM apply_operations o"                                               \
	" JOIN applies a ON a.id = o.apply_row"
#define OPERATION_COLUMNS 27
extern const struct db_col operation_columns[OPERATION_COLUMNS];

#endif
