"""
test_engine_mysql.py - the mysql engine through the whole stack: what a plan announces is what
runs, locks are waited for politely, a stop stops, and no death runs a statement twice.
"""
import contextlib
import re
import threading
import time

import pymysql
import pytest

ITEMS = ("CREATE TABLE items (id int NOT NULL AUTO_INCREMENT, code varchar(40) NOT NULL,"
         " amount int NOT NULL, note varchar(80) NOT NULL, PRIMARY KEY (id))")
# With algorithm=inplace the server builds these in one statement, which takes a while.
INDEXED = ITEMS.replace(
    "PRIMARY KEY (id)", "PRIMARY KEY (id), KEY a (code, note), KEY b (note, code), KEY c (amount)")
LOCK_WAIT_SECONDS = 2  # MYSQL_LOCK_WAIT_SECONDS


def change_of(plan):
    changes = [c for group in plan["changes"] for c in group["table_changes"]]
    assert len(changes) == 1, changes
    return changes[0]


def fill(stack, doublings):
    """1 << doublings rows in items."""
    stack.target("INSERT INTO items (code, amount, note)"
                 " VALUES (REPEAT('c', 30), 1, REPEAT('n', 70))")
    for _ in range(doublings):
        stack.target("INSERT INTO items (code, amount, note)"
                     " SELECT LEFT(CONCAT(FLOOR(RAND() * 1e9), code), 30), amount + 1, note FROM items")


def executing(stack):
    """Ids of the connections that execute an ALTER of items now."""
    return [row["id"] for row in stack.sql(
        "SELECT id AS id FROM information_schema.processlist"
        " WHERE info LIKE 'ALTER TABLE `items`%%' AND user = 'sb_target'", ())]


def lines_of(stack, event):
    """Logged lines of an event since the test began."""
    return [line for line in stack.new_logs(most=100000).splitlines() if f'"{event}"' in line]


@contextlib.contextmanager
def open_transaction(stack, table):
    """An application's transaction that has read the table; its connection id."""
    connection = stack.connect("shop_staging")
    connection.autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) AS n FROM {table}")
    try:
        yield connection.thread_id()
    finally:
        connection.rollback()
        connection.close()


class Writer(threading.Thread):
    """An application that writes all the time and notes how long it had to wait at most."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.connection = stack.connect("shop_staging")
        self.done, self.longest, self.writes, self.error = threading.Event(), 0, 0, None

    def run(self):
        try:
            with self.connection.cursor() as cursor:
                while not self.done.is_set():
                    begin = time.monotonic()
                    cursor.execute("UPDATE items SET amount = amount + 1 WHERE id = 1")
                    self.longest = max(self.longest, time.monotonic() - begin)
                    self.writes += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.done.set()
        self.join()
        self.connection.close()
        assert self.error is None and self.writes > 0


# desired table, how both do it
ANNOUNCED = {
    "instant": ITEMS.replace("note varchar(80) NOT NULL", "note varchar(80) NOT NULL, extra int"),
    "inplace": ITEMS.replace(", KEY by_note (note)", ""),
    "copy": ITEMS.replace("amount int", "amount bigint"),
}


@pytest.mark.parametrize("algorithm", ANNOUNCED)
def test_what_is_announced_is_used(stack, algorithm):
    before = ITEMS.replace("PRIMARY KEY (id)", "PRIMARY KEY (id), KEY by_note (note)") if algorithm == "inplace" else ITEMS
    stack.target(before)
    fill(stack, 3)
    plan = stack.plan([ANNOUNCED[algorithm]])
    change = change_of(plan)
    assert (change["algorithm"], change["execution_mode"]) == (algorithm, "")
    assert "writes wait" not in change["mode_reason"]
    done = stack.wait_state(stack.apply(plan, allow_unsafe=True), "completed")
    assert done["tables"][0]["is_instant"] == (algorithm == "instant")
    words = {"instant": "only its metadata", "inplace": "in place", "copy": "by an online copy"}
    said = lines_of(stack, "engine.mysql.altered")
    assert len(said) == 1 and words[algorithm] in said[0]
    assert stack.target("SELECT COUNT(*) AS n FROM items")[0]["n"] == 8


@pytest.mark.parametrize("clause", ["PARTITION BY HASH (id) PARTITIONS 4"])
def test_a_server_that_claims_to_be_instant_is_not_believed(stack, clause):
    """MariaDB accepts ALGORITHM=INSTANT for this, and copies the table."""
    stack.target(ITEMS)
    reply = stack.post_plan([f"{ITEMS} {clause}"]).expect(200)
    if reply.get("errors"):
        pytest.skip("the planner does not plan partitions yet")
    change = change_of(reply)
    assert change["algorithm"] == "copy" and change["execution_mode"] == ""


def test_a_forced_algorithm(stack):
    stack.target(ITEMS)
    fill(stack, 3)
    before = stack.create_table("items")
    plan = stack.plan([ITEMS.replace("amount int", "amount bigint")])
    for algorithm in ("instant", "inplace"):
        refused = stack.post_apply(plan, algorithm=algorithm)
        assert refused.status == 400 and algorithm in refused.json["error"]
    assert stack.create_table("items") == before
    wider = ITEMS.replace("note varchar(80) NOT NULL", "note varchar(80) NOT NULL, extra int")
    done = stack.wait_state(stack.apply(stack.plan([wider]), algorithm="copy"), "completed")
    assert done["tables"][0]["is_instant"] is False
    assert "by an online copy" in lines_of(stack, "engine.mysql.altered")[-1]
    nullable = wider.replace("note varchar(80) NOT NULL", "note varchar(80) DEFAULT NULL")
    plan = stack.plan([nullable])
    assert (change_of(plan)["algorithm"], change_of(plan)["native_algorithm"]) == ("copy", "inplace")
    done = stack.wait_state(stack.apply(plan, algorithm="inplace"), "completed")
    assert done["tables"][0]["algorithm"] == "inplace"
    assert "changing it in place" in lines_of(stack, "engine.mysql.altered")[-1]


@contextlib.contextmanager
def instant_used_up(stack):
    """From now on the server refuses INSTANT columns to items; an empty copy still takes them."""
    if stack.flavor == "mariadb":
        name = "innodb_instant_alter_column_allowed"
        before = stack.sql(f"SELECT @@GLOBAL.{name} AS v")[0]["v"]
        stack.sql(f"SET GLOBAL {name} = 'never'")
        try:
            yield
        finally:
            stack.sql(f"SET GLOBAL {name} = %s", (before,))
        return
    connection = stack.connect("shop_staging")
    with contextlib.closing(connection), connection.cursor() as cursor:
        with pytest.raises(pymysql.err.MySQLError, match="Maximum row versions"):
            for _ in range(1000):  # the limit was 64, then 255
                cursor.execute("ALTER TABLE items DROP COLUMN note, ADD COLUMN note varchar(80)"
                               " NOT NULL, ALGORITHM=INSTANT")
    yield


def test_nothing_harsher_than_announced_is_done(stack):
    stack.target(ITEMS)
    fill(stack, 3)
    plan = stack.plan([ITEMS.replace("note varchar(80) NOT NULL",
                                     "note varchar(80) NOT NULL, extra int")])
    assert change_of(plan)["algorithm"] == "instant"
    with instant_used_up(stack):
        failed = stack.wait_state(stack.apply(plan), "failed")
    assert "announced algorithm instant" in failed["error_message"]
    assert "algorithm=inplace" in failed["error_message"], "it says what to do next"
    assert "extra" not in stack.create_table("items")


def test_a_held_table_lock_is_waited_for_politely(stack):
    """Retries, then failed_retryable that names the blocker; no writer waits for longer than
    one short lock wait at a time; and once the table is free it completes."""
    stack.target(ITEMS)
    fill(stack, 3)
    plan = stack.plan([ITEMS.replace("note varchar(80) NOT NULL",
                                     "note varchar(80) NOT NULL, extra int")])
    with open_transaction(stack, "items") as blocker, Writer(stack) as writer:
        apply_id = stack.apply(plan)
        seen = stack.until(lambda: stack.storage(
            "SELECT message AS m FROM apply_logs WHERE new_state = 'failed_retryable'"),
            "the tries are used up", deadline=90)
        assert "extra" not in stack.create_table("items")
        text = " ".join(row["m"] for row in seen) + stack.new_logs(most=100000)
        assert f"connection {blocker} " in text
        waits = lines_of(stack, "engine.mysql.lock_wait")
        assert len(waits) >= 3
        assert 0.5 < writer.longest < 2 * LOCK_WAIT_SECONDS, \
            "the writer did wait behind us, and never for two lock waits on end"
    stack.wait_state(apply_id, "completed")
    assert "extra" in stack.create_table("items")


def test_stop_kills_a_long_statement_and_start_does_it(stack):
    stack.target(ITEMS)
    fill(stack, 18)
    before = stack.create_table("items")
    apply_id = stack.apply(stack.plan([INDEXED]), algorithm="inplace")
    stack.until(lambda: executing(stack), "the statement executes")
    begin = time.monotonic()
    stack.control("stop", apply_id).expect(200, 202)
    stopped = stack.wait_state(apply_id, "stopped")
    assert time.monotonic() - begin < 10, "it is told, and does not find out with a heartbeat"
    assert not executing(stack)
    assert stack.create_table("items") == before
    assert stopped["tables"][0]["status"] == "stopped"
    assert not [t for t in stack.tables() if t.startswith("#")]
    stack.control("start", apply_id).expect(200, 202)
    done = stack.wait_state(apply_id, "completed", deadline=120)
    assert "KEY `c`" in stack.create_table("items")
    assert done["tables"][0]["percent_complete"] == 100
    assert stack.target("SELECT COUNT(*) AS n FROM items")[0]["n"] == 1 << 18


@pytest.fixture
def stages(stack):
    """Let MySQL say how far a statement is: that consumer is off by default."""
    consumer = "UPDATE performance_schema.setup_consumers SET enabled = %s" \
        " WHERE name = 'events_stages_current'"
    if stack.flavor == "mysql":
        stack.sql(consumer, ("YES",))
    yield
    if stack.flavor == "mysql":
        stack.sql(consumer, ("NO",))


def watched(stack, plan, **options):
    """The apply is completed; its table as it was seen at each look."""
    apply_id, seen = stack.apply(plan, **options), []

    def settled():
        progress = stack.progress(apply_id)
        seen.append(progress["tables"][0])
        return progress["state"] == "completed"

    stack.until(settled, "it is completed", deadline=120)
    assert seen[-1]["percent_complete"] == 100
    return seen


def test_progress_of_a_copy(stack):
    """Never backwards, never 100 before the end, and in words."""
    stack.target(ITEMS)
    fill(stack, 18)
    seen = watched(stack, stack.plan([ITEMS.replace("amount int", "amount bigint")]), volume=1)
    running = [t for t in seen if t["status"] == "running"]
    percents = [t["percent_complete"] for t in running if "percent_complete" in t]
    assert percents and percents == sorted(percents) and percents[-1] <= 99
    rows = [t["rows_copied"] for t in running if t.get("rows_copied", -1) >= 0]
    assert rows and rows == sorted(rows)
    assert any(t.get("rows_total", 0) > 100000 for t in running)
    assert any(t.get("progress_detail") == "copying rows" for t in running)
    assert seen[-1]["rows_copied"] == seen[-1]["rows_total"] == 1 << 18


@pytest.mark.usefixtures("stages")
def test_progress_of_a_long_statement(stack):
    """What the server says about it, in its own words."""
    stack.target(ITEMS)
    fill(stack, 18)
    seen = watched(stack, stack.plan([INDEXED]), algorithm="inplace")
    running = [t for t in seen if t["status"] == "running"]
    # Which stage a look falls into is the server's business; that it has a name is ours.
    assert any(t.get("progress_detail") for t in running)
    percents = [t["percent_complete"] for t in running if "percent_complete" in t]
    assert percents == sorted(percents) and all(p <= 99 for p in percents)


def test_kill_9_in_a_long_statement_does_not_run_it_twice(stack):
    """The server goes on without the driver and keeps its lock; the successor waits for it,
    looks, and finds the work done."""
    stack.target(ITEMS)
    fill(stack, 18)
    apply_id = stack.apply(stack.plan([INDEXED]), algorithm="inplace")
    (first,) = stack.until(lambda: executing(stack), "the statement executes")
    stack.kill(stack.driver_of(apply_id))
    def waited_for():
        """The successor met the lock, or came after the statement's end."""
        assert executing(stack) in ([first], []), "nobody else executes it"
        return lines_of(stack, "drive.busy") or not executing(stack)

    stack.until(waited_for, "the successor waits for the lock")
    for busy in lines_of(stack, "drive.busy"):
        assert f"connection {first} " in busy
    stack.wait_state(apply_id, "completed", deadline=120)
    assert "KEY `c`" in stack.create_table("items")
    assert len(lines_of(stack, "drive.started")) == 1, "nobody began it again"
    assert stack.target("SELECT COUNT(*) AS n FROM items")[0]["n"] == 1 << 18


def test_stop_after_the_driver_died(stack):
    """What the dead driver left running on the server is ended before `stopped` is said."""
    stack.target(ITEMS)
    fill(stack, 18)
    before = stack.create_table("items")
    apply_id = stack.apply(stack.plan([INDEXED]), algorithm="inplace")
    stack.until(lambda: executing(stack), "the statement executes")
    stack.kill(stack.driver_of(apply_id))
    stack.control("stop", apply_id).expect(200, 202)
    end = stack.wait_state(apply_id, ("stopped", "completed"))
    assert not executing(stack)
    assert (stack.create_table("items") == before) == (end["state"] == "stopped")
    stack.until(lambda: not stack.storage(
        "SELECT id FROM apply_control_requests WHERE status = 'pending'"), "stop is answered")


def test_a_connection_killed_by_somebody_else_is_no_failure(stack):
    """What became of the statement is unknown then; the driver looks, and goes on."""
    stack.target(ITEMS)
    fill(stack, 17)
    apply_id = stack.apply(stack.plan([INDEXED]), algorithm="inplace")
    (connection,) = stack.until(lambda: executing(stack), "the statement executes")
    stack.sql(f"KILL {connection}")
    stack.wait_state(apply_id, "completed", deadline=120)
    assert "KEY `c`" in stack.create_table("items")
    states = {row["s"] for row in stack.storage("SELECT new_state AS s FROM apply_logs")}
    assert "failed" not in states


@pytest.mark.parametrize("point", ["engine.mysql.open.locked", "engine.mysql.start",
                                   "engine.mysql.ddl.before", "engine.mysql.ddl.after"])
@pytest.mark.parametrize("action", ["crash", "error"])
def test_every_step_may_fail(stack, point, action):
    """Two tables; whatever happens at whichever step, both are changed once."""
    stack.target(ITEMS)
    other = ITEMS.replace("TABLE items", "TABLE others")
    stack.target(other)
    wide = [sql.replace("note varchar(80) NOT NULL", "note varchar(80) NOT NULL, extra int")
            for sql in (ITEMS, other)]
    plan = stack.plan(wide)
    with stack.faults(f"{point}:{action}") as fault:
        apply_id = stack.apply(plan)
        stack.until(lambda: fault.fired(point), "the fault fires")
        done = stack.wait_state(apply_id, "completed")
    assert {t["status"] for t in done["tables"]} == {"completed"}
    assert "extra" in stack.create_table("items") and "extra" in stack.create_table("others")


def test_rows_that_contradict_the_change(stack):
    """A permanent failure that names the rows; nothing changed; the later table is left alone."""
    stack.target(ITEMS)
    fill(stack, 1)
    stack.target("UPDATE items SET code = 'same'")
    before = stack.create_table("items")
    unique = ITEMS.replace("PRIMARY KEY (id)", "PRIMARY KEY (id), UNIQUE KEY u (code)")
    plan = stack.plan([unique])
    failed = stack.wait_state(stack.apply(plan, allow_unsafe=True), "failed")
    assert "'same'" in failed["error_message"] and "Correct them first" in failed["error_message"]
    assert stack.create_table("items") == before


def test_names_that_need_quoting(stack):
    """The clause enters behind the name, whatever that contains."""
    for name in ("back`tick", "qu'ote\"s", "sp ace", "per%cent", "ALTER TABLE", "x" * 64, "žluť"):
        quoted = "`" + name.replace("`", "``") + "`"
        old = f"CREATE TABLE {quoted} (id int NOT NULL, PRIMARY KEY (id))"
        stack.target(old)
        plan = stack.plan([old.replace("id int NOT NULL", "id int NOT NULL, extra int")])
        assert change_of(plan)["algorithm"] == "instant"
        stack.wait_state(stack.apply(plan), "completed")
        assert re.search(r"`extra` int", stack.create_table(name))
        stack.target(f"DROP TABLE {quoted}")
