/*
 * app.h - what one worker process has for its whole life, and what every handler may use.
 *
 * A worker handles one request at a time. It has one connection to our storage, opened
 * when a request first needs it and replaced when it was lost, so that a worker starts
 * and stays alive without storage.
 *
 * Must never: call an engine's mutating side, or touch a target outside a scratch schema
 * (planning) except to read.
 */
#ifndef SB_FCGI_APP_H
#define SB_FCGI_APP_H

#include "core/base/config.h"
#include "fcgi/memo.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"

struct app {
	struct config *config;
	struct db *storage;    /* NULL = not connected */
	bool storage_reused;   /* the current request found it open */
	bool storage_verified; /* the current request has asked whether it still answers
				*/
	char *wake_path;       /* the scheduler's socket */
	struct memo *memo;     /* rendered progress, by revision */
};

/*
 * Handlers: fill *reply and return 0, or return -1 with *err, which becomes the reply.
 * reply->json may then already hold nothing that matters: it is replaced.
 */
typedef int handler_fn(struct app *app, const struct request *req, struct reply *reply,
		       struct sb_err *err);

/* config must outlive the app; its storage timeouts are set where it left them open. */
struct app *app_new(TALLOC_CTX *ctx, struct config *config);

/*
 * The connection to storage. A request that writes gets one that has just answered, since
 * it cannot be repeated; a read is repeated by dispatch.c if an old connection is dead.
 */
int app_storage(struct app *app, const struct request *req, struct db **db,
		struct sb_err *err) MUST_CHECK;
/* Close it when it is lost: the next request opens another. */
void app_storage_check(struct app *app);

/* Tell the scheduler of this host that something is due. Best effort. */
void app_wake(const struct app *app);

/* ---- what requests name ------------------------------------------------------------ */

struct app_target {
	const struct config_database *database;
	const struct config_environment *environment;
	const struct engine *engine;
};

/*
 * The configured database and environment. Names are matched in lower case (two spellings
 * must not become two databases). type, deployment and target may be NULL and must
 * otherwise equal the configuration; of several deployments that is all of them, since
 * they are changed together. SB_ENOROUTE or SB_EINVALID lists what there is.
 */
int app_target(const struct app *app, TALLOC_CTX *ctx, const char *database,
	       const char *environment, const char *type, const char *deployment,
	       const char *target, struct app_target *out, struct sb_err *err) MUST_CHECK;

/* The deployment of the environment with that name, or (NULL) the first; target may be
 * NULL or must be its own. SB_EINVALID lists what there is. */
int app_deployment(const struct config_environment *e, const char *deployment,
		   const char *target, const struct config_deployment **out,
		   struct sb_err *err) MUST_CHECK;

/* Parameters of a deployment's server with timeouts for a request, not for driving. */
struct db_params app_target_params(const struct config_deployment *deployment,
				   unsigned connect_seconds, unsigned io_seconds);

/* "token:caller", or "token" when no caller is given: what storage remembers. */
char *app_caller(const struct request *req, const char *caller);

/* ASCII lower case copy. NULL in, NULL out. */
char *lower_case(TALLOC_CTX *ctx, const char *text);

/* Text for people and lock keys: no control characters. SB_EINVALID names the field. */
int check_text(const char *field, const char *text, struct sb_err *err) MUST_CHECK;

#endif
