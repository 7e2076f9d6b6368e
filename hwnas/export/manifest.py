"""``manifest.json``: what was exported, from what, how well it does, and the SHA-256 of every file beside it.

The file is canonical: sorted keys, two blanks of indent, one trailing newline, and under ``sha256`` the hash of all that it says. A changed
byte, in the manifest or in a file that it lists, is found by `check_manifest`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from pydantic import ConfigDict

import hwnas
from hwnas.core.device import PRECISIONS, QUANTILES, REGIMES, Fact
from hwnas.core.errors import UsageError, VerificationError
from hwnas.core.registry import require_known
from hwnas.core.serial import STRICT, canonical_json, parse, plain, read_json, sha256_file, write_atomic
from hwnas.export.exporter import RUNTIME_FORMATS
from hwnas.export.verify import Parity

SCHEMA = 1
TOOLS = ("numpy", "torch", "onnx", "onnxruntime", "ai-edge-litert", "ai-edge-quantizer")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the folder that the manifest lies in; ``path`` is relative to it, with forward slashes."""

    path: str
    sha256: str
    size_bytes: int

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """Predicted and measured latency of the exported file on one device; what is unknown is None.

    ``anchored_error`` is by what share the measured time may be off because the device was busy and the time was brought to ``regime`` by
    networks of the latency table; it is in the interval. None for a file that was timed in ``regime`` itself.
    """

    device: str
    runtime: str
    threads: int
    statistic: str
    regime: str
    budget_ms: float | None = None
    predicted_ms: float | None = None
    predicted_hi_ms: float | None = None
    measured_ms: float | None = None
    measured_ci_ms: tuple[float, float] | None = None
    measured_typical_ms: float | None = None
    anchored_error: float | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        require_known("runtime", self.runtime, RUNTIME_FORMATS)
        require_known("statistic", self.statistic, QUANTILES)
        require_known("regime", self.regime, REGIMES)


@dataclass(frozen=True, slots=True)
class Attempted:
    """A candidate that was measured for the same budget, whether it came to fit or not, in the order of trying."""

    arch_id: str
    predicted_ms: float
    measured_ms: float
    measured_ci_ms: tuple[float, float]
    fits: bool

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True, slots=True)
class Int8Figures:
    """The 8-bit file of the same subnet: how well it does, and why it does not ship, if so; times not taken are None.

    ``precision`` is ``mixed`` where the layers in ``kept_float`` are not of 8 bits.
    """

    accuracy_val: float
    accuracy_test: float
    top1_agreement: float
    measured_ms: float | None
    measured_ci_ms: tuple[float, float] | None
    measured_typical_ms: float | None
    size_bytes: int
    ships: bool
    reasons: tuple[str, ...] = ()
    precision: str = "int8"
    kept_float: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """One model file of the folder: what runs it, how its logits compare with the subnet's, and how lean it is.

    ``nodes`` are operations of the graph, ``transposes`` those of them that only move data. The 8-bit file beside a float one is compared
    with that one. ``accuracy_val`` is the file's own, a share.
    """

    path: str
    runtime: str
    precision: str
    nodes: int
    transposes: int
    parity: Parity
    accuracy_val: float

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        require_known("runtime", self.runtime, RUNTIME_FORMATS)
        require_known("precision", self.precision, PRECISIONS)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a reader of an artifact folder needs. ``table`` names the latency table that was used, by file name and content hash.

    ``models`` are the model files among ``files``, the one that all other figures are of first.

    ``latency`` is None for files that no device has timed. ``device_drift`` is by what share the device was slower than when its table was
    made (0.02 is 2 %); None when that is unknown.
    """

    name: str
    precision: str
    verdict: str
    arch_id: str
    architecture: Mapping[str, int | float | str]
    space: Mapping[str, str]
    dataset: Mapping[str, Fact]
    metrics: Mapping[str, float]
    latency: LatencyFigures | None
    parity: Parity
    files: tuple[FileEntry, ...]
    models: tuple[ModelFigures, ...] = ()
    table: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    attempts: tuple[Attempted, ...] = ()
    int8: Int8Figures | None = None
    device_drift: float | None = None
    schema: int = SCHEMA

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        require_known("precision", self.precision, PRECISIONS)


def tool_versions() -> dict[str, str]:
    """Versions of what the export depends on, by package name; what is not installed is absent."""
    versions = {"python": platform.python_version(), "hwnas": hwnas.__version__}
    for name in TOOLS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def describe_files(folder: Path, paths: Iterable[Path]) -> tuple[FileEntry, ...]:
    """Entries of files inside ``folder``, sorted; a path outside of it raises ``ValueError``."""
    entries = [FileEntry(path.relative_to(folder).as_posix(), sha256_file(path), path.stat().st_size) for path in paths]
    return tuple(sorted(entries, key=lambda entry: entry.path))


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write ``manifest`` to ``path``; NaN or infinity in it raise `UsageError`."""
    try:
        write_atomic(path, _render(plain(manifest)))
    except ValueError:
        raise UsageError(f"{path}: a manifest cannot hold NaN or infinity; leave out what is not known") from None


def check_manifest(path: Path) -> Manifest:
    """The manifest at ``path``, after every byte of it and of the files that it lists was checked; a change raises `VerificationError`."""
    raw = read_json(path, error=VerificationError)
    stated = raw.pop("sha256", None) if isinstance(raw, dict) else None
    if stated is None or path.read_bytes() != _render(raw).encode():
        raise VerificationError(f"{path}: was changed after it was written; export again")
    manifest = parse(Manifest, raw, where=str(path), error=VerificationError)
    for entry in manifest.files:
        _check_entry(path.parent, entry)
    return manifest


def _check_entry(folder: Path, entry: FileEntry) -> None:
    relative = PurePosixPath(entry.path)
    if relative.is_absolute() or ".." in relative.parts:
        raise VerificationError(f"{folder}: the manifest lists '{entry.path}', which lies outside of the folder")
    path = folder / relative
    if not path.is_file():
        raise VerificationError(f"{path}: is listed in the manifest but missing; export again")
    if path.stat().st_size != entry.size_bytes or sha256_file(path) != entry.sha256:
        raise VerificationError(f"{path}: was changed after it was exported (its SHA-256 is another); export it again")


def _render(fields: dict[str, Any]) -> str:
    digest = hashlib.sha256(canonical_json(fields).encode()).hexdigest()
    return json.dumps({**fields, "sha256": digest}, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
