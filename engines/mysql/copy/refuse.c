/*
 * refuse.c - see refuse.h.
 *
 * One table of questions, each a query whose first row says that a copy is not possible;
 * then the server's settings and our rights, which have shapes of their own.
 */
#include "engines/mysql/copy/refuse.h"

#include <string.h>
#include <strings.h>

#include "core/base/buf.h"
#include "engines/artefact.h"
#include "engines/mysql/binlog/stream.h"
#include "engines/mysql/copy/cutover.h"
#include "engines/mysql/cost.h"
#include "engines/mysql/ladder.h"

/* ---- the list -----------------------------------------------------------------------
 */

enum where {
	DEFINED = 1, /* the definition before the statement */
	RESULT = 2,  /* the definition after it */
	LIVE = 4,    /* the table where it is in earnest */
};
enum { ON_MARIADB = 1 << DB_MARIADB, ON_MYSQL = 1 << DB_MYSQL, ON_BOTH = 3 };

/*
 * In a query %s is the schema and %t the table, as literals; %n is both as InnoDB
 * names its file. In a sentence %s and %t are plain, %q is both as SQL has them, %1 and
 * %2 are the first row's cells.
 */
static const struct question {
	unsigned where, flavors;
	const char *word; /* asked only of statements with this in them; NULL = of all */
	const char *query;
	const char *what, *advice;
} questions[] = {
	{ DEFINED, ON_BOTH, NULL,
	  "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
	  " AND TABLE_NAME = %t AND ENGINE <> 'InnoDB'",
	  "its engine is %1, which has no transactions",
	  "Run ALTER TABLE %q ENGINE = InnoDB in a quiet hour first." },
	{ RESULT, ON_BOTH, NULL,
	  "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
	  " AND TABLE_NAME = %t AND ENGINE <> 'InnoDB'",
	  "its engine would be %1, which has no transactions", "Leave it in InnoDB." },
	{ DEFINED | RESULT, ON_MARIADB, NULL,
	  "SELECT TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
	  " AND TABLE_NAME = %t AND TABLE_TYPE <> 'BASE TABLE'",
	  "it is a table of type %1, whose history is not in its rows",
	  "Run ALTER TABLE %q DROP SYSTEM VERSIONING first if the history may go." },
	{ DEFINED | RESULT, ON_MARIADB, NULL,
	  "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s"
	  " AND TABLE_NAME = %t AND COLUMN_TYPE LIKE '%COMPRESSED%' LIMIT 1",
	  "its column `%1` is compressed by the server, which the binlog has in a form of "
	  "its own",
	  "Declare the column without COMPRESSED in a change of its own first." },
	{ DEFINED, ON_BOTH, NULL,
	  "SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS"
	  " WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %t LIMIT 1",
	  "it has the foreign key `%1`, whose cascades do not stand in the binlog",
	  "Drop it in a change of its own first (ALTER TABLE %q DROP FOREIGN KEY `%1`)." },
	{ RESULT, ON_BOTH, NULL,
	  "SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS"
	  " WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %t LIMIT 1",
	  "it would have the foreign key `%1`, whose cascades do not stand in the binlog",
	  "Leave the foreign key out." },
	{ DEFINED, ON_BOTH, NULL,
	  "SELECT CONSTRAINT_NAME, TABLE_NAME"
	  " FROM information_schema.REFERENTIAL_CONSTRAINTS"
	  " WHERE UNIQUE_CONSTRAINT_SCHEMA = %s AND REFERENCED_TABLE_NAME = %t"
	  " AND CONSTRAINT_SCHEMA = UNIQUE_CONSTRAINT_SCHEMA LIMIT 1",
	  "the foreign key `%1` of table `%2` refers to it, and would go on referring to "
	  "the old table",
	  "Drop it in a change of its own first (ALTER TABLE `%2` DROP FOREIGN KEY `%1`)." },
	/* REFERENTIAL_CONSTRAINTS shows only what we have rights on; these show all.
	 * Names are those of files on MariaDB, and plain ones on MySQL 9. */
	{ LIVE, ON_MARIADB, NULL,
	  "SELECT ID, FOR_NAME FROM information_schema.INNODB_SYS_FOREIGN"
	  " WHERE CAST(REF_NAME AS BINARY) = CONCAT(CAST(CONVERT(%s USING filename) AS"
	  " BINARY), '/', CAST(CONVERT(%t USING filename) AS BINARY))"
	  " AND SUBSTRING_INDEX(FOR_NAME, '/', 1) <> SUBSTRING_INDEX(REF_NAME, '/', 1)"
	  " LIMIT 1",
	  "the foreign key %1 of %2, in another schema, refers to it",
	  "Drop it there first." },
	{ LIVE, ON_MYSQL, NULL,
	  "SELECT ID, FOR_NAME FROM information_schema.INNODB_FOREIGN"
	  " WHERE REF_NAME IN (CONCAT(%s, '/', %t), %n) AND"
	  " SUBSTRING_INDEX(FOR_NAME, '/', 1) <> SUBSTRING_INDEX(REF_NAME, '/', 1)"
	  " LIMIT 1",
	  "the foreign key %1 of %2, in another schema, refers to it",
	  "Drop it there first." },
	{ LIVE, ON_BOTH, NULL,
	  "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS"
	  " WHERE EVENT_OBJECT_SCHEMA = %s AND EVENT_OBJECT_TABLE = %t LIMIT 1",
	  "it has the trigger `%1`, which the new table would not have",
	  "Drop it for the time of the change (DROP TRIGGER `%s`.`%1`), and make it again "
	  "afterwards." },
	/* Its own names are <table>_chk_<n>, and follow a table's name; others are given
	 * only once in a schema (tried: CREATE TABLE … LIKE makes new ones). */
	{ DEFINED, ON_MYSQL, NULL,
	  "SELECT c.CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS c"
	  " WHERE c.TABLE_SCHEMA = %s AND c.TABLE_NAME = %t"
	  " AND c.CONSTRAINT_TYPE = 'CHECK' AND (LEFT(c.CONSTRAINT_NAME,"
	  " CHAR_LENGTH(c.TABLE_NAME) + 5) <> CONCAT(c.TABLE_NAME, '_chk_')"
	  " OR SUBSTRING(c.CONSTRAINT_NAME, CHAR_LENGTH(c.TABLE_NAME) + 6) NOT REGEXP"
	  " '^[1-9]$') LIMIT 1",
	  "the name of its constraint CHECK `%1` is taken in this schema for as long as "
	  "the old table exists",
	  "Drop it in a change of its own first (ALTER TABLE %q DROP CHECK `%1`), and add "
	  "it again without a name." },
	{ DEFINED, ON_MYSQL, "DROP CHECK",
	  "SELECT CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS"
	  " WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %t AND CONSTRAINT_TYPE = 'CHECK'"
	  " LIMIT 1",
	  "a copy's constraints CHECK have other names than `%1`, so that one cannot be "
	  "dropped together with a change that copies",
	  "Drop it in a change of its own." },
};

/* Of a name that is not ASCII InnoDB's form is not known: the plain one, again. */
static char *file_name(TALLOC_CTX *ctx, const char *schema, const char *table)
{
	char *folder = mysql_file_name(ctx, schema), *file = mysql_file_name(ctx, table);

	return folder && file ? mem_printf(ctx, "%s/%s", folder, file)
			      : mem_printf(ctx, "%s/%s", schema, table);
}

/* The literals and identifiers of a query, or the words of a sentence (with cells). */
static char *expand(TALLOC_CTX *ctx, const char *text, const char *schema,
		    const char *table, char *const *cells, size_t n_cells)
{
	struct buf b;

	buf_init(&b, ctx);
	for (const char *p = text; *p; p++) {
		char mark = *p == '%' ? p[1] : '\0';
		size_t cell = (size_t)(mark - '1');

		if (mark == 's')
			buf_str(&b, cells ? schema : db_literal(ctx, schema));
		else if (mark == 't')
			buf_str(&b, cells ? table : db_literal(ctx, table));
		else if (mark == 'q')
			buf_str(&b, db_ident2(ctx, schema, table));
		else if (mark == 'n')
			buf_str(&b, db_literal(ctx, file_name(ctx, schema, table)));
		else if ((mark == '1' || mark == '2') && cell < n_cells)
			buf_str(&b, cells[cell] ? cells[cell] : "");
		else
			mark = '\0';
		if (mark)
			p++;
		else
			buf_char(&b, *p);
	}
	return b.data;
}

static char *sentence(TALLOC_CTX *ctx, const char *schema, const char *table,
		      const char *what, const char *advice)
{
	return mem_printf(ctx, "Table %s.%s cannot be copied online: %s. %s", schema,
			  table, what, advice);
}

/* One question: 1 and *why, 0, -1 = no answer. */
static int ask(TALLOC_CTX *ctx, struct db *db, const struct question *q,
	       const char *schema, const char *table, const char *shown, const char **why,
	       struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "refusal");
	struct db_rows *rows;
	int rc = db_query(mem, db, expand(mem, q->query, schema, table, NULL, 0), &rows,
			  err);

	if (rc == 0 && rows->n > 0) {
		char *const *cells = rows->cell[0];

		*why = sentence(ctx, shown, table,
				expand(mem, q->what, shown, table, cells, rows->width),
				expand(mem, q->advice, shown, table, cells, rows->width));
		rc = 1;
	}
	talloc_free(mem);
	return rc;
}

static int ask_all(TALLOC_CTX *ctx, struct db *db, enum where where, const char *schema,
		   const char *table, const char *shown, const char *statement,
		   const char **why, struct sb_err *err)
{
	unsigned flavor = 1u << db_flavor(db);
	int rc = 0;

	*why = NULL;
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(questions); i++)
		if ((questions[i].where & where) && (questions[i].flavors & flavor) &&
		    (!questions[i].word || strstr(statement, questions[i].word)))
			rc = ask(ctx, db, &questions[i], schema, table, shown, why, err);
	return rc;
}

/* CREATE TABLE … LIKE puts the files where the server's own are. */
static int look_for_places(TALLOC_CTX *ctx, struct db *db, const char *schema,
			   const char *table, const char *shown, const char **why,
			   struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "definition");
	struct db_rows *rows;
	int rc = db_query(
		mem, db,
		mem_printf(mem, "SHOW CREATE TABLE %s", db_ident2(mem, schema, table)),
		&rows, err);

	if (rc == 0 && strstr(rows->cell[0][1], " DATA DIRECTORY"))
		*why = sentence(ctx, shown, table,
				"its files are in a DATA DIRECTORY of their own, where "
				"the copy's would not be",
				"Move them into the server's own directory first.");
	talloc_free(mem);
	return rc < 0 ? -1 : *why != NULL;
}

int refuse_look(TALLOC_CTX *ctx, struct db *db, const char *schema, const char *table,
		const char *shown, const char *statement, bool result,
		struct refuse_definition *out, struct sb_err *err)
{
	int rc;

	*out = (struct refuse_definition){ NULL, NULL };
	if (facts_read(ctx, db, schema, table, &out->facts, err) < 0)
		return -1;
	rc = ask_all(ctx, db, result ? RESULT : DEFINED, schema, table, shown, statement,
		     &out->why, err);
	if (rc == 0 && !result)
		rc = look_for_places(ctx, db, schema, table, shown, &out->why, err);
	return rc < 0 ? -1 : 0;
}

/* ---- rights -------------------------------------------------------------------------
 */

/* What the copy does, or sees, by each of them. */
static const struct right {
	const char *name[2]; /* indexed by enum db_flavor */
	bool everywhere;     /* ON *.*, or on the schema */
} rights[] = {
	{ { "SELECT", "SELECT" }, false },
	{ { "INSERT", "INSERT" }, false },
	{ { "DELETE", "DELETE" }, false },
	{ { "CREATE", "CREATE" }, false },
	{ { "ALTER", "ALTER" }, false },
	{ { "DROP", "DROP" }, false },
	{ { "INDEX", "INDEX" }, false },
	{ { "LOCK TABLES", "LOCK TABLES" }, false }, /* comparison and cutover */
	{ { "TRIGGER", "TRIGGER" }, false },	     /* triggers are seen by it */
	{ { "PROCESS", "PROCESS" }, true },	     /* others' foreign keys */
	{ { "REPLICATION SLAVE", "REPLICATION SLAVE" }, true }, /* the binlog is read */
	{ { "BINLOG MONITOR", "REPLICATION CLIENT" }, true },	/* and where it ends */
};

/* Does a name match a grant's pattern? `\\_` and `\\%` stand for themselves. */
static bool like(const char *pattern, const char *name)
{
	for (; *pattern; pattern++, name++) {
		if (*pattern == '%') {
			do {
				if (like(pattern + 1, name))
					return true;
			} while (*name++);
			return false;
		}
		if (*pattern == '_' && *name)
			continue;
		if (*pattern == '\\' && pattern[1])
			pattern++;
		if (strncasecmp(pattern, name, 1) != 0)
			return false;
	}
	return *name == '\0';
}

/* Is `right` one of the words between commas, all of `n` bytes? */
static bool is_listed(const char *list, size_t n, const char *right)
{
	static const char all[] = "ALL PRIVILEGES";
	const char *end = list + n;
	size_t len = strlen(right);

	while (list < end) {
		size_t word = strcspn(list, ",");

		if (word > (size_t)(end - list))
			word = (size_t)(end - list);
		if ((word == len && strncmp(list, right, len) == 0) ||
		    (word == strlen(all) && strncmp(list, all, word) == 0))
			return true;
		list += word;
		list += strspn(list, ", ");
	}
	return false;
}

int refuse_grant(const char *row, const char *right, const char *schema)
{
	char pattern[ARTEFACT_MAX_BYTES * 2 + 1];
	const char *list = row + strlen("GRANT "), *on = strstr(row, " ON "), *p;
	size_t n = 0;

	if (strncmp(row, "GRANT ", strlen("GRANT ")) != 0)
		return 0;
	if (*list == '`' || *list == '\'' || !on)
		return -1;
	p = on + strlen(" ON ");
	if (strncmp(p, "*.* ", 4) == 0)
		return is_listed(list, (size_t)(on - list), right);
	if (!schema || *p++ != '`')
		return 0;
	for (; *p && (*p != '`' || p[1] == '`') && n + 1 < sizeof(pattern); p++) {
		p += *p == '`';
		pattern[n++] = *p;
	}
	pattern[n] = '\0';
	return strncmp(p, "`.* ", 4) == 0 && like(pattern, schema) &&
	       is_listed(list, (size_t)(on - list), right);
}

/* 1 = it has it, 0, -1 = it has roles, which may give it. */
static int has_right(const struct db_rows *grants, const char *right, const char *schema)
{
	int has = 0;

	for (size_t i = 0; i < grants->n; i++) {
		int rc = refuse_grant(grants->cell[i][0], right, schema);

		if (rc > 0)
			return 1;
		if (rc < 0)
			has = -1;
	}
	return has;
}

/* 'user'@'host', as a statement has it. */
static char *account(TALLOC_CTX *ctx, const char *current)
{
	const char *at = strrchr(current, '@');
	char *user = mem_strndup(ctx, current, at ? (size_t)(at - current) : 0);

	return mem_printf(ctx, "%s@%s", db_literal(ctx, user),
			  db_literal(ctx, at ? at + 1 : ""));
}

static void add_grant(struct buf *b, TALLOC_CTX *mem, const struct buf *missing,
		      const char *schema, const char *whom)
{
	if (missing->len > 0)
		buf_printf(b, "%sGRANT %s ON %s.* TO %s", b->len > 0 ? "; " : "",
			   missing->data, schema ? db_ident(mem, schema) : "*", whom);
}

/* 1 and *why when a right is missing, 0, -1. */
static int check_rights(TALLOC_CTX *ctx, struct db *db, const char *schema,
			const char *table, bool planning, const char **why,
			struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "rights");
	struct db_rows *grants, *who;
	struct buf missing[2], statements;
	int rc = -1;

	buf_init(&missing[false], mem);
	buf_init(&missing[true], mem);
	buf_init(&statements, mem);
	if (db_query(mem, db, "SHOW GRANTS", &grants, err) < 0 ||
	    db_query(mem, db, "SELECT CURRENT_USER()", &who, err) < 0)
		goto out;
	rc = 0;
	if (planning && has_right(grants, "ALTER", schema) == 0)
		goto out;
	for (size_t i = 0; i < ARRAY_SIZE(rights); i++) {
		struct buf *b = &missing[rights[i].everywhere];
		const char *name = rights[i].name[db_flavor(db)];

		if (has_right(grants, name, rights[i].everywhere ? NULL : schema) == 0)
			buf_printf(b, "%s%s", b->len > 0 ? ", " : "", name);
	}
	for (int everywhere = 0; everywhere < 2; everywhere++)
		add_grant(&statements, mem, &missing[everywhere],
			  everywhere ? NULL : schema, account(mem, who->cell[0][0]));
	if (statements.len > 0) {
		*why = sentence(ctx, schema, table, "our account lacks rights for that",
				mem_printf(mem, "%s.", statements.data));
		rc = 1;
	}
out:
	talloc_free(mem);
	return rc;
}

/* ---- the server ---------------------------------------------------------------------
 */

/* The settings without which the binlog does not tell what has to be known, or writes
 * would be lost in the end. */
static int check_server(TALLOC_CTX *ctx, struct db *db, const char *schema,
			const char *table, const char **why, struct sb_err *err)
{
	struct sb_err reason = { .code = SB_OK };

	if (stream_check(db, &reason) == 0 && cutover_check(db, &reason) == 0)
		return 0;
	if (reason.code != SB_EENGINE || reason.db_errno != 0) {
		if (err)
			*err = reason;
		return -1;
	}
	*why = mem_printf(ctx, "Table %s.%s cannot be copied online. %s", schema, table,
			  reason.msg);
	return 1;
}

/* Is the schema one of a list of --binlog-do-db or --binlog-ignore-db? */
static bool is_one_of(const char *list, const char *schema)
{
	size_t n = strlen(schema);

	for (const char *p = list; p && *p; p += strcspn(p, ","), p += *p == ',')
		if (strncmp(p, schema, n) == 0 && (p[n] == ',' || p[n] == '\0'))
			return true;
	return false;
}

/* A schema that is kept out of the binlog changes without the feed seeing it. */
static int check_filters(TALLOC_CTX *ctx, struct db *db, const char *schema,
			 const char *table, const char **why, struct sb_err *err)
{
	TALLOC_CTX *mem = mem_ctx(NULL, "binlog filters");
	bool new_word = db_flavor(db) == DB_MYSQL && db_version(db) >= 80200;
	struct sb_err denied;
	struct db_rows *rows;
	int rc = 0;

	if (db_query(mem, db, new_word ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS",
		     &rows, &denied) < 0) {
		/* Without the right: check_rights() has said so, or it is not asked. */
		rc = db_error_kind(denied.db_errno) == DB_ERR_DENIED ? 0 : -1;
		if (rc < 0 && err)
			*err = denied;
	} else if (rows->n > 0 && rows->width >= 4) {
		const char *only = rows->cell[0][2], *not = rows->cell[0][3];

		if ((only && *only && !is_one_of(only, schema)) ||
		    is_one_of(not, schema)) {
			*why = sentence(
				ctx, schema, table,
				"the server keeps its schema out of the binlog",
				"Take it out of the server's options binlog-do-db "
				"and binlog-ignore-db, and restart the server.");
			rc = 1;
		}
	}
	talloc_free(mem);
	return rc;
}

/* A name of the longest apply id sorts as that of any other. */
static int check_names(TALLOC_CTX *ctx, const char *table, const char **why)
{
	static const char any[] = "apply-00000000000000000000000000000000";
	TALLOC_CTX *mem = mem_ctx(NULL, "names");
	struct sb_err reason;
	bool there = artefact_name(mem, table, ARTEFACT_SHADOW, any, &reason) &&
		     artefact_name(mem, table, ARTEFACT_OLD, any, &reason);

	if (!there)
		*why = mem_strdup(ctx, reason.msg);
	talloc_free(mem);
	return !there;
}

int refuse_live(TALLOC_CTX *ctx, struct db *live, const char *schema, const char *table,
		const char *statement, bool planning, const char **why,
		struct sb_err *err)
{
	int rc;

	*why = NULL;
	if (mysql_partitions(statement) == MYSQL_PARTITIONS_DROPPED) {
		*why = sentence(ctx, schema, table, "it drops partitions with their rows",
				"Leave the option algorithm out: the server does it in a "
				"moment.");
		return 1;
	}
	rc = check_names(ctx, table, why);
	if (rc == 0)
		rc = check_server(ctx, live, schema, table, why, err);
	if (rc == 0)
		rc = check_rights(ctx, live, schema, table, planning, why, err);
	if (rc == 0)
		rc = check_filters(ctx, live, schema, table, why, err);
	if (rc == 0)
		rc = ask_all(ctx, live, LIVE, schema, table, schema, statement, why, err);
	return rc;
}
