/*
 * err.h - the one error type.
 *
 * A fallible function returns 0 (or a documented count) or -1 with *err filled: a
 * code from the table below and one full sentence for a person. The code decides
 * everything mechanical: HTTP status, `error_code` on the wire, exit code, and what
 * the driver does with it (its class).
 *
 * Must never: carry a secret in its message, or be inspected by its text.
 */
#ifndef SB_BASE_ERR_H
#define SB_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

/*
 * What a failure means to somebody who drives work (DESIGN.md 4):
 * RETRYABLE  nothing happened, or it may safely happen again; try later
 * PERMANENT  trying again will give the same answer
 * UNCERTAIN  it may have happened; look before acting, record no verdict
 * LEASE      somebody else owns the work now; write nothing more
 */
#define ERR_CLASSES(X) \
	X(RETRYABLE)   \
	X(PERMANENT)   \
	X(UNCERTAIN)   \
	X(LEASE)

enum err_class {
#define X(name) ERR_##name,
	ERR_CLASSES(X)
#undef X
};

/*  code             class      HTTP  wire code               exit  */
#define ERR_CODES(X)                                                  \
	X(SB_EINVALID, PERMANENT, 400, "invalid_request", 65)         \
	X(SB_EUNSUPPORTED, PERMANENT, 400, "invalid_request", 65)     \
	X(SB_EUNAUTHENTICATED, PERMANENT, 401, "unauthenticated", 77) \
	X(SB_EFORBIDDEN, PERMANENT, 403, "forbidden", 77)             \
	X(SB_ENOTFOUND, PERMANENT, 404, "not_found", 66)              \
	X(SB_ENOROUTE, PERMANENT, 404, "deployment_not_found", 66)    \
	X(SB_EMETHOD, PERMANENT, 405, "method_not_allowed", 65)       \
	X(SB_ECONFLICT, PERMANENT, 409, "conflict", 75)               \
	X(SB_EACTIVE, PERMANENT, 409, "active_apply_exists", 75)      \
	X(SB_ESTALE, PERMANENT, 409, "plan_stale", 65)                \
	X(SB_ELOCKED, PERMANENT, 409, "lock_conflict", 75)            \
	X(SB_ENOTOWNER, PERMANENT, 403, "lock_not_owned", 77)         \
	X(SB_ETOOLARGE, PERMANENT, 413, "payload_too_large", 65)      \
	X(SB_ECONFIG, PERMANENT, 500, "configuration_error", 78)      \
	X(SB_EINTERNAL, PERMANENT, 500, "internal_error", 70)         \
	X(SB_EENGINE, PERMANENT, 502, "engine_error", 30)             \
	X(SB_ERETRY, RETRYABLE, 503, "engine_error_retryable", 20)    \
	X(SB_EUNAVAILABLE, RETRYABLE, 503, "engine_unavailable", 75)  \
	X(SB_EBUSY, RETRYABLE, 503, "engine_unavailable", 75)         \
	X(SB_ESTORAGE, UNCERTAIN, 503, "storage_error", 75)           \
	X(SB_EAMBIGUOUS, UNCERTAIN, 503, "state_sync_failed", 40)     \
	X(SB_ELEASE, LEASE, 503, "state_sync_failed", 10)

enum err_code {
	SB_OK = 0,
#define X(code, class, http, wire, exit) code,
	ERR_CODES(X)
#undef X
};

struct sb_err {
	enum err_code code;
	unsigned db_errno; /* the server's or client library's number, 0 if none */
	char msg[1000];	   /* one sentence, UTF-8, safe to show */
};

/* Fill *err (which may be NULL); its value is -1, so that callers can `return sb_err(…)`.
 * A macro, so that an analyser sees the -1. */
#define sb_err(err, ...)                     \
	(__extension__({                     \
		err_set((err), __VA_ARGS__); \
		-1;                          \
	}))
void err_set(struct sb_err *err, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "what: " in front of the message that is already there; its value is -1. */
#define sb_err_prefix(err, ...)                     \
	(__extension__({                            \
		err_set_prefix((err), __VA_ARGS__); \
		-1;                                 \
	}))
void err_set_prefix(struct sb_err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

enum err_class err_class(enum err_code code);
int err_http_status(enum err_code code);
int err_exit_code(enum err_code code);
const char *err_wire_code(enum err_code code);
const char *err_name(enum err_code code);

/* A broken invariant of ours: say where, print a stack, abort. Never for bad input. */
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
#define BUG_ON(cond)                      \
	do {                              \
		if (cond)                 \
			BUG("%s", #cond); \
	} while (0)
_Noreturn void bug_at(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define MUST_CHECK    __attribute__((warn_unused_result))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
