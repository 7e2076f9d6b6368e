"""Graphs as TFLite files, written operator by operator: channels last without a transpose, activations fused.

The same graph gives the same bytes. The layout is NHWC: the input ``image (N, H, W, C)``, the output ``logits (N, K)``. The files run in
LiteRT and in tflite-runtime 2.14. A depthwise kernel of more than 25 taps is a sum of smaller ones (`hwnas.export.tflite_depthwise`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import hwnas
from hwnas.core.errors import UnsupportedOpError
from hwnas.core.result import Artifact
from hwnas.export.exporter import (
    DYNAMIC_BATCH,
    EXPORTERS,
    Contents,
    ExportSpec,
    Images,
    Layout,
    as_graph,
    batches,
    loadable,
    require,
    require_precision,
    store,
)
from hwnas.export.graph import (
    Activation,
    Add,
    Affine,
    Conv,
    Flatten,
    GlobalAveragePool,
    Graph,
    Linear,
    Mul,
    Op,
    Shape,
    consumers,
)
from hwnas.export.half import as_half
from hwnas.export.tflite_depthwise import Part, row_parts
from hwnas.export.tflite_file import SIGNATURE, TfliteFile, inventory
from hwnas.export.tflite_rewrite import for_tflite

if TYPE_CHECKING:
    from torch import nn

FUSED = {"": "NONE", "relu": "RELU", "relu6": "RELU6"}
ALONE = {"relu": "RELU", "relu6": "RELU6", "hardswish": "HARD_SWISH"}


class TfliteExporter:
    """The ``tflite`` format, run by LiteRT on one thread."""

    format = "tflite"
    runtime = "litert"
    layout: Layout = "NHWC"

    def export(self, module: nn.Module | Graph, spec: ExportSpec, out: Path) -> Artifact:
        """Write ``out``, quantised where the spec says so. What the writer does not know goes to `hwnas.export.fallback`."""
        require_precision(self.format, spec.precision)
        half = spec.precision == "fp16"
        try:
            data = tflite_bytes(as_graph(module, spec), metadata=spec.metadata, half=half, dynamic_batch=spec.dynamic_batch)
        except UnsupportedOpError as problem:
            if half or spec.dynamic_batch:
                raise
            from hwnas.export.fallback import litert_torch_bytes

            data = litert_torch_bytes(module, spec, problem)
        if spec.calibration is not None and spec.precision == "int8":
            from hwnas.export.quantize import Options, quantize_tflite

            data = quantize_tflite(data, spec.calibration, options=Options(spec.ranges, spec.kept_float))
        elif spec.precision == "int8_dynamic":
            from hwnas.export.quantize_dynamic import weights_to_int8

            data = weights_to_int8(data)
        return store(data, spec, out, runtime=self.runtime)

    def run(self, artifact: Artifact, images: Images) -> tuple[NDArray[np.float32], ...]:
        """``images (n, C, H, W) -> (n, K)`` logits, batch by batch as the file has it; the layout is converted on the way in and out."""
        runner = tflite_runner(loadable(artifact, self.format))
        name, taken = next(iter(runner.get_input_details().items()))
        size = int(taken["shape_signature"][0])
        answers = []
        for batch in batches(images, min(len(images), DYNAMIC_BATCH) if size < 0 else size):
            answer = runner(**{name: np.ascontiguousarray(batch.transpose(0, 2, 3, 1))})
            answers.append([_channels_first(answer[key]) for key in sorted(answer)])
        return tuple(np.concatenate(parts)[: len(images)] for parts in zip(*answers, strict=True))

    def contents(self, artifact: Artifact) -> Contents:
        """Operators, ``TRANSPOSE`` among them, and the metadata buffer ``hwnas``."""
        builtins, metadata = inventory(loadable(artifact, self.format).read_bytes())
        return Contents(len(builtins), builtins.count("TRANSPOSE"), metadata)


EXPORTERS.register("tflite", TfliteExporter())


def tflite_runner(path: Path) -> Any:
    """The signature runner of a TFLite file, on one CPU thread."""
    interpreter = require("ai_edge_litert.interpreter", extra="tflite")
    return interpreter.Interpreter(model_content=path.read_bytes(), num_threads=1).get_signature_runner(SIGNATURE)


def tflite_bytes(graph: Graph, *, metadata: Mapping[str, str] | None = None, half: bool = False, dynamic_batch: bool = False) -> bytes:
    """``graph`` as a TFLite model; ``metadata`` becomes the metadata buffer ``hwnas``, as JSON.

    With ``half`` the weights are float16, and made float32 by a DEQUANTIZE each, which XNNPACK does once as it loads; one beyond the range
    of float16 raises `VerificationError`. With ``dynamic_batch`` the first side of every tensor may be of any length.
    """
    return _Emitter(for_tflite(graph), half=half, dynamic_batch=dynamic_batch).pack(metadata or {})


class _Emitter:
    """Writes the operations of one graph, each under the name of the activation or flatten that it swallows."""

    def __init__(self, graph: Graph, *, half: bool, dynamic_batch: bool) -> None:
        self.graph = graph
        self.half = half
        self.dynamic_batch = dynamic_batch
        self.widened: dict[int, int] = {}
        self.file = TfliteFile(f"hwnas {hwnas.__version__}")
        self.merged = _merges(graph)
        self.index = {graph.input: self._tensor(graph.input, channels_last(graph.input_shape))}
        swallowed = {op.name for op in self.merged.values()}
        for op in graph.ops:
            if op.name not in swallowed:
                self._write(op)

    def pack(self, metadata: Mapping[str, str]) -> bytes:
        """The file's bytes."""
        graph = self.graph
        return self.file.pack({graph.input: self.index[graph.input]}, {graph.output: self.index[graph.output]}, metadata)

    def _write(self, op: Op) -> None:
        sources = [self.index[name] for name in op.inputs]
        merged = self.merged.get(op.name)
        name = merged.name if merged else op.name
        fused = FUSED[merged.kind if isinstance(merged, Activation) else ""]
        match op:
            case Conv() if op.groups > 1:
                self._depthwise(op, name, fused, sources[0])
            case Conv():
                self._conv(op, name, fused, sources[0], self.graph.shapes[op.inputs[0]], self.graph.shapes[op.name])
            case Linear():
                constants = [self._weight(f"{op.name}.weight", op.weight), self.file.constant(f"{op.name}.bias", op.bias)]
                self._emit("FULLY_CONNECTED", "FullyConnectedOptions", [*sources, *constants], name, fusedActivationFunction=fused)
            case Add() | Mul():
                kind = type(op).__name__
                self._emit(kind.upper(), f"{kind}Options", sources, name, fusedActivationFunction=fused)
            case Affine():
                self._affine(op, name, fused, sources[0])
            case Activation():
                self._emit(ALONE[op.kind], "HardSwishOptions" if op.kind == "hardswish" else "", sources, name)
            case GlobalAveragePool():
                axes = self.file.constant("axes.hw", np.array([1, 2], dtype=np.int32))
                self._emit("MEAN", "ReducerOptions", [*sources, axes], name, keepDims=merged is None)
            case Flatten():
                shape = np.array([self._batch(op.inputs[0]), *self.graph.shapes[op.name][1:]], dtype=np.int32)
                self._emit(
                    "RESHAPE", "ReshapeOptions", [*sources, self.file.constant(f"{op.name}.shape", shape)], name, newShape=list(shape)
                )
            case _:
                raise UnsupportedOpError(type(op).__name__, op.name)

    def _depthwise(self, conv: Conv, name: str, fused: str, source: int) -> None:
        """The sum of the parts of at most 25 taps, if there is more than one; the last addition has the name and the activation."""
        shape, out = self.graph.shapes[conv.inputs[0]], self.graph.shapes[conv.name]
        parts = row_parts(conv, (shape[2], shape[3]), (out[2], out[3]))
        if len(parts) == 1:
            self._conv(parts[0].conv, name, fused, source, shape, out)
            return
        total = ""
        for part in parts:
            taken = (*shape[:2], part.rows, shape[3])
            self._conv(part.conv, part.conv.name, "NONE", self._rows(part, source, shape), taken, out)
            if total:
                last = part is parts[-1]
                made = name if last else f"{part.conv.name}.sum"
                summands = [self.index[total], self.index[part.conv.name]]
                self._emit("ADD", "AddOptions", summands, made, shape=out, fusedActivationFunction=fused if last else "NONE")
                total = made
            else:
                total = part.conv.name

    def _rows(self, part: Part, source: int, shape: Shape) -> int:
        """The tensor of the rows of ``source`` that ``part`` reads; all of them cost nothing."""
        if part.rows == shape[2]:
            return source
        taken = channels_last((*shape[:2], part.rows, shape[3]))
        name = part.conv.name
        begin = self.file.constant(f"{name}.begin", np.array([0, part.begin, 0, 0], dtype=np.int32))
        size = self.file.constant(f"{name}.size", np.array([self._batch(part.conv.inputs[0]), *taken[1:]], dtype=np.int32))
        target = self._tensor(f"{name}.slice", taken)
        self.file.operator("SLICE", [source, begin, size], target, self.file.schema.SliceOptionsT(), "SliceOptions")
        return target

    def _conv(self, conv: Conv, name: str, fused: str, source: int, shape: Shape, out: Shape) -> None:
        """``conv`` from the tensor ``source`` of ``shape`` to a new one of ``out``, both NCHW."""
        padding, pads = _padding(conv, shape[2:], out[2:])
        if pads is not None:
            (top, bottom), (left, right) = pads
            padded = (*shape[:2], shape[2] + top + bottom, shape[3] + left + right)
            amounts = self.file.constant(f"{conv.name}.pads", np.array([(0, 0), *pads, (0, 0)], dtype=np.int32))
            target = self._tensor(f"{conv.name}.padded", channels_last(padded))
            self.file.operator("PAD", [source, amounts], target, self.file.schema.PadOptionsT(), "PadOptions")
            source = target
        depthwise = conv.groups > 1
        order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
        weight = self._weight(f"{conv.name}.weight", conv.weight.transpose(order))
        options: dict[str, Any] = {
            "strideH": conv.stride[0],
            "strideW": conv.stride[1],
            "padding": padding,
            "fusedActivationFunction": fused,
        }
        inputs = [source, weight, self.file.constant(f"{conv.name}.bias", conv.bias)]
        if depthwise:
            multiplier = len(conv.weight) // conv.groups
            self._emit("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", inputs, name, shape=out, depthMultiplier=multiplier, **options)
        else:
            self._emit("CONV_2D", "Conv2DOptions", inputs, name, shape=out, **options)

    def _affine(self, op: Affine, name: str, fused: str, source: int) -> None:
        if op.scale != 1.0 and op.shift != 0.0:
            scaled = f"{op.name}.scaled"
            self._scalar("MUL", op.scale, source, scaled, self.graph.shapes[op.name], "NONE")
            source = self.index[scaled]
        builtin, value = ("ADD", op.shift) if op.shift != 0.0 else ("MUL", op.scale)
        self._scalar(builtin, value, source, name, self.graph.shapes[op.name], fused)

    def _scalar(self, builtin: str, value: float, source: int, name: str, shape: Shape, fused: str) -> None:
        constant = self.file.constant(f"{name}.constant", np.array([value], dtype=np.float32))
        kind = f"{builtin.capitalize()}Options"
        self._emit(builtin, kind, [source, constant], name, shape=shape, fusedActivationFunction=fused)

    def _emit(self, builtin: str, kind: str, inputs: list[int], name: str, *, shape: Shape = (), **fields: Any) -> None:
        options = getattr(self.file.schema, f"{kind}T")() if kind else None
        for key, value in fields.items():
            words = {"padding": self.file.schema.Padding, "fusedActivationFunction": self.file.schema.ActivationFunctionType}
            setattr(options, key, getattr(words[key], value) if key in words else value)
        self.index[name] = self._tensor(name, channels_last(shape or self.graph.shapes[name]))
        self.file.operator(builtin, inputs, self.index[name], options, kind or "NONE")

    def _tensor(self, name: str, shape: Shape) -> int:
        index = self.file.tensor(name, shape)
        if self.dynamic_batch:
            self.file.any_batch(index)
        return index

    def _batch(self, name: str) -> int:
        """The first side of the tensor ``name`` as an operator's constant has it; -1 is for all that is there."""
        return -1 if self.dynamic_batch else self.graph.shapes[name][0]

    def _weight(self, name: str, value: NDArray[np.float32]) -> int:
        if not self.half:
            return self.file.constant(name, value)
        stored = self.file.constant(f"{name}.fp16", as_half(name, value))
        if stored not in self.widened:
            self.widened[stored] = self.file.tensor(name, value.shape)
            self.file.operator("DEQUANTIZE", [stored], self.widened[stored], self.file.schema.DequantizeOptionsT(), "DequantizeOptions")
        return self.widened[stored]


def channels_last(shape: Shape) -> Shape:
    """``(N, C, H, W) -> (N, H, W, C)``; other ranks as they are."""
    return (shape[0], shape[2], shape[3], shape[1]) if len(shape) == 4 else shape


def _channels_first(value: NDArray[np.float32]) -> NDArray[np.float32]:
    return value.transpose(0, 3, 1, 2) if value.ndim == 4 else value


def _merges(graph: Graph) -> dict[str, Op]:
    """Operations that their only reader can be merged into: relu and relu6 as fused activation, flatten as a mean that keeps no sides."""
    readers = consumers(graph.ops)
    merged: dict[str, Op] = {}
    for op in graph.ops:
        after = readers.get(op.name, [])
        if len(after) != 1 or op.name == graph.output:
            continue
        activates = isinstance(after[0], Activation) and after[0].kind in FUSED and isinstance(op, Conv | Linear | Add | Mul | Affine)
        if activates or (isinstance(op, GlobalAveragePool) and isinstance(after[0], Flatten)):
            merged[op.name] = after[0]
    return merged


def _padding(conv: Conv, sides: Shape, out: Shape) -> tuple[str, list[tuple[int, int]] | None]:
    """TFLite's padding word and, where neither word means the same as the graph's padding, the zeros to add before a ``VALID`` one.

    SAME puts the odd zero after; torch pads both sides alike, which differs for even sides with stride 2.
    """
    before = conv.padding[:2]
    kernel = conv.weight.shape[2:]
    needed = [max((o - 1) * s + k - i, 0) for o, s, k, i in zip(out, conv.stride, kernel, sides, strict=True)]
    if not any(before) and not any(needed):
        return "VALID", None
    same = all(o == -(-i // s) and b == n // 2 for o, s, i, b, n in zip(out, conv.stride, sides, before, needed, strict=True))
    if same:
        return "SAME", None
    return "VALID", [(b, max(n - b, 0)) for b, n in zip(before, needed, strict=True)]
