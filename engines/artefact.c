/*
 * artefact.c - see artefact.h.
 */
#include "engines/artefact.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define APPLY_PREFIX "apply-"
#define HEX	     "0123456789abcdef"

static const char *const marks[] = { "~", "\xef\xbf\xbd" }; /* the second is U+FFFD */
static const char *const kinds[] = {
	[ARTEFACT_SHADOW] = "sb_new_",
	[ARTEFACT_OLD] = "sb_old_",
	[ARTEFACT_KEPT] = "sb_was_",
};
#define KIND_BYTES 7
#define TAIL_CHARS (1 + KIND_BYTES + ARTEFACT_APPLY_HEX)

/* Bytes of the first `chars` characters of a UTF-8 text. */
static size_t bytes_of(const char *text, size_t chars)
{
	size_t i = 0;

	while (text[i]) {
		bool begins = ((unsigned char)text[i] & 0xc0) != 0x80;

		if (begins && chars-- == 0)
			break;
		i++;
	}
	return i;
}

static bool hex_digits(const char *text, size_t n)
{
	return strspn(text, HEX) >= n;
}

char *artefact_name(TALLOC_CTX *ctx, const char *table, enum artefact_kind kind,
		    const char *apply_id, struct sb_err *err)
{
	size_t keep = bytes_of(table, ARTEFACT_MAX_CHARS - TAIL_CHARS);
	const char *hex = apply_id + strlen(APPLY_PREFIX);

	if (strncmp(apply_id, APPLY_PREFIX, strlen(APPLY_PREFIX)) != 0 ||
	    !hex_digits(hex, ARTEFACT_APPLY_HEX)) {
		err_set(err, SB_EENGINE, "'%.80s' is not the id of an apply.", apply_id);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		char *name = mem_printf(ctx, "%.*s%s%s%.*s", (int)keep, table, marks[i],
					kinds[kind], ARTEFACT_APPLY_HEX, hex);

		if (strcmp(name, table) > 0)
			return name;
		talloc_free(name);
	}
	err_set(err, SB_EENGINE,
		"There is no name beside table '%s' that sorts after it: rename the table "
		"to a shorter name first.",
		table);
	return NULL;
}

bool artefact_parse(const char *name, struct artefact *out)
{
	const size_t tail = KIND_BYTES + ARTEFACT_APPLY_HEX;
	size_t len = strlen(name);
	const char *at;

	*out = (struct artefact){ 0 };
	if (len <= tail || len > ARTEFACT_MAX_BYTES)
		return false;
	at = name + len - tail;
	if (!hex_digits(at + KIND_BYTES, ARTEFACT_APPLY_HEX))
		return false;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (size_t m = 0; m < ARRAY_SIZE(marks); m++) {
			size_t mark = strlen(marks[m]);
			size_t table = (size_t)(at - name);

			if (strncmp(at, kinds[k], KIND_BYTES) != 0 || table <= mark ||
			    memcmp(at - mark, marks[m], mark) != 0)
				continue;
			table -= mark;
			out->kind = (enum artefact_kind)k;
			memcpy(out->table, name, table);
			out->cut = bytes_of(out->table,
					    ARTEFACT_MAX_CHARS - TAIL_CHARS) == table &&
				   bytes_of(out->table,
					    ARTEFACT_MAX_CHARS - TAIL_CHARS - 1) < table;
			snprintf(out->apply, sizeof(out->apply), APPLY_PREFIX "%s",
				 at + KIND_BYTES);
			return true;
		}
	return false;
}

char *artefact_drop_name(TALLOC_CTX *ctx, const char *stamp, const char *table)
{
	size_t keep = bytes_of(table, ARTEFACT_MAX_CHARS - ARTEFACT_STAMP_CHARS - 1);

	return mem_printf(ctx, "%s_%.*s", stamp, (int)keep, table);
}

bool artefact_drop_parse(const char *name)
{
	struct tm t = { 0 };
	char again[ARTEFACT_STAMP_CHARS + 1], seconds[15];
	time_t when;

	if (strspn(name, "0123456789") != ARTEFACT_STAMP_CHARS ||
	    name[ARTEFACT_STAMP_CHARS] != '_' || !name[ARTEFACT_STAMP_CHARS + 1])
		return false;
	snprintf(seconds, sizeof(seconds), "%.14s", name);
	if (!strptime(seconds, "%Y%m%d%H%M%S", &t))
		return false;
	when = timegm(&t); /* puts a 31st of February right */
	if (!gmtime_r(&when, &t))
		return false;
	strftime(again, sizeof(again), "%Y%m%d%H%M%S", &t);
	return strcmp(again, seconds) == 0;
}
