"""
stories.py - what users and operators do with SchemaBot, to be told with faults in it.

Each is a Story (tests/lib/crash.py); ALL lists them. Together they pass every fault point in
the sources (test_crash_points.py makes sure), so a new durable step with a point of its own
belongs into a story here.
"""
import contextlib
import signal

from lib.crash import Story
from lib.rows import Rows
from lib.stack import DEPLOYMENTS

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


class TwoStatements(Story):
    """A table that takes two statements, each of which is carried out once. In production, where
    one as small as this may get its foreign key under a lock."""

    name, programs = "two statements", (DRIVER,)
    only = ("engine.mysql.ddl.before", "engine.mysql.ddl.after", "drive.opened",
            "drive.start.after")

    def prepare(self):
        self.stack.target(table("p"), environment="production")
        self.stack.target(self.child(), environment="production")

    def child(self, *columns, more=""):
        return table("c", "x", *columns).replace(
            "PRIMARY KEY (id)", "PRIMARY KEY (id), KEY f (x),"
            f" CONSTRAINT f FOREIGN KEY (x) REFERENCES p (id){more}")

    def live(self):
        plan = self.client.plan([table("p"), self.child("extra", more=" ON DELETE CASCADE")],
                                environment="production")
        self.apply_id = self.client.apply(plan, allow_unsafe=True)
        self.wait_state("completed")

    def check(self):
        made = self.stack.create_table("c", "production")
        assert "extra" in made and "ON DELETE CASCADE" in made
        tasks = self.rows("SELECT table_name, ddl, state FROM tasks ORDER BY seq")
        assert [(t["table_name"], t["state"]) for t in tasks] == 2 * [("c", "completed")]
        assert "DROP FOREIGN KEY" in tasks[0]["ddl"] and "extra" in tasks[1]["ddl"]


class Renamed(Story):
    """A table that gets another name, and then another column."""

    name, programs = "renamed", (DRIVER,)
    only = ("engine.mysql.checkpoint.signed", "engine.mysql.ddl.before", "engine.mysql.ddl.after",
            "drive.opened")

    def prepare(self):
        self.stack.target(table("old"))
        self.stack.target("INSERT INTO old VALUES (7)")

    def live(self):
        plan = self.client.plan(["-- schemabot: rename table old to new\n" + table("new", "extra")])
        self.apply_id = self.client.apply(plan, allow_unsafe=True)
        self.wait_state("completed")

    def check(self):
        assert self.stack.target("SELECT * FROM new") == [{"id": 7, "extra": None}]
        assert self.stack.tables() == ["new"]
        tasks = self.rows("SELECT table_name, state FROM tasks")
        assert [(t["table_name"], t["state"]) for t in tasks] == 2 * [("new", "completed")]


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
            self.rows("UPDATE apply_operations SET claim_after = NOW(6) + INTERVAL 5 SECOND"
                      " WHERE claim_after IS NOT NULL")
        self.wait_state("completed")


class StartConflict(Busy):
    """A stopped apply has given way; its start is refused while the other one is active."""

    name, programs = "start conflict", (DRIVER,)

    def live(self):
        with self.statement_waiting():
            first = self.apply_id
            self.client.control("stop", first)
            self.wait_state("stopped")
        connection = self.stack.connect("shop_staging")
        connection.autocommit(False)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT COUNT(*) FROM b")
            self.apply_id = self.client.apply(self.client.plan([BEFORE[0], AFTER[1]]))
            self.client.control("start", first)
            self.wait(lambda: "pending" not in dict(self.requests()).values(), "an answer")
        finally:
            connection.close()
        self.wait_state("completed")
        assert self.state(first) == "stopped"

    def check(self):
        assert self.requests() == [("stop", "completed"), ("start", "failed")]


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
        self.rows("UPDATE apply_operations SET attempt = 10")
        self.reap()
        # A reaper that died with the claim: as if the lease window had passed.
        self.wait(self.given_up, "it is given up")

    def given_up(self):
        if self.state() == "failed":
            return True
        self.rows("UPDATE apply_operations SET claim_after = NOW(6)"
                  " WHERE claim_after IS NOT NULL")
        self.reap()
        return False

    def check(self):
        assert "Gave up" in self.rows("SELECT error_message FROM applies")[0]["error_message"]
        assert "extra" not in self.stack.create_table("a")


class Tidying(Story):
    """What the reaper finds: what crashed processes left in storage and on a target."""

    name, programs, audits_targets = "tidying", (REAPER,), False

    def prepare(self):
        self.stack.target(table("a"))
        self.apply_id = self.stack.run([table("a", "extra")])["apply_id"]
        self.rows("INSERT INTO apply_control_requests (apply_row, operation, metadata)"
                  " SELECT id, 'stop', '{}' FROM applies")
        made = Rows(self.stack)
        over = made.apply("cancelled")
        made.task(over, made.operation(over, "cancelled"), "cancelled")
        self.copy = f"a~sb_new_{made.public_id(over)[6:22]}"
        self.stack.target(f"CREATE TABLE `{self.copy}` (id int)")
        made.run("INSERT INTO apply_logs (apply_row, event_type, message, created_at)"
                 " SELECT id, 'info', 'old', NOW(6) - INTERVAL 92 DAY FROM applies")
        made.run("UPDATE applies SET updated_at = NOW(6) - INTERVAL 91 DAY,"
                 " completed_at = NOW(6) - INTERVAL 91 DAY")
        orphan = made.apply("cancelled")
        made.task(orphan, made.operation(orphan, "pending"), "pending")
        stale = made.apply("running", started_at="2026-01-01")
        made.task(stale, made.operation(stale, "completed"), "completed")
        made.connection.close()
        self.stack.sql("INSERT INTO _schemabot_state.checkpoints (schema_name, table_name,"
                       " operation, lease_token, apply_id, statement, connection_id)"
                       " VALUES ('shop_staging', 'a', %s, 1, %s, '', 1)",
                       (f"{self.apply_id}/default", self.apply_id))
        fault = self.stack.arm("schemabot.fcgi/schema.scratch.created:crash")
        assert self.stack.post_plan([table("a", "more")]).status == 503
        assert fault.fired("schema.scratch.created") and self.scratch()

    def scratch(self):
        return [d for d in self.stack.databases() if d.startswith("_schemabot_2")]

    def live(self):
        self.reap()

    def check(self):
        assert not self.scratch() and self.stack.tables() == ["a"]
        assert self.rows("SELECT status FROM apply_control_requests") == [{"status": "completed"}]
        assert not self.rows("SELECT id FROM apply_logs WHERE message = 'old'")
        assert {r["state"] for r in self.rows("SELECT state FROM applies UNION SELECT state"
                                              " FROM apply_operations UNION SELECT state"
                                              " FROM tasks")} == {"completed", "cancelled"}
        assert not self.stack.sql("SELECT operation FROM _schemabot_state.checkpoints")


class KeptDrops(Story):
    """A dropped table is moved aside, and dropped for good when its time is over."""

    name, programs = "kept drops", (DRIVER, REAPER)

    def prepare(self):
        self.stack.target(table("a"), None, "production")

    def kept(self):
        return [r["t"] for r in self.stack.sql(
            "SELECT table_name AS t FROM information_schema.tables"
            " WHERE table_schema = '_schemabot_drops'")]

    def live(self):
        plan = self.client.plan({}, environment="production")
        self.apply_id = self.client.apply(plan, allow_unsafe=True)
        self.wait_state("completed")
        [kept] = self.kept()
        assert kept.endswith("_a")
        self.stack.sql(f"RENAME TABLE _schemabot_drops.`{kept}` TO"
                       " _schemabot_drops.20260101000000000_a")
        self.reap()

    def check(self):
        assert not self.kept() and not self.stack.tables("production")


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
    """Our own tables are created and completed."""

    name, programs = "convergence", (REAPER,)

    def prepare(self):
        self.rows("DROP TABLE settings")
        self.rows("DROP TABLE locks")
        self.rows("ALTER TABLE applies DROP COLUMN released_at")
        self.rows("ALTER TABLE tasks DROP INDEX ix_state, ADD COLUMN later int")

    def live(self):
        for _ in range(5):
            if self.stack.binary("schemabot-reaper", "--converge-storage",
                                 faults=True).returncode == 0:
                return
        raise AssertionError("the storage does not converge")

    def check(self):
        assert self.rows("SELECT 1 FROM settings") == [] == list(
            self.rows("SELECT 1 FROM locks"))
        assert self.rows("SELECT released_at FROM applies") == []
        assert self.rows("SELECT later FROM tasks FORCE INDEX (ix_state)") == []
        self.rows("ALTER TABLE tasks DROP COLUMN later")


class Rollout(Story):
    """Three deployments, one after the other."""

    name, programs, database, environment = "rollout", (SCHEDULER, DRIVER), "rollout", \
        "rolling_halt"
    options, files = {}, [table("a", "extra")]

    def prepare(self):
        for deployment in DEPLOYMENTS:
            self.at(deployment, table("a"))

    def at(self, deployment, statement):
        return self.stack.sql(statement, None, f"{self.database}_{deployment}")

    def live(self):
        self.begin()
        self.wait_state("completed")

    def begin(self):
        plan = self.client.plan(self.files, environment=self.environment,
                                database=self.database)
        self.apply_id = self.client.apply(plan, allow_unsafe=True, **self.options)

    def changed(self):
        """Deployments whose table has the wanted column."""
        return [d for d in DEPLOYMENTS
                if "extra" in self.at(d, "SHOW CREATE TABLE a")[0]["Create Table"]]

    def check(self):
        assert self.changed() == list(DEPLOYMENTS)


class Parallel(Rollout):
    """Three deployments at once."""

    name, programs, environment = "parallel rollout", (DRIVER,), "parallel_halt"


class Barrier(Rollout):
    """All three get to the gate, and cut over one after the other."""

    name, programs, database, environment = "barrier", (DRIVER,), "fakerollout", "barrier_halt"
    share = 0.5

    def live(self):
        self.begin()
        self.wait_state("completed", hurry=True)


class HaltedRollout(Rollout):
    """The second deployment cannot be changed: the third is not begun."""

    name, programs = "halted rollout", (DRIVER,)
    done = ["eu"]

    def prepare(self):
        super().prepare()
        # What is wanted is a unique key where two rows are equal.
        for deployment in DEPLOYMENTS:
            self.at(deployment, "ALTER TABLE a ADD COLUMN n int NULL")
        self.at("us", "INSERT INTO a VALUES (1, 7), (2, 7)")
        self.files = [table("a", "n", "extra").replace("PRIMARY KEY (id)",
                                                       "PRIMARY KEY (id), UNIQUE KEY n (n)")]

    def live(self):
        self.begin()
        self.wait_state("failed")

    def check(self):
        assert self.changed() == self.done


class PausedRollout(HaltedRollout):
    """The same with on_failure = pause: an operator lets the third begin."""

    name, environment = "paused rollout", "rolling_pause"
    programs, done = (FCGI, DRIVER), ["eu", "ap"]

    def live(self):
        self.begin()
        self.wait_state("paused")
        self.client.control("release", self.apply_id, environment=self.environment)
        self.wait_state("failed")


class HaltedAtTheGate(Barrier):
    """One deployment fails while the others wait at the gate: they are cancelled."""

    name, share = "halted at the gate", 0.3

    def prepare(self):
        super().prepare()
        self.stack.fake.script({"call": "poll", "deployment": "us", "hold": "running",
                                "from": 1, "until": 6},
                               {"call": "poll", "deployment": "us", "fail": "mysql:1114"})

    def live(self):
        self.stack.fake.release("running")
        self.begin()
        self.wait_state("failed", hurry=True)

    def check(self):
        assert not self.changed()


class External(Story):
    """An external engine: slower than a look, with a volume, a gate and a cutover."""

    name, programs, database = "external", (FCGI, DRIVER), "fakeshop"

    def prepare(self):
        self.stack.sql(table("a"), None, f"{self.database}_staging")
        self.stack.fake.script({"call": "poll", "hold": "running"})

    def begin(self, **options):
        plan = self.client.plan([table("a", "extra"), table("b")], database=self.database)
        self.apply_id = self.client.apply(plan, **options)
        self.wait(lambda: self.stack.fake.calls("poll", answer="ok"), "it is looked at")

    def live(self):
        self.begin(defer_cutover=True)
        self.wait_parked()
        self.client.control("volume", self.apply_id, volume=7)
        self.wait(self.obeyed("volume"), "the volume has changed")
        self.stack.fake.release("running")
        self.wait_state("waiting_for_cutover", hurry=True)
        self.client.control("cutover", self.apply_id)
        self.wait_state("completed", hurry=True)

    def wait_parked(self):
        self.wait(lambda: self.rows("SELECT id FROM apply_operations WHERE state = 'running'"
                                    " AND lease_owner IS NULL AND claim_after > NOW(6)"),
                  "it is parked")

    def check(self):
        changed = self.stack.sql("SHOW CREATE TABLE a", None, f"{self.database}_staging")
        assert "extra" in changed[0]["Create Table"]
        assert len(self.stack.fake.created()) == 1, "one change, created once"


class Resident(External):
    """The same with an engine that lives in the driver."""

    name, programs, database = "resident", (DRIVER,), "resident"

    def wait_parked(self):
        """It is not: its work ends with its driver."""

    def check(self):
        changed = self.stack.sql("SHOW CREATE TABLE a", None, "resident_staging")
        assert "extra" in changed[0]["Create Table"]


class OneByOne(Resident):
    """Two tables, each in an engine call of its own; what was stored for the first is not the
    second's."""

    name, programs = "one by one", (DRIVER,)

    def prepare(self):
        self.stack.sql(table("a"), None, "resident_staging")

    def live(self):
        self.begin()
        self.wait_state("completed")

    def check(self):
        super().check()
        assert self.stack.sql("SHOW CREATE TABLE b", None, "resident_staging")


class ExternalStop(External):
    """Stopped there, and started again."""

    name, programs = "external stop", (DRIVER,)

    def live(self):
        self.begin()
        self.client.control("stop", self.apply_id)
        self.wait_state("stopped")
        self.client.control("start", self.apply_id)
        self.stack.fake.release("running")
        self.wait_state("completed", hurry=True)


class Herd(External):
    """Many parked operations are due at once: a driver claims the rest of them together."""

    name, programs = "herd", (DRIVER,)
    only = ("operation.claim.parked", "operation.park.together", "drive.parked")
    places = [("fakeshop", "staging"), ("fakeshop", "production"),
              ("fakerollout", "parallel_halt")]

    def prepare(self):
        for schema in ("fakeshop_staging", "fakeshop_production",
                       *(f"fakerollout_{d}" for d in DEPLOYMENTS)):
            self.stack.sql(table("a"), None, schema)
        self.stack.fake.script({"call": "poll", "hold": "running"})

    def parked(self):
        """How many are, and how often they were claimed."""
        rows = self.rows("SELECT lease_token AS n FROM apply_operations WHERE state = 'running'"
                         " AND lease_owner IS NULL AND claim_after > NOW(6)")
        return len(rows), sum(row["n"] for row in rows)

    def live(self):
        applies = [self.client.apply(self.client.plan([table("a", "extra")], database=database,
                                                      environment=environment))
                   for database, environment in self.places]
        self.wait(lambda: self.parked()[0] == 5, "all are parked")
        before = self.parked()[1]
        self.hurry()  # a look that finds nothing new
        self.wait(lambda: self.parked()[0] == 5 and self.parked()[1] >= before + 5,
                  "all are parked again")
        self.rows("UPDATE apply_operations SET claim_after = NOW(6) + INTERVAL 60 SECOND"
                  " WHERE lease_owner IS NULL AND claim_after IS NOT NULL")
        self.stack.fake.release("running")
        for apply_id in applies:
            self.wait_state("completed", apply_id, hurry=True)

    def check(self):
        assert len(self.stack.fake.created()) == 5


class Deploy(External):
    """It waits for its deployment to be started."""

    name, programs = "deploy", (DRIVER,)

    def live(self):
        self.stack.fake.script({"call": "start", "phases": [
            "waiting_for_deploy", "running", "completed"]})
        self.begin()
        self.wait_state("waiting_for_deploy")
        self.client.control("start", self.apply_id)
        self.wait_state("completed", hurry=True)


class Reverted(External):
    """Completed, and undone within the revert window."""

    name, programs = "revert", (DRIVER,)

    def live(self):
        self.stack.fake.release("running")
        self.begin(enable_revert=True)
        self.wait_state("revert_window", hurry=True)
        self.client.control("revert", self.apply_id)
        self.wait_state("reverted", hurry=True)

    def check(self):
        undone = self.stack.sql("SHOW CREATE TABLE a", None, "fakeshop_staging")
        assert "extra" not in undone[0]["Create Table"]


ALL = (Apply, TwoStatements, Renamed, StopAndStart, Cancel, HandBack, Orphan, ShortLease, StartConflict, Retry, GiveUp,
       Tidying, KeptDrops, Reservations, Convergence, Rollout, Parallel, Barrier, HaltedRollout,
       PausedRollout, HaltedAtTheGate, External, Resident, OneByOne, ExternalStop, Herd,
       Deploy, Reverted)
