"""onnxruntime, on one provider: the CPU's, CUDA's or TensorRT's, each a runtime of its own name.

A session keeps its inputs and outputs on its device through an IO binding, so that a call copies nothing. onnxruntime takes the CPU in
silence where a provider does not load, and for single nodes that a provider lacks: which provider the session has is looked at after it
was made, another one is an error, and nodes that other providers run are told with the model.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from hwnas_agent.runtime import Execution, Loaded, ModelUnusable, Run, Runtime, RuntimeUnusable, counted, random_input

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"


class Provider(NamedTuple):
    """What a runtime asks of onnxruntime: providers in order, the first of which has to run the models, and where tensors are kept."""

    wanted: tuple[str, ...]
    place: str


PROVIDERS = {
    "onnxruntime": Provider((CPU,), "cpu"),
    "onnxruntime-cuda": Provider((CUDA,), "cuda"),
    "onnxruntime-tensorrt": Provider((TENSORRT, CUDA), "cuda"),
}

# Oldest onnxruntime that reads an (IR, opset); from the releases' notes, on the safe side.
_READS = (((1, 19), (10, 21)), ((1, 10), (8, 15)), ((1, 7), (7, 12)))

_TYPES = {
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


def onnx_limits(version: str) -> tuple[int | None, int | None]:
    """Newest ONNX IR and opset that this onnxruntime surely reads; ``(None, None)`` where that is not known."""
    match = re.match(r"(\d+)\.(\d+)", version)
    if match is not None:
        for oldest, limits in _READS:
            if (int(match.group(1)), int(match.group(2))) >= oldest:
                return limits
    return None, None


def onnxruntime(name: str) -> Runtime:
    """The runtime ``name`` of `PROVIDERS`; `RuntimeUnusable` where this onnxruntime was built without its provider."""
    ort = importlib.import_module("onnxruntime")
    provider = PROVIDERS[name]
    if provider.wanted[0] != CPU and provider.wanted[0] not in ort.get_available_providers():
        raise RuntimeUnusable(
            f"{name}: this onnxruntime {ort.__version__} has no {provider.wanted[0]}, only {', '.join(ort.get_available_providers())}; "
            "install the onnxruntime build for this device (onnxruntime-gpu)"
        )

    def load(path: str, threads: int, seed: int) -> Loaded:
        session = _session(ort, path, threads, provider)
        _require(name, provider.wanted[0], session.get_providers())
        run = _bound(ort, session, provider.place, seed)
        return Loaded(run, lambda: _execution(ort, session, path, threads, provider, seed))

    return Runtime(str(ort.__version__), provider.wanted[0], load)


def _session(ort: Any, path: str, threads: int, provider: Provider, profile: str | None = None) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    # Many models are loaded at once: threads that spin after their run would slow down the next model.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    keywords = {}
    if provider.wanted != (CPU,):
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        # a provider that does not load then says why; releases before 1.8 take no such word, later ones may not know it and fall back
        if any(slot.kind is slot.VAR_KEYWORD for slot in inspect.signature(ort.InferenceSession).parameters.values()):
            keywords["enable_fallback"] = 0
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    with warnings.catch_warnings():
        # a provider that is left out is warned of here and found out below
        warnings.simplefilter("ignore")
        return ort.InferenceSession(path, options, providers=list(provider.wanted), **keywords)


def _require(name: str, wanted: str, got: list[str]) -> None:
    if not got or got[0] != wanted:
        raise RuntimeUnusable(
            f"{name}: onnxruntime runs the model on {', '.join(got)} instead of {wanted}: the provider did not load; "
            "its last words are in the agent's standard error (a missing CUDA, cuDNN or TensorRT library, or no device)"
        )


def _bound(ort: Any, session: Any, place: str, seed: int) -> Run:
    binding = session.io_binding()
    kept = []
    for offset, slot in enumerate(session.get_inputs()):
        word = slot.type[len("tensor(") : -1]
        if word not in _TYPES:
            raise ModelUnusable(f"input '{slot.name}' is of type {slot.type}, which the agent cannot fill")
        array = random_input(slot.shape, _TYPES[word], seed + offset)
        value = ort.OrtValue.ortvalue_from_numpy(array, place, 0)
        binding.bind_ortvalue_input(slot.name, value)
        kept += [array, value]
    for slot in session.get_outputs():
        binding.bind_output(slot.name, place)
    return caller(session.run_with_iobinding, binding, kept, waits=place != "cpu")


def caller(run: Any, binding: Any, kept: list[Any], *, waits: bool = False) -> Run:
    """A call that keeps the inputs alive: a binding borrows their memory, and what comes there later (denormals) may cost 20 times.

    With ``waits`` it returns when the device has the outputs.
    """

    def call(*, _kept: list[Any] = kept) -> object:
        return run(binding)

    def waiting(*, _kept: list[Any] = kept) -> object:
        run(binding)
        return binding.synchronize_outputs()

    return waiting if waits else call


def _execution(ort: Any, session: Any, path: str, threads: int, provider: Provider, seed: int) -> Execution:
    """Which providers run the nodes: as the session tells it, or, before onnxruntime does, as a profile of one run shows it."""
    if provider.wanted == (CPU,):
        return Execution(CPU, 0)
    if hasattr(session, "get_provider_graph_assignment_info"):
        nodes: dict[str, list[str]] = {}
        for part in session.get_provider_graph_assignment_info():
            nodes.setdefault(part.ep_name, []).extend(f"{node.op_type} {node.name}" for node in part.get_nodes())
    else:
        nodes = _profiled(ort, path, threads, provider, seed)
    return counted(nodes, provider.wanted[0])


def _profiled(ort: Any, path: str, threads: int, provider: Provider, seed: int) -> dict[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        session = _session(ort, path, threads, provider, str(Path(folder) / "profile"))
        _bound(ort, session, provider.place, seed)()
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes: dict[str, list[str]] = {}
    for event in events:
        told = event.get("args", {})
        if event.get("cat") == "Node" and told.get("provider") and event.get("name", "").endswith("_kernel_time"):
            nodes.setdefault(told["provider"], []).append(f"{told.get('op_name', '')} {event['name'][: -len('_kernel_time')]}".strip())
    return nodes
