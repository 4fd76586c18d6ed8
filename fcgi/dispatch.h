/*
 * dispatch.h - from FastCGI parameters to a finished reply.
 *
 * Used by main.c for real requests and by the unit tests without a web server.
 */
#ifndef SB_FCGI_DISPATCH_H
#define SB_FCGI_DISPATCH_H

#include "fcgi/app.h"

/*
 * Handle one request: address, token, fields, handler, reply. *req and *reply are filled
 * in any case and live in ctx; the reply is finished (reply.h) and only has to be sent.
 */
void dispatch(struct app *app, TALLOC_CTX *ctx, char **envp, body_reader *reader,
	      void *source, struct request *req, struct reply *reply);

#endif
