"""A channel over two byte streams: what the transports that run an agent as a process have in common."""

from __future__ import annotations

import os
import select
import shutil
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from hwnas_agent import wire

from hwnas.core.errors import AgentTimeout, ConfigError, DeviceLost, ProtocolError
from hwnas.profiler.channel import Message

MAX_TOTAL_BYTES = 512 * 1024 * 1024


class StreamChannel:
    """`hwnas_agent.wire` over a readable and a writable descriptor, which the channel owns.

    ``name`` begins every error message; ``epitaph`` tells what is known of an agent that is gone (its last words on standard error);
    ``on_close`` ends what the transport started.
    """

    def __init__(
        self,
        read_fd: int,
        write_fd: int,
        *,
        name: str,
        epitaph: Callable[[], str] = str,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._name = name
        self._epitaph = epitaph
        self._on_close = on_close
        self._encoder = wire.Encoder(wire.HOST_MAGIC, wire.TO_AGENT)
        self._decoder = wire.Decoder(wire.AGENT_MAGIC, wire.FROM_AGENT, preamble=wire.MAX_PREAMBLE_LINES)
        self._inbox: deque[Message] = deque()
        self._received_bytes = 0
        self._opened = False
        self._closed = False
        os.set_blocking(write_fd, False)

    def send(self, message: Message) -> None:
        """Send one message; an agent that is gone raises `DeviceLost`, one that reads nothing for 30 s `AgentTimeout`."""
        try:
            data = self._encoder.encode(message)
        except wire.WireError as problem:
            raise ConfigError(f"{self._name}: cannot be asked for this: {problem}") from None
        if not self._opened:
            self._opened = True
            data = self._encoder.opening() + data
        deadline = time.monotonic() + wire.SILENCE_S
        while data:
            if self._closed:
                raise DeviceLost(f"{self._name}: the channel is closed")
            if not select.select([], [self._write_fd], [], max(0.0, deadline - time.monotonic()))[1]:
                raise AgentTimeout(f"{self._name}: the agent has read nothing for {wire.SILENCE_S:.0f} s")
            try:
                data = data[os.write(self._write_fd, data) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._lost() from None

    def receive(self, *, timeout_s: float) -> Message:
        """The next message; see `Channel`."""
        deadline = time.monotonic() + timeout_s
        while not self._inbox:
            if self._closed:
                raise DeviceLost(f"{self._name}: the channel is closed")
            if not select.select([self._read_fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AgentTimeout(f"{self._name}: no word from the agent within {timeout_s:g} s")
            data = os.read(self._read_fd, 65536)
            if not data:
                raise self._lost()
            self._received_bytes += len(data)
            if self._received_bytes > MAX_TOTAL_BYTES:
                raise ProtocolError(f"{self._name}: the agent sent more than {MAX_TOTAL_BYTES} bytes")
            try:
                self._inbox.extend(self._decoder.feed(data))
            except wire.WireError as problem:
                raise ProtocolError(f"{self._name}: {problem}") from None
        return self._inbox.popleft()

    def push(self, local: Path, remote: str) -> str:  # noqa: ARG002 - other transports need the name
        """The file is read where it is."""
        if not local.is_file():
            raise ConfigError(f"{local}: no such file")
        return str(local.resolve())

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file of this machine."""
        shutil.copyfile(remote, local)

    def close(self) -> None:
        """Close both streams, which ends the agent, and then whatever the transport started."""
        if self._closed:
            return
        self._closed = True
        os.close(self._write_fd)
        os.close(self._read_fd)
        if self._on_close is not None:
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _lost(self) -> DeviceLost:
        words = self._epitaph()
        return DeviceLost(f"{self._name}: the agent ended before it was done" + (f": {words}" if words else ""))
