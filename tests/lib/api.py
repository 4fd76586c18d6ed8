"""
api.py - an HTTP client for tests: sends exactly what it is told, hides nothing.

No retries, no redirects, a new connection for every request, bytes where bytes are given.
"""
import http.client
import json
import urllib.parse

USE_DEFAULT = object()


class Reply:
    """What came back. Header names are lower-case."""

    def __init__(self, status: int, headers, body: bytes):
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers}

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def etag(self):
        return self.headers.get("etag")

    @property
    def error_code(self):
        """`error_code` of an error body, None of another."""
        try:
            return self.json.get("error_code")
        except (ValueError, AttributeError):
            return None

    def expect(self, *statuses: int):
        """The decoded body, after making sure of the status."""
        assert self.status in statuses, \
            f"HTTP {self.status} instead of {statuses}: {self.text[:2000]}"
        return self.json if self.body else None

    def __repr__(self) -> str:
        return f"<Reply {self.status} {self.text[:500]}>"


class Api:
    """One base URL and the token that requests carry unless told otherwise."""

    def __init__(self, url: str, token=None, timeout: float = 60):
        self.url, self.token, self.timeout = url, token, timeout
        self.address = urllib.parse.urlsplit(url)

    def request(self, method: str, path: str, body=None, *, headers=None, token=USE_DEFAULT,
                etag=None) -> Reply:
        """`body`: bytes and str are sent as they are, anything else as JSON; `token` None
        sends none; `etag` becomes If-None-Match."""
        sent = {}
        if token is USE_DEFAULT:
            token = self.token
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if etag is not None:
            sent["If-None-Match"] = etag
        if isinstance(body, str):
            body = body.encode()
        elif body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port,
                                                timeout=self.timeout)
        try:
            connection.request(method, path, body, sent)
            reply = connection.getresponse()
            return Reply(reply.status, reply.getheaders(), reply.read())
        finally:
            connection.close()

    def get(self, path: str, **options) -> Reply:
        return self.request("GET", path, **options)

    def post(self, path: str, body=None, **options) -> Reply:
        return self.request("POST", path, body, **options)

    def delete(self, path: str, body=None, **options) -> Reply:
        return self.request("DELETE", path, body, **options)
