"""
test_why.py - GET /api/why/{apply_id}: it says what the claim does, who is waited for, until
when, and what a person can do; for applies that live, and for rows as crashes leave them.
"""
import datetime
import os
import re
import signal

import pytest
from api_schema import Checked

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
WIDE = USERS.replace("NOT NULL,", "NOT NULL, age int NULL,", 1)
HOUR = "NOW(6) + INTERVAL 1 HOUR"


@pytest.fixture
def client(reader):
    return Checked(reader)


def why(client, apply_id):
    return client.get(f"/api/why/{apply_id}").expect(200)


def only(answer):
    assert len(answer["operations"]) == 1
    return answer["operations"][0]


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_nothing_to_explain(stack, client):
    client.refused(404, "not_found", ["'apply-x'", "/api/status"], "GET", "/api/why/apply-x")


def test_the_life_of_an_apply(stack, client):
    stack.target(USERS)
    application = stack.connect("shop_staging")
    application.autocommit(False)
    with application.cursor() as cursor:  # the change has to wait for its transaction
        cursor.execute("SELECT COUNT(*) AS n FROM users")
        apply_id = stack.apply(stack.plan([WIDE]))
        stack.until(lambda: stack.storage("SELECT id FROM tasks WHERE state = 'running'"),
                    "the statement is being executed")
        driver = stack.driver_of(apply_id)
        assert driver in stack.drivers()
        answer = why(client, apply_id)
        op = only(answer)
        assert (op["situation"], op["claimable"], op["state"]) == ("driven", False, "running")
        assert op["driver"].endswith(f"/{driver}") and str(driver) in op["sentence"]
        assert "does not match" in op["clause"] and op["attempts_left"] == 10
        assert answer["sentence"] == op["sentence"]
        assert answer["next_due_at"] == op["next_due_at"]
        left = moment(op["next_due_at"]) - moment(answer["checked_at"])
        assert 0 < left.total_seconds() <= 60
        assert abs(left.total_seconds() * 1000 - op["due_in_ms"]) < 5
        os.kill(driver, signal.SIGSTOP)  # or it would be obeyed before we look
        stack.control("stop", apply_id).expect(200)
        stop = why(client, apply_id)["requests"]
        os.kill(driver, signal.SIGCONT)
        assert [r["operation"] for r in stop] == ["stop"]
        assert "looks for requests at every step" in stop[0]["sentence"]
        stack.wait_state(apply_id, "stopped")
    application.close()
    answer = why(client, apply_id)
    assert only(answer)["situation"] == "stopped" and "/api/start" in answer["next_step"]
    assert "next_due_at" not in answer and answer["requests"] == []
    assert "claim_after is NULL" in only(answer)["clause"]
    stack.control("start", apply_id).expect(200)
    stack.wait_state(apply_id, "completed")
    reply = client.get(f"/api/why/{apply_id}")
    answer = reply.expect(200)
    assert answer["settled"] and answer["sentence"] == "It is completed."
    assert client.get(f"/api/why/{apply_id}", etag=reply.etag).status == 304


def test_nobody_is_there_to_claim_it(idle, client):
    apply_id = idle.apply(idle.plan([USERS]))
    op = only(why(client, apply_id))
    assert (op["situation"], op["claimable"]) == ("due", True) and "matches" in op["clause"]
    idle.storage("UPDATE apply_operations SET claim_after = NOW(6) - INTERVAL 20 SECOND")
    answer = why(client, apply_id)
    assert only(answer)["situation"] == "overdue"
    assert "nobody claims it" in answer["sentence"]
    assert "schemabot-scheduler" in answer["next_step"]
    idle.control("cancel", apply_id).expect(200)
    request = why(client, apply_id)["requests"][0]
    assert request["operation"] == "cancel" and "driver obeys it" in request["sentence"]


def test_a_failed_one_tells_why(rows, client):
    apply = rows.apply("failed", error_message="disk full")
    rows.operation(apply, "failed", error_message="disk full")
    answer = why(client, rows.public_id(apply))
    assert answer["sentence"] == "It has failed: disk full" and "/api/logs" in answer["next_step"]


@pytest.mark.parametrize("state, due, owner, situation, words", [
    ("failed_retryable", HOUR, None, "retrying", ["Retry 5 of 10", "no route to host"]),
    ("failed_retryable", "NOW(6)", None, "due", ["next free driver"]),
    ("running", HOUR, None, "parked", ["without us", "looks again"]),
    ("running", HOUR, "h/1", "driven", ["h/1", "another takes over"]),
    ("running", "NOW(6) - INTERVAL 2 SECOND", "h/1", "driver_died", ["h/1", "takes over"]),
    ("running", "NOW(6) - INTERVAL 2 MINUTE", "h/1", "overdue", [r"1[23]\d s", "h/1"]),
    ("waiting_for_cutover", HOUR, "h/1", "driven", ["ready for its cutover"]),
    ("pending", HOUR, None, "waiting", ["before"]),
    ("pending", None, None, "unreleased", ["the reaper"]),
    ("waiting_for_deploy", HOUR, None, "parked", ["operator to start the deployment"]),
    ("revert_window", HOUR, None, "parked", ["reverted for a while"])])
def test_situations(rows, client, state, due, owner, situation, words):
    apply = rows.apply(state)
    rows.operation(apply, state, due, owner, attempt=4, error_message="no route to host")
    answer = why(client, rows.public_id(apply))
    op = only(answer)
    assert op["situation"] == situation
    assert all(re.search(w, op["sentence"]) for w in words), op["sentence"]
    claimable = rows.count("apply_operations", "claim_after <= NOW(6)")
    assert op["claimable"] == bool(claimable)
    assert op["attempts_left"] == 6


@pytest.mark.parametrize("policy, on_failure, states, situations, blocker", [
    ("rolling", "halt", ["running", "pending", "pending"], ["driven", "held", "held"], "d0"),
    ("barrier", "halt", ["running", "pending", "pending"], ["driven", "held", "held"], "d0"),
    ("rolling", "pause", ["failed", "pending", "pending"], ["settled", "paused", "paused"], "d0"),
    ("rolling", "halt", ["completed", "pending", "pending"],
     ["settled", "unreleased", "held"], "d1"),
    ("barrier", "halt", ["waiting_for_cutover", "failed", "pending"],
     ["driven", "settled", "halted"], "d1")])
def test_rollouts(rows, client, policy, on_failure, states, situations, blocker):
    apply = rows.apply("running", started_at="2026-01-01")
    for i, state in enumerate(states):
        active = state not in ("pending", "failed", "completed")
        rows.operation(apply, state, HOUR if active else None, "h/1" if active else None,
                       deployment=f"d{i}", cutover_policy=policy, on_failure=on_failure,
                       started_at=None if state == "pending" else "2026-01-01")
    answer = why(client, rows.public_id(apply))
    assert [o["situation"] for o in answer["operations"]] == situations
    last = answer["operations"][2]
    assert last["waiting_for"] == blocker and f"'{blocker}'" in last["sentence"]
    assert answer["sentence"].split(":")[0] in ("d0", "d1", "d2")
    if on_failure == "pause":
        assert "/api/release" in answer["next_step"] and "paused" in answer["sentence"]


def test_what_the_engine_waits_for(rows, client):
    apply = rows.apply("running")
    operation = rows.operation(apply, "running", HOUR, "h/1")
    rows.task(apply, operation, "running")
    rows.run("UPDATE tasks SET detail = 'waiting for the table''s lock (try 2 of 8)'")
    op = only(why(client, rows.public_id(apply)))
    assert "try 2 of 8" in op["sentence"] and op["progress_detail"].startswith("waiting for")


def test_requests_wait_for_stops(rows, client):
    apply = rows.apply("running")
    rows.operation(apply, "running", HOUR, "h/1")
    rows.request(apply, "stop")
    rows.request(apply, "volume")
    requests = {r["operation"]: r["sentence"] for r in
                why(client, rows.public_id(apply))["requests"]}
    assert "comes first" in requests["volume"] and "comes first" not in requests["stop"]


# ---- applies that live: rollouts, and an engine that works without us ---------------------------

def by_deployment(answer):
    return {o["deployment"]: o for o in answer["operations"]}


def test_a_rollout_that_waits_for_its_first(stack, client):
    for deployment in ("eu", "us", "ap"):
        stack.sql(USERS, None, f"rollout_{deployment}")
    application = stack.connect("rollout_eu")
    application.autocommit(False)
    with application.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) AS n FROM users")
        apply_id = stack.apply(stack.plan([WIDE], "rolling_halt", database="rollout"))
        stack.until(lambda: stack.storage("SELECT id FROM tasks WHERE state = 'running'"),
                    "the first is at work")
        answer = why(client, apply_id)
        seen = by_deployment(answer)
        assert {d: o["situation"] for d, o in seen.items()} == {
            "eu": "driven", "us": "held", "ap": "held"}
        assert seen["us"]["waiting_for"] == "eu" and "policy rolling" in seen["us"]["sentence"]
        assert answer["sentence"].startswith("eu: A driver")
        # What holds the lock on the table is told, too.
        stack.until(lambda: "lock" in by_deployment(why(client, apply_id))["eu"]["sentence"],
                    "the engine says what it waits for")
    application.rollback()
    application.close()
    stack.wait_state(apply_id, "completed")
    assert {o["situation"] for o in why(client, apply_id)["operations"]} == {"settled"}


def test_a_paused_rollout(stack, client):
    unique = USERS.replace("PRIMARY KEY", "n int NOT NULL, PRIMARY KEY")
    for deployment in ("eu", "us", "ap"):
        stack.sql(unique, None, f"rollout_{deployment}")
    stack.sql("INSERT INTO users VALUES (1, 1), (2, 1)", None, "rollout_eu")
    wanted = unique.replace("PRIMARY KEY (id)", "PRIMARY KEY (id), UNIQUE KEY n (n)")
    apply_id = stack.apply(stack.plan([wanted], "rolling_pause", database="rollout"),
                           allow_unsafe=True)
    stack.wait_state(apply_id, "paused")
    answer = why(client, apply_id)
    seen = by_deployment(answer)
    assert {d: o["situation"] for d, o in seen.items()} == {
        "eu": "settled", "us": "paused", "ap": "paused"}
    assert "/api/release" in answer["next_step"] and "'eu' has failed" in answer["sentence"]
    assert "Duplicate entry" in seen["eu"]["sentence"]
    stack.control("release", apply_id, "rolling_pause").expect(200)
    stack.wait_state(apply_id, "failed")
    assert why(client, apply_id)["released"]


def test_an_engine_that_works_without_us(stack, client):
    stack.fake.script({"call": "poll", "hold": "running"})
    apply_id = stack.apply(stack.plan([USERS], database="fakeshop"))
    stack.until(lambda: only(why(client, apply_id))["situation"] == "parked", "it is parked")
    stack.fake.release("running")
    stack.wait_state(apply_id, "completed")


def test_a_cutover_that_waits_for_an_operator(stack, client):
    apply_id = stack.apply(stack.plan([USERS], database="fakeshop"), defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")

    def parked():
        answer = why(client, apply_id)
        return answer if only(answer)["situation"] == "parked" else None
    answer = stack.until(parked, "it is parked")
    assert "waits for an operator to request it" in answer["sentence"]
    assert "/api/cutover" in answer["next_step"]
    stack.control("cutover", apply_id).expect(200)
    stack.wait_state(apply_id, "completed")
