/*
 * converge.c - plan and run what our storage lacks; see converge.h.
 *
 * A table that is absent is created by the very text of sql/storage, so that a first
 * installation needs no planning. The rest is planned in a scratch schema and proved
 * there, then run on the connection that holds the lock: whoever comes after a crash
 * waits until the server has ended what the dead one began.
 */
#include "core/scheduler/converge.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/store/storage.h"

#define LOCK_WAIT_SECONDS 2 /* whoever waits behind our DDL waits no longer */
#define PAUSE_MS	  300

struct job {
	TALLOC_CTX *ctx;
	struct db_params params;
	struct db *db;
	int64_t until_ms;
	unsigned budget;
	struct convergence *out;
};

static int64_t ms_left(const struct job *j)
{
	int64_t left = j->until_ms - clock_ms();

	return left > 0 ? left : 0;
}

/* ---- what is to be done ----------------------------------------------------------- */

static void add_todo(struct convergence *c, TALLOC_CTX *ctx, const char *sql)
{
	size_t len = strlen(sql);

	while (len > 0 && strchr("; \n", sql[len - 1]))
		len--;
	c->todo = mem_grow(ctx, c->todo, const char *, c->n_todo + 1);
	c->todo[c->n_todo++] = mem_strndup(ctx, sql, len);
}

/* The account has to be able to do what is asked for here; say how it gets there. */
static int explain(const struct job *j, struct sb_err *err)
{
	if (db_error_kind(err->db_errno) != DB_ERR_DENIED)
		return -1;
	return sb_err(
		err, err->code,
		"User '%.80s' of the storage lacks a right: %.300s. Run sql/grants.sql, or: "
		"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES "
		"ON `%.64s`.* and GRANT SELECT, CREATE, CREATE TEMPORARY TABLES, ALTER, "
		"DROP, INDEX, REFERENCES ON `\\_schemabot\\_2%%`.* TO that user.",
		j->params.user, err->msg, j->params.schema);
}

/* Tables that exist, as files for the planner; the absent ones become statements. */
static int look(struct job *j, struct schema_file *files, size_t *n, struct sb_err *err)
{
	*n = 0;
	for (size_t i = 0; i < storage_n_tables; i++) {
		const struct storage_table *t = &storage_tables[i];
		int found = storage_has_table(j->db, t->name, err);

		if (found < 0)
			return -1;
		if (found)
			files[(*n)++] = (struct schema_file){ t->name, t->create };
		else
			add_todo(j->out, j->ctx, t->create);
	}
	return 0;
}

static int find(struct job *j, struct sb_err *err)
{
	struct schema_file *files =
		mem_array(j->ctx, struct schema_file, storage_n_tables);
	struct schema_namespace ns = { .name = "storage",
				       .schema = j->params.schema,
				       .files = files };
	const struct schema_plan_options options = { .additive = true };
	struct db_params params = j->params;
	struct schema_plan *plan;

	if (look(j, files, &ns.n_files, err) < 0)
		return -1;
	if (ns.n_files == 0)
		return 0;
	params.role = DB_TARGET;
	if (schema_plan(j->ctx, &params, &ns, 1, &options, &plan, err) < 0)
		return -1;
	j->out->kept = plan->refused;
	j->out->n_kept = plan->n_refused;
	if (plan->n_errors > 0)
		return sb_err(err, SB_EENGINE, "The storage cannot be converged: %s",
			      plan->errors[0]);
	for (size_t i = 0; i < plan->n_changes; i++)
		add_todo(j->out, j->ctx, plan->changes[i].ddl);
	return 0;
}

/* ---- doing it --------------------------------------------------------------------- */

/* The end of the budget breaks the connection, whatever we wait for on it. */
static volatile sig_atomic_t working_socket = -1;

static void break_off(int signal)
{
	(void)signal;
	if (working_socket >= 0)
		shutdown(working_socket, SHUT_RDWR);
}

static void arm(const struct job *j)
{
	const struct sigaction action = { .sa_handler = break_off };

	working_socket = db_socket(j->db);
	sigaction(SIGALRM, &action, NULL);
	alarm(j->budget);
}

static void disarm(void)
{
	alarm(0);
	working_socket = -1;
}

/* The server goes on with a statement whose client has gone: end it. */
static void kill_statement(const struct job *j)
{
	struct db_params params = j->params;
	struct sb_err err;
	struct db *db;
	char *sql;

	params.io_seconds = 5;
	if (db_open(j->ctx, &params, &db, &err) < 0)
		return;
	sql = mem_printf(db, "KILL %" PRIu64, db_connection_id(j->db));
	if (db_run(db, sql, &err) < 0)
		log_err(LOG_DEBUG, "storage.kill", &err, "it had ended by itself");
	talloc_free(db);
}

/* Was it the end of the budget that failed? Then say so, whatever was going on. */
static void blame_budget(struct job *j, struct sb_err *err)
{
	bool busy = db_error_kind(err->db_errno) == DB_ERR_BUSY;

	if (ms_left(j) > 0 || (!busy && !db_is_lost(j->db)))
		return;
	if (db_is_lost(j->db))
		kill_statement(j);
	err_set_prefix(err, "The budget of %u s is spent", j->budget);
}

/* Somebody's transaction may be using the table: let others pass, and try again. */
static int run(struct job *j, const char *sql, struct sb_err *err)
{
	while (db_run(j->db, sql, err) < 0) {
		if (ms_left(j) == 0 || db_error_kind(err->db_errno) != DB_ERR_BUSY)
			return sb_err_prefix(err, "%.80s...", sql);
		log_info("storage.busy", "waiting for a table: %s", err->msg);
		clock_sleep_ms(ms_left(j) < PAUSE_MS ? ms_left(j) : PAUSE_MS);
	}
	return 0;
}

static int lock(struct job *j, struct sb_err *err)
{
	int locked = storage_lock(j->db, (unsigned)(ms_left(j) / 1000), err);

	if (locked < 0)
		return -1;
	if (locked == 0)
		return sb_err(err, SB_ESTORAGE,
			      "Somebody else has been converging the storage for all of "
			      "the budget of %u s; try again",
			      j->budget);
	FAULT("storage.converge.locked");
	return 0;
}

static int run_all(struct job *j, struct sb_err *err)
{
	struct convergence *c = j->out;
	char *patience = mem_printf(j->ctx, "SET SESSION lock_wait_timeout = %d",
				    LOCK_WAIT_SECONDS);

	if (c->n_todo > 0 && db_run(j->db, patience, err) < 0)
		return -1;
	for (; c->n_run < c->n_todo; c->n_run++) {
		if (run(j, c->todo[c->n_run], err) < 0)
			return -1;
		FAULT("storage.converge.ran");
		log_info("storage.ran", "%s", c->todo[c->n_run]);
	}
	return 0;
}

static int open_storage(struct job *j, struct sb_err *err)
{
	j->until_ms = clock_ms() + (int64_t)j->budget * 1000;
	/* Longer than the budget: its end is the alarm's. */
	j->params.io_seconds = j->budget + 5;
	return db_open(j->ctx, &j->params, &j->db, err);
}

int converge_plan(TALLOC_CTX *ctx, const struct config *config, struct convergence *out,
		  struct sb_err *err)
{
	struct job j = { .ctx = ctx,
			 .params = config->storage,
			 .budget = CONVERGE_BUDGET_SECONDS,
			 .out = out };
	int rc;

	*out = (struct convergence){ 0 };
	rc = open_storage(&j, err);
	if (rc == 0)
		rc = find(&j, err);
	if (rc < 0)
		explain(&j, err);
	talloc_free(j.db);
	return rc;
}

int converge(TALLOC_CTX *ctx, const struct config *config, unsigned budget,
	     struct convergence *out, struct sb_err *err)
{
	struct job j = {
		.ctx = ctx, .params = config->storage, .budget = budget, .out = out
	};
	int rc;

	*out = (struct convergence){ 0 };
	rc = open_storage(&j, err);
	if (rc < 0)
		return explain(&j, err);
	arm(&j);
	if (lock(&j, err) < 0 || find(&j, err) < 0 || run_all(&j, err) < 0 ||
	    storage_check(j.db, err) < 0) {
		blame_budget(&j, err);
		rc = explain(&j, err);
	}
	disarm();
	talloc_free(j.db); /* and with it the lock */
	return rc;
}

void converge_print(const struct convergence *c, FILE *out)
{
	fprintf(out, "-- %zu statement%s to be run\n", c->n_todo,
		c->n_todo == 1 ? "" : "s");
	for (size_t i = 0; i < c->n_todo; i++)
		fprintf(out, "%s;\n", c->todo[i]);
	for (size_t i = 0; i < c->n_kept; i++)
		fprintf(out, "-- left as it is, for nothing is dropped or narrowed: %s\n",
			c->kept[i].statement);
}
