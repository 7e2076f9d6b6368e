"""The inference runtimes that a device may have, each brought to the same shape: load a file, get a callable that runs it once.

onnxruntime runs on its CPU provider through an IO binding (fixed inputs and outputs, so a call copies nothing); LiteRT runs through
``ai_edge_litert`` or, where a board has only that, ``tflite_runtime``. Inputs are random, fixed by a seed, in the model's own shapes and
types.
"""

from __future__ import annotations

import importlib
import re
from typing import Any, Callable, NamedTuple, Sequence

Run = Callable[[], object]

# What a broken installation raises on import: a missing library, numpy 2 under tflite_runtime (SystemError), a foreign ABI.
IMPORT_ERRORS = (ImportError, OSError, RuntimeError, SystemError, AttributeError, ValueError)


class RuntimeUnusable(Exception):
    """A runtime that is not here, does not import, or does not run where it was asked to."""


class ModelUnusable(Exception):
    """A model that the runtime does not load or run."""


class Found(NamedTuple):
    """A runtime as found on this device; ``reason`` says why ``version`` is absent."""

    version: str | None
    reason: str | None
    max_ir: int | None = None
    max_opset: int | None = None


class Runtime(NamedTuple):
    """A runtime that is ready: its version, what executes the models, and how a file becomes a callable."""

    version: str
    provider: str
    load: Callable[[str, int, int], Run]


# Oldest onnxruntime that reads an (IR, opset); from the releases' notes, on the safe side.
_ONNX_READS = (((1, 19), (10, 21)), ((1, 10), (8, 15)), ((1, 7), (7, 12)))


def onnx_limits(version: str) -> tuple[int | None, int | None]:
    """Newest ONNX IR and opset that this onnxruntime surely reads; ``(None, None)`` where that is not known."""
    match = re.match(r"(\d+)\.(\d+)", version)
    if match is not None:
        for oldest, limits in _ONNX_READS:
            if (int(match.group(1)), int(match.group(2))) >= oldest:
                return limits
    return None, None


def random_input(shape: Sequence[Any], dtype: str, seed: int) -> Any:
    """A fixed input: normal for floats, uniform over the range of 8-bit integers, small for others. Unknown dimensions are 1."""
    np = importlib.import_module("numpy")

    size = [d if isinstance(d, int) and d > 0 else 1 for d in shape]
    rng = np.random.RandomState(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.standard_normal(size).astype(kind)
    if kind.kind == "b":
        return rng.randint(0, 2, size=size).astype(kind)
    low, high = (np.iinfo(kind).min, np.iinfo(kind).max) if kind.itemsize == 1 else (0, 2)
    return rng.randint(low, high + 1, size=size).astype(kind)


_ONNX_TYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "int8": "int8",
    "uint8": "uint8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "bool": "bool",
}
_CPU = "CPUExecutionProvider"


def _onnxruntime() -> Runtime:
    ort = importlib.import_module("onnxruntime")

    def load(path: str, threads: int, seed: int) -> Run:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        # Many models are loaded at once: threads that spin after their run would slow down the next model.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = ort.InferenceSession(path, options, providers=[_CPU])
        if session.get_providers() != [_CPU]:
            raise RuntimeUnusable(f"onnxruntime took {session.get_providers()} instead of {_CPU}")
        binding = session.io_binding()
        inputs = []
        for offset, slot in enumerate(session.get_inputs()):
            word = slot.type[len("tensor(") : -1]
            if word not in _ONNX_TYPES:
                raise ModelUnusable(f"input '{slot.name}' is of type {slot.type}, which the agent cannot fill")
            inputs.append(random_input(slot.shape, _ONNX_TYPES[word], seed + offset))
            binding.bind_ortvalue_input(slot.name, ort.OrtValue.ortvalue_from_numpy(inputs[-1]))
        for slot in session.get_outputs():
            binding.bind_output(slot.name, "cpu")
        return _bound(session.run_with_iobinding, binding, inputs)

    return Runtime(str(ort.__version__), _CPU, load)


def _bound(run: Callable[[Any], object], binding: Any, inputs: list[Any]) -> Run:
    """A call that keeps ``inputs`` alive: a binding borrows their memory, and what comes there later (denormals) may cost 20 times."""

    def call(*, _kept: list[Any] = inputs) -> object:
        return run(binding)

    return call


def _litert_module() -> tuple[Any, str]:
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


def _litert() -> Runtime:
    module, version = _litert_module()

    def load(path: str, threads: int, seed: int) -> Run:
        interpreter = module.Interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
        for offset, slot in enumerate(interpreter.get_input_details()):
            interpreter.set_tensor(slot["index"], random_input(slot["shape"].tolist(), slot["dtype"], seed + offset))
        invoke: Run = interpreter.invoke
        return invoke

    return Runtime(version, "XNNPACK", load)


RUNTIMES: dict[str, Callable[[], Runtime]] = {"onnxruntime": _onnxruntime, "litert": _litert}


def open_runtime(name: str) -> Runtime:
    """The runtime ``name``; one that is unknown or does not import raises `RuntimeUnusable`."""
    if name not in RUNTIMES:
        raise RuntimeUnusable("this agent has no runtime '{}'; it has {}".format(name, ", ".join(sorted(RUNTIMES))))
    try:
        return RUNTIMES[name]()
    except IMPORT_ERRORS as problem:
        raise RuntimeUnusable(f"{name} does not import: {problem}") from None


def find_runtime(name: str) -> Found:
    """Whether the runtime is here, which version, and what it reads."""
    try:
        version = open_runtime(name).version
    except RuntimeUnusable as problem:
        return Found(None, str(problem)[:600])
    max_ir, max_opset = onnx_limits(version) if name == "onnxruntime" else (None, None)
    return Found(version, None, max_ir, max_opset)
