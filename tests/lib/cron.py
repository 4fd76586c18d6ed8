"""
cron.py - a stand-in for cron: runs the lines of etc/crontab for one stack.

Started by stack.py as its own process. Every line is due once at the start and then each
interval ("minute"), like cron does it: whether or not the one before has ended. The
interval can be shortened, and with it `--for 60`, so that a test sees many handovers. The
installed paths of the crontab are replaced by the stack's.

Must never: understand more of a crontab than ours uses (five stars), or leave a scheduler
behind when it is asked to end.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import time

INSTALLED_BIN = re.compile(r"/usr/(?:local/)?(?:lib/schemabot/)?bin/(?=schemabot)")
# A successor waits for its predecessor; more than that are not let pile up.
MOST_AT_ONCE = 2


def preloaded() -> dict:
    """SB_PRELOAD is a library for the commands that this one could not live with."""
    library = os.environ.get("SB_PRELOAD")
    return {"LD_PRELOAD": library} if library else {}


class Line:
    """One line of the crontab and its running commands."""

    def __init__(self, command: str):
        self.command, self.children = command, []

    def run(self) -> None:
        self.children = [c for c in self.children if c.poll() is None]
        if len(self.children) < MOST_AT_ONCE:
            self.children.append(subprocess.Popen(
                ["/bin/sh", "-c", self.command], stdin=subprocess.DEVNULL, process_group=0,
                env={**os.environ, **preloaded()}))

    def end(self, sig: int) -> None:
        for child in self.children:
            if child.poll() is None:
                os.killpg(child.pid, sig)


def read(path: str, replace) -> tuple:
    """(environment, lines) of a crontab in the style of /etc/cron.d."""
    environment, lines = {}, []
    with open(path, encoding="utf-8") as text:
        for number, raw in enumerate(text, 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            setting = re.fullmatch(r"([A-Za-z_]+)\s*=\s*(.*)", line)
            if setting:
                environment[setting[1]] = replace(setting[2].strip("'\""))
                continue
            fields = line.split(None, 6)
            if len(fields) != 7 or fields[:5] != ["*"] * 5 or "%" in fields[6]:
                sys.exit(f"{path}:{number}: the stand-in knows '* * * * * USER COMMAND' only")
            lines.append(Line(replace(fields[6])))
    return environment, lines


def substitutions(options):
    """The function that turns installed paths into the stack's."""
    def replace(text: str) -> str:
        text = INSTALLED_BIN.sub(options.bin.rstrip("/").replace("\\", "\\\\") + "/", text)
        text = text.replace("/etc/schemabot/schemabot.conf", options.config)
        text = text.replace("/var/log/schemabot", options.logs)
        return re.sub(r"--for \d+", f"--for {options.interval:g}", text)
    return replace


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("crontab", "bin", "config", "logs"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--interval", type=float, default=60)
    options = parser.parse_args()

    def stop(_signal, _frame):
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    environment, lines = read(options.crontab, substitutions(options))
    os.environ.update({**environment, "SCHEMABOT_CONFIG": options.config})
    due = time.monotonic()
    try:
        while True:
            for line in lines:
                line.run()
            due += options.interval
            time.sleep(max(0.0, due - time.monotonic()))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for line in lines:
            line.end(signal.SIGTERM)
        deadline = time.monotonic() + 4
        for line in lines:
            for child in line.children:
                try:
                    child.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    pass
            line.end(signal.SIGKILL)


if __name__ == "__main__":
    main()
