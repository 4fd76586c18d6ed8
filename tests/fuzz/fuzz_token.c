/*
 * fuzz_token.c - any bytes as a schema file: the tokenizer and the allow-list.
 *
 * What must hold: tokens lie in the text in order, and between them is nothing but white
 * space and comments; joined and split again they are the same; and an accepted file is
 * one CREATE TABLE of the same name in both readings of its executable comments, each of
 * which is accepted by itself and is one statement by a second, simpler judgement of
 * where statements end (the one below, which shares nothing with token.c).
 */
#include "core/schema/allow.h"
#include "core/schema/token.h"
#include "tests/fuzz/fuzz.h"

/* ---- tokens ------------------------------------------------------------------------ */

static const char *skip_gap(const char *p, const char *end)
{
	while (p < end) {
		if (strchr(" \t\n\v\f\r", *p)) {
			p++;
		} else if (*p == '#' || (*p == '-' && p + 1 < end && p[1] == '-')) {
			while (p < end && *p != '\n')
				p++;
		} else if (*p == '/' && p + 1 < end && p[1] == '*') {
			p += 2;
			if (p < end && (*p == '!' || (*p == 'M' && p[1] == '!'))) {
				p += *p == 'M' ? 2 : 1;
				while (p < end && *p >= '0' && *p <= '9')
					p++;
				continue;
			}
			while (p + 1 < end && !(p[0] == '*' && p[1] == '/'))
				p++;
			MUST(p + 1 < end);
			p += 2;
		} else if (*p == '*' && p + 1 < end && p[1] == '/') {
			p += 2;
		} else {
			break;
		}
	}
	return p;
}

static void check_cover(const char *sql, const struct tokens *t)
{
	const char *at = sql, *end = sql + strlen(sql);
	int line = 1;

	for (size_t i = 0; i < t->n; i++) {
		const struct token *k = &t->v[i];

		MUST(k->type != TOKEN_END && k->len > 0 && k->depth >= 0);
		MUST(k->text >= at && k->text + k->len <= end && k->line >= line);
		MUST(skip_gap(at, k->text) == k->text);
		MUST(k->space == (at != k->text) || i == 0);
		line = k->line;
		at = k->text + k->len;
	}
	MUST(skip_gap(at, end) == end);
	for (size_t i = 0; i < TOKENS_PADDING; i++)
		MUST(t->v[t->n + i].type == TOKEN_END);
}

static void check_join(TALLOC_CTX *ctx, const struct tokens *t)
{
	char *joined = tokens_text(ctx, t, 0, t->n);
	struct tokens again;

	MUST(tokenize(ctx, joined, &again, NULL) == 0);
	MUST(again.n == t->n);
	for (size_t i = 0; i < t->n; i++) {
		MUST(again.v[i].type == t->v[i].type && again.v[i].len == t->v[i].len);
		MUST(memcmp(again.v[i].text, t->v[i].text, t->v[i].len) == 0);
		MUST(again.v[i].depth == t->v[i].depth);
		if (t->v[i].type == TOKEN_STRING)
			token_string(ctx, &t->v[i]);
		else
			token_name(ctx, &t->v[i]);
		if (token_punct(&t->v[i], '('))
			MUST(tokens_skip(t, i) > i && tokens_skip(t, i) <= t->n);
	}
}

/* ---- a second opinion -------------------------------------------------------------- */

static bool begins_line_comment(const char *p)
{
	return *p == '#' ||
	       (p[0] == '-' && p[1] == '-' && (!p[2] || strchr(" \t\n\v\f\r", p[2])));
}

/* The end of what begins at p: a quoted text, or (p itself) nothing of that kind. */
static const char *skip_quoted(const char *p)
{
	char quote = *p;

	if (!strchr("'\"`", quote))
		return p;
	for (p++; *p && *p != quote; p++)
		if (*p == '\\' && quote != '`' && p[1])
			p++;
	return *p ? p + 1 : p;
}

/* p is behind the mark of an executable comment, or NULL: there is none at p. */
static const char *skip_mark(const char *p)
{
	if (p[0] != '/' || p[1] != '*')
		return NULL;
	p += p[2] == 'M' && p[3] == '!' ? 3 : 2;
	return *p == '!' ? p + 1 + strspn(p + 1, "0123456789") : NULL;
}

/*
 * The statement as a server reads it that executes all executable comments, or none. An
 * empty comment stands for each mark: white space could make "--" one.
 */
static char *one_reading(TALLOC_CTX *ctx, const char *sql, bool execute)
{
	bool executable = false;
	struct buf out;

	buf_init(&out, ctx);
	while (*sql) {
		const char *end = skip_mark(sql);

		if (end || (executable && sql[0] == '*' && sql[1] == '/')) {
			executable = end != NULL;
			buf_str(&out, "/**/");
			sql = end ? end : sql + 2;
			continue;
		}
		if (executable && !execute) {
			sql++;
			continue;
		}
		end = skip_quoted(sql);
		if (end == sql && begins_line_comment(sql))
			end = sql + strcspn(sql, "\n");
		else if (end == sql && sql[0] == '/' && sql[1] == '*')
			end = strstr(sql + 2, "*/") + 2;
		else if (end == sql)
			end = sql + 1;
		buf_add(&out, sql, (size_t)(end - sql));
		sql = end;
	}
	return out.data;
}

/* Statements in a text without executable comments: what is between semicolons and is not
 * blank. */
static int count_statements(const char *sql)
{
	bool something = false;
	int n = 0;

	while (*sql) {
		if (begins_line_comment(sql)) {
			sql += strcspn(sql, "\n");
		} else if (sql[0] == '/' && sql[1] == '*') {
			sql = strstr(sql + 2, "*/") + 2;
		} else if (*sql == ';') {
			n += something;
			something = false;
			sql++;
		} else {
			const char *end = skip_quoted(sql);

			something |= !strchr(" \t\n\v\f\r", *sql);
			sql = end > sql ? end : sql + 1;
		}
	}
	return n + something;
}

static void check_accepted(TALLOC_CTX *ctx, const char *sql, const char *table,
			   const struct tokens *t)
{
	MUST(table && *table);
	MUST(allow_same_statement(t, t));
	for (int execute = 0; execute < 2; execute++) {
		const char *reading = one_reading(ctx, sql, execute);
		struct tokens again;
		char *name;

		MUST(count_statements(reading) == 1);
		MUST(allow_file(ctx, reading, &name, &again, NULL) == 0);
		MUST(strcmp(name, table) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *sql = fuzz_text(data, size), *table;
	TALLOC_CTX *ctx = mem_ctx(NULL, "fuzz");
	struct sb_err err = { 0 };
	struct tokens t;

	if (tokenize(ctx, sql, &t, &err) == 0) {
		check_cover(sql, &t);
		check_join(ctx, &t);
	} else {
		MUST(err.code == SB_EINVALID && strstr(err.msg, "line "));
	}
	if (allow_file(ctx, sql, &table, &t, &err) == 0)
		check_accepted(ctx, sql, table, &t);
	else
		MUST(err.code == SB_EINVALID && *err.msg);
	talloc_free(ctx);
	free(sql);
	return 0;
}
