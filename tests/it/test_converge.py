"""
test_converge.py - our own storage becomes what the binary needs, and loses nothing.

On databases of their own beside the stack's storage, with an account that has the rights
that sql/grants.sql gives. old_storage.sql is the storage of the first version.
"""
import contextlib
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from lib.places import ROOT
from lib.stack import Stack

OLD = Path(__file__).with_name("old_storage.sql").read_text(encoding="utf-8")
TABLES = sorted(p.stem for p in (ROOT / "sql/storage").glob("*.sql"))
ROWS = [
    "INSERT INTO plans (plan_id, database_name, database_type, environment, deployment, target,"
    " engine, schema_files, plan_data) VALUES ('plan-1', 'shop', 'mysql', 'staging', 'default',"
    " 'shop', 'mysql', '{}', '{}')",
    "INSERT INTO applies (apply_id, plan_row, database_name, database_type, environment,"
    " deployment, engine, options, volume, state) VALUES ('apply-1', 1, 'shop', 'mysql',"
    " 'staging', 'default', 'mysql', '{}', 3, 'completed')",
    "INSERT INTO apply_operations (apply_row, deployment, target, state) VALUES"
    " (1, 'default', 'shop', 'completed')",
    "INSERT INTO tasks (task_id, apply_row, operation_row, seq, namespace, table_name, ddl,"
    " ddl_action, mode_reason, state) VALUES ('task-1', 1, 1, 1, 'shop', 't', 'DROP TABLE t',"
    " 'drop', '', 'completed')",
    "INSERT INTO apply_control_requests (apply_row, operation, status, metadata) VALUES"
    " (1, 'stop', 'completed', '{}')",
    "INSERT INTO apply_logs (apply_row, event_type, message) VALUES (1, 'info', 'x')",
    "INSERT INTO locks (database_name, database_type, owner) VALUES ('shop', 'mysql', 'me')",
    "INSERT INTO settings (setting_key, setting_value) VALUES ('k', 'v')",
]


class Storage:
    """A database that may become a storage, and the reaper that is told to see to it."""

    def __init__(self, stack, name):
        self.stack, self.name = stack, name
        stack.sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        stack.sql("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES ON"
                  f" {name}.* TO 'sb_storage'@'%'")
        text = stack.config.read_text(encoding="utf-8")
        self.config = stack.dir / f"{name}.conf"
        self.write_config(text.replace('database = "schemabot";', f'database = "{name}";'))

    def write_config(self, text):
        self.config.write_text(text, encoding="utf-8")

    def sql(self, statement, args=None):
        return self.stack.sql(statement, args, self.name)

    def old(self):
        """The first version's tables, each with a row."""
        for statement in OLD.split(";\n"):
            if statement.strip():
                self.sql(statement)
        for statement in ROWS:
            self.sql(statement)
        return self

    def reaper(self, *arguments, env=None):
        return self.stack.binary("schemabot-reaper", "--config", self.config, *arguments, env=env)

    def plan(self):
        done = self.reaper("--plan-storage")
        assert done.returncode in (0, 2), done.stderr
        todo = [line for line in done.stdout.splitlines() if not line.startswith("--")]
        kept = [line.partition(": ")[2] for line in done.stdout.splitlines()
                if line.startswith("-- left")]
        assert bool(todo) == (done.returncode == 2), done.stdout
        return todo, kept

    def converge(self, *arguments):
        done = self.reaper("--converge-storage", *arguments)
        assert done.returncode == 0, done.stderr
        return done

    def tables(self):
        return sorted(r["t"] for r in self.sql(
            "SELECT table_name AS t FROM information_schema.tables WHERE table_schema = %s",
            (self.name,)))

    def definition(self):
        """SHOW CREATE of everything but what counts rows: the columns in their order, of the
        rest, which stands in the order in which it was added, the lines."""
        found = set()
        for table in self.tables():
            text = self.sql(f"SHOW CREATE TABLE {table}")[0]["Create Table"]
            # MySQL says a column's character set twice when an ALTER named its collation.
            text = re.sub(r" AUTO_INCREMENT=\d+| CHARACTER SET utf8mb4(?= COLLATE)", "", text)
            text = text.replace(",\n", "\n")
            found |= {(table, line) for line in text.splitlines()}
        return found | set(self.columns().items())

    def rows(self, columns=None):
        columns = columns or {t: "*" for t in self.tables()}
        return {t: self.sql(f"SELECT {c} FROM {t} ORDER BY id") for t, c in columns.items()}

    def columns(self):
        return {t: ", ".join(f"`{r['Field']}`" for r in self.sql(f"SHOW COLUMNS FROM {t}"))
                for t in self.tables()}

    def is_accepted(self):
        """A pass of the reaper begins as every process does: with storage_open()."""
        done = self.reaper()
        return done.returncode == 0 or done.stderr


@pytest.fixture
def make(idle):
    """make(name) -> Storage, on a stack where nobody else plans."""
    made = []

    def one(name):
        made.append(Storage(idle, name))
        return made[-1]

    yield one
    for storage in made:
        storage.config.unlink()


def scratch(stack):
    return [d for d in stack.databases() if d.startswith("_schemabot_2")]


def test_an_empty_database(make):
    """Everything is outstanding, then everything is there, quickly; then nothing is to do."""
    storage = make("fresh")
    todo, kept = storage.plan()
    assert len(todo) >= len(TABLES) and kept == [] and storage.tables() == []
    storage.converge()
    assert storage.tables() == TABLES and storage.is_accepted() is True
    before = storage.definition()
    assert storage.plan() == ([], [])
    storage.converge()
    assert storage.definition() == before and scratch(storage.stack) == []
    assert all(rows == [] for rows in storage.rows().values())


def test_the_first_versions_storage(make):
    """It becomes exactly what a new one is; every row is as it was."""
    fresh, old = make("fresh"), make("old").old()
    fresh.converge()
    had, columns = old.definition(), old.columns()
    rows = old.rows(columns)
    assert old.is_accepted() is not True
    todo, kept = old.plan()
    assert len(todo) > 5 and kept == []
    assert old.definition() == had and old.rows(columns) == rows, "a plan changed something"
    old.converge()
    assert old.definition() == fresh.definition()
    assert old.rows(columns) == rows and old.rows()["counters"] == []
    assert old.is_accepted() is True and old.plan() == ([], [])
    assert scratch(old.stack) == []


EXTRA = {
    "ALTER TABLE applies ADD COLUMN extra int NOT NULL DEFAULT 7 AFTER apply_id": "extra",
    "ALTER TABLE tasks ADD COLUMN later text": "later",
    "ALTER TABLE plans ADD KEY ix_extra (created_at)": "ix_extra",
    "ALTER TABLE locks MODIFY owner varchar(300) NOT NULL": "owner",
    "ALTER TABLE settings MODIFY setting_value mediumtext": "setting_value",
    "ALTER TABLE apply_logs ADD CONSTRAINT ck_extra CHECK (level <> '')": "ck_extra",
    "CREATE TABLE of_a_newer_version (id int PRIMARY KEY, note text)": "of_a_newer_version",
}


def test_what_is_not_ours_survives(make):
    """Extra columns, indexes, CHECKs, tables and wider columns of another version."""
    storage = make("wider")
    storage.converge()
    for statement in ROWS + list(EXTRA):
        storage.sql(statement)
    storage.sql("INSERT INTO of_a_newer_version VALUES (1, 'kept')")
    before, rows = storage.definition(), storage.rows()
    todo, kept = storage.plan()
    assert todo == [], todo
    for name in EXTRA.values():
        assert any(f"`{name}`" in line for line in kept), (name, kept)
    done = storage.converge()
    assert '"storage.kept"' in done.stderr and "drop_table (whole)" in done.stderr
    assert storage.definition() == before and storage.rows() == rows
    assert storage.is_accepted() is True


LOST = [
    "ALTER TABLE applies DROP INDEX uq_active",
    "ALTER TABLE applies DROP COLUMN released_at",
    "ALTER TABLE apply_operations DROP CONSTRAINT ck_open_claimable",
    "ALTER TABLE apply_operations MODIFY target varchar(100) NOT NULL",
    "ALTER TABLE tasks DROP INDEX ix_state, ADD INDEX ix_state (state)",
    "ALTER TABLE tasks ADD COLUMN later text, DROP COLUMN detail",
    "ALTER TABLE plans DROP INDEX uq_plan_id, ADD INDEX uq_plan_id (plan_id)",
    "DROP TABLE counters",
]


def test_what_is_missing_comes_back(make):
    """Whatever of it is gone, beside what is kept."""
    storage = make("holes")
    storage.converge()
    whole = storage.definition()
    for statement in ROWS + LOST:
        storage.sql(statement)
    assert storage.is_accepted() is not True
    done = storage.converge()
    assert "drop_column (split)" in done.stderr
    storage.sql("ALTER TABLE tasks DROP COLUMN later")
    assert storage.definition() == whole


def test_several_at_once(make):
    old = make("old").old()
    fresh = make("fresh")
    fresh.converge()
    done = []
    threads = [threading.Thread(target=lambda: done.append(
        old.reaper("--converge-storage"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [d.returncode for d in done] == [0, 0, 0], [d.stderr for d in done]
    assert old.definition() == fresh.definition()
    assert scratch(old.stack) == []


def test_killed_anywhere(make):
    """kill -9 at every passage of every fault point; the next one completes it."""
    fresh, old = make("fresh"), make("old")
    fresh.converge()
    whole, trace = fresh.definition(), old.stack.dir / "converge.trace"

    def again(fault=None):
        old.stack.sql("DROP DATABASE old")
        old.stack.sql("CREATE DATABASE old CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        old.old()
        return old.reaper("--converge-storage", env={
            "SB_FAULT": fault or "", "SB_FAULT_LOG": str(trace)})

    assert again().returncode == 0
    points = {line.split()[-1] for line in trace.read_text().splitlines()}
    points = sorted(p for p in points if ".lost_" not in p)
    assert {"storage.converge.locked", "storage.converge.ran", "schema.verify.executed"} \
        <= set(points)
    told = 0
    for point in points:
        n = 0
        while n < 12:
            n += 1
            if again(f"{point}:crash@{n}").returncode == 0:
                break
            told += 1
            old.converge()
            assert old.definition() == whole, f"{point}@{n}"
            assert len(old.rows()["applies"]) == 1
    assert told >= 10
    old.reaper()
    assert scratch(old.stack) == [], "the reaper drops what the dead ones left"


@contextlib.contextmanager
def transaction(storage):
    """Somebody reads `applies` and does not end."""
    connection = storage.stack.connect(storage.name)
    connection.autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM applies")
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


def test_a_busy_storage(make):
    """It lets others pass, ends with its budget, says what is outstanding; and waits when it
    has the time."""
    old = make("old").old()
    with transaction(old):
        began = time.monotonic()
        done = old.reaper("--converge-storage", "--budget", "5")
        # Far from the time that it takes by default.
        assert done.returncode == 1 and 5 <= time.monotonic() - began < 40
        assert "The budget of 5 s is spent" in done.stderr
        assert '"storage.outstanding"' in done.stderr and "`released_at`" in done.stderr
    with transaction(old) as connection:
        waiting = subprocess.Popen(
            [old.stack.bin / "schemabot-reaper", "--config", old.config, "--converge-storage"],
            env=Stack(old.stack.dir).environment(False), stderr=subprocess.PIPE, text=True)
        for line in waiting.stderr:
            if '"storage.busy"' in line:
                break
        connection.rollback()
        waiting.communicate(timeout=60)
        assert waiting.returncode == 0
    assert old.plan() == ([], [])


def test_the_end_of_the_budget_in_a_statement(make):
    """Also a statement that waits in the server is ended, and nothing goes on behind it."""
    old = make("old").old()
    with transaction(old):
        done = old.reaper("--converge-storage", "--budget", "1")
        assert done.returncode == 1 and "The budget of 1 s is spent" in done.stderr, done.stderr
        old.stack.until(lambda: not old.sql(
            "SELECT id FROM information_schema.processlist WHERE user = 'sb_storage'"
            " AND db = 'old'"), "nothing of it goes on in the server")
    old.converge()


def test_the_end_of_the_budget_while_planning(make):
    old = make("old").old()
    gate = old.stack.dir / "converge.gate"
    env = {**Stack(old.stack.dir).environment(False),
           "SB_FAULT": f"schema.verify.executed:wait={gate}"}
    planning = subprocess.Popen(
        [old.stack.bin / "schemabot-reaper", "--config", old.config, "--converge-storage",
         "--budget", "2"], env=env, stderr=subprocess.PIPE, text=True)
    old.stack.until(gate.with_name("converge.gate.at").exists, "it plans")
    old.stack.until(lambda: old.sql(
        "SELECT IS_FREE_LOCK(CONCAT('schemabot_', LEFT(SHA2(DATABASE(), 256), 40))) AS free")
        == [{"free": 1}], "the budget ends")
    gate.touch()
    said = planning.communicate(timeout=60)[1]
    assert planning.returncode == 1 and "The budget of 2 s is spent" in said, said
    assert '"storage.outstanding"' in said
    old.converge()


def test_somebody_else_converges(make):
    storage = make("locked")
    connection = storage.stack.connect(storage.name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(CONCAT('schemabot_', LEFT(SHA2(DATABASE(), 256), 40)), 0)")
        assert "1" in str(cursor.fetchone())
        done = storage.reaper("--converge-storage", "--budget", "1")
        assert done.returncode == 1 and storage.tables() == []
        assert "Somebody else" in done.stderr or "The budget of 1 s" in done.stderr
    connection.close()
    storage.converge()


def test_an_account_without_rights(make):
    """The sentence names the right and how to give it; what was there stays."""
    storage = make("poor").old()
    stack, password = storage.stack, (storage.stack.dir / "secrets/storage.password").read_text()
    stack.sql("CREATE USER IF NOT EXISTS sb_poor@'%%' IDENTIFIED BY %s", (password.strip(),))
    try:
        storage.write_config(storage.config.read_text().replace(
            'user = "sb_storage"', 'user = "sb_poor"'))
        for grant in "SELECT", "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX":
            stack.sql(f"GRANT {grant} ON poor.* TO sb_poor@'%'")
            for mode in "--plan-storage", "--converge-storage":
                done = storage.reaper(mode)
                assert done.returncode == 1, done
                assert "sb_poor" in done.stderr and r"GRANT SELECT, CREATE" in done.stderr
        stack.sql(r"GRANT SELECT, CREATE, CREATE TEMPORARY TABLES, ALTER, DROP, INDEX, REFERENCES"
                  r" ON `\_schemabot\_2%`.* TO sb_poor@'%'")
        storage.converge()
    finally:
        stack.sql("DROP USER sb_poor")


def test_a_storage_that_is_away(make):
    storage = make("away")
    storage.write_config(storage.config.read_text().replace("/db/sock", "/db/nobody"))
    for mode in "--plan-storage", "--converge-storage":
        assert storage.reaper(mode).returncode == 1
    for text in "0", "-1", "x", "1000000", "":
        done = storage.reaper("--converge-storage", "--budget", text)
        assert done.returncode == 65 and "--budget" in done.stderr, text
