"""Fitted predictors as files: JSON for what they are, npz for their arrays, both under one hash; never a pickle.

``<stem>.json`` says the kind, the meta (space, device, metric, ...) and every array's type and shape; ``<stem>.npz`` holds the arrays. The
same predictor gives the same bytes. Which kinds there are is the business of the packages that define them.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from hwnas.core.errors import PredictorError
from hwnas.core.serial import STRICT, canonical_json, parse, plain, read_json, write_atomic

Arrays = Mapping[str, NDArray[Any]]
VERSION = 1
_KINDS_OF_NUMBER = "biuf"
_REMEDY = "fit it again"


@dataclass(frozen=True, slots=True)
class StoredPredictor:
    """What a file holds: the kind, its meta as JSON knows it, and named arrays. ``where`` is the file, for errors."""

    kind: str
    meta: Mapping[str, Any]
    arrays: Arrays
    where: str = ""

    def require(self, kind: str, **expected: Any) -> None:
        """Raise `PredictorError` unless it is of this kind and its meta says what is expected (``space="…", device="pi4"``)."""
        if self.kind != kind:
            raise PredictorError(f"{self.where}: a predictor of kind '{self.kind}', not '{kind}'; {_REMEDY}")
        wrong = [f"{name} {self.meta.get(name)}, not {value}" for name, value in expected.items() if self.meta.get(name) != value]
        if wrong:
            raise PredictorError(f"{self.where}: the predictor is of {', '.join(wrong)}; {_REMEDY} for what is asked")

    def array(self, name: str, *, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
        """One array as float64, finite and of ``shape`` (None = any length); otherwise `PredictorError`."""
        if name not in self.arrays:
            raise PredictorError(f"{self.where}: array '{name}' is missing; {_REMEDY}")
        value = np.asarray(self.arrays[name], dtype=np.float64)
        fits = len(value.shape) == len(shape) and all(want in (None, have) for have, want in zip(value.shape, shape, strict=True))
        if not fits or not np.isfinite(value).all():
            raise PredictorError(f"{self.where}: array '{name}' has shape {value.shape} or values that are not finite; {_REMEDY}")
        return value


@dataclass(frozen=True, slots=True)
class _Spec:
    dtype: str
    shape: tuple[int, ...]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


@dataclass(frozen=True, slots=True)
class _File:
    version: Literal[1]
    sha256: str
    arrays_sha256: str
    kind: str
    meta: dict[str, Any]
    arrays: dict[str, _Spec]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


def save_predictor(path: Path, kind: str, meta: Mapping[str, Any], arrays: Arrays) -> None:
    """Write ``path`` (``….json``) and its arrays beside it. Arrays must hold numbers or booleans."""
    for name, value in arrays.items():
        if np.asarray(value).dtype.kind not in _KINDS_OF_NUMBER:
            raise PredictorError(f"{path}: array '{name}' is of type {np.asarray(value).dtype}; only numbers can be stored")
    raw = _pack(arrays)
    document: dict[str, Any] = {
        "version": VERSION,
        "arrays_sha256": hashlib.sha256(raw).hexdigest(),
        "kind": kind,
        "meta": plain(meta),
        "arrays": {name: {"dtype": arrays[name].dtype.str, "shape": list(arrays[name].shape)} for name in sorted(arrays)},
    }
    document["sha256"] = _content_hash(document)
    write_atomic(_arrays_path(path), raw)
    write_atomic(path, canonical_json(document) + "\n")


def load_predictor(path: Path) -> StoredPredictor:
    """What `save_predictor` wrote; a missing, torn or changed file raises `PredictorError`."""
    document = read_json(path, error=PredictorError)
    file = parse(_File, document, where=str(path), error=PredictorError)
    if file.sha256 != _content_hash(document):
        raise PredictorError(f"{path}: was changed after it was written (its sha256 does not fit); {_REMEDY}")
    beside = _arrays_path(path)
    try:
        raw = beside.read_bytes()
    except OSError as problem:
        raise PredictorError(f"{beside}: the arrays of {path.name} are not readable: {problem}; {_REMEDY}") from None
    if hashlib.sha256(raw).hexdigest() != file.arrays_sha256:
        raise PredictorError(f"{beside}: torn, or not the arrays that {path.name} was written with (sha256 differs); {_REMEDY}")
    arrays = _unpack(beside, raw)
    if {name: (value.dtype.str, value.shape) for name, value in arrays.items()} != {n: (s.dtype, s.shape) for n, s in file.arrays.items()}:
        raise PredictorError(f"{beside}: holds other arrays than {path.name} lists; {_REMEDY}")
    return StoredPredictor(file.kind, file.meta, arrays, str(path))


def _arrays_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".json") + ".npz")


def _content_hash(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json({k: v for k, v in document.items() if k != "sha256"}).encode()).hexdigest()


def _pack(arrays: Arrays) -> bytes:
    # written entry by entry, because a zip entry's date and order must not depend on the clock or on the caller
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.asarray(arrays[name], order="C"), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue())
    return out.getvalue()


def _unpack(path: Path, raw: bytes) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as problem:
        raise PredictorError(f"{path}: not readable as npz: {problem}; {_REMEDY}") from None
