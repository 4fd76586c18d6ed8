"""
test_crash_points.py - kill -9 and broken connections at every named point (DESIGN.md 8.1).

The points are not listed here. A telling of each story with a trace says how often which
program passes which point; then the story is told again with a crash at the first, second,
third … passage, until there is none. Whatever dies, everything is started again and the
story comes to its end, once, and passes the audit.
"""
import pytest
from lib import places
from lib.crash import Loop, crash, drop, points_in_the_sources

import copy_stories
import stories

ALL = (*stories.ALL, *copy_stories.ALL)
TOLD = {}  # flavour -> {story: {(program, point)}}
LIVED = {}  # flavour -> what Loop keeps over the stories


@pytest.mark.parametrize("choose", [crash, drop], ids=["crash", "drop"])
@pytest.mark.parametrize("story", ALL, ids=lambda s: s.name.replace(" ", "-"))
def test_story(attended, stack, flavor, story, choose):
    loop = Loop(stack, story, LIVED.setdefault(flavor, set()))
    loop.run(choose)
    TOLD.setdefault(flavor, {})[story] = loop.reached
    print(f"{story.name}: told {loop.told} times, {loop.spared} spared, seed {loop.seed}")


def points_of_c_tests() -> set:
    """Points at which the C tests kill a process of their own."""
    text = "".join(p.read_text(encoding="utf-8") for p in (places.ROOT / "tests/it").glob("*.c"))
    return {point for point in points_in_the_sources() if f'"{point}"' in text}


def test_every_point_in_the_sources_is_in_a_story(flavor):
    """A point that no story passes is one at which nobody has ever died."""
    if len(TOLD.get(flavor, ())) < len(ALL):
        pytest.skip("not all stories were told to their end")
    passed = {point for reached in TOLD[flavor].values() for _, point in reached}
    passed |= points_of_c_tests()
    unreached = {p: f for p, f in points_in_the_sources().items() if p not in passed}
    assert not unreached, "\n".join(f"{point} ({file})" for point, file in unreached.items())
