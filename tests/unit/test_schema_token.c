/*
 * test_schema_token.c - the tokenizer and the allow-list for schema files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/schema/allow.h"
#include "core/schema/options.h"
#include "core/schema/token.h"
#include "tests/unit/unit.h"

static void tokens_are_told_apart(void **unused)
{
	static const char sql[] =
		"a `b``c` 'd''e\\'f' \"g\" 12.5e-3 .5 ( x ) 0x1f -- end\n;";
	static const struct {
		enum token_type type;
		const char *text;
		int depth;
	} want[] = {
		{ TOKEN_WORD, "a", 0 },
		{ TOKEN_IDENT, "`b``c`", 0 },
		{ TOKEN_STRING, "'d''e\\'f'", 0 },
		{ TOKEN_STRING, "\"g\"", 0 },
		{ TOKEN_NUMBER, "12.5e-3", 0 },
		{ TOKEN_NUMBER, ".5", 0 },
		{ TOKEN_PUNCT, "(", 0 },
		{ TOKEN_WORD, "x", 1 },
		{ TOKEN_PUNCT, ")", 0 },
		{ TOKEN_NUMBER, "0x1f", 0 },
		{ TOKEN_PUNCT, ";", 0 },
	};
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct tokens t;

	(void)unused;
	assert_int_equal(tokenize(ctx, sql, &t, NULL), 0);
	assert_int_equal(t.n, ARRAY_SIZE(want));
	for (size_t i = 0; i < t.n; i++) {
		assert_int_equal(t.v[i].type, want[i].type);
		assert_int_equal(t.v[i].len, strlen(want[i].text));
		assert_memory_equal(t.v[i].text, want[i].text, t.v[i].len);
		assert_int_equal(t.v[i].depth, want[i].depth);
	}
	for (size_t i = 0; i < TOKENS_PADDING; i++)
		assert_int_equal(t.v[t.n + i].type, TOKEN_END);
	assert_int_equal(t.v[t.n - 1].line, 2);
	assert_string_equal(token_name(ctx, &t.v[1]), "b`c");
	assert_string_equal(token_string(ctx, &t.v[2]), "d'e'f");
	talloc_free(ctx);
}

static void comments_are_not_text(void **unused)
{
	static const char sql[] = "a/* x\ny */b # c\n-- d\n--e /*!50100 f */ /*M! g */ h";
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct tokens t;

	(void)unused;
	assert_int_equal(tokenize(ctx, sql, &t, NULL), 0);
	assert_string_equal(tokens_text(ctx, &t, 0, t.n), "a b - -e f g h");
	assert_int_equal(t.v[1].line, 2);
	assert_int_equal(t.v[5].version, 50100);
	assert_int_equal(t.v[6].version, 1);
	assert_int_equal(t.v[7].version, 0);
	talloc_free(ctx);
}

/* What is joined is split into the same tokens again, whatever stood between them. */
static void joined_tokens_begin_no_comment(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct tokens t;

	(void)unused;
	assert_int_equal(tokenize(ctx, "a--/* x */b --", &t, NULL), 0);
	assert_string_equal(tokens_text(ctx, &t, 0, t.n), "a- - b");
	assert_int_equal(tokenize(ctx, "1--2-3", &t, NULL), 0);
	assert_string_equal(tokens_text(ctx, &t, 0, t.n), "1- -2-3");
	talloc_free(ctx);
}

/* Every file of this table is refused, and the message has the words. */
static const struct {
	const char *sql, *message;
} refused[] = {
	{ "", "no statement" },
	{ " -- only a comment", "no statement" },
	{ ";", "no statement" },
	{ "CREATE TABLE t (a int); x", "second statement" },
	{ "CREATE TABLE t (a int);\n\nCREATE TABLE u (a int);", "line 3" },
	{ "CREATE VIEW v AS SELECT 1", "not a CREATE TABLE" },
	{ "CREATE", "not a CREATE TABLE" },
	{ "CREATE TABLE", "not a table name" },
	{ "CREATE TABLE t", "list of columns" },
	{ "CREATE TABLE `` (a int)", "not a table name" },
	{ "CREATE TABLE 't' (a int)", "not a table name" },
	{ "CREATE TABLE t (a int) SELECT 1", "query" },
	{ "CREATE TABLE t (a int) (SELECT 1)", "query" },
	{ "CREATE TABLE t (a int) TABLE u", "not a table option" },
	{ "CREATE TABLE t (a int) PARTITION BY HASH (a) TABLE u",
	  "not part of a partitioning" },
	{ "CREATE TABLE t (a int) PARTITION BY HASH (a) (VALUES ROW(1))", "query" },
	{ "CREATE TABLE t (a int) AS TABLE u", "not a table option" },
	{ "CREATE TABLE t (a int) IGNORE TABLE u", "not a table option" },
	{ "CREATE TABLE t ((SELECT 1))", "list of columns" },
	{ "CREATE TABLE t (VALUES ROW(1))", "list of columns" },
	{ "CREATE TABLE t (WITH x AS (TABLE u) TABLE x)", "list of columns" },
	{ "CREATE TABLE a.b (a int)", "schema in front" },
	{ "CREATE TABLE a . b (a int)", "schema in front" },
	{ "CREATE TABLE a.1b (a int)", "list of columns" },
	{ "CREATE TABLE t (a int REFERENCES `o`.`u` (a))", "schema in front" },
	{ "CREATE TABLE t (a int REFERENCES o.1u (a))", "schema in front" },
	{ "CREATE TABLE t (a int REFERENCES `o`.1u (a))", "schema in front" },
	{ "CREATE TABLE t (a int REFERENCES 1o.u (a))", "schema in front" },
	{ "CREATE TABLE t (a int REFERENCES 1e5.u (a))", "schema in front" },
	{ "CREATE TABLE t (a int DEFAULT @a)", "variable" },
	{ "CREATE TABLE t (a int) ENGINE=CONNECT", "storage engine" },
	{ "CREATE TABLE t (a int) ENGINE='federated'", "storage engine" },
	{ "CREATE TABLE t (a int) ENGINE", "not a table option" },
	{ "CREATE TABLE t (a int) DATA DIRECTORY '/x'", "DIRECTORY" },
	{ "CREATE TABLE t (a int) TABLESPACE x", "outside the schema" },
	{ "CREATE TABLE t (a int) WITH SYSTEM VERSIONING", "versioning" },
	{ "CREATE TABLE t (a int) /*!99999 DATA */ DIRECTORY '/x'", "DIRECTORY" },
	{ "CREATE TABLE t (a int) DATA /*!99999 COMMENT 'x' */ DIRECTORY '/x'",
	  "table option" },
	{ "CREATE TABLE /*!99999 x */ t (a int)", "list of columns" },
	{ "CREATE TABLE /*!99999 IF NOT EXISTS t (a int) */ u (a int)", "option" },
	{ "CREATE TABLE t (a int /*!50000 ) */", "brackets" },
	{ "CREATE TABLE t (a int) /*!50000 '*/' */", "end mark" },
	{ "CREATE TABLE t (a int) /*!500 x */", "version number" },
	{ "CREATE TABLE t (a int) /*!5000000 x */", "version number" },
	{ "CREATE TABLE t (a int) /*!50000 /*!50000 x */ */", "inside" },
	{ "CREATE TABLE t (a int) /*!50000 -- x\n */", "inside" },
	{ "CREATE TABLE t (a int) /*!50000 x", "not closed" },
	{ "CREATE TABLE t (a int) /* x", "not closed" },
	{ "CREATE TABLE t (a int", "not closed" },
	{ "CREATE TABLE t a int)", "without its" },
	{ "CREATE TABLE t (a int COMMENT 'x)", "quote" },
	{ "CREATE TABLE t (a int COMMENT 'x\\')", "quote" },
	{ "CREATE TABLE t (a int) --\x01 x", "control character" },
	{ "\xef\xbb\xbf"
	  "CREATE TABLE t (a int)",
	  "byte order mark" },
	{ "CREATE TABLE t (a int DEFAULT (SLEEP(1)))", "reaches out" },
	{ "CREATE TABLE t (a int DEFAULT sleep (1))", "reaches out" },
	{ "CREATE TABLE t (a int, b int AS (`Sleep`(1)))", "reaches out" },
	{ "CREATE TABLE t (a int, b int AS (1 + load_file/* x */(1)))", "reaches out" },
	{ "CREATE TABLE t (a int, CHECK (KEY sleep (a)))", "reaches out" },
	{ "CREATE TABLE t (a int DEFAULT (NEXT VALUE FOR s))", "sequence" },
	{ "CREATE TABLE t (a int DEFAULT nextval(s))", "reaches out" },
	{ "CREATE TABLE t (a int) START TRANSACTION", "not a table option" },
	{ "CREATE /*+ SET_VAR(sql_mode='') */ VIEW v", "not a CREATE TABLE" },
	{ "CREATE TABLE `t\xf0\x9f\x98\x80` (a int)", "U+FFFF" },
	{ "CREATE TABLE t\xf0\x9f\x98\x80 (a int)", "U+FFFF" },
	{ "CREATE TABLE t (a int, KEY `\xf0\x9f\x98\x80` (a))", "U+FFFF" },
	{ "CREATE TABLE t (a enum('\xf0\x9f\x98\x80'))", "U+FFFF" },
	{ "CREATE TABLE _SCHEMABOT_x (a int)", "reserved" },
	{ "CREATE TABLE `a234567890123456789012345678901234567890123456789012345678901234x`"
	  " (a int)",
	  "too long" },
};

static void bad_files_are_refused_with_the_reason(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct tokens t;
		struct sb_err err = { 0 };
		char *table;

		if (allow_file(ctx, refused[i].sql, &table, &t, &err) == 0)
			fail_msg("accepted: %s", refused[i].sql);
		assert_int_equal(err.code, SB_EINVALID);
		if (!strstr(err.msg, refused[i].message))
			fail_msg("%s: \"%s\" lacks \"%s\"", refused[i].sql, err.msg,
				 refused[i].message);
		talloc_free(ctx);
	}
}

static const struct {
	const char *sql, *table;
} accepted[] = {
	{ "CREATE TABLE t (a int)", "t" },
	{ "create table if not exists `t``x` (a int);;", "t`x" },
	{ "/* x */ CREATE TABLE t (a int DEFAULT 1.5, b double DEFAULT .5, c int DEFAULT -1)",
	  "t" },
	{ "CREATE TABLE t (`select` int, data int, `a.b` int COMMENT 'x.y; DROP')", "t" },
	{ "CREATE TABLE t (a int) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=utf8mb4 "
	  "COLLATE utf8mb4_bin, ROW_FORMAT = DYNAMIC COMMENT='\xf0\x9f\x98\x80'",
	  "t" },
	{ "CREATE TABLE t (a int COMMENT '\xf0\x9f\x98\x80')", "t" },
	{ "CREATE TABLE t (a int)\n/*!50100 PARTITION BY RANGE (`a`)\n(PARTITION p0 VALUES "
	  "LESS THAN (10) ENGINE = InnoDB) */",
	  "t" },
	{ "CREATE TABLE t (a int, b int /*!80023 INVISIBLE */, KEY k (a) /*!80000 INVISIBLE */)",
	  "t" },
	{ "CREATE TABLE t (a int) PARTITION BY LIST (a) (PARTITION p VALUES IN (1, 2))",
	  "t" },
	{ "CREATE TABLE t (a int) `PAGE_COMPRESSED`=1", "t" },
	{ "CREATE TABLE t (sleep int, KEY sleep (sleep), UNIQUE `get_lock` (sleep), KEY (sleep))",
	  "t" },
	{ "CREATE\r\nTABLE t (\r\n  a int -- x\r\n)\r\n;\r\n", "t" },
	{ "CREATE TABLE t (a int, FOREIGN KEY (a) REFERENCES u (b))", "t" },
	{ "CREATE TABLE `a23456789012345678901234567890123456789012345678901234567890123\xc3"
	  "\xa9` (a int)",
	  "a23456789012345678901234567890123456789012345678901234567890123\xc3\xa9" },
};

static void good_files_are_accepted(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct tokens t;
		struct sb_err err = { 0 };
		char *table;

		if (allow_file(ctx, accepted[i].sql, &table, &t, &err) < 0)
			fail_msg("%s: %s", accepted[i].sql, err.msg);
		assert_string_equal(table, accepted[i].table);
		talloc_free(ctx);
	}
}

static bool same(const char *a, const char *b)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct tokens x, y;
	char *table;
	bool result;

	assert_int_equal(allow_file(ctx, a, &table, &x, NULL), 0);
	assert_int_equal(allow_file(ctx, b, &table, &y, NULL), 0);
	result = allow_same_statement(&x, &y);
	assert_true(result == allow_same_statement(&y, &x));
	talloc_free(ctx);
	return result;
}

static void layout_does_not_make_another_statement(void **unused)
{
	(void)unused;
	assert_true(same("CREATE TABLE `t` (`a` int)", "create  table\n`t`(`a` INT) ;"));
	assert_true(
		same("CREATE TABLE t (a int)", "CREATE TABLE IF NOT EXISTS t (a int)"));
	assert_true(same("CREATE TABLE t (a int) AUTO_INCREMENT=5 COMMENT='x'",
			 "CREATE TABLE t (a int) COMMENT='x'"));
	assert_true(same("CREATE TABLE t (a int)",
			 "CREATE TABLE t (a int) AUTO_INCREMENT=7"));
	assert_false(same("CREATE TABLE t (a int)", "CREATE TABLE t (a int, b int)"));
	assert_false(same("CREATE TABLE t (a int COMMENT 'x')",
			  "CREATE TABLE t (a int COMMENT 'X')"));
	assert_false(same("CREATE TABLE t (`a` int)", "CREATE TABLE t (`A` int)"));
	assert_false(same("CREATE TABLE t (a int) COMMENT='x'",
			  "CREATE TABLE t (a int) /*!99999 COMMENT='x' */"));
}

static void options_are_known_by_name(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < n_table_options; i++) {
		assert_ptr_equal(option_by_name(table_options[i].name),
				 &table_options[i]);
		assert_false(table_options[i].reset && table_options[i].refused);
	}
	assert_null(option_by_name("NONSENSE"));
	assert_true(storage_engine_allowed("innodb"));
	assert_false(storage_engine_allowed("SPIDER"));
}

/* Whatever bytes come: an answer, no crash, nothing read behind the end. */
static void noise_is_survived(void **unused)
{
	static const char alphabet[] = "ab `'\"\\()*/!-#;.,=05\n@M\xc3\xa9";
	unsigned state = 12345;

	(void)unused;
	for (int round = 0; round < 20000; round++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		char *sql = talloc_zero_size(ctx, 41);
		struct tokens t;
		char *table;

		for (int i = 0; i < 40; i++) {
			state = state * 1103515245 + 12345;
			sql[i] = alphabet[(state >> 16) % (sizeof(alphabet) - 1)];
		}
		if (tokenize(ctx, sql, &t, NULL) == 0)
			for (size_t i = 0; i < t.n; i++)
				assert_true(t.v[i].len > 0 && t.v[i].text >= sql &&
					    t.v[i].text + t.v[i].len <= sql + 40);
		if (allow_file(ctx, sql, &table, &t, NULL) == 0)
			fail_msg("accepted: %s", sql);
		talloc_free(ctx);
	}
}

/* A list as long as servers take, and one that is longer. */
static void long_lists_are_refused(void **unused)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct sb_err err = { 0 };
	struct tokens t;
	struct buf b;
	char *table;

	(void)unused;
	buf_init(&b, ctx);
	buf_str(&b, "CREATE TABLE t (a enum('x'");
	for (int i = 1; i < 65535; i++)
		buf_str(&b, ",'x'");
	assert_int_equal(
		allow_file(ctx, mem_printf(ctx, "%s))", b.data), &table, &t, &err), 0);
	assert_int_equal(
		allow_file(ctx, mem_printf(ctx, "%s,'y'))", b.data), &table, &t, &err),
		-1);
	assert_non_null(strstr(err.msg, "65535"));
	talloc_free(ctx);
}

static bool is_allowed(const char *open, const char *repeated, int times,
		       const char *close, const char *why)
{
	TALLOC_CTX *ctx = talloc_new(NULL);
	struct sb_err err = { 0 };
	struct tokens t;
	struct buf b;
	char *table;
	bool allowed;

	buf_init(&b, ctx);
	buf_str(&b, open);
	for (int i = 0; i < times; i++)
		buf_str(&b, repeated);
	for (int i = 0; i < times && strchr(repeated, '(') && !strchr(repeated, ')'); i++)
		buf_char(&b, ')');
	buf_str(&b, close);
	allowed = allow_file(ctx, b.data, &table, &t, &err) == 0;
	if (!allowed)
		assert_non_null(strstr(err.msg, why));
	talloc_free(ctx);
	return allowed;
}

/* What servers crash on, and how long a table may be without that. */
static void deep_expressions_are_refused(void **unused)
{
#define CHECK_A	 "CREATE TABLE t (a int, b int, CHECK (a"
#define DEEP	 "more than 1000 words and signs"
#define BRACKETS "more than 100 brackets"
#define RANGES \
	"CREATE TABLE t (a int) PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (0)"
#define SUBRANGES                                                                \
	"CREATE TABLE t (a int) PARTITION BY RANGE (a) SUBPARTITION BY HASH (a)" \
	" (PARTITION p VALUES LESS THAN (0) (SUBPARTITION s"
	static const char *const signs[] = { "+b",     " XOR b",     "=-b",
					     "+abs(b", " COLLATE c", "- -b" };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		assert_true(is_allowed(CHECK_A, signs[i], 90, ">0))", ""));
		assert_false(is_allowed(CHECK_A, signs[i], 1000, ">0))",
					strchr(signs[i], '(') ? BRACKETS : DEEP));
	}
	assert_false(is_allowed(CHECK_A, "+mod(b,2", 1000, "))", BRACKETS));
	assert_false(is_allowed(CHECK_A, "+mod(b,2)", 1000, "))", DEEP));
	assert_false(is_allowed("CREATE TABLE t (a int) PARTITION BY HASH (a", "+b", 1000,
				") PARTITIONS 2", DEEP));
	assert_false(
		is_allowed("CREATE TABLE t (a int) PARTITION BY RANGE (a) (PARTITION p"
			   " VALUES LESS THAN (1",
			   "+1", 1000, "))", DEEP));
	assert_false(is_allowed("CREATE TABLE t (a int AS (1", "/*!50000 +1*/", 1000,
				"))", DEEP));
	assert_true(is_allowed("CREATE TABLE t (a int", ", b int NOT NULL COMMENT 'x'",
			       5000, ")", ""));
	assert_false(is_allowed("CREATE TABLE t (a int", ", b int", 5001, ")",
				"more than 5000 columns"));
	assert_true(is_allowed(RANGES, ", PARTITION p VALUES LESS THAN MAXVALUE", 5000,
			       ")", ""));
	assert_true(is_allowed(SUBRANGES, ", SUBPARTITION s ENGINE = InnoDB", 5000, "))",
			       ""));
	assert_true(is_allowed(CHECK_A " IN (1", ",2", 50000, ")))", ""));
}

/* However much of it there is, a statement costs no more memory than it should. */
static void endless_files_are_refused(void **unused)
{
	size_t n = (size_t)3 << 20;
	char *sql = malloc(n + 1);

	(void)unused;
	assert_non_null(sql);
	for (const char *c = "(,;'`a /"; *c; c++) {
		TALLOC_CTX *ctx = talloc_new(NULL);
		struct sb_err err = { 0 };
		struct tokens t;
		char *table;

		memset(sql, *c, n);
		sql[n] = '\0';
		assert_int_equal(allow_file(ctx, sql, &table, &t, &err), -1);
		assert_int_equal(err.code, SB_EINVALID);
		talloc_free(ctx);
	}
	free(sql);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_are_told_apart),
		cmocka_unit_test(comments_are_not_text),
		cmocka_unit_test(joined_tokens_begin_no_comment),
		cmocka_unit_test(bad_files_are_refused_with_the_reason),
		cmocka_unit_test(good_files_are_accepted),
		cmocka_unit_test(layout_does_not_make_another_statement),
		cmocka_unit_test(options_are_known_by_name),
		cmocka_unit_test(noise_is_survived),
		cmocka_unit_test(endless_files_are_refused),
		cmocka_unit_test(long_lists_are_refused),
		cmocka_unit_test(deep_expressions_are_refused),
	};

	return cmocka_run_group_tests_name("schema_token", tests, NULL, NULL);
}
