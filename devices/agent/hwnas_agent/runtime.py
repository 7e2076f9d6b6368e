"""What an inference runtime is to the agent: a file is loaded and becomes a callable that runs it once.

The call returns when the result is there, so that the clock around it shows the device's time. A runtime whose device works on by itself
either waits within the call (onnxruntime on CUDA) or brings a clock of its own that waits (torch on CUDA). Inputs are random, fixed by a
seed, in the model's own shapes and types.
"""

from __future__ import annotations

import importlib
from typing import Any, Callable, NamedTuple, Sequence

from hwnas_agent.wire import printable

Run = Callable[[], object]

# What a broken installation raises on import: a missing library, numpy 2 under tflite_runtime (SystemError), a foreign ABI.
IMPORT_ERRORS = (ImportError, OSError, RuntimeError, SystemError, AttributeError, ValueError)


class RuntimeUnusable(Exception):
    """A runtime that is not here, does not import, or does not run where it was asked to."""


class ModelUnusable(Exception):
    """A model that the runtime does not load or run."""


class Execution(NamedTuple):
    """What really runs a model: ``by`` whom, how many of its nodes ``fallbacks`` left to something slower, and a ``note``.

    The note names those nodes, or says why it is not known. What is not known is None, never zero.
    """

    by: str | None
    fallbacks: int | None
    note: str | None = None


class Loaded(NamedTuple):
    """A model, ready to be run, and what tells who runs it: asked later, since it takes time that is not the model's."""

    run: Run
    tell: Callable[[], Execution]


UNTOLD = Execution(None, None, "the runtime does not tell")
"""What is known of a model whose runtime gives the bare `Run`."""


def told(made: Run | Loaded) -> tuple[Run, Callable[[], Execution]]:
    """A model's `Run`, and what tells who runs it: unknown, with the reason, where the telling fails."""
    if not isinstance(made, Loaded):
        return made, lambda: UNTOLD

    def tell() -> Execution:
        try:
            return made.tell()
        except Exception as problem:  # noqa: BLE001 - runtimes raise classes of their own; the model runs all the same
            return Execution(None, None, printable(f"the runtime does not tell: {type(problem).__name__}: {problem}", 240))

    return made.run, tell


class Found(NamedTuple):
    """A runtime as found on this device; ``reason`` says why ``version`` is absent."""

    version: str | None
    reason: str | None
    max_ir: int | None = None
    max_opset: int | None = None


class Runtime(NamedTuple):
    """A runtime that is ready: its version, what executes the models, and how a file becomes a callable (path, threads, seed).

    ``clock`` gives the nanoseconds by which its calls are timed, where those of this process are not the right ones.
    """

    version: str
    provider: str
    load: Callable[[str, int, int], Run | Loaded]
    clock: Callable[[], int] | None = None


def counted(nodes: dict[str, list[str]], wanted: str) -> Execution:
    """An execution from the names of the nodes that each executor runs, ``wanted`` being the one that was asked for."""
    order = sorted(nodes, key=lambda name: (name != wanted, name))
    others = [f"{node} on {name}" for name in order if name != wanted for node in nodes[name]]
    by = ", ".join(f"{name} {len(nodes[name])}" for name in order)
    shown = ", ".join(others[:4]) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
    return Execution(printable(by, 100), len(others), printable(shown, 240) or None)


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
