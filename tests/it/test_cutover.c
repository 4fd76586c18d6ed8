/*
 * test_cutover.c - the cutover, raced by writers that count what was
 * acknowledged to them: afterwards every one of these writes is in the table,
 * once, and none has waited for longer than the cutover may take.
 *
 * Each round is a whole change of a small table with another name, because the
 * order of names decides what RENAME waits for first (ENGINE.md 7.5).
 * SB_CUTOVERS says how many; some have a third session at the table or at its
 * shadow.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "engines/artefact.h"
#include "engines/mysql/checkpoint.h"
#include "engines/mysql/copy/change.h"
#include "engines/mysql/copy/cutover.h"
#include "tests/it/store.h"

#define WRITERS 4
#define ROUNDS	30
/* What this machine may be busy with besides. */
#define SLACK_MS 1500

static const char *const names[] = {
	"t",
	"_t",
	"~t",
	"T~",
	"t~sb_new_0000000000000000",
	"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
	/* A file name has 255 bytes: five for such a character. */
	"~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~",
	"_______________________________________________________________x",
	"a`b' \"c",
	"$",
	"9",
	"таблица_с_очень_длинным_именем_которое_займёт_все_шестьдесят_чет",
	"表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表表"
	"表表表表表",
	"é",
	"\xEF\xBF\xBC",
};

/* ---- sessions
 * -------------------------------------------------------------------------
 */

static struct {
	bool stop;
	const char *table, *shadow; /* quoted */
} scene;

static bool over(void)
{
	return __atomic_load_n(&scene.stop, __ATOMIC_RELAXED);
}

struct writer {
	unsigned number;
	struct db *db;
	pthread_t thread;
	uint64_t inserted, added; /* acknowledged */
	int64_t longest_ms;
	struct sb_err err; /* what nobody may be told */
};

/* What a writer may be told while tables change: nothing was written then. */
static bool is_passing(const struct sb_err *err)
{
	return db_error_kind(err->db_errno) == DB_ERR_BUSY;
}

static void *write_thread(void *arg)
{
	TALLOC_CTX *ctx = mem_ctx(NULL, "writer");
	struct writer *w = arg;

	db_thread_init();
	while (!over() && w->err.code == SB_OK) {
		const int64_t began = clock_ms();
		const bool insert = (w->inserted + w->added) % 2 == 0;
		char *sql =
			insert ? mem_printf(ctx,
					    "INSERT INTO %s (writer, n) VALUES (%u, 0)",
					    scene.table, w->number)
			       : mem_printf(ctx, "UPDATE %s SET n = n + 1 WHERE id = %u",
					    scene.table, w->number + 1);
		struct sb_err err;

		if (db_run(w->db, sql, &err) == 0)
			*(insert ? &w->inserted : &w->added) += 1;
		else if (!is_passing(&err))
			w->err = err;
		if (clock_ms() - began > w->longest_ms)
			w->longest_ms = clock_ms() - began;
		clock_sleep_ms(1);
		talloc_free_children(ctx);
	}
	db_thread_end();
	talloc_free(ctx);
	return NULL;
}

/* A third session: what it holds, it holds for a moment, again and again. */
static const struct third {
	const char *name, *take, *give; /* # = the table, @ = its shadow */
} thirds[] = {
	{ "nobody else", NULL, NULL },
	{ "a reader of the table", "SELECT COUNT(*) FROM #", "COMMIT" },
	{ "a reader of the shadow", "SELECT COUNT(*) FROM @", "COMMIT" },
	{ "a lock on the table", "LOCK TABLES # READ", "UNLOCK TABLES" },
	{ "a lock on the shadow", "LOCK TABLES @ READ", "UNLOCK TABLES" },
	{ "a write lock on the shadow", "LOCK TABLES @ WRITE", "UNLOCK TABLES" },
};

struct bystander {
	const struct third *kind;
	struct db *db;
	unsigned seed;
	uint64_t held;
	pthread_t thread;
};

static char *expand(TALLOC_CTX *ctx, const char *text)
{
	struct buf b;

	buf_init(&b, ctx);
	for (const char *p = text; *p; p++)
		if (*p == '#' || *p == '@')
			buf_str(&b, *p == '#' ? scene.table : scene.shadow);
		else
			buf_char(&b, *p);
	return b.data;
}

static void *stand_by(void *arg)
{
	TALLOC_CTX *ctx = mem_ctx(NULL, "third");
	struct bystander *b = arg;
	struct sb_err ignored; /* there is no shadow before and after */

	db_thread_init();
	if (db_run(b->db, "SET autocommit = 0", &ignored) < 0)
		b->kind = &thirds[0];
	while (b->kind->take && !over()) {
		if (db_run(b->db, expand(ctx, b->kind->take), &ignored) == 0)
			b->held++;
		clock_sleep_ms(rand_r(&b->seed) % 80);
		if (db_run(b->db, b->kind->give, &ignored) < 0)
			break;
		clock_sleep_ms(rand_r(&b->seed) % 80);
		talloc_free_children(ctx);
	}
	db_thread_end();
	talloc_free(ctx);
	return NULL;
}

/* ---- the change
 * -----------------------------------------------------------------------
 */

static bool halted(void *arg)
{
	(void)arg;
	return false;
}

static int volume(void *arg)
{
	(void)arg;
	return 3;
}

static bool cutover_wanted(void *arg)
{
	(void)arg;
	return true;
}

#define LET_WRITERS_PASS "SET GLOBAL max_write_lock_count = 1"
#define AS_IT_WAS	 "SET GLOBAL max_write_lock_count = DEFAULT"

static bool setting_changes; /* just before the cutover, until it was tried twice */

static int cutting(void *arg, struct sb_err *err)
{
	(void)arg;
	(void)err;
	if (setting_changes)
		store_sql(LET_WRITERS_PASS);
	return 0;
}

static void report(void *arg, size_t task, const struct change_report *r)
{
	(void)task;
	*(int *)arg = r->cutover_attempts;
	if (setting_changes && r->cutover_attempts == 2)
		store_sql(AS_IT_WAS);
}

static void done(void *arg, size_t task, const char *note)
{
	(void)arg;
	(void)task;
	(void)note;
}

static uint64_t token;

static int change(const char *name, const char *apply_id, int *attempts,
		  struct sb_err *err)
{
	const struct change_hooks hooks = { attempts, halted, volume, cutover_wanted,
					    cutting,  report, done };
	struct db_params target = *db_params(store.db);
	char *ddl = mem_printf(store.ctx, "ALTER TABLE %s ADD COLUMN `more` INT",
			       db_ident(store.ctx, name));
	char *operation = mem_printf(store.ctx, "%s/main", apply_id);
	const struct engine_task task = { .id = "task",
					  .namespace = "n",
					  .schema = target.schema,
					  .table = name,
					  .ddl = ddl,
					  .action = "alter" };
	const struct engine_request request = { .target = &target,
						.apply_id = apply_id,
						.operation = operation,
						.lease_token = ++token,
						.tasks = &task,
						.n_tasks = 1 };
	struct change_args args = { .target = &target,
				    .apply_id = apply_id,
				    .operation = operation,
				    .token = token,
				    .tasks = &task,
				    .n = 1,
				    .hooks = &hooks };
	struct db *locks;
	int rc;

	target.role = DB_TARGET;
	if (db_open(store.ctx, &target, &locks, err) < 0 ||
	    mysql_checkpoint_write(locks, &request, err) < 0)
		return -1;
	args.locks = locks;
	rc = change_run(&args, err);
	if (rc == 1 && mysql_checkpoint_remove(locks, operation, token, target.schema,
					       name, err) < 0)
		rc = -1;
	talloc_free(locks);
	return rc;
}

/* ---- a round
 * --------------------------------------------------------------------------
 */

static void start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	if (pthread_create(thread, NULL, fn, arg) != 0)
		fail_msg("cannot start a thread");
}

/* Each writer's inserts are its rows; what it added is in the row with its
 * number. */
static void count(const char *what, const struct writer *w)
{
	int64_t rows = store_number("SELECT COUNT(*) FROM %s WHERE writer = %u",
				    scene.table, w->number);
	int64_t added = store_number("SELECT n FROM %s WHERE id = %u", scene.table,
				     w->number + 1);

	if (w->err.code != SB_OK)
		fail_msg("%s: a writer was told: %s", what, w->err.msg);
	if (rows != (int64_t)w->inserted || added != (int64_t)w->added)
		fail_msg("%s: of %" PRIu64 " inserted rows %" PRId64 " are there, of "
			 "%" PRIu64 " additions %" PRId64,
			 what, w->inserted, rows, w->added, added);
	if (w->longest_ms > CUTOVER_BUDGET_MS + 1000 * CUTOVER_LOCK_SECONDS + SLACK_MS)
		fail_msg("%s: a write took %" PRId64 " ms", what, w->longest_ms);
}

static void prepare(const char *name, const char *apply_id)
{
	struct sb_err err;
	char *shadow = artefact_name(store.ctx, name, ARTEFACT_SHADOW, apply_id, &err);
	char *old = artefact_name(store.ctx, name, ARTEFACT_OLD, apply_id, &err);

	if (!shadow || !old)
		fail_msg("%s: %s", name, err.msg);
	scene.table = db_ident(store.ctx, name);
	scene.shadow = db_ident(store.ctx, shadow);
	scene.stop = false;
	store_sql("DROP TABLE IF EXISTS %s, %s", scene.table, db_ident(store.ctx, old));
	store_sql("CREATE TABLE %s (id INT AUTO_INCREMENT PRIMARY KEY, writer INT,"
		  " n INT)",
		  scene.table);
	for (unsigned i = 0; i < WRITERS; i++)
		store_sql("INSERT INTO %s (writer, n) VALUES (-1, 0)", scene.table);
}

/* How many tries it took. */
static int race(const char *name, const struct third *kind, unsigned number)
{
	char *apply_id = mem_printf(store.ctx, "apply-%032x", number + 1);
	char *what = mem_printf(store.ctx, "round %u, %s, %s", number, name, kind->name);
	struct writer writers[WRITERS];
	struct bystander third = { .kind = kind, .seed = number };
	struct sb_err err = { 0 };
	uint64_t writes = 0;
	int64_t longest = 0;
	int attempts = 0, rc;

	prepare(name, apply_id);
	third.db = store_connect();
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .number = i, .db = store_connect() };
		start(&writers[i].thread, write_thread, &writers[i]);
	}
	start(&third.thread, stand_by, &third);
	rc = change(name, apply_id, &attempts, &err);
	__atomic_store_n(&scene.stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		talloc_free(writers[i].db);
		writes += writers[i].inserted + writers[i].added;
		if (writers[i].longest_ms > longest)
			longest = writers[i].longest_ms;
	}
	pthread_join(third.thread, NULL);
	talloc_free(third.db);
	print_message("%s (held %" PRIu64 " times): %" PRIu64 " writes, longest %" PRId64
		      " ms, try %d\n",
		      what, third.held, writes, longest, attempts);
	if (rc != 1)
		fail_msg("%s: %d: %s", what, rc, err.msg);
	for (unsigned i = 0; i < WRITERS; i++)
		count(what, &writers[i]);
	if (writes == 0)
		fail_msg("%s: nothing was written", what);
	store_sql("DROP TABLE %s", scene.table);
	return attempts;
}

static void no_acknowledged_write_is_lost(void **unused)
{
	const char *wanted = getenv("SB_CUTOVERS");
	unsigned rounds = wanted ? (unsigned)strtoul(wanted, NULL, 10) : ROUNDS;

	(void)unused;
	store_try("DROP DATABASE `_schemabot_state`");
	for (unsigned i = 0; i < rounds; i++)
		race(names[i % ARRAY_SIZE(names)],
		     &thirds[(i + i / ARRAY_SIZE(names)) % ARRAY_SIZE(thirds)], i);
}

/* MariaDB can be told to let writers pass a RENAME that waits. Before a copy
 * that is a refusal; before the cutover it waits for a better time. */
static void writers_that_may_pass_are_no_cutover(void **unused)
{
	struct sb_err err = { 0 };
	char *apply_id = mem_printf(store.ctx, "apply-%032x", 1);
	int attempts = 0;

	(void)unused;
	if (db_flavor(store.admin) != DB_MARIADB)
		return;
	prepare("t", apply_id);
	store_sql(LET_WRITERS_PASS);
	assert_int_equal(change("t", apply_id, &attempts, &err), -1);
	store_sql(AS_IT_WAS);
	assert_int_equal(err_class(err.code), ERR_PERMANENT);
	assert_non_null(strstr(err.msg, "SET GLOBAL max_write_lock_count = DEFAULT"));
	setting_changes = true;
	attempts = race("t", &thirds[1], 1);
	setting_changes = false;
	assert_true(attempts > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_acknowledged_write_is_lost, store_empty),
		cmocka_unit_test_setup(writers_that_may_pass_are_no_cutover, store_empty),
	};

	return cmocka_run_group_tests(tests, store_start, store_stop);
}
