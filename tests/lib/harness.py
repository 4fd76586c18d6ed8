"""
harness.py - a running stack as a test sees it.

Made by the fixtures of tests/conftest.py. It starts its stack with tests/stack, speaks to
it over HTTP as any client does, and looks behind it through the server's administrator. A
wait is always for a condition with a deadline, and its failure says what was seen instead.
"""
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql
import pymysql.cursors
from pymysql.constants import ER

from . import places, procs
from .api import Api, Reply
from .fake import Fake
from .stack import DATABASES, FAKE_DATABASES, FAULT_FILE, ROLLOUTS, SCHEMAS, STORAGE_DB, Stack

STACK = places.ROOT / "tests" / "stack"
DATABASE_TYPES = {**DATABASES, **FAKE_DATABASES, **{d: kind for d, (kind, _) in ROLLOUTS.items()}}
SETTLED = ("completed", "failed", "cancelled", "reverted")
DEADLINE = 60


class StartFailed(Exception):
    """tests/stack said no; `skip` when only because the flavour cannot be had."""

    def __init__(self, text: str, skip: bool):
        super().__init__(text)
        self.skip = skip


class Harness:
    """One stack of the given flavour in a directory of its own."""

    def __init__(self, flavor: str = "mariadb", directory=None):
        self.flavor = flavor
        self.dir = Path(directory or tempfile.mkdtemp(prefix=f"{flavor}-",
                                                      dir=places.scratch_dir()))
        self.dir.chmod(0o755)
        self.env, self._databases, self._log_marks = {}, set(), {}
        self.fake = Fake(self)
        self.attended = False  # a test starts the schedulers, not cron

    # ---- life -----------------------------------------------------------------------

    def command(self, name: str, *arguments, env=None, check: bool = True):
        """Run tests/stack NAME DIR ARGUMENTS."""
        done = subprocess.run([STACK, name, self.dir, *arguments], text=True, check=False,
                              capture_output=True, env={**os.environ, **(env or {})})
        if check and done.returncode != 0:
            raise StartFailed(f"tests/stack {name} exited with {done.returncode}:\n"
                              f"{done.stderr}", done.returncode == 77)
        return done

    def start(self, *arguments, conf: str = "", env=None, split: bool = False) -> "Harness":
        """`conf`: further settings; `env`: for tests/stack (SB_CRON_SECONDS, SB_FAULT...);
        `split`: our storage is on a server of its own."""
        extra = ["--split"] if split else []
        if conf:
            file = self.dir.with_name(self.dir.name + ".conf")
            file.write_text(conf)
            extra += ["--conf", file]
        self.command("start", "--flavor", self.flavor, *extra, *arguments, env=env)
        for line in (self.dir / "env").read_text().splitlines():
            name, value = shlex.split(line)[1].split("=", 1)
            self.env[name] = value
        self._databases = self.databases()
        return self

    def stop(self) -> None:
        self.command("stop")

    def discard(self) -> None:
        """Stop, and remove everything but what a failed test may need."""
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.with_name(self.dir.name + ".conf").unlink(missing_ok=True)

    @property
    def url(self) -> str:
        return self.env["SB_URL"]

    @property
    def metrics_url(self) -> str:
        return self.env["SB_METRICS_URL"]

    @property
    def token(self) -> str:
        return self.env["SB_TOKEN"]

    @property
    def read_token(self) -> str:
        return self.env["SB_READ_TOKEN"]

    @property
    def config(self) -> Path:
        return Path(self.env["SB_CONFIG"])

    @property
    def bin(self) -> Path:
        return Path(self.env["SB_BIN"])

    @property
    def run_dir(self) -> Path:
        return self.dir / "run"

    @property
    def api(self) -> Api:
        return Api(self.url, self.token)

    @property
    def reader(self) -> Api:
        return Api(self.url, self.read_token)

    def binary(self, name: str, *arguments, env=None, timeout: float = 120,
               faults: bool = False):
        """Run one of our programs against this stack in the foreground."""
        return subprocess.run(
            [self.bin / name, "--config", self.config, *arguments], text=True, check=False,
            capture_output=True, timeout=timeout,
            env={**Stack(self.dir).environment(faults), **(env or {})})

    def reap(self, env=None) -> None:
        """One pass of the reaper, which has to succeed."""
        done = self.binary("schemabot-reaper", env=env)
        assert done.returncode == 0, f"the reaper exited with {done.returncode}: {done.stderr}"

    # ---- the database server ----------------------------------------------------------

    def connect(self, database=None, **options):
        """A connection of the administrator's, to be closed by the caller."""
        server = "SB_STORAGE_SOCKET" if database == STORAGE_DB else "SB_DB_SOCKET"
        return pymysql.connect(
            unix_socket=self.env[server], user=self.env["SB_DB_USER"],
            password=self.env["SB_DB_PASSWORD"], database=database, charset="utf8mb4",
            autocommit=True, cursorclass=pymysql.cursors.DictCursor, **options)

    def sql(self, statement: str, args=None, database=None) -> list:
        """Run one statement; its rows as dictionaries. One that the server gave up for a
        deadlock with the programs under test has done nothing, and is repeated."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                for last in (False,) * 9 + (True,):
                    try:
                        cursor.execute(statement, args)
                        break
                    except pymysql.err.OperationalError as error:
                        if last or error.args[0] != ER.LOCK_DEADLOCK:
                            raise
                return list(cursor.fetchall())
        finally:
            connection.close()

    def storage(self, statement: str, args=None) -> list:
        """The same in our own storage."""
        return self.sql(statement, args, STORAGE_DB)

    def target(self, statement: str, args=None, environment: str = "staging") -> list:
        """The same in the target schema of an environment of `shop`."""
        return self.sql(statement, args, f"shop_{environment}")

    def tables(self, environment: str = "staging") -> list:
        return sorted(row["t"] for row in self.sql(
            "SELECT table_name AS t FROM information_schema.tables WHERE table_schema = %s",
            (f"shop_{environment}",)))

    def create_table(self, table: str, environment: str = "staging") -> str:
        """SHOW CREATE TABLE."""
        quoted = "`" + table.replace("`", "``") + "`"
        return self.target(f"SHOW CREATE TABLE {quoted}", None, environment)[0]["Create Table"]

    def databases(self) -> set:
        return {row["Database"] for row in self.sql("SHOW DATABASES")}

    # ---- the API's main path ------------------------------------------------------------

    def post_plan(self, files, environment: str = "staging", *, database: str = "shop",
                  namespace: str = "", api=None, **fields) -> Reply:
        """POST /api/plan, as it is answered. `files`: {"users.sql": "CREATE TABLE ..."}, or
        a list of statements whose file names do not matter."""
        if not isinstance(files, dict):
            files = {f"t{i}.sql": text for i, text in enumerate(files)}
        body = {"database": database, "environment": environment,
                "type": DATABASE_TYPES.get(database, "mysql"),
                "schema_files": {namespace or database: {"files": files}}, **fields}
        return (api or self.api).post("/api/plan", body)

    def plan(self, files, environment: str = "staging", **fields) -> dict:
        """A plan without errors."""
        plan = self.post_plan(files, environment, **fields).expect(200)
        assert not plan.get("errors"), f"the plan has errors: {plan['errors']}"
        return plan

    def post_apply(self, plan, environment: str = "", *, headers=None, caller: str = "",
                   api=None, **options) -> Reply:
        """POST /api/apply, as it is answered. `plan`: a plan's reply or its id."""
        if isinstance(plan, dict):
            plan, environment = plan["plan_id"], environment or plan["environment"]
        body = {"plan_id": plan, "environment": environment or "staging"}
        if caller:
            body["caller"] = caller
        if options:
            body["options"] = {name: str(value).lower() if isinstance(value, bool)
                               else str(value) for name, value in options.items()}
        return (api or self.api).post("/api/apply", body, headers=headers)

    def apply(self, plan, environment: str = "", **options) -> str:
        """An accepted apply's id."""
        reply = self.post_apply(plan, environment, **options).expect(200, 201, 202)
        assert reply["accepted"] is True and reply["apply_id"], reply
        return reply["apply_id"]

    def progress(self, apply_id: str) -> dict:
        return self.api.get(f"/api/progress/apply/{apply_id}").expect(200)

    def wait_state(self, apply_id: str, states, deadline: float = DEADLINE) -> dict:
        """Wait until the apply is in one of `states`; its progress. A settled apply that
        is in none of them fails at once: it will not come."""
        states = (states,) if isinstance(states, str) else tuple(states)
        end = time.monotonic() + deadline
        while True:
            seen = self.progress(apply_id)
            if seen["state"] in states:
                return seen
            assert seen["state"] not in SETTLED and time.monotonic() < end, \
                f"{apply_id} is {seen['state']}, not {states}: {seen}"
            time.sleep(0.03)

    def run(self, files, environment: str = "staging", **options) -> dict:
        """Plan, apply and see it completed; the progress."""
        apply_id = self.apply(self.plan(files, environment), **options)
        return self.wait_state(apply_id, "completed")

    def control(self, verb: str, apply_id: str, environment: str = "staging", **fields) -> Reply:
        """POST /api/VERB."""
        return self.api.post(f"/api/{verb}", {"apply_id": apply_id, "environment": environment,
                                              **fields})

    def until(self, condition, what: str, deadline: float = DEADLINE):
        """Wait until `condition()` is true and return what it returned."""
        end = time.monotonic() + deadline
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < end, f"waited {deadline} s in vain: {what}"
            time.sleep(0.02)

    # ---- processes ------------------------------------------------------------------------

    def processes(self, program: str) -> list:
        """Pids of this stack's running processes of that name (any of its hosts)."""
        return sorted(pid for pid, _ in procs.marked(self.dir)
                      if procs.program_of(pid) == program)

    def drivers(self) -> list:
        return self.processes("schemabot-driver")

    def schedulers(self) -> list:
        return self.processes("schemabot-scheduler")

    def wait_driver(self, other_than=(), deadline: float = DEADLINE) -> int:
        """Pid of a driver that is none of `other_than`."""
        return self.until(lambda: set(self.drivers()) - set(other_than),
                          "a driver starts", deadline).pop()

    def kill(self, pids, sig: int = signal.SIGKILL) -> None:
        """Signal processes and, if it is SIGKILL, wait until they are gone."""
        pids = [pids] if isinstance(pids, int) else list(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        if sig == signal.SIGKILL:
            self.until(lambda: all(procs.start_time(pid) is None for pid in pids),
                       f"{pids} are gone")

    def driver_of(self, apply_id: str) -> int:
        """Pid of the driver that has claimed the apply's only operation. Others may be alive,
        which found nothing to do and are about to end."""
        [owner] = self.until(lambda: self.storage(
            "SELECT o.lease_owner AS o FROM apply_operations o JOIN applies a"
            " ON a.id = o.apply_row WHERE a.apply_id = %s AND o.lease_owner IS NOT NULL",
            (apply_id,)), "it is claimed")
        return int(owner["o"].rsplit("/", 1)[1])

    def expire_lease(self, apply_id: str) -> None:
        """Make the apply's operations claimable, as if the lease window had passed."""
        self.storage(
            "UPDATE apply_operations SET claim_after = NOW(6) - INTERVAL 1 SECOND"
            " WHERE claim_after IS NOT NULL AND apply_row ="
            " (SELECT id FROM applies WHERE apply_id = %s)", (apply_id,))

    @contextlib.contextmanager
    def faults(self, spec: str, *, part: str = "cron", once: bool = True, host: str = ""):
        """Restart a part of the stack with SB_FAULT=spec, and without it at the end.

        part `cron`: scheduler, reaper and the drivers they start from then on; `app`: the
        FastCGI workers. `@FILE@` in the spec is a path below the stack for wait=. Yields
        Faults. With `once` a point fires in one process only, not in its successor.
        """
        folder = Path(tempfile.mkdtemp(prefix="fault-", dir=self.dir))
        fault = Faults(folder)
        env = [f"SB_FAULT={spec.replace('@FILE@', str(fault.gate))}",
               f"SB_FAULT_LOG={fault.log}"]
        if once:
            env.append(f"SB_FAULT_ONCE={folder}/once")
        options = ["--host", host] if host and part == "cron" else []
        restart = f"restart-{part}"
        self.command(restart, *options, *[x for pair in env for x in ("--env", pair)])
        try:
            yield fault
        finally:
            fault.release()
            self.command(restart, *options)

    def arm(self, *rules: str) -> "Faults":
        """Put faults into the running processes of this stack, each to fire once, in place
        of those armed before. `disarm` takes them out."""
        folder = Path(tempfile.mkdtemp(prefix="fault-", dir=self.dir))
        fault = Faults(folder)
        draft = folder / "rules"
        draft.write_text("\n".join([
            f"log={fault.log}", f"once={folder}/once",
            *(r.replace("@FILE@", str(fault.gate)) for r in rules)]) + "\n")
        draft.rename(self.dir / FAULT_FILE)
        return fault

    def disarm(self) -> None:
        (self.dir / FAULT_FILE).unlink(missing_ok=True)

    # ---- between tests -----------------------------------------------------------------------

    def reset(self) -> None:
        """An empty storage and targets, no driver, nothing that a test left: as new."""
        self.disarm()
        self._revive()
        end = time.monotonic() + DEADLINE
        while True:
            self._empty_storage()
            self.kill(self.drivers())
            if not self.drivers() and not self._rows_in_storage():
                break
            assert time.monotonic() < end, "the stack does not come to rest"
        self._disconnect_targets()
        for database in self.databases() - self._databases:
            self.sql(f"DROP DATABASE `{database.replace('`', '``')}`")
        for schema in SCHEMAS:
            self._empty_schema(schema)
        self.fake.clear()

    def _revive(self) -> None:
        """Every part runs, whatever a failed test did to it."""
        stack = Stack(self.dir)
        for pid in self.schedulers():
            os.kill(pid, signal.SIGCONT)
        for server, which in (stack.server, []), (stack.store, ["--storage"]):
            if not server.talks():
                self.command("restart-db", "--kill", *which)
        for part in ("app",) if self.attended else ("app", "cron"):
            if not stack.ledger.alive(part):
                self.command(f"restart-{part}")

    def _storage_tables(self) -> list:
        return [row["t"] for row in self.storage(
            "SELECT table_name AS t FROM information_schema.tables"
            " WHERE table_schema = %s AND table_type = 'BASE TABLE'", (STORAGE_DB,))]

    def _rows_in_storage(self) -> bool:
        return any(self.storage(f"SELECT 1 AS x FROM `{t}` LIMIT 1")
                   for t in self._storage_tables())

    def _empty_storage(self) -> None:
        connection = self.connect(STORAGE_DB)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET foreign_key_checks = 0, innodb_lock_wait_timeout = 5")
                for table in self._storage_tables():
                    with contextlib.suppress(pymysql.err.OperationalError):
                        cursor.execute(f"DELETE FROM `{table}`")
        finally:
            connection.close()

    def _disconnect_targets(self) -> None:
        """A killed driver's statement may still run; wait until the server ended it."""
        def connections():
            return self.sql("SELECT id FROM information_schema.processlist"
                            " WHERE user = 'sb_target' AND command <> 'Killed'")
        for row in connections():
            with contextlib.suppress(pymysql.err.MySQLError):
                self.sql(f"KILL {row['id']}")
        self.until(lambda: not self.sql("SELECT id FROM information_schema.processlist"
                                        " WHERE user = 'sb_target' AND command = 'Killed'"),
                   "the targets' connections are gone")

    def _empty_schema(self, schema: str) -> None:
        connection = self.connect(schema)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET foreign_key_checks = 0, lock_wait_timeout = 20")
                cursor.execute("SELECT table_name AS t, table_type AS k FROM"
                               " information_schema.tables WHERE table_schema = %s", (schema,))
                for row in cursor.fetchall():
                    kind = "VIEW" if row["k"] == "VIEW" else "TABLE"
                    name = row["t"].replace("`", "``")
                    cursor.execute(f"DROP {kind} `{name}`")
        finally:
            connection.close()

    # ---- logs ----------------------------------------------------------------------------------

    def mark_logs(self) -> None:
        """Remember where the logs end now."""
        self._log_marks = {log: log.stat().st_size for log in (self.dir / "logs").glob("*")}

    def new_logs(self, most: int = 40) -> str:
        """What was logged since, the last lines of each file."""
        parts = []
        for log in sorted((self.dir / "logs").glob("*")):
            if log.name.endswith("access.log"):
                continue
            with open(log, "rb") as data:
                data.seek(self._log_marks.get(log, 0))
                lines = data.read().decode("utf-8", "replace").splitlines()
            if lines:
                parts.append(f"--- {log} ({len(lines)} new lines)\n" + "\n".join(lines[-most:]))
        return "\n".join(parts)

    def log_text(self, name: str) -> str:
        """A whole log: app, cron, reaper, db, nginx..."""
        return (self.dir / "logs" / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def sanitizer_reports(self) -> list:
        return sorted((self.dir / "logs").glob("asan*"))


class Faults:
    """What became of injected faults."""

    def __init__(self, folder: Path):
        self.folder, self.gate, self.log = folder, folder / "gate", folder / "points"

    def passages(self) -> list:
        """(program, pid, point) of every passage so far, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(program, int(pid), point)
                for program, pid, point in (line.split() for line in lines)]

    def passed(self) -> list:
        """Every passage of every point so far, in order."""
        return [point for _, _, point in self.passages()]

    def fired(self, point: str, action: str = "*") -> bool:
        """Did the fault at this point happen? (needs once=True)"""
        return any(self.folder.glob(f"once.{point}.{action}"))

    def arrived(self) -> bool:
        """Is somebody waiting at a wait=@FILE@ point (or was there)?"""
        return self.gate.with_name("gate.at").exists()

    def release(self) -> None:
        """Let who waits there go on."""
        self.gate.touch()
