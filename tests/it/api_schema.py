"""
api_schema.py - hold replies of a running stack to its own OpenAPI document.

A client that checks every reply: `Checked(api)` is used like lib.api.Api. The subset of
JSON Schema that the document uses is checked in full, and nothing that the document does
not mention passes.
"""
import json
import re
from pathlib import Path

DOCUMENT = json.loads((Path(__file__).parents[2] / "fcgi" / "openapi.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def check(value, schema, where):
    """Assert that value is what schema says, naming the place that is not."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rsplit("/", 1)[1]]
    kind = schema.get("type")
    if kind is None:
        return
    if isinstance(kind, list):
        if value is None:
            assert "null" in kind, f"{where} is null, not {kind}"
            return
        kind, = set(kind) - {"null"}
    assert isinstance(value, TYPES[kind]) and (kind == "boolean") == isinstance(value, bool), \
        f"{where} is {value!r}, not {kind}"
    if schema.get("format") == "date-time":
        assert TIME.fullmatch(value), f"{where} is {value!r}, not RFC 3339 in UTC"
    if kind == "array":
        for i, item in enumerate(value):
            check(item, schema["items"], f"{where}[{i}]")
    if kind == "object":
        for name in schema.get("required", ()):
            assert name in value, f"{where} has no {name}"
        others = schema.get("additionalProperties")
        for name, member in value.items():
            described = schema.get("properties", {}).get(name, others)
            assert described is not None, f"{where}.{name} is not described"
            check(member, described, f"{where}.{name}")


def route_of(path):
    """The documented path that an address belongs to, literal segments first."""
    segments = path.split("?")[0].split("/")

    def fits(pattern):
        parts = pattern.split("/")
        return len(parts) == len(segments) and all(
            p.startswith("{") or p == s for p, s in zip(parts, segments))
    return next((p for p in sorted(DOCUMENT["paths"], key=lambda p: p.count("{"))
                 if fits(p)), None)


def check_reply(method, path, reply):
    """A reply of the application (or of nginx in its place) to a request."""
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", reply.headers["x-request-id"])
    if reply.status == 304 or method == "HEAD":
        assert reply.body == b""
        return
    assert reply.headers["content-type"] == "application/json", reply
    if reply.status >= 400:
        check(reply.json, SCHEMAS["Error"], f"{method} {path}")
        return
    responses = DOCUMENT["paths"][route_of(path)][method.lower()]["responses"]
    content = responses[str(reply.status)]["content"]["application/json"]
    check(reply.json, content["schema"], f"{method} {path}")


class Checked:
    """An Api whose every reply is checked."""

    def __init__(self, api):
        self.api = api

    def request(self, method, path, body=None, **options):
        reply = self.api.request(method, path, body, **options)
        check_reply(method, path, reply)
        return reply

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body, **options)

    def delete(self, path, body=None, **options):
        return self.request("DELETE", path, body, **options)

    def refused(self, status, code, says, method, path, body=None, **options):
        """The request must be refused with exactly this, and its sentence must say so."""
        reply = self.request(method, path, body, **options)
        assert (reply.status, reply.error_code) == (status, code), reply
        for words in [says] if isinstance(says, str) else says:
            assert words in reply.json["error"], reply
        return reply


def snapshot(stack):
    """Every row of our storage and every table definition of the targets."""
    tables = [row["t"] for row in stack.sql(
        "SELECT table_name AS t FROM information_schema.tables WHERE table_schema = 'schemabot'"
        " ORDER BY table_name")]
    rows = {t: stack.storage(f"SELECT * FROM `{t}` ORDER BY id") for t in tables}
    targets = {(e, t): stack.create_table(t, e) for e in ("staging", "production")
               for t in stack.tables(e)}
    return rows, targets, stack.databases()
