"""
test_planner_pairs.py - the pairs of planner_pairs.py through the API, on both servers, many
in one plan where their names allow it.
"""
import re

import pymysql

from planner_pairs import PAIRS
from test_planner import changes, drop_all, missing_words, scratch_schemas, target

BATCH = 20
ONE_FULLTEXT_AT_A_TIME = 1795  # said by MySQL of a table's second in one statement, unless it copies


def execute(cursor, ddl):
    """As the engine does it: by copying where the server has no better way."""
    try:
        cursor.execute(ddl)
    except pymysql.err.MySQLError as error:
        if error.args[0] != ONE_FULLTEXT_AT_A_TIME:
            raise
        cursor.execute(re.sub(r"^(ALTER TABLE \S+) ", r"\1 ALGORITHM=COPY, ", ddl))


def plan(stack, files):
    reply = stack.post_plan(files)
    if reply.status != 200:
        return [], [str(reply)]
    return changes(reply.json), reply.json["errors"]


class Batch:
    """Pairs side by side in one schema; tables of those that are single have a number."""

    def __init__(self, stack, cursor, pairs):
        self.stack, self.cursor = stack, cursor
        self.pairs = {f"t{i}": pair for i, pair in enumerate(pairs)} if len(pairs) > 1 else {"t": pairs[0]}
        self.problems = []

    def texts(self, side):
        for name, pair in self.pairs.items():
            for number, text in enumerate(pair.tables(side)):
                yield name, number, re.sub(r"^CREATE TABLE t ", f"CREATE TABLE {name} ", text)

    def files(self, side):
        return {f"{name}.{number}.sql": text for name, number, text in self.texts(side)}

    def create(self, side):
        drop_all(self.cursor)
        self.cursor.execute("SET foreign_key_checks = 0")
        for name, _, text in self.texts(side):
            try:
                self.cursor.execute(text)
            except pymysql.err.MySQLError as error:
                self.problems.append(f"{self.pairs[name].name}: {side} cannot be created: {error}")
        self.cursor.execute("SET foreign_key_checks = 1")

    def pair_of(self, table):
        return self.pairs[table] if len(self.pairs) > 1 else self.pairs["t"]

    def complain(self, direction, table, text):
        self.problems.append(f"{self.pair_of(table).name} ({direction}): {text}")

    def go(self, direction, side):
        """Plan for `side`, execute the plan, plan again."""
        found, errors = plan(self.stack, self.files(side))
        pair = next(iter(self.pairs.values()))
        refused = direction == "back" and pair.refused_back or pair.refused
        if len(self.pairs) == 1 and refused:
            if refused not in " ".join(errors):
                self.complain(direction, "t", f"errors: {errors}")
            return
        if errors:
            self.problems.append(f"{direction}: {errors} of {[p.name for p in self.pairs.values()]}")
        for change in found:
            try:
                execute(self.cursor, change["ddl"])
            except pymysql.err.MySQLError as error:
                self.complain(direction, change["table_name"], f"does not work: {error}: {change['ddl']}")
        self.check_words(direction, found)
        rest, errors = plan(self.stack, self.files(side))
        for change in rest:
            self.complain(direction, change["table_name"], f"not all was done: {change['ddl']}")
        if errors:
            self.problems.append(f"{direction}, second plan: {errors}")

    def check_words(self, direction, found):
        for name, pair in self.pairs.items():
            mine = [c["ddl"] for c in found if len(self.pairs) == 1 or c["table_name"] == name]
            text, words = "\n".join(mine), getattr(pair, direction)
            if words is None and mine:
                self.complain(direction, name, f"a change where there is none: {text}")
            if words != () and words is not None and not mine:
                self.complain(direction, name, "no change")
            for word in missing_words(text, words or ()):
                self.complain(direction, name, f"lacks {word!r}: {text}")
            for word in pair.lacks:
                if word in text:
                    self.complain(direction, name, f"has {word!r}: {text}")

    def run(self):
        self.create("a")
        self.go("there", "b")
        self.create("b")
        self.go("back", "a")
        return self.problems


def batches(flavor):
    mine = [p for p in PAIRS if p.only in ("", flavor)]
    together = [p for p in mine if not p.alone()]
    yield from ([p] for p in mine if p.alone())
    yield from (together[i:i + BATCH] for i in range(0, len(together), BATCH))


def test_every_pair_both_ways(stack):
    wrong = []
    with target(stack) as cursor:
        for pairs in batches(stack.flavor):
            wrong += Batch(stack, cursor, pairs).run()
        drop_all(cursor)
    assert not wrong, "\n".join(wrong)
    assert scratch_schemas(stack) == []


# ---- what happens to rows -------------------------------------------------------------------


def finished(stack, files):
    """Plan, apply with consent, wait; the statements."""
    made = stack.plan(files)
    stack.wait_state(stack.apply(made, allow_unsafe=True), "completed")
    assert plan(stack, files) == ([], [])
    return [c["ddl"] for c in changes(made)]


def rows(stack):
    return sorted(row["a"] for row in stack.target("SELECT a FROM t"))


def partitioned(parts, by="RANGE"):
    return f"CREATE TABLE t (a int NOT NULL, PRIMARY KEY (a)) PARTITION BY {by} (a) ({parts})"


def test_dropped_partitions_take_their_rows_and_no_others(stack):
    old = "PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20)"
    stack.target(partitioned(old))
    stack.target("INSERT INTO t VALUES (1), (11), (12)")
    united = partitioned("PARTITION p VALUES LESS THAN (20)")
    assert "PARTITION BY" in finished(stack, [united])[0] and rows(stack) == [1, 11, 12]
    assert "PARTITION BY" in finished(stack, [partitioned(old)])[0] and rows(stack) == [1, 11, 12]
    rotated = old.split(", ", 1)[1] + ", PARTITION p2 VALUES LESS THAN (30)"
    made = stack.plan([partitioned(rotated)])
    assert [c["is_unsafe"] for c in changes(made)] == [True, False]
    assert "with all their rows: `p0`" in changes(made)[0]["unsafe_reason"]
    assert [d.split("(")[0] for d in finished(stack, [partitioned(rotated)])] == [
        "ALTER TABLE `t` DROP PARTITION `p0`", "ALTER TABLE `t` ADD PARTITION "]
    assert rows(stack) == [11, 12]


def test_rows_of_the_default_partition_move(stack):
    """MariaDB would leave them where no query finds them."""
    if stack.flavor != "mariadb":
        return
    stack.target(partitioned("PARTITION p0 VALUES IN (1), PARTITION pd DEFAULT", "LIST"))
    stack.target("INSERT INTO t VALUES (1), (4), (5)")
    finished(stack, [partitioned("PARTITION p0 VALUES IN (1), PARTITION pd DEFAULT, PARTITION p4 VALUES IN (4)", "LIST")])
    assert rows(stack) == [1, 4, 5]
    assert stack.target("SELECT a FROM t PARTITION (p4)") == [{"a": 4}]


def test_a_counter_that_goes_on_while_its_plan_waits(stack):
    """It is raised to what the file says, or has got there by itself."""
    table = "CREATE TABLE t (id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (id)) AUTO_INCREMENT={}"
    stack.target(table.format(1))
    assert finished(stack, [table.format(100)]) == ["ALTER TABLE `t` AUTO_INCREMENT=100"]
    stack.target("INSERT INTO t VALUES ()")
    assert stack.target("SELECT id FROM t") == [{"id": 100}]
    wanted = [table.format(500).replace("PRIMARY", "a int, PRIMARY")]
    made = stack.plan(wanted)
    assert [c["ddl"].split("`t` ")[1][:14] for c in changes(made)] == ["AUTO_INCREMENT", "ADD COLUMN `a`"]
    stack.target("INSERT INTO t VALUES (900)")
    stack.wait_state(stack.apply(made), "completed")
    assert plan(stack, wanted) == ([], [])
    assert "AUTO_INCREMENT=901" in stack.create_table("t")
