/*
 * test_copy.c - the online copy of tables with each shape of key, under an application
 * that writes; halted and killed everywhere, and taken up again. See copy_load.h.
 * SB_COPIES says how often each shape is copied with a new seed, else ROUNDS.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/it/copy_load.h"

#define ROUNDS 4

static const struct load_shape shapes[] = {
	{ "signed integers",
	  BOTH,
	  "id INT PRIMARY KEY AUTO_INCREMENT, v INT, t VARCHAR(40), KEY (v)",
	  "(%1 - 500, %1, REPEAT('x', %1 % 30))",
	  "MODIFY COLUMN `v` BIGINT, ADD COLUMN `n` INT NOT NULL DEFAULT 7, ADD KEY `nv` (`n`, `v`)",
	  { "INSERT IGNORE INTO # VALUES (%1, %2, 'new')",
	    "UPDATE # SET v = %2 WHERE id = %1",
	    "UPDATE IGNORE # SET id = %2 WHERE id = %1", "DELETE FROM # WHERE id = %1",
	    "REPLACE INTO # VALUES (%1, %2, 'again')",
	    "UPDATE # SET t = CONCAT(v, 'y') WHERE id BETWEEN %1 AND %1 + 5" } },
	{ "great unsigned integers",
	  BOTH,
	  "id BIGINT UNSIGNED PRIMARY KEY, v INT",
	  "(18446744073709551615 - %1 * 7, %1)",
	  "ADD COLUMN `n` INT FIRST",
	  { "INSERT IGNORE INTO # VALUES (18446744073709551615 - %1, %2)",
	    "UPDATE # SET v = %2 WHERE id = 18446744073709551615 - %1 * 7",
	    "DELETE FROM # WHERE id = 18446744073709551615 - %1 * 7",
	    "UPDATE IGNORE # SET id = %2 WHERE id = 18446744073709551615 - %1 * 7",
	    "DELETE FROM # WHERE id < %1", "UPDATE # SET v = v + 1 WHERE id < %1" } },
	{ "texts that differ in case",
	  BOTH,
	  "k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, v INT,"
	  " PRIMARY KEY (k)",
	  "(CONCAT(IF(%1 % 2, 'key', 'KEY'), %1), %1)",
	  "ADD COLUMN `n` INT, MODIFY COLUMN `v` BIGINT",
	  { "INSERT IGNORE INTO # VALUES (CONCAT('Key', %1), %2)",
	    "UPDATE # SET v = %2 WHERE k = CONCAT('kEy', %1)",
	    "UPDATE IGNORE # SET k = CONCAT('KEY', %1) WHERE k = CONCAT('key', %1)",
	    "DELETE FROM # WHERE k = CONCAT('key', %1)",
	    "REPLACE INTO # VALUES (CONCAT('kEY', %1), %2)",
	    "UPDATE IGNORE # SET k = CONCAT('key', %2) WHERE k = CONCAT('key', %1)" } },
	{ "bytes that end in zero",
	  BOTH,
	  "k BINARY(6), v INT, PRIMARY KEY (k)",
	  "(UNHEX(CONCAT(LPAD(HEX(%1), 8, '0'), '0000')), %1)",
	  "ADD COLUMN `n` FLOAT NOT NULL DEFAULT 1.1",
	  { "INSERT IGNORE INTO # VALUES (UNHEX(CONCAT(LPAD(HEX(%1), 8, '0'), '0000')), %2)",
	    "UPDATE # SET v = %2 WHERE k = UNHEX(CONCAT(LPAD(HEX(%1), 8, '0'), '0000'))",
	    "DELETE FROM # WHERE k = UNHEX(CONCAT(LPAD(HEX(%1), 8, '0'), '0000'))",
	    "UPDATE IGNORE # SET k = UNHEX(CONCAT(LPAD(HEX(%2), 8, '0'), '0000')) WHERE"
	    " k = UNHEX(CONCAT(LPAD(HEX(%1), 8, '0'), '0000'))",
	    "REPLACE INTO # VALUES (UNHEX(LPAD(HEX(%1), 12, '0')), %2)",
	    "DELETE FROM # WHERE v = %2" } },
	{ "a compound key, reduced, and a unique key that swaps",
	  BOTH,
	  "a INT, b DATETIME(3), c INT NOT NULL, u INT, PRIMARY KEY (a, b), UNIQUE KEY (c)",
	  "(%1 % 50, '2024-01-01 00:00:00.123' + INTERVAL %1 SECOND, %1, %1)",
	  "DROP PRIMARY KEY, ADD PRIMARY KEY (`a`, `b`, `c`), ADD UNIQUE KEY `ab` (`b`, `a`), MODIFY COLUMN `u` BIGINT",
	  { "INSERT IGNORE INTO # VALUES (%1 % 60, '2025-01-01' + INTERVAL %2 SECOND, %1, %2)",
	    "UPDATE # SET u = %2 WHERE c = %1",
	    "UPDATE # SET c = CASE c WHEN %1 THEN -1 ELSE c END WHERE c = %1",
	    "DELETE FROM # WHERE c = %1", "UPDATE IGNORE # SET c = %2 WHERE c = %1",
	    "UPDATE IGNORE # SET a = %2 % 50 WHERE c = %1" } },
	{ "no primary key, the unique key becomes it",
	  BOTH,
	  "id INT, k DECIMAL(12,4) NOT NULL, v VARCHAR(20), UNIQUE KEY (k)",
	  "(%1, %1 * -1.0625, 'abc')",
	  "ADD PRIMARY KEY (`k`), DROP COLUMN `id`",
	  { "INSERT IGNORE INTO # VALUES (%1, %1 * -1.0625, %2)",
	    "UPDATE # SET v = %2 WHERE k = %1 * -1.0625",
	    "DELETE FROM # WHERE k = %1 * -1.0625",
	    "UPDATE IGNORE # SET k = %2 WHERE k = %1 * -1.0625",
	    "DELETE FROM # WHERE k > %1", "UPDATE # SET id = %2 WHERE k > 0" } },
	{ "a renamed key, an enum before it",
	  BOTH,
	  "e ENUM('z','a','m') NOT NULL, id INT NOT NULL, v DOUBLE, PRIMARY KEY (e, id)",
	  "(ELT(%1 % 3 + 1, 'z', 'a', 'm'), %1, %1 / 3)",
	  "CHANGE COLUMN `id` `number` BIGINT NOT NULL, ADD COLUMN `x` INT DEFAULT 1",
	  { "INSERT IGNORE INTO # VALUES ('a', %1, %2 / 7)",
	    "UPDATE # SET v = %2 / 3 WHERE v = %1 / 3",
	    "UPDATE IGNORE # SET e = 'm' WHERE v = %1 / 3",
	    "DELETE FROM # WHERE v = %1 / 3", "REPLACE INTO # VALUES ('z', %1, %2)",
	    "DELETE FROM # WHERE e = 'a' AND v = %2" } },
	{ "a table without rows",
	  BOTH,
	  "id INT PRIMARY KEY, v INT",
	  "",
	  "ADD COLUMN `n` INT",
	  { "INSERT IGNORE INTO # VALUES (%1, %2)", "DELETE FROM # WHERE id = %1",
	    "UPDATE # SET v = %2 WHERE id = %1",
	    "UPDATE IGNORE # SET id = %2 WHERE id = %1",
	    "INSERT IGNORE INTO # VALUES (%2, %1)", "DELETE FROM # WHERE v = %1" } },
};

/* ---- killed ---------------------------------------------------------------------------
 */

/* How often each is passed is up to the load: so many passages are tried of each. */
static const struct {
	const char *point;
	int passages;
} points[] = {
	{ "engine.mysql.copy.shadow", 1 },
	{ "engine.mysql.copy.prepared", 1 },
	{ "engine.mysql.copy.begun", 1 },
	{ "engine.mysql.copy.chunk", 2 },
	{ "engine.mysql.copy.copied", 2 },
	{ "engine.mysql.copy.flush", 2 },
	{ "engine.mysql.copy.saved", 2 },
	{ "engine.mysql.copy.built", 1 },
	{ "engine.mysql.copy.check.locked", 1 },
	{ "engine.mysql.copy.checked", 1 },
	{ "engine.mysql.copy.cutover.locked", 1 },
	{ "engine.mysql.copy.cutover.rename", 1 },
	{ "engine.mysql.copy.cutover.renamed", 1 },
};

/* In another process, which is killed at the n-th passage of a point. True = it was. */
static bool killed(const char *ddl, const char *point, int n)
{
	char *fault = mem_printf(store.ctx, "%s:crash@%d", point, n);
	char *token = mem_printf(store.ctx, "%" PRIu64, ++load_token);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("SB_FAULT", fault, 1);
		execl("/proc/self/exe", "test_copy", "--child", ddl, token, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid ||
	    (WIFEXITED(status) && WEXITSTATUS(status) != 0))
		fail_msg("%s: the child ended with status %d", fault, status);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static int child(const char *ddl, const char *token)
{
	struct sb_err err = { 0 };

	db_library_init();
	store.ctx = mem_ctx(NULL, "child");
	store.config.storage = (struct db_params){ .name = "storage",
						   .role = DB_STORAGE,
						   .socket = getenv("SB_DB_SOCKET"),
						   .user = getenv("SB_DB_USER"),
						   .password = getenv("SB_DB_PASSWORD"),
						   .schema = "schemabot_c_tests" };
	store.db = store_connect();
	load_watch.halt_at = -1;
	load_watch.hold_ms = 200;
	load_token = strtoull(token, NULL, 10) - 1;
	if (load_change(ddl, &err) == 1)
		return 0;
	fprintf(stderr, "%s\n", err.msg);
	return 3;
}

/* What a driver does first: the live table may be the desired one already. */
static bool is_swapped(void)
{
	return store_number(
		       "SELECT COUNT(*) FROM information_schema.tables WHERE"
		       " table_schema = DATABASE() AND table_name LIKE 't~sb%%new%%'") ==
		       0 &&
	       store_number("SELECT COUNT(*) FROM information_schema.tables WHERE"
			    " table_schema = DATABASE() AND table_name LIKE 't~sb%%old%%'"
			    " AND table_comment = ''") == 1;
}

static bool survives(const struct load_shape *s, const char *point, int n, unsigned seed)
{
	struct sb_err err = { 0 };
	bool fired;
	int rc = 1;

	load_start(s, seed);
	fired = killed(load_statement(s), point, n);
	load_watch.halt_at = -1;
	for (int tries = 0; fired && !is_swapped() && tries < 10; tries++) {
		rc = load_change(load_statement(s), &err);
		/* The dead one's RENAME may have been let go, and come through late. */
		if (rc == 1 || err_class(err.code) != ERR_RETRYABLE)
			break;
	}
	load_stop();
	if (rc != 1 && !is_swapped())
		fail_msg("%s at %s@%d, seed %u: %s", s->name, point, n, seed, err.msg);
	load_compare(s);
	return fired;
}

static void killed_at_every_point_and_taken_up(void **unused)
{
	static const size_t which[] = { 0, 4 }; /* of shapes */
	unsigned seed = (unsigned)clock_ms();

	(void)unused;
	print_message("seed %u\n", seed);
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		for (int n = 1; n <= points[i].passages; n++) {
			const struct load_shape *s = &shapes[which[(i + (size_t)n) % 2]];
			bool fired = survives(s, points[i].point, n, seed++);

			print_message("%s@%d: %s, %" PRIu64 " writes\n", points[i].point,
				      n, fired ? "killed" : "not passed",
				      load_application.writes);
			if (!fired && n == 1)
				fail_msg("%s is not passed", points[i].point);
		}
}

static void every_shape_under_load(void **unused)
{
	const char *wanted = getenv("SB_COPIES");
	size_t rounds = wanted ? strtoul(wanted, NULL, 10) : ROUNDS;
	unsigned seed = (unsigned)clock_ms();

	(void)unused;
	for (size_t i = 0; i < rounds * ARRAY_SIZE(shapes); i++, seed++) {
		const struct load_shape *s = &shapes[i % ARRAY_SIZE(shapes)];

		if (!load_here(s->flavor))
			continue;
		print_message("%s, seed %u\n", s->name, seed);
		load_run(s, seed, -1);
	}
}

static void halted_in_every_phase_and_taken_up(void **unused)
{
	static const enum copy_phase phases[] = { COPY_COPYING,	    COPY_BUILDING,
						  COPY_CATCHING_UP, COPY_CHECKING,
						  COPY_READY,	    COPY_CUTTING_OVER };
	unsigned seed = (unsigned)clock_ms();

	(void)unused;
	print_message("seed %u\n", seed);
	for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
		load_run(&shapes[0], seed + (unsigned)i, (int)phases[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_shape_under_load, store_empty),
		cmocka_unit_test_setup(halted_in_every_phase_and_taken_up, store_empty),
		cmocka_unit_test_setup(killed_at_every_point_and_taken_up, store_empty),
	};

	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		return child(argv[2], argv[3]);
	return cmocka_run_group_tests(tests, store_start, store_stop);
}
