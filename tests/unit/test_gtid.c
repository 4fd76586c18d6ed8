/*
 * test_gtid.c - sets of transactions: as servers write them, as they grow, which lies in
 * which; and a stream whose first part has been read before.
 */
#include <string.h>

#include "engines/mysql/binlog/decode.h"
#include "engines/mysql/binlog/gtid.h"
#include "engines/mysql/binlog/stream.h"
#include "tests/unit/unit.h"

#define A "0a6d0c2b-f0f3-11ee-8000-0242ac110002"
#define B "ffffffff-f0f3-11ee-8000-0242ac110002"

static TALLOC_CTX *ctx;

static struct gtid_set *set(enum db_flavor flavor, const char *text)
{
	struct gtid_set *s;
	struct sb_err err;

	if (gtid_parse(ctx, flavor, text, &s, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	return s;
}

static void texts_are_read_and_written(void **unused)
{
	static const struct {
		enum db_flavor flavor;
		const char *text, *again;
	} good[] = {
		{ DB_MYSQL, "", "" },
		{ DB_MYSQL, A ":1", A ":1" },
		{ DB_MYSQL, A ":1-5:7-9,\n" B ":3", A ":1-5:7-9," B ":3" },
		{ DB_MYSQL, A ":7-9:1-6", A ":1-9" },
		{ DB_MYSQL, A ":1-5:a_tag:1-6:8", A ":1-5," A ":a_tag:1-6:8" },
		{ DB_MYSQL, "0A6D0C2B-F0F3-11EE-8000-0242AC110002:4", A ":4" },
		{ DB_MARIADB, "", "" },
		{ DB_MARIADB, "0-1-55", "0-1-55" },
		{ DB_MARIADB, "0-1-55,7-2-18446744073709551614",
		  "0-1-55,7-2-18446744073709551614" },
	};
	static const struct {
		enum db_flavor flavor;
		const char *text;
	} bad[] = {
		{ DB_MYSQL, A },	 { DB_MYSQL, A ":0" },
		{ DB_MYSQL, A ":5-3" },	 { DB_MYSQL, A ":1-" },
		{ DB_MYSQL, "0-1-55" },	 { DB_MYSQL, A ":1;" },
		{ DB_MARIADB, A ":1" },	 { DB_MARIADB, "0-1" },
		{ DB_MARIADB, "0-1-x" }, { DB_MARIADB, "0-1-5 6" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_string_equal(gtid_text(ctx, set(good[i].flavor, good[i].text)),
				    good[i].again);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct gtid_set *s;
		struct sb_err err;

		if (gtid_parse(ctx, bad[i].flavor, bad[i].text, &s, &err) == 0)
			fail_msg("%s was taken", bad[i].text);
		assert_int_equal(err.code, SB_EENGINE);
	}
}

static void add(struct gtid_set *s, const char *source, uint64_t server, uint64_t n)
{
	struct event_gtid g = { .server_id = server, .number = n };

	snprintf(g.source, sizeof(g.source), "%s", source);
	gtid_add(s, &g);
}

static void sets_grow(void **unused)
{
	struct gtid_set *s = set(DB_MYSQL, A ":1-5");

	(void)unused;
	add(s, A, 0, 7);
	add(s, A, 0, 9);
	assert_string_equal(gtid_text(ctx, s), A ":1-5:7:9");
	add(s, A, 0, 8);
	add(s, A, 0, 6);
	add(s, A, 0, 3);
	add(s, B ":t", 0, 1);
	assert_string_equal(gtid_text(ctx, s), A ":1-9," B ":t:1");
	add(s, B, 0, 0); /* has no name */
	assert_string_equal(gtid_text(ctx, s), A ":1-9," B ":t:1");
	s = set(DB_MARIADB, "0-1-5");
	add(s, "0", 2, 6);
	add(s, "3", 2, 1);
	assert_string_equal(gtid_text(ctx, s), "0-2-6,3-2-1");
}

static void sets_are_compared(void **unused)
{
	static const struct {
		enum db_flavor flavor;
		const char *a, *b, *common;
		bool covers;
	} pairs[] = {
		{ DB_MYSQL, A ":1-9", A ":2-3:9", A ":2-3:9", true },
		{ DB_MYSQL, A ":1-9", A ":2-3:9-10", A ":2-3:9", false },
		{ DB_MYSQL, A ":1-9", B ":1", "", false },
		{ DB_MYSQL, A ":1-9", "", "", true },
		{ DB_MYSQL, "", A ":1", "", false },
		{ DB_MYSQL, A ":1-3:5-9", A ":3-5", A ":3:5", false },
		{ DB_MYSQL, A ":t:1", A ":1", "", false },
		{ DB_MARIADB, "0-1-9", "0-2-8", "0-2-8", true },
		{ DB_MARIADB, "0-1-9", "0-2-10", "0-1-9", false },
		{ DB_MARIADB, "0-1-9", "1-1-1", "", false },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct gtid_set *a = set(pairs[i].flavor, pairs[i].a);
		struct gtid_set *b = set(pairs[i].flavor, pairs[i].b);

		assert_int_equal(gtid_covers(a, b), pairs[i].covers);
		assert_string_equal(gtid_text(ctx, gtid_common(ctx, a, b)),
				    pairs[i].common);
	}
}

static void history_has_each_server(void **unused)
{
	static const char state[] = "0-1-55,0-2-60,4-1-3";

	(void)unused;
	assert_true(gtid_in_history(set(DB_MARIADB, "0-1-55,4-1-2"), state));
	assert_true(gtid_in_history(set(DB_MARIADB, ""), state));
	/* Numbered alike, and another transaction. */
	assert_false(gtid_in_history(set(DB_MARIADB, "0-1-56"), state));
	assert_false(gtid_in_history(set(DB_MARIADB, "0-3-10"), state));
	assert_false(gtid_in_history(set(DB_MARIADB, "5-1-1"), state));
	assert_false(gtid_in_history(set(DB_MARIADB, "0-1-1"), ""));
}

static void sets_are_encoded(void **unused)
{
	static const uint8_t plain[] = { 1,    0,    0,	   0,	 0,    0,    0,	   0,
					 0x0a, 0x6d, 0x0c, 0x2b, 0xf0, 0xf3, 0x11, 0xee,
					 0x80, 0x00, 0x02, 0x42, 0xac, 0x11, 0x00, 0x02,
					 1,    0,    0,	   0,	 0,    0,    0,	   0,
					 1,    0,    0,	   0,	 0,    0,    0,	   0,
					 6,    0,    0,	   0,	 0,    0,    0,	   0 };
	struct buf b;

	(void)unused;
	buf_init(&b, ctx);
	gtid_encode(&b, set(DB_MYSQL, A ":1-5"));
	assert_int_equal(b.len, sizeof(plain));
	assert_memory_equal(b.data, plain, sizeof(plain));
	buf_init(&b, ctx);
	gtid_encode(&b, set(DB_MYSQL, A ":1-5:ab:1"));
	assert_int_equal(b.len, 8 + 2 * (16 + 1 + 8 + 16) + 2);
	assert_memory_equal(b.data, "\1\2\0\0\0\0\0\1", 8); /* tagged, two sources */
	assert_memory_equal(b.data + 8 + 16 + 1 + 8 + 16 + 16, "\4ab", 3);
}

static void an_earlier_position_is_in_front_of_both(void **unused)
{
	struct stream_position a = { mem_strdup(ctx, "b.1"), 9,
				     mem_strdup(ctx, A ":1-5") };
	struct stream_position b = { mem_strdup(ctx, "b.1"), 7,
				     mem_strdup(ctx, A ":1-4:7") };
	struct stream_position both;
	struct sb_err err;

	(void)unused;
	assert_int_equal(stream_position_earlier(ctx, DB_MYSQL, &a, &b, &both, &err), 0);
	assert_true(both.offset == 7);
	assert_string_equal(both.gtid, A ":1-4");
	a.gtid = NULL;
	assert_int_equal(stream_position_earlier(ctx, DB_MYSQL, &a, &b, &both, &err), 0);
	assert_null(both.gtid);
}

/* ---- a stream from the beginning of a file
 * ---------------------------------------------
 */

static uint64_t ended_at[8];
static size_t n_ended, n_statements;

static int on_key(void *arg, size_t table, const struct rows_key *key, struct sb_err *err)
{
	(void)arg, (void)table, (void)key, (void)err;
	return 0;
}

static int on_statement(void *arg, const struct event_query *q, struct sb_err *err)
{
	(void)arg, (void)q, (void)err;
	n_statements++;
	return 0;
}

static int on_end(void *arg, const struct decode_end *end, struct sb_err *err)
{
	(void)arg, (void)err;
	ended_at[n_ended++] = end->offset;
	return 0;
}

static int on_heartbeat(void *arg, struct sb_err *err)
{
	(void)arg, (void)err;
	return 0;
}

/* A QUERY event "DO 0" that ends at `next`. */
static size_t query(uint8_t *e, uint32_t next)
{
	static const uint8_t body[] = { 0, 0, 0, 0, 0, 0,   0,	 0,   0,
					0, 0, 0, 0, 0, 'D', 'O', ' ', '0' };

	memset(e, 0, EVENT_HEADER_LEN);
	e[0] = 1;
	e[4] = BINLOG_QUERY;
	e[9] = EVENT_HEADER_LEN + sizeof(body);
	for (unsigned i = 0; i < 4; i++)
		e[13 + i] = (uint8_t)(next >> (8 * i));
	memcpy(e + EVENT_HEADER_LEN, body, sizeof(body));
	return EVENT_HEADER_LEN + sizeof(body);
}

/* The request has 32 bits for a position, an event's own end has them too: the file is
 * read from its beginning, and what was read before is passed over. */
static void what_lies_behind_4_gib_is_found_again(void **unused)
{
	static const uint32_t ends[] = { 0x40000000, 0xc0000000, 0x20000000, 0x30000000,
					 0x40000000 };
	const uint64_t high = (uint64_t)1 << 32;
	const struct decode_handler handler = { NULL, on_key, on_statement, on_end,
						on_heartbeat };
	struct decoder *d = decoder_new(ctx, DB_MYSQL, NULL, 0, &handler);
	struct sb_err err;
	uint8_t e[64];

	(void)unused;
	n_ended = n_statements = 0;
	decoder_begin(d, "b.000001", 4);
	decoder_pass_over(d, high + 0x20000000);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t len = query(e, ends[i]);

		if (decoder_feed(d, e, len, &err) < 0)
			fail_msg("%s", err.msg);
	}
	assert_int_equal(n_statements, 2);
	assert_int_equal(n_ended, 2);
	assert_true(ended_at[0] == high + 0x30000000);
	assert_true(ended_at[1] == high + 0x40000000);
}

static int begin(void **unused)
{
	(void)unused;
	ctx = mem_ctx(NULL, "test");
	return 0;
}

static int end(void **unused)
{
	(void)unused;
	talloc_free(ctx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_read_and_written),
		cmocka_unit_test(sets_grow),
		cmocka_unit_test(sets_are_compared),
		cmocka_unit_test(history_has_each_server),
		cmocka_unit_test(sets_are_encoded),
		cmocka_unit_test(an_earlier_position_is_in_front_of_both),
		cmocka_unit_test(what_lies_behind_4_gib_is_found_again),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
