/*
 * test_schema_rename.c - what a table looks like after a rename or without a foreign key,
 * by flavour; the clauses and the judgement of a rename; hints as they are written.
 */
#include <string.h>

#include "core/schema/ddl.h"
#include "core/schema/lint.h"
#include "core/schema/rename.h"
#include "core/schema/rewrite.h"
#include "tests/unit/unit.h"

static TALLOC_CTX *ctx;

static int setup(void **unused)
{
	(void)unused;
	ctx = mem_ctx(NULL, "test");
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	talloc_free(ctx);
	return 0;
}

static const struct table *read_or_fail(const char *sql)
{
	struct table *t;
	struct sb_err err = { 0 };

	if (table_read(ctx, sql, &t, &err) < 0)
		fail_msg("%s: %s", sql, err.msg);
	return t;
}

#define BEFORE                                                                     \
	"CREATE TABLE `t` (\n"                                                     \
	"  `id` int NOT NULL COMMENT '`a`',\n"                                     \
	"  `A` int DEFAULT NULL,\n"                                                \
	"  `g` int GENERATED ALWAYS AS (`a` + 1) VIRTUAL,\n"                       \
	"  PRIMARY KEY (`id`),\n"                                                  \
	"  KEY `a` (`A` DESC,`g`) COMMENT '`a`',\n"                                \
	"  KEY `e` ((`a` + 1)),\n"                                                 \
	"  CONSTRAINT `a` FOREIGN KEY (`A`) REFERENCES `t` (`a`),\n"               \
	"  CONSTRAINT `t_ibfk_1` FOREIGN KEY (`A`) REFERENCES `a` (`a`),\n"        \
	"  CONSTRAINT `f` FOREIGN KEY (`A`) REFERENCES `s`.`t` (`a`),\n"           \
	"  CONSTRAINT `t_chk_1` CHECK (`a` > 'a')\n"                               \
	") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='`a`'\n"                  \
	" PARTITION BY RANGE (`a`)\n(PARTITION `a` VALUES LESS THAN (1) ENGINE = " \
	"InnoDB)"

#define AFTER(table, check, column)                                                 \
	"CREATE TABLE `" table "` (\n"                                              \
	"  `id` int NOT NULL COMMENT '`a`',\n"                                      \
	"  `b` int DEFAULT NULL,\n"                                                 \
	"  `g` int GENERATED ALWAYS AS (`" column "` + 1) VIRTUAL,\n"               \
	"  PRIMARY KEY (`id`),\n"                                                   \
	"  KEY `a` (`b` DESC,`g`) COMMENT '`a`',\n"                                 \
	"  KEY `e` ((`a` + 1)),\n"                                                  \
	"  CONSTRAINT `a` FOREIGN KEY (`b`) REFERENCES `" table "` (`b`),\n"        \
	"  CONSTRAINT `" table "_ibfk_1` FOREIGN KEY (`b`) REFERENCES `a` (`a`),\n" \
	"  CONSTRAINT `f` FOREIGN KEY (`b`) REFERENCES `s`.`t` (`a`),\n"            \
	"  CONSTRAINT `" check "_chk_1` CHECK (`" column "` > 'a')\n"               \
	") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='`a`'\n"                   \
	" PARTITION BY RANGE (`" column                                             \
	"`)\n(PARTITION `a` VALUES LESS THAN (1) ENGINE = InnoDB)"

static void what_follows_a_rename_is_renamed(void **unused)
{
	const struct column_rename column = { "a", "b" };
	struct table_rename v = { "t", "u", &column, 1 };
	struct renames r = { .v = &v, .n = 1, .flavor = DB_MARIADB };
	const struct table *t = read_or_fail(BEFORE), *out;

	(void)unused;
	out = rewrite_renamed(ctx, t, &r);
	assert_string_equal(out->create_sql, AFTER("u", "t", "b"));
	assert_string_equal(table_column(out, "b")->renamed_from, "A");
	assert_null(table_column(out, "id")->renamed_from);
	r.flavor = DB_MYSQL;
	assert_string_equal(rewrite_renamed(ctx, t, &r)->create_sql,
			    AFTER("u", "u", "a"));
	v.new = "t";
	assert_string_equal(rewrite_renamed(ctx, t, &r)->create_sql,
			    AFTER("t", "t", "a"));
	v.old = v.new = "T";
	assert_ptr_equal(rewrite_renamed(ctx, t, &r), t);
	r.fold_case = true;
	assert_ptr_not_equal(rewrite_renamed(ctx, t, &r), t);
}

static void others_follow_by_their_foreign_keys(void **unused)
{
	const struct column_rename column = { "id", "n" };
	struct table_rename v = { "p", "q", &column, 1 };
	struct renames r = { .v = &v, .n = 1 };
	const struct table *out = rewrite_renamed(
		ctx,
		read_or_fail(
			"CREATE TABLE `c` (\n  `id` int,\n  KEY `k` (`id`),\n"
			"  CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `p` (`id`)\n)"),
		&r);

	(void)unused;
	assert_string_equal(
		out->create_sql,
		"CREATE TABLE `c` (\n  `id` int,\n  KEY `k` (`id`),\n"
		"  CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `q` (`n`)\n)");
	assert_string_equal(out->constraints[0].parent, "q");
	assert_string_equal(out->constraints[0].parent_columns[0], "n");
}

static void foreign_keys_are_left_out(void **unused)
{
	bool gone[4] = { true, false, true, true };
	const struct table *t = read_or_fail(BEFORE),
			   *out = rewrite_without(ctx, t, gone);

	(void)unused;
	assert_int_equal(out->n_constraints, 2); /* the CHECK is no foreign key */
	assert_null(strstr(out->create_sql, "CONSTRAINT `a`"));
	assert_null(strstr(out->create_sql, "CONSTRAINT `f`"));
	assert_non_null(strstr(out->create_sql, "CONSTRAINT `t_ibfk_1` FOREIGN KEY"));
	assert_non_null(strstr(out->create_sql, "KEY `e` ((`a` + 1)),\n  CONSTRAINT"));
}

/* ---- clauses and judgement ----------------------------------------------------------
 */

#define TABLE(name, columns)                                          \
	"CREATE TABLE `" name "` (\n  `id` int NOT NULL,\n  " columns \
	",\n  PRIMARY KEY (`id`)\n)"

static struct table_diff *renamed_diff(const char *from, const char *to)
{
	static const struct column_rename columns[] = { { "a", "b" }, { "b", "c" } };
	static struct table_rename v = { "t", "t", columns, 2 };
	const struct renames r = { .v = &v, .n = 1 };

	return diff_tables(ctx, rewrite_renamed(ctx, read_or_fail(from), &r),
			   read_or_fail(to));
}

static void a_rename_is_a_clause(void **unused)
{
	static const struct {
		const char *from, *to, *ddl;
	} cases[] = {
		{ TABLE("t", "`a` int"), TABLE("t", "`b` int"),
		  "RENAME COLUMN `a` TO `b`" },
		{ TABLE("t", "`a` int, `b` int"), TABLE("t", "`b` int, `c` int"),
		  "RENAME COLUMN `a` TO `b`, RENAME COLUMN `b` TO `c`" },
		{ TABLE("t", "`a` int, `z` int"), TABLE("t", "`z` int, `b` int"),
		  "CHANGE COLUMN `a` `b` int AFTER `z`" },
		{ TABLE("t", "`a` int"), TABLE("t", "`b` bigint"),
		  "CHANGE COLUMN `a` `b` bigint" },
		{ TABLE("t", "`a` int"), TABLE("t", "`b` int, KEY `k` (`b`)"),
		  "RENAME COLUMN `a` TO `b`, ADD KEY `k` (`b`)" },
		{ TABLE("t", "`a` int, KEY `k` (`a`)"),
		  TABLE("t", "`b` int, KEY `l` (`b`)"),
		  "RENAME INDEX `k` TO `l`, RENAME COLUMN `a` TO `b`" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct table_diff *d = renamed_diff(cases[i].from, cases[i].to);
		struct lint_list list = { .ctx = ctx };

		assert_string_equal(ddl_alter(ctx, d, DB_MYSQL) +
					    strlen("ALTER TABLE `t` "),
				    cases[i].ddl);
		assert_non_null(strstr(lint_change(&list, d->from, d->to, d),
				       "renames column `a` to `b`"));
		assert_string_equal(list.v[0].linter, "rename_column");
	}
}

static void a_renamed_table_is_judged(void **unused)
{
	struct lint_list list = { .ctx = ctx };
	const struct table *t = read_or_fail(TABLE("t", "`a` int")),
			   *u = read_or_fail(TABLE("u", "`a` int"));

	(void)unused;
	assert_string_equal(lint_change(&list, t, t, NULL), "");
	assert_non_null(
		strstr(lint_change(&list, t, u, NULL), "renames table `t` to `u`"));
	assert_int_equal(list.n, 1);
	assert_string_equal(list.v[0].linter, "rename_table");
}

/* ---- hints --------------------------------------------------------------------------
 */

static void hints_are_found_in_every_comment(void **unused)
{
	static const char good[] =
		"/* words\n * schemabot: rename table t to u\n */\n"
		"CREATE TABLE u (a int -- schemabot: rename column a to b"
		"\n) # schemabot: rename column `c``c` TO `d``d`\n";
	struct rename_hint *hints;
	struct sb_err err = { 0 };
	struct tokens t;
	size_t n;

	(void)unused;
	assert_int_equal(tokenize(ctx, good, &t, &err), 0);
	assert_int_equal(rename_read(ctx, &t, "u", &hints, &n, &err), 0);
	assert_int_equal(n, 3);
	assert_true(hints[0].of_table && hints[0].line == 2);
	assert_string_equal(hints[1].old, "a");
	assert_int_equal(hints[1].line, 4);
	assert_string_equal(hints[2].old, "c`c");
	assert_string_equal(hints[2].new, "d`d");
	assert_int_equal(hints[2].line, 5);
	assert_int_equal(rename_read(ctx, &t, "v", &hints, &n, &err), -1);
}

static void a_hint_that_is_not_known_is_refused(void **unused)
{
	static const char *const files[] = {
		"-- schemabot:",
		"-- schemabot: rename a to b",
		"-- schemabot: rename column a b",
		"-- schemabot: rename column a to b;",
		"-- schemabot: rename column a.b to c",
		"-- schemabot: rename column 'a' to b",
		"-- schemabot: rename column `` to b",
		"-- schemabot: rename column `a to b",
		"/* schemabot: drop table a */",
		"-- schemabot: rename column a to b\n# schemabot: rename column c to B",
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct rename_hint *hints;
		struct sb_err err = { 0 };
		struct tokens t;
		size_t n;

		assert_int_equal(tokenize(ctx, files[i], &t, &err), 0);
		if (rename_read(ctx, &t, "t", &hints, &n, &err) == 0)
			fail_msg("%s: taken", files[i]);
		assert_non_null(strstr(err.msg, "line "));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_follows_a_rename_is_renamed),
		cmocka_unit_test(others_follow_by_their_foreign_keys),
		cmocka_unit_test(foreign_keys_are_left_out),
		cmocka_unit_test(a_rename_is_a_clause),
		cmocka_unit_test(a_renamed_table_is_judged),
		cmocka_unit_test(hints_are_found_in_every_comment),
		cmocka_unit_test(a_hint_that_is_not_known_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
