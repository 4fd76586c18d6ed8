"""
test_progress.py - what an engine reports about a table is what people see: in
GET /api/progress, in GET /api/why and in the log; on the scripted engines.
"""
import pytest

from lib import invariants

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
BOTH = pytest.mark.parametrize("database", ["fakeshop", "resident"])
COPYING = {"state": "running", "detail": "copying rows", "rows_copied": 4000,
           "rows_total": 10000, "percent": 40, "eta_seconds": 60, "rows_per_second": 100,
           "pending_keys": 7}


def begin(stack, report, database, **options):
    stack.fake.script({"call": "poll", "hold": "running", "report": report})
    return stack.apply(stack.plan([USERS], database=database), **options)


def table(stack, apply_id):
    return stack.progress(apply_id)["tables"][0]


def shows(stack, apply_id, **fields):
    def is_so():
        now = table(stack, apply_id)
        return now if all(now.get(k) == v for k, v in fields.items()) else None
    return stack.until(is_so, f"the progress has {fields}")


def lines(stack, apply_id, event="progress"):
    logs = stack.api.get(f"/api/logs?apply_id={apply_id}&limit=200").expect(200)["logs"]
    return [entry["message"] for entry in logs if entry["event_type"] == event]


def finish(stack, apply_id):
    stack.fake.script()
    stack.fake.release("running")
    stack.wait_state(apply_id, "completed")
    invariants.check_rest(stack)


@BOTH
def test_what_is_reported_is_seen(stack, database):
    apply_id = begin(stack, COPYING, database)
    now = shows(stack, apply_id, rows_copied=4000, rows_total=10000, percent_complete=40,
                eta_seconds=60, rows_per_second=100, pending_keys=7, throttled=False,
                progress_detail="copying rows")
    assert "checksum_rows" not in now and "throttle_reason" not in now
    said = stack.until(lambda: lines(stack, apply_id), "a line in the log")[0]
    for part in ("users: copying rows", "4000 of 10000 rows copied (40 %)", "100 rows/s",
                 "about 60 s left", "7 changed rows wait"):
        assert part in said, said
    checking = {"state": "checksumming", "detail": "comparing both tables", "rows_copied": 10000,
                "rows_total": 10000, "percent": 100, "checksum_rows": 2500, "pending_keys": 0,
                "cutover_attempts": 0}
    stack.fake.script({"call": "poll", "hold": "running", "report": checking})
    shows(stack, apply_id, status="checksumming", checksum_rows=2500, pending_keys=0)
    cutting = {**checking, "state": "cutting_over", "detail": "cutting over", "checksum_rows": -1,
               "cutover_attempts": 2}
    stack.fake.script({"call": "poll", "hold": "running", "report": cutting})
    shows(stack, apply_id, status="cutting_over", checksum_rows=2500, cutover_attempts=2)
    why = stack.api.get(f"/api/why/{apply_id}").expect(200)
    assert "cutting over, cutover attempt 2" in why["sentence"], why
    finish(stack, apply_id)
    now = table(stack, apply_id)
    assert now["percent_complete"] == 100 and now["checksum_rows"] == 2500
    for gone in ("eta_seconds", "rows_per_second", "pending_keys", "throttle_reason"):
        assert gone not in now


@BOTH
def test_more_rows_than_estimated_are_no_percentage(stack, database):
    apply_id = begin(stack, {**COPYING, "rows_copied": 10001, "percent": 100}, database)
    now = shows(stack, apply_id, rows_copied=10001, rows_total=10000)
    assert "percent_complete" not in now and "eta_seconds" not in now
    assert not [said for said in lines(stack, apply_id) if "%" in said]
    finish(stack, apply_id)
    assert table(stack, apply_id)["percent_complete"] == 100


@BOTH
def test_a_throttled_copy_says_why(stack, database):
    apply_id = begin(stack, {**COPYING, "throttle_reason": "replica lag 130 s > 120 s"}, database)
    shows(stack, apply_id, throttled=True, throttle_reason="replica lag 130 s > 120 s")
    why = stack.api.get(f"/api/why/{apply_id}").expect(200)
    assert "it pauses: replica lag 130 s > 120 s" in why["sentence"]
    assert why["operations"][0]["progress_detail"] == "it pauses: replica lag 130 s > 120 s"
    stack.until(lambda: [said for said in lines(stack, apply_id)
                         if "throttled: replica lag 130 s" in said], "the log says so")
    stack.fake.script({"call": "poll", "hold": "running", "report": COPYING})
    assert "throttle_reason" not in shows(stack, apply_id, throttled=False)
    finish(stack, apply_id)


def test_rates_alone_are_not_written_at_every_look(stack):
    """Of a copy that waits for days, under writes, nothing else changes."""
    apply_id = begin(stack, COPYING, "resident")
    shows(stack, apply_id, rows_copied=4000)

    def revision():
        return stack.storage("SELECT revision FROM applies")[0]["revision"]
    before, polls, n = revision(), len(stack.fake.calls("poll")), 0
    while len(stack.fake.calls("poll")) < polls + 20:
        n += 1
        stack.fake.script({"call": "poll", "hold": "running",
                           "report": {**COPYING, "pending_keys": 100 + n, "eta_seconds": n}})
    assert 1 <= revision() - before <= 10
    assert len(lines(stack, apply_id)) == 1 and "copying rows" in lines(stack, apply_id)[0]
    shows(stack, apply_id, pending_keys=100 + n)
    finish(stack, apply_id)


def test_a_line_is_about_words_and_not_about_their_numbers(stack):
    apply_id = begin(stack, {**COPYING, "detail": "copying chunk 1 of 9"}, "resident")
    for chunk in ("2 of 9", "3 of 9; the binlog is read 4 s behind", "4 of 9"):
        report = {**COPYING, "detail": f"copying chunk {chunk}"}
        stack.fake.script({"call": "poll", "hold": "running", "report": report})
        shows(stack, apply_id, progress_detail=f"copying chunk {chunk}")
    stack.fake.script({"call": "poll", "hold": "running",
                       "report": {**COPYING, "detail": "building indexes"}})
    stack.until(lambda: len(lines(stack, apply_id)) > 1, "the next phase is told")
    said = lines(stack, apply_id)
    assert len(said) == 2 and "copying chunk" in said[0] and "building indexes" in said[1], said
    finish(stack, apply_id)
