"""Graphs as ONNX files, written node by node: native HardSwish and HardSigmoid, no identity, the same bytes for the same graph.

ONNX operators: https://onnx.ai/onnx/operators/. HardSwish came with opset 14; before that it
is written as a product.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import hwnas
from hwnas.core.errors import ConfigError, UnsupportedOpError
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
)
from hwnas.export.half import as_half
from hwnas.export.level import DEFAULT, OnnxLevel

if TYPE_CHECKING:
    from torch import nn

FLOAT, FLOAT16 = 1, 10
"""ONNX's numbers of its types."""
HARDSWISH_OPSET = 14
PER_CHANNEL_OPSET = 13


class OnnxExporter:
    """The ``onnx`` format: NCHW input ``image``, output ``logits``; run by onnxruntime on one thread."""

    format = "onnx"
    runtime = "onnxruntime"
    layout: Layout = "NCHW"

    def export(self, module: nn.Module | Graph, spec: ExportSpec, out: Path) -> Artifact:
        """Write ``out``, quantised where the spec says so. A file that is not ``timing_only`` has passed the ONNX checker."""
        require_precision(self.format, spec.precision)
        data = onnx_bytes(
            as_graph(module, spec),
            level=spec.level,
            metadata=spec.metadata,
            half=spec.precision == "fp16",
            dynamic_batch=spec.dynamic_batch,
        )
        if spec.calibration is not None and spec.precision == "int8":
            if spec.level.opset < PER_CHANNEL_OPSET:
                raise ConfigError(
                    f"int8 needs opset {PER_CHANNEL_OPSET}, the first with a scale a channel, and the device's onnxruntime reads"
                    f" {spec.level.opset}; take fp32 there, or update it to 1.10 or newer"
                )
            from hwnas.export.quantize import Options, quantize_onnx

            options = Options(spec.ranges, spec.kept_float)
            data = quantize_onnx(data, spec.calibration, metadata=spec.metadata, options=options)
        if not spec.timing_only:
            onnx = require("onnx", extra="onnx")
            onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
        return store(data, spec, out, runtime=self.runtime)

    def run(self, artifact: Artifact, images: Images) -> tuple[NDArray[np.float32], ...]:
        """``images (n, C, H, W) -> (n, K)`` logits, batch by batch as the file has it."""
        session = onnx_session(loadable(artifact, self.format))
        taken = session.get_inputs()[0]
        size = taken.shape[0] if isinstance(taken.shape[0], int) else min(len(images), DYNAMIC_BATCH)
        answers = [session.run(None, {taken.name: batch}) for batch in batches(images, size)]
        return tuple(np.concatenate(parts)[: len(images)] for parts in zip(*answers, strict=True))

    def contents(self, artifact: Artifact) -> Contents:
        """Nodes, ``Transpose`` among them, and the model's properties."""
        model = require("onnx", extra="onnx").load_from_string(loadable(artifact, self.format).read_bytes())
        moved = sum(node.op_type == "Transpose" for node in model.graph.node)
        return Contents(len(model.graph.node), moved, {entry.key: entry.value for entry in model.metadata_props})


EXPORTERS.register("onnx", OnnxExporter())


def onnx_session(path: Path) -> Any:
    """An onnxruntime session on one CPU thread."""
    ort = require("onnxruntime", extra="onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def onnx_bytes(
    graph: Graph,
    *,
    level: OnnxLevel = DEFAULT,
    metadata: Mapping[str, str] | None = None,
    half: bool = False,
    dynamic_batch: bool = False,
) -> bytes:
    """``graph`` as a serialised ONNX model of any `OnnxLevel`.

    With ``half`` weights and operations are float16, between float32 at both ends; a weight beyond its range raises `VerificationError`.
    With ``dynamic_batch`` the first side of input and output is named ``batch``.
    """
    helper = require("onnx.helper", extra="onnx")
    writer = _Writer(helper, level.opset, _ends(graph) if half else {})
    if half:
        writer.cast(graph.input, FLOAT16)
    for op in graph.ops:
        writer.write(op)
    if half:
        writer.cast(graph.output, FLOAT)
    taken, given = (["batch", *shape[1:]] if dynamic_batch else shape for shape in (graph.input_shape, graph.output_shape))
    made = helper.make_graph(
        writer.nodes,
        "hwnas",
        [helper.make_tensor_value_info(graph.input, FLOAT, taken)],
        [helper.make_tensor_value_info(graph.output, FLOAT, given)],
        writer.constants,
    )
    model = helper.make_model(
        made,
        producer_name="hwnas",
        producer_version=hwnas.__version__,
        ir_version=level.ir_version,
        opset_imports=[helper.make_opsetid("", level.opset)],
    )
    add_metadata(model, metadata or {})
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _ends(graph: Graph) -> dict[str, str]:
    """What the graph's input and output are called in float16."""
    return {name: f"{name}.fp16" for name in (graph.input, graph.output)}


def add_metadata(model: Any, metadata: Mapping[str, str]) -> None:
    """Put ``metadata`` into the model's properties in place of what is there, sorted by key."""
    del model.metadata_props[:]
    for key in sorted(metadata):
        model.metadata_props.add(key=key, value=metadata[key])


class _Writer:
    """Nodes and constants of one model, in order. ``halved`` names the tensors whose float16 is called otherwise; empty: all is float32."""

    def __init__(self, helper: Any, opset: int, halved: Mapping[str, str]) -> None:
        self.helper = helper
        self.opset = opset
        self.halved = halved
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def write(self, op: Op) -> None:
        """Add the node or nodes of one operation."""
        match op:
            case Conv():
                self._conv(op)
            case Linear():
                self._node("Gemm", op, self._constant(op.name, "weight", op.weight), self._constant(op.name, "bias", op.bias), transB=1)
            case GlobalAveragePool() | Add() | Mul():
                self._node(type(op).__name__, op)
            case Flatten():
                self._node("Flatten", op, axis=1)
            case Affine():
                self._affine(op)
            case Activation():
                self._activation(op)
            case _:
                raise UnsupportedOpError(type(op).__name__, op.name)

    def _conv(self, conv: Conv) -> None:
        constants = self._constant(conv.name, "weight", conv.weight), self._constant(conv.name, "bias", conv.bias)
        self._node(
            "Conv",
            conv,
            *constants,
            kernel_shape=conv.weight.shape[2:],
            strides=conv.stride,
            pads=conv.padding,
            group=conv.groups,
            dilations=(1, 1),
        )

    def _affine(self, op: Affine) -> None:
        scaled = op
        if op.scale != 1.0 and op.shift != 0.0:
            scaled = Affine(f"{op.name}.scaled", op.inputs, scale=op.scale)
            self._affine(scaled)
            self._affine(Affine(op.name, (scaled.name,), shift=op.shift))
        elif op.scale != 1.0:
            self._node("Mul", op, self._constant(op.name, "scale", np.float32(op.scale)))
        else:
            self._node("Add", op, self._constant(op.name, "shift", np.float32(op.shift)))

    def _activation(self, op: Activation) -> None:
        match op.kind:
            case "relu":
                self._node("Relu", op)
            case "relu6":
                self._node("Clip", op, self._constant(op.name, "min", np.float32(0)), self._constant(op.name, "max", np.float32(6)))
            case "hardswish" if self.opset < HARDSWISH_OPSET:
                gate = Activation(f"{op.name}.gate", op.inputs, "hardsigmoid")
                self._activation(gate)
                self._node("Mul", op, gate.name)
            case "hardswish":
                self._node("HardSwish", op)
            case "hardsigmoid":
                self._node("HardSigmoid", op, alpha=1 / 6, beta=0.5)
            case _:
                raise UnsupportedOpError(op.kind, op.name)

    def cast(self, name: str, to: int) -> None:
        """Between the float32 at an end of the graph, called ``name``, and its float16."""
        source, target = (name, self.halved[name]) if to == FLOAT16 else (self.halved[name], name)
        self.nodes.append(self.helper.make_node("Cast", [source], [target], name=f"{name}.cast", to=to))

    def _node(self, kind: str, op: Op, *constants: str, **attributes: Any) -> None:
        inputs, output = [self.halved.get(name, name) for name in op.inputs], self.halved.get(op.name, op.name)
        self.nodes.append(self.helper.make_node(kind, [*inputs, *constants], [output], name=op.name, **attributes))

    def _constant(self, owner: str, role: str, value: NDArray[np.float32] | np.float32) -> str:
        name = f"{owner}.{role}"
        array = as_half(name, np.asarray(value)) if self.halved else np.asarray(value, dtype="<f4")
        self.constants.append(self.helper.make_tensor(name, FLOAT16 if self.halved else FLOAT, array.shape, array.tobytes(), raw=True))
        return name
