"""
test_crash_points.py - kill -9 at every named point of a drive (DESIGN.md 8.1).

The points are not listed here: a run with SB_FAULT_LOG tells which ones an apply passes, in
the scheduler, the driver and the reaper, and each of them is then crashed at, once, in an
apply of its own. However it dies, the change is completed exactly once.
"""
BEFORE = ["CREATE TABLE a (id int NOT NULL, PRIMARY KEY (id))",
          "CREATE TABLE b (id int NOT NULL, PRIMARY KEY (id))"]
AFTER = [t.replace("id int NOT NULL", "id int NOT NULL, extra int NULL") for t in BEFORE]


def check_invariants(stack, apply_id):
    """What must be true however the processes died."""
    assert "extra" in stack.create_table("a") and "extra" in stack.create_table("b")
    row = stack.storage("SELECT state, claim_after, lease_owner FROM apply_operations")[-1]
    assert (row["state"], row["claim_after"], row["lease_owner"]) == ("completed", None, None)
    states = stack.storage("SELECT DISTINCT state FROM tasks")
    assert states == [{"state": "completed"}]
    finished = stack.storage("SELECT task_id, COUNT(*) AS n FROM apply_logs WHERE event_type ="
                             " 'task_update' AND new_state = 'completed' GROUP BY task_id")
    assert len(finished) == 2 and all(r["n"] == 1 for r in finished)
    assert not stack.plan(AFTER)["changes"] or \
        not any(c["table_changes"] for c in stack.plan(AFTER)["changes"])
    assert stack.progress(apply_id)["state"] == "completed"


def one_apply(stack):
    for statement in BEFORE:
        stack.target(statement)
    return stack.apply(stack.plan(AFTER))


def passed_points(stack):
    with stack.faults("none:crash") as faults:
        stack.wait_state(one_apply(stack), "completed")
        stack.until(lambda: not stack.drivers(), "the driver ends")
        points = sorted(set(faults.passed()))
    stack.reset()
    return points


def test_kill_9_at_every_point(stack):
    points = passed_points(stack)
    assert len(points) > 15, points
    for point in points:
        with stack.faults(f"{point}:crash") as faults:
            apply_id = one_apply(stack)
            stack.wait_state(apply_id, "completed", deadline=120)
            assert faults.fired(point), f"{point} was not reached"
        check_invariants(stack, apply_id)
        stack.reset()


def test_a_lost_commit_is_looked_at_again(stack):
    """The connection dies before or after COMMIT reached the server: both are found out."""
    for point in ("db.commit.lost_before", "db.commit.lost_after"):
        for n in (1, 2, 3, 4):
            with stack.faults(f"{point}:drop@{n}"):
                apply_id = one_apply(stack)
                stack.wait_state(apply_id, "completed", deadline=120)
            check_invariants(stack, apply_id)
            stack.reset()
