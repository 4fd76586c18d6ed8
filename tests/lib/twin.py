"""
twin.py - the oracle of an online copy through the API: a twin of the table, in another
schema, to which a writer does in each transaction what it does to the table.

    twin = Twin(stack, "items", CREATE, rows=3000)
    with twin.written():
        ...                      an apply copies the table
    twin.compare(ddl)            the twin gets the server's own ALTER; both have to be alike

(tests/it/test_copy.c is the same below the driver, with keys of every kind.)
"""
import contextlib
import random
import re
import threading
import time

import pymysql
from pymysql.constants import CR, ER

SCHEMA = "twins"
LOST = (CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, CR.CR_CONN_HOST_ERROR, CR.CR_CONNECTION_ERROR,
        ER.SERVER_SHUTDOWN, ER.CON_COUNT_ERROR)
# What a transaction may meet while tables are locked and swapped, or be refused for.
PASSING = (ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK, ER.TABLE_DEF_CHANGED, ER.DUP_ENTRY)
# %(k)s a key, %(m)s another, %(v)s a value. The columns are those of ITEMS.
WRITES = ("INSERT INTO {t} (id, code, amount) VALUES (%(k)s, CONCAT('n', %(v)s), %(v)s)",
          "UPDATE {t} SET amount = %(v)s WHERE id = %(k)s",
          "UPDATE {t} SET id = %(m)s, code = 'moved' WHERE id = %(k)s",
          "DELETE FROM {t} WHERE id = %(k)s",
          "REPLACE INTO {t} (id, code, amount) VALUES (%(k)s, 'again', %(v)s)",
          "UPDATE {t} SET code = CONCAT(amount, 'y') WHERE id BETWEEN %(k)s AND %(k)s + 5")


def items(name: str, amount: str = "int", more: str = "") -> str:
    """CREATE TABLE of what can be written; `more`: further parts of the definition."""
    return (f"CREATE TABLE `{name}` (id int NOT NULL AUTO_INCREMENT, code varchar(40) NOT NULL,"
            f" amount {amount} NOT NULL, PRIMARY KEY (id), KEY code (code){more})")


class Twin:
    """A table that is made and filled, and its twin. `schema`: where the table is, `home`:
    where its twin is; `patient`: the server may go away meanwhile; `pause`:
    seconds between two transactions."""

    def __init__(self, stack, table, create, rows=3000, schema="shop_staging", home=SCHEMA,
                 seed="1", patient=False, pause=0.001):
        self.stack, self.table, self.rows, self.schema = stack, table, rows, schema
        self.home, self.patient, self.pause = home, patient, pause
        self.random = random.Random(seed)
        self.writes = self.refused = 0
        self.longest = 0.0  # seconds of a transaction
        self.problem, self.over, self.thread = None, threading.Event(), None
        stack.sql(f"CREATE DATABASE IF NOT EXISTS {home}")
        stack.sql(create, None, schema)
        stack.sql(f"INSERT INTO {self.original} (code, amount) VALUES ('c', 1)")
        made = 1
        while made < rows:
            stack.sql(f"INSERT INTO {self.original} (code, amount) SELECT CONCAT('c', id), id * 7"
                      f" FROM {self.original} ORDER BY id LIMIT {min(made, rows - made)}")
            made += min(made, rows - made)
        stack.sql(f"DROP TABLE IF EXISTS {self.twin}")
        stack.sql(f"CREATE TABLE {self.twin} LIKE {self.original}")
        stack.sql(f"INSERT INTO {self.twin} SELECT * FROM {self.original}")

    @property
    def original(self) -> str:
        return f"`{self.schema}`.`{self.table}`"

    @property
    def twin(self) -> str:
        return f"`{self.home}`.`{self.table}`"

    # ---- the application ----

    def start(self) -> "Twin":
        self.over.clear()
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()
        return self

    def stop(self) -> None:
        self.over.set()
        if self.thread:
            self.thread.join(60)
            assert not self.thread.is_alive(), f"a write to {self.table} hangs"
        assert not self.problem, f"the application: {self.problem}"

    @contextlib.contextmanager
    def written(self):
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def _write(self) -> None:
        while not self.over.is_set() and not self.problem:
            try:
                self._write_connected()
            except pymysql.err.Error as problem:
                if not self.patient or problem.args[0] not in LOST:
                    self.problem = problem
                self.over.wait(0.1)

    def _write_connected(self) -> None:
        connection = self.stack.connect()
        try:
            connection.autocommit(False)
            while not self.over.is_set():
                self._transaction(connection)
                self.over.wait(self.pause)
        finally:
            with contextlib.suppress(pymysql.err.Error):
                connection.close()

    def _transaction(self, connection) -> None:
        began = time.monotonic()
        try:
            with connection.cursor() as cursor:
                for _ in range(self.random.choice((1, 1, 2, 5))):
                    text, values = self.random.choice(WRITES), self._values()
                    cursor.execute(text.format(t=self.original), values)
                    cursor.execute(text.format(t=self.twin), values)
            connection.commit()
            self.writes += 1
        except pymysql.err.Error as refusal:
            if refusal.args[0] not in PASSING:
                raise
            connection.rollback()
            self.refused += 1
        self.longest = max(self.longest, time.monotonic() - began)

    def _values(self) -> dict:
        most = self.rows + self.rows // 4 + 10
        return {"k": self.random.randint(1, most), "m": self.random.randint(1, most),
                "v": self.random.randint(0, 10000)}

    # ---- afterwards ----

    def compare(self, *statements) -> None:
        """The twin is altered by the server itself; then both are the same."""
        for statement in statements:
            self.stack.sql(statement, None, self.home)
        assert self._definition(self.original) == self._definition(self.twin)
        self.compare_rows("*")

    def compare_rows(self, columns="id, code, amount") -> None:
        rows, should = self._rows(self.original, columns), self._rows(self.twin, columns)
        if rows != should:
            lost = [r for r in should if r not in rows][:3]
            more = [r for r in rows if r not in should][:3]
            raise AssertionError(f"{self.table}: {len(rows)} rows, of {len(should)}; only the"
                                 f" twin has {lost}, only the table has {more}")

    def _rows(self, table, columns) -> list:
        return self.stack.sql(f"SELECT {columns} FROM {table} ORDER BY id")

    def _definition(self, table) -> str:
        [row] = self.stack.sql(f"SHOW CREATE TABLE {table}")
        return re.sub(r" AUTO_INCREMENT=\d+", "", row["Create Table"])


def statements_of(stack, apply_id, table) -> list:
    """What the apply did to a table, in its order."""
    return [r["ddl"] for r in stack.storage(
        "SELECT t.ddl FROM tasks t JOIN apply_operations o ON o.id = t.operation_row"
        " JOIN applies a ON a.id = o.apply_row WHERE a.apply_id = %s AND t.table_name = %s"
        " ORDER BY t.seq", (apply_id, table))]


def artefacts(stack, schema="shop_staging") -> list:
    """What of ours is beside the tables of a schema."""
    return [r["t"] for r in stack.sql(
        "SELECT table_name AS t FROM information_schema.tables WHERE table_schema = %s"
        " AND table_name LIKE '%%~sb!_%%' ESCAPE '!'", (schema,))]


def checkpoints(stack, schema="shop_staging") -> list:
    if "_schemabot_state" not in stack.databases():
        return []
    return stack.sql("SELECT table_name AS t, progress AS p FROM _schemabot_state.checkpoints"
                     " WHERE schema_name = %s", (schema,))
