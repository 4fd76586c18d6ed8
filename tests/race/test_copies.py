"""
test_copies.py - two drivers at one online copy, and a copy that another host goes on with.

The first is held at a point of its copy while its lease ends and the second claims; its other
threads live, so that it learns that it has lost. (Frozen altogether: fault/test_frozen_copy.)
"""
import pytest
from lib.twin import Twin, artefacts, checkpoints, items, statements_of

from sides import LOST, Program, finish, operation

WIDER = items("items", "bigint", ", KEY am (amount)")


def claim(stack, apply_id) -> Program:
    """A driver that has the claim. The first one may have renewed its lease before it came."""
    second = None

    def claimed():
        nonlocal second
        if operation(stack)["lease_token"] > 1:
            return True
        stack.expire_lease(apply_id)
        if second is None or second.ended():
            second = Program(stack)
        return False
    stack.until(claimed, "the second claims")
    return second


@pytest.mark.parametrize("point, nth", [
    ("engine.mysql.copy.chunk", 2), ("engine.mysql.copy.flush", 1),
    ("engine.mysql.copy.check.locked", 1), ("engine.mysql.copy.cutover.locked", 1),
    ("engine.mysql.copy.cutover.rename", 1)])
def test_the_second_driver_wins(idle, point, nth):
    stack = idle
    twin = Twin(stack, "items", items("items"), 2600)
    with twin.written():
        apply_id = stack.apply(stack.plan([WIDER]))
        first = Program(stack, point=point, nth=nth).arrive()
        second = claim(stack, apply_id)
        # What the first one holds at the target is taken from it; it is let go only then,
        # or when the second one has to come again because of it.
        stack.until(lambda: second.ended() or stack.progress(apply_id)["state"] == "completed",
                    "the second is done")
        first.release()
        assert first.end(0, LOST) in (0, LOST)
        second.end(0)
        finish(stack, apply_id, "completed")
    twin.compare(*statements_of(stack, apply_id, "items"))
    assert not artefacts(stack) and not checkpoints(stack)


def test_another_host_goes_on_with_a_stopped_copy(fresh_stack):
    stack = fresh_stack()
    twin = Twin(stack, "items", items("items"), 2600)
    with twin.written():
        gate = stack.arm("schemabot-driver/engine.mysql.copy.begun:wait=@FILE@")
        apply_id = stack.apply(stack.plan([WIDER]), volume=1)
        stack.until(gate.arrived, "the shadow is there")
        other = stack.connect("shop_staging")
        other.autocommit(False)
        with other.cursor() as cursor:  # the copy stands still there, in its second chunk
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute(f"INSERT INTO `{artefacts(stack)[0]}` (id, code, amount)"
                           " SELECT id, code, amount FROM items WHERE id > 2000")
        gate.release()
        stack.disarm()
        stack.until(lambda: stack.sql(
            "SELECT id FROM information_schema.processlist WHERE user = 'sb_target'"
            " AND info LIKE 'INSERT INTO `shop_staging`.`items~sb_new_%'"), "the copy waits")
        stack.control("stop", apply_id).expect(200, 202)
        stack.wait_state(apply_id, "stopped")
        other.close()
        assert '"phase":"COPYING"' in checkpoints(stack)[0]["p"]
        stack.command("stop-cron")
        stack.until(lambda: not stack.drivers() and not stack.schedulers(), "nobody is here")
        stack.command("host", "second")
        stack.control("start", apply_id).expect(200)
        stack.wait_state(apply_id, "completed")
    twin.compare(*statements_of(stack, apply_id, "items"))
    [token] = stack.storage("SELECT lease_token FROM apply_operations")
    assert token["lease_token"] > 1
    assert "engine.mysql.copy.resumed" in stack.log_text("cron"), "it began anew"
