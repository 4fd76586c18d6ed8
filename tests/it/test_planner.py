"""
test_planner.py - plans through the API, on both servers: what they say, that what they say
works, and that what they left behind is nothing. DESIGN.md 6, SEMANTICS H.
"""
import contextlib
import os
import signal

import pymysql
import pytest

from planner_cases import CASES, statement_cases

USERS = "CREATE TABLE users (id bigint NOT NULL AUTO_INCREMENT, name varchar(50) NOT NULL, PRIMARY KEY (id))"
ORDERS = "CREATE TABLE orders (id bigint NOT NULL AUTO_INCREMENT, user_id bigint NOT NULL, PRIMARY KEY (id), KEY user_id (user_id))"
LENIENT = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"


def changes(plan):
    return [c for ns in plan["changes"] for c in ns["table_changes"]]


def one_change(plan):
    found = changes(plan)
    assert len(found) == 1, found
    return found[0]


def linters(plan, severity=None):
    return [v["linter"] for v in plan["lint_violations"] if severity in (None, v["severity"])]


def scratch_schemas(stack):
    return [d for d in stack.databases() if d.startswith("_schemabot_")]


@contextlib.contextmanager
def target(stack):
    """A connection to the staging schema in the mode that our own sessions use."""
    connection = stack.connect("shop_staging")
    try:
        with connection.cursor() as cursor:
            cursor.execute(LENIENT)
            yield cursor
    finally:
        connection.close()


def drop_all(cursor):
    cursor.execute("SET foreign_key_checks = 0")
    cursor.execute("SHOW FULL TABLES")
    for row in cursor.fetchall():
        name, kind = row.values()
        quoted = name.replace("`", "``")
        cursor.execute(f"DROP {'VIEW' if kind == 'VIEW' else 'TABLE'} `{quoted}`")
    cursor.execute("SET foreign_key_checks = 1")


# ---- the corpus -----------------------------------------------------------------------------


def missing_words(text, words):
    at = 0
    for word in words:
        found = text.find(word, at)
        if found < 0:
            return [word]
        at = found + 1
    return []


def problems_of(stack, cursor, case):
    """What is not as the case says; [] when all is well."""
    files = {"t.sql": case.desired}
    plan = stack.post_plan(files).expect(200)
    if case.error:
        return [] if case.error in " ".join(plan["errors"]) else [f"errors: {plan['errors']}"]
    if plan["errors"]:
        return [f"errors: {plan['errors']}"]
    wanted = case.wanted(stack.flavor)
    if wanted is None:
        return [f"a change where there is none: {c['ddl']}" for c in changes(plan)]
    if len(changes(plan)) != 1:
        return [f"not one change: {changes(plan)}"]
    change = changes(plan)[0]
    problems = [f"lacks {w!r}: {change['ddl']}" for w in missing_words(change["ddl"], wanted)]
    problems += [f"has {w!r}: {change['ddl']}" for w in case.lacks if w in change["ddl"]]
    if case.unsafe != "ANY":
        if change["is_unsafe"] != bool(case.unsafe) or (case.unsafe or "") not in change["unsafe_reason"]:
            problems.append(f"unsafe: {change['unsafe_reason']!r}, not {case.unsafe!r}: {change['ddl']}")
    try:
        cursor.execute(change["ddl"])
    except pymysql.err.MySQLError as error:
        return problems + [f"does not work: {error}: {change['ddl']}"]
    again = stack.post_plan(files).expect(200)
    if changes(again) or again["errors"]:
        problems.append(f"the second plan is not empty: {changes(again)} {again['errors']}")
    return problems


def test_every_pair_of_the_corpus(stack):
    """The statement has what it should, works on the real table, and leaves nothing to do."""
    wrong = []
    with target(stack) as cursor:
        for case in CASES:
            if case.only and case.only != stack.flavor:
                continue
            drop_all(cursor)
            cursor.execute(case.live)
            wrong += [f"{case.name}: {p}" for p in problems_of(stack, cursor, case)]
    assert not wrong, "\n".join(wrong)
    assert scratch_schemas(stack) == []


def test_every_new_table_of_the_corpus(stack):
    """A CREATE is what the server would print, and nothing is missing after it."""
    wrong = []
    with target(stack) as cursor:
        for case in CASES:
            if case.only and case.only != stack.flavor:
                continue
            drop_all(cursor)
            plan = stack.post_plan({"t.sql": case.desired}).expect(200)
            if plan["errors"]:
                wrong.append(f"{case.name}: {plan['errors']}")
                continue
            change = one_change(plan)
            assert change["change_type"] == "create"
            cursor.execute(change["ddl"])
            again = stack.post_plan({"t.sql": case.desired}).expect(200)
            if changes(again) or again["errors"]:
                wrong.append(f"{case.name}: {changes(again)} {again['errors']}")
    assert not wrong, "\n".join(wrong)


def test_every_file_that_is_refused(stack):
    """One bad file: an error that names it, no change is offered, and nothing can be applied."""
    wrong = []
    for name, text, words in statement_cases():
        plan = stack.post_plan({"t.sql": text}).expect(200)
        said = " ".join(plan["errors"])
        if words not in said or "t.sql" not in said:
            wrong.append(f"{name}: {plan['errors']} lacks {words!r}")
        if changes(plan):
            wrong.append(f"{name}: it offers {changes(plan)}")
        if "_schemabot_2" in said:
            wrong.append(f"{name}: it shows a scratch schema: {said}")
        reply = stack.post_apply(plan, allow_unsafe=True)
        if not 400 <= reply.status < 500:
            wrong.append(f"{name}: it can be applied: {reply}")
    assert not wrong, "\n".join(wrong)
    assert stack.tables() == [] and scratch_schemas(stack) == []


def test_errors_name_their_line(stack):
    plan = stack.post_plan({"a.sql": "\n\nDROP TABLE x", "b.sql": "CREATE TABLE t (\n a int,\n b int NOT NUL\n)"}).expect(200)
    by_file = {file: e for e in plan["errors"] for file in ("a.sql", "b.sql") if f"shop/{file}" in e}
    assert "line 3" in by_file["a.sql"] and "line 3" in by_file["b.sql"]


# ---- files and tables ------------------------------------------------------------------------------


def test_a_missing_file_is_an_unsafe_drop(stack):
    stack.target(USERS)
    stack.target(ORDERS)
    plan = stack.plan([USERS])
    change = one_change(plan)
    assert (change["ddl"], change["change_type"], change["is_unsafe"]) == ("DROP TABLE `orders`", "drop", True)
    assert "rows" in change["unsafe_reason"]
    assert changes(stack.plan([USERS, ORDERS])) == []


def test_one_table_in_two_files(stack):
    stack.target(USERS)
    for second in (USERS, USERS.replace("50", "60"), USERS.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")):
        plan = stack.post_plan({"a.sql": USERS, "b.sql": second}).expect(200)
        assert len(plan["errors"]) == 1 and "b.sql" in plan["errors"][0] and "a.sql" in plan["errors"][0]
        assert changes(plan) == []


def test_names_that_differ_in_case_are_two_tables(stack):
    """lower_case_table_names is 0 on the servers of the tests."""
    stack.target(USERS)
    stack.target(USERS.replace("users", "Users"))
    assert changes(stack.plan([USERS, USERS.replace("users", "Users")])) == []
    change = one_change(stack.plan([USERS, USERS.replace("users", "Users").replace("50", "60")]))
    assert change["table_name"] == "Users"


def test_views_and_other_objects_are_left_alone(stack):
    stack.target(USERS)
    stack.target("CREATE VIEW v AS SELECT id FROM users")
    plan = stack.plan([USERS])
    assert changes(plan) == []
    assert [(v["table"], v["severity"]) for v in plan["lint_violations"] if v["linter"] == "unmanaged_object"] == [("v", "info")]
    plan = stack.post_plan({"u.sql": USERS, "v.sql": "CREATE TABLE v (id int NOT NULL, PRIMARY KEY (id))"}).expect(200)
    assert "v.sql" in plan["errors"][0] and "VIEW" in plan["errors"][0]


def test_tables_that_are_not_managed(stack):
    if stack.flavor != "mariadb":
        pytest.skip("MySQL has neither sequences nor system-versioned tables")
    stack.target("CREATE SEQUENCE s")
    stack.target("CREATE TABLE h (id int NOT NULL, PRIMARY KEY (id)) WITH SYSTEM VERSIONING")
    plan = stack.plan([USERS])
    assert [c["table_name"] for c in changes(plan)] == ["users"]
    assert sorted(v["table"] for v in plan["lint_violations"] if v["severity"] == "info") == ["h", "s"]


def test_a_schema_is_created_from_nothing_and_back(stack):
    """Foreign keys: parents are made first and dropped last."""
    parent = "CREATE TABLE zz (id int NOT NULL, PRIMARY KEY (id))"
    child = "CREATE TABLE aa (id int NOT NULL, z int, PRIMARY KEY (id), KEY z (z), CONSTRAINT fz FOREIGN KEY (z) REFERENCES zz (id))"
    plan = stack.plan([child, parent])
    assert [c["table_name"] for c in changes(plan)] == ["zz", "aa"]
    with target(stack) as cursor:
        for change in changes(plan):
            cursor.execute(change["ddl"])
        assert changes(stack.plan([child, parent])) == []
        plan = stack.plan([USERS])
        assert [c["table_name"] for c in changes(plan)] == ["users", "aa", "zz"]
        for change in changes(plan):
            cursor.execute(change["ddl"])
    assert stack.tables() == ["users"]


def test_foreign_keys_that_cannot_be_followed(stack):
    parent = "CREATE TABLE p (id int NOT NULL, PRIMARY KEY (id))"
    child = "CREATE TABLE c (id int NOT NULL, PRIMARY KEY (id), CONSTRAINT f FOREIGN KEY (id) REFERENCES p (id))"
    stack.target(parent)
    stack.target(child)
    plan = stack.post_plan([child]).expect(200)
    assert "foreign key" in plan["errors"][0] and "`p`" in plan["errors"][0]


def test_foreign_keys_count_when_a_change_is_tried(stack):
    """Checks are on, and the tables on both ends are there, as they will be in earnest."""
    parent = "CREATE TABLE p (id int NOT NULL, PRIMARY KEY (id))"
    child = "CREATE TABLE c (id int NOT NULL, PRIMARY KEY (id))"
    bound = child.replace("PRIMARY KEY (id))", "PRIMARY KEY (id), CONSTRAINT f FOREIGN KEY (id) REFERENCES p (id))")
    stack.target(parent)
    stack.target(child)
    change = one_change(stack.plan([parent, bound]))
    # INPLACE only works without checks.
    assert (change["execution_mode"], change["native_algorithm"]) == ("blocked", ""), change
    stack.target(change["ddl"])
    plan = stack.post_plan([parent.replace("int", "bigint"), bound]).expect(200)
    assert "sql: " in plan["errors"][0], "the files contradict each other"
    plan = stack.post_plan([parent, bound.replace("REFERENCES p", "REFERENCES nowhere").replace(" f ", " g ")]).expect(200)
    assert "does not work" in plan["errors"][0] and "_schemabot_" not in plan["errors"][0]


def test_a_foreign_key_to_another_schema_is_never_touched(stack):
    stack.target("CREATE TABLE p (id int NOT NULL, PRIMARY KEY (id))", environment="production")
    stack.target("CREATE TABLE c (id int NOT NULL, PRIMARY KEY (id), CONSTRAINT f FOREIGN KEY (id) REFERENCES shop_production.p (id))")
    try:
        plan = stack.post_plan(["CREATE TABLE c (id int NOT NULL, a int, PRIMARY KEY (id))"]).expect(200)
        assert "shop_production" in plan["errors"][0]
    finally:
        stack.target("DROP TABLE c")


def test_files_as_the_server_prints_them(stack):
    """What pull writes is what is there."""
    with target(stack) as cursor:
        for case in CASES:
            if case.only and case.only != stack.flavor:
                continue
            drop_all(cursor)
            cursor.execute(case.desired)
            cursor.execute("SHOW TABLES")
            table = list(cursor.fetchone().values())[0]
            text = stack.create_table(table)
            assert changes(stack.plan({"t.sql": text + ";\n"})) == [], case.name


# ---- what a plan says ---------------------------------------------------------------------------------


def test_the_same_plan_says_the_same(stack):
    stack.target(USERS)
    wide = USERS.replace("name varchar(50) NOT NULL", "b int, name varchar(70), a int, KEY n (name)")
    first, second = (changes(stack.plan([wide, ORDERS])) for _ in range(2))
    assert first == second and len(first) == 2


def test_safety_and_lint(stack):
    stack.target("CREATE TABLE debt (`odd name` int) DEFAULT CHARSET=latin1")
    untouched = "CREATE TABLE debt (`odd name` int) DEFAULT CHARSET=latin1"
    assert stack.plan([untouched])["lint_violations"] == []
    touched = untouched.replace("int)", "int, a int)")
    plan = stack.plan([touched])
    assert plan["lint_violations"] == [] and not one_change(plan)["is_unsafe"]
    worse = untouched.replace("int)", "int, `b b` int)")
    plan = stack.plan([worse])
    assert linters(plan, "error") == ["odd_name"]
    assert one_change(plan)["is_unsafe"] and "b b" in one_change(plan)["unsafe_reason"]
    new = stack.plan([untouched, "CREATE TABLE n (a int, KEY x (a), KEY y (a))"])
    assert set(linters(new)) == {"no_primary_key", "redundant_index"}
    assert one_change(new)["is_unsafe"]
    assert stack.post_apply(new).status // 100 == 4
    assert stack.apply(new, allow_unsafe=True)


def test_an_emoji_in_a_comment_is_pointed_out(stack):
    plan = stack.plan(["CREATE TABLE t (id int NOT NULL COMMENT '😀', PRIMARY KEY (id))"])
    assert linters(plan, "warning") == ["comment_characters"]


def test_planning_leaves_the_target_as_it_is(stack):
    stack.target(USERS)
    stack.target("INSERT INTO users (name) VALUES ('a'), ('b')")
    before = stack.create_table("users")
    stack.plan([USERS.replace("50", "5"), ORDERS])
    stack.plan([])
    assert stack.create_table("users") == before and stack.tables() == ["users"]
    assert stack.target("SELECT COUNT(*) AS n FROM users") == [{"n": 2}]
    assert scratch_schemas(stack) == []


# ---- what can go wrong -----------------------------------------------------------------------------------


@contextlib.contextmanager
def grants(stack, *changed):
    """The target account with other rights for a while."""
    before = [list(row.values())[0] for row in stack.sql("SHOW GRANTS FOR 'sb_target'@'%'")]
    try:
        for statement in changed:
            stack.sql(statement)
        yield
    finally:
        for statement in before:
            if " PASSWORD " not in statement:
                stack.sql(statement)


def test_tables_that_are_hidden_are_not_dropped(stack):
    """RV-8: an account that sees a part of the schema gets no plan."""
    stack.target(USERS)
    stack.target(ORDERS)
    with grants(stack, r"REVOKE ALL ON `shop\_staging`.* FROM 'sb_target'@'%'",
                "GRANT SELECT ON `shop_staging`.`users` TO 'sb_target'@'%'"):
        reply = stack.post_plan([USERS])
        stack.sql("REVOKE SELECT ON `shop_staging`.`users` FROM 'sb_target'@'%'")
    assert reply.status >= 400 and "GRANT SELECT" in reply.json["error"], reply
    assert len(changes(stack.plan([USERS]))) == 1


def test_without_scratch_schemas_there_is_no_plan(stack):
    with grants(stack, r"REVOKE ALL ON `\_schemabot\_%`.* FROM 'sb_target'@'%'"):
        reply = stack.post_plan([USERS])
    assert reply.status >= 400 and "scratch schema" in reply.json["error"], reply
    stack.plan([USERS])


def test_a_statement_that_waits_for_ever_is_ended(stack):
    """A lock on the server: the request ends with a reason, and nothing stays behind."""
    connection = stack.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            reply = stack.post_plan([USERS])
            cursor.execute("UNLOCK TABLES")
    finally:
        connection.close()
    assert reply.status == 503, reply
    stack.plan([USERS])
    stack.until(lambda: not scratch_schemas(stack), "the scratch schema is gone")


@pytest.mark.parametrize("point", ["schema.scratch.created", "schema.load.created",
                                   "schema.verify.executed", "schema.scratch.drop"])
def test_a_planner_that_dies_leaves_no_scratch_schema(stack, point):
    stack.target(USERS)
    with stack.faults(f"{point}:crash", part="app"):
        reply = stack.post_plan([USERS.replace("50", "60")])
        assert reply.status >= 500
    stack.until(lambda: stack.reap() or not scratch_schemas(stack), "the reaper has dropped it")
    assert len(changes(stack.plan([USERS.replace("50", "60")]))) == 1


def test_a_scratch_schema_in_use_is_left_alone(idle):
    """The pass here is the only one: cron's would come before the lock, or in this one's way."""
    stack = idle
    stack.target(USERS)
    stack.sql("CREATE DATABASE _schemabot_20200101000000_0123456789abcdef")
    stack.sql("CREATE DATABASE _schemabot_20200101000000_0123456789abcdee")
    stack.sql("CREATE DATABASE _schemabot_mine")
    holder = stack.connect()
    try:
        with holder.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK('_schemabot_20200101000000_0123456789abcdef', 0)")
            stack.reap()
            assert sorted(scratch_schemas(stack)) == ["_schemabot_20200101000000_0123456789abcdef", "_schemabot_mine"]
    finally:
        holder.close()
    stack.until(lambda: stack.reap() or scratch_schemas(stack) == ["_schemabot_mine"],
                "what nobody uses is dropped, what is not ours stays")


def test_a_table_that_changes_while_it_is_read(stack):
    """Planning beside somebody else's DDL: an answer or a retryable error, never a wrong plan."""
    stack.target(USERS)
    stack.target("CREATE TABLE other (id int NOT NULL, PRIMARY KEY (id))")
    other = "CREATE TABLE other (id int NOT NULL, PRIMARY KEY (id))"
    pid = os.fork()
    if pid == 0:  # add and drop a column until it is ended
        connection = stack.connect("shop_staging")
        with connection.cursor() as cursor:
            while True:
                cursor.execute("ALTER TABLE users ADD COLUMN x int")
                cursor.execute("ALTER TABLE users DROP COLUMN x")
    try:
        for _ in range(20):
            reply = stack.post_plan([USERS, other])
            assert reply.status in (200, 503), reply
            if reply.status == 200:
                assert [c["ddl"] for c in changes(reply.json)] in ([], ["ALTER TABLE `users` DROP COLUMN `x`"])
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_five_hundred_tables(stack):
    """Few changes among many tables are found without making all of them again."""
    files = {f"t{i:03}.sql": f"CREATE TABLE t{i:03} (id int NOT NULL, a varchar(20) DEFAULT 'x', PRIMARY KEY (id), KEY a (a))"
             for i in range(500)}
    with target(stack) as cursor:
        for text in files.values():
            cursor.execute(text)
        assert changes(stack.plan(files)) == []
        files["t250.sql"] = files["t250.sql"].replace("KEY a", "KEY b")
        assert one_change(stack.plan(files))["ddl"] == "ALTER TABLE `t250` RENAME INDEX `a` TO `b`"
