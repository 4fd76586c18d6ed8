"""
crash.py - the machinery of tests/fault: stories that are lived through with a fault in them.

  Attendant   stands in for cron: starts a scheduler whenever none runs, and wakes it
  Client      a client as it should be: repeats what was not answered, until it is
  Story       something that users and operators do, from an empty stack to its end
  Loop        tells a story once with a trace, and then again with each fault in turn

A story has to come to the same end however often processes die in it, and afterwards
invariants.check_rest() and the story's own check() hold.
"""
import collections
import contextlib
import os
import random
import re
import secrets
import socket
import subprocess
import threading
import time

from . import invariants, places, procs
from .stack import STORAGE_DB, Stack

# How a story may be left alone: recovery takes seconds, never a lease window.
STORY_SECONDS = 40
UNANSWERED = (502, 503, 504)
# The same places as db.commit.before/after, where a connection breaks instead.
DROP_POINTS = ("db.commit.lost_before", "db.commit.lost_after", "db.write.lost_before",
               "db.write.lost_after")
FAULT_CALL = re.compile(r'\bFAULT(?:_ERR)?\(\s*"([^"]+)"')


def points_in_the_sources() -> dict:
    """Every fault point that is written down, and where."""
    found = {}
    for top in ("core", "fcgi", "engines"):
        for source in sorted((places.ROOT / top).rglob("*.c")):
            for point in FAULT_CALL.findall(source.read_text(encoding="utf-8")):
                found.setdefault(point, str(source.relative_to(places.ROOT)))
    return found


class Attendant:
    """While entered: a scheduler runs, and looks at its slots all the time."""

    def __init__(self, stack):
        self.stack, self.end, self.scheduler = stack, threading.Event(), None
        self.thread = threading.Thread(target=self._attend, daemon=True)

    def __enter__(self):
        self.stack.command("stop-cron")
        # Row locks of a frozen process are given up after that, instead of 45 s.
        self.env = {**Stack(self.stack.dir).environment(), procs.MARKER: str(self.stack.dir),
                    "SB_IDLE_SECONDS": "3"}
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()
        if self.scheduler:
            self.scheduler.kill()
            self.scheduler.wait()
        self.stack.command("restart-cron")

    def _attend(self) -> None:
        address = str(self.stack.run_dir / "scheduler.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell, \
                open(self.stack.dir / "logs" / "cron.log", "ab") as log:
            while not self.end.wait(0.05):
                if self.scheduler is None or self.scheduler.poll() is not None:
                    self.scheduler = subprocess.Popen(
                        [self.stack.bin / "schemabot-scheduler", "--config", self.stack.config,
                         "--for", "3600"], env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                        stderr=log)
                with contextlib.suppress(OSError):
                    bell.sendto(b"w", socket.MSG_DONTWAIT, address)


class Client:
    """Speaks to the API; whatever is not answered is asked again."""

    def __init__(self, stack):
        self.stack, self.doubtful = stack, 0

    def call(self, request):
        """request() -> Reply, repeated until it is an answer."""
        end = time.monotonic() + STORY_SECONDS
        while True:
            with contextlib.suppress(OSError):
                reply = request()
                if reply.status not in UNANSWERED:
                    return reply
            self.doubtful += 1
            assert time.monotonic() < end, "the API does not answer"

    def plan(self, files, **fields) -> dict:
        plan = self.call(lambda: self.stack.post_plan(files, **fields)).expect(200)
        assert not plan.get("errors"), plan["errors"]
        return plan

    def apply(self, plan, **options) -> str:
        """With an Idempotency-Key, so that it is created exactly once."""
        key = {"Idempotency-Key": secrets.token_hex(8)}
        reply = self.call(lambda: self.stack.post_apply(plan, headers=key, **options))
        apply_id = reply.expect(200)["apply_id"]
        made = self.stack.storage("SELECT apply_id FROM applies WHERE idempotency_key = %s",
                                  tuple(key.values()))
        assert made == [{"apply_id": apply_id}], f"one key, applies {made}"
        return apply_id

    def control(self, verb, apply_id, **fields) -> None:
        """Requested; when an answer was lost it may also have been obeyed since."""
        doubtful = self.doubtful
        reply = self.call(lambda: self.stack.control(verb, apply_id, **fields))
        lost = self.doubtful > doubtful
        assert reply.status in (200, 202) or (lost and reply.status == 409), reply
        recorded = self.stack.storage(
            "SELECT r.id FROM apply_control_requests r JOIN applies a ON a.id = r.apply_row"
            " WHERE a.apply_id = %s AND r.operation = %s", (apply_id, verb))
        assert len(recorded) == 1, f"{verb}: acknowledged, and recorded {len(recorded)} times"


class Story:
    """One end-to-end use. `programs`: whose deaths it is for; `rules`: faults that belong
    to the story itself."""

    name, programs, rules = "", (), ()
    only = ()  # the points that it is for, where the others have enough stories
    share = 1  # of the passages, drawn by lot: for stories that take long
    audits_targets = True  # False when it makes rows that tell nothing of a target
    apply_id, calm = None, True  # calm: told without a fault

    def __init__(self, stack):
        self.stack, self.client = stack, Client(stack)

    def is_for(self, point) -> bool:
        return not self.only or point in self.only

    def prepare(self) -> None:
        """What is there before; no fault is armed yet."""

    def live(self) -> None:
        """From the first request to the end."""
        raise NotImplementedError

    def check(self) -> None:
        """What this story promises, beyond the invariants."""

    # ---- for live() and check() ----

    def wait(self, condition, what):
        return self.stack.until(condition, what, STORY_SECONDS)

    def rows(self, statement, args=None) -> list:
        return self.stack.storage(statement, args)

    def hurry(self) -> None:
        """As if the time for which an operation is parked had passed."""
        self.rows("UPDATE apply_operations SET claim_after = NOW(6)"
                  " WHERE lease_owner IS NULL AND claim_after > NOW(6)")

    def state(self, apply_id="") -> str:
        return self.rows("SELECT state FROM applies WHERE apply_id = %s",
                         (apply_id or self.apply_id,))[0]["state"]

    def obeyed(self, verb):
        """A condition to wait for: the request was obeyed."""
        return lambda: self.rows("SELECT id FROM apply_control_requests WHERE operation = %s"
                                 " AND status = 'completed'", (verb,))

    def wait_state(self, state, apply_id="", hurry=False) -> None:
        """Through storage: the API is not asked while it may be dying. `hurry`: what is
        parked becomes due at once."""
        connection = self.stack.connect(STORAGE_DB)
        seen = None
        end = time.monotonic() + STORY_SECONDS
        try:
            with connection.cursor() as cursor:
                while seen != state:
                    cursor.execute("SELECT state FROM applies WHERE apply_id = %s",
                                   (apply_id or self.apply_id,))
                    seen = cursor.fetchone()["state"]
                    assert seen == state or seen not in invariants.SETTLED, \
                        f"{seen} instead of {state}"
                    assert time.monotonic() < end, f"still {seen}, not {state}"
                    if hurry:
                        self.hurry()
                    time.sleep(0.005)
        finally:
            connection.close()

    def reap(self) -> None:
        """A pass of the reaper; cron would start another one after a death."""
        for _ in range(5):
            done = self.stack.binary("schemabot-reaper", faults=True)
            if done.returncode == 0:
                return
        raise AssertionError(f"the reaper ends with {done.returncode}: {done.stderr}")


Fault = collections.namedtuple("Fault", "program point action n")


class Loop:
    """All faults of one story, one telling each.

    `lived`: what was injected in other stories: (action, the passages that led there).
    A passage that was reached by the same steps before is told again only with
    SB_FAULT_FULL=1, as are those of a story that takes long and that SB_SEED did not draw;
    with SB_FAULT_TRACE=1 there are traces only."""

    STEPS = 2

    def __init__(self, stack, story, lived):
        self.stack, self.story, self.lived = stack, story, lived
        self.reached, self.told, self.spared = set(), 0, 0  # reached: {(program, point)}
        self.seed = os.environ.get("SB_SEED") or secrets.token_hex(4)
        self.lots = random.Random(self.seed)

    def tell(self, *rules):
        """The story once, from nothing to its audited end."""
        self.stack.reset()
        story = self.story(self.stack)
        story.calm = not rules
        story.prepare()
        fault = self.stack.arm(*rules, *story.rules)
        try:
            story.live()
            self.stack.until(lambda: not self.stack.drivers(), "the drivers end")
        finally:
            self.stack.disarm()
        self.told += 1
        invariants.check_rest(self.stack, story.audits_targets)
        story.check()
        return fault

    def trace(self) -> dict:
        """{(program, point, n): the steps that led to the n-th passage in some process}."""
        paths, seen, found = {}, collections.Counter(), {}
        for program, pid, point in self.tell().passages():
            self.reached.add((program, point))
            path = paths[pid] = (*paths.get(pid, (program,))[-self.STEPS:], point)
            seen[pid, point] += 1
            found.setdefault((program, point, seen[pid, point]), set()).add(path)
        return found

    def is_new(self, action, paths) -> bool:
        ways = {(action, path) for path in paths}
        drawn = self.lots.random() < self.story.share
        if (ways <= self.lived or not drawn) and not os.environ.get("SB_FAULT_FULL"):
            self.spared += 1
            return False
        self.lived |= ways
        return True

    def run(self, choose) -> None:
        """A fault at each passage of each point: n = 1, 2, 3 … until none fires.
        `choose(point)`: the action there, or None."""
        concerned = self.story(self.stack)
        passages = {Fault(program, point, choose(point), n): paths
                    for (program, point, n), paths in self.trace().items()
                    if program in self.story.programs and choose(point)
                    and concerned.is_for(point)}
        if os.environ.get("SB_FAULT_TRACE"):
            return
        last = {}
        for fault in sorted(passages):
            last[fault.program, fault.point] = fault
            if self.is_new(fault.action, passages[fault]):
                self.inject(fault)
        # Beyond the last passage of each point there has to be no other.
        beyond = [f._replace(n=f.n + 1) for f in last.values()]
        while beyond:
            seen = self.tell(*map(_rule, beyond))
            beyond = [f._replace(n=f.n + 1) for f in beyond if seen.fired(f.point, f.action)]

    def inject(self, fault) -> None:
        try:
            self.tell(_rule(fault))
        except AssertionError as broken:
            raise AssertionError(f"{self.story.name}, {_rule(fault)}: {broken}") from broken


def _rule(fault) -> str:
    return f"{fault.program}/{fault.point}:{fault.action}@{fault.n}"


def crash(point):
    """Kill -9 at every point; where a connection breaks is for drop()."""
    return None if point in DROP_POINTS else "crash"


def drop(point):
    return "drop" if point in DROP_POINTS else None
