"""
test_claims.py - races for an operation: two claimers, claim against heartbeat, expiry against
claim, hand-back against steal. Whatever the order, one owner at a time, one outcome.
"""
import pytest
from sides import LOST, Program, finish, operation

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
# What a driver passes on its way to an operation, and whether it owns it there already.
CLAIM = ["driver.started", "operation.claim.selected", "operation.claim.taken",
         "db.commit.before", "db.commit.after", "drive.claimed"]
HOLD = {"call": "poll", "hold": "running"}


def begin(stack, *script):
    """An apply of the resident engine."""
    stack.fake.script(*script)
    return stack.apply(stack.plan([USERS], database="resident"))


def driven(stack, apply_id):
    """A driver that holds the operation at a poll, once it has been seen there."""
    driver = Program(stack)
    stack.until(lambda: stack.fake.calls("poll", apply=apply_id), "it is polled")
    return driver


def expire(stack, apply_id):
    stack.expire_lease(apply_id)
    return operation(stack, apply_id)["lease_token"]


@pytest.mark.parametrize("point", CLAIM)
def test_two_claimers(quiet, point):
    """One is held on its way, the other passes it: the operation is driven once."""
    apply_id = begin(quiet)
    held = Program(quiet, point=point).arrive()
    other = Program(quiet)
    other.end()
    held.release().end()
    assert operation(quiet)["lease_token"] == 1
    assert len(quiet.fake.created(apply_id)) == 1
    finish(quiet, apply_id, "completed")


@pytest.mark.parametrize("first", [0, 1])
def test_two_claimers_from_the_same_start(quiet, first):
    apply_id = begin(quiet)
    sides = [Program(quiet, point="driver.started").arrive() for _ in range(2)]
    sides[first].release().end()
    sides[1 - first].release().end()
    assert operation(quiet)["lease_token"] == 1
    finish(quiet, apply_id, "completed")


def test_heartbeat_before_the_claim(quiet):
    """The lease had run out, but its owner lives and says so first."""
    apply_id = begin(quiet, HOLD)
    owner = driven(quiet, apply_id)
    other = Program(quiet, point="driver.started").arrive()
    token = expire(quiet, apply_id)
    quiet.until(lambda: quiet.storage(
        "SELECT 1 AS x FROM apply_operations WHERE claim_after > NOW(6)"), "it beats")
    other.release().end()
    assert operation(quiet)["lease_token"] == token
    quiet.fake.release("running")
    owner.end()
    finish(quiet, apply_id, "completed")


@pytest.mark.parametrize("point", ["driver.started", "operation.claim.selected",
                                   "operation.claim.taken", "db.commit.before"])
def test_claim_before_the_heartbeat(quiet, point):
    """Wherever the claimer is when the owner wakes to beat: the owner finds out and leaves."""
    apply_id = begin(quiet, HOLD)
    owner = Program(quiet, point="lease.heartbeat").arrive()
    token = expire(quiet, apply_id)
    other = Program(quiet, point=point).arrive()
    if point == "driver.started":
        other.release()
        quiet.until(lambda: operation(quiet)["lease_token"] > token, "it is claimed")
        owner.release()
    else:  # the claimer holds the row: the beat has to wait
        owner.release().end_or_block()
        other.release()
    owner.end(LOST)
    quiet.fake.release("running")
    other.end()
    assert operation(quiet)["lease_token"] == token + 1
    assert len(quiet.fake.created(apply_id)) == 1
    finish(quiet, apply_id, "completed")


@pytest.fixture
def overdue(quiet):
    """failed_retryable since yesterday, due now."""
    apply_id = begin(quiet, {"call": "start", "error": "http:503"})
    driver = Program(quiet)
    quiet.until(lambda: operation(quiet)["state"] == "failed_retryable"
                and operation(quiet)["attempt"] >= 2, "the free retries are spent")
    driver.end()
    quiet.fake.script()
    quiet.storage("UPDATE apply_operations SET failed_at = NOW(6) - INTERVAL 25 HOUR,"
                  " claim_after = NOW(6) - INTERVAL 1 SECOND")
    return quiet, apply_id


@pytest.mark.parametrize("point", ["reap.expired.taken", "drive.settle.before_commit",
                                   "drive.settle.committed"])
def test_expiry_before_the_claim(overdue, point):
    """Taken by the reaper, it is nobody else's: failed, and never run again."""
    stack, apply_id = overdue
    reaper = Program(stack, "schemabot-reaper", point).arrive()
    calls = len(stack.fake.calls("start"))
    Program(stack).end()
    reaper.release().end()
    assert len(stack.fake.calls("start")) == calls
    seen = finish(stack, apply_id, "failed")
    assert "more than a day" in seen["error_message"]


@pytest.mark.parametrize("point", ["operation.claim.selected", "operation.claim.taken",
                                   "drive.claimed"])
def test_claim_before_the_expiry(overdue, point):
    """Once a driver has it the reaper keeps away; it is given up once, by the driver."""
    stack, apply_id = overdue
    token, calls = operation(stack)["lease_token"], len(stack.fake.calls("start"))
    driver = Program(stack, point=point).arrive()
    Program(stack, "schemabot-reaper").end()
    driver.release().end()
    assert operation(stack)["lease_token"] == token + 1
    assert len(stack.fake.calls("start")) == calls
    seen = finish(stack, apply_id, "failed")
    assert "more than a day" in seen["error_message"]


@pytest.mark.parametrize("point", ["drive.hand_back.halted", "operation.hand_back"])
def test_hand_back_against_steal(quiet, point):
    """SIGTERM and the end of the lease at once. Held before its transaction the old owner
    finds that it is none any more; held inside, nobody can steal."""
    apply_id = begin(quiet, HOLD)
    owner = Program(quiet, point=point)
    quiet.until(lambda: quiet.fake.calls("poll", apply=apply_id), "it is polled")
    owner.kill()
    owner.arrive()
    token = operation(quiet)["lease_token"]
    if point == "drive.hand_back.halted":
        quiet.expire_lease(apply_id)
        thief = driven_again(quiet, token)
        owner.release().end(LOST)
    else:
        Program(quiet).end()  # nothing is due: the row is locked
        assert operation(quiet)["lease_token"] == token
        owner.release().end()
        thief = driven_again(quiet, token)
    quiet.fake.release("running")
    thief.end()
    row = operation(quiet)
    assert (row["lease_token"], row["attempt"]) == (token + 1, 0)
    finish(quiet, apply_id, "completed")


def driven_again(stack, token):
    driver = Program(stack)
    stack.until(lambda: operation(stack)["lease_token"] > token, "it is claimed again")
    stack.until(lambda: stack.fake.calls("poll", token=token + 1), "it is polled again")
    return driver


def test_steal_before_the_hand_back_begins(quiet):
    """The new owner works already when the old one is asked to end."""
    apply_id = begin(quiet, HOLD)
    owner = Program(quiet, point="drive.settle.committed", nth=1).arrive()
    token = operation(quiet)["lease_token"]
    quiet.expire_lease(apply_id)
    thief = driven_again(quiet, token)
    owner.kill()
    owner.release().end(LOST)
    quiet.fake.release("running")
    thief.end()
    assert operation(quiet)["lease_token"] == token + 1
    finish(quiet, apply_id, "completed")
