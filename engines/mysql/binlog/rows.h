/*
 * rows.h - which rows of which tables an event changed, as keys.
 *
 * Called by decode.c. Of a row only the columns of the driving key are looked at; all
 * others are passed over (ENGINE.md B: a changed key says no more than that the shadow's
 * row for it may be wrong). So row images may be minimal and types unknown to literals.
 */
#ifndef SB_ENGINES_MYSQL_BINLOG_ROWS_H
#define SB_ENGINES_MYSQL_BINLOG_ROWS_H

#include "engines/mysql/binlog/event.h"
#include "engines/mysql/binlog/value.h"

#define ROWS_MAX_COLUMNS   4096
#define ROWS_MAX_KEY_PARTS 32 /* MariaDB allows so many, MySQL 16 */

/* A table that is followed: the subscription, made from the table's definition. */
struct rows_table {
	const char *schema, *name;
	size_t n_columns;
	const enum value_type *types; /* what TABLE_MAP must say, column by column */
	size_t n_key;
	size_t key[ROWS_MAX_KEY_PARTS]; /* column numbers */
};

/* TABLE_MAP. Its names first (the map belongs to ctx); the columns only when the table is
 * followed, since others may have types that are not known. */
struct rows_map {
	const char *schema, *name;
	size_t n;
	struct value_column *columns; /* NULL until they were read */
};
int rows_map_name(TALLOC_CTX *ctx, const struct event_format *f, const struct event *e,
		  struct rows_map **out, struct sb_err *err) MUST_CHECK;
int rows_map_read(struct rows_map *map, const struct event_format *f,
		  const struct event *e, struct sb_err *err) MUST_CHECK;

/* SB_EENGINE: the table is not what it was when it was subscribed. */
int rows_map_fits(const struct rows_map *map, const struct rows_table *table,
		  struct sb_err *err) MUST_CHECK;

/* The table that a rows event is about. 0 = none: it only ends a statement. */
int rows_table_id(const struct event_format *f, const struct event *e, uint64_t *id,
		  struct sb_err *err) MUST_CHECK;

struct rows_key {
	const struct value_column *column[ROWS_MAX_KEY_PARTS];
	const uint8_t *p[ROWS_MAX_KEY_PARTS]; /* as value_take() gives it */
	size_t len[ROWS_MAX_KEY_PARTS];
	size_t n;
};

/*
 * Call `each` for the key of every row that the event touched: of an UPDATE for the old
 * and for the new one when they differ in any byte. The key is valid during the call.
 */
int rows_each(const struct event_format *f, const struct event *e,
	      const struct rows_map *map, const struct rows_table *table,
	      int (*each)(void *arg, const struct rows_key *key, struct sb_err *err),
	      void *arg, struct sb_err *err) MUST_CHECK;

#endif
