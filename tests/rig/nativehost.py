"""A host that times models with a benchmark program of this machine, to be killed: ``python -m tests.rig.nativehost FOLDER``.

FOLDER holds the workspace ``ws`` with the device ``phone``, the models ``m*.tflite``, and the journal, which goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hwnas.core.device import MeasurePlan
from hwnas.pipeline.context import Context
from hwnas.pipeline.device import Rig
from hwnas.pipeline.goals import Target
from hwnas.pipeline.timings import Conditions, Regimes, TimedModel, timed
from hwnas.store.journal import Journal
from hwnas.workspace import Workspace

TARGET = Target("phone", "litert", "fp32")
CONDITIONS = Conditions("table", "phone", "litert", "fp32", 1)
REPEATS = 4
JOURNAL = "journal.jsonl"


def attempt(folder: Path) -> dict[str, Regimes]:
    """Measure what the journal lacks."""
    models = [TimedModel(path.stem, path) for path in sorted(folder.glob("m*.tflite"))]
    rig = Rig(TARGET, models[0].path, models[0].path, MeasurePlan(min_repeats=REPEATS, least_repeats=2))
    measure = rig.measure(Context(Workspace.open(folder / "ws")), "profile")
    return timed(CONDITIONS, models, Journal(folder / JOURNAL), measure=measure)


if __name__ == "__main__":
    attempt(Path(sys.argv[1]))
