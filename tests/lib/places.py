"""
places.py - where things are: the checkout, the binaries, the cache, who we are.

Imported by everything under tests/. Must never create anything inside the checkout.
"""
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IS_ROOT = os.geteuid() == 0

# A unix socket's path has 108 bytes; the longest name below a stack's directory is short.
LONGEST_STACK_DIR = 70


def cache_dir() -> Path:
    """Outside the tree, kept between runs. As root not under /root: the database server's
    own user has to be able to read from it."""
    given = os.environ.get("SCHEMABOT_CACHE")
    if given:
        return Path(given)
    if IS_ROOT:
        return Path("/var/cache/schemabot")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "schemabot"


def variant() -> str:
    return os.environ.get("SB_VARIANT") or "test"


def build_dir(name: str = "") -> Path:
    return ROOT / ".build" / (name or variant())


def scratch_dir() -> Path:
    """Short, private to this user, for the directories of test stacks. tests/run gives each
    of its runs one of its own."""
    if os.environ.get("SB_SCRATCH"):
        return Path(os.environ["SB_SCRATCH"])
    path = Path(tempfile.gettempdir()) / f"sbt-{os.geteuid()}"
    path.mkdir(mode=0o755, exist_ok=True)
    return path
