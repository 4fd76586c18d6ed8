/*
 * test_boundary.c - what we take for one CREATE TABLE is one statement for the server.
 *
 * Seeds of the fuzzers (tests/fuzz/corpus/token) are mutated where statements begin and
 * end. What allow.c accepts is sent with a second statement behind it over a connection
 * that takes several at a time: the server must answer exactly twice, or refuse the
 * first. SB_SEED repeats a run, SB_BOUNDARY_ROUNDS makes it longer.
 */
#include <dirent.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/schema/allow.h"
#include "tests/unit/unit.h"

#define CORPUS	  "tests/fuzz/corpus/token"
#define MAX_SEEDS 1000
#define MAX_TEXT  4096
#define ROUNDS	  6000
#define MORE	  "\n;SELECT 4711"

static const char *const pieces[] = {
	"/*!",	       "*/",	    "/*",
	"--",	       "-- ",	    "#",
	"\n",	       "\r",	    ";",
	"'",	       "\"",	    "`",
	"\\",	       "/*!50000 ", "''",
	"``",	       "\\'",	    "(",
	")",	       " ",	    "/*M!",
	"/*!99999 ",   "/*!0",	    "/*!080000 ",
	"--\t",	       "0",	    "x",
	"/**/",	       "N'",	    "_latin1'",
	"COMMENT 'a'", "\xc3\xa9",  "\xe3\x80\x80",
	"\xc2\xa0",    "$$",	    "@",
	".",	       "1e",	    "\x7f",
};

static MYSQL *server;
static char *seeds[MAX_SEEDS];
static size_t n_seeds;
static unsigned long long random_state;

static unsigned draw(size_t below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)((random_state >> 33) % below);
}

static void run(const char *sql)
{
	MYSQL_RES *res;

	if (mysql_query(server, sql) != 0)
		fail_msg("%s: %s", sql, mysql_error(server));
	res = mysql_store_result(server);
	mysql_free_result(res);
}

static void read_seeds(void)
{
	DIR *dir = opendir(CORPUS);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL && n_seeds < MAX_SEEDS) {
		char path[512];
		FILE *f;
		size_t n;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), CORPUS "/%s", entry->d_name);
		f = fopen(path, "re");
		assert_non_null(f);
		seeds[n_seeds] = calloc(1, MAX_TEXT);
		assert_non_null(seeds[n_seeds]);
		n = fread(seeds[n_seeds], 1, MAX_TEXT / 2, f);
		fclose(f);
		n_seeds += strlen(seeds[n_seeds]) == n;
	}
	closedir(dir);
	assert_true(n_seeds > 50);
}

/* One to three changes at random places: a piece put in, or a few bytes taken out. */
static void mutate(char *out, const char *seed)
{
	snprintf(out, MAX_TEXT, "%s", seed);
	for (unsigned k = 1 + draw(3); k > 0; k--) {
		const char *piece = pieces[draw(ARRAY_SIZE(pieces))];
		size_t len = strlen(out), at = draw(len + 1), n = strlen(piece);

		if (draw(4) == 0 && at + 3 < len) {
			memmove(out + at, out + at + 1 + draw(2), len - at);
			out[len] = '\0';
		} else if (len + n < MAX_TEXT) {
			memmove(out + at + n, out + at, len - at + 1);
			memcpy(out + at, piece, n);
		}
	}
}

/* How many statements the server executed: 0 = it refused the first, -1 = a later one. */
static int answers(const char *sql)
{
	int n = 0, more;

	if (mysql_real_query(server, sql, strlen(sql)) != 0)
		return 0;
	do {
		mysql_free_result(mysql_store_result(server));
		n++;
		more = mysql_next_result(server);
	} while (more == 0);
	return more > 0 ? -1 : n;
}

static int start(void **unused)
{
	const char *seed = getenv("SB_SEED");

	(void)unused;
	random_state = seed ? strtoull(seed, NULL, 10)
			    : (unsigned long long)time(NULL) * 1000 + (unsigned)getpid();
	print_message("SB_SEED=%llu\n", random_state);
	server = mysql_init(NULL);
	mysql_options(server, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	if (!mysql_real_connect(server, "localhost", getenv("SB_DB_USER"),
				getenv("SB_DB_PASSWORD"), NULL, 0, getenv("SB_DB_SOCKET"),
				CLIENT_MULTI_STATEMENTS))
		return -1;
	/* As db.c sets it, and as plan.c does. */
	run("SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,"
	    "NO_ENGINE_SUBSTITUTION', foreign_key_checks = 0");
	read_seeds();
	return 0;
}

static int stop(void **unused)
{
	(void)unused;
	run("DROP DATABASE IF EXISTS schemabot_boundary");
	mysql_close(server);
	for (size_t i = 0; i < n_seeds; i++)
		free(seeds[i]);
	return 0;
}

static void drop_table(TALLOC_CTX *ctx, const char *table)
{
	struct buf b;

	buf_init(&b, ctx);
	buf_str(&b, "DROP TABLE IF EXISTS `");
	for (; *table; table++)
		buf_add(&b, "``", *table == '`' ? 1 : 0), buf_char(&b, *table);
	buf_char(&b, '`');
	if (mysql_query(server, b.data) == 0)
		mysql_free_result(mysql_store_result(server));
}

static void an_accepted_file_is_one_statement(void **unused)
{
	const char *rounds = getenv("SB_BOUNDARY_ROUNDS");
	long n = rounds ? strtol(rounds, NULL, 10) : ROUNDS;
	char text[MAX_TEXT], sent[MAX_TEXT + sizeof(MORE)];
	int accepted = 0, made = 0;

	(void)unused;
	run("DROP DATABASE IF EXISTS schemabot_boundary");
	run("CREATE DATABASE schemabot_boundary CHARACTER SET utf8mb4");
	run("USE schemabot_boundary");
	for (long i = 0; i < n; i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct tokens t;
		char *table;
		int seen;

		mutate(text, seeds[draw(n_seeds)]);
		if (allow_file(ctx, text, &table, &t, NULL) < 0 || made > 1000) {
			talloc_free(ctx);
			continue;
		}
		accepted++;
		snprintf(sent, sizeof(sent), "%s%s", text, MORE);
		seen = answers(sent);
		/* Semicolons at the end of a file make an empty statement, which servers
		 * refuse. */
		if (seen != 0 && seen != 2 && !(seen == -1 && strchr(text, ';')))
			fail_msg("%d answers to: %s", seen, text);
		made += seen == 2;
		drop_table(ctx, table);
		talloc_free(ctx);
	}
	print_message("%d accepted, %d of them made a table\n", accepted, made);
	assert_true(made > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_accepted_file_is_one_statement),
	};

	return cmocka_run_group_tests_name("boundary", tests, start, stop);
}
