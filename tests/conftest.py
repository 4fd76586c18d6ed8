"""
conftest.py - what every Python test can ask for.

  stack        a whole running stack, shared by the tests of a flavour, as new for each test;
               a test that takes it runs once on MariaDB and once on MySQL 9
  fresh_stack  make_stack(conf="", env={}, split=False): private stacks, for tests that break things
  api, reader  HTTP clients of `stack` with the write and the read token
  flavor       the flavour's name

A failed test shows what the stack logged meanwhile and keeps the stack's directory. Any
report of a sanitizer fails the test during which it appeared.
"""
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True

from lib import places, servers  # noqa: E402  (the path has to be set first)
from lib.harness import Harness, StartFailed  # noqa: E402
from lib.rows import Rows  # noqa: E402

# Cron's minute in tests: handovers and reaper passes happen all the time.
CRON_SECONDS = "5"


def pytest_addoption(parser):
    parser.addoption("--flavors", default=os.environ.get("SB_FLAVORS", ",".join(servers.FLAVORS)),
                     help="which servers to test on (default: %(default)s)")
    parser.addoption("--only-flavored", action="store_true",
                     help="leave out tests that depend on no server flavour")


def pytest_generate_tests(metafunc):
    if "flavor" in metafunc.fixturenames:
        # Indirectly, and the same objects each time: pytest 7 numbers direct parameters per
        # test and compares indirect ones by identity. Otherwise nearly every test would get
        # a new stack.
        flavors = metafunc.config.getoption("flavors").split(",")
        metafunc.parametrize("flavor", [sys.intern(f) for f in flavors], scope="session",
                             indirect=True)


def pytest_collection_modifyitems(config, items):
    if config.getoption("only_flavored"):
        kept = [i for i in items if "flavor" in i.fixturenames]
        config.hook.pytest_deselected(items=[i for i in items if i not in kept])
        items[:] = kept


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for harness in getattr(item, "harnesses", []):
        harness.keep = True
        if harness.dir.exists():
            report.sections.append((f"logs of the stack in {harness.dir}", harness.new_logs()))


def _start(harness, **options):
    """Start, or skip when this flavour cannot be had here."""
    harness.keep = False
    try:
        return harness.start(**options)
    except StartFailed as failure:
        if failure.skip:
            shutil.rmtree(harness.dir, ignore_errors=True)
            pytest.skip(str(failure).strip().splitlines()[-1])
        raise


def _discard(harness):
    if harness.keep:
        harness.stop()
    else:
        harness.discard()


@pytest.fixture(scope="session")
def flavor(request):
    """The flavour's name."""
    return request.param


@pytest.fixture(scope="session")
def stack_conf():
    """Further settings of the shared stack; a folder's conftest may have its own."""
    return ""


@pytest.fixture(scope="session")
def _shared_stack(flavor, stack_conf):
    harness = Harness(flavor)
    try:
        _start(harness, conf=stack_conf, env={"SB_CRON_SECONDS": CRON_SECONDS})
        yield harness
    finally:
        if harness.dir.exists():
            _discard(harness)


def _attach(request, harness):
    request.node.harnesses = [*getattr(request.node, "harnesses", []), harness]
    harness.mark_logs()


def _no_sanitizer_report(harness, before):
    new = [r for r in harness.sanitizer_reports() if r not in before]
    assert not new, _sanitizer_text(new)


def _sanitizer_text(reports):
    texts = [r.read_text(errors="replace").split("Shadow bytes")[0] for r in reports]
    return f"{len(texts)} sanitizer reports, the first of them:\n" + "\n".join(texts[:2])


@pytest.fixture
def stack(request, _shared_stack):
    """The shared stack of this flavour, as new."""
    harness = _shared_stack
    _attach(request, harness)
    before = harness.sanitizer_reports()
    harness.reset()
    yield harness
    _no_sanitizer_report(harness, before)


@pytest.fixture
def idle(stack):
    """The stack without scheduler and reaper: nobody claims, obeys or tidies."""
    stack.command("stop-cron")
    stack.until(lambda: not stack.drivers(), "idle drivers end")
    yield stack
    stack.command("restart-cron")


@pytest.fixture
def rows(idle):
    """Applies made by SQL, on a stack where nobody touches them."""
    made = Rows(idle)
    yield made
    made.connection.close()


@pytest.fixture
def fresh_stack(request, flavor):
    """make_stack(conf="", env={}, split=False): a stack of one's own, gone after the test."""
    made = []

    def make_stack(conf="", env=None, split=False):
        harness = Harness(flavor)
        made.append(harness)
        _attach(request, harness)
        return _start(harness, conf=conf, split=split,
                      env={"SB_CRON_SECONDS": CRON_SECONDS, **(env or {})})

    yield make_stack
    # Stopped first: a leak is reported when its process ends.
    for harness in made:
        if harness.dir.exists():
            harness.stop()
    reports = [r for h in made if h.dir.exists() for r in h.sanitizer_reports()]
    complaint = _sanitizer_text(reports) if reports else ""
    for harness in made:
        harness.keep = harness.keep or bool(reports)
        if harness.dir.exists():
            _discard(harness)
    assert not reports, complaint


@pytest.fixture
def api(stack):
    return stack.api


@pytest.fixture
def reader(stack):
    return stack.reader


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return places.ROOT
