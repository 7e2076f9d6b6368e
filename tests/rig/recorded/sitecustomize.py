"""Read by an interpreter of `tests.rig.replay` as it starts: its agent is the real one, on a device of its own that replays durations.

The runtime gives every model the times that were recorded for it. The agent's clock is the sum of these, so that what it measures is what
was recorded however busy this machine is, and a session lasts as long as it would on that device.
"""

import hashlib
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

SETTING = json.loads(os.environ["HWNAS_REPLAY"])
sys.path.insert(0, SETTING["agent"])

from hwnas_agent import board, corelock, facts, serve  # noqa: E402
from hwnas_agent.runtime import Found, ModelUnusable, Runtime  # noqa: E402

STEP_S = 0.005
"""How far the replayed time may run ahead before it is slept off."""


class Time:
    """Nanoseconds of the replayed device; they pass no faster than real ones. After ``silent_after_s`` of them the agent stands still."""

    def __init__(self, silent_after_s):
        self.now_ns = 0
        self.begin_ns = time.monotonic_ns()
        self.silent_ns = None if silent_after_s is None else int(silent_after_s * 1e9)

    def clock(self):
        return self.now_ns

    def sleep(self, seconds):
        self.now_ns += int(seconds * 1e9)
        if self.silent_ns is not None and self.now_ns > self.silent_ns:
            os.kill(os.getpid(), signal.SIGSTOP)
        ahead_s = (self.now_ns - (time.monotonic_ns() - self.begin_ns)) / 1e9
        if ahead_s > STEP_S:
            time.sleep(ahead_s)


class NoQueue:
    """There is nothing to wait for."""

    seen = False

    def waited_ns(self):
        return 0

    def close(self):
        pass


TIME = Time(SETTING["silent_after_s"])
RECORDED = json.loads(Path(SETTING["recording"]).read_text())


def load(path, *_):
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if digest not in RECORDED:
        raise ModelUnusable(f"{path}: was not recorded")
    runs = iter(())

    def run():
        nonlocal runs
        ms = next(runs, None)
        if ms is None:
            runs = iter(RECORDED[digest])
            ms = next(runs)
        TIME.sleep(ms / 1e3)

    return run


board.boot_id = corelock.boot_id = lambda _device: SETTING["boot_id"]
serve.cores_locked = partial(serve.cores_locked, folder=SETTING["locks"])
facts.find_runtime = lambda *_: Found("recorded", None, 10, 21)
serve.open_runtime = lambda *_: Runtime("recorded", "replay", load, clock=TIME.clock)
serve.Session = partial(serve.Session, sleep=TIME.sleep, run_queue=NoQueue())
