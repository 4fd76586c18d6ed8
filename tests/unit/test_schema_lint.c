/*
 * test_schema_lint.c - every rule finds what it should and leaves alone what it should;
 * what a configuration changes; and what is debt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/schema/lint.h"
#include "core/schema/lint_table.h"
#include "core/schema/unsafe.h"
#include "core/schema/words.h"
#include "tests/unit/unit.h"

#define TAIL ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
#define ID   "`id` int NOT NULL, "
#define PK   ", PRIMARY KEY (`id`)"
#define FK   "CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `p` (`i`)"

static struct table *read_or_fail(TALLOC_CTX *ctx, const char *sql)
{
	struct table *t;
	struct sb_err err = { 0 };

	/* Short forms: a body, or a body and what follows it. */
	if (strncmp(sql, "CREATE", 6) != 0)
		sql = talloc_asprintf(ctx, "CREATE TABLE `t` (%s%s", sql,
				      strstr(sql, ") ENGINE") ? "" : TAIL);
	if (table_read(ctx, sql, &t, &err) < 0)
		fail_msg("%s: %s", sql, err.msg);
	return t;
}

/* ---- each rule ------------------------------------------------------------------------
 */

#define SEVENTEEN                                                                           \
	"KEY `a` (`a`), KEY `b` (`a`,`b`), KEY `c` (`b`), KEY `d` (`b`,`a`), KEY `e` (`a`"  \
	" DESC), KEY `f` (`b` DESC), KEY `g` (`a`,`b` DESC), KEY `h` (`b`,`a` DESC), KEY "  \
	"`i` (`a` DESC,`b`), KEY `j` (`b` DESC,`a`), KEY `k` (`id`,`a`), KEY `l` (`id`,`b`" \
	"), KEY `m` (`a`,`id`), KEY `n` (`b`,`id`), KEY `o` (`id` DESC)"
#define RANGE(partitions)                                                                \
	") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 PARTITION BY RANGE (`id`) (" partitions \
	")"

/* from NULL = a new table; to NULL = it is dropped. */
static const struct {
	enum rule_id rule;
	bool found;
	const char *from, *to;
} cases[] = {
	{ RULE_drop_table, true, "`a` int", NULL },
	{ RULE_drop_table, false, NULL, "`a` int" },
	{ RULE_drop_column, true, ID "`a` int", "`id` int NOT NULL" },
	{ RULE_drop_column, true, ID "`a` int",
	  ID "`a` int GENERATED ALWAYS AS (1) VIRTUAL" },
	{ RULE_drop_column, false, ID "`a` int GENERATED ALWAYS AS (1) VIRTUAL",
	  ID "`a` int GENERATED ALWAYS AS (1) STORED" },
	{ RULE_lossy_type, true, ID "`a` bigint", ID "`a` int" },
	{ RULE_lossy_type, false, ID "`a` int", ID "`a` bigint" },
	{ RULE_charset_narrowing, true, "`a` text",
	  "`a` text CHARACTER SET latin1 COLLATE latin1_bin" },
	{ RULE_charset_narrowing, false, "`a` enum('x')",
	  "`a` enum('x') CHARACTER SET latin1 COLLATE latin1_bin" },
	{ RULE_charset_narrowing, false,
	  "`a` varchar(3) CHARACTER SET latin1 COLLATE latin1_bin", "`a` varchar(3)" },
	{ RULE_reorder_values, true, "`a` enum('x','y')", "`a` enum('y','x')" },
	{ RULE_reorder_values, true, "`a` set('x','y')", "`a` set('x')" },
	{ RULE_reorder_values, false, "`a` enum('x')", "`a` enum('x','y')" },
	{ RULE_becomes_generated, true, "`a` int, `b` int",
	  "`a` int, `b` int GENERATED ALWAYS AS (`a`) STORED" },
	{ RULE_becomes_generated, false,
	  "`a` int, `b` int GENERATED ALWAYS AS (`a`) STORED", "`a` int, `b` int" },

	{ RULE_recompute_values, true,
	  "`a` int, `b` int GENERATED ALWAYS AS (`a` + 1) STORED",
	  "`a` int, `b` int GENERATED ALWAYS AS (`a` + 2) STORED" },
	{ RULE_recompute_values, false,
	  "`a` int, `b` int GENERATED ALWAYS AS (`a` + 1) STORED",
	  "`a` int, `b` int GENERATED ALWAYS AS (`a` + 1) STORED COMMENT 'AS (2)'" },
	{ RULE_recompute_values, false,
	  "`a` int, `b` int GENERATED ALWAYS AS (`a` + 1) VIRTUAL",
	  "`a` int, `b` int GENERATED ALWAYS AS (`a` + 2) VIRTUAL" },
	{ RULE_not_null, true, "`a` int", "`a` int NOT NULL" },
	{ RULE_not_null, false, "`a` int NOT NULL", "`a` int" },
	{ RULE_required_column, true, "`id` int", "`id` int, `a` int NOT NULL" },
	{ RULE_required_column, false, "`id` int",
	  "`id` int, `a` int NOT NULL DEFAULT 0" },
	{ RULE_required_column, false, "`id` int", "`id` int, `a` int" },
	{ RULE_required_column, false, NULL, "`a` int NOT NULL" },
	{ RULE_drop_default, true, "`a` int NOT NULL DEFAULT 1", "`a` int NOT NULL" },
	{ RULE_drop_default, true, "`a` int DEFAULT 1", "`a` int NOT NULL" },
	{ RULE_drop_default, false, "`a` int DEFAULT 1", "`a` int" },
	{ RULE_drop_default, false, "`a` int NOT NULL DEFAULT 1",
	  "`a` int NOT NULL DEFAULT 2" },
	{ RULE_drop_auto_increment, true, "`id` int NOT NULL AUTO_INCREMENT" PK,
	  "`id` int NOT NULL" PK },
	{ RULE_drop_auto_increment, false, "`id` int NOT NULL" PK,
	  "`id` int NOT NULL AUTO_INCREMENT" PK },
	{ RULE_add_primary_key, true, "`id` int NOT NULL", "`id` int NOT NULL" PK },
	{ RULE_add_primary_key, false, "`a` int",
	  "`id` int NOT NULL AUTO_INCREMENT, `a` int" PK },
	{ RULE_change_primary_key, true, "`id` int NOT NULL" PK, "`id` int NOT NULL" },
	{ RULE_change_primary_key, false, "`id` int NOT NULL", "`id` int NOT NULL" PK },
	{ RULE_add_unique, true, "`a` int", "`a` int, UNIQUE KEY `k` (`a`)" },
	{ RULE_add_unique, false, ID "`a` int, UNIQUE KEY `k` (`a`)",
	  ID "`a` int, UNIQUE KEY `k` (`a`), UNIQUE KEY `l` (`id`,`a`)" },
	{ RULE_unite_values, true, "`a` varchar(5), UNIQUE KEY `k` (`a`)",
	  "`a` varchar(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, UNIQUE KEY `k` "
	  "(`a`)" },
	{ RULE_unite_values, true,
	  "`a` varchar(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci, UNIQUE KEY `k` "
	  "(`a`)",
	  "`a` varchar(5), UNIQUE KEY `k` (`a`)" },
	{ RULE_unite_values, false,
	  "`a` varchar(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, UNIQUE KEY `k` "
	  "(`a`)",
	  "`a` varchar(5), UNIQUE KEY `k` (`a`)" },
	{ RULE_unite_values, false, "`a` varchar(5), KEY `k` (`a`)",
	  "`a` varchar(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, KEY `k` (`a`)" },
	{ RULE_drop_index, true, "`a` int, KEY `k` (`a`)", "`a` int" },
	{ RULE_drop_index, true, ID "`a` int, KEY `k` (`a`), KEY `l` (`id`)",
	  ID "`a` int, KEY `l` (`id`)" },
	{ RULE_drop_index, false, "`a` int, KEY `k` (`a`) INVISIBLE", "`a` int" },
	{ RULE_drop_index, false, ID "`a` int, KEY `k` (`a`), KEY `l` (`a`,`id`)",
	  ID "`a` int, KEY `l` (`a`,`id`)" },
	{ RULE_drop_index, false, ID "UNIQUE KEY `k` (`id`)" PK, "`id` int NOT NULL" PK },
	{ RULE_drop_index, true, ID "`a` int, UNIQUE KEY `k` (`a`), KEY `l` (`a`,`id`)",
	  ID "`a` int, KEY `l` (`a`,`id`)" },
	{ RULE_drop_index, true,
	  ID "`a` int, KEY `k` (`a`), KEY `l` (`a`,`id`) INVISIBLE",
	  ID "`a` int, KEY `l` (`a`,`id`) INVISIBLE" },
	{ RULE_add_check, true, "`a` int", "`a` int, CONSTRAINT `c` CHECK (`a` > 1)" },
	{ RULE_add_check, true, "`a` int, CONSTRAINT `c` CHECK (`a` > 1)",
	  "`a` int, CONSTRAINT `c` CHECK (`a` > 2)" },
	{ RULE_add_check, true, "`a` int", "`a` int CHECK (`a` > 1)" },
	{ RULE_add_check, false, "`a` int CHECK (`a` > 1)",
	  "`a` bigint CHECK (`a` > 1)" },
	{ RULE_add_check, false, "`a` int",
	  "`a` int, `b` int, CONSTRAINT `c` CHECK (`b` > 1)" },
	{ RULE_add_check, false, "`a` int",
	  "`a` int, CONSTRAINT `c` CHECK (`a` > 1) /*!80016 NOT ENFORCED */" },
	{ RULE_drop_check, true, "`a` int, CONSTRAINT `c` CHECK (`a` > 1)", "`a` int" },
	{ RULE_drop_check, true, "`a` int CHECK (`a` > 1)", "`a` int" },
	{ RULE_drop_check, false, "`a` int, CONSTRAINT `c` CHECK (`a` > 1)",
	  "`a` int, CONSTRAINT `c` CHECK (`a` > 2)" },
	{ RULE_add_foreign_key, true, ID "`a` int", ID "`a` int, " FK },
	{ RULE_add_foreign_key, false, NULL, ID FK },
	{ RULE_drop_foreign_key, true, ID "`a` int, " FK, ID "`a` int" },
	{ RULE_drop_foreign_key, false, ID "`a` int, " FK, ID FK },
	{ RULE_leave_innodb, true, "`a` int",
	  "`a` int) ENGINE=MyISAM DEFAULT CHARSET=utf8mb4" },
	{ RULE_leave_innodb, false, "`a` int) ENGINE=MyISAM DEFAULT CHARSET=utf8mb4",
	  "`a` int" },
	{ RULE_drop_partition, true,
	  "`id` int NOT NULL" RANGE("PARTITION `p` VALUES LESS THAN (5), PARTITION `q` "
				    "VALUES LESS THAN (9)"),
	  "`id` int NOT NULL" RANGE("PARTITION `q` VALUES LESS THAN (9)") },
	{ RULE_drop_partition, false,
	  "`id` int NOT NULL" RANGE("PARTITION `p` VALUES LESS THAN (5), PARTITION `q` "
				    "VALUES LESS THAN (9)"),
	  "`id` int NOT NULL" RANGE("PARTITION `r` VALUES LESS THAN (9)") },
	{ RULE_repartition, true, ID "`a` int",
	  "`id` int NOT NULL, `a` int" RANGE("PARTITION `p` VALUES LESS THAN (5)") },
	{ RULE_repartition, false,
	  "`id` int NOT NULL" RANGE("PARTITION `p` VALUES LESS THAN (5)"),
	  "`id` int NOT NULL" RANGE("PARTITION `p` VALUES LESS THAN (5), PARTITION `q` "
				    "VALUES LESS THAN (9)") },
	{ RULE_repartition, false, "`id` int NOT NULL",
	  "`id` int NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 PARTITION BY HASH "
	  "(`id`) PARTITIONS 3" },
	{ RULE_counter_capacity, true,
	  "`id` bigint NOT NULL AUTO_INCREMENT" PK
	  ") ENGINE=InnoDB AUTO_INCREMENT=2000000000 DEFAULT CHARSET=utf8mb4",
	  "`id` int NOT NULL AUTO_INCREMENT" PK },
	{ RULE_counter_capacity, false,
	  "`id` bigint NOT NULL AUTO_INCREMENT" PK
	  ") ENGINE=InnoDB AUTO_INCREMENT=1000000000 DEFAULT CHARSET=utf8mb4",
	  "`id` int NOT NULL AUTO_INCREMENT" PK },
	{ RULE_counter_capacity, false,
	  "`id` int NOT NULL AUTO_INCREMENT" PK
	  ") ENGINE=InnoDB AUTO_INCREMENT=2000000000 DEFAULT CHARSET=utf8mb4",
	  "`id` int unsigned NOT NULL AUTO_INCREMENT" PK },

	{ RULE_no_primary_key, true, NULL, "`a` int" },
	{ RULE_no_primary_key, false, NULL, "`id` int NOT NULL" PK },
	{ RULE_primary_key_type, true, NULL, "`a` double NOT NULL, PRIMARY KEY (`a`)" },
	{ RULE_primary_key_type, true, NULL, "`a` bit(8) NOT NULL, PRIMARY KEY (`a`)" },
	{ RULE_primary_key_type, false, NULL, ID "`a` double" PK },
	{ RULE_foreign_key, true, NULL, ID FK },
	{ RULE_foreign_key, false, NULL, ID "CONSTRAINT `f` CHECK (`id` > 1)" },
	{ RULE_odd_name, true, NULL, ID "`x y` int" PK },
	{ RULE_odd_name, true, NULL, ID "`1x` int" PK },
	{ RULE_odd_name, true, NULL, ID "KEY `i-d` (`id`,`id`)" PK },
	{ RULE_odd_name, true, NULL, "CREATE TABLE `a-b` (`id` int" TAIL },
	{ RULE_odd_name, false, NULL, ID "`x_1$` int" PK },
	{ RULE_character_set, true, NULL,
	  "`id` int NOT NULL" PK ") ENGINE=InnoDB DEFAULT CHARSET=latin1" },
	{ RULE_character_set, true, NULL,
	  ID "`a` varchar(5) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin" PK },
	{ RULE_character_set, false, NULL, ID "`a` varchar(5), `b` varbinary(5)" PK },
	{ RULE_redundant_index, true, NULL,
	  ID "`a` int, KEY `k` (`a`), KEY `l` (`a`,`id`)" },
	{ RULE_redundant_index, true, NULL, ID "`a` int, KEY `k` (`a`), KEY `l` (`a`)" },
	{ RULE_redundant_index, true, NULL, ID "UNIQUE KEY `k` (`id`)" PK },
	{ RULE_redundant_index, false, NULL,
	  ID "`a` int, UNIQUE KEY `k` (`a`), KEY `l` (`a`,`id`)" },
	{ RULE_redundant_index, false, NULL,
	  ID "`a` int, KEY `k` (`a`), KEY `l` (`id`,`a`)" },
	{ RULE_redundant_index, false, NULL,
	  ID "`a` int, KEY `k` (`a`), KEY `l` (`a`,`id`) INVISIBLE" },
	{ RULE_storage_engine, true, NULL,
	  "`a` int) ENGINE=MyISAM DEFAULT CHARSET=utf8mb4" },
	{ RULE_storage_engine, false, NULL, "`a` int" },
	{ RULE_zero_date, true, NULL, "`a` datetime DEFAULT '0000-00-00 00:00:00'" },
	{ RULE_zero_date, false, NULL, "`a` datetime DEFAULT '2000-01-01 00:00:00'" },
	{ RULE_small_counter, true, NULL, "`id` smallint NOT NULL AUTO_INCREMENT" PK },
	{ RULE_small_counter, false, NULL, "`id` int NOT NULL AUTO_INCREMENT" PK },
	{ RULE_inexact_money, true, NULL, "`total_Price` float" },
	{ RULE_inexact_money, false, NULL, "`price` decimal(10,2), `ratio` double" },
	{ RULE_no_future_partition, true, NULL,
	  "`id` int NOT NULL" RANGE("PARTITION `p` VALUES LESS THAN (5)") },
	{ RULE_no_future_partition, false, NULL,
	  "`id` int NOT NULL" RANGE("PARTITION `p` VALUES LESS THAN MAXVALUE") },
	{ RULE_too_many_indexes, true, NULL,
	  ID "`a` int, `b` int, " SEVENTEEN ", KEY `p` (`b`,`a`,`id`)" PK },
	{ RULE_too_many_indexes, false, NULL, ID "`a` int, `b` int, " SEVENTEEN PK },
	{ RULE_nullable_unique, true, NULL, ID "`a` int, UNIQUE KEY `k` (`id`,`a`)" },
	{ RULE_nullable_unique, false, NULL,
	  ID "`a` int, UNIQUE KEY `k` (`id`), KEY `l` (`a`)" },
	{ RULE_reserved_word, true, NULL, "`rank` int" },
	{ RULE_reserved_word, true, NULL, "`ORDER` int" },
	{ RULE_reserved_word, true, NULL, "`a` int, KEY `returning` (`a`)" },
	{ RULE_reserved_word, false, NULL, "`ranking` int" PK },
	{ RULE_deprecated_type, true, NULL, "`a` float(7,2)" },
	{ RULE_deprecated_type, true, NULL, "`a` int(5) unsigned zerofill" },
	{ RULE_deprecated_type, true, NULL, "`a` decimal(5,2) unsigned" },
	{ RULE_deprecated_type, false, NULL,
	  "`a` float, `b` int unsigned, `c` decimal(5,2)" },
	{ RULE_display_width, true, NULL, "`a` int(5)" },
	{ RULE_display_width, false, NULL,
	  "`a` int(11), `b` int(10) unsigned, `c` tinyint(1)" },
	{ RULE_unenforced_check, true, NULL,
	  "`a` int, CONSTRAINT `c` CHECK (`a` > 1) /*!80016 NOT ENFORCED */" },
	{ RULE_unenforced_check, false, NULL, "`a` int, CONSTRAINT `c` CHECK (`a` > 1)" },
	{ RULE_timestamp_2038, true, NULL, "`a` timestamp NULL DEFAULT NULL" },
	{ RULE_timestamp_2038, false, NULL, "`a` datetime" },
	{ RULE_float_column, true, NULL, "`ratio` double" },
	{ RULE_float_column, false, NULL, "`ratio` decimal(3,1)" },
	{ RULE_enum_or_set, true, NULL, "`a` enum('x')" },
	{ RULE_enum_or_set, true, NULL, "`a` set('x')" },
	{ RULE_enum_or_set, false, NULL, "`a` varchar(1) DEFAULT 'x'" },
	{ RULE_signed_counter, true, NULL, "`id` int NOT NULL AUTO_INCREMENT" PK },
	{ RULE_signed_counter, false, NULL,
	  "`id` int unsigned NOT NULL AUTO_INCREMENT" PK },
	{ RULE_wide_index, true, NULL, "`a` varchar(255), KEY `k` (`a`)" },
	{ RULE_wide_index, false, NULL, "`a` varchar(255), KEY `k` (`a`(20))" },
	{ RULE_wide_index, false, NULL, "`a` text, FULLTEXT KEY `k` (`a`)" },
	{ RULE_wide_primary_key, true, NULL,
	  "`a` varchar(20) NOT NULL, PRIMARY KEY (`a`)" },
	{ RULE_wide_primary_key, false, NULL,
	  "`a` binary(16) NOT NULL, PRIMARY KEY (`a`)" },
	{ RULE_mixed_collation, true, NULL,
	  "`a` varchar(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci" },
	{ RULE_mixed_collation, false, NULL, "`a` varchar(5), `b` int" },
	{ RULE_name_case, true, NULL, "`createdAt` int" },
	{ RULE_name_case, false, NULL, "`created_at` int" PK },
	{ RULE_table_comment, true, NULL, "`a` int" },
	{ RULE_table_comment, false, NULL, "`a` int" TAIL " COMMENT='x'" },
};

static const struct table_diff *diff_of(TALLOC_CTX *ctx, const struct table *from,
					const struct table *to)
{
	return from && to ? diff_tables(ctx, from, to) : NULL;
}

/* What lint says of one change; every rule that is off by itself says something too. */
static struct lint_list judge(TALLOC_CTX *ctx, const char *from, const char *to,
			      char **reasons)
{
	struct config_lint *all = talloc_array(ctx, struct config_lint, N_RULES);
	struct lint_list list = { .ctx = ctx, .config = all };
	struct table *a = from ? read_or_fail(ctx, from) : NULL;
	struct table *b = to ? read_or_fail(ctx, to) : NULL;

	for (size_t i = 0; i < N_RULES; i++)
		if (lint_rules[i].level == LEVEL_OFF)
			all[list.n_config++] =
				(struct config_lint){ lint_rules[i].id, "info" };
	*reasons = lint_change(&list, a, b, diff_of(ctx, a, b));
	return list;
}

static const struct schema_lint *said(const struct lint_list *list, enum rule_id rule)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i].linter, lint_rules[rule].id) == 0)
			return &list->v[i];
	return NULL;
}

static void every_rule_finds_what_it_should(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		const struct rule *rule = &lint_rules[cases[i].rule];
		char *reasons;
		struct lint_list list = judge(ctx, cases[i].from, cases[i].to, &reasons);
		const struct schema_lint *v = said(&list, cases[i].rule);

		if ((v != NULL) != cases[i].found)
			fail_msg("%s: %s to %s: %s", rule->id,
				 cases[i].from ? cases[i].from : "nothing",
				 cases[i].to ? cases[i].to : "nothing",
				 v ? v->message : "not found");
		if (v) {
			assert_true(*v->message && *v->table);
			assert_string_equal(v->fix_type, rule->fix_type);
			assert_string_equal(v->severity,
					    rule->level == LEVEL_OFF
						    ? "info"
						    : rule_level_name(rule->level));
			assert_int_equal(rule->level == LEVEL_ERROR,
					 strstr(reasons, v->message) != NULL);
		}
		talloc_free(ctx);
	}
}

/* Set by load.c, not by a text. */
static void a_comment_that_was_cut_is_found(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct lint_list list = { .ctx = ctx };
	struct table *t = read_or_fail(ctx, "`id` int NOT NULL" PK);

	(void)unused;
	lint_change(&list, NULL, t, NULL);
	assert_null(said(&list, RULE_comment_characters));
	t->wide_text = true;
	lint_change(&list, NULL, t, NULL);
	assert_non_null(said(&list, RULE_comment_characters));
	talloc_free(ctx);
}

static bool has_case(enum rule_id rule, bool found)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (cases[i].rule == rule && cases[i].found == found)
			return true;
	/* These have tests of their own: here, and test_schema_rename.c. */
	return rule == RULE_comment_characters || rule == RULE_rename_column ||
	       rule == RULE_rename_table;
}

static void every_rule_has_a_check_and_cases(void **unused)
{
	(void)unused;
	for (enum rule_id i = 0; i < N_RULES; i++) {
		const struct rule *r = &lint_rules[i];

		assert_ptr_equal(rule_by_name(r->id), r);
		assert_int_equal(strspn(r->id, "abcdefghijklmnopqrstuvwxyz_0123456789"),
				 strlen(r->id));
		assert_true(*r->what && *r->why);
		assert_int_equal(lint_table_has(i), r->scope == SCOPE_TABLE);
		assert_int_equal(unsafe_has(i),
				 r->scope == SCOPE_LOSS || r->scope == SCOPE_CHANGE);
		if (r->scope == SCOPE_LOSS)
			assert_int_equal(r->level, LEVEL_ERROR);
		if (r->scope != SCOPE_NOTE && (!has_case(i, true) || !has_case(i, false)))
			fail_msg("%s: a case that it finds and one that it does not",
				 r->id);
	}
	assert_null(rule_by_name("nope"));
}

static void words_are_known_wherever_they_are_reserved(void **unused)
{
	(void)unused;
	assert_string_equal(word_reserved_in("Select"), "MySQL and MariaDB");
	assert_string_equal(word_reserved_in("accessible"), "MySQL and MariaDB");
	assert_string_equal(word_reserved_in("zerofill"), "MySQL and MariaDB");
	assert_string_equal(word_reserved_in("rank"), "MySQL");
	assert_string_equal(word_reserved_in("offset"), "MariaDB");
	assert_string_equal(word_reserved_in("current_user"), "MySQL and MariaDB");
	assert_null(word_reserved_in("id"));
}

/* ---- levels ---------------------------------------------------------------------------
 */

static void a_configuration_sets_levels(void **unused)
{
	static const struct config_lint config[] = {
		{ "odd_name", "off" },
		{ "no_primary_key", "info" },
		{ "table_comment", "error" },
		{ "drop_column",
		  "off" }, /* config.c refuses it; it has no effect either */
	};
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct lint_list list = { .ctx = ctx, .config = config, .n_config = 4 };
	struct table *t = read_or_fail(ctx, "`x y` int");
	struct table *wide = read_or_fail(ctx, "`x y` int, `b` int");
	const char *reasons;

	(void)unused;
	reasons = lint_change(&list, NULL, t, NULL);
	assert_int_equal(list.n, 2);
	assert_string_equal(said(&list, RULE_no_primary_key)->severity, "info");
	assert_string_equal(said(&list, RULE_table_comment)->severity, "error");
	assert_string_equal(reasons, "table `t` has no comment");

	list.n = 0;
	reasons = lint_change(&list, wide, t, diff_tables(ctx, wide, t));
	assert_int_equal(list.n, 1);
	assert_string_equal(list.v[0].severity, "error");
	assert_string_equal(list.v[0].column, "b");
	assert_string_equal(reasons, "drops column `b` and its values");

	list.n = 0;
	lint_note(&list, RULE_unmanaged_object, "v", "", "it is a view");
	assert_string_equal(list.v[0].linter, "unmanaged_object");
	assert_string_equal(list.v[0].severity, "info");
	talloc_free(ctx);
}

static void reasons_are_joined(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct lint_list list = { .ctx = ctx };
	struct table *from = read_or_fail(ctx, "`a` int, `b` bigint");
	struct table *to =
		read_or_fail(ctx, "`b` int NOT NULL, `c d` int) ENGINE=MyISAM");
	const char *reasons = lint_change(&list, from, to, diff_tables(ctx, from, to));

	(void)unused;
	assert_non_null(
		strstr(reasons, "drops column `a` and its values; changes the type"));
	assert_non_null(strstr(reasons, "; makes column `b` NOT NULL"));
	assert_non_null(strstr(reasons, "; changes the storage engine"));
	assert_non_null(strstr(reasons, "; column name `c d` needs quoting"));
	assert_null(strstr(reasons, "primary key"));
	talloc_free(ctx);
}

/* ---- debt -----------------------------------------------------------------------------
 */

#define OTHER(body) "CREATE TABLE `other` (" body TAIL

static const struct {
	const char *from, *to;
	enum rule_id rule;
	bool found;
} debts[] = {
	/* What was there stays nobody's fault, also with something else beside it. */
	{ "`a` int", "`a` int, `b` int", RULE_no_primary_key, false },
	{ "`a` int", OTHER("`a` int, `b` int"), RULE_no_primary_key, false },
	{ "`x y` int", OTHER("`x y` int, `b` int"), RULE_odd_name, false },
	{ "`x y` int", "`x y` int, `b` int", RULE_odd_name, false },
	{ "`price` float", "`price` double", RULE_inexact_money, false },
	{ "`Price` float", "`price` float", RULE_inexact_money, false },
	{ "`a` int, KEY `k` (`a`), KEY `l` (`a`)",
	  "`a` int, KEY `m` (`a`), KEY `l` (`a`)", RULE_redundant_index, false },
	{ ID "`a` int, `b` int, " SEVENTEEN ", KEY `p` (`b`,`a`,`id`)" PK,
	  ID "`a` int, `b` int, " SEVENTEEN
	     ", KEY `p` (`b`,`a`,`id`), KEY `q` (`b`,`id`,`a`)" PK,
	  RULE_too_many_indexes, false },
	{ "`a` varchar(5) CHARACTER SET latin1 COLLATE latin1_bin",
	  "`a` varchar(5) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin", RULE_character_set,
	  false },
	/* The same rule about something else is new. */
	{ "`x y` int", "`x y` int, `b b` int", RULE_odd_name, true },
	{ "`x y` int", "CREATE TABLE `t t` (`x y` int" TAIL, RULE_odd_name, true },
	{ "`price` float", "`price` float, `cost` float", RULE_inexact_money, true },
	{ "`price` float, `cost` int", "`price` int, `cost` float", RULE_inexact_money,
	  true },
	{ ID "`a` int, KEY `k` (`a`), KEY `l` (`a`)",
	  ID "`a` int, KEY `k` (`a`), KEY `l` (`a`), KEY `m` (`id`)" PK,
	  RULE_redundant_index, true },
	{ ID "`a` int, KEY `k` (`a`), KEY `l` (`a`), KEY `x` (`id`,`a`)",
	  ID "`a` int, KEY `k` (`a`), KEY `l` (`id`), KEY `x` (`id`,`a`)",
	  RULE_redundant_index, true },
	{ "`XY` int", "`Xy` int", RULE_name_case, true },
};

static void debt_is_not_reported(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(debts); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		char *reasons;
		struct lint_list list = judge(ctx, debts[i].from, debts[i].to, &reasons);

		if ((said(&list, debts[i].rule) != NULL) != debts[i].found)
			fail_msg("%s to %s", debts[i].from, debts[i].to);
		talloc_free(ctx);
	}
	/* Nothing that a rule finds in a table is new when the table stays as it is. */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		char *reasons;

		if (cases[i].to)
			assert_int_equal(judge(ctx, cases[i].to, cases[i].to, &reasons).n,
					 0);
		talloc_free(ctx);
	}
}

/* A column that a step before has renamed on paper: what was there is debt under its new
 * name, and a new name that is at fault is told of by the statement that gives it. */
static void debt_follows_a_renamed_column(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct lint_list list = { .ctx = ctx };
	struct table *live = read_or_fail(ctx, "`price` float" PK);
	struct table *paper = read_or_fail(ctx, "`the cost` float" PK);
	struct table *wanted = read_or_fail(ctx, "`the cost` float, `amount` float" PK);

	(void)unused;
	paper->columns[0].renamed_from = "price";
	lint_change(&list, live, paper, NULL);
	assert_int_equal(list.n, 0);

	lint_change(&list, paper, wanted, diff_tables(ctx, paper, wanted));
	assert_non_null(said(&list, RULE_odd_name));
	assert_string_equal(said(&list, RULE_odd_name)->column, "the cost");
	assert_non_null(said(&list, RULE_inexact_money));
	assert_string_equal(said(&list, RULE_inexact_money)->column, "amount");
	for (size_t i = 0; i < list.n; i++)
		assert_false(strcmp(list.v[i].linter, "inexact_money") == 0 &&
			     strcmp(list.v[i].column, "the cost") == 0);
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_finds_what_it_should),
		cmocka_unit_test(a_comment_that_was_cut_is_found),
		cmocka_unit_test(every_rule_has_a_check_and_cases),
		cmocka_unit_test(words_are_known_wherever_they_are_reserved),
		cmocka_unit_test(a_configuration_sets_levels),
		cmocka_unit_test(reasons_are_joined),
		cmocka_unit_test(debt_is_not_reported),
		cmocka_unit_test(debt_follows_a_renamed_column),
	};

	return cmocka_run_group_tests_name("schema_lint", tests, NULL, NULL);
}
