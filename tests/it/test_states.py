"""
test_states.py - every state that is neither settled nor stopped is recoverable (#302, ST-8).

A row is put into each state of state.def, its driver gone; a driver that claims it has to
bring the change to its end, on an engine of each kind. Which rows may exist at all and who
claims them when is test_states.c.
"""
import re

import pytest

from lib import invariants, places

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
ORDERS = "CREATE TABLE orders (id bigint NOT NULL, PRIMARY KEY (id))"
STATES = dict(re.findall(
    r'^STATE\(\w+,\s*"(\w+)",\s*(\w+),',
    (places.ROOT / "core/model/state.def").read_text(encoding="utf-8"), re.MULTILINE))
DRIVEN = [name for name, kind in STATES.items() if kind in ("WAITING", "ACTIVE", "RETRYABLE")]


@pytest.mark.parametrize("database", ["shop", "resident"])
def test_a_row_in_any_state_is_brought_to_its_end(stack, database):
    """Of an engine that lives in its driver: whatever the row says, nothing works any more."""
    assert len(DRIVEN) > 15
    stack.command("stop-cron")
    try:
        stack.kill(stack.drivers())
        for state in DRIVEN:
            apply_id = stack.apply(stack.plan([USERS, ORDERS], database=database))
            stack.storage("UPDATE applies SET state = %s WHERE apply_id = %s", (state, apply_id))
            stack.storage(
                "UPDATE apply_operations SET state = %s, lease_owner = 'gone/1/driver',"
                " lease_token = 3, started_at = NOW(6), claim_after = NOW(6), failed_at = NOW(6)"
                " WHERE state = 'pending'", (state,))
            stack.storage("UPDATE tasks SET state = %s, started_at = NOW(6)"
                          " WHERE state = 'pending' AND seq = 1", (state,))
            done = stack.binary("schemabot-driver")
            seen = stack.progress(apply_id)
            assert seen["state"] == "completed", (state, seen, done.stderr)
            schema = f"{database}_staging"
            assert {row["t"] for row in stack.sql(
                "SELECT table_name AS t FROM information_schema.tables WHERE table_schema = %s",
                (schema,))} == {"users", "orders"}, state
            for table in ("users", "orders"):
                stack.sql(f"DROP TABLE {schema}.{table}")
        invariants.check(stack)
    finally:
        stack.command("restart-cron")


@pytest.mark.parametrize("kind", ["settled", "stopped"])
def test_what_is_at_rest_stays_at_rest(stack, kind):
    """No driver and no reaper touches it."""
    apply_id = stack.apply(stack.plan([USERS]))
    stack.wait_state(apply_id, "completed")
    names = [n for n, c in STATES.items() if c.lower() == kind]
    assert names
    for state in names:
        for table in ("applies", "apply_operations", "tasks"):
            stack.storage(f"UPDATE {table} SET state = %s", (state,))
        before = [stack.storage(f"SELECT * FROM {t}") for t in
                  ("applies", "apply_operations", "tasks", "apply_logs")]
        assert stack.binary("schemabot-driver").returncode == 0
        stack.reap()
        assert before == [stack.storage(f"SELECT * FROM {t}") for t in
                          ("applies", "apply_operations", "tasks", "apply_logs")]
