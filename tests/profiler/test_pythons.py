"""The agent on every Python that it supports, as a package and as one file, in a real session with the onnxruntimes that it has there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hwnas.core.device import MeasurePlan
from hwnas.profiler.channel import Channel
from hwnas.profiler.local import LocalLauncher, _attach
from hwnas.profiler.session import Job, SessionSummary, run_session
from hwnas.profiler.zipapp import write_zipapp
from tests.agent.models import onnx_convolution
from tests.rig.pythons import NotHere, environment

PLAN = MeasurePlan(min_repeats=5, min_total_ms=0.0, max_seconds=120.0, warmup=1)
OLD, CURRENT = "onnxruntime==1.19.2", "onnxruntime==1.31.1"
# 1.19.2 and the newest one that there is for each Python; 1.19.2 has none for 3.13
WHEELS = {
    "3.8": (OLD,),
    "3.9": (OLD,),
    "3.10": (OLD, "onnxruntime==1.23.2"),
    "3.11": (OLD, CURRENT),
    "3.12": (OLD, CURRENT),
    "3.13": (CURRENT,),
}

pytestmark = pytest.mark.slow


def python_with(version: str, *requirements: str) -> str:
    try:
        return environment(version, *requirements)
    except NotHere as problem:
        pytest.skip(str(problem))


def as_file(python: str, folder: Path) -> Channel:
    """The agent as a zipapp, as a board runs it."""
    command = [python, "-u", str(write_zipapp(folder / "agent.pyz"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return _attach(subprocess.Popen(command, start_new_session=True, bufsize=0, **pipes), "zipapp")


def as_package(python: str, folder: Path) -> Channel:
    return LocalLauncher(python=python).launch()


def session(channel: Channel, folder: Path, **model: int) -> SessionSummary:
    """Two models measured, and what the session was like."""
    probe = onnx_convolution(folder / "probe.onnx", channels=16, size=16, **model)
    jobs = [Job("probe", probe), Job("small", onnx_convolution(folder / "small.onnx", **model))]
    measured = {}
    with channel:
        summary = run_session(
            channel, jobs, PLAN, runtime="onnxruntime", probe=probe, reference=probe, on_measured=lambda key, m: measured.update({key: m})
        )
    assert set(measured) == {"probe", "small"}
    for regimes in measured.values():
        assert min(regimes["quiet"].samples_ms) > 0
        assert regimes["quiet"].facts["executed_by"] == "CPUExecutionProvider"
        assert regimes["quiet"].facts["fallbacks"] == 0
    return summary


@pytest.mark.parametrize("launch", [as_package, as_file])
@pytest.mark.parametrize(("version", "requirement"), [(version, wheel) for version, wheels in WHEELS.items() for wheel in wheels])
def test_a_session(version, requirement, launch, tmp_path):
    summary = session(launch(python_with(version, requirement), tmp_path), tmp_path)
    assert summary.device.python.startswith(f"{version}.")
    assert summary.runtime_version == requirement.partition("==")[2]
    assert summary.provider == "CPUExecutionProvider"


def reported(version: str, requirement: str) -> tuple[int | None, int | None]:
    from hwnas.profiler.check import check

    found = check(LocalLauncher(python=python_with(version, requirement, "numpy<1.24"))).runtimes["onnxruntime"]
    assert found.version == requirement.partition("==")[2], found.reason
    return found.max_ir, found.max_opset


@pytest.mark.parametrize(
    ("requirement", "limits"),
    [("onnxruntime==1.7.0", (7, 12)), ("onnxruntime==1.10.0", (8, 15)), ("onnxruntime==1.18.1", (8, 15)), (OLD, (10, 21))],
)
def test_what_the_agent_promises_an_onnxruntime_reads(requirement, limits, tmp_path):
    assert reported("3.8", requirement) == limits
    python = python_with("3.8", requirement, "numpy<1.24")
    session(as_package(python, tmp_path), tmp_path, ir_version=limits[0], opset=limits[1])
