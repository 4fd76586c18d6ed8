/*
 * test_config.c - the configuration file: what is accepted, what is refused and with
 * which line, and that no secret gets out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/config.h"
#include "core/schema/rules.h"
#include "tests/unit/unit.h"

static TALLOC_CTX *ctx;
static char path[] = "/tmp/schemabot-config-XXXXXX";

static int setup(void **unused)
{
	int fd = mkstemp(path);

	(void)unused;
	ctx = mem_ctx(NULL, "test");
	setenv("TEST_PW", "s3cret-value", 1);
	return fd < 0 || close(fd) < 0 ? -1 : 0;
}

static int teardown(void **unused)
{
	(void)unused;
	unlink(path);
	talloc_free(ctx);
	return 0;
}

static int load(const char *text, struct config **out, struct sb_err *err)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return config_load(ctx, path, out, err);
}

#define STORAGE \
	"storage = { user = \"u\"; password = \"env:TEST_PW\"; database = \"s\"; };\n"
#define SHOP                                                                              \
	"databases = { shop = { type = \"mysql\"; environments = { staging = {"           \
	" user = \"t\"; password = \"env:TEST_PW\"; schemas = { shop = \"shop_s\"; }; };" \
	" production = { user = \"t\"; password = \"env:TEST_PW\"; }; }; }; };\n"

static void a_good_file_is_understood(void **unused)
{
	const struct config_environment *env;
	struct config *c;
	struct sb_err err;

	(void)unused;
	if (load(STORAGE SHOP, &c, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(c->drivers, 4);
	assert_string_equal(c->run_dir, "/run/schemabot");
	assert_int_equal(c->storage.port, 3306);
	assert_string_equal(c->storage.password, "s3cret-value");
	env = config_environment(config_database(c, "shop"), "staging");
	assert_int_equal(env->n_deployments, 1);
	assert_string_equal(config_schema(&env->deployments[0], "shop"), "shop_s");
	assert_null(config_schema(&env->deployments[0], "other"));
	assert_string_equal(env->deployments[0].db.name, "shop/staging");
	assert_string_equal(env->deployments[0].name, "default");
	assert_string_equal(env->deployment, "default");
	assert_string_equal(env->target, "shop");
	assert_ptr_equal(config_deployment(env, "default"), &env->deployments[0]);
	assert_null(config_deployment(env, "eu"));
	env = config_environment(config_database(c, "shop"), "production");
	assert_string_equal(config_schema(&env->deployments[0], "shop"), "shop");
	assert_null(config_database(c, "nope"));
}

/* One server of an environment that has several. */
#define SERVER "{ user = \"t\"; password = \"env:TEST_PW\"; };"
#define FLEET(keys)                                                                       \
	"databases = { shop = { type = \"mysql\"; environments = { production = {\n" keys \
	"}; }; }; };\n"
#define THREE "deployments = { eu = " SERVER " us = " SERVER " ap = " SERVER " };\n"

static void several_deployments_have_an_order_and_policies(void **unused)
{
	const struct config_environment *env;
	struct config *c;
	struct sb_err err;

	(void)unused;
	if (load(STORAGE FLEET(THREE), &c, &err) < 0)
		fail_msg("%s", err.msg);
	env = config_environment(config_database(c, "shop"), "production");
	assert_int_equal(env->n_deployments, 3);
	assert_string_equal(env->deployment, "eu,us,ap");
	assert_string_equal(env->target, "eu,us,ap");
	assert_string_equal(env->deployments[1].db.name, "shop/production/us");
	assert_string_equal(env->deployments[1].target, "us");
	assert_string_equal(config_schema(&env->deployments[2], "shop"), "shop");
	assert_string_equal(env->cutover_policy, "rolling");
	assert_string_equal(env->on_failure, "halt");

	if (load(STORAGE FLEET(THREE "deployment_order = [ \"ap\", \"eu\", \"us\" ];"
				     "cutover_policy = \"barrier\";"
				     "on_failure = \"pause\";"),
		 &c, &err) < 0)
		fail_msg("%s", err.msg);
	env = config_environment(config_database(c, "shop"), "production");
	assert_string_equal(env->deployment, "ap,eu,us");
	assert_string_equal(env->deployments[0].name, "ap");
	assert_string_equal(env->cutover_policy, "barrier");
	assert_string_equal(env->on_failure, "pause");
}

static void drops_and_logs_are_kept_for_a_while(void **unused)
{
	const struct config_environment *env;
	struct config *c;
	struct sb_err err;

	(void)unused;
	if (load(STORAGE FLEET(THREE), &c, &err) < 0)
		fail_msg("%s", err.msg);
	env = config_environment(config_database(c, "shop"), "production");
	assert_false(env->quarantine_drops);
	assert_int_equal(env->drops_retention_hours, 168);
	assert_int_equal(c->log_retention_days, 90);
	assert_int_equal(env->direct_max_rows + env->direct_max_bytes, 0);
	assert_int_equal(env->direct_lock_seconds, 10);
	if (load(STORAGE FLEET(
			 THREE
			 "pending_drops = { enabled = true; };") "log_retention_days = 0;",
		 &c, &err) < 0)
		fail_msg("%s", err.msg);
	env = config_environment(config_database(c, "shop"), "production");
	assert_true(env->quarantine_drops);
	assert_int_equal(env->drops_retention_hours, 168);
	assert_int_equal(c->log_retention_days, 0);
}

static void small_tables_may_be_changed_under_a_lock(void **unused)
{
	const struct config_environment *env;
	struct config *c;
	struct sb_err err;

	(void)unused;
	if (load(STORAGE FLEET(THREE "direct = { max_table_rows = 500;"
				     " lock_acquisition_timeout = 3; };"),
		 &c, &err) < 0)
		fail_msg("%s", err.msg);
	env = config_environment(config_database(c, "shop"), "production");
	assert_int_equal(env->direct_max_rows, 500);
	assert_int_equal(env->direct_max_bytes, 0);
	assert_int_equal(env->direct_lock_seconds, 3);
	if (load(STORAGE FLEET(THREE "direct = { max_table_bytes = 65536;"
				     " max_table_rows = 0; };"),
		 &c, &err) < 0)
		fail_msg("%s", err.msg);
	env = config_environment(config_database(c, "shop"), "production");
	assert_int_equal(env->direct_max_bytes, 65536);
}

static void a_workspace_is_a_connection_of_its_own(void **unused)
{
	static const char workspace[] =
		"workspace = { user = \"w\"; password = \"env:TEST_PW\"; port = 3307; };";
	const struct config_environment *env;
	char *dump = NULL, *text;
	size_t len = 0;
	FILE *out = open_memstream(&dump, &len);
	struct config *c;
	struct sb_err err;

	(void)unused;
	assert_int_equal(load(STORAGE FLEET(THREE), &c, &err), 0);
	assert_null(config_environment(config_database(c, "shop"), "production")
			    ->deployments[0]
			    .workspace);
	text = mem_printf(ctx,
			  STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\"; %s"),
			  workspace);
	if (load(text, &c, &err) < 0)
		fail_msg("%s", err.msg);
	env = config_environment(config_database(c, "shop"), "production");
	assert_string_equal(env->deployments[0].workspace->user, "w");
	assert_string_equal(env->deployments[0].workspace->password, "s3cret-value");
	assert_int_equal(env->deployments[0].workspace->port, 3307);
	assert_string_equal(env->deployments[0].workspace->name,
			    "shop/production (workspace)");
	assert_string_equal(env->deployments[0].db.user, "t");
	config_dump(c, out);
	fclose(out);
	assert_non_null(strstr(dump, "workspace = {"));
	assert_non_null(strstr(dump, "port = 3307;"));
	assert_null(strstr(dump, "s3cret-value"));
	free(dump);
}

static void a_throttle_has_limits_and_replicas(void **unused)
{
	const struct throttle_limits *t;
	char *dump = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&dump, &len);
	struct config *c;
	struct sb_err err;

	(void)unused;
	if (load(STORAGE FLEET(
			 "deployments = { eu = " SERVER "us = { user = \"t\";"
			 "password = \"env:TEST_PW\"; throttle = { max_threads_running = 0;"
			 "max_checkpoint_age_percent = 80; replicas = ("
			 "{ host = \"db2\"; user = \"r\"; password = \"env:TEST_PW\"; },"
			 "{ socket = \"/db3\"; user = \"r\"; password = \"env:TEST_PW\"; });"
			 "}; }; };"),
		 &c, &err) < 0)
		fail_msg("%s", err.msg);
	t = &c->databases[0].environments[0].deployments[0].throttle;
	assert_int_equal(t->max_replica_lag_seconds, 120);
	assert_int_equal(t->max_threads_running, 50);
	assert_int_equal(t->max_history_list, 1000000);
	assert_int_equal(t->max_checkpoint_age_percent, 0);
	assert_int_equal(t->n_replicas, 0);
	t = &c->databases[0].environments[0].deployments[1].throttle;
	assert_int_equal(t->max_replica_lag_seconds, 120);
	assert_int_equal(t->max_threads_running, 0);
	assert_int_equal(t->max_checkpoint_age_percent, 80);
	assert_int_equal(t->n_replicas, 2);
	assert_string_equal(t->replicas[0].name, "db2:3306");
	assert_string_equal(t->replicas[0].password, "s3cret-value");
	assert_string_equal(t->replicas[1].name, "/db3");
	assert_int_equal(t->replicas[1].role, DB_TARGET);
	config_dump(c, out);
	fclose(out);
	assert_non_null(strstr(dump, "max_threads_running = 50;"));
	assert_non_null(strstr(dump, "max_threads_running = 0;"));
	assert_non_null(strstr(dump, "replicas = ();"));
	assert_non_null(strstr(dump, "replicas = ({\n"));
	assert_non_null(strstr(dump, "host = \"db2\";"));
	assert_non_null(strstr(dump, "socket = \"/db3\";"));
	assert_null(strstr(dump, "s3cret-value"));
	free(dump);
}

#define LINT(rules)                                                                     \
	STORAGE "databases = { shop = { type = \"mysql\"; environments = { staging = {" \
		" user = \"t\"; password = \"env:TEST_PW\"; }; };\n lint = {" rules     \
		"}; }; };\n"

static void what_is_wrong_is_said_with_its_line(void **unused)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ STORAGE SHOP "colour = 1;", ":3: unknown key 'colour'" },
		{ STORAGE SHOP "drivers = 0;", ":3: 'drivers' must be from 1 to 64" },
		{ STORAGE SHOP "drivers = \"4\";",
		  ":3: 'drivers' must be a whole number" },
		{ STORAGE SHOP "run_dir = 4;", ":3: 'run_dir' must be a string" },
		{ STORAGE SHOP "log_level = \"loud\";", ":3: 'log_level' must be" },
		{ STORAGE SHOP "drivers = ", ":3: syntax error" },
		{ STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\";"
				"schemas = { shop = \"_schemabot_drops\"; };"),
		  "'shop' names a schema of SchemaBot's own" },
		{ STORAGE SHOP "log_retention_days = -1;",
		  ":3: 'log_retention_days' must be from 0" },
		{ STORAGE FLEET(THREE "pending_drops = { enabled = 1; };"),
		  "'enabled' must be true or false" },
		{ STORAGE FLEET(THREE "pending_drops = { hours = 1; };"),
		  "unknown key 'hours'" },
		{ STORAGE FLEET(THREE "pending_drops = { retention_hours = 0; };"),
		  "'retention_hours' must be from 1 to 8760" },
		{ STORAGE FLEET(THREE "direct = { max_table_rows = 5;"
				      " max_table_bytes = 5; };"),
		  "not both" },
		{ STORAGE FLEET(THREE "direct = { lock_acquisition_timeout = 5; };"),
		  "'direct' must have max_table_rows or max_table_bytes" },
		{ STORAGE FLEET(THREE "direct = { max_table_rows = -1; };"),
		  "'max_table_rows' must be from 0 to 1000000" },
		{ STORAGE FLEET(THREE "direct = { max_table_rows = 1;"
				      " lock_acquisition_timeout = 0; };"),
		  "'lock_acquisition_timeout' must be from 1 to 60" },
		{ STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\";\n"
				"workspace = { user = \"w\"; };"),
		  ":4: 'password' is missing" },
		{ STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\";\n"
				"workspace = \"other\";"),
		  ":4: 'workspace' must be a group" },
		{ STORAGE FLEET(THREE "workspace = { };"),
		  ":4: 'workspace' may not stand beside 'deployments'" },
		{ STORAGE FLEET(THREE "throttle = { };"),
		  ":4: 'throttle' may not stand beside 'deployments'" },
		{ STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\";\n"
				"throttle = { max_lag = 1; };"),
		  ":4: unknown key 'max_lag'" },
		{ STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\";\n"
				"throttle = { max_checkpoint_age_percent = 101; };"),
		  ":4: 'max_checkpoint_age_percent' must be 0 or from 30 to 100" },
		{ STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\";\n"
				"throttle = { max_checkpoint_age_percent = 29; };"),
		  ":4: 'max_checkpoint_age_percent' must be 0 or from 30 to 100" },
		{ STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\";\n"
				"throttle = { replicas = \"db2\"; };"),
		  ":4: 'replicas' must be a list of groups" },
		{ STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\";\n"
				"throttle = { replicas = ( \"db2\" ); };"),
		  ":4: 'replicas' must have nothing but groups" },
		{ STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\";\n"
				"throttle = { replicas = ( { user = \"r\"; } ); };"),
		  ":4: 'password' is missing" },
		{ STORAGE FLEET(
			  "user = \"t\"; password = \"env:TEST_PW\";\n throttle = {"
			  "replicas = ( { user = \"r\"; password = \"hunter22\"; } ); };"),
		  ":4: 'password' must be env:NAME or file:PATH" },
		{ STORAGE, "'databases' is missing" },
		{ SHOP, "'storage' is missing" },
		{ SHOP
		  "storage = { user = \"u\"; password = \"hunter22\"; database = \"s\"; };",
		  "a secret may not stand in the file" },
		{ SHOP
		  "storage = { user = \"u\"; password = \"env:NOT_THERE\"; database = \"s\"; };",
		  "NOT_THERE is not set" },
		{ SHOP
		  "storage = { user = \"u\"; password = \"file:/no/such\"; database = \"s\"; };",
		  "cannot read the secret file /no/such" },
		{ STORAGE SHOP "tokens = { a = { role = \"admin\"; sha256 = \"0\"; }; };",
		  "'role' must be read or write" },
		{ STORAGE SHOP
		  "tokens = { a = { role = \"read\"; sha256 = \"abc\"; }; };",
		  "64 lower-case hex digits" },
		{ STORAGE SHOP
		  "tokens = { Alice = { role = \"read\"; sha256 = \"0\"; }; };",
		  "'Alice' is not a name" },
		{ LINT("foreign_key = \"loud\";"),
		  ":3: 'foreign_key' must be one of: off info warning error" },
		{ LINT("foreign_key = 1;"),
		  ":3: 'foreign_key' must be one of: off info warning error" },
		{ LINT("drop_table = \"warning\";"),
		  ":3: 'drop_table' can only be \"error\": a change that loses data" },
		{ STORAGE FLEET("deployments = { };"),
		  ":3: 'deployments' must name at least one" },
		{ STORAGE FLEET(THREE "port = 3306;"),
		  ":4: 'port' may not stand beside 'deployments'" },
		{ STORAGE FLEET("user = \"t\"; password = \"env:TEST_PW\";\n"
				"on_failure = \"halt\";"),
		  ":4: 'on_failure' may only stand beside 'deployments'" },
		{ STORAGE FLEET(THREE "on_failure = \"hal\";"),
		  ":4: 'on_failure' must be one of: halt continue pause" },
		{ STORAGE FLEET(THREE "cutover_policy = \"\";"),
		  ":4: 'cutover_policy' must be one of: rolling barrier parallel" },
		{ STORAGE FLEET(THREE "deployment_order = \"eu\";"),
		  ":4: 'deployment_order' must be a list of names" },
		{ STORAGE FLEET(THREE "deployment_order = [ \"eu\", \"us\" ];"),
		  ":4: 'deployment_order' does not name 'ap'" },
		{ STORAGE FLEET(THREE
				"deployment_order = [ \"eu\", \"us\", \"ap\", \"eu\" ];"),
		  ":4: 'deployment_order' names 'eu' twice" },
		{ STORAGE FLEET(THREE "deployment_order = [ \"eu\", \"us\", \"mars\" ];"),
		  ":4: 'deployment_order' names 'mars', which" },
		{ STORAGE FLEET("deployments = {\n eu = { user = \"t\"; }; };"),
		  ":4: 'password' is missing" },
		{ STORAGE FLEET(
			  "deployments = { eu = " SERVER " us = { user = \"t\";"
			  "password = \"env:TEST_PW\"; schemas = { crm = \"x\"; }; }; };"),
		  ":3: 'schemas' of 'us' has 'crm' and that of 'eu' has not" },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config *c;
		struct sb_err err;

		assert_int_equal(load(cases[i].text, &c, &err), -1);
		assert_int_equal(err.code, SB_ECONFIG);
		if (!strstr(err.msg, cases[i].says))
			fail_msg("%s", err.msg);
		assert_null(strstr(err.msg, "hunter22"));
	}
}

static void a_missing_file_is_said(void **unused)
{
	struct config *c;
	struct sb_err err;

	(void)unused;
	assert_int_equal(config_load(ctx, "/no/such/file", &c, &err), -1);
	assert_non_null(strstr(err.msg, "/no/such/file"));
}

static void the_dump_shows_a_fleet_as_it_is(void **unused)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct config *c;
	struct sb_err err;

	(void)unused;
	assert_int_equal(load(STORAGE FLEET(THREE "deployment_order = [ \"ap\", \"eu\", "
						  "\"us\" ];"),
			      &c, &err),
			 0);
	config_dump(c, out);
	fclose(out);
	assert_non_null(strstr(text, "deployment_order = [ \"ap\", \"eu\", \"us\" ];"));
	assert_true(strstr(text, "ap = {") < strstr(text, "eu = {"));
	assert_non_null(strstr(text, "cutover_policy = \"rolling\";"));
	assert_null(strstr(text, "deployment = "));
	free(text);
}

static void the_dump_has_no_secret(void **unused)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct config *c;
	struct sb_err err;

	(void)unused;
	assert_int_equal(load(STORAGE SHOP, &c, &err), 0);
	config_dump(c, out);
	fclose(out);
	assert_non_null(strstr(text, "password = [secret];"));
	assert_null(strstr(text, "s3cret-value"));
	assert_non_null(strstr(text, "shop = \"shop_s\";"));
	free(text);
}

/* The example is made from the table; with its secrets in place it must load. */
static void the_example_is_valid(void **unused)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct config *c;
	struct sb_err err;
	char *at;

	(void)unused;
	config_example(out);
	fclose(out);
	setenv("SCHEMABOT_TOKEN_SHA256",
	       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 1);
	while ((at = strstr(text, "file:/etc/schemabot/password")) != NULL)
		memcpy(at, "env:TEST_PW\";//_____________", 28);
	if (load(text, &c, &err) < 0)
		fail_msg("%s\n%s", err.msg, text);
	free(text);
}

/* The keys and the rules are the same, and every rule can have every level but those that
 * tell of lost data. */
static void every_lint_rule_has_a_level(void **unused)
{
	static const char *const levels[] = { "off", "info", "warning", "error" };
	char *text, *list = NULL;
	struct config *c;
	struct sb_err err;
	size_t known = 0;

	(void)unused;
	for (size_t i = 0; i < N_RULES; i++) {
		const struct rule *r = &lint_rules[i];

		for (size_t k = 0; k < ARRAY_SIZE(levels); k++) {
			bool may = r->scope != SCOPE_LOSS || k == 3;

			text = talloc_asprintf(ctx, LINT("%s = \"%s\";"), r->id,
					       levels[k]);
			if ((load(text, &c, &err) == 0) != may)
				fail_msg("%s = %s: %s", r->id, levels[k], err.msg);
			if (!may)
				assert_non_null(strstr(err.msg, "needs the option "
								"allow_unsafe"));
			else
				assert_int_equal(rule_level(r, c->databases[0].lint, 1),
						 k);
		}
	}
	assert_int_equal(load(LINT("nope = \"off\";"), &c, &err), -1);
	list = strstr(err.msg, ":3: 'lint' has nothing named 'nope'; there are: ");
	assert_non_null(list);
	list = strstr(list, "there are: ") + strlen("there are: ");
	for (char *word = strtok(list, " "); word; word = strtok(NULL, " "), known++)
		assert_non_null(rule_by_name(word));
	for (size_t i = 0; i < N_RULES; i++)
		known += lint_rules[i].scope == SCOPE_LOSS;
	assert_int_equal(known, N_RULES);
}

static void lint_levels_are_dumped(void **unused)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct config *c;
	struct sb_err err;

	(void)unused;
	assert_int_equal(
		load(LINT("foreign_key = \"off\"; name_case = \"info\";"), &c, &err), 0);
	assert_int_equal(c->databases[0].n_lint, 2);
	config_dump(c, out);
	fclose(out);
	assert_non_null(strstr(text, "foreign_key = \"off\";"));
	assert_non_null(strstr(text, "name_case = \"info\";"));
	free(text);
}

/* etc/schemabot.conf.example is what --example-config prints. */
static void the_shipped_example_is_up_to_date(void **unused)
{
	FILE *shipped = fopen("etc/schemabot.conf.example", "r");
	char *text = NULL, *line = NULL;
	size_t len = 0, size = 0, at = 0;
	FILE *out = open_memstream(&text, &len);

	(void)unused;
	assert_non_null(shipped);
	config_example(out);
	fclose(out);
	while (getline(&line, &size, shipped) > 0) {
		if (strncmp(text + at, line, strlen(line)) != 0)
			fail_msg("differs at: %s", line);
		at += strlen(line);
	}
	assert_int_equal(at, len);
	fclose(shipped);
	free(line);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_file_is_understood),
		cmocka_unit_test(several_deployments_have_an_order_and_policies),
		cmocka_unit_test(drops_and_logs_are_kept_for_a_while),
		cmocka_unit_test(what_is_wrong_is_said_with_its_line),
		cmocka_unit_test(a_missing_file_is_said),
		cmocka_unit_test(the_dump_shows_a_fleet_as_it_is),
		cmocka_unit_test(the_dump_has_no_secret),
		cmocka_unit_test(small_tables_may_be_changed_under_a_lock),
		cmocka_unit_test(a_workspace_is_a_connection_of_its_own),
		cmocka_unit_test(a_throttle_has_limits_and_replicas),
		cmocka_unit_test(the_example_is_valid),
		cmocka_unit_test(the_shipped_example_is_up_to_date),
		cmocka_unit_test(every_lint_rule_has_a_level),
		cmocka_unit_test(lint_levels_are_dumped),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
