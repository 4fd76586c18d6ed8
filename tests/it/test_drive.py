"""
test_drive.py - one operation's life through the real programs: claimed, driven, stopped,
started, handed back, retried, given up. DESIGN.md 2 to 4 and 8.
"""
import contextlib
import signal

import pytest

from lib import invariants

USERS = "CREATE TABLE users (id bigint NOT NULL AUTO_INCREMENT, name varchar(50) NOT NULL, PRIMARY KEY (id))"
ORDERS = "CREATE TABLE orders (id bigint NOT NULL AUTO_INCREMENT, note varchar(50) NOT NULL, PRIMARY KEY (id))"
USERS_WIDE = USERS.replace("name varchar(50) NOT NULL", "name varchar(50) NOT NULL, age int NULL")
ORDERS_WIDE = ORDERS.replace("note varchar(50) NOT NULL", "note varchar(50) NOT NULL, size int NULL")


def create(stack, *statements):
    for statement in statements:
        stack.target(statement)


@contextlib.contextmanager
def table_in_use(stack, table):
    """An application transaction that has read the table: ALTERs of it have to wait."""
    connection = stack.connect("shop_staging", )
    connection.autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


def operation(stack, apply_id):
    return stack.storage("SELECT o.* FROM apply_operations o JOIN applies a ON a.id = o.apply_row"
                         " WHERE a.apply_id = %s", (apply_id,))[0]


def wait_running(stack, apply_id):
    """Until a driver has handed a statement to the engine."""
    stack.until(lambda: stack.storage(
        "SELECT t.id FROM tasks t JOIN applies a ON a.id = t.apply_row"
        " WHERE a.apply_id = %s AND t.state = 'running'", (apply_id,)), "a task runs")


def assert_planned_away(stack, files):
    assert stack.plan(files)["changes"] == [] or not any(
        c["table_changes"] for c in stack.plan(files)["changes"])


def test_create_alter_and_drop(stack):
    create(stack, USERS, "CREATE TABLE old_things (id int NOT NULL, PRIMARY KEY (id))")
    plan = stack.plan([USERS_WIDE, ORDERS])
    done = stack.wait_state(stack.apply(plan, allow_unsafe=True), "completed")
    assert stack.tables() == ["orders", "users"]
    assert "age" in stack.create_table("users")
    assert {t["status"] for t in done["tables"]} == {"completed"}
    assert all(t["percent_complete"] == 100 for t in done["tables"])
    assert_planned_away(stack, [USERS_WIDE, ORDERS])


def test_the_timeline_tells_every_change_of_state(stack):
    create(stack, USERS)
    apply_id = stack.apply(stack.plan([USERS_WIDE]))
    stack.wait_state(apply_id, "completed")
    logs = stack.api.get(f"/api/logs?apply_id={apply_id}").expect(200)["logs"]
    moves = [(e["old_state"], e["new_state"]) for e in logs
             if e["event_type"] == "state_transition" and e.get("old_state")]
    assert moves == [("pending", "running"), ("running", "completed")]
    assert all(a["id"] < b["id"] for a, b in zip(logs, logs[1:]))


@pytest.mark.parametrize("busy", ["users", "orders"])
def test_kill_9_of_the_driver_in_the_middle(stack, busy):
    """Whichever of two tables it is at: a successor finishes, nothing is done twice."""
    create(stack, USERS, ORDERS)
    with table_in_use(stack, busy):
        apply_id = stack.apply(stack.plan([USERS_WIDE, ORDERS_WIDE]))
        wait_running(stack, apply_id)
        first = stack.driver_of(apply_id)
        stack.kill(first)
        stack.until(lambda: stack.driver_of(apply_id) != first, "a successor claims", 40)
    done = stack.wait_state(apply_id, "completed")
    assert "age" in stack.create_table("users") and "size" in stack.create_table("orders")
    assert {t["status"] for t in done["tables"]} == {"completed"}
    assert operation(stack, apply_id)["lease_token"] >= 2
    assert_planned_away(stack, [USERS_WIDE, ORDERS_WIDE])


def test_recovery_takes_seconds_not_the_lease_window(stack):
    create(stack, USERS)
    with table_in_use(stack, "users"):
        apply_id = stack.apply(stack.plan([USERS_WIDE]))
        wait_running(stack, apply_id)
        stack.kill(stack.driver_of(apply_id))
        stack.until(lambda: operation(stack, apply_id)["lease_token"] >= 2,
                    "another driver claims", deadline=40)
    stack.wait_state(apply_id, "completed")


def test_sigterm_hands_the_claim_back_without_an_attempt(stack):
    create(stack, USERS)
    with table_in_use(stack, "users"):
        apply_id = stack.apply(stack.plan([USERS_WIDE]))
        wait_running(stack, apply_id)
        for _ in range(4):
            driver = stack.driver_of(apply_id)
            token = operation(stack, apply_id)["lease_token"]
            stack.kill(driver, signal.SIGTERM)
            stack.until(lambda: driver not in stack.drivers(), "the driver is gone")
            stack.until(lambda: operation(stack, apply_id)["lease_token"] > token,
                        "a successor claims")
            wait_running(stack, apply_id)
        row = operation(stack, apply_id)
        assert (row["attempt"], row["deaths"]) == (0, 0)
    stack.wait_state(apply_id, "completed")


def test_a_row_that_kills_its_drivers_is_given_up(stack):
    """Deaths beyond the free ones cost attempts, so a poisoned row ends visibly."""
    create(stack, USERS)
    with table_in_use(stack, "users"):
        apply_id = stack.apply(stack.plan([USERS_WIDE]))
        wait_running(stack, apply_id)
        stack.storage("UPDATE apply_operations SET deaths = 3, attempt = 10")
        stack.kill(stack.driver_of(apply_id))
        failed = stack.wait_state(apply_id, "failed")
    assert "Gave up" in failed["error_message"]
    assert "age" not in stack.create_table("users")


@pytest.mark.parametrize("verb, state", [("stop", "stopped"), ("cancel", "cancelled")])
def test_what_a_dead_driver_left_running_is_ended_too(stack, verb, state):
    """Stopped means that the change does not happen any more, whoever began it."""
    create(stack, USERS)
    with table_in_use(stack, "users"):
        apply_id = stack.apply(stack.plan([USERS_WIDE]))
        wait_running(stack, apply_id)
        stack.kill(stack.driver_of(apply_id))
        stack.control(verb, apply_id).expect(200, 202)
        stack.wait_state(apply_id, state)
    statements = stack.sql("SELECT id FROM information_schema.processlist"
                           " WHERE info LIKE 'ALTER TABLE `users`%%'")
    assert not statements
    assert "age" not in stack.create_table("users")


def test_stop_and_start(stack):
    create(stack, USERS, ORDERS)
    with table_in_use(stack, "users"):
        apply_id = stack.apply(stack.plan([USERS_WIDE, ORDERS_WIDE]))
        wait_running(stack, apply_id)
        stack.control("stop", apply_id).expect(200, 202)
        stopped = stack.wait_state(apply_id, "stopped")
    assert "age" not in stack.create_table("users")
    assert {t["status"] for t in stopped["tables"]} <= {"stopped", "completed"}
    row = operation(stack, apply_id)
    assert row["claim_after"] is None and row["lease_owner"] is None
    stack.control("start", apply_id).expect(200)
    stack.wait_state(apply_id, "completed")
    requests = stack.storage("SELECT operation, status FROM apply_control_requests ORDER BY id")
    assert requests == [{"operation": "stop", "status": "completed"},
                        {"operation": "start", "status": "completed"}]


def test_a_stopped_apply_gives_way_and_start_meets_the_conflict(stack):
    create(stack, USERS, ORDERS)
    with table_in_use(stack, "users"):
        first = stack.apply(stack.plan([USERS_WIDE, ORDERS]))
        wait_running(stack, first)
        stack.control("stop", first).expect(200, 202)
        stack.wait_state(first, "stopped")
    with table_in_use(stack, "orders"):
        second = stack.apply(stack.plan([USERS, ORDERS_WIDE]))
        wait_running(stack, second)
        stack.control("start", first).expect(200, 202, 409)
        stack.until(lambda: not stack.storage(
            "SELECT id FROM apply_control_requests WHERE status = 'pending'"), "start is answered")
        assert stack.progress(first)["state"] == "stopped"
    stack.wait_state(second, "completed")


def test_cancel_while_running_and_while_stopped(stack):
    create(stack, USERS)
    with table_in_use(stack, "users"):
        apply_id = stack.apply(stack.plan([USERS_WIDE]))
        wait_running(stack, apply_id)
        stack.control("cancel", apply_id).expect(200, 202)
        stack.wait_state(apply_id, "cancelled")
        apply_id = stack.apply(stack.plan([USERS_WIDE]))
        wait_running(stack, apply_id)
        stack.control("stop", apply_id).expect(200, 202)
        stack.wait_state(apply_id, "stopped")
        stack.control("cancel", apply_id).expect(200, 202)
        stack.wait_state(apply_id, "cancelled")
    assert "age" not in stack.create_table("users")
    assert not stack.storage("SELECT id FROM apply_control_requests WHERE status <> 'completed'")


def test_a_failing_statement_cancels_the_later_ones(stack):
    create(stack, USERS, ORDERS, "INSERT INTO orders (note) VALUES ('same'), ('same')")
    unique = ORDERS.replace("PRIMARY KEY (id)", "PRIMARY KEY (id), UNIQUE KEY one_note (note)")
    third = "CREATE TABLE users2 (id int NOT NULL, parent bigint, PRIMARY KEY (id))"
    stack.target("CREATE TABLE users2 (id int NOT NULL, PRIMARY KEY (id))")
    plan = stack.plan([USERS, unique, third])
    failed = stack.wait_state(stack.apply(plan, allow_unsafe=True), "failed")
    by_name = {t["table_name"]: t["status"] for t in failed["tables"]}
    assert by_name == {"orders": "failed", "users2": "cancelled"}
    assert "Duplicate" in failed["error_message"]
    assert "parent" not in stack.create_table("users2")


def test_target_down_is_retried_with_the_reason(fresh_stack):
    stack = fresh_stack()
    create(stack, USERS)
    plan = stack.plan([USERS_WIDE])
    account = stack.sql("SELECT user AS user, host AS host FROM mysql.user WHERE user = 'sb_target'")[0]
    name = f"'{account['user']}'@'{account['host']}'"
    stack.sql(f"ALTER USER {name} ACCOUNT LOCK")
    apply_id = stack.apply(plan)
    retrying = stack.wait_state(apply_id, "failed_retryable")
    assert retrying["error_code"] == "engine_unavailable" or \
        retrying["error_code"] == "engine_error_retryable"
    assert "locked" in retrying["error_message"]
    stack.sql(f"ALTER USER {name} ACCOUNT UNLOCK")
    stack.wait_state(apply_id, "completed")
    assert operation(stack, apply_id)["attempt"] >= 1


def test_spent_retries_are_given_up_with_the_reason(fresh_stack):
    stack = fresh_stack()
    create(stack, USERS)
    plan = stack.plan([USERS_WIDE])
    account = stack.sql("SELECT user AS user, host AS host FROM mysql.user WHERE user = 'sb_target'")[0]
    name = f"'{account['user']}'@'{account['host']}'"
    stack.sql(f"ALTER USER {name} ACCOUNT LOCK")
    apply_id = stack.apply(plan)
    # The first two retries come at once; the third has to wait.
    waits = {"state": "failed_retryable", "attempt": 2, "lease_owner": None}
    stack.until(lambda: waits.items() <= operation(stack, apply_id).items(), "it waits")
    stack.storage("UPDATE apply_operations SET failed_at = NOW(6) - INTERVAL 25 HOUR,"
                  " claim_after = NOW(6) + INTERVAL 1 DAY WHERE state = 'failed_retryable'")
    stack.reap()
    failed = stack.wait_state(apply_id, "failed")
    assert "more than a day" in failed["error_message"] and "locked" in failed["error_message"]
    stack.sql(f"ALTER USER {name} ACCOUNT UNLOCK")


def test_an_apply_whose_route_is_gone_fails_instead_of_hanging(stack):
    create(stack, USERS)
    with table_in_use(stack, "users"):
        apply_id = stack.apply(stack.plan([USERS_WIDE]))
        wait_running(stack, apply_id)
        stack.storage("UPDATE applies SET database_name = 'gone'")
        stack.kill(stack.driver_of(apply_id))
        end = stack.until(lambda: stack.storage(
            "SELECT error_message FROM applies WHERE state = 'failed'"), "it fails")
    assert "no route" in end[0]["error_message"]


def test_drift_between_plan_and_drive_is_refused(stack):
    create(stack, USERS, ORDERS)
    with table_in_use(stack, "orders"):
        apply_id = stack.apply(stack.plan([USERS_WIDE, ORDERS_WIDE]))
        wait_running(stack, apply_id)
        stack.target("ALTER TABLE users ADD COLUMN surprise int")
        stack.kill(stack.driver_of(apply_id))
    failed = stack.wait_state(apply_id, ("failed", "completed"))
    assert failed["state"] == "failed"
    assert "shop.users has changed since the plan was reviewed." in failed["error_message"]
    assert "as if by \"ALTER TABLE `users` ADD COLUMN `surprise`" in failed["error_message"]
    assert "DROP COLUMN `surprise`" in failed["error_message"], "what it would take now"
    assert "surprise" in stack.create_table("users")
    # What the dead driver's statement has done meanwhile is not called cancelled.
    invariants.check_rest(stack)


def test_a_table_that_was_changed_meanwhile_is_not_dropped(idle):
    """DROP TABLE reads the same whatever became of the table since it was reviewed."""
    stack = idle
    create(stack, USERS, ORDERS)
    apply_id = stack.apply(stack.plan([USERS]), allow_unsafe="true")
    stack.target("ALTER TABLE orders ADD COLUMN surprise int")
    stack.command("restart-cron")
    failed = stack.wait_state(apply_id, ("failed", "completed"))
    assert failed["state"] == "failed"
    assert "shop.orders has changed since the plan was reviewed." in failed["error_message"]
    assert "as if by \"ALTER TABLE `orders` ADD COLUMN `surprise`" in failed["error_message"]
    assert "surprise" in stack.create_table("orders")


def test_storage_away_in_the_middle_of_a_drive(fresh_stack):
    """The engine goes on, the driver finds storage again, nothing is lost or done twice."""
    stack = fresh_stack()
    create(stack, USERS, ORDERS)
    plan = stack.plan([USERS_WIDE, ORDERS_WIDE])
    apply_id = stack.apply(plan)
    stack.command("stop-db")
    assert stack.api.get("/health").status == 503
    assert stack.api.get("/livez").status == 200
    reply = stack.post_apply(plan)
    assert reply.expect(503)["error_code"] == "storage_error"
    stack.command("start-db")
    stack.wait_state(apply_id, "completed")
    assert "age" in stack.create_table("users") and "size" in stack.create_table("orders")
