"""
test_throttle.py - an online copy waits for a replica, through the whole stack: from the
configuration to what its operator sees.

The storage's server is made a replica of the target's, which applies what it reads an hour
later. What waits, and for which signals, is in test_copy_throttle.c.
"""
import re

from lib.stack import Stack

CONF = """
databases = { shop = { environments = { staging = { throttle = {
    max_replica_lag_seconds = 2;
    replicas = ( { socket = "@STORE_SOCKET@"; user = "sb_target"; password = "@TARGET_PASSWORD@"; } );
}; }; }; }; };
"""
ITEMS = "CREATE TABLE items (id int NOT NULL AUTO_INCREMENT, amount int NOT NULL, PRIMARY KEY (id))"
WIDER = ITEMS.replace("amount int", "amount bigint")


class Replica:
    """A server's replica, in the words of its flavour."""

    def __init__(self, stack):
        made = Stack(stack.dir)
        self.mariadb = made.state["flavor"] == "mariadb"
        self.run = lambda sql: made.store.run(sql, "admin", made.state["admin_password"])
        self.source, self.noun = ("MASTER", "SLAVE") if self.mariadb else ("SOURCE", "REPLICA")
        what = "MASTER" if self.mariadb else "REPLICATION SOURCE"
        self.change = f"CHANGE {what} TO {self.source}_"
        shown = "SHOW MASTER STATUS" if self.mariadb else "SHOW BINARY LOG STATUS"
        file, position = made.admin_sql(shown).split()[:2]
        key = "" if self.mariadb else f", GET_{self.source}_PUBLIC_KEY=1"
        right = "REPLICA MONITOR" if self.mariadb else "REPLICATION CLIENT"
        self.run(f"SET GLOBAL server_id = 2; GRANT {right} ON *.* TO 'sb_target'@'%';"
                 f" {self.change}HOST='127.0.0.1', {self.source}_PORT={made.server.port},"
                 f" {self.source}_USER='admin', {self.source}_PASSWORD='{made.state['admin_password']}',"
                 f" {self.source}_LOG_FILE='{file}', {self.source}_LOG_POS={position},"
                 f" {self.source}_DELAY=3600{key}; START {self.noun};")

    def seconds_behind(self) -> int:
        """-1 = it does not know; the 33rd column on both servers."""
        text = self.run(f"SHOW {self.noun} STATUS").split("\t")[32]
        return int(text) if text.isdigit() else -1

    def catch_up(self) -> None:
        self.run(f"STOP {self.noun}; {self.change}DELAY=0; START {self.noun};")


def test_a_copy_waits_for_a_replica(fresh_stack):
    stack = fresh_stack(conf=CONF, split=True)
    replica = Replica(stack)
    stack.target(ITEMS)
    stack.target("INSERT INTO items (amount) VALUES (1), (2), (3)")
    plan = stack.plan([WIDER])
    stack.until(lambda: replica.seconds_behind() > 2, "the replica is behind")
    apply_id = stack.apply(plan)
    table = stack.until(
        lambda: next((t for t in stack.progress(apply_id)["tables"] if t["throttled"]), None),
        "the copy waits")
    found = re.fullmatch(r"replica lag of \S*/store/sock (\d+)s > 2s", table["throttle_reason"])
    assert found and int(found[1]) > 2, table
    assert (table["status"], table["rows_copied"]) == ("running", 0)
    assert "`amount` int" in stack.create_table("items")
    replica.catch_up()
    [table] = stack.wait_state(apply_id, "completed")["tables"]
    assert not table["throttled"] and not table.get("throttle_reason")
    assert "`amount` bigint" in stack.create_table("items")
    assert "items waits: replica lag of" in stack.new_logs(100000)
    replica.run(f"STOP {replica.noun}")
    # MySQL takes ten seconds to end with a sender whose replica has gone.
    for sender in stack.sql("SELECT id FROM information_schema.processlist"
                            " WHERE command LIKE 'Binlog Dump%%'", ()):
        stack.sql(f"KILL {sender['id']}")
