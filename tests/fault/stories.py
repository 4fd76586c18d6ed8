"""
stories.py - what users and operators do with SchemaBot, to be told with faults in it.

Each is a Story (tests/lib/crash.py); ALL lists them. Together they pass every fault point in
the sources (test_crash_points.py makes sure), so a new durable step with a point of its own
belongs into a story here.
"""
import contextlib
import signal

from lib.crash import Story

FCGI, SCHEDULER, DRIVER, REAPER = ("schemabot.fcgi", "schemabot-scheduler", "schemabot-driver",
                                   "schemabot-reaper")


def table(name, *columns):
    """CREATE TABLE with a key and nullable columns."""
    return (f"CREATE TABLE {name} (id int NOT NULL,"
            + "".join(f" {c} int NULL," for c in columns) + " PRIMARY KEY (id))")


BEFORE = [table("a"), table("b")]
AFTER = [table("a", "extra"), table("b", "extra")]


class Busy(Story):
    """Something that happens while a statement waits for an application's transaction."""

    def prepare(self):
        for statement in BEFORE:
            self.stack.target(statement)

    @contextlib.contextmanager
    def statement_waiting(self):
        """An apply of two tables whose first statement has to wait meanwhile."""
        connection = self.stack.connect("shop_staging")
        connection.autocommit(False)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT COUNT(*) FROM a")
            plan = self.client.plan(AFTER)
            self.apply_id = self.client.apply(plan)
            self.wait(lambda: self.rows("SELECT id FROM tasks WHERE state = 'running'"),
                      "a task runs")
            yield
        finally:
            connection.rollback()
            connection.close()

    def requests(self):
        return [(r["operation"], r["status"]) for r in self.rows(
            "SELECT operation, status FROM apply_control_requests ORDER BY id")]


class Apply(Story):
    """A plan of a creation, a change and a removal, and its apply."""

    name, programs = "apply", (FCGI, SCHEDULER, DRIVER)

    def prepare(self):
        for statement in (table("a"), table("old")):
            self.stack.target(statement)

    def live(self):
        plan = self.client.plan(AFTER)
        self.apply_id = self.client.apply(plan, allow_unsafe=True)
        self.wait_state("completed")

    def check(self):
        assert self.stack.tables() == ["a", "b"]
        assert "extra" in self.stack.create_table("a")
        assert len(self.rows("SELECT id FROM applies")) == 1
        assert {r["state"] for r in self.rows("SELECT state FROM tasks")} == {"completed"}


class StopAndStart(Busy):
    """Stopped in the middle of a statement, and started again."""

    name, programs = "stop and start", (FCGI, DRIVER)

    def live(self):
        with self.statement_waiting():
            self.client.control("stop", self.apply_id)
            self.wait_state("stopped")
            assert "extra" not in self.stack.create_table("a")
        self.client.control("start", self.apply_id)
        self.wait_state("completed")

    def check(self):
        assert self.requests() == [("stop", "completed"), ("start", "completed")]


class Cancel(Busy):
    """Cancelled in the middle of a statement."""

    name, programs = "cancel", (DRIVER,)

    def live(self):
        with self.statement_waiting():
            self.client.control("cancel", self.apply_id)
            self.wait_state("cancelled")

    def check(self):
        assert "extra" not in self.stack.create_table("a")
        assert self.requests() == [("cancel", "completed")]


class HandBack(Busy):
    """A driver is asked to end, and another one takes over."""

    name, programs = "hand back", (DRIVER,)

    def live(self):
        with self.statement_waiting():
            token = self.token()
            self.stack.kill(self.stack.drivers(), signal.SIGTERM)
            self.wait(lambda: self.token() > token, "a successor claims")
        self.wait_state("completed")

    def token(self):
        return self.rows("SELECT lease_token FROM apply_operations")[0]["lease_token"]


class Orphan(Apply):
    """A driver dies, and its scheduler gives the claim back."""

    name, programs = "orphan", (SCHEDULER,)
    rules = ("schemabot-driver/drive.start.after:crash",)


class ShortLease(Busy):
    """A lease that is nearly over is renewed before the next statement."""

    name, programs = "short lease", (DRIVER,)

    def live(self):
        with self.statement_waiting():
            self.change("UPDATE apply_operations SET claim_after = NOW(6) + INTERVAL 5 SECOND"
                        " WHERE claim_after IS NOT NULL")
        self.wait_state("completed")


class Retry(Apply):
    """The target refuses for a moment."""

    name, programs = "retry", (DRIVER,)
    rules = ("schemabot-driver/engine.mysql.ddl.before:error",)

    def check(self):
        super().check()
        if self.calm:  # a driver may also die before it has recorded the refusal
            assert self.rows("SELECT attempt FROM apply_operations")[0]["attempt"] == 1


class GiveUp(Story):
    """The target refuses for good; the reaper says so when no retry is left."""

    name, programs = "give up", (DRIVER, REAPER)
    rules = ("schemabot-driver/engine.mysql.ddl.before:error@*",)

    def prepare(self):
        for statement in BEFORE:
            self.stack.target(statement)

    def live(self):
        plan = self.client.plan(AFTER)
        self.apply_id = self.client.apply(plan)
        # The first two retries come at once; the third has to wait.
        self.wait(lambda: self.rows(
            "SELECT id FROM apply_operations WHERE state = 'failed_retryable'"
            " AND attempt >= 2 AND lease_owner IS NULL"), "it waits for its next try")
        self.change("UPDATE apply_operations SET attempt = 10")
        self.reap()
        # A reaper that died with the claim: as if the lease window had passed.
        self.wait(self.given_up, "it is given up")

    def given_up(self):
        if self.state() == "failed":
            return True
        self.change("UPDATE apply_operations SET claim_after = NOW(6)"
                    " WHERE claim_after IS NOT NULL")
        self.reap()
        return False

    def check(self):
        assert "Gave up" in self.rows("SELECT error_message FROM applies")[0]["error_message"]
        assert "extra" not in self.stack.create_table("a")


class Tidying(Story):
    """What the reaper finds: a crashed planner's schema, requests that nobody will answer."""

    name, programs = "tidying", (REAPER,)

    def prepare(self):
        self.stack.target(table("a"))
        self.apply_id = self.stack.run([table("a", "extra")])["apply_id"]
        self.rows("INSERT INTO apply_control_requests (apply_row, operation, metadata)"
                  " SELECT id, 'stop', '{}' FROM applies")
        fault = self.stack.arm("schemabot.fcgi/schema.scratch.created:crash")
        assert self.stack.post_plan([table("a", "more")]).status == 503
        assert fault.fired("schema.scratch.created") and self.scratch()

    def scratch(self):
        return [d for d in self.stack.databases() if d.startswith("_schemabot_2")]

    def live(self):
        self.reap()

    def check(self):
        assert not self.scratch()
        assert self.rows("SELECT status FROM apply_control_requests") == [{"status": "completed"}]


class Reservations(Story):
    """Locks and settings, which handlers write without a driver."""

    name, programs = "locks and settings", (FCGI,)

    def live(self):
        lock = {"database": "shop", "database_type": "mysql", "owner": "me"}
        for _ in range(2):
            self.client.call(lambda: self.stack.api.post("/api/locks/acquire", lock)).expect(200)
        self.client.call(lambda: self.stack.api.post(
            "/api/settings", {"key": "k", "value": "v"})).expect(200)
        gone = self.client.call(lambda: self.stack.api.delete("/api/locks", lock))
        assert gone.status in (200, 404), gone

    def check(self):
        assert not self.rows("SELECT id FROM locks")
        assert [(r["setting_key"], r["setting_value"]) for r in self.rows(
            "SELECT setting_key, setting_value FROM settings")] == [("k", "v")]


class Convergence(Story):
    """Our own tables are created."""

    name, programs = "convergence", (REAPER,)

    def prepare(self):
        self.rows("DROP TABLE settings")
        self.rows("DROP TABLE locks")

    def live(self):
        for _ in range(5):
            if self.stack.binary("schemabot-reaper", "--converge-storage",
                                 faults=True).returncode == 0:
                return
        raise AssertionError("the storage does not converge")

    def check(self):
        assert self.rows("SELECT 1 FROM settings") == [] == list(
            self.rows("SELECT 1 FROM locks"))


ALL = (Apply, StopAndStart, Cancel, HandBack, Orphan, ShortLease, Retry, GiveUp, Tidying,
       Reservations, Convergence)
