"""What an exporter is, and the formats that there are: one ``register`` line adds one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hwnas.core.device import PRECISIONS
from hwnas.core.errors import ConfigError, UnknownNameError, UsageError
from hwnas.core.registry import Registry, require_known, suggest
from hwnas.core.result import Artifact
from hwnas.core.serial import sha256_file, write_atomic
from hwnas.export.graph import Graph
from hwnas.export.level import DEFAULT, OnnxLevel
from hwnas.export.ranges import RANGES

if TYPE_CHECKING:
    from torch import nn

Images = NDArray[np.float32]
Layout = Literal["NCHW", "NHWC"]
FORMAT_PRECISIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"onnx": ("fp32", "fp16", "int8"), "tflite": ("fp32", "fp16", "int8", "int8_dynamic"), "pt2": ("fp32", "fp16", "bf16")}
)
"""What each format is written in. ``fp16`` of TFLite is 16 bits a weight, computed in 32; ``int8_dynamic`` is 8 bits a weight, with
activations that the runtime scales as they come."""
EIGHT_BITS = ("int8", "int8_dynamic")

MIXED = "mixed"
"""The precision of an 8-bit file some layers of which stay float; no recipe asks for it."""
PAGE_RUNTIMES = ("onnxruntime-web", "onnxruntime-web-webgpu")
"""What runs in a browser: runtimes of their own, with times of their own."""
ONNX_RUNTIMES = ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", *PAGE_RUNTIMES)
"""What reads ONNX: one runtime a provider, since their times have nothing to do with one another."""
RUNTIME_FORMATS: Mapping[str, str] = MappingProxyType({"litert": "tflite", "torch-cuda": "pt2"} | dict.fromkeys(ONNX_RUNTIMES, "onnx"))
"""The file format that each runtime reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSpec:
    """How a network is written.

    ``input_shape (C, H, W)`` and ``batch`` say what it takes (a `Graph` knows that already); with ``dynamic_batch`` the file takes any
    number of images, and ``batch`` is 1. ``calibration (n, C, H, W) float32`` holds normalised images and is needed by int8. ``metadata``
    travels inside the file. ``timing_only`` is for models that are only timed: batch norm may be as initialised, and the slower checks of
    the format are left out. ``level`` is ONNX's. ``ranges`` is how int8 chooses what a tensor's 256 values stand for
    (`hwnas.export.ranges`); layers in ``kept_float`` (convolutions and linear layers of the graph, by name) stay as they are, which makes a
    file of the precision ``mixed``.
    """

    input_shape: tuple[int, int, int] | None = None
    batch: int = 1
    dynamic_batch: bool = False
    precision: str = "fp32"
    calibration: Images | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    arch_id: str = ""
    timing_only: bool = False
    level: OnnxLevel = DEFAULT
    ranges: str = "minmax"
    kept_float: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"cannot export precision '{self.precision}'; {suggest(self.precision, PRECISIONS)}")
        if self.precision == "int8" and (self.calibration is None or len(self.calibration) == 0):
            raise ConfigError("int8 needs calibration images: normalised, (n, C, H, W) float32")
        require_known("ranges", self.ranges, RANGES)
        if self.batch < 1:
            raise ConfigError(f"batch must be at least 1, not {self.batch}")
        if self.dynamic_batch and self.batch != 1:
            raise ConfigError(f"a file with a dynamic batch takes any number of images; leave out batch {self.batch}")


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a file: how many operations, how many of them only move data about, and the metadata that travel along."""

    nodes: int
    transposes: int
    metadata: Mapping[str, str]


class Exporter(Protocol):
    """Writes one file format and runs what it wrote; ``layout`` is that of the image which its files take."""

    format: str
    runtime: str
    layout: Layout

    def export(self, module: nn.Module | Graph, spec: ExportSpec, out: Path) -> Artifact:
        """Write ``module`` (static, in eval mode) or a graph to ``out``; the same input gives the same bytes."""
        ...

    def run(self, artifact: Artifact, images: Images) -> tuple[NDArray[np.float32], ...]:
        """``images (n, C, H, W)`` normalised -> one array a model output, ``(n, ...)``; feature maps are NCHW in every format.

        A file that is not the one of ``artifact.sha256``, or that is not safe to load, raises `VerificationError`.
        """
        ...

    def contents(self, artifact: Artifact) -> Contents:
        """What is in the file, without running it; raises as `run` does."""
        ...


EXPORTERS: Registry[Exporter] = Registry("export format")


def exporter_for(runtime: str) -> Exporter:
    """The exporter whose files ``runtime`` reads; an unknown runtime raises `UnknownNameError`."""
    try:
        return EXPORTERS.get(RUNTIME_FORMATS[runtime])
    except KeyError:
        raise UnknownNameError(f"unknown runtime '{runtime}'; {suggest(runtime, RUNTIME_FORMATS)}") from None


def precisions_of(form: str) -> tuple[str, ...]:
    """Which precisions the format ``form`` is written in."""
    return FORMAT_PRECISIONS[form]


def require_precision(form: str, precision: str) -> None:
    """Raise `ConfigError` where files of the format ``form`` are not written in ``precision``."""
    known = precisions_of(form)
    if precision not in known:
        raise ConfigError(f"format '{form}' is not written in {precision}; it is in {', '.join(known)}")


def parse_format(text: str) -> tuple[str, str]:
    """``onnx`` or ``onnx:fp16`` as format and precision; a name that is not known raises `UnknownNameError` or `ConfigError`."""
    form, _, precision = text.partition(":")
    require_known("format", form, FORMAT_PRECISIONS)
    require_precision(form, precision or "fp32")
    return form, precision or "fp32"


def file_name(form: str, precision: str, *, main: bool = False) -> str:
    """What a file is called: ``model.onnx``, ``model.fp16.onnx``; a ``main`` file is without its precision."""
    return f"model.{form}" if main or precision == "fp32" else f"model.{precision}.{form}"


def as_graph(module: nn.Module | Graph, spec: ExportSpec) -> Graph:
    """``module`` as a graph, by `hwnas.export.lower` unless it is one."""
    if isinstance(module, Graph):
        return module
    if spec.input_shape is None:
        raise ConfigError("ExportSpec.input_shape is needed to export a module")
    from hwnas.export.lower import lower

    return lower(module, spec.input_shape, batch=spec.batch, timing_only=spec.timing_only)


def loadable(artifact: Artifact, form: str) -> Path:
    """Where the file of ``artifact`` lies, after it was checked to be that file, of the format ``form`` and safe to load."""
    from hwnas.export.safety import check_artifact

    path = Path(artifact.path)
    check_artifact(path, sha256=artifact.sha256, form=form)
    return path


def store(data: bytes, spec: ExportSpec, out: Path, *, runtime: str) -> Artifact:
    """Write the bytes of a model to ``out``, all or nothing."""
    write_atomic(out, data)
    precision = MIXED if spec.kept_float and spec.precision == "int8" else spec.precision
    return Artifact(path=str(out), sha256=sha256_file(out), runtime=runtime, precision=precision, arch_id=spec.arch_id)


DYNAMIC_BATCH = 16
"""Images that are run at once where a file takes any number of them."""


def batches(images: Images, size: int) -> list[Images]:
    """``images (n, ...)`` cut into batches of ``size``, the last filled up by repeating its last image."""
    images = np.ascontiguousarray(images, dtype=np.float32)
    if len(images) == 0:
        raise UsageError("no images to run")
    missing = -len(images) % size
    padded = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]) if missing else images
    return [padded[i : i + size] for i in range(0, len(padded), size)]


def require(module: str, *, extra: str) -> Any:
    """Import an optional dependency; when it is missing, a `UsageError` that says which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(f"{module} is not installed; pip install 'hwnas[{extra}]'") from None
