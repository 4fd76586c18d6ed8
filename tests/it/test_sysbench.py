"""
test_sysbench.py - somebody else's load: sysbench writes to a table, in transactions of
several statements, while the table is copied.

Either it pauses for the swap: then the server's own ALTER of a clone says what the rows
have to be, byte for byte. Or it goes on: then no statement of it fails, and there are as
many rows as before, because each of its transactions deletes a row and inserts it again.
"""
import contextlib
import os
import re
import subprocess

import pytest

from lib import procs, twin

ROWS = 20000
LOADS = {"uniform": ["oltp_write_only", "--rand-type=uniform"],
         "hot-rows": ["oltp_write_only", "--rand-type=pareto"],
         "reads-too": ["oltp_read_write", "--rand-type=special", "--range-size=20"]}


def sysbench(stack, script, *arguments):
    env = stack.env
    return ["sysbench", script, "--db-driver=mysql", "--mysql-db=shop_staging", "--tables=1",
            f"--mysql-socket={env['SB_DB_SOCKET']}", f"--mysql-user={env['SB_DB_USER']}",
            f"--mysql-password={env['SB_DB_PASSWORD']}", f"--table-size={ROWS}", *arguments]


@contextlib.contextmanager
def load(stack, script, *options):
    """While entered it writes; in the end it must have written, and been refused nothing but
    what deadlocks cost."""
    env = {**os.environ, procs.MARKER: str(stack.dir)}
    command = sysbench(stack, script, "--threads=2", "--time=0", "--report-interval=1",
                       "--mysql-ignore-errors=1213,1205", *options, "run")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, env=env) as child:
        said = ""
        try:
            for line in child.stdout:
                said += line
                if "tps: " in line:
                    break
            yield
            assert child.poll() is None, said + child.stdout.read()
        finally:
            child.terminate()
            said += child.stdout.read()
    assert "FATAL" not in said and re.search(r"tps: [1-9]", said), said


@pytest.fixture
def table(stack):
    subprocess.run(sysbench(stack, "oltp_common", "prepare"), check=True, capture_output=True,
                   timeout=60)
    created = stack.create_table("sbtest1")
    wider = re.sub(r"`k` int(\(11\))?", "`k` bigint", created)
    assert wider != created
    return stack.plan([wider])


def waits(stack, plan):
    apply_id = stack.apply(plan, defer_cutover=True)
    stack.wait_state(apply_id, "waiting_for_cutover")
    return apply_id


def swap(stack, apply_id):
    stack.control("cutover", apply_id).expect(200, 202)
    stack.wait_state(apply_id, "completed")


@pytest.mark.parametrize("name", LOADS)
def test_rows_are_those_of_the_servers_own_alter(stack, table, name):
    with load(stack, *LOADS[name]):
        apply_id = waits(stack, table)
    stack.sql("CREATE DATABASE IF NOT EXISTS twins")
    stack.sql("DROP TABLE IF EXISTS twins.sbtest1")
    stack.sql("CREATE TABLE twins.sbtest1 LIKE shop_staging.sbtest1")
    stack.sql("INSERT INTO twins.sbtest1 SELECT * FROM shop_staging.sbtest1")
    for statement in twin.statements_of(stack, apply_id, "sbtest1"):
        stack.sql(statement, None, "twins")
    swap(stack, apply_id)
    assert "`k` bigint" in stack.create_table("sbtest1")
    both = [stack.sql(f"SELECT * FROM {schema}.sbtest1 ORDER BY id")
            for schema in ("shop_staging", "twins")]
    assert both[0] == both[1]


@pytest.mark.parametrize("name", LOADS)
def test_it_does_not_notice_the_swap(stack, table, name):
    with load(stack, *LOADS[name]):
        swap(stack, waits(stack, table))
    assert "`k` bigint" in stack.create_table("sbtest1")
    assert stack.target("SELECT COUNT(*) AS n FROM sbtest1") == [{"n": ROWS}]
