"""
test_requests.py - races of operators' requests: stop against cutover, against completion,
against another stop; start against a new apply for the same target. Held at every point on
the way of the one, the other passes it or waits; both orders end in a truth.
"""
import pytest
from sides import Call, Program, blocked, drive, finish, requests

from lib import invariants

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
ORDERS = "CREATE TABLE orders (id bigint NOT NULL, PRIMARY KEY (id))"
RUNNING = {"call": "poll", "hold": "running"}
# A request on its way into storage; from the first of them on it holds the row locks.
SUBMIT = ["control.submit.locked", "control.submit.inserted", "control.submit.done",
          "api.control.recorded"]


def begin(stack, *script, files=(USERS,), **options):
    stack.fake.script(*script)
    return stack.apply(stack.plan(list(files), database="resident"), **options)


def call(stack, verb, apply_id, point="", caller=""):
    return Call(stack, lambda: stack.control(verb, apply_id, caller=caller or "me"), point)


def running(stack, apply_id):
    """A driver that holds the apply in the engine."""
    driver = Program(stack)
    stack.until(lambda: stack.fake.calls("poll", apply=apply_id), "it is polled")
    return driver


# ---- stop against cutover -----------------------------------------------------------------

def at_the_gate(stack, point=""):
    """An apply that waits for its cutover, requested before its driver (held at `point`, or
    free) looks."""
    apply_id = begin(stack, defer_cutover=True)
    driver = Program(stack, point=point)
    stack.wait_state(apply_id, "waiting_for_cutover")
    return apply_id, driver


def cutover_sent(stack, apply_id):
    return len(stack.fake.calls("cutover", apply=apply_id))


@pytest.mark.parametrize("point", ["drive.cutover.chosen", "drive.cutover.before",
                                   "drive.cutover.sent", "db.commit.after"])
def test_stop_while_a_driver_cuts_over(quiet, point):
    """Recorded before the driver holds the row, the stop withholds the cutover; after that it
    comes later than the cutover, and the engine decides what it still can."""
    nth = "drive.cutover.sent" if point == "db.commit.after" else point
    apply_id, driver = at_the_gate(quiet, nth)
    quiet.control("cutover", apply_id).expect(200)
    driver.arrive()
    stop = call(quiet, "stop", apply_id)
    recorded = stop.end_or_block()
    assert recorded == (point == "drive.cutover.chosen")
    if point == "db.commit.after":  # the cutover is over before the stop gets its turn
        quiet.fake.script({"call": "stop", "complete": True})
    driver.release()
    stop.end(200)
    driver.end()
    if recorded:
        assert cutover_sent(quiet, apply_id) == 0
        finish(quiet, apply_id, "stopped")
        assert requests(quiet) == [("cutover", "failed"), ("stop", "completed")]
    else:
        assert cutover_sent(quiet, apply_id) == 1
        state = finish(quiet, apply_id, "stopped", "completed")["state"]
        assert state == "completed" or point != "db.commit.after"
        assert requests(quiet) == [("cutover", "completed"), ("stop", "completed")]


@pytest.mark.parametrize("point", SUBMIT)
def test_cutover_while_a_stop_is_recorded(quiet, point):
    """The driver has chosen to cut over, and finds the stop in its way."""
    apply_id, driver = at_the_gate(quiet, "drive.cutover.chosen")
    quiet.control("cutover", apply_id).expect(200)
    driver.arrive()
    stop = call(quiet, "stop", apply_id, point).arrive()
    driver.release()
    assert driver.end_or_block() == (point == "api.control.recorded")
    stop.release().end(200)
    driver.end()
    assert cutover_sent(quiet, apply_id) == 0
    finish(quiet, apply_id, "stopped")
    assert requests(quiet) == [("cutover", "failed"), ("stop", "completed")]


@pytest.mark.parametrize("first, second, statuses", [
    ("stop", "cutover", (200, 409)), ("cutover", "stop", (200, 200)),
    ("cancel", "cutover", (200, 409)), ("stop", "cancel", (200, 200)),
    ("cancel", "stop", (200, 200))])
@pytest.mark.parametrize("point", SUBMIT[:3])
def test_two_requests_at_once(quiet, point, first, second, statuses):
    """Whichever has the locks first is recorded first, and the second is judged by it."""
    apply_id, driver = at_the_gate(quiet, "drive.cutover.chosen" if "cutover" in (first, second)
                                   else "drive.obey.halted")
    one = call(quiet, first, apply_id, point).arrive()
    two = call(quiet, second, apply_id)
    assert not two.end_or_block()
    one.release().end(statuses[0])
    two.end(statuses[1])
    quiet.until(lambda: driver.arrived() or driver.ended(), "the driver obeys")
    driver.release().end()
    verbs = {first, second}
    finish(quiet, apply_id, "cancelled" if "cancel" in verbs else "stopped")
    assert cutover_sent(quiet, apply_id) == 0


# ---- stop against completion --------------------------------------------------------------

@pytest.mark.parametrize("verb", ["stop", "cancel"])
@pytest.mark.parametrize("point, status", [
    ("engine.fake.poll.after", 200),      # the engine has said it, nobody has written it
    ("task.move", 409), ("operation.project.apply", 409),
    ("drive.settle.before_commit", 409)])  # inside the transaction
def test_halt_while_a_driver_records_completion(quiet, verb, point, status):
    """Completion wins. A request that came before it is written ends with it; one that came
    later is refused."""
    apply_id = begin(quiet)
    # Before it come the requeue's and the start's passages.
    nth = {"engine.fake.poll.after": 1, "task.move": 2, "operation.project.apply": 2,
           "drive.settle.before_commit": 3}[point]
    driver = Program(quiet, point=point, nth=nth).arrive()
    halt = call(quiet, verb, apply_id)
    assert halt.end_or_block() == (status == 200)
    driver.release()
    halt.end(status)
    driver.end()
    finish(quiet, apply_id, "completed")
    ends = {"stop": "completed", "cancel": "failed"}
    assert requests(quiet) == ([(verb, ends[verb])] if status == 200 else [])


@pytest.mark.parametrize("verb, ends", [("stop", "completed"), ("cancel", "failed")])
@pytest.mark.parametrize("point", SUBMIT[:3])
def test_completion_while_a_halt_is_recorded(quiet, point, verb, ends):
    """The request has the locks; the driver knows already that the change is complete."""
    apply_id = begin(quiet)
    driver = Program(quiet, point="engine.fake.poll.after").arrive()
    halt = call(quiet, verb, apply_id, point).arrive()
    driver.release()
    assert not driver.end_or_block()
    halt.release().end(200)
    driver.end()
    finish(quiet, apply_id, "completed")
    assert requests(quiet) == [(verb, ends)]


def test_the_engine_completes_what_it_was_told_to_stop(quiet):
    """It says that it has halted, and has completed all the same: the next look tells."""
    apply_id = begin(quiet, RUNNING, {"call": "stop", "complete": True})
    driver = running(quiet, apply_id)
    quiet.control("stop", apply_id).expect(200)
    driver.end()
    finish(quiet, apply_id, "completed")
    assert requests(quiet) == [("stop", "completed")]


# ---- stop against another stop ---------------------------------------------------------------

@pytest.mark.parametrize("point", SUBMIT)
def test_two_stops(quiet, point):
    """One request, whoever asks second."""
    apply_id = begin(quiet, RUNNING)
    one = call(quiet, "stop", apply_id, point, "first").arrive()
    two = call(quiet, "stop", apply_id, "", "second")
    assert two.end_or_block() == (point == "api.control.recorded")
    one.release().end(200)
    assert two.end(202).json["status"] == "already_requested"
    drive(quiet)
    assert requests(quiet) == [("stop", "completed")]
    finish(quiet, apply_id, "stopped")


@pytest.mark.parametrize("point, status", [
    ("drive.obey.halted", "already_requested"), ("task.move", "already_done"),
    ("control.finish", "already_done"), ("drive.settle.before_commit", "already_done"),
    ("drive.settle.committed", "already_done")])
def test_a_stop_while_one_takes_effect(quiet, point, status):
    apply_id = begin(quiet, RUNNING)
    quiet.control("stop", apply_id).expect(200)
    driver = Program(quiet, point=point).arrive()
    again = call(quiet, "stop", apply_id)
    again.end_or_block()
    driver.release()
    assert again.end(202).json["status"] == status
    driver.end()
    assert requests(quiet) == [("stop", "completed")]
    finish(quiet, apply_id, "stopped")


@pytest.mark.parametrize("verb", ["cancel", "start"])
@pytest.mark.parametrize("point", ["drive.obey.halted", "task.move", "operation.project.apply",
                                   "control.finish", "drive.settle.before_commit",
                                   "drive.settle.committed"])
def test_what_is_asked_for_while_a_stop_takes_effect_is_not_lost(quiet, verb, point):
    """The one who stops does not look again; whoever asks meanwhile finds it owned. It is
    obeyed all the same (or refused at once)."""
    apply_id = begin(quiet, RUNNING)
    quiet.control("stop", apply_id).expect(200)
    driver = Program(quiet, point=point).arrive()
    other = call(quiet, verb, apply_id)
    other.end_or_block()
    driver.release()
    reply = other.end(200, 409)
    quiet.fake.release("running")
    driver.end()
    wanted = {"cancel": "cancelled", "start": "completed"}[verb] if reply.status == 200 \
        else "stopped"
    assert verb != "cancel" or reply.status == 200
    finish(quiet, apply_id, wanted)
    assert ("stop", "completed") in requests(quiet) or wanted == "cancelled"


# ---- start against a new apply for the same target -----------------------------------------------

def stopped_and_planned(stack):
    """A stopped apply, and a plan for another one."""
    apply_id = begin(stack, RUNNING)
    stack.control("stop", apply_id).expect(200)
    drive(stack)
    assert stack.progress(apply_id)["state"] == "stopped"
    plan = stack.plan([ORDERS], database="resident")
    stack.control("start", apply_id).expect(200)
    return apply_id, plan


def check_loser_and_finish(stack, started, reply):
    """Exactly one of the two is active; the other has been told."""
    invariants.check(stack)
    stack.fake.release("running")
    drive(stack)
    state = stack.progress(started)["state"]
    if reply.status == 409:
        assert reply.json["error_code"] == "active_apply_exists"
        assert state == "completed" and requests(stack, started)[-1] == ("start", "completed")
        finish(stack, started, "completed")
        return
    assert state == "stopped" and requests(stack, started)[-1] == ("start", "failed")
    [text] = {r["error_message"] for r in stack.storage(
        "SELECT error_message FROM apply_control_requests WHERE operation = 'start'")}
    assert "Another apply is active" in text
    finish(stack, reply.json["apply_id"], "completed")


@pytest.mark.parametrize("point, wins", [
    ("drive.restart.before", False), ("task.move", False), ("operation.project.operation", False),
    ("operation.project.apply", True), ("drive.settle.before_commit", True),
    ("drive.settle.committed", True)])
def test_a_new_apply_while_another_starts_again(quiet, point, wins):
    """It has the target from the moment at which it is written to be active, even before
    that is committed."""
    started, plan = stopped_and_planned(quiet)
    driver = Program(quiet, point=point).arrive()
    new = Call(quiet, lambda: quiet.post_apply(plan))
    new.end_or_block()
    driver.release()
    reply = new.end(200, 201, 202, 409)
    assert (reply.status == 409) == wins
    quiet.fake.release("running")
    driver.end()
    check_loser_and_finish(quiet, started, reply)


@pytest.mark.parametrize("point, wins", [
    ("api.apply.checked", False), ("apply.create.apply", True), ("apply.create.operation", True),
    ("apply.create.task", True), ("api.apply.created", True)])
def test_starting_again_while_a_new_apply_is_created(quiet, point, wins):
    started, plan = stopped_and_planned(quiet)
    new = Call(quiet, lambda: quiet.post_apply(plan), point).arrive()
    driver = Program(quiet)
    quiet.until(lambda: driver.ended() or requests(quiet, started)[-1][1] != "pending"
                or blocked(quiet), "the start is answered, or waits")
    new.release()
    reply = new.end(200, 201, 202, 409)
    assert (reply.status != 409) == wins
    quiet.fake.release("running")
    driver.end()
    check_loser_and_finish(quiet, started, reply)
