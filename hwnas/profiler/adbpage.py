"""The page of the browser agent on a phone that is reached over adb: no network, no certificate, nothing installed.

``adb reverse`` has the phone's own loopback lead to the page's server on this machine, so the page is in a secure context and isolated:
a fine clock, threads, WebGPU. The way stays as long as this process, as the page does, and is taken away when it ends.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

from hwnas_agent.wire import printable

from hwnas.core.access import AdbOptions
from hwnas.core.errors import DeviceError, DeviceLost
from hwnas.profiler.adblink import AdbLink
from hwnas.profiler.adbshell import AdbShell
from hwnas.profiler.browser import PAGE_WAIT_S, BrowserLauncher, show_link
from hwnas.profiler.channel import Channel
from hwnas.profiler.webaddress import parse_address

MAX_REASON_BYTES = 4096

_ways: set[tuple[AdbLink, int]] = set()


@dataclass(frozen=True, slots=True)
class AdbPageLauncher:
    """Serves the page on the loopback, leads the device behind ``link`` there, and waits until the page was opened on it."""

    link: AdbLink
    options: AdbOptions
    wait_s: float = PAGE_WAIT_S
    show: Callable[[str, str], None] = show_link

    def launch(self) -> Channel:
        """A channel to the page that is there, or to one that comes in time; otherwise `Unreachable`."""
        address = parse_address(f"http://127.0.0.1:{self.options.port}", where=f"devices/{self.link.name}.toml")
        self.link.ready()
        lead(self.link, self.options.port)
        try:
            return BrowserLauncher(self.link.name, address, wait_s=self.wait_s, show=self._show).launch()
        except BaseException:
            withdraw(self.link, self.options.port)
            raise

    def _show(self, link: str, name: str) -> None:
        self.show(link, name)
        if not self.options.open_link:
            return
        try:
            ran = AdbShell(self.link).run(["am", "start", "-a", "android.intent.action.VIEW", "-d", link], merged=True)
        except DeviceError as problem:
            trouble = str(problem)
        else:
            said = printable(ran.output.decode("utf-8", "replace")).strip()
            trouble = f"{name}: am start: {said}" if ran.status != 0 or "Error" in said else ""
        if trouble:
            print(f"{trouble}; open the link on the device yourself", file=sys.stderr, flush=True)


def lead(link: AdbLink, port: int) -> None:
    """Have ``port`` of the device's loopback lead to the same port of this machine's, until `withdraw` or the end of this process."""
    _reverse(link, f"reverse:forward:tcp:{port};tcp:{port}")
    if (link, port) not in _ways:
        _ways.add((link, port))
        atexit.register(withdraw, link, port)


def withdraw(link: AdbLink, port: int) -> None:
    """Undo `lead`, if the device is still there; may be called twice."""
    if (link, port) in _ways:
        _ways.discard((link, port))
        with contextlib.suppress(DeviceError):
            _reverse(link, f"reverse:killforward:tcp:{port}")


def _reverse(link: AdbLink, request: str) -> None:
    """A request that the device's daemon answers itself, with a second ``OKAY`` or a reason."""
    with link.open(request) as connection:
        answer = b""
        try:
            while (data := connection.recv(4096)) and len(answer) < MAX_REASON_BYTES:
                answer += data
                if answer.startswith(b"OKAY"):
                    return
        except OSError as problem:
            raise DeviceLost(f"{link.label}: adb reverse: {printable(str(problem))}") from None
    reason = printable(answer[8:].decode("utf-8", "replace")).strip() or "the connection broke off"
    raise DeviceError(f"{link.label}: adb reverse: {reason}; is another program using this port there?")
