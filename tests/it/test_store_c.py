"""
test_store_c.py - runs the C programs of this folder (tests/it/test_*.c) on the stack's server.

Each makes a schema of its own with converge(), so that core/store is called as our
programs call it, on both flavours and under the sanitizers. One test here is one program;
what failed inside it is in the message.
"""
import os
import re
import subprocess

import pytest

from lib import places

PROGRAMS = sorted(p.stem for p in (places.ROOT / "tests/it").glob("test_*.c"))
RESULT = re.compile(r"^(ok|not ok) \d+ - (.*)$", re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(stack, program):
    path = places.build_dir(places.variant()) / "tests-it" / program
    assert path.exists(), f"{path} is not built: make VARIANT={places.variant()} units"
    done = subprocess.run([path], text=True, errors="replace", capture_output=True, check=False,
                          timeout=600, cwd=places.ROOT,
                          env={**os.environ, **stack.env, "CMOCKA_MESSAGE_OUTPUT": "TAP"})
    planned = int(re.search(r"^1\.\.(\d+)", done.stdout, re.MULTILINE)[1])
    results = RESULT.findall(done.stdout)
    failed = [name for verdict, name in results if verdict != "ok"]
    report = "\n".join([line for line in done.stdout.splitlines()
                        if not line.startswith("ok ")][-40:])
    errors = done.stderr.split("Shadow bytes")[0][-4000:]
    assert not failed and done.returncode == 0 and len(results) == planned, \
        f"{program}: {len(failed)} of {planned} failed: {failed}\n{report}\n{errors}"
