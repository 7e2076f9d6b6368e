"""The protocol over any two streams of bytes: what all transports that carry bytes have in common."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from hwnas_agent import wire

from hwnas.core.errors import AgentTimeout, ConfigError, DeviceLost, ProtocolError
from hwnas.profiler.channel import Message

MAX_TOTAL_BYTES = 512 * 1024 * 1024


class Streams(Protocol):
    """Bytes to and from an agent."""

    def read(self, *, timeout_s: float) -> bytes:
        """Some bytes, none at the end of the stream; ``TimeoutError`` if nothing comes in time."""
        ...

    def write(self, data: bytes, *, timeout_s: float) -> int:
        """How many bytes of ``data`` were taken; ``TimeoutError`` if none in time, ``OSError`` if there is nobody to take them."""
        ...

    def close(self) -> None:
        """Close both directions; never raises."""
        ...


class FramedChannel:
    """`hwnas_agent.wire` over ``streams``, which the channel owns; what a transport adds is how files get to the device.

    ``name`` begins every error message; ``epitaph`` tells what is known of an agent that is gone (its last words on standard error);
    ``on_close`` ends what the transport started.
    """

    def __init__(
        self, streams: Streams, *, name: str, epitaph: Callable[[], str] = str, on_close: Callable[[], None] | None = None
    ) -> None:
        self._streams = streams
        self._name = name
        self._epitaph = epitaph
        self._on_close = on_close
        self._encoder = wire.Encoder(wire.HOST_MAGIC, wire.TO_AGENT)
        self._decoder = wire.Decoder(wire.AGENT_MAGIC, wire.FROM_AGENT, preamble=wire.MAX_PREAMBLE_LINES)
        self._inbox: deque[Message] = deque()
        self._received_bytes = 0
        self._opened = False
        self._closed = False

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
            try:
                data = data[self._streams.write(data, timeout_s=max(0.0, deadline - time.monotonic())) :]
            except TimeoutError:
                raise AgentTimeout(f"{self._name}: the agent has read nothing for {wire.SILENCE_S:.0f} s") from None
            except OSError:
                raise self._lost() from None

    def receive(self, *, timeout_s: float) -> Message:
        """The next message; see `hwnas.profiler.channel.Channel`."""
        deadline = time.monotonic() + timeout_s
        while not self._inbox:
            if self._closed:
                raise DeviceLost(f"{self._name}: the channel is closed")
            try:
                data = self._streams.read(timeout_s=max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise AgentTimeout(f"{self._name}: no word from the agent within {timeout_s:g} s") from None
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

    def close(self) -> None:
        """Close both streams, which ends the agent, and then whatever the transport started."""
        if self._closed:
            return
        self._closed = True
        self._streams.close()
        if self._on_close is not None:
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _lost(self) -> DeviceLost:
        words = self._epitaph()
        return DeviceLost(f"{self._name}: the agent ended before it was done" + (f": {words}" if words else ""))
