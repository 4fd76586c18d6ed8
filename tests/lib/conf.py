"""
conf.py - libconfig text as nested dictionaries, as far as the harness needs it.

A group is a dict, any other value its literal text ('4', '"x"', '[1, 2]'). That is enough
to write a stack's configuration and to lay a caller's extra settings over it; what the
settings mean is for the binaries to judge.
"""
import re

_TOKEN = re.compile(r'''
    (?P<skip>   \s+ | \#[^\n]* | //[^\n]* | /\*.*?\*/ )
  | (?P<string> "(?:\\.|[^"\\])*" )
  | (?P<name>   [A-Za-z*][-A-Za-z0-9_*]* )
  | (?P<number> [-+]?[0-9][0-9A-Za-z.+-]* )
  | (?P<mark>   [{}\[\]();,=:] )
''', re.VERBOSE | re.DOTALL)


def quote(text: str) -> str:
    """A string literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tokens(text: str) -> list:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            line = text.count("\n", 0, at) + 1
            raise ValueError(f"line {line}: cannot read {text[at:at + 20]!r}")
        if match.lastgroup != "skip":
            found.append(match.group())
        at = match.end()
    return found


def parse(text: str) -> dict:
    """The settings in `text`; of two equal names the later one counts."""
    tokens = _tokens(text)
    settings, rest = _group(tokens, 0)
    if rest != len(tokens):
        raise ValueError(f"unexpected {tokens[rest]!r}")
    return settings


def _group(tokens, at):
    settings = {}
    while at < len(tokens) and tokens[at] != "}":
        name = tokens[at]
        if at + 2 >= len(tokens) or tokens[at + 1] not in "=:":
            raise ValueError(f"'{name}' has no value")
        if tokens[at + 2] == "{":
            settings[name], at = _group(tokens, at + 3)
            if at >= len(tokens):
                raise ValueError(f"the group '{name}' is not closed")
            at += 1
        else:
            settings[name], at = _value(tokens, at + 2)
        while at < len(tokens) and tokens[at] in ";,":
            at += 1
    return settings, at


def _value(tokens, at):
    """Text of a scalar, array or list; adjacent strings belong together."""
    depth, words = 0, []
    while at < len(tokens):
        if depth == 0 and tokens[at] in ("}", ";", ","):
            break
        depth += tokens[at] in "[({"
        depth -= tokens[at] in "])}"
        words.append(tokens[at])
        at += 1
        if depth == 0 and not (at < len(tokens) and tokens[at].startswith('"')):
            break
    return " ".join(words), at


def merge(base: dict, over: dict) -> dict:
    """`over` laid over `base`, group by group."""
    result = dict(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merge(result[name], value) if both else value
    return result


def render(settings: dict, indent: str = "") -> str:
    """The text that libconfig reads."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{name} = {{\n{render(value, indent + chr(9))}{indent}}};\n")
        else:
            lines.append(f"{indent}{name} = {value};\n")
    return "".join(lines)
