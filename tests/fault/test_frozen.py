"""
test_frozen.py - a process is frozen past its lease and woken when somebody else has the
claim: it writes nothing and publishes nothing (DESIGN.md 8.2).

It freezes itself (SIGSTOP) at a fault point, the lease is made to end, a successor finishes
the work, everything is photographed, and then it is woken. Real windows: test_storage_lost.
"""
import contextlib
import signal
import subprocess

import pytest
from lib import invariants, procs
from lib.crash import points_in_the_sources
from lib.stack import Stack

TABLES = ("a", "b")
BEFORE = [f"CREATE TABLE {t} (id int NOT NULL, PRIMARY KEY (id))" for t in TABLES]
AFTER = [t.replace("id int NOT NULL", "id int NOT NULL, extra int NULL") for t in BEFORE]
DRIVER = [(point, n) for n in (1, 2) for point in (
    "drive.opened", "drive.start.before", "drive.start.after", "db.commit.after",
    "engine.mysql.ddl.before", "engine.mysql.ddl.after")]
# Before there is a second one, and within a transaction: its row lock ends with the silence.
DRIVER += [("drive.claimed", 1), ("engine.mysql.open.locked", 1), ("db.commit.before", 1),
           ("task.move", 2)]


def frozen(stack, program):
    """Pid of the process of that name that has frozen itself, or None."""
    return next((pid for pid in stack.processes(program) if procs.is_stopped(pid)), None)


def photograph(stack):
    """Every row of storage and every table of the target."""
    rows = {t: stack.storage(f"SELECT * FROM `{t}` ORDER BY id")
            for t in ("applies", "apply_operations", "tasks", "apply_logs",
                      "apply_control_requests")}
    return rows, [stack.create_table(t) for t in TABLES]


def wake(stack, pid):
    """Let it go on and see it end."""
    stack.kill(pid, signal.SIGCONT)
    stack.until(lambda: procs.start_time(pid) is None, "the woken one ends")


def take_over(stack, apply_id, pid):
    """The frozen one's lease ends, and somebody else claims."""
    token = stack.storage("SELECT lease_token FROM apply_operations")[0]["lease_token"]

    def claimed():
        stack.expire_lease(apply_id)
        return stack.storage("SELECT lease_token FROM apply_operations")[0][
            "lease_token"] > token
    # Storage gives up the row locks of a transaction that was frozen in the middle.
    stack.until(claimed, "a successor claims")
    assert procs.is_stopped(pid)


def freeze_driver(stack, plan, point, n):
    """Apply the plan with a driver that freezes at the n-th passage of a point, and is succeeded
    while it is frozen: the apply's id, and the frozen process's."""
    fault = stack.arm(f"schemabot-driver/{point}:stop@{n}")
    apply_id = stack.apply(plan)
    pid = stack.until(lambda: frozen(stack, "schemabot-driver"), f"at {point}")
    stack.disarm()
    assert fault.fired(point, "stop")
    take_over(stack, apply_id, pid)
    return apply_id, pid


@pytest.mark.parametrize("point, n", DRIVER)
def test_a_frozen_driver_is_woken_too_late(attended, stack, point, n):
    assert point in points_in_the_sources()
    for statement in BEFORE:
        stack.target(statement)
    plan = stack.plan(AFTER)
    apply_id, pid = freeze_driver(stack, plan, point, n)
    stack.wait_state(apply_id, "completed")
    before = photograph(stack)
    wake(stack, pid)
    assert photograph(stack) == before, f"woken at {point}, it wrote"
    invariants.check_rest(stack)


def test_a_frozen_scheduler_is_woken_too_late(attended, stack):
    """It was about to hand a dead driver's claim back; by then somebody else has it."""
    for statement in BEFORE:
        stack.target(statement)
    plan = stack.plan(AFTER)
    stack.arm("schemabot-driver/drive.start.after:crash",
              "schemabot-scheduler/db.write.before:stop")
    apply_id = stack.apply(plan)
    pid = stack.until(lambda: frozen(stack, "schemabot-scheduler"), "it is frozen")
    stack.disarm()
    stack.expire_lease(apply_id)
    assert stack.binary("schemabot-driver").returncode == 0
    assert stack.progress(apply_id)["state"] == "completed"
    before = photograph(stack)
    stack.kill(pid, signal.SIGCONT)
    stack.until(lambda: not procs.is_stopped(pid), "it is awake")
    # A later apply shows that it is at work again; then the first one is as it was.
    stack.wait_state(stack.apply(stack.plan([BEFORE[0], AFTER[1]]), allow_unsafe=True),
                     "completed")
    rows = {table: [r for r in after if r in before[0][table]]
            for table, after in photograph(stack)[0].items()}
    assert rows == before[0]


@pytest.mark.parametrize("point", ["reap.expired.taken", "db.commit.after",
                                   "drive.settle.before_commit"])
def test_a_frozen_reaper_is_woken_too_late(attended, stack, point):
    """It was giving up a retry; another pass has done so since."""
    for statement in BEFORE:
        stack.target(statement)
    plan = stack.plan(AFTER)
    stack.arm("schemabot-driver/engine.mysql.ddl.before:error@*")
    apply_id = stack.apply(plan)
    stack.until(lambda: stack.storage(
        "SELECT id FROM apply_operations WHERE state = 'failed_retryable' AND attempt >= 2"
        " AND lease_owner IS NULL"), "it waits for its next try")
    # Due so late that no driver comes between.
    stack.storage("UPDATE apply_operations SET attempt = 10,"
                  " claim_after = NOW(6) + INTERVAL 1 HOUR")
    stack.arm("schemabot-driver/engine.mysql.ddl.before:error@*",
              f"schemabot-reaper/{point}:stop")
    with contextlib.closing(open(stack.dir / "logs" / "reaper.log", "ab")) as log:
        reaper = subprocess.Popen(
            [stack.bin / "schemabot-reaper", "--config", stack.config], stderr=log,
            env={**Stack(stack.dir).environment(), procs.MARKER: str(stack.dir),
                 "SB_IDLE_SECONDS": "2"})
    stack.until(lambda: frozen(stack, "schemabot-reaper"), "it is frozen")
    # Another host's reaper: this one's lock file is taken.
    token = stack.storage("SELECT lease_token FROM apply_operations")[0]["lease_token"]

    def given_up():
        stack.expire_lease(apply_id)
        stack.binary("schemabot-driver")
        return stack.progress(apply_id)["state"] == "failed"
    stack.until(given_up, "somebody else gives it up")
    before = photograph(stack)
    assert before[0]["apply_operations"][0]["lease_token"] > token
    reaper.send_signal(signal.SIGCONT)
    reaper.wait(60)
    assert photograph(stack) == before
