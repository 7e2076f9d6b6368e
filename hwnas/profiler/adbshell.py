"""Commands and files on a device over adb, without an agent: what pushed tools, work folders and the page's launcher are built on."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from hwnas_agent.wire import printable

from hwnas.core.errors import DeviceError, DeviceLost
from hwnas.profiler import adbsync
from hwnas.profiler.adblink import SHELL_V2, AdbLink
from hwnas.profiler.adbstream import AdbStream

KEPT_BYTES = 256 * 1024
KILL_S = 2.0
# says its process number first, so that a command that does not end can be ended
_NUMBERED = 'echo "hwnas-pid $$"; exec "$@"'
_STATUS = b"hwnas-status "
_FIRST_BYTES = 64


class Ran(NamedTuple):
    """How a command ended; ``capped`` says that only the end of ``output`` was kept."""

    status: int
    output: bytes
    capped: bool


class AdbShell:
    """A device behind ``link``. Errors are `DeviceLost` where the device or its link fail, and `DeviceError` where it refuses."""

    def __init__(self, link: AdbLink) -> None:
        self.link = link
        self._packets: bool | None = None

    @property
    def packets(self) -> bool:
        """Whether the device's daemon keeps output, errors and status apart."""
        if self._packets is None:
            self._packets = SHELL_V2 in self.link.features()
        return self._packets

    def push(self, local: Path, remote: str, *, mode: int = 0o644, beat: Callable[[], None] = lambda: None) -> None:
        """Write a file to an absolute path of the device, whose missing folders are made; ``mode`` 0o755 makes it a program."""
        adbsync.push(self.link, local, remote, mode=mode, beat=beat)

    def start(self, arguments: Sequence[str]) -> AdbStream:
        """Start a command; no shell sees anything but quoted words. Without the newer protocol its standard error is thrown away."""
        command = "exec " + shlex.join(arguments)
        opened = self.link.open(f"shell,v2,raw:{command}" if self.packets else f"exec:{command} 2>/dev/null")
        return AdbStream(opened, packets=self.packets)

    def run(self, arguments: Sequence[str], timeout_s: float = 60.0, *, merged: bool = False, kept_bytes: int = KEPT_BYTES) -> Ran:
        """Run a command to its end, without input. What it prints, with ``merged`` also on standard error, is kept up to its last bytes.

        One that is not done after ``timeout_s`` is killed, and is a `DeviceLost`.
        """
        words = shlex.join(["sh", "-c", _NUMBERED + (" 2>&1" if merged else ""), "sh", *arguments])
        if self.packets:
            stream = AdbStream(self.link.open(f"shell,v2,raw:{words}"), packets=True)
        else:
            quiet = "" if merged else " 2>/dev/null"
            stream = AdbStream(self.link.open(f"exec:{words}{quiet} </dev/null; printf '\\n{_STATUS.decode()}%d\\n' $?"), packets=False)
        try:
            return self._ran(stream, arguments[0], timeout_s, kept_bytes)
        finally:
            stream.drop()

    def _ran(self, stream: AdbStream, what: str, timeout_s: float, kept_bytes: int) -> Ran:
        deadline = time.monotonic() + timeout_s
        first, kept, total = b"", b"", 0
        if self.packets:
            stream.close()
        try:
            while data := stream.read(timeout_s=max(0.0, deadline - time.monotonic())):
                if b"\n" not in first and len(first) < _FIRST_BYTES:
                    first += data
                    data = first.partition(b"\n")[2]
                total += len(data)
                kept = (kept + data)[-kept_bytes:]
                if time.monotonic() > deadline:
                    raise TimeoutError
        except TimeoutError:
            self._kill(first)
            raise DeviceLost(f"{self.link.label}: {printable(what)} did not end within {timeout_s:g} s, and was killed") from None
        status = stream.status
        if not self.packets:
            kept, _, last = kept.rpartition(b"\n" + _STATUS)
            status = int(last) if last.strip().isdigit() and len(last) < 5 else None
        if status is None:
            raise DeviceLost(f"{self.link.label}: the connection broke off while {printable(what)} ran")
        return Ran(status, kept, total > kept_bytes)

    def _kill(self, first: bytes) -> None:
        """End the command whose first line this is, if the device still listens."""
        words = first.partition(b"\n")[0].split()
        if len(words) == 2 and words[1].isdigit() and int(words[1]) > 1:
            with contextlib.suppress(DeviceError):
                killing = self.start(["kill", "-9", words[1].decode()])
                killing.ended(within_s=KILL_S)
                killing.drop()

    def text(self, remote: str, limit: int = 256) -> str:
        """The beginning of a small file; empty if there is none."""
        try:
            for block in adbsync.blocks(self.link, remote):
                return block[:limit].decode("utf-8", "replace")
        except FileNotFoundError:
            pass
        return ""

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file of the device to ``local``, whole or not at all; a missing one raises `DeviceError`."""
        part = local.with_name(local.name + ".part")
        try:
            with part.open("wb") as file:
                for block in adbsync.blocks(self.link, remote):
                    file.write(block)
            part.replace(local)
        except FileNotFoundError as problem:
            raise DeviceError(f"{self.link.label}: fetching {printable(remote)}: {problem}") from None
        finally:
            part.unlink(missing_ok=True)
