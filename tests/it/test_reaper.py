"""
test_reaper.py - every duty of schemabot-reaper: it does its thing, in bounded batches, leaves
alone whatever somebody has a lease on, does it once, and a crash at any of its fault points
is put right by the next pass. SEMANTICS C.5, B.8.

Cron stands still: the passes here are the only ones. Rows are made by SQL, as a crash or a bug
of somebody else's would have left them.
"""
import json
import subprocess
import urllib.request

import pytest

from lib import invariants
from lib.rows import Rows
from lib.stack import Stack

SETTLED = ("completed", "failed", "cancelled", "reverted")
BATCH = 100  # REAPER_BATCH
USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"


def metric(stack, name):
    """The sum of a family's samples."""
    text = urllib.request.urlopen(stack.metrics_url, timeout=20).read().decode()
    samples = [line.rpartition(" ")[2] for line in text.splitlines()
               if line.startswith(f"schemabot_{name}{{")]
    assert samples or name.endswith("_total"), f"no metric {name}"
    return sum(float(s) for s in samples)


def everything(stack):
    return {t: stack.storage(f"SELECT * FROM {t} ORDER BY id") for t in
            ("applies", "apply_operations", "tasks", "apply_control_requests", "apply_logs")}


# ---- retries ------------------------------------------------------------------------------

def retrying(rows, attempt=10, age="1 MINUTE", due="NOW(6) + INTERVAL 1 HOUR", owner=None):
    apply = rows.apply("failed_retryable", error_message="no route to host")
    operation = rows.operation(apply, "failed_retryable", due, owner, attempt=attempt,
                               error_message="no route to host")
    rows.run(f"UPDATE apply_operations SET failed_at = NOW(6) - INTERVAL {age} WHERE id = %s",
             (operation,))
    tasks = [rows.task(apply, operation, s, seq=i) for i, s in
             enumerate(("completed", "failed_retryable", "pending"))]
    return apply, operation, tasks


@pytest.mark.parametrize("attempt, age, words", [
    (10, "1 MINUTE", "no retry is left"), (2, "25 HOUR", "more than a day old")])
def test_spent_retries_are_given_up(rows, idle, attempt, age, words):
    apply, operation, tasks = retrying(rows, attempt, age)
    rows.request(apply, "stop")
    before = metric(idle, "scheduler_expired_retryable_total")
    idle.reap()
    assert rows.state("apply_operations", operation) == rows.state("applies", apply) == "failed"
    assert [rows.state("tasks", t) for t in tasks] == ["completed", "failed", "cancelled"]
    message = rows.one("applies", apply)["error_message"]
    assert words in message and "no route to host" in message
    row = rows.one("apply_operations", operation)
    assert (row["claim_after"], row["lease_owner"]) == (None, None) and row["lease_token"] == 6
    assert rows.count("apply_control_requests", "status = 'pending'") == 0
    assert metric(idle, "scheduler_expired_retryable_total") == before + 1
    settled = everything(idle)
    idle.reap()
    assert everything(idle) == settled


def test_retries_that_are_left_are_left(rows, idle):
    retrying(rows, 9, "23 HOUR")
    retrying(rows, 10, due="NOW(6) + INTERVAL 50 SECOND", owner="somebody")
    retrying(rows, 1, "2 DAY", due="NOW(6) + INTERVAL 50 SECOND", owner="somebody")
    before = everything(idle)
    idle.reap()
    assert everything(idle) == before


def test_expiry_is_a_batch(rows, idle):
    for _ in range(BATCH + 5):
        retrying(rows)
    idle.reap()
    assert rows.count("apply_operations", "state = 'failed'") == BATCH
    idle.reap()
    assert rows.count("apply_operations", "state = 'failed'") == BATCH + 5


@pytest.fixture
def gate(idle):
    """A file that a process waits for; `gate.at` is there when it does."""
    path = idle.dir / "reaper-gate"
    yield path
    for file in (path, path.with_name("reaper-gate.at")):
        file.unlink(missing_ok=True)


def arrived(path):
    return path.with_name(path.name + ".at").exists()


def background(stack, program, fault):
    return subprocess.Popen(
        [stack.bin / program, "--config", stack.config], text=True, stderr=subprocess.PIPE,
        env={**Stack(stack.dir).environment(faults=False), "SB_FAULT": fault})


def test_expiry_before_a_claim(rows, idle, gate):
    """Whoever locks the row first has it; the other finds nothing."""
    _, operation, _ = retrying(rows, due="NOW(6)")
    reaper = background(idle, "schemabot-reaper", f"reap.expired.taken:wait={gate}")
    idle.until(lambda: arrived(gate), "the reaper has the row")
    assert idle.binary("schemabot-driver").returncode == 0
    assert rows.one("apply_operations", operation)["lease_token"] == 5
    gate.touch()
    assert reaper.wait(60) == 0
    assert rows.state("apply_operations", operation) == "failed"


def test_a_claim_before_expiry(rows, idle, gate):
    _, operation, _ = retrying(rows, due="NOW(6)")
    driver = background(idle, "schemabot-driver", f"operation.claim.selected:wait={gate}")
    idle.until(lambda: arrived(gate), "the driver has the row")
    idle.reap()
    assert rows.one("apply_operations", operation)["lease_token"] == 5
    assert rows.state("apply_operations", operation) == "failed_retryable"
    gate.touch()
    driver.wait(60)
    row = rows.one("apply_operations", operation)
    assert row["lease_token"] == 6 and row["state"] == "failed"


def test_a_reaper_frozen_past_its_lease_gives_up_nothing(rows, idle, gate):
    """Its claim is taken over meanwhile; when it goes on, it writes nothing."""
    _, operation, _ = retrying(rows, due="NOW(6)")
    reaper = background(idle, "schemabot-reaper", f"reaper.expire.claimed:wait={gate}")
    idle.until(lambda: arrived(gate), "the reaper has claimed")
    assert rows.one("apply_operations", operation)["lease_token"] == 6
    rows.run("UPDATE apply_operations SET lease_token = 7, lease_owner = 'somebody',"
             " claim_after = NOW(6) + INTERVAL 50 SECOND WHERE id = %s", (operation,))
    before = everything(idle)
    gate.touch()
    assert reaper.wait(60) == 0
    assert "not given up by us" in reaper.stderr.read()
    assert everything(idle) == before


# ---- orphans --------------------------------------------------------------------------------

@pytest.mark.parametrize("parent", SETTLED)
@pytest.mark.parametrize("state", ["pending", "stopped", "failed_retryable"])
def test_orphaned_operations(rows, idle, parent, state):
    apply = rows.apply(parent, quiet="11 MINUTE",
                       **({"error_message": "boom"} if parent == "failed" else {}))
    due = "NOW(6) + INTERVAL 1 HOUR" if state == "failed_retryable" else None
    operation = rows.operation(apply, state, due)
    tasks = [rows.task(apply, operation, s, seq=i) for i, s in
             enumerate(("completed", "pending", "running"))]
    before = metric(idle, "operator_stranded_operations_reaped_total")
    idle.reap()
    row = rows.one("apply_operations", operation)
    assert (row["state"], row["claim_after"], row["lease_token"]) == (parent, None, 6)
    assert row["error_message"] == ("boom" if parent == "failed" else None)
    begun = "failed" if parent == "failed" else "cancelled"
    assert [rows.state("tasks", t) for t in tasks] == ["completed", "cancelled", begun]
    assert rows.state("applies", apply) == parent
    assert any("Nobody was left to settle it" in line for line in rows.logs(apply))
    assert metric(idle, "operator_stranded_operations_reaped_total") == before + 3
    settled = everything(idle)
    idle.reap()
    assert everything(idle) == settled


def test_orphaned_tasks_of_a_settled_operation(rows, idle):
    apply = rows.apply("completed", quiet="11 MINUTE")
    operation = rows.operation(apply, "completed")
    task = rows.task(apply, operation, "running")
    idle.reap()
    assert rows.state("tasks", task) == "cancelled"
    assert rows.one("tasks", task)["completed_at"] is not None


def test_no_orphans(rows, idle):
    """Driven, at work, of an apply that is open, or not quiet for long enough."""
    soon = "NOW(6) + INTERVAL 50 SECOND"
    for parent, quiet, state, due, owner in (
            ("failed", "1 DAY", "failed_retryable", soon, "somebody"),
            ("failed", "1 DAY", "pending", soon, "somebody"),
            ("failed", "1 DAY", "running", "NOW(6) + INTERVAL 1 HOUR", None),
            ("failed", "9 MINUTE", "pending", None, None),
            ("stopped", "1 DAY", "stopped", None, None),
            ("failed_retryable", "1 DAY", "failed_retryable", soon, None)):
        apply = rows.apply(parent, quiet=quiet)
        rows.task(apply, rows.operation(apply, state, due, owner), "pending")
    before = everything(idle)
    idle.reap()
    assert everything(idle) == before


def test_orphans_are_a_batch(rows, idle):
    for _ in range(BATCH + 5):
        rows.operation(rows.apply("cancelled"), "pending")
    idle.reap()
    assert rows.count("apply_operations", "state = 'pending'") == 5
    idle.reap()
    assert rows.count("apply_operations", "state = 'pending'") == 0


def test_an_orphan_that_is_claimed_first_is_left(rows, idle, gate):
    """The reaper waits for the claim, looks again, and leaves what is leased by then."""
    apply = rows.apply("failed")
    operation = rows.operation(apply, "failed_retryable", "NOW(6)", attempt=1)
    rows.task(apply, operation, "failed_retryable")
    reaper = background(idle, "schemabot-reaper", f"reap.orphans.found:wait={gate}")
    idle.until(lambda: arrived(gate), "the reaper has found it")
    rows.run("UPDATE apply_operations SET lease_token = 6, lease_owner = 'somebody',"
             " claim_after = NOW(6) + INTERVAL 50 SECOND WHERE id = %s", (operation,))
    before = everything(idle)
    gate.touch()
    assert reaper.wait(60) == 0
    assert everything(idle) == before


# ---- stale parents --------------------------------------------------------------------------

def deployments(rows, apply, states, policy="rolling", on_failure="halt"):
    return [rows.operation(apply, s, "NOW(6)" if s == "due" else None, deployment=f"d{i}",
                           cutover_policy=policy, on_failure=on_failure)
            for i, s in enumerate(states)]


@pytest.mark.parametrize("state", ["running", "pending", "failed_retryable", "stopped"])
@pytest.mark.parametrize("children, derived", [
    (["completed"], "completed"), (["failed"], "failed"), (["cancelled"], "cancelled"),
    (["completed", "failed"], "failed")])
def test_a_parent_that_does_not_follow(rows, idle, state, children, derived):
    apply = rows.apply(state)
    operations = deployments(rows, apply, children)
    for operation, child in zip(operations, children):
        rows.task(apply, operation, child)
    rows.request(apply, "stop")
    before = metric(idle, "operator_stale_applies_rederived_total")
    idle.reap()
    assert rows.state("applies", apply) == derived
    assert metric(idle, "operator_stale_applies_rederived_total") == before + 1
    # And what waited for its end has ended with it.
    assert rows.count("apply_control_requests", "status = 'pending'") == 0
    settled = everything(idle)
    idle.reap()
    assert everything(idle) == settled


def test_a_lost_release(rows, idle):
    """The first is done, nobody has freed the second: it becomes due, the third stays held."""
    apply = rows.apply("running", started_at="2026-01-01")
    first, second, third = deployments(rows, apply, ["completed", "pending", "pending"])
    for operation, state in ((first, "completed"), (second, "pending"), (third, "pending")):
        rows.task(apply, operation, state)
    idle.reap()
    assert rows.one("apply_operations", second)["claim_after"] is not None
    assert rows.one("apply_operations", third)["claim_after"] is None
    assert rows.state("applies", apply) == "running"


def test_parents_that_follow_are_left_alone(rows, idle):
    """Stopped and paused ones wait for people; one that changed just now may be changing."""
    stopped = rows.apply("stopped")
    rows.task(stopped, rows.operation(stopped, "stopped"), "stopped")
    paused = rows.apply("paused")
    for operation, state in zip(deployments(rows, paused, ["failed", "pending"],
                                            on_failure="pause"), ("failed", "pending")):
        rows.task(paused, operation, state)
    fresh = rows.apply("running", quiet="5 SECOND")
    rows.task(fresh, rows.operation(fresh, "completed"), "completed")
    before = everything(idle)
    idle.reap()
    assert everything(idle) == before


# ---- requests -------------------------------------------------------------------------------

@pytest.mark.parametrize("parent, verb, status", [
    ("completed", "stop", "completed"), ("completed", "cancel", "failed"),
    ("cancelled", "cancel", "completed"), ("failed", "cutover", "failed"),
    ("completed", "volume", "failed"), ("failed", "start", "failed")])
def test_requests_of_settled_applies_end(rows, idle, parent, verb, status):
    apply = rows.apply(parent)
    rows.operation(apply, parent)
    request = rows.request(apply, verb)
    idle.reap()
    row = rows.one("apply_control_requests", request)
    assert row["status"] == status and row["completed_at"] is not None
    assert bool(row["error_message"]) == (status == "failed")
    assert len(rows.logs(apply)) == 1
    idle.reap()
    assert len(rows.logs(apply)) == 1


def test_requests_are_a_batch_and_those_of_open_applies_stay(rows, idle):
    for _ in range(BATCH + 5):
        apply = rows.apply("failed")
        rows.operation(apply, "failed")
        rows.request(apply, "stop")
    running = rows.apply("running")
    rows.operation(running, "running", "NOW(6) + INTERVAL 40 SECOND", "somebody")
    mine = rows.request(running, "stop")
    idle.reap()
    assert rows.count("apply_control_requests", "status = 'pending'") == 6
    idle.reap()
    assert rows.count("apply_control_requests", "status = 'pending'") == 1
    assert rows.one("apply_control_requests", mine)["status"] == "pending"


# ---- timelines ------------------------------------------------------------------------------

def lines(rows, apply, n, age):
    rows.cursor.executemany(
        "INSERT INTO apply_logs (apply_row, event_type, message, created_at)"
        f" VALUES (%s, 'info', 'x', NOW(6) - INTERVAL {age})", [(apply,)] * n)


def test_old_timelines_of_settled_applies_go(rows, idle):
    open_one, old, young = (rows.apply(s, quiet=q) for s, q in (
        ("stopped", "100 DAY"), ("completed", "91 DAY"), ("completed", "80 DAY")))
    rows.operation(open_one, "stopped")
    rows.operation(old, "completed")
    rows.operation(young, "completed")
    lines(rows, open_one, 3, "200 DAY")
    lines(rows, young, 4, "95 DAY")
    lines(rows, old, 30 * BATCH, "92 DAY")
    lines(rows, old, 2, "10 DAY")  # written later, as it happens: younger lines end the search
    idle.reap()
    assert len(rows.logs(open_one)) == 3 and len(rows.logs(young)) == 4
    assert 0 < len(rows.logs(old)) <= 20 * BATCH + 2
    idle.reap()
    idle.reap()
    assert len(rows.logs(open_one)) == 3 and len(rows.logs(young)) == 4
    assert not rows.logs(old)
    assert metric(idle, "log_lines_removed_total") == 30 * BATCH + 2


def test_retention_is_configured(fresh_stack):
    stack = fresh_stack(conf="log_retention_days = 0;")
    stack.command("stop-cron")
    rows = Rows(stack)
    apply = rows.apply("completed", quiet="1000 DAY")
    rows.operation(apply, "completed")
    lines(rows, apply, 3, "1000 DAY")
    stack.reap()
    assert len(rows.logs(apply)) == 3
    rows.connection.close()


# ---- what engines leave on targets -------------------------------------------------------------

def shadow(rows, apply, table="users", kind="new"):
    return f"{table}~sb_{kind}_{rows.public_id(apply)[6:22]}"


def left_over(rows, state, kind="new", table="users", quiet="1 DAY", **columns):
    apply = rows.apply(state, quiet=quiet, **columns)
    operation = rows.operation(
        apply, state, None if state in (*SETTLED, "stopped") else "NOW(6) + INTERVAL 40 SECOND",
        None if state in SETTLED else "somebody")
    rows.task(apply, operation, state, table)
    name = shadow(rows, apply, table, kind)
    rows.stack.target(f"CREATE TABLE `{name}` (id int)")
    return name


def test_left_over_copies(rows, idle):
    idle.target(USERS)
    gone = [left_over(rows, s, k) for s in SETTLED for k in ("new", "old")]
    stay = [left_over(rows, "running"), left_over(rows, "stopped"),
            left_over(rows, "running", "old")]
    # Kept for two days as its apply asked; a stranger's; and names that only look so.
    stay.append(left_over(rows, "completed", "old", options='{"keep_old": "48"}'))
    gone.append(left_over(rows, "completed", "old", options='{"keep_old": "2"}'))
    for name in ("users~sb_new_ffffffffffffffff", "users_sb_new_0000000000000001",
                 "users~sb_new_00000000000000", "users~sb_tmp_0000000000000001"):
        idle.target(f"CREATE TABLE `{name}` (id int)")
        stay.append(name)
    # A plan sees nothing of those that are ours by name.
    seen = idle.plan([USERS])
    names = {c["table_name"] for g in seen["changes"] for c in g["table_changes"]}
    assert names == {"users_sb_new_0000000000000001", "users~sb_new_00000000000000",
                     "users~sb_tmp_0000000000000001"}
    idle.reap()
    assert idle.tables() == sorted(stay + ["users"])
    assert metric(idle, "leftover_tables_dropped_total") == len(gone)


def test_a_long_name_is_dropped_only_beside_its_table(rows, idle):
    long = "a" * 60
    apply = rows.apply("failed")
    rows.operation(apply, "failed")
    name = shadow(rows, apply, long[:40])
    idle.target(f"CREATE TABLE `{name}` (id int)")
    idle.reap()
    assert idle.tables() == [name]
    idle.target(f"CREATE TABLE `{long}` (id int)")
    idle.reap()
    assert idle.tables() == [long]


def test_a_table_that_somebody_works_on_is_left(rows, idle):
    """The lock of the original is held: whatever storage says, its connection is alive."""
    idle.target(USERS)
    name = left_over(rows, "failed")
    other = idle.connect()
    with other.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(CONCAT('sb_', LEFT(SHA2(CONCAT('shop_staging', CHAR(0),"
                       " 'users'), 256), 56)), 5) AS l")
        assert cursor.fetchall() == [{"l": 1}]
        idle.reap()
        assert name in idle.tables()
    other.close()
    idle.until(lambda: idle.reap() or name not in idle.tables(), "it is dropped later")


def test_a_target_that_is_away_is_passed_over(fresh_stack):
    stack = fresh_stack(conf="""databases = { gone = { type = "mysql"; environments = {
        staging = { host = "127.0.0.1"; port = 1; user = "x"; password = "@TARGET_PASSWORD@"; };
    }; }; };""")
    stack.command("stop-cron")
    rows = Rows(stack)
    stack.target(USERS)
    name = left_over(rows, "failed")
    stack.reap()
    assert name not in stack.tables()
    rows.connection.close()


# ---- wedged ---------------------------------------------------------------------------------

def test_wedged_is_zero_in_health(stack):
    stack.run([USERS])
    assert metric(stack, "wedged_operations") == 0


@pytest.mark.parametrize("state, due, wedged", [
    ("running", "NOW(6) - INTERVAL 3 MINUTE", 1), ("running", "NOW(6) - INTERVAL 1 MINUTE", 0),
    ("running", "NOW(6) + INTERVAL 1 MINUTE", 0)])
def test_what_nobody_claims_is_wedged(rows, idle, state, due, wedged):
    apply = rows.apply(state)
    rows.operation(apply, state, due)
    assert metric(idle, "wedged_operations") == wedged
    done = idle.binary("schemabot-reaper")
    assert ("is a scheduler running" in done.stderr) == bool(wedged)


def test_an_open_apply_without_anything_to_claim_is_wedged(rows, idle):
    rows.operation(rows.apply("running"), "stopped")
    assert metric(idle, "wedged_operations") == 1


def test_metrics_of_outcomes(rows, idle):
    """What SEMANTICS J names and rows can tell."""
    def value(name, **labels):
        text = urllib.request.urlopen(idle.metrics_url, timeout=20).read().decode()
        found = [line.rpartition(" ")[2] for line in text.splitlines()
                 if line.startswith(f"schemabot_{name}{{")
                 and all(f'{k}="{v}"' in line for k, v in labels.items())]
        assert len(found) == 1, (name, labels, found)
        return float(found[0])

    pending = rows.apply("pending", database_name="shop")
    rows.operation(pending, "pending", "NOW(6) - INTERVAL 61 SECOND")
    assert value("operator_stuck_pending_applies") == 1
    for code, reason in (("retry_exhausted", "retry_budget_exhausted"),
                         ("deployment_not_found", "missing_deployment")):
        apply = rows.apply("failed", database_name=f"m_{reason}")
        rows.operation(apply, "failed", error_code=code)
        assert value("operation_failures_total", error_code=code) == 1
        assert value("operator_resume_failures_total", reason=reason) == 1
    for seconds in (1, 40, 4000):
        apply = rows.apply("completed", quiet="2 HOUR", database_name="slow")
        rows.run("UPDATE applies SET started_at = completed_at - INTERVAL %s SECOND WHERE id = %s",
                 (seconds, apply))
    of = {"database": "slow", "status": "success"}
    assert value("apply_last_day_duration_seconds", stat="average", **of) == 1347
    assert value("apply_last_day_duration_seconds", stat="longest", **of) == 4000


# ---- crashes --------------------------------------------------------------------------------

def mess(rows):
    """Something for every duty."""
    stack = rows.stack
    retrying(rows, due="NOW(6)")
    orphan = rows.apply("failed", error_message="boom")
    rows.task(orphan, rows.operation(orphan, "pending"), "pending")
    rows.request(orphan, "cancel")
    stale = rows.apply("running")
    rows.task(stale, rows.operation(stale, "completed"), "completed")
    old = rows.apply("completed", quiet="100 DAY")
    rows.task(old, rows.operation(old, "completed"), "completed")
    lines(rows, old, 5, "100 DAY")
    stack.target(USERS)
    left_over(rows, "failed")
    stack.sql("CREATE DATABASE `_schemabot_20200101000000_0123456789abcdef`")
    stack.sql("CREATE DATABASE IF NOT EXISTS `_schemabot_drops`")
    stack.sql("CREATE TABLE `_schemabot_drops`.`20200101000000000_t` (id int)")
    stack.sql("CREATE DATABASE IF NOT EXISTS `_schemabot_state`")
    stack.sql("CREATE TABLE `_schemabot_state`.`checkpoints` (schema_name varchar(64) NOT NULL,"
              " table_name varchar(64) NOT NULL, operation varchar(160) NOT NULL,"
              " lease_token bigint unsigned NOT NULL, apply_id varchar(64) NOT NULL,"
              " statement longtext NOT NULL, connection_id bigint unsigned NOT NULL,"
              " updated_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),"
              " PRIMARY KEY (schema_name, table_name))")
    stack.sql("INSERT INTO `_schemabot_state`.`checkpoints` (schema_name, table_name, operation,"
              " lease_token, apply_id, statement, connection_id)"
              " VALUES ('shop_staging', 'users', %s, 1, 'x', '', 1)",
              (f"{rows.public_id(orphan)}/default",))


def check_tidy(stack):
    """Nothing is left for any duty, and nothing is broken."""
    open_rows = stack.storage("SELECT state FROM applies WHERE state NOT IN %s", (SETTLED,))
    assert not open_rows
    assert not stack.storage("SELECT id FROM apply_operations WHERE state NOT IN %s OR"
                             " claim_after IS NOT NULL OR lease_owner IS NOT NULL", (SETTLED,))
    assert not stack.storage("SELECT id FROM tasks WHERE state NOT IN %s", (SETTLED,))
    assert not stack.storage("SELECT id FROM apply_control_requests WHERE status = 'pending'")
    assert not stack.storage("SELECT id FROM apply_logs WHERE created_at < NOW() - INTERVAL 90 DAY")
    assert stack.tables() == ["users"]
    assert not [d for d in stack.databases() if d.startswith("_schemabot_2")]
    assert not stack.sql("SELECT table_name FROM information_schema.tables"
                         " WHERE table_schema = '_schemabot_drops'")
    assert not stack.sql("SELECT * FROM `_schemabot_state`.`checkpoints`")


def connections(stack):
    """Those of our programs."""
    return {row["id"] for row in stack.sql(
        "SELECT id AS id FROM information_schema.processlist WHERE user LIKE 'sb\\_%'")}


def pass_over_mess(stack, **env):
    """As new, something for every duty, and one pass; how it ended."""
    stack.reset()
    stack.command("stop-cron")
    rows = Rows(stack)
    mess(rows)
    rows.connection.close()
    before = connections(stack)
    done = stack.binary("schemabot-reaper", env=env)
    # Until then a dead one's locks are held, and the next pass leaves what they are on.
    stack.until(lambda: connections(stack) <= before, "the server has seen it go")
    return done


def next_pass_puts_right(stack):
    # The lease of a reaper that died is over after a minute.
    stack.storage("UPDATE apply_operations SET claim_after = NOW(6) - INTERVAL 1 SECOND"
                  " WHERE lease_owner IS NOT NULL")
    stack.reap()
    check_tidy(stack)
    done = stack.binary("schemabot-reaper")
    events = {json.loads(line)["event"] for line in done.stderr.splitlines()}
    assert not {e for e in events if e.startswith("reaper.")}, done.stderr
    invariants.check(stack)


def test_a_crash_at_any_passage_is_put_right_by_the_next_pass(idle):
    """Of every fault point that a pass has, the first three passages."""
    log = idle.dir / "reaper-points"
    assert pass_over_mess(idle, SB_FAULT_LOG=str(log)).returncode == 0
    check_tidy(idle)
    passed = [line.split()[-1] for line in log.read_text().splitlines()]
    log.unlink()
    points = {p: min(3, passed.count(p)) for p in passed if not p.startswith("db.commit.lost")}
    assert len(points) > 12, points
    for point, n in points.items():
        for nth in range(1, n + 1):
            done = pass_over_mess(idle, SB_FAULT=f"{point}:crash@{nth}")
            assert done.returncode == -9, f"{point}@{nth}: {done.stderr[-2000:]}"
            next_pass_puts_right(idle)


@pytest.mark.parametrize("point", ["db.commit.lost_before", "db.commit.lost_after"])
def test_a_lost_commit_is_put_right_by_the_next_pass(idle, point):
    for nth in range(1, 6):
        pass_over_mess(idle, SB_FAULT=f"{point}:drop@{nth}")
        next_pass_puts_right(idle)


def test_a_pass_touches_nothing_that_is_leased(rows, idle):
    """All of it again, with a lease on every operation."""
    mess(rows)
    rows.run("UPDATE apply_operations SET lease_owner = 'somebody',"
             " claim_after = NOW(6) + INTERVAL 50 SECOND WHERE state NOT IN %s", (SETTLED,))
    leased = "SELECT * FROM apply_operations WHERE lease_owner = 'somebody' ORDER BY id"
    before = idle.storage(leased)
    assert len(before) == 2
    idle.reap()
    assert idle.storage(leased) == before


def test_reapers_of_several_hosts_at_once(rows, idle):
    """Each host runs one; what one has in hand the others leave."""
    for _ in range(20):
        retrying(rows, due="NOW(6)")
        orphan = rows.apply("failed", error_message="boom")
        rows.task(orphan, rows.operation(orphan, "pending"), "pending")
        rows.request(orphan, "cancel")
    mess(rows)
    hosts = []
    for i in range(4):
        config = idle.dir / f"host{i}.conf"
        config.write_text(idle.config.read_text().replace(str(idle.run_dir),
                                                          str(idle.dir / f"run{i}")))
        config.chmod(0o600)
        hosts.append(subprocess.Popen([idle.bin / "schemabot-reaper", "--config", config],
                                      env=Stack(idle.dir).environment(faults=False)))
    assert [host.wait(60) for host in hosts] == [0] * len(hosts)
    idle.reap()
    check_tidy(idle)
    # Each was given up once: one line of the timeline tells so.
    told = idle.storage("SELECT apply_row, COUNT(*) AS n FROM apply_logs WHERE event_type ="
                        " 'state_transition' AND new_state = 'failed' AND message LIKE 'Apply:%'"
                        " GROUP BY apply_row HAVING n > 1")
    assert not told
