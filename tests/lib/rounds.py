"""
rounds.py - many random cases at a time, through the real planner, and what became of them.

Used by it/test_planner_random.py. A case is a family of one to three tables and a chain of
edits of them. In a round some dozens of families live in one schema with rows in them; each
step edits all, plans them in one request, executes the plan's statements in its order and
compares every table with the one that its file makes directly, in a schema beside. Then the
same files, spelled otherwise, must give an empty plan. The last step goes back to the start.

A case is known by seed, flavour and number, whichever round it is in.
"""
import collections
import random
import re
import time

import pymysql

from . import edits, facts, tables
from .spelling import Speller

LIVE, BESIDE = "shop_staging", "planner_beside"
MODE = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
# What rows can make impossible and no plan can know: a CHECK, a foreign key, a partition.
OF_ROWS_ONLY = {3819, 4025, 1452, 1526, 1216}
# What the server says of rows that do not fit; the plan has to have called that unsafe.
OF_ROWS = {1048, 1062, 1138, 1261, 1263, 1264, 1265, 1292, 1365, 1366, 1406, 1411, 1416, 1690, 3140,
           3156, 3854, 4078, 1467, 1118, 1364, 1690, 3977, 1267, 1977, 1300} | OF_ROWS_ONLY


class ServerBroken(Exception):
    """MySQL's InnoDB does not know any more what it has made itself (its log then tells of
    lost auxiliary tables of FULLTEXT indexes): nothing more can be tried on that server."""


class Failure:
    """What is wrong with a case, and everything that is needed to see it again."""

    def __init__(self, kind, detail, case, after, statements):
        self.kind, self.detail, self.case, self.names = kind, detail, case.label, list(case.names)
        self.old, self.new = dict(case.live), dict(after)
        spell = Speller(case.rng, case.flavor, plain=True).create
        self.before = [spell(t) for t in case.live.values()]
        self.after, self.statements = list(case.files.values()), statements

    def report(self):
        return "\n".join([f"==== {self.kind} (case {self.case}, edits: {', '.join(self.names)})",
                          str(self.detail), "---- before", *self.before, "---- after", *self.after,
                          "---- statements", *self.statements])


class Case:
    """A family of tables while it is edited."""

    def __init__(self, seed, flavor, number):
        self.flavor, self.number = flavor, number
        self.label = f"{seed}/{flavor}/{number}"
        self.rng = random.Random(self.label)
        self.tables = {}
        self.rows = {}
        for i in range(self.rng.choices((1, 2, 3), (75, 18, 7))[0]):
            name = f"t{number}" + "abc"[i]
            if self.rng.random() < 0.04:
                name += self.rng.choice((" x", "`q", "É", "%s", "'s", '"', "-", ".y"))
            self.tables[name] = tables.random_table(name, self.rng, flavor)
        self.link_some(0.8)
        self.live = dict(self.tables)  # as they are on the server
        self.names, self.most = [], None

    def link_some(self, odds):
        """Foreign keys from later tables to earlier ones."""
        order = list(self.tables.values())
        for i, child in enumerate(order[1:], 1):
            if self.rng.random() < odds:
                parent = self.rng.choice(order[:i])
                tables.link(child, parent, self.rng, f"{child.name[:30]}_{child.fresh(self.rng, 'fk')}")
                tables.repair(child, self.flavor)

    def edited(self):
        """The tables after some edits; sets what was done and the most clauses it needs."""
        self.names, self.most = [], {}
        after = {}
        for name, table in self.live.items():
            if self.rng.random() < 0.12:
                after[name], self.most[name] = table.copy(), 0
                continue
            after[name], names, most = edits.edit(table, self.rng, self.flavor)
            self.names += names
            self.most[name] = most if most < edits.UNKNOWN else None
        if len(after) > 1 and self.rng.random() < 0.3:
            self.edit_family(after)
        self.find_references(after)
        return after

    def edit_family(self, after):
        """A table comes or goes, a foreign key and what it refers to go together."""
        roll, last = self.rng.random(), list(after)[-1]
        self.most = {}
        if roll < 0.3:
            self.names.append("drop table")
            del after[last]
        elif roll < 0.6:
            self.names.append("new foreign key")
            tables.link(after[last], after[list(after)[0]], self.rng,
                        f"{last[:30]}_{after[last].fresh(self.rng, 'fk')}")
            tables.repair(after[last], self.flavor)
        else:
            self.names.append("the end of a foreign key")
            for table in after.values():
                if table.name != last:
                    table.foreign_keys = [f for f in table.foreign_keys if f.parent != last]
            after[last].foreign_keys = []
            parent = list(after.values())[0]
            self.find_references(after)
            edits.drop_column(parent, self.rng, self.flavor)
            edits.change_primary(parent, self.rng, self.flavor)
            tables.repair(parent, self.flavor)

    @staticmethod
    def find_references(family):
        for table in family.values():
            table.referenced = {c for child in family.values() for f in child.foreign_keys
                                if f.parent == table.name and child is not table
                                for c in f.parent_columns}

    def file(self, table):
        return Speller(self.rng, self.flavor).create(table)

    def refusals(self, after):
        """What a plan of this change may be refused for."""
        allowed = []
        for name, table in after.items():
            was = self.live.get(name)
            if not was:
                continue
            if self.flavor == "mariadb" and any(
                    table.column(c.name) and table.column(c.name).kind != c.kind for c in was.columns):
                allowed.append("Cannot cast ")  # uuid from int: the server has no such conversion
            if self.flavor == "mysql" and any(
                    was.column(c) and table.column(c) and was.column(c).null != table.column(c).null
                    for f in table.foreign_keys for c in f.columns):
                allowed.append("(error 1832)")  # a column of a foreign key becomes NOT NULL
        both = [*self.live.values(), *after.values()]
        if self.flavor == "mysql" and any("uuid" in e.text for t in both for e in t.expressions()):
            allowed.append("(error 1674)")  # the server does not fill old rows with UUIDs
        if self.flavor == "mysql" and any(c.collation.startswith(("ucs2", "utf16")) for t in both for c in t.columns):
            allowed.append(" DROP CHECK ")  # it prints a CHECK in these sets otherwise after an ALTER
        return allowed


class Server:
    """The schemas: the live one, the one beside, and more."""

    def __init__(self, stack, more=()):
        self.stack, self.flavor = stack, stack.flavor
        self.schemas = (LIVE, BESIDE, *more)
        for schema in self.schemas[1:]:
            stack.sql(f"DROP DATABASE IF EXISTS {schema}")
            stack.sql(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
        self.connections = {s: stack.connect(s) for s in self.schemas}
        self.cursors = {s: c.cursor() for s, c in self.connections.items()}
        for cursor in self.cursors.values():
            cursor.execute(MODE)

    def close(self):
        for connection in self.connections.values():
            connection.close()

    def clear(self):
        """No table in any of the schemas."""
        for schema in self.schemas:
            self.drop(schema, [list(row.values())[0] for row in self.run(schema, "SHOW TABLES")])

    def run(self, schema, sql):
        cursor = self.cursors[schema]
        cursor.execute(sql)
        return cursor.fetchall()

    def drop(self, schema, names):
        if names:
            self.run(schema, "SET foreign_key_checks = 0")
            self.run(schema, "DROP TABLE IF EXISTS " + ", ".join(quoted(n) for n in names))
            self.run(schema, "SET foreign_key_checks = 1")

    def show(self, schema, name):
        return self.run(schema, f"SHOW CREATE TABLE {quoted(name)}")[0]["Create Table"]

    def facts(self, schema):
        return facts.read(self.cursors[schema], schema, self.flavor)

    def difference(self, name, other=BESIDE):
        """Of the live table and the one in another schema."""
        mine, theirs = self.facts(LIVE), self.facts(other)
        return facts.difference(self.show(LIVE, name), self.show(other, name), mine[name], theirs[name])

    def make(self, schema, statements):
        """Create some tables; what the server says against it, or None."""
        for sql in statements:
            try:
                self.run(schema, sql)
            except pymysql.err.MySQLError as error:
                return error
        return None


def quoted(name):
    return "`" + name.replace("`", "``") + "`"


def changes_of(plan):
    return [c for ns in plan["changes"] for c in ns["table_changes"]]


def clauses(ddl):
    """How many an ALTER TABLE has, read without our own tokenizer."""
    bare = re.sub(r"'(?:[^'\\]|''|\\.)*'|`(?:[^`]|``)*`", "x", ddl, flags=re.DOTALL)
    while True:
        shorter = re.sub(r"\([^()]*\)", "", bare)
        if shorter == bare:
            break
        bare = shorter
    partition = re.search(r" (PARTITION BY|REMOVE PARTITIONING)", bare)
    head = bare[:partition.start()] if partition else bare
    words = re.sub(r"^ALTER TABLE x\s*", "", head).strip()
    return (words.count(",") + 1 if words else 0) + bool(partition)


class Round:
    """Some families in the live schema."""

    def __init__(self, server, cases, by_apply=False):
        self.server, self.stack, self.flavor = server, server.stack, server.flavor
        self.by_apply = by_apply
        self.failures, self.cases = [], []
        self.tried = self.thrown = self.planned = self.refused = 0
        self.kinds = collections.Counter()  # of edits that were planned
        server.clear()
        for case in cases:
            self.begin(case)
        self.start = {c.number: dict(c.live) for c in self.cases}

    def begin(self, case):
        """Make a family, the same in both schemas."""
        self.tried += 1
        names = list(case.tables)
        files = [case.file(t) for t in case.tables.values()]
        if self.server.make(BESIDE, files):
            self.thrown += 1
            self.server.drop(BESIDE, names)
            return
        error = self.server.make(LIVE, files)
        assert not error, error
        self.cases.append(case)
        for table in case.tables.values():
            self.fill(case, table)

    # ---- rows

    def fill(self, case, table):
        """Some rows; those that a rule forbids are left out."""
        columns = [c for c in table.columns if not c.expr and not c.auto]
        key = table.foreign_keys[0] if table.foreign_keys else None
        case.rows[table.name] = rows = []
        for number in range(4):
            row = {c.name: self.value(c, case, number) for c in columns}
            if key and key.parent in case.rows and case.rows[key.parent]:
                parent = case.rows[key.parent][-1]
                row.update({c: parent.get(p, "NULL") for c, p in zip(key.columns, key.parent_columns)})
            row = {n: v for n, v in row.items() if v is not None}
            try:
                self.server.run(LIVE, f"INSERT INTO {quoted(table.name)}"
                                f" ({', '.join(quoted(n) for n in row)}) VALUES ({', '.join(row.values())})")
                rows.append(row)
            except pymysql.err.MySQLError:
                continue

    @staticmethod
    def value(c, case, number):
        if c.null and case.rng.random() < 0.15:
            return "NULL"
        if c.kind in tables.INTS and c.args != (1,) and case.rng.random() < 0.5:
            return str(number + 1)
        return tables.literal(c, case.rng) or ("NULL" if c.null else None)

    def contents(self, name, columns):
        if not columns:
            return []
        listed = ", ".join(quoted(c) for c in columns)
        rows = self.server.run(LIVE, f"SELECT {listed} FROM {quoted(name)}")
        return [tuple(r.values()) for r in rows]

    # ---- a step

    def step(self):
        """Edit all families, plan, execute, compare."""
        wanted = {}
        for case in self.cases:
            after = case.edited()
            self.tried += 1
            if not self.desire(case, after):
                self.thrown += 1
                after = case.live
                case.names, case.most = [], {n: 0 for n in after}
                assert self.desire(case, after), "a table that was possible before is not now"
            wanted[case.number] = after
            self.kinds.update(case.names)
        self.go_to(wanted)

    def back(self):
        """Plan back to what each family was at first."""
        for case in self.cases:
            case.names, case.most = ["back"], {}
            assert self.desire(case, self.start[case.number])
        self.go_to(dict(self.start))

    def desire(self, case, after):
        """Make the desired tables beside; False when the server refuses them."""
        self.server.drop(BESIDE, list(dict.fromkeys([*case.live, *after, *self.start[case.number]])))
        case.files = {n: case.file(t) for n, t in after.items()}
        return not self.server.make(BESIDE, case.files.values())

    def go_to(self, wanted):
        plan = self.plan_what_can_be(wanted)
        by_table = collections.defaultdict(list)
        for change in changes_of(plan):
            by_table[self.owner(change["table_name"], wanted)].append(change)
        if self.by_apply:
            self.apply(plan)
        else:
            self.execute(plan, wanted)
        self.compare(wanted, by_table)
        self.plan_again(wanted)
        for case in self.cases:
            case.live = wanted[case.number]
        self.planned += len(self.cases)

    def owner(self, table, wanted):
        """Number of the case that a table belongs to."""
        for case in self.cases:
            if table in case.live or table in wanted[case.number] or table in self.start[case.number]:
                return case.number
        raise AssertionError(f"a plan for `{table}`, which is no table of ours")

    def files(self):
        return {f"f{case.number}_{i}.sql": text
                for case in self.cases for i, text in enumerate(case.files.values())}

    def plan_what_can_be(self, wanted):
        """A plan without errors; families that it refuses are noted and stay as they are."""
        for _ in range(6):
            reply = self.stack.post_plan(self.files())
            if reply.status == 502 and "(error 1034)" in reply.text and self.server.flavor == "mysql":
                raise ServerBroken(reply.text)
            plan = reply.expect(200)
            refused = {}
            for error in plan["errors"]:
                refused.setdefault(self.blame(error, wanted), []).append(error)
            if not refused:
                return plan
            ddl = {self.owner(c["table_name"], wanted): c["ddl"] for c in changes_of(plan)}
            for case in [c for c in self.cases if c.number in refused]:
                says = " ".join(refused[case.number])
                if any(p in says for p in case.refusals(wanted[case.number])):
                    self.refused += 1
                else:
                    self.fail(case, wanted, "refused", says, [ddl.get(case.number, "")])
                wanted[case.number] = case.live
                case.names, case.most = [], {n: 0 for n in case.live}
                assert self.desire(case, case.live)
        raise AssertionError(f"the plan has errors whatever is left out: {plan['errors']}")

    def blame(self, error, wanted):
        """Whose error is it?"""
        found = re.search(r"table `((?:[^`]|``)*)`|/f(\d+)_\d+\.sql", error)
        assert found, f"an error that names no table: {error}"
        return int(found[2]) if found[2] else self.owner(self.table_in(error, wanted), wanted)

    def table_in(self, error, wanted):
        names = [n for c in self.cases for n in (*c.live, *wanted[c.number], *self.start[c.number])]
        return max((n for n in names if f"table `{n}`" in error), key=len)

    def apply(self, plan):
        """By our drivers, without the rows: those may forbid a change."""
        self.server.run(LIVE, "SET foreign_key_checks = 0")
        for name in self.stack.tables():
            self.server.run(LIVE, f"DELETE FROM {quoted(name)}")
        self.server.run(LIVE, "SET foreign_key_checks = 1")
        if changes_of(plan):
            self.stack.wait_state(self.stack.apply(plan, allow_unsafe=True), "completed", 120)

    def execute(self, plan, wanted):
        for change in changes_of(plan):
            case = self.case(self.owner(change["table_name"], wanted))
            name = change["table_name"]
            old, new = case.live.get(name), wanted[case.number].get(name)
            kept = self.kept_columns(old, new) if old and new else []
            before = self.contents(name, kept)
            try:
                self.server.run(LIVE, change["ddl"])
            except pymysql.err.MySQLError as error:
                if not self.because_of_rows(case, wanted, change, error):
                    continue
                before = []
            after = self.contents(name, kept)
            if sorted(map(repr, before)) != sorted(map(repr, after)):
                self.fail(case, wanted, "data changed", f"{kept}: {before} became {after}", [change["ddl"]])

    @staticmethod
    def kept_columns(old, new):
        """Columns with data that no edit touched."""
        def told(c):
            return (c.kind, c.args, c.unsigned, c.zerofill, c.collation, c.null)
        return [c.name for c in old.columns if not c.expr and new.column(c.name) and
                not new.column(c.name).expr and told(c) == told(new.column(c.name))]

    def because_of_rows(self, case, wanted, change, error):
        """The statement failed. Does it work without the rows? Then it must be unsafe."""
        number, name = error.args[0], change["table_name"]
        try:
            self.server.run(LIVE, "SET foreign_key_checks = 0")
            self.server.run(LIVE, f"DELETE FROM {quoted(name)}")
            self.server.run(LIVE, "SET foreign_key_checks = 1")
            self.server.run(LIVE, change["ddl"])
        except pymysql.err.MySQLError as again:
            self.fail(case, wanted, "does not work", f"{error}; and without rows: {again}", [change["ddl"]])
            return False
        if number == 1138 and re.search("ADD COLUMN [^,]*(point|line|polygon|geom)[^,]* NOT NULL", change["ddl"]):
            return True  # rows have no geometry for it, and there is no other one
        if number not in OF_ROWS_ONLY and not change["is_unsafe"]:
            self.fail(case, wanted, "fails for rows and was called safe", error, [change["ddl"]])
        return True

    def compare(self, wanted, by_case):
        live, beside = self.server.facts(LIVE), self.server.facts(BESIDE)
        there = set(self.stack.tables())
        for case in self.cases:
            after = wanted[case.number]
            ddl = [c["ddl"] for c in by_case[case.number]]
            text = ""
            for name in {*case.live, *after}:
                if (name in there) != (name in after):
                    text = f"table {name} is {'still' if name in there else 'not'} there"
                elif name in after:
                    text = text or facts.difference(self.server.show(LIVE, name), self.server.show(BESIDE, name),
                                                    live.get(name, {}), beside.get(name, {}))
            if text:
                self.fail(case, wanted, "not the desired table", text, ddl)
                self.rebuild(case, after)
            else:
                self.count_clauses(case, wanted, by_case[case.number])

    def count_clauses(self, case, wanted, changes):
        for change in changes:
            most = (case.most or {}).get(change["table_name"])
            if most is not None and change["change_type"] == "alter" and clauses(change["ddl"]) > most:
                self.fail(case, wanted, "more clauses than needed",
                          f"{clauses(change['ddl'])} instead of {most}", [change["ddl"]])

    def rebuild(self, case, after):
        """Take the desired tables as they are, so that one fault is told once."""
        self.server.drop(LIVE, {*case.live, *after})
        assert not self.server.make(LIVE, case.files.values())

    def plan_again(self, wanted):
        for case in self.cases:
            case.files = {n: case.file(t) for n, t in wanted[case.number].items()}
        plan = self.stack.post_plan(self.files()).expect(200)
        for change in changes_of(plan):
            case = self.case(self.owner(change["table_name"], wanted))
            self.fail(case, wanted, "the second plan is not empty", change["ddl"], [])
        for error in plan["errors"]:
            self.fail(self.case(self.blame(error, wanted)), wanted, "the second plan has an error", error, [])

    def case(self, number):
        return next(c for c in self.cases if c.number == number)

    def fail(self, case, wanted, kind, detail, statements):
        self.failures.append(Failure(kind, detail, case, wanted[case.number], statements))


# ---- a failure made small -----------------------------------------------------------------


class Again(Case):
    """A change that is given."""

    def __init__(self, flavor, before, after):
        self.flavor, self.number, self.label = flavor, 0, "smaller"
        self.rng = random.Random(1)
        self.tables, self.live, self.rows, self.names, self.most = before, dict(before), {}, [], None
        self.wanted = after

    def file(self, table):
        return Speller(self.rng, self.flavor, plain=True).create(table)

    def edited(self):
        return {n: t.copy() for n, t in self.wanted.items()}


def fails_again(server, before, after, kind):
    """The failure of this kind, or None."""
    one = Round(server, [Again(server.flavor, {n: t.copy() for n, t in before.items()}, after)])
    if not one.cases:
        return None
    try:
        one.step()
    except AssertionError:
        return None
    found = [f for f in one.failures if f.kind == kind]
    return found[0] if found and not one.thrown else None


def without(family, what, name):
    """A copy of the family without all parts of that name."""
    family = {n: t.copy() for n, t in family.items()}
    if what == "table":
        family.pop(name, None)
    for table in family.values():
        if what == "options":
            table.options.pop(name, None)
        elif what != "table":
            kept = [x for x in getattr(table, what) if x.name != name]
            if what != "columns" or name not in table.pinned() | table.referenced:
                setattr(table, what, kept)
    return family


def shrink(server, failure, seconds=15):
    """A failure of the same kind with fewer tables and parts; the same when there is none."""
    before, after, end = failure.old, failure.new, time.monotonic() + seconds
    small = fails_again(server, before, after, failure.kind)
    if not small:
        return failure
    best, found = small, True
    while found and time.monotonic() < end:
        found = False
        parts = {("table", n) for n in (*before, *after)}
        for table in (*before.values(), *after.values()):
            parts |= {("options", n) for n in table.options}
            for what in ("foreign_keys", "checks", "indexes", "columns"):
                parts |= {(what, x.name) for x in getattr(table, what)}
        for what, name in sorted(parts):
            old, new = without(before, what, name), without(after, what, name)
            if (old, new) == (before, after) or not old or time.monotonic() > end:
                continue
            for table in (*old.values(), *new.values()):
                tables.repair(table, server.flavor)
            small = fails_again(server, old, new, failure.kind)
            if small:
                before, after, best, found = old, new, small, True
    best.case = f"{failure.case}, made smaller"
    return best
