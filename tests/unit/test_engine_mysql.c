/*
 * test_engine_mysql.c - the mysql engine's constant parts: the ladder, how its clauses
 * enter a statement, which refusals it climbs over, lock names, and the registry.
 */
#include <string.h>

#include "engines/artefact.h"
#include "engines/mysql/copy/refuse.h"
#include "engines/mysql/cost.h"
#include "engines/mysql/ladder.h"
#include "engines/mysql/locks.h"
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

static void clauses_enter_after_the_name(void **unused)
{
	static const struct {
		const char *ddl, *clause, *want; /* want NULL: refused */
	} cases[] = {
		{ "ALTER TABLE `t` ADD COLUMN a INT", "ALGORITHM=COPY",
		  "ALTER TABLE `t` ALGORITHM=COPY, ADD COLUMN a INT" },
		{ "alter table `t`\n\tADD a INT", "X", "alter table `t` X, ADD a INT" },
		{ "ALTER TABLE `a``b` DROP c", "X", "ALTER TABLE `a``b` X, DROP c" },
		{ "ALTER TABLE ``````  DROP c", "X", "ALTER TABLE `````` X, DROP c" },
		{ "ALTER TABLE ` x` DROP `PARTITION BY`", "X",
		  "ALTER TABLE ` x` X, DROP `PARTITION BY`" },
		{ "ALTER TABLE `t` DROP c", "", "ALTER TABLE `t` DROP c" },
		{ "ALTER TABLE `t` PARTITION BY HASH(id)", "X",
		  "ALTER TABLE `t` X PARTITION BY HASH(id)" },
		{ "ALTER TABLE `t` partition\n by HASH(id)", "X",
		  "ALTER TABLE `t` X partition\n by HASH(id)" },
		{ "ALTER TABLE `t` REMOVE PARTITIONING", "X",
		  "ALTER TABLE `t` X REMOVE PARTITIONING" },
		{ "ALTER TABLE `t` ADD PARTITION (PARTITION p VALUES IN (1))", "X",
		  "ALTER TABLE `t` X, ADD PARTITION (PARTITION p VALUES IN (1))" },
		{ "ALTER TABLE t DROP c", "X", NULL },
		{ "ALTER TABLE `t DROP c", "X", NULL },
		{ "ALTER TABLE `t``DROP c", "X", NULL },
		{ "ALTER TABLE `t`", "X", NULL },
		{ "ALTER TABLE `t` ", "X", NULL },
		{ "ALTER TABLE `t`DROP c", "X", NULL },
		{ "ALTERTABLE `t` DROP c", "X", NULL },
		{ "CREATE TABLE `t` (a INT)", "X", NULL },
		{ "", "X", NULL },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sb_err err = { 0 };
		char *got = mysql_alter_with(ctx, cases[i].ddl, cases[i].clause, &err);

		if (cases[i].want) {
			assert_non_null(got);
			assert_string_equal(got, cases[i].want);
		} else {
			assert_null(got);
			assert_int_equal(err.code, SB_EINVALID);
		}
	}
}

static void the_ladder_gets_harsher_upwards(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < MYSQL_RUNGS; i++) {
		const struct mysql_rung *r = &mysql_ladder[i];

		assert_true(strlen(r->words) > 0);
		/* A plan explains every rung that blocks, and no other. */
		assert_int_equal(r->blocking, strlen(r->reason) > 0);
		if (i == 0)
			continue;
		assert_true(r->algorithm >= r[-1].algorithm);
		assert_true(r->blocking >= r[-1].blocking);
	}
	/* The last one is for statements that take no clause. */
	assert_string_equal(mysql_ladder[MYSQL_RUNGS - 1].clause[DB_MARIADB], "");
	assert_string_equal(mysql_ladder[MYSQL_RUNGS - 1].clause[DB_MYSQL], "");
	/* Without its lock, MariaDB's INSTANT cannot be believed. */
	assert_non_null(strstr(mysql_ladder[0].clause[DB_MARIADB], "LOCK=NONE"));
}

/* Which rungs may be used, as a string of their numbers. */
static const char *allowed(enum db_flavor flavor, const char *ddl,
			   enum engine_algorithm forced, enum engine_algorithm announced,
			   bool blocking)
{
	const struct engine_task task = { .ddl = ddl,
					  .announced = announced,
					  .announced_blocking = blocking };
	static char out[MYSQL_RUNGS + 1];
	size_t n = 0;

	for (size_t i = 0; i < MYSQL_RUNGS; i++)
		if (mysql_rung_allowed(&mysql_ladder[i], flavor, &task, forced))
			out[n++] = (char)('0' + i);
	out[n] = '\0';
	return out;
}

static void nothing_harsher_than_announced(void **unused)
{
	static const char plain[] = "ALTER TABLE `t` ADD COLUMN `a` int";
	static const char drop[] = "ALTER TABLE `t` DROP PARTITION `p0`";
	static const struct {
		const char *ddl;
		enum engine_algorithm forced, announced;
		bool blocking;
		const char *on_mariadb, *on_mysql;
	} cases[] = {
		/* nothing was announced: whatever blocks nobody */
		{ plain, ENGINE_ALGORITHM_AUTO, ENGINE_ALGORITHM_AUTO, false, "01",
		  "01" },
		/* the announced one or milder */
		{ plain, ENGINE_ALGORITHM_AUTO, ENGINE_ALGORITHM_INSTANT, false, "0",
		  "0" },
		{ plain, ENGINE_ALGORITHM_AUTO, ENGINE_ALGORITHM_INPLACE, false, "01",
		  "01" },
		{ plain, ENGINE_ALGORITHM_AUTO, ENGINE_ALGORITHM_INPLACE, true, "013",
		  "013" },
		{ plain, ENGINE_ALGORITHM_AUTO, ENGINE_ALGORITHM_COPY, true, "01345",
		  "01345" },
		/* a copy that was announced as online is not done by the server */
		{ plain, ENGINE_ALGORITHM_AUTO, ENGINE_ALGORITHM_COPY, false, "01",
		  "01" },
		/* forced: that one, with a lock only where it was announced */
		{ plain, ENGINE_ALGORITHM_INPLACE, ENGINE_ALGORITHM_INSTANT, false, "1",
		  "1" },
		{ plain, ENGINE_ALGORITHM_INPLACE, ENGINE_ALGORITHM_COPY, false, "1",
		  "1" },
		{ plain, ENGINE_ALGORITHM_INPLACE, ENGINE_ALGORITHM_COPY, true, "13",
		  "13" },
		{ plain, ENGINE_ALGORITHM_COPY, ENGINE_ALGORITHM_COPY, false, "", "" },
		{ plain, ENGINE_ALGORITHM_INSTANT, ENGINE_ALGORITHM_INSTANT, false, "0",
		  "0" },
		/* partitions: MariaDB has no clause beside them */
		{ drop, ENGINE_ALGORITHM_AUTO, ENGINE_ALGORITHM_INPLACE, false, "012",
		  "01" },
		{ drop, ENGINE_ALGORITHM_INPLACE, ENGINE_ALGORITHM_INPLACE, false, "12",
		  "1" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_string_equal(allowed(DB_MARIADB, cases[i].ddl, cases[i].forced,
					    cases[i].announced, cases[i].blocking),
				    cases[i].on_mariadb);
		assert_string_equal(allowed(DB_MYSQL, cases[i].ddl, cases[i].forced,
					    cases[i].announced, cases[i].blocking),
				    cases[i].on_mysql);
	}
}

static void partitions_are_recognized(void **unused)
{
	static const struct {
		const char *ddl;
		enum mysql_partitions what;
	} cases[] = {
		{ "ALTER TABLE `t` ADD PARTITION (PARTITION `p1` VALUES LESS THAN (5))",
		  MYSQL_PARTITIONS_ADDED },
		{ "ALTER TABLE `t` DROP PARTITION `p1`", MYSQL_PARTITIONS_DROPPED },
		{ "ALTER TABLE `a ``DROP PARTITION` truncate  partition p1",
		  MYSQL_PARTITIONS_DROPPED },
		{ "ALTER TABLE `t` DROP COLUMN `PARTITION`", MYSQL_PARTITIONS_NONE },
		{ "ALTER TABLE `DROP PARTITION` ADD COLUMN `a` int",
		  MYSQL_PARTITIONS_NONE },
		{ "ALTER TABLE `t` PARTITION BY HASH (`a`)", MYSQL_PARTITIONS_NONE },
		{ "ALTER TABLE `t` REMOVE PARTITIONING", MYSQL_PARTITIONS_NONE },
		{ "RENAME TABLE `t` TO `u`", MYSQL_PARTITIONS_NONE },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(mysql_partitions(cases[i].ddl), cases[i].what);
}

static void grants_are_read(void **unused)
{
	static const struct {
		const char *row, *right, *schema;
		int gives;
	} cases[] = {
		{ "GRANT ALL PRIVILEGES ON *.* TO `a`@`%`", "LOCK TABLES", "shop", 1 },
		{ "GRANT PROCESS, BINLOG MONITOR ON *.* TO `a`@`%` IDENTIFIED BY"
		  " PASSWORD '*F'",
		  "BINLOG MONITOR", NULL, 1 },
		{ "GRANT PROCESS, REPLICATION SLAVE ON *.* TO `a`@`%`",
		  "REPLICATION CLIENT", NULL, 0 },
		{ "GRANT USAGE ON *.* TO `a`@`%`", "SELECT", "shop", 0 },
		{ "GRANT SELECT, LOCK TABLES ON `shop`.* TO `a`@`%`", "LOCK TABLES",
		  "shop", 1 },
		{ "GRANT SELECT, LOCK TABLES ON `shop`.* TO `a`@`%`", "LOCK TABLES",
		  "shops", 0 },
		{ "GRANT SELECT ON `shop\\_eu`.* TO `a`@`%`", "SELECT", "shop_eu", 1 },
		{ "GRANT SELECT ON `shop\\_eu`.* TO `a`@`%`", "SELECT", "shopXeu", 0 },
		{ "GRANT SELECT ON `shop\\_%`.* TO `a`@`%`", "SELECT", "shop_eu", 1 },
		{ "GRANT SELECT ON `sh_p`.* TO `a`@`%`", "SELECT", "shop", 1 },
		{ "GRANT SELECT ON `a``b`.* TO `a`@`%`", "SELECT", "a`b", 1 },
		{ "GRANT SELECT ON `shop`.`t` TO `a`@`%`", "SELECT", "shop", 0 },
		{ "GRANT SELECT ON `shop`.* TO `a`@`%`", "REPLICATION SLAVE", NULL, 0 },
		{ "GRANT `role` TO `a`@`%`", "SELECT", "shop", -1 },
		{ "GRANT CREATE VIEW, CREATE ROUTINE ON `shop`.* TO `a`@`%`", "CREATE",
		  "shop", 0 },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (refuse_grant(cases[i].row, cases[i].right, cases[i].schema) !=
		    cases[i].gives)
			fail_msg("%s gives %s: %d", cases[i].row, cases[i].right,
				 refuse_grant(cases[i].row, cases[i].right,
					      cases[i].schema));
}

/* Pages as pairs "table index", or none that can be seen. */
static struct mysql_pages pages(const char *const *pairs, size_t n)
{
	struct db_rows *rows = mem_new(ctx, struct db_rows);

	rows->n = n;
	rows->width = 2;
	rows->cell = mem_array(ctx, char **, n);
	for (size_t i = 0; i < n; i++) {
		rows->cell[i] = mem_array(ctx, char *, 2);
		rows->cell[i][0] = talloc_strndup(ctx, pairs[i], 1);
		rows->cell[i][1] = mem_strdup(ctx, pairs[i] + 2);
	}
	return (struct mysql_pages){ rows };
}

static void pages_tell_the_cost(void **unused)
{
	static const char *const was[] = { "1 10", "1 11", "2 20" };
	static const struct {
		const char *is[4];
		enum engine_cost cost;
	} cases[] = {
		{ { "1 10", "1 11", "2 20" }, ENGINE_COST_METADATA },
		{ { "1 10", "2 20" }, ENGINE_COST_METADATA }, /* dropped */
		{ { "1 10", "1 11", "2 20", "3 30" },
		  ENGINE_COST_METADATA }, /* partition */
		{ { "1 10", "1 12", "2 20" }, ENGINE_COST_INDEX },
		{ { "3 30", "3 31", "2 20" }, ENGINE_COST_REBUILD },
	};
	struct mysql_pages before = pages(was, ARRAY_SIZE(was)), none = { NULL };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = 0;
		struct mysql_pages after;

		while (n < 4 && cases[i].is[n])
			n++;
		after = pages(cases[i].is, n);
		assert_int_equal(mysql_pages_cost(&before, &after), cases[i].cost);
		assert_int_equal(mysql_pages_cost(&none, &after), ENGINE_COST_UNKNOWN);
		assert_int_equal(mysql_pages_cost(&after, &none), ENGINE_COST_UNKNOWN);
	}
	none = pages(was, 0);
	assert_int_equal(mysql_pages_cost(&none, &before), ENGINE_COST_UNKNOWN);
	assert_string_equal(mysql_file_name(ctx, "a-b$_9 `/"),
			    "a@002db@0024_9@0020@0060@002f");
	assert_null(mysql_file_name(ctx, "naïve"));
}

static void costs_have_one_name_each(void **unused)
{
	int cost;

	(void)unused;
	for (int c = ENGINE_COST_UNKNOWN; c <= ENGINE_COST_REBUILD; c++) {
		assert_int_equal(
			engine_cost_parse(engine_cost_name((enum engine_cost)c), &cost),
			0);
		assert_int_equal(cost, c);
	}
	assert_int_equal(engine_cost_parse("much", &cost), -1);
}

static void only_refusals_are_climbed_over(void **unused)
{
	static const unsigned yes[] = { 1845, 1846, 1800, 1801, 4092, 4157, 1064 };
	static const unsigned no[] = {
		0, 1062, 1205, 1213, 1317, 1091, 1114, 2006, 2013
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		assert_true(mysql_rung_refused(yes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_false(mysql_rung_refused(no[i]));
}

static void lock_names_tell_tables_apart(void **unused)
{
	static const char *const pairs[][2] = {
		{ "shop", "orders" },
		{ "shop", "order" },
		{ "sho", "porders" },
		{ "shopo", "rders" },
		{ "shop", "`s` \xf0\x9f\x98\x80" },
		{ "", "shoporders" },
	};
	char a[MYSQL_LOCK_NAME_LEN + 1], b[MYSQL_LOCK_NAME_LEN + 1];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		mysql_lock_name(pairs[i][0], pairs[i][1], a);
		assert_int_equal(strlen(a), MYSQL_LOCK_NAME_LEN);
		assert_true(MYSQL_LOCK_NAME_LEN <= 64);
		assert_int_equal(strspn(a + 3, "0123456789abcdef"),
				 MYSQL_LOCK_NAME_LEN - 3);
		for (size_t j = 0; j < i; j++) {
			mysql_lock_name(pairs[j][0], pairs[j][1], b);
			assert_string_not_equal(a, b);
		}
	}
	/* Two drivers of different releases must agree: this value never changes. */
	mysql_lock_name("Shop", "Orders", a);
	mysql_lock_name("shop", "orders", b);
	assert_string_equal(a, b);
	assert_string_equal(
		a, "sb_273b481b0b7498df42737825dede866a6c3f0657c050411f80ffa2f1");
}

static void engines_are_found(void **unused)
{
	int a;

	(void)unused;
	assert_ptr_equal(engine_for_type("mysql"), &mysql_engine);
	assert_ptr_equal(engine_by_name("mysql"), &mysql_engine);
	assert_null(engine_for_type("postgres"));
	assert_null(engine_by_name(""));
#define X(name, text)                                                              \
	assert_string_equal(engine_algorithm_name(ENGINE_ALGORITHM_##name), text); \
	assert_int_equal(engine_algorithm_parse(text, &a), 0);                     \
	assert_int_equal(a, ENGINE_ALGORITHM_##name);
	ENGINE_ALGORITHMS(X)
#undef X
	assert_int_equal(engine_algorithm_parse("INSTANT", &a), -1);
}

/* What the caps promise is there, and what they do not promise is refused before a call.
 */
static void caps_and_operations_agree(void **unused)
{
	static const struct engine *const engines[] = { &mysql_engine, &fake_engine,
							&fake_resident_engine };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		const struct engine *e = engines[i];

		assert_ptr_equal(engine_by_name(e->name), e);
		assert_ptr_equal(engine_for_type(e->database_type), e);
		assert_non_null(e->ops.judge);
		assert_non_null(e->ops.open);
		assert_non_null(e->ops.start);
		assert_non_null(e->ops.poll);
		assert_non_null(e->ops.fence);
		assert_non_null(e->ops.close);
		assert_int_equal(!(e->caps & ENGINE_CAP_STOP), !e->ops.stop);
		assert_int_equal(!(e->caps & ENGINE_CAP_CANCEL), !e->ops.cancel);
		assert_int_equal(!(e->caps & ENGINE_CAP_VOLUME), !e->ops.set_volume);
		assert_int_equal(!(e->caps & ENGINE_CAP_DEFER_CUTOVER), !e->ops.cutover);
		assert_int_equal(!(e->caps & ENGINE_CAP_REVERT), !e->ops.revert);
		assert_int_equal(!(e->caps & ENGINE_CAP_REVERT), !e->ops.skip_revert);
		/* Work that outlives its driver can be found again. */
		assert_int_equal(!(e->caps & ENGINE_CAP_RESIDENT), e->ops.attach != NULL);
		assert_int_equal(e->needs_resume_state, e->ops.prepare != NULL);
		assert_true(e->worst_ms[ENGINE_EFFECT_START] > 0);
		assert_true(!e->ops.cutover || e->worst_ms[ENGINE_EFFECT_CUTOVER] > 0);
		assert_true(!e->ops.cancel || e->worst_ms[ENGINE_EFFECT_CANCEL] > 0);
		assert_true(!e->ops.revert || e->worst_ms[ENGINE_EFFECT_REVERT] > 0);
	}
}

static void task_states_have_one_name_each(void **unused)
{
	(void)unused;
#define X(name, text)                                                          \
	assert_string_equal(engine_task_state_name(ENGINE_TASK_##name), text); \
	assert_int_equal(engine_task_state_parse(text), ENGINE_TASK_##name);
	ENGINE_TASK_STATES(X)
#undef X
	assert_int_equal(engine_task_state_parse("in_progress_whatever"),
			 ENGINE_TASK_UNKNOWN);
}

#define APPLY "apply-00112233445566778899aabbccddeeff"

/* 64 characters of up to three bytes, the worst that a table may be called. */
static char *repeat(const char *text, int n)
{
	char *s = mem_strdup(ctx, "");

	while (n-- > 0)
		s = mem_printf(ctx, "%s%s", s, text);
	return s;
}

static size_t characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void artefacts_sort_after_the_table(void **unused)
{
	const char *const tables[] = {
		"t",
		"orders",
		repeat("z", 64),
		repeat("~", 64),
		repeat("_", 63),
		repeat("\xc3\xa9", 64),	    /* two bytes each */
		repeat("\xe2\x82\xac", 64), /* three */
		repeat("\xef\xbf\xbc", 64), /* U+FFFC, just below the mark */
		repeat("a", 39),
		repeat("a", 40),
		repeat("a", 41),
	};
	struct artefact found;
	struct sb_err err;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (int kind = ARTEFACT_SHADOW; kind <= ARTEFACT_KEPT; kind++) {
			char *name = artefact_name(ctx, tables[i],
						   (enum artefact_kind)kind, APPLY, &err);

			assert_non_null(name);
			assert_true(strcmp(name, tables[i]) > 0);
			assert_true(characters(name) <= 64);
			assert_true(artefact_parse(name, &found));
			assert_int_equal(found.kind, kind);
			assert_string_equal(found.apply, "apply-0011223344556677");
			assert_memory_equal(found.table, tables[i], strlen(found.table));
			assert_int_equal(found.cut, characters(tables[i]) >= 40);
			if (!found.cut)
				assert_string_equal(found.table, tables[i]);
		}
	/* Above U+FFFD there is nothing to take. */
	assert_null(artefact_name(ctx, repeat("\xef\xbf\xbe", 64), ARTEFACT_OLD, APPLY,
				  &err));
	assert_int_equal(err.code, SB_EENGINE);
	assert_null(artefact_name(ctx, "t", ARTEFACT_OLD, "something", &err));
}

static void other_names_are_not_artefacts(void **unused)
{
	static const char *const names[] = {
		"",
		"orders",
		"orders_old",
		"~sb_new_0011223344556677",
		"orders~sb_new_001122334455667",
		"orders~sb_new_001122334455667g",
		"orders~sb_new_00112233445566778",
		"orders_sb_new_0011223344556677",
		"orders~sb_tmp_0011223344556677",
		"orders~sb_new_0011223344556677_",
		"_orders_new",
	};
	struct artefact found;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (artefact_parse(names[i], &found))
			fail_msg("'%s' was taken for one of ours", names[i]);
}

static void quarantine_names(void **unused)
{
	static const char *const bad[] = {
		"20261121030405678_",	"20261121030405678",	"2026112103040567_t",
		"202611210304056789_t", "20261321030405678_t",	"20260230030405678_t",
		"20261121250405678_t",	"x20261121030405678_t", "",
	};
	char *name =
		artefact_drop_name(ctx, "20261121030405678", repeat("\xe2\x82\xac", 64));

	(void)unused;
	assert_int_equal(characters(name), 64);
	assert_true(artefact_drop_parse(name));
	assert_string_equal(artefact_drop_name(ctx, "20261121030405678", "t"),
			    "20261121030405678_t");
	assert_true(artefact_drop_parse("20240229235959999_t"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (artefact_drop_parse(bad[i]))
			fail_msg("'%s' was taken for a quarantined table", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clauses_enter_after_the_name),
		cmocka_unit_test(artefacts_sort_after_the_table),
		cmocka_unit_test(other_names_are_not_artefacts),
		cmocka_unit_test(quarantine_names),
		cmocka_unit_test(the_ladder_gets_harsher_upwards),
		cmocka_unit_test(nothing_harsher_than_announced),
		cmocka_unit_test(partitions_are_recognized),
		cmocka_unit_test(grants_are_read),
		cmocka_unit_test(pages_tell_the_cost),
		cmocka_unit_test(costs_have_one_name_each),
		cmocka_unit_test(only_refusals_are_climbed_over),
		cmocka_unit_test(lock_names_tell_tables_apart),
		cmocka_unit_test(engines_are_found),
		cmocka_unit_test(caps_and_operations_agree),
		cmocka_unit_test(task_states_have_one_name_each),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
