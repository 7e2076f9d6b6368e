"""What is inside of a float model file: the values of its tensors on given images, and which operation belongs to a layer of the graph."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.export.exporter import Images, require
from hwnas.export.tflite_file import schema

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
WEIGHT = ".weight"


def onnx_values(model: bytes, batches: Sequence[Images]) -> Iterator[dict[str, NDArray[Any]]]:
    """The input and every float tensor that a node of an ONNX model makes, batch by batch, by name."""
    onnx, ort = require("onnx", extra="onnx"), require("onnxruntime", extra="onnx")
    proto = onnx.load_from_string(model)
    taken, given = proto.graph.input[0].name, {output.name for output in proto.graph.output}
    inner = [name for node in proto.graph.node for name in node.output if name not in given]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # nothing is fused away
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for batch in batches:
        yield {taken: batch, **dict(zip(names, session.run(names, {taken: batch}), strict=True))}


def tflite_values(model: bytes, batches: Sequence[dict[str, Images]]) -> Iterator[dict[str, NDArray[Any]]]:
    """Every float tensor of a TFLite model that is no constant, batch by batch, by name; ``batches`` are by the input's name."""
    interpreters = require("ai_edge_litert.interpreter", extra="tflite")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors", category=UserWarning)
        interpreter = interpreters.Interpreter(model_content=model, num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    made = {index for operation in _operations(model) for index in operation.outputs}
    details = [d for d in interpreter.get_tensor_details() if d["index"] in made and d["dtype"] == np.float32]
    for batch in batches:
        (image,) = batch.values()
        interpreter.set_tensor(taken["index"], image)
        interpreter.invoke()
        yield {taken["name"]: image, **{d["name"]: interpreter.get_tensor(d["index"]) for d in details}}


def made_by(model: bytes, layers: Collection[str]) -> list[tuple[str, str]]:
    """The tensor that each operation of these layers of the graph makes in a TFLite model, and the operation's kind.

    A layer's operations are known by their weights; there are several of them where a large depthwise kernel was cut into parts.
    """
    if not layers:
        return []
    tables = schema()
    parsed = tables.ModelT.InitFromPackedBuf(model, 0)
    kinds = {getattr(tables.BuiltinOperator, kind): kind for kind in LAYERS}
    tensors = parsed.subgraphs[0].tensors
    found = []
    for operation in parsed.subgraphs[0].operators:
        kind = kinds.get(parsed.operatorCodes[operation.opcodeIndex].builtinCode)
        name = tensors[operation.inputs[1]].name.decode() if kind else ""
        owner = name.removesuffix(WEIGHT)
        if kind and any(owner == layer or owner.startswith(f"{layer}.") for layer in layers):
            found.append((tensors[operation.outputs[0]].name.decode(), kind))
    return found


def _operations(model: bytes) -> Any:
    return schema().ModelT.InitFromPackedBuf(model, 0).subgraphs[0].operators
