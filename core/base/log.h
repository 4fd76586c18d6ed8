/*
 * log.h - one JSON line per event on stderr.
 *
 * Everybody logs through this. An event has a stable dotted name, a message for a
 * person, and key/value pairs; the process-wide context (request_id, apply_id, …) is
 * added to every line until it is cleared. All text is escaped, so that no value can
 * forge a line.
 *
 * Must never: print a secret. Values registered with log_secret() are replaced by
 * [secret] wherever they occur, as a second line of defence.
 */
#ifndef SB_BASE_LOG_H
#define SB_BASE_LOG_H

#include "core/base/err.h"

#define LOG_LEVELS(X)     \
	X(DEBUG, "debug") \
	X(INFO, "info")   \
	X(WARN, "warn")   \
	X(ERROR, "error")
enum log_level {
#define X(name, text) LOG_##name,
	LOG_LEVELS(X)
#undef X
};

void log_init(const char *program, enum log_level level);
int log_level_parse(const char *text, enum log_level *level) MUST_CHECK;

/* key must be a literal; a NULL value removes it. Kept per thread. */
void log_context(const char *key, const char *value);
/* Removes all of this thread's context. */
void log_context_clear(void);
/* Remembers a value that must never be printed (copied; at least 4 bytes long). */
void log_secret(const char *value);

/* event: "driver.claimed"; then a printf message; never numeric row ids. */
#define log_debug(event, ...) \
	log_at(LOG_DEBUG, (event), NULL, __FILE__, __LINE__, __VA_ARGS__)
#define log_info(event, ...) \
	log_at(LOG_INFO, (event), NULL, __FILE__, __LINE__, __VA_ARGS__)
#define log_warn(event, ...) \
	log_at(LOG_WARN, (event), NULL, __FILE__, __LINE__, __VA_ARGS__)
#define log_error(event, ...) \
	log_at(LOG_ERROR, (event), NULL, __FILE__, __LINE__, __VA_ARGS__)
/* The same with an error attached: its code and sentence become fields. */
#define log_err(level, event, err, ...) \
	log_at((level), (event), (err), __FILE__, __LINE__, __VA_ARGS__)

void log_at(enum log_level level, const char *event, const struct sb_err *err,
	    const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

#endif
