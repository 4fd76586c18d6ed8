/*
 * test_project.c - derived states are what the rows below them say, and an apply whose
 * last transition was lost is put right by apply_rederive() (SEMANTICS B.4, C.5;
 * DESIGN.md 8.3): for every state of a single operation, and for rollouts.
 */
#include <stdio.h>
#include <string.h>

#include "core/store/operation.h"
#include "tests/it/store.h"

static struct made made;

/* A second operation of the same apply, later in order. */
static uint64_t add_operation(const char *state, const char *claim_after)
{
	store_sql("INSERT INTO apply_operations (apply_row, deployment, target, state,"
		  " claim_after) VALUES (%llu, 'e', 't', '%s', %s)",
		  (unsigned long long)made.apply_row, state, claim_after);
	return (uint64_t)store_number("SELECT LAST_INSERT_ID()");
}

static void put(uint64_t operation, const char *state, const char *claim_after)
{
	store_sql("UPDATE apply_operations SET state = '%s', claim_after = %s,"
		  " started_at = IF('%s' = 'pending', NULL, NOW(6)) WHERE id = %llu",
		  state, claim_after, state, (unsigned long long)operation);
}

static bool rederive(void)
{
	struct sb_err err = { 0 };
	bool changed;

	if (apply_rederive(store.db, made.apply_row, made.apply_id, &changed, &err) < 0)
		fail_msg("%s", err.msg);
	return changed;
}

static char *apply_state(void)
{
	return store_text("SELECT state FROM applies WHERE id = %llu",
			  (unsigned long long)made.apply_row);
}

static char *claim_after(uint64_t operation)
{
	return store_text("SELECT claim_after FROM apply_operations WHERE id = %llu",
			  (unsigned long long)operation);
}

static int setup(void **state)
{
	if (store_empty(state) < 0)
		return -1;
	made = store_make(1);
	store_sql("UPDATE applies SET started_at = NOW(6)");
	return 0;
}

/* An apply of one operation takes its state; what is right is left alone. */
static void one_operation_tells_its_apply(void **unused)
{
	(void)unused;
	for (int s = 0; s < STATE_COUNT; s++) {
		enum state one[] = { (enum state)s };
		const char *wanted = state_name(state_derive(one, 1, true));
		const char *name = state_name((enum state)s);
		char *before;

		store_sql("UPDATE applies SET state = 'running', error_message = NULL");
		put(made.operation, name,
		    state_is_settled((enum state)s) ? "NULL" : "NOW(6)");
		rederive();
		assert_string_equal(apply_state(), wanted);
		assert_int_equal(
			store_number("SELECT completed_at IS NOT NULL FROM applies"),
			state_is_settled((enum state)s));
		before = store_snapshot();
		assert_false(rederive());
		store_assert_unchanged(before);
	}
}

static void a_settled_apply_stays(void **unused)
{
	struct sb_err err = { 0 };
	char *before;
	bool changed;

	(void)unused;
	put(made.operation, "completed", "NULL");
	rederive();
	put(made.operation, "running", "NOW(6)");
	before = store_snapshot();
	assert_int_equal(
		apply_rederive(store.db, made.apply_row, made.apply_id, &changed, &err),
		-1);
	assert_int_equal(err.code, SB_EINTERNAL);
	store_assert_unchanged(before);
}

/* The transition that frees the next one was lost: it is derived again. */
static void a_lost_release_is_made_up_for(void **unused)
{
	uint64_t later = add_operation("pending", "NULL");

	(void)unused;
	put(made.operation, "running", "NOW(6) + INTERVAL 60 SECOND");
	store_sql("UPDATE applies SET state = 'running'");
	assert_false(rederive());
	assert_null(claim_after(later)); /* rightly held */
	put(made.operation, "completed", "NULL");
	assert_true(rederive());
	assert_non_null(claim_after(later));
	assert_string_equal(apply_state(), "running");
	assert_false(rederive());
}

/* Not before its turn: what should not have been due is held again. */
static void what_is_due_too_early_is_held_again(void **unused)
{
	uint64_t later = add_operation("pending", "NOW(6)");

	(void)unused;
	put(made.operation, "running", "NOW(6) + INTERVAL 60 SECOND");
	store_sql("UPDATE applies SET state = 'running'");
	assert_true(rederive());
	assert_null(claim_after(later));
}

/* Somebody's operation is somebody's: deriving takes no claim away. */
static void owned_operations_are_left_alone(void **unused)
{
	uint64_t later = add_operation("pending", "NOW(6) + INTERVAL 60 SECOND");

	(void)unused;
	store_sql("UPDATE apply_operations SET lease_owner = 'h/1/driver',"
		  " lease_token = 5 WHERE id = %llu",
		  (unsigned long long)later);
	put(made.operation, "running", "NOW(6) + INTERVAL 60 SECOND");
	store_sql("UPDATE applies SET state = 'running'");
	rederive();
	assert_non_null(claim_after(later));
	assert_int_equal(
		store_number("SELECT lease_token FROM apply_operations WHERE id = %llu",
			     (unsigned long long)later),
		5);
}

static void a_halted_rollout_is_ended(void **unused)
{
	uint64_t later = add_operation("pending", "NULL");

	(void)unused;
	put(made.operation, "failed", "NULL");
	store_sql("UPDATE applies SET state = 'running'");
	assert_true(rederive());
	assert_string_equal(apply_state(), "failed");
	assert_string_equal(store_text("SELECT state FROM apply_operations WHERE id ="
				       " %llu",
				       (unsigned long long)later),
			    "cancelled");
}

/* A driver is at it: whoever derives waits for its transaction, and then sees it. */
static void it_waits_for_a_driver_in_its_transaction(void **unused)
{
	struct lease lease = store_claim(&made);
	struct db *other = store_connect();
	struct sb_err err = { 0 };
	struct lease_tx tx;
	bool changed;

	(void)unused;
	assert_int_equal(db_run(other, "SET SESSION innodb_lock_wait_timeout = 1", &err),
			 0);
	assert_int_equal(lease_tx_begin(store.db, &lease, &tx, &err), 0);
	assert_int_equal(
		apply_rederive(other, made.apply_row, made.apply_id, &changed, &err), -1);
	assert_int_equal(err.code, SB_ESTORAGE);
	lease_tx_rollback(&tx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_operation_tells_its_apply, setup),
		cmocka_unit_test_setup(a_settled_apply_stays, setup),
		cmocka_unit_test_setup(a_lost_release_is_made_up_for, setup),
		cmocka_unit_test_setup(what_is_due_too_early_is_held_again, setup),
		cmocka_unit_test_setup(owned_operations_are_left_alone, setup),
		cmocka_unit_test_setup(a_halted_rollout_is_ended, setup),
		cmocka_unit_test_setup(it_waits_for_a_driver_in_its_transaction, setup),
	};

	return cmocka_run_group_tests_name("project", tests, store_start, store_stop);
}
