/*
 * test_fcgi_why.c - why an apply does or does not move: every state in every situation
 * has a sentence, and what it says about the claim is what the claim does.
 */
#include <string.h>

#include "fcgi/why.h"
#include "tests/unit/unit.h"

static TALLOC_CTX *ctx;

static int setup(void **unused)
{
	(void)unused;
	ctx = mem_ctx(NULL, "test");
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	talloc_free(ctx);
	return 0;
}

typedef void visitor(const struct why_facts *f);

/* Every combination of what decides. */
static void walk(visitor *visit)
{
	static const struct {
		bool stamped;
		int64_t due_ms;
	} dues[] = { { false, 0 },     { true, 1 },	  { true, 45999 },
		     { true, 0 },      { true, -1 },	  { true, -WHY_OVERDUE_MS },
		     { true, -15001 }, { true, -3600000 } };

	for (int s = 0; s < STATE_COUNT; s++)
		for (size_t d = 0; d < ARRAY_SIZE(dues); d++)
			for (int bits = 0; bits < 64; bits++)
				for (int hold = WHY_FREE; hold <= WHY_HALTED; hold++) {
					const struct why_facts f = {
						.state = (enum state)s,
						.stamped = dues[d].stamped,
						.due_ms = dues[d].due_ms,
						.due_at = dues[d].stamped
								  ? "2026-11-21T00:00:00Z"
								  : NULL,
						.owner = bits & 1 ? "host/7" : NULL,
						.error = bits & 2 ? "no route" : "",
						.detail = bits & 4 ? "copying" : NULL,
						.attempt = 3,
						.hold = (enum why_hold)hold,
						.blocker = "eu",
						.blocker_state = STATE_RUNNING,
						.policy = "rolling",
						.gate_shut = bits & 8,
						.defers = bits & 16,
						.asked = bits & 32,
					};

					visit(&f);
				}
}

static bool seen[WHY_SITUATION_COUNT];

static void is_a_sentence(const char *text, const struct why_facts *f)
{
	size_t n = strlen(text);

	if (n < 10 || strstr(text, "(null)") || strstr(text, "  ") ||
	    !(text[0] >= 'A' && text[0] <= 'Z'))
		fail_msg("%s: '%s'", state_name(f->state), text);
	if (text[n - 1] != '.' && !(*f->error && strcmp(text + n - 8, "no route") == 0))
		fail_msg("%s: '%s' has no end", state_name(f->state), text);
}

static void check(const struct why_facts *f)
{
	enum why_situation s = why_judge(f);
	bool settled = state_is_settled(f->state);
	char *clause = why_clause(ctx, f);

	seen[s] = true;
	is_a_sentence(why_sentence(ctx, f), f);
	for (int c = 0; c < CONTROL_COUNT; c++)
		for (int stop = 0; stop < 2; stop++)
			is_a_sentence(why_request(ctx, (enum control)c, stop, f), f);
	/* The claim is `claim_after <= NOW(6)` and nothing else (a settled row cannot
	 * have one: the table refuses). */
	if (!settled)
		assert_int_equal(why_claimable(f), f->stamped && f->due_ms <= 0);
	assert_int_equal(strstr(clause, " matches: ") != NULL,
			 f->stamped && f->due_ms <= 0);
	assert_int_equal(s == WHY_IS_SETTLED, settled && !f->stamped);
	if (!f->stamped && !settled && f->state != STATE_PENDING &&
	    f->state != STATE_STOPPED)
		assert_int_equal(s, WHY_IS_CONTRADICTION);
	if (s == WHY_IS_DRIVEN || s == WHY_IS_DIED)
		assert_non_null(strstr(why_sentence(ctx, f), "host/7"));
	if (s == WHY_IS_HELD || s == WHY_IS_PAUSED || s == WHY_IS_HALTED)
		assert_non_null(strstr(why_sentence(ctx, f), "'eu'"));
	if (s == WHY_IS_RETRYING)
		assert_non_null(strstr(why_sentence(ctx, f), "Retry 4 of 10"));
	/* Whatever waits for a person names what the person can do. */
	if (s == WHY_IS_PAUSED || s == WHY_IS_OVERDUE || s == WHY_IS_CONTRADICTION ||
	    (s == WHY_IS_STOPPED && !f->asked) ||
	    (f->state == STATE_WAITING_FOR_CUTOVER && f->defers && !f->gate_shut &&
	     !f->asked && s != WHY_IS_CONTRADICTION))
		assert_true(*why_next(f));
	talloc_free_children(ctx);
}

static void every_state_in_every_situation(void **unused)
{
	(void)unused;
	walk(check);
	for (int s = 0; s < WHY_SITUATION_COUNT; s++) {
		if (!seen[s])
			fail_msg("%s never happens",
				 why_situation_name((enum why_situation)s));
		assert_true(strlen(why_situation_name((enum why_situation)s)) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_in_every_situation),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
