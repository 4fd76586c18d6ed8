/*
 * route.h - the table of everything this application answers.
 *
 * routes.c is the only place that maps an address to a handler, its access, its fields
 * and the shape of its reply; the OpenAPI document is made from the same rows.
 */
#ifndef SB_FCGI_ROUTE_H
#define SB_FCGI_ROUTE_H

#include "fcgi/app.h"

/* There is no zero: a route without an access would be open by mistake. */
enum access {
	ACCESS_PUBLIC = 1, /* nobody has to be known: health and metrics */
	ACCESS_READ,	   /* any token */
	ACCESS_WRITE,	   /* a token with the role write */
};

struct route {
	enum method method;
	const char *path; /* "/api/progress/apply/{apply_id}" */
	enum access access;
	handler_fn *handler;
	const struct input *body;  /* NULL = takes none */
	const struct input *query; /* NULL = takes none */
	const char *reply;	   /* schema of the 200, see schemas.c; NULL = text */
	const char *summary;
};

extern const struct route routes[];
extern const size_t n_routes;

/*
 * The route of a request, its {…} segments in req->params. SB_ENOTFOUND, or SB_EMETHOD
 * with *allow set ("GET, HEAD, POST") when the address takes other methods.
 */
int route_find(struct request *req, const char **allow, struct sb_err *err) MUST_CHECK;

#endif
