/*
 * test_schema_types.c - which conversions lose values.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/schema/types.h"
#include "tests/unit/unit.h"

#define TAIL ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"

static struct table *read_or_fail(TALLOC_CTX *ctx, const char *body, const char *tail)
{
	struct table *t;
	struct sb_err err = { 0 };

	if (table_read(ctx, talloc_asprintf(ctx, "CREATE TABLE `t` (%s%s", body, tail),
		       &t, &err) < 0)
		fail_msg("%s: %s", body, err.msg);
	return t;
}

/* Each list is ordered so that every type fits into all later ones, and in none before.
 */
static const char *const chains[][8] = {
	{ "tinyint", "smallint", "mediumint", "int", "bigint", "decimal(25,5)" },
	{ "tinyint unsigned", "smallint unsigned", "mediumint unsigned", "int unsigned",
	  "bigint unsigned", "decimal(20,0) unsigned" },
	{ "tinyint unsigned", "smallint", "int", "double" },
	{ "decimal(5,2)", "decimal(7,2)", "decimal(9,4)" },
	{ "float", "double" },
	{ "bit(1)", "bit(8)", "bit(64)" },
	{ "varchar(10)", "varchar(63)", "tinytext", "text", "mediumtext", "longtext" },
	{ "char(3)", "char(4)", "varchar(4)", "varchar(5)" },
	{ "binary(4)", "varbinary(4)", "varbinary(200)", "tinyblob", "blob", "mediumblob",
	  "longblob" },
	{ "date", "datetime", "datetime(3)", "datetime(6)" },
	{ "time", "time(6)" },
	{ "timestamp", "timestamp(2)" },
	{ "enum('a')", "enum('a','b')", "enum('a','b','c')", "varchar(1)" },
	{ "set('a')", "set('a','b')", "varchar(20)" },
	{ "varchar(5) CHARACTER SET ascii COLLATE ascii_bin",
	  "varchar(5) CHARACTER SET latin1 COLLATE latin1_bin",
	  "varchar(5) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin", "varchar(5)" },
	{ "text CHARACTER SET latin1 COLLATE latin1_bin", "mediumtext" },
	{ "text CHARACTER SET ascii COLLATE ascii_bin",
	  "text CHARACTER SET utf8mb3 COLLATE utf8mb3_bin", "text" },
	{ "point NOT NULL /*!80003 SRID 4326 */", "point", "geometry" },
	{ "vector(3)", "vector(5)" },
	{ "bigint", "decimal(19,0)" },
};

/* Pairs that lose something in both directions. */
static const char *const strangers[][2] = {
	{ "int", "int unsigned" },
	{ "int", "varchar(20)" },
	{ "bigint", "double" },
	{ "bigint unsigned", "decimal(19,0)" },
	{ "text CHARACTER SET ascii COLLATE ascii_bin",
	  "text CHARACTER SET swe7 COLLATE swe7_bin" },
	{ "decimal(10,2)", "decimal(10,3)" },
	{ "decimal(10,2)", "double" },
	{ "varchar(5) CHARACTER SET sjis COLLATE sjis_bin", "varchar(5)" },
	{ "float(7,2)", "double(9,3)" },
	{ "enum('a','b')", "enum('b','a')" },
	{ "enum('a')", "set('a')" },
	{ "text", "blob" },
	{ "binary(4)", "binary(8)" },
	{ "datetime", "timestamp" },
	{ "date", "time" },
	{ "year", "int" },
	{ "point", "linestring" },
	{ "json", "text" },
	{ "uuid", "char(36)" },
	{ "varchar(5) CHARACTER SET latin1 COLLATE latin1_bin",
	  "varchar(5) CHARACTER SET cp1251 COLLATE cp1251_bin" },
	{ "text CHARACTER SET latin1 COLLATE latin1_bin", "text" },
};

static bool fits(const char *from, const char *to)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table *a = read_or_fail(ctx, talloc_asprintf(ctx, "`c` %s", from), TAIL);
	struct table *b = read_or_fail(ctx, talloc_asprintf(ctx, "`c` %s", to), TAIL);
	const char *why = NULL;
	bool result;

	result = types_loss(ctx, &a->columns[0], &b->columns[0], &why) == LOSS_NONE;
	if (!result)
		assert_true(why && *why);
	talloc_free(ctx);
	return result;
}

static void values_fit_into_wider_types_only(void **unused)
{
	(void)unused;
	for (size_t c = 0; c < ARRAY_SIZE(chains); c++)
		for (size_t i = 0; i < ARRAY_SIZE(chains[c]) && chains[c][i]; i++)
			for (size_t k = 0; k < ARRAY_SIZE(chains[c]) && chains[c][k]; k++)
				if (fits(chains[c][i], chains[c][k]) != (i <= k))
					fail_msg("%s to %s", chains[c][i], chains[c][k]);
	for (size_t i = 0; i < ARRAY_SIZE(strangers); i++)
		for (int k = 0; k < 2; k++) {
			if (fits(strangers[i][k], strangers[i][!k]))
				fail_msg("%s to %s", strangers[i][k], strangers[i][!k]);
			assert_true(fits(strangers[i][k], strangers[i][k]));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_fit_into_wider_types_only),
	};

	return cmocka_run_group_tests_name("schema_types", tests, NULL, NULL);
}
