"""
test_planner_skeema.py - Debian's `skeema` as an oracle: the same files, the same live tables.

Random families of tables (lib/rounds.py) are planned by us and by `skeema diff`; our
statements are executed on the live schema, skeema's on a copy of it. On what skeema supports
both have to give the same tables, and one has something to do exactly when the other has.

skeema 1.9 connects to both servers. It does not know MySQL 9 by name and is told that it is an
8.4, whose SHOW CREATE TABLE is the same. What it does not do is in `why_not`, with the reason; where it crashes it has no opinion.
"""
import os
import re
import secrets
import shutil
import subprocess
import time

import pymysql
import pytest

from lib import facts, rounds
from lib.spelling import Speller

THEIRS = "planner_skeema"
SECONDS = 15
FAMILIES, STEPS = 30, 2
TOLD = 5


class PlainCase(rounds.Case):
    """Spelled as the servers print it: skeema tells display widths apart. Without functional
    indexes: it crashes when it reads some."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.without_functional(self.tables)

    def edited(self):
        after = super().edited()
        self.without_functional(after)
        self.most = {}
        return after

    @staticmethod
    def without_functional(family):
        for table in family.values():
            for index in table.indexes:
                index.parts = [p for p in index.parts if not p.expr]
            table.indexes = [i for i in table.indexes if i.parts]

    def file(self, table):
        return Speller(self.rng, self.flavor, plain=True).create(table)


def why_not(before, after):
    """Why skeema's opinion of this change does not count, or ""."""
    both = [t for t in (before, after) if t]
    if any(t.partitioning for t in both):
        return "it keeps the partitioning that there is"
    if len(both) == 2 and any(same_but_name(a, b) for a in before.foreign_keys for b in after.foreign_keys):
        return "it takes a foreign key of another name for the same"
    if any(not f.name for t in both for f in t.foreign_keys) or any(not k.name for t in both for k in t.checks):
        return "it takes constraints whose names the server made up for the same"
    if any(c.check for t in both for c in t.columns):
        return "it knows no CHECK of a column"
    if any("uca1400" in c for t in both for c in (t.collation, *(c.collation for c in t.columns))):
        return "it takes tables with a UCA 14.0.0 collation for unchanged"
    return ""


def same_but_name(a, b):
    return a.name != b.name and (a.columns, a.parent, a.parent_columns) == (b.columns, b.parent, b.parent_columns)


def statements(output):
    """{table: [statements]} of what `skeema diff` printed."""
    found = {}
    text = "\n".join(line for line in output.split("\n") if not line.startswith(("-- ", "USE ")))
    for one in re.split(r";\n", text):
        named = re.match(r"\s*(?:ALTER|CREATE|DROP) TABLE `((?:[^`]|``)*)`", one)
        if named:
            found.setdefault(named[1].replace("``", "`"), []).append(one.strip())
    return found


class Skeema:
    """`skeema diff` of files against the schema THEIRS."""

    def __init__(self, server, directory):
        self.server, self.dir = server, directory
        env = server.stack.env
        lines = ["[production]", "host=localhost", f"socket={env['SB_DB_SOCKET']}", f"user={env['SB_DB_USER']}",
                 f"password={env['SB_DB_PASSWORD']}", f"schema={THEIRS}",
                 *(["flavor=mysql:8.4"] if server.flavor == "mysql" else [])]
        directory.mkdir()
        (directory / ".skeema").write_text("\n".join(lines) + "\n")

    def diff(self, files):
        """({table: statements}, the tables that it does not support); None: it crashed."""
        for old in self.dir.glob("*.sql"):
            old.unlink()
        for number, text in enumerate(files):
            (self.dir / f"t{number}.sql").write_text(text + ";\n", encoding="utf-8")
        done = subprocess.run(
            ["skeema", "diff", "--allow-unsafe", "--skip-lint", "--skip-verify", "--skip-my-cnf", "production"],
            cwd=self.dir, capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "HOME": str(self.dir.parent)})
        if "panic: runtime error" in done.stderr:
            return None
        assert done.returncode in (0, 1), f"skeema exited with {done.returncode}: {done.stderr[-3000:]}"
        unsupported = set(re.findall(r"Skipping table `?(.*?)`?: Skeema does not support", done.stderr))
        return statements(done.stdout), unsupported


class Both(rounds.Round):
    """A round in which skeema has its say too."""

    def __init__(self, server, skeema, cases):
        self.skeema, self.compared, self.left_out, self.crashes = skeema, 0, {}, 0
        super().__init__(server, cases)

    def execute(self, plan, wanted):
        self.copy_live()
        opinion = self.skeema.diff([f for c in self.cases for f in c.files.values()])
        super().execute(plan, wanted)
        if not opinion:
            self.crashes += 1
            return
        theirs, unsupported = opinion
        broken = self.execute_theirs(theirs)
        ours = {c["table_name"] for c in rounds.changes_of(plan)}
        mine, other = self.server.facts(rounds.LIVE), self.server.facts(THEIRS)
        for case in self.cases:
            for name in {*case.live, *wanted[case.number]}:
                before, after = case.live.get(name), wanted[case.number].get(name)
                reason = "it says so" if name in unsupported else why_not(before, after) or broken.get(name, "")
                if reason:
                    self.left_out[reason] = self.left_out.get(reason, 0) + 1
                    continue
                self.compared += 1
                if name in theirs and name not in ours and after and not self.server.difference(name):
                    reason = "what it changes means nothing: introducers of plain text"
                    self.left_out[reason] = self.left_out.get(reason, 0) + 1
                elif (name in ours) != (name in theirs):
                    self.fail(case, wanted, "one has something to do and the other has not",
                              f"{name}: we: {name in ours}, skeema: {theirs.get(name)}",
                              [c["ddl"] for c in rounds.changes_of(plan) if c["table_name"] == name])
                elif after and name in mine:
                    text = facts.difference(self.server.show(rounds.LIVE, name), self.server.show(THEIRS, name),
                                            mine[name], other[name])
                    if text:
                        self.fail(case, wanted, "not the table that skeema makes", f"{name}: {text}", theirs.get(name, []))

    def copy_live(self):
        self.server.drop(THEIRS, [list(r.values())[0] for r in self.server.run(THEIRS, "SHOW TABLES")])
        self.server.run(THEIRS, "SET foreign_key_checks = 0")
        for name in self.stack.tables():
            self.server.run(THEIRS, self.server.show(rounds.LIVE, name))

    def execute_theirs(self, theirs):
        """Run skeema's statements on the copy; {table: why it does not work}."""
        broken = {}
        for name, texts in theirs.items():
            for text in texts:
                try:
                    self.server.run(THEIRS, text)
                except pymysql.err.MySQLError as error:
                    broken[name] = f"its statement does not work ({error.args[0]})"
        self.server.run(THEIRS, "SET foreign_key_checks = 1")
        return broken


@pytest.fixture
def server(stack):
    server = rounds.Server(stack, (THEIRS,))
    yield server
    server.close()


def test_the_same_tables_as_skeema(server, tmp_path, capsys):
    if not shutil.which("skeema"):
        pytest.fail("skeema is not installed (run: etc/dev/deps test)")
    chosen = os.environ.get("SB_PLANNER_SEED") or "2026"
    chosen = secrets.token_hex(4) if chosen == "new" else chosen
    wanted = int(os.environ.get("SB_PLANNER_CASES") or 0)
    skeema, end = Skeema(server, tmp_path / "files"), time.monotonic() + SECONDS
    compared, planned, left_out, failures, number, crashes = 0, 0, {}, [], 0, 0
    while planned < wanted or (not wanted and time.monotonic() < end):
        one = Both(server, skeema, [PlainCase(chosen, server.flavor, n) for n in range(number, number + FAMILIES)])
        try:
            for _ in range(STEPS):
                one.step()
        except (pymysql.err.InterfaceError, rounds.ServerBroken) as broken:
            if failures or one.failures or server.stack.flavor != "mysql":
                raise
            pytest.skip(f"MySQL itself broke after {compared} comparisons ({broken}), seed {chosen}")
        number, crashes = number + FAMILIES, crashes + one.crashes
        planned, compared, failures = planned + one.planned, compared + one.compared, failures + one.failures
        left_out = {r: left_out.get(r, 0) + one.left_out.get(r, 0) for r in {*left_out, *one.left_out}}
        if len(failures) > 20:
            break
    summary = f"{compared} tables compared with skeema's, left out: {left_out}; it crashed {crashes} times"
    with capsys.disabled():
        print(f"\n[{server.flavor}] seed {chosen}: {summary}")
    assert not failures, f"SB_PLANNER_SEED={chosen} on {server.flavor}: {len(failures)} of {summary}\n" + \
        "\n\n".join(f.report() for f in failures[:TOLD])
    assert compared > 2 * sum(left_out.values()) / 3, f"too much is left out: {summary}"
