"""
tables.py - tables as data: random ones, and their CREATE TABLE in many spellings.

Used by it/test_planner_random.py and it/test_planner_skeema.py. A Table says what is meant;
`spelling.py` writes it down, every time otherwise (keyword case, synonyms, display widths, quotes,
inline or separate keys, comments), and never means anything else by it. `edits.py` changes
tables. Rules of the servers that are simple are kept by `repair`; what else is not allowed
the server says, and who asked throws the table away.
"""
import copy
import re
from dataclasses import dataclass, field

SCHEMA_COLLATION = {"mariadb": "utf8mb4_general_ci", "mysql": "utf8mb4_0900_ai_ci"}
# What a character set means when no collation is said.
DEFAULT_COLLATIONS = {"latin1": "latin1_swedish_ci", "ascii": "ascii_general_ci",
                      "utf8mb3": "utf8mb3_general_ci", "ucs2": "ucs2_general_ci",
                      "utf16": "utf16_general_ci", "cp1251": "cp1251_general_ci"}
COLLATIONS = {
    "both": ("utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "latin1_swedish_ci",
             "latin1_bin", "ascii_general_ci", "utf8mb3_general_ci", "utf8mb3_bin",
             "ucs2_general_ci", "utf16_bin", "cp1251_general_ci"),
    "mariadb": ("utf8mb4_uca1400_ai_ci", "utf8mb4_nopad_bin"),
    "mysql": ("utf8mb4_0900_ai_ci", "utf8mb4_0900_bin"),
}
INTS = {"tinyint": 7, "smallint": 15, "mediumint": 23, "int": 31, "bigint": 63}
STRINGS = ("char", "varchar")
TEXTS = ("tinytext", "text", "mediumtext", "longtext")
BLOBS = ("tinyblob", "blob", "mediumblob", "longblob")
GEOMETRY = ("point", "linestring", "polygon", "geometry", "multipoint", "multilinestring",
            "multipolygon", "geometrycollection")
WITH_COLLATION = (*STRINGS, *TEXTS, "enum", "set")
TIMES = ("time", "datetime", "timestamp")
UNBOUNDED = (*TEXTS, *BLOBS, *GEOMETRY, "json", "vector")
SYNONYMS = {"tinyint": ("int1",), "smallint": ("int2",), "mediumint": ("int3", "middleint"),
            "int": ("integer", "int4"), "bigint": ("int8",),
            "decimal": ("dec", "numeric", "fixed"), "double": ("double precision", "real", "float8"),
            "char": ("character",), "varchar": ("character varying", "varcharacter", "char varying"),
            "mediumtext": ("long", "long varchar"), "mediumblob": ("long varbinary",)}
WORDS = ("order", "key", "group", "select", "primary", "rank", "Größe", "日本", "with space",
         "a`b", "CamelCase", "per%cent", "it's", "$d", "x-y", "0start", "Index", "check")


@dataclass
class Expr:
    """An expression; {0}, {1} stand for its columns."""
    text: str
    columns: tuple = ()


@dataclass
class Column:
    name: str
    kind: str
    args: tuple = ()  # length; digits and decimals; elements
    unsigned: bool = False
    zerofill: bool = False
    collation: str = ""  # of texts: in effect
    null: bool = True
    default: object = None  # SQL of a literal, or an Expr; None = nothing is said
    on_update: bool = False
    auto: bool = False
    expr: Expr = None  # generated
    stored: bool = False
    invisible: bool = False
    comment: str = ""
    check: Expr = None  # MariaDB's check of a column


@dataclass
class Part:
    column: str = ""
    prefix: int = 0
    desc: bool = False
    expr: Expr = None


@dataclass
class Index:
    kind: str  # primary, unique, plain, fulltext, spatial
    name: str
    parts: list
    visible: bool = True
    comment: str = ""


@dataclass
class Check:
    name: str  # "" = the server names it
    expr: Expr
    enforced: bool = True


@dataclass
class ForeignKey:
    name: str
    columns: tuple
    parent: str
    parent_columns: tuple
    on_delete: str = ""
    on_update: str = ""


@dataclass
class Partitioning:
    method: str  # range, list, range columns, list columns, hash, linear hash, key, linear key
    column: str
    expr: str = "{0}"  # of range, list and hash
    values: list = field(default_factory=list)  # (name, what stands in the brackets, comment)
    count: int = 0
    sub: str = ""  # hash or key
    sub_count: int = 0


@dataclass
class Table:
    name: str
    collation: str
    columns: list = field(default_factory=list)
    indexes: list = field(default_factory=list)
    checks: list = field(default_factory=list)
    foreign_keys: list = field(default_factory=list)
    options: dict = field(default_factory=dict)
    engine: str = "InnoDB"
    partitioning: Partitioning = None
    start: int = 0  # AUTO_INCREMENT: the counter is at least there
    counter: int = 0  # of names
    referenced: set = field(default_factory=set)  # columns that a foreign key points at

    def column(self, name):
        return next((c for c in self.columns if c.name == name), None)

    def primary(self):
        return next((i for i in self.indexes if i.kind == "primary"), None)

    def copy(self):
        return copy.deepcopy(self)

    def pinned(self):
        """Columns whose type others rely on."""
        names = {c for f in self.foreign_keys for c in f.columns} | self.referenced
        names |= {c for f in self.foreign_keys if f.parent == self.name for c in f.parent_columns}
        return names | ({self.partitioning.column} if self.partitioning else set())

    def used_by_expressions(self):
        return {c for e in self.expressions() for c in e.columns}

    def expressions(self):
        """Every Expr of the table."""
        for c in self.columns:
            yield from (e for e in (c.expr, c.check, c.default) if isinstance(e, Expr))
        yield from (k.expr for k in self.checks)
        yield from (p.expr for i in self.indexes for p in i.parts if p.expr)

    def fresh(self, rng, prefix):
        """A name that nothing here has; now and then one that needs quoting."""
        self.counter += 1
        taken = {x.name.lower() for x in (*self.columns, *self.indexes, *self.checks)}
        if rng.random() < 0.08:
            word = rng.choice(WORDS)
            if word.lower() not in taken and word.lower() != "primary":
                return word
        return f"{prefix}{self.counter}"


# ---- random parts -------------------------------------------------------------------------


def collations(flavor):
    return COLLATIONS["both"] + COLLATIONS[flavor]


def charset_of(collation):
    return collation.split("_")[0]


def default_collation(charset, flavor):
    return SCHEMA_COLLATION[flavor] if charset == "utf8mb4" else DEFAULT_COLLATIONS[charset]


def random_kind(rng, flavor):
    """(kind, args, unsigned, zerofill)"""
    group = rng.choices(("int", "decimal", "float", "bit", "string", "text", "enum", "binary",
                         "blob", "date", "time", "json", "geometry", "special"),
                        (25, 6, 4, 2, 25, 8, 6, 4, 4, 5, 12, 4, 2, 3))[0]
    unsigned = rng.random() < 0.3
    if group == "int":
        kind = rng.choice(list(INTS))
        zerofill = rng.random() < 0.05
        if kind == "tinyint" and not unsigned and rng.random() < 0.4:
            return kind, (1,), False, False
        return kind, (rng.randint(3, 9),) if zerofill else (), unsigned or zerofill, zerofill
    if group == "decimal":
        digits = rng.randint(1, 30)
        return "decimal", (digits, rng.randint(0, min(digits, 10))), unsigned and rng.random() < 0.3, False
    if group == "float":
        kind = rng.choice(("float", "double"))
        return kind, (12, 3) if rng.random() < 0.2 else (), unsigned and rng.random() < 0.3, False
    if group == "bit":
        return "bit", (rng.randint(1, 64),), False, False
    if group == "string":
        if rng.random() < 0.25:
            return "char", (rng.choice((1, 2, 10, 36, 64)),), False, False
        return "varchar", (rng.choice((1, 5, 20, 50, 64, 100, 200, 255, 256, 500)),), False, False
    if group == "enum":
        kind = rng.choice(("enum", "set"))
        pool = ["a", "b", "c", "d", "x y", "it's", "Z%", "é", "", "back\\slash", "10"]
        if kind == "set":
            pool.remove("")
        return kind, tuple(rng.sample(pool, rng.randint(1, 5))), False, False
    if group == "binary":
        return (rng.choice(("binary", "varbinary")), (rng.choice((1, 4, 16, 32, 100)),), False, False)
    if group == "time":
        return rng.choice(TIMES), (rng.choice((0, 0, 0, 1, 3, 6)),), False, False
    special = {"mariadb": ("inet4", "inet6", "uuid", "year"), "mysql": ("year", "vector")}[flavor]
    kind = {"text": rng.choice(TEXTS), "blob": rng.choice(BLOBS), "date": "date", "json": "json",
            "geometry": rng.choice(GEOMETRY), "special": rng.choice(special)}[group]
    return kind, (rng.randint(1, 20),) if kind == "vector" else (), False, False


def random_text(rng, collation="utf8mb4_bin", most=1000):
    """A short text that the character set has."""
    words = ["", "a", "abc", "it's", "x y", 'say "hi"', "100%", "back\\slash", "semi;colon",
             "-- no comment", "a,b", "`q`", "NULL", "{0}"]
    if charset_of(collation) in ("utf8mb4", "utf8mb3", "ucs2", "utf16"):
        words += ["é", "日本", "Ω"]
    return rng.choice([w for w in words if len(w) <= most])


def quote(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def literal(c, rng):
    """SQL of a value that fits the column, or None when there is no simple one."""
    if c.kind in INTS:
        if c.args == (1,):
            return str(rng.randint(0, 1))
        bits = min(INTS[c.kind], 62) if rng.random() < 0.2 else 6
        return str(rng.randint(0 if c.unsigned else -(1 << bits), (1 << bits) - 1))
    if c.kind == "decimal":
        whole = c.args[0] - c.args[1]
        number = str(rng.randint(0, 10 ** min(whole, 6) - 1)) if whole else "0"
        return number + ("." + "5".ljust(c.args[1], "0") if c.args[1] else "")
    if c.kind in ("float", "double"):
        return rng.choice(("0", "1.5", "2.25", "100"))
    if c.kind == "bit":
        return f"b'{rng.randint(0, (1 << min(c.args[0], 8)) - 1):b}'"
    if c.kind == "enum":
        return quote(rng.choice(c.args))
    if c.kind == "set":
        return quote(",".join(e for e in c.args if rng.random() < 0.5))
    if c.kind in STRINGS + TEXTS:
        return quote(random_text(rng, c.collation, c.args[0] if c.args else 1000))
    if c.kind in ("binary", "varbinary"):
        return rng.choice(("'a'", "''", "'b'"))
    if c.kind in BLOBS:
        return rng.choice(("'blob'", "''", "x'00ff'"))
    return _special_literal(c, rng)


def _special_literal(c, rng):
    fraction = "." + "123456"[:c.args[0]] if c.kind in TIMES and c.args[0] else ""
    values = {"date": ("'2020-02-29'", "'1999-12-31'"), "year": ("2020", "1999"),
              "time": (f"'10:11:12{fraction}'", f"'00:00:00{fraction}'"),
              "datetime": (f"'2020-01-02 03:04:05{fraction}'",),
              "timestamp": (f"'2021-01-02 03:04:05{fraction}'",),
              "json": ("'{\"a\": 1}'", "'[]'", "'[1, 2]'"), "inet4": ("'127.0.0.1'",),
              "inet6": ("'::1'", "'fe80::1'"), "uuid": ("'123e4567-e89b-12d3-a456-426655440000'",)}
    if c.kind in GEOMETRY:
        texts = {"point": "POINT(1 2)", "linestring": "LINESTRING(0 0,1 1)",
                 "polygon": "POLYGON((0 0,1 0,1 1,0 0))", "geometry": "POINT(3 4)",
                 "multipoint": "MULTIPOINT(0 0,1 1)",
                 "multilinestring": "MULTILINESTRING((0 0,1 1))",
                 "multipolygon": "MULTIPOLYGON(((0 0,1 0,1 1,0 0)))",
                 "geometrycollection": "GEOMETRYCOLLECTION(POINT(1 1))"}
        return f"ST_GeomFromText('{texts[c.kind]}')"
    return rng.choice(values[c.kind]) if c.kind in values else None


def random_default(table, c, rng, flavor):
    """A literal's SQL, an Expr, "NULL" or None."""
    roll = rng.random()
    if c.expr or c.auto or roll < 0.4:
        return None
    if roll < 0.5:
        return "NULL" if c.null else None
    now = "current_timestamp" + (f"({c.args[0]})" if c.kind in TIMES and c.args[0] else "()")
    if c.kind in ("datetime", "timestamp") and roll < 0.8:
        return Expr(now)
    if c.kind in UNBOUNDED and (flavor == "mysql" or c.kind in GEOMETRY) or roll > 0.85:
        return _default_expression(table, c, rng, flavor)
    return literal(c, rng)


def _default_expression(table, c, rng, flavor):
    if c.kind == "decimal" and c.args[0] - c.args[1] < 2 or c.kind == "tinyint" and c.args == (1,):
        return literal(c, rng)
    if c.kind in INTS or c.kind in ("decimal", "float", "double"):
        earlier = [o.name for o in table.columns if o.kind in INTS and not o.expr and not o.auto
                   and not isinstance(o.default, Expr) and o.name != c.name]
        choices = [Expr("(1 + 2)"), Expr("(abs(-1))"), Expr("(char_length('a b'))")]
        if earlier and rng.random() < 0.5:
            return Expr("({0} % 3)", (rng.choice(earlier),))
        return rng.choice(choices)
    if c.kind in STRINGS + TEXTS:
        if c.args and c.args[0] < 36:
            return Expr("(lower('A'))")
        return rng.choice((Expr("(uuid())"), Expr("(concat('a','b'))"), Expr("(lower('AB''C'))"),
                           Expr("(substr('a%b',1,1))")))
    if c.kind == "json":
        return rng.choice((Expr("(json_object())"), Expr("(json_array(1,2))")))
    if c.kind == "date":
        return rng.choice((Expr("(curdate())"), Expr("(curdate() + interval 1 year)")))
    if c.kind in BLOBS and flavor == "mysql":
        return Expr("('xyz')")
    return literal(c, rng) if c.kind not in UNBOUNDED else None


def random_column(table, rng, flavor, name=""):
    kind, args, unsigned, zerofill = random_kind(rng, flavor)
    c = Column(name or table.fresh(rng, "c"), kind, args, unsigned, zerofill)
    if kind in WITH_COLLATION:
        c.collation = table.collation if rng.random() < 0.75 else rng.choice(collations(flavor))
        if any(not e.isascii() for e in args if isinstance(e, str)):
            c.collation = table.collation if charset_of(table.collation) == "utf8mb4" \
                else "utf8mb4_bin"
    c.null = rng.random() < 0.6
    c.default = random_default(table, c, rng, flavor)
    if kind in ("datetime", "timestamp") and rng.random() < 0.2:
        c.on_update = True
    if rng.random() < 0.15:
        c.comment = random_text(rng)
    if rng.random() < 0.06:
        c.invisible = True
    if flavor == "mariadb" and rng.random() < 0.05:
        c.check = random_check(table, rng, [c])
    return c


def random_check(table, rng, columns=None):
    """An expression that rows usually satisfy, or None."""
    pool = [c for c in columns or table.columns if not c.auto]
    rng.shuffle(pool)
    for c in pool:
        if c.kind in INTS:
            text = rng.choice(("{0} >= -2000000", "{0} <> 77", "{0} is null or {0} < 5000000",
                               "({0} between -900 and 90000000)", "abs({0}) < 100000000"))
        elif c.kind in STRINGS and charset_of(c.collation) not in ("ucs2", "utf16"):
            text = rng.choice(("{0} <> 'zzz'", "char_length({0}) < 900", "{0} not like 'q%'",
                               "{0} is null or {0} <> 'it''s not'"))
        elif c.kind in ("date", "datetime"):
            text = "{0} > '1990-01-01'"
        else:
            continue
        return Expr(text, (c.name,))
    return None


GENERATED = (  # groups of the column it is made from, expression, what it gives
    (INTS, "{0} + 1", ("bigint", ())), (INTS, "{0} * 2", ("bigint", ())),
    (INTS, "{0} is null", ("int", ())), (INTS, "case when {0} > 5 then 1 else 2 end", ("int", ())),
    (STRINGS, "concat({0},'x')", ("varchar", (600,))), (STRINGS, "upper({0})", ("varchar", (600,))),
    (STRINGS, "char_length({0})", ("int", ())), (STRINGS, "left({0},3)", ("varchar", (10,))),
    (STRINGS, "coalesce({0},'it''s none')", ("varchar", (600,))),
    (("date", "datetime"), "year({0})", ("int", ())),
    (("date", "datetime"), "to_days({0})", ("bigint", ())),
    (("json",), "json_unquote(json_extract({0},'$.a'))", ("varchar", (50,))),
)


def make_generated(table, c, rng, flavor):
    """Make c a generated column of one of the others; False when there is none."""
    choices = [(base, text, kind) for base in table.columns for group, text, kind in GENERATED
               if base.kind in group and not base.expr and not base.auto and base.name != c.name]
    if not choices:
        return False
    base, text, (c.kind, c.args) = rng.choice(choices)
    c.expr, c.stored = Expr(text, (base.name,)), rng.random() < 0.5
    c.unsigned = c.zerofill = c.on_update = c.auto = False
    c.default, c.check = None, None
    c.null = flavor == "mariadb" or rng.random() < 0.8
    c.collation = (base.collation or table.collation) if c.kind == "varchar" else ""
    return True


def random_part(c, rng, kind):
    part = Part(c.name)
    if kind in ("fulltext", "spatial"):
        return part
    if c.kind in TEXTS + BLOBS:
        part.prefix = rng.choice((1, 10, 50))
    elif c.kind in ("char", "varchar", "binary", "varbinary") and c.args[0] > 20 and rng.random() < 0.3:
        part.prefix = rng.randint(1, 20)
    elif c.kind in ("char", "varchar") and c.args[0] > 150:
        part.prefix = 50
    part.desc = rng.random() < 0.15
    return part


def indexable(c, kind):
    if kind == "fulltext":
        return c.kind in STRINGS + TEXTS and not c.expr and charset_of(c.collation) not in ("ucs2", "utf16")
    if kind == "spatial":
        return c.kind in GEOMETRY and not c.null
    if kind == "primary" and (c.expr or c.kind in ("json", "vector")):
        return False
    return c.kind not in (*GEOMETRY, "json", "vector")


def random_index(table, rng, flavor, kind=""):
    """A new index, or None when no column is fit for it."""
    kind = kind or rng.choices(("plain", "unique", "fulltext", "spatial"), (60, 25, 10, 5))[0]
    pool = [c for c in table.columns if indexable(c, kind)]
    if kind == "fulltext" and pool:
        pool = [c for c in pool if c.collation == pool[0].collation]
    if kind in ("fulltext", "spatial") and (table.partitioning or table.engine != "InnoDB"):
        return None
    if not pool:
        return None
    count = 1 if kind == "spatial" else rng.choice((1, 1, 1, 2, 2, 3))
    chosen = rng.sample(pool, min(count, len(pool)))
    name = "PRIMARY" if kind == "primary" else table.fresh(rng, "k")
    index = Index(kind, name, [random_part(c, rng, kind) for c in chosen])
    if kind in ("plain", "unique") and rng.random() < 0.2 and table.column(chosen[0].name) and \
            not any(i.name.lower() == chosen[0].name.lower() for i in table.indexes) and \
            chosen[0].name.lower() != "primary":
        index.name = chosen[0].name
    if flavor == "mysql" and kind in ("plain", "unique") and rng.random() < 0.1:
        text = [c for c in table.columns if c.kind in STRINGS and not c.expr]
        number = [c for c in table.columns if c.kind in INTS and not c.expr]
        if text:
            index.parts[-1] = Part(expr=Expr("lower({0})", (rng.choice(text).name,)))
        elif number:
            index.parts[-1] = Part(expr=Expr("{0} + 1", (rng.choice(number).name,)), desc=rng.random() < .3)
    if kind != "primary":
        index.visible = rng.random() > 0.08
        if rng.random() < 0.12:
            index.comment = random_text(rng)
    return index


# ---- partitions -----------------------------------------------------------------------------


def random_partitioning(table, rng):
    """Partition the table by a column made for it, when it is one that can be partitioned."""
    if table.foreign_keys or table.referenced or table.engine != "InnoDB" or \
            any(i.kind in ("fulltext", "spatial") for i in table.indexes) or \
            any(c.kind in GEOMETRY for c in table.columns):
        return False
    have = [c for c in table.columns if c.kind == "int" and not c.null and not c.expr and not c.zerofill]
    if have and rng.random() < 0.6:
        column = rng.choice(have)
    else:
        column = Column(table.fresh(rng, "p"), "int", null=False, default="1")
        table.columns.append(column)
    method = rng.choice(("range", "range", "list", "range columns", "list columns", "hash",
                         "linear hash", "key", "linear key"))
    p = Partitioning(method, column.name)
    if method in ("range", "list", "hash", "linear hash") and not column.unsigned and rng.random() < 0.2:
        p.expr = "{0} + 1"
    if method.startswith("range"):
        bounds = sorted(rng.sample(range(-50, 1000), rng.randint(1, 4))) if not column.unsigned \
            else sorted(rng.sample(range(1, 1000), rng.randint(1, 4)))
        p.values = [[f"p{i}", str(b), ""] for i, b in enumerate(bounds)]
        if rng.random() < 0.4:
            p.values.append(["pmax", "MAXVALUE", ""])
    elif method.startswith("list"):
        numbers = rng.sample(range(0, 60), 9)
        p.values = [[f"p{i}", ",".join(str(n) for n in numbers[3 * i:3 * i + 1 + i]), ""]
                    for i in range(rng.randint(1, 3))]
    else:
        p.count = rng.randint(2, 4)
    for value in p.values:
        if rng.random() < 0.15:
            value[2] = random_text(rng)
    if p.values and rng.random() < 0.2:
        p.sub, p.sub_count = rng.choice(("hash", "key")), rng.randint(2, 3)
    table.partitioning = p
    return True


# ---- rules of the servers --------------------------------------------------------------------


def repair(table, flavor):
    """Keep the simple rules of the servers, by changing the table as little as possible."""
    names = {c.name for c in table.columns}
    for c in table.columns:
        if isinstance(c.default, Expr) and not set(c.default.columns) <= names:
            c.default = None
        if c.check and not set(c.check.columns) <= names:
            c.check = None
    while True:  # a generated column of a generated column is possible
        lost = [c for c in table.columns if c.expr and not set(c.expr.columns) <= names]
        if not lost:
            break
        table.columns = [c for c in table.columns if c not in lost]
        names = {c.name for c in table.columns}
    table.checks = [k for k in table.checks if set(k.expr.columns) <= names]
    if not table.columns:
        table.columns.append(Column(f"only{table.counter}", "int"))
    if all(c.invisible for c in table.columns):
        table.columns[0].invisible = False
    for c in table.columns:
        if c.invisible and flavor == "mariadb" and not c.null and c.default is None and not c.auto:
            c.invisible = False
        if c.default == "NULL" and not c.null:
            c.default = None
        if c.expr and flavor == "mariadb":
            c.null = True
    _repair_indexes(table, flavor)
    _repair_auto(table)


def _repair_indexes(table, flavor):
    kept = []
    for index in table.indexes:
        parts, seen = [], set()
        for part in index.parts:
            if part.expr:
                if all(table.column(n) for n in part.expr.columns):
                    parts.append(part)
                continue
            c = table.column(part.column)
            if not c or part.column in seen or not indexable(c, index.kind):
                continue
            seen.add(part.column)
            _repair_prefix(part, c, index.kind)
            parts.append(part)
        index.parts = parts
        if parts and (index.kind != "primary" or no_primary(kept)):
            kept.append(index)
    if table.engine != "InnoDB":
        kept = [i for i in kept if i.kind not in ("fulltext", "spatial")]
        for index in kept:
            for part in index.parts:
                part.desc = part.desc and flavor == "mariadb" and table.engine != "MEMORY"
    table.indexes = kept
    primary = table.primary()
    if primary:
        for part in primary.parts:
            c = table.column(part.column)
            c.null = False
            if c.default == "NULL":
                c.default = None
    if table.partitioning:
        for index in table.indexes:
            if index.kind in ("primary", "unique") and \
                    not any(p.column == table.partitioning.column for p in index.parts):
                index.parts.append(Part(table.partitioning.column))
            for part in index.parts:
                if part.column == table.partitioning.column:
                    part.prefix = 0


def no_primary(kept):
    return not any(i.kind == "primary" for i in kept)


def _repair_prefix(part, c, kind):
    if kind in ("fulltext", "spatial"):
        part.prefix, part.desc = 0, False
    elif c.kind in TEXTS + BLOBS:
        part.prefix = part.prefix or 20
    elif c.kind in ("char", "varchar", "binary", "varbinary"):
        if part.prefix >= c.args[0]:
            part.prefix = 0
        if not part.prefix and c.args[0] > 150:
            part.prefix = 50
    else:
        part.prefix = 0


def _repair_auto(table):
    """One counter at most, and it begins an index."""
    first = {i.parts[0].column for i in table.indexes if i.kind in ("primary", "unique", "plain")}
    found = False
    for c in table.columns:
        if c.auto and (found or c.name not in first or c.kind not in INTS or c.expr):
            c.auto = False
        if c.auto:
            c.null, c.default, c.check, found = False, None, None, True


# ---- whole tables ------------------------------------------------------------------------------


def random_table(name, rng, flavor):
    table = Table(name, SCHEMA_COLLATION[flavor])
    if rng.random() < 0.3:
        table.collation = rng.choice(collations(flavor))
    table.engine = rng.choices(("InnoDB", "MyISAM", "Aria" if flavor == "mariadb" else "InnoDB"),
                               (96, 2, 2))[0]
    if rng.random() < 0.7:
        table.columns.append(Column(table.fresh(rng, "id"), rng.choice(("int", "bigint", "int")),
                                    unsigned=rng.random() < 0.3, null=False, auto=rng.random() < 0.6))
        table.indexes.append(Index("primary", "PRIMARY", [Part(table.columns[0].name)]))
    for _ in range(rng.choices(range(1, 13), (3, 5, 8, 8, 8, 6, 5, 4, 3, 2, 1, 1))[0]):
        table.columns.append(random_column(table, rng, flavor))
    for _ in range(rng.choices((0, 1, 2), (70, 20, 10))[0]):
        c = Column(table.fresh(rng, "g"), "int")
        if make_generated(table, c, rng, flavor):
            table.columns.append(c)
    if not table.primary() and rng.random() < 0.5:
        index = random_index(table, rng, flavor, "primary")
        if index:
            table.indexes.append(index)
    for _ in range(rng.choices(range(5), (30, 30, 20, 12, 8))[0]):
        index = random_index(table, rng, flavor)
        if index:
            table.indexes.append(index)
    for _ in range(rng.choices(range(3), (75, 18, 7))[0]):
        expr = random_check(table, rng)
        if expr:
            table.checks.append(Check(f"{name}_{table.fresh(rng, 'ck')}" if rng.random() < 0.8 else "", expr,
                                      flavor == "mariadb" or rng.random() < 0.85))
    table.options = random_options(rng, flavor, table.engine)
    table.start = rng.randint(1, 50) if rng.random() < 0.15 else 0
    if rng.random() < 0.12:
        random_partitioning(table, rng)
    repair(table, flavor)
    return table


def random_options(rng, flavor, engine):
    options = {}
    if rng.random() < 0.25:
        options["COMMENT"] = quote(random_text(rng) or "x")
    if engine == "InnoDB" and rng.random() < 0.2:
        options["ROW_FORMAT"] = rng.choice(("DYNAMIC", "COMPACT", "REDUNDANT", "COMPRESSED"))
        if options["ROW_FORMAT"] == "COMPRESSED" and rng.random() < 0.5:
            options["KEY_BLOCK_SIZE"] = rng.choice(("4", "8"))
    for name, values in (("STATS_PERSISTENT", ("0", "1")), ("STATS_AUTO_RECALC", ("0", "1")),
                         ("STATS_SAMPLE_PAGES", ("10", "33")), ("MAX_ROWS", ("1000",)),
                         ("MIN_ROWS", ("5",)), ("AVG_ROW_LENGTH", ("100",)), ("CHECKSUM", ("1",)),
                         ("DELAY_KEY_WRITE", ("1",)), ("PACK_KEYS", ("0", "1"))):
        if rng.random() < 0.04:
            options[name] = rng.choice(values)
    if flavor == "mysql" and engine == "InnoDB" and rng.random() < 0.02:
        options["AUTOEXTEND_SIZE"] = "4194304"
    return options


def link(child, parent, rng, name):
    """A foreign key from new columns of child to the parent's primary key; False = cannot."""
    key = parent.primary()
    if not key or child.partitioning or parent.partitioning or child.engine != "InnoDB" or \
            parent.engine != "InnoDB" or any(p.prefix or p.desc for p in key.parts):
        return False
    columns = []
    for part in key.parts:
        of = parent.column(part.column)
        if of.kind in ("float", "double", "bit", "enum", "set"):
            return False
        c = copy.deepcopy(of)
        c.name, c.auto, c.null, c.default, c.check = child.fresh(rng, "f"), False, True, None, None
        c.on_update = c.invisible = False
        child.columns.append(c)
        columns.append(c.name)
    actions = ("", "", "CASCADE", "SET NULL", "RESTRICT", "NO ACTION")
    child.foreign_keys.append(ForeignKey(name, tuple(columns), parent.name,
                                         tuple(p.column for p in key.parts),
                                         rng.choice(actions), rng.choice(actions)))
    if rng.random() < 0.7:
        child.indexes.append(Index("plain", child.fresh(rng, "k"), [Part(c) for c in columns]))
    if child is not parent:
        parent.referenced |= {p.column for p in key.parts}
    return True
