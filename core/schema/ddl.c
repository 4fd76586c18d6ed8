/*
 * ddl.c - clauses as SQL text; see ddl.h.
 *
 * Definitions are the server's own words (table.h); names go through db_ident(). The two
 * flavours differ in two clauses only: dropping a CHECK and hiding an index.
 */
#include "core/schema/ddl.h"

#include <inttypes.h>
#include <string.h>

struct writer {
	struct buf b;
	enum db_flavor flavor;
};

static void name(struct writer *w, const char *before, const char *identifier)
{
	char *quoted = db_ident(w->b.ctx, identifier);

	buf_printf(&w->b, "%s %s", before, quoted);
	talloc_free(quoted);
}

static void position(struct writer *w, const struct clause *k)
{
	if (!k->positioned)
		return;
	if (k->after)
		name(w, " AFTER", k->after);
	else
		buf_str(&w->b, " FIRST");
}

/* What the server calls a column of diff->from. */
static const char *name_now(const struct table_column *c)
{
	return c->renamed_from ? c->renamed_from : c->name;
}

static void column(struct writer *w, const struct clause *k)
{
	if (k->kind == CLAUSE_ADD_COLUMN) {
		name(w, "ADD COLUMN", k->column->name);
	} else if (strcmp(name_now(k->old_column), k->column->name) == 0) {
		name(w, "MODIFY COLUMN", k->column->name);
	} else {
		name(w, "CHANGE COLUMN", name_now(k->old_column));
		name(w, "", k->column->name);
	}
	buf_printf(&w->b, " %s", k->column->definition);
	position(w, k);
}

static void rename_index(struct writer *w, const struct clause *k)
{
	name(w, "RENAME INDEX", k->old_index->name);
	name(w, " TO", k->index->name);
}

static void visibility(struct writer *w, const struct clause *k)
{
	static const char *const words[2][2] = {
		[DB_MARIADB] = { "IGNORED", "NOT IGNORED" },
		[DB_MYSQL] = { "INVISIBLE", "VISIBLE" }
	};

	name(w, "ALTER INDEX", k->index->name);
	buf_printf(&w->b, " %s", words[w->flavor][k->index->visible]);
}

static void clause(struct writer *w, const struct table_diff *d, const struct clause *k)
{
	switch (k->kind) {
	case CLAUSE_DROP_FOREIGN_KEY:
		name(w, "DROP FOREIGN KEY", k->constraint->name);
		break;
	case CLAUSE_DROP_CHECK:
		name(w, w->flavor == DB_MYSQL ? "DROP CHECK" : "DROP CONSTRAINT",
		     k->constraint->name);
		break;
	case CLAUSE_DROP_PRIMARY_KEY:
		buf_str(&w->b, "DROP PRIMARY KEY");
		break;
	case CLAUSE_DROP_INDEX:
		name(w, "DROP INDEX", k->old_index->name);
		break;
	case CLAUSE_RENAME_INDEX:
		rename_index(w, k);
		break;
	case CLAUSE_DROP_COLUMN:
		name(w, "DROP COLUMN", name_now(k->old_column));
		break;
	case CLAUSE_RENAME_COLUMN:
		name(w, "RENAME COLUMN", name_now(k->old_column));
		name(w, " TO", k->column->name);
		break;
	case CLAUSE_ADD_COLUMN:
	case CLAUSE_MODIFY_COLUMN:
		column(w, k);
		break;
	case CLAUSE_ADD_PRIMARY_KEY:
	case CLAUSE_ADD_INDEX:
		buf_printf(&w->b, "ADD %s", k->index->definition);
		break;
	case CLAUSE_INDEX_VISIBILITY:
		visibility(w, k);
		break;
	case CLAUSE_ADD_FOREIGN_KEY:
	case CLAUSE_ADD_CHECK:
		buf_printf(&w->b, "ADD %s",
			   k->unnamed ? k->constraint->content
				      : k->constraint->definition);
		break;
	case CLAUSE_ENGINE:
		buf_printf(&w->b, "ENGINE=%s", k->value);
		break;
	case CLAUSE_COLLATION:
		buf_printf(&w->b, "DEFAULT CHARSET=%s COLLATE=%s", d->to->charset,
			   d->to->collation);
		break;
	case CLAUSE_ROW_FORMAT:
		buf_printf(&w->b, "ROW_FORMAT=%s", k->value);
		break;
	case CLAUSE_SETTING:
		buf_printf(&w->b, "%s=%s", k->name, k->value);
		break;
	case CLAUSE_COUNTER:
		buf_printf(&w->b, "AUTO_INCREMENT=%" PRIu64, d->to->counter);
		break;
	case CLAUSE_DROP_PARTITIONS:
		buf_printf(&w->b, "DROP PARTITION %s", k->value);
		break;
	case CLAUSE_ADD_PARTITIONS:
		buf_printf(&w->b, "ADD PARTITION (%s)", k->value);
		break;
	case CLAUSE_PARTITION_BY:
		buf_str(&w->b, k->value);
		break;
	case CLAUSE_REMOVE_PARTITIONING:
		buf_str(&w->b, "REMOVE PARTITIONING");
		break;
	case N_CLAUSE_KINDS:
		BUG("not a clause");
	}
}

char *ddl_alter(TALLOC_CTX *ctx, const struct table_diff *d, enum db_flavor flavor)
{
	struct writer w = { .flavor = flavor };

	buf_init(&w.b, ctx);
	name(&w, "ALTER TABLE", d->from->name);
	for (size_t i = 0; i < d->n; i++) {
		/* The grammar has no comma before what is done about partitions. */
		bool comma = i > 0 && d->v[i].kind != CLAUSE_PARTITION_BY &&
			     d->v[i].kind != CLAUSE_REMOVE_PARTITIONING;

		buf_str(&w.b, comma ? ", " : " ");
		clause(&w, d, &d->v[i]);
	}
	return w.b.data;
}

char *ddl_create(TALLOC_CTX *ctx, const struct table *t)
{
	return table_create_sql(ctx, t);
}

char *ddl_rename(TALLOC_CTX *ctx, const char *table, const char *new)
{
	struct writer w = { 0 };

	buf_init(&w.b, ctx);
	name(&w, "RENAME TABLE", table);
	name(&w, " TO", new);
	return w.b.data;
}

char *ddl_drop(TALLOC_CTX *ctx, const char *table)
{
	char *quoted = db_ident(ctx, table);
	char *ddl = mem_printf(ctx, "DROP TABLE %s", quoted);

	talloc_free(quoted);
	return ddl;
}
