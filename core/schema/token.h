/*
 * token.h - SQL text as a row of tokens: for the allow-list and for reading SHOW CREATE.
 *
 * Called by allow.c (may this file go to the server?) and reader.c (what does this table
 * look like?). It splits text the way both servers do with the session that db.h sets up:
 * no ANSI_QUOTES, backslash escapes on. Text inside an executable comment is split like
 * all other text and marked, so that nothing can hide in one.
 *
 * Must never: disagree with the server about where a string, an identifier or a comment
 * ends. Where that is in doubt the text is refused.
 */
#ifndef SB_SCHEMA_TOKEN_H
#define SB_SCHEMA_TOKEN_H

#include "core/base/buf.h"
#include "core/base/err.h"

enum token_type {
	TOKEN_END,
	TOKEN_WORD,   /* keyword or plain name */
	TOKEN_IDENT,  /* `quoted name` */
	TOKEN_STRING, /* 'text' or "text", without its introducer */
	TOKEN_NUMBER, /* 12, 1.5, 1e3, 0x1f */
	TOKEN_PUNCT,  /* one character */
};

struct token {
	enum token_type type;
	bool space;	  /* white space or a comment stands before it */
	int line, depth;  /* depth: enclosing parentheses; both brackets are outside */
	unsigned version; /* inside an executable comment: its number (at least 1), else 0
			   */
	const char *text; /* as written, in the text that was split */
	size_t len;
};

#define TOKENS_PADDING 8 /* so many may be looked at ahead without a check */
struct token_comment {	 /* without the marks around it */
	const char *text;
	size_t len;
	int line;
};
struct tokens {
	struct token *v; /* v[n] and TOKENS_PADDING - 1 more are TOKEN_END */
	size_t n;
	struct token_comment *comments; /* in their order */
	size_t n_comments;
};

/* Split sql, which must outlive *out. -1 (SB_EINVALID, naming the line): an unterminated
 * string or comment, or an executable comment that could be read in two ways. */
int tokenize(TALLOC_CTX *ctx, const char *sql, struct tokens *out,
	     struct sb_err *err) MUST_CHECK;

/* Is t the plain word w (any case)? */
bool token_is(const struct token *t, const char *w);
/* Is t the single character c? */
bool token_punct(const struct token *t, char c);
/* Index after the bracket that closes v[i], which must be "(". */
size_t tokens_skip(const struct tokens *t, size_t i);
/* The name that a WORD or IDENT stands for, without its quotes; NULL for other tokens. */
char *token_name(TALLOC_CTX *ctx, const struct token *t);
/* The text of a STRING, escapes resolved. */
char *token_string(TALLOC_CTX *ctx, const struct token *t);
/* Tokens [from, to) with single spaces where there was any, comments left out. */
void tokens_join(struct buf *b, const struct tokens *t, size_t from, size_t to);
char *tokens_text(TALLOC_CTX *ctx, const struct tokens *t, size_t from, size_t to);

#endif
