"""Devices that are reached over adb: boards and phones on USB or the network, through the adb server of this machine.

Where the device has Python, the agent is pushed there as one file and speaks over the streams of a shell command. A phone without one
opens the page of the browser agent, which ``adb reverse`` brings to its own loopback: a secure context without any certificate. (Python
in Termux is reached over ssh, on port 8022.)
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hwnas.core.access import AdbOptions
from hwnas.core.device import Device
from hwnas.core.errors import DeviceError, DeviceLost
from hwnas.profiler.adblink import PATIENCE_S, AdbLink
from hwnas.profiler.adbpage import AdbPageLauncher
from hwnas.profiler.adbremote import AdbRemote
from hwnas.profiler.adbstream import AdbStream
from hwnas.profiler.channel import LAUNCHERS, Channel, Launcher
from hwnas.profiler.pushed import AGENT, PushedChannel, agent_command, store
from hwnas.profiler.zipapp import write_zipapp


@dataclass(frozen=True, slots=True)
class AdbLauncher:
    """Pushes the agent to a device with Python and starts it; everything is taken away again when the channel is closed.

    ``patience_s`` is how long a device may take to come back, or to answer.
    """

    device: Device
    patience_s: float = PATIENCE_S

    def launch(self) -> Channel:
        """Start the agent. `Unreachable`, `AuthFailed` and other `DeviceError`s say why it cannot be."""
        options = self.device.adb or AdbOptions()
        link = adb_link(self.device, patience_s=self.patience_s)
        link.ready()
        try:
            remote = AdbRemote(link, options)
        except DeviceLost:
            # the server may hold a connection on which nothing comes any more
            link.kick()
            link.ready()
            remote = AdbRemote(link, options)
        try:
            with tempfile.TemporaryDirectory() as folder:
                agent = store(remote, write_zipapp(Path(folder) / AGENT), AGENT, table="[adb]")
            return _channel(link, remote, remote.start(agent_command(remote, agent, remote.folder)), name=self.device.id)
        except BaseException:
            with contextlib.suppress(DeviceError):
                remote.remove()
            raise


def _channel(link: AdbLink, remote: AdbRemote, command: AdbStream, *, name: str) -> PushedChannel:
    def epitaph() -> str:
        return command.words() if link.alive else "the connection to the device broke off"

    return PushedChannel(command, remote, name=name, epitaph=epitaph, alive=lambda: link.alive, release=command.drop)


def adb_link(device: Device, *, patience_s: float = PATIENCE_S) -> AdbLink:
    """The way to a device whose transport is ``adb``."""
    host, port = (device.adb or AdbOptions()).server_address
    return AdbLink(device.id, device.address, host, port, patience_s)


def adb_launcher(device: Device) -> Launcher:
    """The launcher of a device whose transport is ``adb``: of the agent that its ``[adb]`` names."""
    options = device.adb or AdbOptions()
    return AdbPageLauncher(adb_link(device), options) if options.agent == "browser" else AdbLauncher(device)


LAUNCHERS.register("adb", adb_launcher)
