"""An ``.npz`` of uint8 images and integer labels.

Two layouts, K classes:

- ``images`` and ``labels``, and perhaps ``split`` (N,): 0, 1, 2 or "train", "val", "test" for every image. Without it hwnas splits.
- ``train_images``, ``train_labels``, ``val_images``, ``val_labels``, ``test_images``, ``test_labels``.

Images are ``(N, H, W)``, ``(N, H, W, 1)`` or ``(N, H, W, 3)`` uint8, labels ``(N,)`` integers from 0 to K - 1. ``class_names``, ``(K,)``
strings, is optional; without it classes are called "0", "1" and so on. Arrays whose names end in ``source`` may say where the images came
from and are not read; any other key is refused, and so are pickled arrays.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import DataError
from hwnas.core.registry import suggest
from hwnas.data.collection import PARTS, ArrayPixels, Collection, Labels
from hwnas.data.images import Pixels8

ONE = ("images", "labels")
THREE = tuple(f"{part}_{kind}" for part in PARTS for kind in ONE)
KNOWN = {*ONE, *THREE, "split", "class_names"}
Arrays = Mapping[str, NDArray[Any]]


def read_npz(path: Path, *, max_bytes: int) -> Collection:
    """The images in ``path`` as a collection; raises `DataError` naming the file and the array that cannot be used."""
    arrays = _load(path, max_bytes=max_bytes)
    if any(name in arrays for name in THREE):
        images, labels, names, split = _three(path, arrays)
    else:
        images, labels, names, split = _one(path, arrays)
    return Collection(
        where=str(path),
        class_names=_class_names(path, arrays, labels),
        labels=labels,
        digests=tuple(hashlib.sha256(image.tobytes()).hexdigest() for image in images),
        pixels=ArrayPixels(images, names),
        split=split,
    )


def _load(path: Path, *, max_bytes: int) -> dict[str, NDArray[Any]]:
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path}: not an npz file (or a torn one); write it with numpy.savez_compressed")
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
        if total > max_bytes:
            raise DataError(f"{path}: unpacks to {total:,} bytes, more than {max_bytes:,}; use a folder of images instead")
        with np.load(path, allow_pickle=False) as file:
            names = [name for name in file.files if not name.endswith("source")]
            for name in names:
                if name not in KNOWN:
                    raise DataError(f"{path}: unknown array '{name}'; {suggest(name, KNOWN)}")
            arrays = {name: file[name] for name in names}
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        NotImplementedError,
        MemoryError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise DataError(f"{path}: not readable as npz: {reason}") from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member that is no array comes back as bytes
            raise DataError(f"{path}: '{name}' is not an array")
    return arrays


def _get(path: Path, arrays: Arrays, name: str) -> NDArray[Any]:
    if name not in arrays:
        raise DataError(f"{path}: no array '{name}'; an npz has {', '.join(ONE)} or {', '.join(THREE)}")
    return arrays[name]


def _one(path: Path, arrays: Arrays) -> tuple[Pixels8, Labels, tuple[str, ...], Labels | None]:
    images, labels = _pair(path, arrays, "images", "labels")
    names = tuple(f"{path}: images[{i}]" for i in range(len(images)))
    return images, labels, names, _split(path, arrays["split"], len(images)) if "split" in arrays else None


def _three(path: Path, arrays: Arrays) -> tuple[Pixels8, Labels, tuple[str, ...], Labels | None]:
    for name in (*ONE, "split"):
        if name in arrays:
            raise DataError(f"{path}: has '{name}' beside arrays of parts; keep one of the two layouts")
    pairs = [_pair(path, arrays, f"{part}_images", f"{part}_labels") for part in PARTS]
    shape = pairs[0][0].shape[1:]
    for part, (images, _) in zip(PARTS, pairs, strict=True):
        if images.shape[1:] != shape:
            raise DataError(f"{path}: '{part}_images' has images of shape {images.shape[1:]}, 'train_images' of {shape}")
    names = tuple(f"{path}: {part}_images[{i}]" for part, (images, _) in zip(PARTS, pairs, strict=True) for i in range(len(images)))
    split = np.repeat(np.arange(len(PARTS)), [len(labels) for _, labels in pairs]).astype(np.int64)
    return np.concatenate([images for images, _ in pairs]), np.concatenate([labels for _, labels in pairs]), names, split


def _pair(path: Path, arrays: Arrays, images_name: str, labels_name: str) -> tuple[Pixels8, Labels]:
    """Checked images ``(n, H, W, C) uint8`` and labels ``(n,) int64``."""
    images, labels = _get(path, arrays, images_name), _get(path, arrays, labels_name)
    if images.dtype != np.uint8:
        raise DataError(f"{path}: '{images_name}' is {images.dtype}{_nan(images)}; images are uint8, 0 to 255")
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)) or 0 in images.shape:
        hint = "; channels come last" if images.ndim == 4 and images.shape[1] in (1, 3) else ""
        raise DataError(f"{path}: '{images_name}' has shape {images.shape}; images are (N, H, W), (N, H, W, 1) or (N, H, W, 3){hint}")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{path}: '{labels_name}' is {labels.dtype}{_nan(labels)}; labels are integers from 0")
    if labels.shape != (len(images),):
        raise DataError(f"{path}: '{labels_name}' has shape {labels.shape}; one label for each of the {len(images)} images is needed")
    if int(labels.min()) < 0 or int(labels.max()) >= 2**31:
        at = int(np.flatnonzero((labels < 0) | (labels >= 2**31))[0])
        raise DataError(f"{path}: {labels_name}[{at}] is {labels[at]}; labels are integers from 0")
    return images[:, :, :, None] if images.ndim == 3 else images, labels.astype(np.int64)


def _nan(array: NDArray[Any]) -> str:
    return " with NaN" if array.dtype.kind == "f" and bool(np.isnan(array).any()) else ""


def _split(path: Path, split: NDArray[Any], n: int) -> Labels:
    if split.shape != (n,):
        raise DataError(f"{path}: 'split' has shape {split.shape}; one entry for each of the {n} images is needed")
    known = {name: position for position, name in enumerate(PARTS)} if split.dtype.kind == "U" else {i: i for i in range(len(PARTS))}
    values = split.tolist()
    if split.dtype.kind not in "Uiu" or not set(values) <= set(known):
        raise DataError(f"{path}: 'split' holds something else than 0, 1, 2 or {', '.join(PARTS)}")
    return np.array([known[value] for value in values], dtype=np.int64)


def _class_names(path: Path, arrays: Arrays, labels: Labels) -> tuple[str, ...]:
    top = int(labels.max())
    if "class_names" not in arrays:
        present = np.unique(labels)
        if len(present) <= top:  # before a label of a billion becomes as many names
            gap = int(np.flatnonzero(present != np.arange(len(present)))[0])
            raise DataError(f"{path}: labels go up to {top} but none is {gap}; number classes from 0 without gaps")
        return tuple(str(label) for label in range(top + 1))
    names = arrays["class_names"]
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(f"{path}: 'class_names' is {names.dtype} of shape {names.shape}; a row of strings is needed")
    given = tuple(str(name) for name in names)
    if len(set(given)) != len(given) or not all(name.strip() for name in given):
        raise DataError(f"{path}: 'class_names' has an empty name or one twice")
    if top >= len(given):
        at = int(np.flatnonzero(labels >= len(given))[0])
        raise DataError(f"{path}: label {labels[at]} of image {at} is out of range; 'class_names' has {len(given)} names")
    return given
