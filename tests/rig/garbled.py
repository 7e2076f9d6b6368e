"""Conversations of an agent that went wrong on the way, and a session over them without waiting: what the fuzz tests share."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

from hwnas_agent import wire
from hypothesis import strategies as st

from hwnas.core.device import MeasurePlan
from hwnas.core.errors import AgentTimeout, DeviceError, DeviceLost, ProtocolError, TooNoisy
from hwnas.profiler import framed, heartbeat, session
from hwnas.profiler.framed import FramedChannel
from hwnas.profiler.session import GRACE_S, Job, run_session

DOCUMENTED = {ProtocolError, DeviceLost, AgentTimeout, DeviceError, TooNoisy}
"""How a session may end that does not end well. Compared by class, not by ancestry: a new kind of error has to be put here on purpose."""
KEYS = ("block a", "block b", "net:c")
PLAN = MeasurePlan(min_repeats=3, least_repeats=2, max_seconds=10.0)
DEADLINE_S = PLAN.max_seconds + GRACE_S + 2 * wire.SILENCE_S + 60.0
"""After which a session must have ended, in the time of its clock: hello, and then start to done."""

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


# --- a session over it ---------------------------------------------------------------------------------------------------------------


class Clock:
    """Stands in for the module ``time``: it goes on only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


class Said:
    """`hwnas.profiler.framed.Streams` that give ``pieces`` one by one, each after ``pace_s``, and then their end or nothing any more."""

    def __init__(self, pieces: Iterable[bytes], clock: Clock, *, pace_s: float = 0.0, ends: bool = True) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._clock = clock
        self._pace_s = pace_s
        self._ends = ends
        self.taken = 0

    def read(self, *, timeout_s: float) -> bytes:
        """The next piece."""
        if self._pace_s > timeout_s:
            self._clock.now += timeout_s
            self._pace_s -= timeout_s
            raise TimeoutError
        self._clock.now += self._pace_s
        piece = next(self._pieces, None)
        if piece is None and not self._ends:
            self._clock.now += timeout_s
            raise TimeoutError
        self.taken += len(piece or b"")
        return piece or b""

    def write(self, data: bytes, *, timeout_s: float) -> int:
        """Whatever the host says is taken."""
        return len(data)

    def close(self) -> None:
        """Nothing to close."""


class _Channel(FramedChannel):
    def push(self, local: Path, remote: str) -> str:
        return remote

    def pull(self, remote: str, local: Path) -> None:
        raise NotImplementedError


def pieces_of(data: bytes, size: int) -> list[bytes]:
    """``data``, cut."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def held(pieces: Iterable[bytes], *, pace_s: float = 0.0, ends: bool = True) -> tuple[str, int, float]:
    """Hold a session over ``pieces``: how it ended (``done``, or the name of a documented error), peak memory in bytes, and seconds.

    Any other exception comes through. The seconds are those of the session's own clock.
    """
    clock = Clock()
    modules = (framed, heartbeat, session)
    kept = [module.time for module in modules]  # type: ignore[attr-defined]
    streams = Said(pieces, clock, pace_s=pace_s, ends=ends)
    measured: list[str] = []
    path = Path("model.onnx")
    tracemalloc.start()
    try:
        for module in modules:
            module.time = clock  # type: ignore[attr-defined]
        with _Channel(streams, name="pi4") as channel:
            jobs = [Job(key, path) for key in KEYS]
            run_session(
                channel,
                jobs,
                PLAN,
                runtime="onnxruntime",
                probe=path,
                reference=path,
                on_measured=lambda key, _: measured.append(key),
                on_progress=lambda _: None,
            )
        end = "done"
    except DeviceError as problem:
        if type(problem) not in DOCUMENTED:
            raise
        str(problem).encode()  # fit for a terminal and a file
        end = type(problem).__name__
    finally:
        for module, time in zip(modules, kept, strict=True):
            module.time = time  # type: ignore[attr-defined]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    if end == "done" and set(measured) != set(KEYS):
        raise AssertionError(f"a session is done with {measured}")
    return end, peak, clock.now
