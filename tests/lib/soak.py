"""
soak.py - chaos: many applies, and everything that works on them killed at random.

  Soak(stack, seed, seconds).run()   -> list of violations, empty when all is well

One User for each database and environment (of a rollout: for each database) plans, applies,
controls and sometimes gets in the way; the Monkey kills, stops and breaks; the Auditor looks at
the whole storage all the time. When the time is over the monkey leaves, everything comes to rest, and all is audited
once more. Every decision is drawn from generators of the printed seed; when it takes effect
depends on the machine, so that a seed repeats the kind of trouble, not the trouble.

Needs a stack with its storage on a server of its own (split=True).
"""
import collections
import contextlib
import os
import random
import secrets
import signal
import threading
import time

import pymysql

from . import invariants
from .crash import points_in_the_sources
from .stack import DEPLOYMENTS, ENVIRONMENTS, ROLLOUTS, Stack
from .twin import Twin, artefacts, items

# An apply may meet a vanished lease and ten retries, but no more than that.
STUCK_SECONDS = 240
UNANSWERED = (429, 502, 503, 504)
ENDED = (*invariants.SETTLED, "stopped")
VERBS = {
    "shop": ("stop", "cancel", "volume"),
    "resident": ("stop", "cancel", "volume"),
    "fakeshop": ("stop", "cancel", "volume"),
}
ROLLOUT = ("stop", "cancel", "release")


class Violation(Exception):
    """Something that must never be seen."""


class Actor(threading.Thread):
    """A thread that acts until the time is over; what goes wrong in it is a violation."""

    def __init__(self, soak, name):
        super().__init__(name=name, daemon=True)
        self.soak, self.stack = soak, soak.stack
        self.random = random.Random(f"{soak.seed}/{name}")

    def run(self):
        try:
            while not self.soak.over.is_set():
                self.act()
        except Exception as problem:  # whatever it is, the soak has failed
            self.soak.report(f"{self.name}: {type(problem).__name__}: {problem}")

    def sleep(self, least, most) -> None:
        self.soak.over.wait(self.random.uniform(least, most))


class User(Actor):
    """Changes the schema of one database and environment, for ever."""

    TABLES, COLUMNS = ("t0", "t1", "t2"), ("c0", "c1", "c2", "c3")

    def __init__(self, soak, database, environment):
        super().__init__(soak, f"{database}/{environment}")
        self.database, self.environment = database, environment

    # ---- requests ----

    def call(self, request):
        """Asks again until there is an answer; the answer."""
        end = time.monotonic() + STUCK_SECONDS
        while True:
            with contextlib.suppress(OSError):
                reply = request()
                if reply.status not in UNANSWERED:
                    if reply.status >= 500:
                        raise Violation(f"the API answers {reply}")
                    return reply
            if time.monotonic() > end:
                raise Violation("the API does not answer")
            time.sleep(0.1)

    def wanted(self) -> list:
        """Some tables with some columns."""
        files = []
        for table in self.TABLES:
            if self.random.random() < 0.9:
                columns = [c for c in self.COLUMNS if self.random.random() < 0.5]
                files.append(f"CREATE TABLE {table} (id int NOT NULL,"
                             + "".join(f" {c} int NULL," for c in columns)
                             + " PRIMARY KEY (id))")
        return files or [f"CREATE TABLE {self.TABLES[0]} (id int NOT NULL, PRIMARY KEY (id))"]

    def plan(self, files) -> dict:
        plan = self.call(lambda: self.stack.post_plan(files, self.environment,
                                                      database=self.database,
                                                      namespace=self.namespace)).expect(200)
        if plan.get("errors"):
            # A target that was away for a moment is no mistake in the files.
            self.soak.count["plan errors"] += 1
        return plan

    @property
    def namespace(self):
        return self.database

    def has_changes(self, plan) -> bool:
        return any(c["table_changes"] for c in plan["changes"])

    # ---- one apply ----

    def act(self):
        files = self.wanted()
        plan = self.plan(files)
        if plan.get("errors") or not self.has_changes(plan):
            return
        key = {"Idempotency-Key": secrets.token_hex(8)}
        reply = self.call(lambda: self.stack.post_apply(plan, headers=key,
                                                        **self.options()))
        if reply.status == 409:  # the target has changed: what a cancelled one left
            self.soak.count["applies refused"] += 1
            return
        apply_id = reply.expect(200)["apply_id"]
        self.soak.count["applies"] += 1
        with self.in_the_way():
            self.meddle(apply_id)
        state = self.see_through(apply_id)
        self.soak.count[state] += 1
        if state == "failed":
            self.soak.failures.append(self.why_failed(apply_id))
        if state == "completed" and self.has_changes(again := self.plan(files)):
            raise Violation(f"{apply_id} is completed, but {again['changes']} are missing")

    def why_failed(self, apply_id) -> str:
        with contextlib.suppress(pymysql.err.MySQLError):
            [row] = self.stack.storage("SELECT error_code AS c, error_message AS m FROM applies"
                                       " WHERE apply_id = %s", (apply_id,))
            return f"{self.name}: {row['c']}: {row['m']}"
        return f"{self.name}: {apply_id}"

    def options(self) -> dict:
        deferred = self.database.startswith("fake") and self.random.random() < 0.3
        return {"allow_unsafe": True, **({"defer_cutover": True} if deferred else {})}

    @contextlib.contextmanager
    def in_the_way(self):
        """Sometimes an application uses a table meanwhile."""
        if self.database != "shop" or self.random.random() < 0.5:
            yield
            return
        try:
            connection = self.stack.connect(f"shop_{self.environment}")
        except pymysql.err.OperationalError:
            yield
            return
        try:
            connection.autocommit(False)
            with contextlib.suppress(pymysql.err.MySQLError), connection.cursor() as cursor:
                cursor.execute(f"SELECT COUNT(*) FROM {self.random.choice(self.TABLES)}")
            yield
            self.sleep(0, 2)
        finally:
            connection.close()

    def meddle(self, apply_id) -> None:
        """Perhaps a request or two."""
        verbs = VERBS.get(self.database, ROLLOUT)
        while self.random.random() < 0.4:
            self.sleep(0, 0.6)
            self.control(self.random.choice(verbs), apply_id)

    def control(self, verb, apply_id):
        fields = {"volume": self.random.randint(1, 11)} if verb == "volume" else {}
        reply = self.call(lambda: self.stack.control(verb, apply_id, self.environment, **fields))
        if reply.status not in (200, 202, 409):
            raise Violation(f"{verb} of {apply_id} is answered {reply}")
        self.soak.count[f"{verb} {'accepted' if reply.status != 409 else 'refused'}"] += 1

    def see_through(self, apply_id) -> str:
        """Until it has ended, with the requests that it waits for; its last state."""
        end = time.monotonic() + STUCK_SECONDS
        while True:
            reply = self.call(lambda: self.stack.api.get(f"/api/progress/apply/{apply_id}"))
            state = reply.expect(200)["state"]
            if state in invariants.SETTLED:
                return state
            if state == "stopped":
                if self.random.random() < 0.2:
                    return state
                self.control(self.random.choice(("start", "start", "cancel")), apply_id)
            elif state == "waiting_for_cutover":
                self.control("cutover", apply_id)
            elif state == "paused":
                self.control(self.random.choice(("release", "cancel")), apply_id)
            elif any(o["state"] == "stopped" for o in reply.json["operations"]):
                self.control("start", apply_id)  # it may have failed for some of them
            if time.monotonic() > end:
                why = self.call(lambda: self.stack.api.get(f"/api/why/{apply_id}"))
                raise Violation(f"{apply_id} is {state} after {STUCK_SECONDS} s: {why.text}")
            time.sleep(0.1)


class ShopUser(User):
    """The same with two tables that an application writes to, and which are copied online
    whenever they change."""

    COPIED = {"items": 2500, "notes": 150}  # rows

    def __init__(self, soak, database, environment):
        super().__init__(soak, database, environment)
        self.schema = f"{database}_{environment}"
        self.twins = [Twin(self.stack, t, items(t), rows, self.schema, f"twins_{environment}",
                           f"{soak.seed}/{self.schema}/{t}", patient=True, pause=0.01)
                      for t, rows in self.COPIED.items()]

    def wanted(self) -> list:
        files = super().wanted()
        for made in self.twins:
            text = items(made.table, self.random.choice(("int", "bigint", "mediumint")),
                         self.random.choice(("", ", KEY am (amount)")))
            if self.random.random() < 0.3:
                text = text.replace("varchar(40)", "varchar(40) CHARACTER SET utf16")
            files.append(text)
        return files

    def options(self) -> dict:
        return {**super().options(), **self.random.choice(
            ({}, {"defer_cutover": True}, {"volume": self.random.randint(1, 11)}))}

    def violations(self) -> list:
        """When all is at rest and nobody writes any more."""
        found = []
        for made in self.twins:
            try:
                made.stop()
                made.compare_rows()
            except AssertionError as problem:
                found.append(f"{self.name}: {problem}")
        return found


class RolloutUser(User):
    """The same for a database with several deployments, each time with other policies. Its
    environments are the same servers, so that there is one apply at a time."""

    def __init__(self, soak, database):
        self.environments = ROLLOUTS[database][1]
        super().__init__(soak, database, self.environments[0])

    def act(self):
        self.environment = self.random.choice(self.environments)
        if self.database == "rollout" and self.environment.startswith("barrier"):
            return  # its engine cannot wait
        super().act()

    def plan(self, files):
        """Deployments that a failure has left different are made alike by hand."""
        plan = super().plan(files)
        while any("Make it the same" in error for error in plan.get("errors", ())):
            self.soak.count["deployments made alike"] += 1
            for deployment in DEPLOYMENTS:
                for table in self.TABLES:
                    self.stack.sql(f"DROP TABLE IF EXISTS {table}", None,
                                   f"{self.database}_{deployment}")
            plan = super().plan(files)
        return plan


class Monkey(Actor):
    """Kills and breaks."""

    def __init__(self, soak):
        super().__init__(soak, "monkey")
        self.points = sorted(points_in_the_sources())
        self.tricks = [(weight, trick) for weight, trick in (
            (10, self.kill_driver), (3, self.end_driver), (3, self.freeze_driver),
            (4, self.steal_from_frozen), (3, self.kill_scheduler), (2, self.kill_reaper),
            (3, self.kill_worker), (6, self.arm), (4, self.fake_trouble), (1, self.kill_storage),
            (5, self.kill_connection), (1, self.kill_target))]

    def act(self):
        self.sleep(0.1, 1.0)
        weights, tricks = zip(*self.tricks)
        [trick] = self.random.choices(tricks, weights)
        if not self.soak.over.is_set() and trick():
            self.soak.count[trick.__name__.replace("_", " ")] += 1

    def signal_one(self, program, sig) -> int:
        """A random process of that name; 0 when there is none."""
        pids = self.stack.processes(program)
        if not pids:
            return 0
        pid = self.random.choice(pids)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)
            return pid
        return 0

    def kill_driver(self):
        return self.signal_one("schemabot-driver", signal.SIGKILL)

    def end_driver(self):
        return self.signal_one("schemabot-driver", signal.SIGTERM)

    def kill_scheduler(self):
        return self.signal_one("schemabot-scheduler", signal.SIGKILL)

    def kill_reaper(self):
        return self.signal_one("schemabot-reaper", signal.SIGKILL)

    def kill_worker(self):
        return self.signal_one("schemabot.fcgi", signal.SIGKILL)

    def freeze_driver(self):
        pid = self.signal_one("schemabot-driver", signal.SIGSTOP)
        if pid:
            self.sleep(0.2, 2)
            self.wake(pid)
        return pid

    def steal_from_frozen(self):
        """Its lease is over while it is frozen: whoever claims then has to win."""
        pid = self.signal_one("schemabot-driver", signal.SIGSTOP)
        if not pid:
            return 0
        try:
            with contextlib.suppress(pymysql.err.MySQLError):
                self.stack.storage(
                    "UPDATE apply_operations SET claim_after = NOW(6) - INTERVAL 1 SECOND"
                    " WHERE claim_after IS NOT NULL AND lease_owner LIKE %s", (f"%/{pid}",))
            self.sleep(0.3, 3)
        finally:
            self.wake(pid)
        return pid

    @staticmethod
    def wake(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def arm(self):
        """A fault at some passages of some points, for the next few seconds."""
        rules = []
        for point in self.random.sample(self.points, 4):
            action = "drop" if ".lost_" in point else "crash"
            rules.append(f"{point}:{action}@{self.random.choice((1, 1, 2, 3, 5, 8))}")
        self.stack.arm(*rules)
        return True

    def fake_trouble(self):
        """The external side fails, is slow, loses answers."""
        rules = []
        for call in ("open", "start", "attach", "poll", "stop", "cutover"):
            if self.random.random() < 0.4:
                rules.append({"call": call, "from": self.random.randint(1, 3),
                              "until": self.random.randint(3, 6),
                              "error": self.random.choice(("http:503", "curl:28")),
                              **({"after": True} if self.random.random() < 0.4 else {})})
        self.stack.fake.script(*rules)
        return True

    def kill_storage(self):
        self.stack.command("restart-db", "--storage", "--kill")
        return True

    def kill_target(self):
        self.stack.command("restart-db", "--kill")
        return True

    def kill_connection(self):
        """One of ours at the target."""
        with contextlib.suppress(pymysql.err.MySQLError):
            ids = [row["id"] for row in self.stack.sql(
                "SELECT id FROM information_schema.processlist WHERE user = 'sb_target'")]
            if ids:
                self.stack.sql(f"KILL {self.random.choice(ids)}")
            return len(ids)
        return 0


class Auditor(Actor):
    """What must be true at any instant is looked at all the time."""

    def __init__(self, soak):
        super().__init__(soak, "auditor")

    def act(self):
        try:
            settled = invariants.Settled(self.stack)
            self.sleep(1, 3)
            found = invariants.audit(self.stack)
            if found:
                raise Violation("\n".join(found))
            settled.check()
            self.soak.count["audits"] += 1
        except (pymysql.err.OperationalError, pymysql.err.InterfaceError):
            pass  # the storage is away


class Soak:
    """One run on one stack."""

    def __init__(self, stack, seed: str, seconds: float, databases=()):
        self.stack, self.seed, self.seconds = stack, seed, seconds
        self.databases = databases or (*Stack(stack.dir).databases(), *ROLLOUTS)
        self.over = threading.Event()
        self.count, self.problems = collections.Counter(), []
        self.failures = []  # applies that ended so: allowed, and worth a look
        self.mutex = threading.Lock()

    def report(self, problem: str) -> None:
        with self.mutex:
            self.problems.append(problem)
        self.over.set()

    def run(self) -> list:
        kinds = {"shop": ShopUser}
        users = [kinds.get(database, User)(self, database, environment)
                 for database in self.databases if database not in ROLLOUTS
                 for environment in ENVIRONMENTS]
        self.shops = [u for u in users if isinstance(u, ShopUser)]
        users += [RolloutUser(self, d) for d in self.databases if d in ROLLOUTS]
        monkey = Monkey(self)
        actors = [*users, monkey, Auditor(self)]
        for actor in (*actors, *(made for u in self.shops for made in u.twins)):
            actor.start()
        self.over.wait(self.seconds)
        self.over.set()
        monkey.join(60)
        self.stack.disarm()
        self.stack.fake.script()
        for program in ("schemabot-driver", "schemabot-scheduler"):
            for pid in self.stack.processes(program):
                monkey.wake(pid)
        for actor in actors:
            actor.join(STUCK_SECONDS + 60)
            if actor.is_alive():
                self.problems.append(f"{actor.name} does not end")
        if not self.problems:
            self.problems = self.at_rest()
        self.problems += [line for u in self.shops for line in u.violations()]
        self.count["writes to copied tables"] = sum(
            made.writes for u in self.shops for made in u.twins)
        return self.problems

    def at_rest(self) -> list:
        """Everything that is not stopped comes to an end, and all of it is audited."""
        with contextlib.suppress(AssertionError):
            self.stack.until(self.resting, "rest", STUCK_SECONDS)
        try:
            return invariants.audit_rest(self.stack) + self.leftovers()
        except AssertionError as problem:
            return [str(problem)]

    def leftovers(self) -> list:
        """Copies and replaced tables of applies that are over."""
        over = {row["apply_id"][6:22] for row in self.stack.storage(
            "SELECT apply_id FROM applies WHERE state IN %s", (invariants.SETTLED,))}
        return [f"{u.schema}: `{name}` is left" for u in self.shops
                for name in artefacts(self.stack, u.schema) if name[-16:] in over]

    def resting(self) -> bool:
        """Users may have left an apply that was stopped and about to start again: what it waits
        for since is asked for here."""
        verbs = {"waiting_for_cutover": "cutover", "paused": "release"}
        for row in self.stack.storage(
                "SELECT a.apply_id, a.environment, a.state, SUM(o.state = 'stopped') AS stopped"
                " FROM applies a JOIN apply_operations o ON o.apply_row = a.id"
                " WHERE a.state NOT IN %s GROUP BY a.id", (ENDED,)):
            verb = verbs.get(row["state"], "start" if row["stopped"] else None)
            if verb:
                self.stack.control(verb, row["apply_id"], row["environment"])
        return invariants.resting(invariants.Snapshot(self.stack))

    def summary(self) -> str:
        return ", ".join(f"{n} {what}" for what, n in sorted(self.count.items()))
