"""The tables of one TFLite file: tensors, constants, operators, signature, metadata; packed the same way every time.

Format: ``tensorflow/compiler/mlir/lite/schema/schema.fbs`` of TensorFlow. Every operator is written in its version 1, which the oldest
runtimes know, but for what float16 weights need.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.core.serial import canonical_json
from hwnas.export.exporter import require

FILE_ID = b"TFL3"
SIGNATURE = "serving_default"
METADATA_NAME = "hwnas"
ALIGNMENT = 16  # what the schema's force_align asks of buffers
_VERSIONS = {"DEQUANTIZE": 3}
"""Of operators that are younger as they are used here: DEQUANTIZE of float16."""


def schema() -> Any:
    """The generated object API of the schema."""
    return require("ai_edge_litert.schema_py_generated", extra="tflite")


class TfliteFile:
    """Grows a one-subgraph model; `pack` gives its bytes."""

    def __init__(self, description: str) -> None:
        self.schema = schema()
        self.description = description
        self._graph = self.schema.SubGraphT()
        self._graph.name = "main"
        self._graph.tensors, self._graph.operators = [], []
        self._graph.inputs, self._graph.outputs = [], []
        self._buffers: list[bytes] = [b""]  # by convention the first is empty: the buffer of what is computed
        self._codes: list[str] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], int] = {}

    def tensor(self, name: str, shape: Sequence[int]) -> int:
        """A float32 tensor that is computed; returns its index."""
        return self._tensor(name, shape, self.schema.TensorType.FLOAT32, buffer=0)

    def any_batch(self, index: int) -> None:
        """Note that the first side of a tensor may be of any length."""
        tensor = self._graph.tensors[index]
        tensor.shapeSignature = [-1, *tensor.shape[1:]]

    def constant(self, name: str, value: NDArray[np.float16] | NDArray[np.float32] | NDArray[np.int32]) -> int:
        """A float16, float32 or int32 constant; equal ones are kept once."""
        raw = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<")).tobytes()
        key = (value.dtype.name, value.shape, raw)
        if key not in self._constants:
            kinds = {name: getattr(self.schema.TensorType, name.upper()) for name in ("float16", "float32", "int32")}
            self._buffers.append(raw)
            self._constants[key] = self._tensor(name, value.shape, kinds[value.dtype.name], buffer=len(self._buffers) - 1)
        return self._constants[key]

    def operator(self, builtin: str, inputs: Sequence[int], output: int, options: Any = None, options_type: str = "NONE") -> None:
        """One operator; ``builtin`` and ``options_type`` are names of the schema."""
        if builtin not in self._codes:
            self._codes.append(builtin)
        made = self.schema.OperatorT()
        made.opcodeIndex = self._codes.index(builtin)
        made.inputs, made.outputs = list(inputs), [output]
        made.builtinOptions = options
        made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options_type)
        self._graph.operators.append(made)

    def pack(self, inputs: Mapping[str, int], outputs: Mapping[str, int], metadata: Mapping[str, str]) -> bytes:
        """The file's bytes; ``inputs`` and ``outputs`` are tensor indices by signature name."""
        import flatbuffers

        self._graph.inputs, self._graph.outputs = list(inputs.values()), list(outputs.values())
        model = self.schema.ModelT()
        model.version = 3
        model.description = self.description
        model.subgraphs = [self._graph]
        model.operatorCodes = [self._operator_code(code) for code in self._codes]
        model.signatureDefs = [self._signature(inputs, outputs)]
        if metadata:
            self._buffers.append(canonical_json(metadata).encode())
            model.metadata = [self.schema.MetadataT(name=METADATA_NAME, buffer=len(self._buffers) - 1)]
        model.buffers = [_Buffer(self.schema, raw) for raw in self._buffers]
        builder = flatbuffers.Builder(1024 + sum(map(len, self._buffers)))
        builder.Finish(model.Pack(builder), FILE_ID)
        return bytes(builder.Output())

    def _tensor(self, name: str, shape: Sequence[int], kind: int, *, buffer: int) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [int(side) for side in shape], kind, buffer
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _operator_code(self, builtin: str) -> Any:
        made = self.schema.OperatorCodeT()
        code = getattr(self.schema.BuiltinOperator, builtin)
        made.builtinCode, made.version = code, _VERSIONS.get(builtin, 1)
        made.deprecatedBuiltinCode = min(code, 127)  # a signed byte, which newer codes do not fit
        return made

    def _signature(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Any:
        made = self.schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = SIGNATURE, 0
        made.inputs = [self.schema.TensorMapT(name=name, tensorIndex=index) for name, index in inputs.items()]
        made.outputs = [self.schema.TensorMapT(name=name, tensorIndex=index) for name, index in outputs.items()]
        return made


def relabelled(data: bytes, *, inputs: Sequence[str], outputs: Sequence[str], metadata: Mapping[str, str]) -> bytes:
    """A model that something else wrote, with the names in its signature and the metadata that ours have."""
    import flatbuffers

    tables = schema()
    model = tables.ModelT.InitFromObj(tables.Model.GetRootAs(data))
    signature = model.signatureDefs[0]
    for listed, names in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for one, name in zip(listed, names, strict=True):
            one.name = name
    model.buffers = [_Buffer(tables, b"" if buffer.data is None else bytes(buffer.data)) for buffer in model.buffers]
    if metadata:
        model.buffers.append(_Buffer(tables, canonical_json(metadata).encode()))
        model.metadata = [*(model.metadata or []), tables.MetadataT(name=METADATA_NAME, buffer=len(model.buffers) - 1)]
    builder = flatbuffers.Builder(len(data) + 4096)
    builder.Finish(model.Pack(builder), FILE_ID)
    return bytes(builder.Output())


def inventory(data: bytes) -> tuple[list[str], dict[str, str]]:
    """Of a checked model, the name of each operator in order, and the metadata that `TfliteFile.pack` wrote."""
    tables = schema()
    model = tables.Model.GetRootAs(data)
    words = {value: name for name, value in vars(tables.BuiltinOperator).items() if isinstance(value, int)}
    graph = model.Subgraphs(0)
    codes = [graph.Operators(i).OpcodeIndex() for i in range(graph.OperatorsLength())]
    builtins = [words.get(model.OperatorCodes(code).BuiltinCode(), "UNKNOWN") for code in codes]
    for entry in (model.Metadata(i) for i in range(model.MetadataLength())):
        if entry.Name() == METADATA_NAME.encode():
            return builtins, json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return builtins, {}


class _Buffer:
    """A buffer that packs whole and aligned; the generated one packs byte by byte and unaligned."""

    def __init__(self, schema: Any, raw: bytes) -> None:
        self.schema = schema
        self.raw = raw

    def Pack(self, builder: Any) -> int:  # noqa: N802 (called by the generated code)
        data = 0
        if self.raw:
            builder.Prep(ALIGNMENT, len(self.raw))
            data = builder.CreateByteVector(self.raw)
        self.schema.BufferStart(builder)
        if self.raw:
            self.schema.BufferAddData(builder, data)
        packed: int = self.schema.BufferEnd(builder)
        return packed
