"""
test_steps.py - changes that take more than one statement for a table: what comes first, that
every statement works, and that after each of them exactly the rest is planned (which is what
a driver that takes over relies on).
"""
import contextlib

import pytest

LENIENT = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"


def table(name, *elements):
    return f"CREATE TABLE {name} (id int NOT NULL, {', '.join(elements + ('PRIMARY KEY (id)',))})"


def key(name, column, parent, more="", parent_column="id"):
    return (f"KEY {name} ({column})",
            f"CONSTRAINT {name} FOREIGN KEY ({column}) REFERENCES {parent} ({parent_column}){more}")


def statements(plan):
    return [(c["table_name"], c["ddl"]) for ns in plan["changes"] for c in ns["table_changes"]]


def by_table(found):
    """{table: its statements in order}"""
    tables = {}
    for name, ddl in found:
        tables.setdefault(name, []).append(ddl)
    return tables


@contextlib.contextmanager
def target(stack):
    connection = stack.connect("shop_staging")
    try:
        with connection.cursor() as cursor:
            cursor.execute(LENIENT)
            yield cursor
    finally:
        connection.close()


P, BIG_P = table("p"), table("p").replace("id int", "id bigint")
CHILD = table("c", "x int", *key("f", "x", "p"))
CASES = {
    # name: (live, desired, words of the statements in their order)
    "a foreign key is replaced under its name": (
        [P, CHILD], [P, table("c", "x int", "y int", *key("f", "x", "p", " ON DELETE CASCADE"))],
        ["ALTER TABLE `c` DROP FOREIGN KEY `f`",
         "ALTER TABLE `c` ADD COLUMN `y`|ADD CONSTRAINT `f`|ON DELETE CASCADE"]),
    "two of them, and one that goes": (
        [P, table("c", "x int", "y int", "z int", *key("f", "x", "p"), *key("g", "y", "p"),
                  *key("h", "z", "p"))],
        [P, table("c", "x int", "y int", "z int", *key("f", "y", "p"), *key("g", "x", "p"))],
        ["ALTER TABLE `c` DROP FOREIGN KEY `f`, DROP FOREIGN KEY `g`",
         "ALTER TABLE `c` DROP FOREIGN KEY `h`|ADD CONSTRAINT `f`|ADD CONSTRAINT `g`"]),
    "a column's type below a foreign key": (
        [P, CHILD], [BIG_P, table("c", "x bigint", *key("f", "x", "p"))],
        ["ALTER TABLE `c` DROP FOREIGN KEY `f`", "ALTER TABLE `p` MODIFY COLUMN `id` bigint",
         "ALTER TABLE `c` MODIFY COLUMN `x` bigint|ADD CONSTRAINT `f`"]),
    "a type below a table's foreign key to itself": (
        [table("p", "up int", *key("f", "up", "p"))],
        [table("p", "up bigint", *key("f", "up", "p")).replace("id int", "id bigint")],
        ["ALTER TABLE `p` DROP FOREIGN KEY `f`",
         "ALTER TABLE `p` MODIFY COLUMN `id` bigint|MODIFY COLUMN `up` bigint",
         "ALTER TABLE `p` ADD CONSTRAINT `f`"]),
    "a foreign key to a new column of the table itself": (
        [P], [table("p", "up int", "n int", "UNIQUE KEY n (n)",
                    *key("f", "up", "p", parent_column="n"))],
        ["ALTER TABLE `p` ADD COLUMN `up`", "ALTER TABLE `p` ADD CONSTRAINT `f`"]),
    "a type below the foreign key of a table that is dropped": (
        [P, CHILD], [BIG_P],
        ["ALTER TABLE `c` DROP FOREIGN KEY `f`", "ALTER TABLE `p` MODIFY", "DROP TABLE `c`"]),
    "a parent's column goes with the foreign key to it": (
        [table("p", "n int", "UNIQUE KEY n (n)"),
         table("c", "x int", *key("f", "x", "p", parent_column="n"))],
        [P, table("c", "x int", "y int", "KEY f (x)")],
        ["ALTER TABLE `c` DROP FOREIGN KEY `f`", "ALTER TABLE `c` ADD", "ALTER TABLE `p` DROP"]),
    "new tables in a circle": (
        [], [table("a", "x int", *key("fa", "x", "b")), table("b", "y int", *key("fb", "y", "a"))],
        ["CREATE TABLE `a`", "CREATE TABLE `b`|CONSTRAINT `fb`", "ALTER TABLE `a` ADD CONSTRAINT `fa`"]),
    "three in a circle, and one beside it": (
        [], [table("a", "x int", *key("fa", "x", "b")), table("b", "y int", *key("fb", "y", "c")),
             table("c", "z int", *key("fc", "z", "a")), table("0", "w int", *key("f0", "w", "c"))
             .replace("TABLE 0", "TABLE `0`")],
        ["CREATE TABLE `a`", "CREATE TABLE `c`", "CREATE TABLE `0`", "CREATE TABLE `b`",
         "ALTER TABLE `a` ADD CONSTRAINT"]),
    "old tables in a circle": (
        [table("a", "x int", "KEY fa (x)"), table("b", "y int", *key("fb", "y", "a")),
         "ALTER TABLE a ADD CONSTRAINT fa FOREIGN KEY (x) REFERENCES b (id)"], [],
        ["ALTER TABLE `a` DROP FOREIGN KEY `fa`", "DROP TABLE `b`", "DROP TABLE `a`"]),
    "a new table refers to a column that is added": (
        [P], [table("p", "n int", "UNIQUE KEY n (n)"),
              table("a", "x int", *key("f", "x", "p", parent_column="n"))],
        ["ALTER TABLE `p` ADD COLUMN `n`", "CREATE TABLE `a`"]),
    "a new table and an old one refer to each other": (
        [P], [table("p", "x int", *key("fp", "x", "n")), table("n", "y int", *key("fn", "y", "p"))],
        ["CREATE TABLE `n`", "ALTER TABLE `p` ADD COLUMN `x`"]),
    "one statement is enough for another name": (
        [P, CHILD], [P, table("c", "x int", "KEY f (x)",
                              "CONSTRAINT g FOREIGN KEY (x) REFERENCES p (id)")],
        ["ALTER TABLE `c` DROP FOREIGN KEY `f`, ADD CONSTRAINT `g`"]),
    "and for a key whose column changes otherwise": (
        [P, CHILD], [P, table("c", "x int NOT NULL DEFAULT 3 COMMENT 'c'", *key("f", "x", "p"))],
        ["ALTER TABLE `c` MODIFY COLUMN `x`"]),
}


def prepare(cursor, live):
    for statement in live:
        cursor.execute(statement)


def check_words(found, wanted):
    assert len(found) == len(wanted), found
    for (_, ddl), words in zip(found, wanted):
        at = 0
        for word in words.split("|"):
            at = ddl.find(word, at)
            assert at >= 0, f"{word} is not in {ddl}"


def check_rest(stack, cursor, desired, found):
    """After each statement the plan is, for each table, what was left of it."""
    files = {f"{i}.sql": sql for i, sql in enumerate(desired)}
    while found:
        cursor.execute(found[0][1])
        found = found[1:]
        again = stack.post_plan(files).expect(200)
        assert not again["errors"], again["errors"]
        assert by_table(statements(again)) == by_table(found)


@pytest.mark.parametrize("name", CASES)
def test_every_step_leaves_exactly_the_rest(stack, name):
    live, desired, wanted = CASES[name]
    with target(stack) as cursor:
        prepare(cursor, live)
        plan = stack.post_plan({f"{i}.sql": sql for i, sql in enumerate(desired)}).expect(200)
        assert not plan["errors"], plan["errors"]
        check_words(statements(plan), wanted)
        check_rest(stack, cursor, desired, statements(plan))


def test_a_change_in_two_statements_is_applied(stack):
    """In production, whose tables are small: a foreign key is added under a lock."""
    live, desired, wanted = CASES["a column's type below a foreign key"]
    for statement in live:
        stack.target(statement, environment="production")
    stack.target("INSERT INTO p VALUES (1)", environment="production")
    stack.target("INSERT INTO c VALUES (5, 1)", environment="production")
    plan = stack.plan(desired, "production")
    apply_id = stack.apply(plan, allow_unsafe=True)
    stack.wait_state(apply_id, "completed")
    assert "`x` bigint" in stack.create_table("c", "production") and "`f` FOREIGN KEY" in stack.create_table("c", "production")
    tables = stack.progress(apply_id)["tables"]
    assert [t["table_name"] for t in tables] == ["c", "p", "c"]
    assert {t["status"] for t in tables} == {"completed"}
    assert not stack.sql("SELECT operation FROM _schemabot_state.checkpoints")
    assert statements(stack.plan(desired, "production")) == []


def test_a_table_that_drifts_between_its_statements(stack):
    """What was carried out and has been undone since is not carried out again."""
    live, desired, wanted = CASES["a foreign key is replaced under its name"]
    for statement in live:
        stack.target(statement, environment="production")
    plan = stack.plan(desired, "production")
    with stack.faults("schemabot-driver/drive.opened:wait=@FILE@@2") as fault:
        apply_id = stack.apply(plan, allow_unsafe=True)
        stack.until(fault.arrived, "the first one is done")
        stack.target("ALTER TABLE c ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES p (id)", environment="production")
        fault.release()
        stack.wait_state(apply_id, "failed")
    message = stack.progress(apply_id)["error_message"]
    assert "shop.c" in message and "DROP FOREIGN KEY `f`" in message, message
    assert "`y`" not in stack.create_table("c", "production")
