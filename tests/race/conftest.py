"""
conftest.py - what the scripted races can ask for besides tests/conftest.py.

  quiet   the shared stack without a scheduler: only what the test starts runs
"""
import pytest


@pytest.fixture
def quiet(stack):
    stack.command("stop-cron")
    stack.until(lambda: not stack.drivers(), "idle drivers end")
    yield stack
    # Whoever a failed test has left at a gate holds locks: let all of them go.
    stack.disarm()
    for arrived in [*stack.dir.glob("side-*/gate.at"), *stack.dir.glob("fault-*/gate.at")]:
        arrived.with_suffix("").touch()
    stack.kill(stack.drivers() + stack.processes("schemabot-reaper"))
    stack.command("restart-cron")
