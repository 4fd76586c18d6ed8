"""
test_api_guard.py - what keeps the API safe: tokens, hostile requests, a storage that is away.
"""
import http.client
import json
import urllib.parse

import pytest
from api_schema import DOCUMENT, Checked, snapshot

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
PLAN = {"database": "shop", "environment": "staging",
        "schema_files": {"shop": {"files": {"users.sql": USERS}}}}


@pytest.fixture
def client(api):
    return Checked(api)


def bodies(apply_id, plan_id):
    """A body for every route that takes one, good enough to be accepted with a write token."""
    control = {"apply_id": apply_id}
    return {
        "/api/plan": PLAN, "/api/pull": {"database": "shop", "environment": "staging"},
        "/api/apply": {"plan_id": plan_id, "environment": "staging"},
        "/api/rollback/plan": {**control, "environment": "staging"},
        "/api/stop": control, "/api/start": control, "/api/cancel": control,
        "/api/cutover": control, "/api/volume": {**control, "volume": 3},
        "/api/release": control, "/api/revert": control, "/api/skip-revert": control,
        "/api/locks/acquire": {"database": "shop", "owner": "me"},
        "/api/locks": {"database": "shop", "force": True},
        "/api/settings": {"key": "k", "value": "v"},
    }


def routes():
    for path, methods in DOCUMENT["paths"].items():
        for method in methods:
            yield method.upper(), path


# ---- tokens -----------------------------------------------------------------------------------

def test_tokens(stack, reader):
    """No route but the public ones without a token; none that changes something with a read
    token; and no refused request leaves a trace."""
    plan = stack.plan([USERS])
    known = bodies("apply-x", plan["plan_id"])
    stack.until(lambda: not stack.drivers(), "the driver is done")
    before = snapshot(stack)
    anybody = Checked(stack.api)
    mutating = 0
    for method, path in routes():
        address = path.replace("{", "").replace("}", "")
        body = known[path] if method != "GET" else None
        if not path.startswith("/api/"):
            continue
        for token in (None, "", "wrong", stack.token + "x", stack.token[:-1]):
            anybody.refused(401, "unauthenticated", "oken", method, address, body, token=token)
        if method == "GET" or path == "/api/pull":
            assert Checked(reader).request(method, address, body).status in (200, 400, 404)
            continue
        Checked(reader).refused(403, "forbidden", "write", method, address, body)
        mutating += 1
    assert mutating == len([1 for m, p in routes() if m != "GET"]) - 1
    assert snapshot(stack) == before


def test_public_routes(stack):
    for path in ("/livez", "/health"):
        reply = Checked(stack.api).get(path, token=None)
        assert reply.expect(200) == {"status": "ok"}
        assert reply.headers["cache-control"] == "no-store"


def test_tokens_stay_out_of_the_logs(stack, api, reader):
    api.get("/api/status").expect(200)
    reader.post("/api/plan", PLAN)
    api.get("/api/status", token="not-a-token-of-ours")
    for log in (stack.dir / "logs").glob("*.log"):
        text = log.read_text(errors="replace")
        assert stack.token not in text and stack.read_token not in text
        assert "not-a-token-of-ours" not in text, log


# ---- hostile requests -----------------------------------------------------------------------------

HOSTILE = ["'", '"', "\\", "`", "%", ";--", "' OR 1=1 -- ", "\\'; DROP TABLE applies; -- ", "😀",
           "<script>", "%s%n%n", "../../etc/passwd", "a" * 64, "\u202e\u2066", "{}", "NULL", "-1"]


def test_hostile_text_everywhere(stack, client):
    """Every text field of every request: a 4xx or a harmless success, and nothing breaks."""
    plan = stack.plan([USERS])
    for text in HOSTILE:
        quoted = urllib.parse.quote(text, safe="")
        for path, body in bodies("apply-x", plan["plan_id"]).items():
            if path == "/api/locks":
                continue
            for field in [f for f, value in body.items() if isinstance(value, str)]:
                if (path, field) in (("/api/locks/acquire", "owner"), ("/api/settings", "value"),
                                     ("/api/settings", "key")):
                    continue  # may be accepted, see below
                reply = client.post(path, {**body, field: text})
                assert 400 <= reply.status < 500, (path, field, reply)
        for path in ("/api/progress/apply/{}", "/api/progress/{}", "/api/plans/{}", "/api/logs/{}",
                     "/api/history/{}", "/api/settings/{}", "/api/databases/{}/environments",
                     "/api/locks/{}/mysql", "/api/status?state={}", "/api/status?last={}",
                     "/api/status?limit={}", "/api/logs?apply_id={}", "/api/history/shop?after={}"):
            reply = client.get(path.format(quoted))
            assert 400 <= reply.status < 500, (path, text, reply)
        assert client.get(f"/api/status?database={quoted}").expect(200)["applies"] == []
        assert client.post("/api/settings", {"key": text, "value": ""}).status == \
            (200 if text in ("a" * 64, "-1") else 400)
        setting = {"key": "k", "value": text}
        assert client.post("/api/settings", setting).expect(200)["value"] == text
        owner = {"database": "shop", "owner": text}
        lock = client.post("/api/locks/acquire", owner).expect(200)["lock"]
        assert lock["owner"] == text
        client.delete("/api/locks", owner).expect(200)
    assert stack.storage("SELECT COUNT(*) AS n FROM applies")[0]["n"] == 0
    for line in stack.log_text("app").splitlines():
        json.loads(line)  # no text of a client's has forged or broken a line


MALFORMED = [
    (b"", "missing"),
    (b"{", "JSON"),
    (b"nonsense", "JSON"),
    (b"[]", "object"),
    (b'"text"', "object"),
    (b'{"database":"shop"} {}', "after"),
    (b'{"database":"sh\xffp"}', "UTF-8"),
    (b'{"database":"sh\xed\xa0\x80p"}', "UTF-8"),
    (b'{"schema_files":' + b"[" * 40 + b"]" * 40 + b"}", "JSON"),
    (b"[" * 100000, "JSON"),
    (b'{"a":' * 10000, "JSON"),
    (json.dumps({**PLAN, "more": 1}).encode(), "'more'"),
    (json.dumps({**PLAN, "database": 7}).encode(), "'database'"),
    (json.dumps({**PLAN, "database": "shop\0"}).encode(), "'database'"),
    (json.dumps({k: v for k, v in PLAN.items() if k != "database"}).encode(), "'database'"),
]


def test_malformed_bodies(stack, client):
    for body, says in MALFORMED:
        client.refused(400, "invalid_request", says, "POST", "/api/plan", body)


def test_large_bodies(stack, client):
    """4 MiB is accepted, one byte more is not, announced or chunked."""
    def padded(size):
        body = json.dumps(PLAN).encode()
        return body + b" " * (size - len(body))

    client.post("/api/plan", padded(4 << 20)).expect(200)
    assert client.post("/api/plan", padded((4 << 20) + 1)).status == 413
    address = urllib.parse.urlsplit(stack.url)
    for size, status in ((4 << 20, 200), ((4 << 20) + 1, 413)):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        try:
            body = padded(size)
            connection.request("POST", "/api/plan",
                               (body[i:i + 65536] for i in range(0, len(body), 65536)),
                               {"Authorization": f"Bearer {stack.token}",
                                "Content-Type": "application/json"}, encode_chunked=True)
            assert connection.getresponse().status == status
        except (BrokenPipeError, ConnectionResetError):
            assert status == 413  # it closed before it had read all of it
        finally:
            connection.close()


def test_content_types_do_not_matter(stack, client):
    """curl -d calls its body a form; it is read as the JSON that it has to be."""
    for kind in ("application/json; charset=utf-8", "text/plain",
                 "application/x-www-form-urlencoded"):
        client.post("/api/plan", json.dumps(PLAN), headers={"Content-Type": kind}).expect(200)
        client.refused(400, "invalid_request", "JSON", "POST", "/api/plan", "a=b",
                       headers={"Content-Type": kind})


def test_request_ids(stack, client):
    """nginx gives each request one; the reply and the log carry the same."""
    reply = client.post("/api/settings", {"key": "k", "value": "v"},
                        headers={"X-Request-Id": "chosen-by-the-client"})
    request_id = reply.headers["x-request-id"]
    assert request_id != "chosen-by-the-client"
    lines = [json.loads(line) for line in stack.log_text("app").splitlines()]
    assert [r["event"] for r in lines if r.get("request_id") == request_id] == ["api.setting.set"]


# ---- storage away ------------------------------------------------------------------------------------

def test_without_storage(fresh_stack):
    """Everything that needs it is a 503 that says so; liveness and metrics answer; the same
    workers go on when it is back, and nothing is lost."""
    stack = fresh_stack()
    client = Checked(stack.api)
    stack.target(USERS)
    apply_id = stack.run([USERS.replace("NOT NULL,", "NOT NULL, a int NULL,", 1)])["apply_id"]
    plan = stack.plan([USERS.replace("NOT NULL,", "NOT NULL, b int NULL,", 1)])
    known = bodies(apply_id, plan["plan_id"])
    workers = stack.processes("schemabot.fcgi")
    rows = snapshot(stack)[0]["applies"]
    stack.command("stop-db")
    try:
        assert client.get("/livez").expect(200) == {"status": "ok"}
        for _ in range(2 * len(workers)):
            client.refused(503, "storage_error", "storage", "GET", "/health")
        for method, path in routes():
            address = path.format(apply_id=apply_id, plan_id=plan["plan_id"], database="shop",
                                  database_type="mysql", key="k")
            address += f"?apply_id={apply_id}" if path == "/api/logs" else ""
            if not path.startswith("/api/") or path in ("/api/lint-rules", "/api/openapi.json") or "databases" in path:
                continue
            # The target is on the same server here; otherwise a plan would get further.
            code = "engine_unavailable" if path in ("/api/plan", "/api/pull") else "storage_error"
            reply = client.refused(503, code, "ry again", method, address,
                                   None if method == "GET" else known[path])
            assert int(reply.headers["retry-after"]) > 0
        assert 'schemabot_storage_up{environment="unknown"} 0' in _metrics(stack)
        for path in ("/api/databases", "/api/lint-rules", "/api/openapi.json"):
            client.get(path).expect(200)
    finally:
        stack.command("start-db")
    for _ in range(2 * len(workers)):
        assert client.get("/health").expect(200) == {"status": "ok"}
        assert client.get(f"/api/progress/apply/{apply_id}").expect(200)["state"] == "completed"
    assert stack.processes("schemabot.fcgi") == workers
    assert snapshot(stack)[0]["applies"] == rows
    stack.wait_state(stack.apply(plan, allow_unsafe=True), "completed")


def test_a_restarted_storage(fresh_stack):
    """A connection that died meanwhile is no reason to refuse anything."""
    stack = fresh_stack()
    client = Checked(stack.api)
    for _ in range(4):
        client.get("/api/status").expect(200)
    stack.command("restart-db")
    for _ in range(4):
        client.get("/api/status").expect(200)
    stack.command("restart-db", "--kill")
    for i in range(4):
        client.post("/api/settings", {"key": "k", "value": str(i)}).expect(200)


def _metrics(stack):
    address = urllib.parse.urlsplit(stack.metrics_url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    try:
        connection.request("GET", address.path)
        reply = connection.getresponse()
        assert reply.status == 200
        return reply.read().decode()
    finally:
        connection.close()


def test_a_storage_that_is_not_ours(fresh_stack):
    """A missing table: 500 that says what to run, and a 503 without details for strangers."""
    stack = fresh_stack()
    client = Checked(stack.api)
    stack.storage("RENAME TABLE settings TO settings_away")
    stack.command("restart-app")
    client.refused(500, "configuration_error", "--converge-storage", "GET", "/api/status")
    reply = client.refused(503, "storage_error", "storage", "GET", "/health", token=None)
    assert "settings" not in reply.text
    client.get("/livez").expect(200)
    stack.storage("RENAME TABLE settings_away TO settings")
    client.get("/api/status").expect(200)


# ---- processes ------------------------------------------------------------------------------------------

def test_a_crashed_worker_is_replaced(fresh_stack):
    stack = fresh_stack()
    workers = stack.processes("schemabot.fcgi")
    stack.kill(workers)
    stack.until(lambda: stack.api.get("/health").status == 200, "new workers answer")
    assert not set(workers) & set(stack.processes("schemabot.fcgi"))


def test_term_finishes_the_request_in_hand(fresh_stack):
    """SIGTERM while a plan is being made: the plan is answered, then the worker ends."""
    import signal
    import threading
    stack = fresh_stack()
    workers = stack.processes("schemabot.fcgi")
    with stack.faults("plan.insert:wait=@FILE@", part="app") as fault:
        workers = stack.processes("schemabot.fcgi")
        replies = []
        thread = threading.Thread(target=lambda: replies.append(stack.post_plan([USERS])))
        thread.start()
        stack.until(fault.arrived, "the plan is about to be stored")
        stack.kill(workers, signal.SIGTERM)
        stack.until(lambda: len(set(workers) & set(stack.processes("schemabot.fcgi"))) <= 1,
                    "the idle worker ends")
        fault.release()
        thread.join(30)
        assert replies[0].status == 200, replies
        stack.until(lambda: not set(workers) & set(stack.processes("schemabot.fcgi")),
                    "the busy worker ends")
    stack.until(lambda: stack.api.get("/health").status == 200, "new workers answer")
