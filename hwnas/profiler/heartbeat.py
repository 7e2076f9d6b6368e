"""Waiting for an agent while showing it that the host is alive."""

from __future__ import annotations

import time

from hwnas_agent import wire

from hwnas.core.errors import AgentTimeout, ProtocolError
from hwnas.profiler.channel import Channel, Message


class Attention:
    """Receives from ``channel`` until ``timeout_s`` are over, and pings it every 2 s.

    An agent silent for ``silence_s`` (30) is given up earlier.
    """

    def __init__(self, channel: Channel, *, timeout_s: float, silence_s: float | None = None) -> None:
        self._channel = channel
        self._silence_s = wire.SILENCE_S if silence_s is None else silence_s
        self._beat_s = min(wire.HEARTBEAT_S, self._silence_s / 4)
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._heard = self._pinged = time.monotonic()

    def next(self) -> Message:
        """The next message that is not a heartbeat; `AgentTimeout` if it does not come."""
        while (now := time.monotonic()) < self._deadline:
            self._beat(now)
            message = self._hear(self._deadline - now)
            if message is not None:
                return message
        raise AgentTimeout(f"the agent did not finish within {self._timeout_s:.0f} s")

    def idle(self, seconds: float) -> None:
        """Pass time with an agent that has nothing to do yet; one that falls silent or ends raises as in `next`."""
        end = min(time.monotonic() + seconds, self._deadline)
        while (now := time.monotonic()) < end:
            self._beat(now)
            message = self._hear(end - now)
            if message is not None:
                raise ProtocolError(f"the agent says '{message['type']}' without being asked")

    def _beat(self, now: float) -> None:
        if now - self._pinged >= self._beat_s:
            self._pinged = now
            self._channel.send({"type": "ping"})

    def _hear(self, seconds: float) -> Message | None:
        """The next message that is not a heartbeat, None if there is none within ``seconds``."""
        try:
            message = self._channel.receive(timeout_s=min(self._beat_s, seconds))
        except AgentTimeout:
            if time.monotonic() - self._heard > self._silence_s:
                raise AgentTimeout(f"no word from the agent for {self._silence_s:.0f} s") from None
            return None
        self._heard = time.monotonic()
        return None if message["type"] == "alive" else message
