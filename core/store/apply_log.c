/*
 * apply_log.c - reading the timeline. See apply_log.h.
 */
#include "core/store/apply_log.h"

#define APPLY_LOG_STATEMENTS(S)                                                  \
	S(LOG_READ,                                                              \
	  "SELECT l.id, a.apply_id, l.task_id, l.level, l.event_type, l.source," \
	  " l.message, l.old_state, l.new_state, l.created_at"                   \
	  " FROM apply_logs l JOIN applies a ON a.id = l.apply_row"              \
	  " WHERE a.apply_id = ? AND (? = 0 OR l.id < ?)"                        \
	  " ORDER BY l.id DESC LIMIT ?")

DB_STATEMENTS(apply_log, APPLY_LOG_STATEMENTS)

static const struct db_col log_columns[] = {
	COL(U64, struct log_entry, id),		COL(STR, struct log_entry, apply_id),
	COL(STR, struct log_entry, task_id),	COL(STR, struct log_entry, level),
	COL(STR, struct log_entry, event_type), COL(STR, struct log_entry, source),
	COL(STR, struct log_entry, message),	COL(STR, struct log_entry, old_state),
	COL(STR, struct log_entry, new_state),	COL(STR, struct log_entry, created_at),
};

int apply_log_read(TALLOC_CTX *ctx, struct db *db, const char *apply_id, uint64_t before,
		   int limit, struct log_entry **out, size_t *n, struct sb_err *err)
{
	if (db_all(ctx, db, LOG_READ, BIND(apply_id, before, before, limit), log_columns,
		   ARRAY_SIZE(log_columns), sizeof(**out), out, n, err) < 0)
		return -1;
	/* Newest were fetched, oldest are shown first. */
	for (size_t i = 0; i < *n / 2; i++) {
		struct log_entry swap = (*out)[i];

		(*out)[i] = (*out)[*n - 1 - i];
		(*out)[*n - 1 - i] = swap;
	}
	return 0;
}
