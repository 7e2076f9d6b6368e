"""A channel without a device: says what a script tells it to. For failures that no real agent can be made to show."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from hwnas.core.errors import AgentTimeout
from hwnas.profiler.channel import Message


class ScriptedChannel:
    """Hands out ``script`` step by step: a message is received, an exception raised; after the last step nothing comes any more.

    ``sent`` keeps what the host sent, heartbeats apart.
    """

    def __init__(self, script: Iterable[Message | Exception]) -> None:
        self._script = deque(script)
        self.sent: list[Message] = []
        self.closed = False

    def send(self, message: Message) -> None:
        """Keep it."""
        if message["type"] != "ping":
            self.sent.append(message)

    def receive(self, *, timeout_s: float) -> Message:
        """The next step of the script, without waiting."""
        if not self._script:
            raise AgentTimeout(f"no word from the agent within {timeout_s:g} s")
        step = self._script.popleft()
        if isinstance(step, Exception):
            raise step
        return step

    def push(self, local: Path, remote: str) -> str:  # noqa: ARG002 - other transports need the name
        """The file is read where it is."""
        return str(local)

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file of this machine."""
        shutil.copyfile(remote, local)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
