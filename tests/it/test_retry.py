"""
test_retry.py - what is tried again, how often and for how long (SEMANTICS B.8, #121; DESIGN 4).

Most tests stop cron and run drivers and reapers one by one in the foreground: a driver
takes what is due, and ends when nothing is. A wait of the backoff is a row that is
back-dated, never a sleep.
"""
import contextlib
import re
import signal
import threading
import urllib.request

import pymysql
import pytest

from lib import invariants

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
ORDERS = "CREATE TABLE orders (id bigint NOT NULL, PRIMARY KEY (id))"
ITEMS = "CREATE TABLE items (id bigint NOT NULL, PRIMARY KEY (id))"
USERS_WIDE = "CREATE TABLE users (id bigint NOT NULL, age int DEFAULT NULL, PRIMARY KEY (id))"
BACKOFF = (0, 0, 15, 30, 60, 60, 60, 60, 60, 60)  # seconds before retry 1, 2, 3, ...
BUDGET = 10


@pytest.fixture
def by_hand(stack):
    """The shared stack without cron: drivers are run by drive(), reapers by stack.reap()."""
    stack.command("stop-cron")
    stack.kill(stack.drivers())
    try:
        yield stack
    finally:
        stack.command("restart-cron")


def drive(stack):
    done = stack.binary("schemabot-driver")
    assert done.returncode == 0, done.stderr
    return done


def operation(stack, apply_id):
    return stack.storage(
        "SELECT o.*, TIMESTAMPDIFF(SECOND, o.failed_at, o.claim_after) AS pause"
        " FROM apply_operations o JOIN applies a ON a.id = o.apply_row WHERE a.apply_id = %s",
        (apply_id,))[0]


def tasks(stack, apply_id):
    return {row["table_name"]: row for row in stack.storage(
        "SELECT t.* FROM tasks t JOIN applies a ON a.id = t.apply_row WHERE a.apply_id = %s",
        (apply_id,))}


def task_states(stack, apply_id):
    return {name: task["state"] for name, task in tasks(stack, apply_id).items()}


def wait_over(stack):
    """The pause of what nobody owns has passed. A claim at this moment may win a deadlock."""
    for row in stack.storage("SELECT id FROM apply_operations"):
        with contextlib.suppress(pymysql.err.OperationalError):
            stack.storage("UPDATE apply_operations SET claim_after = NOW(6) WHERE id = %s"
                          " AND lease_owner IS NULL AND claim_after > NOW(6)", (row["id"],))


def expired(stack):
    text = urllib.request.urlopen(stack.metrics_url, timeout=10).read().decode()
    return float(re.search(r"^schemabot_scheduler_expired_retryable_total(?:\{[^}]*\})? (\S+)",
                           text, re.MULTILINE)[1])


def begin(stack, files, database="fakeshop", **options):
    return stack.apply(stack.plan(files, database=database), **options)


def fail_until_spent(stack, apply_id):
    """Every attempt there is, each failing."""
    drive(stack)
    for _ in range(BUDGET):
        wait_over(stack)
        drive(stack)
        if operation(stack, apply_id)["attempt"] == BUDGET:
            break
    row = operation(stack, apply_id)
    assert (row["state"], row["attempt"]) == ("failed_retryable", BUDGET)


# ---- a retry and its end -------------------------------------------------------------------

def test_apply_operation_and_task_are_retrying_and_say_when(by_hand):
    stack = by_hand
    stack.fake.script({"call": "start", "error": "http:503"})
    apply_id = begin(stack, [USERS])
    drive(stack)
    row = operation(stack, apply_id)
    assert row["state"] == "failed_retryable" and row["lease_owner"] is None
    assert row["error_code"] == "engine_error_retryable" and row["error_message"]
    assert task_states(stack, apply_id) == {"users": "failed_retryable"}
    # The first two retries came at once; the third has to wait.
    assert row["attempt"] == 2
    seen = stack.progress(apply_id)
    assert seen["state"] == "failed_retryable" and seen["error_message"] == row["error_message"]
    [shown] = seen["operations"]
    assert shown["attempt"] == 2 and shown["retry_after"]
    assert seen["attempt"] == 2 and seen["retry_after"] == shown["retry_after"]
    [table] = seen["tables"]
    assert table["status"] == "failed_retryable" and table["attempt"] == 2
    invariants.check(stack)
    # What was wrong is over: the next one that is due completes it.
    stack.fake.script()
    drive(stack)
    assert operation(stack, apply_id)["attempt"] == 2, "it was not due yet"
    wait_over(stack)
    drive(stack)
    stack.wait_state(apply_id, "completed")
    assert operation(stack, apply_id)["attempt"] == 3
    seen = stack.progress(apply_id)
    assert not seen.get("retry_after") and not seen.get("error_message")


def test_the_pauses_grow_to_their_ceiling(by_hand):
    """0, 0, 15, 30, 60, 60 seconds ..., read off the rows."""
    stack = by_hand
    stack.fake.script({"call": "start", "error": "http:503"})
    apply_id = begin(stack, [USERS])
    drive(stack)
    seen = {}
    while True:
        row = operation(stack, apply_id)
        seen[row["attempt"]] = row["pause"]
        if row["attempt"] == BUDGET:
            break
        wait_over(stack)
        drive(stack)
        assert operation(stack, apply_id)["attempt"] == row["attempt"] + 1
    # The first failure and the first retry's were followed at once, by the same driver.
    assert len(stack.fake.calls("start")) == BUDGET + 1
    assert seen == {n: BACKOFF[min(n, len(BACKOFF) - 1)] for n in range(2, BUDGET + 1)}


def test_a_spent_budget_is_given_up_with_the_reason(by_hand):
    """One table is done, one fails, one never came to its turn."""
    stack = by_hand
    before = expired(stack)
    stack.fake.script({"call": "start", "table": "orders", "error": "http:503"})
    apply_id = begin(stack, {"a.sql": ITEMS, "b.sql": ORDERS, "c.sql": USERS}, "resident")
    fail_until_spent(stack, apply_id)
    order = sorted(tasks(stack, apply_id).values(), key=lambda t: t["seq"])
    assert [t["table_name"] for t in order] == ["items", "orders", "users"]
    assert [t["state"] for t in order] == ["completed", "failed_retryable", "pending"]
    stack.reap()
    seen = stack.wait_state(apply_id, "failed")
    assert task_states(stack, apply_id) == {"items": "completed", "orders": "failed",
                                            "users": "cancelled"}
    assert "no retry is left" in seen["error_message"] and "503" in seen["error_message"]
    assert seen["error_code"] == "retry_exhausted"
    assert operation(stack, apply_id)["claim_after"] is None
    # What was done was done once.
    assert len([c for c in stack.fake.calls("start") if c["tables"] == ["items"]]) == 1
    assert expired(stack) == before + 1
    drive(stack)
    stack.reap()
    assert expired(stack) == before + 1 and stack.progress(apply_id)["state"] == "failed"
    invariants.check_rest(stack)


@pytest.mark.parametrize("who", ["reaper", "driver"])
def test_a_retry_older_than_a_day_is_given_up(by_hand, who):
    """Whoever comes first: hosts that were away for two days must not go on as if nothing were."""
    stack = by_hand
    before = expired(stack)
    stack.fake.script({"call": "start", "error": "http:503"})
    apply_id = begin(stack, [USERS, ORDERS])
    drive(stack)
    calls = len(stack.fake.calls("start"))
    stack.fake.script()
    stack.storage("UPDATE apply_operations SET failed_at = NOW(6) - INTERVAL 25 HOUR,"
                  " claim_after = NOW(6) - INTERVAL 24 HOUR")
    if who == "reaper":
        stack.reap()
    else:
        drive(stack)
    seen = stack.wait_state(apply_id, "failed")
    assert "more than a day old" in seen["error_message"] and "503" in seen["error_message"]
    assert sorted(task_states(stack, apply_id).values()) == ["cancelled", "failed"]
    assert len(stack.fake.calls("start")) == calls
    assert expired(stack) == before + 1
    invariants.check_rest(stack)


def test_the_reaper_leaves_retries_that_have_a_future(by_hand):
    stack = by_hand
    stack.fake.script({"call": "start", "error": "http:503"})
    apply_id = begin(stack, [USERS])
    drive(stack)
    stack.storage("UPDATE apply_operations SET attempt = 9,"
                  " failed_at = NOW(6) - INTERVAL 23 HOUR")
    before = operation(stack, apply_id)
    stack.reap()
    assert operation(stack, apply_id) == before


def test_pending_requests_end_with_the_retries(by_hand):
    stack = by_hand
    stack.fake.script({"call": "start", "error": "http:503"})
    apply_id = begin(stack, [USERS])
    drive(stack)
    stack.storage("UPDATE apply_operations SET attempt = 10, failed_at = NOW(6)")
    stack.storage("INSERT INTO apply_control_requests (apply_row, operation, metadata)"
                  " SELECT id, 'volume', '{\"volume\": 5}' FROM applies")
    stack.reap()
    [request] = stack.storage("SELECT * FROM apply_control_requests")
    assert request["status"] == "failed" and request["error_message"]
    assert stack.progress(apply_id)["state"] == "failed"
    invariants.check_rest(stack)


# ---- what is never done twice ----------------------------------------------------------------

def test_a_completed_task_never_runs_again(by_hand):
    stack = by_hand
    stack.fake.script({"call": "start", "table": "orders", "error": "http:503"})
    apply_id = begin(stack, [ITEMS, ORDERS], "resident")
    drive(stack)
    for _ in range(3):
        wait_over(stack)
        drive(stack)
    done = tasks(stack, apply_id)["items"]
    assert done["state"] == "completed" and done["attempt"] == 0
    # Somebody takes the table away: it is not made again behind their back.
    stack.sql("DROP TABLE resident_staging.items")
    stack.fake.script()
    wait_over(stack)
    drive(stack)
    stack.wait_state(apply_id, ("completed", "failed"))
    assert tasks(stack, apply_id)["items"] == done
    assert len([c for c in stack.fake.calls("start") if c["tables"] == ["items"]]) == 1


def test_a_failure_while_it_runs_is_retried_too(by_hand):
    stack = by_hand
    stack.fake.script({"call": "poll", "fail": "mysql:1205", "until": 1})
    apply_id = begin(stack, [USERS])
    drive(stack)
    wait_over(stack)
    drive(stack)
    stack.wait_state(apply_id, "completed")
    assert operation(stack, apply_id)["attempt"] >= 1
    assert tasks(stack, apply_id)["users"]["attempt"] >= 1


def test_a_permanent_failure_is_not_retried(by_hand):
    stack = by_hand
    stack.fake.script({"call": "start", "error": "mysql:1062"})
    apply_id = begin(stack, [USERS, ORDERS])
    drive(stack)
    assert stack.progress(apply_id)["state"] == "failed"
    assert len(stack.fake.calls("start")) == 1
    assert sorted(task_states(stack, apply_id).values()) == ["cancelled", "failed"]
    invariants.check_rest(stack)


# ---- what costs an attempt ---------------------------------------------------------------------

def test_a_clean_end_costs_nothing(stack):
    stack.fake.script({"call": "poll", "hold": "running"})
    apply_id = begin(stack, [USERS], "resident")
    for _ in range(3):
        stack.until(lambda: operation(stack, apply_id)["state"] == "running", "it runs")
        driver = stack.driver_of(apply_id)
        token = operation(stack, apply_id)["lease_token"]
        stack.kill(driver, signal.SIGTERM)
        stack.until(lambda: operation(stack, apply_id)["lease_token"] > token, "a successor claims")
    row = operation(stack, apply_id)
    assert (row["attempt"], row["deaths"]) == (0, 0)
    stack.fake.release("running")
    stack.wait_state(apply_id, "completed")


@pytest.mark.parametrize("gate", ["running", "catching_up"])
def test_deaths_are_free_three_times_and_then_counted(stack, gate):
    """However far each driver came before it died, if none came further than the first."""
    stack.fake.script({"call": "start", "phases": ["running", "catching_up", "completed"]},
                      {"call": "poll", "hold": gate})
    apply_id = begin(stack, [USERS], "resident")

    def arrived():
        return task_states(stack, apply_id) == {"users": gate} and stack.drivers()

    for death in range(1, 6):
        stack.until(arrived, f"a driver sees it {gate}")
        token = operation(stack, apply_id)["lease_token"]
        stack.kill(stack.drivers())
        stack.expire_lease(apply_id)
        row = stack.until(lambda: operation(stack, apply_id)["lease_token"] > token
                          and operation(stack, apply_id), "a successor claims")
        assert (row["deaths"], row["attempt"]) == (death, max(0, death - 3))
    stack.fake.release(gate)
    stack.wait_state(apply_id, "completed")
    # It got further than ever: whoever dies next time begins a new row of deaths.
    assert operation(stack, apply_id)["deaths"] == 0


def test_uncertainty_is_neither_death_nor_failure(stack):
    """DESIGN 8.5: an engine that does not say what became of a call is asked again and again;
    nothing but the doubt is recorded, and no attempt is spent, until it says."""
    stack.fake.script({"call": "start", "error": "SB_EAMBIGUOUS"})
    apply_id = begin(stack, [USERS], "resident")
    for _ in range(6):
        stack.until(lambda: operation(stack, apply_id)["lease_owner"] is None
                    and operation(stack, apply_id)["state"] == "running", "the driver has left")
        row = operation(stack, apply_id)
        assert (row["deaths"], row["attempt"], row["error_code"]) == (0, 0, "outcome_unknown")
        shown = stack.progress(apply_id)["operations"][0]
        assert "outcome is not known yet" in shown["error_message"]
        why = stack.api.get(f"/api/why/{apply_id}").expect(200)
        assert "outcome is not known yet" in str(why)
        calls = len(stack.fake.calls("start"))
        wait_over(stack)
        stack.until(lambda: len(stack.fake.calls("start")) > calls, "the next driver looks")
    stack.fake.script()
    stack.wait_state(apply_id, "completed")
    row = operation(stack, apply_id)
    assert (row["attempt"], row["error_code"], row["error_message"]) == (0, "", None)


def test_an_operators_start_begins_with_all_retries(by_hand):
    """Stopped in its last retry: the start is no promise of failure."""
    stack = by_hand
    stack.fake.script({"call": "start", "error": "http:503"})
    apply_id = begin(stack, [USERS], "resident")
    drive(stack)
    stack.storage("UPDATE apply_operations SET attempt = 10")
    stack.control("stop", apply_id).expect(200, 202)
    drive(stack)
    assert stack.progress(apply_id)["state"] == "stopped"
    stack.fake.script()
    stack.control("start", apply_id).expect(200)
    drive(stack)
    stack.wait_state(apply_id, "completed")
    assert operation(stack, apply_id)["attempt"] == 0


def test_who_has_worked_for_long_has_all_retries_again(by_hand):
    """Ten failures of a copy that takes ten days are not ten failures in a row."""
    stack = by_hand
    stack.fake.script({"call": "poll", "hold": "running"})
    apply_id = begin(stack, [USERS], "resident")
    stack.storage("UPDATE apply_operations SET attempt = 9, deaths = 3")
    driver = threading.Thread(target=stack.binary, args=("schemabot-driver",),
                              kwargs={"env": {"SB_RENEW_SECONDS": "1"}})
    driver.start()
    try:
        stack.until(lambda: operation(stack, apply_id)["attempt"] == 0, "that is forgotten")
        assert operation(stack, apply_id)["deaths"] == 0
        assert operation(stack, apply_id)["state"] == "running"
    finally:
        stack.fake.release("running")
        driver.join()
    stack.wait_state(apply_id, "completed")


# ---- the target ----------------------------------------------------------------------------------

@contextlib.contextmanager
def account(stack, change, back):
    user = stack.sql("SELECT user AS u, host AS h FROM mysql.user WHERE user = 'sb_target'")[0]
    name = f"'{user['u']}'@'{user['h']}'"
    stack.sql(change.format(name))
    try:
        yield
    finally:
        stack.sql(back.format(name))


def test_an_unreachable_target_is_retried(by_hand):
    stack = by_hand
    apply_id = begin(stack, [USERS], "shop")
    with account(stack, "ALTER USER {} ACCOUNT LOCK", "ALTER USER {} ACCOUNT UNLOCK"):
        drive(stack)
        row = operation(stack, apply_id)
        assert row["state"] == "failed_retryable" and row["error_code"] == "engine_unavailable"
        # Nothing was begun: the task has not failed.
        assert task_states(stack, apply_id) == {"users": "pending"}
        assert stack.progress(apply_id)["state"] == "failed_retryable"
    wait_over(stack)
    drive(stack)
    stack.wait_state(apply_id, "completed")


def test_a_missing_right_is_permanent_and_named(by_hand):
    stack = by_hand
    stack.target(USERS)
    apply_id = begin(stack, [USERS_WIDE], "shop")
    with account(stack, r"REVOKE ALTER ON `shop\_staging`.* FROM {}",
                 r"GRANT ALTER ON `shop\_staging`.* TO {}"):
        drive(stack)
    seen = stack.progress(apply_id)
    assert seen["state"] == "failed"
    assert "denied" in seen["error_message"].lower() and "ALTER" in seen["error_message"]
    invariants.check_rest(stack)


def test_a_route_that_is_gone_fails_a_retry_for_good(by_hand):
    stack = by_hand
    stack.fake.script({"call": "start", "error": "http:503"})
    apply_id = begin(stack, [USERS, ORDERS])
    drive(stack)
    stack.storage("UPDATE applies SET database_name = 'gone'")
    wait_over(stack)
    drive(stack)
    [row] = stack.storage("SELECT * FROM applies WHERE apply_id = %s", (apply_id,))
    assert row["state"] == "failed" and "no route" in row["error_message"]
    assert row["error_code"] == "deployment_not_found"
    assert set(task_states(stack, apply_id).values()) <= {"failed", "cancelled"}


def test_a_route_that_is_gone_ends_a_stopped_apply_wholly(by_hand):
    stack = by_hand
    stack.fake.script({"call": "start", "error": "http:503"})
    apply_id = begin(stack, [USERS, ORDERS], "resident")
    drive(stack)
    stack.control("stop", apply_id).expect(200, 202)
    drive(stack)
    assert stack.progress(apply_id)["state"] == "stopped"
    stack.control("start", apply_id).expect(200)
    stack.storage("UPDATE applies SET database_name = 'gone'")
    drive(stack)
    [row] = stack.storage("SELECT * FROM applies WHERE apply_id = %s", (apply_id,))
    assert row["state"] == "failed" and "no route" in row["error_message"]
    assert set(task_states(stack, apply_id).values()) == {"cancelled"}
    requests = stack.storage("SELECT operation, status FROM apply_control_requests ORDER BY id")
    assert [r["status"] for r in requests] == ["completed", "failed"]


# ---- options ---------------------------------------------------------------------------------------

def test_options_reach_the_engine_in_every_attempt(stack):
    stack.fake.script({"call": "start", "error": "http:503", "until": 4})
    given = {"defer_cutover": "true", "volume": "7", "allow_unsafe": "true"}
    apply_id = begin(stack, [USERS], **given)

    def waits():
        wait_over(stack)
        return stack.progress(apply_id)["state"] == "waiting_for_cutover"

    # The one option that can be seen from outside: it waits for its cutover.
    stack.until(waits, "it is at the gate")
    assert stack.progress(apply_id)["options"] == given
    assert [row["volume"] for row in stack.storage("SELECT volume FROM applies")] == [7]
    assert len(stack.fake.calls("start")) == 5
    assert operation(stack, apply_id)["attempt"] == 4
