"""Every registered format answers as torch does, in the same bytes twice. A new exporter is tested here as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from hwnas.core.errors import ConfigError, UnknownNameError, UsageError
from hwnas.export import EXPORTERS, RUNTIME_FORMATS, ExportSpec, exporter_for
from hwnas.export.exporter import require
from hwnas.export.lower import lower
from hwnas.export.probes import overhead_graph, probe_graph
from hwnas.export.verify import parity, require_parity
from tests.export.networks import BlockConfig, block, seeded, small_net

FORMATS = EXPORTERS.names()
each_format = pytest.mark.parametrize("name", FORMATS)
# PyTorch takes a second to export the smallest of blocks
each_quick_format = pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n == "pt2" else ()) for n in FORMATS])
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def images(shape: tuple[int, int, int], n: int = 3, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)


def check(module: nn.Module, shape: tuple[int, int, int], name: str, folder: Path, *, batch: int = 1) -> None:
    exporter = EXPORTERS.get(name)
    taken = images(shape)
    artifact = exporter.export(module, ExportSpec(input_shape=shape, batch=batch), folder / f"model.{name}")
    with torch.no_grad():
        wanted = module(torch.from_numpy(taken)).numpy()
    (got,) = exporter.run(artifact, taken)
    assert got.dtype == np.float32
    require_parity(parity(wanted, got), what=name)


@each_quick_format
@FEW
@given(
    kernel=st.sampled_from([3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    expand=st.sampled_from([1, 3]),
    act=st.sampled_from(["relu", "relu6", "hardswish"]),
    se=st.booleans(),
    side=st.tuples(st.integers(3, 13), st.integers(3, 13)),
    out=st.sampled_from([4, 6]),
)
def test_blocks(
    kernel: int, stride: int, expand: int, act: str, se: bool, side: tuple[int, int], out: int, name: str, tmp_path: Path
) -> None:
    config = BlockConfig(4, out, expand, kernel, stride, se, act)
    check(block(config, seed=kernel), (4, *side), name, tmp_path)


@each_format
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 11), (3, 32)])
def test_networks(channels: int, side: int, name: str, tmp_path: Path) -> None:
    check(small_net(channels=channels), (channels, side, side), name, tmp_path)


@each_format
def test_a_batch_of_two_answers_for_three_images(name: str, tmp_path: Path) -> None:
    check(small_net(), (3, 16, 16), name, tmp_path, batch=2)


class Odd(nn.Module):
    """Hard-sigmoids that cannot be folded away, on maps and on vectors, and scales that meet a sum, a product and an activation."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding="same")
        self.norm = nn.BatchNorm2d(3)
        self.gate, self.head = nn.Hardsigmoid(), nn.Linear(4 * 5 * 6, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(x))
        y = self.gate(self.one(x))
        y = self.gate(y) + 2.5 * y
        y = torch.relu(-0.5 * self.two(y * self.gate(y)) + 1)
        z = self.head(torch.flatten(y, 1))
        gate: torch.Tensor = self.gate(z)
        made: torch.Tensor = gate * -3 + z
        return made


@each_format
def test_what_cannot_be_folded_is_still_right(name: str, tmp_path: Path) -> None:
    check(seeded(Odd()), (3, 5, 6), name, tmp_path)


@each_format
def test_uneven_strides_kernels_and_multiplied_depthwise(name: str, tmp_path: Path) -> None:
    layers = nn.Sequential(
        nn.Conv2d(3, 6, (3, 5), (2, 1), (1, 2), groups=3),
        nn.ReLU6(),
        nn.Conv2d(6, 4, 1, stride=2, padding=1),
        nn.Conv2d(4, 4, 3, padding=0),
    )
    check(seeded(layers), (3, 12, 9), name, tmp_path)


@each_format
def test_the_same_network_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    spec = ExportSpec(input_shape=(3, 20, 20), metadata={"b": "ü", "a": "1"}, arch_id="abc")
    one = EXPORTERS.get(name).export(small_net(), spec, tmp_path / "one")
    two = EXPORTERS.get(name).export(lower(small_net(), (3, 20, 20)), spec, tmp_path / "two")
    other = EXPORTERS.get(name).export(small_net(seed=1), spec, tmp_path / "three")
    assert one.sha256 == two.sha256 != other.sha256
    assert (one.precision, one.arch_id, RUNTIME_FORMATS[one.runtime]) == ("fp32", "abc", name)


@each_format
def test_timing_only_writes_what_is_not_recalibrated(name: str, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    artifact = EXPORTERS.get(name).export(module, ExportSpec(input_shape=(3, 8, 8), timing_only=True), tmp_path / "m")
    assert EXPORTERS.get(name).run(artifact, images((3, 8, 8)))[0].shape == (3, 4, 6, 6)


def test_probes_run_alike_in_every_format(tmp_path: Path) -> None:
    for graph in (probe_graph(seed=3), probe_graph(pairs=2), overhead_graph()):
        taken = images(graph.input_shape[1:], 2)
        answers = []
        for name in FORMATS:
            artifact = EXPORTERS.get(name).export(graph, ExportSpec(), tmp_path / name)
            answers.append(EXPORTERS.get(name).run(artifact, taken)[0])
        for answer in answers:
            np.testing.assert_allclose(answer, answers[0], atol=1e-4)


def test_probes_come_from_their_seed(tmp_path: Path) -> None:
    one, same, other = (EXPORTERS.get("onnx").export(probe_graph(seed=s), ExportSpec(), tmp_path / "p").sha256 for s in (3, 3, 4))
    assert one == same != other


@pytest.mark.parametrize("runtime", sorted(RUNTIME_FORMATS))
def test_every_runtime_has_an_exporter(runtime: str) -> None:
    assert exporter_for(runtime).format == RUNTIME_FORMATS[runtime]
    assert RUNTIME_FORMATS[exporter_for(runtime).runtime] == RUNTIME_FORMATS[runtime]


def test_names_that_are_not_known_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="unknown runtime 'litrt'; did you mean 'litert'"):
        exporter_for("litrt")
    with pytest.raises(ConfigError, match="cannot export precision 'int9'; did you mean 'int8'"):
        ExportSpec(precision="int9")


def test_a_missing_extra_says_how_to_get_it() -> None:
    with pytest.raises(UsageError, match=r"no_such_runtime is not installed; pip install 'hwnas\[onnx\]'"):
        require("no_such_runtime", extra="onnx")


def test_specifications_that_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="int8 needs calibration images"):
        ExportSpec(precision="int8", calibration=np.zeros((0, 3, 8, 8), dtype=np.float32))
    with pytest.raises(ConfigError, match="batch must be at least 1"):
        ExportSpec(batch=0)
    with pytest.raises(ConfigError, match="input_shape is needed"):
        EXPORTERS.get("onnx").export(small_net(), ExportSpec(), tmp_path / "m")
    artifact = EXPORTERS.get("onnx").export(overhead_graph(), ExportSpec(), tmp_path / "m")
    with pytest.raises(UsageError, match="no images to run"):
        EXPORTERS.get("onnx").run(artifact, np.zeros((0, 1, 1, 1), dtype=np.float32))


RUN_ALONE = """
import sys
path, taken, answered = sys.argv[1:]
for name in ("hwnas", "onnx", "ai_edge_quantizer", *([] if path.endswith(".pt2") else ["torch"])):
    sys.modules[name] = None
import numpy as np
images = np.load(taken)
if path.endswith(".onnx"):
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answers = [session.run(["logits"], {"image": image[None]})[0] for image in images]
elif path.endswith(".pt2"):
    import torch
    network = torch.export.load(path).module()
    answers = [network(torch.from_numpy(image[None]).contiguous(memory_format=torch.channels_last)).numpy() for image in images]
else:
    from ai_edge_litert.interpreter import Interpreter
    runner = Interpreter(path).get_signature_runner()
    answers = [runner(image=np.ascontiguousarray(image[None].transpose(0, 2, 3, 1)))["logits"] for image in images]
np.save(answered, np.concatenate(answers))
"""


@each_quick_format
def test_the_file_runs_without_hwnas(name: str, tmp_path: Path) -> None:
    taken = images((3, 16, 16))
    artifact = EXPORTERS.get(name).export(small_net(), ExportSpec(input_shape=(3, 16, 16)), tmp_path / f"model.{name}")
    np.save(tmp_path / "taken.npy", taken)
    arguments = [artifact.path, str(tmp_path / "taken.npy"), str(tmp_path / "answered.npy")]
    subprocess.run([sys.executable, "-I", "-c", RUN_ALONE, *arguments], check=True, cwd=tmp_path, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "answered.npy"), EXPORTERS.get(name).run(artifact, taken)[0], atol=1e-6)
