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
    twin = Twin(stack, "items", items("items"), 40000)
    with twin.written():
        fault = stack.arm("schemabot-driver/engine.mysql.copy.chunk:wait=@FILE@@2")
        apply_id = stack.apply(stack.plan([WIDER]), volume=1)
        stack.until(fault.arrived, "the first chunk is copied")
        stack.control("stop", apply_id).expect(200, 202)
        stack.until(lambda: "engine.mysql.stop" in fault.passed(), "the copy is told")
        fault.release()  # what is left takes far longer than it takes to notice
        stack.disarm()
        stack.wait_state(apply_id, "stopped")
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
