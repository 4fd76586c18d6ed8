/*
 * table.c - what a table's parts are called, where they are, and when two are the same.
 *
 * See table.h. The canonical texts of columns are made here, and only here and in
 * reader.c's indexes is decided what does not matter.
 */
#include "core/schema/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool same_name(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

/* ---- canonical texts -------------------------------------------------------------- */

/* _utf8mb3'abc': which character set a connection had when the table was made. _binary
 * is different: it makes the whole expression one of bytes. */
static bool is_moot_introducer(const struct tokens *t, size_t i)
{
	const struct token *s = &t->v[i + 1];

	if (t->v[i].type != TOKEN_WORD || t->v[i].text[0] != '_' ||
	    s->type != TOKEN_STRING || token_is(&t->v[i], "_binary"))
		return false;
	for (size_t k = 0; k < s->len; k++)
		if ((unsigned char)s->text[k] >= 0x80)
			return false;
	return true;
}

/* -(5): MySQL prints the brackets or not, depending on how the table was last changed. */
static bool is_bracketed_number(const struct tokens *t, size_t i, size_t to)
{
	return i + 3 < to && token_punct(&t->v[i], '-') &&
	       token_punct(&t->v[i + 1], '(') && t->v[i + 2].type == TOKEN_NUMBER &&
	       token_punct(&t->v[i + 3], ')');
}

void tokens_canonical(struct buf *b, const struct tokens *t, size_t from, size_t to)
{
	size_t start = b->len;

	for (size_t i = from; i < to; i++) {
		bool space = t->v[i].space;

		if (is_moot_introducer(t, i))
			i++;
		if (b->len > start && space)
			buf_char(b, ' ');
		buf_add(b, t->v[i].text, t->v[i].len);
		if (is_bracketed_number(t, i, to)) {
			buf_add(b, t->v[i + 2].text, t->v[i + 2].len);
			i += 3;
		}
	}
}

bool column_is_integer(const struct table_column *c)
{
	static const char *const types[] = { "tinyint", "smallint", "mediumint", "int",
					     "bigint" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(c->type, types[i]) == 0)
			return true;
	return false;
}

bool column_is_text(const struct table_column *c)
{
	static const char *const types[] = {
		"char",	      "varchar",  "tinytext", "text",
		"mediumtext", "longtext", "enum",     "set"
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(c->type, types[i]) == 0)
			return true;
	return false;
}

/* The width that int(11) is shown with; tinyint(1) is a convention that clients rely on.
 */
static bool has_moot_width(const struct table_column *c)
{
	return c->args && column_is_integer(c) && !c->zerofill &&
	       !(strcmp(c->type, "tinyint") == 0 && strcmp(c->args, "1") == 0);
}

static void column_canonical(TALLOC_CTX *ctx, struct table_column *c)
{
	struct tokens t;
	struct sb_err err;
	struct buf b;
	size_t i = 0;

	if (tokenize(ctx, c->definition, &t, &err) < 0)
		BUG("a definition that was read once: %s", err.msg);
	buf_init(&b, ctx);
	if (has_moot_width(c)) {
		buf_str(&b, c->type);
		i = tokens_skip(&t, 1);
		if (i < t.n)
			buf_char(&b, ' ');
	}
	while (i < t.n) {
		size_t from = i;

		while (i < t.n &&
		       !(t.v[i].depth == 0 && (token_is(&t.v[i], "CHARACTER") ||
					       token_is(&t.v[i], "COLLATE"))))
			i++;
		tokens_canonical(&b, &t, from, i);
		if (i < t.n)
			i += token_is(&t.v[i], "COLLATE") ? 2 : 3;
		if (i < t.n && b.len > 0 && b.data[b.len - 1] != ' ')
			buf_char(&b, ' ');
	}
	while (b.len > 0 && b.data[b.len - 1] == ' ')
		b.data[--b.len] = '\0';
	if (c->collation)
		buf_printf(&b, " COLLATE %s", c->collation);
	talloc_free(t.v);
	c->canonical = b.data;
}

void table_make_canonical(struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++)
		column_canonical(t, &t->columns[i]);
}

char *table_create_sql(TALLOC_CTX *ctx, const struct table *t)
{
	size_t i = tokens_skip(&t->tokens, 3) - 1; /* the bracket; then ENGINE=name */
	const struct token *last =
		&t->tokens.v[token_is(&t->tokens.v[i + 1], "ENGINE") ? i + 3 : i];
	const char *rest = last->text + last->len;

	if (t->counter <= 1)
		return mem_strdup(ctx, t->create_sql);
	return mem_printf(ctx, "%.*s AUTO_INCREMENT=%" PRIu64 "%s",
			  (int)(rest - t->create_sql), t->create_sql, t->counter, rest);
}

/* ---- looking things up ------------------------------------------------------------ */

const struct table_column *table_column(const struct table *t, const char *name)
{
	for (size_t i = 0; i < t->n_columns; i++)
		if (same_name(t->columns[i].name, name))
			return &t->columns[i];
	return NULL;
}

const struct table_index *table_index(const struct table *t, const char *name)
{
	for (size_t i = 0; i < t->n_indexes; i++)
		if (same_name(t->indexes[i].name, name))
			return &t->indexes[i];
	return NULL;
}

const struct table_index *table_primary_key(const struct table *t)
{
	return table_index(t, "PRIMARY");
}

const char *table_setting(const struct table *t, const char *name)
{
	for (size_t i = 0; i < t->n_settings; i++)
		if (same_name(t->settings[i].name, name))
			return t->settings[i].value;
	return NULL;
}

bool index_has_column(const struct table_index *index, const char *column)
{
	for (size_t i = 0; i < index->n_parts; i++)
		if (index->parts[i].column && same_name(index->parts[i].column, column))
			return true;
	return false;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct table *const *)a)->name,
		      (*(struct table *const *)b)->name);
}

void tables_sort(struct table **v, size_t n)
{
	qsort(v, n, sizeof(void *), by_name);
}

struct table *tables_find(struct table *const *v, size_t n, const char *name)
{
	struct table wanted = { .name = name }, *key = &wanted, **found;

	found = bsearch(&key, v, n, sizeof(void *), by_name);
	return found ? *found : NULL;
}
