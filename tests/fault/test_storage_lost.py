"""
test_storage_lost.py - our storage is away for 90 s in the middle of four drives
(DESIGN.md 3, 4 and 8.5), on a server of its own, so that the targets stay.

  shop/staging       the statement ends on the target meanwhile
  shop/production    its driver is frozen, and woken after somebody else has the claim
  resident/staging   still at work when 45 s are over: halted before its lease expires
  fakeshop/staging   an external change, which completes with nobody looking
"""
import contextlib
import signal
import time

from lib import invariants

AWAY_SECONDS = 90
FENCED_BY = 52  # SELF_FENCE_SECONDS and the time that halting may take
TABLE = "CREATE TABLE t (id int NOT NULL, PRIMARY KEY (id))"
WIDE = "CREATE TABLE t (id int NOT NULL, extra int NULL, PRIMARY KEY (id))"


@contextlib.contextmanager
def in_use(stack, schema):
    """A transaction that has read the table: an ALTER has to wait."""
    connection = stack.connect(schema)
    connection.autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM t")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def has_changed(stack, schema):
    return bool(stack.sql("SELECT 1 FROM information_schema.columns WHERE table_schema = %s"
                          " AND table_name = 't' AND column_name = 'extra'", (schema,)))


def begin(stack, database, environment="staging"):
    """An apply of which a task runs."""
    stack.sql(TABLE, None, f"{database}_{environment}")
    plan = stack.plan([WIDE], environment, database=database)

    def start():
        apply_id = stack.apply(plan)
        stack.until(lambda: stack.storage(
            "SELECT t.id FROM tasks t JOIN applies a ON a.id = t.apply_row"
            " WHERE a.apply_id = %s AND t.state = 'running'", (apply_id,)), "a task runs")
        return apply_id
    return start


def driver_of(stack, apply_id):
    owner = stack.storage("SELECT lease_owner, lease_token FROM apply_operations o JOIN applies"
                          " a ON a.id = o.apply_row WHERE apply_id = %s", (apply_id,))[0]
    pid = (owner["lease_owner"] or "/0").rsplit("/", 1)[1]
    return int(pid), owner["lease_token"]


def test_storage_away_for_90_seconds(fresh_stack):
    stack = fresh_stack(split=True)
    stack.fake.script({"call": "poll", "hold": "running"})
    starts = [begin(stack, *where) for where in (
        ("shop", "production"), ("resident",), ("fakeshop",), ("shop", "staging"))]
    with contextlib.ExitStack() as production, contextlib.ExitStack() as staging:
        production.enter_context(in_use(stack, "shop_production"))
        staging.enter_context(in_use(stack, "shop_staging"))
        frozen, resident, external, ours = (start() for start in starts)
        sleeper, sleepers_token = driver_of(stack, frozen)
        stack.kill(sleeper, signal.SIGSTOP)

        stack.command("stop-db", "--storage", "--kill")
        went = time.monotonic()

        def at(second):
            """Wait for that second of the outage; the API says all the time how it is."""
            while time.monotonic() - went < second:
                assert stack.api.get("/livez").status == 200
                health = stack.api.get("/health")
                assert (health.status, health.error_code) == (503, "storage_error")
                time.sleep(1)

        at(10)
        assert stack.post_plan([WIDE]).status == 503
        staging.close()
        stack.until(lambda: has_changed(stack, "shop_staging"), "the engine goes on", 30)
        stack.fake.finish(external)
        at(35)
        assert len(stack.drivers()) >= 2, "a driver gave up long before its lease expires"
        at(FENCED_BY)
        assert stack.drivers() == [sleeper], "drivers outlive the right to drive"
        calls = len(stack.fake.calls())
        stack.fake.release("running")
        at(AWAY_SECONDS)
        assert len(stack.fake.calls()) == calls and not has_changed(stack, "resident_staging")
        production.close()

        stack.command("start-db", "--storage")
    stack.until(lambda: driver_of(stack, frozen)[1] > sleepers_token, "the claim is taken", 30)
    stack.kill(sleeper, signal.SIGCONT)
    stack.until(lambda: sleeper not in stack.drivers(), "the woken one ends", 30)
    for apply_id in (frozen, resident, external, ours):
        stack.wait_state(apply_id, "completed")
    for schema in ("shop_staging", "shop_production", "resident_staging", "fakeshop_staging"):
        assert has_changed(stack, schema), schema
    assert len(stack.fake.created(external)) == 1
    late = stack.storage(
        "SELECT l.message FROM apply_logs l JOIN apply_logs s ON s.apply_row = l.apply_row"
        " AND s.lease_token > l.lease_token AND s.id < l.id WHERE l.lease_token > 0")
    assert not late, f"written by somebody who had lost the claim: {late}"
    invariants.check_rest(stack)
