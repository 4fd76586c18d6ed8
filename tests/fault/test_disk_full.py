"""
test_disk_full.py - no space left: for a target's tables, for our storage's, for logs and run
directory (DESIGN.md 8.1, 8.5). What cannot be done fails visibly or waits; nothing is said to
be done that is not; and when there is space again it goes on by itself.

The directory in question is on a small file system of its own, which needs root. Of a server
it is the directory of one schema: a full binary log is another matter (MariaDB waits, MySQL
ends itself), which is a storage or target that is away.
"""
import contextlib
import os
import re
import shutil
import subprocess

import pytest
from lib import invariants, places
from lib.stack import Stack

pytestmark = pytest.mark.skipif(not places.IS_ROOT, reason="mounting needs root")

TABLE = "CREATE TABLE t (id int NOT NULL AUTO_INCREMENT, text varchar(250) NOT NULL, PRIMARY KEY (id))"
# For both flavours a change that writes every row anew.
COPIED = TABLE.replace("id int", "id bigint")
WIDE = TABLE.replace("PRIMARY KEY", "extra int NULL, PRIMARY KEY")


@contextlib.contextmanager
def small(directory, megabytes, aside):
    """What is in the directory is meanwhile on a file system of that size."""
    was = directory.stat()
    os.rename(directory, aside)
    directory.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs",
                                  directory], capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
        os.chown(directory, was.st_uid, was.st_gid)
        directory.chmod(was.st_mode & 0o7777)
        subprocess.run(["cp", "-a", "--sparse=never", f"{aside}/.", directory], check=True)
        yield
        shutil.rmtree(aside)
        subprocess.run(["cp", "-a", "--sparse=never", directory, aside], check=True)
    finally:
        subprocess.run(["umount", "-l", directory], check=False, capture_output=True)
        directory.rmdir()
        os.rename(aside, directory)


@contextlib.contextmanager
def full(directory):
    """Not a byte is left there."""
    filler = directory / "filler.tmp"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as out:
        while out.write(bytes(4096)) == 4096:
            pass
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def small_schema(stack, server, schema, megabytes):
    """The directory of a schema of that server, so small."""
    which = ["--storage"] if server == "store" else []
    stack.command("stop-db", *which)
    try:
        with small(stack.dir / server / "data" / schema, megabytes, stack.dir / "aside"):
            stack.command("start-db", *which)
            try:
                yield stack.dir / server / "data" / schema
            finally:
                stack.command("stop-db", *which)
    finally:
        stack.command("start-db", *which)


def operation(stack):
    return stack.storage("SELECT * FROM apply_operations")[0]


def test_a_target_is_full(fresh_stack):
    stack = fresh_stack(split=True)
    stack.target(TABLE)
    stack.target("INSERT INTO t (text) VALUES (REPEAT('x', 250))")
    for _ in range(15):
        stack.target("INSERT INTO t (text) SELECT text FROM t")
    plan = stack.plan([COPIED])
    with small_schema(stack, "db", "shop_staging", 64) as directory:
        with full(directory):
            apply_id = stack.apply(plan)
            waiting = {"state": "failed_retryable", "attempt": 2, "lease_owner": None}
            stack.until(lambda: waiting.items() <= operation(stack).items(), "it is to be retried")
            seen = stack.progress(apply_id)
            assert re.search("full|No space left", seen["error_message"]), seen
            assert "bigint" not in stack.create_table("t")
        stack.storage("UPDATE apply_operations SET claim_after = NOW(6)")
        stack.wait_state(apply_id, "completed")
        assert "bigint" in stack.create_table("t")
        assert stack.target("SELECT COUNT(*) AS n FROM t") == [{"n": 2 ** 15}]
        invariants.check_rest(stack)


def test_the_storage_is_full(fresh_stack):
    stack = fresh_stack(split=True)
    stack.target(TABLE)
    plan = stack.plan([WIDE])
    much = WIDE.replace("text varchar", "/* " + "much " * 400000 + "*/ text varchar")
    with small_schema(stack, "store", "schemabot", 8) as directory:
        with full(directory):
            plans = stack.storage("SELECT COUNT(*) AS n FROM plans")
            refused = stack.post_plan([much])
            assert refused.status == 503, refused
            assert stack.api.get("/livez").status == 200
            # What still fits into the tables goes on; what does not is repeated.
            reply = stack.post_apply(plan, headers={"Idempotency-Key": "one"})
            assert reply.status in (200, 503), reply
        # A server may end itself over this; who watches it starts it again.
        if not Stack(stack.dir).store.talks():
            stack.command("restart-db", "--storage", "--kill")
        assert stack.storage("SELECT COUNT(*) AS n FROM plans") == plans
        assert stack.plan([much])["changes"]
        apply_id = stack.post_apply(plan, headers={"Idempotency-Key": "one"}).expect(200)[
            "apply_id"]
        stack.wait_state(apply_id, "completed")
        assert len(stack.storage("SELECT id FROM applies")) == 1
        invariants.check_rest(stack)


@pytest.mark.parametrize("name", ["run", "logs"])
def test_our_own_directory_is_full(fresh_stack, name):
    """Without a slot file nothing is claimed: a dead driver could not be told from another.
    Without a log everything goes on."""
    stack = fresh_stack()
    stack.target(TABLE)
    plan = stack.plan([WIDE])
    stack.command("stop-cron")
    with small(stack.dir / name, 4, stack.dir / "aside"):
        stack.command("restart-cron")
        stack.command("restart-app")
        with full(stack.dir / name):
            apply_id = stack.apply(plan)
            if name == "run":
                stack.until(lambda: "slot file" in stack.log_text("cron"), "it is said")
                assert stack.progress(apply_id)["state"] == "pending"
                assert operation(stack)["lease_token"] == 0
            else:
                stack.wait_state(apply_id, "completed")
        stack.wait_state(apply_id, "completed")
        invariants.check_rest(stack)
        stack.command("stop-cron")
        stack.until(lambda: not stack.drivers(), "the drivers end")
    stack.command("restart-app")
