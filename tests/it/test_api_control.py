"""
test_api_control.py - POST /api/stop, start, cancel, cutover, volume: recorded before they are
acknowledged, refused with the states that allow them. What they do is test_drive.py's.
"""
import concurrent.futures

import pytest
from api_schema import Checked, snapshot

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
VERBS = ("stop", "start", "cancel", "cutover", "volume")


@pytest.fixture
def client(api):
    return Checked(api)


def fields(verb, **more):
    return {**({"volume": 5} if verb == "volume" else {}), **more}


def requests(stack):
    return [(r["operation"], r["status"], r["requested_by"]) for r in stack.storage(
        "SELECT operation, status, requested_by FROM apply_control_requests ORDER BY id")]


def test_which_apply(idle, client):
    apply_id = idle.apply(idle.plan([USERS]))
    before = snapshot(idle)
    for verb in VERBS:
        path = f"/api/{verb}"
        client.refused(400, "invalid_request", "'apply_id'", "POST", path, fields(verb))
        client.refused(400, "invalid_request", "'environment'", "POST", path,
                       fields(verb, database="shop"))
        client.refused(404, "not_found", "'apply-x'", "POST", path, fields(verb, apply_id="apply-x"))
        client.refused(404, "not_found", "shop/production", "POST", path,
                       fields(verb, database="shop", environment="production"))
        client.refused(400, "invalid_request", ["'environment'", "'staging'"], "POST", path,
                       fields(verb, apply_id=apply_id, environment="production"))
        client.refused(400, "invalid_request", ["'database'", "'shop'"], "POST", path,
                       fields(verb, apply_id=apply_id, database="store"))
        client.refused(400, "invalid_request", "'deployment'", "POST", path,
                       fields(verb, apply_id=apply_id, deployment="elsewhere"))
        client.refused(400, "invalid_request", "'colour'", "POST", path,
                       fields(verb, apply_id=apply_id, colour="red"))
        client.refused(400, "invalid_request", "control character", "POST", path,
                       fields(verb, apply_id=apply_id, caller="a\x01b"))
    assert snapshot(idle) == before


def test_stop_is_recorded_once(idle, client):
    apply_id = idle.apply(idle.plan([USERS]))
    body = {"apply_id": apply_id, "environment": "staging", "caller": "me"}
    reply = client.post("/api/stop", body)
    assert reply.expect(200) == {"accepted": True, "status": "queued", "apply_id": apply_id,
                                 "state": "pending", "stopped_count": 1, "skipped_count": 0}
    by_database = {"database": "Shop", "environment": "Staging"}
    for again in (body, by_database):
        reply = client.post("/api/stop", again)
        assert reply.expect(202)["status"] == "already_requested"
    assert requests(idle) == [("stop", "pending", "writer:me")]
    # Stop outranks what would continue it; cancel does not wait for stop.
    client.refused(409, "conflict", "stop", "POST", "/api/start", body)
    client.post("/api/cancel", body).expect(200)
    assert [r[:2] for r in requests(idle)] == [("stop", "pending"), ("cancel", "pending")]


def test_start_after_stop(stack, client):
    with stack.faults("engine.mysql.start:wait=@FILE@") as fault:
        apply_id = stack.apply(stack.plan([USERS]))
        stack.until(fault.arrived, "the driver is about to start")
        client.post("/api/stop", {"apply_id": apply_id}).expect(200)
        fault.release()
        seen = stack.wait_state(apply_id, ("stopped", "completed"))
    if seen["state"] == "stopped":  # the statement may have been faster
        reply = client.post("/api/start", {"database": "shop", "environment": "staging"})
        assert reply.expect(200)["started_count"] == 1
        stack.wait_state(apply_id, "completed")
    assert stack.tables() == ["users"]


def test_concurrent_stops_are_one_request(idle):
    apply_id = idle.apply(idle.plan([USERS]))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: idle.control("stop", apply_id), range(16)))
    assert sorted(r.status for r in replies) == [200] + 15 * [202], replies
    assert len(requests(idle)) == 1


WHEN_SETTLED = [
    ("stop", 409, "conflict", ["completed", "pending", "retrying"]),
    ("start", 409, "conflict", ["completed", "stopped"]),
    ("cancel", 409, "conflict", ["completed", "until"]),
    ("cutover", 409, "conflict", ["completed", "waiting_for_cutover"]),
    ("volume", 409, "conflict", "completed"),
]


def test_settled_apply(stack, client):
    apply_id = stack.run([USERS])["apply_id"]
    for verb, status, code, says in WHEN_SETTLED:
        client.refused(status, code, says, "POST", f"/api/{verb}",
                       fields(verb, apply_id=apply_id))
    assert requests(stack) == []


WRONG_STATES = [
    ("pending", "start", ["pending", "stopped"]),
    ("running", "start", ["running", "stopped"]),
    ("failed_retryable", "start", ["failed_retryable", "stopped"]),
    ("failed", "stop", ["failed", "pending"]),
    ("cancelled", "start", ["cancelled", "stopped"]),
    ("cancelled", "stop", ["cancelled", "pending"]),
]


def test_wrong_state(idle, client):
    """409, and the sentence says which states allow it."""
    apply_id = idle.apply(idle.plan([USERS]))
    for state, verb, says in WRONG_STATES:
        idle.storage("UPDATE applies SET state = %s WHERE apply_id = %s", (state, apply_id))
        client.refused(409, "conflict", says, "POST", f"/api/{verb}", {"apply_id": apply_id})
    assert requests(idle) == []


def test_volume_bounds(idle, client):
    apply_id = idle.apply(idle.plan([USERS]))
    for volume in (0, 12, -1, 1.5, "5", None, True):
        client.refused(400, "invalid_request", "'volume'", "POST", "/api/volume",
                       {"apply_id": apply_id, "volume": volume})


@pytest.mark.parametrize("point", ["db.commit.lost_before:error", "db.commit.lost_after:error",
                                   "api.control.recorded:crash"])
def test_unconfirmed_request(idle, client, point):
    """Nobody knows whether it was recorded; asking again records it exactly once."""
    apply_id = idle.apply(idle.plan([USERS]))
    with idle.faults(point, part="app") as fault:
        assert client.post("/api/stop", {"apply_id": apply_id}).status == 503
        assert fault.fired(point.split(":")[0])
        client.post("/api/stop", {"apply_id": apply_id}).expect(200, 202)
    assert requests(idle) == [("stop", "pending", "writer")]
