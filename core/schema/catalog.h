/*
 * catalog.h - what there is in a schema beyond definitions: sizes, indexes as they are
 * used, partitions, and the objects that SchemaBot does not manage.
 *
 * Called by the pull handler for an operator who wants to know what a change would meet.
 * A handful of queries for a schema, whatever the number of its tables.
 *
 * Must never: change anything. What the account may not see is not there.
 */
#ifndef SB_SCHEMA_CATALOG_H
#define SB_SCHEMA_CATALOG_H

#include "core/base/db.h"

/* Numbers are the server's estimates; -1 = it has none. Times are UTC, NULL = unknown. */
struct catalog_index {
	const char *name, *type; /* BTREE, FULLTEXT, … */
	bool is_unique;
	const char **columns; /* in order; "" = an expression */
	size_t n_columns;
	int64_t cardinality; /* different values of all columns together */
};

struct catalog_partition {
	const char *name, *method;
	int64_t rows, bytes;
};

struct catalog_table {
	const char *name, *engine, *collation, *row_format;
	int64_t rows, data_bytes, index_bytes;
	const char *created, *updated;
	struct catalog_index *indexes;
	size_t n_indexes;
	struct catalog_partition *partitions; /* with subpartitions added up */
	size_t n_partitions;
};

struct catalog_object { /* what is left alone */
	const char *name;
	const char *type;  /* view, sequence, trigger, procedure, event, … */
	const char *table; /* of a trigger; NULL = of none */
};

struct schema_catalog {
	struct catalog_table *tables; /* by name, byte-wise */
	size_t n_tables;
	struct catalog_object *objects;
	size_t n_objects;
	bool truncated; /* there are more of either than were asked for */
};

/* Read at most `limit` tables and as many objects. *out belongs to ctx. Errors as of
 * introspect(). */
int schema_catalog(TALLOC_CTX *ctx, struct db *db, const char *schema, size_t limit,
		   struct schema_catalog **out, struct sb_err *err) MUST_CHECK;

#endif
