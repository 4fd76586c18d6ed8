/*
 * openapi.h - the OpenAPI 3.1 document of this API.
 */
#ifndef SB_FCGI_OPENAPI_H
#define SB_FCGI_OPENAPI_H

#include "core/base/json.h"

/*
 * The document, made from the route table, the fields of requests and the shapes of
 * replies, so that it cannot say anything else than they do. The caller owns it.
 * fcgi/openapi.json is a copy for readers; a test compares the two.
 */
struct json_object *openapi_document(TALLOC_CTX *ctx);

#endif
