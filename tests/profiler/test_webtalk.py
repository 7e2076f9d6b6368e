"""What a page that was reloaded is told, and what the host's session hears of it."""

import pytest
from hwnas_agent import wire

from hwnas.core.errors import ProtocolError
from hwnas.profiler.webtalk import MIN_SECONDS, Conversation

PLAN = {
    "warmup": 1,
    "min_repeats": 4,
    "least_repeats": 2,
    "min_total_ms": 0.0,
    "min_sample_us": 150.0,
    "max_seconds": 60.0,
    "cooldown_s": 0.0,
    "affinity": [],
    "seed": 0,
}
MODEL = "/model/" + "0" * 64
BEGIN = {
    "type": "begin",
    "runtime": "onnxruntime-web",
    "threads": 1,
    "plan": PLAN,
    "probe": MODEL,
    "reference": MODEL,
    "quiet_level_us": None,
}
HELLO = {"type": "hello", "runtimes": []}
READY = {"type": "ready", "runtime_version": "1", "provider": "wasm", "cores": [], "run_queue_seen": False}


def job(key):
    return {"type": "job", "id": key, "path": MODEL}


def result(key, level=100.0):
    return {"type": "result", "id": key, "quiet_level_us": level}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def talk(clock):
    """Until start, with jobs a, b and c; the page has introduced itself and is ready."""
    talk = Conversation(clock=clock)
    for message in (HELLO, BEGIN, job("a"), {"type": "ping"}, job("b"), job("c"), {"type": "start", "jobs": 3}):
        talk.say(message)
    assert talk.hear({"type": "hello"}) is not None
    assert talk.hear(READY) == READY
    return talk


def test_busy_samples_of_a_later_life_are_not_mixed_with_those_of_the_first(talk):
    busy = {"type": "busy", "id": "a", "busy_ms": [1.0], "at_s": [3.0]}
    assert talk.hear(busy) == busy
    talk.again()
    assert talk.hear(busy) is None


def test_a_page_that_comes_back_is_told_what_is_missing(talk, clock):
    talk.hear(result("b", level=123.0))
    talk.hear({"type": "failed", "id": "c", "reason": "no"})
    clock.now = 20.0
    begin, only, start = talk.again()
    assert begin == {**BEGIN, "plan": {**PLAN, "max_seconds": 40.0}, "quiet_level_us": 123.0}
    assert (only, start) == (job("a"), {"type": "start", "jobs": 1})
    for message in (begin, only, start):
        wire.check(message, wire.TO_AGENT)
    assert BEGIN["plan"] == PLAN


def test_what_the_session_heard_it_does_not_hear_again(talk):
    talk.hear(result("a"))
    talk.again()
    assert talk.hear({"type": "hello"}) is None
    assert talk.hear(dict(READY)) is None
    progress = {"type": "progress", "finished": 1, "accepted": 5, "wanted": 8, "quiet_share": None}
    assert talk.hear(progress) == {**progress, "finished": 2, "accepted": 9, "wanted": 12}
    assert talk.hear({"type": "done", "results": 2}) == {"type": "done", "results": 3}


def test_a_page_that_came_back_before_it_was_asked_anything_is_told_everything():
    talk = Conversation()
    assert talk.again() == []
    talk.say(HELLO)
    assert talk.again() == [HELLO]
    talk.say(BEGIN)
    assert talk.again() == [HELLO, BEGIN]
    talk.hear({"type": "hello"})
    assert talk.again() == [BEGIN]


def test_time_that_is_up_still_lets_the_last_models_load(talk, clock):
    clock.now = 1000.0
    assert talk.again()[0]["plan"]["max_seconds"] == MIN_SECONDS


def test_another_runtime_after_a_reload_is_not_the_same_device(talk):
    with pytest.raises(ProtocolError, match="came back with provider 'webgpu' instead of 'wasm'"):
        talk.hear({**READY, "provider": "webgpu"})
