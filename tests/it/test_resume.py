"""
test_resume.py - grouped resume (SEMANTICS E, #199, #265) and parking, with an engine that
fails in every way that one can: drivers die, answers and state are lost, the engine lies.

In each of these the change exists once at the engine, is made once on the target, and an
apply is settled only by what was observed.
"""
import json
import os
import re
import signal
import urllib.request

import pytest

from lib import procs

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
ORDERS = "CREATE TABLE orders (id bigint NOT NULL, PRIMARY KEY (id))"
WIDE = [t.replace("NOT NULL,", "NOT NULL, extra int DEFAULT NULL,", 1) for t in (USERS, ORDERS)]
SETUP = ["preparing_branch", "applying_branch_changes", "validating_branch",
         "creating_deploy_request", "validating_deploy_request"]
HOLD = {"call": "poll", "hold": "running"}


def begin(stack, *rules, database="fakeshop", files=None, **options):
    """Two tables to be changed in one call, by this script; the apply."""
    for statement in (USERS, ORDERS):
        stack.sql(statement, None, f"{database}_staging")
    stack.fake.script(*rules)
    return stack.apply(stack.plan(files or WIDE, database=database), **options)


def operation(stack, apply_id):
    return stack.storage("SELECT o.* FROM apply_operations o JOIN applies a ON a.id = o.apply_row"
                         " WHERE a.apply_id = %s", (apply_id,))[0]


def tasks(stack, apply_id):
    return {t["table_name"]: t for t in stack.storage(
        "SELECT t.* FROM tasks t JOIN applies a ON a.id = t.apply_row WHERE a.apply_id = %s",
        (apply_id,))}


def extended(stack, database="fakeshop"):
    return [r["t"] for r in stack.sql(
        "SELECT table_name AS t FROM information_schema.columns WHERE table_schema = %s"
        " AND column_name = 'extra' ORDER BY 1", (f"{database}_staging",))]


def wait_polls(stack, more=1):
    """Until the engine was asked so many times more; the last entry."""
    enough = len(stack.fake.calls("poll")) + more
    stack.until(lambda: len(stack.fake.calls("poll")) >= enough, "the engine is looked at")
    return stack.fake.calls("poll")[-1]


def parked(stack, apply_id):
    row = operation(stack, apply_id)
    return row["lease_owner"] is None and row["claim_after"] is not None


def wait_parked(stack, apply_id):
    stack.until(lambda: stack.fake.calls("poll") and parked(stack, apply_id), "it is parked")


def look_now(stack, apply_id):
    """A parked operation is due."""
    stack.storage("UPDATE apply_operations SET claim_after = NOW(6) WHERE lease_owner IS NULL"
                  " AND claim_after IS NOT NULL AND apply_row ="
                  " (SELECT id FROM applies WHERE apply_id = %s)", (apply_id,))


def completed_once(stack, apply_id, database="fakeshop", changes=1):
    done = stack.wait_state(apply_id, "completed")
    assert extended(stack, database) == ["orders", "users"]
    assert len(stack.fake.created(apply_id)) == changes
    return done


# ---- a group is one call ------------------------------------------------------------------


def test_all_tables_of_an_external_engine_go_in_one_call(stack):
    apply_id = begin(stack, HOLD)
    wait_polls(stack)
    assert sorted(stack.fake.calls("start")[0]["tables"]) == ["orders", "users"]
    stack.fake.release("running")
    completed_once(stack, apply_id)
    assert len(stack.fake.calls("start")) == 1


def test_the_predicate_of_dispatch_and_resume_is_one(stack):
    """Stopped and started again, the same tables go together; in sequence without it."""
    for options in ({"defer_cutover": True}, {}):
        apply_id = begin(stack, HOLD, database="resident", **options)
        stack.until(lambda: tasks(stack, apply_id)["users"]["state"] == "running"
                    or tasks(stack, apply_id)["orders"]["state"] == "running", "it runs")
        stack.control("stop", apply_id).expect(200)
        stack.wait_state(apply_id, "stopped")
        stack.control("start", apply_id).expect(200)
        stack.until(lambda: len(stack.fake.calls("start", apply=apply_id)) == 2, "it starts again")
        first, second = stack.fake.calls("start", apply=apply_id)
        assert first["tables"] == second["tables"]
        assert len(first["tables"]) == (2 if options else 1)
        stack.control("cancel", apply_id).expect(200)
        stack.wait_state(apply_id, "cancelled")
        stack.reset()


# ---- drivers die ---------------------------------------------------------------------------


@pytest.mark.parametrize("point", [
    "engine.fake.open.after", "engine.fake.prepare.after", "drive.start.before",
    "engine.fake.start.before", "engine.fake.start.after", "drive.start.after",
    "drive.accepted.saved", "engine.fake.poll.before", "engine.fake.poll.after",
    "drive.park.before", "drive.parked", "engine.fake.attach.after", "drive.attached"])
def test_kill_9_at_any_point_creates_one_change(stack, point):
    """However the driver dies, its successor takes up what is there, or starts what is not."""
    with stack.faults(f"{point}:crash") as faults:
        apply_id = begin(stack, HOLD)
        stack.until(lambda: faults.fired(point), f"the driver dies at {point}")
        stack.until(lambda: stack.fake.created(apply_id), "the change is created")
        wait_polls(stack)
        assert len(stack.fake.created(apply_id)) == 1
        stack.fake.release("running")
        completed_once(stack, apply_id)


def test_reattach_uses_the_stored_reference(stack):
    apply_id = begin(stack, HOLD)
    wait_parked(stack, apply_id)
    [reference] = stack.fake.created(apply_id)
    assert reference in operation(stack, apply_id)["engine_state"]
    stack.kill(stack.drivers())
    look_now(stack, apply_id)
    stack.until(lambda: stack.fake.calls("attach", reference=reference, found=True),
                "it is attached to")
    assert len(stack.fake.calls("start")) == 1, "looking again starts nothing"
    stack.fake.release("running")
    completed_once(stack, apply_id)


# ---- what cannot be stored or read ---------------------------------------------------------


def test_a_save_that_fails_after_acceptance_leaves_it_claimable(stack):
    with stack.faults("drive.accepted.save:error") as faults:
        apply_id = begin(stack, HOLD)
        stack.until(lambda: faults.fired("drive.accepted.save"), "the save fails")
        row = operation(stack, apply_id)
        assert row["state"] not in ("failed", "completed") and row["claim_after"] is not None
        wait_polls(stack)
        assert len(stack.fake.created(apply_id)) == 1
        stack.fake.release("running")
        completed_once(stack, apply_id)


def test_accepted_without_state_is_never_terminal(stack):
    """The engine takes the work and returns nothing to find it by."""
    apply_id = begin(stack, HOLD, {"call": "start", "no_state": True, "nth": 1})
    stack.until(lambda: stack.fake.calls("start"), "it is started")
    wait_polls(stack)
    assert len(stack.fake.created(apply_id)) == 1
    assert operation(stack, apply_id)["engine_accepted"] == 1
    stack.fake.release("running")
    completed_once(stack, apply_id)


def test_a_read_failure_of_the_engine_state_starts_nothing(stack):
    apply_id = begin(stack, HOLD)
    wait_parked(stack, apply_id)
    faults = stack.arm("operation.load:error")
    try:
        stack.until(lambda: faults.fired("operation.load"), "reading fails")
        wait_polls(stack)
    finally:
        stack.disarm()
    assert len(stack.fake.calls("start")) == 1
    stack.fake.release("running")
    completed_once(stack, apply_id)


def test_without_its_state_running_work_is_not_started_again(stack):
    apply_id = begin(stack, HOLD)
    wait_parked(stack, apply_id)
    stack.storage("UPDATE apply_operations SET engine_state = NULL, engine_accepted = 0")
    look_now(stack, apply_id)
    stack.until(lambda: "its state is not in storage" in stack.log_text("cron"), "it refuses")
    row = operation(stack, apply_id)
    assert row["state"] == "running" and row["claim_after"] is not None
    assert len(stack.fake.calls("start")) == 1


def test_zero_tasks_read_is_not_zero_owned(stack):
    with stack.faults("task.load.empty:error") as faults:
        apply_id = begin(stack)
        completed_once(stack, apply_id)
        assert faults.fired("task.load.empty")
    assert "and none was read" in stack.log_text("cron")


# ---- VSchema ------------------------------------------------------------------------------


def add_vschema_task(stack, apply_id):
    stack.storage(
        "INSERT INTO tasks (task_id, apply_row, operation_row, seq, namespace, table_name, ddl,"
        " ddl_action, mode_reason, state) SELECT CONCAT(a.apply_id, '-vschema'), a.id, o.id, 99,"
        " 'fakeshop', 'vschema.json', '', 'vschema_update', '', 'pending' FROM applies a"
        " JOIN apply_operations o ON o.apply_row = a.id WHERE a.apply_id = %s", (apply_id,))


def test_a_vschema_task_flags_its_namespace(stack):
    """With a table beside it, and alone after a resume; never an empty statement."""
    with stack.faults("drive.claimed:wait=@FILE@") as faults:
        apply_id = begin(stack, HOLD)
        stack.until(faults.arrived, "it is claimed")
        add_vschema_task(stack, apply_id)
        faults.release()
        wait_parked(stack, apply_id)
        start = stack.fake.calls("start")[0]
        assert sorted(start["tables"]) == ["orders", "users"] and start["vschema"] == ["fakeshop"]
        stack.fake.release("running")
        stack.wait_state(apply_id, "completed")
    assert tasks(stack, apply_id)["vschema.json"]["state"] == "completed"


def test_a_vschema_alone_is_driven_and_resumed(stack):
    with stack.faults("drive.claimed:wait=@FILE@") as faults:
        apply_id = begin(stack, HOLD)
        stack.until(faults.arrived, "it is claimed")
        add_vschema_task(stack, apply_id)
        for statement in ("users", "orders"):
            stack.sql(f"ALTER TABLE {statement} ADD extra int DEFAULT NULL", None,
                      "fakeshop_staging")
        faults.release()
        wait_parked(stack, apply_id)
        start = stack.fake.calls("start")[0]
        assert start["tables"] == [] and start["vschema"] == ["fakeshop"]
        stack.kill(stack.drivers())
        look_now(stack, apply_id)
        stack.until(lambda: stack.fake.calls("attach", found=True), "it is attached to")
        stack.fake.release("running")
        stack.wait_state(apply_id, "completed")
    assert len(stack.fake.created(apply_id)) == 1


# ---- the final check -----------------------------------------------------------------------


def test_nothing_left_completes_without_calling_the_engine(stack):
    """Requests that wait for it are resolved with it."""
    apply_id = begin(stack, HOLD)
    wait_parked(stack, apply_id)
    stack.control("stop", apply_id).expect(200)
    stack.wait_state(apply_id, "stopped")
    for table in ("users", "orders"):
        stack.sql(f"ALTER TABLE {table} ADD extra int DEFAULT NULL", None, "fakeshop_staging")
    starts = len(stack.fake.calls("start"))
    stack.control("start", apply_id).expect(200)
    completed_once(stack, apply_id)
    assert len(stack.fake.calls("start")) == starts
    requests = {r["operation"]: r["status"] for r in stack.storage(
        "SELECT operation, status FROM apply_control_requests")}
    assert requests == {"stop": "completed", "start": "completed"}


def test_the_mysql_engine_is_not_called_when_nothing_is_left(stack):
    """As journalled by the tracing wrapper."""
    trace = stack.dir / "trace"
    stack.command("restart-cron", "--env", f"SB_TRACE={trace}")
    try:
        stack.target(USERS)
        faults = stack.arm("drive.opened:wait=@FILE@")
        apply_id = stack.apply(stack.plan([WIDE[0]]))
        stack.until(faults.arrived, "a driver is about to look")
        stack.target("ALTER TABLE users ADD extra int DEFAULT NULL")
        faults.release()
        stack.wait_state(apply_id, "completed")
        stack.until(lambda: not stack.drivers(), "the driver ends")
        calls = [json.loads(line) for line in trace.read_text().splitlines()]
    finally:
        stack.disarm()
        stack.command("restart-cron")
    assert [c["call"] for c in calls] == ["open", "close"]
    assert calls[0]["engine"] == "mysql" and calls[0]["tables"] == ["users"]


# ---- the engine lies, forgets, fails -------------------------------------------------------


def test_not_found_is_never_completion(stack):
    apply_id = begin(stack, HOLD)
    wait_parked(stack, apply_id)
    stack.fake.forget(apply_id)
    look_now(stack, apply_id)
    assert "no active schema change" in stack.wait_state(apply_id, "failed")["error_message"]
    assert len(stack.fake.created(apply_id)) == 1 and extended(stack) == []


def test_not_found_in_the_same_driver_as_the_start(stack):
    apply_id = begin(stack, {"call": "start", "lose": True})
    assert "no active schema change" in stack.wait_state(apply_id, "failed")["error_message"]


def test_a_stopped_change_that_is_gone_is_not_begun_anew(stack):
    apply_id = begin(stack, HOLD)
    wait_parked(stack, apply_id)
    stack.control("stop", apply_id).expect(200)
    stack.wait_state(apply_id, "stopped")
    stack.fake.forget(apply_id)
    stack.control("start", apply_id).expect(200)
    stack.wait_state(apply_id, "failed")
    assert len(stack.fake.created(apply_id)) == 1


def test_completion_without_its_effect_is_a_failure(stack):
    apply_id = begin(stack, {"call": "poll", "report": {"state": "completed"}, "no_effect": True})
    failed = stack.wait_state(apply_id, "failed")
    assert "the target does not have it" in failed["error_message"]


def test_an_unknown_word_is_running_visible_and_counted(stack):
    apply_id = begin(stack, HOLD, {"call": "poll", "table": "users", "until": 3,
                                   "report": {"state": "fluxing"}})
    stack.until(lambda: operation(stack, apply_id)["unrecognized"] == 3, "it is counted")
    assert tasks(stack, apply_id)["users"]["state"] == "running"
    assert "fluxing" in tasks(stack, apply_id)["users"]["detail"]
    text = urllib.request.urlopen(stack.metrics_url, timeout=10).read().decode()
    [line] = re.findall(r"^schemabot_engine_unrecognized_status_total.*$", text, re.MULTILINE)
    assert 'engine="fake"' in line and 'database="fakeshop"' in line and line.endswith(" 3")
    stack.fake.release("running")
    completed_once(stack, apply_id)


def test_a_poll_never_moves_a_task_backwards(stack):
    apply_id = begin(
        stack, {"call": "poll", "nth": 1, "report": {"state": "checksumming", "rows_copied": 900}},
        {"call": "poll", "from": 2, "report": {"state": "preparing_branch"}}, HOLD)
    wait_polls(stack, 3)
    assert {t["state"] for t in tasks(stack, apply_id).values()} == {"checksumming"}


def test_what_a_poll_leaves_out_stays(stack):
    apply_id = begin(stack, HOLD, {"call": "poll", "nth": 1,
                                   "report": {"rows_copied": 400, "rows_total": 1000}},
                     {"call": "poll", "from": 2, "table": "users",
                      "report": {"rows_copied": 500, "rows_total": -1, "percent": -1}},
                     {"call": "poll", "from": 2, "table": "orders", "omit": True})
    stack.until(lambda: tasks(stack, apply_id)["users"]["rows_copied"] == 500, "a later poll")
    assert tasks(stack, apply_id)["users"]["rows_total"] == 1000
    assert tasks(stack, apply_id)["orders"]["rows_copied"] == 400
    stack.fake.release("running")
    stack.fake.script()
    completed_once(stack, apply_id)


def test_ten_lost_answers_in_a_row_are_a_retry(stack):
    """Not nine; success in between begins the count anew; the work is left alone."""
    apply_id = begin(stack, HOLD,
                     {"call": "poll", "from": 2, "until": 10, "error": "http:503"},
                     {"call": "poll", "from": 12, "error": "curl:28"})

    def polls(n):
        look_now(stack, apply_id)
        return len(stack.fake.calls("poll")) >= n
    stack.until(lambda: polls(11), "nine errors and a success")
    assert operation(stack, apply_id)["attempt"] == 0
    stack.until(lambda: polls(20), "nine more errors")
    assert operation(stack, apply_id)["attempt"] == 0
    # A count whose write met a deadlock with ours is lost, and one more error needed.
    stack.until(lambda: polls(21) and operation(stack, apply_id)["attempt"] == 1, "it is a retry")
    stack.fake.release("running")
    stack.fake.script()
    completed_once(stack, apply_id)
    assert not stack.fake.calls("stop") and not stack.fake.calls("cancel")


@pytest.mark.parametrize("error", ["http:503", "http:429", "mysql:1205", "SB_EUNAVAILABLE"])
def test_a_refused_start_is_tried_again(stack, error):
    apply_id = begin(stack, {"call": "start", "error": error, "nth": 1})
    completed_once(stack, apply_id)
    assert operation(stack, apply_id)["attempt"] == 1


@pytest.mark.parametrize("error", ["http:422", "http:401", "mysql:1064", "SB_EENGINE"])
def test_a_start_refused_for_good_fails(stack, error):
    apply_id = begin(stack, {"call": "start", "error": error})
    stack.wait_state(apply_id, "failed")
    assert stack.fake.created(apply_id) == [] and extended(stack) == []


@pytest.mark.parametrize("error", ["curl:28", "http:504", "mysql:2013"])
def test_a_start_whose_answer_is_lost_is_looked_for(stack, error):
    apply_id = begin(stack, HOLD, {"call": "start", "error": error, "after": True, "nth": 1})
    wait_polls(stack)
    assert len(stack.fake.created(apply_id)) == 1
    stack.fake.release("running")
    completed_once(stack, apply_id)


def test_a_change_that_failed_at_the_engine_begins_anew(stack):
    apply_id = begin(stack, {"call": "poll", "nth": 1, "fail": "mysql:1114", "table": "users"})
    completed_once(stack, apply_id, changes=2)
    assert operation(stack, apply_id)["attempt"] == 1


def test_a_change_that_failed_for_good_fails(stack):
    apply_id = begin(stack, {"call": "poll", "fail": "mysql:1064", "table": "users"})
    stack.wait_state(apply_id, "failed")
    states = {name: t["state"] for name, t in tasks(stack, apply_id).items()}
    assert states == {"users": "failed", "orders": "cancelled"}


def test_cancelled_at_the_engine_is_cancelled(stack):
    apply_id = begin(stack, {"call": "poll", "report": {"state": "cancelled"}})
    stack.wait_state(apply_id, "cancelled")


# ---- stop and its generations --------------------------------------------------------------


def test_a_parked_change_is_stopped_started_and_never_created_twice(stack):
    apply_id = begin(stack, HOLD)
    wait_parked(stack, apply_id)
    stack.control("stop", apply_id).expect(200)
    stack.wait_state(apply_id, "stopped")
    assert stack.fake.change(apply_id)["ended"] == "stopped"
    stack.control("start", apply_id).expect(200)
    stack.fake.release("running")
    completed_once(stack, apply_id)


def test_completion_wins_over_a_stop(stack):
    apply_id = begin(stack, HOLD, {"call": "stop", "complete": True})
    wait_parked(stack, apply_id)
    stack.control("stop", apply_id).expect(200)
    completed_once(stack, apply_id)


def test_an_engine_that_completes_after_its_stop_was_answered(stack):
    apply_id = begin(stack, HOLD, {"call": "stop", "late": True})
    wait_parked(stack, apply_id)
    stack.control("stop", apply_id).expect(200)
    stack.wait_state(apply_id, "stopped")
    stack.control("start", apply_id).expect(200)
    completed_once(stack, apply_id)
    assert len(stack.fake.calls("start")) == 1, "the target has it: nothing is started"


def test_a_stop_that_the_engine_refuses_fails_and_the_work_goes_on(stack):
    apply_id = begin(stack, HOLD, {"call": "stop", "error": "http:422"})
    wait_parked(stack, apply_id)
    stack.control("stop", apply_id).expect(200)
    stack.until(lambda: stack.storage("SELECT 1 FROM apply_control_requests WHERE status ="
                                      " 'failed' AND error_message LIKE '%%422%%'"), "it fails")
    stack.fake.release("running")
    completed_once(stack, apply_id)


def test_a_late_stop_cannot_hit_a_newer_run(stack):
    """A driver is frozen in the middle of a stop; others stop and start the change; when it
    wakes up, neither the engine nor storage takes its word."""
    with stack.faults("drive.halt.before:stop") as faults:
        apply_id = begin(stack, HOLD)
        wait_parked(stack, apply_id)
        stack.control("stop", apply_id).expect(200)
        stack.until(lambda: faults.fired("drive.halt.before"), "the driver is frozen")
        [frozen] = stack.until(lambda: [p for p in stack.drivers() if procs.is_stopped(p)],
                               "it is asleep")
        stack.expire_lease(apply_id)
        stack.wait_state(apply_id, "stopped")
        stack.control("start", apply_id).expect(200)
        wait_polls(stack)
        assert stack.fake.change(apply_id)["ended"] == ""
        token = operation(stack, apply_id)["lease_token"]
        os.kill(frozen, signal.SIGCONT)
        stack.until(lambda: frozen not in stack.drivers(), "the late driver ends")
    stops = stack.fake.calls("stop", answer="ok")
    assert len(stops) == 1 and stops[0]["pid"] != frozen
    assert stack.fake.change(apply_id)["ended"] == ""
    assert operation(stack, apply_id)["lease_token"] >= token
    stack.fake.release("running")
    completed_once(stack, apply_id)


# ---- parking --------------------------------------------------------------------------------


def _with_parked(fresh_stack, n, conf=""):
    """A stack with n databases, each with an apply that is parked."""
    databases = "".join(
        f'db{i} = {{ type = "fake"; environments = {{ staging = {{ socket = "@DB_SOCKET@";'
        f' user = "sb_target"; password = "@TARGET_PASSWORD@"; schemas = {{ db{i} ='
        f' "parked{i}"; }}; }}; }}; }};' for i in range(n))
    stack = fresh_stack(conf=f"{conf} databases = {{ {databases} }};")
    stack.fake.script(HOLD)
    for i in range(n):
        stack.sql(f"CREATE DATABASE parked{i}")
        stack.sql(f"GRANT ALL ON parked{i}.* TO 'sb_target'@'%'")
        stack.apply(stack.plan([USERS], database=f"db{i}", type="fake"))
    return stack


def _complete_all(stack):
    stack.fake.release("running")
    ids = [r["apply_id"] for r in stack.storage("SELECT apply_id FROM applies")]
    for apply_id in ids:
        stack.wait_state(apply_id, "completed")
    assert all(len(stack.fake.created(a)) == 1 for a in ids)


def test_one_driver_looks_after_many_parked_operations(fresh_stack):
    stack = _with_parked(fresh_stack, 6, "drivers = 1;")
    for row in stack.storage("SELECT apply_id FROM applies"):
        stack.until(lambda a=row["apply_id"]: len(stack.fake.calls("poll", apply=a)) >= 9,
                    "it is looked at")
    assert len(stack.drivers()) <= 1
    _complete_all(stack)


def test_parked_operations_are_claimed_together_and_given_back(fresh_stack):
    """A driver that dies with a handful of claims: all of them are driven again, at once."""
    # The only driver takes one that is due, and then the others together.
    stack = _with_parked(fresh_stack, 6, "drivers = 1;")

    def set_aside():  # by itself each is due 2 s after it was last looked at, seldom with another
        stack.storage("UPDATE apply_operations SET claim_after = NOW(6) + INTERVAL 1 HOUR"
                      " WHERE lease_owner IS NULL AND state = 'running'")
        return stack.storage("SELECT COUNT(*) AS n FROM apply_operations"
                             " WHERE lease_owner IS NULL AND state = 'running'") == [{"n": 6}]
    stack.until(set_aside, "nobody has any of them")
    faults = stack.arm("operation.claim.parked:wait=@FILE@", "drive.attached:crash@2")
    stack.storage("UPDATE apply_operations SET claim_after = NOW(6)")
    stack.until(faults.arrived, "a driver claims several")
    faults.release()
    stack.until(lambda: faults.fired("drive.attached"), "it dies among them")
    stack.disarm()
    seen = len(stack.fake.calls("poll"))
    stack.until(lambda: len({c["apply"] for c in stack.fake.calls("poll")[seen:]}) == 6,
                "all are looked at again, before a lease would be over", 40)
    assert {r["attempt"] for r in stack.storage("SELECT attempt FROM apply_operations")} == {0}
    _complete_all(stack)


def test_a_request_wakes_a_parked_operation(stack):
    apply_id = begin(stack, HOLD)
    wait_parked(stack, apply_id)
    stack.storage("UPDATE apply_operations SET claim_after = NOW(6) + INTERVAL 1 HOUR")
    stack.control("cancel", apply_id).expect(200)
    stack.wait_state(apply_id, "cancelled")
    assert stack.fake.change(apply_id)["ended"] == "cancelled"


def test_sigterm_leaves_external_work_alone(stack):
    apply_id = begin(stack, {"call": "poll", "wait": "slow", "nth": 2}, HOLD)
    stack.until(lambda: stack.fake.arrived("slow"), "a driver is in a slow call")
    stack.kill(stack.drivers(), signal.SIGTERM)
    stack.fake.release("slow")
    wait_polls(stack)
    assert not stack.fake.calls("stop")
    assert operation(stack, apply_id)["attempt"] == 0
    stack.fake.release("running")
    completed_once(stack, apply_id)


# ---- the states of later engines --------------------------------------------------------------


@pytest.mark.parametrize("phase", [*SETUP, "catching_up", "checksumming", "post_checksum"])
def test_claim_resume_and_reattach_in_each_state(stack, phase):
    """#302: a driver dies in it, another claims it, finds it by its reference, goes on."""
    phases = [*SETUP, "running", "catching_up", "checksumming", "post_checksum", "completed"]
    apply_id = begin(stack, {"call": "start", "phases": phases},
                     {"call": "poll", "hold": phase})
    stack.until(lambda: {t["state"] for t in tasks(stack, apply_id).values()} == {phase},
                f"it is {phase}")
    assert stack.progress(apply_id)["state"] == phase
    stack.kill(stack.drivers())
    stack.expire_lease(apply_id)
    attaches = len(stack.fake.calls("attach"))
    stack.until(lambda: len(stack.fake.calls("attach", found=True)) > attaches, "reattached")
    assert stack.progress(apply_id)["state"] == phase
    stack.fake.release(phase)
    completed_once(stack, apply_id)
    assert len(stack.fake.calls("start")) == 1


def test_a_deferred_deployment_waits_for_its_start(stack):
    apply_id = begin(stack, {"call": "start", "phases": ["waiting_for_deploy", "running",
                                                         "completed"], "nth": 1},
                     {"call": "start", "from": 2, "until": 2, "error": "http:409"})
    stack.wait_state(apply_id, "waiting_for_deploy")
    stack.kill(stack.drivers())
    stack.control("start", apply_id).expect(200)
    stack.until(lambda: stack.storage("SELECT 1 FROM apply_control_requests WHERE status ="
                                      " 'failed' AND error_message LIKE '%%409%%'"), "it fails")
    assert stack.progress(apply_id)["state"] == "waiting_for_deploy"
    stack.control("start", apply_id).expect(200)
    completed_once(stack, apply_id)


def test_a_cutover_is_asked_for_and_made(stack):
    apply_id = begin(stack, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.kill(stack.drivers())
    stack.control("cutover", apply_id).expect(200)
    completed_once(stack, apply_id)
    assert len(stack.fake.calls("cutover", answer="ok")) == 1


def test_a_cutover_whose_answer_was_lost(stack):
    apply_id = begin(stack, {"call": "cutover", "error": "curl:56", "after": True},
                     defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.control("cutover", apply_id).expect(200)
    completed_once(stack, apply_id)
    [request] = stack.storage("SELECT status FROM apply_control_requests")
    assert request["status"] == "completed"
    assert len(stack.fake.calls("cutover")) == 1, "looked at, not asked for again"


def test_a_revert_window_is_not_completion(stack):
    """The target has the change by then: only the engine knows that it is not over."""
    apply_id = begin(stack, enable_revert=True)
    stack.wait_state(apply_id, "revert_window")
    stack.kill(stack.drivers())
    stack.expire_lease(apply_id)
    wait_polls(stack, 2)
    assert stack.progress(apply_id)["state"] == "revert_window"
    with stack.fake.record(apply_id) as record:
        [change] = record["changes"].values()
        change.update(phases=["reverting", "reverted"], at=0)
    stack.wait_state(apply_id, "reverted")
    assert extended(stack) == []
