"""
test_types_lossless.py - what core/schema/types.c says of conversions, held against the servers.

Every type of TYPES is converted into every other one, with extreme and random values. What we
call lossless has to succeed in strict mode by ALTER, leave every value what it was, and give
the same values when it is converted back. What we call lossy has to fail or to alter a value,
or be in CAUTIOUS with a reason.
"""
import decimal
import os
import random
import re

import pymysql
import pytest

from test_planner import drop_all, target

SEED = int(os.environ.get("SB_SEED") or random.randrange(1 << 32))
LOSSY_SHARE = float(os.environ.get("SB_TYPES_LOSSY", "0.25"))  # of the pairs that we call lossy
RANDOM = random.Random(SEED)
decimal.getcontext().prec = 400
STRICT = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
LOSS_RULES = ("lossy_type", "charset_narrowing", "reorder_values", "add_check")  # a JSON of MariaDB is a CHECK


class Type:
    """A column type, literals of values that it holds, and how a value is read back."""

    def __init__(self, sql, family, values, only=""):
        self.sql, self.family, self.values, self.only = sql, family, list(values), only

    def read(self, column):
        if self.family in ("text", "list"):
            return f"HEX(CONVERT({column} USING utf8mb4))"
        if self.family in ("binary", "bit", "vector"):
            return f"HEX({column})"
        if self.family == "geometry":
            return f"HEX(ST_AsBinary({column}))"
        if self.family == "float":
            return f"CAST({column} + 0e0 AS CHAR)"
        return f"CAST({column} AS CHAR)"

    def raw(self, column):
        """As it is stored, as far as SQL shows it."""
        return f"HEX({column})" if self.family in ("text", "list") else self.read(column)

    def meaning(self, text):
        """The value that was read, in a form that does not depend on the type's details."""
        if text is None:
            return None
        text = text.decode() if isinstance(text, bytes) else str(text)
        if self.family in ("integer", "decimal"):
            return decimal.Decimal(text)
        if self.family == "float":
            value = decimal.Decimal(float(text))
            digits = re.search(r",(\d+)", self.sql)
            return round(value, int(digits[1])) if digits else value
        if self.family in ("text", "list"):
            return bytes.fromhex(text).decode("utf-8", "surrogateescape")
        if self.family == "temporal":
            if ":" not in text:
                text += " 00:00:00"
            whole, _, fraction = text.partition(".")
            return f"{whole}.{fraction:0<6}"
        return text


def integers(bits):
    half = 1 << (bits - 1)
    return ([str(v) for v in (-half, half - 1, 0, -1, RANDOM.randrange(-half, half))],
            [str(v) for v in (0, 2 * half - 1, half, half - 1, RANDOM.randrange(0, 2 * half))])


def decimals(digits, scale, signed=True):
    most = decimal.Decimal(10 ** digits - 1).scaleb(-scale)
    any_ = decimal.Decimal(RANDOM.randrange(10 ** digits)).scaleb(-scale)
    values = [most, decimal.Decimal(0), decimal.Decimal(1).scaleb(-scale), any_]
    return [f"{v:f}" for v in values + ([-most, -any_] if signed else [])]


def quoted(*texts):
    return ["'" + t.replace("\\", "\\\\").replace("'", "''") + "'" for t in texts]


def texts(length, alphabet="aZ9 é€😀"):
    """So many characters, of the widest too; spaces at the ends; numbers; nothing."""
    some = "".join(RANDOM.choice(alphabet) for _ in range(length - 1))
    return quoted("", "a", (" " + "a" * length)[:length], ("a" * length)[:length - 1] + " ",
                  alphabet[-1] * length, "z" + some, "12"[:length])


def octets(length):
    some = "".join(f"{RANDOM.randrange(256):02x}" for _ in range(length))
    return ["''", "0x" + "00" * length, "0x" + "ff" * length, "0x" + some, "0x61", "0x6100"]


def make_types():
    all_ = []

    def add(sql, family, values, only=""):
        all_.append(Type(sql, family, values, only))

    for name, bits in (("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)):
        signed, unsigned = integers(bits)
        add(name, "integer", signed)
        add(name + " unsigned", "integer", unsigned)
    for digits, scale in ((5, 2), (7, 2), (7, 4), (3, 0), (8, 0), (19, 0), (20, 0), (25, 5), (65, 30)):
        add(f"decimal({digits},{scale})", "decimal", decimals(digits, scale))
    add("decimal(5,2) unsigned", "decimal", decimals(5, 2, signed=False))
    add("decimal(20,0) unsigned", "decimal", decimals(20, 0, signed=False))
    floats = ["0", "0.1", "-0.1", "3.4e38", "-3.4e38", "1.2e-38", "16777216", "16777215", "123456.789"]
    doubles = ["0", "0.1", "-0.1", "1.7e308", "-1.7e308", "2.3e-308", "9007199254740993", repr(RANDOM.random())]
    add("float", "float", floats)
    add("float unsigned", "float", [v for v in floats if v[0] != "-"])
    add("float(7,2)", "float", ["0", "0.1", "-99999.99", "12345.67"])
    add("double", "float", doubles)
    add("double unsigned", "float", [v for v in doubles if v[0] != "-"])
    add("double(9,3)", "float", ["0", "0.1", "-999999.999", "123456.789"])
    add("double(5,1)", "float", ["0", "0.1", "-9999.9"])
    for bits in (1, 8, 64):
        add(f"bit({bits})", "bit", [f"b'{'1' * bits}'", "b'0'", "b'1'", f"b'1{'0' * (bits - 1)}'"])
    add("year", "year", ["1901", "2155", "2000", "0"])

    dates = ["1000-01-01", "9999-12-31", "2024-02-29", "0000-00-00", "2024-00-00"]
    add("date", "temporal", quoted(*dates))
    for fsp in (0, 3, 6):
        f = f"({fsp})" if fsp else ""
        tail = "." + "9" * fsp if fsp else ""
        some = "." + f"{RANDOM.randrange(10 ** fsp):0{fsp}}" if fsp else ""
        add("datetime" + f, "temporal", quoted("1000-01-01 00:00:00", "9999-12-31 23:59:59" + tail, "2024-02-29 12:34:56" + some,
                                               "0000-00-00 00:00:00"))
        add("timestamp" + f + " NULL", "temporal", quoted("1970-01-02 00:00:01", "2038-01-18 03:14:07" + tail, "2024-02-29 12:34:56" + some))
        add("time" + f, "temporal", quoted("-838:59:59", "838:59:59", "00:00:00" + some, "23:59:59" + tail))

    for sql, length in (("char(3)", 3), ("char(4)", 4), ("varchar(3)", 3), ("varchar(4)", 4), ("varchar(63)", 63), ("varchar(64)", 64),
                        ("varchar(255)", 255), ("varchar(300)", 300)):
        values = texts(length)
        add(sql, "text", values)
    add("tinytext", "text", texts(255, "az")[:6] + quoted("😀" * 63))
    add("text", "text", texts(65535, "az")[4:6] + quoted("", "😀 ", "a" * 256))
    add("mediumtext", "text", quoted("", "a" * 65536, "😀 "))
    add("longtext", "text", quoted("", "a" * 65537, "😀 "))
    for charset, alphabet in (("ascii", "aZ~"), ("latin1", "aéÿ"), ("utf8mb3", "aé€"), ("cp1251", "aя"), ("ucs2", "aé€"),
                              ("utf16", "aé😀"), ("utf32", "aé😀"), ("gbk", "a中"), ("euckr", "a한"), ("swe7", "aå")):
        add(f"varchar(4) CHARACTER SET {charset}", "text", texts(4, alphabet)[:6])
    add("varchar(4) CHARACTER SET cp932", "text", ["''", "'あ'", "_cp932 0x8790", "_cp932 0x81e0"])  # the latter are one character of Unicode
    add("tinytext CHARACTER SET latin1", "text", texts(255, "aé")[:6])
    add("text CHARACTER SET latin1", "text", quoted("", "é" * 65535))
    add("text CHARACTER SET utf8mb3", "text", quoted("", "€" * 21845))
    add("char(3) CHARACTER SET latin1", "text", texts(3, "aé")[:6])
    add("varchar(4) COLLATE utf8mb4_bin", "text", texts(4))

    add("binary(4)", "binary", octets(4))
    add("binary(8)", "binary", octets(8))
    add("varbinary(4)", "binary", octets(4))
    add("varbinary(16)", "binary", octets(16))
    add("varbinary(255)", "binary", octets(255))
    add("tinyblob", "binary", octets(255))
    add("blob", "binary", ["''", "REPEAT(0xff, 65535)", "0x6100"])
    add("longblob", "binary", ["''", "REPEAT(0xff, 65536)", "0x6100"])

    for kind in ("enum", "set"):
        both = ["'a,b'", "''"] if kind == "set" else []
        add(f"{kind}('a')", "list", ["'a'"])
        add(f"{kind}('a','b')", "list", ["'a'", "'b'"] + both)
        add(f"{kind}('b','a')", "list", ["'a'", "'b'"] + both)
        add(f"{kind}('a','b','c')", "list", ["'a'", "'b'", "'c'"] + both)
        add(f"{kind}('a','b') CHARACTER SET latin1", "list", ["'a'", "'b'"] + both)
    add("enum('aé','€ x','','1')", "list", quoted("aé", "€ x", "1"))
    add("enum('a','b','c','d','e','f')", "list", ["'a'", "'f'"])

    add("json", "json", quoted("{}", '{"a": [1, 2.5, null, "é😀"]}', "[1, 2]", '"x"', "12"))
    for kind, literal in (("point", "POINT(1 2)"), ("geometry", "POINT(1 2)"), ("linestring", "LINESTRING(0 0, 1 1)"),
                          ("polygon", "POLYGON((0 0, 0 1, 1 1, 0 0))")):
        more = ["ST_GeomFromText('LINESTRING(0 0, 1 1)')"] if kind == "geometry" else []
        add(kind, "geometry", [f"ST_GeomFromText('{literal}')"] + more)
    add("uuid", "uuid", quoted("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
                               "123e4567-e89b-12d3-a456-426614174000"), "mariadb")
    add("inet6", "inet", quoted("::", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:1.2.3.4"), "mariadb")
    add("inet4", "inet", quoted("0.0.0.0", "255.255.255.255"), "mariadb")
    add("vector(2)", "vector", ["TO_VECTOR('[1,2]')"], "mysql")
    add("vector(3)", "vector", ["TO_VECTOR('[1,2,3]')", "TO_VECTOR('[0.1,-1e30,0]')"], "mysql")
    add("vector(5)", "vector", ["TO_VECTOR('[1,2,3,4,5]')"], "mysql")
    return all_


TYPES = make_types()

NUMBERS = ("integer", "decimal", "float")


def comparable(source, wanted):
    """Can the two meanings be compared as they are?"""
    one, other = source.family, wanted.family
    if one == other == "float" and ("," in source.sql) != ("," in wanted.sql):
        return False  # one of them is shown with rounded digits
    return one == other or (one in NUMBERS and other in NUMBERS) or (one == "list" and other == "text")


def between(sources, wanteds, why):
    return lambda a, b: a.family in sources and b.family in wanteds and a.family != b.family, why


def within(family, sources, wanteds, why):
    """Of one family, types that match two regular expressions."""
    return lambda a, b: a.family == b.family == family and re.search(sources, a.sql) and re.search(wanteds, b.sql), why


# Called lossy although no value of ours was lost: why.
CAUTIOUS = [
    between(("integer", "decimal", "float", "year", "bit", "temporal", "list", "uuid", "inet", "json", "text", "geometry", "vector"),
            ("text", "binary"), "compared and sorted as texts or bytes afterwards, not by value"),
    between(("binary",), ("text", "inet", "uuid"), "bytes are a text or an address by chance only"),
    between(("integer", "decimal", "float", "text", "year", "bit"), ("json",), "a JSON is compared by other rules"),
    between(("bit", "integer", "decimal", "float", "year"), ("bit", "integer", "decimal", "float", "year"),
            "only whole numbers are measured against other kinds of numbers"),
    between(("list",), ("integer", "decimal", "float", "bit", "year"), "the places of the elements, which nobody meant as numbers"),
    between(("bit",), ("list",), "numbers become places in a list"),
    between(("temporal",), ("integer", "decimal", "float", "bit"), "digits of a date are not a number to count with"),
    between(("integer", "bit", "year"), ("temporal",), "numbers are read as hours and minutes"),
    within("list", "", "", "the numbers that values are stored and sorted as are others"),
    within("temporal", "timestamp", "datetime", "a moment becomes what a clock in the session's time zone shows"),
    within("float", "", r"\(", "servers copy floats without rounding them to the digits of the new type"),
    within("float", "double", "float", "only few values of a double are a float's"),
    within("text", "longtext", "mediumtext", "sixteen million characters are too many for a test"),
    within("text", "(utf8mb3|ucs2|cp1251|gbk|swe7|euckr|latin1)", "CHARACTER SET", "a text of ours has no character that the other set lacks"),
]


def reason_for(source, wanted):
    return next((why for applies, why in CAUTIOUS if applies(source, wanted)), None)


# ---- what we say ------------------------------------------------------------------------------


def types_of(stack):
    return [t for t in TYPES if t.only in ("", stack.flavor)]


def chunks(source, wanted):
    """Lists of conversions for which a row of the source's type is not too long."""
    width = int(re.search(r"\((\d+)", source.sql + "(1")[1])
    width = 4 * width if source.family == "text" else width if source.family == "binary" else 30
    n = min(len(wanted), 60000 // width, 7000 // (width if width <= 255 else 41))
    return [wanted[i:i + n] for i in range(0, len(wanted), n)]


def verdicts(stack, cursor, types):
    """{(source, wanted)} that we call lossless, as plans say."""
    tables = []
    for i, source in enumerate(types):
        others = [(k, w) for k, w in enumerate(types) if k != i]
        tables += [(i, part) for part in chunks(source, others)]
    lossless = set()
    for at in range(0, len(tables), 10):
        drop_all(cursor)
        files = {}
        for n, (i, part) in enumerate(tables[at:at + 10], at):
            columns = ", ".join(f"c{k} {types[i].sql}" for k, _ in part)
            cursor.execute(f"CREATE TABLE t{n} (id int NOT NULL, {columns}, PRIMARY KEY (id)) DEFAULT CHARSET=utf8mb4")
            columns = ", ".join(f"c{k} {w.sql}" for k, w in part)
            files[f"t{n}.sql"] = f"CREATE TABLE t{n} (id int NOT NULL, {columns}, PRIMARY KEY (id)) DEFAULT CHARSET=utf8mb4"
        plan = stack.post_plan(files).expect(200)
        lossy = {(v["table"], v["column"]) for v in plan["lint_violations"] if v["linter"] in LOSS_RULES}
        assert lossy, plan["errors"]
        for n, (i, part) in enumerate(tables[at:at + 10], at):
            lossless |= {(i, k) for k, _ in part if (f"t{n}", f"c{k}") not in lossy}
    drop_all(cursor)
    return lossless


# ---- what servers do --------------------------------------------------------------------------


def read_raw(cursor, table, column, type_):
    cursor.execute(f"SELECT {type_.raw(column)} AS v FROM {table} ORDER BY id")
    return [row["v"] for row in cursor.fetchall()]


def read(cursor, table, column, type_):
    cursor.execute(f"SELECT {type_.read(column)} AS v FROM {table} ORDER BY id")
    return [type_.meaning(row["v"]) for row in cursor.fetchall()]


def fill(cursor, table, column, type_):
    for n, value in enumerate(type_.values):
        try:
            cursor.execute(f"INSERT INTO {table} (id, {column}) VALUES ({n}, {value})")
        except pymysql.err.MySQLError as error:
            pytest.fail(f"{type_.sql} does not hold {value[:100]}: {error}")


def converts(cursor, source, wanted):
    """What is wrong with conversions of one source that we call lossless."""
    columns = "".join(f", c{n} {source.sql}" for n in range(len(wanted)))
    cursor.execute("DROP TABLE IF EXISTS l")
    cursor.execute(f"CREATE TABLE l (id int NOT NULL PRIMARY KEY, o {source.sql}{columns}) DEFAULT CHARSET=utf8mb4")
    fill(cursor, "l", "o", source)
    cursor.execute("INSERT INTO l (id) VALUES (1000)")
    cursor.execute("UPDATE l SET " + ", ".join(f"c{n} = o" for n in range(len(wanted))))
    before = read(cursor, "l", "o", source)
    stored, wrong = read_raw(cursor, "l", "o", source), []

    def modify(types):
        try:
            if types:
                cursor.execute("ALTER TABLE l " + ", ".join(f"MODIFY c{n} {t.sql}" for n, t in types.items()))
        except pymysql.err.MySQLError as error:
            wrong.append(f"{source.sql} to {[t.sql for t in types.values()]}: {error}")

    modify(dict(enumerate(wanted)))
    for n, type_ in enumerate(wanted):
        after = read(cursor, "l", f"c{n}", type_)
        if comparable(source, type_) and after != before:
            bad = next((b, a) for b, a in zip(before, after) if a != b)
            wrong.append(f"{source.sql} to {type_.sql}: {bad}")
    # MySQL 9.7 refuses 18446744073709551615 on its way from a decimal to a bigint unsigned.
    back = [n for n, w in enumerate(wanted) if not (source.family == "integer" and w.family == "decimal")]
    modify({n: source for n in back})
    for n in back:
        type_ = wanted[n]
        if read_raw(cursor, "l", f"c{n}", source) != stored:
            wrong.append(f"{source.sql} to {type_.sql} and back")
    return wrong


def is_lost(cursor, source, wanted, i, k):
    """Does the conversion fail, or alter a value, or lead nowhere from where it leads?"""
    before, stored = read(cursor, f"v{i}", "v", source), read_raw(cursor, f"v{i}", "v", source)
    try:
        cursor.execute(f"INSERT INTO d{k} SELECT id, v FROM v{i}")
        if comparable(source, wanted) and read(cursor, f"d{k}", "v", wanted) != before:
            return True
        cursor.execute(f"INSERT INTO d{i} SELECT id, v FROM d{k}")
        return read_raw(cursor, f"d{i}", "v", source) != stored
    except pymysql.err.MySQLError:
        return True


# ---- the tests --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known():
    """The verdicts of a flavour, for both tests."""
    return {}


def verdicts_of(stack, cursor, known):
    if stack.flavor not in known:
        known[stack.flavor] = verdicts(stack, cursor, types_of(stack))
    return known[stack.flavor]


def test_what_we_call_lossless_loses_nothing(stack, known):
    types, wrong, pairs = types_of(stack), [], 0
    with target(stack) as cursor:
        lossless = verdicts_of(stack, cursor, known)
        cursor.execute(STRICT)
        for i, source in enumerate(types):
            wanted = [types[k] for j, k in sorted(lossless) if j == i]
            pairs += len(wanted)
            for part in chunks(source, wanted) if wanted else []:
                wrong += converts(cursor, source, part)
    assert not wrong, f"seed {SEED}:\n" + "\n".join(wrong)
    assert pairs > 300, "the verdicts say that hardly anything is lossless"


def test_what_we_call_lossy_loses_something(stack, known):
    types, wrong = types_of(stack), []
    with target(stack) as cursor:
        lossless = verdicts_of(stack, cursor, known)
        cursor.execute(STRICT)
        for i, type_ in enumerate(types):
            for name in ("v", "d"):
                cursor.execute(f"CREATE TABLE {name}{i} (id int NOT NULL PRIMARY KEY, v {type_.sql}) DEFAULT CHARSET=utf8mb4")
            fill(cursor, f"v{i}", "v", type_)
        cursor.execute("SET autocommit = 0")
        for i, source in enumerate(types):
            for k, wanted in enumerate(types):
                if i == k or (i, k) in lossless or RANDOM.random() > LOSSY_SHARE:
                    continue
                if not reason_for(source, wanted) and not is_lost(cursor, source, wanted, i, k):
                    wrong.append(f"{source.sql} to {wanted.sql}")
                cursor.execute("ROLLBACK")
    assert not wrong, f"seed {SEED}: nothing is lost, and no reason is given:\n" + "\n".join(wrong)


def test_character_sets_that_are_not_one_to_one(stack):
    """Every character of one or two bytes of every character set: is its place in Unicode its own?"""
    with target(stack) as cursor:
        cursor.execute("SHOW CHARACTER SET")
        sets = {r["Charset"]: r["Maxlen"] for r in cursor.fetchall() if r["Charset"] not in ("binary", "utf8mb4")}
        columns = "".join(f", {name} varchar(4) CHARACTER SET {name}" for name in sets)
        cursor.execute(f"CREATE TABLE t (id int NOT NULL{columns}, PRIMARY KEY (id)) DEFAULT CHARSET=utf8mb4")
        columns = "".join(f", {name} varchar(4)" for name in sets)
        plan = stack.post_plan([f"CREATE TABLE t (id int NOT NULL{columns}, PRIMARY KEY (id)) DEFAULT CHARSET=utf8mb4"])
        lossy = {v["column"] for v in plan.expect(200)["lint_violations"] if v["linter"] == "charset_narrowing"}
        cursor.execute("CREATE TABLE n (b varbinary(2) PRIMARY KEY)")
        for first in range(256):
            cursor.execute("INSERT IGNORE INTO n VALUES " + ",".join(f"(0x{first:02x}), (0x{first:02x}{i:02x})" for i in range(256)))
        for name, most in sets.items():
            length = "" if most > 1 else "AND LENGTH(b) = 1"
            # Bytes that are no character become "?", and an ALTER in strict mode refuses them.
            cursor.execute(f"""SELECT COUNT(*) - COUNT(DISTINCT u) AS n FROM
                (SELECT HEX(CONVERT(CONVERT(b USING {name}) USING utf8mb4)) AS u FROM n
                 WHERE HEX(CONVERT(b USING {name})) = HEX(b) {length} AND CHAR_LENGTH(CONVERT(b USING {name})) = 1) AS x
                WHERE u <> '3F'""")
            several = cursor.fetchone()["n"] > 0
            assert several == (name in lossy), f"{name}: the server {'has' if several else 'has no'} characters that become one"


def test_every_caution_is_needed():
    """A reason that fits no pair is one too many."""
    for applies, why in CAUTIOUS:
        assert why and any(applies(a, b) for a in TYPES for b in TYPES if a is not b), why
