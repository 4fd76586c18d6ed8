"""
test_checkpoint.py - the fencing number on the target itself (DESIGN.md 3, 8.2): rows of
`_schemabot_state`.`checkpoints`, and what a driver that was frozen past its lease can still do
when it wakes: nothing.
"""
import contextlib
import os
import signal

import pytest

from lib import procs

CHECKPOINTS = "`_schemabot_state`.`checkpoints`"
USERS = "CREATE TABLE users (id bigint NOT NULL, name varchar(50) NOT NULL, PRIMARY KEY (id))"
WIDE = USERS.replace("NOT NULL, PRIMARY", "NOT NULL, age int NULL, PRIMARY")


def checkpoints(stack):
    # The first driver makes the schema, and then the table in it.
    if not stack.sql("SELECT 1 FROM information_schema.tables WHERE table_schema ="
                     " '_schemabot_state' AND table_name = 'checkpoints'"):
        return []
    return stack.sql(f"SELECT * FROM {CHECKPOINTS} ORDER BY schema_name, table_name")


@contextlib.contextmanager
def table_in_use(stack, table="users"):
    """An application transaction that has read the table: ALTERs of it have to wait."""
    connection = stack.connect("shop_staging")
    connection.autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def wait_signed(stack):
    return stack.until(lambda: checkpoints(stack), "a driver signs the table")[0]


def everything(stack):
    """Storage without what a heartbeat renews, the target's tables, the checkpoints."""
    seen = {}
    for table in ("applies", "apply_operations", "tasks", "apply_logs", "apply_control_requests"):
        rows = stack.storage(f"SELECT * FROM `{table}` ORDER BY id")
        seen[table] = [{k: v for k, v in row.items() if k != "claim_after"} for row in rows]
    seen["target"] = {t: stack.create_table(t) for t in stack.tables()}
    seen["checkpoints"] = checkpoints(stack)
    return seen


def operation(stack):
    return stack.storage("SELECT * FROM apply_operations ORDER BY id DESC LIMIT 1")[0]


def test_a_driver_signs_what_it_works_on(stack):
    stack.target(USERS)
    with table_in_use(stack):
        apply_id = stack.apply(stack.plan([WIDE]))
        row = wait_signed(stack)
        assert (row["schema_name"], row["table_name"]) == ("shop_staging", "users")
        assert row["operation"].startswith(f"{apply_id}/") and row["apply_id"] == apply_id
        assert row["lease_token"] == operation(stack)["lease_token"]
        assert row["statement"].startswith("ALTER TABLE `users`")
        # A successor signs with its newer token.
        stack.kill(stack.driver_of(apply_id))
        stack.until(lambda: wait_signed(stack)["lease_token"] > row["lease_token"],
                    "the successor signs")
    stack.wait_state(apply_id, "completed")
    assert checkpoints(stack) == []
    # It is nothing that a plan would see.
    assert not stack.plan([WIDE])["changes"]


def test_kept_while_stopped_gone_when_cancelled(stack):
    stack.target(USERS)
    with table_in_use(stack):
        apply_id = stack.apply(stack.plan([WIDE]))
        wait_signed(stack)
        stack.control("stop", apply_id).expect(200)
        stack.wait_state(apply_id, "stopped")
        assert len(checkpoints(stack)) == 1
        stack.reap()
        assert len(checkpoints(stack)) == 1
        stack.control("cancel", apply_id).expect(200)
        stack.wait_state(apply_id, "cancelled")
    stack.until(lambda: stack.reap() or not checkpoints(stack), "the checkpoint is removed")
    assert "age" not in stack.create_table("users")


def test_the_reaper_leaves_strangers_checkpoints_alone(stack):
    stack.target(USERS)
    stack.run([WIDE])
    for name, who in (("a", "apply-00112233445566778899aabbccddeeff/default"), ("b", "someone")):
        stack.sql(f"INSERT INTO {CHECKPOINTS} (schema_name, table_name, operation, lease_token,"
                  " apply_id, statement, connection_id) VALUES ('s', %s, %s, 1, 'x', '', 1)",
                  (name, who))
    stack.reap()
    assert len(checkpoints(stack)) == 2


def test_an_older_token_is_refused_on_the_target(stack):
    """The newer signature of its own operation stops a driver, whatever its lease says."""
    stack.target(USERS)
    with stack.faults("drive.claimed:wait=@FILE@") as fault:
        apply_id = stack.apply(stack.plan([WIDE]))
        stack.until(fault.arrived, "the driver has claimed")
        row = operation(stack)
        # What a successor with token 1000 would have written.
        stack.sql("CREATE DATABASE IF NOT EXISTS `_schemabot_state`")
        stack.sql(f"CREATE TABLE IF NOT EXISTS {CHECKPOINTS} (schema_name varchar(64) NOT NULL,"
                  " table_name varchar(64) NOT NULL, operation varchar(160) NOT NULL,"
                  " lease_token bigint unsigned NOT NULL, apply_id varchar(64) NOT NULL,"
                  " statement longtext NOT NULL, connection_id bigint unsigned NOT NULL,"
                  " updated_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),"
                  " PRIMARY KEY (schema_name, table_name))")
        stack.sql(f"INSERT INTO {CHECKPOINTS} (schema_name, table_name, operation, lease_token,"
                  " apply_id, statement, connection_id) VALUES ('shop_staging', 'users', %s, 1000,"
                  " %s, '', 1)", (f"{apply_id}/{row['deployment']}", apply_id))
        fault.release()
        stack.until(lambda: "newer than ours" in stack.new_logs(100000), "the driver is refused")
        assert "age" not in stack.create_table("users")
        assert checkpoints(stack)[0]["lease_token"] == 1000
        stack.sql(f"DELETE FROM {CHECKPOINTS}")
    stack.expire_lease(apply_id)
    stack.wait_state(apply_id, "completed")


@pytest.mark.parametrize("point", ["drive.claimed", "engine.mysql.open.signed",
                                   "drive.opened", "drive.start.before",
                                   "engine.mysql.ddl.before"])
def test_a_driver_frozen_past_its_lease_wakes_and_changes_nothing(stack, point):
    """SIGSTOP at a step of the drive; the lease passes, a successor finishes the work even
    though the frozen one still holds its connection; then it wakes."""
    stack.target(USERS)
    with stack.faults(f"{point}:stop") as fault:
        apply_id = stack.apply(stack.plan([WIDE]))
        stack.until(lambda: fault.fired(point), "the driver freezes")
        # A second driver may have been started for the same operation, and ends at once.
        frozen = stack.until(lambda: [p for p in stack.drivers() if procs.is_stopped(p)],
                             "the driver is frozen")[0]
        token = operation(stack)["lease_token"]
        stack.expire_lease(apply_id)
        stack.until(lambda: operation(stack)["lease_token"] > token, "a successor claims")
        stack.wait_state(apply_id, "completed")
        stack.until(lambda: stack.drivers() == [frozen], "the successor ends")
        assert "age" in stack.create_table("users")
        assert procs.is_stopped(frozen)

        before = everything(stack)
        os.kill(frozen, signal.SIGCONT)
        stack.until(lambda: frozen not in stack.drivers(), "the woken driver ends")
        assert everything(stack) == before
    # One successor, one statement, one completion.
    assert len([e for e in before["apply_logs"] if e["event_type"] == "task_update"
                and e["new_state"] == "completed"]) == 1
    assert operation(stack)["lease_token"] == token + 1
