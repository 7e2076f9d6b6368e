"""A folder of class folders of JPEG or PNG files.

Two layouts: ``root/<class>/*`` (hwnas splits it) and ``root/{train,val,test}/<class>/*`` (used as it is; every part has every class). It is
the second when ``root/train`` holds a folder. Class names are the folder names, sorted. Hidden files and folders, ``Thumbs.db``,
``desktop.ini`` and ``__MACOSX`` are skipped anywhere, and so are files other than images beside the class folders (a README, a licence).
Inside a class folder everything else that is not a ``.jpg``, ``.jpeg`` or ``.png`` file is refused, folders too: an image that is left out
silently is worse than an error. Links are followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnas.core.errors import DataError
from hwnas.core.serial import sha256_file
from hwnas.data.collection import PARTS, Collection, FilePixels, in_order
from hwnas.data.images import SUFFIXES

SKIPPED = ("thumbs.db", "desktop.ini", "__macosx")


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    class_name: str
    part: int


def read_folder(root: Path, *, max_pixels: int) -> Collection:
    """The images below ``root`` as a collection; raises `DataError` naming the folder or file that cannot be used."""
    folders = _folders(root)
    if any(folder.name == "train" and any(_is_folder(entry) for entry in _entries(folder)) for folder in folders):
        found = _split_layout(root, folders)
    else:
        found = _classes(folders, part=-1)
    if not found:
        raise DataError(f"{root}: no images; expected class folders of {', '.join(SUFFIXES)} files, or train, val and test of such")
    names = tuple(sorted({image.class_name for image in found}))
    index = {name: position for position, name in enumerate(names)}
    paths = tuple(image.path for image in found)
    split = np.array([image.part for image in found], dtype=np.int64)
    return Collection(
        where=str(root),
        class_names=names,
        labels=np.array([index[image.class_name] for image in found], dtype=np.int64),
        digests=tuple(in_order(lambda position: _digest(paths[position]), len(paths))),
        pixels=FilePixels(paths, max_pixels),
        split=None if (split < 0).any() else split,
    )


def _split_layout(root: Path, folders: list[Path]) -> list[_Found]:
    by_name = {folder.name: folder for folder in folders}
    missing = [part for part in PARTS if part not in by_name]
    if missing:
        raise DataError(f"{root}: has the folder 'train' of classes but not '{missing[0]}'; add it, or put the class folders side by side")
    extra = sorted(set(by_name) - set(PARTS))
    if extra:
        raise DataError(f"{by_name[extra[0]]}: beside train, val and test no other folder is read; move it elsewhere")
    found = []
    for part, name in enumerate(PARTS):
        images = _classes(_folders(by_name[name]), part=part)
        if not images:
            raise DataError(f"{by_name[name]}: no images; expected class folders of {', '.join(SUFFIXES)} files")
        found += images
    return found


def _classes(folders: list[Path], *, part: int) -> list[_Found]:
    found = []
    for folder in folders:
        images = _images(folder)
        if not images:
            raise DataError(f"{folder}: no images of class '{folder.name}'; add {', '.join(SUFFIXES)} files or remove the folder")
        found += [_Found(path, folder.name, part) for path in images]
    return found


def _folders(root: Path) -> list[Path]:
    """Folders in ``root``, sorted; an image among them is in the wrong place and is refused."""
    folders = []
    for entry in _entries(root):
        if _is_folder(entry):
            folders.append(entry)
        elif entry.suffix.lower() in SUFFIXES:
            raise DataError(f"{entry}: an image outside a class folder; move it into the folder of its class")
    return folders


def _images(folder: Path) -> list[Path]:
    images = []
    for entry in _entries(folder):
        if _is_folder(entry):
            raise DataError(f"{entry}: a folder inside class '{folder.name}' is not read; move its images up or the folder out")
        if entry.suffix.lower() not in SUFFIXES:
            raise DataError(f"{entry}: not a {', '.join(SUFFIXES)} file; convert it or move it out of the class folder")
        if not entry.is_file():
            raise DataError(f"{entry}: not a regular file; remove it")
        images.append(entry)
    return images


def _entries(folder: Path) -> list[Path]:
    """What counts in ``folder``, sorted by name."""
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as problem:
        raise DataError(f"{folder}: cannot be listed: {problem.strerror}") from None
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in SKIPPED]


def _is_folder(entry: Path) -> bool:
    try:
        entry.stat()  # is_dir() alone would take a link that leads nowhere, or in circles, for a file
    except OSError as problem:
        raise DataError(f"{entry}: cannot be read: {problem.strerror}; remove the link or file") from None
    return entry.is_dir()


def _digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as problem:
        raise DataError(f"{path}: cannot be read: {problem.strerror}") from None
