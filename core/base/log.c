/*
 * log.c - JSON lines on stderr, one write(2) each so that lines of several processes
 * never mix. See log.h.
 */
#include "core/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/clock.h"

#define MAX_LINE    8192
#define MAX_CONTEXT 8
#define MAX_SECRETS 32
#define MIN_SECRET  4

static const char *program = "schemabot";
static enum log_level threshold = LOG_INFO;
static char *secrets[MAX_SECRETS];
static size_t n_secrets;

struct field {
	const char *key;
	char value[256];
};
static _Thread_local struct field context[MAX_CONTEXT];

static const char *const level_names[] = {
#define X(name, text) [LOG_##name] = text,
	LOG_LEVELS(X)
#undef X
};

void log_init(const char *name, enum log_level level)
{
	program = name;
	threshold = level;
}

int log_level_parse(const char *text, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (strcasecmp(text, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	return -1;
}

void log_context(const char *key, const char *value)
{
	struct field *slot = NULL;

	for (size_t i = 0; i < MAX_CONTEXT; i++)
		if (context[i].key && strcmp(context[i].key, key) == 0)
			slot = &context[i];
	for (size_t i = 0; i < MAX_CONTEXT && !slot; i++)
		if (!context[i].key)
			slot = &context[i];
	if (!slot)
		return;
	slot->key = value ? key : NULL;
	if (value)
		snprintf(slot->value, sizeof(slot->value), "%s", value);
}

void log_context_clear(void)
{
	memset(context, 0, sizeof(context));
}

void log_secret(const char *value)
{
	if (!value || strlen(value) < MIN_SECRET)
		return;
	for (size_t i = 0; i < n_secrets; i++)
		if (strcmp(secrets[i], value) == 0)
			return;
	if (n_secrets == MAX_SECRETS)
		BUG("more than %d secrets", MAX_SECRETS);
	secrets[n_secrets] = strdup(value);
	if (!secrets[n_secrets])
		BUG("out of memory");
	n_secrets++;
}

struct line {
	char text[MAX_LINE];
	size_t len;
};

/* Bytes beyond the line's room are dropped; room for the closing is always kept. */
static void put(struct line *l, const char *s, size_t n)
{
	if (l->len + n > sizeof(l->text) - 8)
		return;
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

static size_t secret_at(const char *s)
{
	for (size_t i = 0; i < n_secrets; i++) {
		size_t n = strlen(secrets[i]);

		if (strncmp(s, secrets[i], n) == 0)
			return n;
	}
	return 0;
}

static void put_json_string(struct line *l, const char *s)
{
	put(l, "\"", 1);
	while (*s) {
		unsigned char c = (unsigned char)*s;
		size_t n = secret_at(s);
		char esc[8];

		if (n > 0) {
			put(l, "[secret]", 8);
			s += n;
			continue;
		}
		if (c == '"' || c == '\\') {
			snprintf(esc, sizeof(esc), "\\%c", c);
			put(l, esc, 2);
		} else if (c < 0x20 || c == 0x7f) {
			snprintf(esc, sizeof(esc), "\\u%04x", c);
			put(l, esc, 6);
		} else {
			put(l, s, 1);
		}
		s++;
	}
	put(l, "\"", 1);
}

static void put_field(struct line *l, const char *key, const char *value)
{
	put(l, l->len > 1 ? "," : "", l->len > 1 ? 1 : 0);
	put_json_string(l, key);
	put(l, ":", 1);
	put_json_string(l, value);
}

void log_at(enum log_level level, const char *event, const struct sb_err *err,
	    const char *file, int line, const char *fmt, ...)
{
	char now[32], text[2048], src[128], number[16];
	struct line l = { .len = 0 };
	va_list ap;

	if (level < threshold)
		return;
	clock_rfc3339(now, sizeof(now));
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(src, sizeof(src), "%s:%d", file, line);
	snprintf(number, sizeof(number), "%d", (int)getpid());

	put(&l, "{", 1);
	put_field(&l, "ts", now);
	put_field(&l, "level", level_names[level]);
	put_field(&l, "program", program);
	put_field(&l, "pid", number);
	put_field(&l, "event", event);
	put_field(&l, "msg", text);
	for (size_t i = 0; i < MAX_CONTEXT; i++)
		if (context[i].key)
			put_field(&l, context[i].key, context[i].value);
	if (err && err->code != SB_OK) {
		put_field(&l, "err_code", err_name(err->code));
		put_field(&l, "err", err->msg);
		if (err->db_errno) {
			snprintf(number, sizeof(number), "%u", err->db_errno);
			put_field(&l, "db_errno", number);
		}
	}
	put_field(&l, "src", src);
	memcpy(l.text + l.len, "}\n", 2);
	l.len += 2;
	if (write(STDERR_FILENO, l.text, l.len) < 0)
		return; /* nowhere left to say so */
}
