"""
test_clock.py - one host's clock is an hour off, in either direction: leases, retries and
progress do not notice, because only the database's clock counts (DESIGN.md 3).

libfaketime shifts the wall clock of every process of that host: workers, scheduler, reaper,
drivers; the monotonic clock, which waits and watchdogs use, stays as it is.
"""
import glob

import pytest
from lib import invariants, procs

TABLE = "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id))"
WIDE = "CREATE TABLE t (id int NOT NULL, extra int NULL, PRIMARY KEY (id))"


def library():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert found, "libfaketime is not installed (run: etc/dev/deps test)"
    return found[0]


@pytest.fixture(params=["+3600", "-3600"], ids=["ahead", "behind"])
def host(request, stack):
    """The stack's only host, an hour off."""
    stack.shift = {"LD_PRELOAD": library(), "FAKETIME": request.param,
                   "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    for part, preload in (("cron", "SB_PRELOAD"), ("app", "LD_PRELOAD")):
        stack.command(f"restart-{part}", *[
            x for name, value in stack.shift.items()
            for x in ("--env", f"{name.replace('LD_PRELOAD', preload)}={value}")])
    yield stack
    for part in ("cron", "app"):
        stack.command(f"restart-{part}")


def operation(stack):
    return stack.storage(
        "SELECT state, attempt, lease_token, lease_owner, TIMESTAMPDIFF(SECOND, NOW(6), claim_after)"
        " AS due, TIMESTAMPDIFF(SECOND, lease_acquired_at, NOW(6)) AS held,"
        " TIMESTAMPDIFF(SECOND, failed_at, NOW(6)) AS failed FROM apply_operations")[0]


def in_use(stack):
    connection = stack.connect("shop_staging")
    connection.autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM t")
    return connection


def test_a_lease_is_the_databases(host):
    """Begun, beaten for, handed over after a death: no lease is too old or too young."""
    host.target(TABLE)
    with in_use(host):
        apply_id = host.apply(host.plan([WIDE]))
        host.until(lambda: host.storage("SELECT id FROM tasks WHERE state = 'running'"), "it runs")
        assert procs.environment_of(host.wait_driver()).get("FAKETIME"), "whose clock is off"
        seen = operation(host)
        assert 0 < seen["due"] <= 60 and 0 <= seen["held"] < 30
        beaten = host.storage("SELECT claim_after FROM apply_operations")
        host.until(lambda: host.storage("SELECT claim_after FROM apply_operations") != beaten,
                   "a heartbeat")
        assert 50 < operation(host)["due"] <= 60
        host.reap(env=host.shift)
        assert operation(host)["lease_token"] == 1, "somebody took a living lease"
        host.kill(host.drivers())
        host.until(lambda: operation(host)["lease_token"] == 2, "a successor", 40)
    done = host.wait_state(apply_id, "completed")
    times = host.storage("SELECT ABS(TIMESTAMPDIFF(SECOND, started_at, NOW(6))) AS a,"
                         " ABS(TIMESTAMPDIFF(SECOND, completed_at, NOW(6))) AS b FROM applies")[0]
    assert times["a"] < 120 and times["b"] < 60 and done["state"] == "completed"
    assert host.storage("SELECT MAX(ABS(TIMESTAMPDIFF(SECOND, created_at, NOW(6)))) AS s"
                        " FROM apply_logs")[0]["s"] < 120
    invariants.check_rest(host)


def test_a_retry_waits_its_time(host):
    """Backoff and the one-day window: neither at once nor an hour late, and not given up."""
    host.target(TABLE)
    plan = host.plan([WIDE])
    host.arm("schemabot-driver/engine.mysql.ddl.before:error@*")
    apply_id = host.apply(plan)
    waiting = {"state": "failed_retryable", "attempt": 2, "lease_owner": None}
    host.until(lambda: waiting.items() <= operation(host).items(), "two retries failed at once")
    seen = operation(host)
    assert 0 <= seen["due"] <= 15 and 0 <= seen["failed"] < 15
    host.disarm()
    host.storage("UPDATE apply_operations SET failed_at = NOW(6) - INTERVAL 1410 MINUTE,"
                 " claim_after = NOW(6) + INTERVAL 1 HOUR")
    host.reap(env=host.shift)
    assert host.progress(apply_id)["state"] == "failed_retryable", "given up half an hour early"
    host.storage("UPDATE apply_operations SET claim_after = NOW(6)")
    host.wait_state(apply_id, "completed")
