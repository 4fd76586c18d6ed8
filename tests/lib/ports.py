"""
ports.py - free TCP ports for stacks that start at the same moment.

A port is ours when its lock file is flock'ed and a probe could bind it. The open lock is
handed on to a server of the stack, so the reservation lasts exactly as long as the stack
and a crash leaves nothing behind to clean up.
"""
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# Below the range from which the kernel takes ports for outgoing connections.
FIRST, LAST = 18000, 31999


class PortLock:
    """One reserved port; fd is inheritable by the process that keeps it."""

    def __init__(self, port: int, fd: int):
        self.port, self.fd = port, fd

    def close(self) -> None:
        os.close(self.fd)


def _bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _try(port: int):
    folder = Path(tempfile.gettempdir()) / f"schemabot-ports-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if not _bindable(port):
        os.close(fd)
        return None
    return PortLock(port, fd)


def reserve(wanted: int = 0) -> PortLock:
    """Reserve `wanted` when it is given and free, else any port."""
    if wanted:
        lock = _try(wanted)
        if lock:
            return lock
    start = random.randrange(FIRST, LAST + 1)
    for offset in range(LAST - FIRST + 1):
        lock = _try(FIRST + (start - FIRST + offset) % (LAST - FIRST + 1))
        if lock:
            return lock
    raise RuntimeError(f"no free TCP port between {FIRST} and {LAST}")
