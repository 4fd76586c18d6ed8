/*
 * catalog.c - see catalog.h.
 */
#include "core/schema/catalog.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/schema/introspect.h"

/* All in the order of the tables' names, so that one walk puts them together. */
#define BY_TABLE     " ORDER BY CAST(TABLE_NAME AS BINARY)"
#define TIME(column) "DATE_FORMAT(" column ", '%%Y-%%m-%%d %%H:%%i:%%s.%%f')"

static const char tables_sql[] =
	"SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COLLATION, ROW_FORMAT, TABLE_ROWS,"
	" DATA_LENGTH, INDEX_LENGTH, " TIME("CREATE_TIME") ", " TIME(
		"UPDATE_TIME") " FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s" BY_TABLE;
static const char indexes_sql[] =
	"SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, INDEX_TYPE, COLUMN_NAME, CARDINALITY"
	" FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s" BY_TABLE
	", CAST(INDEX_NAME AS BINARY), SEQ_IN_INDEX";
static const char partitions_sql[] =
	"SELECT TABLE_NAME, PARTITION_NAME, PARTITION_METHOD, SUM(TABLE_ROWS),"
	" SUM(DATA_LENGTH + INDEX_LENGTH), MIN(PARTITION_ORDINAL_POSITION) AS place"
	" FROM information_schema.PARTITIONS"
	" WHERE TABLE_SCHEMA = %s AND PARTITION_NAME IS NOT NULL"
	" GROUP BY TABLE_NAME, PARTITION_NAME, PARTITION_METHOD" BY_TABLE ", place";

/* Of objects that are not tables: name, kind, table. */
static const char *const objects_sql[] = {
	"SELECT TRIGGER_NAME, 'trigger', EVENT_OBJECT_TABLE"
	" FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s ORDER BY 1",
	"SELECT ROUTINE_NAME, ROUTINE_TYPE, NULL"
	" FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s ORDER BY 1",
	"SELECT EVENT_NAME, 'event', NULL"
	" FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s ORDER BY 1",
};

struct reader {
	struct schema_catalog *c;
	TALLOC_CTX *tmp;
	struct db *db;
	const char *schema; /* as a literal */
	size_t limit;
};

static int64_t number(const char *cell)
{
	return cell ? strtoll(cell, NULL, 10) : -1;
}

static int ask(struct reader *r, const char *format, struct db_rows **out,
	       struct sb_err *err)
{
	const char *at = strstr(format, "= %s");
	struct buf sql;

	buf_init(&sql, r->tmp);
	for (const char *p = format; *p; p++) {
		if (p == at + 2) {
			buf_str(&sql, r->schema);
			p++;
		} else {
			buf_char(&sql, *p);
			p += *p == '%' && p[1] == '%';
		}
	}
	return db_query(r->c, r->db, sql.data, out, err);
}

/* "BASE TABLE" is managed; "SYSTEM VERSIONED" and the like are called by their name. */
static void add_object(struct reader *r, const char *name, const char *kind,
		       const char *table)
{
	struct schema_catalog *c = r->c;
	char *type;

	if (c->n_objects == r->limit) {
		c->truncated = true;
		return;
	}
	c->objects = mem_grow(c, c->objects, struct catalog_object, c->n_objects + 1);
	type = mem_strdup(c, kind ? kind : "");
	for (char *p = type; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	c->objects[c->n_objects++] = (struct catalog_object){ name, type, table };
}

static int read_tables(struct reader *r, struct sb_err *err)
{
	struct schema_catalog *c = r->c;
	struct db_rows *rows;

	if (ask(r, tables_sql, &rows, err) < 0)
		return -1;
	c->tables = mem_array(c, struct catalog_table, rows->n + 1);
	for (size_t i = 0; i < rows->n; i++) {
		char **cell = rows->cell[i];

		if (introspect_is_ours(cell[0]))
			continue;
		if (!cell[1] || strcmp(cell[1], "BASE TABLE") != 0) {
			add_object(r, cell[0], cell[1], NULL);
			continue;
		}
		if (c->n_tables == r->limit) {
			c->truncated = true;
			continue;
		}
		c->tables[c->n_tables++] = (struct catalog_table){
			.name = cell[0],
			.engine = cell[2],
			.collation = cell[3],
			.row_format = cell[4],
			.rows = number(cell[5]),
			.data_bytes = number(cell[6]),
			.index_bytes = number(cell[7]),
			.created = cell[8],
			.updated = cell[9],
		};
	}
	return 0;
}

/* The table that rows in the order of names are at; *at is how far the walk has come. */
static struct catalog_table *table_at(struct schema_catalog *c, size_t *at,
				      const char *name)
{
	while (*at < c->n_tables && strcmp(c->tables[*at].name, name) < 0)
		(*at)++;
	return *at < c->n_tables && strcmp(c->tables[*at].name, name) == 0
		       ? &c->tables[*at]
		       : NULL;
}

static int read_indexes(struct reader *r, struct sb_err *err)
{
	struct schema_catalog *c = r->c;
	struct db_rows *rows;
	size_t at = 0;

	if (ask(r, indexes_sql, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows->n; i++) {
		char **cell = rows->cell[i];
		struct catalog_table *t = table_at(c, &at, cell[0]);
		struct catalog_index *x;

		if (!t)
			continue;
		x = t->n_indexes > 0 ? &t->indexes[t->n_indexes - 1] : NULL;
		if (!x || strcmp(x->name, cell[1]) != 0) {
			t->indexes = mem_grow(c, t->indexes, struct catalog_index,
					      t->n_indexes + 1);
			x = &t->indexes[t->n_indexes++];
			*x = (struct catalog_index){ .name = cell[1],
						     .type = cell[3],
						     .is_unique =
							     cell[2] && *cell[2] == '0' };
		}
		x->columns = mem_grow(c, x->columns, const char *, x->n_columns + 1);
		x->columns[x->n_columns++] = cell[4] ? cell[4] : "";
		x->cardinality = number(cell[5]);
	}
	return 0;
}

static int read_partitions(struct reader *r, struct sb_err *err)
{
	struct schema_catalog *c = r->c;
	struct db_rows *rows;
	size_t at = 0;

	if (ask(r, partitions_sql, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows->n; i++) {
		char **cell = rows->cell[i];
		struct catalog_table *t = table_at(c, &at, cell[0]);

		if (!t)
			continue;
		t->partitions = mem_grow(c, t->partitions, struct catalog_partition,
					 t->n_partitions + 1);
		t->partitions[t->n_partitions++] =
			(struct catalog_partition){ cell[1], cell[2], number(cell[3]),
						    number(cell[4]) };
	}
	return 0;
}

static int read_objects(struct reader *r, struct sb_err *err)
{
	struct db_rows *rows;

	for (size_t q = 0; q < ARRAY_SIZE(objects_sql); q++) {
		if (ask(r, objects_sql[q], &rows, err) < 0)
			return -1;
		for (size_t i = 0; i < rows->n; i++)
			add_object(r, rows->cell[i][0], rows->cell[i][1],
				   rows->cell[i][2]);
	}
	return 0;
}

int schema_catalog(TALLOC_CTX *ctx, struct db *db, const char *schema, size_t limit,
		   struct schema_catalog **out, struct sb_err *err)
{
	struct reader r = { .c = mem_new(ctx, struct schema_catalog),
			    .tmp = mem_ctx(NULL, "catalog"),
			    .db = db,
			    .limit = limit };
	int rc = 0;

	*out = NULL;
	r.schema = db_literal(r.tmp, schema);
	if (read_tables(&r, err) < 0 || read_indexes(&r, err) < 0 ||
	    read_partitions(&r, err) < 0 || read_objects(&r, err) < 0)
		rc = sb_err_prefix(err, "schema `%s`", schema);
	if (rc == 0)
		*out = r.c;
	else
		talloc_free(r.c);
	talloc_free(r.tmp);
	return rc;
}
