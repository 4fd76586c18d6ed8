"""
test_control_edges.py - the edges of operators' requests (SEMANTICS D.8), each a test named
after it, mostly on the fake engines: `fakeshop` is external, `resident` lives in the driver.
"""
import signal

import pytest

from lib import invariants

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
ORDERS = "CREATE TABLE orders (id bigint NOT NULL, PRIMARY KEY (id))"
RUNNING = {"call": "poll", "hold": "running"}
BOTH = pytest.mark.parametrize("database", ["fakeshop", "resident"])


def begin(stack, *script, database="fakeshop", files=(USERS,), polled=True, **options):
    """An apply that is in the engine's hands."""
    stack.fake.script(*script)
    apply_id = stack.apply(stack.plan(list(files), database=database), **options)
    if polled:
        stack.until(lambda: stack.fake.calls("poll", apply=apply_id), "it is polled")
    return apply_id


def requests(stack, *columns):
    columns = columns or ("operation", "status")
    rows = stack.storage("SELECT * FROM apply_control_requests ORDER BY id")
    return [tuple(r[c] for c in columns) for r in rows]


def ended(stack, n=0):
    """Wait until every request (of at least n) has ended."""
    stack.until(lambda: len(requests(stack)) >= n and
                all(s != "pending" for _, s in requests(stack)), "requests end")
    return requests(stack)


def nobody_drives(stack):
    """What an external engine works at is left alone until cron starts again."""
    stack.command("stop-cron")
    stack.kill(stack.drivers(), signal.SIGTERM)
    stack.until(lambda: not stack.drivers(), "drivers end")


def stop(stack, apply_id):
    stack.control("stop", apply_id).expect(200)
    stack.wait_state(apply_id, "stopped")
    ended(stack)


def released(stack, apply_id, state="completed"):
    """Nothing is held any more; the end, and an audit."""
    stack.fake.script()
    stack.fake.release("running")
    seen = stack.wait_state(apply_id, state)
    invariants.check_rest(stack)
    return seen


def columns_of(stack, database="fakeshop"):
    return [r["t"] for r in stack.sql(
        "SELECT table_name AS t FROM information_schema.tables WHERE table_schema = %s",
        (f"{database}_staging",))]


# ---- duplicates, priorities ---------------------------------------------------------------

@BOTH
@pytest.mark.parametrize("verb", ["stop", "start", "cutover"])
def test_a_duplicate_while_pending_is_idempotent(stack, database, verb):
    apply_id = begin(stack, RUNNING, database=database) if verb != "cutover" else \
        begin(stack, database=database, defer_cutover=True)
    if verb == "start":
        stop(stack, apply_id)
    if verb == "cutover":
        stack.wait_state(apply_id, "waiting_for_cutover")
    before = len(requests(stack))
    stack.command("stop-cron")
    stack.kill(stack.drivers())
    stack.control(verb, apply_id, caller="one").expect(200)
    for _ in range(3):
        reply = stack.control(verb, apply_id, caller="two").expect(202)
        assert reply["status"] == "already_requested"
    assert requests(stack, "operation", "requested_by")[before:] == [(verb, "writer:one")]
    stack.command("restart-cron")
    stack.expire_lease(apply_id)
    if verb == "stop":
        stack.wait_state(apply_id, "stopped")
    else:
        released(stack, apply_id)
    assert ended(stack)[before:] == [(verb, "completed")]


@BOTH
def test_an_apply_without_defer_cutover_needs_no_request(stack, database):
    apply_id = begin(stack, database=database)
    stack.wait_state(apply_id, "completed")
    assert not stack.fake.calls("cutover") and requests(stack) == []
    stack.control("cutover", apply_id).expect(409)


@BOTH
def test_a_cutover_with_a_stop_pending_is_refused_and_one_recorded_earlier_is_not_sent(
        stack, database):
    apply_id = begin(stack, database=database, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.command("stop-cron")
    stack.kill(stack.drivers())
    stack.control("cutover", apply_id).expect(200)
    stack.control("stop", apply_id).expect(200)
    reply = stack.control("cutover", apply_id)
    assert reply.expect(202)["status"] == "already_requested"
    reply = stack.control("volume", apply_id, volume=4).expect(409)
    assert "stop" in reply["error"]
    stack.command("restart-cron")
    stack.expire_lease(apply_id)
    stack.wait_state(apply_id, "stopped")
    assert ended(stack) == [("cutover", "failed"), ("stop", "completed")]
    assert not stack.fake.calls("cutover")
    assert "without a cutover" in requests(stack, "error_message")[0][0]
    invariants.check_rest(stack)


@BOTH
def test_start_while_a_stop_is_pending_is_refused(stack, database):
    apply_id = begin(stack, RUNNING, database=database)
    stack.command("stop-cron")
    stack.kill(stack.drivers())
    stack.control("stop", apply_id).expect(200)
    reply = stack.control("start", apply_id).expect(409)
    assert reply["error_code"] == "conflict" and "running" in reply["error"]
    stack.command("restart-cron")
    stack.expire_lease(apply_id)
    stack.wait_state(apply_id, "stopped")
    assert ended(stack) == [("stop", "completed")]


@BOTH
def test_start_after_a_resolved_stop_completes_the_stop_first(stack, database):
    """The stop has taken effect, and nobody has said so yet."""
    apply_id = begin(stack, RUNNING, database=database)
    stop(stack, apply_id)
    stack.storage("UPDATE apply_control_requests SET status = 'pending', completed_at = NULL")
    stack.control("start", apply_id).expect(200)
    assert requests(stack)[0] == ("stop", "completed")
    released(stack, apply_id)
    assert ended(stack, 2) == [("stop", "completed"), ("start", "completed")]


@BOTH
def test_nothing_starts_by_itself_after_a_stop(stack, database):
    apply_id = begin(stack, RUNNING, database=database)
    stop(stack, apply_id)
    calls = len(stack.fake.calls("start"))
    stack.reap()
    stack.command("restart-cron")
    stack.reap()
    assert stack.progress(apply_id)["state"] == "stopped"
    assert len(stack.fake.calls("start")) == calls
    invariants.check_rest(stack)


def test_a_start_after_seven_days_is_refused(stack):
    apply_id = begin(stack, RUNNING)
    stop(stack, apply_id)
    stack.storage("UPDATE apply_control_requests SET completed_at = NOW(6) - INTERVAL 169 HOUR")
    reply = stack.control("start", apply_id).expect(409)
    assert "7 days" in reply["error"] and "plan again" in reply["error"]
    stack.control("cancel", apply_id).expect(200)
    stack.wait_state(apply_id, "cancelled")
    assert ended(stack) == [("stop", "completed"), ("cancel", "completed")]


# ---- a start that fails ---------------------------------------------------------------------

@BOTH
def test_a_failed_start_is_never_retried_and_can_be_issued_again(stack, database):
    apply_id = begin(stack, RUNNING, database=database)
    stop(stack, apply_id)
    failing = {"resident": "start", "fakeshop": "attach"}[database]
    stack.fake.script({"call": failing, "error": "http:503"},
                      {"call": "start", "error": "http:503"}, RUNNING)
    stack.control("start", apply_id, caller="one").expect(200)
    assert ended(stack, 2)[1] == ("start", "failed")
    stopped = stack.wait_state(apply_id, "stopped")
    assert "503" in requests(stack, "error_message")[1][0]
    assert "503" in stopped["error_message"]
    row = stack.storage("SELECT claim_after, attempt, lease_owner FROM apply_operations")[0]
    assert (row["claim_after"], row["attempt"], row["lease_owner"]) == (None, 0, None)
    stack.reap()
    calls = len(stack.fake.calls("start") + stack.fake.calls("attach"))
    stack.command("restart-cron")
    assert len(stack.fake.calls("start") + stack.fake.calls("attach")) == calls
    stack.fake.script(RUNNING)
    stack.control("start", apply_id, caller="two").expect(200)
    assert requests(stack, "operation", "requested_by")[1:] == [
        ("start", "writer:one"), ("start", "writer:two")]
    released(stack, apply_id)
    assert ended(stack)[2] == ("start", "completed")


def test_a_start_that_times_out_is_looked_at_again(stack):
    """Whether the engine has it is not known: neither a failure nor a second change."""
    apply_id = begin(stack, RUNNING)
    stop(stack, apply_id)
    stack.fake.script({"call": "start", "error": "curl:28", "after": True, "nth": 1}, RUNNING)
    stack.control("start", apply_id).expect(200)
    stack.until(lambda: stack.fake.calls("start", answer="SB_EAMBIGUOUS"), "it times out")
    stack.until(lambda: not stack.drivers(), "its driver leaves")
    stack.expire_lease(apply_id)
    released(stack, apply_id)
    assert ended(stack)[1] == ("start", "completed")
    assert len(stack.fake.created(apply_id)) == 1


def test_a_start_that_was_accepted_and_then_silent(stack):
    """Stopped for 30 s after it was accepted: the start has failed. No state is written
    before, and nobody tries again by himself."""
    apply_id = begin(stack, RUNNING)
    stop(stack, apply_id)
    stack.fake.script({"call": "poll", "report": {"state": "stopped"}}, RUNNING)
    stack.control("start", apply_id).expect(200)
    [since] = stack.until(lambda: stack.storage(
        "SELECT id FROM apply_control_requests WHERE silent_since IS NOT NULL"), "it is seen")
    polls = len(stack.fake.calls("poll"))
    stack.until(lambda: len(stack.fake.calls("poll")) > polls + 1, "it is looked at again")
    assert requests(stack)[1] == ("start", "pending")
    invariants.check(stack)
    stack.storage("UPDATE apply_control_requests SET silent_since = silent_since"
                  " - INTERVAL 31 SECOND WHERE id = %s", (since["id"],))
    stopped = stack.wait_state(apply_id, "stopped")
    assert ended(stack)[1] == ("start", "failed")
    assert "accepted the start" in stopped["error_message"]
    assert stack.storage("SELECT attempt FROM apply_operations")[0]["attempt"] == 0
    invariants.check_rest(stack)
    stack.fake.script(RUNNING)
    stack.control("start", apply_id).expect(200)
    released(stack, apply_id)


def test_a_silent_start_that_begins_within_the_grace(stack):
    apply_id = begin(stack, RUNNING)
    stop(stack, apply_id)
    stack.fake.script({"call": "poll", "report": {"state": "stopped"}, "until": 2}, RUNNING)
    stack.control("start", apply_id).expect(200)
    stack.until(lambda: requests(stack)[1] == ("start", "completed"), "it begins")
    released(stack, apply_id)


def test_a_change_that_is_gone_when_it_is_started_again(stack):
    apply_id = begin(stack, RUNNING)
    stop(stack, apply_id)
    stack.fake.forget(apply_id)
    stack.control("start", apply_id).expect(200)
    failed = stack.wait_state(apply_id, "failed")
    assert ended(stack)[1] == ("start", "failed") and failed["error_message"]
    assert all(m for _, m in requests(stack, "status", "error_message")[1:])
    assert len(stack.fake.created(apply_id)) == 1


# ---- stop and cancel ---------------------------------------------------------------------------

def test_a_change_that_is_gone_when_it_is_stopped(stack):
    apply_id = begin(stack, RUNNING)
    nobody_drives(stack)
    stack.fake.forget(apply_id)
    stack.control("stop", apply_id).expect(200)
    stack.command("restart-cron")
    failed = stack.wait_state(apply_id, "failed")
    assert failed["error_message"]
    [(status, message)] = [r for r in requests(stack, "status", "error_message")]
    assert status in ("failed", "completed") and (status == "completed" or message)
    assert columns_of(stack) == []


def test_a_stop_of_a_change_that_the_engine_has_stopped_already_settles(stack):
    apply_id = begin(stack, RUNNING)
    nobody_drives(stack)
    with stack.fake.record(apply_id) as record:
        list(record["changes"].values())[-1]["ended"] = "stopped"
    stack.control("stop", apply_id).expect(200)
    stack.command("restart-cron")
    stack.wait_state(apply_id, "stopped")
    assert ended(stack) == [("stop", "completed")]
    invariants.check_rest(stack)


@BOTH
@pytest.mark.parametrize("verb, state", [("stop", "stopped"), ("cancel", "cancelled")])
def test_halted_before_the_engine_has_anything_needs_no_call(stack, database, verb, state):
    stack.command("stop-cron")
    apply_id = begin(stack, RUNNING, database=database, polled=False)
    stack.control(verb, apply_id).expect(200)
    stack.command("restart-cron")
    stack.wait_state(apply_id, state)
    assert ended(stack) == [(verb, "completed")]
    assert not [c for c in stack.fake.calls() if c["call"] not in ("open",)]
    invariants.check_rest(stack)


@BOTH
@pytest.mark.parametrize("verb, ends", [("stop", "completed"), ("cancel", "failed")])
def test_completion_wins_over_a_halt(stack, database, verb, ends):
    """The engine's own truth: it could not be halted any more."""
    apply_id = begin(stack, RUNNING, {"call": verb, "complete": True}, database=database)
    stack.control(verb, apply_id).expect(200)
    stack.wait_state(apply_id, "completed")
    assert ended(stack) == [(verb, ends)]
    if ends == "failed":
        assert "finished before" in requests(stack, "error_message")[0][0]
    assert columns_of(stack, database) == ["users"]
    invariants.check_rest(stack)


@BOTH
def test_stop_halts_the_engine_before_anything_is_recorded(stack, database):
    apply_id = begin(stack, RUNNING, {"call": "stop", "wait": "halting"}, database=database)
    stack.control("stop", apply_id).expect(200)
    stack.until(lambda: stack.fake.arrived("halting"), "the engine is told")
    assert stack.progress(apply_id)["state"] == "running"
    assert requests(stack) == [("stop", "pending")]
    stack.fake.release("halting")
    stopped = stack.wait_state(apply_id, "stopped")
    assert [t["status"] for t in stopped["tables"]] == ["stopped"]
    released_again(stack, apply_id)


def released_again(stack, apply_id):
    stack.control("start", apply_id).expect(200)
    released(stack, apply_id)


@BOTH
@pytest.mark.parametrize("stopped_first", [False, True])
def test_cancel_removes_what_the_engine_made(stack, database, stopped_first):
    apply_id = begin(stack, RUNNING, database=database)
    if stopped_first:
        stop(stack, apply_id)
    stack.control("cancel", apply_id).expect(200)
    stack.wait_state(apply_id, "cancelled")
    assert ended(stack)[-1] == ("cancel", "completed")
    if database == "fakeshop" or not stopped_first:
        assert stack.fake.change(apply_id)["ended"] == "cancelled"
    assert columns_of(stack, database) == []
    invariants.check_rest(stack)


@BOTH
def test_an_engine_that_does_not_halt_is_asked_again(stack, database):
    apply_id = begin(stack, RUNNING, {"call": "stop", "error": "http:503", "until": 2},
                     database=database)
    stack.control("stop", apply_id).expect(200)
    stack.wait_state(apply_id, "stopped")
    # What lives in a driver has halted when that gave up.
    assert database == "resident" or stack.fake.calls("stop", answer="ok")
    assert ended(stack) == [("stop", "completed")]
    invariants.check_rest(stack)


@BOTH
def test_an_engine_that_refuses_to_halt_fails_the_request_and_works_on(stack, database):
    apply_id = begin(stack, RUNNING, {"call": "stop", "error": "SB_ECONFLICT"},
                     database=database)
    stack.control("stop", apply_id).expect(200)
    assert ended(stack, 1) == [("stop", "failed")]
    assert requests(stack, "error_message")[0][0]
    assert stack.progress(apply_id)["state"] == "running"
    released(stack, apply_id)


# ---- cutover ----------------------------------------------------------------------------------

@BOTH
def test_a_cutover_that_the_engine_rejects_fails_and_the_apply_keeps_waiting(stack, database):
    apply_id = begin(stack, {"call": "cutover", "error": "http:409", "nth": 1},
                     database=database, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.control("cutover", apply_id).expect(200)
    assert ended(stack, 1) == [("cutover", "failed")]
    assert "409" in requests(stack, "error_message")[0][0]
    assert stack.progress(apply_id)["state"] == "waiting_for_cutover"
    stack.control("cutover", apply_id).expect(200)
    stack.wait_state(apply_id, "completed")
    assert ended(stack) == [("cutover", "failed"), ("cutover", "completed")]
    invariants.check_rest(stack)


def test_a_cutover_whose_answer_is_lost_is_sent_at_most_until_it_is_seen(stack):
    apply_id = begin(stack, {"call": "cutover", "error": "curl:28", "after": True, "nth": 1},
                     defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.control("cutover", apply_id).expect(200)
    stack.wait_state(apply_id, "completed")
    assert ended(stack) == [("cutover", "completed")]
    assert len(stack.fake.calls("cutover", answer="ok")) <= 1
    invariants.check_rest(stack)


def test_a_cutover_accepted_while_storage_lags(stack):
    """Somebody else cut over at the engine; the request finds it done."""
    apply_id = begin(stack, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    nobody_drives(stack)
    stack.fake.finish(apply_id)
    stack.control("cutover", apply_id).expect(200)
    stack.command("restart-cron")
    stack.wait_state(apply_id, "completed")
    assert ended(stack) == [("cutover", "completed")]
    assert not stack.fake.calls("cutover", answer="ok")
    invariants.check_rest(stack)


def test_a_cutover_of_an_apply_that_ends_otherwise_fails(stack):
    apply_id = begin(stack, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    nobody_drives(stack)
    stack.control("cutover", apply_id).expect(200)
    stack.fake.forget(apply_id)
    stack.command("restart-cron")
    stack.wait_state(apply_id, "failed")
    assert ended(stack) == [("cutover", "failed")]
    assert "without a cutover" in requests(stack, "error_message")[0][0]


# ---- volume, revert, skip-revert ---------------------------------------------------------------

@BOTH
def test_a_new_volume_reaches_the_engine(stack, database):
    apply_id = begin(stack, RUNNING, database=database)
    reply = stack.control("volume", apply_id, volume=7).expect(200)
    assert (reply["previous_volume"], reply["new_volume"]) == (3, 7)
    assert ended(stack, 1) == [("volume", "completed")]
    assert stack.fake.calls("set_volume")[-1]["volume"] == 7
    assert stack.progress(apply_id)["volume"] == 7
    released(stack, apply_id)


def test_a_volume_and_a_cutover_at_once_are_both_obeyed(stack):
    """In the order in which they were asked for, which is not that of their names."""
    apply_id = begin(stack, database="resident", defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    driver = [stack.driver_of(apply_id)]
    stack.kill(driver, signal.SIGSTOP)
    try:
        stack.control("volume", apply_id, volume=7).expect(200)
        stack.control("cutover", apply_id).expect(200)
    finally:
        stack.kill(driver, signal.SIGCONT)
    stack.wait_state(apply_id, "completed")
    assert ended(stack) == [("volume", "completed"), ("cutover", "completed")]
    assert [call["call"] for call in stack.fake.calls()
            if call["call"] in ("set_volume", "cutover")] == ["set_volume", "cutover"]


@pytest.mark.parametrize("verb, state", [("revert", "reverted"), ("skip-revert", "completed")])
def test_revert_and_skip_revert_in_the_revert_window(stack, verb, state):
    apply_id = begin(stack, enable_revert=True)
    other = {"revert": "skip-revert", "skip-revert": "revert"}[verb]
    stack.wait_state(apply_id, "revert_window")
    for refused in ("stop", "cancel", "cutover"):
        assert "revert phase" in stack.control(refused, apply_id).expect(409)["error"]
    nobody_drives(stack)
    stack.control(verb, apply_id).expect(200)
    stack.control(verb, apply_id).expect(202)
    assert "excludes" in stack.control(other, apply_id).expect(409)["error"]
    stack.command("restart-cron")
    stack.wait_state(apply_id, state)
    assert ended(stack) == [(verb.replace("-", "_"), "completed")]
    assert columns_of(stack) == ([] if verb == "revert" else ["users"])


def test_revert_outside_its_window_is_refused(stack):
    apply_id = begin(stack, RUNNING)
    for verb in ("revert", "skip-revert"):
        assert "revert_window" in stack.control(verb, apply_id).expect(409)["error"]
    released(stack, apply_id)
    native = stack.run([USERS])["apply_id"]
    assert "cannot do 'revert'" in stack.control("revert", native).expect(400)["error"]


def test_a_revert_that_is_not_answered_stays_pending_and_one_refused_fails(stack):
    apply_id = begin(stack, {"call": "revert", "error": "http:503", "nth": 1},
                     {"call": "revert", "error": "http:409", "nth": 2}, enable_revert=True)
    stack.wait_state(apply_id, "revert_window")
    stack.control("revert", apply_id).expect(200)
    assert ended(stack, 1) == [("revert", "failed")]
    assert len(stack.fake.calls("revert")) == 2
    stack.control("skip-revert", apply_id).expect(200)
    stack.wait_state(apply_id, "completed")
    assert columns_of(stack) == ["users"]


# ---- release ------------------------------------------------------------------------------------

def test_release_is_for_applies_that_pause(stack):
    apply_id = begin(stack, RUNNING)
    assert "'pause'" in stack.control("release", apply_id).expect(409)["error"]
    assert requests(stack) == []
    released(stack, apply_id)


# ---- what an engine may say --------------------------------------------------------------------

def test_an_unmapped_state_is_running(stack):
    apply_id = begin(stack, {"call": "poll", "report": {"state": "reticulating"}, "until": 3},
                     RUNNING)
    assert stack.wait_state(apply_id, "running")
    released(stack, apply_id)


def test_an_engine_that_goes_backwards_rewinds_nothing(stack):
    apply_id = begin(stack, {"call": "poll", "hold": "waiting_for_cutover"}, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.fake.script({"call": "poll", "report": {"state": "running", "percent": 1}})
    polls = len(stack.fake.calls("poll"))
    stack.until(lambda: len(stack.fake.calls("poll")) > polls + 1, "it is looked at again")
    assert stack.progress(apply_id)["state"] == "waiting_for_cutover"
    stack.fake.script()
    stack.control("cutover", apply_id).expect(200)
    stack.wait_state(apply_id, "completed")


def test_omitted_tables_and_totals_keep_what_is_stored(stack):
    apply_id = begin(stack, {"call": "poll", "hold": "running",
                             "report": {"rows_copied": 50, "rows_total": 200, "percent": 25}},
                     files=(USERS, ORDERS), defer_cutover=True)
    stack.until(lambda: all(t.get("rows_total") == 200 for t in
                            stack.progress(apply_id)["tables"]), "totals are stored")
    stack.fake.script({"call": "poll", "hold": "running", "omit": True, "table": "users"},
                      {"call": "poll", "report": {"rows_total": -1, "rows_copied": -1}})
    polls = len(stack.fake.calls("poll"))
    stack.until(lambda: len(stack.fake.calls("poll")) > polls + 1, "it is looked at again")
    assert {t["rows_total"] for t in stack.progress(apply_id)["tables"]} == {200}
    stack.fake.script()
    stack.fake.release("running")
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.control("cutover", apply_id).expect(200)
    stack.wait_state(apply_id, "completed")


def test_an_engine_that_is_done_with_some_tables_keeps_the_apply_active(stack):
    apply_id = begin(stack, {"call": "poll", "hold": "running", "table": "users",
                             "report": {"state": "running"}},
                     files=(USERS, ORDERS), defer_cutover=True)
    polls = len(stack.fake.calls("poll"))
    stack.until(lambda: len(stack.fake.calls("poll")) > polls + 2, "it is looked at again")
    assert stack.progress(apply_id)["state"] == "running"
    stack.fake.script()
    stack.fake.release("running")
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.control("cutover", apply_id).expect(200)
    stack.wait_state(apply_id, "completed")
    invariants.check_rest(stack)


# ---- crashes in between -------------------------------------------------------------------------

@pytest.mark.parametrize("point", ["drive.start.after", "drive.accepted.saved"])
def test_a_crash_between_accept_and_storing_what_it_returned(stack, point):
    fault = stack.arm(f"schemabot-driver/{point}:crash")
    apply_id = begin(stack, RUNNING, polled=False)
    stack.until(lambda: fault.fired(point), "it crashes")
    released(stack, apply_id)
    assert len(stack.fake.created(apply_id)) == 1


@BOTH
@pytest.mark.parametrize("point", ["drive.halt.stopped", "drive.obey.halted", "control.finish",
                                   "drive.settle.before_commit", "drive.settle.committed"])
def test_a_crash_between_the_effect_of_a_stop_and_its_end(stack, database, point):
    apply_id = begin(stack, RUNNING, database=database)
    fault = stack.arm(f"schemabot-driver/{point}:crash")
    stack.control("stop", apply_id).expect(200)
    stack.until(lambda: fault.fired(point), "it crashes")
    stack.wait_state(apply_id, "stopped")
    assert ended(stack) == [("stop", "completed")]
    invariants.check_rest(stack)
    released_again(stack, apply_id)


@pytest.mark.parametrize("call", ["stop", "cancel", "cutover", "start", "poll"])
def test_a_lease_lost_during_a_call_discards_its_result(stack, call):
    """The call's answer comes when somebody else owns the operation: it is nobody's."""
    if call == "start":
        apply_id = begin(stack, {"call": "start", "wait_after": "gate", "nth": 1}, RUNNING,
                         polled=False)
    elif call == "poll":
        apply_id = begin(stack, {"call": "poll", "wait_after": "gate", "nth": 1}, RUNNING,
                         polled=False)
    elif call == "cutover":
        apply_id = begin(stack, {"call": "cutover", "wait": "gate", "nth": 1},
                         defer_cutover=True)
        stack.wait_state(apply_id, "waiting_for_cutover")
        stack.control(call, apply_id).expect(200)
    else:
        apply_id = begin(stack, RUNNING, {"call": call, "wait": "gate", "nth": 1})
        stack.control(call, apply_id).expect(200)
    stack.until(lambda: stack.fake.arrived("gate"), "it is called")
    owner = stack.storage("SELECT lease_token AS t FROM apply_operations")[0]["t"]
    if call == "cutover":  # it is sent under the row's lock: nobody can take it away
        stack.fake.release("gate")
        stack.wait_state(apply_id, "completed")
        assert ended(stack) == [("cutover", "completed")]
        return
    stack.expire_lease(apply_id)
    stack.until(lambda: stack.storage("SELECT lease_token AS t FROM apply_operations")[0]["t"]
                > owner, "it is claimed by another")
    stack.fake.release("gate")
    state = {"stop": "stopped", "cancel": "cancelled"}.get(call)
    if state:
        stack.wait_state(apply_id, state)
        assert ended(stack) == [(call, "completed")]
    else:
        released(stack, apply_id)
    written = stack.storage("SELECT lease_token AS t FROM apply_logs WHERE lease_token > 0"
                            " ORDER BY id DESC LIMIT 1")[0]["t"]
    assert written > owner
    invariants.check_rest(stack)


# ---- several deployments ------------------------------------------------------------------------

def test_a_request_ends_when_the_last_deployment_that_it_concerns_has_obeyed(stack):
    """Volume and cutover of three deployments at once, one of them slow to answer."""
    stack.fake.script(RUNNING, {"call": "set_volume", "deployment": "us", "wait": "slow"})
    plan = stack.plan([USERS], "parallel_halt", database="fakerollout")
    apply_id = stack.apply(plan, defer_cutover=True)
    stack.until(lambda: {c["deployment"] for c in stack.fake.calls("poll")}
                == {"eu", "us", "ap"}, "all are polled")
    stack.control("volume", apply_id, "parallel_halt", volume=5).expect(200)
    stack.until(lambda: {c["deployment"] for c in stack.fake.calls("set_volume")}
                == {"eu", "ap"} and stack.fake.arrived("slow"), "two have obeyed")
    assert requests(stack) == [("volume", "pending")]
    stack.fake.release("slow")
    assert ended(stack) == [("volume", "completed")]
    stack.fake.release("running")
    stack.wait_state(apply_id, "waiting_for_cutover")
    stack.control("cutover", apply_id, "parallel_halt").expect(200)
    stack.wait_state(apply_id, "completed")
    assert ended(stack)[1] == ("cutover", "completed")
    assert sorted(c["deployment"] for c in stack.fake.calls("cutover")) == ["ap", "eu", "us"]
    invariants.check_rest(stack)
