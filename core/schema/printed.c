/*
 * printed.c - see printed.h.
 */
#include "core/schema/printed.h"

#include <stdlib.h>

#include "core/base/json.h"

/* Index of the option's name, or t->n. The value is the last token of *end. */
static size_t find_counter(const struct tokens *t, size_t *end)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t value = i + 1;

		if (t->v[i].depth != 0 || !token_is(&t->v[i], "AUTO_INCREMENT"))
			continue;
		if (token_punct(&t->v[value], '='))
			value++;
		if (t->v[value].type != TOKEN_NUMBER)
			continue;
		*end = value;
		return i;
	}
	return t->n;
}

uint64_t printed_counter(const struct tokens *t)
{
	size_t value;

	return find_counter(t, &value) < t->n ? strtoull(t->v[value].text, NULL, 10) : 0;
}

/* One byte of a quoted text, escapes resolved; returns what follows it. */
static const char *next_byte(const char *p, unsigned char *byte)
{
	static const char names[] = "0nrtbZ", bytes[] = "\0\n\r\t\b\032";

	if (*p == '\'') { /* two of them stand for one */
		*byte = '\'';
		return p + 2;
	}
	if (*p != '\\') {
		*byte = (unsigned char)*p;
		return p + 1;
	}
	*byte = (unsigned char)p[1];
	for (size_t i = 0; i < sizeof(names) - 1; i++)
		if (p[1] == names[i])
			*byte = (unsigned char)bytes[i];
	return p + 2;
}

static void add_hex(struct buf *b, const struct token *t)
{
	unsigned char byte;

	buf_str(b, "X'");
	for (const char *p = t->text + 1; p < t->text + t->len - 1;) {
		p = next_byte(p, &byte);
		buf_printf(b, "%02x", byte);
	}
	buf_char(b, '\'');
}

char *printed_clean(TALLOC_CTX *ctx, const char *sql, const struct tokens *t,
		    uint64_t *counter)
{
	size_t cut_end = 0, cut = find_counter(t, &cut_end);
	const char *done = sql;
	struct buf b;

	*counter = printed_counter(t);
	buf_init(&b, ctx);
	for (size_t i = 0; i < t->n; i++) {
		const struct token *k = &t->v[i];
		const char *until = k->text;

		if (i == cut) {
			while (until > done && until[-1] == ' ')
				until--;
			buf_add(&b, done, (size_t)(until - done));
			i = cut_end;
		} else if (k->type == TOKEN_STRING && k->text[0] == '\'' &&
			   !utf8_valid(k->text, k->len)) {
			buf_add(&b, done, (size_t)(until - done));
			add_hex(&b, k);
		} else {
			continue;
		}
		done = t->v[i].text + t->v[i].len;
	}
	buf_str(&b, done);
	return b.data;
}
