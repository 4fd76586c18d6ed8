"""
test_refusals.py - what cannot be copied online is known when it is planned, each with a reason and
a way out; it is never applied, unless the server itself may do it: forced, or under the policy
`direct` of the environment (here production's: four rows at most).
"""
import contextlib

import pytest

BOUND = 4  # of rows: tests/lib/stack.py
PARENT = "CREATE TABLE parent (id int NOT NULL, n int NOT NULL, PRIMARY KEY (id))"


def plain(name, *parts, n="int", key="PRIMARY KEY (id)", tail=""):
    parts = ("id int NOT NULL", f"n {n} NOT NULL", "m int DEFAULT NULL", *parts, *([key] if key else []))
    return f"CREATE TABLE {name} ({', '.join(parts)}) ENGINE=InnoDB{tail}"


def wide(*args, **named):
    return plain(*args, **named, n="bigint")


def reference(name):
    return f"KEY {name}_m (m)", f"CONSTRAINT {name}_fk FOREIGN KEY (m) REFERENCES parent (id)"


# name: (the table, the file that is wanted, words of the reason, the servers that it is about)
REFUSED = {
    "parent": (PARENT, PARENT.replace("n int", "n bigint"), ["the foreign key", "refers to it", "DROP FOREIGN KEY"]),
    "no_key": (plain("no_key", key=""), wide("no_key", key=""), ["needs a unique key without NULLs"]),
    "null_key": (plain("null_key", key="UNIQUE KEY u (m)"), wide("null_key", key="UNIQUE KEY u (m)"),
                 ["u: column `m`: it can be NULL"]),
    "own_key": (plain("own_key", *reference("own_key")), wide("own_key", *reference("own_key")),
                ["it has the foreign key `own_key_fk`", "DROP FOREIGN KEY `own_key_fk`"]),
    "new_key": (plain("new_key"), plain("new_key", *reference("new_key")), ["it would have the foreign key `new_key_fk`"]),
    "far_key": (plain("far_key"), wide("far_key"), ["in another schema, refers to it"]),
    "triggered": (plain("triggered"), wide("triggered"), ["DROP TRIGGER `shop_staging`.`careful`"]),
    "old_engine": (plain("old_engine").replace("InnoDB", "MyISAM"), wide("old_engine").replace("InnoDB", "MyISAM"),
                   ["its engine is MyISAM", "ENGINE = InnoDB"]),
    "new_engine": (plain("new_engine"), plain("new_engine").replace("InnoDB", "MyISAM"), ["its engine would be MyISAM"]),
    "squeezed": (plain("squeezed", "b varchar(500) COMPRESSED DEFAULT NULL"), wide("squeezed", "b varchar(500) COMPRESSED DEFAULT NULL"),
                 ["`b` is compressed"], "mariadb"),
    "checked": (plain("checked", "CONSTRAINT positive CHECK (n > 0)"), wide("checked", "CONSTRAINT positive CHECK (n > 0)"),
                ["CHECK `positive`", "DROP CHECK"], "mysql"),
}
# Beside those, what can be copied: a CHECK that the server has named, a unique key instead of a
# primary one.
COPIED = {
    "fine": (plain("fine"), wide("fine")),
    "own_check": (plain("own_check", "CHECK (n > 0)"), wide("own_check", "CHECK (n > 0)")),
    "unique_key": (plain("unique_key", key="UNIQUE KEY u (id)"), wide("unique_key", key="UNIQUE KEY u (id)")),
}


def changes(plan):
    return {c["table_name"]: c for group in plan["changes"] for c in group["table_changes"]}


def shadows(stack, environment="staging"):
    return [t for t in stack.tables(environment) if "~sb_new_" in t]


@pytest.fixture
def refused(stack):
    """The tables of REFUSED and COPIED, with what stands around them."""
    here = {name: case for name, case in REFUSED.items() if len(case) < 4 or case[3] == stack.flavor}
    for case in (*here.values(), *COPIED.values()):
        stack.target(case[0])
    stack.target("CREATE TRIGGER careful BEFORE INSERT ON triggered FOR EACH ROW SET NEW.m = 1")
    stack.target("CREATE TABLE far_child (id int NOT NULL, p int, PRIMARY KEY (id),"
                 " CONSTRAINT far FOREIGN KEY (p) REFERENCES shop_staging.far_key (id))", environment="production")
    yield here
    stack.target("DROP TABLE far_child", environment="production")


def test_each_is_planned_as_blocked_and_says_why(stack, refused):
    said = changes(stack.plan([case[1] for case in (*refused.values(), *COPIED.values())]))
    assert set(said) == {*refused, *COPIED}
    for name, case in refused.items():
        change = said[name]
        assert change["execution_mode"] == "blocked", change
        for words in case[2]:
            assert words in change["mode_reason"], (words, change)
        assert "_schemabot_" not in change["mode_reason"], change
    for name in COPIED:
        change = said[name]
        assert (change["execution_mode"], change["algorithm"], change["cost"]) == ("", "copy", "rebuild"), change
        assert "copied online" in change["mode_reason"] and "disk" in change["mode_reason"], change
    reasons = [said[name]["mode_reason"].replace(name, "") for name in refused]
    assert len(set(reasons)) == len(reasons), "each is told from the others"


def test_a_blocked_plan_is_not_applied(stack, refused):
    before = {t: stack.create_table(t) for t in stack.tables()}
    plan = stack.plan([case[1] for case in refused.values()] + [case[0] for case in COPIED.values()])
    reply = stack.post_apply(plan, allow_unsafe=True)
    assert reply.status >= 400 and "cannot be executed" in reply.json["error"], reply
    reply = stack.post_apply(plan, allow_unsafe=True, algorithm="copy")
    assert reply.status >= 400, "forcing the copy does not help"
    assert {t: stack.create_table(t) for t in stack.tables()} == before


def test_what_the_server_can_do_by_itself_may_be_forced(stack, refused):
    """An index of a table with a foreign key: in place, while writes go on."""
    before, own = refused["own_key"][0], refused["own_key"][0].replace("PRIMARY KEY", "KEY more (n), PRIMARY KEY")
    files = [case[0] for case in (*refused.values(), *COPIED.values()) if case[0] != before] + [own]
    plan = stack.plan(files)
    change = changes(plan)["own_key"]
    assert (change["execution_mode"], change["native_algorithm"]) == ("blocked", "inplace"), change
    assert 'algorithm = "inplace"' in change["mode_reason"], change
    reply = stack.post_apply(plan, algorithm="instant")
    assert reply.status == 400 and "use inplace or auto" in reply.json["error"], reply
    done = stack.wait_state(stack.apply(plan, algorithm="inplace"), "completed")
    assert done["tables"][0]["algorithm"] == "inplace"
    assert "KEY `more`" in stack.create_table("own_key")


@contextlib.contextmanager
def without(stack, right, place):
    stack.sql(f"REVOKE {right} ON {place} FROM 'sb_target'@'%'")
    try:
        yield
    finally:
        stack.sql(f"GRANT {right} ON {place} TO 'sb_target'@'%'")


def test_missing_rights_and_settings_are_named(stack):
    stack.target(plain("t"))
    own = r"`shop\_staging`.*"
    rights = [("LOCK TABLES", own), ("TRIGGER", own), ("REPLICATION SLAVE", "*.*"), ("PROCESS", "*.*"),
              ("BINLOG MONITOR" if stack.flavor == "mariadb" else "REPLICATION CLIENT", "*.*")]
    for right, place in rights:
        with without(stack, right, place):
            change = changes(stack.plan([wide("t")]))["t"]
        assert change["execution_mode"] == "blocked", (right, change)
        assert f"GRANT {right} ON {place.replace(chr(92), '')} TO 'sb_target'@'%'" in change["mode_reason"], change
    image, = stack.sql("SELECT @@GLOBAL.binlog_row_image AS v")
    stack.sql("SET GLOBAL binlog_row_image = 'NOBLOB'")
    try:
        change = changes(stack.plan([wide("t")]))["t"]
    finally:
        stack.sql("SET GLOBAL binlog_row_image = %s", (image["v"],))
    assert change["execution_mode"] == "blocked" and "SET GLOBAL binlog_row_image = FULL" in change["mode_reason"], change
    assert changes(stack.plan([wide("t")]))["t"]["execution_mode"] == ""


@pytest.mark.parametrize("filters", ["--binlog-ignore-db=other --binlog-ignore-db=shop_staging",
                                     "--binlog-do-db=shop_production"])
def test_a_schema_that_is_kept_out_of_the_binlog(fresh_stack, filters):
    stack = fresh_stack(env={"SB_DB_ARGS": filters})
    for environment, mode in (("staging", "blocked"), ("production", "")):
        stack.target(plain("t"), environment=environment)
        change = changes(stack.plan([wide("t")], environment))["t"]
        assert change["execution_mode"] == mode, change
        assert ("out of the binlog" in change["mode_reason"]) == (mode == "blocked"), change


def test_what_has_come_since_the_plan_is_found_before_anything_is_made(stack):
    stack.target(plain("t"))
    plan = stack.plan([wide("t")])
    stack.target("CREATE TRIGGER late BEFORE INSERT ON t FOR EACH ROW SET NEW.m = 1")
    failed = stack.wait_state(stack.apply(plan), "failed")
    assert "DROP TRIGGER `shop_staging`.`late`" in failed["error_message"], failed
    assert "`n` bigint" not in stack.create_table("t") and shadows(stack) == []


# ---- the policy -------------------------------------------------------------------------------

def family(stack, rows):
    """A table with a foreign key, in production, and the files that would widen it."""
    child = plain("child", *reference("child"))
    for sql in (PARENT, child, "INSERT INTO parent VALUES (1, 1)",
                f"INSERT INTO child VALUES {', '.join(f'({i}, {i}, 1)' for i in range(rows))}"):
        stack.target(sql, environment="production")
    return [PARENT, wide("child", *reference("child"))]


def test_a_small_table_is_changed_under_a_lock(stack):
    plan = stack.plan(family(stack, BOUND), "production")
    change = changes(plan)["child"]
    assert change["execution_mode"] == "direct", change
    assert f"it has {BOUND} rows" in change["mode_reason"] and "foreign key" in change["mode_reason"], change
    assert "writes wait" in change["mode_reason"], change
    reply = stack.post_apply(plan, defer_cutover=True).expect(400)
    assert "nothing to defer" in reply["error"], reply
    stack.wait_state(stack.apply(plan), "completed")
    assert "`n` bigint" in stack.create_table("child", "production")


def test_one_row_more_is_too_many(stack):
    plan = stack.plan(family(stack, BOUND + 1), "production")
    change = changes(plan)["child"]
    assert change["execution_mode"] == "blocked", change
    assert f"it has more than {BOUND} rows" in change["mode_reason"], change
    assert stack.post_apply(plan).status >= 400


def test_a_table_that_has_grown_since_the_plan_is_left_alone(stack):
    plan = stack.plan(family(stack, BOUND), "production")
    stack.target("INSERT INTO child VALUES (99, 99, 1)", environment="production")
    failed = stack.wait_state(stack.apply(plan), "failed")
    assert f"it has more than {BOUND} rows" in failed["error_message"], failed
    assert "`n` bigint" not in stack.create_table("child", "production")


def test_what_can_be_copied_is_copied_however_small(stack):
    stack.target(plain("t"), environment="production")
    plan = stack.plan([wide("t")], "production")
    assert changes(plan)["t"]["execution_mode"] == "", plan
    stack.wait_state(stack.apply(plan), "completed")


def test_tables_that_a_plan_makes_are_empty_when_it_changes_them(stack):
    """A circle of foreign keys: no policy is needed."""
    one = "CREATE TABLE one (id int NOT NULL, o int, PRIMARY KEY (id), KEY o (o), CONSTRAINT to_two FOREIGN KEY (o) REFERENCES two (id))"
    two = "CREATE TABLE two (id int NOT NULL, o int, PRIMARY KEY (id), KEY o (o), CONSTRAINT to_one FOREIGN KEY (o) REFERENCES one (id))"
    plan = stack.plan([one, two])
    assert all(c["execution_mode"] != "blocked" for group in plan["changes"] for c in group["table_changes"]), plan
    stack.wait_state(stack.apply(plan, allow_unsafe=True), "completed")
    assert "to_two" in stack.create_table("one") and "to_one" in stack.create_table("two")
