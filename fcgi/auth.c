/*
 * auth.c - bearer tokens. See auth.h.
 *
 * Must never: keep, log or echo a presented token.
 */
#include "fcgi/auth.h"

#include <string.h>
#include <strings.h>

#include "core/base/id.h"

#define TOKEN_MAX_BYTES 512

static const struct config_token *find_token(const struct config *config,
					     const char *token)
{
	const struct config_token *found = NULL;
	char digest[SHA256_HEX_LEN + 1];

	sha256_hex(token, strlen(token), digest);
	for (size_t i = 0; i < config->n_tokens; i++)
		if (equal_const_time(config->tokens[i].sha256, digest, SHA256_HEX_LEN))
			found = &config->tokens[i];
	return found;
}

int auth_check(const struct config *config, struct request *req, enum access access,
	       struct sb_err *err)
{
	const char *given = request_param(req, "HTTP_AUTHORIZATION");

	if (access == ACCESS_PUBLIC)
		return 0;
	if (!given)
		return sb_err(err, SB_EUNAUTHENTICATED,
			      "A token is needed: send 'Authorization: Bearer <token>'.");
	if (strncasecmp(given, "Bearer ", 7) != 0)
		return sb_err(err, SB_EUNAUTHENTICATED,
			      "The Authorization header must be 'Bearer <token>'.");
	given += 7;
	given += strspn(given, " ");
	if (*given && strlen(given) <= TOKEN_MAX_BYTES)
		req->token = find_token(config, given);
	if (!req->token)
		return sb_err(
			err, SB_EUNAUTHENTICATED,
			"This token is not configured. Check it, or ask the operator for "
			"one.");
	if (access == ACCESS_WRITE && req->token->role != ROLE_WRITE)
		return sb_err(err, SB_EFORBIDDEN,
			      "Token '%s' may only read. Use one with the role write.",
			      req->token->name);
	return 0;
}
