"""
test_nginx.py - what nginx itself promises: nginx/schemabot.conf, its snippets and render.

Most tests run nginx in front of a scripted FastCGI responder, which says exactly what nginx
sent it and can die or keep silent; the last ones go through the real application.
"""
import json
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from lib import places, ports
from lib.api import Api

NGINX_DIR = places.ROOT / "nginx"
RENDER = NGINX_DIR / "render"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx"
USER = "user www-data;" if places.IS_ROOT else ""
MIB = 1024 * 1024
HEADERS = {
    "content-security-policy":
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


# ---- a FastCGI responder --------------------------------------------------------------

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6


def _pairs(data: bytes):
    """Name-value pairs as FastCGI writes them: lengths in one byte, or in four."""
    at = 0

    def length():
        nonlocal at
        if data[at] < 128:
            at += 1
            return data[at - 1]
        at += 4
        return struct.unpack(">I", data[at - 4:at])[0] & 0x7fffffff

    while at < len(data):
        name, value = length(), length()
        yield data[at:at + name].decode(), data[at + name:at + name + value].decode()
        at += name + value


class Responder:
    """Answers on a unix socket by the last part of the path: die, silent, teapot, else 200."""

    def __init__(self, path: Path):
        self.requests, self.done = [], threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        path.chmod(0o666)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            params, body, keep = b"", b"", None
            while True:
                header = stream.read(8)
                if len(header) < 8:
                    return
                _, kind, _, length, padding = struct.unpack(">BBHHBx", header)
                data = stream.read(length + padding)[:length]
                if kind == BEGIN:
                    keep = data[2] & 1
                elif kind == PARAMS:
                    params += data
                elif kind == STDIN and length:
                    body += data
                elif kind == STDIN:
                    break
            request = {"params": dict(_pairs(params)), "body": len(body), "keep": keep}
            self.requests.append(request)
            verb = request["params"]["DOCUMENT_URI"].rsplit("/", 1)[-1]
            if verb == "die":
                return
            if verb == "silent":
                self.done.wait(60)
                return
            status = 418 if verb == "teapot" else 200
            text = (f"Status: {status}\r\nContent-Type: application/json\r\n"
                    f"X-Request-Id: the application's\r\n\r\n"
                    f'{{"error_code":"{verb}"}}').encode()
            for kind, data in ((STDOUT, text), (STDOUT, b""), (END, bytes(8))):
                connection.sendall(struct.pack(">BBHHBx", 1, kind, 1, len(data), 0) + data)

    def close(self):
        self.done.set()
        self.listener.close()


# ---- nginx --------------------------------------------------------------------------------

def render(*arguments) -> str:
    return subprocess.run([RENDER, *arguments], check=True, text=True,
                          capture_output=True).stdout


class Nginx:
    """An nginx of our configuration in a directory of its own, without an application."""

    def __init__(self, directory: Path, edit=lambda text: text, **values):
        self.dir, self.responder = directory, None
        self.socket = directory / "api.sock"
        self.locks = [ports.reserve(), ports.reserve()]
        self.url, self.metrics_url = (f"http://127.0.0.1:{lock.port}" for lock in self.locks)
        # Copies: nginx's workers may not be able to enter the checkout.
        shutil.copytree(NGINX_DIR / "dashboard", directory / "www")
        text = render(*(f"{name}={value}" for name, value in {
            "LISTEN": self.url[7:], "METRICS_LISTEN": self.metrics_url[7:], "USER": USER,
            "SOCKET": self.socket, "WWW": directory / "www", "LOG": directory,
            "RUN": directory, "SNIPPETS": NGINX_DIR / "snippets", "WRITE_RATE": "5000r/s",
            "WRITE_BURST": "5000", **values}.items()))
        (directory / "nginx.conf").write_text(edit(text))
        self.process = subprocess.Popen(
            [NGINX, "-e", directory / "nginx.log", "-c", directory / "nginx.conf",
             "-g", "daemon off;"])
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, \
                (directory / "nginx.log").read_text()
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return self.api.get("/").status == 200
        except OSError:
            return False

    @property
    def api(self) -> Api:
        return Api(self.url, "secret-token")

    @property
    def metrics(self) -> Api:
        return Api(self.metrics_url)

    def respond(self) -> Responder:
        self.responder = Responder(self.socket)
        return self.responder

    def log_line(self, request_id: str) -> dict:
        """The access log's line of a request; it is written after the answer."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for line in (self.dir / "schemabot.access.log").read_text().splitlines():
                if json.loads(line)["request_id"] == request_id:
                    return json.loads(line)
            time.sleep(0.02)
        raise AssertionError(f"no line for request {request_id}")

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        if self.responder:
            self.responder.close()
        for lock in self.locks:
            lock.close()
        shutil.rmtree(self.dir)


@pytest.fixture
def start():
    """start(edit=..., NAME=VALUE...): an nginx that ends with the test."""
    running = []

    def one(**options):
        directory = Path(tempfile.mkdtemp(prefix="nginx-", dir=places.scratch_dir()))
        directory.chmod(0o755)
        running.append(Nginx(directory, **options))
        return running[-1]

    yield one
    for nginx in running:
        nginx.close()


@pytest.fixture
def nginx(start):
    return start()


def assert_headers(reply):
    for name, value in HEADERS.items():
        assert reply.headers.get(name) == value, f"{name} of {reply}"
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])


def assert_error(reply, status, error_code, **more):
    """Exactly the application's error form."""
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    body = reply.json
    assert len(body.pop("error")) > 20
    assert body == {"error_code": error_code, **more}
    assert_headers(reply)


def raw(nginx, request: bytes) -> bytes:
    """What comes back to bytes that no client library would send."""
    host, port = nginx.url[7:].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


# ---- render -------------------------------------------------------------------------------

def test_every_placeholder_is_in_the_table_and_used():
    template = (NGINX_DIR / "schemabot.conf").read_text()
    table = re.findall(r"^#= ([A-Z_]+)", template, re.MULTILINE)
    assert len(table) >= 10
    assert sorted(table) == sorted(set(re.findall(r"@([A-Z_]+)@", template)))
    assert not re.search(r"@[A-Z_]+@", render())


def test_render_puts_values_in_as_they_are():
    text = render("SOCKET=/a b/x&y|z\\1.sock", "TLS=ssl_certificate /c=d.pem;")
    assert 'server "unix:/a b/x&y|z\\1.sock";' in text
    assert "\tssl_certificate /c=d.pem;\n" in text


@pytest.mark.parametrize("argument", ["SOKCET=/x", "LISTEN", "=1", ".*=1", "--site"])
def test_render_refuses_what_it_does_not_know(argument):
    done = subprocess.run([RENDER, "USER=", argument], text=True, capture_output=True,
                          check=False)
    assert done.returncode == 64 and done.stdout == ""
    assert "render: " in done.stderr


def _accepts(config: Path, **options):
    done = subprocess.run([NGINX, "-e", "stderr", "-t", "-c", config], text=True,
                          capture_output=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr, done.stderr


def _own(directory: Path) -> list:
    """-t binds the addresses and opens the logs: ones that nobody else has."""
    return [f"LISTEN=unix:{directory}/site.sock", f"METRICS_LISTEN=unix:{directory}/metrics.sock",
            f"LOG={directory}", f"SNIPPETS={NGINX_DIR}/snippets"]


def _whole(directory: Path, user: str) -> Path:
    config = directory / "nginx.conf"
    config.write_text(render(f"USER={user}", f"RUN={directory}", *_own(directory)))
    return config


def test_nginx_accepts_the_whole_server(tmp_path):
    _accepts(_whole(tmp_path, USER))


@pytest.mark.skipif(not places.IS_ROOT, reason="not root: the test before this one is the same")
def test_nginx_accepts_the_whole_server_when_not_root():
    with tempfile.TemporaryDirectory(dir=places.scratch_dir()) as name:
        directory = Path(name)
        config = _whole(directory, "")
        snippets = shutil.copytree(NGINX_DIR / "snippets", directory / "snippets")
        config.write_text(config.read_text().replace(f"{NGINX_DIR}/snippets", str(snippets)))
        for path in (directory, *directory.rglob("*")):
            shutil.chown(path, "nobody")
        _accepts(config, user="nobody", group="nogroup", cwd="/")


def test_nginx_accepts_the_site_inside_debians_configuration(tmp_path):
    debian = Path("/etc/nginx/nginx.conf")
    if not debian.exists():
        pytest.skip("there is no /etc/nginx/nginx.conf")
    (tmp_path / "site.conf").write_text(render("--site", *_own(tmp_path)))
    text = debian.read_text()
    text = re.sub(r"include /etc/nginx/(conf\.d|sites-enabled|modules-enabled)/.*", "", text)
    text = re.sub(r"^\s*(user|pid|error_log|access_log)\b.*", "", text, flags=re.MULTILINE)
    text = re.sub(r"http\s*{", f"http {{ include {tmp_path}/site.conf;"
                  + "".join(f" {kind}_temp_path {tmp_path}/{kind};" for kind in
                            ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")), text)
    text = f"pid {tmp_path}/pid;\n" + text.replace("include mime", "include /etc/nginx/mime")
    (tmp_path / "nginx.conf").write_text(text)
    _accepts(tmp_path / "nginx.conf")


def test_error_codes_are_the_applications():
    """Where both know a status, a client sees one code for it."""
    table = re.findall(r"X\(SB_\w+, \w+, (\d+), \"(\w+)\"",
                       (places.ROOT / "core/base/err.h").read_text())
    ours = re.search(r"\$schemabot_error_code {(.*?)}", render(), re.DOTALL)[1]
    ours = re.findall(r"^\s*(\d+) (\w+);", ours, re.MULTILINE)
    shared = [(status, code) for status, code in ours if status in dict(table)]
    assert len(shared) >= 4 and set(shared) <= set(table)


# ---- answers of nginx's own ---------------------------------------------------------------

def test_every_location_has_the_headers(nginx):
    nginx.respond()
    for path in ("/", "/index.html", "/app.js", "/controls.js", "/states.js", "/style.css", "/icon.svg", "/livez",
                 "/health", "/api/status", "/api/plan", "/api/pull", "/api", "/metrics", "/nothing",
                 "/nothing.html", "/_error", "/api/teapot"):
        assert_headers(nginx.api.get(path))
    for path in ("/metrics", "/", "/api/status"):
        assert_headers(nginx.metrics.get(path))


def test_the_page_and_nothing_else_of_its_folder(nginx):
    kinds = {"/": "text/html", "/app.js": "text/javascript", "/states.js": "text/javascript",
             "/style.css": "text/css", "/icon.svg": "image/svg+xml"}
    for path, kind in kinds.items():
        reply = nginx.api.get(path)
        assert reply.status == 200 and reply.headers["content-type"] == f"{kind}; charset=utf-8"
        assert reply.headers["cache-control"] == "no-cache"
        assert nginx.api.get(path, etag=reply.etag).status == 304
    assert (nginx.dir / "www" / "README.md").exists()
    for path in ("/README.md", "/package.json", "/.gitignore", "/no.html",
                 "/metrics", "/api", "/_error"):
        assert_error(nginx.api.get(path), 404, "not_found")
    for path in ("/../nginx.conf", "/%2e%2e/nginx.conf"):
        assert_error(nginx.api.get(path), 400, "invalid_request")


def test_metrics_is_on_its_own_port_only(nginx):
    nginx.respond()
    assert nginx.metrics.get("/metrics").status == 200
    for path in ("/", "/api/status", "/livez", "/metrics/"):
        assert_error(nginx.metrics.get(path), 404, "not_found")
    for path in ("/metrics", "/metrics/", "//metrics", "/api/../metrics", "/%6detrics"):
        assert_error(nginx.api.get(path), 404, "not_found")


def test_methods(nginx):
    nginx.respond()
    page = nginx.api.post("/app.js", {})
    assert_error(page, 405, "method_not_allowed")
    assert page.headers["allow"] == "GET, HEAD"
    trace = nginx.api.request("TRACE", "/api/status")
    assert_error(trace, 405, "method_not_allowed")
    assert trace.headers["allow"] == "GET, HEAD, POST, DELETE"
    for method in ("DELETE", "PATCH", "FROBNICATE"):
        assert nginx.api.request(method, "/api/teapot").status == 418
        assert nginx.responder.requests[-1]["params"]["REQUEST_METHOD"] == method


def test_bodies_up_to_4_mib(nginx):
    responder = nginx.respond()
    assert nginx.api.post("/api/plan", b"x" * (4 * MIB)).status == 200
    assert responder.requests[-1]["body"] == 4 * MIB
    assert_error(nginx.api.post("/api/plan", b"x" * (4 * MIB + 1)), 413, "payload_too_large")
    chunked = raw(nginx, b"POST /api/plan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                  b"Connection: close\r\n\r\n500000\r\n" + b"x" * 0x500000 + b"\r\n0\r\n\r\n")
    assert chunked.startswith(b"HTTP/1.1 413 ") and b'"payload_too_large"' in chunked
    assert len(responder.requests) == 1


@pytest.mark.parametrize("request_bytes, status", [
    (b"nonsense\r\n\r\n", 400),
    (b"GET /api/status HTTP/1.1\r\n\r\n", 400),
    (b"GET /api/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"get /api/status HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET /api/" + b"a" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET /api/status HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40000 + b"\r\n\r\n", 431),
    (b"POST /api/plan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"GET /api/status HTTP/9.0\r\nHost: x\r\n\r\n", 505),
])
def test_what_is_not_http_gets_json_too(nginx, request_bytes, status):
    reply = raw(nginx, request_bytes)
    assert reply.startswith(b"HTTP/1.1 %d " % status), reply[:200]
    assert json.loads(reply.split(b"\r\n\r\n", 1)[1])["error_code"] == "invalid_request"
    assert b"<html" not in reply


def test_writes_are_limited_and_reads_are_not(start):
    nginx = start(WRITE_RATE="1r/m", WRITE_BURST="2")
    nginx.respond()
    writes = [nginx.api.post(path, {}) for path in ("/api/plan", "/api/apply", "/api/stop") * 2]
    assert [reply.status for reply in writes] == [200, 200, 200, 429, 429, 429]
    assert_error(writes[-1], 429, "rate_limited", retry_after_seconds=1)
    assert writes[-1].headers["retry-after"] == "1"
    assert {nginx.api.get("/api/status").status for _ in range(20)} == {200}
    assert len(nginx.responder.requests) == 23


# ---- nginx and the application --------------------------------------------------------------

def test_an_absent_application_is_a_503(nginx):
    for reply in (nginx.api.get("/api/status"), nginx.api.post("/api/plan", {}),
                  nginx.api.get("/health"), nginx.metrics.get("/metrics")):
        assert_error(reply, 503, "engine_unavailable")
        assert reply.headers["retry-after"] == "2"
    assert nginx.api.get("/").status == 200


def test_a_request_is_sent_once_even_if_the_worker_dies(nginx):
    responder = nginx.respond()
    assert_error(nginx.api.get("/api/die"), 503, "engine_unavailable")
    assert_error(nginx.api.post("/api/die", {}), 503, "engine_unavailable")
    assert len(responder.requests) == 2


def test_a_silent_application_is_a_504(start):
    nginx = start(edit=lambda text: text.replace("fastcgi_read_timeout 30s;",
                                                 "fastcgi_read_timeout 300ms;"))
    responder = nginx.respond()
    reply = nginx.api.post("/api/silent", {})
    assert_error(reply, 504, "engine_unavailable")
    assert "Idempotency-Key" in reply.json["error"]
    assert len(responder.requests) == 1


def test_errors_of_the_application_pass_unchanged(nginx):
    nginx.respond()
    reply = nginx.api.get("/api/teapot")
    assert reply.status == 418 and reply.json == {"error_code": "teapot"}


def test_what_the_application_is_told(nginx):
    responder = nginx.respond()
    reply = nginx.api.post("/api/a%20b/c?d=%2F&e", b"{}", headers={
        "X-Request-Id": "chosen by the client", "Proxy": "http://evil.example",
        "Idempotency-Key": "k1", "If-None-Match": '"x"'})
    params, keep = responder.requests[-1]["params"], responder.requests[-1]["keep"]
    assert keep == 0
    assert {name: params.get(name) for name in (
        "REQUEST_METHOD", "REQUEST_URI", "DOCUMENT_URI", "QUERY_STRING", "CONTENT_TYPE",
        "CONTENT_LENGTH", "REMOTE_ADDR", "HTTP_AUTHORIZATION", "HTTP_IDEMPOTENCY_KEY",
        "HTTP_IF_NONE_MATCH")} == {
            "REQUEST_METHOD": "POST", "REQUEST_URI": "/api/a%20b/c?d=%2F&e",
            "DOCUMENT_URI": "/api/a b/c", "QUERY_STRING": "d=%2F&e",
            "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "2", "REMOTE_ADDR": "127.0.0.1",
            "HTTP_AUTHORIZATION": "Bearer secret-token", "HTTP_IDEMPOTENCY_KEY": "k1",
            "HTTP_IF_NONE_MATCH": '"x"'}
    assert params.get("HTTP_PROXY", "") == ""
    assert params["REQUEST_ID"] == params["HTTP_X_REQUEST_ID"] == reply.headers["x-request-id"]


def test_one_request_id_in_the_answer(nginx):
    nginx.respond()
    for path in (b"/api/status", b"/nothing", b"/"):
        answer = raw(nginx, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.lower().count(b"\nx-request-id:") == 1


def test_the_access_log_is_json_without_secrets(nginx):
    nginx.respond()
    reply = nginx.api.get('/api/x"y\\?password=hunter2', headers={
        "User-Agent": 'q"\\ \x7f', "Referer": "http://x/?password=hunter2"})
    line = nginx.log_line(reply.headers["x-request-id"])
    assert (line["method"], line["path"], line["status"]) == ("GET", '/api/x"y\\', 200)
    assert line["user_agent"] == 'q"\\ \x7f'
    assert isinstance(line["request_time"], float)
    assert isinstance(line["upstream_response_time"], float)
    missing = nginx.log_line(nginx.api.get("/nothing").headers["x-request-id"])
    assert (missing["path"], missing["status"]) == ("/nothing", 404)
    assert missing["upstream_response_time"] is None
    raw(nginx, b"\x00\xff\"nonsense\r\n\r\n")
    text = (nginx.dir / "schemabot.access.log").read_text()
    assert "secret-token" not in text and "hunter2" not in text
    for entry in text.splitlines():
        json.loads(entry)


# ---- through the real application ------------------------------------------------------------

def test_the_request_id_reaches_the_applications_answer_and_log(stack, api):
    reply = api.post("/api/plan", b"{")
    assert reply.status == 400 and reply.error_code == "invalid_request"
    assert_headers(reply)
    request_id = reply.headers["x-request-id"]
    stack.until(lambda: request_id in stack.log_text("app"), "the application logs the id", 20)


def test_wrong_methods_are_the_applications_to_refuse(api):
    reply = api.request("DELETE", "/api/plan")
    assert reply.status == 405 and reply.headers["allow"] == "POST"
    assert reply.error_code == "method_not_allowed"
    assert_headers(reply)


def test_metrics_of_the_application(stack, api):
    reply = Api(stack.metrics_url.removesuffix("/metrics")).get("/metrics")
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain")
    assert "# TYPE schemabot_" in reply.text
    assert_headers(reply)
    assert_error(api.get("/metrics"), 404, "not_found")


def test_an_unchanged_answer_is_a_304(api):
    first = api.get("/api/status")
    assert first.status == 200 and first.etag
    again = api.get("/api/status", etag=first.etag)
    assert again.status == 304 and again.body == b"" and again.etag == first.etag
    assert_headers(again)


def test_health_without_a_token(stack):
    nobody = Api(stack.url)
    for path in ("/livez", "/health"):
        reply = nobody.get(path)
        assert reply.status == 200
        assert_headers(reply)
    assert nobody.get("/api/status").status == 401
