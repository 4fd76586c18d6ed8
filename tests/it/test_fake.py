"""
test_fake.py - the fake engine does what it is told, so that tests built on it mean
something; and nothing of it is in a release build.
"""
import subprocess

import pytest

from lib import places

USERS = "CREATE TABLE users (id bigint NOT NULL, PRIMARY KEY (id))"
WIDE = "CREATE TABLE users (id bigint NOT NULL, age int DEFAULT NULL, PRIMARY KEY (id))"


def apply(stack, files, database="fakeshop", **options):
    return stack.apply(stack.plan(files, database=database), **options)


def columns(stack, database="fakeshop", table="users"):
    return [r["c"] for r in stack.sql(
        "SELECT column_name AS c FROM information_schema.columns WHERE table_schema = %s"
        " AND table_name = %s ORDER BY ordinal_position", (f"{database}_staging", table))]


@pytest.mark.parametrize("database", ["fakeshop", "resident"])
def test_without_a_script_a_change_is_made_at_once(stack, database):
    stack.sql(USERS, None, f"{database}_staging")
    apply_id = apply(stack, [WIDE], database)
    stack.wait_state(apply_id, "completed")
    assert columns(stack, database) == ["id", "age"]
    assert len(stack.fake.created(apply_id)) == 1
    start = stack.fake.calls("start")[0]
    assert (start["tables"], start["answer"]) == (["users"], "ok") and start["token"] >= 1


def test_a_hold_lasts_until_its_gate_is_released(stack):
    stack.fake.script({"call": "poll", "hold": "running"})
    apply_id = apply(stack, [USERS])
    stack.until(lambda: len(stack.fake.calls("poll")) > 2, "it is looked at")
    assert stack.fake.change(apply_id)["phase"] == "running" and columns(stack) == []
    stack.fake.release("running")
    stack.wait_state(apply_id, "completed")
    assert columns(stack) == ["id"]


def test_a_lower_token_is_refused_and_journalled(stack):
    stack.fake.script({"call": "poll", "hold": "running"})
    apply_id = apply(stack, [USERS])
    stack.until(lambda: stack.fake.calls("poll"), "it is looked at")
    with stack.fake.record(apply_id) as record:
        record["token"] += 1000
    stack.until(lambda: stack.fake.calls(answer="SB_ELEASE"), "the token is refused")


def test_nothing_of_it_is_in_a_release_build():
    release = places.build_dir("release") / "bin" / "schemabot-driver"
    subprocess.run(["make", "-s", "-C", places.ROOT, "VARIANT=release", release.relative_to(
        places.ROOT)], check=True, capture_output=True)
    text = release.read_bytes()
    assert b"fake_resident" not in text and b"SB_FAKE" not in text
    assert b"engine.mysql.abandoned" in text, "this is not where its texts are"
