"""
test_planner_random.py - random tables and random edits through the whole planner, on both
servers. Thousands of cases a run; the seed is printed.

A case that failed is told with everything: the seed, both sides as CREATE TABLE, the plan's
statements and what is different, and once more with all parts removed that do not matter.

  SB_PLANNER_CASES   how many cases a flavour gets (default: CASES, or what fits into SECONDS)
  SB_PLANNER_SEED    any text, `new` draws one. The same seed gives the same cases

A night's run, 100,000 cases on each:

  SB_PLANNER_CASES=100000 SB_PLANNER_SEED=first SB_SUITE_SECONDS=50000 SB_PYTEST="-k planner_random" tests/run it

A single case again: SB_PLANNER_ONLY=17,18 with the seed that was printed.
"""
import collections
import contextlib
import os
import secrets
import time

import pytest

from lib import rounds

SEED = "2026"  # a red run is to mean a change that broke something; new seeds are for nights
CASES = {"mariadb": 1500, "mysql": 700}
FAMILIES, STEPS = 40, 4  # of a round; and a step back
MOST_TOLD = 6
SECONDS = 45


def seed():
    chosen = os.environ.get("SB_PLANNER_SEED") or SEED
    return secrets.token_hex(4) if chosen == "new" else chosen


def wanted(flavor):
    return int(os.environ.get("SB_PLANNER_CASES") or CASES[flavor])


@pytest.fixture
def server(stack):
    server = rounds.Server(stack)
    yield server
    server.close()


class Sums:
    """What became of many rounds."""

    def __init__(self):
        self.planned = self.thrown = self.tried = self.refused = 0
        self.edits, self.failures = collections.Counter(), []

    def add(self, done):
        self.planned += done.planned
        self.thrown += done.thrown
        self.tried += done.tried
        self.refused += done.refused
        self.edits += done.kinds
        self.failures += done.failures

    def __str__(self):
        return (f"{self.planned} cases planned and executed, {self.refused} refused as they had to be,"
                f" {self.thrown} of {self.tried} thrown away, {len(self.failures)} failed;"
                f" {sum(self.edits.values())} edits of {len(self.edits)} kinds")


def run_round(server, chosen, numbers):
    one = rounds.Round(server, [rounds.Case(chosen, server.flavor, n) for n in numbers])
    for _ in range(STEPS):
        one.step()
    one.back()
    return one


def test_random_edits_of_random_tables(server, capsys):
    """Planned, executed with rows, the table that the file makes, an empty second plan; and back."""
    chosen, sums, number = seed(), Sums(), 0
    only = [int(n) for n in os.environ.get("SB_PLANNER_ONLY", "").split(",") if n]
    limit = None if os.environ.get("SB_PLANNER_CASES") or only else time.monotonic() + SECONDS
    while only or sums.planned < wanted(server.flavor):
        try:
            sums.add(run_round(server, chosen, only or range(number, number + FAMILIES)))
        except rounds.ServerBroken as broken:
            if not sums.failures:
                pytest.skip(f"MySQL itself broke ({broken}) after {sums}, seed {chosen}")
            break
        number += FAMILIES
        if only or (limit and time.monotonic() > limit):
            break
        if len(sums.failures) > 20:
            break
    with capsys.disabled():
        print(f"\n[{server.flavor}] seed {chosen}: {sums}")
    told = [f.report() for f in shrunk(server, sums.failures[:MOST_TOLD])]
    assert not sums.failures, f"SB_PLANNER_SEED={chosen} on {server.flavor}: {sums}\n" + "\n\n".join(told)
    assert sums.thrown * 3 < sums.tried, f"the generator is bad: {sums}"
    assert only or len(sums.edits) > 20, f"edits that never happen: {sums.edits}"


def shrunk(server, failures):
    """The same failures with smaller tables, as far as that is found quickly."""
    return [rounds.shrink(server, f) for f in failures]


# Found by random runs, made small. (flavours, before, after)
FOUND = [
    ("both", "a int NOT NULL PRIMARY KEY, b int, KEY k (b)) PARTITION BY HASH (a) PARTITIONS 2", "a int NOT NULL PRIMARY KEY, b int, KEY k (b), CONSTRAINT f FOREIGN KEY (b) REFERENCES t (a)"),
    ("both", "a int NOT NULL PRIMARY KEY, b int, KEY k (b), CONSTRAINT f FOREIGN KEY (b) REFERENCES t (a)", "a int NOT NULL PRIMARY KEY, b int, KEY k (b)) PARTITION BY HASH (a) PARTITIONS 2"),
    ("both", "a int NOT NULL, b int NOT NULL, c int NOT NULL, PRIMARY KEY (c), UNIQUE KEY x (a)", "a int NOT NULL, b int NOT NULL, c int NOT NULL, UNIQUE KEY y (b), UNIQUE KEY x (a)"),
    ("both", "a int) ENGINE=MyISAM ROW_FORMAT=COMPRESSED", "a int) ENGINE=InnoDB"),
    ("mariadb", "a int) ENGINE=Aria", "a int, b int) ENGINE=InnoDB"),
    ("mysql", "a bigint, CONSTRAINT k CHECK (a >= -900)", "a bigint, b varchar(5), CONSTRAINT k CHECK (a >= -900)) ROW_FORMAT=COMPACT COMMENT='x'"),
    ("mysql", "a int) PARTITION BY HASH (a) PARTITIONS 2", "a int) ROW_FORMAT=COMPACT PARTITION BY HASH (a) PARTITIONS 2"),
    ("mysql", "a int) ROW_FORMAT=COMPACT PARTITION BY HASH (a) PARTITIONS 2", "a int) PARTITION BY HASH (a) PARTITIONS 2"),
    ("mariadb", "a int, KEY k (a)) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4", "a int, KEY k (a))"),
    ("mysql", "a int, g int AS (a + 1) VIRTUAL, CONSTRAINT k CHECK (g < 9)", "a int, g int AS (a + 1) STORED, CONSTRAINT k CHECK (g < 9)"),
    ("mysql", "a int, g int AS (a + 1) VIRTUAL, KEY k ((g + 1))", "a int, g int AS (a + 1) STORED, KEY k ((g + 1))"),
    ("mysql", "a int, b int, KEY k ((a + 1)), KEY j ((b + 1))", "a int, b int, c int, d int, KEY j ((b + 1)), KEY k ((a + 2))"),
]


def test_pairs_that_failed_once(server):
    wrong = []
    for flavors, before, after in FOUND:
        if flavors not in ("both", server.flavor):
            continue
        before, after = (f"CREATE TABLE t ({text}" + ("" if ")" in text and text.count("(") < text.count(")") else ")") for text in (before, after))
        server.clear()
        server.run(rounds.LIVE, before)
        server.run(rounds.BESIDE, after)
        plan = server.stack.post_plan([after]).expect(200)
        for change in rounds.changes_of(plan):
            if not plan["errors"]:
                server.run(rounds.LIVE, change["ddl"])
        found = plan["errors"] or server.difference("t") or rounds.changes_of(server.stack.plan([after]))
        if found:
            wrong.append(f"{before} -> {after}: {found}")
    assert not wrong, "\n".join(wrong)


def test_the_comparison_sees_differences(server):
    """What the test above relies on: two tables that differ in anything are not taken for equal."""
    base = "CREATE TABLE t (a int NOT NULL DEFAULT 1, b varchar(20) COMMENT 'x', PRIMARY KEY (a), KEY k (b))"
    others = [("int", "int unsigned"), ("DEFAULT 1", "DEFAULT 2"), ("(20)", "(21)"), ("'x'", "'y'"), ("KEY k (b)", "KEY k (b DESC)"),
              ("KEY k (b)", "KEY j (b)"), ("KEY k (b)", "UNIQUE KEY k (b)"), ("b varchar(20)", "b varchar(20) CHARACTER SET latin1"),
              ("KEY k (b))", "KEY k (b)) COMMENT='z'"), ("KEY k (b))", "KEY k (b), CHECK (a > 1))"), ("KEY k (b))", "KEY k (b)) ROW_FORMAT=COMPACT"),
              ("KEY k (b))", "KEY k (b)) PARTITION BY HASH (a) PARTITIONS 2"), ("KEY k (b)", "KEY k (b(5))"), ("b varchar(20)", "b varchar(20) NOT NULL"),
              ("int NOT NULL DEFAULT 1, b varchar(20) COMMENT 'x'", "int NOT NULL DEFAULT 1 COMMENT 'x', b varchar(20)"), ("int", "bigint"),
              ("KEY k (b))", "KEY k (b)) DEFAULT CHARSET=latin1")]
    server.drop(rounds.BESIDE, ["t"])
    server.run(rounds.LIVE, base)
    for old, new in [("int", "int"), *others]:
        server.drop(rounds.BESIDE, ["t"])
        server.run(rounds.BESIDE, base.replace(old, new, 1))
        found = server.difference("t")
        assert bool(found) == (old != new), f"{old} became {new}: {found!r}"


def test_random_edits_applied_by_drivers(fresh_stack):
    """The same, but through POST /api/apply and to its end. Random tables have foreign keys, and
    no usable keys: they may be changed under a lock here."""
    chosen = seed()
    stack = fresh_stack(conf="databases = { shop = { environments = { staging = {"
                             " direct = { max_table_rows = 100000; }; }; }; }; };")
    with contextlib.closing(rounds.Server(stack)) as server:
        one = rounds.Round(server, [rounds.Case(chosen, server.flavor, n) for n in range(900000, 900008)],
                           by_apply=True)
        one.step()
    assert not one.failures, f"SB_PLANNER_SEED={chosen}\n" + "\n\n".join(f.report() for f in one.failures)
