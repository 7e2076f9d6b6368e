"""What sessions that run at the same time share: turns on the cores of one device, and the word to stop.

Two descriptors may name one device, or this machine twice. Its agents would keep each other out by their lock, and the second give up after
a while; within one process the second waits for its turn, however long the first takes. A device is known by its boot id, a turn is of
cores: sessions on other cores of it go on at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from hwnas.core.device import MeasurePlan
from hwnas.core.errors import AgentTimeout, Interrupted
from hwnas.profiler.channel import Channel, Message
from hwnas.profiler.check import DeviceReport

STEP_S = 0.25
"""How long a wait lasts before it looks whether it is to stop."""
MAX_TURN_S = 7200.0

Core = tuple[str, int]
"""Boot id of a device, and the number of a core."""


def cores_of(device: DeviceReport, plan: MeasurePlan, *, threads: int) -> frozenset[Core]:
    """The cores that the agent will take, as `hwnas_agent.process.pin` chooses them; none where the device does not tell."""
    boot = device.facts.get("boot_id")
    if not boot:
        return frozenset()
    return frozenset((str(boot), core) for core in plan.affinity or device.cores[-threads:])


class Together:
    """Shared by all sessions of one command; safe from all their threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[Core] = set()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End every session at its next word to or from its device, for good."""
        self._stopped.set()

    def check(self) -> None:
        """Raise `Interrupted` once everything is to stop."""
        if self._stopped.is_set():
            raise Interrupted("interrupted; what was measured is kept")

    @contextmanager
    def turn(self, cores: frozenset[Core], *, wait: Callable[[float], None]) -> Iterator[None]:
        """Inside, no other session of this command has any of ``cores``. ``wait(seconds)`` passes time until they are free."""
        for _ in range(int(MAX_TURN_S / STEP_S)):
            self.check()
            if self._take(cores):
                break
            wait(STEP_S)
        else:
            raise AgentTimeout(f"another session has had these cores of the device for {MAX_TURN_S / 3600:.0f} hours")
        try:
            yield
        finally:
            with self._lock:
                self._taken -= cores

    def _take(self, cores: frozenset[Core]) -> bool:
        with self._lock:
            if self._taken & cores:
                return False
            self._taken |= cores
            return True


class StoppableChannel:
    """``channel``, whose waits end when ``together`` is to stop. It is used and closed by its own thread alone."""

    def __init__(self, channel: Channel, together: Together) -> None:
        self._channel = channel
        self._together = together

    def send(self, message: Message) -> None:
        """See `Channel`."""
        self._together.check()
        self._channel.send(message)

    def receive(self, *, timeout_s: float) -> Message:
        """See `Channel`."""
        for _ in range(int(timeout_s / STEP_S)):
            self._together.check()
            try:
                return self._channel.receive(timeout_s=STEP_S)
            except AgentTimeout:
                timeout_s -= STEP_S
        self._together.check()
        return self._channel.receive(timeout_s=max(0.0, timeout_s))

    def push(self, local: Path, remote: str) -> str:
        """See `Channel`."""
        self._together.check()
        return self._channel.push(local, remote)

    def pull(self, remote: str, local: Path) -> None:
        """See `Channel`."""
        self._together.check()
        self._channel.pull(remote, local)

    def close(self) -> None:
        """See `Channel`."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
