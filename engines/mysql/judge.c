/*
 * judge.c - what would this server do with a statement? Ask it, on an empty copy.
 *
 * Called while planning, on the planner's connection and in its scratch schema. An ALTER
 * is announced by the first way that will do: INSTANT; in place, when the pages of the
 * copy prove that only metadata changes; the online copy; and where that one refuses the
 * table, by the server itself under a lock, when the environment allows it for a table
 * of its size. Otherwise it is blocked, and the reason says what would help.
 *
 * A table with a history may accept less than an empty copy: what can be seen of it
 * (instant changes used up) is asked for first, and for the rest exec.c climbs again and
 * stops where the announcement ends.
 *
 * Must never: change anything but the scratch schema that is the connection's default.
 */
#include "engines/mysql/judge.h"

#include <string.h>

#include "engines/artefact.h"
#include "engines/mysql/copy/refuse.h"
#include "engines/mysql/copy/table.h"
#include "engines/mysql/cost.h"
#include "engines/mysql/direct.h"
#include "engines/mysql/ladder.h"

#define ONLINE                                                                         \
	"The table is copied online, while reads and writes go on: it needs its size " \
	"again on disk, and replicas get the copy as rows."

/* True when the error is about the server or the connection and not about the statement.
 */
static bool no_answer(const struct sb_err *err)
{
	return err_class(err->code) != ERR_PERMANENT;
}

/* One question while it is answered. */
struct trial {
	TALLOC_CTX *ctx;
	const struct engine_question *q;
	struct mysql_pages pages;	     /* before the statement */
	struct refuse_definition definition; /* likewise */
	const char *why; /* why the mildest rung is left out; NULL = it is not */
	/* The rung by which the statement was executed, NULL = not yet, and what it did.
	 */
	const struct mysql_rung *done;
	enum engine_cost cost;
};

static bool is_forced(const struct trial *t, enum engine_algorithm algorithm)
{
	return t->q->algorithm == algorithm;
}

/* ---- trying -------------------------------------------------------------------------
 */

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

/* What it has done. The names of the rungs say it, but for those in place and the one
 * that the server chooses. */
static int cost_of(struct trial *t, const struct mysql_rung *rung, struct sb_err *err)
{
	const struct engine_question *q = t->q;
	struct mysql_pages after;

	t->cost = rung->algorithm == ENGINE_ALGORITHM_INSTANT ? ENGINE_COST_METADATA
							      : ENGINE_COST_REBUILD;
	if (t->cost == ENGINE_COST_METADATA || rung->algorithm == ENGINE_ALGORITHM_COPY)
		return 0;
	/* A partition that goes takes its pages with it. */
	if (mysql_partitions(q->task->ddl) == MYSQL_PARTITIONS_DROPPED) {
		t->cost = ENGINE_COST_METADATA;
		return 0;
	}
	if (mysql_pages_read(t->ctx, q->db, q->schema, q->task->table, &after, err) < 0)
		return -1;
	t->cost = mysql_pages_cost(&t->pages, &after);
	return 0;
}

/* By the first of these rungs that the server accepts. 1, 0 = by none and *err says why,
 * -1. */
static int climb(struct trial *t, size_t from, size_t to, struct sb_err *err)
{
	const struct engine_question *q = t->q;
	enum db_flavor flavor = db_flavor(q->db);

	for (size_t i = from; i < to; i++) {
		const struct mysql_rung *rung = &mysql_ladder[i];
		int rc;

		if (!rung->clause[flavor] ||
		    (rung->partitions &&
		     mysql_partitions(q->task->ddl) == MYSQL_PARTITIONS_NONE))
			continue;
		rc = try_rung(q->db, rung, q->task->ddl, err);
		if (rc > 0) {
			t->done = rung;
			rc = cost_of(t, rung, err) < 0 ? -1 : 1;
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* Note how things are before the first rung that may change pages. */
static int look(struct trial *t, struct sb_err *err)
{
	const struct engine_question *q = t->q;

	if (mysql_pages_read(t->ctx, q->db, q->schema, q->task->table, &t->pages, err) <
	    0)
		return -1;
	return refuse_look(t->ctx, q->db, q->schema, q->task->table, q->live_schema,
			   q->task->ddl, false, &t->definition, err);
}

/* 1 = the live table takes no instant change any more, although its copy would. */
static int check_history(struct trial *t, struct sb_err *err)
{
	const struct engine_question *q = t->q;
	int versions, rc = 0;

	if (q->live && q->live_table)
		rc = mysql_instant_used_up(t->ctx, q->live, q->live_schema, q->live_table,
					   q->task->ddl, &versions, err);
	if (rc > 0)
		t->why = mem_printf(t->ctx,
				    "The table's instant changes of columns are used up "
				    "(%d), until it is rebuilt.",
				    versions);
	return rc;
}

/* ---- announcing ---------------------------------------------------------------------
 */

static int announce(const struct trial *t, const char *mode,
		    enum engine_algorithm algorithm, const char *reason,
		    struct engine_verdict *verdict)
{
	*verdict = (struct engine_verdict){ .execution_mode = mode,
					    .reason = reason,
					    .algorithm = algorithm,
					    .cost = t->cost };
	if (t->done && !t->done->blocking && t->done->clause[db_flavor(t->q->db)] &&
	    (!t->done->partitions || t->cost == ENGINE_COST_METADATA))
		verdict->natively = t->done->algorithm;
	if (t->why)
		verdict->reason = mem_printf(t->ctx, "%s %s", t->why, reason);
	return 0;
}

/* In place, which is only metadata unless it is forced. */
static const char *in_place(enum engine_cost cost)
{
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

static int announce_online(struct trial *t, struct engine_verdict *verdict)
{
	const char *reason = ONLINE;

	if (t->cost == ENGINE_COST_UNKNOWN)
		reason = ONLINE " Whether the server could do without that is not known: "
				"GRANT PROCESS ON *.* shows it.";
	announce(t, "", ENGINE_ALGORITHM_COPY, reason, verdict);
	verdict->cost = ENGINE_COST_REBUILD;
	return 0;
}

/* By the server itself, as it was done on the copy. */
static int announce_direct(struct trial *t, const char *why,
			   struct engine_verdict *verdict)
{
	const char *how = t->done->blocking
				  ? t->done->reason
				  : "The server does it in place, while writes go on.";

	announce(t, "direct", t->done->algorithm, mem_printf(t->ctx, "%s %s", why, how),
		 verdict);
	if (t->cost == ENGINE_COST_UNKNOWN)
		verdict->cost = ENGINE_COST_REBUILD;
	return 0;
}

static int announce_blocked(struct trial *t, const char *why, const char *too_large,
			    struct engine_verdict *verdict)
{
	const char *way_out =
		t->done->blocking
			? too_large ? ""
				    : " Or let the server do it under a lock, for small "
				      "tables: direct = { max_table_rows = …; } in the "
				      "environment's configuration."
			: " Or apply with the option algorithm = \"inplace\": the server "
			  "does it as one statement while writes go on, and replicas lag "
			  "by as long.";

	if (too_large)
		why = mem_printf(
			t->ctx,
			"%s It is too large to be changed under a lock instead: %s.", why,
			too_large);
	announce(t, "blocked", ENGINE_ALGORITHM_COPY,
		 mem_printf(t->ctx, "%s%s", why, way_out), verdict);
	verdict->cost = ENGINE_COST_REBUILD;
	return 0;
}

/* ---- deciding -----------------------------------------------------------------------
 */

/* *why the online copy cannot do it, NULL = it can. */
static int ask_copy(struct trial *t, const char **why, struct sb_err *err)
{
	const struct engine_question *q = t->q;
	struct refuse_definition result;

	*why = t->definition.why;
	if (*why)
		return 0;
	if (refuse_look(t->ctx, q->db, q->schema, q->task->table, q->live_schema,
			q->task->ddl, true, &result, err) < 0)
		return -1;
	*why = result.why;
	if (!*why && copy_table_key(q->task, t->definition.facts, result.facts, why,
				    t->ctx, err) < 0)
		return -1;
	if (!*why && q->live && q->live_table &&
	    refuse_live(t->ctx, q->live, q->live_schema, q->live_table, q->task->ddl,
			true, why, err) < 0)
		return -1;
	return 0;
}

/* Neither instant nor only metadata: it was executed on the copy by t->done. */
static int decide(struct trial *t, struct engine_verdict *verdict, struct sb_err *err)
{
	const struct engine_question *q = t->q;
	const char *why, *size = NULL;
	int rc;

	/* Nobody has rows in it when this is executed. */
	if (q->live && !q->live_table && !is_forced(t, ENGINE_ALGORITHM_COPY))
		return announce_direct(t, "The table is made by this plan.", verdict);
	if (ask_copy(t, &why, err) < 0)
		return -1;
	if (!why)
		return announce_online(t, verdict);
	if (is_forced(t, ENGINE_ALGORITHM_COPY))
		return sb_err(err, SB_EINVALID,
			      "algorithm=copy is not possible for this change: %s", why);
	if (q->direct.max_rows == 0 && q->direct.max_bytes == 0)
		return announce_blocked(t, why, NULL, verdict);
	rc = mysql_direct_allows(t->ctx, q->live, q->live_schema, q->live_table,
				 &q->direct, &size, err);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return announce_blocked(t, why, size, verdict);
	return announce_direct(
		t,
		mem_printf(
			t->ctx,
			"%s It is small enough to be changed by the server itself: %s.",
			why, size),
		verdict);
}

/* A forced algorithm found no rung: is that the algorithm's fault or the statement's? */
static int refuse_forced(struct trial *t, struct sb_err *err)
{
	struct sb_err refusal = *err;

	if (t->why)
		sb_err(&refusal, SB_EINVALID, "%s", t->why);
	else if (!mysql_rung_refused(refusal.db_errno))
		return -1;
	if (climb(t, MYSQL_RUNGS - 1, MYSQL_RUNGS, err) <= 0)
		return -1; /* it does not work at all, and *err says why */
	return sb_err(
		err, SB_EINVALID,
		"algorithm=%s is not possible for this change: %s Leave the option out, or "
		"choose another algorithm.",
		engine_algorithm_name(t->q->algorithm), refusal.msg);
}

static int judge_alter(struct trial *t, struct engine_verdict *verdict,
		       struct sb_err *err)
{
	bool only_copy = is_forced(t, ENGINE_ALGORITHM_COPY);
	bool only_inplace = is_forced(t, ENGINE_ALGORITHM_INPLACE);
	int rc = 0;

	if (check_history(t, err) < 0)
		return -1;
	if (!t->why && !only_copy && !only_inplace)
		rc = climb(t, 0, MYSQL_INPLACE, err);
	if (rc > 0)
		return announce(t, "", ENGINE_ALGORITHM_INSTANT, "", verdict);
	if (rc == 0 && is_forced(t, ENGINE_ALGORITHM_INSTANT))
		return refuse_forced(t, err);
	if (rc < 0 || look(t, err) < 0)
		return -1;
	rc = climb(t, MYSQL_INPLACE, MYSQL_BLOCKING, err);
	if (rc > 0 && !only_copy && (only_inplace || t->cost == ENGINE_COST_METADATA))
		return announce(t, "", ENGINE_ALGORITHM_INPLACE, in_place(t->cost),
				verdict);
	if (rc == 0 && only_inplace)
		return refuse_forced(t, err);
	if (rc == 0)
		rc = climb(t, MYSQL_BLOCKING, MYSQL_RUNGS, err);
	return rc <= 0 ? -1 : decide(t, verdict, err);
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
		verdict->algorithm = verdict->natively = ENGINE_ALGORITHM_INSTANT;
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
