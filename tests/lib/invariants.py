"""
invariants.py - what must always be true (DESIGN.md 8), audited over the whole storage.

  audit(stack)       violations that may be seen at no instant, whoever works meanwhile
  audit_rest(stack)  those and what must hold when nothing is left to do: no driver runs,
                     nothing of ours is left on the targets, and each target's schema is what
                     the last apply says that it is
  check(stack), check_rest(stack)   assert that there are none
  Settled(stack)     .check(): applies that were settled then have not changed since

Readable apart from the code that it judges: the rules are written down here a second time,
from SEMANTICS B.3 and B.4, so that a mistake in one of the two is seen. Reads one consistent
snapshot; changes nothing, but audit_rest plans through the API, which stores plans.
"""
import contextlib
import json

from .stack import ROLLOUTS, STORAGE_DB

SETTLED = ("completed", "failed", "cancelled", "reverted")
RANKS = {name: rank for rank, name in enumerate((
    "pending", "preparing_branch", "applying_branch_changes", "validating_branch",
    "creating_deploy_request", "validating_deploy_request", "waiting_for_deploy", "running",
    "catching_up", "checksumming", "post_checksum", "waiting_for_cutover", "cutting_over",
    "revert_window", "skipping_revert", "reverting"))}
GATE = RANKS["waiting_for_cutover"]
# Schemas of ours that stay on a target.
KEPT_SCHEMAS = ("_schemabot_state", "_schemabot_drops")
RETRY_BUDGET = 10
# An operation that is due waits for a free driver, a host that vanished for its lease.
OVERDUE_SECONDS = 120

TABLES = {
    "applies": "SELECT * FROM applies ORDER BY id",
    "operations": "SELECT *, TIMESTAMPDIFF(SECOND, claim_after, NOW(6)) AS overdue"
                  " FROM apply_operations ORDER BY id",
    "tasks": "SELECT * FROM tasks ORDER BY operation_row, seq",
    "requests": "SELECT * FROM apply_control_requests ORDER BY id",
    "logs": "SELECT * FROM apply_logs ORDER BY id",
}


class Snapshot:
    """All rows at one instant, and who belongs to whom."""

    def __init__(self, stack):
        connection = stack.connect(STORAGE_DB)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
                for name, statement in TABLES.items():
                    cursor.execute(statement)
                    setattr(self, name, list(cursor.fetchall()))
        finally:
            connection.close()
        for apply in self.applies:
            apply["operations"] = [o for o in self.operations if o["apply_row"] == apply["id"]]
            apply["requests"] = [r for r in self.requests if r["apply_row"] == apply["id"]]
            apply["logs"] = [e for e in self.logs if e["apply_row"] == apply["id"]]
        for operation in self.operations:
            operation["tasks"] = [t for t in self.tasks
                                  if t["operation_row"] == operation["id"]]


# ---- what a parent's state has to be ----------------------------------------------------

def derive(states, begun):
    """SEMANTICS B.3: the state of a parent from its children's, first match wins."""
    for decisive in ("failed", "failed_retryable", "cancelled", "stopped", "reverting",
                     "reverted"):
        if decisive in states:
            return decisive
    seen = set(states)
    if seen == {"completed"}:
        return "completed"
    if "recovering" in seen:
        return "recovering"
    if "cutting_over" in seen and not any(RANKS.get(s, GATE) < GATE for s in states):
        return "cutting_over"
    for gate in ("waiting_for_cutover", "waiting_for_deploy"):
        if gate in seen and seen <= {gate, "completed"}:
            return gate
    for state in ("skipping_revert", "revert_window", "paused", "running_degraded"):
        if state in seen:
            return state
    if seen & {"running", "resuming", "cutting_over", "waiting_for_cutover"}:
        return "running"
    for state in RANKS:
        if state != "pending" and state in seen:
            return state
    return "running" if begun else "pending"


def operation_states(operation):
    """What an operation's state may be, its tasks being as they are."""
    tasks = [t["state"] for t in operation["tasks"]]
    begun = operation["started_at"] is not None
    allowed = {derive(tasks, begun)}
    if all(t in SETTLED for t in tasks) and operation["error_message"]:
        allowed.add("failed")  # it was impossible as a whole; tasks that never ran: cancelled
    if operation["error_message"] and any(t not in SETTLED for t in tasks):
        allowed.add("failed_retryable")  # its target was away; the tasks wait as they are
    if allowed == {"pending"} or not begun:
        allowed |= {"pending", "running"} if set(tasks) <= {"pending", "completed"} else set()
    return allowed


def apply_states(apply):
    """What an apply's state may be, its operations being as they are (SEMANTICS B.4)."""
    operations = apply["operations"]
    states = [o["state"] for o in operations]
    begun = apply["started_at"] is not None
    if len(operations) == 1:
        return {derive(states, begun)}
    left = [s for s in states if s not in SETTLED]
    if "failed" not in states:
        if not left:
            return {derive(states, begun)}
        if set(left) == {"stopped"}:
            return {"stopped"}
        # While something is driven, neither what is being stopped or cancelled says what
        # the whole is, nor what waits for its turn.
        going = [o["state"] for o in operations if o["state"] not in
                 ("stopped", "cancelled", "reverted") and
                 not (o["state"] == "pending" and not o["started_at"] and
                      held_lawfully(o, operations, apply))]
        if all(s in SETTLED for s in going):
            return {"stopped"} if "stopped" in left else {derive(["pending"], begun)}
        return {derive(going, begun),
                derive(going + ["pending"] * bool({"pending", "stopped"} & set(left)), begun)}
    started = [o for o in operations if o["state"] not in SETTLED and o["started_at"]]
    policy = operations[0].get("on_failure", "halt")
    allowed = set()
    if not left:
        allowed.add("failed")
    if "stopped" in states:
        allowed.add("stopped")
    if policy == "halt":
        allowed.add("running_degraded" if started else "failed")
    elif left:
        allowed.add("running_degraded")
        if policy == "pause" and not apply.get("released_at"):
            allowed.add("paused")
    return allowed


def held_lawfully(operation, siblings, apply):
    """May this pending operation be one that nobody can claim?"""
    earlier = [s for s in siblings if s["id"] < operation["id"]]
    go_on = operation["on_failure"] == "continue" or \
        (operation["on_failure"] == "pause" and apply.get("released_at"))
    if operation["on_failure"] == "halt" and any(s["state"] == "failed" for s in siblings):
        return True  # until those that have begun have ended
    if operation["cutover_policy"] == "parallel":
        return any(s["state"] == "failed" for s in earlier) and not go_on

    def blocks(sibling):
        if sibling["state"] == "failed":
            return not go_on
        if operation["cutover_policy"] == "barrier":
            return sibling["state"] != "completed" and \
                RANKS.get(sibling["state"], 0) < GATE
        return sibling["state"] != "completed"
    return any(blocks(s) for s in earlier)


# ---- audits at any instant -----------------------------------------------------------------

def _queue(now):
    """Settled, stopped, held or claimable: exactly one, and claimed before long."""
    for apply in now.applies:
        for o in apply["operations"]:
            name = f"operation {o['id']} of {apply['apply_id']} ({o['state']})"
            if o["state"] in SETTLED:
                if o["claim_after"] or o["lease_owner"]:
                    yield f"{name} is settled, but somebody owns or may claim it"
                continue
            if o["claim_after"] is None:
                waits = any(r["status"] == "pending" for r in apply["requests"])
                if o["state"] == "stopped":
                    if waits and all(s["claim_after"] is None for s in apply["operations"]):
                        yield f"{name}: a request waits and nobody can obey it"
                elif o["state"] != "pending":
                    yield f"{name} is open, but nobody may claim it"
                elif not held_lawfully(o, apply["operations"], apply):
                    yield f"{name} is held without a reason"
            elif o["overdue"] > OVERDUE_SECONDS:
                yield f"{name} has been due for {o['overdue']} s"
            if o["attempt"] > RETRY_BUDGET + 1:
                yield f"{name} has had {o['attempt']} attempts"


def _requests(now):
    for apply in now.applies:
        for r in apply["requests"]:
            name = f"{r['operation']} request {r['id']} of {apply['apply_id']}"
            if r["status"] == "pending" and apply["state"] in SETTLED:
                yield f"{name} waits, but the apply is {apply['state']}"
            if r["status"] == "failed" and not r["error_message"]:
                yield f"{name} failed without a reason"
            if (r["status"] == "pending") != (r["completed_at"] is None):
                yield f"{name} is {r['status']}, ended at {r['completed_at']}"
        pending = [r["operation"] for r in apply["requests"] if r["status"] == "pending"]
        if len(pending) != len(set(pending)):
            yield f"{apply['apply_id']}: two pending requests of a kind: {pending}"


def _derived(now):
    for apply in now.applies:
        if not apply["operations"]:
            yield f"{apply['apply_id']} has no operation"
            continue
        for o in apply["operations"]:
            states = [t["state"] for t in o["tasks"]]
            if not states:
                yield f"operation {o['id']} of {apply['apply_id']} has no task"
            elif o["state"] not in operation_states(o):
                yield (f"operation {o['id']} of {apply['apply_id']} is {o['state']}, its tasks"
                       f" {states} say {sorted(operation_states(o))}")
            if o["state"] in SETTLED and any(s not in SETTLED for s in states):
                yield f"operation {o['id']} is {o['state']} with open tasks: {states}"
        if apply["state"] not in apply_states(apply):
            yield (f"{apply['apply_id']} is {apply['state']}, its operations "
                   f"{[o['state'] for o in apply['operations']]} say "
                   f"{sorted(apply_states(apply))}")
        if (apply["state"] in SETTLED) != (apply["completed_at"] is not None):
            yield f"{apply['apply_id']} is {apply['state']}, ended {apply['completed_at']}"


def _timeline(now):
    """From the logs: each task completed once, tokens that only grow, an end that is one."""
    owner = {t["task_id"]: t["operation_row"] for t in now.tasks}
    for apply in now.applies:
        completed, tokens, ended = set(), {}, None
        single = len(apply["operations"]) == 1
        for entry in apply["logs"]:
            name = f"log line {entry['id']} of {apply['apply_id']} ({entry['message'][:80]})"
            moved = entry["event_type"] in ("task_update", "state_transition")
            if ended and moved:
                yield f"{name}: something moved after the apply was {ended}"
            if entry["event_type"] == "task_update" and entry["new_state"] == "completed":
                if entry["task_id"] in completed:
                    yield f"{name}: the task was completed before"
                completed.add(entry["task_id"])
            if moved and entry["old_state"] in SETTLED:
                yield f"{name}: it was {entry['old_state']} already"
            key = owner.get(entry["task_id"]) or (apply["operations"][0]["id"] if single
                                                  else None)
            if entry["lease_token"] and key:
                if entry["lease_token"] < tokens.get(key, 0):
                    yield f"{name}: token {entry['lease_token']} after {tokens[key]}"
                tokens[key] = max(tokens.get(key, 0), entry["lease_token"])
            if entry["event_type"] == "state_transition" and not entry["task_id"] and \
                    entry["message"].startswith("Apply:") and entry["new_state"] in SETTLED:
                ended = entry["new_state"]


AUDITS = (_queue, _requests, _derived, _timeline)


def violations(now):
    return [line for audit_ in AUDITS for line in audit_(now)]


def audit(stack):
    """Violations that may be seen at no instant, as sentences."""
    return violations(Snapshot(stack))


# ---- audits of a system at rest -----------------------------------------------------------

def resting(now):
    """Is there nothing left to do by itself?"""
    return all(o["state"] in (*SETTLED, "stopped") or o["claim_after"] is None
               for o in now.operations)


def _leftovers(stack):
    with contextlib.suppress(AssertionError):
        stack.until(lambda: not stack.drivers(), "drivers end")
    if stack.drivers():
        yield f"drivers still run: {stack.drivers()}"

    def left():
        return sorted(s for s in stack.databases()
                      if s.startswith("_schemabot_") and s not in KEPT_SCHEMAS)

    stack.reap()
    with contextlib.suppress(AssertionError):  # our pass ends at once when cron's is at it
        stack.until(lambda: not left() or stack.reap(), "scratch schemas go")
    for schema in left():
        yield f"a scratch schema is left: {schema}"


def _left_to_do(stack, apply, files):
    """(namespace, table) of what a new plan of the apply's files would change."""
    reply = stack.api.post("/api/plan", {
        "database": apply["database_name"], "environment": apply["environment"],
        "type": apply["database_type"], "schema_files": files}).expect(200)
    assert not reply.get("errors"), reply["errors"]
    return {(c["namespace"], t["table_name"]) for c in reply["changes"]
            for t in c["table_changes"]}


def _targets(stack, now):
    """The last apply of each database and environment tells the truth about its target:
    what it completed is there, and what it did not is not."""
    last = {}
    for apply in now.applies:
        # The environments of a rollout are the same servers with other policies.
        shared = apply["database_name"] in ROLLOUTS
        last[apply["database_name"], "" if shared else apply["environment"]] = apply
    for apply in last.values():
        plan = stack.storage("SELECT schema_files FROM plans WHERE id = %s",
                             (apply["plan_row"],))[0]
        left = _left_to_do(stack, apply, json.loads(plan["schema_files"]))
        tasks = [t for o in apply["operations"] for t in o["tasks"]]
        said = {(t["namespace"], t["table_name"]) for t in tasks if t["state"] != "completed"}
        name = f"{apply['apply_id']} ({apply['state']})"
        for table in sorted(left - said):
            yield f"{name}: {table} is said to be completed, but it is not"
        # A given-up retry says itself that its statement may have run.
        if "may still be running" not in (apply["error_message"] or ""):
            for table in sorted(said - left):
                states = {t["state"] for t in tasks if (t["namespace"], t["table_name"]) == table}
                yield f"{name}: {table} is said to be {sorted(states)}, but it was changed"


def audit_rest(stack, targets=True):
    """Violations in a system where nothing is left to do. targets=False when the test
    itself has changed the targets."""
    now = Snapshot(stack)
    found = violations(now)
    if not resting(now):
        found += [f"operation {o['id']} is {o['state']}, due {o['claim_after']}"
                  for o in now.operations
                  if o["state"] not in (*SETTLED, "stopped") and o["claim_after"]]
    found += [f"{r['operation']} request {r['id']} is pending for ever" for r in now.requests
              if r["status"] == "pending"]
    found += _leftovers(stack)
    if targets:
        found += _targets(stack, now)
    return found


def check(stack):
    found = audit(stack)
    assert not found, "\n".join(found)


def check_rest(stack, targets=True):
    found = audit_rest(stack, targets)
    assert not found, "\n".join(found)


class Settled:
    """The applies that are settled now, with all their rows, to be looked at again."""

    def __init__(self, stack):
        self.stack = stack
        self.rows = self._read()

    def _read(self):
        now, rows = Snapshot(self.stack), {}
        for apply in now.applies:
            if apply["state"] not in SETTLED:
                continue
            for table, found in (("applies", [apply]), ("operations", apply["operations"]),
                                 ("tasks", [t for o in apply["operations"] for t in o["tasks"]]),
                                 ("requests", apply["requests"])):
                for row in found:
                    rows[table, row["id"]] = {k: v for k, v in row.items()
                                              if k not in ("overdue", "revision", "updated_at")
                                              and not isinstance(v, list)}
        return rows

    def check(self):
        after = self._read()
        changed = [f"{key}: {row} became {after.get(key)}" for key, row in self.rows.items()
                   if after.get(key) != row]
        assert not changed, "\n".join(changed)
