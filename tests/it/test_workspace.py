"""
test_workspace.py - scratch schemas on a server of their own, or by an account of their own on
the target's server: `workspace` in the configuration. DESIGN.md 6.
"""
import contextlib

import pytest

from lib.harness import Harness
from lib.stack import Stack

USERS = "CREATE TABLE users (id bigint NOT NULL AUTO_INCREMENT, name varchar(50) NOT NULL, PRIMARY KEY (id))"
WIDER = USERS.replace("50", "60")
CONF = """databases = { shop = { environments = {
    staging = { workspace = { socket = "%s"; user = "sb_scratch"; password = "@SCRATCH_PASSWORD@"; }; };
}; }; };"""
ELSEWHERE, BESIDE = CONF % "@STORE_SOCKET@", CONF % "@DB_SOCKET@"


def changes(plan):
    return [c["ddl"] for ns in plan["changes"] for c in ns["table_changes"]]


def scratch_schemas(stack, server=None):
    whole = Stack(stack.dir)
    shown = (server or whole.server).run("SHOW DATABASES", "admin", whole.state["admin_password"])
    return [d for d in shown.split() if d.startswith("_schemabot_2")]


@contextlib.contextmanager
def reading_only(stack):
    """The target account as it may be when it never has to apply anything."""
    stack.sql(r"REVOKE ALL ON `\_schemabot\_%`.* FROM 'sb_target'@'%'")
    stack.sql(r"REVOKE ALL ON `shop\_staging`.* FROM 'sb_target'@'%'")
    stack.sql(r"GRANT SELECT ON `shop\_staging`.* TO 'sb_target'@'%'")
    try:
        yield
    finally:
        for scope in (r"`\_schemabot\_%`.*", r"`shop\_staging`.*"):
            stack.sql(f"GRANT ALL ON {scope} TO 'sb_target'@'%'")


def test_a_server_of_its_own(fresh_stack):
    """Plans need only reading rights on the target; applies and leftovers work as ever."""
    stack = fresh_stack(conf=ELSEWHERE, split=True)
    server = Stack(stack.dir).store

    def on_server(statement):
        server.run(statement, "admin", Stack(stack.dir).state["admin_password"])

    stack.target(USERS)
    with reading_only(stack):
        assert changes(stack.plan([WIDER])) == ["ALTER TABLE `users` MODIFY COLUMN `name` varchar(60) NOT NULL"]
        assert changes(stack.plan([USERS])) == []
        plan = stack.post_plan([USERS.replace("bigint", "bigynt")]).expect(200)
        assert "t0.sql" in plan["errors"][0] and "_schemabot_" not in plan["errors"][0]
        reply = stack.post_plan([WIDER], "production")
        assert reply.status >= 400 and "scratch schema" in reply.json["error"], "it has no workspace"
    stack.run([WIDER])
    assert "varchar(60)" in stack.create_table("users")
    assert scratch_schemas(stack, server) == []

    for point in ("schema.scratch.created", "schema.verify.executed"):
        with stack.faults(f"{point}:crash", part="app"):
            assert stack.post_plan([USERS]).status >= 500
            stack.until(lambda: stack.reap() or not scratch_schemas(stack, server), "the reaper has dropped it")
    assert changes(stack.plan([USERS])) != []

    toggle = "SET GLOBAL explicit_defaults_for_timestamp = NOT @@GLOBAL.explicit_defaults_for_timestamp"
    on_server(toggle)
    reply = stack.post_plan([USERS])
    assert reply.status >= 400 and "workspace" in reply.json["error"], reply
    assert "explicit_defaults_for_timestamp" in reply.json["error"]
    on_server(toggle)
    on_server(r"REVOKE ALL ON `\_schemabot\_2%`.* FROM 'sb_scratch'@'%'")
    reply = stack.post_plan([USERS])
    assert reply.status >= 400 and "(workspace)" in reply.json["error"] and "scratch" in reply.json["error"], reply
    on_server("DROP USER 'sb_scratch'@'%'")
    reply = stack.post_plan([USERS])
    assert reply.status == 503 and "(workspace)" in reply.json["error"], reply
    assert changes(stack.plan([USERS], "production")) != []


def test_another_kind_of_server_is_refused(fresh_stack, flavor):
    other = Harness("mysql" if flavor == "mariadb" else "mariadb")
    try:
        started = other.command("server", "--flavor", other.flavor, check=False)
        if started.returncode == 77:
            pytest.skip(started.stderr.strip())
        whole = Stack(other.dir)
        secret = other.dir / "scratch.password"
        secret.write_text(whole.state["scratch_password"])
        stack = fresh_stack(conf=CONF.replace("%s", str(whole.server.socket)).replace(
            "@SCRATCH_PASSWORD@", f"file:{secret}"))
        reply = stack.post_plan([USERS])
        assert reply.status >= 400 and scratch_schemas(stack) == [], reply
        for word in ("MariaDB 1", "MySQL 9", "same kind", "workspace"):
            assert word in reply.json["error"], reply
    finally:
        other.discard()


def test_another_account_on_the_same_server(fresh_stack):
    """What is tried out is tried by an account that can reach nothing else."""
    stack = fresh_stack(conf=BESIDE)
    stack.target(USERS)
    with reading_only(stack):
        assert changes(stack.plan([WIDER])) == ["ALTER TABLE `users` MODIFY COLUMN `name` varchar(60) NOT NULL"]
        with stack.faults("schema.load.created:crash", part="app"):
            assert stack.post_plan([WIDER]).status >= 500
        stack.until(lambda: stack.reap() or not scratch_schemas(stack), "the reaper has dropped it")
    stack.run([WIDER])
    assert "varchar(60)" in stack.create_table("users") and scratch_schemas(stack) == []
