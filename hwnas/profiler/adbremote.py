"""A folder on a device that is reached over adb, and commands there: what an agent that was pushed lives in."""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hwnas_agent.wire import printable

from hwnas.core.access import AdbOptions
from hwnas.core.errors import DeviceError
from hwnas.profiler.adblink import AdbLink
from hwnas.profiler.adbshell import AdbShell
from hwnas.profiler.adbstream import AdbStream

KEPT_BYTES = 16 * 1024


class AdbRemote:
    """A new, empty folder with a random name that only its user can enter; see `hwnas.profiler.pushed.Remote`."""

    def __init__(self, link: AdbLink, options: AdbOptions) -> None:
        self._link = link
        self._shell = AdbShell(link)
        self.python = options.python
        self.folder = posixpath.join(options.folder, f"hwnas-work-{secrets.token_hex(8)}")
        for words in (["mkdir", "-p", options.folder], ["mkdir", "-m", "700", self.folder]):
            ran = self._shell.run(words, merged=True, timeout_s=link.patience_s)
            if ran.status != 0:
                said = printable(ran.output.decode("utf-8", "replace")).strip()
                raise DeviceError(f"{link.label}: no folder can be made in {options.folder}: {said}; name another as folder in [adb]")

    @property
    def label(self) -> str:
        """What messages call the device."""
        return self._link.label

    def push(self, local: Path, name: str, *, beat: Callable[[], None] = lambda: None) -> str:
        """See `hwnas.profiler.pushed.Remote`."""
        path = posixpath.join(self.folder, name)
        self._shell.push(local, path + ".part", beat=beat)
        return path

    def pull(self, path: str, local: Path) -> None:
        """See `hwnas.profiler.pushed.Remote`."""
        self._shell.pull(posixpath.join(self.folder, path), local)

    def start(self, arguments: Sequence[str]) -> AdbStream:
        """Start a command."""
        return self._shell.start(arguments)

    def run(self, arguments: Sequence[str], *, limit_s: float = 60.0) -> tuple[int, str]:
        """See `hwnas.profiler.pushed.Remote`."""
        ran = self._shell.run(arguments, limit_s, merged=True, kept_bytes=KEPT_BYTES)
        return ran.status, ran.output.decode("utf-8", "replace")

    def read(self, name: str, *, patience_s: float) -> str:
        """See `hwnas.profiler.pushed.Remote`."""
        return AdbShell(replace(self._link, patience_s=patience_s)).text(posixpath.join(self.folder, name))

    def remove(self) -> None:
        """See `hwnas.profiler.pushed.Remote`."""
        self.run(["rm", "-rf", self.folder], limit_s=self._link.patience_s)
