"""
procs.py - processes that a stack started: recorded, recognized, ended.

A process is known by its pid and its start time, and is signalled through a pidfd opened
before the start time is compared, so a recycled pid is never hit. Everything a stack starts
carries SB_STACK_DIR in its environment; drivers, which live in sessions of their own, are
found by it.
"""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

MARKER = "SB_STACK_DIR"


def start_time(pid: int):
    """Clock ticks since boot at which the process began; None when there is none (a zombie
    counts as none: it runs no more)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def send(pid: int, started: int, sig: int) -> bool:
    """Signal exactly that process. False when it is gone."""
    try:
        fd = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return False
    try:
        if start_time(pid) != started:
            return False
        signal.pidfd_send_signal(fd, sig)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def until(condition, seconds: float, step: float = 0.02) -> bool:
    """Wait for a condition; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True


def end(processes, grace: float) -> None:
    """Ask all to end, and after `grace` seconds make them."""
    for sig, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10)):
        left = [p for p in processes if send(*p, sig)]
        if not left:
            return
        gone = until(lambda: all(start_time(p) != s for p, s in left), patience)
        if gone:
            return
    raise RuntimeError(f"processes {[p for p, _ in left]} do not end even by SIGKILL")


def environment_of(pid: int):
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.split(b"=", 1) for entry in raw.split(b"\0") if b"=" in entry)
    return {os.fsdecode(k): os.fsdecode(v) for k, v in pairs}


def is_stopped(pid: int) -> bool:
    """By SIGSTOP, and it is still there."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def program_of(pid: int) -> str:
    """Name of the running binary, also after it was rebuilt under its feet."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)"))
    except OSError:
        return ""


def marked(directory) -> list:
    """(pid, start time) of every process that carries this stack's mark."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        pid = int(entry)
        started = start_time(pid)
        if started and environment_of(pid).get(MARKER) == str(directory):
            found.append((pid, started))
    return found


class Ledger:
    """The processes of one stack, one file each under DIR/pids."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.folder = directory / "pids"

    def spawn(self, name: str, argv, env, log: Path, keep_fds=()) -> int:
        """Start argv in a session of its own, its output appended to `log`."""
        self.folder.mkdir(exist_ok=True)
        if self.alive(name):
            raise RuntimeError(f"{name} of {self.directory} is running already")
        with open(log, "ab") as out:
            child = subprocess.Popen(
                [str(a) for a in argv], env={**env, MARKER: str(self.directory)},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/",
                start_new_session=True, pass_fds=keep_fds)
        record = {"pid": child.pid, "start": start_time(child.pid)}
        child.returncode = 0  # it outlives us: nobody here will wait for it
        (self.folder / name).write_text(json.dumps(record))
        return child.pid

    def read(self, name: str):
        try:
            record = json.loads((self.folder / name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return record["pid"], record["start"]

    def alive(self, name: str) -> bool:
        found = self.read(name)
        return bool(found) and found[1] is not None and start_time(found[0]) == found[1]

    def names(self) -> list:
        return sorted(f.name for f in self.folder.iterdir()) if self.folder.is_dir() else []

    def end(self, *names: str, grace: float = 5) -> None:
        """End these processes with all that is left of their sessions."""
        leaders = [p for p in map(self.read, names) if p and p[1] is not None]
        members = [m for leader in leaders for m in _session(leader)]
        end([p for p in leaders if start_time(p[0]) == p[1]], grace)
        end(members, 1)
        for name in names:
            (self.folder / name).unlink(missing_ok=True)


def _session(leader) -> list:
    """The other processes in the session that `leader` opened. When the leader is gone and
    its pid runs again, the session was empty (the kernel keeps the number until then)."""
    found = []
    if start_time(leader[0]) not in (None, leader[1]):
        return found
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        pid = int(entry)
        try:
            if pid != leader[0] and os.getsid(pid) == leader[0]:
                started = start_time(pid)
                if started and started >= leader[1]:
                    found.append((pid, started))
        except ProcessLookupError:
            continue
    return found
