"""Devices that are reached over ssh: the agent is pushed there as one file, and speaks over the session's streams."""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas_agent import wire

from hwnas.core.device import Device, SshOptions
from hwnas.core.errors import ConfigError, DeviceError, HostKeyMismatch
from hwnas.core.serial import sha256_file
from hwnas.profiler.channel import LAUNCHERS, Channel
from hwnas.profiler.framed import FramedChannel
from hwnas.profiler.remote import Remote
from hwnas.profiler.sshlink import Link, connect, pinned_in
from hwnas.profiler.sshroute import route
from hwnas.profiler.tail import Tail
from hwnas.profiler.zipapp import write_zipapp

AGENT = "agent.pyz"
OWNER = "owner"
"""The file in which an agent leaves its process number (`hwnas_agent.workfolder`)."""
GRACE_S = 2.0
POLL_S = 0.25
_KILL = "import os,sys; os.kill(int(sys.argv[1]),9)"
_SUFFIX = re.compile(r"\.[a-z0-9]{1,16}")


class _Session:
    """The streams of a command on the device, as `hwnas.profiler.framed.Streams`."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        # one setting for all threads that read or write: short, and waited for again
        channel.settimeout(POLL_S)

    def read(self, *, timeout_s: float) -> bytes:
        """See `hwnas.profiler.framed.Streams`."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return bytes(self._channel.recv(65536))
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise

    def read_stderr(self) -> bytes:
        """Some of the standard error; none at its end."""
        while True:
            try:
                return bytes(self._channel.recv_stderr(65536))
            except TimeoutError:
                continue

    def write(self, data: bytes, *, timeout_s: float) -> int:
        """See `hwnas.profiler.framed.Streams`."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                sent = int(self._channel.send(data))
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise
            except EOFError:
                raise BrokenPipeError from None
            else:
                if sent == 0:
                    raise BrokenPipeError
                return sent

    def close(self) -> None:
        """End the command's standard input, which ends the agent; what it still says is read by nobody."""
        with contextlib.suppress(OSError, EOFError):
            self._channel.shutdown_write()

    def ended(self, *, within_s: float) -> bool:
        """Whether the command ends within that time."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and not self._channel.closed:
            if self._channel.exit_status_ready():
                return True
            with contextlib.suppress(TimeoutError):
                if not self._channel.recv(65536):  # read on: an agent that cannot write does not end
                    time.sleep(0.02)
        return bool(self._channel.closed)


class SshChannel(FramedChannel):
    """An agent on a device, its folder there, and the connection to it."""

    def __init__(self, link: Link, remote: Remote, command: Any, *, name: str) -> None:
        self._link = link
        self._remote = remote
        self._session = _Session(command)
        self._tail = Tail(self._session.read_stderr)
        self._pushed: dict[str, str] = {}
        self._beaten = time.monotonic()
        super().__init__(self._session, name=name, epitaph=self._last_words, on_close=self._end)

    def push(self, local: Path, remote: str) -> str:  # noqa: ARG002 - files are named after their content
        """Write the file to the device under the name of its content, once; the agent checks it before it looks at any later message."""
        if not local.is_file():
            raise ConfigError(f"{local}: no such file")
        digest = sha256_file(local)
        suffix = local.suffix.lower()
        name = digest + (suffix if _SUFFIX.fullmatch(suffix) else "")
        if name not in self._pushed:
            self._beat()
            path = self._remote.push(local, name, beat=self._beat)
            self.send({"type": "file", "name": name, "sha256": digest})
            self._pushed[name] = path
        return self._pushed[name]

    def pull(self, remote: str, local: Path) -> None:
        """Fetch a file of the device; a relative path begins at the agent's folder."""
        self._remote.pull(remote, local)

    def _beat(self) -> None:
        """A ping when one is due: pushing may take longer than an agent waits for its host."""
        if time.monotonic() - self._beaten >= wire.HEARTBEAT_S:
            self._beaten = time.monotonic()
            self.send({"type": "ping"})

    def _last_words(self) -> str:
        return self._link.fault() or self._tail.words()

    def _end(self) -> None:
        """The agent ends by itself; one that does not is killed, and what it left behind is removed."""
        with self._link, contextlib.suppress(DeviceError):
            if not self._session.ended(within_s=GRACE_S) and self._link.alive:
                pid = self._remote.read(OWNER, patience_s=2 * GRACE_S).strip()
                if pid.isdigit() and int(pid) > 1:
                    self._remote.run([self._remote.python, "-c", _KILL, pid], limit_s=5 * GRACE_S)
            self._remote.remove()


@dataclass(frozen=True, slots=True)
class SshLauncher:
    """Connects to a device, pushes the agent and starts it; everything is taken away again when the channel is closed."""

    device: Device

    def launch(self) -> Channel:
        """Start the agent. `Unreachable`, `AuthFailed`, `HostKeyMismatch` and other `DeviceError`s say why it cannot be."""
        options = self.device.ssh or SshOptions()
        hops = route(self.device)
        known_hosts = Path(options.known_hosts)
        try:
            link = connect(hops, pinned_in(known_hosts), known_hosts=known_hosts)
        except HostKeyMismatch as problem:
            raise HostKeyMismatch(f"{problem}: hwnas devices trust {self.device.id}") from None
        try:
            return self._start(link, options)
        except BaseException:
            link.close()
            raise

    def _start(self, link: Link, options: SshOptions) -> Channel:
        remote = Remote(link, options)
        try:
            with tempfile.TemporaryDirectory() as folder:
                agent = remote.store(write_zipapp(Path(folder) / AGENT), AGENT)
            command = remote.start([remote.python, "-u", agent, "--work", remote.folder])
            return SshChannel(link, remote, command, name=self.device.id)
        except BaseException:
            with contextlib.suppress(DeviceError):
                remote.remove()
            raise


LAUNCHERS.register("ssh", SshLauncher)
