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
	bool quoted;		   /* a name, and no keyword */
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

/* Executable comments are text like any other: their content is what counts. Their first
 * digits are the version that executes it, which we take to be this one's. */
static bool skip_comment(struct words *w)
{
	size_t left = (size_t)(w->end - w->p);
	const char *to = NULL;

	if (left >= 2 && w->p[0] == '/' && w->p[1] == '*') {
		size_t head = left >= 3 && w->p[2] == '!'		      ? 3
			      : left >= 4 && w->p[2] == 'M' && w->p[3] == '!' ? 4
									      : 0;

		if (head > 0) {
			w->p += head;
			while (w->p < w->end && isdigit((unsigned char)*w->p))
				w->p++;
			return true;
		}
		to = memmem(w->p + 2, left - 2, "*/", 2);
		w->p = to ? to + 2 : w->end;
		return true;
	}
	/* The end of an executable one. */
	if (left >= 2 && w->p[0] == '*' && w->p[1] == '/') {
		w->p += 2;
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
	w->quoted = false;
	while (w->p < w->end && (isspace((unsigned char)*w->p) || skip_comment(w)))
		if (w->p < w->end && isspace((unsigned char)*w->p))
			w->p++;
	if (w->p >= w->end)
		return false;
	w->quoted = *w->p == '`' || *w->p == '"';
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

static bool is(const struct words *w, const char *keyword)
{
	return !w->mark && !w->quoted && strcasecmp(w->text, keyword) == 0;
}

static bool is_any(const struct words *w, const char *const *keywords)
{
	for (; *keywords; keywords++)
		if (is(w, *keywords))
			return true;
	return false;
}

/* Is the table named, with our schema in front of it or by default? (A name may begin
 * with a dot, for the default: DROP TABLE .a.) Only the first name counts when `first`.
 */
static bool is_named(struct words w, bool first, bool is_default, const char *in_schema,
		     const char *table)
{
	char before[NAME_MAX_BYTES] = "", owner[NAME_MAX_BYTES] = "";
	bool dot = false, any = false;

	while (next(&w)) {
		if (w.mark == '.') {
			dot = *before && strcasecmp(before, "TABLE") != 0;
			memcpy(owner, before, sizeof(owner));
			continue;
		}
		if (first && any && !dot)
			return false;
		if (!w.mark && strcasecmp(w.text, table) == 0 &&
		    (dot ? strcasecmp(owner, in_schema) == 0 : is_default))
			return true;
		any = true;
		dot = false;
		memcpy(before, w.text, sizeof(before));
	}
	return false;
}

/* DATABASE and the like, and its name. */
static bool is_our_schema(struct words w, const char *in_schema)
{
	if (!next(&w) || !(is(&w, "DATABASE") || is(&w, "SCHEMA")))
		return false;
	while (next(&w))
		if (!w.mark && strcasecmp(w.text, in_schema) == 0)
			return true;
	return false;
}

/* To the verb: behind what MariaDB lets stand in front of one. */
static bool verb(struct words *w)
{
	static const char *const formats[] = { "FORMAT", "JSON", "TRADITIONAL", NULL };

	if (!next(w))
		return false;
	if (is(w, "SET")) { /* SET STATEMENT a = 1, … FOR a statement */
		if (!next(w) || !is(w, "STATEMENT"))
			return false;
		while (next(w))
			if (is(w, "FOR"))
				return next(w);
		return false;
	}
	if (is(w, "ANALYZE")) /* ANALYZE UPDATE …: executes it, and tells how */
		while (next(w))
			if (w->mark != '=' && !is_any(w, formats))
				return true;
	return true;
}

/* What CREATE does with a table that is there. What kind of thing it makes is said before
 * any name of one, except that of a DEFINER. */
static enum statement_kind created(struct words w, bool is_default, const char *in_schema,
				   const char *table)
{
	static const char *const on_tables[] = { "TRIGGER", "INDEX", NULL };
	static const char *const others[] = { "VIEW",	    "PROCEDURE", "FUNCTION",
					      "EVENT",	    "USER",	 "ROLE",
					      "SERVER",	    "PACKAGE",	 "SEQUENCE",
					      "TABLESPACE", "LOGFILE",	 "TEMPORARY",
					      NULL };
	bool replaces = false, made = false;
	struct words before = w;

	for (; next(&w); before = w) {
		if (is(&w, "REPLACE"))
			replaces = true;
		if (is(&w, "DATABASE") || is(&w, "SCHEMA"))
			return replaces && is_our_schema(before, in_schema)
				       ? STATEMENT_DDL
				       : STATEMENT_HARMLESS;
		if (is_any(&w, others))
			return STATEMENT_HARMLESS;
		made = is(&w, "TABLE");
		if (made || is_any(&w, on_tables))
			break;
	}
	if (!is_named(w, false, is_default, in_schema, table))
		return STATEMENT_HARMLESS;
	if (!made || replaces)
		return STATEMENT_DDL;
	/* A new table changes ours in one way: it may refer to it. */
	while (next(&w))
		if (is(&w, "REFERENCES"))
			return STATEMENT_DDL;
	return STATEMENT_HARMLESS;
}

/* The words between the verb and the table of an INSERT or REPLACE, which writes to none
 * but that one. */
static void skip_insert(struct words *w)
{
	static const char *const words[] = { "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED",
					     "IGNORE",	     "INTO",	      NULL };
	struct words ahead = *w;

	while (next(&ahead) && is_any(&ahead, words))
		*w = ahead;
}

enum statement_kind statement_kind(const char *schema, size_t schema_len, const char *sql,
				   size_t sql_len, const char *in_schema,
				   const char *table)
{
	struct words w = { .p = sql, .end = sql + sql_len }, ahead;
	bool is_default = same_schema(schema, schema_len, in_schema), insert;
	enum statement_kind kind = STATEMENT_HARMLESS;

	if (!verb(&w))
		return STATEMENT_HARMLESS;
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (is(&w, verbs[i].word))
			kind = verbs[i].kind;
	if (kind == STATEMENT_HARMLESS)
		return kind;
	if (is(&w, "CREATE"))
		return created(w, is_default, in_schema, table);
	ahead = w;
	if (is(&w, "DROP") && next(&ahead)) {
		if (is(&ahead, "DATABASE") || is(&ahead, "SCHEMA"))
			return is_our_schema(w, in_schema) ? STATEMENT_DDL
							   : STATEMENT_HARMLESS;
		/* A temporary table is nobody else's, whatever its name. */
		if (is(&ahead, "TEMPORARY"))
			return STATEMENT_HARMLESS;
	}
	insert = is(&w, "INSERT") || is(&w, "REPLACE");
	if (insert)
		skip_insert(&w);
	return is_named(w, insert, is_default, in_schema, table) ? kind
								 : STATEMENT_HARMLESS;
}
