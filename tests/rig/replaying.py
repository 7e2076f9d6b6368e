"""The real agent with a runtime that replays recorded durations, for tests of everything but measuring itself.

``replaying.py ROOT SILENCE_S -u AGENT --work FOLDER`` is what a board starts in place of ``python -u AGENT --work FOLDER``. A model is a
JSON file: ``{"us": duration, "pace_ms": how long that really takes}``. The session's clock is moved by the durations alone: the same models
give the same samples whatever the machine does meanwhile. What was asked of it goes to ``ROOT/asked.jsonl``, and its locks lie in ``ROOT``:
boards that share a machine are different devices.

SIGUSR1 has it write 20 MB to standard error, SIGUSR2 garbage into the protocol.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import cast

FLOOD_BYTES = 20_000_000
GARBAGE = b"\xff\xfe{]\x00 not of the protocol\n" * 5


class Clock:
    """Nanoseconds that pass only while models run."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        self.ns += 10
        return self.ns


def model(path: Path, *, us: float, pace_ms: float = 0.0, size_bytes: int = 0) -> Path:
    """Write a model that takes so long; ``size_bytes`` of padding make it large to push."""
    path.write_text(json.dumps({"us": us, "pace_ms": pace_ms, "padding": "x" * size_bytes}))
    return path


def interpreter(board, *, silence_s: float = 30.0) -> str:
    """What a board of the rigs takes for its Python, so that its agents replay."""
    return str(board.python(f'exec {sys.executable} {Path(__file__).resolve()} {board.root} {silence_s} "$@"'))


def main(root: Path, silence_s: str, arguments: list[str]) -> int:
    _, agent, *options = arguments
    sys.path.insert(0, agent)
    from hwnas_agent import __main__ as program
    from hwnas_agent import corelock, runtimes, serve
    from hwnas_agent.measure import Session
    from hwnas_agent.process import RunQueue
    from hwnas_agent.runtime import Runtime

    clock = Clock()

    def load(path: str, threads: int, seed: int):
        said = json.loads(Path(path).read_text())
        took_ns, pace_s = int(1e3 * said["us"]), said["pace_ms"] / 1e3

        def run() -> None:
            clock.ns += took_ns
            if pace_s:
                time.sleep(pace_s)

        return run

    class Queue:
        seen = True

        def waited_ns(self) -> int:
            return 0

        def close(self) -> None:
            pass

    class Asked(serve.Agent):
        def _answer(self, message):
            if message["type"] in ("begin", "job"):
                with (root / "asked.jsonl").open("a") as file:
                    file.write(json.dumps({**message, "pid": os.getpid()}) + "\n")
            super()._answer(message)

    def take_stdout() -> int:
        taken = real_take_stdout()
        signal.signal(signal.SIGUSR2, lambda *_: os.write(taken, GARBAGE))
        return int(taken)

    real_take_stdout = vars(program)["take_stdout"]
    vars(program).update(take_stdout=take_stdout, Agent=Asked)
    runtimes.RUNTIMES["replay"] = lambda: Runtime("1", "recording", load, clock=clock)
    vars(serve).update(
        Session=partial(Session, run_queue=cast("RunQueue", Queue())), cores_locked=partial(corelock.cores_locked, folder=str(root))
    )
    signal.signal(signal.SIGUSR1, lambda *_: _flood())
    return program.main([*options, "--silence-s", silence_s])


def _flood() -> None:
    view = memoryview((b"x" * 99 + b"\n") * 100)
    for _ in range(FLOOD_BYTES // len(view)):
        os.write(2, view)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
