"""Float files become int8 files: static post-training quantisation with calibration images, weights per output channel.

Nagel et al. 2021, arXiv:2106.08295. In both formats the inputs and outputs stay float32, so that a user swaps files without touching code.
ONNX: QDQ form, activations uint8 and weights int8, which of the pairs onnxruntime has kernels for is the fastest on x86 (int8 / int8 takes
twice as long there). Hard-swish and hard-sigmoid stay float. TFLite: activations and weights int8.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import UsageError, VerificationError
from hwnas.export.exporter import Images, batches, require
from hwnas.export.ranges import ranges_of
from hwnas.export.tensors import made_by, onnx_values, tflite_values
from hwnas.export.tflite_file import SIGNATURE
from hwnas.export.to_onnx import add_metadata

QUANTIZED_OPS = ["Conv", "Gemm", "Add", "Relu", "Clip", "Flatten"]
"""ONNX operators that become integer. Products and pools of squeeze-and-excite gain nothing and lose accuracy."""


@dataclass(frozen=True, slots=True)
class Options:
    """How ranges are chosen (`hwnas.export.ranges.RANGES`), and which layers (convolutions, linear layers) stay float."""

    ranges: str = "minmax"
    kept_float: frozenset[str] = frozenset()


DEFAULT_OPTIONS = Options()


def quantize_onnx(
    model: bytes, calibration: Images, *, metadata: Mapping[str, str] | None = None, options: Options = DEFAULT_OPTIONS
) -> bytes:
    """A float32 ONNX model as int8; ``calibration (n, C, H, W) float32`` is normalised like what the model will see."""
    onnx = require("onnx", extra="onnx")
    tools = require("onnxruntime.quantization", extra="onnx")
    proto = onnx.load_from_string(model)
    taken = proto.graph.input[0]
    shape = tuple(side.dim_value or 1 for side in taken.type.tensor_type.shape.dim)
    _check_calibration(calibration, shape)
    # the graph is lean already: this tells onnxruntime that its pre-processing has nothing left to do
    proto.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    samples = batches(calibration, shape[0])
    extra: dict[str, Any] = {}
    if options.ranges != "minmax":
        found = ranges_of(lambda: onnx_values(model, samples), options.ranges)
        overrides = {name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in found.items()}
        extra, samples = {"TensorQuantOverrides": overrides}, samples[:1]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "int8.onnx"
        tools.quantize_static(
            proto,
            out,
            _reader(tools, taken.name, samples),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED_OPS,
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            nodes_to_exclude=sorted(options.kept_float),
            extra_options=extra,
        )
        quantized = onnx.load(out)
    add_metadata(quantized, metadata or {})
    data: bytes = quantized.SerializeToString(deterministic=True)
    return data


def quantize_tflite(model: bytes, calibration: Images, *, options: Options = DEFAULT_OPTIONS) -> bytes:
    """A float32 TFLite model as int8; ``calibration (n, C, H, W) float32`` is normalised like what the model will see."""
    interpreter = require("ai_edge_litert.interpreter", extra="tflite").Interpreter(model_content=model)
    taken = interpreter.get_input_details()[0]
    name = next(iter(interpreter.get_signature_list()[SIGNATURE]["inputs"]))
    size, height, width, channels = (int(side) for side in taken["shape"])
    _check_calibration(calibration, (size, channels, height, width))
    samples = [{name: np.ascontiguousarray(batch.transpose(0, 2, 3, 1))} for batch in batches(calibration, size)]
    quantizer = _float_border_quantizer(model, options.kept_float)
    with _quiet():
        ranges = _tflite_ranges(model, quantizer.get_quantization_recipe(), samples)
        if options.ranges != "minmax":
            found = ranges_of(lambda: tflite_values(model, samples), options.ranges)
            for tensor in found.keys() & ranges.keys():
                ranges[tensor] |= {
                    side: np.full_like(ranges[tensor][side], at) for side, at in zip(("min", "max"), found[tensor], strict=True)
                }
        result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Calibration draws a progress bar, and looks at every tensor on purpose, of which LiteRT warns that it takes memory."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors", category=UserWarning)
        yield


def _float_border_quantizer(model: bytes, kept_float: frozenset[str]) -> Any:
    tools, recipes = (require(f"ai_edge_quantizer.{name}", extra="tflite") for name in ("quantizer", "recipe"))
    quantizer = tools.Quantizer(bytearray(model), recipes.static_wi8_ai8())
    for border in (recipes.TFLOperationName.INPUT, recipes.TFLOperationName.OUTPUT):
        quantizer.update_quantization_recipe(".*", border, algorithm_key=tools.AlgorithmName.NO_QUANTIZE)
    for name, kind in made_by(model, kept_float):
        operation = recipes.TFLOperationName[kind]
        quantizer.update_quantization_recipe(f"^{re.escape(name)};?$", operation, algorithm_key=tools.AlgorithmName.NO_QUANTIZE)
    return quantizer


def _tflite_ranges(model: bytes, recipe: Any, samples: list[dict[str, Images]]) -> Any:
    """The least and the largest value of every tensor over all ``samples``.

    The quantizer's own default, a moving average of the ranges of single images, clips: on a small untrained network the largest error of
    the logits was 29 % with it and 7 % without.
    """
    calibrators, managers = (require(f"ai_edge_quantizer.{name}", extra="tflite") for name in ("calibrator", "recipe_manager"))
    update = require("ai_edge_quantizer.utils.qsv_utils", extra="tflite").min_max_update
    manager = managers.RecipeManager()
    manager.load_quantization_recipe(recipe)
    calibrator = calibrators.Calibrator(memoryview(model), num_threads=1, qsv_update_func=update)
    calibrator.calibrate({SIGNATURE: samples}, manager)
    return calibrator.get_model_qsvs()


def _check_calibration(calibration: NDArray[Any], shape: tuple[int, ...]) -> None:
    if calibration.ndim != 4 or calibration.shape[1:] != shape[1:]:
        wanted = "x".join(map(str, shape[1:]))
        raise UsageError(f"calibration images are {'x'.join(map(str, calibration.shape[1:]))}; the model takes {wanted}")
    if not np.isfinite(calibration).all():
        raise UsageError("calibration images hold NaN or infinity")
    sides = (0, 2, 3)
    if calibration.size and (calibration.max(axis=sides) == calibration.min(axis=sides)).all():
        raise VerificationError("calibration images are all one colour; take real images of the training part")


def _reader(tools: Any, name: str, samples: list[Images]) -> Any:
    class Reader(tools.CalibrationDataReader):  # type: ignore[misc]
        """Hands the calibration batches to onnxruntime, one at a time."""

        def __init__(self) -> None:
            self._left: Iterator[Images] = iter(samples)

        def get_next(self) -> dict[str, Images] | None:
            batch = next(self._left, None)
            return None if batch is None else {name: batch}

    return Reader()
