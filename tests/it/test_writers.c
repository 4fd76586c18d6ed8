/*
 * test_writers.c - the stale writer matrix (DESIGN.md 8.2): every function of core/store
 * that an owner may call, against a lease that is not its own any more.
 *
 * `--list` prints the names in the matrix; test_store_writers.py compares them with the
 * headers, so that a new writer cannot be left out.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/store/control.h"
#include "core/store/operation.h"
#include "core/store/task.h"
#include "tests/it/store.h"

/* What a writer is called with. */
struct scene {
	struct made made;
	struct lease lease;
	struct task *tasks;
	struct control_request *requests;
	size_t n_tasks, n_requests;
};

/* ---- writers inside a lease transaction ------------------------------------------- */

static int call_lease_log(struct scene *s, struct lease_tx *tx, struct sb_err *err)
{
	(void)s;
	return lease_log(tx, "", "info", "info", "", "", "a line", err);
}

static int call_operation_hand_back(struct scene *s, struct lease_tx *tx,
				    struct sb_err *err)
{
	(void)s;
	return operation_hand_back(tx, 5, err);
}

static int call_operation_note_doubt(struct scene *s, struct lease_tx *tx,
				     struct sb_err *err)
{
	(void)s;
	return operation_note_doubt(tx, "nobody knows", err);
}

static int call_operation_renew(struct scene *s, struct lease_tx *tx, struct sb_err *err)
{
	(void)s;
	return operation_renew(tx, err);
}

static int call_operation_save_engine_state(struct scene *s, struct lease_tx *tx,
					    struct sb_err *err)
{
	(void)s;
	return operation_save_engine_state(tx, "{\"at\":7}", true, err);
}

static int call_operation_note_progress(struct scene *s, struct lease_tx *tx,
					struct sb_err *err)
{
	(void)s;
	return operation_note_progress(tx, 7, err);
}

static int call_operation_count_unrecognized(struct scene *s, struct lease_tx *tx,
					     struct sb_err *err)
{
	(void)s;
	return operation_count_unrecognized(tx, err);
}

static int call_operation_project(struct scene *s, struct lease_tx *tx,
				  struct sb_err *err)
{
	const struct projection p = { .forced = STATE_FAILED_RETRYABLE,
				      .error_code = "engine_error_retryable",
				      .error_message = "later" };
	struct projected now;

	(void)s;
	return operation_project(tx, &p, &now, err);
}

static int call_task_move(struct scene *s, struct lease_tx *tx, struct sb_err *err)
{
	return task_move(tx, &s->tasks[0], EVENT_START, STATE_RUNNING, NULL, err);
}

static int call_task_save_progress(struct scene *s, struct lease_tx *tx,
				   struct sb_err *err)
{
	s->tasks[0].rows_copied = 4711;
	return task_save_progress(tx, &s->tasks[0], err);
}

static int call_control_finish(struct scene *s, struct lease_tx *tx, struct sb_err *err)
{
	return control_finish(tx, &s->requests[0], NULL, err);
}

static int call_control_serve(struct scene *s, struct lease_tx *tx, struct sb_err *err)
{
	return control_serve(tx, &s->requests[0], err);
}

/* Has something to end only when the apply is at its end. */
static int call_control_settle(struct scene *s, struct lease_tx *tx, struct sb_err *err)
{
	const struct projection p = { .forced = STATE_FAILED,
				      .error_code = "engine_error",
				      .error_message = "for good" };
	struct projected now;

	(void)s;
	if (operation_project(tx, &p, &now, err) < 0)
		assert_true(db_is_lost(tx->db));
	return control_settle(tx, err);
}

static int call_control_set_released(struct scene *s, struct lease_tx *tx,
				     struct sb_err *err)
{
	(void)s;
	return control_set_released(tx, err);
}

static int call_control_silence(struct scene *s, struct lease_tx *tx, struct sb_err *err)
{
	int64_t seconds;

	return control_silence(tx, &s->requests[0], &seconds, err);
}

/* Bumps the revision, and is where everything before it becomes visible. */
static int call_lease_tx_commit(struct scene *s, struct lease_tx *tx, struct sb_err *err)
{
	(void)s;
	return lease_tx_commit(tx, err);
}

#define TX_WRITERS(X)                   \
	X(lease_log)                    \
	X(lease_tx_commit)              \
	X(operation_hand_back)          \
	X(operation_note_doubt)         \
	X(operation_renew)              \
	X(operation_save_engine_state)  \
	X(operation_count_unrecognized) \
	X(operation_note_progress)      \
	X(operation_project)            \
	X(task_move)                    \
	X(task_save_progress)           \
	X(control_finish)               \
	X(control_serve)                \
	X(control_settle)               \
	X(control_set_released)         \
	X(control_silence)

struct writer {
	const char *name;
	int (*call)(struct scene *s, struct lease_tx *tx, struct sb_err *err);
};
static const struct writer tx_writers[] = {
#define X(name) { #name, call_##name },
	TX_WRITERS(X)
#undef X
};

/* ---- what takes the lease itself -----------------------------------------------------
 */

static int call_lease_tx_begin(struct scene *s, struct sb_err *err)
{
	struct lease_tx tx;

	if (lease_tx_begin(store.db, &s->lease, &tx, err) < 0)
		return -1;
	lease_tx_rollback(&tx);
	return 0;
}

static int call_lease_heartbeat(struct scene *s, struct sb_err *err)
{
	return lease_heartbeat(store.db, &s->lease, err);
}

static int call_lease_remaining_ms(struct scene *s, struct sb_err *err)
{
	int64_t ms;

	return lease_remaining_ms(store.db, &s->lease, &ms, err);
}

static int call_operation_park(struct scene *s, struct sb_err *err)
{
	return operation_park(store.db, &s->lease, PARK_SECONDS, 1, err);
}

static int call_operation_park_all(struct scene *s, struct sb_err *err)
{
	return operation_park_all(store.db, &s->lease, 1, PARK_SECONDS, err);
}

static int call_operation_load(struct scene *s, struct sb_err *err)
{
	struct operation op;

	return operation_load(store.ctx, store.db, &s->lease, &op, err);
}

#define LEASE_CHECKERS(X)     \
	X(lease_tx_begin)     \
	X(lease_heartbeat)    \
	X(lease_remaining_ms) \
	X(operation_park)     \
	X(operation_park_all) \
	X(operation_load)

static const struct checker {
	const char *name;
	int (*call)(struct scene *s, struct sb_err *err);
} checkers[] = {
#define X(name) { #name, call_##name },
	LEASE_CHECKERS(X)
#undef X
};

/* Readers: they take the lease only to know whose rows to read. */
#define LEASE_READERS(X)   \
	X(control_pending) \
	X(task_count)      \
	X(operation_gate)  \
	X(task_load_all)
/* No statement of their own. */
#define LEASE_ENDERS(X) X(lease_tx_rollback)

/* ---- scenes --------------------------------------------------------------------------
 */

/* The apply has another operation too: then a lease transaction locks that one as well.
 */
static bool has_sibling;

static struct scene set_scene(void)
{
	struct scene s = { .made = store_make(2) };
	struct sb_err err = { 0 };

	if (has_sibling)
		store_sql("INSERT INTO apply_operations (apply_row, deployment, target,"
			  " state, claim_after) VALUES (%llu, 'e', 't', 'pending', NULL)",
			  (unsigned long long)s.made.apply_row);

	store_request(&s.made, "volume");
	store_sql("UPDATE apply_operations SET deaths = 2, engine_state = '{}'");
	s.lease = store_claim(&s.made);
	assert_int_equal(
		task_load_all(store.ctx, store.db, &s.lease, &s.tasks, &s.n_tasks, &err),
		0);
	assert_int_equal(control_pending(store.ctx, store.db, &s.lease, &s.requests,
					 &s.n_requests, &err),
			 0);
	assert_int_equal(s.n_tasks, 2);
	assert_int_equal(s.n_requests, 1);
	return s;
}

/* The other half of the matrix: with its own lease each writer does write. */
static void an_owner_writes(void **state)
{
	const struct writer *w = *state;
	struct scene s = set_scene();
	char *before = store_snapshot();
	struct sb_err err = { 0 };
	struct lease_tx tx;

	assert_int_equal(lease_tx_begin(store.db, &s.lease, &tx, &err), 0);
	if (w->call(&s, &tx, &err) < 0)
		fail_msg("%s: %s", w->name, err.msg);
	if (w->call != call_lease_tx_commit)
		assert_int_equal(lease_tx_commit(&tx, &err), 0);
	assert_string_not_equal(before, store_snapshot());
}

static void a_stale_owner_gets_no_transaction(void **state)
{
	const struct writer *w = *state;
	struct scene s = set_scene();
	struct sb_err err = { 0 };
	struct lease_tx tx;
	char *before;

	store_rotate(&s.made);
	before = store_snapshot();
	if (lease_tx_begin(store.db, &s.lease, &tx, &err) == 0)
		fail_msg("%s could write with an old token", w->name);
	assert_int_equal(err.code, SB_ELEASE);
	assert_null(tx.db);
	assert_null(tx.lease);
	lease_tx_rollback(&tx); /* harmless */
	store_assert_unchanged(before);
}

/* From begin to commit nobody else can become the owner, whatever the writer does. */
static void nobody_claims_meanwhile(void **state)
{
	const struct writer *w = *state;
	struct scene s = set_scene();
	struct db *other = store_connect();
	struct sb_err err = { 0 };
	struct claim claim;
	struct lease_tx tx;
	char *before;

	store_sql("UPDATE apply_operations SET claim_after = NOW(6) - INTERVAL 1 SECOND"
		  " WHERE id = %llu",
		  (unsigned long long)s.made.operation);
	assert_int_equal(lease_tx_begin(store.db, &s.lease, &tx, &err), 0);
	before = store_snapshot();
	if (w->call != call_lease_tx_commit && w->call(&s, &tx, &err) < 0)
		fail_msg("%s: %s", w->name, err.msg);
	assert_int_equal(
		operation_claim(other, "other/2/driver", NULL, NULL, &claim, &err), 0);
	assert_int_not_equal(store_try("SELECT id FROM apply_operations WHERE id = %llu"
				       " FOR UPDATE NOWAIT",
				       (unsigned long long)s.made.operation),
			     0);
	store_assert_unchanged(before); /* not yet visible */
	lease_tx_rollback(&tx);
	store_assert_unchanged(before);
	assert_int_equal(
		operation_claim(other, "other/2/driver", NULL, NULL, &claim, &err), 1);
}

/*
 * The server gave the transaction up (it was killed, restarted, or cut off) and somebody
 * else claimed: the writer that does not know yet changes nothing.
 */
static void a_writer_that_was_cut_off_changes_nothing(void **state)
{
	const struct writer *w = *state;
	struct scene s = set_scene();
	uint64_t connection = db_connection_id(store.db);
	struct sb_err err = { 0 };
	struct lease_tx tx;
	char *before;

	assert_int_equal(lease_tx_begin(store.db, &s.lease, &tx, &err), 0);
	store_sql("KILL CONNECTION %llu", (unsigned long long)connection);
	while (store_number("SELECT COUNT(*) FROM information_schema.processlist"
			    " WHERE id = %llu",
			    (unsigned long long)connection) > 0)
		;
	store_rotate(&s.made);
	before = store_snapshot();
	if (w->call(&s, &tx, &err) == 0)
		fail_msg("%s wrote without a transaction", w->name);
	assert_true(err.code == SB_ESTORAGE || err.code == SB_EAMBIGUOUS);
	assert_true(db_is_lost(store.db));
	lease_tx_rollback(&tx);
	store_assert_unchanged(before);
}

static void a_checker_knows_its_owner(void **state)
{
	const struct checker *c = *state;
	struct scene s = set_scene();
	struct sb_err err = { 0 };
	char *before;

	if (c->call(&s, &err) < 0)
		fail_msg("%s: %s", c->name, err.msg);
	store_rotate(&s.made);
	before = store_snapshot();
	assert_int_equal(c->call(&s, &err), -1);
	assert_int_equal(err.code, SB_ELEASE);
	store_assert_unchanged(before);

	/* A row that is gone is not ours either. */
	store_sql("DELETE FROM apply_operations WHERE id = %llu",
		  (unsigned long long)s.made.operation);
	before = store_snapshot();
	assert_int_equal(c->call(&s, &err), -1);
	assert_int_equal(err.code, SB_ELEASE);
	store_assert_unchanged(before);
}

/* A lost connection is not a lost lease: loss is proved by a read only. */
static void a_checker_does_not_guess(void **state)
{
	const struct checker *c = *state;
	struct scene s = set_scene();
	struct sb_err err = { 0 };

	store_sql("KILL CONNECTION %llu", (unsigned long long)db_connection_id(store.db));
	assert_int_equal(c->call(&s, &err), -1);
	assert_int_equal(err.code, SB_ESTORAGE);
}

/* ---- single tests
 * ----------------------------------------------------------------------
 */

/* Found rows, not changed rows: writing the same once more is no lost lease. */
static void writing_the_same_twice_is_fine(void **unused)
{
	struct scene s = set_scene();
	struct sb_err err = { 0 };
	struct lease_tx tx;
	char *before;

	(void)unused;
	/* The server's clock stands still, so that the second beat changes nothing. */
	assert_int_equal(db_run(store.db, "SET SESSION timestamp = 1900000000.5", &err),
			 0);
	assert_int_equal(lease_heartbeat(store.db, &s.lease, &err), 0);
	before = store_snapshot();
	assert_int_equal(lease_heartbeat(store.db, &s.lease, &err), 0);
	store_assert_unchanged(before);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lease_tx_begin(store.db, &s.lease, &tx, &err), 0);
		assert_int_equal(task_save_progress(&tx, &s.tasks[0], &err), 0);
		assert_int_equal(operation_note_progress(&tx, 7, &err), 0);
		assert_int_equal(operation_save_engine_state(&tx, "{}", true, &err), 0);
		assert_int_equal(operation_hand_back(&tx, 0, &err), 0);
		assert_int_equal(lease_tx_commit(&tx, &err), 0);
	}
	assert_int_equal(db_run(store.db, "SET SESSION timestamp = DEFAULT", &err), 0);
}

static void the_time_left_is_the_databases(void **unused)
{
	struct scene s = set_scene();
	struct sb_err err = { 0 };
	int64_t ms;

	(void)unused;
	assert_int_equal(lease_remaining_ms(store.db, &s.lease, &ms, &err), 0);
	assert_in_range(ms, (LEASE_SECONDS - 20) * 1000, LEASE_SECONDS * 1000);
	store_sql("UPDATE apply_operations SET claim_after = NOW(6) + INTERVAL 7 SECOND");
	assert_int_equal(lease_remaining_ms(store.db, &s.lease, &ms, &err), 0);
	assert_in_range(ms, 1, 7000);
	store_sql("UPDATE apply_operations SET claim_after = NOW(6) - INTERVAL 7 SECOND");
	assert_int_equal(lease_remaining_ms(store.db, &s.lease, &ms, &err), 0);
	assert_true(ms <= -7000); /* ours still, but due: no effect may begin */
	store_sql("UPDATE apply_operations SET state = 'stopped', claim_after = NULL");
	assert_int_equal(lease_remaining_ms(store.db, &s.lease, &ms, &err), 0);
	assert_int_equal(ms, 0);
}

/* A beat does not make a row at rest claimable. */
static void a_heartbeat_leaves_a_row_at_rest(void **unused)
{
	struct scene s = set_scene();
	struct sb_err err = { 0 };

	(void)unused;
	store_sql("UPDATE apply_operations SET state = 'stopped', claim_after = NULL");
	assert_int_equal(lease_heartbeat(store.db, &s.lease, &err), 0);
	assert_null(store_text("SELECT claim_after FROM apply_operations"));
}

/* The scheduler's hand-back of a proven death is fenced by the token too. */
static void a_late_reclaim_changes_nothing(void **unused)
{
	struct scene s = set_scene();
	struct sb_err err = { 0 };
	char *before, *owner;

	(void)unused;
	store_rotate(&s.made);
	owner = store_text("SELECT lease_owner FROM apply_operations");
	before = store_snapshot();
	assert_int_equal(operation_reclaim(store.db, s.lease.operation, s.lease.token,
					   owner, &err),
			 0);
	/* The token of a claim that was never committed is the next one's. */
	assert_int_equal(operation_reclaim(store.db, s.lease.operation, s.lease.token + 1,
					   "host/2/driver", &err),
			 0);
	store_assert_unchanged(before);
	assert_int_equal(operation_reclaim(store.db, s.lease.operation, s.lease.token + 1,
					   owner, &err),
			 1);
}

/*
 * After a deadlock the server has rolled everything back, and what a careless caller
 * sends next would commit by itself: a transaction of which a statement failed is over.
 */
static void what_failed_in_part_is_not_committed(void **unused)
{
	struct scene s = set_scene();
	struct sb_err err = { 0 };
	struct lease_tx tx;
	char *before;

	(void)unused;
	assert_int_equal(
		db_run(store.db, "SET SESSION innodb_lock_wait_timeout = 1", &err), 0);
	before = store_snapshot();
	store_sql("START TRANSACTION");
	store_sql("UPDATE tasks SET detail = detail");
	assert_int_equal(lease_tx_begin(store.db, &s.lease, &tx, &err), 0);
	assert_int_equal(lease_log(&tx, "", "info", "info", "", "", "a", &err), 0);
	assert_int_equal(task_save_progress(&tx, &s.tasks[0], &err), -1);
	assert_int_equal(err.code, SB_ESTORAGE);
	assert_int_equal(lease_log(&tx, "", "info", "info", "", "", "b", &err), -1);
	assert_int_equal(lease_tx_commit(&tx, &err), -1);
	assert_int_equal(err.code, SB_ESTORAGE);
	store_sql("ROLLBACK");
	store_assert_unchanged(before);

	/* The connection is as good as before. */
	assert_int_equal(lease_tx_begin(store.db, &s.lease, &tx, &err), 0);
	assert_int_equal(lease_log(&tx, "", "info", "info", "", "", "c", &err), 0);
	assert_int_equal(lease_tx_commit(&tx, &err), 0);
	assert_int_equal(store_number("SELECT COUNT(*) FROM apply_logs"), 1);
	assert_int_equal(
		db_run(store.db, "SET SESSION innodb_lock_wait_timeout = 5", &err), 0);
}

/* A lease of one operation writes no row of another. */
static void tasks_of_another_operation_are_out_of_reach(void **unused)
{
	struct scene s = set_scene();
	struct made other = store_make(1);
	struct sb_err err = { 0 };
	struct lease lease = store_claim(&other);
	struct lease_tx tx;
	char *before = store_snapshot();

	(void)unused;
	assert_int_equal(lease_tx_begin(store.db, &lease, &tx, &err), 0);
	s.tasks[0].operation_row = other.operation;
	assert_int_equal(
		task_move(&tx, &s.tasks[0], EVENT_START, STATE_RUNNING, NULL, &err), -1);
	lease_tx_rollback(&tx);
	assert_int_equal(lease_tx_begin(store.db, &lease, &tx, &err), 0);
	assert_int_equal(control_finish(&tx, &s.requests[0], NULL, &err), 0);
	assert_string_equal(store_text("SELECT status FROM apply_control_requests"),
			    "pending");
	lease_tx_rollback(&tx);
	store_assert_unchanged(before);
}

/* ---- the program
 * ------------------------------------------------------------------------
 */

static int list(void)
{
#define X(name) printf("%s\n", #name);
	TX_WRITERS(X)
	LEASE_CHECKERS(X)
	LEASE_READERS(X)
	LEASE_ENDERS(X)
#undef X
	return 0;
}

static int alone(void **state)
{
	has_sibling = false;
	return store_empty(state);
}

static int beside_another(void **state)
{
	has_sibling = true;
	return store_empty(state);
}

/* A test for each pair of a function and what is asked of it, in an apply with one
 * operation and in one with two. */
static struct CMUnitTest *add(struct CMUnitTest *at, const char *name,
			      CMUnitTestFunction test, const char *of,
			      const void *subject)
{
	union {
		const void *in;
		void *out;
	} u = { .in = subject };

	for (int n = 1; n <= 2; n++)
		*at++ = (struct CMUnitTest){
			.name = mem_printf(NULL, "%s (of %d): %s", name, n, of),
			.test_func = test,
			.setup_func = n == 1 ? alone : beside_another,
			.initial_state = u.out,
		};
	return at;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		CMUnitTestFunction test;
	} of_writers[] = {
		{ "an owner writes", an_owner_writes },
		{ "a stale owner gets no transaction",
		  a_stale_owner_gets_no_transaction },
		{ "nobody claims meanwhile", nobody_claims_meanwhile },
		{ "cut off, it changes nothing",
		  a_writer_that_was_cut_off_changes_nothing },
	},
	  of_checkers[] = {
		  { "knows its owner", a_checker_knows_its_owner },
		  { "does not guess", a_checker_does_not_guess },
	  };
	static const struct CMUnitTest singles[] = {
		cmocka_unit_test_setup(writing_the_same_twice_is_fine, alone),
		cmocka_unit_test_setup(the_time_left_is_the_databases, alone),
		cmocka_unit_test_setup(a_heartbeat_leaves_a_row_at_rest, alone),
		cmocka_unit_test_setup(a_late_reclaim_changes_nothing, alone),
		cmocka_unit_test_setup(what_failed_in_part_is_not_committed, alone),
		cmocka_unit_test_setup(tasks_of_another_operation_are_out_of_reach,
				       alone),
	};
	static struct CMUnitTest
		tests[2 * ARRAY_SIZE(of_writers) * ARRAY_SIZE(tx_writers) +
		      2 * ARRAY_SIZE(of_checkers) * ARRAY_SIZE(checkers) +
		      ARRAY_SIZE(singles)];
	struct CMUnitTest *at = tests;

	if (argc > 1 && strcmp(argv[1], "--list") == 0)
		return list();
	for (size_t t = 0; t < ARRAY_SIZE(of_writers); t++)
		for (size_t w = 0; w < ARRAY_SIZE(tx_writers); w++)
			at = add(at, tx_writers[w].name, of_writers[t].test,
				 of_writers[t].name, &tx_writers[w]);
	for (size_t t = 0; t < ARRAY_SIZE(of_checkers); t++)
		for (size_t c = 0; c < ARRAY_SIZE(checkers); c++)
			at = add(at, checkers[c].name, of_checkers[t].test,
				 of_checkers[t].name, &checkers[c]);
	assert(at + ARRAY_SIZE(singles) == tests + ARRAY_SIZE(tests));
	memcpy(at, singles, sizeof(singles));
	return cmocka_run_group_tests_name("writers", tests, store_start, store_stop);
}
