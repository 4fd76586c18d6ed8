/*
 * drift.c - what has happened to a table since a plan was made, as a statement.
 *
 * Called where a plan is refused because the live schema is not the one it was made for:
 * whoever has to plan again should see what is different.
 */
#include "core/schema/ddl.h"
#include "core/schema/schema.h"

char *schema_drift(TALLOC_CTX *ctx, const char *was, const char *is,
		   enum db_flavor flavor)
{
	TALLOC_CTX *tmp = mem_ctx(NULL, "drift");
	const struct table_diff *d;
	struct table *from, *to;
	char *out = NULL;

	if (table_read(tmp, was, &from, NULL) == 0 &&
	    table_read(tmp, is, &to, NULL) == 0) {
		d = diff_tables(tmp, from, to);
		if (d->n > 0)
			out = ddl_alter(ctx, d, flavor);
	}
	talloc_free(tmp);
	return out;
}
