"""
test_store_writers.py - who may write which table of our storage, read off the source.

DESIGN.md 3: no owned write outside a lease transaction. The statements are data
(DB_STATEMENTS) and the functions are plain C, so both can be listed: every statement that
writes is executed by functions that take a `struct lease_tx`, or stands below with the guard
that takes the lease's place. The matrix of test_writers.c has to name every function that
takes a lease. What is new and in no list fails here, and the message says where it belongs.
"""
import re
import subprocess

import pytest

from lib import places

STORE = places.ROOT / "core/store"

# Who writes each table of sql/storage, besides nobody else: `driver` inside a lease
# transaction; `claim`: the queue's own statements; `handler`; `reaper`.
WRITERS = {
    "applies": {"driver", "handler", "reaper"},
    "apply_operations": {"driver", "claim", "handler", "reaper"},
    "tasks": {"driver", "handler", "reaper"},
    "apply_logs": {"driver", "handler", "reaper"},
    "apply_control_requests": {"driver", "handler", "reaper"},
    "plans": {"handler"},
    "locks": {"handler"},
    "settings": {"handler"},
    "counters": {"handler"},
}

# Statements on tables that drivers write, which are executed without a lease transaction:
# who executes them, and what guards them instead: a text that the statement must contain, or
# LOCKED, the statement that has locked the row earlier in the same transaction.
LOCKED = "LOCKED "
UNOWNED = {
    # The claim is what makes an owner; the row was locked by the statement named here.
    "OP_TAKE": ("claim", LOCKED + "OP_SELECT_DUE"),
    "OP_RECLAIM": ("claim", "lease_token = ?"),
    "LEASE_BEAT": ("claim", "lease_token = ?"),
    "OP_PARK": ("claim", "lease_token = ?"),
    "PK_TAKE": ("claim", LOCKED + "PK_SELECT"),
    "PK_PARK": ("claim", "(id, lease_token) IN"),
    # Handlers: rows that nobody can own yet, in the transaction that creates them.
    "AP_INSERT": ("handler", "INSERT"),
    "AP_INSERT_OPERATION": ("handler", "INSERT"),
    "AP_INSERT_TASK": ("handler", "INSERT"),
    "AP_INSERT_LOG": ("handler", "INSERT"),
    # Handlers: a request, recorded under the locks of all operations and the apply.
    "CO_INSERT": ("handler", LOCKED + "CO_LOCK_APPLY"),
    "CO_WAKE": ("handler", "lease_owner IS NULL"),
    "CO_VOLUME": ("handler", LOCKED + "CO_LOCK_APPLY"),
    "CO_TOUCH": ("handler", LOCKED + "CO_LOCK_APPLY"),
    "CO_LOG": ("handler", LOCKED + "CO_LOCK_APPLY"),
    # A start ends the stop that has taken effect, under the same locks.
    "CO_END_STOP": ("handler", LOCKED + "CO_LOCK_APPLY"),
    # The reaper: claims like a driver, or touches only what is settled.
    "RE_TAKE": ("reaper", LOCKED + "RE_EXPIRED"),
    "RE_SETTLE_OPERATION": ("reaper", "lease_owner IS NULL OR"),
    "RE_SETTLE_TASKS": ("reaper", "o.state IN ('completed','failed','cancelled','reverted')"),
    "RE_END_REQUEST": ("reaper", LOCKED + "RE_LOCK_APPLY"),
    "RE_LOG": ("reaper", LOCKED + "RE_LOCK_APPLY"),
    "RE_TOUCH": ("reaper", LOCKED + "RE_LOCK_APPLY"),
    "RE_TRIM_LOGS": ("reaper", "a.state IN ('completed','failed','cancelled','reverted')"),
}
# Executed inside the transaction of RE_EXPIRED and the like: a select for update.
LOCKING = re.compile(r"FOR UPDATE")
WRITE = re.compile(r"^\s*(?:INSERT INTO|UPDATE|DELETE FROM|REPLACE INTO)\s+`?(\w+)")
STATEMENT = re.compile(r'\bS\((\w+),\s*((?:"(?:[^"\\]|\\.)*"\s*|/\*.*?\*/\s*|\w+\s*)+)\)', re.DOTALL)
FUNCTION = re.compile(r"^(?!static const|struct \w+ \{|enum|#)((?:static )?[\w][\w \*]*?\b(\w+)"
                      r"\(([^;{}]*?)\))\n\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def source(path):
    return path.read_text(encoding="utf-8").replace("\\\n", "\n")


def statements():
    """{name: SQL} of every statement in core/store."""
    found = {}
    for path in sorted(STORE.glob("*.c")):
        for name, text in STATEMENT.findall(source(path)):
            found[name] = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text))
    return found


def functions():
    """{name: (parameters, body)} of every function in core/store."""
    return {name: (parameters, body) for path in sorted(STORE.glob("*.c"))
            for _, name, parameters, body in FUNCTION.findall(source(path))}


def declared():
    """{name: parameters} of every function that core/store offers."""
    text = "\n".join(re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
                     for path in sorted(STORE.glob("*.h")))
    return {name: parameters for name, parameters in
            re.findall(r"^(?:int|void|bool|enum \w+|struct \w+ \*|char \*|const char \*)\s*\*?"
                       r"(\w+)\(([^;]*?)\)", text, re.MULTILINE)}


def written():
    """{statement: table} of every statement that writes."""
    return {name: WRITE.match(sql)[1] for name, sql in statements().items() if WRITE.match(sql)}


def executed_by(statement):
    return {name: parameters for name, (parameters, body) in functions().items()
            if re.search(rf"\b{statement}\b", body)}


def owned(parameters):
    return "struct lease_tx *" in parameters


def test_the_source_can_be_read():
    """The expressions above see what is there."""
    count = sum(len(re.findall(r"\bS\(\w+,", source(p))) for p in STORE.glob("*.c"))
    assert len(statements()) == count > 60
    assert all(executed_by(name) for name in written())
    assert set(declared()) - set(functions()) == set(), "declared, but no body was found"


def test_every_table_is_classified():
    tables = {p.stem for p in (places.ROOT / "sql/storage").glob("*.sql")}
    assert tables == set(WRITERS), "classify new tables in WRITERS"
    seen = {table: set() for table in tables}
    for name, table in written().items():
        for parameters in executed_by(name).values():
            who = "driver" if owned(parameters) else UNOWNED.get(name, ("handler",))[0]
            seen[table].add(who)
    assert seen == WRITERS


def test_every_write_is_owned_or_guarded():
    driven = {table for table, who in WRITERS.items() if who & {"driver", "claim"}}
    unlisted = []
    for name, table in written().items():
        if table not in driven:
            continue
        loose = [f for f, parameters in executed_by(name).items() if not owned(parameters)]
        if loose and name not in UNOWNED:
            unlisted.append(f"{name} writes {table} in {loose[0]}() without a struct lease_tx:"
                            " give it one, or say in UNOWNED what guards it instead")
        if not loose:
            assert name not in UNOWNED, f"{name} is owned: remove it from UNOWNED"
    assert not unlisted, "\n".join(unlisted)
    assert set(UNOWNED) <= set(written()), "remove what does not exist any more"


def callers(name):
    return {f for f, (_, body) in functions().items() if re.search(rf"\b{name}\(", body)}


def locked_before(statement, lock):
    """Does every way into a function that executes `statement` pass one that takes `lock`?
    True for a function that executes it itself, or all of whose callers do."""
    def covered(function, seen):
        if re.search(rf"\b{lock}\b", functions()[function][1]):
            return True
        above = callers(function) - seen - {function}
        return bool(above) and all(covered(f, seen | {function}) for f in above)
    return all(covered(f, set()) for f in executed_by(statement))


@pytest.mark.parametrize("name", sorted(UNOWNED))
def test_the_guard_is_there(name):
    sql = statements()[name]
    guard = UNOWNED[name][1]
    if guard.startswith(LOCKED):
        lock = guard[len(LOCKED):]
        assert LOCKING.search(statements()[lock]), f"{lock} locks nothing"
        assert locked_before(name, lock), f"{name} is executed without {lock} before it"
    else:
        assert guard in sql


def test_every_function_that_takes_a_lease_is_in_the_matrix():
    program = places.build_dir(places.variant()) / "tests-it" / "test_writers"
    done = subprocess.run([program, "--list"], text=True, capture_output=True, check=True)
    in_matrix = set(done.stdout.split())
    taking = {name for name, parameters in declared().items()
              if re.search(r"struct lease_tx \*|const struct lease \*", parameters)}
    assert taking - in_matrix == set(), "add these to the lists of tests/it/test_writers.c"
    assert in_matrix - taking == set(), "these take no lease any more"


def test_owned_functions_do_not_begin_or_end_transactions():
    """One who writes under somebody's lease transaction may not commit it."""
    for name, (parameters, body) in functions().items():
        if owned(parameters) and not name.startswith("lease_tx_"):
            assert not re.search(r"\b(db_begin|db_commit|db_rollback|lease_tx_commit)\(", body), \
                f"{name}() ends its caller's transaction"


def test_lists_of_states_agree_with_state_def():
    """Every list of states in SQL is made of whole classes of state.def."""
    text = (places.ROOT / "core/model/state.def").read_text(encoding="utf-8")
    states = dict(re.findall(r'^STATE\(\w+,\s*"(\w+)",\s*(\w+),', text, re.MULTILINE))
    classes = {c: {s for s in states if states[s] == c} for c in set(states.values())}
    # The one list that cuts through a class: what the API calls failures.
    exceptions = [{"failed", "failed_retryable"}]
    texts = [*statements().values(),
             *(p.read_text(encoding="utf-8") for p in (places.ROOT / "sql/storage").glob("*.sql"))]
    lists = [set(re.findall(r"'(\w+)'", found)) for sql in texts
             for found in re.findall(r"(?:state|`state`)`?\s+(?:NOT\s+)?IN\s*\(([^)]*)\)", sql,
                                     re.IGNORECASE)]
    assert len(lists) > 5
    for names in lists:
        assert names <= set(states), f"no such state: {names - set(states)}"
        whole = set().union(*(c for c in classes.values() if c <= names))
        assert names == whole or names in exceptions, f"{sorted(names)} cuts through a class"
