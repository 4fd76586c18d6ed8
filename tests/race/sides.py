"""
sides.py - the two sides of a scripted race.

A side is one of our programs started by hand, or a call of the API. It can be held at a
fault point; the other side then runs to its end, or until it is seen to wait for a lock that
the first one holds. Nothing here sleeps for an order: a side has arrived when its gate says
so, and is blocked when the storage server says so.
"""
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from lib import invariants
from lib.stack import Stack

LOST = 10  # exit code of a driver whose lease is somebody else's


class Side:
    """Something that runs, and may be held at a gate."""

    def __init__(self, stack, gate):
        self.stack, self.gate = stack, Path(gate) if gate else None

    def arrived(self) -> bool:
        return Path(f"{self.gate}.at").exists()

    def arrive(self) -> "Side":
        """Wait until it is held."""
        self.stack.until(lambda: self.arrived() or self.ended(), "the side arrives")
        assert self.arrived(), f"it ended without passing its point: {self.said()}"
        return self

    def release(self) -> "Side":
        self.gate.touch()
        return self

    def end_or_block(self) -> bool:
        """Wait until it has ended (True) or waits for a lock in storage (False)."""
        self.stack.until(lambda: self.ended() or blocked(self.stack), "it ends or blocks")
        return self.ended()


class Program(Side):
    """schemabot-driver or schemabot-reaper, not started by cron."""

    def __init__(self, stack, name="schemabot-driver", point="", nth=1):
        folder = Path(tempfile.mkdtemp(prefix="side-", dir=stack.dir))
        folder.chmod(0o777)
        super().__init__(stack, folder / "gate")
        self.log = folder / "log"
        env = Stack(stack.dir).environment(faults=False)
        env["SB_FAULT_ONCE"] = str(folder / "once")
        if point:
            env["SB_FAULT"] = f"{point}:wait={self.gate}@{nth}"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen([stack.bin / name, "--config", stack.config],
                                          env=env, stdout=log, stderr=log)

    def ended(self) -> bool:
        return self.child.poll() is not None

    def said(self) -> str:
        return self.log.read_text()[-3000:]

    def kill(self, sig=signal.SIGTERM) -> None:
        os.kill(self.child.pid, sig)

    def end(self, *codes, deadline=60) -> int:
        """Wait for its end; its exit code, which has to be one of `codes` (default 0)."""
        code = self.child.wait(deadline)
        assert code in (codes or (0,)), f"exit code {code}: {self.said()}"
        return code


class Call(Side):
    """A call of the API in a thread of its own, held at a point of the FastCGI worker."""

    def __init__(self, stack, function, point=""):
        faults = stack.arm(f"schemabot.fcgi/{point}:wait=@FILE@") if point else None
        super().__init__(stack, faults.gate if faults else None)
        self.reply = None
        self.thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self.thread.start()

    def _run(self, function):
        self.reply = function()

    def ended(self) -> bool:
        return not self.thread.is_alive()

    def said(self) -> str:
        return repr(self.reply)

    def end(self, *statuses):
        self.thread.join(60)
        assert self.ended(), "the API does not answer"
        assert not statuses or self.reply.status in statuses, self.reply
        return self.reply


def blocked(stack) -> bool:
    """Does somebody wait for a row lock? The server shows a new picture of that only to
    those who have not looked for a tenth of a second."""
    time.sleep(0.12)
    return bool(stack.sql("SELECT 1 AS x FROM information_schema.innodb_trx"
                          " WHERE trx_state = 'LOCK WAIT'"))


def drive(stack) -> None:
    """Drivers until nothing is due any more."""
    while stack.storage("SELECT 1 AS x FROM apply_operations WHERE claim_after <= NOW(6)"):
        Program(stack).end()


def operation(stack, apply_id="") -> dict:
    return stack.storage("SELECT o.* FROM apply_operations o JOIN applies a ON a.id ="
                         " o.apply_row WHERE %s IN ('', a.apply_id) ORDER BY o.id DESC",
                         (apply_id,))[0]


def requests(stack, apply_id="") -> list:
    return [(r["operation"], r["status"]) for r in stack.storage(
        "SELECT r.operation, r.status FROM apply_control_requests r JOIN applies a"
        " ON a.id = r.apply_row WHERE %s IN ('', a.apply_id) ORDER BY r.id", (apply_id,))]


def finish(stack, apply_id, *states) -> dict:
    """Let everything come to rest and audit it; the apply has to be in one of `states`."""
    stack.disarm()
    drive(stack)
    seen = stack.progress(apply_id)
    assert seen["state"] in states, seen
    invariants.check_rest(stack)
    return seen
