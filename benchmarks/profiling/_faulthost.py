"""The host's side of the fault campaign, a process of its own that may be killed: one attempt at a profile, resumed from its journal.

``python -m benchmarks.profiling._faulthost SPEC``; the exit code is that of the command line. It does what a profile does with a device
(`hwnas.pipeline.timings.timed` over `hwnas.profiler.session.run_session`), and keeps its own account of what was delivered.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas.core.access import AdbOptions, SshOptions
from hwnas.core.device import Device, MeasurePlan
from hwnas.core.errors import HwnasError
from hwnas.core.serial import plain
from hwnas.pipeline.timings import Conditions, Keep, Meet, TimedModel, timed
from hwnas.profiler.adb import AdbLauncher
from hwnas.profiler.channel import Launcher
from hwnas.profiler.session import Job, run_session
from hwnas.profiler.ssh import SshLauncher
from hwnas.store.journal import Journal

LAUNCHING = "launching"
"""What it says when it turns to the device."""
DELIVERED, JOURNAL = "delivered.txt", "journal.jsonl"
PLAN = MeasurePlan(min_repeats=6, min_total_ms=2.0, min_sample_us=0.0, max_seconds=100.0, seed=5)
CONDITIONS = Conditions("table", "board", "replay", "fp32", 1)


def launcher(spec: Mapping[str, Any]) -> Launcher:
    """The launcher of the board that ``spec`` describes."""
    if "adb" in spec:
        return AdbLauncher(Device("board", "adb", spec["address"], adb=AdbOptions(**spec["adb"])), patience_s=spec["patience_s"])
    return SshLauncher(Device("board", "ssh", spec["address"], ssh=SshOptions(**spec["ssh"])))


def attempt(spec: Mapping[str, Any]) -> None:
    """Measure what the journal lacks; a `HwnasError` says why not all of it was."""
    folder = Path(spec["folder"])
    models = [TimedModel(path.stem, path) for path in sorted(Path(spec["models"]).glob("m*.rep"))]

    def measure(missing: Sequence[TimedModel], keep: Keep, _meet: Meet) -> Mapping[str, Any]:
        def measured(key: str, regimes: Mapping[str, Any]) -> None:
            keep(key, regimes)
            with (folder / DELIVERED).open("a") as file:
                file.write(key + "\n")

        print(LAUNCHING, flush=True)
        with launcher(spec).launch() as channel:
            summary = run_session(
                channel,
                [Job(model.key, model.path) for model in missing],
                PLAN,
                runtime="replay",
                probe=Path(spec["models"]) / "probe.rep",
                reference=Path(spec["models"]) / "reference.rep",
                silence_s=spec["silence_s"],
                on_measured=measured,
            )
        return dict(plain(summary))

    timed(CONDITIONS, models, Journal(folder / JOURNAL), measure=measure)


if __name__ == "__main__":
    try:
        attempt(json.loads(Path(sys.argv[1]).read_text()))
    except HwnasError as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)
