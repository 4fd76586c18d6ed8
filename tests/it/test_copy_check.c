/*
 * test_copy_check.c - the comparison of a table with its shadow: it finds whatever
 * differs, and nothing else; what it finds is made equal, or the change fails.
 */
#include <stdlib.h>
#include <string.h>

#include "engines/mysql/checkpoint.h"
#include "engines/mysql/copy/change.h"
#include "engines/mysql/copy/check_sql.h"
#include "engines/mysql/copy/settle.h"
#include "engines/mysql/copy/table.h"
#include "tests/it/store.h"

#define APPLY "apply-0123456789abcdef0123456789abcdef"

/* ---- types ----------------------------------------------------------------------------
 */

enum { BOTH = 0, MARIADB = 1, MYSQL = 2 };

static const struct pair {
	const char *from, *to;
	const char *values[3]; /* different ones */
	int flavor;
} pairs[] = {
	{ "INT", "INT", { "-5", "0", "2147483647" }, BOTH },
	{ "INT UNSIGNED", "BIGINT", { "5", "0", "4294967295" }, BOTH },
	{ "TINYINT", "DECIMAL(12,3)", { "-5", "0", "127" }, BOTH },
	{ "DECIMAL(10,2)", "DECIMAL(14,5)", { "-5.25", "0", "99999999.99" }, BOTH },
	{ "DECIMAL(10,3)", "DECIMAL(10,1)", { "-5.25", "-0.04", "7.149" }, BOTH },
	{ "DECIMAL(10,2)", "INT", { "-5.5", "-0.4", "7.49" }, BOTH },
	{ "BIGINT", "DOUBLE", { "9007199254740993", "1", "-7" }, BOTH },
	{ "FLOAT", "FLOAT", { "1.1", "1e30", "16777217" }, BOTH },
	{ "FLOAT", "DOUBLE", { "1.1", "-0.3", "1e-30" }, BOTH },
	{ "DOUBLE", "FLOAT", { "1.1", "0.1", "123456.789" }, BOTH },
	{ "DOUBLE", "DOUBLE", { "1.1", "0.1e-300", "3" }, BOTH },
	{ "DOUBLE", "DECIMAL(12,3)", { "1.0005", "0.1", "3" }, BOTH },
	{ "BIT(10)", "BIT(20)", { "b'1000000001'", "b'0'", "b'1100000'" }, BOTH },
	{ "YEAR", "SMALLINT", { "1999", "2024", "2155" }, BOTH },
	{ "CHAR(6)", "CHAR(6)", { "'a'", "'A'", "''" }, BOTH },
	{ "CHAR(6)", "VARCHAR(9)", { "'a '", "'A'", "'#'" }, BOTH },
	{ "VARCHAR(6)", "CHAR(9)", { "'a  '", "'A'", "''" }, BOTH },
	{ "VARCHAR(6) CHARACTER SET latin1",
	  "VARCHAR(6) CHARACTER SET utf8mb4",
	  { "X'E4'", "'a'", "X'80'" },
	  BOTH },
	{ "VARCHAR(6) CHARACTER SET utf8mb4",
	  "VARCHAR(6) CHARACTER SET utf16",
	  { "_utf8mb4 X'C3A4'", "'a'", "_utf8mb4 X'F09F9880'" },
	  BOTH },
	{ "VARCHAR(6) COLLATE utf8mb4_general_ci",
	  "VARCHAR(600) COLLATE utf8mb4_bin",
	  { "'a'", "'A'", "'a '" },
	  BOTH },
	{ "BINARY(3)", "BINARY(5)", { "'a'", "X'00'", "X'FFFF'" }, BOTH },
	{ "VARBINARY(3)", "BINARY(5)", { "'a'", "X'00FF'", "X'FFFF'" }, BOTH },
	{ "VARBINARY(3)", "BLOB", { "'a'", "X'00FF'", "''" }, BOTH },
	{ "VARCHAR(9)", "VARBINARY(36)", { "'a'", "_utf8mb4 X'C3A4'", "''" }, BOTH },
	{ "TEXT", "LONGTEXT", { "'a'", "REPEAT('b', 60000)", "''" }, BOTH },
	{ "TEXT CHARACTER SET latin1",
	  "TEXT CHARACTER SET utf8mb4",
	  { "'a'", "X'E4F6'", "''" },
	  BOTH },
	{ "MEDIUMBLOB", "MEDIUMBLOB", { "'a'", "REPEAT('b', 99999)", "''" }, BOTH },
	{ "ENUM('a','b','c')", "ENUM('a','b','c')", { "'a'", "'b'", "'c'" }, BOTH },
	{ "ENUM('a','b','c')", "ENUM('x','b','a','c')", { "'a'", "'b'", "'c'" }, BOTH },
	{ "ENUM('a','b','c')", "VARCHAR(9)", { "'a'", "'b'", "'c'" }, BOTH },
	{ "VARCHAR(9)", "ENUM('a','b','c')", { "'A'", "'b'", "'c'" }, BOTH },
	{ "SET('a','b','c')", "SET('z','a','b','c')", { "'a,b'", "''", "'c'" }, BOTH },
	{ "DATE",
	  "DATETIME(3)",
	  { "'2024-02-29'", "'1000-01-01'", "'9999-12-31'" },
	  BOTH },
	{ "DATETIME(6)",
	  "DATETIME(3)",
	  { "'2024-02-29 23:59:59.999600'", "'2000-01-01'",
	    "'2001-02-03 04:05:06.7894'" },
	  BOTH },
	{ "DATETIME",
	  "TIMESTAMP",
	  { "'2024-02-29 23:59:59'", "'2000-01-01'", "'2001-01-01'" },
	  BOTH },
	{ "TIMESTAMP(3) NULL",
	  "DATETIME(6)",
	  { "'2024-02-29 23:59:59.123'", "'2000-01-01'", "'2001-01-01'" },
	  BOTH },
	{ "TIME(2)", "TIME(6)", { "'-838:59:59'", "'00:00:00.25'", "'1:2:3'" }, BOTH },
	{ "INT", "VARCHAR(20)", { "-5", "0", "7" }, BOTH },
	{ "VARCHAR(20)", "INT", { "'-5'", "'0'", "'7'" }, BOTH },
	{ "VARCHAR(30)",
	  "DATETIME",
	  { "'2024-1-2'", "'2000-01-01'", "'2001-01-01'" },
	  BOTH },
	{ "DOUBLE", "VARCHAR(40)", { "1.1", "1e100", "7" }, BOTH },
	{ "JSON", "JSON", { "'{\"a\": 1.50}'", "'[]'", "'null'" }, BOTH },
	{ "JSON", "LONGTEXT", { "'{\"a\": 1.50}'", "'[]'", "'null'" }, BOTH },
	{ "GEOMETRY",
	  "GEOMETRY",
	  { "ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(1 3)')",
	    "ST_GeomFromText('LINESTRING(0 0,1 1)')" },
	  BOTH },
	{ "UUID",
	  "UUID",
	  { "'00000000-0000-0000-0000-000000000001'",
	    "'10000000-0000-0000-0000-000000000001'",
	    "'00000000-0000-0000-0000-000000000002'" },
	  MARIADB },
	{ "INET6", "INET6", { "'::1'", "'::2'", "'::ffff:1.2.3.4'" }, MARIADB },
	{ "VECTOR(2)",
	  "VECTOR(3)",
	  { "TO_VECTOR('[1,2]')", "TO_VECTOR('[1,3]')", "TO_VECTOR('[2,2]')" },
	  MYSQL },
};

static bool here(int flavor)
{
	return flavor == BOTH ||
	       (flavor == MARIADB) == (db_flavor(store.admin) == DB_MARIADB);
}

/* What is done to the shadow. */
static const char *const plants[] = {
	"UPDATE # SET v = NULL WHERE id = 1",
	"UPDATE # AS a JOIN (SELECT v FROM # WHERE id = 2) AS b SET a.v = b.v WHERE a.id = 1",
	"UPDATE # SET w = 'a' WHERE id = 1",
	"UPDATE # SET w = CONCAT(w, ' ') WHERE id = 1",
	"UPDATE # SET w = NULL, n = 'x' WHERE id = 2",
	"UPDATE # SET w = 'x', n = NULL WHERE id = 4",
	"UPDATE # SET n = '' WHERE id = 1",
	"UPDATE # SET w = 'y' WHERE id = 1", /* one bit */
	/* Two rows that differ by the same bits, and two that have exchanged a value: the
	 * exclusive or of a linear hash is the same. */
	"UPDATE # SET w = 'y' WHERE id IN (1, 2)",
	"UPDATE # AS a JOIN (SELECT 3 - id AS id, v FROM # WHERE id IN (1, 2)) AS b ON a.id ="
	" b.id SET a.v = b.v",
	"UPDATE # SET id = CASE id WHEN 1 THEN 5 ELSE 6 END WHERE id IN (1, 2)",
	"UPDATE # SET id = CASE id WHEN 1 THEN 90 ELSE id END WHERE id = 1",
	"DELETE FROM # WHERE id = 1",
	"INSERT INTO # (id, v, w) VALUES (-9, NULL, 'x')",
	"INSERT INTO # (id, v, w) VALUES (99, NULL, 'x')",
	"DELETE FROM # WHERE id > 0",
};

static char *with_table(const char *text, const char *table)
{
	struct buf b;

	buf_init(&b, store.ctx);
	for (const char *p = text; *p; p++)
		if (*p == '#')
			buf_str(&b, table);
		else
			buf_char(&b, *p);
	return b.data;
}

/* A shadow with all rows, as the copy makes it. */
static struct copy_table *copied(const struct pair *p, struct db *db)
{
	const struct engine_task task = {
		.id = "task",
		.namespace = "n",
		.schema = db_params(store.db)->schema,
		.table = "t",
		.ddl = mem_printf(store.ctx, "ALTER TABLE `t` MODIFY COLUMN `v` %s",
				  p->to),
		.action = "alter"
	};
	struct copy_table *t;
	struct sb_err err;

	store_sql("DROP TABLE IF EXISTS t");
	store_sql(
		"CREATE TABLE t (id INT PRIMARY KEY, v %s, w VARCHAR(20), n VARCHAR(9))",
		p->from);
	for (unsigned i = 0; i < ARRAY_SIZE(p->values); i++)
		store_sql("INSERT INTO t VALUES (%u, %s, 'x', NULL)", i + 1,
			  p->values[i]);
	store_sql("INSERT INTO t VALUES (4, NULL, NULL, 'x')");
	if (copy_table_create(store.ctx, db, APPLY, &task, &t, &err) < 0 ||
	    db_run(db,
		   mem_printf(store.ctx, "INSERT INTO %s (%s) SELECT %s FROM %s",
			      t->shadow, t->shadow_list, t->column_list, t->original),
		   &err) < 0)
		fail_msg("%s to %s: %s", p->from, p->to, err.msg);
	return t;
}

/* As a server of an early version compares, which lacks what later ones are faster with.
 */
static int compare_early(const struct pair *p, const struct copy_table *t, struct db *db)
{
	struct db_rows *rows[2];
	struct sb_err err;

	for (int i = 0; i < 2; i++)
		if (db_query(store.ctx, db,
			     check_fold(store.ctx, t, i == 0, db_flavor(db), 80000,
					i == 0 ? t->shadow : t->original),
			     &rows[i], &err) < 0)
			fail_msg("%s to %s: %s", p->from, p->to, err.msg);
	return strcmp(rows[0]->cell[0][0], rows[1]->cell[0][0]) == 0 &&
	       strcmp(rows[0]->cell[0][1], rows[1]->cell[0][1]) == 0;
}

static int compare(const struct pair *p, const struct copy_table *t, struct db *db)
{
	struct sb_err err;
	uint64_t rows;
	int rc = check_compare(db, t, NULL, NULL, &rows, &err);

	if (rc < 0)
		fail_msg("%s to %s: %s", p->from, p->to, err.msg);
	if (rc != compare_early(p, t, db))
		fail_msg("%s to %s: an early server finds the opposite", p->from, p->to);
	return rc;
}

static const struct check_range all_rows = { NULL, NULL };

static void assert_settled(const struct pair *p, struct settle *s, int equal,
			   const char *what)
{
	struct sb_err err;

	if (settle_equal(s, &all_rows, &err) != equal)
		fail_msg("%s to %s: %s: rows are %s, and seem not to be: %s", p->from,
			 p->to, what, equal ? "equal" : "different", err.msg);
}

/* Where SQL has no words for a conversion, the server's own one tells. */
static void plant_settled(const struct pair *p, const struct copy_table *t, struct db *db)
{
	struct settle *s;
	struct sb_err err;

	if (settle_open(store.ctx, db_params(store.db), t, &s, &err) < 0)
		fail_msg("%s to %s: %s", p->from, p->to, err.msg);
	assert_settled(p, s, 1, "copied");
	for (size_t k = 0; k < ARRAY_SIZE(plants); k++) {
		char *sql = with_table(plants[k], t->shadow);

		if (db_run(db, sql, &err) < 0)
			fail_msg("%s to %s: %s: %s", p->from, p->to, sql, err.msg);
		assert_settled(p, s, 0, sql);
		assert_int_equal(settle_repair(s, &all_rows, &err), 1);
		assert_settled(p, s, 1, sql);
	}
	talloc_free(s);
}

static void plant(const struct pair *p, const struct copy_table *t, struct db *db)
{
	struct sb_err err;

	for (size_t k = 0; k < ARRAY_SIZE(plants); k++) {
		if (db_begin(db, &err) < 0 ||
		    db_run(db, with_table(plants[k], t->shadow), &err) < 0)
			fail_msg("%s to %s: %s: %s", p->from, p->to, plants[k], err.msg);
		if (compare(p, t, db) != 0)
			fail_msg("%s to %s: not found: %s", p->from, p->to, plants[k]);
		db_rollback(db);
	}
}

static void every_difference_of_every_type(void **unused)
{
	struct db *db = store_connect();
	struct sb_err err;

	(void)unused;
	store_try("CREATE DATABASE IF NOT EXISTS `_schemabot_state`");
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		const struct pair *p = &pairs[i];
		struct copy_table *t;
		int equal;

		if (!here(p->flavor))
			continue;
		if (copy_session(db, &err) < 0)
			fail_msg("%s", err.msg);
		t = copied(p, db);
		equal = compare(p, t, db);
		if (!equal)
			print_message("%s to %s: is settled\n", p->from, p->to);
		if (equal)
			plant(p, t, db);
		if (!equal || i == 0)
			plant_settled(p, t, db);
		if (copy_table_drop(db, t, &err) < 0)
			fail_msg("%s", err.msg);
	}
	talloc_free(db);
}

/*
 * Bytes that a CRC does not see: its own polynomial, lowest bit first. CRC32's and
 * CRC32C's; and where one of them sees the same difference in an even number of rows,
 * their exclusive or does not.
 */
static void what_a_crc_does_not_see(void **unused)
{
	static const struct pair bytes = { "VARBINARY(9)",
					   "VARBINARY(9)",
					   { "X'0000000000'", "X'0000000000'",
					     "X'0000000001'" },
					   BOTH };
	static const char *const unseen[] = {
		"UPDATE # SET v = X'410671DB01' WHERE id = 1",
		"UPDATE # SET v = X'F176EC0501' WHERE id = 1",
		"UPDATE # SET v = X'410671DB01' WHERE id IN (1, 2)",
		"UPDATE # SET v = X'F176EC0501' WHERE id IN (1, 2)",
		"UPDATE # SET v = X'8000000000' WHERE id IN (1, 2)",
		"UPDATE # SET v = X'0000000001', w = 'y' WHERE id IN (1, 2)",
	};
	struct db *db = store_connect();
	struct copy_table *t;
	struct sb_err err;

	(void)unused;
	assert_int_equal(
		store_number("SELECT CRC32(X'410671DB01') = CRC32(X'0000000000')"), 1);
	if (db_flavor(db) == DB_MARIADB)
		assert_int_equal(store_number("SELECT CRC32C(X'F176EC0501') ="
					      " CRC32C(X'0000000000')"),
				 1);
	if (copy_session(db, &err) < 0)
		fail_msg("%s", err.msg);
	t = copied(&bytes, db);
	assert_int_equal(compare(&bytes, t, db), 1);
	for (size_t k = 0; k < ARRAY_SIZE(unseen); k++) {
		if (db_begin(db, &err) < 0 ||
		    db_run(db, with_table(unseen[k], t->shadow), &err) < 0)
			fail_msg("%s: %s", unseen[k], err.msg);
		if (compare(&bytes, t, db) != 0)
			fail_msg("not found: %s", unseen[k]);
		db_rollback(db);
	}
	if (copy_table_drop(db, t, &err) < 0)
		fail_msg("%s", err.msg);
	talloc_free(db);
}

/* ---- a whole change -------------------------------------------------------------------
 */

#define ROWS   6000
#define ALTER  "ALTER TABLE `t` MODIFY COLUMN `v` BIGINT, MODIFY COLUMN `f` FLOAT"
#define SHADOW "`t~sb_new_0123456789abcdef`"

static struct {
	bool halt, halt_while_checking, planted, by_operator;
	const char *const *plant; /* into the shadow, when the comparison begins */
} watch;

static bool halted(void *arg)
{
	(void)arg;
	return watch.halt;
}

static int volume(void *arg)
{
	(void)arg;
	return 3;
}

static bool cutover_wanted(void *arg)
{
	(void)arg;
	return true;
}

static int cutting(void *arg, struct sb_err *err)
{
	(void)arg;
	(void)err;
	return 0;
}

static void report(void *arg, size_t task, const struct change_report *r)
{
	(void)arg;
	(void)task;
	if (r->phase != COPY_CHECKING || watch.planted)
		return;
	watch.planted = true;
	watch.halt = watch.halt_while_checking;
	for (size_t i = 0; watch.plant && watch.plant[i]; i++)
		store_sql("%s", watch.plant[i]);
}

static void done(void *arg, size_t task, const char *note)
{
	(void)arg;
	(void)task;
	(void)note;
}

static const struct change_hooks hooks = { NULL,    halted, volume, cutover_wanted,
					   cutting, report, done };

static int run_change(struct sb_err *err)
{
	static uint64_t last_token;
	const uint64_t token = ++last_token;
	struct db_params target = *db_params(store.db);
	const struct engine_task task = { .id = "task",
					  .namespace = "n",
					  .schema = target.schema,
					  .table = "t",
					  .ddl = ALTER,
					  .action = "alter" };
	const struct engine_request request = { .target = &target,
						.apply_id = APPLY,
						.operation = APPLY "/main",
						.lease_token = token,
						.tasks = &task,
						.n_tasks = 1 };
	struct change_args args = { .target = &target,
				    .apply_id = APPLY,
				    .operation = APPLY "/main",
				    .token = token,
				    .tasks = &task,
				    .n = 1,
				    .forget_cutover = watch.by_operator,
				    .hooks = &hooks };
	struct db *locks;
	int rc;

	target.role = DB_TARGET;
	watch.halt = watch.planted = false;
	if (token == 1)
		store_try("DROP DATABASE `_schemabot_state`");
	if (db_open(store.ctx, &target, &locks, err) < 0 ||
	    mysql_checkpoint_write(locks, &request, err) < 0)
		return -1;
	args.locks = locks;
	rc = change_run(&args, err);
	/* As the worker does when a task is completed. */
	if (rc == 1 && mysql_checkpoint_remove(locks, APPLY "/main", token, target.schema,
					       "t", err) < 0)
		rc = -1;
	talloc_free(locks);
	return rc;
}

static void make_table(void)
{
	store_sql("DROP TABLE IF EXISTS t, twin, `t~sb_old_0123456789abcdef`, " SHADOW);
	store_try("DELETE FROM `_schemabot_state`.checkpoints");
	store_sql("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT, f DOUBLE,"
		  " w VARCHAR(20))");
	store_sql("INSERT INTO t (v, f, w) VALUES (1, 1.1, 'x')");
	while (store_number("SELECT COUNT(*) FROM t") < ROWS)
		store_sql("INSERT INTO t (v, f, w) SELECT v + 1, f * 1.01, CONCAT('x', v)"
			  " FROM t");
	store_sql("UPDATE t SET id = -id WHERE id %% 7 = 0");
	store_sql("CREATE TABLE twin LIKE t");
	store_sql("INSERT INTO twin SELECT * FROM t");
	store_sql("ALTER TABLE twin MODIFY COLUMN v BIGINT, MODIFY COLUMN f FLOAT");
}

#define SUM_OF                                                                      \
	"SELECT CONCAT_WS(' ', COUNT(*), SUM(CRC32(CONCAT_WS('#', id, v, f + 0e0, " \
	"w)))) FROM "

static void assert_twins(void)
{
	char *is = store_text(SUM_OF "t"), *should = store_text(SUM_OF "twin");

	assert_string_equal(is, should);
}

static void planted_differences_are_repaired(void **unused)
{
	static const char *const plant[] = {
		"DELETE FROM " SHADOW " WHERE id = 1",
		"UPDATE " SHADOW " SET v = v + 1 WHERE id = 1501",
		"INSERT INTO " SHADOW
		" (id, v) VALUES (-2000000, 1), (-3, 4), (2000000, 2)",
		"UPDATE " SHADOW " SET w = CONCAT(w, ' ') WHERE id BETWEEN 3001 AND 3003",
		"UPDATE " SHADOW " SET f = f * 1.000001 WHERE id = 4501",
		NULL
	};
	struct sb_err err;

	(void)unused;
	make_table();
	watch.plant = plant;
	if (run_change(&err) != 1)
		fail_msg("%s", err.msg);
	assert_true(watch.planted);
	assert_int_equal(store_number("SELECT COUNT(*) FROM information_schema.COLUMNS"
				      " WHERE TABLE_SCHEMA = DATABASE() AND"
				      " TABLE_NAME = 't' AND DATA_TYPE = 'bigint'"),
			 1);
	assert_twins();
}

static void rows_of_an_empty_table_are_found(void **unused)
{
	static const char *const plant[] = { "INSERT INTO " SHADOW
					     " (id, v) VALUES (5, 1)",
					     NULL };
	struct sb_err err;

	(void)unused;
	make_table();
	store_sql("DELETE FROM t");
	store_sql("DELETE FROM twin");
	watch.plant = plant;
	if (run_change(&err) != 1)
		fail_msg("%s", err.msg);
	assert_twins();
}

static void halted_while_it_compares(void **unused)
{
	struct sb_err err;

	(void)unused;
	make_table();
	watch.plant = NULL;
	watch.halt_while_checking = true;
	assert_int_equal(run_change(&err), 0);
	watch.halt_while_checking = false;
	if (run_change(&err) != 1)
		fail_msg("%s", err.msg);
	assert_twins();
}

/* Halted, then a row of the shadow is spoilt, and the checkpoint says that so much was
 * compared: is it found? */
static void take_up(const char *compared, bool by_operator, int id, bool found)
{
	struct sb_err err;

	make_table();
	watch.plant = NULL;
	watch.halt_while_checking = true;
	assert_int_equal(run_change(&err), 0);
	watch.halt_while_checking = false;
	store_sql("UPDATE " SHADOW " SET v = -1 WHERE id = %d", id);
	store_sql("UPDATE `_schemabot_state`.checkpoints SET progress ="
		  " JSON_SET(progress, %s) WHERE table_name = 't'",
		  compared);
	watch.by_operator = by_operator;
	if (run_change(&err) != 1)
		fail_msg("%s", err.msg);
	watch.by_operator = false;
	assert_int_equal(store_number("SELECT COUNT(*) FROM t WHERE v = -1"), !found);
}

static void a_dead_drivers_comparison_goes_on(void **unused)
{
	const char *nothing = "'$.compared', 0", *all = "'$.all_compared', TRUE",
		   *some = "'$.compared_upto', '1500', '$.compared', 1500";

	(void)unused;
	take_up(nothing, false, 1, true);
	take_up(some, false, 1, false);
	take_up(some, false, 4502, true);
	take_up(all, false, 4502, false);
	/* But an operator's stop may have been long ago. */
	take_up(some, true, 1, true);
	take_up(all, true, 4502, true);
}

/* A trigger of somebody else's spoils whatever is copied again. */
static void what_cannot_be_made_equal_fails(void **unused)
{
	static const char *const plant[] = {
		"UPDATE " SHADOW " SET v = -1 WHERE id = 1501",
		"CREATE TRIGGER spoil BEFORE INSERT ON " SHADOW
		" FOR EACH ROW SET NEW.v = NEW.v + 1",
		NULL
	};
	struct sb_err err;

	(void)unused;
	make_table();
	watch.plant = plant;
	assert_int_equal(run_change(&err), -1);
	assert_int_equal(err.code, SB_EENGINE);
	assert_non_null(strstr(err.msg, "1501"));
	assert_int_equal(store_number("SELECT COUNT(*) FROM _schemabot_state.checkpoints"
				      " WHERE table_name = 't' AND progress IS NULL"),
			 1);
	watch.plant = NULL; /* the next one begins anew, with another shadow */
	if (run_change(&err) != 1)
		fail_msg("%s", err.msg);
	assert_twins();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_difference_of_every_type, store_empty),
		cmocka_unit_test_setup(what_a_crc_does_not_see, store_empty),
		cmocka_unit_test_setup(planted_differences_are_repaired, store_empty),
		cmocka_unit_test_setup(rows_of_an_empty_table_are_found, store_empty),
		cmocka_unit_test_setup(halted_while_it_compares, store_empty),
		cmocka_unit_test_setup(a_dead_drivers_comparison_goes_on, store_empty),
		cmocka_unit_test_setup(what_cannot_be_made_equal_fails, store_empty),
	};

	return cmocka_run_group_tests(tests, store_start, store_stop);
}
