"""int8 files: smaller, close to their source, float at the borders, the same bytes twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from hwnas.core.errors import HwnasError, UsageError, VerificationError
from hwnas.core.result import Artifact
from hwnas.export import EXPORTERS, ExportSpec
from hwnas.export.exporter import precisions_of
from hwnas.export.lower import lower
from hwnas.export.quantize import quantize_onnx, quantize_tflite
from hwnas.export.to_onnx import onnx_bytes
from hwnas.export.to_tflite import tflite_bytes
from hwnas.export.verify import parity
from tests.export.networks import small_net

SHAPE = (3, 16, 16)
IMAGES = np.random.default_rng(0).standard_normal((48, *SHAPE)).astype(np.float32)
INT8 = [name for name in EXPORTERS.names() if "int8" in precisions_of(name)]
BLACK = np.broadcast_to(np.array([[[-0.81]], [[-2.1]], [[-1.8]]], dtype=np.float32), (4, *SHAPE))
"""Black images, as they are normalised."""
METADATA = {"labels": "a,b", "mean": "0"}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Artifact]:
    folder = tmp_path_factory.mktemp("int8")
    made = {}
    for name in INT8:
        for precision in ("fp32", "int8"):
            spec = ExportSpec(input_shape=SHAPE, precision=precision, calibration=IMAGES[:32], metadata=METADATA)
            made[name, precision] = EXPORTERS.get(name).export(small_net(), spec, folder / f"{precision}.{name}")
    return made


@pytest.mark.parametrize("name", INT8)
def test_close_to_its_source_and_smaller(name: str, artifacts: dict[tuple[str, str], Artifact]) -> None:
    exporter = EXPORTERS.get(name)
    wanted, got = (exporter.run(artifacts[name, precision], IMAGES)[0] for precision in ("fp32", "int8"))
    figures = parity(wanted, got)
    assert figures.top1_agreement >= 0.85
    assert figures.psnr_db is not None
    assert figures.psnr_db > 25
    assert not figures.within_limit, "a file that is this close was not quantised"
    sizes = {precision: Path(artifacts[name, precision].path).stat().st_size for precision in ("fp32", "int8")}
    assert sizes["int8"] < 0.75 * sizes["fp32"]
    assert artifacts[name, "int8"].precision == "int8"


@pytest.mark.parametrize("name", INT8)
def test_the_same_bytes_again(name: str, artifacts: dict[tuple[str, str], Artifact], tmp_path: Path) -> None:
    spec = ExportSpec(input_shape=SHAPE, precision="int8", calibration=IMAGES[:32], metadata=METADATA)
    again = EXPORTERS.get(name).export(small_net(), spec, tmp_path / f"again.{name}")
    assert again.sha256 == artifacts[name, "int8"].sha256


def test_onnx_is_qdq_with_int8_weights_and_uint8_activations(artifacts: dict[tuple[str, str], Artifact]) -> None:
    model = onnx.load(artifacts["onnx", "int8"].path)
    counts = Counter(node.op_type for node in model.graph.node)
    assert counts["Conv"] == 20
    assert counts["QuantizeLinear"] > 20
    assert {node.domain for node in model.graph.node} == {""}
    weights = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4]
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.INT8}
    assert len({t.data_type for t in model.graph.initializer if "_zero_point" in t.name and not t.name.startswith("blocks")} & {2}) == 1
    assert {p.key: p.value for p in model.metadata_props} == METADATA
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_tflite_is_integer_inside_and_float_at_the_borders(artifacts: dict[tuple[str, str], Artifact]) -> None:
    path = artifacts["tflite", "int8"].path
    interpreter = Interpreter(path)
    assert interpreter.get_input_details()[0]["dtype"] == interpreter.get_output_details()[0]["dtype"] == np.float32
    model = schema.ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
    kinds = Counter(tensor.type for tensor in model.subgraphs[0].tensors)
    assert kinds[schema.TensorType.FLOAT32] == 2
    assert kinds[schema.TensorType.INT8] > 50
    named = {entry.name: entry for entry in model.metadata}
    assert json.loads(bytes(model.buffers[named[b"hwnas"].buffer].data)) == METADATA


def test_ranges_cover_every_calibration_image(tmp_path: Path) -> None:
    """One image a hundred times brighter than the rest must not be clipped, wherever it comes in the order."""
    bright = IMAGES[:8].copy()
    bright[3] *= 100
    data = quantize_tflite(tflite_bytes(lower(small_net(), SHAPE)), bright)
    (tmp_path / "m.tflite").write_bytes(data)
    detail = Interpreter(model_content=data).get_tensor_details()
    scales = [tensor["quantization"][0] for tensor in detail if tensor["name"].startswith("image") and tensor["quantization"][0] > 0]
    assert scales, "the quantised image has a scale"
    assert scales[0] * 255 >= float(bright.max()) - float(bright.min()) - scales[0]


@pytest.mark.parametrize("quantize", [quantize_onnx, quantize_tflite])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((4, 1, 16, 16), dtype=np.float32), UsageError, "calibration images are 1x16x16; the model takes 3x16x16"),
        (np.full((4, *SHAPE), np.nan, dtype=np.float32), UsageError, "NaN or infinity"),
        (np.zeros((4, *SHAPE), dtype=np.float32), VerificationError, "all one colour"),
        (
            np.broadcast_to(np.float32([[[-0.81]], [[-2.1]], [[-1.8]]]), (4, *SHAPE)),
            VerificationError,
            "all one colour",
        ),  # normalised black
    ],
)
def test_calibration_images_that_cannot_be_right(quantize: object, images: np.ndarray, error: type[HwnasError], message: str) -> None:
    write = onnx_bytes if quantize is quantize_onnx else tflite_bytes
    with pytest.raises(error, match=message):
        quantize(write(lower(small_net(), SHAPE)), images)  # type: ignore[operator]
