"""
test_api_reads.py - what can be read, and that reading changes nothing (DESIGN.md 8.8).
"""
import http.client
import json
import urllib.parse

import pytest
from api_schema import DOCUMENT, Checked, check_reply, snapshot

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"


def users(columns):
    return USERS.replace("NOT NULL,", "NOT NULL," + "".join(
        f" c{i} int NULL," for i in range(columns)), 1)


@pytest.fixture
def client(reader):
    return Checked(reader)


def some_applies(stack, n):
    """n completed applies of staging, oldest first."""
    return [stack.run([users(i)], caller=f"c{i}")["apply_id"] for i in range(n)]


# ---- progress -------------------------------------------------------------------------------

def test_progress_of_nothing(stack, client):
    client.refused(404, "not_found", ["'apply-x'", "/api/status"], "GET",
                   "/api/progress/apply/apply-x")
    client.refused(404, "not_found", "'apply-x'", "GET", "/api/progress/apply/apply-x",
                   etag='W/"apply-x-1"')
    client.refused(404, "not_found", ["'shop'", "/api/databases"], "GET", "/api/progress/shop")
    client.refused(404, "not_found", "environment", "GET",
                   "/api/progress/shop?environment=staging")


def test_progress_and_its_etag(stack, api, client):
    with stack.faults("engine.mysql.start:wait=@FILE@") as fault:
        apply_id = stack.apply(stack.plan([USERS]))
        stack.until(fault.arrived, "the driver is about to start")
        first = client.get(f"/api/progress/apply/{apply_id}")
        assert first.expect(200)["state"] == "running"
        assert first.etag.startswith(f'W/"{apply_id}-')
        assert first.headers["cache-control"] == "private, no-cache"
        for etag in (first.etag, first.etag[2:], f'"x", {first.etag}', "*"):
            same = client.get(f"/api/progress/apply/{apply_id}", etag=etag)
            assert same.status == 304 and same.etag == first.etag
        for path in ("/api/progress/shop", "/api/progress/SHOP?environment=Staging"):
            assert client.get(path).expect(200)["apply_id"] == apply_id
            assert client.get(path, etag=first.etag).status == 304
        client.refused(404, "not_found", "environment", "GET",
                       "/api/progress/shop?environment=production")
    stack.wait_state(apply_id, "completed")
    last = client.get(f"/api/progress/apply/{apply_id}", etag=first.etag)
    assert last.expect(200)["state"] == "completed" and last.etag != first.etag
    assert last.json["started_at"] <= last.json["completed_at"]
    assert last.json["summary"] == "1 table: 1 completed"
    # The latest one when none is active.
    assert client.get("/api/progress/shop").json == last.json


def test_progress_of_a_retrying_apply(idle, client):
    apply_id = idle.apply(idle.plan([USERS]))
    idle.storage("UPDATE applies SET state = 'failed_retryable', error_code = 'engine_error',"
                 " error_message = 'why' WHERE apply_id = %s", (apply_id,))
    progress = client.get(f"/api/progress/apply/{apply_id}").expect(200)
    assert progress["state_label"] == "Retrying"
    assert progress["error_code"] == "engine_error_retryable"
    assert progress["error_message"] == "why"


# ---- lists ------------------------------------------------------------------------------------

def test_status(stack, client):
    empty = client.get("/api/status").expect(200)
    assert empty == {"active_count": 0, "state_counts": {}, "applies": [], "has_more": False}
    ids = some_applies(stack, 5)
    stack.command("stop-cron")
    try:
        pending = stack.apply(stack.plan([USERS], "production"))
        status = client.get("/api/status").expect(200)
        assert [a["apply_id"] for a in status["applies"]] == [pending, *reversed(ids)]
        assert status["active_count"] == 1 and not status["has_more"]
        assert status["state_counts"] == {"completed": 5, "pending": 1}

        def listed(query):
            reply = client.get(f"/api/status?{query}").expect(200)
            return [a["apply_id"] for a in reply["applies"]], reply["has_more"]

        assert listed("limit=2") == ([pending, ids[-1]], True)
        assert listed("limit=6")[1] is False
        assert listed("active=true") == ([pending], False)
        assert listed("environment=Production") == ([pending], False)
        assert listed("database=shop&limit=1") == ([pending], True)
        assert listed("database=store") == ([], False)
        assert listed("deployment=nowhere") == ([], False)
        assert listed("state=completed&limit=2") == ([ids[4], ids[3]], True)
        assert listed("failures=true") == ([], False)
        assert listed("state=recovering_cutover") == ([], False)  # an older name
        client.refused(400, "invalid_request", "'nonsense'", "GET", "/api/status?state=nonsense")
        assert len(listed("last=1h")[0]) == 6
        stack.storage("UPDATE applies SET created_at = created_at - INTERVAL 2 HOUR"
                      " WHERE apply_id = %s", (ids[0],))
        assert len(listed("last=1h")[0]) == 5
        assert len(listed("last=1d")[0]) == 6
        stack.storage("UPDATE applies SET state = 'failed', error_code = 'engine_error',"
                      " error_message = %s WHERE apply_id = %s", ("é" * 200, ids[0]))
        failed = client.get("/api/status?failures=true").expect(200)["applies"]
        assert [a["apply_id"] for a in failed] == [ids[0]]
        assert len(failed[0]["error"].encode()) <= 240
    finally:
        stack.command("restart-cron")


def test_cursors_show_everything_once(stack, client):
    ids = some_applies(stack, 5)
    for path in ("/api/status?limit=2&after={}", "/api/history/shop?limit=2&after={}"):
        seen, after = [], ""
        while True:
            page = client.get(path.format(after)).expect(200)
            seen += [a["apply_id"] for a in page["applies"]]
            after = page.get("next_after")
            assert (after is not None) == page["has_more"]
            if not page["has_more"]:
                break
        assert seen == ids[::-1]
        client.refused(400, "invalid_request", "'apply-x'", "GET", path.format("apply-x"))


def test_history(stack, client):
    assert client.get("/api/history/shop").expect(200)["applies"] == []
    client.refused(404, "not_found", "'store'", "GET", "/api/history/store")
    ids = some_applies(stack, 2)
    production = stack.run([USERS], "production")["apply_id"]
    history = client.get("/api/history/Shop").expect(200)
    assert history["database"] == "shop"
    assert [a["apply_id"] for a in history["applies"]] == [production, *ids[::-1]]
    assert history["applies"][1]["caller"] == "writer:c1"
    history = client.get("/api/history/shop?environment=production").expect(200)
    assert [a["apply_id"] for a in history["applies"]] == [production]
    # A database that left the configuration still has its history.
    stack.storage("UPDATE applies SET database_name = 'store' WHERE apply_id = %s", (production,))
    assert len(client.get("/api/history/store").expect(200)["applies"]) == 1


def test_logs(stack, client):
    client.refused(404, "not_found", "'shop'", "GET", "/api/logs/shop")
    client.refused(400, "invalid_request", "'apply_id'", "GET", "/api/logs")
    client.refused(404, "not_found", "'apply-x'", "GET", "/api/logs?apply_id=apply-x")
    first, second = some_applies(stack, 2)
    logs = client.get(f"/api/logs?apply_id={first}").expect(200)
    lines = logs["logs"]
    assert logs["apply_id"] == first and {e["apply_id"] for e in lines} == {first}
    assert [e["id"] for e in lines] == sorted(e["id"] for e in lines) and len(lines) >= 4
    assert lines[-1]["new_state"] == "completed"
    assert client.get("/api/logs/shop").expect(200)["apply_id"] == second
    assert client.get(f"/api/logs/shop?apply_id={first}").json == logs
    newest = client.get(f"/api/logs?apply_id={first}&limit=2").expect(200)["logs"]
    assert newest == lines[-2:]
    older = client.get(f"/api/logs?apply_id={first}&limit=2&before={newest[0]['id']}")
    assert older.expect(200)["logs"] == lines[-4:-2]
    client.refused(404, "not_found", first, "GET", f"/api/logs/store?apply_id={first}")
    client.refused(404, "not_found", first, "GET",
                   f"/api/logs/shop?apply_id={first}&environment=production")


def test_databases(client):
    databases = client.get("/api/databases").expect(200)["databases"]
    assert [d for d in databases if d["database"] == "shop"] == [
        {"database": "shop", "database_type": "mysql",
         "environments": ["staging", "production"]}]
    reply = client.get("/api/databases/shop/environments").expect(200)
    assert [e["environment"] for e in reply["environments"]] == ["staging", "production"]
    assert {tuple(e["namespaces"]) for e in reply["environments"]} == {("shop",)}
    client.refused(404, "not_found", "'store'", "GET", "/api/databases/store/environments")


def test_pull_is_what_a_plan_takes(stack, api, client):
    stack.target(USERS)
    stack.target("CREATE TABLE `a/b%c` (id int NOT NULL PRIMARY KEY, s varchar(9) DEFAULT '%s')")
    pulled = client.post("/api/pull", {"database": "shop", "environment": "staging",
                                       "namespaces": ["Shop"]}).expect(200)
    assert sorted(pulled["schema_files"]["shop"]["files"]) == ["a%2Fb%25c.sql", "users.sql"]
    plan = Checked(api).post("/api/plan", {
        "database": "shop", "environment": "staging",
        "schema_files": pulled["schema_files"]}).expect(200)
    assert plan["errors"] == [] and plan["changes"] == []
    none = client.post("/api/pull", {"database": "shop", "environment": "staging",
                                     "namespaces": []}).expect(200)
    assert none["schema_files"] == {}
    client.refused(404, "deployment_not_found", "'store'", "POST", "/api/pull",
                   {"database": "store", "environment": "staging"})


def test_pull_with_the_catalog(stack, client):
    """What definitions do not say: sizes, indexes, partitions, and what is left alone."""
    ask = {"database": "shop", "environment": "staging"}
    assert "catalog" not in client.post("/api/pull", ask).expect(200)
    stack.target("CREATE TABLE users (id int NOT NULL, a int, b varchar(20), PRIMARY KEY (id), UNIQUE KEY ab (a,b), KEY b (b)) ENGINE=InnoDB")
    stack.target("INSERT INTO users VALUES (1, 1, 'x'), (2, 1, 'y'), (3, 2, 'y')")
    stack.target("CREATE TABLE parts (id int NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id)"
                 " (PARTITION z VALUES LESS THAN (10), PARTITION a VALUES LESS THAN (20))")
    stack.target("INSERT INTO parts VALUES (1), (2), (11)")
    stack.target("CREATE VIEW v AS SELECT id FROM users")
    stack.target("ANALYZE TABLE users, parts")
    if stack.flavor == "mariadb":
        stack.target("CREATE SEQUENCE s")
    pulled = client.post("/api/pull", {**ask, "catalog_detail": True}).expect(200)
    assert sorted(pulled["schema_files"]["shop"]["files"]) == ["parts.sql", "users.sql"]
    assert list(pulled["catalog"]) == ["shop"]
    catalog = pulled["catalog"]["shop"]
    assert catalog["truncated"] is False
    parts, users = catalog["tables"]
    assert (parts["table_name"], users["table_name"], users["engine"]) == ("parts", "users", "InnoDB")
    assert users["table_rows"] == 3 and users["data_bytes"] > 0 and users["index_bytes"] > 0
    assert users["created_at"].endswith("Z") and users["partitions"] == []
    indexes = {x["name"]: x for x in users["indexes"]}
    assert {n: (x["columns"], x["is_unique"]) for n, x in indexes.items()} == {
        "PRIMARY": (["id"], True), "ab": (["a", "b"], True), "b": (["b"], False)}
    assert indexes["ab"]["cardinality"] == 3 and indexes["b"]["type"] == "BTREE"
    assert [(p["name"], p["method"], p["table_rows"]) for p in parts["partitions"]] == [("z", "RANGE", 2), ("a", "RANGE", 1)]
    others = {(x["name"], x["type"]) for x in catalog["unmanaged"]}
    assert others == {("v", "view")} | ({("s", "sequence")} if stack.flavor == "mariadb" else set())
    client.refused(400, "invalid_request", "'catalog_detail'", "POST", "/api/pull", {**ask, "catalog_detail": "yes"})



# ---- locks and settings ----------------------------------------------------------------------------

def test_locks(api, client):
    writer = Checked(api)
    assert client.get("/api/locks").expect(200) == {"locks": []}
    client.refused(404, "not_found", "'shop'", "GET", "/api/locks/shop/mysql")
    wanted = {"database": "shop", "database_type": "mysql", "owner": "o/r#7",
              "repository": "o/r", "pull_request": 7}
    lock = writer.post("/api/locks/acquire", wanted).expect(200)["lock"]
    assert {name: lock[name] for name in wanted} == wanted
    again = writer.post("/api/locks/acquire", wanted).expect(200)["lock"]
    assert again["created_at"] == lock["created_at"]
    other = {"database": "SHOP", "owner": "cli:me@here"}
    reply = writer.refused(409, "lock_conflict", "o/r#7", "POST", "/api/locks/acquire", other)
    assert reply.json["current_lock"] == again
    assert client.get("/api/locks").expect(200) == {"locks": [again]}
    assert client.get("/api/locks/Shop/mysql").expect(200) == {"lock": again}
    writer.refused(403, "lock_not_owned", "o/r#7", "DELETE", "/api/locks", other)
    assert writer.delete("/api/locks", {"database": "shop", "owner": "o/r#7"}).expect(200) == \
        {"status": "released"}
    writer.refused(404, "not_found", "'shop'", "DELETE", "/api/locks",
                   {"database": "shop", "owner": "o/r#7"})
    writer.post("/api/locks/acquire", other).expect(200)
    writer.refused(403, "lock_not_owned", "cli:me@here", "DELETE",
                   "/api/locks?database=shop&owner=" + urllib.parse.quote("o/r#7", safe=""))
    writer.delete("/api/locks?database=shop&force=true").expect(200)


def test_settings(api, client):
    writer = Checked(api)
    assert client.get("/api/settings").expect(200) == {"settings": []}
    client.refused(404, "not_found", "'a.b'", "GET", "/api/settings/a.b")
    for value in ("one", "", "zwei ' \" \\ % 😀"):
        setting = writer.post("/api/settings", {"key": "a.b", "value": value}).expect(200)
        assert (setting["key"], setting["value"]) == ("a.b", value)
        assert client.get("/api/settings/a.b").expect(200) == setting
    assert client.get("/api/settings").expect(200) == {"settings": [setting]}
    writer.refused(400, "invalid_request", "'value'", "POST", "/api/settings",
                   {"key": "a", "value": "x" * 4097})


# ---- all of them --------------------------------------------------------------------------------------

def addresses(apply_id, plan_id, database="shop", key="k"):
    """Every GET of the document, filled in."""
    values = {"apply_id": apply_id, "plan_id": plan_id, "database": database,
              "database_type": "mysql", "key": key}
    for pattern, methods in DOCUMENT["paths"].items():
        if "get" in methods and pattern != "/metrics":
            path = pattern.format(**values)
            yield path + (f"?apply_id={apply_id}" if path == "/api/logs" else "")


def test_reading_changes_nothing(stack, api, client):
    """Every read, with and without something to find: not one row or table is different."""
    plan = stack.plan([USERS])
    apply_id = stack.apply(plan)
    stack.wait_state(apply_id, "completed")
    api.post("/api/settings", {"key": "k", "value": "v"}).expect(200)
    api.post("/api/locks/acquire", {"database": "shop", "owner": "me"}).expect(200)
    stack.until(lambda: not stack.drivers(), "the driver is done")
    before = snapshot(stack)
    for path in addresses(apply_id, plan["plan_id"]):
        reply = client.get(path)
        assert reply.status == 200, f"{path}: {reply}"
        assert client.request("HEAD", path).status == 200, path
        if reply.etag:
            assert client.get(path, etag=reply.etag).status == 304, path
    for path in addresses("apply-x", "plan-x", database="store", key="not"):
        assert client.get(path).status in (200, 404), path
    client.post("/api/pull", {"database": "shop", "environment": "staging"}).expect(200)
    assert snapshot(stack) == before


def test_the_document_is_served(client):
    assert client.get("/api/openapi.json").expect(200) == DOCUMENT


def test_unknown_parameters_are_refused(stack, client):
    for path in addresses("apply-x", "plan-x"):
        client.refused(400, "invalid_request", "colour", "GET",
                       path + ("&" if "?" in path else "?") + "colour=red")


def test_metrics(stack):
    def values():
        address = urllib.parse.urlsplit(stack.metrics_url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        connection.request("GET", address.path)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        assert reply.status == 200
        assert reply.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        lines = text.splitlines()
        described = {line.split()[2] for line in lines if line.startswith("# TYPE")}
        assert described == {line.split()[2] for line in lines if line.startswith("# HELP")}
        found = {}
        for line in lines:
            if not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                assert series.split("{")[0] in described and 'environment="' in series
                assert series not in found
                found[series] = float(value)
        return found

    def of(name, **labels):
        text = ",".join(f'{k}="{v}"' for k, v in labels.items())
        return f"schemabot_{name}{{{text}}}"

    assert values()[of("storage_up", environment="unknown")] == 1
    stack.post_plan(["nonsense"])
    apply_id = stack.run([USERS])["apply_id"]
    assert stack.control("stop", apply_id).status == 409
    shop = {"environment": "staging", "database": "shop"}
    seen = values()
    assert seen[of("plans_total", **shop, status="success")] == 1
    assert seen[of("plans_total", **shop, status="error")] == 1
    assert seen[of("applies", **shop, state="completed")] == 1
    assert seen[of("applies_total", **shop, status="success")] == 1
    assert seen[of("active_applies", **shop)] == 0
    assert seen[of("wedged_operations", environment="unknown")] == 0
    assert apply_id not in json.dumps(seen)


def test_documented_shape_of_errors(stack, client):
    """Errors of the application and of nginx in front of it look the same."""
    for method, path in (("GET", "/api/nothing"), ("PUT", "/api/plan"), ("GET", "/api/plan"),
                         ("TRACE", "/api/plan"), ("GET", "/metrics")):
        reply = client.api.request(method, path)
        assert reply.status in (404, 405), reply
        check_reply(method, path, reply)
        if reply.status == 405:
            assert "allow" in reply.headers
