"""
fake.py - the fake engine's remote side, as a test sees it: script, journal, records.

Made by Harness as `stack.fake`. The engine (engines/fake, whose README has the language of
the script) works on the files of <stack>/fake; this reads and writes the same ones.
"""
import contextlib
import fcntl
import itertools
import json
import shutil


class Fake:
    """The remote side of a stack's databases `fakeshop` and `resident`."""

    def __init__(self, harness):
        self.harness = harness
        self._ids = itertools.count(1)

    @property
    def dir(self):
        return self.harness.dir / "fake"

    def clear(self) -> None:
        """No script, no change, no call: as new."""
        shutil.rmtree(self.dir, ignore_errors=True)
        for name in ("remote", "gates"):
            (self.dir / name).mkdir(parents=True, exist_ok=True)

    # ---- telling it what to do ---------------------------------------------------------

    def script(self, *rules: dict) -> None:
        """These rules from now on, instead of those before; counted from one again."""
        numbered = [{**rule, "id": f"r{next(self._ids)}"} for rule in rules]
        self._write("script.json", numbered)

    def release(self, gate: str) -> None:
        """Let go what is held at this phase, or waits at this gate, from now on."""
        (self.dir / "gates").mkdir(parents=True, exist_ok=True)
        (self.dir / "gates" / gate).touch()

    def arrived(self, gate: str) -> bool:
        """Is a call waiting at the gate (or was there)?"""
        return (self.dir / "gates" / f"{gate}.at").exists()

    def _write(self, name: str, value) -> None:
        self.dir.mkdir(parents=True, exist_ok=True)
        draft = self.dir / f"{name}.new"
        draft.write_text(json.dumps(value))
        draft.replace(self.dir / name)

    # ---- what was asked of it ----------------------------------------------------------

    def calls(self, call: str = "", **fields) -> list:
        """The journal's entries in order, those of one call or with these fields."""
        file = self.dir / "calls.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [e for e in map(json.loads, lines)
                if (not call or e["call"] == call)
                and all(e.get(name) == value for name, value in fields.items())]

    def created(self, apply_id: str = "") -> list:
        """References of the changes that were created, in order."""
        return [e["created"] for e in self.calls("start")
                if "created" in e and apply_id in ("", e["apply"])]

    # ---- the record ---------------------------------------------------------------------

    @contextlib.contextmanager
    def record(self, apply_id: str, deployment: str = ""):
        """The operation's record under its lock, to be read and changed."""
        [name] = [p.name for p in (self.dir / "remote").glob(f"{apply_id}~{deployment}*.json")]
        with open(self.dir / "remote" / name.replace(".json", ".lock"), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            record = json.loads((self.dir / "remote" / name).read_text())
            yield record
            self._write(f"remote/{name}", record)

    def change(self, apply_id: str, deployment: str = "") -> dict:
        """The newest change of the operation; its "phase" and "ended" say how far it is."""
        with self.record(apply_id, deployment) as record:
            change = list(record["changes"].values())[-1]
        return {**change, "phase": change["phases"][change["at"]],
                "ended": change.get("ended", "")}

    def forget(self, apply_id: str, deployment: str = "") -> None:
        """The remote side loses every change of the operation."""
        with self.record(apply_id, deployment) as record:
            record["changes"].clear()

    def finish(self, apply_id: str, deployment: str = "") -> None:
        """The newest change completes by itself, without anybody looking."""
        with self.record(apply_id, deployment) as record:
            change = list(record["changes"].values())[-1]
            for table in change["tables"]:
                if not table.get("executed"):
                    self.harness.sql(table["ddl"], None, table["schema"])
                table["executed"] = True
            change["at"], change["ended"] = change["phases"].index("completed"), ""
