"""The agent on every Python that it supports, as a package and as one file, in real sessions with onnxruntimes old and new."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from hwnas.core.device import MeasurePlan
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.level import newest_level
from hwnas.export.to_onnx import PER_CHANNEL_OPSET
from hwnas.export.verify import parity, require_parity
from hwnas.profiler.channel import Channel
from hwnas.profiler.local import LocalLauncher, _attach
from hwnas.profiler.session import Job, SessionSummary, run_session
from hwnas.profiler.zipapp import write_zipapp
from tests.agent.models import onnx_convolution
from tests.export.networks import small_net
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

    found = check(LocalLauncher(python=python_with(version, requirement))).runtimes["onnxruntime"]
    assert found.version == requirement.partition("==")[2], found.reason
    return found.max_ir, found.max_opset


ANSWER = """
import sys
import numpy as np
import onnxruntime
path, taken, answered = sys.argv[1:]
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
np.save(answered, session.run(["logits"], {"image": np.load(taken)})[0])
"""


def answers(python: str, model: str, images: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "taken.npy", images)
    subprocess.run([python, "-c", ANSWER, model, str(folder / "taken.npy"), str(folder / "answered.npy")], check=True, timeout=120)
    answer: np.ndarray = np.load(folder / "answered.npy")
    return answer


@pytest.mark.parametrize(
    ("requirement", "limits"),
    [("onnxruntime==1.7.0", (7, 12)), ("onnxruntime==1.10.0", (8, 15)), ("onnxruntime==1.18.1", (8, 15)), (OLD, (10, 21))],
)
def test_an_onnxruntime_reads_what_the_agent_promises_and_the_host_writes(requirement, limits, tmp_path):
    assert reported("3.8", requirement) == limits
    python, exporter, level = python_with("3.8", requirement), EXPORTERS.get("onnx"), newest_level(*limits)
    session(as_package(python, tmp_path), tmp_path, ir_version=limits[0], opset=limits[1])
    images = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)
    written = exporter.export(small_net(), ExportSpec(input_shape=(3, 32, 32), level=level), tmp_path / "fp32.onnx")
    require_parity(parity(exporter.run(written, images)[0], answers(python, written.path, images, tmp_path)), what=requirement)
    if level.opset >= PER_CHANNEL_OPSET:
        spec = ExportSpec(input_shape=(3, 32, 32), precision="int8", calibration=images, level=level)
        answers(python, exporter.export(small_net(), spec, tmp_path / "int8.onnx").path, images, tmp_path)
