"""A session over whatever an agent is said to have sent, without any agent and without waiting."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

from hwnas_agent import wire

from hwnas.core.device import MeasurePlan
from hwnas.core.errors import AgentTimeout, DeviceError, DeviceLost, ProtocolError, TooNoisy
from hwnas.profiler import framed, heartbeat, session
from hwnas.profiler.framed import FramedChannel
from hwnas.profiler.session import GRACE_S, Job, run_session
from tests.rig.garbled import KEYS

DOCUMENTED = {ProtocolError, DeviceLost, AgentTimeout, DeviceError, TooNoisy}
"""How a session may end that does not end well. Compared by class, not by ancestry: a new kind of error has to be put here on purpose."""
PLAN = MeasurePlan(min_repeats=3, least_repeats=2, max_seconds=10.0)
DEADLINE_S = PLAN.max_seconds + GRACE_S + 2 * wire.SILENCE_S + 60.0
"""After which a session must have ended, in the time of its clock: hello, and then start to done."""


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
