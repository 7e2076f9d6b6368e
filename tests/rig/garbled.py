"""Conversations between an agent and its host that went wrong on the way: what the fuzz tests share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hwnas_agent import wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEYS = ("block a", "block b", "net:c")
SAMPLES = [0.25, 0.26, 0.27]
HELLO = {
    "type": "hello",
    "agent": "0.1.0",
    "python": "3.11.2",
    "system": "linux",
    "arch": "aarch64",
    "libc": None,
    "cores": [0, 1, 2, 3],
    "runtimes": {"onnxruntime": {"version": "1.20.0", "reason": None, "max_ir": 10, "max_opset": 21}},
    "facts": {"governor": {"value": "performance", "reason": None}, "temperature_c": {"value": None, "reason": "not there"}},
}
READY = {"type": "ready", "runtime_version": "1.20.0", "provider": "CPUExecutionProvider", "cores": [3], "run_queue_seen": True}
PROGRESS = {"type": "progress", "finished": 1, "accepted": 4, "wanted": 9, "quiet_share": 0.5}
DONE = {
    "type": "done",
    "results": 3,
    "short": 0,
    "fewest": 0,
    "visits": 9,
    "probes": 30,
    "quiet_level_us": 120.0,
    "quiet_share": 0.5,
    "reference_us": [400.0, 404.0],
    "seconds": 1.5,
}


def result(key: str) -> wire.Message:
    """A ``result`` of a model."""
    return {
        "type": "result",
        "id": key,
        "quiet_ms": SAMPLES,
        "typical_ms": SAMPLES,
        "rejected": 2,
        "load_ms": 1.5,
        "first_ms": 0.9,
        "runs_per_sample": 2,
        "quiet_level_us": 120.0,
        "chunk": 0,
        "execution": {"by": "CPUExecutionProvider", "fallbacks": 0, "note": None},
        "peak_memory_bytes": 4096,
        "energy_mj": None,
    }


CONVERSATION = [HELLO, {"type": "alive"}, READY, result(KEYS[0]), PROGRESS, result(KEYS[1]), {"type": "alive"}, result(KEYS[2]), DONE]
HOST = [
    {"type": "hello", "runtimes": ["onnxruntime"]},
    {"type": "ping"},
    {
        "type": "begin",
        "runtime": "quick",
        "threads": 1,
        "plan": {
            "warmup": 1,
            "min_repeats": 2,
            "least_repeats": 1,
            "min_total_ms": 0.0,
            "min_sample_us": 0.0,
            "max_seconds": 0.001,
            "cooldown_s": 0.0,
            "affinity": [],
            "seed": 0,
        },
        "probe": "probe.onnx",
        "reference": "reference.onnx",
        "quiet_level_us": None,
    },
    {"type": "job", "id": KEYS[0], "path": "a.onnx"},
    {"type": "file", "name": "0" * 64 + ".onnx", "sha256": "0" * 64},
    {"type": "job", "id": KEYS[1], "path": "b.onnx"},
    {"type": "start", "jobs": 2},
]


def spoken(messages: Iterable[wire.Message], magic: str = wire.AGENT_MAGIC) -> list[bytes]:
    """The lines of a conversation, the magic one first, numbered in order; NaN and the like are written as Python writes them."""
    lines = [json.dumps({**message, "seq": number}).encode() + b"\n" for number, message in enumerate(messages)]
    return [magic.encode() + b"\n", *lines]


def both(
    count: tuple[int, int], strategy: st.SearchStrategy[Any], body: Callable[..., None]
) -> tuple[Callable[..., None], Callable[..., None]]:
    """The same test twice: with few examples, and with many in the slow suite."""
    few, many = count
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture, HealthCheck.large_base_example]
    fast = settings(max_examples=few, suppress_health_check=quiet)(given(strategy)(body))
    slow = settings(max_examples=many, suppress_health_check=quiet)(given(strategy)(body))
    return fast, pytest.mark.slow(slow)


# --- what may go wrong ---------------------------------------------------------------------------------------------------------------

NUMBERS = [-1, -0.0, 0, 3, 1e308, 10**400, 2**53, 2**63, float("nan"), float("inf"), float("-inf"), 1e-320, True, 1e15, 1e16, 1.5, 120.0]
TEXTS = [
    "",
    "x",
    "x" * 600,
    "\x1b[2J",
    "\ud800",
    "\u202e",
    "\0",
    "é" * 64,
    "type",
    "value",
    *KEYS,
    "nobody asked",
    "onnxruntime",
    "done",
    "alive",
]
PLAIN = [None, *NUMBERS, *TEXTS]
# drawn from a list: building values one by one takes longer than all that is done with them
odd_texts = st.sampled_from(TEXTS)
odd_values = st.sampled_from(
    [
        *PLAIN,
        [],
        {},
        *([v] for v in PLAIN),
        *([0.5, 0.5, v] for v in PLAIN),
        *({"value": v, "reason": None} for v in PLAIN),
        [[[]]] * 3,
        {"": {}},
    ]
)


@st.composite
def garbled_messages(draw: st.DrawFn, whole: list[wire.Message]) -> list[wire.Message]:
    """Messages of a conversation in another order, missing, repeated, with other values, fields too many or too few."""
    messages = [dict(m) for m in whole]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(messages) - 1)) if messages else 0
        change = draw(st.sampled_from(["drop", "repeat", "move", "value", "inner", "extra", "less", "many"]))
        if not messages or not messages[at]:
            break
        message = messages[at]
        if change == "drop":
            del messages[at]
        elif change == "repeat":
            messages[at:at] = [message] * draw(st.integers(1, 4))
        elif change == "move":
            messages.insert(draw(st.integers(0, len(messages))), messages.pop(at))
        elif change == "extra":
            messages[at] = {**message, draw(odd_texts): draw(odd_values)}
        elif change == "many":
            messages[at] = {
                key: value * 700 if isinstance(value, (list, str)) and len(value) < 20 else value for key, value in message.items()
            }
        else:
            messages[at] = draw(_changed(message, change))
    return messages


@st.composite
def _changed(draw: st.DrawFn, message: wire.Message, change: str) -> wire.Message:
    name = draw(st.sampled_from(sorted(message)))
    value = message[name]
    if change == "less":
        return {key: kept for key, kept in message.items() if key != name}
    if change == "inner" and isinstance(value, dict) and value:
        return {**message, name: draw(_changed(value, draw(st.sampled_from(["value", "less"]))))}
    if change == "inner" and isinstance(value, list):
        return {**message, name: [*value, draw(odd_values)]}
    return {**message, name: draw(odd_values)}


long_line = st.builds(lambda n, end: b"x" * n + end, st.sampled_from([65_535, 65_536, 65_537, 200_000]), st.sampled_from([b"", b"\n"]))
nested = st.builds(lambda n, c: c * n + b"\n", st.sampled_from([50, 5_000, 60_000]), st.sampled_from([b"[", b'{"a":', b"[]"]))
scraps = (
    st.binary(max_size=40)
    | st.sampled_from(
        [b"\n", b"\r\n", b"\xff\xfe\n", b"null\n", b"[]\n", b'{"seq":0,"seq":0}\n', b"NaN\n", b"hwnas-agent/2\n", b"9" * 5000]
    )
    | long_line
    | nested
)


@st.composite
def garbled_bytes(draw: st.DrawFn, lines: list[bytes]) -> bytes:
    """The bytes of a conversation with lines repeated, exchanged or lost, bits flipped, pieces cut out and put in."""
    lines = list(lines)
    for _ in range(draw(st.integers(0, 2))):
        one, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        change = draw(st.sampled_from(["repeat", "exchange", "scrap"]))
        if change == "repeat":
            lines.insert(one, lines[other])
        elif change == "exchange":
            lines[one], lines[other] = lines[other], lines[one]
        else:
            lines.insert(one, draw(scraps))
    data = bytearray(b"".join(lines))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        change = draw(st.sampled_from(["flip", "cut", "put", "end"]))
        if change == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del data[at : at + draw(st.integers(1, 80))]
        elif change == "put":
            data[at:at] = draw(scraps)
        else:
            del data[at:]
    return bytes(data)
