"""
test_limits.py - how long what comes out of files may take, and how much of it there may be.
"""
import json

USERS = "CREATE TABLE users (id bigint NOT NULL AUTO_INCREMENT, name varchar(50) NOT NULL, PRIMARY KEY (id))"
# Servers compare each value with each: seconds of work, which nothing interrupts.
SLOW = "CREATE TABLE slow (a enum('" + "','".join(str(i) for i in range(25000)) + "'))"


def changes(plan):
    return [c["ddl"] for ns in plan["changes"] for c in ns["table_changes"]]


def scratch_schemas(stack):
    return [d for d in stack.databases() if d.startswith("_schemabot_2")]


def test_a_statement_that_takes_too_long(fresh_stack):
    """The error names the file and the limit; nothing is offered, and what is left goes."""
    stack = fresh_stack()
    stack.target(USERS)
    stack.command("restart-app", "--env", "SB_WORK_SECONDS=1")
    plan = stack.post_plan({"a.sql": USERS, "slow.sql": SLOW, "z.sql": USERS.replace("users", "z")}).expect(200)
    assert len(plan["errors"]) == 1, plan["errors"]
    assert "shop/slow.sql" in plan["errors"][0] and "in 1 seconds" in plan["errors"][0]
    assert changes(plan) == [] and 400 <= stack.post_apply(plan, allow_unsafe=True).status < 500
    stack.until(lambda: stack.reap() or not scratch_schemas(stack), "the server has ended it, and the reaper dropped it")

    # All statements together: the file at which the time was over is named.
    stack.command("restart-app", "--env", "SB_ALL_SECONDS=0")
    files = {f"t{i:03}.sql": USERS.replace("users", f"t{i:03}") for i in range(5)}
    plan = stack.post_plan(files).expect(200)
    assert len(plan["errors"]) == 1 and "shop/t00" in plan["errors"][0] and "time" in plan["errors"][0], plan["errors"]
    assert changes(plan) == [] and scratch_schemas(stack) == []


def test_ten_thousand_files(stack):
    """Many bad files: all of them are named. Many files of one table: all but one are named."""
    stack.target(USERS)
    plan = stack.post_plan({f"f{i}.sql": "CREATE TABLE" for i in range(10000)}).expect(200)
    assert len(plan["errors"]) == 10000 and changes(plan) == []
    assert all("line 1" in e and "shop/f" in e for e in plan["errors"])
    plan = stack.post_plan({f"f{i}.sql": USERS for i in range(10000)}).expect(200)
    assert len(plan["errors"]) == 9999 and changes(plan) == []


def test_too_large_a_body(stack):
    reply = stack.post_plan({"a.sql": USERS + " " * (32 << 20)})
    assert reply.status == 413 and "with all of its files" in reply.json["error"], reply.status
    stack.target(USERS)
    for text, words in (("(" * (3 << 20), "words and signs"), ("CREATE TABLE t (" + "a" * (1 << 20) + " int)", "too long"),
                        ("CREATE TABLE t (a int DEFAULT " + "(" * 50000 + "1" + ")" * 50000 + ")", "brackets"),
                        ("CREATE TABLE t (a int PRIMARY KEY, CHECK (" + "a + " * 60000 + "a > 0))", "line 1: an expression of more than"),
                        ("CREATE TABLE t (a enum('" + "','".join(str(i) for i in range(70000)) + "'))", "65535"),
                        ("CREATE TABLE t (a enum('" + "x" * (1 << 20) + "'))", "huge.sql"),
                        ("CREATE TABLE t (" + ", ".join(f"c{i} int" for i in range(5000)) + ")", "huge.sql"),
                        ("CREATE TABLE t (" + ", ".join(f"c{i} int" for i in range(250000)) + ")", "5000 columns")):
        plan = stack.post_plan({"huge.sql": text}).expect(200)
        assert len(plan["errors"]) == 1 and "shop/huge.sql: " in plan["errors"][0] and words in plan["errors"][0], \
            (text[:60], [e[:300] for e in plan["errors"]])
        assert len(json.dumps(plan["errors"])) < 2000
        assert changes(plan) == [], text[:60]
    assert scratch_schemas(stack) == []
    assert changes(stack.plan([USERS])) == []
