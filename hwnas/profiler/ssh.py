"""Devices that are reached over ssh: the agent is pushed there as one file, and speaks over the session's streams."""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.core.access import SshOptions
from hwnas.core.device import Device
from hwnas.core.errors import DeviceError, HostKeyMismatch
from hwnas.profiler.channel import LAUNCHERS, Channel
from hwnas.profiler.pushed import AGENT, PushedChannel, agent_command, store
from hwnas.profiler.remote import Remote
from hwnas.profiler.sshlink import Link, connect, pinned_in
from hwnas.profiler.sshroute import route
from hwnas.profiler.tail import Tail
from hwnas.profiler.zipapp import write_zipapp

POLL_S = 0.25


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


def _channel(link: Link, remote: Remote, command: Any, *, name: str) -> PushedChannel:
    """An agent on a device, its folder there, and the connection to it, which goes with the channel."""
    session = _Session(command)
    tail = Tail(session.read_stderr)
    return PushedChannel(
        session, remote, name=name, epitaph=lambda: link.fault() or tail.words(), alive=lambda: link.alive, release=link.close
    )


def ssh_link(device: Device) -> Link:
    """A connection to a device whose transport is ``ssh``; a key that is not the pinned one says how to trust it."""
    known_hosts = Path((device.ssh or SshOptions()).known_hosts)
    try:
        return connect(route(device), pinned_in(known_hosts), known_hosts=known_hosts)
    except HostKeyMismatch as problem:
        raise HostKeyMismatch(f"{problem}: hwnas devices trust {device.id}") from None


@dataclass(frozen=True, slots=True)
class SshLauncher:
    """Connects to a device, pushes the agent and starts it; everything is taken away again when the channel is closed."""

    device: Device

    def launch(self) -> Channel:
        """Start the agent. `Unreachable`, `AuthFailed`, `HostKeyMismatch` and other `DeviceError`s say why it cannot be."""
        link = ssh_link(self.device)
        try:
            return self._start(link, self.device.ssh or SshOptions())
        except BaseException:
            link.close()
            raise

    def _start(self, link: Link, options: SshOptions) -> Channel:
        remote = Remote(link, options)
        try:
            with tempfile.TemporaryDirectory() as folder:
                agent = store(remote, write_zipapp(Path(folder) / AGENT), AGENT, table="[ssh]")
            command = remote.start(agent_command(remote, agent, remote.folder))
            return _channel(link, remote, command, name=self.device.id)
        except BaseException:
            with contextlib.suppress(DeviceError):
                remote.remove()
            raise


LAUNCHERS.register("ssh", SshLauncher)
