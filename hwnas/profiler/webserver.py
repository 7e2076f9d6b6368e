"""The HTTP server that a page agent talks to: a few fixed paths, and nothing of the disk by name.

Everything that is not a fixed file needs a bearer key (`hwnas.profiler.webdesk`). A request must name this server as its host (a foreign
name that points here is DNS rebinding), and one that changes anything must come from a page of this server. Bodies are capped. The pages
are cross-origin isolated, which is what gives them a fine clock and threads.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hwnas.core.errors import ConfigError, PageRefused
from hwnas.profiler.webaddress import WebAddress
from hwnas.profiler.webdesk import Desk

MAX_BODY_BYTES = 1024 * 1024
TIMEOUT_S = 60.0
"""A connection on which nothing comes for this time is closed."""
MAX_CONNECTIONS = 64
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
}
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; style-src 'self';"
        " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def page_files() -> dict[str, bytes]:
    """What is served without a key: the page, by path."""
    folder = resources.files("hwnas_browser").joinpath("page")
    files = {f"/page/{file.name}": file.read_bytes() for file in folder.iterdir() if Path(file.name).suffix in _TYPES}
    return {"/": files["/page/index.html"], **files}


class WebServer:
    """Serves ``desk`` at ``address`` in threads of its own until it is closed. A port that is taken raises `ConfigError`."""

    def __init__(self, desk: Desk, address: WebAddress, runtime: Mapping[str, Path]) -> None:
        self.desk = desk
        self._server = _Listener(desk, address, page_files(), {f"/ort/{name}": path for name, path in runtime.items()})
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="browser-agent", daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        """What the page's address begins with."""
        return self._server.origin

    def close(self) -> None:
        """Serve nobody any more; may be called twice."""
        self.desk.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, desk: Desk, address: WebAddress, pages: Mapping[str, bytes], runtime: Mapping[str, Path]) -> None:
        self.desk, self.pages, self.runtime = desk, pages, runtime
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._context = address.context()
        try:
            super().__init__((address.host, address.port), _Handler)
        except OSError as problem:
            raise ConfigError(
                f"{desk.name}: cannot listen on {address.host}:{address.port}: {problem.strerror or problem}; choose another"
            ) from None
        port = self.server_address[1]
        self.hosts = address.hosts(port)
        self.origins = frozenset(f"{address.scheme}://{host}" for host in self.hosts)
        self.origin = f"{address.scheme}://{address.host}:{port}"

    def server_bind(self) -> None:
        """As in the base class, without asking the name service for this machine's name, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.socket.getsockname()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread, so that one that never finishes its handshake holds up nobody."""
        request.settimeout(TIMEOUT_S)
        if not self._places.acquire(blocking=False):
            return
        try:
            self._serve(request, client_address)
        finally:
            self._places.release()

    def _serve(self, request: Any, client_address: Any) -> None:
        if self._context is None:
            super().finish_request(request, client_address)
            return
        with contextlib.suppress(ssl.SSLError, OSError), self._context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke off is the desk's to notice, by what does not come."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    server_version = "hwnas"
    sys_version = ""
    timeout = TIMEOUT_S

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a log would hold what nobody needs."""

    def do_GET(self) -> None:
        """The page, its runtime, models, and messages for it."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """What the page says."""
        self._answer(self._post)

    def _answer(self, handle: Any) -> None:
        try:
            if self.headers.get("Host", "") not in self.server.hosts:
                raise PageRefused(421, "this server has another name")
            origin = self.headers.get("Origin")
            if (origin is None and self.command != "GET") or (origin is not None and origin not in self.server.origins):
                raise PageRefused(403, "not from a page of this server")
            kind, data = handle()
            self._send(200, kind, data)
        except PageRefused as problem:
            # what is left of the request is not read: the connection ends
            self.close_connection = True
            self._send(problem.status, "text/plain; charset=utf-8", f"{problem}\n".encode())

    def _get(self) -> tuple[str, bytes]:
        try:
            url = urlsplit(self.path)
        except ValueError:  # brackets that do not match
            raise PageRefused(400, "this is no address") from None
        desk, path = self.server.desk, url.path
        if path in self.server.pages:
            return _TYPES[Path(path).suffix or ".html"], self.server.pages[path]
        if path in self.server.runtime:
            return _TYPES[Path(path).suffix], self.server.runtime[path].read_bytes()
        if path == "/receive":
            after = parse_qs(url.query).get("after", ["0"])[0]
            if not after.isascii() or not after.isdigit() or len(after) > 9:
                raise PageRefused(400, "after is a number")
            return _json({"messages": desk.poll(self._bearer(), self._life(), int(after))})
        if path.startswith("/model/"):
            model = desk.model(self._bearer(), self._life(), path.removeprefix("/model/"))
            try:
                return "application/octet-stream", model.read_bytes()
            except OSError:
                raise PageRefused(404, "the model's file is gone") from None
        raise PageRefused(404, "nothing here")

    def _post(self) -> tuple[str, bytes]:
        body, desk = self._body(), self.server.desk
        if self.path == "/claim":
            return _json(desk.claim(self._bearer()))
        if self.path == "/resume":
            return _json(desk.resume(self._bearer()))
        if self.path == "/send":
            desk.post(self._bearer(), self._life(), body)
            return _json({})
        if self.path == "/leave":
            desk.leave(self._bearer(), self._life())
            return _json({})
        raise PageRefused(404, "nothing here")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
            raise PageRefused(411, "a body needs its length")
        if len(length) > 9 or int(length) > MAX_BODY_BYTES:
            raise PageRefused(413, f"a body has at most {MAX_BODY_BYTES} bytes")
        data = self.rfile.read(int(length))
        if len(data) != int(length):
            raise PageRefused(400, "the body is cut off")
        return data

    def _bearer(self) -> str:
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not key:
            raise PageRefused(401, "a key is needed; open the link that hwnas shows")
        return key

    def _life(self) -> int:
        text = self.headers.get("X-Hwnas-Life", "")
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise PageRefused(400, "which life of the page is this?")
        return int(text)

    def _send(self, status: int, kind: str, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)


def _json(value: object) -> tuple[str, bytes]:
    return "application/json", json.dumps(value, separators=(",", ":")).encode()
