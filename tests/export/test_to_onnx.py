"""ONNX files: lean, checked, and alike to what torch's own exporter writes, which is an independent reading of the same network."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from hwnas.core.errors import ConfigError, UnsupportedOpError
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.graph import INPUT, OUTPUT, Activation, Affine, Graph
from hwnas.export.level import DEFAULT, NEWEST, OnnxLevel
from hwnas.export.lower import lower
from hwnas.export.to_onnx import onnx_bytes
from tests.export.networks import BlockConfig, block, small_net


def torch_export(module: nn.Module, shape: tuple[int, int, int], path: Path) -> bytes:
    example = (torch.zeros(1, *shape),)
    torch.onnx.export(module, example, path, dynamo=False, opset_version=17, input_names=[INPUT], output_names=[OUTPUT])
    return path.read_bytes()


def answer(model: bytes, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {INPUT: image[None]})[0] for image in images])


@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript-based ONNX export:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The feature will be removed:DeprecationWarning:torch.onnx")
@pytest.mark.parametrize(
    ("module", "shape"),
    [(small_net(), (3, 33, 33)), (small_net(channels=1), (1, 28, 28)), (block(BlockConfig(8, 8, 4, 5, 1, True)), (8, 11, 11))],
)
def test_alike_to_the_exporter_of_torch(module: nn.Module, shape: tuple[int, int, int], tmp_path: Path) -> None:
    reference, ours = torch_export(module, shape, tmp_path / "torch.onnx"), onnx_bytes(lower(module, shape))
    images = np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32)
    wanted = answer(reference, images)
    np.testing.assert_allclose(answer(ours, images), wanted, atol=1e-5 * max(1, np.abs(wanted).max()))
    nodes, expected = (Counter(node.op_type for node in onnx.load_from_string(model).graph.node) for model in (ours, reference))
    assert nodes.total() <= expected.total()
    assert nodes["Conv"] == expected["Conv"]
    assert nodes["HardSigmoid"] == expected["HardSigmoid"] > 0
    assert len(ours) <= len(reference) * 1.02


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    spec = ExportSpec(input_shape=(3, 16, 16), metadata={"mean": "0.5", "labels": "cat"})
    EXPORTERS.get("onnx").export(small_net(), spec, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert (model.ir_version, [(o.domain, o.version) for o in model.opset_import]) == (8, [("", 17)])
    assert [(p.key, p.value) for p in model.metadata_props] == [("labels", "cat"), ("mean", "0.5")]
    assert [i.name for i in model.graph.input] == [INPUT]
    assert [o.name for o in model.graph.output] == [OUTPUT]
    assert all(node.name and node.domain == "" for node in model.graph.node)
    assert not {"Identity", "Transpose", "BatchNormalization"} & {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("level", [OnnxLevel(6, 11), OnnxLevel(7, 12), OnnxLevel(8, 15), NEWEST], ids=str)
def test_every_level_gives_the_same_answers(level: OnnxLevel, tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    exporter = EXPORTERS.get("onnx")
    plain = exporter.export(small_net(), ExportSpec(input_shape=(3, 16, 16)), tmp_path / "a.onnx")
    other = exporter.export(small_net(), ExportSpec(input_shape=(3, 16, 16), level=level), tmp_path / "b.onnx")
    written = onnx.load(other.path)
    assert (written.ir_version, written.opset_import[0].version) == (level.ir_version, level.opset)
    assert ("HardSwish" in {node.op_type for node in written.graph.node}) == (level.opset >= 14)
    np.testing.assert_allclose(exporter.run(other, images)[0], exporter.run(plain, images)[0], atol=1e-6)


def test_a_scale_with_a_shift_is_two_nodes() -> None:
    graph = Graph((1, 1, 2, 2), (Affine(OUTPUT, (INPUT,), scale=3.0, shift=-1.0),))
    images = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(answer(onnx_bytes(graph), images), images * 3 - 1)


def test_activations_saturate_where_they_should() -> None:
    images = np.array([-9, -3, -1, 0, 1, 3, 6, 9], dtype=np.float32).reshape(1, 1, 2, 4)
    expected = {
        "relu": np.maximum(images, 0),
        "relu6": np.clip(images, 0, 6),
        "hardsigmoid": np.clip(images / 6 + 0.5, 0, 1),
        "hardswish": images * np.clip(images / 6 + 0.5, 0, 1),
    }
    for kind, wanted in expected.items():
        graph = Graph((1, 1, 2, 4), (Activation(OUTPUT, (INPUT,), kind),))
        np.testing.assert_allclose(answer(onnx_bytes(graph), images), wanted, atol=1e-6)


def test_an_operation_of_another_kind_is_refused() -> None:
    graph = Graph((1, 1, 2, 2), (Activation(OUTPUT, (INPUT,)),))
    object.__setattr__(graph.ops[0], "kind", "softplus")
    with pytest.raises(UnsupportedOpError, match="cannot export softplus"):
        onnx_bytes(graph)


def test_int8_for_a_runtime_too_old_for_it_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
    spec = ExportSpec(input_shape=(3, 16, 16), precision="int8", calibration=noise, level=OnnxLevel(7, 12))
    with pytest.raises(ConfigError, match=r"int8 needs opset 13, .*reads 12; take fp32"):
        EXPORTERS.get("onnx").export(small_net(), spec, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_level_decides_nothing_about_speed(precision: str, tmp_path: Path) -> None:
    """The runtime makes the same of a file of every level: timings of different levels are comparable."""
    noise = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
    made = []
    for level in (OnnxLevel(8, 15), DEFAULT, NEWEST):
        spec = ExportSpec(input_shape=(3, 16, 16), precision=precision, calibration=noise if precision == "int8" else None, level=level)
        artifact = EXPORTERS.get("onnx").export(small_net(), spec, tmp_path / f"{level.opset}.onnx")
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{level.opset}.optimised.onnx")
        options.log_severity_level = 4  # it warns that the optimised model is of this machine
        onnxruntime.InferenceSession(artifact.path, options, providers=["CPUExecutionProvider"])
        made.append(Counter((node.domain, node.op_type) for node in onnx.load(options.optimized_model_filepath).graph.node))
    assert made[0] == made[1] == made[2]
