/*
 * table.h - a table as data: what SHOW CREATE TABLE says, taken apart.
 *
 * Made by reader.c (and completed by introspect.c); compared by diff.c; judged by
 * unsafe.c and lint.c. Live and desired tables are printed by the same server, so texts
 * can be compared and used again in an ALTER as they are; every part keeps its whole
 * text, so that a difference which nobody understands is still seen.
 *
 * Two texts for each part: `definition` is what goes into an ALTER, `canonical` is what
 * is compared: the same without what does not matter (display widths, a character set
 * that is printed although it is inherited, USING BTREE).
 */
#ifndef SB_SCHEMA_TABLE_H
#define SB_SCHEMA_TABLE_H

#include <stdint.h>

#include "core/schema/token.h"

enum column_kind { COLUMN_BASE, COLUMN_VIRTUAL, COLUMN_STORED };

struct table_column {
	const char *name;
	const char *renamed_from; /* on the server until the next ALTER (rewrite.h) */
	const char *definition;	  /* after the name */
	const char *canonical;
	const char *type; /* first word, lower-case: "varchar" */
	const char *args; /* between the type's brackets: "20", "10,2"; NULL = none */
	const char *const *elements; /* ENUM and SET */
	size_t n_elements;
	bool is_unsigned, zerofill, not_null, auto_increment;
	const char *default_value; /* as printed; NULL = none */
	enum column_kind kind;
	const char *charset, *collation; /* in effect; NULL = not a text */
};

enum index_kind {
	INDEX_PRIMARY,
	INDEX_UNIQUE,
	INDEX_PLAIN,
	INDEX_FULLTEXT,
	INDEX_SPATIAL
};

struct index_part {
	const char *column; /* NULL = an expression */
	const char *text;   /* as printed: with prefix length and DESC */
};
struct table_index {
	const char *name; /* "PRIMARY" for the primary key */
	enum index_kind kind;
	bool visible;
	const char *definition; /* the whole element */
	const char *canonical;	/* without name and visibility */
	const struct index_part *parts;
	size_t n_parts;
};

enum constraint_kind { CONSTRAINT_FOREIGN_KEY, CONSTRAINT_CHECK, CONSTRAINT_OTHER };

struct table_constraint {
	const char *name; /* of OTHER: its text */
	enum constraint_kind kind;
	bool generated;			    /* the server made the name up: t_ibfk_1 */
	const char *definition;		    /* the whole element */
	const char *content;		    /* without CONSTRAINT and the name */
	const char *canonical;		    /* content, without what does not matter */
	const char *parent, *parent_schema; /* foreign key; schema NULL = the same */
	const char *const *columns, *const *parent_columns; /* foreign key */
	size_t n_columns;				    /* of each */
};

struct table_setting { /* one table option */
	const char *name, *value;
};

struct rename_hint { /* a comment in the table's file (rename.h) */
	bool of_table;
	const char *old, *new;
	int line;
};

struct table {
	const char *name;
	const char *create_sql; /* as printed, without the AUTO_INCREMENT value */
	struct tokens tokens;	/* of create_sql */
	struct table_column *columns;
	size_t n_columns;
	struct table_index *indexes;
	size_t n_indexes;
	struct table_constraint *constraints;
	size_t n_constraints;
	struct table_setting *settings; /* but engine, charset, collation, row format */
	size_t n_settings;
	const char *partitioning; /* "" = none */
	const char *engine, *charset, *collation;
	const char *row_format_printed; /* "" = not named */
	const char *row_format;		/* in effect: "Dynamic" */
	uint64_t counter;		/* the next AUTO_INCREMENT value; 0 = not told */
	/* Of a table that was only tried (trial.h): what SHOW says of it, and whether its
	 * file says the same as its definition. NULL = it is real. */
	const char *trial_facts;
	bool trial_is_file;
	const struct rename_hint *hints; /* of its file */
	size_t n_hints;
	bool wide_text; /* its file had a text that servers keep as "?" (load.c) */
};

/*
 * Read what SHOW CREATE TABLE printed. *out belongs to ctx. -1 (SB_EENGINE): it cannot
 * be understood, which is a bug of ours or a server newer than we are.
 */
int table_read(TALLOC_CTX *ctx, const char *show_create, struct table **out,
	       struct sb_err *err) MUST_CHECK;

/* Append tokens [from, to) as they are compared: without moot character set introducers.
 */
void tokens_canonical(struct buf *b, const struct tokens *t, size_t from, size_t to);

/* Build the canonical texts anew: after charset and collation of a column were set. */
void table_make_canonical(struct table *t);

/* The statement that makes t, with its AUTO_INCREMENT value. */
char *table_create_sql(TALLOC_CTX *ctx, const struct table *t);

/* Names of columns, indexes and constraints do not depend on case. NULL = none. */
const struct table_column *table_column(const struct table *t, const char *name);
const struct table_index *table_index(const struct table *t, const char *name);
const struct table_index *table_primary_key(const struct table *t);
const char *table_setting(const struct table *t, const char *name);
bool index_has_column(const struct table_index *index, const char *column);

/* Order by name, byte-wise; find in such an order (NULL = none). */
void tables_sort(struct table **v, size_t n);
struct table *tables_find(struct table *const *v, size_t n, const char *name);

/* Equal but for ASCII case. */
bool same_name(const char *a, const char *b);
bool column_is_text(const struct table_column *c);
bool column_is_integer(const struct table_column *c);

#endif
