"""Fuzzing what a host says to the agent: 3,000 examples in the slow suite. The agent ends, by itself, with one of its exit codes.

It answers in its protocol until then, and says why it refuses. The runtime is one that is quick, and time passes by being asked for; when
the host is gone, where an agent's process ends at once, all its deadlines have passed. Everything else is the agent's own.
"""

import functools
import os
import threading

import pytest
from hwnas_agent import runtimes, serve, wire
from hwnas_agent.measure import Session
from hwnas_agent.runtime import ModelUnusable, Runtime
from hwnas_agent.serve import EXIT_REFUSED, Agent
from hypothesis import strategies as st

from tests.rig.board import soon
from tests.rig.garbled import HOST, both, garbled_bytes, garbled_messages, scraps, spoken

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
IN_CONTENT = (30, 1_500)
ON_THE_WAY = (20, 1_000)
ARBITRARY = (20, 500)
"""Examples in the fast and in the slow suite."""
PATIENCE_S = 60.0
STEP_NS = 1_000_000
NEVER_NS = 10**40


class Clock:
    """The agent's time."""

    now_ns = 0
    host_is_there = True

    def __call__(self):
        self.now_ns += STEP_NS if self.host_is_there else NEVER_NS
        return self.now_ns

    def leave(self, code):
        self.host_is_there = False

    def sleep(self, seconds):
        self.now_ns += int(seconds * 1e9)


def quick(clock=None):
    def load(path, threads, seed):
        if "\0" in path:
            raise ModelUnusable("no such file")
        return lambda: None

    return Runtime("1.0", "nothing", load, clock=clock)


@pytest.fixture(autouse=True)
def quick_runtime(monkeypatch):
    monkeypatch.setitem(runtimes.RUNTIMES, "quick", quick)
    # importing the real ones takes seconds: looking for them is not what is tested
    for name in ("onnxruntime", "litert"):
        monkeypatch.setitem(runtimes.RUNTIMES, name, quick)
    monkeypatch.setattr(serve, "Session", Session)  # puts it back
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


def converse(data, *, until=b"", then=b""):
    """Say ``data`` to an agent, and ``then`` once it has said ``until``, and leave; what it answered."""
    to_agent, from_host = os.pipe()
    to_host, from_agent = os.pipe()
    codes, answers = [], []
    clock = Clock()
    runtimes.RUNTIMES["quick"] = functools.partial(quick, clock)
    serve.Session = functools.partial(Session, sleep=clock.sleep)

    def listen():
        try:
            codes.append(Agent(to_agent, from_agent, PATIENCE_S, end=clock.leave, alarm=False, lock_wait_s=PATIENCE_S).serve())
        finally:
            os.close(from_agent)

    reader = threading.Thread(target=lambda: answers.extend(iter(lambda: os.read(to_host, 65_536), b"")))
    agent = threading.Thread(target=listen)
    try:
        reader.start()
        agent.start()
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(from_host, rest) :]
        soon(lambda: until in b"".join(answers))
        os.write(from_host, then)
        os.close(from_host)
        for thread in (agent, reader, *(t for t in threading.enumerate() if t.name == "listen")):
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "the agent does not end"
    finally:
        os.close(to_agent)
        os.close(to_host)
    assert codes in ([0], [EXIT_REFUSED]), "the agent ended with another error"
    messages = wire.Decoder(wire.AGENT_MAGIC, wire.FROM_AGENT).feed(b"".join(answers))
    assert (codes == [EXIT_REFUSED]) == (bool(messages) and messages[-1]["type"] == "refused")
    return messages


def said(messages):
    converse(b"".join(spoken(messages, wire.HOST_MAGIC)))


def arrived(data):
    converse(data)


def anything(parts):
    converse(wire.HOST_MAGIC.encode() + b"\n" + b"".join(parts))


lines = spoken([m for m in HOST if m["type"] != "file"], wire.HOST_MAGIC)
test_garbled_in_content, test_garbled_in_content_at_length = both(IN_CONTENT, garbled_messages(HOST), said)
test_garbled_on_the_way, test_garbled_on_the_way_at_length = both(ON_THE_WAY, garbled_bytes(lines), arrived)
test_arbitrary_bytes, test_arbitrary_bytes_at_length = both(ARBITRARY, st.lists(scraps, max_size=6), anything)


def test_an_ungarbled_conversation_is_done():
    kinds = [m["type"] for m in converse(b"".join(lines), until=b'"done"') if m["type"] != "alive"]
    assert kinds[:2] == ["hello", "ready"]
    assert kinds[-1] == "done"


def test_a_session_ends_with_a_host_that_broke_the_protocol_in_the_middle():
    long = [{**m, "plan": {**m["plan"], "min_repeats": 2000, "max_seconds": 1e15}} if m["type"] == "begin" else m for m in HOST]
    data = b"".join(spoken([m for m in long if m["type"] != "file"], wire.HOST_MAGIC))
    kinds = [m["type"] for m in converse(data, until=b'"ready"', then=b"nonsense\n")]
    assert "ready" in kinds
