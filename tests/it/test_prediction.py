"""
test_prediction.py - what a plan says a statement will cost, held against what it then did to the
files of a filled table: a rebuilt table is another file, a built index makes the file grow, and
what "only changes metadata" leaves both as they were.
"""
import contextlib
from pathlib import Path

import pytest
from api_schema import Checked

ROWS = 3000
COLUMNS = ("id int NOT NULL AUTO_INCREMENT", "a varchar(20) NOT NULL DEFAULT 'x'", "b varchar(200) DEFAULT NULL",
           "n int NOT NULL DEFAULT 1", "e enum('x','y') DEFAULT NULL", "f varchar(200) NOT NULL")
KEYS = ("PRIMARY KEY (id)", "KEY ka (a)", "KEY kb (b,n)")


@pytest.fixture
def stack(fresh_stack):
    """A server of its own: where MySQL has lost a table that belonged to a FULLTEXT index, as it
    may after others' tests, it shows none of InnoDB's tables, and every cost is unknown."""
    return fresh_stack()


def create(name, columns=COLUMNS, keys=KEYS, tail=""):
    return f"CREATE TABLE {name} ({', '.join((*columns, *keys))}) ENGINE=InnoDB {tail}"


def replaced(parts, old, new):
    assert old in parts
    return tuple(new if p == old else p for p in parts if p != old or new)


def column(old, new):
    return lambda name: create(name, replaced(COLUMNS, old, new))


def key(old, new):
    return lambda name: create(name, keys=replaced(KEYS, old, new))


N = "n int NOT NULL DEFAULT 1"
RANGE = "PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100000){})"

# name: (the file that is wanted, cost on MariaDB, on MySQL, the table before)
CASES = {
    "add_column": (lambda t: create(t, (*COLUMNS, "z int DEFAULT NULL")), "metadata", "metadata"),
    "drop_column": (column("e enum('x','y') DEFAULT NULL", ""), "metadata", "metadata"),
    "column_default": (column(N, "n int NOT NULL DEFAULT 2"), "metadata", "metadata"),
    "column_comment": (column(N, N + " COMMENT 'c'"), "metadata", "metadata"),
    "enum_append": (column("e enum('x','y') DEFAULT NULL", "e enum('x','y','z') DEFAULT NULL"), "metadata", "metadata"),
    "varchar_grows": (column("a varchar(20) NOT NULL DEFAULT 'x'", "a varchar(60) NOT NULL DEFAULT 'x'"), "metadata", "metadata"),
    "varchar_to_null": (column("a varchar(20) NOT NULL DEFAULT 'x'", "a varchar(20) DEFAULT 'x'"), "rebuild", "rebuild"),
    "int_to_bigint": (column(N, "n bigint NOT NULL DEFAULT 1"), "rebuild", "rebuild"),
    "drop_index": (key("KEY ka (a)", ""), "metadata", "metadata"),
    "rename_index": (key("KEY ka (a)", "KEY kz (a)"), "metadata", "metadata"),
    "add_index": (lambda t: create(t, keys=(*KEYS, "KEY kf (f)")), "rebuild", "rebuild"),
    "rename_and_add_index": (lambda t: create(t, keys=(*KEYS[:1], "KEY kz (a)", KEYS[2], "KEY kf (f)")), "rebuild", "rebuild"),
    "add_column_and_index": (lambda t: create(t, (*COLUMNS, "z int DEFAULT NULL"), (*KEYS, "KEY kf (f)")), "rebuild", "rebuild"),
    "add_fulltext": (lambda t: create(t, keys=(*KEYS, "FULLTEXT KEY ft (f)")), "rebuild", "rebuild"),
    "primary_key": (key("PRIMARY KEY (id)", "PRIMARY KEY (id,n)"), "rebuild", "rebuild"),
    "comment": (lambda t: create(t, tail="COMMENT='c'"), "metadata", "metadata"),
    "row_format": (lambda t: create(t, keys=KEYS[:2], tail="ROW_FORMAT=COMPACT"), "rebuild", "rebuild",
                   lambda t: create(t, keys=KEYS[:2])),
    "persistent_stats": (lambda t: create(t, tail="STATS_PERSISTENT=1"), "metadata", "metadata"),
    "add_check": (lambda t: create(t, keys=(*KEYS, "CONSTRAINT c_check CHECK (n < 100)")), "rebuild", "rebuild"),
    "hidden_index": (key("KEY ka (a)", "KEY ka (a) /*!80000 INVISIBLE */ /*M!100600 IGNORED */"), "metadata", "metadata"),
    "drop_check": (create, "metadata", "metadata", lambda t: create(t, keys=(*KEYS, "CONSTRAINT d_check CHECK (n < 100)"))),
    "drop_foreign_key": (create, "metadata", "metadata",
                         lambda t: create(t, keys=(*KEYS, "CONSTRAINT d_key FOREIGN KEY (n) REFERENCES parent (id)"))),
    "add_partition": (lambda t: create(t, tail=RANGE.format(", PARTITION p1 VALUES LESS THAN (200000)")), "metadata", "metadata",
                      lambda t: create(t, tail=RANGE.format(""))),
    "drop_partition": (lambda t: create(t, tail=RANGE.format("")), "metadata", "metadata",
                       lambda t: create(t, tail=RANGE.format(", PARTITION p1 VALUES LESS THAN (200000)"))),
    "partition_comment": (lambda t: create(t, tail="COMMENT='c' " + RANGE.format("")), "metadata", "metadata",
                          lambda t: create(t, tail=RANGE.format(""))),
    "partition_by": (lambda t: create(t, tail=RANGE.format("")), "rebuild", "rebuild"),
}
# Of those that are copied: what no server can do by itself while writes go on.
ONLY_COPIED = {"add_check", "add_fulltext", "int_to_bigint", "partition_by"}
PARENT = "CREATE TABLE parent (id int NOT NULL, PRIMARY KEY (id))"


@pytest.fixture
def client(api):
    return Checked(api)


def changes(plan):
    return {c["table_name"]: c for ns in plan["changes"] for c in ns["table_changes"]}


def files_of(stack, table):
    """Inode and size of every file of the table that has rows of it: a partition that is still
    empty is none."""
    folder, = (p for p in Path(stack.dir).rglob("shop_staging") if p.is_dir() and p.parent.name != "backup")
    return {p.name: (p.stat().st_ino, p.stat().st_size)
            for p in folder.glob("*.ibd") if p.stem == table or p.stem.lower().startswith(f"{table}#p#p0")}


def what_happened(before, after):
    if {name: inode for name, (inode, _) in before.items()} != {name: inode for name, (inode, _) in after.items()}:
        return "rebuild"
    return "metadata" if before == after else "index"


def test_costs_are_what_they_are_said_to_be(stack, client):
    """Each case is a table of its own with rows; one plan, one apply, and then the files."""
    # What a server keeps after all: row versions and undo, in other files.
    which = 2 if stack.flavor == "mysql" else 1
    fill = ("INSERT INTO {} (a, b, n, f) SELECT 'x', REPEAT('b', 100), 1, REPEAT('f', 150) FROM"
            " (WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 1000) SELECT i FROM s) t, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) u")
    stack.target(PARENT)
    stack.target("INSERT INTO parent VALUES (1)")
    for name, case in CASES.items():
        stack.target((case[3] if len(case) > 3 else create)(name))
        stack.target(fill.format(name))
    plan = stack.plan([PARENT, *(case[0](name) for name, case in CASES.items())])
    assert plan == {k: v for k, v in client.get(f"/api/plans/{plan['plan_id']}").expect(200).items() if k != "created_at"}
    said = changes(plan)
    assert set(said) == set(CASES), set(CASES) ^ set(said)
    natively = {}
    for name, case in CASES.items():
        change = said[name]
        assert change["metadata_only"] == (change["cost"] == "metadata"), change
        # Whatever is not only metadata is copied online, and nothing makes writes wait.
        assert (change["execution_mode"], change["algorithm"] == "copy") == ("", not change["metadata_only"]), change
        natively[name] = change["native_algorithm"]
        if case[which]:
            assert change["cost"] == case[which], (name, change)
        assert change["table_rows"] is None or change["table_rows"] > 100, change
        if change["algorithm"] != "instant":
            assert change["mode_reason"], change
    copied = {name for name, change in said.items() if not change["metadata_only"]}
    assert {n: natively[n] for n in copied} == {n: "" if n in ONLY_COPIED else "inplace" for n in copied}
    before = {name: files_of(stack, name) for name in CASES}
    assert all(before.values()), before
    stack.wait_state(stack.apply(plan, allow_unsafe=True), "completed")
    wrong = [f"{name}: {change['cost']} was said, {what_happened(before[name], files_of(stack, name))} was done: {change}"
             for name, change in said.items() if change["cost"] != what_happened(before[name], files_of(stack, name))]
    assert not wrong, "\n".join(wrong)


def test_the_summary(stack, client):
    """Plain sentences, the same when the plan is read again."""
    stack.target(create("wide"))
    stack.target(create("gone"))
    plan = stack.plan([create("wide", (*COLUMNS, "z int DEFAULT NULL")), create("fresh")])
    assert "2 statements" not in plan["summary"] and "3 statements: 1 create, 1 alter, 1 drop." in plan["summary"], plan
    assert "Only metadata changes: wide." in plan["summary"]
    assert "Unsafe, needs the option allow_unsafe: gone." in plan["summary"]
    assert client.get(f"/api/plans/{plan['plan_id']}").expect(200)["summary"] == plan["summary"]
    plan = stack.plan([create("wide", replaced(COLUMNS, N, "n bigint NOT NULL DEFAULT 1")), create("gone")])
    assert "Copied online, while writes go on: wide (about " in plan["summary"], plan["summary"]
    assert changes(plan)["wide"]["table_bytes"] > 0
    plan = stack.plan([create("wide"), create("gone")])
    assert plan["summary"].startswith("Nothing to do"), plan
    plan = stack.post_plan({"a.sql": "hello"}).expect(200)
    assert "1 error and cannot be applied" in plan["summary"], plan


def test_a_table_whose_instant_changes_are_used_up(stack, client):
    """Its empty copy would take one more."""
    if stack.flavor != "mysql":
        pytest.skip("only MySQL has such a limit")
    stack.target("CREATE TABLE `odd-name` (id int NOT NULL, PRIMARY KEY (id))")
    with contextlib.closing(stack.connect("shop_staging")) as connection, connection.cursor() as cursor:
        for i in range(127):
            cursor.execute("ALTER TABLE `odd-name` ADD COLUMN c int, ALGORITHM=INSTANT")
            cursor.execute("ALTER TABLE `odd-name` DROP COLUMN c, ALGORITHM=INSTANT")
    wanted = ["CREATE TABLE `odd-name` (id int NOT NULL, d int, PRIMARY KEY (id))"]
    change = changes(stack.plan(wanted))["odd-name"]
    assert (change["algorithm"], change["cost"]) == ("instant", "metadata"), change
    stack.target("ALTER TABLE `odd-name` ADD COLUMN c int, ALGORITHM=INSTANT")
    plan = stack.plan([wanted[0].replace(", d int", ", c int, d int")])
    change = changes(plan)["odd-name"]
    assert (change["algorithm"], change["cost"], change["execution_mode"]) == ("copy", "rebuild", ""), change
    assert "used up (255)" in change["mode_reason"], change
    stack.wait_state(stack.apply(plan), "completed")


def test_without_the_right_to_see_it_nothing_is_promised(stack, client):
    stack.target(create("t"))
    # On both servers in place, and harmless.
    wanted = create("t", keys=KEYS[:2])
    before = changes(stack.plan([wanted]))["t"]
    assert (before["algorithm"], before["cost"]) == ("inplace", "metadata"), before
    stack.sql("REVOKE PROCESS ON *.* FROM 'sb_target'@'%'")
    try:
        change = changes(stack.plan([wanted]))["t"]
    finally:
        stack.sql("GRANT PROCESS ON *.* TO 'sb_target'@'%'")
    assert (change["execution_mode"], change["metadata_only"], change["native_algorithm"]) == ("blocked", False, "inplace"), change
    assert "GRANT PROCESS ON *.* TO" in change["mode_reason"], change
