"""The TFLite files run, and the agent times them, where a board has only tflite-runtime 2.14: Python 3.11 at most, numpy below 2."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.core.device import MeasurePlan
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.probes import overhead_graph, probe_graph
from hwnas.export.verify import parity, require_parity
from hwnas.profiler.local import LocalLauncher
from hwnas.profiler.session import Job, run_session
from tests.export.networks import small_net

REQUIREMENTS = ("tflite-runtime==2.14.0", "numpy<2")
RUN = """
import sys
import numpy as np
import tflite_runtime.interpreter as tflite
path, taken, answered = sys.argv[1:]
runner = tflite.Interpreter(path, num_threads=1).get_signature_runner()
answers = [runner(image=image)["logits"] for image in np.load(taken)]
np.save(answered, np.concatenate(answers))
"""


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment that has tflite-runtime."""
    base = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
    if base is None:
        pytest.skip("tflite-runtime has no wheel for this Python, and there is no python3.11")
    folder = tmp_path_factory.mktemp("old") / "venv"
    subprocess.run([base, "-m", "venv", str(folder)], check=True, capture_output=True)
    python = folder / "bin" / "python"
    install = subprocess.run([str(python), "-m", "pip", "install", "-q", *REQUIREMENTS], capture_output=True, text=True)
    if install.returncode != 0:
        pytest.skip(f"pip cannot install {' '.join(REQUIREMENTS)}: {install.stderr.strip().splitlines()[-1:]}")
    return python


def run_old(python: Path, model: str, images: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "taken.npy", np.ascontiguousarray(images.transpose(0, 2, 3, 1))[:, None])
    arguments = [model, str(folder / "taken.npy"), str(folder / "answered.npy")]
    done = subprocess.run([str(python), "-c", RUN, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer: np.ndarray = np.load(folder / "answered.npy")
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("side", [27, 32])
def test_networks(side: int, old_python: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((8, 3, side, side)).astype(np.float32)
    module = small_net()
    with torch.no_grad():
        wanted = module(torch.from_numpy(images)).numpy()
    exporter = EXPORTERS.get("tflite")
    artifact = exporter.export(module, ExportSpec(input_shape=(3, side, side)), tmp_path / "fp32.tflite")
    require_parity(parity(wanted, run_old(old_python, artifact.path, images, tmp_path)), what="tflite-runtime 2.14")
    spec = ExportSpec(input_shape=(3, side, side), precision="int8", calibration=images)
    artifact = exporter.export(module, spec, tmp_path / "int8.tflite")
    figures = parity(exporter.run(artifact, images)[0], run_old(old_python, artifact.path, images, tmp_path))
    assert figures.psnr_db is None or figures.psnr_db > 25


@pytest.mark.slow
def test_probes(old_python: Path, tmp_path: Path) -> None:
    for graph in (probe_graph(), overhead_graph()):
        images = np.random.default_rng(0).standard_normal(graph.input_shape).astype(np.float32)
        artifact = EXPORTERS.get("tflite").export(graph, ExportSpec(), tmp_path / "probe.tflite")
        answer = run_old(old_python, artifact.path, images, tmp_path).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(answer, EXPORTERS.get("tflite").run(artifact, images)[0], atol=1e-4)


@pytest.mark.slow
def test_the_agent(old_python: Path, tmp_path: Path) -> None:
    exporter = EXPORTERS.get("tflite")
    probe = Path(exporter.export(probe_graph(), ExportSpec(), tmp_path / "probe.tflite").path)
    images = np.random.default_rng(0).standard_normal((8, 3, 32, 32)).astype(np.float32)
    jobs = []
    for precision in ("fp32", "int8"):
        spec = ExportSpec(input_shape=(3, 32, 32), precision=precision, calibration=images)
        artifact = exporter.export(small_net(), spec, tmp_path / f"{precision}.tflite")
        jobs.append(Job(precision, Path(artifact.path)))
    measured = {}
    with LocalLauncher(python=str(old_python)).launch() as channel:
        plan = MeasurePlan(min_repeats=5, max_seconds=120.0, warmup=1)
        summary = run_session(channel, jobs, plan, runtime="litert", probe=probe, reference=probe, on_measured=measured.__setitem__)
    assert summary.runtime_version == "tflite-runtime 2.14.0"
    assert set(measured) == {"fp32", "int8"}
    assert all(min(m["quiet"].samples_ms) > 0 for m in measured.values())
