"""
planner_pairs.py - pairs of schemas that a plan has to lead into each other, both ways.

Data for test_planner_pairs.py. A pair is two tables, or two lists of tables. Whichever is
live, the plan for the other must be proved, work on the real tables and leave nothing to
do, or be refused with the words that the pair names. `there` and `back` are words that must
stand in the statements (in this order), None: there is nothing to do. `lacks`: words in no
statement. `only`: a flavour.
"""
from dataclasses import dataclass


@dataclass
class Pair:
    name: str
    a: object
    b: object
    there: tuple = ()
    back: tuple = ()
    lacks: tuple = ()
    only: str = ""
    refused: str = ""  # both ways
    refused_back: str = ""

    def tables(self, side):
        text = getattr(self, side)
        return list(text) if isinstance(text, (list, tuple)) else [text]

    def alone(self):
        """Names that are unique in a schema, or several tables: not in one schema with others."""
        text = " ".join(self.tables("a") + self.tables("b"))
        return bool(len(self.tables("a")) != 1 or len(self.tables("b")) != 1 or self.refused or self.refused_back
                    or "CONSTRAINT" in text or "REFERENCES" in text or not text.startswith("CREATE TABLE t ("))


MARIADB, MYSQL = "mariadb", "mysql"
SAME = {"there": None, "back": None}


def table(columns, options=""):
    return f"CREATE TABLE t ({columns}) {options}"


def columns(name, a, b, only="", **words):
    """Two tables with a primary key `id`."""
    return Pair(name, table(f"id int NOT NULL, PRIMARY KEY (id), {a}"), table(f"id int NOT NULL, PRIMARY KEY (id), {b}"),
                only=only, **words)


def options(name, a, b, only="", key="id int NOT NULL, PRIMARY KEY (id)", **words):
    return Pair(name, table(key, a), table(key, b), only=only, **words)


COLUMNS = [
    # ---- types
    columns("charset attributes", "a varchar(5)", "a varchar(5) CHARACTER SET latin1 NOT NULL DEFAULT 'x' COMMENT 'y'"),
    columns("national text", "a varchar(10)", "a NATIONAL VARCHAR(10), b NCHAR(3), c NATIONAL CHAR VARYING(7)"),
    columns("synonyms of types",
            "a integer, b dec(5), c numeric(5,2), d real, e double precision, f bool, g int1, h int8, i middleint, j long,"
            " k character varying(9), l fixed(4,1), m float4, n float8, o int3, p int2, q int4, r long varbinary",
            "a int, b decimal(5,0), c decimal(5,2), d double, e double, f tinyint(1), g tinyint, h bigint, i mediumint, j mediumtext,"
            " k varchar(9), l decimal(4,1), m float, n double, o mediumint, p smallint, q int, r mediumblob", **SAME),
    Pair("serial", table("id bigint unsigned NOT NULL AUTO_INCREMENT UNIQUE, a int"), table("id SERIAL, a int"), **SAME),
    columns("bits and bytes", "a bit, b bit(64), c binary(4), d varbinary(5)", "a bit(1) DEFAULT b'1', b bit(63) DEFAULT 0x0F, c binary DEFAULT 'x', d varbinary(6) NOT NULL"),
    columns("bytes as a default", "a varchar(10), b varbinary(4), c binary(4), d binary(2)",
            "a varchar(10) DEFAULT 0x61, b varbinary(4) DEFAULT X'00ff', c binary(4) DEFAULT 0x01fe03ff, d binary(2) DEFAULT '\\0\\0'"),
    columns("bytes in an expression", "a blob", "a blob DEFAULT (concat(0x00ff, 'x'))"),
    columns("uuid and addresses", "a char(36), b char(39)", "a uuid NOT NULL DEFAULT uuid(), b inet6 DEFAULT '::1', c inet4", MARIADB),
    columns("vector", "a varbinary(10)", "a varbinary(10), b vector(3)", MYSQL),
    columns("json", "a json, b json, c json", "a json NOT NULL, b json DEFAULT ('{}') COMMENT 'x', c longtext"),
    columns("json written out", "a json, b json NOT NULL",
            "a longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`a`)), b longtext COLLATE utf8mb4_bin NOT NULL CHECK (json_valid(b))", MARIADB, **SAME),
    columns("geometry", "a geometry", "a geometry NOT NULL, b linestring, c polygon, d multipoint, e multilinestring, f multipolygon, g geometrycollection"),
    columns("reference systems", "a geometry NOT NULL SRID 4326, b point NOT NULL", "a geometry NOT NULL SRID 0, b point NOT NULL SRID 4326", MYSQL, there=("SRID 0", "SRID 4326")),
    columns("a reference system under an index", "g point NOT NULL", "g point NOT NULL SRID 4326, SPATIAL KEY (g)", MYSQL, back=("DROP INDEX `g`\n", "MODIFY COLUMN `g`")),
    columns("another reference system under an index", "g point NOT NULL SRID 0, SPATIAL KEY (g)", "g point NOT NULL SRID 4326, SPATIAL KEY (g)", MYSQL, there=("DROP INDEX `g`\n", "MODIFY COLUMN `g`", "ADD SPATIAL KEY `g`")),
    columns("floats", "a float(24), b float(25), c float(7,3), d year, e double(9,3)", "a float, b double, c float(8,3), d year(4), e double", there=("`c` float(8,3)", "`e` double")),
    columns("zerofill", "a int zerofill, b int(5) zerofill, c tinyint(1), d decimal(5,2)",
            "a int(10) unsigned zerofill, b int(6) zerofill, c tinyint(1) unsigned, d decimal(5,2) unsigned zerofill, e bigint(3) unsigned zerofill, f float unsigned",
            lacks=("`a`",)),
    columns("fractions of time", "a time, b datetime, c timestamp NULL", "a time(3), b datetime(1), c timestamp(6) NULL"),
    columns("enum values", "a enum('a'), b enum('1','2') DEFAULT '1', c enum('é','b') CHARACTER SET latin1, d enum('a','b') COLLATE utf8mb4_bin",
            "a enum('a','''','\\\\','\\n','é日本','a,b','(',' x','\\t','%s','b  '), b enum('1','2') DEFAULT '2', c enum('é','b') CHARACTER SET utf8mb4, d enum('a','A') COLLATE utf8mb4_bin"),
    columns("many members", "a set('a'), b enum('a')", "a set(" + ",".join(f"'m{i}'" for i in range(64)) + "), b enum(" + ",".join(f"'value {i}'" for i in range(3000)) + ")"),
    columns("texts by length", "a text(60), b blob(70000), c text(20000000)", "a tinytext, b mediumblob, c longtext", **SAME),
    columns("no length", "a varchar(0), b char", "a varchar(1), b char(0), c char"),
    columns("long texts", "a varchar(16000)", "a varchar(16001)"),

    # ---- defaults
    columns("now", "a datetime DEFAULT CURRENT_TIMESTAMP, b timestamp NOT NULL DEFAULT LOCALTIME, c timestamp NOT NULL DEFAULT LOCALTIMESTAMP()",
            "a datetime DEFAULT now(), b timestamp NOT NULL DEFAULT current_timestamp(), c timestamp NOT NULL DEFAULT now()", **SAME),
    columns("now with fractions", "a datetime(3)", "a datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)", there=("(3) ON UPDATE",)),
    columns("timestamps", "a timestamp, b timestamp NULL, c datetime, d timestamp NULL", "a timestamp NULL, b timestamp NULL DEFAULT NULL, c datetime ON UPDATE now(), d timestamp NOT NULL DEFAULT '2001-01-01 00:00:00'"),
    columns("expressions", "a date, b datetime, c varchar(40), d int, e json, f varchar(9)",
            "a date DEFAULT (curdate()), b datetime DEFAULT (now() + interval 1 day), c varchar(40) DEFAULT (concat('it''s', \"q\", '\\\\', '\\n', 'é日')), d int DEFAULT (case when 1 > 2 then 'x' else 3 end),"
            " e json DEFAULT (json_object('a', 1, 'b', 'x y')), f varchar(9) DEFAULT (cast(5 as char(3)))"),
    columns("an expression with columns", "a int, b int", "a int, b int DEFAULT (a * 2)"),
    columns("introducers", "a varchar(9), b varchar(9)", "a varchar(9) DEFAULT (_latin1'x'), b varchar(9) DEFAULT (_utf8mb4'é')"),
    columns("numbers", "a decimal(5,2), b float, c double, d bigint unsigned, e bool, f decimal(5,2) DEFAULT 1",
            "a decimal(5,2) DEFAULT '1.50', b float DEFAULT 1e3, c double DEFAULT -1.5e-7, d bigint unsigned DEFAULT 18446744073709551615, e bool NOT NULL DEFAULT false, f decimal(5,2) DEFAULT '1.00'", lacks=("`f`",)),
    columns("members and times", "a enum('a','b'), b set('x','y'), c time, d year", "a enum('a','b') NOT NULL DEFAULT 'b', b set('x','y') DEFAULT 'x,y', c time DEFAULT '-12:34:56', d year DEFAULT 1999"),
    columns("an expression that is NULL", "a int", "a int DEFAULT (NULL)"),
    columns("odd character sets", "a varchar(9) CHARACTER SET ucs2 DEFAULT 'é', b varchar(9) CHARACTER SET latin1", "a varchar(9) CHARACTER SET utf16 DEFAULT 'éx', b varchar(9) CHARACTER SET sjis DEFAULT 'あ', c varchar(9) CHARACTER SET gbk DEFAULT '縗', d char(3) CHARACTER SET utf32, e varchar(3) CHARACTER SET koi8r"),

    # ---- attributes
    columns("comments", "a int, b int COMMENT 'x', c int COMMENT ''", "a int COMMENT 'q''q \"d\" b\\\\s n\\nn t\\tt \\% \\_ z\\Z é日 /* -- # ;', b int COMMENT 'x\\\\', c int", lacks=("`c`",)),
    columns("a long comment", "a int", "a int COMMENT '" + "é" * 1024 + "'"),
    columns("utf8 is utf8mb3", "a varchar(9) CHARACTER SET utf8, b varchar(9) COLLATE utf8_bin", "a varchar(9) CHARACTER SET utf8mb3, b varchar(9) COLLATE utf8mb3_bin", **SAME),
    columns("binary, ascii, unicode", "a varchar(10), b char(3), c char(3), d binary(4), e varchar(5)", "a varchar(10) BINARY, b char(3) ASCII, c char(3) UNICODE, d char(4) byte, e varchar(5) CHARACTER SET binary"),
    columns("collations", "a varchar(9), b text, c varchar(9) CHARACTER SET latin1", "a varchar(9) COLLATE utf8mb4_unicode_520_ci, b text COLLATE latin1_bin, c varchar(9) CHARACTER SET latin1 COLLATE latin1_german2_ci"),
    columns("default collations are real when named", "a varchar(9) COLLATE utf8mb4_0900_ai_ci", "a varchar(9) COLLATE utf8mb4_general_ci", MYSQL, there=("utf8mb4_general_ci",)),
    columns("collation without its character set", "a varchar(9) COLLATE utf8mb4_uca1400_ai_ci", "a varchar(9) COLLATE uca1400_ai_ci", MARIADB, **SAME),
    columns("invisible", "a int, b int, c int INVISIBLE, d int", "a int INVISIBLE, b int NOT NULL DEFAULT 3 INVISIBLE COMMENT 'x', d int, c int INVISIBLE, v int AS (d) VIRTUAL INVISIBLE"),
    columns("compressed", "a text, b text COMPRESSED", "a text COMPRESSED, b text COMPRESSED=zlib, c varchar(100) COMPRESSED DEFAULT 'x'", MARIADB, there=("COMPRESSED",)),
    columns("checks of columns", "a int CHECK (a > 1), b int, c int CHECK (c > 1)", "a int CHECK (a > 2), b int CHECK (b < 5 AND b <> a), c int", MARIADB, there=("MODIFY COLUMN `a`", "MODIFY COLUMN `b`", "MODIFY COLUMN `c`"), lacks=("CONSTRAINT",)),
    columns("checks of columns become checks of the table", "a int CHECK (a > 1)", "a int CHECK (a > 2), b int CHECK (b < 5)", MYSQL, there=("DROP CHECK", "ADD CONSTRAINT")),
    columns("storage", "a int STORAGE DISK, b int COLUMN_FORMAT FIXED, c int", "a int, b int COLUMN_FORMAT DYNAMIC, c int STORAGE MEMORY COLUMN_FORMAT FIXED", MYSQL, there=("COLUMN_FORMAT",)),

    # ---- order and names
    columns("two columns change places", "a int, b varchar(5)", "b varchar(5), a int", there=("MODIFY COLUMN",)),
    columns("two columns change types", "a int, b varchar(5)", "a varchar(5), b int"),
    columns("two columns change places and types", "a int, b varchar(5)", "b int, a varchar(5)"),
    columns("case of a name, and all else", "Abc int, d int", "d int, aBC bigint", there=("CHANGE COLUMN `Abc` `aBC` bigint",)),
    columns("case of an indexed name", "Abc int, KEY k (Abc)", "abc int, KEY k (abc)", there=("CHANGE COLUMN",), lacks=("INDEX", "KEY")),
    columns("case of a computed name", "Abc int, v int AS (Abc+1) VIRTUAL, w int AS (Abc+1) STORED", "abc int, v int AS (abc+1) VIRTUAL, w int AS (abc+1) STORED"),
    columns("case of a name in a check", "Abc int, CONSTRAINT cc CHECK (Abc > 1)", "abc int, CONSTRAINT cc CHECK (abc > 1)"),
    columns("case of a name in a foreign key", "Abc int, KEY k (Abc), CONSTRAINT f FOREIGN KEY (Abc) REFERENCES t (id)",
            "abc int, KEY k (abc), CONSTRAINT f FOREIGN KEY (abc) REFERENCES t (id)", there=("CHANGE COLUMN",), lacks=("FOREIGN", "INDEX")),
    Pair("case of a partitioned name", table("Ab int NOT NULL, PRIMARY KEY (Ab)", "PARTITION BY HASH (Ab) PARTITIONS 2"),
         table("ab int NOT NULL, PRIMARY KEY (ab)", "PARTITION BY HASH (ab) PARTITIONS 2")),
    columns("a thousand columns", "a int", "a int, " + ", ".join(f"c{i} tinyint" for i in range(1010))),
    columns("all in reverse", ", ".join(f"c{i} tinyint" for i in range(200)), ", ".join(f"c{i} tinyint" for i in reversed(range(200)))),

    # ---- AUTO_INCREMENT
    Pair("numbers no more", table("id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (id)"), table("id int NOT NULL, PRIMARY KEY (id)")),
    Pair("a new column numbers", table("a int NOT NULL AUTO_INCREMENT, PRIMARY KEY (a)"), table("a int NOT NULL, id bigint unsigned NOT NULL AUTO_INCREMENT, PRIMARY KEY (id), KEY (a)")),
    Pair("the numbered column goes", table("a int NOT NULL AUTO_INCREMENT, b int NOT NULL, PRIMARY KEY (a)"), table("b int NOT NULL AUTO_INCREMENT, PRIMARY KEY (b)")),
    Pair("another index of the numbered column", table("a int NOT NULL AUTO_INCREMENT, b int NOT NULL, PRIMARY KEY (b), KEY ka (a)"), table("a int NOT NULL AUTO_INCREMENT, b int NOT NULL, PRIMARY KEY (b), UNIQUE KEY kz (a)")),
    Pair("the numbered column leaves the primary key", table("a int NOT NULL AUTO_INCREMENT, b int NOT NULL, PRIMARY KEY (a)"), table("a int NOT NULL AUTO_INCREMENT, b int NOT NULL, PRIMARY KEY (b,a), KEY ka (a)")),
    Pair("the primary key is turned round", table("a int NOT NULL AUTO_INCREMENT, b int NOT NULL, PRIMARY KEY (a,b)"), table("a int NOT NULL AUTO_INCREMENT, b int NOT NULL, PRIMARY KEY (b,a), UNIQUE KEY (a)")),
    Pair("numbers in front, all else moves", table("a int, b int, PRIMARY KEY (b)"), table("id int NOT NULL AUTO_INCREMENT, b int, a int, PRIMARY KEY (id), KEY (b)")),
    Pair("numbers within groups", table("a int NOT NULL, id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (a,id)", "ENGINE=MyISAM"), table("a bigint NOT NULL, id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (a,id)", "ENGINE=MyISAM")),

    # ---- generated columns
    columns("computed, attributes", "a int NOT NULL, v int AS (a) VIRTUAL", "a int NOT NULL, v int AS (a) VIRTUAL COMMENT 'c''x' INVISIBLE"),
    columns("computed, not null", "a int NOT NULL", "a int NOT NULL, v int AS (a) VIRTUAL NOT NULL", MYSQL),
    columns("computed, types", "a int, v int AS (a) VIRTUAL, w int AS (a) STORED", "a int, v bigint AS (a) VIRTUAL, w bigint AS (a) STORED"),
    columns("computed, unique", "a int, v int AS (a) VIRTUAL", "a int, v int AS (a) VIRTUAL UNIQUE"),
    columns("computed from another column", "a int, v int AS (a + 1) VIRTUAL, w int AS (a + 1) STORED", "b int, v int AS (b + 1) VIRTUAL, w int AS (b + 1) STORED"),
    columns("what it is computed from changes", "a int, v int AS (a + 1) VIRTUAL", "a bigint, v int AS (a + 1) VIRTUAL"),
    columns("computed, moved", "a int, v int AS (a + 1) VIRTUAL, b int, w int AS (a + 1) STORED", "w int AS (a + 1) STORED, v int AS (a + 1) VIRTUAL, a int, b int"),
    columns("persistent is stored", "a int, v int AS (a+1) PERSISTENT", "a int, v int AS (a+1) STORED", MARIADB, **SAME),
    columns("what is computed from a computed one", "a int, v int AS (a + 1) VIRTUAL, x int AS (v + 1) VIRTUAL, y int AS (x + 1) STORED, KEY kx (x), KEY ky (y, a)",
            "a int, v int AS (a + 1) STORED, x int AS (v + 1) VIRTUAL, y int AS (x + 1) STORED, KEY kx (x), KEY ky (y, a)", there=("DROP COLUMN `v`", "DROP COLUMN `x`", "DROP COLUMN `y`", "ADD COLUMN `v`")),
    columns("a check of a computed column", "a int, v int AS (a + 1) VIRTUAL, CONSTRAINT cc CHECK (v > 0), CONSTRAINT cd CHECK (a > 0)",
            "a int, v int AS (a + 1) STORED, CONSTRAINT cc CHECK (v > 0), CONSTRAINT cd CHECK (a > 0)", there=("`cc`", "DROP COLUMN `v`", "ADD CONSTRAINT `cc`"), lacks=("`cd`",)),
    columns("an index over an expression with a computed column", "a int, v int AS (a+1) VIRTUAL, KEY k ((v+1))", "a int, v int AS (a+1) STORED, KEY k ((v+1))", MYSQL, there=("DROP INDEX `k`", "ADD KEY `k`")),
    columns("a foreign key of a computed column", "a int, v int AS (a + 1) STORED, KEY kv (v), CONSTRAINT f FOREIGN KEY (v) REFERENCES t (id)", "a int, v int, KEY kv (v), CONSTRAINT f FOREIGN KEY (v) REFERENCES t (id)"),
    columns("computed texts", "a varchar(9), j json", "a varchar(9), j json, v varchar(20) AS (concat(_latin1'x', a, 'ü')) VIRTUAL, w varchar(20) AS (json_unquote(json_extract(j, '$.a.b'))) VIRTUAL, KEY (w)"),
]

INDEXES = [
    columns("a parser of words", "a text, b text, FULLTEXT KEY f (a)", "a text, b text, FULLTEXT KEY f (a), FULLTEXT KEY g (b) WITH PARSER ngram", MYSQL, there=("WITH PARSER",)),
    columns("another parser of words", "a text, b int, FULLTEXT KEY f (a)", "a text, FULLTEXT KEY f (a) WITH PARSER ngram", MYSQL, there=("DROP INDEX `f`\n", "DROP COLUMN", "WITH PARSER")),
    columns("fulltext", "a text, b text, FULLTEXT KEY f (a)", "a text, b text, FULLTEXT KEY f (b)"),
    columns("two of fulltext", "a text, b text", "a text, b text, FULLTEXT KEY f (a), FULLTEXT KEY g (a,b)"),
    columns("fulltext of new columns", "a text", "a text, b text, c varchar(10), FULLTEXT KEY f (a), FULLTEXT KEY g (b), KEY h (c)"),
    columns("spatial", "g point NOT NULL, SPATIAL KEY s (g)", "h polygon NOT NULL, g point NOT NULL, SPATIAL KEY z (g), SPATIAL KEY s (h)"),
    columns("descending", "a int, b int, KEY k (a DESC)", "a int, b int, KEY k (a, b DESC)"),
    columns("expressions", "a varchar(9), b int, j json, KEY l ((lower(a)))", "a varchar(19), b int, j json, KEY k ((a collate utf8mb4_bin), b DESC), UNIQUE KEY u ((b + 1)), KEY l ((lower(a))), KEY n ((cast(j->'$.x' as unsigned array)))", MYSQL, lacks=("INDEX `l`",)),
    columns("an expression's column goes", "a varchar(9), b int, KEY k ((lower(a)))", "b int", MYSQL),
    columns("an index over an expression is renamed", "a varchar(9), KEY k ((lower(a)))", "a varchar(9), KEY l ((lower(a)))", MYSQL, there=("RENAME INDEX `k` TO `l`",)),
    columns("case in an expression", "Ab varchar(9), KEY k ((lower(Ab)))", "ab varchar(9), KEY k ((lower(ab)))", MYSQL),
    columns("hidden unique", "a int, b int, UNIQUE KEY k (a), KEY l (b)", "a int, b int, UNIQUE KEY k (a) INVISIBLE, KEY m (b) INVISIBLE", MYSQL, there=("INVISIBLE",)),
    columns("ignored unique", "a int, b int, UNIQUE KEY k (a), KEY l (b)", "a int, b int, UNIQUE KEY k (a) IGNORED, KEY m (b) IGNORED", MARIADB, there=("IGNORED",)),
    columns("a block size that InnoDB ignores", "a int, KEY k (a)", "a int, KEY k (a) KEY_BLOCK_SIZE=4", **SAME),
    columns("hash in InnoDB", "a int, b text, KEY k (a)", "a int, b text, KEY k (a) USING HASH, UNIQUE KEY u (b) USING HASH", MARIADB),
    Pair("hash and tree", table("a int NOT NULL, b int, KEY k (a), KEY l (b) USING HASH", "ENGINE=MEMORY"), table("a int NOT NULL, b int, KEY k (a) USING BTREE, KEY l (b)", "ENGINE=MEMORY")),
    Pair("hash to InnoDB", table("a int NOT NULL, KEY k (a) USING HASH", "ENGINE=MEMORY"), table("a int NOT NULL, KEY k (a)")),
    columns("comments", "a int, KEY k (a) COMMENT 'x'", "a int, KEY k (a) COMMENT 'y\\'\\\\n'"),
    columns("several of the same content", "a int, KEY a1 (a), KEY a2 (a), KEY a3 (a)", "a int, KEY b1 (a), KEY a2 (a), KEY b3 (a)", there=("RENAME INDEX `a1` TO `b1`", "RENAME INDEX `a3` TO `b3`"), lacks=("DROP", "ADD")),
    columns("fewer of the same content", "a int, KEY a1 (a), KEY a2 (a), KEY a3 (a)", "a int, KEY b1 (a)", there=("DROP INDEX", "DROP INDEX", "RENAME INDEX"), back=("RENAME INDEX", "ADD KEY", "ADD KEY")),
    columns("names in a chain", "a int, b int, KEY x (a), KEY y (b)", "a int, b int, KEY y (a), KEY z (b)"),
    columns("the name of one that goes", "a int, b int, KEY x (a), KEY y (b)", "a int, b int, KEY y (a)"),
    columns("case of a name, other content", "a int, b int, KEY Xx (a)", "a int, b int, KEY xX (b)"),
    columns("names that the server gives", "a int, b int, c int, KEY (a), KEY (a,b), UNIQUE (b)", "a int, b int, c int, KEY (a), KEY (a,b), UNIQUE (b), KEY (c)", there=("ADD KEY `c`",), back=("DROP INDEX `c`",), lacks=("`a`",)),
    columns("unique in the column", "a int", "a int UNIQUE, b int UNIQUE KEY"),
    columns("sixty-four", "a int, b int", "a int, b int, " + ", ".join(f"KEY k{i} (a,b)" for i in range(63))),
    Pair("prefix in a primary key", table("a varchar(100) NOT NULL, PRIMARY KEY (a(10))"), table("a varchar(100) NOT NULL, PRIMARY KEY (a(20) DESC) COMMENT 'x'")),
    Pair("primary and nullable", table("a int NOT NULL, PRIMARY KEY (a)"), table("a int NULL")),
    Pair("primary key, places and types", table("a int NOT NULL, b int NOT NULL, PRIMARY KEY (a,b)"), table("b bigint NOT NULL, a bigint NOT NULL, PRIMARY KEY (b,a)")),
    Pair("primary to unique", table("a int NOT NULL, PRIMARY KEY (a)"), table("a int NOT NULL, UNIQUE KEY a (a)")),
    Pair("a column of the primary key goes", table("a int NOT NULL, b int NOT NULL, PRIMARY KEY (a,b)"), table("a int NOT NULL, PRIMARY KEY (a)")),
    Pair("the primary key's column is another", table("a int NOT NULL, b int, PRIMARY KEY (a)"), table("c int NOT NULL, b int, PRIMARY KEY (c)")),
]

PARENT = "CREATE TABLE p (id int NOT NULL, x int NOT NULL, PRIMARY KEY (id), UNIQUE KEY kx (x))"


def child(constraints, columns="p int, q int"):
    return [PARENT, f"CREATE TABLE c (id int NOT NULL, {columns}, PRIMARY KEY (id){', ' if constraints else ''}{constraints})"]


F = "CONSTRAINT f FOREIGN KEY (p) REFERENCES p (id)"
CONSTRAINTS = [
    Pair("an index that comes by itself", child(""), child(F), there=("ADD KEY `f`", "ADD CONSTRAINT `f`")),
    Pair("it needs no other", child(F), child(F, "p int, q int, r int"), there=("ADD COLUMN `r`",), lacks=("KEY", "INDEX")),
    Pair("an index instead of the one that came", child(F), child(f"KEY kp (p), {F}"), there=("RENAME INDEX `f` TO `kp`",)),
    Pair("a longer index instead", child(f"KEY kp (p), {F}"), child(f"KEY kpq (p, q), {F}"), there=("DROP INDEX `kp`", "ADD KEY `kpq`")),
    Pair("a longer index of the same name", child(f"KEY kp (p), {F}"), child(f"KEY kp (p, q), {F}"), there=("DROP INDEX `kp`", "ADD KEY `kp`")),
    Pair("the primary key instead", child(f"KEY kp (p), {F}", "p int NOT NULL"), [PARENT, f"CREATE TABLE c (id int NOT NULL, p int NOT NULL, PRIMARY KEY (p, id), {F})"]),
    Pair("names of foreign keys that count", child("FOREIGN KEY (p) REFERENCES p (id), FOREIGN KEY (q) REFERENCES p (x)"), child("FOREIGN KEY (q) REFERENCES p (x), FOREIGN KEY (p) REFERENCES p (id)"), **SAME),
    Pair("the first that counts goes", child("FOREIGN KEY (p) REFERENCES p (id), FOREIGN KEY (q) REFERENCES p (x)"), child("FOREIGN KEY (q) REFERENCES p (x)"),
         there=("DROP FOREIGN KEY `c_ibfk_1`",), back=("ADD FOREIGN KEY (`p`)",), lacks=("c_ibfk_2",)),
    Pair("a name instead of a number", child("FOREIGN KEY (p) REFERENCES p (id)"), child(F), there=("DROP FOREIGN KEY `c_ibfk_1`", "ADD CONSTRAINT `f`")),
    Pair("actions that are taken anyway", child(F), child(F + " ON DELETE RESTRICT ON UPDATE NO ACTION"), **SAME),
    Pair("an index with a name", child(""), child("FOREIGN KEY named (p) REFERENCES p (id)")),
    Pair("a reference in the column", child(""), child("", "p int REFERENCES p (id), q int")),
    Pair("column and foreign key", child("", "q int"), child(F + " ON DELETE CASCADE ON UPDATE SET NULL")),
    Pair("two to one", child(""), child(F + ", CONSTRAINT `g``h` FOREIGN KEY (q) REFERENCES p (x) ON DELETE SET NULL")),
    columns("to itself", "p int, q int", "p int, q int, CONSTRAINT f FOREIGN KEY (p) REFERENCES t (id), CONSTRAINT g FOREIGN KEY (q) REFERENCES t (id) ON DELETE SET NULL"),
    columns("two columns to itself", "p int, q int, UNIQUE KEY u (p,q)", "p int, q int, r int, s int, UNIQUE KEY u (p,q), CONSTRAINT f FOREIGN KEY (r,s) REFERENCES t (p,q)"),
    Pair("to itself, and nothing of it stays", "CREATE TABLE t (c date NOT NULL, f date, PRIMARY KEY (c), CONSTRAINT fk FOREIGN KEY (f) REFERENCES t (c))",
         "CREATE TABLE t (f date NOT NULL, PRIMARY KEY (f))"),
    columns("to itself with fulltext", "a text, p int", "a text, p int, FULLTEXT KEY f (a), KEY kp (p), CONSTRAINT fk FOREIGN KEY (p) REFERENCES t (id)"),
    Pair("new tables, the child's name first", [], [PARENT, f"CREATE TABLE a (id int PRIMARY KEY, p int, {F})"]),
    Pair("a foreign key to a new table", ["CREATE TABLE a (id int PRIMARY KEY, p int)"], [PARENT, f"CREATE TABLE a (id int PRIMARY KEY, p int, {F})"]),
    Pair("three generations", [], ["CREATE TABLE c1 (id int PRIMARY KEY, p int, CONSTRAINT f1 FOREIGN KEY (p) REFERENCES c2 (id))", "CREATE TABLE c2 (id int PRIMARY KEY, p int, CONSTRAINT f2 FOREIGN KEY (p) REFERENCES c3 (id))", "CREATE TABLE c3 (id int PRIMARY KEY)"]),

    columns("numbered checks", "a int, CHECK (a > 1), CHECK (a > 2)", "a int, CHECK (a > 2), CHECK (a > 3)", there=("CHECK (",)),
    columns("the first numbered check goes", "a int, CHECK (a > 1), CHECK (a > 2)", "a int, CHECK (a > 2)", there=("DROP C",), back=("ADD CHECK (",), lacks=("_2`",)),
    columns("not enforced", "a int, CONSTRAINT c CHECK (a > 1) NOT ENFORCED, CONSTRAINT d CHECK (a > 1) NOT ENFORCED", "a int, CONSTRAINT c CHECK (a > 1), CONSTRAINT d CHECK (a > 2) NOT ENFORCED", MYSQL, there=("NOT ENFORCED",)),
    columns("a check of a column that goes", "a int, b int, CONSTRAINT c CHECK (b > 1), CONSTRAINT d CHECK (b > a)", "a int, CONSTRAINT d CHECK (a > 1)"),
    columns("checks of texts", "a varchar(9), CONSTRAINT c CHECK (a <> 'x')", "a varchar(9) CHARACTER SET latin1, CONSTRAINT c CHECK (a <> 'x'), CONSTRAINT `c c` CHECK (a in ('x','it''s','é') AND a regexp '^[a-z]+$' AND a <> '\\\\')"),
    columns("case of a check's name", "a int, CONSTRAINT Cc CHECK (a > 1)", "a int, CONSTRAINT cC CHECK (a > 1)"),
]

OPTIONS = [
    options("utf8", "CHARSET=utf8", "CHARSET=utf8mb3", **SAME),
    options("character set and columns", "CHARSET=latin1", "CHARSET=utf8mb4", key="id int PRIMARY KEY, a varchar(10), b text, c enum('x'), d varchar(5) CHARACTER SET latin1", lacks=("`d`", "CONVERT")),
    options("statistics", "STATS_AUTO_RECALC=1", "STATS_AUTO_RECALC=0 STATS_PERSISTENT=1 STATS_SAMPLE_PAGES=3"),
    options("compression", "", "COMPRESSION='zlib'", MYSQL),
    options("encryption", "", "ENCRYPTION='N'", MYSQL),
    options("growth", "", "AUTOEXTEND_SIZE=4M", MYSQL),
    options("compressed pages", "PAGE_COMPRESSED=1", "PAGE_COMPRESSED=1 PAGE_COMPRESSION_LEVEL=9", MARIADB),
    options("no compressed pages", "", "PAGE_COMPRESSED=1 ENCRYPTED=NO", MARIADB),
    options("hints", "CHECKSUM=1 MAX_ROWS=100 MIN_ROWS=5 AVG_ROW_LENGTH=50 PACK_KEYS=1 DELAY_KEY_WRITE=1", "MAX_ROWS=200"),
    options("row formats", "ROW_FORMAT=REDUNDANT", "ROW_FORMAT=COMPRESSED"),
    options("block size", "", "KEY_BLOCK_SIZE=8", key="id int, a int, PRIMARY KEY (id), KEY k (a), UNIQUE u (a)"),
    options("another block size", "KEY_BLOCK_SIZE=4", "KEY_BLOCK_SIZE=8", key="id int, a int, PRIMARY KEY (id), KEY k (a), UNIQUE u (a)", lacks=("PRIMARY",)),
    options("block size of a compressed table", "ROW_FORMAT=COMPRESSED", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=2", key="id int, a int, PRIMARY KEY (id), KEY k (a)"),
    options("Aria", "ENGINE=Aria TRANSACTIONAL=1", "ENGINE=Aria TRANSACTIONAL=0 PAGE_CHECKSUM=1", MARIADB),
    options("comments", "COMMENT='x\\\\'", "COMMENT='it''s \\\\ \"x\" é\\n;--'"),
    options("a collation of the table", "", "COLLATE=utf8mb4_unicode_520_ci", there=("COLLATE=utf8mb4_unicode_520_ci",)),
]

AB = "a int NOT NULL, b int NOT NULL DEFAULT 0, PRIMARY KEY (a,b)"
ABC = "a int NOT NULL, b int NOT NULL DEFAULT 0, c int, PRIMARY KEY (a,b)"
DATES = "d date NOT NULL, s varchar(9) NOT NULL, PRIMARY KEY (d,s)"


def ranges(*ends, by="RANGE (a)"):
    """p0, p1 ... ; an end may be "name: value"."""
    parts = [end.split(": ") if ": " in str(end) else (f"p{i}", str(end)) for i, end in enumerate(ends)]
    return f"PARTITION BY {by} (" + ", ".join(f"PARTITION {n} VALUES LESS THAN " + (v if v == "MAXVALUE" else f"({v})") for n, v in parts) + ")"


def lists(*parts, by="LIST (a)"):
    return f"PARTITION BY {by} (" + ", ".join(
        f"PARTITION {n} " + (v if v == "DEFAULT" else f"VALUES IN ({v})") for n, v in (p.split(": ") for p in parts)) + ")"


def both(name, a, b, key=AB, key2=None, only="", **words):
    return Pair(name, table(key, a), table(key2 or key, b), only=only, **words)


HALVES = "SUBPARTITION BY HASH (b) SUBPARTITIONS 2"
NAMED = "PARTITION BY RANGE (a) SUBPARTITION BY HASH (b) (PARTITION p0 VALUES LESS THAN (10) (SUBPARTITION s0, SUBPARTITION s1)%s)"
PARTITIONS = [
    both("ranges at the end", ranges(10), ranges(10, 20, "MAXVALUE"), there=("ADD PARTITION",), back=("DROP PARTITION `p1`, `p2`",), lacks=("BY RANGE",)),
    both("a range in front of the last", ranges(10, "MAXVALUE"), ranges(10, "p2: 20", "p1: MAXVALUE"), there=("PARTITION BY",), back=("DROP PARTITION `p2`",)),
    both("the first range goes", ranges(10, 20, 30), ranges("p1: 20", "p2: 30"), there=("DROP PARTITION `p0`",), back=("PARTITION BY",)),
    both("the first goes, one follows the last", ranges(10, 20), ranges("p1: 20", "p2: 30", "p3: 40"), there=("DROP PARTITION `p0`", "ADD PARTITION (PARTITION"), back=("PARTITION BY",)),
    both("ranges united", ranges(10, 20, 30), ranges("pm: 20", "p2: 30"), there=("PARTITION BY",), back=("PARTITION BY",)),
    both("a range renamed", ranges(10, 20), ranges(10, "q: 20"), there=("PARTITION BY",), back=("PARTITION BY",)),
    both("a range's end", ranges(10, 20), ranges(10, 25), there=("PARTITION BY",), back=("PARTITION BY",)),
    both("a range's comment", ranges(10), "PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (10) COMMENT 'it''s' MAX_ROWS=5)"),
    both("what the ranges are of", ranges(10), ranges(10, by="RANGE (a + 1)")),
    both("ranges and a column", ranges(10, 20), ranges(10, 20, 30), AB, ABC, there=("ADD COLUMN `c`", "ADD PARTITION"), back=("DROP PARTITION `p2`", "DROP COLUMN `c`"), lacks=("PARTITION BY",)),
    both("ranges go and a column comes", ranges(10, 20, 30), ranges("p1: 20", "p2: 30", "p3: 40"), AB, ABC, there=("DROP PARTITION `p0`", "ADD COLUMN `c`", "ADD PARTITION"), back=("DROP COLUMN `c` PARTITION BY",)),
    both("only a column", ranges(10, 20), "COMMENT='x' " + ranges(10, 20), AB, ABC, lacks=("PARTITION",)),
    both("ranges and options", "CHARSET=latin1 " + ranges(10), "CHARSET=utf8mb4 COMMENT='x' " + ranges(10, 20)),
    both("types of partitioned columns", ranges(10, 20), ranges(10, 20), AB, "b bigint NOT NULL DEFAULT 0, a bigint NOT NULL, PRIMARY KEY (b,a)", lacks=("PARTITION",)),
    both("another column", ranges(10, 20), ranges(10, 20, by="RANGE (c)"), AB, "c int NOT NULL, b int NOT NULL DEFAULT 0, PRIMARY KEY (c,b)"),
    both("ranges of columns", ranges("p0: 1,10", by="RANGE COLUMNS (a,b)"), ranges("p0: 1,10", "p1: 5,MAXVALUE", "p2: MAXVALUE,MAXVALUE", by="RANGE COLUMNS (a,b)"), there=("ADD PARTITION",), back=("DROP PARTITION",)),
    both("ranges of dates", ranges("'2020-01-01'", by="RANGE COLUMNS (d)"), ranges("'2020-01-01'", "'2021-01-01'", "MAXVALUE", by="RANGE COLUMNS (d)").replace("THAN MAXVALUE", "THAN (MAXVALUE)"), DATES, there=("ADD PARTITION",)),
    both("ranges of days", ranges("to_days('2020-01-01')", by="RANGE (to_days(d))"), ranges("to_days('2020-01-01')", "to_days('2021-01-01')", by="RANGE (to_days(d))"), DATES, there=("ADD PARTITION",)),
    both("lists at the end", lists("p0: 1,2", "p1: 3"), lists("p0: 1,2", "p1: 3", "p2: 4,NULL"), "a int, b int, KEY (a)", there=("ADD PARTITION",), back=("DROP PARTITION `p2`",)),
    both("a list goes, another comes", lists("p0: 1,2", "p1: 3", "p2: 4"), lists("p0: 1,2", "p2: 4", "p3: 5"), there=("DROP PARTITION `p1`", "ADD PARTITION")),
    both("a list renamed", lists("p0: 1,2", "p1: 3"), lists("p0: 1,2", "q: 3"), there=("PARTITION BY",), back=("PARTITION BY",)),
    both("a list's values", lists("p0: 1,2", "p1: 3"), lists("p0: 1,2,7", "p1: 3"), there=("PARTITION BY",)),
    both("lists in another order", lists("p0: 1,2", "p1: 3"), lists("p1: 3", "p0: 1,2")),
    both("the rest", lists("p0: 1,2"), lists("p0: 1,2", "pd: DEFAULT"), only=MARIADB, there=("ADD PARTITION",), back=("DROP PARTITION `pd`",)),
    both("a list beside the rest", lists("p0: 1,2", "pd: DEFAULT"), lists("p0: 1,2", "pd: DEFAULT", "p3: 5"), only=MARIADB, there=("PARTITION BY",)),
    both("lists of columns", lists("p0: (1,2),(3,4)", by="LIST COLUMNS (a,b)"), lists("p0: (1,2),(3,4)", "p1: (5,6)", by="LIST COLUMNS (a,b)"), there=("ADD PARTITION",)),
    both("lists of texts", lists("p0: 'x','it''s','\\\\'", by="LIST COLUMNS (s)"), lists("p0: 'x','it''s','\\\\'", "`p``q`: 'é日'", by="LIST COLUMNS (s)"), DATES, there=("ADD PARTITION (PARTITION `p``q`",), back=("DROP PARTITION `p``q`",)),
    both("hash", "PARTITION BY HASH (a) PARTITIONS 3", "PARTITION BY LINEAR HASH (a) PARTITIONS 4"),
    both("hash with names", "PARTITION BY HASH (a) (PARTITION x, PARTITION y)", "PARTITION BY HASH (a) (PARTITION x, PARTITION y, PARTITION z)", lacks=("DROP",)),
    both("key", "PARTITION BY KEY () PARTITIONS 3", "PARTITION BY LINEAR KEY (a,b) PARTITIONS 3"),
    both("key's algorithm", "PARTITION BY KEY ALGORITHM=2 (a) PARTITIONS 2", "PARTITION BY KEY ALGORITHM=1 (a) PARTITIONS 2"),
    both("subpartitions", ranges(10, by=f"RANGE (a) {HALVES}"), ranges(10, 20, by=f"RANGE (a) {HALVES}"), there=("ADD PARTITION",), back=("DROP PARTITION `p1`",)),
    both("other subpartitions", ranges(10, 20, by=f"RANGE (a) {HALVES}"), ranges(10, 20, by="RANGE (a) SUBPARTITION BY KEY (b) SUBPARTITIONS 3"), there=("PARTITION BY",)),
    both("subpartitions with names", NAMED % "", NAMED % ", PARTITION p1 VALUES LESS THAN (20) (SUBPARTITION s2 COMMENT 'x', SUBPARTITION s3)", there=("ADD PARTITION",), back=("DROP PARTITION `p1`",)),
    both("partitioned or not", "", ranges(10, 20), back=("REMOVE PARTITIONING",)),
    both("of another kind", ranges(10), "PARTITION BY HASH (a) PARTITIONS 2"),
    both("partitions and another engine", "ENGINE=MyISAM " + ranges(10), "ENGINE=InnoDB " + ranges(10), only=MARIADB),
    both("case of a partition's name", ranges(10, 20), ranges(10, "P1: 20")),
    both("many partitions", ranges(*range(10, 100)), ranges(*range(10, 200)), there=("ADD PARTITION",)),
]

COUNTED = "id int NOT NULL AUTO_INCREMENT, PRIMARY KEY (id)"
COUNTERS = [
    both("a value of the counter", "", "AUTO_INCREMENT=500", COUNTED, there=("ALTER TABLE", "AUTO_INCREMENT=500"), back=None),
    both("a greater value", "AUTO_INCREMENT=100", "AUTO_INCREMENT=500", COUNTED, there=("AUTO_INCREMENT=500",), back=None),
    both("a value and a column", "AUTO_INCREMENT=100", "AUTO_INCREMENT=500", COUNTED, COUNTED + ", a int", there=("AUTO_INCREMENT=500\n", "ADD COLUMN `a`"), back=("DROP COLUMN",)),
    both("a value that the old type does not hold", "", "AUTO_INCREMENT=3000000000", COUNTED, COUNTED.replace("int", "bigint"), there=("bigint", ", AUTO_INCREMENT=3000000000"), back=("MODIFY",)),
    both("a value of a new counter", "", "AUTO_INCREMENT=500", "id int NOT NULL, PRIMARY KEY (id)", COUNTED, there=(", AUTO_INCREMENT=500",), back=("MODIFY",)),
    both("a value without a counter", "", "AUTO_INCREMENT=500", "id int NOT NULL, PRIMARY KEY (id)", **SAME),
    Pair("a value of a new table", [], [table(COUNTED, "AUTO_INCREMENT=77")], there=("AUTO_INCREMENT=77",)),
]

ME, YOU = "CREATE TABLE `we``ird` (`i``d` int NOT NULL, PRIMARY KEY (`i``d`))", "CREATE TABLE `ta ble` (`a``b` int, `c d` int, `日本` int)"
NAMES = [
    Pair("quotes in all names", [ME, YOU], [ME, "CREATE TABLE `ta ble` (`a``b` bigint, `c d` int, `e;f` int, `日本` int, v int AS (`a``b` + `日本`) STORED, KEY `k``x` (`a``b`, `日本`),"
         " CONSTRAINT `c``k` CHECK (`a``b` > 1), CONSTRAINT `日``fk` FOREIGN KEY (`c d`) REFERENCES `we``ird` (`i``d`))"]),
    Pair("names of digits", "CREATE TABLE `1t` (`2c` int, `3e4` int)", "CREATE TABLE `1t` (`3e4` int, `2c` int, KEY `5` (`2c`))"),
    Pair("names that differ in case", ["CREATE TABLE Tt (a int)", "CREATE TABLE tt (a int)"], ["CREATE TABLE Tt (a int, b int)", "CREATE TABLE tt (a int)"], there=("ALTER TABLE `Tt`",)),
    Pair("names that look like comments", table("`a#b` int, `--` int, `/*x*/` int, `a%sb` int"), table("`--` int, `a#b` int, `/*x*/` bigint, `/*!50000 y` int, `a%sb` bigint, `%n` int")),
    Pair("a sequence and a versioned table are left alone", ["CREATE SEQUENCE s1", "CREATE TABLE s2 (a int) WITH SYSTEM VERSIONING", table("a int")], [table("a int, b int")],
         only=MARIADB, there=("ALTER TABLE `t` ADD COLUMN `b`",), lacks=("s1", "s2"), refused_back="SEQUENCE"),
    Pair("a file for a sequence", ["CREATE SEQUENCE t"], [table("a int")], only=MARIADB, refused="`t` is a SEQUENCE in the live schema", refused_back="not a CREATE TABLE"),
    Pair("a file for a versioned table", ["CREATE TABLE t (a int) WITH SYSTEM VERSIONING"], [table("a int")], only=MARIADB, refused="`t` is a SYSTEM VERSIONED in the live schema", refused_back="system-versioned tables are not managed"),
]

PAIRS = COLUMNS + INDEXES + CONSTRAINTS + OPTIONS + PARTITIONS + COUNTERS + NAMES
