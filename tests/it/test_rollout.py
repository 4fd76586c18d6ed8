"""
test_rollout.py - several deployments in one apply, on real servers: order, failures,
release, stop and start in the middle, dead drivers (SEMANTICS B.4, C.2; DESIGN.md 3).

The databases `rollout` (mysql) and `fakerollout` (the fake engine) have the deployments eu,
us, ap and an environment for each pair of policies (tests/lib/stack.py).
"""
import contextlib
import signal

import pytest

from lib import invariants
from lib.harness import SETTLED
from lib.stack import DEPLOYMENTS

USERS = "CREATE TABLE users (id bigint NOT NULL AUTO_INCREMENT, name varchar(50) NOT NULL, PRIMARY KEY (id))"
WIDE = USERS.replace("name varchar(50) NOT NULL", "name varchar(50) NOT NULL, age int NULL")
# Fails for good where there are two equal names.
UNIQUE = USERS.replace("PRIMARY KEY (id)", "PRIMARY KEY (id), UNIQUE KEY one_name (name)")


def in_deployment(stack, deployment, statement, database="rollout"):
    return stack.sql(statement, None, f"{database}_{deployment}")


def create(stack, *statements, deployments=DEPLOYMENTS, database="rollout"):
    for deployment in deployments:
        for statement in statements:
            in_deployment(stack, deployment, statement, database)


def spoil(stack, *deployments):
    """UNIQUE will fail there."""
    for deployment in deployments:
        in_deployment(stack, deployment, "INSERT INTO users (name) VALUES ('same'), ('same')")


def repair(stack, deployment):
    in_deployment(stack, deployment, "DELETE FROM users")


def has(stack, deployment, text, database="rollout"):
    return text in in_deployment(stack, deployment, "SHOW CREATE TABLE users",
                                 database)[0]["Create Table"]


def start(stack, environment, *files, database="rollout", **options):
    plan = stack.plan(list(files), environment, database=database)
    return stack.apply(plan, allow_unsafe=True, **options)


@contextlib.contextmanager
def table_in_use(stack, *deployments):
    """Application transactions that have read the table: ALTERs of it have to wait."""
    with contextlib.ExitStack() as exits:
        for deployment in deployments:
            connection = stack.connect(f"rollout_{deployment}")
            exits.callback(connection.close)
            connection.autocommit(False)
            with connection.cursor() as cursor:
                cursor.execute("SELECT COUNT(*) FROM users")
        yield


def rows(stack, apply_id):
    """The operations by deployment."""
    return {row["deployment"]: row for row in stack.storage(
        "SELECT o.* FROM apply_operations o JOIN applies a ON a.id = o.apply_row"
        " WHERE a.apply_id = %s ORDER BY o.id", (apply_id,))}


def states(stack, apply_id):
    return {o["deployment"]: o["state"] for o in stack.progress(apply_id)["operations"]}


def wait_operation(stack, apply_id, deployment, *wanted, deadline=60):
    stack.until(lambda: rows(stack, apply_id)[deployment]["state"] in wanted,
                f"{deployment} is {wanted}", deadline)


def wait_task_running(stack, apply_id, deployment):
    """Until a driver has handed a statement to the engine."""
    stack.until(lambda: stack.storage(
        "SELECT t.id FROM tasks t JOIN apply_operations o ON o.id = t.operation_row"
        " JOIN applies a ON a.id = t.apply_row WHERE a.apply_id = %s AND o.deployment = %s"
        " AND t.state = 'running'", (apply_id, deployment)), f"a task runs in {deployment}")


def moves(stack, apply_id):
    """(who, new state) of every change of state in the timeline, in order."""
    logs = stack.api.get(f"/api/logs?apply_id={apply_id}&limit=1000").expect(200)["logs"]
    return [(e["message"].split(":")[0].removeprefix("Deployment "), e["new_state"])
            for e in logs if e["event_type"] in ("operation_update", "state_transition")
            and e.get("old_state")]


def assert_requests_ended(stack):
    assert not stack.storage("SELECT * FROM apply_control_requests WHERE status = 'pending'")


# ---- order ----------------------------------------------------------------------------------

def test_rolling_goes_one_after_the_other(stack):
    create(stack, USERS)
    with table_in_use(stack, "us"):
        with table_in_use(stack, "eu"):
            apply_id = start(stack, "rolling_halt", WIDE)
            wait_task_running(stack, apply_id, "eu")
            seen = stack.progress(apply_id)
            assert [(o["deployment"], o["held"], o.get("waiting_for"))
                    for o in seen["operations"]] == [
                ("eu", False, None), ("us", True, "eu"), ("ap", True, "eu")]
            assert seen["cutover_policy"] == "rolling" and seen["on_failure"] == "halt"
            assert {t["deployment"] for t in seen["tables"]} == set(DEPLOYMENTS)
        wait_task_running(stack, apply_id, "us")
        now = rows(stack, apply_id)
        assert now["eu"]["state"] == "completed"
        assert now["ap"]["lease_token"] == 0 and now["ap"]["claim_after"] is None
        assert has(stack, "eu", "age") and not has(stack, "ap", "age")
        invariants.check(stack)
    done = stack.wait_state(apply_id, "completed")
    assert all(has(stack, d, "age") for d in DEPLOYMENTS)
    assert done["deployment"] == "eu,us,ap" and len(done["operations"]) == 3
    assert moves(stack, apply_id) == [
        ("eu", "running"), ("Apply", "running"), ("eu", "completed"),
        ("us", "running"), ("us", "completed"), ("ap", "running"), ("ap", "completed"),
        ("Apply", "completed")]
    # Never claimed before its turn: one claim each, none of them to be put back.
    assert [r["lease_token"] for r in rows(stack, apply_id).values()] == [1, 1, 1]
    invariants.check_rest(stack)


def test_parallel_holds_nobody(stack):
    create(stack, USERS)
    with table_in_use(stack, *DEPLOYMENTS):
        apply_id = start(stack, "parallel_halt", WIDE)
        for deployment in DEPLOYMENTS:
            wait_task_running(stack, apply_id, deployment)
        assert not any(o["held"] for o in stack.progress(apply_id)["operations"])
    stack.wait_state(apply_id, "completed")
    invariants.check_rest(stack)


def test_the_target_of_a_deployment_is_its_own(stack):
    """A row count that only one has is seen there only."""
    create(stack, USERS)
    plan = stack.plan([WIDE], "rolling_halt", database="rollout")
    assert plan["deployment"] == "eu,us,ap"
    apply_id = stack.apply(plan)
    stack.wait_state(apply_id, "completed")
    assert stack.api.get("/api/status?deployment=us").expect(200)["applies"][0][
        "apply_id"] == apply_id
    assert stack.api.get("/api/status?deployment=u").expect(200)["applies"] == []


# ---- failures ------------------------------------------------------------------------------

@pytest.mark.parametrize("spoiled, left", [("eu", ["us", "ap"]), ("us", ["ap"])])
def test_halt_cancels_what_has_not_begun(stack, spoiled, left):
    create(stack, USERS)
    spoil(stack, spoiled)
    apply_id = start(stack, "rolling_halt", UNIQUE)
    failed = stack.wait_state(apply_id, "failed")
    assert failed["error_message"].startswith(f"{spoiled}: ")
    assert "Duplicate" in failed["error_message"]
    now = states(stack, apply_id)
    assert now.pop(spoiled) == "failed"
    assert {d: now.pop(d) for d in left} == dict.fromkeys(left, "cancelled")
    assert set(now.values()) <= {"completed"}
    assert {t["status"] for t in failed["tables"] if t["deployment"] in left} == {"cancelled"}
    assert not any(has(stack, d, "one_name") for d in (spoiled, *left))
    assert all(rows(stack, apply_id)[d]["lease_token"] == 0 for d in left)
    invariants.check_rest(stack)


def test_halt_lets_those_finish_that_have_begun(stack):
    create(stack, USERS)
    spoil(stack, "us")
    with table_in_use(stack, "eu", "ap"):
        with table_in_use(stack, "us"):
            apply_id = start(stack, "parallel_halt", UNIQUE, algorithm="inplace")
            for deployment in DEPLOYMENTS:
                wait_task_running(stack, apply_id, deployment)
        degraded = stack.wait_state(apply_id, "running_degraded")
        assert states(stack, apply_id)["us"] == "failed"
        assert "Duplicate" in degraded["error_message"]
        invariants.check(stack)
    stack.wait_state(apply_id, "failed")
    assert states(stack, apply_id) == {"eu": "completed", "us": "failed", "ap": "completed"}
    assert has(stack, "eu", "one_name") and has(stack, "ap", "one_name")
    invariants.check_rest(stack)


def test_continue_goes_on_and_ends_failed(stack):
    create(stack, USERS)
    spoil(stack, "eu")
    with table_in_use(stack, "us"):
        apply_id = start(stack, "rolling_continue", UNIQUE)
        stack.wait_state(apply_id, "running_degraded")
        wait_task_running(stack, apply_id, "us")
        assert rows(stack, apply_id)["ap"]["lease_token"] == 0
        invariants.check(stack)
    failed = stack.wait_state(apply_id, "failed")
    assert failed["error_message"].startswith("eu: ")
    assert states(stack, apply_id) == {"eu": "failed", "us": "completed", "ap": "completed"}
    invariants.check_rest(stack)


def test_pause_waits_for_release(stack):
    create(stack, USERS)
    spoil(stack, "eu")
    apply_id = start(stack, "rolling_pause", UNIQUE)
    paused = stack.wait_state(apply_id, "paused")
    assert paused["released"] is False
    assert [o.get("waiting_for") for o in paused["operations"]] == [None, "eu", "eu"]
    stack.reap()
    assert all(rows(stack, apply_id)[d]["claim_after"] is None for d in DEPLOYMENTS)
    invariants.check(stack)
    stack.control("release", apply_id, "rolling_pause").expect(200, 202)
    done = stack.wait_state(apply_id, "failed")
    assert done["released"] is True
    assert states(stack, apply_id) == {"eu": "failed", "us": "completed", "ap": "completed"}
    stack.control("release", apply_id, "rolling_pause").expect(202, 409)
    assert_requests_ended(stack)
    invariants.check_rest(stack)


@pytest.mark.parametrize("verb, state", [("stop", "stopped"), ("cancel", "cancelled")])
def test_a_paused_rollout_can_be_ended(stack, verb, state):
    create(stack, USERS)
    spoil(stack, "eu")
    apply_id = start(stack, "rolling_pause", UNIQUE)
    stack.wait_state(apply_id, "paused")
    stack.control(verb, apply_id, "rolling_pause").expect(200, 202)
    # A failed one among cancelled ones is what the whole ends as.
    stack.wait_state(apply_id, "failed" if verb == "cancel" else state)
    assert states(stack, apply_id) == {"eu": "failed", "us": state, "ap": state}
    stack.until(lambda: not stack.storage(
        "SELECT id FROM apply_control_requests WHERE status = 'pending'"), "it is answered")
    [request] = stack.storage("SELECT operation, status FROM apply_control_requests")
    assert request == {"operation": verb, "status": "completed"}
    if verb == "stop":
        stack.control("start", apply_id, "rolling_pause").expect(200)
        stack.wait_state(apply_id, "paused")
        stack.control("release", apply_id, "rolling_pause").expect(200, 202)
        stack.wait_state(apply_id, "failed")
        assert states(stack, apply_id)["ap"] == "completed"
    invariants.check_rest(stack)


def test_a_retry_in_one_deployment_holds_the_later_ones(fresh_stack):
    """The account is locked while us would begin: it is retried, ap waits."""
    stack = fresh_stack()
    create(stack, USERS)
    user = stack.sql("SELECT user AS user, host AS host FROM mysql.user"
                     " WHERE user = 'sb_target'")[0]
    account = f"'{user['user']}'@'{user['host']}'"
    plan = stack.plan([WIDE], "rolling_halt", database="rollout")
    stack.sql(f"ALTER USER {account} ACCOUNT LOCK")
    apply_id = stack.apply(plan)
    # A claim leaves the state and counts the attempt: it waits when nobody has it.
    waits = {"state": "failed_retryable", "attempt": 2, "lease_owner": None}
    stack.until(lambda: waits.items() <= rows(stack, apply_id)["eu"].items(), "it waits")
    stack.storage("UPDATE apply_operations SET claim_after = NOW(6) + INTERVAL 1 HOUR"
                  " WHERE deployment = 'eu'")
    retrying = stack.progress(apply_id)
    assert retrying["state"] == "failed_retryable" and retrying["state_label"] == "Retrying"
    assert retrying["attempt"] >= 2 and retrying["retry_after"].endswith("Z")
    first, second, third = retrying["operations"]
    assert first["retry_after"] == retrying["retry_after"] and first["attempt"] >= 2
    assert second["held"] and third["held"] and second["waiting_for"] == "eu"
    assert rows(stack, apply_id)["us"]["lease_token"] == 0
    invariants.check(stack)
    stack.sql(f"ALTER USER {account} ACCOUNT UNLOCK")
    stack.storage("UPDATE apply_operations SET claim_after = NOW(6) WHERE deployment = 'eu'")
    stack.wait_state(apply_id, "completed")
    assert "retry_after" not in stack.progress(apply_id)


# ---- deployments that differ ----------------------------------------------------------------

def test_a_deployment_that_has_the_change_is_done_at_once(stack):
    create(stack, USERS, deployments=("eu", "ap"))
    create(stack, WIDE, deployments=("us",))
    plan = stack.plan([WIDE], "rolling_halt", database="rollout")
    assert len(plan["changes"][0]["table_changes"]) == 1
    apply_id = stack.apply(plan)
    done = stack.wait_state(apply_id, "completed")
    assert {t["status"] for t in done["tables"]} == {"completed"}
    assert all(has(stack, d, "age") for d in DEPLOYMENTS)
    invariants.check_rest(stack)


def test_the_plan_is_what_all_deployments_need_together(stack):
    create(stack, USERS)
    create(stack, "CREATE TABLE extra (id int NOT NULL, PRIMARY KEY (id))", deployments=("us",))
    plan = stack.plan([WIDE], "rolling_halt", database="rollout")
    changes = [(c["table_name"], c["change_type"])
               for c in plan["changes"][0]["table_changes"]]
    assert sorted(changes) == [("extra", "drop"), ("users", "alter")]
    apply_id = stack.apply(plan, allow_unsafe=True)
    stack.wait_state(apply_id, "completed")
    assert not in_deployment(stack, "us", "SHOW TABLES LIKE 'extra'")
    invariants.check_rest(stack)


def test_deployments_that_disagree_cannot_be_planned_together(stack):
    create(stack, USERS, deployments=("eu", "ap"))
    create(stack, USERS.replace("varchar(50)", "varchar(40)"), deployments=("us",))
    plan = stack.post_plan([WIDE], "rolling_halt", database="rollout").expect(200)
    [error] = plan["errors"]
    assert "'users'" in error and "'eu'" in error and "'us'" in error and "'ap'" not in error
    refused = stack.post_apply(plan, "rolling_halt").expect(400)
    assert "'us'" in refused["error"]


def test_drift_in_one_deployment_refuses_the_apply(stack):
    create(stack, USERS)
    plan = stack.plan([WIDE], "rolling_halt", database="rollout")
    in_deployment(stack, "us", "ALTER TABLE users ADD COLUMN surprise int")
    refused = stack.post_apply(plan, "rolling_halt").expect(409)
    assert refused["error_code"] == "plan_stale" and "in us" in refused["error"]
    assert "in eu" not in refused["error"]


def test_a_barrier_of_tables_that_are_copied(stack):
    """The mysql engine waits at the gate like any other, and its tables change in turn."""
    create(stack, USERS)
    other = USERS.replace("name varchar(50)", "name varchar(50) CHARACTER SET utf16")
    with table_in_use(stack, "ap"):
        apply_id = start(stack, "barrier_halt", other)
        wait_operation(stack, apply_id, "eu", "waiting_for_cutover")
        wait_operation(stack, apply_id, "us", "waiting_for_cutover")
        assert not any(has(stack, d, "utf16") for d in DEPLOYMENTS)
    stack.wait_state(apply_id, "completed")
    assert all(has(stack, d, "utf16") for d in DEPLOYMENTS)
    order = [m for m in moves(stack, apply_id) if m[1] == "completed" and m[0] != "Apply"]
    assert [d for d, _ in order] == list(DEPLOYMENTS)
    assert_requests_ended(stack)
    invariants.check_rest(stack)


def test_what_the_api_says_about_the_deployments(stack):
    environments = stack.api.get("/api/databases/rollout/environments").expect(200)
    one = [e for e in environments["environments"] if e["environment"] == "rolling_pause"][0]
    assert [d["deployment"] for d in one["deployments"]] == list(DEPLOYMENTS)
    assert (one["cutover_policy"], one["on_failure"]) == ("rolling", "pause")
    create(stack, WIDE, deployments=("us",))
    pulled = stack.api.post("/api/pull", {"database": "rollout", "environment": "rolling_halt",
                                          "deployment": "us"}).expect(200)
    assert "age" in pulled["schema_files"]["rollout"]["files"]["users.sql"]
    refused = stack.post_plan([WIDE], "rolling_halt", database="rollout",
                              deployment="us").expect(400)
    assert "eu,us,ap" in refused["error"]


# ---- operators ------------------------------------------------------------------------------

def test_stop_and_start_in_the_middle(stack):
    create(stack, USERS)
    with table_in_use(stack, "us"):
        apply_id = start(stack, "rolling_halt", WIDE)
        wait_task_running(stack, apply_id, "us")
        stack.control("stop", apply_id, "rolling_halt").expect(200, 202)
        stopped = stack.wait_state(apply_id, "stopped")
        assert states(stack, apply_id) == {"eu": "completed", "us": "stopped", "ap": "stopped"}
        assert {t["status"] for t in stopped["tables"]} == {"completed", "stopped"}
        # Who stopped "ap": the driver of "us", whose token is none of ap's, or one of its own.
        ap = rows(stack, apply_id)["ap"]
        told = stack.storage("SELECT l.lease_token FROM apply_logs l JOIN tasks t"
                             " ON t.task_id = l.task_id WHERE t.operation_row = %s",
                             (ap["id"],))
        assert told and all(line["lease_token"] in (0, ap["lease_token"]) for line in told)
        assert all(r["claim_after"] is None for r in rows(stack, apply_id).values())
        assert_requests_ended(stack)
        invariants.check_rest(stack)
        stack.control("start", apply_id, "rolling_halt").expect(200)
        wait_task_running(stack, apply_id, "us")
        wait_operation(stack, apply_id, "ap", "pending")
        stack.until(lambda: not stack.storage(
            "SELECT id FROM apply_control_requests WHERE status = 'pending'"),
            "the start is answered")
        assert rows(stack, apply_id)["ap"]["claim_after"] is None
        assert stack.progress(apply_id)["operations"][2]["waiting_for"] == "us"
        invariants.check(stack)
    stack.wait_state(apply_id, "completed")
    assert all(has(stack, d, "age") for d in DEPLOYMENTS)
    invariants.check_rest(stack)


def test_a_stopped_rollout_gives_way_to_another(stack):
    create(stack, USERS)
    with table_in_use(stack, "eu"):
        first = start(stack, "rolling_halt", WIDE)
        wait_task_running(stack, first, "eu")
        stack.control("stop", first, "rolling_halt").expect(200, 202)
        stack.wait_state(first, "stopped")
    with table_in_use(stack, "us"):
        second = start(stack, "rolling_halt", UNIQUE)
        wait_task_running(stack, second, "us")
        stack.control("start", first, "rolling_halt").expect(200, 409)
        stack.until(lambda: not stack.storage(
            "SELECT id FROM apply_control_requests WHERE status = 'pending'"), "it is answered")
        assert stack.progress(first)["state"] == "stopped"
        invariants.check(stack)
    stack.wait_state(second, "completed")


def test_cancel_in_the_middle(stack):
    create(stack, USERS)
    with table_in_use(stack, "us"):
        apply_id = start(stack, "rolling_halt", WIDE)
        wait_task_running(stack, apply_id, "us")
        stack.control("cancel", apply_id, "rolling_halt").expect(200, 202)
        stack.wait_state(apply_id, "cancelled")
    assert states(stack, apply_id) == {"eu": "completed", "us": "cancelled", "ap": "cancelled"}
    assert not has(stack, "us", "age")
    assert_requests_ended(stack)
    invariants.check_rest(stack)


def test_cancel_of_all_at_once(stack):
    create(stack, USERS)
    with table_in_use(stack, *DEPLOYMENTS):
        apply_id = start(stack, "parallel_halt", WIDE)
        for deployment in DEPLOYMENTS:
            wait_task_running(stack, apply_id, deployment)
        stack.control("cancel", apply_id, "parallel_halt").expect(200, 202)
        stack.wait_state(apply_id, "cancelled")
    assert set(states(stack, apply_id).values()) == {"cancelled"}
    assert_requests_ended(stack)
    invariants.check_rest(stack)


# ---- dead drivers ----------------------------------------------------------------------------

@pytest.mark.parametrize("policy", ["rolling_halt", "parallel_halt"])
def test_kill_9_in_the_middle(stack, policy):
    create(stack, USERS)
    with table_in_use(stack, "us"):
        apply_id = start(stack, policy, WIDE)
        wait_task_running(stack, apply_id, "us")
        for _ in range(2):
            token = rows(stack, apply_id)["us"]["lease_token"]
            stack.kill(stack.drivers(), signal.SIGKILL)
            stack.until(lambda: rows(stack, apply_id)["us"]["lease_token"] > token,
                        "somebody claims it again")
            wait_task_running(stack, apply_id, "us")
            invariants.check(stack)
    stack.wait_state(apply_id, "completed")
    assert all(has(stack, d, "age") for d in DEPLOYMENTS)
    invariants.check_rest(stack)


def test_a_sibling_is_freed_or_the_completion_is_not_there(fresh_stack):
    """One transaction: a driver that dies before its commit has freed nobody."""
    stack = fresh_stack()
    create(stack, USERS)
    with table_in_use(stack, "eu"):
        apply_id = start(stack, "rolling_halt", WIDE)
        wait_task_running(stack, apply_id, "eu")
        with stack.faults("drive.settle.before_commit:crash@1"):
            stack.kill(stack.drivers(), signal.SIGTERM)
            stack.until(lambda: not stack.drivers(), "it is gone")
    stack.wait_state(apply_id, "completed", deadline=90)
    invariants.check_rest(stack)


@pytest.mark.parametrize("point", [
    "operation.project.operation", "operation.project.order", "operation.project.apply",
    "drive.settle.before_commit", "drive.settle.committed"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_crash_while_one_hands_over_to_the_next(stack, point, nth):
    """Whatever is lost, nobody begins before its turn and nobody is forgotten."""
    create(stack, USERS)
    plan = stack.plan([WIDE], "rolling_halt", database="rollout")
    with stack.faults(f"schemabot-driver/{point}:crash@{nth}"):
        apply_id = stack.apply(plan)
        seen = set()
        while stack.progress(apply_id)["state"] not in SETTLED:
            now = states(stack, apply_id)
            seen.add(tuple(now.values()))
            invariants.check(stack)
    assert stack.progress(apply_id)["state"] == "completed"
    for eu, us, ap in seen:
        assert us == "pending" or eu == "completed", seen
        assert ap == "pending" or us == "completed", seen
    invariants.check_rest(stack)


@pytest.mark.parametrize("point", [
    "operation.project.sibling_tasks", "operation.project.operation",
    "operation.project.apply", "drive.settle.before_commit"])
def test_crash_while_a_failure_cancels_the_others(stack, point):
    create(stack, USERS)
    spoil(stack, "eu")
    plan = stack.plan([UNIQUE], "rolling_halt", database="rollout")
    nth = 1 if point.endswith("tasks") else 3
    with stack.faults(f"schemabot-driver/{point}:crash@{nth}"):
        apply_id = stack.apply(plan, allow_unsafe=True)
        stack.wait_state(apply_id, "failed", deadline=40)
    assert states(stack, apply_id) == {"eu": "failed", "us": "cancelled", "ap": "cancelled"}
    invariants.check_rest(stack)


def test_a_retry_that_is_given_up_ends_the_rollout(fresh_stack):
    stack = fresh_stack()
    create(stack, USERS)
    user = stack.sql("SELECT user AS user, host AS host FROM mysql.user"
                     " WHERE user = 'sb_target'")[0]
    account = f"'{user['user']}'@'{user['host']}'"
    plan = stack.plan([WIDE], "rolling_halt", database="rollout")
    stack.sql(f"ALTER USER {account} ACCOUNT LOCK")
    apply_id = stack.apply(plan)
    wait_operation(stack, apply_id, "eu", "failed_retryable")

    def given_up():
        """Unless it is being tried again just now; cron's own reaper may be at it, too."""
        stack.storage("UPDATE apply_operations SET failed_at = NOW(6) - INTERVAL 25 HOUR,"
                      " claim_after = NOW(6) + INTERVAL 1 DAY"
                      " WHERE state = 'failed_retryable' AND lease_owner IS NULL")
        stack.reap()
        return stack.progress(apply_id)["state"] == "failed"
    stack.until(given_up, "its retries are over")
    failed = stack.progress(apply_id)
    assert failed["error_message"].startswith("eu: Gave up")
    assert states(stack, apply_id) == {"eu": "failed", "us": "cancelled", "ap": "cancelled"}
    stack.sql(f"ALTER USER {account} ACCOUNT UNLOCK")
    invariants.check_rest(stack)


def test_a_deployment_that_is_not_configured_any_more_fails(stack):
    create(stack, USERS)
    with table_in_use(stack, "us"):
        apply_id = start(stack, "rolling_halt", WIDE)
        wait_task_running(stack, apply_id, "us")
        stack.storage("UPDATE apply_operations SET deployment = 'mars'"
                      " WHERE deployment = 'ap'")
    failed = stack.wait_state(apply_id, "failed")
    assert states(stack, apply_id) == {"eu": "completed", "us": "completed", "mars": "failed"}
    assert failed["error_code"] == "deployment_not_found"
    assert "'mars'" in failed["error_message"]


def finished(progress):
    return len([t for t in progress["tables"] if t["status"] == "completed"])


def test_siblings_that_write_at_once_do_not_deadlock(stack):
    """Every transaction of every driver locks all operations, in one order; so do requests."""
    tables = [f"t{n}" for n in range(8)]
    small = [f"CREATE TABLE {t} (id int NOT NULL, PRIMARY KEY (id))" for t in tables]
    wide = [s.replace("id int NOT NULL", "id int NOT NULL, a int") for s in small]
    create(stack, *small)
    apply_id = start(stack, "parallel_halt", *wide)
    state = ""
    while state != "completed":
        stack.control("stop", apply_id, "parallel_halt").expect(200, 202, 409)
        seen = stack.wait_state(apply_id, ("stopped", "completed"))
        state = seen["state"]
        invariants.check(stack)
        if state == "stopped":
            # Accepted before: by now it may have reached the last of them, or not yet.
            stack.control("start", apply_id, "parallel_halt").expect(200, 202, 409)
            stack.until(lambda done=finished(seen): finished(stack.progress(apply_id)) > done,
                        "it gets further")
    assert len(stack.progress(apply_id)["tables"]) == 24
    assert "Deadlock" not in stack.new_logs(100000)
    assert_requests_ended(stack)
    invariants.check_rest(stack)


# ---- barrier, on the fake engine ---------------------------------------------------------------

FAKE = "fakerollout"
CUT = ("cutting_over", "completed")


def at_gate(stack, apply_id, *deployments):
    for deployment in deployments:
        wait_operation(stack, apply_id, deployment, "waiting_for_cutover")


def cutovers(stack, apply_id):
    """Deployments in the order in which their cutover was sent, repetitions left out."""
    return list(dict.fromkeys(c["deployment"] for c in stack.fake.calls(
        "cutover", apply=apply_id, answer="ok")))


def test_barrier_lets_nobody_pass_before_all_have_arrived(stack):
    create(stack, USERS, database=FAKE)
    stack.fake.script({"call": "poll", "deployment": "us", "hold": "running", "gate": "us"},
                      {"call": "poll", "deployment": "ap", "hold": "running", "gate": "ap"})
    apply_id = start(stack, "barrier_halt", WIDE, database=FAKE)
    at_gate(stack, apply_id, "eu")
    wait_task_running(stack, apply_id, "us")
    # ap begins only when us has arrived, too.
    assert rows(stack, apply_id)["ap"]["lease_token"] == 0
    assert stack.progress(apply_id)["operations"][2]["waiting_for"] == "us"
    stack.fake.release("us")
    at_gate(stack, apply_id, "us")
    wait_task_running(stack, apply_id, "ap")
    seen = stack.progress(apply_id)
    assert seen["state"] == "running" and seen["operations"][0]["waiting_for"] == "ap"
    assert not stack.fake.calls("cutover", apply=apply_id)
    assert not any(has(stack, d, "age", FAKE) for d in DEPLOYMENTS)
    invariants.check(stack)
    stack.fake.release("ap")
    stack.wait_state(apply_id, "completed")
    assert cutovers(stack, apply_id) == list(DEPLOYMENTS)
    # One at a time: each has completed before the next one cuts over.
    order = [m for m in moves(stack, apply_id) if m[1] in CUT and m[0] != "Apply"]
    ends = [order.index((d, "completed")) for d in DEPLOYMENTS]
    begins = [min(i for i, m in enumerate(order) if m[0] == d) for d in DEPLOYMENTS]
    assert ends[0] < begins[1] and ends[1] < begins[2], order
    assert all(len(stack.fake.created(apply_id)) == 3 for _ in [0])
    invariants.check_rest(stack)


def test_barrier_and_defer_cutover_wait_for_the_operator_once(stack):
    create(stack, USERS, database=FAKE)
    apply_id = start(stack, "barrier_halt", WIDE, database=FAKE, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    assert set(states(stack, apply_id).values()) == {"waiting_for_cutover"}
    assert not stack.fake.calls("cutover", apply=apply_id)
    stack.control("cutover", apply_id, "barrier_halt").expect(200)
    stack.wait_state(apply_id, "completed")
    assert cutovers(stack, apply_id) == list(DEPLOYMENTS)
    [request] = stack.storage("SELECT operation, status FROM apply_control_requests")
    assert request == {"operation": "cutover", "status": "completed"}
    invariants.check_rest(stack)


def test_barrier_halt_cuts_nothing_over_when_one_fails(stack):
    create(stack, USERS, database=FAKE)
    stack.fake.script({"call": "poll", "deployment": "ap", "hold": "running", "gate": "ap"})
    apply_id = start(stack, "barrier_halt", WIDE, database=FAKE)
    at_gate(stack, apply_id, "eu", "us")
    wait_task_running(stack, apply_id, "ap")
    stack.fake.script({"call": "poll", "deployment": "ap", "fail": "mysql:1062"})
    failed = stack.wait_state(apply_id, "failed")
    assert states(stack, apply_id) == {"eu": "cancelled", "us": "cancelled", "ap": "failed"}
    assert failed["error_message"].startswith("ap: ")
    assert not any(has(stack, d, "age", FAKE) for d in DEPLOYMENTS)
    assert not stack.fake.calls("cutover", apply=apply_id)
    invariants.check_rest(stack)


def test_barrier_pause_and_release(stack):
    create(stack, USERS, database=FAKE)
    stack.fake.script({"call": "poll", "deployment": "us", "fail": "mysql:1062"})
    apply_id = start(stack, "barrier_pause", WIDE, database=FAKE)
    paused = stack.wait_state(apply_id, "paused")
    assert states(stack, apply_id) == {"eu": "waiting_for_cutover", "us": "failed",
                                       "ap": "pending"}
    assert [o.get("waiting_for") for o in paused["operations"]] == ["us", None, "us"]
    invariants.check(stack)
    stack.control("release", apply_id, "barrier_pause").expect(200)
    stack.wait_state(apply_id, "failed")
    assert states(stack, apply_id) == {"eu": "completed", "us": "failed", "ap": "completed"}
    assert cutovers(stack, apply_id) == ["eu", "ap"]
    assert_requests_ended(stack)
    invariants.check_rest(stack)


def test_barrier_continue_leaves_the_failed_one_out(stack):
    create(stack, USERS, database=FAKE)
    stack.fake.script({"call": "poll", "deployment": "eu", "fail": "mysql:1062"})
    apply_id = start(stack, "barrier_continue", WIDE, database=FAKE)
    stack.wait_state(apply_id, "failed")
    assert states(stack, apply_id) == {"eu": "failed", "us": "completed", "ap": "completed"}
    assert cutovers(stack, apply_id) == ["us", "ap"]
    invariants.check_rest(stack)


def test_stop_and_start_at_the_gate(stack):
    create(stack, USERS, database=FAKE)
    stack.fake.script({"call": "poll", "deployment": "ap", "hold": "running", "gate": "ap"})
    apply_id = start(stack, "barrier_halt", WIDE, database=FAKE)
    at_gate(stack, apply_id, "eu", "us")
    wait_task_running(stack, apply_id, "ap")
    stack.control("stop", apply_id, "barrier_halt").expect(200)
    stack.wait_state(apply_id, "stopped")
    assert set(states(stack, apply_id).values()) == {"stopped"}
    invariants.check_rest(stack)
    stack.control("start", apply_id, "barrier_halt").expect(200)
    at_gate(stack, apply_id, "eu", "us")
    assert not any(has(stack, d, "age", FAKE) for d in DEPLOYMENTS)
    stack.fake.release("ap")
    stack.wait_state(apply_id, "completed")
    assert cutovers(stack, apply_id) == list(DEPLOYMENTS)
    assert_requests_ended(stack)
    invariants.check_rest(stack)


def test_kill_9_at_the_gate(stack):
    create(stack, USERS, database=FAKE)
    stack.fake.script({"call": "poll", "deployment": "ap", "hold": "running", "gate": "ap"})
    apply_id = start(stack, "barrier_halt", WIDE, database=FAKE)
    at_gate(stack, apply_id, "eu", "us")
    tokens = {d: r["lease_token"] for d, r in rows(stack, apply_id).items()}
    stack.kill(stack.drivers())
    stack.until(lambda: all(r["lease_token"] > tokens[d] for d, r in
                            rows(stack, apply_id).items() if d != "ap"), "they are driven again")
    invariants.check(stack)
    stack.fake.release("ap")
    stack.wait_state(apply_id, "completed")
    assert cutovers(stack, apply_id) == list(DEPLOYMENTS)
    invariants.check_rest(stack)


def test_a_stop_between_two_cutovers(stack):
    """What has been cut over stays; what has not does not follow."""
    create(stack, USERS, database=FAKE)
    stack.fake.script({"call": "cutover", "deployment": "eu", "wait_after": "cut"})
    apply_id = start(stack, "barrier_halt", WIDE, database=FAKE)
    stack.until(lambda: stack.fake.arrived("cut"), "eu is about to cut over")
    # Recorded when the sibling rows are free again: eu's cutover comes before the stop.
    stack.fake.script({"call": "poll", "deployment": "eu", "hold": "cutting_over", "gate": "eu"})
    stack.fake.release("cut")
    wait_operation(stack, apply_id, "eu", "cutting_over")
    stack.control("stop", apply_id, "barrier_halt").expect(200)
    stack.fake.release("eu")
    stack.until(lambda: stack.progress(apply_id)["state"] in ("stopped", "completed"), "it stops")
    now = states(stack, apply_id)
    assert (now["us"], now["ap"]) == ("stopped", "stopped") and now["eu"] in (
        "stopped", "completed")
    assert cutovers(stack, apply_id) == ["eu"]
    stack.control("start", apply_id, "barrier_halt").expect(200)
    stack.wait_state(apply_id, "completed")
    invariants.check_rest(stack)


def test_parallel_continue_of_an_external_engine(stack):
    create(stack, USERS, database=FAKE)
    stack.fake.script({"call": "poll", "deployment": "us", "fail": "mysql:1062"},
                      {"call": "poll", "deployment": "ap", "hold": "running", "gate": "ap"})
    apply_id = start(stack, "parallel_continue", WIDE, database=FAKE)
    stack.wait_state(apply_id, "running_degraded")
    wait_operation(stack, apply_id, "eu", "completed")
    invariants.check(stack)
    stack.fake.release("ap")
    stack.wait_state(apply_id, "failed")
    assert states(stack, apply_id) == {"eu": "completed", "us": "failed", "ap": "completed"}
    invariants.check_rest(stack)


def test_rolling_with_a_cutover_by_the_operator_for_each(stack):
    create(stack, USERS, database=FAKE)
    apply_id = start(stack, "rolling_halt", WIDE, database=FAKE, defer_cutover=True)
    for deployment in DEPLOYMENTS:
        at_gate(stack, apply_id, deployment)
        assert stack.progress(apply_id)["state"] == "waiting_for_cutover"
        stack.control("cutover", apply_id, "rolling_halt").expect(200)
        wait_operation(stack, apply_id, deployment, "completed")
    stack.wait_state(apply_id, "completed")
    assert cutovers(stack, apply_id) == list(DEPLOYMENTS)
    assert_requests_ended(stack)
    invariants.check_rest(stack)
