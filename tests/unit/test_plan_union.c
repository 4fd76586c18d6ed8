/*
 * test_plan_union.c - the plans of several deployments as one: what is needed anywhere,
 * once, in an order that is right everywhere; and what cannot be one plan.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/plan_union.h"
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

static const struct config_deployment places[] = { { .name = "eu" },
						   { .name = "us" },
						   { .name = "ap" } };

/* A plan that alters the named tables, in order; "t!" = another statement for t. */
static struct schema_plan *plan_of(const char *tables)
{
	struct schema_plan *p = mem_new(ctx, struct schema_plan);
	struct schema_change *c = mem_array(ctx, struct schema_change, 8);
	char *text = mem_strdup(ctx, tables), *save = NULL;

	for (char *t = strtok_r(text, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
		bool other = t[strlen(t) - 1] == '!';

		if (other)
			t[strlen(t) - 1] = '\0';
		c[p->n_changes++] = (struct schema_change){
			.namespace = "shop",
			.table = t,
			.ddl = mem_printf(ctx, "ALTER TABLE `%s` %s", t,
					  other ? "DROP b" : "ADD a"),
			.action = "alter",
			.unsafe_reason = "",
			.execution_mode = "",
			.mode_reason = "",
			.table_rows = -1,
			.table_bytes = -1,
		};
	}
	p->changes = c;
	return p;
}

static struct schema_plan *unite(const char *eu, const char *us, const char *ap)
{
	struct schema_plan *plans[] = { plan_of(eu), plan_of(us), plan_of(ap) };
	struct schema_plan *out;

	plan_union(ctx, places, plans, 3, &out);
	return out;
}

static void assert_tables(const struct schema_plan *p, const char *expected)
{
	char text[200] = "";

	for (size_t i = 0; i < p->n_changes; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			 i > 0 ? " " : "", p->changes[i].table);
	assert_string_equal(text, expected);
}

static void each_change_stands_once_in_every_order(void **unused)
{
	(void)unused;
	assert_tables(unite("a b c", "a b c", "a b c"), "a b c");
	assert_tables(unite("a c", "b c", ""), "b a c");
	assert_tables(unite("a d", "a b c d", "c d e"), "a b c d e");
	assert_tables(unite("", "", "z"), "z");
	assert_tables(unite("", "", ""), "");
}

/* A table's statements; a deployment may have the first of them behind it. */
static void several_statements_are_matched_from_the_end(void **unused)
{
	const struct schema_plan *p = unite("t! p t", "p t", "t");

	(void)unused;
	assert_int_equal(p->n_errors, 0);
	assert_tables(p, "t p t");
	assert_string_equal(p->changes[0].ddl, "ALTER TABLE `t` DROP b");
	p = unite("p t", "t! p t", "");
	assert_int_equal(p->n_errors, 0);
	assert_tables(p, "t p t");
	assert_string_equal(p->changes[0].ddl, "ALTER TABLE `t` DROP b");
	p = unite("t! t", "t!", "");
	assert_int_equal(p->n_errors, 1);
}

static void different_statements_are_an_error_that_names_both(void **unused)
{
	const struct schema_plan *p = unite("a b", "a b!", "b");

	(void)unused;
	assert_int_equal(p->n_errors, 1);
	assert_non_null(strstr(p->errors[0], "'b'"));
	assert_non_null(strstr(p->errors[0], "'eu'"));
	assert_non_null(strstr(p->errors[0], "'us'"));
	assert_non_null(strstr(p->errors[0], "DROP b"));
}

static void the_harsher_verdict_counts(void **unused)
{
	struct schema_plan *plans[] = { plan_of("a"), plan_of("a") }, *out;
	struct schema_change mild = plans[0]->changes[0], harsh = plans[1]->changes[0];

	(void)unused;
	mild.algorithm = ENGINE_ALGORITHM_INSTANT;
	mild.table_rows = 10;
	harsh.algorithm = ENGINE_ALGORITHM_COPY;
	harsh.execution_mode = "direct";
	harsh.mode_reason = "blocks";
	harsh.is_unsafe = true;
	harsh.unsafe_reason = "why";
	harsh.table_rows = 1000;
	plans[0]->changes = &mild;
	plans[1]->changes = &harsh;
	plan_union(ctx, places, plans, 2, &out);
	assert_int_equal(out->n_changes, 1);
	assert_int_equal(out->changes[0].algorithm, ENGINE_ALGORITHM_COPY);
	assert_string_equal(out->changes[0].execution_mode, "direct");
	assert_string_equal(out->changes[0].mode_reason, "blocks");
	assert_true(out->changes[0].is_unsafe);
	assert_int_equal(out->changes[0].table_rows, 1000);
}

/* In the same mode the dearer one explains itself; what is not known is the dearest. */
static void the_dearer_cost_counts(void **unused)
{
	static const enum engine_cost order[] = { ENGINE_COST_METADATA, ENGINE_COST_INDEX,
						  ENGINE_COST_REBUILD,
						  ENGINE_COST_UNKNOWN };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		for (size_t k = 0; k < ARRAY_SIZE(order); k++) {
			struct schema_plan *plans[] = { plan_of("a"), plan_of("a") };
			struct schema_change one = plans[0]->changes[0];
			struct schema_change two = plans[1]->changes[0];
			struct schema_plan *out;

			one.cost = order[i];
			one.mode_reason = "one";
			two.cost = order[k];
			two.mode_reason = "two";
			plans[0]->changes = &one;
			plans[1]->changes = &two;
			plan_union(ctx, places, plans, 2, &out);
			assert_int_equal(out->changes[0].cost, order[i > k ? i : k]);
			assert_string_equal(out->changes[0].mode_reason,
					    k > i ? "two" : "one");
		}
}

static void errors_and_lint_are_said_once(void **unused)
{
	static const char *const everywhere[] = { "bad file" };
	static const char *const here[] = { "bad file", "no such charset" };
	static const struct schema_lint lint[] = { { "m", "t", "c", "l", "info", "" } };
	static const struct schema_original original[] = { { "shop", "a", "CREATE",
							     NULL } };
	struct schema_plan *plans[] = { plan_of(""), plan_of("") }, *out;

	(void)unused;
	for (size_t i = 0; i < 2; i++) {
		plans[i]->errors = i == 0 ? everywhere : here;
		plans[i]->n_errors = i + 1;
		plans[i]->lint = lint;
		plans[i]->n_lint = 1;
		plans[i]->originals = original;
		plans[i]->n_originals = 1;
	}
	plan_union(ctx, places, plans, 2, &out);
	assert_int_equal(out->n_errors, 2);
	assert_string_equal(out->errors[0], "bad file");
	assert_string_equal(out->errors[1], "Deployment 'us': no such charset");
	assert_int_equal(out->n_lint, 1);
	assert_int_equal(out->n_originals, 2);
	assert_string_equal(out->originals[0].deployment, "eu");
	assert_string_equal(out->originals[1].deployment, "us");
}

static void one_deployment_is_its_own_plan(void **unused)
{
	struct schema_plan *plan = plan_of("a"), *out;

	(void)unused;
	plan_union(ctx, places, &plan, 1, &out);
	assert_ptr_equal(out, plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_change_stands_once_in_every_order),
		cmocka_unit_test(several_statements_are_matched_from_the_end),
		cmocka_unit_test(different_statements_are_an_error_that_names_both),
		cmocka_unit_test(the_harsher_verdict_counts),
		cmocka_unit_test(the_dearer_cost_counts),
		cmocka_unit_test(errors_and_lint_are_said_once),
		cmocka_unit_test(one_deployment_is_its_own_plan),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
