"""
test_soak.py - a short run of the chaos soak (tests/lib/soak.py; `make soak` for long ones).
"""
import os
import secrets

from lib.soak import Soak

SECONDS = 60


def test_everything_is_killed_at_random(fresh_stack):
    stack = fresh_stack(split=True, env={"SB_CRON_SECONDS": "2"})
    seed = os.environ.get("SB_SEED") or secrets.token_hex(4)
    soak = Soak(stack, seed, SECONDS)
    problems = soak.run()
    print(f"seed {seed}: {soak.summary()}")
    assert not problems, f"SB_SEED={seed}\n" + "\n".join(problems)
    # What is killed is drawn by lot, and so is how often.
    killed = sum(n for what, n in soak.count.items() if what.startswith(("kill ", "end ")))
    assert soak.count["completed"] > 5 and killed > 0
