"""
test_api_apply.py - POST /api/plan and POST /api/apply: what is accepted, what is refused and
how. Most tests stop the scheduler, so that an accepted apply stays as it was accepted.
"""
import concurrent.futures
import json

import pytest
from api_schema import Checked, snapshot

USERS = "CREATE TABLE users (id bigint NOT NULL AUTO_INCREMENT, name varchar(50) NOT NULL, PRIMARY KEY (id))"
WIDER = USERS.replace("name varchar(50) NOT NULL", "name varchar(50) NOT NULL, age int NULL")
ORDERS = "CREATE TABLE orders (id bigint NOT NULL, PRIMARY KEY (id))"


@pytest.fixture
def client(api):
    return Checked(api)


def body_of(plan, **fields):
    return {"plan_id": plan["plan_id"], "environment": plan["environment"], **fields}


# ---- planning --------------------------------------------------------------------------------

NOT_A_TABLE = {
    "does not parse": "CREATE TABLE users (id bigint NOT NULL PRIMARY KEY,, name int)",
    "not SQL": "hello",
    "empty": "",
    "two tables": USERS + "; " + ORDERS,
    "a view": "CREATE VIEW v AS SELECT 1 AS x",
    "a trigger": "CREATE TRIGGER tr BEFORE INSERT ON users FOR EACH ROW SET @a = 1",
    "a procedure": "CREATE PROCEDURE p() SELECT 1",
    "rows": "INSERT INTO users VALUES (1, 'x')",
    "a table and rows": USERS + "; INSERT INTO users VALUES (1, 'x')",
    "another schema": USERS.replace("TABLE users", "TABLE mysql.users"),
}


def test_wrong_sql_is_an_error_of_the_plan(idle, client):
    """200 with `errors` that name the file; stored; and it cannot be applied."""
    before = idle.databases()
    for what, sql in NOT_A_TABLE.items():
        plan = client.post("/api/plan", {
            "database": "shop", "environment": "staging",
            "schema_files": {"shop": {"files": {"users.sql": sql}}}}).expect(200)
        assert plan["errors"] and "users.sql" in plan["errors"][0], (what, plan)
        again = client.get(f"/api/plans/{plan['plan_id']}").expect(200)
        assert again.pop("created_at") and again == plan
        client.refused(400, "invalid_request", ["errors", "plan again"], "POST", "/api/apply",
                       body_of(plan, options={"allow_unsafe": "true"}))
        assert idle.tables() == [] and idle.databases() == before, what


def test_a_table_in_two_files(idle, client):
    plan = client.post("/api/plan", {
        "database": "shop", "environment": "staging",
        "schema_files": {"shop": {"files": {"a.sql": USERS, "b.sql": WIDER}}}}).expect(200)
    assert any("users" in e for e in plan["errors"]), plan


BAD_PLANS = [
    ({"database": "store"}, 404, "deployment_not_found", ["'store'", "shop"]),
    ({"environment": "qa"}, 404, "deployment_not_found", ["'qa'", "staging", "production"]),
    ({"type": "vitess"}, 400, "invalid_request", "'type'"),
    ({"schema_files": {"store": {"files": {}}}}, 400, "invalid_request", ["'store'", "shop"]),
    ({"schema_files": {"shop": None}}, 400, "invalid_request", "'shop'"),
    ({"schema_files": None}, 400, "invalid_request", "'schema_files'"),
    ({"schema_files": {}}, 400, "invalid_request", "'schema_files'"),
    ({"schema_files": {"shop": {"files": {"../a.sql": USERS}}}}, 400, "invalid_request", "../a.sql"),
    ({"schema_files": {"shop": {"files": {"a.sql": None}}}}, 400, "invalid_request", "'a.sql'"),
    ({"target": "elsewhere"}, 400, "invalid_request", "'target'"),
    ({"colour": "red"}, 400, "invalid_request", "'colour'"),
]


def test_a_plan_that_cannot_be_asked_for(stack, client):
    for fields, status, code, says in BAD_PLANS:
        body = {"database": "shop", "environment": "staging", "type": "mysql",
                "schema_files": {"shop": {"files": {"users.sql": USERS}}}, **fields}
        client.refused(status, code, says, "POST", "/api/plan", body)
    assert stack.storage("SELECT * FROM plans") == []


def test_names_are_matched_in_lower_case(idle, client):
    """Two spellings of a name must not become two databases."""
    plan = client.post("/api/plan", {
        "database": "Shop", "environment": "STAGING", "repository": "o/r", "pull_request": 7,
        "head_sha": "abc", "schema_files": {"SHOP": {"files": {"u.sql": USERS}}}}).expect(200)
    assert (plan["database"], plan["environment"]) == ("shop", "staging")
    assert (plan["repository"], plan["pull_request"], plan["head_sha"]) == ("o/r", 7, "abc")
    row = idle.storage("SELECT schema_files, plan_data FROM plans")[0]
    assert json.loads(row["schema_files"]) == {"shop": {"files": {"u.sql": USERS}}}
    client.post("/api/apply", body_of(plan, environment="Staging")).expect(200)


HOSTILE_NAMES = ["with`tick", "with'quote", 'with"quotes', "with blank", "100%", "x" * 64, "naïve",
                 "a.b", "select", "--", "semi;colon", "back\\slash", "per%cent%s"]


def test_hostile_identifiers(stack, client):
    """Planned, applied, shown and pulled exactly as they are."""
    def sql(name):
        quoted = "`" + name.replace("`", "``") + "`"
        return f"CREATE TABLE {quoted} (id bigint NOT NULL, {quoted} int NOT NULL, PRIMARY KEY (id))"

    files = {f"{name}.sql": sql(name) for name in HOSTILE_NAMES}
    plan = client.post("/api/plan", {"database": "shop", "environment": "staging",
                                     "schema_files": {"shop": {"files": files}}}).expect(200)
    assert plan["errors"] == [], plan
    changes = plan["changes"][0]["table_changes"]
    assert sorted(c["table_name"] for c in changes) == sorted(HOSTILE_NAMES)
    # An odd name is a finding that needs consent, not an obstacle.
    apply_id = client.post("/api/apply", body_of(plan, options={"allow_unsafe": "true"})).expect(
        200)["apply_id"]
    done = stack.wait_state(apply_id, "completed")
    assert sorted(t["table_name"] for t in done["tables"]) == sorted(HOSTILE_NAMES)
    assert sorted(stack.tables()) == sorted(HOSTILE_NAMES)
    pulled = client.post("/api/pull", {"database": "shop", "environment": "staging"}).expect(200)
    plan = client.post("/api/plan", {"database": "shop", "environment": "staging",
                                     "schema_files": pulled["schema_files"]}).expect(200)
    assert plan["errors"] == [] and plan["changes"] == [], plan


def test_names_that_no_server_takes_are_errors_of_the_plan(idle, client):
    for name in ("x" * 65, "emoji😀"):
        plan = client.post("/api/plan", {
            "database": "shop", "environment": "staging", "schema_files": {"shop": {"files": {
                "t.sql": f"CREATE TABLE `{name}` (id int NOT NULL PRIMARY KEY)"}}}}).expect(200)
        assert plan["errors"] and "t.sql" in plan["errors"][0], plan


# ---- applying: the plan ------------------------------------------------------------------------

def test_unknown_plan(idle, client):
    client.refused(404, "not_found", ["'plan-x'", "POST /api/plan"], "POST", "/api/apply",
                   {"plan_id": "plan-x", "environment": "staging"})
    client.refused(404, "not_found", "'plan-x'", "GET", "/api/plans/plan-x")


def test_plan_of_another_environment(idle, client):
    plan = idle.plan([USERS])
    client.refused(400, "invalid_request", ["'staging'", "'production'"], "POST", "/api/apply",
                   body_of(plan, environment="production"))


def test_empty_plan(idle, client):
    idle.target(USERS)
    plan = idle.plan([USERS])
    assert plan["changes"] == []
    client.refused(400, "invalid_request", "nothing to do", "POST", "/api/apply", body_of(plan))


def test_unsafe_plan_needs_consent(idle, client):
    idle.target(USERS)
    plan = idle.plan([])
    change = plan["changes"][0]["table_changes"][0]
    assert change["change_type"] == "drop" and change["is_unsafe"] and change["unsafe_reason"]
    for options in ({}, {"allow_unsafe": "false"}):
        client.refused(400, "invalid_request", ["'users'", "allow_unsafe"], "POST", "/api/apply",
                       body_of(plan, options=options))
    assert idle.storage("SELECT * FROM applies") == []
    client.post("/api/apply", body_of(plan, options={"allow_unsafe": "true"})).expect(200)


@pytest.mark.parametrize("drift, says", [
    ("ALTER TABLE users ADD COLUMN drifted int", "'users' (changed)"),
    ("CREATE TABLE extra (id int NOT NULL PRIMARY KEY)", "'extra' (new)"),
    ("DROP TABLE users", "'users' (gone)"),
])
def test_stale_plan(idle, client, drift, says):
    """The live schema is not the one that was reviewed: nothing starts."""
    idle.target(USERS)
    plan = idle.plan([WIDER])
    idle.target(drift)
    client.refused(409, "plan_stale", [says, "Plan again"], "POST", "/api/apply", body_of(plan))
    if "drifted" in drift:
        client.refused(409, "plan_stale", 'as if by "ALTER TABLE `users` ADD COLUMN `drifted` int',
                       "POST", "/api/apply", body_of(plan))
    assert idle.storage("SELECT * FROM applies") == []


def test_drift_that_is_none_of_the_plan_s_business(idle, client):
    """A table that the plan does not change is another one now, views come, rows too."""
    idle.target(USERS)
    idle.target(ORDERS)
    plan = idle.plan([WIDER, ORDERS])
    idle.target("ALTER TABLE orders ADD COLUMN n int")
    idle.target("CREATE VIEW v AS SELECT id FROM orders")
    idle.target("INSERT INTO users (name) VALUES ('a'), ('b')")
    client.post("/api/apply", body_of(plan)).expect(200)


def test_the_whole_drift_is_told(idle, client):
    for i in range(7):
        idle.target(ORDERS.replace("orders", f"t{i}"))
    plan = idle.plan([ORDERS.replace("orders", f"t{i}").replace("NULL,", "NULL, n int,") for i in range(7)])
    for i in range(4):
        idle.target(f"ALTER TABLE t{i} ADD COLUMN m int")
    idle.target("DROP TABLE t5")
    idle.target("CREATE TABLE a (id int NOT NULL PRIMARY KEY)")
    idle.target("CREATE TABLE zz (id int NOT NULL PRIMARY KEY)")
    client.refused(409, "plan_stale", ["'a' (new), 't0' (changed)", "'t3' (changed)", "and more", "Plan again"], "POST", "/api/apply", body_of(plan))


def test_already_applied_plan(stack, client):
    plan = stack.plan([USERS])
    apply_id = stack.apply(plan)
    stack.wait_state(apply_id, "completed")
    client.refused(409, "plan_stale", [apply_id, "plan again"], "POST", "/api/apply",
                   body_of(plan))


def test_unreachable_target_leaves_the_decision_to_the_driver(idle, client):
    plan = idle.plan([USERS])
    idle.sql("ALTER USER 'sb_target'@'%' ACCOUNT LOCK")
    try:
        client.refused(503, "engine_unavailable", "try again".capitalize(), "POST", "/api/plan", {
            "database": "shop", "environment": "staging",
            "schema_files": {"shop": {"files": {"users.sql": USERS}}}})
        client.refused(503, "engine_unavailable", "shop/staging", "POST", "/api/pull",
                       {"database": "shop", "environment": "staging"})
        client.post("/api/apply", body_of(plan)).expect(200)
    finally:
        idle.sql("ALTER USER 'sb_target'@'%' ACCOUNT UNLOCK")


# ---- applying: options and callers ---------------------------------------------------------------

BAD_OPTIONS = [
    ({"defer_cutover": "1"}, "true or false"),
    ({"defer_deploy": "true"}, "'defer_deploy'"),
    ({"enable_revert": "true"}, "'enable_revert'"),
    ({"skip_revert": "true"}, "'skip_revert'"),
    ({"branch": "b"}, "'branch'"),
    ({"volume": "0"}, "1 to 11"),
    ({"keep_old": "0"}, "1 to 8760 hours"),
    ({"volume": "12"}, "1 to 11"),
    ({"algorithm": "fast"}, "'algorithm'"),
    ({"allow_unsafe": "yes"}, "'allow_unsafe'"),
    ({"allow_unsafe": True}, "string"),
    ({"colour": "red"}, "'colour'"),
]


def test_options_that_cannot_be_honoured(idle, client):
    plan = idle.plan([USERS])
    for options, says in BAD_OPTIONS:
        client.refused(400, "invalid_request", says, "POST", "/api/apply",
                       body_of(plan, options=options))
    assert idle.storage("SELECT * FROM applies") == []


def test_a_milder_algorithm_than_the_change_needs(idle, client):
    idle.target(USERS)
    plan = idle.plan([USERS.replace("varchar(50)", "varchar(500)").replace("bigint", "int")])
    needed = plan["changes"][0]["table_changes"][0]["algorithm"]
    assert needed == "copy", plan
    consent = {"allow_unsafe": "true"}
    for algorithm in ("instant", "inplace"):
        client.refused(400, "invalid_request", [f"'{algorithm}'", "'users'", "use auto"], "POST",
                       "/api/apply", body_of(plan, options={**consent, "algorithm": algorithm}))
    client.post("/api/apply", body_of(plan, options={**consent, "algorithm": "copy"})).expect(200)


def test_caller_and_options_are_recorded(idle, client):
    plan = idle.plan([USERS])
    apply_id = client.post("/api/apply", body_of(
        plan, caller="Zoë <zoe@example.org>",
        options={"algorithm": "auto", "allow_unsafe": "true"})).expect(200)["apply_id"]
    progress = client.get(f"/api/progress/apply/{apply_id}").expect(200)
    assert progress["caller"] == "writer:Zoë <zoe@example.org>"
    assert progress["options"] == {"algorithm": "auto", "allow_unsafe": "true"}
    assert (progress["state"], progress["summary"]) == ("pending", "1 table: 1 pending")
    assert progress["plan_id"] == plan["plan_id"]


def test_lock_of_another_owner(idle, client):
    plan = idle.plan([USERS])
    client.post("/api/locks/acquire", {"database": "shop", "owner": "o/r#7"}).expect(200)
    for caller in ({}, {"caller": "o/r#8"}):
        client.refused(409, "lock_conflict", "o/r#7", "POST", "/api/apply",
                       body_of(plan, **caller))
    client.post("/api/apply", body_of(plan, caller="o/r#7")).expect(200)


# ---- applying: once ------------------------------------------------------------------------------

def test_second_apply_while_one_is_active(idle, client):
    plan, other = idle.plan([USERS]), idle.plan([ORDERS])
    apply_id = idle.apply(plan)
    for again in (plan, other):
        client.refused(409, "active_apply_exists", [apply_id, "'shop'", "'staging'"], "POST",
                       "/api/apply", body_of(again))
    idle.apply(idle.plan([USERS], "production"))  # another environment is free


def test_idempotency_key(stack, client):
    plan = stack.plan([USERS])
    key = {"Idempotency-Key": "deploy 7".replace(" ", "-")}
    body = body_of(plan, caller="me", options={"algorithm": "auto"})
    first = client.post("/api/apply", body, headers=key).expect(200)
    assert first["status"] == "queued"
    again = client.post("/api/apply", body, headers=key).expect(200)
    assert again == {**first, "status": "already_requested"}
    client.refused(409, "conflict", ["Idempotency-Key", first["apply_id"]], "POST", "/api/apply",
                   {**body, "caller": "you"}, headers=key)
    # Also when the apply is over and the live schema is another one.
    stack.wait_state(first["apply_id"], "completed")
    assert client.post("/api/apply", body, headers=key).expect(200) == again
    assert len(stack.storage("SELECT id FROM applies")) == 1


def test_malformed_idempotency_key(idle, client):
    plan = idle.plan([USERS])
    for key in ("x" * 256, "a b", "é"):
        client.refused(400, "invalid_request", "Idempotency-Key", "POST", "/api/apply",
                       body_of(plan), headers={"Idempotency-Key": key.encode().decode("latin-1")})
    client.post("/api/apply", body_of(plan), headers={"Idempotency-Key": ""}).expect(200)


def test_concurrent_requests_with_one_key_make_one_apply(idle):
    plan = idle.plan([USERS])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: idle.post_apply(
            plan, headers={"Idempotency-Key": "k"}), range(16)))
    assert {r.status for r in replies} == {200}, replies
    assert len({r.json["apply_id"] for r in replies}) == 1
    assert len(idle.storage("SELECT id FROM applies")) == 1


def test_concurrent_requests_without_key_make_one_apply(idle):
    plans = [idle.plan([USERS]) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda i: idle.post_apply(plans[i % 4]), range(16)))
    assert sorted(r.status for r in replies) == [200] + 15 * [409], replies
    assert {r.error_code for r in replies if r.status == 409} == {"active_apply_exists"}
    assert len(idle.storage("SELECT id FROM applies")) == 1


# ---- applying: failures in the middle ---------------------------------------------------------------

@pytest.mark.parametrize("point", ["db.commit.lost_before:error", "db.commit.lost_after:error"])
def test_unconfirmed_commit(idle, client, point):
    """The storage's answer is lost: the client is told that nobody knows, and repeating the
    request with its key settles it, whichever it was."""
    plan = idle.plan([USERS])
    body, key = body_of(plan), {"Idempotency-Key": "k"}
    with idle.faults(point, part="app") as fault:
        reply = client.refused(503, "state_sync_failed", "Idempotency-Key", "POST", "/api/apply",
                               body, headers=key)
        assert reply.headers["retry-after"]
        assert fault.fired(point.split(":")[0])
        apply_id = client.post("/api/apply", body, headers=key).expect(200)["apply_id"]
    assert [a["apply_id"] for a in idle.storage("SELECT apply_id FROM applies")] == [apply_id]
    rows = idle.storage("SELECT id FROM apply_operations"), idle.storage("SELECT id FROM tasks")
    assert [len(r) for r in rows] == [1, 1]


@pytest.mark.parametrize("point, created", [
    ("api.apply.checked", 0), ("apply.create.apply", 0), ("apply.create.operation", 0),
    ("apply.create.task", 0), ("db.commit.before", 0), ("db.commit.after", 1),
    ("api.apply.created", 1),
])
def test_killed_worker(stack, client, point, created):
    """The worker dies while it creates the apply: all of it is there or nothing is, and the
    repeated request does not make a second one. What is there gets done."""
    plan = stack.plan([USERS])
    body, key = body_of(plan), {"Idempotency-Key": "k"}
    with stack.faults(f"{point}:crash", part="app") as fault:
        assert client.post("/api/apply", body, headers=key).status == 503
        assert fault.fired(point)
        counts = {t: len(stack.storage(f"SELECT id FROM {t}"))
                  for t in ("applies", "apply_operations", "tasks")}
        assert set(counts.values()) == {created}, counts
        apply_id = client.post("/api/apply", body, headers=key).expect(200)["apply_id"]
        assert len(stack.storage("SELECT id FROM applies")) == 1
    stack.wait_state(apply_id, "completed")
    assert stack.tables() == ["users"]


def test_refused_requests_leave_no_trace(idle, client):
    idle.target(USERS)
    plan = idle.plan([])
    before = snapshot(idle)
    for body in (body_of(plan), body_of(plan, environment="production"), {"plan_id": "x"},
                 body_of(plan, options={"branch": "b"}), body_of(plan, more=1)):
        assert 400 <= client.post("/api/apply", body).status < 500
    assert snapshot(idle) == before
