"""How long does it take from nothing to a timing of every block of a whole OFA space?

The vocabulary of ``ofa-w1.0`` at one resolution is written as ONNX files into an empty folder, and measured by the agent on this machine in
one session.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Outcome, Target, main
from hwnas.core.device import Measurement, MeasurePlan
from hwnas.pipeline.modelfiles import ModelFiles
from hwnas.profiler.local import LocalLauncher
from hwnas.profiler.session import Job, run_session
from hwnas.space.family import SpaceOptions, blockwise, family_of, find_space

RUNTIME = "onnxruntime"
RESOLUTION = 160
QUICK_RESOLUTION = 16


def measure(quick: bool) -> Outcome:
    """Write, then measure; everything in seconds."""
    space = find_space("tiny-32" if quick else "ofa-w1.0", SpaceOptions(resolutions=(QUICK_RESOLUTION if quick else RESOLUTION,)))
    plan = MeasurePlan(min_repeats=10 if quick else 30, max_seconds=40 if quick else 240)
    measured: dict[str, Measurement] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = ModelFiles(space, Path(folder), RUNTIME)
        begin = time.monotonic()
        models = [files.overhead(), *files.blocks(blockwise(space).vocabulary(space))]
        _, largest = family_of(space).extremes(space)
        reference = files.network(largest).path
        written_s = time.monotonic() - begin
        with LocalLauncher().launch() as channel:
            summary = run_session(
                channel,
                [Job(m.key, m.path) for m in models],
                plan,
                runtime=RUNTIME,
                probe=files.probe(),
                reference=reference,
                on_measured=lambda key, regimes: measured.__setitem__(key, regimes["quiet"]),
            )
        total_s = time.monotonic() - begin
    fewest = min(len(m.samples_ms) for m in measured.values())
    widest = max((high - low) / m.quantile_ms("p50") / 2 for m in measured.values() for low, high in [m.interval_ms("p50")])
    figures = {
        "blocks": float(len(models) - 1),
        "write_seconds": written_s,
        "measure_seconds": total_s - written_s,
        "total_seconds": total_s,
        "fewest_samples": float(fewest),
        "widest_interval_percent": 100 * widest,
        "quiet_share_percent": 100 * (summary.quiet_share or 0.0),
    }
    rows: list[tuple[object, ...]] = [(name, f"{value:.1f}") for name, value in figures.items()]
    return Outcome(("figure", "value"), rows, figures, {"total_seconds": Target("<=", 240)})


if __name__ == "__main__":
    sys.exit(main("profiling.vocabulary", measure))
