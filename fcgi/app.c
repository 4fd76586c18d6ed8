/*
 * app.c - a worker's storage connection, and names of databases. See app.h.
 */
#include "fcgi/app.h"

#include <string.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/store/storage.h"
#include "engines/engine.h"
#include "fcgi/route.h"

/* A client waits for us, and nginx for 30 seconds. */
#define STORAGE_CONNECT_SECONDS 3
#define STORAGE_IO_SECONDS	10

struct app *app_new(TALLOC_CTX *ctx, struct config *config)
{
	struct app *app = mem_new(ctx, struct app);

	app->config = config;
	if (config->storage.connect_seconds == 0)
		config->storage.connect_seconds = STORAGE_CONNECT_SECONDS;
	if (config->storage.io_seconds == 0)
		config->storage.io_seconds = STORAGE_IO_SECONDS;
	app->wake_path = mem_printf(app, "%s/scheduler.sock", config->run_dir);
	app->memo = memo_new(app);
	return app;
}

static void storage_close(struct app *app)
{
	talloc_free(app->storage);
	app->storage = NULL;
}

void app_storage_check(struct app *app)
{
	if (app->storage && db_is_lost(app->storage))
		storage_close(app);
}

int app_storage(struct app *app, const struct request *req, struct db **db,
		struct sb_err *err)
{
	bool writes = req->route->access == ACCESS_WRITE;

	*db = NULL;
	if (app->storage && writes && !app->storage_verified &&
	    storage_ping(app->storage, err) < 0)
		storage_close(app);
	app->storage_verified = true;
	if (app->storage) {
		*db = app->storage;
		return 0;
	}
	app->storage_reused = false;
	if (storage_open(app, app->config, &app->storage, err) < 0)
		return -1;
	*db = app->storage;
	return 0;
}

void app_wake(const struct app *app)
{
	proc_wake_send(app->wake_path);
}

/* ---- names ------------------------------------------------------------------------- */

char *lower_case(TALLOC_CTX *ctx, const char *text)
{
	char *copy = mem_strdup(ctx, text);

	for (char *p = copy; p && *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return copy;
}

int check_text(const char *field, const char *text, struct sb_err *err)
{
	for (const char *p = text; p && *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return sb_err(err, SB_EINVALID,
				      "Field '%s' has a control character in it.", field);
	return 0;
}

static char *known_databases(TALLOC_CTX *ctx, const struct config *c)
{
	struct buf b;

	buf_init(&b, ctx);
	for (size_t i = 0; i < c->n_databases; i++)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "", c->databases[i].name);
	return b.data;
}

static char *known_environments(TALLOC_CTX *ctx, const struct config_database *d)
{
	struct buf b;

	buf_init(&b, ctx);
	for (size_t i = 0; i < d->n_environments; i++)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "", d->environments[i].name);
	return b.data;
}

static int must_equal(const char *field, const char *given, const char *configured,
		      struct sb_err *err)
{
	if (!given || strcmp(given, configured) == 0)
		return 0;
	return sb_err(
		err, SB_EINVALID,
		"Field '%s' is '%.100s', but the server's configuration says '%s'; leave "
		"it out.",
		field, given, configured);
}

int app_target(const struct app *app, TALLOC_CTX *ctx, const char *database,
	       const char *environment, const char *type, const char *deployment,
	       const char *target, struct app_target *out, struct sb_err *err)
{
	const struct config_database *d =
		config_database(app->config, lower_case(ctx, database));
	const struct config_environment *e;

	*out = (struct app_target){ 0 };
	if (!d)
		return sb_err(err, SB_ENOROUTE,
			      "There is no database '%.100s'. Configured are: %s.",
			      database, known_databases(ctx, app->config));
	e = config_environment(d, lower_case(ctx, environment));
	if (!e)
		return sb_err(
			err, SB_ENOROUTE,
			"Database '%s' has no environment '%.100s'. Configured are: %s.",
			d->name, environment, known_environments(ctx, d));
	if (must_equal("type", type, d->type, err) < 0 ||
	    must_equal("deployment", deployment, e->deployment, err) < 0 ||
	    must_equal("target", target, e->target, err) < 0)
		return -1;
	out->engine = engine_for_type(d->type);
	if (!out->engine)
		return sb_err(err, SB_EUNSUPPORTED,
			      "Databases of type '%s' cannot be changed by this server.",
			      d->type);
	out->database = d;
	out->environment = e;
	return 0;
}

int app_deployment(const struct config_environment *e, const char *deployment,
		   const char *target, const struct config_deployment **out,
		   struct sb_err *err)
{
	*out = deployment ? config_deployment(e, deployment) : &e->deployments[0];
	if (!*out)
		return must_equal("deployment", deployment, e->deployment, err);
	return must_equal("target", target, (*out)->target, err);
}

struct db_params app_target_params(const struct config_deployment *deployment,
				   unsigned connect_seconds, unsigned io_seconds)
{
	struct db_params p = deployment->db;

	p.connect_seconds = connect_seconds;
	p.io_seconds = io_seconds;
	return p;
}

char *app_caller(const struct request *req, const char *caller)
{
	if (!caller || !*caller)
		return mem_strdup(req->ctx, req->token->name);
	return mem_printf(req->ctx, "%s:%s", req->token->name, caller);
}
