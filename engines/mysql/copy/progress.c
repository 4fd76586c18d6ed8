/*
 * progress.c - see progress.h.
 */
#include "engines/mysql/copy/progress.h"

#include <string.h>

#include "core/base/json.h"

static const struct {
	const char *name, *words;
} phases[] = {
#define X(name, words) { #name, words },
	COPY_PHASES(X)
#undef X
};

const char *copy_phase_name(enum copy_phase phase)
{
	return phases[phase].name;
}

const char *copy_phase_words(enum copy_phase phase)
{
	return phases[phase].words;
}

struct stored { /* as JSON has it */
	int64_t version, offset, rows, compared;
	const char *phase, *gtid, *file, *watermark, *deferred, *server, *statement;
	const char *compared_upto;
	bool all, cutover, all_compared;
};
static const struct json_field fields[] = {
	JSON_FIELD("version", JSON_INT, true, 0, struct stored, version),
	JSON_FIELD("phase", JSON_STR, true, 0, struct stored, phase),
	JSON_FIELD("gtid", JSON_STR, false, 0, struct stored, gtid),
	JSON_FIELD("file", JSON_STR, true, 0, struct stored, file),
	JSON_FIELD("offset", JSON_INT, true, 0, struct stored, offset),
	JSON_FIELD("watermark", JSON_STR, false, 0, struct stored, watermark),
	JSON_FIELD("all", JSON_BOOL, true, 0, struct stored, all),
	JSON_FIELD("deferred", JSON_STR, true, 0, struct stored, deferred),
	JSON_FIELD("rows", JSON_INT, true, 0, struct stored, rows),
	JSON_FIELD("compared", JSON_INT, false, 0, struct stored, compared),
	JSON_FIELD("compared_upto", JSON_STR, false, 0, struct stored, compared_upto),
	JSON_FIELD("all_compared", JSON_BOOL, false, 0, struct stored, all_compared),
	JSON_FIELD("server", JSON_STR, true, 0, struct stored, server),
	JSON_FIELD("statement", JSON_STR, true, 0, struct stored, statement),
	JSON_FIELD("cutover", JSON_BOOL, true, 0, struct stored, cutover),
};

char *progress_write(TALLOC_CTX *ctx, const struct copy_progress *p)
{
	struct json_object *o = js_object();
	char *text;

	js_int(o, "version", PROGRESS_VERSION);
	js_str(o, "phase", copy_phase_name(p->phase));
	if (p->at.gtid)
		js_str(o, "gtid", p->at.gtid);
	js_str(o, "file", p->at.file);
	js_int(o, "offset", (int64_t)p->at.offset);
	if (p->watermark)
		js_str(o, "watermark", p->watermark);
	js_bool(o, "all", p->all);
	js_str(o, "deferred", p->deferred);
	js_int(o, "rows", (int64_t)p->rows);
	if (p->compared_upto)
		js_str(o, "compared_upto", p->compared_upto);
	if (p->compared_upto || p->all_compared)
		js_int(o, "compared", (int64_t)p->compared);
	js_bool(o, "all_compared", p->all_compared);
	js_str(o, "server", p->server);
	js_str(o, "statement", p->statement);
	js_bool(o, "cutover", p->cutover);
	text = mem_strdup(ctx, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
	return text;
}

int progress_read(TALLOC_CTX *ctx, const char *text, struct copy_progress *out)
{
	struct stored s = { 0 };
	struct json_object *o;
	struct sb_err why;
	size_t phase = 0;

	*out = (struct copy_progress){ .phase = COPY_PREPARING };
	if (json_parse(ctx, text, strlen(text), &o, &why) < 0 ||
	    json_decode(ctx, o, fields, ARRAY_SIZE(fields), &s, &why) < 0 ||
	    s.version != PROGRESS_VERSION)
		return 0;
	while (phase < ARRAY_SIZE(phases) && strcmp(phases[phase].name, s.phase) != 0)
		phase++;
	if (phase == ARRAY_SIZE(phases) || (!*s.file && !s.gtid) || s.offset < 0 ||
	    s.rows < 0 || s.compared < 0)
		return 0;
	out->phase = (enum copy_phase)phase;
	out->at = (struct stream_position){ mem_strdup(ctx, s.file), (uint64_t)s.offset,
					    mem_strdup(ctx, s.gtid) };
	out->watermark = mem_strdup(ctx, s.watermark);
	out->all = s.all;
	out->deferred = s.deferred;
	out->rows = (uint64_t)s.rows;
	out->compared = (uint64_t)s.compared;
	out->compared_upto = mem_strdup(ctx, s.compared_upto);
	out->all_compared = s.all_compared;
	out->server = s.server;
	out->statement = s.statement;
	out->cutover = s.cutover;
	return 1;
}
