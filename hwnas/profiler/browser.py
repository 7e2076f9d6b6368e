"""A page in a browser as a device's agent: for phones and tablets that have no Python.

Launching shows a link with a one-use token (and a QR code of it) and waits until a page was opened with it. The page then stays: the
sessions of a run follow one another on it without another link. One that is reloaded goes on with what is missing.

A browser is a target of its own (runtime ``onnxruntime-web``), never a stand-in for a native runtime on the same device.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hwnas_agent import wire

from hwnas.core.device import Device
from hwnas.core.errors import ConfigError, Unreachable
from hwnas.core.serial import sha256_file
from hwnas.profiler.channel import LAUNCHERS, Channel, Message
from hwnas.profiler.webaddress import WebAddress, parse_address
from hwnas.profiler.webdesk import Desk
from hwnas.profiler.webruntime import web_files
from hwnas.profiler.webserver import WebServer

PAGE_WAIT_S = 300.0
"""How long a link is valid and awaited."""

_servers: dict[tuple[str, WebAddress], WebServer] = {}


class BrowserChannel:
    """`hwnas.profiler.channel.Channel` to the page at ``desk``. Closing it ends the session and leaves the page where it is."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._closed = False
        desk.begin()

    def send(self, message: Message) -> None:
        """Queue a message; what is not of the protocol raises `ConfigError`, a closed channel `DeviceLost`."""
        try:
            wire.check(message, wire.TO_AGENT)
        except wire.WireError as problem:
            raise ConfigError(f"{self._desk.name}: cannot be asked for this: {problem}") from None
        self._desk.tell(message)

    def receive(self, *, timeout_s: float) -> Message:
        """The next message; see `Channel`."""
        return self._desk.hear(timeout_s=timeout_s)

    def push(self, local: Path, remote: str) -> str:  # noqa: ARG002 - a page has no files: it fetches by content
        """Promise the page the file; the path on the server, which is the hash of the content."""
        if not local.is_file():
            raise ConfigError(f"{local}: no such file")
        sha256 = sha256_file(local)
        self._desk.promise(sha256, local.resolve())
        return f"/model/{sha256}"

    def pull(self, remote: str, local: Path) -> None:
        """A page has no files to give: `ConfigError`."""
        raise ConfigError(f"{self._desk.name}: a page has no files, so {remote} cannot be fetched to {local}")

    def close(self) -> None:
        """End the session."""
        if not self._closed:
            self._closed = True
            self._desk.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def show_link(link: str, name: str) -> None:
    """The link on standard error, and in a terminal its QR code (with the extra ``browser``)."""
    print(f"{name}: open this link in the device's browser and keep the page in front:\n  {link}", file=sys.stderr, flush=True)
    if not sys.stderr.isatty():
        return
    try:
        segno = importlib.import_module("segno")
    except ImportError:
        print("  (pip install 'hwnas[browser]' shows it as a QR code, too)", file=sys.stderr, flush=True)
        return
    segno.make(link, error="l", micro=False).terminal(out=sys.stderr, compact=True, border=2)


@dataclass(frozen=True, slots=True)
class BrowserLauncher:
    """Serves the page at ``address`` and waits for it. ``show(link, name)`` brings the link before the user."""

    name: str
    address: WebAddress
    wait_s: float = PAGE_WAIT_S
    show: Callable[[str, str], None] = show_link

    def launch(self) -> Channel:
        """A channel to the page that is there, or to one that comes in time; otherwise `Unreachable`."""
        server = self._server()
        if not server.desk.present:
            token = server.desk.offer(valid_s=self.wait_s)
            self.show(f"{server.origin}/#token={token}", self.name)
            if not server.desk.await_page(timeout_s=self.wait_s):
                raise Unreachable(f"{self.name}: no page was opened at {server.origin} within {self.wait_s:.0f} s; run the command again")
        return BrowserChannel(server.desk)

    def _server(self) -> WebServer:
        known = (self.name, self.address)
        if known not in _servers:
            _servers[known] = WebServer(Desk(self.name), self.address, web_files())
        return _servers[known]


def close_servers() -> None:
    """End all servers of this process; its pages are told nothing, and find nobody."""
    while _servers:
        _servers.popitem()[1].close()


def browser_launcher(device: Device) -> BrowserLauncher:
    """The launcher of a device whose transport is ``browser``; see `hwnas.profiler.webaddress` for its address."""
    return BrowserLauncher(device.id, parse_address(device.address, where=f"devices/{device.id}.toml"))


LAUNCHERS.register("browser", browser_launcher)
