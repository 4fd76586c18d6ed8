"""
test_two_hosts.py - two hosts' schedulers on one storage never drive one operation twice
(DESIGN.md 8.2). Many applies on both environments, two cron stand-ins with a run_dir each.
"""
ROUNDS = 12


def table(i, wide):
    extra = ", extra int NULL" if wide else ""
    return f"CREATE TABLE t{i} (id int NOT NULL{extra}, PRIMARY KEY (id))"


def test_two_hosts_never_drive_one_operation_twice(fresh_stack):
    stack = fresh_stack()
    stack.command("host", "second")
    for environment in ("staging", "production"):
        stack.run([table(0, False), table(1, False)], environment)
    applies = []
    for i in range(ROUNDS):
        files = [table(0, i % 2 == 0), table(1, i % 2 == 0)]
        batch = []
        for environment in ("staging", "production"):
            batch.append(stack.apply(stack.plan(files, environment), allow_unsafe=True))
        for apply_id in batch:
            stack.wait_state(apply_id, "completed")
        applies += batch
    rows = stack.storage("SELECT lease_token, attempt, deaths, lease_owner FROM apply_operations")
    assert len(rows) == len(applies) + 2
    # One claim each: a second driver would have raised the token.
    assert {(r["lease_token"], r["attempt"], r["deaths"]) for r in rows} == {(1, 0, 0)}
    # Each statement was moved once, by that claim.
    twice = stack.storage("SELECT task_id FROM apply_logs WHERE event_type = 'task_update'"
                          " AND new_state = 'completed' GROUP BY task_id HAVING COUNT(*) > 1")
    assert not twice
