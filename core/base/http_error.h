/*
 * http_error.h - what a failed HTTP call means, from the same table as the database's
 * errors (errors.def).
 *
 * Called by engines that work over HTTP, right where the call failed. The class of the
 * code decides what the driver does (err.h); what makes the difference is whether the
 * service may have acted: a lost answer is harmless when we only asked, and uncertainty
 * when we wanted something changed.
 *
 * Must never: see a body or a header, which may hold secrets.
 */
#ifndef SB_BASE_HTTP_ERROR_H
#define SB_BASE_HTTP_ERROR_H

#include <stddef.h>

#include "core/base/err.h"

/*  kind        when we only read    when we changed something                        */
#define HTTP_ERROR_KINDS(X)                                                          \
	X(NONE, SB_OK, SB_OK)			       /* 2xx */                     \
	X(UNREACHED, SB_EUNAVAILABLE, SB_EUNAVAILABLE) /* nothing was sent */        \
	X(BUSY, SB_ERETRY, SB_ERETRY)		       /* it says: not now */        \
	X(LOST, SB_ERETRY, SB_EAMBIGUOUS)	/* sent, and no answer of its own */ \
	X(DENIED, SB_EENGINE, SB_EENGINE)	/* credentials or rights */          \
	X(MISSING, SB_ENOTFOUND, SB_ENOTFOUND)	/* there is no such thing */         \
	X(CONFLICT, SB_ECONFLICT, SB_ECONFLICT) /* not in its present state */       \
	X(INVALID, SB_EENGINE, SB_EENGINE)	/* our request is wrong */           \
	X(OTHER, SB_EENGINE, SB_EENGINE)

enum http_error_kind {
#define X(name, read, write) HTTP_ERR_##name,
	HTTP_ERROR_KINDS(X)
#undef X
};

enum http_error_kind http_status_kind(int status);
enum http_error_kind http_curl_kind(int code); /* a CURLcode; 0 is NONE */
enum err_code http_error_code(enum http_error_kind kind, bool mutating);

/* Fill *err after a reply with a failing status, or after libcurl's failure; -1. what:
 * what was being done, in words. */
int http_fail_status(struct sb_err *err, int status, bool mutating, const char *what);
int http_fail_curl(struct sb_err *err, int code, bool mutating, const char *what);

#endif
