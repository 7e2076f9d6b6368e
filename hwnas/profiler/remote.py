"""A folder on a device that is reached over ssh, and commands there: files go in whole or not at all, and the folder goes at the end."""

from __future__ import annotations

import contextlib
import posixpath
import secrets
import shlex
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hwnas.core.access import SshOptions
from hwnas.core.errors import DeviceError, DeviceLost
from hwnas.profiler.sshlib import paramiko
from hwnas.profiler.sshlink import CONNECT_S, Link

BLOCK_BYTES = 32 * 1024
"""What is under way at a time: a slow link must leave room for the agent's heartbeat."""
STALL_S = 20.0
KEPT_BYTES = 16 * 1024
MAX_PULL_BYTES = 512 * 1024 * 1024


class Remote:
    """A new, empty folder with a random name that only its user can enter. Made over ``link``; `remove` takes it away.

    Errors are `DeviceLost` where the connection breaks or stands still, and `DeviceError` where the device refuses.
    """

    def __init__(self, link: Link, options: SshOptions) -> None:
        self._link = link
        self._sftp = self._open_sftp()
        with self._link.attended("finding the home folder"):
            home = self._sftp.normalize(".")
        root = posixpath.join(home, options.folder.removeprefix("~/"))
        self.python = posixpath.join(home, options.python[2:]) if options.python.startswith("~/") else options.python
        self.folder = posixpath.join(root, f"hwnas-work-{secrets.token_hex(8)}")
        self._make(root)

    @property
    def label(self) -> str:
        """What messages call the device."""
        return self._link.hop.label

    def push(self, local: Path, name: str, *, beat: Callable[[], None] = lambda: None) -> str:
        """Write ``local`` to ``name.part`` in the folder; the path of ``name``, under which it belongs once it is checked.

        ``beat`` is called now and then.
        """
        path = posixpath.join(self.folder, name)
        attended = self._link.attended(f"writing {local.name} there", patience_s=STALL_S, hint="; is the disk full?")
        with local.open("rb") as source, attended as touch, self._sftp.open(path + ".part", "wb") as file:
            while block := source.read(BLOCK_BYTES):
                file.write(block)
                touch()
                beat()
        return path

    def pull(self, path: str, local: Path) -> None:
        """Copy a file of the device, relative to the folder unless absolute, to ``local``."""
        part = local.with_name(local.name + ".part")
        try:
            with self._link.attended(f"fetching {path}", patience_s=STALL_S) as touch:
                with self._sftp.open(posixpath.join(self.folder, path), "rb") as source, part.open("wb") as file:
                    while block := source.read(BLOCK_BYTES):
                        if file.tell() > MAX_PULL_BYTES:
                            raise DeviceError(f"{self._link.hop.label}: {path} is larger than {MAX_PULL_BYTES} bytes")
                        file.write(block)
                        touch()
                part.replace(local)
        finally:
            part.unlink(missing_ok=True)

    def start(self, arguments: Sequence[str]) -> Any:
        """Start a command; the `paramiko.Channel` with its streams. No shell sees anything but quoted words."""
        with self._link.attended(f"starting {arguments[0]}"):
            channel = self._link.transport.open_session(timeout=CONNECT_S)
            channel.exec_command("exec " + " ".join(map(shlex.quote, arguments)))
            return channel

    def run(self, arguments: Sequence[str], *, limit_s: float = 60.0) -> tuple[int, str]:
        """Run a command to its end: exit status and the end of what it printed on either stream."""
        channel = self.start(arguments)
        kept = b""
        deadline = time.monotonic() + limit_s
        with contextlib.closing(channel), self._link.attended(f"running {arguments[0]}", patience_s=limit_s):
            channel.set_combine_stderr(True)
            channel.shutdown_write()
            channel.settimeout(limit_s)
            while data := channel.recv(65536):
                kept = (kept + data)[-KEPT_BYTES:]
                if time.monotonic() > deadline:
                    raise DeviceLost(f"{self._link.hop.label}: running {arguments[0]} did not end within {limit_s:g} s")
            status = channel.recv_exit_status()
        if status < 0:
            raise DeviceLost(f"{self._link.hop.label}: running {arguments[0]}: {self._link.fault() or 'it was killed there'}")
        return status, kept.decode("utf-8", "replace")

    def read(self, name: str, *, patience_s: float) -> str:
        """The beginning of a small file of the folder; empty if there is none."""
        with self._link.attended(f"reading {name}", patience_s=patience_s):
            try:
                with self._sftp.open(posixpath.join(self.folder, name), "rb") as file:
                    return str(file.read(256).decode("utf-8", "replace"))
            except FileNotFoundError:
                return ""

    def remove(self) -> None:
        """Remove the folder and the files in it, if it is still there."""
        with self._link.attended(f"removing {self.folder}", patience_s=STALL_S) as touch, contextlib.suppress(FileNotFoundError):
            for entry in self._sftp.listdir(self.folder):
                self._sftp.remove(posixpath.join(self.folder, entry))
                touch()
            self._sftp.rmdir(self.folder)

    def _open_sftp(self) -> Any:
        try:
            with self._link.attended("starting sftp"):
                channel = self._link.transport.open_session(timeout=CONNECT_S)
                channel.settimeout(STALL_S)
                channel.invoke_subsystem("sftp")
                return paramiko().SFTPClient(channel)
        except DeviceLost:
            if not self._link.alive:
                raise
            raise DeviceError(
                f"{self._link.hop.label}: sftp does not work there; install sftp-server, and let ~/.bashrc print nothing without a terminal"
            ) from None

    def _make(self, root: str) -> None:
        parents = [root[:end] for end in range(1, len(root)) if root[end] == "/"] + [root]
        with self._link.attended(f"making a folder in {root}", hint="; name another as folder in [ssh]"):
            for path in parents:
                if not self._is_folder(path):
                    self._sftp.mkdir(path, 0o700)
            self._sftp.mkdir(self.folder, 0o700)

    def _is_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(self._sftp.stat(path).st_mode or 0)
        except FileNotFoundError:
            return False
