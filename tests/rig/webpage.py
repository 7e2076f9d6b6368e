"""A page agent without a browser: speaks to the server as the page's own scripts do, and says what a test tells it to."""

from __future__ import annotations

import http.client
import json
from typing import Any


class Answer(Exception):
    """The server's answer where it is not 200."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class PretendPage:
    """One tab. ``origin`` is the server's; ``key`` and ``life`` are what it was given."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.key = ""
        self.life = 0
        self.seen = self.sent = 0

    def request(self, method: str, path: str, *, bearer: str | None = None, body: bytes = b"", **headers: str) -> bytes:
        """One request with the headers of a browser, changed by ``headers`` (underscores for dashes; an empty one is left out)."""
        host = self.origin.partition("://")[2]
        sent = {"Host": host, "Origin": self.origin, "X-Hwnas-Life": str(self.life), "Authorization": f"Bearer {bearer or self.key}"}
        if body or method == "POST":
            sent["Content-Length"] = str(len(body))
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(host, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        self.headers = dict(response.getheaders())
        if response.status != 200:
            raise Answer(response.status, data.decode())
        return data

    def enter(self, path: str, bearer: str) -> None:
        """``/claim`` with a token or ``/resume`` with a key."""
        given = json.loads(self.request("POST", path, bearer=bearer))
        self.key, self.life, self.seen, self.sent = given["key"], given["life"], 0, 0

    def reload(self) -> None:
        """As the page does after it was reloaded, or when a session is over."""
        self.enter("/resume", self.key)

    def receive(self) -> list[dict[str, Any]]:
        """The host's next messages, heartbeats left out; numbers checked."""
        messages = json.loads(self.request("GET", f"/receive?after={self.seen}"))["messages"]
        for message in messages:
            assert message.pop("seq") == self.seen
            self.seen += 1
        return [message for message in messages if message["type"] != "ping"]

    def until(self, kind: str, *, tries: int = 20) -> list[dict[str, Any]]:
        """All messages up to one of ``kind``; comes back by itself when a new session begins."""
        found: list[dict[str, Any]] = []
        for _ in range(tries):
            try:
                found += self.receive()
            except Answer as answer:
                if answer.status != 409:
                    raise
                self.reload()
            if any(message["type"] == kind for message in found):
                return found
        raise AssertionError(f"no '{kind}' among {[message['type'] for message in found]}")

    def send(self, *messages: dict[str, Any]) -> None:
        """Numbered messages to the host."""
        lines = []
        for message in messages:
            lines.append(json.dumps({**message, "seq": self.sent}))
            self.sent += 1
        self.request("POST", "/send", body="\n".join(lines).encode())
