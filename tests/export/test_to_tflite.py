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

from hwnas.core.errors import UsageError
from hwnas.core.result import Artifact
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.graph import INPUT, OUTPUT, Activation, Affine, Conv, Flatten, GlobalAveragePool, Graph, Mul, Op, UnsupportedOpError
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
        "DEPTHWISE_CONV_2D": 4,
        "FULLY_CONNECTED": 2,
        "HARD_SWISH": 5,
        "MEAN": 4,
        "MUL": 3,
        "ADD": 2,
        "PAD": 3,
    }


def test_odd_sides_need_no_padding_operator() -> None:
    assert operators(tflite_bytes(lower(small_net(), (3, 33, 33))))["PAD"] == 0


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
    (tmp_path / "litert_torch.py").write_text(
        "class Converted:\n"
        "    def __init__(self, shape):\n        self.shape = shape\n"
        "    def export(self, path):\n        __import__('pathlib').Path(path).write_text(f'converted {self.shape}')\n"
        "def to_channel_last_io(module, args):\n    assert args == [0]\n    return module\n"
        "def convert(module, example):\n    return Converted(tuple(example[0].shape))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.SiLU()).eval()
    artifact = EXPORTERS.get("tflite").export(module, ExportSpec(input_shape=(3, 4, 6)), tmp_path / "model.tflite")
    assert Path(artifact.path).read_text() == "converted (1, 4, 6, 3)"


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
