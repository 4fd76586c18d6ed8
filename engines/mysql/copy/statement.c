/*
 * statement.c - see statement.h.
 *
 * The statement is split into words, quoted names and punctuation; strings and comments
 * are passed over. Its first word says what it can do, and a name equal to the table's
 * (with our schema in front of it, or none while ours is the default) that it is meant.
 */
#include "engines/mysql/copy/statement.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"

#define NAME_MAX_BYTES 256

static const struct {
	const char *word;
	enum statement_kind kind;
} verbs[] = {
	{ "ALTER", STATEMENT_DDL },   { "DROP", STATEMENT_DDL },
	{ "RENAME", STATEMENT_DDL },  { "TRUNCATE", STATEMENT_DDL },
	{ "CREATE", STATEMENT_DDL },  { "IMPORT", STATEMENT_DDL },
	{ "INSERT", STATEMENT_ROWS }, { "UPDATE", STATEMENT_ROWS },
	{ "DELETE", STATEMENT_ROWS }, { "REPLACE", STATEMENT_ROWS },
	{ "LOAD", STATEMENT_ROWS },   { "WITH", STATEMENT_ROWS },
};

struct words {
	const char *p, *end;
	char text[NAME_MAX_BYTES]; /* the current one, without quotes; "" = punctuation */
	char mark;		   /* punctuation; 0 = a word or name */
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' ||
	       (unsigned char)c >= 0x80;
}

/* To behind the closing quote; doubled ones are part of the text, and so is what follows
 * a backslash, but in names. */
static void quoted(struct words *w, char quote, bool keep)
{
	size_t n = 0;

	for (w->p++; w->p < w->end; w->p++) {
		if (*w->p == quote) {
			if (w->p + 1 >= w->end || w->p[1] != quote) {
				w->p++;
				break;
			}
			w->p++;
		} else if (*w->p == '\\' && quote != '`' && w->p + 1 < w->end) {
			w->p++;
		}
		if (keep && n + 1 < sizeof(w->text))
			w->text[n++] = *w->p;
	}
	w->text[n] = '\0';
}

/* Executable comments are text like any other: their content is what counts. */
static bool skip_comment(struct words *w)
{
	size_t left = (size_t)(w->end - w->p);
	const char *to = NULL;

	if (left >= 2 && w->p[0] == '/' && w->p[1] == '*') {
		if (left >= 3 && (w->p[2] == '!' || w->p[2] == 'M')) {
			w->p += 3;
			return true;
		}
		to = memmem(w->p + 2, left - 2, "*/", 2);
		w->p = to ? to + 2 : w->end;
		return true;
	}
	if (*w->p == '#' || (left >= 2 && w->p[0] == '-' && w->p[1] == '-' &&
			     (left == 2 || isspace((unsigned char)w->p[2])))) {
		to = memchr(w->p, '\n', left);
		w->p = to ? to + 1 : w->end;
		return true;
	}
	return false;
}

static bool next(struct words *w)
{
	size_t n = 0;

	w->mark = '\0';
	w->text[0] = '\0';
	while (w->p < w->end && (isspace((unsigned char)*w->p) || skip_comment(w)))
		if (w->p < w->end && isspace((unsigned char)*w->p))
			w->p++;
	if (w->p >= w->end)
		return false;
	if (*w->p == '`') {
		quoted(w, '`', true);
	} else if (*w->p == '"') {
		quoted(w, '"', true); /* a name under ANSI_QUOTES */
	} else if (*w->p == '\'') {
		quoted(w, '\'', false);
		w->mark = '\'';
	} else if (is_word(*w->p)) {
		for (; w->p < w->end && is_word(*w->p); w->p++)
			if (n + 1 < sizeof(w->text))
				w->text[n++] = *w->p;
		w->text[n] = '\0';
	} else {
		w->mark = *w->p++;
	}
	return true;
}

static bool same_schema(const char *a, size_t len, const char *b)
{
	return strlen(b) == len && strncasecmp(a, b, len) == 0;
}

/* Is the table named, with our schema in front of it or by default? */
static bool is_named(struct words w, bool is_default, const char *in_schema,
		     const char *table)
{
	char before[NAME_MAX_BYTES] = "", owner[NAME_MAX_BYTES] = "";
	bool dot = false;

	while (next(&w)) {
		if (w.mark == '.') {
			dot = true;
			memcpy(owner, before, sizeof(owner));
			continue;
		}
		if (!w.mark && strcasecmp(w.text, table) == 0 &&
		    (dot ? strcasecmp(owner, in_schema) == 0 : is_default))
			return true;
		dot = false;
		memcpy(before, w.text, sizeof(before));
	}
	return false;
}

/* DROP DATABASE and the like name the schema only. */
static bool is_schema_gone(struct words w, const char *in_schema)
{
	bool database = false;

	while (next(&w)) {
		if (!database && (strcasecmp(w.text, "DATABASE") == 0 ||
				  strcasecmp(w.text, "SCHEMA") == 0))
			database = true;
		else if (database && strcasecmp(w.text, in_schema) == 0)
			return true;
		else if (!database)
			return false;
	}
	return false;
}

/* Of what CREATE makes, these change a table that is there. */
static bool creates_on_table(struct words w)
{
	while (next(&w)) {
		if (strcasecmp(w.text, "TRIGGER") == 0 ||
		    strcasecmp(w.text, "INDEX") == 0 ||
		    strcasecmp(w.text, "REPLACE") == 0)
			return true;
		if (strcasecmp(w.text, "TABLE") == 0 || strcasecmp(w.text, "VIEW") == 0)
			return false;
	}
	return false;
}

enum statement_kind statement_kind(const char *schema, size_t schema_len, const char *sql,
				   size_t sql_len, const char *in_schema,
				   const char *table)
{
	struct words w = { .p = sql, .end = sql + sql_len };
	enum statement_kind kind = STATEMENT_HARMLESS;

	if (!next(&w))
		return STATEMENT_HARMLESS;
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcasecmp(w.text, verbs[i].word) == 0)
			kind = verbs[i].kind;
	if (kind == STATEMENT_HARMLESS)
		return kind;
	if (strcasecmp(w.text, "CREATE") == 0 && !creates_on_table(w))
		return STATEMENT_HARMLESS;
	if (strcasecmp(w.text, "DROP") == 0 && is_schema_gone(w, in_schema))
		return STATEMENT_DDL;
	return is_named(w, same_schema(schema, schema_len, in_schema), in_schema, table)
		       ? kind
		       : STATEMENT_HARMLESS;
}
