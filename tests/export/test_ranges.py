"""Ranges of quantised tensors: what each way of choosing them promises, and that they reach the files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from hwnas.core.errors import UnknownNameError
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.graph import Graph
from hwnas.export.lower import lower
from hwnas.export.ranges import RANGES, ranges_of
from hwnas.export.tensors import made_by, onnx_values, tflite_values
from hwnas.export.to_onnx import onnx_bytes
from hwnas.export.to_tflite import tflite_bytes
from hwnas.export.verify import parity
from tests.export.networks import small_net

SHAPE = (3, 16, 16)
IMAGES = np.random.default_rng(0).standard_normal((24, *SHAPE)).astype(np.float32)
Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return lower(small_net(), SHAPE)


def range_of(values: Array, method: str, parts: int = 1) -> tuple[float, float]:
    def read() -> Iterator[dict[str, Array]]:
        return ({"x": part} for part in np.array_split(values, parts) if part.size)

    return ranges_of(read, method)["x"]


def rounding_error(values: Array, at: tuple[float, float]) -> float:
    """Mean squared error of 256 levels over the range."""
    step = (at[1] - at[0]) / 255
    rounded = at[0] + np.round((np.clip(values, *at) - at[0]) / step) * step
    return float(np.mean((values - rounded) ** 2))


@pytest.mark.parametrize("method", RANGES)
@given(arrays.arrays(np.float32, st.integers(1, 60), elements=st.floats(-1e6, 1e6, width=32)), st.integers(1, 4))
@settings(max_examples=15)
def test_a_range_holds_zero_and_nothing_that_was_not_seen(method: str, values: Array, parts: int) -> None:
    low, high = range_of(values, method, parts)
    assert min(0.0, float(values.min())) <= low <= 0.0 <= high <= max(0.0, float(values.max()))
    assert high > low or not values.any()
    assert (low, high) == range_of(values, method), "in whatever batches they come"


def test_minmax_clips_nothing() -> None:
    assert range_of(IMAGES, "minmax") == (float(IMAGES.min()), float(IMAGES.max()))


@pytest.mark.parametrize("method", [name for name, choose in RANGES.items() if choose is not None])
def test_one_value_far_out_is_clipped(method: str) -> None:
    values = np.append(np.random.default_rng(1).normal(size=1_000_000), 30.0).astype(np.float32)
    low, high = range_of(values, method)
    assert high < 20.0
    assert -low > 2.5, "and what is common is kept"


@given(st.integers(0, 1000), st.sampled_from([1.0, 2.0, 4.0]))
@settings(max_examples=20)
def test_mse_is_never_clearly_worse_than_all(seed: int, power: float) -> None:
    values = np.random.default_rng(seed).normal(size=20_000).astype(np.float32)
    values = np.sign(values) * np.abs(values) ** np.float32(power)
    assert rounding_error(values, range_of(values, "mse")) <= 1.05 * rounding_error(values, range_of(values, "minmax"))


def test_an_unknown_way_is_named() -> None:
    with pytest.raises(UnknownNameError, match="percentile"):
        ExportSpec(ranges="percentil")


@pytest.mark.parametrize("form", ["onnx", "tflite"])
@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_every_way_makes_a_file_that_answers_alike(form: str, method: str, graph: Graph, tmp_path: Path) -> None:
    exporter = EXPORTERS.get(form)
    spec = ExportSpec(precision="int8", calibration=IMAGES[:12], ranges=method)
    paths = [tmp_path / f"{name}.{form}" for name in ("float", "int8")]
    plain, made = (exporter.export(graph, one, path) for one, path in zip((ExportSpec(), spec), paths, strict=True))
    found = parity(exporter.run(plain, IMAGES)[0], exporter.run(made, IMAGES)[0])
    assert found.psnr_db is not None
    assert found.psnr_db > 18


def test_ranges_reach_both_formats(graph: Graph, tmp_path: Path) -> None:
    """The image is clipped by percentile where one pixel is a hundred times brighter."""
    bright = IMAGES[:16].copy()  # 12,288 values, one of them far out
    bright[0, 0, 0, 0] = 500.0
    scales: dict[tuple[str, str], float] = {}
    for method in ("minmax", "percentile"):
        spec = ExportSpec(precision="int8", calibration=bright, ranges=method)
        path = Path(EXPORTERS.get("onnx").export(graph, spec, tmp_path / f"{method}.onnx").path)
        (scale,) = [t for t in onnx.load(path).graph.initializer if t.name == "image_scale"]
        scales["onnx", method] = float(onnx.numpy_helper.to_array(scale))
        path = Path(EXPORTERS.get("tflite").export(graph, spec, tmp_path / f"{method}.tflite").path)
        details = Interpreter(model_content=path.read_bytes()).get_tensor_details()
        scales["tflite", method] = max(d["quantization"][0] for d in details if d["name"].startswith("image"))
    for form in ("onnx", "tflite"):
        assert scales[form, "minmax"] > 500 / 256
        assert scales[form, "percentile"] < 0.2


def test_the_inside_of_a_file_is_seen(graph: Graph) -> None:
    batches = [IMAGES[i : i + 1] for i in range(2)]
    inside = list(onnx_values(onnx_bytes(graph), batches))
    assert len(inside) == 2
    assert {op.name for op in graph.ops} | {"image"} == set(inside[0])
    other = list(tflite_values(tflite_bytes(graph), [{"image": b.transpose(0, 2, 3, 1)} for b in batches]))
    np.testing.assert_allclose(inside[1]["logits"], other[1]["logits"], atol=1e-4)
    assert len(other[0]) > 20
    assert not any(name.endswith((".weight", ".bias")) for name in other[0])


def test_operations_are_known_by_their_layers(graph: Graph) -> None:
    data = tflite_bytes(graph)
    layers = [op.name for op in graph.ops if hasattr(op, "weight")]
    assert len(made_by(data, layers)) >= len(layers) == 22
    assert made_by(data, ["logits"]) == [("logits", "FULLY_CONNECTED")]
    assert made_by(data, []) == []
