"""What is looked at before a file is loaded: it is the file that was exported, of its format, self-contained, without custom operators.

Nothing here runs a model. External data of ONNX files are read from paths that the file itself names
(https://onnx.ai/onnx/repo-docs/ExternalData.html), so a file that has any is refused, wherever they lie.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwnas.core.errors import UsageError, VerificationError
from hwnas.core.serial import sha256_file
from hwnas.export.exporter import require
from hwnas.export.tflite_file import FILE_ID, schema

MAX_BYTES = 2**31 - 1  # what protobuf and flatbuffers can address


def check_artifact(path: Path, *, sha256: str = "", size_bytes: int | None = None, form: str = "") -> None:
    """Raise `VerificationError` unless the file may be loaded: as expected, of its format, self-contained, without custom operators.

    The format is ``form``, or what the file's name ends in.
    """
    if path.is_symlink():
        raise VerificationError(f"{path}: is a link; what it leads to may change: put the file itself there")
    try:
        size = path.stat().st_size
    except OSError:
        raise VerificationError(f"{path}: no such file") from None
    if size > MAX_BYTES or (size_bytes is not None and size != size_bytes):
        raise VerificationError(f"{path}: has {size} bytes; {MAX_BYTES if size_bytes is None else size_bytes} were expected")
    if sha256 and sha256_file(path) != sha256:
        raise VerificationError(f"{path}: was changed after it was exported (its SHA-256 is another); export it again")
    checks = {"onnx": _check_onnx, "tflite": _check_tflite, "pt2": _check_torch}
    form = form or path.suffix[1:]
    if form not in checks:
        raise UsageError(f"{path}: not a format that can be checked; known: {', '.join(sorted(checks))}")
    checks[form](path, path.read_bytes())


def _check_onnx(path: Path, data: bytes) -> None:
    onnx = require("onnx", extra="onnx")
    try:
        model = onnx.load_from_string(data)
    except require("google.protobuf.message", extra="onnx").DecodeError:
        raise VerificationError(f"{path}: not an ONNX model") from None
    if model.ir_version < 1 or not model.graph.node or not model.graph.output:
        raise VerificationError(f"{path}: not an ONNX model (it computes nothing)")
    if model.functions:
        raise VerificationError(f"{path}: brings functions of its own ({model.functions[0].name})")
    for tensor in _tensors(onnx, model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            raise VerificationError(
                f"{path}: keeps '{tensor.name}' outside of the file, in '{where}'; only self-contained files are loaded"
            )
    for node in _nodes(onnx, model.graph):
        if node.domain not in ("", "ai.onnx"):
            raise VerificationError(f"{path}: uses the custom operator '{node.domain}.{node.op_type}'")


def _nodes(onnx: Any, graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [*attribute.graphs, *([attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else [])]:
                yield from _nodes(onnx, inner)


def _tensors(onnx: Any, graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from [*attribute.tensors, *([attribute.t] if attribute.type == onnx.AttributeProto.TENSOR else [])]
            for inner in [*attribute.graphs, *([attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else [])]:
                yield from _tensors(onnx, inner)


def _check_torch(path: Path, data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = {entry.filename.partition("/")[2]: entry.file_size for entry in archive.infolist()}
            lists = [json.loads(archive.read(name)) for name in archive.namelist() if name.endswith("_config.json")]
            pickled = any(one["use_pickle"] for told in lists for one in told["config"].values())
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, NotImplementedError, RuntimeError, EOFError) as problem:
        raise VerificationError(f"{path}: not a PyTorch program ({type(problem).__name__})") from None
    if not sizes.get("models/model.json"):
        raise VerificationError(f"{path}: not a PyTorch program (it computes nothing)")
    # torch runs what is pickled as it loads it
    if pickled or any(size for name, size in sizes.items() if name.startswith("data/sample_inputs/")):
        raise VerificationError(f"{path}: holds pickled objects; only plain weights are loaded")


def _check_tflite(path: Path, data: bytes) -> None:
    if data[4:8] != FILE_ID:
        raise VerificationError(f"{path}: not a TFLite model (no {FILE_ID.decode()} mark)")
    tables = schema()
    try:
        model = tables.Model.GetRootAs(data)
        codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        custom = [code.CustomCode() for code in codes if code.BuiltinCode() == tables.BuiltinOperator.CUSTOM or code.CustomCode()]
        # a buffer may lie behind the tables (offset above 1), but not behind the end of the file
        buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
        outside = any(b.Offset() > 1 and b.Offset() + b.Size() > len(data) for b in buffers)
        operators = sum(model.Subgraphs(i).OperatorsLength() for i in range(model.SubgraphsLength()))
    except (struct.error, ValueError, TypeError, IndexError, AttributeError, OverflowError) as problem:
        raise VerificationError(f"{path}: not a TFLite model ({type(problem).__name__})") from None
    if not operators:
        raise VerificationError(f"{path}: not a TFLite model (it computes nothing)")
    if custom:
        raise VerificationError(f"{path}: uses the custom operator '{(custom[0] or b'').decode(errors='replace')}'")
    if outside:
        raise VerificationError(f"{path}: keeps weights outside of the file; only self-contained files are loaded")
