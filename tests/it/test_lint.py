"""
test_lint.py - lint through the API: what is said of a plan, what a database's configuration
changes, the rules as everybody can read them, and what only a server can tell. DESIGN.md 6.
"""
import re
import subprocess

import pymysql
import pytest

from lib import places
from test_planner import changes, linters, one_change, target

CONF = """databases = { shop = { lint = {
    no_primary_key = "off"; odd_name = "info"; table_comment = "error"; not_null = "warning"; drop_index = "off";
}; }; };"""
USERS = "CREATE TABLE users (id bigint NOT NULL, name varchar(50), PRIMARY KEY (id), KEY name (name))"


def test_every_class_of_unsafe_changes_has_an_id(stack):
    """G.2: the reason in words, and the same as violations that a program can tell apart."""
    stack.target(USERS)
    change = one_change(stack.plan([USERS.replace("50", "40").replace(", KEY name (name)", "")]))
    plan = stack.plan([USERS.replace("varchar(50)", "varchar(40) NOT NULL").replace(", KEY name (name)", "")])
    assert set(linters(plan, "error")) == {"lossy_type", "not_null", "drop_index"}
    assert {v["column"] for v in plan["lint_violations"] if v["linter"] == "not_null"} == {"name"}
    change = one_change(plan)
    assert change["is_unsafe"]
    for violation in plan["lint_violations"]:
        assert violation["message"] in change["unsafe_reason"] and violation["fix_type"]
    assert stack.api.get(f"/api/plans/{plan['plan_id']}").expect(200)["lint_violations"] == plan["lint_violations"]
    plan = stack.plan([])
    assert linters(plan, "error") == ["drop_table"] and one_change(plan)["is_unsafe"]


def test_levels_of_a_database(fresh_stack):
    stack = fresh_stack(conf=CONF)
    stack.target(USERS)
    nameless = "CREATE TABLE n (`a b` int)"
    plan = stack.plan([USERS, nameless])
    assert linters(plan, "error") == ["table_comment"] and linters(plan, "info") == ["odd_name"]
    assert one_change(plan)["is_unsafe"] and "no comment" in one_change(plan)["unsafe_reason"]
    plan = stack.plan([USERS, nameless + " COMMENT='x'"])
    assert linters(plan) == ["odd_name"] and not one_change(plan)["is_unsafe"]
    # A change that may fail is not unsafe here, and the driver does not ask again.
    narrower = USERS.replace("varchar(50)", "varchar(50) NOT NULL").replace(", KEY name (name)", "")
    plan = stack.plan([narrower])
    assert linters(plan) == ["not_null"] and not one_change(plan)["is_unsafe"]
    stack.wait_state(stack.apply(plan), "completed")
    assert changes(stack.plan([narrower])) == []
    rules = {r["linter"]: r for r in stack.api.get("/api/lint-rules").expect(200)["rules"]}
    assert (rules["not_null"]["severity"], rules["not_null"]["databases"]["shop"]) == ("error", "warning")
    assert rules["drop_column"]["databases"]["shop"] == "error" and not rules["drop_column"]["configurable"]


@pytest.mark.parametrize("rules, says", [
    ('nope = "off";', "'lint' has nothing named 'nope'; there are: "),
    ('drop_column = "off";', "'drop_column' can only be \"error\": a change that loses data"),
    ('odd_name = "quiet";', "'odd_name' must be one of: off info warning error"),
])
@pytest.mark.parametrize("program", ["schemabot.fcgi", "schemabot-scheduler", "schemabot-driver", "schemabot-reaper"])
def test_a_level_that_cannot_be_is_refused_at_the_start(stack, tmp_path, program, rules, says):
    from lib import conf  # pylint: disable=import-outside-toplevel
    text = open(stack.env["SB_CONFIG"], encoding="utf-8").read()
    merged = conf.merge(conf.parse(text), conf.parse(f"databases = {{ shop = {{ lint = {{ {rules} }}; }}; }};"))
    path = tmp_path / "bad.conf"
    path.write_text(conf.render(merged))
    done = subprocess.run([places.build_dir(places.variant()) / "bin" / program, "--config", path, "--dump-config"],
                          capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 78, done
    assert says.replace('"', '\\"') in done.stderr and re.search(r"bad\.conf:\d+:", done.stderr), done.stderr


def test_rules_are_documented(stack, api):
    rules = api.get("/api/lint-rules").expect(200)["rules"]
    assert len({r["linter"] for r in rules}) == len(rules) > 40
    for rule in rules:
        assert rule["message"] and rule["documentation"].endswith("."), rule
        assert rule["severity"] in ("off", "info", "warning", "error")
        assert rule["configurable"] == (rule["scope"] != "loss")
        assert rule["databases"]["shop"] == rule["severity"]


def test_debt_follows_a_renamed_index(stack):
    """What was there before is not this change's fault, whatever it is called now."""
    stack.target("CREATE TABLE t (id int NOT NULL, a int, PRIMARY KEY (id), KEY k (a), KEY l (a, id))")
    plan = stack.plan(["CREATE TABLE t (id int NOT NULL, a int, PRIMARY KEY (id), KEY m (a), KEY l (a, id))"])
    assert "RENAME INDEX" in one_change(plan)["ddl"] and plan["lint_violations"] == []
    plan = stack.plan(["CREATE TABLE t (id int NOT NULL, a int, PRIMARY KEY (id), KEY k (a), KEY l (a, id), KEY n (id))"])
    assert [v["message"].split("`")[1] for v in plan["lint_violations"]] == ["n"]


def test_a_counter_that_is_nearly_used_up(stack):
    stack.target("CREATE TABLE t (id bigint NOT NULL AUTO_INCREMENT, PRIMARY KEY (id)) AUTO_INCREMENT=2100000000")
    plan = stack.plan(["CREATE TABLE t (id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (id))"])
    assert "counter_capacity" in linters(plan, "warning")


def test_reserved_words_are_the_servers(stack):
    """Every word that this server does not take as a name is known, and no other of this server's."""
    with target(stack) as cursor:
        cursor.execute("SELECT WORD AS w FROM information_schema.KEYWORDS")
        words = sorted({row["w"].lower() for row in cursor.fetchall() if re.fullmatch("[A-Za-z0-9_]+", row["w"])})
        reserved = set()
        for word in words:
            try:
                cursor.execute(f"CREATE TEMPORARY TABLE {word} ({word} int)")
                cursor.execute(f"DROP TEMPORARY TABLE {word}")
            except pymysql.err.ProgrammingError:
                reserved.add(word)
    columns = ", ".join(f"`{word}` int" for word in words)
    plan = stack.plan([f"CREATE TABLE keywords (_id_ int NOT NULL, {columns}, PRIMARY KEY (_id_))"])
    said = {v["column"]: v["message"] for v in plan["lint_violations"] if v["linter"] == "reserved_word"}
    name = {"mariadb": "MariaDB", "mysql": "MySQL"}[stack.flavor]
    assert {w for w, message in said.items() if name in message} == reserved


def test_debt_follows_renames(stack):
    """A column and a table under new names bring nothing but the rename; an odd new name is new."""
    stack.target("CREATE TABLE old (id int NOT NULL, price float, KEY k (id), KEY l (id))")
    hints = "-- schemabot: rename table old to new\n-- schemabot: rename column price to cost\n"
    plan = stack.plan([hints + "CREATE TABLE new (id int NOT NULL, cost float, KEY k (id), KEY l (id))"])
    assert set(linters(plan)) == {"rename_table", "rename_column"}, plan["lint_violations"]
    assert all(c["is_unsafe"] for c in changes(plan))
    plan = stack.plan(["-- schemabot: rename column price to `the cost`\n"
                       "CREATE TABLE old (id int NOT NULL, `the cost` float, amount float, KEY k (id), KEY l (id))"])
    found = [(v["linter"], v["column"]) for v in plan["lint_violations"]]
    assert sorted(found) == [("inexact_money", "amount"), ("odd_name", "the cost"), ("rename_column", "the cost")], found
