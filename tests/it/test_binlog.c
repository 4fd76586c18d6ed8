/*
 * test_binlog.c - a real server's binlog, read: every key comes, once a change, as a
 * literal that finds its row; positions are ends of transactions from which a new stream
 * goes on without a gap.
 *
 * Each case is a table with one type of key: its rows are inserted, some are updated and
 * deleted, and what the stream says is compared with what the server has.
 *
 * With SB_RECORD each stream is also written to a file of that directory, as a seed of
 * tests/fuzz/fuzz_binlog.c (tests/fuzz/record).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "engines/mysql/binlog/decode.h"
#include "engines/mysql/binlog/stream.h"
#include "tests/it/store.h"

enum { BOTH = 0, MARIADB = 1, MYSQL = 2 };

static const struct {
	int flavor;
	const char *type, *values; /* rows to insert */
	enum value_type binlog;
	struct value_info info;
} cases[] = {
	{ BOTH, "TINYINT", "(-128),(-1),(0),(1),(127)", VALUE_TINY, { 0 } },
	{ BOTH,
	  "TINYINT UNSIGNED",
	  "(0),(128),(255)",
	  VALUE_TINY,
	  { VALUE_UNSIGNED, 0, 0, 0 } },
	{ BOTH, "SMALLINT", "(-32768),(-2),(32767)", VALUE_SHORT, { 0 } },
	{ BOTH, "MEDIUMINT", "(-8388608),(-3),(8388607)", VALUE_INT24, { 0 } },
	{ BOTH,
	  "MEDIUMINT UNSIGNED",
	  "(0),(16777215)",
	  VALUE_INT24,
	  { VALUE_UNSIGNED, 0, 0, 0 } },
	{ BOTH, "INT", "(-2147483648),(-1),(0),(2147483647)", VALUE_LONG, { 0 } },
	{ BOTH,
	  "INT UNSIGNED",
	  "(0),(4294967295)",
	  VALUE_LONG,
	  { VALUE_UNSIGNED, 0, 0, 0 } },
	{ BOTH,
	  "BIGINT",
	  "(-9223372036854775808),(-1),(9223372036854775807)",
	  VALUE_LONGLONG,
	  { 0 } },
	{ BOTH,
	  "BIGINT UNSIGNED",
	  "(0),(9223372036854775808),(18446744073709551615)",
	  VALUE_LONGLONG,
	  { VALUE_UNSIGNED, 0, 0, 0 } },
	{ BOTH,
	  "DECIMAL(20,6)",
	  "(0),(-0.000001),(12345678901234.567891),(-99999999999999.999999)",
	  VALUE_NEWDECIMAL,
	  { 0 } },
	{ BOTH,
	  "DECIMAL(65,30)",
	  "(-12345678901234567890123456789012345.123456789012345678901234567891),(1)",
	  VALUE_NEWDECIMAL,
	  { 0 } },
	{ BOTH, "DECIMAL(9,9)", "(0.000000001),(-0.999999999)", VALUE_NEWDECIMAL, { 0 } },
	{ BOTH, "DECIMAL(10,0)", "(-9999999999),(7)", VALUE_NEWDECIMAL, { 0 } },
	{ BOTH, "YEAR", "(1901),(2155),(0)", VALUE_YEAR, { 0 } },
	{ BOTH,
	  "DATE",
	  "('1000-01-01'),('9999-12-31'),('2024-02-29')",
	  VALUE_DATE,
	  { 0 } },
	{ BOTH,
	  "DATETIME",
	  "('1000-01-01 00:00:00'),('9999-12-31 23:59:59')",
	  VALUE_DATETIME2,
	  { 0 } },
	{ BOTH,
	  "DATETIME(3)",
	  "('2024-02-29 12:34:56.789'),('2024-02-29 12:34:56.001')",
	  VALUE_DATETIME2,
	  { 0 } },
	{ BOTH,
	  "DATETIME(6)",
	  "('2024-02-29 12:34:56.000001'),('2024-02-29 12:34:56.999999')",
	  VALUE_DATETIME2,
	  { 0 } },
	{ BOTH,
	  "TIMESTAMP(5)",
	  "('1970-01-01 00:00:01'),('2038-01-19 03:14:07.99999'),"
	  "('2024-02-29 23:59:59.00001'),('2000-03-01 00:00:00')",
	  VALUE_TIMESTAMP2,
	  { 0 } },
	{ BOTH,
	  "TIME",
	  "('-838:59:59'),('838:59:59'),('00:00:00'),('-00:00:01')",
	  VALUE_TIME2,
	  { 0 } },
	{ BOTH,
	  "TIME(1)",
	  "('-00:00:00.5'),('-12:34:56.1'),('12:34:56.9')",
	  VALUE_TIME2,
	  { 0 } },
	{ BOTH,
	  "TIME(6)",
	  "('-00:00:00.000001'),('-838:59:58.999999'),('00:00:00.999999')",
	  VALUE_TIME2,
	  { 0 } },
	{ BOTH,
	  "VARCHAR(20) CHARACTER SET utf8mb4",
	  "(''),('abc'),('grün'),('x\\0y'),('\\\\''')",
	  VALUE_VARCHAR,
	  { VALUE_PLAIN, "utf8mb4", 0, 0 } },
	{ BOTH,
	  "VARCHAR(300) CHARACTER SET latin1",
	  "('a'),(REPEAT('z',300)),('é')",
	  VALUE_VARCHAR,
	  { VALUE_PLAIN, "latin1", 0, 0 } },
	{ BOTH,
	  "CHAR(10) CHARACTER SET utf8mb4",
	  "('a'),(''),('ü  x')",
	  VALUE_STRING,
	  { VALUE_PLAIN, "utf8mb4", 0, 0 } },
	{ BOTH,
	  "CHAR(200) CHARACTER SET utf8mb4",
	  "('a'),(REPEAT('€',200))",
	  VALUE_STRING,
	  { VALUE_PLAIN, "utf8mb4", 0, 0 } },
	{ BOTH,
	  "CHAR(8) CHARACTER SET ucs2",
	  "('a'),('ab€')",
	  VALUE_STRING,
	  { VALUE_PLAIN, "ucs2", 0, 0 } },
	{ BOTH,
	  "BINARY(16)",
	  "(x'00112233445566778899AABBCCDDEE00'),(x'01'),"
	  "(x'00000000000000000000000000000000')",
	  VALUE_STRING,
	  { VALUE_BYTES, 0, 0, 0 } },
	{ BOTH,
	  "BINARY(255)",
	  "(REPEAT(x'0100',127)),(x'00')",
	  VALUE_STRING,
	  { VALUE_BYTES, 0, 0, 0 } },
	{ BOTH,
	  "VARBINARY(20)",
	  "(x'00'),(x'0000'),(x'AB00'),('')",
	  VALUE_VARCHAR,
	  { VALUE_BYTES, 0, 0, 0 } },
	{ BOTH, "BIT(1)", "(0),(1)", VALUE_BIT, { 0 } },
	{ BOTH, "BIT(9)", "(0),(511),(256)", VALUE_BIT, { 0 } },
	{ BOTH, "BIT(64)", "(0),(18446744073709551615)", VALUE_BIT, { 0 } },
	{ BOTH,
	  "ENUM('a','b','it''s')",
	  "('a'),('b'),('it''s')",
	  VALUE_ENUM,
	  { VALUE_PLAIN, 0, (const char *const[]){ "'a'", "'b'", "'it''s'" }, 3 } },
	{ BOTH,
	  "SET('x','y','z')",
	  "(''),('x'),('x,z'),('x,y,z')",
	  VALUE_SET,
	  { VALUE_PLAIN, 0, (const char *const[]){ "'x'", "'y'", "'z'" }, 3 } },
	{ MARIADB,
	  "UUID",
	  "('00112233-4455-1677-8899-aabbccddeeff'),"
	  "('00112233-4455-4677-8899-aabbccddee00'),('00112233-4455-7677-8899-aabbccddee00'),"
	  "('01000000-0000-0000-0000-000000000000')",
	  VALUE_STRING,
	  { VALUE_UUID, 0, 0, 0 } },
	{ MARIADB,
	  "INET6",
	  "('::1'),('2001:db8::'),('::ffff:1.2.3.4')",
	  VALUE_STRING,
	  { VALUE_INET6, 0, 0, 0 } },
	{ MARIADB,
	  "INET4",
	  "('1.2.3.4'),('10.0.0.0')",
	  VALUE_STRING,
	  { VALUE_INET4, 0, 0, 0 } },
};

static struct {
	size_t keys, found, statements, ends;
	const char *table;
	const struct value_info *info;
	struct decode_end last;
	struct event_gtid gtid;
	char file[512];
	bool done;
} seen;

static int on_key(void *arg, size_t table, const struct rows_key *key, struct sb_err *e)
{
	struct buf b;

	(void)arg;
	(void)table;
	buf_init(&b, store.ctx);
	if (value_literal(&b, key->column[0], seen.info, key->p[0], key->len[0], e) < 0)
		return -1;
	seen.keys++;
	seen.found += (size_t)store_number("SELECT COUNT(*) FROM %s WHERE k = %s",
					   seen.table, b.data);
	return 0;
}

static int on_statement(void *arg, const struct event_query *q, struct sb_err *e)
{
	(void)arg;
	(void)e;
	seen.statements++;
	if (q->sql_len >= 10 && memcmp(q->sql, "DROP TABLE", 10) == 0)
		seen.done = true;
	return 0;
}

static int on_end(void *arg, const struct decode_end *end, struct sb_err *e)
{
	(void)arg;
	(void)e;
	seen.ends++;
	seen.last = *end;
	if (end->gtid->number > 0)
		seen.gtid = *end->gtid;
	snprintf(seen.file, sizeof(seen.file), "%s", end->file);
	return 0;
}

static int on_heartbeat(void *arg, struct sb_err *e)
{
	(void)arg;
	(void)e;
	return 0;
}

static const struct decode_handler handler = { NULL, on_key, on_statement, on_end,
					       on_heartbeat };

static struct sb_err err;
#define OK(call)                                                 \
	do {                                                     \
		if ((call) < 0)                                  \
			fail_msg("%s: %s", seen.table, err.msg); \
	} while (0)

/* A file for the events of one stream, or NULL. Its first byte is what the fuzzer calls
 * MYSQL and CHECKSUMS. */
static FILE *record_begin(enum db_flavor flavor)
{
	static int number;
	const char *folder = getenv("SB_RECORD");
	FILE *f;

	if (!folder)
		return NULL;
	f = fopen(mem_printf(store.ctx, "%s/stream-%s-%d", folder,
			     flavor == DB_MYSQL ? "mysql" : "mariadb", number++),
		  "wb");
	assert_non_null(f);
	fputc((flavor == DB_MYSQL ? 0x08 : 0) |
		      (store_number("SELECT @@binlog_checksum = 'CRC32'") ? 0x10 : 0),
	      f);
	return f;
}

static void record(FILE *f, const uint8_t *event, size_t len)
{
	if (!f || len > UINT16_MAX)
		return;
	fputc((int)(len & 0xff), f);
	fputc((int)(len >> 8), f);
	assert_int_equal(fwrite(event, 1, len, f), len);
}

/* Read from `from` until the statement that drops the marker comes by. */
static void follow(const struct stream_position *from, const struct rows_table *table,
		   const struct value_info *info)
{
	uint64_t offset, pass_over;
	const char *file;
	struct stream *s;
	struct decoder *d;
	FILE *seed;

	memset(&seen, 0, sizeof(seen));
	seen.table = table->name;
	seen.info = info;
	OK(stream_open(store.ctx, db_params(store.admin), from, NULL, &s, &err));
	d = decoder_new(store.ctx, stream_flavor(s), table, 1, &handler);
	stream_begin(s, &file, &offset, &pass_over);
	decoder_begin(d, file, offset);
	decoder_pass_over(d, pass_over);
	seed = record_begin(stream_flavor(s));
	while (!seen.done) {
		const uint8_t *event;
		size_t len;

		OK(stream_next(s, &event, &len, &err));
		record(seed, event, len);
		OK(decoder_feed(d, event, len, &err));
	}
	if (seed)
		assert_int_equal(fclose(seed), 0);
	talloc_free(s);
}

static struct stream_position now(void)
{
	struct stream_position at;

	OK(stream_end(store.ctx, store.admin, &at, &err));
	return at;
}

static bool here(int flavor)
{
	return flavor == BOTH ||
	       (flavor == MARIADB) == (db_flavor(store.admin) == DB_MARIADB);
}

static void every_type_of_key(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct rows_table t = {
			.schema = db_params(store.db)->schema,
			.name = mem_printf(store.ctx, "k%zu", i),
			.n_columns = 3,
			.types = (const enum value_type[]){ VALUE_LONG, cases[i].binlog,
							    VALUE_BLOB },
			.n_key = 1,
			.key = { 1 },
		};
		struct stream_position at;
		int64_t rows;

		if (!here(cases[i].flavor))
			continue;
		store_sql("CREATE TABLE %s (n INT DEFAULT 5, k %s NOT NULL, note TEXT,"
			  " PRIMARY KEY (k))",
			  t.name, cases[i].type);
		at = now();
		store_sql("INSERT INTO %s (k) VALUES %s", t.name, cases[i].values);
		rows = store_number("SELECT COUNT(*) FROM %s", t.name);
		store_sql("UPDATE %s SET n = 6, note = 'x'", t.name);
		store_sql("CREATE TABLE marker (i INT)");
		store_sql("DROP TABLE marker");
		follow(&at, &t, &cases[i].info);
		print_message("%s: %zu keys, %zu found\n", cases[i].type, seen.keys,
			      seen.found);
		assert_int_equal(seen.keys, 2 * rows);
		assert_int_equal(seen.found, 2 * rows);
	}
}

static const struct rows_table pair = { .name = "pair",
					.n_columns = 2,
					.types = (const enum value_type[]){ VALUE_LONG,
									    VALUE_LONG },
					.n_key = 1,
					.key = { 0 } };

static void a_position_goes_on_without_a_gap(void **unused)
{
	struct rows_table t = pair;
	const struct value_info plain = { 0 };
	struct stream_position at;
	size_t all;

	(void)unused;
	t.schema = db_params(store.db)->schema;
	store_sql("DROP TABLE IF EXISTS pair");
	store_sql("CREATE TABLE pair (k INT PRIMARY KEY, v INT)");
	at = now();
	for (int i = 0; i < 20; i++)
		store_sql("INSERT INTO pair VALUES (%d, 0), (%d, 1)", i, i + 100);
	store_sql("FLUSH BINARY LOGS");
	store_sql("UPDATE pair SET k = k + 1000 WHERE k < 10");
	store_sql("CREATE TABLE marker (i INT)");
	store_sql("DROP TABLE marker");
	follow(&at, &t, &plain);
	assert_string_not_equal(seen.file, at.file);
	assert_int_equal(strlen(seen.file), strlen(at.file));
	all = seen.keys;
	assert_int_equal(all, 40 + 20); /* an update of a key touches both */
	assert_true(seen.ends >= 23);
	at = (struct stream_position){ mem_strdup(store.ctx, seen.file), seen.last.offset,
				       NULL };
	store_sql("DELETE FROM pair WHERE k > 1000");
	store_sql("CREATE TABLE marker (i INT)");
	store_sql("DROP TABLE marker");
	follow(&at, &t, &plain);
	assert_int_equal(seen.keys, 9);
}

/* How servers may write a change: each has to come through all the same. */
static const struct {
	int flavor;
	const char *on, *off;
} ways[] = {
	{ BOTH, "SET SESSION binlog_row_image = MINIMAL",
	  "SET SESSION binlog_row_image = FULL" },
	{ BOTH, "SET GLOBAL binlog_checksum = NONE",
	  "SET GLOBAL binlog_checksum = CRC32" },
	{ MARIADB, "SET GLOBAL log_bin_compress = ON, log_bin_compress_min_len = 10",
	  "SET GLOBAL log_bin_compress = OFF" },
	{ MYSQL, "SET SESSION binlog_transaction_compression = ON",
	  "SET SESSION binlog_transaction_compression = OFF" },
	{ MYSQL, "SET SESSION gtid_next = 'AUTOMATIC:a_tag'",
	  "SET SESSION gtid_next = 'AUTOMATIC'" },
};

static void every_way_to_write_it(void **unused)
{
	const struct value_info plain = { 0 };
	struct rows_table t = { .schema = db_params(store.db)->schema,
				.name = "way",
				.n_columns = 3,
				.types =
					(const enum value_type[]){ VALUE_LONG, VALUE_LONG,
								   VALUE_VARCHAR },
				.n_key = 1,
				.key = { 0 } };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct stream_position at;

		if (!here(ways[i].flavor))
			continue;
		store_sql("DROP TABLE IF EXISTS way");
		store_sql("CREATE TABLE way (k INT PRIMARY KEY, v INT, t VARCHAR(200))");
		store_sql("%s", ways[i].on);
		at = now();
		store_sql("INSERT INTO way VALUES (1, 1, REPEAT('a', 100)),"
			  " (2, 2, REPEAT('b', 200)), (3, 3, NULL)");
		store_sql("UPDATE way SET v = 9");
		store_sql("UPDATE way SET k = 4 WHERE k = 1");
		store_sql("DELETE FROM way WHERE k = 2");
		store_sql("CREATE TABLE marker (i INT)");
		store_sql("DROP TABLE marker");
		store_sql("%s", ways[i].off);
		follow(&at, &t, &plain);
		print_message("%s: %zu keys, gtid %s:%" PRIu64 "\n", ways[i].on,
			      seen.keys, seen.gtid.source, seen.gtid.number);
		assert_int_equal(seen.keys, 3 + 3 + 2 + 1);
		assert_int_equal(seen.found, 1 + 1 + 1); /* rows 3 and 4 remain */
		if (strstr(ways[i].on, "a_tag"))
			assert_non_null(strstr(seen.gtid.source, ":a_tag"));
	}
}

static void a_changed_definition_is_noticed(void **unused)
{
	struct rows_table t = pair;
	struct stream_position at;
	const uint8_t *event;
	struct decoder *d;
	struct stream *s;
	size_t len;
	int rc = 0;

	(void)unused;
	t.schema = db_params(store.db)->schema;
	store_sql("DROP TABLE IF EXISTS pair");
	store_sql("CREATE TABLE pair (k INT PRIMARY KEY, v INT)");
	at = now();
	store_sql("ALTER TABLE pair MODIFY v BIGINT");
	store_sql("INSERT INTO pair VALUES (1, 1)");
	memset(&seen, 0, sizeof(seen));
	OK(stream_open(store.ctx, db_params(store.admin), &at, NULL, &s, &err));
	d = decoder_new(store.ctx, stream_flavor(s), &t, 1, &handler);
	decoder_begin(d, "", 4);
	while (rc == 0) {
		OK(stream_next(s, &event, &len, &err));
		rc = decoder_feed(d, event, len, &err);
	}
	assert_int_equal(err.code, SB_EENGINE);
	assert_non_null(strstr(err.msg, "somebody changed its definition"));
	assert_int_equal(seen.statements, 1);
}

static void a_purged_position_is_refused(void **unused)
{
	const struct stream_position nowhere = { mem_strdup(store.ctx, "none.000001"), 4,
						 NULL };
	const uint8_t *event;
	struct stream *s;
	size_t len;
	int rc;

	(void)unused;
	rc = stream_open(store.ctx, db_params(store.admin), &nowhere, NULL, &s, &err);
	while (rc == 0)
		rc = stream_next(s, &event, &len, &err);
	assert_int_equal(err.code, SB_EENGINE);
	assert_int_equal(err.db_errno, 1236);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_type_of_key, store_empty),
		cmocka_unit_test_setup(every_way_to_write_it, store_empty),
		cmocka_unit_test_setup(a_position_goes_on_without_a_gap, store_empty),
		cmocka_unit_test_setup(a_changed_definition_is_noticed, store_empty),
		cmocka_unit_test_setup(a_purged_position_is_refused, store_empty),
	};

	return cmocka_run_group_tests(tests, store_start, store_stop);
}
