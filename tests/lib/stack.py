"""
stack.py - one whole SchemaBot under one directory: database, app, nginx, cron.

Used by tests/stack (by hand and from tests/conftest.py) and through it by tests/demo. Every
file of a stack is below its directory; `start` leaves DIR/env behind, `stop` ends exactly
what carries this directory's mark. A stopped directory can be started again and continues
with its data, users and (if still free) ports.

Must never: need anything but the Python standard library, print a password, or reach a
process or port of another stack.
"""
import hashlib
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from . import conf, places, ports, procs, servers

BINARIES = ("schemabot.fcgi", "schemabot-scheduler", "schemabot-driver", "schemabot-reaper")
WORKERS = "2"
HEALTHY_SECONDS = 30
STORAGE_DB = "schemabot"
ENVIRONMENTS = ("staging", "production")
# Databases of a stack and their types, each with a schema <database>_<environment>. Release
# builds have no fake engine (engines/fake).
DATABASES = {"shop": "mysql"}
FAKE_DATABASES = {"fakeshop": "fake", "resident": "fake_resident"}
# Databases with several deployments, each with a schema <database>_<deployment>, and an
# environment for each pair of policies that tests need: <cutover_policy>_<on_failure>.
DEPLOYMENTS = ("eu", "us", "ap")
ROLLOUTS = {
    "rollout": ("mysql", ("rolling_halt", "rolling_continue", "rolling_pause", "parallel_halt",
                          "barrier_halt")),
    "fakerollout": ("fake", ("rolling_halt", "parallel_halt", "parallel_continue",
                             "barrier_halt", "barrier_continue", "barrier_pause")),
}
SCHEMAS = (*(f"{d}_{e}" for d in (*DATABASES, *FAKE_DATABASES) for e in ENVIRONMENTS),
           *(f"{d}_{e}" for d in ROLLOUTS for e in DEPLOYMENTS))
FAULT_FILE = "faults"  # rules for running processes (core/base/fault.h)
PASSED_ON = ("SB_FAULT", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")


class StackError(Exception):
    """Something a person has to put right; the text says what."""


class Refused(StackError):
    """Nothing was started: what was asked for cannot be."""


class Stack:
    """The stack below `directory`, running or not."""

    def __init__(self, directory):
        self.dir = Path(directory).absolute()
        self.state_file = self.dir / "stack.json"
        self.logs = self.dir / "logs"
        self.config = self.dir / "schemabot.conf"
        self.ledger = procs.Ledger(self.dir)
        self.state = json.loads(self.state_file.read_text()) if self.state_file.exists() else {}

    # ---- what it is -------------------------------------------------------------------

    @property
    def server(self) -> servers.Server:
        return servers.Server(self.dir, self.state["flavor"], self.state["db_port"])

    @property
    def store(self) -> servers.Server:
        """Where our storage is: the same server, or one of its own (start --split)."""
        if not self.state.get("split"):
            return self.server
        return servers.Server(self.dir, self.state["flavor"], self.state["store_port"], "store")

    @property
    def servers(self) -> list:
        return [self.server, self.store] if self.state.get("split") else [self.server]

    @property
    def bin(self) -> Path:
        return places.build_dir(self.state["variant"]) / "bin"

    def save(self) -> None:
        _write_private(self.state_file, json.dumps(self.state, indent=1) + "\n")

    def admin_sql(self, sql: str, database: str = "") -> str:
        return self.server.run(sql, "admin", self.state["admin_password"], database)

    def environment(self, faults: bool = True) -> dict:
        """What our processes see: little, as under cron."""
        passed = {name: value for name, value in os.environ.items()
                  if name.startswith(PASSED_ON)}
        passed.setdefault("SB_FAULT_FILE", str(self.dir / FAULT_FILE))
        passed.update(self.state.get("env", {}))
        if not faults:
            passed = {n: v for n, v in passed.items() if not n.startswith("SB_FAULT")}
        sanitizer = f"log_path={self.logs}/asan:exitcode=99"
        return {"ASAN_OPTIONS": sanitizer, "UBSAN_OPTIONS": sanitizer + ":print_stacktrace=1",
                **passed, "SB_FAKE": str(self.dir / "fake"), "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                "LANG": "C.UTF-8", "HOME": str(self.dir), procs.MARKER: str(self.dir)}

    # ---- start ------------------------------------------------------------------------

    def start(self, flavor: str, extra_conf: str = "", env=None, split: bool = False) -> None:
        """Everything, or (after an error) nothing runs. `split`: our storage is on a server
        of its own."""
        self._prepare(flavor, extra_conf, env or {})
        self.state.setdefault("split", split)
        missing = [b for b in BINARIES if not (self.bin / b).exists()]
        if missing:
            raise Refused(f"{self.bin}/{missing[0]} does not exist; build it: "
                          f"make VARIANT={self.state['variant']} all")
        try:
            locks = self._reserve("db_port", "http_port", "metrics_port",
                                  *["store_port"] * self.state["split"])
            self._start_server(locks)
            self._write_config()
            self._converge()
            self.start_app()
            self._start_nginx(locks)
            self.start_cron()
            self._wait_healthy()
            self._write_env()
        except BaseException:
            self.stop(grace=2)
            raise

    def start_server_only(self, flavor: str) -> None:
        """A database server with our users and schemas, and no process of ours."""
        self._prepare(flavor, "", {})
        try:
            self._start_server(self._reserve("db_port"))
            self._write_env()
        except BaseException:
            self.stop(grace=2)
            raise

    def _prepare(self, flavor: str, extra_conf: str, env: dict) -> None:
        if len(str(self.dir)) > places.LONGEST_STACK_DIR:
            raise Refused(f"{self.dir} is too long for the sockets in it: take a path of at "
                          f"most {places.LONGEST_STACK_DIR} bytes")
        if self.state.get("flavor", flavor) != flavor:
            raise Refused(f"{self.dir} holds a {self.state['flavor']} stack; start it as "
                          "that or take another directory")
        if self.dir.exists() and not self.state and any(self.dir.iterdir()):
            raise Refused(f"{self.dir} is not empty and holds no stack; take another one")
        running = [n for n in self.ledger.names() if self.ledger.alive(n)]
        if running or procs.marked(self.dir):
            raise Refused(f"a stack runs in {self.dir} already; "
                          f"end it with: tests/stack stop {shlex.quote(str(self.dir))}")
        _check_reachable(self.dir)
        self.dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name in ("logs", "run", "secrets", "nginx", "pids", "fake"):
            (self.dir / name).mkdir(mode=0o755, exist_ok=True)
        for name in ("admin_password", "storage_password", "target_password",
                     "scratch_password", "write_token", "read_token"):
            self.state.setdefault(name, secrets.token_urlsafe(24))
        self.state.update(
            flavor=flavor, variant=places.variant(), env=env,
            extra_conf=extra_conf or self.state.get("extra_conf", ""),
            db_args=os.environ.get("SB_DB_ARGS", self.state.get("db_args", "")),
            cron_seconds=float(os.environ.get("SB_CRON_SECONDS")
                               or self.state.get("cron_seconds", 60)))
        self.save()

    def _reserve(self, *names: str) -> list:
        locks = [ports.reserve(self.state.get(name, 0)) for name in names]
        self.state.update(zip(names, (lock.port for lock in locks)))
        self.save()
        return locks

    def _start_server(self, locks) -> None:
        fresh = [server.create() for server in self.servers]
        self.start_db(locks)
        if any(fresh) or not self.state.get("users"):
            for server in self.servers:
                self._create_users(server)
            self.state["users"] = True
            self.save()

    def start_db(self, locks=(), only=None) -> None:
        for server in [only] if only else self.servers:
            server.start(self.environment(faults=False), self.state["db_args"],
                         [lock.fd for lock in locks])

    def _create_users(self, server) -> None:
        """An administrator, and our accounts with exactly the rights that sql/grants.sql
        gives them: a right that it forgets is missed here first."""
        state = self.state
        sql = ("CREATE USER IF NOT EXISTS 'admin'@'%'"
               f" IDENTIFIED BY '{state['admin_password']}';\n")
        sql += "GRANT ALL ON *.* TO 'admin'@'%' WITH GRANT OPTION;\n"
        sql += "".join(f"CREATE DATABASE IF NOT EXISTS {s} CHARACTER SET utf8mb4;\n"
                       for s in SCHEMAS)
        sql += _grants(state)
        if state["flavor"] == "mariadb":
            # Anonymous accounts would catch our users' local logins; root elsewhere has
            # no password.
            sql += ("DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root' AND"
                    " Host <> 'localhost';\nFLUSH PRIVILEGES;\n")
        sql += f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{state['admin_password']}';\n"
        server.run(sql)

    def _write_config(self) -> None:
        _write_private(self.config, self.config_text(self.dir / "run"))

    def databases(self) -> dict:
        """The configured databases and their types."""
        return DATABASES if self.state["variant"] == "release" else \
            {**DATABASES, **FAKE_DATABASES}

    def _rollouts(self, account: dict) -> dict:
        """The settings of the databases with several deployments."""
        if self.state["variant"] == "release":
            return {}
        return {database: {"type": conf.quote(kind), "environments": {
                    name: {"deployments": {
                               d: {**account, "schemas": {
                                   database: conf.quote(f"{database}_{d}")}}
                               for d in DEPLOYMENTS},
                           "cutover_policy": conf.quote(name.split("_")[0]),
                           "on_failure": conf.quote(name.split("_")[1])}
                    for name in environments}}
                for database, (kind, environments) in ROLLOUTS.items()}

    def config_text(self, run_dir: Path) -> str:
        """This stack's configuration with the caller's extra settings laid over it."""
        state = self.state

        def account(user, server):
            secret = self.dir / "secrets" / f"{user}.password"
            _write_private(secret, state[f"{user}_password"] + "\n")
            return {"host": '"127.0.0.1"', "port": str(server.port),
                    "socket": conf.quote(str(server.socket)),
                    "user": conf.quote(f"sb_{user}"),
                    "password": conf.quote(f"file:{secret}")}

        def token(role):
            digest = hashlib.sha256(state[f"{role}_token"].encode()).hexdigest()
            return {"role": conf.quote(role), "sha256": conf.quote(digest)}

        account("scratch", self.server)  # for who configures a workspace
        settings = {
            "run_dir": conf.quote(str(run_dir)), "drivers": "4", "log_level": '"debug"',
            "storage": {**account("storage", self.store), "database": conf.quote(STORAGE_DB)},
            "tokens": {"writer": token("write"), "reader": token("read")},
            "databases": {
                database: {"type": conf.quote(kind), "environments": {
                    name: {**account("target", self.server),
                           "schemas": {database: conf.quote(f"{database}_{name}")}}
                    for name in ENVIRONMENTS}}
                for database, kind in self.databases().items()},
        }
        # Nothing else may be changed under a lock than tables that are small, and there.
        settings["databases"]["shop"]["environments"]["production"]["direct"] = {
            "max_table_rows": "4"}
        settings["databases"].update(self._rollouts(account("target", self.server)))
        extra = state["extra_conf"]
        for name, value in (("DIR", str(self.dir)), ("DB_SOCKET", str(self.server.socket)),
                            ("DB_PORT", str(state["db_port"])),
                            ("STORE_SOCKET", str(self.store.socket)),
                            ("SCRATCH_PASSWORD", f"file:{self.dir}/secrets/scratch.password"),
                            ("TARGET_PASSWORD", f"file:{self.dir}/secrets/target.password")):
            extra = extra.replace(f"@{name}@", value)
        try:
            return conf.render(conf.merge(settings, conf.parse(extra)))
        except ValueError as problem:
            raise StackError(f"the extra configuration: {problem}") from problem

    def _converge(self) -> None:
        self.reap("--converge-storage")

    def reap(self, *arguments: str, faults: bool = False) -> str:
        """One run of the reaper, in the foreground."""
        done = subprocess.run(
            [self.bin / "schemabot-reaper", "--config", self.config, *arguments],
            env=self.environment(faults), text=True, capture_output=True, check=False)
        with open(self.logs / "reaper.log", "a", encoding="utf-8") as log:
            log.write(done.stderr)
        if done.returncode != 0:
            raise StackError(f"schemabot-reaper {' '.join(arguments)} exited with "
                             f"{done.returncode}:\n{_last_lines(done.stderr, 5)}")
        return done.stdout

    def start_app(self, env=None) -> None:
        sock = self.dir / "api.sock"
        sock.unlink(missing_ok=True)
        owner = ["-G", "www-data"] if places.IS_ROOT else []
        # The workers' log has nothing but their JSON lines; multiwatch speaks elsewhere.
        self.ledger.spawn(
            "app", ["spawn-fcgi", "-n", "-s", sock, "-M", "0660", *owner, "--",
                    "/usr/bin/multiwatch", "-f",
                    os.environ.get("SB_WORKERS", WORKERS), "-s", "TERM", "-r", "1000", "--",
                    "/bin/sh", "-c", 'exec "$@" 2>>"$0"', self.logs / "app.log",
                    self.bin / "schemabot.fcgi", "--config", self.config],
            {**self.environment(), **(env or {})}, self.logs / "multiwatch.log")
        if not procs.until(lambda: sock.exists() or not self.ledger.alive("app"), 10) \
                or not sock.exists():
            raise StackError("the FastCGI workers did not start")

    def _start_nginx(self, locks) -> None:
        www = self.dir / "www"
        shutil.rmtree(www, ignore_errors=True)
        # A copy, because nginx's workers may not be able to enter the checkout.
        shutil.copytree(places.ROOT / "nginx/dashboard", www,
                        ignore=shutil.ignore_patterns("node_modules", "package*", "*.md"))
        snippets = self.dir / "nginx" / "snippets"
        shutil.rmtree(snippets, ignore_errors=True)
        shutil.copytree(places.ROOT / "nginx/snippets", snippets)
        state = self.state
        rendered = subprocess.run(
            [places.ROOT / "nginx/render", f"LISTEN=127.0.0.1:{state['http_port']}",
             f"METRICS_LISTEN=127.0.0.1:{state['metrics_port']}",
             f"SOCKET={self.dir}/api.sock", f"WWW={www}", f"SNIPPETS={snippets}",
             f"LOG={self.logs}", f"RUN={self.dir}/nginx",
             "USER=" + ("user www-data;" if places.IS_ROOT else ""),
             # Tests write faster than people.
             f"WRITE_RATE={os.environ.get('SB_WRITE_RATE', '5000r/s')}",
             f"WRITE_BURST={os.environ.get('SB_WRITE_BURST', '5000')}"],
            check=True, capture_output=True, text=True).stdout
        config = self.dir / "nginx" / "nginx.conf"
        config.write_text(rendered)
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx"
        check = subprocess.run([nginx, "-t", "-q", "-c", config, "-e", self.logs / "nginx.log"],
                               capture_output=True, text=True, check=False)
        if check.returncode != 0:
            raise StackError(f"nginx refuses its configuration:\n{check.stderr.strip()}")
        self.ledger.spawn("nginx", [nginx, "-c", config, "-e", self.logs / "nginx.log",
                                    "-g", "daemon off;"],
                          self.environment(False), self.logs / "nginx.log",
                          [lock.fd for lock in locks])

    def start_cron(self, host: str = "", env=None) -> None:
        """The cron stand-in of this host or of an added one."""
        config = self.dir / "hosts" / host / "schemabot.conf" if host else self.config
        self.ledger.spawn(
            _cron_name(host),
            [sys.executable, "-B", "-m", "lib.cron", "--crontab", places.ROOT / "etc/crontab",
             "--bin", self.bin, "--config", config, "--logs", self.logs,
             "--interval", f"{self.state['cron_seconds']:g}"],
            {**self.environment(), **(env or {}), "PYTHONPATH": str(places.ROOT / "tests")},
            self.logs / f"{_cron_name(host)}.log")

    def add_host(self, host: str) -> None:
        """A second machine, as far as it matters: its own run directory and cron."""
        if not host.isidentifier():
            raise StackError(f"'{host}' is no name for a host: take letters and digits")
        home = self.dir / "hosts" / host
        (home / "run").mkdir(parents=True, exist_ok=True)
        _write_private(home / "schemabot.conf", self.config_text(home / "run"))
        self.start_cron(host)

    def _wait_healthy(self) -> None:
        """Through nginx, so that every part has been passed."""
        seen = []

        def healthy():
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=5) as reply:
                    return reply.status == 200
            except urllib.error.HTTPError as error:
                seen[:] = [f"HTTP {error.code}: {error.read(300).decode(errors='replace')}"]
            except OSError as error:
                seen[:] = [str(error)]
            return False

        if not procs.until(healthy, HEALTHY_SECONDS, 0.05):
            raise StackError(f"{self.url}/health is not 200 after {HEALTHY_SECONDS} s: "
                             f"{seen[0] if seen else 'no answer'}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.state['http_port']}"

    def _write_env(self) -> None:
        state = self.state
        values = {
            "SB_DB_HOST": "127.0.0.1", "SB_DB_PORT": state["db_port"],
            "SB_DB_SOCKET": self.server.socket, "SB_DB_USER": "admin",
            "SB_DB_PASSWORD": state["admin_password"], "SB_STORAGE_DB": STORAGE_DB,
            "SB_STORAGE_SOCKET": self.store.socket,
            "SB_FLAVOR": state["flavor"], "SB_DIR": self.dir, "SB_BIN": self.bin,
        }
        if "http_port" in state:
            values.update({
                "SB_URL": self.url, "SB_TOKEN": state["write_token"],
                "SB_READ_TOKEN": state["read_token"], "SB_CONFIG": self.config,
                "SB_METRICS_URL": f"http://127.0.0.1:{state['metrics_port']}/metrics"})
        _write_private(self.dir / "env", "".join(
            f"export {name}={shlex.quote(str(value))}\n" for name, value in values.items()))

    # ---- stop -------------------------------------------------------------------------

    def stop(self, grace: float = 10) -> None:
        """End what `start` and its children started; nothing to do is no error."""
        first = [n for n in self.ledger.names() if n not in ("db", "store")]
        # cron before drivers, or a scheduler would start one more.
        self.ledger.end(*[n for n in first if n.startswith("cron")], grace=grace)
        procs.end([p for p in procs.marked(self.dir)
                   if procs.program_of(p[0]) == "schemabot-driver"], grace)
        self.ledger.end(*[n for n in first if not n.startswith("cron")], grace=grace)
        for server in self.servers if self.state else ():
            server.stop()
        procs.end(procs.marked(self.dir), 2)

    def stop_cron(self, host: str = "") -> None:
        """End a host's scheduler and reaper; its drivers go on, as on a real host."""
        self.ledger.end(_cron_name(host))

    def log_tail(self, lines: int = 12) -> str:
        """The end of each log, for the person who has to find out."""
        parts = []
        for log in sorted(self.logs.glob("*")) if self.logs.is_dir() else []:
            text = log.read_text(encoding="utf-8", errors="replace")
            if text.strip() and not log.name.endswith("access.log"):
                parts.append(f"--- {log}\n{_last_lines(text, lines)}\n")
        return "".join(parts)


def _grants(state: dict) -> str:
    """sql/grants.sql with the accounts, passwords and target schemas of a stack."""
    accounts = {"schemabot": "storage", "schemabot_ddl": "target", "schemabot_scratch": "scratch"}
    lines = []
    for line in (places.ROOT / "sql/grants.sql").read_text(encoding="utf-8").splitlines():
        if line.startswith("--"):
            continue
        for name, ours in accounts.items():
            if f"'{name}'@'localhost'" in line:
                line = line.replace(f"'{name}'@'localhost'", f"'sb_{ours}'@'%'")
                line = line.replace("REPLACE_ME", state[f"{ours}_password"])
        lines += [line.replace("`shop`", "`" + s.replace("_", r"\_") + "`") for s in SCHEMAS] \
            if "`shop`" in line else [line]
    return "\n".join(lines) + "\n"


def _cron_name(host: str) -> str:
    return f"cron@{host}" if host else "cron"


def _last_lines(text: str, lines: int) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read, never leaving half of it."""
    draft = path.with_name(path.name + ".new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="utf-8") as out:
        out.write(text)
    draft.replace(path)


def _check_reachable(directory: Path) -> None:
    """As root the servers run as their own users, who must be able to get here."""
    if not places.IS_ROOT:
        return
    for parent in (directory, *directory.parents):
        if parent.exists() and not parent.stat().st_mode & 0o001:
            raise Refused(f"{parent} is closed to other users, and the servers run as "
                          "mysql and www-data: take a directory elsewhere")
