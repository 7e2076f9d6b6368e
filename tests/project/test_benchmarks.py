"""Every benchmark runs on its small scale and ends with its figures as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.reference import DATA, MISSING

ROOT = Path(__file__).parents[2]
NAMES = sorted(f"{path.parent.name}.{path.stem}" for path in (ROOT / "benchmarks").glob("*/[!_]*.py"))


def test_there_are_benchmarks() -> None:
    assert {"pipeline.demo", "supernet.standalone"} <= set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_quick(name: str) -> None:
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=600)
    if not DATA.is_dir() and "HWNAS_REFERENCE_DATA" in done.stderr:
        pytest.skip(MISSING)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.strip().split("\n")[-1])
    assert told.keys() == {"name", "figures", "targets", "met"}
    assert told["name"] == name
    # what could not be measured has no figure, and counts as missed
    assert told["targets"].keys() <= told["figures"].keys() or told["met"] is False
    assert all(isinstance(figure, float | int) for figure in told["figures"].values())
