"""
test_renames.py - renames that a file's comment asks for: carried out once, never guessed, and
forgotten when they are done (rename_cases.py has the cases).
"""
import hashlib

import pytest

from rename_cases import CASES, column, t
from test_steps import check_rest, check_words, prepare, statements, target


def done_hints(plan):
    return [v for v in plan["lint_violations"] if v["linter"] == "rename_done"]


def files_of(desired):
    return {f"{i}.sql": sql for i, sql in enumerate(desired)}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_rename(stack, case):
    with target(stack) as cursor:
        prepare(cursor, case.live)
        plan = stack.post_plan(files_of(case.desired)).expect(200)
        if case.error:
            assert case.error in " ".join(plan["errors"]), plan["errors"]
            return
        assert not plan["errors"], plan["errors"]
        check_words(statements(plan), case.wanted(stack.flavor))
        if case.done is not None:
            assert len(done_hints(plan)) == case.done, plan["lint_violations"]
        else:
            assert any(c["is_unsafe"] and "use the old name" in c["unsafe_reason"]
                       for ns in plan["changes"] for c in ns["table_changes"])
        check_rest(stack, cursor, case.desired, statements(plan))
        again = stack.post_plan(files_of(case.desired)).expect(200)
        assert not statements(again) and not again["errors"]
        assert len(done_hints(again)) == sum(sql.count("schemabot:") for sql in case.desired)


def test_the_rows_stay(stack):
    """Planned, applied, done: the values are in the table and column of the new names."""
    stack.target(t("a int", "z int"))
    stack.target("INSERT INTO t VALUES (1, 5, 6)")
    wanted = [t("b int", "z int", "n int", name="u", hints=["table t to u", column("a", "b")])]
    plan = stack.post_plan(wanted).expect(200)
    refused = stack.post_apply(plan["plan_id"])
    assert refused.status == 400 and "use the old name" in str(refused), refused
    apply_id = stack.apply(plan, allow_unsafe=True)
    stack.wait_state(apply_id, "completed")
    assert stack.target("SELECT b, z, n FROM u") == [{"b": 5, "z": 6, "n": None}]
    tables = stack.progress(apply_id)["tables"]
    assert [(x["table_name"], x["status"]) for x in tables] == 2 * [("u", "completed")]
    assert not stack.sql("SELECT operation FROM _schemabot_state.checkpoints")
    again = stack.plan(wanted)
    assert statements(again) == [] and len(done_hints(again)) == 2
    fresh = stack.plan(wanted, environment="production")
    assert [ddl[:18] for _, ddl in statements(fresh)] == ["CREATE TABLE `u` ("]


def test_both_names_are_locked(stack):
    """Nobody else of ours changes the table under either name meanwhile."""
    stack.target(t("a int"))
    blocker = stack.connect("shop_staging")
    blocker.autocommit(False)
    try:
        with blocker.cursor() as cursor:
            cursor.execute("SELECT * FROM t")
        plan = stack.plan([t("a int", name="u", hints=["table t to u"])])
        apply_id = stack.apply(plan, allow_unsafe=True)
        stack.wait_state(apply_id, "running")
        stack.until(lambda: len(held_locks(stack)) == 2, "both locks are held")
    finally:
        blocker.rollback()
        blocker.close()
    stack.wait_state(apply_id, "completed")
    assert stack.tables() == ["u"]


def held_locks(stack):
    """Which of the two table locks somebody holds."""
    names = ["sb_" + hashlib.sha256(f"shop_staging\0{name}".encode()).hexdigest()[:56]
             for name in ("t", "u")]
    return [n for n in names if stack.sql("SELECT IS_USED_LOCK(%s) AS holder", (n,))[0]["holder"]]


def test_deployments_of_which_one_has_its_new_names(stack):
    """A rename that was done in one deployment already is carried out in the others only."""
    schemas = ["rollout_eu", "rollout_us", "rollout_ap"]
    for schema in schemas:
        stack.sql(t("a int", name="u" if schema == "rollout_us" else "t"), None, schema)
    wanted = [t("a int", "n int", name="u", hints=["table t to u"])]
    plan = stack.post_plan(wanted, database="rollout", environment="rolling_halt").expect(200)
    assert not plan["errors"], plan["errors"]
    check_words(statements(plan), ["RENAME TABLE `t` TO `u`", "ALTER TABLE `u` ADD COLUMN `n`"])
    apply_id = stack.apply(plan, environment="rolling_halt", allow_unsafe=True)
    stack.wait_state(apply_id, "completed")
    for schema in schemas:
        assert "`n` int" in stack.sql("SHOW CREATE TABLE u", None, schema)[0]["Create Table"]
