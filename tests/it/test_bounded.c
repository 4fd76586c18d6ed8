/*
 * test_bounded.c - effects that no transaction covers are bounded by the lease (DESIGN.md
 * 3): with less left than the effect may take, and none to be had, it does not begin.
 */
#include "core/drive/drive_internal.h"
#include "core/store/operation.h"
#include "tests/it/store.h"

static const struct engine engine = {
	.name = "test",
	.worst_ms = { [ENGINE_EFFECT_CUTOVER] = 10000, [ENGINE_EFFECT_STOP] = 50000 },
};

static struct made made;

static struct drive owner(void)
{
	made = store_make(1);
	return (struct drive){ .db = store.db,
			       .engine = &engine,
			       .lease = store_claim(&made) };
}

static int64_t seconds_left(void)
{
	return store_number("SELECT TIMESTAMPDIFF(SECOND, NOW(6), claim_after) FROM"
			    " apply_operations");
}

static void with_lease_enough_it_may_begin(void **unused)
{
	struct drive d = owner();
	struct sb_err err;

	(void)unused;
	store_sql(
		"UPDATE apply_operations SET claim_after = NOW(6) + INTERVAL 30 SECOND");
	assert_int_equal(drive_bounded(&d, ENGINE_EFFECT_CUTOVER, &err), 0);
	assert_in_range(seconds_left(), 20, 30); /* nothing was written for it */
}

static void the_lease_is_extended_first(void **unused)
{
	struct drive d = owner();
	struct sb_err err;

	(void)unused;
	store_sql(
		"UPDATE apply_operations SET claim_after = NOW(6) + INTERVAL 30 SECOND");
	assert_int_equal(drive_bounded(&d, ENGINE_EFFECT_STOP, &err), 0);
	assert_in_range(seconds_left(), 50, 60);
	/* Also one that has run out, as long as nobody else has it. */
	store_sql("UPDATE apply_operations SET claim_after = NOW(6) - INTERVAL 5 SECOND");
	assert_int_equal(drive_bounded(&d, ENGINE_EFFECT_CUTOVER, &err), 0);
	assert_in_range(seconds_left(), 50, 60);
}

static void without_a_lease_to_be_had_it_does_not_begin(void **unused)
{
	struct drive d = owner();
	struct sb_err err;

	(void)unused;
	/* A row at rest has no lease, and a heartbeat gives it none. */
	store_sql("UPDATE apply_operations SET state = 'stopped', claim_after = NULL");
	assert_int_equal(drive_bounded(&d, ENGINE_EFFECT_CUTOVER, &err), -1);
	assert_int_equal(err_class(err.code), ERR_UNCERTAIN);
}

static void somebody_elses_lease_is_no_lease(void **unused)
{
	struct drive d = owner();
	struct sb_err err;
	char *before;

	(void)unused;
	store_rotate(&made);
	before = store_snapshot();
	assert_int_equal(drive_bounded(&d, ENGINE_EFFECT_CUTOVER, &err), -1);
	assert_int_equal(err.code, SB_ELEASE);
	store_assert_unchanged(before);
}

static void a_storage_that_does_not_answer_allows_nothing(void **unused)
{
	struct drive d = owner();
	struct sb_err err;

	(void)unused;
	d.db = store_connect();
	store_sql("KILL %llu", (unsigned long long)db_connection_id(d.db));
	assert_int_equal(drive_bounded(&d, ENGINE_EFFECT_CUTOVER, &err), -1);
	assert_int_equal(err_class(err.code), ERR_UNCERTAIN);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(with_lease_enough_it_may_begin, store_empty),
		cmocka_unit_test_setup(the_lease_is_extended_first, store_empty),
		cmocka_unit_test_setup(without_a_lease_to_be_had_it_does_not_begin,
				       store_empty),
		cmocka_unit_test_setup(somebody_elses_lease_is_no_lease, store_empty),
		cmocka_unit_test_setup(a_storage_that_does_not_answer_allows_nothing,
				       store_empty),
	};

	return cmocka_run_group_tests_name("bounded", tests, store_start, store_stop);
}
