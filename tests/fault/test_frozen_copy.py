"""
test_frozen_copy.py - a driver that copies a table is frozen past its lease and woken when
somebody else has copied and swapped it: it changes nothing any more.

As test_frozen.py, while an application writes to the table and to its twin. Frozen with a lock
on the table it keeps writers waiting until the server lets go of its connection.
"""
import pytest
from lib import invariants
from lib.crash import points_in_the_sources
from lib.twin import Twin, artefacts, checkpoints, items, statements_of

from test_frozen import freeze_driver, wake

POINTS = [("engine.mysql.copy.shadow", 1), ("engine.mysql.copy.chunk", 2),
          ("engine.mysql.copy.saved", 2), ("engine.mysql.copy.flush", 1),
          ("engine.mysql.copy.built", 1), ("engine.mysql.copy.check.locked", 1),
          ("engine.mysql.copy.cutover.stored", 1), ("engine.mysql.copy.cutover.locked", 1),
          ("engine.mysql.copy.cutover.rename", 1), ("engine.mysql.copy.cutover.renamed", 1)]
WIDER = items("items", "bigint", ", KEY am (amount)")


def photograph(stack):
    """Storage, and all that there is of the table."""
    return ([stack.storage(f"SELECT * FROM `{t}` ORDER BY id")
             for t in ("applies", "apply_operations", "tasks", "apply_logs")],
            [stack.create_table(t) for t in stack.tables()],
            stack.target("SELECT * FROM items ORDER BY id"), checkpoints(stack))


@pytest.mark.parametrize("point, n", POINTS)
def test_a_frozen_copy_is_woken_too_late(attended, stack, point, n):
    assert point in points_in_the_sources()
    twin = Twin(stack, "items", items("items"), 2600)
    plan = stack.plan([WIDER])
    with twin.written():
        apply_id, pid = freeze_driver(stack, plan, point, n)
        stack.wait_state(apply_id, "completed")
    before = photograph(stack)
    wake(stack, pid)
    assert photograph(stack) == before, f"woken at {point}, it wrote"
    twin.compare(*statements_of(stack, apply_id, "items"))
    invariants.check_rest(stack)
    assert not artefacts(stack) and not checkpoints(stack)
