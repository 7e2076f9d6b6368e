"""The inference runtimes that a device may have, by name. Each name is a target of its own: their times are never mixed."""

from __future__ import annotations

from functools import partial
from typing import Callable

from hwnas_agent.runtime import IMPORT_ERRORS, Found, Runtime, RuntimeUnusable
from hwnas_agent.runtime_litert import litert
from hwnas_agent.runtime_onnx import PROVIDERS, onnx_limits, onnxruntime
from hwnas_agent.runtime_torch import torch_on

RUNTIMES: dict[str, Callable[[], Runtime]] = {
    **{name: partial(onnxruntime, name) for name in PROVIDERS},
    "litert": litert,
    "torch-cuda": torch_on,
}


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
    max_ir, max_opset = onnx_limits(version) if name in PROVIDERS else (None, None)
    return Found(version, None, max_ir, max_opset)
