"""What a transport is: a `Launcher` brings an agent to life and gives a `Channel` of framed, checked messages to it.

Every channel is a context manager that can always be closed, whatever state the far side is in. Its errors are `DeviceLost` (the far side
ended), `AgentTimeout` (it said nothing in time) and `ProtocolError` (it said something that `hwnas_agent.wire` does not allow).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from hwnas_agent.wire import Message

from hwnas.core.device import Device
from hwnas.core.registry import Registry

__all__ = ["LAUNCHERS", "Channel", "Launcher", "Message"]


class Channel(Protocol):
    """Framed messages to and from one agent, which leaves when nothing is sent to it for 30 s: open a channel when the work is ready."""

    def send(self, message: Message) -> None:
        """Send one message of `hwnas_agent.wire.TO_AGENT`."""
        ...

    def receive(self, *, timeout_s: float) -> Message:
        """The next message of `hwnas_agent.wire.FROM_AGENT`; none within ``timeout_s`` raises `AgentTimeout`."""
        ...

    def push(self, local: Path, remote: str) -> str:
        """Bring a file to the device under the relative name ``remote``; the path under which the agent finds it.

        A device that shares the host's file system reads the file where it is.
        """
        ...

    def pull(self, remote: str, local: Path) -> None:
        """Fetch a file of the device."""
        ...

    def close(self) -> None:
        """End the agent and free everything; never raises, may be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Launcher(Protocol):
    """How an agent comes to life on one device."""

    def launch(self) -> Channel:
        """Start an agent; one that cannot be started raises `DeviceError`."""
        ...


LAUNCHERS: Registry[Callable[[Device], Launcher]] = Registry("transport")
"""Transport names of device descriptors to what makes a launcher for such a device."""
