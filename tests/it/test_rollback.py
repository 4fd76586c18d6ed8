"""
test_rollback.py - POST /api/rollback/plan: the way back from an apply. What the apply changed is
afterwards as it was, byte for byte by SHOW CREATE TABLE, and nothing else is touched; what cannot
be taken back is refused with a reason and a next step. SEMANTICS D.6, I RV-7.
"""
import re

import pytest
from api_schema import Checked

USERS = "CREATE TABLE users (id bigint NOT NULL AUTO_INCREMENT, name varchar(50) NOT NULL DEFAULT 'x', note text, PRIMARY KEY (id), KEY n (name)) COMMENT='all of them'"
WIDER = USERS.replace("varchar(50)", "varchar(60)").replace("KEY n (name)", "KEY m (name), UNIQUE KEY u (name,id)").replace("note text,", "")
ORDERS = "CREATE TABLE orders (id bigint NOT NULL, user_id bigint NOT NULL, PRIMARY KEY (id), KEY user_id (user_id), CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users (id))"
OTHER = "CREATE TABLE other (id int NOT NULL, PRIMARY KEY (id))"
CONSENT = {"allow_unsafe": True}


@pytest.fixture
def client(api):
    return Checked(api)


def body_of(apply_id, environment="staging", **fields):
    return {"apply_id": apply_id, "environment": environment, **fields}


def plan_back(client, apply_id, **fields):
    plan = client.post("/api/rollback/plan", body_of(apply_id, **fields)).expect(200)
    assert plan["errors"] == [] and plan["rollback_of"] == apply_id and plan["options"] == {"rollback": "true"}, plan
    assert apply_id in plan["summary"]
    return plan


def run(stack, files, **options):
    """Apply these files; the apply's id."""
    apply_id = stack.apply(stack.plan(files), **{**CONSENT, **options})
    stack.wait_state(apply_id, "completed")
    return apply_id


def run_plan(stack, plan, **options):
    apply_id = stack.apply(plan, **{**CONSENT, **options})
    stack.wait_state(apply_id, "completed")
    return apply_id


def schema(stack):
    """But for the next value of a counter, which is data, and replaced tables, which the reaper drops."""
    return {t: re.sub(r" AUTO_INCREMENT=\d+", "", stack.create_table(t)) for t in stack.tables() if "~sb_" not in t}


def changes(plan):
    return [(c["table_name"], c["change_type"]) for ns in plan["changes"] for c in ns["table_changes"]]


def test_an_alter_goes_back_and_forth(stack, client):
    """And the rollback of the rollback: each time byte for byte."""
    stack.target(USERS)
    before = schema(stack)
    first = run(stack, [WIDER])
    wider = schema(stack)
    assert wider != before
    plan = plan_back(client, first)
    assert changes(plan) == [("users", "alter")]
    assert client.get(f"/api/plans/{plan['plan_id']}").expect(200)["rollback_of"] == first
    # A column that was dropped: its definition only.
    lost = [v for v in plan["lint_violations"] if v["linter"] == "rollback_data"]
    assert len(lost) == 1 and "without its values" in lost[0]["message"] and lost[0]["message"] in plan["summary"]
    second = run_plan(stack, plan, rollback=True)
    assert schema(stack) == before
    assert client.get(f"/api/progress/apply/{second}").expect(200)["options"]["rollback"] == "true"
    third = run_plan(stack, plan_back(client, second))
    assert schema(stack) == wider
    run_plan(stack, plan_back(client, third))
    assert schema(stack) == before


def test_creates_and_drops_go_back_in_an_order_that_works(stack, client):
    """Two tables that refer to each other are dropped, a third is created."""
    stack.target(USERS)
    stack.target(ORDERS)
    stack.target("INSERT INTO users (id) VALUES (1)")
    before = schema(stack)
    apply_id = run(stack, [OTHER])
    assert stack.tables() == ["other"]
    plan = plan_back(client, apply_id)
    assert changes(plan) == [("users", "create"), ("orders", "create"), ("other", "drop")], plan
    unsafe = {c["table_name"]: c["is_unsafe"] for ns in plan["changes"] for c in ns["table_changes"]}
    assert unsafe["other"] and not unsafe["users"]
    said = " ".join(v["message"] for v in plan["lint_violations"] if v["linter"] == "rollback_data")
    assert "'users' comes back without its rows" in said and "backup" in said and "'other' goes with the rows" in said
    client.refused(400, "invalid_request", ["'other'", "allow_unsafe"], "POST", "/api/apply",
                   {"plan_id": plan["plan_id"], "environment": "staging", "options": {"rollback": "true"}})
    run_plan(stack, plan)
    assert schema(stack) == before and stack.target("SELECT * FROM users") == []


def test_only_what_the_apply_changed(stack, client):
    """Others may have changed, come and gone since."""
    stack.target(USERS)
    stack.target(OTHER)
    stack.target(OTHER.replace("other", "third"))
    before = stack.create_table("users")
    apply_id = run(stack, [WIDER, OTHER, OTHER.replace("other", "third")])
    stack.target("ALTER TABLE other ADD COLUMN n int")
    stack.target("DROP TABLE third")
    stack.target("CREATE TABLE fourth (id int NOT NULL, v int GENERATED ALWAYS AS (id + 1) VIRTUAL, PRIMARY KEY (id))")
    stack.target("CREATE VIEW a_view AS SELECT 1 AS x")
    untouched = {t: stack.create_table(t) for t in ("other", "fourth")}
    plan = plan_back(client, apply_id)
    assert changes(plan) == [("users", "alter")]
    # And while the rollback waits to be applied.
    stack.target("ALTER TABLE fourth ADD COLUMN m int")
    untouched["fourth"] = stack.create_table("fourth")
    run_plan(stack, plan)
    assert stack.create_table("users") == before
    assert {t: stack.create_table(t) for t in untouched} == untouched


@pytest.mark.parametrize("drift, says", [
    ("ALTER TABLE users ADD COLUMN late int", "'users' (changed)"),
    ("DROP TABLE users", "'users' (gone)"),
    ("CREATE TABLE orders (id int NOT NULL PRIMARY KEY)", "'orders' (there again)"),
])
def test_tables_that_somebody_has_built_on(stack, client, drift, says):
    stack.target(USERS)
    stack.target(ORDERS)
    apply_id = run(stack, [WIDER], algorithm="inplace")  # an online copy of what others refer to is refused
    stack.target(drift)
    before = stack.storage("SELECT * FROM plans")
    client.refused(409, "plan_stale", [says, apply_id, "POST /api/plan"], "POST", "/api/rollback/plan", body_of(apply_id))
    assert stack.storage("SELECT * FROM plans") == before


def test_only_the_newest(stack, client):
    first = run(stack, [USERS])
    second = run(stack, [USERS, OTHER])
    client.refused(409, "conflict", [second, "Take that one back first"], "POST", "/api/rollback/plan", body_of(first))
    third = run_plan(stack, plan_back(client, second))
    client.refused(409, "conflict", third, "POST", "/api/rollback/plan", body_of(second))
    # Another environment has a history of its own.
    run_production = stack.apply(stack.plan([USERS], "production"))
    stack.wait_state(run_production, "completed")
    assert changes(plan_back(client, third)) == [("other", "create")]
    assert changes(plan_back(client, run_production, environment="production")) == [("users", "drop")]


def test_what_cannot_be_taken_back(stack, client):
    """Unknown, of another environment, not completed, without originals, without the right."""
    client.refused(404, "not_found", "'apply-x'", "POST", "/api/rollback/plan", body_of("apply-x"))
    client.refused(400, "invalid_request", "'apply_id'", "POST", "/api/rollback/plan", {"environment": "staging"})
    client.refused(400, "invalid_request", "'colour'", "POST", "/api/rollback/plan", body_of("apply-x", colour="red"))
    assert stack.reader.post("/api/rollback/plan", body_of("apply-x")).status == 403
    stack.target(USERS)
    apply_id = run(stack, [WIDER])
    client.refused(400, "invalid_request", ["'staging'", "'production'"], "POST", "/api/rollback/plan",
                   body_of(apply_id, "production"))
    for state, says in (("failed", "failed"), ("cancelled", "cancelled"), ("stopped", "cancel it")):
        stack.storage("UPDATE applies SET state = %s WHERE apply_id = %s", (state, apply_id))
        client.refused(409, "conflict", ["Only a completed apply", says, "files that you want"], "POST",
                       "/api/rollback/plan", body_of(apply_id))
    stack.storage("UPDATE applies SET state = 'completed' WHERE apply_id = %s", (apply_id,))
    stack.storage("UPDATE plans SET plan_data = JSON_SET(plan_data, '$.originals', JSON_ARRAY())")
    client.refused(409, "conflict", ["'users'", "was not kept"], "POST", "/api/rollback/plan", body_of(apply_id))


def test_an_apply_that_is_not_over(idle, client):
    apply_id = idle.apply(idle.plan([USERS]))
    client.refused(409, "conflict", ["pending", "Wait"], "POST", "/api/rollback/plan", body_of(apply_id))


def test_the_option_belongs_to_the_plan(idle, client):
    plan = idle.plan([USERS])
    client.refused(400, "invalid_request", ["'rollback'", "/api/rollback/plan"], "POST", "/api/apply",
                   {"plan_id": plan["plan_id"], "environment": "staging", "options": {"rollback": "true"}})


def test_a_rollback_that_went_stale(stack, client):
    """The database changes between the rollback plan and its apply."""
    stack.target(USERS)
    plan = plan_back(client, run(stack, [WIDER]))
    stack.target("ALTER TABLE users ADD COLUMN late int")
    client.refused(409, "plan_stale", ["'users'", "changed"], "POST", "/api/apply",
                   {"plan_id": plan["plan_id"], "environment": "staging", "options": {"allow_unsafe": "true"}})


def test_planning_it_again_changes_nothing(stack, client):
    stack.target(USERS)
    apply_id = run(stack, [WIDER])
    first, second = plan_back(client, apply_id), plan_back(client, apply_id)
    assert first["plan_id"] != second["plan_id"] and first["changes"] == second["changes"]
    run_plan(stack, first)
    client.refused(409, "plan_stale", "'users'", "POST", "/api/apply",
                   {"plan_id": second["plan_id"], "environment": "staging", "options": {"allow_unsafe": "true"}})


# ---- several servers, several schemas, drops that are kept ------------------------------------


def test_every_deployment_gets_back_what_it_had(stack, client):
    """One of three had the change already, and another table of its own: it keeps both."""
    def show(deployment, table="users"):
        return stack.sql(f"SHOW CREATE TABLE {table}", None, f"rollout_{deployment}")[0]["Create Table"]

    wide = USERS.replace("note text,", "note text, age int DEFAULT NULL,")
    for deployment, users in (("eu", USERS), ("us", wide), ("ap", USERS)):
        stack.sql(users, None, f"rollout_{deployment}")
    before = {d: show(d) for d in ("eu", "us", "ap")}
    apply_id = stack.apply(stack.plan([wide], "rolling_halt", database="rollout"))
    stack.wait_state(apply_id, "completed")
    assert "age" in show("eu") and "age" in show("ap")
    for deployment in ("eu", "ap"):
        stack.sql(OTHER if deployment == "eu" else OTHER.replace("id int", "id bigint"), None, f"rollout_{deployment}")
    untouched = {d: show(d, "other") for d in ("eu", "ap")}
    plan = plan_back(client, apply_id, environment="rolling_halt")
    assert changes(plan) == [("users", "alter")]
    run_plan(stack, plan)
    assert {d: show(d) for d in before} == before
    assert {d: show(d, "other") for d in untouched} == untouched
    # And forth: us never lost it.
    stack.sql("ALTER TABLE users ADD COLUMN late int", None, "rollout_ap")
    again = stack.storage("SELECT apply_id FROM applies ORDER BY id DESC LIMIT 1")[0]["apply_id"]
    client.refused(409, "plan_stale", "'users' (changed in ap)", "POST", "/api/rollback/plan",
                   body_of(again, "rolling_halt"))


CONF = """databases = { shop = { environments = { staging = {
    pending_drops = { enabled = true; retention_hours = 24; };
    schemas = { shop = "shop_staging"; second = "fakeshop_staging"; third = "fakeshop_production"; };
}; }; }; };"""


def test_two_namespaces_and_a_table_that_was_kept(fresh_stack):
    """Changes in two of three namespaces, one of them a drop into quarantine."""
    stack = fresh_stack(conf=CONF)
    client = Checked(stack.api)

    def everything():
        return [row for s in ("shop_staging", "fakeshop_staging", "fakeshop_production") for row in stack.sql(
            "SELECT table_schema AS s, table_name AS t, column_name AS c, column_type AS k FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name NOT LIKE '%%~sb\\_%%' ORDER BY 1, 2, ordinal_position", (s,))]

    stack.target(USERS)
    stack.sql(USERS, None, "fakeshop_staging")
    stack.sql(OTHER, None, "fakeshop_staging")
    stack.sql("INSERT INTO other VALUES (1), (2)", None, "fakeshop_staging")
    stack.sql(OTHER, None, "fakeshop_production")
    before = everything()
    plan = client.post("/api/plan", {"database": "shop", "environment": "staging", "schema_files": {
        "shop": {"files": {"u.sql": WIDER}}, "second": {"files": {"u.sql": WIDER}},
        "third": {"files": {"o.sql": OTHER}}}}).expect(200)
    assert "second.other" in plan["summary"] and "shop.users" in plan["summary"]
    apply_id = run_plan(stack, plan)
    kept, = (row["t"] for row in stack.sql(
        "SELECT table_name AS t FROM information_schema.tables WHERE table_schema = '_schemabot_drops'"))
    stack.sql("ALTER TABLE other ADD COLUMN n int", None, "fakeshop_production")
    plan = plan_back(client, apply_id)
    assert sorted(changes(plan)) == [("other", "create"), ("users", "alter"), ("users", "alter")]
    assert kept in plan["summary"] and "copy them" in plan["summary"], plan["summary"]
    stack.sql("ALTER TABLE other DROP COLUMN n", None, "fakeshop_production")
    run_plan(stack, plan, rollback=True)
    assert everything() == before
    stack.sql(f"INSERT INTO other SELECT * FROM `_schemabot_drops`.`{kept}`", None, "fakeshop_staging")


# ---- renames: the old names, with the values -------------------------------------------------------


def test_renamed_columns_and_tables_keep_their_rows(stack, client):
    """A table and two of its columns get other names, one of them another type too; and back."""
    stack.target(USERS)
    stack.target("INSERT INTO users (name, note) VALUES ('a', 'x'), ('b', 'y')")
    before = schema(stack)
    people = (USERS.replace("TABLE users", "TABLE people").replace("name varchar(50)", "full_name varchar(60)")
              .replace("note text", "`a``note` text").replace("KEY n (name)", "KEY n (full_name)"))
    hints = ("-- schemabot: rename table users to people\n-- schemabot: rename column name to full_name\n"
             "-- schemabot: rename column note to `a``note`\n")
    first = run(stack, {"people.sql": hints + people})
    assert stack.tables() == ["people"]
    assert stack.target("SELECT full_name AS f, `a``note` AS n FROM people") == [{"f": "a", "n": "x"}, {"f": "b", "n": "y"}]
    after = schema(stack)
    plan = plan_back(client, first)
    assert not [c for c in plan["lint_violations"] if c["linter"] == "rollback_data"], plan
    second = run_plan(stack, plan)
    assert schema(stack) == before
    assert stack.target("SELECT name AS f, note AS n FROM users") == [{"f": "a", "n": "x"}, {"f": "b", "n": "y"}]
    run_plan(stack, plan_back(client, second))
    assert schema(stack) == after
    assert stack.target("SELECT full_name AS f FROM people") == [{"f": "a"}, {"f": "b"}]


def test_a_deployment_that_had_the_new_name_keeps_it(stack, client):
    def show(deployment):
        return stack.sql("SHOW CREATE TABLE users", None, f"rollout_{deployment}")[0]["Create Table"]

    renamed = USERS.replace("note text", "remark text")
    for deployment, users in (("eu", USERS), ("us", renamed), ("ap", USERS)):
        stack.sql(users, None, f"rollout_{deployment}")
        stack.sql("INSERT INTO users (name) VALUES ('a')", None, f"rollout_{deployment}")
    before = {d: show(d) for d in ("eu", "us", "ap")}
    plan = stack.plan({"u.sql": "/* schemabot: rename column note to remark */" + renamed}, "rolling_halt", database="rollout")
    apply_id = run_plan(stack, plan)
    assert "remark" in show("eu") and "remark" in show("ap")
    run_plan(stack, plan_back(client, apply_id, environment="rolling_halt"))
    assert {d: show(d) for d in before} == before


def test_an_apply_looks_at_a_renamed_table_by_its_old_name(idle, client):
    idle.target(USERS)
    plan = idle.plan({"p.sql": "-- schemabot: rename table users to people\n" + USERS.replace("TABLE users", "TABLE people")})
    idle.target("ALTER TABLE users ADD COLUMN late int")
    client.refused(409, "plan_stale", "'users' (changed)", "POST", "/api/apply",
                   {"plan_id": plan["plan_id"], "environment": "staging", "options": {"allow_unsafe": "true"}})
