/*
 * ladder.c - see ladder.h.
 */
#include "engines/mysql/ladder.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "core/base/buf.h"

const struct mysql_rung mysql_ladder[MYSQL_RUNGS] = {
	{ .algorithm = ENGINE_ALGORITHM_INSTANT,
	  .clause = { [DB_MARIADB] = "ALGORITHM=INSTANT, LOCK=NONE",
		      [DB_MYSQL] = "ALGORITHM=INSTANT" },
	  .words = "changing only its metadata",
	  .reason = "" },
	{ .algorithm = ENGINE_ALGORITHM_INPLACE,
	  .clause = { "ALGORITHM=INPLACE, LOCK=NONE", "ALGORITHM=INPLACE, LOCK=NONE" },
	  .words = "changing it in place",
	  .reason = "" },
	/* MariaDB's grammar has no clause beside these, which it does in a moment. */
	{ .algorithm = ENGINE_ALGORITHM_INPLACE,
	  .clause = { [DB_MARIADB] = "", [DB_MYSQL] = NULL },
	  .partitions = true,
	  .words = "changing its partitions",
	  .reason = "" },
	{ .algorithm = ENGINE_ALGORITHM_INPLACE,
	  .clause = { "ALGORITHM=INPLACE, LOCK=SHARED",
		      "ALGORITHM=INPLACE, LOCK=SHARED" },
	  .blocking = true,
	  .words = "changing it in place under a lock",
	  .reason =
		  "This server can only do it in place under a lock: writes wait until it "
		  "ends." },
	{ .algorithm = ENGINE_ALGORITHM_COPY,
	  .clause = { "ALGORITHM=COPY", "ALGORITHM=COPY" },
	  .blocking = true,
	  .words = "copying it under a lock",
	  .reason =
		  "This server can only do it by copying the table under a lock: writes "
		  "wait until it ends." },
	{ .algorithm = ENGINE_ALGORITHM_COPY,
	  .clause = { "", "" },
	  .blocking = true,
	  .words = "a way of its own choice, under a lock",
	  .reason =
		  "This server gives no choice of algorithm for this change and may lock "
		  "the table: writes wait until it ends." },
};

bool mysql_rung_allowed(const struct mysql_rung *rung, enum db_flavor flavor,
			const struct engine_task *task, enum engine_algorithm forced)
{
	if (!rung->clause[flavor] ||
	    (rung->partitions && mysql_partitions(task->ddl) == MYSQL_PARTITIONS_NONE))
		return false;
	/* Only what was announced as blocking may block, whatever is forced. */
	if (rung->blocking && !task->announced_blocking)
		return false;
	if (forced != ENGINE_ALGORITHM_AUTO)
		return rung->algorithm == forced;
	return task->announced == ENGINE_ALGORITHM_AUTO ||
	       rung->algorithm <= task->announced;
}

/*
 * Refusals of an algorithm or a lock (MySQL: 4092 row versions used up, 4093, 4157 and
 * 4158 no INSTANT column in this table any more). 1064: MariaDB's grammar has no
 * ALGORITHM beside ADD, DROP, COALESCE, REORGANIZE and the like of PARTITION; a statement
 * that is wrong in itself fails on the last rung too.
 */
static const unsigned refusals[] = {
	1064, 1800, 1801, 1845, 1846, 4092, 4093, 4157, 4158
};

bool mysql_rung_refused(unsigned db_errno)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i] == db_errno)
			return true;
	return false;
}

static const char *skip_space(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

/* Past `word` and the white space that must follow it, or NULL. */
static const char *skip_word(const char *p, const char *word)
{
	size_t n = strlen(word);

	if (strncasecmp(p, word, n) != 0 || !isspace((unsigned char)p[n]))
		return NULL;
	return skip_space(p + n);
}

/* Past a quoted identifier, in which two backticks stand for one, or NULL. */
static const char *skip_ident(const char *p)
{
	if (*p++ != '`')
		return NULL;
	while (*p) {
		if (*p != '`')
			p++;
		else if (p[1] == '`')
			p += 2;
		else
			return p + 1;
	}
	return NULL;
}

/* These follow other clauses without a comma, on both flavours. */
static bool is_partitioning(const char *clauses)
{
	const char *p = skip_word(clauses, "PARTITION");

	if (p)
		return strncasecmp(p, "BY", 2) == 0;
	p = skip_word(clauses, "REMOVE");
	return p && strncasecmp(p, "PARTITIONING", 12) == 0;
}

/* Past ALTER TABLE `name`, or NULL. */
static const char *skip_head(const char *ddl)
{
	const char *p = skip_word(ddl, "ALTER");

	p = p ? skip_word(p, "TABLE") : NULL;
	p = p ? skip_ident(p) : NULL;
	return p ? skip_space(p) : NULL;
}

enum mysql_partitions mysql_partitions(const char *ddl)
{
	static const struct {
		const char *word;
		enum mysql_partitions what;
	} words[] = {
		{ "ADD", MYSQL_PARTITIONS_ADDED },
		{ "DROP", MYSQL_PARTITIONS_DROPPED },
		{ "TRUNCATE", MYSQL_PARTITIONS_DROPPED },
	};
	const char *clauses = skip_head(ddl);

	for (size_t i = 0; clauses && i < ARRAY_SIZE(words); i++) {
		const char *p = skip_word(clauses, words[i].word);

		if (p && skip_word(p, "PARTITION"))
			return words[i].what;
	}
	return MYSQL_PARTITIONS_NONE;
}

char *mysql_alter_with(TALLOC_CTX *ctx, const char *ddl, const char *clause,
		       struct sb_err *err)
{
	const char *name = skip_word(ddl, "ALTER"), *end = NULL, *rest = "";

	name = name ? skip_word(name, "TABLE") : NULL;
	if (name)
		end = skip_ident(name);
	if (end)
		rest = skip_space(end);
	if (*rest == '\0' || rest == end) {
		sb_err(err, SB_EINVALID,
		       "An ALTER must read ALTER TABLE `name` and then its clauses; "
		       "this one does not. Make a new plan.");
		return NULL;
	}
	if (!*clause)
		return mem_strdup(ctx, ddl);
	return mem_printf(ctx, "%.*s %s%s %s", (int)(end - ddl), ddl, clause,
			  is_partitioning(rest) ? "" : ",", rest);
}

char *mysql_renamed_from(TALLOC_CTX *ctx, const char *ddl)
{
	const char *name = skip_word(ddl, "RENAME"), *end = NULL;
	struct buf b;

	name = name ? skip_word(name, "TABLE") : NULL;
	if (name)
		end = skip_ident(name);
	if (!end)
		return NULL;
	buf_init(&b, ctx);
	for (const char *p = name + 1; p < end - 1; p++) {
		buf_char(&b, *p);
		if (*p == '`')
			p++;
	}
	return b.data;
}
