/*
 * judge.c - what would this server do with a statement? Ask it, on an empty copy.
 *
 * Called while planning, on the planner's connection and in its scratch schema. The
 * mildest rung that the server accepts there is what the plan announces, with what it did
 * to the copy's pages. A table with a history may accept less than an empty copy: what
 * can be seen of it (instant changes used up) is asked for first, and for the rest exec.c
 * climbs again and stops where the announcement ends.
 *
 * Must never: change anything but the scratch schema that is the connection's default.
 */
#include "engines/mysql/judge.h"

#include <string.h>

#include "engines/artefact.h"
#include "engines/mysql/cost.h"
#include "engines/mysql/ladder.h"

/* True when the error is about the server or the connection and not about the statement.
 */
static bool no_answer(const struct sb_err *err)
{
	return err_class(err->code) != ERR_PERMANENT;
}

/* What is worth saying about a way of doing it and what it does to the rows. */
static const char *reason_of(const struct mysql_rung *rung, enum engine_cost cost,
			     enum engine_algorithm forced)
{
	if (forced == ENGINE_ALGORITHM_COPY)
		return "algorithm=copy was asked for: the table is copied under a lock, "
		       "and writes wait until it ends.";
	if (rung->blocking)
		return cost == ENGINE_COST_METADATA
			       ? "It takes a lock that writes wait for, but only metadata "
				 "changes: that takes a moment."
			       : rung->reason;
	if (rung->algorithm != ENGINE_ALGORITHM_INPLACE)
		return rung->reason;
	switch (cost) {
	case ENGINE_COST_METADATA:
		return "Only metadata changes.";
	case ENGINE_COST_INDEX:
		return "All rows are read to build an index, while writes go on. Replicas "
		       "execute it as one statement and lag by about as long.";
	case ENGINE_COST_REBUILD:
		return "The table is rebuilt in place, while writes go on: it needs its "
		       "size again on disk. Replicas execute it as one statement and lag "
		       "by about as long.";
	case ENGINE_COST_UNKNOWN:
		break;
	}
	return "It is done in place, while writes go on; whether the table is rebuilt is "
	       "not known (for InnoDB tables, GRANT PROCESS shows it).";
}

/* One question while it is answered. */
struct trial {
	TALLOC_CTX *ctx;
	const struct engine_question *q;
	bool looked; /* `before` was read */
	struct mysql_pages before;
	const char *why; /* why the mildest rung is left out; NULL = it is not */
};

static void announce(const struct trial *t, const struct mysql_rung *rung,
		     enum engine_cost cost, struct engine_verdict *verdict)
{
	/* Where the server can only copy, we copy online. */
	bool online = rung->algorithm == ENGINE_ALGORITHM_COPY &&
		      *rung->clause[db_flavor(t->q->db)];

	verdict->algorithm = rung->algorithm;
	verdict->cost = cost;
	verdict->execution_mode = rung->blocking && !online ? "direct" : "";
	verdict->reason =
		online ? "The table is copied online, while reads and writes go "
			 "on: it needs its size again on disk."
		       : reason_of(rung, cost, t->q->algorithm);
	if (t->why)
		verdict->reason = mem_printf(t->ctx, "%s %s", t->why, verdict->reason);
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

/* The names of the rungs say what happens to the rows, but for those in place and the
 * one that the server chooses. */
static int cost_of(struct trial *t, const struct mysql_rung *rung, enum engine_cost *cost,
		   struct sb_err *err)
{
	struct mysql_pages after;

	*cost = rung->algorithm == ENGINE_ALGORITHM_INSTANT ? ENGINE_COST_METADATA
							    : ENGINE_COST_REBUILD;
	if (!t->looked)
		return 0;
	if (mysql_pages_read(t->ctx, t->q->db, t->q->schema, t->q->task->table, &after,
			     err) < 0)
		return -1;
	*cost = mysql_pages_cost(&t->before, &after);
	if (*cost == ENGINE_COST_UNKNOWN && rung->algorithm == ENGINE_ALGORITHM_COPY)
		*cost = ENGINE_COST_REBUILD;
	return 0;
}

static int judge_rung(struct trial *t, const struct mysql_rung *rung,
		      struct engine_verdict *verdict, struct sb_err *err)
{
	const struct engine_question *q = t->q;
	enum engine_cost cost;
	int rc;

	if (!t->looked && rung->algorithm != ENGINE_ALGORITHM_INSTANT &&
	    q->algorithm != ENGINE_ALGORITHM_COPY) {
		if (mysql_pages_read(t->ctx, q->db, q->schema, q->task->table, &t->before,
				     err) < 0)
			return -1;
		t->looked = true;
	}
	rc = try_rung(q->db, rung, q->task->ddl, err);
	if (rc <= 0)
		return rc;
	if (cost_of(t, rung, &cost, err) < 0)
		return -1;
	announce(t, rung, cost, verdict);
	return 1;
}

/* 1 = the live table takes no instant change any more, although its copy would. */
static int check_history(struct trial *t, struct sb_err *err)
{
	const struct engine_question *q = t->q;
	int versions, rc = 0;

	if (q->live)
		rc = mysql_instant_used_up(t->ctx, q->live, q->live_schema,
					   q->task->table, q->task->ddl, &versions, err);
	if (rc > 0)
		t->why = mem_printf(t->ctx,
				    "The table's instant changes of columns are used up "
				    "(%d), until it is rebuilt.",
				    versions);
	return rc;
}

static int judge_alter(struct trial *t, struct engine_verdict *verdict,
		       struct sb_err *err)
{
	const struct engine_question *q = t->q;

	if (check_history(t, err) < 0)
		return -1;
	if (t->why && q->algorithm == ENGINE_ALGORITHM_INSTANT)
		return sb_err(
			err, SB_EINVALID,
			"algorithm=instant is not possible for this change: %s Leave "
			"the option out, or choose another algorithm.",
			t->why);
	for (size_t i = 0; i < MYSQL_RUNGS; i++) {
		const struct mysql_rung *rung = &mysql_ladder[i];
		int rc;

		if (!mysql_rung_allowed(rung, q->algorithm, ENGINE_ALGORITHM_AUTO,
					false) ||
		    (t->why && rung->algorithm == ENGINE_ALGORITHM_INSTANT))
			continue;
		rc = judge_rung(t, rung, verdict, err);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
	return q->algorithm == ENGINE_ALGORITHM_AUTO
		       ? -1
		       : refuse_forced(q->db, q->task->ddl, q->algorithm, err);
}

int mysql_judge(TALLOC_CTX *ctx, const struct engine_question *question,
		struct engine_verdict *verdict, struct sb_err *err)
{
	struct trial t = { .ctx = mem_ctx(NULL, "judge"), .q = question };
	struct sb_err own;
	int rc;

	*verdict = (struct engine_verdict){ .execution_mode = "",
					    .reason = "",
					    .cost = ENGINE_COST_METADATA };
	if (!err)
		err = &own;
	if (mysql_renamed_from(t.ctx, question->task->ddl)) {
		verdict->algorithm = ENGINE_ALGORITHM_INSTANT;
		rc = db_run(question->db, question->task->ddl, err);
	} else if (strcmp(question->task->action, "alter") == 0)
		rc = judge_alter(&t, verdict, err);
	else
		rc = db_run(question->db, question->task->ddl, err);
	if (strcmp(question->task->action, "drop") == 0 && question->keep_drops_hours > 0)
		verdict->reason = mem_printf(
			t.ctx,
			"The table is kept with its rows as `" ARTEFACT_DROPS_SCHEMA
			"`.`<time>_%s` for %d hours before it is dropped for good.",
			question->task->table, question->keep_drops_hours);
	if (rc == 0)
		verdict->reason = mem_strdup(ctx, verdict->reason);
	talloc_free(t.ctx);
	return rc;
}
