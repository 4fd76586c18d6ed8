"""
spelling.py - a Table (tables.py) as CREATE TABLE, every time in other words.

`Speller(rng, flavor).create(table)` varies all that means nothing: the case of keywords, white
space and comments, quotes, synonyms of types, display widths, KEY or INDEX, keys beside their
column or below, what is inherited said or not said, the order of options. With `plain` it
varies nothing.
"""
import re

from . import tables
from .tables import (INTS, SCHEMA_COLLATION, SYNONYMS, TIMES, WITH_COLLATION, Expr, charset_of,
                     default_collation)

# Words that are safe to write without quotes: what the generator makes, and nothing else.
PLAIN_NAME = re.compile(r"[a-z]{1,2}\d+(_[a-z]+\d*)*")
GAPS = ("  ", "\n", "\t", " /* it's a comment */ ", " -- , ( `\n", " # \"\n", "\n\n  ")


class Speller:
    def __init__(self, rng, flavor, plain=False):
        self.rng, self.flavor, self.plain = rng, flavor, plain
        self.case = str if plain else rng.choice((str.upper, str.lower, str.upper, None))

    # ---- small things

    def odds(self, chance):
        return not self.plain and self.rng.random() < chance

    def any(self, *choices):
        return choices[0] if self.plain else self.rng.choice(choices)

    def w(self, words):
        """Keywords."""
        return (self.case or self.rng.choice((str.upper, str.lower, str.title)))(words)

    def name(self, name):
        if not self.plain and PLAIN_NAME.fullmatch(name) and self.rng.random() < 0.6:
            return name
        return "`" + name.replace("`", "``") + "`"

    def names(self, names):
        return ",".join(self.name(n) for n in names)

    def text(self, text):
        """A string."""
        if self.odds(0.2):
            return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'
        if self.odds(0.2):
            return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return tables.quote(text)

    def expr(self, expr):
        return expr.text.format(*(self.name(c) for c in expr.columns)) if expr.columns else expr.text

    def join(self, words):
        """Words with white space and sometimes comments between them."""
        out = words[0]
        for word in words[1:]:
            out += (self.rng.choice(GAPS) if self.odds(0.05) else " ") + word
        return out

    # ---- columns

    def type(self, c):
        kind, args = c.kind, ""
        if c.kind == "tinyint" and c.args == (1,):
            return self.any("tinyint(1)", "bool", "BOOLEAN", "tinyint(1)", "int1(1)")
        if c.kind in ("enum", "set"):
            args = "(" + ",".join(self.text(e) for e in c.args) + ")"
        elif c.kind in TIMES:
            args = f"({c.args[0]})" if c.args[0] or self.odds(0.1) else ""
        elif c.args:
            args = "(" + ",".join(str(a) for a in c.args) + ")"
        elif c.kind in INTS and self.odds(0.25):
            args = f"({self.rng.choice((2, 5, 11, 20))})"
        if c.kind in ("char", "binary") and c.args == (1,) and self.odds(0.5):
            args = ""
        if c.kind in SYNONYMS and self.odds(0.25):
            kind = self.rng.choice(SYNONYMS[c.kind])
        out = self.w(kind) + args
        if c.unsigned and not (c.zerofill and self.odds(0.5)):
            out += " " + self.w("unsigned")
        if c.zerofill:
            out += " " + self.w("zerofill")
        return out

    def collation(self, c, table):
        """The collation of a text column, said in one of the ways that mean it."""
        charset = charset_of(c.collation)
        usual = c.collation == default_collation_of(charset, self.flavor)
        if c.collation == table.collation and not self.odds(0.2):
            return []
        if charset == "utf8mb3" and self.odds(0.3):
            charset = "utf8"
        words = [self.w(self.any("character set", "charset")), charset]
        if usual and self.odds(0.4):
            return words
        collate = [self.w("collate"), c.collation]
        return collate if self.odds(0.3) else words + collate

    def default(self, c):
        if isinstance(c.default, Expr):
            text = self.expr(c.default)
            if text.startswith("current_timestamp"):
                text = text.replace("()", self.any("()", ""))
                if self.odds(0.3):
                    text = re.sub(r"^current_timestamp(?=\()", "now", text)
            return text
        return c.default

    def attributes(self, c):
        """What may stand in any order behind the type."""
        out = []
        if c.null:
            if c.kind == "timestamp" and not c.expr or self.odds(0.15) and not c.expr:
                out.append([self.w("null")])
        else:
            out.append([self.w("not null")])
        if c.default is not None:
            out.append([self.w("default"), self.default(c)])
        elif c.null and not c.expr and self.odds(0.1) and c.kind not in ("timestamp",):
            out.append([self.w("default null")])
        if c.on_update:
            out.append([self.w("on update current_timestamp") + (f"({c.args[0]})" if c.args[0] else "")])
        if c.auto:
            out.append([self.w("auto_increment")])
        if c.invisible:
            out.append([self.w("invisible")])
        if c.comment or self.odds(0.03):
            out.append([self.w("comment"), self.text(c.comment)])
        return out

    def column(self, c, table, inline):
        words = [self.name(c.name), self.type(c)]
        if c.kind in WITH_COLLATION:
            words += self.collation(c, table)
        if c.expr:
            words += [self.w(self.any("generated always as", "as")), f"({self.expr(c.expr)})"]
            if c.stored:
                words.append(self.w(self.any("stored", "persistent") if self.flavor == "mariadb" else "stored"))
            elif not self.odds(0.4):
                words.append(self.w("virtual"))
        attributes = self.attributes(c) + inline
        if self.odds(0.3) and not c.expr:
            self.rng.shuffle(attributes)
        words += [w for a in attributes for w in a]
        if c.check:
            words += [self.w("check"), f"({self.expr(c.check)})"]
        return self.join(words)

    # ---- below the columns

    def part(self, part, kind):
        out = f"({self.expr(part.expr)})" if part.expr else self.name(part.column)
        if part.prefix:
            out += f"({part.prefix})"
        if part.desc:
            out += " " + self.w("desc")
        elif kind not in ("fulltext", "spatial") and self.odds(0.1):
            out += " " + self.w("asc")
        return out

    def index(self, index, table):
        head = {"primary": "primary key", "unique": self.any("unique key", "unique", "unique index"),
                "plain": self.any("key", "index"),
                "fulltext": self.any("fulltext key", "fulltext", "fulltext index"),
                "spatial": self.any("spatial key", "spatial", "spatial index")}[index.kind]
        words = [self.w(head)]
        if index.kind != "primary" and not (self.names_itself(index, table) and self.odds(0.7)):
            words.append(self.name(index.name))
        words.append("(" + self.any(",", ", ").join(self.part(p, index.kind) for p in index.parts) + ")")
        if index.kind in ("primary", "unique", "plain") and table.engine == "InnoDB" and self.odds(0.1):
            words.append(self.w("using btree"))
        if index.comment:
            words += [self.w("comment"), self.text(index.comment)]
        if not index.visible:
            words.append(self.w("invisible" if self.flavor == "mysql" else "ignored"))
        return self.join(words)

    def names_itself(self, index, table):
        """Would the server choose this name?"""
        first = index.parts[0]
        return first.column == index.name and not any(p.expr for p in index.parts) and \
            sum(i.parts[0].column == first.column or i.name.lower() == index.name.lower()
                for i in table.indexes if i.kind != "primary") == 1

    def check(self, check):
        words = [self.w("constraint"), self.name(check.name)] if check.name else []
        words += [self.w("check"), f"({self.expr(check.expr)})"]
        if not check.enforced:
            words.append(self.w("not enforced"))
        return self.join(words)

    def foreign_key(self, key):
        words = [self.w("constraint"), self.name(key.name)] if key.name else []
        words += [self.w("foreign key"), f"({self.names(key.columns)})", self.w("references"),
                  self.name(key.parent), f"({self.names(key.parent_columns)})"]
        actions = [[self.w("on delete"), self.w(key.on_delete)]] if key.on_delete else []
        actions += [[self.w("on update"), self.w(key.on_update)]] if key.on_update else []
        if self.odds(0.5):
            actions.reverse()
        return self.join(words + [w for a in actions for w in a])

    # ---- behind the brackets

    def options(self, table):
        out = []
        if table.engine != "InnoDB" or not self.odds(0.3):
            out.append((self.w("engine"), table.engine))
        charset = charset_of(table.collation)
        if table.collation != SCHEMA_COLLATION[self.flavor] or not self.odds(0.4):
            words = self.w(self.any("default charset", "charset", "character set", "default character set"))
            if table.collation == default_collation_of(charset, self.flavor) and self.odds(0.4):
                out.append((words, charset))
            elif self.odds(0.3):
                out.append((self.w("collate"), table.collation))
            else:
                out.append((words, f"{charset} {self.w('collate')} {table.collation}"))
        if table.start and any(c.auto for c in table.columns):
            out.append((self.w("auto_increment"), str(table.start)))
        out += [(self.w(name), value) for name, value in table.options.items()]
        if not self.plain:
            self.rng.shuffle(out)
        return self.any(" ", " ", ", ", "\n").join(
            f"{name}{'=' if self.plain else self.rng.choice(('=', '=', ' = ', ' '))}{value}"
            for name, value in out)

    def partitioning(self, p):
        if not p:
            return ""
        arg = self.name(p.column) if "columns" in p.method or "key" in p.method \
            else p.expr.format(self.name(p.column))
        words = [self.w("partition by"), self.w(p.method), f"({arg})"]
        if p.count:
            words += [self.w("partitions"), str(p.count)]
        if p.sub:
            words += [self.w("subpartition by"), self.w(p.sub), f"({self.name(p.column)})",
                      self.w("subpartitions"), str(p.sub_count)]
        if p.values:
            engine = self.odds(0.3)  # all or none
            words.append("(" + ",\n ".join(self.partition(p, engine, *v) for v in p.values) + ")")
        text = self.join(words)
        if self.odds(0.3) and "/*" not in text and "--" not in text and "#" not in text and \
                "*/" not in text:
            return f"\n/*!50100 {text} */"
        return " " + text

    def partition(self, p, engine, name, values, comment):
        words = [self.w("partition"), self.name(name), self.w("values")]
        if p.method.startswith("range"):
            words.append(self.w("less than"))
            bare = values == "MAXVALUE" and p.method == "range" and self.odds(0.5)
            words.append(self.w("maxvalue") if bare else f"({values})")
        else:
            words += [self.w("in"), f"({values})"]
        extra = [[self.w("comment"), self.any("=", ""), self.text(comment)]] if comment else []
        if engine:
            extra.append([self.w("engine"), self.any("=", ""), "InnoDB"])
            self.rng.shuffle(extra)
        return self.join([w for w in words + [w for e in extra for w in e] if w])

    # ---- the statement

    def inline(self, table):
        """Keys of one column that stand beside it: {column: words}, and those that are left."""
        beside, below = {}, []
        for index in table.indexes:
            part = index.parts[0]
            simple = len(index.parts) == 1 and part.column and not part.prefix and not part.desc \
                and index.visible and not index.comment and not self.plain
            if simple and index.kind == "primary" and self.odds(0.5):
                beside.setdefault(part.column, []).append([self.w(self.any("primary key", "primary key", "key"))])
            elif simple and index.kind == "unique" and part.column not in beside and \
                    not any(i.kind == "primary" and i.parts[0].column == part.column for i in table.indexes) and \
                    self.names_itself(index, table) and \
                    not table.column(part.column).expr and self.odds(0.5):
                beside.setdefault(part.column, []).append([self.w(self.any("unique", "unique key"))])
            else:
                below.append(index)
        return beside, below

    def create(self, table):
        beside, below = self.inline(table)
        elements = [self.column(c, table, beside.get(c.name, [])) for c in table.columns]
        rest = [self.index(i, table) for i in below] + \
               [self.check(k) for k in table.checks] + [self.foreign_key(f) for f in table.foreign_keys]
        head = self.join([self.w("create"), self.w("table")] +
                         ([self.w("if not exists")] if self.odds(0.1) else []) + [self.name(table.name)])
        lead = self.any("\n  ", "\n\t", " ", "\n  ")
        text = head + " (" + ",".join(lead + e for e in elements + rest) + "\n) " + self.options(table)
        return text + self.partitioning(table.partitioning) + self.any("", ";", ";\n", "\n")


def default_collation_of(charset, flavor):
    try:
        return default_collation(charset, flavor)
    except KeyError:
        return ""
