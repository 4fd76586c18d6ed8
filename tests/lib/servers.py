"""
servers.py - private database servers: MariaDB from the system, MySQL 9 from the cache.

A fresh data directory is made once for each server version and kept as a template in the
cache; a server gets a copy. As root the server runs as the user `mysql`, otherwise as
oneself. It listens on 127.0.0.1 and on a unix socket; tests use the socket, because a
password login over TCP needs TLS on MySQL 9.

Must never: read the system's my.cnf, or let a server accept connections from elsewhere.
"""
import fcntl
import os
import pwd
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

from . import places, procs

FLAVORS = ("mariadb", "mysql")
READY_SECONDS = 60

# Memory small enough for several servers side by side. Not durable against a power cut, but
# against kill -9: tests end processes, never the machine. SB_DB_ARGS overrides any of it.
COMMON = (
    "--bind-address=127.0.0.1", "--skip-name-resolve", "--server-id=1", "--log-bin=binlog",
    "--binlog-format=ROW", "--binlog-row-image=FULL", "--character-set-server=utf8mb4",
    "--max-connections=400", "--innodb-buffer-pool-size=96M", "--sync-binlog=0",
    "--innodb-flush-log-at-trx-commit=2", "--secure-file-priv=",
)


class Unavailable(Exception):
    """This flavour cannot be had on this machine; the text says why."""


def _as_user():
    return ["--user=mysql"] if places.IS_ROOT else []


def _own(path: Path) -> None:
    if places.IS_ROOT:
        entry = pwd.getpwnam("mysql")
        os.chown(path, entry.pw_uid, entry.pw_gid)


class MariaDB:
    """The server of this system's package mariadb-server."""

    name = "mariadb"

    def __init__(self):
        self.program = shutil.which("mariadbd", path=os.environ["PATH"] + ":/usr/sbin")
        if not self.program:
            raise Unavailable("mariadbd is not installed (run: etc/dev/deps test)")

    def version(self) -> str:
        text = subprocess.run([self.program, "--no-defaults", "--version"], check=True,
                              capture_output=True, text=True).stdout
        return text.split("Ver ")[1].split()[0]

    def initialize(self, datadir: Path) -> None:
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={datadir}", *_as_user(),
             "--auth-root-authentication-method=normal", "--skip-test-db",
             "--innodb-log-file-size=32M"], check=True, capture_output=True, text=True)

    def command(self) -> list:
        return [self.program, "--no-defaults", "--innodb-log-file-size=32M", *_as_user()]


class MySQL:
    """A MySQL 9, fetched by tests/servers/mysql9."""

    name = "mysql"

    def __init__(self):
        fetch = subprocess.run([places.ROOT / "tests/servers/mysql9"], capture_output=True,
                               text=True, check=False)
        if fetch.returncode != 0:
            raise Unavailable(fetch.stderr.strip().splitlines()[-1])
        self.prefix = Path(fetch.stdout.strip())

    def version(self) -> str:
        return (self.prefix / "version").read_text().strip()

    def initialize(self, datadir: Path) -> None:
        subprocess.run([*self.command(), f"--datadir={datadir}", "--initialize-insecure"],
                       check=True, capture_output=True, text=True)

    def command(self) -> list:
        share = self.prefix / "usr/share/mysql"
        return [self.prefix / "mysqld", "--no-defaults", f"--basedir={self.prefix}/usr",
                f"--lc-messages-dir={share}", f"--character-sets-dir={share}/charsets",
                f"--plugin-dir={self.prefix}/usr/lib/mysql/plugin", "--mysqlx=OFF",
                "--innodb-redo-log-capacity=32M", *_as_user()]


def flavor(name: str):
    """The flavour's object; Unavailable says why there is none."""
    return {"mariadb": MariaDB, "mysql": MySQL}[name]()


def _template(kind) -> Path:
    """A fresh data directory of this version, made at most once."""
    cache = places.cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    template = cache / f"datadir-{kind.name}-{kind.version()}"
    with open(cache / f"datadir-{kind.name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            draft = cache / f"datadir-{kind.name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o750)
            _own(draft)
            try:
                kind.initialize(draft)
            except subprocess.CalledProcessError as failure:
                raise RuntimeError(f"cannot initialize a {kind.name} data directory:\n"
                                   f"{failure.stdout}{failure.stderr}") from failure
            # A copy that kept it would pass for the same server.
            (draft / "auto.cnf").unlink(missing_ok=True)
            draft.rename(template)
    return template


class Server:
    """One private server below `directory`/NAME; its process is NAME in the ledger."""

    def __init__(self, directory: Path, kind_name: str, port: int, name: str = "db"):
        self.directory, self.kind_name, self.port = directory, kind_name, port
        self.name, self.home = name, directory / name
        self.socket = self.home / "sock"
        self.log = directory / "logs" / f"{name}.log"
        self.ledger = procs.Ledger(directory)

    def create(self) -> bool:
        """Copy the template. False when this directory has its data already."""
        if (self.home / "data").exists():
            return False
        self.home.mkdir(mode=0o755, exist_ok=True)
        (self.home / "tmp").mkdir(exist_ok=True)
        for path in (self.home, self.home / "tmp"):
            _own(path)
        template = _template(flavor(self.kind_name))
        draft = self.home / "data.draft"
        subprocess.run(["rm", "-rf", draft], check=True)
        subprocess.run(["cp", "-a", "--reflink=auto", template, draft], check=True)
        draft.rename(self.home / "data")
        return True

    def start(self, env, extra: str = "", keep_fds=()) -> None:
        """Start and wait until it talks."""
        if self.ledger.alive(self.name):
            raise RuntimeError(f"the server of {self.directory} is running already")
        # A killed server leaves a lock with its pid, which may be a zombie's or another's.
        for name in ("sock", "sock.lock", "pid"):
            (self.home / name).unlink(missing_ok=True)
        self.ledger.spawn(
            self.name, [*flavor(self.kind_name).command(), f"--datadir={self.home}/data",
                   f"--tmpdir={self.home}/tmp", f"--socket={self.socket}",
                   f"--pid-file={self.home}/pid", f"--port={self.port}", *COMMON,
                   *shlex.split(extra)], env, self.log, keep_fds)
        talks = False

        def decided():
            nonlocal talks
            talks = self.talks()
            return talks or not self.ledger.alive(self.name)

        procs.until(decided, READY_SECONDS)
        if not talks:
            raise RuntimeError(f"the {self.kind_name} server did not start: see {self.log}")

    def talks(self) -> bool:
        """Does it greet a new connection?"""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(5)
                probe.connect(str(self.socket))
                return len(probe.recv(64)) > 5
        except OSError:
            return False

    def stop(self, grace: float = 60) -> None:
        self.ledger.end(self.name, grace=grace)

    def run(self, sql: str, user: str = "root", password: str = "", database: str = "") -> str:
        """Run statements with the command-line client; tab-separated output."""
        done = subprocess.run(
            ["mariadb", "--no-defaults", "--batch", "--skip-column-names",
             "--default-character-set=utf8mb4", f"--socket={self.socket}", f"--user={user}",
             *([database] if database else [])],
            input=sql, text=True, capture_output=True, check=False,
            env={"PATH": os.environ["PATH"], "MYSQL_PWD": password})
        if done.returncode != 0:
            raise RuntimeError(f"SQL failed on {self.socket}: {done.stderr.strip()}")
        return done.stdout
