"""
test_online.py - the online copy through the whole stack: applies that copy tables, what their
operator sees and asks for, and what is left behind.

What the copy itself has to survive is in test_copy.c, below the driver; here it is the
requests, the drivers that come and go, and groups.
"""
import contextlib
import json
import re

import pymysql
import pytest

ITEMS = ("CREATE TABLE items (id int NOT NULL AUTO_INCREMENT, code varchar(40) NOT NULL,"
         " amount int NOT NULL, PRIMARY KEY (id))")
WIDER = ITEMS.replace("amount int", "amount bigint").replace("PRIMARY KEY (id)",
                                                             "PRIMARY KEY (id), KEY c (code)")
NOTES = "CREATE TABLE notes (id int NOT NULL AUTO_INCREMENT, text varchar(40), PRIMARY KEY (id))"
ROWS = 1 << 12


def fill(stack, table="items", columns="code, amount", values="'c', 1", doublings=12):
    stack.target(f"INSERT INTO {table} ({columns}) VALUES ({values})")
    for _ in range(doublings):
        stack.target(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}")


@pytest.fixture
def items(stack):
    stack.target(ITEMS)
    fill(stack)
    stack.target("UPDATE items SET code = LEFT(SHA2(id, 224), 40), amount = id * 7")
    return stack


def rows_of(stack):
    return stack.target("SELECT * FROM items ORDER BY id")


def artefacts(stack):
    """What of ours is beside the tables, by kind."""
    return [t for t in stack.tables() if "~sb_" in t]


def shadows(stack):
    return [t for t in artefacts(stack) if "~sb_new_" in t]


def checkpoints(stack):
    if "_schemabot_state" not in stack.databases():
        return []
    return stack.sql("SELECT table_name AS t, progress AS p FROM _schemabot_state.checkpoints"
                     " WHERE schema_name = 'shop_staging'")


def reaped(stack):
    """Is nothing left? A pass ends at once when cron's is at it, and skips what a driver has
    locked still."""
    stack.until(lambda: stack.reap() or not artefacts(stack), "what is left is dropped")
    return True


def is_changed(stack):
    return "`amount` bigint" in stack.create_table("items")


def copying(stack):
    """Is a chunk of the table being copied?"""
    return stack.sql("SELECT id FROM information_schema.processlist WHERE user = 'sb_target'"
                     " AND info LIKE 'INSERT INTO `shop_staging`.`items~sb_new_%%'", ())


@contextlib.contextmanager
def held_in_the_middle(stack, start):
    """Start the apply; its copy stands still at a row of the shadow that somebody else has
    inserted and not committed. Gives the apply's id, copying."""
    gate = stack.arm("schemabot-driver/engine.mysql.copy.begun:wait=@FILE@")
    apply_id = start()
    stack.until(gate.arrived, "the shadow is there")
    other = stack.connect("shop_staging")
    other.autocommit(False)
    [shadow] = shadows(stack)
    with other.cursor() as cursor:
        cursor.execute(f"INSERT INTO `{shadow}` (id, code, amount) VALUES (%s, '', 0)", (ROWS // 2,))
    gate.release()
    stack.disarm()
    try:
        stack.until(lambda: copying(stack), "the copy waits")
        yield apply_id
    finally:
        other.rollback()
        other.close()


def start(stack, **options):
    return stack.apply(stack.plan([WIDER]), **options)


def test_a_table_is_copied_and_nothing_is_left(items):
    stack, before = items, rows_of(items)
    plan = stack.plan([WIDER])
    [change] = [c for g in plan["changes"] for c in g["table_changes"]]
    assert (change["execution_mode"], change["algorithm"]) == ("", "copy")
    done = stack.wait_state(stack.apply(plan), "completed")
    [table] = done["tables"]
    assert is_changed(stack) and rows_of(stack) == before
    assert (table["percent_complete"], table["rows_copied"], table["rows_total"]) == (100, ROWS, ROWS)
    assert shadows(stack) == [] and checkpoints(stack) == []
    assert reaped(stack), "the replaced table goes with the apply's end"


def test_a_deferred_cutover_waits_to_be_asked_for(items):
    stack, before = items, rows_of(items)
    apply_id = start(stack, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    assert not is_changed(stack)
    stack.target("INSERT INTO items (code, amount) VALUES ('late', 1)")
    stack.control("cutover", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "completed")
    assert is_changed(stack) and len(rows_of(stack)) == len(before) + 1


def test_stop_keeps_what_was_copied_and_start_goes_on(items):
    stack, before = items, rows_of(items)
    with held_in_the_middle(stack, lambda: start(stack, volume=1)) as apply_id:
        stack.control("stop", apply_id).expect(200, 202)
        stack.wait_state(apply_id, "stopped")
        assert not is_changed(stack) and len(shadows(stack)) == 1
        [checkpoint] = checkpoints(stack)
        assert '"phase":"COPYING"' in checkpoint["p"]
    stack.control("start", apply_id).expect(200)
    stack.wait_state(apply_id, "completed")
    assert is_changed(stack) and rows_of(stack) == before
    assert "engine.mysql.copy.resumed" in stack.new_logs(most=100000)


@pytest.mark.parametrize("when", ["copying", "waiting", "stopped"])
def test_cancel_removes_everything(items, when):
    stack, before = items, rows_of(items)
    if when == "copying":
        with held_in_the_middle(stack, lambda: start(stack)) as apply_id:
            stack.control("cancel", apply_id).expect(200, 202)
            # Our own hold on the shadow is in the way of its DROP until it is given up.
            stack.until(lambda: not copying(stack), "the copy is ended")
    else:
        apply_id = start(stack, defer_cutover=True)
        stack.wait_state(apply_id, "waiting_for_cutover")
        if when == "stopped":
            stack.control("stop", apply_id).expect(200, 202)
            stack.wait_state(apply_id, "stopped")
            assert len(shadows(stack)) == 1
        stack.control("cancel", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "cancelled")
    assert artefacts(stack) == [] and checkpoints(stack) == []
    assert not is_changed(stack) and rows_of(stack) == before


def test_the_volume_changes_while_it_runs(items):
    stack = items
    with held_in_the_middle(stack, lambda: start(stack, volume=1)) as apply_id:
        reply = stack.control("volume", apply_id, volume=7).expect(200, 202)
        assert (reply["previous_volume"], reply["new_volume"]) == (1, 7)
        stack.until(lambda: not stack.storage("SELECT id FROM apply_control_requests"
                                              " WHERE status = 'pending'"), "it is obeyed")
        assert stack.progress(apply_id)["volume"] == 7
    stack.wait_state(apply_id, "completed")


def test_what_is_copied_is_stored_soon(items):
    """Whoever dies has a successor that copies little twice."""
    stack = items
    with held_in_the_middle(stack, lambda: start(stack, volume=1)) as apply_id:
        stack.until(lambda: json.loads(checkpoints(stack)[0]["p"])["rows"] > 0, "a chunk is stored", 3)
        copied = json.loads(checkpoints(stack)[0]["p"])["rows"]
        stack.kill(stack.driver_of(apply_id))
        taken_up = stack.until(lambda: stack.driver_of(apply_id), "there is another driver")
        assert taken_up and json.loads(checkpoints(stack)[0]["p"])["rows"] >= copied
    stack.wait_state(apply_id, "completed")


def test_who_dies_waiting_for_the_cutover_costs_no_second_comparison(items):
    stack = items
    apply_id = start(stack, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.kill(stack.driver_of(apply_id))
    stack.until(lambda: len(stack.storage(
        "SELECT id FROM apply_logs WHERE new_state = 'waiting_for_cutover'"
        " AND event_type = 'task_update'")) == 2, "it waits again")
    stack.control("cutover", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "completed")
    assert stack.new_logs(most=100000).count("items: comparing both tables") == 1


# ---- drivers that come and go ----------------------------------------------------------------

def test_a_cutover_is_obeyed_by_whoever_drives(items):
    """Its driver is killed while the change waits; the request comes before there is another."""
    stack, before = items, rows_of(items)
    apply_id = start(stack, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.kill(stack.driver_of(apply_id))
    stack.control("cutover", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "completed")
    assert is_changed(stack) and rows_of(stack) == before


@pytest.mark.parametrize("point", ["drive.cutover.sent", "engine.mysql.copy.cutover.stored",
                                   "engine.mysql.copy.cutover.locked"])
def test_a_cutover_that_was_asked_for_is_not_asked_for_again(items, point):
    stack, before = items, rows_of(items)
    apply_id = start(stack, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    fault = stack.arm(f"schemabot-driver/{point}:crash")
    stack.control("cutover", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "completed")
    assert fault.fired(point)
    assert is_changed(stack) and rows_of(stack) == before


def test_a_stop_takes_a_cutover_back(items):
    """Asked for, stopped before it happened, started again: it waits once more."""
    stack = items
    apply_id = start(stack, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    reader = stack.connect("shop_staging")
    reader.autocommit(False)
    with reader.cursor() as cursor:  # keeps the cutover from its lock
        cursor.execute("SELECT COUNT(*) FROM items")
    stack.control("cutover", apply_id).expect(200, 202)
    stack.until(lambda: any(t["status"] == "cutting_over"
                            for t in stack.progress(apply_id)["tables"]), "it tries")
    stack.control("stop", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "stopped")
    reader.rollback()
    reader.close()
    assert not is_changed(stack)
    stack.control("start", apply_id).expect(200)
    stack.wait_state(apply_id, "waiting_for_cutover")
    assert not is_changed(stack)
    stack.control("cutover", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "completed")


def test_writes_behind_the_last_delta_fail_the_apply_and_the_former_table_stays(items):
    stack = items
    fault = stack.arm("schemabot-driver/engine.mysql.copy.behind:error")
    apply_id = start(stack, keep_old=1)
    failed = stack.wait_state(apply_id, "failed")
    assert fault.fired("engine.mysql.copy.behind") and is_changed(stack)
    kept, = artefacts(stack)
    assert "~sb_was_" in kept and f"It is kept as `{kept}`" in failed["error_message"], failed
    stack.storage("UPDATE apply_operations SET completed_at = NOW(6) - INTERVAL 3 HOUR")
    stack.until(lambda: not stack.drivers(), "the drivers end")
    stack.reap()
    assert artefacts(stack) == [kept] and checkpoints(stack) == []
    assert not stack.plan([WIDER])["changes"], "a plan looks past it"


UNIQUE = ITEMS.replace("PRIMARY KEY (id)", "PRIMARY KEY (id), UNIQUE KEY u (code)")


@pytest.mark.parametrize("column, rows", [
    ("varchar(40)", "UPDATE items SET code = 'twice' WHERE id IN (17, {last})"),
    ("varchar(40) COLLATE utf8mb4_bin", "UPDATE items SET code = IF(id = 17, 'twice', 'TWICE') WHERE id IN (17, {last})")])
def test_rows_that_a_new_key_will_not_have_are_named(items, column, rows):
    stack = items
    stack.target(f"ALTER TABLE items MODIFY code {column} NOT NULL")
    last, = stack.target("SELECT MAX(id) AS id FROM items")
    stack.target(rows.format(last=last["id"]))
    before = rows_of(stack)
    failed = stack.wait_state(stack.apply(stack.plan([UNIQUE]), allow_unsafe=True), "failed")
    said = failed["error_message"]
    assert re.search(rf"the unique key `u`.*keys \('?17'?\) and \('?{last['id']}'?\)", said), said
    finder = re.search(r"SELECT (.* HAVING COUNT\(\*\) > 1) finds all", said)
    assert finder and len(stack.target("SELECT " + finder[1])) == 1
    assert rows_of(stack) == before and artefacts(stack) == []


def test_rows_that_come_while_it_waits_are_named_too(items):
    stack = items
    apply_id = stack.apply(stack.plan([UNIQUE]), allow_unsafe=True, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.target("UPDATE items SET code = 'twice' WHERE id IN (17, 18)")
    said = stack.wait_state(apply_id, "failed")["error_message"]
    assert re.search(r"keys \('?17'?\) and \('?18'?\)", said), said
    assert artefacts(stack) == []


@pytest.mark.parametrize("ddl", ["ALTER TABLE items ADD COLUMN x int", "TRUNCATE TABLE items",
                                 "RENAME TABLE items TO elsewhere", "DROP TABLE items"])
def test_somebody_elses_ddl_ends_the_copy(items, ddl):
    stack = items
    apply_id = start(stack, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.target(ddl)
    seen = {t: stack.create_table(t) for t in ("items", "elsewhere") if t in stack.tables()}
    said = stack.wait_state(apply_id, "failed")["error_message"]
    assert "Somebody changed the definition" in said and ddl[:11] in said, said
    assert {t: stack.create_table(t) for t in seen} == seen


def test_a_session_that_logs_statements_ends_the_copy(items):
    stack = items
    apply_id = start(stack, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    other = stack.connect("shop_staging")
    with other.cursor() as cursor:
        cursor.execute("SET SESSION binlog_format = STATEMENT")
        cursor.execute("UPDATE items SET amount = 3 WHERE id = 17")
    other.close()
    said = stack.wait_state(apply_id, "failed")["error_message"]
    assert "binlog_format" in said and "ROW" in said, said
    assert artefacts(stack) == [] and not is_changed(stack)


# ---- groups ------------------------------------------------------------------------------------

GROUP = [WIDER, NOTES.replace("text varchar(40)", "text varchar(40) CHARACTER SET utf16"),
         "CREATE TABLE fresh (id int NOT NULL, PRIMARY KEY (id))",
         "CREATE TABLE plain (id int NOT NULL, extra int, PRIMARY KEY (id))"]


def begin_group(stack):
    stack.target(NOTES)
    stack.target("CREATE TABLE plain (id int NOT NULL, PRIMARY KEY (id))")
    fill(stack, "notes", "text", "'n'", 8)
    apply_id = stack.apply(stack.plan(GROUP), defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    return apply_id


def untouched(stack):
    return (not is_changed(stack) and "utf16" not in stack.create_table("notes")
            and "fresh" not in stack.tables() and "extra" not in stack.create_table("plain"))


def all_changed(stack):
    return (is_changed(stack) and "utf16" in stack.create_table("notes")
            and "fresh" in stack.tables() and "extra" in stack.create_table("plain"))


def test_a_group_changes_together(items):
    stack = items
    apply_id = begin_group(stack)
    assert {t["status"] for t in stack.progress(apply_id)["tables"]} == {"waiting_for_cutover"}
    assert untouched(stack) and len(shadows(stack)) == 2
    stack.control("cutover", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "completed")
    assert all_changed(stack) and checkpoints(stack) == [] and shadows(stack) == []


def test_a_plan_says_when_a_group_is_only_nearly_atomic(items):
    items.target(NOTES)
    notes = {f: [v["message"] for v in items.plan(f)["lint_violations"] if v["linter"] == "nearly_atomic"]
             for f in (tuple(GROUP), (GROUP[0], *GROUP[2:]))}
    mariadb = ["`items`, `notes` are copied online: with defer_cutover they are swapped right "
               "after each other, which is only nearly atomic"]
    assert list(notes.values()) == [mariadb if items.flavor == "mariadb" else [], []]


def test_what_was_replaced_is_kept_for_as_long_as_was_asked(items):
    stack = items
    apply_id = start(stack, keep_old=2)
    stack.wait_state(apply_id, "completed")
    before = stack.target("SELECT COUNT(*) AS n FROM items")
    stack.reap()
    old, = artefacts(stack)
    assert "~sb_old_" in old and stack.target(f"SELECT COUNT(*) AS n FROM `{old}`") == before
    stack.storage("UPDATE apply_operations SET completed_at = NOW(6) - INTERVAL 3 HOUR")
    assert reaped(stack)


@pytest.mark.parametrize("point", ["engine.mysql.group.asked", "engine.mysql.ddl.after",
                                   "engine.mysql.copy.cutover.renamed"])
def test_a_group_that_is_killed_in_its_cutover_ends_it(items, point):
    stack = items
    apply_id = begin_group(stack)
    fault = stack.arm(f"schemabot-driver/{point}:crash")
    stack.control("cutover", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "completed")
    assert fault.fired(point)
    assert reaped(stack), "also what a dead driver did not tell its successor about"
    assert all_changed(stack) and checkpoints(stack) == []


def test_what_the_server_does_at_once_waits_too(stack):
    stack.target("CREATE TABLE plain (id int NOT NULL, PRIMARY KEY (id))")
    apply_id = stack.apply(stack.plan(GROUP[2:]), defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    assert "fresh" not in stack.tables()
    stack.control("cutover", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "completed")
    assert "fresh" in stack.tables() and "extra" in stack.create_table("plain")


def test_changes_that_wait_leave_the_drivers_to_others(stack):
    """Five of them, on a host with four drivers; and each is cut over when that is asked for."""
    plain = "CREATE TABLE plain (id int NOT NULL, PRIMARY KEY (id))"
    waiting = []
    for database, environment in (("shop", "staging"), ("shop", "production"),
                                  ("rollout", "parallel_halt")):
        plan = stack.plan([plain], environment, database=database)
        waiting.append((stack.apply(plan, defer_cutover=True), environment))
    for apply_id, _ in waiting:
        stack.wait_state(apply_id, "waiting_for_cutover")
    assert len(stack.drivers()) >= 5
    other = stack.apply(stack.plan([plain], database="resident"))
    stack.wait_state(other, "completed")
    for apply_id, environment in waiting:
        stack.control("cutover", apply_id, environment).expect(200, 202)
    for apply_id, _ in waiting:
        stack.wait_state(apply_id, "completed")
    stack.until(lambda: not stack.drivers(), "no driver stays")


# ---- who is in the way -------------------------------------------------------------------------

KILLING = """databases = { shop = { environments = { staging = { kill_blockers_after = 2; }; }; }; };"""


@contextlib.contextmanager
def holders_are_seen(stack):
    """The account may end others' connections, and MariaDB says who holds a table."""
    mariadb = stack.flavor == "mariadb"
    stack.sql(f"GRANT {'CONNECTION ADMIN' if mariadb else 'CONNECTION_ADMIN'} ON *.* TO 'sb_target'@'%'")
    if mariadb:
        stack.sql("INSTALL SONAME 'metadata_lock_info'")
    # No account of a SYSTEM_USER, which MySQL lets nobody end.
    stack.sql("CREATE USER app@localhost IDENTIFIED BY 'app-Passw0rd'")
    stack.sql("GRANT ALL ON `shop\\_staging`.* TO app@localhost")
    yield


def as_application(stack):
    return pymysql.connect(unix_socket=stack.env["SB_DB_SOCKET"], user="app",
                           password="app-Passw0rd", database="shop_staging")


def test_blockers_are_ended_where_that_is_allowed(fresh_stack):
    """A transaction that has read the table is; LOCK TABLES is waited for."""
    stack = fresh_stack(conf=KILLING)
    stack.target(ITEMS)
    fill(stack, doublings=4)
    with holders_are_seen(stack):
        apply_id = start(stack, defer_cutover=True)
        stack.wait_state(apply_id, "waiting_for_cutover")
        reader, locker = as_application(stack), as_application(stack)
        reader.begin()
        for connection, statement in ((reader, "SELECT COUNT(*) FROM items"),
                                      (locker, "LOCK TABLES items READ")):
            with connection.cursor() as cursor:
                cursor.execute(statement)
        stack.control("cutover", apply_id).expect(200, 202)
        stack.until(lambda: "engine.mysql.blocker_ended" in stack.new_logs(most=100000),
                    "the transaction is ended")
        with pytest.raises(pymysql.err.MySQLError), reader.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert not is_changed(stack), "the other one holds it still"
        with locker.cursor() as cursor:
            cursor.execute("UNLOCK TABLES")
        stack.wait_state(apply_id, "completed")
        assert is_changed(stack)
        ended = [line for line in stack.new_logs(most=100000).splitlines()
                 if "engine.mysql.blocker_ended" in line]
        assert len(ended) == 1 and f"connection {reader.thread_id()} " in ended[0]
        locker.close()
