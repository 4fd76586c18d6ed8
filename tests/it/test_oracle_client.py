"""
test_oracle_client.py - what uses the database client compiles with Oracle's library too,
where its headers can be had; `make oracle` builds everything with it.
"""
import os
import re
import subprocess

import pytest

from lib import places

# Every source that includes <mysql.h>.
SOURCES = ("core/base/db.c", "core/base/db_stmt.c", "engines/mysql/binlog/stream.c")


def test_sources_compile():
    client = subprocess.run([places.ROOT / "tests/servers/mysqlclient"], text=True, check=False,
                            capture_output=True)
    if client.returncode == 77:
        pytest.skip(client.stderr.strip())
    assert client.returncode == 0, client.stderr
    users = {str(path.relative_to(places.ROOT)) for folder in ("core", "engines", "fcgi")
             for path in (places.ROOT / folder).rglob("*.c")
             if re.search(r'#include (<mysql.h>|".*db_internal.h")', path.read_text())}
    assert users == set(SOURCES), "the list above is not complete"
    goals = " ".join(f".build/oracle/obj/{source[:-2]}.o" for source in SOURCES)
    done = subprocess.run(["make", "-s", "oracle", f"ORACLE_GOALS={goals}"], cwd=places.ROOT,
                          text=True, check=False, capture_output=True,
                          env={k: v for k, v in os.environ.items() if k != "MAKEFLAGS"})
    assert done.returncode == 0, done.stdout + done.stderr
