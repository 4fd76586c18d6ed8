"""
test_fence.py - a schema file reaches nothing: because our tokenizer refuses it, and because the
account that executes it could not. A namespace is complete or untouched.
"""
import pymysql
from fence_cases import ATTACKS, FORBIDDEN
from planner_cases import statement_cases

from lib.stack import Stack

USERS = "CREATE TABLE users (id bigint NOT NULL AUTO_INCREMENT, name varchar(50) NOT NULL, PRIMARY KEY (id))"
SCRATCH = "_schemabot_20200101000000_00000000000000ff"


def changes(plan):
    return [c["ddl"] for ns in plan["changes"] for c in ns["table_changes"]]


def scratch_schemas(stack):
    return [d for d in stack.databases() if d.startswith("_schemabot_2")]


def test_every_attempt_is_refused_with_the_reason(stack):
    stack.target(USERS)
    wrong = []
    for name, text, words in FORBIDDEN:
        plan = stack.post_plan({"users.sql": USERS, "t.sql": text}).expect(200)
        said = " ".join(plan["errors"])
        if words not in said or "shop/t.sql: " not in said:
            wrong.append(f"{name}: {plan['errors']} lacks {words!r}")
        if changes(plan):
            wrong.append(f"{name}: it offers {changes(plan)}")
        if not 400 <= stack.post_apply(plan, allow_unsafe=True).status < 500:
            wrong.append(f"{name}: it can be applied")
    assert not wrong, "\n".join(wrong)
    assert stack.tables() == ["users"] and scratch_schemas(stack) == []


def outside(stack):
    """Whatever must stay as it is."""
    seen = {"schemas": sorted(d for d in stack.databases() if d != SCRATCH)}
    seen["tables"] = stack.sql("SELECT table_schema, table_name, table_type FROM information_schema.tables"
                               " WHERE table_schema NOT IN (%s, 'information_schema', 'performance_schema') ORDER BY 1, 2", (SCRATCH,))
    seen["rows"] = stack.target("SELECT * FROM users")
    seen["definition"] = stack.create_table("users")
    seen["users"] = stack.sql("SELECT user, host FROM mysql.user ORDER BY 1, 2")
    seen["routines"] = stack.sql("SELECT routine_schema, routine_name FROM information_schema.routines"
                                 " WHERE routine_schema <> 'sys' ORDER BY 1, 2")
    seen["triggers"] = stack.sql("SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema <> 'sys'")
    seen["events"] = stack.sql("SELECT event_name FROM information_schema.events")
    seen["settings"] = stack.sql("SELECT @@GLOBAL.max_connections, @@GLOBAL.read_only, @@GLOBAL.sql_mode")
    return seen


def test_the_account_alone_would_stop_it(idle):
    """Without our tokenizer: the texts are executed as they are, several statements at a time,
    by the account of sql/grants.sql, in a scratch schema. Nothing outside is read or changed.
    No reaper passes, which would find this schema left over."""
    stack = idle
    stack.target(USERS)
    stack.target("INSERT INTO users (name) VALUES ('a')")
    owner = stack.connect()  # or the reaper would take it for left behind
    with owner.cursor() as cursor:
        cursor.execute(f"SELECT GET_LOCK('{SCRATCH}', 0)")
    stack.sql(f"CREATE DATABASE `{SCRATCH}` CHARACTER SET utf8mb4")
    before = outside(stack)
    whole = Stack(stack.dir)
    texts = [text for _, text, *_ in FORBIDDEN + statement_cases() if len(text) < 5000]
    texts = [t for t in texts if "5" not in t or "SLEEP" not in t.upper()]  # slow, and refused by the servers
    attacks = [a.format(schema="shop_staging") for a in ATTACKS]
    got_through = []
    harmless = ["CREATE TABLE harmless (id int)", "ALTER TABLE harmless ADD COLUMN x int", "DROP TABLE harmless"]
    for text in attacks + texts + harmless:
        connection = pymysql.connect(
            unix_socket=stack.env["SB_DB_SOCKET"], user="sb_scratch", password=whole.state["scratch_password"],
            database=SCRATCH, charset="utf8mb4", autocommit=True, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET sql_mode = 'STRICT_ALL_TABLES', foreign_key_checks = 0")
                cursor.execute(text)
                while cursor.nextset():
                    pass
            got_through.append(text)
        except (pymysql.err.MySQLError, UnicodeError):
            pass
        finally:
            connection.close()
        now = outside(stack)
        assert now == before, f"{text!r} changed {[k for k in now if now[k] != before[k]]}"
    # A foreign key that points elsewhere is only a name as long as keys are not checked.
    assert [a for a in got_through if a in attacks and "REFERENCES" not in a] == []
    assert got_through[-3:] == harmless
    stack.sql(f"DROP DATABASE `{SCRATCH}`")
    owner.close()


BAD_MAPS = [
    ('{}', "is empty"),
    ('null', "schema_files"),
    ('[]', "schema_files"),
    ('{"shop": null}', "'shop'"),
    ('{"shop": {}}', "'shop'"),
    ('{"shop": {"files": null}}', "'shop'"),
    ('{"shop": {"files": []}}', "'shop'"),
    ('{"shop": {"files": {"a.sql": null}}}', "a.sql"),
    ('{"shop": {"files": {"a.sql": 7}}}', "a.sql"),
    ('{"shop": {"files": {}, "complete": true}}', "'shop'"),
    ('{"shoppe": {"files": {}}}', "no namespace 'shoppe'"),
    ('{"shop": {"files": {}}, "shoppe": {"files": {}}}', "no namespace 'shoppe'"),
    ('{"shop": {"files": {}}, "Shop": {"files": {}}}', "given twice"),
    ('{"shop": {"files": {"a.sql": "x"}}, "shop": {"files": {}}}', "\"shop\" is given twice"),
    ('{"shop": {"files": {"a.sql": "x"}, "files": {}}}', "\"files\" is given twice"),
    ('{"shop": {"files": {"a.sql": "x", "a.sql": "y"}}}', "\"a.sql\" is given twice"),
    ('{"shop": {"files": {"a.sql": "x", "\\u0061.sql": "y"}}}', "given twice"),
    ('{"shop": {"files": {"../a.sql": "x"}}}', "../a.sql"),
    ('{"shop": {"files": {"..": "x"}}}', "'..'"),
    ('{"shop": {"files": {"": "x"}}}', "''"),
    ('{"shop": {"files": {"a\\nb.sql": "x"}}}', "control characters"),
    ('{"shop": {"files": {"a.sql": "CREATE\\u0000"}}}', "a.sql"),
]


def test_what_is_no_complete_namespace_is_refused(stack):
    """Nothing is planned, so that nothing is dropped by accident."""
    stack.target(USERS)
    wrong = []
    for text, words in BAD_MAPS:
        body = f'{{"database": "shop", "environment": "staging", "type": "mysql", "schema_files": {text}}}'
        reply = stack.api.request("POST", "/api/plan", body)
        if reply.status != 400 or words not in reply.json["error"]:
            wrong.append(f"{text}: {reply}")
    for raw in (b"\xff", b"\xc3", b"\xed\xa0\x80"):
        body = b'{"database": "shop", "environment": "staging", "type": "mysql", "schema_files": {"shop": {"files": {"a.sql": "' + raw + b'"}}}}'
        reply = stack.api.request("POST", "/api/plan", body)
        if reply.status != 400 or "UTF-8" not in reply.json["error"]:
            wrong.append(f"{raw}: {reply}")
    assert not wrong, "\n".join(wrong)


def test_what_is_complete(stack):
    """All files of a namespace, in whatever form files come; what is not there is a drop that
    somebody has to allow."""
    stack.target(USERS)
    crlf = USERS.replace(", ", ",\r\n  ") + ";\r\n"
    assert changes(stack.plan({"users.sql": crlf})) == []
    assert changes(stack.plan({"a.sql": USERS, "A.sql": USERS.replace("users", "other")})) != []
    plan = stack.plan({})
    assert changes(plan) == ["DROP TABLE `users`"]
    assert 400 <= stack.post_apply(plan).status < 500
    plan = stack.post_plan({"users.sql": USERS + ";\n\n\nDROP TABLE users"}).expect(200)
    assert changes(plan) == [] and "shop/users.sql: line 4" in plan["errors"][0]
    assert stack.tables() == ["users"]
