/*
 * reader.c - take SHOW CREATE TABLE apart; see table.h.
 *
 * Called by introspect.c for every table, live and desired. It relies on the form that
 * both servers print (quoted names, one element after the other, options behind the
 * brackets), never on line ends.
 *
 * Must never: drop a part of the text silently. What it does not know becomes a
 * CONSTRAINT_OTHER or a setting with the text as its name.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "core/schema/options.h"
#include "core/schema/printed.h"
#include "core/schema/table.h"

static char *lower_case(TALLOC_CTX *ctx, const struct token *t)
{
	char *s = mem_strndup(ctx, t->text, t->len);

	for (char *p = s; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

static void add_lower_case(struct buf *b, const struct token *t)
{
	for (size_t i = 0; i < t->len; i++)
		buf_char(b, (char)tolower((unsigned char)t->text[i]));
}

/* ---- columns ---------------------------------------------------------------------- */

struct column_reader {
	TALLOC_CTX *ctx;
	const struct tokens *t;
	size_t end;
	int depth;
	struct table_column *c;
};

static void read_elements(struct column_reader *r, size_t i, size_t end)
{
	const char **list = mem_array(r->ctx, const char *, end - i);
	size_t n = 0;

	for (; i < end; i++)
		if (r->t->v[i].type == TOKEN_STRING)
			list[n++] = token_string(list, &r->t->v[i]);
	r->c->elements = list;
	r->c->n_elements = n;
}

/* The type's name, its brackets, unsigned and zerofill. Returns the index after them. */
static size_t read_type(struct column_reader *r, size_t i)
{
	const struct tokens *t = r->t;

	r->c->type = lower_case(r->ctx, &t->v[i]);
	i++;
	if (i < r->end && token_punct(&t->v[i], '(')) {
		size_t after = tokens_skip(t, i);

		r->c->args = tokens_text(r->ctx, t, i + 1, after - 1);
		if (strcmp(r->c->type, "enum") == 0 || strcmp(r->c->type, "set") == 0)
			read_elements(r, i + 1, after - 1);
		i = after;
	}
	for (; i < r->end; i++) {
		if (token_is(&t->v[i], "unsigned"))
			r->c->is_unsigned = true;
		else if (token_is(&t->v[i], "zerofill"))
			r->c->zerofill = true;
		else
			break;
	}
	return i;
}

/* Words that end a DEFAULT value, which is otherwise any expression. */
static bool begins_attribute(const struct token *t)
{
	static const char *const words[] = {
		"ON",	     "NOT",	"COMMENT",   "AUTO_INCREMENT", "GENERATED",
		"INVISIBLE", "CHECK",	"COLLATE",   "COLUMN_FORMAT",  "STORAGE",
		"SRID",	     "WITHOUT", "CHARACTER",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (token_is(t, words[i]))
			return true;
	return false;
}

static size_t read_default(struct column_reader *r, size_t i)
{
	size_t from = i;

	for (; i < r->end; i++)
		if (i > from && r->t->v[i].depth == r->depth &&
		    begins_attribute(&r->t->v[i]))
			break;
	r->c->default_value = tokens_text(r->ctx, r->t, from, i);
	return i;
}

static void read_attributes(struct column_reader *r, size_t i)
{
	const struct tokens *t = r->t;
	struct table_column *c = r->c;

	while (i < r->end) {
		const struct token *k = &t->v[i];

		if (k->depth != r->depth) {
			i++;
		} else if (token_is(k, "CHARACTER") && token_is(k + 1, "SET")) {
			c->charset = lower_case(r->ctx, k + 2);
			i += 3;
		} else if (token_is(k, "COLLATE")) {
			c->collation = lower_case(r->ctx, k + 1);
			i += 2;
		} else if (token_is(k, "NOT") && token_is(k + 1, "NULL")) {
			c->not_null = true;
			i += 2;
		} else if (token_is(k, "DEFAULT")) {
			i = read_default(r, i + 1);
		} else {
			if (token_is(k, "AUTO_INCREMENT"))
				c->auto_increment = true;
			else if (token_is(k, "VIRTUAL"))
				c->kind = COLUMN_VIRTUAL;
			else if (token_is(k, "STORED") || token_is(k, "PERSISTENT"))
				c->kind = COLUMN_STORED;
			i++;
		}
	}
}

static void read_column(TALLOC_CTX *ctx, const struct tokens *t, size_t from, size_t to,
			struct table_column *c)
{
	struct column_reader r = {
		.ctx = ctx, .t = t, .end = to, .depth = t->v[from].depth, .c = c
	};

	c->name = token_name(ctx, &t->v[from]);
	c->definition = tokens_text(ctx, t, from + 1, to);
	read_attributes(&r, read_type(&r, from + 1));
}

/* ---- indexes ---------------------------------------------------------------------- */

static void read_parts(TALLOC_CTX *ctx, const struct tokens *t, size_t from, size_t to,
		       struct table_index *x)
{
	struct index_part *parts = mem_array(ctx, struct index_part, to - from + 1);
	int depth = t->v[from].depth;

	for (size_t i = from, start = from; i <= to; i++) {
		if (i < to && (t->v[i].depth != depth || !token_punct(&t->v[i], ',')))
			continue;
		parts[x->n_parts].text = tokens_text(parts, t, start, i);
		if (t->v[start].type == TOKEN_IDENT)
			parts[x->n_parts].column = token_name(parts, &t->v[start]);
		x->n_parts++;
		start = i + 1;
	}
	x->parts = parts;
}

static const char *index_kind_words(enum index_kind kind)
{
	switch (kind) {
	case INDEX_PRIMARY:
		return "PRIMARY KEY";
	case INDEX_UNIQUE:
		return "UNIQUE KEY";
	case INDEX_PLAIN:
		break;
	case INDEX_FULLTEXT:
		return "FULLTEXT KEY";
	case INDEX_SPATIAL:
		return "SPATIAL KEY";
	}
	return "KEY";
}

/* USING BTREE and USING HASH where the engine knows no other, or takes it by itself. */
static bool is_moot_type(const struct table *table, const struct table_index *x,
			 const struct token *type)
{
	if (strcasecmp(table->engine, "MEMORY") == 0)
		return token_is(type, "HASH");
	return token_is(type, "BTREE") ||
	       (x->kind == INDEX_PLAIN && strcasecmp(table->engine, "InnoDB") == 0);
}

/*
 * What follows the brackets, without visibility, a type that says nothing, and a block
 * size that InnoDB ignores: servers print it when it is not the table's any more.
 */
static void read_index_rest(struct buf *b, const struct table *table, size_t i, size_t to,
			    struct table_index *x)
{
	const struct tokens *t = &table->tokens;
	bool innodb = strcasecmp(table->engine, "InnoDB") == 0;

	for (; i < to; i++) {
		const struct token *k = &t->v[i];

		if (token_is(k, "INVISIBLE") || token_is(k, "IGNORED")) {
			x->visible = false;
		} else if (token_is(k, "VISIBLE")) {
			x->visible = true;
		} else if ((token_is(k, "NOT") && token_is(k + 1, "IGNORED")) ||
			   (token_is(k, "USING") && is_moot_type(table, x, k + 1))) {
			i++;
		} else if (innodb && token_is(k, "KEY_BLOCK_SIZE")) {
			i += token_punct(k + 1, '=') ? 2 : 1;
		} else {
			buf_char(b, ' ');
			buf_add(b, k->text, k->len);
		}
	}
}

/* The key parts as they are compared: the case of a column's name says nothing. */
static void add_parts(struct buf *b, const struct tokens *t, size_t from, size_t to)
{
	int depth = t->v[from].depth;

	for (size_t i = from; i < to; i++) {
		const struct token *k = &t->v[i];

		if (k->space && i > from)
			buf_char(b, ' ');
		if (k->type == TOKEN_IDENT && k->depth == depth)
			add_lower_case(b, k);
		else
			buf_add(b, k->text, k->len);
	}
}

static bool read_index(struct table *table, size_t from, size_t to, struct table_index *x)
{
	TALLOC_CTX *ctx = table;
	const struct tokens *t = &table->tokens;
	static const struct {
		const char *word;
		enum index_kind kind;
	} kinds[] = { { "PRIMARY", INDEX_PRIMARY },
		      { "UNIQUE", INDEX_UNIQUE },
		      { "FULLTEXT", INDEX_FULLTEXT },
		      { "SPATIAL", INDEX_SPATIAL } };
	size_t i = from, close;
	struct buf b;

	*x = (struct table_index){ .kind = INDEX_PLAIN, .visible = true };
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		if (token_is(&t->v[i], kinds[k].word)) {
			x->kind = kinds[k].kind;
			i++;
			break;
		}
	if (!token_is(&t->v[i], "KEY"))
		return false;
	i++;
	if (x->kind == INDEX_PRIMARY)
		x->name = "PRIMARY";
	else
		x->name = token_name(ctx, &t->v[i++]);
	if (!x->name || !token_punct(&t->v[i], '('))
		return false;
	close = tokens_skip(t, i);
	read_parts(ctx, t, i + 1, close - 1, x);
	x->definition = tokens_text(ctx, t, from, to);
	buf_init(&b, ctx);
	buf_printf(&b, "%s (", index_kind_words(x->kind));
	add_parts(&b, t, i + 1, close - 1);
	buf_char(&b, ')');
	read_index_rest(&b, table, close, to, x);
	x->canonical = b.data;
	return true;
}

/* ---- constraints ------------------------------------------------------------------ */

/* The names between the brackets that open at i. */
static const char *const *read_names(TALLOC_CTX *ctx, const struct tokens *t, size_t i,
				     size_t *n)
{
	size_t end = token_punct(&t->v[i], '(') ? tokens_skip(t, i) : i;
	const char **names = mem_array(ctx, const char *, end - i + 1);

	*n = 0;
	for (; i < end; i++)
		if (t->v[i].type == TOKEN_IDENT)
			names[(*n)++] = token_name(names, &t->v[i]);
	return names;
}

/* CONSTRAINT `name` FOREIGN KEY (columns) REFERENCES parent (columns) */
static void read_foreign_key(TALLOC_CTX *ctx, const struct tokens *t, size_t i, size_t to,
			     struct table_constraint *c)
{
	size_t n;

	c->columns = read_names(ctx, t, i + 4, &c->n_columns);
	while (i < to && !token_is(&t->v[i], "REFERENCES"))
		i++;
	c->parent = token_name(ctx, &t->v[i + 1]);
	if (token_punct(&t->v[i + 2], '.')) {
		c->parent_schema = c->parent;
		c->parent = token_name(ctx, &t->v[i + 3]);
		i += 2;
	}
	c->parent_columns = read_names(ctx, t, i + 2, &n);
	if (n < c->n_columns)
		c->n_columns = n;
}

/* t_ibfk_1 (InnoDB), t_chk_1 (MySQL), CONSTRAINT_1 (MariaDB): nobody chose this name. */
static bool is_generated_name(const struct table *t, const char *name,
			      enum constraint_kind kind)
{
	const char *infix = kind == CONSTRAINT_FOREIGN_KEY ? "_ibfk_" : "_chk_";
	size_t len = strlen(t->name);

	if (kind == CONSTRAINT_CHECK && strncmp(name, "CONSTRAINT_", 11) == 0)
		name += 11;
	else if (strncasecmp(name, t->name, len) == 0 &&
		 strncmp(name + len, infix, strlen(infix)) == 0)
		name += len + strlen(infix);
	else
		return false;
	return *name && name[strspn(name, "0123456789")] == '\0';
}

/*
 * FOREIGN KEY (`a`) REFERENCES `p` (`i`) ON DELETE CASCADE, without what says nothing:
 * the case of a column's name, and the action that InnoDB takes anyway (RESTRICT and NO
 * ACTION are the same to it).
 */
static char *foreign_key_canonical(TALLOC_CTX *ctx, const struct tokens *t, size_t i,
				   size_t to)
{
	struct buf b;

	buf_init(&b, ctx);
	for (; i < to; i++) {
		const struct token *k = &t->v[i];
		bool moot = token_is(k, "ON") &&
			    (token_is(k + 2, "RESTRICT") || token_is(k + 2, "NO"));

		if (moot) {
			i += token_is(k + 2, "NO") ? 3 : 2;
			continue;
		}
		if (k->space && b.len > 0)
			buf_char(&b, ' ');
		if (k->depth > t->v[0].depth + 1)
			add_lower_case(&b, k);
		else
			buf_add(&b, k->text, k->len);
	}
	return b.data;
}

static void read_constraint(struct table *table, size_t from, size_t to,
			    struct table_constraint *c)
{
	const struct tokens *t = &table->tokens;
	struct buf b;

	*c = (struct table_constraint){ .kind = CONSTRAINT_OTHER,
					.definition = tokens_text(table, t, from, to) };
	c->name = c->content = c->canonical = c->definition;
	if (!token_is(&t->v[from], "CONSTRAINT"))
		return;
	if (token_is(&t->v[from + 2], "FOREIGN")) {
		c->kind = CONSTRAINT_FOREIGN_KEY;
		read_foreign_key(table, t, from, to, c);
		c->canonical = foreign_key_canonical(table, t, from + 2, to);
	} else if (token_is(&t->v[from + 2], "CHECK")) {
		c->kind = CONSTRAINT_CHECK;
		buf_init(&b, table);
		tokens_canonical(&b, t, from + 2, to);
		c->canonical = b.data;
	} else {
		return;
	}
	c->content = tokens_text(table, t, from + 2, to);
	c->name = token_name(table, &t->v[from + 1]);
	c->generated = is_generated_name(table, c->name, c->kind);
}

/* ---- the table -------------------------------------------------------------------- */

static void read_element(struct table *t, size_t from, size_t to)
{
	struct table_column column = { 0 };
	struct table_index index;

	if (t->tokens.v[from].type == TOKEN_IDENT) {
		read_column(t, &t->tokens, from, to, &column);
		t->columns[t->n_columns++] = column;
	} else if (read_index(t, from, to, &index)) {
		t->indexes[t->n_indexes++] = index;
	} else {
		read_constraint(t, from, to, &t->constraints[t->n_constraints++]);
	}
}

static void read_elements_of(struct table *t, size_t open, size_t close)
{
	const struct tokens *k = &t->tokens;
	size_t most = 1;

	for (size_t i = open + 1; i < close; i++)
		if (k->v[i].depth == 1 && token_punct(&k->v[i], ','))
			most++;
	t->columns = mem_array(t, struct table_column, most);
	t->indexes = mem_array(t, struct table_index, most);
	t->constraints = mem_array(t, struct table_constraint, most);
	for (size_t i = open + 1, from = i; i <= close; i++)
		if (i == close || (k->v[i].depth == 1 && token_punct(&k->v[i], ','))) {
			read_element(t, from, i);
			from = i + 1;
		}
}

/* Options with a field of their own; everything else becomes a setting. */
static void read_option(struct table *t, const char *name, const char *value)
{
	if (strcmp(name, "ENGINE") == 0)
		t->engine = value;
	else if (strcmp(name, "CHARSET") == 0)
		t->charset = value;
	else if (strcmp(name, "COLLATE") == 0)
		t->collation = value;
	else if (strcmp(name, "ROW_FORMAT") == 0)
		t->row_format = t->row_format_printed = value;
	else
		t->settings[t->n_settings++] = (struct table_setting){ name, value };
}

static int not_known(const struct token *k, struct sb_err *err)
{
	return sb_err(err, SB_EENGINE, "line %d: not understood near \"%.*s\"", k->line,
		      k->len < 60 ? (int)k->len : 60, k->text);
}

/* -1: something that is neither an option nor could be a new one. */
static int read_options(struct table *t, size_t i, struct sb_err *err)
{
	const struct table_option *option;
	size_t value, value_end, next;

	t->settings = mem_array(t, struct table_setting, t->tokens.n - i + 1);
	while (i < t->tokens.n && !token_is(&t->tokens.v[i], "PARTITION")) {
		const struct token *k = &t->tokens.v[i];

		next = option_read(&t->tokens, i, &option, &value, &value_end);
		if (next == 0) {
			if (k->type == TOKEN_PUNCT && !token_punct(k, '='))
				return not_known(k, err);
			read_option(t, tokens_text(t, &t->tokens, i, i + 1), "");
			i++;
			continue;
		}
		k = &t->tokens.v[value];
		if (value < value_end && k->type == TOKEN_PUNCT && !token_punct(k, '('))
			return not_known(k, err);
		read_option(t, option->name,
			    tokens_text(t, &t->tokens, value, value_end));
		i = next;
	}
	t->partitioning = tokens_text(t, &t->tokens, i, t->tokens.n);
	return 0;
}

/* What is inherited is not printed; introspect.c puts the server's word over this. */
static void inherit_collations(struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		struct table_column *c = &t->columns[i];

		if (!column_is_text(c) || c->collation)
			continue;
		c->collation = c->charset ? c->charset : t->collation;
		c->charset = c->charset ? c->charset : t->charset;
	}
}

int table_read(TALLOC_CTX *ctx, const char *show_create, struct table **out,
	       struct sb_err *err)
{
	struct table *t = mem_new(ctx, struct table);
	size_t close;

	*out = NULL;
	t->engine = t->charset = t->collation = "";
	t->row_format = t->row_format_printed = "";
	if (tokenize(t, show_create, &t->tokens, err) < 0)
		goto fail;
	t->create_sql = printed_clean(t, show_create, &t->tokens, &t->counter);
	talloc_free(t->tokens.v);
	if (tokenize(t, t->create_sql, &t->tokens, err) < 0)
		goto fail;
	if (!token_is(&t->tokens.v[0], "CREATE") || !token_is(&t->tokens.v[1], "TABLE") ||
	    t->tokens.v[2].type != TOKEN_IDENT || !token_punct(&t->tokens.v[3], '(')) {
		sb_err(err, SB_EENGINE, "not the form of a table that is known: %.200s",
		       show_create);
		goto fail;
	}
	t->name = token_name(t, &t->tokens.v[2]);
	close = tokens_skip(&t->tokens, 3);
	if (read_options(t, close, err) < 0)
		goto fail;
	read_elements_of(t, 3, close - 1);
	inherit_collations(t);
	table_make_canonical(t);
	*out = t;
	return 0;
fail:
	if (err)
		err->code = SB_EENGINE;
	talloc_free(t);
	return -1;
}
