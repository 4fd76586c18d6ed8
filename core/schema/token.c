/*
 * token.c - split SQL text into tokens; see token.h.
 *
 * Sources of the rules: the servers' manuals, "Comment Syntax", "String Literals" and
 * "Schema Object Names"; MariaDB also takes executable comments that begin with "M!".
 */
#include "core/schema/token.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Several times the largest table that a server takes. */
#define MAX_TOKENS 1000000

struct lexer {
	const char *p;
	int line, depth;
	unsigned version;
	int version_depth; /* of the open executable comment */
	bool space;
	struct tokens *out;
	size_t cap;
	TALLOC_CTX *ctx;
};

static bool is_word_start(char c)
{
	return isalpha((unsigned char)c) || c == '_' || c == '$' ||
	       (unsigned char)c >= 0x80;
}

static bool is_word(char c)
{
	return is_word_start(c) || isdigit((unsigned char)c);
}

static void push(struct lexer *x, enum token_type type, const char *text, size_t len,
		 int line)
{
	struct tokens *t = x->out;

	if (t->n == x->cap) {
		x->cap = x->cap ? x->cap * 2 : 64;
		t->v = mem_grow(x->ctx, t->v, struct token, x->cap);
	}
	t->v[t->n++] = (struct token){ .type = type,
				       .space = x->space,
				       .line = line,
				       .depth = x->depth,
				       .version = x->version,
				       .text = text,
				       .len = len };
	x->space = false;
}

static void push_comment(struct lexer *x, const char *text, const char *end)
{
	struct tokens *t = x->out;

	t->comments =
		mem_grow(x->ctx, t->comments, struct token_comment, t->n_comments + 1);
	t->comments[t->n_comments++] =
		(struct token_comment){ text, (size_t)(end - text), x->line };
}

/* "/" "*" and what follows: plain comments are skipped, executable ones are entered. */
static int open_comment(struct lexer *x, struct sb_err *err)
{
	const char *end = strstr(x->p + 2, "*/"), *p = x->p + 2;
	unsigned version = 0;
	size_t digits;

	if (!end)
		return sb_err(err, SB_EINVALID, "line %d: a comment is not closed",
			      x->line);
	x->space = true;
	if (*p == '!' || (*p == 'M' && p[1] == '!')) {
		if (x->version)
			return sb_err(err, SB_EINVALID,
				      "line %d: an executable comment inside another",
				      x->line);
		p += *p == 'M' ? 2 : 1;
		digits = strspn(p, "0123456789");
		if (digits != 0 && digits != 5 && digits != 6)
			return sb_err(err, SB_EINVALID,
				      "line %d: an executable comment without a proper "
				      "version number",
				      x->line);
		for (; digits > 0; digits--, p++)
			version = version * 10 + (unsigned)(*p - '0');
		x->version = version ? version : 1;
		x->version_depth = x->depth;
		x->p = p;
		return 0;
	}
	/* A server closes an executable comment that it skips at the first end mark. */
	if (x->version)
		return sb_err(err, SB_EINVALID,
			      "line %d: a comment inside an executable one", x->line);
	push_comment(x, x->p + 2, end);
	for (; x->p < end + 2; x->p++)
		if (*x->p == '\n')
			x->line++;
	return 0;
}

static void line_comment(struct lexer *x)
{
	const char *text = x->p + (*x->p == '#' ? 1 : 2);

	x->p += strcspn(x->p, "\n");
	push_comment(x, text, x->p);
	x->space = true;
}

static int unbalanced(const struct lexer *x, struct sb_err *err)
{
	return sb_err(err, SB_EINVALID,
		      "line %d: brackets do not pair up inside an executable comment",
		      x->line);
}

/* White space and comments; 1 = something was there, 0 = nothing, -1 = refused. */
static int skip_blank(struct lexer *x, struct sb_err *err)
{
	char c = *x->p;

	if (c == '\n')
		x->line++;
	if (isspace((unsigned char)c)) {
		x->space = true;
		x->p++;
		return 1;
	}
	if (c == '#' || (c == '-' && x->p[1] == '-' &&
			 (x->p[2] == '\0' || isspace((unsigned char)x->p[2])))) {
		if (x->version)
			return sb_err(err, SB_EINVALID,
				      "line %d: a comment inside an executable one",
				      x->line);
		line_comment(x);
		return 1;
	}
	if (c == '/' && x->p[1] == '*')
		return open_comment(x, err) < 0 ? -1 : 1;
	if (c == '*' && x->p[1] == '/' && x->version) {
		if (x->depth != x->version_depth)
			return unbalanced(x, err);
		x->version = 0;
		x->space = true;
		x->p += 2;
		return 1;
	}
	return 0;
}

/* A string or quoted name: a doubled quote stands for one, and so does a backslash. */
static int quoted(struct lexer *x, struct sb_err *err)
{
	const char *start = x->p, *p = start + 1;
	char q = *start;
	int line = x->line;

	for (;; p++) {
		if (*p == '\0')
			return sb_err(err, SB_EINVALID,
				      "line %d: a quote (%c) is not closed", line, q);
		if (*p == '\n')
			x->line++;
		if (x->version && *p == '*' && p[1] == '/')
			return sb_err(
				err, SB_EINVALID,
				"line %d: quoted text in an executable comment contains "
				"its end mark",
				x->line);
		if (*p == '\\' && q != '`' && p[1] != '\0') {
			p++;
			if (*p == '\n')
				x->line++;
		} else if (*p == q) {
			if (p[1] != q)
				break;
			p++;
		}
	}
	push(x, q == '`' ? TOKEN_IDENT : TOKEN_STRING, start, (size_t)(p + 1 - start),
	     line);
	x->p = p + 1;
	return 0;
}

static void number(struct lexer *x)
{
	const char *p = x->p;

	while (is_word(*p) || *p == '.' ||
	       ((*p == '+' || *p == '-') && (p[-1] == 'e' || p[-1] == 'E') &&
		isdigit((unsigned char)p[1])))
		p++;
	push(x, TOKEN_NUMBER, x->p, (size_t)(p - x->p), x->line);
	x->p = p;
}

static void word(struct lexer *x)
{
	const char *p = x->p;

	while (is_word(*p))
		p++;
	push(x, TOKEN_WORD, x->p, (size_t)(p - x->p), x->line);
	x->p = p;
}

static int punct(struct lexer *x, struct sb_err *err)
{
	if (iscntrl((unsigned char)*x->p))
		return sb_err(err, SB_EINVALID, "line %d: a control character (0x%02x)",
			      x->line, (unsigned)(unsigned char)*x->p);
	if (*x->p == ')') {
		if (x->version && x->depth == x->version_depth)
			return unbalanced(x, err);
		if (x->depth == 0)
			return sb_err(err, SB_EINVALID,
				      "line %d: a \")\" without its \"(\"", x->line);
		x->depth--;
	}
	push(x, TOKEN_PUNCT, x->p, 1, x->line);
	if (*x->p == '(')
		x->depth++;
	x->p++;
	return 0;
}

static int next_token(struct lexer *x, struct sb_err *err)
{
	char c = *x->p;

	if (c == '\'' || c == '"' || c == '`')
		return quoted(x, err);
	if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)x->p[1])))
		number(x);
	else if (is_word_start(c))
		word(x);
	else
		return punct(x, err);
	return 0;
}

int tokenize(TALLOC_CTX *ctx, const char *sql, struct tokens *out, struct sb_err *err)
{
	struct lexer x = { .p = sql, .line = 1, .out = out, .ctx = ctx };

	*out = (struct tokens){ 0 };
	while (*x.p) {
		int blank = skip_blank(&x, err);

		if (blank < 0 || (blank == 0 && next_token(&x, err) < 0))
			return -1;
		if (out->n > MAX_TOKENS)
			return sb_err(err, SB_EINVALID,
				      "line %d: more than %d words and signs; no server "
				      "takes such a statement",
				      x.line, MAX_TOKENS);
	}
	if (x.version)
		return sb_err(err, SB_EINVALID, "line %d: a comment is not closed",
			      x.line);
	if (x.depth != 0)
		return sb_err(err, SB_EINVALID, "line %d: a \"(\" is not closed", x.line);
	for (int i = 0; i < TOKENS_PADDING; i++)
		push(&x, TOKEN_END, x.p, 0, x.line);
	out->n -= TOKENS_PADDING;
	return 0;
}

bool token_is(const struct token *t, const char *w)
{
	return t->type == TOKEN_WORD && strlen(w) == t->len &&
	       strncasecmp(t->text, w, t->len) == 0;
}

bool token_punct(const struct token *t, char c)
{
	return t->type == TOKEN_PUNCT && t->text[0] == c;
}

size_t tokens_skip(const struct tokens *t, size_t i)
{
	int depth = t->v[i].depth;

	BUG_ON(!token_punct(&t->v[i], '('));
	for (i++; i < t->n; i++)
		if (t->v[i].depth == depth)
			return i + 1;
	return t->n;
}

/* Text between its quotes; unescape: what a backslash stands for in a string. */
static char *unquote(TALLOC_CTX *ctx, const struct token *t, bool unescape)
{
	static const char from[] = "0bnrtZ", to[] = "\0\b\n\r\t\032";
	const char *p = t->text + 1, *end = t->text + t->len - 1;
	struct buf b;

	buf_init(&b, ctx);
	for (; p < end; p++) {
		if (unescape && *p == '\\' && p + 1 < end) {
			const char *known = strchr(from, *++p);

			buf_char(&b, known ? to[known - from] : *p);
			continue;
		}
		if (*p == t->text[0])
			p++;
		buf_char(&b, *p);
	}
	return b.data;
}

char *token_name(TALLOC_CTX *ctx, const struct token *t)
{
	if (t->type == TOKEN_WORD)
		return mem_strndup(ctx, t->text, t->len);
	if (t->type == TOKEN_IDENT)
		return unquote(ctx, t, false);
	return NULL;
}

char *token_string(TALLOC_CTX *ctx, const struct token *t)
{
	BUG_ON(t->type != TOKEN_STRING);
	return unquote(ctx, t, true);
}

void tokens_join(struct buf *b, const struct tokens *t, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		/* Two minus signs must not become the beginning of a comment. */
		bool minus = i > from && token_punct(&t->v[i], '-') &&
			     token_punct(&t->v[i - 1], '-');

		if (i > from && (t->v[i].space || minus))
			buf_char(b, ' ');
		buf_add(b, t->v[i].text, t->v[i].len);
	}
}

char *tokens_text(TALLOC_CTX *ctx, const struct tokens *t, size_t from, size_t to)
{
	struct buf b;

	buf_init(&b, ctx);
	tokens_join(&b, t, from, to);
	return b.data;
}
