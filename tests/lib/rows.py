"""
rows.py - rows of storage that no process of ours would leave behind, for tests of those that
have to cope with them: what a crash, a bug or an operator with a client has made.
"""
from .stack import STORAGE_DB

SETTLED = ("completed", "failed", "cancelled", "reverted")


class Rows:
    """Makes rows of storage that nobody would write."""

    def __init__(self, stack):
        self.stack = stack
        self.connection = stack.connect(STORAGE_DB)
        self.cursor = self.connection.cursor()
        self.run("INSERT INTO plans (plan_id, database_name, database_type, environment,"
                 " deployment, target, engine, schema_files, plan_data) VALUES"
                 " ('plan-x', 'shop', 'mysql', 'staging', 'default', 'shop', 'mysql', '{}', '{}')")
        self.plan, self.n = self.cursor.lastrowid, 0

    def run(self, statement, args=None):
        self.cursor.execute(statement, args)
        return self.cursor.lastrowid

    def apply(self, state, quiet="1 DAY", options="{}", **columns):
        """A row of applies that nobody has touched for so long; its id."""
        self.n += 1
        values = {"apply_id": f"apply-{self.n:016x}{self.n:016x}", "plan_row": self.plan, "state": state,
                  "database_name": f"d{self.n}", "database_type": "mysql", "engine": "mysql",
                  "environment": "staging", "deployment": "default", "options": options,
                  "volume": 3, **columns}
        row = self.run(f"INSERT INTO applies ({', '.join(values)}, updated_at, completed_at) VALUES"
                       f" ({', '.join(['%s'] * len(values))}, NOW(6) - INTERVAL {quiet},"
                       f" IF(%s, NOW(6) - INTERVAL {quiet}, NULL))",
                       (*values.values(), state in SETTLED))
        return row

    def operation(self, apply, state, due=None, owner=None, **columns):
        """due: an SQL expression for claim_after."""
        values = {"apply_row": apply, "deployment": "default", "target": "t", "state": state,
                  "lease_owner": owner, "lease_token": 5, **columns}
        return self.run(
            f"INSERT INTO apply_operations ({', '.join(values)}, claim_after, completed_at) VALUES"
            f" ({', '.join(['%s'] * len(values))}, {due or 'NULL'},"
            f" IF(%s, NOW(6) - INTERVAL 1 DAY, NULL))", (*values.values(), state in SETTLED))

    def task(self, apply, operation, state, table="t", seq=1):
        return self.run("INSERT INTO tasks (task_id, apply_row, operation_row, seq, namespace,"
                        " table_name, ddl, ddl_action, mode_reason, state) VALUES"
                        " (UUID(), %s, %s, %s, 'shop', %s, 'x', 'alter', '', %s)",
                        (apply, operation, seq, table, state))

    def request(self, apply, operation):
        return self.run("INSERT INTO apply_control_requests (apply_row, operation, metadata)"
                        " VALUES (%s, %s, '{}')", (apply, operation))

    def one(self, table, row, columns="*"):
        return self.stack.storage(f"SELECT {columns} FROM {table} WHERE id = %s", (row,))[0]

    def state(self, table, row):
        return self.one(table, row)["state"]

    def count(self, table, where, *args):
        return self.stack.storage(f"SELECT COUNT(*) AS n FROM {table} WHERE {where}", args)[0]["n"]

    def public_id(self, row):
        return self.one("applies", row)["apply_id"]

    def logs(self, apply):
        return [r["message"] for r in self.stack.storage(
            "SELECT message FROM apply_logs WHERE apply_row = %s ORDER BY id", (apply,))]
