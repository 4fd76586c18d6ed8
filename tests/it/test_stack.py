"""
test_stack.py - the harness itself: if it lies, every other test does.

Uses its own stacks on MariaDB only; that the second flavour starts is shown by every test
that takes the fixture `stack`.
"""
import importlib.machinery
import importlib.util
import json
import os
import shlex
import signal
import subprocess

import pytest

from lib import conf, cron, ports, procs
from lib.api import Api
from lib.harness import Harness, StartFailed
from lib.stack import Stack


@pytest.fixture
def make(request):
    """Stacks that are gone after the test, whatever it did to them."""
    made = []

    def one(**options):
        harness = Harness()
        made.append(harness)
        return harness.start(**options)

    yield one
    for harness in made:
        harness.discard()


@pytest.fixture
def bystander():
    """A process that no stack started."""
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


def alive(harness):
    return procs.marked(harness.dir)


def test_env_is_sourceable_and_complete(make):
    harness = make()
    script = (f". {shlex.quote(str(harness.dir / 'env'))}; "
              'curl -sf "$SB_URL/health" >/dev/null && '
              'mariadb --no-defaults -h "$SB_DB_HOST" -P "$SB_DB_PORT" -u "$SB_DB_USER" '
              '-p"$SB_DB_PASSWORD" -N -e "SELECT 1" "$SB_STORAGE_DB" && '
              'mariadb --no-defaults -S "$SB_DB_SOCKET" -u "$SB_DB_USER" '
              '-p"$SB_DB_PASSWORD" -N -e "SHOW DATABASES LIKE \'shop%\'" && '
              'env | grep -c "^SB_TOKEN=.\\|^SB_READ_TOKEN=."')
    done = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=False,
                          env={"PATH": os.environ["PATH"]})
    assert done.stdout.split() == ["1", "shop_production", "shop_staging", "2"], done
    assert oct((harness.dir / "env").stat().st_mode & 0o777) == "0o600"


def test_two_stacks_side_by_side(make):
    one, two = make(), make()
    assert one.url != two.url and one.env["SB_DB_PORT"] != two.env["SB_DB_PORT"]
    one.sql("CREATE TABLE shop_staging.only_in_one (id INT PRIMARY KEY)")
    assert two.tables() == []
    one.stop()
    assert alive(one) == []
    two.api.get("/health").expect(200)
    assert two.schedulers()


def test_stop_ends_exactly_what_was_started(make, bystander):
    harness = make(env={"SB_CRON_SECONDS": "1"})
    # Like a driver: in a session of its own, with nobody's pid file.
    child = subprocess.Popen(["sleep", "600"], start_new_session=True,
                             env={**os.environ, procs.MARKER: str(harness.dir)})
    # Like somebody else's process whose pid one of ours had before.
    record = {"pid": bystander.pid, "start": procs.start_time(bystander.pid) - 1}
    (harness.dir / "pids" / "recycled").write_text(json.dumps(record))
    harness.stop()
    assert child.wait(10) == -signal.SIGTERM
    assert bystander.poll() is None
    assert alive(harness) == []
    for port in ("db_port", "http_port", "metrics_port"):
        ports.reserve(Stack(harness.dir).state[port]).close()
    harness.stop()  # nothing left to do is no error


def test_a_stopped_stack_continues_with_its_data(make):
    harness = make()
    harness.target("CREATE TABLE kept (id INT PRIMARY KEY)")
    token = harness.token
    harness.stop()
    harness.start()
    assert harness.tables() == ["kept"] and harness.token == token


def test_starting_a_running_stack_is_refused_and_harmless(make):
    harness = make()
    with pytest.raises(StartFailed, match="already"):
        harness.command("start")
    harness.api.get("/health").expect(200)


def test_a_failed_start_leaves_nothing_running():
    harness = Harness()
    with pytest.raises(StartFailed, match="extra configuration"):
        harness.start(conf="drivers = = 3;")
    assert alive(harness) == []
    harness.discard()


def test_extra_settings_are_laid_over(make):
    harness = make(conf='drivers = 2; databases = { depot = { type = "mysql"; environments = {'
                        ' staging = { socket = "@DB_SOCKET@"; user = "sb_target";'
                        ' password = "@TARGET_PASSWORD@"; }; }; }; };')
    settings = conf.parse(harness.config.read_text())
    assert settings["drivers"] == "2"
    assert {"shop", "depot"} <= set(settings["databases"])
    depot = settings["databases"]["depot"]["environments"]["staging"]
    assert depot["socket"] == conf.quote(harness.env["SB_DB_SOCKET"])


def test_a_second_host_has_its_own_cron_and_ends_with_the_stack(make):
    harness = make()
    harness.command("host", "second")
    harness.until(lambda: len(harness.schedulers()) >= 2, "both hosts have a scheduler")
    configs = {procs.environment_of(p)["SCHEMABOT_CONFIG"] for p in harness.schedulers()}
    assert configs == {str(harness.config), f"{harness.dir}/hosts/second/schemabot.conf"}
    harness.command("stop-cron", "--host", "second")
    harness.until(lambda: len(harness.schedulers()) == 1, "one is left")
    harness.stop()
    assert alive(harness) == []


def test_cron_starts_a_successor_every_minute(make):
    harness = make(env={"SB_CRON_SECONDS": "1"})
    first = harness.until(harness.schedulers, "a scheduler")
    harness.until(lambda: harness.schedulers() and not set(first) & set(harness.schedulers()),
                  "its successor took over")


def test_restarts_and_fault_environment(make):
    harness = make()
    with harness.faults("no.such.point:crash"):
        def scheduler_with_faults():
            return [p for p in harness.schedulers()
                    if procs.environment_of(p).get("SB_FAULT") == "no.such.point:crash"]
        harness.until(scheduler_with_faults, "cron runs with the fault")
    harness.until(lambda: harness.schedulers() and not any(
        "SB_FAULT" in procs.environment_of(p) for p in harness.schedulers()),
        "cron runs without it")


def test_the_database_can_go_away_and_come_back(make):
    harness = make()
    harness.command("stop-db", "--kill")
    harness.api.get("/livez").expect(200)
    assert harness.api.get("/health").status == 503
    harness.command("start-db")
    harness.until(lambda: harness.api.get("/health").status == 200, "health is back")


def test_logs_keep_no_secret(make):
    harness = make()
    state = Stack(harness.dir).state
    secrets = [state[name] for name in state if name.endswith(("_password", "_token"))]
    Api(harness.url, harness.token).get("/api/status")
    harness.stop()
    text = "".join(log.read_text(errors="replace") for log in (harness.dir / "logs").iterdir())
    assert len(secrets) == 6 and not [s for s in secrets if s in text]


def test_reset_stops_work_and_leaves_nothing(stack):
    stack.target("CREATE TABLE t (id INT PRIMARY KEY)")
    stack.sql("CREATE DATABASE left_behind")
    plan = stack.plan(["CREATE TABLE t (id BIGINT PRIMARY KEY)"])
    blocker = stack.connect("shop_staging")
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLES t READ")
        apply_id = stack.apply(plan)
        stack.wait_state(apply_id, "running")
        driver = stack.driver_of(apply_id)
        cursor.execute("UNLOCK TABLES")
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT * FROM t")
    blocker.close()
    stack.reset()
    assert procs.start_time(driver) is None and stack.drivers() == []
    assert stack.tables() == [] and stack.storage("SELECT * FROM applies") == []
    assert stack.databases() == {d for d in stack.databases()
                                 if not d.startswith(("_schemabot_", "left_behind"))}
    stack.run(["CREATE TABLE t (id BIGINT PRIMARY KEY)"])
    assert stack.tables() == ["t"]


def test_reset_revives_what_a_test_broke(stack):
    stack.command("stop-db", "--kill")
    stack.command("stop-cron")
    stack.reset()
    stack.run(["CREATE TABLE t (id INT PRIMARY KEY)"])


def test_a_fault_reaches_the_driver_and_is_reported(stack):
    point = "operation.claim.selected"
    plan = stack.plan(["CREATE TABLE t (id INT PRIMARY KEY)"])
    with stack.faults(f"{point}:crash") as fault:
        apply_id = stack.apply(plan)
        stack.until(lambda: fault.fired(point), "a process crashed at the point")
        stack.wait_state(apply_id, "completed")
        assert point in fault.passed()


def test_conf_text_survives_a_round_trip():
    text = 'a = 1; # one\nb : { c = "x;}\\"y"; d = [1, 2]; e = ( { f = 3; }, "g" ); };\n/* h */'
    settings = conf.parse(text)
    assert settings == {"a": "1", "b": {"c": '"x;}\\"y"', "d": "[ 1 , 2 ]",
                                        "e": '( { f = 3 ; } , "g" )'}}
    assert conf.parse(conf.render(settings)) == settings
    assert conf.merge(settings, {"b": {"c": "2"}})["b"] == {**settings["b"], "c": "2"}
    for broken in ("a = ", "a 1;", "a = { b = 1;", "a = 1; }", "a = $;"):
        with pytest.raises(ValueError):
            conf.parse(broken)


def test_a_reserved_port_is_nobody_elses():
    one = ports.reserve()
    two = ports.reserve(one.port)
    assert one.port != two.port
    one.close()
    three = ports.reserve(one.port)
    assert three.port == one.port
    three.close()
    two.close()


@pytest.mark.parametrize("output, status, counted", [
    ("1..2\nok 1 - a\nok 2 - b\n", 0, [2, 0, 0]),
    ("1..3\nok 1 - a\nnot ok 2 - b\n# why\nnot ok 3 # SKIP c\n", 1, [1, 1, 1]),
    ("1..1\nok 1 - a\n1..2\nok 1 - b\nok 2 - c\n", 0, [3, 0, 0]),
    ("1..3\nok 1 - a\n", -11, [1, 1, 0]),  # crashed half-way
    ("1..1\nok 1 - a\n", 99, [1, 1, 0]),  # a leak, reported at the end
    ("", 0, [1, 0, 0]),
    ("", 1, [0, 1, 0]),
])
def test_the_runner_counts_every_kind_of_end(root, output, status, counted):
    loader = importlib.machinery.SourceFileLoader("run", str(root / "tests" / "run"))
    run = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
    loader.exec_module(run)
    count, show = run.count_tap(output, status)
    assert count.numbers == counted
    assert bool(show) == (counted[1] > 0 and output != "")


def test_crontab_reader(tmp_path, root):
    crontab = tmp_path / "crontab"
    crontab.write_text("# comment\nSCHEMABOT_CONFIG=/etc/schemabot/schemabot.conf\n\n"
                       "* * * * * schemabot /usr/local/bin/schemabot-scheduler --for 60\n")

    class options:
        bin, config, logs, interval = "/b", "/c.conf", "/l", 2.0

    environment, lines = cron.read(str(crontab), cron.substitutions(options))
    assert environment == {"SCHEMABOT_CONFIG": "/c.conf"}
    assert [line.command for line in lines] == ["/b/schemabot-scheduler --for 2"]
    _, shipped = cron.read(str(root / "etc/crontab"), cron.substitutions(options))
    commands = " ".join(line.command for line in shipped)
    assert "/b/schemabot-scheduler --for 2" in commands and "/b/schemabot-reaper" in commands
    crontab.write_text("*/5 * * * * schemabot true\n")
    with pytest.raises(SystemExit):
        cron.read(str(crontab), cron.substitutions(options))
