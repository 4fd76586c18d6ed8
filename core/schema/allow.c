/*
 * allow.c - the allow-list for schema files; see allow.h.
 *
 * The statement's frame is checked word by word: CREATE TABLE name (…) options
 * partitioning. Inside the brackets the server is the judge, but for what would leave the
 * scratch schema or is not ours to manage. Executable comments are judged in both ways a
 * server can read them: with their content and without.
 */
#include "core/schema/allow.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "core/schema/options.h"
#include "core/schema/schema.h"

/* A server finds that out itself, but compares each with each first: half a minute. */
#define MAX_ELEMENTS 65535
/*
 * Servers take expressions apart by recursion, and not everywhere do they watch what is
 * left of the stack: a CHECK of 2,000 functions within each other or of 10,000 additions
 * ends MariaDB 10.11, one of 10,000 minus signs MySQL 9. With 500 functions and 2,000
 * signs both live.
 */
#define MAX_BRACKETS   100  /* within each other */
#define MAX_OPERATIONS 1000 /* in a column, a constraint, an index, a partition */
/* Columns are compared with each other, and MariaDB cannot be killed at that: 250,000
 * keep a processor busy for many minutes. Neither server takes more than 4096, and 128
 * indexes.
 */
#define MAX_PARTS	5000
#define BYTE_ORDER_MARK "\xef\xbb\xbf"
#define ONE_STATEMENT	"a schema file holds exactly one CREATE TABLE statement"

static int refuse(const struct token *t, struct sb_err *err, const char *what,
		  const char *advice)
{
	return sb_err(err, SB_EINVALID, "line %d: %s (near \"%.*s\"); %s", t->line, what,
		      t->len < 60 ? (int)t->len : 60, t->text, advice);
}

/* ---- single tokens ------------------------------------------------------------------
 */

static bool is_decimal(const struct token *t)
{
	const char *p = t->text, *end = t->text + t->len;

	while (p < end && (isdigit((unsigned char)*p) || *p == '.'))
		p++;
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		while (p < end && isdigit((unsigned char)*p))
			p++;
	}
	return p == end;
}

/* other.t, also when the lexer took ".1t" or "1t.x" for a number. */
static bool is_qualified(const struct tokens *t, size_t i)
{
	const struct token *k = &t->v[i];
	bool after_name = i > 0 && !k->space &&
			  (k[-1].type == TOKEN_WORD || k[-1].type == TOKEN_IDENT);

	if (token_punct(k, '.'))
		return true;
	return k->type == TOKEN_NUMBER && memchr(k->text, '.', k->len) &&
	       (after_name || !is_decimal(k));
}

/* Servers keep definitions in a 3-byte character set: what is above U+FFFF becomes "?".
 */
static bool has_wide_character(const struct token *t)
{
	for (size_t i = 0; i < t->len; i++)
		if ((unsigned char)t->text[i] >= 0xf0)
			return true;
	return false;
}

static bool is_too_long(const struct token *t)
{
	size_t quotes = t->type == TOKEN_IDENT ? 2 : 0, characters = 0;

	for (size_t i = 0; i < t->len; i++)
		if (((unsigned char)t->text[i] & 0xc0) != 0x80)
			characters++;
	return characters > SCHEMA_MAX_IDENTIFIER + quotes;
}

static int check_name_token(const struct token *k, struct sb_err *err)
{
	if (has_wide_character(k))
		return refuse(k, err, "a name with a character above U+FFFF",
			      "servers do not store such names: rename it");
	if (is_too_long(k))
		return refuse(k, err, "a name that is too long",
			      "use at most 64 characters");
	return 0;
}

/*
 * Functions that wait, lock, count or read files. Servers refuse most of them in a
 * table's definition, but not all and not in every version.
 */
static const char *const reaching_functions[] = {
	"BENCHMARK",
	"GET_LOCK",
	"IS_FREE_LOCK",
	"IS_USED_LOCK",
	"LASTVAL",
	"LOAD_FILE",
	"MASTER_GTID_WAIT",
	"MASTER_POS_WAIT",
	"NEXTVAL",
	"RELEASE_ALL_LOCKS",
	"RELEASE_LOCK",
	"SETVAL",
	"SLEEP",
	"SOURCE_POS_WAIT",
	"WAIT_FOR_EXECUTED_GTID_SET",
	"WAIT_UNTIL_SQL_THREAD_AFTER_GTIDS",
};

/* KEY sleep (a): a name, and not a call. Elements of a table are at depth 1. */
static bool names_an_element(const struct tokens *t, size_t i)
{
	static const char *const before[] = { "KEY",	  "INDEX",   "UNIQUE",
					      "FULLTEXT", "SPATIAL", "REFERENCES" };

	for (size_t k = 0; i > 0 && t->v[i].depth == 1 && k < ARRAY_SIZE(before); k++)
		if (token_is(&t->v[i - 1], before[k]))
			return true;
	return false;
}

/* Quotes do not make another function of it. */
static bool calls_reaching_function(const struct tokens *t, size_t i)
{
	const struct token *k = &t->v[i];
	size_t quote = k->type == TOKEN_IDENT ? 1 : 0;

	if ((k->type != TOKEN_WORD && k->type != TOKEN_IDENT) ||
	    !token_punct(k + 1, '(') || names_an_element(t, i))
		return false;
	for (size_t f = 0; f < ARRAY_SIZE(reaching_functions); f++)
		if (strlen(reaching_functions[f]) + 2 * quote == k->len &&
		    strncasecmp(k->text + quote, reaching_functions[f],
				k->len - 2 * quote) == 0)
			return true;
	return false;
}

static int check_token(const struct tokens *t, size_t i, struct sb_err *err)
{
	const struct token *k = &t->v[i];

	if (token_punct(k, '@'))
		return refuse(k, err, "a variable", "remove it");
	if (is_qualified(t, i))
		return refuse(k, err, "a name with a schema in front",
			      "use plain names: a file cannot reach another schema");
	if (token_is(k, "SELECT"))
		return refuse(k, err, "a query", "remove it: " ONE_STATEMENT);
	if ((token_is(k, "ENUM") || token_is(k, "SET")) && token_punct(k + 1, '(') &&
	    tokens_skip(t, i + 1) - i > 2 * MAX_ELEMENTS + 2)
		return refuse(k, err, "a list of more than 65535 values",
			      "servers take no more: use a table for them");
	if (calls_reaching_function(t, i))
		return refuse(k, err, "a function that reaches out of the table",
			      "remove it: a definition may not wait, lock, read files "
			      "or count");
	if ((token_is(k, "NEXT") || token_is(k, "PREVIOUS")) &&
	    token_is(k + 1, "VALUE") && token_is(k + 2, "FOR"))
		return refuse(
			k, err, "a value of a sequence",
			"sequences are not managed by SchemaBot: use AUTO_INCREMENT");
	if ((token_is(k, "DATA") || token_is(k, "INDEX")) && token_is(k + 1, "DIRECTORY"))
		return refuse(k, err, "a DIRECTORY option",
			      "remove it: the server decides");
	if (token_is(k, "SYSTEM") && token_is(k + 1, "VERSIONING"))
		return refuse(k, err, "system versioning",
			      "system-versioned tables are not managed by SchemaBot");
	if (token_is(k, "PERIOD") && token_is(k + 1, "FOR"))
		return refuse(k, err, "a period",
			      "tables with periods are not managed by SchemaBot");
	if ((k->type == TOKEN_WORD || k->type == TOKEN_IDENT) &&
	    check_name_token(k, err) < 0)
		return -1;
	if (k->type == TOKEN_STRING && has_wide_character(k) &&
	    !(i > 0 && (token_is(k - 1, "COMMENT") || token_is(k - 2, "COMMENT"))))
		return refuse(
			k, err, "a text with a character above U+FFFF",
			"servers replace such characters in definitions by \"?\": use "
			"another text");
	return 0;
}

/* ---- after the brackets --------------------------------------------------------------
 */

static int check_engine(const struct tokens *t, size_t value, struct sb_err *err)
{
	char *name = token_name(NULL, &t->v[value]);
	bool allowed;

	if (!name && t->v[value].type == TOKEN_STRING)
		name = token_string(NULL, &t->v[value]);
	allowed = name && storage_engine_allowed(name);
	talloc_free(name);
	if (!allowed)
		return refuse(&t->v[value], err, "a storage engine that is not supported",
			      "use InnoDB");
	return 0;
}

/* Words that may begin a query or say what to do with its rows. */
static int check_partitioning(const struct tokens *t, size_t i, struct sb_err *err)
{
	static const char *const forbidden[] = { "TABLE",     "WITH",	 "AS",
						 "IGNORE",    "REPLACE", "UNION",
						 "TABLESPACE" };

	for (; i < t->n; i++) {
		const struct token *k = &t->v[i];

		for (size_t f = 0; f < ARRAY_SIZE(forbidden); f++)
			if (token_is(k, forbidden[f]))
				return refuse(k, err, "not part of a partitioning",
					      "remove it (a column of that name must be "
					      "quoted)");
		if (token_is(k, "VALUES") && !token_is(k + 1, "LESS") &&
		    !token_is(k + 1, "IN"))
			return refuse(k, err, "a query", "remove it: " ONE_STATEMENT);
	}
	return 0;
}

static int check_options(const struct tokens *t, size_t i, struct sb_err *err)
{
	const struct table_option *option;
	size_t value, value_end, next;

	while (i < t->n) {
		if (token_punct(&t->v[i], ',')) {
			i++;
			continue;
		}
		if (token_is(&t->v[i], "PARTITION"))
			return check_partitioning(t, i, err);
		next = option_read(t, i, &option, &value, &value_end);
		if (next == 0)
			return refuse(&t->v[i], err,
				      "not a table option that is supported",
				      "remove it");
		if (option->refused)
			return refuse(&t->v[i], err, option->refused,
				      "remove this option");
		if (strcmp(option->name, "ENGINE") == 0 &&
		    check_engine(t, value, err) < 0)
			return -1;
		i = next;
	}
	return 0;
}

/* ---- how deep it goes ------------------------------------------------------------- */

/* Does the comma t->v[i] end a part of the statement that is parsed for itself? Values
 * and subpartitions of a partition are, too. */
static bool ends_part(const struct token *comma, const struct token *part)
{
	return comma->depth <= 1 || (comma->depth == 2 && token_is(part, "PARTITION"));
}

/* What the server would have to go down into, counted without knowing any grammar: names
 * and values are not, all other words, signs and brackets are. */
static int check_depth(const struct tokens *t, struct sb_err *err)
{
	const struct token *part = t->v;
	size_t operations = 0, lists = 0, parts = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct token *k = &t->v[i];

		if (token_punct(k, ',') && ends_part(k, part)) {
			operations = 0;
			if (k->depth == 1)
				part = k + 1;
			if (k->depth == 1 && lists == 1 && ++parts > MAX_PARTS)
				return refuse(
					k, err,
					"more than 5000 columns, keys and constraints",
					"servers take no more: use several tables");
		} else if (token_punct(k, '(') && k->depth == 0) {
			operations = 0;
			part = k + 1;
			lists++;
		} else if (k->type == TOKEN_WORD ||
			   (k->type == TOKEN_PUNCT && !token_punct(k, ',') &&
			    !token_punct(k, ')'))) {
			operations++;
		}
		if (k->depth > MAX_BRACKETS)
			return refuse(k, err, "more than 100 brackets within each other",
				      "simplify the expression: servers may crash on it");
		if (operations > MAX_OPERATIONS)
			return refuse(k, err,
				      "an expression of more than 1000 words and signs",
				      "simplify it: servers may crash on it");
	}
	return 0;
}

/* ---- the frame -------------------------------------------------------------------- */

static int check_name(TALLOC_CTX *ctx, const struct token *t, char **table,
		      struct sb_err *err)
{
	*table = token_name(ctx, t);
	if (!*table || !**table)
		return refuse(t, err, "not a table name",
			      "write CREATE TABLE `name` (…)");
	if (strncasecmp(*table, SCHEMA_SCRATCH_PREFIX, strlen(SCHEMA_SCRATCH_PREFIX)) ==
	    0)
		return refuse(t, err, "a name that is reserved",
			      "names that begin with " SCHEMA_SCRATCH_PREFIX
			      " are SchemaBot's own: choose another");
	return 0;
}

static int check_frame(TALLOC_CTX *ctx, const struct tokens *t, char **table,
		       struct sb_err *err)
{
	static const char *const no_column[] = { "LIKE", "VALUES", "TABLE", "WITH" };
	size_t i = 2;

	if (token_is(&t->v[0], "CREATE") && token_is(&t->v[1], "TEMPORARY"))
		return refuse(&t->v[1], err, "a temporary table", ONE_STATEMENT);
	if (token_is(&t->v[0], "CREATE") && token_is(&t->v[1], "OR"))
		return refuse(&t->v[1], err, "CREATE OR REPLACE", "write CREATE TABLE");
	if (!token_is(&t->v[0], "CREATE") || !token_is(&t->v[1], "TABLE"))
		return refuse(&t->v[t->n > 1 && token_is(&t->v[0], "CREATE") ? 1 : 0],
			      err, "not a CREATE TABLE statement", ONE_STATEMENT);
	if (token_is(&t->v[2], "IF") && token_is(&t->v[3], "NOT") &&
	    token_is(&t->v[4], "EXISTS"))
		i = 5;
	if (check_name(ctx, &t->v[i], table, err) < 0)
		return -1;
	i++;
	if (token_punct(&t->v[i], '.'))
		return refuse(
			&t->v[i], err, "a table name with a schema in front",
			"write the plain name: the namespace says where it belongs");
	if (!token_punct(&t->v[i], '('))
		return refuse(&t->v[i], err, "not a list of columns",
			      "write CREATE TABLE `name` (columns…)");
	for (size_t w = 0; w < ARRAY_SIZE(no_column); w++)
		if (token_is(&t->v[i + 1], no_column[w]))
			return refuse(&t->v[i + 1], err, "not a list of columns",
				      "write the table out");
	if (token_punct(&t->v[i + 1], '('))
		return refuse(&t->v[i + 1], err, "not a list of columns", ONE_STATEMENT);
	if (check_depth(t, err) < 0)
		return -1;
	for (size_t k = i - 1; k < t->n; k++)
		if (check_token(t, k, err) < 0)
			return -1;
	return check_options(t, tokens_skip(t, i), err);
}

/* Cut at the first semicolon; anything after it is a second statement. */
static int one_statement(struct tokens *t, struct sb_err *err)
{
	size_t end = 0;

	while (end < t->n && !token_punct(&t->v[end], ';'))
		end++;
	if (end == 0)
		return sb_err(err, SB_EINVALID, "there is no statement; " ONE_STATEMENT);
	for (size_t i = end; i < t->n; i++) {
		if (!token_punct(&t->v[i], ';'))
			return refuse(&t->v[i], err, "a second statement",
				      ONE_STATEMENT ": move it to a file of its own");
		t->v[i].type = TOKEN_END;
	}
	t->n = end;
	return 0;
}

/* Without what stands in executable comments: as a server reads it that skips them. */
static bool without_executable(TALLOC_CTX *ctx, const struct tokens *all,
			       struct tokens *out)
{
	out->v = mem_array(ctx, struct token, all->n + TOKENS_PADDING);
	out->n = 0;
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].version == 0)
			out->v[out->n++] = all->v[i];
	for (size_t i = 0; i < TOKENS_PADDING; i++)
		out->v[out->n + i] = all->v[all->n];
	return out->n != all->n;
}

int allow_file(TALLOC_CTX *ctx, const char *sql, char **table, struct tokens *tokens,
	       struct sb_err *err)
{
	struct tokens plain;
	char *other = NULL;

	*table = NULL;
	if (strncmp(sql, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		return sb_err(
			err, SB_EINVALID,
			"line 1: a byte order mark; save the file as UTF-8 without it");
	if (tokenize(ctx, sql, tokens, err) < 0 || one_statement(tokens, err) < 0 ||
	    check_frame(ctx, tokens, table, err) < 0)
		return -1;
	if (!without_executable(ctx, tokens, &plain))
		return 0;
	if (check_frame(ctx, &plain, &other, err) < 0)
		return -1;
	if (!*table || !other || strcmp(*table, other) != 0)
		return sb_err(err, SB_EINVALID,
			      "line 1: the table's name stands in an executable comment; "
			      "write it plainly");
	return 0;
}

/* ---- the same statement? ---------------------------------------------------------- */

static size_t skip_ignored(const struct tokens *t, size_t i)
{
	if (i == 2 && token_is(&t->v[2], "IF"))
		return 5;
	if (t->v[i].depth == 0 && token_is(&t->v[i], "AUTO_INCREMENT") &&
	    token_punct(&t->v[i + 1], '='))
		return i + 3;
	return i;
}

static bool same_token(const struct token *a, const struct token *b)
{
	if (a->type != b->type || a->len != b->len || a->version != b->version)
		return false;
	return a->type == TOKEN_WORD ? strncasecmp(a->text, b->text, a->len) == 0
				     : memcmp(a->text, b->text, a->len) == 0;
}

bool allow_same_statement(const struct tokens *a, const struct tokens *b)
{
	size_t i = 0, k = 0;

	for (;; i++, k++) {
		i = skip_ignored(a, i);
		k = skip_ignored(b, k);
		if (i >= a->n || k >= b->n)
			return i >= a->n && k >= b->n;
		if (!same_token(&a->v[i], &b->v[k]))
			return false;
	}
}
