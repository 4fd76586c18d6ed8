"""
edits.py - random changes of a Table (tables.py), as people make them.

Every edit is a function of a table, a random generator and the flavour. It changes the table
and returns how many clauses of an ALTER that needs at most, UNKNOWN when it has consequences
elsewhere, or NOTHING when it could not be made.
"""
import random

from . import tables
from .tables import INTS, STRINGS, WITH_COLLATION, Check, Column, Expr, Part

NOTHING, UNKNOWN = -1, 1000


def longest_rising(numbers):
    """How many of them can keep their place."""
    best = []
    for i, n in enumerate(numbers):
        best.append(1 + max((best[k] for k in range(i) if numbers[k] < n), default=0))
    return max(best, default=0)


def free_columns(table):
    pinned = table.pinned()
    return [c for c in table.columns if c.name not in pinned]


def loose_columns(table):
    """Columns that nothing else mentions."""
    used = table.pinned() | table.used_by_expressions() | \
        {p.column for i in table.indexes for p in i.parts}
    return [c for c in table.columns if c.name not in used]


# ---- columns ----------------------------------------------------------------------------------


def add_column(table, rng, flavor):
    c = tables.random_column(table, rng, flavor)
    if rng.random() < 0.15:
        tables.make_generated(table, c, rng, flavor)
    table.columns.insert(rng.choice((len(table.columns), rng.randint(0, len(table.columns)))), c)
    return 1


def drop_column(table, rng, flavor):
    pool = free_columns(table)
    if not pool or len(table.columns) < 2:
        return NOTHING
    c = rng.choice(pool)
    alone = c in loose_columns(table)
    table.columns.remove(c)
    return 1 if alone else UNKNOWN


def modify_type(table, rng, flavor):
    pool = [c for c in free_columns(table) if not c.expr]
    if not pool:
        return NOTHING
    c = rng.choice(pool)
    alone = c in loose_columns(table)
    if c.kind in INTS and c.args != (1,) and rng.random() < 0.5:
        c.kind, c.args = rng.choice(list(INTS)), () if not c.zerofill else c.args
    elif c.kind in STRINGS and rng.random() < 0.6:
        c.kind, c.args = rng.choice(STRINGS), (rng.choice((1, 10, 50, 100, 255)),)
    elif c.kind in ("enum", "set") and rng.random() < 0.7:
        c.args = tuple(rng.sample([*c.args, "new"], rng.randint(1, len(c.args) + 1))) \
            if "new" not in c.args else c.args[:-1] or c.args
    elif c.kind == "decimal" and rng.random() < 0.7:
        c.args = (rng.randint(max(c.args[1], 1), 40), c.args[1])
    else:
        new = tables.random_column(table, rng, flavor, c.name)
        for name in ("kind", "args", "unsigned", "zerofill", "collation", "on_update", "check"):
            setattr(c, name, getattr(new, name))
        c.auto = c.auto and c.kind in INTS
    if not isinstance(c.default, str) or c.default != "NULL":
        c.default = None if c.default is None else tables.random_default(table, c, rng, flavor)
    return 1 if alone else UNKNOWN


def set_attribute(table, rng, flavor):
    """Null, default, comment, unsigned, visibility, ON UPDATE."""
    c = rng.choice(table.columns)
    what = rng.choice(("null", "default", "comment", "invisible", "on_update", "unsigned", "auto"))
    if what == "comment":
        c.comment = "" if c.comment and rng.random() < 0.5 else tables.random_text(rng)
    elif what == "invisible":
        c.invisible = not c.invisible
    elif c.expr or c.name in table.pinned():
        return NOTHING
    elif what == "null":
        c.null = not c.null
        if any(c.name == p.column for i in table.indexes for p in i.parts):
            return UNKNOWN
    elif what == "default":
        c.default = tables.random_default(table, c, rng, flavor)
    elif what == "on_update":
        if c.kind not in ("datetime", "timestamp"):
            return NOTHING
        c.on_update = not c.on_update
    elif what == "unsigned":
        if c.kind not in INTS or c.args == (1,) or c.zerofill or c not in loose_columns(table):
            return NOTHING
        c.unsigned = not c.unsigned
        if c.default is not None:
            c.default = tables.random_default(table, c, rng, flavor)
    else:
        c.auto = not c.auto
        return UNKNOWN
    return 1


def set_collation(table, rng, flavor):
    pool = [c for c in free_columns(table) if c.collation and not c.expr]
    if not pool:
        return NOTHING
    c = rng.choice(pool)
    alone = c in loose_columns(table)
    c.collation = rng.choice(tables.collations(flavor))
    return 1 if alone and isinstance(c.default, (str, type(None))) else UNKNOWN


def move_column(table, rng, flavor):
    if len(table.columns) < 2:
        return NOTHING
    c = table.columns.pop(rng.randrange(len(table.columns)))
    table.columns.insert(rng.randint(0, len(table.columns)), c)
    return 1


def shuffle_columns(table, rng, flavor):
    was = [c.name for c in table.columns]
    rng.shuffle(table.columns)
    places = [was.index(c.name) for c in table.columns]
    return len(was) - longest_rising(places)


def generated(table, rng, flavor):
    """A column becomes a generated one, data again, stored, or another expression."""
    pool = [c for c in table.columns if c.expr]
    if pool and rng.random() < 0.7:
        c = rng.choice(pool)
        if rng.random() < 0.5:
            c.stored = not c.stored
            return UNKNOWN
        if rng.random() < 0.4:
            c.expr, c.stored = None, False
            return UNKNOWN
    elif loose_columns(table):
        c = rng.choice(loose_columns(table))
    else:
        return NOTHING
    return UNKNOWN if tables.make_generated(table, c, rng, flavor) else NOTHING


def replace_column(table, rng, flavor):
    """One goes and another comes; or one of the same name, but elsewhere and different."""
    pool = loose_columns(table)
    if not pool:
        return NOTHING
    old = rng.choice(pool)
    table.columns.remove(old)
    new = tables.random_column(table, rng, flavor, old.name if rng.random() < 0.3 else "")
    table.columns.insert(rng.randint(0, len(table.columns)), new)
    return UNKNOWN


def recase_column(table, rng, flavor):
    """Upper case becomes lower case: still the same name to a server."""
    pool = loose_columns(table)
    if not pool:
        return NOTHING
    c = rng.choice(pool)
    c.name = "".join(x.swapcase() if len(x.swapcase()) == 1 else x for x in c.name)
    return 1


# ---- indexes -----------------------------------------------------------------------------------


def add_index(table, rng, flavor):
    index = tables.random_index(table, rng, flavor)
    if not index:
        return NOTHING
    table.indexes.append(index)
    return 1


def plain_indexes(table):
    """Those that no foreign key needs, as far as we can tell."""
    keyed = table.pinned()
    return [i for i in table.indexes if i.kind != "primary" and
            not any(p.column in keyed or table.column(p.column) and table.column(p.column).auto
                    for p in i.parts)]


def drop_index(table, rng, flavor):
    pool = plain_indexes(table)
    if not pool:
        return NOTHING
    table.indexes.remove(rng.choice(pool))
    return 1


def rename_index(table, rng, flavor):
    pool = [i for i in table.indexes if i.kind != "primary"]
    if not pool:
        return NOTHING
    rng.choice(pool).name = table.fresh(rng, "r")
    return 1


def change_index(table, rng, flavor):
    pool = plain_indexes(table)
    if not pool:
        return NOTHING
    index = rng.choice(pool)
    roll = rng.random()
    if roll < 0.2:
        index.visible = not index.visible
        return 1
    if roll < 0.35:
        index.comment = tables.random_text(rng)
    elif roll < 0.5 and index.kind in ("plain", "unique"):
        index.kind = "unique" if index.kind == "plain" else "plain"
    elif roll < 0.65:
        index.parts.reverse()
    elif roll < 0.8 and index.kind in ("plain", "unique"):
        part = rng.choice(index.parts)
        part.desc = not part.desc
    else:
        new = tables.random_index(table, rng, flavor, index.kind)
        if not new:
            return NOTHING
        index.parts = new.parts
    return 2


def shuffle_indexes(table, rng, flavor):
    rng.shuffle(table.indexes)
    return 0


def change_primary(table, rng, flavor):
    if table.referenced or any(c.auto for c in table.columns) or \
            any(f.parent == table.name for f in table.foreign_keys):
        return NOTHING
    old = table.primary()
    if old:
        table.indexes.remove(old)
    if not old or rng.random() < 0.7:
        new = tables.random_index(table, rng, flavor, "primary")
        if new:
            table.indexes.append(new)
    return UNKNOWN


# ---- constraints, options, partitions -------------------------------------------------------


def check(table, rng, flavor):
    named = [k for k in table.checks if k.name]
    roll = rng.random()
    if named and roll < 0.3:
        table.checks.remove(rng.choice(named))
        return 1
    expr = tables.random_check(table, rng)
    if not expr:
        return NOTHING
    if named and roll < 0.6:
        rng.choice(named).expr = expr
        return 2
    if named and roll < 0.7 and flavor == "mysql":
        k = rng.choice(named)
        k.enforced = not k.enforced
        return 2
    name = f"{table.name}_{table.fresh(rng, 'ck')}" if rng.random() < 0.8 else ""
    table.checks.append(Check(name, expr))
    return 1 if name and all(k.name for k in table.checks) else UNKNOWN


def drop_foreign_key(table, rng, flavor):
    if not table.foreign_keys:
        return NOTHING
    table.foreign_keys.remove(rng.choice(table.foreign_keys))
    return 2  # with the index that the server made for it


def change_foreign_key(table, rng, flavor):
    """Another action, under another name or under the same."""
    pool = [f for f in table.foreign_keys if f.name]
    if not pool:
        return NOTHING
    key = rng.choice(pool)
    key.on_delete = rng.choice([a for a in ("", "CASCADE", "SET NULL") if a != key.on_delete])
    if rng.random() < 0.8:
        key.name = f"{table.name}_{table.fresh(rng, 'fk')}"
    return 3  # with the index that the server made for it


def own_parent(table, rng, flavor):
    """A foreign key to itself."""
    name = f"{table.name}_{table.fresh(rng, 'fk')}"
    return UNKNOWN if tables.link(table, table, rng, name) else NOTHING


def set_options(table, rng, flavor):
    before = dict(table.options)
    if table.options and rng.random() < 0.4:
        del table.options[rng.choice(list(table.options))]
    else:
        table.options.update(tables.random_options(rng, flavor, table.engine))
    names = set(before) | set(table.options)
    return sum(before.get(n) != table.options.get(n) for n in names)


def set_counter(table, rng, flavor):
    if not any(c.auto for c in table.columns):
        return NOTHING
    table.start = rng.choice((0, rng.randint(1, 200)))
    return 1


def set_engine(table, rng, flavor):
    if table.foreign_keys or table.referenced or table.partitioning:
        return NOTHING
    table.engine = rng.choice(("InnoDB", "MyISAM", "InnoDB"))
    return UNKNOWN


def table_collation(table, rng, flavor):
    """The default for new columns; or of all text columns too."""
    old, table.collation = table.collation, rng.choice(tables.collations(flavor))
    if rng.random() < 0.5:
        return 1
    for c in table.columns:
        if c.collation == old and c.name not in table.pinned():
            c.collation = table.collation
    return UNKNOWN


def partitions(table, rng, flavor):
    p = table.partitioning
    if not p:
        return UNKNOWN if tables.random_partitioning(table, rng) else NOTHING
    roll = rng.random()
    if roll < 0.25:
        table.partitioning = None
        return 1
    if p.count:
        p.count = rng.randint(1, 5)
        return 1
    if roll < 0.45 and len(p.values) > 1:
        p.values.pop(rng.randrange(len(p.values)))
        return 1
    if roll < 0.55:
        p.values[-1][2] = tables.random_text(rng)
        return 1
    if p.values[-1][1] == "MAXVALUE":
        p.values.pop()
        return 1 if p.values else UNKNOWN
    for _ in range(rng.randint(1, 2)):
        name = f"n{len(p.values)}x{rng.randint(1, 99)}"
        if p.method.startswith("range"):
            p.values.append([name, str(int(p.values[-1][1]) + rng.randint(1, 500)), ""])
        else:
            p.values.append([name, str(max(int(n) for v in p.values for n in v[1].split(",")) + 1), ""])
    return 1


EDITS = {
    add_column: 14, drop_column: 8, modify_type: 12, set_attribute: 14, set_collation: 4,
    move_column: 8, shuffle_columns: 4, generated: 6, replace_column: 4, recase_column: 2,
    add_index: 8, drop_index: 6, rename_index: 4, change_index: 8, shuffle_indexes: 2,
    change_primary: 5, check: 5, drop_foreign_key: 4, change_foreign_key: 4, own_parent: 1,
    set_options: 6, set_counter: 1, set_engine: 1, table_collation: 3, partitions: 6,
}


def edit(table, rng, flavor):
    """(a changed copy, the names of the edits, the most clauses that they need)"""
    new, names, most = table.copy(), [], 0
    wanted = rng.choices((1, 2, 3, 5, 8), (50, 20, 15, 10, 5))[0]
    for _ in range(20):
        if len(names) == wanted:
            break
        one = rng.choices(list(EDITS), list(EDITS.values()))[0]
        draft = new.copy()
        needs = one(draft, random.Random(rng.random()), flavor)
        if needs == NOTHING:
            continue
        as_made = draft.copy()
        tables.repair(draft, flavor)
        if as_made != draft:
            needs = UNKNOWN
        new, most = draft, most + needs
        names.append(one.__name__)
    if new.foreign_keys and any("index" in n for n in names):
        most += UNKNOWN  # the servers' own index of a foreign key comes and goes
    return new, names, most + bool(new.start)
