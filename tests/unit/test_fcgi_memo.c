/*
 * test_fcgi_memo.c - remembered progress bodies: never another apply's, never another
 * revision's, and without being told the revision only of settled applies.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "fcgi/memo.h"
#include "tests/unit/unit.h"

static void only_the_same_revision(void **unused)
{
	struct memo *memo = memo_new(NULL);

	(void)unused;
	assert_null(memo_get(memo, "apply-1", 1));
	assert_false(memo_knows(memo, "apply-1"));
	memo_put(memo, "apply-1", 7, false, "body");
	assert_string_equal(memo_get(memo, "apply-1", 7), "body");
	assert_true(memo_knows(memo, "apply-1"));
	assert_null(memo_get(memo, "apply-1", 8));
	assert_null(memo_get(memo, "apply-1", 6));
	assert_null(memo_get(memo, "apply-10", 7));
	memo_put(memo, "apply-1", 8, false, "next");
	assert_null(memo_get(memo, "apply-1", 7));
	assert_string_equal(memo_get(memo, "apply-1", 8), "next");
	talloc_free(memo);
}

static void only_settled_ones_are_trusted_and_not_for_long(void **unused)
{
	struct memo *memo = memo_new(NULL);
	uint64_t revision;
	int64_t until;

	(void)unused;
	memo_put(memo, "moving", 7, false, "body");
	assert_null(memo_get_settled(memo, "moving", &revision));
	memo_put(memo, "settled", 9, true, "body");
	assert_string_equal(memo_get_settled(memo, "settled", &revision), "body");
	assert_int_equal(revision, 9);
	assert_null(memo_get_settled(memo, "other", &revision));
	until = clock_ms() + 10000;
	while (memo_get_settled(memo, "settled", &revision) && clock_ms() < until)
		clock_sleep_ms(20);
	assert_null(memo_get_settled(memo, "settled", &revision));
	/* Storage was asked again. */
	assert_non_null(memo_get(memo, "settled", 9));
	assert_non_null(memo_get_settled(memo, "settled", &revision));
	talloc_free(memo);
}

/* However many there are, what is given is what was put, and memory stays bounded. */
static void it_stays_small(void **unused)
{
	struct memo *memo = memo_new(NULL);
	char *body = mem_array(memo, char, 20001);
	char id[32], text[32];
	size_t after_some = 0;

	(void)unused;
	memset(body, 'b', 20000);
	for (int i = 0; i < 10000; i++) {
		snprintf(id, sizeof(id), "apply-%d", i);
		snprintf(text, sizeof(text), "body %d", i);
		memo_put(memo, id, 1, true, text);
		assert_string_equal(memo_get(memo, id, 1), text);
		if (i == 5000)
			after_some = talloc_total_size(memo);
	}
	assert_true(talloc_total_size(memo) <= after_some + 64 * sizeof(text));
	memo_put(memo, "large", 1, true, body);
	assert_null(memo_get(memo, "large", 1));
	talloc_free(memo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_same_revision),
		cmocka_unit_test(only_settled_ones_are_trusted_and_not_for_long),
		cmocka_unit_test(it_stays_small),
	};

	return cmocka_run_group_tests_name("fcgi_memo", tests, NULL, NULL);
}
