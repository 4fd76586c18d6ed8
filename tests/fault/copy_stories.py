"""
copy_stories.py - online copies, to be told with faults in them (as stories.py, which see).

An application writes all the while, and to twins of the tables in the same transactions
(tests/lib/twin.py): whoever dies wherever, afterwards the tables are what the server's own
ALTER makes of the twins, and nothing of ours is left.
"""
from lib import twin
from lib.crash import DROP_POINTS, Story
from lib.twin import Twin, items

ROWS = 2600  # some chunks: the first has 1000 rows
LONGEST = 6  # seconds: the cutover's budget, the wait for its lock, and a busy machine
DRIVER = "schemabot-driver"
UTF16 = "varchar(40) NOT NULL", "varchar(40) CHARACTER SET utf16 NOT NULL"


class Copied(Story):
    """A table with rows, an application that writes to it."""

    name, programs, share = "copied", (DRIVER,), 0.15
    tables, size, options = ("items",), ROWS, {}
    files = [items("items", "bigint", ", KEY am (amount)")]
    ends = "completed"

    def is_for(self, point):
        return point.startswith(("engine.mysql.", "drive.")) or point in DROP_POINTS

    def prepare(self):
        self.twins = [Twin(self.stack, t, items(t), self.size) for t in self.tables]

    def live(self):
        for made in self.twins:
            made.start()
        try:
            self.apply_id = self.client.apply(self.client.plan(self.files), **self.options)
            self.go_on()
            self.wait_state(self.ends)
        finally:
            for made in self.twins:
                made.over.set()
            for made in self.twins:
                made.stop()

    def go_on(self):
        """What the operator does until the end."""

    def check(self):
        for made in self.twins:
            if self.calm:
                assert made.longest < LONGEST, f"a transaction took {made.longest} s"
            made.compare(*twin.statements_of(self.stack, self.apply_id, made.table)
                         if self.ends == "completed" else ())
        assert not twin.checkpoints(self.stack)
        assert not twin.artefacts(self.stack), "a pass of the reaper leaves nothing"


class CopiedTogether(Copied):
    """A deferred group: two tables that are copied, one that is made and one that changes at
    once; stopped while it waits, started, and cut over."""

    name, share = "copied together", 0.05
    tables, size = ("items", "notes"), 300
    options = {"defer_cutover": True}
    files = [*Copied.files, items("notes").replace(*UTF16),
             "CREATE TABLE fresh (id int NOT NULL, PRIMARY KEY (id))",
             "CREATE TABLE plain (id int NOT NULL, extra int, PRIMARY KEY (id))"]

    def prepare(self):
        super().prepare()
        self.stack.target("CREATE TABLE plain (id int NOT NULL, PRIMARY KEY (id))")

    def go_on(self):
        self.wait_state("waiting_for_cutover")
        assert not self.is_changed()
        self.client.control("stop", self.apply_id)
        self.wait_state("stopped")
        assert not self.is_changed()
        self.client.control("start", self.apply_id)
        self.wait_state("waiting_for_cutover")
        self.client.control("cutover", self.apply_id)

    def is_changed(self):
        return ("fresh" in self.stack.tables() or "bigint" in self.stack.create_table("items")
                or "utf16" in self.stack.create_table("notes")
                or "extra" in self.stack.create_table("plain"))

    def check(self):
        super().check()
        assert "fresh" in self.stack.tables() and "extra" in self.stack.create_table("plain")


class CopiedInVain(Copied):
    """Cancelled when it could be cut over, with another volume: all is as before."""

    name, share = "copied in vain", 0.1
    size, options, ends = 300, {"defer_cutover": True}, "cancelled"

    def go_on(self):
        self.wait_state("waiting_for_cutover")
        self.client.control("volume", self.apply_id, volume=7)
        self.wait(self.obeyed("volume"), "the volume has changed")
        self.client.control("cancel", self.apply_id)


ALL = (Copied, CopiedTogether, CopiedInVain)
