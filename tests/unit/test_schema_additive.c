/*
 * test_schema_additive.c - what is left of a difference when nothing may be dropped.
 */
#include <stdio.h>
#include <string.h>

#include "core/schema/additive.h"
#include "core/schema/ddl.h"
#include "tests/unit/unit.h"

#define TABLE(body) \
	"CREATE TABLE `t` (\n" body "\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
#define ID	     "  `id` int NOT NULL"
#define KEY	     ",\n  PRIMARY KEY (`id`)"
#define WITH(column) TABLE(ID ",\n" column KEY)
#define HASHED	     TABLE(ID KEY) "\n/*!50100 PARTITION BY HASH (`id`)\nPARTITIONS 4 */"
#define FK(parent)   ",\n  CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `" parent "` (`id`)"

/* alter: what is run, after "ALTER TABLE `t` ". left: operations, with their scope. */
static const struct {
	const char *from, *to, *alter, *left;
} pairs[] = {
	{ TABLE(ID KEY), TABLE(ID KEY), "", "" },
	/* columns */
	{ TABLE(ID KEY), WITH("  `a` int DEFAULT NULL"),
	  "ADD COLUMN `a` int DEFAULT NULL", "" },
	{ WITH("  `a` int DEFAULT NULL"), TABLE(ID KEY), "", "drop_column whole;" },
	{ WITH("  `a` int DEFAULT NULL"), WITH("  `b` int DEFAULT NULL"),
	  "ADD COLUMN `b` int DEFAULT NULL", "drop_column split;" },
	{ WITH("  `a` varchar(9)"), WITH("  `a` varchar(10)"),
	  "MODIFY COLUMN `a` varchar(10)", "" },
	{ WITH("  `a` varchar(10)"), WITH("  `a` varchar(9)"), "",
	  "modify_column whole;" },
	{ WITH("  `a` int NOT NULL"), WITH("  `a` bigint DEFAULT NULL"),
	  "MODIFY COLUMN `a` bigint DEFAULT NULL", "" },
	{ WITH("  `a` int DEFAULT NULL"), WITH("  `a` int NOT NULL"), "",
	  "modify_column whole;" },
	{ WITH("  `a` int,\n  `b` int"), WITH("  `b` int,\n  `a` int"), "",
	  "modify_column whole;" },
	{ WITH("  `a` int,\n  `b` int"), WITH("  `b` bigint,\n  `a` int"),
	  "MODIFY COLUMN `b` bigint", "" },
	{ WITH("  `A` int"), WITH("  `a` int"), "", "modify_column whole;" },
	/* generated columns hold nothing of their own */
	{ WITH("  `a` int GENERATED ALWAYS AS (`id` + 1) VIRTUAL"),
	  WITH("  `a` int GENERATED ALWAYS AS (`id` + 1) STORED"),
	  "DROP COLUMN `a`, ADD COLUMN `a` int GENERATED ALWAYS AS (`id` + 1) STORED",
	  "" },
	{ WITH("  `a` int DEFAULT NULL"),
	  WITH("  `a` int GENERATED ALWAYS AS (`id` + 1) VIRTUAL"), "",
	  "drop_column whole;add_column whole;" },
	/* indexes */
	{ WITH("  `a` int"), TABLE(ID ",\n  `a` int" KEY ",\n  KEY `k` (`a`)"),
	  "ADD KEY `k` (`a`)", "" },
	{ TABLE(ID KEY ",\n  KEY `k` (`id`)"), TABLE(ID KEY), "", "drop_index whole;" },
	{ TABLE(ID KEY ",\n  KEY `k` (`id`)"), TABLE(ID KEY ",\n  UNIQUE KEY `k` (`id`)"),
	  "DROP INDEX `k`, ADD UNIQUE KEY `k` (`id`)", "" },
	{ TABLE(ID KEY ",\n  KEY `k` (`id`)"), TABLE(ID KEY ",\n  KEY `l` (`id`)"),
	  "ADD KEY `l` (`id`)", "" },
	{ TABLE(ID KEY ",\n  KEY `K` (`id`)"), TABLE(ID KEY ",\n  KEY `k` (`id`)"), "",
	  "rename_index whole;" },
	{ TABLE(ID KEY ",\n  KEY `k` (`id`) /*!80000 INVISIBLE */"),
	  TABLE(ID KEY ",\n  KEY `k` (`id`)"), "", "index_visibility whole;" },
	{ TABLE(ID), TABLE(ID KEY), "ADD PRIMARY KEY (`id`)", "" },
	{ TABLE(ID KEY), TABLE(ID), "", "drop_primary_key whole;" },
	{ WITH("  `a` int NOT NULL"),
	  TABLE(ID ",\n  `a` int NOT NULL,\n  PRIMARY KEY (`a`)"), "",
	  "drop_primary_key whole;add_primary_key whole;" },
	/* constraints */
	{ TABLE(ID KEY), TABLE(ID KEY ",\n  CONSTRAINT `c` CHECK (`id` > 1)"),
	  "ADD CONSTRAINT `c` CHECK (`id` > 1)", "" },
	{ TABLE(ID KEY ",\n  CONSTRAINT `c` CHECK (`id` > 1)"), TABLE(ID KEY), "",
	  "drop_check whole;" },
	{ TABLE(ID KEY ",\n  CONSTRAINT `c` CHECK (`id` > 1)"),
	  TABLE(ID KEY ",\n  CONSTRAINT `c` CHECK (`id` > 2)"),
	  "DROP CHECK `c`, ADD CONSTRAINT `c` CHECK (`id` > 2)", "" },
	{ TABLE(ID KEY), TABLE(ID KEY FK("p")),
	  "ADD CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `p` (`id`)", "" },
	{ TABLE(ID KEY FK("p")), TABLE(ID KEY), "", "drop_foreign_key whole;" },
	{ TABLE(ID KEY FK("p")), TABLE(ID KEY FK("q")), "",
	  "drop_foreign_key whole;add_foreign_key whole;" },
	/* what an administrator has chosen for the whole table */
	{ TABLE(ID KEY) " ROW_FORMAT=COMPRESSED COMMENT='x'", TABLE(ID KEY), "",
	  "row_format whole;setting whole;" },
	{ "CREATE TABLE `t` (\n  `id` int\n) ENGINE=Aria DEFAULT CHARSET=latin1"
	  " COLLATE=latin1_bin",
	  "CREATE TABLE `t` (\n  `id` int\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
	  " COLLATE=utf8mb4_bin",
	  "", "engine whole;collation whole;" },
	{ HASHED, TABLE(ID KEY), "", "remove_partitioning whole;" },
	{ TABLE(ID KEY), HASHED, "", "partition_by whole;" },
};

static struct table *read_or_fail(TALLOC_CTX *ctx, const char *sql)
{
	struct table *t;
	struct sb_err err = { 0 };

	if (table_read(ctx, sql, &t, &err) < 0)
		fail_msg("%s: %s", sql, err.msg);
	return t;
}

static char *operations(const struct refusal_list *list)
{
	struct buf b;

	buf_init(&b, list->ctx);
	for (size_t i = 0; i < list->n; i++) {
		assert_string_equal(list->v[i].table, "t");
		assert_string_equal(list->v[i].namespace, "ns");
		assert_non_null(strstr(list->v[i].statement, "TABLE `t`"));
		buf_printf(&b, "%s %s;", list->v[i].operation, list->v[i].scope);
	}
	return b.data;
}

static void nothing_is_dropped_or_narrowed(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct refusal_list left = { .ctx = ctx };
		struct table_diff *d = diff_tables(ctx, read_or_fail(ctx, pairs[i].from),
						   read_or_fail(ctx, pairs[i].to));
		const char *alter = "";

		additive_filter(d, "ns", DB_MYSQL, &left);
		if (d->n > 0)
			alter = ddl_alter(ctx, d, DB_MYSQL) + strlen("ALTER TABLE `t` ");
		if (strcmp(alter, pairs[i].alter) != 0 ||
		    strcmp(operations(&left), pairs[i].left) != 0)
			fail_msg("%s\nto %s:\nruns \"%s\" and leaves \"%s\"",
				 pairs[i].from, pairs[i].to, alter, operations(&left));
		talloc_free(ctx);
	}
}

static void a_table_nobody_declares_is_kept(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct refusal_list left = { .ctx = ctx };

	(void)unused;
	additive_keep_table(&left, "ns", "t");
	assert_string_equal(operations(&left), "drop_table whole;");
	talloc_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_dropped_or_narrowed),
		cmocka_unit_test(a_table_nobody_declares_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
