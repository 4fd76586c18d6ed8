"""
planner_cases.py - pairs of tables (live, desired) and what a plan has to say about them.

Data for test_planner.py, which plans each pair on both servers, applies the statement by
hand and plans again: the second plan has to be empty. A case names what must stand in the
statement (`has`, in this order), what must not (`lacks`), and whether it is unsafe (a part
of the reason) or safe (None). `has=None`: there is nothing to do. `only` restricts a case to
one flavour, `on` gives the flavours different words.
"""
from dataclasses import dataclass, field


@dataclass
class Case:
    name: str
    live: str
    desired: str
    has: tuple = ()
    unsafe: str = None
    lacks: tuple = ()
    only: str = ""
    on: dict = field(default_factory=dict)  # flavour: what `has` is there
    error: str = ""  # the plan cannot be applied, and says this

    def wanted(self, flavor):
        return self.on.get(flavor, self.has)


def t(columns, options="", name="t"):
    return f"CREATE TABLE {name} ({columns}) {options}"


ID = "id int NOT NULL, PRIMARY KEY (id)"


def with_id(columns):
    return t(f"id int NOT NULL, {columns}, PRIMARY KEY (id)")


CASES = [
    # ---- columns: added, dropped, moved
    Case("add last", with_id("a int"), with_id("a int, b varchar(10)"), ("ADD COLUMN `b` varchar(10)",),
         lacks=("AFTER",)),
    Case("add first", t(ID), t("z int, " + ID), ("ADD COLUMN `z` int", "FIRST")),
    Case("add in the middle", with_id("a int, b int"), with_id("a int, x int, b int"),
         ("ADD COLUMN `x` int", "AFTER `a`")),
    Case("add two in the middle and one last", with_id("a int, b int"),
         with_id("a int, x int, y int, b int, z int"),
         ("ADD COLUMN `x` int", "AFTER `a`", "ADD COLUMN `y` int", "AFTER `x`", "ADD COLUMN `z` int")),
    Case("drop a column", with_id("a int, b int"), with_id("a int"), ("DROP COLUMN `b`",), "drops column `b`"),
    Case("a renamed column is never guessed", with_id("a int"), with_id("b int"),
         ("DROP COLUMN `a`", "ADD COLUMN `b` int"), "drops column `a`"),
    Case("drop and add elsewhere", with_id("a int, b int, c int"), with_id("c int, d int, a int"),
         ("DROP COLUMN `b`", "ADD COLUMN `d`", "AFTER `c`", "MODIFY COLUMN `a`", "AFTER `d`"), "drops column"),
    Case("one move to the front", with_id("a int, b int, c int"), with_id("c int, a int, b int"),
         ("MODIFY COLUMN `c` int", "AFTER `id`"), lacks=("`a` int", "`b` int")),
    Case("one move to the end", with_id("a int, b int, c int"), with_id("b int, c int, a int"),
         ("MODIFY COLUMN `a` int", "AFTER `c`"), lacks=("`b` int", "`c` int")),
    Case("reversed order", with_id("a int, b int, c int, d int"), with_id("d int, c int, b int, a int"),
         ("MODIFY COLUMN", "MODIFY COLUMN", "MODIFY COLUMN")),
    Case("move and change", with_id("a int, b int"), with_id("b int, a bigint"),
         ("`a` bigint", "AFTER `b`")),
    Case("drop all but one", t("a int, b int, c int, d int NOT NULL, PRIMARY KEY (d)"),
         t("d int NOT NULL, PRIMARY KEY (d)"), ("DROP COLUMN `a`", "DROP COLUMN `b`", "DROP COLUMN `c`"), "drops column"),
    Case("case of a column's name", with_id("Abc int"), with_id("aBC int"), ("CHANGE COLUMN `Abc` `aBC` int",)),

    # ---- columns: types
    Case("widen an integer", with_id("a int"), with_id("a bigint"), ("MODIFY COLUMN `a` bigint",)),
    Case("narrow an integer", with_id("a bigint"), with_id("a int"), ("MODIFY COLUMN `a` int",), "from bigint"),
    Case("signed to unsigned", with_id("a int"), with_id("a int unsigned"), ("unsigned",), "negative values"),
    Case("unsigned to signed of the same size", with_id("a int unsigned"), with_id("a int"), ("MODIFY COLUMN `a` int",), "smaller range"),
    Case("unsigned to a wider signed one", with_id("a int unsigned"), with_id("a bigint"), ("MODIFY COLUMN `a` bigint",)),
    Case("display width", with_id("a int(5), b bigint(3) unsigned"), with_id("a int, b bigint unsigned"), None),
    Case("tinyint(1) is told apart", with_id("a tinyint(1)"), with_id("a tinyint"), ("MODIFY COLUMN `a` tinyint",)),
    Case("boolean", with_id("a boolean"), with_id("a tinyint(1)"), None),
    Case("zerofill", with_id("a int(6) unsigned"), with_id("a int(6) unsigned zerofill"), ("zerofill",)),
    Case("int to decimal that holds it", with_id("a int"), with_id("a decimal(12,2)"), ("decimal(12,2)",)),
    Case("int to a smaller decimal", with_id("a int"), with_id("a decimal(8,2)"), ("decimal(8,2)",), "greater values"),
    Case("decimal grows", with_id("a decimal(10,2)"), with_id("a decimal(14,4)"), ("decimal(14,4)",)),
    Case("decimal loses places", with_id("a decimal(10,2)"), with_id("a decimal(10,1)"), ("decimal(10,1)",), "smaller range"),
    Case("decimal loses digits", with_id("a decimal(10,2)"), with_id("a decimal(10,4)"), ("decimal(10,4)",), "smaller range"),
    Case("float to double", with_id("a float"), with_id("a double"), ("double",)),
    Case("double to float", with_id("a double"), with_id("a float"), ("float",), "smaller range"),
    Case("double with digits", with_id("a double(10,2)"), with_id("a double"), ("double",)),
    Case("varchar grows", with_id("a varchar(20)"), with_id("a varchar(200)"), ("varchar(200)",)),
    Case("varchar shrinks", with_id("a varchar(20)"), with_id("a varchar(19)"), ("varchar(19)",), "longer values"),
    Case("varchar to text", with_id("a varchar(200)"), with_id("a text"), ("`a` text",)),
    Case("varchar to tinytext", with_id("a varchar(200)"), with_id("a tinytext"), ("tinytext",), "longer values"),
    Case("text to varchar", with_id("a text"), with_id("a varchar(255)"), ("varchar(255)",), "longer values"),
    Case("text to longtext", with_id("a text"), with_id("a longtext"), ("longtext",)),
    Case("char to varchar", with_id("a char(10)"), with_id("a varchar(10)"), ("varchar(10)",)),
    Case("varchar to char", with_id("a varchar(10)"), with_id("a char(10)"), ("char(10)",), "trailing spaces"),
    Case("binary grows", with_id("a binary(8)"), with_id("a binary(16)"), ("binary(16)",), "smaller range"),
    Case("varbinary to blob", with_id("a varbinary(100)"), with_id("a blob"), ("blob",)),
    Case("text to blob", with_id("a text"), with_id("a blob"), ("blob",), "converting text to blob"),
    Case("date to datetime", with_id("a date"), with_id("a datetime"), ("datetime",)),
    Case("datetime to date", with_id("a datetime"), with_id("a date"), ("date",), "parts of the value"),
    Case("datetime to timestamp", with_id("a datetime"), with_id("a timestamp NULL"), ("timestamp",), "parts of the value"),
    Case("more fractions", with_id("a datetime(3)"), with_id("a datetime(6)"), ("datetime(6)",)),
    Case("fewer fractions", with_id("a datetime(6)"), with_id("a datetime"), ("datetime",), "fractions"),
    Case("bits grow", with_id("a bit(3)"), with_id("a bit(5)"), ("bit(5)",)),
    Case("enum appended", with_id("a enum('x','y')"), with_id("a enum('x','y','z')"), ("enum('x','y','z')",)),
    Case("enum removed", with_id("a enum('x','y')"), with_id("a enum('x')"), ("enum('x')",), "change their place"),
    Case("enum reordered", with_id("a enum('x','y')"), with_id("a enum('y','x')"), ("enum('y','x')",), "change their place"),
    Case("enum inserted", with_id("a enum('x','y')"), with_id("a enum('x','w','y')"), ("enum('x','w','y')",), "change their place"),
    Case("enum with nasty values", with_id("a enum('it''s','b,c','d)e')"), with_id("a enum('it''s','b,c','d)e','\\\\')"), ("'d)e'",)),
    Case("set appended", with_id("a set('x','y')"), with_id("a set('x','y','z')"), ("set('x','y','z')",)),
    Case("set to text", with_id("a set('x','y')"), with_id("a varchar(10)"), ("varchar(10)",)),
    Case("enum to varchar", with_id("a enum('x','yy')"), with_id("a varchar(2)"), ("varchar(2)",)),
    Case("int to varchar", with_id("a int"), with_id("a varchar(20)"), ("varchar(20)",), "converting int to varchar"),
    Case("json stays json", with_id("a json"), with_id("a JSON DEFAULT NULL"), None),
    Case("text to json", with_id("a longtext"), with_id("a json"), ("MODIFY COLUMN `a`",),
         on={"mysql": ("MODIFY COLUMN `a` json",), "mariadb": ("json_valid(`a`)",)}, unsafe="ANY"),
    Case("year", with_id("a year"), with_id("a smallint"), ("smallint",), "converting year"),
    Case("geometry", with_id("a point"), with_id("a point NOT NULL"), ("NOT NULL",), "NULLs"),

    # ---- columns: attributes
    Case("null to not null", with_id("a int"), with_id("a int NOT NULL"), ("NOT NULL",), "NULLs"),
    Case("not null to null", with_id("a int NOT NULL"), with_id("a int"), ("MODIFY COLUMN `a` int",)),
    Case("default literal", with_id("a int"), with_id("a int DEFAULT 5"), ("DEFAULT", "5")),
    Case("default changed", with_id("a int DEFAULT 4"), with_id("a int DEFAULT 5"), ("DEFAULT", "5")),
    Case("default dropped", with_id("a int NOT NULL DEFAULT 5"), with_id("a int NOT NULL"), ("MODIFY COLUMN `a` int",), lacks=("DEFAULT",)),
    Case("default null is no default", with_id("a int DEFAULT NULL"), with_id("a int"), None),
    Case("default zero is not the empty string", with_id("a varchar(5) DEFAULT '0'"), with_id("a varchar(5) DEFAULT ''"), ("DEFAULT ''",)),
    Case("default with quotes", with_id("a varchar(20)"), with_id("a varchar(20) DEFAULT 'it''s \\\\ \"x\" %s'"), ("'it''s",)),
    Case("default expression", with_id("a int"), with_id("a int DEFAULT (1 + 2)"), ("1 + 2",)),
    Case("default expression is the same", with_id("a varchar(36) DEFAULT (uuid())"), with_id("a varchar(36) DEFAULT (UUID())"), None),
    Case("default of a text", with_id("a text"), with_id("a text DEFAULT ('x')"), ("DEFAULT", "'x'")),
    Case("default negative", with_id("a int"), with_id("a int DEFAULT -5"), ("-5",)),
    Case("default bits", with_id("a bit(3)"), with_id("a bit(3) DEFAULT b'101'"), ("b'101'",)),
    Case("default date", with_id("a date"), with_id("a date DEFAULT '2020-02-29'"), ("'2020-02-29'",)),
    Case("default date zero", with_id("a date NOT NULL DEFAULT '0000-00-00'"), with_id("a date NOT NULL DEFAULT '0000-00-00', b int"), ("ADD COLUMN `b`",)),
    Case("current timestamp spelled differently", with_id("a timestamp NOT NULL DEFAULT now() ON UPDATE now()"),
         with_id("a timestamp NOT NULL DEFAULT current_timestamp ON UPDATE current_timestamp()"), None),
    Case("on update", with_id("a datetime DEFAULT now()"), with_id("a datetime DEFAULT now() ON UPDATE now()"), ("ON UPDATE",)),
    Case("auto increment added", t(ID), t("id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (id)"), ("AUTO_INCREMENT",)),
    Case("auto increment value is data", t("id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (id)", "AUTO_INCREMENT=500"),
         t("id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (id)"), None),
    Case("auto increment value in the file", t("id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (id)"),
         t("id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (id)", "AUTO_INCREMENT=500"), ("AUTO_INCREMENT=500",)),
    Case("comment", with_id("a int COMMENT 'x'"), with_id("a int COMMENT 'it''s; -- /* %s'"), ("COMMENT 'it''s; -- /* %s'",)),
    Case("comment with a line end", with_id("a int"), with_id("a int COMMENT 'one\ntwo\ttab'"), ("COMMENT 'one",)),
    Case("comment dropped", with_id("a int COMMENT 'x'"), with_id("a int"), ("MODIFY COLUMN `a` int",), lacks=("COMMENT",)),
    Case("invisible column", with_id("a int, b int"), with_id("a int, b int INVISIBLE"), ("INVISIBLE",)),
    Case("visible again", with_id("a int, b int INVISIBLE"), with_id("a int, b int"), ("MODIFY COLUMN `b` int",), lacks=("INVISIBLE",)),

    # ---- generated columns
    Case("generated virtual", with_id("a int"), with_id("a int, v int GENERATED ALWAYS AS (a + 1) VIRTUAL"), ("ADD COLUMN `v` int", "VIRTUAL")),
    Case("generated stored", with_id("a int"), with_id("a int, v int GENERATED ALWAYS AS (a + 1) STORED"), ("ADD COLUMN `v` int", "STORED")),
    Case("generated expression changed", with_id("a int, v int AS (a + 1) STORED"), with_id("a int, v int AS (a + 2) STORED"), ("a` + 2",), "computed anew"),
    Case("virtual expression changed", with_id("a int, v int AS (a + 1) VIRTUAL"), with_id("a int, v int AS (a + 2) VIRTUAL"), ("a` + 2",)),
    Case("virtual to stored", with_id("a int, v int AS (a + 1) VIRTUAL, KEY kv (v)"), with_id("a int, v int AS (a + 1) STORED, KEY kv (v)"),
         ("DROP INDEX `kv`", "DROP COLUMN `v`", "ADD COLUMN `v`", "STORED", "ADD KEY `kv`")),
    Case("base to virtual", with_id("a int, v int, b int"), with_id("a int, v int AS (a + 1) VIRTUAL, b int"),
         ("DROP COLUMN `v`", "ADD COLUMN `v`", "AFTER `a`"), "loses its values"),
    Case("virtual to base", with_id("a int, v int AS (a + 1) VIRTUAL"), with_id("a int, v int"), ("DROP COLUMN `v`", "ADD COLUMN `v`"), "loses its values"),
    Case("base to stored", with_id("a int, v int"), with_id("a int, v int AS (a + 1) STORED"), ("MODIFY COLUMN `v`",), "becomes generated"),
    Case("stored to base keeps its values", with_id("a int, v int AS (a + 1) STORED"), with_id("a int, v int"), ("MODIFY COLUMN `v` int",)),
    Case("generated from text", with_id("a varchar(10)"), with_id("a varchar(10), v varchar(30) AS (concat(a, 'é', '-x')) STORED, KEY (v)"),
         ("ADD COLUMN `v`", "ADD KEY `v`")),
    Case("drop what a generated column used", with_id("a int, b int, v int AS (a + b) VIRTUAL"), with_id("a int"),
         ("DROP COLUMN `b`", "DROP COLUMN `v`"), "drops column"),

    # ---- character sets
    Case("column charset widens", with_id("a varchar(20) CHARACTER SET latin1"), with_id("a varchar(20) CHARACTER SET utf8mb4"),
         ("MODIFY COLUMN `a` varchar(20)",)),
    Case("column charset narrows", with_id("a varchar(20) CHARACTER SET utf8mb4"), with_id("a varchar(20) CHARACTER SET latin1"),
         ("latin1",), "character set does not have"),
    Case("text in a wider charset may overflow", with_id("a text CHARACTER SET latin1"), with_id("a text CHARACTER SET utf8mb4"), ("MODIFY COLUMN `a` text",), "longer values"),
    Case("text in a wider charset and type", with_id("a text CHARACTER SET latin1"), with_id("a mediumtext CHARACTER SET utf8mb4"), ("mediumtext",)),
    Case("collation", with_id("a varchar(20)"), with_id("a varchar(20) COLLATE utf8mb4_bin"), ("utf8mb4_bin",)),
    Case("collation in a unique key", with_id("a varchar(20) COLLATE utf8mb4_bin, UNIQUE KEY (a)"), with_id("a varchar(20) COLLATE utf8mb4_general_ci, UNIQUE KEY (a)"),
         ("MODIFY COLUMN `a`",), "values become equal"),
    Case("explicit charset that is inherited anyway", t("id int NOT NULL, a varchar(20), PRIMARY KEY (id)", "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"),
         t("id int NOT NULL, a varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, PRIMARY KEY (id)", "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"), None),
    Case("table default only", t("id int NOT NULL, a varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, PRIMARY KEY (id)", "DEFAULT CHARSET=latin1"),
         t("id int NOT NULL, a varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, PRIMARY KEY (id)", "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"),
         ("DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",), lacks=("MODIFY",)),
    Case("table and columns", t("id int NOT NULL, a varchar(20), b varchar(20) CHARACTER SET ascii, PRIMARY KEY (id)", "DEFAULT CHARSET=latin1"),
         t("id int NOT NULL, a varchar(20), b varchar(20), PRIMARY KEY (id)", "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci"),
         ("MODIFY COLUMN `a`", "MODIFY COLUMN `b`", "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci")),
    Case("table default moves, the column stays", t("id int NOT NULL, a varchar(20), PRIMARY KEY (id)", "DEFAULT CHARSET=latin1"),
         t("id int NOT NULL, a varchar(20) CHARACTER SET latin1, n varchar(5), PRIMARY KEY (id)", "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"),
         ("ADD COLUMN `n` varchar(5)", "DEFAULT CHARSET=utf8mb4"), lacks=("`a`",)),
    Case("national text survives", with_id("a varchar(20) DEFAULT 'é日本' COMMENT 'ü'"), with_id("a varchar(20) DEFAULT 'é日本語' COMMENT 'ü'"), ("'é日本語'",)),

    # ---- indexes
    Case("add an index", with_id("a int, b int"), with_id("a int, b int, KEY kab (a, b)"), ("ADD KEY `kab` (`a`,`b`)",)),
    Case("add an index on a new column", with_id("a int"), with_id("a int, b int, KEY kb (b)"), ("ADD COLUMN `b`", "ADD KEY `kb` (`b`)")),
    Case("add a unique index", with_id("a int"), with_id("a int, UNIQUE KEY ua (a)"), ("ADD UNIQUE KEY `ua`",), "duplicates"),
    Case("unique over the primary key is implied", with_id("a int"), with_id("a int, UNIQUE KEY ua (a, id)"), ("ADD UNIQUE KEY `ua`",)),
    Case("drop an index", with_id("a int, KEY ka (a)"), with_id("a int"), ("DROP INDEX `ka`",), "queries may be using"),
    Case("index extended", with_id("a int, b int, KEY k (a)"), with_id("a int, b int, KEY k (a, b)"), ("DROP INDEX `k`", "ADD KEY `k` (`a`,`b`)")),
    Case("index shortened", with_id("a int, b int, KEY k (a, b)"), with_id("a int, b int, KEY k (b)"), ("DROP INDEX `k`", "ADD KEY `k` (`b`)"), "changes index"),
    Case("index renamed", with_id("a int, KEY ka (a)"), with_id("a int, KEY kb (a)"), ("RENAME INDEX `ka` TO `kb`",), lacks=("DROP", "ADD")),
    Case("index names swapped", with_id("a int, b int, KEY x (a), KEY y (b)"), with_id("a int, b int, KEY x (b), KEY y (a)"),
         ("DROP INDEX `x`", "DROP INDEX `y`", "ADD KEY `x` (`b`)", "ADD KEY `y` (`a`)")),
    Case("case of an index's name", with_id("a int, KEY Ka (a)"), with_id("a int, KEY kA (a)"), ("RENAME INDEX `Ka` TO `kA`",)),
    Case("plain to unique", with_id("a int, KEY k (a)"), with_id("a int, UNIQUE KEY k (a)"), ("DROP INDEX `k`", "ADD UNIQUE KEY `k`"), "duplicates"),
    Case("unique to plain", with_id("a int, UNIQUE KEY k (a)"), with_id("a int, KEY k (a)"), ("DROP INDEX `k`", "ADD KEY `k`"), "changes index"),
    Case("prefix length", with_id("a varchar(100), KEY k (a(10))"), with_id("a varchar(100), KEY k (a(20))"), ("DROP INDEX `k`", "ADD KEY `k` (`a`(20))"), "changes index"),
    Case("descending", with_id("a int, b int"), with_id("a int, b int, KEY k (a DESC, b)"), ("ADD KEY `k` (`a` DESC,`b`)",)),
    Case("fulltext", with_id("a text"), with_id("a text, FULLTEXT KEY f (a)"), ("ADD FULLTEXT KEY `f` (`a`)",)),
    Case("spatial", with_id("g point NOT NULL"), with_id("g point NOT NULL, SPATIAL KEY s (g)"), ("ADD SPATIAL KEY `s` (`g`)",)),
    Case("index comment", with_id("a int, KEY k (a)"), with_id("a int, KEY k (a) COMMENT 'it''s'"), ("DROP INDEX `k`", "COMMENT 'it''s'")),
    Case("using btree says nothing", with_id("a int, KEY k (a)"), with_id("a int, KEY k (a) USING BTREE"), None),
    Case("order of indexes says nothing", with_id("a int, b int, KEY x (a), KEY y (b)"), with_id("a int, b int, KEY y (b), KEY x (a)"), None),
    Case("invisible index", with_id("a int, KEY k (a)"), with_id("a int, KEY k (a) INVISIBLE"), ("ALTER INDEX `k` INVISIBLE",), only="mysql"),
    Case("visible index", with_id("a int, KEY k (a) INVISIBLE"), with_id("a int, KEY k (a)"), ("ALTER INDEX `k` VISIBLE",), only="mysql"),
    Case("drop an invisible index", with_id("a int, KEY k (a) INVISIBLE"), with_id("a int"), ("DROP INDEX `k`",), only="mysql"),
    Case("ignored index", with_id("a int, KEY k (a)"), with_id("a int, KEY k (a) IGNORED"), ("ALTER INDEX `k` IGNORED",), only="mariadb"),
    Case("index heeded again", with_id("a int, KEY k (a) IGNORED"), with_id("a int, KEY k (a)"), ("ALTER INDEX `k` NOT IGNORED",), only="mariadb"),
    Case("functional index", with_id("a varchar(10)"), with_id("a varchar(10), KEY k ((lower(a)))"), ("ADD KEY `k` ((lower(`a`)))",), only="mysql"),
    Case("index of a dropped column", with_id("a int, b int, KEY k (a, b)"), with_id("a int, KEY k (a)"), ("DROP INDEX `k`", "DROP COLUMN `b`", "ADD KEY `k` (`a`)"), "drops column"),
    Case("index vanishes with its column", with_id("a int, b int, KEY k (b)"), with_id("a int"), ("DROP INDEX `k`", "DROP COLUMN `b`"), "drops column"),

    # ---- primary keys
    Case("primary key extended", t("a int NOT NULL, b int NOT NULL, PRIMARY KEY (a)"), t("a int NOT NULL, b int NOT NULL, PRIMARY KEY (a, b)"),
         ("DROP PRIMARY KEY", "ADD PRIMARY KEY (`a`,`b`)"), "primary key"),
    Case("primary key replaced by a counter", t("a int NOT NULL, PRIMARY KEY (a)"), t("a int NOT NULL, id bigint NOT NULL AUTO_INCREMENT, PRIMARY KEY (id), UNIQUE KEY (a)"),
         ("DROP PRIMARY KEY", "ADD COLUMN `id` bigint", "ADD PRIMARY KEY (`id`)", "ADD UNIQUE KEY `a`"), "primary key"),
    Case("primary key added", t("a int NOT NULL, b int"), t("a int NOT NULL, b int, PRIMARY KEY (a)"), ("ADD PRIMARY KEY (`a`)",), "duplicates"),
    Case("a counter is added to a table without a key", t("a int"), t("id int NOT NULL AUTO_INCREMENT, a int, PRIMARY KEY (id)"),
         ("ADD COLUMN `id` int", "FIRST", "ADD PRIMARY KEY (`id`)")),
    Case("primary key dropped", t(ID + ", KEY (id)"), t("id int NOT NULL, KEY (id)"), ("DROP PRIMARY KEY",), "drops the primary key"),
    Case("auto increment moves", t("a int NOT NULL AUTO_INCREMENT, b int NOT NULL, PRIMARY KEY (a), KEY (b)"),
         t("a int NOT NULL, b int NOT NULL AUTO_INCREMENT, PRIMARY KEY (a), KEY (b)"), ("MODIFY COLUMN `a`", "MODIFY COLUMN `b`"), "no longer numbers rows"),

    # ---- checks and foreign keys
    Case("add a check", with_id("a int"), with_id("a int, CONSTRAINT c CHECK (a > 1)"), ("ADD CONSTRAINT `c` CHECK",), "it fails where a row violates it"),
    Case("change a check", with_id("a int, CONSTRAINT c CHECK (a > 1)"), with_id("a int, CONSTRAINT c CHECK (a > 2)"), ("`c`", "ADD CONSTRAINT `c` CHECK"), "it fails where a row violates it",
         on={"mysql": ("DROP CHECK `c`", "ADD CONSTRAINT `c`"), "mariadb": ("DROP CONSTRAINT `c`", "ADD CONSTRAINT `c`")}),
    Case("drop a check", with_id("a int, CONSTRAINT c CHECK (a > 1)"), with_id("a int"), ("DROP",)),
    Case("check is the same", with_id("a int, CONSTRAINT c CHECK (a > 1)"), with_id("a int, CONSTRAINT c CHECK ((a)>1)"), None),
    Case("check not enforced", with_id("a int, CONSTRAINT c CHECK (a > 1)"), with_id("a int, CONSTRAINT c CHECK (a > 1) NOT ENFORCED"), ("NOT ENFORCED",), only="mysql"),
    Case("check of a column", with_id("a int"), with_id("a int CHECK (a > 1)"), ("CHECK",), "it fails where a row violates it"),
    Case("foreign key to itself", with_id("p int"), with_id("p int, KEY kp (p), CONSTRAINT f FOREIGN KEY (p) REFERENCES t (id)"),
         ("ADD KEY `kp`", "ADD CONSTRAINT `f` FOREIGN KEY (`p`) REFERENCES `t` (`id`)"), "foreign key `f`"),
    Case("drop a foreign key", with_id("p int, KEY kp (p), CONSTRAINT f FOREIGN KEY (p) REFERENCES t (id)"), with_id("p int, KEY kp (p)"), ("DROP FOREIGN KEY `f`",)),
    Case("change a foreign key and its name", with_id("p int, KEY kp (p), CONSTRAINT f FOREIGN KEY (p) REFERENCES t (id)"),
         with_id("p int, KEY kp (p), CONSTRAINT g FOREIGN KEY (p) REFERENCES t (id) ON DELETE CASCADE"),
         ("DROP FOREIGN KEY `f`", "ADD CONSTRAINT `g`", "ON DELETE CASCADE"), "foreign key `g`"),

    # ---- options
    Case("table comment", t(ID, "COMMENT='a'"), t(ID, "COMMENT='it''s'"), ("COMMENT='it''s'",)),
    Case("table comment dropped", t(ID, "COMMENT='a'"), t(ID), ("COMMENT=''",)),
    Case("row format", t(ID), t(ID, "ROW_FORMAT=COMPACT"), ("ROW_FORMAT=COMPACT",)),
    Case("row format back", t(ID, "ROW_FORMAT=COMPACT"), t(ID), ("ROW_FORMAT=DEFAULT",)),
    Case("row format that is the default", t(ID), t(ID, "ROW_FORMAT=DYNAMIC"), None),
    Case("row format default in the file", t(ID, "ROW_FORMAT=DYNAMIC"), t(ID, "ROW_FORMAT=DEFAULT"), None),
    Case("engine", t(ID, "ENGINE=MyISAM"), t(ID), ("ENGINE=InnoDB",)),
    Case("away from InnoDB", t(ID), t(ID, "ENGINE=MyISAM"), ("ENGINE=MyISAM",), "storage engine"),
    Case("stats", t(ID, "STATS_PERSISTENT=1"), t(ID, "STATS_SAMPLE_PAGES=20"), ("STATS_SAMPLE_PAGES=20", "STATS_PERSISTENT=DEFAULT")),
    Case("key block size", t(ID), t(ID, "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4"), ("ROW_FORMAT=COMPRESSED", "KEY_BLOCK_SIZE=4")),
    Case("options in another order", t(ID, "COMMENT='x' STATS_PERSISTENT=1 ROW_FORMAT=DYNAMIC"), t(ID, "ROW_FORMAT DYNAMIC, STATS_PERSISTENT 1, COMMENT 'x'"), None),

    # ---- partitions
    Case("partition added at the end", t("a int NOT NULL, PRIMARY KEY (a)", "PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (10))"),
         t("a int NOT NULL, PRIMARY KEY (a)", "PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))"),
         ("ADD PARTITION (PARTITION", "(20)"), lacks=("(10)",)),
    Case("partitioned newly", t("a int NOT NULL, PRIMARY KEY (a)"), t("a int NOT NULL, PRIMARY KEY (a)", "PARTITION BY HASH (a) PARTITIONS 3"), ("PARTITION BY HASH", "PARTITIONS 3")),
    Case("partitioning removed", t("a int NOT NULL, PRIMARY KEY (a)", "PARTITION BY HASH (a) PARTITIONS 3"), t("a int NOT NULL, PRIMARY KEY (a)"), ("REMOVE PARTITIONING",)),
    Case("more hash partitions", t("a int NOT NULL, PRIMARY KEY (a)", "PARTITION BY HASH (a) PARTITIONS 3"), t("a int NOT NULL, PRIMARY KEY (a)", "PARTITION BY HASH (a) PARTITIONS 5"), ("PARTITIONS 5",)),
    Case("list partitions with text", t("a varchar(9) NOT NULL, PRIMARY KEY (a)", "PARTITION BY LIST COLUMNS (a) (PARTITION p0 VALUES IN ('x','it''s'))"),
         t("a varchar(9) NOT NULL, PRIMARY KEY (a)", "PARTITION BY LIST COLUMNS (a) (PARTITION p0 VALUES IN ('x','it''s'), PARTITION `p 1` VALUES IN ('z') COMMENT 'q')"),
         ("ADD PARTITION (PARTITION `p 1`",)),

    # ---- names
    Case("names that need quoting", t("`i d` int NOT NULL, `a``b` int, PRIMARY KEY (`i d`)", name="`we%ird``'\"t`"),
         t("`i d` int NOT NULL, `a``b` int, `select` int, `x%sy` int, PRIMARY KEY (`i d`), KEY `k``1` (`a``b`)", name="`we%ird``'\"t`"),
         ("ALTER TABLE `we%ird``'\"t` ADD COLUMN `select` int", "ADD KEY `k``1` (`a``b`)"), "needs quoting"),
    Case("sixty-four characters", t(ID, name="t" * 64), t("id int NOT NULL, " + "c" * 64 + " int, PRIMARY KEY (id), KEY " + "k" * 64 + " (" + "c" * 64 + ")", name="t" * 64),
         ("ADD COLUMN `" + "c" * 64, "ADD KEY `" + "k" * 64)),
    Case("national names", t("id int NOT NULL, `größe` int, PRIMARY KEY (id)", name="`日本`"), t("id int NOT NULL, `größe` bigint, PRIMARY KEY (id)", name="`日本`"),
         ("ALTER TABLE `日本` MODIFY COLUMN `größe` bigint",)),
    Case("keywords as names", t("id int NOT NULL, `key` int, `primary` int, PRIMARY KEY (id), KEY `primary_key` (`key`)", name="`table`"),
         t("id int NOT NULL, `key` bigint, `primary` int, `constraint` int, PRIMARY KEY (id), KEY `primary_key` (`key`)", name="`table`"),
         ("`key` bigint", "ADD COLUMN `constraint`")),

    # ---- everything at once
    Case("everything at once",
         t("id int NOT NULL, a varchar(10), b int, c text, d int, PRIMARY KEY (id), KEY ka (a), KEY kb (b), CONSTRAINT ck CHECK (b > 0)", "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='x'"),
         t("id bigint NOT NULL AUTO_INCREMENT, c mediumtext, a varchar(40) NOT NULL DEFAULT '', n datetime(6) NOT NULL DEFAULT current_timestamp(6), b int, v int AS (b * 2) VIRTUAL, PRIMARY KEY (id), KEY kz (a), UNIQUE KEY kb (b, a), FULLTEXT KEY ft (c)",
           "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci STATS_PERSISTENT=0"),
         ("DROP COLUMN `d`", "MODIFY COLUMN `id` bigint", "ADD UNIQUE KEY `kb`", "ADD FULLTEXT KEY `ft`"), "drops column `d`"),
]


def statement_cases():
    """Files that are refused: (name, text, what the error must say)."""
    return [
        ("nothing", "", "no statement"),
        ("only a comment", "-- nothing here\n", "no statement"),
        ("does not parse", "CREATE TABLE t (id int NOT NULL,\n PRIMRY KEY (id))", "syntax"),
        ("two tables", "CREATE TABLE t (id int);\nCREATE TABLE u (id int);", "second statement"),
        ("a view", "CREATE VIEW v AS SELECT 1", "not a CREATE TABLE"),
        ("a trigger", "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1", "not a CREATE TABLE"),
        ("a procedure", "CREATE PROCEDURE p() SELECT 1", "not a CREATE TABLE"),
        ("an insert", "INSERT INTO t VALUES (1)", "not a CREATE TABLE"),
        ("a drop", "DROP TABLE t", "not a CREATE TABLE"),
        ("a set", "SET GLOBAL read_only = 1", "not a CREATE TABLE"),
        ("temporary", "CREATE TEMPORARY TABLE t (id int)", "temporary"),
        ("or replace", "CREATE OR REPLACE TABLE t (id int)", "CREATE OR REPLACE"),
        ("like", "CREATE TABLE t LIKE u", "list of columns"),
        ("like in brackets", "CREATE TABLE t (LIKE u)", "list of columns"),
        ("select", "CREATE TABLE t (id int) SELECT 1 AS id", "query"),
        ("as select", "CREATE TABLE t AS SELECT 1 AS id", "list of columns"),
        ("select in brackets", "CREATE TABLE t (SELECT 1 AS id)", "query"),
        ("select behind a partitioning", "CREATE TABLE t (id int) PARTITION BY HASH (id) PARTITIONS 2 SELECT 1 AS id", "query"),
        ("table statement", "CREATE TABLE t (id int) TABLE mysql.user", "schema in front"),
        ("values statement", "CREATE TABLE t (id int) PARTITION BY HASH (id) VALUES ROW (1)", "query"),
        ("a common table expression", "CREATE TABLE t (id int) WITH x AS (SELECT 1) SELECT * FROM x", "query"),
        ("another schema", "CREATE TABLE `other`.`t` (id int)", "schema in front"),
        ("another schema, plain", "CREATE TABLE other.t (id int)", "schema in front"),
        ("reference to another schema", "CREATE TABLE t (id int, FOREIGN KEY (id) REFERENCES other.u (id))", "schema in front"),
        ("reference to 1u in another schema", "CREATE TABLE t (id int, FOREIGN KEY (id) REFERENCES other.1u (id))", "schema in front"),
        ("reference from 1s", "CREATE TABLE t (id int, FOREIGN KEY (id) REFERENCES 1s.u (id))", "schema in front"),
        ("a directory", "CREATE TABLE t (id int) DATA DIRECTORY='/tmp'", "DIRECTORY"),
        ("a directory of a partition", "CREATE TABLE t (id int) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (1) DATA DIRECTORY '/tmp')", "DIRECTORY"),
        ("a directory in pieces", "CREATE TABLE t (id int) PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (1) DATA /*!99999 x */ DIRECTORY '/tmp')", "DIRECTORY"),
        ("a tablespace", "CREATE TABLE t (id int) TABLESPACE mysql", "outside the schema"),
        ("another server", "CREATE TABLE t (id int) ENGINE=FEDERATED CONNECTION='mysql://x'", "storage engine"),
        ("a connection", "CREATE TABLE t (id int) CONNECTION='mysql://x'", "other tables or servers"),
        ("a union", "CREATE TABLE t (id int) ENGINE=MyISAM UNION=(u)", "other tables or servers"),
        ("a variable", "CREATE TABLE t (id int DEFAULT (@@port))", "variable"),
        ("hidden in a comment", "CREATE TABLE t (id int) /*!50000 SELECT 1 AS id */", "query"),
        ("a string that ends a comment", "CREATE TABLE t (id int /*!50000 COMMENT '*/ ' */ )", "end mark"),
        ("a comment in a comment", "CREATE TABLE t (id int) /*!50000 /* */ COMMENT='x' */", "comment"),
        ("brackets in a comment", "CREATE TABLE t (id int /*!50000 ) */ )", "brackets"),
        ("not closed: comment", "CREATE TABLE t (id int) /* x", "comment is not closed"),
        ("not closed: quote", "CREATE TABLE t (id int COMMENT 'x)", "quote"),
        ("not closed: bracket", "CREATE TABLE t (id int", "not closed"),
        ("a control character", "CREATE TABLE t (id int) \x01", "control character"),
        ("an emoji as a name", "CREATE TABLE `t😀` (id int)", "U+FFFF"),
        ("an emoji as a column", "CREATE TABLE t (`id😀` int)", "U+FFFF"),
        ("an emoji in a default", "CREATE TABLE t (id int, a varchar(9) DEFAULT '😀')", "U+FFFF"),
        ("a reserved name", "CREATE TABLE _schemabot_x (id int)", "reserved"),
        ("too long a name", "CREATE TABLE " + "t" * 65 + " (id int)", "too long"),
        ("a name that ends in a space", "CREATE TABLE `t ` (id int)", "Incorrect table name"),
        ("an unknown column", "CREATE TABLE t (id int, KEY (nope))", "nope"),
        ("no columns", "CREATE TABLE t ()", "t.sql"),
        ("system versioning", "CREATE TABLE t (id int) WITH SYSTEM VERSIONING", "system versioning"),
        ("a period", "CREATE TABLE t (a date, b date, PERIOD FOR p (a, b))", "period"),
        ("a sequence", "CREATE SEQUENCE s", "not a CREATE TABLE"),
        ("an unknown option", "CREATE TABLE t (id int) FROBNICATE=1", "not a table option"),
    ]
