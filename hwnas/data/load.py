"""One line of configuration to a data set: a built-in name, a folder of class folders, or an npz file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict

from hwnas.core.errors import DataError
from hwnas.core.registry import Registry, suggest
from hwnas.core.serial import STRICT, canonical_json, content_id, parse, read_json, write_atomic
from hwnas.data.arrays import read_npz
from hwnas.data.collection import PARTS, Collection, Labels
from hwnas.data.dataset import Dataset, Part
from hwnas.data.folder import read_folder
from hwnas.data.images import pillow_version
from hwnas.data.preprocessing import mean_and_std
from hwnas.data.split import split

BUILT_IN: Registry[Path] = Registry("data set")
BUILT_IN.register("fashion-mnist", Path(__file__).resolve().parent.parent / "assets" / "fashion_mnist.npz")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read. ``train``, ``val``, ``test``: at most so many images, a stratified sample (None = all).

    ``max_pixels`` of one image file and ``max_bytes`` of an unpacked npz file bound memory against hostile or mistaken input.
    """

    train: int | None = None
    val: int | None = None
    test: int | None = None
    max_pixels: int = 80_000_000
    max_bytes: int = 16_000_000_000

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        for name in (*PARTS, "max_pixels", "max_bytes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f"limit '{name}' must be at least 1, not {value}")


@dataclass(frozen=True, slots=True)
class _Facts:
    """What reading every image told, kept beside the cached images so that files are decoded for it only once."""

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT


def load_dataset(source: str, *, root: Path, seed: int, cache: Path | None = None, limits: Limits | None = None) -> Dataset:
    """The data set that ``source`` names, read whole, checked, and split by ``seed`` unless it comes with parts.

    ``source`` is a built-in name (``fashion-mnist``), a folder (layouts: `hwnas.data.folder`) or an ``.npz`` file (layouts:
    `hwnas.data.arrays`); paths are relative to ``root``, the workspace. A built-in name goes first: write ``./fashion-mnist`` for a folder
    called so. ``cache`` is a folder for resized images; nothing is written there before all of the input has passed.

    Raises `DataError` in one line that names the file: missing or unreadable source, no images, a corrupt or truncated image, images of
    mixed channels, fewer than two classes, a class too small to split or absent from a part, the same image in two parts or classes.
    """
    limits = limits or Limits()
    collection = _read(source, root=root, limits=limits)
    positions = _limited(collection, split(collection, seed=seed), limits)
    dataset_id = _content(collection, positions)
    parts = {}
    for name, members in zip(PARTS, positions, strict=True):
        labels = collection.labels[members]
        labels.setflags(write=False)
        parts[name] = Part(labels, collection.pixels.take(members))
    facts = _facts(collection.where, dataset_id, parts, cache=cache)
    return Dataset(
        name=source,
        id=dataset_id,
        class_names=collection.class_names,
        channels=facts.channels,
        mean=facts.mean,
        std=facts.std,
        parts=MappingProxyType(parts),
        cache=cache,
    )


def _read(source: str, *, root: Path, limits: Limits) -> Collection:
    if source in BUILT_IN:
        return read_npz(BUILT_IN.get(source), max_bytes=limits.max_bytes)
    if not source.strip() or "\0" in source:
        raise DataError(f"data set {source!r}: expected a built-in name ({', '.join(BUILT_IN)}), a folder or an .npz file")
    path = root / Path(source)
    try:
        path.stat()
    except FileNotFoundError:
        if "/" in source or "\\" in source or path.suffix:
            raise DataError(f"{path}: no such folder or .npz file; built-in data sets: {', '.join(BUILT_IN)}") from None
        raise DataError(f"unknown data set '{source}', and there is no folder {path}; {suggest(source, BUILT_IN)}") from None
    except OSError as problem:
        raise DataError(f"{path}: cannot be read: {problem.strerror}") from None
    if path.is_dir():
        return read_folder(path, max_pixels=limits.max_pixels)
    if path.suffix.lower() != ".npz":
        raise DataError(f"{path}: neither a folder nor an .npz file")
    return read_npz(path, max_bytes=limits.max_bytes)


def _limited(collection: Collection, positions: tuple[Labels, ...], limits: Limits) -> tuple[Labels, ...]:
    kept = []
    for name, members in zip(PARTS, positions, strict=True):
        limit = getattr(limits, name)
        part = members if limit is None else members[:limit]
        if len(np.unique(collection.labels[part])) < len(collection.class_names):
            raise DataError(f"{collection.where}: a limit of {limit} images leaves classes out of part '{name}'; raise it")
        kept.append(part)
    return tuple(kept)


def _content(collection: Collection, positions: tuple[Labels, ...]) -> str:
    parts = {}
    for name, members in zip(PARTS, positions, strict=True):
        digest = hashlib.sha256(collection.labels[members].astype("<i8").tobytes())
        for position in members:
            digest.update(collection.digests[position].encode())
        parts[name] = digest.hexdigest()
    return content_id([collection.class_names, parts])


def _facts(where: str, dataset_id: str, parts: dict[str, Part], *, cache: Path | None) -> _Facts:
    if cache is None:
        return _survey(where, parts)
    path = cache / f"{dataset_id}-{content_id([1, pillow_version()])}.json"
    if path.is_file():
        try:
            return parse(_Facts, read_json(path, error=DataError), where=str(path), error=DataError)
        except DataError:
            pass  # a damaged note is made anew
    facts = _survey(where, parts)
    try:
        write_atomic(path, canonical_json(facts) + "\n")
    except OSError as problem:
        raise DataError(f"{path}: cannot be written: {problem.strerror}") from None
    return facts


def _survey(where: str, parts: dict[str, Part]) -> _Facts:
    surveys = {name: part.pixels.survey() for name, part in parts.items()}
    names = [part.pixels.name(i) for part in parts.values() for i in range(part.n)]
    channels = np.concatenate([survey.channels for survey in surveys.values()])
    n_colour = int((channels == 3).sum())
    usual = 3 if 2 * n_colour >= len(channels) else 1
    odd = sorted(names[i] for i in np.flatnonzero(channels != usual))
    if odd:
        kinds = {1: "grayscale (1 channel)", 3: "RGB (3 channels)"}
        others = f"{len(names) - len(odd)} of the {len(names)} images are {kinds[usual]}"
        raise DataError(f"{odd[0]}: {kinds[4 - usual]}, but {others}; convert one kind into the other")
    mean, std = mean_and_std(surveys["train"].levels[:usual], where=where)
    return _Facts(channels=usual, mean=mean, std=std)
