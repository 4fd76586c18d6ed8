"""
rename_cases.py - renames that files ask for: what is there, what is wanted, what the statements
have to say (in order; a | separates words of one statement).

Data for test_renames.py, which carries them out on both servers. `on` gives a flavour other
words; `error` is what a plan says that cannot be applied.
"""
from dataclasses import dataclass, field


@dataclass
class Case:
    name: str
    live: list
    desired: list
    words: list = ()
    on: dict = field(default_factory=dict)
    error: str = ""
    done: int = None  # how many hints are done before; None = all in effect

    def wanted(self, flavor):
        return self.on.get(flavor, self.words)


def t(*elements, name="t", hints=(), options=""):
    lines = "".join(f"-- schemabot: rename {h}\n" for h in hints)
    body = ", ".join(("id int NOT NULL",) + elements + ("PRIMARY KEY (id)",))
    return f"{lines}CREATE TABLE {name} ({body}) {options}"


def column(old, new):
    return f"column {old} to {new}"


AB = column("a", "b")
P = t(name="p")


def child(parent="p", key="id", name="c", more=""):
    return t("x int", "KEY f (x)", f"CONSTRAINT f FOREIGN KEY (x) REFERENCES {parent} ({key}){more}",
             name=name)


CASES = [
    # ---- columns
    Case("a column", [t("a int")], [t("b int", hints=[AB])],
         ["ALTER TABLE `t` RENAME COLUMN `a` TO `b`"]),
    Case("and its type", [t("a int")], [t("b bigint", hints=[AB])],
         ["ALTER TABLE `t` CHANGE COLUMN `a` `b` bigint"]),
    Case("and its place", [t("a int", "c int")], [t("c int", "b int", hints=[AB])],
         ["ALTER TABLE `t` CHANGE COLUMN `a` `b` int|AFTER `c`"]),
    Case("with indexes", [t("a int", "KEY k (a)", "UNIQUE KEY u (id, a)")],
         [t("b int", "KEY k (b)", "UNIQUE KEY u (id, b)", hints=[AB])],
         ["ALTER TABLE `t` RENAME COLUMN `a` TO `b`"]),
    Case("and an index on it", [t("a varchar(9)")], [t("b varchar(9)", "n int", "KEY k (b(3), n)", hints=[AB])],
         ["RENAME COLUMN `a` TO `b`|ADD COLUMN `n`|ADD KEY `k` (`b`(3),`n`)"]),
    Case("something comes behind it", [t("a int", "z int")], [t("b int", "n int", "z int", hints=[AB])],
         ["RENAME COLUMN `a` TO `b`|ADD COLUMN `n`|AFTER `b`"]),
    Case("of a primary key", ["CREATE TABLE t (a int NOT NULL AUTO_INCREMENT, PRIMARY KEY (a))"],
         [f"-- schemabot: rename {AB}\nCREATE TABLE t (b int NOT NULL AUTO_INCREMENT, PRIMARY KEY (b))"],
         ["RENAME COLUMN `a` TO `b`"]),
    Case("a chain", [t("a int", "b varchar(5)", "KEY k (a)", "KEY l (b)")],
         [t("b int", "c varchar(5)", "KEY k (b)", "KEY l (c)", hints=[AB, column("b", "c")])],
         ["RENAME COLUMN `a` TO `b`, RENAME COLUMN `b` TO `c`"]),
    Case("a chain of other types", [t("a int", "b varchar(5)")],
         [t("c varchar(9)", "b bigint", hints=[column("b", "c"), AB])], ["`b` `c` varchar(9)|`a` `b` bigint"]),
    Case("names that need quotes", [t("`a b` int", "KEY k (`a b`)")],
         [t("`c``d` int", "KEY k (`c``d`)", hints=[column("`a b`", "`c``d`")])],
         ["RENAME COLUMN `a b` TO `c``d`"]),
    Case("another column is dropped", [t("a int", "z int")], [t("b int", hints=[AB])],
         ["DROP COLUMN `z`, RENAME COLUMN `a` TO `b`"]),
    Case("the words are in strings too", [t("a varchar(9) DEFAULT 'a' COMMENT '`a`'")],
         [t("b varchar(9) DEFAULT 'a' COMMENT '`a`'", hints=[AB])], ["RENAME COLUMN `a` TO `b`"]),

    # ---- what depends on them: MariaDB lets it follow, MySQL is told anew
    Case("a generated column", [t("a int", "g int AS (a + 1) VIRTUAL", "s int AS (a + 2) STORED", "KEY g (g)")],
         [t("b int", "g int AS (b + 1) VIRTUAL", "s int AS (b + 2) STORED", "KEY g (g)", hints=[AB])],
         ["ALTER TABLE `t` RENAME COLUMN `a` TO `b`"],
         on={"mysql": ["RENAME COLUMN `a` TO `b`|MODIFY COLUMN `g`|MODIFY COLUMN `s`"]}),
    Case("a check", [t("a int", "z int", "CONSTRAINT k CHECK (a < z)")],
         [t("b int", "z int", "CONSTRAINT k CHECK (b < z)", hints=[AB])], ["RENAME COLUMN `a` TO `b`"],
         on={"mysql": ["DROP CHECK `k`|RENAME COLUMN `a` TO `b`|ADD CONSTRAINT `k`"]}),
    Case("a check of the column", [t("a int CHECK (a > 0)")], [t("b int CHECK (b > 0)", hints=[AB])],
         ["RENAME COLUMN `a` TO `b`"]),
    Case("a default", [t("a int", "d int DEFAULT (a + 1)")], [t("b int", "d int DEFAULT (b + 1)", hints=[AB])],
         ["RENAME COLUMN `a` TO `b`"]),
    Case("partitions", [t(options="PARTITION BY RANGE (id) (PARTITION `id` VALUES LESS THAN (10))")],
         [f"-- schemabot: rename {column('id', 'n')}\nCREATE TABLE t (n int NOT NULL, PRIMARY KEY (n))"
          " PARTITION BY RANGE (n) (PARTITION `id` VALUES LESS THAN (10))"],
         ["RENAME COLUMN `id` TO `n`"], on={"mysql": ["RENAME COLUMN `id` TO `n` PARTITION BY RANGE (`n`)"]}),
    Case("partitions by key", [t(options="PARTITION BY KEY (id) PARTITIONS 2")],
         [f"-- schemabot: rename {column('id', 'n')}\nCREATE TABLE t (n int NOT NULL, PRIMARY KEY (n))"
          " PARTITION BY KEY (n) PARTITIONS 2"],
         ["RENAME COLUMN `id` TO `n`"], on={"mysql": ["RENAME COLUMN `id` TO `n` PARTITION BY KEY (n)"]}),
    Case("and a partition at the end",
         [t("a int", options="PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (10))")],
         [t("b int", "n int", hints=[AB], options="PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (10),"
            " PARTITION q VALUES LESS THAN (20))")],
         ["ALTER TABLE `t` RENAME COLUMN `a` TO `b`", "ADD COLUMN `n`", "ADD PARTITION"]),

    # ---- foreign keys follow
    Case("a child's column", [P, child()], [P, child().replace("x", "y").replace(
        "CREATE", "-- schemabot: rename column x to y\nCREATE")], ["ALTER TABLE `c` RENAME COLUMN `x` TO `y`"]),
    Case("a parent's column", [P, child()],
         ["# schemabot: rename column id to n\nCREATE TABLE p (n int NOT NULL, PRIMARY KEY (n))", child(key="n")],
         ["ALTER TABLE `p` RENAME COLUMN `id` TO `n`"]),
    Case("of a table that refers to itself", [t("a int", "KEY f (a)", "CONSTRAINT f FOREIGN KEY (a) REFERENCES t (id)")],
         [t("b int", "KEY f (b)", "CONSTRAINT f FOREIGN KEY (b) REFERENCES t (id)", hints=[AB])],
         ["RENAME COLUMN `a` TO `b`"]),
    Case("a parent's column, and a new child", [P],
         ["# schemabot: rename column id to n\nCREATE TABLE p (n int NOT NULL, PRIMARY KEY (n))", child(key="n")],
         ["ALTER TABLE `p` RENAME COLUMN `id` TO `n`", "CREATE TABLE `c`"]),
    Case("a child's key is replaced", [P, child()],
         ["/* schemabot: rename column id to n */ CREATE TABLE p (n int NOT NULL, PRIMARY KEY (n))",
          child(key="n", more=" ON DELETE CASCADE")],
         ["DROP FOREIGN KEY `f`", "ALTER TABLE `p` RENAME COLUMN", "ALTER TABLE `c` ADD CONSTRAINT `f`"]),

    # ---- tables
    Case("a table", [t("a int")], [t("a int", name="u", hints=["table t to u"])], ["RENAME TABLE `t` TO `u`"]),
    Case("a table and more", [t("a int")], [t("b int", "n int", name="u", hints=["table t to u", AB])],
         ["RENAME TABLE `t` TO `u`", "ALTER TABLE `u` RENAME COLUMN `a` TO `b`, ADD COLUMN `n`"]),
    Case("a parent", [P, child()], [t(name="q", hints=["table p to q"]), child("q")], ["RENAME TABLE `p` TO `q`"]),
    Case("a child whose names the server made",
         [P, t("x int CHECK (x > 0)", "FOREIGN KEY (x) REFERENCES p (id)", name="c")],
         [P, t("x int CHECK (x > 0)", "FOREIGN KEY (x) REFERENCES p (id)", name="d", hints=["table c to d"])],
         ["RENAME TABLE `c` TO `d`"]),
    Case("a table and its foreign key", [P, child()],
         [P, child(name="d", more=" ON DELETE CASCADE").replace("CREATE", "-- schemabot: rename table c to d\nCREATE")],
         ["RENAME TABLE `c` TO `d`", "ALTER TABLE `d` DROP FOREIGN KEY `f`", "ALTER TABLE `d` ADD CONSTRAINT `f`"]),
    Case("a child, then its parent, and their foreign key", [P, child()],
         [t(name="q", hints=["table p to q"]),
          child("q", name="d", more=" ON DELETE CASCADE").replace("CREATE", "-- schemabot: rename table c to d\nCREATE")],
         ["RENAME TABLE `c` TO `d`", "RENAME TABLE `p` TO `q`", "ALTER TABLE `d` DROP FOREIGN KEY `f`",
          "ALTER TABLE `d` ADD CONSTRAINT `f`"]),
    Case("a table beside a new one", [P], [t(name="q", hints=["table p to q"]), child("q"), t(name="a")],
         ["RENAME TABLE `p` TO `q`", "CREATE TABLE `a`", "CREATE TABLE `c`"]),
    Case("a table that refers to itself", [t("a int", "KEY f (a)", "CONSTRAINT f FOREIGN KEY (a) REFERENCES t (id)")],
         [t("a int", "KEY f (a)", "CONSTRAINT f FOREIGN KEY (a) REFERENCES u (id)", name="u", hints=["table t to u"])],
         ["RENAME TABLE `t` TO `u`"]),

    # ---- done, or not needed
    Case("it is done", [t("b int")], [t("b int", hints=[AB])], [], done=1),
    Case("a new table", [], [t("b int", hints=[AB, "table s to t"])], ["CREATE TABLE `t`"], done=2),
    Case("neither is there", [t()], [t("b int", hints=[AB])], ["ADD COLUMN `b`"], done=1),
    Case("it is done, and the column goes", [t("b int")], [t(hints=[AB])], ["DROP COLUMN `b`"], done=1),
    Case("a chain that is done", [t("b int", "c int")], [t("b int", "c int", hints=[AB, column("b", "c")])], [], done=2),
    Case("only the case", [t("Abc int")], [t("aBC int", hints=[column("Abc", "aBC")])],
         ["CHANGE COLUMN `Abc` `aBC` int"], done=1),

    # ---- never guessed
    Case("both are there", [t("a int", "b int")], [t("b int", hints=[AB])], error="columns of both names"),
    Case("the file has the old one", [t("a int")], [t("a int", "b int", hints=[AB])], error="a column of the old name"),
    Case("the file has none", [t("a int")], [t(hints=[AB])], error="no column of the new name"),
    Case("swapped", [t("a int", "b int")], [t("a int", "b int", hints=[AB, column("b", "a")])], error="third name"),
    Case("half a chain", [t("b int")], [t("b int", "c int", hints=[AB, column("b", "c")])], error="neither"),
    Case("both tables are there", [t(), t(name="u")], [t(name="u", hints=["table t to u"])], error="tables of both names"),
    Case("a file for the old table", [t()], [t(), t(name="u", hints=["table t to u"])], error="a file for the old name"),
    Case("two files want one table", [t()], [t(name=n, hints=[f"table t to {n}"]) for n in "uv"],
         error="table `v`, line 1: the hint to rename table `t` to `v`: another file has a hint to rename the same table"),
    Case("another table's hint", [t()], [t(hints=["table a to b"])], error="this file is about `t`"),
    Case("two for one", [t("a int")], [t("b int", "c int", hints=[AB, column("a", "c")])],
         error="line 2: this rename hint contradicts the one in line 1"),
    Case("not understood", [t()], [t(hints=["colum a to b"])], error="line 1: a comment for SchemaBot that is not known"),
    Case("a child's file forgets it", [P, child()], [t(name="q", hints=["table p to q"]), child("p")],
         error="refers to table `p`, which is renamed to `q`"),
    Case("a child's file forgets the column", [P, child()],
         ["# schemabot: rename column id to n\nCREATE TABLE p (n int NOT NULL, PRIMARY KEY (n))", child()],
         error="oreign key"),
]
