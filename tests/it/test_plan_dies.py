"""
test_plan_dies.py - a plan request that dies in the middle leaves no scratch schema after the
reaper's next pass, and no lock: whatever dies, at whatever point.
"""
import http.client
import json
import threading
import urllib.parse

from test_workspace import ELSEWHERE

from lib.stack import Stack

P = "CREATE TABLE p (id int NOT NULL, PRIMARY KEY (id))"
USERS = "CREATE TABLE users (id bigint NOT NULL AUTO_INCREMENT, name varchar(50) NOT NULL, PRIMARY KEY (id))"
CHILD = "CREATE TABLE c (id int NOT NULL, p int, PRIMARY KEY (id), KEY p (p), CONSTRAINT f FOREIGN KEY (p) REFERENCES p (id))"
LIVE = [P, USERS, "CREATE TABLE gone (id int NOT NULL, PRIMARY KEY (id))"]
FILES = [P, USERS.replace("50", "60"), CHILD, "CREATE TABLE n (id int NOT NULL, PRIMARY KEY (id))"]
MIDDLE = "schemabot.fcgi/schema.verify.executed:wait=@FILE@"


def changes(plan):
    return [c["table_name"] for ns in plan["changes"] for c in ns["table_changes"]]


def scratch_schemas(stack, server=None):
    whole = Stack(stack.dir)
    shown = (server or whole.server).run("SHOW DATABASES", "admin", whole.state["admin_password"])
    return [d for d in shown.split() if d.startswith("_schemabot_2")]


def at_work(stack):
    """Connections of the planner's accounts: who has none holds no lock."""
    return stack.sql("SELECT id FROM information_schema.processlist WHERE user IN ('sb_target', 'sb_scratch')")


def all_gone(stack, server=None):
    stack.until(lambda: stack.reap() or not scratch_schemas(stack, server), "the reaper has dropped it")
    stack.until(lambda: not at_work(stack), "nobody holds a lock")




def test_killed_at_every_point(stack):
    """kill -9 at each passage of each fault point of a plan, until none fires."""
    stack.command("stop-cron")
    try:
        for text in LIVE:
            stack.target(text)
        trace = stack.arm()
        whole = changes(stack.plan(FILES))
        points = list(dict.fromkeys(p for program, _, p in trace.passages() if program == "schemabot.fcgi"))
        ours = [p for p in points if p.startswith("schema.")]
        assert set(ours) == {"schema.scratch.created", "schema.load.created", "schema.verify.executed", "schema.scratch.drop"}
        left = 0
        for point in points:
            for n in range(1, 50):
                fault = stack.arm(f"schemabot.fcgi/{point}:crash@{n}")
                reply = stack.post_plan(FILES)
                if not fault.fired(point):
                    assert reply.status == 200 and n > 1, (point, n, reply)
                    break
                stack.disarm()
                assert reply.status >= 500, (point, n, reply)
                left += bool(scratch_schemas(stack))
                all_gone(stack)
        assert left >= 4, "scratch schemas do stay behind, or this test shows nothing"
        stack.disarm()
        assert changes(stack.plan(FILES)) == whole and scratch_schemas(stack) == []
    finally:
        stack.disarm()
        stack.command("restart-cron")


def test_the_client_goes_away(stack):
    """The worker finishes what it began and cleans up by itself."""
    for text in LIVE:
        stack.target(text)
    stack.command("stop-cron")
    try:
        fault = stack.arm(MIDDLE)
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(stack.url).netloc)
        body = {"database": "shop", "environment": "staging", "type": "mysql",
                "schema_files": {"shop": {"files": {f"t{i}.sql": t for i, t in enumerate(FILES)}}}}
        connection.request("POST", "/api/plan", json.dumps(body),
                           {"Authorization": f"Bearer {stack.token}", "Content-Type": "application/json"})
        stack.until(fault.arrived, "it is in the middle")
        assert len(scratch_schemas(stack)) == 2
        connection.close()
        fault.release()
        stack.until(lambda: not scratch_schemas(stack), "the worker has dropped its schemas")
        stack.until(lambda: not at_work(stack), "nobody holds a lock")
    finally:
        stack.disarm()
        stack.command("restart-cron")


def test_the_driver_dies_in_its_own_plan(stack):
    """The second plan, right before the work, is made by a driver."""
    for text in LIVE:
        stack.target(text)
    plan = stack.plan(FILES)
    for point in ("schema.scratch.created", "schema.load.created"):
        fault = stack.arm(f"schemabot-driver/{point}:crash")
        apply_id = stack.apply(plan, allow_unsafe=True)
        stack.until(lambda f=fault, p=point: f.fired(p), "a driver died")
        stack.wait_state(apply_id, "completed")
        all_gone(stack)
        stack.disarm()
        stack.target("ALTER TABLE users ADD COLUMN x int")
        plan = stack.plan(FILES)


def test_a_server_dies_in_the_middle(fresh_stack):
    """The target's, and the workspace's when it is another."""
    stack = fresh_stack(conf=ELSEWHERE, split=True)
    for environment in ("staging", "production"):
        for text in LIVE:
            stack.target(text, environment=environment)
    store = Stack(stack.dir).store
    for environment, options, server in (("production", [], None), ("staging", ["--storage"], store),
                                         ("staging", [], store)):
        fault = stack.arm(MIDDLE)
        replies = []
        thread = threading.Thread(target=lambda e=environment, r=replies: r.append(stack.post_plan(FILES, e)))
        thread.start()
        stack.until(fault.arrived, "it is in the middle")
        assert len(scratch_schemas(stack, server)) == 2
        stack.command("restart-db", "--kill", *options)
        fault.release()
        thread.join()
        stack.disarm()
        # With a workspace the target is only read, and that was before.
        assert replies[0].status in ((200, 503) if server and not options else (503,)), replies[0]
        all_gone(stack, server)
        assert len(changes(stack.plan(FILES, environment))) == 4
