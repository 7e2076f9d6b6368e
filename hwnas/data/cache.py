"""Resized images on disk: one ``.npy`` file a part and resolution, written whole or not at all, read through a memory map.

File names hold the content they stand for, so that a stale file cannot be read for another data set. The folder may be deleted at any time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from hwnas.core.errors import DataError
from hwnas.data.images import Pixels8


def cached(path: Path, shape: tuple[int, ...], make: Callable[[], Iterable[Pixels8]]) -> Pixels8:
    """The array in ``path``, memory-mapped and read-only; made and written first where it is missing, torn or of another shape.

    ``make`` yields the rows, each ``shape[1:]`` uint8; at most a few of them are in memory at a time.
    """
    found = _open(path, shape)
    if found is not None:
        return found
    _write(path, shape, make())
    written = _open(path, shape)
    if written is None:
        raise DataError(f"{path}: was written but cannot be read back; check the disk")
    return written


def _open(path: Path, shape: tuple[int, ...]) -> Pixels8 | None:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.shape == shape else None


def _write(path: Path, shape: tuple[int, ...], rows: Iterable[Pixels8]) -> None:
    # plain writes, not a writable map: on a full disk a map ends in a bus error, a write in an exception
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as problem:
        raise DataError(f"{path}: cannot be written: {problem.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for row in rows:
                file.write(row.tobytes())
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as problem:
        Path(name).unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written: {problem.strerror}") from None
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
