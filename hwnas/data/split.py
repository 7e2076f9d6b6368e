"""Which image goes into which part, and in which order.

A source without parts is split 70 / 15 / 15 (train / val / test), class by class, by the seed. Copies (equal file content, or equal pixels
in an npz) stay together in one part; a source that comes with parts and has copies across them is refused, because its accuracy would be
measured on training images. The same content under two classes is refused as well.

Within a part, images stand in an order of which every beginning has the classes in their proportions. So the first 500 images of a part are
a fair sample of it, which calibration sets and limits rely on. Within a class the order is that of the digests: as good as random, and the
same whatever the files are called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.core.errors import DataError
from hwnas.data.collection import PARTS, Collection, Labels

SHARES = (0.70, 0.15, 0.15)
MIN_PER_CLASS = 3


def split(collection: Collection, *, seed: int) -> tuple[Labels, ...]:
    """Positions of the images of every part, each part in stratified order; raises `DataError` where that is not possible."""
    _check_classes(collection)
    _check_conflicts(collection)
    if collection.split is None:
        assigned = _assign(collection, seed=seed)
    else:
        assigned = collection.split
        _check_copies(collection, assigned)
    _check_coverage(collection, assigned)
    canonical = np.array(sorted(range(len(collection.labels)), key=lambda i: (collection.digests[i], i)), dtype=np.int64)
    parts = []
    for part in range(len(PARTS)):
        members = canonical[assigned[canonical] == part]
        parts.append(members[stratified_order(collection.labels[members])])
    return tuple(parts)


def stratified_order(labels: Labels) -> Labels:
    """An order of which every beginning holds the classes in proportion; images of one class keep their order, ``(n,) -> (n,)``."""
    key = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        key[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((labels, key)).astype(np.int64)


def _assign(collection: Collection, *, seed: int) -> Labels:
    """A position in `PARTS` for every image, ``(n,)``: each class split by content, so that copies cannot part."""
    assigned = np.empty(len(collection.labels), dtype=np.int64)
    for label, name in enumerate(collection.class_names):
        copies: dict[str, list[int]] = {}
        for position in np.flatnonzero(collection.labels == label):
            copies.setdefault(collection.digests[position], []).append(int(position))
        n = len(copies)
        if n < MIN_PER_CLASS:
            raise DataError(
                f"{collection.where}: class '{name}' has {n} different image(s), too few to split; at least {MIN_PER_CLASS} are needed"
            )
        n_test = n_val = max(1, round(SHARES[1] * n))
        shuffled = np.random.default_rng([seed, label]).permutation(sorted(copies))
        for rank, digest in enumerate(shuffled):
            part = 2 if rank < n_test else 1 if rank < n_test + n_val else 0
            assigned[copies[str(digest)]] = part
    return assigned


def _check_classes(collection: Collection) -> None:
    if len(collection.class_names) < 2:
        raise DataError(f"{collection.where}: only one class, '{collection.class_names[0]}'; a classifier needs at least two")


def _check_coverage(collection: Collection, assigned: NDArray[np.int64]) -> None:
    for part, part_name in enumerate(PARTS):
        counts = np.bincount(collection.labels[assigned == part], minlength=len(collection.class_names))
        if (counts == 0).any():
            name = collection.class_names[int(np.flatnonzero(counts == 0)[0])]
            raise DataError(f"{collection.where}: class '{name}' has no images in part '{part_name}'; every part needs every class")


def _check_conflicts(collection: Collection) -> None:
    _refuse_pairs(collection, collection.labels, lambda c: f"class '{collection.class_names[c]}'", "remove the wrong one")


def _check_copies(collection: Collection, assigned: NDArray[np.int64]) -> None:
    _refuse_pairs(collection, assigned, lambda part: f"part '{PARTS[part]}'", "keep it in one part")


def _refuse_pairs(collection: Collection, kinds: NDArray[np.int64], say: Callable[[int], str], advice: str) -> None:
    """Refuse equal images of different ``kinds`` (classes or parts), naming the first pair."""
    first: dict[str, int] = {}
    pairs: list[Sequence[int]] = []
    for position, digest in enumerate(collection.digests):
        other = first.setdefault(digest, position)
        if kinds[other] != kinds[position]:
            pairs.append((other, position))
    if pairs:
        a, b = pairs[0]
        more = f" (and {len(pairs) - 1} more)" if len(pairs) > 1 else ""
        name = collection.pixels.name
        raise DataError(f"{name(b)}: in {say(int(kinds[b]))}, but the same image is in {say(int(kinds[a]))} as {name(a)}{more}; {advice}")
