"""conftest.py - the stack that the stories of this folder are told on."""
import pytest
from lib.crash import Attendant


@pytest.fixture(scope="session")
def stack_conf():
    """In production, dropped tables are kept aside for a while."""
    return """databases = { shop = { environments = { production = {
        pending_drops = { enabled = true; retention_hours = 24; }; }; }; }; };"""


@pytest.fixture(scope="module")
def attended(_shared_stack):
    """The shared stack with one FastCGI worker, so that its passages can be counted, and a
    scheduler that looks at dead drivers at once."""
    harness = _shared_stack
    harness.command("restart-app", env={"SB_WORKERS": "1"})
    harness.attended = True
    try:
        with Attendant(harness):
            yield harness
    finally:
        harness.attended = False
        harness.command("restart-app")
