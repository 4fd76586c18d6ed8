/*
 * test_direct.c - which tables are small enough to be changed under a lock: on both sides
 * of each bound, and what is not known.
 */
#include <string.h>

#include "engines/mysql/direct.h"
#include "tests/it/store.h"

static bool allows(const char *table, int64_t rows, int64_t bytes, const char *says)
{
	const struct engine_direct policy = { .max_rows = rows, .max_bytes = bytes };
	struct db_params target = *db_params(store.db);
	const char *why = "";
	struct sb_err err;
	struct db *db;
	int rc;

	target.role = DB_TARGET;
	rc = db_open(store.ctx, &target, &db, &err);
	if (rc == 0)
		rc = mysql_direct_allows(store.ctx, db, target.schema, table, &policy,
					 &why, &err);
	if (rc < 0)
		fail_msg("%s", err.msg);
	talloc_free(db);
	if (!strstr(why, says))
		fail_msg("\"%s\" does not say \"%s\"", why, says);
	return rc == 1;
}

static void rows_are_counted(void **unused)
{
	(void)unused;
	store_sql("CREATE TABLE small (id INT PRIMARY KEY)");
	assert_true(allows("small", 0, 0, "it has 0 rows"));
	store_sql("INSERT INTO small VALUES (1), (2), (3)");
	assert_false(allows("small", 0, 0, "it has more than 0 rows"));
	assert_false(allows("small", 2, 0, "it has more than 2 rows"));
	assert_true(allows("small", 3, 0, "it has 3 rows, and 3 are allowed"));
	assert_false(allows("nowhere", 3, 0, "its rows could not be counted"));
	store_sql("DROP TABLE small");
}

static void an_estimate_may_refuse(void **unused)
{
	(void)unused;
	store_sql("CREATE TABLE large (id INT PRIMARY KEY AUTO_INCREMENT, v INT)");
	store_sql("INSERT INTO large (v) VALUES (1)");
	for (int i = 0; i < 12; i++)
		store_sql("INSERT INTO large (v) SELECT v FROM large");
	store_sql("ANALYZE TABLE large");
	assert_false(allows("large", 100, 0, "it has about "));
	assert_true(allows("large", 5000, 0, "it has 4096 rows"));
	store_sql("DROP TABLE large");
}

static void files_are_measured(void **unused)
{
	int64_t bytes;

	(void)unused;
	store_sql("CREATE TABLE `odd-name` (id INT, v VARCHAR(200), PRIMARY KEY (id))"
		  " PARTITION BY HASH (id) PARTITIONS 3");
	store_sql("INSERT INTO `odd-name` VALUES (1, 'a'), (2, 'b'), (3, 'c')");
	bytes = store_number("SELECT SUM(FILE_SIZE) FROM information_schema.%s"
			     " WHERE NAME LIKE '%%/odd%%name%%'",
			     db_flavor(store.admin) == DB_MYSQL
				     ? "INNODB_TABLESPACES"
				     : "INNODB_SYS_TABLESPACES");
	assert_true(bytes > 3 * 16384);
	assert_true(allows("odd-name", 0, bytes, "bytes, and "));
	assert_false(allows("odd-name", 0, bytes - 1, "bytes, and "));
	assert_false(allows("nowhere", 0, 1 << 30, "is not known"));
	store_sql("DROP TABLE `odd-name`");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(rows_are_counted, store_empty),
		cmocka_unit_test_setup(an_estimate_may_refuse, store_empty),
		cmocka_unit_test_setup(files_are_measured, store_empty),
	};

	return cmocka_run_group_tests(tests, store_start, store_stop);
}
