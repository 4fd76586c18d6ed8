/*
 * copy.h - one table that is changed online: what every part of the copy knows about it.
 *
 * Made by table.c from the definitions of the original and of its shadow; constant from
 * then on, so that all threads of a copy may read it. The other headers of this folder
 * say what is done with it.
 */
#ifndef SB_ENGINES_MYSQL_COPY_COPY_H
#define SB_ENGINES_MYSQL_COPY_COPY_H

#include "core/base/db.h"
#include "engines/engine.h"
#include "engines/mysql/binlog/rows.h"
#include "engines/mysql/copy/facts.h"

/* A column of the driving key: a unique key of the original without NULLs, whose columns
 * the shadow has too, with the same values and the same meaning of "equal". */
struct copy_part {
	const char *name;   /* quoted, in the original */
	const char *shadow; /* quoted, in the shadow */
	struct value_info info;
	/* An SQL expression over the original's column that prints a literal which
	 * compares equal to it; NULL: cannot stand in a bound of a range. */
	const char *print;
};

struct copy_key {
	const char *index; /* quoted, in the original: for FORCE INDEX */
	size_t n;	   /* parts */
	size_t n_bounds;   /* so many of the first parts can stand in bounds; may be 0 */
	bool integer;	   /* one part, which is an integer */
	struct copy_part *parts;
};

struct copy_column {	    /* what is copied; generated columns of the shadow are not */
	const char *name;   /* quoted, in the original */
	const char *shadow; /* quoted, in the shadow */
	const struct fact_column *from, *to; /* their definitions */
};

struct copy_table {
	const char *schema, *table; /* plain names */
	const char *shadow_name, *old_name;
	const char *kept_name; /* of the old one, when rows of it may be missing */
	const char *original;  /* `schema`.`table` */
	const char *shadow;    /* `schema`.`table~sb_new_…` */
	const char *statement; /* the reviewed ALTER */
	struct copy_key key;
	struct copy_column *columns;
	size_t n_columns;
	const char *column_list, *shadow_list; /* "`a`, `b`": of columns, in one order */
	struct rows_table rows; /* for the decoder; its key columns are those of `key` */
	/* "ADD KEY …, ADD KEY …": indexes that are built after the copy; "" = none. */
	const char *deferred;
	/* Every unique key of the shadow is implied by one of the original: REPLACE can
	 * displace no other row. */
	bool replaceable;
	bool more_uniques;     /* it has others than the driving key */
	int64_t rows_estimate; /* the server's guess; -1 = unknown */
};

#endif
