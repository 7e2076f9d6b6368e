"""A device that needs no time: every model takes what its size says, the same in every run. For tests of all but measuring itself.

Run as a program it is the command line with this device's transport added: ``python -m tests.rig.pretend run --workspace …``.
"""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hwnas.core.errors import AgentTimeout
from hwnas.profiler.channel import LAUNCHERS

SAMPLES = 120
LEVEL_US = 100.0
BUSY = 1.7
"""How much slower everything is while the device is busy."""


def duration_ms(path: Path) -> float:
    """A call, and so much for each byte of weights: blocks add up to networks."""
    return 0.004 + path.stat().st_size * 4e-7


def samples_ms(path: Path, *, slow: float = 1.0) -> list[float]:
    seed = int.from_bytes(hashlib.sha256(path.read_bytes()).digest()[:8], "little")
    noise = np.random.default_rng(seed).normal(1.0, 0.002, SAMPLES)
    return [float(x) for x in slow * duration_ms(path) * noise]


class PretendChannel:
    """Answers like an agent, at once."""

    slow_files = 1.0
    """How much slower exported files are than their table says."""

    lacks: ClassVar[tuple[str, ...]] = ()
    """Runtimes that are not installed."""

    reads: ClassVar[tuple[int, int]] = (10, 21)
    """Newest ONNX IR and opset that its onnxruntime reads."""

    levels_us: ClassVar[deque[float]] = deque()
    """How long the probe takes in each of the next sessions; `LEVEL_US` after that. Models are slower in proportion."""

    def __init__(self):
        self.messages: deque[dict[str, Any]] = deque()
        self.jobs: dict[str, Path] = {}

    def send(self, message):
        if message["type"] == "hello":
            max_ir, max_opset = self.reads
            limits: dict[str, dict[str, Any]] = {
                "onnxruntime": {"max_ir": max_ir, "max_opset": max_opset},
                "litert": {"max_ir": None, "max_opset": None},
            }
            found = {name: {"version": "0", "reason": None, **limit} for name, limit in limits.items()}
            for name in self.lacks:
                found[name] |= {"version": None, "reason": "not installed"}
            self.messages.append(
                {
                    "type": "hello",
                    "agent": "0",
                    "python": "3",
                    "system": "none",
                    "arch": "none",
                    "libc": None,
                    "cores": [0],
                    "runtimes": found,
                    "facts": {},
                }
            )
        elif message["type"] == "job":
            self.jobs[message["id"]] = Path(message["path"])
        elif message["type"] == "start":
            self.level_us = self.levels_us.popleft() if self.levels_us else LEVEL_US
            self.messages.append({"type": "ready", "runtime_version": "0", "provider": "pretend", "cores": [0], "run_queue_seen": False})
            self.messages.extend(self.result(key, path) for key, path in self.jobs.items())
            n = len(self.jobs)
            self.messages.append(
                {
                    "type": "done", "results": n, "short": 0, "fewest": 0, "visits": n, "probes": n, "quiet_level_us": self.level_us,
                    "quiet_share": 1.0, "reference_us": [self.level_us], "seconds": 0.0,
                }
            )  # fmt: skip

    def result(self, key, path):
        slow = self.level_us / LEVEL_US * (self.slow_files if key.startswith("file:") else 1.0)
        quiet = samples_ms(path, slow=slow)
        return {
            "type": "result", "id": key, "quiet_ms": quiet, "typical_ms": [1.1 * t for t in quiet], "rejected": 1, "load_ms": 1.0,
            "first_ms": 1.0, "runs_per_sample": 1, "quiet_level_us": self.level_us, "chunk": 0,
            "execution": {"by": "pretend", "fallbacks": 0, "note": None},
        }  # fmt: skip

    def receive(self, *, timeout_s):
        if not self.messages:
            raise AgentTimeout("nothing more to say")
        return self.messages.popleft()

    def push(self, local, remote):
        return str(local)

    def pull(self, remote, local):
        raise NotImplementedError

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def updated(version: str, *, factor=lambda key: 1.0) -> type[PretendChannel]:
    """The device after an update: runtimes of ``version``, times ``factor(key)`` of what they were."""

    class Updated(PretendChannel):
        def send(self, message):
            super().send(message)
            for said in self.messages:
                if said["type"] == "hello":
                    said["runtimes"]["onnxruntime"]["version"] = version
                if said["type"] == "ready":
                    said["runtime_version"] = version

        def result(self, key, path):
            found = super().result(key, path)
            return found | {"quiet_ms": [ms * factor(key) for ms in found["quiet_ms"]]}

    return Updated


class PretendLauncher:
    def __init__(self, device):
        self.device = device

    def launch(self):
        return PretendChannel()


if "pretend" not in LAUNCHERS:
    LAUNCHERS.register("pretend", PretendLauncher)

if __name__ == "__main__":
    from hwnas.cli.main import call

    sys.exit(call(sys.argv[1:]))
