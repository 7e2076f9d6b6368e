"""The real agent on a device of its own that replays durations: what an interpreter of `tests.rig.replay` runs in the agent's place.

``agent.py FOLDER -u AGENT …`` (an agent that was pushed) or ``agent.py FOLDER -c CODE AGENT …`` (one of this machine); FOLDER has the
device's ``setting.json``. The clock is the sum of the durations, so that what is measured is what was recorded, however busy this machine
is. A model is one of the recording, by its SHA-256, and then a session lasts as long as it would on that device; without a recording it is
a file of `tests.rig.replay.model`, which says how long it really takes.

What is asked of the agent goes to ``FOLDER/asked.jsonl``. SIGUSR1 has it write 20 MB to standard error, SIGUSR2 garbage into the protocol.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

FLOOD_BYTES = 20_000_000
GARBAGE = b"\xff\xfe{]\x00 not of the protocol\n" * 5
STEP_S = 0.005
"""How far the replayed time may run ahead of the real one before that is waited for."""
VERSION = "1.19"
"""Of the runtimes: an onnxruntime of this version reads IR 10 and opset 21."""


class Time:
    """Nanoseconds of the device; it ticks a little whenever it is read, as clocks do. At ``silent_after_s`` the agent stands still."""

    def __init__(self, *, real: bool, silent_after_s: float | None) -> None:
        self._ns = 0
        self._real = real
        self._begin_ns = time.monotonic_ns()
        self._silent_ns = float("inf") if silent_after_s is None else 1e9 * silent_after_s

    def __call__(self) -> int:
        self._ns += 10
        return self._ns

    def sleep(self, seconds: float) -> None:
        """Let so much of it pass, if it is to be ``real`` in no less than that."""
        self._ns += int(seconds * 1e9)
        if self._ns > self._silent_ns:
            os.kill(os.getpid(), signal.SIGSTOP)
        ahead_s = (self._ns - (time.monotonic_ns() - self._begin_ns)) / 1e9
        if self._real and ahead_s > STEP_S:
            time.sleep(ahead_s)


class NoQueue:
    """No process waits for another one there."""

    seen = True

    def waited_ns(self) -> int:
        return 0

    def close(self) -> None:
        pass


def main(folder: Path, arguments: list[str]) -> int:
    options = arguments[2:] if arguments[0] == "-u" else arguments[3:]
    sys.path.insert(0, arguments[1] if arguments[0] == "-u" else arguments[2])
    setting = json.loads((folder / "setting.json").read_text())
    now = Time(real=setting["recorded"] is not None, silent_after_s=setting["silent_after_s"])
    _replace(setting, folder / "asked.jsonl", now)
    signal.signal(signal.SIGUSR1, lambda *_: _flood())
    if setting["silence_s"] is not None:
        options += ["--silence-s", str(setting["silence_s"])]
    from hwnas_agent import __main__ as program

    return program.main(options)


def _replace(setting: dict[str, Any], asked: Path, now: Time) -> None:
    """What the agent takes its device for."""
    from hwnas_agent import __main__ as program
    from hwnas_agent import board, corelock, runtimes, serve
    from hwnas_agent.measure import Session
    from hwnas_agent.process import RunQueue
    from hwnas_agent.runtime import ModelUnusable, Runtime

    recorded = setting["recorded"]

    def load(path: str, threads: int, seed: int) -> Callable[[], None]:
        if recorded is None:
            model = json.loads(Path(path).read_text())
            times_ms, pace_ms = [model["us"] / 1e3], model["pace_ms"]
        else:
            times_ms, pace_ms = recorded.get(hashlib.sha256(Path(path).read_bytes()).hexdigest()), 0.0
        if times_ms is None:
            raise ModelUnusable(f"{path}: was not recorded")
        return partial(_run, now, itertools.cycle(times_ms), pace_ms)

    class Agent(serve.Agent):
        def _answer(self, message: dict[str, Any]) -> None:
            if message["type"] in ("begin", "job"):
                with asked.open("a") as file:
                    file.write(json.dumps(message) + "\n")
            super()._answer(message)

    def take_stdout() -> int:
        taken = real_take_stdout()
        signal.signal(signal.SIGUSR2, lambda *_: os.write(taken, GARBAGE))
        return int(taken)

    real_take_stdout = vars(program)["take_stdout"]
    vars(program).update(take_stdout=take_stdout, Agent=Agent)
    if setting["boot_id"] is not None:
        for reader in (board, corelock):
            vars(reader).update(boot_id=lambda _device: setting["boot_id"])
    for name in (*runtimes.RUNTIMES, "replay"):
        runtimes.RUNTIMES[name] = lambda: Runtime(VERSION, "recording", load, clock=now)
    vars(serve).update(
        Session=partial(Session, sleep=now.sleep, run_queue=cast("RunQueue", NoQueue())),
        cores_locked=partial(corelock.cores_locked, folder=setting["locks"]),
    )


def _run(now: Time, times_ms: itertools.cycle[float], pace_ms: float) -> None:
    now.sleep(next(times_ms) / 1e3)
    if pace_ms:
        time.sleep(pace_ms / 1e3)


def _flood() -> None:
    view = memoryview((b"x" * 99 + b"\n") * 100)
    for _ in range(FLOOD_BYTES // len(view)):
        os.write(2, view)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
