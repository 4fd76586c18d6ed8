/*
 * unrename.c - see unrename.h. Statements are our own (ddl.c), so their form is known.
 */
#include "core/schema/unrename.h"

#include "core/base/db.h"
#include "core/schema/table.h"

bool unrename_table(TALLOC_CTX *ctx, const char *ddl, char **from, char **to)
{
	struct tokens t;
	bool is = false;

	*from = *to = NULL;
	if (tokenize(ctx, ddl, &t, NULL) < 0)
		return false;
	if (t.n == 5 && token_is(&t.v[0], "RENAME") && token_is(&t.v[1], "TABLE") &&
	    token_is(&t.v[3], "TO")) {
		*from = token_name(ctx, &t.v[2]);
		*to = token_name(ctx, &t.v[4]);
		is = *from && *to;
	}
	talloc_free(t.v);
	return is;
}

static char *hint(TALLOC_CTX *ctx, const char *what, const char *from, const char *to)
{
	return mem_printf(ctx, "-- schemabot: rename %s %s to %s\n", what,
			  db_ident(ctx, to), db_ident(ctx, from));
}

char *unrename_table_hint(TALLOC_CTX *ctx, const char *from, const char *to)
{
	return hint(ctx, "table", from, to);
}

/* RENAME COLUMN `a` TO `b`, CHANGE COLUMN `a` `b` …: at v[i], outside of brackets. */
static bool column_rename(TALLOC_CTX *ctx, const struct tokens *t, size_t i, char **from,
			  char **to)
{
	const struct token *v = &t->v[i];

	if (v[0].depth > 0 || !token_is(&v[1], "COLUMN"))
		return false;
	if (token_is(&v[0], "RENAME") && token_is(&v[3], "TO"))
		*to = token_name(ctx, &v[4]);
	else if (token_is(&v[0], "CHANGE"))
		*to = token_name(ctx, &v[3]);
	else
		return false;
	*from = token_name(ctx, &v[2]);
	return *from && *to && !same_name(*from, *to);
}

char *unrename_columns(TALLOC_CTX *ctx, const char *ddl, const char *create_sql)
{
	char *hints = mem_strdup(ctx, ""), *from, *to;
	struct table *was;
	struct tokens t;

	if (tokenize(ctx, ddl, &t, NULL) < 0)
		return hints;
	if (table_read(ctx, create_sql, &was, NULL) < 0)
		return hints;
	for (size_t i = 0; i < t.n; i++)
		if (column_rename(ctx, &t, i, &from, &to) && table_column(was, from))
			hints = mem_printf(ctx, "%s%s", hints,
					   hint(ctx, "column", from, to));
	talloc_free(t.v);
	return hints;
}
