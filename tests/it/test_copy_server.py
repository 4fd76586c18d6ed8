"""
test_copy_server.py - the online copy on servers of its own: one that is killed and started
anew in the middle of it, with encrypted binlogs, and then its replica takes over.

The tests themselves are in test_copy_server.c, which asks for the servers by environment.
"""
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib import places

REPLICA = "--server-id=2 --log-slave-updates=ON"
ENCRYPTED = ("--plugin-load-add=file_key_management --file-key-management-filename={keys}"
             " --encrypt-binlog=ON")
FOLLOW = {
    "mariadb": "RESET MASTER; SET GLOBAL gtid_slave_pos = '{done}';"
               " CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port},"
               " MASTER_USER='{user}', MASTER_PASSWORD='{password}',"
               " MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos; START SLAVE",
    "mysql": "RESET BINARY LOGS AND GTIDS; SET GLOBAL gtid_purged = '{done}';"
             " CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port},"
             " SOURCE_USER='{user}', SOURCE_PASSWORD='{password}',"
             " SOURCE_CONNECT_RETRY=1, SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1;"
             " START REPLICA",
}
DONE = {"mariadb": "SELECT @@gtid_binlog_pos", "mysql": "SELECT @@gtid_executed"}


def stack(*args, env=()):
    subprocess.run([places.ROOT / "tests/stack", *args], check=True, timeout=120,
                   capture_output=True, env={**os.environ, **dict(env)})


class Server:
    """A private database server; its environment as tests/stack tells it."""

    def __init__(self, directory, flavor, arguments=""):
        self.directory = directory
        try:
            stack("server", directory, "--flavor", flavor, env={"SB_DB_ARGS": arguments})
        except subprocess.CalledProcessError as failure:
            if failure.returncode == 77:
                pytest.skip(failure.stderr.decode())
            raise
        text = (directory / "env").read_text()
        self.env = dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))
        self.arguments = arguments

    def run(self, sql):
        done = subprocess.run(
            ["mariadb", "--no-defaults", "-BN", f"--socket={self.env['SB_DB_SOCKET']}",
             f"--user={self.env['SB_DB_USER']}"], input=sql, text=True, capture_output=True,
            check=False, env={**os.environ, "MYSQL_PWD": self.env["SB_DB_PASSWORD"]})
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().replace("\\n", "")

    def stop(self):
        stack("stop", self.directory)


@pytest.fixture
def pair(flavor):
    """A primary and its replica, in a short path that the servers' user can enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"{flavor}-", dir=places.scratch_dir()))
    folder.chmod(0o755)
    arguments = ""
    if flavor == "mariadb":
        keys = folder / "keys"
        keys.write_text("1;" + os.urandom(32).hex() + "\n")
        keys.chmod(0o644)
        arguments = ENCRYPTED.format(keys=keys)
    started = []
    try:
        for name, more in (("one", arguments), ("two", REPLICA)):
            started.append(Server(folder / name, flavor, more))
        one, two = started
        one.run(f"GRANT ALL ON *.* TO '{one.env['SB_DB_USER']}'@'%'")
        two.run(f"ALTER USER '{two.env['SB_DB_USER']}'@'%'"
                f" IDENTIFIED BY '{one.env['SB_DB_PASSWORD']}'")
        two.env["SB_DB_PASSWORD"] = one.env["SB_DB_PASSWORD"]
        two.run(FOLLOW[flavor].format(done=one.run(DONE[flavor]), port=one.env["SB_DB_PORT"],
                                      user=one.env["SB_DB_USER"],
                                      password=one.env["SB_DB_PASSWORD"]))
        yield started
    finally:
        for server in started:
            server.stop()
        shutil.rmtree(folder)


def test_restart_and_failover(pair):
    one, two = pair
    program = places.build_dir(places.variant()) / "tests-it/test_copy_server"
    restart = f"SB_DB_ARGS='{one.arguments}' {places.ROOT}/tests/stack restart-db --kill " \
              f"{one.directory} >{one.directory}/restart.log 2>&1"
    done = subprocess.run(
        [program], text=True, errors="replace", capture_output=True, check=False, timeout=300,
        cwd=places.ROOT, env={**os.environ, **one.env, "CMOCKA_MESSAGE_OUTPUT": "TAP",
                              "SB_RESTART": restart, "SB_DB2_SOCKET": two.env["SB_DB_SOCKET"]})
    report = "\n".join(line for line in (done.stdout + done.stderr).splitlines()
                       if '"level":"info"' not in line)[-6000:]
    assert done.returncode == 0 and "not ok" not in done.stdout, report
    assert "engine.mysql.copy.moved" in done.stderr, report
