/*
 * fuzz_reader.c - any bytes as the answer to SHOW CREATE TABLE: the reader and the diff.
 *
 * The input is two tables with a line "====" between them. What must hold: a table does
 * not differ from itself, nor from the table that its own text makes; what a difference
 * is written down as can be split into tokens, is one statement, is the same each time,
 * and comes out alike whatever was compared before.
 */
#include "core/schema/ddl.h"
#include "core/schema/diff.h"
#include "core/schema/lint.h"
#include "core/schema/unsafe.h"
#include "tests/fuzz/fuzz.h"

#define SEPARATOR "\n====\n"

/* A server prints no name twice, no semicolon outside of quotes, and always these three.
 */
static bool is_plausible(const struct table *t)
{
	if (!*t->engine || !*t->charset || !*t->collation)
		return false;
	for (size_t i = 0; i < t->n_columns; i++)
		for (size_t k = 0; k < i; k++)
			if (same_name(t->columns[i].name, t->columns[k].name))
				return false;
	for (size_t i = 0; i < t->n_indexes; i++)
		for (size_t k = 0; k < i; k++)
			if (same_name(t->indexes[i].name, t->indexes[k].name))
				return false;
	for (size_t i = 0; i < t->n_constraints; i++)
		for (size_t k = 0; k < i; k++)
			if (same_name(t->constraints[i].name, t->constraints[k].name))
				return false;
	for (size_t i = 0; i < t->n_settings; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(t->settings[i].name, t->settings[k].name) == 0)
				return false;
	for (size_t i = 0; i < t->tokens.n; i++) {
		const struct token *k = &t->tokens.v[i];

		/* A counter is cut out; a server prints one. */
		if (token_punct(k, ';') ||
		    (k->depth == 0 && token_is(k, "AUTO_INCREMENT")))
			return false;
	}
	return t->n_columns > 0;
}

static void check_statement(TALLOC_CTX *ctx, const char *sql, const char *first)
{
	struct tokens t;

	MUST(tokenize(ctx, sql, &t, NULL) == 0);
	MUST(t.n > 2 && token_is(&t.v[0], first) && token_is(&t.v[1], "TABLE"));
	for (size_t i = 0; i < t.n; i++)
		MUST(!token_punct(&t.v[i], ';'));
}

static void check_pair(TALLOC_CTX *ctx, const struct table *a, const struct table *b)
{
	static const enum db_flavor flavors[] = { DB_MARIADB, DB_MYSQL };
	const struct table_diff *d = diff_tables(ctx, a, b),
				*again = diff_tables(ctx, a, b);

	for (size_t i = 0; d->n > 0 && i < ARRAY_SIZE(flavors); i++) {
		const char *sql = ddl_alter(ctx, d, flavors[i]);

		MUST(strcmp(sql, ddl_alter(ctx, again, flavors[i])) == 0);
		check_statement(ctx, sql, "ALTER");
	}
	MUST(unsafe_reasons(ctx, d) != NULL);
}

static struct table *read(TALLOC_CTX *ctx, const char *sql)
{
	struct sb_err err = { 0 };
	struct table *t, *same;

	if (table_read(ctx, sql, &t, &err) < 0) {
		MUST(err.code == SB_EENGINE && *err.msg);
		return NULL;
	}
	if (!is_plausible(t))
		return NULL;
	MUST(table_read(ctx, t->create_sql, &same, NULL) == 0);
	MUST(strcmp(same->create_sql, t->create_sql) == 0);
	MUST(diff_tables(ctx, t, same)->n == 0 &&
	     !diff_tables(ctx, t, same)->inexpressible);
	check_statement(ctx, ddl_create(ctx, t), "CREATE");
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *second = strstr(text, SEPARATOR);
	TALLOC_CTX *ctx = mem_ctx(NULL, "fuzz");
	const struct table *a, *b = NULL;

	if (second) {
		*second = '\0';
		second += strlen(SEPARATOR);
	}
	a = read(ctx, text);
	if (second)
		b = read(ctx, second);
	if (a && b) {
		check_pair(ctx, a, b);
		check_pair(ctx, b, a);
	}
	talloc_free(ctx);
	free(text);
	return 0;
}
