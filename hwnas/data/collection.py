"""What a reader finds, before it is split and checked: labels, a digest of every image, and where its pixels come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwnas.data.images import Pixels8, from_array, read_image, square, square_box, strict_decoding

PARTS = ("train", "val", "test")
Labels = NDArray[np.int64]
Positions = Sequence[int] | NDArray[np.int64]
T = TypeVar("T")
_BLOCK = 256  # images in flight: bounds memory, and how long an interrupt waits


@dataclass(frozen=True, slots=True)
class Survey:
    """What reading every image once told: its channels, ``(n,)``, and how often each value occurs.

    ``levels: (3, 256) float64`` sums the shares of the 256 values over the centre squares, so that every image weighs the same whatever its
    size; of grayscale images only the first row is used.
    """

    channels: NDArray[np.int64]
    levels: NDArray[np.float64]


class Pixels(Protocol):
    """A row of images that are read when asked for."""

    def __len__(self) -> int: ...

    def take(self, positions: Positions) -> Pixels:
        """The same kind of row with the images at ``positions``, in that order."""
        ...

    def name(self, position: int) -> str:
        """What an error message calls the image."""
        ...

    def survey(self) -> Survey:
        """Read every image; the first that cannot be read whole raises `DataError`."""
        ...

    def square(self, position: int, *, resolution: int) -> Pixels8:
        """Centre-cropped and resized, ``(C, R, R)``."""
        ...


@dataclass(frozen=True, slots=True)
class ArrayPixels:
    """Images in memory, ``(n, H, W, C) uint8``, from an npz file."""

    images: Pixels8
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, positions: Positions) -> ArrayPixels:
        """See `Pixels`."""
        return ArrayPixels(self.images[np.asarray(positions, dtype=np.int64)], tuple(self.names[int(p)] for p in positions))

    def name(self, position: int) -> str:
        """See `Pixels`."""
        return self.names[position]

    def survey(self) -> Survey:
        """See `Pixels`."""
        n, height, width, channels = self.images.shape
        left, top, right, bottom = square_box(width, height)
        centre = self.images[:, top:bottom, left:right]
        levels = np.zeros((3, 256))
        levels[:channels] = _histogram(centre.reshape(n, -1, channels)) / ((bottom - top) * (right - left))
        return Survey(np.full(n, channels, dtype=np.int64), levels)

    def square(self, position: int, *, resolution: int) -> Pixels8:
        """See `Pixels`."""
        image = self.images[position]
        if image.shape[:2] == (resolution, resolution):  # what resizing would give, without Pillow
            return np.ascontiguousarray(image.transpose(2, 0, 1))
        return square(from_array(image), resolution=resolution)


@dataclass(frozen=True, slots=True)
class FilePixels:
    """Images in files, decoded anew each time."""

    paths: tuple[Path, ...]
    max_pixels: int

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, positions: Positions) -> FilePixels:
        """See `Pixels`."""
        return FilePixels(tuple(self.paths[int(p)] for p in positions), self.max_pixels)

    def name(self, position: int) -> str:
        """See `Pixels`."""
        return str(self.paths[position])

    def survey(self) -> Survey:
        """See `Pixels`."""
        channels, levels = [], np.zeros((3, 256))
        with strict_decoding():
            for shares in in_order(self._shares, len(self)):
                channels.append(len(shares))
                levels[: len(shares)] += shares
        return Survey(np.array(channels, dtype=np.int64), levels)

    def square(self, position: int, *, resolution: int) -> Pixels8:
        """See `Pixels`."""
        return square(read_image(self.paths[position], max_pixels=self.max_pixels), resolution=resolution)

    def _shares(self, position: int) -> NDArray[np.float64]:
        image = read_image(self.paths[position], max_pixels=self.max_pixels)
        pixels = np.asarray(image.crop(square_box(image.width, image.height)), dtype=np.uint8)
        side = pixels.shape[0]
        shares: NDArray[np.float64] = _histogram(pixels.reshape(1, side * side, -1)) / (side * side)
        return shares


@dataclass(frozen=True, slots=True)
class Collection:
    """All images of one source. ``split`` holds a position in `PARTS` for every image, or is None where the source has no split."""

    where: str
    class_names: tuple[str, ...]
    labels: Labels
    digests: tuple[str, ...]
    pixels: Pixels
    split: NDArray[np.int64] | None


def _histogram(pixels: Pixels8) -> NDArray[np.int64]:
    """Counts of the values of each channel, ``(n, pixels, C) -> (C, 256)``."""
    return np.stack([np.bincount(pixels[:, :, c].ravel(), minlength=256) for c in range(pixels.shape[2])])


def in_order(function: Callable[[int], T], n: int) -> Iterator[T]:
    """``function(0) … function(n - 1)`` in this order, computed by threads (Pillow and hashlib let go of the interpreter's lock)."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, n, _BLOCK):
            yield from pool.map(function, range(start, min(start + _BLOCK, n)))
