"""TFLite files: channels last without transposes, fused activations, nothing that an old runtime does not know."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from hwnas.core.errors import UnsupportedOpError, UsageError
from hwnas.core.result import Artifact
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.graph import INPUT, OUTPUT, Activation, Affine, Conv, Flatten, GlobalAveragePool, Graph, Mul, Op
from hwnas.export.lower import lower
from hwnas.export.tflite_rewrite import for_tflite
from hwnas.export.to_tflite import tflite_bytes
from tests.export.networks import BlockConfig, block, seeded, small_net

NAMES = {value: key for key, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


def read(data: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(data, 0)


def operators(data: bytes) -> Counter[str]:
    model = read(data)
    return Counter(NAMES[model.operatorCodes[op.opcodeIndex].builtinCode] for op in model.subgraphs[0].operators)


def run(data: bytes, images: np.ndarray, folder: Path) -> np.ndarray:
    (folder / "model.tflite").write_bytes(data)
    return EXPORTERS.get("tflite").run(Artifact(str(folder / "model.tflite"), "", "litert", "fp32", ""), images)[0]


def test_no_transpose_no_lone_relu_no_reshape() -> None:
    counts = operators(tflite_bytes(lower(small_net(), (3, 32, 32))))
    assert counts == {
        "CONV_2D": 16,
        "DEPTHWISE_CONV_2D": 6,
        "FULLY_CONNECTED": 2,
        "HARD_SWISH": 5,
        "MEAN": 4,
        "MUL": 3,
        "ADD": 4,
        "PAD": 6,
        "SLICE": 2,
    }


def test_odd_sides_need_no_padding_operator_but_for_parts_of_a_kernel() -> None:
    tensors = read(tflite_bytes(lower(small_net(), (3, 33, 33)))).subgraphs[0].tensors
    padded = [tensor.name for tensor in tensors if tensor.name.endswith(b".padded")]
    assert len(padded) == 3
    assert all(b".rows" in name for name in padded)


def test_tables_are_what_old_runtimes_read() -> None:
    data = tflite_bytes(lower(small_net(), (3, 32, 32)), metadata={"b": "ü", "a": "1"})
    model = read(data)
    assert data[4:8] == b"TFL3"
    assert {code.version for code in model.operatorCodes} == {1}
    assert all(code.deprecatedBuiltinCode == code.builtinCode for code in model.operatorCodes)
    assert (model.subgraphs[0].tensors[0].name, list(model.subgraphs[0].tensors[0].shape)) == (INPUT.encode(), [1, 32, 32, 3])
    (signature,) = model.signatureDefs
    assert (signature.inputs[0].name, signature.outputs[0].name) == (INPUT.encode(), OUTPUT.encode())
    (entry,) = model.metadata
    assert json.loads(bytes(model.buffers[entry.buffer].data)) == {"a": "1", "b": "ü"}
    assert len(model.buffers[0].data if model.buffers[0].data is not None else b"") == 0


def test_weights_are_aligned_and_equal_constants_are_kept_once() -> None:
    data = tflite_bytes(lower(small_net(), (3, 32, 32)))
    model = schema.Model.GetRootAs(data)
    starts = [model.Buffers(i)._tab.Vector(model.Buffers(i)._tab.Offset(4)) for i in range(1, model.BuffersLength())]
    assert [start % 16 for start in starts] == [0] * len(starts)
    contents = [bytes(buffer.data) for buffer in read(data).buffers[1:]]
    assert contents.count(np.array([1, 2], dtype=np.int32).tobytes()) == 1


def test_a_gate_costs_no_operator_of_its_own() -> None:
    graph = for_tflite(lower(block(BlockConfig(8, 8, 3, 3, 1, True)), (8, 8, 8)))
    assert not [op for op in graph.ops if isinstance(op, Affine)]
    assert {op.kind for op in graph.ops if isinstance(op, Activation)} == {"relu", "relu6", "hardswish"}


def test_a_sixth_that_reaches_the_output_stays() -> None:
    graph = for_tflite(Graph((1, 1, 4, 4), (Activation(OUTPUT, (INPUT,), "hardsigmoid"),)))
    assert [type(op).__name__ for op in graph.ops] == ["Affine", "Activation", "Affine"]
    data = tflite_bytes(Graph((1, 1, 4, 4), (Activation(OUTPUT, (INPUT,), "hardsigmoid"),)))
    assert operators(data) == {"ADD": 1, "MUL": 1}


def test_a_negative_scale_is_not_carried_through_a_relu(tmp_path: Path) -> None:
    weight, bias = np.ones((1, 1, 1, 1), dtype=np.float32), np.zeros(1, dtype=np.float32)
    ops: tuple[Op, ...] = (
        Affine("minus", (INPUT,), scale=-2.0),
        Activation("act", ("minus",), "relu"),
        Conv(OUTPUT, ("act",), weight, bias),
    )
    images = np.array([-1.0, 1.0], dtype=np.float32).reshape(1, 1, 1, 2)
    answer = run(tflite_bytes(Graph((1, 1, 1, 2), ops)), images, tmp_path)
    np.testing.assert_allclose(answer, [[[[2.0, 0.0]]]])


def test_a_scale_with_a_shift_is_two_operators(tmp_path: Path) -> None:
    graph = Graph((1, 1, 1, 2), (Affine("scaled", (INPUT,), scale=3.0, shift=-1.0), Activation(OUTPUT, ("scaled",), "relu6")))
    data = tflite_bytes(graph)
    assert operators(data) == {"MUL": 1, "ADD": 1}
    images = np.array([0.0, 1.5], dtype=np.float32).reshape(1, 1, 1, 2)
    np.testing.assert_allclose(run(data, images, tmp_path), [[[[0.0, 3.5]]]])


def test_scales_go_through_products_pools_and_flatten_into_weights() -> None:
    weight, bias = np.ones((1, 1, 1, 1), dtype=np.float32), np.ones(1, dtype=np.float32)
    ops: tuple[Op, ...] = (
        Affine("half", (INPUT,), scale=0.5),
        Affine("eighth", ("half",), scale=0.25),
        GlobalAveragePool("pool", ("eighth",)),
        Mul("product", ("half", "pool")),
        Conv("conv", ("product",), weight, bias),
        Flatten(OUTPUT, ("conv",)),
    )
    graph = for_tflite(Graph((1, 1, 1, 1), ops))
    assert [type(op).__name__ for op in graph.ops] == ["GlobalAveragePool", "Mul", "Conv", "Flatten"]
    (conv,) = [op for op in graph.ops if isinstance(op, Conv)]
    np.testing.assert_allclose(conv.weight.ravel(), [1 / 16])
    np.testing.assert_allclose(conv.bias, bias)


def test_a_flattened_map_that_is_not_for_linear_layers_is_refused(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.ReLU(), nn.Linear(64, 2)).eval()
    with pytest.raises(UsageError, match=r"1: cannot export flatten .*litert-torch"):
        EXPORTERS.get("tflite").export(module, ExportSpec(input_shape=(3, 4, 4)), tmp_path / "model.tflite")
    assert not (tmp_path / "model.tflite").exists()


def test_without_litert_torch_an_unknown_operation_says_what_to_install(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SiLU()).eval()
    with pytest.raises(UsageError, match=r"^1: cannot export nn\.SiLU; 'pip install \"litert-torch>=0\.10,<0\.11\"'") as caught:
        EXPORTERS.get("tflite").export(module, ExportSpec(input_shape=(3, 4, 4)), tmp_path / "model.tflite")
    assert "\n" not in str(caught.value)


def test_with_litert_torch_an_unknown_operation_is_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it writes gets our names and metadata. (The converter itself: `tests/export/test_litert_torch.py`.)"""
    known = seeded(nn.Sequential(nn.Conv2d(3, 4, 1)))
    written = tflite_bytes(lower(known, (3, 4, 6)))
    for ours, theirs in ((b"image", b"args0"), (b"logits", b"output")):
        written = written.replace(ours, theirs)
    (tmp_path / "theirs.tflite").write_bytes(written)
    (tmp_path / "litert_torch.py").write_text(
        "import pathlib, shutil\n"
        "class Converted:\n    def export(self, path):\n"
        "        shutil.copy(pathlib.Path(__file__).with_name('theirs.tflite'), path)\n"
        "def to_channel_last_io(module, args):\n    assert args == [0]\n    return module\n"
        "def convert(module, example):\n    assert tuple(example[0].shape) == (1, 4, 6, 3)\n    return Converted()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SiLU()).eval()
    spec = ExportSpec(input_shape=(3, 4, 6), metadata={"hwnas.labels": '["a"]'})
    artifact = EXPORTERS.get("tflite").export(module, spec, tmp_path / "model.tflite")
    images = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32)
    with torch.no_grad():
        wanted = known(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(EXPORTERS.get("tflite").run(artifact, images)[0], wanted, atol=1e-5)
    raw = Path(artifact.path).read_bytes()
    assert b'{"hwnas.labels":"[\\"a\\"]"}' in raw


def test_a_graph_that_cannot_be_written_has_no_way_out(tmp_path: Path) -> None:
    graph = Graph((1, 2, 2, 2), (Flatten(OUTPUT, (INPUT,)),))
    with pytest.raises(UnsupportedOpError, match="logits: cannot export flatten"):
        EXPORTERS.get("tflite").export(graph, ExportSpec(), tmp_path / "model.tflite")


@pytest.mark.parametrize("batch", [1, 4])
def test_feature_maps_come_back_channels_first(batch: int, tmp_path: Path) -> None:
    module = seeded(nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1)))
    images = np.random.default_rng(0).standard_normal((5, 3, 8, 6)).astype(np.float32)
    data = tflite_bytes(lower(module, (3, 8, 6), batch=batch))
    with torch.no_grad():
        wanted = module(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(run(data, images, tmp_path), wanted, atol=1e-5)


def depthwise(kernel: tuple[int, int], side: tuple[int, int], *, stride: int = 1, pads: tuple[int, int, int, int] | None = None) -> Graph:
    """One depthwise layer of 6 channels and a relu6; half the kernel of padding unless ``pads (top, left, bottom, right)``."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((6, 1, *kernel)).astype(np.float32)
    bias = 1 + rng.standard_normal(6).astype(np.float32)
    around = (kernel[0] // 2, kernel[1] // 2) * 2
    conv = Conv("conv", (INPUT,), weight, bias, stride=(stride, stride), padding=pads or around, groups=6)
    return Graph((1, 6, *side), (conv, Activation(OUTPUT, ("conv",), "relu6")))


def wanted_of(graph: Graph, images: np.ndarray) -> np.ndarray:
    conv = graph.ops[0]
    assert isinstance(conv, Conv)
    top, left, bottom, right = conv.padding
    padded = torch.from_numpy(np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right))))
    weight, bias = torch.from_numpy(conv.weight), torch.from_numpy(conv.bias)
    answer: np.ndarray = torch.conv2d(padded, weight, bias, stride=conv.stride, groups=6).clamp(0, 6).numpy()
    return answer


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("side", [(1, 1), (2, 3), (4, 4), (3, 9), (5, 2), (6, 6), (7, 8), (14, 13)])
@pytest.mark.parametrize("kernel", [(5, 5), (7, 7), (9, 9), (3, 11), (11, 3), (1, 27)])
def test_large_depthwise_kernels_are_what_they_were(kernel: tuple[int, int], side: tuple[int, int], stride: int, tmp_path: Path) -> None:
    graph = depthwise(kernel, side, stride=stride)
    images = np.random.default_rng(1).standard_normal(graph.input_shape).astype(np.float32)
    np.testing.assert_allclose(run(tflite_bytes(graph), images, tmp_path), wanted_of(graph, images), atol=1e-5)


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 3, 5, 0), (6, 6, 6, 6), (7, 0, 0, 2), (9, 9, 9, 9)])
@pytest.mark.parametrize("stride", [1, 2, 16])
def test_large_depthwise_kernels_with_padding_of_any_kind(pads: tuple[int, int, int, int], stride: int, tmp_path: Path) -> None:
    graph = depthwise((7, 7), (8, 9), stride=stride, pads=pads)
    images = np.random.default_rng(1).standard_normal(graph.input_shape).astype(np.float32)
    np.testing.assert_allclose(run(tflite_bytes(graph), images, tmp_path), wanted_of(graph, images), atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "side", "stride", "parts", "slices"),
    [
        ((5, 5), (8, 8), 1, 1, 0),
        ((7, 7), (8, 8), 1, 3, 2),
        ((7, 7), (8, 8), 2, 3, 2),
        ((7, 7), (9, 9), 2, 3, 1),
        ((9, 9), (12, 12), 1, 5, 4),
        ((7, 7), (3, 3), 1, 1, 0),
        ((7, 7), (1, 8), 1, 1, 0),
        ((1, 27), (30, 30), 1, 1, 0),
    ],
)
def test_no_depthwise_kernel_is_too_large_for_a_microkernel(
    kernel: tuple[int, int], side: tuple[int, int], stride: int, parts: int, slices: int
) -> None:
    data = tflite_bytes(depthwise(kernel, side, stride=stride))
    counts = operators(data)
    assert (counts["DEPTHWISE_CONV_2D"], counts["ADD"], counts["SLICE"]) == (parts, parts - 1, slices)
    assert set(counts) <= {"DEPTHWISE_CONV_2D", "ADD", "SLICE", "PAD"}
    shapes = [tensor.shape for tensor in read(data).subgraphs[0].tensors if tensor.name.endswith(b".weight")]
    assert len(shapes) == parts
    assert kernel[1] > 25 or all(shape[1] * shape[2] <= 25 for shape in shapes)


def test_only_the_last_sum_is_activated_and_only_the_first_part_has_the_bias() -> None:
    graph = depthwise((7, 7), (8, 8))
    data = tflite_bytes(graph)
    model = read(data)
    tensors = model.subgraphs[0].tensors
    named = {tensors[op.outputs[0]].name: op for op in model.subgraphs[0].operators}
    fused = {name: getattr(op.builtinOptions, "fusedActivationFunction", 0) for name, op in named.items()}
    assert {name: kind for name, kind in fused.items() if kind} == {OUTPUT.encode(): schema.ActivationFunctionType.RELU6}
    biases = [tensors[named[f"conv.rows{row}".encode()].inputs[2]].buffer for row in (0, 3, 6)]
    values = [np.frombuffer(bytes(model.buffers[index].data), dtype=np.float32) for index in biases]
    conv = graph.ops[0]
    assert isinstance(conv, Conv)
    np.testing.assert_array_equal(values, [conv.bias, 0 * conv.bias, 0 * conv.bias])
    assert tflite_bytes(graph) == data
