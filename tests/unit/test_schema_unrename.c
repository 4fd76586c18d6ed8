/*
 * test_schema_unrename.c - which renames a statement makes, and the hints that undo them.
 */
#include <string.h>

#include "core/base/err.h"
#include "core/schema/unrename.h"
#include "tests/unit/unit.h"

static TALLOC_CTX *ctx;

static const char was[] = "CREATE TABLE `t` (\n  `a` int(11) NOT NULL,\n  `b``c` int(11) "
			  "DEFAULT NULL,\n  PRIMARY KEY (`a`)\n) ENGINE=InnoDB";

static void tables(void **unused)
{
	static const char *const others[] = { "ALTER TABLE `a` RENAME COLUMN `b` TO `c`",
					      "DROP TABLE `a`", "RENAME TABLE", "'" };
	char *from, *to;

	(void)unused;
	assert_true(unrename_table(ctx, "RENAME TABLE `a``b` TO `c d`", &from, &to));
	assert_string_equal(from, "a`b");
	assert_string_equal(to, "c d");
	assert_string_equal(unrename_table_hint(ctx, from, to),
			    "-- schemabot: rename table `c d` to `a``b`\n");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(unrename_table(ctx, others[i], &from, &to));
}

static void columns(void **unused)
{
	static const struct {
		const char *ddl, *hints;
	} cases[] = {
		{ "ALTER TABLE `t` ADD COLUMN `x` int", "" },
		{ "ALTER TABLE `t` RENAME INDEX `a` TO `z`", "" },
		{ "ALTER TABLE `t` RENAME COLUMN `a` TO `x`, ADD COLUMN `y` int COMMENT "
		  "'RENAME COLUMN `b` TO `q`'",
		  "-- schemabot: rename column `x` to `a`\n" },
		{ "ALTER TABLE `t` CHANGE COLUMN `b``c` `z` bigint NOT NULL, RENAME COLUMN "
		  "`a` TO `b``c`",
		  "-- schemabot: rename column `z` to `b``c`\n"
		  "-- schemabot: rename column `b``c` to `a`\n" },
		{ "ALTER TABLE `t` CHANGE COLUMN `a` `A` int", "" },
		/* A table that had the new name already. */
		{ "ALTER TABLE `t` RENAME COLUMN `old` TO `a`", "" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(unrename_columns(ctx, cases[i].ddl, was),
				    cases[i].hints);
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables),
		cmocka_unit_test(columns),
	};

	return cmocka_run_group_tests_name("schema_unrename", tests, setup, teardown);
}
