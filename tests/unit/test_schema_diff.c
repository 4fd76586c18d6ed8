/*
 * test_schema_diff.c - SHOW CREATE texts taken apart, compared, and written down as
 * ALTERs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/schema/ddl.h"
#include "core/schema/diff.h"
#include "core/schema/moves.h"
#include "core/schema/order.h"
#include "core/schema/stages.h"
#include "core/schema/table.h"
#include "tests/unit/unit.h"

static const char everything[] =
	"CREATE TABLE `o``r%s` (\n"
	"  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,\n"
	"  `name` varchar(20) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL DEFAULT 'a,b)''',\n"
	"  `kind` enum('x','y,z','it''s') DEFAULT NULL COMMENT 'DEFAULT 5 NOT NULL',\n"
	"  `price` decimal(10,2) unsigned zerofill DEFAULT NULL,\n"
	"  `at` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),\n"
	"  `v` int(11) GENERATED ALWAYS AS (`id` + 1) VIRTUAL,\n"
	"  `s` int(11) GENERATED ALWAYS AS (concat(`name`,'x')) STORED,\n"
	"  `h` int(11) DEFAULT (1 + 2) /*!80023 INVISIBLE */,\n"
	"  PRIMARY KEY (`id`),\n"
	"  UNIQUE KEY `u` (`name`(5) DESC,`kind`) USING BTREE COMMENT 'k',\n"
	"  KEY `f` ((lower(`name`))) /*!80000 INVISIBLE */,\n"
	"  FULLTEXT KEY `ft` (`name`),\n"
	"  CONSTRAINT `fk` FOREIGN KEY (`v`) REFERENCES `other` (`id`) ON DELETE CASCADE,\n"
	"  CONSTRAINT `ck` CHECK (`v` > 3)\n"
	") ENGINE=InnoDB AUTO_INCREMENT=77 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
	" ROW_FORMAT=DYNAMIC COMMENT='it''s'\n"
	"/*!50100 PARTITION BY RANGE (`id`)\n(PARTITION p0 VALUES LESS THAN (10) ENGINE = "
	"InnoDB) */";

static struct table *read_or_fail(TALLOC_CTX *ctx, const char *sql)
{
	struct table *t;
	struct sb_err err = { 0 };

	if (table_read(ctx, sql, &t, &err) < 0)
		fail_msg("%s: %s", sql, err.msg);
	return t;
}

static void a_table_is_taken_apart(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table *t = read_or_fail(ctx, everything);
	const struct table_column *c;

	(void)unused;
	assert_string_equal(t->name, "o`r%s");
	assert_int_equal(t->n_columns, 8);
	assert_int_equal(t->n_indexes, 4);
	assert_int_equal(t->n_constraints, 2);
	assert_null(strstr(t->create_sql, "77"));
	assert_non_null(strstr(t->create_sql, "ENGINE=InnoDB DEFAULT CHARSET"));
	c = table_column(t, "ID");
	assert_true(c->is_unsigned && c->not_null && c->auto_increment);
	assert_string_equal(c->type, "int");
	assert_string_equal(c->args, "10");
	assert_string_equal(c->canonical, "int unsigned NOT NULL AUTO_INCREMENT");
	c = table_column(t, "name");
	assert_string_equal(c->default_value, "'a,b)'''");
	assert_string_equal(c->collation, "latin1_bin");
	assert_string_equal(c->canonical,
			    "varchar(20) NOT NULL DEFAULT 'a,b)''' COLLATE latin1_bin");
	c = table_column(t, "kind");
	assert_int_equal(c->n_elements, 3);
	assert_string_equal(c->elements[2], "it's");
	assert_string_equal(c->default_value, "NULL");
	assert_false(c->not_null);
	assert_string_equal(c->collation, "utf8mb4_bin");
	c = table_column(t, "price");
	assert_true(c->zerofill && c->is_unsigned);
	assert_string_equal(table_column(t, "at")->default_value, "current_timestamp()");
	assert_int_equal(table_column(t, "v")->kind, COLUMN_VIRTUAL);
	assert_int_equal(table_column(t, "s")->kind, COLUMN_STORED);
	assert_string_equal(table_column(t, "h")->definition,
			    "int(11) DEFAULT (1 + 2) INVISIBLE");
	assert_string_equal(table_primary_key(t)->parts[0].column, "id");
	assert_string_equal(table_index(t, "u")->canonical,
			    "UNIQUE KEY (`name`(5) DESC,`kind`) COMMENT 'k'");
	assert_string_equal(table_index(t, "u")->parts[0].text, "`name`(5) DESC");
	assert_false(table_index(t, "f")->visible);
	assert_null(table_index(t, "f")->parts[0].column);
	assert_string_equal(t->constraints[0].parent, "other");
	assert_null(t->constraints[0].parent_schema);
	assert_int_equal(t->constraints[1].kind, CONSTRAINT_CHECK);
	assert_string_equal(table_setting(t, "COMMENT"), "'it''s'");
	assert_string_equal(t->row_format, "DYNAMIC");
	assert_string_equal(t->partitioning,
			    "PARTITION BY RANGE (`id`) (PARTITION p0 VALUES "
			    "LESS THAN (10) ENGINE = InnoDB)");
	talloc_free(ctx);
}

static void what_is_no_table_is_refused(void **unused)
{
	static const char *const texts[] = { "",
					     "CREATE VIEW `v` AS SELECT 1",
					     "CREATE TABLE t (",
					     "CREATE TABLE `t` SELECT",
					     "CREATE TABLE `t` ('",
					     "CREATE TABLE `t` (`a` int) (`b` int)",
					     "CREATE TABLE `t` (`a` int) ENGINE=X */",
					     "CREATE TABLE `t` (`a` int) ENGINE=;",
					     "CREATE TABLE `t` (`a` int) X=1 ; Y" };
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table *t;
	struct sb_err err;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(table_read(ctx, texts[i], &t, &err), -1);
		assert_null(t);
		assert_int_equal(err.code, SB_EENGINE);
	}
	talloc_free(ctx);
}

/* ---- differences ------------------------------------------------------------------ */

#define TAIL		       ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
#define TABLE(body)	       "CREATE TABLE `t` (" body TAIL
#define TABLE_WITH(body, tail) TABLE(body) tail
#define ID		       "`id` int NOT NULL,"
#define PK		       ",PRIMARY KEY (`id`)"
#define COUNTS		       "`id` int NOT NULL AUTO_INCREMENT" PK
#define P(name, end)	       "PARTITION " name " VALUES LESS THAN " end
#define RANGE(list)	       TABLE_WITH(ID "`a` int", " PARTITION BY RANGE (`a`) (" list ")")

#define LIST(list) \
	TABLE_WITH(ID "`a` int", " PARTITION BY LIST (`a`) (PARTITION " list ")")

static const struct {
	const char *from, *to;
	const char *mariadb, *mysql; /* mysql NULL = the same; "" = nothing to do */
} pairs[] = {
	{ TABLE(ID "`a` int(5)" PK), TABLE(ID "`a` int(11)" PK), "", NULL },
	{ TABLE(ID "`a` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" PK),
	  TABLE(ID "`a` varchar(9)" PK), "", NULL },
	{ TABLE(ID "`a` int, KEY `k` (`a`) USING BTREE, KEY `l` (`a`,`id`)"),
	  TABLE(ID "`a` int, KEY `l` (`a`,`id`), KEY `k` (`a`)"), "", NULL },
	{ TABLE(ID "`a` int DEFAULT (_latin1'x')"),
	  TABLE(ID "`a` int DEFAULT (_utf8mb4'x')"), "", NULL },
	{ TABLE(ID "`a` int DEFAULT (_binary'x')"),
	  TABLE(ID "`a` int DEFAULT (_utf8mb4'x')"),
	  "MODIFY COLUMN `a` int DEFAULT (_utf8mb4'x')", NULL },
	{ TABLE(ID "`a` int"), TABLE_WITH(ID "`a` int", " AUTO_INCREMENT=9"), "", NULL },
	{ TABLE(ID "`a` int"), TABLE_WITH(ID "`a` int", " ROW_FORMAT=COMPACT"),
	  "ROW_FORMAT=COMPACT", NULL },
	{ TABLE(ID "`a` int, CONSTRAINT `c` CHECK (`a` > 1)"), TABLE(ID "`a` int"),
	  "DROP CONSTRAINT `c`", "DROP CHECK `c`" },
	{ TABLE(ID "`a` int, KEY `k` (`a`)"), TABLE(ID "`a` int, KEY `k` (`a`) IGNORED"),
	  "ALTER INDEX `k` IGNORED", "ALTER INDEX `k` INVISIBLE" },
	{ TABLE(ID "`a` int, KEY `k` (`a`) INVISIBLE"),
	  TABLE(ID "`a` int, KEY `k` (`a`)"), "ALTER INDEX `k` NOT IGNORED",
	  "ALTER INDEX `k` VISIBLE" },
	{ TABLE(ID "`a` int, KEY `k` (`a`), KEY `l` (`a`)"),
	  TABLE(ID "`a` int, KEY `m` (`a`), KEY `n` (`id`)"),
	  "DROP INDEX `l`, RENAME INDEX `k` TO `m`, ADD KEY `n` (`id`)", NULL },
	{ TABLE(ID "`a` int, KEY `k` (`a`), KEY `l` (`a`), KEY `m` (`a`)"),
	  TABLE(ID "`a` int, KEY `x` (`a`), KEY `l` (`a`), KEY `y` (`a`)"),
	  "RENAME INDEX `k` TO `x`, RENAME INDEX `m` TO `y`", NULL },
	{ TABLE(ID "`a` int, KEY `k` (`a`) KEY_BLOCK_SIZE=4 USING HASH COMMENT 'x'"),
	  TABLE(ID "`a` int, KEY `k` (`a`) COMMENT 'x'"), "", NULL },
	{ TABLE(ID "`Ab` int, KEY `k` (`Ab`(4) DESC,`id`), "
		   "CONSTRAINT `f` FOREIGN KEY (`Ab`) REFERENCES `P` (`I`)"),
	  TABLE(ID "`ab` int, KEY `k` (`ab`(4) DESC,`id`), "
		   "CONSTRAINT `F` FOREIGN KEY (`ab`) REFERENCES `P` (`i`) "
		   "ON DELETE NO ACTION ON UPDATE RESTRICT"),
	  "CHANGE COLUMN `Ab` `ab` int", NULL },
	{ TABLE(ID "CONSTRAINT `t_ibfk_1` FOREIGN KEY (`a`) REFERENCES `p` (`i`), "
		   "CONSTRAINT `t_ibfk_2` FOREIGN KEY (`b`) REFERENCES `p` (`i`)"),
	  TABLE(ID "CONSTRAINT `t_ibfk_1` FOREIGN KEY (`b`) REFERENCES `p` (`i`), "
		   "CONSTRAINT `t_ibfk_2` FOREIGN KEY (`c`) REFERENCES `p` (`i`)"),
	  "DROP FOREIGN KEY `t_ibfk_1`, ADD FOREIGN KEY (`c`) REFERENCES `p` (`i`)",
	  NULL },
	{ TABLE(ID "CONSTRAINT `CONSTRAINT_1` CHECK (`a` > 1), "
		   "CONSTRAINT `CONSTRAINT_2` CHECK (`a` > 2)"),
	  TABLE(ID "CONSTRAINT `CONSTRAINT_1` CHECK (`a` > 2), "
		   "CONSTRAINT `CONSTRAINT_2` CHECK (`a` > 2)"),
	  "DROP CONSTRAINT `CONSTRAINT_1`, ADD CONSTRAINT `CONSTRAINT_1` CHECK (`a` > 2)",
	  "DROP CHECK `CONSTRAINT_1`, ADD CONSTRAINT `CONSTRAINT_1` CHECK (`a` > 2)" },
	{ TABLE(ID "`v` int GENERATED ALWAYS AS (`id`) VIRTUAL, "
		   "`w` int GENERATED ALWAYS AS (`v`) VIRTUAL, "
		   "KEY `k` ((`w` + 1)), CONSTRAINT `c` CHECK (`w` > 1)"),
	  TABLE(ID "`v` int GENERATED ALWAYS AS (`id`) STORED, "
		   "`w` int GENERATED ALWAYS AS (`v`) VIRTUAL, "
		   "KEY `k` ((`w` + 1)), CONSTRAINT `c` CHECK (`w` > 1)"),
	  "DROP CONSTRAINT `c`, DROP INDEX `k`, DROP COLUMN `v`, DROP COLUMN `w`, "
	  "ADD COLUMN `v` int GENERATED ALWAYS AS (`id`) STORED, "
	  "ADD COLUMN `w` int GENERATED ALWAYS AS (`v`) VIRTUAL, "
	  "ADD KEY `k` ((`w` + 1)), ADD CONSTRAINT `c` CHECK (`w` > 1)",
	  "DROP CHECK `c`, DROP INDEX `k`, DROP COLUMN `v`, DROP COLUMN `w`, "
	  "ADD COLUMN `v` int GENERATED ALWAYS AS (`id`) STORED, "
	  "ADD COLUMN `w` int GENERATED ALWAYS AS (`v`) VIRTUAL, "
	  "ADD KEY `k` ((`w` + 1)), ADD CONSTRAINT `c` CHECK (`w` > 1)" },
	{ TABLE(ID "`a` binary(9) DEFAULT '\\0\\n\xff"
		   "''\\'\\\\x'"),
	  TABLE(ID "`a` binary(9) DEFAULT X'000aff27275c78'"), "", NULL },
	{ TABLE(ID "`A` int" PK), TABLE(ID "`a` int" PK), "CHANGE COLUMN `A` `a` int",
	  NULL },
	{ TABLE(ID "`a` int, `b` int"), TABLE("`b` bigint, " ID "`c` int"),
	  "DROP COLUMN `a`, MODIFY COLUMN `b` bigint FIRST, ADD COLUMN `c` int", NULL },
	{ TABLE(ID
		"`a` int, KEY `k` (`a`), CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`i`)"),
	  TABLE(ID "`a` int"), "DROP FOREIGN KEY `f`, DROP INDEX `k`", NULL },
	{ TABLE(ID "`a` int, KEY `k` (`a`)"),
	  TABLE(ID
		"`a` int, KEY `k` (`a`), CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`i`)"),
	  "ADD CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`i`)", NULL },
	{ TABLE(ID "`a` int"), TABLE(ID "`a` int, CONSTRAINT `c` CHECK (`a` > 1)" PK),
	  "ADD PRIMARY KEY (`id`), ADD CONSTRAINT `c` CHECK (`a` > 1)", NULL },
	{ TABLE(ID "`a` int" PK), TABLE(ID "`a` int"), "DROP PRIMARY KEY", NULL },
	{ TABLE_WITH(ID "`a` int", " COMMENT='x' STATS_PERSISTENT=1"),
	  "CREATE TABLE `t` (" ID "`a` int) ENGINE=MyISAM DEFAULT CHARSET=latin1 "
	  "COLLATE=latin1_bin COMMENT='y'",
	  "ENGINE=MyISAM, DEFAULT CHARSET=latin1 COLLATE=latin1_bin, COMMENT='y', "
	  "STATS_PERSISTENT=DEFAULT",
	  NULL },
	{ TABLE_WITH(ID "`a` int",
		     " PARTITION BY RANGE (`a`) (PARTITION p0 VALUES LESS THAN (1))"),
	  TABLE_WITH(ID "`a` int",
		     " PARTITION BY RANGE (`a`) (PARTITION p0 VALUES LESS THAN (1),"
		     " PARTITION p1 VALUES LESS THAN (2))"),
	  "ADD PARTITION (PARTITION p1 VALUES LESS THAN (2))", NULL },
	{ TABLE_WITH(ID "`a` int",
		     " PARTITION BY RANGE (`a`) (PARTITION p0 VALUES LESS THAN (1))"),
	  TABLE_WITH(ID "`a` bigint",
		     " PARTITION BY RANGE (`a`) (PARTITION p0 VALUES LESS THAN (1),"
		     " PARTITION p1 VALUES LESS THAN (2))"),
	  "MODIFY COLUMN `a` bigint PARTITION BY RANGE (`a`) (PARTITION p0 VALUES LESS THAN (1),"
	  " PARTITION p1 VALUES LESS THAN (2))",
	  NULL },
	{ TABLE_WITH(COUNTS, " AUTO_INCREMENT=7"),
	  TABLE_WITH(COUNTS, " AUTO_INCREMENT=9"), "AUTO_INCREMENT=9", NULL },
	{ TABLE_WITH(COUNTS, " AUTO_INCREMENT=9"),
	  TABLE_WITH(COUNTS, " AUTO_INCREMENT=7"), "", NULL },
	{ TABLE(COUNTS), TABLE_WITH(COUNTS, " AUTO_INCREMENT=1"), "", NULL },
	{ TABLE_WITH("`a` int AUTO_INCREMENT,`b` int", " AUTO_INCREMENT=9"),
	  TABLE_WITH("`a` int,`b` int AUTO_INCREMENT", " AUTO_INCREMENT=7"),
	  "MODIFY COLUMN `a` int, MODIFY COLUMN `b` int AUTO_INCREMENT, AUTO_INCREMENT=7",
	  NULL },
	{ RANGE(P("p0", "(1)") "," P("p1", "(2)") "," P("`p 2`", "(3)")),
	  RANGE(P("p1", "(2)")), "DROP PARTITION `p0`, `p 2`", NULL },
	{ RANGE(P("p0", "(1)") "," P("p1", "(2)")),
	  RANGE(P("p0", "(1)") "," P("q", "(2)")),
	  "PARTITION BY RANGE (`a`) (" P("p0", "(1)") "," P("q", "(2)") ")", NULL },
	{ RANGE(P("p0", "(1)")), RANGE(P("p1", "(2)")),
	  "PARTITION BY RANGE (`a`) (" P("p1", "(2)") ")", NULL },
	{ TABLE_WITH(ID "`a` int",
		     " PARTITION BY HASH (`a`) (PARTITION p0,PARTITION p1)"),
	  TABLE_WITH(ID "`a` int", " PARTITION BY HASH (`a`) (PARTITION p0)"),
	  "PARTITION BY HASH (`a`) (PARTITION p0)", NULL },
	{ TABLE_WITH(ID "`a` int", " PARTITION BY HASH (`a`) PARTITIONS 3"),
	  TABLE(ID "`a` int"), "REMOVE PARTITIONING", NULL },
};

static void differences_become_clauses(void **unused)
{
	bool seen[N_CLAUSE_KINDS] = { false };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		for (int flavor = DB_MARIADB; flavor <= DB_MYSQL; flavor++) {
			TALLOC_CTX *ctx = talloc_new(NULL);
			struct table *from = read_or_fail(ctx, pairs[i].from);
			struct table *to = read_or_fail(ctx, pairs[i].to);
			struct table_diff *d = diff_tables(ctx, from, to);
			const char *want = flavor == DB_MYSQL && pairs[i].mysql
						   ? pairs[i].mysql
						   : pairs[i].mariadb;
			const char *ddl = ddl_alter(ctx, d, (enum db_flavor)flavor);
			const char *prefix = "ALTER TABLE `t`";

			assert_null(d->inexpressible);
			assert_int_equal(strncmp(ddl, prefix, strlen(prefix)), 0);
			ddl += strlen(prefix);
			assert_string_equal(*ddl ? ddl + 1 : "", want);
			for (size_t k = 0; k < d->n; k++) {
				seen[d->v[k].kind] = true;
				/* the order of the kinds is the order in the statement */
				if (k > 0 && d->v[k].kind != CLAUSE_ADD_COLUMN)
					assert_true(d->v[k - 1].kind <= d->v[k].kind);
			}
			assert_int_equal(diff_tables(ctx, to, to)->n, 0);
			talloc_free(ctx);
		}
	for (int kind = 0; kind < N_CLAUSE_KINDS; kind++)
		if (!seen[kind] &&
		    kind != CLAUSE_RENAME_COLUMN) /* test_schema_rename.c */
			fail_msg("no pair has clause kind %d", kind);
}

/* What one ALTER cannot do, and in which order several do it; "" = none of them. */
static void some_differences_take_stages(void **unused)
{
	static const struct {
		const char *from, *to, *steps[MOST_STAGES + 1];
	} cases[] = {
		{ TABLE(COUNTS),
		  TABLE_WITH("`id` bigint NOT NULL AUTO_INCREMENT, `b` int" PK,
			     " AUTO_INCREMENT=5"),
		  { "AUTO_INCREMENT=5",
		    "MODIFY COLUMN `id` bigint NOT NULL AUTO_INCREMENT, ADD COLUMN `b` int" } },
		{ TABLE(COUNTS),
		  TABLE_WITH("`id` bigint NOT NULL AUTO_INCREMENT" PK,
			     " AUTO_INCREMENT=3000000000"),
		  { "MODIFY COLUMN `id` bigint NOT NULL AUTO_INCREMENT, "
		    "AUTO_INCREMENT=3000000000" } },
		{ TABLE("`id` int NOT NULL" PK),
		  TABLE_WITH(COUNTS, " AUTO_INCREMENT=5"),
		  { "MODIFY COLUMN `id` int NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=5" } },
		{ TABLE_WITH(COUNTS, " AUTO_INCREMENT=5"),
		  TABLE_WITH(COUNTS, " AUTO_INCREMENT=5"),
		  { NULL } },
		{ TABLE(ID "`a` text, FULLTEXT KEY `f` (`a`), FULLTEXT KEY `g` (`a`)"),
		  TABLE(ID "`a` text, FULLTEXT KEY `f` (`a`) WITH PARSER `ngram`, "
			   "FULLTEXT KEY `g` (`a`)"),
		  { "DROP INDEX `f`",
		    "ADD FULLTEXT KEY `f` (`a`) WITH PARSER `ngram`" } },
		{ TABLE("`g` point NOT NULL SRID 0, SPATIAL KEY `s` (`g`)"),
		  TABLE("`g` point NOT NULL SRID 7, SPATIAL KEY `s` (`g`)"),
		  { "DROP INDEX `s`",
		    "MODIFY COLUMN `g` point NOT NULL SRID 7, ADD SPATIAL KEY `s` (`g`)" } },
		{ RANGE(P("p0", "(1)") "," P("p1", "(2)")),
		  RANGE(P("p1", "(2)") "," P("p2", "(3)") "," P("p3", "MAXVALUE")),
		  { "DROP PARTITION `p0`",
		    "ADD PARTITION (" P("p2", "(3)") ", " P("p3", "MAXVALUE") ")" } },
		{ TABLE_WITH(COUNTS, " PARTITION BY RANGE (`id`) (" P("p0", "(1)") "," P(
					     "p1", "(2)") ")"),
		  TABLE_WITH("`id` int NOT NULL AUTO_INCREMENT,`c` int" PK,
			     " AUTO_INCREMENT=8 PARTITION BY RANGE (`id`) (" P(
				     "p1", "(2)") "," P("p2", "(3)") ")"),
		  { "AUTO_INCREMENT=8", "DROP PARTITION `p0`", "ADD COLUMN `c` int",
		    "ADD PARTITION (" P("p2", "(3)") ")" } },
		{ LIST("p0 VALUES IN (1,2),PARTITION p1 VALUES IN (3)"),
		  LIST("p1 VALUES IN (3),PARTITION p2 VALUES IN (4)"),
		  { "DROP PARTITION `p0`",
		    "ADD PARTITION (PARTITION p2 VALUES IN (4))" } },
		{ LIST("p0 VALUES IN (1,2),PARTITION p1 VALUES IN (3)"),
		  LIST("p1 VALUES IN (3),PARTITION p2 VALUES IN (4,1)"),
		  { "PARTITION BY LIST (`a`) (PARTITION p1 VALUES IN (3),PARTITION p2 "
		    "VALUES IN (4,1))" } },
		{ LIST("p0 VALUES IN (1,2),PARTITION p1 DEFAULT"),
		  LIST("p0 VALUES IN (1,2),PARTITION p1 DEFAULT,PARTITION p2 VALUES IN "
		       "(4)"),
		  { "PARTITION BY LIST (`a`) (PARTITION p0 VALUES IN (1,2),PARTITION p1 "
		    "DEFAULT,PARTITION p2 VALUES IN (4))" } },
		{ LIST("p0 VALUES IN (1,2),PARTITION p1 VALUES IN (3)"),
		  LIST("p1 VALUES IN (3),PARTITION p2 DEFAULT"),
		  { "PARTITION BY LIST (`a`) (PARTITION p1 VALUES IN (3),PARTITION p2 "
		    "DEFAULT)" } },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const struct table *v[MOST_STAGES + 1],
			*from = read_or_fail(ctx, cases[i].from),
			*to = read_or_fail(ctx, cases[i].to);
		size_t n = stages_between(ctx, from, to, v), done = 0;

		v[n] = to;
		for (size_t k = 0; k <= n; k++) {
			struct table_diff *d = diff_tables(ctx, from, v[k]);

			from = v[k];
			if (d->n == 0)
				continue;
			assert_non_null(cases[i].steps[done]);
			assert_string_equal(ddl_alter(ctx, d, DB_MYSQL) +
						    strlen("ALTER TABLE `t` "),
					    cases[i].steps[done]);
			done++;
		}
		assert_true(done > MOST_STAGES || !cases[i].steps[done]);
		talloc_free(ctx);
	}
}

static void what_cannot_be_expressed_is_said(void **unused)
{
	static const struct {
		const char *from, *to, *message;
	} cases[] = {
		{ TABLE(ID "`a` int, PERIOD FOR `p` (`a`,`id`)"), TABLE(ID "`a` int"),
		  "PERIOD" },
		{ TABLE(ID "`a` int"), TABLE(ID "`a` int, PERIOD FOR `p` (`a`,`id`)"),
		  "PERIOD" },
		{ TABLE_WITH(ID "`a` int", " FROBNICATE=1"), TABLE(ID "`a` int"),
		  "FROBNICATE" },
		{ TABLE_WITH(ID "`a` int", " TABLESPACE `x`"), TABLE(ID "`a` int"),
		  "TABLESPACE" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct table_diff *d = diff_tables(ctx, read_or_fail(ctx, cases[i].from),
						   read_or_fail(ctx, cases[i].to));

		assert_non_null(d->inexpressible);
		assert_non_null(strstr(d->inexpressible, cases[i].message));
		talloc_free(ctx);
	}
}

static void columns_are_made_anew_with_their_indexes(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table *from = read_or_fail(
		ctx, TABLE(ID "`v` int GENERATED ALWAYS AS (`id`) VIRTUAL, `b` int,"
			      " KEY `k` (`b`,`v`), KEY `l` (`b`)"));
	struct table *to = read_or_fail(
		ctx, TABLE(ID "`v` int GENERATED ALWAYS AS (`id`) STORED, `b` int,"
			      " KEY `k` (`b`,`v`), KEY `l` (`b`)"));

	(void)unused;
	assert_string_equal(
		ddl_alter(ctx, diff_tables(ctx, from, to), DB_MYSQL),
		"ALTER TABLE `t` DROP INDEX `k`, DROP COLUMN `v`, ADD COLUMN `v` int "
		"GENERATED ALWAYS AS (`id`) STORED AFTER `id`, ADD KEY `k` (`b`,`v`)");
	talloc_free(ctx);
}

/* ---- moves ------------------------------------------------------------------------ */

#define MOST 7

static size_t longest_increasing(const size_t *v, size_t n)
{
	size_t best = 0;

	for (unsigned set = 0; set < 1U << n; set++) {
		size_t last = 0, count = 0;
		bool rising = true;

		for (size_t i = 0; i < n && rising; i++)
			if (set & (1U << i)) {
				rising = count == 0 || v[i] > last;
				last = v[i];
				count++;
			}
		if (rising && count > best)
			best = count;
	}
	return best;
}

/* Columns in `changed` are of another type. */
static char *columns_in_order(TALLOC_CTX *ctx, const size_t *order, size_t n,
			      unsigned changed)
{
	char *sql = talloc_strdup(ctx, "CREATE TABLE `t` (");

	for (size_t i = 0; i < n; i++)
		sql = talloc_asprintf_append(sql, "%s`c%zu` %s", i ? "," : "", order[i],
					     changed & (1U << order[i]) ? "bigint"
									: "int");
	return talloc_strdup_append(sql, TAIL);
}

/* Do what a server does with MODIFY … AFTER and FIRST. */
static void execute_moves(const struct table_diff *d, char names[][8], size_t n)
{
	for (size_t k = 0; k < d->n; k++) {
		const struct clause *c = &d->v[k];
		size_t at = 0, to = 0;
		char moved[8];

		assert_int_equal(c->kind, CLAUSE_MODIFY_COLUMN);
		if (!c->positioned)
			continue;
		while (strcmp(names[at], c->column->name) != 0)
			at++;
		memcpy(moved, names[at], sizeof(moved));
		memmove(names[at], names[at + 1], (n - at - 1) * sizeof(*names));
		if (c->after) {
			while (strcmp(names[to], c->after) != 0)
				to++;
			to++;
		}
		memmove(names[to + 1], names[to], (n - 1 - to) * sizeof(*names));
		memcpy(names[to], moved, sizeof(moved));
	}
}

/* What changes anyway needs a clause and is moved by it; of the rest as much as can be
 * keeps its place. */
static size_t fewest_clauses(const size_t *order, size_t n, unsigned changed)
{
	size_t rest[MOST], n_rest = 0;

	for (size_t i = 0; i < n; i++)
		if (!(changed & (1U << order[i])))
			rest[n_rest++] = order[i];
	return n - longest_increasing(rest, n_rest);
}

static void check_order(const size_t *order, size_t n, unsigned changed)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	size_t start[MOST];
	char names[MOST + 1][8];
	struct table_diff *d;

	for (size_t i = 0; i < n; i++) {
		start[i] = i;
		snprintf(names[i], sizeof(names[i]), "c%u", (unsigned)i);
	}
	d = diff_tables(ctx, read_or_fail(ctx, columns_in_order(ctx, start, n, 0)),
			read_or_fail(ctx, columns_in_order(ctx, order, n, changed)));
	assert_int_equal(d->n, fewest_clauses(order, n, changed));
	execute_moves(d, names, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(atoi(names[i] + 1), order[i]);
	talloc_free(ctx);
}

/* With every set of changed columns while that is quick. */
static void check_sets(const size_t *order, size_t n)
{
	unsigned sets = n <= 5 ? 1U << n : 1;

	for (unsigned changed = 0; changed < sets; changed++)
		check_order(order, n, changed);
}

/* Every order of up to six columns is reached, with the least number of clauses. */
static void all_orders_are_reached_with_the_fewest_moves(void **unused)
{
	(void)unused;
	for (size_t n = 1; n <= 6; n++) {
		size_t order[MOST], counter[MOST] = { 0 };

		for (size_t i = 0; i < n; i++)
			order[i] = i;
		check_sets(order, n);
		for (size_t i = 0; i < n;) { /* Heap's permutations */
			if (counter[i] < i) {
				size_t k = i % 2 ? counter[i] : 0, tmp = order[k];

				order[k] = order[i];
				order[i] = tmp;
				check_sets(order, n);
				counter[i]++;
				i = 0;
			} else {
				counter[i++] = 0;
			}
		}
	}
}

/* ---- order of tables -------------------------------------------------------------- */

static struct table *child_of(TALLOC_CTX *ctx, const char *name, const char *parent)
{
	if (!parent)
		return read_or_fail(
			ctx, talloc_asprintf(ctx, "CREATE TABLE `%s` (`a` int)", name));
	return read_or_fail(ctx,
			    talloc_asprintf(ctx,
					    "CREATE TABLE `%s` (`a` int, CONSTRAINT `f` "
					    "FOREIGN KEY (`a`) REFERENCES `%s` (`a`))",
					    name, parent));
}

static void parents_come_first(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	const struct table *v[] = { child_of(ctx, "a", "c"), child_of(ctx, "b", "b"),
				    child_of(ctx, "c", "d"),
				    child_of(ctx, "d", "elsewhere"),
				    child_of(ctx, "e", NULL) };
	const struct table *circle[] = { child_of(ctx, "x", "y"), child_of(ctx, "y", "x"),
					 child_of(ctx, "z", NULL) };
	static const char *const want[] = { "b", "d", "c", "a", "e" };

	(void)unused;
	assert_null(order_by_reference(v, ARRAY_SIZE(v)));
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		assert_string_equal(v[i]->name, want[i]);
	assert_string_equal(order_by_reference(circle, ARRAY_SIZE(circle))->name, "x");
	assert_string_equal(circle[0]->name, "z");
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_is_taken_apart),
		cmocka_unit_test(what_is_no_table_is_refused),
		cmocka_unit_test(differences_become_clauses),
		cmocka_unit_test(some_differences_take_stages),
		cmocka_unit_test(what_cannot_be_expressed_is_said),
		cmocka_unit_test(columns_are_made_anew_with_their_indexes),
		cmocka_unit_test(all_orders_are_reached_with_the_fewest_moves),
		cmocka_unit_test(parents_come_first),
	};

	return cmocka_run_group_tests_name("schema_diff", tests, NULL, NULL);
}
