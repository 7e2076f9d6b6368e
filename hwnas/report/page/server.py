"""A report for a browser of this machine: it listens on the loopback interface alone, and answers nobody without the link's random word.

A request must name this server as its host (a foreign name that points here is DNS rebinding) and gets nothing of the disk by name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hwnas.core.errors import ConfigError
from hwnas.report.page.document import POLICY, body, charts_of, document
from hwnas.report.page.items import Report

HOST = "127.0.0.1"
TIMEOUT_S = 30.0
"""A connection on which nothing comes for this time is closed."""
MAX_CONNECTIONS = 16
_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class ReportServer:
    """Serves what ``report`` gives, asked again for each look, in threads of its own until it is closed.

    A port that is taken raises `ConfigError`.
    """

    def __init__(self, report: Callable[[], Report], *, port: int = 0) -> None:
        self._server = _Listener(report, port)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="report", daemon=True)
        self._thread.start()

    @property
    def link(self) -> str:
        """Where the report is; the random word in it is its only key."""
        return f"http://{HOST}:{self._server.server_port}/{self._server.word}/"

    def close(self) -> None:
        """Serve nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, report: Callable[[], Report], port: int) -> None:
        self.report, self.word = report, secrets.token_urlsafe(24)
        self.looking = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as problem:
            raise ConfigError(f"cannot listen on {HOST}:{port}: {problem.strerror or problem}; choose another --port") from None
        self.hosts = frozenset({f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"})

    def server_bind(self) -> None:
        """As in the base class, without asking the name service for this machine's name, which may take long."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Only so many at a time."""
        if self._places.acquire(blocking=False):
            try:
                super().finish_request(request, client_address)
            finally:
                self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is nobody's concern."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    server_version = "hwnas"
    sys_version = ""
    timeout = TIMEOUT_S

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the link's word is in every line."""

    def do_GET(self) -> None:
        """The page, or its news."""
        status, kind, data = self._answer()
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

    def _answer(self) -> tuple[int, str, bytes]:
        text = "text/plain; charset=utf-8"
        if self.headers.get("Host", "") not in self.server.hosts:
            return 421, text, b"this server has another name\n"
        origin = self.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in self.server.hosts:
            return 403, text, b"not from a page of this server\n"
        try:
            url = urlsplit(self.path)
        except ValueError:  # brackets that do not match
            return 400, text, b"this is no address\n"
        word, _, what = url.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(word.encode(errors="replace"), self.server.word.encode()) or what not in ("", "state"):
            return 404, text, b"nothing here; open the link that hwnas shows\n"
        with self.server.looking:  # a report is read from files: once at a time is enough
            found = self.server.report()
        if what == "":
            return 200, "text/html; charset=utf-8", document(found, live=True).encode()
        charts = charts_of(found)
        # the spelling of what is shown decides, so that a page is drawn anew only where there is something new
        version = hashlib.sha256(repr((found.facts, charts, [s.items for s in found.sections])).encode()).hexdigest()[:16]
        known = parse_qs(url.query).get("version", [""])[0] == version
        news = {"version": version} if known else {"version": version, "body": body(found), "charts": charts}
        return 200, "application/json", json.dumps(news, separators=(",", ":"), allow_nan=False).encode()
