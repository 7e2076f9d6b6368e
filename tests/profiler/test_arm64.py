"""The agent over ssh on a 64-bit Arm board: Debian 11, Python 3.9, runtimes of the board's own, everything run by qemu-user."""

from __future__ import annotations

import pytest

from hwnas.core.device import MeasurePlan
from hwnas.profiler.channel import LAUNCHERS
from hwnas.profiler.check import check
from hwnas.profiler.session import Job, run_session
from tests.agent.models import onnx_convolution, tflite_chain
from tests.rig import arm64
from tests.rig.pythons import NotHere

pytest.importorskip("paramiko")
pytestmark = pytest.mark.slow

PLAN = MeasurePlan(min_repeats=3, least_repeats=3, min_total_ms=0.0, min_sample_us=0.0, max_seconds=200.0, warmup=1)


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    if arm64.lacking():
        pytest.skip(arm64.lacking())
    try:
        debian = arm64.root()
    except NotHere as problem:
        pytest.skip(str(problem))
    with arm64.running(tmp_path_factory.mktemp("arm64") / "folder", debian) as found:
        yield found


def launcher(board, *names):
    arm64.use(board, *names)
    return LAUNCHERS.get("ssh")(board.device(python="/usr/bin/python3"))


def measure(start, runtime, jobs, probe):
    measured = {}
    with start.launch() as channel:
        summary = run_session(
            channel, jobs, PLAN, runtime=runtime, probe=probe, reference=probe, on_measured=lambda key, m: measured.update({key: m})
        )
    assert set(measured) == {job.id for job in jobs}
    return summary, {key: regimes["quiet"] for key, regimes in measured.items()}


def test_the_board_says_what_it_is(board):
    report = check(launcher(board, "onnxruntime", "litert"), timeout_s=300.0)
    assert (report.arch, report.python[:4]) == ("aarch64", "3.9.")
    assert report.libc == "glibc 2.31"
    assert report.runtimes["onnxruntime"].version == "1.19.2"
    assert report.runtimes["litert"].version == "ai-edge-litert 2.1.0"
    assert "has no CUDAExecutionProvider" in report.runtimes["onnxruntime-cuda"].reason
    assert board.is_clean()


def test_onnxruntime(board, tmp_path):
    probe = onnx_convolution(tmp_path / "probe.onnx", channels=4, size=6)
    jobs = [Job("newest", onnx_convolution(tmp_path / "newest.onnx", ir_version=10, opset=21)), Job("probe", probe)]
    summary, measured = measure(launcher(board, "onnxruntime"), "onnxruntime", jobs, probe)
    assert (summary.device.arch, summary.runtime_version) == ("aarch64", "1.19.2")
    assert {m.facts["executed_by"] for m in measured.values()} == {"CPUExecutionProvider"}
    assert board.is_clean()


@pytest.mark.parametrize(("folder", "version"), [("litert", "ai-edge-litert 2.1.0"), ("tflite", "tflite-runtime 2.13.0")])
def test_litert(board, folder, version, tmp_path):
    probe = tflite_chain(tmp_path / "probe.tflite", "RELU", side=4)
    jobs = [Job("whole", probe), Job("part", tflite_chain(tmp_path / "part.tflite", "RELU", "SIGN", side=4))]
    summary, measured = measure(launcher(board, folder), "litert", jobs, probe)
    assert summary.runtime_version == version
    assert measured["whole"].facts["executed_by"] == "XNNPACK 1"
    assert measured["part"].facts["fallbacks"] >= 1
    assert "SIGN 1" in measured["part"].facts["execution_note"]
    assert board.is_clean()
