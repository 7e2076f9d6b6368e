"""LiteRT on the CPU, through ``ai_edge_litert`` or, where a board has only that, ``tflite_runtime``, with XNNPACK.

XNNPACK is a delegate: it takes the operations that it knows, and the built-in kernels run the rest. The interpreter's list of operations
shows what became of a model: delegates come after the operations that they took, which stay in the list. Those are what leads from a
delegate's outputs back to its inputs.
"""

from __future__ import annotations

import importlib
from typing import Any, Dict, Sequence

from hwnas_agent.runtime import IMPORT_ERRORS, Execution, Loaded, Runtime, counted, random_input

XNNPACK = "XNNPACK"
BUILT_IN = "built-in kernels"
_DELEGATE = "DELEGATE"

Operation = Dict[str, Any]


def litert() -> Runtime:
    """The interpreter that is here."""
    module, version = _module()

    def load(path: str, threads: int, seed: int) -> Loaded:
        interpreter = module.Interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
        for offset, slot in enumerate(interpreter.get_input_details()):
            interpreter.set_tensor(slot["index"], random_input(slot["shape"].tolist(), slot["dtype"], seed + offset))
        return Loaded(interpreter.invoke, lambda: executed(interpreter._get_ops_details()))

    return Runtime(version, XNNPACK, load)


def _module() -> tuple[Any, str]:
    """The interpreter module and the version of the package that has it."""
    reasons = []
    for package in ("ai_edge_litert", "tflite_runtime"):
        try:
            module = importlib.import_module(package + ".interpreter")
            return module, _version_of(package)
        except IMPORT_ERRORS as problem:
            reasons.append(f"{package}: {problem}")
    raise ImportError("; ".join(reasons))


def _version_of(package: str) -> str:
    from importlib import metadata

    name = package.replace("_", "-")
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name + " " + str(getattr(importlib.import_module(package), "__version__", "unknown"))


def executed(operations: Sequence[Operation]) -> Execution:
    """Who runs the model, from the interpreter's list: entries have ``index``, ``op_name``, ``inputs`` and ``outputs`` (tensors)."""
    originals = [op for op in operations if op["op_name"] != _DELEGATE]
    makers = {int(tensor): op for op in originals for tensor in op["outputs"]}
    taken: set[int] = set()
    for delegate in (op for op in operations if op["op_name"] == _DELEGATE):
        borders = {int(tensor) for tensor in delegate["inputs"]}
        open_ones = [int(tensor) for tensor in delegate["outputs"]]
        while open_ones:
            tensor = open_ones.pop()
            maker = makers.get(tensor)
            if maker is None or tensor in borders or int(maker["index"]) in taken:
                continue
            taken.add(int(maker["index"]))
            open_ones += [int(source) for source in maker["inputs"]]
    nodes: dict[str, list[str]] = {}
    for op in originals:
        name = XNNPACK if int(op["index"]) in taken else BUILT_IN
        nodes.setdefault(name, []).append(f"{op['op_name']} {int(op['index'])}")
    return counted(nodes, XNNPACK)
