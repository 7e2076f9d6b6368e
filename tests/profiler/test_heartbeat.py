import time

import pytest
from hwnas_agent import wire

from hwnas.core.errors import AgentTimeout
from hwnas.profiler.heartbeat import Attention


class SlowChannel:
    """Says nothing for a while, then ``last``; keeps when it was sent what."""

    def __init__(self, silent_s, last):
        self.end = time.monotonic() + silent_s
        self.last = last
        self.sent = []

    def send(self, message):
        self.sent.append(message["type"])

    def receive(self, *, timeout_s):
        time.sleep(min(timeout_s, 0.01))
        if time.monotonic() < self.end:
            raise AgentTimeout("nothing yet")
        return self.last


def test_the_agent_is_shown_that_the_host_lives_while_it_is_waited_for(monkeypatch):
    monkeypatch.setattr(wire, "HEARTBEAT_S", 0.02)
    channel = SlowChannel(0.2, {"type": "done"})
    assert Attention(channel, timeout_s=60).next() == {"type": "done"}
    assert channel.sent.count("ping") >= 2
    assert set(channel.sent) == {"ping"}


def test_an_agent_that_is_silent_is_given_up_before_the_deadline(monkeypatch):
    monkeypatch.setattr(wire, "SILENCE_S", 0.05)
    with pytest.raises(AgentTimeout, match="no word from the agent"):
        Attention(SlowChannel(60, None), timeout_s=60).next()


def test_an_agent_that_only_sends_heartbeats_meets_the_deadline():
    with pytest.raises(AgentTimeout, match="did not finish within 0 s"):
        Attention(SlowChannel(0, {"type": "alive"}), timeout_s=0.1).next()
