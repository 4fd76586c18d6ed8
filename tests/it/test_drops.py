"""
test_drops.py - dropped tables that are kept aside for a while (`pending_drops`): moved, never
destroyed at once, found again, and dropped for good when their time has come.
"""
import datetime

import pytest

CONF = """databases = { shop = { environments = {
    staging = { pending_drops = { enabled = true; retention_hours = 24; }; };
}; }; };"""
DROPS = "_schemabot_drops"
ITEMS = "CREATE TABLE items (id int NOT NULL, PRIMARY KEY (id))"


@pytest.fixture
def quarantine(fresh_stack):
    return fresh_stack(conf=CONF)


def kept(stack):
    """Names of the quarantined tables."""
    return sorted(row["t"] for row in stack.sql(
        "SELECT table_name AS t FROM information_schema.tables WHERE table_schema = %s", (DROPS,)))


def reap_until(stack, condition):
    """A pass ends at once when cron's is at it."""
    stack.until(lambda: stack.reap() or condition(), "the reaper has done it")


def drop_all(stack, **options):
    """An apply of the empty schema."""
    return stack.apply(stack.plan({}), allow_unsafe=True, **options)


def stamp(hours_ago):
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=hours_ago)
    return then.strftime("%Y%m%d%H%M%S000")


def foreign_keys(stack):
    return stack.sql("SELECT constraint_schema AS s, table_name AS t FROM"
                     " information_schema.referential_constraints")


def test_a_dropped_table_is_kept_until_its_time_is_over(quarantine):
    stack = quarantine
    stack.target(ITEMS)
    stack.target("INSERT INTO items VALUES (1), (2)")
    change = stack.plan({})["changes"][0]["table_changes"][0]
    assert DROPS in change["mode_reason"] and "24 hours" in change["mode_reason"] and change["is_unsafe"]
    done = stack.wait_state(drop_all(stack), "completed")
    assert stack.tables() == []
    names = kept(stack)
    assert len(names) == 1 and names[0].endswith("_items") and names[0][:17].isdigit()
    assert names[0] in done["tables"][0]["progress_detail"]
    assert stack.sql(f"SELECT COUNT(*) AS n FROM `{DROPS}`.`{names[0]}`") == [{"n": 2}]
    # It is neither planned nor pulled, and another of the same name may come and go.
    assert not stack.plan({})["changes"]
    stack.run([ITEMS])
    stack.wait_state(drop_all(stack), "completed")
    assert len(kept(stack)) == 2

    stack.reap()
    assert len(kept(stack)) == 2
    stack.sql(f"RENAME TABLE `{DROPS}`.`{kept(stack)[0]}` TO `{DROPS}`.`{stamp(25)}_items`")
    reap_until(stack, lambda: len(kept(stack)) == 1)
    assert kept(stack) != names


def test_what_is_not_ours_there_is_never_dropped(quarantine):
    stack = quarantine
    stack.sql(f"CREATE DATABASE `{DROPS}`")
    names = ["items", "20200101000000000", "20200230000000000_t", "2020010100000000_t",
             "x20200101000000000_t", "202001010000000000_t"]
    for name in names:
        stack.sql(f"CREATE TABLE `{DROPS}`.`{name}` (id int)")
    stack.sql(f"CREATE VIEW `{DROPS}`.`20200101000000000_v` AS SELECT 1 AS x")
    stack.sql(f"CREATE TABLE `{DROPS}`.`20200101000000000_old` (id int)")
    reap_until(stack, lambda: len(kept(stack)) == len(names) + 1)
    assert kept(stack) == sorted(names + ["20200101000000000_v"])


def test_one_cleaner_at_a_time(quarantine):
    stack = quarantine
    stack.command("stop-cron")  # its passes are cleaners, too
    stack.sql(f"CREATE DATABASE `{DROPS}`")
    stack.sql(f"CREATE TABLE `{DROPS}`.`20200101000000000_t` (id int)")
    other = stack.connect()
    with other.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK('schemabot_drops', 5) AS l")
        assert cursor.fetchall() == [{"l": 1}]
        stack.reap()
        assert kept(stack) == ["20200101000000000_t"]
    other.close()
    stack.until(lambda: stack.sql("SELECT IS_FREE_LOCK('schemabot_drops') AS l") == [{"l": 1}],
                "the server has seen it go")
    stack.reap()
    assert kept(stack) == []


def test_foreign_keys(quarantine):
    """Its own are dropped with it; others' keep it where it is."""
    stack = quarantine
    stack.target("CREATE TABLE parent (id int NOT NULL, PRIMARY KEY (id))")
    stack.target("CREATE TABLE child (id int NOT NULL, p int NOT NULL, PRIMARY KEY (id), KEY p (p),"
                 " CONSTRAINT to_parent FOREIGN KEY (p) REFERENCES parent (id))")
    stack.target("INSERT INTO parent VALUES (1)")
    stack.target("INSERT INTO child VALUES (1, 1)")
    # Somebody from outside refers to the parent.
    stack.sql("CREATE TABLE shop_production.outside (id int NOT NULL, p int, PRIMARY KEY (id),"
              " FOREIGN KEY (p) REFERENCES shop_staging.parent (id))")
    apply_id = drop_all(stack)
    failed = stack.wait_state(apply_id, "failed")
    assert "shop_production.outside" in failed["error_message"]
    assert "foreign keys" in failed["error_message"]
    assert stack.tables() == ["parent"]
    # The moved child does not hold its former parent's rows.
    assert len(kept(stack)) == 1 and kept(stack)[0].endswith("_child")
    assert [k["t"] for k in foreign_keys(stack)] == ["outside"]
    stack.target("DELETE FROM parent")
    stack.sql("DROP TABLE shop_production.outside")
    stack.wait_state(drop_all(stack), "completed")
    assert stack.tables() == [] and len(kept(stack)) == 2


def test_triggers_keep_a_table_where_it_is(quarantine):
    stack = quarantine
    stack.target(ITEMS)
    stack.target("CREATE TRIGGER noted BEFORE INSERT ON items FOR EACH ROW SET NEW.id = NEW.id")
    failed = stack.wait_state(drop_all(stack), "failed")
    assert "triggers" in failed["error_message"] and "drop them first" in failed["error_message"]
    assert stack.tables() == ["items"] and not kept(stack)


@pytest.mark.parametrize("point", ["engine.mysql.ddl.before", "engine.mysql.ddl.after",
                                   "engine.mysql.drops.moved"])
def test_a_crash_moves_it_once(quarantine, point):
    stack = quarantine
    stack.target("CREATE TABLE parent (id int NOT NULL, PRIMARY KEY (id))")
    stack.target("CREATE TABLE child (id int NOT NULL, p int NOT NULL, PRIMARY KEY (id), KEY p (p),"
                 " CONSTRAINT to_parent FOREIGN KEY (p) REFERENCES parent (id))")
    plan = stack.plan(["CREATE TABLE parent (id int NOT NULL, PRIMARY KEY (id))"])
    with stack.faults(f"{point}:crash") as fault:
        apply_id = stack.apply(plan, allow_unsafe=True)
        stack.wait_state(apply_id, "completed")
        assert fault.fired(point)
    assert stack.tables() == ["parent"]
    assert len(kept(stack)) == 1
    reap_until(stack, lambda: not foreign_keys(stack))
    assert len(kept(stack)) == 1


def test_without_the_setting_a_drop_is_a_drop(stack):
    stack.target(ITEMS)
    stack.wait_state(drop_all(stack), "completed")
    assert stack.tables() == [] and not kept(stack)
