/*
 * test_schema_unsafe.c - which conversions lose values, which changes need consent, and
 * what lint says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/schema/lint.h"
#include "core/schema/types.h"
#include "core/schema/unsafe.h"
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
};

/* Pairs that lose something in both directions. */
static const char *const strangers[][2] = {
	{ "int", "int unsigned" },
	{ "int", "varchar(20)" },
	{ "bigint", "double" },
	{ "bigint unsigned", "decimal(19,0)" },
	{ "decimal(10,2)", "decimal(10,3)" },
	{ "decimal(10,2)", "double" },
	{ "enum('a','b')", "enum('b','a')" },
	{ "enum('a')", "set('a')" },
	{ "text", "blob" },
	{ "binary(4)", "binary(8)" },
	{ "datetime", "timestamp" },
	{ "date", "time" },
	{ "year", "int" },
	{ "point", "geometry" },
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

	result = types_lossless(ctx, &a->columns[0], &b->columns[0], &why);
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

/* ---- consent ---------------------------------------------------------------------- */

#define ID "`id` int NOT NULL, "

static const struct {
	const char *from, *to;
	const char *reason; /* NULL = safe */
} changes[] = {
	{ ID "`a` int", ID "`a` int, `b` int", NULL },
	{ ID "`a` int", ID "`a` int, `b` int NOT NULL", NULL },
	{ ID "`a` int, `b` int", ID "`a` int", "drops column `b`" },
	{ ID "`a` int", ID "`a` int NOT NULL", "NOT NULL" },
	{ ID "`a` int NOT NULL", ID "`a` int", NULL },
	{ ID "`a` bigint", ID "`a` int", "from bigint to int" },
	{ ID "`a` int", ID "`a` int GENERATED ALWAYS AS (1) STORED",
	  "becomes generated" },
	{ ID "`a` int", ID "`a` int GENERATED ALWAYS AS (1) VIRTUAL",
	  "loses its values" },
	{ ID "`a` int GENERATED ALWAYS AS (1) VIRTUAL", ID "`a` int",
	  "loses its values" },
	{ ID "`a` int GENERATED ALWAYS AS (1) STORED", ID "`a` int", NULL },
	{ ID "`a` int GENERATED ALWAYS AS (1) VIRTUAL",
	  ID "`a` int GENERATED ALWAYS AS (1) STORED", NULL },
	{ ID "`a` int, KEY `k` (`a`)", ID "`a` int", "drops index `k`" },
	{ ID "`a` int, KEY `k` (`a`) INVISIBLE", ID "`a` int", NULL },
	{ ID "`a` int, KEY `k` (`a`)", ID "`a` int, KEY `k` (`a`) INVISIBLE", NULL },
	{ ID "`a` int, KEY `k` (`a`)", ID "`a` int, KEY `k` (`a`,`id`)", NULL },
	{ ID "`a` int, KEY `k` (`a`)", ID "`a` int, KEY `k` (`id`,`a`)",
	  "changes index `k`" },
	{ ID "`a` int, KEY `k` (`a`)", ID "`a` int, KEY `l` (`a`)", NULL },
	{ ID "`a` int", ID "`a` int, UNIQUE KEY `k` (`a`)", "duplicates" },
	{ ID "`a` int, UNIQUE KEY `k` (`a`)",
	  ID "`a` int, UNIQUE KEY `k` (`a`), UNIQUE KEY `l` (`id`,`a`)", NULL },
	{ ID "`a` int, PRIMARY KEY (`id`)",
	  ID "`a` int, PRIMARY KEY (`id`), UNIQUE KEY `l` "
	     "(`a`,`id`)",
	  NULL },
	{ ID "`a` int", ID "`a` int, PRIMARY KEY (`id`)", "adds a primary key" },
	{ ID "`a` int, PRIMARY KEY (`id`)", ID "`a` int", "drops the primary key" },
	{ ID "`a` int NOT NULL, PRIMARY KEY (`id`)",
	  ID "`a` int NOT NULL, PRIMARY KEY (`a`)", "changes the primary key" },
	{ "`a` int", "`n` int NOT NULL AUTO_INCREMENT, `a` int, PRIMARY KEY (`n`)",
	  NULL },
	{ ID "`a` varchar(5), UNIQUE KEY `k` (`a`)",
	  ID
	  "`a` varchar(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, UNIQUE KEY `k` "
	  "(`a`)",
	  "become equal" },
	{ ID "`a` varchar(5)",
	  ID "`a` varchar(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", NULL },
	{ ID "`a` int, CONSTRAINT `c` CHECK (`a` > 1)", ID "`a` int", NULL },
};

static void consent_is_needed_where_something_is_lost(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct table_diff *d =
			diff_tables(ctx, read_or_fail(ctx, changes[i].from, TAIL),
				    read_or_fail(ctx, changes[i].to, TAIL));
		const char *reasons = unsafe_reasons(ctx, d);

		assert_true(d->n > 0);
		if (!changes[i].reason && *reasons)
			fail_msg("%s to %s: %s", changes[i].from, changes[i].to, reasons);
		if (changes[i].reason && !strstr(reasons, changes[i].reason))
			fail_msg("%s to %s: %s", changes[i].from, changes[i].to, reasons);
		talloc_free(ctx);
	}
}

static void reasons_are_joined(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct table_diff *d =
		diff_tables(ctx, read_or_fail(ctx, "`a` int, `b` bigint", TAIL),
			    read_or_fail(ctx, "`b` int NOT NULL", ") ENGINE=MyISAM"));
	const char *reasons = unsafe_reasons(ctx, d);

	(void)unused;
	assert_non_null(
		strstr(reasons, "drops column `a` and its values; changes the type"));
	assert_non_null(strstr(reasons, "; makes column `b` NOT NULL"));
	assert_non_null(strstr(reasons, "; changes the storage engine"));
	talloc_free(ctx);
}

/* ---- lint ------------------------------------------------------------------------- */

static const struct {
	const char *body, *tail, *linter, *severity;
} violations[] = {
	{ "`a` int", TAIL, "no_primary_key", "error" },
	{ "`a` double NOT NULL, PRIMARY KEY (`a`)", TAIL, "primary_key_type", "error" },
	{ "`a` bit(8) NOT NULL, PRIMARY KEY (`a`)", TAIL, "primary_key_type", "error" },
	{ ID "PRIMARY KEY (`id`), CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `p` (`i`)",
	  TAIL, "foreign_key", "error" },
	{ ID "`x y` int, PRIMARY KEY (`id`)", TAIL, "odd_name", "error" },
	{ ID "`1x` int, PRIMARY KEY (`id`)", TAIL, "odd_name", "error" },
	{ ID "PRIMARY KEY (`id`), KEY `i-d` (`id`,`id`)", TAIL, "odd_name", "error" },
	{ ID "PRIMARY KEY (`id`)", ") ENGINE=InnoDB DEFAULT CHARSET=latin1",
	  "character_set", "warning" },
	{ ID
	  "`a` varchar(5) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin, PRIMARY KEY (`id`)",
	  TAIL, "character_set", "warning" },
	{ ID "`a` int, PRIMARY KEY (`id`), KEY `k` (`a`), KEY `l` (`a`,`id`)", TAIL,
	  "redundant_index", "warning" },
	{ ID "`a` int, PRIMARY KEY (`id`), KEY `k` (`a`), KEY `l` (`a`)", TAIL,
	  "redundant_index", "warning" },
	{ ID "PRIMARY KEY (`id`)", ") ENGINE=MyISAM DEFAULT CHARSET=utf8mb4",
	  "storage_engine", "warning" },
	{ ID "`a` datetime DEFAULT '0000-00-00 00:00:00', PRIMARY KEY (`id`)", TAIL,
	  "zero_date", "warning" },
	{ "`id` smallint NOT NULL AUTO_INCREMENT, PRIMARY KEY (`id`)", TAIL,
	  "small_counter", "warning" },
};

static void lint_finds_each_violation_once(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(violations); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct table *t =
			read_or_fail(ctx, violations[i].body, violations[i].tail);
		struct lint_list list = { .ctx = ctx };
		const char *first;
		size_t errors = lint_change(&list, NULL, t, &first);

		assert_int_equal(list.n, 1);
		assert_string_equal(list.v[0].linter, violations[i].linter);
		assert_string_equal(list.v[0].severity, violations[i].severity);
		assert_string_equal(list.v[0].table, "t");
		assert_true(*list.v[0].message && *list.v[0].fix_type);
		assert_int_equal(errors, strcmp(violations[i].severity, "error") == 0);
		assert_true(errors ? first == list.v[0].message : first == NULL);

		/* A change that leaves it as it was is not blamed for it. */
		list.n = 0;
		assert_int_equal(lint_change(&list, t, t, &first), 0);
		assert_int_equal(list.n, 0);
		talloc_free(ctx);
	}
}

static void lint_has_nothing_against_a_plain_table(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct lint_list list = { .ctx = ctx };
	const char *first;

	(void)unused;
	assert_int_equal(
		lint_change(&list, NULL,
			    read_or_fail(ctx,
					 "`id` int NOT NULL AUTO_INCREMENT, `a_1` "
					 "varchar(9) DEFAULT NULL, PRIMARY KEY (`id`), "
					 "KEY `k` (`a_1`), UNIQUE KEY `u` (`a_1`,`id`)",
					 TAIL),
			    &first),
		0);
	/* k is the beginning of u */
	assert_int_equal(list.n, 1);
	assert_string_equal(list.v[0].linter, "redundant_index");
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_fit_into_wider_types_only),
		cmocka_unit_test(consent_is_needed_where_something_is_lost),
		cmocka_unit_test(reasons_are_joined),
		cmocka_unit_test(lint_finds_each_violation_once),
		cmocka_unit_test(lint_has_nothing_against_a_plain_table),
	};

	return cmocka_run_group_tests_name("schema_unsafe", tests, NULL, NULL);
}
