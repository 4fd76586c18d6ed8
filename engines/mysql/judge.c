/*
 * judge.c - what would this server do with a statement? Ask it, on an empty copy.
 *
 * Called while planning, on the planner's connection and in its scratch schema. The
 * mildest rung that the server accepts there is what the plan announces. A table with
 * rows may accept less (INSTANT columns used up, a row format from older days), which is
 * why exec.c climbs again and stops where the announcement ends.
 *
 * Must never: touch anything but the scratch schema that is the connection's default.
 */
#include "engines/mysql/judge.h"

#include <string.h>

#include "engines/mysql/ladder.h"

/* True when the error is about the server or the connection and not about the statement.
 */
static bool no_answer(const struct sb_err *err)
{
	return err_class(err->code) != ERR_PERMANENT;
}

static void announce(struct engine_verdict *verdict, const struct mysql_rung *rung,
		     enum engine_algorithm forced)
{
	verdict->algorithm = rung->algorithm;
	verdict->execution_mode = rung->blocking ? "direct" : "";
	verdict->reason = rung->reason;
	if (forced == ENGINE_ALGORITHM_COPY)
		verdict->reason =
			"algorithm=copy was asked for: the table is copied under a "
			"lock, and writes wait until it ends.";
}

/*
 * Execute the statement by one rung. 1 = done, 0 = not by this one and *err says why,
 * -1 = no answer.
 */
static int try_rung(struct db *db, const struct mysql_rung *rung, const char *ddl,
		    struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "try_rung");
	char *sql = mysql_alter_with(mem, ddl, rung->clause[db_flavor(db)], err);
	int rc = -1;

	if (sql && db_run(db, sql, err) == 0)
		rc = 1;
	else if (!no_answer(err))
		rc = 0;
	talloc_free(mem);
	return rc;
}

/* A forced algorithm found no rung: is that the algorithm's fault or the statement's? */
static int refuse_forced(struct db *db, const char *ddl, enum engine_algorithm forced,
			 struct sb_err *err)
{
	struct sb_err refusal = *err;
	int rc;

	if (!mysql_rung_refused(refusal.db_errno))
		return -1;
	rc = try_rung(db, &mysql_ladder[MYSQL_RUNGS - 1], ddl, err);
	if (rc <= 0)
		return -1; /* it does not work at all, and *err says why */
	return sb_err(
		err, SB_EINVALID,
		"algorithm=%s is not possible for this change: %s Leave the option out, or "
		"choose another algorithm.",
		engine_algorithm_name(forced), refusal.msg);
}

static int judge_alter(struct db *db, const char *ddl, enum engine_algorithm forced,
		       struct engine_verdict *verdict, struct sb_err *err)
{
	for (size_t i = 0; i < MYSQL_RUNGS; i++) {
		const struct mysql_rung *rung = &mysql_ladder[i];
		int rc;

		if (!mysql_rung_allowed(rung, forced, ENGINE_ALGORITHM_AUTO, false))
			continue;
		rc = try_rung(db, rung, ddl, err);
		if (rc > 0)
			announce(verdict, rung, forced);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
	return forced == ENGINE_ALGORITHM_AUTO ? -1 : refuse_forced(db, ddl, forced, err);
}

int mysql_judge(TALLOC_CTX *ctx, struct db *db, const char *schema,
		const struct engine_task *task, enum engine_algorithm algorithm,
		struct engine_verdict *verdict, struct sb_err *err)
{
	struct sb_err own;

	(void)ctx; /* every string of a verdict is a constant */
	(void)schema;
	*verdict = (struct engine_verdict){ .execution_mode = "", .reason = "" };
	if (!err)
		err = &own;
	if (strcmp(task->action, "alter") != 0)
		return db_run(db, task->ddl, err);
	return judge_alter(db, task->ddl, algorithm, verdict, err);
}
