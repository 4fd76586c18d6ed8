/*
 * auth.h - who asks: bearer tokens.
 *
 * The configuration has only SHA-256 digests. A presented token is compared with all of
 * them, each in constant time, so that neither the time nor the reply tells anything.
 */
#ifndef SB_FCGI_AUTH_H
#define SB_FCGI_AUTH_H

#include "fcgi/request.h"
#include "fcgi/route.h"

/*
 * Sets req->token. SB_EUNAUTHENTICATED without a token that is configured, SB_EFORBIDDEN
 * when its role does not reach. Public routes let everybody pass and look at nothing.
 */
int auth_check(const struct config *config, struct request *req, enum access access,
	       struct sb_err *err) MUST_CHECK;

#endif
