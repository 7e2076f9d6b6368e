"""Commands and files on a device on which no agent runs: what benchmark programs are pushed and started with."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from hwnas_agent.wire import printable

from hwnas.core.access import AdbOptions, SshOptions
from hwnas.core.device import Device
from hwnas.core.errors import ConfigError, DeviceError, DeviceLost
from hwnas.core.registry import Registry
from hwnas.core.serial import sha256_file
from hwnas.profiler.adb import adb_link
from hwnas.profiler.adbremote import AdbRemote
from hwnas.profiler.remote import Remote
from hwnas.profiler.ssh import ssh_link

KEPT_BYTES = 16 * 1024
"""How much of the end of what a command prints is kept."""


class Shell(Protocol):
    """A folder of the device that is ours for as long as the shell is open, and commands there."""

    def push(self, local: Path, name: str, *, executable: bool = False) -> str:
        """Bring a file to the folder; its path there. A file that arrives torn raises `DeviceError`."""
        ...

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> tuple[int, str]:
        """Run a command to its end, without input: exit status, and the end of what it printed on either stream.

        One that is not done after ``timeout_s`` raises `DeviceLost`. No shell of the device sees anything but quoted words.
        """
        ...


class Folder(Protocol):
    """What a transport gives: a new folder on a device. `hwnas.profiler.remote.Remote` is one."""

    def push(self, local: Path, name: str) -> str:
        """Write ``local`` to ``name.part`` in the folder; the path of ``name``."""
        ...

    def run(self, arguments: Sequence[str], *, limit_s: float = ...) -> tuple[int, str]:
        """Run a command to its end: exit status and the end of what it printed on either stream."""
        ...


class FolderShell:
    """A `Shell` over a `Folder` of a device of which this machine sees no files. ``name`` begins error messages."""

    def __init__(self, folder: Folder, *, name: str) -> None:
        self._folder = folder
        self._name = name

    def push(self, local: Path, name: str, *, executable: bool = False) -> str:
        """See `Shell`."""
        if not local.is_file():
            raise ConfigError(f"{local}: no such file")
        path = self._folder.push(local, name)
        part = path + ".part"
        status, words = self.run(["sha256sum", part], timeout_s=60.0)
        if status != 0 or words.split()[:1] != [sha256_file(local)]:
            raise DeviceError(f"{self._name}: {local.name} arrived torn, or the device has no sha256sum: {last_words(words)}")
        for command in (["chmod", "700" if executable else "600", part], ["mv", part, path]):
            status, words = self.run(command, timeout_s=30.0)
            if status != 0:
                raise DeviceError(f"{self._name}: {command[0]} fails there: {last_words(words)}")
        return path

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> tuple[int, str]:
        """See `Shell`."""
        return self._folder.run(arguments, limit_s=timeout_s)


class LocalShell:
    """This machine, in a folder of its own."""

    def __init__(self, folder: Path, *, name: str) -> None:
        self._folder = folder
        self._name = name

    def push(self, local: Path, name: str, *, executable: bool = False) -> str:
        """See `Shell`."""
        if not local.is_file():
            raise ConfigError(f"{local}: no such file")
        path = self._folder / name
        shutil.copyfile(local, path)
        path.chmod(0o700 if executable else 0o600)
        return str(path)

    def run(self, arguments: Sequence[str], *, timeout_s: float) -> tuple[int, str]:
        """See `Shell`."""
        with tempfile.TemporaryFile() as output:
            try:
                done = subprocess.run(
                    list(arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=timeout_s,
                    cwd=self._folder,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise DeviceLost(f"{self._name}: {Path(arguments[0]).name} did not end within {timeout_s:g} s, and was killed") from None
            except OSError as problem:
                return 127, f"{arguments[0]}: {problem.strerror}"
            output.seek(max(0, output.seek(0, 2) - KEPT_BYTES))
            return done.returncode, output.read().decode("utf-8", "replace")


@contextlib.contextmanager
def local_shell(device: Device) -> Iterator[Shell]:
    """A shell on this machine; the folder goes at the end."""
    with tempfile.TemporaryDirectory(prefix="hwnas-native-") as folder:
        yield LocalShell(Path(folder), name=device.id)


@contextlib.contextmanager
def ssh_shell(device: Device) -> Iterator[Shell]:
    """A shell on a device over ssh; the folder goes at the end."""
    with ssh_link(device) as link:
        remote = Remote(link, device.ssh or SshOptions())
        try:
            yield FolderShell(remote, name=device.id)
        finally:
            with contextlib.suppress(DeviceError):
                remote.remove()


@contextlib.contextmanager
def adb_shell(device: Device) -> Iterator[Shell]:
    """A shell on a device over adb; the folder goes at the end."""
    link = adb_link(device)
    link.ready()
    remote = AdbRemote(link, device.adb or AdbOptions())
    try:
        yield FolderShell(remote, name=device.id)
    finally:
        with contextlib.suppress(DeviceError):
            remote.remove()


def last_words(words: str) -> str:
    """The last line of what a command printed: where it fails, that tells why."""
    lines = [printable(line).strip() for line in words.splitlines()]
    return next((line for line in reversed(lines) if line), "it says nothing")


SHELLS: Registry[Callable[[Device], contextlib.AbstractContextManager[Shell]]] = Registry("transport with a shell")
"""Transports of device descriptors to what opens a shell there."""

SHELLS.register("local", local_shell)
SHELLS.register("ssh", ssh_shell)
SHELLS.register("adb", adb_shell)
